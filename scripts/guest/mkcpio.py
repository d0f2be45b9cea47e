#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Write a directory as a "newc" cpio archive, owned by root whoever runs this
# and with the same bytes every time.  Not compressed: unpacking would be
# emulated.
#
# usage: mkcpio.py DIRECTORY ARCHIVE

import os
import stat
import sys

FIRST_INO = 1


def entries(top):
    """Directories before what is in them, in a fixed order."""
    for path, dirs, files in os.walk(top):
        dirs.sort()
        links = [d for d in dirs if os.path.islink(os.path.join(path, d))]
        if path != top:
            yield path
        for name in sorted(files + links):
            yield os.path.join(path, name)


def pad(data):
    return data + b'\0' * (-len(data) % 4)


def member(name, mode, ino, data=b'', rdev=(0, 0)):
    fields = (ino, mode, 0, 0, 1, 0, len(data), 0, 0, *rdev,
              len(name) + 1, 0)
    header = b'070701' + b''.join(b'%08X' % field for field in fields)
    return pad(header + name + b'\0') + pad(data)


def content(path):
    info = os.lstat(path)
    if stat.S_ISLNK(info.st_mode):
        return stat.S_IFLNK | 0o777, os.readlink(path).encode()
    if stat.S_ISDIR(info.st_mode):
        return stat.S_IFDIR | 0o755, b''
    with open(path, 'rb') as file:
        return stat.S_IFREG | (info.st_mode & 0o755), file.read()


def main(top, archive):
    with open(archive + '.new', 'wb') as out:
        ino = FIRST_INO
        for ino, path in enumerate(entries(top), FIRST_INO):
            mode, data = content(path)
            name = os.path.relpath(path, top).encode()
            out.write(member(name, mode, ino, data))
        # The kernel opens it for init before anything is mounted on /dev
        out.write(member(b'dev/console', stat.S_IFCHR | 0o600, ino + 1,
                         rdev=(5, 1)))
        out.write(member(b'TRAILER!!!', 0, 0))
    os.rename(archive + '.new', archive)


if __name__ == '__main__':
    main(*sys.argv[1:])
