# SPDX-License-Identifier: GPL-2.0-or-later
#
# What our driver shows of itself: counters, debugfs and tracepoints, which
# have to tell one story.
#
# What check.py makes of it was seen to fail with each of these in the driver:
# device_bytes, descriptors or software_bytes too high, an error counted twice,
# lost requests or hangs not counted, detached counted as attached, a parameter
# with another counter's name, stats with the next one's number, requests not
# counted in devices or in transforms, ct1_return or ct1_lost not traced, and
# ct1_state the wrong way round.

import re
import time

import guest

DEBUGFS = f'/sys/kernel/debug/{guest.MODULE}'
TRACING = '/sys/kernel/debug/tracing'
EVENTS = f'{TRACING}/events/{guest.MODULE}/enable'
USED = ('errors', 'device')

WRITTEN = re.compile(r'entries-in-buffer/entries-written: (\d+)/(\d+)')
EVENT = re.compile(r': ct1_(\w+): virtio\d+ (.*)$')
REQUEST = re.compile(r'request (\S+)(?: (?:en|de)crypt offset \d+ '
                     r'len (\d+) segments (\d+)| status (\d+))?$')

QUIET = 2
SETTLE_TIMEOUT = 90


def settled(vm):
    """
    The driver's counters, once they have stood still for a while.  From 6.12 on
    the kernel's self tests go on when modprobe is over, and /proc/crypto calls
    them passed from the beginning.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    since, counters = time.monotonic(), vm.module_counters()
    while time.monotonic() < since + QUIET:
        time.sleep(QUIET / 10)
        now = vm.module_counters()
        if now != counters:
            since, counters = time.monotonic(), now
        if time.monotonic() > deadline:
            raise guest.GuestError(f'not within {SETTLE_TIMEOUT} s: nobody '
                                   'uses the driver')
    return counters


class Trace:
    """Counts what tracepoints tell, under the names of the counters"""

    def __init__(self, vm):
        self.vm = vm
        self.wrong = ''
        self.counts = dict.fromkeys(
            ('device_requests', 'device_bytes', 'device_errors', 'lost',
             'descriptors', 'attached', 'detached', 'hangs'), 0)
        self.open = {}      # bytes of each request that a device has
        self.known = ''     # the device's state

    def start(self):
        self.known = device(self.vm)[0]
        self.vm.sh(f'cd {TRACING} && echo 4096 > buffer_size_kb && '
                   'echo global > trace_clock && echo > trace && '
                   f'echo 1 > {EVENTS}')

    def stop(self):
        """Returns what does not fit together"""
        text = self.vm.sh(f'echo 0 > {EVENTS}; cat {TRACING}/trace; '
                          f'echo > {TRACING}/trace')
        kept, written = WRITTEN.search(text).groups()
        if kept != written:
            return f'of {written} events there are {kept}\n'
        for line in text.splitlines():
            if found := EVENT.search(line):
                getattr(self, found.group(1))(found.group(2))
        if (self.known in USED) != (device(self.vm)[0] in USED):
            self.wrong += f'state: {self.known}, and not {device(self.vm)}\n'
        if self.open:
            self.wrong += f'did not come back: {self.open}\n'
        return self.wrong

    def request(self, words):
        return REQUEST.match(words).groups()

    def submit(self, words):
        name, length, segments, _ = self.request(words)
        if name in self.open:
            self.wrong += f'twice in the ring: {words}\n'
        self.open[name] = int(length)
        self.counts['descriptors'] += int(segments)

    def end(self, name):
        if name not in self.open:
            self.wrong += f'was not in the ring: {name}\n'
        return self.open.pop(name, 0)

    def ring_return(self, words):
        name, _, _, status = self.request(words)
        length = self.end(name)
        if int(status):
            self.counts['device_errors'] += 1
        else:
            self.counts['device_requests'] += 1
            self.counts['device_bytes'] += length

    def lost(self, words):
        self.end(self.request(words)[0])
        self.counts['lost'] += 1

    def state(self, words):
        old, now = words.split(' -> ')
        if old in USED and now in USED:     # any processor says so
            return
        if old != self.known and not (old in USED and self.known in USED):
            self.wrong += f'state: {words}, was {self.known}\n'
        self.known = now
        if (now in USED) != (old in USED):
            self.counts['attached' if now in USED else 'detached'] += 1
        self.counts['hangs'] += now == 'hung'


# A word that Python has for itself
setattr(Trace, 'return', Trace.ring_return)


def stats(vm):
    """The state in debugfs, and its counters by name"""
    state, *lines = vm.read(f'{DEBUGFS}/stats').splitlines()
    return state.split()[1], {name: int(value) for name, value in
                              (line.split() for line in lines)}


def device(vm):
    """Of the only device: its state, how many requests it did, its queues"""
    _, line = vm.read(f'{DEBUGFS}/devices').splitlines()
    words = line.split()
    return words[2], int(words[3]), words[5:]


def transforms(vm, mode):
    """On the device and in software, of all keys of a mode"""
    lines = [line.split() for line in
             vm.read(f'{DEBUGFS}/transforms').splitlines()]
    return tuple(sum(int(words[column]) for words in lines
                     if words[0] == f'{mode}(aes)') for column in (2, 3))
