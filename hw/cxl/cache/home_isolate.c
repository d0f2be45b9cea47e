/*
 * CXL.cache, the host's side: devices that come, go and die
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "home.h"

/* What limits did to a device that had this number before */
static void forget_limits(CXLCacheHome *home, unsigned dev)
{
    CXLCacheHomeStats *stats = home->stats;

    stats->limited[dev] = 0;
    memset(stats->waits[dev], 0, sizeof(stats->waits[dev]));
    memset(stats->lost_to[dev], 0, sizeof(stats->lost_to[dev]));
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        stats->lost_to[i][dev] = 0;
    }
}

int cxl_cache_home_attach(CXLCacheHome *home, CXLCacheLink *link)
{
    if (!link) {
        return -EINVAL;
    }
    if (link->home) {
        return -EBUSY;
    }
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        if (!home->dev[i].link) {
            link->home = home;
            link->queued = &home->queued;
            link->queued_bit = 1U << i;
            /* It may have had messages before. */
            home->queued |= link->queued_bit;
            home->dev[i] = (CXLCacheHomeDev) {
                .link = link, .room = CXL_CACHE_NO_ID,
            };
            home->num_devs = MAX(home->num_devs, i + 1);
            forget_limits(home, i);
            cxl_cache_wait_count(home);
            return i;
        }
    }
    return -ENOSPC;
}

/* Nobody has the line's data, unless they have been rescued. */
static bool lose_line(CXLCacheHome *home, uint64_t line)
{
    if (home->rescuing) {
        return false;
    }
    cxl_cache_poison_line(home, line);
    return true;
}

/* The host answers a snoop in the place of a dead device. */
static unsigned isolate_snooped(CXLCacheHome *home, CXLCacheTx *tx,
                                unsigned dev)
{
    uint64_t *e = tx_entry(tx), bit = 1 << dev;
    bool lost = (tx->fwd & bit) ||
                (((tx->ask | tx->wait) & bit) &&
                 owned_by(e, dev));

    if (!((tx->ask | tx->wait | tx->fwd) & bit)) {
        return 0;
    }
    if (e) {
        tx_clear(home, tx, e, bit | (lost ? CXL_CACHE_SF_EXCL : 0));
    }
    if (lost) {
        tx->have = tx->dirty = tx->spoilt = false;
        lost = lose_line(home, tx->line);
    }
    tx->ask &= ~bit;
    tx->wait &= ~bit;
    tx->fwd &= ~bit;
    tx->early &= ~bit;
    return lost;
}

/*
 * Its own transaction, by the tables' last column. Returns whether a line is
 * poisoned by it.
 */
static unsigned isolate_own(CXLCacheHome *home, CXLCacheTx *tx, unsigned dev)
{
    const CXLCacheHomeRule *rule = tx_cell(home, tx, CXL_CACHE_EV_ISOLATED);
    /* Data that would have been written, had they come */
    bool lost = rule->act == CXL_CACHE_TX_POISON &&
                (cxl_cache_tx_pulled(home, tx, false, CXL_CACHE_BE_ALL)->act &
                 CXL_CACHE_DO_WRITE);

    if (lost) {
        lost = lose_line(home, tx->line);
        cxl_cache_tx_remove(home, tx);
    }
    if (rule->act != CXL_CACHE_TX_ORPHAN) {
        tx_close(home, tx);
        return lost;
    }
    home->dev[dev].open--;
    tx->phase = rule->next;
    tx->kind = CXL_CACHE_TX_GONE;
    tx->row = CXL_CACHE_ROW_ORPHAN;
    tx->keep = tx->failed = false;
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
        if (tx->kind == CXL_CACHE_TX_DEV && tx->dev == dev) {
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

    lost = lost && lose_line(home, line);
    tx_clear(home, tx, e, bit);
    /* While snoops are out, the transaction's end tells the host. */
    if (sf_access(*e) != before && (!tx || tx->phase > CXL_CACHE_TX_SNOOP)) {
        home->ops->host_access(home->opaque, line, sf_access(*e));
        if (tx) {
            tx->access = sf_access(*e);
        }
    }
    return lost;
}

unsigned cxl_cache_home_isolate(CXLCacheHome *home, unsigned dev)
{
    CXLCacheHomeDev *d;
    unsigned lost;

    if (!cxl_cache_home_link(home, dev)) {
        return 0;
    }
    home_enter(home);
    d = &home->dev[dev];
    lost = isolate_transactions(home, dev);
    lost += cxl_cache_sf_each(home, dev, isolate_entry);
    cxl_cache_link_reset(d->link);
    memset(d->cqid_busy, 0, sizeof(d->cqid_busy));
    d->open = d->snoops = 0;
    d->room_waits = false;
    cxl_cache_rate_reset(&d->bucket);
    for (unsigned i = 0; i < home->num_tx; i++) {
        if (home->tx[i].phase == CXL_CACHE_TX_SNOOP) {
            tx_snoop(home, &home->tx[i]);
        }
    }
    home_leave(home);
    return lost;
}

/* ---- What the host has copies of ---- */

static bool save(CXLCacheHome *home, uint64_t line, uint32_t context,
                 const CXLCacheLineData *data, uint64_t be, bool poison)
{
    bool ok;

    home->stats->write_backs++;
    home->context = context;
    ok = home->ops->write_line(home->opaque, line, data, be, poison,
                               CXL_CACHE_WRITE_BACK);
    home->context = 0;
    return ok;
}

static unsigned save_modified(CXLCacheHome *home, const CXLCacheDev *dev)
{
    unsigned n = 0;

    for (unsigned i = 0; i < cxl_cache_dev_num_lines(dev); i++) {
        CXLCacheSlot slot;

        if (cxl_cache_dev_slot(dev, i, &slot) &&
            cxl_cache_may(slot.state, CXL_CACHE_P_DIRTY)) {
            n += save(home, slot.line,
                      sf_context(home, sf_find(home, slot.line)), slot.data,
                      CXL_CACHE_BE_ALL, slot.poison);
        }
    }
    return n;
}

/* Whether data on their way are what the transaction waits for */
static bool is_awaited(CXLCacheHome *home, const CXLCacheTx *tx, unsigned dev,
                       const CXLCacheMsg *msg)
{
    uint16_t bit = 1 << dev;

    if (tx->phase == CXL_CACHE_TX_PULL && tx->kind == CXL_CACHE_TX_DEV &&
        tx->dev == dev) {
        return cxl_cache_tx_pulled(home, tx, msg->bogus, msg->be)->act &
               CXL_CACHE_DO_WRITE;
    }
    return tx->phase == CXL_CACHE_TX_SNOOP && !msg->bogus &&
           msg->be == CXL_CACHE_BE_ALL && ((tx->wait | tx->fwd) & bit);
}

static unsigned save_sent(CXLCacheHome *home, unsigned dev)
{
    const CXLCacheLink *link = home->dev[dev].link;
    const CXLCacheChannel *ch = &link->ch[CXL_CACHE_D2H_DATA];
    unsigned n = 0;

    for (uint32_t at = ch->head; at != ch->tail; at++) {
        const CXLCacheMsg *msg = &ch->msg[at & ch->mask];
        const CXLCacheTx *tx = &home->tx[msg->uqid];

        if (msg->uqid < home->num_tx && is_awaited(home, tx, dev, msg)) {
            bool new = tx->phase == CXL_CACHE_TX_PULL && !tx_rule(tx)->evict;

            n += save(home, tx->line, new ? tx->context : tx->held,
                      &ch->data[at & ch->mask], msg->be, msg->poison);
        }
    }
    return n;
}

/* Data that have come before the response that they are of */
static unsigned save_early(CXLCacheHome *home, unsigned dev)
{
    unsigned n = 0;

    for (unsigned i = 0; i < home->num_tx; i++) {
        const CXLCacheTx *tx = &home->tx[i];

        if (tx->phase == CXL_CACHE_TX_SNOOP && (tx->early >> dev & 1) &&
            tx->have && !tx->spoilt) {
            n += save(home, tx->line, tx->held, &tx->data, CXL_CACHE_BE_ALL,
                      tx->poison);
        }
    }
    return n;
}

unsigned cxl_cache_home_rescue(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = cxl_cache_home_link(home, dev);
    unsigned n;

    if (!link) {
        return 0;
    }
    n = link->dev ? save_modified(home, link->dev) : 0;
    n += save_sent(home, dev) + save_early(home, dev);
    home->rescuing = true;
    cxl_cache_home_isolate(home, dev);
    home->rescuing = false;
    return n;
}

void cxl_cache_home_detach(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = cxl_cache_home_link(home, dev);

    if (!link) {
        return;
    }
    cxl_cache_home_isolate(home, dev);
    cxl_cache_home_set_limits(home, dev, &(CXLCacheLimits) { });
    link->home = NULL;
    link->queued = &link->unattached;
    home->dev[dev].link = NULL;
    home->dev[dev].timeout = 0;
    cxl_cache_wait_count(home);
    while (home->num_devs && !home->dev[home->num_devs - 1].link) {
        home->num_devs--;
    }
}
