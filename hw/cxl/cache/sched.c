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

/* All that can be taken of a channel */
static inline unsigned to_device(CXLCacheLink *link, CXLCacheChannelId channel)
{
    return pending(link, channel) ?
           cxl_cache_dev_take(link->dev, channel, UINT_MAX) : 0;
}

/* Likewise, at most @most messages */
static inline unsigned to_home(CXLCacheHome *home, const CXLCacheLink *link,
                               unsigned dev, CXLCacheChannelId channel,
                               unsigned most)
{
    return pending(link, channel) ?
           cxl_cache_home_take(home, dev, channel, most) : 0;
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
        n += link->dev->due && cxl_cache_dev_tx(link->dev);
    }
    n += to_home(home, link, dev, CXL_CACHE_D2H_RSP, UINT_MAX);
    n += to_home(home, link, dev, CXL_CACHE_D2H_DATA, UINT_MAX);
    return n + to_home(home, link, dev, CXL_CACHE_D2H_REQ, 1);
}

unsigned cxl_cache_run(CXLCacheHome *home)
{
    unsigned total = 0, n;

    g_assert(!home->busy && "no callback may call into the home, or run it");
    do {
        n = 0;
        for (unsigned i = 0; i < home->num_devs; i++) {
            n += serve(home, i);
        }
        n += home->n_stalled && cxl_cache_home_tx(home);
        n += home->made_room;
        home->made_room = false;
        total += n;
    } while (n);
    return total;
}
