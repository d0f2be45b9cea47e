/*
 * QTest testcase for FEAT_MEC on the virt machine: options that are refused,
 * ID register, views, queries, DMA and reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers of cases are those of the project's list for FEAT_MEC.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "exec/memattrs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "arm-mec-lib.h"

/* Case 54: what is refused, and what the message must tell */

static const struct {
    const char *name;
    const char *args;
    const char *message;
} refused[] = {
    {
        "no-rme",
        "-accel tcg -M " MACHINE ",mec=on -cpu max",
        "x-rme",
    }, {
        "cpu-without-rme",
        "-accel tcg -M " MACHINE ",mec=on -cpu cortex-a57",
        "x-rme",
    }, {
        "no-secure",
        "-accel tcg -M virt,virtualization=on,mec=on " CPU,
        "secure=on",
    }, {
        "no-virtualization",
        "-accel tcg -M virt,secure=on,mec=on " CPU,
        "virtualization=on",
    }, {
        "bare",
        "-accel tcg -M virt,mec=on " CPU,
        "secure=on",
    }, {
        "no-rme-in-accelerator",
        "-accel qtest -M " MACHINE ",mec=on -cpu max",
        "x-rme",
    }, {
        "unknown-mismatch",
        "-accel tcg -M " MACHINE ",mec=on,mec-mismatch=zeroes " CPU,
        "'mec-mismatch' does not accept value 'zeroes'\n"
        "Valid values are deadbeef and keystream.",
    }, {
        "unknown-writeback",
        "-accel tcg -M " MACHINE ",mec=on,mec-writeback=later " CPU,
        "'mec-writeback' does not accept value 'later'\n"
        "Valid values are immediate, lazy and adversarial.",
    }, {
        "writeback-alone",
        "-accel tcg -M " MACHINE ",mec-writeback=lazy " CPU,
        "mec-writeback=lazy requires mec=on",
    }, {
        "kvm",
        "-accel kvm -M " MACHINE ",mec=on -cpu max",
        "only with TCG",
    },
};

/*
 * @opaque is an index into refused[].  A device that cannot be comes last, so
 * that an emulator which wrongly accepts the options ends as well.
 */
static void test_refused(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -S %s -device no-such-device",
        qtest_qemu_binary(NULL), refused[i].args);
    g_auto(GStrv) argv = NULL;
    g_autofree char *err = NULL;
    g_autoptr(GError) error = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
    g_assert_true(g_spawn_sync(NULL, argv, NULL,
                               G_SPAWN_SEARCH_PATH |
                               G_SPAWN_STDOUT_TO_DEV_NULL,
                               NULL, NULL, NULL, &err, &status, &error));
    if (!strstr(err, refused[i].message) || strstr(err, "no-such-device")) {
        g_test_message("expected: %s", refused[i].message);
        g_test_message("got: %s", err);
        g_test_fail();
    }
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
}

static bool machine_has_mec(QTestState *qts)
{
    QDict *answer = qtest_qmp(
        qts, "{'execute': 'qom-list', 'arguments': {'path': '/machine'}}");
    const QListEntry *entry;
    bool has = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
        QDict *child = qobject_to(QDict, qlist_entry_obj(entry));

        has |= g_str_equal(qdict_get_str(child, "type"), "child<arm-mec>");
    }
    qobject_unref(answer);
    return has;
}

static void assert_query_refused(QTestState *qts, uint64_t pa)
{
    g_autofree char *hmp = NULL;
    QDict *error = qtest_qmp_assert_failure_ref(
        qts, "{'execute': 'x-query-arm-mec', 'arguments': {'addr': %"
        PRIu64 "}}", pa);

    g_assert_cmpstr(qdict_get_str(error, "class"), ==, "GenericError");
    hmp = qtest_hmp(qts, "info arm-mec 0x%" PRIx64, pa);
    g_assert_nonnull(strstr(hmp, qdict_get_str(error, "desc")));
    qobject_unref(error);
}

/*
 * Case 54, mec=off: there is no device, no view, and no effect.  The machine
 * is started as @opaque says, which is the upstream behaviour.
 */
static void test_off(const void *opaque)
{
    QTestState *qts = start_with(opaque, CPU);

    g_assert_false(machine_has_mec(qts));
    g_assert_cmpint(count_in_hmp(qts, "info mtree", "mec"), ==, 0);
    g_assert_cmpint(count_in_hmp(qts, "info qom-tree", "mec"), ==, 0);
    assert_query_refused(qts, PAGES);

    wait_for_start(qts, 1);
    store(qts, 1, REALM(PAGES), VALUE);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);
    g_assert_cmphex(load(qts, 2, REALM(PAGES)), ==, VALUE);
    g_assert_cmphex(load(qts, 0, NONSECURE(PAGES)), ==, VALUE);
    clean(qts, PAGES);
    g_assert_cmphex(qtest_readq(qts, PAGES), ==, VALUE);
    qtest_quit(qts);
}

/* Case 55: ID_AA64MMFR3_EL1.MEC */
static void test_id_register(void)
{
    static const struct {
        const char *machine;
        const char *cpu;
        int mec;
    } kinds[] = {
        { "virt,secure=on,virtualization=on", "-cpu max", 0 },
        { "virt,secure=on", "-cpu max", 0 },
        { "virt,secure=on,virtualization=on", CPU, 1 },
        { "virt,secure=on,virtualization=on,mec=on", CPU, 1 },
    };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        QTestState *qts = start_with(kinds[i].machine, kinds[i].cpu);
        uint64_t value;

        wait_for_start(qts, 1);
        value = payload(qts, ID_REGISTER, 0, 0, 0);
        g_assert_cmpint(extract64(value, 28, 4), ==, kinds[i].mec);
        qtest_quit(qts);
    }
}

/* Case 56: each CPU has one view */
static void test_views(void)
{
    for (int cpus = 1; cpus <= 3; cpus += 2) {
        g_autofree char *args = g_strdup_printf(CPU "-smp %d", cpus);
        QTestState *qts = start_with(MACHINE ",mec=on", args);

        g_assert_true(machine_has_mec(qts));
        g_assert_cmpint(count_in_hmp(qts, "info mtree",
                                     "address-space: cpu-mec-view"),
                        ==, cpus);
        /* Queries of the processors are what they were */
        g_assert_cmpint(count_in_hmp(qts, "info cpus", "CPU #"), ==, cpus);
        qtest_quit(qts);
    }
}

/* Case 57: the attributes travel with each access, in one word */
static void test_attributes(void)
{
    MemTxAttrs attrs = { .mecid = 0xffff, .encrypted = 1 };

    G_STATIC_ASSERT(sizeof(attrs) == 8);
    g_assert_cmphex(attrs.mecid, ==, 0xffff);
    g_assert_true(attrs.encrypted);
    g_assert_false(attrs.secure || attrs.space || attrs.requester_id ||
                   attrs.unspecified);
    g_assert_false(MEMTXATTRS_UNSPECIFIED.encrypted);
    g_assert_cmphex(MEMTXATTRS_UNSPECIFIED.mecid, ==, 0);
}

static void test_query(void)
{
    static const uint64_t outside[] = {
        0, 0x09000000, 0x3fffffff, RAM_END, 1ull << 40, UINT64_MAX,
    };
    QTestState *qts = start();
    g_autofree char *hmp = NULL;

    wait_for_start(qts, 1);
    g_assert_cmpint(resident(qts, PAGES), ==, 0);
    g_assert_false(mixed(qts, PAGES));

    store(qts, 0xffff, REALM(PAGES + 8), VALUE);
    g_assert_cmpint(resident(qts, PAGES), ==, 0xffff);
    g_assert_cmpint(resident(qts, PAGES + 1), ==, 0xffff);
    g_assert_cmpint(resident(qts, PAGES + PAGE - 1), ==, 0xffff);
    g_assert_cmpint(resident(qts, PAGES - 1), ==, 0);
    g_assert_cmpint(resident(qts, PAGES + PAGE), ==, 0);
    g_assert_false(mixed(qts, PAGES));
    hmp = qtest_hmp(qts, "info arm-mec 0x%x", PAGES);
    g_assert_true(strstr(hmp, "65535") || strstr(hmp, "0xffff"));

    /* One byte of another context, and it is a page of two */
    payload(qts, STORE_BYTE, 6, REALM(PAGES + 100), 0x5a);
    g_assert_true(mixed(qts, PAGES));

    /* The ends of main memory */
    store(qts, 7, REALM(RAM_END - 8), VALUE);
    g_assert_cmpint(resident(qts, RAM_END - 1), ==, 7);
    g_assert_cmpint(resident(qts, 0x40000000), ==, 0);

    for (int i = 0; i < ARRAY_SIZE(outside); i++) {
        assert_query_refused(qts, outside[i]);
    }
    qtest_quit(qts);
}

/* What each context and each PA space sees; @opaque: mec-mismatch */
static void test_contexts(const void *opaque)
{
    const char *mismatch = opaque;
    g_autofree char *machine = g_strdup_printf(MACHINE ",mec=on%s%s",
        mismatch ? ",mec-mismatch=" : "", mismatch ? mismatch : "");
    bool deadbeef = !mismatch || g_str_equal(mismatch, "deadbeef");
    QTestState *qts = start_with(machine, CPU);
    static const uint64_t foreign[] = {
        ROOT(PAGES), NONSECURE(PAGES), SECURE(PAGES),
    };
    uint64_t first;

    wait_for_start(qts, 1);
    store(qts, 1, REALM(PAGES), VALUE);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);

    first = load(qts, 2, REALM(PAGES));
    assert_unreadable(first, VALUE);
    if (deadbeef) {
        g_assert_cmphex(first, ==, DEADBEEF);
    } else {
        g_assert_cmphex(load(qts, 3, REALM(PAGES)), !=, first);
    }
    /* Reading changes nothing */
    g_assert_cmphex(load(qts, 2, REALM(PAGES)), ==, first);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);

    /* R_GKRVJ and its like: the other spaces have context 0 */
    for (int i = 0; i < ARRAY_SIZE(foreign); i++) {
        assert_unreadable(load(qts, 1, foreign[i]), VALUE);
    }
    store(qts, 1, NONSECURE(PAGES + 8), VALUE);
    for (int i = 0; i < ARRAY_SIZE(foreign); i++) {
        g_assert_cmphex(load(qts, 1, foreign[i] + 8), ==, VALUE);
    }
    g_assert_cmphex(load(qts, 0, REALM(PAGES + 8)), ==, VALUE);
    assert_unreadable(load(qts, 1, REALM(PAGES + 8)), VALUE);
    g_assert_cmphex(load(qts, 1, REALM(PAGES)), ==, VALUE);

    /* One translation, two contexts, no TLB maintenance between */
    store(qts, 4, REALM(PAGES + PAGE), VALUE);
    g_assert_cmphex(payload(qts, LOAD_PAIR, 4, REALM(PAGES + PAGE), 5),
                    ==, VALUE);
    qtest_quit(qts);
}

/*
 * A page as TF-RMM and TF-A recycle it, with a device that writes to it.
 * Case 48 without a guest of its own; and 49, where the page is wiped under
 * a context other than 0.
 */
static void recycle(QTestState *qts, uint16_t mecid, uint16_t wipe,
                    uint8_t seed)
{
    g_autofree uint8_t *out = g_malloc(PAGE);
    g_autofree uint8_t *in = g_malloc(PAGE);

    store(qts, mecid, REALM(PAGES), VALUE);
    store(qts, mecid, REALM(PAGES + PAGE - 8), ~VALUE);
    clean(qts, PAGES);
    g_assert_cmphex(qtest_readq(qts, PAGES), !=, VALUE);
    g_assert_cmphex(load(qts, mecid, REALM(PAGES)), ==, VALUE);

    /* Wiped, and given back */
    for (int at = 0; at < PAGE; at += 512) {
        store(qts, wipe, REALM(PAGES + at), 0);
    }
    clean(qts, PAGES);
    for (int at = 0; at < PAGE; at += 512) {
        uint64_t seen = load(qts, 0, NONSECURE(PAGES + at));

        g_assert_true((seen == 0) == (wipe == 0));
    }

    /* DMA both ways */
    memset(out, seed, PAGE);
    qtest_memwrite(qts, PAGES, out, PAGE);
    g_assert_cmphex(load(qts, mecid, NONSECURE(PAGES + 16)), ==,
                    seed * 0x0101010101010101ull);
    store(qts, 0, NONSECURE(PAGES + 16), VALUE);
    qtest_memread(qts, PAGES, in, PAGE);
    g_assert_cmphex(ldq_le_p(in + 16), ==, VALUE);
    stq_le_p(out + 16, VALUE);
    g_assert_cmpmem(in, PAGE, out, PAGE);

    /* In Realm again, for the monitor's own use */
    clean(qts, PAGES);
    store(qts, 0, REALM(PAGES), ~VALUE);
    g_assert_cmphex(load(qts, 0, REALM(PAGES)), ==, ~VALUE);
    g_assert_cmphex(load(qts, 0, REALM(PAGES + 16)), ==, VALUE);
    assert_unreadable(load(qts, mecid, REALM(PAGES)), ~VALUE);
}

static void test_dma(void)
{
    QTestState *qts = start();

    wait_for_start(qts, 1);
    for (int round = 1; round <= 20; round++) {
        recycle(qts, round, round % 4 ? 0 : 1000, round);
    }

    /* Case 50, without maintenance: whatever is read, nothing breaks */
    store(qts, 3, REALM(PAGES), VALUE);
    qtest_writeq(qts, PAGES, 0);
    load(qts, 3, REALM(PAGES));
    load(qts, 0, NONSECURE(PAGES));
    qtest_quit(qts);
}

/* Case 51: contexts end with a system reset, before the machine is loaded */
static void test_reset(void)
{
    QTestState *qts = start_with(
        MACHINE ",mec=on", CPU "-smp 2 "
        "-device loader,addr=" stringify(BLOB) ","
        "data=0x0123456789abcdef,data-len=8");

    for (uint64_t starts = 1; starts <= 3; starts++) {
        wait_for_start(qts, starts);
        g_assert_cmphex(load(qts, 0, ROOT(BLOB)), ==, VALUE);
        for (int i = 0; i < 4; i++) {
            g_assert_cmpint(resident(qts, PAGES + i * PAGE), ==, 0);
        }

        for (int i = 0; i < 4; i++) {
            store(qts, i, REALM(PAGES + i * PAGE), VALUE);
            g_assert_cmpint(resident(qts, PAGES + i * PAGE), ==, i);
        }
        store(qts, 9, REALM(BLOB), 0);
        store(qts, 10, REALM(BLOB + 8), 0);
        /* The payload's own last words */
        store(qts, 11, REALM(PAYLOAD + PAGE - 8), 0);
        qtest_qmp_assert_success(qts, "{'execute': 'system_reset'}");
    }
    qtest_quit(qts);
}

/*
 * The monitor translates addresses in a thread of its own. That must not
 * confuse what a CPU knows of its TLB, or the CPU reads by a translation of
 * the MECID it had before.
 */
static void test_debug_walks(void)
{
    QTestState *qts = start();
    uint64_t laps;

    wait_for_start(qts, 1);
    store(qts, 1, REALM(PAGES), VALUE);
    qtest_writeq(qts, BOX_PEER, 2);
    command(qts, ALTERNATE, 1, REALM(PAGES), VALUE);
    laps = wait_for(qts, BOX_LAPS, 0, true);
    for (int i = 0; i < 150; i++) {
        /* Each line is a walk: to a Root page, which has no MECID */
        g_autofree char *text = qtest_hmp(qts, "x /8192xb 0x%x", BLOB);

        g_assert_nonnull(strstr(text, "0x00"));
    }
    g_assert_cmpint(wait_for(qts, BOX_LAPS, laps, true), >, laps);
    qtest_writeq(qts, BOX_STOP, 1);
    wait_for(qts, BOX_COMMAND, 0, false);
    g_test_message("%" PRIu64 " laps", qtest_readq(qts, BOX_LAPS));
    g_assert_cmphex(qtest_readq(qts, BOX_FAULT), ==, 0);
    g_assert_cmpint(qtest_readq(qts, BOX_ERRORS), ==, 0);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    arm_mec_write_payload();

    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *path = g_strdup_printf("/arm-mec/refused/%s",
                                                refused[i].name);

        if (!strstr(refused[i].args, "-accel kvm") ||
            qtest_has_accel("kvm")) {
            qtest_add_data_func(path, GINT_TO_POINTER(i), test_refused);
        }
    }
    qtest_add_data_func("/arm-mec/off/default", MACHINE, test_off);
    qtest_add_data_func("/arm-mec/off/explicit", MACHINE ",mec=off",
                        test_off);
    qtest_add_func("/arm-mec/id-register", test_id_register);
    qtest_add_func("/arm-mec/views", test_views);
    qtest_add_func("/arm-mec/attributes", test_attributes);
    qtest_add_func("/arm-mec/query", test_query);
    qtest_add_data_func("/arm-mec/contexts/default", NULL, test_contexts);
    qtest_add_data_func("/arm-mec/contexts/deadbeef", "deadbeef",
                        test_contexts);
    qtest_add_data_func("/arm-mec/contexts/keystream", "keystream",
                        test_contexts);
    qtest_add_func("/arm-mec/dma", test_dma);
    qtest_add_func("/arm-mec/reset", test_reset);
    arm_mec_add_migration_tests();
    qtest_add_func("/arm-mec/debug-walks", test_debug_walks);
    arm_mec_add_field_tests();

    status = g_test_run();
    unlink(arm_mec_payload_file);
    return status;
}
