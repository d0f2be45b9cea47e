/*
 * CXL.cache capability of a CXL port
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stock cxl-rp offers CXL.io and CXL.mem only, so by its registers no cache
 * device may stand below it.  This adds what CXL.cache needs:
 *
 *  - Flex Bus Port DVSEC (CXL r3.1 section 8.2.1.3): the Cache capability, its
 *    enable, and the negotiated status while a cache device is below;
 *  - Snoop Filter Capability Structure (CXL r3.1 section 8.2.4.23): the group
 *    and the capacity of the filter that tracks the devices' lines;
 *  - CXL Timeout and Isolation Capability Structure (CXL r3.1 section
 *    8.2.4.24), see cxl_cache_timeout.h;
 *  - with 256B flits, the registers of cxl_cache_id.h;
 *  - an entry in those of its host bridge, see cxl_ext_security.h;
 *  - with rme-cda=on, the DVSEC of cxl_rme_cda.h.
 *
 * The ports of a switch, which stand on the way from such a device to its root
 * port, get the first and the last but one of them.
 *
 * And, for whatever CXL device is below a port with or without CXL.cache:
 *
 *  - Secondary Bus Reset has an effect only while UnmaskSBR of the Extensions
 *    DVSEC for Ports is set (CXL r3.1 section 8.1.5.2).
 *
 * QEMU interface:
 *  + the class of the port, cxl-rp, cxl-upstream or cxl-downstream, calls
 *    cxl_type1_port_class_init(), last of all.  The port itself knows nothing
 *    else of this: what is kept about it is in an object of its own, the port's
 *    child "cxl-cache-port".
 *  + "cxl-cache" (bool, default off): the port offers CXL.cache.  Off leaves
 *    every register as it was.  The other properties but the next are the
 *    root port's.
 *  + "trust-level" (enum, default trusted; of cxl-downstream, too): what
 *    firmware writes as Trust Level for what is below: "trusted",
 *    "device-memory" or "untrusted".  The last two have all CXL.cache requests
 *    aborted (cxl_cache_path.h).
 *  + "cxl-cache-sf-size" (size, default 16 MiB): how much cached memory the
 *    snoop filter can track; a multiple of 64 KiB.
 *  + "cxl-cache-sf-group" (uint32): the port's filter is that of a group of
 *    ports, 0 to 15; by default all ports share one.
 *  + "cxl-cache-prefetch" (uint32, default 32): pages whose lines the host
 *    takes home at once when it finds that one touch follows the other; 0 for
 *    none.
 *  + "x-gear" (enum, default auto): "messages" sends every message where the
 *    fast gear (hw/cxl/cxl_cache_gear.h) would do.
 *  + "cxl-cache-latency" (uint64, ns), "cxl-cache-bandwidth" (size, bytes per
 *    second; 0 is no limit), "cxl-cache-depth" (uint16, default 64: buffers in
 *    each channel), "cxl-cache-credits" (uint16, default all: of them, those
 *    that are granted; a buffer without a credit is never used), "x-jitter"
 *    (uint64, a seed): with any of them set the link has time
 *    (hw/cxl/cxl_cache_time.h).
 *  + a device with a cache calls cxl_type1_port_check() and
 *    cxl_type1_port_attach() at realize, and tells when its link comes up and
 *    goes down.
 */

#ifndef CXL_TYPE1_PORT_H
#define CXL_TYPE1_PORT_H

#include "hw/cxl/cache_mem_region.h"
#include "hw/pci/pci_device.h"

/**
 * cxl_type1_port_class_init: let the ports of a class offer CXL.cache
 * @oc: a class of CXL ports, after its own realize, reset and writes of config
 *      space have been set
 */
void cxl_type1_port_class_init(ObjectClass *oc);

/**
 * cxl_type1_port_above: the port that @pdev is plugged into, NULL for none
 */
PCIDevice *cxl_type1_port_above(PCIDevice *pdev);

/**
 * cxl_type1_port_check: can @pdev use CXL.cache where it has been plugged in?
 * @errp: set when it cannot, with a hint at what to do
 *
 * Reads the Cache_Capable bit out of the port's Flex Bus Port DVSEC, as the
 * other end of the link would.
 */
bool cxl_type1_port_check(PCIDevice *pdev, Error **errp);

/**
 * cxl_type1_port_attach: give @pdev a cache
 * @pdev: a device for which cxl_type1_port_check() holds
 * @config: all but @config->dev and what the port says
 * @errp: set when @config cannot be had
 *
 * Returns: as cache_mem_dev_new()
 */
CacheMemDev *cxl_type1_port_attach(PCIDevice *pdev, CacheMemDevConfig *config,
                                   Error **errp);

/**
 * cxl_type1_port_link_up: @pdev has trained
 * @pdev: a device for which cxl_type1_port_check() holds
 *
 * Shows CXL.io and CXL.cache as what the port has negotiated, and with 256B
 * flits does firmware's part for a Cache ID.
 */
void cxl_type1_port_link_up(PCIDevice *pdev);

/**
 * cxl_type1_port_link_down: the link of @pdev is gone
 *
 * The port shows what it showed before cxl_type1_port_link_up(); nothing
 * happens if the link is down.
 */
void cxl_type1_port_link_down(PCIDevice *pdev);

#endif
