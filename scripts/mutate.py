#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break the device one line at a time; its qtests must catch each.

The broken file stands in for the link in build/qemu, so this repository is
never touched.  Prints a line for each fault and fails if one survives.

usage: mutate.py [--check] [WORD]...   (only the faults with one of the words in
their names; --check: build nothing, only see that each finds its lines)
"""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import mutants_cbit
import mutants_fabric
import mutants_fault
import mutants_flight
import mutants_iommu
import mutants_look
import mutants_memtime
import mutants_region
import mutants_wait
from mutants_check import check

TOP = Path(__file__).resolve().parent.parent
QEMU = TOP / 'build/qemu'
BUILD = QEMU / 'build'
TEST = 'cxl-type1-test'
TESTS = (TEST, 'cxl-type1-cache-test', mutants_fault.FAULT_TEST,
         mutants_fault.REMOVAL_TEST, *mutants_cbit.TESTS,
         *mutants_fabric.TESTS, *mutants_flight.TESTS, *mutants_iommu.TESTS,
         *mutants_look.TESTS, *mutants_memtime.TESTS, *mutants_wait.TESTS,
         *mutants_region.TESTS)
ENV = dict(os.environ, QTEST_QEMU_BINARY='./qemu-system-x86_64')
TIMEOUT = 300

REGS = 'hw/cxl/cxl_type1_regs.c'
PORT = 'hw/cxl/cxl_type1_port.c'
CRYPTO = 'hw/cxl/cxl_type1_crypto.c'
DOE = 'hw/pci/pcie_doe.c'
PCI = 'hw/pci/pci.c'

# What is broken, where, the line, and what it becomes
FAULTS = [
    ('Mem_Enable can be written', REGS,
     '.rw = CXL_DEV_CTRL_RWL,', '.rw = CXL_DEV_CTRL_RWL | 4,'),
    ('the lock does not freeze Control', REGS,
     'pci_set_word(wmask + A_CXL_DEV_CTRL, 0);', ''),
    ('the lock can be cleared', REGS,
     'pci_set_word(wmask + A_CXL_DEV_LOCK, 0);', ''),
    ('FLR resets the CXL registers', CRYPTO,
     '    if (flr) {\n        trace', '    if (flr && 0) {\n        trace'),
    ('a conventional reset does not', CRYPTO,
     'cxl_type1_regs_reset(&s->regs);', '(void)s;'),
    ('the write-back bit reads back', REGS,
     'bool initiate = pci_word_test_and_clear_mask(',
     'bool initiate = pci_word_test_and_set_mask('),
    ('write-back without Disable_Caching', REGS,
     '} else if (initiate) {', '} if (initiate) {'),
    ('Cache_Invalid is not taken back', REGS,
     '''        pci_word_test_and_clear_mask(status2,
                                     R_CXL_DEV_STATUS2_CACHE_INVALID_MASK);
        if''', '        if'),
    ('cache size off by one unit', REGS,
     'CXL_DEV_CAP2, CACHE_SIZE, n)', 'CXL_DEV_CAP2, CACHE_SIZE, n - 1)'),
    ('the port does not show CXL.cache', CRYPTO,
     '    cxl_type1_port_link_up(pci_dev);\n', ''),
    ('the port shows it for ever', CRYPTO,
     '    cxl_type1_port_link_down(pci_dev);\n', ''),
    ('cxl-cache is always on', PORT,
     '    if (state && state->cache) {\n        offer_cache(',
     '    if (!state || state) {\n        offer_cache('),
    ('snoop filter capacity in bytes', PORT,
     'state->sf_size / SNOOP_FILTER_UNIT);', 'state->sf_size);'),
    ('a masked secondary bus reset resets', PORT,
     '        is_sbr_masked(port)) {', '        !is_sbr_masked(port)) {'),
    ('UnmaskSBR outlives a reset', PORT,
     '        pci_word_test_and_clear_mask(port_ext_control(PCI_DEVICE(obj)),\n'
     '                                     PORT_EXT_CONTROL_UNMASK_SBR);', ''),
    ('UnmaskSBR matters to PCI Express', PORT,
     'below && object_dynamic_cast(OBJECT(below), INTERFACE_CXL_DEVICE) &&',
     'below &&'),
    ('a masked bit cannot be written', PORT,
     '    if (sbr) {', '    if (0) {'),
    ('an interrupt pin', CRYPTO,
     'pci_set_byte(pci_dev->config + PCI_INTERRUPT_PIN, 0);', ''),
    ('INTx of a function without pin', PCI, 'if (intx < 0) {', 'if (0) {'),
    ('DOE answers a second GO', DOE, 'if (doe_cap->status.ready) {',
     'if (0) {'),
    ('CDAT checksum', REGS, 'checksum = -sum;', 'checksum = sum;'),
    ('CDAT has any entry', REGS, ' || req->entry_handle) {', ') {'),
    ('CDAT for any table', REGS,
     'req->table_type != CXL_DOE_TAB_TYPE_CDAT || ', ''),
    ('RAS status can be set', REGS,
     'if (!cxl_type1_ras_clear(&regs->ras, cachemem, offset, value)) {',
     'if (1) {'),
    ('RAS of version 2', REGS,
     'VERSION, CXL_RAS_CAPABILITY_VERSION);', 'VERSION, 2);'),
    ('class of a memory device', CRYPTO,
     'PCI_CLASS_CRYPT_OTHER', 'PCI_CLASS_MEMORY_CXL'),
    ('the locator names BAR 0', REGS,
     'RBI_COMPONENT_REG | bar', 'RBI_COMPONENT_REG | (bar - bar)'),
    ('serial number without slot', CRYPTO,
     'slot->chassis << 16 | slot->slot', 'slot->chassis << 16'),
    ('AER needs no capability', CRYPTO, 'if (pci_dev->exp.aer_cap) {',
     'if (pci_dev) {'),
    ('lines are kept in spite of cache=off', mutants_region.REGION,
     'if (mode == CACHE_MEM_ON && cm->config.cache == ON_OFF_AUTO_OFF) {',
     'if (0) {',
     [('cxl-type1-cache-test', 'cache-off')]),
    ('a busy backend is taken', CRYPTO,
     'if (cryptodev_backend_is_used(backend)) {', 'if (0) {'),
]


def ninja():
    return subprocess.run(['ninja', '-C', BUILD, 'qemu-system-x86_64',
                           *(f'tests/qtest/{test}' for test in TESTS)],
                          capture_output=True, text=True)


def select(test, pattern):
    """Options of the test for the cases that match"""
    listed = subprocess.run([f'./tests/qtest/{test}', '-l'], cwd=BUILD,
                            env=ENV, capture_output=True, text=True)
    cases = [line for line in listed.stdout.splitlines()
             if line.startswith('/') and re.search(pattern, line)]
    if not cases:
        sys.exit(f'{test} has no case like {pattern}')
    return [option for case in cases for option in ('-p', case)]


def run_test(test, pattern):
    """Returns: by what the fault was noticed, or None"""
    options = select(test, pattern) if pattern else []
    try:
        run = subprocess.run([f'./tests/qtest/{test}', '--tap', *options],
                             cwd=BUILD, env=ENV, capture_output=True,
                             text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return 'time-out'
    out = run.stdout.splitlines()
    failed = [line.split('/', 3)[-1] for line in out
              if line.startswith('not ok')]
    if failed:
        return ', '.join(failed)
    if run.returncode:
        done = sum(line.startswith('ok') for line in out)
        last = [line for line in out + run.stderr.splitlines()
                if 'assert' in line or 'terminate' in line]
        return f'end after test {done}: {last[-1] if last else "?"}'
    return None


def verdict(tests):
    """Returns: whether the fault was noticed, and by what"""
    built = ninja()
    if built.returncode:
        errors = [line for line in built.stdout.splitlines()
                  if 'error:' in line]
        return False, f'does not build: {(errors or ["?"])[0]}'
    for test, pattern in tests:
        how = run_test(test, pattern)
        if how:
            return True, how
    return False, 'SURVIVED'


def attempt(path, old, new, tests):
    """Build and test with the fault in place"""
    text = path.read_text()
    if text.count(old) != 1:
        return False, f'the line is there {text.count(old)} times'
    target = os.readlink(path) if path.is_symlink() else None
    if target:
        path.unlink()
    try:
        path.write_text(text.replace(old, new))
        return verdict(tests)
    finally:
        if target:
            path.unlink()
            path.symlink_to(target)
            os.utime(path)
        else:
            path.write_text(text)


def run(words, faults):
    """Try those of which the name has one of the words, or with --check only
    look for their lines; true if one was not caught, or not found."""
    check_only = '--check' in words
    words = [word for word in words if word != '--check']
    wanted = [fault for fault in faults
              if not words or any(word in fault[0] for word in words)]
    if check_only:
        return bool(check(QEMU, wanted))
    # The broken file is put back then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('ended'))
    survived = 0
    for name, file, old, new, *tests in wanted:
        caught, how = attempt(QEMU / file, old, new,
                              tests[0] if tests else [(TEST, None)])
        survived += not caught
        print(f'{"caught" if caught else "NOT   "} {name}: {how}', flush=True)
    print(f'{len(wanted) - survived} passed, {survived} failed')
    if ninja().returncode:
        sys.exit('the tree does not build any more')
    return bool(survived)


def main(words):
    return run(words, [*FAULTS, *mutants_cbit.FAULTS, *mutants_fabric.FAULTS,
                       *mutants_fault.FAULTS, *mutants_flight.FAULTS,
                       *mutants_iommu.FAULTS, *mutants_look.FAULTS,
                       *mutants_memtime.FAULTS, *mutants_region.FAULTS,
                       *mutants_wait.QEMU_FAULTS])


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
