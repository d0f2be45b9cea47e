/*
 * CXL.cache: the fast gear against messages, after any history
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two worlds of the same random shape live through the same random history:
 * requests, evicts, stores, host accesses, memory that changes, devices that
 * die, messages that are left on their way. Now and then one has something done
 * by the gear, and the other by messages: see cxl-cache-twin.h. Nothing may
 * ever tell them apart.
 *
 * Seed: CXL_CACHE_SEED in the environment, else the test program's --seed.
 * Steps: CXL_CACHE_OPS; ten million with -m slow, else a small part of it.
 */

#include "qemu/osdep.h"
#include "cxl-cache-twin.h"

#define PAGES   3
#define LIFE    2000            /* steps of a pair of worlds */
#define MEM     (CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE | \
                 CXL_CACHE_MEM_CACHEABLE)

typedef struct Run {
    Twin *t;
    unsigned hot;               /* where most happens */
    unsigned span;
    unsigned calm;              /* of 64 steps so many end with a quiet link */
    bool rough;                 /* devices and memory fail */
    uint64_t value;
} Run;

/* A world of some shape */

#define PICK(t, ...) \
    (((const unsigned[]) { __VA_ARGS__ })[twin_below((t), \
        sizeof((unsigned[]) { __VA_ARGS__ }) / sizeof(unsigned))])

static WorldConfig any_config(Twin *t)
{
    WorldConfig cfg = { .devs = 1 + twin_below(t, 3) };
    unsigned sf_ways = PICK(t, 1, 2, 4, 8, 16);
    unsigned deep = PICK(t, 1, 3, 9);

    cfg.ram_lines = PAGES * CXL_CACHE_PAGE_LINES + twin_below(t, 2) * 10;
    cfg.dev = (CXLCacheDevConfig) {
        .ways = PICK(t, 1, 2, 3, 4, 8, 16),
        .requests = PICK(t, 1, 2, 5, 16, 100),
        .clean_evict = twin_below(t, 2) ? CXL_CACHE_CLEAN_NOTIFY
                                        : twin_below(t, 3),
        .snp_data_invalidates = twin_below(t, 2),
    };
    cfg.dev.size = CXL_CACHE_LINE_SIZE * cfg.dev.ways *
                   PICK(t, 1, 2, 5, 8, 16, 32, 48, 64, 64);
    cfg.home = (CXLCacheHomeConfig) {
        .sf_ways = sf_ways,
        .sf_lines = sf_ways * PICK(t, 1, 4, 16, 32, 64, 64),
        .transactions = PICK(t, 2, 3, 8, 70),
        .forward_dirty = twin_below(t, 2),
        .pull_clean = twin_below(t, 2),
    };
    cfg.link.flit = CXL_CACHE_FLIT_256B;
    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = 1 + twin_below(t, deep);
    }
    return cfg;
}

static Run *run_new(uint64_t seed)
{
    Twin shape = { .rng = (seed + 1) * 0x9e3779b97f4a7c15ULL };
    Run *r = g_new0(Run, 1);
    WorldConfig cfg;

    /* The first numbers of similar seeds are similar. */
    for (int i = 0; i < 8; i++) {
        world_random(&shape.rng);
    }
    cfg = any_config(&shape);
    r->span = PICK(&shape, 2, 8, 24, 64);
    r->hot = twin_below(&shape, PAGES) * CXL_CACHE_PAGE_LINES +
             twin_below(&shape, CXL_CACHE_PAGE_LINES - r->span + 1);
    r->calm = PICK(&shape, 64, 60, 32);
    r->rough = twin_below(&shape, 2);
    r->t = twin_new(&cfg);
    r->t->seed = seed;
    r->t->rng = shape.rng;
    return r;
}

/* What happens, in both worlds */

static unsigned below(Run *r, unsigned n)
{
    return twin_below(r->t, n);
}

/* Beyond memory now and then */
static unsigned any_line(Run *r)
{
    return below(r, 8) ? r->hot + below(r, r->span) :
           below(r, r->t->w[0]->cfg.ram_lines + 1);
}

static unsigned any_dev(Run *r)
{
    return below(r, r->t->w[0]->cfg.devs);
}

static uint64_t any_enables(Run *r)
{
    return below(r, 3) ? CXL_CACHE_BE_ALL : world_random(&r->t->rng);
}

static void request(Run *r)
{
    static const uint8_t ops[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_OWN,
        CXL_CACHE_RD_SHARED, CXL_CACHE_RD_SHARED, CXL_CACHE_RD_ANY,
        CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR,
        CXL_CACHE_CL_FLUSH, CXL_CACHE_CLEAN_EVICT, CXL_CACHE_DIRTY_EVICT,
        CXL_CACHE_CLEAN_EVICT_NO_DATA, CXL_CACHE_WO_WR_INV,
        CXL_CACHE_WO_WR_INV_F, CXL_CACHE_WR_INV, CXL_CACHE_CACHE_FLUSHED,
    };
    CXLCacheLineData data = world_data(r->value++);
    unsigned dev = any_dev(r);
    CXLCacheReq req = {
        .line = world_line(any_line(r)),
        .be = any_enables(r),
        .data = &data,
        .opcode = ops[below(r, ARRAY_SIZE(ops))],
        .nt = below(r, 4) == 0,
        .poison = below(r, 64) == 0,
    };
    int ret[2];

    for (int i = 0; i < 2; i++) {
        ret[i] = cxl_cache_dev_request(r->t->w[i]->dev[dev], &req);
    }
    twin_same(r->t, ret[0], ret[1]);
}

/* What a device does with its own lines */
static void local(Run *r)
{
    unsigned dev = any_dev(r), what = below(r, 8);
    uint64_t line = world_line(any_line(r)), be = any_enables(r);
    CXLCacheLineData data = world_data(r->value++), old[2] = { };
    int ret[2];

    for (int i = 0; i < 2; i++) {
        CXLCacheDev *d = r->t->w[i]->dev[dev];

        ret[i] = what < 3 ? cxl_cache_dev_write(d, line, &data, be) :
                 what < 4 ? cxl_cache_dev_stage(d, line, &data) :
                 what < 5 ? cxl_cache_dev_drop(d, line) :
                 what < 6 ? cxl_cache_dev_read(d, line, &old[i], NULL) :
                            cxl_cache_dev_evict(d, line);
    }
    twin_same(r->t, ret[0], ret[1]);
    twin_same(r->t, memcmp(&old[0], &old[1], sizeof(old[0])), 0);
}

static void host(Run *r)
{
    CXLCacheLineData data = world_data(r->value++);
    CXLCacheHostReq req = {
        .line = world_line(any_line(r)),
        .be = below(r, 2) ? any_enables(r) : 0,
        .data = &data,
        .op = below(r, CXL_CACHE_NUM_HOST_OPS),
        .poison = below(r, 64) == 0,
    };
    int ret[2];

    for (int i = 0; i < 2; i++) {
        ret[i] = cxl_cache_home_host(r->t->w[i]->home, &req);
    }
    twin_same(r->t, ret[0], ret[1]);
}

/* One page is made good, or something of it bad. */
static void memory(Run *r)
{
    unsigned page = below(r, 4) ? r->hot / CXL_CACHE_PAGE_LINES
                                : below(r, PAGES);
    unsigned first = page * CXL_CACHE_PAGE_LINES;
    unsigned one = first + below(r, CXL_CACHE_PAGE_LINES);
    unsigned what = r->rough ? below(r, 16) : 8 + below(r, 8);
    unsigned mem = below(r, MEM + 1);

    for (int i = 0; i < 2; i++) {
        WorldLine *ram = r->t->w[i]->ram;

        for (unsigned n = first; n < first + CXL_CACHE_PAGE_LINES; n++) {
            ram[n].decode = what == 0 ? mem : MEM;
            ram[n].poison = ram[n].pinned = false;
            ram[n].fails = 0;
        }
        ram[one].poison = what == 1;
        ram[one].pinned = what == 2 || what == 8;
        ram[one].fails = what == 3 ? WORLD_FAIL_READ :
                         what == 4 ? WORLD_FAIL_WRITE : 0;
        ram[one].decode = what == 5 ? mem : ram[one].decode;
    }
}

/* A device that comes, goes or dies; sometimes it does not notice. */
static void life(Run *r)
{
    unsigned dev = any_dev(r), what = below(r, 8);
    bool notice = below(r, 4);
    int ret[2];

    for (int i = 0; i < 2; i++) {
        World *w = r->t->w[i];
        int number = twin_number(w, dev);

        ret[i] = number;
        if (number < 0) {
            ret[i] = cxl_cache_home_attach(w->home, w->link[dev]);
        } else if (what < 2) {
            cxl_cache_home_detach(w->home, number);
        } else if (what < 7) {
            ret[i] = cxl_cache_home_isolate(w->home, number);
        } else {
            cxl_cache_home_reset(w->home);
            for (unsigned k = 0; k < w->cfg.devs; k++) {
                cxl_cache_link_reset(w->link[k]);
                cxl_cache_dev_reset(w->dev[k]);
            }
        }
        if (notice) {
            cxl_cache_link_reset(w->link[dev]);
            cxl_cache_dev_reset(w->dev[dev]);
        }
    }
    twin_same(r->t, ret[0], ret[1]);
}

/* A device's moods; they pass. */
static void mood(Run *r)
{
    unsigned dev = any_dev(r), what = below(r, 16);
    int ret[2] = { 0, 0 };

    for (int i = 0; i < 2; i++) {
        World *w = r->t->w[i];

        for (unsigned k = 0; k < w->cfg.devs; k++) {
            cxl_cache_dev_set_viral(w->dev[k], k == dev && what == 0);
            cxl_cache_dev_set_caching(w->dev[k], k != dev || what != 1);
            w->link[k]->hold_credits = k == dev && what == 2;
        }
        if (what == 3) {
            cxl_cache_link_return_credits(w->link[dev],
                                          r->value % CXL_CACHE_NUM_CHANNELS);
        } else if (what < 8 || w->dev[dev]->flush) {
            ret[i] = cxl_cache_dev_flush(w->dev[dev]);
        }
    }
    twin_same(r->t, ret[0], ret[1]);
}

/* One message */
static void step(Run *r)
{
    unsigned dev = any_dev(r), channel = below(r, CXL_CACHE_NUM_CHANNELS + 2);
    int ret[2];

    for (int i = 0; i < 2; i++) {
        World *w = r->t->w[i];
        int number = twin_number(w, dev);

        ret[i] = channel >= CXL_CACHE_H2D_REQ &&
                 channel < CXL_CACHE_NUM_CHANNELS ?
                 cxl_cache_dev_rx(w->dev[dev], channel) :
                 channel == CXL_CACHE_NUM_CHANNELS ?
                 cxl_cache_dev_tx(w->dev[dev]) :
                 channel > CXL_CACHE_NUM_CHANNELS ?
                 cxl_cache_home_tx(w->home) :
                 number >= 0 && cxl_cache_home_rx(w->home, number, channel);
    }
    twin_same(r->t, ret[0], ret[1]);
}

/* A range that is mostly of one page; of a recall some of its lines */
static void gear(Run *r)
{
    unsigned line = any_line(r);
    unsigned left = CXL_CACHE_PAGE_LINES - line % CXL_CACHE_PAGE_LINES;
    TwinGear g = {
        .kind = below(r, TWIN_KINDS),
        .dev = any_dev(r),
        .line = world_line(line),
        .n = below(r, 4) ? 1 + below(r, MIN(left, r->span)) :
             below(r, 16) ? 1 + below(r, left) :
             1 + below(r, CXL_CACHE_PAGE_LINES),
        .lines = world_random(&r->t->rng),
        .op = below(r, CXL_CACHE_NUM_HOST_OPS),
        .value = r->value,
    };

    r->value += g.n;
    g.lines &= below(r, 2) ? world_random(&r->t->rng) : UINT64_MAX;
    twin_gear(r->t, &g);
}

static void next(Run *r)
{
    static const struct {
        const char *name;
        void (*happens)(Run *r);
        unsigned share;
    } events[] = {
        { "gear", gear, 24 }, { "request", request, 12 },
        { "local", local, 12 }, { "host", host, 6 }, { "step", step, 6 },
        { "memory", memory, 3 }, { "mood", mood, 1 },
    };
    unsigned at = below(r, 64), i = 0;

    while (at >= events[i].share) {
        at -= events[i++].share;
    }
    r->t->what = events[i].name;
    r->t->step++;
    events[i].happens(r);
    if (r->rough && below(r, 128) == 0) {
        r->t->what = "life";
        life(r);
    }
    if (below(r, 64) < r->calm) {
        r->t->what = "run";
        twin_run(r->t);
    }
    twin_compare(r->t);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

/* A gear that does nothing is always right: it must have stood for each. */
static void check_sent(uint64_t (*sent)[CXL_CACHE_D2H_REQ_CODES], uint64_t ops)
{
    static const struct {
        CXLCacheChannelId channel;
        uint8_t opcode;
    } some[] = {
        { CXL_CACHE_D2H_REQ, CXL_CACHE_RD_CURR },
        { CXL_CACHE_D2H_REQ, CXL_CACHE_RD_OWN_NO_DATA },
        { CXL_CACHE_D2H_REQ, CXL_CACHE_I_TO_M_WR },
        { CXL_CACHE_D2H_REQ, CXL_CACHE_DIRTY_EVICT },
        { CXL_CACHE_D2H_REQ, CXL_CACHE_CLEAN_EVICT_NO_DATA },
        { CXL_CACHE_H2D_REQ, CXL_CACHE_SNP_DATA },
        { CXL_CACHE_H2D_REQ, CXL_CACHE_SNP_INV },
        { CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_S_HIT_SE },
        { CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_I_HIT_I },
        { CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_I_HIT_SE },
        { CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_S_FWD_M },
        { CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_I_FWD_M },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(some); i++) {
        uint64_t n = sent[some[i].channel][some[i].opcode];

        g_test_message("%" PRIu64 " %s", n,
                       cxl_cache_opcode_name(some[i].channel, some[i].opcode));
        g_assert_cmpuint(n, >, ops / 20000);
    }
}

static void test_random(void)
{
    uint64_t sent[CXL_CACHE_NUM_CHANNELS][CXL_CACHE_D2H_REQ_CODES] = { };
    uint64_t ops = env_number("CXL_CACHE_OPS", g_test_slow() ? 10000000
                                                             : 500000);
    uint64_t seed = env_number("CXL_CACHE_SEED", (uint32_t)g_test_rand_int());
    uint64_t done[TWIN_KINDS] = { }, none[TWIN_KINDS] = { }, beside = 0;

    g_test_message("CXL_CACHE_SEED=%" PRIu64, seed);
    for (uint64_t n = 0; n < ops; n += LIFE) {
        Run *r = run_new(seed++);

        for (unsigned i = 0; i < LIFE; i++) {
            next(r);
        }
        for (int k = 0; k < TWIN_KINDS; k++) {
            done[k] += r->t->done[k];
            none[k] += r->t->none[k];
        }
        beside += r->t->beside;
        for (int c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
            for (int op = 0; op < CXL_CACHE_D2H_REQ_CODES; op++) {
                sent[c][op] += r->t->sent[c][op];
            }
        }
        twin_free(r->t);
        g_free(r);
    }
    for (int k = 0; k < TWIN_KINDS; k++) {
        g_test_message("%d: %" PRIu64 " lines, %" PRIu64 " calls for nothing",
                       k, done[k], none[k]);
        g_assert_cmpuint(done[k], >, ops / 50);
    }
    g_test_message("%" PRIu64 " lines beside others' messages", beside);
    g_assert_cmpuint(beside, >, ops / 2000);
    check_sent(sent, ops);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-cache/gear-random", test_random);
    return g_test_run();
}
