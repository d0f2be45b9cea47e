#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What translation costs, seen from inside the guest: AF_ALG throughput of the
# device without an IOMMU, and behind one with and without ATS.
#
# Static mappings are those of a kernel that leaves everything mapped
# (iommu.passthrough=1, in scalable mode, where Linux uses ATS for that too):
# the device asks for each translation once and keeps it.  Strict mappings are
# made for each request and invalidated after it.
#
# The guests take turns, the others idle.  Environment: ROUNDS (default 9),
# QEMU, QEMU_ARGS.  Adds to build/bench/results.json, ours over no IOMMU.

import os
import sys

import guest
from bench import Bench, THREADS, size_name

DEVICE = (guest.TYPE1, 'cryptodev-backend-openssl')
NONE = 'no IOMMU'
# name -> IOMMU, IOMMU_DOMAINS, what is asked of it
GUESTS = {
    'vIOMMU with ATS, static mappings': ('intel-scalable', 'passthrough',
                                         0.95),
    'vIOMMU without ATS, static mappings': ('intel-noats', 'passthrough', 0),
    'vIOMMU with ATS, strict': ('intel-scalable', 'strict', 0),
    'vIOMMU without ATS, strict': ('intel-noats', 'strict', 0),
}
SIZES = (4096, 65536)


class IommuBench(Bench):
    def boot(self, name, iommu, domains):
        os.environ.update(IOMMU=iommu, IOMMU_DOMAINS=domains)
        return self.start(name.replace(' ', '-'), *DEVICE)

    def used_translations(self, vm):
        device = vm.qmp('x-query-cxl-cache')['devices'][0]
        return device['translations']

    def turns(self, guests, work):
        """The others are idle: they wait for a command."""
        samples = {name: [] for name in guests}
        for _ in range(self.rounds):
            for name, vm in guests.items():
                samples[name].append(work(vm))
        return samples

    def compare(self, guests):
        for size in SIZES:
            rates = self.turns(guests, lambda vm: self.alg(
                vm, 'encrypt', size, THREADS)[0])
            for name, (_, _, target) in GUESTS.items():
                self.result(f'encrypt {size_name(size)}, {name}',
                            rates[name], rates[NONE], 'MB/s', target)

    def run(self):
        self.say('booting five guests')
        running = []
        try:
            guests = {}
            for name, iommu, domains, _ in (
                    (NONE, 'none', 'strict', 0),
                    *((name, *how) for name, how in GUESTS.items())):
                vm = self.boot(name, iommu, domains)
                running.append(vm)
                guests[name] = vm.__enter__()
            self.compare(guests)
            for name, vm in guests.items():
                self.say(f'{name}: {self.used_translations(vm)}')
        finally:
            for vm in running:
                vm.stop()
        self.say(f'written: {guest.save_results(self.results)}')


if __name__ == '__main__':
    try:
        IommuBench().run()
    except guest.GuestError as err:
        sys.exit(f'bench: {err}')
