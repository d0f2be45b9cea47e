# SPDX-License-Identifier: GPL-2.0-or-later
"""Which events of a trace are to be drawn."""

import errno
import re

from . import ChartError
from .parse import LINE, PAGE

TIME = re.compile(r'(\d+(?:\.\d+)?)(s|ms|us)')
SECONDS = {'s': 1, 'ms': 1e-3, 'us': 1e-6}
# Events that are about all of a range, from their address on
RANGES = ('zap', 'unarm', 'guard')
SUSPENDED = -errno.EINPROGRESS


class Request:
    """
    One request of a virtio-crypto driver's: its number, and the first and the
    last event of it, None while it has not ended
    """

    def __init__(self, number, begin):
        self.number = number
        self.begin = begin
        self.end = None
        self.results = []       # pieces of memory, by cxl_type1_crypto_write*


def requests(events):
    """All of a trace, in the order of their begin"""
    found, under_way = [], {}
    for event in events:
        key = event.dev, event.req
        if event.kind == 'crypto_source' and key not in under_way:
            under_way[key] = Request(len(found) + 1, event)
            found.append(under_way[key])
        elif event.kind in ('crypto_write', 'crypto_write_cached'):
            # It is published in one go, before its crypto_result
            for request in under_way.values():
                if request.begin.dev == event.dev:
                    request.results.append(event)
        elif event.kind == 'crypto_result' and key in under_way:
            if event.ret == SUSPENDED:
                continue
            request = under_way.pop(key)
            request.end = event
            for other in under_way.values():
                other.results = [piece for piece in other.results
                                 if piece not in request.results]
    return found


def covers(event, first, size):
    """Is the event about any of these bytes?"""
    if event.addr is None:
        return False
    start, length = event.addr, LINE
    if event.kind in ('fault', 'dma', 'ahead'):
        start, length = event.page(), PAGE
    elif event.kind in RANGES or event.kind.startswith('crypto_'):
        length = event.len
    return start < first + size and first < start + length


class Bound:
    """--from or --to: the number of a message, or a time since the begin"""

    def __init__(self, option, text):
        time = TIME.fullmatch(text)
        self.number = int(text) if text.isdigit() else None
        self.time = float(time.group(1)) * SECONDS[time.group(2)] \
            if time else None
        if self.number is None and self.time is None:
            raise ChartError(f'{option} {text}: it is the number of a message, '
                             'like 120, or a time, like 1.5ms')

    def place(self, event, begin):
        """Less than 0: the event is before it; more: behind it"""
        if self.number is not None:
            return event.number - self.number
        if begin is None:
            raise ChartError('the trace has no times: it takes QEMU\'s '
                             '"-msg timestamp=on"')
        return -1 if event.time is None else event.time - begin - self.time


def between(trace, first, last):
    begin = trace.begin()
    if first:
        bound = Bound('--from', first)
        events = [event for event in trace.events
                  if bound.place(event, begin) >= 0]
    else:
        events = trace.events
    if last:
        bound = Bound('--to', last)
        events = [event for event in events if bound.place(event, begin) <= 0]
    return events


def find_request(trace, number):
    found = requests(trace.events)
    if not found:
        raise ChartError('the trace has no requests: it takes the events '
                         'cxl_type1_crypto_*')
    if not 1 <= number <= len(found):
        raise ChartError(f'--request {number}: the trace has requests 1 to '
                         f'{len(found)}')
    return found[number - 1]


def of_request(trace, number, follow):
    """
    From its first to its last event, and with @follow what becomes of the
    lines of its result until they are owned anew.
    """
    request = find_request(trace, number)
    start = trace.events.index(request.begin)
    end = len(trace.events) - 1 if request.end is None else \
        trace.events.index(request.end)
    events = trace.events[start:end + 1]
    if follow:
        events += following(trace.events[end + 1:], request)
    return events


def following(events, request):
    """Of @events those about the lines that a request has written to"""
    found = []
    for event in events:
        mine = any(covers(event, piece.addr, piece.len)
                   for piece in request.results)
        if mine and event.channel and event.opcode in ('RdOwnNoData', 'RdOwn'):
            break
        if mine or (event.kind in ('isolate', 'reset') and
                    event.dev == request.begin.dev):
            found.append(event)
    return found


def by_device(events, name, trace):
    known = trace.devices()
    if name not in known:
        raise ChartError(f'--device {name}: the trace has '
                         f'{", ".join(known) or "no device"}')
    return [event for event in events if event.dev in (None, name)]


def select(trace, options):
    """@options: of cli.py; all of them are to hold"""
    events = between(trace, options.first, options.last)
    if options.request is not None:
        wanted = set(map(id, of_request(trace, options.request,
                                        options.follow)))
        events = [event for event in events if id(event) in wanted]
    if options.device:
        events = by_device(events, options.device, trace)
    for addr, size in ((options.line, LINE), (options.page, PAGE)):
        if addr is not None:
            first = addr // size * size
            events = [event for event in events if covers(event, first, size)]
    if not any(event.channel for event in events):
        raise ChartError('nothing to draw: no message of CXL.cache is among '
                         f'what was chosen of the {trace.messages} of the '
                         'trace')
    return events
