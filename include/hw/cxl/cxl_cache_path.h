/*
 * The way of CXL.cache between a device and its host, over ports and switches
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device with a cache is below a root port, or below a downstream port of a
 * switch that is. Every port on the way has to offer CXL.cache. In 68B flits
 * there can be one such device below a root port. In 256B flits messages carry
 * a Cache ID, which the registers of cxl_cache_id.h insert and route: requests
 * of a device that no committed Cache ID leads to are aborted.
 *
 * Firmware does not run here: by default a device gets the lowest Cache ID that
 * is free below its host bridge when its link comes up, and ports on the way
 * are programmed for it. A guest may do it otherwise.
 *
 * A device's memory is the host's, so of the Trust Levels only CXL_TRUST_ALL
 * lets its requests through; all others have them aborted. There are two on its
 * way: the host bridge's for all below a root port (cxl_ext_security.h), and in
 * 256B flits that of the Cache ID Decoder above the device.
 */

#ifndef HW_CXL_CACHE_PATH_H
#define HW_CXL_CACHE_PATH_H

#include "hw/cxl/cache_mem_region.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_ext_security.h"
#include "hw/pci/pci_device.h"

/* What "cache-id" can be besides a number */
#define CXL_CACHE_ID_AUTO   (-1)
#define CXL_CACHE_ID_NONE   (-2)

/* The port that a device, or a switch, is plugged into; NULL for none */
PCIDevice *cxl_cache_path_above(PCIDevice *pdev);

/* The root port of all that @pdev is below, NULL if there is none */
PCIDevice *cxl_cache_path_root_port(PCIDevice *pdev);

/* What a port is called in messages */
char *cxl_cache_path_name(PCIDevice *port);

/**
 * cxl_cache_path_check: does every port above @pdev offer CXL.cache?
 * @errp: set if not, and names the first that does not
 */
bool cxl_cache_path_check(PCIDevice *pdev, Error **errp);

/**
 * cxl_cache_path_admit: can @pdev be told apart from the others there?
 * @flit_256b: it uses 256B flits
 * @cache_id: "auto", "none" or a number; NULL for "auto"
 * @trust: what the port above it presets
 * @errp: set if not, or if @cache_id is no such thing
 */
bool cxl_cache_path_admit(PCIDevice *pdev, bool flit_256b,
                          const char *cache_id, CXLTrustLevel trust,
                          Error **errp);

/**
 * cxl_cache_path_up: the link of a device with a cache has come up
 * @flit_256b: and @cache_id, @trust: as in cxl_cache_path_admit(), which has
 *             been called
 *
 * Does firmware's part, unless @cache_id is "none".
 */
void cxl_cache_path_up(PCIDevice *pdev, bool flit_256b, const char *cache_id,
                       CXLTrustLevel trust);

/**
 * cxl_cache_path_check_trust: can there be a limit of trust in a root port?
 * @level: no further than that
 * @errp: set if there is no host bridge whose registers could say so
 */
bool cxl_cache_path_check_trust(PCIDevice *root_port, CXLTrustLevel level,
                                Error **errp);

/**
 * cxl_cache_path_trust: have the host bridge trust what is below a root port
 * @level: what firmware says, now and after each reset
 */
void cxl_cache_path_trust(PCIDevice *root_port, CXLTrustLevel level);

/**
 * cxl_cache_path_add_port: give a port its part of the registers
 * @port: a root port, or a port of a switch, with 256B flits
 * @component: its component registers
 *
 * With the first root port its host bridge gets a Cache ID Route Table.
 */
void cxl_cache_path_add_port(PCIDevice *port, ComponentRegisters *component);
void cxl_cache_path_reset_port(PCIDevice *port);
void cxl_cache_path_remove_port(PCIDevice *port);

#endif /* HW_CXL_CACHE_PATH_H */
