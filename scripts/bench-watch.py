#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What it costs a vCPU under TCG that its accesses are seen by a model of caches.

A CPU loads and stores in eight lines of a page (bench-watch.S): without
cxl-host-llc and cxl-cbit-alias, with them while they watch another page, and
while they watch this one.  Each in turns, best of several; in time of the
processor, so that others on the machine matter little.

usage: bench-watch.py

Environment: QEMU; BEFORE=<another qemu-system-x86_64, without these hooks>:
compared as well; ROUNDS (5).  Adds to build/bench/results.json.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BENCH = TOP / 'build/bench'
QEMU = os.environ.get('QEMU') or str(TOP / 'build/bin/qemu-system-x86_64')
BEFORE = os.environ.get('BEFORE')
ROUNDS = int(os.environ.get('ROUNDS') or 5)

BIOS_SIZE = 64 << 10
PAYLOAD = 0xf000                # in the last page below 1 MiB
RESET = bytes((0xea, 0x00, 0x00, 0x00, 0xff))   # a jump to it
COUNT = 0x7000
PAGE = 0x1000000
EACH = 8                        # accesses of a round of the loop
# Rounds: where nobody looks on, or somebody does
FAST, SLOW = 200_000_000, 3_000_000
INSIDE_NS = 60                  # that an access which is seen may take

DEVICE = ['-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0', '-device',
          'cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=2,port=0,cxl-cache=on',
          '-device', 'cxl-cache-testdev,bus=rp0']
WATCHED = f'{PAGE:#x}-{PAGE + 0xfff:#x}'
ELSEWHERE = f'{PAGE + 0x1000:#x}-{PAGE + 0x1fff:#x}'


def llc(watch):
    return [*DEVICE, '-object', f'cxl-host-llc,id=llc0,watch={watch}']


def alias(watch):
    return [*DEVICE, '-device',
            f'cxl-cbit-alias,bus=pcie.0,bit=39,watch={watch}']


def make_bios(path):
    with tempfile.TemporaryDirectory() as folder:
        elf, code = Path(folder) / 'elf', Path(folder) / 'bin'
        subprocess.run(['gcc', '-m32', '-nostdlib', '-static',
                        '-Wl,--build-id=none', '-Wl,-Ttext=0xff000', '-o', elf,
                        TOP / 'scripts/bench-watch.S'], check=True)
        subprocess.run(['objcopy', '-O', 'binary', '-j', '.text', elf, code],
                       check=True)
        bios = bytearray(BIOS_SIZE)
        text = code.read_bytes()
        bios[PAYLOAD:PAYLOAD + len(text)] = text
        bios[-16:-16 + len(RESET)] = RESET
        path.write_bytes(bios)


def cpu_time(command):
    """Seconds of processors' time that it takes, from its beginning to its end"""
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    # What isa-debug-exit makes of a value is odd
    if not os.waitstatus_to_exitcode(status) & 1:
        raise SystemExit('error: QEMU failed: ' + ' '.join(command))
    return used.ru_utime + used.ru_stime


def run(qemu, bios, options, count, kind):
    return cpu_time([
        qemu, '-accel', 'tcg,thread=single', '-M',
        'q35,cxl=on,memory-backend=ram', '-m', '128M', '-object',
        'memory-backend-memfd,id=ram,size=128M,share=on', '-nodefaults',
        '-display', 'none', '-bios', str(bios),
        '-device', f'loader,addr={COUNT:#x},data={count},data-len=4',
        '-device', f'loader,addr={COUNT + 4:#x},data={kind},data-len=4',
        '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', *options])


def main():
    cases = {'absent': (QEMU, DEVICE, FAST),
             'llc, outside': (QEMU, llc(ELSEWHERE), FAST),
             'alias, outside': (QEMU, alias(ELSEWHERE), FAST),
             'llc, inside': (QEMU, llc(WATCHED), SLOW),
             'alias, inside': (QEMU, alias(WATCHED), SLOW)}
    if BEFORE:
        cases['before'] = (BEFORE, DEVICE, FAST)
    BENCH.mkdir(parents=True, exist_ok=True)
    bios = BENCH / 'bench-watch.bin'
    make_bios(bios)
    # Each with few rounds, and with many: the difference is theirs
    best = {}
    for _ in range(ROUNDS):
        for name, (qemu, options, count) in cases.items():
            for kind in (0, 1):
                for n in (count // 100, count):
                    took = run(qemu, bios, options, n, kind)
                    key = name, kind, n
                    best[key] = min(best.get(key, took), took)
    best = {name: [(best[name, kind, count] - best[name, kind, count // 100]) *
                   1e9 / (count - count // 100) / EACH for kind in (0, 1)]
            for name, (_, _, count) in cases.items()}
    results = {}
    for i, kind in enumerate(('load', 'store')):
        plain = best['absent'][i]
        for name in cases:
            if name == 'absent':
                continue
            ours, peer, target = best[name][i], plain, 1.02
            if name == 'before':
                ours, peer, target = plain, best[name][i], 1.01
            elif 'inside' in name:
                peer, target = INSIDE_NS, 1
            results[f'watch {kind}, {name}'] = {
                'ours': round(ours, 3), 'peer': round(peer, 3),
                'ratio': round(ours / peer, 3), 'unit': 'ns',
                'target': target}
            print(f'{kind:6} {name:15} {ours:8.3f} ns of {peer:7.3f}, '
                  f'x{ours / peer:.3f} (at most {target})')
    path = BENCH / 'results.json'
    have = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**have, **results}, indent=2) + '\n')


if __name__ == '__main__':
    main()
