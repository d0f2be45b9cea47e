#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Lines under two encryption contexts in a Linux guest, with -device
# cxl-cbit-alias: pages go from a confidential guest to the normal world, for
# each reason that the kernel's MMU notifiers know, and what is flushed then is
# one policy's choice or another's (contrib/linux/cbit, tests/guest/cbit-load.c).
# What is corrupted, and what the flushes cost, is a table; with --tap, points
# of a test as well.
#
# usage: cbit.py [--tap] [--quick|--all]
#   --tap     test; otherwise show
#   --quick   not each policy with each way in which pages go
#   --all     with --tap: with "tag-coherence" as it is said, and the other two
#
# Environment: SEED, of all data (default 1): the same one gives the same table;
# COHERENCE, what the device's "tag-coherence" is: off (default), cpu, all;
# KERNEL, QEMU, QEMU_ARGS.  Leaves build/cbit/report.json.

import json
import os
import sys

import guest
import tap

MODULE = 'cxl_cbit_lab'
MIB = 1 << 20

# Three nodes: nothing but what is wanted there gets into the second one
NODES = 640, 8, 256
LAB = NODES[0] * MIB + MIB          # in the middle of that, 2 MiB are cached
LAB_SIZE = 2 * MIB
BIT = 39
MODES = 'off', 'cpu', 'all'         # of the device's "tag-coherence"
PAGES = 128
DISK_MIB = 16

# How pages go, which reason the kernel gives, and whether they are free then
WAYS = {
    'unmap': ('UNMAP', True, 'munmap()'),
    'dontneed': ('CLEAR', True, 'madvise(MADV_DONTNEED)'),
    'move-pages': ('CLEAR', True, 'move_pages(), to another node'),
    'exit': ('RELEASE', True, 'the process ends'),
    'migrate': ('MIGRATE', True, "a driver's migrate_vma_setup()"),
    'protect': ('PROTECTION', False, 'mprotect(PROT_READ)'),
    'idle': ('AGE', False, 'idle page tracking, or MADV_PAGEOUT'),
}
POLICIES = ('none', 'all-cpus', 'have-run', 'reasons', 'range', 'adaptive')
# Of the quick form
FEW_WAYS = ('unmap', 'protect')
# CPUs that are flushed each time
CPUS = {'all-cpus': 2, 'reasons': 2, 'have-run': 1, 'adaptive': 1, 'range': 0,
        'none': 0}
DISK_POLICIES = ('none', 'all-cpus', 'range')
# Do not flush where no page is given up
CHOOSY = ('none', 'reasons', 'adaptive')


def overwritten(vm):
    """By line: how often a write-back went over what was newer"""
    lines = {}
    info = vm.qmp('x-query-cxl-aliases')
    if info['pairs-lost']:
        raise guest.GuestError(f'{info["pairs-lost"]} pairs are not in the '
                               'list')
    for pair in info['pairs']:
        lines[pair['address']] = lines.get(pair['address'], 0) + \
            pair['overwritten']
    return lines


class Lab:
    """Experiments in a guest; @done: (way, policy, faults) to what came of it"""

    def __init__(self, vm, seed):
        self.vm = vm
        self.seed = seed
        self.done = {}

    def run(self, way, policy, *faults, seed=None):
        before = overwritten(self.vm)
        # For a page cache the kernel keeps some pages: they are not used again
        place = 1 + DISK_POLICIES.index(policy) if 'disk' in faults else 0
        first = (LAB >> 12) + place * PAGES
        words = ['cbit-load', way, policy, str(first), str(PAGES),
                 str(seed or self.seed), *faults]
        status, text = self.vm.try_sh(' '.join(words) + ' 2>&1')
        if status:
            raise guest.GuestError(f'{" ".join(words)}: {text}')
        result = json.loads(text)
        after = overwritten(self.vm)
        rose = {line for line, n in after.items() if n > before.get(line, 0)}
        result['unexplained'] = len(set(result['wrong_lines']) - rose)
        result['overwritten'] = len(rose)
        return result

    def cell(self, way, policy, *faults):
        key = (way, policy, *faults)
        if key not in self.done:
            self.done[key] = self.run(*key)
        return self.done[key]


# -- what has to be so

class Checks:
    """Each returns what is wrong, or nothing"""

    def __init__(self, lab, coherence):
        self.lab = lab
        self.incoherent = coherence == 'off'

    def intact(self, r):
        return '' if not (r['guest_early'] or r['guest_late'] or
                          r['bystander']) else \
            f'words of guests are wrong: {r["guest_early"]} before, ' \
            f'{r["guest_late"]} after, {r["bystander"]} of the bystander\'s'

    def handed_over(self, r, way):
        reason, leaves, _ = WAYS[way]
        if not r['events'][reason]:
            return f'the kernel does not say {reason}: {r["events"]}'
        want = r['gone'] if leaves else 0
        return '' if r['got'] == want else \
            f'{r["got"]} pages instead of {want} came to the host'

    def corrupted(self, r, expected):
        if bool(r['wrong_bytes']) != expected:
            return f'{r["wrong_bytes"]} bytes are wrong'
        return '' if not r['unexplained'] else \
            f'{r["unexplained"]} of {len(r["wrong_lines"])} wrong lines are ' \
            'not in the list of pairs, as overwritten'

    def cost(self, r, way, policy):
        answers = WAYS[way][0] != 'AGE' and policy != 'none' and \
            (WAYS[way][1] or policy not in CHOOSY)
        if bool(r['answered']) != answers:
            return f'{r["answered"]} flushes'
        if r['cpus'] != CPUS[policy] * r['answered']:
            return f'{r["cpus"]} CPUs in {r["answered"]} flushes'
        # A process that ends has all of them, those that stay otherwise, too
        pages = PAGES // 2 if way == 'exit' else r['gone']
        if policy == 'range' and answers and r['pages'] != pages:
            return f'{r["pages"]} pages were flushed, of {pages}'
        return ''

    def cell(self, way, policy):
        r = self.lab.cell(way, policy)
        wrong = policy == 'none' and WAYS[way][1] and self.incoherent
        return self.intact(r) or self.handed_over(r, way) or \
            self.corrupted(r, wrong) or self.cost(r, way, policy)

    def disk(self, policy, expected):
        r = self.lab.cell('unmap', policy, 'disk')
        # The kernel may take some for itself meanwhile
        few = '' if r['got'] > r['gone'] // 2 else \
            f'{r["got"]} of {r["gone"]} pages became page cache'
        return self.intact(r) or few or self.corrupted(r, expected)

    def cheaper(self, less, more, way='unmap'):
        a, b = (self.lab.cell(way, policy)['flushed']
                for policy in (less, more))
        return '' if a < b and (a or less in CHOOSY) else \
            f'{less} flushed {a} lines, {more} {b}'

    def no_waste(self):
        """Each line of a range is one that would have done harm"""
        r = self.lab.cell('unmap', 'range')
        return '' if r['flushed'] and not r['wasted'] and \
            r['needed'] == r['flushed'] else \
            f'{r["needed"]} of {r["flushed"]} lines were needed'

    def broken(self, policy):
        r = self.lab.run('unmap', policy, 'broken-flush')
        return self.corrupted(r, True)

    def again(self):
        first = self.lab.cell('unmap', 'none')
        second = self.lab.run('unmap', 'none')
        if first != second:
            return 'another result: ' + ', '.join(
                f'{key} {first[key]} and {second[key]}'
                for key in first if first[key] != second[key])[:500]
        other = self.lab.run('unmap', 'none', seed=int(self.lab.seed) + 1)
        return '' if other['wrong_lines'] != first['wrong_lines'] else \
            'the same result with another seed'

    def moved(self, policy, faults, corrupted, leaked):
        r = self.lab.cell('moved', policy, *faults)
        if r['leaked'] != leaked:
            return f'{r["leaked"]} sets of CPUs are not freed'
        return self.intact(r) or self.corrupted(r, corrupted)


def test_disk(c, out, coherence):
    for policy in DISK_POLICIES:
        hurt = policy == 'none' and coherence != 'all'
        out.guarded([(f'{policy}, pages become page cache, by DMA: ' +
                      ('wrong bytes, as CVE-2022-0171' if hurt else
                       'nobody is hurt'), lambda: c.disk(policy, hurt))])


def test(lab, out, coherence, quick):
    c = Checks(lab, coherence)
    for policy in POLICIES:
        for way in WAYS:
            if quick and policy != 'none' and way not in FEW_WAYS and \
                    policy != 'range':
                continue
            what = 'nobody is hurt'
            if policy == 'none' and WAYS[way][1] and c.incoherent:
                what = 'the host finds wrong bytes, each explained'
            out.guarded([(f'{policy}, {WAYS[way][0]} by {WAYS[way][2]}: {what}',
                          lambda: c.cell(way, policy))])
    out.guarded([
        ('have-run flushes fewer lines than all-cpus',
         lambda: c.cheaper('have-run', 'all-cpus')),
        ('range flushes fewer lines than have-run',
         lambda: c.cheaper('range', 'have-run')),
        ('range flushes none that need not be', c.no_waste),
        ('reasons flushes nothing where no page is given up',
         lambda: c.cheaper('reasons', 'all-cpus', 'protect')),
        ('the same seed gives the same bytes, another one others', c.again)])
    if c.incoherent:
        test_faults(c, out)
    test_disk(c, out, coherence)


def test_faults(c, out):
    for policy in POLICIES[1:]:
        out.guarded([(f'control: {policy}, flushed elsewhere, is noticed',
                      lambda: c.broken(policy))])
    fault_1, fault_2 = ['move-no-flush'], ['move-keep-mask']
    out.guarded([
        ('93de2a6a4b91, before: a guest that moved leaves lines that nobody '
         'flushes', lambda: c.moved('have-run', fault_1, True, 0)),
        ('93de2a6a4b91, after: they are flushed when it moves',
         lambda: c.moved('have-run', [], False, 0)),
        ('93de2a6a4b91: who flushes all CPUs did not meet it',
         lambda: c.moved('all-cpus', fault_1, False, 0)),
        ('12c1f6e03f94, before: the set of CPUs of who moved away leaks',
         lambda: c.moved('have-run', fault_2, False, 1)),
        ('12c1f6e03f94, after: it is freed',
         lambda: c.moved('have-run', [], False, 0))])


# -- what is shown

def table(lab):
    """Bytes that are wrong, and lines that were flushed, by way and policy"""
    text = ['pages go by'.ljust(24) +
            ''.join(policy.rjust(15) for policy in POLICIES)]
    for way, (reason, _, _) in WAYS.items():
        row = f'{way} ({reason})'.ljust(24)
        for policy in POLICIES:
            r = lab.done.get((way, policy))
            row += ('-' if r is None else
                    f'{r["wrong_bytes"]} / {r["flushed"]}').rjust(15)
        text.append(row)
    return '\n'.join(text)


def report(lab, coherence):
    folder = os.path.join(guest.BUILD, 'cbit')
    os.makedirs(folder, exist_ok=True)
    cells = {' '.join(key): {name: value for name, value in r.items()
                             if name != 'wrong_lines'}
             for key, r in lab.done.items()}
    path = os.path.join(folder, 'report.json')
    with open(path, 'w') as file:
        json.dump({'seed': lab.seed, 'tag-coherence': coherence,
                   'cells': cells}, file, indent=2)
        file.write('\n')
    return path


def show(lab, coherence):
    say = guest.Progress()
    say(f'tag-coherence={coherence}: {PAGES // 4} pages of a confidential '
        'guest go to the host')
    for policy in POLICIES:
        for way in WAYS:
            lab.cell(way, policy)
        say(f'{policy}: done')
    print('\nBytes of the host\'s that are wrong / lines that were flushed\n')
    print(table(lab), '\n')
    for faults, policy, what in (
            (['move-no-flush'], 'have-run', 'before 93de2a6a4b91'),
            ([], 'have-run', 'after it'),
            (['move-keep-mask'], 'have-run', 'before 12c1f6e03f94')):
        r = lab.cell('moved', policy, *faults)
        print(f'A guest that has moved, {policy}, {what}: {r["wrong_bytes"]} '
              f'bytes wrong, {r["leaked"]} sets of CPUs leaked')
    for policy in DISK_POLICIES:
        r = lab.cell('unmap', policy, 'disk')
        print(f'They become page cache of a disk, by DMA, {policy}: '
              f'{r["wrong_bytes"]} bytes wrong')


# -- the guest

def machine(coherence, disk):
    args = guest.disk_args(disk)
    for node, mib in enumerate(NODES):
        cpus = ',cpus=0-1' if node == 0 else ''
        args += ['-object', f'memory-backend-memfd,id=ram{node},size={mib}M,'
                            'share=on',
                 '-numa', f'node,nodeid={node},memdev=ram{node}{cpus}']
    # What the first one has no room for goes to the third
    for a, b, far in ((0, 1, 40), (0, 2, 20), (1, 2, 40)):
        args += ['-numa', f'dist,src={a},dst={b},val={far}']
    return [*args, '-device',
            f'cxl-cbit-alias,bus=pcie.0,bit={BIT},tag-coherence={coherence},'
            f'watch={LAB:#x}-{LAB + LAB_SIZE - 1:#x}']


def with_guest(work, coherence):
    folder = os.path.join(guest.BUILD, 'guest-check')
    os.makedirs(folder, exist_ok=True)
    log = os.path.join(folder, f'cbit-{coherence}.log')
    disk = os.path.join(folder, f'cbit-{coherence}.img')
    with open(disk, 'wb') as file:
        file.truncate(DISK_MIB * MIB)
    with guest.Guest(machine(coherence, disk), log,
                     'nokaslr transparent_hugepage=never',
                     memory=f'{sum(NODES)}M', own_ram=True,
                     accel='tcg,thread=single') as vm:
        vm.sh(f'modprobe {MODULE} base={LAB:#x} size={LAB_SIZE:#x}')
        lab = Lab(vm, os.environ.get('SEED') or '1')
        work(lab, coherence)
        vm.sh(f'rmmod {MODULE}')
        path = report(lab, coherence)
        return '\n'.join(guest.complaints(vm.read_log())), path


def test_guest(out, coherence, quick):
    def work(lab, coherence):
        test(lab, out, coherence, quick)
        for line in table(lab).splitlines():
            print(f'# {line}')

    print(f'# tag-coherence={coherence}')
    try:
        complaints, _ = with_guest(work, coherence)
        out.point(not complaints, 'the kernel does not complain', complaints)
    except guest.GuestError as err:
        out.point(False, 'the guest runs', str(err))


def main(arguments):
    if set(arguments) - {'--tap', '--quick', '--all'}:
        print('usage: cbit.py [--tap] [--quick|--all]', file=sys.stderr)
        return 2
    coherence = os.environ.get('COHERENCE') or 'off'
    if '--tap' not in arguments:
        try:
            complaints, path = with_guest(show, coherence)
        except guest.GuestError as err:
            sys.exit(f'error: {err}')
        print(f'\nAll of it: {path}')
        return f'error: {complaints}' if complaints else 0
    out = tap.Tap()
    modes = [coherence]
    if '--all' in arguments:
        modes += [mode for mode in MODES if mode != coherence]
    for mode in modes:
        test_guest(out, mode, '--quick' in arguments)
    print(f'1..{out.count}')
    return 1 if out.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
