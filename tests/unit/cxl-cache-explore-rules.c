/*
 * State space search of CXL.cache: the observer
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It sees each message when it is sent and when it is taken, keeps its own
 * notes, and holds both sides to the rules; and it looks at each state as a
 * whole. Rules are named as in the project's list: I1 single writer or many
 * readers, I2 values, I3 no dirty data lost, I4 no needless write, I5 snoops
 * and pulls exclude each other, I6 Bogus, I7 response sets and IDs, I8 buried
 * state rule, I9 credits, I10 progress, I11 snoop filter, I12 the host's own
 * access, I13 order of GO and snoops, I14 poison.
 *
 * The tables below repeat the specification on purpose: if they were the
 * engine's, the search could not see a slip in them.
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

#define ST CXL_CACHE_ST
#define GO CXL_CACHE_GOS
#define RSP CXL_CACHE_RSPS

/* Tables 3-22, 3-23 and 3-28 */
typedef struct ReqRule {
    uint32_t legal;
    uint8_t go;
    uint16_t first;
    uint16_t second;
    bool h2d, d2h;
    bool keeps;             /* the device may have the line afterwards */
    bool evict;
    bool overlap;           /* ordering rule O11 */
} ReqRule;

static const ReqRule rules[CXL_CACHE_D2H_REQ_CODES] = {
    [CXL_CACHE_RD_CURR] = {
        .legal = ST(I), .h2d = true, .overlap = true,
    },
    [CXL_CACHE_RD_OWN] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(E) | GO(M) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_SHARED] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(S) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_ANY] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(S) | GO(E) | GO(M) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_OWN_NO_DATA] = {
        .legal = ST(I) | ST(S), .first = RSP(GO), .keeps = true,
        .go = GO(E) | GO(ERR),
    },
    [CXL_CACHE_I_TO_M_WR] = {
        .legal = ST(I), .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .d2h = true, .overlap = true,
    },
    [CXL_CACHE_WR_CUR] = {
        .legal = ST(I), .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .d2h = true, .overlap = true,
    },
    [CXL_CACHE_CL_FLUSH] = {
        .legal = ST(I), .first = RSP(GO), .go = GO(I) | GO(ERR),
        .overlap = true,
    },
    [CXL_CACHE_CLEAN_EVICT] = {
        .legal = ST(E), .d2h = true, .evict = true,
        .first = RSP(GO_WRITE_PULL) | RSP(GO_WRITE_PULL_DROP),
    },
    [CXL_CACHE_DIRTY_EVICT] = {
        .legal = ST(M), .d2h = true, .evict = true,
        .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
    },
    [CXL_CACHE_CLEAN_EVICT_NO_DATA] = {
        .legal = ST(S) | ST(E) | ST(EN), .evict = true,
        .first = RSP(GO), .go = GO(I),
    },
    [CXL_CACHE_WO_WR_INV] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(FAST_GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .second = RSP(EXT_CMP),
    },
    [CXL_CACHE_WO_WR_INV_F] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(FAST_GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .second = RSP(EXT_CMP),
    },
    [CXL_CACHE_WR_INV] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(WRITE_PULL),
        .second = RSP(GO), .go = GO(I) | GO(ERR),
    },
    [CXL_CACHE_CACHE_FLUSHED] = {
        .first = RSP(GO), .go = GO(I),
    },
};

/* What a line in a state is to others: what a snoop may find, in table 3-26. */
typedef enum Found {
    NOTHING,
    EMPTY,          /* owned, not a byte there */
    SHARED,
    OWNED,
    MODIFIED,
} Found;

static const uint8_t found[CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_S] = SHARED,
    [CXL_CACHE_E] = OWNED,
    [CXL_CACHE_M] = MODIFIED,
    [CXL_CACHE_EN] = EMPTY,
    [CXL_CACHE_ISD] = SHARED,
    [CXL_CACHE_IED] = OWNED,
    [CXL_CACHE_IMD] = MODIFIED,
    [CXL_CACHE_IMDS] = SHARED,
    [CXL_CACHE_IMDM] = MODIFIED,
    [CXL_CACHE_SEA] = SHARED,
    [CXL_CACHE_MIA] = MODIFIED,
    [CXL_CACHE_EIA] = OWNED,
    [CXL_CACHE_SIA] = SHARED,
    [CXL_CACHE_NIA] = EMPTY,
    [CXL_CACHE_SIB] = SHARED,
};

#define R(rsp) (1u << CXL_CACHE_RSP_##rsp)

static const uint32_t answers[CXL_CACHE_SNP_CUR + 1][MODIFIED + 1] = {
    [CXL_CACHE_SNP_DATA] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_I),
        [SHARED] = R(S_HIT_SE),
        [OWNED] = R(S_HIT_SE),
        [MODIFIED] = R(S_FWD_M) | R(I_FWD_M),
    },
    [CXL_CACHE_SNP_INV] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_SE),
        [SHARED] = R(I_HIT_SE),
        [OWNED] = R(I_HIT_SE),
        [MODIFIED] = R(I_FWD_M),
    },
    [CXL_CACHE_SNP_CUR] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_I),
        [SHARED] = R(V_HIT_V) | R(S_HIT_SE),
        [OWNED] = R(V_HIT_V) | R(V_FWD_V) | R(S_HIT_SE),
        [MODIFIED] = R(V_FWD_V) | R(S_FWD_M) | R(I_FWD_M),
    },
};

#define FWD (R(S_FWD_M) | R(I_FWD_M) | R(V_FWD_V))
#define GONE (R(I_HIT_I) | R(I_HIT_SE) | R(I_FWD_M))
#define DOWN (GONE | R(S_HIT_SE) | R(S_FWD_M))

/* What a device may do with a line now, or once what is on its way arrives */
typedef enum Hold { HOLD_NONE, HOLD_SHARED, HOLD_EXCL } Hold;

/*
 * An evict that is pending holds nothing: the device may no longer use the
 * line, though it must answer for it.
 */
static const uint8_t holds[CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_S] = HOLD_SHARED,
    [CXL_CACHE_E] = HOLD_EXCL,
    [CXL_CACHE_M] = HOLD_EXCL,
    [CXL_CACHE_EN] = HOLD_EXCL,
    [CXL_CACHE_ISD] = HOLD_SHARED,
    [CXL_CACHE_IED] = HOLD_EXCL,
    [CXL_CACHE_IMD] = HOLD_EXCL,
    [CXL_CACHE_IMDS] = HOLD_SHARED,
    [CXL_CACHE_IMDM] = HOLD_EXCL,
    [CXL_CACHE_SEA] = HOLD_SHARED,
};

static const uint32_t readable = ST(S) | ST(E) | ST(M);

static bool is_pull(unsigned opcode)
{
    return RSP(WRITE_PULL) & 1u << opcode ||
           (RSP(GO_WRITE_PULL) | RSP(FAST_GO_WRITE_PULL) |
            RSP(GO_ERR_WRITE_PULL)) & 1u << opcode;
}

static const char *op_name(unsigned op)
{
    return cxl_cache_opcode_name(CXL_CACHE_D2H_REQ, op);
}

/* D2H Req: I7, I8, O11 */

static bool overlaps(const World *w, unsigned dev, unsigned line, unsigned op)
{
    const GhostReq *r = w->g->dev[dev].req;
    unsigned i;

    for (i = 0; i < MAX_REQS; i++) {
        if (r[i].op && r[i].op != CXL_CACHE_CACHE_FLUSHED &&
            r[i].line == line &&
            !(rules[r[i].op].overlap && rules[op].overlap)) {
            return true;
        }
    }
    return false;
}

static bool outstanding(const World *w, unsigned dev, unsigned *count)
{
    const GhostReq *r = w->g->dev[dev].req;
    unsigned i;

    *count = 0;
    for (i = 0; i < MAX_REQS; i++) {
        *count += r[i].op != 0;
    }
    return *count;
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
    return op == CXL_CACHE_CACHE_FLUSHED ? all_invalid(w, dev) :
           rules[op].legal & 1u << w->before[dev][line] &&
           !overlaps(w, dev, line, op);
}

/* Nothing stands in the way of it: a refusal would be a fault. */
bool rules_must_accept(const World *w, unsigned dev, unsigned line,
                       unsigned op)
{
    const CXLCacheChannel *ch = &w->link[dev]->ch[CXL_CACHE_D2H_REQ];
    bool credit = ch->credits || (ch->freed && !w->link[dev]->hold_credits);
    unsigned i, l, reqs, lines = 0;

    for (l = 0; l < w->cfg->lines; l++) {
        lines += w->before[dev][l] != CXL_CACHE_I;
    }
    if (outstanding(w, dev, &reqs) && op == CXL_CACHE_CACHE_FLUSHED) {
        return false;
    }
    for (i = 0; i < MAX_REQS; i++) {
        if (w->g->dev[dev].req[i].op == CXL_CACHE_CACHE_FLUSHED) {
            return false;
        }
    }
    return rules_may_request(w, dev, line, op) && credit &&
           reqs < w->cfg->reqs &&
           (!rules[op].keeps || w->before[dev][line] != CXL_CACHE_I ||
            !lines);
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
    if (!rules_may_request(w, dev, line, msg->opcode)) {
        world_broken(w, "I8", "%s is sent for L%u in %s",
                     op_name(msg->opcode), line,
                     cxl_cache_states[w->before[dev][line]].name);
    }
    d->req[msg->cqid] = (GhostReq) { .op = msg->opcode, .line = line };
    if (rules[msg->opcode].keeps) {
        d->flushed = false;
        d->dropped &= ~(1 << line);
        for (i = 0; i < MAX_REQS; i++) {
            d->req[i].flags |= d->req[i].op == CXL_CACHE_CACHE_FLUSHED ?
                               REQ_FOLLOWED : 0;
        }
    }
}

/* H2D Req, and who may not meet it: I5, I13 */

static bool pull_open(const GhostDev *d, unsigned line)
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
        if (rules[r->op].keeps && r->flags & REQ_DATA &&
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
                !(w->cfg->decode[r->line] & CXL_CACHE_MEM_WRITE),
    };
}

/* What memory is in a line that has a device's GO on its way */
static void check_grant(World *w, const GhostReq *r, unsigned go)
{
    unsigned decode = w->cfg->decode[r->line];
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
    if (rules[r->op].keeps && go != CXL_CACHE_GO_I &&
        (go == CXL_CACHE_GO_ERR) !=
        (r->op == CXL_CACHE_RD_OWN_NO_DATA ?
         decode != (CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
                    CXL_CACHE_MEM_CACHEABLE) : !readable_line) &&
        !(w->cfg->may & (MAY_REFUSE | MAY_PIN))) {
        world_broken(w, "decode", "GO-%s for a line of kind %x",
                     cxl_cache_go_name(go), decode);
    }
    if (rules[r->op].keeps && go != CXL_CACHE_GO_I &&
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
          second ? rules[r->op].second : rules[r->op].first;
    if (!(may & 1u << msg->opcode) ||
        (msg->opcode == CXL_CACHE_GO &&
         !(rules[r->op].go & 1u << msg->rsp_data))) {
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
            check_grant(w, r, msg->rsp_data);
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
    if (second && pull_open(d, r->line) && !rules[r->op].overlap) {
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
    what = found[w->before[dev][line]];
    if (!(answers[s->op][what] & bit)) {
        world_broken(w, "I7", "%s answers %s in %s",
                     cxl_cache_opcode_name(CXL_CACHE_D2H_RSP, msg->opcode),
                     cxl_cache_opcode_name(CXL_CACHE_H2D_REQ, s->op),
                     cxl_cache_states[w->before[dev][line]].name);
    }
    w->answered = bit;
    s->flags |= SNP_ANSWERED | (FWD & bit ? SNP_FWD : 0);
    for (i = 0; i < MAX_REQS; i++) {
        GhostReq *r = &d->req[i];

        if (r->op && rules[r->op].evict && r->line == line &&
            !(r->flags & REQ_RSP_SEEN) && DOWN & bit && what != NOTHING) {
            r->flags |= REQ_SNOOPED;
        }
    }
}

/* The answer told what is left of the line: it must be so. */
void rules_snooped(World *w, unsigned dev, unsigned line)
{
    CXLCacheState state = cxl_cache_dev_state(w->dev[dev], line);
    Found was = found[w->before[dev][line]], left = found[state];

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
    if (msg->bogus != (rules[p->op].evict && r->flags & REQ_SNOOPED)) {
        world_broken(w, "I6", "Bogus=%d in the data of %s, snooped: %d",
                     msg->bogus, op_name(p->op),
                     !!(r->flags & REQ_SNOOPED));
    }
    p->bogus = msg->bogus;
    if (!rules[p->op].evict) {
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

static bool all_ones(const CXLCacheLineData *data)
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

    if (msg->cqid >= MAX_REQS || !r->op || !rules[r->op].h2d ||
        r->flags & REQ_DATA) {
        world_broken(w, "I7", "data that no request asked for");
        return;
    }
    r->flags |= REQ_DATA;
    bad = !(w->cfg->decode[r->line] & CXL_CACHE_MEM_READ);
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
    if (r->op == p->op && rules[p->op].second) {
        r->flags |= REQ_DATA_SEEN;
    }
    if (!rules[p->op].evict && !p->drop && !p->empty) {
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
    const ReqRule *rule = &rules[r->op];

    return (!rule->first || r->flags & REQ_RSP_SEEN) &&
           (!rule->second || r->flags & REQ_RSP2_SEEN) &&
           (!rule->h2d || r->flags & REQ_DATA_SEEN) &&
           (!(r->flags & REQ_PULLED) || r->flags & REQ_DATA);
}

static void check_read(World *w, const GhostReq *r, const CXLCacheDone *done)
{
    uint8_t value[HALVES];
    bool bad = !(w->cfg->decode[r->line] & CXL_CACHE_MEM_READ);

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
    if (rules[r->op].h2d) {
        check_read(w, r, done);
    } else if (done->data) {
        world_broken(w, "I7", "%s is done with data", op_name(r->op));
    } else if (done->failed != !!(r->flags & REQ_ERR) ||
               (rules[r->op].d2h && !rules[r->op].evict && done->failed !=
                !(w->cfg->decode[r->line] & CXL_CACHE_MEM_WRITE))) {
        world_broken(w, "decode", "%s is done, failed %d", op_name(r->op),
                     done->failed);
    }
    if (r->op != CXL_CACHE_CACHE_FLUSHED &&
        done->state != cxl_cache_dev_state(w->dev[dev], r->line)) {
        world_broken(w, "I7", "%s is done, with a wrong state",
                     op_name(r->op));
    }
    if (r->op == CXL_CACHE_CACHE_FLUSHED && !(r->flags & REQ_FOLLOWED)) {
        d->flushed = true;
    }
    *r = (GhostReq) { 0 };
}

void rules_settle(World *w)
{
    unsigned d, i;

    for (d = 0; d < DEVS; d++) {
        for (i = 0; i < MAX_REQS; i++) {
            GhostReq *r = &w->g->dev[d].req[i];

            if (r->internal && complete(r)) {
                *r = (GhostReq) { 0 };
            }
        }
    }
}

/* The order of writes */
void rules_written(World *w, unsigned line)
{
    unsigned d, i;

    for (d = 0; d < DEVS; d++) {
        for (i = 0; i < MAX_REQS; i++) {
            GhostReq *r = &w->g->dev[d].req[i];

            if (r->op && rules[r->op].h2d && r->line == line) {
                r->flags |= REQ_WRITTEN;
            }
        }
    }
    if (w->g->line[line].host & HOST_ACTIVE) {
        w->g->line[line].host |= HOST_WRITTEN;
    }
}

/* States as a whole */

/* What a device holds, counting a GO that is on its way */
static Hold hold_of(const World *w, unsigned dev, unsigned line,
                    CXLCacheState state)
{
    const GhostDev *d = &w->g->dev[dev];
    Hold hold = holds[state];
    unsigned i;

    for (i = 0; i < MAX_REQS; i++) {
        const GhostReq *r = &d->req[i];

        if (r->op && rules[r->op].keeps && r->line == line &&
            r->flags & REQ_RSP && !(r->flags & REQ_RSP_SEEN)) {
            /* What it had before, RdOwnNoData has given up. */
            hold = MAX(state == CXL_CACHE_SEA ? HOLD_NONE : hold,
                       r->grant == CXL_CACHE_GO_E ||
                       r->grant == CXL_CACHE_GO_M ? HOLD_EXCL :
                       r->grant == CXL_CACHE_GO_S ? HOLD_SHARED : HOLD_NONE);
        }
    }
    return hold;
}

static void check_holders(World *w, unsigned line, const uint8_t *states)
{
    GhostLine *l = &w->g->line[line];
    unsigned d, excl = 0, shared = 0;
    uint16_t tracked;
    bool excl_tracked = false;

    tracked = cxl_cache_home_tracks(w->home, line, &excl_tracked);
    for (d = 0; d < DEVS; d++) {
        Hold hold = hold_of(w, d, line, states[d]);

        excl += hold == HOLD_EXCL;
        shared += hold == HOLD_SHARED;
        if (hold && !(tracked & 1 << d)) {
            world_broken(w, "I11", "device %u has L%u, the home forgot", d,
                         line);
        }
        if (hold == HOLD_EXCL && !excl_tracked) {
            world_broken(w, "I11", "device %u owns L%u, the home forgot", d,
                         line);
        }
        if (w->g->dev[d].flushed && tracked & 1 << d) {
            world_broken(w, "I11", "device %u is flushed, L%u is tracked", d,
                         line);
        }
    }
    if (excl > 1 || (excl && shared)) {
        world_broken(w, "I1", "L%u has %u owners and %u sharers", line, excl,
                     shared);
    }
    if ((excl && l->access != CXL_CACHE_HOST_NONE) ||
        (shared && l->access == CXL_CACHE_HOST_RW)) {
        world_broken(w, "I12", "L%u is a device's, and the host may %s it",
                     line, l->access == CXL_CACHE_HOST_RW ? "write" : "read");
    }
}

static void check_values(World *w, unsigned dev)
{
    CXLCacheSlot slot;
    unsigned i;

    for (i = 0; i < cxl_cache_dev_num_lines(w->dev[dev]); i++) {
        if (!cxl_cache_dev_slot(w->dev[dev], i, &slot) ||
            !(readable & 1u << slot.state)) {
            continue;
        }
        if (!data_is(w, slot.data, slot.line)) {
            world_broken(w, "I2", "device %u reads old data of L%u", dev,
                         (unsigned)slot.line);
        }
        if (slot.poison != w->g->line[slot.line].poison) {
            world_broken(w, "I14", "device %u has L%u, poison %d became %d",
                         dev, (unsigned)slot.line,
                         w->g->line[slot.line].poison, slot.poison);
        }
    }
}

/* Who answers for a line that memory does not have: I3 */
static bool answers_for(const World *w, unsigned dev, unsigned line,
                        CXLCacheState state)
{
    const GhostDev *d = &w->g->dev[dev];
    const GhostSnoop *s = &d->snoop[line];
    unsigned i;

    if (found[state] == MODIFIED || state == CXL_CACHE_IMDI ||
        state == CXL_CACHE_IMDS) {
        return true;
    }
    if (s->op && s->flags & SNP_FWD && !(s->flags & SNP_DATA_SEEN)) {
        return true;
    }
    for (i = 0; i < MAX_TX; i++) {
        const GhostPull *p = &d->pull[i];

        if (p->op == CXL_CACHE_DIRTY_EVICT && p->line == line && p->sent &&
            !p->bogus) {
            return true;
        }
    }
    for (i = 0; i < MAX_REQS; i++) {
        const GhostReq *r = &d->req[i];

        if (r->op && r->line == line && r->grant == CXL_CACHE_GO_M) {
            return true;
        }
    }
    return false;
}

static void check_memory(World *w, unsigned line, const uint8_t *states)
{
    GhostLine *l = &w->g->line[line];
    bool current = !memcmp(l->ram, w->last[line], HALVES);
    bool held = false;
    unsigned d;

    for (d = 0; d < DEVS; d++) {
        held = held || answers_for(w, d, line, states[d]);
        if (current && (states[d] == CXL_CACHE_M ||
                        states[d] == CXL_CACHE_IMD)) {
            world_broken(w, "I3", "device %u has L%u modified, memory too",
                         d, line);
        }
    }
    if (!current && !held && !canon_home_has(w, line)) {
        world_broken(w, "I3", "the last value of L%u is nowhere", line);
    }
    if (!current && l->access != CXL_CACHE_HOST_NONE) {
        world_broken(w, "I12", "memory's L%u is old, and the host may read it",
                     line);
    }
    if (current && l->ram_poison != l->poison) {
        world_broken(w, "I14", "memory has L%u, poison %d became %d", line,
                     l->poison, l->ram_poison);
    }
}

static void check_credits(World *w, unsigned dev)
{
    unsigned i;

    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        const CXLCacheChannel *ch = &w->link[dev]->ch[i];
        uint32_t used = cxl_cache_link_used(ch);

        if (used > ch->depth || ch->credits > ch->depth ||
            ch->freed > ch->depth ||
            ch->credits + ch->freed + used != ch->depth) {
            world_broken(w, "I9", "%s of device %u: %u credits, %u messages, "
                         "%u on their way back, of %u",
                         cxl_cache_channel_name(i), dev, ch->credits, used,
                         ch->freed, ch->depth);
        }
    }
}

void rules_state(World *w)
{
    uint8_t states[LINES][DEVS];
    unsigned d, l, reqs;

    for (d = 0; d < DEVS; d++) {
        for (l = 0; l < w->cfg->lines; l++) {
            states[l][d] = cxl_cache_dev_state(w->dev[d], l);
        }
        check_credits(w, d);
        check_values(w, d);
        outstanding(w, d, &reqs);
        if (reqs != cxl_cache_dev_outstanding(w->dev[d])) {
            world_broken(w, "I7", "%u requests of device %u are open, "
                         "it says %u", reqs, d,
                         cxl_cache_dev_outstanding(w->dev[d]));
        }
    }
    for (l = 0; l < w->cfg->lines; l++) {
        check_holders(w, l, states[l]);
        check_memory(w, l, states[l]);
    }
    if (cxl_cache_home_tracked(w->home) > w->cfg->home.sf_lines) {
        world_broken(w, "I11", "more lines are tracked than there is room");
    }
}

/* After the scheduler has nothing left to do: I10 */
void rules_quiescent(World *w)
{
    unsigned d, l;

    for (d = 0; d < DEVS; d++) {
        if (!cxl_cache_link_idle(w->link[d])) {
            world_broken(w, "I10", "the link of device %u never gets idle",
                         d);
        }
        if (cxl_cache_dev_outstanding(w->dev[d])) {
            world_broken(w, "I10", "a request of device %u never ends", d);
        }
        memset(w->g->dev[d].req, 0, sizeof(w->g->dev[d].req));
        memset(w->g->dev[d].snoop, 0, sizeof(w->g->dev[d].snoop));
        memset(w->g->dev[d].pull, 0, sizeof(w->g->dev[d].pull));
    }
    if (cxl_cache_home_open(w->home)) {
        world_broken(w, "I10", "a transaction of the home never ends");
    }
    for (l = 0; l < w->cfg->lines; l++) {
        uint16_t tracked = cxl_cache_home_tracks(w->home, l, NULL);

        for (d = 0; d < DEVS; d++) {
            CXLCacheState state = cxl_cache_dev_state(w->dev[d], l);

            if (!cxl_cache_may(state, CXL_CACHE_P_STABLE)) {
                world_broken(w, "I10", "L%u of device %u stays in %s", l, d,
                             cxl_cache_states[state].name);
            }
            if (state == CXL_CACHE_I && tracked & 1 << d &&
                !(w->g->dev[d].dropped & 1 << l)) {
                world_broken(w, "I11", "L%u left device %u, it is tracked "
                             "for ever", l, d);
            }
        }
        if (w->g->line[l].host) {
            world_broken(w, "I10", "a host access never ends");
        }
        if (w->g->line[l].due) {
            world_broken(w, "I3", "a write of L%u is lost", l);
        }
    }
    if (!w->broken) {
        rules_state(w);
    }
}
