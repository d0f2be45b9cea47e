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
#define V3 0x77003
#define ALL CXL_CACHE_BE_ALL

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

/* 16: data of a device that break the rules */

/* The device is the test: what a snoop brings out is bad. */
static void answer_badly(World *w, unsigned rsp, bool data_first, bool bogus,
                         uint64_t be)
{
    const CXLCacheMsg *snoop = cxl_cache_link_peek(w->link[0],
                                                   CXL_CACHE_H2D_REQ);
    CXLCacheLineData data = world_data(V3);
    CXLCacheMsg up, answer;

    g_assert_nonnull(snoop);
    up = (CXLCacheMsg) { .uqid = snoop->uqid, .bogus = bogus, .be = be };
    answer = (CXLCacheMsg) { .opcode = rsp, .uqid = snoop->uqid };
    cxl_cache_link_pop(w->link[0], CXL_CACHE_H2D_REQ);
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_RSP, &answer, NULL);
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_DATA, &up, &data);
    world_must(w, 0, data_first ? CXL_CACHE_D2H_DATA : CXL_CACHE_D2H_RSP);
    world_must(w, 0, data_first ? CXL_CACHE_D2H_RSP : CXL_CACHE_D2H_DATA);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_UNEXPECTED);
    cxl_cache_run(w->home);
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
}

typedef struct BadForward {
    unsigned opcode;            /* device 1's; or 0 */
    CXLCacheHostOp op;          /* else the host's */
    unsigned rsp;
    bool kept;                  /* by its owner: memory is not to be touched */
} BadForward;

static const BadForward bad_forwards[] = {
    { CXL_CACHE_RD_OWN, 0, CXL_CACHE_RSP_I_FWD_M },
    { CXL_CACHE_RD_SHARED, 0, CXL_CACHE_RSP_S_FWD_M },
    { CXL_CACHE_RD_ANY, 0, CXL_CACHE_RSP_I_FWD_M },
    { CXL_CACHE_RD_CURR, 0, CXL_CACHE_RSP_V_FWD_V, true },
    { 0, CXL_CACHE_HOST_READ, CXL_CACHE_RSP_S_FWD_M },
    { 0, CXL_CACHE_HOST_READ, CXL_CACHE_RSP_I_FWD_M },
    { 0, CXL_CACHE_HOST_PEEK, CXL_CACHE_RSP_V_FWD_V, true },
};

static void bad_forward(const BadForward *c, bool forward_dirty,
                        bool data_first, bool bogus)
{
    WorldConfig cfg = world_config(2);
    WorldDone *done;
    World *w;

    cfg.no_monitor = true;
    cfg.home.forward_dirty = forward_dirty;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    if (c->opcode) {
        g_assert_cmpint(world_ask(w, 1, c->opcode, 0, 0, ALL), >=, 0);
        world_must(w, 1, CXL_CACHE_D2H_REQ);
    } else {
        g_assert_cmpint(world_host_ask(w, c->op, 0, 0, 0), ==, 0);
    }
    answer_badly(w, c->rsp, data_first, bogus, bogus ? ALL : 0xff);
    done = &w->done[0];
    g_assert_true(done->host ? done->h.poison : done->d.poison);
    g_assert_cmpint(w->ram[0].poison, ==, !c->kept);
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    if (c->kept) {
        /* Its owner has it still, and what it writes back is good. */
        w->num_errors = 0;
        world_clear(w);
        world_do(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0);
        g_assert_cmphex(world_ram(w, 0), ==, V1);
        g_assert_false(w->ram[0].poison);
    }
    world_free(w);
}

static void test_bad_forward(void)
{
    for (unsigned i = 0; i < 8 * ARRAY_SIZE(bad_forwards); i++) {
        bad_forward(&bad_forwards[i / 8], i & 1, i & 2, i & 4);
    }
}

/* The host writes: only what it writes itself is good. */
static void test_bad_forward_written(void)
{
    for (unsigned i = 0; i < 4; i++) {
        bool whole = i & 1;
        World *w = world_of_peers(1);

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2,
                                       whole ? ALL : 0xff), ==, 0);
        answer_badly(w, CXL_CACHE_RSP_I_FWD_M, i & 2, true, ALL);
        g_assert_cmpint(w->ram[0].poison, ==, !whole);
        if (whole) {
            g_assert_cmphex(world_ram(w, 0), ==, V2);
        }
        world_free(w);
    }
}

/* The data of an evict: torn or bogus, of an owner and of another one */
static void bad_evict(unsigned opcode, bool owner, bool bogus, uint64_t be)
{
    WorldConfig cfg = world_config(1);
    CXLCacheLineData data = world_data(V3);
    bool dirty = opcode == CXL_CACHE_DIRTY_EVICT;
    World *w;

    cfg.no_monitor = true;
    cfg.home.pull_clean = true;
    w = world_new(&cfg);
    world_make(w, 0, 0, dirty ? CXL_CACHE_M : CXL_CACHE_E, V1);
    if (!owner) {
        world_host(w, CXL_CACHE_HOST_FLUSH, 0, 0);
        world_clear(w);
    }
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_REQ, &(CXLCacheMsg) {
        .opcode = opcode, .line = world_line(0), .cqid = 7 }, NULL);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_DATA, &(CXLCacheMsg) {
        .be = be, .bogus = bogus }, &data);
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    world_expect_error(w, WORLD_HOST, dirty && owner ?
                       CXL_CACHE_ERR_DIRTY_LOST : CXL_CACHE_ERR_UNEXPECTED);
    g_assert_cmphex(world_ram(w, 0), ==, dirty && !owner ? V1 : WORLD_V0);
    g_assert_cmpint(w->ram[0].poison, ==, dirty && owner);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    world_clear(w);
    world_free(w);
}

static void test_bad_evict(void)
{
    static const uint64_t enables[] = { 0, 1, 0xff, ALL >> 1, ALL << 1 };

    for (unsigned i = 0; i < ARRAY_SIZE(enables); i++) {
        for (unsigned k = 0; k < 4; k++) {
            bad_evict(CXL_CACHE_DIRTY_EVICT, !(k & 1), k & 2, enables[i]);
            bad_evict(CXL_CACHE_CLEAN_EVICT, !(k & 1), k & 2, enables[i]);
        }
    }
    /* Nobody took the line, and what its owner sends is said to be old. */
    bad_evict(CXL_CACHE_DIRTY_EVICT, true, true, ALL);
}

static const WorldTest tests[] = {
    { "14-flush-between-calls", test_flush_between_calls },
    { "14-flush-abandoned", test_flush_abandoned },
    { "14-flush-whose-ack", test_flush_whose_ack },
    { "15-go-err-data", test_go_err_data },
    { "15-go-err-forward", test_go_err_forward },
    { "16-bad-forward", test_bad_forward },
    { "16-bad-forward-written", test_bad_forward_written },
    { "16-bad-evict", test_bad_evict },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/field/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
