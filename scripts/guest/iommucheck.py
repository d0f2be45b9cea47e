# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of the device behind each IOMMU: the demo, with what iommu.py looks at,
# and a guest where invalidations are ignored, which has to go wrong.

import os
import subprocess
import sys

import guest
import iommu

HERE = os.path.dirname(os.path.realpath(__file__))
KINDS = ('intel', 'intel-scalable', 'virtio')
SIZE = '4'      # MiB


def demo_behind(tap, folder, demo, kind):
    """Each check of the demo is a point."""
    report, status = demo(os.path.join(folder, f'iommu-{kind}'), SIZE=SIZE,
                          IOMMU=kind, IOMMU_DOMAINS='strict',
                          DEVICE=guest.TYPE1, RAM='memfd', DEMO_NO_MODULE='',
                          BACKEND='cryptodev-backend-openssl',
                          WRITEBACK='on-demand')
    for entry in report.get('checks', ()):
        tap.point(entry['ok'], f'{kind}: {entry["name"]}', entry['detail'])
    tap.point(status == 0 and report.get('iommu') == kind and
              report['host_check'] == 'ok',
              f'{kind}: the demo is good', report['failed'])


def stale(vm):
    """
    Known answers by mappings that end and are made anew.  A device that is
    wrong about them writes to memory that is not its own: whatever then
    goes wrong, the guest with it, is what is wanted.
    """
    vm.sh(f'modprobe {guest.MODULE}')
    checks = iommu.Checks(vm, lambda *_: None)
    before = checks.translations()
    wrong = vm.try_sh(f'algtest -n 50 {guest.OUR_DRIVER}', timeout=180)
    if wrong[0] or checks.translations()['hits'] != before['hits']:
        return f'with invalidations: {wrong[1]}'
    vm.qmp('qom-set', path='/machine/cxl-cache',
           property='x-no-ats-invalidate', value=True)
    try:
        status, output = vm.try_sh(f'algtest -n 50 {guest.OUR_DRIVER}',
                                   timeout=60)
    except guest.GuestHangs:
        status = 1
    used = checks.translations()['hits']
    if not used:
        return 'no translation was used twice'
    return '' if status else f'the answers are right all the same: {output}'


def negative_control(tap, folder):
    os.environ.update(IOMMU='intel', IOMMU_DOMAINS='strict')
    why = ''
    try:
        args = guest.device_args(guest.TYPE1, 'cryptodev-backend-openssl')
        with guest.Guest(args, os.path.join(folder, 'stale.log')) as vm:
            why = stale(vm)
    except guest.GuestError as err:
        why = str(err)
    finally:
        del os.environ['IOMMU'], os.environ['IOMMU_DOMAINS']
    tap.point(not why, 'without invalidations the answers are wrong', why)


def run(tap, folder, demo):
    built = subprocess.run([os.path.join(HERE, 'image.sh'), 'kernel612'],
                           stdout=sys.stderr, check=False)
    tap.point(built.returncode == 0, 'a kernel with a driver of virtio-iommu')
    for kind in KINDS:
        demo_behind(tap, folder, demo, kind)
    negative_control(tap, folder)
