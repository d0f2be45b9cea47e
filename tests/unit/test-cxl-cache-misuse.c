/*
 * CXL.cache: calls that a user of the library should not make
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each has a defined outcome: an error, nothing, or an assertion that says what
 * is wrong. The numbers are those of the project's list of faults met in the
 * field.
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "cxl-cache-world.h"

#define V1 0x77001
#define V2 0x77002
#define ALL CXL_CACHE_BE_ALL

/* 17: a line of more than 46 bits is not the one of its lower bits */

static void test_no_alias(void)
{
    CXLCacheLineData data = world_data(V2);

    for (unsigned bit = 46; bit < 64; bit++) {
        World *w = world_of_peers(1);
        CXLCacheDev *dev = w->dev[0];
        uint64_t far = world_line(0) | 1ULL << bit;
        uint64_t empty = world_line(1) | 1ULL << bit;
        bool excl = true;

        world_make(w, 0, 0, CXL_CACHE_M, V1);
        world_make(w, 0, 1, CXL_CACHE_EN, 0);
        world_make(w, 0, 2, CXL_CACHE_E, 0);
        g_assert_cmpint(cxl_cache_dev_state(dev, far), ==, CXL_CACHE_I);
        g_assert_false(cxl_cache_dev_read(dev, far, &data, NULL));
        g_assert_false(cxl_cache_dev_write(dev, far, &data, ALL));
        g_assert_false(cxl_cache_dev_stage(dev, empty, &data));
        g_assert_false(cxl_cache_dev_drop(dev, world_line(2) | 1ULL << bit));
        g_assert_cmpint(cxl_cache_dev_evict(dev, far), ==, -EINVAL);
        g_assert_cmphex(cxl_cache_home_tracks(w->home, far, &excl), ==, 0);
        g_assert_false(excl);
        cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_REQ, &(CXLCacheMsg) {
            .opcode = CXL_CACHE_SNP_INV, .line = far }, NULL);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_expect_error(w, 0, CXL_CACHE_ERR_ADDRESS);
        g_assert_null(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_RSP));
        g_assert_cmphex(world_load(w, 0, 0), ==, V1);
        g_assert_cmpint(world_state(w, 0, 1), ==, CXL_CACHE_EN);
        g_assert_cmpint(world_state(w, 0, 2), ==, CXL_CACHE_E);
        world_clear(w);
        world_free(w);
    }
}

/* 18: what cannot be asked for */

static void test_detach_unknown(void)
{
    static const unsigned numbers[] = {
        1, 2, CXL_CACHE_DEV_MAX - 1, CXL_CACHE_DEV_MAX, 1000, INT_MAX, UINT_MAX,
    };
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        g_assert_null(cxl_cache_home_link(w->home, numbers[i]));
        g_assert_cmpuint(cxl_cache_home_isolate(w->home, numbers[i]), ==, 0);
        cxl_cache_home_detach(w->home, numbers[i]);
        g_assert_cmpuint(cxl_cache_home_devices(w->home), ==, 1);
    }
    g_assert_cmphex(world_load(w, 0, 0), ==, V1);
    world_do(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    world_clear(w);
    world_free(w);
}

static void test_attach_twice(void)
{
    WorldConfig cfg = world_config(2);
    World *w = world_new(&cfg);
    CXLCacheHome *other = cxl_cache_home_new(&cfg.home, NULL, NULL);
    CXLCacheLink *link;
    int cqid;

    g_assert_cmpint(cxl_cache_home_attach(w->home, w->link[0]), ==, -EBUSY);
    g_assert_cmpint(cxl_cache_home_attach(other, w->link[0]), ==, -EBUSY);
    g_assert_cmpint(cxl_cache_home_attach(other, NULL), ==, -EINVAL);
    g_assert_cmpuint(cxl_cache_home_devices(w->home), ==, 2);
    g_assert_cmpuint(cxl_cache_home_devices(other), ==, 0);
    /* Detached, or its home gone, it is free again. */
    cxl_cache_home_detach(w->home, 1);
    g_assert_cmpint(cxl_cache_home_attach(other, w->link[1]), ==, 0);
    cxl_cache_home_free(other);
    /* What it asks for meanwhile is answered when there is a home again. */
    cqid = world_ask(w, 1, CXL_CACHE_RD_OWN, 1, 0, CXL_CACHE_BE_ALL);
    g_assert_cmpint(cqid, >=, 0);
    g_assert_cmpint(cxl_cache_home_attach(w->home, w->link[1]), ==, 1);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
    world_make(w, 1, 0, CXL_CACHE_M, V1);
    world_free(w);
    /* More than there may be */
    w = world(CXL_CACHE_DEV_MAX);
    link = cxl_cache_link_new(&cfg.link);
    g_assert_cmpint(cxl_cache_home_attach(w->home, link), ==, -ENOSPC);
    cxl_cache_link_free(link);
    world_free(w);
}

/* AddressSanitizer asks: out of memory, it is to return NULL as others do. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void no_memory(struct rlimit *old)
{
    struct rlimit low;

    g_assert_cmpint(getrlimit(RLIMIT_AS, old), ==, 0);
    low = *old;
    low.rlim_cur = 1 << 20;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &low), ==, 0);
}

static void test_sizes(void)
{
    static const CXLCacheDevOps ops;
    static const struct {
        uint64_t size;
        unsigned ways, requests;
    } devs[] = {
        { 0, 1, 1 }, { 1, 1, 1 }, { 64, 0, 1 }, { 64, 1, 0 }, { 64, 2, 1 },
        { 64, 1, CXL_CACHE_ID_MAX + 1 }, { 64 * 17, 17, 1 }, { 96, 1, 1 },
        { UINT64_MAX, 1, 1 }, { 1ULL << 63, 16, 1 }, { 1ULL << 37, 1, 1 },
        { 192, 2, 1 }, { 1024, 16, UINT_MAX }, { 1024, UINT_MAX, 1 },
    };
    static const CXLCacheHomeConfig homes[] = {
        { 0, 1, 2 }, { 1, 0, 2 }, { 1, 1, 1 }, { 1, 1, CXL_CACHE_ID_MAX + 1 },
        { 3, 1, 2 }, { 4, 8, 2 }, { 65, 65, 2 }, { UINT_MAX, 1, 2 },
        { UINT_MAX, UINT_MAX, 2 }, { 1, 1, UINT_MAX },
    };
    WorldConfig cfg = world_config(1);
    CXLCacheLink *link = cxl_cache_link_new(&cfg.link);
    CXLCacheLinkConfig bad = cfg.link;
    struct rlimit old;

    for (unsigned i = 0; i < ARRAY_SIZE(devs); i++) {
        g_assert_null(cxl_cache_dev_new(&(CXLCacheDevConfig) {
            .size = devs[i].size, .ways = devs[i].ways,
            .requests = devs[i].requests }, link, &ops, NULL));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(homes); i++) {
        g_assert_null(cxl_cache_home_new(&homes[i], NULL, NULL));
    }
    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        bad = cfg.link;
        bad.depth[i] = 0;
        g_assert_null(cxl_cache_link_new(&bad));
        bad.depth[i] = CXL_CACHE_ID_MAX + 1;
        g_assert_null(cxl_cache_link_new(&bad));
        bad.depth[i] = CXL_CACHE_ID_MAX;
    }
    /* Legal, but there is no such memory; a link that could not be had */
    no_memory(&old);
    g_assert_null(cxl_cache_dev_new(&(CXLCacheDevConfig) {
        .size = 1ULL << 36, .ways = 1, .requests = 1 }, link, &ops, NULL));
    g_assert_null(cxl_cache_home_new(&(CXLCacheHomeConfig) {
        .sf_lines = 1U << 31, .sf_ways = 1, .transactions = 2 }, NULL, NULL));
    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        bad.depth[i] = CXL_CACHE_ID_MAX;
    }
    g_assert_null(cxl_cache_link_new(&bad));
    g_assert_cmpint(setrlimit(RLIMIT_AS, &old), ==, 0);
    g_assert_null(cxl_cache_dev_new(&cfg.dev, NULL, &ops, NULL));
    cxl_cache_dev_free(NULL);
    cxl_cache_home_free(NULL);
    cxl_cache_link_free(NULL);
    /* The link has no device from all that. */
    cxl_cache_dev_free(cxl_cache_dev_new(&cfg.dev, link, &ops, NULL));
    cxl_cache_link_free(link);
}

/* A callback that runs the home: for ever, if it were not stopped */

static void run_in_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    cxl_cache_run(w->home);
}

static void run_in_host_done(World *w, const CXLCacheHostDone *done)
{
    cxl_cache_run(w->home);
}

static void run_in_write(World *w, uint64_t line, const CXLCacheLineData *data,
                         uint64_t be, bool poison, CXLCacheWriteWhy why)
{
    cxl_cache_run(w->home);
}

static void call_back_in(unsigned how)
{
    World *w = world_of_peers(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    switch (how) {
    case 0:
        w->on_done = run_in_done;
        world_do(w, 0, CXL_CACHE_RD_OWN, 1, 0);
        break;
    case 1:
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 1, 0, ALL), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        w->on_done = run_in_done;
        world_step(w, 0, CXL_CACHE_H2D_DATA);
        break;
    case 2:
        w->on_host_done = run_in_host_done;
        world_host(w, CXL_CACHE_HOST_FLUSH, 0, 0);
        break;
    case 3:
        w->on_host_done = run_in_host_done;
        world_host_ask(w, CXL_CACHE_HOST_READ, 1, 0, 0);
        break;
    default:
        w->on_write = run_in_write;
        world_host(w, CXL_CACHE_HOST_READ, 0, 0);
    }
}

static void test_run_in_callback(gconstpointer opaque)
{
    if (g_test_subprocess()) {
        call_back_in(GPOINTER_TO_UINT(opaque));
        return;
    }
    g_test_trap_subprocess(NULL, 5 * G_USEC_PER_SEC, 0);
    g_assert_false(g_test_trap_reached_timeout());
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*no callback may*");
}

static const WorldTest tests[] = {
    { "17-no-alias", test_no_alias },
    { "18-detach-unknown", test_detach_unknown },
    { "18-attach-twice", test_attach_twice },
    { "18-sizes", test_sizes },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/field/", tests, ARRAY_SIZE(tests));
    for (unsigned i = 0; i < 5; i++) {
        g_autofree char *name = g_strdup_printf(
            "/cxl-cache/field/18-run-in-callback-%u", i);

        g_test_add_data_func(name, GUINT_TO_POINTER(i), test_run_in_callback);
    }
    return g_test_run();
}
