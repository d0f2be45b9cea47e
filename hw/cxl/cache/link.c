/*
 * CXL.cache link: six channels between a device and its host, with credits
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

static bool has_data(CXLCacheChannelId channel)
{
    return channel == CXL_CACHE_D2H_DATA || channel == CXL_CACHE_H2D_DATA;
}

static bool config_ok(const CXLCacheLinkConfig *config)
{
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        if (!config->depth[i] || config->depth[i] > CXL_CACHE_ID_MAX) {
            return false;
        }
    }
    return config->flit < CXL_CACHE_NUM_FLITS &&
           config->cache_id < CXL_CACHE_DEV_MAX &&
           (!config->timing || cxl_cache_timing_ok(config->timing)) &&
           (!config->beside ||
            cxl_cache_time_can_share(config->timing, config->flit,
                                     config->beside));
}

/* Give each channel its rings; returns the size of the block. */
static size_t lay_out(CXLCacheLink *link, void *base,
                      const CXLCacheLinkConfig *config)
{
    size_t at = ROUND_UP(sizeof(*link), CXL_CACHE_LINE_SIZE);

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        CXLCacheChannel *ch = &link->ch[i];
        size_t n = cxl_cache_pow2(1, config->depth[i]);

        ch->msg = cxl_cache_carve(base, &at, n * sizeof(CXLCacheMsg));
        if (has_data(i)) {
            ch->data = cxl_cache_carve(base, &at,
                                       n * sizeof(CXLCacheLineData));
        }
        ch->mask = n - 1;
        ch->buffers = ch->depth = config->depth[i];
    }
    return at;
}

CXLCacheLink *cxl_cache_link_new(const CXLCacheLinkConfig *config)
{
    CXLCacheLink measure, *link;
    size_t size;

    if (!config_ok(config)) {
        return NULL;
    }
    size = lay_out(&measure, NULL, config);
    link = cxl_cache_block_new(size);
    if (!link) {
        return NULL;
    }
    lay_out(link, link, config);
    link->size = size;
    link->queued = &link->unattached;
    link->stats = g_try_new0(CXLCacheLinkStats, 1);
    if (!link->stats) {
        cxl_cache_block_free(link);
        return NULL;
    }
    if (config->timing) {
        link->time = cxl_cache_time_new(link, config->timing,
                                        config->beside);
        if (!link->time) {
            cxl_cache_link_free(link);
            return NULL;
        }
        /* They are on their way, too. */
        link->hold_credits = true;
    }
    link->flit = config->flit;
    /* CacheID does not exist in 68B flits: one device per root port. */
    link->cache_id = config->flit == CXL_CACHE_FLIT_68B ? 0 : config->cache_id;
    cxl_cache_link_reset(link);
    return link;
}

void cxl_cache_link_free(CXLCacheLink *link)
{
    if (link) {
        cxl_cache_time_free(link->time);
        g_free(link->stats);
        cxl_cache_block_free(link);
    }
}

void cxl_cache_link_reset(CXLCacheLink *link)
{
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        CXLCacheChannel *ch = &link->ch[i];

        ch->head = ch->tail = 0;
        ch->depth -= ch->owed;
        ch->owed = 0;
        ch->credits = ch->depth;
        ch->freed = 0;
    }
    if (link->time) {
        cxl_cache_time_reset(link);
    }
    if (link->dev) {
        link->dev->strays = !cxl_cache_dev_is_empty(link->dev);
    }
}

void cxl_cache_link_set_route(CXLCacheLink *link, int id)
{
    link->unrouted = id == CXL_CACHE_UNROUTED;
    link->cache_id = link->unrouted || link->flit == CXL_CACHE_FLIT_68B ?
                     0 : id;
}

void cxl_cache_link_note(CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg)
{
    CXLCacheChannel *ch = &link->ch[channel];

    if (link->time) {
        cxl_cache_time_sent(link, channel, msg);
    }
    if (link->trace) {
        link->trace(link->trace_opaque, channel, msg,
                    ch->data ? &ch->data[msg - ch->msg] : NULL);
    }
}

void cxl_cache_link_stalled(CXLCacheLink *link, CXLCacheChannelId channel)
{
    link->stats->stalled[channel]++;
    if (link->time) {
        cxl_cache_time_stalled(link, channel);
    }
}

unsigned cxl_cache_link_return_credits(CXLCacheLink *link,
                                       CXLCacheChannelId channel)
{
    CXLCacheChannel *ch = &link->ch[channel];
    unsigned n = cxl_cache_link_keep(ch, ch->freed);

    ch->credits += n;
    ch->freed = 0;
    return n;
}

void cxl_cache_link_grant(CXLCacheLink *link, CXLCacheChannelId channel,
                          unsigned n)
{
    CXLCacheChannel *ch = &link->ch[channel];
    unsigned want = n ? MIN(n, ch->buffers) : ch->buffers;
    unsigned has = ch->depth - ch->owed;
    unsigned more = want > has ? want - has : 0;
    unsigned forgiven = MIN(more, ch->owed);

    ch->owed += want < has ? has - want : 0;
    ch->owed -= forgiven;
    more -= forgiven;
    ch->depth += more;
    ch->freed += more;
    if (more && link->time) {
        cxl_cache_time_granted(link, channel, more);
    }
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
