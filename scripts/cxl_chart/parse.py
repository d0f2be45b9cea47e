# SPDX-License-Identifier: GPL-2.0-or-later
"""
From lines of QEMU's "log" trace backend to events.

A line is "[time ]name arguments". The time is there with "-msg timestamp=on":
an ISO 8601 date, or "pid@seconds.microseconds:" as QEMU had it up to 10.1.
Whatever else is in the file is passed over.
"""

import collections
import datetime
import re

NO_ADDR = (1 << 64) - 1
LINE = 64
PAGE = 4096

# Arguments as hw/cxl/trace-events prints them
DEV = r'(?P<dev>\S+): '
ADDR = r'0x(?P<addr>[0-9a-f]+)'
LEN = r' len 0x(?P<len>[0-9a-f]+)'
CQID = r' CQID (?P<cqid>\d+)'
UQID = r' UQID (?P<uqid>\d+)'
OPCODE = r'(?P<opcode>\S+) '
FLAGS = r'(?P<flags>( [A-Z][\w-]*)*)'
TOUCH = ADDR + r' (?P<what>read|write)'
HELD = r': (?P<lines>\d+) lines of the page to be snooped'
REQUEST = DEV + r'request (?P<req>\S+): (?P<len>\d+) bytes to be '
TIMES = (DEV + r'(?P<of>[DH]2[DH] \w+) ' + OPCODE +
         r'ID (?P<id>\d+) sent at (?P<sent>\d+) ns, due at (?P<due>\d+)')
CREDITS = r', (?P<credits>\d+) credits left'
PIECE = DEV + r'addr ' + ADDR + r' len (?P<len>\d+)'

# Each channel of CXL.cache, by its event's name
CHANNELS = {
    'cxl_cache_d2h_req': 'D2H Req',
    'cxl_cache_d2h_rsp': 'D2H Rsp',
    'cxl_cache_d2h_data': 'D2H Data',
    'cxl_cache_h2d_req': 'H2D Req',
    'cxl_cache_h2d_rsp': 'H2D Rsp',
    'cxl_cache_h2d_data': 'H2D Data',
}

FORMATS = {
    'cxl_cache_d2h_req': DEV + 'D2H Req ' + OPCODE + ADDR + CQID + FLAGS,
    'cxl_cache_d2h_rsp': DEV + 'D2H Rsp ' + OPCODE + ADDR + UQID,
    'cxl_cache_d2h_data': DEV + 'D2H Data ' + ADDR + UQID +
                          r' BE 0x(?P<be>[0-9a-f]{16})' + FLAGS,
    'cxl_cache_h2d_req': DEV + 'H2D Req ' + OPCODE + ADDR + UQID,
    'cxl_cache_h2d_rsp': DEV + 'H2D Rsp ' + OPCODE + r'state (?P<state>\S+) '
                         r'RspData 0x(?P<rsp_data>[0-9a-f]+) ' + ADDR + CQID,
    'cxl_cache_h2d_data': DEV + 'H2D Data ' + ADDR + CQID + FLAGS,

    # Links with time: a message's times, beside its own event
    'cxl_cache_sent': TIMES + CREDITS,
    'cxl_cache_taken': TIMES + r', taken at (?P<taken>\d+)' + CREDITS,

    'cxl_cache_fault': TOUCH + HELD,
    'cxl_cache_dma': TOUCH + HELD + " for a device of QEMU's",
    'cxl_cache_ahead': TOUCH + ' expected' + HELD,
    'cxl_cache_zap': ADDR + LEN + ': taken from the guest',
    'cxl_cache_unarm': ADDR + LEN +
                       ": pages without lines are the guest's again",
    'cxl_cache_bypass': 'used past the trap by (?P<text>.+)',

    # The host's caches, and the way to a device
    'cxl_cache_llc_access': ADDR + ' (?P<text>kind .+)',
    'cxl_cache_llc_evict': ADDR + ' (?P<text>leaves .+)',
    'cxl_cache_llc_take': ADDR + ' is (?P<text>taken .+)',
    'cxl_cache_alias': ADDR + r' (?P<text>\d+ bytes: .+)',
    'cxl_cache_id_commit': DEV + '(?P<text>.+)',
    'cxl_cache_path_assign': DEV + '(?P<text>.+)',
    'cxl_cache_route': DEV + '(?P<text>.+)',
    'cxl_cache_timeout': DEV + '(?P<text>.+)',
    'cxl_cache_timeout_ctrl': DEV + '(?P<text>.+)',
    'cxl_cache_timeout_status': DEV + '(?P<text>.+)',

    'cxl_cache_once': DEV + ADDR + ' is not kept',
    'cxl_cache_guard': DEV + ADDR + LEN + ' is not on the allow-list',
    'cxl_cache_error': DEV + '(?P<text>.+)',
    'cxl_cache_isolate': DEV + '(?P<text>gone, .+)',
    'cxl_cache_reset': DEV + '(?P<text>cache empty, .+)',
    'cxl_cache_ats_request': DEV + ADDR + ' (?P<text>write .+)',
    'cxl_cache_ats_invalidate': DEV + ADDR + ' (?P<text>mask .+)',

    'cxl_type1_crypto_source': REQUEST + 'read',
    'cxl_type1_crypto_result': REQUEST + r'written: (?P<ret>-?\d+)',
    'cxl_type1_crypto_read_cached': PIECE + r' good (?P<good>\d)',
    'cxl_type1_crypto_write_cached': PIECE + r' good (?P<good>\d)',
    'cxl_type1_crypto_read': PIECE + ' (?P<text>result .+)',
    'cxl_type1_crypto_write': PIECE + ' (?P<text>result .+)',
    'cxl_type1_crypto_flr': DEV + '(?P<text>function level reset.*)',
    'cxl_type1_fault': DEV + '(?P<text>.+)',
}
PATTERNS = {name: re.compile(form) for name, form in FORMATS.items()}

# Two events whose names would be the same without what is left out
KINDS = {'cxl_type1_fault': 'injected'}

HEX = ('addr', 'be', 'rsp_data')
DECIMAL = ('cqid', 'uqid', 'lines', 'ret', 'good', 'id', 'sent', 'due', 'taken',
           'credits')

NAME = re.compile(r'\b(cxl_(?:cache|type1)_\w+) (.*)')
ISO_TIME = re.compile(r'(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z? $')
OLD_TIME = re.compile(r'\d+@(\d+\.\d+):$')
EPOCH = datetime.datetime(1970, 1, 1)


class Event:
    """
    One event. @number counts messages from 1, and is the next message's for
    what is none; @time is in seconds, or None. Values that this kind of event
    does not have are None. On a link with time a message has @sent, @due and
    @taken, in nanoseconds, and the events "sent" and "taken" have it as
    @message. The rest is states.py's to fill in.
    """

    __slots__ = ('name', 'kind', 'number', 'time', 'channel', 'dev', 'opcode',
                 'addr', 'len', 'cqid', 'uqid', 'state', 'rsp_data', 'be',
                 'flags', 'what', 'lines', 'text', 'req', 'ret', 'good',
                 'of', 'id', 'sent', 'due', 'taken', 'credits', 'message',
                 'before', 'after', 'memory', 'opens')

    def __init__(self, name, number, time, values):
        for slot in self.__slots__:
            setattr(self, slot, None)
        self.name = name
        # What is left of the name when everything is CXL's
        self.kind = KINDS.get(name) or \
            name.removeprefix('cxl_cache_').removeprefix('cxl_type1_')
        self.number = number
        self.time = time
        self.channel = CHANNELS.get(name)
        for key, text in values.items():
            setattr(self, key, text)
        if self.channel and not self.opcode:
            self.opcode = 'Data'

    def page(self):
        return None if self.addr is None else self.addr // PAGE * PAGE


def values_of(name, match):
    values = {}
    for key, text in match.groupdict().items():
        if key in HEX:
            values[key] = int(text, 16)
        elif key in DECIMAL:
            values[key] = int(text)
        elif key == 'len':
            # The trap's lengths are hexadecimal, payloads' are not
            values[key] = int(text, 16 if 'cache_' in name else 10)
        else:
            values[key] = text
    # A message about no line
    if values.get('addr') == NO_ADDR or values.get('opcode') == 'CacheFlushed':
        values['addr'] = None
    return values


def time_of(prefix):
    iso = ISO_TIME.search(prefix)
    if iso:
        when = datetime.datetime.strptime(iso.group(1), '%Y-%m-%dT%H:%M:%S')
        return (when - EPOCH).total_seconds() + float(iso.group(2) or 0)
    old = OLD_TIME.search(prefix)
    return float(old.group(1)) if old else None


class Trace:
    """
    The events of a trace; @messages of them are messages, @unread lines name
    an event of which the arguments are not what they should be.
    """

    def __init__(self, name):
        self.name = name
        self.events = []
        self.messages = 0
        self.unread = 0
        self.latest = {}        # by device and channel: the last message
        self.under_way = collections.defaultdict(list)  # sent, not yet taken

    def line(self, line):
        found = NAME.search(line)
        if not found or found.group(1) not in PATTERNS:
            return
        name = found.group(1)
        match = PATTERNS[name].fullmatch(found.group(2).rstrip())
        if not match:
            self.unread += 1
            return
        self.messages += name in CHANNELS
        event = Event(name, self.messages + (name not in CHANNELS),
                      time_of(line[:found.start()]), values_of(name, match))
        self.events.append(event)
        if event.channel:
            self.latest[event.dev, event.channel] = event
        elif event.kind == 'sent':
            self.is_sent(event)
        elif event.kind == 'taken':
            self.is_taken(event)

    def is_sent(self, event):
        """It follows the event of its message."""
        message = self.latest.get((event.dev, event.of))
        if message and message.sent is None:
            message.sent, message.due = event.sent, event.due
            event.message, event.addr = message, message.addr
            self.under_way[event.dev, event.of].append(message)

    def is_taken(self, event):
        channel = self.under_way[event.dev, event.of]
        for message in channel:
            if message.sent == event.sent and \
                    event.id in (message.cqid, message.uqid):
                message.taken = event.taken
                event.message, event.addr = message, message.addr
                channel.remove(message)
                self.before_answers(event)
                break

    def before_answers(self, event):
        """What the taker sends at once is traced before it takes it."""
        events = self.events
        place = len(events) - 1
        while place and (events[place - 1].channel or
                         events[place - 1].kind == 'sent') and \
                events[place - 1].sent == event.taken:
            place -= 1
        if place < len(events) - 1:
            event.number = events[place].number
            events.insert(place, events.pop())

    def seen_by_devices(self):
        """
        The events, messages as devices know of them: what they send when it is
        sent, what the home sends when it is taken.
        """
        for event in self.events:
            if event.kind == 'taken' and event.message and \
                    event.of.startswith('H2D'):
                yield event.message
            elif event.taken is None or event.kind == 'taken' or \
                    event.channel.startswith('D2H'):
                yield event

    def devices(self):
        """In the order of their first message"""
        return list(dict.fromkeys(event.dev for event in self.events
                                  if event.dev and event.channel))

    def begin(self):
        """The time of the first event that has one"""
        return next((event.time for event in self.events
                     if event.time is not None), None)


def read(lines, name='trace'):
    trace = Trace(name)
    for line in lines:
        trace.line(line)
    return trace
