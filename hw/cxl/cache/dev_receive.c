/*
 * CXL.cache, the device's side: the host's messages
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dev.h"

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
        dev->flush == CXL_CACHE_FLUSH_TELL && cqid == dev->flush_cqid) {
        dev->flush = CXL_CACHE_FLUSH_DONE;
    }
    if (done.state != CXL_CACHE_I && (dev->tags[r->way] & CXL_CACHE_TAG_NT)) {
        cxl_cache_dev_demote(dev, r->way);
    }
    close_request(dev, cqid);
    if (!internal && dev->ops->complete) {
        dev->ops->complete(dev->opaque, &done);
    }
}

/* Callbacks that call back in would have the same message taken twice. */
static inline void enter(CXLCacheDev *dev)
{
    g_assert(!dev->busy && "no callback may have the device take messages");
    dev->busy = true;
}

static inline void leave(CXLCacheDev *dev)
{
    dev->busy = false;
}

static void report(CXLCacheDev *dev, CXLCacheError err,
                   CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    if (dev->ops->error) {
        dev->ops->error(dev->opaque, err, channel, msg);
    }
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
        cxl_cache_dev_request_of(dev, way)->uqid = uqid;
    }
    if (way >= 0) {
        set_state(dev, way, rule->next);
    }
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
    if (msg->line >= CXL_CACHE_LINE_MAX) {
        report(dev, CXL_CACHE_ERR_ADDRESS, CXL_CACHE_H2D_REQ, msg);
        goto done;
    }
    if (behind_go(dev, msg)) {
        return false;
    }
    way = find_way(dev, msg->line);
    rule = cxl_cache_dev_snoop_rule(dev, msg->opcode, way_state(dev, way));
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
    return msg->opcode == CXL_CACHE_EXT_CMP ? r->go && r->pulled
                                            : !r->pulled && !r->due;
}

/* There is no credit for them now: see cxl_cache_dev_tx(). */
static void set_due(CXLCacheDev *dev, CXLCacheDevReq *r, uint8_t due)
{
    r->due = due;
    dev->due++;
}

static void send_pulled(CXLCacheDev *dev, unsigned cqid, uint16_t uqid)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    bool cached = r->way >= 0;

    send_data(dev, uqid, cached ? &dev->data[r->way] : &dev->req_data[cqid],
              r->be, cached ? way_poison(dev, r->way) : r->poison,
              cached && cxl_cache_may(way_state(dev, r->way),
                                      CXL_CACHE_P_BOGUS));
    r->pulled = true;
}

/*
 * The host grants a line, and marks its data as no data (GO-Err, all ones).
 * They are for nobody: the line is not kept. If it was modified, it is lost.
 */
static CXLCacheState G_GNUC_NO_INLINE refuse_line(CXLCacheDev *dev,
                                                  CXLCacheState granted,
                                                  CXLCacheChannelId channel,
                                                  const CXLCacheMsg *msg)
{
    bool dirty = granted == CXL_CACHE_M || cxl_cache_may(granted,
                                                         CXL_CACHE_P_OWES);

    report(dev, dirty ? CXL_CACHE_ERR_DIRTY_LOST : CXL_CACHE_ERR_UNEXPECTED,
           channel, msg);
    return CXL_CACHE_I;
}

static void take_go(CXLCacheDev *dev, const CXLCacheMsg *msg)
{
    unsigned cqid = msg->cqid;
    uint8_t grant = msg->rsp_data;
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
    if (G_UNLIKELY(r->failed) && next != CXL_CACHE_I && r->got_data) {
        next = refuse_line(dev, next, CXL_CACHE_H2D_RSP, msg);
    }
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

/* All that @rsp asks for is done: it may have been what was missing. */
static void end_rsp(CXLCacheDev *dev, unsigned cqid, uint8_t rsp)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    bool ext_cmp_due = rsp != CXL_CACHE_EXT_CMP &&
        cxl_cache_req_rules[r->opcode].rsp & CXL_CACHE_RSPS(EXT_CMP);

    if (!rsp_effect[rsp].last || ext_cmp_due) {
        return;
    }
    if (r->way >= 0) {
        set_state(dev, r->way, CXL_CACHE_I);
    }
    complete(dev, cqid, NULL);
}

/*
 * Responses wait for nothing but the link (table 3-12): their buffers are the
 * requests'. So a pull for whose data there is no credit is only noted.
 */
static void take_rsp(CXLCacheDev *dev, unsigned cqid, const CXLCacheMsg *msg)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    uint8_t rsp = msg->opcode;

    r->go |= rsp_effect[rsp].go;
    r->failed |= rsp_effect[rsp].error;
    if (rsp_effect[rsp].pull) {
        if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
            r->uqid = msg->rsp_data;
            set_due(dev, r, rsp);
            return;
        }
        send_pulled(dev, cqid, msg->rsp_data);
    }
    end_rsp(dev, cqid, rsp);
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
        take_go(dev, msg);
    } else {
        take_rsp(dev, msg->cqid, msg);
    }
    cxl_cache_link_pop(dev->link, CXL_CACHE_H2D_RSP);
    return true;
}

/* Messages from the host: data */

/* The data that a snoop was promised have come, and can go. */
static void G_GNUC_NO_INLINE forward(CXLCacheDev *dev, unsigned cqid,
                                     const CXLCacheLineData *data)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    CXLCacheState state = way_state(dev, r->way);

    send_data(dev, r->uqid, data, CXL_CACHE_BE_ALL, r->poison || r->failed,
              false);
    set_state(dev, r->way, r->failed ? CXL_CACHE_I
                                     : cxl_cache_data_rules[state]);
    complete(dev, cqid, data);
}

static void G_GNUC_NO_INLINE take_owed(CXLCacheDev *dev,
                                       const CXLCacheMsg *msg,
                                       const CXLCacheLineData *data)
{
    if (cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
        forward(dev, msg->cqid, data);
    } else {
        dev->req_data[msg->cqid] = *data;
        set_due(dev, &dev->req[msg->cqid], CXL_CACHE_DUE_FORWARD);
    }
}

/* They are marked GO-Err. Returns the next state of the line. */
static CXLCacheState G_GNUC_NO_INLINE take_no_data(CXLCacheDev *dev,
                                                   const CXLCacheMsg *msg,
                                                   CXLCacheState state)
{
    CXLCacheState next = cxl_cache_data_rules[state];
    bool owes = cxl_cache_may(state, CXL_CACHE_P_OWES);

    dev->req[msg->cqid].failed = true;
    return owes || cxl_cache_may(state, CXL_CACHE_P_TRACKED) ?
           refuse_line(dev, owes ? state : next, CXL_CACHE_H2D_DATA, msg) :
           next;
}

/* Data for a line. They wait for nothing but the link, either (table 3-12). */
static void take_line(CXLCacheDev *dev, const CXLCacheMsg *msg,
                      const CXLCacheLineData *data)
{
    CXLCacheDevReq *r = &dev->req[msg->cqid];
    CXLCacheState state = way_state(dev, r->way);
    CXLCacheState next = cxl_cache_data_rules[state];
    bool owes = cxl_cache_may(state, CXL_CACHE_P_OWES);

    g_assert(next < CXL_CACHE_NUM_STATES);
    dev->data[r->way] = *data;
    set_poison(dev, r->way, msg->poison);
    r->got_data = true;
    r->poison = msg->poison;
    if (G_UNLIKELY(msg->go_err)) {
        next = take_no_data(dev, msg, state);
    }
    if (G_UNLIKELY(owes)) {
        take_owed(dev, msg, data);
        return;
    }
    set_state(dev, r->way, next);
    if (cxl_cache_may(next, CXL_CACHE_P_STABLE)) {
        complete(dev, msg->cqid, data);
    }
}

/* What a request's data, that were due, were for */
static void G_GNUC_NO_INLINE send_due(CXLCacheDev *dev, unsigned cqid)
{
    CXLCacheDevReq *r = &dev->req[cqid];
    uint8_t due = r->due;

    r->due = 0;
    dev->due--;
    if (due == CXL_CACHE_DUE_FORWARD) {
        dev->data[r->way] = dev->req_data[cqid];
        forward(dev, cqid, &dev->data[r->way]);
    } else {
        send_pulled(dev, cqid, r->uqid);
        end_rsp(dev, cqid, due);
    }
}

bool cxl_cache_dev_tx(CXLCacheDev *dev)
{
    bool sent = false;

    enter(dev);
    for (unsigned i = 0; dev->due && i < dev->requests; i++) {
        if (dev->req[i].due) {
            if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
                break;
            }
            send_due(dev, i);
            sent = true;
        }
    }
    leave(dev);
    return sent;
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
    } else {
        take_line(dev, msg, data);
    }
    cxl_cache_link_pop(dev->link, CXL_CACHE_H2D_DATA);
    return true;
}

static inline bool rx(CXLCacheDev *dev, CXLCacheChannelId channel)
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

unsigned cxl_cache_dev_take(CXLCacheDev *dev, CXLCacheChannelId channel,
                            unsigned most)
{
    unsigned n = 0;

    enter(dev);
    while (n < most && rx(dev, channel)) {
        n++;
    }
    leave(dev);
    return n;
}

bool cxl_cache_dev_rx(CXLCacheDev *dev, CXLCacheChannelId channel)
{
    return cxl_cache_dev_take(dev, channel, 1);
}
