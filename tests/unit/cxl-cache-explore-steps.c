/*
 * State space search of CXL.cache: the steps a world can take
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

uint8_t world_fresh(World *w)
{
    g_assert(w->fresh < 0x3f);
    return w->fresh++;
}

static CXLCacheState line_state(const World *w, const Step *s)
{
    return w->before[s->dev][s->line];
}

static bool is_low(unsigned variant)
{
    return variant == VARIANT_LOW || variant == VARIANT_POISON_LOW;
}

static bool is_poison(unsigned variant)
{
    return variant == VARIANT_POISON || variant == VARIANT_POISON_LOW;
}

static uint64_t variant_be(unsigned variant)
{
    return is_low(variant) ? BE_LOW :
           variant == VARIANT_NONE ? 0 : CXL_CACHE_BE_ALL;
}

static bool lines_changed(const World *w, unsigned dev)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (cxl_cache_dev_state(w->dev[dev], l) != w->before[dev][l]) {
            return true;
        }
    }
    return false;
}

/* Requests that the device has open, a bit for each CQID */
static unsigned open_requests(const World *w, unsigned dev)
{
    unsigned i, open = 0;

    for (i = 0; i < MAX_REQS; i++) {
        open |= w->g->dev[dev].req[i].op ? 1 << i : 0;
    }
    return open;
}

/* What was opened since, nobody is told of the end of. */
static void note_internal(World *w, unsigned dev, unsigned before)
{
    unsigned i;

    for (i = 0; i < MAX_REQS; i++) {
        GhostReq *r = &w->g->dev[dev].req[i];

        r->internal |= r->op && !(before & 1 << i);
    }
}

static void request_sent(World *w, const Step *s, unsigned cqid)
{
    GhostReq *r = &w->g->dev[s->dev].req[cqid];

    if (r->op != s->arg) {
        world_broken(w, "I7", "a request is accepted and not sent");
    }
    r->part = is_low(s->variant);
    r->empty = s->variant == VARIANT_NONE;
    r->poison = is_poison(s->variant);
}

static bool step_request(World *w, const Step *s)
{
    bool must = rules_must_accept(w, s->dev, s->line, s->arg);
    bool needs_room = rules_needs_room(w, s->dev, s->line, s->arg);
    unsigned open = open_requests(w, s->dev);
    CXLCacheLineData data;
    CXLCacheReq req = {
        .line = s->line,
        .be = variant_be(s->variant),
        .data = &data,
        .tag = s->line,
        .opcode = s->arg,
        .nt = s->variant == VARIANT_NT,
        .poison = is_poison(s->variant),
    };
    int ret;

    /* Bytes that are not enabled must not matter. */
    data_set(&data, s->line, PEND, is_low(s->variant) ? STALE : PEND);
    ret = cxl_cache_dev_request(w->dev[s->dev], &req);
    if (s->arg != CXL_CACHE_CACHE_FLUSHED) {
        order_check_victim(w, s->dev, s->line, needs_room);
    }
    if (ret >= 0) {
        request_sent(w, s, ret);
        if (w->before[s->dev][s->line] == CXL_CACHE_I &&
            cxl_cache_dev_state(w->dev[s->dev], s->line) != CXL_CACHE_I) {
            order_came(w, s->dev, s->line, req.nt);
        }
        return true;
    }
    note_internal(w, s->dev, open);
    if (must) {
        world_broken(w, "I8", "a legal request is refused: %s",
                     g_strerror(-ret));
    }
    /* What may have happened is that a victim left. */
    return w->sent || lines_changed(w, s->dev);
}

static bool step_store(World *w, const Step *s)
{
    unsigned state = line_state(w, s);
    bool part = s->variant == VARIANT_LOW;
    bool may = state == CXL_CACHE_E || state == CXL_CACHE_M ||
               (state == CXL_CACHE_EN && !part);
    GhostLine *l = &w->g->line[s->line];
    CXLCacheLineData data;
    uint8_t value = world_fresh(w);
    bool ok;

    data_set(&data, s->line, value, part ? STALE : value);
    ok = cxl_cache_dev_write(w->dev[s->dev], s->line, &data,
                             variant_be(s->variant));
    if (ok != may) {
        world_broken(w, "I1", "a store to L%u in %s is %s", s->line,
                     cxl_cache_states[state].name,
                     ok ? "accepted" : "refused");
    }
    if (ok) {
        w->last[s->line][0] = value;
        if (!part) {
            w->last[s->line][1] = value;
            l->poison = false;
        }
        rules_written(w, s->line);
        order_used(w, s->dev, s->line);
    }
    return ok;
}

/* What it reads is as any state must be; what counts is that it was used. */
static bool step_load(World *w, const Step *s)
{
    unsigned state = line_state(w, s);
    bool may = state == CXL_CACHE_S || state == CXL_CACHE_E ||
               state == CXL_CACHE_M;
    CXLCacheLineData data;
    bool poison;
    bool ok = cxl_cache_dev_read(w->dev[s->dev], s->line, &data, &poison);

    if (ok != may) {
        world_broken(w, "I1", "reading L%u in %s is %s", s->line,
                     cxl_cache_states[state].name,
                     ok ? "accepted" : "refused");
    } else if (ok && (!data_is(w, &data, s->line) ||
                      poison != w->g->line[s->line].poison)) {
        world_broken(w, "I2", "old data of L%u are read", s->line);
    }
    if (ok) {
        order_used(w, s->dev, s->line);
    }
    return ok;
}

static bool step_drop(World *w, const Step *s)
{
    unsigned state = line_state(w, s);
    bool may = state == CXL_CACHE_S || state == CXL_CACHE_E ||
               state == CXL_CACHE_EN;
    bool ok = cxl_cache_dev_drop(w->dev[s->dev], s->line);

    if (ok != may) {
        world_broken(w, "I3", "dropping L%u in %s is %s", s->line,
                     cxl_cache_states[state].name,
                     ok ? "accepted" : "refused");
    }
    return ok;
}

/* One call; between two of them, anything may happen. */
static bool step_flush(World *w, const Step *s)
{
    GhostDev *d = &w->g->dev[s->dev];
    CXLCacheDev *dev = w->dev[s->dev];
    unsigned open = open_requests(w, s->dev);
    CXLCacheFlushPhase phase = dev->flush;
    unsigned at = dev->flush_at;
    int ret = cxl_cache_dev_flush(dev);

    note_internal(w, s->dev, open);
    if (!ret) {
        rules_flushed(w, s->dev);
    } else if (phase == CXL_CACHE_FLUSH_IDLE) {
        d->told = false;
    }
    return !ret || w->sent || dev->flush != phase || dev->flush_at != at ||
           lines_changed(w, s->dev);
}

static bool step_viral(World *w, const Step *s)
{
    w->g->dev[s->dev].viral = true;
    cxl_cache_dev_set_viral(w->dev[s->dev], true);
    return true;
}

static bool step_disable(World *w, const Step *s)
{
    w->g->dev[s->dev].disabled ^= true;
    cxl_cache_dev_set_caching(w->dev[s->dev], !w->g->dev[s->dev].disabled);
    return true;
}

static bool step_die(World *w, const Step *s)
{
    loss_die(w, s->dev);
    return true;
}

/* Nothing is under way, and neither device nor home knows of a line of its. */
static bool is_at_rest(World *w, unsigned d)
{
    for (unsigned l = 0; l < w->cfg->lines; l++) {
        if (cxl_cache_dev_state(w->dev[d], l) != CXL_CACHE_I ||
            (cxl_cache_home_tracks(w->home, l, NULL) & 1 << d)) {
            return false;
        }
    }
    return cxl_cache_link_idle(w->link[d]) &&
           !cxl_cache_dev_outstanding(w->dev[d]) &&
           !w->home->dev[d].open && !w->home->dev[d].snoops;
}

/* None, its own, and one that no other device has, in turn */
static bool step_route(World *w, const Step *s)
{
    int id = cxl_cache_link_route(w->link[s->dev]);

    if (!is_at_rest(w, s->dev)) {
        return false;
    }
    cxl_cache_link_set_route(w->link[s->dev],
                             id == CXL_CACHE_UNROUTED ? s->dev :
                             id == s->dev ? CXL_CACHE_DEV_MAX - 1 - s->dev :
                             CXL_CACHE_UNROUTED);
    w->g->dev[s->dev].unrouted = id == CXL_CACHE_DEV_MAX - 1 - s->dev;
    if (cxl_cache_link_route(w->link[s->dev]) == id) {
        world_broken(w, "route", "device %u keeps its Cache ID", s->dev);
    }
    /* The fast gear asks nobody for the way: CacheMemRegion does likewise. */
    w->link[s->dev]->messages = w->g->dev[s->dev].unrouted;
    return true;
}

static bool step_reset(World *w, const Step *s)
{
    loss_reset(w);
    return true;
}

static bool no_credit(const World *w, unsigned dev, CXLCacheChannelId channel)
{
    const CXLCacheChannel *ch = &w->link[dev]->ch[channel];

    return !ch->credits && (!ch->freed || w->link[dev]->hold_credits);
}

/* What is not taken has a reason to wait, and only what may wait has one. */
static void rx_must_wait(World *w, const Step *s, const CXLCacheMsg *msg)
{
    bool credit = no_credit(w, s->dev, CXL_CACHE_D2H_DATA);
    bool may;

    switch (s->arg) {
    case CXL_CACHE_D2H_REQ:
        may = cxl_cache_home_open(w->home) ||
              no_credit(w, s->dev, CXL_CACHE_H2D_RSP);
        break;
    case CXL_CACHE_H2D_REQ:
        may = credit || no_credit(w, s->dev, CXL_CACHE_D2H_RSP) ||
              w->g->dev[s->dev].snoop[msg->line].older;
        break;
    default:
        /* Table 3-12: the link layer alone may hold the others up. */
        may = false;
    }
    if (!may) {
        world_broken(w, "O13", "a message of %s waits for nothing",
                     cxl_cache_channel_name(s->arg));
    }
}

/* Take a message: the observer looks first, as answers are sent at once. */
static bool step_rx(World *w, const Step *s, bool home)
{
    const CXLCacheMsg *head = cxl_cache_link_peek(w->link[s->dev], s->arg);
    Ghost ghost = *w->g;
    CXLCacheMsg msg;
    bool ok;

    if (!head) {
        return false;
    }
    msg = *head;
    rules_received(w, s->dev, s->arg, &msg);
    ok = home ? cxl_cache_home_rx(w->home, s->dev, s->arg) :
                cxl_cache_dev_rx(w->dev[s->dev], s->arg);
    if (!ok) {
        *w->g = ghost;
        g_clear_pointer(&w->broken, g_free);
        rx_must_wait(w, s, &msg);
    } else if (s->arg == CXL_CACHE_H2D_REQ) {
        w->cells[msg.opcode] |= 1u << w->before[s->dev][msg.line];
        rules_snooped(w, s->dev, msg.line);
    }
    return ok;
}

static bool step_host(World *w, const Step *s)
{
    GhostLine *l = &w->g->line[s->line];
    CXLCacheLineData data;
    bool low = is_low(s->variant);
    CXLCacheHostReq req = {
        .line = s->line,
        .be = variant_be(s->variant),
        .data = &data,
        .tag = s->line,
        .op = s->arg,
        .poison = is_poison(s->variant),
    };
    GhostLine old = *l;
    int ret;

    data_set(&data, s->line, PEND, low ? STALE : PEND);
    l->host = HOST_ACTIVE;
    l->host_op = s->arg;
    if (s->arg == CXL_CACHE_HOST_WRITE && req.be) {
        l->host |= low ? HOST_PART : 0;
        l->due = low ? DUE_LOW : DUE_LOW | DUE_HIGH;
        l->due_poison = req.poison;
    }
    ret = cxl_cache_home_host(w->home, &req);
    if (ret) {
        *l = old;
    } else if (l->host & HOST_DONE) {
        l->host = 0;
        l->host_op = 0;
    }
    return !ret;
}

/* The host goes to memory by itself, as it may where no device has the line. */
static bool step_host_store(World *w, const Step *s)
{
    GhostLine *l = &w->g->line[s->line];

    memset(w->last[s->line], world_fresh(w), HALVES);
    memcpy(l->ram, w->last[s->line], HALVES);
    l->poison = l->ram_poison = false;
    rules_written(w, s->line);
    return true;
}

static void take_stock(World *w)
{
    unsigned d, l;

    for (d = 0; d < w->devs; d++) {
        for (l = 0; l < w->cfg->lines; l++) {
            w->before[d][l] = cxl_cache_dev_state(w->dev[d], l);
        }
    }
    memset(w->last, CUR, sizeof(w->last));
    w->fresh = FRESH;
    w->sent = 0;
    order_stock(w);
}

/* A clean line that is gone without a message: the home cannot know. */
static void note_drops(World *w, unsigned dev)
{
    const uint32_t clean = CXL_CACHE_ST(S) | CXL_CACHE_ST(E) |
                           CXL_CACHE_ST(EN);
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (clean & 1u << w->before[dev][l] &&
            cxl_cache_dev_state(w->dev[dev], l) == CXL_CACHE_I) {
            w->g->dev[dev].dropped |= 1 << l;
        }
    }
}

/* A host access that ended in some step is forgotten after it. */
static void end_host_accesses(World *w)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (w->g->line[l].host & HOST_DONE) {
            w->g->line[l].host = 0;
            w->g->line[l].host_op = 0;
        }
    }
}

static bool step_dev_rx(World *w, const Step *s)
{
    return step_rx(w, s, false);
}

static bool step_home_rx(World *w, const Step *s)
{
    return step_rx(w, s, true);
}

static bool step_home_tx(World *w, const Step *s)
{
    return cxl_cache_home_tx(w->home);
}

static bool step_dev_tx(World *w, const Step *s)
{
    return cxl_cache_dev_tx(w->dev[s->dev]);
}

static bool step_start(World *w, const Step *s)
{
    return true;
}

static bool step_pin(World *w, const Step *s)
{
    w->g->line[s->line].pinned ^= true;
    return true;
}

static bool step_credit(World *w, const Step *s)
{
    return cxl_cache_link_return_credits(w->link[s->dev], s->arg);
}

static bool (*const take[])(World *w, const Step *s) = {
    [STEP_START] = step_start,
    [STEP_REQUEST] = step_request,
    [STEP_STORE] = step_store,
    [STEP_LOAD] = step_load,
    [STEP_DROP] = step_drop,
    [STEP_FLUSH] = step_flush,
    [STEP_VIRAL] = step_viral,
    [STEP_DISABLE] = step_disable,
    [STEP_DIE] = step_die,
    [STEP_ROUTE] = step_route,
    [STEP_RESET] = step_reset,
    [STEP_DEV_RX] = step_dev_rx,
    [STEP_HOME_RX] = step_home_rx,
    [STEP_HOME_TX] = step_home_tx,
    [STEP_DEV_TX] = step_dev_tx,
    [STEP_HOST] = step_host,
    [STEP_HOST_STORE] = step_host_store,
    [STEP_PIN] = step_pin,
    [STEP_CREDIT] = step_credit,
};

bool world_step(World *w, const Step *s)
{
    bool ok;

    take_stock(w);
    ok = take[s->kind](w, s);
    if (s->kind == STEP_DROP ||
        (w->cfg->clean_evict == CXL_CACHE_CLEAN_SILENT &&
         (s->kind == STEP_REQUEST || s->kind == STEP_FLUSH))) {
        note_drops(w, s->dev);
    }
    rules_settle(w);
    order_settle(w);
    end_host_accesses(w);
    return ok;
}

static unsigned return_credits(World *w)
{
    unsigned n = 0, d, ch;

    for (d = 0; d < w->devs; d++) {
        for (ch = 0; ch < CXL_CACHE_NUM_CHANNELS; ch++) {
            n += cxl_cache_link_return_credits(w->link[d], ch);
        }
    }
    return n;
}

/* Flushes that were begun go on. Returns: how many there are */
static unsigned go_on_flushing(World *w)
{
    unsigned n = 0, d;

    for (d = 0; d < w->devs; d++) {
        if (w->dev[d]->flush != CXL_CACHE_FLUSH_IDLE) {
            n++;
            if (!cxl_cache_dev_flush(w->dev[d])) {
                rules_flushed(w, d);
            }
        }
    }
    return n;
}

void world_run(World *w)
{
    unsigned left = 1000;

    w->running = true;
    while (cxl_cache_run(w->home) + return_credits(w) + go_on_flushing(w)) {
        if (!--left) {
            world_broken(w, "I10", "the scheduler does not come to an end");
            break;
        }
        end_host_accesses(w);
    }
    end_host_accesses(w);
    w->running = false;
}
