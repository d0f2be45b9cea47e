/*
 * CacheMemRegion: the host's cache on targets that have no CXL.cache
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

CxlLlcInfo *qmp_x_query_cxl_llc(bool has_address, uint64_t address,
                                bool has_slice, uint32_t slice,
                                bool has_set, uint32_t set, Error **errp)
{
    error_setg(errp, "CXL.cache is not available on this target");
    return NULL;
}

void hmp_info_cxl_llc(Monitor *mon, const QDict *qdict)
{
    monitor_printf(mon, "CXL.cache is not available on this target\n");
}
