/*
 * CacheMemRegion: what a device does with memory on CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* Requests */

/* Run @again until it need not wait for others' messages any more */
#define RETRY_WHILE_BUSY(cm, again)                                 \
    ({                                                              \
        int ret_;                                                   \
                                                                    \
        while ((ret_ = (again)) == -EAGAIN || ret_ == -EBUSY) {     \
            if (!cache_mem_advance((cm)->region)) {                 \
                break;                                              \
            }                                                       \
        }                                                           \
        ret_;                                                       \
    })

int cache_mem_agent_request(CacheMemDev *cm, const CXLCacheReq *req)
{
    cm->region->urgent = cm;
    return RETRY_WHILE_BUSY(cm, cxl_cache_dev_request(cm->dev, req));
}

int cache_mem_agent_evict(CacheMemDev *cm, uint64_t line)
{
    cm->region->urgent = cm;
    return RETRY_WHILE_BUSY(cm, cxl_cache_dev_evict(cm->dev, line));
}

static int send_request(CacheMemDev *cm, const CXLCacheReq *req)
{
    const CacheMemHooks *hooks = cm->region->hooks;

    return hooks && hooks->request ? hooks->request(cm, req) :
                                     cache_mem_agent_request(cm, req);
}

static int send_evict(CacheMemDev *cm, uint64_t line)
{
    const CacheMemHooks *hooks = cm->region->hooks;

    return hooks && hooks->evict ? hooks->evict(cm, line) :
                                   cache_mem_agent_evict(cm, line);
}

static bool holds(const CacheMemDev *cm, uint64_t line, unsigned perm)
{
    return cxl_cache_may(cxl_cache_dev_state(cm->dev, line), perm);
}

/* Where memory is */

CacheMemTranslation cache_mem_translate(CacheMemDev *cm, const CacheMemSeg *seg,
                                        unsigned n, bool write, GArray *to)
{
    return cache_mem_ats_translate(cm->ats, seg, n, write, to);
}

uint64_t cache_mem_translations_gone(const CacheMemDev *cm)
{
    return cm->ats ? cache_mem_ats_gone(cm->ats) : 0;
}

void cache_mem_ats_drop(CacheMemDev *cm)
{
    if (cm->ats) {
        cache_mem_ats_invalidate_all(cm->ats);
    }
}

static bool usable(CacheMemDev *cm, hwaddr addr, uint64_t len, unsigned need)
{
    uint64_t part;

    /* By what is left, not up to an end: that may be 0. */
    for (; len; addr += part, len -= part) {
        part = MIN(len, CACHE_MEM_PAGE_SIZE - addr % CACHE_MEM_PAGE_SIZE);
        if (need & ~cache_mem_host_decode(cm->region,
                                          addr / CXL_CACHE_LINE_SIZE)) {
            return false;
        }
    }
    return true;
}

bool cache_mem_usable(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                      bool write)
{
    unsigned need = CXL_CACHE_MEM_READ | (write ? CXL_CACHE_MEM_WRITE : 0);

    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->mode == CACHE_MEM_OFF) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!usable(cm, seg[i].addr, seg[i].len, need)) {
            return false;
        }
    }
    return true;
}

bool cache_mem_agent_allowed(CacheMemDev *cm, hwaddr addr, uint64_t len)
{
    if (cache_mem_allows(cm->allow, addr, len)) {
        return true;
    }
    cm->refused++;
    trace_cxl_cache_guard(cm->name, addr, len);
    return false;
}

static bool all_allowed(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!cache_mem_agent_allowed(cm, seg[i].addr, seg[i].len)) {
            return false;
        }
    }
    return true;
}

/* Going through memory */

/**
 * Action: what is done with each line of some memory
 * @lines: for @n lines of one page, in the fast gear; returns those that are
 *         done, a bit for each. NULL if there is no such way
 * @part: for a line, or part of one, that is not done
 * @buf: its bytes; NULL where there are none
 */
typedef struct Action {
    uint64_t (*lines)(CacheMemDev *cm, uint64_t line, unsigned n,
                      uint8_t *buf);
    void (*part)(CacheMemDev *cm, const CacheMemLinePart *part, uint8_t *buf);
} Action;

/* The fast gear needs quiet: what was sent for lines before has to be done. */
static uint64_t do_lines(CacheMemDev *cm, uint64_t line, unsigned n,
                         uint8_t *buf, const Action *action)
{
    if (!action->lines || !n) {
        return 0;
    }
    cache_mem_settle(cm->region);
    return action->lines(cm, line, n, buf);
}

/* Whole lines from @addr on, up to the end of the page */
static unsigned whole_lines(hwaddr addr, size_t len)
{
    return addr % CXL_CACHE_LINE_SIZE ? 0 :
           MIN(len, CACHE_MEM_PAGE_SIZE - addr % CACHE_MEM_PAGE_SIZE) /
           CXL_CACHE_LINE_SIZE;
}

/* Part of a line, or lines up to the end of the page; returns their length */
static size_t do_next(CacheMemDev *cm, hwaddr addr, size_t len, uint8_t *buf,
                      const Action *action)
{
    unsigned n = whole_lines(addr, len);
    uint64_t done = do_lines(cm, addr / CXL_CACHE_LINE_SIZE, n, buf, action);
    size_t at = 0;

    if (n && ctpop64(done) == n) {
        return n * CXL_CACHE_LINE_SIZE;
    }
    for (unsigned i = 0; i < MAX(n, 1); i++) {
        CacheMemLinePart part = cache_mem_line_part(addr + at, len - at);

        if (!extract64(done, i, 1)) {
            action->part(cm, &part, buf ? buf + at : NULL);
        }
        at += part.len;
    }
    return at;
}

static void for_piece(CacheMemDev *cm, hwaddr addr, size_t len, uint8_t *buf,
                      const Action *action)
{
    while (len) {
        size_t done = do_next(cm, addr, len, buf, action);

        buf = buf ? buf + done : NULL;
        addr += done;
        len -= done;
    }
}

/* All that was asked for is done, and what follows from it at the host */
static void finish(CacheMemDev *cm)
{
    cache_mem_wait_finish(cm);
    cache_mem_llc_settle(cm->region);
}

static void for_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                       const void *buf, const Action *action)
{
    uint8_t *at = (uint8_t *)buf;

    for (unsigned i = 0; i < n; i++) {
        for_piece(cm, seg[i].addr, seg[i].len, at, action);
        at = at ? at + seg[i].len : NULL;
    }
    finish(cm);
}

/* Reading */

/* A read's tag is where its bytes go, and the part of the line they are. */
static uint64_t read_tag(size_t at, const CacheMemLinePart *part)
{
    return (uint64_t)at << 16 | part->offset << 8 | part->len;
}

static void take_read(CacheMemDev *cm, const CXLCacheDone *done)
{
    cm->failed |= done->failed;
    cm->poison |= done->poison;
    memcpy(cm->read_buf + (done->tag >> 16),
           done->data->b + extract64(done->tag, 8, 8),
           extract64(done->tag, 0, 8));
}

/* What is here, or can be had in the fast gear */
static bool read_at_once(CacheMemDev *cm, const CacheMemLinePart *part,
                         uint8_t *buf)
{
    CXLCacheLineData data;
    bool poison = false;

    if (!cxl_cache_page_read(cm->dev, part->line, 1, &data) &&
        !cxl_cache_dev_read(cm->dev, part->line, &data, &poison)) {
        return false;
    }
    cm->poison |= poison;
    memcpy(buf, data.b + part->offset, part->len);
    return true;
}

static void read_part(CacheMemDev *cm, const CacheMemLinePart *part,
                      uint8_t *buf)
{
    CXLCacheReq req = {
        .line = part->line,
        .opcode = CXL_CACHE_RD_CURR,
        .tag = read_tag(buf - cm->read_buf, part),
    };

    if (!read_at_once(cm, part, buf)) {
        /* Owned without data: of no use for reading */
        cxl_cache_dev_drop(cm->dev, part->line);
        cm->failed |= send_request(cm, &req) < 0;
    }
}

static uint64_t read_lines(CacheMemDev *cm, uint64_t line, unsigned n,
                           uint8_t *buf)
{
    return cxl_cache_page_read(cm->dev, line, n, buf);
}

bool cache_mem_read(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                    void *buf, bool *poison)
{
    static const Action action = { read_lines, read_part };

    QEMU_LOCK_GUARD(&cm->region->lock);
    *poison = false;
    if (!all_allowed(cm, seg, n)) {
        return false;
    }
    cache_mem_trace_update(cm->region);
    cm->failed = cm->poison = false;
    cm->done = take_read;
    cm->read_buf = buf;
    cache_mem_host_prepare(cm->region, seg, n, false);
    for_pieces(cm, seg, n, buf, &action);
    cm->done = NULL;
    *poison = cm->poison;
    return !cm->failed && !cm->poison;
}

/* Writing */

static uint64_t part_be(const CacheMemLinePart *part)
{
    return MAKE_64BIT_MASK(part->offset, part->len);
}

static void take_grant(CacheMemDev *cm, const CXLCacheDone *done)
{
    cm->failed |= done->failed;
}

/* Ask for what it takes to write a part of a line, unless it is there. */
static void own_part(CacheMemDev *cm, const CacheMemLinePart *part,
                     uint8_t *buf)
{
    bool full = part->len == CXL_CACHE_LINE_SIZE;
    CXLCacheReq req = {
        .line = part->line,
        .opcode = full ? CXL_CACHE_RD_OWN_NO_DATA : CXL_CACHE_RD_OWN,
    };

    if (!cm->room) {
        return;
    }
    cm->room--;
    if (!holds(cm, part->line, CXL_CACHE_P_STABLE)) {
        /* Asked for already, for another part of it */
        cache_mem_wait_finish(cm);
    }
    if (holds(cm, part->line, full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE) ||
        !(cache_mem_host_decode(cm->region, part->line) &
          CXL_CACHE_MEM_CACHEABLE)) {
        return;
    }
    if (!full) {
        /* RdOwn starts from I. */
        cxl_cache_dev_drop(cm->dev, part->line);
    }
    cm->failed |= send_request(cm, &req) < 0;
}

/* The line is not owned: write it without keeping it. */
static void write_once(CacheMemDev *cm, const CacheMemLinePart *part,
                       const CXLCacheLineData *data)
{
    bool full = part->len == CXL_CACHE_LINE_SIZE;
    CXLCacheReq req = {
        .line = part->line,
        .opcode = full ? CXL_CACHE_I_TO_M_WR : CXL_CACHE_WR_INV,
        .be = part_be(part),
        .data = data,
    };

    cxl_cache_dev_drop(cm->dev, part->line);
    cm->once_lines++;
    trace_cxl_cache_once(cm->name, part->line * CXL_CACHE_LINE_SIZE);
    cm->failed |= send_request(cm, &req) < 0;
}

static uint64_t own_lines(CacheMemDev *cm, uint64_t line, unsigned n,
                          uint8_t *buf)
{
    uint64_t owned = cxl_cache_page_own(cm->dev, line, MIN(n, cm->room));

    cm->room -= ctpop64(owned);
    return owned;
}

static uint64_t commit_lines(CacheMemDev *cm, uint64_t line, unsigned n,
                             uint8_t *buf)
{
    uint64_t once = cxl_cache_page_put(cm->dev, line, n, buf);

    cm->once_lines += ctpop64(once);
    return ctpop64(once) == n ? once :
           once | cxl_cache_page_write(cm->dev, line, n, buf);
}

static void commit_part(CacheMemDev *cm, const CacheMemLinePart *part,
                        uint8_t *buf)
{
    CXLCacheLineData data;

    memcpy(data.b + part->offset, buf, part->len);
    if (!cxl_cache_dev_write(cm->dev, part->line, &data, part_be(part))) {
        write_once(cm, part, &data);
    }
}

static void own_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    static const Action action = { own_lines, own_part };

    if (cm->mode == CACHE_MEM_ON) {
        /* The rest of the cache is for what this request drives out of it. */
        cm->room = cxl_cache_dev_num_lines(cm->dev) / 2;
        cache_mem_host_prepare(cm->region, seg, n, true);
        for_pieces(cm, seg, n, NULL, &action);
    }
}

static uint64_t evict_lines(CacheMemDev *cm, uint64_t line, unsigned n,
                            uint8_t *buf)
{
    return cxl_cache_page_evict(cm->dev, line, n);
}

static void evict_part(CacheMemDev *cm, const CacheMemLinePart *part,
                       uint8_t *buf)
{
    send_evict(cm, part->line);
}

/* The host is told: a line that it thinks is here may be lost with the link. */
static void give_up_part(CacheMemDev *cm, const CacheMemLinePart *part,
                         uint8_t *buf)
{
    if (!holds(cm, part->line, CXL_CACHE_P_DIRTY)) {
        send_evict(cm, part->line);
    }
}

static void stage_part(CacheMemDev *cm, const CacheMemLinePart *part,
                       uint8_t *buf)
{
    if (part->len == CXL_CACHE_LINE_SIZE) {
        CXLCacheLineData data;

        memcpy(data.b, buf, sizeof(data));
        cxl_cache_dev_stage(cm->dev, part->line, &data);
    }
}

/* The pieces up to @len bytes; returns how many of @seg go into @to. */
static unsigned cut_pieces(const CacheMemSeg *seg, unsigned n, size_t len,
                           CacheMemSeg *to)
{
    unsigned i;

    for (i = 0; i < n && len; i++) {
        to[i] = seg[i];
        to[i].len = MIN(seg[i].len, len);
        len -= to[i].len;
    }
    return i;
}

static size_t pieces_len(const CacheMemSeg *seg, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += seg[i].len;
    }
    return len;
}

static void stage_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                         const void *buf, CacheMemStep step)
{
    static const Action action = { .part = stage_part };
    g_autofree CacheMemSeg *part = g_new(CacheMemSeg, n);
    size_t len = pieces_len(seg, n);

    if (step == CACHE_MEM_STEP_HALF) {
        /* Of lines: the last one that begins in the first half is whole */
        len = QEMU_ALIGN_UP(len / 2, CXL_CACHE_LINE_SIZE);
    }
    for_pieces(cm, part, cut_pieces(seg, n, len, part), buf, &action);
}

static const Action evict = { evict_lines, evict_part };
static const Action give_up = { .part = give_up_part };

static bool begin_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    if (!all_allowed(cm, seg, n)) {
        return false;
    }
    cache_mem_trace_update(cm->region);
    cm->failed = false;
    return true;
}

/* All of it, or nothing of it is left. */
static bool own_all(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    if (!begin_write(cm, seg, n)) {
        return false;
    }
    cm->done = take_grant;
    own_pieces(cm, seg, n);
    cm->done = NULL;
    if (cm->failed) {
        for_pieces(cm, seg, n, NULL, &give_up);
        return false;
    }
    return true;
}

bool cache_mem_stage(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, CacheMemStep step)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (!own_all(cm, seg, n)) {
        return false;
    }
    if (step != CACHE_MEM_STEP_OWN) {
        stage_pieces(cm, seg, n, buf, step);
    }
    return true;
}

void cache_mem_give_up(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_trace_update(cm->region);
    for_pieces(cm, seg, n, NULL, &give_up);
}

void cache_mem_give_up_clean(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number < 0 ||
        cache_mem_dev_modified(cm) == cache_mem_dev_held(cm)) {
        return;
    }
    cache_mem_trace_update(cm->region);
    for (unsigned i = 0; i < cxl_cache_dev_num_lines(cm->dev); i++) {
        CXLCacheSlot slot;

        if (cxl_cache_dev_slot(cm->dev, i, &slot) &&
            !cxl_cache_may(slot.state, CXL_CACHE_P_DIRTY)) {
            send_evict(cm, slot.line);
        }
    }
    finish(cm);
}

/* A range may be larger than the cache by far. */
static void evict_slots(CacheMemDev *cm, uint64_t first, uint64_t last)
{
    unsigned n = cxl_cache_dev_num_lines(cm->dev);
    CXLCacheSlot slot;

    for (unsigned i = 0; i < n; i++) {
        if (cxl_cache_dev_slot(cm->dev, i, &slot) && slot.line >= first &&
            slot.line <= last) {
            send_evict(cm, slot.line);
        }
    }
}

void cache_mem_dev_flush_range(CacheMemDev *cm, hwaddr addr, uint64_t len)
{
    uint64_t first = addr / CXL_CACHE_LINE_SIZE;
    uint64_t last = (addr + len - 1) / CXL_CACHE_LINE_SIZE;
    const CacheMemSeg seg = { addr, len };

    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_trace_update(cm->region);
    if (!QLIST_EMPTY(&cm->posted)) {
        /* Lines that are on their way are among them, when they are here. */
        cm->region->urgent = cm;
        cache_mem_settle(cm->region);
    }
    if (last - first >= cxl_cache_dev_num_lines(cm->dev)) {
        evict_slots(cm, first, last);
        finish(cm);
        return;
    }
    for_pieces(cm, &seg, 1, NULL, &evict);
    /* The host is about to touch these pages: no need to trap it */
    cache_mem_host_release(cm->region, addr, len);
}

/* Leave nothing of it in the cache. */
static void evict_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    for_pieces(cm, seg, n, NULL, &evict);
    for (unsigned i = 0; i < n; i++) {
        cache_mem_host_release(cm->region, seg[i].addr, seg[i].len);
    }
}

/* Modified lines that snoops have taken from the device, or shared, so far */
static uint64_t lines_taken(const CacheMemDev *cm)
{
    const uint64_t *sent = cm->link->stats->sent[CXL_CACHE_D2H_RSP];

    return sent[CXL_CACHE_RSP_I_FWD_M] + sent[CXL_CACHE_RSP_S_FWD_M];
}

CacheMemWriteHow cache_mem_agent_how(CacheMemDev *cm, CacheMemWriteHow how,
                                     size_t len)
{
    return how != CACHE_MEM_WRITE_ADAPT ? how :
           cxl_cache_keep(&cm->keep, DIV_ROUND_UP(len, CXL_CACHE_LINE_SIZE),
                          lines_taken(cm)) ?
           CACHE_MEM_WRITE_KEEP : CACHE_MEM_WRITE_THROUGH;
}

bool cache_mem_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, CacheMemWriteHow how)
{
    static const Action commit = { commit_lines, commit_part };
    bool through;

    QEMU_LOCK_GUARD(&cm->region->lock);
    how = cache_mem_agent_how(cm, how, pieces_len(seg, n));
    through = how == CACHE_MEM_WRITE_THROUGH;
    if (!(through ? begin_write(cm, seg, n) : own_all(cm, seg, n))) {
        return false;
    }
    if (through) {
        cache_mem_host_prepare(cm->region, seg, n, false);
    }
    cm->done = take_grant;
    for_pieces(cm, seg, n, buf, &commit);
    if (how != CACHE_MEM_WRITE_KEEP && cache_mem_dev_held(cm)) {
        evict_pieces(cm, seg, n);
    }
    cm->done = NULL;
    return !cm->failed;
}

/* One by one */

static void take_result(CacheMemDev *cm, const CXLCacheDone *done)
{
    CacheMemResult *result = cm->result;

    result->state = done->state;
    result->failed = done->failed;
    result->poison = done->poison;
    if (done->data) {
        result->data = *done->data;
    }
}

/* What an isolated device asks for is aborted. */
static bool mode_allows(const CacheMemDev *cm, const CXLCacheReq *req)
{
    cm->link->stats->aborted += cm->isolated;
    return !cm->isolated && (cm->mode != CACHE_MEM_OFF ||
           (req->opcode < CXL_CACHE_D2H_REQ_CODES &&
            cxl_cache_req_rules[req->opcode].evict));
}

static bool wants_line(const CXLCacheReq *req)
{
    return req->opcode < CXL_CACHE_D2H_REQ_CODES &&
           cxl_cache_req_rules[req->opcode].cacheable;
}

int cache_mem_agent_check(CacheMemDev *cm, const CXLCacheReq *req)
{
    if (!mode_allows(cm, req)) {
        return -EPERM;
    }
    return cache_mem_agent_allowed(cm, req->line * CXL_CACHE_LINE_SIZE,
                                   CXL_CACHE_LINE_SIZE) ? 0 : -EACCES;
}

int cache_mem_request(CacheMemDev *cm, const CXLCacheReq *req,
                      CacheMemResult *result)
{
    const CacheMemSeg line = {
        req->line * CXL_CACHE_LINE_SIZE, CXL_CACHE_LINE_SIZE,
    };
    int ret;

    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_trace_update(cm->region);
    ret = cache_mem_agent_check(cm, req);
    if (ret) {
        return ret;
    }
    memset(result, 0, sizeof(*result));
    cache_mem_host_prepare(cm->region, &line, 1, wants_line(req));
    /* Unless something else comes of it: it was lost. */
    result->failed = true;
    cm->done = take_result;
    cm->result = result;
    ret = send_request(cm, req);
    cache_mem_wait_finish(cm);
    cm->done = NULL;
    cache_mem_llc_settle(cm->region);
    return MIN(ret, 0);
}

/* Requests that go on by themselves */

/*
 * Not by send_request(): what is injected into requests takes those that are
 * done before the lock is given back.
 */
static int post(CacheMemDev *cm, const CXLCacheReq *req, CacheMemPosted *posted,
                uint16_t *open)
{
    const CacheMemSeg line = {
        req->line * CXL_CACHE_LINE_SIZE, CXL_CACHE_LINE_SIZE,
    };
    CXLCacheReq tagged = *req;
    int ret;

    cache_mem_trace_update(cm->region);
    ret = cm->number < 0 ? -EPERM : cache_mem_agent_check(cm, req);
    if (ret) {
        return ret;
    }
    cache_mem_host_prepare(cm->region, &line, 1, wants_line(req));
    memset(&posted->result, 0, sizeof(posted->result));
    tagged.tag = cache_mem_posted_tag(posted);
    cxl_cache_run(cm->region->home);
    ret = cxl_cache_dev_request(cm->dev, &tagged);
    if (ret >= 0) {
        QLIST_INSERT_HEAD(&cm->posted, posted, next);
        if (open) {
            qatomic_set(open, *open + 1);
        }
        cxl_cache_run(cm->region->home);
    }
    cache_mem_llc_go_on(cm->region);
    cache_mem_time_arm(cm->region);
    return MIN(ret, 0);
}

int cache_mem_agent_post(CacheMemDev *cm, const CXLCacheReq *req,
                         CacheMemPosted *posted)
{
    return post(cm, req, posted, NULL);
}

int cache_mem_post(CacheMemDev *cm, const CXLCacheReq *req,
                   CacheMemPosted *posted, uint16_t *open)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return post(cm, req, posted, open);
}

/* To look again where nothing is under way: a device that does not answer */
#define IDLE_NS     (1 * SCALE_MS)

void cache_mem_dev_set_sleep(CacheMemDev *cm, CacheMemSleep *sleep,
                             void *opaque)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cm->sleep = sleep;
    cm->sleep_opaque = opaque;
}

/* A coroutine wakes up with the next message, whoever moves it. */
static void sleep_by_clock(CacheMemDev *cm)
{
    CXLCacheHome *home = cm->region->home;
    uint64_t next = MIN(cxl_cache_next(home), cxl_cache_deadline(home));

    next = next == UINT64_MAX ? cxl_cache_time(home) + IDLE_NS : next;
    qemu_mutex_unlock(&cm->region->lock);
    cm->sleep(cm->sleep_opaque, next);
    qemu_mutex_lock(&cm->region->lock);
    if (cm->number >= 0) {
        cxl_cache_run(cm->region->home);
        cache_mem_time_arm(cm->region);
    }
}

/* Somebody else moves messages: the timer, or who is in a hurry. */
static void sleep_in_time(CacheMemDev *cm)
{
    CacheMemRegion *region = cm->region;

    if (region->hurry) {
        region->urgent = cm;
        cache_mem_settle(region);
        if (cache_mem_wait_hangs(region)) {
            cache_mem_advance(region);
        }
        cache_mem_llc_go_on(region);
    }
    cache_mem_time_arm(region);
    if (cm->sleep) {
        sleep_by_clock(cm);
        return;
    }
    qemu_cond_timedwait(&region->moved, &region->lock, region->hurry ? 1 : 20);
}

void cache_mem_posts_wait(CacheMemDev *cm, const uint16_t *open, unsigned most)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    while (cm->number >= 0 && *open > most) {
        sleep_in_time(cm);
    }
}

typedef struct Waiting {
    CacheMemPosted posted;
    CacheMemDev *cm;
    uint64_t line;
    CacheMemUse *use;
    void *opaque;
    bool over;
} Waiting;

static void waiting_done(CacheMemPosted *posted)
{
    Waiting *w = container_of(posted, Waiting, posted);

    w->over = true;
    if (w->use && !posted->result.failed) {
        w->use(w->opaque, w->cm->dev, w->line);
    }
}

static bool waits_in_time(const CacheMemDev *cm)
{
    return cxl_cache_is_timed(cm->region->home) && !cm->region->hooks;
}

int cache_mem_request_wait(CacheMemDev *cm, const CXLCacheReq *req,
                           CacheMemResult *result, CacheMemUse *use,
                           void *opaque)
{
    Waiting w = {
        .posted.done = waiting_done,
        .cm = cm,
        .line = req->line,
        .use = use,
        .opaque = opaque,
    };

    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        if (waits_in_time(cm)) {
            int ret = post(cm, req, &w.posted, NULL);

            if (ret == -EAGAIN || ret == -EBUSY) {
                sleep_in_time(cm);
            }
            while (!ret && !w.over) {
                sleep_in_time(cm);
            }
            *result = w.posted.result;
            return ret;
        }
    }
    return cache_mem_request(cm, req, result);
}

bool cache_mem_line_read(CacheMemDev *cm, uint64_t line,
                         CXLCacheLineData *data, bool *poison)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_read(cm->dev, line, data, poison);
}

bool cache_mem_line_write(CacheMemDev *cm, uint64_t line,
                          const CXLCacheLineData *data, uint64_t be)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_write(cm->dev, line, data, be);
}

bool cache_mem_line_drop(CacheMemDev *cm, uint64_t line)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_drop(cm->dev, line);
}

int cache_mem_line_evict(CacheMemDev *cm, uint64_t line)
{
    int ret;

    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_trace_update(cm->region);
    ret = send_evict(cm, line);
    finish(cm);
    return ret;
}

bool cache_mem_line_was_lost(CacheMemDev *cm, uint64_t line)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cm->region->home && cxl_cache_is_timed(cm->region->home) &&
           (cache_mem_host_decode(cm->region, line) & CXL_CACHE_MEM_CACHEABLE);
}

int cache_mem_line_evict_wait(CacheMemDev *cm, uint64_t line)
{
    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        if (waits_in_time(cm)) {
            int ret;

            cache_mem_trace_update(cm->region);
            ret = cxl_cache_dev_evict(cm->dev, line);
            /* Whether it was accepted, or has to wait for what is under way */
            do {
                sleep_in_time(cm);
            } while (cm->number >= 0 && !ret &&
                     cxl_cache_dev_state(cm->dev, line) != CXL_CACHE_I &&
                     !holds(cm, line, CXL_CACHE_P_STABLE));
            return ret;
        }
    }
    return cache_mem_line_evict(cm, line);
}

CXLCacheState cache_mem_line_state(CacheMemDev *cm, uint64_t line)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_state(cm->dev, line);
}
