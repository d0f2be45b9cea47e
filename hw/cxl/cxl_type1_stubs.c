/*
 * Fault injection for CXL Type 1 devices, where there are none
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cxl.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"

static const char no_device[] =
    "this QEMU was built without CXL Type 1 devices";

void qmp_x_cxl_type1_fault(const char *id, CxlType1FaultKind fault,
                           bool has_point, CxlType1FaultPoint point,
                           bool has_after, uint32_t after,
                           bool has_count, uint32_t count,
                           bool has_channel, CxlCacheChannelType channel,
                           Error **errp)
{
    error_setg(errp, "%s", no_device);
}

CxlType1FaultInfo *qmp_x_query_cxl_type1_fault(const char *id, Error **errp)
{
    error_setg(errp, "%s", no_device);
    return NULL;
}

void hmp_cxl_type1_fault(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "%s\n", no_device);
}

void hmp_info_cxl_type1_fault(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "%s\n", no_device);
}
