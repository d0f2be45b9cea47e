/*
 * CXL.cache, the host's side: life, inspection, its own accesses
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "home.h"

#define MAX_SF_WAYS 64
/* The host's own accesses */

int cxl_cache_home_host(CXLCacheHome *home, const CXLCacheHostReq *req)
{
    CXLCacheTx *tx;

    if (req->line >= CXL_CACHE_LINE_MAX || req->op >= CXL_CACHE_NUM_HOST_OPS ||
        (req->op == CXL_CACHE_HOST_WRITE && req->be && !req->data)) {
        return -EINVAL;
    }
    if (tx_find(home, req->line)) {
        return -EBUSY;
    }
    tx = tx_new(home, req->line, CXL_CACHE_TX_HOST,
                CXL_CACHE_ROW_HOST + req->op);
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
    tx->held = sf_context(home, tx->e);
    tx->failed = cxl_cache_home_reqs[CXL_CACHE_ROW_HOST + req->op].needs &
                 ~home->ops->decode(home->opaque, req->line);
    home_enter(home);
    cxl_cache_tx_event(home, tx, CXL_CACHE_EV_START);
    home_leave(home);
    if (G_UNLIKELY(home->timed)) {
        cxl_cache_wait_stamp(home, cxl_cache_time(home));
    }
    return 0;
}

static bool reset_entry(CXLCacheHome *home, uint64_t *e, unsigned dev)
{
    home->ops->host_access(home->opaque, *e >> CXL_CACHE_SF_LINE_SHIFT,
                           CXL_CACHE_HOST_RW);
    sf_write(home, e, 0);
    return true;
}

/* A line that its last holder has just lost, and the host not yet regained */
static void reset_transactions(CXLCacheHome *home)
{
    for (unsigned i = 0; home->tx_open && i < home->num_tx; i++) {
        const CXLCacheTx *tx = &home->tx[i];

        if (tx->phase != CXL_CACHE_TX_FREE &&
            tx->access != CXL_CACHE_HOST_RW && !tx_entry(tx)) {
            home->ops->host_access(home->opaque, tx->line, CXL_CACHE_HOST_RW);
        }
    }
}

void cxl_cache_home_reset(CXLCacheHome *home)
{
    home_enter(home);
    reset_transactions(home);
    cxl_cache_tx_init(home);
    for (unsigned i = 0; i < CXL_CACHE_DEV_MAX; i++) {
        cxl_cache_sf_each(home, i, reset_entry);
    }
    for (unsigned i = 0; i < home->num_devs; i++) {
        CXLCacheHomeDev *d = &home->dev[i];

        if (d->link) {
            cxl_cache_link_reset(d->link);
            *d = (CXLCacheHomeDev) {
                .link = d->link, .quota = d->quota, .group = d->group,
                .room = CXL_CACHE_NO_ID, .bucket = d->bucket,
                .timeout = d->timeout,
            };
            cxl_cache_rate_reset(&d->bucket);
        }
    }
    home->turn = 0;
    home_leave(home);
}

/* Life */

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
    size_t spans = sf_mark_words(c->sf_lines);

    home->sf = cxl_cache_carve(base, &at,
                               (size_t)c->sf_lines * sizeof(*home->sf));
    if (c->contexts) {
        home->sf_context = cxl_cache_carve(base, &at,
                            (size_t)c->sf_lines * sizeof(*home->sf_context));
    }
    home->sf_mark = cxl_cache_carve(base, &at,
                                    CXL_CACHE_DEV_MAX * spans * 8);
    home->sf_mark_any = cxl_cache_carve(base, &at, CXL_CACHE_DEV_MAX *
                                        DIV_ROUND_UP(spans, 64) * 8);
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
    home = cxl_cache_block_new(size);
    if (!home) {
        return NULL;
    }
    lay_out(home, (char *)home, config);
    home->size = size;
    home->ops = ops;
    home->opaque = opaque;
    home->stats = g_try_new0(CXLCacheHomeStats, 1);
    if (!home->stats) {
        cxl_cache_block_free(home);
        return NULL;
    }
    home->sf_ways = config->sf_ways;
    home->sf_sets = config->sf_lines / config->sf_ways;
    home->sf_mark_words = sf_mark_words(config->sf_lines);
    home->num_tx = config->transactions;
    home->chain_mask = chains(config->transactions) - 1;
    home->forward_dirty = config->forward_dirty;
    home->pull_clean = config->pull_clean;
    cxl_cache_tx_init(home);
    return home;
}

int cxl_cache_home_asking(const CXLCacheHome *home)
{
    return home->asking - 1;
}

uint32_t cxl_cache_home_context(const CXLCacheHome *home)
{
    return home->context;
}

uint32_t cxl_cache_home_held(const CXLCacheHome *home, uint64_t line)
{
    return line < CXL_CACHE_LINE_MAX ? sf_context(home, sf_find(home, line))
                                     : 0;
}

void cxl_cache_home_free(CXLCacheHome *home)
{
    if (home) {
        for (unsigned i = 0; i < home->num_devs; i++) {
            CXLCacheLink *link = home->dev[i].link;

            if (link) {
                link->home = NULL;
                link->queued = &link->unattached;
            }
        }
        g_free(home->stats);
        cxl_cache_block_free(home);
    }
}

/* Inspection */

CXLCacheLink *cxl_cache_home_link(const CXLCacheHome *home, unsigned dev)
{
    return dev < home->num_devs ? home->dev[dev].link : NULL;
}

unsigned cxl_cache_home_devices(const CXLCacheHome *home)
{
    return home->num_devs;
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

unsigned cxl_cache_home_open(const CXLCacheHome *home)
{
    return home->tx_open;
}

const CXLCacheHomeStats *cxl_cache_home_stats(const CXLCacheHome *home)
{
    return home->stats;
}
