/*
 * CXL.cache link: six channels between a device and its host, with credits
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_link.h"

static bool has_data(CXLCacheChannelId channel)
{
    return channel == CXL_CACHE_D2H_DATA || channel == CXL_CACHE_H2D_DATA;
}

static uint32_t ring_size(unsigned depth)
{
    uint32_t size = 1;

    while (size < depth) {
        size *= 2;
    }
    return size;
}

static bool config_ok(const CXLCacheLinkConfig *config)
{
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        if (!config->depth[i] || config->depth[i] > CXL_CACHE_ID_MAX) {
            return false;
        }
    }
    return config->flit < CXL_CACHE_NUM_FLITS &&
           config->cache_id < CXL_CACHE_DEV_MAX;
}

static size_t link_size(const CXLCacheLinkConfig *config)
{
    size_t size = ROUND_UP(sizeof(CXLCacheLink), 64);

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        size_t n = ring_size(config->depth[i]);

        size += ROUND_UP(n * sizeof(CXLCacheMsg), 64);
        size += has_data(i) ? n * sizeof(CXLCacheLineData) : 0;
    }
    return size;
}

CXLCacheLink *cxl_cache_link_new(const CXLCacheLinkConfig *config)
{
    CXLCacheLink *link;
    size_t size;
    char *p;

    if (!config_ok(config)) {
        return NULL;
    }
    size = ROUND_UP(link_size(config), 64);
    link = aligned_alloc(64, size);
    memset(link, 0, size);
    link->size = size;
    link->stats = g_new0(CXLCacheLinkStats, 1);
    link->flit = config->flit;
    /* CacheID does not exist in 68B flits: one device per root port. */
    link->cache_id = config->flit == CXL_CACHE_FLIT_68B ? 0 : config->cache_id;
    p = (char *)link + ROUND_UP(sizeof(*link), 64);
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        CXLCacheChannel *ch = &link->ch[i];
        size_t n = ring_size(config->depth[i]);

        ch->msg = (CXLCacheMsg *)p;
        p += ROUND_UP(n * sizeof(CXLCacheMsg), 64);
        if (has_data(i)) {
            ch->data = (CXLCacheLineData *)p;
            p += n * sizeof(CXLCacheLineData);
        }
        ch->mask = n - 1;
        ch->depth = config->depth[i];
    }
    cxl_cache_link_reset(link);
    return link;
}

void cxl_cache_link_free(CXLCacheLink *link)
{
    if (link) {
        g_free(link->stats);
        free(link);
    }
}

void cxl_cache_link_reset(CXLCacheLink *link)
{
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        CXLCacheChannel *ch = &link->ch[i];

        ch->head = ch->tail = 0;
        ch->credits = ch->depth;
        ch->freed = 0;
    }
}

unsigned cxl_cache_link_return_credits(CXLCacheLink *link,
                                       CXLCacheChannelId channel)
{
    CXLCacheChannel *ch = &link->ch[channel];
    unsigned n = ch->freed;

    ch->credits += n;
    ch->freed = 0;
    return n;
}

bool cxl_cache_link_inject(CXLCacheLink *link, CXLCacheChannelId channel,
                           const CXLCacheMsg *msg,
                           const CXLCacheLineData *data)
{
    CXLCacheChannel *ch = &link->ch[channel];
    uint32_t at = ch->tail & ch->mask;

    if (!ch->credits) {
        cxl_cache_link_return_credits(link, channel);
    }
    if (!ch->credits) {
        return false;
    }
    ch->credits--;
    ch->tail++;
    ch->msg[at] = *msg;
    ch->msg[at].order = link->ch[CXL_CACHE_H2D_RSP].tail;
    if (ch->data) {
        ch->data[at] = data ? *data : (CXLCacheLineData) { };
    }
    cxl_cache_link_sent(link, channel, &ch->msg[at]);
    return true;
}

bool cxl_cache_link_idle(const CXLCacheLink *link)
{
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        const CXLCacheChannel *ch = &link->ch[i];

        if (ch->head != ch->tail || ch->credits + ch->freed != ch->depth) {
            return false;
        }
    }
    return true;
}
