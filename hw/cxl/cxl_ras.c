/*
 * CXL devices that errors can be injected into
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_ras.h"

static const uint8_t uncorrectable_bit[] = {
    [CXL_UNCOR_ERROR_TYPE_CACHE_DATA_PARITY] =
        CXL_RAS_UNC_ERR_CACHE_DATA_PARITY,
    [CXL_UNCOR_ERROR_TYPE_CACHE_ADDRESS_PARITY] =
        CXL_RAS_UNC_ERR_CACHE_ADDRESS_PARITY,
    [CXL_UNCOR_ERROR_TYPE_CACHE_BE_PARITY] = CXL_RAS_UNC_ERR_CACHE_BE_PARITY,
    [CXL_UNCOR_ERROR_TYPE_CACHE_DATA_ECC] = CXL_RAS_UNC_ERR_CACHE_DATA_ECC,
    [CXL_UNCOR_ERROR_TYPE_MEM_DATA_PARITY] = CXL_RAS_UNC_ERR_MEM_DATA_PARITY,
    [CXL_UNCOR_ERROR_TYPE_MEM_ADDRESS_PARITY] =
        CXL_RAS_UNC_ERR_MEM_ADDRESS_PARITY,
    [CXL_UNCOR_ERROR_TYPE_MEM_BE_PARITY] = CXL_RAS_UNC_ERR_MEM_BE_PARITY,
    [CXL_UNCOR_ERROR_TYPE_MEM_DATA_ECC] = CXL_RAS_UNC_ERR_MEM_DATA_ECC,
    [CXL_UNCOR_ERROR_TYPE_REINIT_THRESHOLD] = CXL_RAS_UNC_ERR_REINIT_THRESHOLD,
    [CXL_UNCOR_ERROR_TYPE_RSVD_ENCODING] = CXL_RAS_UNC_ERR_RSVD_ENCODING,
    [CXL_UNCOR_ERROR_TYPE_POISON_RECEIVED] = CXL_RAS_UNC_ERR_POISON_RECEIVED,
    [CXL_UNCOR_ERROR_TYPE_RECEIVER_OVERFLOW] =
        CXL_RAS_UNC_ERR_RECEIVER_OVERFLOW,
    [CXL_UNCOR_ERROR_TYPE_INTERNAL] = CXL_RAS_UNC_ERR_INTERNAL,
    [CXL_UNCOR_ERROR_TYPE_CXL_IDE_TX] = CXL_RAS_UNC_ERR_CXL_IDE_TX,
    [CXL_UNCOR_ERROR_TYPE_CXL_IDE_RX] = CXL_RAS_UNC_ERR_CXL_IDE_RX,
};

static const uint8_t correctable_bit[] = {
    [CXL_COR_ERROR_TYPE_CACHE_DATA_ECC] = CXL_RAS_COR_ERR_CACHE_DATA_ECC,
    [CXL_COR_ERROR_TYPE_MEM_DATA_ECC] = CXL_RAS_COR_ERR_MEM_DATA_ECC,
    [CXL_COR_ERROR_TYPE_CRC_THRESHOLD] = CXL_RAS_COR_ERR_CRC_THRESHOLD,
    [CXL_COR_ERROR_TYPE_RETRY_THRESHOLD] = CXL_RAS_COR_ERR_RETRY_THRESHOLD,
    [CXL_COR_ERROR_TYPE_CACHE_POISON_RECEIVED] =
        CXL_RAS_COR_ERR_CACHE_POISON_RECEIVED,
    [CXL_COR_ERROR_TYPE_MEM_POISON_RECEIVED] =
        CXL_RAS_COR_ERR_MEM_POISON_RECEIVED,
    [CXL_COR_ERROR_TYPE_PHYSICAL] = CXL_RAS_COR_ERR_PHYSICAL,
};

QEMU_BUILD_BUG_ON(ARRAY_SIZE(uncorrectable_bit) !=
                  CXL_UNCOR_ERROR_TYPE__MAX);
QEMU_BUILD_BUG_ON(ARRAY_SIZE(correctable_bit) != CXL_COR_ERROR_TYPE__MAX);

static bool take_record(CXLRasError *error, const CXLUncorErrorRecord *record,
                        Error **errp)
{
    const uint32List *h;
    unsigned n = 0;

    error->bit = uncorrectable_bit[record->type];
    for (h = record->header; h; h = h->next) {
        if (n == CXL_RAS_HEADER_DWORDS) {
            error_setg(errp, "'header' has more than the %d DWORDs of the "
                       "Header Log", CXL_RAS_HEADER_DWORDS);
            return false;
        }
        error->header[n++] = h->value;
    }
    return true;
}

void cxl_ras_inject_uncorrectable(CXLRasDevice *dev,
                                  const CXLUncorErrorRecordList *list,
                                  Error **errp)
{
    g_autofree CXLRasError *errors = g_new0(CXLRasError,
                                            QAPI_LIST_LENGTH(list));
    unsigned n = 0;

    for (; list; list = list->next) {
        if (!take_record(&errors[n++], list->value, errp)) {
            return;
        }
    }
    if (n) {
        CXL_RAS_DEVICE_GET_CLASS(dev)->uncorrectable(dev, errors, n, errp);
    }
}

void cxl_ras_inject_correctable(CXLRasDevice *dev, CxlCorErrorType type,
                                Error **errp)
{
    CXL_RAS_DEVICE_GET_CLASS(dev)->correctable(dev, correctable_bit[type],
                                               errp);
}

static const TypeInfo ras_device_info = {
    .name = TYPE_CXL_RAS_DEVICE,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(CXLRasDeviceClass),
};

static void cxl_ras_register_types(void)
{
    type_register_static(&ras_device_info);
}

type_init(cxl_ras_register_types)
