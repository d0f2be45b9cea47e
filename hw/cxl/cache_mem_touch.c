/*
 * CacheMemRegion: who touches pages of which devices have lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * vCPUs, and the kernel for QEMU's sake, are stopped by the trap. QEMU's own
 * devices say before what they are about to access, which costs less; what they
 * do not say, the trap still sees.
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "hw/pci/pci_device.h"
#include "system/ramblock.h"
#include "cache_mem_internal.h"
#include "trace.h"

#define MAX_TOUCHES 16

static CXLCacheHostOp touch_op(const CacheMemRegion *region, bool write)
{
    return write ? CXL_CACHE_HOST_WRITE :
           region->can_share ? CXL_CACHE_HOST_READ : CXL_CACHE_HOST_FLUSH;
}

/* The page that was touched, or NULL: it is not watched any more */
static CacheMemPage *touched_page(CacheMemRegion *region,
                                  const CacheMemTouch *t, CacheMemBlock **block)
{
    *block = cache_mem_ram_find_block(region->ram, t->host);
    if (!*block || !(*block)->watched) {
        return NULL;
    }
    return &(*block)->page[(t->host - (*block)->host) >> CACHE_MEM_PAGE_SHIFT];
}

/*
 * Links with time: the snoops are sent, and the lines come home when they do.
 * Meanwhile the lock is others', so the block may be gone.
 */
static void clear_way_in_time(CacheMemRegion *region, const CacheMemTouch *t)
{
    CacheMemRecall recall;
    CacheMemBlock *block;
    CacheMemPage *p = touched_page(region, t, &block);
    uint64_t lines;

    cache_mem_time_recall(region, &recall, p->addr);
    while ((p = touched_page(region, t, &block)) &&
           (lines = cache_mem_page_lines(p, t->write))) {
        cache_mem_snoop_ask(region, p, lines, touch_op(region, t->write));
        lines = cache_mem_page_lines(p, t->write);
        if (lines && !cache_mem_time_wait(region)) {
            cache_mem_snoop_lines(region, p, lines,
                                  touch_op(region, t->write));
        }
    }
    cache_mem_time_recalled(region, &recall);
}

/* The devices' lines that stand in the way of an access come home. */
static void clear_way(CacheMemRegion *region, const CacheMemPage *p,
                      const CacheMemTouch *t)
{
    bool write = t->write;
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
    if (cxl_cache_is_timed(region->home)) {
        clear_way_in_time(region, t);
        return;
    }
    cache_mem_snoop_lines(region, p, lines, touch_op(region, write));
}

/* Before a page is touched. Returns whether it is the guest's now. */
static bool bring_home(CacheMemRegion *region, CacheMemBlock *block,
                       const CacheMemPage *p, uint64_t lines, bool write)
{
    int ret;

    cache_mem_snoop_lines(region, p, lines, touch_op(region, write));
    ret = cache_mem_snoop_give(region, block, p);
    if (ret) {
        cache_mem_snoop_give_up(region, block, ret);
    }
    return !ret;
}

/* What is about to be touched comes home with what has been. */
static void give_next(CacheMemRegion *region, const CacheMemPage *p, bool write)
{
    CacheMemStreamPage next[CACHE_MEM_PREFETCH_MAX];
    unsigned n = cache_mem_stream_touched(region->stream, p, next);

    for (unsigned i = 0; i < n; i++) {
        uint64_t lines = cache_mem_page_lines(next[i].page, write);

        trace_cxl_cache_ahead(next[i].page->addr, write ? "write" : "read",
                              ctpop64(lines));
        if (!bring_home(region, next[i].block, next[i].page, lines, write)) {
            break;
        }
        region->stats.ahead++;
    }
}

static void touched(CacheMemRegion *region, const CacheMemTouch *t)
{
    CacheMemBlock *block;
    const CacheMemPage *p = touched_page(region, t, &block);
    int ret;

    if (p) {
        clear_way(region, p, t);
        p = touched_page(region, t, &block);
    }
    if (!p) {
        /* Who touched it goes on since it is not watched any more. */
        return;
    }
    if (t->protected) {
        ret = cache_mem_trap_unprotect(region->trap, t->host,
                                       CACHE_MEM_PAGE_SIZE);
    } else {
        ret = cache_mem_snoop_give(region, block, p);
    }
    if (ret) {
        cache_mem_snoop_give_up(region, block, ret);
    } else if (!t->protected && !region->hooks &&
               !cxl_cache_is_timed(region->home)) {
        give_next(region, p, t->write);
    }
    if (cxl_cache_is_timed(region->home)) {
        /* What had to stay behind the touch */
        cxl_cache_run(region->home);
        cache_mem_time_arm(region);
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

/* QEMU's own devices */

/* A device's own accesses do not go past its cache by what it maps. */
static bool is_ours(const CacheMemRegion *region, const AddressSpace *as)
{
    const CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (as == &PCI_DEVICE(cm->config.dev)->bus_master_as) {
            return true;
        }
    }
    return false;
}

static void access_page(CacheMemRegion *region, CacheMemBlock *block,
                        const CacheMemPage *p, bool write)
{
    uint64_t lines = cache_mem_page_lines(p, write);

    trace_cxl_cache_dma(p->addr, write ? "write" : "read", ctpop64(lines));
    bring_home(region, block, p, lines, write);
    region->stats.dma++;
}

static void ram_accessed(void *opaque, const AddressSpace *as,
                         const RAMBlock *rb, ram_addr_t offset,
                         ram_addr_t len, bool is_write)
{
    CacheMemRegion *region = opaque;
    CacheMemBlock *block;
    uint64_t last = (offset + len - 1) >> CACHE_MEM_PAGE_SHIFT;

    /*
     * Nothing has ever been watched: a guest that does not use its device. Or
     * it is a look at a ring or a register file in RAM, hardly ever at a page
     * of which a device has lines: not worth the lock.
     */
    if ((!qatomic_read(&region->discard_disabled) ||
         (!as && len < CXL_CACHE_LINE_SIZE)) && !qatomic_read(&region->llc) &&
        !qatomic_read(&region->alias)) {
        return;
    }
    QEMU_LOCK_GUARD(&region->lock);
    if (region->alias) {
        cache_mem_alias_dma(region, rb, offset, len, is_write);
    }
    if (region->hooks || !region->ram || is_ours(region, as)) {
        return;
    }
    block = cache_mem_ram_find_block(region->ram, rb->host + offset);
    for (uint64_t i = offset >> CACHE_MEM_PAGE_SHIFT;
         block && block->watched && i <= last; i++) {
        if (block->page[i].zapped) {
            access_page(region, block, &block->page[i], is_write);
        }
    }
    if (region->llc) {
        cache_mem_llc_dma(region, rb->offset + offset, len, is_write);
    }
}

void cache_mem_touch_start(CacheMemRegion *region)
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
    cache_mem_touch_listen(region);
}

void cache_mem_touch_listen(CacheMemRegion *region)
{
    ram_access_func_set(ram_accessed, region);
}

void cache_mem_touch_stop(CacheMemRegion *region)
{
    if (!region->alias) {
        ram_access_func_set(NULL, NULL);
    }
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
