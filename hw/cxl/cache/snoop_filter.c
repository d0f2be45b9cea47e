/*
 * CXL.cache, the host's side: the snoop filter
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "home.h"

void cxl_cache_sf_mark(CXLCacheHome *home, unsigned dev, size_t span)
{
    CXLCacheMarks marks = sf_marks(home, dev);

    cxl_cache_mark(&marks, span);
}

uint64_t *cxl_cache_sf_room(CXLCacheHome *home, uint64_t line)
{
    uint64_t *e = sf_set(home, line), *victim = NULL;
    uint64_t *unused = sf_free(home, line);

    if (unused) {
        return unused;
    }
    for (unsigned i = 0; i < home->sf_ways; i++) {
        if (tx_find(home, e[i] >> CXL_CACHE_SF_LINE_SHIFT)) {
            continue;
        }
        if (!(e[i] & CXL_CACHE_SF_USED)) {
            return &e[i];
        }
        victim = victim ?: &e[i];
    }
    /* All were used lately: from now on, only those used again. */
    for (unsigned i = 0; victim && i < home->sf_ways; i++) {
        e[i] &= ~CXL_CACHE_SF_USED;
    }
    return victim;
}

/* One span. Returns whether any of it still has the device. */
static bool each_of_span(CXLCacheHome *home, unsigned dev, size_t first,
                         CXLCacheSfFunc *func, unsigned *count)
{
    size_t end = MIN(first + CXL_CACHE_SF_SPAN,
                     (size_t)home->sf_sets * home->sf_ways);
    uint64_t bit = 1ULL << dev;
    bool left = false;

    for (size_t i = first; i < end; i++) {
        if (home->sf[i] & bit) {
            *count += func(home, &home->sf[i], dev);
            left |= home->sf[i] & bit;
        }
    }
    home->stats->sf_walked += end - first;
    return left;
}

unsigned cxl_cache_sf_each(CXLCacheHome *home, unsigned dev,
                           CXLCacheSfFunc *func)
{
    CXLCacheMarks marks = sf_marks(home, dev);
    unsigned count = 0;
    size_t span = 0;

    while (home->sf_lines[dev]) {
        span = cxl_cache_next_mark(&marks, span);
        if (span == CXL_CACHE_NO_SPAN) {
            break;
        }
        if (!each_of_span(home, dev, span * CXL_CACHE_SF_SPAN, func, &count)) {
            cxl_cache_unmark(&marks, span);
        }
        span++;
    }
    if (!home->sf_lines[dev]) {
        cxl_cache_clear_marks(&marks);
    }
    return count;
}

uint16_t cxl_cache_home_tracks(const CXLCacheHome *home, uint64_t line,
                               bool *excl)
{
    const uint64_t *e = line < CXL_CACHE_LINE_MAX ? sf_find(home, line) : NULL;

    if (excl) {
        *excl = e && (*e & CXL_CACHE_SF_EXCL);
    }
    return e ? *e & CXL_CACHE_SF_DEVS : 0;
}

unsigned cxl_cache_home_tracked(const CXLCacheHome *home)
{
    return home->sf_used;
}
