/*
 * CacheMemRegion: CPUs' loads and stores of watched memory, under TCG
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/range.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "accel/tcg/ram-watch.h"
#include "hw/core/qdev.h"
#include "hw/cxl/cxl_cache_llc_regs.h"
#include "system/tcg.h"
#include "cache_mem_internal.h"

QEMU_BUILD_BUG_ON(CACHE_MEM_LLC_SAMPLES != CLR_NUM_SAMPLES);

/* Options */

static bool parse_pages(const char *str, Range *range, Error **errp)
{
    const char *end;
    uint64_t first, last;

    if (qemu_strtou64(str, &end, 0, &first) || *end != '-' ||
        qemu_strtou64(end + 1, &end, 0, &last) || *end) {
        error_setg(errp, "'watch' takes <first>-<last>[,...], addresses in "
                   "bytes; '%s' is something else", str);
        return false;
    }
    if (first > last || first % CACHE_MEM_PAGE_SIZE ||
        (last + 1) % CACHE_MEM_PAGE_SIZE) {
        error_setg(errp, "'watch': %s does not go from the first byte of a "
                   "page of 4 KiB to the last byte of one", str);
        return false;
    }
    range_set_bounds(range, first, last);
    return true;
}

GArray *cache_mem_llc_watch_parse(const char *str, Error **errp)
{
    g_autoptr(GArray) pages = g_array_new(false, false, sizeof(Range));
    g_auto(GStrv) parts = g_strsplit(str, ",", -1);

    for (char **part = parts; *part; part++) {
        Range range;

        if (!parse_pages(*part, &range, errp)) {
            return NULL;
        }
        g_array_append_val(pages, range);
    }
    return g_steal_pointer(&pages);
}

/* Accesses */

static bool llc_watches(const CacheMemLlc *llc, hwaddr addr)
{
    const GArray *pages = llc->watch;

    for (unsigned i = 0; pages && i < pages->len; i++) {
        if (range_contains(&g_array_index(pages, Range, i), addr)) {
            return true;
        }
    }
    return false;
}

static bool covers(void *opaque, hwaddr page)
{
    CacheMemRegion *region = opaque;

    QEMU_LOCK_GUARD(&region->lock);
    return (region->llc && llc_watches(region->llc, page)) ||
           (region->alias && cache_mem_alias_watches(region->alias, page));
}

/* As a PEBS record would have it: what a load has cost, and who had the line */
static void note_sample(CacheMemLlc *llc, const TCGRamAccess *a,
                        const CacheMemLlcUse *use)
{
    CacheMemLlcSample *s = &llc->sample[llc->samples % CACHE_MEM_LLC_SAMPLES];

    *s = (CacheMemLlcSample) {
        .ip = tcg_ram_watch_pc(a),
        .va = a->addr,
        .pa = a->phys,
        .source = use->modified ? CLR_SOURCE_MODIFIED :
                  use->hit ? CLR_SOURCE_HIT : CLR_SOURCE_MEMORY,
        .latency = use->modified ? CLR_LATENCY_MODIFIED :
                   use->hit ? CLR_LATENCY_HIT : CLR_LATENCY_MEMORY,
        .time = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL),
    };
    llc->samples++;
}

static void llc_accessed(CacheMemRegion *region, const TCGRamAccess *a)
{
    CacheMemLlcUse use = { };
    uint64_t last;

    if (!region->home || !llc_watches(region->llc, a->phys)) {
        return;
    }
    last = (a->phys + a->size - 1) >> CXL_CACHE_LINE_SHIFT;
    for (uint64_t line = a->phys >> CXL_CACHE_LINE_SHIFT; line <= last;
         line++) {
        cache_mem_llc_cpu(region, line,
                          a->store ? CXL_LLC_WRITE : CXL_LLC_READ, CXL_LLC_CPU,
                          &use);
    }
    region->llc->loads += a->load;
    region->llc->stores += a->store;
    if (a->load && region->llc->every &&
        region->llc->loads % region->llc->every == 0) {
        note_sample(region->llc, a, &use);
    }
}

static void accessed(void *opaque, const TCGRamAccess *a)
{
    CacheMemRegion *region = opaque;
    bool written = false;

    WITH_QEMU_LOCK_GUARD(&region->lock) {
        if (region->alias) {
            cache_mem_alias_cpu(region, a->cpu->cpu_index, a->phys, a->size,
                                a->store);
            written = region->alias->written->len;
        }
        if (region->llc) {
            llc_accessed(region, a);
        }
    }
    if (written) {
        cache_mem_alias_written(region);
    }
}

/*
 * The last-level cache is all CPUs', and has no data: what is written back,
 * and stays, is for it as it was.
 */
static void flush_llc(CacheMemRegion *region, TCGCacheFlush how, hwaddr addr)
{
    if (!region->home) {
        return;
    }
    if (how == TCG_CACHE_FLUSH_LINE) {
        cache_mem_llc_flush_line(region, addr >> CXL_CACHE_LINE_SHIFT);
    } else if (how == TCG_CACHE_FLUSH_ALL) {
        cache_mem_llc_flush(region);
    }
}

static void flush_alias(CacheMemRegion *region, CPUState *cpu,
                        TCGCacheFlush how, hwaddr addr)
{
    if (how == TCG_CACHE_FLUSH_LINE) {
        cache_mem_alias_flush_line(region, addr);
    } else {
        cxl_alias_flush(region->alias->model, cpu->cpu_index,
                        how == TCG_CACHE_FLUSH_ALL);
    }
}

static void flushed(void *opaque, CPUState *cpu, TCGCacheFlush how, hwaddr addr)
{
    CacheMemRegion *region = opaque;
    bool has_alias;

    WITH_QEMU_LOCK_GUARD(&region->lock) {
        has_alias = region->alias;
        if (has_alias) {
            flush_alias(region, cpu, how, addr);
        }
        if (region->llc) {
            flush_llc(region, how, addr);
        }
    }
    if (has_alias) {
        cache_mem_alias_written(region);
    }
}

void cache_mem_watch_start(CacheMemRegion *region)
{
    static TCGRamWatch watch = {
        .covers = covers,
        .access = accessed,
        .flush = flushed,
    };

    if (tcg_enabled() && !phase_check(PHASE_MACHINE_READY)) {
        watch.opaque = region;
        tcg_ram_watch_set(&watch);
    }
}

bool cache_mem_llc_watch_start(CacheMemRegion *region, Error **errp)
{
    bool wanted = region->llc->watch;

    if (wanted && !tcg_enabled()) {
        error_setg(errp, "'watch' needs accel=tcg");
        return false;
    }
    if (wanted && phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "'watch' must be there before CPUs run");
        return false;
    }
    cache_mem_watch_start(region);
    return true;
}

void cache_mem_llc_watch_stop(CacheMemRegion *region)
{
    if (tcg_enabled() && !region->alias) {
        tcg_ram_watch_set(NULL);
    }
}
