# SPDX-License-Identifier: GPL-2.0-or-later
#
# Where the fault campaign must fail, and for which reason

import os
import random

import faultkinds
import guest
from campaign import Campaign, Failed, schedule
from faultguest import boot
from faultreport import say

# So many faults must be enough for the campaign to fail where it has to
CONTROL_STEPS = 12
SMALL = {'threads': 3, 'mib': 2}


def lose_lines(vm):
    """Modified lines of a device that goes away are dropped."""
    vm.qmp('qom-set', path='/machine/cxl-cache', property='x-no-rescue',
           value=True)


def poison_lines(vm):
    """... or poisoned, as hardware does it: by a device that is so."""
    device = faultkinds.Accelerator(vm, unplug='poison')
    vm.qmp('device_del', id=device.id)
    device.wait_gone()
    device.plug()


CONTROLS = (
    ('without rescue a removal is seen as wrong data', 'wrong data',
     'removal', {'setup': lose_lines, 'lines': 'lost'}),
    ('unplug=poison is seen as wrong data, and counted', 'wrong data',
     'removal', {'setup': poison_lines, 'lines': 'poisoned',
                 'properties': {'unplug': 'poison'}}),
    ('without fallback a failed request is seen as an I/O error', 'I/O error',
     'request-error', {'parameters': {'fallback': 0}}),
    ('software beside a second device is seen', 'not instead',
     'request-error', {'parameters': {'fail_alloc_every': 50}, 'devices': 2}),
)


def control(vm, sort, kind, setup=None, lines=None, parameters=None,
            properties=None, devices=1):
    """Returns what is wrong with how the campaign fails, or nothing."""
    rng = random.Random(1)
    if setup:
        setup(vm)
    run = Campaign(vm, rng, say, parameters, devices, **(properties or {}))
    try:
        run.prepare(1, **SMALL)
        for step in schedule(rng, CONTROL_STEPS, [faultkinds.kind(kind)]):
            run.do(step)
    except Failed as err:
        say(str(err))
        if err.sort != sort:
            return f'{err}\n{run.evidence()}'
        if lines and not faultkinds.line_totals(vm)[lines]:
            return f'{faultkinds.line_totals(vm)}, {lines} is none'
        return ''
    return f'{CONTROL_STEPS} faults, and nothing was seen'


def controls(tap, folder):
    for number, (name, sort, kind, options) in enumerate(CONTROLS):
        disk = None
        try:
            guest_, disk = boot(folder, f'control{number}',
                                options.get('devices', 1))
            with guest_ as vm:
                why = control(vm, sort, kind, **options)
        except guest.GuestError as err:
            why = str(err)
        if tap.point(not why, name, why):
            os.remove(disk)
