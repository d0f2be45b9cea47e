#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break FEAT_MEC one line at a time; its qtests must catch each.

As mutate.py, for the Arm emulator alone.

usage: mutate-mec.py [--check] [WORD]...
"""

import os
import signal
import subprocess
import sys

import mutants_mec
import mutate


def ninja():
    return subprocess.run(['ninja', '-C', mutate.BUILD, 'qemu-system-aarch64',
                           *(f'tests/qtest/{test}'
                             for test in mutants_mec.TESTS)],
                          capture_output=True, text=True)


def main(words):
    check_only = '--check' in words
    words = [word for word in words if word != '--check']
    wanted = [fault for fault in mutants_mec.FAULTS
              if not words or any(word in fault[0] for word in words)]
    if check_only:
        return bool(mutate.check(mutate.QEMU, wanted))
    mutate.ninja = ninja
    mutate.ENV = dict(os.environ, QTEST_QEMU_BINARY='./qemu-system-aarch64')
    survived = 0
    for name, file, old, new, tests in wanted:
        caught, how = mutate.attempt(mutate.QEMU / file, old, new, tests)
        survived += not caught
        print(f'{"caught" if caught else "NOT   "} {name}: {how}', flush=True)
    print(f'{len(wanted) - survived} passed, {survived} failed')
    if ninja().returncode:
        sys.exit('the tree does not build any more')
    return bool(survived)


if __name__ == '__main__':
    # The broken file is put back then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))
    sys.exit(main(sys.argv[1:]))
