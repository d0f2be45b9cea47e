/*
 * What is connected to a CXL port
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_connected.h"
#include "hw/pci/pcie.h"

/* CXL r3.1 section 8.1.3.1: DVSEC CXL Capability */
#define DVSEC_CXL_CAP       0x0a
#define CACHE_CAPABLE       BIT(0)
#define MEM_CAPABLE         BIT(2)

/* The CXL Device DVSEC, or NULL */
static const uint8_t *device_dvsec(PCIDevice *dev)
{
    uint16_t pos = pci_is_express(dev) ? PCI_CONFIG_SPACE_SIZE : 0;

    while (pos) {
        const uint8_t *cap = dev->config + pos;
        uint32_t header = pci_get_long(cap);

        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_DVSEC &&
            pci_get_word(cap + PCIE_DVSEC_HEADER1_OFFSET) == CXL_VENDOR_ID &&
            pci_get_word(cap + PCIE_DVSEC_ID_OFFSET) == PCIE_CXL_DEVICE_DVSEC) {
            return cap;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return NULL;
}

bool cxl_connected_type1(PCIDevice *dev)
{
    const uint8_t *dvsec = device_dvsec(dev);
    uint16_t cap = dvsec ? pci_get_word(dvsec + DVSEC_CXL_CAP) : 0;

    return (cap & (CACHE_CAPABLE | MEM_CAPABLE)) == CACHE_CAPABLE;
}
