/*
 * FEAT_MEC: the memory encryption contexts of a machine's RAM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Models what lies behind the point of encryption of a system with FEAT_MEC
 * (Arm ARM D7.5.8 and D8.12): which context each page of main RAM is stored
 * for, and how it looks to any other. The choice of the context for an access
 * is the PE's part and stands in target/arm/ptw_mec.c as well.
 *
 * QEMU interface:
 *  + QOM property "ram": MemoryRegion of the RAM to manage (link)
 *  + QOM property "base": its physical address
 *  + QOM property "deadbeef": whether an unreadable page shows as
 *    0xdeadbeef (default) or as its bytes under the wrong key
 *  + CPUs take the device by their link property "mec", before realize
 */

#ifndef HW_ARM_MEC_H
#define HW_ARM_MEC_H

#include "qom/object.h"

#define TYPE_ARM_MEC "arm-mec"
OBJECT_DECLARE_SIMPLE_TYPE(ARMMECState, ARM_MEC)

#endif
