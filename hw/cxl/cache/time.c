/*
 * CXL.cache: a link with time
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When messages and credits arrive. Nothing is moved here: the scheduler does
 * that, when it is time.
 */

#include "qemu/osdep.h"
#include "internal.h"

#define NEVER UINT64_MAX
#define NS_PER_S 1000000000ULL

/**
 * TimeChannel:
 * @when: of each message, by its place in the channel's ring
 * @back: when each credit on its way is back, a ring of the same size
 * @back_head: the next one that is back; free running, like @back_tail
 * @last: when the message that was sent last arrives
 * @since: since when the sender waits for a credit, or NEVER
 */
typedef struct TimeChannel {
    CXLCacheWhen *when;
    uint64_t *back;
    uint32_t back_head;
    uint32_t back_tail;
    uint64_t last;
    uint64_t since;
    uint32_t high_water;
    uint64_t stalled[CXL_CACHE_NUM_STALLS];
} TimeChannel;

/* From when on a wire is free: @ns and a part of one, in wire_unit()s */
typedef struct Wire {
    uint64_t ns;
    uint64_t part;
} Wire;

/* To the host, to the device; links behind one port share them */
typedef struct Wires {
    unsigned users;
    Wire wire[2];
} Wires;

struct CXLCacheTime {
    CXLCacheTiming timing;
    uint64_t random;
    CXLCacheTaken *taken;
    void *opaque;
    Wires *wires;
    TimeChannel ch[CXL_CACHE_NUM_CHANNELS];
};

static const struct {
    uint32_t bytes;
    uint32_t slots;
} flits[CXL_CACHE_NUM_FLITS] = {
    [CXL_CACHE_FLIT_68B] = { 68, 4 },
    [CXL_CACHE_FLIT_256B] = { 256, 15 },
};

#define SLOTS_HEADER    1
#define SLOTS_DATA      (CXL_CACHE_LINE_SIZE / 16)
#define SLOTS_BE        1

static bool has_data(CXLCacheChannelId channel)
{
    return channel == CXL_CACHE_D2H_DATA || channel == CXL_CACHE_H2D_DATA;
}

static bool to_device(CXLCacheChannelId channel)
{
    return channel >= CXL_CACHE_H2D_REQ;
}

unsigned cxl_cache_slots(CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    bool enables = channel == CXL_CACHE_D2H_DATA && msg->be != CXL_CACHE_BE_ALL;

    return SLOTS_HEADER + (has_data(channel) ? SLOTS_DATA : 0) +
           (enables ? SLOTS_BE : 0);
}

bool cxl_cache_timing_ok(const CXLCacheTiming *timing)
{
    return timing->latency <= CXL_CACHE_LATENCY_MAX &&
           timing->bandwidth <= CXL_CACHE_BANDWIDTH_MAX;
}

bool cxl_cache_time_can_share(const CXLCacheTiming *timing, CXLCacheFlit flit,
                              const CXLCacheLink *beside)
{
    return timing && beside->time && flit == beside->flit &&
           timing->bandwidth == beside->time->timing.bandwidth;
}

CXLCacheTime *cxl_cache_time_new(const CXLCacheLink *link,
                                 const CXLCacheTiming *timing,
                                 const CXLCacheLink *beside)
{
    CXLCacheTime *time = g_try_new0(CXLCacheTime, 1);

    if (!time) {
        return NULL;
    }
    time->wires = beside ? beside->time->wires : g_try_new0(Wires, 1);
    if (!time->wires) {
        g_free(time);
        return NULL;
    }
    time->wires->users++;
    time->timing = *timing;
    time->random = timing->jitter;
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        size_t n = link->ch[i].mask + 1;

        time->ch[i].when = g_try_new0(CXLCacheWhen, n);
        time->ch[i].back = g_try_new0(uint64_t, n);
        if (!time->ch[i].when || !time->ch[i].back) {
            cxl_cache_time_free(time);
            return NULL;
        }
    }
    return time;
}

void cxl_cache_time_free(CXLCacheTime *time)
{
    if (time) {
        for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
            g_free(time->ch[i].when);
            g_free(time->ch[i].back);
        }
        if (!--time->wires->users) {
            g_free(time->wires);
        }
        g_free(time);
    }
}

void cxl_cache_time_reset(CXLCacheLink *link)
{
    CXLCacheTime *time = link->time;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        TimeChannel *t = &time->ch[i];

        t->back_head = t->back_tail = 0;
        t->last = 0;
        t->since = NEVER;
    }
    /* What others have on it goes on. */
    if (time->wires->users == 1) {
        memset(time->wires->wire, 0, sizeof(time->wires->wire));
    }
}

/* Now, as far as the link is concerned */
static uint64_t link_now(const CXLCacheLink *link)
{
    return link->home ? cxl_cache_time(link->home) : 0;
}

/* Parts that a nanosecond has on the wire: see occupy() */
static uint64_t wire_unit(const CXLCacheLink *link)
{
    return link->time->timing.bandwidth * flits[link->flit].slots;
}

/*
 * The wire is taken for some slots, from @now or when it is free. A slot takes
 * bytes / (slots * bandwidth) seconds of a flit's, which is NS_PER_S * bytes of
 * wire_unit()s: nothing is rounded until the end.
 *
 * Returns: when the last of them is sent, in whole nanoseconds
 */
static uint64_t occupy(CXLCacheLink *link, Wire *wire, unsigned slots,
                       uint64_t now)
{
    uint64_t unit = wire_unit(link);

    if (now > wire->ns) {
        *wire = (Wire) { .ns = now };
    }
    wire->part += slots * flits[link->flit].bytes * NS_PER_S;
    wire->ns += wire->part / unit;
    wire->part %= unit;
    return wire->ns + (wire->part != 0);
}

/* Up to a latency more */
static uint64_t jitter(CXLCacheTime *time)
{
    uint64_t x = time->random;

    if (!time->timing.jitter) {
        return 0;
    }
    /* xorshift64: never 0 if it was not */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    time->random = x;
    return (x >> 11) % (time->timing.latency + 1);
}

void cxl_cache_time_sent(CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg)
{
    CXLCacheTime *time = link->time;
    const CXLCacheChannel *ch = &link->ch[channel];
    TimeChannel *t = &time->ch[channel];
    uint64_t now = link_now(link), gone = now;
    uint64_t due;

    if (time->timing.bandwidth) {
        Wire *wire = &time->wires->wire[to_device(channel)];

        if (wire->ns > now) {
            t->stalled[CXL_CACHE_STALL_WIRE] += wire->ns - now;
        }
        gone = occupy(link, wire, cxl_cache_slots(channel, msg), now);
    }
    due = gone + time->timing.latency + jitter(time);
    t->last = MAX(t->last, due);
    t->when[msg - ch->msg] = (CXLCacheWhen) { .sent = now, .due = t->last };
    t->high_water = MAX(t->high_water, cxl_cache_link_used(ch));
}

void cxl_cache_time_stalled(CXLCacheLink *link, CXLCacheChannelId channel)
{
    TimeChannel *t = &link->time->ch[channel];

    t->since = MIN(t->since, link_now(link));
}

unsigned cxl_cache_time_credits(CXLCacheLink *link, uint64_t now)
{
    unsigned total = 0;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        CXLCacheChannel *ch = &link->ch[i];
        TimeChannel *t = &link->time->ch[i];
        unsigned n = 0;

        while (t->back_head != t->back_tail &&
               t->back[t->back_head & ch->mask] <= now) {
            t->back_head++;
            n++;
        }
        ch->credits += n;
        ch->freed -= n;
        total += n;
        if (n && t->since != NEVER) {
            t->stalled[CXL_CACHE_STALL_CREDIT] += now - t->since;
            t->since = NEVER;
        }
    }
    return total;
}

void cxl_cache_time_granted(CXLCacheLink *link, CXLCacheChannelId channel,
                            unsigned n)
{
    TimeChannel *t = &link->time->ch[channel];

    while (n--) {
        t->back[t->back_tail++ & link->ch[channel].mask] =
            link_now(link) + link->time->timing.latency;
    }
}

bool cxl_cache_time_arrived(const CXLCacheLink *link, CXLCacheChannelId channel,
                            uint64_t now)
{
    const CXLCacheChannel *ch = &link->ch[channel];

    return ch->head != ch->tail &&
           link->time->ch[channel].when[ch->head & ch->mask].due <= now;
}

void cxl_cache_time_taken(CXLCacheLink *link, CXLCacheChannelId channel,
                          const CXLCacheMsg *msg, uint64_t now)
{
    CXLCacheTime *time = link->time;
    CXLCacheChannel *ch = &link->ch[channel];
    TimeChannel *t = &time->ch[channel];
    const CXLCacheWhen *when = &t->when[(ch->head - 1) & ch->mask];

    t->stalled[CXL_CACHE_STALL_ORDER] += now - when->due;
    if (cxl_cache_link_keep(ch, 1)) {
        t->back[t->back_tail++ & ch->mask] = now + time->timing.latency;
    }
    if (time->taken) {
        time->taken(time->opaque, channel, msg, when, now);
    }
}

uint64_t cxl_cache_time_next(const CXLCacheLink *link, uint64_t now)
{
    uint64_t next = NEVER;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        const CXLCacheChannel *ch = &link->ch[i];
        const TimeChannel *t = &link->time->ch[i];

        if (t->back_head != t->back_tail) {
            next = MIN(next, t->back[t->back_head & ch->mask]);
        }
        /* What has arrived already waits for something else. */
        for (uint32_t at = ch->head; at != ch->tail; at++) {
            uint64_t due = t->when[at & ch->mask].due;

            if (due > now) {
                next = MIN(next, due);
                break;
            }
        }
    }
    return next;
}

/* Looking in */

const CXLCacheTiming *cxl_cache_link_timing(const CXLCacheLink *link)
{
    return link->time ? &link->time->timing : NULL;
}

bool cxl_cache_link_when(const CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg, CXLCacheWhen *when)
{
    if (!link->time) {
        return false;
    }
    *when = link->time->ch[channel].when[msg - link->ch[channel].msg];
    return true;
}

bool cxl_cache_link_channel_time(const CXLCacheLink *link,
                                 CXLCacheChannelId channel,
                                 CXLCacheChannelTime *time)
{
    const CXLCacheChannel *ch = &link->ch[channel];
    const TimeChannel *t;
    uint64_t now;

    if (!link->time) {
        return false;
    }
    t = &link->time->ch[channel];
    *time = (CXLCacheChannelTime) { .high_water = t->high_water };
    memcpy(time->stalled, t->stalled, sizeof(time->stalled));
    now = link_now(link);
    for (uint32_t at = ch->head; at != ch->tail; at++) {
        time->arrived += t->when[at & ch->mask].due <= now;
    }
    return true;
}

void cxl_cache_link_set_taken(CXLCacheLink *link, CXLCacheTaken *taken,
                              void *opaque)
{
    if (link->time) {
        link->time->taken = taken;
        link->time->opaque = opaque;
    }
}
