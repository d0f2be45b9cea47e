# SPDX-License-Identifier: GPL-2.0-or-later
#
# "make run", as somebody at a terminal meets it: its hints are read off the
# screen and typed, in the guest's shell and in the monitor.
#
# Seen to fail with CMDLINE=module_blacklist=cxl_type1_crypto: all that take our
# driver, and no others.

import os
import pty
import re
import select
import signal
import sys
import time

import guest
from run import DEVICE_ID

RUN = os.path.join(os.path.dirname(os.path.realpath(__file__)), 'run.py')
PROMPT = r'^/[^\n]* # $'
MONITOR = r'\(qemu\) $'
LEAVE, SWITCH = '\x01x', '\x01c'
ESCAPES = re.compile(r'\x1b\[[0-9;?]*[A-Za-z]|\r')
BOOT_TIMEOUT = 240
TIMEOUT = 60
DEBUGFS = f'/sys/kernel/debug/{guest.MODULE}'
DRIVERS = '/sys/bus/virtio/drivers'


class Terminal:
    """run.py on a terminal of its own; @settings: of its environment"""

    def __init__(self, **settings):
        self.screen = ''
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update(settings)
            os.execv(sys.executable, [sys.executable, RUN])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def read(self, deadline):
        """Whether there was anything; no more after QEMU's end"""
        left = max(0, deadline - time.monotonic())
        if not select.select([self.fd], [], [], left)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        # A sequence may come in two pieces.
        self.screen = ESCAPES.sub('', self.screen +
                                  data.decode(errors='replace'))
        return bool(data)

    def expect(self, pattern, timeout=TIMEOUT):
        """What is on the screen ahead of it, which is then wiped"""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.screen, re.M)):
            if not self.read(deadline):
                raise guest.GuestHangs(f'no {pattern!r} on the terminal:\n'
                                       f'{self.screen[-2000:]}')
        before, self.screen = (self.screen[:found.start()],
                               self.screen[found.end():])
        return before

    def type(self, text, prompt):
        """Returns what comes between the echo and the prompt"""
        os.write(self.fd, f'{text}\n'.encode())
        return self.expect(prompt).partition('\n')[2].strip()

    def sh(self, command):
        return self.type(command, PROMPT)

    def press(self, keys, pattern=None):
        os.write(self.fd, keys.encode())
        return self.expect(pattern) if pattern else ''

    def status(self):
        """Of QEMU, which is about to end"""
        deadline = time.monotonic() + TIMEOUT
        while self.read(deadline):
            pass
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        while not pid and time.monotonic() < deadline:
            time.sleep(0.1)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            raise guest.GuestHangs('QEMU does not end')
        self.pid = 0
        return os.waitstatus_to_exitcode(status)


class ShellTests:
    def __init__(self, terminal):
        self.terminal = terminal
        self.hints = ''

    def boots(self):
        self.hints = self.terminal.expect(PROMPT, BOOT_TIMEOUT)
        return '\n'.join(f'no word of {word!r}' for word in (
            'Ctrl-A X leaves', 'info cxl-cache', 'trace-event', DEVICE_ID,
            'luksFormat') if word not in self.hints)

    def owner(self):
        return self.terminal.sh(f'ls -d {DRIVERS}/*crypto*/virtio*')

    def debugfs(self):
        said = self.terminal.sh(f'cd {DEBUGFS}; cat stats devices; cd /')
        return '' if re.search('^state device$', said, re.M) else said

    def volume(self):
        """As the hint says, line by line"""
        hint = self.hints.partition('/dev/vda:\n')[2].partition('  in the')[0]
        said = [self.terminal.sh(line.strip()) for line in
                hint.replace('\\\n', ' ').splitlines()]
        table, transforms = '\n'.join(said), said[-1]
        if 'vault' not in table or not re.search(
                r'^xts\(aes\) 512 [1-9]\d* ', transforms, re.M):
            return f'{hint}\n{table}'
        return ''

    def monitor(self):
        """It hangs by its name in the documentation; the volume goes on"""
        wrong = ''
        self.terminal.press(SWITCH, MONITOR)
        for command, answer in (('info cxl-cache', DEVICE_ID),
                                (f'cxl_type1_fault {DEVICE_ID} hang', '')):
            said = self.terminal.type(command, MONITOR)
            if answer not in said or 'Error' in said:
                wrong += f'{command}: {said}\n'
        os.write(self.terminal.fd, SWITCH.encode())
        self.terminal.sh('cp /bin/busybox /mnt/file; sync')
        said = self.terminal.sh(
            'echo 3 > /proc/sys/vm/drop_caches; cmp /bin/busybox /mnt/file '
            f'&& cat /sys/module/{guest.MODULE}/parameters/hangs')
        if not re.search('^[1-9]', said, re.M):
            wrong += said
        return wrong

    def ends(self):
        os.write(self.terminal.fd, b'exit\n')
        status = self.terminal.status()
        return '' if not status else f'status {status}'

    def ours(self):
        owner = self.owner()
        return '' if guest.MODULE in owner else owner

    def stock(self):
        owner = self.owner()
        return '' if '/virtio_crypto/' in owner else owner

    def leaves(self):
        self.terminal.press(LEAVE)
        status = self.terminal.status()
        return '' if not status else f'status {status}'


def shell_tests(tap, folder):
    disk = os.path.join(folder, 'disk.img')
    if os.path.exists(disk):
        os.remove(disk)
    with Terminal(RUN_DIR=folder) as terminal:
        tests = ShellTests(terminal)
        tap.guarded((
            ('make run: a prompt, and hints', tests.boots),
            ('make run: our driver has the device', tests.ours),
            ('make run: debugfs is there', tests.debugfs),
            ('make run: a volume as the hint makes it, on the device',
             tests.volume),
            ('make run: the monitor knows the device by its name',
             tests.monitor),
            ('make run: "exit" ends it', tests.ends)))
    with Terminal(RUN_DIR=folder, STOCK='1') as terminal:
        tests = ShellTests(terminal)
        tap.guarded((
            ('make run STOCK=1: a prompt, and hints', tests.boots),
            ('make run STOCK=1: the stock driver has the device',
             tests.stock),
            ('make run STOCK=1: Ctrl-A X ends it', tests.leaves)))
