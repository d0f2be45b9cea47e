#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Become a QEMU with a guest on this terminal.

import os
import sys

import guest

DISK_MIB = 256


def main():
    folder = os.path.join(guest.BUILD, 'run')
    disk = os.path.join(folder, 'disk.img')
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(disk):
        with open(disk, 'wb') as file:
            file.truncate(DISK_MIB << 20)
    qemu = guest.qemu_binary()
    argv = [qemu, *guest.machine_args(),
            *guest.device_args(*guest.chosen_device()),
            *guest.disk_args(disk), *guest.kernel_args('quiet loglevel=3'),
            '-chardev', 'stdio,id=console,mux=on,signal=off',
            '-serial', 'chardev:console',
            '-object', 'monitor-hmp,id=hmp,chardev=console',
            *guest.user_args(), *sys.argv[1:]]
    print('Ctrl-A X leaves, Ctrl-A C is the monitor. Booting...', flush=True)
    try:
        os.execv(qemu, argv)
    except OSError as err:
        sys.exit(f'{qemu}: {err.strerror}; is it built?')


if __name__ == '__main__':
    main()
