/*
 * CacheMemRegion: the guest RAM there is
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "exec/translation-block.h"
#include "hw/cxl/cache_mem_agent.h"
#include "system/hostmem.h"
#include "system/memory_cached.h"
#include "system/physmem.h"
#include "system/ramblock.h"
#include "system/ramlist.h"
#include "system/system.h"
#include "system/tcg.h"
#include "cache_mem_ram.h"

QEMU_BUILD_BUG_ON(CACHE_MEM_PAGE_LINES != 64);

/* Blocks */

/* Returns: NULL if the block can be mapped twice and trapped, or why not */
static char *unfit(RAMBlock *rb, const void *host, uint64_t size)
{
    size_t host_page = qemu_real_host_page_size();

    if (!rb || !qemu_ram_is_shared(rb) || qemu_ram_get_fd(rb) < 0) {
        return g_strdup("it is not shared memory that can be mapped twice "
                        "(memory-backend-memfd,share=on)");
    }
    if (host_page != CACHE_MEM_PAGE_SIZE) {
        return g_strdup_printf("this host has pages of %zu KiB, and only "
                               "pages of 4 KiB can be watched",
                               host_page / KiB);
    }
    if (qemu_ram_pagesize(rb) != CACHE_MEM_PAGE_SIZE) {
        return g_strdup_printf("it has huge pages of %zu KiB, and only pages "
                               "of 4 KiB can be watched (hugetlb=off)",
                               qemu_ram_pagesize(rb) / KiB);
    }
    if (!QEMU_PTR_IS_ALIGNED(host, CACHE_MEM_PAGE_SIZE) ||
        size % CACHE_MEM_PAGE_SIZE) {
        return g_strdup("it does not consist of whole pages of 4 KiB");
    }
    if (should_mlock(mlock_state)) {
        return g_strdup("it is locked in memory, and cannot be taken from the "
                        "guest (-overcommit mem-lock)");
    }
    return NULL;
}

/*
 * What a core dump or a child process is to have of guest RAM, the guest's
 * mapping gives or withholds; a NUMA policy is of the file, not of the mapping.
 */
static uint8_t *map_alias(RAMBlock *rb, uint64_t size)
{
    void *alias = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
                       qemu_ram_get_fd(rb), qemu_ram_get_fd_offset(rb));

    if (alias == MAP_FAILED) {
        return NULL;
    }
    qemu_madvise(alias, size, QEMU_MADV_DONTDUMP);
    qemu_madvise(alias, size, QEMU_MADV_DONTFORK);
    return alias;
}

/* Not g_malloc0(): most of it will never be looked at */
static CacheMemPage *new_pages(uint64_t n)
{
    void *page = mmap(NULL, n * sizeof(CacheMemPage), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

static uint64_t block_pages(const CacheMemBlock *block)
{
    return block->size >> CACHE_MEM_PAGE_SHIFT;
}

static void block_free(CacheMemBlock *block)
{
    if (block->page) {
        munmap(block->page, block_pages(block) * sizeof(CacheMemPage));
    }
    if (block->alias) {
        munmap(block->alias, block->size);
    }
    if (block->held) {
        hbitmap_free(block->held);
    }
    g_free(block->unfit);
    g_free(block);
}

CacheMemBlock *cache_mem_ram_block_new(uint8_t *host, uint64_t size)
{
    ram_addr_t offset;
    RAMBlock *rb = qemu_ram_block_from_host(host, false, &offset);
    CacheMemBlock *block = g_new0(CacheMemBlock, 1);

    block->rb = rb;
    block->host = host;
    block->size = size;
    block->unfit = unfit(rb, host, size);
    if (block->unfit) {
        return block;
    }
    block->alias = map_alias(rb, size);
    block->page = block->alias ? new_pages(block_pages(block)) : NULL;
    if (!block->page) {
        block->unfit = g_strdup_printf("it cannot be mapped a second time: %s",
                                       strerror(errno));
        if (block->alias) {
            munmap(block->alias, size);
            block->alias = NULL;
        }
        return block;
    }
    block->held = hbitmap_alloc(block_pages(block), 0);
    return block;
}

CacheMemBlock *cache_mem_ram_find_block(CacheMemRam *ram, const uint8_t *host)
{
    CacheMemBlock *block;

    QLIST_FOREACH(block, &ram->blocks, next) {
        if (host >= block->host && host < block->host + block->size) {
            return block;
        }
    }
    return NULL;
}

static void leave_block(GArray *sections, CacheMemBlock *block)
{
    for (unsigned i = 0; i < sections->len; i++) {
        CacheMemSection *s = &g_array_index(sections, CacheMemSection, i);

        if (block->alias && s->mem >= block->alias &&
            s->mem < block->alias + block->size) {
            s->mem = block->host + (s->mem - block->alias);
        }
        if (s->block == block) {
            s->block = NULL;
        }
    }
}

void cache_mem_ram_remove_block(CacheMemRam *ram, CacheMemBlock *block)
{
    leave_block(ram->sections, block);
    leave_block(ram->coming, block);
    QLIST_REMOVE(block, next);
    block_free(block);
}

/* Sections of system memory */

static void forget_sections(GArray *sections)
{
    for (unsigned i = 0; i < sections->len; i++) {
        memory_region_unref(g_array_index(sections, CacheMemSection, i).mr);
    }
    g_array_set_size(sections, 0);
}

void cache_mem_ram_begin(CacheMemRam *ram)
{
    forget_sections(ram->coming);
}

static bool is_ram(const MemoryRegionSection *section)
{
    return memory_region_is_ram(section->mr) &&
           !memory_region_is_ram_device(section->mr) &&
           !memory_region_is_protected(section->mr);
}

/* The alias in place of the guest's mapping, where there is one */
static void find_alias(CacheMemRam *ram, CacheMemSection *s)
{
    CacheMemBlock *block = cache_mem_ram_find_block(ram, s->mem);
    uint64_t at = block ? s->mem - block->host : 0;

    if (block && block->alias) {
        s->mem = block->alias + at;
    }
    if (block && QEMU_IS_ALIGNED(at | s->start | s->end, CACHE_MEM_PAGE_SIZE)) {
        s->block = block;
        s->page = at >> CACHE_MEM_PAGE_SHIFT;
    }
}

void cache_mem_ram_add(CacheMemRam *ram, MemoryRegionSection *section)
{
    uint64_t offset = section->offset_within_region;
    CacheMemSection s = {
        .start = section->offset_within_address_space,
        .end = section->offset_within_address_space +
               int128_get64(section->size),
        .mr = section->mr,
        .readonly = section->readonly || section->mr->readonly,
    };

    if (!is_ram(section) ||
        !QEMU_IS_ALIGNED(s.start | s.end, CXL_CACHE_LINE_SIZE)) {
        return;
    }
    s.mem = (uint8_t *)memory_region_get_ram_ptr(s.mr) + offset;
    s.ram_addr = memory_region_get_ram_addr(s.mr) + offset;
    find_alias(ram, &s);
    memory_region_ref(s.mr);
    g_array_append_val(ram->coming, s);
}

void cache_mem_ram_commit(CacheMemRam *ram)
{
    GArray *old = ram->sections;

    ram->sections = ram->coming;
    ram->coming = old;
    ram->last = 0;
}

CacheMemSection *cache_mem_ram_search(CacheMemRam *ram, uint64_t addr)
{
    GArray *a = ram->sections;
    unsigned low = 0, high = a->len;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        CacheMemSection *s = &g_array_index(a, CacheMemSection, mid);

        if (addr < s->start) {
            high = mid;
        } else if (addr >= s->end) {
            low = mid + 1;
        } else {
            ram->last = mid;
            return s;
        }
    }
    return NULL;
}

void cache_mem_ram_dirty(const CacheMemSection *s, uint64_t addr, uint64_t len)
{
    uint8_t mask = memory_region_get_dirty_log_mask(s->mr) &
                   ~BIT(DIRTY_MEMORY_CODE);

    if (mask) {
        RCU_READ_LOCK_GUARD();
        physical_memory_set_dirty_range(s->ram_addr + (addr - s->start), len,
                                        mask);
    }
}

bool cache_mem_ram_is_main(const CacheMemSection *s)
{
    return !s->readonly && s->mr->owner &&
           object_dynamic_cast(s->mr->owner, TYPE_MEMORY_BACKEND);
}

/*
 * Also what a vCPU is translating now, from bytes that it read before they
 * changed: address_space_cache_invalidate() looks only at pages that have
 * translated code, and that one has none yet. So the page's lock is waited for,
 * whatever the page counts as.
 */
void cache_mem_discard_code(AddressSpace *as, hwaddr addr, size_t len)
{
    if (!tcg_enabled()) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    while (len) {
        MemoryRegionCache cache;
        int64_t n = address_space_cache_init(&cache, as, addr, len, true);
        ram_addr_t at;

        if (n <= 0) {
            break;
        }
        if (cache.ptr) {
            at = memory_region_get_ram_addr(cache.mrs.mr) + cache.xlat;
            tb_invalidate_phys_range(NULL, at, at + n - 1);
        }
        address_space_cache_destroy(&cache);
        addr += n;
        len -= n;
    }
}

/* Life */

CacheMemRam *cache_mem_ram_new(void)
{
    CacheMemRam *ram = g_new0(CacheMemRam, 1);

    ram->sections = g_array_new(false, false, sizeof(CacheMemSection));
    ram->coming = g_array_new(false, false, sizeof(CacheMemSection));
    return ram;
}

void cache_mem_ram_free(CacheMemRam *ram)
{
    CacheMemBlock *block;

    if (!ram) {
        return;
    }
    forget_sections(ram->sections);
    forget_sections(ram->coming);
    while ((block = QLIST_FIRST(&ram->blocks))) {
        QLIST_REMOVE(block, next);
        block_free(block);
    }
    g_array_free(ram->sections, true);
    g_array_free(ram->coming, true);
    g_free(ram);
}
