/*
 * CacheMemRegion: CXL.cache devices and guest RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the host that CXL.cache devices are attached to. It joins
 * the protocol (cxl_cache_home.h, cxl_cache_dev.h) to guest RAM, so that a
 * line which a device owns is in the device and nowhere else: RAM keeps the
 * old bytes until a snoop or an evict brings the new ones home.
 *
 * All devices of a machine share one home agent, thus one snoop filter, and
 * snoop each other.
 *
 * Whoever touches a page of which a device has lines is stopped by a
 * userfaultfd trap (cache_mem_trap.h) until the lines have been snooped: a
 * vCPU under any accelerator, another device's DMA, a system call, the
 * monitor. Lines of memory that cannot be trapped are not kept by any device,
 * they are used once.
 *
 * Addresses are host physical addresses, as CXL.cache has them: of the
 * machine's system memory, behind any IOMMU.
 *
 * Locking: one mutex for the home, the devices and the links. It is taken
 * inside the BQL and never the other way round; the BQL is not needed. While
 * it is held nobody touches guest memory through the guest's mapping.
 *
 * QEMU interface:
 *  + a PCI device calls cache_mem_dev_new() at realize, cache_mem_dev_detach()
 *    at exit, cache_mem_dev_free() when it is finalized,
 *    cache_mem_dev_reset() at conventional reset and
 *    cache_mem_dev_set_mode() when its registers say so;
 *  + it moves data with cache_mem_read() and cache_mem_write(), or line by
 *    line with cache_mem_request() and what follows it;
 *  + cache_mem_dev_window() is a BAR that shows its cache;
 *  + "/machine/cxl-cache" is the object; system reset empties all caches; its
 *    property "x-no-snoop" breaks coherence, for tests;
 *  + QMP x-query-cxl-cache, HMP "info cxl-cache", trace events cxl_cache_*.
 */

#ifndef HW_CXL_CACHE_MEM_REGION_H
#define HW_CXL_CACHE_MEM_REGION_H

#include "hw/cxl/cxl_cache_dev.h"
#include "system/memory.h"

typedef struct CacheMemDev CacheMemDev;

/**
 * CacheMemMode: what a device may do on CXL.cache
 * @CACHE_MEM_OFF: nothing (Cache_Enable is clear); snoops are answered
 * @CACHE_MEM_ONCE: requests that leave no line behind (Disable_Caching is set)
 * @CACHE_MEM_ON: everything
 */
typedef enum CacheMemMode {
    CACHE_MEM_OFF,
    CACHE_MEM_ONCE,
    CACHE_MEM_ON,
} CacheMemMode;

/**
 * CacheMemDevConfig:
 * @dev: the device; its id or path is how people know it
 * @cache_size: bytes
 * @cache_ways: associativity, 1 to 16; makes a power of two of sets
 * @yield: modified lines that the host reads are given up, not kept shared
 * @sf_size: bytes that the snoop filter can track; must be the same for all
 *           devices of the machine, who share the filter
 * @error: a protocol error was seen by the device (@err) or by the host, of
 *         something that the device sent; called in the main loop
 * @opaque: for @error
 */
typedef struct CacheMemDevConfig {
    DeviceState *dev;
    uint64_t cache_size;
    uint32_t cache_ways;
    bool yield;
    uint64_t sf_size;
    void (*error)(void *opaque, CXLCacheError err);
    void *opaque;
} CacheMemDevConfig;

/**
 * cache_mem_dev_new: attach a device with an empty cache, in CACHE_MEM_OFF
 * @errp: set when @config cannot be had
 *
 * Returns: the device, NULL on error
 */
CacheMemDev *cache_mem_dev_new(const CacheMemDevConfig *config, Error **errp);

/**
 * cache_mem_dev_detach: write all lines back and leave the host
 *
 * For a device that is unplugged. The window still works and shows an empty
 * cache: a vCPU may be on its way to it. NULL is ignored.
 */
void cache_mem_dev_detach(CacheMemDev *cm);

/**
 * cache_mem_dev_free: detach unless that is done, and free; NULL is ignored
 *
 * Not before nobody can use the window any more: when its owner is finalized.
 */
void cache_mem_dev_free(CacheMemDev *cm);

/**
 * cache_mem_dev_reset: conventional reset of one device
 *
 * Modified lines are written back first, so that nothing is lost. Then the
 * cache is empty. (System reset drops them: cxl-cache resets itself before
 * any device.)
 */
void cache_mem_dev_reset(CacheMemDev *cm);

void cache_mem_dev_set_mode(CacheMemDev *cm, CacheMemMode mode);
CacheMemMode cache_mem_dev_mode(const CacheMemDev *cm);

/**
 * cache_mem_dev_flush: write back and invalidate, then send CacheFlushed
 */
void cache_mem_dev_flush(CacheMemDev *cm);

/**
 * cache_mem_dev_window: make the slot window of the device's cache
 * @mr: initialized by this; as large as @cache_size * 2, a power of two
 * @owner: of @mr
 *
 * A read-only region of 128 bytes for each line of the cache, in the order
 * set, way: the line's 64 bytes, then
 *
 *   64  u64 ats: bit 0 valid, bit 1 the memory behind may be owned
 *       (exclusive-able), bits 51:6 the line's address
 *   72  u8 state: MESI as in H2D Rsp (I 3, S 1, E 2, M 6) in bits 3:0,
 *       bit 7 poison
 *   73  u8 nreq: number of valid descriptors below
 *   74  u8 rsvd[6]
 *   80  u64 desc[6]: for each channel (D2H Req, Rsp, Data, H2D Req, Rsp, Data)
 *       the oldest message about the line that is in it, or 0:
 *       bit 63 valid, bits 62:60 channel, 59:55 opcode, 54:43 CQID,
 *       42:31 UQID, 30:24 credits the sender has left (at most 127),
 *       23:0 D2H Data header
 */
void cache_mem_dev_window(CacheMemDev *cm, MemoryRegion *mr, Object *owner);

/**
 * CacheMemSeg: a piece of memory, of any alignment
 */
typedef struct CacheMemSeg {
    hwaddr addr;
    size_t len;
} CacheMemSeg;

/**
 * cache_mem_usable: may CXL.cache be used for these pieces of memory?
 * @write: to write them
 *
 * Returns: false if the device is in CACHE_MEM_OFF, or some of it is not RAM
 * (for @write, RAM that can be written); then CXL.io has to be used
 */
bool cache_mem_usable(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                      bool write);

/**
 * cache_mem_read: read memory with RdCurr, or lines the device has
 * @buf: not guest memory
 *
 * Returns: false if the host answered with an error or with poison
 */
bool cache_mem_read(CacheMemDev *cm, hwaddr addr, void *buf, size_t len);

/**
 * cache_mem_write: change memory as one transaction
 * @seg: @n pieces; where they overlap the last one counts
 * @buf: their bytes, one piece after the other; not guest memory
 * @keep: the lines stay in the cache as M; else they are evicted before this
 *        returns
 *
 * All lines are owned before the first one changes: RdOwnNoData where a line
 * is written as a whole, RdOwn at the edges. Lines that may not be kept, or
 * find no room, are written with ItoMWr and WrInv instead.
 *
 * When this returns, every GO is in: the result may be published (CXL r3.1
 * section 3.2.5.1). Code that a vCPU has translated from these bytes is not
 * discarded: cache_mem_discard_code(), or virtqueue_push(), which does the
 * same.
 *
 * Returns: false, and memory is as it was, if the host answered with an error
 */
bool cache_mem_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, bool keep);

/**
 * cache_mem_discard_code: forget what was translated from memory, mark it dirty
 * @as: address space that has the memory at @addr
 *
 * After a device has written and before it tells. Not to be called with the
 * lock held.
 */
void cache_mem_discard_code(AddressSpace *as, hwaddr addr, size_t len);

/**
 * CacheMemResult: outcome of cache_mem_request()
 * @state: of the line now; a read that ends in I was for one use
 * @failed: GO-Err
 */
typedef struct CacheMemResult {
    CXLCacheLineData data;
    CXLCacheState state;
    bool failed;
    bool poison;
} CacheMemResult;

/**
 * cache_mem_request: one D2H request, from first message to last
 *
 * Others' snoops may take a line away as soon as this has returned.
 *
 * Returns: 0 when done, or as cxl_cache_dev_request(); -EPERM also if the
 * device's mode forbids the request
 */
int cache_mem_request(CacheMemDev *cm, const CXLCacheReq *req,
                      CacheMemResult *result);

/* As cxl_cache_dev_read(), _write(), _drop(), _evict(), _state() */
bool cache_mem_line_read(CacheMemDev *cm, uint64_t line,
                         CXLCacheLineData *data, bool *poison);
bool cache_mem_line_write(CacheMemDev *cm, uint64_t line,
                          const CXLCacheLineData *data, uint64_t be);
bool cache_mem_line_drop(CacheMemDev *cm, uint64_t line);
int cache_mem_line_evict(CacheMemDev *cm, uint64_t line);
CXLCacheState cache_mem_line_state(CacheMemDev *cm, uint64_t line);

#endif /* HW_CXL_CACHE_MEM_REGION_H */
