#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What scripts/cxl-chart makes of traces of real runs, as TAP.
#
# request.trace: cxl-cache-query-test's "trace" with a request of 1 KiB: 16
# lines are read, owned, stored to, and snooped by a CPU's read.
# devices.trace: cxl-cache-test's t02, t05, t06, t14, t13, t16 and t18 one after
# the other, two cxl-cache-testdev, with other lines in between.
# race.trace: cxl-cache-time-test's "touch": a snoop meets an evict, 500 ns each
# way. many.trace: its "many": 40 requests of two devices at a time.

import collections
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
CHART = os.path.join(TOP, 'scripts', 'cxl-chart')
TABLES = os.path.join(TOP, 'docs/system/devices/cxl-cache-tables.rst')
EVENTS = os.path.join(TOP, 'hw/cxl/trace-events')

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, 'scripts'))

from cxl_chart import parse, states     # noqa: E402

REQUEST = os.path.join(HERE, 'request.trace')
DEVICES = os.path.join(HERE, 'devices.trace')
RACE = os.path.join(HERE, 'race.trace')
MANY = os.path.join(HERE, 'many.trace')

# What this test itself sees of a trace: device, channel, the rest
MESSAGE = re.compile(r'cxl_cache_[dh]2[dh]_\w+ (\S+): ([DH]2[DH] \w+) (.*)')


def messages(path):
    with open(path) as file:
        return MESSAGE.findall(file.read())


def opcode(channel, rest):
    if channel.endswith('Data'):
        return 'Data'
    words = rest.split()
    return f'GO-{words[2]}' if words[0] == 'GO' else words[0]


def counts(path):
    return collections.Counter((channel, opcode(channel, rest))
                               for _, channel, rest in messages(path))


def chart(*args, status=0, stdin=None, env=None):
    result = subprocess.run([sys.executable, CHART, *args], check=False,
                            input=stdin, capture_output=True, text=True,
                            timeout=60, env=env)
    assert result.returncode == status, result.stderr
    return result.stdout if status == 0 else result.stderr


def svg_texts(document):
    """The text elements, in the order of the document, which is down"""
    root = ElementTree.fromstring(document)
    return [element.text.strip() for element in root.iter()
            if element.tag.endswith('}text')]


def labels(texts):
    """(how many, opcode) of the messages among them"""
    label = re.compile(r'(?:(\d+) x )?([A-Za-z]\w+(?:-\w+)?)'
                       r'(?: to UQID \d+)?(?: [A-Z][\w-]*)* [CU]QID \d+\S*')
    return [(int(match.group(1) or 1), match.group(2))
            for match in map(label.fullmatch, texts) if match]


class Messages(unittest.TestCase):
    def test_all_in_order(self):
        for path in (REQUEST, DEVICES):
            seen = labels(svg_texts(chart('--all', '--limit', '999', path)))
            want = [(1, opcode(channel, rest))
                    for _, channel, rest in messages(path)]
            self.assertEqual(seen, want)
            self.assertGreater(len(want), 90)

    def test_folded_counts(self):
        for path in (REQUEST, DEVICES):
            seen = collections.Counter()
            for number, name in labels(svg_texts(
                    chart('--limit', '999', path))):
                seen[name] += number
            want = collections.Counter()
            for (_, name), number in counts(path).items():
                want[name] += number
            self.assertEqual(seen, want)

    def test_folded_rows(self):
        texts = svg_texts(chart(REQUEST))
        self.assertEqual(labels(texts), [
            (1, 'RdCurr'), (1, 'Data'), (16, 'RdCurr'), (16, 'Data'),
            (16, 'RdOwnNoData'), (16, 'GO-E'),
            (16, 'SnpData'), (16, 'RspIFwdM'), (16, 'Data')])
        self.assertEqual(texts.count('0x110a000..0x110a3c0'), 5)
        self.assertEqual(texts.count('0x110b000..0x110b3c0'), 2)

    def test_addresses_and_ids(self):
        texts = svg_texts(chart('--all', '--line', '0x110a040', REQUEST))
        self.assertEqual(texts.count('0x110a040'), 5)
        self.assertIn('RdOwnNoData CQID 1', texts)
        self.assertIn('RspIFwdM UQID 1', texts)

    def test_no_fold_of_one_line(self):
        """The same message again about the same line is another arrow."""
        again = []
        with open(REQUEST) as file:
            again = [line for line in file if 'RdCurr 0x110b000' in line] * 3
        seen = labels(svg_texts(chart('-', stdin=''.join(again))))
        self.assertEqual(seen, [(1, 'RdCurr')] * 3)


    def test_no_fold_across(self):
        """Neither what is no message nor a pause is passed."""
        def lines(time, *addrs):
            return [f'1@{time}:cxl_cache_d2h_req d: D2H Req RdCurr {addr:#x} '
                    'CQID 1\n' for addr in addrs]

        touch = ['cxl_cache_fault 0x1000 read: 0 lines of the page to be '
                 'snooped\n']
        for text, want in (
                (lines('1.0', 0, 64) + lines('1.0005', 128), [3]),
                (lines('1.0', 0, 64) + lines('1.002', 128), [2, 1]),
                (lines('1.0', 0, 64) + touch + lines('1.0', 128), [2, 1]),
                (lines('1.0', 0, 64, 4096), [2, 1])):
            seen = labels(svg_texts(chart('-', stdin=''.join(text))))
            self.assertEqual([number for number, _ in seen], want)
        seen = labels(svg_texts(chart('--pages', '-', stdin=''.join(
            lines('1.0', 0, 64, 4096)))))
        self.assertEqual(seen, [(3, 'RdCurr')])


class Choices(unittest.TestCase):
    def test_request(self):
        self.assertEqual(labels(svg_texts(chart('--request', '2', REQUEST))), [
            (1, 'RdCurr'), (1, 'Data'), (16, 'RdCurr'), (16, 'Data'),
            (16, 'RdOwnNoData'), (16, 'GO-E')])
        self.assertEqual(
            labels(svg_texts(chart('--request', '2', '--follow', REQUEST))),
            labels(svg_texts(chart(REQUEST))))
        self.assertIn('requests 1 to 2', chart('--request', '3', REQUEST,
                                               status=1))
        self.assertIn('cxl_type1_crypto_*', chart('--request', '1', DEVICES,
                                                  status=1))

    def test_follow(self):
        """The lines of the result, and not the page's others"""
        text = '''\
cxl_type1_crypto_source a: request 0x1: 64 bytes to be read
cxl_cache_d2h_req a: D2H Req RdOwnNoData 0x1000 CQID 0
cxl_type1_crypto_write_cached a: addr 0x1000 len 64 good 1
cxl_type1_crypto_result a: request 0x1: 64 bytes to be written: 64
cxl_cache_d2h_req a: D2H Req RdOwnNoData 0x1040 CQID 0
cxl_cache_h2d_req a: H2D Req SnpInv 0x1000 UQID 0
cxl_cache_d2h_rsp a: D2H Rsp RspIFwdM 0x1000 UQID 0
cxl_cache_d2h_req a: D2H Req RdOwnNoData 0x1000 CQID 1
cxl_cache_h2d_req a: H2D Req SnpInv 0x1000 UQID 0
'''
        seen = labels(svg_texts(chart('--request', '1', '--follow', '-',
                                      stdin=text)))
        self.assertEqual(seen, [(1, 'RdOwnNoData'), (1, 'SnpInv'),
                                (1, 'RspIFwdM')])

    def test_page_and_line(self):
        self.assertEqual(
            labels(svg_texts(chart('--page', '0x110b123', REQUEST))),
            [(16, 'RdCurr'), (16, 'Data')])
        texts = svg_texts(chart('--line', '0x110a3c0', REQUEST))
        self.assertEqual([name for _, name in labels(texts)],
                         ['RdOwnNoData', 'GO-E', 'SnpData', 'RspIFwdM', 'Data'])
        self.assertIn('CPU reads the page 0x110a000', texts)

    def test_from_to(self):
        want = [(1, opcode(channel, rest))
                for _, channel, rest in messages(DEVICES)[9:20]]
        self.assertEqual(labels(svg_texts(
            chart('--from', '10', '--to', '20', '--all', DEVICES))), want)
        # The first request is CXL.io: no message for 156 ms
        self.assertIn('no message', chart('--to', '150ms', REQUEST, status=1))
        for choice in (('--from', '0.15s'), ('--to', '200ms')):
            self.assertEqual(labels(svg_texts(chart(*choice, REQUEST))),
                             labels(svg_texts(chart(REQUEST))))

    def test_device(self):
        texts = svg_texts(chart('--device', 't1', '--all', DEVICES))
        self.assertEqual(labels(texts), [
            (1, opcode(channel, rest))
            for dev, channel, rest in messages(DEVICES) if dev == 't1'])
        self.assertNotIn('t0', texts)
        self.assertIn('t0, t1', chart('--device', 'x', DEVICES, status=1))


class Race(unittest.TestCase):
    """On a link with time: where a message is sent, and where it is taken"""

    LINE = 0x1000000
    LATENCY = 500

    def setUp(self):
        msc = chart('--line', hex(self.LINE), '--msc', '-', RACE)
        rows = [row for row in msc.splitlines() if row.startswith('  ')]
        self.rows = rows[2:]

    def arrows(self):
        """Opcode, and the rows where it begins and ends"""
        arrow = re.compile(r'\w+ [=>]> \w+ \[label="(\S+) .* ns".*'
                           r'arcskip="(\d+)"')
        return [(match.group(1), row, row + int(match.group(2)))
                for row, match in enumerate(map(arrow.search, self.rows))
                if match]

    def test_order(self):
        want = [opcode(channel, rest)
                for _, channel, rest in messages(RACE)
                if f'{self.LINE:#x} ' in rest]
        drawn = chart('--line', hex(self.LINE), RACE)
        self.assertEqual([name for _, name in labels(svg_texts(drawn))], want)
        self.assertEqual([name for name, *_ in self.arrows()], want)

    def test_races(self):
        """The snoop and its answer are on their way while the evict is."""
        ends = {name: (first, last) for name, first, last in self.arrows()}
        evict, snoop = ends['DirtyEvict'], ends['SnpData']
        answer, pull = ends['RspSFwdM'], ends['GO_WritePull']
        self.assertLess(evict[0], snoop[0])
        self.assertLess(snoop[1], evict[1])
        self.assertEqual(snoop[1] < answer[0] < answer[1] < pull[0], True)
        # Nothing ends behind the chart.
        self.assertLess(max(last for _, last in ends.values()),
                        len(self.rows))

    def test_states(self):
        """What is taken changes the line where it is taken."""
        ends = {name: last for name, _, last in self.arrows()}
        self.assertIn('label="I -> E"', self.rows[ends['GO-E']])
        self.assertIn('label="S -> I"', self.rows[ends['GO_WritePull']])

    def test_times(self):
        text = '\n'.join(self.rows)
        found = re.findall(r'(\d+) to (\d+) ns', text)
        self.assertEqual(len(found), len(self.arrows()))
        waited = [int(last) - int(first) for first, last in found]
        self.assertEqual(min(waited), self.LATENCY)
        # The evict waits for the snoop.
        self.assertEqual(max(waited), 2 * self.LATENCY)

    def test_whose(self):
        """Times are of their message, also where others are cut off."""
        with open(MANY) as file:
            lines = file.readlines()
        for first in range(0, len(lines), 4):
            for event in parse.read(lines[first:]).events:
                if event.kind == 'taken' and event.message:
                    self.assertEqual(event.id, event.message.cqid
                                     if event.message.uqid is None
                                     else event.message.uqid)

    def test_cut_off(self):
        """Of messages of which the trace has half"""
        with open(RACE) as file:
            lines = file.readlines()
        for first in range(0, len(lines), 16):
            for part in (lines[first:], lines[:first]):
                if MESSAGE.search(''.join(part)):
                    chart('--msc', '-', '-', stdin=''.join(part))
                    chart('--perfetto', '/dev/null', '-', stdin=''.join(part))


class States(unittest.TestCase):
    """Of a line, by its messages"""

    COLUMN = re.compile(r'[ISEM?](?:/[ISE])?(?: -> [ISEM])?')

    def column(self, *args):
        return [text for text in svg_texts(chart(*args))
                if self.COLUMN.fullmatch(text)]

    def test_life_of_a_line(self):
        self.assertEqual(self.column('--page', '0x110a000', REQUEST),
                         ['I', 'I -> E', 'E -> M', 'M', 'M -> I', 'I'])
        texts = svg_texts(chart('--page', '0x110a000', REQUEST))
        for text in ('1024 bytes stored', '0x110a000 len 0x1000',
                     '16 lines to be snooped', 'written'):
            self.assertIn(text, texts)

    def test_devices(self):
        """t05: RdOwn by one device of what the other has modified"""
        trace = parse.read(open(DEVICES))
        states.follow(trace.events)
        seen = [(event.dev, event.opcode, event.before, event.after,
                 event.memory) for event in trace.events if event.channel]
        at = seen.index(('t1', 'RspIFwdM', 'M', 'I', None))
        self.assertEqual(seen[at - 5:at + 6], [
            ('t1', 'RdOwn', 'I', 'I', None), ('t1', 'GO', 'I', 'E', None),
            ('t1', 'Data', 'E', 'E', 'read'), ('t0', 'RdOwn', 'I', 'I', None),
            ('t1', 'SnpInv', 'E', 'E', None),
            ('t1', 'RspIFwdM', 'M', 'I', None),
            ('t1', 'Data', 'I', 'I', 'write'), ('t0', 'GO', 'I', 'E', None),
            ('t0', 'Data', 'E', 'E', None),
            ('t0', 'CleanEvictNoData', 'E', 'E', None),
            ('t0', 'GO', 'E', 'I', None)])
        for want in (('t1', 'RspSFwdM', 'M', 'S', None),
                     ('t1', 'RspVFwdV', 'E', 'E', None),
                     ('t0', 'DirtyEvict', 'M', 'M', None),
                     ('t0', 'GO_WritePull', 'M', 'I', None),
                     ('t0', 'GO_WritePull_Drop', 'E', 'I', None)):
            self.assertIn(want, seen)

    def test_memory(self):
        """What of a device's data is written to memory"""
        trace = parse.read(open(DEVICES))
        states.follow(trace.events)
        seen = {(event.opens.opcode, event.memory) for event in trace.events
                if event.channel == 'D2H Data'}
        self.assertEqual(seen, {
            ('RspVFwdV', None), ('RspIFwdM', 'write'), ('RspSFwdM', 'write'),
            ('GO_WritePull', 'write'), ('WritePull', 'write'),
            ('Fast_GO_WritePull', 'write')})

    def test_heir(self):
        """With GO-M the modified data go on to another device."""
        lines = '''\
cxl_cache_d2h_req a: D2H Req RdOwn 0x40 CQID 1
cxl_cache_h2d_req b: H2D Req SnpInv 0x40 UQID 7
cxl_cache_d2h_rsp b: D2H Rsp RspIFwdM 0x40 UQID 7
cxl_cache_d2h_data b: D2H Data 0x40 UQID 7 BE 0xffffffffffffffff
cxl_cache_h2d_rsp a: H2D Rsp GO state M RspData 0x006 0x40 CQID 1
cxl_cache_h2d_data a: H2D Data 0x40 CQID 1
'''
        trace = parse.read(io.StringIO(lines))
        states.follow(trace.events)
        self.assertEqual([event.memory for event in trace.events], [None] * 6)
        self.assertEqual([event.after for event in trace.events],
                         ['I', '?', 'I', 'I', 'M', 'M'])

    def test_against_the_tables(self):
        """The same as the tables that the device walks"""
        tables = read_tables()
        shown = {row[0]: row[1] for row in tables['States of a line']}
        for row in tables['D2H requests']:
            was = {shown[state] for state in row[2].split(', ')}
            self.assertEqual(set(states.REQUESTS[row[1]].was), was, row[1])
        self.assertEqual({row[1] for row in tables['D2H requests']},
                         set(states.REQUESTS))
        for row in tables['Snoops']:
            for cell in row[1:]:
                # Those with (u) are for a host that breaks the rules
                if '(u)' in cell:
                    continue
                self.snoop(row[0], shown, *re.match(r'(\w+), (\w+)(.*)',
                                                    cell).groups())
        for row in tables['Grants and data']:
            for grant, cell in zip('SEMI', row[1:5]):
                if cell != '--' and row[0] in ('IXA', 'IXAD', 'IEA', 'SEA'):
                    self.assertEqual(states.GRANTS[grant], shown[cell], row)

    def snoop(self, state, shown, response, after, rest):
        rule = states.RESPONSES[response]
        self.assertEqual(rule.after or shown[state], shown[after],
                         (state, response))
        if '(' not in rest and response != 'RspIHitI':
            self.assertIn(shown[state], rule.was, (state, response))
        if 'data' in rest:
            self.assertIn('Fwd', response)


def read_tables():
    """Rows by the heading that they stand below"""
    tables, heading, lines = {}, '', open(TABLES).read().splitlines()
    for line, below in zip(lines, lines[1:] + ['']):
        cell = re.match(r' {3}([*]| ) - (.*)', line)
        if below and set(below) == {'-'}:
            heading = line
            tables[heading] = []
        elif cell and cell.group(1) == '*':
            tables[heading].append([cell.group(2)])
        elif cell and heading:
            tables[heading][-1].append(cell.group(2))
    return {name: rows[1:] for name, rows in tables.items()}


class Perfetto(unittest.TestCase):
    TRACES = REQUEST, DEVICES

    def events(self, path, stdin=None):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, 'out.json')
            chart('--perfetto', out, path, stdin=stdin)
            with open(out) as file:
                return json.load(file)['traceEvents']

    def test_counts(self):
        for path in self.TRACES:
            seen = collections.Counter(
                (event['cat'], event['name'].split(' to ')[0])
                for event in self.events(path) if event['ph'] == 'X')
            self.assertEqual(seen, counts(path))

    def test_tracks(self):
        events = self.events(DEVICES)
        names = {(event['pid'], event['args']['name']) for event in events
                 if event['name'] in ('thread_name', 'process_name')}
        self.assertTrue({(2, 't0'), (3, 't1'), (2, 'D2H Req'),
                         (3, 'H2D Data')} <= names)

    def one_by_one(self, events):
        """
        Each slice, and when it begins in nanoseconds; those of a thread must
        not overlap, which the viewer could not show.
        """
        last = collections.Counter()
        for event in events:
            if event['ph'] == 'X':
                track = event['pid'], event['tid']
                begin = round(event['ts'] * 1000)
                self.assertGreaterEqual(begin, last[track])
                last[track] = begin + round(event['dur'] * 1000)
                self.assertGreater(last[track], begin)
                yield event, begin

    def test_no_overlap(self):
        with open(REQUEST) as file:
            lines = file.read()
        for time in ('', '2026-11-29T20:54:28.778743Z '):
            events = self.events('-', re.sub(r'^\S+Z ', time, lines,
                                             flags=re.M))
            self.assertTrue(list(self.one_by_one(events)))

    def test_flows(self):
        """Each begins and ends in a slice; every answer has one."""
        events = self.events(DEVICES)
        slices = [event for event in events if event['ph'] == 'X']
        flows = collections.defaultdict(dict)
        for event in events:
            if event['ph'] in 'sf':
                inside = [s for s in slices if s['pid'] == event['pid'] and
                          s['tid'] == event['tid'] and
                          s['ts'] < event['ts'] < s['ts'] + s['dur']]
                self.assertEqual(len(inside), 1)
                flows[event['id']][event['ph']] = inside[0]
        pairs = collections.Counter((flow['s']['cat'], flow['f']['cat'])
                                    for flow in flows.values())
        want = counts(DEVICES)
        of = collections.Counter()
        for (channel, _), number in want.items():
            of[channel] += number
        self.assertEqual(pairs[('D2H Req', 'H2D Rsp')], of['H2D Rsp'])
        self.assertEqual(pairs[('D2H Req', 'H2D Data')], of['H2D Data'])
        self.assertEqual(pairs[('H2D Req', 'D2H Rsp')], of['D2H Rsp'])
        self.assertEqual(pairs[('H2D Rsp', 'D2H Data')] +
                         pairs[('D2H Rsp', 'D2H Data')], of['D2H Data'])

    def test_outstanding(self):
        for path, most in ((REQUEST, 16), (DEVICES, 1)):
            counters = [event['args'] for event in self.events(path)
                        if event['ph'] == 'C']
            self.assertEqual(counters[-1], {'requests': 0, 'snoops': 0})
            self.assertEqual(max(args['requests'] for args in counters), most)

    def test_transactions(self):
        for path in self.TRACES:
            begun = collections.Counter()
            for event in self.events(path):
                if event['ph'] in 'be':
                    step = 1 if event['ph'] == 'b' else -1
                    begun[(event['pid'], event['id'])] += step
                    self.assertIn(begun[(event['pid'], event['id'])], (0, 1))
            self.assertEqual(set(begun.values()), {0})


class PerfettoTimed(Perfetto):
    """Of links with time"""

    TRACES = RACE, MANY

    def test_no_overlap(self):
        for event, begin in self.one_by_one(self.events(MANY)):
            # As many nanoseconds late as there are others
            self.assertIn(begin - event['args']['sent'], range(20))

    def test_outstanding(self):
        """Messages in a channel, and credits for more"""
        for path, most in ((RACE, 1), (MANY, 20)):
            depth = collections.defaultdict(list)
            for event in self.events(path):
                if event['ph'] == 'C' and event['name'] == 'D2H Req':
                    self.assertLessEqual(event['args']['depth'] +
                                         event['args']['credits'], 64)
                    depth[event['pid']].append(event['args'])
            for args in depth.values():
                self.assertEqual(args[-1]['depth'], 0)
                self.assertEqual(max(at['depth'] for at in args), most)
                self.assertEqual(min(at['credits'] for at in args), 64 - most)

    def test_transactions(self):
        for path in self.TRACES:
            begun, ended = {}, {}
            for event in self.events(path):
                if event['ph'] in 'be':
                    store = begun if event['ph'] == 'b' else ended
                    key = event['pid'], event['id']
                    self.assertNotIn(key, store)
                    store[key] = event['cat'], event['ts']
            self.assertEqual(set(begun), set(ended))
            flights = [key for key in begun if begun[key][0] == 'flight']
            self.assertEqual(len(flights), len(messages(path)))
            for key, (kind, begin) in begun.items():
                # A message goes one way, what it begins ends after another.
                ways = 1 if kind == 'flight' else 2
                self.assertGreaterEqual(round((ended[key][1] - begin) * 1000),
                                        ways * Race.LATENCY)

    def test_tracks(self):
        self.assertTrue(any(event['name'] == 'D2H Req in flight'
                            for event in self.events(RACE)))

    def test_flows(self):
        """Every answer has one."""
        for path in self.TRACES:
            ends = collections.Counter(event['ph']
                                       for event in self.events(path))
            answers = len([channel for _, channel, _ in messages(path)
                           if channel not in ('D2H Req', 'H2D Req')])
            self.assertEqual((ends['s'], ends['f']), (answers, answers))


def printed(args, form):
    """An event's arguments as C would print them"""
    form = re.sub(r'"\s*PRI(\w)\d+\s*"?', r'\1', form).strip('"')
    form = re.sub('%z(.)', r'%\1', form).replace('%p', '%#x')
    strings = {'what': 'read', 'flags': ' NT', 'channel': 'D2H Req'}
    return form % tuple(strings.get(arg.split('*')[-1], 'Text')
                        if 'char *' in arg else 1 if 'bool' in arg else 16
                        for arg in args.split(', '))


class Lines(unittest.TestCase):
    def test_formats(self):
        """Each event that is known is read as trace-events prints it."""
        with open(EVENTS) as file:
            found = re.findall(r'^(cxl_\w+)\((.*?)\) (.*)$', file.read(), re.M)
        known = set(parse.FORMATS)
        names = {name for name, *_ in found}
        self.assertEqual({name for name in names
                          if name.startswith('cxl_cache_')} - known, set())
        self.assertEqual(known - names, set())
        for name, args, form in found:
            if name in known:
                line = f'{name} {printed(args, form)}'
                trace = parse.read([line])
                self.assertEqual((len(trace.events), trace.unread), (1, 0),
                                 line)

    def test_times(self):
        """Of a link with time messages are drawn, not each of their times."""
        with open(REQUEST) as file:
            lines = file.read()
        timed = re.sub(r'^(\S+Z )(cxl_cache_[dh]2[dh]_\w+) (\S+:) .*$',
                       r'\g<0>\n\1cxl_cache_sent \3 D2H Req RdOwn ID 1 sent at '
                       r'5 ns, due at 6\n\1cxl_cache_taken \3 D2H Req RdOwn '
                       'ID 1 sent at 5 ns, due at 6, taken at 7',
                       lines, flags=re.M)
        self.assertGreater(len(timed.splitlines()), len(lines.splitlines()))
        self.assertEqual(labels(svg_texts(chart('-', stdin=timed))),
                         labels(svg_texts(chart(REQUEST))))

    def test_prefixes(self):
        """With no time, with the old one, behind another program's words"""
        with open(REQUEST) as file:
            lines = file.read()
        plain = re.sub(r'^\S+Z ', '', lines, flags=re.M)
        old = re.sub(r'^', '123@1764449668.602267:', plain, flags=re.M)
        noise = '\n\nOther output\n'.join(lines.splitlines())
        want = labels(svg_texts(chart(REQUEST)))
        for text in (plain, old, noise, 'login: ' + plain):
            self.assertEqual(labels(svg_texts(chart('-', stdin=text))), want)
        want = [(1, 'RdCurr'), (1, 'Data')]
        self.assertEqual(labels(svg_texts(chart(
            '--from', '150ms', '--line', '0x100040', '-', stdin=re.sub(
                r'^\S+:(\d\d\.\d+)Z ', r'123@17644496\1:', lines,
                flags=re.M)))), want)
        self.assertIn('no message', chart('--from', '1s', '-', stdin=old,
                                          status=1))
        self.assertIn('timestamp=on', chart('--from', '1ms', '-', stdin=plain,
                                            status=1))
        broken = lines.replace(' CQID 3\n', ' CQID\n')
        trace = parse.read(broken.splitlines())
        self.assertEqual(trace.unread, lines.count(' CQID 3\n'))

    def test_escapes(self):
        text = ('cxl_cache_d2h_req a"<&>\\n[0]: D2H Req RdCurr 0x40 CQID 1\n'
                'cxl_cache_error a"<&>\\n[0]: bad "quoted"\\x\n')
        texts = svg_texts(chart('-', stdin=text))
        self.assertIn('a"<&>\N{SET MINUS}n[0]', texts)
        self.assertIn('error: bad "quoted"\N{SET MINUS}x', texts)


class Live(unittest.TestCase):
    """Against something that speaks QMP and adds to a log as QEMU would"""

    def serve(self, server, log, said, refuse):
        connection, _ = server.accept()
        with connection, connection.makefile('rw') as file:
            def send(**answer):
                file.write(json.dumps(answer) + '\n')
                file.flush()

            send(QMP={})
            for line in file:
                said.append(json.loads(line))
                arguments = said[-1].get('arguments', {})
                if refuse and arguments:
                    send(error={'desc': 'no such event'})
                    continue
                if arguments.get('enable'):
                    with open(REQUEST) as trace, open(log, 'a') as out:
                        out.writelines(
                            line for line in trace if 'RdCurr' in line and
                            arguments['name'] == 'cxl_cache_*')
                send(event='SOMETHING')
                send(**{'return': {}})

    def live(self, refuse=False, status=0):
        with tempfile.TemporaryDirectory() as folder, \
                socket.socket(socket.AF_UNIX) as server:
            path, log = (os.path.join(folder, name) for name in ('q', 'log'))
            with open(log, 'w') as file, open(DEVICES) as old:
                file.write(old.read())
            server.bind(path)
            server.listen()
            said = []
            thread = threading.Thread(target=self.serve, daemon=True,
                                      args=(server, log, said, refuse))
            thread.start()
            out = chart('--qmp', path, '--seconds', '0.1', log, status=status)
            thread.join(60)
            return said, out

    def test_on_and_off(self):
        said, out = self.live()
        self.assertEqual(
            [(command['arguments']['name'], command['arguments']['enable'])
             for command in said[1:]],
            [('cxl_cache_*', True), ('cxl_type1_crypto_*', True),
             ('cxl_cache_*', False), ('cxl_type1_crypto_*', False)])
        # What was in the log before is not drawn
        self.assertEqual(labels(svg_texts(out)),
                         [(1, 'RdCurr'), (16, 'RdCurr')])

    def test_refused(self):
        self.assertIn('no such event', self.live(refuse=True, status=1)[1])
        self.assertIn('/nonexistent', chart('--qmp', '/nonexistent', REQUEST,
                                            status=1))


class Refused(unittest.TestCase):
    def test_nothing(self):
        for stdin in ('', 'nothing of ours\n', 'cxl_cache_zap 0x0 len 0x1000: '
                      'taken from the guest\n'):
            self.assertIn('nothing to draw', chart('-', stdin=stdin, status=1))
        self.assertIn('nothing to draw', chart('--line', '0x40', REQUEST,
                                               status=1))
        self.assertIn('nothing to draw', chart('--list', '-', status=1,
                                               stdin='cxl_cache_bypass used '
                                               'past the trap by x\n'))
        self.assertIn('No such file', chart('/nonexistent', status=1))

    def test_options(self):
        for args in (['--line', 'x'], ['--line', '-1'], ['--request', '0'],
                     ['--follow'], ['--all', '--pages'], ['--limit', '0'],
                     ['-o', 'x', '--list'], ['--list', '--msc', '-'],
                     ['--seconds', '0'], ['--what']):
            self.assertIn('usage:', chart(*args, REQUEST, status=2))
        for args in (['--from', 'soon'], ['--to', '1h']):
            self.assertIn('a time, like 1.5ms', chart(*args, REQUEST, status=1))

    def test_too_much(self):
        rows = len(parse.read(open(REQUEST)).events)
        chart('--all', '--limit', str(rows), REQUEST)
        text = chart('--all', '--limit', str(rows - 1), REQUEST, status=1)
        self.assertIn('rows are more than anybody can read', text)
        self.assertIn('--line', text)

    def test_no_mscgen(self):
        text = chart(REQUEST, status=1, env={'PATH': '/nonexistent'})
        self.assertIn('apt-get install mscgen', text)
        self.assertIn('msc {', chart('--msc', '-', REQUEST,
                                     env={'PATH': '/nonexistent'}))


class Tap(unittest.TestResult):
    def report(self, good, test, why=''):
        name = test.id().replace('__main__.', '').replace('.test_', '/')
        print(f'{"ok" if good else "not ok"} {self.testsRun} - {name}')
        for line in why.splitlines():
            print(f'# {line}')

    def addSuccess(self, test):
        self.report(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.report(False, test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.report(False, test, self.errors[-1][1])


if __name__ == '__main__':
    suite = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules['__main__'])
    print(f'1..{suite.countTestCases()}')
    sys.exit(not suite.run(Tap()).wasSuccessful())
