/*
 * State space search of CXL.cache: the configurations that are searched
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

#define OP(op) (1u << CXL_CACHE_##op)
#define ALL (OP(RD_CURR) | OP(RD_OWN) | OP(RD_SHARED) | OP(RD_ANY) | \
             OP(RD_OWN_NO_DATA) | OP(I_TO_M_WR) | OP(WR_CUR) | \
             OP(CL_FLUSH) | OP(CLEAN_EVICT) | OP(DIRTY_EVICT) | \
             OP(CLEAN_EVICT_NO_DATA) | OP(WO_WR_INV) | OP(WO_WR_INV_F) | \
             OP(WR_INV) | OP(CACHE_FLUSHED))
#define EVICTS (OP(CLEAN_EVICT) | OP(DIRTY_EVICT) | OP(CLEAN_EVICT_NO_DATA))
#define OK (CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE | CXL_CACHE_MEM_CACHEABLE)

#define SHARE (OP(RD_OWN) | OP(RD_SHARED) | OP(DIRTY_EVICT) | \
               OP(CLEAN_EVICT_NO_DATA))

#define HOME(_sf, ...) \
    .home = { .sf_lines = _sf, .sf_ways = 1, .transactions = 3, \
              __VA_ARGS__ }
/* Of issue 14, item 21: their paths have both */
#define FIELD(_name) .name = _name, .group = "field/21-"
#define LIMIT 30000000
#define ONE_LINE(_reqs, _depth) \
    .lines = 1, .reqs = _reqs, .depth = _depth, .cache_lines = 1, \
    .cache_ways = 1, .limit = LIMIT
#define TWO_LINES(_cached) \
    .lines = 2, .reqs = 1, .depth = 1, .cache_lines = _cached, \
    .cache_ways = 1, .limit = LIMIT
/* Three lines, which the device's cache or the snoop filter has two ways for */
#define TWO_WAYS(_cached, _ways, _sf, _sf_ways) \
    .lines = 3, .reqs = 1, .depth = 1, .cache_lines = _cached, \
    .cache_ways = _ways, .limit = LIMIT, \
    .home = { .sf_lines = _sf, .sf_ways = _sf_ways, .transactions = 3 }

/*
 * Small: all of them together take seconds. What is left out of each is in
 * .bound; what one leaves out, another has, but for the products of features,
 * which the large ones are for.
 */
const ExploreConfig explore_small[] = {
    {
        .name = "all-requests",
        .bound = "1 line, 1 request a device, 1 credit a channel; no host, "
                 "whole lines",
        .ops = { ALL, ALL }, .may = MAY_STORE, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "forward-dirty",
        .bound = "1 line, 1 request a device, 1 credit a channel; no host, "
                 "whole lines; one device only reads and evicts",
        .ops = { ALL, SHARE | OP(RD_ANY) | OP(RD_CURR) | OP(CACHE_FLUSHED) },
        .may = MAY_STORE | MAY_DROP, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        .name = "pull-clean",
        .bound = "1 line, 1 request a device, 1 credit a channel; no writes "
                 "past the cache",
        .ops = { SHARE | OP(CLEAN_EVICT) | OP(RD_CURR),
                 SHARE | OP(CLEAN_EVICT) | OP(RD_ANY) },
        .may = MAY_STORE | MAY_DROP, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .pull_clean = true),
    }, {
        .name = "host",
        .bound = "1 line, 1 request a device, 1 credit a channel, 1 host "
                 "access; whole lines; one device only reads and evicts",
        .ops = { ALL, SHARE | OP(RD_ANY) | OP(RD_OWN_NO_DATA) },
        .may = MAY_STORE | MAY_HOST, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "host-alone",
        .bound = "1 line, 1 request a device, 1 credit a channel; the host "
                 "stores to memory by itself where it may",
        .ops = { SHARE | OP(RD_CURR) | OP(WR_INV) | OP(CACHE_FLUSHED),
                 SHARE | OP(RD_ANY) | OP(RD_OWN_NO_DATA) | OP(I_TO_M_WR) },
        .may = MAY_STORE | MAY_DROP | MAY_LOAD_STORE | MAY_HOST_READ,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        .name = "partial",
        .bound = "1 line, 1 request a device, 1 credit a channel; writes of "
                 "all, half and none of a line",
        .ops = { SHARE | OP(WR_INV) | OP(WO_WR_INV) | OP(RD_CURR),
                 SHARE | OP(WR_INV) | OP(WO_WR_INV) | OP(RD_CURR) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_PART | MAY_HOST_PART |
               MAY_HOST_READ,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "poison",
        .bound = "1 line, 1 request a device, 1 credit a channel; poison "
                 "comes with writes only",
        .ops = { SHARE | OP(CLEAN_EVICT) | OP(WR_INV) | OP(RD_CURR),
                 SHARE | OP(RD_ANY) | OP(RD_OWN_NO_DATA) | OP(WO_WR_INV_F) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_PART | MAY_POISON |
               MAY_HOST_READ,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true, .pull_clean = true),
    }, {
        .name = "refused",
        .bound = "1 line, 1 request a device; the host lets go of nothing: "
                 "use-once mode",
        .ops = { ALL, ALL },
        .may = MAY_STORE | MAY_REFUSE | MAY_HOST,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "pinned",
        .bound = "1 line, 1 request a device; the host begins and ends to "
                 "insist on it",
        .ops = { SHARE | OP(RD_ANY) | OP(RD_OWN_NO_DATA),
                 SHARE | OP(RD_OWN_NO_DATA) },
        .may = MAY_STORE | MAY_PIN | MAY_HOST_READ,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        .name = "not-cacheable",
        .bound = "1 line, which no device may keep; 1 request a device",
        .ops = { ALL, ALL }, .may = MAY_STORE | MAY_HOST,
        .decode = { CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "read-only",
        .bound = "1 line, read-only; 1 request a device",
        .ops = { ALL, ALL }, .may = MAY_STORE | MAY_HOST,
        .decode = { CXL_CACHE_MEM_READ },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "undecoded",
        .bound = "1 line, where nothing is; 1 request a device",
        .ops = { ALL, ALL }, .may = MAY_STORE | MAY_HOST,
        .decode = { 0 },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "hold-credits",
        .bound = "1 line, 1 request a device, 1 credit a channel, whose "
                 "return is a step of its own for one device (for both, the "
                 "channels' products are millions); some requests",
        .ops = { SHARE | OP(WR_INV) | OP(WO_WR_INV), OP(RD_OWN) },
        .may = MAY_STORE, .decode = { OK },
        ONE_LINE(1, 1), HOME(1), .hold_credits = 1,
    }, {
        .name = "overlap",
        .bound = "1 line, 2 requests a device, 1 credit a channel; some "
                 "requests",
        .ops = { OP(RD_CURR) | OP(WR_INV) | OP(WO_WR_INV_F) | OP(RD_OWN),
                 SHARE },
        .may = MAY_STORE | MAY_HOST_WRITE, .decode = { OK },
        ONE_LINE(2, 1), HOME(1),
    }, {
        .name = "two-credits",
        .bound = "1 line, 2 requests a device, 2 credits a channel; some "
                 "requests",
        .ops = { OP(RD_CURR) | OP(WR_INV) | OP(RD_OWN) | OP(DIRTY_EVICT),
                 OP(RD_CURR) | OP(RD_OWN) | OP(CLEAN_EVICT_NO_DATA) },
        .may = MAY_STORE, .decode = { OK },
        ONE_LINE(2, 2), HOME(1),
    }, {
        .name = "back-invalidation",
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a "
                 "device, 1 credit a channel; some requests",
        .ops = { SHARE, SHARE }, .may = MAY_STORE, .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        .name = "victims",
        .bound = "2 lines, room for 1 in each cache, 1 request a device, 1 "
                 "credit a channel; no requests but reads",
        .ops = { OP(RD_OWN) | OP(RD_SHARED), OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE, .decode = { OK, OK },
        TWO_LINES(1), HOME(2),
    }, {
        .name = "victims-clean-data",
        .bound = "likewise, and clean ones leave with data",
        .ops = { OP(RD_OWN) | OP(RD_SHARED), OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE, .decode = { OK, OK },
        TWO_LINES(1), HOME(2, .pull_clean = true),
        .clean_evict = CXL_CACHE_CLEAN_DATA,
    }, {
        .name = "victims-silent",
        .bound = "likewise, and clean ones leave unannounced, with room for "
                 "1 line in the snoop filter",
        .ops = { OP(RD_OWN) | OP(RD_SHARED), OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE, .decode = { OK, OK },
        TWO_LINES(1), HOME(1),
        .clean_evict = CXL_CACHE_CLEAN_SILENT,
    }, {
        .name = "yield",
        .bound = "1 line, 1 request a device, 1 credit a channel; devices give "
                 "up modified lines that are read; some requests",
        .ops = { SHARE | EVICTS, SHARE | EVICTS },
        .may = MAY_STORE | MAY_HOST_READ, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
        .snp_data_invalidates = true,
    }, {
        .name = "inherited",
        .bound = "likewise, and one device takes such lines over by RdAny",
        .ops = { SHARE | OP(RD_ANY), SHARE | OP(RD_ANY) },
        .may = MAY_STORE, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
        .snp_data_invalidates = true,
    },

    /* What takes a third device, a second way, a poisoned line, a fate */
    {
        FIELD("three-devices"),
        .bound = "1 line, 3 devices with 1 request each, 1 credit a channel; "
                 "no host, whole lines; reads, evicts",
        .devs = 3,
        .ops = { SHARE, SHARE, SHARE },
        .may = MAY_STORE, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        .name = "route", .group = "ids/",
        .bound = "1 line, 3 devices with 1 request each, 1 credit a channel; "
                 "no host, whole lines; the ID of one device goes and comes "
                 "while it has no line, the others only read",
        .devs = 3,
        .ops = { SHARE | OP(WR_INV) | OP(RD_CURR) | OP(RD_OWN_NO_DATA) |
                 OP(CACHE_FLUSHED), OP(RD_OWN), OP(RD_SHARED) },
        .may = MAY_STORE | MAY_ROUTE, .fates = 1, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        FIELD("three-back-invalidations"),
        .bound = "2 lines, room for 1 in the snoop filter, 3 devices with 1 "
                 "request each, 1 credit a channel; no host, whole lines; "
                 "reads",
        .devs = 3,
        .ops = { OP(RD_OWN), OP(RD_SHARED), OP(RD_SHARED) },
        .may = MAY_STORE, .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        FIELD("ways"),
        .bound = "3 lines, 1 device with 1 set of 2 ways and 1 request, 1 "
                 "credit a channel; no host, whole lines; reads",
        .devs = 1,
        .ops = { OP(RD_OWN) | OP(RD_SHARED) | OP(RD_OWN_NO_DATA) },
        .may = MAY_STORE | MAY_LOAD | MAY_NT, .decode = { OK, OK, OK },
        TWO_WAYS(2, 2, 4, 1),
    }, {
        FIELD("ways-silent"),
        .bound = "likewise, clean victims leave unannounced",
        .devs = 1,
        .ops = { OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_LOAD | MAY_NT, .decode = { OK, OK, OK },
        TWO_WAYS(2, 2, 4, 1), .clean_evict = CXL_CACHE_CLEAN_SILENT,
    }, {
        FIELD("filter-ways"),
        .bound = "3 lines, 1 set of 2 ways in the snoop filter, 1 device that "
                 "has room for all, 1 request, 1 credit a channel; no host, "
                 "whole lines; reads, evicts",
        .devs = 1,
        .ops = { SHARE },
        .may = MAY_STORE, .decode = { OK, OK, OK },
        TWO_WAYS(4, 1, 2, 2),
    }, {
        FIELD("poisoned-back-invalidation"),
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a device, "
                 "1 credit a channel; no host; some requests",
        .ops = { OP(RD_OWN) | OP(WR_INV), OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_POISON, .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        FIELD("partial-poison"),
        .bound = "1 line, 1 request a device, 1 credit a channel; poison comes "
                 "with writes of all and of half, by devices and host",
        .ops = { SHARE | OP(WR_INV) | OP(WO_WR_INV),
                 OP(RD_OWN) | OP(RD_CURR) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_PART | MAY_POISON |
               MAY_POISON_PART | MAY_HOST_POISON | MAY_HOST_READ,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        FIELD("isolate"),
        .bound = "1 line, 1 request a device, 1 credit a channel; no host, "
                 "whole lines; one device dies and comes back, at any time",
        .ops = { ALL, SHARE | OP(RD_ANY) | OP(WR_INV) },
        .may = MAY_STORE | MAY_DIE, .fates = 1, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        FIELD("isolate-poison"),
        .bound = "1 line, 1 request a device, 1 credit a channel; both may "
                 "die; writes of all and half, poison, the host; some requests",
        .ops = { OP(RD_OWN) | OP(WR_INV), OP(RD_OWN) | OP(RD_CURR) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_PART | MAY_POISON_PART |
               MAY_HOST_READ | MAY_HOST_PART | MAY_DIE,
        .fates = 3, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        FIELD("isolate-back-invalidation"),
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a device, "
                 "1 credit a channel; both may die; no host, whole lines; "
                 "reads",
        .ops = { OP(RD_OWN), OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_DIE, .fates = 3, .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        FIELD("isolate-credits"),
        .bound = "1 line, 1 request a device, 1 credit a channel, whose return "
                 "is a step of its own for the device that may die; some "
                 "requests",
        .ops = { OP(RD_OWN) | OP(WR_INV), OP(RD_SHARED) },
        .may = MAY_STORE | MAY_DIE, .fates = 1, .decode = { OK },
        ONE_LINE(1, 1), HOME(1), .hold_credits = 1,
    }, {
        FIELD("reset"),
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a device, "
                 "1 credit a channel; home and devices are reset, at any time",
        .ops = { SHARE | OP(WR_INV), SHARE }, .may = MAY_STORE | MAY_RESET,
        .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        FIELD("flush"),
        .bound = "2 lines, 1 device with 1 request, 1 credit a channel; it "
                 "flushes, goes on to read between the calls, and is reset",
        .devs = 1,
        .ops = { OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_FLUSH | MAY_DIE, .fates = 1,
        .decode = { OK, OK },
        TWO_LINES(2), HOME(2),
    }, {
        FIELD("viral"),
        .bound = "1 line, 1 request a device, 1 credit a channel; one device "
                 "gets viral, its caching is switched off and on, it is reset; "
                 "some requests",
        .ops = { SHARE | OP(RD_OWN_NO_DATA) | OP(WR_INV), OP(RD_OWN) },
        .may = MAY_STORE | MAY_VIRAL | MAY_DISABLE | MAY_DIE, .fates = 1,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    },
};

/* Large: products of features, minutes in all */
const ExploreConfig explore_large[] = {
    {
        .name = "everything",
        .bound = "1 line, 1 request a device, 1 credit a channel",
        .ops = { ALL, ALL },
        .may = MAY_STORE | MAY_STORE_PART | MAY_DROP | MAY_PART | MAY_HOST |
               MAY_POISON,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true, .pull_clean = true),
    }, {
        .name = "everything-alone",
        .bound = "likewise, no poison; the host begins and ends to insist on "
                 "the line, and uses memory by itself where it may",
        .ops = { ALL, ALL },
        .may = MAY_STORE | MAY_DROP | MAY_HOST_READ | MAY_LOAD_STORE |
               MAY_PIN,
        .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        .name = "all-overlaps",
        .bound = "1 line, 2 requests a device, 1 credit a channel; whole "
                 "lines; one device only reads and evicts",
        .ops = { ALL, SHARE | OP(RD_CURR) }, .may = MAY_STORE,
        .decode = { OK },
        ONE_LINE(2, 1), HOME(1),
    }, {
        .name = "two-lines",
        .bound = "2 lines, 1 request a device, 1 credit a channel; whole "
                 "lines; some requests",
        .ops = { SHARE | OP(RD_CURR) | OP(WR_INV), SHARE },
        .may = MAY_STORE | MAY_NT, .decode = { OK, OK },
        TWO_LINES(2), HOME(2),
    }, {
        .name = "all-credits",
        .bound = "1 line, 1 request a device, 1 credit a channel, whose "
                 "return is a step of its own for both devices; some "
                 "requests",
        .ops = { OP(RD_OWN) | OP(DIRTY_EVICT), OP(RD_OWN) | OP(WR_INV) },
        .may = MAY_STORE, .decode = { OK },
        ONE_LINE(1, 1), HOME(1), .hold_credits = 3,
    }, {
        .name = "all-back-invalidations",
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a "
                 "device, 1 credit a channel; whole lines, some requests",
        .ops = { SHARE | EVICTS | OP(RD_ANY) | OP(RD_OWN_NO_DATA),
                 SHARE | OP(WR_INV) | OP(CACHE_FLUSHED) },
        .may = MAY_STORE | MAY_HOST_READ | MAY_HOST_WRITE,
        .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    },

    {
        FIELD("all-three-devices"),
        .bound = "1 line, 3 devices with 1 request each, 1 credit a channel; "
                 "whole lines; no write past the cache but WrInv",
        .devs = 3,
        .ops = { SHARE | OP(RD_ANY) | OP(WR_INV), SHARE | OP(RD_ANY),
                 SHARE | OP(RD_CURR) },
        .may = MAY_STORE | MAY_HOST_READ | MAY_HOST_FLUSH, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true),
    }, {
        .name = "all-routes", .group = "ids/",
        .bound = "1 line, 3 devices with 1 request each, 1 credit a channel; "
                 "no host, whole lines; the IDs of all go and come while they "
                 "have no line",
        .devs = 3,
        .ops = { SHARE | OP(WR_INV), SHARE, SHARE },
        .may = MAY_STORE | MAY_ROUTE, .fates = 7, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        FIELD("all-ways"),
        .bound = "3 lines, 1 device with 1 set of 2 ways, 1 credit a channel; "
                 "whole lines; reads; the host takes lines",
        .devs = 1,
        .ops = { OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_LOAD | MAY_NT | MAY_HOST_FLUSH,
        .decode = { OK, OK, OK },
        TWO_WAYS(2, 2, 4, 1),
    }, {
        FIELD("two-of-ways"),
        .bound = "3 lines, 2 devices with 1 set of 2 ways, 1 credit a channel; "
                 "one only reads; no host, whole lines",
        .ops = { OP(RD_OWN), OP(RD_SHARED) },
        .may = MAY_NT, .decode = { OK, OK, OK },
        TWO_WAYS(2, 2, 4, 1),
    }, {
        FIELD("all-filter-ways"),
        .bound = "3 lines, 1 set of 2 ways in the snoop filter, 2 devices that "
                 "have room for all; one only reads; no host, whole lines",
        .ops = { OP(RD_OWN) | OP(CLEAN_EVICT_NO_DATA), OP(RD_SHARED) },
        .may = MAY_STORE, .decode = { OK, OK, OK },
        TWO_WAYS(4, 1, 2, 2),
    }, {
        FIELD("all-poison"),
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a device, "
                 "1 credit a channel; poison comes with writes of all and of "
                 "half",
        .ops = { SHARE | OP(WR_INV), OP(RD_OWN) },
        .may = MAY_STORE | MAY_STORE_PART | MAY_PART | MAY_POISON |
               MAY_POISON_PART,
        .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    }, {
        FIELD("all-isolate"),
        .bound = "1 line, 1 request a device, 1 credit a channel; whole "
                 "lines; both devices may die",
        .ops = { ALL, SHARE | OP(RD_ANY) | OP(RD_CURR) | OP(WR_INV) },
        .may = MAY_STORE | MAY_DROP | MAY_HOST | MAY_DIE,
        .fates = 3, .decode = { OK },
        ONE_LINE(1, 1), HOME(1, .forward_dirty = true, .pull_clean = true),
    }, {
        FIELD("isolate-three-devices"),
        .bound = "1 line, 3 devices with 1 request each, 1 credit a channel; "
                 "all may die; no host, whole lines; reads, evicts",
        .devs = 3,
        .ops = { SHARE, SHARE, SHARE },
        .may = MAY_STORE | MAY_DIE, .fates = 7, .decode = { OK },
        ONE_LINE(1, 1), HOME(1),
    }, {
        FIELD("all-fates"),
        .bound = "2 lines, room for 1 in the snoop filter, 1 request a device, "
                 "1 credit a channel; one device flushes, gets viral and dies, "
                 "all is reset",
        .ops = { SHARE, OP(RD_OWN) | OP(RD_SHARED) },
        .may = MAY_STORE | MAY_FLUSH | MAY_VIRAL | MAY_DISABLE | MAY_DIE |
               MAY_RESET,
        .fates = 1, .decode = { OK, OK },
        TWO_LINES(2), HOME(1),
    },
};

const unsigned explore_num_small = ARRAY_SIZE(explore_small);
const unsigned explore_num_large = ARRAY_SIZE(explore_large);
