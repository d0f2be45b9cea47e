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
 * Locking: one mutex for the home, the devices and the links. It is taken
 * inside the BQL and never the other way round; the BQL is not needed. While
 * it is held nobody touches guest memory through the guest's mapping.
 *
 * Time: on links that have it (cxl-cache-latency= and others of the root port)
 * messages travel in virtual time; so do requests of a device with a rate. Who
 * touches a page, the test device's agent
 * and what is posted wait for them; all other operations are done when they
 * return, as on any link, and bring the links' time forward to do so. So does
 * whoever waits where the clock stands still. See cache_mem_time.c.
 *
 * QEMU interface:
 *  + a PCI device calls cache_mem_dev_new() at realize, cache_mem_dev_detach()
 *    at exit, cache_mem_dev_free() when it is finalized,
 *    cache_mem_dev_reset() at conventional reset and
 *    cache_mem_dev_set_mode() when its registers say so;
 *  + it moves data as cache_mem_agent.h has it;
 *  + cache_mem_dev_window() is a BAR that shows its cache;
 *  + "/machine/cxl-cache" is the object, from the machine's first device on;
 *    system reset empties all caches; its properties break coherence and
 *    isolation, for tests (cache_mem_inject.h);
 *  + QMP x-query-cxl-cache and x-query-cxl-cache-line, HMP "info cxl-cache" and
 *    "info cxl-cache-line", trace events cxl_cache_*.
 */

#ifndef HW_CXL_CACHE_MEM_REGION_H
#define HW_CXL_CACHE_MEM_REGION_H

#include "hw/cxl/cache_mem_limits.h"
#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_time.h"
#include "qapi/qapi-types-common.h"
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

/* Snoop filters of a machine, and how large each can be if there are several */
#define CACHE_MEM_SF_GROUPS     16
#define CACHE_MEM_SF_GROUP_MAX  (64 * MiB)

/* Pages that the host brings home at once, at most */
#define CACHE_MEM_PREFETCH_MAX  64

/**
 * CacheMemPortEvent: what a root port is told of a device below it
 * @CACHE_MEM_PORT_TIMEOUT: it has not answered in time
 * @CACHE_MEM_PORT_ISOLATED: CXL.cache below the port is isolated, for that
 */
typedef enum CacheMemPortEvent {
    CACHE_MEM_PORT_TIMEOUT,
    CACHE_MEM_PORT_ISOLATED,
    CACHE_MEM_NUM_PORT_EVENTS
} CacheMemPortEvent;

/**
 * CacheMemDevConfig:
 * @dev: the device; its id or path is how people know it
 * @cache_size: bytes
 * @cache_ways: associativity, 1 to 16; divides the number of lines
 * @snp_data_invalidates: modified lines that the host reads are given up, not
 *         kept shared
 * @rescue: modified lines are copied home when the device is lost
 *          (cache_mem_dev_isolate()), not poisoned
 * @sf_size: bytes that the snoop filter can track; must be the same for all
 *           devices of the machine, who share the filter
 * @grouped: there are several filters, and @sf_size is that of @sf_group's
 * @sf_group: 0 to CACHE_MEM_SF_GROUPS - 1
 * @limits: as of cache_mem_dev_set_limits()
 * @prefetch: pages that come home at once when the host's touches follow each
 *            other; must be the same for all devices, too
 * @messages: no fast gear: every message is sent
 * @flit_256b: the link has 256B flits: messages carry a Cache ID, and there are
 *         none until cache_mem_dev_set_route()
 * @cache_id: what cxl_cache_path_admit() takes; the host does not look at it
 * @timed: messages travel as @timing has it (cxl_cache_time.h), by the clock
 *         of the machine, QEMU_CLOCK_VIRTUAL
 * @timing: how, if @timed
 * @root_port: whose wires its messages share with those of all other devices
 *             below it; only compared
 * @depth: buffers, thus credits, in each channel; 0 for the default, 64
 * @cache: whether lines are kept: where they can be (auto); never (off); of all
 *         the memory that the machine has now, or there is no device (on)
 * @allow: NULL, or the only memory that CXL.cache may be used for, as
 *         <first>-<last>[,...]: of whole lines, both ends included
 * @error: a protocol error was seen by the device (@err) or by the host, of
 *         something that the device sent; called in the main loop
 * @opaque: for @error
 * @port: the root port above the device, for cache_mem_port_set_timeout()
 * @port_event: tells @port of what concerns it; under the BQL. May be NULL
 * @isolated: CXL.cache below @port is isolated
 */
typedef struct CacheMemDevConfig {
    DeviceState *dev;
    uint64_t cache_size;
    uint32_t cache_ways;
    bool snp_data_invalidates;
    bool rescue;
    uint64_t sf_size;
    bool grouped;
    uint8_t sf_group;
    CacheMemLimits limits;
    uint32_t prefetch;
    bool messages;
    bool flit_256b;
    const char *cache_id;
    bool timed;
    CXLCacheTiming timing;
    const void *root_port;
    uint16_t depth;
    OnOffAuto cache;
    const char *allow;
    void (*error)(void *opaque, CXLCacheError err);
    void *opaque;
    DeviceState *port;
    void (*port_event)(DeviceState *port, CacheMemPortEvent event);
    bool isolated;
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

/* No Cache ID leads to the device: its requests are aborted. */
#define CACHE_MEM_UNROUTED  (-1)

/**
 * cache_mem_dev_set_route: the Cache ID that leads to a device has changed
 * @id: 0 to 15, or CACHE_MEM_UNROUTED
 *
 * What the device holds is written back before, by the old one: a snoop would
 * not find it any more.
 */
void cache_mem_dev_set_route(CacheMemDev *cm, int id);

/**
 * cache_mem_dev_set_limits: limit what a device may have, from its next request
 * on; one that waits already goes by the new limits
 *
 * A rate is by the machine's clock, with any link: where messages take no time,
 * requests wait for it all the same. An operation that is done when it returns
 * does not: it takes its tokens before these are there, and what the device
 * asks for later waits for that.
 */
void cache_mem_dev_set_limits(CacheMemDev *cm, const CacheMemLimits *limits);

/**
 * cache_mem_port_set_timeout: how long the host waits for devices below @port
 * @ns: for the answer to a snoop, or the data of a write; 0 for ever
 * @isolate: then CXL.cache below the port is isolated (CXL r3.1 section 12.3);
 *           else the host goes on waiting, and the port is told
 *
 * Isolated devices are as after cache_mem_dev_isolate(), but their link is
 * there. Their requests are refused, and they stay in CACHE_MEM_OFF, until
 * cache_mem_port_end_isolation().
 */
void cache_mem_port_set_timeout(DeviceState *port, uint64_t ns, bool isolate);

/**
 * cache_mem_port_end_isolation: devices below @port may use CXL.cache again
 *
 * What cache_mem_dev_set_mode() was told meanwhile is in force from now on.
 */
void cache_mem_port_end_isolation(DeviceState *port);

/* Have ports told of what has not been told yet, under the BQL */
void cache_mem_port_report(void);

/**
 * cache_mem_dev_hold: for fault injection: channels stand still
 * @channels: a bit for each CXLCacheChannelId; 0 to let them go
 *
 * A device that does not answer. Ends with cache_mem_dev_reset() and with the
 * machine's reset.
 */
void cache_mem_dev_hold(CacheMemDev *cm, unsigned channels);
unsigned cache_mem_dev_held_channels(const CacheMemDev *cm);

/* All that are attached, one after the other; the first for NULL. Under BQL */
CacheMemDev *cache_mem_dev_next(CacheMemDev *cm);

/* That of @dev, NULL if it has none that is attached */
CacheMemDev *cache_mem_dev_of(DeviceState *dev);

DeviceState *cache_mem_dev_device(const CacheMemDev *cm);
bool cache_mem_dev_flit_256b(const CacheMemDev *cm);

/* What it is called in messages, trace events and the monitor */
const char *cache_mem_dev_name(const CacheMemDev *cm);

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
 * cache_mem_dev_window: make the slot window of the device's cache
 * @mr: initialized by this; 512 KiB for any cache
 * @owner: of @mr
 *
 * The first half shows a page of the cache: of CACHE_MEM_WINDOW_LINES lines,
 * in the order set, way, read-only, 128 bytes each: the line's 64 bytes, then
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
 *
 * What is behind the cache's last line reads as 0. At 0x40000 are registers of
 * 4 bytes: lines of the cache; lines of a page; and the page that is shown,
 * the only one that can be written. It is 0 after cache_mem_dev_reset().
 */
#define CACHE_MEM_WINDOW_LINES  2048

void cache_mem_dev_window(CacheMemDev *cm, MemoryRegion *mr, Object *owner);

#endif /* HW_CXL_CACHE_MEM_REGION_H */
