#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# QEMU 11.1.3, cryptodev-backend-builtin: it offers services that the device
# in front of it cannot give.
#
# VirtIO 1.2, chapter 5.9: a bit of crypto_services says that the device has that
# service, and the mask of the service which algorithms.  virtio-crypto-pci
# shows HASH with SHA1, and MAC with a mask of none, in its configuration;
# query-cryptodev lists both, too.  A HASH session with SHA1 is answered
# VIRTIO_CRYPTO_NOTSUPP, at any time: the control queue knows cipher and
# akcipher sessions only.  CIPHER with AES-CBC, the one algorithm of its mask,
# is as offered.  So a driver learns what there is by trying.
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

programs sid qemu-system-x86=1:11.1.3+ds-1 qemu-system-data=1:11.1.3+ds-1
export QEMU_MODULE_DIR=$TMP/root/usr/lib/x86_64-linux-gnu/qemu
run qemu-system-x86_64 --version | head -1

# A driver of the control queue, over the sockets of qtest and QMP
cat > "$TMP/driver.py" <<'PY'
import json
import os
import socket
import struct
import subprocess
import sys

BAR, RING, DATA = 0xe0000000, 0x100000, 0x110000
SERVICES = {0: 'CIPHER', 1: 'HASH', 2: 'MAC', 3: 'AEAD', 4: 'AKCIPHER'}
STATUS = {0: 'OK', 1: 'ERR', 2: 'BADMSG', 3: 'NOTSUPP', 4: 'INVSESS'}


class Machine:
    def __init__(self, folder, argv):
        paths = [os.path.join(folder, name) for name in ('qtest', 'qmp')]
        ears = [socket.socket(socket.AF_UNIX) for _ in paths]
        for ear, path in zip(ears, paths):
            ear.bind(path)
            ear.listen(1)
            ear.settimeout(60)
        self.child = subprocess.Popen(
            argv + ['-accel', 'qtest', '-qtest', 'unix:' + paths[0],
                    '-qtest-log', 'none', '-qmp', 'unix:' + paths[1]])
        self.test, self.qmp = (ear.accept()[0].makefile('rw')
                               for ear in ears)
        self.qmp.readline()
        self.query('qmp_capabilities')

    def query(self, command):
        self.qmp.write(json.dumps({'execute': command}) + '\n')
        self.qmp.flush()
        for line in self.qmp:
            answer = json.loads(line)
            if 'return' in answer:
                return answer['return']
        sys.exit('QEMU has gone')

    def ask(self, *words):
        self.test.write(' '.join(map(str, words)) + '\n')
        self.test.flush()
        for line in self.test:
            if line.startswith('OK'):
                return int(line.split()[1], 0) if ' ' in line else None
        sys.exit('QEMU has gone')

    def config(self, reg, width='l', value=None):
        self.ask('outl', 0xcf8, 0x80002000 | reg & ~3)
        port = 0xcfc + (reg & 3)
        if value is None:
            return self.ask('in' + width, port)
        return self.ask('out' + width, port, value)

    def put_bytes(self, addr, data):
        self.ask('write', addr, len(data), '0x' + data.hex())


class Crypto:
    def __init__(self, machine):
        self.vm = machine
        self.sent = 0
        machine.config(0x20, value=BAR)         # BAR 4
        machine.config(0x24, value=0)
        machine.config(0x04, 'w', 6)            # memory, bus master
        cap = machine.config(0x34, 'b')
        part = {}
        while cap:
            if machine.config(cap, 'b') == 9:
                kind = machine.config(cap + 3, 'b')
                part.setdefault(kind, BAR + machine.config(cap + 8))
            cap = machine.config(cap + 1, 'b')
        self.common, self.notify, self.device = part[1], part[2], part[4]
        self.write('b', 0x14, 0)
        self.write('b', 0x14, 3)
        self.write('l', 0x08, 1)
        self.write('l', 0x0c, 1)                # VIRTIO_F_VERSION_1
        self.write('b', 0x14, 11)
        self.queue = self.conf(0x04)            # after the data queues
        self.write('w', 0x16, self.queue)
        for reg, offset in (0x20, 0), (0x28, 0x8000), (0x30, 0x9000):
            self.write('l', reg, RING + offset)
            self.write('l', reg + 4, 0)
        self.write('w', 0x1c, 1)
        self.write('b', 0x14, 15)

    def write(self, width, reg, value):
        self.vm.ask('write' + width, self.common + reg, value)

    def conf(self, reg):
        return self.vm.ask('readl', self.device + reg)

    def session(self, service, request, extra=b''):
        """Ask for a session, and say what the device answers."""
        head = struct.pack('<4I', service << 8 | 2, 0, 0, 0)
        out = head + request.ljust(56, b'\0') + extra
        answer = DATA + 0x1000
        self.vm.put_bytes(DATA, out)
        self.vm.put_bytes(answer, b'\xff' * 16)
        self.vm.put_bytes(RING, struct.pack(
            '<QIHHQIHH', DATA, len(out), 1, 1, answer, 16, 2, 0))
        self.sent += 1
        self.vm.put_bytes(RING + 0x8000, struct.pack('<HH', 0, self.sent))
        self.vm.ask('writew', self.notify + 4 * self.queue, self.queue)
        for _ in range(1000):
            if self.vm.ask('readw', RING + 0x9002) == self.sent:
                return STATUS[self.vm.ask('readl', answer + 8)]
            self.vm.ask('clock_step')
        return 'none'


def cipher(algo, key):
    para = struct.pack('<4I', algo, len(key), 1, 0).ljust(48, b'\0')
    return para + struct.pack('<II', 1, 0), key


vm = Machine(sys.argv[1], sys.argv[2:])
print('query-cryptodev:', *sorted(vm.query('query-cryptodev')[0]['service']))
dev = Crypto(vm)
offered = dev.conf(8)
print('crypto_services:', *(name for bit, name in SERVICES.items()
                            if offered >> bit & 1))
print('cipher_algo_l: %#x  hash_algo: %#x  mac_algo_l: %#x  mac_algo_h: %#x'
      % tuple(map(dev.conf, (12, 20, 24, 28))))
print('session of CIPHER, AES-CBC:', dev.session(0, *cipher(3, bytes(16))))
print('session of HASH, SHA1:', dev.session(1, struct.pack('<II', 2, 20)))
print('session of CIPHER, AES-CBC:', dev.session(0, *cipher(3, bytes(32))))
vm.query('quit')
vm.child.wait()
PY

lib=$TMP/root/usr/lib/x86_64-linux-gnu
timeout 100 python3 "$TMP/driver.py" "$TMP" \
    "$lib/ld-linux-x86-64.so.2" --library-path "$lib" \
    "$TMP/root/usr/bin/qemu-system-x86_64" -L "$TMP/root/usr/share/qemu" \
    -L "$TMP/root/usr/share/seabios" -M q35 -nodefaults -display none \
    -object cryptodev-backend-builtin,id=c \
    -device virtio-crypto-pci,cryptodev=c,addr=4,disable-legacy=on,romfile= \
    > "$TMP/seen" 2> "$TMP/qemu" || { cat "$TMP/qemu" >&2; changed "the run failed"; }
cat "$TMP/seen"
grep -v '^\[' "$TMP/qemu" || true

diff - "$TMP/seen" <<'END' || changed "see above"
query-cryptodev: cipher hash mac
crypto_services: CIPHER HASH MAC
cipher_algo_l: 0x8  hash_algo: 0x4  mac_algo_l: 0x0  mac_algo_h: 0x0
session of CIPHER, AES-CBC: OK
session of HASH, SHA1: NOTSUPP
session of CIPHER, AES-CBC: OK
END
