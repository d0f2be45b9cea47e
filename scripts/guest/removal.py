# SPDX-License-Identifier: GPL-2.0-or-later
#
# The demo's second act: the accelerator is pulled out while the volume is
# busy, software carries on, it is put back and carries on.

import collections
import re
import time

import guest
import volume
from faultkinds import Accelerator, line_totals, wait_for, NoStrike, POLL

LINE = 64
FILES = 8
FILE_BYTES = 1 << 20
FIRST_SEED = 3000

LOG = '/run/removal.log'
STOP = '/run/removal.stop'
# One file after the other, the same names again and again: written, read back
# from the disk, and its seed and checksum noted.  One line: see init.
JOB = (f'i=0; while [ ! -e {STOP} ]; do '
       f'f=removal$((i % {FILES})); seed=$(({FIRST_SEED} + i)); '
       f'pattern random $seed {FILE_BYTES} > {volume.MOUNTED}/$f && sync && '
       'echo 3 > /proc/sys/vm/drop_caches && '
       f'sum=$(sha256sum {volume.MOUNTED}/$f) || sum=failed; '
       f'echo $f $seed ${{sum%% *}} >> {LOG}; '
       f'i=$((i + 1)); done; echo end >> {LOG}')

# Each stretch is long enough to be seen
REQUESTS = 300
TIMEOUT = 90

Counters = collections.namedtuple('Counters', 'device software files')


class RemovalAct:
    """Tells demo.check() and demo.report."""

    def __init__(self, vm, demo):
        self.vm = vm
        self.demo = demo
        self.device = Accelerator(vm)
        self.held = 0       # modified lines when it was pulled out

    # -- what goes on

    def log(self):
        """What the job noted: (name, seed, checksum)"""
        return re.findall(r'^(\S+) (\d+) (\S+)$', self.vm.sh(
            f'cat {LOG} 2>/dev/null || :'), re.M)

    def counters(self):
        module = self.vm.module_counters()
        return Counters(module['device_requests'],
                        module['software_requests'], len(self.log()))

    def stretch(self, who):
        """
        Until @who has done some requests and two more files are finished;
        what was done meanwhile.
        """
        before = self.counters()

        def enough():
            now = self.counters()
            return getattr(now, who) >= getattr(before, who) + REQUESTS and \
                now.files >= before.files + 2

        wait_for(enough, TIMEOUT, f'the volume is busy, {who} does the work')
        return Counters(*(now - then for now, then in
                          zip(self.counters(), before)))

    def start(self):
        volume.luks_open(self.vm)
        volume.mount(self.vm)
        self.vm.sh(f"rm -f {LOG} {STOP}; sh -c '{JOB}' >/dev/null 2>&1 &")

    def end(self):
        self.vm.sh(f'touch {STOP}; while ! grep -q ^end {LOG}; do '
                   'sleep 0.1; done')
        volume.unmount(self.vm)
        volume.luks_close(self.vm)

    def modified(self):
        return self.vm.cache_lines().get('M', 0)

    def pull(self):
        """
        At a moment when the cache has lines that memory has not, where lines are
        kept.  What the volume leaves there is soon asked for, so at some moments
        there are none.  The guest stands still from the look at the cache until
        the device is gone: nobody can ask for a line in between.
        """
        deadline = time.monotonic() + TIMEOUT
        self.vm.qmp('stop')
        self.held = self.modified()
        while self.demo.keeps_lines() and not self.held and \
                time.monotonic() < deadline:
            self.vm.qmp('cont')
            time.sleep(POLL)
            self.vm.qmp('stop')
            self.held = self.modified()
        with self.demo.recorded(self.vm, 'removal', '--pages'):
            self.device.fault('removal')
        self.vm.qmp('cont')

    def pull_and_put_back(self):
        say = self.demo.say
        first = self.stretch('device')
        say('pulling the device out while the volume is busy...')
        begun = time.monotonic()
        self.pull()
        self.device.wait_gone()
        # What the device had finished is counted by then
        wait_for(lambda: self.counters().software, TIMEOUT,
                 'software takes over')
        away = self.stretch('software')
        wait_for(self.device.slot_off, TIMEOUT,
                 'the guest powers the slot off')
        say('putting it back...')
        self.device.plug()
        last = self.stretch('device')
        self.demo.report['removal_seconds'] = round(
            time.monotonic() - begun, 1)
        return first, away, last

    # -- what has to hold

    def account(self, first, away, last):
        check = self.demo.check
        check('the device works while the volume is busy',
              first.device and not first.software,
              f'{first.device} requests by the device, {first.files} files')
        check('the device is away: software carries on',
              away.software and not away.device,
              f'{away.software} requests in software, {away.files} files')
        check('the device is back and carries on', last.device,
              f'{last.device} requests by the device, {last.files} files')
        lines = line_totals(self.vm)
        lost = (lines['lost'] + lines['poisoned']) * LINE
        if self.demo.keeps_lines():
            check('lines that only the device had came home',
                  0 < self.held <= lines['rescued'],
                  f'{self.held} lines modified when it was pulled out, '
                  f'{lines["rescued"]} rescued')
        check('nothing that the device had done was lost', lost == 0,
              f'{lines["rescued"]} lines rescued, {lost} bytes lost')
        self.demo.report.update(
            removal_device_requests_before=first.device,
            removal_software_requests=away.software,
            removal_device_requests_after=last.device,
            removal_lines_modified=self.held,
            removal_lines_rescued=lines['rescued'], removal_bytes_lost=lost)

    def check_log(self, pattern_sum):
        """
        Every file was read back right, whoever ciphered it.  Returns the
        checksums of those that are there at the end, by name.
        """
        log = self.log()
        sums = [pattern_sum('random', int(seed), FILE_BYTES)
                for _, seed, _ in log]
        wrong = [f'{name} of seed {seed}' for (name, seed, seen), want in
                 zip(log, sums) if seen != want]
        self.demo.report['removal_files'] = len(log)
        self.demo.check('every file was read back right', log and not wrong,
                        wrong[0] if wrong else f'{len(log)} files')
        return {name: want for (name, _, _), want in zip(log, sums)}

    def run(self, pattern_sum):
        """Returns the names and checksums that the host has to find."""
        self.demo.say('the second act: the device is pulled out')
        self.start()
        try:
            self.account(*self.pull_and_put_back())
        except NoStrike as err:
            raise guest.GuestError(f'{err}\n{self.vm.evidence()}') from err
        self.end()
        return self.check_log(pattern_sum)
