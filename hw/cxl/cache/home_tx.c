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

const uint8_t cxl_cache_ask_snoop[] = {
    [CXL_CACHE_ASK_CUR]  = CXL_CACHE_SNP_CUR,
    [CXL_CACHE_ASK_DATA] = CXL_CACHE_SNP_DATA,
    [CXL_CACHE_ASK_INV]  = CXL_CACHE_SNP_INV,
};

/* Memory */

/* What a device had under another context is nothing to who asks now. */
static bool tx_shares(const CXLCacheTx *tx)
{
    return tx->kind != CXL_CACHE_TX_DEV || tx->held == tx->context;
}

/* Have the line's data in the transaction. Returns false on an error. */
static bool tx_read(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->have && G_LIKELY(tx_shares(tx))) {
        return true;
    }
    tx->poison = false;
    home->asking = tx->kind == CXL_CACHE_TX_DEV ? tx->dev + 1 : 0;
    home->context = tx->context;
    tx->have = home->ops->read_line(home->opaque, tx->line, &tx->data,
                                    &tx->poison);
    home->asking = 0;
    home->context = 0;
    return tx->have;
}

/* What comes back does so under the context that it was had under. */
static bool tx_write(CXLCacheHome *home, CXLCacheTx *tx,
                     const CXLCacheLineData *data, uint64_t be, bool poison,
                     CXLCacheWriteWhy why)
{
    bool ok;

    home->stats->write_backs += why == CXL_CACHE_WRITE_BACK;
    home->context = why == CXL_CACHE_WRITE_BACK ? tx->held : tx->context;
    ok = home->ops->write_line(home->opaque, tx->line, data, be, poison, why);
    home->context = 0;
    return ok;
}

void cxl_cache_poison_line(CXLCacheHome *home, uint64_t line)
{
    static const CXLCacheLineData none;

    home->ops->write_line(home->opaque, line, &none, 0, true,
                          CXL_CACHE_WRITE_POISON);
}

/*
 * What a device held modified goes to memory. If it does not, nobody has it any
 * more: the device has answered its snoop, and cannot be told.
 */
static void G_GNUC_NO_INLINE tx_write_back(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx->dirty = false;
    if (!tx_write(home, tx, &tx->data, CXL_CACHE_BE_ALL, tx->poison,
                  CXL_CACHE_WRITE_BACK)) {
        report(home, tx->from, CXL_CACHE_ERR_MEMORY, CXL_CACHE_D2H_DATA, NULL);
        tx->have = false;
        cxl_cache_poison_line(home, tx->line);
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
static inline bool tx_settle_access(CXLCacheHome *home, CXLCacheTx *tx,
                                    const uint64_t *e)
{
    CXLCacheHostAccess access = sf_access(e ? *e : 0);

    if (access != tx->access) {
        if (!home->ops->host_access(home->opaque, tx->line, access)) {
            return access > tx->access;
        }
        if (access > tx->access) {
            tell_left(home, tx->line, tx->held,
                      tx->kind == CXL_CACHE_TX_DEV && tx_rule(tx)->evict
                      ? 1 << tx->dev : tx->snooped);
        }
        tx->access = access;
    }
    return true;
}

/* Snoop filter */

/* The device that asked for the line does not get it, or gives it up. */
static void sf_remove_self(CXLCacheHome *home, const CXLCacheTx *tx,
                           uint64_t *e)
{
    if (e) {
        sf_write(home, e, *e & ~(1ULL << tx->dev));
    }
}

void cxl_cache_tx_remove(CXLCacheHome *home, CXLCacheTx *tx)
{
    uint64_t *e = tx_entry(tx);

    sf_remove_self(home, tx, e);
    tx_settle_access(home, tx, e);
}

/* Enter the grant in the snoop filter, if the host lets go of the line. */
static bool grant_line(CXLCacheHome *home, CXLCacheTx *tx, uint64_t *e,
                       bool owner)
{
    uint64_t word = *e & ~CXL_CACHE_SF_EXCL;

    if (owner) {
        word = (word & ~CXL_CACHE_SF_DEVS) | CXL_CACHE_SF_EXCL;
    }
    sf_set_context(home, e, tx->context);
    sf_write(home, e, word | (1ULL << tx->dev) | CXL_CACHE_SF_USED);
    return tx_settle_access(home, tx, e);
}

/* Messages to a device */

static inline void send_snoop(CXLCacheLink *link, const CXLCacheTx *tx)
{
    CXLCacheMsg *msg = cxl_cache_link_send(link, CXL_CACHE_H2D_REQ, NULL);

    msg->opcode = tx->snoop;
    msg->line = tx->line;
    msg->uqid = tx->id;
    cxl_cache_link_sent(link, CXL_CACHE_H2D_REQ, msg);
}

static inline QEMU_ALWAYS_INLINE
void send_data(CXLCacheLink *link, const CXLCacheTx *tx)
{
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
static inline QEMU_ALWAYS_INLINE
void tx_send_snoops(CXLCacheHome *home, CXLCacheTx *tx)
{
    for (unsigned m = tx->ask; m; m &= m - 1) {
        unsigned dev = __builtin_ctz(m);

        CXLCacheLink *link = home->dev[dev].link;

        if (cxl_cache_link_can_send(link, CXL_CACHE_H2D_REQ)) {
            tx->ask &= ~(1 << dev);
            tx->wait |= 1 << dev;
            send_snoop(link, tx);
        }
    }
    set_stalled(home, tx, tx->ask);
}

void cxl_cache_tx_send_snoops(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx_send_snoops(home, tx);
}

/* Each returns what happens next, EV_NONE if that is up to somebody else. */
static inline CXLCacheTxEvent tx_ask(CXLCacheHome *home, CXLCacheTx *tx,
                                     const uint64_t *e, CXLCacheAsk ask,
                                     uint16_t others)
{
    bool owned = e && (*e & CXL_CACHE_SF_EXCL);

    if (ask == CXL_CACHE_ASK_NONE || (ask != CXL_CACHE_ASK_INV && !owned)) {
        others = 0;
    }
    tx->ask = others;
    tx->snooped = others;
    if (!others) {
        return CXL_CACHE_EV_SNOOPED;
    }
    tx_enter(home, tx);
    tx->snoop = cxl_cache_ask_snoop[ask];
    for (unsigned m = others; m; m &= m - 1) {
        home->dev[__builtin_ctz(m)].snoops++;
        if (tx->kind == CXL_CACHE_TX_HOST) {
            home->stats->host_snoops[tx->op]++;
        }
    }
    tx_send_snoops(home, tx);
    return CXL_CACHE_EV_NONE;
}

/*
 * For a device. It has the line in no other state than its request's rule says,
 * whatever the snoop filter still thinks: it may have dropped it silently.
 */
static inline CXLCacheTxEvent tx_ask_others(CXLCacheHome *home, CXLCacheTx *tx,
                                            CXLCacheAsk ask)
{
    const CXLCacheReqRule *rule = tx_rule(tx);
    uint64_t *e = tx_entry(tx);
    uint64_t self = 1ULL << tx->dev;
    uint16_t others = e ? *e & CXL_CACHE_SF_DEVS & ~self : 0;

    /* A stale entry of its own is settled with the request. */
    if (!others || rule->evict ||
        (tx->failed &&
         (!rule->d2h_data || home->dev[tx->dev].link->unrouted))) {
        return CXL_CACHE_EV_SNOOPED;
    }
    if (tx->keep) {
        sf_write(home, e, *e | self);
    }
    return tx_ask(home, tx, e, ask, others);
}

static inline CXLCacheTxEvent tx_start(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheAsk ask = cxl_cache_home_reqs[tx->row].ask;

    /* The others have found their entry just now. */
    return tx->kind == CXL_CACHE_TX_DEV ? tx_ask_others(home, tx, ask) :
           tx_ask(home, tx, tx->e, ask, tx->e ? *tx->e & CXL_CACHE_SF_DEVS : 0);
}

/*
 * The transaction that is to make room for @tx stands in its "then". Returns
 * it, to be started.
 */
static CXLCacheTx *tx_back_invalidate(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheTx *victim = &home->tx[tx->then];

    home->stats->back_invalidations++;
    tx->then = CXL_CACHE_NO_ID;
    victim->then = tx->id;
    victim->access = sf_access(*victim->e);
    victim->dev = tx->dev;
    return victim;
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
static inline QEMU_ALWAYS_INLINE
CXLCacheTxEvent tx_answer(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheLink *link = home->dev[tx->dev].link;

    if (tx->rsp && cxl_cache_link_can_send(link, CXL_CACHE_H2D_RSP)) {
        bool pull = is_pull(tx->rsp);

        send_rsp(link, tx->rsp, tx->rsp_data, tx->cqid,
                 tx->snooped ? CXL_CACHE_PRE_MISS_REMOTE
                             : CXL_CACHE_PRE_MISS_LOCAL);
        if (tx->open && !tx->send_data && tx_last_rsp(tx)) {
            cqid_set(home, tx, false);
        }
        tx->rsp = 0;
        if (pull) {
            set_stalled(home, tx, false);
            return CXL_CACHE_EV_PULLING;
        }
    }
    if (tx->send_data && cxl_cache_link_can_send(link, CXL_CACHE_H2D_DATA)) {
        send_data(link, tx);
        tx->send_data = false;
        if (tx->open && !tx->rsp) {
            cqid_set(home, tx, false);
        }
    }
    if (tx->rsp || tx->send_data) {
        tx_enter(home, tx);
        set_stalled(home, tx, true);
        return CXL_CACHE_EV_NONE;
    }
    return CXL_CACHE_EV_SENT;
}

/* Out of line, for where it is rare */
static CXLCacheTxEvent tx_answer_late(CXLCacheHome *home, CXLCacheTx *tx)
{
    return tx_answer(home, tx);
}

/* What the cell's response says: the granted state, or where data are to go */
static inline void set_rsp(CXLCacheTx *tx, const CXLCacheHomeCell *cell)
{
    tx->rsp = cell->rsp;
    tx->rsp_data = cell->go || cell->rsp == CXL_CACHE_EXT_CMP ?
                   cell->go : tx->id;
}

/* Settling: all snoops are answered, all data forwarded */

static inline CXLCacheHomeCase settle_case(const CXLCacheHome *home,
                                           const CXLCacheTx *tx,
                                           const CXLCacheHomeReq *row,
                                           const uint64_t *e)
{
    if (tx->failed) {
        return CXL_CACHE_CASE_ERROR;
    }
    if (!tx->keep) {
        return home->pull_clean &&
               row->settle[CXL_CACHE_CASE_PULL_CLEAN].used ?
               CXL_CACHE_CASE_PULL_CLEAN : CXL_CACHE_CASE_NOT_KEPT;
    }
    if (e && (*e & CXL_CACHE_SF_DEVS & ~(1ULL << tx->dev))) {
        return CXL_CACHE_CASE_SHARED;
    }
    return tx->dirty && home->forward_dirty && tx_shares(tx)
           ? CXL_CACHE_CASE_FORWARD : CXL_CACHE_CASE_ALONE;
}

/*
 * The actions of one cell, in their order. Returns the case that applies: this
 * one, unless an action failed.
 */
static inline CXLCacheHomeCase settle_act(CXLCacheHome *home, CXLCacheTx *tx,
                                          uint64_t *e, CXLCacheHomeCase now,
                                          unsigned act)
{
    if ((act & CXL_CACHE_DO_WRITE_BACK) && tx->dirty) {
        tx_write_back(home, tx);
    }
    if ((act & CXL_CACHE_DO_WRITE) && !tx_write_host(home, tx)) {
        return CXL_CACHE_CASE_ERROR;
    }
    if ((act & (CXL_CACHE_DO_SHARER | CXL_CACHE_DO_OWNER)) &&
        !grant_line(home, tx, e, act & CXL_CACHE_DO_OWNER)) {
        tx->keep = false;
        return CXL_CACHE_CASE_NOT_KEPT;
    }
    if (act & CXL_CACHE_DO_REMOVE) {
        sf_remove_self(home, tx, e);
    }
    if (act & CXL_CACHE_DO_ACCESS) {
        tx_settle_access(home, tx, e);
    }
    if (act & CXL_CACHE_DO_FAIL) {
        tx->failed = true;
    }
    if (act & CXL_CACHE_DO_COUNT) {
        home->stats->use_once++;
    }
    return (act & CXL_CACHE_DO_READ) && !tx_read(home, tx) ?
           CXL_CACHE_CASE_ERROR : now;
}

static inline CXLCacheTxEvent tx_settle(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[tx->row];
    uint64_t *e = tx_entry(tx);
    const CXLCacheHomeCase first = settle_case(home, tx, row, e);
    CXLCacheHomeCase next = first, now;
    const CXLCacheHomeCell *cell;

    do {
        now = next;
        cell = &row->settle[now];
        seen(home, CXL_CACHE_TABLE_SETTLE, tx->row, now);
        next = settle_act(home, tx, e, now, cell->act);
    } while (next != now);
    if (tx->kind != CXL_CACHE_TX_DEV) {
        return CXL_CACHE_EV_SENT;
    }
    if (G_UNLIKELY(cell->error)) {
        /* Where the request was right, it is memory that has failed. */
        report(home, tx->dev, now == first ? cell->error : CXL_CACHE_ERR_MEMORY,
               CXL_CACHE_D2H_REQ, NULL);
    }
    set_rsp(tx, cell);
    tx->send_data = cell->act & CXL_CACHE_DO_SEND;
    return tx_answer(home, tx);
}

/* The data of a pull */

const CXLCacheHomeCell *cxl_cache_tx_pulled(CXLCacheHome *home,
                                            const CXLCacheTx *tx, bool bogus,
                                            uint64_t be)
{
    const CXLCacheReqRule *rule = tx_rule(tx);
    bool owned = owned_by(tx_entry(tx), tx->dev);
    bool torn = !rule->partial && be != CXL_CACHE_BE_ALL;
    CXLCachePullCase now;

    if (rule->evict && torn) {
        now = owned ? CXL_CACHE_PULL_OWNED_BAD : CXL_CACHE_PULL_BAD;
    } else if (rule->evict) {
        now = !owned ? bogus ? CXL_CACHE_PULL_GONE_BOGUS : CXL_CACHE_PULL_GONE :
              bogus ? CXL_CACHE_PULL_OWNED_BAD :
              tx->failed ? CXL_CACHE_PULL_DROPPED : CXL_CACHE_PULL_OWNED;
    } else if (bogus || torn) {
        now = CXL_CACHE_PULL_BAD;
    } else {
        now = tx->failed ? CXL_CACHE_PULL_DROPPED : CXL_CACHE_PULL_NEW;
    }
    seen(home, CXL_CACHE_TABLE_PULLED, tx->row, now);
    return &cxl_cache_home_reqs[tx->row].pulled[now];
}

static CXLCacheTxEvent tx_take(CXLCacheHome *home, CXLCacheTx *tx,
                               const CXLCacheMsg *msg,
                               const CXLCacheLineData *data)
{
    uint64_t *e = tx_entry(tx);
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[tx->row];
    const CXLCacheHomeCell *cell = cxl_cache_tx_pulled(home, tx, msg->bogus,
                                                       msg->be);

    if ((cell->act & CXL_CACHE_DO_WRITE) &&
        !tx_write(home, tx, data, msg->be, msg->poison,
                  tx_rule(tx)->evict ? CXL_CACHE_WRITE_BACK
                                     : CXL_CACHE_WRITE_NEW)) {
        cell = &row->pulled[CXL_CACHE_PULL_REFUSED];
    }
    if (cell->error) {
        report(home, tx->dev, cell->error, CXL_CACHE_D2H_DATA, msg);
    }
    if (cell->act & CXL_CACHE_DO_POISON) {
        cxl_cache_poison_line(home, tx->line);
    }
    if (cell->act & CXL_CACHE_DO_REMOVE) {
        sf_remove_self(home, tx, e);
    }
    if (cell->act & CXL_CACHE_DO_ACCESS) {
        tx_settle_access(home, tx, e);
    }
    if (cell->act & CXL_CACHE_DO_FAIL) {
        tx->failed = true;
    }
    set_rsp(tx, cell);
    return tx_answer_late(home, tx);
}

/* The end */

static inline void host_done(CXLCacheHome *home, CXLCacheTx *tx)
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

/*
 * Free the tracker. Returns who waits for this transaction and is told, or NULL
 */
static inline CXLCacheTx *tx_end(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx_close(home, tx);
    if (tx->kind == CXL_CACHE_TX_HOST) {
        host_done(home, tx);
    }
    return tx->kind == CXL_CACHE_TX_BACK_INV ? &home->tx[tx->then] : NULL;
}

/* The engine: each action tells what happens next, until one of them waits. */

void cxl_cache_tx_event(CXLCacheHome *home, CXLCacheTx *tx,
                        CXLCacheTxEvent event)
{
    do {
        const CXLCacheHomeRule *rule = tx_cell(home, tx, event);

        if (rule->act == CXL_CACHE_TX_NEVER) {
            return;
        }
        tx->phase = rule->next;
        switch (rule->act) {
        case CXL_CACHE_TX_ASK:
            event = tx_start(home, tx);
            break;
        case CXL_CACHE_TX_EVICT:
            tx = tx_back_invalidate(home, tx);
            event = CXL_CACHE_EV_START;
            break;
        case CXL_CACHE_TX_SETTLE:
            event = tx_settle(home, tx);
            break;
        case CXL_CACHE_TX_CLOSE:
            tx = tx_end(home, tx);
            if (!tx) {
                return;
            }
            event = CXL_CACHE_EV_ROOM;
            break;
        default:
            return;
        }
    } while (event != CXL_CACHE_EV_NONE);
}

static void tx_go_on(CXLCacheHome *home, CXLCacheTx *tx, CXLCacheTxEvent event)
{
    if (event != CXL_CACHE_EV_NONE) {
        cxl_cache_tx_event(home, tx, event);
    }
}

void cxl_cache_tx_data(CXLCacheHome *home, CXLCacheTx *tx,
                       const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    const CXLCacheHomeRule *rule = tx_cell(home, tx, CXL_CACHE_EV_DATA);

    if (rule->act == CXL_CACHE_TX_TAKE) {
        tx->phase = rule->next;
        tx_go_on(home, tx, tx_take(home, tx, msg, data));
    }
}

/* One stalled transaction. Returns whether it sent anything. */
static bool tx_retry(CXLCacheHome *home, CXLCacheTx *tx)
{
    uint16_t ask = tx->ask;
    uint8_t rsp = tx->rsp;
    bool data = tx->send_data;

    if (tx->phase == CXL_CACHE_TX_SNOOP) {
        tx_snoop(home, tx);
    } else {
        tx_go_on(home, tx, tx_answer_late(home, tx));
    }
    return tx->ask != ask || tx->rsp != rsp || tx->send_data != data;
}

bool cxl_cache_home_tx(CXLCacheHome *home)
{
    bool sent = false;

    home_enter(home);
    for (unsigned i = 0; home->n_stalled && i < home->num_tx; i++) {
        /* One that is retried may end others. */
        if (home->tx_stalled[i / 64] & (1ULL << (i % 64))) {
            sent |= tx_retry(home, &home->tx[i]);
        }
    }
    home_leave(home);
    return sent;
}
