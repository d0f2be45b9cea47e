# SPDX-License-Identifier: GPL-2.0-or-later
#
# The crypto device in the hands of a driver in user space: what it can reach
# (tests/guest/vfio-crypto.c), and what the IOMMU says of the rest.

import re

import guest

POINT = re.compile(r'(not )?ok \d+ - (.*)')
REFUSED = re.compile(r'# refused 0x([0-9a-f]+) 0x([0-9a-f]+)')


def function_name(requester):
    """A PCI function by its requester ID, as Linux names it"""
    return f'0000:{requester >> 8:02x}:{requester >> 3 & 0x1f:02x}.' \
        f'{requester & 7}'


class VfioTests:
    """
    @faults: a function of the guest that returns (device, address) of each
    fault that its IOMMU reported.
    """

    def __init__(self, vm, faults):
        self.vm = vm
        self.faults = faults
        self.output = ''
        virtio = vm.sh('cd /sys/bus/virtio/drivers/virtio_crypto && '
                       'echo virtio*')
        self.pci = vm.sh('basename $(readlink -f '
                         f'/sys/bus/virtio/devices/{virtio}/..)').strip()

    def hand_over(self, driver):
        """From whom it is bound to, to a driver: "virtio-pci", "vfio-pci" """
        device = f'/sys/bus/pci/devices/{self.pci}'
        self.vm.sh(f'echo {self.pci} > {device}/driver/unbind && '
                   f'echo {driver} > {device}/driver_override && '
                   f'echo {self.pci} > /sys/bus/pci/drivers_probe && '
                   f'[ -e /sys/bus/pci/drivers/{driver}/{self.pci} ]')

    def user_driver(self):
        # Not every IOMMU remaps interrupts; the program asks for none
        self.vm.sh('modprobe vfio-pci && '
                   'modprobe vfio_iommu_type1 allow_unsafe_interrupts=1')
        self.hand_over('vfio-pci')
        status, self.output = self.vm.try_sh(f'vfio-crypto {self.pci}')
        if status > 1:
            return f'exit status {status}: {self.output}'
        return '' if re.search(r'^1\.\.\d+$', self.output, re.M) else \
            self.output

    def points(self, tap, name):
        """The program's own points, each with the comments before it"""
        why = []
        for line in self.output.splitlines():
            match = POINT.match(line)
            if match:
                tap.point(not match[1], f'{name}: {match[2]}', '\n'.join(why))
                why = []
            else:
                why.append(line.lstrip('# '))

    def reported(self):
        """Faults there are, all of this device and of a refused address"""
        refused = [range(int(first, 16), int(last, 16) + 1)
                   for first, last in REFUSED.findall(self.output)]
        faults = self.faults(self.vm)
        other = [f'{device} at {addr:#x}' for device, addr in faults
                 if device != self.pci or
                 not any(addr in span for span in refused)]
        return '' if faults and not other else \
            f'{len(faults)} faults\n' + '\n'.join(other)

    def back_again(self):
        self.hand_over('virtio-pci')
        status, output = self.vm.try_sh(f'algtest -n 5 {guest.STOCK_DRIVER}')
        return output if status else ''

    def run(self, tap, name):
        tap.guarded([(f'{name}: a driver in user space runs',
                      self.user_driver)])
        self.points(tap, name)
        tap.guarded((
            (f'{name}: the IOMMU reports what it refused, and no more',
             self.reported),
            (f"{name}: the kernel's driver takes over again",
             self.back_again)))
