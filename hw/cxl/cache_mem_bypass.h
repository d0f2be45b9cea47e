/*
 * CacheMemRegion: who uses memory past the trap
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The trap on guest RAM is in this process's page tables. A device that
 * reaches pinned pages by DMA and a process that maps the same file go past
 * it: they would find what memory holds while a CXL.cache device has newer
 * data, and what they write would be lost in the device's write-back. While
 * there is such a user of a block of RAM, no line of it can be kept.
 *
 * Nobody is known by name here: these users say so themselves, see
 * ram_external_user_add(). One cannot be asked: a process that opens the file
 * of a memory-backend-file by its path.
 *
 * Functions are called with the BQL held.
 */

#ifndef HW_CXL_CACHE_MEM_BYPASS_H
#define HW_CXL_CACHE_MEM_BYPASS_H

#include "exec/cpu-common.h"

typedef struct CacheMemBypass CacheMemBypass;

/**
 * cache_mem_bypass_new: begin to watch who comes and goes
 * @changed: cache_mem_bypass_why() may have another answer now. Somebody who
 *           has come reaches memory only when this has returned; somebody who
 *           has gone does not reach it any more.
 * @opaque: for @changed
 *
 * Does not call @changed for those who are there already.
 */
CacheMemBypass *cache_mem_bypass_new(void (*changed)(void *opaque),
                                     void *opaque);

/**
 * cache_mem_bypass_free: do not watch any more
 * @bypass: what cache_mem_bypass_new() returned
 */
void cache_mem_bypass_free(CacheMemBypass *bypass);

/**
 * cache_mem_bypass_why: whether lines of a block may be kept now
 * @rb: the block, or NULL: RAM as such
 *
 * Returns: NULL if they may, or else why not; valid for ever
 */
const char *cache_mem_bypass_why(const RAMBlock *rb);

#endif /* HW_CXL_CACHE_MEM_BYPASS_H */
