/*
 * Cache IDs: the registers that route CXL.cache by them
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the two capability structures of CXL.cachemem registers by
 * which several devices with caches are told apart below one root port (CXL
 * r3.1 section 7.7.6.6):
 *
 *  - Cache ID Decoder (0x0E), of a root port or a switch downstream port: which
 *    Cache ID the port inserts into requests of the device below it, or that it
 *    forwards those that a switch below it has inserted;
 *  - Cache ID Route Table (0x0D), of a host bridge or a switch upstream port:
 *    to which port messages for a Cache ID go.
 *
 * Both want an explicit commit: what is written has no effect until Commit goes
 * from 0 to 1. Then Committed is set, and what was written is in force until
 * the next commit, or Commit Error is, and nothing is. While Commit is 0
 * nothing is in force either. A commit takes no time.
 *
 * The registers lie over those that the component has anyway, so that who
 * resets and writes the others need not know of them.
 *
 * Here is what the registers do; what they mean for a path from a device to the
 * host is in cxl_cache_path.h.
 */

#ifndef HW_CXL_CACHE_ID_H
#define HW_CXL_CACHE_ID_H

#include "hw/cxl/cxl.h"
#include "hw/pci/pci_device.h"

#define CXL_CACHE_ID_TABLE_CAP      0x0d
#define CXL_CACHE_ID_DECODER_CAP    0x0e

/* A Cache ID has 4 bits. */
#define CXL_CACHE_IDS               16

/* Offsets, of both structures */
#define CXL_CACHE_ID_CAPABILITY     0x0
#define CXL_CACHE_ID_CTRL           0x4
#define CXL_CACHE_ID_STATUS         0x8
#define CXL_CACHE_ID_TARGET(n)      (0x10 + 2 * (n))

#define CXL_CACHE_ID_TABLE_CAP_EXPLICIT     BIT(16)
#define CXL_CACHE_ID_TABLE_CTRL_COMMIT      BIT(0)
#define CXL_CACHE_ID_TARGET_VALID           BIT(0)
#define CXL_CACHE_ID_TARGET_PORT_SHIFT      8

#define CXL_CACHE_ID_DECODER_CAP_EXPLICIT   BIT(0)
#define CXL_CACHE_ID_DECODER_FORWARD        BIT(0)
#define CXL_CACHE_ID_DECODER_ASSIGN         BIT(1)
#define CXL_CACHE_ID_DECODER_HDM_D          BIT(2)
#define CXL_CACHE_ID_DECODER_COMMIT         BIT(3)
#define CXL_CACHE_ID_DECODER_ID_SHIFT       16
#define CXL_CACHE_ID_DECODER_TRUST_SHIFT    24

#define CXL_CACHE_ID_STATUS_COMMITTED       BIT(0)
#define CXL_CACHE_ID_STATUS_ERROR           BIT(1)

#define TYPE_CXL_CACHE_ID "cxl-cache-id"
OBJECT_DECLARE_SIMPLE_TYPE(CXLCacheId, CXL_CACHE_ID)

/**
 * CXLCacheIdDecoder: what of a Cache ID Decoder is in force
 * @assign: requests from the device below get @id
 * @forward: requests from below keep the Cache ID that they have
 * @trust: Trust Level of the device, a CXLTrustLevel
 */
typedef struct CXLCacheIdDecoder {
    bool assign;
    bool forward;
    uint8_t id;
    uint8_t trust;
} CXLCacheIdDecoder;

/**
 * CXLCacheIdOps: who knows what the registers mean
 * @may_assign: can the decoder's port give out @id? Else the commit fails.
 * @has_port: does the table's component have a port with this number?
 * @changed: something else is in force
 */
typedef struct CXLCacheIdOps {
    bool (*may_assign)(CXLCacheId *decoder, unsigned id);
    bool (*has_port)(CXLCacheId *table, unsigned port);
    void (*changed)(void);
} CXLCacheIdOps;

/**
 * CXLCacheId: one of the structures, an object below the component's
 * @port: the PCI device that it is of; NULL for a host bridge
 * @root: bus of the host bridge that it is below, or of
 * @decoder: a Cache ID Decoder, else a Cache ID Route Table
 * @firmware: what the registers are at reset
 */
#define CXL_CACHE_ID_SIZE   0x30

struct CXLCacheId {
    Object parent_obj;

    const CXLCacheIdOps *ops;
    ComponentRegisters *component;
    PCIDevice *port;
    PCIBus *root;
    bool decoder;
    MemoryRegion array;
    MemoryRegion header;
    MemoryRegion regs;
    uint8_t file[CXL_CACHE_ID_SIZE];
    uint8_t live[CXL_CACHE_ID_SIZE];
    uint8_t firmware[CXL_CACHE_ID_SIZE];
    QLIST_ENTRY(CXLCacheId) next;
};

/**
 * cxl_cache_id_new: give a component one of the structures
 * @owner: the component; has one of them at most
 * @component: its registers
 * @port: the component as a PCI device, NULL for a host bridge
 * @root: bus of its host bridge
 * @decoder: which structure
 */
CXLCacheId *cxl_cache_id_new(Object *owner, ComponentRegisters *component,
                             PCIDevice *port, PCIBus *root, bool decoder,
                             const CXLCacheIdOps *ops);

/**
 * cxl_cache_id_of: the structure that @owner has, NULL for none
 */
CXLCacheId *cxl_cache_id_of(Object *owner);

/**
 * cxl_cache_id_exit: take the structure away before its component goes
 */
void cxl_cache_id_exit(CXLCacheId *c);

/**
 * cxl_cache_id_reset: conventional reset, then what firmware makes of it
 */
void cxl_cache_id_reset(CXLCacheId *c);

/* The next of all that there are, the first for NULL */
CXLCacheId *cxl_cache_id_next(CXLCacheId *c);

/**
 * cxl_cache_id_decoder: what a decoder does now
 *
 * Returns: false if nothing is committed.
 */
bool cxl_cache_id_decoder(const CXLCacheId *c, CXLCacheIdDecoder *decoder);

/**
 * cxl_cache_id_target: where messages for @id go, by a route table
 *
 * Returns: the port's number, -1 for nowhere
 */
int cxl_cache_id_target(const CXLCacheId *c, unsigned id);

/**
 * cxl_cache_id_set_decoder: what firmware writes to a decoder, and commits
 *
 * Now, and again after each reset. NULL for nothing.
 */
void cxl_cache_id_set_decoder(CXLCacheId *c, const CXLCacheIdDecoder *decoder);

/**
 * cxl_cache_id_set_target: likewise, to one entry of a route table
 * @port: -1 for none
 */
void cxl_cache_id_set_target(CXLCacheId *c, unsigned id, int port);

#endif /* HW_CXL_CACHE_ID_H */
