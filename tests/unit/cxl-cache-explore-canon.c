/*
 * State space search of CXL.cache: canonical form of a state
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * States that behave alike must have the same bytes, or the search never ends:
 * counters run free, freed entries keep what they had. Whatever is cleared here
 * is what the engine must not look at any more; if it does, the search sees it
 * go wrong.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cache/dev.h"
#include "cxl-cache-explore.h"

/* Blocks */

static void add_block(World *w, unsigned *n, void *live, size_t size)
{
    g_assert(*n < BLOCKS);
    /* The image is compared by words. */
    g_assert(QEMU_IS_ALIGNED(size, sizeof(uint64_t)));
    w->block[(*n)++] = (Block) { live, size, w->size };
    w->size += size;
}

void canon_init(World *w)
{
    CXLCacheHome *home = w->home;
    size_t used = offsetof(CXLCacheHomeDev, cqid_busy) + sizeof(uint64_t);
    unsigned n = 0, d;

    for (d = 0; d < w->devs; d++) {
        add_block(w, &n, w->link[d], w->link[d]->size);
        add_block(w, &n, w->dev[d], w->dev[d]->size);
        /* CQIDs beyond the first 64, and devices beyond ours, are unused. */
        add_block(w, &n, &home->dev[d], used);
    }
    add_block(w, &n, home, offsetof(CXLCacheHome, dev));
    add_block(w, &n, home + 1, home->size - sizeof(*home));
    add_block(w, &n, w->g, sizeof(*w->g));
    w->num_blocks = n;
    w->image = g_malloc0(w->size);
    w->first = g_malloc0(w->size);
    canon_save(w);
    memcpy(w->first, w->image, w->size);
}

void canon_restore(World *w, const uint8_t *image)
{
    unsigned i;

    for (i = 0; i < w->num_blocks; i++) {
        memcpy(w->block[i].live, image + w->block[i].at, w->block[i].size);
    }
}

bool canon_same(const World *w, const uint8_t *image)
{
    unsigned i;

    for (i = 0; i < w->num_blocks; i++) {
        if (memcmp(w->block[i].live, image + w->block[i].at,
                   w->block[i].size)) {
            return false;
        }
    }
    return true;
}

static bool block_is_new(const World *w, unsigned n)
{
    const Block *b = &w->block[n];

    return !memcmp(w->image + b->at, w->first + b->at, b->size);
}

bool canon_dev_is_new(const World *w, unsigned dev)
{
    return block_is_new(w, dev * DEV_BLOCKS) &&
           block_is_new(w, dev * DEV_BLOCKS + 1) &&
           block_is_new(w, dev * DEV_BLOCKS + 2);
}

bool canon_is_new(const World *w)
{
    unsigned n;

    /* The last one is the notes. */
    for (n = 0; n < w->num_blocks - 1 && block_is_new(w, n); n++) {
        continue;
    }
    return n == w->num_blocks - 1;
}

/* Links */

static void canon_order(CXLCacheMsg *msg, unsigned channel, uint32_t rsp_head)
{
    int32_t ahead = msg->order - rsp_head;

    /* Only a snoop looks at it, and only for older responses. */
    msg->order = channel == CXL_CACHE_H2D_REQ ? MAX(ahead, 0) : 0;
}

static void canon_channel(CXLCacheChannel *ch, unsigned channel,
                          uint32_t rsp_head)
{
    CXLCacheMsg msg[8] = { 0 };
    CXLCacheLineData data[8] = { 0 };
    uint32_t used = ch->tail - ch->head, i;

    g_assert(ch->mask < ARRAY_SIZE(msg));
    for (i = 0; i < used; i++) {
        msg[i] = ch->msg[(ch->head + i) & ch->mask];
        canon_order(&msg[i], channel, rsp_head);
        if (ch->data) {
            data[i] = ch->data[(ch->head + i) & ch->mask];
        }
    }
    memcpy(ch->msg, msg, (ch->mask + 1) * sizeof(*msg));
    if (ch->data) {
        memcpy(ch->data, data, (ch->mask + 1) * sizeof(*data));
    }
    ch->head = 0;
    ch->tail = used;
}

static void canon_link(CXLCacheLink *link)
{
    uint32_t rsp_head = link->ch[CXL_CACHE_H2D_RSP].head;
    unsigned i;

    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        canon_channel(&link->ch[i], i, rsp_head);
        if (!link->hold_credits) {
            /* The sender fetches them when it needs them: nobody can tell. */
            cxl_cache_link_return_credits(link, i);
        }
    }
    /* It may be said for nothing that there are messages, never missing. */
    if (cxl_cache_link_silent(link)) {
        *link->queued &= ~link->queued_bit;
    } else {
        g_assert(*link->queued & link->queued_bit);
    }
}

/* Data */

static bool way_has_data(const CXLCacheDev *dev, unsigned way)
{
    CXLCacheState state = cxl_cache_tag_state(dev->tags[way]);

    return cxl_cache_may(state, CXL_CACHE_P_DATA) &&
           !cxl_cache_may(state, CXL_CACHE_P_BOGUS);
}

static bool req_has_data(const CXLCacheDevReq *r)
{
    return r->opcode && (r->due == CXL_CACHE_DUE_FORWARD ||
                         (r->way < 0 && !r->pulled &&
                          cxl_cache_req_rules[r->opcode].d2h_data));
}

static bool tx_has_host_data(const CXLCacheTx *tx)
{
    return tx->kind == CXL_CACHE_TX_HOST && tx->op == CXL_CACHE_HOST_WRITE;
}

void canon_each_data(World *w, DataFunc *func)
{
    unsigned d, i, c;

    for (d = 0; d < w->devs; d++) {
        CXLCacheDev *dev = w->dev[d];

        for (c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
            CXLCacheChannel *ch = &w->link[d]->ch[c];

            for (i = ch->head; ch->data && i != ch->tail; i++) {
                func(w, &ch->data[i & ch->mask]);
            }
        }
        for (i = 0; i < dev->ways * dev->sets; i++) {
            if (way_has_data(dev, i)) {
                func(w, &dev->data[i]);
            }
        }
        for (i = 0; i < dev->requests; i++) {
            if (req_has_data(&dev->req[i])) {
                func(w, &dev->req_data[i]);
            }
        }
    }
    for (i = 0; i < w->home->num_tx; i++) {
        CXLCacheTx *tx = &w->home->tx[i];

        if (tx->phase != CXL_CACHE_TX_FREE && tx->have) {
            func(w, &tx->data);
        }
        if (tx->phase != CXL_CACHE_TX_FREE && tx_has_host_data(tx)) {
            func(w, &tx->host_data);
        }
    }
}

bool canon_home_has(World *w, unsigned line)
{
    unsigned i;

    for (i = 0; i < w->home->num_tx; i++) {
        const CXLCacheTx *tx = &w->home->tx[i];

        if (tx->phase != CXL_CACHE_TX_FREE && tx->line == line && tx->have &&
            (tx->dirty || tx->early) && data_is(w, &tx->data, line)) {
            return true;
        }
    }
    return false;
}

/* Names of values: see cxl-cache-explore.h */

static uint8_t rename_value(const World *w, unsigned line, unsigned half,
                            uint8_t value)
{
    uint8_t last = w->last[line][half];

    return last == CUR || value == PEND ? value :
           value == last ? CUR : STALE;
}

static void rename_data(World *w, CXLCacheLineData *data)
{
    unsigned line = data->b[0] >> 6;
    uint8_t value[HALVES];

    if (line < w->cfg->lines && data_get(data, line, value)) {
        data_set(data, line, rename_value(w, line, 0, value[0]),
                 rename_value(w, line, 1, value[1]));
    }
}

static void rename_values(World *w)
{
    unsigned l, h;

    if (w->fresh == FRESH) {
        return;
    }
    canon_each_data(w, rename_data);
    for (l = 0; l < w->cfg->lines; l++) {
        for (h = 0; h < HALVES; h++) {
            uint8_t *ram = &w->g->line[l].ram[h];

            *ram = rename_value(w, l, h, *ram);
        }
    }
    memset(w->last, CUR, sizeof(w->last));
    w->fresh = FRESH;
}

/* Devices and home */

/* Those of ways without a line, too, are as they are: nothing is merged. */
static void check_ages(World *w, const uint64_t *tag, unsigned ways)
{
    unsigned i, seen = 0;

    for (i = 0; i < ways; i++) {
        seen |= 1u << cxl_cache_tag_age(tag[i]);
    }
    if (seen != (1u << ways) - 1) {
        world_broken(w, "R1", "the ages of a set's ways are %x", seen);
    }
}

static void canon_dev(World *w, CXLCacheDev *dev)
{
    unsigned i;

    /* Nobody can tell whether the sets were in use before. */
    g_assert(dev->sets <= CXL_CACHE_SET_SPAN);
    if (!cxl_cache_marked(&dev->used, 0)) {
        cxl_cache_dev_first_use(dev, 0);
    }
    for (i = 0; i < dev->sets; i++) {
        check_ages(w, &dev->tags[i * dev->ways], dev->ways);
    }
    if (dev->flush == CXL_CACHE_FLUSH_IDLE) {
        dev->flush_at = 0;
    }
    if (dev->flush != CXL_CACHE_FLUSH_TELL) {
        dev->flush_cqid = 0;
    }
    for (i = 0; i < dev->ways * dev->sets; i++) {
        if (!way_has_data(dev, i)) {
            memset(&dev->data[i], 0, sizeof(dev->data[i]));
        }
    }
    for (i = 0; i < dev->requests; i++) {
        if (!dev->req[i].opcode) {
            memset(&dev->req[i], 0, sizeof(dev->req[i]));
        }
        if (!req_has_data(&dev->req[i])) {
            memset(&dev->req_data[i], 0, sizeof(dev->req_data[i]));
        }
    }
}

/* A mark without a line costs a look and no more. */
static void canon_marks(const World *w, CXLCacheHome *home)
{
    unsigned d;

    g_assert(home->sf_mark_words == 1);
    for (d = 0; d < w->devs; d++) {
        g_assert(!home->sf_lines[d] || (home->sf_mark[d] & 1));
        home->sf_mark[d] = home->sf_mark_any[d] = !!home->sf_lines[d];
    }
}

static void canon_home(const World *w, CXLCacheHome *home)
{
    unsigned i;

    canon_marks(w, home);
    for (i = 0; i < home->num_tx; i++) {
        CXLCacheTx *tx = &home->tx[i];

        if (tx->phase == CXL_CACHE_TX_FREE) {
            memset(tx, 0, sizeof(*tx));
            continue;
        }
        if (!tx->have) {
            memset(&tx->data, 0, sizeof(tx->data));
        }
        if (!tx_has_host_data(tx)) {
            memset(&tx->host_data, 0, sizeof(tx->host_data));
        }
    }
    for (i = 0; home->sf_ways == 1 && i < home->sf_sets; i++) {
        /* There is nothing to choose a victim from. */
        home->sf[i] &= ~CXL_CACHE_SF_USED;
    }
}

void canon_save(World *w)
{
    unsigned i;

    rename_values(w);
    for (i = 0; i < w->devs; i++) {
        canon_link(w->link[i]);
        canon_dev(w, w->dev[i]);
    }
    canon_home(w, w->home);
    for (i = 0; i < w->num_blocks; i++) {
        memcpy(w->image + w->block[i].at, w->block[i].live,
               w->block[i].size);
    }
}

/* Packing: words that differ from the initial state, of them the bytes */

void canon_pack(const World *w, GByteArray *out)
{
    const uint64_t *now = (const uint64_t *)w->image;
    const uint64_t *first = (const uint64_t *)w->first;
    size_t i, n = w->size / sizeof(*now);
    uint8_t buf[2 + sizeof(uint64_t)];
    unsigned skip = 0, b, len;
    uint64_t diff;

    for (i = 0; i < n; i++) {
        diff = now[i] ^ first[i];
        if (!diff && skip < UINT8_MAX) {
            skip++;
            continue;
        }
        buf[0] = skip;
        buf[1] = 0;
        len = 2;
        for (b = 0; b < sizeof(diff); b++) {
            if (diff >> 8 * b & 0xff) {
                buf[1] |= 1 << b;
                buf[len++] = diff >> 8 * b;
            }
        }
        g_byte_array_append(out, buf, len);
        skip = 0;
    }
}

void canon_unpack(const World *w, const uint8_t *packed, size_t len,
                  uint8_t *image)
{
    const uint8_t *end = packed + len;
    uint64_t *word = (uint64_t *)image;
    unsigned b;

    memcpy(image, w->first, w->size);
    while (packed < end) {
        uint8_t mask;

        word += *packed++;
        mask = *packed++;
        for (b = 0; b < sizeof(*word); b++) {
            if (mask & 1 << b) {
                *word ^= (uint64_t)*packed++ << 8 * b;
            }
        }
        word++;
    }
}
