/*
 * CacheMemRegion: looking at an encrypted alias
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "cache_mem_internal.h"

QEMU_BUILD_BUG_ON((int)CXL_TAG_COHERENCE__MAX != CXL_ALIAS_COHERENT_ALL + 1);

static unsigned asid_of(unsigned context)
{
    return context - CXL_ALIAS_OF_ASID(0);
}

static CxlAliasPair *query_pair(const CXLAliasPair *pair)
{
    CxlAliasPair *info = g_new0(CxlAliasPair, 1);

    info->address = pair->line << CXL_CACHE_LINE_SHIFT;
    info->asid = asid_of(pair->context);
    if (pair->other == CXL_ALIAS_DEVICE) {
        info->other = CXL_ALIAS_OTHER_DEVICE;
    } else if (pair->other == CXL_ALIAS_PLAIN) {
        info->other = CXL_ALIAS_OTHER_PLAIN;
    } else {
        info->other = CXL_ALIAS_OTHER_ENCRYPTED;
        info->has_other_asid = true;
        info->other_asid = asid_of(pair->other);
    }
    info->overwritten = pair->overwritten;
    info->stale = pair->stale;
    info->bypassed = pair->bypassed;
    return info;
}

static CxlAliasPairList *query_pairs(const CXLAlias *model)
{
    CxlAliasPairList *list = NULL, **tail = &list;
    const CXLAliasPair *pair;

    for (unsigned i = 0; (pair = cxl_alias_pair(model, i)); i++) {
        QAPI_LIST_APPEND(tail, query_pair(pair));
    }
    return list;
}

static CxlAliasesInfo *query_alias(const CacheMemAlias *alias)
{
    const CXLAliasStats *stats = cxl_alias_stats(alias->model);
    CxlAliasesInfo *info = g_new0(CxlAliasesInfo, 1);

    info->bit = alias->bit;
    info->tag_coherence = (CxlTagCoherence)alias->coherence;
    info->asid = alias->asid;
    info->lines = cxl_alias_num_lines(alias->model, CXL_ALIAS_ALL_CPUS);
    info->scanned = stats->scanned;
    info->flushed = stats->flushed;
    info->needed = stats->needed;
    info->wasted = stats->wasted;
    info->overwritten = stats->overwritten;
    info->stale = stats->stale;
    info->bypassed = stats->bypassed;
    info->missed = stats->overwritten + stats->stale + stats->bypassed;
    info->write_backs = stats->write_backs;
    info->evictions = stats->evictions;
    info->pairs = query_pairs(alias->model);
    info->pairs_lost = cxl_alias_pairs_lost(alias->model);
    return info;
}

CxlAliasesInfo *qmp_x_query_cxl_aliases(Error **errp)
{
    CacheMemRegion *region = cache_mem_region_get();

    if (region) {
        QEMU_LOCK_GUARD(&region->lock);
        if (region->alias) {
            return query_alias(region->alias);
        }
    }
    error_setg(errp, "This machine has no cxl-cbit-alias");
    return NULL;
}

void hmp_info_cxl_aliases(Monitor *mon, const QDict *qdict)
{
    g_autoptr(CxlAliasesInfo) info = NULL;
    const CxlAliasPairList *l;
    Error *err = NULL;

    info = qmp_x_query_cxl_aliases(&err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "bit %u, tag-coherence %s, ASID %u: %" PRIu64
                   " lines\n", info->bit,
                   CxlTagCoherence_str(info->tag_coherence), info->asid,
                   info->lines);
    monitor_printf(mon, "  flushes      %" PRIu64 " scanned, %" PRIu64
                   " flushed, %" PRIu64 " needed, %" PRIu64 " wasted\n",
                   info->scanned, info->flushed, info->needed, info->wasted);
    monitor_printf(mon, "  missed       %" PRIu64 ": %" PRIu64
                   " overwritten, %" PRIu64 " stale, %" PRIu64 " bypassed\n",
                   info->missed, info->overwritten, info->stale,
                   info->bypassed);
    monitor_printf(mon, "  write-backs  %" PRIu64 ", evictions %" PRIu64 "\n",
                   info->write_backs, info->evictions);
    for (l = info->pairs; l; l = l->next) {
        const CxlAliasPair *p = l->value;

        monitor_printf(mon, "  0x%012" PRIx64 " ASID %u and %s", p->address,
                       p->asid, CxlAliasOther_str(p->other));
        if (p->has_other_asid) {
            monitor_printf(mon, " ASID %u", p->other_asid);
        }
        monitor_printf(mon, ": %" PRIu64 " overwritten, %" PRIu64 " stale, %"
                       PRIu64 " bypassed\n", p->overwritten, p->stale,
                       p->bypassed);
    }
    if (info->pairs_lost) {
        monitor_printf(mon, "  and %" PRIu64 " pairs more\n",
                       info->pairs_lost);
    }
}
