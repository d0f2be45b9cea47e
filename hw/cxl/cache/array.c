/*
 * CXL.cache, the device's side: the cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "dev.h"

/* What was never used is zeroes, and takes no memory. */

static void span_of(const CXLCacheDev *dev, unsigned span, unsigned *first,
                    unsigned *end)
{
    *first = span * CXL_CACHE_SET_SPAN * dev->ways;
    *end = MIN((span + 1) * CXL_CACHE_SET_SPAN, dev->sets) * dev->ways;
}

/* All of a set's ways have an age. */
void cxl_cache_dev_first_use(CXLCacheDev *dev, unsigned span)
{
    unsigned first, end;

    span_of(dev, span, &first, &end);
    for (unsigned i = first; i < end; i++) {
        dev->tags[i] = (uint64_t)(i % dev->ways) << CXL_CACHE_TAG_AGE_SHIFT;
    }
    cxl_cache_mark(&dev->used, span);
}

void cxl_cache_dev_empty(CXLCacheDev *dev)
{
    unsigned first, end;
    size_t span = 0;

    while ((span = cxl_cache_next_mark(&dev->used, span)) !=
           CXL_CACHE_NO_SPAN) {
        span_of(dev, span++, &first, &end);
        memset(&dev->tags[first], 0, (end - first) * sizeof(*dev->tags));
    }
    cxl_cache_clear_marks(&dev->used);
    memset(dev->states, 0, sizeof(dev->states));
    dev->states[CXL_CACHE_I] = dev->sets * dev->ways;
}

/* Replacement */

/* Make the way the next victim of its set. */
void cxl_cache_dev_demote(CXLCacheDev *dev, int way)
{
    uint64_t *tag = &dev->tags[way - way % dev->ways];
    uint64_t age = dev->tags[way] & CXL_CACHE_TAG_AGE_MASK;

    for (unsigned i = 0; i < dev->ways; i++) {
        if ((tag[i] & CXL_CACHE_TAG_AGE_MASK) > age) {
            tag[i] -= 1 << CXL_CACHE_TAG_AGE_SHIFT;
        }
    }
    dev->tags[way] &= ~CXL_CACHE_TAG_AGE_MASK;
    dev->tags[way] |= (uint64_t)(dev->ways - 1) << CXL_CACHE_TAG_AGE_SHIFT;
}

/* Where to put the line: a free way, else the oldest that is at rest, or -1 */
int cxl_cache_dev_choose_way(const CXLCacheDev *dev, uint64_t line)
{
    unsigned first = set_of(dev, line), oldest = 0;
    int found = -1;

    for (unsigned i = first; i < first + dev->ways; i++) {
        CXLCacheState state = cxl_cache_tag_state(dev->tags[i]);
        unsigned age = cxl_cache_tag_age(dev->tags[i]);

        if (state == CXL_CACHE_I) {
            return i;
        }
        if (cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
            (found < 0 || age > oldest)) {
            found = i;
            oldest = age;
        }
    }
    return found;
}

/* Local use of lines */

CXLCacheState cxl_cache_dev_state(const CXLCacheDev *dev, uint64_t line)
{
    return way_state(dev, find_named_way(dev, line));
}

static bool may(const CXLCacheDev *dev, int way, unsigned perm)
{
    CXLCacheState state = way_state(dev, way);

    return cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
           cxl_cache_may(state, perm);
}

bool cxl_cache_dev_read(CXLCacheDev *dev, uint64_t line,
                        CXLCacheLineData *data, bool *poison)
{
    int way = find_named_way(dev, line);

    if (!may(dev, way, CXL_CACHE_P_READ)) {
        return false;
    }
    touch(dev, way);
    *data = dev->data[way];
    if (poison) {
        *poison = way_poison(dev, way);
    }
    return true;
}

static void merge(CXLCacheLineData *to, const CXLCacheLineData *from,
                  uint64_t be)
{
    if (be == CXL_CACHE_BE_ALL) {
        *to = *from;
        return;
    }
    for (; be; be &= be - 1) {
        int i = __builtin_ctzll(be);

        /* Stores are mostly of aligned words. */
        if (!(i % 8) && (uint8_t)(be >> i) == 0xff) {
            memcpy(&to->b[i], &from->b[i], 8);
            be &= ~(0xffULL << i);
            be |= 1ULL << i;
        } else {
            to->b[i] = from->b[i];
        }
    }
}

bool cxl_cache_dev_write(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data, uint64_t be)
{
    int way = find_named_way(dev, line);
    bool full = be == CXL_CACHE_BE_ALL;

    if (!may(dev, way, full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE)) {
        return false;
    }
    touch(dev, way);
    merge(&dev->data[way], data, be);
    if (full) {
        set_poison(dev, way, false);
    }
    set_state(dev, way, CXL_CACHE_M);
    return true;
}

bool cxl_cache_dev_stage(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data)
{
    int way = find_named_way(dev, line);

    if (way_state(dev, way) != CXL_CACHE_EN) {
        return false;
    }
    dev->data[way] = *data;
    dev->tags[way] |= CXL_CACHE_TAG_STAGED;
    return true;
}

bool cxl_cache_dev_drop(CXLCacheDev *dev, uint64_t line)
{
    int way = find_named_way(dev, line);
    CXLCacheState state = way_state(dev, way);

    if (way < 0 || !cxl_cache_may(state, CXL_CACHE_P_STABLE) ||
        cxl_cache_may(state, CXL_CACHE_P_DIRTY)) {
        return false;
    }
    set_state(dev, way, CXL_CACHE_I);
    return true;
}

/* Inspection */

bool cxl_cache_dev_slot(const CXLCacheDev *dev, unsigned index,
                        CXLCacheSlot *slot)
{
    CXLCacheState state = way_state(dev, index);

    *slot = (CXLCacheSlot) { .state = state, .cqid = -1 };
    if (state == CXL_CACHE_I) {
        return false;
    }
    slot->line = cxl_cache_tag_line(dev->tags[index]);
    slot->poison = way_poison(dev, index);
    slot->staged = dev->tags[index] & CXL_CACHE_TAG_STAGED;
    slot->data = &dev->data[index];
    if (!cxl_cache_may(state, CXL_CACHE_P_STABLE)) {
        slot->cqid = cxl_cache_dev_request_of((CXLCacheDev *)dev, index) -
                     dev->req;
    }
    return true;
}
