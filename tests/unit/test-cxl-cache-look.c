/*
 * CXL.cache: one line, looked at
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a line is at the home and in the devices is followed through requests
 * that stop at each message. The filter's set, and the device's, are computed
 * here by the documented rule, not by the engine's code.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_look.h"
#include "../../hw/cxl/cache/internal.h"
#include "cxl-cache-world.h"

#define V1 0x77001
#define ALL CXL_CACHE_BE_ALL

/* Blocks of memory that must not change by looking */
typedef struct Copy {
    void *now[3];
    void *then[3];
    size_t size[3];
} Copy;

static void keep(Copy *c, unsigned i, void *block, size_t size)
{
    c->now[i] = block;
    c->then[i] = g_memdup2(block, size);
    c->size[i] = size;
}

static void copy_world(Copy *c, World *w)
{
    keep(c, 0, w->home, w->home->size);
    keep(c, 1, w->dev[0], w->dev[0]->size);
    keep(c, 2, w->dev[1], w->dev[1]->size);
}

static void check_same(Copy *c)
{
    for (int i = 0; i < 3; i++) {
        g_assert_cmpmem(c->now[i], c->size[i], c->then[i], c->size[i]);
        g_free(c->then[i]);
    }
}

static CXLCacheHomeLook at_home(World *w, unsigned n)
{
    CXLCacheHomeStats stats = *cxl_cache_home_stats(w->home);
    CXLCacheHomeLook look;
    Copy c;

    copy_world(&c, w);
    cxl_cache_home_look(w->home, world_line(n), &look);
    check_same(&c);
    g_assert_cmpmem(&stats, sizeof(stats), cxl_cache_home_stats(w->home),
                    sizeof(stats));
    return look;
}

static CXLCacheDevLook in_dev(World *w, unsigned dev, unsigned n)
{
    CXLCacheDevLook look;
    Copy c;

    copy_world(&c, w);
    cxl_cache_dev_look(w->dev[dev], world_line(n), &look);
    check_same(&c);
    g_assert_cmphex(look.slot.line, ==, world_line(n));
    /* 16 lines of 4 ways */
    g_assert_cmpuint(look.set, ==, world_line(n) % 4);
    return look;
}

static void check_untracked(World *w, unsigned n)
{
    CXLCacheHomeLook h = at_home(w, n);

    g_assert_cmpint(h.sf_way, ==, -1);
    g_assert_cmphex(h.devs, ==, 0);
    g_assert_false(h.excl);
    g_assert_cmpint(h.uqid, ==, -1);
}

/* At rest: nowhere, owned, shared by two */
static void test_states(void)
{
    World *w = world(2);
    CXLCacheDevLook d;
    CXLCacheHomeLook h;

    check_untracked(w, 0);
    d = in_dev(w, 0, 0);
    g_assert_cmpint(d.way, ==, -1);
    g_assert_cmpint(d.slot.state, ==, CXL_CACHE_I);
    g_assert_null(d.slot.data);
    g_assert_cmpint(d.slot.cqid, ==, -1);

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    h = at_home(w, 0);
    g_assert_cmphex(h.devs, ==, 2);
    g_assert_true(h.excl);
    g_assert_cmpint(h.uqid, ==, -1);
    d = in_dev(w, 1, 0);
    g_assert_cmpint(d.slot.state, ==, CXL_CACHE_M);
    g_assert_cmphex(world_value(d.slot.data), ==, V1);
    g_assert_false(d.slot.poison);
    g_assert_cmpint(in_dev(w, 0, 0).way, ==, -1);
    check_untracked(w, 1);

    world_do(w, 0, CXL_CACHE_RD_SHARED, 0, 0);
    h = at_home(w, 0);
    g_assert_cmphex(h.devs, ==, 3);
    g_assert_false(h.excl);
    g_assert_cmpint(in_dev(w, 0, 0).slot.state, ==, CXL_CACHE_S);
    g_assert_cmpint(in_dev(w, 1, 0).slot.state, ==, CXL_CACHE_S);
    world_clear(w);
    world_free(w);
}

/* The place where a line is said to be is where it is. */
static void test_places(void)
{
    World *w = world(2);
    uint64_t sets = 0, ways = 0;

    /* Four lines of one set of the device, as many as it has ways */
    for (unsigned i = 0; i < 4; i++) {
        unsigned n = 4 * i + 1;
        CXLCacheDevLook d;
        CXLCacheHomeLook h;
        CXLCacheSlot slot;
        uint64_t *e;

        world_make(w, 0, n, CXL_CACHE_E, 0);
        d = in_dev(w, 0, n);
        g_assert_cmpint(d.way, >=, 0);
        g_assert_true(cxl_cache_dev_slot(w->dev[0], d.set * 4 + d.way, &slot));
        g_assert_cmphex(slot.line, ==, world_line(n));
        g_assert_true(slot.data == d.slot.data);
        g_assert_false(ways & (1 << d.way));
        ways |= 1 << d.way;

        h = at_home(w, n);
        g_assert_cmpint(h.sf_way, >=, 0);
        g_assert_cmpint(h.sf_way, <, w->home->sf_ways);
        e = &w->home->sf[h.sf_set * w->home->sf_ways + h.sf_way];
        g_assert_cmphex(*e >> CXL_CACHE_SF_LINE_SHIFT, ==, world_line(n));
        sets |= 1ULL << h.sf_set;
    }
    g_assert_cmphex(ways, ==, 0xf);
    /* Neighbours are in different sets of the filter. */
    g_assert_cmphex(sets & (sets - 1), !=, 0);
    world_clear(w);
    world_free(w);
}

static void check_tx(const CXLCacheHomeLook *h, const char *request, int dev,
                     CXLCacheTxPhase phase, uint16_t asked)
{
    g_assert_cmpint(h->uqid, >=, 0);
    g_assert_cmpstr(h->request, ==, request);
    g_assert_cmpint(h->dev, ==, dev);
    g_assert_cmpint(h->phase, ==, phase);
    g_assert_cmphex(h->asked, ==, asked);
}

/* A request that has another device snooped, message by message */
static void test_snooped(void)
{
    World *w = world(2);
    CXLCacheHomeLook h;
    int cqid;

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    cqid = world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL);
    g_assert_cmpint(in_dev(w, 0, 0).slot.cqid, ==, cqid);
    g_assert_cmpint(in_dev(w, 1, 0).slot.cqid, ==, -1);
    g_assert_cmpint(at_home(w, 0).uqid, ==, -1);

    world_must(w, 0, CXL_CACHE_D2H_REQ);
    h = at_home(w, 0);
    check_tx(&h, "RdOwn", 0, CXL_CACHE_TX_SNOOP, 2);
    g_assert_cmpint(at_home(w, 1).uqid, ==, -1);
    world_must(w, 1, CXL_CACHE_H2D_REQ);
    world_must(w, 1, CXL_CACHE_D2H_RSP);
    /* The data are still to come. */
    h = at_home(w, 0);
    check_tx(&h, "RdOwn", 0, CXL_CACHE_TX_SNOOP, 2);
    world_must(w, 1, CXL_CACHE_D2H_DATA);
    h = at_home(w, 0);
    g_assert_cmpint(h.uqid, ==, -1);
    g_assert_cmphex(h.devs, ==, 1);
    cxl_cache_run(w->home);
    g_assert_cmpint(in_dev(w, 0, 0).slot.cqid, ==, -1);
    world_clear(w);
    world_free(w);
}

/* Requests that take no way; the host's own */
static void test_others(void)
{
    World *w = world(2);
    uint64_t other = world_line(0) + 1;
    CXLCacheHomeLook h;
    CXLCacheDevLook d;
    int cqid;

    cqid = world_ask(w, 0, CXL_CACHE_WR_INV, 0, V1, ALL);
    g_assert_cmpint(in_dev(w, 0, 0).way, ==, -1);
    g_assert_cmpint(in_dev(w, 0, 0).slot.cqid, ==, cqid);
    g_assert_cmpint(in_dev(w, 0, 1).slot.cqid, ==, -1);
    /* Another line of the same chain of requests */
    while (cxl_cache_hash(other) % CXL_CACHE_CHAINS !=
           cxl_cache_hash(world_line(0)) % CXL_CACHE_CHAINS) {
        other++;
    }
    cxl_cache_dev_look(w->dev[0], other, &d);
    g_assert_cmpint(d.slot.cqid, ==, -1);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    h = at_home(w, 0);
    check_tx(&h, "WrInv", 0, CXL_CACHE_TX_PULL, 0);
    cxl_cache_run(w->home);

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==, 0);
    h = at_home(w, 0);
    check_tx(&h, "host flushes", -1, CXL_CACHE_TX_SNOOP, 2);
    cxl_cache_run(w->home);
    check_untracked(w, 0);
    world_clear(w);
    world_free(w);
}

/* CacheFlushed is about no line, and no line is beyond 46 bits. */
static void test_none(void)
{
    World *w = world(2);
    CXLCacheReq req = { .opcode = CXL_CACHE_CACHE_FLUSHED };
    CXLCacheHomeLook h;
    CXLCacheDevLook d;

    g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &req), >=, 0);
    cxl_cache_dev_look(w->dev[0], 0, &d);
    g_assert_cmpint(d.slot.cqid, ==, -1);
    cxl_cache_run(w->home);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    cxl_cache_home_look(w->home, world_line(0) | CXL_CACHE_LINE_MAX, &h);
    g_assert_cmpint(h.sf_way, ==, -1);
    cxl_cache_dev_look(w->dev[0], world_line(0) | CXL_CACHE_LINE_MAX, &d);
    g_assert_cmpint(d.way, ==, -1);
    world_clear(w);
    world_free(w);
}

/* Poison, and data that are not the line's yet */
static void test_marks(void)
{
    World *w = world(2);
    CXLCacheLineData data = world_data(V1);
    CXLCacheDevLook d;

    w->ram[0].poison = true;
    world_do(w, 0, CXL_CACHE_RD_SHARED, 0, 0);
    g_assert_true(in_dev(w, 0, 0).slot.poison);
    world_do(w, 0, CXL_CACHE_RD_OWN_NO_DATA, 1, 0);
    g_assert_true(cxl_cache_dev_stage(w->dev[0], world_line(1), &data));
    d = in_dev(w, 0, 1);
    g_assert_true(d.slot.staged);
    g_assert_false(d.slot.poison);
    g_assert_cmpint(d.slot.state, ==, CXL_CACHE_EN);
    world_clear(w);
    world_free(w);
}

static void check_request(World *w, int cqid, uint8_t opcode,
                          CXLCacheAwaitedBy awaits, uint16_t asked)
{
    CXLCacheRequestLook look;
    Copy c;

    copy_world(&c, w);
    g_assert_true(cxl_cache_request_look(w->home, 0, w->dev[0], cqid, &look));
    check_same(&c);
    g_assert_cmphex(look.line, ==, world_line(0));
    g_assert_cmpint(look.opcode, ==, opcode);
    g_assert_cmpint(look.awaits, ==, awaits);
    g_assert_cmphex(look.asked, ==, asked);
    g_assert_cmpuint(look.since, ==, 0);
}

/* What requests wait for, message by message */
static void test_requests(void)
{
    World *w = world(2);
    CXLCacheRequestLook look;
    int cqid, other;

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    cqid = world_ask(w, 0, CXL_CACHE_RD_CURR, 0, 0, ALL);
    other = world_ask(w, 0, CXL_CACHE_RD_CURR, 0, 0, ALL);
    g_assert_cmpint(other, !=, cqid);
    check_request(w, cqid, CXL_CACHE_RD_CURR, CXL_CACHE_BY_CHANNEL, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    check_request(w, cqid, CXL_CACHE_RD_CURR, CXL_CACHE_BY_SNOOPS, 2);
    /* Of the same line, and not the one that the host is at */
    check_request(w, other, CXL_CACHE_RD_CURR, CXL_CACHE_BY_CHANNEL, 0);
    world_must(w, 1, CXL_CACHE_H2D_REQ);
    world_must(w, 1, CXL_CACHE_D2H_RSP);
    check_request(w, cqid, CXL_CACHE_RD_CURR, CXL_CACHE_BY_SNOOPS, 2);
    world_must(w, 1, CXL_CACHE_D2H_DATA);
    check_request(w, cqid, CXL_CACHE_RD_CURR, CXL_CACHE_BY_ANSWER, 0);
    world_must(w, 0, CXL_CACHE_H2D_DATA);
    g_assert_false(cxl_cache_request_look(w->home, 0, w->dev[0], cqid, &look));
    cxl_cache_run(w->home);
    g_assert_false(cxl_cache_request_look(w->home, 0, w->dev[0], other, &look));
    g_assert_false(cxl_cache_request_look(w->home, 0, w->dev[0],
                                          CXL_CACHE_ID_MAX, &look));

    cqid = world_ask(w, 0, CXL_CACHE_WR_INV, 0, V1, ALL);
    /* Nobody has the line by now, but for the one who shares it. */
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    while (cxl_cache_link_used(&w->link[1]->ch[CXL_CACHE_H2D_REQ])) {
        world_must(w, 1, CXL_CACHE_H2D_REQ);
        world_must(w, 1, CXL_CACHE_D2H_RSP);
        if (cxl_cache_link_used(&w->link[1]->ch[CXL_CACHE_D2H_DATA])) {
            world_must(w, 1, CXL_CACHE_D2H_DATA);
        }
    }
    check_request(w, cqid, CXL_CACHE_WR_INV, CXL_CACHE_BY_DATA, 0);
    world_must(w, 0, CXL_CACHE_H2D_RSP);
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    check_request(w, cqid, CXL_CACHE_WR_INV, CXL_CACHE_BY_ANSWER, 0);
    cxl_cache_run(w->home);
    world_clear(w);
    world_free(w);
}

static const WorldTest tests[] = {
    { "states", test_states },
    { "places", test_places },
    { "snooped", test_snooped },
    { "others", test_others },
    { "none", test_none },
    { "marks", test_marks },
    { "requests", test_requests },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/look/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
