/*
 * What the tests of devices' accesses on the Arm virt machine share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ARM_MEC_DMA_H
#define ARM_MEC_DMA_H

#include "libqos/pci.h"
#include "cxl-cache-testdev.h"
#include "arm-mec-lib.h"

#define RAM         0x40000000ull
#define RIG         MACHINE QCXL_VIRT ",memory-backend=ram"
#define DEVICES     CPU "-object memory-backend-memfd,id=ram,share=on," \
                    "size=128M -device edu,id=edu0,bus=pcie.0,addr=5," \
                    "dma_mask=0xffffffff " QCXL_PXB QCXL_RP \
                    ",cxl-cache=on -device cxl-cache-testdev,id=cxl0,bus=rp0 "

typedef struct Rig {
    QTestState *qts;
    Dev cxl;
    QPCIBus bus;
    QPCIDevice *edu;
    QPCIBar bar;
    uint8_t *ram;
} Rig;

/**
 * rig_start: start a machine with the payload, edu0 and cxl0, and find them
 * @machine: argument of -M
 * @args: other devices
 */
void rig_start(Rig *r, const char *machine, const char *args);

void rig_end(Rig *r);

/** held: what RAM holds, whoever it is held for */
uint64_t held(Rig *r, uint64_t pa);

/** edu_find: edu on a bus */
void edu_find(QPCIBus *bus, int devfn, QPCIDevice **edu, QPCIBar *bar);

/** edu_copy: have edu copy @count bytes of memory by DMA, 4096 at most */
void edu_copy(QPCIDevice *edu, QPCIBar bar, uint64_t from, uint64_t to,
              uint64_t count);

/** arm_mec_writeback_add_tests: caches that remember */
void arm_mec_writeback_add_tests(void);

/** arm_gpc_add_tests: granule protection checks */
void arm_gpc_add_tests(void);

#endif
