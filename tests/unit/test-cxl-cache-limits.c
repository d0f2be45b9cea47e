/*
 * CXL.cache: what keeps one device from having all
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A rate, credits of requests, and noisy neighbours: what a device gets through
 * alone, beside one that floods the host, and beside the same with a limit.
 * Quotas and groups by themselves are in test-cxl-cache.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"
#include "hw/cxl/cache/internal.h"

#define ALL CXL_CACHE_BE_ALL
#define V1 0x101
#define L 100
#define NS_PER_S 1000000000ULL

static const CXLCacheTiming plain = { .latency = L };

static World *timed_world(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    cfg.link.timing = &plain;
    return world_new(&cfg);
}

static unsigned at(World *w, uint64_t clock)
{
    w->clock = clock;
    return cxl_cache_run(w->home);
}

static void set_rate(World *w, unsigned dev, uint64_t rate, unsigned burst)
{
    CXLCacheLimits limits = { .rate = rate, .burst = burst };

    cxl_cache_home_set_limits(w->home, dev, &limits);
}

static const CXLCacheWaits *waits(World *w, unsigned dev, CXLCacheLimit limit)
{
    return &cxl_cache_home_stats(w->home)->waits[dev][limit];
}

static void ask(World *w, unsigned dev, unsigned opcode, unsigned n)
{
    g_assert_cmpint(world_ask(w, dev, opcode, n, V1, ALL), >=, 0);
}

/* ---- Rate ---- */

/* When the token of request @i is there, of a bucket that was full at 0 */
static uint64_t token_at(unsigned i, uint64_t rate, unsigned burst)
{
    return i < burst ? 0 :
           ((i - burst + 1) * NS_PER_S + rate - 1) / rate;
}

/* Links without time: what waits has its token to the nanosecond. */
static void test_rate(void)
{
    static const struct {
        uint64_t rate;
        unsigned burst;
    } cases[] = {
        { 10000000, 1 }, { 10000000, 5 }, { 7, 1 }, { 333333333, 3 },
        { 3000000000, 2 }, { 1, 4 },
    };

    for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
        World *w = world(1);
        uint64_t waited = 0;

        set_rate(w, 0, cases[c].rate, cases[c].burst);
        g_assert_true(cxl_cache_is_timed(w->home));
        for (unsigned i = 0; i < 16; i++) {
            ask(w, 0, CXL_CACHE_RD_CURR, i);
        }
        for (unsigned i = 0; i < 16; i++) {
            uint64_t t = token_at(i, cases[c].rate, cases[c].burst);

            if (t > w->clock) {
                at(w, t - 1);
                g_assert_cmpuint(w->num_done, ==, i);
                g_assert_cmpuint(cxl_cache_next(w->home), ==, t);
                /* It is the oldest from when the one before it was taken. */
                waited += t - token_at(i - 1, cases[c].rate, cases[c].burst);
            }
            at(w, t);
            g_assert_cmpuint(w->num_done, >, i);
        }
        g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
        g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->ns, ==, waited);
        world_free(w);
    }
}

/* No token is lost, and none is made: 10^5 requests at 3 in 10 ns or so */
static void test_rate_long(void)
{
    const uint64_t rate = 299999999;
    WorldConfig cfg = world_config(1);
    World *w;
    unsigned n = 0;

    cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    set_rate(w, 0, rate, 1);
    while (n < 100000) {
        if (world_ask(w, 0, CXL_CACHE_CL_FLUSH, n % 16, 0, ALL) >= 0) {
            n++;
        } else {
            cxl_cache_advance(w->home);
        }
    }
    cxl_cache_settle(w->home);
    g_assert_cmpuint(cxl_cache_time(w->home), ==, token_at(n - 1, rate, 1));
    world_free(w);
}

/* A bucket that is not used is full, and no more than that. */
static void test_burst(void)
{
    World *w = world(1);

    set_rate(w, 0, NS_PER_S / 100, 3);
    at(w, 1000000);
    for (unsigned i = 0; i < 5; i++) {
        ask(w, 0, CXL_CACHE_RD_CURR, i);
    }
    at(w, 1000000);
    g_assert_cmpuint(w->num_done, ==, 3);
    at(w, 1000099);
    g_assert_cmpuint(w->num_done, ==, 3);
    at(w, 1000200);
    g_assert_cmpuint(w->num_done, ==, 5);
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->requests, ==, 2);
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->ns, ==, 200);

    /* It fills by one in 100 ns. */
    at(w, 1000400);
    for (unsigned i = 0; i < 5; i++) {
        ask(w, 0, CXL_CACHE_RD_CURR, 8 + i);
    }
    at(w, 1000400);
    g_assert_cmpuint(w->num_done, ==, 7);
    cxl_cache_settle(w->home);
    world_free(w);
}

/* What gives lines up needs no token, and neither does a neighbour. */
static void test_exempt(void)
{
    World *w = world(2);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_make(w, 0, 1, CXL_CACHE_E, 0);
    world_make(w, 0, 2, CXL_CACHE_S, 0);
    set_rate(w, 0, 1, 1);
    world_do(w, 0, CXL_CACHE_RD_CURR, 3, 0);
    world_clear(w);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(i)), ==, 0);
        at(w, 0);
        g_assert_cmpint(world_state(w, 0, i), ==, CXL_CACHE_I);
    }
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    while (cxl_cache_dev_flush(w->dev[0]) == -EAGAIN) {
        g_assert_cmpuint(at(w, 0), >, 0);
    }
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->requests, ==, 0);

    ask(w, 0, CXL_CACHE_RD_CURR, 4);
    world_clear(w);
    for (unsigned i = 0; i < 8; i++) {
        ask(w, 1, CXL_CACHE_RD_OWN, 4 + i % 2);
        at(w, 0);
        world_store(w, 1, 4 + i % 2, V1);
        g_assert_cmpint(cxl_cache_dev_evict(w->dev[1], world_line(4 + i % 2)),
                        ==, 0);
        at(w, 0);
    }
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
    g_assert_cmpuint(waits(w, 1, CXL_CACHE_LIMIT_RATE)->requests, ==, 0);
    /* The host's own accesses go on, too. */
    ask(w, 1, CXL_CACHE_RD_OWN, 5);
    at(w, 0);
    world_clear(w);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 5, 0, 0), ==, 0);
    at(w, 0);
    g_assert_cmpint(world_state(w, 1, 5), ==, CXL_CACHE_I);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 1);
    cxl_cache_settle(w->home);
    world_free(w);
}

/* A request that waits for its line's transaction has not had its token yet. */
static void test_no_double(void)
{
    World *w = timed_world(2);

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    cxl_cache_settle(w->home);
    w->clock = cxl_cache_time(w->home);
    set_rate(w, 0, NS_PER_S / 1000, 2);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    ask(w, 0, CXL_CACHE_RD_CURR, 0);
    ask(w, 0, CXL_CACHE_RD_CURR, 1);
    at(w, w->clock + 4 * L);
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->requests, ==, 0);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
    cxl_cache_settle(w->home);
    world_free(w);
}

static void test_change(void)
{
    World *w = world(1);
    uint64_t t;

    /* A rate that is raised, or ends, is so for what waits already. */
    set_rate(w, 0, 1, 1);
    for (unsigned i = 0; i < 4; i++) {
        ask(w, 0, CXL_CACHE_RD_CURR, i);
    }
    at(w, 0);
    at(w, 1000);
    g_assert_cmpuint(w->num_done, ==, 1);
    set_rate(w, 0, NS_PER_S / 10, 1);
    at(w, 1000);
    g_assert_cmpuint(w->num_done, ==, 2);
    at(w, 1010);
    g_assert_cmpuint(w->num_done, ==, 3);
    set_rate(w, 0, 0, 0);
    g_assert_false(cxl_cache_is_timed(w->home));
    g_assert_false(w->home->limits);
    cxl_cache_run(w->home);
    g_assert_cmpuint(w->num_done, ==, 4);
    /* From 0 to 1000, and from there to 1010 */
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->ns, ==, 1010);
    world_clear(w);

    /* Another limit that changes leaves the bucket as it is. */
    set_rate(w, 0, 1, 1);
    t = w->clock;
    ask(w, 0, CXL_CACHE_RD_CURR, 0);
    at(w, t);
    cxl_cache_home_set_limits(w->home, 0,
        &(CXLCacheLimits) { .rate = 1, .burst = 1, .quota = 4 });
    ask(w, 0, CXL_CACHE_RD_CURR, 1);
    at(w, t + NS_PER_S - 1);
    g_assert_cmpuint(w->num_done, ==, 1);
    at(w, t + NS_PER_S);
    g_assert_cmpuint(w->num_done, ==, 2);
    world_free(w);
}

/* Who dies, or is reset with the host, waits no more, and begins anew. */
static void test_lost(void)
{
    for (unsigned reset = 0; reset < 2; reset++) {
        World *w = world(2);

        set_rate(w, 0, 1, 1);
        ask(w, 0, CXL_CACHE_RD_CURR, 0);
        ask(w, 0, CXL_CACHE_RD_CURR, 1);
        at(w, 10);
        g_assert_cmpuint(cxl_cache_next(w->home), ==, 10 + NS_PER_S);
        if (reset) {
            cxl_cache_home_reset(w->home);
        } else {
            cxl_cache_home_isolate(w->home, 0);
        }
        cxl_cache_dev_reset(w->dev[0]);
        g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
        cxl_cache_settle(w->home);
        g_assert_cmpuint(cxl_cache_time(w->home), ==, 10);
        world_monitor_free(w->monitor);
        w->monitor = world_monitor_new(2, w->cfg.ram_lines);
        w->num_done = 0;
        ask(w, 0, CXL_CACHE_RD_CURR, 2);
        ask(w, 0, CXL_CACHE_RD_CURR, 3);
        at(w, 10);
        g_assert_cmpuint(w->num_done, ==, 1);
        at(w, 10 + NS_PER_S);
        g_assert_cmpuint(w->num_done, ==, 2);

        /* With the device goes its rate, and what was counted. */
        cxl_cache_home_detach(w->home, 0);
        g_assert_false(cxl_cache_is_timed(w->home));
        g_assert_cmpint(cxl_cache_home_attach(w->home, w->link[0]), ==, 0);
        g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->requests, ==, 0);
        world_free(w);
    }
}

/* Who cannot wait takes tokens of the future, and nobody's time goes ahead. */
static void test_hurry(void)
{
    World *w = world(2);

    set_rate(w, 0, 10, 1);
    set_rate(w, 1, 10, 1);
    at(w, 5);
    for (unsigned i = 0; i < 3; i++) {
        ask(w, 0, CXL_CACHE_RD_CURR, i);
        ask(w, 1, CXL_CACHE_RD_CURR, 8 + i);
    }
    at(w, 5);
    g_assert_cmpuint(w->num_done, ==, 2);
    cxl_cache_home_hurry(w->home, CXL_CACHE_DEV_MAX);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(w->num_done, ==, 2);
    cxl_cache_home_hurry(w->home, 0);
    cxl_cache_settle(w->home);
    cxl_cache_home_hurry(w->home, -1);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 2);
    g_assert_cmpuint(cxl_cache_time(w->home), ==, 5);

    /* Three have been taken, the other device's next is there in 100 ms. */
    ask(w, 0, CXL_CACHE_RD_CURR, 4);
    world_clear(w);
    at(w, 100000005);
    g_assert_cmpuint(w->num_done, ==, 1);
    at(w, 300000004);
    g_assert_cmpuint(w->num_done, ==, 2);
    at(w, 300000005);
    g_assert_cmpuint(w->num_done, ==, 3);
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_RATE)->requests, ==, 2);
    world_free(w);
}

/* A quota where time comes from another device's rate: links have none. */
static void test_quota_and_rate(void)
{
    World *w = world(2);

    set_rate(w, 1, 1, 1);
    cxl_cache_home_set_limits(w->home, 0, &(CXLCacheLimits) { .quota = 2 });
    for (unsigned i = 0; i < 6; i++) {
        ask(w, 0, CXL_CACHE_RD_SHARED, i);
        at(w, 5);
        g_assert_cmpint(world_state(w, 0, i), ==, CXL_CACHE_S);
    }
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_LINES)->requests, ==, 4);
    g_assert_cmpuint(cxl_cache_time(w->home), ==, 5);
    world_free(w);
}

/* How long a quota kept requests waiting: a snoop, there and back */
static void test_quota_time(void)
{
    World *w = timed_world(1);

    cxl_cache_home_set_limits(w->home, 0, &(CXLCacheLimits) { .quota = 2 });
    for (unsigned i = 0; i < 5; i++) {
        ask(w, 0, CXL_CACHE_RD_SHARED, i);
        cxl_cache_settle(w->home);
    }
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_LINES)->requests, ==, 3);
    g_assert_cmpuint(waits(w, 0, CXL_CACHE_LIMIT_LINES)->ns, ==, 3 * 2 * L);
    world_free(w);
}

/* ---- Credits ---- */

static unsigned ask_all(World *w, unsigned dev, unsigned first)
{
    unsigned n = 0;

    while (first + n < w->cfg.ram_lines &&
           world_ask(w, dev, CXL_CACHE_RD_CURR, first + n, 0, ALL) >= 0) {
        n++;
    }
    return n;
}

static void test_credits(void)
{
    for (unsigned timed = 0; timed < 2; timed++) {
        World *w = timed ? timed_world(1) : world(1);
        CXLCacheLink *link = w->link[0];
        CXLCacheChannel *ch = &link->ch[CXL_CACHE_D2H_REQ];

        /* Credits that are out are kept when they come back. */
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 3);
        g_assert_cmpuint(ch->credits, ==, 16);
        world_do(w, 0, CXL_CACHE_RD_CURR, 0, 0);
        for (unsigned i = 0; i < 15; i++) {
            ask(w, 0, CXL_CACHE_RD_CURR, i % 16);
        }
        cxl_cache_settle(w->home);
        world_check_always(w);
        g_assert_cmpuint(ask_all(w, 0, 0), ==, 3);
        g_assert_cmpuint(ch->depth, ==, 3);
        g_assert_cmpuint(link->stats->stalled[CXL_CACHE_D2H_REQ], >=, 1);
        cxl_cache_settle(w->home);

        /* More are there a latency later; never more than buffers */
        w->clock = cxl_cache_time(w->home);
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 100);
        world_check_always(w);
        if (timed) {
            at(w, w->clock + L - 1);
            g_assert_cmpuint(ch->credits, ==, 3);
            at(w, w->clock + 1);
            g_assert_cmpuint(ch->credits, ==, 16);
        }
        g_assert_cmpuint(ask_all(w, 0, 0), ==, 16);
        cxl_cache_settle(w->home);

        /* Less, and then not */
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 1);
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 5);
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 0);
        g_assert_cmpuint(ch->owed, ==, 0);
        g_assert_cmpuint(ask_all(w, 0, 0), ==, 16);
        cxl_cache_settle(w->home);

        /* A link that comes up has what is granted. */
        cxl_cache_link_grant(link, CXL_CACHE_D2H_REQ, 2);
        cxl_cache_link_reset(link);
        g_assert_cmpuint(ch->credits, ==, 2);
        g_assert_cmpuint(ask_all(w, 0, 0), ==, 2);
        cxl_cache_settle(w->home);
        world_free(w);
    }
}

/* ---- Wires ---- */

/* Behind one port: who comes later waits, as long as others are there, too. */
static void test_one_wire(void)
{
    /* 10 ns a slot */
    const CXLCacheTiming timing = { .latency = L, .bandwidth = 1700000000 };
    const CXLCacheTiming other = { .latency = L, .bandwidth = 1700000001 };
    WorldConfig cfg = world_config(3);
    CXLCacheLinkConfig bad;
    World *w;

    cfg.link.timing = &timing;
    cfg.link.flit = CXL_CACHE_FLIT_68B;
    cfg.one_wire = true;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 3; i++) {
        ask(w, i, CXL_CACHE_RD_CURR, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(cxl_cache_next(w->home), ==, L + 10 * (i + 1));
        at(w, L + 10 * (i + 1));
    }
    for (unsigned i = 0; i < 3; i++) {
        uint64_t due = L + 10 + 50 * (i + 1) + L;

        at(w, due - 1);
        g_assert_cmpuint(w->num_done, ==, i);
        at(w, due);
        g_assert_cmpuint(w->num_done, ==, i + 1);
    }
    cxl_cache_settle(w->home);

    /* The first goes, and what the second has on the wire does not. */
    w->clock = cxl_cache_time(w->home);
    ask(w, 1, CXL_CACHE_RD_CURR, 3);
    cxl_cache_home_isolate(w->home, 0);
    ask(w, 2, CXL_CACHE_RD_CURR, 4);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, w->clock + L + 10);
    at(w, w->clock + L + 10);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, w->clock + 10);
    cxl_cache_settle(w->home);

    bad = cfg.link;
    bad.beside = w->link[1];
    bad.timing = &other;
    g_assert_null(cxl_cache_link_new(&bad));
    bad.timing = NULL;
    g_assert_null(cxl_cache_link_new(&bad));
    bad.timing = &timing;
    bad.flit = CXL_CACHE_FLIT_256B;
    g_assert_null(cxl_cache_link_new(&bad));
    world_free(w);
}

/* ---- Noisy neighbours ---- */

typedef struct Noise {
    bool noisy;
    bool one_wire;
    CXLCacheLimits limits;      /* of the noisy one */
    unsigned credits;
} Noise;

static unsigned victims_done;

static void count_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    victims_done += dev == 1;
}

#define NOISE_NS    200000
#define FLOOD_LINES 256
#define FLOOD_AT_ONCE 256

/*
 * Device 0 writes as fast as it can, device 1 reads, 4 lines at a time. A write
 * is a transaction until its data have come: device 0 has all that there are.
 * On one wire its data stand in the way as well.
 *
 * Returns: reads in NOISE_NS
 */
static unsigned reads_beside_flood(const Noise *noise)
{
    WorldConfig cfg = world_config(2);
    unsigned next[2] = { };
    World *w;

    static const CXLCacheTiming wires = {
        .latency = L, .bandwidth = 8000000000,
    };

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = FLOOD_AT_ONCE;
    }
    cfg.link.timing = &wires;
    cfg.one_wire = noise->one_wire;
    cfg.home.transactions = 64;
    cfg.dev.requests = FLOOD_AT_ONCE;
    cfg.ram_lines = 2 * FLOOD_LINES;
    cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    w->on_done = count_done;
    victims_done = 0;
    cxl_cache_home_set_limits(w->home, 0, &noise->limits);
    cxl_cache_link_grant(w->link[0], CXL_CACHE_D2H_REQ, noise->credits);
    cxl_cache_link_reset(w->link[0]);
    while (cxl_cache_time(w->home) < NOISE_NS) {
        while (noise->noisy &&
               world_ask(w, 0, CXL_CACHE_WO_WR_INV_F,
                         next[0] % FLOOD_LINES, V1, ALL) >= 0) {
            next[0]++;
        }
        while (cxl_cache_dev_outstanding(w->dev[1]) < 4 &&
               world_ask(w, 1, CXL_CACHE_RD_CURR,
                         FLOOD_LINES + next[1] % FLOOD_LINES, 0, ALL) >= 0) {
            next[1]++;
        }
        cxl_cache_advance(w->home);
    }
    cxl_cache_settle(w->home);
    world_free(w);
    return victims_done;
}

/*
 * A flood of requests: with a rate, and with few credits, it is none. Where
 * transactions alone are what is short, turns are enough.
 */
static void test_noisy_requests(void)
{
    const Noise alone = { .one_wire = true };
    const Noise flood = { .noisy = true, .one_wire = true };
    const Noise rate = {
        .noisy = true, .one_wire = true,
        .limits = { .rate = 5000000, .burst = 4 },
    };
    const Noise few = { .noisy = true, .one_wire = true, .credits = 2 };
    const Noise apart = { }, turns = { .noisy = true };
    double a = reads_beside_flood(&alone);
    double f = reads_beside_flood(&flood) / a;
    double r = reads_beside_flood(&rate) / a;
    double c = reads_beside_flood(&few) / a;
    double t = (double)reads_beside_flood(&turns) /
               reads_beside_flood(&apart);

    g_test_message("%.0f reads alone; beside a flood %.3f of it, with a rate "
                   "%.3f, with 2 credits %.3f; with wires of their own %.3f",
                   a, f, r, c, t);
    g_assert_cmpfloat(f, <, 0.5);
    g_assert_cmpfloat(r, >=, 0.9);
    g_assert_cmpfloat(c, >=, 0.9);
    g_assert_cmpfloat(t, >=, 0.9);
}

/* ---- Turns ---- */

#define TURN_DEVS   4
#define TURN_NS     50000

static unsigned turns_done[TURN_DEVS];

static void count_turn(World *w, unsigned dev, const CXLCacheDone *done)
{
    turns_done[dev]++;
}

/*
 * Where transactions are what is short, every device that asks all the time
 * gets as many as another, whatever its number. Links have time, or only the
 * rate of another device has, or nothing has.
 */
static void test_turns(void)
{
    static const CXLCacheTiming wires = { .latency = L };

    for (unsigned timed = 0; timed < 3; timed++) {
        WorldConfig cfg = world_config(TURN_DEVS);
        unsigned least = UINT_MAX, most = 0;
        World *w;

        cfg.link.timing = timed == 2 ? &wires : NULL;
        cfg.home.transactions = 2;
        cfg.ram_lines = 64 * TURN_DEVS;
        cfg.no_log = cfg.no_monitor = true;
        w = world_new(&cfg);
        w->on_done = count_turn;
        memset(turns_done, 0, sizeof(turns_done));
        if (timed == 1) {
            set_rate(w, TURN_DEVS - 1, NS_PER_S, 1);
        }
        for (unsigned i = 0; i < TURN_NS / L; i++) {
            for (unsigned d = 0; d < TURN_DEVS; d++) {
                unsigned line = 0;

                while (world_ask(w, d, CXL_CACHE_WO_WR_INV_F,
                                 64 * d + line++ % 64, V1, ALL) >= 0) {
                    /* As many as it can */
                }
            }
            at(w, i * L);
        }
        cxl_cache_settle(w->home);
        world_free(w);
        for (unsigned d = 0; d < TURN_DEVS - (timed == 1); d++) {
            least = MIN(least, turns_done[d]);
            most = MAX(most, turns_done[d]);
        }
        g_test_message("time %u: %u to %u each", timed, least, most);
        g_assert_cmpuint(least, >, 0);
        g_assert_cmpuint(most - least, <=, most / 10);
    }
}

#define SF_LINES    64
#define STREAM      (10 * SF_LINES)
#define VICTIM_SET  16
#define HIT_NS      10

/*
 * Device 0 reads lines one after the other and keeps them; device 1 reads its
 * VICTIM_SET again and again, in HIT_NS what it has.
 *
 * Returns: device 1's reads in NOISE_NS
 */
static unsigned reads_beside_stream(const Noise *noise)
{
    WorldConfig cfg = world_config(2);
    unsigned next = 0, i = 0, reads = 0;
    uint64_t hit_at = 0;
    bool missed = false;
    World *w;

    cfg.link.timing = &plain;
    cfg.home.sf_lines = SF_LINES;
    cfg.home.sf_ways = 8;
    cfg.dev.size = 1024 * CXL_CACHE_LINE_SIZE;
    cfg.dev.ways = 16;
    cfg.ram_lines = STREAM + VICTIM_SET;
    cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    cxl_cache_home_set_limits(w->home, 0, &noise->limits);
    while (w->clock < NOISE_NS) {
        while (noise->noisy &&
               world_ask(w, 0, CXL_CACHE_RD_SHARED, next % STREAM, 0,
                         ALL) >= 0) {
            next++;
        }
        if (w->clock >= hit_at && !cxl_cache_dev_outstanding(w->dev[1])) {
            reads += missed;
            missed = !cxl_cache_dev_read(w->dev[1],
                                         world_line(STREAM + i % VICTIM_SET),
                                         &(CXLCacheLineData) { }, NULL);
            if (!missed) {
                reads++;
                hit_at = w->clock + HIT_NS;
            } else {
                world_ask(w, 1, CXL_CACHE_RD_SHARED, STREAM + i % VICTIM_SET,
                          0, ALL);
            }
            i++;
        }
        at(w, w->clock + HIT_NS / 2);
    }
    cxl_cache_settle(w->home);
    world_free(w);
    return reads;
}

/* One that streams over 10 filter sizes, with a quota and without */
static void test_noisy_stream(void)
{
    const Noise alone = { }, stream = { .noisy = true };
    const Noise quota = { .noisy = true, .limits = { .quota = SF_LINES / 4 } };
    double a = reads_beside_stream(&alone);
    double s = reads_beside_stream(&stream) / a;
    double q = reads_beside_stream(&quota) / a;

    g_test_message("%.0f reads alone; beside a stream %.3f of it, with a quota "
                   "%.3f", a, s, q);
    g_assert_cmpfloat(s, <, 0.5);
    g_assert_cmpfloat(q, >=, 0.9);
}

static const WorldTest tests[] = {
    { "rate", test_rate },
    { "rate-long", test_rate_long },
    { "burst", test_burst },
    { "exempt", test_exempt },
    { "no-double", test_no_double },
    { "change", test_change },
    { "lost", test_lost },
    { "hurry", test_hurry },
    { "quota-and-rate", test_quota_and_rate },
    { "quota-time", test_quota_time },
    { "credits", test_credits },
    { "one-wire", test_one_wire },
    { "noisy-requests", test_noisy_requests },
    { "noisy-stream", test_noisy_stream },
    { "turns", test_turns },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/limits/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
