/*
 * CacheMemRegion: what the host's last-level cache sees, and what it takes
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-events-cxl.h"
#include "cache_mem_internal.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(CXL_LLC_LINE_SHIFT != CXL_CACHE_LINE_SHIFT);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION_SET_CONFLICT != CXL_LLC_EVICT_SET);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION_DIRECTORY_CONFLICT !=
                  CXL_LLC_EVICT_DIRECTORY);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION_DDIO != CXL_LLC_EVICT_DDIO);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION_UNPIN != CXL_LLC_EVICT_UNPIN);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION_FLUSH != CXL_LLC_EVICT_FLUSH);
QEMU_BUILD_BUG_ON((int)CXL_LLC_EVICTION__MAX != CXL_LLC_NUM_REASONS);
QEMU_BUILD_BUG_ON((int)CXL_LLC_AGENT_CPU != CXL_LLC_CPU);
QEMU_BUILD_BUG_ON((int)CXL_LLC_AGENT_DEVICE != CXL_LLC_DEVICE);
QEMU_BUILD_BUG_ON((int)CXL_LLC_AGENT_DMA != CXL_LLC_DMA);
QEMU_BUILD_BUG_ON((int)CXL_LLC_AGENT_PIN != CXL_LLC_PIN);
QEMU_BUILD_BUG_ON((int)CXL_LLC_AGENT__MAX != CXL_LLC_NUM_CLASSES);

/* Lines that devices may not have any more */

static bool held(const CacheMemRegion *region, uint64_t line)
{
    return region->home && cxl_cache_home_tracks(region->home, line, NULL);
}

static void take_later(CacheMemRegion *region, const CXLLlcEntry *was,
                       CXLLlcReason reason, CXLLlcClass by)
{
    CacheMemLlc *llc = region->llc;

    if (!held(region, was->line)) {
        return;
    }
    if (llc->num_waiting == CACHE_MEM_LLC_WAITING) {
        llc->overflow = true;
        return;
    }
    llc->waiting[llc->num_waiting++] = (CacheMemLlcTaken) {
        .was = *was,
        .reason = reason,
        .by = by,
    };
}

/* A line has left the cache. */
static void left(CacheMemRegion *region, const CXLLlcEntry *was,
                 CXLLlcReason reason, CXLLlcClass by)
{
    trace_cxl_cache_llc_evict(was->line << CXL_CACHE_LINE_SHIFT, was->slice,
                              was->set, was->way, was->dirty ? " dirty" : "",
                              cxl_llc_reason_name(reason),
                              cxl_llc_class_name(by));
    if (region->llc->inclusive) {
        take_later(region, was, reason, by);
    }
}

/* Returns: whether the line was there */
static bool use(CacheMemRegion *region, uint64_t line, CXLLlcKind kind,
                CXLLlcClass class)
{
    CXLLlcResult r;

    cxl_llc_access(region->llc->cache, line, kind, class, &r);
    if (trace_event_get_state_backends(TRACE_CXL_CACHE_LLC_ACCESS)) {
        trace_cxl_cache_llc_access(line << CXL_CACHE_LINE_SHIFT, kind,
                                   cxl_llc_class_name(class), r.at.slice,
                                   r.at.set, r.at.way, r.hit ? "hit" :
                                   r.allocated ? "filled" : "not kept");
    }
    if (r.evicted) {
        left(region, &r.victim, r.reason, class);
    }
    return r.hit;
}

/* What the home does for devices */

void cache_mem_llc_read(CacheMemRegion *region, uint64_t line)
{
    CacheMemLlc *llc = region->llc;
    bool granted = llc->granted == line;

    llc->granted = UINT64_MAX;
    if (!granted && !region->snooping) {
        use(region, line, CXL_LLC_READ, CXL_LLC_DEVICE);
    }
}

static bool is_leaving(const CacheMemLlc *llc, uint64_t line)
{
    for (unsigned i = 0; i < llc->num_leaving; i++) {
        if (llc->leaving[i] == line) {
            return true;
        }
    }
    return false;
}

void cache_mem_llc_write(CacheMemRegion *region, uint64_t line,
                         CXLCacheWriteWhy why)
{
    CacheMemLlc *llc = region->llc;

    llc->granted = UINT64_MAX;
    /* What is driven out of the caches goes to memory. */
    if (llc->settling || why == CXL_CACHE_WRITE_POISON ||
        (why == CXL_CACHE_WRITE_BACK && is_leaving(llc, line))) {
        return;
    }
    use(region, line, why == CXL_CACHE_WRITE_BACK ? CXL_LLC_WRITE_BACK :
                                                    CXL_LLC_WRITE,
        CXL_LLC_DEVICE);
}

/* No device has it any more. */
static void has_left(CacheMemLlc *llc, uint64_t line)
{
    for (unsigned i = 0; i < llc->num_leaving; i++) {
        if (llc->leaving[i] == line) {
            llc->leaving[i] = llc->leaving[--llc->num_leaving];
        }
    }
}

void cache_mem_llc_access(CacheMemRegion *region, uint64_t line,
                          CXLCacheHostAccess access)
{
    CacheMemLlc *llc = region->llc;
    CXLLlcEntry was;

    if (access == CXL_CACHE_HOST_RW) {
        cxl_llc_untrack(llc->cache, line);
        has_left(llc, line);
        return;
    }
    if (region->snooping) {
        /* An owner keeps it shared: nobody has got anything. */
        return;
    }
    use(region, line, access == CXL_CACHE_HOST_NONE ? CXL_LLC_OWN :
                                                      CXL_LLC_READ,
        CXL_LLC_DEVICE);
    llc->granted = line;
    if (cxl_llc_track(llc->cache, line, &was)) {
        take_later(region, &was, CXL_LLC_EVICT_DIRECTORY, CXL_LLC_DEVICE);
    }
}

/* What others do */

/* The guest's address of RAM, or all ones; @len is cut to what is there. */
static uint64_t guest_address(const CacheMemRegion *region, ram_addr_t addr,
                              uint64_t *len)
{
    const GArray *a = region->ram->sections;

    for (unsigned i = 0; i < a->len; i++) {
        const CacheMemSection *s = &g_array_index(a, CacheMemSection, i);
        uint64_t size = s->end - s->start;

        if (addr >= s->ram_addr && addr - s->ram_addr < size) {
            uint64_t at = addr - s->ram_addr;

            *len = MIN(*len, size - at);
            return s->start + at;
        }
    }
    return UINT64_MAX;
}

void cache_mem_llc_dma(CacheMemRegion *region, ram_addr_t addr, uint64_t len,
                       bool write)
{
    uint64_t part;

    for (; len; addr += part, len -= part) {
        uint64_t at;

        part = len;
        at = guest_address(region, addr, &part);
        if (at == UINT64_MAX) {
            break;
        }
        for (uint64_t line = at >> CXL_CACHE_LINE_SHIFT;
             line <= (at + part - 1) >> CXL_CACHE_LINE_SHIFT; line++) {
            use(region, line, write ? CXL_LLC_WRITE : CXL_LLC_READ,
                CXL_LLC_DMA);
        }
    }
    cache_mem_llc_settle(region);
}

void cache_mem_llc_cpu(CacheMemRegion *region, uint64_t line, CXLLlcKind kind,
                       CXLLlcClass class, CacheMemLlcUse *found)
{
    CXLLlcEntry entry;
    CXLCacheState state;
    bool excl = false;

    if (!region->ram ||
        !cache_mem_ram_find(region->ram, line << CXL_CACHE_LINE_SHIFT)) {
        return;
    }
    if (!cxl_cache_home_tracks(region->home, line, &excl)) {
        /* No device has it: there is nothing to be snooped, nor to wait for. */
        found->modified = false;
        found->hit = use(region, line, kind, class);
        cache_mem_llc_settle(region);
        return;
    }
    found->hit = cxl_llc_find(region->llc->cache, line, &entry);
    cache_mem_snoop_holder(region, line, &state);
    found->modified = state == CXL_CACHE_M;
    if (kind != CXL_LLC_READ) {
        cache_mem_snoop_line(region, line, CXL_CACHE_HOST_FLUSH);
    } else if (excl) {
        cache_mem_snoop_line(region, line,
                             region->can_share ? CXL_CACHE_HOST_READ :
                                                 CXL_CACHE_HOST_FLUSH);
    }
    use(region, line, kind, class);
    cache_mem_llc_settle(region);
}

void cache_mem_llc_flush_line(CacheMemRegion *region, uint64_t line)
{
    CXLLlcEntry was;

    /* What a device has modified comes here first, and goes on. */
    cache_mem_snoop_line(region, line, CXL_CACHE_HOST_FLUSH);
    if (cxl_llc_flush_line(region->llc->cache, line, &was)) {
        left(region, &was, CXL_LLC_EVICT_FLUSH, CXL_LLC_CPU);
    }
    cache_mem_llc_settle(region);
}

static void flushed(void *opaque, const CXLLlcEntry *was)
{
    left(opaque, was, CXL_LLC_EVICT_FLUSH, CXL_LLC_CPU);
}

void cache_mem_llc_flush(CacheMemRegion *region)
{
    cxl_llc_flush(region->llc->cache, flushed, region);
    cache_mem_llc_settle(region);
}

void cache_mem_llc_reset(CacheMemRegion *region)
{
    CacheMemLlc *llc = region->llc;

    cxl_llc_reset(llc->cache);
    llc->num_waiting = 0;
    llc->num_leaving = 0;
    llc->overflow = false;
    llc->granted = UINT64_MAX;
    llc->taken_modified = 0;
    llc->addr = 0;
    llc->loads = llc->stores = llc->samples = 0;
    memset(llc->sample, 0, sizeof(llc->sample));
    memset(llc->taken, 0, sizeof(llc->taken));
}

/* Taking lines from devices */

/* It may have come back meanwhile. */
static bool may_be_held(const CacheMemLlc *llc, uint64_t line,
                        CXLLlcReason reason)
{
    CXLLlcEntry entry;

    return reason == CXL_LLC_EVICT_DIRECTORY ?
           cxl_llc_tracks(llc->cache, line) :
           cxl_llc_find(llc->cache, line, &entry);
}

static bool has_to_go(CacheMemRegion *region, const CacheMemLlcTaken *t)
{
    return held(region, t->was.line) &&
           !may_be_held(region->llc, t->was.line, t->reason);
}

static void tell_taken(CacheMemLlc *llc, const CacheMemLlcTaken *t,
                       const CacheMemDev *cm, CXLCacheState state)
{
    uint64_t addr = t->was.line << CXL_CACHE_LINE_SHIFT;

    llc->taken[t->reason]++;
    llc->taken_modified += state == CXL_CACHE_M;
    trace_cxl_cache_llc_take(addr, cm->name, cxl_cache_states[state].name,
                             cxl_llc_reason_name(t->reason));
    qapi_event_send_cxl_llc_evicted(llc->name, addr, t->was.slice, t->was.set,
                                    t->was.way, (CxlLlcEviction)t->reason,
                                    (CxlLlcAgent)t->by, cm->name,
                                    cxl_cache_states[state].name);
}

static void take(CacheMemRegion *region, const CacheMemLlcTaken *t)
{
    const CacheMemDev *cm;
    CXLCacheState state;

    if (!has_to_go(region, t)) {
        return;
    }
    cm = cache_mem_snoop_holder(region, t->was.line, &state);
    cache_mem_snoop_line(region, t->was.line, CXL_CACHE_HOST_FLUSH);
    /* Else the snoop filter has thought so: it had been dropped silently. */
    if (cm && !is_leaving(region->llc, t->was.line)) {
        tell_taken(region->llc, t, cm, state);
    }
}

/* All lines of devices, for those that are not where they have to be */
static void take_unknown(CacheMemRegion *region)
{
    CacheMemLlc *llc = region->llc;
    CXLLlcReason reason = llc->inclusive ? CXL_LLC_EVICT_SET :
                                           CXL_LLC_EVICT_DIRECTORY;
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        for (unsigned i = 0; i < cxl_cache_dev_num_lines(cm->dev); i++) {
            CXLCacheSlot slot;

            if (cxl_cache_dev_slot(cm->dev, i, &slot)) {
                const CacheMemLlcTaken t = {
                    .was.line = slot.line,
                    .was.slice = cxl_llc_slice_of(llc->cache, slot.line),
                    .was.set = cxl_llc_set_of(llc->cache, slot.line),
                    .reason = reason,
                    .by = CXL_LLC_DEVICE,
                };

                take(region, &t);
            }
        }
    }
}

void cache_mem_llc_settle(CacheMemRegion *region)
{
    CacheMemLlc *llc = region->llc;

    if (!llc || llc->settling) {
        return;
    }
    llc->granted = UINT64_MAX;
    if (!llc->num_waiting && !llc->overflow) {
        return;
    }
    /* Others' traffic is not to be taken for what follows from this. */
    cxl_cache_run(region->home);
    llc->settling = true;
    for (unsigned i = 0; i < llc->num_waiting; i++) {
        take(region, &llc->waiting[i]);
    }
    if (llc->overflow) {
        take_unknown(region);
    }
    llc->num_waiting = 0;
    llc->overflow = false;
    llc->settling = false;
}

/* ---- Taking them in time ---- */

/* Returns: false if it is to be asked for again */
static bool ask(CacheMemRegion *region, const CacheMemLlcTaken *t)
{
    CacheMemLlc *llc = region->llc;
    const CacheMemDev *cm;
    CXLCacheState state;

    if (!has_to_go(region, t) || is_leaving(llc, t->was.line)) {
        return true;
    }
    cm = cache_mem_snoop_holder(region, t->was.line, &state);
    if (llc->num_leaving == CACHE_MEM_LLC_WAITING ||
        !cache_mem_snoop_start(region, t->was.line, CXL_CACHE_HOST_FLUSH)) {
        return false;
    }
    llc->leaving[llc->num_leaving++] = t->was.line;
    if (cm) {
        tell_taken(llc, t, cm, state);
    }
    return true;
}

void cache_mem_llc_go_on(CacheMemRegion *region)
{
    CacheMemLlc *llc = region->llc;
    unsigned n = 0;

    if (!llc || !region->home || llc->settling) {
        return;
    }
    if (!cxl_cache_is_timed(region->home) || llc->overflow) {
        cache_mem_llc_settle(region);
        return;
    }
    llc->granted = UINT64_MAX;
    for (unsigned i = 0; i < llc->num_waiting; i++) {
        if (!ask(region, &llc->waiting[i])) {
            llc->waiting[n++] = llc->waiting[i];
        }
    }
    llc->num_waiting = n;
    cxl_cache_run(region->home);
}
