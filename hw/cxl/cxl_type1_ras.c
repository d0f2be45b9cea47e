/*
 * The RAS capability of a CXL Type 1 device
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_type1_ras.h"

static uint32_t get(const uint32_t *regs, unsigned offset)
{
    return ldl_le_p((const uint8_t *)regs + offset);
}

static void set(uint32_t *regs, unsigned offset, uint32_t value)
{
    stl_le_p((uint8_t *)regs + offset, value);
}

static void show(const CXLType1Ras *ras, uint32_t *regs)
{
    const CXLRasError *first = ras->records ? ras->record : NULL;
    uint32_t control = get(regs, A_CXL_RAS_ERR_CAP_CTRL);
    uint32_t status = ras->unrecorded;

    for (unsigned i = 0; i < ras->records; i++) {
        status |= BIT(ras->record[i].bit);
    }
    set(regs, A_CXL_RAS_UNC_ERR_STATUS, status);
    control = FIELD_DP32(control, CXL_RAS_ERR_CAP_CTRL, FIRST_ERROR_POINTER,
                         first ? first->bit : CXL_RAS_UNC_ERR_CXL_UNUSED);
    set(regs, A_CXL_RAS_ERR_CAP_CTRL, control);
    for (unsigned i = 0; first && i < CXL_RAS_HEADER_DWORDS; i++) {
        set(regs, A_CXL_RAS_ERR_HEADER0 + 4 * i, first->header[i]);
    }
}

bool cxl_type1_ras_uncorrectable(CXLType1Ras *ras, uint32_t *regs,
                                 const CXLRasError *error)
{
    uint32_t bit = BIT(error->bit);

    if (get(regs, A_CXL_RAS_UNC_ERR_MASK) & bit) {
        return false;
    }
    if (ras->records < CXL_TYPE1_RAS_RECORDS) {
        ras->record[ras->records++] = *error;
    } else {
        ras->unrecorded |= bit;
    }
    show(ras, regs);
    return true;
}

bool cxl_type1_ras_correctable(uint32_t *regs, unsigned bit)
{
    if (get(regs, A_CXL_RAS_COR_ERR_MASK) & BIT(bit)) {
        return false;
    }
    set(regs, A_CXL_RAS_COR_ERR_STATUS,
        get(regs, A_CXL_RAS_COR_ERR_STATUS) | BIT(bit));
    return true;
}

/* Forget the first record, or all of @ones */
static void forget(CXLType1Ras *ras, uint32_t ones)
{
    bool first = ras->records && ones == BIT(ras->record[0].bit);
    unsigned kept = 0;

    for (unsigned i = 0; i < ras->records; i++) {
        if (first ? i > 0 : !(BIT(ras->record[i].bit) & ones)) {
            ras->record[kept++] = ras->record[i];
        }
    }
    ras->records = kept;
    ras->unrecorded &= ~ones;
}

bool cxl_type1_ras_clear(CXLType1Ras *ras, uint32_t *regs, uint64_t offset,
                         uint32_t ones)
{
    switch (offset) {
    case A_CXL_RAS_UNC_ERR_STATUS:
        if (ras->records || ras->unrecorded) {
            forget(ras, ones);
            show(ras, regs);
        }
        return true;
    case A_CXL_RAS_COR_ERR_STATUS:
        set(regs, offset, get(regs, offset) & ~ones);
        return true;
    default:
        return false;
    }
}
