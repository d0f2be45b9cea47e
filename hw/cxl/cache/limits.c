/*
 * CXL.cache, the host's side: how many lines a device may have, and who waits
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device's quota, and the capacity of a group of devices; its rate is rate.c.
 * Nothing of this is used while there are no limits.
 */

#include "qemu/osdep.h"
#include "home.h"

void cxl_cache_limits_count(CXLCacheHome *home, uint64_t before,
                            uint64_t after)
{
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        uint16_t devs = home->group_devs[i];

        home->group_lines[i] += !!(after & devs) - !!(before & devs);
    }
}

static bool count_line(CXLCacheHome *home, uint64_t *e, unsigned dev)
{
    /* Once, for the first of the group's devices that has it */
    return __builtin_ctz(*e & home->group_devs[home->dev[dev].group]) == dev;
}

static void count_group(CXLCacheHome *home, unsigned group)
{
    home->group_lines[group] = 0;
    for (unsigned m = home->group_devs[group]; m; m &= m - 1) {
        home->group_lines[group] += cxl_cache_sf_each(home, __builtin_ctz(m),
                                                      count_line);
    }
}

void cxl_cache_home_set_limits(CXLCacheHome *home, unsigned dev,
                               const CXLCacheLimits *limits)
{
    CXLCacheHomeDev *d = &home->dev[dev];

    home->group_devs[d->group] &= ~(1 << dev);
    count_group(home, d->group);
    d->quota = limits->quota;
    cxl_cache_rate_set(home, dev, limits->rate, limits->burst);
    d->group = limits->group;
    if (limits->group_size) {
        home->group_devs[d->group] |= 1 << dev;
        home->group_size[d->group] = limits->group_size;
        count_group(home, d->group);
    }
    home->limits = home->rated;
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        home->limits |= home->group_devs[i] || home->dev[i].quota;
    }
}

/* The next entry from @at on that has one of @devs, around the filter */
static uint64_t *next_entry(CXLCacheHome *home, uint16_t devs, size_t *at)
{
    size_t entries = (size_t)home->sf_sets * home->sf_ways;
    size_t spans = DIV_ROUND_UP(entries, CXL_CACHE_SF_SPAN);

    /* The first span twice: what is before @at comes last. */
    for (size_t n = 0; n <= spans; n++) {
        size_t span = *at / CXL_CACHE_SF_SPAN;
        size_t end = MIN((span + 1) * CXL_CACHE_SF_SPAN, entries);
        bool any = false;

        for (unsigned m = devs; m && !any; m &= m - 1) {
            CXLCacheMarks marks = sf_marks(home, __builtin_ctz(m));

            any = cxl_cache_marked(&marks, span);
        }
        for (; any && *at < end; ++*at) {
            if (home->sf[*at] & devs) {
                return &home->sf[(*at)++];
            }
        }
        *at = end % entries;
    }
    return NULL;
}

/* A line of one of @devs that is used by nobody now, and was not lately */
static uint64_t *find_victim(CXLCacheHome *home, unsigned dev, uint16_t devs,
                             unsigned lines, uint64_t but)
{
    size_t *at = &home->dev[dev].room_at;

    for (unsigned n = 0; n < 2 * lines; n++) {
        uint64_t *e = next_entry(home, devs, at);
        uint64_t line = e ? *e >> CXL_CACHE_SF_LINE_SHIFT : but;

        if (line == but || tx_find(home, line)) {
            continue;
        }
        if (!(*e & CXL_CACHE_SF_USED)) {
            return e;
        }
        *e &= ~CXL_CACHE_SF_USED;
    }
    return NULL;
}

static void make_room(CXLCacheHome *home, unsigned dev, uint16_t devs,
                      unsigned lines, uint64_t but)
{
    CXLCacheHomeDev *d = &home->dev[dev];
    uint64_t *e = find_victim(home, dev, devs, lines, but);
    CXLCacheTx *tx = e ? tx_new(home, *e >> CXL_CACHE_SF_LINE_SHIFT,
                                CXL_CACHE_TX_GONE,
                                CXL_CACHE_ROW_BACK_INVALIDATION) : NULL;

    if (!tx) {
        return;
    }
    for (unsigned m = *e & CXL_CACHE_SF_DEVS; m; m &= m - 1) {
        home->stats->lost_to[__builtin_ctz(m)][dev]++;
    }
    home->stats->limited[dev]++;
    home->made_room = true;
    d->room = tx->id;
    d->room_line = tx->line;
    tx->e = e;
    tx->held = sf_context(home, e);
    tx->dev = dev;
    tx->access = sf_access(*e);
    cxl_cache_tx_event(home, tx, CXL_CACHE_EV_START);
}

/* Whether what was to make room is still at it */
static bool making_room(const CXLCacheHome *home, const CXLCacheHomeDev *d)
{
    const CXLCacheTx *tx = d->room < home->num_tx ? &home->tx[d->room] : NULL;

    return tx && tx->phase != CXL_CACHE_TX_FREE && tx->line == d->room_line &&
           tx->row == CXL_CACHE_ROW_BACK_INVALIDATION;
}

/*
 * Whether the device may have one more line by this request. If not, another
 * one is on its way out.
 */
static bool has_room(CXLCacheHome *home, unsigned dev, const CXLCacheMsg *msg)
{
    CXLCacheHomeDev *d = &home->dev[dev];
    uint16_t group = home->group_devs[d->group];
    const uint64_t *e;

    if (!cxl_cache_req_rules[msg->opcode].cacheable || d->link->unrouted) {
        return true;
    }
    e = sf_find(home, msg->line);
    if (e && (*e & (1ULL << dev))) {
        return true;
    }
    if (making_room(home, d)) {
        return false;
    }
    if (d->quota && home->sf_lines[dev] >= d->quota) {
        make_room(home, dev, 1 << dev, home->sf_lines[dev], msg->line);
    } else if ((group & (1 << dev)) && !(e && (*e & group)) &&
               home->group_lines[d->group] >= home->group_size[d->group]) {
        make_room(home, dev, group, home->group_lines[d->group], msg->line);
    } else {
        return true;
    }
    return false;
}

bool cxl_cache_limits_allow(CXLCacheHome *home, unsigned dev,
                            const CXLCacheMsg *msg)
{
    CXLCacheHomeDev *d = &home->dev[dev];
    CXLCacheWaits *w = &home->stats->waits[dev][CXL_CACHE_LIMIT_LINES];
    bool room;

    if (!cxl_cache_rate_ready(home, dev, msg)) {
        return false;
    }
    room = has_room(home, dev, msg);
    if (!room && !d->room_waits) {
        d->room_since = home->now;
        w->requests++;
    } else if (room && d->room_waits) {
        w->ns += home->now - d->room_since;
    }
    d->room_waits = !room;
    return room;
}

void cxl_cache_limits_taken(CXLCacheHome *home, unsigned dev, unsigned opcode)
{
    if (home->dev[dev].bucket.rate && cxl_cache_rate_counts(opcode)) {
        cxl_cache_rate_take(home, dev);
    }
}
