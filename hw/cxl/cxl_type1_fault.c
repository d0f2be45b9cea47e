/*
 * Fault injection for CXL Type 1 devices: orders
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "qapi/qapi-events-cxl.h"
#include "qobject/qdict.h"
#include "hw/core/qdev.h"
#include "hw/cxl/cxl_type1_fault.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "trace.h"

/* Of the device, not of a request: these may be injected at any time. */
static const bool device_wide[CXL_TYPE1_FAULT_KIND__MAX] = {
    [CXL_TYPE1_FAULT_KIND_HANG] = true,
    [CXL_TYPE1_FAULT_KIND_VIRAL] = true,
    [CXL_TYPE1_FAULT_KIND_HW_NOT_READY] = true,
    [CXL_TYPE1_FAULT_KIND_LINK_DOWN] = true,
    [CXL_TYPE1_FAULT_KIND_REMOVAL] = true,
    [CXL_TYPE1_FAULT_KIND_INVALIDATE_TIMEOUT] = true,
    [CXL_TYPE1_FAULT_KIND_HANG_SNOOP] = true,
};

/* Those that the answer to a snoop takes */
static const bool snoop_channel[CXL_CACHE_CHANNEL_TYPE__MAX] = {
    [CXL_CACHE_CHANNEL_TYPE_H2D_REQ] = true,
    [CXL_CACHE_CHANNEL_TYPE_D2H_RSP] = true,
    [CXL_CACHE_CHANNEL_TYPE_D2H_DATA] = true,
};

static QLIST_HEAD(, CXLType1Faults) all_faults =
    QLIST_HEAD_INITIALIZER(all_faults);

typedef struct FaultOrder {
    CxlType1FaultKind kind;
    bool has_point;
    CxlType1FaultPoint point;
    bool has_after;
    uint32_t after;
    bool has_count;
    uint32_t count;
    bool has_channel;
    CxlCacheChannelType channel;
} FaultOrder;

/* @point: where in a request, or NULL if at once */
static void note_taken(CXLType1Faults *faults, CxlType1FaultKind kind,
                       const CxlType1FaultPoint *point)
{
    DeviceState *dev = faults->dev;
    g_autofree char *path = object_get_canonical_path(OBJECT(dev));

    faults->taken++;
    trace_cxl_type1_fault(dev->id ?: "", CxlType1FaultKind_str(kind),
                          point ? CxlType1FaultPoint_str(*point) : "now");
    qapi_event_send_cxl_type1_fault(path, dev->id, kind, !!point,
                                    point ? *point : 0, faults->taken);
}

static void arm(CXLType1Faults *faults, const FaultOrder *order)
{
    faults->armed = true;
    faults->kind = order->kind;
    faults->point = order->has_point ? order->point :
                    CXL_TYPE1_FAULT_POINT_SOURCE_READ;
    faults->after = order->has_after ? order->after : 0;
    faults->count = order->has_count ? order->count : 1;
    faults->channel = order->channel;
    faults->ops->armed(faults->opaque);
}

static bool check_channel(CXLType1Faults *faults, FaultOrder *order,
                          Error **errp)
{
    if (order->kind != CXL_TYPE1_FAULT_KIND_HANG_SNOOP) {
        if (order->has_channel) {
            error_setg(errp, "'%s' takes no 'channel': that is for "
                       "'hang-snoop'", CxlType1FaultKind_str(order->kind));
        }
        return !order->has_channel;
    }
    if (!order->has_channel) {
        order->channel = CXL_CACHE_CHANNEL_TYPE_H2D_REQ;
    }
    if (!snoop_channel[order->channel]) {
        error_setg(errp, "'channel' must be h2d-req, d2h-rsp or d2h-data: a "
                   "snoop and its answer take no other");
        return false;
    }
    return true;
}

/* A device without requests can fail in none. */
static bool check_requests(CXLType1Faults *faults, const FaultOrder *order,
                           Error **errp)
{
    bool known = order->kind == CXL_TYPE1_FAULT_KIND_HANG_SNOOP ||
                 order->kind == CXL_TYPE1_FAULT_KIND_CLEAR;

    if (!faults->ops->armed &&
        (!known || order->has_point || order->has_after)) {
        error_setg(errp, "%s has no requests to fail in: it takes "
                   "'hang-snoop' and 'clear', without 'point' and 'after'",
                   object_get_typename(OBJECT(faults->dev)));
        return false;
    }
    return true;
}

static void inject_now(CXLType1Faults *faults, const FaultOrder *order)
{
    note_taken(faults, order->kind, NULL);
    if (order->kind == CXL_TYPE1_FAULT_KIND_HANG_SNOOP) {
        faults->ops->hold(faults->opaque, BIT(order->channel));
    } else {
        faults->ops->inject(faults->opaque, order->kind);
    }
}

static bool take_order(CXLType1Faults *faults, FaultOrder *order,
                       Error **errp)
{
    bool clear = order->kind == CXL_TYPE1_FAULT_KIND_CLEAR;

    if (!check_channel(faults, order, errp) ||
        !check_requests(faults, order, errp)) {
        return false;
    }
    if (order->has_count && (device_wide[order->kind] || clear)) {
        error_setg(errp, "'%s' takes no 'count': that is for faults of single "
                   "requests", CxlType1FaultKind_str(order->kind));
        return false;
    }
    if (order->has_count && !order->count) {
        error_setg(errp, "'count' must be at least 1");
        return false;
    }
    if (clear) {
        if (order->has_point || order->has_after) {
            error_setg(errp, "'clear' takes effect at once, so it takes no "
                       "'point' and no 'after'");
            return false;
        }
        faults->armed = false;
        faults->ops->clear(faults->opaque);
    } else if (device_wide[order->kind] && !order->has_point &&
               !order->has_after) {
        inject_now(faults, order);
    } else {
        arm(faults, order);
    }
    return true;
}

/* Returns: the value that @name has, or -1 with @errp telling the good names */
static int parse_name(const QEnumLookup *lookup, const char *what,
                      const char *name, Error **errp)
{
    g_autoptr(GString) names = g_string_new("");
    int value = qapi_enum_parse(lookup, name, -1, NULL);

    if (value >= 0) {
        return value;
    }
    for (int i = 0; i < lookup->size; i++) {
        g_string_append_printf(names, "%s%s", i ? ", " : "", lookup->array[i]);
    }
    error_setg(errp, "there is no %s '%s'; there are: %s", what, name,
               names->str);
    return -1;
}

static bool parse_kind(const char *name, FaultOrder *order, Error **errp)
{
    int value = parse_name(&CxlType1FaultKind_lookup, "fault", name, errp);

    order->kind = value < 0 ? CXL_TYPE1_FAULT_KIND_CLEAR : value;
    return value >= 0;
}

static bool parse_point(const char *name, FaultOrder *order, Error **errp)
{
    int value;

    if (!name || !*name) {
        return true;
    }
    value = parse_name(&CxlType1FaultPoint_lookup, "point", name, errp);
    order->has_point = value >= 0;
    order->point = order->has_point ? value : 0;
    return order->has_point;
}

static bool parse_channel(const char *name, FaultOrder *order, Error **errp)
{
    int value;

    if (!name || !*name) {
        return true;
    }
    value = parse_name(&CxlCacheChannelType_lookup, "channel", name, errp);
    order->has_channel = value >= 0;
    order->channel = order->has_channel ? value : 0;
    return order->has_channel;
}

static bool parse_number(const char *text, bool *has, uint32_t *number,
                         Error **errp)
{
    *has = text && *text;
    /* qemu_strtoui() takes negative numbers */
    if (*has && (*text == '-' || qemu_strtoui(text, NULL, 0, number))) {
        error_setg(errp, "'%s' is not a number of requests", text);
        return false;
    }
    return true;
}

static bool parse_start(const char *start, FaultOrder *order, Error **errp)
{
    g_auto(GStrv) part = g_strsplit(start, ":", 4);
    unsigned n = g_strv_length(part);

    return parse_kind(n ? part[0] : "", order, errp) &&
           parse_point(n > 1 ? part[1] : NULL, order, errp) &&
           parse_number(n > 2 ? part[2] : NULL, &order->has_after,
                        &order->after, errp) &&
           parse_number(n > 3 ? part[3] : NULL, &order->has_count,
                        &order->count, errp);
}

/* There is no "now" before the machine runs, and nothing to clear. */
static bool order_start(CXLType1Faults *faults, Error **errp)
{
    FaultOrder order = { };

    if (!parse_start(faults->start, &order, errp)) {
        return false;
    }
    if (order.kind == CXL_TYPE1_FAULT_KIND_CLEAR) {
        error_setg(errp, "'clear' is not possible at startup: there is "
                   "nothing to clear yet");
        return false;
    }
    if (!order.has_point) {
        order.has_after = true;
    }
    return take_order(faults, &order, errp);
}

bool cxl_type1_fault_init(CXLType1Faults *faults, DeviceState *dev,
                          const CXLType1FaultOps *ops, void *opaque,
                          Error **errp)
{
    faults->dev = dev;
    faults->ops = ops;
    faults->opaque = opaque;
    if (faults->start && !order_start(faults, errp)) {
        error_prepend(errp, "x-fault: ");
        return false;
    }
    QLIST_INSERT_HEAD(&all_faults, faults, next);
    return true;
}

void cxl_type1_fault_exit(CXLType1Faults *faults)
{
    /* A realize that fails late comes here twice */
    QLIST_SAFE_REMOVE(faults, next);
}

static bool take(CXLType1Faults *faults)
{
    if (faults->after) {
        faults->after--;
        return false;
    }
    note_taken(faults, faults->kind, &faults->point);
    faults->armed = --faults->count;
    return true;
}

bool cxl_type1_fault_reading(CXLType1Faults *faults)
{
    return faults->armed && faults->kind == CXL_TYPE1_FAULT_KIND_POISON &&
           faults->point == CXL_TYPE1_FAULT_POINT_SOURCE_READ &&
           !faults->after && take(faults);
}

bool cxl_type1_fault_due(CXLType1Faults *faults, CxlType1FaultKind *kind,
                         CxlType1FaultPoint *point)
{
    if (!faults->armed) {
        return false;
    }
    *kind = faults->kind;
    *point = faults->point;
    if (!take(faults)) {
        return false;
    }
    if (*kind == CXL_TYPE1_FAULT_KIND_HANG_SNOOP) {
        faults->ops->hold(faults->opaque, BIT(faults->channel));
    }
    return true;
}

/* Monitor */

static CXLType1Faults *find_faults(const char *id, Error **errp)
{
    CXLType1Faults *faults;

    QLIST_FOREACH(faults, &all_faults, next) {
        g_autofree char *path = object_get_canonical_path(OBJECT(faults->dev));

        if (!g_strcmp0(faults->dev->id, id) || !strcmp(path, id)) {
            return faults;
        }
    }
    error_set(errp, ERROR_CLASS_DEVICE_NOT_FOUND,
              "there is no CXL Type 1 device '%s'", id);
    return NULL;
}

void qmp_x_cxl_type1_fault(const char *id, CxlType1FaultKind fault,
                           bool has_point, CxlType1FaultPoint point,
                           bool has_after, uint32_t after,
                           bool has_count, uint32_t count,
                           bool has_channel, CxlCacheChannelType channel,
                           Error **errp)
{
    CXLType1Faults *faults = find_faults(id, errp);
    FaultOrder order = {
        .kind = fault,
        .has_point = has_point,
        .point = point,
        .has_after = has_after,
        .after = after,
        .has_count = has_count,
        .count = count,
        .has_channel = has_channel,
        .channel = channel,
    };

    if (faults) {
        take_order(faults, &order, errp);
    }
}

static CxlType1FaultInfo *query_faults(CXLType1Faults *faults)
{
    CxlType1FaultInfo *info = g_new0(CxlType1FaultInfo, 1);

    info->armed = faults->armed;
    info->taken = faults->taken;
    faults->ops->query(faults->opaque, info);
    return info;
}

CxlType1FaultInfo *qmp_x_query_cxl_type1_fault(const char *id, Error **errp)
{
    CXLType1Faults *faults = find_faults(id, errp);

    return faults ? query_faults(faults) : NULL;
}

void hmp_cxl_type1_fault(Monitor *mon, const QDict *qdict)
{
    CXLType1Faults *faults = NULL;
    FaultOrder order = {
        .has_after = qdict_haskey(qdict, "after"),
        .after = qdict_get_try_int(qdict, "after", 0),
        .has_count = qdict_haskey(qdict, "count"),
        .count = qdict_get_try_int(qdict, "count", 1),
    };
    Error *err = NULL;

    if (parse_kind(qdict_get_str(qdict, "fault"), &order, &err) &&
        parse_point(qdict_get_try_str(qdict, "point"), &order, &err) &&
        parse_channel(qdict_get_try_str(qdict, "channel"), &order, &err)) {
        faults = find_faults(qdict_get_str(qdict, "id"), &err);
    }
    if (faults) {
        take_order(faults, &order, &err);
    }
    hmp_handle_error(mon, err);
}

static void print_faults(Monitor *mon, CXLType1Faults *faults)
{
    g_autofree char *path = object_get_canonical_path(OBJECT(faults->dev));
    g_autoptr(CxlType1FaultInfo) info = query_faults(faults);

    monitor_printf(mon, "%s:\n", faults->dev->id ?: path);
    monitor_printf(mon, "armed %s, taken %" PRIu64 ", hanging requests %u%s\n",
                   info->armed ? "yes" : "no", info->taken, info->held,
                   info->hung ? ", hung" : "");
    monitor_printf(mon, "viral %s, link %s, HW_READY %s\n",
                   info->viral ? "yes" : "no", info->link_down ? "down" : "up",
                   info->hw_ready ? "yes" : "no");
}

void hmp_info_cxl_type1_fault(Monitor *mon, const QDict *qdict)
{
    const char *id = qdict_get_try_str(qdict, "id");
    CXLType1Faults *faults;
    Error *err = NULL;

    if (id) {
        faults = find_faults(id, &err);
        if (!hmp_handle_error(mon, err)) {
            print_faults(mon, faults);
        }
        return;
    }
    if (QLIST_EMPTY(&all_faults)) {
        monitor_printf(mon, "There is no CXL Type 1 device\n");
    }
    QLIST_FOREACH(faults, &all_faults, next) {
        print_faults(mon, faults);
    }
}
