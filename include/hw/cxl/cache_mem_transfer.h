/*
 * CacheMemRegion: memory that is read or written while time goes on
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What cache_mem_read() and cache_mem_write() do at once, for a device whose
 * link has time: as many D2H requests as there are credits for are under way,
 * the caller goes on, and is woken when something has come. Several transfers
 * of a device share its credits; whoever is run first has them first.
 *
 * Like cache_mem_agent.h this is about host physical addresses; unlike there
 * they have to stay good from cache_mem_transfer_read() or _write() to the end:
 * see cache_mem_translations_gone(). To be called with the BQL held.
 */

#ifndef HW_CXL_CACHE_MEM_TRANSFER_H
#define HW_CXL_CACHE_MEM_TRANSFER_H

#include "hw/cxl/cache_mem_agent.h"

typedef struct CacheMemTransfer CacheMemTransfer;

/**
 * CacheMemWake: a transfer can go on
 * @when: by QEMU_CLOCK_VIRTUAL: not before
 *
 * Called in any thread, with the region's lock held: it may arm a timer, and
 * call nothing of CacheMemRegion.
 */
typedef void CacheMemWake(void *opaque, uint64_t when);

/**
 * cache_mem_in_time: are transfers of this device to be made like this?
 *
 * Returns: false where its link has no time, or something is injected that is
 * about requests which are done at once
 */
bool cache_mem_in_time(CacheMemDev *cm);

/**
 * cache_mem_transfer_read: read memory as cache_mem_read() does
 * @name: what it is for, for who looks; copied
 * @seg: @n pieces; they are copied
 * @wake: called when cache_mem_transfer_run() may have more to do
 *
 * Nothing is asked for before cache_mem_transfer_run().
 */
CacheMemTransfer *cache_mem_transfer_read(CacheMemDev *cm, const char *name,
                                          const CacheMemSeg *seg, unsigned n,
                                          CacheMemWake *wake, void *opaque);

/**
 * cache_mem_transfer_write: change memory as cache_mem_write() does
 * @buf: the bytes; they have to stay until the transfer is freed
 *
 * Memory changes as a whole, as the last thing before it is over; until then
 * it can be freed, and is as it was. Only what is kept is asked for while time
 * goes on: the rest is written at that moment, as cache_mem_write() does it.
 */
CacheMemTransfer *cache_mem_transfer_write(CacheMemDev *cm, const char *name,
                                           const CacheMemSeg *seg, unsigned n,
                                           const void *buf,
                                           CacheMemWriteHow how,
                                           CacheMemWake *wake, void *opaque);

/**
 * cache_mem_transfer_run: do what can be done now
 *
 * Returns:
 *   0             it is over; so it stays
 *   -EIO          it is over: the host answered with an error or with poison,
 *                 memory is not on the device's allow-list, the device is
 *                 isolated, reset or off. Lines that were owned for it are
 *                 given up.
 *   -EINPROGRESS  @wake will be called, or cache_mem_transfer_again() says when
 *                 to ask again
 */
int cache_mem_transfer_run(CacheMemTransfer *t);

/**
 * cache_mem_transfer_again: when to run it again without having been woken
 *
 * Returns: a time by QEMU_CLOCK_VIRTUAL; UINT64_MAX if it waits for nothing but
 * its own requests
 */
uint64_t cache_mem_transfer_again(const CacheMemTransfer *t);

/* What was read, and whether some of it is known to be bad */
const void *cache_mem_transfer_data(const CacheMemTransfer *t);
bool cache_mem_transfer_poison(const CacheMemTransfer *t);

/**
 * cache_mem_transfer_free: forget about it, whether it is over or not
 *
 * If it is not, what is under way for it comes to its end at once, lines that
 * were owned for it are given up and memory is as it was. @wake is not called
 * any more.
 */
void cache_mem_transfer_free(CacheMemTransfer *t);

#endif /* HW_CXL_CACHE_MEM_TRANSFER_H */
