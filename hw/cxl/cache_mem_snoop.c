/*
 * CacheMemRegion: lines come home
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "cache_mem_internal.h"

/* Returns: those of the lines that are the host's to ask for later */
static uint64_t ask_for(CacheMemRegion *region, const CacheMemPage *p,
                        uint64_t lines, CXLCacheHostOp op)
{
    uint64_t first = p->addr >> CXL_CACHE_LINE_SHIFT, later = 0;

    for (; lines; lines &= lines - 1) {
        CXLCacheHostReq req = { .line = first + ctz64(lines), .op = op };

        if (cxl_cache_home_host(region->home, &req) < 0) {
            later |= lines & -lines;
        }
    }
    return later;
}

void cache_mem_snoop_ask(CacheMemRegion *region, const CacheMemPage *p,
                         uint64_t lines, CXLCacheHostOp op)
{
    cache_mem_trace_update(region);
    ask_for(region, p, lines, op);
    cxl_cache_run(region->home);
}

/*
 * On links with time these are brought forward, as far as it takes. What others
 * were about to get when this began, they get, and lose again; @of: of these
 * lines of the page.
 */
static void snoop_in_time(CacheMemRegion *region, const CacheMemPage *p,
                          uint64_t of, CXLCacheHostOp op)
{
    CacheMemRecall recall;
    uint64_t lines;

    cache_mem_time_recall(region, &recall, p->addr);
    while ((lines = cache_mem_page_lines(p, op != CXL_CACHE_HOST_READ) & of)) {
        ask_for(region, p, lines, op);
        if (!cxl_cache_advance(region->home) &&
            !cache_mem_wait_give_up(region)) {
            break;
        }
    }
    cache_mem_time_recalled(region, &recall);
}

static void snoop_at_once(CacheMemRegion *region, const CacheMemPage *p,
                          uint64_t lines, CXLCacheHostOp op)
{
    uint64_t first = p->addr >> CXL_CACHE_LINE_SHIFT;

    lines &= ~cxl_cache_page_recall(region->home, first, lines, op);
    while ((lines = ask_for(region, p, lines, op))) {
        cxl_cache_run(region->home);
    }
    cxl_cache_run(region->home);
}

static void snoop(CacheMemRegion *region, const CacheMemPage *p,
                  uint64_t lines, uint64_t of, CXLCacheHostOp op)
{
    cache_mem_trace_update(region);
    region->snooping = true;
    if (cxl_cache_is_timed(region->home)) {
        snoop_in_time(region, p, of, op);
    } else {
        snoop_at_once(region, p, lines, op);
    }
    region->snooping = false;
    /* What came home may have had other lines leave the host's cache. */
    cache_mem_llc_settle(region);
}

void cache_mem_snoop_lines(CacheMemRegion *region, const CacheMemPage *p,
                           uint64_t lines, CXLCacheHostOp op)
{
    snoop(region, p, lines, UINT64_MAX, op);
}

/* The page of a line, if devices may know it by this address */
static const CacheMemPage *page_of(CacheMemRegion *region, uint64_t line)
{
    uint64_t addr = QEMU_ALIGN_DOWN(line << CXL_CACHE_LINE_SHIFT,
                                    CACHE_MEM_PAGE_SIZE);
    CacheMemSection *s = region->ram ? cache_mem_ram_find(region->ram, addr) :
                                       NULL;
    const CacheMemPage *p;

    if (!s || !s->block || !s->block->watched) {
        return NULL;
    }
    p = cache_mem_ram_page(s, addr);
    return p->addr == addr ? p : NULL;
}

void cache_mem_snoop_line(CacheMemRegion *region, uint64_t line,
                          CXLCacheHostOp op)
{
    const CacheMemPage *p = page_of(region, line);

    if (p && region->home &&
        cxl_cache_home_tracks(region->home, line, NULL)) {
        uint64_t bit = BIT_ULL(line % CACHE_MEM_PAGE_LINES);

        snoop(region, p, bit, bit, op);
    }
}

bool cache_mem_snoop_start(CacheMemRegion *region, uint64_t line,
                           CXLCacheHostOp op)
{
    const CacheMemPage *p = page_of(region, line);

    return !p || !cxl_cache_home_tracks(region->home, line, NULL) ||
           !ask_for(region, p, BIT_ULL(line % CACHE_MEM_PAGE_LINES), op);
}

const CacheMemDev *cache_mem_snoop_holder(CacheMemRegion *region,
                                          uint64_t line, CXLCacheState *state)
{
    const CacheMemDev *found = NULL;
    CacheMemDev *cm;

    *state = CXL_CACHE_I;
    QTAILQ_FOREACH(cm, &region->devices, next) {
        CXLCacheState has = cxl_cache_dev_state(cm->dev, line);

        if (has != CXL_CACHE_I) {
            found = cm;
            *state = has;
        }
    }
    return found;
}

void cache_mem_snoop_page(CacheMemRegion *region, const CacheMemPage *p)
{
    uint64_t lines = cache_mem_page_lines(p, true);

    if (lines) {
        cache_mem_snoop_lines(region, p, lines, CXL_CACHE_HOST_FLUSH);
    }
}

void cache_mem_snoop_block(CacheMemRegion *region, CacheMemBlock *block)
{
    int64_t i = -1;

    if (!block->held) {
        return;
    }
    while ((i = hbitmap_next_dirty(block->held, i + 1, INT64_MAX)) >= 0) {
        cache_mem_snoop_page(region, &block->page[i]);
    }
}

void cache_mem_snoop_unwatch(CacheMemRegion *region, CacheMemBlock *block)
{
    if (block->watched) {
        cache_mem_snoop_block(region, block);
        cache_mem_trap_unwatch(region->trap, block->host, block->size);
        block->watched = false;
    }
}

void cache_mem_snoop_section(CacheMemRegion *region, const CacheMemSection *s,
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
            cache_mem_snoop_page(region, p);
        }
    }
}

/* Pages go to the guest */

void cache_mem_snoop_give_up(CacheMemRegion *region, CacheMemBlock *block,
                             int ret)
{
    cache_mem_snoop_unwatch(region, block);
    cache_mem_pages_refuse(region, block,
        g_strdup_printf("userfaultfd cannot give it back: %s",
                        strerror(-ret)));
}

int cache_mem_snoop_give(CacheMemRegion *region, CacheMemBlock *block,
                         const CacheMemPage *p)
{
    uint64_t page = p - block->page;
    int ret = cache_mem_pages_map(region, block, page, 1, p->ro);

    if (ret == -EINVAL && p->ro) {
        /* This kernel cannot: from now on lines are not shared. */
        region->can_share = false;
        cache_mem_snoop_page(region, p);
        ret = cache_mem_pages_map(region, block, page, 1, false);
    }
    return ret;
}
