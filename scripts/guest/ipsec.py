#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Another user of the guest's driver than dm-crypt, as TAP: IPsec with
# hmac(sha256) and cbc(aes) between two network namespaces in the guest, over a
# veth pair.  What is sent is compared with what arrives; the driver's counters
# tell where it was encrypted.
#
# Environment: KERNEL, QEMU, QEMU_ARGS.

import os
import sys

import guest
import tap

# The guest's shell has an ip of its own, which it prefers
IP = '/sbin/ip'
SIZE = 2000000
ADDRESS = {'a': '10.9.0.1', 'b': '10.9.0.2'}
SPI = {'a': 0x1001, 'b': 0x1002}    # of what is sent from there
AUTH_KEY = '0x' + '5c' * 32
KEY = '0x' + '0123456789abcdef' * 4
WRONG_KEY = '0x' + '0123456789abcdee' * 4
NC_WAIT = 20


def other(side):
    return 'b' if side == 'a' else 'a'


def in_side(side, command):
    return f'{IP} netns exec {side} {command}'


class Net:
    """Two hosts, a and b, on a cable."""

    def __init__(self, vm):
        self.vm = vm
        for module in ('veth', 'xfrm_user', 'esp4', 'echainiv', 'authenc'):
            vm.sh(f'modprobe {module}')
        for side in ADDRESS:
            vm.sh(f'{IP} netns add {side}')
        vm.sh(f'{IP} link add va netns a type veth peer name vb netns b')
        for side, address in ADDRESS.items():
            vm.sh(f'{IP} -n {side} addr add {address}/24 dev v{side}')
            vm.sh(f'{IP} -n {side} link set lo up')
            vm.sh(f'{IP} -n {side} link set v{side} up')

    def states(self, side, key):
        for source in ADDRESS:
            self.vm.sh(
                f'{IP} -n {side} xfrm state add '
                f'src {ADDRESS[source]} dst {ADDRESS[other(source)]} '
                f'proto esp spi {SPI[source]} reqid 1 mode transport '
                f'auth-trunc "hmac(sha256)" {AUTH_KEY} 128 '
                f'enc "cbc(aes)" {key}')

    def policies(self, side):
        for source in ADDRESS:
            direction = 'out' if source == side else 'in'
            self.vm.sh(
                f'{IP} -n {side} xfrm policy add '
                f'src {ADDRESS[source]} dst {ADDRESS[other(source)]} '
                f'dir {direction} tmpl src {ADDRESS[source]} '
                f'dst {ADDRESS[other(source)]} proto esp reqid 1 '
                f'mode transport')

    def rekey(self, key_of_b):
        for side, key in (('a', KEY), ('b', key_of_b)):
            self.vm.sh(f'{IP} -n {side} xfrm state flush')
            self.states(side, key)

    def send(self, port, seed, size):
        """From a to b; returns what is wrong, or nothing"""
        vm = self.vm
        vm.sh(f'pattern text {seed} {size} > /tmp/sent; rm -f /tmp/came')
        receive = in_side('b', f'timeout {NC_WAIT} nc -l -p {port}')
        send = in_side('a', f'timeout {NC_WAIT} nc {ADDRESS["b"]} {port}')
        status, text = vm.try_sh(
            f'{receive} > /tmp/came </dev/null & sleep 1; '
            f'{send} < /tmp/sent >/dev/null; sent=$?; wait; '
            f'cmp /tmp/sent /tmp/came && exit $sent')
        return text or (f'exit status {status}' if status else '')

    def errors(self, side):
        """The kernel's counters of what went wrong, those that rose"""
        text = self.vm.sh(in_side(side, 'cat /proc/net/xfrm_stat'))
        pairs = (line.split() for line in text.splitlines())
        return {name: int(value) for name, value in pairs if int(value)}


def test(vm, out):
    net = Net(vm)
    before = vm.module_counters()
    for side in ADDRESS:
        net.states(side, KEY)
        net.policies(side)
    why = net.send(5001, 1, SIZE)
    out.point(not why, f'{SIZE} bytes arrive as they were sent', why)
    errors = {side: net.errors(side) for side in ADDRESS}
    out.point(not any(errors.values()), 'IPsec saw no error', errors)
    after = vm.module_counters()
    rise = {name: after[name] - before[name] for name in
            ('device_requests', 'device_bytes', 'software_requests')}
    print(f'# {rise}')
    # Each byte is encrypted on one side and decrypted on the other
    out.point(rise['device_bytes'] >= 2 * SIZE, 'the device did it', rise)
    out.point(not rise['software_requests'], 'software did nothing', rise)

    vm.sh(f'echo 3 > /sys/module/{guest.MODULE}/parameters/fail_every')
    why = net.send(5002, 2, SIZE // 10)
    vm.sh(f'echo 0 > /sys/module/{guest.MODULE}/parameters/fail_every')
    failed = vm.module_counters()['device_errors'] - after['device_errors']
    out.point(not why and failed > 10,
              'every third request fails on the device: the data is right',
              why or f'only {failed} failed')

    net.rekey(WRONG_KEY)
    why = net.send(5003, 3, 1000)
    out.point(bool(why), 'with different keys nothing arrives')
    net.rekey(KEY)
    why = net.send(5004, 4, SIZE // 10)
    out.point(not why, 'with the same ones again it does', why)

    for side in ADDRESS:
        vm.sh(f'{IP} -n {side} xfrm state flush; {IP} -n {side} xfrm policy flush')
    # The kernel frees states some time later
    status, text = vm.try_sh(
        'tries=50; until rmmod cxl_type1_crypto 2>/tmp/why; do '
        'tries=$((tries - 1)); [ $tries -gt 0 ] || exit 1; sleep 0.2; done; '
        'exit 0')
    out.point(not status, 'the driver can be unloaded', text)


def main():
    out = tap.Tap()
    folder = os.path.join(guest.BUILD, 'guest-check')
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, 'ipsec.log')
    args = guest.device_args(guest.TYPE1, 'cryptodev-backend-openssl')
    try:
        with guest.Guest(args, log) as vm:
            vm.sh(f'modprobe {guest.MODULE}')
            test(vm, out)
        with open(log, errors='replace') as file:
            lines = guest.complaints(file.read())
        out.point(not lines, 'the kernel does not complain',
                  '\n'.join(lines[:10]))
    except guest.GuestError as err:
        out.point(False, 'the guest runs', str(err))
    print(f'1..{out.count}')
    return 1 if out.failed else 0


if __name__ == '__main__':
    sys.exit(main())
