/*
 * CacheMemRegion: poisoned lines of memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_cache_msg.h"
#include "cache_mem_poison.h"

/* What is found in memory where a line was lost with its device */
#define LOST_PATTERN    0xbaadf00d

/* Lines, to whether they were lost: else they hold what was written to them */
struct CacheMemPoison {
    GHashTable *lines;
};

CacheMemPoison *cache_mem_poison_new(void)
{
    CacheMemPoison *poison = g_new(CacheMemPoison, 1);

    poison->lines = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                          NULL);
    return poison;
}

void cache_mem_poison_free(CacheMemPoison *poison)
{
    if (poison) {
        g_hash_table_destroy(poison->lines);
        g_free(poison);
    }
}

bool cache_mem_poison_any(const CacheMemPoison *poison)
{
    return g_hash_table_size(poison->lines);
}

static void insert(CacheMemPoison *poison, uint64_t line, bool lost)
{
    g_hash_table_insert(poison->lines, g_memdup2(&line, sizeof(line)),
                        GINT_TO_POINTER(lost));
}

void cache_mem_poison_lose(CacheMemPoison *poison, uint64_t line, uint8_t *mem)
{
    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {
        stl_le_p(mem + i, LOST_PATTERN);
    }
    insert(poison, line, true);
}

void cache_mem_poison_write(CacheMemPoison *poison, uint64_t line, uint64_t be,
                            bool bad)
{
    if (bad) {
        insert(poison, line, false);
    } else if (be == CXL_CACHE_BE_ALL) {
        g_hash_table_remove(poison->lines, &line);
    }
}

static bool has_pattern(const uint8_t *mem)
{
    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {
        if (ldl_le_p(mem + i) == LOST_PATTERN) {
            return true;
        }
    }
    return false;
}

/* @stale: it was lost, and nothing of that is left */
static bool is_poisoned(const CacheMemPoison *poison, uint64_t line,
                        const uint8_t *mem, bool *stale)
{
    void *lost;

    *stale = false;
    if (!cache_mem_poison_any(poison) ||
        !g_hash_table_lookup_extended(poison->lines, &line, NULL, &lost)) {
        return false;
    }
    *stale = lost && !has_pattern(mem);
    return !*stale;
}

bool cache_mem_poison_has(const CacheMemPoison *poison, uint64_t line,
                          const uint8_t *mem)
{
    bool stale;

    return is_poisoned(poison, line, mem, &stale);
}

bool cache_mem_poison_is(CacheMemPoison *poison, uint64_t line,
                         const uint8_t *mem)
{
    bool stale, bad = is_poisoned(poison, line, mem, &stale);

    if (stale) {
        g_hash_table_remove(poison->lines, &line);
    }
    return bad;
}

void cache_mem_poison_retain(CacheMemPoison *poison,
                             bool (*keep)(void *opaque, uint64_t line),
                             void *opaque)
{
    GHashTableIter iter;
    void *key;

    g_hash_table_iter_init(&iter, poison->lines);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (!keep(opaque, *(uint64_t *)key)) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

void cache_mem_poison_reset(CacheMemPoison *poison)
{
    g_hash_table_remove_all(poison->lines);
}
