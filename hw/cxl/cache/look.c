/*
 * CXL.cache: one line, or request, as the host and a device have it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_look.h"
#include "dev.h"
#include "home.h"

static void look_at_filter(const CXLCacheHome *home, uint64_t line,
                           CXLCacheHomeLook *look)
{
    const uint64_t *set = sf_set(home, line), *e = NULL;

    if (line < CXL_CACHE_LINE_MAX) {
        e = sf_find(home, line);
    }
    look->sf_set = (set - home->sf) / home->sf_ways;
    look->sf_way = e ? e - set : -1;
    look->devs = e ? *e & CXL_CACHE_SF_DEVS : 0;
    look->excl = e && (*e & CXL_CACHE_SF_EXCL);
}

void cxl_cache_home_look(const CXLCacheHome *home, uint64_t line,
                         CXLCacheHomeLook *look)
{
    /* It only looks. */
    const CXLCacheTx *tx = tx_find((CXLCacheHome *)home, line);

    *look = (CXLCacheHomeLook) { .uqid = -1, .dev = -1 };
    look_at_filter(home, line, look);
    if (tx) {
        look->uqid = tx->id;
        look->request = cxl_cache_home_reqs[tx->row].name;
        look->dev = tx->kind == CXL_CACHE_TX_DEV ? tx->dev : -1;
        look->phase = tx->phase;
        look->asked = tx->ask | tx->wait | tx->fwd;
    }
}

/* CQID of a request for the line that takes no way, or -1 */
static int request_without_way(const CXLCacheDev *dev, uint64_t line)
{
    uint16_t id = *chain_of((CXLCacheDev *)dev, line);

    while (id != CXL_CACHE_NO_ID &&
           (dev->req[id].line != line ||
            dev->req[id].opcode == CXL_CACHE_CACHE_FLUSHED)) {
        id = dev->req[id].next;
    }
    return id == CXL_CACHE_NO_ID ? -1 : id;
}

void cxl_cache_dev_look(const CXLCacheDev *dev, uint64_t line,
                        CXLCacheDevLook *look)
{
    int index = find_named_way(dev, line);

    *look = (CXLCacheDevLook) {
        .set = set_number(dev, line),
        .way = index < 0 ? -1 : index % dev->ways,
        .slot = { .line = line, .state = CXL_CACHE_I, .cqid = -1 },
    };
    if (index >= 0) {
        cxl_cache_dev_slot(dev, index, &look->slot);
    }
    if (look->slot.cqid < 0) {
        look->slot.cqid = request_without_way(dev, line);
    }
}

/* ---- Requests ---- */

static bool in_channel(const CXLCacheLink *link, unsigned cqid)
{
    const CXLCacheChannel *ch = &link->ch[CXL_CACHE_D2H_REQ];

    for (uint32_t i = ch->head; i != ch->tail; i++) {
        if (ch->msg[i & ch->mask].cqid == cqid) {
            return true;
        }
    }
    return false;
}

static const CXLCacheTx *transaction_of(const CXLCacheHome *home,
                                        unsigned number,
                                        const CXLCacheDevReq *r, unsigned cqid)
{
    /* It only looks. */
    const CXLCacheTx *tx = tx_find((CXLCacheHome *)home, r->line);

    return tx && tx->kind == CXL_CACHE_TX_DEV && tx->dev == number &&
           tx->cqid == cqid ? tx : NULL;
}

bool cxl_cache_request_look(const CXLCacheHome *home, unsigned number,
                            const CXLCacheDev *dev, unsigned cqid,
                            CXLCacheRequestLook *look)
{
    static const CXLCacheAwaitedBy awaits[CXL_CACHE_NUM_TX_PHASES] = {
        [CXL_CACHE_TX_FREE] = CXL_CACHE_BY_ANSWER,
        [CXL_CACHE_TX_WAIT] = CXL_CACHE_BY_ROOM,
        [CXL_CACHE_TX_SNOOP] = CXL_CACHE_BY_SNOOPS,
        [CXL_CACHE_TX_ANSWER] = CXL_CACHE_BY_CREDIT,
        [CXL_CACHE_TX_PULL] = CXL_CACHE_BY_DATA,
        [CXL_CACHE_TX_FINISH] = CXL_CACHE_BY_CREDIT,
    };
    const CXLCacheDevReq *r = &dev->req[cqid];
    const CXLCacheTx *tx;

    if (cqid >= dev->requests || !r->opcode) {
        return false;
    }
    tx = transaction_of(home, number, r, cqid);
    *look = (CXLCacheRequestLook) {
        .line = r->line,
        .tag = r->tag,
        .since = r->since,
        .opcode = r->opcode,
        .asked = tx && tx->phase == CXL_CACHE_TX_SNOOP ?
                 tx->ask | tx->wait | tx->fwd : 0,
        .awaits = tx ? awaits[tx->phase] :
                  in_channel(dev->link, cqid) ? CXL_CACHE_BY_CHANNEL :
                                                CXL_CACHE_BY_ANSWER,
    };
    return true;
}
