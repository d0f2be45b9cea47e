/*
 * CXL Type 1 crypto accelerator
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A PCI Express function with CXL.io and CXL.cache whose programming model is
 * that of virtio-crypto-pci (virtio v1.3 section 5.9), so that the driver that
 * ships with Linux binds to it.  What makes it a Type 1 device is in
 * cxl_type1_regs.h; the arithmetic is a cryptodev backend's.
 *
 * BARs:
 *  0    window on the cached lines, 32-bit memory, 512 KiB
 *       (cache_mem_dev_window())
 *  1    MSI-X, 32-bit memory
 *  2-3  CXL component registers, 64-bit memory, 64 KiB
 *  4-5  virtio 1.x configuration, 64-bit prefetchable memory
 *
 * A function that uses CXL.cache may neither signal INTx nor claim I/O space
 * (CXL r3.1 section 3.1), so it has no interrupt pin and no I/O BAR.
 *
 * QEMU interface:
 *  + plugs into a cxl-rp that has "cxl-cache=on", as its only function
 *  + "cryptodev" (link): the cryptodev backend, used by no other device
 *  + "cache-size" (size, default 1 MiB): 1 to 255 times 64 KiB or 1 MiB
 *  + "cache-ways" (uint32, default 16): associativity, divides the cache's
 *    number of 64-byte lines
 *  + "cache" (OnOffAuto, default auto): off: no line is kept, each is used
 *    once, as if software had set Disable_Caching for good; on: the device is
 *    refused, with the reason, where lines of guest memory cannot be kept;
 *    auto: what cannot be kept is used once
 *  + "cache-enable" (bool, default on): Cache_Enable is set after reset, as
 *    platform firmware that knows CXL.cache would leave it; off: the register's
 *    own reset value, and CXL.io moves all data until software sets it
 *  + "writeback" (enum, default on-demand): results stay in the cache as
 *    modified lines until the host asks for them; completion: they are written
 *    back before a request is completed; through: they go to memory at once
 *  + "unplug" (enum, default rescue): when the link is lost by surprise,
 *    modified lines are copied home; poison: lines that the device may have
 *    modified are lost, and memory is poisoned
 *  + "x-fault" (string): KIND[:POINT[:AFTER[:COUNT]]], a fault of a request to
 *    come, as by QMP x-cxl-type1-fault
 *  + "window" (string): <first>-<last>[,...], the only host physical addresses
 *    that CXL.cache may be used for
 *  + "iommu_platform" (bool, default on): off has the device bypass an IOMMU,
 *    by CXL.io
 *  + "x-256b-flit" (bool, default off): the link has 256B flits, with Cache IDs
 *  + "cache-id" (string, default auto): the one that firmware would have the
 *    port above insert: auto, none or a number (cxl_cache_path.h)
 *  + "sf-quota", "req-credits", "rate", "rate-burst": what it may have of the
 *    host (cache_mem_limits.h)
 *  + "sn" (uint64): device serial number; by default made from the chassis and
 *    slot numbers of the root port
 *  + "ats" (OnOffAuto, default auto): auto: there is an ATS capability where
 *    the IOMMU above the device has ATS, and the device is not let past it; on:
 *    in any case, with a warning where the IOMMU has none
 *  + "aer" (bool, default on), "vectors", "ioeventfd" and the other options of
 *    a virtio 1.x PCI device
 */

#ifndef CXL_TYPE1_CRYPTO_H
#define CXL_TYPE1_CRYPTO_H

#include "hw/virtio/virtio-pci.h"
#include "hw/virtio/virtio-crypto.h"
#include "hw/cxl/cache_mem_agent.h"
#include "hw/cxl/cxl_type1_inject.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "qapi/qapi-types-cxl.h"
#include "qom/object.h"

#define TYPE_CXL_TYPE1_CRYPTO "cxl-type1-crypto"
OBJECT_DECLARE_TYPE(CXLType1Crypto, CXLType1CryptoClass, CXL_TYPE1_CRYPTO)

struct CXLType1CryptoClass {
    VirtioPCIClass parent_class;

    DeviceRealize parent_dc_realize;
    PCIUnregisterFunc *parent_exit;
    PCIConfigReadFunc *parent_config_read;
    PCIConfigWriteFunc *parent_config_write;
    ResettablePhases parent_phases;
};

typedef struct CXLType1Flight CXLType1Flight;

/**
 * CXLType1Flights: requests that wait for their lines, on a link with time
 * @by_elem: by VirtQueueElement; NULL before the first, as is @timer
 * @list: the oldest first
 * @timer: goes on with them
 */
typedef struct CXLType1Flights {
    GHashTable *by_elem;
    QTAILQ_HEAD(, CXLType1Flight) list;
    QEMUTimer *timer;
} CXLType1Flights;

struct CXLType1Crypto {
    VirtIOPCIProxy parent_obj;

    VirtIOCrypto vdev;
    CXLType1Regs regs;
    CacheMemDev *cache;
    MemoryRegion window;

    uint64_t cache_size;
    uint32_t cache_ways;
    OnOffAuto cache_policy;
    bool cache_enable;
    OnOffAuto ats;
    char *guard;
    bool flit_256b;
    char *cache_id;
    CacheMemLimits limits;
    CxlType1Writeback writeback;
    CxlType1Unplug unplug;
    uint64_t sn;
    PCIExpLinkSpeed speed;
    PCIExpLinkWidth width;

    /* The machine has got its IOMMU, if any */
    Notifier machine_done;

    /* Nobody can reach the device, and it can reach nobody */
    bool link_lost;

    CXLType1Inject inject;
    CXLType1Flights flights;
};

/* How the payload of its requests moves */
extern const VirtIOCryptoPayloadOps cxl_type1_payload_ops;

/* The virtio device is unplugged, so that there is none of them any more. */
void cxl_type1_flights_exit(CXLType1Crypto *s);

/**
 * cxl_type1_link_lose: the link goes down by surprise, and the slot is empty
 *
 * Of what the cache holds becomes what "unplug" says.
 */
void cxl_type1_link_lose(CXLType1Crypto *s);

/**
 * cxl_type1_link_regain: the link comes back
 */
void cxl_type1_link_regain(CXLType1Crypto *s);

/**
 * cxl_type1_link_remove: the link goes down for good, the device is unplugged
 *
 * @s is freed once the main loop has come round.
 */
void cxl_type1_link_remove(CXLType1Crypto *s);

#endif
