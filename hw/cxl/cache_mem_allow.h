/*
 * CacheMemRegion: the memory that a device may use by CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A limit that the user sets and no guest can change, whatever an IOMMU says:
 * nothing is asked of the host for any line outside of it.
 */

#ifndef HW_CXL_CACHE_MEM_ALLOW_H
#define HW_CXL_CACHE_MEM_ALLOW_H

#include "exec/hwaddr.h"

typedef struct CacheMemAllow CacheMemAllow;

/**
 * cache_mem_allow_new: parse an allow-list
 * @str: <first>-<last>[,...], of whole lines
 * @errp: set if it is not like that
 *
 * Returns: the list, NULL on error
 */
CacheMemAllow *cache_mem_allow_new(const char *str, Error **errp);
void cache_mem_allow_free(CacheMemAllow *allow);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CacheMemAllow, cache_mem_allow_free)

/**
 * cache_mem_allows: is all of it on the list?
 * @allow: may be NULL, which allows everything
 * @len: bytes; a range that goes past the last address is on no list
 */
bool cache_mem_allows(const CacheMemAllow *allow, hwaddr addr, uint64_t len);

#endif /* HW_CXL_CACHE_MEM_ALLOW_H */
