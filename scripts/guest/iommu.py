# SPDX-License-Identifier: GPL-2.0-or-later
#
# What has to hold for the crypto device behind an IOMMU: the guest translates
# its DMA, the device learns addresses as it may, interrupts are remapped.

import re

import guest
import platform_iommu

VIRTIO_CRYPTO = '0x1054'
EXT_CAP_ATS = 0x0f
ATS_ENABLE = 1 << 15
FIRST_EXT_CAP = 0x100

# What the kernel says of a request that an IOMMU refused
FAULT = re.compile(r'DMAR:.*(fault|\[DMA|\[INTR)|DMAR-IR:.*fault|'
                   r'viommu.*fault|page fault.*iova', re.I)


class Checks:
    """@check takes a name, whether it holds, and details."""

    def __init__(self, vm, check):
        self.vm = vm
        self.check = check

    # -- what there is to be seen

    def pci(self):
        """The device's folder in sysfs"""
        return self.vm.sh('for d in /sys/bus/pci/devices/*; do '
                          f'[ $(cat $d/device) != {VIRTIO_CRYPTO} ] || '
                          'echo $d; done').strip()

    def domain(self):
        return self.vm.try_sh(f'cat {self.pci()}/iommu_group/type')[1].strip()

    def config(self):
        text = self.vm.sh(f'od -An -v -tx1 {self.pci()}/config')
        return bytes.fromhex(''.join(text.split()))

    def ext_cap(self, wanted):
        """Where an extended capability is; 0 for none"""
        config = self.config()
        at = FIRST_EXT_CAP
        while at:
            header = int.from_bytes(config[at:at + 4], 'little')
            if header & 0xffff == wanted:
                return at
            at = header >> 20
        return 0

    def ats_enabled(self):
        """In the control register of the ATS capability"""
        at = self.ext_cap(EXT_CAP_ATS)
        control = int.from_bytes(self.config()[at + 6:at + 8], 'little')
        return bool(at and control & ATS_ENABLE)

    def interrupts(self):
        """Of the device's vectors: (how many so far, name of the chip)"""
        virtio = self.vm.sh(f'cd {self.pci()} && echo virtio*').strip()
        found = {}
        for line in self.vm.sh('cat /proc/interrupts').splitlines():
            words = line.split()
            if words and words[-1].startswith(virtio + '-'):
                counts = [int(word) for word in words[1:] if word.isdigit()]
                chip = next(word for word in words[1:] if not word.isdigit())
                found[words[-1].split('-')[1]] = sum(counts), chip
        return found

    def translations(self):
        return self.vm.qmp('x-query-cxl-cache')['devices'][0]['translations']

    def requests_of_lines(self):
        count = self.vm.cache_counters()
        return sum(value for name, value in count.items()
                   if name.startswith('d2h-req '))

    # -- what has to hold

    def seen_by_the_kernel(self):
        domain = self.domain()
        wanted = {'strict': 'DMA', 'lazy': 'DMA-FQ',
                  'passthrough': 'identity'}[platform_iommu.domains()]
        self.check(f'the device is in a domain of type {wanted}',
                   domain == wanted, domain)
        ats = self.ats_enabled()
        wanted = platform_iommu.kind().ats
        self.check(f'ATS is {"on" if wanted else "off"}', ats == wanted,
                   f'enabled: {ats}')

    def interrupts_arrive(self, before):
        after = self.interrupts()
        self.check('interrupts of the data queue arrive',
                   after['dataq.0'][0] > before['dataq.0'][0],
                   f'{before["dataq.0"][0]}, then {after["dataq.0"][0]}')
        if not platform_iommu.interrupts_remapped():
            return
        chips = {chip for _, chip in after.values()}
        enabled = re.search('.*Enabled IRQ remapping.*', self.vm.sh('dmesg'))
        self.check('all of them are remapped', chips and enabled and all(
            chip.startswith('IR-PCI-MSI') for chip in chips),
            f'{", ".join(sorted(chips))}; '
            f'{enabled[0].strip() if enabled else "not enabled"}')

    def known_answers(self):
        status, output = self.vm.try_sh(f'algtest -n 20 {guest.OUR_DRIVER}',
                                        timeout=180)
        self.check('AF_ALG: known answers', not status,
                   output.splitlines()[-1] if output else 'nothing said')

    def device_translates(self):
        """After some work"""
        now = self.translations()
        lines = self.requests_of_lines()
        if platform_iommu.kind().ats:
            self.check('addresses come from ATS, and CXL.cache is used',
                       now['misses'] and lines,
                       f'{now["misses"]} translations asked for, '
                       f'{lines} requests for lines')
        else:
            self.check('without ATS: CXL.io, no line is asked for',
                       not now['misses'] and not lines,
                       f'{now["misses"]} translations, {lines} lines')
        if platform_iommu.kind().ats and platform_iommu.translated():
            self.check('mappings that end are invalidated, none is kept',
                       now['invalidations'] >= now['misses'] and
                       not now['held'],
                       f'{now["invalidations"]} invalidations, '
                       f'{now["held"]} translations held')

    def nothing_refused(self):
        now = self.translations()
        faults = [line for line in self.vm.sh('dmesg').splitlines()
                  if FAULT.search(line)]
        self.check('no translation was refused', not now['refusals'] and
                   not faults, faults[0] if faults else
                   f'{now["refusals"]} refusals, no fault in the log')

    def at_work(self):
        """With the module loaded, before anything else has used the device"""
        self.seen_by_the_kernel()
        before = self.interrupts()
        self.known_answers()
        self.interrupts_arrive(before)

    def afterwards(self):
        self.device_translates()
        self.nothing_refused()
