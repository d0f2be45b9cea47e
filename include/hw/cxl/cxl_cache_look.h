/*
 * CXL.cache: one line, or request, as the host and a device have it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For who asks about an address. Nothing is changed by it: no state, no age of
 * a way, no counter.
 */

#ifndef HW_CXL_CACHE_LOOK_H
#define HW_CXL_CACHE_LOOK_H

#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_home.h"

/**
 * CXLCacheHomeLook: a line at the home agent
 * @sf_set: set of the snoop filter that the line belongs to
 * @sf_way: where in it the line is tracked, or -1
 * @devs: devices that may hold the line, bit n for device n
 * @excl: one of them may own it
 * @uqid: of the line's open transaction, or -1. The rest is about it:
 * @request: what was asked, as the documented tables name it
 * @dev: the device that asked, or -1
 * @phase: where it is
 * @asked: devices that are to be snooped, or have still to answer
 */
typedef struct CXLCacheHomeLook {
    unsigned sf_set;
    int sf_way;
    uint16_t devs;
    bool excl;
    int uqid;
    const char *request;
    int dev;
    CXLCacheTxPhase phase;
    uint16_t asked;
} CXLCacheHomeLook;

/**
 * CXLCacheDevLook: a line in a device
 * @set: of its cache, that the line belongs to
 * @way: where in it the line is, or -1
 * @slot: what is there; without a way: a line in I
 *
 * @slot.cqid is also that of a request that takes no way.
 */
typedef struct CXLCacheDevLook {
    unsigned set;
    int way;
    CXLCacheSlot slot;
} CXLCacheDevLook;

/**
 * CXLCacheAwaitedBy: what a device's request waits for
 */
typedef enum CXLCacheAwaitedBy {
    CXL_CACHE_BY_CHANNEL,       /* to come to the host, and to be taken */
    CXL_CACHE_BY_ROOM,          /* in the snoop filter */
    CXL_CACHE_BY_SNOOPS,        /* other devices' answers */
    CXL_CACHE_BY_CREDIT,        /* for the host to answer it */
    CXL_CACHE_BY_DATA,          /* its own, which the host has pulled */
    CXL_CACHE_BY_ANSWER,        /* the host's, to come to it */
    CXL_CACHE_NUM_AWAITED_BY
} CXLCacheAwaitedBy;

/**
 * CXLCacheRequestLook: a device's request that is not complete
 * @line: its line; 0 for CacheFlushed
 * @tag: as of CXLCacheReq
 * @since: when it was sent, by the home's time; 0 where there is no time
 * @opcode: CXLCacheD2HReq
 * @asked: with CXL_CACHE_BY_SNOOPS, devices that have still to answer
 */
typedef struct CXLCacheRequestLook {
    uint64_t line;
    uint64_t tag;
    uint64_t since;
    uint8_t opcode;
    uint16_t asked;
    CXLCacheAwaitedBy awaits;
} CXLCacheRequestLook;

/**
 * cxl_cache_request_look: one request
 * @number: of the device at @home
 *
 * Returns: false if the device has no request with this CQID.
 */
bool cxl_cache_request_look(const CXLCacheHome *home, unsigned number,
                            const CXLCacheDev *dev, unsigned cqid,
                            CXLCacheRequestLook *look);

/* A line of more than 46 bits is nowhere. */
void cxl_cache_home_look(const CXLCacheHome *home, uint64_t line,
                         CXLCacheHomeLook *look);
void cxl_cache_dev_look(const CXLCacheDev *dev, uint64_t line,
                        CXLCacheDevLook *look);

#endif /* HW_CXL_CACHE_LOOK_H */
