# SPDX-License-Identifier: GPL-2.0-or-later
"""
Many equal messages about lines of one page become one step of a chart.

Messages about different lines may change places, those about one line may not,
and none crosses what is no message, or a pause.
"""

import collections

from .parse import LINE, PAGE

# Nothing for so long: what comes then is something else
PAUSE = 1e-3
# What is no message, but there is one of it for each line
LINEWISE = ('once',)


class Step:
    """@events: one, or equal ones about different lines"""

    def __init__(self, event, index):
        self.events = [event]
        self.first = event
        self.index = index

    def addrs(self):
        return sorted(event.addr for event in self.events
                      if event.addr is not None)

    def where(self):
        """The addresses as text, '' if there are none"""
        addrs = self.addrs()
        if not addrs:
            return ''
        if len(addrs) == 1:
            return f'{addrs[0]:#x}'
        text = f'{addrs[0]:#x}..{addrs[-1]:#x}'
        pages = len({addr // PAGE for addr in addrs})
        if pages > 1:
            return f'{pages} pages in {text}'
        gaps = addrs[-1] - addrs[0] != (len(addrs) - 1) * LINE
        return ('among ' if gaps else '') + text

    def ids(self):
        """CQIDs or UQIDs as text"""
        for name in ('cqid', 'uqid'):
            ids = sorted({getattr(event, name) for event in self.events} -
                         {None})
            if len(ids) == 1:
                return f'{name.upper()} {ids[0]}'
            if ids:
                return f'{name.upper()} {ids[0]}..{ids[-1]}'
        return ''

    def states(self):
        """(before, after): how many lines went from what to what"""
        return collections.Counter((event.before, event.after)
                                   for event in self.events)

    def count(self):
        """'64 x ', or nothing for one"""
        return f'{len(self.events)} x ' if len(self.events) > 1 else ''


def key_of(event, pages):
    """Equal for messages that may be one step"""
    return (event.name, event.dev, event.opcode, event.state, event.be,
            event.flags, event.memory, None if pages else event.page())


class Folder:
    def __init__(self, pages):
        self.pages = pages
        self.steps = []
        self.latest = {}        # the last step of each key
        self.last_of = {}       # the last step's index of each line
        self.time = None

    def barrier(self):
        self.latest.clear()

    def joins(self, event, key):
        """The step that @event goes into, or None"""
        step = self.latest.get(key)
        if step is None or event.addr is None or \
                self.last_of.get(event.addr, -1) >= step.index:
            return None
        return step

    def add(self, event):
        key = key_of(event, self.pages)
        linewise = event.channel or event.kind in LINEWISE
        if not linewise or (event.time is not None and self.time is not None
                            and event.time - self.time > PAUSE):
            self.barrier()
        self.time = event.time
        step = self.joins(event, key)
        if step:
            step.events.append(event)
        else:
            step = Step(event, len(self.steps))
            self.steps.append(step)
            if linewise:
                self.latest[key] = step
        if event.addr is not None:
            self.last_of[event.addr] = step.index


def fold(events, pages=False):
    """@pages: messages about different pages, too"""
    folder = Folder(pages)
    for event in events:
        folder.add(event)
    return folder.steps


def unfolded(events):
    return [Step(event, index) for index, event in enumerate(events)]
