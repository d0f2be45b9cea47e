# SPDX-License-Identifier: GPL-2.0-or-later
"""
A trace for the Perfetto viewer, in Chrome's JSON format.

Each device is a process: a thread for each channel, with a slice for each
message; its transactions, from the request to what ends it, are asynchronous
slices; and there is a counter of what is outstanding.  The host is a process of
its own, with what it did that is no message.

On links with time the clock is the machine's virtual one.  A message begins in
its channel when it is sent, "in flight" is another asynchronous slice until it
is taken, and each channel has counters: messages that are in it, and credits
that the sender has left.

Perfetto's own format is protobuf. Debian has its schema in no package, so that
one would have to be kept here; the viewer reads this one as well.
"""

import collections
import itertools
import json
import math

from .msc import opcode_of
from .parse import CHANNELS
from .states import DROP, Open

HOST = 1
MICRO = 1e6
NANO = 1e3              # nanoseconds of a microsecond
# Channels are threads 1 to 6, in their order
THREADS = {channel: number for number, channel in
           enumerate(CHANNELS.values(), 1)}
EVENTS = len(THREADS) + 1
# Messages that begin something: where it is kept, and by which number
BEGINS = {'D2H Req': ('open', 'cqid'), 'H2D Req': ('snoops', 'uqid')}


def clock(events):
    """
    When each event was, in microseconds, and how long it is shown. Equal times
    are spread over the microsecond, in whole nanoseconds, so that slices of a
    thread never overlap; without times each event takes a microsecond.
    """
    begin = next((event.time for event in events if event.time is not None), 0)
    times = [index if event.time is None else
             round((event.time - begin) * MICRO)
             for index, event in enumerate(events)]
    # Threads of QEMU's write their lines in an order of their own
    times = list(itertools.accumulate(times, max))
    result = []
    for time, group in itertools.groupby(times):
        same = len(list(group))
        edges = [1000 * place // same for place in range(same + 1)]
        result += [(time + start / 1000, (end - start) / 1000)
                   for start, end in itertools.pairwise(edges)]
    return result


def sending(events):
    """
    When each message is sent in virtual time, in microseconds, and how long it
    is shown in its channel: until it is taken, or the next one is sent. What is
    sent at the same time is spread over nanoseconds, so that nothing overlaps.
    """
    channels = collections.defaultdict(list)
    for event in events:
        if event.channel and event.sent is not None:
            channels[event.dev, event.channel].append(event)
    result = {}
    for messages in channels.values():
        begins = list(itertools.accumulate(
            (event.sent for event in messages),
            lambda last, sent: max(last + 1, sent)))
        for event, begin, after in zip(messages, begins,
                                       begins[1:] + [math.inf]):
            end = min(after, max(event.taken or event.due, begin + 1))
            result[id(event)] = begin / NANO, (end - begin) / NANO
    return result


def virtual_clock(events):
    """When each event was in virtual time: as clock()"""
    sent = sending(events)
    result, now = [], 0
    for event in events:
        if id(event) in sent:
            now = max(now, event.sent / NANO)
            result.append(sent[id(event)])
            continue
        if event.kind == 'taken':
            now = max(now, event.taken / NANO)
        result.append((now, 1 / NANO))
    return result


class Writer:
    def __init__(self, trace):
        self.trace = trace
        self.out = []
        self.pids = {dev: HOST + 1 + number
                     for number, dev in enumerate(trace.devices())}
        self.open = {}          # by device and CQID: the request, its number
        self.snoops = {}        # outstanding, by device and UQID
        self.depth = collections.Counter()  # by device and channel
        self.flows = 0
        self.slice_of = {}      # (pid, tid, ts) of messages, by identity

    def put(self, ph, **values):
        self.out.append({'ph': ph, **values})

    def names(self):
        for dev, pid in {'host': HOST, **self.pids}.items():
            self.put('M', pid=pid, name='process_name', args={'name': dev})
            threads = {**(THREADS if pid != HOST else {}), 'events': EVENTS}
            for channel, tid in threads.items():
                self.put('M', pid=pid, tid=tid, name='thread_name',
                         args={'name': channel})
                self.put('M', pid=pid, tid=tid, name='thread_sort_index',
                         args={'sort_index': tid})

    def arguments(self, event):
        args = {'message': event.number}
        for name in ('addr', 'be'):
            value = getattr(event, name)
            if value is not None:
                args[name] = f'{value:#x}'
        for name in ('cqid', 'uqid', 'flags', 'before', 'after', 'memory',
                     'sent', 'due', 'taken'):
            value = getattr(event, name)
            if value not in (None, ''):
                args[name] = value
        return args

    def message(self, event, ts, dur):
        pid, tid = self.pids[event.dev], THREADS[event.channel]
        self.put('X', pid=pid, tid=tid, ts=ts, dur=dur,
                 name=opcode_of(event), cat=event.channel,
                 args=self.arguments(event))
        here = self.slice_of[id(event)] = {'pid': pid, 'tid': tid,
                                           'ts': ts + dur / 2}
        if event.opens and id(event.opens) in self.slice_of:
            self.flows += 1
            name = 'CQID' if event.cqid is not None else 'UQID'
            flow = {'id': self.flows, 'cat': 'flow', 'name': name}
            self.put('s', **flow, **self.slice_of[id(event.opens)])
            self.put('f', bp='e', **flow, **here)

    def flight(self, ph, event, ts):
        self.put(ph, pid=self.pids[event.dev], tid=EVENTS, ts=ts,
                 cat='flight', id=f'flight {event.number}',
                 name=f'{event.channel} in flight')

    def time(self, event, ts):
        """A message is sent, or taken: what is in its channel then"""
        message, channel = event.message, (event.dev, event.of)
        if not message:
            return
        is_taken = event.kind == 'taken'
        self.depth[channel] += -1 if is_taken else 1
        self.flight('e' if is_taken else 'b', message, ts)
        self.put('C', pid=self.pids[event.dev], ts=ts, name=event.of,
                 args={'depth': self.depth[channel],
                       'credits': event.credits})
        if is_taken:
            self.transactions(message, ts, ts)

    def counter(self, dev, ts):
        requests = sum(key[0] == dev for key in self.open)
        snoops = sum(key[0] == dev for key in self.snoops)
        self.put('C', pid=self.pids[dev], ts=ts, name='outstanding',
                 args={'requests': requests, 'snoops': snoops})

    # -- transactions

    def begins(self, store, key, event, ts):
        if key in store:
            self.ends(store, key, ts)
        store[key] = Open(event), event.number
        where = '' if event.addr is None else f' {event.addr:#x}'
        self.put('b', **self.transaction(event, store[key]), ts=ts,
                 args={'line': where.strip()})

    def transaction(self, event, opened):
        return {'pid': self.pids[event.dev], 'tid': EVENTS,
                'cat': 'transaction', 'id': opened[1],
                'name': opened[0].event.opcode}

    def ends(self, store, key, ts):
        opened = store.pop(key)
        self.put('e', **self.transaction(opened[0].event, opened), ts=ts)

    def transactions(self, event, ts, end):
        """Begin or end what the message begins or ends"""
        by_cqid, by_uqid = (event.dev, event.cqid), (event.dev, event.uqid)
        if event.channel in BEGINS:
            return
        elif event.channel == 'D2H Rsp':
            if by_uqid in self.snoops and 'Fwd' not in event.opcode:
                self.ends(self.snoops, by_uqid, end)
        elif event.channel == 'D2H Data':
            self.pulled(event, by_uqid, end)
        elif by_cqid in self.open:
            what = 'data' if event.channel == 'H2D Data' else \
                {DROP: 'pull'}.get(event.opcode, event.opcode)
            if self.open[by_cqid][0].got(what):
                self.ends(self.open, by_cqid, end)
        else:
            return
        self.counter(event.dev, end)

    def pulled(self, event, by_uqid, end):
        """Data end a snoop, or what was pulled by the message they answer."""
        answer = event.opens
        if by_uqid in self.snoops and not (
                answer and answer.channel == 'H2D Rsp'):
            self.ends(self.snoops, by_uqid, end)
            return
        key = event.dev, answer.cqid if answer else None
        if key in self.open and self.open[key][0].got('pull'):
            self.ends(self.open, key, end)

    def begin(self, event, ts):
        if event.channel in BEGINS:
            store, name = BEGINS[event.channel]
            self.begins(getattr(self, store), (event.dev, getattr(event, name)),
                        event, ts)
            self.counter(event.dev, ts)

    # -- what is no message

    def other(self, event, ts):
        pid = self.pids.get(event.dev, HOST)
        args = {name: getattr(event, name) for name in
                ('what', 'lines', 'len', 'text', 'req', 'ret')
                if getattr(event, name) is not None}
        if event.addr is not None:
            args['addr'] = f'{event.addr:#x}'
        self.put('i', pid=pid, tid=EVENTS, ts=ts, s='t', name=event.kind,
                 cat='event', args=args)

    def run(self, events):
        self.names()
        timed = any(event.sent is not None for event in events)
        for event, (ts, dur) in zip(events, (virtual_clock if timed else
                                             clock)(events)):
            if event.channel:
                self.message(event, ts, dur)
                self.begin(event, ts if event.sent is None else
                           event.sent / NANO)
                if event.taken is None:
                    self.transactions(event, ts, ts + dur)
            elif event.kind in ('sent', 'taken'):
                self.time(event, ts)
            else:
                self.other(event, ts)
        end = ts + dur
        for store in (self.open, self.snoops):
            for key in list(store):
                self.ends(store, key, end)
        return {'displayTimeUnit': 'ns', 'traceEvents': self.out}


def write(trace, events, path):
    with open(path, 'w') as file:
        json.dump(Writer(trace).run(events), file, separators=(',', ':'))
        file.write('\n')
