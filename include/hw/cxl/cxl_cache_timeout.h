/*
 * CXL Timeout and Isolation of a root port, for CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the CXL Timeout and Isolation Capability Structure (CXL
 * r3.1 section 8.2.4.24), capability 0x09 of a root port, as far as it is about
 * CXL.cache; that of CXL.mem is said not to be supported.
 *
 *  - Transaction Timeout: all ranges. Of each the longest time that it allows
 *    is what is waited, see cxl_cache_timeout_ns(). It is the time that the
 *    host waits for an answer to a snoop, or for the data of a write. When it
 *    is over CXL.cache Transaction Timeout is set in the status.
 *  - Isolation (section 12.3): enabled, such a time-out isolates CXL.cache of
 *    all devices below the port. It ends when software writes 1 to CXL.cache
 *    Isolation Status. Link Down is not supported as a reason.
 *  - Both are told of: Isolation Interrupt, by MSI alone, when Isolation Status
 *    and the enable are set, not before; ERR_COR as a Corrected Internal Error.
 *    The message number is 1 if the port has been given two messages or more,
 *    else 0.
 *
 * Without isolation a time-out is recorded, and the host goes on waiting.
 *
 * The registers lie over those that the component has anyway, behind those of
 * cxl_cache_id.h.
 *
 * QEMU interface: cxl_type1_port.c makes one for each cxl-rp,cxl-cache=on.
 */

#ifndef HW_CXL_CACHE_TIMEOUT_H
#define HW_CXL_CACHE_TIMEOUT_H

#include "hw/cxl/cache_mem_region.h"
#include "hw/cxl/cxl.h"
#include "hw/pci/pci_device.h"

#define CXL_CACHE_TIMEOUT_CAP           0x09

#define CXL_CACHE_TIMEOUT_CAPABILITY    0x0
#define CXL_CACHE_TIMEOUT_CTRL          0x8
#define CXL_CACHE_TIMEOUT_STATUS        0xc
#define CXL_CACHE_TIMEOUT_SIZE          0x10

/* Capability: what is supported */
#define CXL_CACHE_TIMEOUT_CAP_RANGES    (0xf << 8)
#define CXL_CACHE_TIMEOUT_CAP_TIMEOUT   BIT(12)
#define CXL_CACHE_TIMEOUT_CAP_ISOLATION BIT(18)
#define CXL_CACHE_TIMEOUT_CAP_ERR_COR   BIT(25)
#define CXL_CACHE_TIMEOUT_CAP_INTERRUPT BIT(26)
#define CXL_CACHE_TIMEOUT_CAP_MESSAGE_SHIFT 27

/* Control: the value of cxl_cache_timeout_ns(), and what is enabled */
#define CXL_CACHE_TIMEOUT_CTRL_VALUE_SHIFT  8
#define CXL_CACHE_TIMEOUT_CTRL_TIMEOUT      BIT(12)
#define CXL_CACHE_TIMEOUT_CTRL_ISOLATION    BIT(18)
#define CXL_CACHE_TIMEOUT_CTRL_ERR_COR      BIT(25)
#define CXL_CACHE_TIMEOUT_CTRL_INTERRUPT    BIT(26)

/* Status: write 1 to clear */
#define CXL_CACHE_TIMEOUT_STATUS_TIMEOUT    BIT(4)
#define CXL_CACHE_TIMEOUT_STATUS_ISOLATION  BIT(12)

#define TYPE_CXL_CACHE_TIMEOUT "cxl-cache-timeout"
OBJECT_DECLARE_SIMPLE_TYPE(CXLCacheTimeout, CXL_CACHE_TIMEOUT)

/**
 * CXLCacheTimeout:
 * @port: the root port
 * @component: what the registers lie over
 * @ctrl: Control
 * @status: Status
 */
struct CXLCacheTimeout {
    Object parent_obj;

    PCIDevice *port;
    ComponentRegisters *component;
    MemoryRegion array;
    MemoryRegion header;
    MemoryRegion regs;
    uint32_t ctrl;
    uint32_t status;
};

/**
 * cxl_cache_timeout_ns: how long a value of Control is
 * @value: CXL.cache Transaction Timeout Value, 4 bits. Values that are not
 *         defined are as 0.
 */
uint64_t cxl_cache_timeout_ns(unsigned value);

/* For a root port, as it is realized */
void cxl_cache_timeout_new(PCIDevice *port, ComponentRegisters *component);

/* Of a port, NULL if it has none */
CXLCacheTimeout *cxl_cache_timeout_of(PCIDevice *port);

void cxl_cache_timeout_reset(PCIDevice *port);
void cxl_cache_timeout_exit(PCIDevice *port);

/* A device is about to be attached below the port */
void cxl_cache_timeout_config(PCIDevice *port, CacheMemDevConfig *config);

/* ... and has been */
void cxl_cache_timeout_attached(PCIDevice *port);

#endif /* HW_CXL_CACHE_TIMEOUT_H */
