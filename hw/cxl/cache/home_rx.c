/*
 * CXL.cache, the host's side: devices' messages
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "home.h"

/* Starting a transaction */

/* Whether the device may keep the line: what it owns must be writable. */
static bool may_keep(const CXLCacheTx *tx, const CXLCacheReqRule *rule,
                     unsigned mem)
{
    unsigned need = CXL_CACHE_MEM_CACHEABLE | CXL_CACHE_MEM_WRITE;

    return rule->cacheable && !tx->failed && (mem & need) == need;
}

/*
 * A request that ends with the device holding the line needs an entry of the
 * snoop filter. Returns what happens to it: EV_START, or EV_FULL with a
 * transaction in @tx->then that makes room; EV_NONE if neither can be.
 */
static CXLCacheTxEvent reserve_entry(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheTx *victim;
    uint64_t *e;

    if (!tx->keep || tx->e) {
        return CXL_CACHE_EV_START;
    }
    e = cxl_cache_sf_room(home, tx->line);
    if (!e) {
        return CXL_CACHE_EV_NONE;
    }
    if (!*e) {
        tx->e = e;
        sf_write(home, e, (tx->line << CXL_CACHE_SF_LINE_SHIFT) |
                 (1ULL << tx->dev));
        return CXL_CACHE_EV_START;
    }
    tx_enter(home, tx);
    victim = tx_new(home, *e >> CXL_CACHE_SF_LINE_SHIFT,
                    CXL_CACHE_TX_BACK_INV, CXL_CACHE_ROW_BACK_INVALIDATION);
    if (!victim) {
        return CXL_CACHE_EV_NONE;
    }
    victim->e = e;
    victim->held = sf_context(home, e);
    tx->then = victim->id;
    return CXL_CACHE_EV_FULL;
}

/*
 * The context of a request, of what decode() has said. A line that devices have
 * by an address of another space is not the one that is asked for, and stands
 * in its place: the request fails.
 */
static void set_context(CXLCacheHome *home, CXLCacheTx *tx, unsigned *mem)
{
    tx->context = *mem >> CXL_CACHE_MEM_CONTEXT_SHIFT;
    tx->held = sf_context(home, tx->e);
    if (tx->e && *mem && CXL_CACHE_CONTEXT_SPACE(tx->context ^ tx->held)) {
        home->stats->other_space++;
        *mem = 0;
    }
}

/* Returns false if the request has to stay where it is. */
static bool start_request(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg)
{
    const CXLCacheReqRule *rule = &cxl_cache_req_rules[msg->opcode];
    CXLCacheLink *link = home->dev[dev].link;
    CXLCacheTxEvent event;
    CXLCacheTx *tx;
    unsigned mem = 0;

    if (tx_find(home, msg->line)) {
        return false;
    }
    tx = tx_new(home, msg->line, CXL_CACHE_TX_DEV, msg->opcode);
    if (!tx) {
        return false;
    }
    tx->dev = dev;
    tx->op = msg->opcode;
    tx->cqid = msg->cqid;
    tx->e = sf_find(home, tx->line);
    /* Before an entry is reserved for it, which grants nothing yet */
    tx->access = sf_access(tx->e ? *tx->e : 0);
    /* Whom the host cannot answer it gives nothing, but it takes all. */
    if (G_LIKELY(!link->unrouted || rule->evict)) {
        /* What gives a line up is let pass: it was let pass before. */
        home->asking = rule->evict ? 0 : dev + 1;
        mem = home->ops->decode(home->opaque, tx->line);
        home->asking = 0;
    }
    if (rule->evict) {
        tx->held = sf_context(home, tx->e);
    } else {
        set_context(home, tx, &mem);
    }
    tx->failed = cxl_cache_home_reqs[msg->opcode].needs & ~mem;
    tx->keep = may_keep(tx, rule, mem);
    event = reserve_entry(home, tx);
    if (event == CXL_CACHE_EV_NONE) {
        cqid_set(home, tx, false);
        tx_close(home, tx);
        return false;
    }
    if (rule->d2h_data) {
        tx_enter(home, tx);
    }
    link->stats->aborted += G_UNLIKELY(link->unrouted) && tx->failed;
    cxl_cache_tx_event(home, tx, event);
    return true;
}

static bool forget(CXLCacheHome *home, uint64_t *e, unsigned dev)
{
    uint64_t line = *e >> CXL_CACHE_SF_LINE_SHIFT;
    CXLCacheHostAccess before = sf_access(*e);
    uint32_t context = sf_context(home, e);

    sf_write(home, e, *e & ~(1ULL << dev));
    if (sf_access(*e) != before) {
        home->ops->host_access(home->opaque, line, sf_access(*e));
        tell_left(home, line, context, 1 << dev);
    }
    return true;
}

/* The device says that it holds no line. */
static bool cache_flushed(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg)
{
    const CXLCacheHomeCell *cell = &cxl_cache_home_reqs[msg->opcode].
                                   settle[CXL_CACHE_CASE_NOT_KEPT];
    CXLCacheHomeDev *d = &home->dev[dev];

    if (d->snoops || d->open || !can_send(home, dev, CXL_CACHE_H2D_RSP)) {
        return false;
    }
    seen(home, CXL_CACHE_TABLE_SETTLE, msg->opcode, CXL_CACHE_CASE_NOT_KEPT);
    if (cell->act & CXL_CACHE_DO_FORGET) {
        cxl_cache_sf_each(home, dev, forget);
    }
    send_rsp(d->link, cell->rsp, cell->go, msg->cqid,
             CXL_CACHE_PRE_MISS_LOCAL);
    return true;
}

/* Messages from a device */

static CXLCacheError req_error(const CXLCacheHomeDev *d, const CXLCacheMsg *msg)
{
    if (!cxl_cache_opcode_valid(CXL_CACHE_D2H_REQ, msg->opcode) ||
        msg->cqid >= CXL_CACHE_ID_MAX ||
        msg->cache_id != d->link->cache_id) {
        return CXL_CACHE_ERR_RSVD_ENCODING;
    }
    if (msg->line >= CXL_CACHE_LINE_MAX) {
        return CXL_CACHE_ERR_ADDRESS;
    }
    return cqid_busy(d, msg->cqid) ? CXL_CACHE_ERR_ID_IN_USE
                                   : CXL_CACHE_ERR_NONE;
}

/* Returns false if the request has to stay where it is. */
static bool take_request(CXLCacheHome *home, unsigned dev,
                         const CXLCacheMsg *msg)
{
    return msg->opcode == CXL_CACHE_CACHE_FLUSHED ?
           cache_flushed(home, dev, msg) : start_request(home, dev, msg);
}

static bool take_limited(CXLCacheHome *home, unsigned dev,
                         const CXLCacheMsg *msg)
{
    if (!cxl_cache_limits_allow(home, dev, msg) ||
        !take_request(home, dev, msg)) {
        return false;
    }
    cxl_cache_limits_taken(home, dev, msg->opcode);
    return true;
}

static bool rx_req(CXLCacheHome *home, unsigned dev, const CXLCacheMsg *msg)
{
    CXLCacheError err = req_error(&home->dev[dev], msg);

    if (err) {
        report(home, dev, err, CXL_CACHE_D2H_REQ, msg);
        return true;
    }
    return G_UNLIKELY(home->limits) ? take_limited(home, dev, msg) :
                                      take_request(home, dev, msg);
}

/* Only an owner has data that nobody else has. */
static inline bool may_forward(const CXLCacheTx *tx, const uint64_t *e,
                               unsigned dev)
{
    return (tx->wait & (1 << dev)) && owned_by(e, dev);
}

static inline CXLCacheError rsp_error(const CXLCacheTx *tx, const uint64_t *e,
                                      unsigned dev, const CXLCacheRspRule *rule)
{
    bool early = tx->early & (1 << dev);

    if (!(rule->snoops & (1 << tx->snoop)) ||
        (rule->data && !may_forward(tx, e, dev)) || (early && !rule->data)) {
        return CXL_CACHE_ERR_UNEXPECTED;
    }
    return CXL_CACHE_ERR_NONE;
}

/*
 * Data that a snoop has brought out break the rules: nobody is to use them. The
 * only copy of a modified line is lost by it; a line that its owner keeps
 * (RspVFwdV) is not, and who asked for it gets poison.
 */
static void G_GNUC_NO_INLINE tx_spoil(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx->spoilt = false;
    if (!tx->dirty) {
        tx->poison = true;
        return;
    }
    tx->have = tx->dirty = false;
    cxl_cache_poison_line(home, tx->line);
}

/* Device @dev has answered, by @rule, about the line of entry @e. */
static inline void tx_answered(CXLCacheHome *home, CXLCacheTx *tx, uint64_t *e,
                               unsigned dev, const CXLCacheRspRule *rule)
{
    uint64_t bit = 1 << dev;

    tx->wait &= ~bit;
    if (rule->data) {
        tx->fwd |= bit & ~tx->early;
        tx->dirty = tx->was_dirty = rule->dirty;
        tx->from = dev;
        if (G_UNLIKELY(tx->spoilt)) {
            tx_spoil(home, tx);
        }
    }
    home->dev[dev].snoops -= !(tx->fwd & bit);
    tx->early &= ~bit;
    tx_clear(home, tx, e, (rule->keeps ? 0 : bit) |
                          (rule->excl ? 0 : CXL_CACHE_SF_EXCL));
    tx_snoop(home, tx);
}

static void rx_snoop_rsp(CXLCacheHome *home, unsigned dev,
                         const CXLCacheMsg *msg)
{
    CXLCacheTx *tx = msg->uqid < home->num_tx ? &home->tx[msg->uqid] : NULL;
    const CXLCacheRspRule *rule;
    CXLCacheError err;
    uint64_t *e;

    if (!cxl_cache_opcode_valid(CXL_CACHE_D2H_RSP, msg->opcode)) {
        report(home, dev, CXL_CACHE_ERR_RSVD_ENCODING, CXL_CACHE_D2H_RSP, msg);
        return;
    }
    if (!tx || tx->phase != CXL_CACHE_TX_SNOOP || !(tx->wait & (1 << dev))) {
        report(home, dev, CXL_CACHE_ERR_ID_UNKNOWN, CXL_CACHE_D2H_RSP, msg);
        return;
    }
    e = tx_entry(tx);
    rule = &cxl_cache_rsp_rules[msg->opcode];
    err = rsp_error(tx, e, dev, rule);
    if (err) {
        report(home, dev, err, CXL_CACHE_D2H_RSP, msg);
        if (tx->early & (1 << dev)) {
            tx->have = tx->spoilt = false;
        }
        rule = &cxl_cache_rsp_rules[CXL_CACHE_RSP_I_HIT_I];
    }
    tx_answered(home, tx, e, dev, rule);
}

/* What a snoop has brought out */
static void tx_forwarded(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev,
                         const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    uint16_t bit = 1 << dev;
    bool bad = msg->bogus || msg->be != CXL_CACHE_BE_ALL;

    tx->data = *data;
    tx->poison = msg->poison;
    tx->have = true;
    if (G_UNLIKELY(bad)) {
        report(home, dev, CXL_CACHE_ERR_UNEXPECTED, CXL_CACHE_D2H_DATA, msg);
    }
    if (!(tx->fwd & bit)) {
        tx->early |= bit;
        tx->spoilt = bad;
        return;
    }
    tx->fwd &= ~bit;
    home->dev[dev].snoops--;
    if (G_UNLIKELY(bad)) {
        tx_spoil(home, tx);
    }
    tx_snoop(home, tx);
}

static void rx_dev_data(CXLCacheHome *home, unsigned dev,
                        const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    CXLCacheTx *tx = msg->uqid < home->num_tx ? &home->tx[msg->uqid] : NULL;
    uint16_t bit = 1 << dev;

    if (tx && tx->phase == CXL_CACHE_TX_PULL && tx->dev == dev) {
        cxl_cache_tx_data(home, tx, msg, data);
    } else if (tx && tx->phase == CXL_CACHE_TX_SNOOP && !(tx->early & bit) &&
               ((tx->fwd & bit) || may_forward(tx, tx_entry(tx), dev))) {
        tx_forwarded(home, tx, dev, msg, data);
    } else {
        report(home, dev, CXL_CACHE_ERR_ID_UNKNOWN, CXL_CACHE_D2H_DATA, msg);
    }
}

/* Returns false if the message has to stay where it is. */
static inline bool rx(CXLCacheHome *home, unsigned dev, CXLCacheLink *link,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        return rx_req(home, dev, msg);
    case CXL_CACHE_D2H_RSP:
        rx_snoop_rsp(home, dev, msg);
        return true;
    case CXL_CACHE_D2H_DATA:
        rx_dev_data(home, dev, msg, cxl_cache_link_peek_data(link, channel));
        return true;
    default:
        return false;
    }
}

unsigned cxl_cache_home_take(CXLCacheHome *home, unsigned dev,
                             CXLCacheChannelId channel, unsigned most)
{
    CXLCacheLink *link = dev < home->num_devs ? home->dev[dev].link : NULL;
    const CXLCacheMsg *msg;
    unsigned n = 0;

    home_enter(home);
    while (link && n < most && (msg = cxl_cache_link_peek(link, channel)) &&
           rx(home, dev, link, channel, msg)) {
        cxl_cache_link_pop(link, channel);
        n++;
    }
    home_leave(home);
    return n;
}

bool cxl_cache_home_rx(CXLCacheHome *home, unsigned dev,
                       CXLCacheChannelId channel)
{
    return cxl_cache_home_take(home, dev, channel, 1);
}
