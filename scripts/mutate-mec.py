#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break FEAT_MEC one line at a time; its qtests must catch each.

As mutate.py, for the Arm emulator alone.

usage: mutate-mec.py [--check] [WORD]...
"""

import os
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
    mutate.ninja = ninja
    mutate.ENV = dict(os.environ, QTEST_QEMU_BINARY='./qemu-system-aarch64')
    return mutate.run(words, mutants_mec.FAULTS)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
