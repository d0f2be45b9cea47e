# SPDX-License-Identifier: GPL-2.0-or-later
#
# The stock virtio_crypto driver with the device: a client that nobody here
# wrote.  Our driver is not loaded.
#
# Not tried: taking the device away by surprise.  The driver's reset waits for a
# status that an absent device never shows (contrib/linux/README.md).

import re

import guest
from faultkinds import Accelerator, NoStrike, wait_for

TIMEOUT = 30
ERRORS = 5


class StockTests:
    """All in one guest, one state after the other."""

    def __init__(self, vm):
        self.vm = vm
        self.device = Accelerator(vm)

    # -- helpers

    def algtest(self, *options):
        status, output = self.vm.try_sh(' '.join(
            ['algtest', *options, guest.STOCK_DRIVER]), timeout=180)
        return output if status else ''

    def registered(self):
        return f': {guest.STOCK_DRIVER}\n' in self.vm.sh('cat /proc/crypto')

    def complaints(self):
        return '\n'.join(guest.complaints(self.vm.sh('dmesg')))

    # -- tests, in order

    def binds(self):
        if self.vm.try_sh('cd /sys/bus/virtio/drivers/virtio_crypto && '
                          'ls -d virtio*')[0]:
            return 'it has no device'
        entry = self.vm.sh(
            f'grep -A4 "driver.*: {guest.STOCK_DRIVER}$" /proc/crypto')
        return '' if re.search('selftest *: passed', entry) else entry

    def answers(self):
        # Longer requests in so many pieces would be too many descriptors
        return self.algtest('-m', '65536')

    def errors(self):
        """What the device says comes through, and then all is well again"""
        self.device.fault('request-error', count=ERRORS)
        wrong = '' if self.algtest('-n', '10') else 'no error came through\n'
        self.device.fault('clear')
        return wrong + self.algtest('-n', '10')

    def not_ready(self):
        self.device.fault('hw-not-ready')
        wait_for(lambda: not self.registered(), TIMEOUT, 'unregistered')
        self.device.fault('clear')
        wait_for(self.registered, TIMEOUT, 'registered again')
        return self.algtest('-n', '10')

    def orderly(self):
        self.vm.qmp('device_del', id=guest.DEVICE_ID)
        self.device.wait_gone()
        wrong = 'still registered\n' if self.registered() else ''
        self.device.plug()
        wait_for(self.registered, TIMEOUT, 'registered again')
        return wrong + self.algtest('-n', '10')

    def content(self):
        return self.complaints()

    def guard(self, work):
        def guarded():
            try:
                return work()
            except NoStrike as err:
                return f'{err}\n{self.vm.evidence()}'
        return guarded

    def run(self, tap):
        tap.guarded([(f'stock driver: {name}', self.guard(work))
                     for name, work in (
            ('binds, and its self test passes', self.binds),
            ('AF_ALG computes AES-CBC', self.answers),
            ('errors come through, and only those', self.errors),
            ('not ready: unregistered, and registered again', self.not_ready),
            ('orderly removal, and back', self.orderly),
            ('the kernel never complained', self.content))])
