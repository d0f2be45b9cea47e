/*
 * RME-CDA: a CXL root port that lets Realm requests of devices pass
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the Coherent RME-DA DVSEC (RGVRQC) of Arm's RME system
 * architecture, and what its control registers gate:
 *
 *  - TDISP_EN = 0: Realm requests are rejected (RNYCLL);
 *  - TDISP_EN = 1: they pass while LINK_STR_LOCK is 1, and IDE is active or, as
 *    here, not supported (RGTVGZ);
 *  - LINK_STR_LOCK = 1: all requests of Requester IDs beyond RID_BASE and
 *    RID_LIMIT are rejected, and all while RID_RANGE_VALID is 0 (RXQHNG);
 *  - modified Realm lines that a cache has dropped put the interface of what
 *    is below in ERROR (RJZQCP): no Realm request passes then. There is no
 *    TDISP to leave that state by: software clears TDISP_EN, or resets the
 *    port.
 *
 * Offsets, the DVSEC's ID and its fields are those that Arm's public RME
 * architecture compliance suite looks for. FIRST_TEE_CKID, of CXL.mem, can be
 * written and has no effect. The registers are to be written by Realm
 * management security domain software alone (RWPGJB); config space does not
 * know who writes, so here anybody can.
 *
 * Which requests are Realm requests, and which granules are Realm's, is up to
 * who checks them (hw/arm/gpc_dma.h). Without such a machine nothing is.
 *
 * QEMU interface:
 *  + "rme-cda" (bool, default off) of cxl-rp: the port has all of this
 *  + "realm-mecid" (uint16, default 0) of cxl-rp: memory encryption context of
 *    the Realm requests from below it
 *  + the port's child "rme-cda-port": "tdi-error" (bool)
 */

#ifndef HW_CXL_RME_CDA_H
#define HW_CXL_RME_CDA_H

#include "hw/pci/pci_device.h"

#define CXL_RME_CDA_VENDOR_ID       0x13b5
#define CXL_RME_CDA_DVSEC_ID        0xff03
#define CXL_RME_CDA_LENGTH          0x1c

#define CXL_RME_CDA_CTL1            0x0c
#define CXL_RME_CDA_CTL1_TDISP_EN       BIT(0)
#define CXL_RME_CDA_CTL1_LINK_STR_LOCK  BIT(1)
#define CXL_RME_CDA_CTL1_FIRST_TEE_CKID MAKE_64BIT_MASK(16, 13)
#define CXL_RME_CDA_CTL2            0x10
#define CXL_RME_CDA_CTL3            0x14
#define CXL_RME_CDA_CTL4            0x18
#define CXL_RME_CDA_CTL4_RID_VALID      BIT(0)
/* RID_LIMIT of CTL3, RID_BASE of CTL4 */
#define CXL_RME_CDA_RID_SHIFT       8
#define CXL_RME_CDA_RID_MASK            MAKE_64BIT_MASK(8, 16)

/* Why a request does not pass */
typedef enum CXLRmeCdaVerdict {
    CXL_RME_CDA_PASS,
    CXL_RME_CDA_NONE,           /* RBYTYV */
    CXL_RME_CDA_NO_TDISP,       /* RNYCLL */
    CXL_RME_CDA_UNLOCKED,       /* RGTVGZ */
    CXL_RME_CDA_ERROR,          /* RJZQCP */
    CXL_RME_CDA_RID,            /* RXQHNG */
    CXL_RME_CDA_NUM_VERDICTS
} CXLRmeCdaVerdict;

/**
 * cxl_rme_cda_check: does a root port let a request pass?
 * @root_port: with RME-CDA or not
 * @rid: Requester ID of the device below it
 * @realm: it is a Realm request
 *
 * May be called by any thread.
 */
CXLRmeCdaVerdict cxl_rme_cda_check(const PCIDevice *root_port, uint16_t rid,
                                   bool realm);

/** cxl_rme_cda_reason: a verdict in words, for messages */
const char *cxl_rme_cda_reason(CXLRmeCdaVerdict verdict);

/** cxl_rme_cda_mecid: the context of the Realm requests from below a port */
uint16_t cxl_rme_cda_mecid(const PCIDevice *root_port);

/**
 * cxl_rme_cda_lost: modified Realm lines of a device below a port are lost
 *
 * May be called by any thread.
 */
void cxl_rme_cda_lost(const PCIDevice *root_port);

/* For the class of root ports, which calls each at its time */

/** cxl_rme_cda_class_init: give a class of root ports the properties */
void cxl_rme_cda_class_init(ObjectClass *oc);

/**
 * cxl_rme_cda_check_config: are the properties of a port right?
 * @errp: set if not
 */
bool cxl_rme_cda_check_config(const PCIDevice *root_port, Error **errp);

/** cxl_rme_cda_realize: add the DVSEC to a port that is to have it */
void cxl_rme_cda_realize(PCIDevice *root_port);

/** cxl_rme_cda_reset: registers at their reset values, no error */
void cxl_rme_cda_reset(PCIDevice *root_port);

/** cxl_rme_cda_written: config space of a port has been written */
void cxl_rme_cda_written(PCIDevice *root_port);

#endif /* HW_CXL_RME_CDA_H */
