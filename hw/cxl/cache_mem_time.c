/*
 * CacheMemRegion: links with time
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages travel by the machine's clock, QEMU_CLOCK_VIRTUAL, and a timer in
 * the main loop takes them when they arrive. But the main loop may be what
 * waits: its thread touches memory for the monitor and for devices, and so does
 * a vCPU with the BQL held. So nobody who stands in somebody's way waits for
 * the timer:
 *
 *  - The thread that hears of touches moves messages itself, when the clock has
 *    come to them. It takes no lock but the region's, and gives that back while
 *    it sleeps. Other vCPUs run on; who touches another page then has to wait
 *    for his turn.
 *  - It sleeps as long as the clock should need, and no longer. Where the clock
 *    stands still (a machine that is stopped), or goes by what vCPUs execute
 *    (icount) or a test says (qtest), who touches memory may be who keeps it
 *    from going on: the links' time is brought forward at once.
 *  - What a register access, DMA or the crypto device asks for is done when it
 *    returns, and brings the links' time forward likewise. Messages that are
 *    sent before the clock has come as far are sent at that time.
 *
 * cache_mem_request_wait() sleeps until somebody else moves messages. Who waits
 * for its caller calls cache_mem_hurry().
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "exec/icount.h"
#include "hw/core/cpu.h"
#include "system/qtest.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* Sleeping takes the kernel about that long: shorter waits are spent awake. */
#define SPIN_NS     (50 * SCALE_US)
/* Nobody may wait longer for the thread that waits */
#define SLEEP_NS    (10 * SCALE_MS)

/* This thread works for a vCPU that is in the middle of an access. */
static __thread bool for_vcpu;

void cache_mem_time_for_vcpu(void)
{
    for_vcpu = true;
}

/*
 * With icount the clock is as of when vCPUs were last asked, which depends on
 * how often something else has had them stop. What they have executed since is
 * known, and the one that waits stands still.
 */
static int64_t executed_ns(void)
{
    int64_t executed = 0;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        executed += cpu->icount_budget -
                    (cpu->neg.icount_decr.u16.low + cpu->icount_extra);
    }
    return icount_to_ns(executed);
}

uint64_t cache_mem_time_now(void *opaque)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    return for_vcpu && icount_enabled() == ICOUNT_PRECISE ?
           now + executed_ns() : now;
}

/* ---- Pages that the host is about to touch ---- */

bool cache_mem_time_defer(void *opaque, uint64_t line)
{
    CacheMemRegion *region = opaque;
    uint64_t addr = QEMU_ALIGN_DOWN(line << CXL_CACHE_LINE_SHIFT,
                                    CACHE_MEM_PAGE_SIZE);
    const CacheMemRecall *recall;

    if (region->at_once) {
        return false;
    }
    QLIST_FOREACH(recall, &region->recalls, next) {
        if (recall->addr == addr) {
            return true;
        }
    }
    return false;
}

void cache_mem_time_recall(CacheMemRegion *region, CacheMemRecall *recall,
                           uint64_t addr)
{
    recall->addr = addr;
    QLIST_INSERT_HEAD(&region->recalls, recall, next);
}

void cache_mem_time_recalled(CacheMemRegion *region, CacheMemRecall *recall)
{
    QLIST_REMOVE(recall, next);
}

/* ---- The timer ---- */

void cache_mem_time_arm(CacheMemRegion *region)
{
    uint64_t next;

    if (!region->timer) {
        return;
    }
    next = MIN(cxl_cache_next(region->home),
               cxl_cache_deadline(region->home));
    next = region->later ? MIN(next, region->later) : next;
    if (next == UINT64_MAX) {
        timer_del(region->timer);
    } else {
        timer_mod_ns(region->timer, next);
    }
}

static void time_has_come(void *opaque)
{
    CacheMemRegion *region = opaque;

    WITH_QEMU_LOCK_GUARD(&region->lock) {
        cache_mem_trace_update(region);
        region->later = 0;
        cxl_cache_run(region->home);
        cache_mem_llc_go_on(region);
        cache_mem_time_arm(region);
        qemu_cond_broadcast(&region->moved);
    }
    cache_mem_port_report();
}

void cache_mem_time_start(CacheMemRegion *region)
{
    if (!region->timer) {
        region->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, time_has_come,
                                     region);
    }
}

void cache_mem_time_stop(CacheMemRegion *region)
{
    WITH_QEMU_LOCK_GUARD(&region->lock) {
        g_clear_pointer(&region->timer, timer_free);
    }
}

/* ---- Waiting ---- */

/* Does it go on by itself, whoever waits? */
static bool clock_runs(void)
{
    return !icount_enabled() && !qtest_enabled();
}

/* In real time, with the lock given back */
static void sleep_ns(CacheMemRegion *region, int64_t ns)
{
    int64_t end = get_clock() + ns;

    qemu_mutex_unlock(&region->lock);
    if (ns <= SPIN_NS) {
        while (get_clock() < end) {
            /* The clock of the machine goes on as well. */
        }
    } else {
        g_usleep(ns / SCALE_US);
    }
    qemu_mutex_lock(&region->lock);
}

bool cache_mem_time_wait(CacheMemRegion *region)
{
    uint64_t next = cxl_cache_next(region->home);
    uint64_t now = cxl_cache_time(region->home);

    /* A time-out is the timer's, unless the clock stands still for us. */
    if (next == UINT64_MAX && !clock_runs()) {
        next = cxl_cache_deadline(region->home);
    }
    if (next == UINT64_MAX) {
        cache_mem_time_arm(region);
        return false;
    }
    if (next > now && clock_runs()) {
        sleep_ns(region, MIN(next - now, SLEEP_NS));
    }
    cache_mem_trace_update(region);
    cxl_cache_advance(region->home);
    cache_mem_llc_go_on(region);
    cache_mem_time_arm(region);
    qemu_cond_broadcast(&region->moved);
    return true;
}

/*
 * The vCPU goes on as soon as it has the page. With icount, where the clock is
 * what it executes, all that depends on the clock is done before, and the rest
 * by the timer, a microsecond later.
 */
void cache_mem_time_before_touch(CacheMemRegion *region)
{
    if (icount_enabled()) {
        region->later = cxl_cache_time(region->home) + SCALE_US;
        cache_mem_time_arm(region);
    }
}

void cache_mem_time_after_touch(CacheMemRegion *region)
{
    if (!icount_enabled()) {
        cxl_cache_run(region->home);
        cache_mem_llc_go_on(region);
        cache_mem_time_arm(region);
    }
}

void cache_mem_hurry(CacheMemDev *cm, bool hurry)
{
    CacheMemRegion *region = cm->region;

    QEMU_LOCK_GUARD(&region->lock);
    region->hurry += hurry ? 1 : -1;
    qemu_cond_broadcast(&region->moved);
}

/* ---- What is posted ---- */

/* No other tag has this bit, and no pointer. */
#define TAG_POSTED (1ULL << 63)

uint64_t cache_mem_posted_tag(const CacheMemPosted *posted)
{
    return TAG_POSTED | (uintptr_t)posted;
}

CacheMemPosted *cache_mem_posted_of(uint64_t tag)
{
    return tag & TAG_POSTED ?
           (CacheMemPosted *)(uintptr_t)(tag & ~TAG_POSTED) : NULL;
}

/* Who waits for it is woken by who has moved messages. */
void cache_mem_posted_over(CacheMemPosted *posted, const CXLCacheDone *done)
{
    posted->result.failed = !done || done->failed;
    if (done) {
        posted->result.state = done->state;
        posted->result.poison = done->poison;
        if (done->data) {
            posted->result.data = *done->data;
        }
    }
    QLIST_REMOVE(posted, next);
    posted->done(posted);
}

void cache_mem_posted_lost(CacheMemDev *cm)
{
    CacheMemPosted *posted, *after;

    QLIST_FOREACH_SAFE(posted, &cm->posted, next, after) {
        cache_mem_posted_over(posted, NULL);
    }
    qemu_cond_broadcast(&cm->region->moved);
}
