# SPDX-License-Identifier: GPL-2.0-or-later
#
# One guest, one load, one fault after the other; each step ends with the load
# going on and the device in use again.

import collections
import time

import guest
import volume
from faultkinds import (DEVICES, KINDS, USED, Accelerator, NoStrike,
                        line_totals)
from faultload import Load

# How long the module waits for the device, and then before it tries again.  A
# busy machine must not look like a device that hangs.
TIME_LIMIT_MS = 3000
REST_MS = 100
# How long the load may stand still: the module's limit, and what an emulator
# on a busy machine takes for all the rest
STALL = TIME_LIMIT_MS / 1000 + 17
# How long until the device is used again; it may have to be plugged in
RETURN = 60
# Requests by the device that show that it is in use again
IN_USE = 20
# Requests that another device does while one is away
INSTEAD = 40
# Operations of each thread that show that the load goes on
GOES_ON = 3
POLL = 0.1

KERNEL_LINES = 40
IO_ERROR = 'I/O error'


class Failed(Exception):
    """
    The campaign has found something: @sort is "wrong data", "I/O error",
    "hang", "not used again", "not instead", "no strike", "kernel" or "guest".
    """

    def __init__(self, sort, text):
        super().__init__(f'{sort}: {text}')
        self.sort = sort


Step = collections.namedtuple('Step', 'number kind point')


def schedule(rng, number, kinds=KINDS):
    """
    First each kind and each point once, then the rest of the product of the
    two, then anything; in random order.
    """
    product = [(kind, point) for kind in kinds for point in kind.points]
    rng.shuffle(product)
    picked, kinds_seen, points_seen = [], set(), set()
    for cell in product:
        if cell[0] not in kinds_seen or cell[1] not in points_seen:
            picked.append(cell)
            kinds_seen.add(cell[0])
            points_seen.add(cell[1])
    picked += [cell for cell in product if cell not in picked]
    while len(picked) < number:
        picked.append(rng.choice(product))
    return [Step(i + 1, *cell) for i, cell in enumerate(picked[:number])]


class Campaign:
    """
    Steps in a running guest with some devices.  After a Failed the guest is
    in a state of its own, and evidence() says which.
    """

    def __init__(self, vm, rng, say, parameters=None, devices=1,
                 **properties):
        self.vm = vm
        self.rng = rng
        self.say = say
        self.parameters = {'time_limit_ms': TIME_LIMIT_MS, 'rest_ms': REST_MS,
                           **(parameters or {})}
        self.devices = [Accelerator(vm, number, **properties)
                        for number in range(devices)]
        self.device = self.devices[0]       # the one that is struck
        self.load = None
        self.step = None
        self.arguments = {}
        # (kind, point) -> how often, longest operation
        self.struck = collections.Counter()
        self.longest = collections.Counter()
        # device -> how often it was struck; how often another did its work
        self.struck_device = collections.Counter()
        self.instead = 0

    # -- set up and take down

    def prepare(self, seed, **load):
        self.vm.sh('mount -t debugfs debugfs /sys/kernel/debug; '
                   f'modprobe {guest.MODULE}')
        # Not before the kernel's self tests, some of which are for software
        for name, value in self.parameters.items():
            self.vm.sh(f'echo {value} > '
                       f'/sys/module/{guest.MODULE}/parameters/{name}')
        volume.luks_format(self.vm)
        volume.luks_open(self.vm)
        volume.make_filesystem(self.vm)
        volume.mount(self.vm)
        self.load = Load(self.vm, seed, **load)

    def finish(self, table):
        """The load ends; the volume is closed, its image ready for a look."""
        state = self.load.stop(table)
        self.judge(state)
        volume.unmount(self.vm)
        volume.luks_close(self.vm)
        return state

    # -- what must hold

    def judge_kernel_log(self):
        """
        A page that nobody waited for was not written: whoever wrote it does not
        hear of that before it syncs, and reads an old one until then.
        """
        with open(self.vm.log, errors='replace') as log:
            lost = [line for line in log if IO_ERROR in line]
        if lost:
            raise Failed('I/O error', lost[0].rstrip())

    def judge(self, state):
        if state['bad_blocks']:
            self.judge_kernel_log()
            raise Failed('wrong data', f'{state["bad_blocks"]} bad blocks, '
                         f'the first: {state["first_failure"]}')
        if state['io_errors']:
            raise Failed('I/O error', f'{state["io_errors"]} errors, '
                         f'the first: {state["first_failure"]}')
        if state['under_way_ms'] > STALL * 1000:
            raise Failed('hang', 'an operation is under way for '
                         f'{state["under_way_ms"]} ms')

    def kernel_content(self):
        with open(self.vm.log, errors='replace') as log:
            bad = guest.complaints(log.read())
        if bad:
            self.judge_kernel_log()
            raise Failed('kernel', bad[0])

    def wait(self, condition, timeout, sort, text):
        """Until the condition holds; nothing may go wrong meanwhile."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.judge(self.load.state())
            if time.monotonic() > deadline:
                raise Failed(sort, f'{text}, {timeout:.0f} s long')
            time.sleep(POLL)

    def wait_load_goes_on(self):
        before = self.load.counts()
        self.wait(lambda: all(
            now >= then + GOES_ON for now, then in
            zip(self.load.counts(), before)),
            STALL, 'hang', 'a thread of the load does nothing')

    def wait_in_use(self):
        for device in self.devices:
            self.wait_device_in_use(device)

    def wait_device_in_use(self, device):
        before = device.driven()[1]

        def in_use():
            nonlocal before
            state, now = device.driven()
            before = min(before, now)       # it may be a new one
            return state in USED and now >= before + IN_USE

        self.wait(in_use, RETURN, 'not used again',
                  f'no requests by device {device.id}')

    def software_requests(self):
        """Those that a device might have done"""
        counters = self.vm.module_counters()
        return counters['software_requests'] - counters['unfit']

    def wait_instead(self):
        """While one device is away, or says no, the others go on"""
        others = [device for device in self.devices
                  if device is not self.device]
        self.wait(lambda: self.device.driven()[0] != 'device', RETURN,
                  'not instead', f'{self.device.id} is still used')
        goals = [device.driven()[1] + INSTEAD for device in others]
        self.wait(lambda: all(device.driven()[1] >= goal for device, goal in
                              zip(others, goals)), STALL,
                  'not instead', 'no requests by the other device')
        self.instead += 1

    def judge_software(self, before):
        """One device is there at any time, so software has nothing to do."""
        number = self.software_requests() - before
        if number and len(self.devices) > 1:
            raise Failed('not instead', f'{number} requests in software')

    # -- one step

    def do(self, step):
        self.step = step
        self.arguments = {}
        begun = time.monotonic()
        try:
            self.fault_and_back(step)
            self.kernel_content()
        except NoStrike as err:
            self.judge(self.load.state())
            raise Failed('no strike', err) from err
        except guest.GuestError as err:
            raise Failed('guest', err) from err
        where = f' of {self.device.id}' if len(self.devices) > 1 else ''
        self.say(f'{step.number:4} {step.kind.name}{where} at {step.point}: '
                 f'{time.monotonic() - begun:.1f} s {self.arguments or ""}')

    def fault_and_back(self, step):
        self.device = self.rng.choice(self.devices)
        self.wait_in_use()
        before = self.software_requests()
        self.load.forget_longest()
        time.sleep(self.rng.uniform(0, 0.3))
        self.arguments = step.kind.strike(self.device, self.rng, step.point)
        self.struck[step.kind.name, step.point] += 1
        self.struck_device[self.device.id] += 1
        self.wait_load_goes_on()
        if step.kind.lasting and len(self.devices) > 1:
            self.wait_instead()
        step.kind.restore(self.device, self.rng)
        self.wait_in_use()
        state = self.load.state()
        self.judge(state)
        self.judge_software(before)
        cell = step.kind.name, step.point
        self.longest[cell] = max(self.longest[cell], state['longest_ms'])

    # -- what is known when it goes wrong

    def evidence(self):
        """All that helps.  A guest that hangs is asked once, QEMU always."""
        text = ''
        if self.step:
            text = (f'step {self.step.number}, {self.step.kind.name} of '
                    f'{self.device.id} at {self.step.point}, '
                    f'{self.arguments}\n')
        text += ask(*((device.id, device.state) for device in self.devices),
                    ('driven', lambda: self.vm.sh(f'cat {DEVICES}')),
                    ('lines of the cache', self.vm.cache_lines),
                    ('lines of devices gone', lambda: line_totals(self.vm)))
        text += ask(('module', self.vm.module_counters),
                    ('load', self.load and self.load.state),
                    ('load said', self.load and self.load.messages),
                    ('blocked', self.blocked))
        return text + kernel_lines(self.vm.log)

    def blocked(self):
        """The kernel tells its log where tasks wait."""
        self.vm.sh('echo w > /proc/sysrq-trigger; sleep 1')
        return 'see below'


def ask(*questions):
    text = ''
    for name, question in questions:
        try:
            text += f'{name}: {question and question()}\n'
        except guest.GuestHangs as err:
            return text + f'{name}: {err}\n'
        except guest.GuestError as err:
            text += f'{name}: {str(err).splitlines()[0]}\n'
    return text


def kernel_lines(log):
    """The first complaint with what follows, and the last lines"""
    with open(log, errors='replace') as file:
        lines = file.read().splitlines()
    first = [i for i, line in enumerate(lines) if guest.complaints(line)][:1]
    shown = [line for i in first for line in lines[i:i + KERNEL_LINES]]
    return '\n'.join(['--- the first complaint of the kernel', *shown,
                      '--- its last lines', *lines[-KERNEL_LINES:]])
