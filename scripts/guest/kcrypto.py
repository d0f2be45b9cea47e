#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest's driver, tested by a module in the guest's kernel, as TAP: see
# tests/guest/kmod.  First the device by itself, with nothing left to software;
# then with errors that software has to make good; then results that are spoilt
# on purpose, which must be noticed.
#
# usage: kcrypto.py [--long | --bench]
#   --long    everything with software, too; longer loads; spoilt results in
#             all tests
#   --bench   no tests, but MB/s: the device's, and that of software
#
# Environment: SEED, of what is random (default 1); KERNEL, QEMU, QEMU_ARGS.

import os
import re
import sys

import guest
import tap

TEST = 'cxl_crypto_test'
RESULTS = f'/sys/kernel/debug/{TEST}/results'
PARAMETERS = f'/sys/module/{guest.MODULE}/parameters'
MODES = ('xts', 'cbc', 'ctr', 'ecb')
TIMEOUT = 600
POINT = re.compile(r'(not )?ok \d+ - (.*)')

# Tests that do not look at results of requests
REJECTS = {'wrong lengths are rejected', 'wrong keys are rejected'}
EMPTY = {'empty requests'}
# How results are spoilt, and which tests cannot see it; of cbc(aes)
SABOTAGE = {'byte': REJECTS | EMPTY, 'iv': REJECTS, 'guard': REJECTS,
            'source': REJECTS | EMPTY, 'twice': REJECTS, 'error': REJECTS}
# What is quickly done and sees all of these
QUICK_TEST = 'IV behind'
BENCH_SIZES = (512, 4096, 65536)
BENCH_DEPTHS = (1, 32)
SOFTWARE = ('xts-aes-aesni', 'cbc-aes-aesni', 'ctr-aes-aesni',
            'ecb-aes-aesni')


def driver(mode):
    return f'{mode}-aes-cxl-type1'


class Run:
    """One load of the test module: its points, by name, and its remarks."""

    def __init__(self, vm, **parameters):
        options = ' '.join(f'{name}="{value}"' if ' ' in str(value) else
                           f'{name}={value}'
                           for name, value in parameters.items())
        status, text = vm.try_sh(
            f"modprobe {TEST} {options} && cat {RESULTS} && rmmod {TEST}",
            timeout=TIMEOUT + int(parameters.get('load_seconds', 0)))
        self.points = []
        self.notes = []
        lines = text.splitlines()
        for line in lines:
            if match := POINT.match(line):
                self.points.append((not match.group(1), match.group(2),
                                    '\n'.join(self.notes)))
                self.notes = []
            elif not line.startswith('1..'):
                self.notes.append(line.lstrip('# '))
        # The plan is the last thing that it writes
        self.problem = ''
        if status or f'1..{len(self.points)}' not in lines[-1:]:
            self.problem = f'exit status {status}\n{text}'
        elif not self.points:
            self.problem = 'there was no test of such a name'

    def failed(self):
        return {name for good, name, _ in self.points if not good}

    def report(self, out, title):
        for good, name, notes in self.points:
            out.point(good, f'{title}: {name}', notes)
        if self.problem:
            out.point(False, f'{title}: the module comes to its end',
                      self.problem)


class Tester:
    def __init__(self, vm, out, long):
        self.vm = vm
        self.out = out
        self.long = long
        self.seed = os.environ.get('SEED') or '1'

    def run(self, mode, **parameters):
        return Run(self.vm, driver=driver(mode), seed=self.seed, **parameters)

    def set(self, **parameters):
        for name, value in parameters.items():
            self.vm.sh(f'echo {value} > {PARAMETERS}/{name}')

    def device_alone(self):
        """Every request to the device: the rest would end in -EIO"""
        self.set(fallback=0)
        for mode in MODES:
            before = self.vm.module_counters()
            self.run(mode, device_only=1).report(self.out, f'{mode}, device')
            after = self.vm.module_counters()
            done = after['device_requests'] - before['device_requests']
            soft = after['software_requests'] - before['software_requests']
            self.out.point(done > 2000 and not soft,
                           f'{mode}, device: the device did it all',
                           f'device {done}, software {soft} requests')
            print(f'# {mode}: {done} requests on the device')
        self.set(fallback=1)

    def with_software(self):
        """All keys, of which the device takes some"""
        for mode in MODES if self.long else ('xts',):
            for only in ('',) if self.long else ('published', 'random'):
                self.run(mode, only=only,
                         rounds=2000 if self.long else 100).report(
                             self.out, f'{mode}, all keys')

    def errors(self):
        """Checked all the time, while some requests fail on the device"""
        self.set(fail_every=7, fail_alloc_every=11)
        before = self.vm.module_counters()
        for mode in MODES:
            self.run(mode, load_seconds=20 if self.long else 1,
                     depth=24, size=2048,
                     device_only=1).report(self.out, f'{mode}, errors')
        after = self.vm.module_counters()
        self.set(fail_every=0, fail_alloc_every=0)
        for name in ('device_errors', 'submit_failures', 'device_requests'):
            self.out.point(after[name] > before[name] + 50,
                           f'errors: {name} rises',
                           f'from {before[name]} to {after[name]}')

    def spoilt(self, sabotage, only, blind, **parameters):
        """Whether each of the tests fails that can see it, and just these"""
        run = self.run('cbc', only=only, sabotage=sabotage, rounds=50,
                       **parameters)
        names = {name for _, name, _ in run.points}
        wrong = run.failed() ^ (names - blind)
        self.out.point(names - blind and not wrong and not run.problem,
                       f'spoilt on purpose, {sabotage}: noticed',
                       run.problem or 'wrong: ' + ', '.join(sorted(wrong)))

    def controls(self):
        for sabotage, blind in SABOTAGE.items():
            self.spoilt(sabotage, '' if self.long else QUICK_TEST, blind)
        self.spoilt('accept', 'rejected', set())
        # There is no point in going on when a request does not come back
        self.spoilt('lost', 'published', set(), timeout=2)

    def end(self):
        status, text = self.vm.try_sh(f'rmmod {guest.MODULE}')
        self.out.point(not status, 'the driver can be unloaded: nobody has '
                       'a transform', text)


def bench(vm):
    for name in (*map(driver, MODES), *SOFTWARE):
        for size in BENCH_SIZES:
            for depth in BENCH_DEPTHS:
                run = Run(vm, driver=name, bench=1, size=size, depth=depth,
                          device_only=1)
                for good, _, notes in run.points:
                    for line in notes.splitlines():
                        if line.startswith('bench: ') or not good:
                            print(f'# {line}', flush=True)
                if run.problem:
                    print(f'# {name}: {run.problem}')
    return 0


def test(vm, out, long):
    tester = Tester(vm, out, long)
    tester.device_alone()
    tester.with_software()
    tester.errors()
    tester.controls()
    tester.end()


def main(arguments):
    if set(arguments) - {'--long', '--bench'}:
        print('usage: kcrypto.py [--long | --bench]', file=sys.stderr)
        return 2
    out = tap.Tap()
    folder = os.path.join(guest.BUILD, 'guest-check')
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, 'kcrypto.log')
    args = guest.device_args(guest.TYPE1, 'cryptodev-backend-openssl')
    try:
        with guest.Guest(args, log) as vm:
            vm.sh(f'modprobe {guest.MODULE}')
            if '--bench' in arguments:
                return bench(vm)
            test(vm, out, '--long' in arguments)
        with open(log, errors='replace') as file:
            lines = guest.complaints(file.read())
        out.point(not lines, 'the kernel does not complain',
                  '\n'.join(lines[:10]))
    except guest.GuestError as err:
        out.point(False, 'the guest runs', str(err))
    print(f'1..{out.count}')
    return 1 if out.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
