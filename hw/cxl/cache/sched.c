/*
 * CXL.cache: in which order messages are taken
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Any order is correct, as far as the ordering rules of each side let a message
 * be taken at all; this is the deterministic one that everybody gets.
 */

#include "qemu/osdep.h"
#include "internal.h"

static bool pending(const CXLCacheLink *link, CXLCacheChannelId channel)
{
    return cxl_cache_link_used(&link->ch[channel]);
}

static inline unsigned to_device(CXLCacheLink *link, CXLCacheChannelId channel)
{
    unsigned n = 0;

    while (pending(link, channel) && cxl_cache_dev_rx(link->dev, channel)) {
        n++;
    }
    return n;
}

static inline unsigned to_home(CXLCacheHome *home, const CXLCacheLink *link,
                               unsigned dev, CXLCacheChannelId channel)
{
    unsigned n = 0;

    while (pending(link, channel) && cxl_cache_home_rx(home, dev, channel)) {
        n++;
    }
    return n;
}

/* What one device and the home have for each other, and one request */
static unsigned serve(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = home->dev[dev].link;
    unsigned n = 0;

    if (!link) {
        return 0;
    }
    if (link->dev) {
        n += to_device(link, CXL_CACHE_H2D_RSP);
        n += to_device(link, CXL_CACHE_H2D_DATA);
        n += to_device(link, CXL_CACHE_H2D_REQ);
    }
    n += to_home(home, link, dev, CXL_CACHE_D2H_RSP);
    n += to_home(home, link, dev, CXL_CACHE_D2H_DATA);
    if (pending(link, CXL_CACHE_D2H_REQ)) {
        n += cxl_cache_home_rx(home, dev, CXL_CACHE_D2H_REQ);
    }
    return n;
}

unsigned cxl_cache_run(CXLCacheHome *home)
{
    unsigned total = 0, n;

    do {
        n = 0;
        for (unsigned i = 0; i < home->num_devs; i++) {
            n += serve(home, i);
        }
        n += home->n_stalled && cxl_cache_home_tx(home);
        total += n;
    } while (n);
    return total;
}
