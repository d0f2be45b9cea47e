#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boot what firmware.sh made, without and with FEAT_MEC, on caches that remember
# as well, with a coherent device beside; look at the consoles; TAP on stdout.
#
# usage: firmware.py        BL33, KERNEL_AT, INITRAMFS: load addresses
#
# Environment: QEMU (default build/bin/qemu-system-aarch64), TIMEOUT for one
# boot in seconds.

import os
import re
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
MEC = os.path.join(ROOT, 'build/mec')
OUT = os.path.join(MEC, 'firmware')
QEMU = os.environ.get('QEMU') or \
    os.path.join(ROOT, 'build/bin/qemu-system-aarch64')
TIMEOUT = float(os.environ.get('TIMEOUT') or 120)

# What is booted: a name, and what the machine is told of it; mec=off is said by
# leaving it out, as the default must be off
BOOTS = {
    'mec=off': '',
    'mec=on': ',mec=on',
    'lazy': ',mec=on,mec-writeback=lazy',
    'adversarial': ',mec=on,mec-writeback=adversarial',
}

# Where tests/tcg/aarch64/system/mec-cxl.h looks for it
DEVICE = ('-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0', '-device',
          'cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=2,port=0,cxl-cache=on',
          '-device', 'cxl-cache-testdev,bus=rp0,id=accel')

# As in tests/guest/mec-bl33.c
FIRST = 0x48000000
GRANULES = 32
ROUNDS = 16
VISITS = GRANULES * ROUNDS

# What the first console must show, in this order: name of the test, pattern
STORY = (
    ('BL1 starts',
     r'NOTICE:  BL1: v2\.12\.1'),
    ('BL2 turns granule protection on',
     r'INFO:    Enabling Granule Protection Checks\n'
     r'NOTICE:  BL2: v2\.12\.1'),
    ('BL31 starts',
     r'NOTICE:  BL31: v2\.12\.1'),
    ('the test realm payload starts in Realm world',
     r'NOTICE:  TRP: v2\.12\.1'),
    ('EL3 and the test realm payload agree on their interface',
     r'INFO:    TRP: RMM-EL3 Interface ABI reported by EL3: v\.0\.4'),
    ('the test realm payload is done with its start',
     r'INFO:    RMM init end\.'),
    ('granules move to Realm and back, and are out of reach between',
     rf'BL33: rmi 00000000 moves {2 * VISITS:08x} faults {VISITS:08x} '),
    ('a coherent device is refused Realm granules, to read and to write',
     rf'refused {2 * VISITS:08x} '),
    ('they come back as they were, and the device has them as the host does',
     rf'kept {VISITS:08x} alike {2 * VISITS:08x} errors 00000000'),
    ('Linux starts at EL2',
     r'CPU: All CPU\(s\) started at EL2'),
    ('Linux reaches user space on both CPUs',
     r'user space: [\w.+-]+ aarch64, 2 CPUs'),
    ('user space computes',
     r'user space: 4 MiB read alike'),
    ('PSCI powers the machine off',
     r'System Power off'),
)

COMPLAINT = re.compile(r'(ERROR:   .*|PANIC.*|.*Unhandled Exception.*|BUG: .*|'
                       r'.*Oops.*|.*Call trace:.*|.*Kernel panic.*)')
# BL31 reports power-off as an error, asks for it by GPIO, and panics if it
# still runs then: the emulator may take that long to stop it.  The panic goes
# to both consoles, or as much of it as gets out.
POWER_OFF = 'ERROR:   QEMU System Power off'
PANIC = 'PANIC at PC : 0x'
# Reads and writes of a granule; what is refused again is left out
REFUSED = re.compile(r'GPC: device accel: Non-secure request for PA '
                     r'0x([0-9a-f]+) refused: the granule\'s owner is Realm, '
                     r'the root port has no RME-CDA(?:; no more of '
                     r'these are shown)?\n')
# Lines of the firmware, which do not depend on time; one at a time may be cut
# by the kernel's first line
FIRMWARE = re.compile(r'^(NOTICE|INFO|WARNING|ERROR|BL33):')


def machine(options):
    return ('virt,secure=on,virtualization=on,gic-version=3,cxl=on,'
            'highmem-ecam=off' + options)


def machine_has_mec(options):
    """Ask the monitor of such a machine that does not run"""
    process = subprocess.run(
        [QEMU, '-S', '-nodefaults', '-display', 'none', '-M', machine(options),
         '-cpu', 'max,x-rme=on', '-monitor', 'stdio'],
        input='info mtree\nquit\n', stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, check=False, timeout=TIMEOUT)
    return 'address-space: cpu-mec-view-0' in process.stdout


class Boot:
    """One of BOOTS, to its end; what was said is in .console"""

    def __init__(self, name):
        options = BOOTS[name]
        self.name = name
        self.wants_mec = 'mec=on' in options
        self.has_mec = machine_has_mec(options)
        self.base = os.path.join(OUT, name.replace('=', '-'))
        self.run(['-M', machine(options), *DEVICE])
        self.console = self.read('.console.log')
        self.secure = self.read('.secure.log')
        self.complaints = self.read('.qemu.log')

    def read(self, suffix):
        with open(self.base + suffix, errors='replace') as file:
            return file.read().replace('\r', '')

    @staticmethod
    def loader(name, address):
        path = os.path.join(MEC, name)
        return ['-device',
                f'loader,file={path},addr={address},force-raw=on']

    def run(self, options):
        initramfs = os.environ['INITRAMFS']
        size = os.path.getsize(os.path.join(MEC, 'initramfs.cpio'))
        # With firmware, -kernel is no more than a way to say -append
        argv = [QEMU, '-nodefaults', '-display', 'none', '-monitor', 'none',
                *options, '-accel', 'tcg,thread=multi',
                '-cpu', 'max,x-rme=on', '-smp', '2', '-m', '1G', '-no-reboot',
                '-bios', os.path.join(MEC, 'firmware.bin'),
                '-kernel', os.path.join(MEC, 'Image'), '-append',
                'console=ttyAMA0 panic=-1 '
                f'initrdmem={initramfs},{size}',
                *self.loader('bl33.bin', os.environ['BL33']),
                *self.loader('Image', os.environ['KERNEL_AT']),
                *self.loader('initramfs.cpio', initramfs),
                '-serial', f'file:{self.base}.console.log',
                '-serial', f'file:{self.base}.secure.log',
                '-d', 'guest_errors', '-D', f'{self.base}.qemu.log']
        for suffix in ('.console.log', '.secure.log', '.qemu.log'):
            with open(self.base + suffix, 'w'):
                pass
        start = time.monotonic()
        try:
            process = subprocess.run(argv, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, text=True,
                                     stderr=subprocess.STDOUT, check=False,
                                     timeout=TIMEOUT)
            self.end = f'exit status {process.returncode}'
            if process.stdout:
                self.end += ': ' + process.stdout.strip()
        except subprocess.TimeoutExpired:
            self.end = f'still running after {TIMEOUT:.0f} s'
        self.seconds = time.monotonic() - start

    def firmware_lines(self):
        """What the firmware said up to the kernel's first words."""
        said = self.console.split('Booting Linux')[0]
        return [line for line in said.splitlines() if FIRMWARE.match(line)]


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def point(self, good, name, why=''):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}',
              flush=True)
        if not good:
            for line in str(why).splitlines()[:12]:
                print(f'# {line}', flush=True)


def complaints(boot):
    """What either console complains of before the power is off"""
    console, off, _ = boot.console.partition(POWER_OFF)
    secure = boot.secure
    if off and PANIC.startswith(secure[:len(PANIC)]):
        secure = ''
    return COMPLAINT.findall(console) + secure.splitlines()


def check_boot(tap, boot):
    rest = boot.console
    for name, pattern in STORY:
        found = re.search(pattern, rest)
        tap.point(found, f'{boot.name}: {name}',
                  f'not on the console: {pattern}\n' +
                  '\n'.join(rest.splitlines()[-8:]))
        if found:
            rest = rest[found.end():]
    tap.point(boot.end == 'exit status 0',
              f'{boot.name}: the emulator ends well', boot.end)
    tap.point(boot.has_mec == boot.wants_mec,
              f'{boot.name}: the machine is what was asked for',
              f'it has {"" if boot.has_mec else "no "}contexts')
    bad = '\n'.join(complaints(boot))
    tap.point(not bad, f'{boot.name}: no complaint on either console', bad)
    refused = REFUSED.findall(boot.complaints)
    wanted = [f'{FIRST + i * 4096 + 64:x}' for i in range(GRANULES)] * 2
    tap.point(sorted(refused) == sorted(wanted),
              f'{boot.name}: each granule that is refused is told, with whose '
              'it is', f'{len(refused)} are\n{boot.complaints[:1000]}')
    other = REFUSED.sub('', boot.complaints).strip()
    tap.point(not other, f'{boot.name}: no other guest error', other[:1000])
    print(f'# {boot.name}: {boot.seconds:.1f} s', flush=True)


def main():
    os.makedirs(OUT, exist_ok=True)
    tap = Tap()
    check = os.path.join(ROOT, 'scripts/mec/payload.sh')
    tap.point(subprocess.run([check, 'check'], check=False).returncode == 0,
              "the qtest's payload is what its source assembles to")
    boots = [Boot(name) for name in BOOTS]
    for boot in boots:
        check_boot(tap, boot)
    first = boots[0].firmware_lines()
    for boot in boots[1:]:
        lines = boot.firmware_lines()
        other = [f'-{a}\n+{b}' for a, b in zip(first, lines) if a != b]
        tap.point(len(first) > 30 and first == lines,
                  f'{boot.name}: firmware says what it says without MEC',
                  f'{len(first)} and {len(lines)} lines\n' + '\n'.join(other))
    print(f'1..{tap.count}')
    return int(tap.failed > 0)


if __name__ == '__main__':
    sys.exit(main())
