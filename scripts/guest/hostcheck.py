# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the host can find out about a LUKS2 image, with cryptsetup and
# e2fsprogs alone: no code of this project, no kernel help (a container has
# neither device mapper nor loop devices), no root.

import contextlib
import hashlib
import os
import shutil
import subprocess

import guest

CHUNK = 1 << 20


class HostCheckError(Exception):
    pass


def sha256(file):
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def contains(file, mark):
    """Is @mark anywhere in @file?"""
    tail = b''
    while chunk := file.read(CHUNK):
        if mark in tail + chunk:
            return True
        tail = chunk[-len(mark):]
    return False


def tool(name):
    """The machine's own program, or else the one in the fetched packages."""
    path = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
    found = shutil.which(name, path=path)
    if found:
        return [found]
    root = os.path.join(guest.GUEST, 'root')
    libs = [os.path.join(root, part, 'x86_64-linux-gnu')
            for part in ('lib', 'usr/lib')]
    for part in ('sbin', 'usr/sbin'):
        program = os.path.join(root, part, name)
        if os.path.exists(program):
            return [os.path.join(libs[0], 'ld-linux-x86-64.so.2'),
                    '--library-path', ':'.join(libs), program]
    raise HostCheckError(f'no {name} on this machine')


def run(argv, stdin=b'', good=(0,)):
    result = subprocess.run(argv, input=stdin, capture_output=True,
                            timeout=600, check=False)
    if result.returncode not in good:
        raise HostCheckError(f'{" ".join(argv)}: exit status '
                             f'{result.returncode}\n'
                             f'{result.stderr.decode(errors="replace")}')
    return result.stdout


def decrypt(image, plain, passphrase):
    """
    Turn a copy of @image into plain text, in place, from the passphrase.
    cryptsetup does that in user space, with the key slot and the IVs of the
    format; returns how, in words.
    """
    shutil.copyfile(image, plain)
    header = plain + '.header'
    if os.path.exists(header):
        os.remove(header)
    cryptsetup = tool('cryptsetup')
    run([*cryptsetup, 'reencrypt', '--decrypt', '--batch-mode',
         '--force-offline-reencrypt', '--disable-locks', '--header', header,
         '--key-file', '-', plain], passphrase.encode())
    os.remove(header)
    version = run([*cryptsetup, '--version']).decode().split()[1]
    return f'cryptsetup {version} reencrypt --decrypt, in user space'


def filesystem_clean(plain):
    """Does e2fsck find nothing to mend?"""
    run([*tool('e2fsck'), '-f', '-n', plain])
    return True


@contextlib.contextmanager
def open_file(plain, name):
    """A file of the file system in @plain, as a stream"""
    debugfs = subprocess.Popen([*tool('debugfs'), '-R', f'cat /{name}',
                                plain], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    with debugfs.stdout:
        yield debugfs.stdout
    if debugfs.wait():
        raise HostCheckError(f'debugfs cannot read {name}')


def file_sum(plain, name):
    with open_file(plain, name) as file:
        return sha256(file)
