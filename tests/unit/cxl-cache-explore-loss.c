/*
 * State space search of CXL.cache: a device dies, everything is reset (R2)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device that dies is one step: it is isolated (CXL r3.1 section 12.3) and
 * comes back empty. It may do so in each state. A device that is dead and not
 * yet isolated is one that takes no step: the search has all of that, too.
 *
 * What only that device had is lost, and memory says so by poison; where it
 * can have had no more than memory, nothing is poisoned. From then on the last
 * value of the line is what memory has.
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

/* Data that are pulled from the device and would be written */
static bool owes_write(const GhostDev *d, unsigned line)
{
    unsigned i;

    for (i = 0; i < MAX_TX; i++) {
        const GhostPull *p = &d->pull[i];

        if (p->op && p->line == line && !req_rules[p->op].evict && !p->drop) {
            return true;
        }
    }
    return false;
}

static bool value_is_elsewhere(World *w, unsigned dev, unsigned line)
{
    unsigned d;

    if (!memcmp(w->g->line[line].ram, w->last[line], HALVES) ||
        canon_home_has(w, line)) {
        return true;
    }
    for (d = 0; d < w->devs; d++) {
        if (d != dev && answers_for(w, d, line,
                                    cxl_cache_dev_state(w->dev[d], line))) {
            return true;
        }
    }
    return false;
}

/* The host cannot know that nothing is lost. */
static bool may_have_newer(World *w, unsigned dev, unsigned line)
{
    const GhostSnoop *s = &w->g->dev[dev].snoop[line];
    bool excl;
    uint16_t tracked = cxl_cache_home_tracks(w->home, line, &excl);

    return (excl && tracked & 1 << dev) ||
           (s->op && s->flags & SNP_FWD && !(s->flags & SNP_DATA_SEEN));
}

/* The line's last value is what memory has. */
static void memory_is_right(World *w, unsigned line)
{
    GhostLine *l = &w->g->line[line];

    if (memcmp(l->ram, w->last[line], HALVES)) {
        memset(l->ram, world_fresh(w), HALVES);
        memcpy(w->last[line], l->ram, HALVES);
    }
    l->poison = l->ram_poison;
    rules_written(w, line);
}

void loss_poison(World *w, unsigned line)
{
    if (!(w->may_lose & 1 << line)) {
        world_broken(w, "R2", "L%u is poisoned, and nothing of it is lost",
                     line);
    }
    w->lost |= 1 << line;
    w->g->line[line].ram_poison = true;
    memory_is_right(w, line);
}

void loss_die(World *w, unsigned dev)
{
    const GhostDev *d = &w->g->dev[dev];
    unsigned l, poisoned, must = 0;

    w->may_lose = w->lost = 0;
    for (l = 0; l < w->cfg->lines; l++) {
        if (owes_write(d, l) || !value_is_elsewhere(w, dev, l)) {
            must |= 1 << l;
        }
        w->may_lose |= (must & 1 << l) | may_have_newer(w, dev, l) << l;
    }
    w->dying = true;
    poisoned = cxl_cache_home_isolate(w->home, dev);
    cxl_cache_dev_reset(w->dev[dev]);
    w->dying = false;
    w->may_lose = 0;
    for (l = 0; l < w->cfg->lines; l++) {
        if (must & ~w->lost & 1 << l) {
            world_broken(w, "R2", "L%u is lost with device %u, memory is not "
                         "poisoned", l, dev);
        }
        if (cxl_cache_home_tracks(w->home, l, NULL) & 1 << dev) {
            world_broken(w, "R2", "device %u is dead, L%u is tracked", dev,
                         l);
        }
    }
    if (poisoned != __builtin_popcount(w->lost)) {
        world_broken(w, "R2", "%u lines are poisoned, it says %u",
                     __builtin_popcount(w->lost), poisoned);
    }
    w->g->dev[dev] = (GhostDev) { 0 };
    canon_save(w);
    if (!canon_dev_is_new(w, dev)) {
        world_broken(w, "R2", "device %u is not as new", dev);
    }
}

void loss_reset(World *w)
{
    unsigned d, l;

    cxl_cache_home_reset(w->home);
    for (d = 0; d < w->devs; d++) {
        cxl_cache_dev_reset(w->dev[d]);
    }
    memset(w->g->dev, 0, sizeof(w->g->dev));
    for (l = 0; l < w->cfg->lines; l++) {
        GhostLine *line = &w->g->line[l];

        memory_is_right(w, l);
        line->host = line->host_op = line->due = line->due_poison = 0;
        if (line->access != CXL_CACHE_HOST_RW) {
            world_broken(w, "R2", "all is reset, the host may not use L%u",
                         l);
        }
    }
    canon_save(w);
    if (!canon_is_new(w)) {
        world_broken(w, "R2", "all is reset, and not as new");
    }
}
