/*
 * CacheMemRegion: under which context a device's requests pass
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No CXL.cache message says for whom a device asks. The host learns it where it
 * checks the request, by the gate of the device's address space
 * (system/ram_view.h), and keeps it with the line: in the home's entry, and in
 * what comes back (RKMNQX). A context is the physical address space and the
 * memory encryption context of MemTxAttrs, in one number for the home.
 */

#ifndef HW_CXL_CACHE_MEM_CONTEXT_H
#define HW_CXL_CACHE_MEM_CONTEXT_H

#include "exec/memattrs.h"
#include "hw/cxl/cxl_cache_home.h"

typedef struct CacheMemRegion CacheMemRegion;
typedef struct CacheMemDev CacheMemDev;
typedef struct CacheMemPage CacheMemPage;

static inline uint32_t cache_mem_context_make(MemTxAttrs attrs)
{
    return CXL_CACHE_CONTEXT(attrs.space, attrs.mecid);
}

static inline MemTxAttrs cache_mem_context_attrs(uint32_t context)
{
    return (MemTxAttrs) {
        .space = CXL_CACHE_CONTEXT_SPACE(context),
        .mecid = CXL_CACHE_CONTEXT_KEY(context),
    };
}

/**
 * cache_mem_context_allows: does the host let a device's request pass?
 * @addr: of the memory
 * @len: of the request in bytes
 * @tell: it is a request, and counted if it is refused
 * @context: set to what it passes under
 */
bool cache_mem_context_allows(const CacheMemDev *cm, uint64_t addr,
                              uint64_t len, bool tell, uint32_t *context);

/**
 * cache_mem_context_plain_page: is there nothing but context 0 in a page?
 *
 * In what devices may ask for, and in the lines of it that they have.
 */
bool cache_mem_context_plain_page(const CacheMemRegion *region, uint64_t addr,
                                  uint64_t held);

/* Is anything checked, of any device? Costs a look at each. */
bool cache_mem_context_any(const CacheMemRegion *region);

/**
 * cache_mem_context_stale: have devices lines that their context has lost?
 *
 * A line of an address space that may not have the granule any more is another
 * one than who has it now asks for.
 */
bool cache_mem_context_stale(const CacheMemRegion *region,
                             const CacheMemPage *p);

/* CXLCacheHomeOps.left: a line has gone; tell if its context had lost it */
void cache_mem_context_left(CacheMemRegion *region, uint64_t line,
                            uint32_t context, uint16_t devs);

/* A device is about to lose its modified lines: whoever gave it them is told */
void cache_mem_context_lost(CacheMemDev *cm);

#endif /* HW_CXL_CACHE_MEM_CONTEXT_H */
