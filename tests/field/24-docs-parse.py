#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
A table with a word wider than its column is an error to Sphinx, which builds
QEMU's manual, and ours had one: nobody builds that manual here. docutils, the
part of it that reads tables and lists, does it as well. What only Sphinx knows,
roles, directives and a language "none", is passed over.
"""

import io
import pathlib
import re
import subprocess

import docutils.core

TOP = pathlib.Path(__file__).resolve().parents[2]
SPHINX = re.compile('Unknown (interpreted text role|directive type)|'
                    'No (role|directive) entry|Cannot analyze code')
LEVEL_WARNING = 2


def complaints(path):
    said = io.StringIO()
    docutils.core.publish_doctree(path.read_text(), str(path), settings_overrides={
        'report_level': LEVEL_WARNING, 'halt_level': 5,
        'warning_stream': said, 'raw_enabled': False})
    return [line for line in said.getvalue().splitlines()
            if re.search(r': \((WARNING|ERROR|SEVERE)/', line)
            and not SPHINX.search(line)]


def main():
    files = subprocess.run(['git', 'ls-files', 'docs/*.rst'], cwd=TOP, text=True,
                           check=True, capture_output=True).stdout.split()
    print(f'1..{len(files)}')
    for n, name in enumerate(files, 1):
        found = complaints(TOP / name)
        for line in found:
            print('#', line.replace(str(TOP) + '/', ''))
        print(f'{"not " if found else ""}ok {n} /field/24-docs-parse/{name}')


if __name__ == '__main__':
    main()
