# SPDX-License-Identifier: GPL-2.0-or-later
"""Steps as a message sequence chart, in the language of mscgen."""

import re
import shutil
import subprocess

from . import ChartError
from .choose import requests

COLUMN = 230            # pixels between two lifelines
CPU, MEMORY, HOME = 'cpu', 'mem', 'home'

GRAY = '#808080'
HOST = '#8000a0'
# By channel: a request, a response, data
COLOURS = {'Req': '#0040c0', 'Rsp': '#006020', 'Data': '#c04000'}
ARROWS = {'Req': '=>', 'Rsp': '=>', 'Data': '>>'}
# Behind the state of a line
STATES = {'I': '#f0f0f0', 'S': '#d0ecd0', 'E': '#fff0b0', 'M': '#ffc8c0'}
ALL_BYTES = (1 << 64) - 1


def quoted(text):
    """
    As mscgen takes a string. Of escapes it knows \\" and \\n alone, so that a
    backslash cannot be written.
    """
    text = text.replace('\\', '\N{SET MINUS}').replace('"', '\\"')
    lines = [''.join(c if c.isprintable() else '?' for c in line)
             for line in text.split('\n')]
    return '"' + '\\n'.join(lines) + '"'


def arc(what, label='', **attributes):
    """@what: "a => b", or "---" """
    values = [f'label={quoted(label)}'] if label else []
    values += [f'{name}="{value}"' for name, value in attributes.items()]
    return f'{what} [{", ".join(values)}]'


def coloured(what, label, colour):
    return arc(what, label, linecolour=colour, textcolour=colour)


# -- labels

def opcode_of(event):
    if event.opcode == 'GO':
        return f'GO-{event.state}'
    if event.channel == 'H2D Rsp' and 'Pull' in event.opcode and \
            'Drop' not in event.opcode:
        return f'{event.opcode} to UQID {event.rsp_data}'
    return event.opcode


def message_label(step):
    event = step.first
    text = step.count()
    pulls = opcode_of(event)
    text += event.opcode if len(step.events) > 1 and ' to ' in pulls else pulls
    text += event.flags or ''
    some = '' if event.be in (None, ALL_BYTES) else f' BE {event.be:#018x}'
    return f'{text} {step.ids()}\n{step.where()}{some}'.strip()


def state_label(step):
    """What became of the lines, and the state that most have at the end"""
    texts, last = [], {}
    states = step.states()
    for (before, after), count in states.most_common():
        text = before if before == after else f'{before} -> {after}'
        texts.append(text if len(states) == 1 else f'{count} x {text}')
        last.setdefault(after, count)
    return '\n'.join(texts), next(iter(last))


# -- what is no message

def touch_text(event, who):
    return (f'{who} {event.what}s the page {event.page():#x}\n'
            f'{event.lines} lines to be snooped')


def span_text(event, text):
    return f'{text}\n{event.addr:#x} len {event.len:#x}'


# By kind: from, to, text; 'dev' is the device, 'state' the column behind it.
# The same twice, or without an arrow, is a box.
HOST_EVENTS = {
    'fault': ('cpu => home', lambda e: touch_text(e, 'CPU')),
    'dma': ('cpu => home', lambda e: touch_text(e, 'DMA')),
    'ahead': ('cpu box home', lambda e:
              f'the page {e.page():#x} is expected to be {PAST[e.what]}:\n'
              f'{e.lines} lines to be snooped'),
    'zap': ('home => cpu', lambda e: span_text(e, 'taken from the guest')),
    'unarm': ('home => cpu', lambda e: span_text(e, "the guest's again")),
    'bypass': ('cpu box home', lambda e: f'past the trap: {e.text}'),
    'once': ('dev box state', None),
    'guard': ('dev box state', lambda e: span_text(e, 'refused by window=')),
    'error': ('dev box state', lambda e: f'error: {e.text}'),
    'isolate': ('dev box state', lambda e: e.text),
    'reset': ('dev box state', lambda e: e.text),
    'ats_request': ('dev box state', lambda e:
                    f'ATS request of {e.addr:#x}\n{e.text}'),
    'ats_invalidate': ('dev box state', lambda e:
                       f'ATS invalidation of {e.addr:#x}\n{e.text}'),
    'crypto_flr': ('dev box state', lambda e: e.text),
    'injected': ('dev box state', lambda e: f'injected: {e.text}'),
    'crypto_read_cached': ('dev box dev', lambda e:
                           f'{e.len} bytes read\nat {e.addr:#x}'),
    'crypto_write_cached': ('dev box dev', lambda e:
                            f'{e.len} bytes stored\nat {e.addr:#x}'),
    'crypto_read': ('cpu box dev', lambda e:
                    f'CXL.io: {e.len} bytes read at {e.addr:#x}'),
    'crypto_write': ('cpu box dev', lambda e:
                     f'CXL.io: {e.len} bytes written at {e.addr:#x}'),
}
# Whatever else there is
OTHER_EVENT = ('dev box dev', lambda e: ' '.join(
    filter(None, (e.kind.replace('_', ' '), e.addr and f'{e.addr:#x}',
                  e.text))))
PAST = {'read': 'read', 'write': 'written'}


class Chart:
    def __init__(self, trace, events):
        self.trace = trace
        self.begin = trace.begin()
        # Times of messages are counted from the first that is drawn
        self.zero = min((event.sent for event in events
                         if event.channel and event.sent is not None),
                        default=0)
        self.request_of = {}
        for request in requests(trace.events):
            self.request_of[id(request.begin)] = request.number
            self.request_of[id(request.end)] = request.number
        drawn = {event.dev for event in events if event.channel}
        self.devices = [dev for dev in trace.devices() if dev in drawn]

    def column(self, dev, kind='d'):
        """The lifeline of a device, or ('s') of what it holds"""
        return f'{kind}{self.devices.index(dev)}' if dev in self.devices \
            else HOME

    def entities(self):
        names = [(CPU, 'CPUs, DMA'), (MEMORY, 'memory'), (HOME, 'home')]
        for dev in self.devices:
            short = dev.rsplit('/', 1)[-1]
            names += [(self.column(dev), short),
                      (self.column(dev, 's'), f"line in {short}")]
        return names

    def when(self, event):
        if event.time is None:
            return ''
        return f', at {(event.time - self.begin) * 1e3:.3f} ms'

    # -- rows: each is a list of arcs side by side

    def arrow(self, step, skip):
        """@skip: rows until it is there"""
        event = step.first
        kind = event.channel.split()[1]
        dev = self.column(event.dev)
        way = (dev, HOME) if event.channel.startswith('D2H') else (HOME, dev)
        label = message_label(step)
        times = {}
        if skip:
            label += (f'\n{event.sent - self.zero} to '
                      f'{event.taken - self.zero} ns')
            times = {'arcskip': skip}
        return arc(f'{way[0]} {ARROWS[kind]} {way[1]}', label,
                   linecolour=COLOURS[kind], textcolour=COLOURS[kind], **times)

    def home_part(self, step):
        """What the home does when it sends or takes the message"""
        memory = {'read': (f'{MEMORY} >> {HOME}', 'read'),
                  'write': (f'{HOME} >> {MEMORY}', 'written')}
        event = step.first
        return [coloured(*memory[event.memory], GRAY)] if event.memory else []

    def device_part(self, step):
        """What becomes of the line in the device"""
        event = step.first
        return [self.state(event.dev, *state_label(step))] \
            if event.addr is not None else []

    def message(self, step, skip=0):
        """
        @skip: it is taken as many rows further down, and what who takes it does
        is there (taken()).
        """
        row = [self.arrow(step, skip)]
        d2h = step.first.channel.startswith('D2H')
        if not skip or not d2h:
            row += self.home_part(step)
        if not skip or d2h:
            row += self.device_part(step)
        return row

    def taken(self, step):
        part = self.home_part if step.first.channel.startswith('D2H') else \
            self.device_part
        return part(step) or ['|||']

    def state(self, dev, text, last):
        column = self.column(dev, 's')
        what = f'{column} box {column}'
        if '>' in text:
            return arc(what, text, textbgcolour=STATES.get(last, '#ffffff'))
        return coloured(what, text, GRAY)

    def separator(self, event):
        number = self.request_of.get(id(event))
        begins = event.kind == 'crypto_source'
        what = f'{event.len} bytes to be read' if begins else \
            f'{event.ret} of {event.len} bytes written'
        return [arc('---', f'{event.dev}, request {number or "?"} '
                    f'{"begins" if begins else "ends"}: '
                    f'{what}{self.when(event)}', linecolour=HOST)]

    def host_event(self, step):
        event = step.first
        way, text = HOST_EVENTS.get(event.kind, OTHER_EVENT)
        words = [{'dev': self.column(event.dev),
                  'state': self.column(event.dev, 's')}.get(word, word)
                 for word in way.split()]
        label = text(event) if text else \
            f'{step.count()}line not kept\n{step.where()}'
        row = [coloured(' '.join(words), label, HOST)]
        if event.after and event.dev in self.devices:
            row.append(self.state(event.dev, f'{event.before} -> {event.after}'
                                  if event.before != event.after
                                  else event.after, event.after))
        return row

    def row(self, step, skip):
        if step.first.channel:
            return self.message(step, skip)
        if step.first.kind in ('crypto_source', 'crypto_result'):
            return self.separator(step.first)
        return self.host_event(step)

    def rows(self, steps):
        """
        On a link with time a message by itself has two rows: where it is sent,
        and where it is taken. What is between has happened meanwhile.
        """
        place = {id(event.message if event.kind == 'taken' else event): number
                 for number, event in enumerate(self.trace.events)
                 if event.taken is None or event.kind == 'taken'}
        sent = {id(event): number
                for number, event in enumerate(self.trace.events)}
        marks = [(sent[id(step.first)], step, False) for step in steps]
        marks += [(place[id(step.first)], step, True) for step in steps
                  if len(step.events) == 1 and step.first.taken is not None]
        marks.sort(key=lambda mark: mark[0])
        ends = {id(step): row for row, (_, step, is_taken) in enumerate(marks)
                if is_taken}
        return [self.taken(step) if is_taken else
                self.row(step, ends.get(id(step), row) - row)
                for row, (_, step, is_taken) in enumerate(marks)]

    def heading(self, steps, chosen):
        events = [event for step in steps for event in step.events]
        numbers = [event.number for event in events if event.channel]
        what = f'message {numbers[0]}' if len(numbers) == 1 else \
            f'{len(numbers)} messages, {min(numbers)} to {max(numbers)}'
        text = f'{self.trace.name}: {chosen}{what} of {self.trace.messages}'
        times = [event.time for event in events if event.time is not None]
        if times:
            text += (f', {(min(times) - self.begin) * 1e3:.3f} to '
                     f'{(max(times) - self.begin) * 1e3:.3f} ms')
        return [arc('---', text, linecolour='#ffffff'),
                arc('---', 'gray arrows: what the home must have done, no '
                    'message tells', linecolour='#ffffff', textcolour=GRAY)]

    def text(self, steps, chosen=''):
        rows = [', '.join(row) for row in self.rows(steps)]
        entities = [f'{name} [label={quoted(label)}]'
                    for name, label in self.entities()]
        width = COLUMN * len(entities)
        return '\n'.join(['msc {', f'  width="{width}";',
                          f'  {", ".join(entities)};',
                          *(f'  {row};' for row in
                            self.heading(steps, chosen) + rows), '}', ''])


def draw(text):
    """The chart as SVG"""
    if not shutil.which('mscgen'):
        raise ChartError('mscgen is not installed, which draws the chart: '
                         'apt-get install mscgen; or have --msc FILE')
    result = subprocess.run(['mscgen', '-T', 'svg', '-o', '-'], check=False,
                            input=text.encode(), capture_output=True)
    if result.returncode:
        raise ChartError('mscgen: ' +
                         result.stderr.decode(errors='replace').strip())
    # It prints what it has done before the document
    svg = result.stdout.decode()
    return svg[re.search(r'<\?xml|<!DOCTYPE|<svg', svg).start():]
