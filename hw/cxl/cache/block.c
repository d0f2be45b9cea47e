/*
 * CXL.cache: one block of memory, and what of it is in use
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

/*
 * calloc() alone has zeroes that it need not write: aligned_alloc() and a
 * memset() would make all of the block resident. What calloc() returned is
 * kept in front of the block.
 */
void *cxl_cache_block_new(size_t size)
{
    const size_t extra = CXL_CACHE_LINE_SIZE + sizeof(void *);
    char *raw = size <= SIZE_MAX - extra ? calloc(1, size + extra) : NULL;
    void **block;

    if (!raw) {
        return NULL;
    }
    block = (void **)ROUND_UP((uintptr_t)raw + sizeof(void *),
                              CXL_CACHE_LINE_SIZE);
    block[-1] = raw;
    return block;
}

void cxl_cache_block_free(void *block)
{
    if (block) {
        free(((void **)block)[-1]);
    }
}

void cxl_cache_unmark(const CXLCacheMarks *m, size_t span)
{
    uint64_t *word = &m->word[span / 64];

    *word &= ~(1ULL << (span % 64));
    if (!*word) {
        m->any[span / 64 / 64] &= ~(1ULL << (span / 64 % 64));
    }
}

/* Index of the first set bit from @bit on of @words words, or SIZE_MAX */
static size_t next_bit(const uint64_t *word, size_t words, size_t bit)
{
    size_t i = bit / 64;
    uint64_t w = i < words ? word[i] & (UINT64_MAX << (bit % 64)) : 0;

    while (!w && ++i < words) {
        w = word[i];
    }
    return w ? i * 64 + __builtin_ctzll(w) : SIZE_MAX;
}

size_t cxl_cache_next_mark(const CXLCacheMarks *m, size_t span)
{
    size_t i = span / 64;
    uint64_t w = i < m->words ? m->word[i] & (UINT64_MAX << (span % 64)) : 0;

    if (!w) {
        i = next_bit(m->any, DIV_ROUND_UP(m->words, 64), i + 1);
        if (i == SIZE_MAX) {
            return CXL_CACHE_NO_SPAN;
        }
        w = m->word[i];
    }
    return i * 64 + __builtin_ctzll(w);
}

void cxl_cache_clear_marks(const CXLCacheMarks *m)
{
    size_t any = DIV_ROUND_UP(m->words, 64);

    for (size_t i = next_bit(m->any, any, 0); i != SIZE_MAX;
         i = next_bit(m->any, any, i + 1)) {
        m->word[i] = 0;
    }
    for (size_t i = 0; i < any; i++) {
        if (m->any[i]) {
            m->any[i] = 0;
        }
    }
}
