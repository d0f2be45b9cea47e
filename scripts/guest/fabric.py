#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A composable system: a Linux guest with four accelerators, two of them below a
# switch beside a memory device, and two LUKS volumes under load. A fabric manager
# in the guest (tests/guest/cxl-fm.c) takes accelerators away by the switch's
# mailbox and gives them back; TAP on standard output.
#
# No volume may see an error, every block must be right, and the memory must be
# what it was. At the end the host decrypts both images without our code.
#
# Environment: KERNEL (6.12 or later), QEMU, QEMU_ARGS, ACCEL.

import hashlib
import os
import subprocess
import sys

import faultguest
import guest
import hostcheck
import volume
from campaign import IN_USE, INSTEAD, STALL
from faultkinds import DEVICES, USED, NoStrike, line_totals, wait_for
from faultload import Load, age, verify
from tap import Tap

FOLDER = os.path.join(guest.BUILD, 'fabric')
MEMORY = '1G'
ACCELERATORS = 4
BELOW_SWITCH = ('p0', 'p1')
# vPPB 0 is the upstream port, the next are the downstream ports in order
VPPB = {'p0': 1, 'p1': 2, 'memory': 3}
PORT = {'p0': 0, 'p1': 1}
CCI_ID = '0xa123'
TYPE_1, TYPE_3 = 2, 5
REFUSED = 2

REGION_MIB = 256
PATTERN_MIB = 4
PATTERN_SEED = 7
DAX = '/dev/dax0.0'

DISK_MIB = 40           # 16 of it for LUKS
LOAD = {'threads': 2, 'mib': 4}
TIMEOUT = 60
TIME_LIMIT_MS = 3000
REST_MS = 100


class Volume:
    """One of the two: its image, and where the guest has it"""

    def __init__(self, number):
        self.disk = f'/dev/vd{"ab"[number]}'
        self.name = f'vault{number}'
        self.where = f'/mnt/{number}'
        self.image = os.path.join(FOLDER, f'volume{number}.img')
        self.table = os.path.join(FOLDER, f'volume{number}.table')
        self.load = None
        faultguest.new_disk(self.image, DISK_MIB)

    def args(self):
        number = self.disk[-1]
        return ['-drive', f'file={self.image},format=raw,if=none,'
                          f'id=disk{number},cache=unsafe',
                '-device', f'virtio-blk-pci,bus=pcie.0,drive=disk{number},'
                           f'logical_block_size={faultguest.SECTOR},'
                           f'physical_block_size={faultguest.SECTOR}']

    def begin(self, vm, seed):
        volume.luks_format(vm, disk=self.disk)
        volume.luks_open(vm, self.disk, self.name)
        volume.make_filesystem(vm, self.name)
        volume.mount(vm, self.name, self.where)
        self.load = Load(vm, seed, where=self.where, name=self.name, **LOAD)

    def judge(self):
        state = self.load.state()
        if state['bad_blocks'] or state['io_errors'] or \
           state['under_way_ms'] > STALL * 1000:
            return f'{self.name}: {state}'
        return ''

    def end(self, vm):
        wrong = self.judge()
        state = self.load.stop(self.table)
        volume.unmount(vm, self.where)
        volume.luks_close(vm, self.name)
        if state['io_errors'] or state['bad_blocks']:
            return f'{self.name}: {state}'
        return wrong

    def host_part(self):
        """What the host finds; it must be able to find something"""
        plain = os.path.join(FOLDER, 'plain.img')
        try:
            hostcheck.decrypt(self.image, plain, volume.PASSPHRASE)
            hostcheck.filesystem_clean(plain)
            wrong = verify(plain, self.table, self.load.files)
            if not wrong and not verify(plain, age(self.table),
                                        self.load.files):
                wrong = 'another generation of a block would not be noticed'
        except hostcheck.HostCheckError as err:
            return str(err)
        if not wrong:
            os.remove(plain)
            os.remove(self.image)
        return wrong


def accelerator_args(number, port, flits=''):
    return ['-object', f'{faultguest.BACKEND},id=c{number}',
            '-device', f'{guest.TYPE1},id=t{number},bus={port},'
                       f'cryptodev=c{number}{flits}']


def fabric_args(memory):
    """
    Two root ports with a device each, and a third with the switch, whose mailbox
    is the function beside its upstream port
    """
    root = 'cxl-rp,bus=cxl.0,chassis=0,cxl-cache=on'
    down = 'cxl-downstream,bus=us,chassis=1'
    return [
        '-object', f'memory-backend-memfd,id=ram,size={MEMORY},share=on',
        '-numa', 'node,nodeid=0,memdev=ram',
        '-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0,numa_node=0',
        *(word for n in range(3) for word in
          ('-device', f'{root},port={n},id=rp{n},slot={n + 2}')),
        '-device', 'cxl-upstream,bus=rp2,id=us,addr=0.0,multifunction=on,'
                   'cxl-cache=on,x-256b-flit=on',
        '-device', 'cxl-switch-mailbox-cci,bus=rp2,addr=0.1,target=us',
        *(word for n, port in enumerate(BELOW_SWITCH) for word in
          ('-device', f'{down},port={n},id={port},slot={n},cxl-cache=on')),
        '-device', f'{down},port=2,id=p2,slot=2',
        '-object', f'memory-backend-file,id=vmem,size={REGION_MIB}M,share=on,'
                   f'mem-path={memory}',
        '-device', 'cxl-type3,bus=p2,volatile-memdev=vmem,id=memory',
        *accelerator_args(0, 'rp0'), *accelerator_args(1, 'rp1'),
        *accelerator_args(2, 'p0', ',x-256b-flit=on'),
        *accelerator_args(3, 'p1', ',x-256b-flit=on')]


class FabricTests:
    def __init__(self, vm, volumes, memory):
        self.vm = vm
        self.volumes = volumes
        self.memory = memory
        self.cci = ''
        self.slots = {}         # of the devices below the switch, by port

    # -- looking

    def driven(self):
        """State and number of requests of each device that our driver has"""
        lines = (line.split() for line in
                 self.vm.sh(f'cat {DEVICES}').splitlines()[1:])
        return {words[1]: (words[2], int(words[3])) for words in lines}

    def used(self):
        return [slot for slot, (state, _) in self.driven().items()
                if state in USED]

    def wait(self, condition, text):
        """Until it holds; the volumes must be right all the time"""
        def good():
            for one in self.volumes:
                wrong = one.load and one.judge()
                if wrong:
                    raise guest.GuestError(wrong)
            return condition()
        try:
            wait_for(good, TIMEOUT, text)
        except NoStrike as err:
            raise guest.GuestError(
                f'{err}: {self.driven()}\n'
                f'{self.vm.sh("dmesg | tail -n 20")}') from None

    def rise(self, slots, number, text):
        """Each of the devices does so many requests more"""
        before = self.driven()
        self.wait(lambda: all(
            self.driven().get(slot, ('', 0))[1] >= before[slot][1] + number
            for slot in slots), text)

    def goes_on(self):
        """Every thread of every load does something"""
        before = [one.load.counts() for one in self.volumes]
        self.wait(lambda: all(
            now > then for one, counts in zip(self.volumes, before)
            for now, then in zip(one.load.counts(), counts)),
            'the volumes go on')

    def fm(self, *words):
        """What the fabric manager says of a command that succeeds"""
        return self.vm.sh(f'cxl-fm {self.cci} {" ".join(map(str, words))}')

    # -- points

    def attached(self):
        self.vm.sh(f'modprobe {guest.MODULE} time_limit_ms={TIME_LIMIT_MS} '
                   f'rest_ms={REST_MS}')
        self.wait(lambda: len(self.used()) == ACCELERATORS, 'four devices')
        self.cci = self.vm.sh(f'grep -l {CCI_ID} /sys/bus/pci/devices/*/device'
                              ).split('/')[-2]
        below = sorted(
            slot for slot in self.used() if self.vm.sh(
                f'readlink -f /sys/bus/pci/devices/{slot}').count('/0000:') > 2)
        if len(below) != len(BELOW_SWITCH):
            return f'below the switch: {below}'
        self.slots = dict(zip(BELOW_SWITCH, below))
        return ''

    def switch(self):
        said = self.fm('identify')
        if said != 'ports 4 virtual-switches 1 vppbs 4 bound 4':
            return said
        said = self.fm('ports', 0, 1, 2).splitlines()
        want = [f'port {n} type {kind}' for n, kind in
                enumerate((TYPE_1, TYPE_1, TYPE_3))]
        return '' if said == want else f'{said}'

    def region(self):
        self.vm.sh('for m in cxl_acpi cxl_pci cxl_port cxl_mem dax_cxl '
                   'device_dax; do modprobe $m; done')
        self.wait(lambda: '"mem0"' in self.vm.sh('cxl list -M'), 'mem0')
        # Debian 12's "cxl create-region" knows persistent memory alone
        size = hex(REGION_MIB << 20)
        status, said = self.vm.try_sh('(' + '; '.join((
            'set -e', 'cd /sys/bus/cxl/devices',
            'r=$(cat decoder0.0/create_ram_region)',
            'e=$(basename $(ls -d endpoint*/decoder*.0))',
            'echo $r > decoder0.0/create_ram_region',
            'echo 256 > $r/interleave_granularity',
            'echo 1 > $r/interleave_ways', 'echo ram > $e/mode',
            f'echo {size} > $e/dpa_size', f'echo {size} > $r/size',
            'echo $e > $r/target0', 'echo 1 > $r/commit',
            'echo $r > /sys/bus/cxl/drivers/cxl_region/bind',
            # Else it waits for a driver that makes ordinary memory of it
            f'echo {os.path.basename(DAX)} > '
            '/sys/bus/dax/drivers/device_dax/new_id')) + ')')
        if status:
            return f'{said}\n{self.vm.sh("dmesg | tail -n 20")}'
        said = self.vm.sh('cxl list -R')
        if '"decode_state":"commit"' not in said or \
           f'"size":{REGION_MIB << 20}' not in said:
            return said
        self.wait(lambda: self.vm.try_sh(
            f'daxmap read {DAX} 0 1 > /dev/null')[0] == 0, f'{DAX} works')
        self.vm.sh(f'pattern random {PATTERN_SEED} {PATTERN_MIB << 20} | '
                   f'daxmap write {DAX} 0', timeout=180)
        return self.region_holds()

    def region_holds(self):
        """What was written, by loads and in the memory device's own file"""
        pattern = os.path.join(guest.GUEST, 'pattern')
        want = hashlib.sha256(subprocess.run(
            [pattern, 'random', str(PATTERN_SEED), str(PATTERN_MIB << 20)],
            capture_output=True, check=True).stdout).hexdigest()
        said = self.vm.sh(f'daxmap read {DAX} 0 {PATTERN_MIB << 20} | '
                          'sha256sum', timeout=180).split()[0]
        if said != want:
            return 'the guest reads something else'
        with open(self.memory, 'rb') as file:
            data = file.read(PATTERN_MIB << 20)
        return '' if hashlib.sha256(data).hexdigest() == want else \
            'the memory device holds something else'

    def spread(self):
        for number, one in enumerate(self.volumes):
            one.begin(self.vm, number + 1)
        self.rise(self.used(), IN_USE, 'each device has requests')
        return ''

    def unbind(self, port, how):
        """One under load goes; others do its work, and nothing is lost"""
        before = line_totals(self.vm)
        done = self.backend_requests(port)
        self.fm('unbind', VPPB[port], how)
        slot = self.slots[port]
        self.wait(lambda: slot not in self.driven(), 'the driver lets go')
        self.rise(self.used(), INSTEAD, 'others do its work')
        self.goes_on()
        after = line_totals(self.vm)
        if after['lost'] != before['lost'] or \
           after['poisoned'] != before['poisoned']:
            return f'lines of it: {after}'
        if how == 'managed' and after['rescued'] != before['rescued']:
            return f'it did not write back all: {after}'
        if not done:
            return 'it had no work'
        said = self.fm('list').splitlines()
        if f'vppb {VPPB[port]} unbound port 0' not in said:
            return f'{said}'
        # It is not the host's any more, and still where it is plugged in
        if f'port {PORT[port]} type {TYPE_1}' != self.fm('ports', PORT[port]):
            return self.fm('ports', PORT[port])
        said = self.fm('events').splitlines()
        return '' if said == [f'vppb {VPPB[port]} unbound'] else f'{said}'

    def backend_requests(self, port):
        number = BELOW_SWITCH.index(port) + ACCELERATORS - len(BELOW_SWITCH)
        return sum(stat['value'] for entry in
                   self.vm.qmp('query-stats', target='cryptodev')
                   if entry['qom-path'].endswith(f'/c{number}')
                   for stat in entry['stats']
                   if stat['name'] in ('sym-encrypt-ops', 'sym-decrypt-ops'))

    def bind(self, port):
        self.fm('bind', VPPB[port], PORT[port])
        self.wait(lambda: self.slots[port] in self.used(), 'it is used again')
        self.rise([self.slots[port]], IN_USE, 'it has requests again')
        self.goes_on()
        return ''

    def link(self):
        """One loses its link under load, and has it again"""
        port = BELOW_SWITCH[0]
        slot = self.slots[port]
        device = f't{ACCELERATORS - len(BELOW_SWITCH)}'
        self.fm('events')
        self.vm.qmp('x-cxl-type1-fault', id=device, fault='link-down')
        self.wait(lambda: slot not in self.driven(), 'the driver lets go')
        self.goes_on()
        self.vm.qmp('x-cxl-type1-fault', id=device, fault='clear')
        self.wait(lambda: slot in self.used(), 'it is used again')
        said = self.fm('events').splitlines()
        return '' if said == [f'port {PORT[port]} link down',
                              f'port {PORT[port]} link up'] else f'{said}'

    def refused(self):
        """A host's memory is not taken from it"""
        status, said = self.vm.try_sh(
            f'cxl-fm {self.cci} unbind {VPPB["memory"]} surprise')
        return '' if status == REFUSED else f'{status}: {said}'

    def software(self):
        """Without any device"""
        for port in BELOW_SWITCH:
            self.fm('unbind', VPPB[port], 'surprise')
        for number in range(ACCELERATORS - len(BELOW_SWITCH)):
            self.vm.qmp('x-cxl-type1-fault', id=f't{number}',
                        fault='hw-not-ready')
        self.wait(lambda: not self.used(), 'no device is used')
        before = self.vm.module_counters()['software_requests']
        self.wait(lambda: self.vm.module_counters()['software_requests'] >
                  before + INSTEAD, 'software does the work')
        self.goes_on()
        return ''

    def end(self):
        wrong = [one.end(self.vm) for one in self.volumes]
        with open(self.vm.log, errors='replace') as log:
            wrong += guest.complaints(log.read())
        return '\n'.join(filter(None, wrong))

    def tests(self):
        return [
            ('four accelerators, two of them below the switch', self.attached),
            ('the fabric manager finds the switch and what is below it',
             self.switch),
            ('cxl list shows a region of the memory beside them, and it holds '
             'what is written to it', self.region),
            ('two LUKS volumes have all four at work', self.spread),
            ('managed unbind under load: the others go on, nothing is lost',
             lambda: self.unbind('p0', 'managed')),
            ('surprise unbind under load: likewise',
             lambda: self.unbind('p1', 'surprise')),
            ('bound again: both are used again',
             lambda: self.bind('p0') or self.bind('p1')),
            ('a link is lost under load, and the fabric manager hears of it',
             self.link),
            ('a host keeps its memory', self.refused),
            ('with no device left, software goes on', self.software),
            ('the region holds what was written to it', self.region_holds),
            ('no error, and the kernel is content', self.end)]


def main():
    os.makedirs(FOLDER, exist_ok=True)
    memory = os.path.join(FOLDER, 'memory')
    with open(memory, 'wb') as file:
        file.truncate(REGION_MIB << 20)
    volumes = [Volume(number) for number in range(2)]
    tap = Tap()
    args = fabric_args(memory)
    for one in volumes:
        args += one.args()
    # Linux makes a region where it can flush CPUs' caches, which it believes of
    # no virtual machine
    arch = guest.AMD64._replace(cpu='max,hypervisor=off')
    try:
        with guest.Guest(args, os.path.join(FOLDER, 'guest.log'), arch=arch,
                         machine=',cxl-fmw.0.targets.0=cxl.0,'
                                 'cxl-fmw.0.size=1G',
                         memory=MEMORY, own_ram=True) as vm:
            tap.guarded(FabricTests(vm, volumes, memory).tests())
        os.remove(memory)
        tap.guarded([(f'the host decrypts volume {number} and finds every '
                      'block right', one.host_part)
                     for number, one in enumerate(volumes)])
    except guest.GuestError as err:
        tap.point(False, 'the guest boots', err)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0


if __name__ == '__main__':
    sys.exit(main())
