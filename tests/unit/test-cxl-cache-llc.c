/*
 * Unit test of the host's last-level cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What can be said by known answers is said here. That every hit, victim and
 * age is right is shown by a second implementation, cxl-cache-llc-model.py,
 * which is not made from this one: it runs this program with "--trace" and
 * compares.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_llc.h"

#define KIB 1024

/* ---- Making one ---- */

/* 4 slices of 16 sets of 4 ways: 16 KiB */
static const CXLLlcConfig small = {
    .size = 16 * KIB,
    .ways = 4,
    .slices = 4,
    .hash = CXL_LLC_HASH_LINEAR,
    .policy = "lru",
    .ddio_ways = 1,
    .directory_ways = 2,
};

#define SMALL_STRIDE 64     /* of lines in the same set */

static CXLLlc *make(const CXLLlcConfig *config)
{
    g_autofree char *error = NULL;
    CXLLlc *llc = cxl_llc_new(config, &error);

    g_assert_cmpstr(error, ==, NULL);
    g_assert_nonnull(llc);
    return llc;
}

static CXLLlc *make_small(const char *policy)
{
    CXLLlcConfig config = small;

    config.policy = policy;
    return make(&config);
}

static void assert_refused(const CXLLlcConfig *config, const char *why)
{
    g_autofree char *error = NULL;

    g_assert_null(cxl_llc_new(config, &error));
    g_assert_nonnull(error);
    if (!strstr(error, why)) {
        g_test_message("not about %s: %s", why, error);
    }
    g_assert_nonnull(strstr(error, why));
}

static CXLLlcResult use(CXLLlc *llc, uint64_t line, CXLLlcKind kind,
                        CXLLlcClass class)
{
    CXLLlcResult r;

    cxl_llc_access(llc, line, kind, class, &r);
    return r;
}

static CXLLlcResult load(CXLLlc *llc, uint64_t line)
{
    return use(llc, line, CXL_LLC_READ, CXL_LLC_CPU);
}

static void fill_set(CXLLlc *llc, CXLLlcKind kind)
{
    for (int i = 0; i < 4; i++) {
        CXLLlcResult r = use(llc, i * SMALL_STRIDE, kind, CXL_LLC_CPU);

        g_assert_true(r.allocated);
        g_assert_false(r.evicted);
    }
}

/* ---- Options ---- */

static void test_options(void)
{
    CXLLlcConfig c = small;

    c.slices = 3;
    assert_refused(&c, "'slices'");
    c.slices = 32;
    assert_refused(&c, "'slices'");
    c = small;
    c.ways = 0;
    assert_refused(&c, "'ways'");
    c.ways = 33;
    assert_refused(&c, "'ways'");
    c = small;
    c.size = 0;
    assert_refused(&c, "'size'");
    c.size = 3 * small.size;
    assert_refused(&c, "'size'");
    c.size = small.size + 64;
    assert_refused(&c, "'size'");
    c.size = 2ULL << 30;
    assert_refused(&c, "'size'");
    c = small;
    c.ddio_ways = 0;
    assert_refused(&c, "'ddio-ways'");
    c.ddio_ways = 5;
    assert_refused(&c, "'ddio-ways'");
    c = small;
    c.directory_ways = 33;
    assert_refused(&c, "'directory-ways'");
}

static void test_policy_names(void)
{
    static const struct {
        const char *name;
        const char *why;
    } bad[] = {
        { "", "there is no policy" },
        { "LRU", "there is no policy" },
        { "fifo", "there is no policy" },
        { "lru ", "there is no policy" },
        { "qlru", "there is no policy" },
        { "qlru:", "is no name of a QLRU" },
        { "qlru:H31_M1_R0_U0", "is no name of a QLRU" },
        { "qlru:H12_M1_R0_U0", "is no name of a QLRU" },
        { "qlru:H1_M1_R0_U0", "is no name of a QLRU" },
        { "qlru:H11_M4_R0_U0", "is no name of a QLRU" },
        { "qlru:H11_M1_R3_U0", "is no name of a QLRU" },
        { "qlru:H11_M1_R0_U4", "is no name of a QLRU" },
        { "qlru:H11_M1_R0", "is no name of a QLRU" },
        { "qlru:H11_M1_R0_U0_", "is no name of a QLRU" },
        { "qlru:H11_M1_R0_U0_UMOX", "is no name of a QLRU" },
        { "qlru:H11_R0_M1_U0", "is no name of a QLRU" },
        { "qlru:QLRU_H11_M1_R0_U0", "is no name of a QLRU" },
        { "qlru:H01_M1_R0_U0", "younger line the older" },
        { "qlru:H11_M1_R0_U2", "R0 needs a line of age 3" },
        { "qlru:H11_M1_R2_U3_UMO", "R2 needs a line of age 3" },
    };
    CXLLlcConfig c = small;
    unsigned good = 0;

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        c.policy = bad[i].name;
        assert_refused(&c, bad[i].why);
    }
    c.policy = "plru";
    c.ways = 12;
    c.size = 3 * small.size;
    assert_refused(&c, "power of two");

    /* All that uops.info's scheme gives: 5 H, 4 M, 8 pairs of R and U, UMO */
    c = small;
    for (int i = 0; i < 100 * 4 * 3 * 4 * 2; i++) {
        g_autofree char *name = g_strdup_printf("qlru:H%02d_M%d_R%d_U%d%s",
            i % 100, i / 100 % 4, i / 400 % 3, i / 1200 % 4,
            i / 4800 ? "_UMO" : "");
        g_autofree char *error = NULL;
        CXLLlc *llc;

        c.policy = name;
        llc = cxl_llc_new(&c, &error);
        g_assert_true(!llc == !!error);
        good += !!llc;
        cxl_llc_free(llc);
    }
    g_assert_cmpuint(good, ==, 5 * 4 * 8 * 2);
}

/* ---- Where lines go ---- */

static void test_slices(void)
{
    /* One address bit at a time, as the papers list the functions' bits */
    static const uint8_t by_bit_8[64] = {
        [6] = 1, [7] = 2, [8] = 4, [10] = 1, [11] = 2, [12] = 5, [13] = 6,
        [14] = 1, [15] = 2, [16] = 5, [17] = 3, [18] = 1, [19] = 6, [20] = 3,
        [21] = 2, [22] = 7, [23] = 6, [24] = 3, [25] = 1, [26] = 7, [27] = 5,
        [28] = 3, [29] = 2, [30] = 5, [31] = 6, [32] = 1, [33] = 3, [34] = 6,
        [35] = 7, [36] = 5, [37] = 6,
    };
    /* Sums of these: what is linear stays linear */
    static const struct {
        uint64_t addr;
        unsigned slice[5];      /* of 1, 2, 4, 8, 16 */
    } known[] = {
        { 0x0,          { 0, 0, 0, 0, 0 } },
        { 0x40,         { 0, 1, 1, 1, 1 } },
        { 0x80,         { 0, 0, 2, 2, 2 } },
        { 0x100,        { 0, 0, 0, 4, 4 } },
        { 0x200,        { 0, 0, 0, 0, 8 } },
        { 0x1000,       { 0, 1, 1, 5, 13 } },
        { 0x400000,     { 0, 1, 3, 7, 15 } },
        { 0x4000000,    { 0, 1, 3, 7, 15 } },
        { 0x2000000000, { 0, 0, 2, 6, 0 } },
        { 0x1fc0,       { 0, 1, 1, 1, 1 } },
    };
    CXLLlcConfig c = small;

    c.hash = CXL_LLC_HASH_INTEL;
    for (unsigned n = 0; n < 5; n++) {
        CXLLlc *llc;

        c.slices = 1 << n;
        llc = make(&c);
        for (int i = 0; i < ARRAY_SIZE(known); i++) {
            g_assert_cmpuint(cxl_llc_slice_of(llc, known[i].addr >> 6), ==,
                             known[i].slice[n]);
        }
        for (int bit = 6; n <= 3 && bit < 52; bit++) {
            g_assert_cmpuint(cxl_llc_slice_of(llc, 1ULL << (bit - 6)), ==,
                             by_bit_8[bit] & ((1 << n) - 1));
        }
        cxl_llc_free(llc);
    }
}

/* Neighbours go to all slices and sets alike, whatever the hash. */
static void test_spread(void)
{
    CXLLlcConfig c = small;

    for (c.hash = 0; c.hash < CXL_LLC_NUM_HASHES; c.hash++) {
        for (c.slices = 1; c.slices <= 16; c.slices *= 2) {
            CXLLlc *llc = make(&c);
            unsigned sets = cxl_llc_sets(llc), n[256] = { };

            g_assert_cmpuint(sets * c.slices * c.ways * 64, ==, c.size);
            for (uint64_t line = 0; line < 1 << 16; line++) {
                unsigned slice = cxl_llc_slice_of(llc, line);
                unsigned set = cxl_llc_set_of(llc, line);

                g_assert_cmpuint(slice, <, c.slices);
                g_assert_cmpuint(set, <, sets);
                n[slice * sets + set]++;
            }
            for (int i = 0; i < sets * c.slices; i++) {
                g_assert_cmpuint(n[i], ==, (1 << 16) / (sets * c.slices));
            }
            cxl_llc_free(llc);
        }
    }
}

/* ---- Who leaves ---- */

static void test_lru(void)
{
    CXLLlc *llc = make_small("lru");
    CXLLlcResult r;

    fill_set(llc, CXL_LLC_READ);
    g_assert_true(load(llc, 0).hit);
    r = load(llc, 4 * SMALL_STRIDE);
    g_assert_true(r.allocated && r.evicted && !r.hit);
    g_assert_cmpuint(r.victim.line, ==, SMALL_STRIDE);
    g_assert_cmpint(r.reason, ==, CXL_LLC_EVICT_SET);
    g_assert_false(r.victim.dirty);
    g_assert_cmpuint(r.at.way, ==, r.victim.way);
    g_assert_true(load(llc, 0).hit);
    g_assert_false(load(llc, SMALL_STRIDE).hit);
    cxl_llc_free(llc);
}

/*
 * A published example: nanoBench's for QLRU_H11_M1_R1_U2, an Ivy Bridge, is
 * what the model is held against; here the same by hand, for 4 ways.
 */
static void test_qlru_by_hand(void)
{
    CXLLlc *llc = make_small("qlru:H11_M1_R1_U2");
    static const struct {
        unsigned line;
        int victim;             /* or -1 */
        bool hit;
        uint8_t age[4];
    } steps[] = {
        { 0, -1, false, { 1, 3, 3, 3 } },
        { 1, -1, false, { 1, 1, 3, 3 } },
        { 0, -1, true,  { 0, 1, 3, 3 } },
        { 2, -1, false, { 0, 1, 1, 3 } },
        { 3, -1, false, { 1, 2, 2, 2 } },       /* no 3 is left: all age */
        { 1, -1, true,  { 2, 2, 3, 3 } },       /* H11: 2 becomes 1, then + 1 */
        { 4,  2, false, { 2, 2, 1, 3 } },
        { 5,  3, false, { 3, 3, 2, 2 } },
        { 0, -1, true,  { 1, 3, 2, 2 } },
        { 6,  1, false, { 2, 2, 3, 3 } },
    };

    for (int i = 0; i < ARRAY_SIZE(steps); i++) {
        CXLLlcResult r = load(llc, steps[i].line * SMALL_STRIDE);

        g_assert_cmpint(r.hit, ==, steps[i].hit);
        g_assert_cmpint(r.evicted, ==, steps[i].victim >= 0);
        if (r.evicted) {
            g_assert_cmpuint(r.victim.line, ==,
                             steps[i].victim * SMALL_STRIDE);
        }
        for (int way = 0; way < 4; way++) {
            CXLLlcEntry entry;
            uint8_t age;

            cxl_llc_entry(llc, 0, 0, way, &entry, &age);
            g_assert_cmpuint(age, ==, steps[i].age[way]);
        }
    }
    cxl_llc_free(llc);
}

static void test_write_back(void)
{
    CXLLlc *llc = make_small("lru");
    CXLLlcResult r;

    fill_set(llc, CXL_LLC_READ);
    use(llc, 0, CXL_LLC_WRITE, CXL_LLC_CPU);
    use(llc, SMALL_STRIDE, CXL_LLC_OWN, CXL_LLC_DEVICE);
    use(llc, 2 * SMALL_STRIDE, CXL_LLC_WRITE_BACK, CXL_LLC_DEVICE);
    for (int i = 0; i < 4; i++) {
        static const bool dirty[] = { false, true, false, true };
        static const int order[] = { 3, 0, 1, 2 };

        r = load(llc, (10 + i) * SMALL_STRIDE);
        g_assert_cmpuint(r.victim.line, ==, order[i] * SMALL_STRIDE);
        g_assert_cmpint(r.victim.dirty, ==, dirty[i]);
    }
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->write_backs, ==, 2);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->fills, ==, 8);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->hits, ==, 3);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->misses, ==, 8);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->evictions[CXL_LLC_EVICT_SET], ==,
                     4);
    cxl_llc_free(llc);
}

/* ---- Way masks ---- */

static void test_masks(void)
{
    CXLLlc *llc = make_small("lru");

    g_assert_cmphex(cxl_llc_mask(llc, CXL_LLC_CPU), ==, 0xf);
    g_assert_cmphex(cxl_llc_mask(llc, CXL_LLC_DEVICE), ==, 0xf);
    g_assert_cmphex(cxl_llc_mask(llc, CXL_LLC_DMA), ==, 0x8);
    g_assert_cmphex(cxl_llc_mask(llc, CXL_LLC_PIN), ==, 0);
    for (CXLLlcClass c = 0; c < CXL_LLC_NUM_CLASSES; c++) {
        g_assert_false(cxl_llc_set_mask(llc, c, 0x10));
        g_assert_true(cxl_llc_set_mask(llc, c, 0x6));
        g_assert_cmpint(cxl_llc_set_mask(llc, c, 0), ==, c == CXL_LLC_PIN);
        g_assert_cmphex(cxl_llc_mask(llc, c), ==, c == CXL_LLC_PIN ? 0 : 0x6);
    }
    cxl_llc_free(llc);
}

/* DMA has its ways, hits everywhere, and reads bring nothing. */
static void test_ddio(void)
{
    CXLLlc *llc = make_small("lru");
    CXLLlcResult r;

    fill_set(llc, CXL_LLC_READ);
    r = use(llc, 9 * SMALL_STRIDE, CXL_LLC_READ, CXL_LLC_DMA);
    g_assert_false(r.hit || r.allocated || r.evicted);
    g_assert_true(use(llc, 0, CXL_LLC_WRITE, CXL_LLC_DMA).hit);
    for (int i = 10; i < 14; i++) {
        r = use(llc, i * SMALL_STRIDE, CXL_LLC_WRITE, CXL_LLC_DMA);
        g_assert_cmpuint(r.at.way, ==, 3);
        g_assert_true(r.evicted);
        g_assert_cmpint(r.reason, ==, CXL_LLC_EVICT_DDIO);
        g_assert_cmpuint(r.victim.line, ==, (i == 10 ? 3 : i - 1) *
                         SMALL_STRIDE);
        g_assert_cmpint(r.victim.dirty, ==, i > 10);
    }
    for (int i = 0; i < 3; i++) {
        g_assert_true(load(llc, i * SMALL_STRIDE).hit);
    }
    cxl_llc_free(llc);
}

/* A line in a way that no other class may take stays, whatever comes. */
static void test_pin(const void *policy)
{
    CXLLlc *llc = make_small(policy);
    CXLLlcResult r;
    CXLLlcEntry e;

    g_assert_false(use(llc, 0, CXL_LLC_READ, CXL_LLC_PIN).allocated);
    g_assert_true(cxl_llc_set_mask(llc, CXL_LLC_PIN, 0x2));
    g_assert_true(cxl_llc_set_mask(llc, CXL_LLC_CPU, 0xd));
    g_assert_true(cxl_llc_set_mask(llc, CXL_LLC_DEVICE, 0xd));
    r = use(llc, 0, CXL_LLC_READ, CXL_LLC_PIN);
    g_assert_true(r.allocated);
    g_assert_cmpuint(r.at.way, ==, 1);
    for (int i = 1; i <= 100000; i++) {
        r = use(llc, i * SMALL_STRIDE, i % 4, i % 3);
        g_assert_cmpuint(r.at.way, !=, 1);
    }
    g_assert_true(cxl_llc_find(llc, 0, &e));
    g_assert_true(load(llc, 0).hit);

    /* Given up: it can leave, and it is known what it was. */
    g_assert_true(cxl_llc_set_mask(llc, CXL_LLC_PIN, 0));
    g_assert_true(cxl_llc_set_mask(llc, CXL_LLC_CPU, 0x2));
    r = load(llc, 200000 * SMALL_STRIDE);
    g_assert_true(r.evicted);
    g_assert_cmpuint(r.victim.line, ==, 0);
    g_assert_cmpint(r.reason, ==, CXL_LLC_EVICT_UNPIN);
    g_assert_cmpint(r.victim.class, ==, CXL_LLC_PIN);
    cxl_llc_free(llc);
}

/* ---- Flushes ---- */

static void count_entry(void *opaque, const CXLLlcEntry *entry)
{
    uint64_t *lines = opaque;

    g_assert_cmpuint(entry->line % SMALL_STRIDE, ==, 0);
    *lines |= 1ULL << entry->line / SMALL_STRIDE;
}

static void test_flush(void)
{
    CXLLlc *llc = make_small("lru");
    CXLLlcEntry gone;
    uint64_t lines = 0;

    fill_set(llc, CXL_LLC_WRITE);
    g_assert_false(cxl_llc_flush_line(llc, 7 * SMALL_STRIDE, &gone));
    g_assert_true(cxl_llc_flush_line(llc, 2 * SMALL_STRIDE, &gone));
    g_assert_cmpuint(gone.line, ==, 2 * SMALL_STRIDE);
    g_assert_true(gone.dirty);
    g_assert_false(cxl_llc_flush_line(llc, 2 * SMALL_STRIDE, NULL));
    g_assert_cmpuint(cxl_llc_flush(llc, count_entry, &lines), ==, 3);
    g_assert_cmphex(lines, ==, 0xb);
    g_assert_cmpuint(cxl_llc_flush(llc, NULL, NULL), ==, 0);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->evictions[CXL_LLC_EVICT_FLUSH],
                     ==, 4);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->write_backs, ==, 4);
    cxl_llc_reset(llc);
    g_assert_cmpuint(cxl_llc_stats(llc, 0)->fills, ==, 0);
    cxl_llc_free(llc);
}

/* ---- The directory ---- */

static void test_directory(void)
{
    CXLLlc *llc = make_small("lru");
    CXLLlcConfig none = small;
    CXLLlcEntry victim;

    g_assert_false(cxl_llc_track(llc, 0, &victim));
    g_assert_false(cxl_llc_track(llc, SMALL_STRIDE, &victim));
    g_assert_false(cxl_llc_track(llc, 0, &victim));
    g_assert_true(cxl_llc_tracks(llc, 0));
    g_assert_true(cxl_llc_track(llc, 2 * SMALL_STRIDE, &victim));
    g_assert_cmpuint(victim.line, ==, 0);
    g_assert_false(cxl_llc_tracks(llc, 0));
    cxl_llc_untrack(llc, SMALL_STRIDE);
    g_assert_false(cxl_llc_track(llc, 3 * SMALL_STRIDE, &victim));
    /* Another set is another set. */
    g_assert_false(cxl_llc_track(llc, 1, &victim));
    g_assert_cmpuint(
        cxl_llc_stats(llc, 0)->evictions[CXL_LLC_EVICT_DIRECTORY], ==, 1);
    cxl_llc_free(llc);

    none.directory_ways = 0;
    llc = make(&none);
    for (int i = 0; i < 100; i++) {
        g_assert_false(cxl_llc_track(llc, i * SMALL_STRIDE, &victim));
    }
    g_assert_false(cxl_llc_tracks(llc, 0));
    cxl_llc_untrack(llc, 0);
    cxl_llc_free(llc);
}

/* An address beyond 52 bits is that of another line: nobody is hurt. */
static void test_far(void)
{
    CXLLlc *llc = make_small("plru");

    load(llc, 5);
    g_assert_true(load(llc, CXL_LLC_LINE_MAX + 5).hit);
    g_assert_cmpuint(cxl_llc_slice_of(llc, UINT64_MAX), <, 4);
    cxl_llc_free(llc);
}

/* ---- The second implementation ---- */

enum { DO_ACCESS, DO_FLUSH_LINE, DO_FLUSH, DO_MASK, DO_TRACK, DO_UNTRACK };

typedef struct Step {
    uint64_t line;
    CXLLlcKind kind;
    CXLLlcClass class;
    unsigned what;
} Step;

static CXLLlcResult do_step(CXLLlc *llc, const Step *s)
{
    CXLLlcResult r = { };

    switch (s->what) {
    case DO_ACCESS:
        cxl_llc_access(llc, s->line, s->kind, s->class, &r);
        break;
    case DO_FLUSH_LINE:
        r.hit = r.evicted = cxl_llc_flush_line(llc, s->line, &r.victim);
        r.reason = r.hit ? CXL_LLC_EVICT_FLUSH : 0;
        r.at.way = r.victim.way;
        break;
    case DO_FLUSH:
        cxl_llc_flush(llc, NULL, NULL);
        break;
    case DO_MASK:
        g_assert_true(cxl_llc_set_mask(llc, s->class, s->line));
        break;
    case DO_TRACK:
        r.evicted = cxl_llc_track(llc, s->line, &r.victim);
        r.reason = r.evicted ? CXL_LLC_EVICT_DIRECTORY : 0;
        break;
    case DO_UNTRACK:
        cxl_llc_untrack(llc, s->line);
        break;
    }
    return r;
}

static void print_result(const CXLLlc *llc, const Step *s,
                         const CXLLlcResult *r)
{
    unsigned slice = cxl_llc_slice_of(llc, s->line);
    unsigned set = cxl_llc_set_of(llc, s->line);
    unsigned ways = cxl_llc_config(llc)->ways;
    uint64_t word[2] = {
        r->hit | r->allocated << 1 | r->evicted << 2 | r->victim.dirty << 3 |
        r->reason << 4 | r->victim.class << 8 | r->at.way << 16 |
        (uint64_t)slice << 24 | (uint64_t)set << 32,
        r->victim.line,
    };
    uint8_t age[CXL_LLC_MAX_WAYS];

    for (unsigned way = 0; way < ways; way++) {
        CXLLlcEntry entry;

        cxl_llc_entry(llc, slice, set, way, &entry, &age[way]);
    }
    word[0] = GUINT64_TO_LE(word[0]);
    word[1] = GUINT64_TO_LE(word[1]);
    fwrite(word, sizeof(word), 1, stdout);
    fwrite(age, ways, 1, stdout);
}

/* size ways slices hash policy ddio-ways directory-ways; steps from stdin */
static int trace(char **arg)
{
    CXLLlcConfig config = {
        .size = g_ascii_strtoull(arg[0], NULL, 0),
        .ways = atoi(arg[1]),
        .slices = atoi(arg[2]),
        .hash = strcmp(arg[3], "intel") ? CXL_LLC_HASH_LINEAR
                                        : CXL_LLC_HASH_INTEL,
        .policy = arg[4],
        .ddio_ways = atoi(arg[5]),
        .directory_ways = atoi(arg[6]),
    };
    g_autofree char *error = NULL;
    CXLLlc *llc = cxl_llc_new(&config, &error);
    uint64_t word;

    if (!llc) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    while (fread(&word, sizeof(word), 1, stdin) == 1) {
        uint64_t w = GUINT64_FROM_LE(word);
        const Step s = {
            .line = w & (CXL_LLC_LINE_MAX - 1),
            .kind = w >> 48 & 0xf,
            .class = w >> 52 & 0xf,
            .what = w >> 56,
        };
        CXLLlcResult r = do_step(llc, &s);

        print_result(llc, &s, &r);
    }
    cxl_llc_free(llc);
    return 0;
}

static char *model_path(void)
{
    static const char name[] = "cxl-cache-llc-model.py";
    const char *dir = g_getenv("G_TEST_SRCDIR");

#ifdef CXL_CACHE_SOURCE_ROOT
    return g_build_filename(CXL_CACHE_SOURCE_ROOT, "tests", "unit", name,
                            NULL);
#endif
    if (dir) {
        return g_build_filename(dir, name, NULL);
    }
    /* As QEMU's own unit tests are run: from the build folder. */
    g_autofree char *here = g_path_get_dirname(__FILE__);

    return g_build_filename(here, name, NULL);
}

static void test_model(const void *accesses)
{
    g_autofree char *model = model_path(), *said = NULL;
    g_autoptr(GError) err = NULL;
    g_autofree char *self = g_file_read_link("/proc/self/exe", &err);
    char *args[] = {
        (char *)"python3", model, self, (char *)accesses, NULL
    };
    int status;

    g_assert_no_error(err);
    g_assert_true(g_spawn_sync(NULL, args, NULL, G_SPAWN_SEARCH_PATH, NULL,
                               NULL, &said, NULL, &status, &err));
    g_assert_no_error(err);
    g_test_message("%s", said);
    g_assert_cmpint(status, ==, 0);
    g_assert_nonnull(strstr(said, "no difference"));
}

int main(int argc, char **argv)
{
    static const char *const policies[] = {
        "lru", "plru", "srrip", "qlru:H11_M1_R1_U2", "qlru:H00_M1_R2_U1",
        "qlru:H21_M3_R0_U0",
    };

    if (argc == 9 && !strcmp(argv[1], "--trace")) {
        return trace(&argv[2]);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-llc/options", test_options);
    g_test_add_func("/cxl-llc/policy-names", test_policy_names);
    g_test_add_func("/cxl-llc/slices", test_slices);
    g_test_add_func("/cxl-llc/spread", test_spread);
    g_test_add_func("/cxl-llc/lru", test_lru);
    g_test_add_func("/cxl-llc/qlru-by-hand", test_qlru_by_hand);
    g_test_add_func("/cxl-llc/write-back", test_write_back);
    g_test_add_func("/cxl-llc/masks", test_masks);
    g_test_add_func("/cxl-llc/ddio", test_ddio);
    for (int i = 0; i < ARRAY_SIZE(policies); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-llc/pin/%s",
                                                policies[i]);

        g_test_add_data_func(path, policies[i], test_pin);
    }
    g_test_add_func("/cxl-llc/flush", test_flush);
    g_test_add_func("/cxl-llc/directory", test_directory);
    g_test_add_func("/cxl-llc/far", test_far);
    g_test_add_data_func("/cxl-llc/model", "60000", test_model);
    if (g_test_slow()) {
        g_test_add_data_func("/cxl-llc/model-long", "2000000", test_model);
    }
    return g_test_run();
}
