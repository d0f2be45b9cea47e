#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of the guest's side, as TAP: the kernel module in all its states, and
# the demo, which must also fail when it has to.
#
# usage: check.py [build|stock|module|recovery|cache|shell|demo|iommu]...
# (default: all)
#
# Environment: DEVICE, BACKEND, QEMU, QEMU_ARGS; SIZE (MiB, default 8).

import json
import os
import subprocess
import sys

import drivercheck
import guest
import iommucheck
from modulecheck import CBC, CIPHER, KEY, MIB, SOFTWARE, ModuleTests
from recovery import RecoveryTests
from recoverybase import DISK_MIB
from shell import shell_tests
from stock import StockTests
from tap import run_parts

HERE = os.path.dirname(os.path.realpath(__file__))


def in_guest(tap, folder, log, tests, device, mib=MIB):
    """Run all of a class of tests in one guest with a disk."""
    disk = os.path.join(folder, f'{log}.img')
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
            ('', '512', 'memfd', 'through'),
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
          'recovery': recovery_tests, 'cache': cache_tests,
          'shell': shell_tests, 'demo': demo_tests, 'iommu': iommu_tests}


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
