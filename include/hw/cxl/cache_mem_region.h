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
 * machine's system memory, behind any IOMMU. cache_mem_translate() finds them,
 * by ATS; an IOMMU's invalidation takes lines away before it is complete.
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
 *    properties "x-no-snoop" and "x-no-ats-invalidate" break coherence and
 *    isolation, for tests;
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
 * @rescue: modified lines are copied home when the device is lost
 *          (cache_mem_dev_isolate()), not poisoned
 * @sf_size: bytes that the snoop filter can track; must be the same for all
 *           devices of the machine, who share the filter
 * @window: NULL, or the only memory that CXL.cache may be used for, as
 *          <first>-<last>[,...]: of whole lines, both ends included
 * @error: a protocol error was seen by the device (@err) or by the host, of
 *         something that the device sent; called in the main loop
 * @opaque: for @error
 */
typedef struct CacheMemDevConfig {
    DeviceState *dev;
    uint64_t cache_size;
    uint32_t cache_ways;
    bool yield;
    bool rescue;
    uint64_t sf_size;
    const char *window;
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
 * cache_mem_dev_isolate: the link is down, the device is gone
 *
 * What the host does of its own then (CXL r3.1 section 12.3): with the config's
 * @rescue, modified lines come home from the copies that are kept of them; else
 * lines that the device may have modified are poisoned in memory. The cache is
 * empty after it and in CACHE_MEM_OFF.
 *
 * Poisoned memory holds 0xbaadf00d; a device that reads it gets poison, while
 * any word of that is left. CPUs just find these bytes.
 */
void cache_mem_dev_isolate(CacheMemDev *cm);

/**
 * cache_mem_dev_set_viral: no new requests, but for evicts (section 12.4)
 *
 * Ends with a conventional reset.
 */
void cache_mem_dev_set_viral(CacheMemDev *cm, bool viral);

/**
 * CacheMemFail: what goes wrong with a request, for fault injection
 * @CACHE_MEM_FAIL_GO_ERR: the host answers GO-Err, or GO-Err-WritePull
 * @CACHE_MEM_FAIL_POISON: the line comes with poison
 */
typedef enum CacheMemFail {
    CACHE_MEM_FAIL_NONE,
    CACHE_MEM_FAIL_GO_ERR,
    CACHE_MEM_FAIL_POISON,
} CacheMemFail;

/**
 * cache_mem_dev_fail: have the next request for a line fail, once
 *
 * Returns: what was set before and has not happened
 */
CacheMemFail cache_mem_dev_fail(CacheMemDev *cm, CacheMemFail fail);

/**
 * cache_mem_dev_window: make the slot window of the device's cache
 * @mr: initialized by this; as large as @cache_size * 2, a power of two
 * @owner: of @mr
 *
 * A read-only region of 128 bytes for each line of the cache, in the order
 * set, way: the line's 64 bytes, then
 *
 *   64  u64 ats: bit 0 valid, bit 1 the memory behind may be owned
 *       and what the device does to it outlives the device: a copy is kept
 *       (exclusive-able), bits 51:6 the line's address
 *   72  u8 state: MESI as in H2D Rsp (I 3, S 1, E 2, M 6) in bits 3:0,
 *       bit 6 the data are staged (cache_mem_stage()), bit 7 poison
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
 * CacheMemTranslation: outcome of cache_mem_translate()
 * @CACHE_MEM_TRANSLATED: there are host physical addresses for CXL.cache
 * @CACHE_MEM_UNTRANSLATED: there is an IOMMU and no ATS, or it takes more
 *                          translations than the device can keep; CXL.io has
 *                          to be used, with the addresses as they are
 * @CACHE_MEM_REFUSED: the IOMMU has no such translation for the device
 */
typedef enum CacheMemTranslation {
    CACHE_MEM_TRANSLATED,
    CACHE_MEM_UNTRANSLATED,
    CACHE_MEM_REFUSED,
} CacheMemTranslation;

/**
 * cache_mem_translate: find where pieces of memory are
 * @seg: @n pieces, addresses as the driver gave them
 * @write: to write them
 * @to: array of CacheMemSeg, to be filled with host physical addresses
 *
 * By ATS, through the device's address translation cache; the identity where
 * there is no IOMMU. What was translated may be used until the BQL is released:
 * an invalidation, which needs it, completes when the device has given up the
 * lines. To be called with the BQL held.
 */
CacheMemTranslation cache_mem_translate(CacheMemDev *cm, const CacheMemSeg *seg,
                                        unsigned n, bool write, GArray *to);

/**
 * cache_mem_atc_drop: forget all translations, and give up the lines
 *
 * When ATS is disabled.
 */
void cache_mem_atc_drop(CacheMemDev *cm);

/**
 * cache_mem_atc_set_deaf: do not complete the IOMMU's invalidations, or again
 *
 * Translations and lines that are taken back meanwhile stay in use. When the
 * device hears again it gives up all of them. For fault injection.
 */
void cache_mem_atc_set_deaf(CacheMemDev *cm, bool deaf);

/**
 * cache_mem_dev_flush_range: write back and invalidate the lines of some memory
 */
void cache_mem_dev_flush_range(CacheMemDev *cm, hwaddr addr, uint64_t len);

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
 * @poison: set if some of it is known to be bad
 *
 * Returns: false if the host answered with an error or with poison, or if some
 * of it is outside the device's window
 */
bool cache_mem_read(CacheMemDev *cm, hwaddr addr, void *buf, size_t len,
                    bool *poison);

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
 * or some of it is outside the device's window
 */
bool cache_mem_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, bool keep);

/**
 * CacheMemStep: how far cache_mem_stage() goes
 * @CACHE_MEM_STEP_OWN: lines are owned
 * @CACHE_MEM_STEP_HALF: the first half of them has its new data
 * @CACHE_MEM_STEP_ALL: all have
 */
typedef enum CacheMemStep {
    CACHE_MEM_STEP_OWN,
    CACHE_MEM_STEP_HALF,
    CACHE_MEM_STEP_ALL,
} CacheMemStep;

/**
 * cache_mem_stage: go some of cache_mem_write()'s way, and stop there
 *
 * Nobody finds memory changed by this: lines are owned, data are put into those
 * that were owned without data, and a snoop takes them away as they were. It
 * ends with cache_mem_write() or with cache_mem_give_up().
 *
 * Returns: false as cache_mem_write(); the lines are given up
 */
bool cache_mem_stage(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, CacheMemStep step);

/**
 * cache_mem_give_up: evict what cache_mem_stage() has, memory is as it was
 *
 * Modified lines stay: they are an earlier request's.
 */
void cache_mem_give_up(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n);

/**
 * cache_mem_give_up_clean: evict all lines that are not modified
 *
 * That is what is left of any cache_mem_stage(), among others.
 */
void cache_mem_give_up_clean(CacheMemDev *cm);

/**
 * cache_mem_fail_write_back: have the write-back of a staged line refused
 *
 * The first line that cache_mem_stage() owned without data is modified and
 * evicted, and the host answers GO-Err-WritePull: it takes the data and drops
 * them. For fault injection.
 *
 * Returns: false if there is no such line
 */
bool cache_mem_fail_write_back(CacheMemDev *cm, const CacheMemSeg *seg,
                               unsigned n, const void *buf);

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
 * device's mode forbids the request; -EACCES for a line outside its window
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
