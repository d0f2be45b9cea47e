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

static bool covers(void *opaque, hwaddr page)
{
    const CacheMemRegion *region = opaque;
    const GArray *pages = region->llc->watch;

    for (unsigned i = 0; i < pages->len; i++) {
        if (range_contains(&g_array_index(pages, Range, i), page)) {
            return true;
        }
    }
    return false;
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

static void accessed(void *opaque, const TCGRamAccess *a)
{
    CacheMemRegion *region = opaque;
    CacheMemLlcUse use = { };
    uint64_t last;

    QEMU_LOCK_GUARD(&region->lock);
    if (!region->llc || !region->home) {
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

bool cache_mem_llc_watch_start(CacheMemRegion *region, Error **errp)
{
    static TCGRamWatch watch = { .covers = covers, .access = accessed };

    if (!tcg_enabled()) {
        error_setg(errp, "'watch' needs accel=tcg");
        return false;
    }
    if (phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "'watch' must be there before CPUs run");
        return false;
    }
    watch.opaque = region;
    tcg_ram_watch_set(&watch);
    return true;
}

void cache_mem_llc_watch_stop(void)
{
    if (tcg_enabled()) {
        tcg_ram_watch_set(NULL);
    }
}
