/*
 * CXL.cache: memory that refuses, and credits that do not come
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is decided here, and why, is in docs/system/devices/cxl-cache.rst. All
 * are item 19 of the project's list of faults met in the field.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define V1 0x77001
#define V2 0x77002
#define ALL CXL_CACHE_BE_ALL

/* The home is the test: take what the device has asked. */
static uint16_t take_request(World *w, unsigned opcode)
{
    const CXLCacheMsg *msg = cxl_cache_link_peek(w->link[0],
                                                 CXL_CACHE_D2H_REQ);
    uint16_t cqid;

    g_assert_nonnull(msg);
    g_assert_cmpuint(msg->opcode, ==, opcode);
    cqid = msg->cqid;
    cxl_cache_link_pop(w->link[0], CXL_CACHE_D2H_REQ);
    return cqid;
}

static void send_rsp(World *w, unsigned opcode, uint16_t cqid, unsigned data)
{
    CXLCacheMsg msg = { .opcode = opcode, .cqid = cqid, .rsp_data = data };

    g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_RSP, &msg,
                                        NULL));
    world_must(w, 0, CXL_CACHE_H2D_RSP);
}

/* A correct device, and a line that it may not keep */

static void test_own_not_kept(void)
{
    for (unsigned i = 0; i < 4; i++) {
        World *w = world(1);
        bool rom = i == 2, nowhere = i == 3;

        w->ram[0].pinned = i == 0;
        w->ram[0].decode = i == 0 ? w->ram[0].decode : rom ?
                           CXL_CACHE_MEM_READ : nowhere ? 0 :
                           CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE;
        g_assert_true(world_do(w, 0, CXL_CACHE_RD_OWN_NO_DATA, 0,
                               0)->d.failed);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        if (rom || nowhere) {
            /* What cannot be written is not to be owned for it. */
            world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
        }
        world_expect(w, "0.RdOwnNoData 0.GO-X");
        world_free(w);
    }
}

/* Memory that does not take what it was asked for */

static const struct {
    unsigned opcode;
    bool told;                  /* there is a way to tell the device */
} writes[] = {
    { CXL_CACHE_I_TO_M_WR }, { CXL_CACHE_WR_CUR }, { CXL_CACHE_WO_WR_INV_F },
    { CXL_CACHE_WO_WR_INV }, { CXL_CACHE_WR_INV, true },
};

static void test_write_refused(void)
{
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(writes); i++) {
        unsigned opcode = writes[i / 2].opcode;
        bool told = writes[i / 2].told, all = i & 1;
        World *w = world(1);

        w->ram[0].fails = WORLD_FAIL_WRITE | (all ? WORLD_FAIL_POISON : 0);
        g_assert_cmpint(world_do_be(w, 0, opcode, 0, V1,
                                    opcode == CXL_CACHE_WO_WR_INV ? 0xff
                                                                  : ALL)->
                        d.failed, ==, told);
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_MEMORY);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        /* Who was told has the data still; else nobody is to miss the loss. */
        g_assert_cmpint(w->ram[0].poison, ==, !told && !all);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        world_clear(w);
        world_free(w);
    }
}

static void test_write_back_refused(void)
{
    for (unsigned i = 0; i < 5; i++) {
        /* Who shares it with the reader has it still: not quite coherent. */
        World *w = world_of_peers(2);
        WorldDone *done;

        world_make(w, 1, 0, CXL_CACHE_M, V1);
        w->ram[0].fails = WORLD_FAIL_WRITE;
        done = i == 0 ? world_do(w, 1, CXL_CACHE_DIRTY_EVICT, 0, 0) :
               i == 1 ? world_do(w, 0, CXL_CACHE_RD_OWN, 0, 0) :
               i == 2 ? world_do(w, 0, CXL_CACHE_RD_SHARED, 0, 0) :
               i == 3 ? world_do(w, 0, CXL_CACHE_CL_FLUSH, 0, 0) :
                        world_host(w, CXL_CACHE_HOST_READ, 0, 0);
        g_assert_true(w->ram[0].poison);
        if (done->has_data) {
            g_assert_true(done->host ? done->h.poison : done->d.poison);
            g_assert_cmphex(world_value(&done->data), ==, WORLD_V0);
        }
        /* The device whose data they were, which did nothing wrong */
        g_assert_cmpuint(w->error[0].dev, ==, 1);
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_MEMORY);
        world_clear(w);
        world_free(w);
    }
}

static void test_read_refused(void)
{
    World *w = world(1);

    w->ram[0].fails = WORLD_FAIL_READ;
    g_assert_true(world_do(w, 0, CXL_CACHE_RD_OWN, 0, 0)->d.failed);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_MEMORY);
    world_expect(w, "0.RdOwn 0.GO-X 0.down:err");
    g_assert_true(world_host(w, CXL_CACHE_HOST_READ, 0, 0)->h.failed);
    world_clear(w);
    world_free(w);
}

/*
 * Table 3-12. H2D Rsp and H2D Data wait for nothing but the link: not for a
 * credit of D2H Data, which a foreign host may give back late.
 */

static World *world_without_credit(unsigned devs, unsigned opcode)
{
    WorldConfig cfg = world_config(devs);
    World *w;

    cfg.link.depth[CXL_CACHE_D2H_DATA] = 1;
    cfg.home.forward_dirty = cfg.home.pull_clean = true;
    w = world_new(&cfg);
    if (opcode == CXL_CACHE_DIRTY_EVICT || opcode == CXL_CACHE_CLEAN_EVICT) {
        world_make(w, 0, 0, opcode == CXL_CACHE_DIRTY_EVICT ? CXL_CACHE_M
                                                            : CXL_CACHE_E, V1);
    }
    w->link[0]->hold_credits = true;
    world_do(w, 0, CXL_CACHE_WR_INV, 9, V2);
    world_clear(w);
    return w;
}

static void test_pull_without_credit(void)
{
    static const unsigned ops[] = {
        CXL_CACHE_WR_INV, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR,
        CXL_CACHE_WO_WR_INV_F, CXL_CACHE_DIRTY_EVICT, CXL_CACHE_CLEAN_EVICT,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        World *w = world_without_credit(1, ops[i]);

        g_assert_cmpint(world_ask(w, 0, ops[i], 0, V1, ALL), >=, 0);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 5, 0, ALL), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        /* The pull, then the GO behind it */
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        world_must(w, 0, CXL_CACHE_H2D_DATA);
        g_assert_cmpint(world_state(w, 0, 5), ==, CXL_CACHE_E);
        g_assert_cmpuint(w->num_done, ==, 1);
        g_assert_null(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_DATA));
        g_assert_cmpuint(cxl_cache_run(w->home), ==, 0);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 1);
        cxl_cache_link_return_credits(w->link[0], CXL_CACHE_D2H_DATA);
        cxl_cache_run(w->home);
        cxl_cache_link_return_credits(w->link[0], CXL_CACHE_D2H_DATA);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, 2);
        g_assert_cmphex(world_ram(w, 0), ==,
                        ops[i] == CXL_CACHE_CLEAN_EVICT ? WORLD_V0 : V1);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        world_clear(w);
        world_free(w);
    }
}

/* A second answer to a request whose data are still due is none. */
static void test_due_is_answered_once(void)
{
    static const unsigned answers[] = {
        CXL_CACHE_WRITE_PULL, CXL_CACHE_GO, CXL_CACHE_GO_WRITE_PULL,
        CXL_CACHE_EXT_CMP, CXL_CACHE_FAST_GO_WRITE_PULL,
        CXL_CACHE_GO_ERR_WRITE_PULL,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        World *w = world_of_peers(1);
        uint16_t cqid;

        w->link[0]->hold_credits = true;
        w->link[0]->ch[CXL_CACHE_D2H_DATA].credits = 0;
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_WR_INV, 0, V1, ALL), >=, 0);
        cqid = take_request(w, CXL_CACHE_WR_INV);
        send_rsp(w, CXL_CACHE_WRITE_PULL, cqid, 7);
        send_rsp(w, answers[i], cqid, CXL_CACHE_GO_I);
        world_expect_error(w, 0, CXL_CACHE_ERR_UNEXPECTED);
        g_assert_false(cxl_cache_dev_tx(w->dev[0]));
        w->link[0]->ch[CXL_CACHE_D2H_DATA].credits = 1;
        g_assert_true(cxl_cache_dev_tx(w->dev[0]));
        g_assert_false(cxl_cache_dev_tx(w->dev[0]));
        g_assert_cmpuint(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_DATA)->
                         uqid, ==, 7);
        send_rsp(w, CXL_CACHE_GO, cqid, CXL_CACHE_GO_I);
        g_assert_cmpuint(w->num_done, ==, 1);
        world_free(w);
    }
}

/* Data that are promised to a snoop come when there is no credit for them. */
static void test_forward_without_credit(void)
{
    for (unsigned i = 0; i < 3; i++) {
        World *w = world_without_credit(2, 0);
        static const CXLCacheHostOp ops[] = {
            CXL_CACHE_HOST_READ, CXL_CACHE_HOST_FLUSH, CXL_CACHE_HOST_PEEK,
        };

        world_make(w, 1, 0, CXL_CACHE_M, V1);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        world_must(w, 1, CXL_CACHE_H2D_REQ);
        world_must(w, 1, CXL_CACHE_D2H_RSP);
        world_must(w, 1, CXL_CACHE_D2H_DATA);
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IMD);
        g_assert_cmpint(world_host_ask(w, ops[i], 0, 0, 0), ==, 0);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_must(w, 0, CXL_CACHE_H2D_DATA);
        g_assert_cmpuint(w->num_done, ==, 0);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, 0);
        cxl_cache_link_return_credits(w->link[0], CXL_CACHE_D2H_DATA);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, 2);
        g_assert_cmphex(world_value(&w->done[0].data), ==, V1);
        g_assert_cmphex(world_ram(w, 0), ==, i == 2 ? WORLD_V0 : V1);
        g_assert_cmpint(world_state(w, 0, 0), ==, i == 0 ? CXL_CACHE_S :
                        i == 1 ? CXL_CACHE_I : CXL_CACHE_M);
        if (i != 1) {
            g_assert_cmphex(world_load(w, 0, 0), ==, V1);
        }
        world_clear(w);
        world_free(w);
    }
}

static const WorldTest tests[] = {
    { "19-own-not-kept", test_own_not_kept },
    { "19-write-refused", test_write_refused },
    { "19-write-back-refused", test_write_back_refused },
    { "19-read-refused", test_read_refused },
    { "19-pull-without-credit", test_pull_without_credit },
    { "19-due-is-answered-once", test_due_is_answered_once },
    { "19-forward-without-credit", test_forward_without_credit },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/field/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
