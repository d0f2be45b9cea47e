/*
 * CacheMemRegion, for its own files
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_CACHE_MEM_INTERNAL_H
#define HW_CXL_CACHE_MEM_INTERNAL_H

#include "hw/cxl/cache_mem_region.h"
#include "hw/cxl/cxl_cache_home.h"
#include "cache_mem_trap.h"
#include "hw/core/resettable.h"
#include "qemu/queue.h"
#include "hw/pci/pci_device.h"
#include "qom/object.h"

#define TYPE_CACHE_MEM_REGION "cache-mem-region"
OBJECT_DECLARE_SIMPLE_TYPE(CacheMemRegion, CACHE_MEM_REGION)

typedef struct CacheMemAtc CacheMemAtc;

/* @held: translations that are known now; @refusals: asked for in vain */
typedef struct CacheMemAtcStats {
    unsigned held;
    uint64_t hits;
    uint64_t misses;
    uint64_t refusals;
    uint64_t invalidations;
} CacheMemAtcStats;

CacheMemAtc *cache_mem_atc_new(CacheMemDev *cm, PCIDevice *pdev);
void cache_mem_atc_free(CacheMemAtc *atc);

/* Without a word about the lines: they are gone, or go otherwise. */
void cache_mem_atc_forget(CacheMemAtc *atc);
const CacheMemAtcStats *cache_mem_atc_stats(const CacheMemAtc *atc);

typedef struct CacheMemGuard CacheMemGuard;

/* @str: <first>-<last>[,...]; returns NULL, with @errp set, if it is not */
CacheMemGuard *cache_mem_guard_new(const char *str, Error **errp);
void cache_mem_guard_free(CacheMemGuard *guard);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CacheMemGuard, cache_mem_guard_free)

/* Is all of it inside? @guard may be NULL, which allows everything. */
bool cache_mem_guard_allows(const CacheMemGuard *guard, hwaddr addr,
                            uint64_t len);

struct CacheMemRegion {
    Object parent_obj;

    ResettableState reset;
    QemuMutex lock;
    CXLCacheHome *home;
    CacheMemTrap *trap;
    uint64_t sf_size;
    GHashTable *poisoned;       /* lines of memory, to whether LOST_PATTERN */
    struct {
        CacheMemFail kind;
        uint64_t line;
    } fail;                     /* what the home is to answer now */
    bool no_rescue;
    bool no_invalidate;
    QTAILQ_HEAD(, CacheMemDev) devices;
    unsigned users;             /* attached or not */
};

/**
 * CacheMemDev:
 * @number: at the home; negative when not attached
 * @once_lines: lines written without being kept
 * @lost_lines: modified lines that a system reset dropped
 * @guarded: operations that @guard has refused
 * @errors: to be reported by @error_bh, a bit for each CXLCacheError
 * @fail: how the host answers the next request for a line
 *
 * The rest is for the operation that holds the lock:
 * @done: takes completions
 * @read: what is being read, for cache_mem_read()
 * @result: for cache_mem_request()
 * @failed: the host has answered with an error
 * @poison: or with poison
 */
struct CacheMemDev {
    CacheMemRegion *region;
    CacheMemDevConfig config;
    CXLCacheLink *link;
    CXLCacheDev *dev;
    CacheMemAtc *atc;
    CacheMemGuard *guard;
    uint64_t guarded;
    int number;
    CacheMemMode mode;
    char *name;
    uint64_t once_lines;
    uint64_t lost_lines;
    uint32_t errors;
    QEMUBH *error_bh;
    CacheMemFail fail;
    QTAILQ_ENTRY(CacheMemDev) next;

    void (*done)(CacheMemDev *cm, const CXLCacheDone *done);
    struct {
        hwaddr addr;
        size_t len;
        uint8_t *buf;
    } read;
    CacheMemResult *result;
    bool failed;
    bool poison;
};

/* The machine's, or NULL while it has no device */
CacheMemRegion *cache_mem_region_get(void);

/**
 * CacheMemTotals: what became of modified lines whose device was lost
 *
 * They outlive the region, as the last device may have been the one.
 */
typedef struct CacheMemTotals {
    bool any_device;            /* there was one at some time */
    uint64_t rescued_lines;
    uint64_t poisoned_lines;
    uint64_t lost_lines;
} CacheMemTotals;

extern CacheMemTotals cache_mem_totals;

/**
 * cache_mem_trace_update: follow "-trace cxl_cache_*" at run time
 *
 * To be called with the lock held before messages are sent.
 */
void cache_mem_trace_update(CacheMemDev *cm);

#endif /* HW_CXL_CACHE_MEM_INTERNAL_H */
