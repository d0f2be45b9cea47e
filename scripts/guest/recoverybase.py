# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the tests of recovery.py have in common: a volume that is open through
# all of them, a load on it, and what has to hold after each.
#
# Two loops in the guest work on the volume with direct I/O, one a processor: one
# reads an area and compares it, which deciphers in place, and one writes another
# area.  After a test both areas are read with the kernel's own AES, and through
# the device again.

import re
import time

import guest
from faultkinds import Accelerator, NoStrike, wait_for

PARAMETERS = f'/sys/module/{guest.MODULE}/parameters'
STATS = f'/sys/kernel/debug/{guest.MODULE}/stats'
CIPHER = 'xts-aes-cxl-type1'
SOFTWARE = 'xts-aes-aesni'
KEY = '5a' * 32 + 'a5' * 32

AREA_MIB = 2
DISK_MIB = 64
LIMIT_MS = 1000
REST_MS = 200
BACK_TIMEOUT = 30

# In the guest, a line each.  /run/busy is there as long as the loops run.
LOOPS = ' '.join(f'''
touch /run/busy; rm -f /run/writer /run/reader; : > /run/bad;
(while [ -e /run/busy ]; do
    dd if=/dev/mapper/live bs=64k count={AREA_MIB * 16} iflag=direct
        2>/run/reader.err | cmp -s - /run/area0 ||
        {{ echo reader; cat /run/reader.err; }};
done; touch /run/reader) >>/run/bad 2>&1 &
(while [ -e /run/busy ]; do
    for area in /run/area1 /run/area2; do
        dd if=$area of=/dev/mapper/live bs=64k seek={AREA_MIB * 16}
            oflag=direct 2>/run/writer.err ||
            {{ echo writer; cat /run/writer.err; }};
    done;
done; touch /run/writer) >>/run/bad 2>&1 &
'''.split())

STOP = ('rm -f /run/busy; while ! [ -e /run/reader -a -e /run/writer ]; do '
        'sleep 0.1; done; cat /run/bad')


class Recovery:
    def __init__(self, vm):
        self.vm = vm
        self.device = Accelerator(vm)

    def set(self, **parameters):
        for name, value in parameters.items():
            self.vm.sh(f'echo {value} > {PARAMETERS}/{name}')

    def counters(self):
        return self.vm.module_counters()

    def state(self):
        return self.vm.sh(f'head -n1 {STATS}').split()[1]

    def table(self, driver):
        return (f'0 {DISK_MIB * 2048} crypt capi:{driver}-plain64 {KEY} 0 '
                '/dev/vda 0 1 sector_size:4096')

    def open(self, name, driver):
        self.vm.sh(f'dmsetup create {name} --table "{self.table(driver)}"')

    def prepare(self):
        self.vm.sh('mount -t debugfs debugfs /sys/kernel/debug; '
                   f'modprobe {guest.MODULE}')
        self.set(time_limit_ms=LIMIT_MS, rest_ms=REST_MS)
        for area in range(3):
            self.vm.sh(f'pattern random {area} {AREA_MIB << 20} > '
                       f'/run/area{area}')
        self.open('live', CIPHER)
        self.vm.sh('cat /run/area0 /run/area1 | dd of=/dev/mapper/live bs=64k '
                   'iflag=fullblock oflag=direct 2>/dev/null')
        return '' if self.state() == 'device' else self.state()

    def read_back(self, mapping):
        """What is in the two areas, as the first one of equal content"""
        return self.vm.sh(
            'echo 3 > /proc/sys/vm/drop_caches; cd /run; for skip in 0 '
            f'{AREA_MIB}; do dd if=/dev/mapper/{mapping} bs=1M skip=$skip '
            f'count={AREA_MIB} of=/run/found 2>/dev/null; '
            'for a in area0 area1 area2 nothing; do '
            'cmp -s /run/found $a && break; done; echo $a; done').split()

    def areas(self):
        """Both areas with the kernel's own AES, and through our module"""
        self.open('plain', SOFTWARE)
        software = self.read_back('plain')
        self.vm.sh('dmsetup remove plain')
        ours = self.read_back('live')
        if software != ours or software not in (['area0', 'area1'],
                                                ['area0', 'area2']):
            return f'software reads {software}, our module {ours}\n'
        return ''

    def is_back(self):
        """On the device: it does what is read now, and nothing else does"""
        before = self.counters()
        self.vm.sh('dd if=/dev/mapper/live of=/dev/null bs=64k count=8 '
                   'iflag=direct 2>/dev/null')
        after = self.counters()
        return self.state() in ('device', 'errors') and \
            after['device_bytes'] - before['device_bytes'] >= 8 << 16

    def kernel_log(self):
        """Since the last time"""
        return self.vm.sh('dmesg -c')

    def during(self, outage, changes=4):
        """
        Start the load, have the outage, see that the module is back on the
        device, and that nothing is wrong.  @changes: of the module's state,
        so many may be logged.
        """
        self.kernel_log()
        before = self.counters()
        self.vm.sh(LOOPS)
        wrong = ''
        try:
            self.busy_on_device()
            wrong += outage() or ''
            wait_for(self.is_back, BACK_TIMEOUT, 'the device is used again')
        except NoStrike as err:
            wrong += f'{err}; state: {self.state()}\n'
        wrong += self.vm.sh(STOP, timeout=180)
        wrong += self.areas()
        after = self.counters()
        self.delta = {key: after[key] - before[key] for key in after}
        log = self.kernel_log()
        wrong += '\n'.join([*guest.complaints(log), *re.findall(
            '.*could not stop engine', log)])
        said = [line for line in log.splitlines() if guest.MODULE in line and
                'on purpose' not in line]
        if len(said) > changes:
            wrong += '\n'.join(['too much is said:', *said])
        if wrong:
            wrong += f'\n{self.delta}\n' + '\n'.join(log.splitlines()[-40:])
        return wrong

    def busy_on_device(self):
        start = self.counters()['device_requests']
        wait_for(lambda: self.counters()['device_requests'] > start + 100,
                 BACK_TIMEOUT, 'the load is on the device')

    def expect(self, wrong, **least):
        """After during(): counters that must have gone up by so much"""
        for name, value in least.items():
            if self.delta[name] < value:
                wrong += f'{name}: {self.delta[name]}, not {value}\n'
        return wrong

    def wait_hung(self, count=1):
        goal = self.hangs + count
        wait_for(lambda: self.counters()['hangs'] >= goal, BACK_TIMEOUT,
                 'the module has lost patience')

    def software(self):
        return self.counters()['software_requests']

    def wait_software(self, start=None):
        """
        Detached, and at work all the same.  @start: software() when it began,
        for where it may be over before it is looked at: what was lost is enough
        """
        goal = self.software() + 100 if start is None else start
        wait_for(lambda: self.software() > goal, BACK_TIMEOUT,
                 'software is at work')

    def wait_removed(self):
        """
        The guest has noticed, and powered the slot off.  Linux ignores a card
        that is plugged in within the second after that.
        """
        wait_for(lambda: self.vm.sh('cat /sys/bus/pci/slots/2/power') == '0',
                 BACK_TIMEOUT, 'the slot is off')
        time.sleep(1.5)
