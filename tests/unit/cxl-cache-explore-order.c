/*
 * State space search of CXL.cache: rules for what has to make room (R1)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device's cache is to take a free way of the line's set, and else the line
 * that has not been used for the longest time; one that came in with the NT
 * hint goes first, whether it is used or not. The snoop filter is to take a
 * free entry, and else one that was not granted since it last forgot; where
 * all were, it forgets of them that they were.
 *
 * The observer keeps a list of lines where the engine has ages in its tags, and
 * hears of grants by the messages.
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

/* A device's list: lines in the order of their last use */

static bool observed(const World *w)
{
    return w->cfg->cache_ways > 1;
}

static void leave(GhostDev *d, unsigned line)
{
    unsigned i, n = 0;

    for (i = 0; i < LINES; i++) {
        if (d->order[i] != line + 1) {
            d->order[n++] = d->order[i];
        }
    }
    memset(&d->order[n], 0, LINES - n);
}

static void to_front(GhostDev *d, unsigned line)
{
    leave(d, line);
    memmove(&d->order[1], &d->order[0], LINES - 1);
    d->order[0] = line + 1;
}

static void to_back(GhostDev *d, unsigned line)
{
    unsigned i;

    leave(d, line);
    for (i = 0; d->order[i]; i++) {
        continue;
    }
    d->order[i] = line + 1;
}

void order_used(World *w, unsigned dev, unsigned line)
{
    GhostDev *d = &w->g->dev[dev];

    if (observed(w) && !(d->nt & 1 << line)) {
        to_front(d, line);
    }
}

void order_came(World *w, unsigned dev, unsigned line, bool nt)
{
    GhostDev *d = &w->g->dev[dev];

    if (!observed(w)) {
        return;
    }
    if (nt) {
        d->nt |= 1 << line;
        to_back(d, line);
    } else {
        to_front(d, line);
    }
}

void order_done(World *w, unsigned dev, unsigned line)
{
    GhostDev *d = &w->g->dev[dev];

    if (observed(w) && d->nt & 1 << line) {
        to_back(d, line);
    }
}

/* Victims of a device's cache */

static bool same_set(const World *w, unsigned a, unsigned b)
{
    unsigned sets = w->cfg->cache_lines / w->cfg->cache_ways;

    return a % sets == b % sets;
}

unsigned order_crowd(const World *w, unsigned dev, unsigned line)
{
    unsigned l, n = 0;

    for (l = 0; l < w->cfg->lines; l++) {
        n += same_set(w, l, line) && w->before[dev][l] != CXL_CACHE_I;
    }
    return n;
}

static bool may_leave(const World *w, unsigned dev, unsigned line)
{
    return w->before[dev][line] != CXL_CACHE_I &&
           cxl_cache_may(w->before[dev][line], CXL_CACHE_P_STABLE);
}

/* The line that should leave for @line, -1 for none */
static int right_victim(const World *w, unsigned dev, unsigned line)
{
    const GhostDev *d = &w->g->dev[dev];
    int i;

    if (w->before[dev][line] != CXL_CACHE_I ||
        order_crowd(w, dev, line) < w->cfg->cache_ways) {
        return -1;
    }
    for (i = 0; !observed(w) && i < w->cfg->lines; i++) {
        if (same_set(w, i, line) && may_leave(w, dev, i)) {
            return i;
        }
    }
    for (i = LINES - 1; observed(w) && i >= 0; i--) {
        int l = d->order[i] - 1;

        if (l >= 0 && same_set(w, l, line) && may_leave(w, dev, l)) {
            return l;
        }
    }
    return -1;
}

void order_check_victim(World *w, unsigned dev, unsigned line, bool must)
{
    int right = right_victim(w, dev, line), left = -1, l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (l != line && w->before[dev][l] !=
                         cxl_cache_dev_state(w->dev[dev], l)) {
            left = l;
        }
    }
    if (left >= 0 && left != right) {
        world_broken(w, "R1", "L%d leaves for L%u, which %s", left, line,
                     right < 0 ? "has room" :
                     "another one was not used for longer");
    }
    if (left < 0 && right >= 0 && must) {
        world_broken(w, "R1", "L%d does not leave for L%u", right, line);
    }
}

/* Victims of the snoop filter */

static bool same_sf_set(const World *w, unsigned a, unsigned b)
{
    const CXLCacheHomeConfig *c = &w->cfg->home;
    unsigned sets = c->sf_lines / c->sf_ways;

    return a % sets == b % sets;
}

static uint8_t back_invalidations(const World *w)
{
    uint8_t lines = 0;
    unsigned i;

    for (i = 0; i < w->home->num_tx; i++) {
        const CXLCacheTx *tx = &w->home->tx[i];

        if (tx->phase != CXL_CACHE_TX_FREE &&
            tx->kind == CXL_CACHE_TX_BACK_INV) {
            lines |= 1 << tx->line;
        }
    }
    return lines;
}

void order_stock(World *w)
{
    unsigned i;

    w->tracked = w->busy = 0;
    for (i = 0; i < w->cfg->lines; i++) {
        w->tracked |= !!cxl_cache_home_tracks(w->home, i, NULL) << i;
    }
    for (i = 0; i < w->home->num_tx; i++) {
        if (w->home->tx[i].phase != CXL_CACHE_TX_FREE &&
            w->home->tx[i].op != CXL_CACHE_CACHE_FLUSHED) {
            w->busy |= 1 << w->home->tx[i].line;
        }
    }
    w->back_inv = back_invalidations(w);
}

static void check_sf_victim(World *w, unsigned victim)
{
    unsigned l, tracked = 0, unused = 0;

    for (l = 0; l < w->cfg->lines; l++) {
        if (same_sf_set(w, l, victim) && w->tracked & 1 << l) {
            tracked++;
            unused += !(w->busy & 1 << l) && !w->g->line[l].used;
        }
    }
    if (tracked < w->cfg->home.sf_ways || w->busy & 1 << victim) {
        world_broken(w, "R1", "L%u leaves the snoop filter, which %s", victim,
                     w->busy & 1 << victim ? "is busy with it" : "has room");
    }
    if (unused && w->g->line[victim].used) {
        world_broken(w, "R1", "L%u leaves the snoop filter, another one was "
                     "not used lately", victim);
    }
    for (l = 0; l < w->cfg->lines && !unused; l++) {
        w->g->line[l].used &= !same_sf_set(w, l, victim);
    }
}

void order_settle(World *w)
{
    uint8_t begun = back_invalidations(w) & ~w->back_inv;
    unsigned d, l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (begun & 1 << l) {
            check_sf_victim(w, l);
        }
        if (!cxl_cache_home_tracks(w->home, l, NULL)) {
            w->g->line[l].used = false;
        }
        for (d = 0; observed(w) && d < w->devs; d++) {
            if (cxl_cache_dev_state(w->dev[d], l) == CXL_CACHE_I) {
                leave(&w->g->dev[d], l);
                w->g->dev[d].nt &= ~(1 << l);
            }
        }
    }
}
