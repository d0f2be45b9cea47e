/*
 * CacheMemRegion: the host's side, its memory and its accesses
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The home agent reads and writes guest RAM through the alias. What the guest
 * and the rest of QEMU do with RAM comes here as touches of pages that are
 * trapped, in a thread of its own, and as changes of the memory map; either way
 * the lines that stand in the way are snooped out of the devices first.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "system/address-spaces.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "cache_mem_context.h"
#include "cache_mem_internal.h"
#include "cache_mem_view.h"
#include "trace.h"

/* Memory, as the home agent has it */

unsigned cache_mem_host_decode(CacheMemRegion *region, uint64_t line)
{
    CacheMemSection *s = cache_mem_ram_find(region->ram,
                                            line << CXL_CACHE_LINE_SHIFT);

    if (!s) {
        return 0;
    }
    if (s->readonly) {
        return CXL_CACHE_MEM_READ;
    }
    return CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
           (cache_mem_pages_usable(region, s) ? CXL_CACHE_MEM_CACHEABLE : 0);
}

/* The device for whose request the home asks; NULL if it is for none's */
static CacheMemDev *asking_dev(const CacheMemRegion *region)
{
    int number = cxl_cache_home_asking(region->home);
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (number >= 0 && cm->number == number) {
            return cm;
        }
    }
    return NULL;
}

static unsigned home_decode(void *opaque, uint64_t line)
{
    CacheMemRegion *region = opaque;
    unsigned mem = cache_mem_host_decode(region, line);
    CacheMemDev *cm = mem ? asking_dev(region) : NULL;
    uint32_t context;

    if (!cm) {
        return mem;
    }
    return cache_mem_context_allows(cm, line << CXL_CACHE_LINE_SHIFT,
                                    CXL_CACHE_LINE_SIZE, true, &context)
           ? mem | context << CXL_CACHE_MEM_CONTEXT_SHIFT : 0;
}

static MemTxAttrs home_attrs(const CacheMemRegion *region)
{
    return cache_mem_context_attrs(cxl_cache_home_context(region->home));
}

/* Its memory is not held as devices find it. */
static void read_by_view(const CacheMemRegion *region, const CacheMemSection *s,
                         uint64_t addr, CXLCacheLineData *data)
{
    CacheMemDev *cm = asking_dev(region);

    cache_mem_view_read(s, addr, data, home_attrs(region),
                        cm ? cm->name : NULL);
}

static bool home_read_line(void *opaque, uint64_t line, CXLCacheLineData *data,
                           bool *poison)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = line << CXL_CACHE_LINE_SHIFT;
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);

    if (!s) {
        return false;
    }
    if (unlikely(region->alias)) {
        cache_mem_alias_home(region, line, false);
    }
    memcpy(data, cache_mem_ram_mem(s, addr), sizeof(*data));
    if (cache_mem_view_has(s)) {
        read_by_view(region, s, addr, data);
    }
    *poison = cache_mem_poison_is(region->poison, line,
                                  cache_mem_ram_mem(s, addr));
    if (unlikely(region->llc)) {
        cache_mem_llc_read(region, line);
    }
    return true;
}

/*
 * Naturally aligned pieces, as large as can be, each by one store: vCPUs may
 * look at the same time, and a store of a device's is one for them as well.
 */
static void write_pieces(uint8_t *mem, const uint8_t *data, uint64_t be)
{
    unsigned size;

    for (unsigned at = 0; at < CXL_CACHE_LINE_SIZE; at += size) {
        for (size = 8; size > 1; size /= 2) {
            if (at % size == 0 && extract64(be, at, size) ==
                MAKE_64BIT_MASK(0, size)) {
                break;
            }
        }
        if (extract64(be, at, 1)) {
            stn_he_p(mem + at, size, ldn_he_p(data + at, size));
        }
    }
}

static bool home_write_line(void *opaque, uint64_t line,
                            const CXLCacheLineData *data, uint64_t be,
                            bool poison, CXLCacheWriteWhy why)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = line << CXL_CACHE_LINE_SHIFT;
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
    CXLCacheLineData buf;
    uint64_t to_ram = be;
    uint8_t *mem;

    if (!s) {
        return false;
    }
    if (unlikely(region->alias)) {
        cache_mem_alias_home(region, line, true);
    }
    mem = cache_mem_ram_mem(s, addr);
    data = cache_mem_view_write(s, addr, data, &to_ram, home_attrs(region),
                                &buf);
    if (why == CXL_CACHE_WRITE_POISON) {
        cache_mem_poison_lose(region->poison, line, mem);
    } else {
        if (to_ram == CXL_CACHE_BE_ALL) {
            memcpy(mem, data, sizeof(*data));
        } else {
            write_pieces(mem, data->b, to_ram);
        }
        if (poison || cache_mem_poison_any(region->poison)) {
            cache_mem_poison_write(region->poison, line, be, poison);
        }
    }
    cache_mem_ram_dirty(s, addr, CXL_CACHE_LINE_SIZE);
    if (unlikely(region->llc)) {
        cache_mem_llc_write(region, line, why);
    }
    return true;
}

static bool home_host_access(void *opaque, uint64_t line,
                             CXLCacheHostAccess access)
{
    CacheMemRegion *region = opaque;

    if (!cache_mem_pages_limit(region,
            QEMU_ALIGN_DOWN(line << CXL_CACHE_LINE_SHIFT, CACHE_MEM_PAGE_SIZE),
            BIT_ULL(line % CACHE_MEM_PAGE_LINES), access)) {
        return false;
    }
    if (unlikely(region->llc)) {
        cache_mem_llc_access(region, line, access);
    }
    if (unlikely(region->alias)) {
        cache_mem_alias_access(region, line, access);
    }
    return true;
}

/*
 * Pages, for the fast gear. What is injected takes messages, and so does what
 * the host's cache, or an alias, is to see, or what is converted on its way.
 */

/* Lines of a page that devices have by this address */
static uint64_t held_lines(const CacheMemSection *s, uint64_t addr)
{
    const CacheMemPage *p;

    if (!s->block || !s->block->watched) {
        return 0;
    }
    p = cache_mem_ram_page(s, addr);
    return p->addr == addr ? cache_mem_page_lines(p, true) : 0;
}

static bool home_page(void *opaque, CXLCachePage *page)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = page->line << CXL_CACHE_LINE_SHIFT;
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);

    if (!s || s->end - addr < CACHE_MEM_PAGE_SIZE || region->hooks ||
        region->llc || region->alias || cache_mem_poison_any(region->poison) ||
        !cache_mem_view_plain(s, addr)) {
        return false;
    }
    page->held = held_lines(s, addr);
    page->mem = cache_mem_ram_mem(s, addr);
    page->flags = cache_mem_host_decode(region, page->line);
    return cache_mem_context_plain_page(region, addr, page->held);
}

static bool home_page_access(void *opaque, const CXLCachePage *page,
                             uint64_t lines, CXLCacheHostAccess access)
{
    return cache_mem_pages_limit(opaque, page->line << CXL_CACHE_LINE_SHIFT,
                                 lines, access);
}

static void home_page_written(void *opaque, const CXLCachePage *page,
                              uint64_t lines, CXLCacheWriteWhy why)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = page->line << CXL_CACHE_LINE_SHIFT;

    cache_mem_ram_dirty(cache_mem_ram_find(region->ram, addr), addr,
                        CACHE_MEM_PAGE_SIZE);
}

static void home_left(void *opaque, uint64_t line, uint32_t context,
                      uint16_t devs)
{
    cache_mem_context_left(opaque, line, context, devs);
}

static void home_error(void *opaque, unsigned dev, CXLCacheError err,
                       CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    CacheMemRegion *region = opaque;
    CacheMemDev *cm;

    if (err == CXL_CACHE_ERR_MEMORY) {
        /* No fault of the device's: it is not in its registers. */
        trace_cxl_cache_error("memory", cxl_cache_error_name(err));
        return;
    }
    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->number == dev) {
            cache_mem_dev_note_error(cm, err);
        }
    }
}

const CXLCacheHomeOps cache_mem_home_ops = {
    .decode = home_decode,
    .read_line = home_read_line,
    .write_line = home_write_line,
    .host_access = home_host_access,
    .left = home_left,
    .error = home_error,
    .now = cache_mem_time_now,
    .defer = cache_mem_time_defer,
    .timeout = cache_mem_wait_timeout,
    .page = home_page,
    .page_access = home_page_access,
    .page_written = home_page_written,
};

/* Before a device has lines, and when it has none any more */

const char *cache_mem_host_why_not(const CacheMemRegion *region,
                                   const CacheMemSection *s)
{
    return region->obstacle ? region->obstacle :
           !s->block ? "it does not consist of whole pages of 4 KiB" :
           s->block->bypassed ? s->block->bypassed : s->block->unfit;
}

static void prepare_page(CacheMemRegion *region, CacheMemTaking *taking,
                         uint64_t addr, bool own, bool contexts)
{
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
    CacheMemPage *p;

    if (!s) {
        return;
    }
    if (!cache_mem_pages_usable(region, s)) {
        /* Who bypasses the trap has been named when he came. */
        if (own && !s->readonly && !(s->block && s->block->bypassed)) {
            cache_mem_pages_note(region, region->obstacle ? NULL : s->mr,
                                 cache_mem_host_why_not(region, s));
        }
        return;
    }
    p = cache_mem_ram_page(s, addr);
    if (p->addr != addr || (contexts && cache_mem_context_stale(region, p))) {
        cache_mem_pages_taken(region, taking);
        cache_mem_snoop_page(region, p);
    }
    if (own && !p->zapped) {
        cache_mem_pages_take(region, taking, s->block, p - s->block->page,
                             addr);
    }
}

void cache_mem_host_prepare(CacheMemRegion *region, const CacheMemSeg *seg,
                            unsigned n, bool own)
{
    bool contexts = cache_mem_context_any(region);
    CacheMemTaking taking;

    taking.n = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t end = ROUND_UP(seg[i].addr + seg[i].len, CACHE_MEM_PAGE_SIZE);

        for (uint64_t addr = QEMU_ALIGN_DOWN(seg[i].addr, CACHE_MEM_PAGE_SIZE);
             addr < end; addr += CACHE_MEM_PAGE_SIZE) {
            prepare_page(region, &taking, addr, own, contexts);
        }
    }
    cache_mem_pages_taken(region, &taking);
}

/* Zapped pages from @p on that nobody has lines of, @max at most */
static uint64_t count_idle(const CacheMemPage *p, uint64_t max)
{
    uint64_t n = 0;

    while (n < max && p[n].zapped && !cache_mem_page_lines(&p[n], true)) {
        n++;
    }
    return n;
}

void cache_mem_host_release(CacheMemRegion *region, hwaddr addr, uint64_t len)
{
    uint64_t end = ROUND_UP(addr + len, CACHE_MEM_PAGE_SIZE);

    trace_cxl_cache_unarm(addr, len);
    for (addr = QEMU_ALIGN_DOWN(addr, CACHE_MEM_PAGE_SIZE); addr < end;
         addr += CACHE_MEM_PAGE_SIZE) {
        CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
        CacheMemPage *p;
        uint64_t n;
        int ret;

        if (!s || !s->block || !s->block->watched) {
            continue;
        }
        p = cache_mem_ram_page(s, addr);
        n = count_idle(p, (MIN(end, s->end) - addr) >> CACHE_MEM_PAGE_SHIFT);
        if (n) {
            ret = cache_mem_pages_map(region, s->block, p - s->block->page, n,
                                      false);
            if (ret) {
                cache_mem_snoop_give_up(region, s->block, ret);
            }
            addr += (n - 1) << CACHE_MEM_PAGE_SHIFT;
        }
    }
}

/* RAM that comes, goes and moves */

static void block_added(RAMBlockNotifier *n, void *host, size_t size,
                        size_t max_size)
{
    CacheMemRegion *region = container_of(n, CacheMemRegion, block_notifier);
    CacheMemBlock *block = cache_mem_ram_block_new(host, max_size);

    block->bypassed = cache_mem_bypass_why(block->rb);
    QEMU_LOCK_GUARD(&region->lock);
    QLIST_INSERT_HEAD(&region->ram->blocks, block, next);
}

static void block_removed(RAMBlockNotifier *n, void *host, size_t size,
                          size_t max_size)
{
    CacheMemRegion *region = container_of(n, CacheMemRegion, block_notifier);
    CacheMemBlock *block;

    QEMU_LOCK_GUARD(&region->lock);
    block = cache_mem_ram_find_block(region->ram, host);
    if (block) {
        cache_mem_snoop_unwatch(region, block);
        cache_mem_stream_forget(region->stream, block);
        cache_mem_ram_remove_block(region->ram, block);
    }
}

static void listener_begin(MemoryListener *listener)
{
    cache_mem_ram_begin(container_of(listener, CacheMemRegion, listener)->ram);
}

static void listener_region(MemoryListener *listener,
                            MemoryRegionSection *section)
{
    cache_mem_ram_add(container_of(listener, CacheMemRegion, listener)->ram,
                      section);
}

/* Before a range goes, its lines come home. */
static void listener_del(MemoryListener *listener, MemoryRegionSection *section)
{
    CacheMemRegion *region = container_of(listener, CacheMemRegion, listener);
    uint64_t addr = section->offset_within_address_space;
    uint64_t end = addr + int128_get64(section->size);

    QEMU_LOCK_GUARD(&region->lock);
    while (addr < end && region->stats.pages) {
        CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
        uint64_t stop;

        if (!s) {
            break;
        }
        stop = MIN(end, s->end);
        cache_mem_snoop_section(region, s, addr, stop);
        addr = stop;
    }
}

static void listener_commit(MemoryListener *listener)
{
    CacheMemRegion *region = container_of(listener, CacheMemRegion, listener);

    WITH_QEMU_LOCK_GUARD(&region->lock) {
        cache_mem_ram_commit(region->ram);
    }
    cache_mem_ram_begin(region->ram);
}

/* Users of guest memory that go past this process's page tables */

static void bypass_changed(void *opaque)
{
    CacheMemRegion *region = opaque;
    CacheMemBlock *block;

    QEMU_LOCK_GUARD(&region->lock);
    region->bypassed = cache_mem_bypass_why(NULL);
    QLIST_FOREACH(block, &region->ram->blocks, next) {
        block->bypassed = cache_mem_bypass_why(block->rb);
        if (block->bypassed) {
            cache_mem_snoop_block(region, block);
        }
    }
}

bool cache_mem_host_check(CacheMemRegion *region, Error **errp)
{
    bool any = false;

    QEMU_LOCK_GUARD(&region->lock);
    for (unsigned i = 0; i < region->ram->sections->len; i++) {
        CacheMemSection *s = &g_array_index(region->ram->sections,
                                            CacheMemSection, i);

        if (!cache_mem_ram_is_main(s)) {
            continue;
        }
        any = true;
        if (!cache_mem_pages_usable(region, s)) {
            error_setg(errp, "lines of memory '%s' cannot be kept: %s",
                       memory_region_name(s->mr),
                       cache_mem_host_why_not(region, s));
            return false;
        }
    }
    if (!any) {
        error_setg(errp, "lines of memory cannot be kept: this machine has "
                   "none");
    }
    return any;
}

static bool line_is_ram(void *opaque, uint64_t line)
{
    CacheMemRegion *region = opaque;

    return cache_mem_ram_find(region->ram, line << CXL_CACHE_LINE_SHIFT);
}

void cache_mem_host_start(CacheMemRegion *region)
{
    region->ram = cache_mem_ram_new();
    region->stream = cache_mem_stream_new(region->prefetch);
    cache_mem_touch_start(region);
    region->block_notifier.ram_block_added = block_added;
    region->block_notifier.ram_block_removed = block_removed;
    ram_block_notifier_add(&region->block_notifier);
    region->listener = (MemoryListener) {
        .name = "cxl-cache",
        .begin = listener_begin,
        .region_add = listener_region,
        .region_nop = listener_region,
        .region_del = listener_del,
        .commit = listener_commit,
    };
    memory_listener_register(&region->listener, &address_space_memory);
    region->bypass = cache_mem_bypass_new(bypass_changed, region);
    bypass_changed(region);
    /* Memory that was poisoned may have been unplugged. */
    cache_mem_poison_retain(region->poison, line_is_ram, region);
}

void cache_mem_host_stop(CacheMemRegion *region)
{
    g_clear_pointer(&region->bypass, cache_mem_bypass_free);
    memory_listener_unregister(&region->listener);
    ram_block_notifier_remove(&region->block_notifier);
    cache_mem_touch_stop(region);
    g_clear_pointer(&region->ram, cache_mem_ram_free);
    g_clear_pointer(&region->stream, cache_mem_stream_free);
    g_clear_pointer(&region->said, g_hash_table_unref);
    g_clear_pointer(&region->no_trap, g_free);
    region->bypassed = NULL;
    region->discards = false;
    cache_mem_pages_update(region);
    region->can_share = false;
    region->stats = (CacheMemTrapStats) { };
}
