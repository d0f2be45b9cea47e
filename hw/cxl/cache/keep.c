/*
 * CXL.cache, the device's side: are results worth keeping?
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_keep.h"

/* A window has ended: does the next one follow, or a rest? */
static void judge(CXLCacheKeep *k, uint64_t taken)
{
    if (2 * (taken - k->taken) < k->kept) {
        k->rest = 0;
    } else {
        k->rest = k->rest ? MIN(2 * k->rest, CXL_CACHE_KEEP_REST_MAX) :
                            CXL_CACHE_KEEP_REST;
    }
    k->through = k->rest;
    k->kept = 0;
}

bool cxl_cache_keep(CXLCacheKeep *k, unsigned lines, uint64_t taken)
{
    if (k->kept >= CXL_CACHE_KEEP_WINDOW) {
        judge(k, taken);
    }
    if (k->through) {
        k->through -= MIN(k->through, lines);
        return false;
    }
    if (!k->kept) {
        k->taken = taken;
    }
    k->kept += lines;
    return true;
}
