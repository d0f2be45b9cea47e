/*
 * RME-CDA root ports, where there are none
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_rme_cda.h"

CXLRmeCdaVerdict cxl_rme_cda_check(const PCIDevice *root_port, uint16_t rid,
                                   bool realm)
{
    return realm ? CXL_RME_CDA_NONE : CXL_RME_CDA_PASS;
}

const char *cxl_rme_cda_reason(CXLRmeCdaVerdict verdict)
{
    return "";
}

uint16_t cxl_rme_cda_mecid(const PCIDevice *root_port)
{
    return 0;
}

void cxl_rme_cda_lost(const PCIDevice *root_port)
{
}
