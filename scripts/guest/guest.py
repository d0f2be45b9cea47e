# SPDX-License-Identifier: GPL-2.0-or-later
#
# A Linux guest with a crypto device, driven from Python: commands to its
# serial port, QMP to its QEMU, and a time limit on everything.

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import typing

import platform_iommu

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
BUILD = os.path.join(ROOT, 'build')
GUEST = os.path.join(BUILD, 'guest')

TYPE1 = 'cxl-type1-crypto'
MODULE = 'cxl_type1_crypto'
OUR_DRIVER = 'cbc-aes-cxl-type1'
OUR_DRIVERS = {mode: f'{mode}-aes-cxl-type1'
               for mode in ('xts', 'cbc', 'ctr', 'ecb')}
STOCK_DRIVER = 'virtio_crypto_aes_cbc'
DEVICE_ID = 't1'

# From this one on AF_ALG takes no asynchronous driver
NO_AF_ALG = 7, 2

CLOCKS_ARE_COMPARED = 7, 2    # or some time before

# What a kernel says that is not content
COMPLAINT = re.compile(r'BUG[: ]|WARNING:|Oops|hung_task|blocked for more|'
                       r'I/O error|Call Trace|general protection|'
                       r'EXT4-fs (error|warning)|JBD2: .*rror|rcu.*stall|'
                       rf"'{MODULE}'.* already present")

# Emulation on a busy machine is slow, a hang is for ever
BOOT_TIMEOUT = 240
DEFAULT_TIMEOUT = 120
# A list of all tasks over an emulated serial port
DISSECT_PAUSE = 3
DISSECT_TIMEOUT = 30
DISSECT_LINES = 100
COMMAND_PORT = 0x2f8     # registers: IER, IIR, LCR, MCR, LSR, MSR
BUSY = 'sysrq: Show backtrace of all active CPUs'


class Arch(typing.NamedTuple):
    """What differs between guests of one architecture and another"""
    emulator: str
    setting: str        # the environment's choice of another emulator
    machine: str
    cpu: str
    console: str
    kernel: str         # which of them; empty: what the IOMMU needs
    second_port: tuple  # the serial port that takes commands
    firmware: tuple = ()
    cmdline: str = ''


# The boot's test of the timer asks for more than a busy host can give, and
# Linux panics when it fails
AMD64 = Arch('qemu-system-x86_64', 'QEMU', 'q35,cxl=on', 'max', 'ttyS0',
             '', ('-device', 'isa-serial,chardev=command'),
             cmdline='no_timer_check sysrq_always_enabled')
# CXL is described by ACPI, which takes UEFI; MSI takes GICv3 with its ITS
ARM64 = Arch('qemu-system-aarch64', 'QEMU_AARCH64',
             'virt,gic-version=3,cxl=on', 'cortex-a57', 'ttyAMA0',
             '-arm64', ('-serial', 'chardev:command'),
             ('-bios', os.path.join(GUEST, 'firmware-arm64/usr/share',
                                    'qemu-efi-aarch64/QEMU_EFI.fd')))


class GuestError(Exception):
    pass


class GuestHangs(GuestError):
    """No answer in time, or no more answers at all."""


def complaints(text):
    return [line for line in text.splitlines() if COMPLAINT.search(line)]


class Progress:
    """Lines with the time since the start."""

    def __init__(self, out=sys.stdout):
        self.start = time.monotonic()
        self.out = out

    def elapsed(self):
        return time.monotonic() - self.start

    def __call__(self, text):
        print(f'[{self.elapsed():6.1f}s] {text}', file=self.out, flush=True)


def qemu_binary(arch=AMD64):
    return os.environ.get(arch.setting) or \
        os.path.join(BUILD, 'bin', arch.emulator)


def device_properties(device, **properties):
    """
    The crypto device as device_add takes it; on the command line it is the
    same.  WRITEBACK of the environment is an option of it.
    """
    result = {'driver': device, 'id': DEVICE_ID, 'bus': 'pcie.0',
              'cryptodev': 'c0'}
    if device == TYPE1:
        result.update(bus='rp0', writeback=os.environ.get('WRITEBACK') or
                      'on-demand')
        if os.environ.get('SWITCH'):
            result['x-256b-flit'] = True
    else:
        result.update(platform_iommu.device_properties())
    return {**result, **properties}


def device_option(properties):
    """The same as the command line takes it"""
    words = {True: 'on', False: 'off'}
    return ','.join([properties['driver']] + [
        f'{key}={words[value] if isinstance(value, bool) else value}'
        for key, value in properties.items() if key != 'driver'])


def link_time():
    """
    What a root port with CXL.cache has of time: LATENCY (ns, each way) and
    JITTER (a seed) of the environment
    """
    return ''.join(f',{name}={os.environ[setting]}' for setting, name in (
        ('LATENCY', 'cxl-cache-latency'), ('JITTER', 'x-jitter'))
        if os.environ.get(setting))


def port_args(number, device):
    """
    The port rpNUMBER that @device goes below: a root port, or with SWITCH=1 in
    the environment one of a switch.
    """
    place = f'port={number},id=rp{number},chassis=0,slot={number + 2}'
    cxl_cache = ',cxl-cache=on' if device == TYPE1 else ''
    root = cxl_cache and cxl_cache + link_time()
    if not os.environ.get('SWITCH'):
        return ['-device', f'cxl-rp,bus=cxl.0,{place}{root}']
    switch = ['-device', f'cxl-rp,bus=cxl.0,id=root,chassis=1,slot=1{root}',
              '-device', f'cxl-upstream,bus=root,id=us,x-256b-flit=on{cxl_cache}']
    return (switch if number == 0 else []) + [
        '-device', f'cxl-downstream,bus=us,{place}{cxl_cache}']


def device_args(device, backend, **properties):
    """The topology: everything hangs off one CXL host bridge."""
    properties = device_properties(device, **properties)
    option = device_option(properties)
    return ['-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0',
            *port_args(0, device),
            '-object', f'{backend},id=c0', '-device', option]


def chosen_device():
    """DEVICE and BACKEND of the environment, with their defaults."""
    device = os.environ.get('DEVICE') or TYPE1
    backend = os.environ.get('BACKEND') or (
        'cryptodev-backend-openssl' if device == TYPE1
        else 'cryptodev-backend-builtin')
    return device, backend


def machine_args(memory='1G', arch=AMD64, options='', own_ram=False,
                 accel=None):
    """
    RAM of the environment: "memfd" (default), which QEMU can map twice, so
    that the device can keep lines of it; or "ordinary"; with @own_ram the
    caller says what it is.  ACCEL: "kvm" where that works; existing is not
    enough.  @accel: that one, whatever ACCEL is.
    """
    accel = accel or os.environ.get('ACCEL') or 'tcg,thread=multi'
    ram = {'memfd': f'memory-backend-memfd,id=ram,size={memory},share=on',
           'ordinary': f'memory-backend-ram,id=ram,size={memory}'}
    backend = () if own_ram else (
        '-M', 'memory-backend=ram',
        '-object', ram[os.environ.get('RAM') or 'memfd'])
    return [*arch.firmware, '-M', f'{arch.machine}{options}', *backend,
            '-accel', accel, '-cpu', arch.cpu, '-smp', '2', '-m', memory,
            '-nodefaults', '-display', 'none', '-no-reboot',
            *platform_iommu.machine_args()]


def kernel_suffix():
    """Of the files of the kernel that KERNEL, or else IOMMU, asks for"""
    kernel = os.environ.get('KERNEL') or ''
    if not kernel:
        return platform_iommu.kind().kernel
    return {'6.1': '', 'newest': '7'}.get(kernel, kernel.replace('.', '', 1))


def kernel_version(arch=AMD64):
    """Of the same, as two numbers"""
    image = os.path.join(GUEST, f'initramfs{arch.kernel or kernel_suffix()}',
                         'lib/modules')
    return tuple(int(part) for part in re.match(
        r'(\d+)\.(\d+)', os.listdir(image)[0]).groups())


def clock_options(arch):
    """
    Newer kernels compare processors' clocks while all else waits, which a busy
    host can make last for ever: 7.3 was seen in clocksource's watchdog, at boot
    """
    watched = arch.emulator == AMD64.emulator and \
        kernel_version(arch) >= CLOCKS_ARE_COMPARED
    return 'tsc=nowatchdog' if watched else ''


def kernel_args(extra, arch=AMD64):
    """CMDLINE of the environment: more for the kernel, slub_debug=FZPU say"""
    kernel = arch.kernel or kernel_suffix()
    return ['-kernel', os.path.join(GUEST, f'vmlinuz{kernel}'),
            '-initrd', os.path.join(GUEST, f'initramfs{kernel}.cpio'),
            '-append', f'console={arch.console} panic=-1 {arch.cmdline} '
                       f'{clock_options(arch)} '
                       f'{platform_iommu.kernel_options()} {extra} '
                       f'{os.environ.get("CMDLINE") or ""}']


def disk_args(path, sector=512):
    """@sector: the size of its blocks, which a volume on it takes over"""
    return ['-drive', f'file={path},format=raw,if=none,id=disk,cache=unsafe',
            '-device', 'virtio-blk-pci,bus=pcie.0,drive=disk,'
                       f'logical_block_size={sector},'
                       f'physical_block_size={sector}' +
                       platform_iommu.device_option()]


def user_args():
    return shlex.split(os.environ.get('QEMU_ARGS', ''))


class Channel:
    """Lines over a socket, with a deadline for each read."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.pending = b''

    def send(self, text):
        try:
            self.ours.settimeout(DEFAULT_TIMEOUT)
            self.ours.sendall(text.encode() + b'\n')
        except OSError as err:
            raise GuestHangs(f'QEMU does not listen any more: {err}') from err

    def line(self, deadline, what):
        while b'\n' not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0:
                raise GuestHangs(f'no answer in time: {what}')
            self.ours.settimeout(left)
            try:
                data = self.ours.recv(65536)
            except socket.timeout:
                continue
            except OSError as err:
                raise GuestHangs(f'QEMU went away: {what}: {err}') from err
            if not data:
                raise GuestHangs(f'QEMU went away: {what}')
            self.pending += data
        line, self.pending = self.pending.split(b'\n', 1)
        return line.decode(errors='replace').rstrip('\r')


def save_results(results):
    """Add to build/bench/results.json; returns its path."""
    path = os.path.join(BUILD, 'bench', 'results.json')
    merged = {}
    if os.path.exists(path):
        with open(path) as file:
            merged = json.load(file)
    merged.update(results)
    with open(path, 'w') as file:
        json.dump(merged, file, indent=2)
        file.write('\n')
    return path


class Guest:
    """
    A running guest.  sh() runs a shell command in it, qmp() one in its QEMU.
    What the kernel says goes to @log.  @machine: more options of the machine;
    @ram: memory, own_ram and accel of machine_args().
    """

    def __init__(self, args, log, cmdline='', arch=AMD64, machine='', **ram):
        self.log = log
        self.token = 0
        self.command = Channel()
        self.monitor = Channel()
        fds = [chan.theirs.fileno() for chan in (self.command, self.monitor)]
        argv = [qemu_binary(arch),
                *machine_args(arch=arch, options=machine, **ram),
                *args, *kernel_args('guest.serve ' + cmdline, arch),
                '-serial', f'file:{log}',
                '-chardev', f'socket,id=command,fd={fds[0]}',
                *arch.second_port,
                '-chardev', f'socket,id=monitor,fd={fds[1]}',
                '-object', 'monitor-qmp,id=qmp,chardev=monitor',
                *user_args()]
        self.stderr = log + '.stderr'
        if os.path.exists(log):
            os.remove(log)
        with open(self.stderr, 'wb') as stderr:
            try:
                self.process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=stderr,
                    stderr=stderr, pass_fds=fds)
            except OSError as err:
                raise GuestError(f'{argv[0]}: {err.strerror}; '
                                 'is it built?') from err
        for channel in (self.command, self.monitor):
            channel.theirs.close()

    def __enter__(self):
        try:
            self.boot()
        except BaseException as err:
            self.stop()
            if isinstance(err, GuestError):
                raise GuestError(f'{err}\n{self.evidence()}') from None
            raise
        return self

    def __exit__(self, kind, value, traceback):
        self.stop()

    def boot(self):
        deadline = time.monotonic() + BOOT_TIMEOUT
        self.monitor.line(deadline, 'the QMP greeting')
        self.qmp('qmp_capabilities')
        # The firmware may have cleared the screen on that port, too
        while not self.command.line(deadline,
                                    'booting').endswith('guest is up'):
            pass

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def evidence(self):
        """The last words of QEMU and of the guest's kernel."""
        text = ''
        for path in (self.stderr, self.log):
            try:
                with open(path, errors='replace') as file:
                    lines = file.read().splitlines()[-15:]
            except OSError:
                continue
            if lines:
                text += f'--- {path}\n' + '\n'.join(lines) + '\n'
        return text

    def read_log(self):
        with open(self.log, errors='replace') as file:
            return file.read()

    def dissect(self):
        """
        What a guest does that does not answer: memory, tasks and processors,
        in the log if its kernel still hears a keyboard; registers by QEMU.
        Returns what the kernel complained of, what processors do, and which
        of its tasks cannot be woken.
        """
        text = '\n'.join(complaints(self.read_log()))
        try:
            for key in 'mtlw':
                self.qmp('send-key', timeout=DISSECT_TIMEOUT, keys=[
                    {'type': 'qcode', 'data': name}
                    for name in ('alt', 'sysrq', key)])
                time.sleep(DISSECT_PAUSE)
            state = self.qmp('human-monitor-command', timeout=DISSECT_TIMEOUT,
                             **{'command-line': 'info registers -a'})
        except GuestError as err:
            return f'{text}\nnothing to be seen: {err}'
        with open(self.stderr, 'a') as file:
            file.write(state)
        _, found, state = self.read_log().rpartition(BUSY)
        lines = state.splitlines()[:DISSECT_LINES]
        return '\n'.join([text, found, *lines])

    def post_mortem(self, token):
        """Of a command that was not answered in time"""
        begun = time.monotonic()
        heard = self.command.pending
        text = self.dissect() + self.port_state()
        deadline = time.monotonic() + DISSECT_TIMEOUT
        try:
            while token + ' ' not in self.command.line(deadline, 'an answer'):
                pass
        except GuestHangs as err:
            return f'{text}\nhalf a line: {heard}; still {err}' + self.prod()
        return f'{text}\nanswered {time.monotonic() - begun:.0f} s too late'

    def port_state(self):
        """Of the port that takes commands, where it is a PC's"""
        try:
            text = '\n'.join(self.qmp(
                'human-monitor-command', timeout=DISSECT_TIMEOUT,
                **{'command-line': command}).strip() for command in (
                    *(f'i /1xb {COMMAND_PORT + register:#x}'
                      for register in range(1, 7)), 'info pic'))
            return '\n'.join(['', *re.findall(
                r'^(?:port|pic0|.*\bIRR\b|.*pin 3 ).*', text, re.M)])
        except GuestError as err:
            return f'\n{err}'

    def prod(self):
        """Does an empty line fetch what got stuck?"""
        deadline = time.monotonic() + DISSECT_TIMEOUT
        text = '\nprodded:'
        try:
            self.command.send('')
            while True:
                text += f' {self.command.line(deadline, "prodded")!r}'
        except GuestHangs:
            return f'{text} {self.command.pending}'

    def qmp(self, execute, timeout=DEFAULT_TIMEOUT, **arguments):
        self.monitor.send(json.dumps({'execute': execute,
                                      'arguments': arguments}))
        deadline = time.monotonic() + timeout
        while True:
            answer = json.loads(self.monitor.line(deadline, execute))
            if 'error' in answer:
                raise GuestError(f'{execute}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']

    def try_sh(self, command, timeout=DEFAULT_TIMEOUT):
        """Run a command line in the guest; returns (status, output)."""
        self.token += 1
        token = f'@{self.token}'
        self.command.send(f'{token} {command}')
        deadline = time.monotonic() + timeout
        output = []
        while True:
            try:
                line = self.command.line(deadline, f'the guest at: {command}')
            except GuestHangs as err:
                raise GuestHangs('\n'.join(
                    [str(err), *output[-5:],
                     self.post_mortem(token)])) from None
            if line.startswith(token + ' '):
                return int(line[len(token):]), '\n'.join(output)
            # The token may follow output that does not end a line
            if line.rstrip('0123456789').endswith(token + ' '):
                text, status = line.rsplit(token, 1)
                return int(status), '\n'.join([*output, text])
            output.append(line)

    def sh(self, command, timeout=DEFAULT_TIMEOUT):
        status, output = self.try_sh(command, timeout)
        if status:
            raise GuestError(f'in the guest: {command}\n'
                             f'exit status {status}: {output}\n'
                             f'{self.evidence()}')
        return output

    def read(self, path):
        return self.sh(f'cat {path}').strip()

    def device_counters(self):
        """What the crypto device's back end itself counted."""
        stats = {}
        for entry in self.qmp('query-stats', target='cryptodev'):
            for stat in entry['stats']:
                stats[stat['name']] = stat['value']
        return stats

    def cache_counters(self):
        """
        What crossed CXL.cache, as x-query-cxl-cache has it, in one dictionary:
        messages by the name of their opcode, and what the host did.
        """
        info = self.qmp('x-query-cxl-cache')
        counters = {'faults': sum(entry['count'] for entry in info['faults']),
                    'write-backs': info['write-backs'],
                    'pages zapped': info['trap']['zapped'],
                    'lines used once': 0}
        for entry in info['accesses']:
            access = entry['access']
            counters[f'snoops for CPU {access}s'] = entry['snoops']
            counters[f'lines found M by CPU {access}s'] = entry['dirty']
        for device in info['devices']:
            counters['lines used once'] += device['once-lines']
            for channel in device['channels']:
                for opcode in channel['opcodes']:
                    name = f'{channel["channel"]} {opcode["name"]}'
                    counters[name] = counters.get(name, 0) + opcode['count']
        return counters

    def cache_lines(self):
        """How many lines of the devices' caches are in which state"""
        return {entry['state']: entry['lines']
                for device in self.qmp('x-query-cxl-cache')['devices']
                for entry in device['states'] if entry['lines']}

    def module_counters(self):
        """What our kernel module counted."""
        names = self.sh(f'cd /sys/module/{MODULE}/parameters && grep . *')
        return {name: value == 'Y' if value in 'YN' else int(value)
                for name, value in
                (line.split(':') for line in names.splitlines())}
