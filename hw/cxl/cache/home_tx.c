/*
 * CXL.cache, the host's side: the course of a transaction
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is done when is in tables_home.c; here is how it is done.
 */

#include "qemu/osdep.h"
#include "home.h"

static const CXLCacheLineData all_ones = {
    { [0 ... CXL_CACHE_LINE_SIZE - 1] = 0xff }
};

static const uint8_t ask_snoop[] = {
    [CXL_CACHE_ASK_CUR]  = CXL_CACHE_SNP_CUR,
    [CXL_CACHE_ASK_DATA] = CXL_CACHE_SNP_DATA,
    [CXL_CACHE_ASK_INV]  = CXL_CACHE_SNP_INV,
};

/* The engine, which what it calls calls again */

static void tx_start(CXLCacheHome *home, CXLCacheTx *tx);
static void tx_back_invalidate(CXLCacheHome *home, CXLCacheTx *tx);
static void tx_settle(CXLCacheHome *home, CXLCacheTx *tx);
static void host_done(CXLCacheHome *home, CXLCacheTx *tx);

/* Free the tracker; then whoever waits for this transaction is told. */
static inline void tx_end(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->open) {
        cxl_cache_tx_close(home, tx);
    }
    if (tx->kind == CXL_CACHE_TX_HOST) {
        host_done(home, tx);
    } else if (tx->kind == CXL_CACHE_TX_BACK_INV) {
        cxl_cache_tx_event(home, &home->tx[tx->then], CXL_CACHE_EV_ROOM);
    }
}

static inline void tx_event(CXLCacheHome *home, CXLCacheTx *tx,
                            CXLCacheTxEvent event)
{
    const CXLCacheHomeRule *rule = tx_cell(home, tx, event);

    if (rule->act == CXL_CACHE_TX_NEVER) {
        return;
    }
    tx->phase = rule->next;
    switch (rule->act) {
    case CXL_CACHE_TX_ASK:
        tx_start(home, tx);
        break;
    case CXL_CACHE_TX_EVICT:
        tx_back_invalidate(home, tx);
        break;
    case CXL_CACHE_TX_SETTLE:
        tx_settle(home, tx);
        break;
    case CXL_CACHE_TX_CLOSE:
        tx_end(home, tx);
        break;
    default:
        break;
    }
}

/* Memory */

/* Have the line's data in the transaction. Returns false on an error. */
static bool tx_read(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->have) {
        return true;
    }
    tx->poison = false;
    tx->have = home->ops->read_line(home->opaque, tx->line, &tx->data,
                                    &tx->poison);
    return tx->have;
}

static bool tx_write(CXLCacheHome *home, CXLCacheTx *tx,
                     const CXLCacheLineData *data, uint64_t be, bool poison,
                     CXLCacheWriteWhy why)
{
    home->stats->write_backs += why == CXL_CACHE_WRITE_BACK;
    return home->ops->write_line(home->opaque, tx->line, data, be, poison, why);
}

/* What a device held modified goes to memory. */
static void G_GNUC_NO_INLINE tx_write_back(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx->dirty = false;
    if (!tx_write(home, tx, &tx->data, CXL_CACHE_BE_ALL, tx->poison,
                  CXL_CACHE_WRITE_BACK)) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_DATA, NULL);
    }
}

static bool tx_write_host(CXLCacheHome *home, CXLCacheTx *tx)
{
    return !tx->be || tx_write(home, tx, &tx->host_data, tx->be,
                               tx->host_poison, CXL_CACHE_WRITE_HOST);
}

/*
 * The snoop filter's entry is final: tell what the host may do now. Returns
 * false if the host insists on more.
 */
static inline bool tx_settle_access(CXLCacheHome *home, CXLCacheTx *tx)
{
    const uint64_t *e = tx_entry(tx);
    CXLCacheHostAccess access = sf_access(e ? *e : 0);

    if (access != tx->access) {
        if (!home->ops->host_access(home->opaque, tx->line, access)) {
            return access > tx->access;
        }
        tx->access = access;
    }
    return true;
}

/* Snoop filter */

/*
 * Take bits from the line's entry. The entry of a back-invalidation goes to the
 * transaction that waits for it at once, or another one would take it.
 */
void cxl_cache_tx_clear(CXLCacheHome *home, const CXLCacheTx *tx, uint64_t *e,
                        uint64_t bits)
{
    uint64_t word = *e & ~bits;

    if (tx && tx->kind == CXL_CACHE_TX_BACK_INV &&
        !(word & CXL_CACHE_SF_DEVS)) {
        CXLCacheTx *then = &home->tx[tx->then];

        word = (then->line << CXL_CACHE_SF_LINE_SHIFT) | (1ULL << then->dev);
        then->e = e;
    }
    sf_write(home, e, word);
}

/* The device that asked for the line does not get it, or gives it up. */
static void sf_remove_self(CXLCacheHome *home, const CXLCacheTx *tx)
{
    uint64_t *e = tx_entry(tx);

    if (e) {
        sf_write(home, e, *e & ~(1ULL << tx->dev));
    }
}

void cxl_cache_tx_remove(CXLCacheHome *home, CXLCacheTx *tx)
{
    sf_remove_self(home, tx);
    tx_settle_access(home, tx);
}

/* Enter the grant in the snoop filter, if the host lets go of the line. */
static bool grant_line(CXLCacheHome *home, CXLCacheTx *tx, bool owner)
{
    uint64_t *e = tx_entry(tx);
    uint64_t word = *e & ~CXL_CACHE_SF_EXCL;

    if (owner) {
        word = (word & ~CXL_CACHE_SF_DEVS) | CXL_CACHE_SF_EXCL;
    }
    sf_write(home, e, word | (1ULL << tx->dev) | CXL_CACHE_SF_USED);
    return tx_settle_access(home, tx);
}

/* Messages to a device */

static void send_snoop(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev)
{
    CXLCacheLink *link = home->dev[dev].link;
    CXLCacheMsg *msg = cxl_cache_link_send(link, CXL_CACHE_H2D_REQ, NULL);

    msg->opcode = tx->snoop;
    msg->line = tx->line;
    msg->uqid = tx_id(home, tx);
    cxl_cache_link_sent(link, CXL_CACHE_H2D_REQ, msg);
}

void cxl_cache_tx_send_rsp(CXLCacheLink *link, uint8_t opcode,
                           uint16_t rsp_data, uint16_t cqid,
                           CXLCacheRspPre pre)
{
    CXLCacheMsg *msg = cxl_cache_link_send(link, CXL_CACHE_H2D_RSP, NULL);

    msg->opcode = opcode;
    msg->rsp_data = rsp_data;
    msg->cqid = cqid;
    msg->rsp_pre = pre;
    cxl_cache_link_sent(link, CXL_CACHE_H2D_RSP, msg);
}

static void send_data(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheLink *link = home->dev[tx->dev].link;
    CXLCacheLineData *data;
    CXLCacheMsg *msg = cxl_cache_link_send(link, CXL_CACHE_H2D_DATA, &data);

    *data = tx->failed ? all_ones : tx->data;
    msg->cqid = tx->cqid;
    msg->poison = tx->poison && !tx->failed;
    msg->go_err = tx->failed;
    cxl_cache_link_sent(link, CXL_CACHE_H2D_DATA, msg);
}

/* Asking */

/* Send the snoops that credits allow. */
static void tx_send_snoops(CXLCacheHome *home, CXLCacheTx *tx)
{
    for (unsigned m = tx->ask; m; m &= m - 1) {
        unsigned dev = __builtin_ctz(m);

        if (can_send(home, dev, CXL_CACHE_H2D_REQ)) {
            tx->ask &= ~(1 << dev);
            tx->wait |= 1 << dev;
            send_snoop(home, tx, dev);
        }
    }
    set_stalled(home, tx, tx->ask);
}

void cxl_cache_tx_snoop(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->ask || tx->stalled) {
        tx_send_snoops(home, tx);
    }
    if (!(tx->ask | tx->wait | tx->fwd)) {
        tx_event(home, tx, CXL_CACHE_EV_SNOOPED);
    }
}

static void tx_ask(CXLCacheHome *home, CXLCacheTx *tx, CXLCacheAsk ask,
                   uint16_t others)
{
    const uint64_t *e = tx_entry(tx);
    bool owned = e && (*e & CXL_CACHE_SF_EXCL);

    if (ask == CXL_CACHE_ASK_NONE || (ask != CXL_CACHE_ASK_INV && !owned)) {
        others = 0;
    }
    tx->ask = others;
    tx->snooped = others;
    if (!others) {
        tx_event(home, tx, CXL_CACHE_EV_SNOOPED);
        return;
    }
    cxl_cache_tx_enter(home, tx);
    tx->snoop = ask_snoop[ask];
    for (unsigned m = others; m; m &= m - 1) {
        home->dev[__builtin_ctz(m)].snoops++;
        if (tx->kind == CXL_CACHE_TX_HOST) {
            home->stats->host_snoops[tx->op]++;
        }
    }
    cxl_cache_tx_snoop(home, tx);
}

/*
 * For a device. It has the line in no other state than its request's rule says,
 * whatever the snoop filter still thinks: it may have dropped it silently.
 */
static void tx_ask_others(CXLCacheHome *home, CXLCacheTx *tx, CXLCacheAsk ask)
{
    uint64_t *e = tx_entry(tx);
    uint64_t self = 1ULL << tx->dev;
    uint16_t others = e ? *e & CXL_CACHE_SF_DEVS & ~self : 0;

    if (tx_rule(tx)->evict) {
        tx_event(home, tx, CXL_CACHE_EV_SNOOPED);
        return;
    }
    if (e && !others) {
        /* Only a stale entry of its own: not owned by anybody. */
        sf_write(home, e, *e & ~(CXL_CACHE_SF_EXCL |
                                 (tx->keep ? 0 : self)));
    }
    if (tx->failed && !tx_rule(tx)->d2h_data) {
        tx_event(home, tx, CXL_CACHE_EV_SNOOPED);
        return;
    }
    if (tx->keep && e && others) {
        sf_write(home, e, *e | self);
    }
    tx_ask(home, tx, ask, others);
}

static void tx_start(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[tx->row];

    if (tx->kind == CXL_CACHE_TX_DEV) {
        tx_ask_others(home, tx, row->ask);
    } else {
        tx_ask(home, tx, row->ask, tx->e ? *tx->e & CXL_CACHE_SF_DEVS : 0);
    }
}

/* The transaction that is to make room for @tx stands in its "then". */
static void G_GNUC_NO_INLINE tx_back_invalidate(CXLCacheHome *home,
                                                CXLCacheTx *tx)
{
    CXLCacheTx *victim = &home->tx[tx->then];

    home->stats->back_invalidations++;
    tx->then = CXL_CACHE_NO_ID;
    victim->then = tx_id(home, tx);
    victim->access = sf_access(*victim->e);
    victim->dev = tx->dev;
    tx_event(home, victim, CXL_CACHE_EV_START);
}

/* Answering */

/* Whether the response in tx->rsp is the last of its CQID */
static bool tx_last_rsp(const CXLCacheTx *tx)
{
    bool more = tx_rule(tx)->rsp & (CXL_CACHE_RSPS(EXT_CMP) |
                                    CXL_CACHE_RSPS(WRITE_PULL));

    return !more || tx->rsp == CXL_CACHE_EXT_CMP || tx->rsp == CXL_CACHE_GO;
}

static bool is_pull(uint8_t rsp)
{
    return (CXL_CACHE_RSPS(WRITE_PULL) | CXL_CACHE_RSPS(GO_WRITE_PULL) |
            CXL_CACHE_RSPS(FAST_GO_WRITE_PULL) |
            CXL_CACHE_RSPS(GO_ERR_WRITE_PULL)) >> rsp & 1;
}

/* Send GO, data or a pull, as far as credits go. */
static void tx_answer(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheLink *link = home->dev[tx->dev].link;

    if (tx->rsp && can_send(home, tx->dev, CXL_CACHE_H2D_RSP)) {
        bool pull = is_pull(tx->rsp), last = tx_last_rsp(tx);

        cxl_cache_tx_send_rsp(link, tx->rsp, tx->rsp_data, tx->cqid,
                              tx->snooped ? CXL_CACHE_PRE_MISS_REMOTE
                                          : CXL_CACHE_PRE_MISS_LOCAL);
        tx->rsp = 0;
        if (tx->open && last && !tx->send_data) {
            cqid_set(home, tx, false);
        }
        if (pull) {
            set_stalled(home, tx, false);
            tx_event(home, tx, CXL_CACHE_EV_PULLING);
            return;
        }
    }
    if (tx->send_data && can_send(home, tx->dev, CXL_CACHE_H2D_DATA)) {
        send_data(home, tx);
        tx->send_data = false;
        if (tx->open && !tx->rsp) {
            cqid_set(home, tx, false);
        }
    }
    if (tx->rsp || tx->send_data) {
        cxl_cache_tx_enter(home, tx);
        set_stalled(home, tx, true);
    } else {
        tx_event(home, tx, CXL_CACHE_EV_SENT);
    }
}

/* What the cell's response says: the granted state, or where data are to go */
static void set_rsp(CXLCacheHome *home, CXLCacheTx *tx,
                    const CXLCacheHomeCell *cell)
{
    tx->rsp = cell->rsp;
    tx->rsp_data = cell->go || cell->rsp == CXL_CACHE_EXT_CMP ?
                   cell->go : tx_id(home, tx);
}

/* Settling: all snoops are answered, all data forwarded */

static CXLCacheHomeCase settle_case(const CXLCacheHome *home,
                                    const CXLCacheTx *tx)
{
    const uint64_t *e;

    if (tx->failed) {
        return CXL_CACHE_CASE_ERROR;
    }
    if (!tx->keep) {
        return home->pull_clean && cxl_cache_home_reqs[tx->row].
               settle[CXL_CACHE_CASE_PULL_CLEAN].used ?
               CXL_CACHE_CASE_PULL_CLEAN : CXL_CACHE_CASE_NOT_KEPT;
    }
    e = tx_entry(tx);
    if (e && (*e & CXL_CACHE_SF_DEVS & ~(1ULL << tx->dev))) {
        return CXL_CACHE_CASE_SHARED;
    }
    return tx->dirty && home->forward_dirty ? CXL_CACHE_CASE_FORWARD
                                            : CXL_CACHE_CASE_ALONE;
}

/*
 * The actions of one cell, in their order. Returns the case that applies: this
 * one, unless an action failed.
 */
static CXLCacheHomeCase settle_act(CXLCacheHome *home, CXLCacheTx *tx,
                                   CXLCacheHomeCase now, unsigned act)
{
    if ((act & CXL_CACHE_DO_WRITE_BACK) && tx->dirty) {
        tx_write_back(home, tx);
    }
    if ((act & CXL_CACHE_DO_WRITE) && !tx_write_host(home, tx)) {
        return CXL_CACHE_CASE_ERROR;
    }
    if ((act & (CXL_CACHE_DO_SHARER | CXL_CACHE_DO_OWNER)) &&
        !grant_line(home, tx, act & CXL_CACHE_DO_OWNER)) {
        tx->keep = false;
        return CXL_CACHE_CASE_NOT_KEPT;
    }
    if (act & CXL_CACHE_DO_REMOVE) {
        sf_remove_self(home, tx);
    }
    if (act & CXL_CACHE_DO_ACCESS) {
        tx_settle_access(home, tx);
    }
    if (act & CXL_CACHE_DO_FAIL) {
        tx->failed = true;
    }
    home->stats->use_once += !!(act & CXL_CACHE_DO_COUNT);
    return (act & CXL_CACHE_DO_READ) && !tx_read(home, tx) ?
           CXL_CACHE_CASE_ERROR : now;
}

static void G_GNUC_NO_INLINE tx_settle(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[tx->row];
    CXLCacheHomeCase next = settle_case(home, tx), now;
    const CXLCacheHomeCell *cell;

    do {
        now = next;
        cell = &row->settle[now];
        seen(home, CXL_CACHE_TABLE_SETTLE, tx->row, now);
        next = settle_act(home, tx, now, cell->act);
    } while (next != now);
    set_rsp(home, tx, cell);
    tx->send_data = cell->act & CXL_CACHE_DO_SEND;
    if (cell->error) {
        report(home, tx->dev, cell->error, CXL_CACHE_D2H_REQ, NULL);
    }
    if (tx->kind == CXL_CACHE_TX_DEV) {
        tx_answer(home, tx);
    } else {
        tx_event(home, tx, CXL_CACHE_EV_SENT);
    }
}

/* The data of a pull */

const CXLCacheHomeCell *cxl_cache_tx_pulled(CXLCacheHome *home,
                                            const CXLCacheTx *tx, bool bogus,
                                            uint64_t be)
{
    const CXLCacheReqRule *rule = tx_rule(tx);
    bool owned = owned_by(tx, tx->dev);
    CXLCachePullCase now;

    if (rule->evict) {
        now = !owned ? bogus ? CXL_CACHE_PULL_GONE_BOGUS : CXL_CACHE_PULL_GONE :
              bogus ? CXL_CACHE_PULL_OWNED_BOGUS :
              tx->failed ? CXL_CACHE_PULL_DROPPED : CXL_CACHE_PULL_OWNED;
    } else if (bogus || (!rule->partial && be != CXL_CACHE_BE_ALL)) {
        now = CXL_CACHE_PULL_BAD;
    } else {
        now = tx->failed ? CXL_CACHE_PULL_DROPPED : CXL_CACHE_PULL_NEW;
    }
    seen(home, CXL_CACHE_TABLE_PULLED, tx->row, now);
    return &cxl_cache_home_reqs[tx->row].pulled[now];
}

static void tx_take(CXLCacheHome *home, CXLCacheTx *tx, const CXLCacheMsg *msg,
                    const CXLCacheLineData *data)
{
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[tx->row];
    const CXLCacheHomeCell *cell = cxl_cache_tx_pulled(home, tx, msg->bogus,
                                                       msg->be);

    if (cell->error) {
        report(home, tx->dev, cell->error, CXL_CACHE_D2H_DATA, msg);
    }
    if ((cell->act & CXL_CACHE_DO_WRITE) &&
        !tx_write(home, tx, data, msg->be, msg->poison,
                  tx_rule(tx)->evict ? CXL_CACHE_WRITE_BACK
                                     : CXL_CACHE_WRITE_NEW)) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_DATA, msg);
        cell = &row->pulled[CXL_CACHE_PULL_DROPPED];
    }
    if (cell->act & CXL_CACHE_DO_REMOVE) {
        sf_remove_self(home, tx);
    }
    if (cell->act & CXL_CACHE_DO_ACCESS) {
        tx_settle_access(home, tx);
    }
    if (cell->act & CXL_CACHE_DO_FAIL) {
        tx->failed = true;
    }
    set_rsp(home, tx, cell);
    tx_answer(home, tx);
}

/* The end */

static void host_done(CXLCacheHome *home, CXLCacheTx *tx)
{
    bool read = cxl_cache_home_reqs[tx->row].needs == CXL_CACHE_MEM_READ;
    CXLCacheHostDone done = {
        .line = tx->line,
        .tag = tx->tag,
        .op = tx->op,
        .snooped = tx->snooped,
        .dirty = tx->was_dirty,
        .data = read ? &tx->data : NULL,
        .failed = tx->failed,
        .poison = tx->poison,
    };

    home->stats->host_dirty[tx->op] += tx->was_dirty;
    if (home->ops->complete) {
        home->ops->complete(home->opaque, &done);
    }
}

void cxl_cache_tx_event(CXLCacheHome *home, CXLCacheTx *tx,
                        CXLCacheTxEvent event)
{
    tx_event(home, tx, event);
}

void cxl_cache_tx_data(CXLCacheHome *home, CXLCacheTx *tx,
                       const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    const CXLCacheHomeRule *rule = tx_cell(home, tx, CXL_CACHE_EV_DATA);

    if (rule->act == CXL_CACHE_TX_TAKE) {
        tx->phase = rule->next;
        tx_take(home, tx, msg, data);
    }
}

/* One stalled transaction. Returns whether it sent anything. */
static bool tx_retry(CXLCacheHome *home, CXLCacheTx *tx)
{
    uint16_t ask = tx->ask;
    uint8_t rsp = tx->rsp;
    bool data = tx->send_data;

    if (tx->phase == CXL_CACHE_TX_SNOOP) {
        cxl_cache_tx_snoop(home, tx);
    } else {
        tx_answer(home, tx);
    }
    return tx->ask != ask || tx->rsp != rsp || tx->send_data != data;
}

bool cxl_cache_home_tx(CXLCacheHome *home)
{
    bool sent = false;

    for (unsigned i = 0; home->n_stalled && i < home->num_tx; i++) {
        /* One that is retried may end others. */
        if (home->tx_stalled[i / 64] & (1ULL << (i % 64))) {
            sent |= tx_retry(home, &home->tx[i]);
        }
    }
    return sent;
}
