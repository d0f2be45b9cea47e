# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of our driver in all its states, one after the other in one guest, by
# AF_ALG and dm-crypt.

import re

import guest
import observe
from faultkinds import Accelerator, wait_for

PARAMETERS = f'/sys/module/{guest.MODULE}/parameters'
STOCK = '/sys/bus/virtio/drivers/virtio_crypto'
KEY = '5a' * 32 + 'a5' * 32
CIPHER = 'xts-aes-cxl-type1'
SOFTWARE = 'xts-aes-aesni'
# What AF_ALG is tried with
CBC = 'cbc-aes-cxl-type1'
MIB = 4
SLOW_OPS = 4000
COMMANDS = 100
# Time limit and rest of a device that is to hang for a moment
QUICK = {'time_limit_ms': 500, 'rest_ms': 100}


class ModuleTests:
    """All in one guest, one state after the other."""

    def __init__(self, vm):
        self.vm = vm
        self.device = Accelerator(vm)
        self.type1 = guest.chosen_device()[0] == guest.TYPE1

    # -- helpers

    def set(self, **parameters):
        for name, value in parameters.items():
            self.vm.sh(f'echo {value} > {PARAMETERS}/{name}')

    def throttle(self, operations):
        self.vm.qmp('qom-set', path='/objects/c0', property='throttle-ops',
                    value=operations)

    def deltas(self, work):
        before = self.vm.module_counters()
        output = work()
        after = self.vm.module_counters()
        return {key: after[key] - before[key] for key in after}, output

    def algtest(self, driver, *options):
        status, output = self.vm.try_sh(
            ' '.join(['algtest', *options, f'"{driver}"']), timeout=180)
        return output if status else ''

    def dm_open(self, name, driver, sector_size=4096):
        sectors = MIB * 2048
        size = f'1 sector_size:{sector_size}' if sector_size != 512 else ''
        self.vm.sh(f'dmsetup create {name} --table "0 {sectors} crypt '
                   f'capi:{driver}-plain64 {KEY} 0 /dev/vda 0 {size}"')

    def dm_close(self, name):
        self.vm.sh(f'dmsetup remove {name}')

    def dm_cross(self, seed, sector_size=4096):
        """Write with one driver, read with the other, both ways."""
        wrong = ''
        kinds = ((CIPHER, SOFTWARE), (SOFTWARE, CIPHER))
        for writer, reader in kinds:
            seed += 1
            pattern = f'pattern random {seed} {MIB << 20}'
            self.dm_open('cross', writer, sector_size)
            self.vm.sh(f'{pattern} | dd of=/dev/mapper/cross bs=1M '
                       '2>/dev/null && sync', timeout=300)
            self.dm_close('cross')
            self.dm_open('cross', reader, sector_size)
            sums = self.vm.sh(
                'echo 3 > /proc/sys/vm/drop_caches; '
                f'{pattern} | sha256sum; sha256sum < /dev/mapper/cross',
                timeout=300).split('\n')
            self.dm_close('cross')
            if sums[0] != sums[1]:
                wrong += f'written by {writer}, misread by {reader}\n'
        return wrong

    def kernel_complaints(self):
        log = self.vm.sh('dmesg')
        return '\n'.join(line for line in log.splitlines() if re.search(
            'BUG:|WARNING:|Oops|blocked for more|Call Trace|alg: skcipher',
            line))

    def all_on_device(self, counters):
        """As text, what was not"""
        wrong = {name: counters[name] for name in
                 ('software_requests', 'device_errors', 'submit_failures',
                  'unfit', 'lost', 'hangs') if counters[name]}
        if not counters['device_requests'] or wrong:
            return f'counters: {counters}\n'
        return ''

    # -- tests, in order

    def commands(self):
        """Each is heard in whole, though processes end without a parent"""
        wrong = ''
        self.vm.sh('(while [ ! -e /run/quiet ]; do (sleep 0.01 &); done) '
                   '>/dev/null 2>&1 & true')
        for number in range(COMMANDS):
            said = f'{number} of {COMMANDS}, in a line of some length'
            heard = self.vm.sh(f'echo {said}', timeout=30)
            if heard != said:
                wrong += f'{heard}\n'
        self.vm.sh('touch /run/quiet')
        return wrong

    def without_device(self):
        """Loaded before there is a device: software, and it says so."""
        if self.type1:
            self.vm.qmp('device_del', id=guest.DEVICE_ID)
            self.device.wait_gone()
        self.vm.sh(f'modprobe {guest.MODULE}')
        observe.settled(self.vm)
        counters, wrong = self.deltas(
            lambda: self.algtest(CBC, '-n', '10'))
        if counters['device_requests'] or not counters['software_requests']:
            wrong += f'counters: {counters}'
        if 'software only' not in self.vm.sh('dmesg'):
            wrong += 'the kernel log does not say so'
        return wrong

    def device_appears(self):
        """Beside the stock driver, which was loaded first"""
        if self.type1:
            self.device.plug()
            wait_for(self.device.attached, 30, 'it is bound')
        else:
            self.vm.sh(f'rmmod {guest.MODULE}; modprobe {guest.MODULE} any=1')
        counters, wrong = self.deltas(
            lambda: self.algtest(CBC, '-n', '10', '-m', '4096'))
        return wrong + self.all_on_device(counters)

    def self_test(self):
        """
        The kernel's own vectors, on the device, which the stock driver had in
        between.  Keys of XTS with two equal halves are refused by libcrypto.
        """
        self.vm.sh(f'rmmod {guest.MODULE}')
        wrong = '' if self.stock_has_it() else 'the stock driver has it not\n'
        self.vm.sh(f'modprobe {guest.MODULE}' +
                   ('' if self.type1 else ' any=1'))
        if self.stock_has_it():
            wrong += 'it was not taken over\n'
        counters = observe.settled(self.vm)
        entries = self.vm.sh('grep -A4 "driver.*-aes-cxl-type1" /proc/crypto')
        if len(re.findall('selftest *: passed', entries)) != 4:
            wrong += entries
        if counters['software_requests'] * 8 > counters['device_requests']:
            wrong += f'counters: {counters}'
        return wrong

    def stock_has_it(self):
        return self.vm.sh(f'cd {STOCK} && echo virtio*') != 'virtio*'

    def our_driver(self):
        counters, wrong = self.deltas(lambda: self.algtest(CBC))
        return wrong + self.all_on_device(counters)

    def device_counts_the_same(self):
        """The module's count against the device's own."""
        before = self.vm.device_counters()
        counters, wrong = self.deltas(lambda: self.dm_cross(10))
        after = self.vm.device_counters()
        device = sum(after[key] - before[key] for key in
                     ('sym-encrypt-bytes', 'sym-decrypt-bytes'))
        # all was written once by it and read once by it, readahead included
        if device != counters['device_bytes'] or device < 2 * MIB << 20:
            wrong += f'device: {device} bytes, module: {counters}'
        return wrong

    def said(self):
        """How many lines of the kernel's log are our driver's"""
        return len(re.findall(rf'\] {guest.MODULE} virtio', self.vm.read_log()))

    def errors(self):
        said = self.said()
        self.set(fail_every=3)
        counters, wrong = self.deltas(
            lambda: self.algtest(CBC) + self.dm_cross(20))
        self.set(fail_every=0)
        if counters['device_errors'] < 100 or \
                counters['software_requests'] < counters['device_errors']:
            wrong += f'counters: {counters}'
        said = self.said() - said
        return wrong + (f'{said} lines are said of it' if said > 100 else '')

    def allocation_failures(self):
        self.set(fail_alloc_every=25)
        counters, wrong = self.deltas(
            lambda: self.algtest(CBC) + self.dm_cross(30))
        self.set(fail_alloc_every=0)
        if counters['submit_failures'] < 50 or counters['device_errors'] or \
                counters['software_requests'] < counters['submit_failures']:
            wrong += f'counters: {counters}'
        return wrong

    def everything_fails(self):
        self.set(fail_every=1)
        counters, wrong = self.deltas(lambda: self.dm_cross(40))
        self.set(fail_every=0)
        if counters['device_requests'] or not counters['device_errors']:
            wrong += f'counters: {counters}'
        return wrong

    def batches(self):
        """Small sectors are announced together"""
        counters, wrong = self.deltas(lambda: self.dm_cross(50, 512))
        if counters['kicks'] > counters['device_requests'] / 4:
            wrong += f'counters: {counters}'
        return wrong + self.all_on_device(counters)

    def slow_device(self, **parameters):
        """More small reads at once than the device's ring has room for"""
        pattern = f'pattern random 70 {MIB << 20}'
        self.dm_open('slow', SOFTWARE, 512)
        self.vm.sh(f'{pattern} | dd of=/dev/mapper/slow bs=1M 2>/dev/null; '
                   'sync')
        self.dm_close('slow')
        self.dm_open('slow', CIPHER, 512)
        self.set(**parameters)
        self.throttle(SLOW_OPS)
        counters, output = self.deltas(lambda: self.vm.sh(
            f'{pattern} | sha256sum; dd if=/dev/mapper/slow bs=4M '
            'iflag=direct 2>/dev/null | sha256sum'))
        self.throttle(0)
        self.set(**dict.fromkeys(parameters, 0))
        self.dm_close('slow')
        sums = output.splitlines()
        wrong = '' if sums[0] == sums[1] else 'misread\n'
        if counters['queued'] < 1000:
            wrong += f'the ring was not full: {counters}'
        if parameters and counters['device_errors'] < 1000:
            wrong += f'no errors: {counters}'
        return wrong

    def slow_with_errors(self):
        return self.slow_device(fail_every=5)

    def some_of_each(self):
        """Good requests, bad ones and lost ones; returns how many bytes"""
        dd = f'dd if=/dev/mapper/seen of=/dev/null bs=64k count={MIB << 4} ' \
             'iflag=direct 2>/dev/null'
        self.vm.sh(dd)
        self.set(fail_every=5)
        self.vm.sh(dd)
        self.set(fail_every=0)
        if not self.type1:
            return 2 * MIB << 20
        self.device.fault('hang', after=20)
        self.vm.sh(dd)
        self.device.fault('clear')
        wait_for(lambda: observe.device(self.vm)[0] in observe.USED, 30,
                 'it is used again')
        self.vm.sh(dd)
        return 4 * MIB << 20

    def observed(self):
        """Counters, tracepoints and debugfs tell the same"""
        usual = self.vm.module_counters()
        self.set(**QUICK)
        self.dm_open('seen', CIPHER)
        soft = observe.transforms(self.vm, 'xts')
        done = observe.device(self.vm)[1]
        trace = observe.Trace(self.vm)
        trace.start()
        counters, size = self.deltas(self.some_of_each)
        wrong = trace.stop()
        wrong += ''.join(
            f'{name}: {counters[name]}, tracepoints: {number}\n'
            for name, number in trace.counts.items()
            if counters[name] != number)
        for name in ('device_requests', 'device_errors',
                     *(('lost', 'hangs', 'attached') if self.type1 else ())):
            if not counters[name]:
                wrong += f'{name}: none\n'
        if counters['device_bytes'] + counters['software_bytes'] != size:
            wrong += f'{size} bytes, counters: {counters}\n'
        wrong += self.debugfs(counters, done, soft)
        self.dm_close('seen')
        self.set(**{name: usual[name] for name in QUICK})
        return wrong

    def debugfs(self, risen, done, soft):
        """Its files; @risen: counters since @done and @soft were read"""
        wrong = ''
        now = self.vm.module_counters()
        state, shown = observe.stats(self.vm)
        for name, number in shown.items():
            if now[name] != number:
                wrong += f'{name}: {now[name]}, stats: {number}\n'
        if len(shown) < 15:
            wrong += f'stats: {shown}\n'
        told, requests, queues = observe.device(self.vm)
        if requests - done != risen['device_requests'] or \
                set(queues) != {'0+0'} or state != 'device' or told != state:
            wrong += f'{told} {state} {requests} {queues}, before: {done}\n'
        on_device, in_software = observe.transforms(self.vm, 'xts')
        if on_device - soft[0] != risen['device_requests'] or \
                in_software - soft[1] != risen['software_requests']:
            wrong += f'transforms: {on_device} {in_software}, before: {soft}\n'
        return wrong

    def unload(self):
        self.vm.sh(f'rmmod {guest.MODULE}')
        wrong = '' if self.stock_has_it() else 'nobody has the device\n'
        if '-cxl-type1' in self.vm.sh('cat /proc/crypto'):
            wrong += 'an algorithm is still there\n'
        return wrong + self.kernel_complaints()

    def run(self, tap):
        tap.guarded((
            ('the guest hears every command', self.commands),
            ('loaded without a device: software', self.without_device),
            ('the device appears and is used, whoever was loaded first',
             self.device_appears),
            ("taken from the stock driver; the kernel's self tests pass",
             self.self_test),
            ('AF_ALG: our driver computes AES-CBC', self.our_driver),
            ('dm-crypt: device and module count the same bytes',
             self.device_counts_the_same),
            ('errors: redone in software, nothing lost', self.errors),
            ('allocation failures: done in software',
             self.allocation_failures),
            ('every request fails: all in software', self.everything_fails),
            ('small requests are announced together', self.batches),
            ('a slow device with a full ring: requests wait and are not lost',
             self.slow_device),
            ('... and errors', self.slow_with_errors),
            ('counters, tracepoints and debugfs tell the same',
             self.observed),
            ('unloads, and the kernel never complained', self.unload)))
