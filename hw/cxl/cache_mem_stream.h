/*
 * CacheMemRegion: pages that are about to be touched
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who reads a device's results, or uses their buffers again, does so page after
 * page, in the order in which the device took them or the other way round,
 * wherever in memory the pages are. So pages are remembered in the order in
 * which they were taken out of the guest's mapping, and when touches follow
 * that order the next ones are said to come: as a prefetcher does it, their
 * lines can be brought home before the touch.
 */

#ifndef HW_CXL_CACHE_MEM_STREAM_H
#define HW_CXL_CACHE_MEM_STREAM_H

#include "hw/cxl/cache_mem_region.h"
#include "cache_mem_ram.h"

typedef struct CacheMemStream CacheMemStream;

/**
 * CacheMemStreamPage: a page that is about to be touched
 */
typedef struct CacheMemStreamPage {
    CacheMemBlock *block;
    CacheMemPage *page;
} CacheMemStreamPage;

/**
 * cache_mem_stream_new: nothing is known
 * @ahead: pages to tell at once, at most CACHE_MEM_PREFETCH_MAX; 0 for none
 */
CacheMemStream *cache_mem_stream_new(unsigned ahead);
void cache_mem_stream_free(CacheMemStream *stream);

/* A page has been taken out of the guest's mapping. */
void cache_mem_stream_taken(CacheMemStream *stream, CacheMemBlock *block,
                            CacheMemPage *page);

/* The block goes. */
void cache_mem_stream_forget(CacheMemStream *stream,
                             const CacheMemBlock *block);

/**
 * cache_mem_stream_touched: a page has been touched: which are next?
 * @next: for CACHE_MEM_PREFETCH_MAX pages, all of them still zapped
 *
 * Returns: how many. What is told is taken as touched.
 */
unsigned cache_mem_stream_touched(CacheMemStream *stream,
                                  const CacheMemPage *page,
                                  CacheMemStreamPage *next);

#endif /* HW_CXL_CACHE_MEM_STREAM_H */
