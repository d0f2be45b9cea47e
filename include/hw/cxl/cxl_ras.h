/*
 * CXL devices that errors can be injected into
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * QMP cxl-inject-uncorrectable-errors and cxl-inject-correctable-error hand a
 * device that has this interface what they would do to a cxl-type3 themselves:
 * errors of the RAS Capability Structure (CXL r3.1 section 8.2.4.17), which
 * the device shows and tells of.
 */

#ifndef HW_CXL_RAS_H
#define HW_CXL_RAS_H

#include "qapi/qapi-types-cxl.h"
#include "qom/object.h"

/* Section 8.2.4.17.7: the Header Log Register has 512 bits */
#define CXL_RAS_HEADER_DWORDS   16

/**
 * CXLRasError: an uncorrectable error
 * @bit: CXL_RAS_UNC_ERR_* of the Uncorrectable Error Status Register
 * @header: what the Header Log shows of it, in its order
 */
typedef struct CXLRasError {
    uint8_t bit;
    uint32_t header[CXL_RAS_HEADER_DWORDS];
} CXLRasError;

#define TYPE_CXL_RAS_DEVICE "cxl-ras-device"
typedef struct CXLRasDevice CXLRasDevice;
typedef struct CXLRasDeviceClass CXLRasDeviceClass;
DECLARE_CLASS_CHECKERS(CXLRasDeviceClass, CXL_RAS_DEVICE, TYPE_CXL_RAS_DEVICE)
#define CXL_RAS_DEVICE(obj) \
    INTERFACE_CHECK(CXLRasDevice, (obj), TYPE_CXL_RAS_DEVICE)

/**
 * CXLRasDeviceClass:
 * @uncorrectable: @n errors happen at once, in this order
 * @correctable: an error of CXL_RAS_COR_ERR_* happens
 *
 * Both set @errp where nothing can happen. An error that the device's registers
 * mask is none: nobody hears of it.
 */
struct CXLRasDeviceClass {
    InterfaceClass parent_class;

    void (*uncorrectable)(CXLRasDevice *dev, const CXLRasError *errors,
                          unsigned n, Error **errp);
    void (*correctable)(CXLRasDevice *dev, unsigned bit, Error **errp);
};

/**
 * cxl_ras_inject_uncorrectable: as QMP cxl-inject-uncorrectable-errors
 * @dev: the device
 * @list: what is to happen
 * @errp: set when the list makes no sense, or the device cannot have it; then
 *        nothing has happened
 */
void cxl_ras_inject_uncorrectable(CXLRasDevice *dev,
                                  const CXLUncorErrorRecordList *list,
                                  Error **errp);

/**
 * cxl_ras_inject_correctable: as QMP cxl-inject-correctable-error
 */
void cxl_ras_inject_correctable(CXLRasDevice *dev, CxlCorErrorType type,
                                Error **errp);

#endif /* HW_CXL_RAS_H */
