/*
 * CacheMemRegion: the guest RAM there is
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest RAM that is a shared memfd is mapped a second time, privately to
 * CacheMemRegion: the alias. This knows which RAM blocks there are, which of
 * them have an alias and why the others have none, and where they are in system
 * memory. It reacts to nothing: who owns it listens, and tells of changes.
 */

#ifndef HW_CXL_CACHE_MEM_RAM_H
#define HW_CXL_CACHE_MEM_RAM_H

#include "hw/cxl/cxl_cache_msg.h"
#include "qemu/hbitmap.h"
#include "qemu/queue.h"
#include "system/memory.h"
#include "cache_mem_trap.h"

#define CACHE_MEM_PAGE_LINES    (CACHE_MEM_PAGE_SIZE >> CXL_CACHE_LINE_SHIFT)

/**
 * CacheMemPage: what devices have of a page of guest RAM
 * @none: lines that a device may own, a bit for each: the guest may do nothing
 * @ro: lines that devices may share: the guest may read
 * @addr: where the devices know the page, if any of these bits is set
 * @number: see cache_mem_stream_taken()
 * @zapped: it is not in the guest's mapping
 */
#define CACHE_MEM_PAGE_NUMBERS  (1 << 11)

typedef struct CacheMemPage {
    uint64_t none;
    uint64_t ro;
    uint64_t addr:52;
    uint64_t number:11;
    uint64_t zapped:1;
} CacheMemPage;

/**
 * CacheMemBlock: a RAM block
 * @host: the guest's mapping
 * @alias: NULL if there is none
 * @page: by number of the page, where there is an alias; costs memory only
 *        where it is used
 * @held: pages of which devices have lines
 * @watched: the trap reports who touches zapped pages
 * @unfit: why no device keeps lines of it, or NULL
 * @bypassed: why not for now: who uses it past the trap, or NULL
 */
typedef struct CacheMemBlock {
    const RAMBlock *rb;
    uint8_t *host;
    uint8_t *alias;
    uint64_t size;
    CacheMemPage *page;
    HBitmap *held;
    bool watched;
    char *unfit;
    const char *bypassed;
    QLIST_ENTRY(CacheMemBlock) next;
} CacheMemBlock;

/**
 * CacheMemSection: a range of system memory that is RAM
 * @mem: its bytes: the alias, or the guest's mapping where there is none
 * @block: NULL where lines cannot be kept, whatever its block
 * @page: number in @block of the first page
 */
typedef struct CacheMemSection {
    uint64_t start;
    uint64_t end;
    uint8_t *mem;
    CacheMemBlock *block;
    uint64_t page;
    ram_addr_t ram_addr;
    MemoryRegion *mr;
    bool readonly;
} CacheMemSection;

/**
 * CacheMemRam:
 * @sections: of CacheMemSection, by address
 * @coming: what a listener collects, which becomes valid at commit
 * @last: the section found last
 */
typedef struct CacheMemRam {
    QLIST_HEAD(, CacheMemBlock) blocks;
    GArray *sections;
    GArray *coming;
    unsigned last;
} CacheMemRam;

CacheMemRam *cache_mem_ram_new(void);
void cache_mem_ram_free(CacheMemRam *ram);

/**
 * cache_mem_ram_block_new: a block for the RAM at @host
 * @size: bytes; what it can grow to
 *
 * Belongs to nothing yet: QLIST_INSERT_HEAD() into blocks adds it.
 */
CacheMemBlock *cache_mem_ram_block_new(uint8_t *host, uint64_t size);

/* The block that @host is in, or NULL */
CacheMemBlock *cache_mem_ram_find_block(CacheMemRam *ram, const uint8_t *host);

/* Its sections use the guest's mapping from now on, and none of it is kept. */
void cache_mem_ram_remove_block(CacheMemRam *ram, CacheMemBlock *block);

/* For a MemoryListener of system memory: forget what was collected, collect */
void cache_mem_ram_begin(CacheMemRam *ram);
void cache_mem_ram_add(CacheMemRam *ram, MemoryRegionSection *section);

/**
 * cache_mem_ram_commit: what was collected is valid now
 *
 * What was valid before is left for cache_mem_ram_begin() to forget: that drops
 * references, which must not be done with a lock held.
 */
void cache_mem_ram_commit(CacheMemRam *ram);

CacheMemSection *cache_mem_ram_search(CacheMemRam *ram, uint64_t addr);

/* The section that has @addr, or NULL if it is not RAM */
static inline CacheMemSection *cache_mem_ram_find(CacheMemRam *ram,
                                                  uint64_t addr)
{
    GArray *a = ram->sections;

    if (ram->last < a->len) {
        CacheMemSection *s = &g_array_index(a, CacheMemSection, ram->last);

        if (addr >= s->start && addr < s->end) {
            return s;
        }
    }
    return cache_mem_ram_search(ram, addr);
}

static inline CacheMemPage *cache_mem_ram_page(const CacheMemSection *s,
                                               uint64_t addr)
{
    return &s->block->page[s->page +
                           ((addr - s->start) >> CACHE_MEM_PAGE_SHIFT)];
}

static inline uint8_t *cache_mem_ram_mem(const CacheMemSection *s,
                                         uint64_t addr)
{
    return s->mem + (addr - s->start);
}

/**
 * cache_mem_ram_dirty: to be called after a line was written through the alias
 *
 * VGA and migration want to know. Translated code is the writer's business, see
 * cache_mem_discard_code().
 */
void cache_mem_ram_dirty(const CacheMemSection *s, uint64_t addr, uint64_t len);

/* Whether RAM that a user has given the machine is at the section */
bool cache_mem_ram_is_main(const CacheMemSection *s);

#endif /* HW_CXL_CACHE_MEM_RAM_H */
