/*
 * CacheMemRegion: what a device may have of its host
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The properties of a device; what they mean is in hw/cxl/cache/limits.c,
 * rate.c and link.c.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/core/qdev.h"
#include "hw/cxl/cache_mem_limits.h"
#include "hw/cxl/cache_mem_region.h"

/**
 * LimitProperty: one field of CacheMemLimits
 * @fallback: what 0 stands for
 */
typedef struct LimitProperty {
    const char *name;
    const char *type;
    size_t offset;
    size_t size;
    uint64_t max;
    uint64_t fallback;
    const char *description;
} LimitProperty;

#define LIMIT(name, type, field, max, fallback, text)       \
    { name, type, offsetof(CacheMemLimits, field),          \
      sizeof_field(CacheMemLimits, field), max, fallback, text }

static const LimitProperty limit_properties[] = {
    LIMIT("sf-quota", "uint32", sf_quota, UINT32_MAX, 0,
          "Lines that the snoop filter tracks for the device at most (default: "
          "0, no limit)"),
    LIMIT("req-credits", "uint16", req_credits, CXL_CACHE_ID_MAX, 0,
          "Credits for requests that the host grants the device (default: 0, "
          "one for each buffer of the link)"),
    LIMIT("rate", "uint64", rate, CACHE_MEM_RATE_MAX, 0,
          "Requests of the device in a second of virtual time (default: 0, no "
          "limit)"),
    LIMIT("rate-burst", "uint32", rate_burst, UINT32_MAX, CACHE_MEM_RATE_BURST,
          "Requests beyond the rate that may follow a pause (default: 16)"),
};

/* A property of a type; types stay, and so does this. */
typedef struct LimitOf {
    const LimitProperty *prop;
    CacheMemLimitsOf *of;
} LimitOf;

static uint64_t load_limit(const CacheMemLimits *limits,
                           const LimitProperty *prop)
{
    const void *field = (const char *)limits + prop->offset;

    return prop->size == 2 ? *(const uint16_t *)field :
           prop->size == 4 ? *(const uint32_t *)field :
                             *(const uint64_t *)field;
}

static void store_limit(CacheMemLimits *limits, const LimitProperty *prop,
                        uint64_t value)
{
    void *field = (char *)limits + prop->offset;

    if (prop->size == 2) {
        *(uint16_t *)field = value;
    } else if (prop->size == 4) {
        *(uint32_t *)field = value;
    } else {
        *(uint64_t *)field = value;
    }
}

static void get_limit(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    const LimitOf *limit = opaque;
    uint64_t value = load_limit(limit->of(obj), limit->prop) ?:
                     limit->prop->fallback;

    visit_type_uint64(v, name, &value, errp);
}

static void set_limit(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    const LimitOf *limit = opaque;
    CacheMemDev *cm;
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (value > limit->prop->max) {
        error_setg(errp, "'%s' must be at most %" PRIu64, name,
                   limit->prop->max);
        return;
    }
    store_limit(limit->of(obj), limit->prop, value);
    cm = cache_mem_dev_of(DEVICE(obj));
    if (cm) {
        cache_mem_dev_set_limits(cm, limit->of(obj));
    }
}

void cache_mem_limits_class_init(ObjectClass *klass, CacheMemLimitsOf *of)
{
    for (int i = 0; i < ARRAY_SIZE(limit_properties); i++) {
        const LimitProperty *prop = &limit_properties[i];
        LimitOf *limit = g_new(LimitOf, 1);

        *limit = (LimitOf) { .prop = prop, .of = of };
        object_class_property_add(klass, prop->name, prop->type, get_limit,
                                  set_limit, NULL, limit);
        object_class_property_set_description(klass, prop->name,
                                              prop->description);
    }
}
