# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a run of the fault campaign has to say: TAP points, the table of faults
# by kind and point, and build/fault/report1.json, or report2.json with two
# accelerators.

import json
import os

import faultkinds
from campaign import IN_USE


def say(text):
    print(f'# {text}', flush=True)


def of_devices(run):
    return f' of one of {run.devices}' if run.devices > 1 else ''


def kind_points(tap, run):
    """One point for each kind; the one that failed says all that is known."""
    failed = run.steps[run.done].kind if run.done < len(run.steps) else None
    for kind in faultkinds.KINDS:
        wanted = sum(step.kind is kind for step in run.steps)
        if not wanted:
            continue
        done = [step for step in run.steps[:run.done] if step.kind is kind]
        points = sorted({step.point for step in done})
        tap.point(len(done) == wanted, f'{kind.name}{of_devices(run)}: '
                  f'{len(done)} of {wanted} survived, at '
                  f'{", ".join(points) or "no point"}',
                  run.failure if kind is failed else '')


def end_points(tap, run):
    """What the whole campaign is about"""
    over = not run.failure
    told = run.done < len(run.steps)        # by the point of a kind
    tap.point(over, 'the load ended: every checksum right, no I/O error, the '
              'kernel content',
              run.failure.split('\n')[0] if told else run.failure)
    tap.point(over and not run.host_failure, 'the host decrypts the image and '
              'finds every block right', run.host_failure)
    if not over:
        return
    tap.point(not run.host_is_blind, 'one block of another generation would '
              'have been found')
    module, lines = run.totals['module'], run.totals['lines']
    tap.point(not run.totals['broken_rules'],
              'no rule of the protocol was broken',
              run.totals['broken_rules'])
    tap.point(module['device_requests'] > IN_USE * len(run.steps) and
              (module['software_requests'] > 0 or run.devices > 1),
              'the devices did the work'
              if run.devices > 1 else
              'both the device and software did the work', module)
    removals = sum(number for (kind, _), number in
                   run.campaign.struck.items()
                   if kind in ('removal', 'link-down'))
    tap.point(lines['rescued'] > 0 or not removals,
              'lines were rescued, or the removals prove nothing', lines)
    tap.point(run.lost_bytes() == 0, 'no byte was lost', lines)
    if run.devices > 1:
        several_points(tap, run)


def several_points(tap, run):
    """Did each take its part, of the work and of the faults?"""
    least = IN_USE * len(run.steps)
    backends, struck = run.totals['backends'], run.campaign.struck_device
    tap.point(len(backends) == run.devices and
              all(count > least for count in backends.values()),
              'the work was spread over all devices', backends)
    tap.point(len(struck) == run.devices or len(run.steps) < 2 * run.devices,
              'each of the devices was struck', dict(struck))
    away = sum(step.kind.lasting for step in run.steps)
    tap.point(run.campaign.instead == away, 'when one failed the other did '
              f'all, and software nothing: {len(run.steps)} faults, '
              f'{run.campaign.instead} of them lasting',
              f'it was away {away} times')


def print_table(run):
    points = (faultkinds.NOW, *faultkinds.POINTS)
    struck, longest = run.campaign.struck, run.campaign.longest
    say(f'{"faults survived":16}' +
        ''.join(f'{point:>13}' for point in points) + f'{"sum":>7}' +
        f'{"longest":>11}')
    for kind in faultkinds.KINDS:
        cells = [(kind.name, point) for point in points]
        total = sum(struck[cell] for cell in cells)
        if total:
            say(f'{kind.name:16}' + ''.join(
                f'{struck[cell] if cell[1] in kind.points else "-":>13}'
                for cell in cells) + f'{total:>7}' +
                f'{max(longest[cell] for cell in cells):>8} ms')
    say(f'{"sum":16}{"":65}{sum(struck.values()):>7}')


def print_totals(run):
    module, lines = run.totals['module'], run.totals['lines']
    load = run.totals['load']
    for name, value in (
            ('operations of the load', f'{load["reads"]} reads, '
             f'{load["writes"]} writes, {load["syncs"]} fsyncs, '
             f'{load["bytes"] >> 20} MiB'),
            ('requests by device', module['device_requests']),
            ('requests by software', module['software_requests']),
            ('requests by back end', run.totals['backends']),
            ('lines rescued', lines['rescued']),
            ('bytes lost', run.lost_bytes())):
        say(f'{name:26}{value}')


def write_report(run, seconds):
    struck = run.campaign.struck if run.campaign else {}
    report = {'seed': run.seed, 'devices': run.devices,
              'faults': sum(struck.values()),
              'seconds': round(seconds, 1),
              'ok': not run.failure and not run.host_failure,
              'failure': run.failure.split('\n')[0],
              'host_check': run.host_failure or 'ok'}
    for (kind, point), number in sorted(struck.items()):
        report[f'{kind}: {point}'] = number
    if 'lines' in run.totals:
        module = run.totals['module']
        report.update(device_requests=module['device_requests'],
                      software_requests=module['software_requests'],
                      backends=run.totals['backends'],
                      struck=dict(run.campaign.struck_device),
                      other_instead=run.campaign.instead,
                      module=module, load=run.totals.get('load'),
                      lines_rescued=run.totals['lines']['rescued'],
                      bytes_lost=run.lost_bytes())
    name = f'report{run.devices}.json'
    with open(os.path.join(run.folder, name), 'w') as file:
        json.dump(report, file, indent=2)
        file.write('\n')
