/*
 * CXL.cache: one device's messages, whatever the others have under way
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CXL_CACHE_BESIDE_H
#define CXL_CACHE_BESIDE_H

#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_home.h"

static inline bool beside_others_quiet(const CXLCacheHome *home,
                                       unsigned number)
{
    for (unsigned i = 0; i < cxl_cache_home_devices(home); i++) {
        const CXLCacheLink *link = cxl_cache_home_link(home, i);

        for (int c = 0; link && c < CXL_CACHE_NUM_CHANNELS; c++) {
            if (i != number && cxl_cache_link_used(&link->ch[c])) {
                return false;
            }
        }
    }
    return true;
}

static inline void beside_run_one(CXLCacheHome *home, unsigned number)
{
    const CXLCacheLink *link = cxl_cache_home_link(home, number);
    bool moved;

    do {
        moved = cxl_cache_dev_rx(link->dev, CXL_CACHE_H2D_RSP);
        moved |= cxl_cache_dev_rx(link->dev, CXL_CACHE_H2D_DATA);
        moved |= cxl_cache_dev_rx(link->dev, CXL_CACHE_H2D_REQ);
        moved |= cxl_cache_home_rx(home, number, CXL_CACHE_D2H_RSP);
        moved |= cxl_cache_home_rx(home, number, CXL_CACHE_D2H_DATA);
        moved |= cxl_cache_home_rx(home, number, CXL_CACHE_D2H_REQ);
    } while (moved);
}

/**
 * beside_run: move the messages of one device until none can
 * @number: the device's at its home, or -1 for all
 *
 * What others have under way is not its matter and stays where it is.
 *
 * Returns: whether there was something to leave alone
 */
static inline bool beside_run(CXLCacheHome *home, int number)
{
    if (number < 0 || beside_others_quiet(home, number)) {
        cxl_cache_run(home);
        return false;
    }
    beside_run_one(home, number);
    return true;
}

#endif /* CXL_CACHE_BESIDE_H */
