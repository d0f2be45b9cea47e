# SPDX-License-Identifier: GPL-2.0-or-later
#
# The IOMMU that a guest's machine has, and what its kernel does with it.
#
# IOMMU of the environment: none (default), intel (legacy mode), intel-scalable
# (second stage tables per PASID), intel-noats (without a device-TLB) or
# virtio, which has no ATS and which Debian's default kernel has no driver for.
#
# IOMMU_DOMAINS: strict (default; a mapping is gone when it is unmapped), lazy
# (invalidations are collected) or passthrough (everything stays mapped).

import collections
import os

Kind = collections.namedtuple('Kind', 'device cmdline ats kernel')

INTEL = 'intel_iommu=on'

KINDS = {
    'none': Kind('', '', False, ''),
    'intel': Kind('intel-iommu,intremap=on,device-iotlb=on',
                  f'{INTEL},sm_off', True, ''),
    'intel-scalable': Kind(
        'intel-iommu,intremap=on,device-iotlb=on,scalable-mode=on',
        f'{INTEL},sm_on', True, ''),
    'intel-noats': Kind('intel-iommu,intremap=on', f'{INTEL},sm_off',
                        False, ''),
    'virtio': Kind('virtio-iommu-pci', '', False, '612'),
}

DOMAINS = {
    'strict': 'iommu.strict=1 iommu.passthrough=0',
    'lazy': 'iommu.strict=0 iommu.passthrough=0',
    'passthrough': 'iommu.passthrough=1',
}


def name():
    return os.environ.get('IOMMU') or 'none'


def kind():
    return KINDS[name()]


def present():
    return bool(kind().device)


def interrupts_remapped():
    return 'intremap=on' in kind().device


def translated():
    """Does the kernel give devices addresses of their own?"""
    return present() and domains() != 'passthrough'


def domains():
    return os.environ.get('IOMMU_DOMAINS') or 'strict'


def machine_args():
    """Ahead of all devices: they see the IOMMU that was there before."""
    return ['-device', kind().device] if present() else []


def kernel_options():
    return f'{kind().cmdline} {DOMAINS[domains()]}' if present() else ''


def device_properties():
    """For virtio devices that bypass an IOMMU unless they are told"""
    return {'iommu_platform': 'on', 'disable-legacy': 'on'} if present() else {}


def device_option():
    return ''.join(f',{key}={value}'
                   for key, value in device_properties().items())
