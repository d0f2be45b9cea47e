/*
 * CacheMemRegion: the memory that a device may use by CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/ctype.h"
#include "qemu/cutils.h"
#include "qemu/range.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_cache_msg.h"
#include "cache_mem_allow.h"

/* Array of Range, each of whole lines */
struct CacheMemAllow {
    GArray *ranges;
};

/* qemu_strtou64() takes "-1" for an address, too. */
static bool parse_address(const char *str, const char **end, uint64_t *addr)
{
    return qemu_isdigit(*str) && !qemu_strtou64(str, end, 0, addr);
}

static bool parse_range(const char *str, Range *range, Error **errp)
{
    const char *end;
    uint64_t first, last;

    if (!parse_address(str, &end, &first) || *end != '-' ||
        !parse_address(end + 1, &end, &last) || *end) {
        error_setg(errp, "'window' takes <first>-<last>[,...], addresses in "
                   "bytes; '%s' is something else", str);
        return false;
    }
    if (first > last || first % CXL_CACHE_LINE_SIZE ||
        (last + 1) % CXL_CACHE_LINE_SIZE) {
        error_setg(errp, "'window': %s does not go from the first byte of a "
                   "%d byte line to the last byte of one", str,
                   CXL_CACHE_LINE_SIZE);
        return false;
    }
    range_set_bounds(range, first, last);
    return true;
}

CacheMemAllow *cache_mem_allow_new(const char *str, Error **errp)
{
    g_autoptr(GArray) ranges = g_array_new(false, false, sizeof(Range));
    g_auto(GStrv) parts = g_strsplit(str, ",", -1);
    CacheMemAllow *allow;

    if (!*parts) {
        error_setg(errp, "'window' is empty");
        return NULL;
    }
    for (char **part = parts; *part; part++) {
        Range range;

        if (!parse_range(*part, &range, errp)) {
            return NULL;
        }
        g_array_append_val(ranges, range);
    }
    allow = g_new(CacheMemAllow, 1);
    allow->ranges = g_steal_pointer(&ranges);
    return allow;
}

void cache_mem_allow_free(CacheMemAllow *allow)
{
    if (allow) {
        g_array_unref(allow->ranges);
        g_free(allow);
    }
}

/* The range that an address is in, or NULL */
static Range *find_range(const CacheMemAllow *allow, hwaddr addr)
{
    for (unsigned i = 0; i < allow->ranges->len; i++) {
        Range *range = &g_array_index(allow->ranges, Range, i);

        if (range_contains(range, addr)) {
            return range;
        }
    }
    return NULL;
}

bool cache_mem_allows(const CacheMemAllow *allow, hwaddr addr, uint64_t len)
{
    hwaddr last = addr + len - 1;

    if (!allow || !len) {
        return true;
    }
    if (last < addr) {
        return false;
    }
    for (;;) {
        Range *range = find_range(allow, addr);

        if (!range) {
            return false;
        }
        if (range_upb(range) >= last) {
            return true;
        }
        addr = range_upb(range) + 1;
    }
}
