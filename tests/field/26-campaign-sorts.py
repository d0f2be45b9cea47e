#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# CI of 2026-11-30: the fault campaign's control without software, which is to end
# in an I/O error, ended otherwise once.  A page that the kernel writes by itself
# and cannot write is gone from its cache: only the kernel's log says so before
# the next fsync, the file has an old block until then, and ext4 may warn of what
# it finds.  Whatever is noticed first, the cause is an I/O error.

import os
import sys
import tempfile
import types

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'scripts/guest'))
sys.dont_write_bytecode = True

from campaign import Campaign, Failed  # noqa: E402

LOST = 'Buffer I/O error on dev dm-0, logical block 7, lost async page write'
WARNS = 'WARNING: CPU: 0 PID: 9 at fs/buffer.c:1 mark_buffer_dirty'
GOOD = {'bad_blocks': 0, 'io_errors': 0, 'under_way_ms': 0,
        'first_failure': 'none'}
BAD = {**GOOD, 'bad_blocks': 1}

# name, the kernel's log, what the load says, what it is
CASES = (
    ('good', '', GOOD, None),
    ('an old block', '', BAD, 'wrong data'),
    ('an old block after a lost page', LOST, BAD, 'I/O error'),
    ('an error that the load was told of', '', {**GOOD, 'io_errors': 1},
     'I/O error'),
    ('a warning', WARNS, GOOD, 'kernel'),
    ('a warning after a lost page', f'{LOST}\n{WARNS}', GOOD, 'I/O error'),
    ('a lost page that nobody reads', LOST, GOOD, 'I/O error'),
)


def sort(log, state):
    with tempfile.NamedTemporaryFile('w') as file:
        file.write(log)
        file.flush()
        run = Campaign.__new__(Campaign)    # without devices
        run.vm = types.SimpleNamespace(log=file.name)
        try:
            run.judge(state)
            run.kernel_content()
        except Failed as err:
            return err.sort
    return None


for number, (name, log, state, want) in enumerate(CASES, 1):
    got = sort(log, state)
    if got != want:
        print(f'# {got}, not {want}')
    print(f'{"ok" if got == want else "not ok"} {number} - '
          f'/field/26-campaign-sorts/{name}')
print(f'1..{len(CASES)}')
