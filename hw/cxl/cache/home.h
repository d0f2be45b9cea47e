/*
 * CXL.cache: what the files of the host share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   gear.c            many lines in one step, of device and host
 *   look.c            one line, looked at, in device and host
 *   home.c            life, inspection, the host's own accesses
 *   home_rx.c         what the host makes of devices' messages
 *   limits.c          how many lines a device, or a group of them, may have
 *   rate.c            how many requests it may make in a second
 *   home_isolate.c    devices that come, go and die
 *   wait.c            who keeps the host waiting, and for how long
 *   home_tx.c         transactions: their course, by the tables
 *   home_tracker.c    which are open
 *   snoop_filter.c    who may have which line
 *
 * Each calls those below it.
 */

#ifndef HW_CXL_CACHE_PRIVATE_HOME_H
#define HW_CXL_CACHE_PRIVATE_HOME_H

#include "internal.h"

static inline void report(CXLCacheHome *home, unsigned dev, CXLCacheError err,
                          CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    home->stats->errors[err]++;
    if (home->ops->error) {
        home->ops->error(home->opaque, dev, err, channel, msg);
    }
}

/* Callbacks that call back in would have the same message taken twice. */
static inline void home_enter(CXLCacheHome *home)
{
    g_assert(!home->busy && "no callback may call into the home, or run it");
    home->busy = true;
}

static inline void home_leave(CXLCacheHome *home)
{
    home->busy = false;
}

/* A test is told which cells of the tables are used. */
static inline void seen(CXLCacheHome *home, CXLCacheHomeTable table,
                        unsigned row, unsigned cell)
{
    if (G_UNLIKELY(home->seen)) {
        home->seen(home->opaque, table, row, cell);
    }
}

/* Nobody has the line's data any more: who reads it is to know. */
void cxl_cache_poison_line(CXLCacheHome *home, uint64_t line);

/* Snoop filter: snoop_filter.c */

static inline uint64_t *sf_set(const CXLCacheHome *home, uint64_t line)
{
    /* Lines of one page go to neighbouring sets. */
    unsigned set = (line ^ (line >> 12) * 5) & (home->sf_sets - 1);

    return &home->sf[(size_t)set * home->sf_ways];
}

static inline uint64_t *sf_find(const CXLCacheHome *home, uint64_t line)
{
    uint64_t *e = sf_set(home, line);
    unsigned way = cxl_cache_find_line(e, home->sf_ways, line,
                                       CXL_CACHE_SF_DEVS);

    return way < home->sf_ways ? &e[way] : NULL;
}

/* A free entry for a line that nobody has, or NULL */
static inline uint64_t *sf_free(const CXLCacheHome *home, uint64_t line)
{
    uint64_t *e = sf_set(home, line);

    for (unsigned i = 0; i < home->sf_ways; i++) {
        if (!e[i]) {
            return &e[i];
        }
    }
    return NULL;
}

static inline CXLCacheHostAccess sf_access(uint64_t word)
{
    return !(word & CXL_CACHE_SF_DEVS) ? CXL_CACHE_HOST_RW :
           word & CXL_CACHE_SF_EXCL ? CXL_CACHE_HOST_NONE : CXL_CACHE_HOST_RO;
}

static inline size_t sf_mark_words(size_t lines)
{
    return DIV_ROUND_UP(DIV_ROUND_UP(lines, CXL_CACHE_SF_SPAN), 64);
}

static inline CXLCacheMarks sf_marks(const CXLCacheHome *home, unsigned dev)
{
    size_t words = home->sf_mark_words;

    return (CXLCacheMarks) {
        .word = home->sf_mark + dev * words,
        .any = home->sf_mark_any + dev * DIV_ROUND_UP(words, 64),
        .words = words,
    };
}

/* The device has entries there now. */
void cxl_cache_sf_mark(CXLCacheHome *home, unsigned dev, size_t span);

/* A device comes to an entry. */
static inline void sf_come(CXLCacheHome *home, const uint64_t *e, unsigned dev)
{
    size_t span = (size_t)(e - home->sf) / CXL_CACHE_SF_SPAN;

    home->sf_lines[dev]++;
    if (G_UNLIKELY(!(home->sf_mark[dev * home->sf_mark_words + span / 64] &
                     (1ULL << (span % 64))))) {
        cxl_cache_sf_mark(home, dev, span);
    }
}

/* limits.c: an entry changes; what groups have of it */
void cxl_cache_limits_count(CXLCacheHome *home, uint64_t before,
                            uint64_t after);

/*
 * Whether no limit of the device's stands in the way of its oldest request. If
 * one does, the request has to stay where it is: for a token, or for another
 * line that is on its way out.
 */
bool cxl_cache_limits_allow(CXLCacheHome *home, unsigned dev,
                            const CXLCacheMsg *msg);
/* That request has been taken. */
void cxl_cache_limits_taken(CXLCacheHome *home, unsigned dev, unsigned opcode);

/* Under which context devices have the entry's line */
static inline uint32_t sf_context(const CXLCacheHome *home, const uint64_t *e)
{
    return G_UNLIKELY(home->contexts) && e ? home->sf_context[e - home->sf] : 0;
}

static inline void sf_set_context(CXLCacheHome *home, const uint64_t *e,
                                  uint32_t context)
{
    if (G_UNLIKELY(context || home->contexts)) {
        g_assert(home->sf_context && "CXLCacheHomeConfig.contexts");
        home->contexts = true;
        home->sf_context[e - home->sf] = context;
    }
}

/* Some devices, in @changed, come to an entry or leave it: keep count. */
static inline void sf_count(CXLCacheHome *home, const uint64_t *e,
                            uint64_t changed, uint64_t word)
{
    home->sf_used += !(*e & CXL_CACHE_SF_DEVS);
    home->sf_used -= !(word & CXL_CACHE_SF_DEVS);
    if (G_UNLIKELY(home->limits)) {
        cxl_cache_limits_count(home, *e, word);
    }
    do {
        unsigned dev = __builtin_ctzll(changed);

        if (word & (1ULL << dev)) {
            sf_come(home, e, dev);
        } else {
            home->sf_lines[dev]--;
        }
        changed &= changed - 1;
    } while (G_UNLIKELY(changed));
}

static inline void sf_write(CXLCacheHome *home, uint64_t *e, uint64_t word)
{
    uint64_t changed = (*e ^ word) & CXL_CACHE_SF_DEVS;

    if (changed) {
        sf_count(home, e, changed, word);
    }
    *e = word & CXL_CACHE_SF_DEVS ? word : 0;
    if (!*e) {
        sf_set_context(home, e, 0);
    }
}

/* See CXLCacheHomeOps.left */
static inline void tell_left(CXLCacheHome *home, uint64_t line,
                             uint32_t context, uint16_t devs)
{
    if (G_UNLIKELY(home->ops->left)) {
        home->ops->left(home->opaque, line, context, devs);
    }
}

/* An entry for the line, or a victim to make room; NULL if all are busy */
uint64_t *cxl_cache_sf_room(CXLCacheHome *home, uint64_t line);

/**
 * cxl_cache_sf_each: call @func with every entry that has the device
 *
 * Nobody else changes the filter meanwhile.
 *
 * Returns: how often @func returned true.
 */
typedef bool CXLCacheSfFunc(CXLCacheHome *home, uint64_t *e, unsigned dev);
unsigned cxl_cache_sf_each(CXLCacheHome *home, unsigned dev,
                           CXLCacheSfFunc *func);

/* Transactions: home_tracker.c */

static inline const CXLCacheReqRule *tx_rule(const CXLCacheTx *tx)
{
    return &cxl_cache_req_rules[tx->op];
}

/*
 * The entry of a transaction's line, or NULL. Nobody else can make one while
 * the transaction is open, but others can free it.
 */
static inline uint64_t *tx_entry(const CXLCacheTx *tx)
{
    return tx->e && *tx->e &&
           (*tx->e >> CXL_CACHE_SF_LINE_SHIFT) == tx->line ? tx->e : NULL;
}

static inline bool owned_by(const uint64_t *e, unsigned dev)
{
    return e && (*e & CXL_CACHE_SF_EXCL) && (*e & (1ULL << dev));
}

static inline uint16_t *tx_chain(CXLCacheHome *home, uint64_t line)
{
    return &home->chain[cxl_cache_hash(line) & home->chain_mask];
}

/* The line's open transaction, or NULL */
static inline CXLCacheTx *tx_find(CXLCacheHome *home, uint64_t line)
{
    uint16_t i;

    if (!home->tx_open) {
        return NULL;
    }
    for (i = *tx_chain(home, line); i != CXL_CACHE_NO_ID;
         i = home->tx[i].next) {
        if (home->tx[i].line == line) {
            return &home->tx[i];
        }
    }
    return NULL;
}

/* The cell that says what an event does to the transaction */
static inline const CXLCacheHomeRule *tx_cell(CXLCacheHome *home,
                                              const CXLCacheTx *tx,
                                              CXLCacheTxEvent event)
{
    seen(home, CXL_CACHE_TABLE_RULES, tx->phase, event);
    return &cxl_cache_home_rules[tx->phase][event];
}

/* CQIDs that a device may not use again yet */

static inline bool cqid_busy(const CXLCacheHomeDev *d, unsigned cqid)
{
    return d->cqid_busy[cqid / 64] & (1ULL << (cqid % 64));
}

static inline void cqid_set(CXLCacheHome *home, const CXLCacheTx *tx, bool busy)
{
    uint64_t *word = &home->dev[tx->dev].cqid_busy[tx->cqid / 64];
    uint64_t bit = 1ULL << (tx->cqid % 64);

    *word = busy ? *word | bit : *word & ~bit;
}

static inline bool can_send(CXLCacheHome *home, unsigned dev,
                            CXLCacheChannelId ch)
{
    return cxl_cache_link_can_send(home->dev[dev].link, ch);
}

/* It has something to send, and no credit. */
static inline void set_stalled(CXLCacheHome *home, CXLCacheTx *tx, bool stalled)
{
    if (tx->stalled != stalled) {
        unsigned id = tx->id;

        tx->stalled = stalled;
        home->tx_stalled[id / 64] ^= 1ULL << (id % 64);
        home->n_stalled += stalled ? 1 : -1;
    }
}

/* No transaction is open. */
void cxl_cache_tx_init(CXLCacheHome *home);
/* Nobody comes across the transaction any more. */
void cxl_cache_tx_leave(CXLCacheHome *home, CXLCacheTx *tx);

/**
 * tx_new: the lowest free tracker, made ready
 *
 * It stays free until tx_enter(): what is answered at once, as most is, need
 * not be found by anybody.
 */
static inline CXLCacheTx *tx_new(CXLCacheHome *home, uint64_t line,
                                 CXLCacheTxKind kind, unsigned row)
{
    unsigned words = DIV_ROUND_UP(home->num_tx, 64);
    unsigned word = home->tx_hint, id;
    CXLCacheTx *tx;

    while (word < words && !home->tx_free[word]) {
        word++;
    }
    home->tx_hint = word;
    if (word == words) {
        return NULL;
    }
    id = word * 64 + __builtin_ctzll(home->tx_free[word]);
    tx = &home->tx[id];
    /* All but the data, which have their own "have". */
    memset(tx, 0, offsetof(CXLCacheTx, data));
    tx->id = id;
    tx->line = line;
    tx->kind = kind;
    tx->row = row;
    tx->then = CXL_CACHE_NO_ID;
    return tx;
}

/* From now on others can come across the transaction. */
static inline void tx_enter(CXLCacheHome *home, CXLCacheTx *tx)
{
    unsigned id = tx->id;
    uint16_t *chain;

    if (tx->open) {
        return;
    }
    chain = tx_chain(home, tx->line);
    tx->open = true;
    tx->next = *chain;
    *chain = id;
    home->tx_free[id / 64] &= ~(1ULL << (id % 64));
    home->tx_open++;
    if (tx->kind == CXL_CACHE_TX_DEV) {
        home->dev[tx->dev].open++;
        cqid_set(home, tx, true);
    }
}

static inline void tx_close(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->open) {
        cxl_cache_tx_leave(home, tx);
    }
    tx->phase = CXL_CACHE_TX_FREE;
}

/* ... and their course: home_tx.c */

/* The snoop that each CXLCacheAsk is */
extern const uint8_t cxl_cache_ask_snoop[];

/* Nothing, until a message comes or a credit */
#define CXL_CACHE_EV_NONE CXL_CACHE_NUM_TX_EVENTS

/* Something happens to the transaction: what the tables say is done. */
void cxl_cache_tx_event(CXLCacheHome *home, CXLCacheTx *tx,
                        CXLCacheTxEvent event);
/* Send the snoops that credits allow. */
void cxl_cache_tx_send_snoops(CXLCacheHome *home, CXLCacheTx *tx);

/* Snoop who is still to be snooped; go on when all have answered. */
static inline void tx_snoop(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (G_UNLIKELY(tx->ask || tx->stalled)) {
        cxl_cache_tx_send_snoops(home, tx);
    }
    if (!(tx->ask | tx->wait | tx->fwd)) {
        cxl_cache_tx_event(home, tx, CXL_CACHE_EV_SNOOPED);
    }
}

/*
 * Take devices, or EXCL, from the line's entry. The entry of a
 * back-invalidation goes to the transaction that waits for it at once, or
 * another one would take it.
 */
static inline void tx_clear(CXLCacheHome *home, const CXLCacheTx *tx,
                            uint64_t *e, uint64_t bits)
{
    uint64_t word = *e & ~bits;

    if (tx && G_UNLIKELY(tx->kind == CXL_CACHE_TX_BACK_INV) &&
        !(word & CXL_CACHE_SF_DEVS)) {
        CXLCacheTx *then = &home->tx[tx->then];

        word = (then->line << CXL_CACHE_SF_LINE_SHIFT) | (1ULL << then->dev);
        then->e = e;
        sf_set_context(home, e, 0);
    }
    sf_write(home, e, word);
}

/* The data that were pulled have come. */
void cxl_cache_tx_data(CXLCacheHome *home, CXLCacheTx *tx,
                       const CXLCacheMsg *msg, const CXLCacheLineData *data);
/* What such data are, as a cell */
const CXLCacheHomeCell *cxl_cache_tx_pulled(CXLCacheHome *home,
                                            const CXLCacheTx *tx, bool bogus,
                                            uint64_t be);
/* The device gets no line, or gives it up: the filter, and the host, know. */
void cxl_cache_tx_remove(CXLCacheHome *home, CXLCacheTx *tx);

static inline void send_rsp(CXLCacheLink *link, uint8_t opcode,
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

#endif /* HW_CXL_CACHE_PRIVATE_HOME_H */
