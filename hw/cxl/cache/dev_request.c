/*
 * CXL.cache, the device's side: its requests
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dev.h"

/* Outstanding requests */

static int alloc_cqid(CXLCacheDev *dev)
{
    unsigned words = DIV_ROUND_UP(dev->requests, 64);

    for (unsigned i = dev->cqid_hint; i < words; i++) {
        if (dev->cqid_free[i]) {
            dev->cqid_hint = i;
            return i * 64 + __builtin_ctzll(dev->cqid_free[i]);
        }
    }
    return -1;
}

/* Whether a request that leaves the cache alone is out for the line */
static bool uncached_out(CXLCacheDev *dev, uint64_t line)
{
    uint16_t i;

    if (dev->outstanding == dev->cacheable_out) {
        return false;
    }
    for (i = *chain_of(dev, line); i != CXL_CACHE_NO_ID; i = dev->req[i].next) {
        if (dev->req[i].line == line) {
            return true;
        }
    }
    return false;
}

void cxl_cache_dev_unchain(CXLCacheDev *dev, unsigned cqid)
{
    uint16_t *at = chain_of(dev, dev->req[cqid].line);

    while (*at != cqid) {
        at = &dev->req[*at].next;
    }
    *at = dev->req[cqid].next;
}

/* CacheFlushed is not for a line, whatever the caller left there. */
static uint64_t request_line(const CXLCacheReq *req)
{
    return req->opcode == CXL_CACHE_CACHE_FLUSHED ? 0 : req->line;
}

/* Now, where there is time: for who asks what is under way, and how long */
static uint64_t time_of(const CXLCacheDev *dev)
{
    const CXLCacheHome *home = dev->link->home;

    return home && G_UNLIKELY(cxl_cache_is_timed(home)) ? cxl_cache_time(home) :
                                                          0;
}

static void open_request(CXLCacheDev *dev, unsigned cqid, int way,
                         const CXLCacheReq *req, bool internal)
{
    const CXLCacheReqRule *rule = &cxl_cache_req_rules[req->opcode];
    uint64_t line = request_line(req);
    CXLCacheDevReq *r = &dev->req[cqid];
    uint16_t *chain;

    dev->cqid_free[cqid / 64] &= ~(1ULL << (cqid % 64));
    dev->outstanding++;
    *r = (CXLCacheDevReq) {
        .line = line,
        .be = rule->partial ? req->be : CXL_CACHE_BE_ALL,
        .tag = req->tag,
        .since = time_of(dev),
        .way = way,
        .opcode = req->opcode,
        .poison = req->poison,
        .internal = internal,
    };
    if (way >= 0) {
        dev->cacheable_out++;
        return;
    }
    chain = chain_of(dev, line);
    r->next = *chain;
    *chain = cqid;
    if (rule->d2h_data) {
        dev->req_data[cqid] = *req->data;
    }
}

/* The request that a line in a transient state waits for */
CXLCacheDevReq *cxl_cache_dev_request_of(CXLCacheDev *dev, int way)
{
    for (unsigned i = 0; i < dev->requests; i++) {
        if (dev->req[i].opcode && dev->req[i].way == way) {
            return &dev->req[i];
        }
    }
    g_assert_not_reached();
}

/* Requests */

static int check_args(const CXLCacheReq *req, const CXLCacheReqRule *rule)
{
    bool data = rule->d2h_data && !rule->evict;

    if (rule->class == CXL_CACHE_CLASS_RESERVED || (data && !req->data)) {
        return -EINVAL;
    }
    if (req->opcode != CXL_CACHE_CACHE_FLUSHED &&
        req->line >= CXL_CACHE_LINE_MAX) {
        return -EINVAL;
    }
    /* A full weakly ordered write has an opcode of its own. */
    if (req->opcode == CXL_CACHE_WO_WR_INV && req->be == CXL_CACHE_BE_ALL) {
        return -EINVAL;
    }
    return 0;
}

/* May the request be sent with the line in this state? */
static int check_state(CXLCacheDev *dev, const CXLCacheReq *req,
                       const CXLCacheReqRule *rule, CXLCacheState state)
{
    bool closing = rule->evict || req->opcode == CXL_CACHE_CACHE_FLUSHED;

    if (dev->viral && !closing) {
        return -EIO;
    }
    if (rule->cacheable && !dev->caching) {
        return -EPERM;
    }
    if (req->opcode == CXL_CACHE_CACHE_FLUSHED &&
        !cxl_cache_dev_is_empty(dev)) {
        return dev->cacheable_out ? -EBUSY : -EPERM;
    }
    if (!(rule->legal & (1u << state))) {
        return cxl_cache_may(state, CXL_CACHE_P_STABLE) ? -EPERM : -EBUSY;
    }
    if (rule->cacheable && uncached_out(dev, req->line)) {
        return -EBUSY;
    }
    return 0;
}

static void send_request(CXLCacheDev *dev, unsigned cqid,
                         const CXLCacheReq *req)
{
    CXLCacheMsg *msg = cxl_cache_link_send(dev->link, CXL_CACHE_D2H_REQ, NULL);

    msg->opcode = req->opcode;
    msg->line = request_line(req);
    msg->cqid = cqid;
    msg->nt = req->nt;
    cxl_cache_link_sent(dev->link, CXL_CACHE_D2H_REQ, msg);
}

/*
 * A line comes in during a flush, which is to find it: if CacheFlushed is sent
 * already, or acknowledged, that says nothing about this line.
 */
static void G_GNUC_NO_INLINE again(CXLCacheDev *dev)
{
    dev->flush = CXL_CACHE_FLUSH_LINES;
    dev->flush_at = 0;
}

/* Send a request for a line in @way, -1 if it has none and needs none. */
static inline int send_for_way(CXLCacheDev *dev, int way,
                               const CXLCacheReq *req, bool internal)
{
    const CXLCacheReqRule *rule = &cxl_cache_req_rules[req->opcode];
    int cqid = alloc_cqid(dev);

    if (cqid < 0 || !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_REQ)) {
        return -EAGAIN;
    }
    if (way >= 0) {
        CXLCacheState state = way_state(dev, way);

        if (state == CXL_CACHE_I) {
            use_set(dev, req->line);
            dev->tags[way] |= req->line << CXL_CACHE_TAG_LINE_SHIFT;
            dev->tags[way] |= req->nt ? CXL_CACHE_TAG_NT : 0;
            touch(dev, way);
        }
        set_state(dev, way, rule->pending[state]);
        if (G_UNLIKELY(dev->flush) && rule->cacheable) {
            again(dev);
        }
    }
    open_request(dev, cqid, way, req, internal);
    send_request(dev, cqid, req);
    return cqid;
}

/* How a line in this state leaves; 0 if the host need not know */
static uint8_t evict_opcode(const CXLCacheDev *dev, CXLCacheState state)
{
    if (state == CXL_CACHE_M) {
        return CXL_CACHE_DIRTY_EVICT;
    }
    if (dev->clean_evict == CXL_CACHE_CLEAN_SILENT) {
        return 0;
    }
    return state == CXL_CACHE_E && dev->clean_evict == CXL_CACHE_CLEAN_DATA ?
           CXL_CACHE_CLEAN_EVICT : CXL_CACHE_CLEAN_EVICT_NO_DATA;
}

/* Give up a line at rest. Returns 0, or -EAGAIN */
static int evict_way(CXLCacheDev *dev, int way)
{
    CXLCacheReq req = {
        .line = cxl_cache_tag_line(dev->tags[way]),
        .opcode = evict_opcode(dev, way_state(dev, way)),
    };

    if (!req.opcode) {
        set_state(dev, way, CXL_CACHE_I);
        return 0;
    }
    return MIN(send_for_way(dev, way, &req, true), 0);
}

/* A way for a new line: its index, or why there is none yet */
static int make_room(CXLCacheDev *dev, uint64_t line)
{
    int way = cxl_cache_dev_choose_way(dev, line);
    int ret;

    if (way < 0) {
        return -EBUSY;
    }
    if (way_state(dev, way) == CXL_CACHE_I) {
        return way;
    }
    ret = evict_way(dev, way);
    if (ret < 0) {
        return ret;
    }
    return way_state(dev, way) == CXL_CACHE_I ? way : -EBUSY;
}

int cxl_cache_dev_request(CXLCacheDev *dev, const CXLCacheReq *req)
{
    const CXLCacheReqRule *rule;
    int way = -1, ret;

    if (req->opcode >= CXL_CACHE_D2H_REQ_CODES) {
        return -EINVAL;
    }
    rule = &cxl_cache_req_rules[req->opcode];
    ret = check_args(req, rule);
    if (ret) {
        return ret;
    }
    if (req->opcode != CXL_CACHE_CACHE_FLUSHED) {
        way = find_way(dev, req->line);
    }
    ret = check_state(dev, req, rule, way_state(dev, way));
    if (ret) {
        return ret;
    }
    if (rule->cacheable && way < 0) {
        way = make_room(dev, req->line);
        if (way < 0) {
            return way;
        }
    }
    return send_for_way(dev, way, req, false);
}

/* Giving lines up */

int cxl_cache_dev_evict(CXLCacheDev *dev, uint64_t line)
{
    int way = find_named_way(dev, line);
    CXLCacheState state = way_state(dev, way);

    if (line >= CXL_CACHE_LINE_MAX) {
        return -EINVAL;
    }
    if (way < 0) {
        return 0;
    }
    if (cxl_cache_may(state, CXL_CACHE_P_STABLE)) {
        return evict_way(dev, way);
    }
    /* Only the evicts' own states know GO-I and no other grant. */
    return cxl_cache_go_rules[state][CXL_CACHE_GO_I] == CXL_CACHE_I &&
           cxl_cache_go_rules[state][CXL_CACHE_GO_E] == CXL_CACHE_NUM_STATES ?
           0 : -EBUSY;
}

static uint32_t at_rest(const CXLCacheDev *dev)
{
    return dev->states[CXL_CACHE_S] + dev->states[CXL_CACHE_E] +
           dev->states[CXL_CACHE_M] + dev->states[CXL_CACHE_EN];
}

/*
 * Evict what is at rest; where nothing is, nobody looks. Returns false if not
 * all of it could be sent.
 */
static bool flush_lines(CXLCacheDev *dev)
{
    unsigned per_span = CXL_CACHE_SET_SPAN * dev->ways;
    unsigned n = dev->sets * dev->ways;

    while (dev->flush_at < n && at_rest(dev)) {
        size_t span = cxl_cache_next_mark(&dev->used,
                                          dev->flush_at / per_span);
        unsigned end;

        if (span == CXL_CACHE_NO_SPAN) {
            break;
        }
        dev->flush_at = MAX(dev->flush_at, span * per_span);
        end = MIN((span + 1) * per_span, n);
        for (; dev->flush_at < end; dev->flush_at++) {
            CXLCacheState state = way_state(dev, dev->flush_at);

            if (state != CXL_CACHE_I &&
                cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
                evict_way(dev, dev->flush_at) < 0) {
                return false;
            }
        }
    }
    dev->flush_at = n;
    return true;
}

int cxl_cache_dev_flush(CXLCacheDev *dev)
{
    CXLCacheReq req = { .opcode = CXL_CACHE_CACHE_FLUSHED };
    int cqid;

    switch (dev->flush) {
    case CXL_CACHE_FLUSH_IDLE:
        again(dev);
        /* fall through */
    case CXL_CACHE_FLUSH_LINES:
        if (!flush_lines(dev) || dev->cacheable_out) {
            return -EAGAIN;
        }
        if (!cxl_cache_dev_is_empty(dev)) {
            /* Something that was on its way has come in behind us. */
            dev->flush_at = 0;
        } else {
            cqid = send_for_way(dev, -1, &req, true);
            if (cqid >= 0) {
                dev->flush = CXL_CACHE_FLUSH_TELL;
                dev->flush_cqid = cqid;
            }
        }
        return -EAGAIN;
    case CXL_CACHE_FLUSH_DONE:
        dev->flush = CXL_CACHE_FLUSH_IDLE;
        return 0;
    default:
        return -EAGAIN;
    }
}

void cxl_cache_dev_set_caching(CXLCacheDev *dev, bool enable)
{
    dev->caching = enable;
}

void cxl_cache_dev_set_viral(CXLCacheDev *dev, bool viral)
{
    dev->viral = viral;
}
