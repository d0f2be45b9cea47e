/*
 * CXL.cache, the device's side: a cache with data, and its requests
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: a set-associative cache of 64-byte lines with their data,
 * poison, MESI and all transient states; true LRU within a set, where a line
 * brought in with the NT hint is the next victim; all 15 D2H requests; answers
 * to all snoops in every state; Bogus evicts.
 *
 * How to use it:
 *
 *   cxl_cache_dev_request() sends a request, by name and line. Its outcome
 *   comes through the complete() callback, from within cxl_cache_dev_rx() or
 *   the scheduler (cxl_cache_run()).
 *   cxl_cache_dev_read(), _write() and _drop() use the lines that are held;
 *   they cross no link and fail where the line's state forbids it.
 *   Lines leave by cxl_cache_dev_evict(), because of a snoop, or as the victim
 *   of a request that needs the room.
 *
 * A line is an address (HPA >> 6) of 46 bits; with more it is none: no device
 * has it, and requests for it are -EINVAL.
 *
 * Calls are not re-entrant: do not call from a callback into the same device,
 * except for cxl_cache_dev_state() and, from complete(), _read() and _write().
 *
 * Metadata are 8 bytes a line. Nothing is allocated after cxl_cache_dev_new().
 */

#ifndef HW_CXL_CACHE_DEV_H
#define HW_CXL_CACHE_DEV_H

#include "hw/cxl/cxl_cache_link.h"
#include "hw/cxl/cxl_cache_tables.h"

/* How a line that memory also has leaves the cache */
typedef enum CXLCacheCleanEvict {
    CXL_CACHE_CLEAN_NOTIFY,     /* CleanEvictNoData: the host's tracker knows */
    CXL_CACHE_CLEAN_DATA,       /* CleanEvict from E, CleanEvictNoData from S */
    CXL_CACHE_CLEAN_SILENT,     /* the host asked for no notification */
} CXLCacheCleanEvict;

/**
 * CXLCacheDevConfig:
 * @size: bytes of data, a multiple of @ways lines
 * @ways: 1 to 16
 * @requests: outstanding at most, 1 to 4096; their CQIDs are 0 to this - 1
 * @snp_data_invalidates: give up a modified line on SnpData (RspIFwdM), rather
 *         than keep it shared (RspSFwdM); for devices that do not read their
 *         results
 */
typedef struct CXLCacheDevConfig {
    uint64_t size;
    unsigned ways;
    unsigned requests;
    CXLCacheCleanEvict clean_evict;
    bool snp_data_invalidates;
} CXLCacheDevConfig;

/**
 * CXLCacheReq: what to ask of the host
 * @line: address of the line (HPA >> 6); ignored by CacheFlushed
 * @opcode: CXLCacheD2HReq
 * @nt: the line will not be used soon again
 * @poison: the data are known to be bad
 * @be: byte enables of @data, for WrInv (any) and WOWrInv (not all)
 * @data: for ItoMWr, WrCur, WrInv, WOWrInv and WOWrInvF; copied at once
 * @tag: the caller's, given back on completion
 */
typedef struct CXLCacheReq {
    uint64_t line;
    uint64_t be;
    const CXLCacheLineData *data;
    uint64_t tag;
    uint8_t opcode;
    bool nt;
    bool poison;
} CXLCacheReq;

/**
 * CXLCacheDone: outcome of a request
 * @state: of the line now; a read with data and I was for one use
 * @failed: GO-Err, or GO-Err in the data's header
 * @poison: the data are known to be bad
 * @data: what was read, valid during the callback; NULL for other requests
 *
 * Whoever publishes results (a used ring, an interrupt) does so only after the
 * completion of every write they depend on: only then are they visible to
 * all (CXL r3.1 section 3.2.5.1: requests are not ordered with each other).
 */
typedef struct CXLCacheDone {
    uint64_t line;
    uint64_t tag;
    const CXLCacheLineData *data;
    uint16_t cqid;
    uint8_t opcode;
    uint8_t state;
    bool failed;
    bool poison;
} CXLCacheDone;

typedef struct CXLCacheDevOps {
    void (*complete)(void *opaque, const CXLCacheDone *done);
    /* The host broke a rule, by @msg of @channel; the device goes on. */
    void (*error)(void *opaque, CXLCacheError err, CXLCacheChannelId channel,
                  const CXLCacheMsg *msg);
} CXLCacheDevOps;

/**
 * cxl_cache_dev_new: an empty cache at the device's end of @link
 *
 * Returns: NULL if @config is out of range, if @link is NULL or has a device,
 * or without memory. @ops and @link must outlive the device.
 */
CXLCacheDev *cxl_cache_dev_new(const CXLCacheDevConfig *config,
                               CXLCacheLink *link,
                               const CXLCacheDevOps *ops, void *opaque);
void cxl_cache_dev_free(CXLCacheDev *dev);

/**
 * cxl_cache_dev_reset: conventional reset: everything is lost
 *
 * Lines, dirty ones too, and outstanding requests vanish without completion;
 * caching is enabled and viral cleared. The link is not touched.
 */
void cxl_cache_dev_reset(CXLCacheDev *dev);

/**
 * cxl_cache_dev_request: send a D2H request
 *
 * Returns: its CQID, or
 *   -EINVAL  the opcode is reserved, the address or byte enables are out of
 *            range, data are missing
 *   -EPERM   the line's state forbids this request (tables 3-28 and ordering
 *            rule O11), or caching is disabled and the request is cacheable
 *   -EBUSY   the line, or every line of its set, is in a transient state, or a
 *            victim is on its way out: run the link, then ask again
 *   -EAGAIN  no CQID or no credit: likewise
 *   -EIO     the device is viral
 * On error nothing has changed, but for a victim's eviction.
 */
int cxl_cache_dev_request(CXLCacheDev *dev, const CXLCacheReq *req);

/**
 * cxl_cache_dev_state: the line's state; I if the cache does not have it
 */
CXLCacheState cxl_cache_dev_state(const CXLCacheDev *dev, uint64_t line);

/**
 * cxl_cache_dev_read: read a line that is held
 * @poison: set if the data are known to be bad; may be NULL
 *
 * Returns: false if the line may not be read (it is not S, E or M).
 */
bool cxl_cache_dev_read(CXLCacheDev *dev, uint64_t line,
                        CXLCacheLineData *data, bool *poison);

/**
 * cxl_cache_dev_write: change bytes of a line that is owned; it becomes M
 * @be: which bytes; all of them where RdOwnNoData left no data
 *
 * A full write clears the line's poison, a partial one keeps it.
 *
 * Returns: false if the line may not be written so.
 */
bool cxl_cache_dev_write(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data, uint64_t be);

/**
 * cxl_cache_dev_stage: put a whole line's data where they are to be
 *
 * For lines owned without data (EN). The line stays as it is: nobody can read
 * these data, and a snoop or an evict forgets them, until cxl_cache_dev_write()
 * makes the line M.
 *
 * Returns: false if the line is not EN.
 */
bool cxl_cache_dev_stage(CXLCacheDev *dev, uint64_t line,
                         const CXLCacheLineData *data);

/**
 * cxl_cache_dev_drop: forget a clean line without telling the host
 *
 * Returns: false if the line is dirty, in a transient state or not there.
 */
bool cxl_cache_dev_drop(CXLCacheDev *dev, uint64_t line);

/**
 * cxl_cache_dev_evict: give a line up, in the way its state asks for
 *
 * Returns: 0 if the line is on its way out, or gone, else as
 * cxl_cache_dev_request().
 */
int cxl_cache_dev_evict(CXLCacheDev *dev, uint64_t line);

/**
 * cxl_cache_dev_flush: write back and invalidate everything
 *
 * To be called again, with the link run in between, until it returns 0: then
 * the cache is empty and the host has acknowledged CacheFlushed.
 *
 * Returns: 0 when done, -EAGAIN while at it.
 */
int cxl_cache_dev_flush(CXLCacheDev *dev);

/* Disable_Caching of the CXL Control2 register: no cacheable requests */
void cxl_cache_dev_set_caching(CXLCacheDev *dev, bool enable);

/**
 * cxl_cache_dev_set_viral: no new requests, but for evicts
 *
 * Snoops are answered and outstanding requests complete (section 12.4).
 */
void cxl_cache_dev_set_viral(CXLCacheDev *dev, bool viral);

/**
 * cxl_cache_dev_rx: take the oldest message of an H2D channel
 *
 * Returns: false if there is none or it has to wait. Only a snoop ever waits:
 * for a credit of D2H Rsp or D2H Data, or for an older GO to the same line. H2D
 * Rsp and H2D Data are taken at once (table 3-12).
 */
bool cxl_cache_dev_rx(CXLCacheDev *dev, CXLCacheChannelId channel);

/**
 * cxl_cache_dev_tx: send data that were due without a credit of D2H Data
 *
 * Data of a pull, and those promised to a snoop before they were there. What
 * they belong to completes with it.
 *
 * Returns: whether anything was sent.
 */
bool cxl_cache_dev_tx(CXLCacheDev *dev);

/* Sizes, and how many lines are in each state */
unsigned cxl_cache_dev_num_lines(const CXLCacheDev *dev);
const uint32_t *cxl_cache_dev_states(const CXLCacheDev *dev);
unsigned cxl_cache_dev_outstanding(const CXLCacheDev *dev);

/**
 * cxl_cache_dev_request_line: the line that a request is about
 *
 * Returns: false if there is no request with this CQID, or if it is not about
 * a line.
 */
bool cxl_cache_dev_request_line(const CXLCacheDev *dev, unsigned cqid,
                                uint64_t *line);

/**
 * CXLCacheSlot: one line of the cache, as a register window shows it
 * @staged: @data are not the line's yet: cxl_cache_dev_stage()
 * @cqid: of the request that the line waits for, or -1
 */
typedef struct CXLCacheSlot {
    uint64_t line;
    const CXLCacheLineData *data;
    CXLCacheState state;
    bool poison;
    bool staged;
    int cqid;
} CXLCacheSlot;

/**
 * cxl_cache_dev_slot: look at line @index of cxl_cache_dev_num_lines()
 *
 * Returns: false if nothing is there.
 */
bool cxl_cache_dev_slot(const CXLCacheDev *dev, unsigned index,
                        CXLCacheSlot *slot);

#endif /* HW_CXL_CACHE_DEV_H */
