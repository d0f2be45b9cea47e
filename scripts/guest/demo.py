#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The main job, end to end: a Linux guest keeps a LUKS2 volume, made without a
# word about ciphers, whose every sector is ciphered by the crypto device.
# Second act: while the volume is busy the device is pulled out, software
# carries on, the device is put back and carries on.  The host then decrypts
# the image with cryptsetup alone and finds the same files.
#
# Environment: SIZE (MiB of data, default 64), KERNEL, DEVICE, BACKEND, QEMU,
# QEMU_ARGS, DEMO_DIR; SECTOR (the disk's block size: 4096, default, or 512);
# CIPHER (for cryptsetup; default: its own); RAM (memfd, ordinary) and
# WRITEBACK (on-demand, completion); IOMMU and IOMMU_DOMAINS as in
# platform_iommu.py; DEMO_NO_MODULE=1 leaves the kernel module out, which the
# demo must notice.

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys

import guest
import hostcheck
import iommu
import platform_iommu
import volume
from charts import Charts
from removal import RemovalAct

# What cryptsetup takes when nobody says anything
DEFAULT_CIPHER = 'aes-xts-plain64'
SECTOR_SIZES = (512, 4096)

SECTOR = 512        # of the kernel's statistics
LINE = 64
PAGE = 4096
VIRTIO_CRYPTO = 20  # its device ID
MARK = b'PLAINTEXT-OF-THE-DEMO'
FILES = 8
SELF_TESTS = 120        # half seconds to wait for them


class CheckFailed(Exception):
    pass


def pattern_sum(kind, seed, size):
    """Made by the host on its own, from the seed"""
    pattern = subprocess.Popen(
        [os.path.join(guest.GUEST, 'pattern'), kind, str(seed), str(size)],
        stdout=subprocess.PIPE)
    total = hostcheck.sha256(pattern.stdout)
    if pattern.wait():
        raise CheckFailed('pattern failed on the host')
    return total


class Demo:
    def __init__(self):
        self.size = int(os.environ.get('SIZE') or 64)
        self.sector = int(os.environ.get('SECTOR') or 4096)
        if self.sector not in SECTOR_SIZES:
            sys.exit(f'SECTOR={self.sector}: it is one of '
                     f'{", ".join(map(str, SECTOR_SIZES))}')
        self.options = ''
        self.cipher = os.environ.get('CIPHER') or DEFAULT_CIPHER
        if os.environ.get('CIPHER'):
            self.options = f'--cipher {self.cipher}'
        mode = self.cipher.split('-')[1] if '-' in self.cipher else ''
        self.driver = guest.OUR_DRIVERS.get(mode)
        if not self.driver:
            sys.exit(f'CIPHER={self.cipher}: the device has '
                     f'{", ".join(f"aes-{m}-..." for m in guest.OUR_DRIVERS)}')
        self.dir = os.environ.get('DEMO_DIR') or \
            os.path.join(guest.BUILD, 'demo')
        self.module = not os.environ.get('DEMO_NO_MODULE')
        self.ram = os.environ.get('RAM') or 'memfd'
        self.writeback = os.environ.get('WRITEBACK') or 'on-demand'
        self.device, self.backend = guest.chosen_device()
        # Behind an IOMMU the device may use no line that ATS did not find
        self.cached = not platform_iommu.present() or platform_iommu.kind().ats
        self.image = os.path.join(self.dir, 'disk.img')
        self.say = guest.Progress()
        self.charts = Charts(self.dir, self.say)
        self.report = {}
        self.failed = []
        self.checks = []

    # -- what has to hold

    def check(self, name, good, detail):
        self.say(f'{"ok    " if good else "FAILED"} {name}: {detail}')
        self.checks.append({'name': name, 'ok': bool(good),
                            'detail': str(detail)})
        if not good:
            self.failed.append(name)

    # -- data

    def files(self):
        """Name, kind and seed of each file; half of them text."""
        each = self.size * 1024 * 1024 // FILES
        for i in range(FILES):
            kind = 'random' if i % 2 else 'text'
            yield f'{kind}{i}', kind, 1000 + i, each

    def expected_sums(self):
        return {name: pattern_sum(kind, seed, size)
                for name, kind, seed, size in self.files()}

    def make_image(self):
        os.makedirs(self.dir, exist_ok=True)
        for name in ('disk.img', 'plain.img', 'report.json'):
            path = os.path.join(self.dir, name)
            if os.path.exists(path):
                os.remove(path)
        with open(self.image, 'wb') as image:
            # LUKS2 takes 16 MiB, the file system less than that
            image.truncate((self.size + self.size // 8 + 48) << 20)

    # -- what the guest is asked

    def dm_sectors(self, vm):
        """(read, written) through the mapped device, with nothing under way"""
        vm.sh('sync')
        for _ in range(100):
            fields = vm.read('/sys/block/dm-0/stat').split()
            if fields[8] == '0':
                return int(fields[2]), int(fields[6])
            vm.sh('sleep 0.1')
        raise CheckFailed('the mapped device does not come to rest')

    def settle(self, vm):
        """
        Whoever opens a volume has the kernel make algorithms.  Since 6.12 the
        self tests of these run in the background, and some are made of ours.
        """
        before = None
        for _ in range(SELF_TESTS):
            now = vm.device_counters()
            if now == before and not re.search('^type *: larval$',
                                               vm.read('/proc/crypto'), re.M):
                return
            before = now
            vm.sh('sleep 0.5')
        raise CheckFailed('the device does not come to rest')

    def snapshot(self, vm):
        read, written = self.dm_sectors(vm)
        device = vm.device_counters()
        counters = {'read': read, 'written': written,
                    'enc_ops': device.get('sym-encrypt-ops', 0),
                    'dec_ops': device.get('sym-decrypt-ops', 0),
                    'enc_bytes': device.get('sym-encrypt-bytes', 0),
                    'dec_bytes': device.get('sym-decrypt-bytes', 0)}
        if self.module:
            module = vm.module_counters()
            counters['module_bytes'] = module['device_bytes']
            counters['module_requests'] = module['device_requests']
            counters['software'] = module['software_requests']
        return counters

    def identify(self, vm):
        """Returns the name of the crypto device on the virtio bus"""
        virtio = vm.sh('cd /sys/bus/virtio/devices && for d in virtio*; do '
                       f'[ $(($(cat $d/device))) != {VIRTIO_CRYPTO} ] || '
                       'echo $d; done').split()
        if len(virtio) != 1:
            raise CheckFailed(f'{len(virtio)} crypto devices in the guest')
        pci = vm.sh(f'cd -P /sys/bus/virtio/devices/{virtio[0]}/.. && pwd -P')
        ids = {key: vm.read(f'{pci}/{key}')
               for key in ('vendor', 'device', 'class')}
        driver = os.path.basename(vm.sh(f'readlink {pci}/driver'))
        slot = os.path.basename(pci)
        # Class 0502 would make Linux's cxl_pci take it for memory
        self.check('the PCI function is the crypto device',
                   ids['vendor'] == '0x1af4' and ids['device'] == '0x1054'
                   and not ids['class'].startswith('0x0502')
                   and driver == 'virtio-pci',
                   f'{slot} {ids["vendor"]}:{ids["device"]} '
                   f'class {ids["class"]} driver {driver}')
        self.report.update(pci_slot=slot, pci_vendor=ids['vendor'],
                           pci_device=ids['device'], pci_class=ids['class'],
                           kernel=vm.sh('uname -r'))
        return virtio[0]

    def load_module(self, vm):
        if not self.module:
            self.say('DEMO_NO_MODULE: the kernel module is left out')
            return
        # Of itself it takes Type 1 devices only
        plain = '' if self.device == guest.TYPE1 else 'any=1'
        vm.sh(f'modprobe {guest.MODULE} {plain}')
        self.self_tests(vm)

    def self_tests(self, vm):
        """
        Since 6.12 they run in the background.  One that is not over adds to
        what the device does for the volume.
        """
        wanted = set(guest.OUR_DRIVERS.values())
        for _ in range(SELF_TESTS):
            text = vm.read('/proc/crypto')
            passed = set(re.findall(
                r'^driver *: (\S+)$(?:\n.+)*\nselftest *: passed$', text,
                re.M))
            if wanted <= passed or 'self-tests for' in vm.sh('dmesg'):
                break
            vm.sh('sleep 0.5')
        self.check("the kernel's own self tests of our driver",
                   wanted <= passed, ', '.join(sorted(wanted & passed)) +
                   ' passed')

    def bound(self, vm, virtio):
        """Whichever driver came first"""
        driver = os.path.basename(vm.sh(
            f'readlink /sys/bus/virtio/devices/{virtio}/driver || :').strip())
        self.check('our driver has the device', driver == guest.MODULE,
                   f'{virtio}: {driver or "no driver"}')
        others = vm.sh('cd /sys/bus/virtio/drivers/virtio_crypto && '
                       'ls -d virtio* 2>/dev/null || :').split()
        self.check('the stock driver has none', not others,
                   ', '.join(others) or 'none')

    def crypto_in_use(self, vm):
        """The dm table, and the algorithm the kernel picked for it."""
        table = vm.sh('dmsetup table vault').strip()
        fields = table.split()
        size = re.search(r' sector_size:(\d+)', table)
        self.report.update(dm_table=table, cipher=fields[3],
                           sector_size=int(size.group(1)) if size else 512)
        self.check('the dm-crypt table', fields[2] == 'crypt' and
                   self.report['cipher'] == self.cipher and
                   self.report['sector_size'] == self.sector,
                   re.sub(' :[0-9]+:[^ ]*', ' KEY', table))
        used = []
        for entry in vm.sh('cat /proc/crypto').split('\n\n'):
            driver = re.search(r'^driver *: (.*)$', entry, re.M)
            refs = re.search(r'^refcnt *: (\d+)$', entry, re.M)
            if driver and refs and int(refs.group(1)) > 1:
                used.append(driver.group(1))
        aes = [name for name in used if 'aes' in name]
        ours = [name for name in aes if self.driver in name]
        # Around ours there may be a template: essiv(...)
        self.report['driver'] = max(ours or aes, key=len, default='')
        self.check('the kernel uses our driver', self.driver in ours,
                   ', '.join(aes) or 'no AES at all')

    def recorded(self, vm, name, *options):
        """A context: the device's traffic meanwhile is drawn."""
        return self.charts.record(vm, name, *options) \
            if self.device == guest.TYPE1 else contextlib.nullcontext()

    def write_first_page(self, vm):
        """By itself, for a picture; the file system comes over it."""
        one = () if self.sector < PAGE else ('--request', '1', '--follow')
        with self.recorded(vm, 'first-page', *one):
            vm.sh(f'pattern text 1 {PAGE} | dd of={volume.MAPPED} bs={PAGE} '
                  'count=1 iflag=fullblock oflag=direct 2>/dev/null')

    def write_files(self, vm):
        volume.make_filesystem(vm)
        volume.mount(vm)
        for name, kind, seed, size in self.files():
            vm.sh(f'pattern {kind} {seed} {size} > /mnt/{name}', timeout=300)
        vm.sh('cd /mnt && sha256sum text* random* > sums && sync',
              timeout=600)

    def verify_files(self, vm, sums):
        volume.mount(vm)
        vm.sh('echo 3 > /proc/sys/vm/drop_caches')
        output = vm.sh('cd /mnt && sha256sum text* random*', timeout=600)
        seen = dict(reversed(line.split()) for line in output.splitlines())
        self.check('the guest reads back what it wrote', seen == sums,
                   f'{len(sums)} files, {self.size} MiB')

    def with_volume(self, vm, name, work):
        """Open the volume, work on it, close it; what that took."""
        volume.luks_open(vm)
        self.settle(vm)
        before = self.snapshot(vm)
        self.say(f'{name}...')
        work(vm)
        volume.unmount(vm)
        after = self.snapshot(vm)
        volume.luks_close(vm)
        return {key: after[key] - before[key] for key in after}

    def account(self, phases):
        total = {key: sum(phase[key] for phase in phases)
                 for key in phases[0]}
        requests = total['enc_ops'] + total['dec_ops']
        done = total['enc_bytes'] + total['dec_bytes']
        self.report.update(sectors_written=total['written'],
                           sectors_read=total['read'],
                           device_requests=requests, device_bytes=done,
                           device_encrypted_bytes=total['enc_bytes'],
                           device_decrypted_bytes=total['dec_bytes'])
        self.check('enough was written and read', min(
            total['written'], total['read']) * SECTOR >= self.size << 20,
            f'{total["written"]} sectors written, {total["read"]} read')
        self.check('the device ciphered every sector written',
                   total['enc_bytes'] == total['written'] * SECTOR,
                   f'{total["enc_bytes"]} bytes in {total["enc_ops"]} '
                   f'requests for {total["written"] * SECTOR} bytes')
        self.check('the device deciphered every sector read',
                   total['dec_bytes'] == total['read'] * SECTOR,
                   f'{total["dec_bytes"]} bytes in {total["dec_ops"]} '
                   f'requests for {total["read"] * SECTOR} bytes')
        if self.module:
            self.report['software_requests'] = total['software']
            self.check('nothing was done in software',
                       total['software'] == 0 and
                       total['module_bytes'] == done and
                       total['module_requests'] == requests,
                       f'{total["module_requests"]} requests by the module, '
                       f'{total["software"]} of them in software')

    def keeps_lines(self):
        """Are results in the device's cache until somebody asks for them?"""
        return self.cached and self.ram == 'memfd' and \
            self.writeback == 'on-demand'

    def traffic(self, vm):
        """What went over CXL.cache, and whether that was as it should be."""
        if self.device != guest.TYPE1:
            return
        count = vm.cache_counters()
        if not self.cached:
            sent = sum(value for name, value in count.items()
                       if name.startswith('d2h-'))
            self.check('without ATS nothing goes over CXL.cache', not sent,
                       f'{sent} messages')
            return
        lines = self.report['device_bytes'] // LINE
        owned = count.get('d2h-req RdOwnNoData', 0)
        found = sum(count[f'lines found M by CPU {access}s']
                    for access in ('read', 'write'))
        evicted = count.get('d2h-req DirtyEvict', 0)
        once = count['lines used once']
        self.report.update((f'cache: {name}', value) for name, value in
                           count.items() if value)
        self.check('sources were read by CXL.cache',
                   count.get('d2h-req RdCurr', 0) >= lines // 2,
                   f'{count.get("d2h-req RdCurr", 0)} RdCurr')
        if self.ram != 'memfd' or self.writeback == 'through':
            self.check('no result is kept: every line is written through',
                       once >= lines and not owned and not found,
                       f'{once} lines for {lines} of data')
        elif self.writeback == 'completion':
            self.check('results were owned and evicted before completion',
                       evicted >= lines and not found and not once,
                       f'{owned} RdOwnNoData, {evicted} DirtyEvict')
        elif self.writeback == 'adaptive':
            self.check('results are kept at first, then written through',
                       owned and once and owned + once >= lines,
                       f'{owned} RdOwnNoData, {once} lines once')
        else:
            self.check('results came home when somebody asked for them',
                       not once and min(owned, found + evicted) >= lines // 2,
                       f'{owned} RdOwnNoData, {found} lines found M by CPUs '
                       f'and DMA, {evicted} DirtyEvict')
        self.check('no rule of the protocol was broken', not count['faults'],
                   f'{count["faults"]} faults')

    def translation(self, vm):
        """What is to be seen of the IOMMU, if there is one"""
        if not platform_iommu.present() or self.device != guest.TYPE1 or \
                not self.module:
            return None
        self.report.update(iommu=platform_iommu.name(),
                           iommu_domains=platform_iommu.domains())
        return iommu.Checks(vm, self.check)

    # -- the two halves

    def in_guest(self, sums):
        """Returns what the host has to find: more than what is given."""
        self.say(f'booting the guest: {self.device}, {self.backend}')
        args = [*guest.device_args(self.device, self.backend),
                *guest.disk_args(self.image, self.sector),
                *self.charts.args()]
        log = os.path.join(self.dir, 'console.log')
        with guest.Guest(args, log) as vm:
            self.say('the guest is up')
            virtio = self.identify(vm)
            self.load_module(vm)
            self.bound(vm, virtio)
            translation = self.translation(vm)
            if translation:
                translation.at_work()
            self.say('formatting a LUKS2 volume: cryptsetup luksFormat '
                     f'{self.options}')
            volume.luks_format(vm, self.options)

            def write(vm):
                self.crypto_in_use(vm)
                self.write_first_page(vm)
                self.write_files(vm)

            first = self.with_volume(vm, f'writing {self.size} MiB', write)
            second = self.with_volume(
                vm, 'reading it back', lambda vm: self.verify_files(vm, sums))
            self.account([first, second])
            self.traffic(vm)
            if translation:
                translation.afterwards()
            if self.device == guest.TYPE1 and self.module:
                sums = {**sums, **RemovalAct(vm, self).run(pattern_sum)}
            vm.sh('sync')
            kernel_log = vm.sh('dmesg')
            bad = guest.complaints(kernel_log)
            self.check("the guest's kernel is content", not bad,
                       bad[0] if bad else 'no warnings')
        return sums

    def on_host(self, sums):
        self.report['host_check'] = 'failed'
        self.say('the host opens the image by itself')
        with open(self.image, 'rb') as image:
            found = hostcheck.contains(image, MARK)
        self.check('no plain text on the disk', not found,
                   f'"{MARK.decode()}" ' + ('found' if found else 'not found'))
        plain = os.path.join(self.dir, 'plain.img')
        how = hostcheck.decrypt(self.image, plain, volume.PASSPHRASE)
        with open(plain, 'rb') as image:
            found = hostcheck.contains(image, MARK)
        self.check('plain text in the decrypted image', found, how)
        self.check('the file system is whole',
                   hostcheck.filesystem_clean(plain), 'e2fsck -fn')
        seen = {name: hostcheck.file_sum(plain, name) for name in sums}
        good = seen == sums
        self.check('the host reads the same files', good,
                   f'{len(sums)} files, checksums from the seeds')
        self.report['host_check'] = 'ok' if good else 'failed'
        self.report['host_method'] = how

    def run(self):
        self.report.update(host_check='not reached', device=self.device,
                           backend=self.backend,
                           ram=self.ram, writeback=self.writeback,
                           size_mib=self.size)
        error = None
        try:
            self.make_image()
            sums = self.expected_sums()
            self.on_host(self.in_guest(sums))
        except (CheckFailed, guest.GuestError,
                hostcheck.HostCheckError) as err:
            error = str(err)
            self.failed.append(error.splitlines()[0])
        self.report['seconds'] = round(self.say.elapsed(), 1)
        self.report['charts'] = self.charts.made
        self.report['ok'] = not self.failed
        self.report['failed'] = self.failed
        self.report['checks'] = self.checks
        self.finish(error)
        return 1 if self.failed else 0

    def finish(self, error):
        path = os.path.join(self.dir, 'report.json')
        with open(path, 'w') as file:
            json.dump(self.report, file, indent=2)
            file.write('\n')
        if error:
            print(error, file=sys.stderr)
        print()
        for key, value in self.report.items():
            if key not in ('checks', 'failed'):
                print(f'  {key:34} {value}')
        print(f'  {"report":34} {path}')
        if self.failed:
            print('\nThe demo FAILED:')
            for name in self.failed:
                print(f'  - {name}')
        else:
            print('\nThe demo is good: every sector went through the device, '
                  'and the host agrees.')
            if 'removal_files' in self.report:
                print('It was pulled out while the volume was busy, software '
                      'carried on, and nothing was lost.')


if __name__ == '__main__':
    sys.exit(Demo().run())
