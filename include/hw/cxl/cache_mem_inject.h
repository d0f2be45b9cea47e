/*
 * CacheMemRegion: faults on command
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For tests, and for those who test drivers. Nothing of it is looked at while
 * nothing is injected, but for one pointer.
 *
 * QEMU interface: properties of /machine/cxl-cache
 *  + "x-no-snoop" (bool): accesses of the guest find memory as it is
 *  + "x-no-rescue" (bool): modified lines of a device that is lost are lost
 *  + "x-no-ats-invalidate" (bool): translations and lines that an IOMMU takes
 *    back are kept
 */

#ifndef HW_CXL_CACHE_MEM_INJECT_H
#define HW_CXL_CACHE_MEM_INJECT_H

#include "hw/cxl/cache_mem_agent.h"

/**
 * CacheMemFail: what goes wrong with a request, for fault injection
 * @CACHE_MEM_FAIL_GO_ERR: the host answers GO-Err, or GO-Err-WritePull
 * @CACHE_MEM_FAIL_POISON: the line comes with poison
 */
typedef enum CacheMemFail {
    CACHE_MEM_FAIL_NONE,
    CACHE_MEM_FAIL_GO_ERR,
    CACHE_MEM_FAIL_POISON,
} CacheMemFail;

/**
 * cache_mem_dev_fail: have the next request for a line fail, once
 *
 * Returns: what was set before and has not happened
 */
CacheMemFail cache_mem_dev_fail(CacheMemDev *cm, CacheMemFail fail);

/**
 * cache_mem_fail_write_back: have the write-back of a staged line refused
 *
 * The first line that cache_mem_stage() owned without data is modified and
 * evicted, and the host answers GO-Err-WritePull: it takes the data and drops
 * them. For fault injection.
 *
 * Returns: false if there is no such line
 */
bool cache_mem_fail_write_back(CacheMemDev *cm, const CacheMemSeg *seg,
                               unsigned n, const void *buf);

/**
 * cache_mem_ats_set_unresponsive: do not complete the IOMMU's invalidations
 *
 * Translations and lines that are taken back meanwhile stay in use. When the
 * device answers again it gives up all of them.
 */
void cache_mem_ats_set_unresponsive(CacheMemDev *cm, bool unresponsive);

#endif /* HW_CXL_CACHE_MEM_INJECT_H */
