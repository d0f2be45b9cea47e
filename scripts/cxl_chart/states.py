# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the messages say of a line in a device: its MESI state, before and after
each (CXL r3.1 tables 3-22 to 3-31), and what of its data goes to memory.

A store turns E into M, a clean line may be dropped, and neither is a message.
So a message also tells what the state must have been before it.
"""

import collections

from .parse import LINE

UNKNOWN = '?'

# The states that a request may be sent from, and what ends it:
# a GO, H2D data, the D2H data of a pull, or an ExtCmp
Request = collections.namedtuple('Request', 'was ends')

READ = Request('I', {'GO', 'data'})
PULL = Request('I', {'pull'})
WEAK = Request('I', {'pull', 'ExtCmp'})
REQUESTS = {
    'RdCurr': Request('I', {'data'}),
    'RdOwn': READ,
    'RdShared': READ,
    'RdAny': READ,
    'RdOwnNoData': Request('IS', {'GO'}),
    'ItoMWr': PULL,
    'WrCur': PULL,
    'CLFlush': Request('I', {'GO'}),
    'CleanEvict': Request('E', {'pull'}),
    'DirtyEvict': Request('M', {'pull'}),
    'CleanEvictNoData': Request('SE', {'GO'}),
    'WOWrInv': WEAK,
    'WOWrInvF': WEAK,
    'WrInv': Request('I', {'pull', 'GO'}),
    'CacheFlushed': Request('I', {'GO'}),
}
EVICTS = ('CleanEvict', 'DirtyEvict', 'CleanEvictNoData')
CACHEABLE = ('RdOwn', 'RdShared', 'RdAny', 'RdOwnNoData')

# An answer to a snoop: what the line was, what it is then ('' for the same),
# and whether its data, which follow, are written to memory
Response = collections.namedtuple('Response', 'was after writes')

RESPONSES = {
    'RspIHitI': Response('I', 'I', False),
    'RspIHitSE': Response('SE', 'I', False),
    'RspSHitSE': Response('SE', 'S', False),
    'RspVHitV': Response('SE', '', False),
    'RspSFwdM': Response('M', 'S', True),
    'RspIFwdM': Response('M', 'I', True),
    'RspVFwdV': Response('ME', '', False),
}

# H2D responses that pull data; of those that do not, GO_WritePull_Drop ends an
# evict as a pull does whose data have come
PULLS = ('WritePull', 'GO_WritePull', 'Fast_GO_WritePull', 'GO_ERR_WritePull')
DROP = 'GO_WritePull_Drop'
GRANTS = {'S': 'S', 'E': 'E', 'M': 'M', 'I': 'I', 'Err': 'I'}


def implied(was, known):
    """The state before a message that is sent from one of @was, or all these"""
    return known if known in was else '/'.join(was)


class Open:
    """A request under way: its message, and what it waits for"""

    def __init__(self, event):
        self.event = event
        self.waits = set(REQUESTS[event.opcode].ends) \
            if event.opcode in REQUESTS else {'GO'}
        self.forwarded = False

    def got(self, what):
        """Returns whether that was the last"""
        self.waits.discard(what)
        return not self.waits


class Device:
    def __init__(self):
        self.lines = collections.defaultdict(lambda: UNKNOWN)
        self.requests = {}      # by CQID
        self.snoops = {}        # by UQID: the H2D Req, or the D2H Rsp to it
        self.pulls = {}         # by UQID: the request and its answer

    def forget(self):
        """Nothing is in the cache, and nothing under way"""
        self.lines = collections.defaultdict(lambda: 'I')
        self.requests.clear()
        self.snoops.clear()
        self.pulls.clear()


class Tracker:
    """
    Goes through all events of a trace in their order and fills in @before,
    @after (states of the line), @memory ('read' and 'write': what the home must
    have done; nothing else tells), and @opens, the message that a message
    answers.
    """

    def __init__(self):
        self.devices = collections.defaultdict(Device)
        self.written = {}       # by address: data of a device's, the latest

    def follow(self, events):
        for event in events:
            step = getattr(self, event.kind, None)
            if step:
                step(self.devices[event.dev], event)

    def state(self, device, event, was, after):
        known = device.lines[event.addr]
        event.before = implied(was, known) if was else known
        event.after = after or event.before
        if event.addr is not None:
            device.lines[event.addr] = event.after

    # -- what a device sends

    def d2h_req(self, device, event):
        rule = REQUESTS.get(event.opcode)
        self.state(device, event, rule.was if rule else '', '')
        device.requests[event.cqid] = Open(event)

    def d2h_rsp(self, device, event):
        event.opens = device.snoops.get(event.uqid)
        device.snoops[event.uqid] = event
        rule = RESPONSES.get(event.opcode, Response('', '', False))
        self.state(device, event, rule.was, rule.after)

    def d2h_data(self, device, event):
        self.state(device, event, '', '')
        bogus = 'Bogus' in (event.flags or '')
        if event.uqid in device.pulls:
            request, event.opens = device.pulls.pop(event.uqid)
            writes = request.event.opcode != 'CleanEvict' and \
                event.opens.opcode != 'GO_ERR_WritePull' and not bogus
            if request.got('pull'):
                device.requests.pop(request.event.cqid, None)
        else:
            event.opens = device.snoops.pop(event.uqid, None)
            rule = RESPONSES.get(event.opens.opcode) if event.opens else None
            writes = bool(rule and rule.writes and not bogus)
            self.forward(device, event)
        if writes:
            event.memory = 'write'
            self.written[event.addr] = event

    def forward(self, device, event):
        """Who has asked for the line does not get it from memory."""
        for other in self.devices.values():
            for request in other.requests.values():
                if other is not device and request.event.addr == event.addr:
                    request.forwarded = True

    # -- what the home sends

    def h2d_req(self, device, event):
        self.state(device, event, '', '')
        device.snoops[event.uqid] = event

    def h2d_rsp(self, device, event):
        request = device.requests.get(event.cqid)
        event.opens = request and request.event
        opcode = request.event.opcode if request else ''
        after = ''
        if event.opcode == 'GO' and (opcode in CACHEABLE or not request):
            after = GRANTS.get(event.state, UNKNOWN)
        elif opcode in EVICTS:
            after = 'I'
        self.state(device, event, '', after)
        heir = event.state == 'M' and request and request.forwarded
        if heir or (opcode == 'WrInv' and event.state == 'Err'):
            # The data stay where they are, or were refused
            self.written.get(event.addr, event).memory = None
        if not request:
            return
        if event.opcode in PULLS:
            device.pulls[event.rsp_data] = request, event
        ended = {'GO': 'GO', 'ExtCmp': 'ExtCmp', DROP: 'pull'}
        if event.opcode in ended and request.got(ended[event.opcode]):
            del device.requests[event.cqid]

    def h2d_data(self, device, event):
        request = device.requests.get(event.cqid)
        event.opens = request and request.event
        self.state(device, event, '', '')
        if not (request and request.forwarded) and \
                'GO-Err' not in event.flags:
            event.memory = 'read'
        if request and request.got('data'):
            del device.requests[event.cqid]

    # -- what is no message

    def crypto_write_cached(self, device, event):
        """The result of a request is stored into the lines that it owns."""
        first = event.addr // LINE * LINE
        for addr in range(first, event.addr + event.len, LINE):
            if event.good and device.lines.get(addr) in ('E', 'M'):
                event.before = event.before or device.lines[addr]
                event.after = device.lines[addr] = 'M'

    def reset(self, device, event):
        device.forget()

    def isolate(self, device, event):
        device.forget()


def follow(events):
    tracker = Tracker()
    tracker.follow(events)
    return tracker
