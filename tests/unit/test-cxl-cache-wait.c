/*
 * CXL.cache: devices that answer late, or never
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Channels that stand still; what the host says that it waits for; time-outs at
 * their time; isolation, with copies and without, wherever the answer is stuck.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"
#include "hw/cxl/cxl_cache_gear.h"

#define V1 0x101
#define V2 0x102
#define ALL CXL_CACHE_BE_ALL
#define L 100               /* latency */
#define T 5000              /* time-out */

static const CXLCacheTiming plain = { .latency = L };

/* A link with time, and one without */
static World *wait_world(unsigned devs, bool timed)
{
    WorldConfig cfg = world_config(devs);

    cfg.link.timing = timed ? &plain : NULL;
    return world_new(&cfg);
}

static void hold(World *w, unsigned dev, unsigned channels)
{
    cxl_cache_link_hold(w->link[dev], channels);
}

/* What has been prepared is over: the clock has come as far as the link. */
static uint64_t begin(World *w)
{
    cxl_cache_settle(w->home);
    w->clock = cxl_cache_time(w->home);
    world_clear(w);
    return w->clock;
}

static void at(World *w, uint64_t clock)
{
    w->clock = clock;
    cxl_cache_run(w->home);
}

/* The host waits for one thing of the device, or for nothing. */
static void check_wait(World *w, unsigned dev, CXLCacheAwaited awaited,
                       unsigned line, uint64_t since, int by)
{
    CXLCacheWait wait;

    g_assert_cmpuint(cxl_cache_home_waits(w->home, dev, &wait, 1), ==, 1);
    g_assert_cmpint(wait.awaited, ==, awaited);
    g_assert_cmphex(wait.line, ==, world_line(line));
    g_assert_cmpuint(wait.since, ==, since);
    g_assert_cmpint(wait.by, ==, by);
}

static void check_no_wait(World *w, unsigned dev)
{
    CXLCacheWait wait;

    g_assert_cmpuint(cxl_cache_home_waits(w->home, dev, &wait, 1), ==, 0);
    g_assert_cmpuint(cxl_cache_deadline(w->home), ==, UINT64_MAX);
}

/* Time-outs that were told of */
static struct {
    unsigned n;
    unsigned dev;
    uint64_t now;
    unsigned poisoned;
    unsigned rescued;
} told;

static void note_timeout(World *w, unsigned dev)
{
    told.n++;
    told.dev = dev;
    told.now = cxl_cache_time(w->home);
}

static void isolate_at_timeout(World *w, unsigned dev)
{
    note_timeout(w, dev);
    told.poisoned += cxl_cache_home_isolate(w->home, dev);
    cxl_cache_dev_reset(w->dev[dev]);
}

static void rescue_at_timeout(World *w, unsigned dev)
{
    note_timeout(w, dev);
    told.rescued += cxl_cache_home_rescue(w->home, dev);
    cxl_cache_dev_reset(w->dev[dev]);
}

static void hear_timeouts(World *w, void (*on_timeout)(World *w, unsigned dev))
{
    memset(&told, 0, sizeof(told));
    w->on_timeout = on_timeout;
}

/* ---- Channels that stand still ---- */

static const struct {
    CXLCacheChannelId channel;
    CXLCacheAwaited awaited;
} stuck[] = {
    { CXL_CACHE_H2D_REQ, CXL_CACHE_AWAITS_RSP },
    { CXL_CACHE_D2H_RSP, CXL_CACHE_AWAITS_RSP },
    { CXL_CACHE_D2H_DATA, CXL_CACHE_AWAITS_DATA },
};

/* The answer to a snoop is late: it is good all the same. */
static void test_late(void)
{
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(stuck); i++) {
        CXLCacheChannelId channel = stuck[i / 2].channel;
        World *w = wait_world(2, i % 2);
        uint64_t t;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        t = begin(w);
        hold(w, 0, 1 << channel);
        g_assert_true(cxl_cache_is_timed(w->home));
        g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
        at(w, t + 1000 * L);
        cxl_cache_settle(w->home);
        check_wait(w, 0, stuck[i / 2].awaited, 0, i % 2 ? t + L :
                   cxl_cache_time(w->home), 1);
        g_assert_cmpuint(cxl_cache_link_used(&w->link[0]->ch[channel]), ==, 1);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 1);
        /* The device does all else. */
        g_assert_cmphex(world_value(&world_do(w, 0, CXL_CACHE_RD_CURR, 1,
                                              0)->data), ==, WORLD_V0 + 1);
        hold(w, 0, 0);
        g_assert_cmpint(cxl_cache_is_timed(w->home), ==, i % 2);
        cxl_cache_settle(w->home);
        check_no_wait(w, 0);
        g_assert_cmphex(world_load(w, 1, 0), ==, V1);
        world_free(w);
    }
}

/* The fast gear does not go past a channel that stands still. */
static void test_gear(void)
{
    WorldConfig cfg = world_config(2);
    CXLCacheLineData data;
    World *w;

    cfg.pages = true;
    cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    g_assert_cmpuint(cxl_cache_page_read(w->dev[0], world_line(0), 1, &data),
                     ==, 1);
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA);
    g_assert_cmpuint(cxl_cache_page_read(w->dev[0], world_line(0), 1, &data),
                     ==, 0);
    hold(w, 0, 0);
    world_free(w);
}

/* What the host waits for: several at once; the CPU; a pull; a credit */
static void test_waits(void)
{
    WorldConfig cfg = world_config(1);
    CXLCacheWait waits[3];
    uint64_t t;
    World *w;

    cfg.link.timing = &plain;
    cfg.link.depth[CXL_CACHE_H2D_REQ] = 2;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 4; i++) {
        world_make(w, 0, i, CXL_CACHE_M, V1 + i);
    }
    t = begin(w);
    hold(w, 0, 1 << CXL_CACHE_H2D_REQ | 1 << CXL_CACHE_D2H_DATA);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 3, 0, ALL), >=, 0);
    for (unsigned i = 0; i < 3; i++) {
        w->clock = t + i;
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, i, 0, 0), ==, 0);
    }
    at(w, t + 10 * L);
    g_assert_cmpuint(cxl_cache_home_waits(w->home, 0, waits, 2), ==, 4);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmphex(waits[i].line, ==, world_line(i));
        g_assert_cmpuint(waits[i].since, ==, t + i);
        g_assert_cmpint(waits[i].by, ==, -1);
        g_assert_cmpint(waits[i].awaited, ==, CXL_CACHE_AWAITS_RSP);
    }
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA);
    at(w, t + 20 * L);
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA | 1 << CXL_CACHE_H2D_REQ);
    at(w, t + 30 * L);
    g_assert_cmpuint(cxl_cache_home_waits(w->home, 0, waits, 3), ==, 4);
    g_assert_cmpint(waits[0].awaited, ==, CXL_CACHE_AWAITS_DATA);
    hold(w, 0, 0);
    cxl_cache_settle(w->home);
    check_no_wait(w, 0);
    g_assert_cmphex(world_ram(w, 3), ==, V1 + 3);

    /* Two buffers for snoops */
    for (unsigned i = 5; i < 8; i++) {
        world_make(w, 0, i, CXL_CACHE_M, V1);
    }
    begin(w);
    hold(w, 0, 1 << CXL_CACHE_H2D_REQ);
    for (unsigned i = 5; i < 8; i++) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, i, 0, 0), ==,
                        0);
    }
    g_assert_cmpuint(cxl_cache_home_waits(w->home, 0, waits, 3), ==, 3);
    g_assert_cmpint(waits[1].awaited, ==, CXL_CACHE_AWAITS_RSP);
    g_assert_cmpint(waits[2].awaited, ==, CXL_CACHE_AWAITS_CREDIT);
    hold(w, 0, 0);
    cxl_cache_settle(w->home);

    /* The data of a write that the host has pulled */
    t = begin(w);
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_I_TO_M_WR, 4, V2, ALL), >=, 0);
    at(w, t + 10 * L);
    check_wait(w, 0, CXL_CACHE_AWAITS_PULL, 4, t + L, 0);
    hold(w, 0, 0);
    cxl_cache_settle(w->home);
    g_assert_cmphex(world_ram(w, 4), ==, V2);
    world_free(w);
}

/* A pull is the device's whose data they are, and begins after the snoops. */
static void test_pull(void)
{
    World *w = wait_world(2, true);
    CXLCacheWait wait;
    uint64_t t;

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    t = begin(w);
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA);
    hold(w, 1, 1 << CXL_CACHE_D2H_RSP);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_I_TO_M_WR, 0, V2, ALL), >=, 0);
    at(w, t + 10 * L);
    check_wait(w, 1, CXL_CACHE_AWAITS_RSP, 0, t + L, 0);
    g_assert_cmpuint(cxl_cache_home_waits(w->home, 0, &wait, 1), ==, 0);
    hold(w, 1, 0);
    at(w, t + 20 * L);
    at(w, t + 30 * L);
    check_wait(w, 0, CXL_CACHE_AWAITS_PULL, 0, t + 20 * L, 0);
    check_no_wait(w, 1);
    hold(w, 0, 0);
    cxl_cache_settle(w->home);
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    world_free(w);
}

/* ---- Time-outs ---- */

/*
 * A device that has taken the snoop and says nothing: no channel stands still,
 * no link has time.
 */
static void test_silent(void)
{
    World *w = world_of_peers(1);
    uint64_t t;

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    t = begin(w);
    hear_timeouts(w, isolate_at_timeout);
    cxl_cache_home_set_timeout(w->home, 0, T);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    g_assert_nonnull(cxl_cache_link_peek(w->link[0], CXL_CACHE_H2D_REQ));
    cxl_cache_link_pop(w->link[0], CXL_CACHE_H2D_REQ);
    at(w, t);
    at(w, t + T - 1);
    g_assert_cmpuint(told.n, ==, 0);
    at(w, t + T);
    g_assert_cmpuint(told.n, ==, 1);
    g_assert_true(w->ram[0].poison);
    cxl_cache_home_set_timeout(w->home, 0, 0);
    world_free(w);
}

/* Each is told of at its time, once, however late the engine is called. */
static void test_timeout(void)
{
    for (unsigned i = 0; i < 4; i++) {
        World *w = wait_world(1, i % 2);
        bool late = i / 2;
        uint64_t t;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        world_make(w, 0, 1, CXL_CACHE_M, V2);
        t = begin(w);
        hear_timeouts(w, note_timeout);
        cxl_cache_home_set_timeout(w->home, 0, T);
        hold(w, 0, 1 << CXL_CACHE_H2D_REQ);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
        at(w, t + T - 1);
        g_assert_cmpuint(told.n, ==, 0);
        g_assert_cmpuint(cxl_cache_deadline(w->home), ==, t + T);
        at(w, late ? t + 9 * T : t + T);
        g_assert_cmpuint(told.n, ==, 1);
        g_assert_cmpuint(told.now, ==, t + T);
        g_assert_cmpuint(cxl_cache_deadline(w->home), ==, UINT64_MAX);
        at(w, t + 10 * T);
        g_assert_cmpuint(told.n, ==, 1);
        /* It is waited for all the same; what is asked now has its own. */
        check_wait(w, 0, CXL_CACHE_AWAITS_RSP, 0, t, -1);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 1, 0, 0), ==, 0);
        at(w, t + 11 * T - 1);
        g_assert_cmpuint(told.n, ==, 1);
        at(w, t + 11 * T);
        g_assert_cmpuint(told.n, ==, 2);
        g_assert_cmpuint(told.now, ==, t + 11 * T);
        hold(w, 0, 0);
        cxl_cache_settle(w->home);
        g_assert_cmphex(world_ram(w, 0), ==, V1);
        g_assert_cmphex(world_ram(w, 1), ==, V2);
        cxl_cache_home_set_timeout(w->home, 0, 0);
        world_free(w);
    }
}

/* A device that is just slow has answered by then, or not, to the ns. */
static void test_slow(void)
{
    for (unsigned early = 0; early < 2; early++) {
        World *w = wait_world(1, true);
        uint64_t t;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        t = begin(w);
        hear_timeouts(w, isolate_at_timeout);
        cxl_cache_home_set_timeout(w->home, 0, 2 * L - early);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
        /* The answer comes at 2 L, and this is after both. */
        at(w, t + 100 * L);
        g_assert_cmpuint(told.n, ==, early);
        g_assert_cmpint(w->ram[0].poison, ==, early);
        g_assert_cmphex(world_ram(w, 0), ==, early ? WORLD_V0 : V1);
        w->num_errors = 0;
        cxl_cache_home_set_timeout(w->home, 0, 0);
        world_free(w);
    }
}

/* Who cannot wait goes on to the time-out; who settles does not. */
static void test_advance(void)
{
    World *w = wait_world(1, true);
    uint64_t t;

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    t = begin(w);
    hear_timeouts(w, isolate_at_timeout);
    hold(w, 0, 1 << CXL_CACHE_D2H_RSP);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(cxl_cache_advance(w->home), ==, 0);
    cxl_cache_home_set_timeout(w->home, 0, T);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(told.n, ==, 0);
    g_assert_cmpuint(w->num_done, ==, 0);
    while (cxl_cache_advance(w->home)) {
        /* As long as there is anything to wait for */
    }
    g_assert_cmpuint(told.n, ==, 1);
    g_assert_cmpuint(cxl_cache_time(w->home), ==, t + T);
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_true(w->done[0].h.poison);
    hold(w, 0, 0);
    cxl_cache_home_set_timeout(w->home, 0, 0);
    world_free(w);
}

/* ---- Isolation ---- */

/* What is stuck where: the line, and what the device was about to do with it */
typedef struct Loss {
    const char *name;
    CXLCacheChannelId channel;
    bool evict;
} Loss;

static const Loss losses[] = {
    { "snoop", CXL_CACHE_H2D_REQ, false },
    { "response", CXL_CACHE_D2H_RSP, false },
    { "data", CXL_CACHE_D2H_DATA, false },
    { "evict", CXL_CACHE_D2H_DATA, true },
};

/* Device 0 stands still since @t, with a line that device 1 wants, until T */
static void lose(World *w, const Loss *loss, uint64_t t)
{
    cxl_cache_home_set_timeout(w->home, 0, T);
    hold(w, 0, 1 << loss->channel);
    if (loss->evict) {
        world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0, ALL);
        at(w, t + 2 * L);
    }
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    at(w, w->clock);
    at(w, t + 2 * T);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(told.n, ==, 1);
}

/* Without copies the line is lost, and who wants it is told so. */
static void test_isolate(void)
{
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(losses); i++) {
        World *w = wait_world(2, i % 2);
        const WorldDone *done;
        uint64_t t;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        world_make(w, 0, 1, CXL_CACHE_M, V2);
        t = begin(w);
        hear_timeouts(w, isolate_at_timeout);
        lose(w, &losses[i / 2], t);
        g_assert_cmpuint(told.poisoned, ==, 2);
        g_assert_true(w->ram[0].poison);
        g_assert_true(w->ram[1].poison);
        g_assert_true(cxl_cache_link_idle(w->link[0]));
        check_no_wait(w, 0);
        done = &w->done[w->num_done - 1];
        g_assert_cmpuint(done->dev, ==, 1);
        g_assert_true(done->d.poison);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
        hold(w, 0, 0);
        cxl_cache_home_set_timeout(w->home, 0, 0);
        world_free(w);
    }
}

/* With copies nothing is: wherever the data are */
static void test_rescue(void)
{
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(losses); i++) {
        World *w = wait_world(2, i % 2);
        uint64_t t;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        world_make(w, 0, 1, CXL_CACHE_M, V2);
        world_make(w, 0, 2, CXL_CACHE_E, 0);
        t = begin(w);
        hear_timeouts(w, rescue_at_timeout);
        lose(w, &losses[i / 2], t);
        g_assert_cmpuint(told.rescued, ==, 2);
        g_assert_cmphex(world_load(w, 1, 0), ==, V1);
        g_assert_cmphex(world_ram(w, 1), ==, V2);
        for (unsigned n = 0; n < 3; n++) {
            g_assert_false(w->ram[n].poison);
        }
        hold(w, 0, 0);
        cxl_cache_home_set_timeout(w->home, 0, 0);
        /* It may come back. */
        world_do(w, 0, CXL_CACHE_RD_OWN, 1, 0);
        g_assert_cmphex(world_load(w, 0, 1), ==, V2);
        world_free(w);
    }
}

/* A write that the host has pulled: its data are rescued as well. */
static void test_rescue_write(void)
{
    World *w = wait_world(1, true);
    CXLCacheLineData before = w->ram[0].data;
    uint64_t t = begin(w);

    hear_timeouts(w, rescue_at_timeout);
    cxl_cache_home_set_timeout(w->home, 0, T);
    hold(w, 0, 1 << CXL_CACHE_D2H_DATA);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_WR_INV, 0, V1, 0xff), >=, 0);
    at(w, t + 2 * T);
    g_assert_cmpuint(told.rescued, ==, 1);
    g_assert_cmpmem(&w->ram[0].data, 8, &(uint64_t) { V1 }, 8);
    /* ... and no other bytes */
    g_assert_cmpmem(&w->ram[0].data.b[8], 56, &before.b[8], 56);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    hold(w, 0, 0);
    cxl_cache_home_set_timeout(w->home, 0, 0);
    world_free(w);
}

/* What others have, and what else they wait for, is left alone. */
static void test_others(void)
{
    World *w = wait_world(3, true);
    uint64_t t;

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_make(w, 1, 1, CXL_CACHE_M, V2);
    world_make(w, 2, 2, CXL_CACHE_M, V2);
    t = begin(w);
    hear_timeouts(w, isolate_at_timeout);
    for (unsigned i = 0; i < 3; i++) {
        cxl_cache_home_set_timeout(w->home, i, T * (i + 1));
    }
    hold(w, 0, 1 << CXL_CACHE_H2D_REQ);
    hold(w, 1, 1 << CXL_CACHE_H2D_REQ);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, i, 0, 0), ==, 0);
    }
    at(w, t + T);
    g_assert_cmpuint(told.n, ==, 1);
    g_assert_cmpuint(told.dev, ==, 0);
    g_assert_false(w->ram[1].poison);
    g_assert_cmphex(world_ram(w, 2), ==, V2);
    check_wait(w, 1, CXL_CACHE_AWAITS_RSP, 1, t, -1);
    hold(w, 1, 0);
    at(w, t + 9 * T);
    g_assert_cmpuint(told.n, ==, 1);
    g_assert_cmphex(world_ram(w, 1), ==, V2);
    hold(w, 0, 0);
    for (unsigned i = 0; i < 3; i++) {
        cxl_cache_home_set_timeout(w->home, i, 0);
    }
    world_free(w);
}

static const WorldTest tests[] = {
    { "late", test_late },
    { "gear", test_gear },
    { "waits", test_waits },
    { "pull", test_pull },
    { "silent", test_silent },
    { "timeout", test_timeout },
    { "slow", test_slow },
    { "advance", test_advance },
    { "isolate", test_isolate },
    { "rescue", test_rescue },
    { "rescue-write", test_rescue_write },
    { "others", test_others },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/wait/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
