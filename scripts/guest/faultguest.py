# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest of the fault campaign

import os

import guest

DISK_MIB = 80       # 16 of it for LUKS, 24 for the load


def new_disk(path):
    if os.path.exists(path):
        os.remove(path)
    with open(path, 'wb') as file:
        file.truncate(DISK_MIB << 20)


def boot(folder, name):
    disk = os.path.join(folder, name + '.img')
    new_disk(disk)
    backend = 'cryptodev-backend-openssl'
    args = [*guest.device_args(guest.TYPE1, backend), *guest.disk_args(disk)]
    return guest.Guest(args, os.path.join(folder, name + '.log')), disk
