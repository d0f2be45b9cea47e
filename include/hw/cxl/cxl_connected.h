/*
 * What is connected to a CXL port
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_CONNECTED_H
#define HW_CXL_CONNECTED_H

#include "hw/pci/pci_device.h"

/**
 * cxl_connected_type1: is it a CXL device with a cache and no memory?
 *
 * As its CXL Device DVSEC says (CXL r3.1 section 8.1.3.1).
 */
bool cxl_connected_type1(PCIDevice *dev);

#endif /* HW_CXL_CONNECTED_H */
