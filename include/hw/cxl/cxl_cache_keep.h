/*
 * CXL.cache, the device's side: are results worth keeping?
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device may write memory and keep the lines, or write it through and keep
 * nothing; both are right at any time. Keeping pays if nobody else wants the
 * lines before the device does. Whether somebody does, the device sees by the
 * snoops that take modified lines from it. This predictor counts them: lines
 * are kept for a window; if most of a window was taken meanwhile, results are
 * written through for a rest, and then tried again. The rests grow as long as
 * the answer stays the same.
 */

#ifndef HW_CXL_CACHE_KEEP_H
#define HW_CXL_CACHE_KEEP_H

/* In lines: 1 MiB, wider than what a guest has in flight, so that it shows */
#define CXL_CACHE_KEEP_WINDOW   (1u << 14)
/* 16 MiB first; the windows are at most 1/256 of the longest rest. */
#define CXL_CACHE_KEEP_REST     (1u << 18)
#define CXL_CACHE_KEEP_REST_MAX (1u << 22)

/**
 * CXLCacheKeep: zeroed to begin with
 * @kept: lines kept since the window began
 * @taken: what the caller had counted then
 * @through: lines that are still to be written through
 * @rest: how many it were the last time, 0 if keeping paid
 */
typedef struct CXLCacheKeep {
    unsigned kept;
    unsigned through;
    unsigned rest;
    uint64_t taken;
} CXLCacheKeep;

/**
 * cxl_cache_keep: before results are written
 * @lines: how many lines they are
 * @taken: how many modified lines snoops have ever taken from the device
 *
 * Returns: whether to keep them; false to write them through.
 */
bool cxl_cache_keep(CXLCacheKeep *k, unsigned lines, uint64_t taken);

#endif /* HW_CXL_CACHE_KEEP_H */
