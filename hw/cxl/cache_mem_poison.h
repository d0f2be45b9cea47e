/*
 * CacheMemRegion: poisoned lines of memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_CACHE_MEM_POISON_H
#define HW_CXL_CACHE_MEM_POISON_H

typedef struct CacheMemPoison CacheMemPoison;

CacheMemPoison *cache_mem_poison_new(void);
void cache_mem_poison_free(CacheMemPoison *poison);

/* Is anything poisoned at all? */
bool cache_mem_poison_any(const CacheMemPoison *poison);

/**
 * cache_mem_poison_lose: the line is lost, with its device
 * @mem: its 64 bytes, which get the pattern of lost memory
 */
void cache_mem_poison_lose(CacheMemPoison *poison, uint64_t line, uint8_t *mem);

/**
 * cache_mem_poison_write: a line was written
 * @be: byte enables of the write
 * @bad: what was written is poisoned
 *
 * A whole line that is good ends its poison.
 */
void cache_mem_poison_write(CacheMemPoison *poison, uint64_t line, uint64_t be,
                            bool bad);

/**
 * cache_mem_poison_is: is the line poisoned?
 * @mem: its 64 bytes
 *
 * A CPU's stores to a lost line go unseen: it counts as lost while any word of
 * the pattern is there, as a partial store to a poisoned line leaves it so.
 */
bool cache_mem_poison_is(CacheMemPoison *poison, uint64_t line,
                         const uint8_t *mem);

/* Likewise, for who only looks: a line that is good again is not forgotten. */
bool cache_mem_poison_has(const CacheMemPoison *poison, uint64_t line,
                          const uint8_t *mem);

/* Forget lines for which @keep returns false. */
void cache_mem_poison_retain(CacheMemPoison *poison,
                             bool (*keep)(void *opaque, uint64_t line),
                             void *opaque);

/* RAM is loaded anew. */
void cache_mem_poison_reset(CacheMemPoison *poison);

#endif /* HW_CXL_CACHE_MEM_POISON_H */
