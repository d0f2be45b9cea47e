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

/* ---- Granule protection: arm-gpc-dma.c ---- */

/* GPI values of granules */
enum { NOBODY = 0x0, SECURE_ONLY = 0x8, NS = 0x9, ROOT_ONLY = 0xa,
       REALM_ONLY = 0xb, ANY = 0xf };

#define NO_DEVICE   "no device has such requests"

/* Where copy_by_edu1() copies to */
#define TO          (PAGES + 8 * PAGE)

/* Requester IDs of what is below the root ports 0 and 1 */
#define RID_CXL0    ((QCXL_BUS_NR + 1) << 8)
#define RID_EDU1    ((QCXL_BUS_NR + 2) << 8)

/* edu1 is below root port 1, which has CXL, and cxl0 below port 0. */
typedef struct GRig {
    Rig r;
    QCXL *port;
    QPCIDevice *edu1;
    QPCIBar bar1;
} GRig;

/** grig_start: as rig_start(); VALUE is in the page PAGES */
void grig_start(GRig *g, const char *machine, const char *args);

void grig_end(GRig *g);

/** check_granules: from now on the table counts; all is for everybody */
void check_granules(GRig *g);

/** set_granule: whose a page is */
void set_granule(GRig *g, uint64_t pa, unsigned gpi);

/** gpc_count: a number of /machine/gpc-dma */
uint64_t gpc_count(GRig *g, const char *property);

/** assert_last: a text of /machine/gpc-dma is @value */
void assert_last(GRig *g, const char *property, const char *value);

/** copy_by_edu1: have edu1 copy to TO; returns what RAM holds there then */
uint64_t copy_by_edu1(GRig *g, uint64_t from, uint64_t count);

/** arm_rme_cda_add_tests: root ports that let Realm requests pass */
void arm_rme_cda_add_tests(void);

/** arm_mec_writeback_add_tests: caches that remember */
void arm_mec_writeback_add_tests(void);

/** arm_gpc_add_tests: granule protection checks */
void arm_gpc_add_tests(void);

#endif
