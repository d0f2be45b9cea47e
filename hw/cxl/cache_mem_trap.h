/*
 * CacheMemRegion: guest RAM and the trap on it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest RAM that is a shared memfd is mapped a second time, privately to
 * CacheMemRegion: the alias. While a device has lines of a page, the page is
 * zapped from the guest's mapping (MADV_DONTNEED: synchronous, so that no
 * store can still be on its way) and userfaultfd in minor mode reports who
 * touches it next. The memory is registered with userfaultfd when it is needed
 * first: a guest that does not use its device pays nothing.
 *
 * But for _new() and _free(), functions are called with the lock held.
 */

#ifndef HW_CXL_CACHE_MEM_TRAP_H
#define HW_CXL_CACHE_MEM_TRAP_H

#include "hw/cxl/cxl_cache_home.h"
#include "qemu/thread.h"

typedef struct CacheMemTrap CacheMemTrap;

/**
 * CacheMemTrapOps: what the trap needs to be done with the lock held
 * @begin: snoops of a page follow
 * @snoop: have the devices give up @line, or, for a read, ownership of it
 * @settle: see to it that all snoops have been done
 */
typedef struct CacheMemTrapOps {
    void (*begin)(void *opaque);
    void (*snoop)(void *opaque, uint64_t line, CXLCacheHostOp op);
    void (*settle)(void *opaque);
} CacheMemTrapOps;

typedef struct CacheMemTrapStats {
    uint64_t reads;         /* page faults for reading */
    uint64_t writes;
    uint64_t other;         /* of pages that no device had lines of */
    uint64_t zaps;          /* pages taken out of the guest's mapping */
    uint64_t pages;         /* of which devices have lines now */
} CacheMemTrapStats;

CacheMemTrap *cache_mem_trap_new(QemuMutex *lock, const CacheMemTrapOps *ops,
                                 void *opaque);
void cache_mem_trap_free(CacheMemTrap *trap);

/* What is at a line: CXL_CACHE_MEM_* flags; 0 where no RAM is. */
unsigned cache_mem_trap_decode(CacheMemTrap *trap, uint64_t line);

/* The bytes of a line of RAM, through the alias where there is one. */
uint8_t *cache_mem_trap_line(CacheMemTrap *trap, uint64_t line);

/* To be called after RAM was written: VGA and migration want to know. */
void cache_mem_trap_dirty(CacheMemTrap *trap, uint64_t line);

/**
 * cache_mem_trap_access: from now on the guest may do no more than @access
 *
 * Returns: false if that cannot be had
 */
bool cache_mem_trap_access(CacheMemTrap *trap, uint64_t line,
                           CXLCacheHostAccess access);

/**
 * cache_mem_trap_prepare: before a device asks for lines of a range
 * @arm: the lines will be owned: zap all of the range at once
 *
 * Also takes the memory's lines from the devices if they got them by another
 * address.
 */
void cache_mem_trap_prepare(CacheMemTrap *trap, hwaddr addr, size_t len,
                            bool arm);

/* Map pages again of which no device has lines, to save the faults. */
void cache_mem_trap_unarm(CacheMemTrap *trap, hwaddr addr, size_t len);

const CacheMemTrapStats *cache_mem_trap_stats(const CacheMemTrap *trap);

/* Why lines of guest RAM are not kept, or NULL if they are */
const char *cache_mem_trap_obstacle(const CacheMemTrap *trap);

/* Whether pages can be write-protected while devices share their lines */
bool cache_mem_trap_can_share(const CacheMemTrap *trap);

/**
 * cache_mem_trap_set_no_snoop: let the guest have pages as RAM has them
 *
 * This breaks coherence. It is for tests that have to see that they would
 * notice.
 */
void cache_mem_trap_set_no_snoop(CacheMemTrap *trap, bool no_snoop);
bool cache_mem_trap_no_snoop(const CacheMemTrap *trap);

#endif /* HW_CXL_CACHE_MEM_TRAP_H */
