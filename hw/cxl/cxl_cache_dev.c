/*
 * CXL.cache, the device's side: a cache with data, and its requests
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl_cache_internal.h"

#define MAX_WAYS 16

/* The ways of the cache */

static unsigned set_of(const CXLCacheDev *dev, uint64_t line)
{
    return (line & (dev->sets - 1)) * dev->ways;
}

/* Index of the line's way, or -1 */
static inline int find_way(const CXLCacheDev *dev, uint64_t line)
{
    unsigned first = set_of(dev, line);
    unsigned i = cxl_cache_find_line(&dev->tags[first], dev->ways, line,
                                     (1 << CXL_CACHE_TAG_STATE_BITS) - 1);

    return i < dev->ways ? first + i : -1;
}

static CXLCacheState way_state(const CXLCacheDev *dev, int way)
{
    return way < 0 ? CXL_CACHE_I : cxl_cache_tag_state(dev->tags[way]);
}

static inline void set_state(CXLCacheDev *dev, int way, CXLCacheState state)
{
    const uint64_t mask = (1 << CXL_CACHE_TAG_STATE_BITS) - 1;
    uint64_t tag = dev->tags[way] & ~CXL_CACHE_TAG_STAGED;

    dev->states[cxl_cache_tag_state(tag)]--;
    dev->states[state]++;
    if (state == CXL_CACHE_I) {
        dev->tags[way] = tag & CXL_CACHE_TAG_AGE_MASK;
    } else {
        dev->tags[way] = (tag & ~mask) | state;
    }
}

static void set_poison(CXLCacheDev *dev, int way, bool poison)
{
    dev->tags[way] &= ~CXL_CACHE_TAG_POISON;
    dev->tags[way] |= poison ? CXL_CACHE_TAG_POISON : 0;
}

static bool way_poison(const CXLCacheDev *dev, int way)
{
    return dev->tags[way] & CXL_CACHE_TAG_POISON;
}

/* Make the way the most recently used of its set. */
static void touch(CXLCacheDev *dev, int way)
{
    uint64_t *tag = &dev->tags[way - way % dev->ways];
    uint64_t age = dev->tags[way] & CXL_CACHE_TAG_AGE_MASK;

    if (!age || (dev->tags[way] & CXL_CACHE_TAG_NT)) {
        return;
    }
    for (unsigned i = 0; i < dev->ways; i++) {
        if ((tag[i] & CXL_CACHE_TAG_AGE_MASK) < age) {
            tag[i] += 1 << CXL_CACHE_TAG_AGE_SHIFT;
        }
    }
    dev->tags[way] &= ~CXL_CACHE_TAG_AGE_MASK;
}

/* Make the way the next victim of its set. */
static void demote(CXLCacheDev *dev, int way)
{
    uint64_t *tag = &dev->tags[way - way % dev->ways];
    uint64_t age = dev->tags[way] & CXL_CACHE_TAG_AGE_MASK;

    for (unsigned i = 0; i < dev->ways; i++) {
        if ((tag[i] & CXL_CACHE_TAG_AGE_MASK) > age) {
            tag[i] -= 1 << CXL_CACHE_TAG_AGE_SHIFT;
        }
    }
    dev->tags[way] &= ~CXL_CACHE_TAG_AGE_MASK;
    dev->tags[way] |= (uint64_t)(dev->ways - 1) << CXL_CACHE_TAG_AGE_SHIFT;
}

/* Where to put the line: a free way, else the oldest that is at rest, or -1 */
static int choose_way(const CXLCacheDev *dev, uint64_t line)
{
    unsigned first = set_of(dev, line), oldest = 0;
    int found = -1;

    for (unsigned i = first; i < first + dev->ways; i++) {
        CXLCacheState state = cxl_cache_tag_state(dev->tags[i]);
        unsigned age = cxl_cache_tag_age(dev->tags[i]);

        if (state == CXL_CACHE_I) {
            return i;
        }
        if (cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
            (found < 0 || age > oldest)) {
            found = i;
            oldest = age;
        }
    }
    return found;
}

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

static uint16_t *chain_of(CXLCacheDev *dev, uint64_t line)
{
    return &dev->chain[cxl_cache_hash(line) % CXL_CACHE_CHAINS];
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

static void chain_remove(CXLCacheDev *dev, unsigned cqid)
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

static void close_request(CXLCacheDev *dev, unsigned cqid)
{
    CXLCacheDevReq *r = &dev->req[cqid];

    if (r->way >= 0) {
        dev->cacheable_out--;
    } else {
        chain_remove(dev, cqid);
    }
    dev->outstanding--;
    r->opcode = 0;
    dev->cqid_free[cqid / 64] |= 1ULL << (cqid % 64);
    dev->cqid_hint = MIN(dev->cqid_hint, cqid / 64);
}

/* The request is complete; @data is what it read, if it did. */
static inline void complete(CXLCacheDev *dev, unsigned cqid,
                            const CXLCacheLineData *data)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    CXLCacheDone done = {
        .line = r->line,
        .tag = r->tag,
        .data = data,
        .cqid = cqid,
        .opcode = r->opcode,
        .state = way_state(dev, r->way),
        .failed = r->failed,
        .poison = r->poison,
    };
    bool internal = r->internal;

    if (r->opcode == CXL_CACHE_CACHE_FLUSHED &&
        dev->flush == CXL_CACHE_FLUSH_TELL) {
        dev->flush = CXL_CACHE_FLUSH_DONE;
    }
    if (done.state != CXL_CACHE_I && (dev->tags[r->way] & CXL_CACHE_TAG_NT)) {
        demote(dev, r->way);
    }
    close_request(dev, cqid);
    if (!internal && dev->ops->complete) {
        dev->ops->complete(dev->opaque, &done);
    }
}

static void report(CXLCacheDev *dev, CXLCacheError err,
                   CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    if (dev->ops->error) {
        dev->ops->error(dev->opaque, err, channel, msg);
    }
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

static bool no_lines(const CXLCacheDev *dev)
{
    return dev->states[CXL_CACHE_I] == dev->sets * dev->ways;
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
    if (req->opcode == CXL_CACHE_CACHE_FLUSHED && !no_lines(dev)) {
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
            dev->tags[way] |= req->line << CXL_CACHE_TAG_LINE_SHIFT;
            dev->tags[way] |= req->nt ? CXL_CACHE_TAG_NT : 0;
            touch(dev, way);
        }
        set_state(dev, way, rule->pending[state]);
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
    int way = choose_way(dev, line);
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

/* Local use of lines */

CXLCacheState cxl_cache_dev_state(const CXLCacheDev *dev, uint64_t line)
{
    return way_state(dev, find_way(dev, line));
}

static bool may(const CXLCacheDev *dev, int way, unsigned perm)
{
    CXLCacheState state = way_state(dev, way);

    return cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
           cxl_cache_may(state, perm);
}

bool cxl_cache_dev_read(CXLCacheDev *dev, uint64_t line,
                        CXLCacheLineData *data, bool *poison)
{
    int way = find_way(dev, line);

    if (!may(dev, way, CXL_CACHE_P_READ)) {
        return false;
    }
    touch(dev, way);
    *data = dev->data[way];
    if (poison) {
        *poison = way_poison(dev, way);
    }
    return true;
}

static void merge(CXLCacheLineData *to, const CXLCacheLineData *from,
                  uint64_t be)
{
    if (be == CXL_CACHE_BE_ALL) {
        *to = *from;
        return;
    }
    for (; be; be &= be - 1) {
        int i = __builtin_ctzll(be);

        /* Stores are mostly of aligned words. */
        if (!(i % 8) && (uint8_t)(be >> i) == 0xff) {
            memcpy(&to->b[i], &from->b[i], 8);
            be &= ~(0xffULL << i);
            be |= 1ULL << i;
        } else {
            to->b[i] = from->b[i];
        }
    }
}

bool cxl_cache_dev_write(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data, uint64_t be)
{
    int way = find_way(dev, line);
    bool full = be == CXL_CACHE_BE_ALL;

    if (!may(dev, way, full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE)) {
        return false;
    }
    touch(dev, way);
    merge(&dev->data[way], data, be);
    if (full) {
        set_poison(dev, way, false);
    }
    set_state(dev, way, CXL_CACHE_M);
    return true;
}

bool cxl_cache_dev_stage(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data)
{
    int way = find_way(dev, line);

    if (way_state(dev, way) != CXL_CACHE_EN) {
        return false;
    }
    dev->data[way] = *data;
    dev->tags[way] |= CXL_CACHE_TAG_STAGED;
    return true;
}

bool cxl_cache_dev_drop(CXLCacheDev *dev, uint64_t line)
{
    int way = find_way(dev, line);
    CXLCacheState state = way_state(dev, way);

    if (way < 0 || !cxl_cache_may(state, CXL_CACHE_P_STABLE) ||
        cxl_cache_may(state, CXL_CACHE_P_DIRTY)) {
        return false;
    }
    set_state(dev, way, CXL_CACHE_I);
    return true;
}

int cxl_cache_dev_evict(CXLCacheDev *dev, uint64_t line)
{
    int way = find_way(dev, line);
    CXLCacheState state = way_state(dev, way);

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

/* Evict what is at rest. Returns false if not all of it could be sent. */
static bool flush_lines(CXLCacheDev *dev)
{
    unsigned n = dev->sets * dev->ways;

    for (; dev->flush_at < n; dev->flush_at++) {
        CXLCacheState state = way_state(dev, dev->flush_at);

        if (state != CXL_CACHE_I && cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
            evict_way(dev, dev->flush_at) < 0) {
            return false;
        }
    }
    return true;
}

int cxl_cache_dev_flush(CXLCacheDev *dev)
{
    CXLCacheReq req = { .opcode = CXL_CACHE_CACHE_FLUSHED };

    switch (dev->flush) {
    case CXL_CACHE_FLUSH_IDLE:
        dev->flush = CXL_CACHE_FLUSH_LINES;
        dev->flush_at = 0;
        /* fall through */
    case CXL_CACHE_FLUSH_LINES:
        if (flush_lines(dev) && !no_lines(dev) && !dev->cacheable_out) {
            /* Something came in behind us. */
            dev->flush_at = 0;
        }
        if (dev->flush_at && no_lines(dev) && !dev->cacheable_out &&
            send_for_way(dev, -1, &req, true) >= 0) {
            dev->flush = CXL_CACHE_FLUSH_TELL;
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

/* Messages to the host */

static void send_rsp(CXLCacheDev *dev, uint8_t opcode, uint16_t uqid)
{
    CXLCacheMsg *msg = cxl_cache_link_send(dev->link, CXL_CACHE_D2H_RSP, NULL);

    msg->opcode = opcode;
    msg->uqid = uqid;
    cxl_cache_link_sent(dev->link, CXL_CACHE_D2H_RSP, msg);
}

static void send_data(CXLCacheDev *dev, uint16_t uqid,
                      const CXLCacheLineData *from, uint64_t be, bool poison,
                      bool bogus)
{
    CXLCacheLineData *data;
    CXLCacheMsg *msg = cxl_cache_link_send(dev->link, CXL_CACHE_D2H_DATA,
                                           &data);

    *data = *from;
    msg->uqid = uqid;
    msg->be = be;
    msg->poison = poison;
    msg->bogus = bogus;
    cxl_cache_link_sent(dev->link, CXL_CACHE_D2H_DATA, msg);
}

/* Messages from the host: snoops */

/* The request that a line in a transient state waits for */
static CXLCacheDevReq *request_of(CXLCacheDev *dev, int way)
{
    for (unsigned i = 0; i < dev->requests; i++) {
        if (dev->req[i].opcode && dev->req[i].way == way) {
            return &dev->req[i];
        }
    }
    g_assert_not_reached();
}

/* Ordering rule O1: a snoop waits for GOs to its line sent before it. */
static bool behind_go(const CXLCacheDev *dev, const CXLCacheMsg *snoop)
{
    const CXLCacheChannel *ch = &dev->link->ch[CXL_CACHE_H2D_RSP];

    if (dev->outstanding == 0) {
        return false;
    }
    for (uint32_t at = ch->head; (int32_t)(snoop->order - at) > 0; at++) {
        uint16_t cqid = ch->msg[at & ch->mask].cqid;

        if (cqid < dev->requests && dev->req[cqid].opcode &&
            dev->req[cqid].line == snoop->line) {
            return true;
        }
    }
    return false;
}

static void answer_snoop(CXLCacheDev *dev, int way,
                         const CXLCacheSnoopRule *rule, uint16_t uqid)
{
    send_rsp(dev, rule->rsp, uqid);
    if (rule->fwd && !rule->late) {
        send_data(dev, uqid, &dev->data[way], CXL_CACHE_BE_ALL,
                  way_poison(dev, way), false);
    } else if (rule->late) {
        request_of(dev, way)->uqid = uqid;
    }
    if (way >= 0) {
        set_state(dev, way, rule->next);
    }
}

/* Table 3-26 lets a device that forwards modified data keep the line or not. */
static const CXLCacheSnoopRule *snoop_rule(const CXLCacheDev *dev,
                                           uint8_t opcode, CXLCacheState state)
{
    const CXLCacheSnoopRule *rule = &cxl_cache_snoop_rules[opcode][state];

    return dev->yield && rule->rsp == CXL_CACHE_RSP_S_FWD_M ?
           &cxl_cache_snoop_rules[CXL_CACHE_SNP_INV][state] : rule;
}

static bool rx_snoop(CXLCacheDev *dev)
{
    const CXLCacheMsg *msg = cxl_cache_link_peek(dev->link, CXL_CACHE_H2D_REQ);
    const CXLCacheSnoopRule *rule;
    int way;

    if (!msg) {
        return false;
    }
    if (!cxl_cache_opcode_valid(CXL_CACHE_H2D_REQ, msg->opcode)) {
        report(dev, CXL_CACHE_ERR_RSVD_ENCODING, CXL_CACHE_H2D_REQ, msg);
        goto done;
    }
    if (behind_go(dev, msg)) {
        return false;
    }
    way = find_way(dev, msg->line);
    rule = snoop_rule(dev, msg->opcode, way_state(dev, way));
    /* O13: answering takes credits of D2H Rsp and Data and nothing else. */
    if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_RSP) ||
        (rule->fwd && !rule->late &&
         !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA))) {
        return false;
    }
    if (rule->unreachable) {
        report(dev, CXL_CACHE_ERR_UNEXPECTED, CXL_CACHE_H2D_REQ, msg);
    }
    answer_snoop(dev, way, rule, msg->uqid);
done:
    cxl_cache_link_pop(dev->link, CXL_CACHE_H2D_REQ);
    return true;
}

/* Messages from the host: responses */

/* Is this response the one that the request waits for? */
static bool rsp_expected(const CXLCacheDevReq *r, const CXLCacheMsg *msg)
{
    const CXLCacheReqRule *rule = &cxl_cache_req_rules[r->opcode];

    if (msg->opcode == CXL_CACHE_GO) {
        bool pull_first = rule->rsp & CXL_CACHE_RSPS(WRITE_PULL);

        return msg->rsp_data < CXL_CACHE_GO_CODES && !r->go &&
               (rule->go & (1 << msg->rsp_data)) && r->pulled == pull_first;
    }
    if (!(rule->rsp & (1 << msg->opcode))) {
        return false;
    }
    return msg->opcode == CXL_CACHE_EXT_CMP ? r->go && r->pulled : !r->pulled;
}

static void pull(CXLCacheDev *dev, unsigned cqid, uint16_t uqid)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    bool cached = r->way >= 0;

    send_data(dev, uqid, cached ? &dev->data[r->way] : &dev->req_data[cqid],
              r->be, cached ? way_poison(dev, r->way) : r->poison,
              cached && cxl_cache_may(way_state(dev, r->way),
                                      CXL_CACHE_P_BOGUS));
    r->pulled = true;
}

static void take_go(CXLCacheDev *dev, unsigned cqid, uint8_t grant)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    const CXLCacheReqRule *rule = &cxl_cache_req_rules[r->opcode];
    CXLCacheState next;

    r->go = true;
    r->failed |= grant == CXL_CACHE_GO_ERR;
    if (r->way < 0) {
        complete(dev, cqid, NULL);
        return;
    }
    next = cxl_cache_go_rules[way_state(dev, r->way)][grant];
    g_assert(next < CXL_CACHE_NUM_STATES);
    set_state(dev, r->way, next);
    if (cxl_cache_may(next, CXL_CACHE_P_STABLE)) {
        complete(dev, cqid, rule->h2d_data ? &dev->data[r->way] : NULL);
    }
}

/* What each response other than a plain GO means for a request */
static const struct {
    bool pull;          /* send the data */
    bool go;            /* and that was the GO */
    bool last;          /* nothing follows for most requests */
    bool error;
} rsp_effect[CXL_CACHE_H2D_RSP_CODES] = {
    [CXL_CACHE_WRITE_PULL]         = { .pull = true },
    [CXL_CACHE_GO_WRITE_PULL]      = { .pull = true, .go = true, .last = true },
    [CXL_CACHE_EXT_CMP]            = { .last = true },
    [CXL_CACHE_GO_WRITE_PULL_DROP] = { .go = true, .last = true },
    [CXL_CACHE_FAST_GO_WRITE_PULL] = { .pull = true, .go = true },
    [CXL_CACHE_GO_ERR_WRITE_PULL]  = { .pull = true, .go = true, .last = true,
                                       .error = true },
};

static void take_pull(CXLCacheDev *dev, unsigned cqid, const CXLCacheMsg *msg)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    bool ext_cmp_due = msg->opcode != CXL_CACHE_EXT_CMP &&
        cxl_cache_req_rules[r->opcode].rsp & CXL_CACHE_RSPS(EXT_CMP);

    if (rsp_effect[msg->opcode].pull) {
        pull(dev, cqid, msg->rsp_data);
    }
    r->go |= rsp_effect[msg->opcode].go;
    r->failed |= rsp_effect[msg->opcode].error;
    if (!rsp_effect[msg->opcode].last || ext_cmp_due) {
        return;
    }
    if (r->way >= 0) {
        set_state(dev, r->way, CXL_CACHE_I);
    }
    complete(dev, cqid, NULL);
}

static CXLCacheError rsp_error(const CXLCacheDev *dev, const CXLCacheMsg *msg)
{
    if (!cxl_cache_opcode_valid(CXL_CACHE_H2D_RSP, msg->opcode)) {
        return CXL_CACHE_ERR_RSVD_ENCODING;
    }
    if (msg->cqid >= dev->requests || !dev->req[msg->cqid].opcode) {
        return CXL_CACHE_ERR_ID_UNKNOWN;
    }
    return rsp_expected(&dev->req[msg->cqid], msg) ? CXL_CACHE_ERR_NONE
                                                   : CXL_CACHE_ERR_UNEXPECTED;
}

static bool rx_rsp(CXLCacheDev *dev)
{
    const CXLCacheMsg *msg = cxl_cache_link_peek(dev->link, CXL_CACHE_H2D_RSP);
    CXLCacheError err;

    if (!msg) {
        return false;
    }
    err = rsp_error(dev, msg);
    if (err) {
        report(dev, err, CXL_CACHE_H2D_RSP, msg);
    } else if (msg->opcode == CXL_CACHE_GO) {
        take_go(dev, msg->cqid, msg->rsp_data);
    } else if (rsp_effect[msg->opcode].pull &&
               !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
        return false;
    } else {
        take_pull(dev, msg->cqid, msg);
    }
    cxl_cache_link_pop(dev->link, CXL_CACHE_H2D_RSP);
    return true;
}

/* Messages from the host: data */

/* Data for a line. Returns false if they have to wait for a credit. */
static bool take_line(CXLCacheDev *dev, const CXLCacheMsg *msg,
                      const CXLCacheLineData *data)
{
    CXLCacheDevReq *r = &dev->req[msg->cqid];
    CXLCacheState state = way_state(dev, r->way);
    CXLCacheState next = cxl_cache_data_rules[state];
    bool owes = cxl_cache_may(state, CXL_CACHE_P_OWES);

    g_assert(next < CXL_CACHE_NUM_STATES);
    if (owes && !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
        return false;
    }
    dev->data[r->way] = *data;
    set_poison(dev, r->way, msg->poison);
    if (owes) {
        send_data(dev, r->uqid, data, CXL_CACHE_BE_ALL, msg->poison, false);
    }
    r->got_data = true;
    r->poison = msg->poison;
    set_state(dev, r->way, next);
    if (cxl_cache_may(next, CXL_CACHE_P_STABLE)) {
        complete(dev, msg->cqid, data);
    }
    return true;
}

static bool rx_data(CXLCacheDev *dev)
{
    const CXLCacheMsg *msg = cxl_cache_link_peek(dev->link,
                                                 CXL_CACHE_H2D_DATA);
    const CXLCacheLineData *data;
    CXLCacheDevReq *r;

    if (!msg) {
        return false;
    }
    data = cxl_cache_link_peek_data(dev->link, CXL_CACHE_H2D_DATA);
    r = msg->cqid < dev->requests ? &dev->req[msg->cqid] : NULL;
    if (!r || !r->opcode) {
        report(dev, CXL_CACHE_ERR_ID_UNKNOWN, CXL_CACHE_H2D_DATA, msg);
    } else if (!cxl_cache_req_rules[r->opcode].h2d_data || r->got_data) {
        report(dev, CXL_CACHE_ERR_UNEXPECTED, CXL_CACHE_H2D_DATA, msg);
    } else if (r->way < 0) {
        r->failed = msg->go_err;
        r->poison = msg->poison;
        complete(dev, msg->cqid, data);
    } else if (!take_line(dev, msg, data)) {
        return false;
    }
    cxl_cache_link_pop(dev->link, CXL_CACHE_H2D_DATA);
    return true;
}

bool cxl_cache_dev_rx(CXLCacheDev *dev, CXLCacheChannelId channel)
{
    switch (channel) {
    case CXL_CACHE_H2D_REQ:
        return rx_snoop(dev);
    case CXL_CACHE_H2D_RSP:
        return rx_rsp(dev);
    case CXL_CACHE_H2D_DATA:
        return rx_data(dev);
    default:
        return false;
    }
}

/* Life and inspection */

static bool config_ok(const CXLCacheDevConfig *c)
{
    uint64_t lines = c->size / CXL_CACHE_LINE_SIZE;

    return c->ways && c->ways <= MAX_WAYS && c->requests &&
           c->requests <= CXL_CACHE_ID_MAX &&
           c->size % CXL_CACHE_LINE_SIZE == 0 && lines <= INT32_MAX &&
           cxl_cache_sets_ok(lines, c->ways);
}

static size_t lay_out(CXLCacheDev *dev, char *base, unsigned lines,
                      unsigned requests)
{
    size_t at = ROUND_UP(sizeof(*dev), CXL_CACHE_LINE_SIZE);

    dev->tags = cxl_cache_carve(base, &at, lines * sizeof(*dev->tags));
    dev->data = cxl_cache_carve(base, &at, lines * sizeof(*dev->data));
    dev->req = cxl_cache_carve(base, &at, requests * sizeof(*dev->req));
    dev->req_data = cxl_cache_carve(base, &at,
                                    requests * sizeof(*dev->req_data));
    dev->cqid_free = cxl_cache_carve(base, &at, DIV_ROUND_UP(requests, 64) * 8);
    return at;
}

CXLCacheDev *cxl_cache_dev_new(const CXLCacheDevConfig *config,
                               CXLCacheLink *link,
                               const CXLCacheDevOps *ops, void *opaque)
{
    unsigned lines = config->size / CXL_CACHE_LINE_SIZE;
    CXLCacheDev measure, *dev;
    size_t size;

    if (!config_ok(config) || link->dev) {
        return NULL;
    }
    size = lay_out(&measure, NULL, lines, config->requests);
    dev = aligned_alloc(CXL_CACHE_LINE_SIZE, size);
    memset(dev, 0, size);
    lay_out(dev, (char *)dev, lines, config->requests);
    dev->size = size;
    dev->link = link;
    dev->ops = ops;
    dev->opaque = opaque;
    dev->ways = config->ways;
    dev->sets = lines / config->ways;
    dev->requests = config->requests;
    dev->clean_evict = config->clean_evict;
    dev->yield = config->yield;
    cxl_cache_dev_reset(dev);
    link->dev = dev;
    return dev;
}

void cxl_cache_dev_free(CXLCacheDev *dev)
{
    if (dev) {
        dev->link->dev = NULL;
        free(dev);
    }
}

void cxl_cache_dev_reset(CXLCacheDev *dev)
{
    unsigned lines = dev->sets * dev->ways;

    for (unsigned i = 0; i < lines; i++) {
        dev->tags[i] = (uint64_t)(i % dev->ways) << CXL_CACHE_TAG_AGE_SHIFT;
    }
    memset(dev->states, 0, sizeof(dev->states));
    dev->states[CXL_CACHE_I] = lines;
    memset(dev->req, 0, dev->requests * sizeof(*dev->req));
    memset(dev->cqid_free, 0, DIV_ROUND_UP(dev->requests, 64) * 8);
    for (unsigned i = 0; i < dev->requests; i++) {
        dev->cqid_free[i / 64] |= 1ULL << (i % 64);
    }
    memset(dev->chain, 0xff, sizeof(dev->chain));
    dev->cqid_hint = 0;
    dev->outstanding = dev->cacheable_out = 0;
    dev->flush = CXL_CACHE_FLUSH_IDLE;
    dev->flush_at = 0;
    dev->caching = true;
    dev->viral = false;
}

unsigned cxl_cache_dev_num_lines(const CXLCacheDev *dev)
{
    return dev->sets * dev->ways;
}

const uint32_t *cxl_cache_dev_states(const CXLCacheDev *dev)
{
    return dev->states;
}

unsigned cxl_cache_dev_outstanding(const CXLCacheDev *dev)
{
    return dev->outstanding;
}

bool cxl_cache_dev_request_line(const CXLCacheDev *dev, unsigned cqid,
                                uint64_t *line)
{
    const CXLCacheDevReq *r;

    if (cqid >= dev->requests) {
        return false;
    }
    r = &dev->req[cqid];
    if (!r->opcode || r->opcode == CXL_CACHE_CACHE_FLUSHED) {
        return false;
    }
    *line = r->line;
    return true;
}

bool cxl_cache_dev_slot(const CXLCacheDev *dev, unsigned index,
                        CXLCacheSlot *slot)
{
    CXLCacheState state = way_state(dev, index);

    *slot = (CXLCacheSlot) { .state = state, .cqid = -1 };
    if (state == CXL_CACHE_I) {
        return false;
    }
    slot->line = cxl_cache_tag_line(dev->tags[index]);
    slot->poison = way_poison(dev, index);
    slot->staged = dev->tags[index] & CXL_CACHE_TAG_STAGED;
    slot->data = &dev->data[index];
    if (!cxl_cache_may(state, CXL_CACHE_P_STABLE)) {
        slot->cqid = request_of((CXLCacheDev *)dev, index) - dev->req;
    }
    return true;
}
