/*
 * CacheMemRegion: devices that do not answer
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host waits: a vCPU in its access to memory (cache_mem_touch.c), a request
 * of another device in its queue; by the machine's clock, until there is an
 * answer or the time-out of the root port is over. Then CXL.cache below the
 * port is isolated (CXL r3.1 section 12.3), if the guest wants that.
 *
 * Not all of QEMU can wait: not a register access that is done when it returns,
 * nor DMA of QEMU's own devices, nor the main loop that stops the machine. For
 * them the links' time goes on to the time-out; where there is none, what does
 * not answer is isolated at once.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qapi/qapi-events-cxl.h"
#include "cache_mem_context.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* ---- Isolation ---- */

/* With an injected loss nobody is told, and memory keeps its old bytes. */
static void forget_lines(CacheMemDev *cm)
{
    CacheMemTotals *totals = &cm->region->totals;
    unsigned lost = cache_mem_dev_modified(cm);

    totals->lost_lines += lost;
    cm->gone.lost_lines += lost;
    cxl_cache_dev_reset(cm->dev);
    cxl_cache_home_rescue(cm->region->home, cm->number);
}

static void give_up_lines(CacheMemDev *cm)
{
    CacheMemRegion *region = cm->region;
    unsigned n;

    if (!cm->config.rescue || region->inject.no_rescue) {
        cache_mem_context_lost(cm);
    }
    if (region->inject.no_rescue) {
        forget_lines(cm);
    } else if (cm->config.rescue) {
        n = cxl_cache_home_rescue(region->home, cm->number);
        region->totals.rescued_lines += n;
        cm->gone.rescued_lines += n;
    } else {
        n = cxl_cache_home_isolate(region->home, cm->number);
        region->totals.poisoned_lines += n;
        cm->gone.poisoned_lines += n;
    }
}

void cache_mem_wait_isolate(CacheMemDev *cm)
{
    CacheMemRegion *region = cm->region;

    cache_mem_trace_update(region);
    give_up_lines(cm);
    cxl_cache_dev_reset(cm->dev);
    cm->failed = true;
    cache_mem_posted_lost(cm);
    cxl_cache_dev_set_caching(cm->dev, false);
    cm->wanted = CACHE_MEM_OFF;
    qatomic_set(&cm->mode, CACHE_MEM_OFF);
    trace_cxl_cache_isolate(cm->name, region->totals.rescued_lines,
                            region->totals.poisoned_lines);
    qemu_cond_broadcast(&region->moved);
}

static void note(CacheMemDev *cm, CacheMemPortEvent event)
{
    qatomic_or(&cm->port_events, BIT(event));
    if (cm->error_bh) {
        qemu_bh_schedule(cm->error_bh);
    }
}

/* All that is below the device's root port: that is what is isolated. */
static void isolate_port(CacheMemDev *cm, CxlCacheIsolationCause cause)
{
    CacheMemDev *other;

    QTAILQ_FOREACH(other, &cm->region->devices, next) {
        if (other->config.port == cm->config.port && !other->isolated) {
            other->isolated = cause == CXL_CACHE_ISOLATION_CAUSE_TIMEOUT;
            other->isolation_cause = cause;
            cache_mem_wait_isolate(other);
            note(other, CACHE_MEM_PORT_ISOLATED);
        }
    }
}

static CacheMemDev *find_number(CacheMemRegion *region, unsigned number)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->number == number) {
            return cm;
        }
    }
    g_assert_not_reached();
}

void cache_mem_wait_timeout(void *opaque, unsigned number)
{
    CacheMemDev *cm = find_number(opaque, number);

    trace_cxl_cache_timeout(cm->name, cxl_cache_time(cm->region->home));
    note(cm, CACHE_MEM_PORT_TIMEOUT);
    if (cm->isolate) {
        isolate_port(cm, CXL_CACHE_ISOLATION_CAUSE_TIMEOUT);
    }
}

/* ---- Who waits ---- */

static bool hangs(const CacheMemDev *cm)
{
    return cm->link->held &&
           cxl_cache_home_waits(cm->region->home, cm->number, NULL, 0);
}

bool cache_mem_wait_hangs(CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (hangs(cm)) {
            return true;
        }
    }
    return false;
}

/* Each that does not answer, and nothing else below its port */
unsigned cache_mem_wait_give_up(CacheMemRegion *region)
{
    unsigned n = 0;
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (hangs(cm)) {
            cm->isolation_cause = CXL_CACHE_ISOLATION_CAUSE_NO_WAIT;
            cache_mem_wait_isolate(cm);
            note(cm, CACHE_MEM_PORT_ISOLATED);
            n++;
        }
    }
    return n;
}

/* Something that is asked for at once is not done yet. */
static bool is_busy(const CacheMemDev *cm)
{
    unsigned posted = 0;
    CacheMemPosted *p;

    QLIST_FOREACH(p, &cm->posted, next) {
        posted++;
    }
    return cxl_cache_dev_outstanding(cm->dev) > posted;
}

void cache_mem_wait_finish(CacheMemDev *cm)
{
    cache_mem_settle(cm->region);
    while (cxl_cache_is_timed(cm->region->home) && is_busy(cm) &&
           cache_mem_advance(cm->region)) {
        /* What is under way for others is done on the way. */
    }
}

/* ---- Who is told ---- */

static void tell_isolated(CacheMemDev *cm)
{
    DeviceState *dev = cm->config.dev;
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));

    qapi_event_send_cxl_cache_isolated(path, dev->id, cm->isolation_cause);
    cache_mem_dev_tell_gone(cm, CXL_CACHE_LOSS_CAUSE_ISOLATION);
}

void cache_mem_wait_report(CacheMemDev *cm)
{
    uint32_t events = qatomic_xchg(&cm->port_events, 0);
    bool by_port = cm->isolation_cause == CXL_CACHE_ISOLATION_CAUSE_TIMEOUT;

    if (events & BIT(CACHE_MEM_PORT_ISOLATED)) {
        tell_isolated(cm);
    }
    for (int i = 0; i < CACHE_MEM_NUM_PORT_EVENTS; i++) {
        if ((events & BIT(i)) && cm->config.port_event &&
            (i != CACHE_MEM_PORT_ISOLATED || by_port)) {
            cm->config.port_event(cm->config.port, i);
        }
    }
}

void cache_mem_port_report(void)
{
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm))) {
        cache_mem_wait_report(cm);
    }
}

/* ---- What a port, or injection, says ---- */

void cache_mem_port_set_timeout(DeviceState *port, uint64_t ns, bool isolate)
{
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm))) {
        QEMU_LOCK_GUARD(&cm->region->lock);
        if (cm->config.port != port) {
            continue;
        }
        cm->isolate = isolate;
        cache_mem_time_start(cm->region);
        cxl_cache_home_set_timeout(cm->region->home, cm->number, ns);
        cxl_cache_run(cm->region->home);
        cache_mem_time_arm(cm->region);
    }
}

void cache_mem_port_end_isolation(DeviceState *port)
{
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm))) {
        QEMU_LOCK_GUARD(&cm->region->lock);
        if (cm->config.port == port && cm->isolated) {
            cm->isolated = false;
            cache_mem_dev_set_mode_locked(cm, cm->wanted);
        }
    }
}

void cache_mem_dev_hold(CacheMemDev *cm, unsigned channels)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number < 0) {
        return;
    }
    cache_mem_trace_update(cm->region);
    cxl_cache_link_hold(cm->link, channels);
    cache_mem_time_start(cm->region);
    cxl_cache_run(cm->region->home);
    cache_mem_time_arm(cm->region);
    qemu_cond_broadcast(&cm->region->moved);
}

unsigned cache_mem_dev_held_channels(const CacheMemDev *cm)
{
    return cm->link->held;
}
