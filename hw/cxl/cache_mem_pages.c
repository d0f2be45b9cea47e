/*
 * CacheMemRegion: which pages the guest may touch
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Of each page it is known for which lines the guest may do nothing (a device
 * owns them) and which it may only read (devices share them). While there is
 * one of the first kind, the page is not in the guest's mapping; while there
 * are some of the second kind alone, it is not there or it is write-protected.
 *
 * Memory is watched when lines of it are to be kept for the first time: a guest
 * that does not use its device pays nothing.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "system/ramblock.h"
#include "cache_mem_internal.h"
#include "trace.h"

void cache_mem_pages_note(CacheMemRegion *region, const MemoryRegion *mr,
                          const char *why)
{
    char *text = mr ?
        g_strdup_printf("devices use lines of memory '%s' once and keep none "
                        "of them: %s", memory_region_name(mr), why) :
        g_strdup_printf("devices use lines of guest memory once and keep "
                        "none: %s", why);

    if (!region->said) {
        region->said = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                             NULL);
    }
    if (!g_hash_table_contains(region->said, text)) {
        warn_report("CXL.cache: %s", text);
    }
    g_hash_table_add(region->said, text);
}

void cache_mem_pages_update(CacheMemRegion *region)
{
    region->obstacle = region->no_trap ? region->no_trap :
                       region->discards ? "another device discards memory" :
                       NULL;
}

void cache_mem_pages_refuse(CacheMemRegion *region, CacheMemBlock *block,
                            char *why)
{
    g_free(block->unfit);
    block->unfit = why;
    cache_mem_pages_note(region, block->rb->mr, why);
}

/* A page that is not there when it is zapped would not be trapped. */
static bool disable_discard(CacheMemRegion *region)
{
    region->discard_disabled = region->discard_disabled ||
                               !ram_block_discard_disable(true);
    return region->discard_disabled;
}

bool cache_mem_pages_watch(CacheMemRegion *region, CacheMemBlock *block)
{
    Error *err = NULL;

    if (!disable_discard(region)) {
        region->discards = true;
        cache_mem_pages_update(region);
        return false;
    }
    if (!cache_mem_trap_watch(region->trap, block->host, block->size, &err)) {
        cache_mem_pages_refuse(region, block,
                               g_strdup(error_get_pretty(err)));
        error_free(err);
        return false;
    }
    block->watched = true;
    return true;
}

static CacheMemZap run_zap(const struct CacheMemRun *run)
{
    uint64_t at = run->page << CACHE_MEM_PAGE_SHIFT;

    return (CacheMemZap) {
        run->block->host + at, run->block->alias + at,
        run->n << CACHE_MEM_PAGE_SHIFT,
    };
}

static void set_zapped(const struct CacheMemRun *run, bool zapped)
{
    for (uint64_t i = 0; i < run->n; i++) {
        run->block->page[run->page + i].zapped = zapped;
    }
}

static bool take_run(CacheMemRegion *region, const struct CacheMemRun *run,
                     int ret)
{
    CacheMemBlock *block = run->block;

    if (ret) {
        set_zapped(run, false);
        cache_mem_pages_refuse(region, block,
            g_strdup_printf("it cannot be taken from the guest: %s",
                            strerror(-ret)));
        return false;
    }
    for (uint64_t i = 0; i < run->n; i++) {
        cache_mem_stream_taken(region->stream, block,
                               &block->page[run->page + i]);
    }
    region->stats.zaps += run->n;
    trace_cxl_cache_zap(run->addr, run->n << CACHE_MEM_PAGE_SHIFT);
    return true;
}

bool cache_mem_pages_taken(CacheMemRegion *region, CacheMemTaking *taking)
{
    CacheMemZap zap[CACHE_MEM_ZAP_MAX];
    bool all, good = true;

    if (!taking->n) {
        /* There may be no trap at all */
        return true;
    }
    for (unsigned i = 0; i < taking->n; i++) {
        zap[i] = run_zap(&taking->run[i]);
    }
    all = cache_mem_trap_zap_all(region->trap, zap, taking->n);
    for (unsigned i = 0; i < taking->n; i++) {
        good &= take_run(region, &taking->run[i],
                         all ? 0 : cache_mem_trap_zap(&zap[i]));
    }
    taking->n = 0;
    return good;
}

void cache_mem_pages_take(CacheMemRegion *region, CacheMemTaking *taking,
                          CacheMemBlock *block, uint64_t page, uint64_t addr)
{
    struct CacheMemRun *last = taking->n ? &taking->run[taking->n - 1] : NULL;

    block->page[page].zapped = true;
    if (last && last->block == block && last->page + last->n == page) {
        last->n++;
        return;
    }
    if (taking->n == CACHE_MEM_ZAP_MAX) {
        cache_mem_pages_taken(region, taking);
    }
    taking->run[taking->n++] = (struct CacheMemRun) { block, page, 1, addr };
}

int cache_mem_pages_map(CacheMemRegion *region, CacheMemBlock *block,
                        uint64_t page, uint64_t n, bool protect)
{
    uint64_t at = page << CACHE_MEM_PAGE_SHIFT;
    int ret = cache_mem_trap_map(region->trap, block->host + at,
                                 block->alias + at, n << CACHE_MEM_PAGE_SHIFT,
                                 protect);

    if (ret) {
        return ret;
    }
    for (uint64_t i = page; i < page + n; i++) {
        block->page[i].zapped = false;
    }
    return 0;
}

uint64_t cache_mem_page_lines(const CacheMemPage *p, bool write)
{
    return write ? p->none | p->ro : p->none;
}

static bool page_held(const CacheMemPage *p)
{
    return p->none || p->ro;
}

/* Take a page out of the guest's mapping for a device that will have lines */
static bool restrict_page(CacheMemRegion *region, CacheMemBlock *block,
                          CacheMemPage *p, uint64_t addr)
{
    CacheMemTaking one;

    if (region->obstacle || block->unfit || block->bypassed ||
        (page_held(p) && p->addr != addr)) {
        return false;
    }
    p->addr = addr;
    if (p->zapped) {
        return true;
    }
    one.n = 0;
    cache_mem_pages_take(region, &one, block, p - block->page, addr);
    return cache_mem_pages_taken(region, &one);
}

static void note_held(CacheMemRegion *region, CacheMemBlock *block,
                      const CacheMemPage *p, bool before)
{
    bool now = page_held(p);

    if (now == before) {
        return;
    }
    if (now) {
        hbitmap_set(block->held, p - block->page, 1);
        region->stats.pages++;
    } else {
        hbitmap_reset(block->held, p - block->page, 1);
        region->stats.pages--;
    }
}

/* Lines with which the guest may do more than @access */
static uint64_t freer_lines(const CacheMemPage *p, uint64_t lines,
                            CXLCacheHostAccess access)
{
    return access == CXL_CACHE_HOST_NONE ? lines & ~p->none :
           access == CXL_CACHE_HOST_RO ? lines & ~(p->none | p->ro) : 0;
}

bool cache_mem_pages_limit(CacheMemRegion *region, uint64_t addr,
                           uint64_t lines, CXLCacheHostAccess access)
{
    CacheMemSection *s = cache_mem_ram_find(region->ram, addr);
    CacheMemPage *p;
    bool before;

    if (!s || !s->block || !s->block->watched) {
        return access == CXL_CACHE_HOST_RW;
    }
    p = cache_mem_ram_page(s, addr);
    before = page_held(p);
    if (freer_lines(p, lines, access) &&
        !restrict_page(region, s->block, p, addr)) {
        return false;
    }
    p->none &= ~lines;
    p->ro &= ~lines;
    if (access == CXL_CACHE_HOST_NONE) {
        p->none |= lines;
    } else if (access == CXL_CACHE_HOST_RO) {
        p->ro |= lines;
    }
    note_held(region, s->block, p, before);
    return true;
}
