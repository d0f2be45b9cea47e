/*
 * CXL.cache: what the files of the device share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   dev.c           life and inspection
 *   array.c         the cache: where lines go, and the device's own use of them
 *   dev_request.c   what the device asks of the host
 *   dev_receive.c   what it makes of the host's messages
 */

#ifndef HW_CXL_CACHE_PRIVATE_DEV_H
#define HW_CXL_CACHE_PRIVATE_DEV_H

#include "internal.h"

static inline unsigned set_number(const CXLCacheDev *dev, uint64_t line)
{
    return dev->set_mask ? line & dev->set_mask : line % dev->sets;
}

/* The first way of the line's set */
static inline unsigned set_of(const CXLCacheDev *dev, uint64_t line)
{
    return set_number(dev, line) * dev->ways;
}

/* Index of the line's way, or -1. The line has 46 bits, or it is another's. */
static inline int find_way(const CXLCacheDev *dev, uint64_t line)
{
    unsigned first = set_of(dev, line);
    unsigned i = cxl_cache_find_line(&dev->tags[first], dev->ways, line,
                                     (1 << CXL_CACHE_TAG_STATE_BITS) - 1);

    return i < dev->ways ? first + i : -1;
}

/* Likewise of a line that somebody names: there is none beyond 46 bits. */
static inline int find_named_way(const CXLCacheDev *dev, uint64_t line)
{
    return line < CXL_CACHE_LINE_MAX ? find_way(dev, line) : -1;
}

static inline CXLCacheState way_state(const CXLCacheDev *dev, int way)
{
    return way < 0 ? CXL_CACHE_I : cxl_cache_tag_state(dev->tags[way]);
}

static inline void set_state(CXLCacheDev *dev, int way, CXLCacheState state)
{
    const uint64_t mask = (1 << CXL_CACHE_TAG_STATE_BITS) - 1;
    uint64_t tag = dev->tags[way] & ~CXL_CACHE_TAG_STAGED;

    dev->states[cxl_cache_tag_state(tag)]--;
    dev->states[state]++;
    if (state == CXL_CACHE_I) {
        dev->tags[way] = tag & CXL_CACHE_TAG_AGE_MASK;
    } else {
        dev->tags[way] = (tag & ~mask) | state;
    }
}

void cxl_cache_dev_first_use(CXLCacheDev *dev, unsigned span);

/* Before a way of the line's set gets a line */
static inline void use_set(CXLCacheDev *dev, uint64_t line)
{
    unsigned span = set_number(dev, line) / CXL_CACHE_SET_SPAN;

    if (G_UNLIKELY(!cxl_cache_marked(&dev->used, span))) {
        cxl_cache_dev_first_use(dev, span);
    }
}

static inline void set_poison(CXLCacheDev *dev, int way, bool poison)
{
    dev->tags[way] &= ~CXL_CACHE_TAG_POISON;
    dev->tags[way] |= poison ? CXL_CACHE_TAG_POISON : 0;
}

static inline bool way_poison(const CXLCacheDev *dev, int way)
{
    return dev->tags[way] & CXL_CACHE_TAG_POISON;
}

/* Make the way the most recently used of its set. */
static inline void touch(CXLCacheDev *dev, int way)
{
    uint64_t *tag = &dev->tags[way - way % dev->ways];
    uint64_t age = dev->tags[way] & CXL_CACHE_TAG_AGE_MASK;

    if (!age || (dev->tags[way] & CXL_CACHE_TAG_NT)) {
        return;
    }
    for (unsigned i = 0; i < dev->ways; i++) {
        if ((tag[i] & CXL_CACHE_TAG_AGE_MASK) < age) {
            tag[i] += 1 << CXL_CACHE_TAG_AGE_SHIFT;
        }
    }
    dev->tags[way] &= ~CXL_CACHE_TAG_AGE_MASK;
}

static inline uint16_t *chain_of(CXLCacheDev *dev, uint64_t line)
{
    return &dev->chain[cxl_cache_hash(line) % CXL_CACHE_CHAINS];
}

/* Table 3-26 lets a device that forwards modified data keep the line or not. */
static inline const CXLCacheSnoopRule *
cxl_cache_dev_snoop_rule(const CXLCacheDev *dev, uint8_t opcode,
                         CXLCacheState state)
{
    const CXLCacheSnoopRule *rule = &cxl_cache_snoop_rules[opcode][state];

    return dev->snp_data_invalidates && rule->rsp == CXL_CACHE_RSP_S_FWD_M ?
           &cxl_cache_snoop_rules[CXL_CACHE_SNP_INV][state] : rule;
}

/* array.c */
void cxl_cache_dev_empty(CXLCacheDev *dev);
void cxl_cache_dev_demote(CXLCacheDev *dev, int way);
int cxl_cache_dev_choose_way(const CXLCacheDev *dev, uint64_t line);

/* dev_request.c */
CXLCacheDevReq *cxl_cache_dev_request_of(CXLCacheDev *dev, int way);
void cxl_cache_dev_unchain(CXLCacheDev *dev, unsigned cqid);

static inline void close_request(CXLCacheDev *dev, unsigned cqid)
{
    CXLCacheDevReq *r = &dev->req[cqid];

    if (r->way >= 0) {
        dev->cacheable_out--;
    } else {
        cxl_cache_dev_unchain(dev, cqid);
    }
    dev->outstanding--;
    r->opcode = 0;
    dev->cqid_free[cqid / 64] |= 1ULL << (cqid % 64);
    dev->cqid_hint = MIN(dev->cqid_hint, cqid / 64);
}

#endif /* HW_CXL_CACHE_PRIVATE_DEV_H */
