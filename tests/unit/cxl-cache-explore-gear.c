/*
 * State space search of CXL.cache: the fast gear, from every state
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In each state the gear is asked for everything that it can be asked for. What
 * it says it has done is then done by messages, in a copy of the state: both
 * have to come to the same. Where it does nothing the state is as it was.
 *
 * The observer of the search sees none of that: its rules are for messages.
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"
#include "cxl-cache-beside.h"

/* A call of the gear: lines from @first on, or those of a mask */
typedef struct Call {
    GearKind kind;
    unsigned dev;
    unsigned first;
    unsigned n;
    uint64_t lines;
    CXLCacheHostOp op;
} Call;

static const char *const kinds[NUM_GEAR_KINDS] = {
    [GEAR_READ] = "a read", [GEAR_OWN] = "ownership", [GEAR_WRITE] = "a write",
    [GEAR_PUT] = "a write through", [GEAR_EVICT] = "an evict",
    [GEAR_RECALL] = "a recall",
};

/* Memory as a page */

static bool page_get(void *opaque, CXLCachePage *page)
{
    World *w = opaque;

    if (page->line) {
        return false;
    }
    page->flags = w->cfg->decode[0];
    for (unsigned i = 0; i < w->cfg->lines; i++) {
        const GhostLine *l = &w->g->line[i];

        if (w->cfg->decode[i] != page->flags || l->ram_poison) {
            return false;
        }
        page->held |= (uint64_t)(l->access != CXL_CACHE_HOST_RW) << i;
        data_set(&w->page[i], i, l->ram[0], l->ram[1]);
    }
    page->mem = w->page;
    return true;
}

static bool page_access(void *opaque, const CXLCachePage *page, uint64_t lines,
                        CXLCacheHostAccess access)
{
    World *w = opaque;

    for (uint64_t m = lines; m; m &= m - 1) {
        const GhostLine *l = &w->g->line[__builtin_ctzll(m)];

        if (access < l->access && (l->pinned || w->cfg->may & MAY_REFUSE)) {
            return false;
        }
    }
    for (uint64_t m = lines; m; m &= m - 1) {
        w->g->line[__builtin_ctzll(m)].access = access;
    }
    return true;
}

static void page_written(void *opaque, const CXLCachePage *page,
                         uint64_t lines, CXLCacheWriteWhy why)
{
    World *w = opaque;

    for (uint64_t m = lines; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        if (!data_get(&w->page[i], i, w->g->line[i].ram)) {
            world_broken(w, "gear", "L%u is written with other data", i);
        }
    }
}

/* ... and line by line */

static bool line_read(void *opaque, uint64_t line, CXLCacheLineData *data,
                      bool *poison)
{
    const GhostLine *l = &((World *)opaque)->g->line[line];

    data_set(data, line, l->ram[0], l->ram[1]);
    *poison = l->ram_poison;
    return true;
}

static bool line_write(void *opaque, uint64_t line,
                       const CXLCacheLineData *data, uint64_t be, bool poison,
                       CXLCacheWriteWhy why)
{
    World *w = opaque;
    GhostLine *l = &w->g->line[line];

    if (be != CXL_CACHE_BE_ALL || !data_get(data, line, l->ram)) {
        world_broken(w, "gear", "by messages L%u is written with other data",
                     (unsigned)line);
    }
    l->ram_poison = poison;
    return true;
}

static void home_error(void *opaque, unsigned dev, CXLCacheError err,
                       CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    world_broken(opaque, "gear", "the home reports %s",
                 cxl_cache_error_name(err));
}

static void host_done(void *opaque, const CXLCacheHostDone *done)
{
    World *w = opaque;

    w->gear_ended = true;
    w->gear_bad = done->failed || done->poison;
}

static unsigned decode(void *opaque, uint64_t line)
{
    return ((World *)opaque)->cfg->decode[line];
}

static bool host_access(void *opaque, uint64_t line, CXLCacheHostAccess access)
{
    return page_access(opaque, NULL, 1ULL << line, access);
}

static const CXLCacheHomeOps home_ops = {
    .decode = decode,
    .read_line = line_read,
    .write_line = line_write,
    .host_access = host_access,
    .complete = host_done,
    .error = home_error,
    .page = page_get,
    .page_access = page_access,
    .page_written = page_written,
};

static void dev_done(void *opaque, const CXLCacheDone *done)
{
    World *w = ((WorldDev *)opaque)->w;

    w->gear_ended = true;
    w->gear_bad = done->failed || done->poison;
    if (done->data) {
        w->gear_data = *done->data;
    }
}

static void dev_error(void *opaque, CXLCacheError err,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    world_broken(((WorldDev *)opaque)->w, "gear", "a device reports %s",
                 cxl_cache_error_name(err));
}

static const CXLCacheDevOps dev_ops = {
    .complete = dev_done,
    .error = dev_error,
};

/* The observer is there or away. */

static void observe(World *w, bool on)
{
    w->home->ops = on ? &world_home_ops : &home_ops;
    w->home->seen = on ? world_cell_seen : NULL;
    for (unsigned i = 0; i < w->devs; i++) {
        w->dev[i]->ops = on ? &world_dev_ops : &dev_ops;
        w->link[i]->trace = on ? world_sent : NULL;
    }
}

/* Both ways */

static void fill(const World *w, const Call *c, CXLCacheLineData *data)
{
    for (unsigned i = 0; i < c->n; i++) {
        data_set(&data[i], c->first + i, PEND, PEND);
    }
}

static uint64_t by_gear(World *w, const Call *c, CXLCacheLineData *data)
{
    CXLCacheDev *dev = w->dev[c->dev];

    switch (c->kind) {
    case GEAR_READ:
        return cxl_cache_page_read(dev, c->first, c->n, data);
    case GEAR_OWN:
        return cxl_cache_page_own(dev, c->first, c->n);
    case GEAR_WRITE:
        return cxl_cache_page_write(dev, c->first, c->n, data);
    case GEAR_PUT:
        return cxl_cache_page_put(dev, c->first, c->n, data);
    case GEAR_EVICT:
        return cxl_cache_page_evict(dev, c->first, c->n);
    default:
        return cxl_cache_page_recall(w->home, c->first, c->lines, c->op);
    }
}

static bool ask(World *w, const Call *c, unsigned line, uint8_t opcode,
                const CXLCacheLineData *data)
{
    const CXLCacheReq req = { .line = line, .opcode = opcode, .data = data };

    w->gear_ended = false;
    if (cxl_cache_dev_request(w->dev[c->dev], &req) < 0) {
        return false;
    }
    beside_run(w->home, c->dev);
    return w->gear_ended && !w->gear_bad;
}

static bool read_line(World *w, const Call *c, unsigned line,
                      const CXLCacheLineData *got)
{
    bool poison = false;

    return (cxl_cache_dev_read(w->dev[c->dev], line, &w->gear_data, &poison) ||
            ask(w, c, line, CXL_CACHE_RD_CURR, NULL)) && !poison &&
           !memcmp(got, &w->gear_data, sizeof(*got));
}

static bool own_line(World *w, const Call *c, unsigned line)
{
    return cxl_cache_may(cxl_cache_dev_state(w->dev[c->dev], line),
                         CXL_CACHE_P_FILL) ||
           ask(w, c, line, CXL_CACHE_RD_OWN_NO_DATA, NULL);
}

static bool evict_line(World *w, const Call *c, unsigned line)
{
    if (cxl_cache_dev_evict(w->dev[c->dev], line)) {
        return false;
    }
    beside_run(w->home, c->dev);
    return cxl_cache_dev_state(w->dev[c->dev], line) == CXL_CACHE_I;
}

static bool recall_line(World *w, const Call *c, unsigned line)
{
    uint16_t devs = cxl_cache_home_tracks(w->home, line, NULL);
    const CXLCacheHostReq req = { .line = line, .op = c->op };

    w->gear_ended = false;
    if (cxl_cache_home_host(w->home, &req)) {
        return false;
    }
    if (!w->gear_ended) {
        beside_run(w->home, devs ? __builtin_ctz(devs) : -1);
    }
    return w->gear_ended && !w->gear_bad;
}

/* Returns whether messages can do it at all. */
static bool by_messages(World *w, const Call *c, unsigned line,
                        const CXLCacheLineData *data)
{
    switch (c->kind) {
    case GEAR_READ:
        return read_line(w, c, line, data);
    case GEAR_OWN:
        return own_line(w, c, line);
    case GEAR_WRITE:
        return cxl_cache_dev_write(w->dev[c->dev], line, data,
                                   CXL_CACHE_BE_ALL);
    case GEAR_PUT:
        return ask(w, c, line, CXL_CACHE_I_TO_M_WR, data);
    case GEAR_EVICT:
        return evict_line(w, c, line);
    default:
        return recall_line(w, c, line);
    }
}

/* The same by messages, from the same state; and that state again */
static bool same_by_messages(World *w, const Call *c, uint64_t done,
                             const CXLCacheLineData *data)
{
    bool can = !(done & ~(c->kind == GEAR_RECALL ? c->lines :
                          (1ULL << c->n) - 1));

    canon_save(w);
    memcpy(w->gear_to, w->image, w->size);
    canon_restore(w, w->gear_from);
    for (uint64_t m = can ? done : 0; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        can &= by_messages(w, c, c->first + i, &data[i]);
    }
    canon_save(w);
    canon_restore(w, w->gear_from);
    return can && !memcmp(w->image, w->gear_to, w->size);
}

static void compare(World *w, const Call *c)
{
    CXLCacheLineData data[LINES];
    uint64_t done;

    fill(w, c, data);
    done = by_gear(w, c, data);
    w->gear_done[c->kind] += !!done;
    if (done ? !same_by_messages(w, c, done, data) :
               !canon_same(w, w->gear_from)) {
        world_broken(w, "gear", "%s of %u lines from L%u on by device %u (host "
                     "%d, lines %x) comes to something else than %s",
                     kinds[c->kind], c->n, c->first, c->dev, c->op,
                     (unsigned)c->lines, done ? "messages" : "nothing");
    }
}

static void compare_runs(World *w, unsigned dev)
{
    for (GearKind kind = 0; kind < GEAR_RECALL; kind++) {
        for (unsigned first = 0; first < w->cfg->lines; first++) {
            for (unsigned n = 1; n <= w->cfg->lines - first; n++) {
                compare(w, &(Call) { kind, dev, first, n });
            }
        }
    }
}

void gear_check(World *w)
{
    const uint64_t all = (1ULL << w->cfg->lines) - 1;

    if (!w->gear_from) {
        w->gear_from = g_malloc(w->size);
        w->gear_to = g_malloc(w->size);
    }
    observe(w, false);
    canon_save(w);
    memcpy(w->gear_from, w->image, w->size);
    for (unsigned dev = 0; dev < w->devs && !w->broken; dev++) {
        compare_runs(w, dev);
    }
    for (CXLCacheHostOp op = 0; op < CXL_CACHE_NUM_HOST_OPS; op++) {
        for (uint64_t lines = 1; lines <= all && !w->broken; lines++) {
            compare(w, &(Call) { .kind = GEAR_RECALL, .lines = lines,
                                 .op = op });
        }
    }
    canon_restore(w, w->gear_from);
    observe(w, true);
}
