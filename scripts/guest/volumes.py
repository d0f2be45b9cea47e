#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What else is done with volumes, and with the driver beneath them, while the
# device fails: TAP on standard output.
#
# usage: volumes.py [TEST]...     (default: all; --long: 100 times, not 10)
#   keyslots benchmark reencrypt integrity ipsec reload rebind order suspend
#
# Environment: MODULE_OPTIONS, for our module when it is loaded; PARAMETERS, of
# it after that.  With PARAMETERS=fallback=0 all but "reload" and "order" have
# to fail, and with MODULE_OPTIONS=takeover=0 "order" has to.  "reload" was seen
# to fail where the algorithms name no module and where the debugfs folder
# outlives it; "suspend" where freeze() or restore() does nothing.
#
# Data are those of tests/guest/faultload.c, which knows what each block must
# be; at the end of a test the volume is read without our module.

import os
import sys
import time

import faultguest
import guest
import volume
from faultkinds import Accelerator, NoStrike, wait_for
from faultload import PROGRAM, TABLE, Load
from tap import Tap

LIMIT_MS = 1000
REST_MS = 100
DISK_MIB = 56       # 16 of it for LUKS
JOB = '/run/job'
TIMEOUT = 60
JOB_TIMEOUT = 300
LOAD = {'threads': 2, 'mib': 2}
STOCK = '/sys/bus/virtio/drivers/virtio_crypto'
OURS = f'/sys/bus/virtio/drivers/{guest.MODULE}'
TRANSFORMS = f'/sys/kernel/debug/{guest.MODULE}/transforms'
SECOND = 'another passphrase'
# busybox's shell would take its own, which knows nothing of this
IP = '/sbin/ip'


class Wrong(Exception):
    """What a test has found"""


class VolumeTests:
    def __init__(self, vm, rounds):
        self.vm = vm
        self.rounds = rounds
        self.device = Accelerator(vm)
        self.load = None
        self.logged = 0

    # -- the module, volumes and jobs

    @staticmethod
    def modprobe_command():
        return ' && '.join([
            f'modprobe {guest.MODULE} time_limit_ms={LIMIT_MS} '
            f'rest_ms={REST_MS} {os.environ.get("MODULE_OPTIONS", "")}',
            *(f'echo {value} > /sys/module/{guest.MODULE}/parameters/{name}'
              for name, value in (
                  setting.split('=') for setting in
                  os.environ.get('PARAMETERS', '').split()))])

    def modprobe(self):
        self.vm.sh(self.modprobe_command())

    def rmmod(self):
        self.vm.sh(f'rmmod {guest.MODULE}')

    def open(self):
        volume.luks_open(self.vm)
        volume.mount(self.vm)

    def close(self):
        volume.unmount(self.vm)
        volume.luks_close(self.vm)

    def begin(self, options='', load=True):
        """A new volume with a file system, and a load on it"""
        volume.luks_format(self.vm, options)
        volume.luks_open(self.vm)
        volume.make_filesystem(self.vm)
        volume.mount(self.vm)
        if load:
            self.load = Load(self.vm, 1, **LOAD)

    def end(self):
        """The load has seen nothing wrong, and no more do we, in software"""
        state = self.load.stop(os.path.join(folder(), 'table'))
        if state['io_errors'] or state['bad_blocks']:
            raise Wrong(f'{state["first_failure"]}, {state}')
        self.close()
        self.rmmod()
        self.open()
        for number in range(LOAD['threads']):
            status, output = self.vm.try_sh(
                f'{PROGRAM} verify {TABLE} {number} < '
                f'{volume.MOUNTED}/load{number}')
            if status:
                raise Wrong(f'read in software: {output}')
        self.close()
        self.modprobe()

    def job(self, command):
        """In the background of the guest"""
        self.vm.sh(f'rm -f {JOB}.rc; (({command}) >{JOB}.out 2>&1; '
                   f'echo $? >{JOB}.rc) & true')

    def job_done(self):
        return self.vm.try_sh(f'test -s {JOB}.rc')[0] == 0

    def job_result(self):
        wait_for(self.job_done, JOB_TIMEOUT, 'the job is done')
        output = self.vm.sh(f'cat {JOB}.out')
        status = self.vm.read(f'{JOB}.rc')
        if status != '0':
            raise Wrong(f'exit status {status}: {output}')
        return output

    def counters(self):
        return self.vm.module_counters()

    def on_device(self, before, least=1):
        number = self.counters()['device_requests'] - \
            before['device_requests']
        if number < least:
            raise Wrong(f'{number} requests by the device')

    # -- faults

    def wait_used(self):
        wait_for(lambda: self.device.driven()[0] in ('device', 'errors'),
                 TIMEOUT, 'the device is used')

    def errors(self):
        self.device.fault('request-error', point='half-written', count=10)
        time.sleep(0.3)

    def hang(self):
        before = self.counters()['hangs']
        self.device.fault('hang', point='publication')
        try:
            wait_for(lambda: self.counters()['hangs'] > before,
                     LIMIT_MS / 1000 + 0.5, 'a hang')
        except NoStrike:
            pass                        # nobody came by that point

    def flr(self):
        self.device.reset('flr')

    def not_ready(self):
        self.device.fault('hw-not-ready')
        time.sleep(0.3)

    def removal(self):
        self.device.fault('removal', point='half-written')
        deadline = time.monotonic() + 5
        while self.device.present() and time.monotonic() < deadline:
            time.sleep(0.1)
        if self.device.present():       # nobody came by that point
            return
        wait_for(self.device.slot_off, TIMEOUT, 'the slot is off')
        time.sleep(1.2)
        self.device.plug()

    def strike_while(self, busy, least=5, removal=True):
        """One fault after the other as long as it is busy, or @least"""
        before = self.counters()
        faults = [self.errors, self.not_ready, self.hang, self.flr]
        if removal:
            faults.append(self.removal)
        number = 0
        deadline = time.monotonic() + JOB_TIMEOUT
        while number < least or busy():
            if time.monotonic() > deadline:
                raise Wrong(f'not done after {JOB_TIMEOUT} s and {number} '
                            'faults')
            faults[number % len(faults)]()
            self.device.fault('clear')
            self.wait_used()
            if self.load:
                self.goes_on()
            number += 1
        after = self.counters()
        delta = {name: after[name] - before[name] for name in
                 ('device_errors', 'lost', 'detached', 'software_requests')}
        print(f'# {number} faults: {delta}', flush=True)
        if not delta['device_errors'] or not delta['detached']:
            raise Wrong(f'the faults struck nobody: {delta}')

    def goes_on(self):
        before = self.load.counts()
        wait_for(lambda: all(now > then for now, then in
                             zip(self.load.counts(), before)), TIMEOUT,
                 'the load goes on')

    # -- what cryptsetup does besides

    def keyslots(self):
        """Debian's cryptsetup does them in user space, beside the volume"""
        self.begin()
        words = (volume.PASSPHRASE, SECOND, 'a third')
        files = ''.join(f'printf %s "{word}" > /run/key{number};'
                        for number, word in enumerate(words))
        add, opens = f'-q {volume.PBKDF}', 'open --test-passphrase'
        self.job('set -e; ' + files + '; '.join(
            f'{may}cryptsetup {command}' for may, command in (
                ('', f'luksAddKey {add} -d /run/key0 {volume.DISK} /run/key1'),
                ('', f'{opens} -d /run/key1 {volume.DISK}'),
                ('', f'luksChangeKey {add} -d /run/key1 {volume.DISK} '
                     '/run/key2'),
                ('', f'{opens} -d /run/key2 {volume.DISK}'),
                ('! ', f'{opens} -d /run/key1 {volume.DISK} || exit 9'),
                ('', f'luksRemoveKey -q {volume.DISK} /run/key2'),
                ('', f'{opens} -d /run/key0 {volume.DISK}'))))
        self.strike_while(lambda: not self.job_done())
        self.job_result()
        self.end()

    def benchmark(self):
        before = self.counters()
        self.device.fault('request-error', count=5)
        output = self.vm.sh('cryptsetup benchmark -c aes-xts -s 512')
        self.device.fault('clear')
        if 'aes-xts' not in output or 'N/A' in output:
            raise Wrong(output)
        self.on_device(before)

    def reencrypt(self):
        self.begin()
        old = self.vm.sh(f'dmsetup table --showkeys {volume.NAME}')
        self.job(f'printf %s "{volume.PASSPHRASE}" | cryptsetup reencrypt -q '
                 f'{volume.PBKDF} --active-name {volume.NAME} -d - '
                 f'{volume.DISK}')
        self.strike_while(lambda: not self.job_done())
        self.job_result()
        if self.vm.sh(f'dmsetup table --showkeys {volume.NAME}') == old:
            raise Wrong('it has the old key')
        self.end()

    def integrity(self):
        self.begin('--integrity hmac-sha256')
        before = self.counters()
        self.strike_while(lambda: False, least=10)
        self.on_device(before, 100)
        self.end()

    # -- users beside dm-crypt

    def name_spaces(self):
        """"a" and "b", and ESP with cbc(aes) for all between them"""
        commands = [
            'netns add a', 'netns add b',
            '-n a link add va type veth peer name vb netns b',
            '-n a addr add 10.9.0.1/24 dev va', '-n a link set va up',
            '-n b addr add 10.9.0.2/24 dev vb', '-n b link set vb up']
        for number, (source, to) in enumerate((('a', 'b'), ('b', 'a'))):
            ends = f'src 10.9.0.{1 + number} dst 10.9.0.{2 - number}'
            state = (f'xfrm state add {ends} proto esp spi 0x10{number} '
                     'mode transport auth-trunc "hmac(sha256)" '
                     f'0x{"5a" * 32} 128 enc "cbc(aes)" 0x{"a5" * 32}')
            policy = f'{ends} tmpl {ends} proto esp mode transport'
            commands += [f'-n {space} {state}' for space in (source, to)]
            commands += [f'-n {source} xfrm policy add dir out {policy}',
                         f'-n {to} xfrm policy add dir in {policy}']
        self.vm.sh('modprobe veth && modprobe esp4 && modprobe xfrm_user')
        for command in commands:
            self.vm.sh(f'{IP} {command}')

    def no_name_spaces(self):
        """Returns what IPsec has counted of packets it could not do"""
        lost = self.vm.sh(
            f'for n in a b; do {IP} netns exec $n cat /proc/net/xfrm_stat; '
            f'{IP} -n $n xfrm state flush; {IP} -n $n xfrm policy flush; '
            f'{IP} netns del $n; done')
        time.sleep(1)       # they end some time after that
        return [line for line in lost.splitlines()
                if 'ProtoError' in line and line.split()[1] != '0']

    def ipsec(self):
        self.name_spaces()
        self.begin()
        self.vm.sh('pattern random 7 2000000 > /run/sent')
        # nc must not meet the end of its input, or the other one ends as well
        self.job('mkfifo /run/quiet; exec 9<>/run/quiet; '
                 'for i in 1 2 3 4 5 6; do '
                 f'{IP} netns exec b nc -l -p 7777 <&9 > /run/got & tries=50; '
                 f'until {IP} netns exec a nc 10.9.0.2 7777 < /run/sent; do '
                 'tries=$((tries - 1)); [ $tries -gt 0 ] || exit 1; '
                 'sleep 0.1; done; '
                 'wait $! && cmp /run/sent /run/got || exit 1; done')
        self.strike_while(lambda: not self.job_done())
        used = self.vm.sh(f'grep "^cbc" {TRANSFORMS}').splitlines()
        print(''.join(f'# {line}\n' for line in used), end='', flush=True)
        self.job_result()
        wrong = self.no_name_spaces()
        if wrong:       # TCP would send those once more
            raise Wrong('\n'.join(wrong))
        if not any(int(line.split()[2]) for line in used):
            raise Wrong('not on the device')
        self.end()

    # -- the driver comes and goes

    def reload(self):
        """Its users come and go, too: AF_ALG's, whose data are checked"""
        self.vm.sh('touch /run/busy')
        # With pauses, or it takes long until nobody uses it for a moment
        self.job('for n in 1 2; do (while [ -e /run/busy ]; do '
                 "algtest -s $n -n 3 -m 16384 'cbc(aes)' > /run/alg$n || "
                 'cat /run/alg$n; sleep 0.2; done) & done; wait')
        self.vm.sh(
            f'for i in $(seq {self.rounds}); do tries=600; '
            f'while ! rmmod {guest.MODULE} 2>/run/rmmod.err; do '
            'tries=$((tries - 1)); [ $tries -gt 0 ] || '
            '{ cat /run/rmmod.err; exit 1; }; sleep 0.05; done; '
            f'{self.modprobe_command()}; sleep 0.3; done',
            timeout=60 + 30 * self.rounds)
        wait_for(lambda: self.counters()['device_requests'] > 100, TIMEOUT,
                 'the users use the device')
        self.vm.sh('rm /run/busy')
        output = self.job_result()
        if output.strip():
            raise Wrong(output)
        self.rmmod()
        self.modprobe()

    def refused(self):
        if not self.vm.try_sh(f'rmmod {guest.MODULE}')[0]:
            raise Wrong('it was unloaded with a volume open')

    def rebind(self):
        self.begin()
        self.refused()
        name = self.vm.sh(f'cd {OURS} && echo virtio*')
        for _ in range(self.rounds):
            before = self.counters()['device_requests']
            self.vm.sh(f'echo {name} > {OURS}/unbind && '
                       f'echo {name} > {OURS}/bind')
            wait_for(lambda: self.counters()['device_requests'] > before + 20,
                     TIMEOUT, 'the device is used again')
        self.goes_on()
        self.end()

    # -- the guest sleeps

    def wakings(self):
        with open(self.vm.log, errors='replace') as log:
            return log.read().count('PM: suspend exit')

    def asleep(self):
        return self.vm.qmp('query-status')['status'] == 'suspended'

    def wait_awake(self, before):
        """The serial port loses what is said to it earlier"""
        wait_for(lambda: self.wakings() > before, TIMEOUT, 'it is awake')
        time.sleep(0.5)
        self.job_result()

    def sleep(self):
        """Until somebody wakes it"""
        before = self.wakings()
        self.job('echo mem > /sys/power/state')
        # Sometimes its clock wakes it at once
        wait_for(lambda: self.asleep() or self.wakings() > before, TIMEOUT,
                 'the guest sleeps')
        if self.asleep():
            time.sleep(0.5)
            self.vm.qmp('system_wakeup')
        self.wait_awake(before)

    def rehearse(self):
        """Only the devices sleep, and only for the kernel's five seconds"""
        before = self.wakings()
        self.job('echo devices > /sys/power/pm_test; echo mem > '
                 '/sys/power/state; rc=$?; echo none > /sys/power/pm_test; '
                 'exit $rc')
        self.wait_awake(before)

    def suspend(self):
        self.begin()
        for number in range(3):
            before = self.counters()
            if number % 2:
                self.rehearse()
            else:
                self.sleep()
            self.goes_on()
            wait_for(lambda: self.counters()['device_requests'] >
                     before['device_requests'] + 100, TIMEOUT,
                     'the device is used again')
            if self.counters()['detached'] == before['detached']:
                raise Wrong('the device has not noticed')
        self.strike_while(lambda: False, removal=self.extended())
        self.end()

    def extended(self):
        """
        Is there an extended configuration space, by which a new device is
        known for ours?  Not where firmware forgets it over S3.
        """
        header = self.vm.sh('od -An -v -tx1 -j 256 -N 4 '
                            f'{self.device.port}/config').split()
        print(f'# extended configuration space: {" ".join(header)}',
              flush=True)
        return header not in ([], ['ff'] * 4, ['00'] * 4)

    # -- beside the stock driver

    def bound(self):
        return {name: self.vm.sh(f'[ ! -d {path} ] || ls {path} | '
                                 'grep -c ^virtio || true').strip() == '1'
                for name, path in (('ours', OURS), ('stock', STOCK))}

    def expect(self, who, when):
        def as_expected():
            bound = self.bound()
            return bound[who] and sum(bound.values()) == 1
        try:
            wait_for(as_expected, 20, 'bound')
        except NoStrike:
            raise Wrong(f'{when}: {self.bound()}, and not {who}') from None

    def replug(self):
        """By surprise: an orderly removal takes the guest five seconds"""
        self.device.fault('removal')
        self.device.wait_gone()
        wait_for(self.device.slot_off, TIMEOUT, 'the slot is off')
        time.sleep(1.2)
        self.device.plug()

    def order(self):
        self.rmmod()
        self.expect('stock', 'without our module')
        self.modprobe()
        self.expect('ours', 'stock driver first')
        self.replug()
        self.expect('ours', 'stock driver first, plugged in later')
        self.rmmod()
        self.expect('stock', 'unloaded')
        self.vm.sh('rmmod virtio_crypto')
        self.modprobe()
        self.expect('ours', 'ours alone')
        self.vm.sh('modprobe virtio_crypto')
        self.expect('ours', 'ours first')
        self.replug()
        self.expect('ours', 'ours first, plugged in later')
        self.rmmod()
        self.expect('stock', 'unloaded again')
        self.in_use()

    def in_use(self):
        """A user of the stock algorithm keeps it, and is told of once"""
        self.job(f'algbench {guest.STOCK_DRIVER} encrypt 4096 15000 1')
        time.sleep(1)
        self.vm.sh('dmesg -c > /dev/null')
        self.modprobe()
        self.expect('stock', 'its algorithm is in use')
        said = [line for line in self.vm.sh('dmesg').splitlines()
                if 'left to virtio_crypto' in line]
        self.job_result()
        if len(said) != 1:
            raise Wrong(f'said {len(said)} times that it is left alone')
        self.rmmod()
        self.modprobe()
        self.expect('ours', 'loaded again')

    # -- all of it

    TESTS = (
        ('keyslots', 'keyslots are made and changed, under load and faults'),
        ('benchmark', 'cryptsetup benchmark'),
        ('reencrypt', 'reencrypt online, under load and faults'),
        ('integrity', 'a volume with hmac-sha256, under load and faults'),
        ('ipsec', 'IPsec beside dm-crypt, under faults'),
        ('reload', 'rmmod and modprobe while users come and go'),
        ('rebind', 'unbind and bind under load; no rmmod with a volume'),
        ('order', 'beside the stock driver, in both orders'),
        # Afterwards a new device may not be known for ours, see extended()
        ('suspend', 'suspended to RAM and resumed under load'),
    )

    def new_complaints(self):
        """Of the kernel, since the last time"""
        with open(self.vm.log, errors='replace') as log:
            bad = guest.complaints(log.read())
        new, self.logged = bad[self.logged:], len(bad)
        return new

    def guarded(self, name):
        def work():
            begun = time.monotonic()
            why = ''
            try:
                getattr(self, name)()
            except (Wrong, NoStrike) as err:
                why = f'{err}\n{self.state()}'
            self.load = None
            why += '\n'.join(self.new_complaints())
            print(f'# {name}: {time.monotonic() - begun:.1f} s', flush=True)
            return why
        return work

    def state(self):
        return '\n'.join(self.vm.try_sh(command)[1] for command in (
            f'grep . /sys/kernel/debug/{guest.MODULE}/*; cat {JOB}.out; '
            'cat /run/faultload.status', 'dmesg | tail -n 30'))


def folder():
    path = os.path.join(guest.BUILD, 'volumes')
    os.makedirs(path, exist_ok=True)
    return path


def boot(name):
    disk = os.path.join(folder(), f'{name}.img')
    faultguest.new_disk(disk, DISK_MIB)
    args = [*guest.device_args(guest.TYPE1, faultguest.BACKEND),
            *guest.disk_args(disk, faultguest.SECTOR)]
    return guest.Guest(args, os.path.join(folder(), f'{name}.log'),
                       'no_console_suspend')


def run(tap, waiting, rounds):
    """
    In one guest as long as all is well, for what one test breaks is no other's
    matter.  Those that are run are taken from @waiting.
    """
    name, why = waiting[0]
    try:
        with boot(name) as vm:
            tests = VolumeTests(vm, rounds)
            tests.modprobe()
            failed = tap.failed
            while waiting and tap.failed == failed:
                name, why = waiting.pop(0)
                tap.guarded([(why, tests.guarded(name))])
    except guest.GuestError as err:
        tap.point(False, why, err)
        waiting.remove((name, why))


def main(words):
    tap = Tap()
    rounds = 100 if '--long' in words else 10
    wanted = [word for word in words if word != '--long']
    waiting = [test for test in VolumeTests.TESTS
               if not wanted or test[0] in wanted]
    while waiting:
        run(tap, waiting, rounds)
    print(f'1..{tap.count}')
    return 1 if tap.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
