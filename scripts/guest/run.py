#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Become a QEMU with a guest on this terminal.  Its device has the name that
# the documentation's examples have.
#
# Environment: DEVICE, BACKEND, QEMU, QEMU_ARGS, KERNEL, IOMMU; SECTOR, of the
# disk (512 or 4096); STOCK=1: the stock driver is what the guest begins with;
# RUN_DIR, where the disk is (build/run).

import os
import sys

import guest

DISK_MIB = 256
DEVICE_ID = 'accel0'
MARK = 'guest.stock'      # init knows it


def main():
    folder = os.environ.get('RUN_DIR') or os.path.join(guest.BUILD, 'run')
    disk = os.path.join(folder, 'disk.img')
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(disk):
        with open(disk, 'wb') as file:
            file.truncate(DISK_MIB << 20)
    qemu = guest.qemu_binary()
    stock = MARK if os.environ.get('STOCK') else ''
    argv = [qemu, *guest.machine_args(),
            *guest.device_args(*guest.chosen_device(), id=DEVICE_ID),
            *guest.disk_args(disk, int(os.environ.get('SECTOR') or 4096)),
            *guest.kernel_args(f'quiet loglevel=3 {stock}'),
            '-chardev', 'stdio,id=console,mux=on,signal=off',
            '-serial', 'chardev:console',
            '-object', 'monitor-hmp,id=hmp,chardev=console',
            *guest.user_args(), *sys.argv[1:]]
    print('Ctrl-A X leaves, Ctrl-A C is the monitor: info cxl-cache, '
          f'cxl_type1_fault {DEVICE_ID} hang,\n'
          f'device_del {DEVICE_ID}, trace-event cxl_cache_* on. Booting...',
          flush=True)
    try:
        os.execv(qemu, argv)
    except OSError as err:
        sys.exit(f'{qemu}: {err.strerror}; is it built?')


if __name__ == '__main__':
    main()
