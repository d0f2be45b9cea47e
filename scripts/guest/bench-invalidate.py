#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What it costs that an IOMMU takes a page back of which the device has all
# lines modified, by the number of pages that it has lines of: no guest, the
# perf cases of cxl-type1-ats-test.  Adds to build/bench/results.json.

import os
import re
import subprocess
import sys

import guest

BUILD = os.path.join(guest.BUILD, 'qemu', 'build')
TEST = 'tests/qtest/cxl-type1-ats-test'
COST = re.compile(r'(\d+) pages held: ([\d.]+) us')
GROWTH = 1.5        # at most, from the fewest pages held to the most


def measure():
    """Microseconds for a page, by pages held"""
    env = dict(os.environ, QTEST_QEMU_BINARY=guest.qemu_binary())
    run = subprocess.run([TEST, '--tap', '-m', 'perf'], cwd=BUILD, env=env,
                         stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        sys.exit(f'bench: {TEST} failed')
    return {int(held): float(cost) for held, cost in COST.findall(run.stdout)}


def entry(ours, peer, target):
    return {'ours': ours, 'peer': peer, 'ratio': round(ours / peer, 3),
            'unit': 'us', 'target': target}


def main():
    cost = measure()
    few, most = min(cost), max(cost)
    for held in sorted(cost):
        print(f'{held} pages held: {cost[held]:.2f} us for each page that is '
              'invalidated')
    print(f'x{cost[most] / cost[few]:.2f} from {few} to {most} pages '
          f'(goal: at most {GROWTH})')
    guest.save_results({f'invalidation of a page, {most} pages held against '
                        f'{few}': entry(cost[most], cost[few], GROWTH)})


if __name__ == '__main__':
    main()
