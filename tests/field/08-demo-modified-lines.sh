#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Issue 14, item 8: the demo's second act pulls the device out while lines are
# modified, and fails if there were none. Without a guest: what the act asks of
# its guest is answered here.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd -P)

PYTHONPATH=$TOP/scripts/guest PYTHONDONTWRITEBYTECODE=1 exec python3 - <<'PY'
import contextlib

import removal
from removal import Counters, RemovalAct


class Machine:
    """Has modified lines at the looks in @modified, and then for ever none"""

    def __init__(self, modified):
        self.modified = list(modified)
        self.stopped = False
        self.now = 0
        self.pulled = None      # lines modified, and whether all stood still
        self.rescued = 0

    def qmp(self, command, **arguments):
        if command in ('stop', 'cont'):
            self.stopped = command == 'stop'
            self.now = self.modified.pop(0) if self.stopped and \
                self.modified else 0
        elif command == 'x-cxl-type1-fault':
            self.pulled = self.now, self.stopped
            self.rescued = self.now
        elif command == 'x-query-cxl-cache':
            return {'rescued-lines': self.rescued, 'poisoned-lines': 0,
                    'lost-lines': 0}
        return {}

    def cache_lines(self):
        return {'M': self.now} if self.now else {}


class Demo:
    def __init__(self, keeps=True):
        self.keeps = keeps
        self.report = {}
        self.failed = []

    def keeps_lines(self):
        return self.keeps

    def say(self, text):
        pass

    def recorded(self, vm, name, *options):
        return contextlib.nullcontext()

    def check(self, name, good, detail=''):
        if not good:
            self.failed.append(name)


def act(modified, keeps=True):
    removal.TIMEOUT = 0.3
    demo, vm = Demo(keeps), Machine(modified)
    this = RemovalAct(vm, demo)
    this.pull()
    this.account(Counters(300, 0, 2), Counters(0, 300, 2),
                 Counters(300, 0, 2))
    return vm, demo


def waits():
    vm, demo = act([0, 0, 5])
    return vm.pulled == (5, True) and not demo.failed and not vm.stopped


def fails():
    vm, demo = act([])
    return demo.failed == ['lines that only the device had came home']


def not_kept():
    vm, demo = act([0, 0, 5], keeps=False)
    return vm.pulled == (0, True) and not demo.failed


tests = {'pulled-while-modified': waits, 'none-is-a-failure': fails,
         'lines-are-not-kept': not_kept}
for n, (name, test) in enumerate(tests.items(), 1):
    try:
        good = test()
    except Exception as err:
        good = False
        print(f'# {err!r}')
    print(f'{"ok" if good else "not ok"} {n} '
          f'/field/08-demo-modified-lines/{name}')
print(f'1..{len(tests)}')
PY
