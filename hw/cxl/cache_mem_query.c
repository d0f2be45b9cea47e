/*
 * CacheMemRegion: x-query-cxl-cache and "info cxl-cache"
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "hw/core/qdev.h"
#include "hw/cxl/cxl_cache_look.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "cache_mem_internal.h"

/* The enumerations of qapi/cxl.json are in the order of ours. */
QEMU_BUILD_BUG_ON((int)CXL_CACHE_MODE_OFF != CACHE_MEM_OFF);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_MODE_ONCE != CACHE_MEM_ONCE);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_MODE_ON != CACHE_MEM_ON);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_ACCESS_READ != CXL_CACHE_HOST_READ);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_ACCESS_PEEK != CXL_CACHE_HOST_PEEK);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_ACCESS_WRITE != CXL_CACHE_HOST_WRITE);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_ACCESS_FLUSH != CXL_CACHE_HOST_FLUSH);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_D2H_REQ != CXL_CACHE_D2H_REQ);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_D2H_RSP != CXL_CACHE_D2H_RSP);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_D2H_DATA != CXL_CACHE_D2H_DATA);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_H2D_REQ != CXL_CACHE_H2D_REQ);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_H2D_RSP != CXL_CACHE_H2D_RSP);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE_H2D_DATA != CXL_CACHE_H2D_DATA);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_CHANNEL_TYPE__MAX != CXL_CACHE_NUM_CHANNELS);

static const CXLCacheError faults[] = {
    [CXL_CACHE_FAULT_RESERVED_ENCODING] = CXL_CACHE_ERR_RSVD_ENCODING,
    [CXL_CACHE_FAULT_ID_IN_USE]         = CXL_CACHE_ERR_ID_IN_USE,
    [CXL_CACHE_FAULT_ID_UNKNOWN]        = CXL_CACHE_ERR_ID_UNKNOWN,
    [CXL_CACHE_FAULT_ADDRESS]           = CXL_CACHE_ERR_ADDRESS,
    [CXL_CACHE_FAULT_UNEXPECTED]        = CXL_CACHE_ERR_UNEXPECTED,
    [CXL_CACHE_FAULT_DIRTY_LOST]        = CXL_CACHE_ERR_DIRTY_LOST,
    [CXL_CACHE_FAULT_NOT_OWNER]         = CXL_CACHE_ERR_NOT_OWNER,
    [CXL_CACHE_FAULT_DECODE]            = CXL_CACHE_ERR_DECODE,
};

QEMU_BUILD_BUG_ON(ARRAY_SIZE(faults) != CXL_CACHE_FAULT__MAX);
/* All but "no error", and what is no peer's fault */
QEMU_BUILD_BUG_ON(ARRAY_SIZE(faults) != CXL_CACHE_ERR_MEMORY - 1);

/* Collecting, with the lock held */

static CxlCacheOpcodeStatsList *query_opcodes(CXLCacheChannelId channel,
                                              const uint64_t *sent)
{
    bool data = channel == CXL_CACHE_D2H_DATA || channel == CXL_CACHE_H2D_DATA;
    unsigned codes = data ? 1 : CXL_CACHE_D2H_REQ_CODES;
    CxlCacheOpcodeStatsList *list = NULL, **tail = &list;

    for (unsigned op = 0; op < codes; op++) {
        CxlCacheOpcodeStats *stats;

        if (!cxl_cache_opcode_valid(channel, op)) {
            continue;
        }
        stats = g_new0(CxlCacheOpcodeStats, 1);
        stats->name = g_strdup(cxl_cache_opcode_name(channel, op));
        stats->count = sent[op];
        QAPI_LIST_APPEND(tail, stats);
    }
    return list;
}

QEMU_BUILD_BUG_ON((int)CXL_CACHE_WAIT__MAX != CXL_CACHE_NUM_STALLS);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WAIT_CREDIT != CXL_CACHE_STALL_CREDIT);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WAIT_WIRE != CXL_CACHE_STALL_WIRE);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WAIT_ORDER != CXL_CACHE_STALL_ORDER);

static CxlCacheChannelTime *query_channel_time(const CXLCacheLink *link,
                                               CXLCacheChannelId channel)
{
    CXLCacheChannelTime time;
    CxlCacheChannelTime *info;
    CxlCacheWaitStatsList **tail;

    if (!cxl_cache_link_channel_time(link, channel, &time)) {
        return NULL;
    }
    info = g_new0(CxlCacheChannelTime, 1);
    info->arrived = time.arrived;
    info->high_water = time.high_water;
    tail = &info->waits;
    for (int i = 0; i < CXL_CACHE_NUM_STALLS; i++) {
        CxlCacheWaitStats *wait = g_new0(CxlCacheWaitStats, 1);

        wait->what = i;
        wait->ns = time.stalled[i];
        QAPI_LIST_APPEND(tail, wait);
    }
    return info;
}

static CxlCacheTiming *query_timing(const CacheMemDev *cm)
{
    const CXLCacheTiming *timing = cxl_cache_link_timing(cm->link);
    CxlCacheTiming *info;

    if (!timing) {
        return NULL;
    }
    info = g_new0(CxlCacheTiming, 1);
    info->latency = timing->latency;
    info->bandwidth = timing->bandwidth;
    info->jitter = timing->jitter;
    info->now = cxl_cache_time(cm->region->home);
    info->clock = cache_mem_time_now(cm->region);
    return info;
}

static CxlCacheChannelInfoList *query_channels(const CXLCacheLink *link)
{
    CxlCacheChannelInfoList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        const CXLCacheChannel *ch = &link->ch[i];
        CxlCacheChannelInfo *info = g_new0(CxlCacheChannelInfo, 1);

        info->channel = i;
        info->depth = ch->depth;
        info->credits = ch->credits;
        info->returning = ch->freed;
        info->messages = cxl_cache_link_used(ch);
        info->stalled = link->stats->stalled[i];
        info->opcodes = query_opcodes(i, link->stats->sent[i]);
        info->time = query_channel_time(link, i);
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlCacheLinesList *query_states(const uint32_t *lines)
{
    CxlCacheLinesList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_CACHE_NUM_STATES; i++) {
        CxlCacheLines *info = g_new0(CxlCacheLines, 1);

        info->state = g_strdup(cxl_cache_states[i].name);
        info->lines = lines[i];
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlCacheTranslations *query_translations(const CacheMemAts *ats)
{
    const CacheMemAtsStats *stats = cache_mem_ats_stats(ats);
    CxlCacheTranslations *info = g_new0(CxlCacheTranslations, 1);

    info->held = stats->held;
    info->hits = stats->hits;
    info->misses = stats->misses;
    info->refusals = stats->refusals;
    info->invalidations = stats->invalidations;
    return info;
}

/* Whom it has lost lines to by limits of them */
static CxlCacheLossesList *query_losses(const CacheMemDev *cm)
{
    const CXLCacheHomeStats *stats = cxl_cache_home_stats(cm->region->home);
    CxlCacheLossesList *list = NULL, **tail = &list;
    CacheMemDev *to;

    QTAILQ_FOREACH(to, &cm->region->devices, next) {
        uint64_t lines = stats->lost_to[cm->number][to->number];

        if (lines) {
            CxlCacheLosses *info = g_new0(CxlCacheLosses, 1);

            info->to = g_strdup(to->name);
            info->lines = lines;
            QAPI_LIST_APPEND(tail, info);
        }
    }
    return list;
}

/* What waited for a limit, where anything did */
#define QUERY_WAITS(info, limit, what)                              \
    do {                                                            \
        CXLCacheWaits w_ = (what);                                  \
                                                                    \
        (info)->has_##limit##_limited = w_.requests;                \
        (info)->limit##_limited = w_.requests;                      \
        (info)->has_##limit##_limited_ns = w_.requests;             \
        (info)->limit##_limited_ns = w_.ns;                         \
    } while (0)

/* Requests that were not sent for want of a credit */
static CXLCacheWaits credit_waits(const CXLCacheLink *link)
{
    CXLCacheWaits waits = {
        .requests = link->stats->stalled[CXL_CACHE_D2H_REQ],
    };
    CXLCacheChannelTime time;

    if (cxl_cache_link_channel_time(link, CXL_CACHE_D2H_REQ, &time)) {
        waits.ns = time.stalled[CXL_CACHE_STALL_CREDIT];
    }
    return waits;
}

static void query_limits(const CacheMemDev *cm, CxlCacheDeviceInfo *info)
{
    const CXLCacheHomeStats *stats = cxl_cache_home_stats(cm->region->home);
    const CXLCacheWaits *waits = stats->waits[cm->number];
    const CacheMemLimits *limits = &cm->config.limits;

    info->has_sf_group = cm->config.grouped;
    info->sf_group = cm->config.sf_group;
    info->has_sf_quota = limits->sf_quota;
    info->sf_quota = limits->sf_quota;
    info->has_rate = limits->rate;
    info->rate = limits->rate;
    info->has_rate_burst = limits->rate;
    info->rate_burst = limits->rate_burst ?: CACHE_MEM_RATE_BURST;
    info->has_req_credits = limits->req_credits;
    info->req_credits = limits->req_credits;
    QUERY_WAITS(info, sf, waits[CXL_CACHE_LIMIT_LINES]);
    QUERY_WAITS(info, rate, waits[CXL_CACHE_LIMIT_RATE]);
    if (limits->req_credits) {
        QUERY_WAITS(info, req, credit_waits(cm->link));
    }
    info->losses = query_losses(cm);
    info->has_losses = info->losses;
}

QEMU_BUILD_BUG_ON((int)CXL_CACHE_AWAITED_CREDIT != CXL_CACHE_AWAITS_CREDIT);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_AWAITED_RESPONSE != CXL_CACHE_AWAITS_RSP);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_AWAITED_DATA != CXL_CACHE_AWAITS_DATA);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_AWAITED_PULL != CXL_CACHE_AWAITS_PULL);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_AWAITED__MAX != CXL_CACHE_NUM_AWAITED);

static const char *device_of_number(const CacheMemRegion *region, int number)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (number >= 0 && cm->number == number) {
            return cm->name;
        }
    }
    return NULL;
}

/* What the host waits for, of the device */
static CxlCacheAwaitsList *query_awaits(const CacheMemDev *cm)
{
    const CXLCacheHome *home = cm->region->home;
    unsigned n = cxl_cache_home_waits(home, cm->number, NULL, 0);
    g_autofree CXLCacheWait *waits = g_new(CXLCacheWait, n);
    CxlCacheAwaitsList *list = NULL, **tail = &list;

    cxl_cache_home_waits(home, cm->number, waits, n);
    for (unsigned i = 0; i < n; i++) {
        CxlCacheAwaits *info = g_new0(CxlCacheAwaits, 1);

        info->address = waits[i].line * CXL_CACHE_LINE_SIZE;
        info->awaited = (CxlCacheAwaited)waits[i].awaited;
        info->since = waits[i].since;
        info->by = g_strdup(device_of_number(cm->region, waits[i].by));
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlCacheChannelTypeList *query_held(const CXLCacheLink *link)
{
    CxlCacheChannelTypeList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        if (cxl_cache_link_held(link, i)) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    return list;
}

QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_CHANNEL != CXL_CACHE_BY_CHANNEL);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_ROOM != CXL_CACHE_BY_ROOM);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_SNOOPS != CXL_CACHE_BY_SNOOPS);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_CREDIT != CXL_CACHE_BY_CREDIT);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_DATA != CXL_CACHE_BY_DATA);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT_ANSWER != CXL_CACHE_BY_ANSWER);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_REQUEST_WAIT__MAX !=
                  CXL_CACHE_NUM_AWAITED_BY);

static strList *query_asked(const CacheMemRegion *region, uint16_t asked)
{
    strList *list = NULL, **tail = &list;

    for (; asked; asked &= asked - 1) {
        QAPI_LIST_APPEND(tail, g_strdup(device_of_number(region,
                                                         ctz32(asked))));
    }
    return list;
}

static CxlCacheRequest *query_request(const CacheMemDev *cm, unsigned cqid,
                                      const CXLCacheRequestLook *look)
{
    const CacheMemPosted *posted = cache_mem_posted_of(look->tag);
    CxlCacheRequest *info = g_new0(CxlCacheRequest, 1);

    info->cqid = cqid;
    info->request = g_strdup(cxl_cache_opcode_name(CXL_CACHE_D2H_REQ,
                                                   look->opcode));
    info->address = look->line * CXL_CACHE_LINE_SIZE;
    info->awaits = (CxlCacheRequestWait)look->awaits;
    info->asked = query_asked(cm->region, look->asked);
    info->has_asked = info->asked;
    info->since = look->since;
    info->age = cxl_cache_time(cm->region->home) - look->since;
    info->work = g_strdup(posted ? posted->what : NULL);
    return info;
}

static CxlCacheRequestList *query_requests(const CacheMemDev *cm)
{
    unsigned left = cxl_cache_dev_outstanding(cm->dev);
    CxlCacheRequestList *list = NULL, **tail = &list;

    for (unsigned cqid = 0; left && cqid < CXL_CACHE_ID_MAX; cqid++) {
        CXLCacheRequestLook look;

        if (cxl_cache_request_look(cm->region->home, cm->number, cm->dev, cqid,
                                   &look)) {
            QAPI_LIST_APPEND(tail, query_request(cm, cqid, &look));
            left--;
        }
    }
    return list;
}

QEMU_BUILD_BUG_ON((int)CXL_CACHE_WORK_WAIT_LINES != CACHE_MEM_WORK_LINES);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WORK_WAIT_OTHERS != CACHE_MEM_WORK_OTHERS);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WORK_WAIT_DONE != CACHE_MEM_WORK_DONE);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_WORK_WAIT__MAX != CACHE_MEM_NUM_WORK);

/* The oldest comes first. */
static CxlCacheWorkList *query_work(const CacheMemDev *cm)
{
    const CacheMemTransfer *t = NULL;
    CxlCacheWorkList *list = NULL;
    CacheMemWorkLook look;

    while ((t = cache_mem_transfer_next(cm, t, &look))) {
        CxlCacheWork *info = g_new0(CxlCacheWork, 1);

        info->name = g_strdup(look.name);
        info->write = look.write;
        info->bytes = look.len;
        info->requests = look.open;
        info->awaits = (CxlCacheWorkWait)look.awaits;
        info->since = look.since;
        info->age = cxl_cache_time(cm->region->home) - look.since;
        QAPI_LIST_PREPEND(list, info);
    }
    return list;
}

static void query_waits(const CacheMemDev *cm, CxlCacheDeviceInfo *info)
{
    info->requests = query_requests(cm);
    info->has_requests = info->requests;
    info->work = query_work(cm);
    info->has_work = info->work;
    info->held = query_held(cm->link);
    info->has_held = info->held;
    info->awaits = query_awaits(cm);
    info->has_awaits = info->awaits;
    info->has_isolated = info->isolated = cm->isolated;
}

static CxlCacheDeviceInfo *query_device(const CacheMemDev *cm)
{
    CxlCacheDeviceInfo *info = g_new0(CxlCacheDeviceInfo, 1);

    info->qom_path = object_get_canonical_path(OBJECT(cm->config.dev));
    info->id = g_strdup(cm->config.dev->id);
    info->size = cm->config.cache_size;
    info->ways = cm->config.cache_ways;
    info->mode = (CxlCacheMode)cm->mode;
    info->states = query_states(cxl_cache_dev_states(cm->dev));
    info->outstanding = cxl_cache_dev_outstanding(cm->dev);
    info->once_lines = cm->once_lines;
    info->lost_lines = cm->lost_lines;
    info->guarded = cm->refused;
    if (cm->config.flit_256b) {
        info->has_cache_id = !cm->link->unrouted;
        info->cache_id = cm->link->cache_id;
    }
    if (cm->config.flit_256b || cm->link->unrouted ||
        cm->link->stats->aborted) {
        info->has_aborted = true;
        info->aborted = cm->link->stats->aborted;
    }
    query_limits(cm, info);
    info->translations = query_translations(cm->ats);
    info->channels = query_channels(cm->link);
    info->timing = query_timing(cm);
    query_waits(cm, info);
    return info;
}

static CxlCacheDeviceInfoList *query_devices(CacheMemRegion *region)
{
    CxlCacheDeviceInfoList *list = NULL, **tail = &list;
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        QAPI_LIST_APPEND(tail, query_device(cm));
    }
    return list;
}

static bool in_list(const CxlCacheMemoryList *list, const MemoryRegion *mr)
{
    for (; list; list = list->next) {
        if (!strcmp(list->value->name, memory_region_name(mr))) {
            return true;
        }
    }
    return false;
}

/* The memory that the machine has now; one may be there in several places */
static CxlCacheMemoryList *query_memory(const CacheMemRegion *region)
{
    CxlCacheMemoryList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < region->ram->sections->len; i++) {
        const CacheMemSection *s = &g_array_index(region->ram->sections,
                                                  CacheMemSection, i);
        CxlCacheMemory *info;

        if (!cache_mem_ram_is_main(s) || in_list(list, s->mr)) {
            continue;
        }
        info = g_new0(CxlCacheMemory, 1);
        info->name = g_strdup(memory_region_name(s->mr));
        info->size = memory_region_size(s->mr);
        info->obstacle = g_strdup(cache_mem_host_why_not(region, s));
        info->kept = !info->obstacle;
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

/* Why no line of any memory is kept, or NULL */
static const char *query_obstacle(const CacheMemRegion *region,
                                  const CxlCacheMemoryList *list)
{
    const char *first = list ? list->value->obstacle : NULL;

    if (region->obstacle || region->bypassed) {
        return region->obstacle ?: region->bypassed;
    }
    for (; list; list = list->next) {
        if (list->value->kept) {
            return NULL;
        }
    }
    return first;
}

static CxlCacheTrap *query_trap(const CacheMemRegion *region)
{
    const CacheMemTrapStats *stats = &region->stats;
    CxlCacheTrap *info = g_new0(CxlCacheTrap, 1);

    info->reads = stats->reads;
    info->writes = stats->writes;
    info->other = stats->other;
    info->ahead = stats->ahead;
    info->dma = stats->dma;
    info->zapped = stats->zaps;
    info->held = stats->pages;
    info->can_share = region->can_share;
    info->memory = query_memory(region);
    info->obstacle = g_strdup(query_obstacle(region, info->memory));
    return info;
}

static CxlCacheAccessStatsList *query_accesses(const CXLCacheHomeStats *stats)
{
    CxlCacheAccessStatsList *list = NULL, **tail = &list;

    for (int i = 0; i < CXL_CACHE_NUM_HOST_OPS; i++) {
        CxlCacheAccessStats *info = g_new0(CxlCacheAccessStats, 1);

        info->access = i;
        info->count = stats->host[i];
        info->snoops = stats->host_snoops[i];
        info->dirty = stats->host_dirty[i];
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlCacheFaultStatsList *query_faults(const CXLCacheHomeStats *stats)
{
    CxlCacheFaultStatsList *list = NULL, **tail = &list;

    for (int i = 0; i < ARRAY_SIZE(faults); i++) {
        CxlCacheFaultStats *info = g_new0(CxlCacheFaultStats, 1);

        info->fault = i;
        info->count = stats->errors[faults[i]];
        QAPI_LIST_APPEND(tail, info);
    }
    return list;
}

static CxlCacheInfo *query_region(CacheMemRegion *region)
{
    const CXLCacheHomeStats *stats = cxl_cache_home_stats(region->home);
    CxlCacheInfo *info = g_new0(CxlCacheInfo, 1);

    info->filter_lines = region->sf_size / CXL_CACHE_LINE_SIZE;
    info->tracked_lines = cxl_cache_home_tracked(region->home);
    info->transactions = cxl_cache_home_open(region->home);
    info->accesses = query_accesses(stats);
    info->back_invalidations = stats->back_invalidations;
    info->write_backs = stats->write_backs;
    info->use_once = stats->use_once;
    info->faults = query_faults(stats);
    info->trap = query_trap(region);
    info->devices = query_devices(region);
    return info;
}

/* All devices are gone: what is left is what became of their lines. */
static CxlCacheInfo *query_nothing(void)
{
    CxlCacheInfo *info = g_new0(CxlCacheInfo, 1);

    info->trap = g_new0(CxlCacheTrap, 1);
    return info;
}

CxlCacheInfo *qmp_x_query_cxl_cache(Error **errp)
{
    CacheMemRegion *region = cache_mem_region_get();
    CxlCacheInfo *info;

    if (!region || !region->had_device) {
        error_setg(errp, "This machine has no CXL.cache device");
        return NULL;
    }
    QEMU_LOCK_GUARD(&region->lock);
    info = region->users ? query_region(region) : query_nothing();
    info->rescued_lines = region->totals.rescued_lines;
    info->poisoned_lines = region->totals.poisoned_lines;
    info->lost_lines = region->totals.lost_lines;
    return info;
}

/* Printing */

static void print_number(Monitor *mon, const char *what, uint64_t n)
{
    monitor_printf(mon, "  %-21s %12" PRIu64 "\n", what, n);
}

static void print_word(Monitor *mon, const char *what, const char *word)
{
    monitor_printf(mon, "  %-21s %12s\n", what, word);
}

static void print_accesses(Monitor *mon, const CxlCacheInfo *info)
{
    const CxlCacheAccessStatsList *l;

    monitor_printf(mon, "  %-21s %12s %12s %12s\n", "host accesses", "lines",
                   "snoops", "dirty");
    for (l = info->accesses; l; l = l->next) {
        monitor_printf(mon, "    %-19s %12" PRIu64 " %12" PRIu64
                       " %12" PRIu64 "\n", CxlCacheAccess_str(l->value->access),
                       l->value->count, l->value->snoops, l->value->dirty);
    }
}

static void print_home(Monitor *mon, const CxlCacheInfo *info)
{
    const CxlCacheFaultStatsList *l;

    monitor_printf(mon, "home\n");
    print_number(mon, "snoop filter lines", info->filter_lines);
    print_number(mon, "tracked lines", info->tracked_lines);
    print_number(mon, "open transactions", info->transactions);
    print_number(mon, "back-invalidations", info->back_invalidations);
    print_number(mon, "write-backs", info->write_backs);
    print_number(mon, "use-once reads", info->use_once);
    print_number(mon, "lines rescued", info->rescued_lines);
    print_number(mon, "lines poisoned", info->poisoned_lines);
    print_number(mon, "lines lost", info->lost_lines);
    for (l = info->faults; l; l = l->next) {
        if (l->value->count) {
            g_autofree char *what = g_strdup_printf("error: %s",
                CxlCacheFault_str(l->value->fault));

            print_number(mon, what, l->value->count);
        }
    }
    print_accesses(mon, info);
}

static void print_memory(Monitor *mon, const CxlCacheMemoryList *list)
{
    for (; list; list = list->next) {
        const CxlCacheMemory *info = list->value;
        g_autofree char *what = g_strdup_printf("memory %s", info->name);

        print_word(mon, what, info->kept ? "kept" : "not kept");
        if (!info->kept) {
            monitor_printf(mon, "    %s\n", info->obstacle);
        }
    }
}

static void print_trap(Monitor *mon, const CxlCacheTrap *trap)
{
    monitor_printf(mon, "trap\n");
    print_number(mon, "read faults", trap->reads);
    print_number(mon, "write faults", trap->writes);
    print_number(mon, "other faults", trap->other);
    print_number(mon, "pages ahead", trap->ahead);
    print_number(mon, "pages for DMA", trap->dma);
    print_number(mon, "pages zapped", trap->zapped);
    print_number(mon, "pages held", trap->held);
    print_word(mon, "can share pages", trap->can_share ? "yes" : "no");
    print_memory(mon, trap->memory);
    if (trap->obstacle) {
        monitor_printf(mon, "  no lines are kept: %s\n", trap->obstacle);
    }
}

static void print_channel_time(Monitor *mon, const CxlCacheChannelTime *time)
{
    const CxlCacheWaitStatsList *l;

    monitor_printf(mon, "    arrived %" PRIu32 ", at most %" PRIu32
                   " in the channel; waited", time->arrived,
                   time->high_water);
    for (l = time->waits; l; l = l->next) {
        monitor_printf(mon, "%s %" PRIu64 " ns for %s",
                       l == time->waits ? "" : ",", l->value->ns,
                       CxlCacheWait_str(l->value->what));
    }
    monitor_printf(mon, "\n");
}

static void print_timing(Monitor *mon, const CxlCacheTiming *timing)
{
    print_number(mon, "latency (ns)", timing->latency);
    print_number(mon, "bandwidth (bytes/s)", timing->bandwidth);
    print_number(mon, "jitter seed", timing->jitter);
    print_number(mon, "link's time (ns)", timing->now);
    print_number(mon, "clock (ns)", timing->clock);
}

static void print_channel(Monitor *mon, const CxlCacheChannelInfo *info)
{
    const CxlCacheOpcodeStatsList *l;

    monitor_printf(mon, "  %-21s %12u %8u %9u %8u %12" PRIu64 "\n",
                   cxl_cache_channel_name(info->channel), info->depth,
                   info->credits, info->returning, info->messages,
                   info->stalled);
    for (l = info->opcodes; l; l = l->next) {
        if (l->value->count) {
            monitor_printf(mon, "    %-19s %12" PRIu64 "\n", l->value->name,
                           l->value->count);
        }
    }
    if (info->time) {
        print_channel_time(mon, info->time);
    }
}

static void print_limited(Monitor *mon, const char *what, uint64_t requests,
                          uint64_t ns)
{
    g_autofree char *name = g_strdup_printf("waited for %s", what);

    if (requests) {
        print_number(mon, name, requests);
        print_number(mon, "  ns", ns);
    }
}

/* For what the host waits, and why */
static void print_waits(Monitor *mon, const CxlCacheDeviceInfo *info)
{
    const CxlCacheChannelTypeList *ch;
    const CxlCacheAwaitsList *w;

    if (info->isolated) {
        print_word(mon, "isolated", "yes");
    }
    for (ch = info->held; ch; ch = ch->next) {
        print_word(mon, "stands still",
                   CxlCacheChannelType_str(ch->value));
    }
    for (w = info->awaits; w; w = w->next) {
        monitor_printf(mon, "  waits for %-11s of 0x%012" PRIx64 " for %s, "
                       "since %" PRIu64 " ns\n",
                       CxlCacheAwaited_str(w->value->awaited),
                       w->value->address, w->value->by ?: "the host",
                       w->value->since);
    }
}

/* What is under way, and what hangs */
static void print_requests(Monitor *mon, const CxlCacheDeviceInfo *info)
{
    const CxlCacheRequestList *r;
    const CxlCacheWorkList *t;
    const strList *s;

    for (t = info->work; t; t = t->next) {
        monitor_printf(mon, "  %s: %s of %" PRIu64 " bytes: %s, %" PRIu32
                       " requests, %" PRIu64 " ns\n", t->value->name,
                       t->value->write ? "result" : "source", t->value->bytes,
                       CxlCacheWorkWait_str(t->value->awaits),
                       t->value->requests, t->value->age);
    }
    for (r = info->requests; r; r = r->next) {
        monitor_printf(mon, "  request %4u %-16s 0x%012" PRIx64 " waits for %s",
                       r->value->cqid, r->value->request, r->value->address,
                       CxlCacheRequestWait_str(r->value->awaits));
        for (s = r->value->asked; s; s = s->next) {
            monitor_printf(mon, " %s", s->value);
        }
        monitor_printf(mon, ", %" PRIu64 " ns%s%s\n", r->value->age,
                       r->value->work ? ", " : "", r->value->work ?: "");
    }
}

static void print_device(Monitor *mon, const CxlCacheDeviceInfo *info)
{
    const CxlCacheLinesList *s;
    const CxlCacheLossesList *l;
    const CxlCacheChannelInfoList *ch;

    monitor_printf(mon, "device %s%s%s\n", info->id ?: "",
                   info->id ? " " : "", info->qom_path);
    print_number(mon, "bytes", info->size);
    print_number(mon, "ways", info->ways);
    print_word(mon, "mode", CxlCacheMode_str(info->mode));
    print_number(mon, "outstanding requests", info->outstanding);
    print_number(mon, "lines written through", info->once_lines);
    print_number(mon, "lines lost by reset", info->lost_lines);
    print_number(mon, "refused by window", info->guarded);
    if (info->has_cache_id) {
        print_number(mon, "Cache ID", info->cache_id);
    }
    if (info->has_aborted) {
        print_number(mon, "requests aborted", info->aborted);
    }
    if (info->has_sf_group) {
        print_number(mon, "snoop filter group", info->sf_group);
    }
    if (info->has_sf_quota) {
        print_number(mon, "snoop filter quota", info->sf_quota);
    }
    if (info->has_rate) {
        print_number(mon, "requests a second", info->rate);
        print_number(mon, "requests at once", info->rate_burst);
    }
    if (info->has_req_credits) {
        print_number(mon, "request credits", info->req_credits);
    }
    print_limited(mon, "lines", info->sf_limited, info->sf_limited_ns);
    print_limited(mon, "the rate", info->rate_limited, info->rate_limited_ns);
    print_limited(mon, "credits", info->req_limited, info->req_limited_ns);
    for (l = info->losses; l; l = l->next) {
        g_autofree char *what = g_strdup_printf("lines lost to %s",
                                                l->value->to);

        print_number(mon, what, l->value->lines);
    }
    print_number(mon, "translations held", info->translations->held);
    print_number(mon, "  hits", info->translations->hits);
    print_number(mon, "  misses", info->translations->misses);
    print_number(mon, "  refused", info->translations->refusals);
    print_number(mon, "  invalidations", info->translations->invalidations);
    for (s = info->states; s; s = s->next) {
        if (s->value->lines) {
            g_autofree char *what = g_strdup_printf("lines in %s",
                                                    s->value->state);

            print_number(mon, what, s->value->lines);
        }
    }
    if (info->timing) {
        print_timing(mon, info->timing);
    }
    print_waits(mon, info);
    print_requests(mon, info);
    monitor_printf(mon, "  %-21s %12s %8s %9s %8s %12s\n", "channel", "depth",
                   "credits", "returning", "messages", "stalled");
    for (ch = info->channels; ch; ch = ch->next) {
        print_channel(mon, ch->value);
    }
}

void hmp_info_cxl_cache(Monitor *mon, const QDict *qdict)
{
    g_autoptr(CxlCacheInfo) info = NULL;
    const CxlCacheDeviceInfoList *l;
    Error *err = NULL;

    info = qmp_x_query_cxl_cache(&err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    print_home(mon, info);
    print_trap(mon, info->trap);
    for (l = info->devices; l; l = l->next) {
        print_device(mon, l->value);
    }
}
