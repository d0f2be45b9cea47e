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


def luks_format(vm, options=''):
    """@options: of cryptsetup; without any it chooses cipher and sector size"""
    vm.sh(f'echo -n "{PASSPHRASE}" | cryptsetup luksFormat -q '
          f'{PBKDF} {options} {DISK} -d -', timeout=300)


def luks_open(vm):
    vm.sh(f'echo -n "{PASSPHRASE}" | '
          f'cryptsetup open --type luks2 -d - {DISK} {NAME}')


def luks_close(vm):
    vm.sh(f'cryptsetup close {NAME}')


def make_filesystem(vm):
    vm.sh('mkfs.ext4 -q -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 '
          f'{MAPPED}')


def mount(vm):
    vm.sh(f'mkdir -p {MOUNTED} && mount {MAPPED} {MOUNTED}')


def unmount(vm):
    vm.sh(f'sync && umount {MOUNTED}', timeout=300)
