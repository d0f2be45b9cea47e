/*
 * CacheMemRegion: CXL.cache devices and guest RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The object, and the devices that come, go, are reset and die.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/target-info.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl.h"
#include "hw/core/boards.h"
#include "hw/core/resettable.h"
#include "hw/pci/pci_device.h"
#include "system/reset.h"
#include "cache_mem_context.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* Requests that a device and the home work at, and buffers in each channel */
#define OPEN_REQUESTS   256
#define CHANNEL_DEPTH   64
#define SF_MAX_WAYS     64
#define SF_MAX_SIZE     (16 * GiB)
#define CACHE_MAX_WAYS  16

/* All that groups can have together, and twice that against conflicts */
#define GROUPS_LINES    (2ULL * CACHE_MEM_SF_GROUPS * CACHE_MEM_SF_GROUP_MAX / \
                         CXL_CACHE_LINE_SIZE)
#define GROUPS_WAYS     16

/* Errors */

void cache_mem_dev_note_error(CacheMemDev *cm, CXLCacheError err)
{
    trace_cxl_cache_error(cm->name, cxl_cache_error_name(err));
    if (cm->error_bh) {
        qatomic_or(&cm->errors, BIT(err));
        qemu_bh_schedule(cm->error_bh);
    }
}

/* Who is told of errors wants the main loop's thread. */
static void report_errors(void *opaque)
{
    CacheMemDev *cm = opaque;
    uint32_t errors = qatomic_xchg(&cm->errors, 0);

    cache_mem_wait_report(cm);

    for (; errors; errors &= errors - 1) {
        if (cm->config.error) {
            cm->config.error(cm->config.opaque, ctz32(errors));
        }
    }
}

void cache_mem_dev_tell_gone(CacheMemDev *cm, CxlCacheLossCause cause)
{
    const CacheMemTotals *gone = &cm->gone;
    DeviceState *dev = cm->config.dev;
    g_autofree char *path = NULL;

    if (!memcmp(gone, &cm->told, sizeof(*gone))) {
        return;
    }
    cm->told = *gone;
    path = object_get_canonical_path(OBJECT(dev));
    qapi_event_send_cxl_cache_lines_lost(path, dev->id, cause,
                                         gone->rescued_lines,
                                         gone->poisoned_lines,
                                         gone->lost_lines);
}

/* What a device's protocol tells */

static void dev_complete(void *opaque, const CXLCacheDone *done)
{
    CacheMemDev *cm = opaque;
    CacheMemPosted *posted = cache_mem_posted_of(done->tag);

    if (posted) {
        cache_mem_posted_over(posted, done);
    } else if (cm->done) {
        cm->done(cm, done);
    }
}

static void dev_error(void *opaque, CXLCacheError err,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    cache_mem_dev_note_error(opaque, err);
}

static const CXLCacheDevOps dev_ops = {
    .complete = dev_complete,
    .error = dev_error,
};

unsigned cache_mem_dev_modified(const CacheMemDev *cm)
{
    return cxl_cache_dev_states(cm->dev)[CXL_CACHE_M];
}

unsigned cache_mem_dev_held(const CacheMemDev *cm)
{
    return cxl_cache_dev_num_lines(cm->dev) -
           cxl_cache_dev_states(cm->dev)[CXL_CACHE_I];
}

/* Evicts are possible in every mode. */
void cache_mem_dev_flush_locked(CacheMemDev *cm)
{
    cache_mem_trace_update(cm->region);
    cm->region->urgent = cm;
    while (cm->number >= 0 && cxl_cache_dev_flush(cm->dev) == -EAGAIN &&
           cache_mem_advance(cm->region)) {
        /* As long as it takes */
    }
    cm->region->urgent = NULL;
    cache_mem_llc_settle(cm->region);
}

/* The object */

CacheMemRegion *cache_mem_region_get(void)
{
    Object *obj = object_resolve_path_component(qdev_get_machine(),
                                                "cxl-cache");

    return obj ? CACHE_MEM_REGION(obj) : NULL;
}

CacheMemRegion *cache_mem_region_make(void)
{
    CacheMemRegion *region = cache_mem_region_get();

    if (!region) {
        region = CACHE_MEM_REGION(object_new(TYPE_CACHE_MEM_REGION));
        object_property_add_child(qdev_get_machine(), "cxl-cache",
                                  OBJECT(region));
        object_unref(OBJECT(region));
        qemu_register_resettable(OBJECT(region));
    }
    return region;
}

static void region_init(Object *obj)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    qemu_mutex_init(&region->lock);
    qemu_cond_init(&region->moved);
    QTAILQ_INIT(&region->devices);
    QLIST_INIT(&region->recalls);
    region->poison = cache_mem_poison_new();
}

static void region_finalize(Object *obj)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    cache_mem_poison_free(region->poison);
    qemu_cond_destroy(&region->moved);
    qemu_mutex_destroy(&region->lock);
}

/* Filters of any size have sets in a power of two, so ways take the rest. */
static unsigned sf_ways(uint64_t lines)
{
    unsigned odd = lines >> ctz64(lines);

    return odd > 8 ? odd : odd * 8;
}

static bool region_start(CacheMemRegion *region,
                         const CacheMemDevConfig *dev, Error **errp)
{
    uint64_t sf_size = dev->sf_size;
    uint64_t lines = sf_size / CXL_CACHE_LINE_SIZE;
    CXLCacheHomeConfig config = {
        .sf_lines = lines,
        .transactions = OPEN_REQUESTS,
        /* Spaces and MECIDs are Arm's. */
        .contexts = target_base_arm(),
    };

    if (region->llc && !cache_mem_llc_watch_start(region, errp)) {
        return false;
    }
    if (sf_size > SF_MAX_SIZE || lines >> ctz64(lines) > SF_MAX_WAYS) {
        error_setg(errp, "'cxl-cache-sf-size' must be 1 to 63 times a power of "
                   "two, at most 16 GiB");
        return false;
    }
    config.sf_ways = sf_ways(lines);
    if (dev->grouped) {
        config.sf_lines = GROUPS_LINES;
        config.sf_ways = GROUPS_WAYS;
    }
    region->home_ops = cache_mem_home_ops;
    region->home = cxl_cache_home_new(&config, &region->home_ops, region);
    if (!region->home) {
        error_setg(errp, "there is no memory for a snoop filter of %" PRIu64
                   " bytes", sf_size);
        return false;
    }
    region->sf_size = sf_size;
    region->grouped = dev->grouped;
    region->prefetch = dev->prefetch;
    cache_mem_host_start(region);
    return true;
}

/* What is poisoned, and what became of lines, outlives the devices. */
static void region_stop(CacheMemRegion *region)
{
    cache_mem_time_stop(region);
    cache_mem_host_stop(region);
    g_clear_pointer(&region->home, cxl_cache_home_free);
}

static bool region_use(CacheMemRegion *region, const CacheMemDevConfig *dev,
                       Error **errp)
{
    if (!region->users && !region_start(region, dev, errp)) {
        return false;
    }
    region->users++;
    return true;
}

static void region_unuse(CacheMemRegion *region)
{
    if (!--region->users) {
        region_stop(region);
    }
}

/* Reset */

static void reset_caches(CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        unsigned lost = cache_mem_dev_modified(cm);

        cm->lost_lines += lost;
        cm->gone.lost_lines += lost;
        region->totals.lost_lines += lost;
        trace_cxl_cache_reset(cm->name, lost);
    }
    if (region->home) {
        cxl_cache_home_reset(region->home);
    }
    QTAILQ_FOREACH(cm, &region->devices, next) {
        cxl_cache_link_hold(cm->link, 0);
        cxl_cache_dev_reset(cm->dev);
        cxl_cache_dev_set_caching(cm->dev, false);
        cm->mode = cm->wanted = CACHE_MEM_OFF;
        cache_mem_posted_lost(cm);
    }
    cache_mem_poison_reset(region->poison);
    if (region->llc) {
        cache_mem_llc_reset(region);
    }
    if (region->alias) {
        cache_mem_alias_reset(region);
    }
}

/*
 * System reset. RAM is about to be loaded anew, and what a cache had must not
 * come on top of it: so this is done before any device resets itself.
 */
static void region_reset_enter(Object *obj, ResetType type)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);
    CacheMemDev *cm;

    if (type == RESET_TYPE_WAKEUP) {
        /* Memory outlives suspend to RAM. */
        QEMU_LOCK_GUARD(&region->lock);
        QTAILQ_FOREACH(cm, &region->devices, next) {
            cache_mem_dev_flush_locked(cm);
        }
        return;
    }
    WITH_QEMU_LOCK_GUARD(&region->lock) {
        reset_caches(region);
    }
    QTAILQ_FOREACH(cm, &region->devices, next) {
        cache_mem_dev_tell_gone(cm, CXL_CACHE_LOSS_CAUSE_RESET);
    }
}

static ResettableState *region_reset_state(Object *obj)
{
    return &CACHE_MEM_REGION(obj)->reset;
}

/* Devices */

static char *device_name(DeviceState *dev)
{
    return dev->id ? g_strdup(dev->id) : object_get_canonical_path(OBJECT(dev));
}

static bool check_prefetch(CacheMemRegion *region,
                           const CacheMemDevConfig *config, Error **errp)
{
    if (region->users && region->prefetch != config->prefetch) {
        error_setg(errp, "'cxl-cache-prefetch' must be the same for all root "
                   "ports with a CXL.cache device: they share one host");
        return false;
    }
    return true;
}

static bool check_group(CacheMemRegion *region, const CacheMemDevConfig *config,
                        Error **errp)
{
    CacheMemDev *cm;

    if (config->sf_size > CACHE_MEM_SF_GROUP_MAX) {
        error_setg(errp, "'cxl-cache-sf-size' must be at most 64 MiB with "
                   "'cxl-cache-sf-group'");
        return false;
    }
    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->config.sf_group == config->sf_group &&
            cm->config.sf_size != config->sf_size) {
            error_setg(errp, "'cxl-cache-sf-size' must be the same for all "
                       "root ports of group %u: they share one snoop filter",
                       config->sf_group);
            return false;
        }
    }
    return check_prefetch(region, config, errp);
}

static bool check_config(CacheMemRegion *region,
                         const CacheMemDevConfig *config, Error **errp)
{
    uint64_t lines = config->cache_size / CXL_CACHE_LINE_SIZE;
    uint32_t ways = config->cache_ways;

    if (!ways || ways > CACHE_MAX_WAYS || lines % ways) {
        error_setg(errp, "a cache of %" PRIu64 " lines cannot have %" PRIu32
                   " ways: 'cache-ways' must be 1 to %d and divide the number "
                   "of lines", lines, ways, CACHE_MAX_WAYS);
        return false;
    }
    if (region->users && region->grouped != config->grouped) {
        error_setg(errp, "'cxl-cache-sf-group' must be given for all root "
                   "ports with a CXL.cache device, or for none");
        return false;
    }
    if (config->grouped) {
        return check_group(region, config, errp);
    }
    if (region->users && region->sf_size != config->sf_size) {
        error_setg(errp, "'cxl-cache-sf-size' must be the same for all root "
                   "ports with a CXL.cache device: they share one snoop "
                   "filter");
        return false;
    }
    return check_prefetch(region, config, errp);
}

/* The fast gear asks nobody for the way, and makes no room. */
static void update_gear(CacheMemDev *cm)
{
    cm->link->messages = cm->config.messages || cm->config.grouped ||
                         cm->config.limits.sf_quota ||
                         cm->config.limits.req_credits ||
                         cm->config.limits.rate || cm->link->unrouted;
}

static void set_route(CacheMemDev *cm, int id)
{
    cxl_cache_link_set_route(cm->link, id);
    update_gear(cm);
}

static void set_limits(CacheMemDev *cm)
{
    const CacheMemLimits *config = &cm->config.limits;
    CXLCacheLimits limits = {
        .quota = config->sf_quota,
        .group = cm->config.sf_group,
        .group_size = cm->config.grouped ?
                      cm->config.sf_size / CXL_CACHE_LINE_SIZE : 0,
        .rate = config->rate,
        .burst = config->rate_burst ?: CACHE_MEM_RATE_BURST,
    };

    if (config->rate) {
        cache_mem_time_start(cm->region);
    }
    cxl_cache_home_set_limits(cm->region->home, cm->number, &limits);
    cxl_cache_link_grant(cm->link, CXL_CACHE_D2H_REQ, config->req_credits);
    update_gear(cm);
}

/* The link of another device below the same root port, if links have time */
static const CXLCacheLink *find_beside(const CacheMemDev *cm)
{
    CacheMemDev *other;

    QTAILQ_FOREACH(other, &cm->region->devices, next) {
        if (cm->config.timed &&
            other->config.root_port == cm->config.root_port) {
            return other->link;
        }
    }
    return NULL;
}

static bool attach(CacheMemDev *cm, Error **errp)
{
    CXLCacheLinkConfig link = {
        .flit = cm->config.flit_256b ? CXL_CACHE_FLIT_256B : CXL_CACHE_FLIT_68B,
        .timing = cm->config.timed ? &cm->config.timing : NULL,
        .beside = find_beside(cm),
    };
    CXLCacheDevConfig dev = {
        .size = cm->config.cache_size,
        .ways = cm->config.cache_ways,
        .requests = OPEN_REQUESTS,
        .clean_evict = CXL_CACHE_CLEAN_NOTIFY,
        .snp_data_invalidates = cm->config.snp_data_invalidates,
    };

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        link.depth[i] = cm->config.depth ?: CHANNEL_DEPTH;
    }
    cm->link = cxl_cache_link_new(&link);
    cm->dev = cxl_cache_dev_new(&dev, cm->link, &dev_ops, cm);
    if (!cm->dev) {
        error_setg(errp, "there is no memory for a cache of %" PRIu64 " bytes",
                   cm->config.cache_size);
        return false;
    }
    set_route(cm, cm->config.flit_256b ? CACHE_MEM_UNROUTED : 0);
    cm->link->messages = cm->config.messages;
    if (cm->config.timed) {
        cache_mem_time_start(cm->region);
    }

    QEMU_LOCK_GUARD(&cm->region->lock);
    cm->number = cxl_cache_home_attach(cm->region->home, cm->link);
    if (cm->number < 0) {
        error_setg(errp, "there can be no more than %d CXL.cache devices",
                   CXL_CACHE_DEV_MAX);
        return false;
    }
    set_limits(cm);
    /* The link comes up with the credits that are granted. */
    cxl_cache_link_reset(cm->link);
    cxl_cache_dev_set_caching(cm->dev, false);
    cm->region->had_device = true;
    QTAILQ_INSERT_TAIL(&cm->region->devices, cm, next);
    cache_mem_inject_attach(cm);
    return true;
}

static void give_up_range(void *opaque, hwaddr addr, uint64_t len)
{
    cache_mem_dev_flush_range(opaque, addr, len);
}

CacheMemDev *cache_mem_dev_new(const CacheMemDevConfig *config, Error **errp)
{
    g_autoptr(CacheMemAllow) allow = NULL;
    CacheMemRegion *region = cache_mem_region_make();
    CacheMemDev *cm;

    if (!check_config(region, config, errp)) {
        return NULL;
    }
    if (config->allow) {
        allow = cache_mem_allow_new(config->allow, errp);
        if (!allow) {
            return NULL;
        }
    }
    if (!region_use(region, config, errp)) {
        return NULL;
    }
    if (config->cache == ON_OFF_AUTO_ON &&
        !cache_mem_host_check(region, errp)) {
        region_unuse(region);
        return NULL;
    }
    cm = g_new0(CacheMemDev, 1);
    cm->region = region;
    cm->number = -1;
    cm->config = *config;
    cm->isolated = config->isolated;
    cm->name = device_name(config->dev);
    cm->allow = g_steal_pointer(&allow);
    cm->error_bh = qemu_bh_new(report_errors, cm);
    cm->ats = cache_mem_ats_new(PCI_DEVICE(config->dev), cm->name,
                                give_up_range, cm);
    if (!attach(cm, errp)) {
        cache_mem_dev_free(cm);
        return NULL;
    }
    return cm;
}

void cache_mem_dev_detach(CacheMemDev *cm)
{
    if (!cm || !cm->error_bh) {
        return;
    }
    g_clear_pointer(&cm->ats, cache_mem_ats_free);
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number >= 0) {
        cache_mem_dev_flush_locked(cm);
        cxl_cache_home_detach(cm->region->home, cm->number);
        cache_mem_posted_lost(cm);
        QTAILQ_REMOVE(&cm->region->devices, cm, next);
    }
    cm->number = -1;
    cm->mode = CACHE_MEM_OFF;
    /* Who would be told is on its way out, and may be off its bus. */
    g_clear_pointer(&cm->error_bh, qemu_bh_delete);
}

void cache_mem_dev_free(CacheMemDev *cm)
{
    CacheMemRegion *region;

    if (!cm) {
        return;
    }
    region = cm->region;
    cache_mem_dev_detach(cm);
    cache_mem_allow_free(cm->allow);
    cxl_cache_dev_free(cm->dev);
    cxl_cache_link_free(cm->link);
    g_free(cm->name);
    g_free(cm);
    region_unuse(region);
}

static void isolate(CacheMemDev *cm)
{
    CacheMemRegion *region = cm->region;
    const CacheMemHooks *hooks = region->hooks;
    CacheMemTotals before = region->totals;

    cache_mem_trace_update(region);
    cache_mem_settle(region);
    if (!cm->config.rescue || region->inject.no_rescue) {
        cache_mem_context_lost(cm);
    }
    if (!(hooks && hooks->lose && hooks->lose(cm)) && cm->config.rescue) {
        region->totals.rescued_lines += cache_mem_dev_modified(cm);
        cache_mem_dev_flush_locked(cm);
    }
    region->totals.poisoned_lines += cxl_cache_home_isolate(region->home,
                                                            cm->number);
    cm->gone.rescued_lines += region->totals.rescued_lines -
                              before.rescued_lines;
    cm->gone.poisoned_lines += region->totals.poisoned_lines -
                               before.poisoned_lines;
    cm->gone.lost_lines += region->totals.lost_lines - before.lost_lines;
    cxl_cache_dev_reset(cm->dev);
    cache_mem_posted_lost(cm);
    cxl_cache_dev_set_caching(cm->dev, false);
    qatomic_set(&cm->mode, CACHE_MEM_OFF);
    trace_cxl_cache_isolate(cm->name, region->totals.rescued_lines,
                            region->totals.poisoned_lines);
}

void cache_mem_dev_isolate(CacheMemDev *cm)
{
    if (cm->ats) {
        cache_mem_ats_forget(cm->ats);
    }
    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        if (cm->number < 0) {
            return;
        }
        if (cm->link->held) {
            cache_mem_wait_isolate(cm);
        } else {
            isolate(cm);
        }
    }
    cache_mem_dev_tell_gone(cm, CXL_CACHE_LOSS_CAUSE_LINK_LOST);
}

void cache_mem_dev_set_viral(CacheMemDev *cm, bool viral)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cxl_cache_dev_set_viral(cm->dev, viral);
}

void cache_mem_dev_reset(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    /* It answers again, before it forgets all. */
    cxl_cache_link_hold(cm->link, 0);
    /* A device that was never enabled has nothing to say. */
    if (cm->mode != CACHE_MEM_OFF || cache_mem_dev_held(cm)) {
        cache_mem_dev_flush_locked(cm);
    }
    cxl_cache_dev_reset(cm->dev);
    cache_mem_posted_lost(cm);
    cxl_cache_dev_set_caching(cm->dev, false);
    cm->mode = cm->wanted = CACHE_MEM_OFF;
    cm->window_page = 0;
    qemu_cond_broadcast(&cm->region->moved);
    trace_cxl_cache_reset(cm->name, 0);
}

void cache_mem_dev_set_mode_locked(CacheMemDev *cm, CacheMemMode mode)
{
    cm->wanted = mode;
    if (cm->isolated) {
        return;
    }
    if (mode == CACHE_MEM_ON && cm->config.cache == ON_OFF_AUTO_OFF) {
        mode = CACHE_MEM_ONCE;
    }
    /* Who discarded memory may have gone: try again. */
    cm->region->discards = false;
    cache_mem_pages_update(cm->region);
    cm->mode = mode;
    cxl_cache_dev_set_caching(cm->dev, mode == CACHE_MEM_ON);
}

void cache_mem_dev_set_mode(CacheMemDev *cm, CacheMemMode mode)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number >= 0) {
        cache_mem_dev_set_mode_locked(cm, mode);
    }
}

void cache_mem_dev_set_route(CacheMemDev *cm, int id)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number < 0 || id == cxl_cache_link_route(cm->link)) {
        return;
    }
    if (cache_mem_dev_held(cm)) {
        cache_mem_dev_flush_locked(cm);
    }
    set_route(cm, id);
    trace_cxl_cache_route(cm->name, id);
}

void cache_mem_dev_set_limits(CacheMemDev *cm, const CacheMemLimits *limits)
{
    CacheMemRegion *region = cm->region;

    QEMU_LOCK_GUARD(&region->lock);
    cm->config.limits = *limits;
    if (cm->number < 0) {
        return;
    }
    /* What has happened by now was by the old ones, and what waits is not. */
    cache_mem_trace_update(region);
    cxl_cache_run(region->home);
    set_limits(cm);
    cxl_cache_run(region->home);
    cache_mem_time_arm(region);
    qemu_cond_broadcast(&region->moved);
}

CacheMemDev *cache_mem_dev_next(CacheMemDev *cm)
{
    CacheMemRegion *region = cache_mem_region_get();

    return cm ? QTAILQ_NEXT(cm, next) :
           region ? QTAILQ_FIRST(&region->devices) : NULL;
}

CacheMemDev *cache_mem_dev_of(DeviceState *dev)
{
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm)) && cm->config.dev != dev) {
    }
    return cm;
}

DeviceState *cache_mem_dev_device(const CacheMemDev *cm)
{
    return cm->config.dev;
}

bool cache_mem_dev_flit_256b(const CacheMemDev *cm)
{
    return cm->config.flit_256b;
}

const char *cache_mem_dev_name(const CacheMemDev *cm)
{
    return cm->name;
}

CacheMemMode cache_mem_dev_mode(const CacheMemDev *cm)
{
    return qatomic_read(&cm->mode);
}

void cache_mem_dev_flush(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_dev_flush_locked(cm);
}

static void region_class_init(ObjectClass *klass, const void *data)
{
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    cache_mem_inject_class_init(klass);
    rc->get_state = region_reset_state;
    rc->phases.enter = region_reset_enter;
}

static const TypeInfo region_info = {
    .name = TYPE_CACHE_MEM_REGION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CacheMemRegion),
    .instance_init = region_init,
    .instance_finalize = region_finalize,
    .class_init = region_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { TYPE_RESETTABLE_INTERFACE },
        { }
    },
};

static void region_register_types(void)
{
    type_register_static(&region_info);
}

type_init(region_register_types)
