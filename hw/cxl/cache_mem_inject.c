/*
 * CacheMemRegion: faults on command
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "cache_mem_internal.h"

/* One request that fails */

static unsigned failing_decode(void *opaque, uint64_t line)
{
    CacheMemRegion *region = opaque;

    return line == region->inject.line ? 0 :
           cache_mem_home_ops.decode(opaque, line);
}

static bool poisoned_read_line(void *opaque, uint64_t line,
                               CXLCacheLineData *data, bool *poison)
{
    CacheMemRegion *region = opaque;

    if (!cache_mem_home_ops.read_line(opaque, line, data, poison)) {
        return false;
    }
    *poison |= line == region->inject.line;
    return true;
}

/* Nobody else's request is under way with the lock held. */
static void begin_fail(CacheMemDev *cm, uint64_t line)
{
    CacheMemRegion *region = cm->region;

    region->inject.line = line;
    if (cm->fail == CACHE_MEM_FAIL_GO_ERR) {
        region->home_ops.decode = failing_decode;
    } else if (cm->fail == CACHE_MEM_FAIL_POISON) {
        region->home_ops.read_line = poisoned_read_line;
    }
    cm->fail = CACHE_MEM_FAIL_NONE;
}

static void end_fail(CacheMemDev *cm)
{
    cache_mem_settle(cm->region);
    cm->region->home_ops = cache_mem_home_ops;
}

static int fail_request(CacheMemDev *cm, const CXLCacheReq *req)
{
    int ret;

    if (!cm->fail) {
        return cache_mem_agent_request(cm, req);
    }
    begin_fail(cm, req->line);
    ret = cache_mem_agent_request(cm, req);
    end_fail(cm);
    return ret;
}

static int fail_evict(CacheMemDev *cm, uint64_t line)
{
    int ret;

    if (!cm->fail) {
        return cache_mem_agent_evict(cm, line);
    }
    begin_fail(cm, line);
    ret = cache_mem_agent_evict(cm, line);
    end_fail(cm);
    return ret;
}

/* Hooks of the region */

static bool no_snoop(CacheMemRegion *region)
{
    return false;
}

/* Memory keeps its old bytes, and nobody is told. */
static bool lose_lines(CacheMemDev *cm)
{
    cm->region->totals.lost_lines += cache_mem_dev_modified(cm);
    cxl_cache_dev_reset(cm->dev);
    cache_mem_dev_flush_locked(cm);
    return true;
}

static bool any_request_fails(CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->fail) {
            return true;
        }
    }
    return false;
}

static void update_hooks(CacheMemRegion *region)
{
    CacheMemInject *inject = &region->inject;
    bool requests = any_request_fails(region);

    inject->hooks = (CacheMemHooks) {
        .request = requests ? fail_request : NULL,
        .evict = requests ? fail_evict : NULL,
        .snoop = inject->no_snoop ? no_snoop : NULL,
        .lose = inject->no_rescue ? lose_lines : NULL,
    };
    region->hooks = requests || inject->no_snoop || inject->no_rescue ?
                    &inject->hooks : NULL;
}

CacheMemFail cache_mem_dev_fail(CacheMemDev *cm, CacheMemFail fail)
{
    CacheMemFail before;

    QEMU_LOCK_GUARD(&cm->region->lock);
    before = cm->fail;
    cm->fail = fail;
    update_hooks(cm->region);
    return before;
}

/* Returns false if the line is not one that was owned without data. */
static bool fail_line(CacheMemDev *cm, const CacheMemLinePart *part,
                      const uint8_t *buf)
{
    CXLCacheLineData data;

    if (part->len != CXL_CACHE_LINE_SIZE ||
        cxl_cache_dev_state(cm->dev, part->line) != CXL_CACHE_EN) {
        return false;
    }
    memcpy(data.b, buf, sizeof(data));
    cxl_cache_dev_write(cm->dev, part->line, &data, CXL_CACHE_BE_ALL);
    cm->fail = CACHE_MEM_FAIL_GO_ERR;
    fail_evict(cm, part->line);
    return true;
}

bool cache_mem_fail_write_back(CacheMemDev *cm, const CacheMemSeg *seg,
                               unsigned n, const void *buf)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cache_mem_trace_update(cm->region);
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < seg[i].len; ) {
            CacheMemLinePart part = cache_mem_line_part(seg[i].addr + at,
                                                        seg[i].len - at);

            if (fail_line(cm, &part, buf + at)) {
                return true;
            }
            at += part.len;
        }
        buf += seg[i].len;
    }
    return false;
}

/* Address translation */

void cache_mem_ats_set_unresponsive(CacheMemDev *cm, bool unresponsive)
{
    CacheMemAtsFault otherwise = cm->region->inject.no_invalidate ?
                                 CACHE_MEM_ATS_IGNORES : CACHE_MEM_ATS_WORKS;

    if (cm->ats) {
        cache_mem_ats_set_fault(cm->ats, unresponsive ?
                                CACHE_MEM_ATS_UNRESPONSIVE : otherwise);
    }
}

void cache_mem_inject_attach(CacheMemDev *cm)
{
    if (cm->region->inject.no_invalidate) {
        cache_mem_ats_set_fault(cm->ats, CACHE_MEM_ATS_IGNORES);
    }
}

/* Properties of /machine/cxl-cache */

static bool get_no_snoop(Object *obj, Error **errp)
{
    return CACHE_MEM_REGION(obj)->inject.no_snoop;
}

static void set_no_snoop(Object *obj, bool value, Error **errp)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    QEMU_LOCK_GUARD(&region->lock);
    region->inject.no_snoop = value;
    update_hooks(region);
}

static bool get_no_rescue(Object *obj, Error **errp)
{
    return CACHE_MEM_REGION(obj)->inject.no_rescue;
}

static void set_no_rescue(Object *obj, bool value, Error **errp)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    QEMU_LOCK_GUARD(&region->lock);
    region->inject.no_rescue = value;
    update_hooks(region);
}

static bool get_no_invalidate(Object *obj, Error **errp)
{
    return CACHE_MEM_REGION(obj)->inject.no_invalidate;
}

/* Who is unresponsive stays so. */
static void set_no_invalidate(Object *obj, bool value, Error **errp)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);
    CacheMemDev *cm;

    region->inject.no_invalidate = value;
    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->ats &&
            cache_mem_ats_fault(cm->ats) != CACHE_MEM_ATS_UNRESPONSIVE) {
            cache_mem_ats_set_unresponsive(cm, false);
        }
    }
}

void cache_mem_inject_class_init(ObjectClass *klass)
{
    object_class_property_add_bool(klass, "x-no-ats-invalidate",
                                   get_no_invalidate, set_no_invalidate);
    object_class_property_set_description(klass, "x-no-ats-invalidate",
        "Keep translations and lines that an IOMMU takes back, for tests");

    object_class_property_add_bool(klass, "x-no-rescue", get_no_rescue,
                                   set_no_rescue);
    object_class_property_set_description(klass, "x-no-rescue",
        "Lose the modified lines of devices that are lost, for tests");

    object_class_property_add_bool(klass, "x-no-snoop", get_no_snoop,
                                   set_no_snoop);
    object_class_property_set_description(klass, "x-no-snoop",
        "Break coherence, for tests: accesses find memory as it is");
}
