/*
 * QTest testcase for x-query-cxl-cache-line and "info cxl-cache-line"
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two cxl-cache-testdevs put lines into each state, and what is told about an
 * address has to be what registers, windows and the memory behind RAM say. As
 * looking must change nothing, every question is asked between two looks at all
 * of that. (Transactions that are open cannot be set up from here: the unit
 * test of cxl_cache_look.h has them.)
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "cxl-cache-testdev.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define RAM_SIZE    (128 * MiB)
#define A           (16 * MiB + 5 * LINE)
#define B           (A + PAGE)
#define UNMAPPED    0x800000000ull

/* The testdev's cache of 64 KiB, and the port's filter of 16 MiB */
#define DEV_SETS    (64 * KiB / LINE / 16)
#define FILTER_WAYS 8
#define FILTER_SETS (16 * MiB / LINE / FILTER_WAYS)

typedef struct Machine {
    QTestState *qts;
    Dev dev[2];
    uint8_t *ram;
} Machine;

static void machine_start(Machine *m, const char *memory)
{
    m->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE "%s" QCXL_PXB
                         QCXL_RP ",cxl-cache=on " QCXL_RP1 ",cxl-cache=on "
                         "-device cxl-cache-testdev,bus=rp0,id=t0 "
                         "-device cxl-cache-testdev,bus=rp1,id=t1", memory);
    dev_start(&m->dev[0], m->qts, 0);
    dev_start(&m->dev[1], m->qts, 1);
    m->ram = *memory ? qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE) : NULL;
}

static void machine_end(Machine *m)
{
    if (m->ram) {
        munmap(m->ram, RAM_SIZE);
    }
    dev_end(&m->dev[0]);
    dev_end(&m->dev[1]);
    qtest_quit(m->qts);
}

/* Skips the test if lines cannot be kept here. */
static bool machine_keeps(Machine *m)
{
    bool keeps = request(&m->dev[0], CXL_CACHE_RD_OWN, B).state == CCT_STATE_E;

    if (!keeps) {
        g_test_skip("lines are not kept on this host");
    }
    evict(&m->dev[0], B);
    return keeps;
}

static void cpu_store(Machine *m, uint64_t addr, unsigned v)
{
    uint8_t data[LINE];

    fill(data, v);
    qtest_memwrite(m->qts, addr, data, LINE);
}

/* ---- Asking ---- */

static QDict *ask(QTestState *qts, uint64_t addr)
{
    return qtest_qmp_assert_success_ref(qts,
        "{'execute': 'x-query-cxl-cache-line', 'arguments': {'addr': %" PRIu64
        "}}", addr);
}

static uint8_t *window(Dev *d)
{
    uint8_t *slots = g_malloc(QCT_WINDOW_LINES);

    qpci_memread(d->pci, d->window, 0, slots, QCT_WINDOW_LINES);
    return slots;
}

/* All that a question could have changed */
typedef struct Everything {
    QDict *stats;
    uint8_t *window[2];
} Everything;

static Everything look_at_all(Machine *m)
{
    return (Everything) {
        .stats = qct_query(m->qts),
        .window = { window(&m->dev[0]), window(&m->dev[1]) },
    };
}

static void check_all_same(Machine *m, Everything *before)
{
    Everything now = look_at_all(m);

    g_assert_true(qobject_is_equal(QOBJECT(before->stats),
                                   QOBJECT(now.stats)));
    qobject_unref(before->stats);
    qobject_unref(now.stats);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpmem(before->window[i], QCT_WINDOW_LINES, now.window[i],
                        QCT_WINDOW_LINES);
        g_free(before->window[i]);
        g_free(now.window[i]);
    }
}

/* The answer, that all bytes of the line have; nobody has noticed */
static QDict *ask_quietly(Machine *m, uint64_t addr)
{
    Everything before = look_at_all(m);
    QDict *info = ask(m->qts, addr), *again = ask(m->qts, addr + LINE - 1);
    uint64_t line = addr / LINE;
    QDict *filter = qdict_get_qdict(info, "filter");

    g_assert_true(qobject_is_equal(QOBJECT(info), QOBJECT(again)));
    qobject_unref(again);
    check_all_same(m, &before);
    g_assert_cmphex(qdict_get_int(info, "addr"), ==, addr);
    g_assert_cmpint(qdict_get_int(filter, "set"), ==,
                    (line ^ (line >> 12) * 5) % FILTER_SETS);
    if (qdict_haskey(filter, "way")) {
        g_assert_cmpint(qdict_get_int(filter, "way"), <, FILTER_WAYS);
    }
    g_assert_false(qdict_haskey(info, "transaction"));
    return info;
}

#define assert_bytes(dict, v)                                           \
    do {                                                                \
        const char *hex_ = qdict_get_str(dict, "data");                 \
        uint8_t bytes_[LINE];                                           \
                                                                        \
        g_assert_cmpuint(strlen(hex_), ==, 2 * LINE);                   \
        for (int i_ = 0; i_ < LINE; i_++) {                             \
            unsigned byte_;                                             \
                                                                        \
            g_assert_cmpint(sscanf(hex_ + 2 * i_, "%2x", &byte_), ==, 1); \
            bytes_[i_] = byte_;                                         \
        }                                                               \
        assert_version(bytes_, v);                                      \
    } while (0)

/* What is told of device @n, or NULL */
static QDict *holder(QDict *info, unsigned n)
{
    const QListEntry *e;
    g_autofree char *id = g_strdup_printf("t%u", n);

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), e) {
        QDict *dev = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(dev, "id"), id)) {
            return dev;
        }
    }
    return NULL;
}

/* The line is in the device, and its window has it in the same place. */
static QDict *check_holder(Machine *m, QDict *info, unsigned n,
                           const char *state)
{
    QDict *dev = holder(info, n);
    uint64_t addr = qdict_get_int(info, "addr"), ats;
    g_autofree char *path = g_strdup_printf("/machine/peripheral/t%u", n);
    int set, way;

    g_assert_nonnull(dev);
    g_assert_cmpstr(qdict_get_str(dev, "qom-path"), ==, path);
    g_assert_cmpstr(qdict_get_str(dev, "state"), ==, state);
    g_assert_true(qdict_get_bool(dev, "tracked"));
    g_assert_false(qdict_get_bool(dev, "staged"));
    g_assert_false(qdict_haskey(dev, "cqid"));
    set = qdict_get_int(dev, "set");
    way = qdict_get_int(dev, "way");
    g_assert_cmpint(set, ==, addr / LINE % DEV_SETS);
    ats = qpci_io_readq(m->dev[n].pci, m->dev[n].window,
                        (set * 16 + way) * sizeof(QCTSlot) +
                        offsetof(QCTSlot, ats));
    g_assert_cmphex(ats & ~0x3full, ==, addr);
    return dev;
}

static void check_filter(QDict *info, bool tracked, bool exclusive)
{
    QDict *filter = qdict_get_qdict(info, "filter");

    g_assert_cmpint(qdict_haskey(filter, "way"), ==, tracked);
    g_assert_cmpint(qdict_get_bool(filter, "exclusive"), ==, exclusive);
}

static unsigned num_holders(QDict *info)
{
    return qlist_size(qdict_get_qlist(info, "devices"));
}

/* ---- Tests ---- */

/* A line that nobody has, then one device, then two */
static void test_states(void)
{
    QDict *info, *dev;
    Machine m;

    machine_start(&m, QCXL_SHARED_RAM);
    cpu_store(&m, A, 1);
    if (!machine_keeps(&m)) {
        goto out;
    }
    info = ask_quietly(&m, A);
    g_assert_cmpstr(qdict_get_str(info, "memory"), ==, "ram");
    g_assert_true(qdict_get_bool(info, "kept"));
    g_assert_false(qdict_haskey(info, "obstacle"));
    g_assert_false(qdict_get_bool(info, "poison"));
    assert_bytes(info, 1);
    check_filter(info, false, false);
    g_assert_cmpuint(num_holders(info), ==, 0);
    qobject_unref(info);

    request(&m.dev[1], CXL_CACHE_RD_OWN, A);
    info = ask_quietly(&m, A);
    check_filter(info, true, true);
    g_assert_cmpuint(num_holders(info), ==, 1);
    dev = check_holder(&m, info, 1, "E");
    assert_bytes(dev, 1);
    qobject_unref(info);

    g_assert_cmpint(line_write(&m.dev[1], A, ALL, 2).ret, ==, OK);
    info = ask_quietly(&m, A);
    check_filter(info, true, true);
    g_assert_cmpuint(num_holders(info), ==, 1);
    dev = check_holder(&m, info, 1, "M");
    assert_bytes(dev, 2);
    assert_bytes(info, 1);
    assert_version(m.ram + A, 1);
    qobject_unref(info);

    request(&m.dev[0], CXL_CACHE_RD_SHARED, A);
    info = ask_quietly(&m, A);
    check_filter(info, true, false);
    g_assert_cmpuint(num_holders(info), ==, 2);
    assert_bytes(check_holder(&m, info, 0, "S"), 2);
    assert_bytes(check_holder(&m, info, 1, "S"), 2);
    assert_bytes(info, 2);
    qobject_unref(info);

    /* The neighbours are nobody's. */
    info = ask_quietly(&m, A + LINE);
    g_assert_cmpuint(num_holders(info), ==, 0);
    check_filter(info, false, false);
    qobject_unref(info);
out:
    machine_end(&m);
}

/* Owned without data; dropped without a word */
static void test_no_data(void)
{
    QDict *info, *dev;
    Machine m;

    machine_start(&m, QCXL_SHARED_RAM);
    if (!machine_keeps(&m)) {
        goto out;
    }
    request(&m.dev[0], CXL_CACHE_RD_OWN_NO_DATA, A);
    info = ask_quietly(&m, A);
    dev = check_holder(&m, info, 0, "EN");
    g_assert_false(qdict_haskey(dev, "data"));
    qobject_unref(info);
    evict(&m.dev[0], A);

    request(&m.dev[0], CXL_CACHE_RD_SHARED, A);
    g_assert_cmpint(line_op(&m.dev[0], CCT_DO_LINE_DROP, A).ret, ==, OK);
    info = ask_quietly(&m, A);
    dev = holder(info, 0);
    g_assert_nonnull(dev);
    g_assert_cmpstr(qdict_get_str(dev, "state"), ==, "I");
    g_assert_true(qdict_get_bool(dev, "tracked"));
    g_assert_false(qdict_haskey(dev, "way"));
    g_assert_false(qdict_haskey(dev, "data"));
    check_filter(info, true, false);
    qobject_unref(info);
out:
    machine_end(&m);
}

/* Poison of RAM, and of what a device has read of it */
static void test_poison(void)
{
    uint8_t data[LINE];
    QDict *info;
    Machine m;

    machine_start(&m, QCXL_SHARED_RAM);
    if (!machine_keeps(&m)) {
        goto out;
    }
    fill(data, 1);
    g_assert_cmpint(operate(&m.dev[0], CCT_DO_REQUEST, CXL_CACHE_I_TO_M_WR,
                            CCT_FLAG_POISON, A, ALL, data).ret, ==, OK);
    info = ask_quietly(&m, A);
    g_assert_true(qdict_get_bool(info, "poison"));
    g_assert_cmpuint(num_holders(info), ==, 0);
    qobject_unref(info);

    g_assert_true(try_request(&m.dev[1], CXL_CACHE_RD_SHARED, A).poison);
    info = ask_quietly(&m, A);
    g_assert_true(qdict_get_bool(check_holder(&m, info, 1, "S"), "poison"));
    g_assert_true(qdict_get_bool(info, "poison"));
    qobject_unref(info);

    request(&m.dev[0], CXL_CACHE_RD_OWN, B);
    info = ask_quietly(&m, B);
    g_assert_false(qdict_get_bool(check_holder(&m, info, 0, "E"), "poison"));
    g_assert_false(qdict_get_bool(info, "poison"));
    qobject_unref(info);
out:
    machine_end(&m);
}

/* RAM whose lines nobody keeps is RAM, and says why. */
static void test_not_kept(void)
{
    QDict *info;
    Machine m;

    machine_start(&m, "");
    cpu_store(&m, A, 3);
    request(&m.dev[0], CXL_CACHE_RD_OWN, A);
    info = ask_quietly(&m, A);
    g_assert_false(qdict_get_bool(info, "kept"));
    g_assert_cmpstr(qdict_get_str(info, "obstacle"), !=, "");
    assert_bytes(info, 3);
    g_assert_cmpuint(num_holders(info), ==, 0);
    check_filter(info, false, false);
    qobject_unref(info);
    machine_end(&m);
}

static void check_refused(QTestState *qts, uint64_t addr, const char *why)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'x-query-cxl-cache-line', "
                           "'arguments': {'addr': %" PRIu64 "}}", addr);
    g_autofree char *text = NULL;

    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), why));
    qmp_expect_error_and_unref(rsp, "GenericError");
    text = qtest_hmp(qts, "info cxl-cache-line 0x%" PRIx64, addr);
    g_assert_nonnull(strstr(text, why));
}

/* Where no RAM is, no line is; and without a device there is nobody to ask. */
static void test_refused(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE);
    Everything before;
    QDict *info;
    Machine m;

    check_refused(qts, A, "has no CXL.cache device");
    qtest_quit(qts);

    machine_start(&m, QCXL_SHARED_RAM);
    before = look_at_all(&m);
    check_refused(m.qts, UNMAPPED, "there is no RAM at 0x800000000");
    check_refused(m.qts, UINT64_MAX, "there is no RAM at 0xffffffffffffffc0");
    /* A device's registers */
    check_refused(m.qts, m.dev[0].bar.addr, "there is no RAM at");
    check_all_same(&m, &before);
    info = ask_quietly(&m, RAM_SIZE - LINE);
    qobject_unref(info);
    check_refused(m.qts, RAM_SIZE, "there is no RAM at");
    machine_end(&m);
}

/* Results that wait for the end of their request are not the line's yet. */
static void test_staged(void)
{
    static const QCTFault hang = { .kind = "hang", .point = "publication" };
    g_autofree char *want = NULL;
    uint64_t src, dst;
    QCTRequest q;
    QDict *info, *dev;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    src = qct_alloc_source(&r, QCT_PAGE);
    dst = qct_alloc_filled(&r, QCT_PAGE, 0);
    qct_fault(r.qts, &hang);
    qct_post(r.t[0], &q, qct_iv, (QCTSeg[]) { { src, QCT_PAGE }, { } },
             (QCTSeg[]) { { dst, QCT_PAGE }, { } });
    qct_wait_held(r.qts, 1);
    info = qct_query(r.qts);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    qobject_unref(info);
    info = ask(r.qts, dst);
    dev = holder(info, 0);
    g_assert_nonnull(dev);
    g_assert_cmpstr(qdict_get_str(dev, "state"), ==, "EN");
    g_assert_true(qdict_get_bool(dev, "staged"));
    want = g_strdup(qdict_get_str(dev, "data"));
    g_assert_cmpstr(want, !=, qdict_get_str(info, "data"));
    qobject_unref(info);

    qct_clear(r.qts);
    g_assert_cmpuint(qct_wait(r.t[0], &q), ==, 0);
    info = ask(r.qts, dst);
    dev = holder(info, 0);
    g_assert_cmpstr(qdict_get_str(dev, "state"), ==, "M");
    g_assert_false(qdict_get_bool(dev, "staged"));
    g_assert_cmpstr(qdict_get_str(dev, "data"), ==, want);
out:
    qobject_unref(info);
    qct_rig_end(&r);
}

/* The same for people */
static void test_hmp(void)
{
    g_autofree char *idle = NULL, *text = NULL;
    Everything before;
    Machine m;

    machine_start(&m, QCXL_SHARED_RAM);
    cpu_store(&m, A, 1);
    if (!machine_keeps(&m)) {
        goto out;
    }
    idle = qtest_hmp(m.qts, "info cxl-cache-line 0x%x", (int)A);
    g_assert_nonnull(strstr(idle, "line 0x1000140 of memory ram"));
    g_assert_nonnull(strstr(idle, ", not there"));
    g_assert_null(strstr(idle, "device"));
    /* Version 1 begins with 67, 70, 73 */
    g_assert_nonnull(strstr(idle, "    00  434649"));

    make_m(&m.dev[0], A, 2);
    before = look_at_all(&m);
    text = qtest_hmp(m.qts, "info cxl-cache-line %d", (int)A + 7);
    check_all_same(&m, &before);
    g_assert_nonnull(strstr(text, "line 0x1000140 of memory ram"));
    g_assert_nonnull(strstr(text, ", may be owned"));
    g_assert_nonnull(strstr(text, "  device t0 /machine/peripheral/t0: M, "
                            "set 5 way "));
    g_assert_nonnull(strstr(text, "    00  434649"));
    g_assert_nonnull(strstr(text, "    00  86898c"));
    g_assert_null(strstr(text, "poison"));
out:
    machine_end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cache-line/states", test_states);
    qtest_add_func("/cxl-cache-line/no-data", test_no_data);
    qtest_add_func("/cxl-cache-line/poison", test_poison);
    qtest_add_func("/cxl-cache-line/not-kept", test_not_kept);
    qtest_add_func("/cxl-cache-line/refused", test_refused);
    qtest_add_func("/cxl-cache-line/staged", test_staged);
    qtest_add_func("/cxl-cache-line/hmp", test_hmp);
    return g_test_run();
}
