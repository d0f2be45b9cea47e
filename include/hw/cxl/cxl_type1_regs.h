/*
 * Registers of a CXL Type 1 device (CXL.io and CXL.cache, no memory)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What CXL r3.1 table 8-2 asks of a single-logical device (D2) that has a
 * cache and no memory:
 *
 *  - DVSEC 0, PCIe DVSEC for CXL Devices (section 8.1.3), with CONFIG_LOCK and
 *    the cache controls;
 *  - DVSEC 5, GPF DVSEC for CXL Device (section 8.1.7);
 *  - DVSEC 7, PCIe DVSEC for Flex Bus Port (section 8.1.8);
 *  - DVSEC 8, Register Locator (section 8.1.9), with the component registers
 *    as its only block;
 *  - Table Access DOE (section 8.1.11) with a CDAT of a header alone: the
 *    device has no memory that an entry could describe;
 *  - Device Serial Number (PCIe r6.0 section 7.9.3);
 *  - component registers with the RAS and Link capabilities, which are all
 *    that table 8-22 lets such a device have.
 *
 * QEMU interface: a PCI device embeds a CXLType1Regs, calls
 * cxl_type1_regs_init() at realize, forwards its config space accesses, its
 * conventional resets and its exit.
 */

#ifndef CXL_TYPE1_REGS_H
#define CXL_TYPE1_REGS_H

#include "hw/pci/pci_device.h"
#include "hw/pci/pcie_doe.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cache_mem_region.h"
#include "hw/cxl/cxl_type1_ras.h"
#include "hw/core/registerfields.h"

/* CXL r3.1 section 8.1.3; offsets are from the start of the DVSEC */
#define CXL_DEV_DVSEC_LENGTH           0x3c
#define CXL_DEV_DVSEC_REVID            3
REG16(CXL_DEV_CAP, 0x0a)
    FIELD(CXL_DEV_CAP, CACHE_CAPABLE, 0, 1)
    FIELD(CXL_DEV_CAP, IO_CAPABLE, 1, 1)
    FIELD(CXL_DEV_CAP, CACHE_WB_AND_INV_CAPABLE, 6, 1)
    FIELD(CXL_DEV_CAP, VIRAL_CAPABLE, 14, 1)
    FIELD(CXL_DEV_CAP, PM_INIT_COMPLETION_REPORTING, 15, 1)
REG16(CXL_DEV_CTRL, 0x0c)
    FIELD(CXL_DEV_CTRL, CACHE_ENABLE, 0, 1)
    FIELD(CXL_DEV_CTRL, IO_ENABLE, 1, 1)
    FIELD(CXL_DEV_CTRL, CACHE_SF_COVERAGE, 3, 5)
    FIELD(CXL_DEV_CTRL, CACHE_SF_GRANULARITY, 8, 3)
    FIELD(CXL_DEV_CTRL, CACHE_CLEAN_EVICTION, 11, 1)
    FIELD(CXL_DEV_CTRL, VIRAL_ENABLE, 14, 1)
REG16(CXL_DEV_STATUS, 0x0e)
    FIELD(CXL_DEV_STATUS, VIRAL_STATUS, 14, 1)
REG16(CXL_DEV_CTRL2, 0x10)
    FIELD(CXL_DEV_CTRL2, DISABLE_CACHING, 0, 1)
    FIELD(CXL_DEV_CTRL2, INITIATE_CACHE_WB_AND_INV, 1, 1)
REG16(CXL_DEV_STATUS2, 0x12)
    FIELD(CXL_DEV_STATUS2, CACHE_INVALID, 0, 1)
    FIELD(CXL_DEV_STATUS2, PM_INIT_COMPLETE, 15, 1)
REG16(CXL_DEV_LOCK, 0x14)
    FIELD(CXL_DEV_LOCK, CONFIG_LOCK, 0, 1)
REG16(CXL_DEV_CAP2, 0x16)
    FIELD(CXL_DEV_CAP2, CACHE_SIZE_UNIT, 0, 4)
    FIELD(CXL_DEV_CAP2, CACHE_SIZE, 8, 8)

/* CXL r3.1 section 8.2.1.3 */
#define CXL_FLEX_BUS_DVSEC_LENGTH      0x20
#define CXL_FLEX_BUS_DVSEC_REVID       2
REG16(CXL_FLEX_BUS_CAP, 0x0a)
    FIELD(CXL_FLEX_BUS_CAP, CACHE, 0, 1)
REG16(CXL_FLEX_BUS_CTRL, 0x0c)
    FIELD(CXL_FLEX_BUS_CTRL, CACHE, 0, 1)
REG16(CXL_FLEX_BUS_STATUS, 0x0e)

/*
 * CXL.cache and CXL.io over 68B flits.  That is what a Type 1 device is
 * capable of, and what it has negotiated with the port above it.
 */
#define CXL_FLEX_BUS_TYPE1             0x0023
/* ... and in 256B flits */
#define CXL_FLEX_BUS_TYPE1_256B        0x0003
#define CXL_FLEX_BUS_IO_ENABLE         0x0002

/**
 * CXLType1Regs:
 * @cache: what the cache controls control; set before cxl_type1_regs_init()
 * @cache_enable: Cache_Enable is set after reset; likewise
 * @flit_256b: the link has trained with 256B flits; likewise
 */
typedef struct CXLType1Regs {
    CacheMemDev *cache;
    bool cache_enable;
    bool flit_256b;
    CXLComponentState cstate;
    MemoryRegionOps cachemem_ops;
    CXLType1Ras ras;
    DOECap *doe;
    PCIDevice *pdev;
    uint16_t dev_dvsec;
    uint64_t cache_size;
} CXLType1Regs;

/**
 * cxl_type1_cache_size_enc: encode a cache size for DVSEC CXL Capability2
 * @size: bytes
 * @errp: set when the register cannot express @size
 *
 * The register counts 64 KiB or 1 MiB units, 255 of them at most; the smaller
 * unit is used where it can.
 *
 * Returns: the register's value, 0 on error
 */
uint16_t cxl_type1_cache_size_enc(uint64_t size, Error **errp);

/**
 * cxl_type1_regs_init: give @pdev the registers of a CXL Type 1 device
 * @regs: the state, zeroed
 * @pdev: a PCI Express endpoint below a CXL port
 * @offset: where in config space the extended capabilities may start
 * @bar: BAR for the 64 KiB of component registers (takes @bar + 1 as well)
 * @cache_size: bytes, accepted by cxl_type1_cache_size_enc()
 * @serial: the device serial number
 *
 * Returns: the first offset behind the capabilities
 */
uint16_t cxl_type1_regs_init(CXLType1Regs *regs, PCIDevice *pdev,
                             uint16_t offset, int bar, uint64_t cache_size,
                             uint64_t serial);

/**
 * cxl_type1_regs_exit: free what cxl_type1_regs_init() allocated
 */
void cxl_type1_regs_exit(CXLType1Regs *regs);

/**
 * cxl_type1_regs_reset: conventional reset
 *
 * Not to be called for a function level reset, which has no effect on these
 * registers or on anything cached (CXL r3.1 section 9.5).
 */
void cxl_type1_regs_reset(CXLType1Regs *regs);

/**
 * cxl_type1_regs_config_read: config space reads that need more than bytes
 * @val: filled in when the access is for these registers
 *
 * Returns: true if the access was for these registers
 */
bool cxl_type1_regs_config_read(CXLType1Regs *regs, uint32_t addr, int len,
                                uint32_t *val);

/**
 * cxl_type1_regs_config_write: what a write to config space causes
 *
 * To be called after the write has reached the device's config space through
 * the write masks.
 */
void cxl_type1_regs_config_write(CXLType1Regs *regs, uint32_t addr,
                                 uint32_t val, int len);

/**
 * cxl_type1_regs_protocol_error: note a CXL.cache protocol error
 *
 * In the RAS Capability Structure (CXL r3.1 section 8.2.4.17), unless masked
 * there, and as an Uncorrectable Internal Error by AER (section 12.2.1).
 */
void cxl_type1_regs_protocol_error(CXLType1Regs *regs, CXLCacheError err);

/**
 * cxl_type1_regs_error: note an uncorrectable error, likewise
 * @bit: CXL_RAS_UNC_ERR_* of the Uncorrectable Error Status Register
 */
void cxl_type1_regs_error(CXLType1Regs *regs, unsigned bit);

/**
 * cxl_type1_regs_uncorrectable: note @n uncorrectable errors, with headers
 *
 * AER has one Uncorrectable Internal Error of all that are not masked.
 */
void cxl_type1_regs_uncorrectable(CXLType1Regs *regs, const CXLRasError *errors,
                                  unsigned n);

/**
 * cxl_type1_regs_correctable: note a correctable error
 * @bit: CXL_RAS_COR_ERR_* of the Correctable Error Status Register
 *
 * Unless masked there, and as a Corrected Internal Error by AER.
 */
void cxl_type1_regs_correctable(CXLType1Regs *regs, unsigned bit);

/**
 * cxl_type1_regs_viral: the device becomes viral, or is it no more
 *
 * Viral_Status (CXL r3.1 section 8.1.3.3), and on entry an Uncorrectable
 * Internal Error by AER.
 */
void cxl_type1_regs_viral(CXLType1Regs *regs, bool viral);

#endif
