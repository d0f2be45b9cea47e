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
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "hw/pci/pci_device.h"
#include "system/ramblock.h"
#include "cache_mem_internal.h"
#include "trace.h"

#define MAX_TOUCHES 16

/* So often touches that wait for a device which does not answer are tried */
#define PARKED_MS   2
/* The main loop has not gone round for as long: it may be who waits. */
#define BEAT_NS     (1000 * SCALE_MS)

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
 * Meanwhile the lock is others', so the block may be gone. Returns false if a
 * device does not answer.
 */
static bool clear_way_in_time(CacheMemRegion *region, const CacheMemTouch *t)
{
    CacheMemRecall recall;
    CacheMemBlock *block;
    CacheMemPage *p = touched_page(region, t, &block);
    uint64_t lines;
    bool hangs = false;

    cache_mem_time_recall(region, &recall, p->addr);
    while (!hangs && (p = touched_page(region, t, &block)) &&
           (lines = cache_mem_page_lines(p, t->write))) {
        cache_mem_snoop_ask(region, p, lines, touch_op(region, t->write));
        lines = cache_mem_page_lines(p, t->write);
        if (lines && !cache_mem_time_wait(region)) {
            hangs = cache_mem_wait_hangs(region);
            if (!hangs) {
                cache_mem_snoop_lines(region, p, lines,
                                      touch_op(region, t->write));
            }
        }
    }
    cache_mem_time_recalled(region, &recall);
    return !hangs;
}

static void count_touch(CacheMemRegion *region, const CacheMemPage *p,
                        const CacheMemTouch *t)
{
    trace_cxl_cache_fault(p->addr, t->write ? "write" : "read",
                          ctpop64(cache_mem_page_lines(p, t->write)));
    if (!cache_mem_page_lines(p, true)) {
        region->stats.other++;
    } else if (t->write) {
        region->stats.writes++;
    } else {
        region->stats.reads++;
    }
}

/*
 * The devices' lines that stand in the way of an access come home. Returns
 * false if they do not, since a device does not answer.
 */
static bool clear_way(CacheMemRegion *region, const CacheMemPage *p,
                      const CacheMemTouch *t)
{
    if (!cache_mem_page_lines(p, true) ||
        (region->hooks && region->hooks->snoop &&
         !region->hooks->snoop(region))) {
        return true;
    }
    if (cxl_cache_is_timed(region->home)) {
        return clear_way_in_time(region, t);
    }
    cache_mem_snoop_lines(region, p, cache_mem_page_lines(p, t->write),
                          touch_op(region, t->write));
    return true;
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

/*
 * @again: not for the first time. Returns false if who touched it has to wait
 * for a device that does not answer.
 */
static bool touched(CacheMemRegion *region, const CacheMemTouch *t, bool again)
{
    CacheMemBlock *block;
    const CacheMemPage *p = touched_page(region, t, &block);
    int ret;

    if (p) {
        if (!again) {
            count_touch(region, p, t);
        }
        if (!clear_way(region, p, t)) {
            return false;
        }
        p = touched_page(region, t, &block);
    }
    if (!p) {
        /* Who touched it goes on since it is not watched any more. */
        return true;
    }
    if (cxl_cache_is_timed(region->home)) {
        cache_mem_time_before_touch(region);
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
        cache_mem_time_after_touch(region);
    }
    return true;
}

/* ---- Touches that wait for a device which does not answer ---- */

static void main_loop_beat(void *opaque)
{
    CacheMemRegion *region = opaque;

    qatomic_set(&region->beating, false);
}

/*
 * The main loop waits for vCPUs when the machine is to stop or to be reset, and
 * may be who has touched memory itself: it must not wait for ever. If it does
 * not go round the device is given up.
 */
static void check_main_loop(CacheMemRegion *region, int64_t *since)
{
    if (!qatomic_read(&region->beating)) {
        *since = get_clock();
        qatomic_set(&region->beating, true);
        qemu_bh_schedule(region->beat);
    } else if (get_clock() - *since > BEAT_NS) {
        QEMU_LOCK_GUARD(&region->lock);
        cache_mem_wait_give_up(region);
        *since = get_clock();
    }
}

static void try_parked(CacheMemRegion *region, GArray *parked)
{
    for (int i = parked->len - 1; i >= 0; i--) {
        QEMU_LOCK_GUARD(&region->lock);
        if (touched(region, &g_array_index(parked, CacheMemTouch, i), true)) {
            g_array_remove_index_fast(parked, i);
        }
    }
}

static void *touch_thread(void *opaque)
{
    CacheMemRegion *region = opaque;
    g_autoptr(GArray) parked = g_array_new(false, false,
                                           sizeof(CacheMemTouch));
    CacheMemTouch touch[MAX_TOUCHES];
    int64_t since = 0;
    int n;

    rcu_register_thread();
    cache_mem_time_for_vcpu();
    do {
        n = parked->len ?
            cache_mem_trap_wait_ms(region->trap, touch, MAX_TOUCHES,
                                   PARKED_MS) :
            cache_mem_trap_wait(region->trap, touch, MAX_TOUCHES);
        for (int i = 0; i < n; i++) {
            QEMU_LOCK_GUARD(&region->lock);
            if (!touched(region, &touch[i], false)) {
                g_array_append_val(parked, touch[i]);
            }
        }
        if (parked->len) {
            try_parked(region, parked);
            check_main_loop(region, &since);
        }
    } while (n);
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
    region->beat = qemu_bh_new(main_loop_beat, region);
    region->beating = false;
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
    g_clear_pointer(&region->beat, qemu_bh_delete);
    g_clear_pointer(&region->trap, cache_mem_trap_free);
    if (region->discard_disabled) {
        ram_block_discard_disable(false);
        region->discard_disabled = false;
    }
}
