/*
 * CXL.cache, the host's side: who keeps it waiting
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device that does not answer: channels that stand still, what the host waits
 * for meanwhile, and for how long (CXL r3.1 section 12.3). What becomes of it
 * when that is over is the user's: CXLCacheHomeOps.timeout().
 */

#include "qemu/osdep.h"
#include "home.h"

void cxl_cache_wait_count(CXLCacheHome *home)
{
    home->timed = 0;
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        const CXLCacheHomeDev *d = &home->dev[i];

        home->timed += d->link && (d->link->time || d->link->held ||
                                   d->timeout);
    }
}

void cxl_cache_link_hold(CXLCacheLink *link, unsigned channels)
{
    link->held = channels & ((1 << CXL_CACHE_NUM_CHANNELS) - 1);
    if (link->home) {
        cxl_cache_wait_count(link->home);
    }
}

void cxl_cache_home_set_timeout(CXLCacheHome *home, unsigned dev, uint64_t ns)
{
    if (cxl_cache_home_link(home, dev)) {
        home->dev[dev].timeout = ns;
        cxl_cache_wait_count(home);
    }
}

/* The open transaction from number @id on, or NULL */
static CXLCacheTx *next_open(const CXLCacheHome *home, unsigned id)
{
    while (id < home->num_tx) {
        uint64_t open = ~home->tx_free[id / 64] >> (id % 64);

        if (open) {
            id += __builtin_ctzll(open);
            return id < home->num_tx ? &home->tx[id] : NULL;
        }
        id = (id / 64 + 1) * 64;
    }
    return NULL;
}

#define FOR_EACH_OPEN(home, tx) \
    for ((tx) = next_open((home), 0); (tx); \
         (tx) = next_open((home), (tx)->id + 1))

void cxl_cache_wait_stamp(CXLCacheHome *home, uint64_t now)
{
    CXLCacheTx *tx;

    FOR_EACH_OPEN(home, tx) {
        if (tx->stamped != tx->phase) {
            tx->stamped = tx->phase;
            tx->since = now;
        }
    }
}

/* Returns: CXL_CACHE_NUM_AWAITED if it is nothing of this device's */
static CXLCacheAwaited awaited(const CXLCacheTx *tx, unsigned dev)
{
    uint16_t bit = 1 << dev;

    if (tx->phase == CXL_CACHE_TX_SNOOP) {
        return tx->ask & bit ? CXL_CACHE_AWAITS_CREDIT :
               tx->wait & bit ? CXL_CACHE_AWAITS_RSP :
               tx->fwd & bit ? CXL_CACHE_AWAITS_DATA : CXL_CACHE_NUM_AWAITED;
    }
    return tx->phase == CXL_CACHE_TX_PULL && tx->kind == CXL_CACHE_TX_DEV &&
           tx->dev == dev ? CXL_CACHE_AWAITS_PULL : CXL_CACHE_NUM_AWAITED;
}

unsigned cxl_cache_home_waits(const CXLCacheHome *home, unsigned dev,
                              CXLCacheWait *waits, unsigned most)
{
    const CXLCacheTx *tx;
    unsigned n = 0;

    FOR_EACH_OPEN(home, tx) {
        CXLCacheAwaited what = awaited(tx, dev);

        if (what == CXL_CACHE_NUM_AWAITED) {
            continue;
        }
        if (n < most) {
            waits[n] = (CXLCacheWait) {
                .line = tx->line,
                .since = tx->stamped == tx->phase ? tx->since : 0,
                .awaited = what,
                .by = tx->kind == CXL_CACHE_TX_DEV ? tx->dev : -1,
            };
        }
        n++;
    }
    return n;
}

/*
 * Since when the host has waited longest for the device; UINT64_MAX if it does
 * not, or the time-out of all that it waits for has been told of
 */
static uint64_t waits_since(const CXLCacheHome *home, unsigned dev)
{
    uint64_t since = UINT64_MAX;
    const CXLCacheTx *tx;

    FOR_EACH_OPEN(home, tx) {
        if (tx->stamped == tx->phase && tx->since >= home->dev[dev].told &&
            awaited(tx, dev) != CXL_CACHE_NUM_AWAITED) {
            since = MIN(since, tx->since);
        }
    }
    return since;
}

static uint64_t deadline(const CXLCacheHome *home, unsigned dev)
{
    const CXLCacheHomeDev *d = &home->dev[dev];
    uint64_t since = d->link && d->timeout ? waits_since(home, dev)
                                           : UINT64_MAX;

    return since == UINT64_MAX ? since : since + d->timeout;
}

uint64_t cxl_cache_deadline(const CXLCacheHome *home)
{
    uint64_t first = UINT64_MAX;

    for (unsigned i = 0; home->tx_open && i < home->num_devs; i++) {
        first = MIN(first, deadline(home, i));
    }
    return first;
}

unsigned cxl_cache_wait_expire(CXLCacheHome *home, uint64_t now)
{
    unsigned n = 0;

    for (unsigned i = 0; home->tx_open && i < home->num_devs; i++) {
        CXLCacheHomeDev *d = &home->dev[i];

        if (deadline(home, i) <= now) {
            d->told = waits_since(home, i) + 1;
            n++;
            if (home->ops->timeout) {
                home->ops->timeout(home->opaque, i);
            }
        }
    }
    return n;
}
