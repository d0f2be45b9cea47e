# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of our driver with a device that hangs, goes away, is not ready or is
# reset beneath it, while a volume on it is busy.

import os
import re
import time

import guest
from drivercheck import entries
from faultkinds import NoStrike, wait_for
from recoverybase import (AREA_MIB, BACK_TIMEOUT, CIPHER, KEY, LIMIT_MS, LOOPS,
                          REST_MS, STOP, Recovery)

DRIVER = f'/sys/bus/virtio/drivers/{guest.MODULE}'
PORT_CONFIG = '/sys/bus/pci/devices/0000:0c:00.0/config'
# Of its Extensions DVSEC: capability, vendor and ID
PORT_EXTENSIONS = (b'\x23\x00', b'\x98\x1e', b'\x03\x00')
STOCK = '/sys/bus/virtio/drivers/virtio_crypto'

# virtio drivers know of resets of their function
RESET_IS_TOLD = 6, 14
# What a buffer that was given back is read with, by requests of 4 KiB
HELD_BYTES = 64 << 10
# Longer than a guest takes to notice that a device is gone
NOTIFY_DELAY_MS = 800


class RecoveryTests(Recovery):
    # -- the device hangs

    def hang(self, point, clear):
        def outage():
            self.hangs = self.counters()['hangs']
            start = self.software()
            self.device.fault('hang', point=point)
            if clear == 'soon':
                time.sleep(LIMIT_MS / 4000)
                self.device.fault('clear')
                return
            self.wait_hung()
            self.wait_software(start)
            if clear == 'late':
                self.device.fault('clear')
        return outage

    def hang_short(self):
        wrong = self.during(self.hang('half-written', 'soon'), changes=0)
        if self.delta['lost'] or self.delta['hangs']:
            wrong += f'it was given up: {self.delta}'
        return wrong

    def hang_for_good(self):
        return self.expect(self.during(self.hang('ownership', 'never')),
                           hangs=1, lost=1, attached=1, detached=1)

    def hang_cleared_late(self):
        """
        The device would now complete what it was given, into buffers that
        have been given back: it has to have forgotten it.
        """
        self.set(rest_ms=3000)
        wrong = self.during(self.hang('publication', 'late'))
        self.set(rest_ms=REST_MS)
        return self.expect(wrong, hangs=1, lost=1, attached=1)

    def hang_held_buffer(self):
        """
        The same seen by one reader, whose buffer is given back to it by
        software, and who writes something else to it.  Without the loops: what
        hangs is this reader's.
        """
        self.kernel_log()
        self.set(rest_ms=3000)
        hangs = self.counters()['hangs']
        self.device.fault('hang', point='publication')
        self.vm.sh('rm -f /run/read /run/look /run/held; '
                   f'(heldread /dev/mapper/live {HELD_BYTES} /run/read '
                   '/run/look > /run/held 2>&1; echo $? >> /run/held) & true')
        wait_for(lambda: self.vm.try_sh('test -e /run/read')[0] == 0,
                 BACK_TIMEOUT, 'the reader has its buffer back')
        self.device.fault('clear')
        time.sleep(1)
        self.vm.sh('touch /run/look')
        wait_for(lambda: self.vm.try_sh('grep -q "^[0-9]*$" /run/held')[0] == 0,
                 BACK_TIMEOUT, 'the reader has looked')
        wrong = self.vm.sh('cat /run/held')
        wrong = '' if wrong == '0' else f'{wrong}\n'
        if self.counters()['hangs'] == hangs:
            wrong += 'it did not hang\n'
        self.set(rest_ms=REST_MS)
        wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return wrong + '\n'.join(guest.complaints(self.kernel_log()))

    def hang_again_and_again(self):
        """Each rest is twice as long as the one before"""
        self.set(rest_ms=500)
        self.kernel_log()
        for _ in range(3):
            # hardly any work in between: without the loops
            wait_for(self.is_back, BACK_TIMEOUT, 'back')
            attached = self.counters()['attached']
            self.device.fault('hang')
            self.vm.sh('dd if=/dev/mapper/live of=/dev/null bs=4k count=1 '
                       'iflag=direct 2>/dev/null')
            wait_for(lambda: self.counters()['attached'] > attached,
                     BACK_TIMEOUT, 'it is tried again')
        self.set(rest_ms=REST_MS)
        log = self.kernel_log()
        rests = self.rests(log)
        wrong = '\n'.join(guest.complaints(log)) + self.areas()
        if len(rests) != 3 or any(rest < 0.5 * 2 ** number
                                  for number, rest in enumerate(rests)):
            wrong += f'the rests were {rests} s\n{log}'
        return wrong

    @staticmethod
    def rests(log):
        """Times from a hang to the next probe, by the guest's clock"""
        result, hung = [], None
        for line in log.splitlines():
            match = re.match(r'\[ *([0-9.]+)\] .*(no answer|is used)', line)
            if match and match[2] == 'no answer':
                hung = float(match[1])
            elif match and hung:
                result.append(float(match[1]) - hung)
                hung = None
        return result

    def unbind_while_hung(self):
        """Nobody waits longer than the limit, and nothing is redone early"""
        def outage():
            self.device.fault('hang', point='half-written')
            self.unbind()
            self.wait_software()
            self.bind()
        self.set(time_limit_ms=3000)
        wrong = self.during(outage)
        self.set(time_limit_ms=LIMIT_MS)
        return self.expect(wrong, lost=1, attached=1)

    # -- the device is not ready

    def not_ready(self):
        def outage():
            self.device.fault('hw-not-ready')
            wait_for(lambda: self.state() == 'not-ready', BACK_TIMEOUT,
                     'the module knows')
            self.wait_software()
            self.device.fault('clear')
        return self.expect(self.during(outage), detached=1, attached=1)

    def not_ready_flapping(self):
        """
        Ready for long enough to pass the kernel's self test, of which a
        failure would be a warning that is none of ours.
        """
        def outage():
            for pause in (0, 0.02, 0.05, 0.1, 0.2):
                self.device.fault('hw-not-ready')
                time.sleep(pause)
                self.device.fault('clear')
                time.sleep(1)
        return self.during(outage, changes=20)

    # -- the device goes and comes

    def unbind(self):
        self.vm.sh(f'echo {self.bound()} > {DRIVER}/unbind', timeout=60)

    def bind(self):
        self.vm.sh('for d in /sys/bus/virtio/devices/*; do '
                   f'[ $(cat $d/device) = 0x0014 ] && echo $(basename $d) > '
                   f'{DRIVER}/bind; done; true')

    def bound(self):
        return self.vm.sh(f'cd {DRIVER} && echo virtio*')

    def rebind(self):
        def outage():
            for _ in range(3):
                self.unbind()
                self.wait_software()
                self.bind()
                wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return self.expect(self.during(outage, changes=6), attached=3)

    def orderly(self):
        def outage():
            self.vm.qmp('device_del', id=guest.DEVICE_ID)
            self.device.wait_gone()
            self.wait_software()
            self.device.plug()
        return self.expect(self.during(outage), detached=1, attached=1)

    def surprise(self, point=None):
        def outage():
            arguments = {'point': point} if point else {}
            self.device.fault('removal', **arguments)
            self.device.wait_gone()
            self.wait_software()
            self.wait_removed()
            self.device.plug()
        return self.expect(self.during(outage), detached=1, attached=1)

    def surprise_while_busy(self):
        return self.surprise('half-written')

    def surprise_while_notifying(self):
        """
        A request is in the ring, and who put it there has not told the device
        yet, when the ring goes.
        """
        def outage():
            self.set(notify_delay_ms=NOTIFY_DELAY_MS)
            time.sleep(NOTIFY_DELAY_MS / 2000)
            self.device.fault('removal')
            self.device.wait_gone()
            self.set(notify_delay_ms=0)
            self.wait_software()
            self.wait_removed()
            self.device.plug()
        # Each time that delay may end too early
        return ''.join(self.expect(self.during(outage), detached=1, attached=1)
                       for _ in range(3))

    def hang_while_bound(self):
        """The first it is asked for is the open volume's key"""
        def outage():
            self.device.fault('removal')
            self.wait_software()
            self.wait_removed()
            self.hangs = self.counters()['hangs']
            self.vm.qmp('device_add', **guest.device_properties(
                guest.TYPE1, **{'x-fault': 'hang'}))
            self.wait_hung()
        return self.expect(self.during(outage, changes=6), hangs=1, attached=1)

    def link_down(self):
        def outage():
            self.device.fault('link-down')
            self.wait_software()
            self.wait_removed()
            self.device.fault('clear')
        return self.expect(self.during(outage), detached=1, attached=1)

    # -- reset beneath the driver

    def reset(self, method, prepare=lambda: None):
        """
        From 6.14 on the driver is told before.  Else it finds out, which
        counts as a hang.
        """
        def outage():
            prepare()
            detached = self.counters()['detached']
            self.device.reset(method)
            wait_for(lambda: self.counters()['detached'] > detached,
                     BACK_TIMEOUT, 'the driver has noticed')
        told = guest.kernel_version() >= RESET_IS_TOLD
        return self.expect(self.during(outage), hangs=0 if told else 1,
                           detached=1, attached=1)

    def function_reset(self):
        return self.reset('flr')

    def unbound_while_reset(self):
        """
        Whoever resets it waits for what it has, and somebody unbinds it: neither
        may meet the other's half-done work.
        """
        def outage():
            start = self.software()
            self.device.fault('hang', point='half-written')
            time.sleep(LIMIT_MS / 2000)
            self.vm.sh(f'echo 1 > /sys/bus/pci/devices/{self.device.slot()}'
                       '/reset & sleep 0.1')
            self.unbind()
            self.device.fault('clear')
            self.wait_software(start)
            self.vm.sh('wait')
            self.bind()
        wrong = self.during(outage, changes=8)
        return self.expect(wrong, lost=1, detached=1, attached=1)

    def reset_while_hung(self):
        """
        Whoever resets it waits for what it has, and it is then that the driver
        loses patience.
        """
        def prepare():
            self.device.fault('hang', point='half-written')
            time.sleep(LIMIT_MS / 2000)
        # The reset takes a tenth of a second
        self.set(rest_ms=1)
        wrong = self.reset('flr', prepare)
        self.set(rest_ms=REST_MS)
        return self.expect(wrong, lost=1)

    def unmask_bus_reset(self):
        """
        Set UnmaskSBR in the port's Extensions DVSEC: without it the port resets
        nothing (CXL r3.1 section 8.1.5.2), and 6.1 does not know that.
        """
        config = bytes.fromhex(self.vm.sh(f'od -An -v -tx1 {PORT_CONFIG}'))
        at = 0x100
        while at and (config[at:at + 2], config[at + 4:at + 6],
                      config[at + 8:at + 10]) != PORT_EXTENSIONS:
            at = int.from_bytes(config[at + 2:at + 4], 'little') >> 4
        self.write_port(at + 0xc, config[at + 0xc] | 1)

    def write_port(self, offset, value):
        self.vm.sh(f"printf '\\x{value:02x}' | dd of={PORT_CONFIG} bs=1 "
                   f'seek={offset} conv=notrunc 2>/dev/null')

    def bus_reset(self):
        self.unmask_bus_reset()
        return self.reset('bus')

    def reset_for_good(self):
        """
        The way error recovery resets a slot: nobody restores the function's
        configuration, and it has no BARs any more.
        """
        def outage():
            self.hangs = self.counters()['hangs']
            self.unmask_bus_reset()
            for control in (0x40, 0):
                self.write_port(62, control)
                time.sleep(0.1)
            self.wait_hung()
        return self.expect(self.during(outage), hangs=1, attached=1)

    def interrupts_lost(self):
        """
        All that the device was given it has done, in place, but the driver
        does not hear of it: doing it again would be wrong, and the device does
        not hang.
        """
        self.kernel_log()
        before = self.counters()
        self.mask_interrupts(True)
        wrong = self.vm.try_sh(
            f'dd if=/dev/mapper/live bs=64k count={AREA_MIB * 2} '
            f'iflag=direct 2>/dev/null | cmp -n {AREA_MIB << 17} - /run/area0',
            timeout=60)[1]
        after = self.counters()
        self.mask_interrupts(False)
        delta = {key: after[key] - before[key] for key in after}
        if delta['device_bytes'] != AREA_MIB << 17 or delta['interrupts'] or \
                delta['hangs']:
            wrong += f'{delta}\n'
        wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return wrong + '\n'.join(guest.complaints(self.kernel_log()))

    def interrupts_lost_and_removed(self):
        """
        The same, and the device goes before anybody has looked: nothing but
        the ring tells what was done.  Without interrupts nobody would announce
        the rest of a batch.
        """
        self.kernel_log()
        self.set(time_limit_ms=60000, batch=1)
        before = self.counters()
        self.mask_interrupts(True)
        self.vm.sh('(dd if=/dev/mapper/live bs=64k count=8 iflag=direct '
                   '2>/dev/null | cmp -n 524288 - /run/area0; echo $?) '
                   '> /run/compared 2>&1 &')
        time.sleep(1)
        self.device.fault('removal')
        wait_for(lambda: self.vm.sh('cat /run/compared'), BACK_TIMEOUT,
                 'what was read')
        after = self.counters()
        wrong = self.vm.sh('cat /run/compared')
        wrong = '' if wrong == '0' else wrong + '\n'
        done = after['device_requests'] - before['device_requests']
        if not done or after['lost'] != before['lost']:
            wrong += f'{done} done by the device, {after}\n'
        self.set(time_limit_ms=LIMIT_MS, batch=16)
        self.device.wait_gone()
        self.wait_removed()
        self.device.plug()
        wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return wrong + '\n'.join(guest.complaints(self.kernel_log()))

    def mask_interrupts(self, mask):
        """Set or clear the Function Mask of the device's MSI-X"""
        config = f'/sys/bus/virtio/devices/{self.bound()}/../config'
        text = self.vm.sh(f'od -An -v -tx1 {config}')
        data = bytes.fromhex(''.join(text.split()))
        at = data[0x34]
        while data[at] != 0x11:
            at = data[at + 1]
        value = data[at + 3] & ~0x40 | (0x40 if mask else 0)
        self.vm.sh(f"printf '\\x{value:02x}' | dd of={config} bs=1 "
                   f'seek={at + 3} conv=notrunc 2>/dev/null')

    def control_lost(self):
        """
        Reset while nothing is under way: the first to notice is the next
        key, whose control request nobody answers.
        """
        def outage():
            self.device.reset('flr')
            self.open('late', CIPHER)
            self.vm.sh('dmsetup remove late')
        self.kernel_log()
        self.hangs = self.counters()['hangs']
        start = time.monotonic()
        outage()
        took = time.monotonic() - start
        wrong = '' if took < 30 else f'it took {took} s\n'
        # Before any request: that would be overdue, and tell it, too
        self.wait_hung()
        wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return wrong + '\n'.join(guest.complaints(self.kernel_log()))

    # -- what else goes on meanwhile

    def suspend(self):
        """The volume is suspended, loses and gets its key, and is resumed"""
        def outage():
            self.unbind()
            self.vm.sh('dmsetup suspend live && '
                       'dmsetup message live 0 key wipe && '
                       f'dmsetup message live 0 key set {KEY} && '
                       'dmsetup resume live')
            self.wait_software()
            self.vm.sh('dmsetup suspend live')
            self.bind()
            self.vm.sh('dmsetup resume live')
        return self.during(outage)

    def hang_and_suspend(self):
        """Suspending has to wait for requests that the device holds"""
        def outage():
            self.hangs = self.counters()['hangs']
            self.device.fault('hang', point='half-written')
            time.sleep(LIMIT_MS / 4000)
            self.vm.sh('dmsetup suspend live && dmsetup resume live',
                       timeout=60)
            self.wait_hung()
        return self.expect(self.during(outage), hangs=1, lost=1)

    def memory(self):
        """Little memory, and pages that can only be freed through dm-crypt"""
        def outage():
            self.hangs = self.counters()['hangs']
            self.vm.sh('mkdir -p /tmp/hog && mount -t tmpfs -o size=90% hog '
                       '/tmp/hog; dd if=/dev/zero of=/tmp/hog/file bs=1M '
                       'count=$(( $(awk "/MemAvailable/ { print \\$2 }" '
                       '/proc/meminfo) / 1024 - 60 )) 2>/dev/null; '
                       'dd if=/dev/zero of=/dev/mapper/live bs=1M seek=8 '
                       'count=56 2>/dev/null & true', timeout=120)
            time.sleep(1)
            start = self.software()
            self.device.fault('hang', point='half-written')
            self.wait_hung()
            self.wait_software(start)
        wrong = self.during(outage)
        self.vm.sh('umount /tmp/hog; sync', timeout=120)
        return self.expect(wrong, hangs=1, lost=1)

    def modules(self):
        """The driver stays as long as a volume uses it, device or not"""
        wrong = ''
        for present in (True, False):
            if not self.vm.try_sh(f'rmmod {guest.MODULE}')[0]:
                wrong += f'it was unloaded, device there: {present}\n'
            if present:
                self.vm.qmp('device_del', id=guest.DEVICE_ID)
                self.device.wait_gone()
        wrong += self.areas()
        self.device.plug()
        wait_for(self.is_back, BACK_TIMEOUT, 'back')
        return wrong + '\n'.join(guest.complaints(self.kernel_log()))

    def unload_after_removal(self):
        self.vm.sh('dmsetup remove live')
        self.device.fault('removal')
        self.vm.sh(f'rmmod {guest.MODULE}')
        self.device.wait_gone()
        self.wait_removed()
        self.kernel_log()
        self.device.plug()
        wait_for(lambda: 'is ready' in self.vm.sh('dmesg'), BACK_TIMEOUT,
                 'bound')
        # It warns when it has to take back what is still being tested
        wait_for(self.stock_tested, BACK_TIMEOUT, 'the stock driver is tested')
        # A change of configuration must find the stock driver as it was
        self.device.fault('hw-not-ready')
        time.sleep(0.5)
        self.device.fault('clear')
        time.sleep(0.5)
        self.vm.sh(f'modprobe {guest.MODULE}')
        self.set(time_limit_ms=LIMIT_MS, rest_ms=REST_MS)
        self.open('live', CIPHER)
        wrong = '' if self.is_back() else 'not on the device\n'
        return wrong + self.areas() + \
            '\n'.join(guest.complaints(self.kernel_log()))

    def stock_tested(self):
        """From 7.2 on that is done in the background"""
        results = [entry['selftest'] for entry in
                   entries(self.vm.read('/proc/crypto'))
                   if entry['module'] == 'virtio_crypto']
        return results and set(results) == {'passed'}

    def unload_while_resting(self):
        """A device that rests from a hang goes to the stock driver"""
        self.vm.sh(LOOPS)
        self.busy_on_device()
        self.set(rest_ms=30000)
        self.hangs = self.counters()['hangs']
        self.device.fault('hang')
        self.wait_hung()
        wrong = self.vm.sh(STOP, timeout=180)
        self.vm.sh('dmsetup remove live')
        if self.state() != 'hung':
            wrong += 'it does not rest\n'
        self.vm.sh(f'rmmod {guest.MODULE}')
        if self.vm.sh(f'cd {STOCK} && echo virtio*') == 'virtio*':
            wrong += 'nobody has it\n'
        self.vm.sh(f'modprobe {guest.MODULE}')
        self.set(time_limit_ms=LIMIT_MS, rest_ms=REST_MS)
        self.open('live', CIPHER)
        return wrong + self.areas() + \
            '\n'.join(guest.complaints(self.kernel_log()))

    def no_fallback(self):
        """So what is tested above is the fallback"""
        self.set(fallback=0)
        self.vm.sh(LOOPS)
        self.busy_on_device()
        self.device.fault('request-error', count=20)
        wait_for(lambda: self.vm.try_sh('test -s /run/bad')[0] == 0,
                 BACK_TIMEOUT, 'an error comes through')
        self.set(fallback=1)
        said = self.vm.sh(STOP, timeout=180)
        self.kernel_log()
        # whatever was not written then is written now
        self.vm.sh(LOOPS)
        time.sleep(2)
        wrong = self.vm.sh(STOP, timeout=180) + self.areas()
        if not re.search('reader|writer', said):
            wrong += f'no error: {said}'
        return wrong

    def tests(self):
        return (
            ('a volume is opened on the device', self.prepare),
            ('hang, shorter than the limit: nothing happens',
             self.hang_short),
            ('hang: taken over, and back', self.hang_for_good),
            ('hang, cleared after all was redone: no late writes',
             self.hang_cleared_late),
            ('hang, cleared after all was redone: a buffer that was given back '
             'is not written', self.hang_held_buffer),
            ('hang again and again: longer and longer rests',
             self.hang_again_and_again),
            ('hang, and unbound at once', self.unbind_while_hung),
            ('not ready, and ready', self.not_ready),
            ('not ready, ready, five times', self.not_ready_flapping),
            ('unbound and bound, three times', self.rebind),
            ('orderly removal, and back', self.orderly),
            ('surprise removal, and back', self.surprise),
            ('surprise removal in the middle of a request',
             self.surprise_while_busy),
            ('surprise removal before the device is notified',
             self.surprise_while_notifying),
            ('plugged in, and hangs at once', self.hang_while_bound),
            ('link down, and up', self.link_down),
            ('function level reset beneath the driver', self.function_reset),
            ('reset of the function while it hangs', self.reset_while_hung),
            ('unbound while its function is reset',
             self.unbound_while_reset),
            ('bus reset beneath the driver', self.bus_reset),
            ('bus reset that nobody cleans up after', self.reset_for_good),
            ('a key after a reset', self.control_lost),
            ('interrupts lost: what is done is not done again',
             self.interrupts_lost),
            ('interrupts lost, and removed: likewise',
             self.interrupts_lost_and_removed),
            ('suspended, rekeyed and resumed without device', self.suspend),
            ('hang, and suspended', self.hang_and_suspend),
            ('hang, and hardly any memory', self.memory),
            ('the driver stays as long as it is needed', self.modules),
            ('unloaded right after a surprise removal',
             self.unload_after_removal),
            ('unloaded while the device rests', self.unload_while_resting),
            ('negative control: no fallback, errors come through',
             self.no_fallback))

    def guard(self, work):
        def guarded():
            try:
                return work()
            except NoStrike as err:
                return f'{err}\n{self.vm.evidence()}'
        return guarded

    def run(self, tap):
        wanted = (os.environ.get('ONLY') or '').split(',')
        tap.guarded([(name, self.guard(work))
                     for number, (name, work) in enumerate(self.tests())
                     if not number or any(word in name for word in wanted)])
