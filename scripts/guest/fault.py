#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The fault campaign, as TAP: a Linux guest keeps a file system on LUKS, as
# luksFormat makes it without any options, on the accelerator; a load that
# knows what every block must be works on it, and faults of every kind hit the
# device at every point of a request.  No error may reach the file system, nothing may
# hang, every block must be right, and at the end the host decrypts the image
# without our code and finds the same.
#
# Then the same with two accelerators, either of which is hit, and of which one
# does the work of the other; then the campaign is run where it has to fail.
#
# usage: fault.py [one|two|controls]...   (default: all)
#
# Environment: FAULTS, their number (default 64; half of them for each number
# of accelerators, which is more than each kind and each point once);
# FAULT_SEED, to have the same ones again; FAULT_KINDS, some of them
# ("hang,removal"); LATENCY (ns) and JITTER (a seed) of the links; FAULT_DIR,
# QEMU, QEMU_ARGS.
#
# Results are left in build/fault; after a failure, the image as well.

import functools
import os
import random
import sys
import time

import faultkinds
import guest
import hostcheck
import volume
from campaign import Campaign, Failed, schedule
from faultcontrols import controls
from faultguest import boot
from faultload import age, verify
from faultreport import (end_points, kind_points, print_table, print_totals,
                         say, write_report)
from tap import run_parts

LINE = 64
# What the home counts for a GO-Err, which it is made to answer
GO_ERR = 'decode'
DEFAULT_FAULTS = 64


def backend_requests(vm):
    """What each back end did, which outlives its device"""
    counts = {}
    for entry in vm.qmp('query-stats', target='cryptodev'):
        name = os.path.basename(entry['qom-path'])
        counts[name] = sum(stat['value'] for stat in entry['stats'] if
                           stat['name'] in ('sym-encrypt-ops',
                                            'sym-decrypt-ops'))
    return counts


class Run:
    """Boot, steps, end, and what the host says"""

    def __init__(self, folder, seed, number, kinds, devices):
        self.folder = folder
        self.devices = devices
        self.seed = seed
        self.rng = random.Random(seed)
        self.steps = schedule(self.rng, number, kinds)
        self.done = 0
        self.failure = ''       # of the guest's part
        self.host_failure = 'not reached'
        self.host_is_blind = True
        self.campaign = None
        self.totals = {}
        self.disk = None

    def guest_part(self):
        guest_, self.disk = boot(self.folder, f'campaign{self.devices}',
                                 self.devices)
        with guest_ as vm:
            self.campaign = Campaign(vm, self.rng, say, devices=self.devices)
            try:
                self.campaign.prepare(self.seed)
                for step in self.steps:
                    self.campaign.do(step)
                    self.done += 1
                self.collect(vm)
                self.totals['load'] = self.campaign.finish(self.table())
                self.campaign.kernel_content()
            except (Failed, guest.GuestError) as err:
                self.failure = f'{err}\n{self.campaign.evidence()}'

    def collect(self, vm):
        self.totals['module'] = vm.module_counters()
        self.totals['lines'] = faultkinds.line_totals(vm)
        self.totals['backends'] = backend_requests(vm)
        self.totals['broken_rules'] = {
            entry['fault']: entry['count'] for entry in
            vm.qmp('x-query-cxl-cache')['faults']
            if entry['count'] and entry['fault'] != GO_ERR}

    def table(self):
        return os.path.join(self.folder, f'campaign{self.devices}.table')

    def host_part(self):
        plain = os.path.join(self.folder, 'plain.img')
        try:
            hostcheck.decrypt(self.disk, plain, volume.PASSPHRASE)
            hostcheck.filesystem_clean(plain)
            files = self.campaign.load.files
            self.host_failure = verify(plain, self.table(), files)
            self.host_is_blind = not verify(plain, age(self.table()), files)
        except hostcheck.HostCheckError as err:
            self.host_failure = str(err)

    def run(self):
        try:
            self.guest_part()
        except guest.GuestError as err:
            self.failure = self.failure or str(err)
        if not self.failure:
            self.host_part()
        if not self.failure and not self.host_failure:      # else: evidence
            for name in (self.disk, os.path.join(self.folder, 'plain.img')):
                os.remove(name)

    def lost_bytes(self):
        lines = self.totals['lines']
        return (lines['poisoned'] + lines['lost']) * LINE


def campaign(tap, folder, devices):
    seed = int(os.environ.get('FAULT_SEED') or time.time())
    number = int(os.environ.get('FAULTS') or DEFAULT_FAULTS)
    say(f'FAULT_SEED={seed} FAULTS={number}, accelerators: {devices}')
    names = os.environ.get('FAULT_KINDS')
    kinds = [faultkinds.kind(name) for name in names.split(',')] if names \
        else faultkinds.KINDS
    begun = time.monotonic()
    # The half of them; the seed makes each half another one
    run = Run(folder, seed * 2 + devices, (number + devices - 1) // 2, kinds,
              devices)
    run.run()
    kind_points(tap, run)
    end_points(tap, run)
    write_report(run, time.monotonic() - begun)
    if run.failure or run.host_failure:
        say(f'FAULT_SEED={seed} FAULTS={number} fault.sh {PART_OF[devices]} '
            f'does it again; the image is {run.disk}')
        return
    print_table(run)
    print_totals(run)


PART_OF = {1: 'one', 2: 'two'}
PARTS = {**{name: functools.partial(campaign, devices=devices)
            for devices, name in PART_OF.items()}, 'controls': controls}


def main(wanted):
    folder = os.environ.get('FAULT_DIR') or os.path.join(guest.BUILD, 'fault')
    return run_parts(PARTS, folder, wanted)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
