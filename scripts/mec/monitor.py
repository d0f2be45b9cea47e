#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The FEAT_MEC cases that need a monitor or a debugger: 46, 51, 52, 53.

  monitor.py QEMU MACHINE-OPTIONS PAYLOAD DIR

PAYLOAD is mec-mon.elf: it does one step for each letter that its UART gets.
Output is TAP.
"""

import json
import os
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TIMEOUT = 30


class Failure(Exception):
    """A step did not go as the case wants it."""


def check(cond, text):
    """Fail the case unless cond."""
    if not cond:
        raise Failure(text)


class Lines:
    """A socket or pipe, read by lines with a time limit."""

    def __init__(self, fd):
        self.fd, self.buffer = fd, b''

    def more(self, deadline):
        """Wait for bytes."""
        left = max(0, deadline - time.monotonic())
        check(select.select([self.fd], [], [], left)[0], 'no answer in time')
        data = os.read(self.fd, 65536)
        check(data, 'the emulator is gone')
        self.buffer += data

    def line(self):
        """The next line."""
        deadline = time.monotonic() + TIMEOUT
        while b'\n' not in self.buffer:
            self.more(deadline)
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line.decode(errors='replace').rstrip('\r')


def connect(path):
    """Connect to a unix socket that the emulator is about to make."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(path))
            return sock
        except OSError:
            check(time.monotonic() < deadline, f'{path} does not appear')
            time.sleep(0.02)


class Gdb:
    """As much of the remote protocol as reads and writes memory."""

    def __init__(self, path):
        self.sock = connect(path)
        self.buffer = b''

    def recv(self):
        """The next packet's text."""
        deadline = time.monotonic() + TIMEOUT
        while not (m := re.search(rb'\$([^#]*)#..', self.buffer)):
            left = max(0, deadline - time.monotonic())
            check(select.select([self.sock], [], [], left)[0],
                  'no answer from the gdbstub')
            data = self.sock.recv(4096)
            check(data, 'the gdbstub is gone')
            self.buffer += data
        self.buffer = self.buffer[m.end():]
        self.sock.sendall(b'+')
        return m.group(1).decode()

    def send(self, text):
        """Send a packet."""
        body = text.encode()
        self.sock.sendall(b'$%s#%02x' % (body, sum(body) & 0xff))

    def ask(self, text):
        """Send a packet and return the answer."""
        self.send(text)
        return self.recv()

    def read64(self, addr):
        """Eight bytes of memory."""
        answer = self.ask(f'm{addr:x},8')
        check(re.fullmatch('[0-9a-f]{16}', answer), f'gdb read: {answer}')
        return int.from_bytes(bytes.fromhex(answer), 'little')

    def write64(self, addr, value):
        """Write eight bytes of memory."""
        data = value.to_bytes(8, 'little').hex()
        check(self.ask(f'M{addr:x},8:{data}') == 'OK', 'gdb write')


class Machine:
    """An emulator that runs the payload."""

    def __init__(self, argv, payload, where, extra=()):
        self.dir = Path(where)
        machine = f'virt,secure=on,virtualization=on,gic-version=3{argv[1]}'
        self.trace = self.dir / 'trace'
        trace = (['-trace', 'arm_mec_rekey', '-D', str(self.trace)]
                 if 'mec=on' in argv[1] else [])
        self.proc = subprocess.Popen(
            [argv[0], '-nodefaults', '-display', 'none', '-M', machine,
             '-cpu', 'max,x-rme=on', '-m', '256M', '-kernel', str(payload),
             '-chardev', 'stdio,id=out', '-semihosting-config',
             'enable=on,target=native,chardev=out',
             '-chardev', f'socket,id=u,path={self.dir}/uart,server=on,wait=off',
             '-serial', 'chardev:u', '-monitor', 'none',
             '-qmp', f'unix:{self.dir}/qmp,server=on,wait=off',
             '-chardev', f'socket,id=g,path={self.dir}/gdb,server=on,wait=off',
             '-gdb', 'chardev:g', *trace, *extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.out = Lines(self.proc.stdout.fileno())
        self.qmp_sock = connect(self.dir / 'qmp')
        self.qmp_in = Lines(self.qmp_sock.fileno())
        self.events = []
        check('QMP' in self.qmp_in.line(), 'no QMP greeting')
        self.qmp('qmp_capabilities')
        self.uart = connect(self.dir / 'uart')

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.proc.kill()
        self.proc.wait()
        self.proc.stdout.close()

    def qmp(self, command, **arguments):
        """A QMP command's return value."""
        message = {'execute': command, 'arguments': arguments}
        self.qmp_sock.sendall(json.dumps(message).encode())
        while True:
            answer = json.loads(self.qmp_in.line())
            if 'event' in answer:
                self.events.append(answer)
                continue
            check('return' in answer, f'{command}: {answer}')
            return answer['return']

    def hmp(self, line):
        """The text that a human monitor command prints."""
        return self.qmp('human-monitor-command', **{'command-line': line})

    def answer(self, letter):
        """The payload's answer to a letter, and the lines before it."""
        seen = []
        while True:
            line = self.out.line()
            if line.startswith(f'= {letter} '):
                return line.split()[2:], seen
            seen.append(line)
            print(f'# guest: {line}', flush=True)

    def step(self, letter):
        """Let the payload do a step; it must succeed."""
        self.uart.sendall(letter.encode())
        answer, seen = self.answer(letter)
        check(answer == ['0'], f"the guest's step {letter}: {answer}")
        return seen

    def booted(self):
        """Wait for the payload's start."""
        answer, _ = self.answer('boot')
        check(answer == ['0'], 'the firmware image is not as it was loaded')

    def pages(self):
        """(address, value, context) of the payload's pages."""
        return [(int(a, 16), int(v, 16), int(m)) for a, v, m in
                (line.split()[2:] for line in self.step('p'))]

    def xp(self, addr):
        """64 bits of guest memory as the monitor shows them."""
        text = self.hmp(f'xp /1gx {addr:#x}')
        return int(text.split(':')[1], 16)

    def owner(self, addr):
        """The page's resident context."""
        return self.qmp('x-query-arm-mec', addr=addr)

    def rekeys(self):
        """How many re-keys were traced so far."""
        return self.trace.read_text().count('arm_mec_rekey')

    def wait_event(self, name):
        """Wait for a QMP event."""
        while not any(e['event'] == name for e in self.events):
            self.events.append(json.loads(self.qmp_in.line()))

    def wait_job(self, job):
        """Wait for a job's end, and dismiss it."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            state = [j for j in self.qmp('query-jobs') if j['id'] == job][0]
            if state['status'] == 'concluded':
                self.qmp('job-dismiss', id=job)
                check('error' not in state, f'{job}: {state.get("error")}')
                return
            check(time.monotonic() < deadline, f'{job} does not end')
            time.sleep(0.05)


def differ(a, b):
    """In each aligned 32-bit word."""
    d = a ^ b
    return d & 0xffffffff and d >> 32


def case46(new):
    """by-PA maintenance: memory holds what was encrypted (xp), owner 0"""
    with new() as vm:
        vm.booted()
        pages = vm.pages()
        vm.step('w')
        for addr, _, mecid in pages[:5]:
            want = 2 if addr == pages[3][0] else mecid
            check(vm.owner(addr)['mecid'] == want, f'{addr:#x} is not {want}')
        check(vm.owner(pages[3][0])['mixed'], 'the fourth page is not mixed')
        check(not vm.owner(pages[0][0])['mixed'], 'the first page is mixed')
        check(re.search(r'\b1\b', vm.hmp(f'info arm-mec {pages[0][0]:#x}')),
              'info arm-mec')
        vm.step('m')
        for addr, value, _ in pages[:4]:
            check(differ(vm.xp(addr), value), f'xp {addr:#x} shows the value')
            check(vm.owner(addr)['mecid'] == 0, f'{addr:#x} is owned')
        check(vm.xp(pages[5][0]) == pages[5][1], 'context 0 is not plain')
        vm.step('c')


def case51(new):
    """system reset: firmware is loaded again, every page is context 0"""
    with new() as vm:
        vm.booted()
        pages = vm.pages()
        vm.step('w')
        vm.step('f')
        firmware = pages[-1][0]
        check(vm.owner(firmware)['mecid'] == 6, 'the firmware is not owned')
        for _ in range(2):
            vm.qmp('system_reset')
            vm.booted()
            for addr, _, _ in pages:
                state = vm.owner(addr)
                check(state['mecid'] == 0 and not state['mixed'],
                      f'{addr:#x} after reset: {state}')
            vm.step('w')
            vm.step('c')
            vm.step('f')


def make_qcow2(vm, path):
    """An empty disk that can hold a snapshot."""
    vm.qmp('blockdev-create', **{'job-id': 'file', 'options': {
        'driver': 'file', 'filename': str(path), 'size': 0}})
    vm.wait_job('file')
    vm.qmp('blockdev-add', **{
        'driver': 'file', 'node-name': 'file', 'filename': str(path)})
    vm.qmp('blockdev-create', **{'job-id': 'qcow2', 'options': {
        'driver': 'qcow2', 'file': 'file', 'size': 1 << 20}})
    vm.wait_job('qcow2')
    vm.qmp('blockdev-add', **{
        'driver': 'qcow2', 'node-name': 'disk', 'file': 'file'})


def case52(new):
    """savevm, loadvm, migration with pages owned by 1, 2, 3 and two of them"""
    with new() as vm:
        vm.booted()
        pages = vm.pages()
        vm.step('w')
        before = [vm.owner(p[0]) for p in pages]
        check([b['mecid'] for b in before[:3]] == [1, 2, 3], f'{before}')
        make_qcow2(vm, vm.dir / 'disk.qcow2')
        vm.qmp('snapshot-save', **{'job-id': 'save', 'tag': 's',
                                   'vmstate': 'disk', 'devices': ['disk']})
        vm.wait_job('save')
        vm.step('m')
        check(vm.owner(pages[0][0])['mecid'] == 0, 'maintenance has no effect')
        vm.qmp('snapshot-load', **{'job-id': 'load', 'tag': 's',
                                   'vmstate': 'disk', 'devices': ['disk']})
        vm.wait_job('load')
        if vm.qmp('query-status')['status'] != 'running':
            vm.qmp('cont')
        check([vm.owner(p[0]) for p in pages] == before, 'loadvm: contexts')
        vm.step('c')
        vm.step('w')
        path = vm.dir / 'live'
        with new(('-incoming', 'defer')) as to:
            to.qmp('migrate-incoming', uri=f'unix:{path}')
            vm.qmp('migrate', uri=f'unix:{path}')
            to.wait_event('RESUME')
            check([to.owner(p[0]) for p in pages] == before,
                  'migration: contexts')
            to.step('c')
            to.step('m')
            to.step('c')


def case53(new):
    """gdbstub at R-EL2: reads and writes the mapped context, re-keys nothing"""
    with new() as vm:
        vm.booted()
        vm.uart.sendall(b'g')
        answer, _ = vm.answer('g')
        va, flag, first, second = (int(a, 16) for a in answer[1:])
        gdb = Gdb(vm.dir / 'gdb')
        gdb.ask('qSupported')
        gdb.ask('?')
        # The guest may not be at R-EL2 yet, where the address means something.
        deadline = time.monotonic() + TIMEOUT
        while ':' not in (text := vm.hmp(f'gva2gpa {va:#x}')):
            check(time.monotonic() < deadline, f'gva2gpa: {text}')
            gdb.send('c')
            time.sleep(0.1)
            gdb.sock.sendall(b'\x03')
            gdb.recv()
        pa = int(text.split(':')[1], 16)
        before = vm.rekeys()
        state = vm.owner(pa)
        check(state['mecid'] != 0x12,
              'the slot is resident: reading it proves little')
        check(gdb.read64(va) == first, 'gdb does not read the plain text')
        check(gdb.read64(va + 8) == second, 'nor of the second word')
        gdb.write64(va, 0x0123456789abcdef)
        check(gdb.read64(va) == 0x0123456789abcdef, 'gdb read after write')
        check(gdb.read64(va + 8) == second, 'the word beside it')
        check(vm.owner(pa) == state, 'gdb changed the context')
        check(vm.rekeys() == before, 'gdb made a re-key')
        check(differ(vm.xp(pa), 0x0123456789abcdef), 'xp shows plain text')
        gdb.write64(flag, 1)
        gdb.send('D')
        gdb.recv()
        if vm.qmp('query-status')['status'] != 'running':
            vm.qmp('cont')
        answer, _ = vm.answer('g')
        check(answer == ['0'], 'the guest does not see what gdb wrote')


def main():
    """Run the cases."""
    argv, payload, out = sys.argv[1:3], sys.argv[3], sys.argv[4]
    failed = 0
    for number, case in ((46, case46), (51, case51), (52, case52),
                         (53, case53)):
        with tempfile.TemporaryDirectory(dir=out) as top:
            made = [0]

            def new(extra=(), top=top, made=made):
                made[0] += 1
                where = Path(top) / str(made[0])
                where.mkdir()
                # Short names: a unix socket's path has 107 bytes at most.
                return Machine(argv, payload, os.path.relpath(where), extra)

            status = 'ok'
            try:
                case(new)
            except (Failure, OSError, ValueError, IndexError,
                    KeyError) as error:
                print(f'# {type(error).__name__}: {error}')
                status = 'not ok'
                failed += 1
            print(f'{status} {number} - case {number}: {case.__doc__}',
                  flush=True)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
