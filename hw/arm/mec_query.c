/*
 * FEAT_MEC: the monitor's commands
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/arm/mec.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc-arm.h"
#include "qobject/qdict.h"

ArmMecPage *qmp_x_query_arm_mec(uint64_t addr, Error **errp)
{
    Object *obj = object_resolve_path_type("", TYPE_ARM_MEC, NULL);
    ArmMecPage *info;
    uint16_t mecid = 0;
    bool mixed = false;

    if (!obj) {
        error_setg(errp, "This machine has no memory encryption contexts "
                   "(-machine virt,mec=on)");
        return NULL;
    }
    if (!arm_mec_query(ARM_MEC(obj), addr, &mecid, &mixed)) {
        error_setg(errp, "Address 0x%" PRIx64 " is not in main RAM", addr);
        return NULL;
    }
    info = g_new0(ArmMecPage, 1);
    info->addr = addr & ~UINT64_C(0xfff);
    info->mecid = mecid;
    info->mixed = mixed;
    return info;
}

void hmp_info_arm_mec(Monitor *mon, const QDict *qdict)
{
    g_autoptr(ArmMecPage) info = NULL;
    Error *err = NULL;

    info = qmp_x_query_arm_mec(qdict_get_int(qdict, "addr"), &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "page 0x%" PRIx64 ": MECID %u%s\n", info->addr,
                   info->mecid,
                   info->mixed ? ", written by more than one context" : "");
}
