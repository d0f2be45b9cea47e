# SPDX-License-Identifier: GPL-2.0-or-later
#
# What can happen to the accelerator: how each kind of fault is brought about,
# how one knows that it struck, and how it is taken back.

import os
import time

import guest

POINTS = ('source-read', 'ownership', 'half-written', 'publication')
# Not at a point of a request, but at once
NOW = 'now'

# The first port above a device in the guest, a root port or a switch's, and what
# a slot is switched off by
PORT = ('/sys/bus/pci/devices/0000:0e:{:02x}.0' if os.environ.get('SWITCH')
        else '/sys/bus/pci/devices/0000:0c:{:02x}.0')
CAPABILITIES = 0x34
CAP_EXPRESS = 0x10
SLOT_CONTROL = 0x18
# Power controller, power indicator (upper byte); QEMU's switch ports do not have
# the former
SLOT_OFF = 0x03 if os.environ.get('SWITCH') else 0x07
SECONDARY_BUS = 0x19

DEVICES = f'/sys/kernel/debug/{guest.MODULE}/devices'
# States of a device in it that mean that it gets requests
USED = ('device', 'errors')

GONE_TIMEOUT = 60
STRIKE_TIMEOUT = 60
POLL = 0.05


class NoStrike(Exception):
    """The fault did not happen, or could not be taken back."""


def wait_for(condition, timeout, what):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise NoStrike(f'not within {timeout} s: {what}')
        time.sleep(POLL)


def line_totals(vm):
    """What became of the lines of devices that went away"""
    info = vm.qmp('x-query-cxl-cache')
    return {name: info[f'{name}-lines']
            for name in ('rescued', 'poisoned', 'lost')}


class Accelerator:
    """
    The device seen from outside, there or not.  @number: its root port's, and
    its back end's.
    """

    def __init__(self, vm, number=0, **properties):
        self.vm = vm
        self.number = number
        self.id = f't{number + 1}'
        self.port = PORT.format(number)
        self.properties = {'id': self.id, 'bus': f'rp{number}',
                           'cryptodev': f'c{number}', **properties}
        self.known_slot = ''

    def present(self):
        return any(entry['name'] == self.id for entry in
                   self.vm.qmp('qom-list', path='/machine/peripheral'))

    def fault(self, fault, **arguments):
        self.vm.qmp('x-cxl-type1-fault', id=self.id, fault=fault, **arguments)

    def state(self):
        """The faults' state; None: no device"""
        try:
            return self.vm.qmp('x-query-cxl-type1-fault', id=self.id)
        except guest.GuestError:
            if self.present():
                raise
            return None

    def wait_gone(self):
        wait_for(lambda: not self.present(), GONE_TIMEOUT,
                 'the device is unplugged')

    def plug(self):
        self.vm.qmp('device_add', **guest.device_properties(
            guest.TYPE1, **self.properties))

    def attached(self):
        """How often our module has taken a device into use"""
        return self.vm.module_counters()['attached']

    def port_config(self):
        return bytes.fromhex(''.join(self.vm.sh(
            f'od -An -v -tx1 {self.port}/config').split()))

    def slot(self):
        if not self.known_slot:
            bus = self.port_config()[SECONDARY_BUS]
            self.known_slot = f'0000:{bus:02x}:00.0'
        return self.known_slot

    def driven(self):
        """
        What our module says of it: its state and how many requests it did
        since it was plugged in; 'none' and 0 where the module has no such.
        """
        slot = self.slot()
        for line in self.vm.sh(f'cat {DEVICES}').splitlines():
            words = line.split()
            if words[1] == slot:
                return words[2], int(words[3])
        return 'none', 0

    def slot_off(self):
        """Has the guest switched the slot's power and its indicator off?"""
        config = self.port_config()
        at = config[CAPABILITIES]
        while at and config[at] != CAP_EXPRESS:
            at = config[at + 1]
        return config[at + SLOT_CONTROL + 1] & SLOT_OFF == SLOT_OFF

    def reset(self, method):
        """
        As sysfs does it: "flr" or "bus".  Kernels that know "cxl_bus" refuse
        the latter below a port that masks it.
        """
        self.vm.sh(f'cd /sys/bus/pci/devices/{self.slot()} && '
                   'echo default > reset_method && '
                   f'case {method}$(cat reset_method) in '
                   'bus*cxl_bus*) echo cxl_bus ;; '
                   f'*) echo {method} ;; esac > reset_method && '
                   'echo 1 > reset')


class Kind:
    """
    One kind of fault.  strike() returns when it has happened, restore() when
    all has been done for the device to work again.
    """

    points = POINTS
    # Does the device do nothing good until it is taken back?
    lasting = False

    def __init__(self, name):
        self.name = name

    def strike(self, device, rng, point):
        """Arm the fault, and wait until the load has run into it."""
        arguments = self.arguments(rng, point)
        before = device.state()['taken']
        device.fault(self.fault(), **arguments)

        def struck():
            state = device.state()
            return state is None or state['taken'] > before

        wait_for(struck, STRIKE_TIMEOUT, f'{self.name} {arguments} strikes')
        return arguments

    def fault(self):
        return self.name

    def arguments(self, rng, point):
        """Of x-cxl-type1-fault"""
        if point == NOW:
            return {}
        return {'point': point, 'after': rng.choice((0, 0, rng.randrange(60)))}

    def restore(self, device, rng):
        del rng
        device.fault('clear')


class RequestFault(Kind):
    """Hits one request or some, and is over"""

    def arguments(self, rng, point):
        return {**super().arguments(rng, point),
                'count': rng.choice((1, 1, rng.randrange(2, 20)))}


class DeviceFault(Kind):
    """Lasts until it is taken back"""

    points = (NOW, *POINTS)


class Viral(DeviceFault):
    lasting = True


class NotReady(DeviceFault):
    lasting = True


class Away(DeviceFault):
    """
    Link and presence go away.  The guest then powers the slot off, and QEMU
    unplugs whatever is in the slot at that moment: so what comes back earlier
    has to be plugged in again.
    """

    lasting = True
    EARLY = 0.25
    TIMEOUT = 60

    def come_back(self, device):
        device.fault('clear')

    def come_back_early(self, device):
        attached = device.attached()
        self.come_back(device)
        wait_for(lambda: not device.present() or device.attached() > attached,
                 self.TIMEOUT, 'the guest notices that the device was away')
        if not device.present():
            device.plug()

    def restore(self, device, rng):
        if rng.random() < self.EARLY:
            self.come_back_early(device)
            return
        wait_for(device.slot_off, self.TIMEOUT,
                 'the guest powers the slot off')
        time.sleep(rng.choice((0, rng.uniform(0, 2))))
        self.come_back(device)


class Removal(Away):
    def strike(self, device, rng, point):
        arguments = super().strike(device, rng, point)
        device.wait_gone()
        return arguments

    def come_back(self, device):
        device.plug()


class HungRemoval(Removal):
    """Surprise removal while requests hang at a point"""

    points = POINTS

    def fault(self):
        return 'hang'

    def strike(self, device, rng, point):
        arguments = Kind.strike(self, device, rng, point)
        device.fault('removal')
        device.wait_gone()
        return arguments


class OrderlyRemoval(Kind):
    """With the guest's agreement, which takes it five seconds"""

    points = (NOW,)
    lasting = True

    def strike(self, device, rng, point):
        del rng, point
        device.vm.qmp('device_del', id=device.id)
        device.wait_gone()
        return {}

    def restore(self, device, rng):
        del rng
        device.plug()


class Hang(DeviceFault):
    """Taken back before the guest has lost patience, or after"""

    def fault(self):
        return 'hang'

    def restore(self, device, rng):
        time.sleep(rng.choice((0, rng.uniform(0, 4))))
        device.fault('clear')


class Reset(Hang):
    """A reset of the function, by itself or while requests hang at a point"""

    def __init__(self, name, method):
        super().__init__(name)
        self.method = method

    def strike(self, device, rng, point):
        arguments = {}
        if point != NOW:
            arguments = super().strike(device, rng, point)
        device.reset(self.method)
        return arguments


class StopCont(Hang):
    """The machine stands still while requests hang at a point"""

    points = POINTS

    def strike(self, device, rng, point):
        arguments = super().strike(device, rng, point)
        device.vm.qmp('stop')
        time.sleep(rng.uniform(0.1, 1))
        device.vm.qmp('cont')
        return arguments


KINDS = (
    RequestFault('request-error'),
    RequestFault('wrong-status'),
    RequestFault('poison'),
    RequestFault('go-err'),
    Hang('hang'),
    Viral('viral'),
    NotReady('hw-not-ready'),
    Away('link-down'),
    Removal('removal'),
    HungRemoval('hung-removal'),
    OrderlyRemoval('orderly-removal'),
    Reset('flr', 'flr'),
    Reset('bus-reset', 'bus'),
    StopCont('stop-cont'),
)


def kind(name):
    return next(entry for entry in KINDS if entry.name == name)
