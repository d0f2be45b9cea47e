#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device behind an SMMUv3, in an arm64 guest; TAP on standard output.  The
# same steps with translation switched off, and without an SMMU, show that the
# checks can tell these apart.  And with ATS.
#
# usage: smmu.py [smmuv3|ats|passthrough|none]...  (default: all)
#
# Environment: QEMU_AARCH64, QEMU_ARGS, ACCEL.

import os
import re
import sys

import guest
from tap import run_parts
from vfio import VfioTests, function_name

BACKEND = 'cryptodev-backend-openssl'
RAM = range(0x40000000, 0x80000000)     # of "virt", with 1 GiB
VIRTIO_F_ACCESS_PLATFORM = 33

# What "algtest -n 0" makes of the vectors: three keys, each in both
# directions.  A request reads its IV and its source, and writes its result.
ENCRYPTIONS = DECRYPTIONS = 3
IV, VECTOR = 16, 64
READ = (ENCRYPTIONS + DECRYPTIONS) * (IV + VECTOR)
WRITTEN = (ENCRYPTIONS + DECRYPTIONS) * VECTOR

SMMU_COMPLAINT = re.compile(r'arm-smmu-v3 .*(event 0x|GERROR|unhandled|'
                            r'timeout|failed|not supported).*')


# An event record in the kernel's log: four words, with the stream (here the
# PCI requester) and the input address
SMMU_EVENT = re.compile(r'event 0x[0-9a-f]+ received:\n.*'
                        r'0x([0-9a-f]{16})\n.*\n.*0x([0-9a-f]{16})\n')


def smmu_faults(vm):
    return [(function_name(int(word0, 16) >> 32), int(word2, 16))
            for word0, word2 in SMMU_EVENT.findall(vm.sh('dmesg'))]


class Trace:
    """The pieces of payload that the device moved, as QEMU traces them"""

    EVENTS = ('cxl_type1_crypto_read*', 'cxl_type1_crypto_write*')
    LINE = re.compile(r'cxl_type1_crypto_(read|write)(_cached)? .*: '
                      r'addr (0x[0-9a-f]+) len (\d+) ')

    def __init__(self, path):
        self.path = path
        with open(path, 'w'):
            pass

    def args(self):
        return [word for event in self.EVENTS
                for word in ('-trace', event)] + ['-D', self.path]

    def position(self):
        return os.path.getsize(self.path)

    def since(self, position):
        """(what, length, address, by CXL.cache) of each"""
        with open(self.path) as file:
            file.seek(position)
            return [(what, int(length), int(addr, 16), bool(cached))
                    for what, cached, addr, length
                    in self.LINE.findall(file.read())]


class Counts:
    """What all sides have counted so far"""

    def __init__(self, vm):
        backend = vm.device_counters()
        self.requests = [backend[f'sym-{way}-ops']
                         for way in ('encrypt', 'decrypt')]
        self.bytes = [backend[f'sym-{way}-bytes']
                      for way in ('encrypt', 'decrypt')]
        device = vm.qmp('x-query-cxl-cache')['devices'][0]
        self.messages = sum(opcode['count'] for channel in device['channels']
                            for opcode in channel['opcodes'])
        self.translations = device['translations']
        self.interrupts = interrupts(vm)


def interrupts(vm):
    """The chip and the count, on both CPUs, of each interrupt by its name"""
    result = {}
    for line in vm.sh('cat /proc/interrupts').splitlines():
        words = line.split()
        if len(words) > 4 and words[0][:-1].isdigit():
            result[words[-1]] = words[3], int(words[1]) + int(words[2])
    return result


def rise(before, after):
    return [new - old for old, new in zip(before, after)]


class SmmuTests:
    """
    Known answers, and how their data got there.  @group is the type that the
    device's IOMMU group must have; None: it is in none.  @ats: the SMMU has it.
    """

    def __init__(self, vm, trace, group, ats):
        self.vm = vm
        self.trace = trace
        self.group = group
        self.ats = ats
        self.before = self.after = None
        self.pieces = []

    # -- helpers

    def virtio(self):
        return self.vm.sh('cd /sys/bus/virtio/drivers/virtio_crypto && '
                          'echo virtio*')

    def watched(self, command):
        """Run it; leaves what was counted and moved in the meantime"""
        position = self.trace.position()
        self.before = Counts(self.vm)
        status, output = self.vm.try_sh(command, timeout=180)
        self.after = Counts(self.vm)
        self.pieces = self.trace.since(position)
        return '' if not status else '\n'.join(
            re.findall('^not ok.*', output, re.M) or [output])

    def requests(self):
        return rise(self.before.requests, self.after.requests)

    def bytes(self):
        return rise(self.before.bytes, self.after.bytes)

    def moved(self, way):
        return sum(length for what, length, *_ in self.pieces if what == way)

    def interrupt(self, name):
        name = f'{self.virtio()}-{name}'
        chip, count = self.after.interrupts.get(name, ('no', 0))
        return chip, count - self.before.interrupts.get(name, ('', 0))[1]

    # -- tests, in order

    def bound(self):
        virtio = self.virtio()
        if '*' in virtio:
            return f'virtio_crypto is bound to nothing\n{self.vm.evidence()}'
        features = self.vm.read(f'/sys/bus/virtio/devices/{virtio}/features')
        if features[VIRTIO_F_ACCESS_PLATFORM] != '1':
            return f'VIRTIO_F_ACCESS_PLATFORM is not accepted: {features}'
        return ''

    def in_group(self):
        device = f'/sys/bus/virtio/devices/{self.virtio()}/..'
        status, group = self.vm.try_sh(f'cat {device}/iommu_group/type')
        if self.group is None:
            return '' if status else f'it is in a group of type {group}'
        iommu = self.vm.try_sh(f'readlink -f {device}/iommu')[1]
        if group != self.group or 'arm-smmu-v3' not in iommu:
            return f'its group is {group}, its IOMMU {iommu}'
        return ''

    def known_answers(self):
        wrong = self.watched(f'algtest -n 0 {guest.STOCK_DRIVER}')
        requests = [ENCRYPTIONS, DECRYPTIONS]
        if self.requests() != requests or \
                self.bytes() != [count * VECTOR for count in requests]:
            wrong += f'\nthe back end counted {self.requests()} requests of ' \
                f'{self.bytes()} bytes'
        # A buffer that crosses a page is two pieces
        if (self.moved('read'), self.moved('write')) != (READ, WRITTEN):
            wrong += f'\nthe device moved {self.pieces}'
        return wrong

    def addresses(self):
        """
        A bus address that is no address of memory has to be translated.  What
        the device has translated is seen where it is then.
        """
        inside = [addr in RAM and addr + length - 1 in RAM
                  for _, length, addr, _ in self.pieces]
        if inside and (all(inside) if self.ats or self.group != 'DMA'
                       else not any(inside)):
            return ''
        return f'{len(inside)} pieces, {sum(inside)} of them in memory, ' \
            f'the first {self.pieces[:3]}'

    def path(self):
        """What ATS has not translated is CXL.io"""
        by_cache = self.group is None or self.ats
        if not self.pieces or \
                any(cached != by_cache for *_, cached in self.pieces):
            return f'{len(self.pieces)} pieces, the first {self.pieces[:3]}'
        if (self.after.messages > self.before.messages) != by_cache:
            return f'{self.after.messages} messages by CXL.cache, ' \
                f'{self.before.messages} before'
        count = self.after.translations
        # The kernel has every mapping invalidated when it ends
        if (any(count.values()) if not self.ats else
                not count['misses'] or count['refusals'] or
                count['held'] or count['invalidations'] < count['misses']):
            return f'translations: {count}'
        return ''

    def interrupts(self):
        """Of the known answers; each is a session of its own, with an end"""
        wrong = ''
        for name, most in (('dataq.0', ENCRYPTIONS + DECRYPTIONS),
                           ('controlq', 2 * (ENCRYPTIONS + DECRYPTIONS))):
            chip, count = self.interrupt(name)
            # Newer kernels name the device as well
            if not re.match('ITS-(PCI-)?MSI', chip) or not 0 < count <= most:
                wrong += f'{name}: {count} from {chip}\n'
        return wrong

    def random_requests(self):
        # Longer requests in so many pieces would be too many descriptors
        wrong = self.watched(f'algtest -m 65536 {guest.STOCK_DRIVER}')
        written = self.moved('write')
        if sum(self.requests()) < 240 or written != sum(self.bytes()):
            wrong += f'\n{self.requests()} requests of {self.bytes()} bytes, ' \
                f'{written} bytes written'
        return wrong or self.addresses() or self.path()

    def quiet(self):
        log = self.vm.sh('dmesg')
        bad = [match[0] for match in SMMU_COMPLAINT.finditer(log)]
        count = interrupts(self.vm).get('arm-smmu-v3-evtq', ('', 0))[1]
        if count:
            bad.append(f'{count} interrupts of the event queue')
        return '\n'.join(bad + guest.complaints(log))

    def tests(self):
        where = 'are no addresses of memory' \
            if self.group == 'DMA' and not self.ats else \
            'are addresses of memory'
        how = 'CXL.cache, translated and taken back' if self.ats else \
            'CXL.cache' if self.group is None else 'CXL.io'
        kind = f'of type {self.group}' if self.group else 'not there'
        return (
            ('the driver is bound, and takes translated addresses',
             self.bound),
            (f'its IOMMU group is {kind}', self.in_group),
            ('known answers, and so many requests', self.known_answers),
            (f'the addresses that the device uses {where}', self.addresses),
            (f'data go by {how}', self.path),
            ('interrupts come by the ITS', self.interrupts),
            ('random requests, the same way', self.random_requests),
            ('neither the SMMU nor the kernel complained', self.quiet))


def boot(tap, folder, name, group, machine='', cmdline='', after=None,
         arch=guest.ARM64, ready=None, ats=False):
    log = os.path.join(folder, f'smmu-{os.path.basename(name)}')
    trace = Trace(log + '.trace')
    args = [*guest.device_args(guest.TYPE1, BACKEND), *trace.args(),
            *(('-global', 'arm-smmuv3.ats=on') if ats else ())]
    try:
        with guest.Guest(args, log + '.log',
                         cmdline, arch, machine) as vm:
            if ready:
                ready(vm)
            tap.guarded((f'{name}: {test}', work) for test, work in
                        SmmuTests(vm, trace, group, ats).tests())
            if after:
                after(vm)
    except guest.GuestError as err:
        tap.point(False, f'{name}: the guest boots', err)


def smmuv3(tap, folder):
    boot(tap, folder, 'smmuv3', 'DMA', ',iommu=smmuv3', after=lambda vm:
         VfioTests(vm, smmu_faults).run(tap, 'vfio'))


def with_ats(tap, folder):
    boot(tap, folder, 'ats', 'DMA', ',iommu=smmuv3', 'iommu.strict=1',
         ats=True)


def passthrough(tap, folder):
    boot(tap, folder, 'passthrough', 'identity', ',iommu=smmuv3',
         'iommu.passthrough=1')


def without(tap, folder):
    boot(tap, folder, 'none', None)


PARTS = {'smmuv3': smmuv3, 'ats': with_ats, 'passthrough': passthrough,
         'none': without}

if __name__ == '__main__':
    os.environ['IOMMU'] = 'none'        # beside the machine's own
    sys.exit(run_parts(PARTS, os.path.join(guest.BUILD, 'guest-check'),
                       sys.argv[1:]))
