#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the device reaches behind an IOMMU, with a driver in user space (vfio.py)
# that maps and hands out what it likes; TAP on standard output.  And the proof
# that a device which keeps a translation too long is seen.
#
# usage: isolation.py [intel|intel-scalable|intel-noats|virtio]...
#                                                             (default: all)
#
# Environment: QEMU, QEMU_ARGS, RAM, ACCEL, WRITEBACK.

import os
import re
import sys

import guest
from tap import run_parts
from vfio import VfioTests, function_name

BACKEND = 'cryptodev-backend-openssl'
STALE = 'the same page, unmapped'
DMAR_FAULT = re.compile(r'DMAR: \[.* Request device \[([0-9a-f:.]+)\] '
                        r'fault addr 0x([0-9a-f]+)')
VIRTIO_FAULT = re.compile(r'virtio_iommu .* fault from EP (\d+) '
                          r'at 0x([0-9a-f]+)')


def faults(vm):
    log = vm.sh('dmesg')
    return [(f'0000:{device}', int(addr, 16))
            for device, addr in DMAR_FAULT.findall(log)] + \
        [(function_name(int(requester)), int(addr, 16))
         for requester, addr in VIRTIO_FAULT.findall(log)]


def translations(vm):
    return vm.qmp('x-query-cxl-cache')['devices'][0]['translations']


def counted(vm, ats):
    """Refusals and invalidations, where translations are asked for at all"""
    count = translations(vm)
    used = [name for name in ('misses', 'refusals', 'invalidations')
            if count[name]]
    good = len(used) == 3 if ats else not used
    return '' if good else f'{count}'


def not_invalidated(tests):
    """The same with a device that does not hear invalidations"""
    set_ignore = dict(path='/machine/cxl-cache',
                      property='x-no-ats-invalidate')
    tests.vm.qmp('qom-set', value=True, **set_ignore)
    why = tests.user_driver()
    tests.vm.qmp('qom-set', value=False, **set_ignore)
    failed = re.findall(r'^not ok \d+ - (.*)', tests.output, re.M)
    return '' if STALE in failed else f'{why} {failed}'


def isolation(kind, ats=True):
    def run(tap, folder):
        os.environ['IOMMU'] = kind
        args = guest.device_args(guest.TYPE1, BACKEND)
        try:
            with guest.Guest(args, os.path.join(folder,
                                                f'{kind}.log')) as vm:
                tests = VfioTests(vm, faults)
                tests.run(tap, kind)
                tap.guarded([(f'{kind}: translations are counted',
                              lambda: counted(vm, ats))])
                if ats:
                    tap.guarded([(f'{kind}: without invalidations a stale '
                                  'address is used',
                                  lambda: not_invalidated(tests))])
        except guest.GuestError as err:
            tap.point(False, f'{kind}: the guest boots', err)
    return run


PARTS = {'intel': isolation('intel'),
         'intel-scalable': isolation('intel-scalable'),
         'intel-noats': isolation('intel-noats', False),
         'virtio': isolation('virtio', False)}

if __name__ == '__main__':
    sys.exit(run_parts(PARTS, os.path.join(guest.BUILD, 'guest-check'),
                       sys.argv[1:]))
