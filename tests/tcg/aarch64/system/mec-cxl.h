/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A coherent device without a driver: cxl-cache-testdev below a CXL root port,
 * and what firmware does to reach it. The machine has highmem-ecam=off, and
 *   -device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0
 *   -device cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=2,port=0,cxl-cache=on
 *   -device cxl-cache-testdev,bus=rp0
 *
 * Whoever includes it has LD(), ST() and dsb(), as mec-rt.h has them.
 */
#ifndef MEC_CXL_H
#define MEC_CXL_H

#include <stdbool.h>
#include <stdint.h>
#include "../../../../include/hw/cxl/cxl_cache_testdev.h"

#define CXL_ECAM        0x3f000000UL
#define CXL_BUS         12
#define CXL_WINDOW      0x20000000UL    /* what the root port forwards */
#define CXL_RME_CDA     0x400           /* DVSEC of a root port: "rme-cda" */
#define CXL_RD_CURR     0x01            /* D2H Req, table 3-22 */
#define CXL_WR_INV      0x0e

static inline void *cxl_config(unsigned bus, unsigned off)
{
    return (void *)(CXL_ECAM + ((uint64_t)bus << 20) + off);
}

static inline void *cxl_reg(unsigned off)
{
    return (void *)(CXL_WINDOW + off);
}

/* Give the root port and the device numbers and addresses; is it there? */
static inline bool cxl_find(void)
{
    uint32_t bars = CXL_WINDOW >> 20;

    ST((uint32_t *)cxl_config(CXL_BUS, 0x18),
       CXL_BUS | (CXL_BUS + 1) << 8 | (CXL_BUS + 1) << 16);
    ST((uint32_t *)cxl_config(CXL_BUS, 0x20), bars << 4 | (bars + 63) << 20);
    ST((uint16_t *)cxl_config(CXL_BUS, 4), 6);  /* memory, master */
    if (LD((uint32_t *)cxl_config(CXL_BUS + 1, 0)) !=
        (CXL_CACHE_TESTDEV_VENDOR_ID | CXL_CACHE_TESTDEV_DEVICE_ID << 16)) {
        return false;
    }
    ST((uint32_t *)cxl_config(CXL_BUS + 1, 0x10), CXL_WINDOW);
    ST((uint16_t *)cxl_config(CXL_BUS + 1, 4), 6);
    dsb();
    ST((uint32_t *)cxl_reg(CCT_MODE), CCT_MODE_ON);
    return LD((uint32_t *)cxl_reg(CCT_MAGIC)) == CCT_MAGIC_VALUE;
}

/* A request for the line at pa; false: GO-Err. data, if any, is sent or got. */
static inline bool cxl_request(unsigned opcode, uint64_t pa, uint64_t be,
                               uint64_t data[8])
{
    unsigned i;

    for (i = 0; data && i < 8; i++) {
        ST((uint64_t *)cxl_reg(CCT_DATA + i * 8), data[i]);
    }
    ST((uint32_t *)cxl_reg(CCT_OPCODE), opcode);
    ST((uint32_t *)cxl_reg(CCT_FLAGS), 0);
    ST((uint64_t *)cxl_reg(CCT_ADDR), pa);
    ST((uint64_t *)cxl_reg(CCT_BE), be);
    dsb();
    ST((uint32_t *)cxl_reg(CCT_DOORBELL), CCT_DO_REQUEST);
    dsb();
    for (i = 0; data && i < 8; i++) {
        data[i] = LD((uint64_t *)cxl_reg(CCT_DATA + i * 8));
    }
    return !LD((uint32_t *)cxl_reg(CCT_RESULT)) &&
           !(LD((uint32_t *)cxl_reg(CCT_STATUS)) & CCT_STATUS_FAILED);
}

/*
 * What Realm firmware does so that Realm requests of the device pass, or that
 * they do not any more: RME-CDA of a root port with rme-cda=on
 */
static inline void cxl_assign(bool realm)
{
    uint32_t *ctl1 = cxl_config(CXL_BUS, CXL_RME_CDA + 0x0c);
    uint32_t rid = (CXL_BUS + 1) << 8;

    ST((uint32_t *)cxl_config(CXL_BUS, CXL_RME_CDA + 0x14), rid << 8);
    ST((uint32_t *)cxl_config(CXL_BUS, CXL_RME_CDA + 0x18), rid << 8 | 1);
    ST(ctl1, realm ? 3 : 0);    /* TDISP_EN, LINK_STR_LOCK */
    dsb();
}

#endif
