/*
 * CacheMemRegion: a device's address translation cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_CACHE_MEM_ATS_H
#define HW_CXL_CACHE_MEM_ATS_H

#include "hw/cxl/cache_mem_agent.h"
#include "hw/pci/pci_device.h"

typedef struct CacheMemAts CacheMemAts;

/* A translation goes: give up what came by it, at once */
typedef void CacheMemAtsGiveUp(void *opaque, hwaddr addr, uint64_t len);

/* @held: translations that are known now; @refusals: asked for in vain */
typedef struct CacheMemAtsStats {
    unsigned held;
    uint64_t hits;
    uint64_t misses;
    uint64_t refusals;
    uint64_t invalidations;
} CacheMemAtsStats;

/**
 * CacheMemAtsFault: what the device does about an invalidation
 * @CACHE_MEM_ATS_WORKS: it forgets and gives up, then it is complete
 * @CACHE_MEM_ATS_UNRESPONSIVE: it does not complete it
 * @CACHE_MEM_ATS_IGNORES: it says that it has, and has not
 */
typedef enum CacheMemAtsFault {
    CACHE_MEM_ATS_WORKS,
    CACHE_MEM_ATS_UNRESPONSIVE,
    CACHE_MEM_ATS_IGNORES,
} CacheMemAtsFault;

/**
 * cache_mem_ats_new: an empty cache for @pdev
 * @name: how people know it; not copied
 */
CacheMemAts *cache_mem_ats_new(PCIDevice *pdev, const char *name,
                               CacheMemAtsGiveUp *give_up, void *opaque);

/* Without a word about the lines: they are gone, or go otherwise. */
void cache_mem_ats_free(CacheMemAts *ats);
void cache_mem_ats_forget(CacheMemAts *ats);

/* Entries that went, for whatever reason */
uint64_t cache_mem_ats_gone(const CacheMemAts *ats);

void cache_mem_ats_invalidate_all(CacheMemAts *ats);

/* As cache_mem_translate() */
CacheMemTranslation cache_mem_ats_translate(CacheMemAts *ats,
                                            const CacheMemSeg *seg, unsigned n,
                                            bool write, GArray *to);

void cache_mem_ats_set_fault(CacheMemAts *ats, CacheMemAtsFault fault);
CacheMemAtsFault cache_mem_ats_fault(const CacheMemAts *ats);

const CacheMemAtsStats *cache_mem_ats_stats(const CacheMemAts *ats);

#endif /* HW_CXL_CACHE_MEM_ATS_H */
