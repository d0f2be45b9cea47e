/*
 * CXL.cache, the device's side: life and inspection
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dev.h"

#define MAX_WAYS 16
static bool config_ok(const CXLCacheDevConfig *c)
{
    uint64_t lines = c->size / CXL_CACHE_LINE_SIZE;

    return c->ways && c->ways <= MAX_WAYS && c->requests &&
           c->requests <= CXL_CACHE_ID_MAX &&
           c->size % CXL_CACHE_LINE_SIZE == 0 && lines <= INT32_MAX &&
           lines && lines % c->ways == 0;
}

static size_t lay_out(CXLCacheDev *dev, char *base, unsigned lines,
                      unsigned ways, unsigned requests)
{
    size_t at = ROUND_UP(sizeof(*dev), CXL_CACHE_LINE_SIZE);
    unsigned spans = DIV_ROUND_UP(lines / ways, CXL_CACHE_SET_SPAN);

    dev->tags = cxl_cache_carve(base, &at, (size_t)lines * sizeof(*dev->tags));
    dev->data = cxl_cache_carve(base, &at, (size_t)lines * sizeof(*dev->data));
    dev->used.words = DIV_ROUND_UP(spans, 64);
    dev->used.word = cxl_cache_carve(base, &at, dev->used.words * 8);
    dev->used.any = cxl_cache_carve(base, &at,
                                    DIV_ROUND_UP(dev->used.words, 64) * 8);
    dev->req = cxl_cache_carve(base, &at, requests * sizeof(*dev->req));
    dev->req_data = cxl_cache_carve(base, &at,
                                    requests * sizeof(*dev->req_data));
    dev->cqid_free = cxl_cache_carve(base, &at, DIV_ROUND_UP(requests, 64) * 8);
    return at;
}

CXLCacheDev *cxl_cache_dev_new(const CXLCacheDevConfig *config,
                               CXLCacheLink *link,
                               const CXLCacheDevOps *ops, void *opaque)
{
    unsigned lines = config->size / CXL_CACHE_LINE_SIZE;
    CXLCacheDev measure, *dev;
    size_t size;

    if (!config_ok(config) || !link || link->dev) {
        return NULL;
    }
    size = lay_out(&measure, NULL, lines, config->ways, config->requests);
    dev = cxl_cache_block_new(size);
    if (!dev) {
        return NULL;
    }
    lay_out(dev, (char *)dev, lines, config->ways, config->requests);
    dev->size = size;
    dev->link = link;
    dev->ops = ops;
    dev->opaque = opaque;
    dev->ways = config->ways;
    dev->sets = lines / config->ways;
    dev->set_mask = dev->sets & (dev->sets - 1) ? 0 : dev->sets - 1;
    dev->requests = config->requests;
    dev->clean_evict = config->clean_evict;
    dev->snp_data_invalidates = config->snp_data_invalidates;
    cxl_cache_dev_reset(dev);
    link->dev = dev;
    return dev;
}

void cxl_cache_dev_free(CXLCacheDev *dev)
{
    if (dev) {
        dev->link->dev = NULL;
        cxl_cache_block_free(dev);
    }
}

void cxl_cache_dev_reset(CXLCacheDev *dev)
{
    cxl_cache_dev_empty(dev);
    memset(dev->req, 0, dev->requests * sizeof(*dev->req));
    memset(dev->cqid_free, 0, DIV_ROUND_UP(dev->requests, 64) * 8);
    for (unsigned i = 0; i < dev->requests; i++) {
        dev->cqid_free[i / 64] |= 1ULL << (i % 64);
    }
    memset(dev->chain, 0xff, sizeof(dev->chain));
    dev->cqid_hint = 0;
    dev->outstanding = dev->cacheable_out = dev->due = 0;
    dev->flush = CXL_CACHE_FLUSH_IDLE;
    dev->flush_at = dev->flush_cqid = 0;
    dev->caching = true;
    dev->viral = false;
    dev->strays = false;
}

unsigned cxl_cache_dev_num_lines(const CXLCacheDev *dev)
{
    return dev->sets * dev->ways;
}

const uint32_t *cxl_cache_dev_states(const CXLCacheDev *dev)
{
    return dev->states;
}

unsigned cxl_cache_dev_outstanding(const CXLCacheDev *dev)
{
    return dev->outstanding;
}

bool cxl_cache_dev_request_line(const CXLCacheDev *dev, unsigned cqid,
                                uint64_t *line)
{
    const CXLCacheDevReq *r;

    if (cqid >= dev->requests) {
        return false;
    }
    r = &dev->req[cqid];
    if (!r->opcode || r->opcode == CXL_CACHE_CACHE_FLUSHED) {
        return false;
    }
    *line = r->line;
    return true;
}
