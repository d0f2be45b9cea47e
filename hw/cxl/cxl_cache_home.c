/*
 * CXL.cache, the host's side: snoop filter, transactions, memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transaction asks the devices that may hold the line (SNOOP), then does what
 * was asked for with memory and the snoop filter (settle()), then answers
 * (ANSWER) and, for a write, waits for the data (PULL). So a GO never overtakes
 * a snoop of its line (ordering rule O2), and snoops and pulls of one line
 * exclude each other (O4).
 */

#include "qemu/osdep.h"
#include "cxl_cache_internal.h"

#define MAX_SF_WAYS 64

static const CXLCacheLineData all_ones = {
    { [0 ... CXL_CACHE_LINE_SIZE - 1] = 0xff }
};

static const CXLCacheLineData no_data;

static const uint8_t host_snoop[CXL_CACHE_NUM_HOST_OPS] = {
    [CXL_CACHE_HOST_READ]  = CXL_CACHE_ASK_DATA,
    [CXL_CACHE_HOST_PEEK]  = CXL_CACHE_ASK_CUR,
    [CXL_CACHE_HOST_WRITE] = CXL_CACHE_ASK_INV,
    [CXL_CACHE_HOST_FLUSH] = CXL_CACHE_ASK_INV,
};

static const uint8_t ask_snoop[] = {
    [CXL_CACHE_ASK_CUR]  = CXL_CACHE_SNP_CUR,
    [CXL_CACHE_ASK_DATA] = CXL_CACHE_SNP_DATA,
    [CXL_CACHE_ASK_INV]  = CXL_CACHE_SNP_INV,
};

static void report(CXLCacheHome *home, unsigned dev, CXLCacheError err,
                   CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    home->stats->errors[err]++;
    if (home->ops->error) {
        home->ops->error(home->opaque, dev, err, channel, msg);
    }
}

/* Snoop filter */

static uint64_t *sf_set(const CXLCacheHome *home, uint64_t line)
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

/*
 * The entry of a transaction's line, or NULL. Nobody else can make one while
 * the transaction is open, but others can free it.
 */
static inline uint64_t *tx_entry(const CXLCacheTx *tx)
{
    return tx->e && *tx->e &&
           (*tx->e >> CXL_CACHE_SF_LINE_SHIFT) == tx->line ? tx->e : NULL;
}

static CXLCacheHostAccess sf_access(uint64_t word)
{
    return !(word & CXL_CACHE_SF_DEVS) ? CXL_CACHE_HOST_RW :
           word & CXL_CACHE_SF_EXCL ? CXL_CACHE_HOST_NONE : CXL_CACHE_HOST_RO;
}

static void sf_write(CXLCacheHome *home, uint64_t *e, uint64_t word)
{
    word = word & CXL_CACHE_SF_DEVS ? word : 0;
    home->sf_used += !!word - !!*e;
    *e = word;
}

/* The device that asked for the line does not get it, or gives it up. */
static void sf_remove_self(CXLCacheHome *home, const CXLCacheTx *tx)
{
    uint64_t *e = tx_entry(tx);

    if (e) {
        sf_write(home, e, *e & ~(1ULL << tx->dev));
    }
}

static bool owned_by(const CXLCacheTx *tx, unsigned dev)
{
    const uint64_t *e = tx_entry(tx);

    return e && (*e & CXL_CACHE_SF_EXCL) && (*e & (1ULL << dev));
}

/* Open transactions */

static unsigned tx_id(const CXLCacheHome *home, const CXLCacheTx *tx)
{
    return tx - home->tx;
}

static uint16_t *chain_of(CXLCacheHome *home, uint64_t line)
{
    return &home->chain[cxl_cache_hash(line) & home->chain_mask];
}

/* The line's open transaction, or NULL */
static CXLCacheTx *tx_find(CXLCacheHome *home, uint64_t line)
{
    uint16_t i;

    if (!home->tx_open) {
        return NULL;
    }
    for (i = *chain_of(home, line); i != CXL_CACHE_NO_ID;
         i = home->tx[i].next) {
        if (home->tx[i].line == line) {
            return &home->tx[i];
        }
    }
    return NULL;
}

static bool line_busy(CXLCacheHome *home, uint64_t line)
{
    return tx_find(home, line);
}

/*
 * Take bits from the line's entry. The entry of a back-invalidation goes to the
 * transaction that waits for it at once, or another one would take it.
 */
static void sf_clear(CXLCacheHome *home, const CXLCacheTx *tx, uint64_t *e,
                     uint64_t bits)
{
    uint64_t word = *e & ~bits;

    if (tx && tx->kind == CXL_CACHE_TX_EVICT && !(word & CXL_CACHE_SF_DEVS)) {
        CXLCacheTx *then = &home->tx[tx->then];

        word = (then->line << CXL_CACHE_SF_LINE_SHIFT) | (1ULL << then->dev);
        then->e = e;
    }
    sf_write(home, e, word);
}

/*
 * The lowest free tracker, made ready. It stays free until tx_enter(): what is
 * answered at once, as most is, need not be found by anybody.
 */
static inline CXLCacheTx *tx_new(CXLCacheHome *home, uint64_t line,
                                 CXLCacheTxKind kind)
{
    unsigned words = DIV_ROUND_UP(home->num_tx, 64);
    unsigned word = home->tx_hint;
    CXLCacheTx *tx;

    while (word < words && !home->tx_free[word]) {
        word++;
    }
    home->tx_hint = word;
    if (word == words) {
        return NULL;
    }
    tx = &home->tx[word * 64 + __builtin_ctzll(home->tx_free[word])];
    /* All but the data, which have their own "have". */
    memset(tx, 0, offsetof(CXLCacheTx, data));
    tx->line = line;
    tx->kind = kind;
    tx->phase = CXL_CACHE_TX_SNOOP;
    tx->then = CXL_CACHE_NO_ID;
    return tx;
}

static void tx_unlink(CXLCacheHome *home, CXLCacheTx *tx)
{
    uint16_t *at = chain_of(home, tx->line);

    while (*at != tx_id(home, tx)) {
        at = &home->tx[*at].next;
    }
    *at = tx->next;
}

static void set_stalled(CXLCacheHome *home, CXLCacheTx *tx, bool stalled)
{
    if (tx->stalled != stalled) {
        unsigned id = tx_id(home, tx);

        tx->stalled = stalled;
        home->tx_stalled[id / 64] ^= 1ULL << (id % 64);
        home->n_stalled += stalled ? 1 : -1;
    }
}

/* CQIDs that a device may not use again yet */

static bool cqid_busy(const CXLCacheHomeDev *d, unsigned cqid)
{
    return d->cqid_busy[cqid / 64] & (1ULL << (cqid % 64));
}

static void cqid_set(CXLCacheHome *home, const CXLCacheTx *tx, bool busy)
{
    uint64_t *word = &home->dev[tx->dev].cqid_busy[tx->cqid / 64];
    uint64_t bit = 1ULL << (tx->cqid % 64);

    *word = busy ? *word | bit : *word & ~bit;
}

/* From now on others can come across the transaction. */
static void tx_enter(CXLCacheHome *home, CXLCacheTx *tx)
{
    unsigned id = tx_id(home, tx);
    uint16_t *chain = chain_of(home, tx->line);

    if (tx->open) {
        return;
    }
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

static void tx_leave(CXLCacheHome *home, CXLCacheTx *tx)
{
    unsigned id = tx_id(home, tx);

    set_stalled(home, tx, false);
    tx_unlink(home, tx);
    if (tx->kind == CXL_CACHE_TX_DEV && !tx->orphan) {
        home->dev[tx->dev].open--;
    }
    home->tx_free[id / 64] |= 1ULL << (id % 64);
    home->tx_hint = MIN(home->tx_hint, id / 64);
    home->tx_open--;
}

static inline void tx_close(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->open) {
        tx_leave(home, tx);
    }
    tx->phase = CXL_CACHE_TX_FREE;
}

/* Memory */

static unsigned decode(CXLCacheHome *home, uint64_t line)
{
    return home->ops->decode(home->opaque, line);
}

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
static inline void tx_write_back(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (!tx->dirty) {
        return;
    }
    tx->dirty = false;
    if (!tx_write(home, tx, &tx->data, CXL_CACHE_BE_ALL, tx->poison,
                  CXL_CACHE_WRITE_BACK)) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_DATA, NULL);
    }
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

/* Messages to a device */

static bool can_send(CXLCacheHome *home, unsigned dev, CXLCacheChannelId ch)
{
    return cxl_cache_link_can_send(home->dev[dev].link, ch);
}

static void send_snoop(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev)
{
    CXLCacheLink *link = home->dev[dev].link;
    CXLCacheMsg *msg = cxl_cache_link_send(link, CXL_CACHE_H2D_REQ, NULL);

    msg->opcode = tx->snoop;
    msg->line = tx->line;
    msg->uqid = tx_id(home, tx);
    cxl_cache_link_sent(link, CXL_CACHE_H2D_REQ, msg);
}

static void send_rsp(CXLCacheLink *link, uint8_t opcode, uint16_t rsp_data,
                     uint16_t cqid, CXLCacheRspPre pre)
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

/* The course of a transaction */

static void tx_answer(CXLCacheHome *home, CXLCacheTx *tx);
static void tx_settle(CXLCacheHome *home, CXLCacheTx *tx);

static const CXLCacheReqRule *tx_rule(const CXLCacheTx *tx)
{
    return &cxl_cache_req_rules[tx->op];
}

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

/* Snoop who is still to be snooped; go on when all have answered. */
static void tx_snoop(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->ask || tx->stalled) {
        tx_send_snoops(home, tx);
    }
    if (!(tx->ask | tx->wait | tx->fwd)) {
        tx_settle(home, tx);
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
        tx_settle(home, tx);
        return;
    }
    tx_enter(home, tx);
    tx->snoop = ask_snoop[ask];
    for (unsigned m = others; m; m &= m - 1) {
        home->dev[__builtin_ctz(m)].snoops++;
        if (tx->kind == CXL_CACHE_TX_HOST) {
            home->stats->host_snoops[tx->op]++;
        }
    }
    tx_snoop(home, tx);
}

/* Answer a read or an ownership request, its snoops done. */
static uint8_t choose_grant(CXLCacheHome *home, CXLCacheTx *tx)
{
    const uint64_t *e = tx_entry(tx);
    bool others = e && (*e & CXL_CACHE_SF_DEVS & ~(1ULL << tx->dev));
    bool forward = tx->dirty && home->forward_dirty && !others;

    switch (tx->op) {
    case CXL_CACHE_RD_SHARED:
        return CXL_CACHE_GO_S;
    case CXL_CACHE_RD_ANY:
        return others ? CXL_CACHE_GO_S :
               forward ? CXL_CACHE_GO_M : CXL_CACHE_GO_E;
    case CXL_CACHE_RD_OWN:
        return forward ? CXL_CACHE_GO_M : CXL_CACHE_GO_E;
    default:
        return CXL_CACHE_GO_E;
    }
}

/* Enter the grant in the snoop filter, if the host lets go of the line. */
static bool grant_line(CXLCacheHome *home, CXLCacheTx *tx, uint8_t grant)
{
    uint64_t *e = tx_entry(tx);
    uint64_t word = *e & ~CXL_CACHE_SF_EXCL;

    if (grant != CXL_CACHE_GO_S) {
        word = (word & ~CXL_CACHE_SF_DEVS) | CXL_CACHE_SF_EXCL;
    }
    sf_write(home, e, word | (1ULL << tx->dev) | CXL_CACHE_SF_USED);
    return tx_settle_access(home, tx);
}

static void refuse_line(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx_write_back(home, tx);
    sf_remove_self(home, tx);
    tx_settle_access(home, tx);
}

static void settle_read(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheReqRule *rule = tx_rule(tx);
    uint8_t grant = CXL_CACHE_GO_I;

    if (rule->cacheable && tx->keep && !tx->failed) {
        grant = choose_grant(home, tx);
        if (grant != CXL_CACHE_GO_M) {
            tx_write_back(home, tx);
        }
        if (!grant_line(home, tx, grant)) {
            tx->keep = false;
        }
    }
    if (!tx->keep || tx->failed) {
        refuse_line(home, tx);
        grant = CXL_CACHE_GO_I;
        tx->failed |= tx->op == CXL_CACHE_RD_OWN_NO_DATA;
        home->stats->use_once += rule->cacheable && !tx->failed;
    }
    if (rule->h2d_data && !tx->failed && !tx_read(home, tx)) {
        tx->failed = true;
        refuse_line(home, tx);
    }
    tx->send_data = rule->h2d_data;
    tx->rsp = rule->go ? CXL_CACHE_GO : 0;
    tx->rsp_data = tx->failed ? CXL_CACHE_GO_ERR : grant;
}

/* All copies are gone: fetch the data of a write. */
static void settle_write(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheReqRule *rule = tx_rule(tx);

    refuse_line(home, tx);
    tx->rsp_data = tx_id(home, tx);
    if (rule->rsp & CXL_CACHE_RSPS(WRITE_PULL)) {
        tx->rsp = CXL_CACHE_WRITE_PULL;
    } else if (tx->failed) {
        tx->rsp = CXL_CACHE_GO_ERR_WRITE_PULL;
    } else if (rule->rsp & CXL_CACHE_RSPS(EXT_CMP)) {
        tx->rsp = CXL_CACHE_FAST_GO_WRITE_PULL;
    } else {
        tx->rsp = CXL_CACHE_GO_WRITE_PULL;
    }
}

static void settle_evict(CXLCacheHome *home, CXLCacheTx *tx)
{
    tx->rsp_data = tx_id(home, tx);
    switch (tx->op) {
    case CXL_CACHE_DIRTY_EVICT:
        tx->rsp = tx->failed ? CXL_CACHE_GO_ERR_WRITE_PULL
                             : CXL_CACHE_GO_WRITE_PULL;
        return;
    case CXL_CACHE_CLEAN_EVICT:
        tx->rsp = home->pull_clean ? CXL_CACHE_GO_WRITE_PULL
                                   : CXL_CACHE_GO_WRITE_PULL_DROP;
        break;
    default:
        tx->rsp = CXL_CACHE_GO;
        tx->rsp_data = CXL_CACHE_GO_I;
    }
    sf_remove_self(home, tx);
    tx_settle_access(home, tx);
}

static void settle_dev(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheReqRule *rule = tx_rule(tx);

    if (tx->orphan) {
        refuse_line(home, tx);
        tx_close(home, tx);
        return;
    }
    if (rule->evict) {
        settle_evict(home, tx);
    } else if (rule->d2h_data) {
        settle_write(home, tx);
    } else if (tx->op == CXL_CACHE_CL_FLUSH) {
        refuse_line(home, tx);
        tx->rsp = CXL_CACHE_GO;
        tx->rsp_data = tx->failed ? CXL_CACHE_GO_ERR : CXL_CACHE_GO_I;
    } else {
        settle_read(home, tx);
    }
    if (tx->failed) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_REQ, NULL);
    }
    tx->phase = CXL_CACHE_TX_ANSWER;
    tx_answer(home, tx);
}

static void settle_host(CXLCacheHome *home, CXLCacheTx *tx)
{
    bool read = tx->op == CXL_CACHE_HOST_READ || tx->op == CXL_CACHE_HOST_PEEK;
    CXLCacheHostDone done = {
        .line = tx->line,
        .tag = tx->tag,
        .op = tx->op,
        .snooped = tx->snooped,
        .dirty = tx->was_dirty,
        .data = read ? &tx->data : NULL,
    };

    home->stats->host_dirty[tx->op] += tx->was_dirty;
    tx_settle_access(home, tx);
    if (read) {
        done.failed = tx->failed || !tx_read(home, tx);
    } else {
        done.failed = tx->failed;
    }
    done.poison = tx->poison;
    tx_close(home, tx);
    if (home->ops->complete) {
        home->ops->complete(home->opaque, &done);
    }
}

/* The data of a host's write stand in for the transaction's; see home_host. */
static void host_write(CXLCacheHome *home, CXLCacheTx *tx)
{
    if (tx->op == CXL_CACHE_HOST_WRITE && tx->be && !tx->failed) {
        tx->failed = !tx_write(home, tx, &tx->host_data, tx->be,
                               tx->host_poison, CXL_CACHE_WRITE_HOST);
    }
}

/* A victim of the snoop filter is gone from all devices. */
static void settle_back_invalidation(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheTx *then = &home->tx[tx->then];

    tx_settle_access(home, tx);
    tx_close(home, tx);
    then->phase = CXL_CACHE_TX_SNOOP;
    tx_settle(home, then);
}

/* All snoops are answered, all data forwarded. */
static void tx_settle(CXLCacheHome *home, CXLCacheTx *tx)
{
    switch (tx->kind) {
    case CXL_CACHE_TX_DEV:
        settle_dev(home, tx);
        break;
    case CXL_CACHE_TX_HOST:
        tx_write_back(home, tx);
        host_write(home, tx);
        settle_host(home, tx);
        break;
    default:
        tx_write_back(home, tx);
        settle_back_invalidation(home, tx);
    }
}

/* Whether the response in tx->rsp is the last of its CQID */
static bool tx_last_rsp(const CXLCacheTx *tx)
{
    bool more = tx_rule(tx)->rsp & (CXL_CACHE_RSPS(EXT_CMP) |
                                    CXL_CACHE_RSPS(WRITE_PULL));

    return !more || tx->rsp == CXL_CACHE_EXT_CMP || tx->rsp == CXL_CACHE_GO;
}

static bool is_pull(uint8_t rsp)
{
    return rsp == CXL_CACHE_WRITE_PULL || rsp == CXL_CACHE_GO_WRITE_PULL ||
           rsp == CXL_CACHE_FAST_GO_WRITE_PULL ||
           rsp == CXL_CACHE_GO_ERR_WRITE_PULL;
}

/* Send GO, data or a pull, as far as credits go. */
static void tx_answer(CXLCacheHome *home, CXLCacheTx *tx)
{
    CXLCacheLink *link = home->dev[tx->dev].link;
    bool pull = is_pull(tx->rsp), last = tx_last_rsp(tx);

    if (tx->rsp && can_send(home, tx->dev, CXL_CACHE_H2D_RSP)) {
        send_rsp(link, tx->rsp, tx->rsp_data, tx->cqid,
                 tx->snooped ? CXL_CACHE_PRE_MISS_REMOTE
                             : CXL_CACHE_PRE_MISS_LOCAL);
        tx->rsp = 0;
        if (tx->open && last && !tx->send_data) {
            cqid_set(home, tx, false);
        }
        if (pull) {
            set_stalled(home, tx, false);
            tx->phase = CXL_CACHE_TX_PULL;
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
        tx_enter(home, tx);
        set_stalled(home, tx, true);
    } else {
        tx_close(home, tx);
    }
}

/* Starting a transaction */

/* An entry for the line, or a victim to make room; NULL if all are busy */
static uint64_t *sf_room(CXLCacheHome *home, uint64_t line)
{
    uint64_t *e = sf_set(home, line), *victim = NULL;

    for (unsigned i = 0; i < home->sf_ways; i++) {
        if (!e[i]) {
            return &e[i];
        }
    }
    for (unsigned i = 0; i < home->sf_ways; i++) {
        if (line_busy(home, e[i] >> CXL_CACHE_SF_LINE_SHIFT)) {
            continue;
        }
        if (!(e[i] & CXL_CACHE_SF_USED)) {
            return &e[i];
        }
        victim = victim ?: &e[i];
    }
    /* All were used lately: from now on, only those used again. */
    for (unsigned i = 0; victim && i < home->sf_ways; i++) {
        e[i] &= ~CXL_CACHE_SF_USED;
    }
    return victim;
}

static void back_invalidate(CXLCacheHome *home, CXLCacheTx *evict,
                            CXLCacheTx *tx)
{
    uint64_t word = *evict->e;

    home->stats->back_invalidations++;
    evict->then = tx_id(home, tx);
    evict->access = sf_access(word);
    evict->dev = tx->dev;
    tx->phase = CXL_CACHE_TX_WAIT;
    tx_ask(home, evict, CXL_CACHE_ASK_INV, word & CXL_CACHE_SF_DEVS);
}

/* Whether what is at the address takes such a request */
static bool op_allowed(const CXLCacheTx *tx, unsigned mem)
{
    const CXLCacheReqRule *rule = tx_rule(tx);

    if (rule->evict && tx->op != CXL_CACHE_DIRTY_EVICT) {
        return true;
    }
    return mem & (rule->d2h_data ? CXL_CACHE_MEM_WRITE : CXL_CACHE_MEM_READ);
}

/* Whether the device may keep the line: what it owns must be writable. */
static bool may_keep(const CXLCacheTx *tx, unsigned mem)
{
    unsigned need = CXL_CACHE_MEM_CACHEABLE | CXL_CACHE_MEM_WRITE;

    return tx_rule(tx)->cacheable && !tx->failed && (mem & need) == need;
}

/*
 * Ask whoever has to be asked. The requester itself has the line in no other
 * state than its request's rule says, whatever the snoop filter still thinks:
 * it may have dropped it silently.
 */
static void start_dev(CXLCacheHome *home, CXLCacheTx *tx)
{
    const CXLCacheReqRule *rule = tx_rule(tx);
    uint64_t *e = tx_entry(tx);
    uint64_t self = 1ULL << tx->dev;
    uint16_t others;

    if (rule->evict) {
        tx_settle(home, tx);
        return;
    }
    others = e ? *e & CXL_CACHE_SF_DEVS & ~self : 0;
    if (e && !others) {
        /* Only a stale entry of its own: not owned by anybody. */
        sf_write(home, e, *e & ~(CXL_CACHE_SF_EXCL |
                                 (tx->keep ? 0 : self)));
    }
    if (tx->failed && !rule->d2h_data) {
        tx_settle(home, tx);
        return;
    }
    if (tx->keep && e && others) {
        sf_write(home, e, *e | self);
    }
    tx_ask(home, tx, rule->ask, others);
}

/*
 * A request that ends with the device holding the line needs an entry of the
 * snoop filter. Returns false if there is no way to get one now.
 */
static bool reserve_entry(CXLCacheHome *home, CXLCacheTx *tx,
                          CXLCacheTx **evict)
{
    uint64_t *e;

    *evict = NULL;
    if (!tx->keep || tx->e) {
        return true;
    }
    e = sf_room(home, tx->line);
    if (!e) {
        return false;
    }
    if (!*e) {
        tx->e = e;
        sf_write(home, e, (tx->line << CXL_CACHE_SF_LINE_SHIFT) |
                 (1ULL << tx->dev));
        return true;
    }
    tx_enter(home, tx);
    *evict = tx_new(home, *e >> CXL_CACHE_SF_LINE_SHIFT, CXL_CACHE_TX_EVICT);
    if (*evict) {
        (*evict)->e = e;
    }
    return *evict;
}

/* Returns false if the request has to stay where it is. */
static bool start_request(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg)
{
    CXLCacheTx *tx, *evict;
    unsigned mem;

    if (line_busy(home, msg->line)) {
        return false;
    }
    tx = tx_new(home, msg->line, CXL_CACHE_TX_DEV);
    if (!tx) {
        return false;
    }
    tx->dev = dev;
    tx->op = msg->opcode;
    tx->cqid = msg->cqid;
    tx->e = sf_find(home, tx->line);
    /* Before an entry is reserved for it, which grants nothing yet */
    tx->access = sf_access(tx->e ? *tx->e : 0);
    mem = decode(home, tx->line);
    tx->failed = !op_allowed(tx, mem);
    tx->keep = may_keep(tx, mem);
    if (!reserve_entry(home, tx, &evict)) {
        cqid_set(home, tx, false);
        tx_close(home, tx);
        return false;
    }
    if (tx_rule(tx)->d2h_data) {
        tx_enter(home, tx);
    }
    if (evict) {
        back_invalidate(home, evict, tx);
    } else {
        start_dev(home, tx);
    }
    return true;
}

/* The device says that it holds no line. */
static bool cache_flushed(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg)
{
    CXLCacheHomeDev *d = &home->dev[dev];
    size_t n = (size_t)home->sf_sets * home->sf_ways;

    if (d->snoops || d->open || !can_send(home, dev, CXL_CACHE_H2D_RSP)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t *e = &home->sf[i], line = *e >> CXL_CACHE_SF_LINE_SHIFT;
        CXLCacheHostAccess before = sf_access(*e);

        if (!(*e & (1ULL << dev))) {
            continue;
        }
        sf_write(home, e, *e & ~(1ULL << dev));
        if (sf_access(*e) != before) {
            home->ops->host_access(home->opaque, line, sf_access(*e));
        }
    }
    send_rsp(d->link, CXL_CACHE_GO, CXL_CACHE_GO_I, msg->cqid,
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

static bool rx_req(CXLCacheHome *home, unsigned dev, const CXLCacheMsg *msg)
{
    CXLCacheError err = req_error(&home->dev[dev], msg);

    if (err) {
        report(home, dev, err, CXL_CACHE_D2H_REQ, msg);
        return true;
    }
    return msg->opcode == CXL_CACHE_CACHE_FLUSHED ?
           cache_flushed(home, dev, msg) : start_request(home, dev, msg);
}

/* Only an owner has data that nobody else has. */
static bool may_forward(const CXLCacheTx *tx, unsigned dev)
{
    return (tx->wait & (1 << dev)) && owned_by(tx, dev);
}

static CXLCacheError rsp_error(const CXLCacheHome *home, unsigned dev,
                               const CXLCacheMsg *msg)
{
    const CXLCacheTx *tx = &home->tx[msg->uqid];
    const CXLCacheRspRule *rule = &cxl_cache_rsp_rules[msg->opcode];
    bool early = tx->early & (1 << dev);

    if (!(rule->snoops & (1 << tx->snoop)) ||
        (rule->data && !may_forward(tx, dev)) || (early && !rule->data)) {
        return CXL_CACHE_ERR_UNEXPECTED;
    }
    return CXL_CACHE_ERR_NONE;
}

/* Device @dev has answered, by @rule. */
static inline void tx_answered(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev,
                               const CXLCacheRspRule *rule)
{
    uint64_t *e = tx_entry(tx);
    uint64_t bit = 1 << dev;

    tx->wait &= ~bit;
    if (rule->data) {
        tx->fwd |= bit & ~tx->early;
        tx->dirty = tx->was_dirty = rule->dirty;
    }
    home->dev[dev].snoops -= !(tx->fwd & bit);
    tx->early &= ~bit;
    sf_clear(home, tx, e, (rule->keeps ? 0 : bit) |
                          (rule->excl ? 0 : CXL_CACHE_SF_EXCL));
    tx_snoop(home, tx);
}

static void rx_snoop_rsp(CXLCacheHome *home, unsigned dev,
                         const CXLCacheMsg *msg)
{
    CXLCacheTx *tx = msg->uqid < home->num_tx ? &home->tx[msg->uqid] : NULL;
    CXLCacheError err;

    if (!cxl_cache_opcode_valid(CXL_CACHE_D2H_RSP, msg->opcode)) {
        report(home, dev, CXL_CACHE_ERR_RSVD_ENCODING, CXL_CACHE_D2H_RSP, msg);
        return;
    }
    if (!tx || tx->phase != CXL_CACHE_TX_SNOOP || !(tx->wait & (1 << dev))) {
        report(home, dev, CXL_CACHE_ERR_ID_UNKNOWN, CXL_CACHE_D2H_RSP, msg);
        return;
    }
    err = rsp_error(home, dev, msg);
    if (err) {
        report(home, dev, err, CXL_CACHE_D2H_RSP, msg);
        tx->have &= !(tx->early & (1 << dev));
        tx_answered(home, tx, dev, &cxl_cache_rsp_rules[CXL_CACHE_RSP_I_HIT_I]);
    } else {
        tx_answered(home, tx, dev, &cxl_cache_rsp_rules[msg->opcode]);
    }
}

/* A modified line comes home, unless a snoop has fetched it before. */
static void take_dirty_evict(CXLCacheHome *home, CXLCacheTx *tx,
                             const CXLCacheMsg *msg,
                             const CXLCacheLineData *data)
{
    bool owner = owned_by(tx, tx->dev);

    if (owner && msg->bogus) {
        report(home, tx->dev, CXL_CACHE_ERR_DIRTY_LOST, CXL_CACHE_D2H_DATA,
               msg);
    } else if (!owner && !msg->bogus) {
        report(home, tx->dev, CXL_CACHE_ERR_NOT_OWNER, CXL_CACHE_D2H_DATA,
               msg);
    } else if (owner && !tx->failed &&
               !tx_write(home, tx, data, msg->be, msg->poison,
                         CXL_CACHE_WRITE_BACK)) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_DATA, msg);
    }
    sf_remove_self(home, tx);
    tx_settle_access(home, tx);
}

static void take_write(CXLCacheHome *home, CXLCacheTx *tx,
                       const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    if (msg->bogus ||
        (!tx_rule(tx)->partial && msg->be != CXL_CACHE_BE_ALL)) {
        report(home, tx->dev, CXL_CACHE_ERR_UNEXPECTED, CXL_CACHE_D2H_DATA,
               msg);
        tx->failed = true;
    } else if (!tx->failed &&
               !tx_write(home, tx, data, msg->be, msg->poison,
                         CXL_CACHE_WRITE_NEW)) {
        report(home, tx->dev, CXL_CACHE_ERR_DECODE, CXL_CACHE_D2H_DATA, msg);
        tx->failed = true;
    }
}

/* The data of a pull have come. */
static void tx_pulled(CXLCacheHome *home, CXLCacheTx *tx,
                      const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    const CXLCacheReqRule *rule = tx_rule(tx);

    if (tx->op == CXL_CACHE_DIRTY_EVICT) {
        take_dirty_evict(home, tx, msg, data);
    } else if (!rule->evict) {
        take_write(home, tx, msg, data);
    }
    /* A clean line's data are what memory has. */
    tx->phase = CXL_CACHE_TX_FINISH;
    if (rule->rsp & CXL_CACHE_RSPS(WRITE_PULL)) {
        tx->rsp = CXL_CACHE_GO;
        tx->rsp_data = tx->failed ? CXL_CACHE_GO_ERR : CXL_CACHE_GO_I;
    } else if (rule->rsp & CXL_CACHE_RSPS(EXT_CMP)) {
        tx->rsp = CXL_CACHE_EXT_CMP;
        tx->rsp_data = 0;
    }
    tx_answer(home, tx);
}

/* What a snoop has brought out */
static void tx_forwarded(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev,
                         const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    uint16_t bit = 1 << dev;

    tx->data = *data;
    tx->poison = msg->poison;
    tx->have = true;
    if (msg->bogus || msg->be != CXL_CACHE_BE_ALL) {
        report(home, dev, CXL_CACHE_ERR_UNEXPECTED, CXL_CACHE_D2H_DATA, msg);
    }
    if (tx->fwd & bit) {
        tx->fwd &= ~bit;
        home->dev[dev].snoops--;
        tx_snoop(home, tx);
    } else {
        tx->early |= bit;
    }
}

static void rx_dev_data(CXLCacheHome *home, unsigned dev,
                        const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    CXLCacheTx *tx = msg->uqid < home->num_tx ? &home->tx[msg->uqid] : NULL;
    uint16_t bit = 1 << dev;

    if (tx && tx->phase == CXL_CACHE_TX_PULL && tx->dev == dev) {
        tx_pulled(home, tx, msg, data);
    } else if (tx && tx->phase == CXL_CACHE_TX_SNOOP && !(tx->early & bit) &&
               ((tx->fwd & bit) || may_forward(tx, dev))) {
        tx_forwarded(home, tx, dev, msg, data);
    } else {
        report(home, dev, CXL_CACHE_ERR_ID_UNKNOWN, CXL_CACHE_D2H_DATA, msg);
    }
}

bool cxl_cache_home_rx(CXLCacheHome *home, unsigned dev,
                       CXLCacheChannelId channel)
{
    CXLCacheLink *link = cxl_cache_home_link(home, dev);
    const CXLCacheMsg *msg = link ? cxl_cache_link_peek(link, channel) : NULL;

    if (!msg) {
        return false;
    }
    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        if (!rx_req(home, dev, msg)) {
            return false;
        }
        break;
    case CXL_CACHE_D2H_RSP:
        rx_snoop_rsp(home, dev, msg);
        break;
    case CXL_CACHE_D2H_DATA:
        rx_dev_data(home, dev, msg, cxl_cache_link_peek_data(link, channel));
        break;
    default:
        return false;
    }
    cxl_cache_link_pop(link, channel);
    return true;
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

/* The host's own accesses */

static bool host_allowed(const CXLCacheHostReq *req, unsigned mem)
{
    switch (req->op) {
    case CXL_CACHE_HOST_WRITE:
        return mem & CXL_CACHE_MEM_WRITE;
    case CXL_CACHE_HOST_FLUSH:
        return true;
    default:
        return mem & CXL_CACHE_MEM_READ;
    }
}

int cxl_cache_home_host(CXLCacheHome *home, const CXLCacheHostReq *req)
{
    CXLCacheTx *tx;

    if (req->line >= CXL_CACHE_LINE_MAX || req->op >= CXL_CACHE_NUM_HOST_OPS ||
        (req->op == CXL_CACHE_HOST_WRITE && req->be && !req->data)) {
        return -EINVAL;
    }
    if (line_busy(home, req->line)) {
        return -EBUSY;
    }
    tx = tx_new(home, req->line, CXL_CACHE_TX_HOST);
    if (!tx) {
        return -EAGAIN;
    }
    home->stats->host[req->op]++;
    tx->op = req->op;
    tx->tag = req->tag;
    tx->be = req->be;
    if (req->op == CXL_CACHE_HOST_WRITE && req->be) {
        tx->host_data = *req->data;
        tx->host_poison = req->poison;
    }
    tx->e = sf_find(home, req->line);
    tx->access = sf_access(tx->e ? *tx->e : 0);
    tx->failed = !host_allowed(req, decode(home, req->line));
    tx_ask(home, tx, host_snoop[req->op],
           tx->e ? *tx->e & CXL_CACHE_SF_DEVS : 0);
    return 0;
}

/* Devices that come, go and die */

int cxl_cache_home_attach(CXLCacheHome *home, CXLCacheLink *link)
{
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        if (!home->dev[i].link) {
            home->dev[i] = (CXLCacheHomeDev) { .link = link };
            home->num_devs = MAX(home->num_devs, i + 1);
            return i;
        }
    }
    return -ENOSPC;
}

CXLCacheLink *cxl_cache_home_link(const CXLCacheHome *home, unsigned dev)
{
    return dev < home->num_devs ? home->dev[dev].link : NULL;
}

unsigned cxl_cache_home_devices(const CXLCacheHome *home)
{
    return home->num_devs;
}

static void poison_line(CXLCacheHome *home, uint64_t line)
{
    home->ops->write_line(home->opaque, line, &no_data, 0, true,
                          CXL_CACHE_WRITE_POISON);
}

/* The host answers a snoop in the place of a dead device. */
static unsigned isolate_snooped(CXLCacheHome *home, CXLCacheTx *tx,
                                unsigned dev)
{
    uint64_t *e = tx_entry(tx), bit = 1 << dev;
    bool lost = (tx->fwd & bit) ||
                (((tx->ask | tx->wait) & bit) &&
                 owned_by(tx, dev));

    if (!((tx->ask | tx->wait | tx->fwd) & bit)) {
        return 0;
    }
    if (lost) {
        tx->have = tx->dirty = false;
        poison_line(home, tx->line);
    }
    if (e) {
        sf_clear(home, tx, e, bit | (lost ? CXL_CACHE_SF_EXCL : 0));
    }
    tx->ask &= ~bit;
    tx->wait &= ~bit;
    tx->fwd &= ~bit;
    tx->early &= ~bit;
    return lost;
}

/* Its own transaction. Returns whether a line is poisoned by it. */
static unsigned isolate_own(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev)
{
    bool pulling = tx->phase == CXL_CACHE_TX_PULL;
    bool evict = tx_rule(tx)->evict;
    bool lost = pulling && !tx->failed &&
                (!evict || owned_by(tx, dev));

    if (lost) {
        poison_line(home, tx->line);
        sf_remove_self(home, tx);
        tx_settle_access(home, tx);
    }
    home->dev[dev].open--;
    tx->orphan = true;
    if (tx->phase == CXL_CACHE_TX_ANSWER || tx->phase == CXL_CACHE_TX_FINISH ||
        pulling) {
        tx_close(home, tx);
    }
    return lost;
}

static unsigned isolate_transactions(CXLCacheHome *home, unsigned dev)
{
    unsigned lost = 0;

    for (unsigned i = 0; i < home->num_tx; i++) {
        CXLCacheTx *tx = &home->tx[i];

        if (tx->phase == CXL_CACHE_TX_FREE) {
            continue;
        }
        lost += isolate_snooped(home, tx, dev);
        if (tx->kind == CXL_CACHE_TX_DEV && tx->dev == dev && !tx->orphan) {
            lost += isolate_own(home, tx, dev);
        }
    }
    return lost;
}

/* Take the dead device from an entry. Returns whether the line is lost. */
static bool isolate_entry(CXLCacheHome *home, uint64_t *e, unsigned dev)
{
    uint64_t line = *e >> CXL_CACHE_SF_LINE_SHIFT, bit = 1ULL << dev;
    CXLCacheHostAccess before = sf_access(*e);
    CXLCacheTx *tx = tx_find(home, line);
    bool lost = before == CXL_CACHE_HOST_NONE &&
                (*e & CXL_CACHE_SF_DEVS) == bit;

    if (lost) {
        poison_line(home, line);
    }
    sf_clear(home, tx, e, bit);
    /* While snoops are out, the transaction's end tells the host. */
    if (sf_access(*e) != before && (!tx || tx->phase > CXL_CACHE_TX_SNOOP)) {
        home->ops->host_access(home->opaque, line, sf_access(*e));
        if (tx) {
            tx->access = sf_access(*e);
        }
    }
    return lost;
}

static unsigned isolate_lines(CXLCacheHome *home, unsigned dev)
{
    size_t n = (size_t)home->sf_sets * home->sf_ways;
    unsigned lost = 0;

    for (size_t i = 0; i < n; i++) {
        if (home->sf[i] & (1ULL << dev)) {
            lost += isolate_entry(home, &home->sf[i], dev);
        }
    }
    return lost;
}

unsigned cxl_cache_home_isolate(CXLCacheHome *home, unsigned dev)
{
    CXLCacheHomeDev *d = &home->dev[dev];
    unsigned lost;

    if (!cxl_cache_home_link(home, dev)) {
        return 0;
    }
    lost = isolate_transactions(home, dev);
    lost += isolate_lines(home, dev);
    cxl_cache_link_reset(d->link);
    memset(d->cqid_busy, 0, sizeof(d->cqid_busy));
    d->open = d->snoops = 0;
    for (unsigned i = 0; i < home->num_tx; i++) {
        if (home->tx[i].phase == CXL_CACHE_TX_SNOOP) {
            tx_snoop(home, &home->tx[i]);
        }
    }
    return lost;
}

void cxl_cache_home_detach(CXLCacheHome *home, unsigned dev)
{
    cxl_cache_home_isolate(home, dev);
    home->dev[dev].link = NULL;
    while (home->num_devs && !home->dev[home->num_devs - 1].link) {
        home->num_devs--;
    }
}

static void clear_transactions(CXLCacheHome *home)
{
    unsigned words = DIV_ROUND_UP(home->num_tx, 64);

    memset(home->tx, 0, home->num_tx * sizeof(*home->tx));
    memset(home->chain, 0xff, (home->chain_mask + 1) * sizeof(*home->chain));
    memset(home->tx_free, 0, words * 8);
    memset(home->tx_stalled, 0, words * 8);
    for (unsigned i = 0; i < home->num_tx; i++) {
        home->tx_free[i / 64] |= 1ULL << (i % 64);
    }
    home->tx_open = home->tx_hint = home->n_stalled = 0;
}

void cxl_cache_home_reset(CXLCacheHome *home)
{
    size_t n = (size_t)home->sf_sets * home->sf_ways;

    clear_transactions(home);
    for (size_t i = 0; i < n; i++) {
        if (home->sf[i]) {
            home->ops->host_access(home->opaque,
                                   home->sf[i] >> CXL_CACHE_SF_LINE_SHIFT,
                                   CXL_CACHE_HOST_RW);
            home->sf[i] = 0;
        }
    }
    home->sf_used = 0;
    for (unsigned i = 0; i < home->num_devs; i++) {
        CXLCacheHomeDev *d = &home->dev[i];

        if (d->link) {
            cxl_cache_link_reset(d->link);
            *d = (CXLCacheHomeDev) { .link = d->link };
        }
    }
}

/* Life and inspection */

static bool config_ok(const CXLCacheHomeConfig *c)
{
    return c->sf_ways && c->sf_ways <= MAX_SF_WAYS &&
           c->transactions >= 2 && c->transactions <= CXL_CACHE_ID_MAX &&
           cxl_cache_sets_ok(c->sf_lines, c->sf_ways);
}

static unsigned chains(unsigned transactions)
{
    return cxl_cache_pow2(16, 2 * transactions);
}

static size_t lay_out(CXLCacheHome *home, char *base,
                      const CXLCacheHomeConfig *c)
{
    size_t at = ROUND_UP(sizeof(*home), CXL_CACHE_LINE_SIZE);
    size_t words = DIV_ROUND_UP(c->transactions, 64);

    home->sf = cxl_cache_carve(base, &at, c->sf_lines * sizeof(*home->sf));
    home->tx = cxl_cache_carve(base, &at, c->transactions * sizeof(*home->tx));
    home->chain = cxl_cache_carve(base, &at,
                        chains(c->transactions) * sizeof(*home->chain));
    home->tx_free = cxl_cache_carve(base, &at, words * 8);
    home->tx_stalled = cxl_cache_carve(base, &at, words * 8);
    return at;
}

CXLCacheHome *cxl_cache_home_new(const CXLCacheHomeConfig *config,
                                 const CXLCacheHomeOps *ops, void *opaque)
{
    CXLCacheHome measure, *home;
    size_t size;

    if (!config_ok(config)) {
        return NULL;
    }
    size = lay_out(&measure, NULL, config);
    home = aligned_alloc(CXL_CACHE_LINE_SIZE, size);
    memset(home, 0, size);
    lay_out(home, (char *)home, config);
    home->size = size;
    home->ops = ops;
    home->opaque = opaque;
    home->stats = g_new0(CXLCacheHomeStats, 1);
    home->sf_ways = config->sf_ways;
    home->sf_sets = config->sf_lines / config->sf_ways;
    home->num_tx = config->transactions;
    home->chain_mask = chains(config->transactions) - 1;
    home->forward_dirty = config->forward_dirty;
    home->pull_clean = config->pull_clean;
    clear_transactions(home);
    return home;
}

void cxl_cache_home_free(CXLCacheHome *home)
{
    if (home) {
        g_free(home->stats);
        free(home);
    }
}

uint16_t cxl_cache_home_tracks(const CXLCacheHome *home, uint64_t line,
                               bool *excl)
{
    const uint64_t *e = sf_find(home, line);

    if (excl) {
        *excl = e && (*e & CXL_CACHE_SF_EXCL);
    }
    return e ? *e & CXL_CACHE_SF_DEVS : 0;
}

bool cxl_cache_home_tx_line(const CXLCacheHome *home, unsigned uqid,
                            uint64_t *line)
{
    const CXLCacheTx *tx;

    if (uqid >= home->num_tx) {
        return false;
    }
    tx = &home->tx[uqid];
    if (tx->phase == CXL_CACHE_TX_FREE ||
        (tx->kind == CXL_CACHE_TX_DEV && tx->op == CXL_CACHE_CACHE_FLUSHED)) {
        return false;
    }
    *line = tx->line;
    return true;
}

unsigned cxl_cache_home_tracked(const CXLCacheHome *home)
{
    return home->sf_used;
}

unsigned cxl_cache_home_open(const CXLCacheHome *home)
{
    return home->tx_open;
}

const CXLCacheHomeStats *cxl_cache_home_stats(const CXLCacheHome *home)
{
    return home->stats;
}
