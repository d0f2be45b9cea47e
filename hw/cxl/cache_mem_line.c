/*
 * CacheMemRegion: x-query-cxl-cache-line and "info cxl-cache-line"
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where a line is, and what everybody has of it. RAM is read through the alias,
 * so that nobody is snooped: the bytes are those that a snoop would replace.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "hw/cxl/cxl_cache_look.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qobject/qdict.h"
#include "cache_mem_internal.h"

QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE_WAIT != CXL_CACHE_TX_WAIT - 1);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE_SNOOP != CXL_CACHE_TX_SNOOP - 1);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE_ANSWER != CXL_CACHE_TX_ANSWER - 1);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE_PULL != CXL_CACHE_TX_PULL - 1);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE_FINISH != CXL_CACHE_TX_FINISH - 1);
QEMU_BUILD_BUG_ON((int)CXL_CACHE_PHASE__MAX != CXL_CACHE_NUM_TX_PHASES - 1);

/* Collecting, with the lock held */

static char *hex(const void *data)
{
    GString *text = g_string_sized_new(2 * CXL_CACHE_LINE_SIZE);
    const uint8_t *byte = data;

    for (int i = 0; i < CXL_CACHE_LINE_SIZE; i++) {
        g_string_append_printf(text, "%02x", byte[i]);
    }
    return g_string_free(text, false);
}

static const CacheMemDev *device(const CacheMemRegion *region, int number)
{
    const CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->number == number) {
            return cm;
        }
    }
    return NULL;
}

static CxlCacheLineDevice *query_holder(const CacheMemDev *cm,
                                        const CXLCacheHomeLook *home,
                                        const CXLCacheDevLook *look)
{
    CxlCacheLineDevice *info = g_new0(CxlCacheLineDevice, 1);
    const CXLCacheSlot *slot = &look->slot;

    info->qom_path = object_get_canonical_path(OBJECT(cm->config.dev));
    info->id = g_strdup(cm->config.dev->id);
    info->tracked = home->devs & BIT(cm->number);
    info->state = g_strdup(cxl_cache_states[slot->state].name);
    info->set = look->set;
    info->has_way = look->way >= 0;
    info->way = look->way >= 0 ? look->way : 0;
    info->staged = slot->staged;
    info->poison = slot->poison;
    /* The bytes of a way whose data are to come are another line's. */
    if (cxl_cache_may(slot->state, CXL_CACHE_P_DATA) || slot->staged) {
        info->data = hex(slot->data);
    }
    info->has_cqid = slot->cqid >= 0;
    info->cqid = slot->cqid >= 0 ? slot->cqid : 0;
    return info;
}

/* All that have something to do with the line */
static CxlCacheLineDeviceList *query_holders(const CacheMemRegion *region,
                                             uint64_t line,
                                             const CXLCacheHomeLook *home)
{
    CxlCacheLineDeviceList *list = NULL, **tail = &list;
    const CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        CXLCacheDevLook look;

        cxl_cache_dev_look(cm->dev, line, &look);
        if (look.way >= 0 || look.slot.cqid >= 0 ||
            home->devs & BIT(cm->number)) {
            QAPI_LIST_APPEND(tail, query_holder(cm, home, &look));
        }
    }
    return list;
}

static CxlCacheLineFilter *query_filter(const CXLCacheHomeLook *home)
{
    CxlCacheLineFilter *info = g_new0(CxlCacheLineFilter, 1);

    info->set = home->sf_set;
    info->has_way = home->sf_way >= 0;
    info->way = home->sf_way >= 0 ? home->sf_way : 0;
    info->exclusive = home->excl;
    return info;
}

static strList *query_asked(const CacheMemRegion *region, uint16_t asked)
{
    strList *list = NULL, **tail = &list;

    for (; asked; asked &= asked - 1) {
        const CacheMemDev *cm = device(region, ctz32(asked));

        if (cm) {
            QAPI_LIST_APPEND(tail,
                object_get_canonical_path(OBJECT(cm->config.dev)));
        }
    }
    return list;
}

static CxlCacheTransaction *query_transaction(const CacheMemRegion *region,
                                              const CXLCacheHomeLook *home)
{
    CxlCacheTransaction *info;
    const CacheMemDev *cm;

    if (home->uqid < 0) {
        return NULL;
    }
    cm = device(region, home->dev);
    info = g_new0(CxlCacheTransaction, 1);
    info->uqid = home->uqid;
    info->request = g_strdup(home->request);
    info->qom_path = cm ? object_get_canonical_path(OBJECT(cm->config.dev)) :
                     NULL;
    info->phase = home->phase - 1;
    info->asked = query_asked(region, home->asked);
    return info;
}

static CxlCacheLineInfo *query_line(CacheMemRegion *region,
                                    const CacheMemSection *s, uint64_t addr)
{
    CxlCacheLineInfo *info = g_new0(CxlCacheLineInfo, 1);
    uint64_t line = addr >> CXL_CACHE_LINE_SHIFT;
    uint8_t *mem = cache_mem_ram_mem(s, addr);
    CXLCacheHomeLook home;

    cxl_cache_home_look(region->home, line, &home);
    info->addr = addr;
    info->memory = g_strdup(memory_region_name(s->mr));
    info->obstacle = g_strdup(s->readonly ? "it is read-only" :
                              cache_mem_host_why_not(region, s));
    info->kept = !info->obstacle;
    info->data = hex(mem);
    info->poison = cache_mem_poison_has(region->poison, line, mem);
    info->filter = query_filter(&home);
    info->devices = query_holders(region, line, &home);
    info->transaction = query_transaction(region, &home);
    return info;
}

CxlCacheLineInfo *qmp_x_query_cxl_cache_line(uint64_t addr, Error **errp)
{
    CacheMemRegion *region = cache_mem_region_get();
    CacheMemSection *s;

    if (!region || !region->users) {
        error_setg(errp, "This machine has no CXL.cache device");
        return NULL;
    }
    QEMU_LOCK_GUARD(&region->lock);
    addr = QEMU_ALIGN_DOWN(addr, CXL_CACHE_LINE_SIZE);
    s = cache_mem_ram_find(region->ram, addr);
    if (!s) {
        error_setg(errp, "there is no RAM at 0x%" PRIx64 ": no device can have "
                   "a line of it", addr);
        return NULL;
    }
    return query_line(region, s, addr);
}

/* Printing */

static void print_bytes(Monitor *mon, const char *hex_digits)
{
    for (int i = 0; i < CXL_CACHE_LINE_SIZE; i += 16) {
        monitor_printf(mon, "    %02x  %.32s\n", i, hex_digits + 2 * i);
    }
}

static void print_place(Monitor *mon, uint32_t set, bool has_way, uint32_t way)
{
    if (has_way) {
        monitor_printf(mon, "set %u way %u", set, way);
    } else {
        monitor_printf(mon, "set %u, not there", set);
    }
}

static void print_holder(Monitor *mon, const CxlCacheLineDevice *info)
{
    monitor_printf(mon, "  device %s%s%s: %s, ", info->id ?: "",
                   info->id ? " " : "", info->qom_path, info->state);
    print_place(mon, info->set, info->has_way, info->way);
    monitor_printf(mon, "%s%s%s\n",
                   info->tracked ? "" : ", not in the snoop filter",
                   info->staged ? ", data are staged" : "",
                   info->poison ? ", poison" : "");
    if (info->has_cqid) {
        monitor_printf(mon, "    waits for its request of CQID %u\n",
                       info->cqid);
    }
    if (info->data) {
        print_bytes(mon, info->data);
    }
}

static void print_transaction(Monitor *mon, const CxlCacheTransaction *info)
{
    const strList *l;

    monitor_printf(mon, "  transaction of UQID %u: %s%s%s, phase %s\n",
                   info->uqid, info->request, info->qom_path ? " of " : "",
                   info->qom_path ?: "", CxlCachePhase_str(info->phase));
    for (l = info->asked; l; l = l->next) {
        monitor_printf(mon, "    waits for %s\n", l->value);
    }
}

static void print_line(Monitor *mon, const CxlCacheLineInfo *info)
{
    const CxlCacheLineDeviceList *l;

    monitor_printf(mon, "line 0x%" PRIx64 " of memory %s\n", info->addr,
                   info->memory);
    if (info->obstacle) {
        monitor_printf(mon, "  is not kept: %s\n", info->obstacle);
    }
    monitor_printf(mon, "  snoop filter: ");
    print_place(mon, info->filter->set, info->filter->has_way,
                info->filter->way);
    monitor_printf(mon, "%s\n", !info->filter->has_way ? "" :
                   info->filter->exclusive ? ", may be owned" : ", shared");
    monitor_printf(mon, "  RAM%s\n", info->poison ? ", poison" : "");
    print_bytes(mon, info->data);
    for (l = info->devices; l; l = l->next) {
        print_holder(mon, l->value);
    }
    if (info->transaction) {
        print_transaction(mon, info->transaction);
    }
}

void hmp_info_cxl_cache_line(Monitor *mon, const QDict *qdict)
{
    g_autoptr(CxlCacheLineInfo) info = NULL;
    Error *err = NULL;

    info = qmp_x_query_cxl_cache_line(qdict_get_int(qdict, "addr"), &err);
    if (!hmp_handle_error(mon, err)) {
        print_line(mon, info);
    }
}
