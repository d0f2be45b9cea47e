/*
 * QTest testcase for caches that remember (FEAT_MEC, mec-writeback)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is in memory before maintenance, what each kind of maintenance writes
 * back, what comes back when it was forgotten, and that this is told.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "arm-mec-dma.h"

#define SECRET      PAGES
#define OTHER       (PAGES + 4 * PAGE)
#define MANY        (PAGES + 16 * PAGE)
#define MANY_PAGES  320
#define FIRST       (SECRET)
#define SECOND      (SECRET + LINE)
#define LAST        (SECRET + PAGE - LINE)

/* Longer than an adversary waits, in real time as nothing stops the clock */
#define LONG_US     (300 * 1000)

static void wb_start(Rig *r, const char *mode)
{
    g_autofree char *machine = g_strdup_printf("%s,mec=on,mec-writeback=%s",
                                               RIG, mode);

    rig_start(r, machine, "");
}

static void wb_fill(Rig *r, uint16_t mecid, uint64_t va, uint64_t value)
{
    payload(r->qts, FILL, mecid, va, value);
}

static QDict *last_event(Rig *r, QDict **state)
{
    QList *events;
    const QListEntry *entry = NULL, *e;

    *state = qtest_qmp_assert_success_ref(
        r->qts, "{'execute': 'x-query-arm-mec-state'}");
    events = qdict_get_qlist(*state, "events");
    QLIST_FOREACH_ENTRY(events, e) {
        entry = e;
    }
    return entry ? qobject_to(QDict, qlist_entry_obj(entry)) : NULL;
}

static int64_t returned(Rig *r)
{
    QDict *state;
    int64_t n;

    last_event(r, &state);
    n = qdict_get_int(state, "returned-lines");
    qobject_unref(state);
    return n;
}

static QDict *page_info(Rig *r, uint64_t pa)
{
    return qtest_qmp_assert_success_ref(
        r->qts, "{'execute': 'x-query-arm-mec', 'arguments': {'addr': %"
        PRIu64 "}}", pa);
}

static int cached_lines(Rig *r, uint64_t pa)
{
    QDict *info = page_info(r, pa);
    int n = qdict_get_int(info, "cached-lines");

    qobject_unref(info);
    return n;
}

/* NULL: nobody's */
static void assert_space(Rig *r, uint64_t pa, const char *space)
{
    QDict *info = page_info(r, pa);

    g_assert_cmpstr(qdict_get_try_str(info, "space"), ==, space);
    qobject_unref(info);
}

/* Wait until some word of a page is not @value any more; which? */
static uint64_t wait_for_loss(Rig *r, uint16_t mecid, uint64_t va,
                              uint64_t value)
{
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;

    while (true) {
        for (int at = 0; at < PAGE; at += LINE) {
            if (load(r->qts, mecid, va + at) != value) {
                return va + at;
            }
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void assert_kept(Rig *r, uint16_t mecid, uint64_t va, uint64_t value)
{
    g_usleep(LONG_US);
    for (int at = 0; at < PAGE; at += 8 * 9) {
        g_assert_cmphex(load(r->qts, mecid, va + at), ==, value);
    }
}

static void assert_told(Rig *r, uint64_t page, const char *space, int mecid,
                        const char *from, int writer, const char *missing)
{
    g_autofree char *text = qtest_hmp(r->qts, "info arm-mec");
    g_autofree char *want = g_strdup_printf(
        "of %s MECID %d is destroyed: a line of %s MECID %d is written back, "
        "for which %s was missing", space, mecid, from, writer, missing);
    QDict *state, *e = last_event(r, &state);

    g_assert_nonnull(e);
    g_assert_cmpstr(qdict_get_str(e, "access"), ==, "write-back");
    g_assert_cmphex(qdict_get_int(e, "addr") & ~(PAGE - 1ull), ==, page);
    g_assert_cmpstr(qdict_get_str(e, "space"), ==, space);
    g_assert_cmpint(qdict_get_int(e, "mecid"), ==, mecid);
    g_assert_cmpstr(qdict_get_str(e, "writer-space"), ==, from);
    g_assert_cmpint(qdict_get_int(e, "writer"), ==, writer);
    g_assert_cmpstr(qdict_get_str(e, "missing"), ==, missing);
    g_assert_false(qdict_haskey(e, "cpu-index"));
    g_assert_cmpint(qdict_get_int(state, "returned-lines"), >, 0);
    qobject_unref(state);
    g_assert_nonnull(strstr(text, want));
}

/*
 * Until it is written back another address space finds what memory had before;
 * without the cache, what memory has at once.
 */
static void test_before(const void *opaque)
{
    bool remembers = !g_str_equal(opaque, "immediate");
    Rig r;

    wb_start(&r, opaque);
    wb_fill(&r, 0, NONSECURE(SECRET), ~VALUE);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_NS(SECRET), LINES_OF_PAGE);
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(SECOND)), ==, VALUE);
    if (remembers) {
        g_assert_cmphex(load(r.qts, 0, NONSECURE(SECOND)), ==, ~VALUE);
        g_assert_cmphex(load(r.qts, 0, SECURE(SECOND)), ==, ~VALUE);
        g_assert_cmphex(load(r.qts, 0, ROOT(SECOND)), ==, ~VALUE);
    } else {
        assert_unreadable(load(r.qts, 0, NONSECURE(SECOND)), ~VALUE);
    }
    /* In the same space it is found, by whichever MECID: UNKNOWN */
    assert_unreadable(load(r.qts, 8, REALM(SECOND)), VALUE);
    assert_unreadable(load(r.qts, 8, REALM(SECOND)), ~VALUE);
    /* And whose it is finds it still */
    g_assert_cmphex(load(r.qts, 7, REALM(SECOND)), ==, VALUE);
    rig_end(&r);
}

/* Line by line, of one address space, and under the MECID it was cached with */
static void test_by_line(void)
{
    Rig r;

    wb_start(&r, "lazy");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    assert_space(&r, SECRET, "Realm");
    payload(r.qts, CIPAPA_LINES, 9, CLEAN_NS(SECRET), LINES_OF_PAGE);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(FIRST)), ==, 0);

    payload(r.qts, CIPAPA_LINES, 9, CLEAN_REALM(SECRET), 1);
    assert_unreadable(load(r.qts, 0, NONSECURE(FIRST)), VALUE);
    assert_unreadable(load(r.qts, 0, NONSECURE(FIRST)), 0);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECOND)), ==, 0);
    payload(r.qts, CIPAPA_LINES, 9, CLEAN_REALM(SECOND), LINES_OF_PAGE - 2);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(LAST)), ==, 0);
    assert_unreadable(load(r.qts, 0, NONSECURE(LAST - LINE)), 0);
    payload(r.qts, CIPAPA_LINES, 9, CLEAN_REALM(LAST), 1);
    assert_unreadable(load(r.qts, 0, NONSECURE(LAST)), 0);
    /* It was not garbled by who cleaned it */
    g_assert_cmphex(load(r.qts, 7, REALM(FIRST)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(LAST)), ==, VALUE);
    g_assert_cmpint(returned(&r), ==, 0);
    rig_end(&r);
}

/* Who has modified a line finds it, though the page is another MECID's. */
static void test_own_line(void)
{
    Rig r;

    wb_start(&r, "lazy");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    store(r.qts, 8, REALM(FIRST), ~VALUE);
    g_assert_cmphex(resident(r.qts, SECRET), ==, 8);
    g_assert_cmpint(cached_lines(&r, SECRET), ==, LINES_OF_PAGE);
    g_assert_cmphex(load(r.qts, 7, REALM(FIRST)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 8, REALM(FIRST)), ==, ~VALUE);
    rig_end(&r);
}

/* Each operation writes back, and what is left is nobody's then. */
static void test_operation(const void *opaque)
{
    static const struct {
        const char *name;
        int code;
    } *op, ops[] = {
        { "cipapa", CIPAPA_LINES },
        { "cipae", CIPAE_LINES },
        { "civac", CIVAC_LINES },
        { "cvac", CVAC_LINES },
    };
    Rig r;

    for (op = ops; !g_str_equal(op->name, opaque); op++) {
        g_assert_true(op < &ops[ARRAY_SIZE(ops)]);
    }
    wb_start(&r, "adversarial");
    for (int twice = 0; twice < 2; twice++) {
        /* As the page's context, and as one that has it no more */
        wb_fill(&r, 7, REALM(SECRET), VALUE);
        if (twice) {
            g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET)), !=, VALUE);
            for (int i = 0; i < 100; i++) {
                load(r.qts, 0, NONSECURE(SECRET));
            }
            assert_space(&r, SECRET, "Non-secure");
            g_assert_cmpint(cached_lines(&r, SECRET), ==, LINES_OF_PAGE);
        }
        payload(r.qts, op->code, 9,
                op->code == CIPAPA_LINES || op->code == CIPAE_LINES
                ? CLEAN_REALM(SECRET) : REALM(SECRET), LINES_OF_PAGE);
        assert_space(&r, SECRET, NULL);
        g_assert_cmpint(cached_lines(&r, SECRET), ==, 0);
        for (int at = 0; at < PAGE; at += LINE) {
            assert_unreadable(load(r.qts, 0, NONSECURE(SECRET + at)), 0);
        }
        g_assert_cmphex(load(r.qts, 7, REALM(LAST)), ==, VALUE);
        wb_fill(&r, 7, REALM(SECRET), VALUE);
        payload(r.qts, CIPAPA_LINES, 0, CLEAN_REALM(SECRET), LINES_OF_PAGE);
        payload(r.qts, CIPAPA_LINES, 0, CLEAN_NS(SECRET), LINES_OF_PAGE);
        wb_fill(&r, 0, NONSECURE(SECRET), 0);
        payload(r.qts, CIPAPA_LINES, 0, CLEAN_NS(SECRET), LINES_OF_PAGE);
    }
    rig_end(&r);
}

static const struct {
    const char *name;
    uint16_t mecid;
    bool realm;             /* the new owner */
    const char *missing;
} hands[] = {
    { "realm", 8, true, "DC CIPAE" },
    { "rmm", 0, true, "DC CIPAE" },
    { "nonsecure", 0, false, "DC CIPAPA of its Realm address" },
};

/*
 * A page changes hands with all of its maintenance, and without: then the new
 * one's data are destroyed, where the cache is an adversary.
 */
static void test_hands(const void *opaque)
{
    const char *const modes[] = { "immediate", "lazy", "adversarial" };
    int i = GPOINTER_TO_INT(opaque) % ARRAY_SIZE(hands);
    const char *mode = modes[GPOINTER_TO_INT(opaque) / ARRAY_SIZE(hands)];
    uint16_t mecid = hands[i].mecid;
    bool adversarial = g_str_equal(mode, "adversarial");
    uint64_t va, lost;
    Rig r;

    wb_start(&r, mode);
    va = hands[i].realm ? REALM(SECRET) : NONSECURE(SECRET);
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_REALM(SECRET), LINES_OF_PAGE);
    wb_fill(&r, mecid, va, ~VALUE);
    assert_kept(&r, mecid, va, ~VALUE);

    va += OTHER - SECRET;
    wb_fill(&r, 7, REALM(OTHER), VALUE);
    wb_fill(&r, mecid, va, ~VALUE);
    if (!adversarial) {
        assert_kept(&r, mecid, va, ~VALUE);
        if (g_str_equal(mode, "lazy")) {
            g_assert_cmpint(cached_lines(&r, OTHER), ==, LINES_OF_PAGE);
            g_assert_cmpint(returned(&r), ==, 0);
        }
        rig_end(&r);
        return;
    }
    lost = wait_for_loss(&r, mecid, va, ~VALUE);
    assert_told(&r, OTHER, hands[i].realm ? "Realm" : "Non-secure", mecid,
                "Realm", 7, hands[i].missing);
    /* What came back is 7's, as 7 wrote it */
    g_assert_cmphex(load(r.qts, 7, REALM(OTHER) + (lost - va)), ==, VALUE);
    rig_end(&r);
}

/* The new owner cleans what it has written: it is in memory, and lost there. */
static void test_washed(void)
{
    uint64_t lost;
    Rig r;

    wb_start(&r, "adversarial");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    store(r.qts, 0, NONSECURE(FIRST), ~VALUE);
    assert_space(&r, SECRET, "Non-secure");
    store(r.qts, 0, NONSECURE(LAST), ~VALUE);
    payload(r.qts, CIVAC_LINES, 0, NONSECURE(FIRST), LINES_OF_PAGE);
    for (int i = 0; (lost = load(r.qts, 0, NONSECURE(LAST))) == ~VALUE; i++) {
        g_assert_cmpint(i, <, 1000000);
    }
    assert_unreadable(lost, ~VALUE);
    assert_told(&r, SECRET, "Non-secure", 0, "Realm", 7,
                "DC CIPAPA of its Realm address");
    rig_end(&r);
}

/* Maintenance of one space leaves the other's lines in their cache. */
static void test_other_space(void)
{
    Rig r;

    wb_start(&r, "lazy");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    store(r.qts, 0, NONSECURE(FIRST), ~VALUE);
    assert_space(&r, SECRET, "Non-secure");
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_NS(SECRET), LINES_OF_PAGE);
    g_assert_cmpint(cached_lines(&r, SECRET), ==, LINES_OF_PAGE);
    assert_space(&r, SECRET, "Non-secure");
    g_assert_cmphex(load(r.qts, 0, NONSECURE(FIRST)), ==, ~VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(FIRST)), ==, VALUE);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_REALM(SECRET), LINES_OF_PAGE);
    g_assert_cmpint(cached_lines(&r, SECRET), ==, 0);
    rig_end(&r);
}

/* A table that another space has written is not there for a walk before. */
static void test_walk(void)
{
    const uint64_t table = SECRET, entry = SECRET + (RAM >> 30) * 8;
    /* 1 GiB at stage 2: AF, shareable, read and write, write-back */
    const uint64_t block = RAM | 1 << 10 | 3 << 8 | 3 << 6 | 0xf << 2 | 1;
    Rig r;

    wb_start(&r, "lazy");
    payload(r.qts, STORE, 0, ROOT(entry), block);
    g_assert_cmphex(payload(r.qts, WALK, 0, RAM, table) & 1, ==, 1);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_ROOT(SECRET), LINES_OF_PAGE);
    g_assert_cmphex(payload(r.qts, WALK, 0, RAM, table) & 1, ==, 0);
    rig_end(&r);
}

/* Late: who has written it does not have it as he wrote it. */
static void test_late(void)
{
    Rig r;

    wb_start(&r, "adversarial");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    wb_fill(&r, 0, REALM(SECRET), 0);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_REALM(SECRET), LINES_OF_PAGE);
    payload(r.qts, CIPAPA_LINES, 0, CLEAN_NS(SECRET), LINES_OF_PAGE);
    for (int at = 0; at < PAGE; at += LINE) {
        assert_unreadable(load(r.qts, 0, NONSECURE(SECRET + at)), 0);
    }
    assert_told(&r, SECRET, "Realm", 0, "Realm", 7, "DC CIPAE");
    rig_end(&r);
}

/* A cache that is full writes back the oldest, and tells if that is seen. */
static void test_room(void)
{
    Rig r;

    wb_start(&r, "lazy");
    for (int i = 0; i < MANY_PAGES; i++) {
        wb_fill(&r, 7, REALM(MANY + i * PAGE), VALUE);
        /* One line is written to memory after it, another to a cache */
        store(r.qts, 0, NONSECURE(MANY + i * PAGE), 1);
        payload(r.qts, CIVAC_LINES, 0, NONSECURE(MANY + i * PAGE), 1);
        store(r.qts, 0, NONSECURE(MANY + i * PAGE + LINE), 2);
    }
    assert_unreadable(load(r.qts, 0, NONSECURE(MANY)), 1);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(MANY + LINE)), ==, 2);
    assert_unreadable(load(r.qts, 0, NONSECURE(MANY + 2 * LINE)), 0);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(MANY + (MANY_PAGES - 1) * PAGE)),
                    ==, 1);
    /* What nobody had written is not worth a word */
    g_assert_cmpint(returned(&r), >, 0);
    g_assert_cmpint(returned(&r), <, MANY_PAGES);
    g_assert_cmpint(cached_lines(&r, MANY + (MANY_PAGES - 1) * PAGE), ==,
                    LINES_OF_PAGE);
    rig_end(&r);
}

/* A device finds memory, and writes to it; a forgotten line comes over that. */
static void test_device(const void *opaque)
{
    bool cache = g_str_equal(opaque, "cache");
    uint8_t want[LINE];
    uint64_t expect, seen;
    Rig r;

    wb_start(&r, "adversarial");
    fill(want, 5);
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    /* It finds what memory has */
    if (cache) {
        Result got = request(&r.cxl, CXL_CACHE_RD_CURR, SECOND);

        seen = ldq_le_p(got.data);
    } else {
        edu_copy(r.edu, r.bar, SECOND, OTHER, 64);
        seen = held(&r, OTHER);
    }
    g_assert_cmphex(seen, ==, 0);
    g_assert_cmphex(held(&r, SECOND), ==, VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(SECOND)), ==, VALUE);

    /* It writes to memory; the realm's line is still the realm's */
    if (cache) {
        write_request(&r.cxl, CXL_CACHE_WR_INV, SECOND, ALL, 5);
        expect = ldq_le_p(want);
    } else {
        qtest_writeq(r.qts, OTHER, ~VALUE);
        edu_copy(r.edu, r.bar, OTHER, SECOND, 64);
        expect = ~VALUE;
    }
    g_assert_cmphex(load(r.qts, 7, REALM(SECOND)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECOND)), ==, expect);
    /* In memory, and not in a Non-secure cache that others do not see */
    g_assert_cmphex(load(r.qts, 0, SECURE(SECOND)), ==, expect);

    /* The page is taken over by a store: the device's data are destroyed */
    store(r.qts, 0, NONSECURE(SECRET), 1);
    assert_space(&r, SECRET, "Non-secure");
    for (int i = 0; load(r.qts, 0, NONSECURE(SECOND)) == expect; i++) {
        g_assert_cmpint(i, <, 1000000);
    }
    assert_told(&r, SECRET, "Non-secure", 0, "Realm", 7,
                "DC CIPAPA of its Realm address");
    rig_end(&r);
}

/* Reset empties the caches, and nothing is anybody's. */
static void test_reset(void)
{
    Rig r;

    wb_start(&r, "adversarial");
    wb_fill(&r, 7, REALM(SECRET), VALUE);
    store(r.qts, 0, NONSECURE(SECRET), 1);
    g_assert_cmpint(cached_lines(&r, SECRET), >, 0);
    qtest_writeq(r.qts, BOX_STARTS, 0);
    qtest_system_reset(r.qts);
    wait_for_start(r.qts, 1);
    g_assert_cmpint(cached_lines(&r, SECRET), ==, 0);
    assert_space(&r, SECRET, NULL);
    wb_fill(&r, 0, NONSECURE(SECRET), ~VALUE);
    assert_kept(&r, 0, NONSECURE(SECRET), ~VALUE);
    rig_end(&r);
}

static void test_migration(void)
{
    g_autofree char *said = NULL;
    QTestState *qts = start_with(MACHINE ",mec=on,mec-writeback=lazy", CPU);
    QDict *answer = qtest_qmp(qts, "{'execute': 'migrate', 'arguments': "
                              "{'uri': 'exec:cat > /dev/null'}}");
    QDict *error = qdict_get_qdict(answer, "error");

    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"),
                            "mec-writeback=lazy"));
    qobject_unref(answer);
    qtest_quit(qts);
}

void arm_mec_writeback_add_tests(void)
{
    static const char *const modes[] = { "immediate", "lazy", "adversarial" };
    static const char *const ops[] = { "cipapa", "cipae", "civac", "cvac" };

    for (int i = 0; i < ARRAY_SIZE(modes); i++) {
        g_autofree char *path = g_strdup_printf(
            "/arm-mec-dma/writeback/before/%s", modes[i]);

        qtest_add_data_func(path, modes[i], test_before);
        for (int n = 0; n < ARRAY_SIZE(hands); n++) {
            g_autofree char *name = g_strdup_printf(
                "/arm-mec-dma/writeback/hands/%s/%s", modes[i],
                hands[n].name);

            qtest_add_data_func(name, GINT_TO_POINTER(
                                    i * ARRAY_SIZE(hands) + n), test_hands);
        }
    }
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        g_autofree char *path = g_strdup_printf(
            "/arm-mec-dma/writeback/operation/%s", ops[i]);

        qtest_add_data_func(path, ops[i], test_operation);
    }
    qtest_add_func("/arm-mec-dma/writeback/by-line", test_by_line);
    qtest_add_func("/arm-mec-dma/writeback/own-line", test_own_line);
    qtest_add_func("/arm-mec-dma/writeback/other-space", test_other_space);
    qtest_add_func("/arm-mec-dma/writeback/walk", test_walk);
    qtest_add_func("/arm-mec-dma/writeback/washed", test_washed);
    qtest_add_func("/arm-mec-dma/writeback/late", test_late);
    qtest_add_func("/arm-mec-dma/writeback/room", test_room);
    qtest_add_data_func("/arm-mec-dma/writeback/device/dma", "dma",
                        test_device);
    qtest_add_data_func("/arm-mec-dma/writeback/device/cache", "cache",
                        test_device);
    qtest_add_func("/arm-mec-dma/writeback/reset", test_reset);
    qtest_add_func("/arm-mec-dma/writeback/migration", test_migration);
}
