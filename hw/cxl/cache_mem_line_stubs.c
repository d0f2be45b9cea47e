/*
 * CacheMemRegion: looking at a line on targets that have no CXL.cache
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

CxlCacheLineInfo *qmp_x_query_cxl_cache_line(uint64_t addr, Error **errp)
{
    error_setg(errp, "CXL.cache is not available on this target");
    return NULL;
}

void hmp_info_cxl_cache_line(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "CXL.cache is not available on this target\n");
}
