/*
 * Unit test of lines in several encryption contexts
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Known answers for what each way of coherence lets happen, and a second model
 * that does it as a textbook would: memory below, a table of lines above, each
 * with its own bytes. Both get the same accesses, and must agree on every byte,
 * every line, and every count.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_alias.h"

#define SIZE    CXL_ALIAS_LINE_SIZE
#define LINES   24
#define PLAIN   CXL_ALIAS_PLAIN
#define ASIDS   2
#define CPUS    3
#define ONE     CXL_ALIAS_OF_ASID(1)
#define TWO     CXL_ALIAS_OF_ASID(2)
#define ALL     CXL_ALIAS_ALL_CPUS

/* ---- What is beneath ---- */

static uint8_t shown[LINES][SIZE];

static void read_shown(void *opaque, uint64_t line, uint8_t *data)
{
    memcpy(data, shown[line], SIZE);
}

static void write_shown(void *opaque, uint64_t line, const uint8_t *data)
{
    memcpy(shown[line], data, SIZE);
}

/* Depends on context, line and place; is no involution */
static void cipher(void *opaque, unsigned context, uint64_t line,
                  const uint8_t *in, uint8_t *out, bool encrypt)
{
    uint8_t copy[SIZE];

    g_assert_cmpuint(context, !=, PLAIN);
    memcpy(copy, in, SIZE);
    for (unsigned i = 0; i < SIZE; i++) {
        uint8_t key = context * 61 + line * 7 + i * 13;

        out[i] = encrypt ? copy[i] + key : copy[i] - key;
    }
}

static const CXLAliasOps ops = { read_shown, write_shown, cipher };

static CXLAlias *make(unsigned lines, CXLAliasCoherence coherence)
{
    memset(shown, 0, sizeof(shown));
    return cxl_alias_new(lines, coherence, &ops, NULL);
}

static uint8_t load(CXLAlias *a, unsigned context, uint64_t line)
{
    uint8_t byte;

    if (context == PLAIN) {
        cxl_alias_plain(a, 0, line, false);
        return shown[line][0];
    }
    cxl_alias_load(a, 0, context, line, 0, 1, &byte);
    return byte;
}

static void store(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                  uint8_t byte)
{
    if (context == PLAIN) {
        cxl_alias_plain(a, cpu, line, true);
        shown[line][0] = byte;
    } else {
        cxl_alias_store(a, cpu, context, line, 0, 1, &byte);
    }
}

static uint8_t device_load(CXLAlias *a, uint64_t line)
{
    cxl_alias_device(a, line, false);
    return shown[line][0];
}

static void device_store(CXLAlias *a, uint64_t line, uint8_t byte)
{
    cxl_alias_device(a, line, true);
    shown[line][0] = byte;
}

/* What is to be seen of @byte in another context */
static uint8_t as_plain(unsigned context, uint64_t line, uint8_t byte)
{
    uint8_t data[SIZE] = { byte };

    cipher(NULL, context, line, data, data, true);
    return data[0];
}

/* ---- Known answers ---- */

/* Both lines live side by side; who is written back later, wins. */
static void test_later_wins(void)
{
    for (int encrypted_later = 0; encrypted_later < 2; encrypted_later++) {
        CXLAlias *a = make(8, CXL_ALIAS_COHERENT_OFF);
        const CXLAliasPair *p;

        store(a, 0, ONE, 3, 0x11);
        store(a, 0, PLAIN, 3, 0x22);
        g_assert_cmphex(load(a, ONE, 3), ==, 0x11);
        g_assert_cmphex(load(a, PLAIN, 3), ==, 0x22);
        cxl_alias_flush_line(a, encrypted_later ? PLAIN : ONE, 3);
        g_assert_cmpuint(cxl_alias_stats(a)->overwritten, ==, 0);
        cxl_alias_flush_line(a, encrypted_later ? ONE : PLAIN, 3);
        g_assert_cmpuint(cxl_alias_stats(a)->overwritten, ==, 1);
        g_assert_cmphex(load(a, PLAIN, 3), ==,
                        encrypted_later ? as_plain(ONE, 3, 0x11) : 0x22);
        p = cxl_alias_pair(a, 0);
        g_assert_cmpuint(p->line, ==, 3);
        g_assert_cmpuint(p->context, ==, ONE);
        g_assert_cmpuint(p->other, ==, PLAIN);
        g_assert_cmpuint(p->overwritten, ==, 1);
        g_assert_null(cxl_alias_pair(a, 1));
        cxl_alias_free(a);
    }
}

/* A line that nobody has modified hides what was written back beneath it. */
static void test_stale(void)
{
    CXLAlias *a = make(8, CXL_ALIAS_COHERENT_OFF);

    g_assert_cmphex(load(a, PLAIN, 0), ==, 0);
    store(a, 0, ONE, 0, 0x33);
    cxl_alias_flush_line(a, ONE, 0);
    g_assert_cmphex(load(a, PLAIN, 0), ==, 0);
    g_assert_cmpuint(cxl_alias_stats(a)->stale, ==, 1);
    cxl_alias_flush_line(a, PLAIN, 0);
    g_assert_cmphex(load(a, PLAIN, 0), ==, as_plain(ONE, 0, 0x33));
    g_assert_cmphex(load(a, ONE, 0), ==, 0x33);
    g_assert_cmpuint(cxl_alias_stats(a)->needed, ==, 2);
    cxl_alias_free(a);
}

/* Two ASIDs are two contexts, wherever. */
static void test_asids(void)
{
    CXLAlias *a = make(8, CXL_ALIAS_COHERENT_ALL);

    store(a, 0, ONE, 0, 0x44);
    g_assert_cmphex(load(a, TWO, 0), !=, 0x44);
    g_assert_false(cxl_alias_find(a, ONE, 0, NULL));
    g_assert_cmphex(load(a, ONE, 0), ==, 0x44);
    cxl_alias_free(a);
}

/*
 * What a store of one context's becomes for another agent: found by CPUs with
 * "cpu", by devices with "all" alone (CVE-2022-0171).
 */
static void test_coherence(void)
{
    for (int mode = 0; mode < 3; mode++) {
        CXLAlias *a = make(8, mode);
        uint8_t now = as_plain(ONE, 1, 0x55);

        store(a, 0, ONE, 1, 0x55);
        g_assert_cmpint(device_load(a, 1) == now, ==,
                        mode == CXL_ALIAS_COHERENT_ALL);
        store(a, 0, ONE, 1, 0x55);
        g_assert_cmpint(load(a, PLAIN, 1) == now, ==,
                        mode != CXL_ALIAS_COHERENT_OFF);
        cxl_alias_free(a);

        /* A page goes to the host, whose device writes it. */
        a = make(8, mode);
        store(a, 0, ONE, 1, 0x55);
        device_store(a, 1, 0x66);
        cxl_alias_flush(a, ALL, true);
        g_assert_cmpint(shown[1][0] == 0x66, ==,
                        mode == CXL_ALIAS_COHERENT_ALL);
        g_assert_cmpuint(cxl_alias_stats(a)->overwritten, ==,
                         mode != CXL_ALIAS_COHERENT_ALL);
        if (mode != CXL_ALIAS_COHERENT_ALL) {
            g_assert_cmpuint(cxl_alias_pair(a, 0)->other, ==,
                             CXL_ALIAS_DEVICE);
        } else {
            g_assert_null(cxl_alias_pair(a, 0));
        }
        cxl_alias_free(a);
    }
}

/* A flush is of one CPU's lines, and costs what it looks at. */
static void test_flush(void)
{
    CXLAlias *a = make(8, CXL_ALIAS_COHERENT_OFF);
    const CXLAliasStats *s = cxl_alias_stats(a);
    bool dirty;

    store(a, 0, ONE, 0, 1);
    store(a, 1, ONE, 1, 1);
    load(a, ONE, 2);
    g_assert_cmpuint(cxl_alias_num_lines(a, 0), ==, 2);
    g_assert_cmpuint(cxl_alias_num_lines(a, 1), ==, 1);
    cxl_alias_flush(a, 0, true);
    g_assert_cmpuint(s->scanned, ==, 2);
    g_assert_cmpuint(s->needed, ==, 1);
    g_assert_cmpuint(s->wasted, ==, 1);
    g_assert_cmpuint(cxl_alias_num_lines(a, ALL), ==, 1);
    g_assert_cmphex(shown[0][0], ==, as_plain(ONE, 0, 1));

    /* WBNOINVD: it stays, and is as memory is. */
    g_assert_cmphex(shown[1][0], ==, 0);
    cxl_alias_flush(a, 1, false);
    g_assert_true(cxl_alias_find(a, ONE, 1, &dirty));
    g_assert_false(dirty);
    g_assert_cmphex(shown[1][0], ==, as_plain(ONE, 1, 1));
    cxl_alias_flush(a, ALL, true);
    g_assert_cmpuint(s->flushed, ==, 4);
    g_assert_cmpuint(s->wasted, ==, 2);
    g_assert_cmpuint(s->write_backs, ==, 2);

    /* By the line and by the page, of one context */
    store(a, 0, ONE, 4, 1);
    store(a, 0, TWO, 5, 1);
    cxl_alias_flush_line(a, TWO, 4);
    cxl_alias_flush_line(a, ONE, 5);
    g_assert_cmpuint(cxl_alias_num_lines(a, ALL), ==, 2);
    cxl_alias_flush_page(a, TWO, 0);
    g_assert_true(cxl_alias_find(a, ONE, 4, NULL));
    g_assert_false(cxl_alias_find(a, TWO, 5, NULL));
    g_assert_cmpuint(s->scanned, ==, 4 + 2 + CXL_ALIAS_PAGE_LINES);
    cxl_alias_reset(a);
    g_assert_cmpuint(cxl_alias_num_lines(a, ALL), ==, 0);
    g_assert_cmpuint(s->scanned, ==, 0);
    cxl_alias_free(a);
}

/* ---- The second model ---- */

typedef struct Ref {
    bool valid;
    bool dirty;
    int cpu;
    unsigned long used;
    uint8_t data[SIZE];
    uint8_t base[SIZE];
} Ref;

static uint8_t dram[LINES][SIZE];
static Ref ref[LINES][ASIDS + 2];
static unsigned long ref_time;
static CXLAliasStats ref_stats;

static void ref_write_back(unsigned line, unsigned c)
{
    Ref *r = &ref[line][c];

    if (r->dirty) {
        ref_stats.overwritten += memcmp(dram[line], r->base, SIZE) != 0;
        memcpy(dram[line], r->data, SIZE);
        if (c) {
            cipher(NULL, c, line, r->data, dram[line], true);
        }
        memcpy(r->base, dram[line], SIZE);
        r->dirty = false;
        ref_stats.write_backs++;
    }
}

static void ref_leave(unsigned line, unsigned c)
{
    if (ref[line][c].valid) {
        ref_write_back(line, c);
        ref[line][c].valid = false;
    }
}

static unsigned ref_count(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < LINES * (ASIDS + 2); i++) {
        n += ref[i / (ASIDS + 2)][i % (ASIDS + 2)].valid;
    }
    return n;
}

static void ref_make_room(unsigned max)
{
    while (ref_count() >= max) {
        unsigned long oldest = ULONG_MAX;
        unsigned at = 0;

        for (unsigned i = 0; i < LINES * (ASIDS + 2); i++) {
            const Ref *r = &ref[i / (ASIDS + 2)][i % (ASIDS + 2)];

            if (r->valid && r->used < oldest) {
                oldest = r->used;
                at = i;
            }
        }
        ref_stats.evictions++;
        ref_leave(at / (ASIDS + 2), at % (ASIDS + 2));
    }
}

static Ref *ref_access(unsigned max, CXLAliasCoherence mode, int cpu,
                       unsigned line, unsigned c, bool write)
{
    Ref *r = &ref[line][c];

    for (unsigned o = 0; mode != CXL_ALIAS_COHERENT_OFF && o < ASIDS + 2; o++) {
        if (o != c) {
            ref_leave(line, o);
        }
    }
    if (r->valid) {
        ref_stats.stale += memcmp(dram[line], r->base, SIZE) != 0;
    } else {
        for (unsigned o = 0; o < ASIDS + 2; o++) {
            ref_stats.bypassed += o != c && ref[line][o].valid &&
                                  ref[line][o].dirty;
        }
        ref_make_room(max);
        *r = (Ref) { .valid = true };
        memcpy(r->data, dram[line], SIZE);
        memcpy(r->base, dram[line], SIZE);
        if (c) {
            cipher(NULL, c, line, r->data, r->data, false);
        }
    }
    r->cpu = cpu;
    r->used = ++ref_time;
    r->dirty |= write;
    return r;
}

/* A device's, with @c its context; there is none of that in a cache then. */
static void ref_device(CXLAliasCoherence mode, unsigned line, unsigned c)
{
    ref_leave(line, c);
    for (unsigned o = 0; o < ASIDS + 2; o++) {
        if (o == c || !ref[line][o].valid) {
            continue;
        }
        if (mode == CXL_ALIAS_COHERENT_ALL) {
            ref_leave(line, o);
        } else {
            ref_stats.bypassed += ref[line][o].dirty;
        }
    }
}

static void ref_flush_one(CXLAliasCoherence mode, unsigned line, unsigned c,
                          bool invalidate)
{
    Ref *r = &ref[line][c];
    bool needed;

    if (!r->valid) {
        return;
    }
    needed = (r->dirty || memcmp(dram[line], r->base, SIZE)) &&
             mode != CXL_ALIAS_COHERENT_ALL &&
             (c || mode == CXL_ALIAS_COHERENT_OFF);
    ref_stats.flushed++;
    ref_stats.needed += needed;
    ref_stats.wasted += !needed;
    if (invalidate) {
        ref_leave(line, c);
    } else {
        ref_write_back(line, c);
    }
}

/* In the order of use, as it matters to memory */
static void ref_flush(CXLAliasCoherence mode, int cpu, bool invalidate)
{
    unsigned long after = 0;

    for (;;) {
        unsigned long next = ULONG_MAX;
        unsigned at = 0;

        for (unsigned i = 0; i < LINES * (ASIDS + 2); i++) {
            const Ref *r = &ref[i / (ASIDS + 2)][i % (ASIDS + 2)];

            if (r->valid && r->used > after && r->used < next) {
                next = r->used;
                at = i;
            }
        }
        if (next == ULONG_MAX) {
            return;
        }
        after = next;
        if (cpu == ALL ||
            ref[at / (ASIDS + 2)][at % (ASIDS + 2)].cpu == cpu) {
            ref_stats.scanned++;
            ref_flush_one(mode, at / (ASIDS + 2), at % (ASIDS + 2),
                          invalidate);
        }
    }
}

/* ---- Both ---- */

static void assert_same_lines(CXLAlias *a)
{
    g_assert_cmpuint(cxl_alias_num_lines(a, ALL), ==, ref_count());
    for (unsigned line = 0; line < LINES; line++) {
        const uint8_t *plain = ref[line][0].valid ? ref[line][0].data :
                                                    dram[line];

        g_assert_cmpmem(shown[line], SIZE, plain, SIZE);
        for (unsigned c = 0; c < ASIDS + 2; c++) {
            bool dirty = false;

            g_assert_cmpint(cxl_alias_find(a, c, line, &dirty), ==,
                            ref[line][c].valid);
            g_assert_cmpint(dirty, ==, ref[line][c].valid &&
                                       ref[line][c].dirty);
        }
    }
}

static void assert_same_stats(CXLAlias *a)
{
    g_assert_cmpmem(cxl_alias_stats(a), sizeof(CXLAliasStats), &ref_stats,
                    sizeof(ref_stats));
}

static void one_access(CXLAlias *a, GRand *rand, unsigned max,
                       CXLAliasCoherence mode)
{
    unsigned line = g_rand_int_range(rand, 0, LINES);
    unsigned c = g_rand_int_range(rand, 0, ASIDS + 2);
    int cpu = g_rand_int_range(rand, 0, CPUS);
    bool write = g_rand_boolean(rand);
    unsigned offset = g_rand_int_range(rand, 0, SIZE);
    unsigned len = g_rand_int_range(rand, 1, SIZE - offset + 1);
    uint8_t data[SIZE], text[SIZE];
    Ref *r;

    for (unsigned i = 0; i < len; i++) {
        data[i] = g_rand_int(rand);
    }
    switch (g_rand_int_range(rand, 0, 3)) {
    case 0:
        ref_device(mode, line, c);
        if (c == PLAIN) {
            cxl_alias_device(a, line, write);
            g_assert_cmpmem(shown[line], SIZE, dram[line], SIZE);
            if (write) {
                memcpy(shown[line] + offset, data, len);
                memcpy(dram[line] + offset, data, len);
            }
            break;
        }
        cxl_alias_dma(a, c, line, offset, len, data, write);
        cipher(NULL, c, line, dram[line], text, false);
        if (write) {
            memcpy(text + offset, data, len);
            cipher(NULL, c, line, text, dram[line], true);
        } else {
            g_assert_cmpmem(data, len, text + offset, len);
        }
        break;
    default:
        r = ref_access(max, mode, cpu, line, c, write);
        if (c == PLAIN) {
            cxl_alias_plain(a, cpu, line, write);
            if (write) {
                memcpy(shown[line] + offset, data, len);
            }
        } else if (write) {
            cxl_alias_store(a, cpu, c, line, offset, len, data);
        } else {
            cxl_alias_load(a, cpu, c, line, offset, len, data);
            g_assert_cmpmem(data, len, r->data + offset, len);
        }
        if (write) {
            memcpy(r->data + offset, data, len);
        }
        break;
    }
}

static void one_flush(CXLAlias *a, GRand *rand, CXLAliasCoherence mode)
{
    unsigned line = g_rand_int_range(rand, 0, LINES);
    unsigned c = g_rand_int_range(rand, 0, ASIDS + 2);
    int cpu = g_rand_int_range(rand, ALL, CPUS);
    bool invalidate = g_rand_boolean(rand);

    if (g_rand_int_range(rand, 0, 4)) {
        cxl_alias_flush_line(a, c, line);
        ref_stats.scanned++;
        ref_flush_one(mode, line, c, true);
    } else {
        cxl_alias_flush(a, cpu, invalidate);
        ref_flush(mode, cpu, invalidate);
    }
}

static void test_random(const void *opaque)
{
    CXLAliasCoherence mode = GPOINTER_TO_UINT(opaque);
    unsigned steps = g_test_slow() ? 1000000 : 60000;
    GRand *rand = g_rand_new_with_seed(17 + mode);
    unsigned max = 10;
    CXLAlias *a = make(max, mode);

    memset(dram, 0, sizeof(dram));
    memset(ref, 0, sizeof(ref));
    ref_stats = (CXLAliasStats) { };
    for (unsigned i = 0; i < steps; i++) {
        if (g_rand_int_range(rand, 0, 10)) {
            one_access(a, rand, max, mode);
        } else {
            one_flush(a, rand, mode);
        }
        assert_same_stats(a);
        if (i % 16 == 0) {
            assert_same_lines(a);
        }
    }
    assert_same_lines(a);
    g_assert_cmpuint(ref_stats.evictions, >, steps / 100);
    g_assert_cmpint(!ref_stats.overwritten, ==,
                    mode == CXL_ALIAS_COHERENT_ALL);
    if (mode == CXL_ALIAS_COHERENT_ALL) {
        g_assert_cmpuint(ref_stats.stale + ref_stats.bypassed +
                         ref_stats.needed, ==, 0);
        g_assert_null(cxl_alias_pair(a, 0));
    }
    g_assert_cmpuint(cxl_alias_pairs_lost(a), ==, 0);
    cxl_alias_free(a);
    g_rand_free(rand);
}

/* There is no end to lines, but to pairs there is. */
static void test_many_pairs(void)
{
    CXLAlias *a = make(8, CXL_ALIAS_COHERENT_OFF);

    for (unsigned one = 1; one <= CXL_ALIAS_MAX_ASID; one++) {
        for (unsigned two = 0; two < LINES; two++) {
            store(a, 0, PLAIN, two, 1);
            store(a, 0, CXL_ALIAS_OF_ASID(one), two, 1);
        }
        if (cxl_alias_pairs_lost(a)) {
            break;
        }
    }
    g_assert_cmpuint(cxl_alias_pairs_lost(a), >, 0);
    g_assert_nonnull(cxl_alias_pair(a, CXL_ALIAS_MAX_PAIRS - 1));
    g_assert_null(cxl_alias_pair(a, CXL_ALIAS_MAX_PAIRS));
    g_assert_cmpuint(cxl_alias_num_lines(a, ALL), ==, 8);
    cxl_alias_free(a);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = { "off", "cpu", "all" };

    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-cache-alias/later-wins", test_later_wins);
    g_test_add_func("/cxl-cache-alias/stale", test_stale);
    g_test_add_func("/cxl-cache-alias/asids", test_asids);
    g_test_add_func("/cxl-cache-alias/coherence", test_coherence);
    g_test_add_func("/cxl-cache-alias/flush", test_flush);
    g_test_add_func("/cxl-cache-alias/many-pairs", test_many_pairs);
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-cache-alias/random/%s",
                                                modes[i]);

        g_test_add_data_func(path, GUINT_TO_POINTER(i), test_random);
    }
    return g_test_run();
}
