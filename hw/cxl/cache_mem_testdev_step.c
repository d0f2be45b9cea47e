/*
 * CXL.cache test device: what a step of the agent does
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Code that vCPUs have translated is discarded after each write, whether it
 * ends in the cache or in memory: a vCPU that runs it fetches nothing any more
 * and would not notice that its bytes have changed.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/timer.h"
#include "exec/icount.h"
#include "system/address-spaces.h"
#include "cache_mem_testdev.h"

#define DELAY_MAX   (3600ull * NANOSECONDS_PER_SECOND)
#define OPCODE(op)  (1u << CXL_CACHE_##op)
/* Writes of whole lines that leave no line behind; and of parts */
#define PUTS        (OPCODE(I_TO_M_WR) | OPCODE(WR_CUR) | OPCODE(WO_WR_INV_F))
#define WRITES      (OPCODE(WR_INV) | OPCODE(WO_WR_INV))

void cct_written(uint64_t addr, size_t len)
{
    cache_mem_discard_code(&address_space_memory, addr, len);
}

void cct_written_line(uint64_t line)
{
    cct_written(line * CXL_CACHE_LINE_SIZE, CXL_CACHE_LINE_SIZE);
}

static uint64_t access_be(const CCTAccess *a)
{
    return MAKE_64BIT_MASK(a->offset, a->size);
}

static uint64_t get_value(const CCTAccess *a, const CXLCacheLineData *data)
{
    return ldn_le_p(data->b + a->offset, a->size);
}

static void put_value(const CCTAccess *a, CXLCacheLineData *data,
                      uint64_t value)
{
    stn_le_p(data->b + a->offset, a->size, value);
}

/* The operand, cut off to what fits */
static uint64_t wanted(const CCTAccess *a)
{
    return a->operand & MAKE_64BIT_MASK(0, a->size * 8);
}

static bool owned(CXLCacheState state)
{
    return state == CXL_CACHE_E || state == CXL_CACHE_M;
}

/* Before a D2H request to a line of which the cache should have nothing */
static void leave_line(CXLCacheTestdev *s, uint64_t line)
{
    if (cache_mem_line_state(s->cm, line) != CXL_CACHE_I) {
        cache_mem_line_evict_wait(s->cm, line);
    }
}

/* The request was not sent: something is in its way, which will go. */
static bool comes_too_early(CXLCacheTestdev *s, uint64_t line, int ret)
{
    return ret == -EAGAIN || ret == -EBUSY ||
           (ret == -EPERM &&
            cache_mem_line_state(s->cm, line) != CXL_CACHE_I);
}

/*
 * A D2H request to a line of which the cache should have nothing. A line that
 * it does have, and has again because the doorbell was rung, is evicted.
 */
static int request_and(CXLCacheTestdev *s, const CXLCacheReq *req,
                       CacheMemResult *result, CacheMemUse *use, void *opaque)
{
    int ret;

    leave_line(s, req->line);
    ret = cache_mem_request_wait(s->cm, req, result, use, opaque);
    if (comes_too_early(s, req->line, ret)) {
        return CCT_STEP_RETRY;
    }
    if (ret) {
        return ret;
    }
    return result->failed || result->poison ? -EIO : CCT_STEP_DONE;
}

static int request(CXLCacheTestdev *s, const CXLCacheReq *req,
                   CacheMemResult *result)
{
    return request_and(s, req, result, NULL, NULL);
}

static int load(CXLCacheTestdev *s, const CCTAccess *a, uint64_t *value)
{
    CXLCacheReq req = { .line = a->line, .opcode = a->how };
    CacheMemResult result = { };
    bool poison = false;
    int ret = CCT_STEP_DONE;

    if (!cache_mem_line_read(s->cm, a->line, &result.data, &poison)) {
        ret = request(s, &req, &result);
    }
    *value = get_value(a, &result.data);
    return poison ? -EIO : ret;
}

static int step_load(CXLCacheTestdev *s, const CCTAccess *a)
{
    return load(s, a, &s->agent.reg[a->reg]);
}

static int wait_done(CXLCacheTestdev *s, const CCTAccess *a, uint64_t value,
                     bool done)
{
    s->agent.reg[a->reg] = value;
    return done ? CCT_STEP_DONE : CCT_STEP_POLL;
}

static int step_wait_eq(CXLCacheTestdev *s, const CCTAccess *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value == wanted(a));
}

static int step_wait_ne(CXLCacheTestdev *s, const CCTAccess *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value != wanted(a));
}

static int step_wait_ge(CXLCacheTestdev *s, const CCTAccess *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value >= wanted(a));
}

/* A write that leaves no line behind; for a full line @be is all ones. */
static int write_through(CXLCacheTestdev *s, uint64_t line, uint8_t opcode,
                         const CXLCacheLineData *data, uint64_t be)
{
    CXLCacheReq req = {
        .line = line,
        .opcode = opcode,
        .data = data,
        .be = be,
    };
    CacheMemResult result;
    int ret = request(s, &req, &result);

    if (ret == CCT_STEP_DONE) {
        cct_written_line(line);
    }
    return ret;
}

static int write_owned(CXLCacheTestdev *s, uint64_t line,
                       const CXLCacheLineData *data, uint64_t be)
{
    if (!cache_mem_line_write(s->cm, line, data, be)) {
        return CCT_STEP_RETRY;
    }
    cct_written_line(line);
    return CCT_STEP_DONE;
}

/**
 * Change: what is done to a line when it is owned
 * @data: what is written of it, for @be
 * @add: it is added to what is there, of which @old becomes the value
 * @done: that has been done, by the device as it got the line. Else it has to
 *        be done now, if it is still there.
 */
typedef struct Change {
    const CCTAccess *a;
    CXLCacheLineData data;
    uint64_t be;
    bool add;
    uint64_t old;
    bool done;
} Change;

static void change_line(void *opaque, CXLCacheDev *dev, uint64_t line)
{
    Change *c = opaque;
    CXLCacheLineData data = c->data;
    bool poison = false;

    if (c->add) {
        if (!cxl_cache_dev_read(dev, line, &data, &poison) || poison) {
            return;
        }
        c->old = get_value(c->a, &data);
        put_value(c->a, &data, c->old + c->a->operand);
    }
    c->done = cxl_cache_dev_write(dev, line, &data, c->be);
}

/* @kept is clear if the host grants the line for one use only. */
static int own(CXLCacheTestdev *s, uint64_t line, Change *c, bool *kept)
{
    CXLCacheReq req = { .line = line, .opcode = CXL_CACHE_RD_OWN };
    CacheMemResult result;
    int ret;

    *kept = true;
    if (owned(cache_mem_line_state(s->cm, line))) {
        return CCT_STEP_DONE;
    }
    ret = request_and(s, &req, &result, change_line, c);
    *kept = ret || owned(result.state);
    if (c->done) {
        cct_written_line(line);
    } else if (!*kept && cache_mem_line_was_lost(s->cm, line)) {
        return CCT_STEP_RETRY;
    }
    return ret;
}

static int store_owned(CXLCacheTestdev *s, const CCTAccess *a,
                       const CXLCacheLineData *data)
{
    Change c = { .a = a, .data = *data, .be = access_be(a) };
    bool kept;
    int ret = own(s, a->line, &c, &kept);

    if (ret || c.done) {
        return ret;
    }
    return kept ? write_owned(s, a->line, data, access_be(a)) :
           write_through(s, a->line, CXL_CACHE_WR_INV, data, access_be(a));
}

/* RdOwnNoData has no answer that means "once": the refusal is GO-Err. */
static int store_owned_full(CXLCacheTestdev *s, const CCTAccess *a,
                            const CXLCacheLineData *data)
{
    CXLCacheReq req = { .line = a->line, .opcode = CXL_CACHE_RD_OWN_NO_DATA };
    CXLCacheState state = cache_mem_line_state(s->cm, a->line);
    Change c = { .a = a, .data = *data, .be = CXL_CACHE_BE_ALL };
    CacheMemResult result;
    int ret = CCT_STEP_DONE;

    if (!owned(state) && state != CXL_CACHE_EN) {
        ret = request_and(s, &req, &result, change_line, &c);
    }
    if (c.done) {
        cct_written_line(a->line);
        return CCT_STEP_DONE;
    }
    if (ret == -EIO) {
        return write_through(s, a->line, CXL_CACHE_I_TO_M_WR, data,
                             CXL_CACHE_BE_ALL);
    }
    return ret ?: write_owned(s, a->line, data, CXL_CACHE_BE_ALL);
}

static void fill_line(const CCTAccess *a, CXLCacheLineData *data)
{
    for (int i = 0; i < CXL_CACHE_LINE_SIZE; i += 8) {
        stq_le_p(data->b + i, a->operand);
    }
}

int cct_step_store(CXLCacheTestdev *s, const CCTAccess *a)
{
    CXLCacheLineData data = { };

    put_value(a, &data, a->operand);
    switch (a->how) {
    case CXL_CACHE_RD_OWN:
        return store_owned(s, a, &data);
    case CXL_CACHE_WR_INV:
    case CXL_CACHE_WO_WR_INV:
        return write_through(s, a->line, a->how, &data, access_be(a));
    case CXL_CACHE_RD_OWN_NO_DATA:
        fill_line(a, &data);
        return store_owned_full(s, a, &data);
    default:
        fill_line(a, &data);
        return write_through(s, a->line, a->how, &data, CXL_CACHE_BE_ALL);
    }
}

/*
 * Nobody writes between the read and the write: that would take a snoop, after
 * which the line is not owned. It cannot be owned again in between, unless the
 * doorbell is rung.
 */
static int step_add(CXLCacheTestdev *s, const CCTAccess *a)
{
    Change c = { .a = a, .be = access_be(a), .add = true };
    CXLCacheLineData data;
    bool kept, poison;
    uint64_t old;
    int ret = own(s, a->line, &c, &kept);

    if (ret) {
        return ret;
    }
    if (c.done) {
        s->agent.reg[a->reg] = c.old;
        return CCT_STEP_DONE;
    }
    if (!kept) {
        return -EPERM;
    }
    if (!cache_mem_line_read(s->cm, a->line, &data, &poison)) {
        return CCT_STEP_RETRY;
    }
    if (poison) {
        return -EIO;
    }
    old = get_value(a, &data);
    put_value(a, &data, old + a->operand);
    ret = write_owned(s, a->line, &data, access_be(a));
    if (ret == CCT_STEP_DONE) {
        s->agent.reg[a->reg] = old;
    }
    return ret;
}

static int step_evict(CXLCacheTestdev *s, const CCTAccess *a)
{
    int ret = cache_mem_line_evict_wait(s->cm, a->line);

    return ret == -EAGAIN || ret == -EBUSY ? CCT_STEP_RETRY : ret;
}

static int step_flush(CXLCacheTestdev *s, const CCTAccess *a)
{
    CXLCacheReq req = { .line = a->line, .opcode = CXL_CACHE_CL_FLUSH };
    CacheMemResult result;

    return request(s, &req, &result);
}

static int step_delay(CXLCacheTestdev *s, const CCTAccess *a)
{
    CCTAgent *agent = &s->agent;
    int64_t now = qemu_clock_get_ns(icount_enabled() ? QEMU_CLOCK_VIRTUAL :
                                                       QEMU_CLOCK_REALTIME);

    if (!agent->deadline) {
        agent->deadline = now + MIN(a->operand, DELAY_MAX);
    }
    if (now < agent->deadline) {
        return CCT_STEP_LATER;
    }
    agent->deadline = 0;
    return CCT_STEP_DONE;
}

static int step_post(CXLCacheTestdev *s, const CCTAccess *a)
{
    bool full = PUTS & BIT(a->how);
    CXLCacheLineData data = { };
    CXLCacheReq req = {
        .line = a->line,
        .opcode = a->how,
        .data = &data,
        .be = full ? CXL_CACHE_BE_ALL : access_be(a),
    };
    unsigned open = qatomic_read(&s->posts_open);
    int ret;

    if (full) {
        fill_line(a, &data);
    } else {
        put_value(a, &data, a->operand);
    }
    leave_line(s, a->line);
    ret = cct_post(s, &req);
    if (comes_too_early(s, a->line, ret)) {
        cache_mem_posts_wait(s->cm, &s->posts_open, open ? open - 1 : 0);
        return CCT_STEP_RETRY;
    }
    return ret;
}

static int step_join(CXLCacheTestdev *s, const CCTAccess *a)
{
    cache_mem_posts_wait(s->cm, &s->posts_open, 0);
    return CCT_STEP_DONE;
}

#define LOADS (OPCODE(RD_CURR) | OPCODE(RD_OWN) | OPCODE(RD_SHARED) | \
               OPCODE(RD_ANY))
#define FILLS (OPCODE(RD_OWN_NO_DATA) | PUTS)
#define STORES (OPCODE(RD_OWN) | WRITES | FILLS)

const CCTStepRule cct_step_rules[CCT_NUM_OPS] = {
    [CCT_OP_LOAD] = { step_load, LOADS, 0, true },
    [CCT_OP_STORE] = { cct_step_store, STORES, FILLS, true },
    [CCT_OP_ADD] = { step_add, OPCODE(RD_OWN), 0, true },
    [CCT_OP_WAIT_EQ] = { step_wait_eq, LOADS, 0, true },
    [CCT_OP_WAIT_NE] = { step_wait_ne, LOADS, 0, true },
    [CCT_OP_WAIT_GE] = { step_wait_ge, LOADS, 0, true },
    [CCT_OP_EVICT] = { step_evict, BIT(0), 0, true },
    [CCT_OP_FLUSH] = { step_flush, OPCODE(CL_FLUSH), 0, true },
    [CCT_OP_DELAY] = { step_delay, BIT(0), 0, false },
    [CCT_OP_POST] = { step_post, WRITES | PUTS, PUTS, true },
    [CCT_OP_JOIN] = { step_join, BIT(0), 0, false },
};
