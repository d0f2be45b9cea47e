/*
 * CacheMemRegion: what a device does with memory on CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The coherent agent of a device that cache_mem_region.h has attached: it finds
 * out where memory is, reads it, owns lines and changes them as one
 * transaction, gives them up, or makes one request at a time.
 *
 * Addresses are host physical addresses, as CXL.cache has them: of the
 * machine's system memory, behind any IOMMU. cache_mem_translate() finds them,
 * by ATS.
 */

#ifndef HW_CXL_CACHE_MEM_AGENT_H
#define HW_CXL_CACHE_MEM_AGENT_H

#include "hw/cxl/cache_mem_region.h"
#include "qemu/queue.h"

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
 * cache_mem_translations_gone: how many translations the device has given up
 *
 * What it has translated before may be used as long as this stays what it was.
 */
uint64_t cache_mem_translations_gone(const CacheMemDev *cm);

/**
 * CacheMemAtsIommu: what stands between a device and memory
 * @CACHE_MEM_ATS_NO_IOMMU: nothing, or the device is let past it
 * @CACHE_MEM_ATS_IOMMU_HAS_NOT: an IOMMU that answers no translation request
 * @CACHE_MEM_ATS_IOMMU_HAS: an IOMMU that answers, and tells of invalidations
 */
typedef enum CacheMemAtsIommu {
    CACHE_MEM_ATS_NO_IOMMU,
    CACHE_MEM_ATS_IOMMU_HAS_NOT,
    CACHE_MEM_ATS_IOMMU_HAS,
} CacheMemAtsIommu;

/**
 * cache_mem_ats_iommu: does the IOMMU above a device have ATS?
 *
 * Whether the device has it does not matter. An IOMMU may be added until the
 * machine is complete.
 */
CacheMemAtsIommu cache_mem_ats_iommu(PCIDevice *pdev);

/**
 * cache_mem_ats_drop: forget all translations, and give up the lines
 *
 * When ATS is disabled.
 */
void cache_mem_ats_drop(CacheMemDev *cm);

/**
 * cache_mem_dev_flush_range: write back and invalidate the lines of some memory
 */
void cache_mem_dev_flush_range(CacheMemDev *cm, hwaddr addr, uint64_t len);

/**
 * cache_mem_usable: may CXL.cache be used for these pieces of memory?
 * @write: to write them
 *
 * Returns: false if the device is in CACHE_MEM_OFF, some of it is not RAM (for
 * @write, RAM that can be written), or it goes past the last address; then
 * CXL.io has to be used
 */
bool cache_mem_usable(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                      bool write);

/**
 * cache_mem_read: read memory with RdCurr, or lines the device has
 * @seg: @n pieces
 * @buf: for their bytes, one piece after the other; not guest memory
 * @poison: set if some of it is known to be bad
 *
 * Returns: false if the host answered with an error or with poison, or if some
 * of it is not on the device's allow-list
 */
bool cache_mem_read(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                    void *buf, bool *poison);

/**
 * CacheMemWriteHow: what is left of cache_mem_write()
 * @CACHE_MEM_WRITE_KEEP: the lines, as M
 * @CACHE_MEM_WRITE_EVICT: nothing: they are evicted before it returns
 * @CACHE_MEM_WRITE_THROUGH: nothing: no line is taken for it
 * @CACHE_MEM_WRITE_ADAPT: like the first, or the last where the host takes most
 *  of what is kept anyway: see cxl_cache_keep()
 */
typedef enum CacheMemWriteHow {
    CACHE_MEM_WRITE_KEEP,
    CACHE_MEM_WRITE_EVICT,
    CACHE_MEM_WRITE_THROUGH,
    CACHE_MEM_WRITE_ADAPT,
} CacheMemWriteHow;

/**
 * cache_mem_write: change memory as one transaction
 * @seg: @n pieces; where they overlap the last one counts
 * @buf: their bytes, one piece after the other; not guest memory
 *
 * All lines are owned before the first one changes: RdOwnNoData where a line
 * is written as a whole, RdOwn at the edges. Lines that may not be kept, or
 * find no room, are written with ItoMWr and WrInv instead, as all are with
 * CACHE_MEM_WRITE_THROUGH.
 *
 * When this returns, every GO is in: the result may be published (CXL r3.1
 * section 3.2.5.1). Code that a vCPU has translated from these bytes is not
 * discarded: cache_mem_discard_code().
 *
 * Returns: false if the host answered with an error, or some of it is not on
 * the device's allow-list. Memory is as it was then, but for what was written
 * by ItoMWr and WrInv before the error.
 */
bool cache_mem_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, CacheMemWriteHow how);

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
 * cache_mem_discard_code: forget what vCPUs have translated from memory
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
 * device's mode forbids the request; -EACCES for a line that is not on its
 * allow-list
 */
int cache_mem_request(CacheMemDev *cm, const CXLCacheReq *req,
                      CacheMemResult *result);

/**
 * CacheMemPosted: a request that goes on by itself
 * @what: what it is for, for who looks; or NULL
 * @result: its outcome, when it is over; @result.failed if it was lost with the
 *          device
 * @done: called then, in any thread, with the lock held: it may not call what
 *        is declared here
 */
typedef struct CacheMemPosted CacheMemPosted;
struct CacheMemPosted {
    const char *what;
    CacheMemResult result;
    void (*done)(CacheMemPosted *posted);
    QLIST_ENTRY(CacheMemPosted) next;
};

/**
 * cache_mem_post: send a D2H request, and wait for nothing
 * @open: one more, before @posted->done() can be called; or NULL
 *
 * On a link without time it is over when this returns.
 *
 * Returns: 0 if it is under way, or over: @posted->done() is called, or was.
 * Else as cache_mem_request(), and it never is: -EAGAIN and -EBUSY where
 * something that is under way has to be over first.
 */
int cache_mem_post(CacheMemDev *cm, const CXLCacheReq *req,
                   CacheMemPosted *posted, uint16_t *open);

/**
 * cache_mem_posts_wait: until no more than @most of what was posted are open
 * @open: as for cache_mem_post(), of the same device
 *
 * It sleeps as cache_mem_request_wait() does. Returns at once when the device
 * has gone.
 */
void cache_mem_posts_wait(CacheMemDev *cm, const uint16_t *open, unsigned most);

/**
 * cache_mem_dev_set_sleep: how who waits for this device's requests does so
 * @sleep: returns not before @when, by QEMU_CLOCK_VIRTUAL, or when
 *         cache_mem_hurry() was called; NULL for a thread that sleeps
 *
 * For a coroutine, under the BQL.
 */
typedef void CacheMemSleep(void *opaque, uint64_t when);
void cache_mem_dev_set_sleep(CacheMemDev *cm, CacheMemSleep *sleep,
                             void *opaque);

/**
 * cache_mem_request_wait, cache_mem_line_evict_wait: wait for them in time
 *
 * As cache_mem_request() and cache_mem_line_evict(), for a thread that nobody
 * waits for: it sleeps while messages are under way, and does not bring the
 * link's time forward, until cache_mem_hurry() says so.
 *
 * @use, on a link with time, is called as soon as the line is there, before
 * any snoop that is behind it: who owns a line for once has it for long enough.
 * It may use the line by cxl_cache_dev_read() and _write(), and nothing else.
 * NULL if there is nothing to be done.
 */
typedef void CacheMemUse(void *opaque, CXLCacheDev *dev, uint64_t line);
int cache_mem_request_wait(CacheMemDev *cm, const CXLCacheReq *req,
                           CacheMemResult *result, CacheMemUse *use,
                           void *opaque);
int cache_mem_line_evict_wait(CacheMemDev *cm, uint64_t line);

/**
 * cache_mem_line_was_lost: a request was granted a line, and has none
 *
 * On a link with time a snoop may come between a GO and its data, which are
 * good for one use then, like those of memory that lets nobody keep lines.
 *
 * Returns: whether it was that, and it is worth asking again
 */
bool cache_mem_line_was_lost(CacheMemDev *cm, uint64_t line);

/**
 * cache_mem_hurry: somebody waits for who waits in time, or does no more
 *
 * Calls nest. Not to be called with the lock held.
 */
void cache_mem_hurry(CacheMemDev *cm, bool hurry);

/* As cxl_cache_dev_read(), _write(), _drop(), _evict(), _state() */
bool cache_mem_line_read(CacheMemDev *cm, uint64_t line,
                         CXLCacheLineData *data, bool *poison);
bool cache_mem_line_write(CacheMemDev *cm, uint64_t line,
                          const CXLCacheLineData *data, uint64_t be);
bool cache_mem_line_drop(CacheMemDev *cm, uint64_t line);
int cache_mem_line_evict(CacheMemDev *cm, uint64_t line);
CXLCacheState cache_mem_line_state(CacheMemDev *cm, uint64_t line);

#endif /* HW_CXL_CACHE_MEM_AGENT_H */
