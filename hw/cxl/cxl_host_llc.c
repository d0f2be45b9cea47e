/*
 * -object cxl-host-llc
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Options, and the life of the cache that cache_mem_llc.c has at work.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/qapi-types-cxl.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "cache_mem_internal.h"

/* Of a client part of 2019: 8 slices of 1024 sets of 12 ways */
#define DEFAULT_SIZE        (6 * MiB)
#define DEFAULT_WAYS        12
#define DEFAULT_SLICES      8
#define DEFAULT_POLICY      "qlru:H11_M1_R0_U0"
#define DEFAULT_DDIO        2
#define DEFAULT_DIRECTORY   12

/**
 * CXLHostLlc:
 * @region: what it is attached to, once it is complete
 */
struct CXLHostLlc {
    Object parent_obj;

    CacheMemLlc llc;
    CacheMemRegion *region;
    uint64_t size;
    uint32_t ways;
    uint32_t slices;
    uint32_t ddio_ways;
    uint32_t directory_ways;
    int hash;
    char *policy;
    char *watch;
    bool inclusive;
};

CXLHostLlc *cxl_host_llc_get(void)
{
    return (CXLHostLlc *)object_resolve_path_type("", TYPE_CXL_HOST_LLC, NULL);
}

static bool attach(CXLHostLlc *s, Error **errp)
{
    CacheMemRegion *region = cache_mem_region_make();

    QEMU_LOCK_GUARD(&region->lock);
    if (region->llc) {
        error_setg(errp, "the machine has a cxl-host-llc, '%s'",
                   region->llc->name);
        return false;
    }
    if (region->users) {
        error_setg(errp, "a cxl-host-llc is to be there before the first "
                   "CXL.cache device");
        return false;
    }
    region->llc = &s->llc;
    s->region = region;
    return true;
}

static void llc_complete(UserCreatable *uc, Error **errp)
{
    CXLHostLlc *s = CXL_HOST_LLC(uc);
    const CXLLlcConfig config = {
        .size = s->size,
        .ways = s->ways,
        .slices = s->slices,
        .hash = s->hash,
        .policy = s->policy,
        .ddio_ways = s->ddio_ways ?: MIN(DEFAULT_DDIO, s->ways),
        /* The tags of an inclusive cache are its directory. */
        .directory_ways = s->inclusive ? 0 : s->directory_ways,
    };
    g_autofree char *error = NULL;

    s->llc.cache = cxl_llc_new(&config, &error);
    if (!s->llc.cache) {
        error_setg(errp, "cxl-host-llc: %s", error);
        return;
    }
    if (s->watch) {
        s->llc.watch = cache_mem_llc_watch_parse(s->watch, errp);
        if (!s->llc.watch) {
            return;
        }
    }
    s->llc.name = object_get_canonical_path_component(OBJECT(s));
    s->llc.inclusive = s->inclusive;
    s->llc.granted = UINT64_MAX;
    attach(s, errp);
}

/* A device that is in use goes by what the cache says. */
static bool llc_prepare_delete(UserCreatable *uc, Error **errp)
{
    CXLHostLlc *s = CXL_HOST_LLC(uc);

    if (s->region && s->region->users) {
        error_setg(errp, "CXL.cache devices use the cxl-host-llc");
        return false;
    }
    return true;
}

/* Properties */

static void get_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    visit_type_size(v, name, &CXL_HOST_LLC(obj)->size, errp);
}

static void set_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    visit_type_size(v, name, &CXL_HOST_LLC(obj)->size, errp);
}

/* @opaque is the offset in CXLHostLlc. */
static uint32_t *number(Object *obj, void *opaque)
{
    return (void *)CXL_HOST_LLC(obj) + (uintptr_t)opaque;
}

static void get_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    visit_type_uint32(v, name, number(obj, opaque), errp);
}

static void set_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (!value && !strcmp(name, "ddio-ways")) {
        error_setg(errp, "'ddio-ways' must not be 0");
        return;
    }
    *number(obj, opaque) = value;
}

static int get_hash(Object *obj, Error **errp)
{
    return CXL_HOST_LLC(obj)->hash;
}

static void set_hash(Object *obj, int value, Error **errp)
{
    CXL_HOST_LLC(obj)->hash = value;
}

static char *get_policy(Object *obj, Error **errp)
{
    return g_strdup(CXL_HOST_LLC(obj)->policy);
}

static void set_policy(Object *obj, const char *value, Error **errp)
{
    CXLHostLlc *s = CXL_HOST_LLC(obj);

    g_free(s->policy);
    s->policy = g_strdup(value);
}

static char *get_watch(Object *obj, Error **errp)
{
    return g_strdup(CXL_HOST_LLC(obj)->watch);
}

static void set_watch(Object *obj, const char *value, Error **errp)
{
    CXLHostLlc *s = CXL_HOST_LLC(obj);

    g_free(s->watch);
    s->watch = g_strdup(value);
}

static bool get_inclusive(Object *obj, Error **errp)
{
    return CXL_HOST_LLC(obj)->inclusive;
}

static void set_inclusive(Object *obj, bool value, Error **errp)
{
    CXL_HOST_LLC(obj)->inclusive = value;
}

static void add_number(ObjectClass *oc, const char *name, size_t offset,
                       const char *description)
{
    object_class_property_add(oc, name, "uint32", get_number, set_number,
                              NULL, (void *)offset);
    object_class_property_set_description(oc, name, description);
}

static void llc_class_init(ObjectClass *oc, const void *data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = llc_complete;
    ucc->prepare_delete = llc_prepare_delete;
    object_class_property_add(oc, "size", "size", get_size, set_size, NULL,
                              NULL);
    object_class_property_set_description(oc, "size", "bytes");
    add_number(oc, "ways", offsetof(CXLHostLlc, ways), "associativity");
    add_number(oc, "slices", offsetof(CXLHostLlc, slices),
               "1, 2, 4, 8 or 16");
    add_number(oc, "ddio-ways", offsetof(CXLHostLlc, ddio_ways),
               "the last so many ways are where DMA allocates");
    add_number(oc, "directory-ways", offsetof(CXLHostLlc, directory_ways),
               "of the directory of devices' lines; 0 for none");
    object_class_property_add_enum(oc, "hash", "CxlLlcHashType",
                                   &CxlLlcHashType_lookup, get_hash,
                                   set_hash);
    object_class_property_set_description(oc, "hash",
                                          "which slice a line goes to");
    object_class_property_add_str(oc, "policy", get_policy, set_policy);
    object_class_property_set_description(oc, "policy",
        "lru, plru, srrip or qlru:H.._M._R._U.[_UMO]");
    object_class_property_add_str(oc, "watch", get_watch, set_watch);
    object_class_property_set_description(oc, "watch",
        "pages of which CPUs' accesses are seen: <first>-<last>[,...]");
    add_number(oc, "sample", offsetof(CXLHostLlc, llc.every),
               "each so-manieth load is kept; 0 for none");
    object_class_property_add_bool(oc, "inclusive", get_inclusive,
                                   set_inclusive);
    object_class_property_set_description(oc, "inclusive",
        "devices have no line that is not in the cache");
}

static void llc_init(Object *obj)
{
    CXLHostLlc *s = CXL_HOST_LLC(obj);

    s->size = DEFAULT_SIZE;
    s->ways = DEFAULT_WAYS;
    s->slices = DEFAULT_SLICES;
    s->hash = CXL_LLC_HASH_INTEL;
    s->policy = g_strdup(DEFAULT_POLICY);
    s->directory_ways = DEFAULT_DIRECTORY;
}

static void llc_finalize(Object *obj)
{
    CXLHostLlc *s = CXL_HOST_LLC(obj);

    if (s->region) {
        cache_mem_llc_watch_stop(s->region);
        QEMU_LOCK_GUARD(&s->region->lock);
        s->region->llc = NULL;
    }
    cxl_llc_free(s->llc.cache);
    g_clear_pointer(&s->llc.watch, g_array_unref);
    g_free(s->policy);
    g_free(s->watch);
}

static const TypeInfo llc_info = {
    .name = TYPE_CXL_HOST_LLC,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLHostLlc),
    .instance_init = llc_init,
    .instance_finalize = llc_finalize,
    .class_init = llc_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    },
};

static void llc_register_types(void)
{
    type_register_static(&llc_info);
}

type_init(llc_register_types)
