/*
 * CXL.cache, the host's side: how many requests a device may make in a second
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A token bucket for each device. A request takes a token as it is taken, and
 * stays in its channel until there is one; what gives lines up needs none. What
 * is behind it waits, too: requests of a device are a FIFO.
 *
 * The bucket is kept as the time when it is full again if nobody takes from it.
 * A token is NS_PER_S / rate nanoseconds of it; parts of one are kept in units
 * of 1 / rate, so that nothing is rounded, however long it goes on.
 */

#include "qemu/osdep.h"
#include "home.h"

#define NS_PER_S 1000000000ULL

void cxl_cache_rate_set(CXLCacheHome *home, unsigned dev, uint64_t rate,
                        unsigned burst)
{
    CXLCacheBucket *b = &home->dev[dev].bucket;
    CXLCacheWaits *w = &home->stats->waits[dev][CXL_CACHE_LIMIT_RATE];

    burst = MAX(burst, 1);
    home->rated += !!rate - !!b->rate;
    if (!rate && b->waits) {
        w->ns += home->now - b->since;
        b->waits = false;
    }
    if (rate != b->rate || burst != b->burst) {
        /* Full: what was taken by another rate is forgotten. */
        b->rate = rate;
        b->burst = burst;
        b->full_ns = b->full_part = 0;
    }
}

void cxl_cache_rate_reset(CXLCacheBucket *b)
{
    *b = (CXLCacheBucket) { .rate = b->rate, .burst = b->burst };
}

void cxl_cache_home_hurry(CXLCacheHome *home, int who)
{
    home->hurry = who + 1;
}

/* All tokens but one, in units of 1 / rate of a nanosecond */
static uint64_t slack(const CXLCacheBucket *b)
{
    return (b->burst - 1) * NS_PER_S;
}

/* From when on there is a token */
static uint64_t token_at(const CXLCacheBucket *b)
{
    uint64_t early;

    if (b->full_part > slack(b)) {
        return b->full_ns + 1;
    }
    early = (slack(b) - b->full_part) / b->rate;
    return b->full_ns > early ? b->full_ns - early : 0;
}

bool cxl_cache_rate_ready(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg)
{
    CXLCacheBucket *b = &home->dev[dev].bucket;
    CXLCacheWaits *w = &home->stats->waits[dev][CXL_CACHE_LIMIT_RATE];

    if (!b->rate || !cxl_cache_rate_counts(msg->opcode)) {
        return true;
    }
    if (token_at(b) > home->now && home->hurry != dev + 1) {
        if (!b->waits) {
            b->waits = true;
            b->since = home->now;
            w->requests++;
        }
        return false;
    }
    if (b->waits) {
        b->waits = false;
        w->ns += home->now - b->since;
    }
    return true;
}

void cxl_cache_rate_take(CXLCacheHome *home, unsigned dev)
{
    CXLCacheBucket *b = &home->dev[dev].bucket;

    /* The part of a nanosecond that time has no name for is not lost. */
    if (home->now > b->full_ns + !!b->full_part) {
        b->full_ns = home->now;
        b->full_part = 0;
    }
    b->full_part += NS_PER_S;
    b->full_ns += b->full_part / b->rate;
    b->full_part %= b->rate;
}

uint64_t cxl_cache_rate_next(const CXLCacheHome *home)
{
    uint64_t next = UINT64_MAX;

    for (unsigned i = 0; !home->hurry && i < home->num_devs; i++) {
        const CXLCacheBucket *b = &home->dev[i].bucket;
        uint64_t at = b->waits ? token_at(b) : UINT64_MAX;

        /* One that has its token by now waits for something else. */
        if (at > home->now) {
            next = MIN(next, at);
        }
    }
    return next;
}
