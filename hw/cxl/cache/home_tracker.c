/*
 * CXL.cache, the host's side: which transactions are open
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "home.h"

static void tx_unlink(CXLCacheHome *home, CXLCacheTx *tx)
{
    uint16_t *at = tx_chain(home, tx->line);

    while (*at != tx->id) {
        at = &home->tx[*at].next;
    }
    *at = tx->next;
}

void cxl_cache_tx_leave(CXLCacheHome *home, CXLCacheTx *tx)
{
    unsigned id = tx->id;

    set_stalled(home, tx, false);
    tx_unlink(home, tx);
    if (tx->kind == CXL_CACHE_TX_DEV) {
        home->dev[tx->dev].open--;
    }
    home->tx_free[id / 64] |= 1ULL << (id % 64);
    home->tx_hint = MIN(home->tx_hint, id / 64);
    home->tx_open--;
}

void cxl_cache_tx_init(CXLCacheHome *home)
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
