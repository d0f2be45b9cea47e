/*
 * CXL.cache: one-line faults that other tests let pass
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each test is for a line of the protocol that was broken by others, without
 * any test noticing; scripts/mutate-cache.py breaks it again. All are item 20
 * of the project's list of faults met in the field.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define V1 0x77001ULL
#define V2 0x77002
#define ALL CXL_CACHE_BE_ALL
#define MANY 256

static uint16_t tracks(World *w, unsigned n)
{
    return cxl_cache_home_tracks(w->home, world_line(n), NULL);
}

/* Replacement */

static int ask_nt(World *w, unsigned opcode, unsigned n)
{
    int ret = cxl_cache_dev_request(w->dev[0], &(CXLCacheReq) {
        .line = world_line(n), .opcode = opcode, .nt = true });

    cxl_cache_run(w->home);
    return ret;
}

/* A line that was read with the NT hint is the next victim, used or not. */
static void test_nt_read_again(void)
{
    WorldConfig cfg = world_config(1);
    unsigned n;
    World *w;

    cfg.dev.size = 4 * CXL_CACHE_LINE_SIZE;
    w = world_new(&cfg);
    g_assert_cmpint(ask_nt(w, CXL_CACHE_RD_SHARED, 0), >=, 0);
    for (n = 1; n < 4; n++) {
        world_make(w, 0, n, CXL_CACHE_S, 0);
    }
    g_assert_cmphex(world_load(w, 0, 0), ==, WORLD_V0);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_SHARED, 8, 0, ALL), ==,
                    -EBUSY);
    cxl_cache_run(w->home);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    for (n = 1; n < 4; n++) {
        g_assert_cmpint(world_state(w, 0, n), ==, CXL_CACHE_S);
    }
    world_clear(w);
    world_free(w);
}

/* A device that dies in the middle of forwarding a modified line */

static World *forwarding(bool early)
{
    WorldConfig cfg = world_config(2);
    CXLCacheLineData data = world_data(V1);
    World *w;

    cfg.no_monitor = true;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    world_must(w, 1, CXL_CACHE_D2H_REQ);
    if (!early) {
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        return w;
    }
    /* Its data come first, by our hand. */
    g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_DATA,
        &(CXLCacheMsg) {
            .uqid = cxl_cache_link_peek(w->link[0], CXL_CACHE_H2D_REQ)->uqid,
            .be = ALL }, &data));
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    return w;
}

static void dies(bool early)
{
    World *w = forwarding(early);

    g_assert_cmpuint(cxl_cache_home_isolate(w->home, 0), ==, 1);
    cxl_cache_dev_reset(w->dev[0]);
    cxl_cache_run(w->home);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_true(w->done[0].d.poison);
    g_assert_cmphex(world_value(&w->done[0].data), ==, WORLD_V0);
    g_assert_true(w->ram[0].poison);
    g_assert_cmphex(tracks(w, 0), ==, 2);
    /* A snoop counts no more: it may come back and flush. */
    world_do(w, 0, CXL_CACHE_CACHE_FLUSHED, 0, 0);
    world_clear(w);
    world_free(w);
}

static void test_dies_after_response(void)
{
    dies(false);
}

static void test_dies_after_data(void)
{
    dies(true);
}

/* Memory */

/* It says that it can be read, and cannot when the device has its grant. */
static void test_read_fails(void)
{
    static const unsigned ops[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED, CXL_CACHE_RD_ANY,
        CXL_CACHE_RD_CURR,
    };

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(ops); i++) {
        bool shared = i & 1;
        World *w = world(2);
        WorldDone *done;

        if (shared) {
            world_make(w, 1, 0, CXL_CACHE_S, 0);
        }
        w->ram[0].fails = WORLD_FAIL_READ;
        done = world_do(w, 0, ops[i / 2], 0, 0);
        g_assert_true(done->d.failed);
        g_assert_cmphex(world_value(&done->data), ==, WORLD_ONES);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        g_assert_false(tracks(w, 0) & 1);
        if (!tracks(w, 0)) {
            g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
        }
        g_assert_cmpuint(world_take_errors(w, WORLD_HOST), ==, 1);
        world_clear(w);
        w->ram[0].fails = 0;
        g_assert_false(world_do(w, 0, ops[i / 2], 0, 0)->d.failed);
        world_clear(w);
        world_free(w);
    }
}

/* Poisoned writes of a part, by a device and by the host: that part only */
static void test_poisoned_part(void)
{
    CXLCacheLineData new = world_data(V2), want;

    for (unsigned i = 0; i < 6; i++) {
        bool host = i & 1;
        unsigned held = i / 2;
        World *w = world(2);

        if (held) {
            world_make(w, 1, 0, held == 1 ? CXL_CACHE_M : CXL_CACHE_S, V1);
        }
        want = world_data(held == 1 ? V1 : WORLD_V0);
        world_merge(&want, &new, 0xff00);
        if (host) {
            g_assert_cmpint(cxl_cache_home_host(w->home, &(CXLCacheHostReq) {
                .line = world_line(0), .be = 0xff00, .data = &new,
                .op = CXL_CACHE_HOST_WRITE, .poison = true }), ==, 0);
        } else {
            g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &(CXLCacheReq) {
                .line = world_line(0), .be = 0xff00, .data = &new,
                .opcode = CXL_CACHE_WR_INV, .poison = true }), >=, 0);
        }
        cxl_cache_run(w->home);
        g_assert_cmpmem(&w->ram[0].data, 64, &want, 64);
        g_assert_true(w->ram[0].poison);
        g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_I);
        world_clear(w);
        world_free(w);
    }
}

/* The host writes a whole line, known to be bad, over a modified one. */
static void test_poisoned_host_write(void)
{
    World *w = world(1);
    CXLCacheLineData new = world_data(V2);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(cxl_cache_home_host(w->home, &(CXLCacheHostReq) {
        .line = world_line(0), .be = ALL, .data = &new,
        .op = CXL_CACHE_HOST_WRITE, .poison = true }), ==, 0);
    cxl_cache_run(w->home);
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    g_assert_true(w->ram[0].poison);
    world_clear(w);
    /* And the reverse: what was bad is good again. */
    world_do(w, 0, CXL_CACHE_RD_OWN, 0, 0);
    world_host(w, CXL_CACHE_HOST_WRITE, 0, V1);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_false(w->ram[0].poison);
    world_clear(w);
    world_free(w);
}

/* Every set of byte enables of a word, at each word, into an owned line */
static void test_merge(void)
{
    World *w = world(1);
    /* No byte of the one is the other's. */
    CXLCacheLineData old = world_data(V1), new = world_data(~V1), want, have;

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    for (unsigned word = 0; word < 8; word++) {
        for (unsigned mask = 0; mask < 256; mask++) {
            uint64_t be = (uint64_t)mask << (8 * word);

            /* Its neighbours' as well, so that pieces meet */
            be |= mask & 1 ? 0x0100000000000080ULL : 0;
            g_assert_true(cxl_cache_dev_write(w->dev[0], world_line(0), &old,
                                              ALL));
            g_assert_true(cxl_cache_dev_write(w->dev[0], world_line(0), &new,
                                              be));
            want = old;
            world_merge(&want, &new, be);
            g_assert_true(cxl_cache_dev_read(w->dev[0], world_line(0), &have,
                                             NULL));
            g_assert_cmpmem(&have, 64, &want, 64);
        }
    }
    world_free(w);
}

/* What a device may do when it may do little */

static void test_caching_off_upgrade(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_S, 0);
    cxl_cache_dev_set_caching(w->dev[0], false);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN_NO_DATA, 0, 0, ALL), ==,
                    -EPERM);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_S);
    world_expect(w, "");
    world_free(w);
}

static void test_viral_evicts(void)
{
    static const struct {
        CXLCacheState state;
        unsigned opcode;
    } cases[] = {
        { CXL_CACHE_M, CXL_CACHE_DIRTY_EVICT },
        { CXL_CACHE_E, CXL_CACHE_CLEAN_EVICT },
        { CXL_CACHE_E, CXL_CACHE_CLEAN_EVICT_NO_DATA },
        { CXL_CACHE_S, CXL_CACHE_CLEAN_EVICT_NO_DATA },
        { CXL_CACHE_EN, CXL_CACHE_CLEAN_EVICT_NO_DATA },
        { CXL_CACHE_I, CXL_CACHE_CACHE_FLUSHED },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        World *w = world(1);
        bool dirty = cases[i].state == CXL_CACHE_M;

        world_make(w, 0, 0, cases[i].state, V1);
        cxl_cache_dev_set_viral(w->dev[0], true);
        g_assert_false(world_do(w, 0, cases[i].opcode, 0, 0)->d.failed);
        g_assert_cmphex(world_ram(w, 0), ==, dirty ? V1 : WORLD_V0);
        g_assert_cmphex(tracks(w, 0), ==, 0);
        world_clear(w);
        world_free(w);
    }
}

/* A flush goes back for what has come in behind it. */
static void test_flush_behind(void)
{
    WorldConfig cfg = world_config(1);
    unsigned turns = 0;
    World *w;

    cfg.link.depth[CXL_CACHE_D2H_REQ] = 1;
    w = world_new(&cfg);
    world_make(w, 0, 3, CXL_CACHE_M, V1);
    /* A line of the first set is asked for before the flush begins. */
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    while (cxl_cache_dev_flush(w->dev[0]) == -EAGAIN) {
        cxl_cache_run(w->home);
        g_assert_cmpuint(turns++, <, 100);
    }
    g_assert_cmpuint(cxl_cache_dev_states(w->dev[0])[CXL_CACHE_I], ==,
                     cxl_cache_dev_num_lines(w->dev[0]));
    g_assert_cmphex(world_ram(w, 3), ==, V1);
    world_clear(w);
    world_free(w);
}

/* Counters that run over */

static void test_order_wraps(void)
{
    for (uint32_t start = UINT32_MAX - 4; start != 2; start++) {
        World *w = world(1);

        for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
            w->link[0]->ch[i].head = w->link[0]->ch[i].tail = start;
        }
        /* One GO before it, and the snoop must not pass the other. */
        world_do(w, 0, CXL_CACHE_RD_OWN, 1, 0);
        world_clear(w);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 2, 0, ALL), >=, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==,
                        0);
        g_assert_false(world_step(w, 0, CXL_CACHE_H2D_REQ));
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        g_assert_false(world_step(w, 0, CXL_CACHE_H2D_REQ));
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        cxl_cache_run(w->home);
        world_expect(w, "0.RdOwn 0.RdOwn 0.GO-E 0.down 0.GO-E 0.down 0.SnpInv "
                     "0.RspIHitSE");
        world_free(w);
    }
}

/* More requests than fit in a word of a bitmap */

static World *world_of_many(void)
{
    WorldConfig cfg = world_config(1);

    cfg.ram_lines = MANY;
    cfg.dev.requests = cfg.home.transactions = MANY;
    cfg.dev.size = MANY * CXL_CACHE_LINE_SIZE;
    cfg.home.sf_lines = MANY;
    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = MANY;
    }
    return world_new(&cfg);
}

static void test_many_requests(void)
{
    static const unsigned ops[] = {
        CXL_CACHE_WR_INV, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WO_WR_INV_F,
        CXL_CACHE_RD_CURR,
    };
    World *w = world_of_many();
    bool used[MANY];

    for (unsigned round = 0; round < 2 * ARRAY_SIZE(ops); round++) {
        memset(used, 0, sizeof(used));
        for (unsigned n = 0; n < MANY; n++) {
            int cqid = world_ask(w, 0, ops[round / 2], n, V1 + round, ALL);

            g_assert_cmpint(cqid, >=, 0);
            g_assert_false(used[cqid]);
            used[cqid] = true;
        }
        g_assert_cmpint(world_ask(w, 0, ops[round / 2], 0, V1, ALL), ==,
                        -EAGAIN);
        for (unsigned n = 0; n < MANY; n++) {
            world_must(w, 0, CXL_CACHE_D2H_REQ);
        }
        /* All are under way at once, at the home as well. */
        g_assert_cmpuint(w->num_errors, ==, 0);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, MANY);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        if (round < 6) {
            for (unsigned n = 0; n < MANY; n++) {
                g_assert_cmphex(world_ram(w, n), ==, V1 + round);
            }
        }
        world_clear(w);
    }
    world_free(w);
}

/* A CQID that is in use is known to be, whatever its number. */
static void test_many_cqids(void)
{
    static const uint16_t cqids[] = { 1, 65, 129, 193, 255, 4095 };
    WorldConfig cfg = world_config(1);
    World *w;

    cfg.no_monitor = true;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(cqids); i++) {
        CXLCacheMsg msg = {
            .opcode = CXL_CACHE_WR_INV, .cqid = cqids[i / 2],
            .line = world_line(i),
        };

        cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_REQ, &msg, NULL);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        if (i % 2) {
            world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_ID_IN_USE);
        }
        g_assert_cmpuint(w->num_errors, ==, 0);
    }
    cxl_cache_home_isolate(w->home, 0);
    w->num_errors = 0;
    world_free(w);
}

/* Resets, with everything under way */

static void test_home_reset(void)
{
    WorldConfig cfg = world_config(2);
    World *w;

    cfg.no_monitor = true;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_make(w, 0, 1, CXL_CACHE_S, V1);
    /* A snoop is out, a pull, and an answer waits for its credit. */
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_WR_INV, 5, V2, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    w->link[1]->hold_credits = true;
    w->link[1]->ch[CXL_CACHE_H2D_DATA].credits = 0;
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_CURR, 6, V2, ALL), >=, 0);
    world_must(w, 1, CXL_CACHE_D2H_REQ);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 3);
    cxl_cache_home_reset(w->home);
    cxl_cache_dev_reset(w->dev[0]);
    cxl_cache_dev_reset(w->dev[1]);
    w->link[1]->hold_credits = false;
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 0);
    g_assert_cmpuint(cxl_cache_run(w->home), ==, 0);
    for (unsigned n = 0; n < 7; n++) {
        g_assert_cmpint(w->ram[n].access, ==, CXL_CACHE_HOST_RW);
    }
    /* Nothing is waited for, no ID is in use, every tracker is free. */
    for (unsigned dev = 0; dev < 2; dev++) {
        world_do(w, dev, CXL_CACHE_CACHE_FLUSHED, 0, 0);
        for (unsigned n = 0; n < 16; n++) {
            g_assert_cmpint(world_ask(w, dev, CXL_CACHE_WR_INV, n, V2, ALL),
                            >=, 0);
        }
        while (world_step(w, dev, CXL_CACHE_D2H_REQ)) {
            continue;
        }
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 16);
        cxl_cache_run(w->home);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    }
    world_clear(w);
    world_check_quiet(w);
    world_free(w);
}

/* A request that a reset ended is not in a line's way for ever. */
static void test_dev_reset(void)
{
    WorldConfig cfg = world_config(1);
    World *w;

    cfg.no_monitor = true;
    for (unsigned n = 0; n < 16; n++) {
        w = world_new(&cfg);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 20, 0, ALL), ==, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, n, 0, ALL), ==, 1);
        cxl_cache_home_isolate(w->home, 0);
        cxl_cache_dev_reset(w->dev[0]);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 21, 0, ALL), ==, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, n, 0, ALL), ==, 1);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, 2);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 22, 0, ALL), ==, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, n, 0, ALL), >=, 0);
        cxl_cache_run(w->home);
        g_assert_cmpint(world_state(w, 0, n), ==, CXL_CACHE_E);
        world_clear(w);
        world_free(w);
    }
}

/* Data that wait in a line are shown as such, as long as they do. */

static bool staged(World *w)
{
    CXLCacheSlot slot;

    for (unsigned i = 0; i < cxl_cache_dev_num_lines(w->dev[0]); i++) {
        if (cxl_cache_dev_slot(w->dev[0], i, &slot) && slot.staged) {
            return true;
        }
    }
    return false;
}

static void test_staged(void)
{
    CXLCacheLineData data = world_data(V1);

    /* 0: it is written, 1: given up, 2: snooped, 3: both, 4: reset */
    for (unsigned how = 0; how < 5; how++) {
        World *w = world(1);

        world_make(w, 0, 0, CXL_CACHE_EN, 0);
        g_assert_true(cxl_cache_dev_stage(w->dev[0], world_line(0), &data));
        g_assert_true(staged(w));
        if (how == 0) {
            world_store(w, 0, 0, V2);
        }
        if (how == 1 || how == 3) {
            g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(0)), ==,
                            0);
            g_assert_false(staged(w));
        }
        if (how == 2 || how == 3) {
            g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0),
                            ==, 0);
            world_must(w, 0, CXL_CACHE_H2D_REQ);
        }
        if (how == 4) {
            cxl_cache_home_isolate(w->home, 0);
            cxl_cache_dev_reset(w->dev[0]);
            w->ram[0].poison = false;
        }
        g_assert_false(staged(w));
        cxl_cache_run(w->home);
        world_clear(w);
        /* Whatever takes the way next has nothing in it. */
        for (unsigned n = 0; n < 16; n++) {
            if (world_state(w, 0, n) == CXL_CACHE_I) {
                world_make(w, 0, n, CXL_CACHE_EN, 0);
            }
            g_assert_false(staged(w));
        }
        world_free(w);
    }
}

static const WorldTest tests[] = {
    { "nt-read-again", test_nt_read_again },
    { "dies-after-response", test_dies_after_response },
    { "dies-after-data", test_dies_after_data },
    { "read-fails", test_read_fails },
    { "poisoned-part", test_poisoned_part },
    { "caching-off-upgrade", test_caching_off_upgrade },
    { "order-wraps", test_order_wraps },
    { "many-requests", test_many_requests },
    { "many-cqids", test_many_cqids },
    { "flush-behind", test_flush_behind },
    { "poisoned-host-write", test_poisoned_host_write },
    { "merge", test_merge },
    { "viral-evicts", test_viral_evicts },
    { "home-reset", test_home_reset },
    { "dev-reset", test_dev_reset },
    { "staged", test_staged },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/field/20-", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
