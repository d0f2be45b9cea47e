#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What does FEAT_MEC cost?
#
# Each measurement is made with mec=on ("ours") and with mec=off ("peer"), by
# turns, so that a noisy machine is noisy for both.  Time is the guest's, which
# is the host's: what else runs can only add to it, so that the best of all
# rounds is compared; medians are printed beside.  A re-key has no peer: there
# it is the target in microseconds.  The flushes after a write to a register
# that no translation used are counted, not timed.
#
# Environment: ROUNDS (default 5), QEMU.  Adds to build/bench/results.json,
# where a ratio above 1 means that ours is better.

import json
import os
import re
import statistics
import subprocess
import sys
import time

import firmware

OUT = os.path.join(firmware.ROOT, 'build/bench')
MACHINE = 'virt,secure=on,virtualization=on'
TIMEOUT = 300

# As in tests/guest/mec-bench.h and .c
LOADED = 0x40100000
MODE, COUNT = 0x40280000, 0x40280008
LOOPS, REKEY_STORE, REKEY_CLEAN, REKEY_BESIDE, WRITE_IDLE, WRITE_USED = range(6)

LOOP_TARGET = 0.98      # 1.02 times the time, at most
WALK_TARGET = 0.85      # nothing but TLB misses: not a program
BOOT_TARGET = 0.95      # "within noise"
REKEY_TARGET = 60.0     # microseconds
WRITES = 20000


class BenchError(Exception):
    pass


def payload(mec, mode, count, cpus=1, extra=()):
    """Run the bare-metal program; returns {name: [nanoseconds]}."""
    argv = [firmware.QEMU, '-nodefaults', '-display', 'none',
            '-monitor', 'none', '-M', f'{MACHINE},mec={mec}',
            '-accel', 'tcg,thread=multi', '-cpu', 'max,x-rme=on',
            '-m', '256M', '-smp', str(cpus),
            '-chardev', 'stdio,id=out,signal=off', '-serial', 'chardev:out',
            '-device', f'loader,file={firmware.MEC}/mec-bench.bin,'
            f'addr={LOADED},force-raw=on,cpu-num=0',
            '-device', f'loader,addr={MODE},data={mode},data-len=8',
            '-device', f'loader,addr={COUNT},data={count},data-len=8',
            *extra]
    for cpu in range(1, cpus):
        argv += ['-device', f'loader,addr={LOADED},cpu-num={cpu}']
    found = {}
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE) as process:
        deadline = time.monotonic() + TIMEOUT
        try:
            for line in process.stdout:
                if line.startswith('done'):
                    return found
                if not re.fullmatch(r'[\w-]+ \d+\n', line) or \
                        time.monotonic() > deadline:
                    break
                name, value = line.split()
                found.setdefault(name, []).append(int(value))
        finally:
            process.kill()
    raise BenchError(f'mec-bench, mode {mode}, mec={mec}: no end, or {line!r}')


class Bench:
    def __init__(self):
        self.rounds = int(os.environ.get('ROUNDS') or 5)
        self.results = {}

    def result(self, name, ours, peer, unit, target):
        """Less is better; @ours and @peer are samples"""
        mine, other = min(ours), min(peer)
        median = statistics.median(peer) / (statistics.median(ours) or 1)
        # Nothing at all against nothing at all is as good
        ratio = other / mine if mine else 1.0
        self.results[name] = {'ours': round(mine, 3), 'peer': round(other, 3),
                              'ratio': round(ratio, 3), 'unit': unit,
                              'target': target}
        verdict = 'ok' if ratio >= target else 'BELOW TARGET'
        print(f'{name:44} {mine:10.3f} {other:10.3f} {unit:7} x{ratio:.3f} '
              f'(medians x{median:.3f}, target x{target:.2f}) {verdict}',
              flush=True)

    def loops(self):
        samples = {'on': {}, 'off': {}}
        for number in range(self.rounds):
            order = ('on', 'off') if number % 2 else ('off', 'on')
            for mec in order:
                for name, values in payload(mec, LOOPS, 8).items():
                    # In the first lap code is translated, and the emulator's
                    # TLB has yet to grow
                    samples[mec].setdefault(name, []).extend(
                        value / 1e6 for value in values[1:])
        for name, values in samples['on'].items():
            target = WALK_TARGET if 'walk' in name else LOOP_TARGET
            self.result(f'MEC Realm {name}', values, samples['off'][name],
                        'ms', target)

    def boot(self):
        seconds = {'on': [], 'off': []}
        for number in range(self.rounds):
            order = ('on', 'off') if number % 2 else ('off', 'on')
            for mec in order:
                boot = firmware.Boot(f'mec={mec}')
                if boot.end != 'exit status 0' or \
                        'user space: 4 MiB read alike' not in boot.console:
                    raise BenchError(f'boot with mec={mec}: {boot.end}')
                seconds[mec].append(boot.seconds)
        self.result('MEC boot of an arm64 kernel', seconds['on'],
                    seconds['off'], 's', BOOT_TARGET)

    def rekey(self):
        for name, mode in (('rekey-store', REKEY_STORE),
                           ('rekey-clean', REKEY_CLEAN)):
            for cpus in (1, 2):
                ours = [value / 1e3 for _ in range(self.rounds)
                        for value in payload('on', mode, 200, cpus)[name]]
                self.result(f'MEC {name}, {cpus} CPU', ours, [REKEY_TARGET],
                            'us', 1.0)
        ours = []
        for _ in range(self.rounds):
            found = payload('on', REKEY_BESIDE, 50)
            # There and back: two re-keys
            ours += [(value - without) / 2e3 for value, without in
                     zip(found['rekey-beside'], found['beside'])]
        self.result('MEC rekey-store, 1024 pages beside', ours,
                    [REKEY_TARGET], 'us', 1.0)

    def flushes(self, mode):
        log = os.path.join(OUT, 'mec-flush.log')
        payload('on', mode, WRITES, extra=(
            '-d', 'trace:arm_mec_flush', '-D', log))
        with open(log, encoding='utf-8', errors='replace') as file:
            return sum('arm_mec_flush' in line for line in file)

    def register(self):
        # Flushes when the program starts are not those of the writes
        idle, used = (self.flushes(mode)
                      for mode in (WRITE_IDLE, WRITE_USED))
        if used < WRITES - 1:
            raise BenchError(f'{used} flushes seen of {WRITES}: '
                             'they cannot be counted this way')
        self.result('MEC flushes in 1000 unused register writes',
                    [idle // (WRITES // 1000)], [0], 'flushes', 1.0)
        samples = {'on': [], 'off': []}
        for _ in range(self.rounds):
            for mec, values in samples.items():
                values.extend(payload(mec, WRITE_IDLE, 200000)['write'])
        self.result('MEC unused register write', samples['on'],
                    samples['off'], 'ns', 0.9)

    def run(self):
        os.makedirs(OUT, exist_ok=True)
        os.makedirs(firmware.OUT, exist_ok=True)
        load = os.getloadavg()[0]
        if load > 1:
            print(f'the machine is busy (load {load:.1f}): expect noise')
        print(f'{"":44} {"mec=on":>10} {"mec=off":>10}')
        for part in sys.argv[1:] or ('loops', 'rekey', 'register', 'boot'):
            getattr(self, part)()
        path = os.path.join(OUT, 'results.json')
        merged = {}
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                merged = json.load(file)
        merged.update(self.results)
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(merged, file, indent=2)
            file.write('\n')
        print(f'written: {path}')


if __name__ == '__main__':
    os.environ.setdefault('BL33', '0x42000000')
    os.environ.setdefault('KERNEL_AT', '0x42200000')
    os.environ.setdefault('INITRAMFS', '0x50000000')
    try:
        Bench().run()
    except BenchError as err:
        sys.exit(f'bench: {err}')
