/*
 * CXL.cache: what an independent reading of the protocol found
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * None of it can be brought about by a guest and today's device: it takes
 * another user of the library, or a foreign peer. The numbers are those of the
 * project's list of faults met in the field.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define V1 0x77001
#define V2 0x77002
#define ALL CXL_CACHE_BE_ALL

static World *world(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    return world_new(&cfg);
}

/* One end of the links is the test. */
static World *world_of_peers(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    cfg.no_monitor = true;
    return world_new(&cfg);
}

static unsigned lines_held(World *w, unsigned dev)
{
    return cxl_cache_dev_num_lines(w->dev[dev]) -
           cxl_cache_dev_states(w->dev[dev])[CXL_CACHE_I];
}

/* 14: a line that is taken between two calls of the flush */

static void flush_to_end(World *w)
{
    unsigned turns = 0;

    while (cxl_cache_dev_flush(w->dev[0]) == -EAGAIN) {
        cxl_cache_run(w->home);
        g_assert_cmpuint(turns++, <, 100);
    }
    g_assert_cmpuint(lines_held(w, 0), ==, 0);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 0);
}

/* Call it and run, @calls times; then a line is taken. */
static void flush_and_take(unsigned calls, bool run_last, bool drop)
{
    WorldConfig cfg = world_config(1);
    World *w;

    cfg.dev.clean_evict = CXL_CACHE_CLEAN_SILENT;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    for (unsigned i = 0; i < calls; i++) {
        g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
        if (i + 1 < calls || run_last) {
            cxl_cache_run(w->home);
        }
    }
    world_do(w, 0, CXL_CACHE_RD_OWN, 5, 0);
    if (drop) {
        g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(5)));
    } else {
        world_store(w, 0, 5, V2);
    }
    flush_to_end(w);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmphex(world_ram(w, 5), ==, drop ? WORLD_V0 + 5 : V2);
    world_clear(w);
    world_free(w);
}

static void test_flush_between_calls(void)
{
    for (unsigned calls = 1; calls <= 2; calls++) {
        for (unsigned how = 0; how < 4; how++) {
            flush_and_take(calls, how & 1, how & 2);
        }
    }
}

/* Nobody asked for the end of the first flush: the second is one of its own. */
static void test_flush_abandoned(void)
{
    World *w = world(1);

    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    cxl_cache_run(w->home);
    for (unsigned n = 0; n < 16; n++) {
        world_make(w, 0, n, CXL_CACHE_M, V1 + n);
    }
    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    flush_to_end(w);
    for (unsigned n = 0; n < 16; n++) {
        g_assert_cmphex(world_ram(w, n), ==, V1 + n);
    }
    world_clear(w);
    world_free(w);
}

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

static void send_data(World *w, uint16_t cqid, uint64_t v, bool go_err)
{
    CXLCacheLineData data = world_data(v);
    CXLCacheMsg msg = { .cqid = cqid, .go_err = go_err };

    g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_DATA, &msg,
                                        &data));
    world_must(w, 0, CXL_CACHE_H2D_DATA);
}

/*
 * An acknowledgement counts for the CacheFlushed that it answers: not for one
 * that was sent since, about a line that has come and gone meanwhile.
 */
static void test_flush_whose_ack(void)
{
    World *w = world_of_peers(1);
    uint16_t first, read, second;

    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    first = take_request(w, CXL_CACHE_CACHE_FLUSHED);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 3, 0, ALL), >=, 0);
    read = take_request(w, CXL_CACHE_RD_OWN);
    send_rsp(w, CXL_CACHE_GO, read, CXL_CACHE_GO_E);
    send_data(w, read, V1, false);
    g_assert_cmpint(world_state(w, 0, 3), ==, CXL_CACHE_E);
    g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(3)));
    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    second = take_request(w, CXL_CACHE_CACHE_FLUSHED);
    send_rsp(w, CXL_CACHE_GO, first, CXL_CACHE_GO_I);
    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, -EAGAIN);
    send_rsp(w, CXL_CACHE_GO, second, CXL_CACHE_GO_I);
    g_assert_cmpint(cxl_cache_dev_flush(w->dev[0]), ==, 0);
    world_free(w);
}

/* 15: a grant whose data are marked as no data (GO-Err) */

static const struct {
    unsigned opcode;
    unsigned grant;
    CXLCacheError err;
} grants[] = {
    { CXL_CACHE_RD_OWN, CXL_CACHE_GO_E, CXL_CACHE_ERR_UNEXPECTED },
    { CXL_CACHE_RD_OWN, CXL_CACHE_GO_M, CXL_CACHE_ERR_DIRTY_LOST },
    { CXL_CACHE_RD_SHARED, CXL_CACHE_GO_S, CXL_CACHE_ERR_UNEXPECTED },
    { CXL_CACHE_RD_ANY, CXL_CACHE_GO_S, CXL_CACHE_ERR_UNEXPECTED },
    { CXL_CACHE_RD_ANY, CXL_CACHE_GO_E, CXL_CACHE_ERR_UNEXPECTED },
    { CXL_CACHE_RD_ANY, CXL_CACHE_GO_M, CXL_CACHE_ERR_DIRTY_LOST },
    { CXL_CACHE_RD_OWN, CXL_CACHE_GO_I, CXL_CACHE_ERR_NONE },
    { CXL_CACHE_RD_SHARED, CXL_CACHE_GO_ERR, CXL_CACHE_ERR_NONE },
};

static void no_line(World *w, CXLCacheError err)
{
    CXLCacheLineData data;

    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_true(w->done[0].d.failed);
    g_assert_cmpint(w->done[0].d.state, ==, CXL_CACHE_I);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_false(cxl_cache_dev_read(w->dev[0], world_line(0), &data, NULL));
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==, 0);
    if (err) {
        world_expect_error(w, 0, err);
    }
    world_clear(w);
}

static void test_go_err_data(void)
{
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(grants); i++) {
        World *w = world_of_peers(1);
        unsigned grant = grants[i / 2].grant;
        uint16_t cqid;

        g_assert_cmpint(world_ask(w, 0, grants[i / 2].opcode, 0, 0, ALL), >=,
                        0);
        cqid = take_request(w, grants[i / 2].opcode);
        if (i % 2) {
            send_rsp(w, CXL_CACHE_GO, cqid, grant);
        }
        send_data(w, cqid, WORLD_ONES, true);
        if (!(i % 2)) {
            send_rsp(w, CXL_CACHE_GO, cqid, grant);
        }
        no_line(w, grants[i / 2].err);
        world_free(w);
    }
}

/* Data that were promised to a snoop, and come marked as none, are poison. */
static void test_go_err_forward(void)
{
    static const unsigned snoops[] = {
        CXL_CACHE_SNP_DATA, CXL_CACHE_SNP_INV, CXL_CACHE_SNP_CUR,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(snoops); i++) {
        World *w = world_of_peers(1);
        const CXLCacheMsg *msg;
        uint16_t cqid;

        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
        cqid = take_request(w, CXL_CACHE_RD_OWN);
        send_rsp(w, CXL_CACHE_GO, cqid, CXL_CACHE_GO_M);
        g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_REQ,
            &(CXLCacheMsg) { .opcode = snoops[i], .line = world_line(0) },
            NULL));
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        g_assert_null(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_DATA));
        send_data(w, cqid, WORLD_ONES, true);
        msg = cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_DATA);
        g_assert_nonnull(msg);
        g_assert_true(msg->poison);
        no_line(w, CXL_CACHE_ERR_DIRTY_LOST);
        world_free(w);
    }
}

static const struct {
    const char *name;
    void (*fn)(void);
} tests[] = {
    { "14-flush-between-calls", test_flush_between_calls },
    { "14-flush-abandoned", test_flush_abandoned },
    { "14-flush-whose-ack", test_flush_whose_ack },
    { "15-go-err-data", test_go_err_data },
    { "15-go-err-forward", test_go_err_forward },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/field/%s",
                                                tests[i].name);

        g_test_add_func(name, tests[i].fn);
    }
    return g_test_run();
}
