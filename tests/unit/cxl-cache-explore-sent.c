/*
 * State space search of CXL.cache: a message is sent
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

static bool is_pull(unsigned opcode)
{
    return RSP(WRITE_PULL) & 1u << opcode ||
           (RSP(GO_WRITE_PULL) | RSP(FAST_GO_WRITE_PULL) |
            RSP(GO_ERR_WRITE_PULL)) & 1u << opcode;
}

/* D2H Req: I7, I8, O11 */

static bool overlaps(const World *w, unsigned dev, unsigned line, unsigned op)
{
    const GhostReq *r = w->g->dev[dev].req;
    unsigned i;

    for (i = 0; i < MAX_REQS; i++) {
        if (r[i].op && r[i].op != CXL_CACHE_CACHE_FLUSHED &&
            r[i].line == line &&
            !(req_rules[r[i].op].overlap && req_rules[op].overlap)) {
            return true;
        }
    }
    return false;
}

unsigned outstanding(const World *w, unsigned dev)
{
    const GhostReq *r = w->g->dev[dev].req;
    unsigned i, count = 0;

    for (i = 0; i < MAX_REQS; i++) {
        count += r[i].op != 0;
    }
    return count;
}

static bool all_invalid(const World *w, unsigned dev)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (w->before[dev][l] != CXL_CACHE_I) {
            return false;
        }
    }
    return true;
}

bool rules_may_request(const World *w, unsigned dev, unsigned line,
                       unsigned op)
{
    const GhostDev *d = &w->g->dev[dev];

    if (op == CXL_CACHE_CACHE_FLUSHED) {
        return all_invalid(w, dev);
    }
    return !(d->viral && !req_rules[op].evict) &&
           !(d->disabled && req_rules[op].keeps) &&
           req_rules[op].legal & 1u << w->before[dev][line] &&
           !overlaps(w, dev, line, op);
}

/* Nothing stands in the way of it: a refusal would be a fault. */
static bool could_send(const World *w, unsigned dev, unsigned line,
                       unsigned op)
{
    const CXLCacheChannel *ch = &w->link[dev]->ch[CXL_CACHE_D2H_REQ];
    bool credit = ch->credits || (ch->freed && !w->link[dev]->hold_credits);

    return rules_may_request(w, dev, line, op) && credit &&
           outstanding(w, dev) < w->cfg->reqs;
}

bool rules_needs_room(const World *w, unsigned dev, unsigned line,
                      unsigned op)
{
    return req_rules[op].keeps && w->before[dev][line] == CXL_CACHE_I &&
           order_crowd(w, dev, line) == w->cfg->cache_ways &&
           could_send(w, dev, line, op);
}

bool rules_must_accept(const World *w, unsigned dev, unsigned line,
                       unsigned op)
{
    unsigned i;

    if (outstanding(w, dev) && op == CXL_CACHE_CACHE_FLUSHED) {
        return false;
    }
    for (i = 0; i < MAX_REQS; i++) {
        if (w->g->dev[dev].req[i].op == CXL_CACHE_CACHE_FLUSHED) {
            return false;
        }
    }
    return could_send(w, dev, line, op) &&
           (!req_rules[op].keeps || w->before[dev][line] != CXL_CACHE_I ||
            order_crowd(w, dev, line) < w->cfg->cache_ways);
}

static void sent_request(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    unsigned line = msg->line, i;

    if (msg->opcode == CXL_CACHE_CACHE_FLUSHED) {
        line = 0;
    } else if (line >= w->cfg->lines) {
        world_broken(w, "I7", "a request for a line that nobody named");
        return;
    }
    if (msg->cqid >= w->cfg->reqs || d->req[msg->cqid].op) {
        world_broken(w, "I7", "CQID %u is out of range or in use", msg->cqid);
        return;
    }
    if ((d->viral && !req_rules[msg->opcode].evict &&
         msg->opcode != CXL_CACHE_CACHE_FLUSHED) ||
        (d->disabled && req_rules[msg->opcode].keeps)) {
        world_broken(w, "R4", "%s is sent, device %u %s",
                     op_name(msg->opcode), dev,
                     d->viral ? "is viral" : "may not cache");
    }
    if (!rules_may_request(w, dev, line, msg->opcode)) {
        world_broken(w, "I8", "%s is sent for L%u in %s",
                     op_name(msg->opcode), line,
                     cxl_cache_states[w->before[dev][line]].name);
    }
    d->req[msg->cqid] = (GhostReq) { .op = msg->opcode, .line = line };
    if (req_rules[msg->opcode].keeps) {
        d->flushed = false;
        d->dropped &= ~(1 << line);
        for (i = 0; i < MAX_REQS; i++) {
            d->req[i].flags |= d->req[i].op == CXL_CACHE_CACHE_FLUSHED ?
                               REQ_FOLLOWED : 0;
        }
    }
}

/* H2D Req, and who may not meet it: I5, I13 */

bool pull_open(const GhostDev *d, unsigned line)
{
    unsigned i;

    for (i = 0; i < MAX_TX; i++) {
        if (d->pull[i].op && d->pull[i].line == line) {
            return true;
        }
    }
    return false;
}

static void sent_snoop(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    GhostSnoop *s;
    unsigned i;

    if (msg->line >= w->cfg->lines) {
        world_broken(w, "I5", "a snoop of a line that nobody named");
        return;
    }
    s = &d->snoop[msg->line];
    if (s->op) {
        world_broken(w, "I5", "a second snoop of L%u", (unsigned)msg->line);
    }
    if (pull_open(d, msg->line)) {
        world_broken(w, "I5", "a snoop of L%u, its data are being pulled",
                     (unsigned)msg->line);
    }
    if (d->flushed) {
        world_broken(w, "I11", "a snoop of a device that is flushed");
    }
    *s = (GhostSnoop) { .op = msg->opcode, .uqid = msg->uqid };
    if (msg->uqid >= w->cfg->home.transactions || d->pull[msg->uqid].op) {
        world_broken(w, "I7", "UQID %u is out of range or in use",
                     msg->uqid);
    }
    for (i = 0; i < LINES; i++) {
        if (i != msg->line && d->snoop[i].op &&
            d->snoop[i].uqid == msg->uqid) {
            world_broken(w, "I7", "UQID %u is in use", msg->uqid);
        }
    }
    for (i = 0; i < MAX_REQS; i++) {
        const GhostReq *r = &d->req[i];

        if (!r->op || r->line != msg->line) {
            continue;
        }
        s->older += !!(r->flags & REQ_RSP) + !!(r->flags & REQ_RSP2) -
                    !!(r->flags & REQ_RSP_SEEN) - !!(r->flags & REQ_RSP2_SEEN);
        if (req_rules[r->op].keeps && r->flags & REQ_DATA &&
            !(r->flags & REQ_RSP)) {
            world_broken(w, "O3", "a snoop between data and GO of %s",
                         op_name(r->op));
        }
    }
}

/* H2D Rsp: I7, I4, I13 */

static void sent_pull(World *w, unsigned dev, const CXLCacheMsg *msg,
                      const GhostReq *r)
{
    GhostDev *d = &w->g->dev[dev];
    unsigned i, uqid = msg->rsp_data;

    if (uqid >= w->cfg->home.transactions || d->pull[uqid].op) {
        world_broken(w, "I7", "UQID %u is out of range or in use", uqid);
        return;
    }
    for (i = 0; i < LINES; i++) {
        if (d->snoop[i].op && d->snoop[i].uqid == uqid) {
            world_broken(w, "I7", "UQID %u is a snoop's", uqid);
        }
    }
    if (pull_open(d, r->line)) {
        world_broken(w, "I5", "a second pull for L%u", r->line);
    }
    d->pull[uqid] = (GhostPull) {
        .op = r->op, .line = r->line, .cqid = msg->cqid, .part = r->part,
        .empty = r->empty, .poison = r->poison,
        .drop = msg->opcode == CXL_CACHE_GO_ERR_WRITE_PULL ||
                !(world_decode(w, dev, r->line) & CXL_CACHE_MEM_WRITE),
    };
}

/* What memory is in a line that has a device's GO on its way */
static void check_grant(World *w, unsigned dev, const GhostReq *r, unsigned go)
{
    unsigned decode = world_decode(w, dev, r->line);
    bool readable_line = decode & CXL_CACHE_MEM_READ;
    bool modified = memcmp(w->g->line[r->line].ram, w->last[r->line],
                           HALVES);

    if (go == CXL_CACHE_GO_M && !modified) {
        world_broken(w, "I4", "GO-M, but memory has all of L%u", r->line);
    }
    if ((go == CXL_CACHE_GO_E || go == CXL_CACHE_GO_S) && modified) {
        world_broken(w, "I3", "GO-%s, but memory lacks L%u",
                     cxl_cache_go_name(go), r->line);
    }
    if (req_rules[r->op].keeps && go != CXL_CACHE_GO_I &&
        (go == CXL_CACHE_GO_ERR) !=
        (r->op == CXL_CACHE_RD_OWN_NO_DATA ?
         decode != (CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
                    CXL_CACHE_MEM_CACHEABLE) : !readable_line) &&
        !(w->cfg->may & (MAY_REFUSE | MAY_PIN))) {
        world_broken(w, "decode", "GO-%s for a line of kind %x",
                     cxl_cache_go_name(go), decode);
    }
    if (req_rules[r->op].keeps && go != CXL_CACHE_GO_I &&
        go != CXL_CACHE_GO_ERR && !(decode & CXL_CACHE_MEM_CACHEABLE)) {
        world_broken(w, "decode", "GO-%s, but L%u is not cacheable",
                     cxl_cache_go_name(go), r->line);
    }
}

static void sent_response(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    GhostReq *r = &d->req[msg->cqid];
    bool second = r->flags & REQ_RSP;
    uint16_t may;

    if (msg->cqid >= MAX_REQS || !r->op) {
        world_broken(w, "I7", "a response to CQID %u, which is not open",
                     msg->cqid);
        return;
    }
    may = r->flags & REQ_RSP2 ? 0 :
          second ? req_rules[r->op].second : req_rules[r->op].first;
    if (!(may & 1u << msg->opcode) ||
        (msg->opcode == CXL_CACHE_GO &&
         !(req_rules[r->op].go & 1u << msg->rsp_data))) {
        world_broken(w, "I7", "%s%s%s is no response to %s now",
                     cxl_cache_opcode_name(CXL_CACHE_H2D_RSP, msg->opcode),
                     msg->opcode == CXL_CACHE_GO ? "-" : "",
                     msg->opcode == CXL_CACHE_GO ?
                     cxl_cache_go_name(msg->rsp_data) : "", op_name(r->op));
        return;
    }
    if (r->op != CXL_CACHE_CACHE_FLUSHED && d->snoop[r->line].op) {
        world_broken(w, "I13", "%s while a snoop of L%u is open",
                     cxl_cache_opcode_name(CXL_CACHE_H2D_RSP, msg->opcode),
                     r->line);
    }
    r->flags |= second ? REQ_RSP2 : REQ_RSP;
    if (msg->opcode == CXL_CACHE_GO) {
        r->grant = msg->rsp_data;
        if (r->grant == CXL_CACHE_GO_ERR) {
            r->flags |= REQ_ERR;
        }
        if (r->op != CXL_CACHE_CACHE_FLUSHED) {
            check_grant(w, dev, r, msg->rsp_data);
        }
        if (req_rules[r->op].keeps && w->cfg->home.sf_ways > 1 &&
            r->grant != CXL_CACHE_GO_I && r->grant != CXL_CACHE_GO_ERR) {
            w->g->line[r->line].used = true;
        }
    }
    if (msg->opcode == CXL_CACHE_GO_ERR_WRITE_PULL) {
        r->flags |= REQ_ERR;
    }
    if (is_pull(msg->opcode)) {
        r->flags |= REQ_PULLED;
        sent_pull(w, dev, msg, r);
    }
    /* Completion says that the data are in memory. */
    if (second && pull_open(d, r->line) && !req_rules[r->op].overlap) {
        world_broken(w, "O6", "%s completes before its data are there",
                     op_name(r->op));
    }
    if (second && (w->g->line[r->line].due || !(r->flags & REQ_DATA_SEEN))) {
        world_broken(w, "O6", "%s completes before memory has its data",
                     op_name(r->op));
    }
    if (r->op == CXL_CACHE_CL_FLUSH && r->grant == CXL_CACHE_GO_I &&
        memcmp(w->g->line[r->line].ram, w->last[r->line], HALVES)) {
        world_broken(w, "I3", "CLFlush of L%u is done, memory is old",
                     r->line);
    }
}

/* D2H Rsp: table 3-26, I6 */

static void sent_answer(World *w, unsigned dev, const CXLCacheMsg *msg)
{
    GhostDev *d = &w->g->dev[dev];
    uint32_t bit = 1u << msg->opcode;
    GhostSnoop *s = NULL;
    unsigned i, line = 0, what;

    for (i = 0; i < LINES; i++) {
        if (d->snoop[i].op && d->snoop[i].uqid == msg->uqid) {
            s = &d->snoop[i];
            line = i;
        }
    }
    if (!s || s->flags & SNP_ANSWERED) {
        world_broken(w, "I7", "an answer to no snoop");
        return;
    }
    what = line_found[w->before[dev][line]];
    if (!(snoop_answers[s->op][what] & bit)) {
        world_broken(w, "I7", "%s answers %s in %s",
                     cxl_cache_opcode_name(CXL_CACHE_D2H_RSP, msg->opcode),
                     cxl_cache_opcode_name(CXL_CACHE_H2D_REQ, s->op),
                     cxl_cache_states[w->before[dev][line]].name);
    }
    w->answered = bit;
    s->flags |= SNP_ANSWERED | (FWD & bit ? SNP_FWD : 0);
    for (i = 0; i < MAX_REQS; i++) {
        GhostReq *r = &d->req[i];

        if (r->op && req_rules[r->op].evict && r->line == line &&
            !(r->flags & REQ_RSP_SEEN) && DOWN & bit && what != NOTHING) {
            r->flags |= REQ_SNOOPED;
        }
    }
}

/* The answer told what is left of the line: it must be so. */
void rules_snooped(World *w, unsigned dev, unsigned line)
{
    CXLCacheState state = cxl_cache_dev_state(w->dev[dev], line);
    Found was = line_found[w->before[dev][line]], left = line_found[state];

    if ((w->answered & GONE && left != NOTHING) ||
        (w->answered & DOWN & ~GONE && left != SHARED) ||
        (w->answered & ~DOWN && left != was)) {
        world_broken(w, "I1", "L%u is %s after the answer to a snoop", line,
                     cxl_cache_states[state].name);
    }
}

/* Data of both directions: I2, I6, I14 */

static void sent_d2h_data(World *w, unsigned dev, const CXLCacheMsg *msg,
                          const CXLCacheLineData *data)
{
    GhostDev *d = &w->g->dev[dev];
    GhostPull *p = &d->pull[MIN(msg->uqid, MAX_TX - 1)];
    uint64_t be;
    GhostReq *r;
    unsigned l;

    for (l = 0; l < LINES; l++) {
        GhostSnoop *s = &d->snoop[l];

        if (s->op && s->uqid == msg->uqid) {
            if (!(s->flags & SNP_FWD) || s->flags & SNP_DATA) {
                world_broken(w, "I7", "data that no snoop asked for");
            }
            s->flags |= SNP_DATA;
            if (msg->bogus || msg->be != CXL_CACHE_BE_ALL) {
                world_broken(w, "I6", "forwarded data are bogus or partial");
            }
            if (!data_is(w, data, l)) {
                world_broken(w, "I2", "old data of L%u are forwarded", l);
            }
            if (msg->poison != w->g->line[l].poison) {
                world_broken(w, "I14", "poison of L%u is %d when forwarded",
                             l, msg->poison);
            }
            return;
        }
    }
    if (!p->op || p->sent) {
        world_broken(w, "I7", "data that no pull asked for");
        return;
    }
    p->sent = true;
    r = &d->req[p->cqid];
    r->flags |= REQ_DATA;
    be = p->empty ? 0 : p->part ? BE_LOW : CXL_CACHE_BE_ALL;
    if (msg->be != be) {
        world_broken(w, "I7", "byte enables %" PRIx64 " of %s", msg->be,
                     op_name(p->op));
    }
    if (msg->bogus != (req_rules[p->op].evict && r->flags & REQ_SNOOPED)) {
        world_broken(w, "I6", "Bogus=%d in the data of %s, snooped: %d",
                     msg->bogus, op_name(p->op),
                     !!(r->flags & REQ_SNOOPED));
    }
    p->bogus = msg->bogus;
    if (!req_rules[p->op].evict) {
        if (msg->poison != p->poison) {
            world_broken(w, "I14", "poison of %s became %d", op_name(p->op),
                         msg->poison);
        }
    } else if (!msg->bogus && (p->op == CXL_CACHE_DIRTY_EVICT ||
                               !(w->cfg->may & MAY_LOAD_STORE))) {
        /*
         * A clean line is the host's again before its data are there; they
         * may be old then, and nobody uses them.
         */
        if (!data_is(w, data, p->line)) {
            world_broken(w, "I2", "%s sends old data", op_name(p->op));
        }
        if (msg->poison != w->g->line[p->line].poison) {
            world_broken(w, "I14", "poison of %s became %d", op_name(p->op),
                         msg->poison);
        }
    }
}

bool all_ones(const CXLCacheLineData *data)
{
    unsigned i;

    for (i = 0; i < CXL_CACHE_LINE_SIZE; i++) {
        if (data->b[i] != 0xff) {
            return false;
        }
    }
    return true;
}

static void sent_h2d_data(World *w, unsigned dev, const CXLCacheMsg *msg,
                          const CXLCacheLineData *data)
{
    GhostReq *r = &w->g->dev[dev].req[msg->cqid];
    uint8_t value[HALVES];
    bool bad;

    if (msg->cqid >= MAX_REQS || !r->op || !req_rules[r->op].h2d ||
        r->flags & REQ_DATA) {
        world_broken(w, "I7", "data that no request asked for");
        return;
    }
    r->flags |= REQ_DATA;
    bad = !(world_decode(w, dev, r->line) & CXL_CACHE_MEM_READ);
    if (bad != all_ones(data) ||
        (msg->go_err && !bad) ||
        (bad && r->op == CXL_CACHE_RD_CURR && !msg->go_err)) {
        world_broken(w, "decode", "data of %s, GO-Err %d", op_name(r->op),
                     msg->go_err);
        return;
    }
    if (bad) {
        return;
    }
    if (!data_get(data, r->line, value) || value[0] == PEND ||
        value[1] == PEND) {
        world_broken(w, "I2", "%s gets another line's data, or a write's",
                     op_name(r->op));
    }
    /* A read is in order somewhere between its issue and its data. */
    if (r->flags & REQ_WRITTEN) {
        return;
    }
    if (!data_is(w, data, r->line)) {
        world_broken(w, "I2", "%s gets old data of L%u", op_name(r->op),
                     r->line);
    }
    if (msg->poison != w->g->line[r->line].poison) {
        world_broken(w, "I14", "%s gets L%u, poison %d became %d",
                     op_name(r->op), r->line, w->g->line[r->line].poison,
                     msg->poison);
    }
}

void rules_sent(World *w, unsigned dev, CXLCacheChannelId channel,
                const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        sent_request(w, dev, msg);
        break;
    case CXL_CACHE_D2H_RSP:
        sent_answer(w, dev, msg);
        break;
    case CXL_CACHE_D2H_DATA:
        sent_d2h_data(w, dev, msg, data);
        break;
    case CXL_CACHE_H2D_REQ:
        sent_snoop(w, dev, msg);
        break;
    case CXL_CACHE_H2D_RSP:
        sent_response(w, dev, msg);
        break;
    case CXL_CACHE_H2D_DATA:
        sent_h2d_data(w, dev, msg, data);
        break;
    default:
        g_assert_not_reached();
    }
}
