#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device in a slot that was empty when firmware laid out the bus, and caches
# of any size, under SeaBIOS and under OVMF, with four NUMA nodes and memory on
# both sides of the hole below 4 GiB; TAP on standard output.
#
# usage: plug.py [seabios|ovmf]... [--long]
#   (default: both, with the largest cache there from the start, and the default
#   and the largest one plugged in; --long: sizes in between as well)
#
# Environment: QEMU, QEMU_ARGS, ACCEL.

import os
import re
import sys

import guest
from faultkinds import NoStrike, wait_for
from tap import Tap

MEMORY_MIB = 5120
NODES = 4
BACKEND = 'cryptodev-backend-openssl'
KIB, MIB = 1 << 10, 1 << 20
DEFAULT = MIB

FIRMWARE = {
    'seabios': (),
    'ovmf': ('-bios', os.path.join(guest.GUEST, 'firmware-amd64/usr/share',
                                   'ovmf/OVMF.fd')),
}

# Sizes of the cache: there from the start, and plugged in, one after the other
SHORT = ((255 * MIB, (DEFAULT, 255 * MIB)), )
LONG = ((64 * KIB, (64 * KIB, 192 * KIB)),
        (DEFAULT, (DEFAULT, 16 * MIB)),
        (127 * MIB, (127 * MIB, 128 * MIB)),
        (128 * MIB, (DEFAULT, 129 * MIB)),
        (129 * MIB, (129 * MIB, 192 * MIB)),
        (255 * MIB, (DEFAULT, 255 * MIB)))

DRIVER = '/sys/bus/virtio/drivers/virtio_crypto'
LINE = 64
WINDOW_LINES = 0x40000      # a register behind the window's slots
PCI_DEVICES = '/sys/bus/pci/devices'
TIMEOUT = 90


def node_args():
    size = MEMORY_MIB // NODES
    return [word for n in range(NODES) for word in
            ('-object', f'memory-backend-memfd,id=node{n},size={size}M,'
             'share=on', '-numa', f'node,nodeid={n},memdev=node{n}')]


def device_args(cold):
    """A port with the device, and one without"""
    ports = [word for n in range(2) for word in
             ('-device', f'cxl-rp,port={n},bus=cxl.0,id=rp{n},chassis=0,'
              f'slot={n + 2},cxl-cache=on')]
    return ['-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0,numa_node=0',
            *ports, '-object', f'{BACKEND},id=c0',
            '-device', f'{guest.TYPE1},id=cold,bus=rp0,cryptodev=c0,'
                       f'cache-size={cold}', *node_args()]


def size_name(size):
    return f'{size // MIB}M' if size % MIB == 0 else f'{size // KIB}K'


class PlugTests:
    def __init__(self, vm):
        self.vm = vm

    def bound(self):
        """PCI addresses of what the stock driver is bound to"""
        text = self.vm.sh(f'for d in {DRIVER}/virtio*; do [ ! -e $d ] || '
                          'readlink -f $d; done')
        return re.findall(r'([0-9a-f]{4}:[0-9a-f:.]+)/virtio\d+', text)

    def requests(self):
        counters = self.vm.device_counters()
        return counters['sym-encrypt-ops'] + counters['sym-decrypt-ops']

    def answers(self):
        """Known answers, which the device has computed"""
        before = self.requests()
        status, output = self.vm.try_sh(f'algtest -n 5 -m 65536 '
                                        f'{guest.STOCK_DRIVER}',
                                        timeout=180)
        if status:
            return output
        return '' if self.requests() > before else 'none by the device'

    def window(self, where, size):
        """The guest finds all lines of the cache by BAR 0"""
        bar = self.vm.sh(f'head -n 1 {PCI_DEVICES}/{where}/resource').split()
        at = int(bar[0], 16) + WINDOW_LINES
        lines = int(self.vm.sh(f'devmem {at:#x} 32'), 16)
        return '' if lines == size // LINE else f'{lines} lines in the window'

    def check(self, size):
        try:
            wait_for(lambda: len(self.bound()) == 1, TIMEOUT, 'bound')
        except NoStrike as err:
            return f'{err}: ' + self.vm.sh('dmesg | tail -n 20')
        where = self.bound()[0]
        return self.answers() or self.window(where, size)

    def unplug(self, name):
        self.vm.qmp('device_del', id=name)
        wait_for(lambda: not any(
            entry['name'] == name for entry in
            self.vm.qmp('qom-list', path='/machine/peripheral')), TIMEOUT,
            'the guest lets the device go')
        wait_for(lambda: not self.bound(), TIMEOUT, 'the driver lets go')

    def hot(self, gone, size):
        """By QMP, into the port that was empty, with no option of it"""
        self.unplug(gone)
        size_option = {} if size == DEFAULT else {'cache-size': size}
        self.vm.qmp('device_add', driver=guest.TYPE1, id='hot', bus='rp1',
                    cryptodev='c0', **size_option)
        return self.check(size)

    def run(self, tap, label, cold, hots):
        tests = [(f'{label}: cache of {size_name(cold)} at boot',
                  lambda: self.check(cold))]
        names = ['cold'] + ['hot'] * len(hots)
        for name, size in zip(names, hots):
            tests.append((f'{label}: cache of {size_name(size)} plugged into '
                          'an empty slot',
                          lambda name=name, size=size: self.hot(name, size)))
        tap.guarded(tests)


def boot_and_run(tap, folder, firmware, cold, hots):
    label = f'field/03 {firmware}'
    arch = guest.AMD64._replace(firmware=FIRMWARE[firmware])
    log = os.path.join(folder, f'{firmware}-{size_name(cold)}.log')
    try:
        with guest.Guest(device_args(cold), log, arch=arch,
                         memory=f'{MEMORY_MIB}M', own_ram=True) as vm:
            PlugTests(vm).run(tap, label, cold, hots)
    except guest.GuestError as err:
        tap.point(False, f'{label}: the guest boots with a cache of '
                  f'{size_name(cold)}', err)


def main(words):
    wanted = [word for word in words if word != '--long'] or list(FIRMWARE)
    folder = os.path.join(guest.BUILD, 'plug')
    os.makedirs(folder, exist_ok=True)
    tap = Tap()
    for firmware in wanted:
        for cold, hots in LONG if '--long' in words else SHORT:
            boot_and_run(tap, folder, firmware, cold, hots)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
