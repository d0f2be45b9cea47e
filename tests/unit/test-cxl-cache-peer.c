/*
 * CXL.cache: peers that break the rules
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Neither side may be crashed, wedged or corrupted by what the other one sends,
 * and says what was wrong. Here a device is the bad one, by system and by
 * chance; what a device makes of a bad home is in test-cxl-cache.c, too, for it
 * goes through all of its states (dev/illegal-...).
 *
 * Seed: CXL_CACHE_SEED in the environment, else the test program's --seed.
 * Rounds: CXL_CACHE_ROUNDS.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define V1  0x77001
#define V2  0x77002
#define ALL CXL_CACHE_BE_ALL

#define BAD 2

/*
 * What is under way at the home, all between devices 0, 1 and the host. Its
 * UQID is 0, the lowest that is free.
 */
typedef struct Scene {
    const char *name;
    void (*set)(World *w);
    uint64_t ram;               /* of line 0, in the end */
    CXLCacheState state[2];     /* of line 0, in the end */
} Scene;

static void set_idle(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_M, V1);
}

static void set_host_read(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
}

static void set_owner_change(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    world_must(w, 1, CXL_CACHE_D2H_REQ);
}

static void set_forward(World *w)
{
    set_owner_change(w);
    /* The response is in, its data are not. */
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
}

static void set_sharers(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_S, 0);
    world_make(w, 1, 0, CXL_CACHE_S, 0);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==, 0);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
}

static void set_write(World *w)
{
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_WR_INV, 0, V1, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
}

static void set_weak_write(World *w)
{
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_WO_WR_INV_F, 0, V1, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
}

static void set_evict(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
}

static void set_clean_evict(World *w)
{
    world_make(w, 0, 0, CXL_CACHE_E, V1);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_CLEAN_EVICT, 0, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
}

static const Scene scenes[] = {
    { "idle", set_idle, WORLD_V0, { CXL_CACHE_M, CXL_CACHE_I } },
    { "host-read", set_host_read, V1, { CXL_CACHE_S, CXL_CACHE_I } },
    { "owner-change", set_owner_change, V1, { CXL_CACHE_I, CXL_CACHE_E } },
    { "forward", set_forward, V1, { CXL_CACHE_I, CXL_CACHE_E } },
    { "sharers", set_sharers, V2, { CXL_CACHE_I, CXL_CACHE_I } },
    { "write", set_write, V1, { CXL_CACHE_I, CXL_CACHE_I } },
    { "weak-write", set_weak_write, V1, { CXL_CACHE_I, CXL_CACHE_I } },
    { "evict", set_evict, V1, { CXL_CACHE_I, CXL_CACHE_I } },
    { "clean-evict", set_clean_evict, WORLD_V0, { CXL_CACHE_I, CXL_CACHE_I } },
};

static World *scene_new(const Scene *scene)
{
    WorldConfig cfg = world_config(3);
    World *w;

    cfg.no_monitor = true;
    cfg.home.pull_clean = true;
    w = world_new(&cfg);
    scene->set(w);
    return w;
}

static void scene_end(World *w, const Scene *scene)
{
    unsigned i;

    cxl_cache_run(w->home);
    g_assert_cmpuint(w->num_errors, ==, 0);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    for (i = 0; i < 2; i++) {
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[i]), ==, 0);
        g_assert_cmpint(world_state(w, i, 0), ==, scene->state[i]);
    }
    g_assert_cmphex(world_ram(w, 0), ==, scene->ram);
    g_assert_false(w->ram[0].poison);
    world_check_quiet(w);
    world_free(w);
}

/* A device that nobody has asked answers, with every code and every UQID. */
static void test_outsider(gconstpointer opaque)
{
    static const uint16_t uqids[] = { 0, 1, 15, 16, 4095, 4096, 0xffff };
    const Scene *scene = opaque;
    CXLCacheLineData data = world_data(0xbad);
    unsigned i, op, n;
    World *w;

    for (i = 0; i < ARRAY_SIZE(uqids); i++) {
        w = scene_new(scene);
        for (op = 0; op < 64; op++) {
            g_assert_true(cxl_cache_link_inject(w->link[BAD],
                CXL_CACHE_D2H_RSP, &(CXLCacheMsg) {
                    .opcode = op, .uqid = uqids[i], .cache_id = BAD }, NULL));
            world_must(w, BAD, CXL_CACHE_D2H_RSP);
            g_assert_cmpuint(w->num_errors, ==, 1);
            g_assert_cmpuint(w->error[0].dev, ==, BAD);
            g_assert_cmpint(w->error[0].err, ==,
                            world_op_name(CXL_CACHE_D2H_RSP, op) ?
                            CXL_CACHE_ERR_ID_UNKNOWN :
                            CXL_CACHE_ERR_RSVD_ENCODING);
            w->num_errors = 0;
        }
        for (n = 0; n < 8; n++) {
            g_assert_true(cxl_cache_link_inject(w->link[BAD],
                CXL_CACHE_D2H_DATA, &(CXLCacheMsg) {
                    .uqid = uqids[i], .bogus = n & 1, .poison = n & 2,
                    .be = n & 4 ? ALL : 1, .cache_id = BAD }, &data));
            world_must(w, BAD, CXL_CACHE_D2H_DATA);
            world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_ID_UNKNOWN);
        }
        scene_end(w, scene);
    }
}

/*
 * A device that has been asked answers with what its line cannot be, by the
 * home's knowledge: reported, and taken as if it had lost the line.
 */
static void test_wrong_answers(void)
{
    static const struct {
        CXLCacheState state;
        CXLCacheHostOp op;
        const char *right;
    } cases[] = {
        { CXL_CACHE_S, CXL_CACHE_HOST_WRITE, "RspIHitI RspIHitSE" },
        { CXL_CACHE_E, CXL_CACHE_HOST_WRITE, "RspIHitI RspIHitSE RspIFwdM" },
        { CXL_CACHE_E, CXL_CACHE_HOST_READ,
          "RspIHitI RspSHitSE RspSFwdM RspIFwdM" },
        { CXL_CACHE_E, CXL_CACHE_HOST_PEEK,
          "RspIHitI RspVHitV RspSHitSE RspSFwdM RspIFwdM RspVFwdV" },
    };
    CXLCacheLineData data = world_data(V2);
    unsigned i, op, wrong = 0;
    const char *name;
    WorldConfig cfg = world_config(3);
    World *w;

    cfg.no_monitor = true;
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        for (op = 0; op < 32; op++) {
            name = world_op_name(CXL_CACHE_D2H_RSP, op);
            w = world_new(&cfg);
            world_make(w, BAD, 0, cases[i].state, 0);
            world_make(w, 0, 1, CXL_CACHE_M, V1);
            g_assert_cmpint(world_host_ask(w, cases[i].op, 0, V2, ALL), ==, 0);
            /* The snoop is dealt with by us, not by the device. */
            g_assert_nonnull(cxl_cache_link_peek(w->link[BAD],
                                                 CXL_CACHE_H2D_REQ));
            cxl_cache_link_pop(w->link[BAD], CXL_CACHE_H2D_REQ);
            cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_RSP,
                &(CXLCacheMsg) { .opcode = op, .cache_id = BAD }, NULL);
            world_must(w, BAD, CXL_CACHE_D2H_RSP);
            if (name && strstr(cases[i].right, name)) {
                g_assert_cmpuint(w->num_errors, ==, 0);
            } else {
                wrong++;
                world_expect_error(w, WORLD_HOST,
                                   name ? CXL_CACHE_ERR_UNEXPECTED
                                        : CXL_CACHE_ERR_RSVD_ENCODING);
            }
            if (name && strstr(name, "Fwd")) {
                cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_DATA,
                    &(CXLCacheMsg) { .be = ALL, .cache_id = BAD }, &data);
                world_must(w, BAD, CXL_CACHE_D2H_DATA);
                g_assert_cmpuint(world_take_errors(w, WORLD_HOST), ==,
                                 !strstr(cases[i].right, name));
            }
            /* Without any answer the root port gives up on the device. */
            if (cxl_cache_home_open(w->home)) {
                g_assert_null(name);
                cxl_cache_home_isolate(w->home, BAD);
            }
            g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
            g_assert_cmpuint(w->num_done, ==, 1);
            cxl_cache_home_isolate(w->home, BAD);
            cxl_cache_dev_reset(w->dev[BAD]);
            g_assert_cmpint(world_state(w, 0, 1), ==, CXL_CACHE_M);
            g_assert_cmphex(world_load(w, 0, 1), ==, V1);
            world_check_quiet(w);
            world_free(w);
        }
    }
    g_assert_cmpuint(wrong, >, 100);
}

/* Requests that no device may send */
static void test_wrong_requests(void)
{
    static const struct {
        const char *name;
        CXLCacheMsg msg;
        CXLCacheError err;
    } cases[] = {
        { "address", { .opcode = CXL_CACHE_RD_OWN, .line = CXL_CACHE_LINE_MAX },
          CXL_CACHE_ERR_ADDRESS },
        { "address-max", { .opcode = CXL_CACHE_WR_INV, .line = UINT64_MAX },
          CXL_CACHE_ERR_ADDRESS },
        { "cqid", { .opcode = CXL_CACHE_RD_CURR, .line = WORLD_BASE,
                    .cqid = CXL_CACHE_ID_MAX }, CXL_CACHE_ERR_RSVD_ENCODING },
        { "cqid-max", { .opcode = CXL_CACHE_RD_CURR, .line = WORLD_BASE,
                        .cqid = 0xffff }, CXL_CACHE_ERR_RSVD_ENCODING },
        { "opcode", { .opcode = 0x1f, .line = WORLD_BASE },
          CXL_CACHE_ERR_RSVD_ENCODING },
        { "opcode-0", { .opcode = 0, .line = WORLD_BASE },
          CXL_CACHE_ERR_RSVD_ENCODING },
        { "opcode-max", { .opcode = 0xff, .line = WORLD_BASE },
          CXL_CACHE_ERR_RSVD_ENCODING },
        { "cqid-in-use", { .opcode = CXL_CACHE_RD_CURR, .line = WORLD_BASE,
                           .cqid = 3 }, CXL_CACHE_ERR_ID_IN_USE },
    };
    WorldConfig cfg = world_config(3);
    unsigned i;
    World *w;

    cfg.no_monitor = true;
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        CXLCacheMsg msg = cases[i].msg;

        w = world_new(&cfg);
        world_make(w, 0, 0, CXL_CACHE_M, V1);
        /* CQID 3 waits for its pull to be answered. */
        cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_REQ, &(CXLCacheMsg) {
            .opcode = CXL_CACHE_WR_INV, .line = world_line(5), .cqid = 3,
            .cache_id = BAD }, NULL);
        world_must(w, BAD, CXL_CACHE_D2H_REQ);
        msg.cache_id = BAD;
        cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_REQ, &msg, NULL);
        world_must(w, BAD, CXL_CACHE_D2H_REQ);
        world_expect_error(w, WORLD_HOST, cases[i].err);
        msg = (CXLCacheMsg) { .opcode = CXL_CACHE_RD_CURR,
                              .line = world_line(1), .cqid = 4 };
        cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_REQ, &msg, NULL);
        world_must(w, BAD, CXL_CACHE_D2H_REQ);
        /* Its CacheID is somebody else's. */
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_RSVD_ENCODING);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 1);
        g_assert_cmpuint(cxl_cache_home_isolate(w->home, BAD), ==, 1);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_M);
        g_assert_cmphex(world_load(w, 0, 0), ==, V1);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        world_check_quiet(w);
        world_free(w);
    }
}

/* A snoop that took a modified line, and an evict that says "not Bogus" */
static void test_lies_about_bogus(void)
{
    WorldConfig cfg = world_config(3);
    CXLCacheLineData data = world_data(0xbad);
    bool owner;
    World *w;

    cfg.no_monitor = true;
    for (owner = false; ; owner = true) {
        w = world_new(&cfg);
        world_make(w, BAD, 0, CXL_CACHE_M, V1);
        if (!owner) {
            world_host(w, CXL_CACHE_HOST_WRITE, 0, V2);
        }
        cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_REQ, &(CXLCacheMsg) {
            .opcode = CXL_CACHE_DIRTY_EVICT, .line = world_line(0),
            .cqid = 7, .cache_id = BAD }, NULL);
        world_must(w, BAD, CXL_CACHE_D2H_REQ);
        cxl_cache_link_inject(w->link[BAD], CXL_CACHE_D2H_DATA, &(CXLCacheMsg) {
            .be = ALL, .bogus = owner, .cache_id = BAD }, &data);
        world_must(w, BAD, CXL_CACHE_D2H_DATA);
        world_expect_error(w, WORLD_HOST, owner ? CXL_CACHE_ERR_DIRTY_LOST
                                                : CXL_CACHE_ERR_NOT_OWNER);
        g_assert_cmphex(world_ram(w, 0), ==, owner ? WORLD_V0 : V2);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        world_clear(w);
        world_free(w);
        if (owner) {
            return;
        }
    }
}

/*
 * A device dies that shares a line with another one, whose own transaction of
 * this line is waiting for a credit, or for data.
 */
static void test_isolate_busy(void)
{
    static const unsigned ops[] = {
        CXL_CACHE_RD_SHARED, CXL_CACHE_RD_ANY, CXL_CACHE_CLEAN_EVICT_NO_DATA,
    };
    WorldConfig cfg = world_config(3);
    unsigned i;
    World *w;

    cfg.no_monitor = true;
    cfg.link.depth[CXL_CACHE_H2D_DATA] = 1;
    cfg.link.depth[CXL_CACHE_H2D_RSP] = 1;
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        w = world_new(&cfg);
        world_make(w, BAD, 0, CXL_CACHE_S, 0);
        if (ops[i] == CXL_CACHE_CLEAN_EVICT_NO_DATA) {
            world_make(w, 1, 0, CXL_CACHE_S, 0);
        }
        g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 5, 0, ALL), >=, 0);
        world_must(w, 1, CXL_CACHE_D2H_REQ);
        g_assert_cmpint(world_ask(w, 1, ops[i], 0, 0, ALL), >=, 0);
        world_must(w, 1, CXL_CACHE_D2H_REQ);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 1);
        g_assert_cmpuint(cxl_cache_home_isolate(w->home, BAD), ==, 0);
        g_assert_false(cxl_cache_home_tracks(w->home, world_line(0), NULL) &
                       1 << BAD);
        /* It is dead: nobody takes what is sent to it. */
        cxl_cache_dev_free(w->dev[BAD]);
        cxl_cache_run(w->home);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
        world_host(w, CXL_CACHE_HOST_WRITE, 0, V1);
        g_assert_cmphex(world_ram(w, 0), ==, V1);
        cxl_cache_home_detach(w->home, BAD);
        w->cfg.devs = 2;
        world_check_quiet(w);
        cxl_cache_link_free(w->link[BAD]);
        world_free(w);
    }
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void test_random(void)
{
    uint64_t seed = env_number("CXL_CACHE_SEED", (uint32_t)g_test_rand_int());
    uint64_t rounds = env_number("CXL_CACHE_ROUNDS", 20000), i;
    unsigned k, len, reported = 0;
    uint8_t bytes[512];
    uint64_t rng;

    for (i = 0; i < rounds; i++) {
        rng = (seed + i) * 2 + 1;
        world_random(&rng);
        len = 16 + (world_random(&rng) >> 32) % (sizeof(bytes) - 16);
        for (k = 0; k < len; k++) {
            bytes[k] = world_random(&rng) >> 32;
        }
        if (i == 0 || g_getenv("CXL_CACHE_VERBOSE")) {
            fprintf(stderr, "# CXL_CACHE_SEED=%" PRIu64 "\n", seed + i);
        }
        reported += world_adversary(bytes, len);
    }
    g_test_message("%" PRIu64 " rounds from seed %" PRIu64 ", %u reports",
                   rounds, seed, reported);
    g_assert_cmpuint(reported, >, rounds);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(scenes); i++) {
        g_autofree char *name = g_strdup_printf(
            "/cxl-cache/peer/outsider-%s", scenes[i].name);

        g_test_add_data_func(name, &scenes[i], test_outsider);
    }
    g_test_add_func("/cxl-cache/peer/wrong-answers", test_wrong_answers);
    g_test_add_func("/cxl-cache/peer/wrong-requests", test_wrong_requests);
    g_test_add_func("/cxl-cache/peer/lies-about-bogus", test_lies_about_bogus);
    g_test_add_func("/cxl-cache/peer/isolate-busy", test_isolate_busy);
    g_test_add_func("/cxl-cache/peer/random", test_random);
    return g_test_run();
}
