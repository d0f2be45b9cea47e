# SPDX-License-Identifier: GPL-2.0-or-later
#
# Points of a test in the Test Anything Protocol, on standard output.

import os

import guest


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def point(self, good, name, why=''):
        self.count += 1
        self.failed += not good
        print(f'{"ok" if good else "not ok"} {self.count} - {name}',
              flush=True)
        if not good and why:
            for line in str(why).splitlines():
                print(f'# {line}', flush=True)
        return good

    def skip(self, name, why):
        self.count += 1
        print(f'ok {self.count} - {name} # SKIP {why}', flush=True)

    def guarded(self, tests):
        """
        Name and function of each test; a function returns what is wrong, or
        nothing.  After a hang there is no point in asking on.
        """
        hangs = ''
        for name, work in tests:
            why = hangs
            try:
                why = why or work()
            except guest.GuestHangs as err:
                why = str(err)
                hangs = 'not run: the guest hangs'
            except guest.GuestError as err:
                why = str(err)
            self.point(not why, name, why)


def run_parts(parts, folder, wanted):
    """
    The wanted ones of some functions by name, or all, each with a Tap and a
    folder for what it leaves; returns an exit status.
    """
    tap = Tap()
    os.makedirs(folder, exist_ok=True)
    for name in wanted or parts:
        parts[name](tap, folder)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0
