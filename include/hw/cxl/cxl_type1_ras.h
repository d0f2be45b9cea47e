/*
 * The RAS capability of a CXL Type 1 device
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the RAS Capability Structure (CXL r3.1 section 8.2.4.17)
 * with multiple header recording as PCIe r6.0 section 6.2.4.2 has it. Errors
 * are recorded in the order in which they happen. First Error Pointer and
 * Header Log show the oldest; clearing its status bit, and no other, shows the
 * next one. Clearing several at once, as software does that knows nothing of
 * this, forgets all records of these. Without a record the pointer names a bit
 * that there is not.
 *
 * Where there is no room for a record an error sets its status bit alone.
 */

#ifndef CXL_TYPE1_RAS_H
#define CXL_TYPE1_RAS_H

#include "hw/cxl/cxl_ras.h"

#define CXL_TYPE1_RAS_RECORDS   16

/**
 * CXLType1Ras:
 * @record: the @records errors that are to be shown, the oldest first
 * @unrecorded: status bits of errors that found no room
 */
typedef struct CXLType1Ras {
    CXLRasError record[CXL_TYPE1_RAS_RECORDS];
    unsigned records;
    uint32_t unrecorded;
} CXLType1Ras;

/* @regs below is the block of CXL.cachemem registers that it all is in. */

/**
 * cxl_type1_ras_uncorrectable: an error happens
 *
 * Returns: whether it is to be told; false if it is masked, and left no trace
 */
bool cxl_type1_ras_uncorrectable(CXLType1Ras *ras, uint32_t *regs,
                                 const CXLRasError *error);

/**
 * cxl_type1_ras_correctable: likewise, of bit CXL_RAS_COR_ERR_*
 */
bool cxl_type1_ras_correctable(uint32_t *regs, unsigned bit);

/**
 * cxl_type1_ras_clear: ones are written to an error status register
 * @offset: of what is written to
 *
 * Returns: false if that is another register
 */
bool cxl_type1_ras_clear(CXLType1Ras *ras, uint32_t *regs, uint64_t offset,
                         uint32_t ones);

#endif /* CXL_TYPE1_RAS_H */
