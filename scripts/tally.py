#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run tests, count them, add up.

  tally.py run DIR NAME [--status|--show] COMMAND...
      Run COMMAND and count its TAP lines (--show prints them all); with
      --status its exit status is the one test. A command that yields no test, fewer than it planned, or ends
      badly counts as a failure. Output goes to DIR/NAME.log, counts to
      DIR/NAME.count; what failed is shown, each line with NAME: several may
      run at once.
  tally.py total DIR
      Print "N passed, N failed" over all counts of DIR; fails if any failed
      or if there was no test.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

TAP = re.compile(r'^(not )?ok\b[\s\d]*(-\s*)?(.*)$')
PLAN = re.compile(r'^1\.\.(\d+)\b')
SKIP = re.compile(r'#\s*(SKIP|TODO)\b', re.I)
BAIL = re.compile(r'^Bail out!')


class Count:
    """What one command's output says."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.plan = None
        self.bailed = False

    def seen(self):
        return self.passed + self.failed + self.skipped

    def line(self, line):
        """Take one line; True if it tells of a failure."""
        if plan := PLAN.match(line):
            self.plan = int(plan.group(1))
        elif BAIL.match(line):
            self.bailed = True
            return True
        elif tap := TAP.match(line):
            if SKIP.search(tap.group(3)):
                self.skipped += 1
            elif tap.group(1):
                self.failed += 1
                return True
            else:
                self.passed += 1
        return False

    def close(self, status):
        """Tests that never reported; returns why, or None."""
        if self.plan is not None and self.seen() < self.plan:
            missing = self.plan - self.seen()
            self.failed += missing
            return f'{missing} of {self.plan} planned tests did not report'
        if self.seen() == 0:
            self.failed += 1
            return 'no test ran'
        if (status or self.bailed) and not self.failed:
            self.failed += 1
            return f'exit status {status} with no failed test'
        return None

    def __str__(self):
        text = f'{self.passed} passed, {self.failed} failed'
        return text + (f', {self.skipped} skipped' if self.skipped else '')


def tail(path, lines):
    with open(path, errors='replace') as log:
        return [line.rstrip('\n') for line in log][-lines:]


def run(where, name, command, option):
    where.mkdir(parents=True, exist_ok=True)
    log = where / (name.replace('/', '-') + '.log')
    count, start = Count(), time.monotonic()
    by_status = option == '--status'
    with open(log, 'w') as out:
        proc = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, errors='replace',
                                stderr=subprocess.STDOUT)
        for line in proc.stdout:
            out.write(line)
            out.flush()
            bad = not by_status and count.line(line)
            if bad or option:
                print(f'    {name}: {line}', end='', flush=True)
        status = proc.wait()
    if by_status:
        count = Count()
        count.passed, count.failed = int(status == 0), int(status != 0)
        why = f'exit status {status}' if status else None
    else:
        why = count.close(status)
    if count.failed and not option:
        for line in tail(log, 15):
            print(f'    {name}| {line}')
    if why:
        print(f'    {name}: {why} ({log})')
    print(f'{name}: {count} ({time.monotonic() - start:.1f} s)', flush=True)
    log.with_suffix('.count').write_text(
        f'{count.passed} {count.failed} {count.skipped}\n')
    return int(count.failed > 0)


def total(where):
    sums = [0, 0, 0]
    for path in where.glob('*.count'):
        sums = [a + int(b) for a, b in zip(sums, path.read_text().split())]
    if not any(sums):
        sums[1] = 1
        print('no test ran')
    passed, failed, skipped = sums
    print(f'{passed} passed, {failed} failed' +
          (f', {skipped} skipped' if skipped else ''))
    return int(failed > 0)


def main(args):
    if len(args) >= 4 and args[0] == 'run':
        option = args[3] if args[3] in ('--status', '--show') else ''
        return run(Path(args[1]), args[2], args[4 if option else 3:], option)
    if len(args) == 2 and args[0] == 'total':
        return total(Path(args[1]))
    sys.exit(__doc__)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
