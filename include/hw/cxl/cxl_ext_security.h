/*
 * CXL Extended Security: how far a host bridge trusts what is below its ports
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the CXL Extended Security Capability Structure (0x06) of a
 * host bridge (CXL r3.1 section 8.2.4.21).  It has an entry for each root port
 * that offers CXL.cache, in the order of their addresses: the Trust Level of
 * all that is below, and the port's number.  At reset nothing is trusted; what
 * firmware makes of it is preset.
 *
 * The registers lie over those that the component has anyway, as those of
 * cxl_cache_id.h do.  What a Trust Level means for a request is in
 * cxl_cache_path.h.
 */

#ifndef HW_CXL_EXT_SECURITY_H
#define HW_CXL_EXT_SECURITY_H

#include "hw/cxl/cxl.h"
#include "hw/pci/pci_device.h"

/**
 * CXLTrustLevel: which memory a device's CXL.cache requests may reach (CXL r3.1
 * section 8.2.4.18); the fourth value is reserved
 */
typedef enum CXLTrustLevel {
    CXL_TRUST_ALL,
    CXL_TRUST_DEVICE_MEMORY,
    CXL_TRUST_NONE,
    CXL_TRUST_LEVELS,
} CXLTrustLevel;

#define CXL_EXT_SECURITY_COUNT      0x0
#define CXL_EXT_SECURITY_POLICY(n)  (0x4 + 8 * (n))
#define CXL_EXT_SECURITY_PORT(n)    (0x8 + 8 * (n))

#define TYPE_CXL_EXT_SECURITY "cxl-ext-security"
OBJECT_DECLARE_SIMPLE_TYPE(CXLExtSecurity, CXL_EXT_SECURITY)

/**
 * cxl_ext_security_of: the structure of a host bridge, NULL for none
 */
CXLExtSecurity *cxl_ext_security_of(Object *host);

/**
 * cxl_ext_security_new: give a host bridge the structure, without an entry
 * @host: has none yet
 * @component: its registers
 * @changed: called when a guest has written a Trust Level
 */
CXLExtSecurity *cxl_ext_security_new(Object *host,
                                     ComponentRegisters *component,
                                     void (*changed)(void));

/**
 * cxl_ext_security_add: an entry for a root port
 * @level: what firmware writes to it, now and after each reset
 */
void cxl_ext_security_add(CXLExtSecurity *s, PCIDevice *root_port,
                          CXLTrustLevel level);
void cxl_ext_security_remove(CXLExtSecurity *s, PCIDevice *root_port);

/**
 * cxl_ext_security_level: the Trust Level of what is below a root port
 *
 * Returns: two bits, 10b for a port without an entry
 */
unsigned cxl_ext_security_level(const CXLExtSecurity *s,
                                const PCIDevice *root_port);

/**
 * cxl_ext_security_reset: conventional reset, then what firmware makes of it
 */
void cxl_ext_security_reset(CXLExtSecurity *s);

#endif /* HW_CXL_EXT_SECURITY_H */
