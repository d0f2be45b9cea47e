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
#include "cache_mem_internal.h"
#include "trace.h"

#define MAX_TOUCHES 16

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

static unsigned home_decode(void *opaque, uint64_t line)
{
    return cache_mem_host_decode(opaque, line);
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
    memcpy(data, cache_mem_ram_mem(s, addr), sizeof(*data));
    *poison = cache_mem_poison_is(region->poison, line,
                                  cache_mem_ram_mem(s, addr));
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
    uint8_t *mem;

    if (!s) {
        return false;
    }
    mem = cache_mem_ram_mem(s, addr);
    if (why == CXL_CACHE_WRITE_POISON) {
        cache_mem_poison_lose(region->poison, line, mem);
    } else {
        if (be == CXL_CACHE_BE_ALL) {
            memcpy(mem, data, sizeof(*data));
        } else {
            write_pieces(mem, data->b, be);
        }
        if (poison || cache_mem_poison_any(region->poison)) {
            cache_mem_poison_write(region->poison, line, be, poison);
        }
    }
    cache_mem_ram_dirty(s, addr, CXL_CACHE_LINE_SIZE);
    return true;
}

static bool home_host_access(void *opaque, uint64_t line,
                             CXLCacheHostAccess access)
{
    return cache_mem_pages_limit(opaque,
        QEMU_ALIGN_DOWN(line << CXL_CACHE_LINE_SHIFT, CACHE_MEM_PAGE_SIZE),
        BIT_ULL(line % CACHE_MEM_PAGE_LINES), access);
}

/* Pages, for the fast gear. What is injected takes messages. */

/* Lines of the page that devices have by this address */
static uint64_t held_lines(const CacheMemPage *p, uint64_t addr)
{
    return p->addr == addr ? cache_mem_page_lines(p, true) : 0;
}

static bool home_page(void *opaque, CXLCachePage *page)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = page->line << CXL_CACHE_LINE_SHIFT;
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);

    if (!s || s->end - addr < CACHE_MEM_PAGE_SIZE || region->hooks ||
        cache_mem_poison_any(region->poison)) {
        return false;
    }
    page->mem = cache_mem_ram_mem(s, addr);
    page->flags = cache_mem_host_decode(region, page->line);
    page->held = s->block ? held_lines(cache_mem_ram_page(s, addr), addr) : 0;
    return true;
}

static bool home_page_access(void *opaque, const CXLCachePage *page,
                             uint64_t lines, CXLCacheHostAccess access)
{
    return cache_mem_pages_limit(opaque, page->line << CXL_CACHE_LINE_SHIFT,
                                 lines, access);
}

static void home_page_written(void *opaque, const CXLCachePage *page,
                              uint64_t lines)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = page->line << CXL_CACHE_LINE_SHIFT;

    cache_mem_ram_dirty(cache_mem_ram_find(region->ram, addr), addr,
                        CACHE_MEM_PAGE_SIZE);
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
    .error = home_error,
    .page = home_page,
    .page_access = home_page_access,
    .page_written = home_page_written,
};

/* Snoops */

/* Have the devices give up lines of a page */
static void snoop_lines(CacheMemRegion *region, const CacheMemPage *p,
                        uint64_t lines, CXLCacheHostOp op)
{
    uint64_t first = p->addr >> CXL_CACHE_LINE_SHIFT;

    cache_mem_trace_update(region);
    lines &= ~cxl_cache_page_recall(region->home, first, lines, op);
    for (; lines; lines &= lines - 1) {
        CXLCacheHostReq req = { .line = first + ctz64(lines), .op = op };

        while (cxl_cache_home_host(region->home, &req) < 0) {
            cxl_cache_run(region->home);
        }
    }
    cxl_cache_run(region->home);
}

static void recall_page(CacheMemRegion *region, const CacheMemPage *p)
{
    uint64_t lines = cache_mem_page_lines(p, true);

    if (lines) {
        snoop_lines(region, p, lines, CXL_CACHE_HOST_FLUSH);
    }
}

static void recall_block(CacheMemRegion *region, CacheMemBlock *block)
{
    int64_t i = -1;

    if (!block->held) {
        return;
    }
    while ((i = hbitmap_next_dirty(block->held, i + 1, INT64_MAX)) >= 0) {
        recall_page(region, &block->page[i]);
    }
}

/* All lines come home, and who sleeps there goes on. */
static void unwatch_block(CacheMemRegion *region, CacheMemBlock *block)
{
    if (block->watched) {
        recall_block(region, block);
        cache_mem_trap_unwatch(region->trap, block->host, block->size);
        block->watched = false;
    }
}

/* Of the pages that devices know by these addresses, all in one section */
static void recall_section(CacheMemRegion *region, const CacheMemSection *s,
                           uint64_t addr, uint64_t end)
{
    uint64_t page = s->page + ((addr - s->start) >> CACHE_MEM_PAGE_SHIFT);
    uint64_t stop = page + ((end - addr) >> CACHE_MEM_PAGE_SHIFT);
    int64_t i = page - 1;

    if (!s->block || !s->block->held) {
        return;
    }
    while ((i = hbitmap_next_dirty(s->block->held, i + 1,
                                   stop - i - 1)) >= 0) {
        const CacheMemPage *p = &s->block->page[i];

        if (p->addr == addr + ((i - page) << CACHE_MEM_PAGE_SHIFT)) {
            recall_page(region, p);
        }
    }
}

/* Touches */

static CXLCacheHostOp touch_op(const CacheMemRegion *region, bool write)
{
    return write ? CXL_CACHE_HOST_WRITE :
           region->can_share ? CXL_CACHE_HOST_READ : CXL_CACHE_HOST_FLUSH;
}

/* The devices' lines that stand in the way of an access come home. */
static void clear_way(CacheMemRegion *region, const CacheMemPage *p, bool write)
{
    uint64_t lines = cache_mem_page_lines(p, write);

    trace_cxl_cache_fault(p->addr, write ? "write" : "read", ctpop64(lines));
    if (!cache_mem_page_lines(p, true)) {
        region->stats.other++;
        return;
    }
    if (write) {
        region->stats.writes++;
    } else {
        region->stats.reads++;
    }
    if (region->hooks && region->hooks->snoop &&
        !region->hooks->snoop(region)) {
        return;
    }
    snoop_lines(region, p, lines, touch_op(region, write));
}

/*
 * A page cannot be given back as it should be: nobody is to sleep for ever. All
 * of the block goes to the guest, and no line of it is kept any more.
 */
static void release_block(CacheMemRegion *region, CacheMemBlock *block, int ret)
{
    unwatch_block(region, block);
    cache_mem_pages_refuse(region, block,
        g_strdup_printf("userfaultfd cannot give it back: %s",
                        strerror(-ret)));
}

/* A page whose lines have come home goes to the guest. Returns 0, or -errno */
static int give_page(CacheMemRegion *region, CacheMemBlock *block,
                     const CacheMemPage *p)
{
    uint64_t page = p - block->page;
    int ret = cache_mem_pages_map(region, block, page, 1, p->ro);

    if (ret == -EINVAL && p->ro) {
        /* This kernel cannot: from now on lines are not shared. */
        region->can_share = false;
        recall_page(region, p);
        ret = cache_mem_pages_map(region, block, page, 1, false);
    }
    return ret;
}

/* What is about to be touched comes home with what has been. */
static void give_next(CacheMemRegion *region, const CacheMemPage *p, bool write)
{
    CacheMemStreamPage next[CACHE_MEM_PREFETCH_MAX];
    unsigned n = cache_mem_stream_touched(region->stream, p, next);
    int ret = 0;

    for (unsigned i = 0; i < n && !ret; i++) {
        uint64_t lines = cache_mem_page_lines(next[i].page, write);

        trace_cxl_cache_ahead(next[i].page->addr, write ? "write" : "read",
                              ctpop64(lines));
        snoop_lines(region, next[i].page, lines, touch_op(region, write));
        ret = give_page(region, next[i].block, next[i].page);
        region->stats.ahead += !ret;
        if (ret) {
            release_block(region, next[i].block, ret);
        }
    }
}

static void touched(CacheMemRegion *region, const CacheMemTouch *t)
{
    CacheMemBlock *block = cache_mem_ram_find_block(region->ram, t->host);
    const CacheMemPage *p;
    int ret;

    if (!block || !block->watched) {
        /* Who touched it goes on since it is not watched any more. */
        return;
    }
    p = &block->page[(t->host - block->host) >> CACHE_MEM_PAGE_SHIFT];
    clear_way(region, p, t->write);
    if (t->protected) {
        ret = cache_mem_trap_unprotect(region->trap, t->host,
                                       CACHE_MEM_PAGE_SIZE);
    } else {
        ret = give_page(region, block, p);
    }
    if (ret) {
        release_block(region, block, ret);
    } else if (!t->protected && !region->hooks) {
        give_next(region, p, t->write);
    }
}

static void *touch_thread(void *opaque)
{
    CacheMemRegion *region = opaque;
    CacheMemTouch touch[MAX_TOUCHES];
    int n;

    rcu_register_thread();
    while ((n = cache_mem_trap_wait(region->trap, touch, MAX_TOUCHES)) > 0) {
        for (int i = 0; i < n; i++) {
            QEMU_LOCK_GUARD(&region->lock);
            touched(region, &touch[i]);
        }
    }
    rcu_unregister_thread();
    return NULL;
}

/* Before a device has lines, and when it has none any more */

const char *cache_mem_host_why_not(const CacheMemRegion *region,
                                   const CacheMemSection *s)
{
    return region->obstacle ? region->obstacle :
           !s->block ? "it does not consist of whole pages of 4 KiB" :
           s->block->bypassed ? s->block->bypassed : s->block->unfit;
}

void cache_mem_host_prepare(CacheMemRegion *region, hwaddr addr, uint64_t len,
                            bool own)
{
    uint64_t end = ROUND_UP(addr + len, CACHE_MEM_PAGE_SIZE);
    CacheMemBlock *block = NULL;
    uint64_t from = 0, from_addr = 0, n = 0;

    for (addr = QEMU_ALIGN_DOWN(addr, CACHE_MEM_PAGE_SIZE); addr < end;
         addr += CACHE_MEM_PAGE_SIZE) {
        CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
        CacheMemPage *p;

        if (!s) {
            continue;
        }
        if (!cache_mem_pages_usable(region, s)) {
            /* Who bypasses the trap has been named when he came. */
            if (own && !s->readonly && !(s->block && s->block->bypassed)) {
                cache_mem_pages_note(region, region->obstacle ? NULL : s->mr,
                                     cache_mem_host_why_not(region, s));
            }
            continue;
        }
        p = cache_mem_ram_page(s, addr);
        if (p->addr != addr) {
            recall_page(region, p);
        }
        if (!own || p->zapped) {
            continue;
        }
        if (n && (block != s->block || p != &block->page[from + n])) {
            cache_mem_pages_zap(region, block, from, n, from_addr);
            n = 0;
        }
        if (!n) {
            block = s->block;
            from = p - block->page;
            from_addr = addr;
        }
        n++;
    }
    if (n) {
        cache_mem_pages_zap(region, block, from, n, from_addr);
    }
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
                release_block(region, s->block, ret);
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
        unwatch_block(region, block);
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
        recall_section(region, s, addr, stop);
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
            recall_block(region, block);
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

static void start_trap(CacheMemRegion *region)
{
    Error *err = NULL;

    region->trap = cache_mem_trap_new(&err);
    if (!region->trap) {
        region->no_trap = g_strdup(error_get_pretty(err));
        cache_mem_pages_update(region);
        error_free(err);
        return;
    }
    region->can_share = cache_mem_trap_can_protect(region->trap);
    qemu_thread_create(&region->thread, "cxl-cache", touch_thread, region,
                       QEMU_THREAD_JOINABLE);
}

void cache_mem_host_start(CacheMemRegion *region)
{
    region->ram = cache_mem_ram_new();
    region->stream = cache_mem_stream_new(region->prefetch);
    start_trap(region);
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

static void stop_trap(CacheMemRegion *region)
{
    if (!region->trap) {
        return;
    }
    cache_mem_trap_stop(region->trap);
    qemu_thread_join(&region->thread);
    g_clear_pointer(&region->trap, cache_mem_trap_free);
    if (region->discard_disabled) {
        ram_block_discard_disable(false);
        region->discard_disabled = false;
    }
}

void cache_mem_host_stop(CacheMemRegion *region)
{
    g_clear_pointer(&region->bypass, cache_mem_bypass_free);
    memory_listener_unregister(&region->listener);
    ram_block_notifier_remove(&region->block_notifier);
    stop_trap(region);
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
