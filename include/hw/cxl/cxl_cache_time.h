/*
 * CXL.cache: a link with time
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: a wire in each direction. A message takes slots of flits,
 * which occupy the wire for a while (bandwidth); the last of them arrives when
 * the latency is over. Its buffer is free when it has been taken, and the
 * credit of it is back at the sender a latency later. So a stream of messages
 * with N credits moves at
 *
 *     min(N / (2 * latency + bytes / bandwidth), bandwidth / bytes)
 *
 * Each header has a slot of its own, a line's data four more, byte enables that
 * are not all ones one more. Links pack several short headers into a slot: what
 * is modelled is the most they take. A 68B flit has 4 slots, a 256B flit has 15
 * (CXL r3.1 section 4.2.2, 4.3); CRC and flit headers are in a slot's share of
 * the flit. Credits go back with other flits and take no room.
 *
 * Links of one port, whose devices are behind a switch, can share its wires:
 * each message then waits for those of all of them.
 *
 * Messages of a channel arrive in the order they are sent. Channels are apart,
 * but for what the protocol itself orders. With a jitter each message is under
 * way for up to twice the latency, by a random generator of the link's own: the
 * same seed and the same calls give the same times.
 *
 * Time is what CXLCacheHomeOps.now() says, in nanoseconds. cxl_cache_run()
 * takes what has arrived; cxl_cache_next() says when it is worth calling again.
 */

#ifndef HW_CXL_CACHE_TIME_H
#define HW_CXL_CACHE_TIME_H

#include "hw/cxl/cxl_cache_link.h"

#define CXL_CACHE_LATENCY_MAX   1000000000ULL           /* a second */
#define CXL_CACHE_BANDWIDTH_MAX 1000000000000ULL        /* 1 TB/s */

/**
 * CXLCacheTiming:
 * @latency: of each direction, in ns, at most CXL_CACHE_LATENCY_MAX
 * @bandwidth: of each direction, in bytes per second, at most
 *             CXL_CACHE_BANDWIDTH_MAX; 0 is as much as there is
 * @jitter: seed of it; 0 for none
 */
struct CXLCacheTiming {
    uint64_t latency;
    uint64_t bandwidth;
    uint64_t jitter;
};

/**
 * CXLCacheStall: what somebody waited for
 * @CXL_CACHE_STALL_CREDIT: the sender, for a credit
 * @CXL_CACHE_STALL_WIRE: the message, for those before it on the wire
 * @CXL_CACHE_STALL_ORDER: the message, having arrived, for being taken: a snoop
 *      behind a GO, a request behind a transaction of its line
 */
typedef enum CXLCacheStall {
    CXL_CACHE_STALL_CREDIT,
    CXL_CACHE_STALL_WIRE,
    CXL_CACHE_STALL_ORDER,
    CXL_CACHE_NUM_STALLS
} CXLCacheStall;

/**
 * CXLCacheWhen: a message's times, in ns
 * @sent: when it was sent
 * @due: when it arrives
 */
typedef struct CXLCacheWhen {
    uint64_t sent;
    uint64_t due;
} CXLCacheWhen;

/**
 * CXLCacheChannelTime: what is known of a channel of a timed link
 * @arrived: messages that have arrived and wait
 * @high_water: messages in it, at most
 * @stalled: ns, by CXLCacheStall; a wait for credits counts when it is over
 */
typedef struct CXLCacheChannelTime {
    uint32_t arrived;
    uint32_t high_water;
    uint64_t stalled[CXL_CACHE_NUM_STALLS];
} CXLCacheChannelTime;

/* Called for each message as it is taken, at @now */
typedef void CXLCacheTaken(void *opaque, CXLCacheChannelId channel,
                           const CXLCacheMsg *msg, const CXLCacheWhen *when,
                           uint64_t now);

/* The link's timing, or NULL if it has no time */
const CXLCacheTiming *cxl_cache_link_timing(const CXLCacheLink *link);

/**
 * cxl_cache_link_when: the times of a message that is in a channel
 *
 * Returns: false if the link has no time
 */
bool cxl_cache_link_when(const CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg, CXLCacheWhen *when);

/**
 * cxl_cache_link_channel_time: how a channel's messages have fared
 *
 * Returns: false if the link has no time
 */
bool cxl_cache_link_channel_time(const CXLCacheLink *link,
                                 CXLCacheChannelId channel,
                                 CXLCacheChannelTime *time);

/* Have a timed link call @taken, or nobody by NULL */
void cxl_cache_link_set_taken(CXLCacheLink *link, CXLCacheTaken *taken,
                              void *opaque);

/**
 * cxl_cache_slots: what a message takes of the wire
 *
 * Returns: a number of slots, see above
 */
unsigned cxl_cache_slots(CXLCacheChannelId channel, const CXLCacheMsg *msg);

#endif /* HW_CXL_CACHE_TIME_H */
