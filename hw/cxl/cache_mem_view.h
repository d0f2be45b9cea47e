/*
 * CacheMemRegion: RAM that is not held as devices find it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory can have a view (system/ram_view.h). The home reads and writes memory
 * past it, so it converts the lines, each by itself; lines in devices are
 * always as devices find them. Memory that has no view costs a load.
 */

#ifndef HW_CXL_CACHE_MEM_VIEW_H
#define HW_CXL_CACHE_MEM_VIEW_H

#include "qemu/rcu.h"
#include "system/ram_view.h"
#include "cache_mem_ram.h"

static inline bool cache_mem_view_has(const CacheMemSection *s)
{
    return unlikely(qatomic_read(&s->mr->ram_block->view));
}

/* Where @addr is in the section's RAMBlock */
static inline ram_addr_t cache_mem_view_offset(const CacheMemSection *s,
                                               uint64_t addr)
{
    return s->ram_addr - memory_region_get_ram_addr(s->mr) + (addr - s->start);
}

/**
 * cache_mem_view_plain: is a page held as devices find it?
 * @addr: of the page
 */
static inline bool cache_mem_view_plain(const CacheMemSection *s,
                                        uint64_t addr)
{
    if (!cache_mem_view_has(s)) {
        return true;
    }
    RCU_READ_LOCK_GUARD();
    return ram_view_is_plain(s->mr->ram_block, cache_mem_view_offset(s, addr),
                             CACHE_MEM_PAGE_SIZE);
}

/**
 * cache_mem_view_read: a line that memory held becomes what devices find
 * @addr: of the line
 * @attrs: its context
 * @who: the device that asks for it, or NULL
 */
static inline void cache_mem_view_read(const CacheMemSection *s, uint64_t addr,
                                       CXLCacheLineData *data,
                                       MemTxAttrs attrs, const char *who)
{
    if (cache_mem_view_has(s)) {
        RCU_READ_LOCK_GUARD();
        RAMView *view = ram_view(s->mr->ram_block);

        if (view) {
            view->read(view, s->mr->ram_block, cache_mem_view_offset(s, addr),
                       data, sizeof(*data), attrs, who);
        }
    }
}

/**
 * cache_mem_view_write: a device's line becomes what memory is to hold
 * @addr: of the line
 * @data: the device's
 * @be: the bytes that it writes; becomes those that memory is to get
 * @attrs: the context that it has them under
 * @buf: for the line
 *
 * Returns: @data, or @buf
 */
static inline const CXLCacheLineData *
cache_mem_view_write(const CacheMemSection *s, uint64_t addr,
                     const CXLCacheLineData *data, uint64_t *be,
                     MemTxAttrs attrs, CXLCacheLineData *buf)
{
    if (cache_mem_view_has(s)) {
        RCU_READ_LOCK_GUARD();
        RAMView *view = ram_view(s->mr->ram_block);

        if (view) {
            *buf = *data;
            *be = view->write(view, s->mr->ram_block,
                              cache_mem_view_offset(s, addr), buf,
                              sizeof(*buf), *be, attrs, NULL);
            return buf;
        }
    }
    return data;
}

#endif /* HW_CXL_CACHE_MEM_VIEW_H */
