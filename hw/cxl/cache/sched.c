/*
 * CXL.cache: in which order messages are taken
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Any order is correct, as far as the ordering rules of each side let a message
 * be taken at all; this is the deterministic one that everybody gets.
 *
 * On links with time devices take turns: what the host has room for goes to the
 * one behind the device whose request was taken last. By their numbers one that
 * asks all the time would leave nothing to those behind it. Without time all
 * requests are done when a run ends, and there is nothing to share.
 */

#include "qemu/osdep.h"
#include "internal.h"

static bool pending(const CXLCacheLink *link, CXLCacheChannelId channel)
{
    return cxl_cache_link_used(&link->ch[channel]) &&
           G_LIKELY(!cxl_cache_link_held(link, channel));
}

/* All that can be taken of a channel */
static inline unsigned to_device(CXLCacheLink *link, CXLCacheChannelId channel)
{
    return pending(link, channel) ?
           cxl_cache_dev_take(link->dev, channel, UINT_MAX) : 0;
}

/* Likewise, at most @most messages */
static inline unsigned to_home(CXLCacheHome *home, const CXLCacheLink *link,
                               unsigned dev, CXLCacheChannelId channel,
                               unsigned most)
{
    return pending(link, channel) ?
           cxl_cache_home_take(home, dev, channel, most) : 0;
}

/* What one device and the home have for each other, and one request */
static unsigned serve(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = home->dev[dev].link;
    unsigned n = 0;

    if (!link) {
        home->queued &= ~(1U << dev);
        return 0;
    }
    if (link->dev) {
        n += to_device(link, CXL_CACHE_H2D_RSP);
        n += to_device(link, CXL_CACHE_H2D_DATA);
        n += to_device(link, CXL_CACHE_H2D_REQ);
        n += link->dev->due && cxl_cache_dev_tx(link->dev);
    }
    n += to_home(home, link, dev, CXL_CACHE_D2H_RSP, UINT_MAX);
    n += to_home(home, link, dev, CXL_CACHE_D2H_DATA, UINT_MAX);
    n += to_home(home, link, dev, CXL_CACHE_D2H_REQ, 1);
    if (!n && cxl_cache_link_silent(link)) {
        home->queued &= ~(1U << dev);
    }
    return n;
}

/*
 * Those of devices @from to @to - 1 that have messages; which is looked at anew
 * behind each, for what one is served may be an answer to another. Fifteen that
 * are silent cost nothing beside one that is not.
 */
static unsigned serve_queued(CXLCacheHome *home, unsigned from, unsigned to)
{
    unsigned n = 0;

    while (from < to && home->queued >> from) {
        from += __builtin_ctz(home->queued >> from);
        if (from < to) {
            n += serve(home, from);
        }
        from++;
    }
    return n;
}

/* Links with time: messages that have arrived */

/* Its copy is for who wants to know what was taken. */
static bool take_one(CXLCacheHome *home, unsigned dev, CXLCacheLink *link,
                     CXLCacheChannelId channel)
{
    CXLCacheMsg msg;

    if (cxl_cache_link_held(link, channel) ||
        !cxl_cache_time_arrived(link, channel, home->now)) {
        return false;
    }
    msg = *cxl_cache_link_peek(link, channel);
    if (!(channel < CXL_CACHE_H2D_REQ ?
          cxl_cache_home_rx(home, dev, channel) :
          link->dev && cxl_cache_dev_rx(link->dev, channel))) {
        return false;
    }
    cxl_cache_time_taken(link, channel, &msg, home->now);
    return true;
}

static unsigned take_arrived(CXLCacheHome *home, unsigned dev,
                             CXLCacheLink *link, CXLCacheChannelId channel)
{
    unsigned n = 0;

    while (take_one(home, dev, link, channel)) {
        n++;
    }
    return n;
}

/* The host's own access goes first: H2D before D2H, for its lines, too. */
static bool deferred(const CXLCacheHome *home, const CXLCacheLink *link)
{
    const CXLCacheMsg *msg = cxl_cache_link_peek(link, CXL_CACHE_D2H_REQ);

    return msg && home->ops->defer &&
           msg->opcode < CXL_CACHE_D2H_REQ_CODES &&
           cxl_cache_req_rules[msg->opcode].cacheable &&
           home->ops->defer(home->opaque, msg->line);
}

static CXLCacheLink *timed_link(const CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = home->dev[dev].link;

    return link && link->time ? link : NULL;
}

/* What the host has sent to one device, and what that sends for lack of it */
static unsigned serve_device(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = timed_link(home, dev);
    unsigned n;

    if (!link) {
        return 0;
    }
    n = cxl_cache_time_credits(link, home->now);
    n += take_arrived(home, dev, link, CXL_CACHE_H2D_RSP);
    n += take_arrived(home, dev, link, CXL_CACHE_H2D_DATA);
    n += take_arrived(home, dev, link, CXL_CACHE_H2D_REQ);
    return n + (link->dev && link->dev->due && cxl_cache_dev_tx(link->dev));
}

/* What a device has to say about what the home has asked for */
static unsigned serve_answers(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = timed_link(home, dev);
    unsigned n;

    if (!link) {
        return serve(home, dev);
    }
    n = take_arrived(home, dev, link, CXL_CACHE_D2H_RSP);
    return n + take_arrived(home, dev, link, CXL_CACHE_D2H_DATA);
}

/* The request of the device that has the turn */
static bool took_turn(CXLCacheHome *home, unsigned dev, bool took)
{
    home->turn = took ? dev + 1 : home->turn;
    return took;
}

/* One request; not at once with the answers, which make room for anybody's */
static unsigned serve_request(CXLCacheHome *home, unsigned dev)
{
    CXLCacheLink *link = timed_link(home, dev);

    return link && took_turn(home, dev, !deferred(home, link) &&
                             take_one(home, dev, link, CXL_CACHE_D2H_REQ));
}

static inline unsigned for_devices(CXLCacheHome *home,
                                   unsigned (*serve_one)(CXLCacheHome *home,
                                                         unsigned dev))
{
    unsigned first = home->turn < home->num_devs ? home->turn : 0, n = 0;

    for (unsigned i = first; i < home->num_devs; i++) {
        n += serve_one(home, i);
    }
    for (unsigned i = 0; i < first; i++) {
        n += serve_one(home, i);
    }
    return n;
}

/* All that can be taken now; H2D before D2H */
static unsigned run_now(CXLCacheHome *home)
{
    unsigned total = 0, n;

    do {
        n = for_devices(home, serve_device);
        if (!n) {
            n = for_devices(home, serve_answers);
            n += for_devices(home, serve_request);
            n += home->n_stalled && cxl_cache_home_tx(home);
            /* A snoop to make room is there at once on a link without time. */
            n += home->made_room;
            home->made_room = false;
        }
        total += n;
    } while (n);
    return total;
}

uint64_t cxl_cache_next(const CXLCacheHome *home)
{
    uint64_t next = home->rated ? cxl_cache_rate_next(home) : UINT64_MAX;

    for (unsigned i = 0; home->timed && i < home->num_devs; i++) {
        const CXLCacheLink *link = home->dev[i].link;

        if (link && link->time) {
            next = MIN(next, cxl_cache_time_next(link, home->now));
        }
    }
    return next;
}

uint64_t cxl_cache_time(const CXLCacheHome *home)
{
    uint64_t now = home->running || !home->ops->now ? 0 :
                   home->ops->now(home->opaque);

    return MAX(home->now, now);
}

bool cxl_cache_is_timed(const CXLCacheHome *home)
{
    return home->timed || home->rated;
}

static uint64_t next_event(const CXLCacheHome *home)
{
    return MIN(cxl_cache_next(home), cxl_cache_deadline(home));
}

/* Everything up to @until, each as of when it arrives */
static unsigned run_until(CXLCacheHome *home, uint64_t until)
{
    unsigned total = 0;
    uint64_t next;

    if (next_event(home) > until) {
        /* What has no time of its own happens now. */
        home->now = MAX(home->now, until);
    }
    home->running = true;
    for (;;) {
        total += run_now(home);
        cxl_cache_wait_stamp(home, home->now);
        if (cxl_cache_wait_expire(home, home->now)) {
            total++;
            continue;
        }
        next = next_event(home);
        if (next > until) {
            break;
        }
        home->now = next;
    }
    home->now = MAX(home->now, until);
    home->running = false;
    return total;
}

/* @wait: for what nothing is under way of, too */
static unsigned advance(CXLCacheHome *home, bool wait)
{
    unsigned n = cxl_cache_run(home);
    uint64_t next = n || !cxl_cache_is_timed(home) ? UINT64_MAX :
                                                  cxl_cache_next(home);

    if (!n && wait && next == UINT64_MAX) {
        next = cxl_cache_deadline(home);
    }
    if (next != UINT64_MAX) {
        n = run_until(home, next);
        /* What has arrived may have to wait: time has gone on. */
        return n ? n : 1;
    }
    return n;
}

unsigned cxl_cache_advance(CXLCacheHome *home)
{
    return advance(home, true);
}

void cxl_cache_settle(CXLCacheHome *home)
{
    if (!cxl_cache_is_timed(home)) {
        cxl_cache_run(home);
        return;
    }
    while (advance(home, false)) {
        /* As long as something is under way */
    }
}

unsigned cxl_cache_run(CXLCacheHome *home)
{
    unsigned total = 0, n;

    g_assert(!home->busy && "no callback may call into the home, or run it");
    if (G_UNLIKELY(cxl_cache_is_timed(home))) {
        return run_until(home, cxl_cache_time(home));
    }
    do {
        unsigned first = home->turn < home->num_devs ? home->turn : 0;

        n = serve_queued(home, first, home->num_devs);
        n += serve_queued(home, 0, first);
        n += home->n_stalled && cxl_cache_home_tx(home);
        n += home->made_room;
        home->made_room = false;
        total += n;
    } while (n);
    return total;
}
