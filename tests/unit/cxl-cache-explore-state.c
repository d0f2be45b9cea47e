/*
 * State space search of CXL.cache: a state as a whole, and at rest
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

static const uint32_t line_readable = ST(S) | ST(E) | ST(M);

/* What a device holds, counting a GO that is on its way */
static Hold hold_of(const World *w, unsigned dev, unsigned line,
                    CXLCacheState state)
{
    const GhostDev *d = &w->g->dev[dev];
    Hold hold = line_holds[state];
    unsigned i;

    for (i = 0; i < MAX_REQS; i++) {
        const GhostReq *r = &d->req[i];

        if (r->op && req_rules[r->op].keeps && r->line == line &&
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

/*
 * A request of a device that has died goes on where it waits for a snoop, and
 * has the line's entry until then; nobody else comes across that.
 */
static bool is_orphans(const World *w, unsigned line)
{
    unsigned i;

    for (i = 0; i < w->home->num_tx; i++) {
        const CXLCacheTx *tx = &w->home->tx[i];

        if (tx->phase != CXL_CACHE_TX_FREE && tx->line == line &&
            tx->kind == CXL_CACHE_TX_GONE) {
            return true;
        }
    }
    return false;
}

static void check_holders(World *w, unsigned line, const uint8_t *states)
{
    GhostLine *l = &w->g->line[line];
    unsigned d, excl = 0, shared = 0;
    uint16_t tracked;
    bool excl_tracked = false;

    tracked = cxl_cache_home_tracks(w->home, line, &excl_tracked);
    for (d = 0; d < w->devs; d++) {
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
        if (w->g->dev[d].flushed && tracked & 1 << d && !is_orphans(w, line)) {
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
            !(line_readable & 1u << slot.state)) {
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
bool answers_for(const World *w, unsigned dev, unsigned line,
                        CXLCacheState state)
{
    const GhostDev *d = &w->g->dev[dev];
    const GhostSnoop *s = &d->snoop[line];
    unsigned i;

    if (line_found[state] == MODIFIED || state == CXL_CACHE_IMDI ||
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

    for (d = 0; d < w->devs; d++) {
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
    unsigned d, l;

    for (d = 0; d < w->devs; d++) {
        for (l = 0; l < w->cfg->lines; l++) {
            states[l][d] = cxl_cache_dev_state(w->dev[d], l);
        }
        check_credits(w, d);
        check_values(w, d);
        if (outstanding(w, d) != cxl_cache_dev_outstanding(w->dev[d])) {
            world_broken(w, "I7", "%u requests of device %u are open, "
                         "it says %u", outstanding(w, d), d,
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

/* Who is taken for an owner is one, or dropped the line without a word. */
static void check_owner_at_rest(World *w, unsigned line)
{
    bool excl, owned = false;
    uint16_t tracked = cxl_cache_home_tracks(w->home, line, &excl);
    unsigned d;

    for (d = 0; d < w->devs; d++) {
        owned = owned || (tracked & 1 << d &&
                          (w->g->dev[d].dropped & 1 << line ||
                           line_holds[cxl_cache_dev_state(w->dev[d], line)] ==
                           HOLD_EXCL));
    }
    if (excl && !owned) {
        world_broken(w, "I11", "L%u is tracked as owned, and nobody owns it",
                     line);
    }
}

/* After the scheduler has nothing left to do: I10 */
void rules_quiescent(World *w)
{
    unsigned d, l;

    for (d = 0; d < w->devs; d++) {
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

        for (d = 0; d < w->devs; d++) {
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
        check_owner_at_rest(w, l);
        if (!tracked && w->g->line[l].access != CXL_CACHE_HOST_RW) {
            world_broken(w, "I12", "nobody has L%u, and the host may not "
                         "write it", l);
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
