#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break the guest's driver, and the laboratory's, one line at a time; their
tests must catch each.

Works on copies, in build/driver-mutants.  Prints a line for each fault, and
fails if one survives.

usage: mutate-driver.py [--check] [WORD]...   (only the faults with one of the
words in their names; --check: only see that each finds its lines)
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
GUEST = TOP / 'build/guest'
TREE = TOP / 'build/driver-mutants'
DRIVER = 'contrib/linux'
TIMEOUT = 900

# What the copies build anew; the rest of build/guest they share
OWN = re.compile(r'module-|testmodule-|cbit-|initramfs|image|cxl_type1|vmlinuz')

# What is broken, where, the line, what it becomes, and the tests that are to
# notice: a group of check.sh, and for "recovery" which of them, or "cbit"; the
# kernel, if not any
FAULTS = [
    ('requests are redone before the reset', 'device.c',
     '\tct1_reset_silence(dev);\n\tif (!dev->ctrl.vq)',
     '\tif (!dev->ctrl.vq)', 'recovery', 'was given back'),
    ('what is done is left in the ring', 'queue.c',
     '\ttasklet_kill(&q->tasklet);\n\tct1_queue_drain(q);',
     '\ttasklet_kill(&q->tasklet);', 'recovery', 'and removed: likewise'),
    ('the rings of an absent device stay broken', 'device.c',
     '\t\t__virtio_unbreak_device(dev->vdev);', '\t\tcond_resched();',
     'recovery', 'and removed: likewise'),
    ('an absent device has a status', 'reset.c',
     'return status == ALL_ONES ? 0 : status;', 'return status ?: 1;',
     'recovery', 'surprise removal, and back'),
    ('a hang is seen to while others reset the device', 'device.c',
     '\tWRITE_ONCE(dev->frozen, true);\n', '', 'recovery',
     'while it hangs', '7.3'),
    ('whoever resets the device may meet who unbinds it', 'device.c',
     """\tdevice_lock(&vdev->dev);
\tif (vdev->dev.driver == &ct1_driver.driver)
\t\treturn vdev->priv;
\tdevice_unlock(&vdev->dev);
\treturn NULL;""",
     '\tdevice_trylock(&vdev->dev);\n\treturn vdev->priv;',
     'recovery', 'unbound while its function', '7.3'),
    ('a ring that may be gone is notified', 'queue.c',
     '\tvirtqueue_notify(vq);', """\tvirtqueue_notify(
\t\t((struct ct1_device *)vq->vdev->priv)->queues[vq->index].vq);""",
     'recovery', 'before the device is notified'),
    ('rests do not grow', 'device.c',
     '\tdev->rests++;', '', 'recovery', 'longer and longer'),
    ('BARs are not given back', 'reset.c',
     '\tpci_restore_state(dev->pdev);\n', '', 'recovery',
     'nobody cleans up'),
    ('lost requests are forgotten', 'request.c',
     '\tct1_inc(CT1_LOST);\n\tct1_request_elsewhere(r);',
     '\tct1_inc(CT1_LOST);', 'recovery', 'taken over, and back'),
    ('nothing is ever overdue', 'queue.c',
     '\treturn overdue;', '\treturn overdue && false;', 'recovery',
     'hang: taken over'),
    ('interrupts are relied on', 'device.c',
     '''\tfor (i = 0; i < dev->num_queues; i++)
\t\tct1_queue_drain(&dev->queues[i]);
\tif (!busy(dev))''', '\tif (!busy(dev))', 'recovery',
     'is not done again'),
    ('a key that is not answered is not noticed', 'control.c',
     '\tct1_device_event(dev, CT1_EVENT_HANG);\n\treturn -ETIMEDOUT;',
     '\treturn -ETIMEDOUT;', 'recovery', 'a key after a reset'),
    ('not ready is not heard', 'device.c',
     '\tct1_device_event(vdev->priv, CT1_EVENT_CONFIG);', '',
     'recovery', 'not ready, and ready'),
    ('the stock driver is asked first', 'match.c',
     '\t\tstock_goes_last(virtio_bus());', '', 'recovery', 'orderly removal'),
    ('the stock driver keeps the device', 'match.c',
     '\t\tbus_for_each_dev(virtio_bus(), NULL, NULL, take_over);', '',
     'module', ''),
    ('nobody gets the device afterwards', 'match.c',
     '\tbus_for_each_dev(virtio_bus(), NULL, NULL, give_away);', '',
     'module', ''),
    ('a device that comes gets no keys', 'session.c',
     '\t\tif (tfm->keylen && !find(tfm, dev))', '\t\tif (0)',
     'recovery', 'orderly removal'),
    ('errors are taken for results', 'request.c',
     '\tif (unlikely(r->status != VIRTIO_CRYPTO_OK)) {', '\tif (0) {',
     'module', ''),
    ('each error is said', 'device.c',
     '\tif (old >= CT1_ERRORS && now >= CT1_ERRORS)', '\tif (0)', 'module', ''),
    ('cbc: no IV for what follows', 'modes.c',
     '\t.after\t= cbc_after,', '\t.after\t= nothing,', 'module', ''),
    ('requests that wait are forgotten', 'queue.c',
     '\t\tfeed(q, &refused);\n', '', 'module', ''),
    ('refused requests are lost', 'request.c',
     '\treturn err == -ENOSPC ? err : ct1_software_now(req);',
     '\treturn err;', 'module', ''),
    ('results are not traced', 'queue.c',
     '\ttrace_ct1_return(q->dev, r);\n', '', 'module', ''),
    ('a counter has another name', 'stats.c',
     'COUNT_PARAM(lost, CT1_LOST);', 'COUNT_PARAM(lost, CT1_UNFIT);',
     'module', ''),
    ('transforms know nothing of software', 'software.c',
     '\tatomic64_inc(&ct1_tfm_of(r)->in_software);\n', '', 'module', ''),
    ('laboratory: all CPUs are those that have run', 'cbit/flush.c',
     '= { CHANGES, 0, true },', '= { CHANGES, 0, false },', 'cbit', ''),
    ('laboratory: NUMA balancing gives pages up', 'cbit/flush.c',
     '[CBIT_LAB_REASONS]\t= { GIVES_UP,', '[CBIT_LAB_REASONS]\t= { CHANGES,',
     'cbit', ''),
    ('laboratory: any number of pages is few', 'cbit/flush.c',
     '#define FEW_PAGES\t16', '#define FEW_PAGES\tUINT_MAX', 'cbit', ''),
    ("laboratory: a page is flushed of another's lines", 'cbit/flush.c',
     'lab_device_flush_page(g->asid, pfn);',
     'lab_device_flush_page(g->asid + 1, pfn);', 'cbit', ''),
    ('laboratory: CPUs do not flush', 'cbit/flush.c',
     'asm volatile("wbinvd"', 'asm volatile("nop"', 'cbit', ''),
    ('laboratory: nobody notes where a guest runs', 'cbit/guest.c',
     '\t\t\tcpumask_set_cpu(smp_processor_id(), g->have_run);\n', '', 'cbit',
     ''),
    ('laboratory: the end of a process goes unseen', 'cbit/notify.c',
     '\t.release = release,\n', '', 'cbit', ''),
    ('laboratory: reasons are taken for others', 'cbit/notify.c',
     '\tcase MMU_NOTIFY_MIGRATE:\n\t\treturn CBIT_LAB_MIGRATE;',
     '\tcase MMU_NOTIFY_MIGRATE:\n\t\treturn CBIT_LAB_PROTECTION;', 'cbit',
     ''),
    ('laboratory: who moves leaves lines', 'cbit/guest.c',
     '\t\tlab_flush_cpus(from->have_run);', '\t\tcond_resched();', 'cbit', ''),
    ('laboratory: who has moved keeps his mask', 'cbit/guest.c',
     'bool leaks = !g->asid && (g->faults & CBIT_LAB_MOVE_KEEP_MASK);',
     'bool leaks = !g->asid;', 'cbit', ''),
]


def prepare():
    """A copy of what the tests are made from"""
    shutil.rmtree(TREE, ignore_errors=True)
    for folder in ('scripts', 'include', 'tests/guest'):
        shutil.copytree(TOP / folder, TREE / folder, symlinks=True)
    guest = TREE / 'build/guest'
    guest.mkdir(parents=True)
    for entry in GUEST.iterdir():
        if not OWN.match(entry.name):
            (guest / entry.name).symlink_to(entry)
    (TREE / 'build/bin').symlink_to(TOP / 'build/bin')


def run(fault):
    """Whether the tests notice, and the first one that does"""
    _, file, old, new, group, only, *kernel = fault
    shutil.rmtree(TREE / DRIVER, ignore_errors=True)
    shutil.copytree(TOP / DRIVER, TREE / DRIVER)
    path = TREE / DRIVER / file
    path.write_text(path.read_text().replace(old, new))
    # A broken driver may leave a function without a caller
    for build in (TREE / DRIVER).glob('**/Kbuild'):
        build.write_text(build.read_text() + 'ccflags-y += -Wno-unused\n')
    command = ['cbit.sh', '--tap', '--quick'] if group == 'cbit' else \
        ['check.sh', group]
    with tempfile.TemporaryFile('w+') as errors:
        check = subprocess.Popen(
            [TREE / 'scripts/guest' / command[0], *command[1:]],
            env={**os.environ, 'ONLY': only, **dict(zip(('KERNEL',), kernel))},
            stdout=subprocess.PIPE, stderr=errors, text=True,
            start_new_session=True)
        alarm = threading.Timer(TIMEOUT, end, (check,))
        alarm.start()
        try:
            return first_failure(check, fault[0], alarm, errors)
        finally:
            alarm.cancel()
            end(check)


def first_failure(check, name, alarm, errors):
    """One that fails is enough"""
    passed = False
    for line in check.stdout:
        failed = re.match(r'not ok \d+ - (.*)$', line)
        if failed:
            return True, failed[1]
        passed = passed or line.startswith('ok ')
    if alarm.finished.is_set():
        return True, 'it takes too long'
    if not passed:
        errors.seek(0)
        sys.exit(f'{name}: no test ran:\n{errors.read()}')
    return False, ''


def end(check):
    """With its guest"""
    try:
        os.killpg(check.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    check.wait()


def main(words):
    check = '--check' in words
    words = [word for word in words if word != '--check']
    for fault in FAULTS:
        if (TOP / DRIVER / fault[1]).read_text().count(fault[2]) != 1:
            sys.exit(f'{fault[0]}: not exactly one place in {fault[1]}')
    wanted = [fault for fault in FAULTS
              if not words or any(word in fault[0] for word in words)]
    if check:
        return 0
    prepare()
    survivors = 0
    for fault in wanted:
        caught, by = run(fault)
        survivors += not caught
        print(f'{"caught  " if caught else "SURVIVES"} {fault[0]}: {by}',
              flush=True)
    print(f'{len(wanted)} faults, {survivors} survive')
    return bool(survivors)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
