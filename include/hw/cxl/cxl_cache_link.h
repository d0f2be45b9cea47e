/*
 * CXL.cache link: six channels between a device and its host, with credits
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each channel is a FIFO of its receiver's buffers. The receiver grants one
 * credit for each buffer; the sender spends one for each message and gets it
 * back when the buffer is free (CXL r3.1 section 3.2.3 and table 3-12). At any
 * time
 *
 *     credits at the sender + messages + credits on their way back == depth
 *
 * The channels are independent of each other but for one rule: a snoop may not
 * pass a GO for the same line that was sent before it (section 3.2.5.2,
 * "snoop pushes GO"). cxl_cache_link_snoop_blocked() tells.
 *
 * A link can have time (cxl_cache_time.h): messages and credits are under way
 * for a while then, and wait for each other on the wire.
 *
 * The structures are open so that tests and the state space search can look
 * into them; everybody else uses the functions.
 */

#ifndef HW_CXL_CACHE_LINK_H
#define HW_CXL_CACHE_LINK_H

#include "hw/cxl/cxl_cache_msg.h"

typedef struct CXLCacheDev CXLCacheDev;
typedef struct CXLCacheHome CXLCacheHome;

typedef struct CXLCacheChannel {
    CXLCacheMsg *msg;           /* @mask + 1 entries */
    CXLCacheLineData *data;     /* likewise, NULL where there are none */
    uint32_t mask;
    uint32_t head;              /* oldest message, free running */
    uint32_t tail;
    uint16_t buffers;           /* of the receiver */
    uint16_t depth;             /* credits it granted in all */
    uint16_t owed;              /* ... of which it keeps the next it gets */
    uint16_t credits;           /* at the sender */
    uint16_t freed;             /* on their way back to the sender */
} CXLCacheChannel;

/* Messages sent, by channel and opcode (0 for the data channels) */
typedef struct CXLCacheLinkStats {
    uint64_t sent[CXL_CACHE_NUM_CHANNELS][CXL_CACHE_D2H_REQ_CODES];
    uint64_t stalled[CXL_CACHE_NUM_CHANNELS];   /* no credit when wanted */
    uint64_t aborted;           /* requests, for want of a Cache ID */
} CXLCacheLinkStats;

/* See cxl_cache_time.h */
typedef struct CXLCacheTime CXLCacheTime;
typedef struct CXLCacheTiming CXLCacheTiming;

/**
 * CXLCacheLinkConfig:
 * @depth: buffers, thus credits, of each channel: 1 to 4096
 * @flit: format; a 68B link carries no CacheID
 * @cache_id: the device's, 0 to CXL_CACHE_DEV_MAX - 1
 * @timing: NULL for a link on which messages are there at once; copied
 * @beside: NULL, or a link whose wires it shares, as those behind a switch do;
 *          of the same flits and bandwidth. That need not stay.
 */
typedef struct CXLCacheLinkConfig {
    uint16_t depth[CXL_CACHE_NUM_CHANNELS];
    CXLCacheFlit flit;
    uint8_t cache_id;
    const CXLCacheTiming *timing;
    const struct CXLCacheLink *beside;
} CXLCacheLinkConfig;

typedef void CXLCacheTrace(void *opaque, CXLCacheChannelId channel,
                           const CXLCacheMsg *msg,
                           const CXLCacheLineData *data);

typedef struct CXLCacheLink {
    CXLCacheChannel ch[CXL_CACHE_NUM_CHANNELS];
    CXLCacheDev *dev;           /* set by cxl_cache_dev_new() */
    CXLCacheHome *home;         /* set by cxl_cache_home_attach() */
    uint32_t *queued;           /* ... likewise: links that have messages */
    uint32_t queued_bit;
    uint32_t unattached;        /* ... of nobody's */
    CXLCacheTrace *trace;       /* every message as it is sent, or NULL */
    void *trace_opaque;
    CXLCacheLinkStats *stats;
    CXLCacheTime *time;         /* NULL unless it has time */
    CXLCacheFlit flit;
    uint8_t cache_id;           /* what the port above the device inserts */
    bool unrouted;              /* ... nothing: what is asked for is aborted */
    /* Credits come back by cxl_cache_link_return_credits() alone. */
    bool hold_credits;
    bool messages;              /* no fast gear: every message is sent */
    uint8_t held;               /* see cxl_cache_link_hold() */
    size_t size;                /* of this block, rings included */
} CXLCacheLink;

/**
 * cxl_cache_link_new: a link with all credits at their senders
 *
 * Returns: NULL if @config is out of range, or without memory. One block of it,
 * but for its statistics and its time; free with cxl_cache_link_free().
 */
CXLCacheLink *cxl_cache_link_new(const CXLCacheLinkConfig *config);
void cxl_cache_link_free(CXLCacheLink *link);

/**
 * cxl_cache_link_reset: the link went down; what it carried is lost
 *
 * All messages vanish and all credits are back at their senders.
 */
void cxl_cache_link_reset(CXLCacheLink *link);

/**
 * cxl_cache_link_grant: how many credits of a channel the receiver grants
 * @n: 0 for one for each buffer, which is the most there are
 *
 * Credits cannot be taken back: those that are too many are kept when they come
 * back, or at the next reset of the link. More are given at once, and take as
 * long as any.
 */
void cxl_cache_link_grant(CXLCacheLink *link, CXLCacheChannelId channel,
                          unsigned n);

/**
 * cxl_cache_link_hold: channels stand still, those of @channels, a bit for each
 *
 * What is sent there stays: the receiver does not take it until the channel is
 * let go. For a device that answers late, or never; a link reset changes
 * nothing about it. The host has to be run when a channel is let go.
 */
void cxl_cache_link_hold(CXLCacheLink *link, unsigned channels);

static inline bool cxl_cache_link_held(const CXLCacheLink *link,
                                       CXLCacheChannelId channel)
{
    return link->held >> channel & 1;
}

/* No Cache ID leads to the device. */
#define CXL_CACHE_UNROUTED  (-1)

/**
 * cxl_cache_link_set_route: the Cache ID that leads to the link's device
 * @id: 0 to CXL_CACHE_DEV_MAX - 1, 0 with 68B flits, or CXL_CACHE_UNROUTED
 *
 * Nothing may be under way, and the device should hold no line. Without a route
 * the host gives no line out: what a device asks for ends in GO-Err, what it
 * writes is dropped; but an evict, or CacheFlushed, is taken.
 */
void cxl_cache_link_set_route(CXLCacheLink *link, int id);

/* What cxl_cache_link_set_route() was told, first the configuration's ID */
static inline int cxl_cache_link_route(const CXLCacheLink *link)
{
    return link->unrouted ? CXL_CACHE_UNROUTED : link->cache_id;
}

/**
 * cxl_cache_link_keep: the receiver has @n buffers back, keeps what it owes
 *
 * Returns: how many credits of them go to the sender
 */
static inline unsigned cxl_cache_link_keep(CXLCacheChannel *ch, unsigned n)
{
    unsigned kept = MIN(n, ch->owed);

    ch->owed -= kept;
    ch->depth -= kept;
    ch->freed -= kept;
    return n - kept;
}

/**
 * cxl_cache_link_return_credits: hand freed buffers' credits to the sender
 *
 * Returns: how many there were. Senders call this themselves when they are out
 * of credits, unless @link->hold_credits.
 */
unsigned cxl_cache_link_return_credits(CXLCacheLink *link,
                                       CXLCacheChannelId channel);

/**
 * cxl_cache_link_inject: send as an illegal peer would
 *
 * Like cxl_cache_link_send() but takes any message as it is, and spends a
 * credit only if there is one. For tests of the other side.
 *
 * Returns: false if the receiver had no buffer; the message is lost.
 */
bool cxl_cache_link_inject(CXLCacheLink *link, CXLCacheChannelId channel,
                           const CXLCacheMsg *msg,
                           const CXLCacheLineData *data);

/**
 * cxl_cache_link_idle: no message in any channel and all credits home
 */
bool cxl_cache_link_idle(const CXLCacheLink *link);

/**
 * cxl_cache_link_note: who looks at messages, and time, hear of what is sent
 */
void cxl_cache_link_note(CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg);

/**
 * cxl_cache_link_stalled: there was no credit of @channel when one was wanted
 */
void cxl_cache_link_stalled(CXLCacheLink *link, CXLCacheChannelId channel);

static inline unsigned cxl_cache_link_used(const CXLCacheChannel *ch)
{
    return ch->tail - ch->head;
}

/**
 * cxl_cache_link_can_send: whether a credit of @channel is at hand
 */
static inline bool cxl_cache_link_can_send(CXLCacheLink *link,
                                           CXLCacheChannelId channel)
{
    CXLCacheChannel *ch = &link->ch[channel];

    if (G_UNLIKELY(!ch->credits) && !link->hold_credits) {
        cxl_cache_link_return_credits(link, channel);
    }
    if (G_UNLIKELY(!ch->credits)) {
        cxl_cache_link_stalled(link, channel);
        return false;
    }
    return true;
}

/**
 * cxl_cache_link_send: append a message; the caller has seen a credit
 *
 * Returns: the message in the channel, zeroed but for its order, for the
 * caller to fill in before anybody else runs. @data, where the channel has
 * data, points to its 64 bytes, to be filled in likewise.
 */
static inline CXLCacheMsg *cxl_cache_link_send(CXLCacheLink *link,
                                               CXLCacheChannelId channel,
                                               CXLCacheLineData **data)
{
    CXLCacheChannel *ch = &link->ch[channel];
    uint32_t at = ch->tail++ & ch->mask;
    CXLCacheMsg *msg = &ch->msg[at];

    g_assert(ch->credits);
    ch->credits--;
    *msg = (CXLCacheMsg) {
        .cache_id = cxl_cache_has_id(channel) ? link->cache_id : 0,
        .order = link->ch[CXL_CACHE_H2D_RSP].tail,
    };
    if (data) {
        *data = &ch->data[at];
    }
    return msg;
}

/**
 * cxl_cache_link_sent: the message is filled in; count and trace it
 */
static inline void cxl_cache_link_sent(CXLCacheLink *link,
                                       CXLCacheChannelId channel,
                                       const CXLCacheMsg *msg)
{
    link->stats->sent[channel][msg->opcode & (CXL_CACHE_D2H_REQ_CODES - 1)]++;
    *link->queued |= link->queued_bit;
    if (G_UNLIKELY(link->trace || link->time)) {
        cxl_cache_link_note(link, channel, msg);
    }
}

/**
 * cxl_cache_link_peek: the oldest message, or NULL
 */
static inline const CXLCacheMsg *
cxl_cache_link_peek(const CXLCacheLink *link, CXLCacheChannelId channel)
{
    const CXLCacheChannel *ch = &link->ch[channel];

    return ch->head == ch->tail ? NULL : &ch->msg[ch->head & ch->mask];
}

/* The data of what cxl_cache_link_peek() returned. */
static inline const CXLCacheLineData *
cxl_cache_link_peek_data(const CXLCacheLink *link, CXLCacheChannelId channel)
{
    const CXLCacheChannel *ch = &link->ch[channel];

    return &ch->data[ch->head & ch->mask];
}

/**
 * cxl_cache_link_pop: the oldest message's buffer is free again
 */
static inline void cxl_cache_link_pop(CXLCacheLink *link,
                                      CXLCacheChannelId channel)
{
    link->ch[channel].head++;
    link->ch[channel].freed++;
}

#endif /* HW_CXL_CACHE_LINK_H */
