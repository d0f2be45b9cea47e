# SPDX-License-Identifier: GPL-2.0-or-later
"""Record a trace of a running QEMU: trace events on, and off again, by QMP."""

import contextlib
import json
import os
import socket
import time

from . import ChartError

EVENTS = ('cxl_cache_*', 'cxl_type1_crypto_*')
TIMEOUT = 10


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.file = self.socket.makefile('rw')
        self.answer('QMP')
        self('qmp_capabilities')

    def answer(self, key):
        for line in self.file:
            answer = json.loads(line)
            if 'error' in answer:
                raise ChartError(answer['error']['desc'])
            if key in answer:
                return answer[key]
        raise ChartError('QEMU went away')

    def __call__(self, execute, **arguments):
        self.file.write(json.dumps({'execute': execute,
                                    'arguments': arguments}) + '\n')
        self.file.flush()
        return self.answer('return')


@contextlib.contextmanager
def traced(qmp):
    """@qmp: a function that runs a command with its arguments"""
    try:
        for name in EVENTS:
            qmp('trace-event-set-state', name=name, enable=True)
        yield
    finally:
        for name in EVENTS:
            qmp('trace-event-set-state', name=name, enable=False)


def new_lines(path, position):
    with open(path, errors='replace') as file:
        file.seek(position)
        return file.readlines()


def record(monitor, log, seconds):
    """The lines that QEMU adds to its log meanwhile"""
    position = os.path.getsize(log)
    try:
        with traced(Monitor(monitor)):
            time.sleep(seconds)
    except (OSError, ValueError) as err:
        raise ChartError(f'{monitor}: {err}') from err
    return new_lines(log, position)
