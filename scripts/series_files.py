#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Has every patch of the series the files of ours that it needs?

A file comes whole with the patch that claims it ("New-file:").  What it names,
by #include or in a meson.build, has to come with that patch or before: each
patch is to build on its own.

usage: series_files.py PATCH-FOLDER TREE
Prints what comes too late; fails if anything does.
"""

import os
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
SOURCE = re.compile(r"'([\w./-]+\.[chS])'")
TEST = re.compile(r"^\s*'(test-[\w-]+)':", re.M)
CLAIM = re.compile(r'^New-file:\s*(\S+)', re.M)
# It names tests by their programs, in this folder.
UNIT = 'tests/unit'


def claims(folder):
    """Path -> number of the patch that it comes with."""
    return {path: number
            for number, patch in enumerate(sorted(folder.glob('[0-9]*.patch')), 1)
            for path in CLAIM.findall(patch.read_text(errors='replace'))}


def named(path, text):
    """What the file may name: candidates, one of which is it."""
    here = os.path.dirname(path)
    if path.endswith('meson.build'):
        for name in SOURCE.findall(text):
            yield name, [os.path.join(here, name)]
        for name in TEST.findall(text):
            yield name, [f'{UNIT}/{name}.c']
        for name in re.findall(r"unit / '([\w.-]+)'", text):
            yield name, [f'{UNIT}/{name}']
    elif path.endswith(('.c', '.h', '.S')):
        for name in INCLUDE.findall(text):
            yield name, [os.path.normpath(os.path.join(here, name)),
                         f'include/{name}', name, f'tests/qtest/{name}']


def late(come, tree):
    for path, number in come.items():
        text = (tree / path).read_text(errors='replace')
        for name, where in named(path, text):
            numbers = [come[w] for w in where if w in come]
            if numbers and min(numbers) > number:
                yield (f'{path} comes with patch {number} and names {name}, '
                       f'which comes with patch {min(numbers)}')


def main():
    folder, tree = map(Path, sys.argv[1:3])
    bad = sorted(set(late(claims(folder), tree)))
    for line in bad:
        print(line, file=sys.stderr)
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
