/*
 * RME: granule protection checks of what devices below CXL root ports request
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: a root port without the RME-CDA DVSEC forces the security
 * state and the physical address space of each request to Non-secure (RBYTYV),
 * and the request is checked against the granule protection table. On hardware
 * it is the SMMU that checks (SMMU_ROOT_GPT_BASE and its like), for which
 * QEMU's has no registers. Here it is the port, with the table that firmware
 * has given the first CPU in GPTBR_EL3 and GPCCR_EL3, as soon as GPCCR_EL3.GPC
 * is set.
 *
 * Below a port with the DVSEC (hw/cxl/cxl_rme_cda.h), requests for what is
 * Realm's alone are Realm requests, in the port's memory encryption context:
 * there is no Realm stream table that would say it.
 *
 * Lines that a device has had for longer than their context may have the
 * granule are counted and told of.
 *
 * QEMU interface:
 *  + arm_gpc_dma_new() by a machine whose CPUs have FEAT_RME
 *  + QOM properties "refused", "last-address", "last-owner", "last-device",
 *    "last-reason"; "stale-context", "last-stale"
 */

#ifndef HW_ARM_GPC_DMA_H
#define HW_ARM_GPC_DMA_H

#include "qom/object.h"

#define TYPE_ARM_GPC_DMA "arm-gpc-dma"
OBJECT_DECLARE_SIMPLE_TYPE(ARMGPCDMAState, ARM_GPC_DMA)

/**
 * arm_gpc_dma_new: check the requests of devices below CXL root ports
 * @machine: becomes its parent
 *
 * Of those that are realized from now on.
 */
void arm_gpc_dma_new(Object *machine);

#endif
