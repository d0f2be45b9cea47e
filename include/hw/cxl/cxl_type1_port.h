/*
 * CXL.cache side of a root port
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stock cxl-rp offers CXL.io and CXL.mem only, so by its registers no cache
 * device may stand below it.  This adds what CXL.cache needs:
 *
 *  - Flex Bus Port DVSEC (CXL r3.1 section 8.2.1.3): the Cache capability, its
 *    enable, and the negotiated status while a cache device is below;
 *  - Snoop Filter Capability Structure (CXL r3.1 section 8.2.4.23): the group
 *    and the capacity of the filter that tracks the devices' lines.
 *
 * QEMU interface:
 *  + "cxl-cache" (bool, default off): the port offers CXL.cache.  Off leaves
 *    every register as it was.
 *  + "cxl-cache-sf-size" (size, default 16 MiB): how much cached memory the
 *    snoop filter can track; a multiple of 64 KiB.
 */

#ifndef CXL_TYPE1_PORT_H
#define CXL_TYPE1_PORT_H

#include "qemu/units.h"
#include "hw/pci/pci_device.h"

#define CXL_SNOOP_FILTER_UNIT          (64 * KiB)
#define CXL_SNOOP_FILTER_DEFAULT_SIZE  (16 * MiB)

typedef struct CXLType1Port {
    bool cache;
    uint64_t sf_size;
} CXLType1Port;

/**
 * cxl_type1_port_init: make @pdev's Flex Bus Port DVSEC offer CXL.cache
 * @port: the port's options; nothing is done unless @port->cache is set
 * @pdev: the root port; its DVSECs must have been created
 * @errp: set when @port->sf_size is no size a snoop filter can have
 *
 * Returns: true on success
 */
bool cxl_type1_port_init(const CXLType1Port *port, PCIDevice *pdev,
                         Error **errp);

/**
 * cxl_type1_port_reset: fill in the Snoop Filter Capability Structure
 * @port: the port's options; nothing is done unless @port->cache is set
 * @cache_mem_registers: the port's CXL.cachemem registers, little endian
 *
 * To be called after the registers got their reset values.
 */
void cxl_type1_port_reset(const CXLType1Port *port,
                          uint32_t *cache_mem_registers);

/**
 * cxl_type1_port_offers_cache: does @pdev offer CXL.cache to what is below it?
 * @pdev: any PCI device
 *
 * Reads the Cache_Capable bit out of the Flex Bus Port DVSEC, as the other end
 * of the link would.
 */
bool cxl_type1_port_offers_cache(PCIDevice *pdev);

/**
 * cxl_type1_port_sf_size: bytes that @pdev's snoop filter can track
 * @pdev: a port for which cxl_type1_port_offers_cache() holds
 */
uint64_t cxl_type1_port_sf_size(PCIDevice *pdev);

/**
 * cxl_type1_port_link_up: a cache device has trained below @pdev
 * @pdev: a port for which cxl_type1_port_offers_cache() holds
 *
 * Shows CXL.io and CXL.cache in 68B flit mode as the negotiated protocols.
 *
 * Returns: what the negotiated status was, for cxl_type1_port_link_down()
 */
uint16_t cxl_type1_port_link_up(PCIDevice *pdev);

/**
 * cxl_type1_port_link_down: the cache device below @pdev is gone
 * @pdev: the port given to cxl_type1_port_link_up()
 * @status: what that call returned
 */
void cxl_type1_port_link_down(PCIDevice *pdev, uint16_t status);

#endif
