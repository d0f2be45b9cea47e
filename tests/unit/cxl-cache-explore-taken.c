/*
 * State space search of CXL.cache: a message is taken, a request ends
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

/* Taking */

static void snoop_progress(GhostSnoop *s)
{
    if (s->flags & SNP_RSP_SEEN &&
        (!(s->flags & SNP_FWD) || s->flags & SNP_DATA_SEEN)) {
        *s = (GhostSnoop) { 0 };
    }
}

static void took_snoop_part(World *w, unsigned dev, unsigned uqid,
                            unsigned flag)
{
    GhostDev *d = &w->g->dev[dev];
    unsigned l;

    for (l = 0; l < LINES; l++) {
        if (d->snoop[l].op && d->snoop[l].uqid == uqid) {
            d->snoop[l].flags |= flag;
            snoop_progress(&d->snoop[l]);
            return;
        }
    }
}

static void took_d2h_data(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    GhostPull *p = &d->pull[MIN(msg->uqid, MAX_TX - 1)];
    GhostLine *l;
    GhostReq *r;

    if (!p->op) {
        took_snoop_part(w, dev, msg->uqid, SNP_DATA_SEEN);
        return;
    }
    l = &w->g->line[p->line];
    r = &d->req[p->cqid];
    if (r->op == p->op && req_rules[p->op].second) {
        r->flags |= REQ_DATA_SEEN;
    }
    if (!req_rules[p->op].evict && !p->drop && !p->empty) {
        l->due = p->part ? DUE_LOW : DUE_LOW | DUE_HIGH;
        l->due_poison = p->poison;
    }
    *p = (GhostPull) { 0 };
}

static void took_snoop(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    const GhostSnoop *s = &w->g->dev[dev].snoop[msg->line];

    if (s->older) {
        world_broken(w, "I13", "a snoop of L%u passes a GO",
                     (unsigned)msg->line);
    }
}

static void took_response(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    GhostReq *r = &d->req[msg->cqid];
    GhostSnoop *s = &d->snoop[r->line];

    r->flags |= r->flags & REQ_RSP_SEEN ? REQ_RSP2_SEEN : REQ_RSP_SEEN;
    if (r->op != CXL_CACHE_CACHE_FLUSHED && s->op && s->older) {
        s->older--;
    }
}

void rules_received(World *w, unsigned dev, CXLCacheChannelId channel,
                    const CXLCacheMsg *msg)
{
    switch (channel) {
    case CXL_CACHE_D2H_RSP:
        took_snoop_part(w, dev, msg->uqid, SNP_RSP_SEEN);
        break;
    case CXL_CACHE_D2H_DATA:
        took_d2h_data(w, dev, msg);
        break;
    case CXL_CACHE_H2D_REQ:
        took_snoop(w, dev, msg);
        break;
    case CXL_CACHE_H2D_RSP:
        took_response(w, dev, msg);
        break;
    case CXL_CACHE_H2D_DATA:
        w->g->dev[dev].req[msg->cqid].flags |= REQ_DATA_SEEN;
        break;
    default:
        break;
    }
}

/* A request ends: everything of its row has come, and nothing else. */

static bool complete(const GhostReq *r)
{
    const ReqRule *rule = &req_rules[r->op];

    return (!rule->first || r->flags & REQ_RSP_SEEN) &&
           (!rule->second || r->flags & REQ_RSP2_SEEN) &&
           (!rule->h2d || r->flags & REQ_DATA_SEEN) &&
           (!(r->flags & REQ_PULLED) || r->flags & REQ_DATA);
}

static void check_read(World *w, unsigned dev, const GhostReq *r,
                       const CXLCacheDone *done)
{
    uint8_t value[HALVES];
    bool bad = !(world_decode(w, dev, r->line) & CXL_CACHE_MEM_READ);

    if (!done->data) {
        world_broken(w, "I7", "%s is done without data", op_name(r->op));
        return;
    }
    if (bad != done->failed || bad != all_ones(done->data)) {
        world_broken(w, "decode", "%s is done, failed %d", op_name(r->op),
                     done->failed);
        return;
    }
    if (!bad && (!data_get(done->data, r->line, value) || value[0] == PEND ||
                 value[1] == PEND ||
                 (!(r->flags & REQ_WRITTEN) &&
                  !data_is(w, done->data, r->line)))) {
        world_broken(w, "I2", "%s is done with wrong data", op_name(r->op));
    }
    if (!bad && !(r->flags & REQ_WRITTEN) &&
        done->poison != w->g->line[r->line].poison) {
        world_broken(w, "I14", "%s is done, poison %d became %d",
                     op_name(r->op), w->g->line[r->line].poison,
                     done->poison);
    }
}

/* CacheFlushed is acknowledged. */
static void host_was_told(World *w, unsigned dev, const GhostReq *r)
{
    GhostDev *d = &w->g->dev[dev];

    d->flushed = !(r->flags & REQ_FOLLOWED);
    d->told |= d->flushed && w->cfg->may & MAY_FLUSH;
}

/* What cxl_cache_dev_flush() promises when it returns 0 */
void rules_flushed(World *w, unsigned dev)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        CXLCacheState state = cxl_cache_dev_state(w->dev[dev], l);

        if (state != CXL_CACHE_I) {
            world_broken(w, "R3", "device %u is flushed, and has L%u in %s",
                         dev, l, cxl_cache_states[state].name);
        }
    }
    if (!w->g->dev[dev].told && !w->running) {
        world_broken(w, "R3", "device %u is flushed, the host was not told",
                     dev);
    }
    w->g->dev[dev].told = false;
}

/* Whether memory takes what the request writes */
static bool write_fails(const World *w, unsigned dev, const GhostReq *r)
{
    return !(world_decode(w, dev, r->line) & CXL_CACHE_MEM_WRITE);
}

void rules_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    GhostDev *d = &w->g->dev[dev];
    GhostReq *r = &d->req[MIN(done->cqid, MAX_REQS - 1)];

    if (w->running) {
        *r = (GhostReq) { 0 };
        return;
    }
    if (!r->op || r->op != done->opcode ||
        (r->op != CXL_CACHE_CACHE_FLUSHED && r->line != done->line)) {
        world_broken(w, "I7", "a completion of what is not open");
        return;
    }
    if (!complete(r)) {
        world_broken(w, "I7", "%s is done too early", op_name(r->op));
    }
    if (req_rules[r->op].h2d) {
        check_read(w, dev, r, done);
    } else if (done->data) {
        world_broken(w, "I7", "%s is done with data", op_name(r->op));
    } else if (done->failed != !!(r->flags & REQ_ERR) ||
               (req_rules[r->op].d2h && !req_rules[r->op].evict &&
                done->failed != write_fails(w, dev, r))) {
        world_broken(w, "decode", "%s is done, failed %d", op_name(r->op),
                     done->failed);
    }
    if (r->op != CXL_CACHE_CACHE_FLUSHED &&
        done->state != cxl_cache_dev_state(w->dev[dev], r->line)) {
        world_broken(w, "I7", "%s is done, with a wrong state",
                     op_name(r->op));
    }
    if (r->op == CXL_CACHE_CACHE_FLUSHED) {
        host_was_told(w, dev, r);
    } else if (done->state != CXL_CACHE_I) {
        order_done(w, dev, r->line);
    }
    *r = (GhostReq) { 0 };
}

void rules_settle(World *w)
{
    unsigned d, i;

    for (d = 0; d < w->devs; d++) {
        for (i = 0; i < MAX_REQS; i++) {
            GhostReq *r = &w->g->dev[d].req[i];

            if (r->internal && complete(r)) {
                if (r->op == CXL_CACHE_CACHE_FLUSHED) {
                    host_was_told(w, d, r);
                }
                *r = (GhostReq) { 0 };
            }
        }
    }
}

/* The order of writes */
void rules_written(World *w, unsigned line)
{
    unsigned d, i;

    for (d = 0; d < w->devs; d++) {
        for (i = 0; i < MAX_REQS; i++) {
            GhostReq *r = &w->g->dev[d].req[i];

            if (r->op && req_rules[r->op].h2d && r->line == line) {
                r->flags |= REQ_WRITTEN;
            }
        }
    }
    if (w->g->line[line].host & HOST_ACTIVE) {
        w->g->line[line].host |= HOST_WRITTEN;
    }
}
