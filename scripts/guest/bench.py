#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How fast is the device, seen from inside the guest?
#
# Five guests: our device and back end with results written back on demand, at
# completion, through, and as it proves best, and virtio-crypto-pci with the
# builtin back end.
# They take turns, the others stopped, so that a noisy machine is noisy for
# all; medians count.
#
# AF_ALG: the same stock driver.  dm-crypt: the same driver of ours, over a
# device that is all zeroes and costs nothing: AES-CBC, which is all that the
# builtin back end offers; and, in our guest, AES-XTS as cryptsetup makes it,
# against the kernel's software AES.  idle: work that leaves the device alone.
# What a request takes: descriptors, notifications, interrupts.
#
# Environment: ROUNDS (default 9), DEVICE and BACKEND for our side, QEMU,
# QEMU_ARGS; PEER_QEMU, the prefix below which another QEMU is installed, for the
# other side.  Writes build/bench/results.json, where a ratio above 1 means
# that ours is better, be it throughput or latency.

import contextlib
import os
import statistics
import sys

import guest

PEER = ('virtio-crypto-pci', 'cryptodev-backend-builtin')
MS = 300
THREADS = 8
# size -> how many times as good as the peer
SIZES = {512: 0.9, 4096: 0.9, 65536: 1.5}
CBC = 'cbc-aes-cxl-type1'
XTS = 'xts-aes-cxl-type1'
SOFTWARE = 'xts-aes-aesni'
KEYS = {CBC: '11' * 32, XTS: '11' * 32 + '22' * 32, SOFTWARE: '11' * 32 +
        '22' * 32}
DM_MIB = 32
DM_SECTORS = (4096, 512)
WRITEBACKS = ('on-demand', 'completion', 'through', 'adaptive')
IDLE_MIB = 48


def size_name(size):
    return f'{size // 1024} KiB' if size >= 1024 else f'{size} B'


def restore(name, value):
    if value is None:
        del os.environ[name]
    else:
        os.environ[name] = value


def installed(prefix):
    """The emulator that is installed below a prefix"""
    for folder in ('bin', 'usr/bin'):
        path = os.path.join(prefix, folder, guest.AMD64.emulator)
        if os.access(path, os.X_OK):
            return path
    sys.exit(f'PEER_QEMU={prefix}: there is no bin/{guest.AMD64.emulator}, '
             f'nor usr/bin/{guest.AMD64.emulator}')


class Bench:
    def __init__(self):
        self.rounds = int(os.environ.get('ROUNDS') or 9)
        self.dir = os.path.join(guest.BUILD, 'bench')
        os.makedirs(self.dir, exist_ok=True)
        self.say = guest.Progress()
        self.results = {}

    def start(self, name, device, backend, writeback='on-demand'):
        os.environ['WRITEBACK'] = writeback
        return guest.Guest(guest.device_args(device, backend),
                           os.path.join(self.dir, f'{name}.log'))

    def start_peer(self, qemu):
        """@qemu: another emulator, or None"""
        with contextlib.ExitStack() as back:
            if qemu:
                back.callback(restore, 'QEMU', os.environ.get('QEMU'))
                os.environ['QEMU'] = qemu
            return self.start('peer', *PEER)

    def turns(self, guests, work):
        """What @work measures in each guest, the others stopped; by name."""
        samples = {name: [] for name in guests}
        for _ in range(self.rounds):
            for name, vm in guests.items():
                vm.qmp('cont')
                samples[name].append(work(vm))
                vm.qmp('stop')
        return samples

    def result(self, name, ours, peer, unit, target, smaller=False):
        """@ours, @peer: samples. @smaller: less is better"""
        mine, other = statistics.median(ours), statistics.median(peer)
        ratio = other / mine if smaller else mine / other
        self.results[name] = {'ours': round(mine, 2), 'peer': round(other, 2),
                              'ratio': round(ratio, 3), 'unit': unit,
                              'target': target}
        best = min if smaller else max
        mine_best, other_best = best(ours), best(peer)
        best_ratio = (other_best / mine_best if smaller
                      else mine_best / other_best)
        verdict = 'ok' if ratio >= target else 'BELOW TARGET'
        self.say(f'{name:40} {mine:10.2f} {other:10.2f} {unit:5} '
                 f'x{ratio:.2f} (best rounds x{best_ratio:.2f}, '
                 f'target x{target:.2f}) {verdict}')

    def alg(self, vm, operation, size, threads):
        """(MB/s, median latency in microseconds)"""
        words = vm.sh(f'algbench {guest.STOCK_DRIVER} {operation} {size} '
                      f'{MS} {threads}').split()
        count, nanoseconds, median = (float(word) for word in words[:3])
        return count * size * 1000 / nanoseconds, median

    def compare_alg(self, guests):
        self.say(f'{"AF_ALG, " + guest.STOCK_DRIVER:40} {"ours":>10} '
                 f'{"peer":>10}')
        for size, target in SIZES.items():
            for operation in ('encrypt', 'decrypt'):
                rates = self.turns(guests, lambda vm: self.alg(
                    vm, operation, size, THREADS)[0])
                times = self.turns(guests, lambda vm: self.alg(
                    vm, operation, size, 1)[1])
                for writeback in WRITEBACKS:
                    name = f'{operation} {size_name(size)} {writeback}'
                    self.result(f'{name} throughput', rates[writeback],
                                rates['peer'], 'MB/s', target)
                    self.result(f'{name} latency', times[writeback],
                                times['peer'], 'us', target, smaller=True)

    def compare_idle(self, guests):
        """Nobody has asked the device for anything yet."""
        work = (f'pattern random 1 {IDLE_MIB << 20} > /tmp/x && '
                'sha256sum < /tmp/x && rm /tmp/x')

        def rate(vm):
            start, _, end = vm.sh(
                f'cut -d" " -f1 /proc/uptime; {work}; '
                'cut -d" " -f1 /proc/uptime', timeout=600).split('\n')
            return IDLE_MIB / max(float(end) - float(start), 0.01)

        rates = self.turns(guests, rate)
        self.result('idle device: other work', rates['on-demand'],
                    rates['peer'], 'MB/s', 1.0)

    def dm_open(self, vm, name, driver, sector):
        size = '' if sector == 512 else f'1 sector_size:{sector}'
        vm.sh(f'dmsetup create {name} --table "0 {DM_MIB * 2048} crypt '
              f'capi:{driver}-plain64 {KEYS[driver]} 0 /dev/mapper/zero 0 {size}"')

    def dm_rate(self, vm, name, writing):
        """MB/s of a pass over the whole volume"""
        device = f'/dev/mapper/{name}'
        between = (f'if=/dev/zero of={device} oflag=direct' if writing else
                   f'if={device} of=/dev/null iflag=direct')
        start, end = vm.sh(
            'cut -d" " -f1 /proc/uptime; '
            f'dd {between} bs=1M count={DM_MIB} 2>/dev/null; '
            'cut -d" " -f1 /proc/uptime', timeout=600).split()
        return DM_MIB * 1.048576 / max(float(end) - float(start), 0.01)

    def dm_prepare(self, vm):
        vm.qmp('cont')
        vm.sh(f'modprobe {guest.MODULE} any=1; modprobe dm_zero')
        vm.sh(f'dmsetup create zero --table "0 {DM_MIB * 2048} zero"')
        for sector in DM_SECTORS:
            self.dm_open(vm, f'cbc{sector}', CBC, sector)

    def dm_rate_of(self, vm, name, writing):
        """dm_rate(), if it was the device's work"""
        before = vm.module_counters()
        rate = self.dm_rate(vm, name, writing)
        after = vm.module_counters()
        soft = after['software_requests'] - before['software_requests']
        if soft:
            raise guest.GuestError(f'{name}: {soft} requests in software')
        return rate

    def compare_dm(self, guests):
        for vm in guests.values():
            self.dm_prepare(vm)
            vm.qmp('stop')
        self.say(f'{"dm-crypt, aes-cbc":40} {"ours":>10} {"peer":>10}')
        for sector in DM_SECTORS:
            for what, writing in (('write', True), ('read', False)):
                rates = self.turns(guests, lambda vm: self.dm_rate_of(
                    vm, f'cbc{sector}', writing))
                for writeback in WRITEBACKS:
                    self.result(f'dm-crypt {size_name(sector)} {what} '
                                f'{writeback}', rates[writeback],
                                rates['peer'], 'MB/s', 0.9)

    def compare_software(self, vm, writeback):
        vm.qmp('cont')
        self.say(f'{"dm-crypt, aes-xts, " + writeback:40} {"ours":>10} '
                 f'{"software":>10}')
        for sector in DM_SECTORS:
            names = [f'xts{sector}', f'soft{sector}']
            self.dm_open(vm, names[0], XTS, sector)
            self.dm_open(vm, names[1], SOFTWARE, sector)
            for what, writing in (('write', True), ('read', False)):
                rates = {name: [] for name in names}
                for _ in range(self.rounds):
                    rates[names[0]].append(
                        self.dm_rate_of(vm, names[0], writing))
                    rates[names[1]].append(
                        self.dm_rate(vm, names[1], writing))
                self.result(f'dm-crypt {size_name(sector)} {what} {writeback} '
                            f'against {SOFTWARE}', rates[names[0]],
                            rates[names[1]], 'MB/s', 1.0)
        vm.qmp('stop')

    def what_it_takes(self, vm):
        """Of our driver, each request of a long write"""
        vm.qmp('cont')
        for sector in DM_SECTORS:
            before = vm.module_counters()
            self.dm_rate(vm, f'xts{sector}', True)
            after = vm.module_counters()
            requests = after['device_requests'] - before['device_requests']
            for what in ('descriptors', 'kicks', 'interrupts'):
                each = (after[what] - before[what]) / requests
                self.results[f'{what} of a {size_name(sector)} request'] = {
                    'ours': round(each, 3), 'unit': 'each'}
                self.say(f'{what + " of a request, " + size_name(sector):40} '
                         f'{each:10.3f}')

    def run(self):
        mine = guest.chosen_device()
        prefix = os.environ.get('PEER_QEMU')
        peer_qemu = installed(prefix) if prefix else None
        load = os.getloadavg()[0]
        if load > 1:
            self.say(f'the machine is busy (load {load:.1f}): expect noise')
        self.say(f'booting five guests: {" + ".join(mine)}, one for each way '
                 f'to write results back, and {" + ".join(PEER)}')
        with contextlib.ExitStack() as stack:
            guests = {name: stack.enter_context(self.start(name, *mine, name))
                      for name in WRITEBACKS}
            guests['peer'] = stack.enter_context(self.start_peer(peer_qemu))
            for vm in guests.values():
                vm.qmp('stop')
            self.compare_idle(guests)
            self.compare_alg(guests)
            self.compare_dm(guests)
            for name in WRITEBACKS:
                self.compare_software(guests[name], name)
            self.what_it_takes(guests['on-demand'])
        self.say(f'written: {guest.save_results(self.results)}')


if __name__ == '__main__':
    try:
        Bench().run()
    except guest.GuestError as err:
        sys.exit(f'bench: {err}')
