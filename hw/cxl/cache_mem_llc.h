/*
 * CacheMemRegion: the host's last-level cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: -object cxl-host-llc, a last-level cache (cxl_cache_llc.h)
 * between the home and memory. It sees what the home reads and writes for
 * devices, other devices' DMA as far as it is announced
 * (ram_access_func_set()), what CPUs do with memory that is watched, under
 * TCG, and what software has it do by its registers. It holds no data, so
 * nothing can be lost in it.
 *
 * A line that devices have and may not have any more, since it has left an
 * inclusive cache or a directory, is taken from them by SnpInv. The home cannot
 * be asked for that while it calls: such lines wait for
 * cache_mem_llc_settle(), under the same hold of the region's lock; on links
 * with time, where nobody waits for it, for cache_mem_llc_go_on(): snoops are
 * sent then, and lines are gone when these have arrived.
 *
 * QEMU interface:
 *  + -object cxl-host-llc,id=,size=,ways=,slices=,hash=,policy=,inclusive=,
 *    ddio-ways=,directory-ways=,watch=,sample=: one for the machine
 *  + cache_mem_llc_window() is a BAR by which software looks at it
 *  + QMP x-query-cxl-llc, HMP "info cxl-llc", event CXL_LLC_EVICTED, trace
 *    events cxl_cache_llc_*
 *
 * Without the object region->llc is NULL, and none of this is called. Functions
 * are called with the region's lock held unless they say otherwise.
 */

#ifndef HW_CXL_CACHE_MEM_LLC_H
#define HW_CXL_CACHE_MEM_LLC_H

#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cxl_cache_llc.h"
#include "qom/object.h"
#include "system/memory.h"

typedef struct CacheMemRegion CacheMemRegion;

#define TYPE_CXL_HOST_LLC "cxl-host-llc"
OBJECT_DECLARE_SIMPLE_TYPE(CXLHostLlc, CXL_HOST_LLC)

/**
 * CacheMemLlcTaken: a line that devices may not have any more
 * @was: where it was, in the cache or in the directory
 * @by: who came instead
 */
typedef struct CacheMemLlcTaken {
    CXLLlcEntry was;
    CXLLlcReason reason;
    CXLLlcClass by;
} CacheMemLlcTaken;

/* A load that was sampled, see CLR_SAMPLE() */
typedef struct CacheMemLlcSample {
    uint64_t ip;
    uint64_t va;
    uint64_t pa;
    uint64_t source;
    uint64_t latency;
    uint64_t time;
} CacheMemLlcSample;

#define CACHE_MEM_LLC_SAMPLES   64

/**
 * CacheMemLlcUse: what a CPU has found
 * @hit: the line was in the cache
 * @modified: a device had modified it
 */
typedef struct CacheMemLlcUse {
    bool hit;
    bool modified;
} CacheMemLlcUse;

/* So many wait at most; if there are more, all lines are looked through. */
#define CACHE_MEM_LLC_WAITING   64

/**
 * CacheMemLlc: the cache, attached to a region
 * @granted: the line that the home has just granted to a device, and counted:
 *           it reads the data next, if any; all ones if none
 * @waiting, @num_waiting: to be taken from devices
 * @overflow: there were more
 * @settling: they are being taken
 * @leaving, @num_leaving: lines that are on their way to memory, in time
 * @taken: lines taken from devices so far, by why
 * @taken_modified: of them, those that came home modified
 * @addr: the register CLR_ADDR
 * @watch: of Range, pages of which CPUs' accesses are seen; NULL for none
 * @loads, @stores: of CPUs, that were seen
 * @every: so-manieth load goes to @sample, a ring; 0 for none
 * @samples: loads that went there
 */
typedef struct CacheMemLlc {
    CXLLlc *cache;
    const char *name;
    bool inclusive;
    uint64_t granted;
    CacheMemLlcTaken waiting[CACHE_MEM_LLC_WAITING];
    unsigned num_waiting;
    bool overflow;
    bool settling;
    uint64_t leaving[CACHE_MEM_LLC_WAITING];
    unsigned num_leaving;
    uint64_t taken[CXL_LLC_NUM_REASONS];
    uint64_t taken_modified;
    uint64_t addr;
    GArray *watch;
    uint64_t loads;
    uint64_t stores;
    uint32_t every;
    uint64_t samples;
    CacheMemLlcSample sample[CACHE_MEM_LLC_SAMPLES];
} CacheMemLlc;

/* What the home does for devices */

/* It has read the line. */
void cache_mem_llc_read(CacheMemRegion *region, uint64_t line);
/* It has written it. */
void cache_mem_llc_write(CacheMemRegion *region, uint64_t line,
                         CXLCacheWriteWhy why);
/* The host may do no more than @access: a device has got it, or none has it. */
void cache_mem_llc_access(CacheMemRegion *region, uint64_t line,
                          CXLCacheHostAccess access);

/* What others do */

/* A device of QEMU's is about to access RAM: whole lines of it */
void cache_mem_llc_dma(CacheMemRegion *region, ram_addr_t addr, uint64_t len,
                       bool write);

/**
 * cache_mem_llc_cpu: a CPU reads or writes a line, in a class
 * @kind: CXL_LLC_READ or CXL_LLC_WRITE
 *
 * Devices that own the line share it, or lose it, as for any such access.
 * Nothing happens where no RAM is.
 */
void cache_mem_llc_cpu(CacheMemRegion *region, uint64_t line, CXLLlcKind kind,
                       CXLLlcClass class, CacheMemLlcUse *found);

/* cache_mem_llc_watch.c: CPUs' loads and stores, under TCG */

/* Pages of @str, as an array of Range; NULL and @errp if it has none */
GArray *cache_mem_llc_watch_parse(const char *str, Error **errp);

/*
 * Without the lock: see them from now on, and CPUs' flushes, where there is
 * TCG. Returns: false with @errp set if that cannot be and is asked for
 */
bool cache_mem_llc_watch_start(CacheMemRegion *region, Error **errp);
void cache_mem_llc_watch_stop(CacheMemRegion *region);
/* Likewise for an alias, which sees to it that it can be */
void cache_mem_watch_start(CacheMemRegion *region);

/* CLFLUSH: the line leaves the cache, and the devices */
void cache_mem_llc_flush_line(CacheMemRegion *region, uint64_t line);

/* WBINVD: all lines leave the cache; an inclusive one's the devices, too */
void cache_mem_llc_flush(CacheMemRegion *region);

/* System reset: the cache is as new. */
void cache_mem_llc_reset(CacheMemRegion *region);

/**
 * cache_mem_llc_settle: take from devices what they may not have any more
 *
 * To be called after what may have had lines leave, when the home is not at
 * work.
 */
void cache_mem_llc_settle(CacheMemRegion *region);

/**
 * cache_mem_llc_go_on: likewise, when messages have been moved by time
 *
 * The links' time is not brought forward. What cannot be asked for yet, because
 * something else is under way for the line, is asked for the next time.
 */
void cache_mem_llc_go_on(CacheMemRegion *region);

/* The machine's, or NULL; the BQL is held, the lock is not needed. */
CXLHostLlc *cxl_host_llc_get(void);

/**
 * cache_mem_llc_window: registers of the machine's cache
 * @mr: initialized by this; see hw/cxl/cxl_cache_llc_regs.h
 * @owner: of @mr
 *
 * Without the lock. Returns: false if there is no such cache
 */
bool cache_mem_llc_window(MemoryRegion *mr, Object *owner);

#endif /* HW_CXL_CACHE_MEM_LLC_H */
