/*
 * CacheMemRegion: what a device may have of its host
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits of one device, thus of one Cache ID, that keep it from taking the host
 * away from others. CXL.cache has nothing of the kind (section 11 of CXL r3.1
 * leaves denial of service out), but nothing in it forbids a host to have its
 * requests wait, or to grant fewer credits.
 *
 * QEMU interface:
 *  + a type with a CacheMemDev calls cache_mem_limits_class_init(), which adds
 *    the properties "sf-quota", "req-credits", "rate" and "rate-burst". They
 *    can be set at any time;
 *  + it hands the struct to cache_mem_dev_new() (CacheMemDevConfig.limits);
 *  + QMP x-query-cxl-cache and HMP "info cxl-cache" show the limits, and who
 *    has had to wait for them.
 */

#ifndef HW_CXL_CACHE_MEM_LIMITS_H
#define HW_CXL_CACHE_MEM_LIMITS_H

#include "qom/object.h"

#define CACHE_MEM_RATE_BURST    16              /* without "rate-burst" */
#define CACHE_MEM_RATE_MAX      1000000000000ULL

/**
 * CacheMemLimits: 0 is no limit, or the default
 * @sf_quota: lines that the snoop filter tracks for the device
 * @req_credits: of the channel D2H Req; no more than there are buffers
 * @rate: requests in a second of virtual time, at most CACHE_MEM_RATE_MAX;
 *        those that give lines up do not count
 * @rate_burst: requests that may follow each other at once after a pause
 */
typedef struct CacheMemLimits {
    uint32_t sf_quota;
    uint16_t req_credits;
    uint64_t rate;
    uint32_t rate_burst;
} CacheMemLimits;

/* Where an object of a type keeps them */
typedef CacheMemLimits *CacheMemLimitsOf(Object *obj);

/* Add the properties to a type of devices. */
void cache_mem_limits_class_init(ObjectClass *klass, CacheMemLimitsOf *of);

#endif /* HW_CXL_CACHE_MEM_LIMITS_H */
