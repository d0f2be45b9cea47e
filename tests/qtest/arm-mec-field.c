/*
 * QTest testcase for FEAT_MEC on the virt machine: what was met in the field
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads under the wrong MECID that have to be reported; memory of several
 * nodes, and DIMMs; what the monitor shows; TLBs of other CPUs.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "arm-mec-lib.h"

#define TABLE           (PAGES + 0x10000)
#define IPA             0x40123450

/* Block of 1 GiB at stage 2: AF, shareable, read and write, write-back */
#define S2_BLOCK        (0x40000000ull | 1 << 10 | 3 << 8 | 3 << 6 | \
                         0xf << 2 | 1)
#define S2_ENTRY        (TABLE + (IPA >> 30) * 8)

#define SECRET          0x5ec7e75ec7e75ec7ull

#define PCDIMM_SLOT     0x09070000
#define PCDIMM_FLAGS    0x09070014
#define PCDIMM_EJECT    8

/*
 * A machine whose log is watched
 */
typedef struct Logged {
    QTestState *qts;
    char *path;
} Logged;

static Logged start_logged(const char *args)
{
    Logged log = { };
    g_autofree char *all = NULL;
    int fd = g_file_open_tmp("arm-mec-XXXXXX.log", &log.path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    all = g_strdup_printf(CPU "-d guest_errors%s -D %s",
                          args, log.path);
    log.qts = start_with(MACHINE ",mec=on", all);
    wait_for_start(log.qts, 1);
    return log;
}

static void quit_logged(Logged *log)
{
    qtest_quit(log->qts);
    unlink(log->path);
    g_free(log->path);
}

static int count_in_log(Logged *log, const char *what)
{
    g_autofree char *text = NULL;
    const char *at;
    int count = 0;

    g_assert_true(g_file_get_contents(log->path, &text, NULL, NULL));
    for (at = text; (at = strstr(at, what)); at += strlen(what)) {
        count++;
    }
    return count;
}

/* The log has this read */
static void assert_reported(Logged *log, int mecid, uint64_t va, uint64_t pa,
                            int writer)
{
    g_autofree char *text = g_strdup_printf(
        "MEC: read at VA 0x%" PRIx64 " PA 0x%" PRIx64 " with MECID %d of a "
        "page written with MECID %d\n", va, pa, mecid, writer);

    if (!count_in_log(log, text)) {
        g_autofree char *all = NULL;

        g_assert_true(g_file_get_contents(log->path, &all, NULL, NULL));
        g_test_message("expected: %s", text);
        g_test_message("got: %s", all);
        g_test_fail();
    }
}

static QDict *query_state(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(
        qts, "{'execute': 'x-query-arm-mec-state'}");
}

static uint64_t mismatches(QTestState *qts)
{
    QDict *state = query_state(qts);
    uint64_t count = qdict_get_int(state, "mismatches");

    qobject_unref(state);
    return count;
}

/* The newest mismatch; the caller owns it */
static QDict *last_event(QTestState *qts)
{
    QDict *state = query_state(qts);
    QList *events = qdict_get_qlist(state, "events");
    QObject *last = NULL;

    while (!qlist_empty(events)) {
        qobject_unref(last);
        last = qlist_pop(events);
    }
    qobject_unref(state);
    g_assert_nonnull(last);
    return qobject_to(QDict, last);
}

/* Translate IPA by the table, with a MECID in VMECID_P_EL2 */
static uint64_t walk(QTestState *qts, int mecid)
{
    return payload(qts, WALK, mecid, IPA, TABLE);
}

#define WALK_TEXT(read, mecid, writer) \
    "MEC: walk for IPA 0x40123450: level 1 descriptor at PA 0x44010008 " \
    read " with MECID " mecid " (VMECID_P_EL2), written with MECID " writer

/*
 * Item 11: a wrong VMECID_P_EL2 is told of, in both directions, and also
 * where one of the contexts is 0; a right one is not
 */
static void test_walk(void)
{
    Logged log = start_logged(",trace:arm_mec_walk");
    QTestState *qts = log.qts;
    uint64_t par;
    QDict *event;

    store(qts, 3, REALM(S2_ENTRY), S2_BLOCK);
    par = walk(qts, 3);
    g_assert_cmphex(par & 0xfffff001, ==, IPA & 0xfffff000);
    g_assert_cmpint(count_in_log(&log, "MEC:"), ==, 0);
    g_assert_cmpint(count_in_log(&log, "arm_mec_walk"), ==, 0);

    par = walk(qts, 4);
    g_assert_cmphex(par & 1, ==, 1);
    g_assert_cmpint(count_in_log(&log, WALK_TEXT("read", "4", "3")), ==, 1);
    g_assert_cmpint(count_in_log(&log, "arm_mec_walk stage=2 "
                                 "address=0x40123450 level=1 pa=0x44010008 "
                                 "owner=3 mecid=4 VMECID_P_EL2 read"), ==, 1);
    /* Not again within the second, but it is traced */
    walk(qts, 4);
    g_assert_cmpint(count_in_log(&log, "arm_mec_walk"), ==, 2);

    walk(qts, 0);
    g_assert_cmpint(count_in_log(&log, WALK_TEXT("read", "0", "3")), ==, 1);

    event = last_event(qts);
    g_assert_cmpstr(qdict_get_str(event, "access"), ==, "walk");
    g_assert_cmphex(qdict_get_int(event, "ipa"), ==, IPA);
    g_assert_false(qdict_haskey(event, "va"));
    g_assert_cmphex(qdict_get_int(event, "addr"), ==, S2_ENTRY);
    g_assert_cmpint(qdict_get_int(event, "level"), ==, 1);
    g_assert_cmpstr(qdict_get_str(event, "reg"), ==, "VMECID_P_EL2");
    g_assert_cmpint(qdict_get_int(event, "mecid"), ==, 0);
    g_assert_cmpint(qdict_get_int(event, "writer"), ==, 3);
    qobject_unref(event);

    /* A table that was forgotten to be written in the realm's context */
    store(qts, 0, REALM(S2_ENTRY + PAGE), S2_BLOCK);
    payload(qts, WALK, 5, IPA, TABLE + PAGE);
    g_assert_cmpint(count_in_log(&log, "PA 0x44011008 read with MECID 5 "
                                 "(VMECID_P_EL2), written with MECID 0"),
                    ==, 1);
    quit_logged(&log);
}

/* Many wrong walks are not as many lines */
static void test_walk_limit(void)
{
    Logged log = start_logged("");

    for (int i = 0; i < 40; i++) {
        store(log.qts, 3, REALM(S2_ENTRY + i * PAGE), S2_BLOCK);
    }
    for (int i = 0; i < 40; i++) {
        payload(log.qts, WALK, 4, IPA, TABLE + i * PAGE);
    }
    g_assert_cmpint(count_in_log(&log, "MEC: walk"), >=, 16);
    g_assert_cmpint(count_in_log(&log, "MEC: walk"), <, 40);
    g_assert_cmpint(count_in_log(&log, "MEC: more such reads"), >=, 1);
    quit_logged(&log);
}

/*
 * Item 12: a page that another context has overwritten, all of it. Fetches are
 * in the bare-metal tests: EL3 cannot fetch from Realm memory.
 */
static void test_overwritten(void)
{
    Logged log = start_logged("");
    QTestState *qts = log.qts;

    payload(qts, FILL, 1, REALM(PAGES), VALUE);
    payload(qts, FILL, 2, REALM(PAGES), ~VALUE);
    g_assert_cmphex(load(qts, 2, REALM(PAGES + 8)), ==, ~VALUE);
    g_assert_cmpint(count_in_log(&log, "MEC:"), ==, 0);
    /* Not of the first bytes, which have made it the other one's page */
    assert_unreadable(load(qts, 1, REALM(PAGES + 2072)), VALUE);
    assert_reported(&log, 1, REALM(PAGES + 2072), PAGES + 2072, 2);

    /* By context 0 */
    payload(qts, FILL, 1, REALM(PAGES + 2 * PAGE), VALUE);
    payload(qts, FILL, 0, NONSECURE(PAGES + 2 * PAGE), ~VALUE);
    load(qts, 1, REALM(PAGES + 2 * PAGE));
    assert_reported(&log, 1, REALM(PAGES + 2 * PAGE), PAGES + 2 * PAGE, 0);
    quit_logged(&log);
}

/* What is reported follows the bytes, not the page */
static void test_own_bytes(void)
{
    Logged log = start_logged("");
    QTestState *qts = log.qts;
    uint64_t before;

    payload(qts, FILL, 1, REALM(PAGES), VALUE);
    payload(qts, STORE_BYTE, 2, REALM(PAGES + 101), 0x5a);
    store(qts, 2, REALM(PAGES + 512), VALUE);
    /* Each finds its own */
    for (int i = 0; i < 100; i++) {
        g_assert_cmphex(load(qts, 1, REALM(PAGES + 8 * (i % 12))), ==, VALUE);
        g_assert_cmphex(load(qts, 2, REALM(PAGES + 512)), ==, VALUE);
    }
    /* All bytes but one of a word, and after maintenance, too */
    g_assert_cmphex(load(qts, 1, REALM(PAGES + 102)), ==,
                    VALUE >> 48 | VALUE << 16);
    clean(qts, PAGES);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);
    g_assert_cmphex(load(qts, 2, REALM(PAGES + 512)), ==, VALUE);
    g_assert_cmpint(count_in_log(&log, "MEC:"), ==, 0);

    load(qts, 1, REALM(PAGES + 96));
    assert_reported(&log, 1, REALM(PAGES + 96), PAGES + 96, 2);
    load(qts, 2, REALM(PAGES + 520));
    assert_reported(&log, 2, REALM(PAGES + 520), PAGES + 520, 1);
    g_assert_cmpint(count_in_log(&log, "MEC:"), ==, 2);

    /* A granule of a realm that was, which the next one reads first */
    store(qts, 6, REALM(PAGES + PAGE), VALUE);
    clean(qts, PAGES + PAGE);
    load(qts, 7, REALM(PAGES + PAGE));
    assert_reported(&log, 7, REALM(PAGES + PAGE), PAGES + PAGE, 6);
    /* And MECID 0 may look at it in passing */
    load(qts, 0, REALM(PAGES + PAGE));
    g_assert_cmpint(count_in_log(&log, "MEC:"), ==, 3);

    /* It has become the next one's, but not all of it */
    store(qts, 7, REALM(PAGES + PAGE + 8), VALUE);
    before = mismatches(qts);
    load(qts, 7, REALM(PAGES + PAGE));
    g_assert_cmpint(mismatches(qts), ==, before + 1);
    g_assert_cmphex(load(qts, 7, REALM(PAGES + PAGE + 8)), ==, VALUE);
    g_assert_cmphex(load(qts, 6, REALM(PAGES + PAGE)), ==, VALUE);
    g_assert_cmpint(mismatches(qts), ==, before + 1);

    /* Memory that nobody has written is nobody's */
    load(qts, 8, REALM(PAGES + 8 * PAGE));
    g_assert_cmpint(mismatches(qts), ==, before + 1);
    quit_logged(&log);
}

/* Items 9: memory in other shapes. @opaque: type of backend and its options */

static char *backend(const void *opaque, const char *id, int mib,
                     const char *file)
{
    bool is_file = g_str_has_prefix(opaque, "memory-backend-file");

    return g_strdup_printf("-object %s,id=%s,size=%dM%s%s ",
                           (const char *)opaque, id, mib,
                           is_file ? ",mem-path=" : "", is_file ? file : "");
}

static char *temp_file(void)
{
    char *path;
    int fd = g_file_open_tmp("arm-mec-XXXXXX.ram", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

/* Contexts are held in two pages, or parts of them, and by what is between */
static void check_contexts(QTestState *qts, uint64_t pa, uint64_t va,
                           uint64_t ns)
{
    store(qts, 1, va, VALUE);
    store(qts, 2, va + PAGE, ~VALUE);
    store(qts, 3, va + PAGE - 4, VALUE);        /* in both */
    g_assert_cmphex(load(qts, 1, va), ==, VALUE);
    g_assert_cmphex(load(qts, 2, va + PAGE + 8), !=, VALUE);
    g_assert_cmphex(load(qts, 3, va + PAGE - 4), ==, VALUE);
    g_assert_cmphex(load(qts, 2, va + PAGE) >> 32, ==, ~VALUE >> 32);
    assert_unreadable(load(qts, 2, va), VALUE);
    assert_unreadable(load(qts, 0, ns), VALUE);
    g_assert_true(mixed(qts, pa));

    store(qts, 4, va + 2 * PAGE, VALUE);
    g_assert_cmpint(resident(qts, pa + 2 * PAGE), ==, 4);
    g_assert_cmphex(load(qts, 5, va + 2 * PAGE), ==, DEADBEEF);
    clean(qts, pa + 2 * PAGE);
    g_assert_cmpint(resident(qts, pa + 2 * PAGE), ==, 0);
    assert_unreadable(qtest_readq(qts, pa + 2 * PAGE), VALUE);
    g_assert_cmphex(load(qts, 4, va + 2 * PAGE), ==, VALUE);
    /* DMA */
    qtest_writeq(qts, pa + 2 * PAGE, VALUE);
    g_assert_cmphex(load(qts, 0, ns + 2 * PAGE), ==, VALUE);
}

/* Is @word in the file? */
static bool file_has(const char *path, uint64_t word)
{
    g_autofree char *text = NULL;
    gsize size;
    uint64_t at;

    g_assert_true(g_file_get_contents(path, &text, &size, NULL));
    for (gsize i = 0; i + 8 <= size; i += 8) {
        memcpy(&at, text + i, 8);
        if (at == word) {
            return true;
        }
    }
    return false;
}

static void test_nodes(const void *opaque)
{
    g_autofree char *file0 = temp_file(), *file1 = temp_file();
    g_autofree char *m0 = backend(opaque, "m0", RAM_MIB / 2, file0);
    g_autofree char *m1 = backend(opaque, "m1", RAM_MIB / 2, file1);
    g_autofree char *args = g_strdup_printf(
        CPU "-smp 2 %s%s-numa node,memdev=m0 -numa node,memdev=m1", m0, m1);
    QTestState *qts = start_with(MACHINE ",mec=on", args);
    uint64_t border = 0x40000000 + RAM_MIB / 2 * MiB;

    wait_for_start(qts, 1);
    check_contexts(qts, border + MiB, REALM(border + MiB),
                   NONSECURE(border + MiB));
    /* The second page is the other node's */
    check_contexts(qts, border - PAGE, REALM(border - PAGE),
                   NONSECURE(border - PAGE));
    store(qts, 7, REALM(RAM_END - 8), VALUE);
    g_assert_cmpint(resident(qts, RAM_END - 1), ==, 7);
    qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    wait_for_start(qts, 2);
    g_assert_cmpint(resident(qts, RAM_END - 1), ==, 0);
    assert_unreadable(load(qts, 7, REALM(RAM_END - 8)), VALUE);
    qtest_quit(qts);
    unlink(file0);
    unlink(file1);
}

static void test_one_node(void)
{
    QTestState *qts = start_with(MACHINE ",mec=on", CPU
        "-object memory-backend-ram,id=m0,size=" stringify(RAM_MIB) "M "
        "-numa node,memdev=m0");

    wait_for_start(qts, 1);
    check_contexts(qts, PAGES, REALM(PAGES), NONSECURE(PAGES));
    qtest_quit(qts);
}

static void eject(QTestState *qts, int slot)
{
    qtest_qmp_assert_success(
        qts, "{'execute': 'device_del', 'arguments': {'id': 'dimm'}}");
    qtest_writel(qts, PCDIMM_SLOT, slot);
    qtest_writeb(qts, PCDIMM_FLAGS, PCDIMM_EJECT);
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
}

static void plug(QTestState *qts, const char *memdev)
{
    qtest_qmp_assert_success(
        qts, "{'execute': 'device_add', 'arguments': {'driver': 'pc-dimm',"
        " 'id': 'dimm', 'memdev': %s}}", memdev);
}

/* A DIMM that is there from the start, and one that comes and goes */
static void test_dimm(const void *opaque)
{
    g_autofree char *file0 = temp_file(), *file1 = temp_file();
    g_autofree char *m0 = backend(opaque, "m0", 128, file0);
    g_autofree char *m1 = backend(opaque, "m1", 128, file1);
    g_autofree char *args = g_strdup_printf(
        CPU "-m %dM,slots=2,maxmem=1G -bios %s %s%s"
        "-device pc-dimm,memdev=m0", RAM_MIB, arm_mec_payload_file, m0, m1);
    QTestState *qts = start_with(MACHINE ",mec=on", args);
    uint64_t second = DIMM + 128 * MiB;

    wait_for_start(qts, 1);
    check_contexts(qts, DIMM, DIMM_REALM(DIMM), DIMM_NS(DIMM));
    check_contexts(qts, PAGES, REALM(PAGES), NONSECURE(PAGES));

    plug(qts, "m1");
    check_contexts(qts, second - PAGE, DIMM_REALM(second - PAGE),
                   DIMM_NS(second - PAGE));
    store(qts, 9, DIMM_REALM(second + 64 * PAGE), SECRET);
    g_assert_cmphex(load(qts, 9, DIMM_REALM(second + 64 * PAGE)), ==, SECRET);

    /* It goes as others see it, and comes back as such */
    eject(qts, 1);
    if (g_str_has_prefix(opaque, "memory-backend-file")) {
        g_assert_false(file_has(file1, SECRET));
    }
    plug(qts, "m1");
    assert_unreadable(qtest_readq(qts, second + 64 * PAGE), SECRET);
    g_assert_cmpint(resident(qts, second + 64 * PAGE), ==, 0);
    assert_unreadable(load(qts, 0, DIMM_NS(second + 64 * PAGE)), SECRET);
    check_contexts(qts, second + 8 * PAGE, DIMM_REALM(second + 8 * PAGE),
                   DIMM_NS(second + 8 * PAGE));

    qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    wait_for_start(qts, 2);
    g_assert_cmpint(resident(qts, DIMM), ==, 0);
    g_assert_cmpint(resident(qts, second + 8 * PAGE), ==, 0);
    qtest_quit(qts);
    unlink(file0);
    unlink(file1);
}

/* Item 13: the registers of each CPU, and the last mismatches */
static void test_state(void)
{
    QTestState *qts = start_with(MACHINE ",mec=on", CPU "-smp 2");
    QTestState *off;
    QDict *state, *cpu, *error;
    g_autofree char *hmp = NULL;

    wait_for_start(qts, 1);
    walk(qts, 21);
    store(qts, 0xffff, REALM(PAGES), VALUE);
    state = query_state(qts);
    g_assert_cmpint(qlist_size(qdict_get_qlist(state, "cpus")), ==, 2);
    cpu = qobject_to(QDict, qlist_peek(qdict_get_qlist(state, "cpus")));
    g_assert_cmpint(qdict_get_int(cpu, "cpu-index"), ==, 0);
    g_assert_true(qdict_get_bool(cpu, "scr-el3-mecen"));
    g_assert_true(qdict_get_bool(cpu, "sctlr2-el3-emec"));
    g_assert_true(qdict_get_bool(cpu, "sctlr2-el2-emec"));
    g_assert_false(qdict_get_bool(cpu, "tcr2-el2-amec0"));
    g_assert_cmpint(qdict_get_int(cpu, "mecid-rl-a-el3"), ==, 0xffff);
    g_assert_cmpint(qdict_get_int(cpu, "vmecid-p-el2"), ==, 21);
    g_assert_cmpint(qdict_get_int(cpu, "vmecid-a-el2"), ==, 0);
    qobject_unref(state);
    g_assert_cmpint(count_in_hmp(qts, "info arm-mec", "MECID_RL_A_EL3=65535"),
                    ==, 1);
    g_assert_cmpint(count_in_hmp(qts, "info arm-mec", "VMECID_P_EL2=21"),
                    ==, 1);
    g_assert_cmpint(count_in_hmp(qts, "info arm-mec", "VMECID_A_EL2=0"),
                    ==, 2);
    qtest_quit(qts);

    off = start_with(MACHINE, CPU);
    error = qtest_qmp_assert_failure_ref(
        off, "{'execute': 'x-query-arm-mec-state'}");
    hmp = qtest_hmp(off, "info arm-mec");
    g_assert_nonnull(strstr(hmp, qdict_get_str(error, "desc")));
    qobject_unref(error);
    qtest_quit(off);
}

static void test_events(void)
{
    QTestState *qts = start();
    QDict *state, *first, *event;
    g_autofree char *text = NULL;

    wait_for_start(qts, 1);
    g_assert_cmpint(count_in_hmp(qts, "info arm-mec", "wrong MECID: 0"),
                    ==, 1);
    for (int i = 0; i < 40; i++) {
        store(qts, 1, REALM(PAGES + i * PAGE), VALUE);
        load(qts, 2 + i, REALM(PAGES + i * PAGE + 16));
        if (i == 20) {
            /* Three in all of this one */
            load(qts, 2 + i, REALM(PAGES + i * PAGE + 16));
            load(qts, 2 + i, REALM(PAGES + i * PAGE + 24));
        }
    }
    state = query_state(qts);
    g_assert_cmpint(qdict_get_int(state, "mismatches"), ==, 42);
    g_assert_cmpint(qlist_size(qdict_get_qlist(state, "events")), ==, 32);
    first = qobject_to(QDict, qlist_peek(qdict_get_qlist(state, "events")));
    g_assert_cmpint(qdict_get_int(first, "mecid"), ==, 2 + 8);

    event = last_event(qts);
    g_assert_cmpint(qdict_get_int(event, "mecid"), ==, 41);
    g_assert_cmpint(qdict_get_int(event, "writer"), ==, 1);
    g_assert_cmpint(qdict_get_int(event, "cpu-index"), ==, 0);
    g_assert_cmphex(qdict_get_int(event, "addr"), ==, PAGES + 39 * PAGE + 16);
    g_assert_cmphex(qdict_get_int(event, "va"), ==,
                    REALM(PAGES + 39 * PAGE + 16));
    g_assert_cmpint(qdict_get_int(event, "last"), >,
                    qdict_get_int(first, "last"));
    g_assert_cmpint(qdict_get_int(event, "last"), ==,
                    qdict_get_int(event, "first"));
    text = qtest_hmp(qts, "info arm-mec");
    g_assert_nonnull(strstr(text, "CPU 0: read at VA 0x84027010 PA 0x44027010 "
                            "with MECID 41 of a page written with MECID 1"));
    g_assert_nonnull(strstr(text, "with MECID 22 of a page written with "
                            "MECID 1, 3 times since "));
    qobject_unref(event);
    qobject_unref(state);
    qtest_quit(qts);
}

/* With the payload on two CPUs */
static QTestState *start_two(void)
{
    QTestState *qts = start_with(MACHINE ",mec=on", CPU "-smp 2 "
        "-device loader,addr=" stringify(PAYLOAD) ",cpu-num=1");

    wait_for_start(qts, 1);
    wait_for(qts, BOX_CPU(1) - BOX + BOX_STARTS, 1, false);
    return qts;
}

/* What a page reads as must not come from another CPU's old translation. */
static void test_other_tlbs(void)
{
    QTestState *qts = start_two();
    uint64_t box = BOX_CPU(1) - BOX, laps;

    store(qts, 1, REALM(PAGES), VALUE);
    qtest_writeq(qts, box + BOX_MECID, 1);
    qtest_writeq(qts, box + BOX_ADDRESS, REALM(PAGES));
    qtest_writeq(qts, box + BOX_VALUE, VALUE);
    qtest_writeq(qts, box + BOX_COMMAND, WATCH);
    for (int i = 0; i < 40; i++) {
        /* Until it is CPU 1's page again, and CPU 1 reads it directly */
        laps = qtest_readq(qts, box + BOX_LAPS);
        while (resident(qts, PAGES) != 1) {
            g_usleep(100);
        }
        while (qtest_readq(qts, box + BOX_LAPS) < laps + 1000) {
            g_usleep(100);
        }
        for (int n = 0; resident(qts, PAGES) == 1 && n < 200; n++) {
            store(qts, 2, REALM(PAGES + 1024), i);
        }
    }
    qtest_writeq(qts, box + BOX_STOP, 1);
    wait_for(qts, box + BOX_COMMAND, 0, false);
    g_assert_cmpint(qtest_readq(qts, box + BOX_ERRORS), ==, 0);
    qtest_quit(qts);
}

static uint64_t load_on_cpu_1(QTestState *qts, uint16_t mecid, uint64_t va)
{
    uint64_t box = BOX_CPU(1) - BOX;

    qtest_writeq(qts, box + BOX_MECID, mecid);
    qtest_writeq(qts, box + BOX_ADDRESS, va);
    qtest_writeq(qts, box + BOX_COMMAND, LOAD);
    wait_for(qts, box + BOX_COMMAND, 0, false);
    return qtest_readq(qts, box + BOX_VALUE);
}

/*
 * Nor from a translation that another page has driven out of the emulator's
 * TLB, of at most 4096 entries here, which keeps some of those elsewhere.
 */
static void test_victim_tlb(void)
{
    QTestState *qts = start_two();

    for (int i = 0; i < 10; i++) {
        uint64_t pa = PAGES + i * PAGE;

        store(qts, 1, REALM(pa), VALUE + i);
        g_assert_cmphex(load_on_cpu_1(qts, 1, REALM(pa)), ==, VALUE + i);
        load_on_cpu_1(qts, 1, REALM(pa + 4096 * PAGE));
        g_assert_cmpint(resident(qts, pa), ==, 1);
        for (int n = 0; resident(qts, pa) == 1; n++) {
            g_assert_cmpint(n, <, 1000);
            store(qts, 2, REALM(pa + 1024), i);
        }
        g_assert_cmphex(load_on_cpu_1(qts, 1, REALM(pa)), ==, VALUE + i);
    }
    qtest_quit(qts);
}

/* Controls count from the next ISB on, without TLB maintenance. */
static void test_controls(void)
{
    QTestState *qts = start();

    wait_for_start(qts, 1);
    store(qts, 1, REALM(PAGES), VALUE);
    g_assert_cmphex(payload(qts, WITHOUT_EMEC, 1, REALM(PAGES), 0), ==,
                    DEADBEEF);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);
    qtest_quit(qts);
}

void arm_mec_add_field_tests(void)
{
    static const struct {
        const char *name;
        const char *options;
    } backends[] = {
        { "ram", "memory-backend-ram" },
        { "memfd", "memory-backend-memfd,share=on" },
        { "file", "memory-backend-file,share=on" },
    };

    qtest_add_func("/arm-mec/field/11-walk", test_walk);
    qtest_add_func("/arm-mec/field/11-walk-limit", test_walk_limit);
    qtest_add_func("/arm-mec/field/12-overwritten", test_overwritten);
    qtest_add_func("/arm-mec/field/12-own-bytes", test_own_bytes);
    qtest_add_func("/arm-mec/field/09-one-node", test_one_node);
    for (int i = 0; i < ARRAY_SIZE(backends); i++) {
        g_autofree char *nodes = g_strdup_printf(
            "/arm-mec/field/09-two-nodes/%s", backends[i].name);
        g_autofree char *dimm = g_strdup_printf(
            "/arm-mec/field/09-dimm/%s", backends[i].name);

        qtest_add_data_func(nodes, backends[i].options, test_nodes);
        qtest_add_data_func(dimm, backends[i].options, test_dimm);
    }
    qtest_add_func("/arm-mec/field/13-state", test_state);
    qtest_add_func("/arm-mec/field/13-events", test_events);
    qtest_add_func("/arm-mec/other-tlbs", test_other_tlbs);
    qtest_add_func("/arm-mec/victim-tlb", test_victim_tlb);
    qtest_add_func("/arm-mec/controls", test_controls);
}
