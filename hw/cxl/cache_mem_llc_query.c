/*
 * CacheMemRegion: x-query-cxl-llc and "info cxl-llc"
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "qobject/qdict.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "cache_mem_internal.h"

/* The enumerations of qapi/cxl.json are in the order of ours. */
QEMU_BUILD_BUG_ON((int)CXL_LLC_HASH_TYPE_LINEAR != CXL_LLC_HASH_LINEAR);
QEMU_BUILD_BUG_ON((int)CXL_LLC_HASH_TYPE_INTEL != CXL_LLC_HASH_INTEL);
QEMU_BUILD_BUG_ON((int)CXL_LLC_HASH_TYPE__MAX != CXL_LLC_NUM_HASHES);

/* Collecting, with the lock held */

static CxlLlcEvictionStatsList *query_evictions(const uint64_t *n)
{
    CxlLlcEvictionStatsList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_LLC_NUM_REASONS; i++) {
        CxlLlcEvictionStats *info = g_new0(CxlLlcEvictionStats, 1);

        info->reason = i;
        info->count = n[i];
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlLlcMaskList *query_masks(const CXLLlc *cache)
{
    CxlLlcMaskList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_LLC_NUM_CLASSES; i++) {
        CxlLlcMask *info = g_new0(CxlLlcMask, 1);

        info->agent = i;
        info->mask = cxl_llc_mask(cache, i);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlLlcSliceStatsList *query_slices(const CXLLlc *cache)
{
    CxlLlcSliceStatsList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < cxl_llc_config(cache)->slices; i++) {
        const CXLLlcStats *stats = cxl_llc_stats(cache, i);
        CxlLlcSliceStats *info = g_new0(CxlLlcSliceStats, 1);

        info->slice = i;
        info->hits = stats->hits;
        info->misses = stats->misses;
        info->fills = stats->fills;
        info->write_backs = stats->write_backs;
        info->evictions = query_evictions(stats->evictions);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlLlcWayList *query_ways(CacheMemRegion *region, unsigned slice,
                                 unsigned set)
{
    const CXLLlc *cache = region->llc->cache;
    CxlLlcWayList *list = NULL, **tail = &list;

    for (unsigned way = 0; way < cxl_llc_config(cache)->ways; way++) {
        CxlLlcWay *info = g_new0(CxlLlcWay, 1);
        CXLLlcEntry e;
        uint8_t age;

        info->way = way;
        info->valid = cxl_llc_entry(cache, slice, set, way, &e, &age);
        info->age = age;
        if (info->valid) {
            info->has_address = info->has_dirty = info->has_held = true;
            info->has_agent = true;
            info->address = e.line << CXL_CACHE_LINE_SHIFT;
            info->dirty = e.dirty;
            info->held = region->home &&
                         cxl_cache_home_tracks(region->home, e.line, NULL);
            info->agent = (CxlLlcAgent)e.class;
        }
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlLlcSet *query_set(CacheMemRegion *region, unsigned slice,
                            unsigned set)
{
    CxlLlcSet *info = g_new0(CxlLlcSet, 1);

    info->slice = slice;
    info->set = set;
    info->ways = query_ways(region, slice, set);
    return info;
}

static CxlLlcInfo *query_llc(CacheMemRegion *region)
{
    const CacheMemLlc *llc = region->llc;
    const CXLLlcConfig *config = cxl_llc_config(llc->cache);
    CxlLlcInfo *info = g_new0(CxlLlcInfo, 1);

    info->id = g_strdup(llc->name);
    info->size = config->size;
    info->ways = config->ways;
    info->slices = config->slices;
    info->sets = cxl_llc_sets(llc->cache);
    info->hash = (CxlLlcHashType)config->hash;
    info->policy = g_strdup(config->policy);
    info->inclusive = llc->inclusive;
    info->directory_ways = config->directory_ways;
    info->masks = query_masks(llc->cache);
    info->taken = query_evictions(llc->taken);
    info->taken_modified = llc->taken_modified;
    info->cpu_loads = llc->loads;
    info->cpu_stores = llc->stores;
    info->statistics = query_slices(llc->cache);
    return info;
}

static bool check_set(const CXLLlc *cache, bool has_address, bool has_slice,
                      uint32_t slice, bool has_set, uint32_t set,
                      Error **errp)
{
    if (has_slice != has_set || (has_address && has_set)) {
        error_setg(errp, "A set is named by 'address', or by 'slice' and "
                   "'set'");
        return false;
    }
    if (has_set && (slice >= cxl_llc_config(cache)->slices ||
                    set >= cxl_llc_sets(cache))) {
        error_setg(errp, "The cache has %u slices of %u sets",
                   cxl_llc_config(cache)->slices, cxl_llc_sets(cache));
        return false;
    }
    return true;
}

CxlLlcInfo *qmp_x_query_cxl_llc(bool has_address, uint64_t address,
                                bool has_slice, uint32_t slice,
                                bool has_set, uint32_t set, Error **errp)
{
    CacheMemRegion *region = cache_mem_region_get();
    uint64_t line = address >> CXL_CACHE_LINE_SHIFT;
    CxlLlcInfo *info;

    if (!region || !region->llc) {
        error_setg(errp, "This machine has no cxl-host-llc");
        return NULL;
    }
    QEMU_LOCK_GUARD(&region->lock);
    if (!check_set(region->llc->cache, has_address, has_slice, slice, has_set,
                   set, errp)) {
        return NULL;
    }
    info = query_llc(region);
    if (has_address) {
        info->content = query_set(region,
            cxl_llc_slice_of(region->llc->cache, line),
            cxl_llc_set_of(region->llc->cache, line));
    } else if (has_set) {
        info->content = query_set(region, slice, set);
    }
    return info;
}

/* Printing */

static void print_evictions(Monitor *mon, const char *what,
                            const CxlLlcEvictionStatsList *l)
{
    monitor_printf(mon, "  %-18s", what);
    for (; l; l = l->next) {
        monitor_printf(mon, " %s %" PRIu64,
                       CxlLlcEviction_str(l->value->reason), l->value->count);
    }
    monitor_printf(mon, "\n");
}

static void print_set(Monitor *mon, const CxlLlcSet *set)
{
    const CxlLlcWayList *l;

    monitor_printf(mon, "slice %u set %u\n", set->slice, set->set);
    for (l = set->ways; l; l = l->next) {
        const CxlLlcWay *w = l->value;

        monitor_printf(mon, "  way %2u age %2u ", w->way, w->age);
        if (w->valid) {
            monitor_printf(mon, "0x%012" PRIx64 " by %s%s%s\n", w->address,
                           CxlLlcAgent_str(w->agent), w->dirty ? " dirty" : "",
                           w->held ? " held" : "");
        } else {
            monitor_printf(mon, "empty\n");
        }
    }
}

static void print_llc(Monitor *mon, const CxlLlcInfo *info)
{
    const CxlLlcMaskList *m;
    const CxlLlcSliceStatsList *s;

    monitor_printf(mon, "%s: %" PRIu64 " bytes, %u slices (%s) of %u sets of "
                   "%u ways, %s, %sinclusive", info->id, info->size,
                   info->slices, CxlLlcHashType_str(info->hash), info->sets,
                   info->ways, info->policy, info->inclusive ? "" : "not ");
    if (!info->inclusive) {
        monitor_printf(mon, ", directory of %u ways", info->directory_ways);
    }
    monitor_printf(mon, "\n");
    for (m = info->masks; m; m = m->next) {
        monitor_printf(mon, "  ways for %-9s 0x%08x\n",
                       CxlLlcAgent_str(m->value->agent), m->value->mask);
    }
    print_evictions(mon, "taken from devices", info->taken);
    monitor_printf(mon, "  of them modified   %" PRIu64 "\n",
                   info->taken_modified);
    monitor_printf(mon, "  seen of CPUs       %" PRIu64 " loads, %" PRIu64
                   " stores\n", info->cpu_loads, info->cpu_stores);
    for (s = info->statistics; s; s = s->next) {
        monitor_printf(mon, "slice %2u: %" PRIu64 " hits, %" PRIu64 " misses, %"
                       PRIu64 " fills, %" PRIu64 " write-backs\n",
                       s->value->slice, s->value->hits, s->value->misses,
                       s->value->fills, s->value->write_backs);
        print_evictions(mon, "evictions", s->value->evictions);
    }
}

void hmp_info_cxl_llc(Monitor *mon, const QDict *qdict)
{
    bool has_address = qdict_haskey(qdict, "address");
    g_autoptr(CxlLlcInfo) info = NULL;
    Error *err = NULL;

    info = qmp_x_query_cxl_llc(has_address, has_address ?
                               qdict_get_int(qdict, "address") : 0,
                               false, 0, false, 0, &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    print_llc(mon, info);
    if (info->content) {
        print_set(mon, info->content);
    }
}
