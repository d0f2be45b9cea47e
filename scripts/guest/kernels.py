#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device under kernels of later Debian releases: the demo, our driver
# (drivercheck.py), and the stock one; TAP on standard output.
# From 7.2 on user space has no way to the latter (AF_ALG takes no asynchronous
# driver): what it has the device do there is the kernel's own self test, once
# each time that it is bound.
#
# usage: kernels.py [PART]...  (default: all, see PARTS)
#
# Environment: QEMU, QEMU_AARCH64, QEMU_ARGS, RAM, ACCEL.

import os
import re
import sys
import time

import guest
import iommu
import smmu
from check import demo
from drivercheck import MIB, DriverTests
from tap import run_parts

BACKEND = 'cryptodev-backend-openssl'
BYSTANDER = ['-device', 'virtio-rng-pci,bus=pcie.0,iommu_platform=on,'
             'disable-legacy=on']
PCI = '/sys/bus/pci/devices/0000:0d:00.0'
PORT = '/sys/bus/pci/devices/0000:0c:00.0'
SELF_TEST = 30          # requests in each direction, at least
TEST_TIMEOUT = 60

EXT_CAP_AER = 0x01
AER_UNCOR_MASK, AER_UNCOR_SEVER = 0x08, 0x0c
INTERNAL = 1 << 22
# What the kernel says of an error that a device reports
REPORT = re.compile(r'(?:PCIe|CXL) Bus Error: severity=Uncorrect.*')
CACHEMEM = 0x1000
CACHEMEM_RAS = 2
RAS_UNC_MASK = 4


def left(folder, name, suffix):
    return os.path.join(folder, os.path.basename(name) + suffix)


class Kernel:
    """A guest, and its device's self test"""

    def __init__(self, vm):
        self.vm = vm

    def ops(self):
        count = self.vm.device_counters()
        return [count[f'sym-{way}-ops'] for way in ('encrypt', 'decrypt')]

    def self_test(self):
        """Wait until it is over; what is wrong with it"""
        deadline = time.monotonic() + TEST_TIMEOUT
        while time.monotonic() < deadline:
            entries = [entry for entry in
                       self.vm.read('/proc/crypto').split('\n\n')
                       if guest.STOCK_DRIVER in entry]
            if len(entries) == 1 and re.search(r'selftest *: passed',
                                               entries[0]):
                break
            if 'alg: self-tests for' in self.vm.sh('dmesg | tail -n 40'):
                return f'it failed\n{self.vm.sh("dmesg | tail -n 20")}'
            time.sleep(0.5)
        else:
            return f'it does not end: {entries}'
        self.tested()
        ops = self.ops()
        return '' if min(ops) >= SELF_TEST else f'{ops} requests'

    def af_alg(self):
        """Can user space reach an asynchronous driver?"""
        major, minor = self.vm.sh('uname -r').split('.')[:2]
        return (int(major), int(re.match(r'\d+', minor)[0])) < (7, 2) and \
            not self.vm.try_sh('[ -x /bin/algtest ]')[0]

    def works(self, before):
        """After the driver was bound, when ops() was @before"""
        if self.af_alg():
            status, output = self.vm.try_sh(
                f'algtest -n 5 {guest.STOCK_DRIVER}', timeout=180)
            return output if status else ''
        wrong = self.self_test()
        rise = smmu.rise(before, self.ops())
        return wrong or ('' if min(rise) >= SELF_TEST else f'only {rise} more')

    def tested(self):
        """
        Wait until no self test is under way: the stock driver never ends one
        whose device goes
        """
        deadline = time.monotonic() + TEST_TIMEOUT
        while re.search(rf'{guest.STOCK_DRIVER}(.*\n)*?type *: larval',
                        self.vm.read('/proc/crypto')):
            if time.monotonic() > deadline:
                raise guest.GuestError('the self test does not end')
            time.sleep(0.2)

    def bind(self, on):
        name = os.path.basename(PCI)
        where = 'bind' if on else 'unbind'
        self.vm.sh(f'echo {name} > /sys/bus/pci/drivers/virtio-pci/{where}')

    def again(self, meanwhile=lambda: None):
        """Bind the driver anew, and see that the device works"""
        self.tested()
        self.bind(False)
        before = self.ops()
        meanwhile()
        self.bind(True)
        return self.works(before)

    def groups(self):
        """The types of the IOMMU groups of the virtio devices"""
        return self.vm.sh('for d in /sys/bus/pci/devices/*; do '
                          '[ $(cat $d/vendor) != 0x1af4 ] || '
                          'cat $d/iommu_group/type 2>/dev/null || echo none; '
                          'done').split()

    def has_ats(self):
        return iommu.Checks(self.vm, None).ext_cap(iommu.EXT_CAP_ATS)

    def said(self):
        """By QEMU"""
        with open(self.vm.stderr) as file:
            return file.read()


# -- behind an SMMUv3

class SmmuKernel(Kernel):
    """@group: the type that IOMMU groups must have; None: there are none"""

    def __init__(self, vm, trace, group):
        super().__init__(vm)
        self.trace = trace
        self.group = group

    def probed(self):
        log = self.vm.sh('dmesg')
        bad = re.findall(r'.*(?:arm-smmu-v3.*failed|deferred probe timeout|'
                         r"doesn't support ATS).*", log)
        groups = self.groups()
        if self.group is None:
            return '' if bad and set(groups) == {'none'} else \
                f'it went well: {groups}'
        return '\n'.join(bad) or ('' if set(groups) == {self.group}
                                  else f'groups of type {groups}')

    def moved(self):
        """As translated, and by CXL.io"""
        pieces = self.trace.since(0)
        translated = [addr not in smmu.RAM for _, _, addr, _ in pieces]
        good = all(translated) if self.group == 'DMA' else not any(translated)
        if not pieces or not good or any(cached for *_, cached in pieces):
            return f'{len(pieces)} pieces, the first {pieces[:3]}'
        return ''

    def ats(self):
        return 'it has' if self.has_ats() else ''

    def warned(self):
        said = self.said()
        return '' if 'ats=on, but the IOMMU above' in said else said or 'no'

    def quiet(self):
        said = self.said()
        return '\n'.join(said.splitlines() +
                         guest.complaints(self.vm.sh('dmesg')))


def smmu_guest(tap, folder, name, tests, opts='', cmdline='', group='DMA'):
    trace = smmu.Trace(left(folder, name, '.trace'))
    args = guest.device_args(guest.TYPE1, BACKEND)
    args[-1] += opts
    arch = guest.ARM64._replace(kernel='7-arm64')
    try:
        with guest.Guest([*args, *BYSTANDER, *trace.args()],
                         left(folder, name, '.log'), cmdline, arch,
                         ',iommu=smmuv3') as vm:
            kernel = SmmuKernel(vm, trace, group)
            tap.guarded((f'{name}: {test}', work) for test, work in
                        tests(kernel))
    except guest.GuestError as err:
        tap.point(False, f'{name}: the guest boots', err)


def smmu_tests(kernel):
    return (('the SMMU probes, nobody waits for it or goes without',
             kernel.probed),
            ('the device has no ATS capability', kernel.ats),
            ("the kernel's self test passes, on the device",
             kernel.self_test),
            ('its data go by CXL.io, at addresses that fit', kernel.moved),
            ('nobody complains', kernel.quiet))


def smmu7(tap, folder):
    smmu_guest(tap, folder, 'field/02-smmu-7', smmu_tests)


def smmu7_passthrough(tap, folder):
    smmu_guest(tap, folder, 'field/02-smmu-7-passthrough', smmu_tests,
               cmdline='iommu.passthrough=1', group='identity')


def smmu7_ats_on(tap, folder):
    """The other way round: that is what the default keeps away from"""
    smmu_guest(tap, folder, 'field/02-smmu-7-ats-on', lambda kernel: (
        ('with ats=on the SMMU does not probe', kernel.probed),
        ('QEMU has warned of it', kernel.warned)), ',ats=on', group=None)


def smmu7_bypass(tap, folder):
    """Past the SMMU by iommu_platform=off: addresses are those of memory"""
    smmu_guest(tap, folder, 'field/02-smmu-7-iommu-platform-off',
               lambda kernel: (
                   ('the SMMU probes', kernel.probed),
                   ('the device has no ATS capability', kernel.ats),
                   ("the kernel's self test passes", kernel.self_test)),
               ',iommu_platform=off')


def smmu612(tap, folder):
    smmu.boot(tap, folder, 'field/02-smmu-612', 'DMA', ',iommu=smmuv3',
              arch=guest.ARM64._replace(kernel='612-arm64'),
              ready=lambda vm: Kernel(vm).self_test())


# -- behind an intel-iommu

def translations(kernel):
    """Pages that can be written only, or read only, and no refusal"""
    count = kernel.vm.qmp('x-query-cxl-cache')['devices'][0]['translations']
    faults = iommu.FAULT.findall(kernel.vm.sh('dmesg'))
    return '' if count['misses'] and not count['refusals'] and not faults \
        else f'{count} {faults}'


def reset(kernel, method):
    def run():
        # Once one was chosen no other is listed
        kernel.vm.sh(f'echo default > {PCI}/reset_method')
        listed = kernel.vm.read(f'{PCI}/reset_method').split()
        if method not in listed:
            return f'there are {listed}'
        return kernel.again(lambda: kernel.vm.sh(
            f'echo {method} > {PCI}/reset_method && echo 1 > {PCI}/reset'))
    return run


def masked_reset(kernel):
    """Bridge Control by hand, UnmaskSBR being clear: the device goes on"""
    before = kernel.vm.sh(f'od -An -v -tx1 -N64 {PCI}/config')
    for value in 0x42, 0x02:
        kernel.vm.sh(f"printf '\\x{value:02x}' | dd of={PORT}/config bs=1 "
                     'seek=62 count=1 conv=notrunc 2>/dev/null')
    after = kernel.vm.sh(f'od -An -v -tx1 -N64 {PCI}/config')
    return (before != after and f'{before}\n{after}') or kernel.again()


def resets(kernel):
    return ((f'{method} reset of the kernel, and the device works again',
             reset(kernel, method)) for method in ('flr', 'cxl_bus'))


# -- errors

class Errors(Kernel):
    """Injected ones, and whether the kernel hears of them"""

    def aer(self):
        return iommu.Checks(self.vm, None).ext_cap(EXT_CAP_AER)

    def write_config(self, offset, value):
        octets = ''.join(f'\\x{byte:02x}' for byte in
                         value.to_bytes(4, 'little'))
        self.vm.sh(f"printf '{octets}' | dd of={PCI}/config bs=4 "
                   f'seek={offset // 4} count=1 conv=notrunc 2>/dev/null')

    def unmask_aer(self):
        """And make it one that the kernel does not reset the link for"""
        self.write_config(self.aer() + AER_UNCOR_MASK, 0)
        self.write_config(self.aer() + AER_UNCOR_SEVER, 0)

    def devmem(self, address, value=''):
        return self.vm.sh(f'devmem {address:#x} 32 {value}').strip()

    def unmask_ras(self):
        base = int(self.vm.sh(f'sed -n 3p {PCI}/resource').split()[0], 16) + \
            CACHEMEM
        for entry in range(1, 8):
            value = int(self.devmem(base + 4 * entry), 16)
            if value & 0xffff == CACHEMEM_RAS:
                self.devmem(base + (value >> 20) + RAS_UNC_MASK, 0)
                return
        raise guest.GuestError('no RAS capability')

    def reports(self):
        return REPORT.findall(self.vm.sh('dmesg'))

    def taken(self):
        """How many injected faults have struck"""
        return self.vm.qmp('x-query-cxl-type1-fault',
                           id=guest.DEVICE_ID)['taken']

    def inject(self, kind, point):
        """One fault, in a self test; how many reports there are of it"""
        before, taken = len(self.reports()), self.taken()
        self.tested()
        self.bind(False)
        fault = {'id': guest.DEVICE_ID, 'fault': kind}
        self.vm.qmp('x-cxl-type1-fault', **fault, point=point, count=1)
        self.bind(True)
        deadline = time.monotonic() + TEST_TIMEOUT
        while self.taken() == taken:
            if time.monotonic() > deadline:
                raise guest.GuestError(f'{kind} has not struck')
            time.sleep(0.2)
        self.tested()
        return len(self.reports()) - before

    def expect(self, kind, point, heard):
        def run():
            count = self.inject(kind, point)
            return '' if bool(count) == heard else f'{count} reports'
        return run

    def viral(self):
        """Not an error of the RAS capability"""
        before = len(self.reports())
        self.vm.qmp('x-cxl-type1-fault', id=guest.DEVICE_ID, fault='viral')
        time.sleep(1)
        self.vm.qmp('x-cxl-type1-fault', id=guest.DEVICE_ID, fault='clear')
        return '' if len(self.reports()) > before else 'no report'

    def unmask(self, work):
        def run():
            work()
            return ''
        return run

    def tests(self):
        return (
            ("the kernel's self test passes", self.self_test),
            ('poison is not heard of, with all as it was booted',
             self.expect('poison', 'source-read', False)),
            ('AER is told to report it', self.unmask(self.unmask_aer)),
            ('viral is heard of', self.viral),
            ('poison is not heard of, as the RAS capability masks it',
             self.expect('poison', 'source-read', False)),
            ('the RAS capability, too', self.unmask(self.unmask_ras)),
            ('poison is heard of',
             self.expect('poison', 'source-read', True)),
            ('go-err is heard of', self.expect('go-err', 'publication', True)))


def amd64_guest(tap, folder, name, kind, kernel, tests, make=Kernel):
    os.environ['IOMMU'] = kind
    arch = guest.AMD64._replace(kernel=kernel)
    try:
        with guest.Guest(guest.device_args(guest.TYPE1, BACKEND),
                         left(folder, name, '.log'), '', arch) as vm:
            tap.guarded((f'{name}: {test}', work) for test, work in
                        tests(make(vm)))
    except guest.GuestError as err:
        tap.point(False, f'{name}: the guest boots', err)
    finally:
        os.environ['IOMMU'] = 'none'


def intel7(kind, more=lambda kernel: ()):
    def run(tap, folder):
        amd64_guest(tap, folder, f'field/01-{kind}-7', kind, '7',
                    lambda kernel: (
                        ("the kernel's self test passes, on the device",
                         kernel.self_test),
                        ('all by ATS, and no page is refused',
                         lambda: translations(kernel)), *more(kernel)))
    return run


def resets_of(kernel_name):
    def run(tap, folder):
        amd64_guest(tap, folder, f'field/06-resets-{kernel_name}', 'none',
                    kernel_name, lambda kernel: (
                        *resets(kernel),
                        ('a masked secondary bus reset does nothing',
                         lambda: masked_reset(kernel))))
    return run


def errors7(tap, folder):
    amd64_guest(tap, folder, 'field/07-errors-7', 'none', '7',
                Errors.tests, Errors)


# -- our driver

def demo_on(kernel, suffix, sector):
    """Each check of the demo is a point."""
    def run(tap, folder):
        report, status = demo(os.path.join(folder, f'demo-{suffix}'),
                              SIZE=os.environ.get('SIZE') or '8',
                              KERNEL=kernel, SECTOR=sector, CIPHER='',
                              DEMO_NO_MODULE='', IOMMU='none')
        for entry in report.get('checks', ()):
            tap.point(entry['ok'], f'demo-{suffix}: {entry["name"]}',
                      entry['detail'])
        tap.point(status == 0 and report.get('host_check') == 'ok' and
                  report.get('driver') == guest.OUR_DRIVERS['xts'] and
                  report.get('sector_size') == int(sector) and
                  report.get('removal_lines_rescued', 0) > 0,
                  f'demo-{suffix}: Linux {report.get("kernel")}, sectors of '
                  f'{sector}: the demo is good',
                  report['failed'] or report)
    return run


def driver_on(suffix):
    def run(tap, folder):
        disk = os.path.join(folder, f'driver-{suffix}.img')
        with open(disk, 'wb') as file:
            file.truncate(MIB << 20)
        arch = guest.AMD64._replace(kernel=suffix)
        args = [*guest.device_args(guest.TYPE1, BACKEND),
                *guest.disk_args(disk)]
        try:
            with guest.Guest(args, left(folder, f'driver-{suffix}', '.log'),
                             '', arch) as vm:
                tap.guarded((f'driver-{suffix}: {test}', work) for test, work
                            in DriverTests(vm).tests())
        except guest.GuestError as err:
            tap.point(False, f'driver-{suffix}: the guest boots', err)
    return run


PARTS = {
    'demo-612': demo_on('6.12', '612', '512'),
    'demo-7': demo_on('newest', '7', '4096'),
    'driver-612': driver_on('612'),
    'driver-7': driver_on('7'),
    'smmu-612': smmu612,
    'smmu-7': smmu7,
    'smmu-7-passthrough': smmu7_passthrough,
    'smmu-7-ats-on': smmu7_ats_on,
    'smmu-7-bypass': smmu7_bypass,
    'intel-7': intel7('intel', resets),
    'intel-scalable-7': intel7('intel-scalable'),
    'resets-612': resets_of('612'),
    'resets-7': resets_of('7'),
    'errors-7': errors7,
}

if __name__ == '__main__':
    os.environ['IOMMU'] = 'none'        # beside the machine's own
    sys.exit(run_parts(PARTS, os.path.join(guest.BUILD, 'guest-check'),
                       sys.argv[1:]))
