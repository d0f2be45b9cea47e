/*
 * CXL.cache: the fast gear: lines of one page in one step
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device's request for a page is 64 requests, and a touch of that page by the
 * host is 64 snoops. Where no transaction is open, no message on its way, no
 * line held by several devices, and nobody traces, all of them are one step on
 * the state of both sides: what comes out is what the messages would have left,
 * sent one line after the other, with their counters and credits. No complete()
 * callback is called: the result says what was done.
 *
 * Each function takes lines of one page and returns which of them are done, a
 * bit for each; the caller sees to the rest by messages. It may be none, and is
 * always none where CXLCacheHomeOps has no page().
 *
 * No callback of home or device may call these functions.
 */

#ifndef HW_CXL_CACHE_GEAR_H
#define HW_CXL_CACHE_GEAR_H

#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_home.h"

/**
 * cxl_cache_page_read: RdCurr, or what the device has
 * @line: the first of @n lines, all in one page
 * @to: their data, of any alignment; what is not done is not written
 *
 * Returns: bit i for line @line + i
 */
uint64_t cxl_cache_page_read(CXLCacheDev *dev, uint64_t line, unsigned n,
                             void *to);

/**
 * cxl_cache_page_own: RdOwnNoData, for lines that cannot be filled yet
 *
 * Returns: as cxl_cache_page_read(): the lines that are in E, M or EN now
 */
uint64_t cxl_cache_page_own(CXLCacheDev *dev, uint64_t line, unsigned n);

/**
 * cxl_cache_page_write: cxl_cache_dev_write() of whole lines
 *
 * Returns: as cxl_cache_page_read(). It crosses no link, so what is not done
 * are lines that the device does not own.
 */
uint64_t cxl_cache_page_write(CXLCacheDev *dev, uint64_t line, unsigned n,
                              const void *from);

/**
 * cxl_cache_page_put: ItoMWr, of lines that no device has
 *
 * Returns: as cxl_cache_page_read(): the lines that memory has now
 */
uint64_t cxl_cache_page_put(CXLCacheDev *dev, uint64_t line, unsigned n,
                            const void *from);

/**
 * cxl_cache_page_evict: cxl_cache_dev_evict(), up to the end
 *
 * Returns: as cxl_cache_page_read(): the lines that the device does not have
 * now
 */
uint64_t cxl_cache_page_evict(CXLCacheDev *dev, uint64_t line, unsigned n);

/**
 * cxl_cache_page_recall: cxl_cache_home_host(), with no data to write or read
 * @line: any line of the page
 * @lines: those to be recalled: bit i for the page's line i
 * @op: all but CXL_CACHE_HOST_PEEK
 *
 * Returns: those that are done
 */
uint64_t cxl_cache_page_recall(CXLCacheHome *home, uint64_t line,
                               uint64_t lines, CXLCacheHostOp op);

#endif /* HW_CXL_CACHE_GEAR_H */
