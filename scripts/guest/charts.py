# SPDX-License-Identifier: GPL-2.0-or-later
#
# Pictures of what went over CXL.cache at some moments of a guest's life.
# Messages are traced for those moments only: it slows a guest that works.

import contextlib
import os
import subprocess
import sys

import guest

sys.path.append(os.path.join(guest.ROOT, 'scripts'))

from cxl_chart import live      # noqa: E402

CHART = os.path.join(guest.ROOT, 'scripts', 'cxl-chart')
TIMEOUT = 60


class Charts:
    """
    Leaves NAME.svg in a folder, and NAME.trace, which it is drawn from.  That
    there is none is said, and no failure.  @made: names of those there are.
    """

    def __init__(self, folder, say):
        self.folder = folder
        self.say = say
        self.log = os.path.join(folder, 'cxl.trace')
        self.made = []

    def args(self):
        """Options of the QEMU that is to be looked at"""
        for name in os.listdir(self.folder):
            if name.endswith(('.trace', '.svg')):
                os.remove(os.path.join(self.folder, name))
        return ['-msg', 'timestamp=on', '-D', self.log]

    @contextlib.contextmanager
    def record(self, vm, name, *options):
        """@options: of cxl-chart, for what is done meanwhile"""
        position = os.path.getsize(self.log) \
            if os.path.exists(self.log) else None
        if position is None:
            # QEMU_ARGS may have named another log
            yield
            return
        with live.traced(vm.qmp):
            yield
        self.draw(name, options, live.new_lines(self.log, position))

    def draw(self, name, options, lines):
        trace = os.path.join(self.folder, f'{name}.trace')
        with open(trace, 'w') as file:
            file.writelines(lines)
        result = subprocess.run(
            [sys.executable, CHART, *options, '-o', f'{name}.svg',
             f'{name}.trace'], cwd=self.folder, check=False, timeout=TIMEOUT,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode:
            self.say(f'no picture {name}.svg: {result.stderr.strip()}')
        else:
            self.made.append(f'{name}.svg')
            self.say(f'drawn: {trace[:-len("trace")]}svg')
