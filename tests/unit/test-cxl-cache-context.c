/*
 * CXL.cache: the contexts under which devices have lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory is encrypted here: who reads a line under another key than it was
 * written with gets GARBAGE. Which context a request passes under is what
 * memory says at the moment, so a test sets it before it asks.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "cxl-cache-world.h"

#define V1      0x77001
#define V2      0x77002
#define GARBAGE 0xbad
#define ALL     CXL_CACHE_BE_ALL

/* Two of one space, and nobody's */
#define SEVEN   CXL_CACHE_CONTEXT(3, 7)
#define NINE    CXL_CACHE_CONTEXT(3, 9)
#define NONE    0

typedef struct Memory {
    uint16_t key[64];           /* that the line was written with */
    uint32_t wrote;             /* context of the last write */
    uint32_t left;              /* of the last line that devices gave up */
    uint16_t left_devs;
    unsigned lefts;
    unsigned reads;
} Memory;

static void on_read(World *w, uint64_t line, CXLCacheLineData *data)
{
    Memory *m = w->opaque;
    uint32_t context = cxl_cache_home_context(w->home);

    m->reads++;
    if (CXL_CACHE_CONTEXT_KEY(context) != m->key[line - WORLD_BASE]) {
        *data = world_data(GARBAGE);
    }
}

static void on_write(World *w, uint64_t line, const CXLCacheLineData *data,
                     uint64_t be, bool poison, CXLCacheWriteWhy why)
{
    Memory *m = w->opaque;

    m->wrote = cxl_cache_home_context(w->home);
    m->key[line - WORLD_BASE] = CXL_CACHE_CONTEXT_KEY(m->wrote);
}

static void on_left(World *w, uint64_t line, uint32_t context, uint16_t devs)
{
    Memory *m = w->opaque;

    m->left = context;
    m->left_devs = devs;
    m->lefts++;
}

static World *start(Memory *m, unsigned devs)
{
    World *w = world(devs);

    *m = (Memory) { .wrote = UINT32_MAX, .left = UINT32_MAX };
    w->opaque = m;
    w->on_read = on_read;
    w->on_write = on_write;
    w->on_left = on_left;
    return w;
}

static void pass_under(World *w, unsigned n, uint32_t context)
{
    w->ram[n].decode = CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
                       CXL_CACHE_MEM_CACHEABLE |
                       context << CXL_CACHE_MEM_CONTEXT_SHIFT;
}

static uint32_t held(World *w, unsigned n)
{
    return cxl_cache_home_held(w->home, world_line(n));
}

/* Device 0 has line @n modified, fetched under @context. */
static void make_modified(World *w, unsigned n, uint32_t context)
{
    pass_under(w, n, context);
    world_make(w, 0, n, CXL_CACHE_M, V1);
    g_assert_cmphex(held(w, n), ==, context);
}

/* All is back, and memory is nobody's, for world_free()'s checks. */
static void end(World *w)
{
    world_clear(w);
    w->on_read = NULL;
    world_free(w);
}

/* By an evict, in whatever context it is that memory is in by now */
static void test_evict(void)
{
    Memory m;
    World *w = start(&m, 1);

    make_modified(w, 2, SEVEN);
    g_assert_cmpuint(m.lefts, ==, 0);
    pass_under(w, 2, NONE);
    g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(2)), ==, 0);
    cxl_cache_run(w->home);
    g_assert_cmphex(m.wrote, ==, SEVEN);
    g_assert_cmphex(world_ram(w, 2), ==, V1);
    g_assert_cmphex(held(w, 2), ==, NONE);
    g_assert_cmpuint(m.lefts, ==, 1);
    g_assert_cmphex(m.left, ==, SEVEN);
    g_assert_cmphex(m.left_devs, ==, 1);
    end(w);
}

/* For the host, who may read, and then have it all */
static void test_host(void)
{
    Memory m;
    World *w = start(&m, 1);

    make_modified(w, 2, SEVEN);
    pass_under(w, 2, NONE);
    world_host(w, CXL_CACHE_HOST_READ, 2, 0);
    g_assert_cmphex(m.wrote, ==, SEVEN);
    g_assert_cmpuint(m.lefts, ==, 1);
    g_assert_cmphex(held(w, 2), ==, SEVEN);
    world_host(w, CXL_CACHE_HOST_FLUSH, 2, 0);
    g_assert_cmpuint(m.lefts, ==, 2);
    g_assert_cmphex(m.left, ==, SEVEN);
    g_assert_cmphex(held(w, 2), ==, NONE);
    end(w);
}

/* A line that was only read leaves, too. */
static void test_clean(void)
{
    Memory m;
    World *w = start(&m, 1);

    pass_under(w, 3, SEVEN);
    world_do(w, 0, CXL_CACHE_RD_SHARED, 3, 0);
    world_host(w, CXL_CACHE_HOST_FLUSH, 3, 0);
    g_assert_cmphex(m.left, ==, SEVEN);
    g_assert_cmphex(m.wrote, ==, UINT32_MAX);
    end(w);
}

/* Another device, of the same context: it gets what the first one has. */
static void test_same(void)
{
    Memory m;
    World *w = start(&m, 2);

    make_modified(w, 4, SEVEN);
    m.reads = 0;
    world_do(w, 1, CXL_CACHE_RD_SHARED, 4, 0);
    g_assert_cmphex(world_load(w, 1, 4), ==, V1);
    g_assert_cmpuint(m.reads, ==, 0);
    g_assert_cmphex(held(w, 4), ==, SEVEN);
    world_host(w, CXL_CACHE_HOST_FLUSH, 4, 0);
    end(w);
}

/* ... of another one: it is written back under the first, and is nothing. */
static void test_other(const unsigned opcode)
{
    WorldDone *done;
    Memory m;
    World *w = start(&m, 2);

    make_modified(w, 4, SEVEN);
    pass_under(w, 4, NINE);
    m.reads = 0;
    done = world_do(w, 1, opcode, 4, 0);
    g_assert_cmphex(world_value(&done->data), ==, GARBAGE);
    g_assert_cmpuint(m.reads, >, 0);
    if (opcode == CXL_CACHE_RD_CURR) {
        /* Its owner has it still. */
        g_assert_cmphex(held(w, 4), ==, SEVEN);
        g_assert_cmphex(world_load(w, 0, 4), ==, V1);
    } else {
        g_assert_cmphex(m.wrote, ==, SEVEN);
        g_assert_cmphex(world_ram(w, 4), ==, V1);
        g_assert_cmphex(held(w, 4), ==, NINE);
    }
    /* What it leaves behind is plain for none of the checks. */
    world_host(w, CXL_CACHE_HOST_FLUSH, 4, 0);
    end(w);
}

static void test_other_own(void)
{
    test_other(CXL_CACHE_RD_OWN);
}

static void test_other_any(void)
{
    test_other(CXL_CACHE_RD_ANY);
}

static void test_other_current(void)
{
    test_other(CXL_CACHE_RD_CURR);
}

/* What a device's write brings is of its own context, not of the line's. */
static void test_write(void)
{
    Memory m;
    World *w = start(&m, 2);

    pass_under(w, 5, NINE);
    world_do_be(w, 0, CXL_CACHE_WR_INV, 5, V2, ALL);
    g_assert_cmphex(m.wrote, ==, NINE);
    make_modified(w, 5, SEVEN);
    pass_under(w, 5, NINE);
    world_do_be(w, 1, CXL_CACHE_I_TO_M_WR, 5, V2, ALL);
    g_assert_cmphex(m.wrote, ==, NINE);
    g_assert_cmphex(world_ram(w, 5), ==, V2);
    g_assert_cmphex(held(w, 5), ==, NONE);
    end(w);
}

/*
 * The space is a part of the address: a line is not found by another one's, and
 * nothing becomes of it, until it has been taken from who has it.
 */
static void test_space(void)
{
    WorldDone *done;
    Memory m;
    World *w = start(&m, 2);

    make_modified(w, 6, NONE);
    pass_under(w, 6, SEVEN);
    done = world_do(w, 1, CXL_CACHE_RD_OWN, 6, 0);
    g_assert_true(done->d.failed);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->other_space, ==, 1);
    g_assert_cmpint(world_state(w, 0, 6), ==, CXL_CACHE_M);
    g_assert_cmphex(held(w, 6), ==, NONE);
    world_host(w, CXL_CACHE_HOST_FLUSH, 6, 0);
    g_assert_cmphex(m.wrote, ==, NONE);
    done = world_do(w, 1, CXL_CACHE_RD_OWN, 6, 0);
    g_assert_false(done->d.failed);
    g_assert_cmphex(world_value(&done->data), ==, GARBAGE);
    g_assert_cmphex(held(w, 6), ==, SEVEN);
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->other_space, ==, 1);
    world_host(w, CXL_CACHE_HOST_FLUSH, 6, 0);
    end(w);
}

/* An entry that goes to another line has nothing of the one before. */
static void test_reuse(void)
{
    WorldConfig cfg = world_config(1);
    Memory m;
    World *w;

    cfg.home.sf_lines = cfg.home.sf_ways = 2;
    w = world_new(&cfg);
    m = (Memory) { };
    w->opaque = &m;
    w->on_read = on_read;
    w->on_write = on_write;
    w->on_left = on_left;
    make_modified(w, 0, SEVEN);
    make_modified(w, 1, SEVEN);
    for (unsigned n = 2; n < 8; n++) {
        m.wrote = m.left = UINT32_MAX;
        pass_under(w, n, NONE);
        world_make(w, 0, n, CXL_CACHE_M, V2);
        g_assert_cmphex(held(w, n), ==, NONE);
        /* The victim, by a back-invalidation */
        g_assert_cmphex(m.wrote, ==, n < 4 ? SEVEN : NONE);
        g_assert_cmphex(m.left, ==, n < 4 ? SEVEN : NONE);
    }
    world_host(w, CXL_CACHE_HOST_FLUSH, 6, 0);
    world_host(w, CXL_CACHE_HOST_FLUSH, 7, 0);
    end(w);
}

/* ... in the fast gear, which knows no contexts and writes none */
static void test_gear(void)
{
    WorldConfig cfg = world_config(1);
    World *w;

    cfg.pages = cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    pass_under(w, 0, SEVEN);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), ==, 0);
    cxl_cache_run(w->home);
    g_assert_cmphex(held(w, 0), ==, SEVEN);
    world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0);
    cxl_cache_run(w->home);
    pass_under(w, 0, NONE);
    g_assert_cmphex(cxl_cache_page_own(w->dev[0], WORLD_BASE, 1), ==, 1);
    g_assert_cmphex(held(w, 0), ==, NONE);
    world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0);
    cxl_cache_run(w->home);
    world_free(w);
}

/* Copies that the host has of a device that is gone */
static void test_rescue(void)
{
    Memory m;
    World *w = start(&m, 1);

    make_modified(w, 7, SEVEN);
    g_assert_cmpuint(cxl_cache_home_rescue(w->home, 0), ==, 1);
    g_assert_cmphex(m.wrote, ==, SEVEN);
    g_assert_cmphex(world_ram(w, 7), ==, V1);
    g_assert_cmphex(held(w, 7), ==, NONE);
    cxl_cache_dev_reset(w->dev[0]);
    end(w);
}

/* All at once, by CacheFlushed */
static void test_flushed(void)
{
    Memory m;
    World *w = start(&m, 1);

    pass_under(w, 8, SEVEN);
    world_do(w, 0, CXL_CACHE_RD_SHARED, 8, 0);
    cxl_cache_dev_drop(w->dev[0], world_line(8));
    g_assert_cmpuint(m.lefts, ==, 0);
    world_do(w, 0, CXL_CACHE_CACHE_FLUSHED, 0, 0);
    g_assert_cmpuint(m.lefts, ==, 1);
    g_assert_cmphex(m.left, ==, SEVEN);
    end(w);
}

static const WorldTest tests[] = {
    { "evict", test_evict },
    { "host", test_host },
    { "clean", test_clean },
    { "same", test_same },
    { "other/own", test_other_own },
    { "other/any", test_other_any },
    { "other/current", test_other_current },
    { "write", test_write },
    { "space", test_space },
    { "reuse", test_reuse },
    { "gear", test_gear },
    { "rescue", test_rescue },
    { "flushed", test_flushed },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/context/", tests, ARRAY_SIZE(tests));
    return g_test_run();
}
