# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of our driver that need no AF_ALG, which from 7.2 on reaches no
# asynchronous driver: the kernel's self tests and dm-crypt do the asking.

import os
import re
import time

import guest
import observe
from faultkinds import Accelerator, wait_for, NoStrike

KEY = '5a' * 32 + 'a5' * 32
MIB = 4
SECTORS = (512, 4096)
STOCK = '/sys/bus/virtio/drivers/virtio_crypto'
OURS = f'/sys/bus/virtio/drivers/{guest.MODULE}'
TIMEOUT = 90
# Requests of a fault that a device takes back by itself
ERRORS = 20
HANG_MS = 2000


def entries(text):
    """Of /proc/crypto, each as a dictionary"""
    return [dict(re.findall(r'^(\S+) *: (.*)$', entry, re.M))
            for entry in text.split('\n\n') if entry.strip()]


class DriverTests:
    """One after the other, with a disk of 512-byte sectors."""

    def __init__(self, vm):
        self.vm = vm
        self.device = Accelerator(vm)
        self.seed = 100

    # -- helpers

    def algorithms(self):
        return entries(self.vm.read('/proc/crypto'))

    def software(self):
        """The best xts(aes) that is not ours, which must be left for us"""
        names = [(int(entry['priority']), entry['driver'])
                 for entry in self.algorithms()
                 if entry['name'] == 'xts(aes)' and
                 entry['module'] != guest.MODULE]
        if not names:
            raise guest.GuestError('the kernel has no xts(aes) of its own')
        return max(names)[1]

    def has_it(self, driver):
        return self.vm.sh(f'cd {driver} && echo virtio*') != 'virtio*'

    def counters(self):
        return self.vm.module_counters()

    def risen(self, before):
        after = self.counters()
        return {name: after[name] - value for name, value in before.items()}

    def pattern(self):
        return f'pattern random {self.seed} {MIB << 20}'

    def opened(self, driver, sector, work):
        size = f'1 sector_size:{sector}' if sector != 512 else ''
        self.vm.sh(f'dmsetup create c --table "0 {MIB * 2048} crypt '
                   f'capi:{driver}-plain64 {KEY} 0 /dev/vda 0 {size}"')
        try:
            return self.vm.sh(work, timeout=300)
        finally:
            self.vm.sh('dmsetup remove c')

    def write(self, driver, sector):
        self.opened(driver, sector, f'{self.pattern()} | dd of=/dev/mapper/c '
                    'bs=1M 2>/dev/null && sync')

    def misread(self, driver, sector):
        sums = self.opened(driver, sector,
                           'echo 3 > /proc/sys/vm/drop_caches; '
                           f'{self.pattern()} | sha256sum; '
                           'sha256sum < /dev/mapper/c').split('\n')
        return sums[0] != sums[1]

    def cross(self, sector=4096):
        """Written by one, read by the other, both ways"""
        ours, software = guest.OUR_DRIVERS['xts'], self.software()
        wrong = ''
        for writer, reader in (ours, software), (software, ours):
            self.seed += 1
            self.write(writer, sector)
            if self.misread(reader, sector):
                wrong += f'written by {writer}, misread by {reader}\n'
        return wrong

    # -- tests

    def self_tests(self):
        """Taken from the stock driver, which was there before"""
        if not self.has_it(STOCK):
            return 'the stock driver did not have it'
        self.vm.sh(f'modprobe {guest.MODULE} time_limit_ms={HANG_MS} '
                   'rest_ms=100')
        deadline = time.monotonic() + TIMEOUT
        ours = set(guest.OUR_DRIVERS.values())
        passed = set()
        while passed != ours and time.monotonic() < deadline:
            passed = {entry['driver'] for entry in self.algorithms()
                      if entry['module'] == guest.MODULE and
                      entry['selftest'] == 'passed'}
            time.sleep(0.2)
        count = observe.settled(self.vm)
        if passed != ours or self.has_it(STOCK) or not self.has_it(OURS):
            return f'passed: {passed}'
        return '' if count['device_requests'] > count['software_requests'] \
            else f'{count}'

    def chosen(self):
        """What the kernel takes when nobody names a driver"""
        best = {}
        for entry in self.algorithms():
            rank = int(entry['priority'])
            if rank > best.get(entry['name'], (0, ''))[0]:
                best[entry['name']] = rank, entry['driver']
        wrong = [name for mode, name in guest.OUR_DRIVERS.items()
                 if best[f'{mode}(aes)'][1] != name]
        return f'not the first of their kind: {wrong}' if wrong else ''

    def crypt(self, sector):
        def run():
            before, device = self.counters(), self.vm.device_counters()
            wrong = self.cross(sector)
            count, after = self.risen(before), self.vm.device_counters()
            done = sum(after[key] - device[key] for key in
                       ('sym-encrypt-bytes', 'sym-decrypt-bytes'))
            if count['software_requests'] or done < 2 * MIB << 20 or \
                    done != count['device_bytes']:
                wrong += f'device: {done} bytes, module: {count}'
            return wrong
        return run

    def errors(self):
        before = self.counters()
        self.device.fault('request-error', point='publication', after=10,
                          count=ERRORS)
        wrong = self.cross()
        count = self.risen(before)
        if count['device_errors'] != ERRORS or \
                count['software_requests'] < ERRORS:
            wrong += f'{count}'
        return wrong

    def hang(self):
        before = self.counters()
        self.device.fault('hang', point='half-written', after=10)
        wrong = self.cross()
        self.device.fault('clear')
        count = self.risen(before)
        if not count['hangs'] or not count['software_requests']:
            wrong += f'{count}'
        return wrong + self.used_again()

    def used_again(self):
        def works():
            before = self.counters()
            self.cross()
            return self.risen(before)['device_requests'] > MIB << 8 or None
        try:
            wait_for(works, TIMEOUT, 'the device is used again')
        except NoStrike as err:
            return f'{err}'
        return ''

    def removal(self):
        """By surprise, and put back"""
        try:
            self.device.fault('removal')
            self.device.wait_gone()
            before = self.counters()
            wrong = self.cross()
            count = self.risen(before)
            if count['device_requests'] or not count['software_requests']:
                wrong += f'{count}'
            wait_for(self.device.slot_off, TIMEOUT, 'the slot is off')
            self.device.plug()
        except NoStrike as err:
            return f'{err}'
        return wrong + self.used_again()

    def unload(self):
        """The stock driver has it again"""
        self.vm.sh(f'rmmod {guest.MODULE}')
        left = [entry['driver'] for entry in self.algorithms()
                if entry['module'] == guest.MODULE]
        try:
            wait_for(lambda: self.has_it(STOCK), TIMEOUT, 'the stock driver')
        except NoStrike as err:
            return f'{err}'
        return f'still there: {left}' if left else ''

    def content(self):
        log = self.vm.sh('dmesg')
        return '\n'.join(guest.complaints(log) +
                         re.findall('.*alg: self-tests.*', log))

    def tests(self):
        return (
            ('taken from the stock driver; self tests pass on the device',
             self.self_tests),
            ('the kernel chooses our algorithms', self.chosen),
            *((f'dm-crypt, sectors of {sector}: all by the device, and '
               'software agrees', self.crypt(sector)) for sector in SECTORS),
            ('errors: redone in software', self.errors),
            ('a hang: reset, redone, and used again', self.hang),
            ('pulled out: software; put back: used again', self.removal),
            ('unloads: the stock driver has the device', self.unload),
            ("the guest's kernel is content", self.content))


def run(tap, folder, name, arch=guest.AMD64):
    """All of them in a guest of their own"""
    disk = os.path.join(folder, f'{name}.img')
    with open(disk, 'wb') as file:
        file.truncate(MIB << 20)
    args = [*guest.device_args(guest.TYPE1, 'cryptodev-backend-openssl'),
            *guest.disk_args(disk)]
    try:
        with guest.Guest(args, os.path.join(folder, f'{name}.log'), '',
                         arch) as vm:
            tap.guarded((f'{name}: {test}', work) for test, work in
                        DriverTests(vm).tests())
    except guest.GuestError as err:
        tap.point(False, f'{name}: the guest boots', err)
