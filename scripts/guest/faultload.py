# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests/guest/faultload.c in a guest: started, watched, ended, and what it
# wrote compared by the host.

import os
import shutil
import subprocess

import guest
import hostcheck
import volume

PROGRAM = 'faultload'
STATUS = '/run/faultload.status'
TABLE = '/run/faultload.table'
LOG = '/run/faultload.log'

# It answers from memory, so a guest that takes so long is stuck
STATE_TIMEOUT = 60


class Load:
    """
    The program, running in @vm on a mounted volume, the only one by default;
    @name tells several loads apart, which end together.
    """

    def __init__(self, vm, seed, threads=3, mib=8, where=volume.MOUNTED,
                 name=''):
        self.vm = vm
        self.files = threads
        self.status = STATUS + name
        self.table = TABLE + name
        vm.sh(f'rm -f {self.status} {self.table}; '
              f'{PROGRAM} {seed} {threads} {mib} {where} '
              f'{self.status} {self.table} >{LOG}{name} 2>&1 & '
              f'while kill -0 $! && [ ! -e {self.status} ]; do sleep 0.1; '
              f'done; cat {self.status} > /dev/null', timeout=300)

    def state(self):
        """What the load says of itself; the numbers as numbers."""
        return parse(self.vm.sh(f'cat {self.status}', timeout=STATE_TIMEOUT))

    def forget_longest(self):
        """Measure the longest operation from now on."""
        self.vm.sh(f'killall -USR1 {PROGRAM}')

    def counts(self):
        """Operations done, thread by thread"""
        state = self.state()
        return [state[f'worker{i}'] for i in range(self.files)]

    def stop(self, path):
        """End it; the table of generations goes to @path on the host."""
        self.vm.sh(f'killall -TERM {PROGRAM}; '
                   f'while killall -0 {PROGRAM} 2>/dev/null; do sleep 0.1; '
                   'done', timeout=300)
        table = self.vm.sh(f'cat {self.table}', timeout=300)
        with open(path, 'w') as file:
            file.write(table + '\n')
        return self.state()

    def messages(self):
        return self.vm.sh(f'tail -n 10 {LOG}')


def parse(text):
    state = {}
    for line in text.splitlines():
        name, value = line.split(' ', 1)
        state[name] = int(value) if value.isdigit() else value
    return state


def age(table):
    """The same table, with the first block one generation older"""
    with open(table) as file:
        lines = file.read().split('\n')
    lines[1] = str(int(lines[1]) + 1)
    path = table + '.aged'
    with open(path, 'w') as file:
        file.write('\n'.join(lines))
    return path


def verify(plain, table, files):
    """
    Compare the files in a decrypted image with the table, block by block;
    returns what is wrong.
    """
    wrong = []
    program = os.path.join(guest.GUEST, PROGRAM)
    for number in range(files):
        check = subprocess.Popen([program, 'verify', table, str(number)],
                                 stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        with hostcheck.open_file(plain, f'load{number}') as file:
            try:
                shutil.copyfileobj(file, check.stdin)
            except BrokenPipeError:     # longer than it should be
                while file.read(hostcheck.CHUNK):
                    pass
        output = check.communicate()[0].decode(errors='replace')
        if check.returncode:
            wrong.append(output)
    return '\n'.join(wrong)
