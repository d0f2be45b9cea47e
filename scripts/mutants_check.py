# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether faults still find their lines: for mutate.py and mutate-cache.py"""


def check(root, faults):
    """Returns: how many of @faults do not find their lines exactly once"""
    bad = 0
    for name, file, old, new, *_ in faults:
        count = (root / file).read_text().count(old)
        if count != 1 or old == new:
            print(f'{name}: its lines are in {file} {count} times')
            bad += 1
    print(f'{len(faults) - bad} passed, {bad} failed')
    return bad
