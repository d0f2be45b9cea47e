# SPDX-License-Identifier: GPL-2.0-or-later
#
# The guest of the fault campaign

import os

import guest

DISK_MIB = 80       # 16 of it for LUKS, 24 for the load
SECTOR = 4096
BACKEND = 'cryptodev-backend-openssl'


def new_disk(path, mib=DISK_MIB):
    if os.path.exists(path):
        os.remove(path)
    with open(path, 'wb') as file:
        file.truncate(mib << 20)


def another(number):
    """One more accelerator, in a port and with a back end of its own"""
    properties = guest.device_properties(
        guest.TYPE1, id=f't{number + 1}', bus=f'rp{number}',
        cryptodev=f'c{number}')
    option = guest.device_option(properties)
    return [*guest.port_args(number, guest.TYPE1),
            '-object', f'{BACKEND},id=c{number}', '-device', option]


def boot(folder, name, devices=1):
    disk = os.path.join(folder, name + '.img')
    new_disk(disk)
    args = guest.device_args(guest.TYPE1, BACKEND)
    for number in range(1, devices):
        args += another(number)
    args += guest.disk_args(disk, SECTOR)
    return guest.Guest(args, os.path.join(folder, name + '.log')), disk
