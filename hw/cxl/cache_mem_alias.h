/*
 * CacheMemRegion: an encrypted alias of guest RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: -device cxl-cbit-alias. Guest physical addresses with a
 * bit set are the RAM below in encrypted form, and CPUs' caches keep lines of
 * both (cxl_cache_alias.h): in how far they know of each other, and CXL.cache
 * devices and DMA of them, is what the device's "tag-coherence" says.
 *
 * Who comes by here: accesses of the alias, which is MMIO; vCPUs' loads and
 * stores of RAM that is watched, and their WBINVD, WBNOINVD and CLFLUSH
 * (accel/tcg/ram-watch.h); what the home does for CXL.cache devices; DMA, as
 * far as it is announced (ram_access_func_set()).
 *
 * Lines are cached of RAM that is watched. Other RAM's alias is not cached:
 * each access of it goes to memory, and finds all lines that devices have.
 *
 * Without the device region->alias is NULL, and none of this is called.
 * Functions are called with the region's lock held unless they say otherwise.
 */

#ifndef HW_CXL_CACHE_MEM_ALIAS_H
#define HW_CXL_CACHE_MEM_ALIAS_H

#include "hw/cxl/cxl_cache_alias.h"
#include "hw/cxl/cxl_cache_home.h"
#include "system/memory.h"
#include "system/ramlist.h"

typedef struct CacheMemRegion CacheMemRegion;

/* Who accesses the alias, where it is no CPU */
#define CACHE_MEM_ALIAS_DEVICE  (-1)

/**
 * CacheMemAlias: the alias, attached to a region
 * @bit: of guest physical addresses
 * @asid: whose key the alias is of
 * @watch: of Range, RAM of which CPUs cache lines; NULL for all of it
 * @crypt: as in CXLAliasOps, with @opaque
 * @written: of uint64_t, lines that the model has written since
 *           cache_mem_alias_written()
 */
typedef struct CacheMemAlias {
    CXLAlias *model;
    unsigned bit;
    CXLAliasCoherence coherence;
    uint32_t asid;
    GArray *watch;
    void (*crypt)(void *opaque, unsigned context, uint64_t line,
                  const uint8_t *in, uint8_t *out, bool encrypt);
    void *opaque;
    GArray *written;
} CacheMemAlias;

/**
 * cache_mem_alias_attach: have a region use it, without the lock
 * @lines: that all CPUs' caches have
 *
 * Returns: false with @errp set if it cannot be
 */
bool cache_mem_alias_attach(CacheMemRegion *region, CacheMemAlias *alias,
                            unsigned lines, Error **errp);
void cache_mem_alias_detach(CacheMemRegion *region);

/* System reset: no CPU has a line. */
void cache_mem_alias_reset(CacheMemRegion *region);

/* Whether CPUs cache lines of it; without the lock, it never changes */
bool cache_mem_alias_watches(const CacheMemAlias *alias, hwaddr addr);

/**
 * cache_mem_alias_encrypted: an access of the encrypted address
 * @cpu: which one's, or CACHE_MEM_ALIAS_DEVICE
 * @addr: without the bit; all in one line
 *
 * Returns: false if no RAM is there that can be written
 */
bool cache_mem_alias_encrypted(CacheMemRegion *region, int cpu, hwaddr addr,
                               void *data, unsigned len, bool write);

/* Likewise of the plain one, by a CPU */
bool cache_mem_alias_plain(CacheMemRegion *region, int cpu, hwaddr addr,
                           void *data, unsigned len, bool write);

/* A CPU is about to access the plain address of watched RAM by itself. */
void cache_mem_alias_cpu(CacheMemRegion *region, int cpu, hwaddr addr,
                         unsigned len, bool write);

/* The home is about to read or write memory for a CXL.cache device. */
void cache_mem_alias_home(CacheMemRegion *region, uint64_t line, bool write);
/* The host may do no more than @access: a device gets the line, or had it. */
void cache_mem_alias_access(CacheMemRegion *region, uint64_t line,
                            CXLCacheHostAccess access);

/* A device of QEMU's is about to access RAM; in an RCU critical section */
void cache_mem_alias_dma(CacheMemRegion *region, const RAMBlock *rb,
                         ram_addr_t offset, ram_addr_t len, bool write);

/* CLFLUSH of a guest physical address, with the bit or without */
void cache_mem_alias_flush_line(CacheMemRegion *region, hwaddr addr);

/**
 * cache_mem_alias_written: vCPUs forget what they have translated
 *
 * Without the lock, after what may have written RAM.
 */
void cache_mem_alias_written(CacheMemRegion *region);

#endif /* HW_CXL_CACHE_MEM_ALIAS_H */
