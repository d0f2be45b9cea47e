#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Litmus tests of CXL.cache in a Linux guest with two CPUs, as TAP: see
# tests/guest/cxl-litmus.c.  Then the same with the trap disabled, where they
# must fail, and with the crypto device as the third agent.
#
# usage: litmus.py [TEST]...       (default: all)
#        litmus.py --long
#
# --long: all of them and the stress with a shadow of memory on links of several
# latencies, with jitter, until the devices' programs have done OPERATIONS steps
# (default 10,000,000); and what only time makes possible on a link without.
#
# Environment: LITMUS_SCALE, percent of the usual repetitions; LITMUS_SEED;
# LITMUS_DEVICES, 1 or 2 test devices (default 2); LATENCY (ns) and JITTER (a
# seed) of the links; QEMU, QEMU_ARGS.

import os
import re
import sys
import time

import guest

NO_SNOOP = ('/machine/cxl-cache', 'x-no-snoop')
# What must fail without snoops, each by itself.  The kernel's page tables are
# nothing to play such games with.
NEGATIVE = ('mp', 'sb', 'co', 'atomic', 'split', 'tight', 'sharing', 'code',
            'stress', 'crypto')
NEGATIVE_SCALE = 10
NEGATIVE_LIMIT = 1
TIMEOUT = 600
# Latencies (ns) of --long; with the jitter messages take up to twice that
LONG_LATENCIES = (200, 500, 1000, 2000)
LONG_OPERATIONS = 10_000_000
LONG_SCALE = 100
# What can be seen of time: outcomes that are allowed, if things take any
RELAXED = 'posted'
TOTALS = re.compile(r'# totals: (\d+) steps of devices, (\d+) rounds of CPUs, '
                    r'(\d+) relaxed')
POINT = re.compile(r'(not )?ok \d+ - (.*)')


class Output:
    """TAP of several runs as one."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def point(self, good, name, notes=()):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}')
        for line in notes:
            print(f'# {line}')
        sys.stdout.flush()

    def copy(self, text):
        """A program's TAP; other lines are comments already or made so."""
        for line in text.splitlines():
            if match := POINT.match(line):
                self.point(not match.group(1), match.group(2))
            elif not line.startswith('1..'):
                print(line if line.startswith('#') else f'# {line}')
        sys.stdout.flush()


def devices(number):
    """A CXL host bridge with a root port for each device."""
    args = ['-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0']
    for i in range(number + 1):
        args += ['-device', f'cxl-rp,port={i},bus=cxl.0,id=rp{i},chassis=0,'
                            f'slot={i + 2},cxl-cache=on{guest.link_time()}']
    args += ['-object', 'cryptodev-backend-openssl,id=c0',
             '-device', f'{guest.TYPE1},bus=rp0,cryptodev=c0,id=t1,'
                        'writeback=on-demand']
    for i in range(1, number + 1):
        args += ['-device', f'cxl-cache-testdev,bus=rp{i},id=dev{i}']
    return args


def litmus(vm, scale, names, *options):
    seed = os.environ.get('LITMUS_SEED') or '1'
    command = ' '.join(['cxl-litmus', '-x', str(scale), '-s', seed, *options,
                        *names])
    return vm.try_sh(command, timeout=TIMEOUT * max(scale, 100) // 100)


def positive(vm, out, names):
    scale = int(os.environ.get('LITMUS_SCALE') or 100)
    begun = time.monotonic()
    count = out.count
    status, text = litmus(vm, scale, names)
    out.copy(text)
    totals = TOTALS.search(text)
    if totals and not guest.link_time():
        out.point(totals.group(3) == '0', 'without time no store is seen late')
    if out.count == count or status not in (0, 1):
        out.point(False, 'the litmus program ends as it should',
                  [f'exit status {status}'])
    print(f'# litmus: {time.monotonic() - begun:.1f} s')


def long_pass(vm, out, what, names, scale, seed):
    """One run of the program; returns its totals, or None."""
    begun = time.monotonic()
    os.environ['LITMUS_SEED'] = str(seed)
    status, text = litmus(vm, scale, names)
    points = POINT.findall(text)
    totals = TOTALS.search(text)
    wrong = [line for line in text.splitlines() if line.startswith('not ok') or
             'forbidden, first' in line]
    good = bool(points and totals) and status == 0
    steps, rounds, relaxed = map(int, totals.groups()) if totals else (0, 0, 0)
    out.point(good, f'{what}, seed {seed}: {len(points)} points, {steps} steps '
              f'of devices, {rounds} rounds of CPUs, {relaxed} relaxed, '
              f'{time.monotonic() - begun:.0f} s', wrong or (
                  [] if good else [f'exit status {status}']))
    return (steps, rounds, relaxed) if totals else None


def long_guest(out, latency, steps):
    """On links of one latency, 0 for none, until so many steps are done"""
    os.environ['LATENCY'] = str(latency) if latency else ''
    os.environ['JITTER'] = str(latency + 1) if latency else ''
    what = f'{latency} to {2 * latency} ns' if latency else 'no time'
    log = os.path.join(guest.BUILD, 'guest-check', f'litmus-{latency}.log')
    done, seed, scale = [0, 0, 0], 1, \
        int(os.environ.get('LITMUS_SCALE') or LONG_SCALE)
    with guest.Guest(devices(2), log) as vm:
        while True:
            totals = long_pass(vm, out, what, [] if latency else [RELAXED],
                               scale, seed)
            if not totals:
                break
            done = [a + b for a, b in zip(done, totals)]
            seed += 1
            if done[0] >= steps:
                break
    return done


def long(out):
    operations = int(os.environ.get('OPERATIONS') or LONG_OPERATIONS)
    part = -(-operations // len(LONG_LATENCIES))
    done = [0, 0, 0]
    relaxed = long_guest(out, 0, 0)[2]
    out.point(not relaxed, f'without time no store is seen late: {relaxed}')
    for latency in LONG_LATENCIES:
        done = [a + b for a, b in zip(done, long_guest(out, latency, part))]
    out.point(done[0] >= operations, f'{done[0]} steps of devices and {done[1]} '
              'rounds of CPUs in all')
    out.point(done[2] > 0, f'with time stores are seen late: {done[2]}')


def set_no_snoop(vm, value):
    path, name = NO_SNOOP
    vm.qmp('qom-set', path=path, property=name, value=value)


def fails(vm, name):
    """Whether a test fails, if only by a crash, and how."""
    try:
        status, text = litmus(vm, NEGATIVE_SCALE, [name], '-f', '-t',
                              str(NEGATIVE_LIMIT))
    except guest.GuestHangs as err:
        return True, [str(err)]
    wrong = [point for bad, point in POINT.findall(text) if bad]
    return status != 0, wrong or text.splitlines()


def negative(vm, out, names):
    """
    Crypto comes last: its device cannot be told to flush, so that what it
    still has of memory that is the kernel's again may do harm.
    """
    begun = time.monotonic()
    for name in NEGATIVE:
        if names and name not in names:
            continue
        set_no_snoop(vm, True)
        failed, notes = fails(vm, name)
        out.point(failed, f'without snoops {name} fails', notes)
        if name != NEGATIVE[-1]:
            set_no_snoop(vm, False)
    print(f'# negative: {time.monotonic() - begun:.1f} s')


def main(names):
    out = Output()
    folder = os.path.join(guest.BUILD, 'guest-check')
    os.makedirs(folder, exist_ok=True)
    number = int(os.environ.get('LITMUS_DEVICES') or 2)
    log = os.path.join(folder, 'litmus.log')
    try:
        if names == ['--long']:
            long(out)
        else:
            with guest.Guest(devices(number), log) as vm:
                positive(vm, out, names)
                negative(vm, out, names)
    except guest.GuestError as err:
        out.point(False, 'the guest runs', str(err).splitlines())
    print(f'1..{out.count}')
    return 1 if out.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
