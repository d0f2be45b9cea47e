#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of the guest's side, as TAP: the kernel module in all its states, and
# the demo, which must also fail when it has to.
#
# usage: check.py [build|stock|module|recovery|cache|demo|iommu]...  (default: all)
#
# Environment: DEVICE, BACKEND, QEMU, QEMU_ARGS; SIZE (MiB, default 8).

import json
import os
import re
import subprocess
import sys

import drivercheck
import guest
import iommucheck
import observe
from faultkinds import Accelerator, wait_for
from recovery import DISK_MIB, RecoveryTests
from stock import StockTests
from tap import run_parts

HERE = os.path.dirname(os.path.realpath(__file__))
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
        entries = self.vm.sh('grep -A4 "driver.*-aes-cxl-type1" /proc/crypto')
        counters = self.vm.module_counters()
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

    def errors(self):
        self.set(fail_every=3)
        counters, wrong = self.deltas(
            lambda: self.algtest(CBC) + self.dm_cross(20))
        self.set(fail_every=0)
        if counters['device_errors'] < 100 or \
                counters['software_requests'] < counters['device_errors']:
            wrong += f'counters: {counters}'
        return wrong

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


def in_guest(tap, folder, log, tests, device, mib=MIB):
    """Run all of a class of tests in one guest with a disk."""
    disk = os.path.join(folder, 'disk.img')
    with open(disk, 'wb') as file:
        file.truncate(mib << 20)
    args = [*guest.device_args(*device), *guest.disk_args(disk)]
    try:
        with guest.Guest(args, os.path.join(folder, log)) as vm:
            tests(vm).run(tap)
    except guest.GuestError as err:
        tap.point(False, 'the guest boots', err)


def stock_tests(tap, folder):
    in_guest(tap, folder, 'stock.log', StockTests,
             (guest.TYPE1, 'cryptodev-backend-openssl'))


def module_tests(tap, folder):
    in_guest(tap, folder, 'module.log', ModuleTests, guest.chosen_device())


def recovery_tests(tap, folder):
    in_guest(tap, folder, 'recovery.log', RecoveryTests,
             (guest.TYPE1, 'cryptodev-backend-openssl'), DISK_MIB)


class CacheTests:
    """
    The device's cache in a real guest, with on-demand write-back: dm-crypt
    over virtio-blk, so that CPUs and another device's DMA find lines that the
    accelerator owns (T58).  Ends with the proof that these tests would notice.
    """

    CTRL2_DISABLE_CACHING = 1
    CTRL2_INITIATE = 2
    STATUS2_CACHE_INVALID = 1

    def __init__(self, vm):
        self.vm = vm
        self.virtio = vm.sh('cd /sys/bus/virtio/drivers/virtio_crypto && '
                            'echo virtio*')
        self.config = f'/sys/bus/virtio/devices/{self.virtio}/../config'
        self.dvsec = self.find_dvsec()

    def config_bytes(self):
        text = self.vm.sh(f'od -An -v -tx1 {self.config}')
        return bytes.fromhex(''.join(text.split()))

    def find_dvsec(self):
        """Offset of the PCIe DVSEC for CXL Devices"""
        data = self.config_bytes()
        at = 0x100
        while at:
            header = int.from_bytes(data[at:at + 4], 'little')
            if header & 0xffff == 0x23 and \
                    data[at + 4:at + 6] == b'\x98\x1e' and \
                    data[at + 8:at + 10] == b'\0\0':
                return at
            at = header >> 20
        raise guest.GuestError('no DVSEC for CXL devices')

    def reg(self, offset):
        at = self.dvsec + offset
        return int.from_bytes(self.config_bytes()[at:at + 2], 'little')

    def set_reg(self, offset, value):
        self.vm.sh(f"printf '\\x{value & 0xff:02x}\\x{value >> 8:02x}' | "
                   f'dd of={self.config} bs=1 seek={self.dvsec + offset} '
                   'conv=notrunc 2>/dev/null')

    def algtest(self):
        status, output = self.vm.try_sh(
            f'algtest -n 50 {CBC}', timeout=180)
        return output if status else ''

    def device(self):
        return self.vm.qmp('x-query-cxl-cache')['devices'][0]

    def requests(self):
        """How many there were on CXL.cache so far"""
        return sum(opcode['count']
                   for opcode in self.device()['channels'][0]['opcodes'])

    def modified(self):
        return {entry['state']: entry['lines']
                for entry in self.device()['states']}.get('M', 0)

    def dm_open(self, driver):
        self.vm.sh('echo 3 > /proc/sys/vm/drop_caches; dmsetup create c '
                   f'--table "0 {MIB * 2048} crypt capi:{driver}-plain64 '
                   f'{KEY} 0 /dev/vda 0 1 sector_size:4096"')

    def cross(self, seed, while_at_it=''):
        """Written through the device, read back with the kernel's own AES"""
        pattern = f'pattern random {seed} {MIB << 20}'
        sums = []
        for driver, work in (
                (CIPHER, f'{while_at_it}{pattern} | dd '
                 'of=/dev/mapper/c bs=64k oflag=direct iflag=fullblock '
                 '2>/dev/null; sync; wait'),
                (SOFTWARE, f'{pattern} | sha256sum; '
                 'sha256sum < /dev/mapper/c'),
                (CIPHER, 'sha256sum < /dev/mapper/c')):
            self.dm_open(driver)
            sums += self.vm.sh(work, timeout=300).split('\n')
            self.vm.sh('dmsetup remove c')
        sums = [line.split()[0] for line in sums if line]
        return '' if len(set(sums)) == 1 else f'checksums differ: {sums}'

    # -- tests, in order

    def known_answers(self):
        """T86: what the guest finds came out of the device's cache"""
        before = self.vm.cache_counters()
        wrong = self.algtest()
        after = self.vm.cache_counters()
        found = sum(after[f'lines found M by CPU {access}s'] -
                    before[f'lines found M by CPU {access}s']
                    for access in ('read', 'write'))
        return wrong or ('' if found > 1000 else f'{found} lines found M')

    def volume(self):
        return self.cross(1)

    def disable_caching(self):
        """T77: the order that the Linux series for CXL.cache uses"""
        wrong = ''
        # Into a buffer that nobody looks at
        self.dm_open(CIPHER)
        self.vm.sh('dd if=/dev/mapper/c of=/dev/null bs=1M iflag=direct')
        if not self.modified():
            wrong += 'nothing is modified to begin with\n'
        self.vm.sh('dmsetup remove c')
        self.set_reg(0x10, self.CTRL2_DISABLE_CACHING)
        self.set_reg(0x10, self.CTRL2_DISABLE_CACHING | self.CTRL2_INITIATE)
        if not self.reg(0x12) & self.STATUS2_CACHE_INVALID:
            wrong += 'Cache_Invalid is not set\n'
        if self.modified():
            wrong += f'{self.modified()} lines are modified still\n'
        before = self.vm.cache_counters()['lines used once']
        wrong += self.algtest() + self.cross(2)
        if self.modified() or \
                self.vm.cache_counters()['lines used once'] == before:
            wrong += 'lines are kept while caching is disabled'
        self.set_reg(0x10, 0)
        if self.reg(0x12) & self.STATUS2_CACHE_INVALID:
            wrong += 'Cache_Invalid is still set'
        return wrong

    def flush_under_load(self):
        """Disable, flush, enable, again and again while sectors go through"""
        flip = ''.join(
            f"printf '\\x{value:02x}' | dd of={self.config} bs=1 "
            f'seek={self.dvsec + 0x10} conv=notrunc 2>/dev/null; '
            for value in (1, 3, 0))
        return self.cross(3, f'(for i in $(seq 100); do {flip} done) & ')

    def cache_disabled(self):
        """T79: with Cache_Enable clear nothing goes over CXL.cache"""
        self.set_reg(0x0c, 0x0002)
        before = self.requests()
        wrong = self.algtest()
        if self.requests() != before:
            wrong += 'there were requests'
        self.set_reg(0x0c, 0x0003)
        return wrong

    def no_faults(self):
        count = self.vm.cache_counters()
        return '' if not count['faults'] else f'{count["faults"]} faults'

    def honesty(self):
        """T87: without snoops the known answers must be wrong"""
        self.vm.qmp('qom-set', path='/machine/cxl-cache',
                    property='x-no-snoop', value=True)
        wrong = self.algtest()
        self.vm.qmp('qom-set', path='/machine/cxl-cache',
                    property='x-no-snoop', value=False)
        return '' if wrong else 'algtest passes though nobody is snooped'

    def run(self, tap):
        self.vm.sh(f'modprobe {guest.MODULE}')
        tap.guarded((
            ('T86: known answers out of the cache', self.known_answers),
            ('T58: dm-crypt on virtio-blk, lines owned', self.volume),
            ('T77: Disable_Caching, WB&Inv, Cache_Invalid',
             self.disable_caching),
            ('T77: ... under load', self.flush_under_load),
            ('T79: Cache_Enable clear, nothing on CXL.cache',
             self.cache_disabled),
            ('no rule of the protocol was broken', self.no_faults),
            ('T87: without snoops the answers are wrong', self.honesty)))


def cache_tests(tap, folder):
    in_guest(tap, folder, 'cache.log', CacheTests,
             (guest.TYPE1, 'cryptodev-backend-openssl'))


def demo(folder, **environment):
    """Run the demo; returns its report and its exit status."""
    env = {**os.environ, 'DEMO_DIR': folder, **environment}
    result = subprocess.run([sys.executable, os.path.join(HERE, 'demo.py')],
                            env=env, stdout=sys.stderr, check=False)
    try:
        with open(os.path.join(folder, 'report.json')) as file:
            return json.load(file), result.returncode
    except OSError:
        return {'failed': ['no report']}, result.returncode


def demo_tests(tap, folder):
    size = os.environ.get('SIZE') or '8'
    for cipher, sector, ram, writeback in (
            ('', '4096', 'memfd', 'on-demand'),
            ('', '512', 'memfd', 'on-demand'),
            ('aes-cbc-essiv:sha256', '4096', 'memfd', 'completion'),
            ('', '4096', 'ordinary', 'on-demand')):
        report, status = demo(os.path.join(folder, 'demo'), SIZE=size,
                              CIPHER=cipher, SECTOR=sector, DEMO_NO_MODULE='',
                              RAM=ram, WRITEBACK=writeback)
        tap.point(status == 0 and report['host_check'] == 'ok',
                  f'the demo, {size} MiB, {cipher or "no word of a cipher"}, '
                  f'sectors of {sector}, {ram} RAM, write-back {writeback}',
                  report['failed'])

    report, status = demo(os.path.join(folder, 'negative'), SIZE=size,
                          DEMO_NO_MODULE='1')
    wanted = {'our driver has the device', 'the stock driver has none',
              'the kernel uses our driver',
              'the device ciphered every sector written',
              'the device deciphered every sector read'}
    tap.point(status != 0 and set(report['failed']) == wanted and
              report['host_check'] == 'ok',
              'the demo fails without the module, and only for that',
              report['failed'])


def iommu_tests(tap, folder):
    iommucheck.run(tap, folder, demo)


def build_tests(tap, folder):
    del folder
    built = subprocess.run([os.path.join(HERE, 'module.sh'), 'kernel612'],
                           stdout=sys.stderr, check=False)
    tap.point(built.returncode == 0,
              'the module builds for Linux 6.12 without a warning')


GROUPS = {'build': build_tests, 'stock': stock_tests, 'module': module_tests,
          'recovery': recovery_tests, 'cache': cache_tests, 'demo': demo_tests,
          'iommu': iommu_tests}


def driver_tests(tap, folder):
    drivercheck.run(tap, folder, 'driver')


def skipped(name):
    def skip(tap, folder):
        del folder
        tap.skip(name, 'AF_ALG reaches no asynchronous driver on this kernel')
    return skip


def main(wanted):
    if guest.kernel_version() >= guest.NO_AF_ALG:
        GROUPS.update(module=driver_tests, stock=skipped('stock'),
                      cache=skipped('cache'), iommu=skipped('iommu'))
    # not build/check, which belongs to the run of all tests
    return run_parts(GROUPS, os.path.join(guest.BUILD, 'guest-check'), wanted)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
