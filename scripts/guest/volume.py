# SPDX-License-Identifier: GPL-2.0-or-later
#
# The LUKS volume of a guest, on its only disk: made, opened, mounted, closed.

PASSPHRASE = 'correct horse battery staple'
# Real key stretching is for real secrets; emulated, it only takes time
PBKDF = '--pbkdf pbkdf2 --pbkdf-force-iterations 1000'

DISK = '/dev/vda'
NAME = 'vault'
MAPPED = f'/dev/mapper/{NAME}'
MOUNTED = '/mnt'


def luks_format(vm, options='', disk=DISK):
    """@options: of cryptsetup; without any it chooses cipher and sector size"""
    vm.sh(f'echo -n "{PASSPHRASE}" | cryptsetup luksFormat -q '
          f'{PBKDF} {options} {disk} -d -', timeout=300)


def luks_open(vm, disk=DISK, name=NAME):
    vm.sh(f'echo -n "{PASSPHRASE}" | '
          f'cryptsetup open --type luks2 -d - {disk} {name}')


def luks_close(vm, name=NAME):
    vm.sh(f'cryptsetup close {name}')


def make_filesystem(vm, name=NAME):
    vm.sh('mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 '
          f'/dev/mapper/{name}')


def mount(vm, name=NAME, where=MOUNTED):
    vm.sh(f'mkdir -p {where} && mount /dev/mapper/{name} {where}')


def unmount(vm, where=MOUNTED):
    vm.sh(f'sync && umount {where}', timeout=300)
