/*
 * QTest testcase for FEAT_MEC on the virt machine: snapshots and migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "arm-mec-lib.h"

/* Pages of contexts 1, 2, 3, of 0, and one that is mixed */
static void write_pages(QTestState *qts, uint64_t value)
{
    for (int i = 0; i < 4; i++) {
        store(qts, i, REALM(PAGES + i * PAGE), value + i);
    }
    store(qts, 1, REALM(PAGES + 4 * PAGE), value);
    store(qts, 2, REALM(PAGES + 4 * PAGE + 8), value);
    store(qts, 3, REALM(PAGES + 4 * PAGE + 16), value);
}

static void check_pages(QTestState *qts, uint64_t value)
{
    for (int i = 0; i < 4; i++) {
        uint64_t va = REALM(PAGES + i * PAGE);

        g_assert_cmpint(resident(qts, PAGES + i * PAGE), ==, i);
        g_assert_false(mixed(qts, PAGES + i * PAGE));
        g_assert_cmphex(load(qts, i, va), ==, value + i);
        assert_unreadable(load(qts, i + 1, va), value + i);
    }
    g_assert_true(mixed(qts, PAGES + 4 * PAGE));
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(load(qts, i + 1, REALM(PAGES + 4 * PAGE + i * 8)),
                        ==, value);
    }
}

static void run_job(QTestState *qts, const char *id)
{
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;
    bool concluded = false;

    while (!concluded) {
        QDict *answer = qtest_qmp(qts, "{'execute': 'query-jobs'}");
        const QListEntry *entry;

        QLIST_FOREACH_ENTRY(qdict_get_qlist(answer, "return"), entry) {
            QDict *job = qobject_to(QDict, qlist_entry_obj(entry));

            if (g_str_equal(qdict_get_str(job, "id"), id) &&
                g_str_equal(qdict_get_str(job, "status"), "concluded")) {
                g_assert_cmpstr(qdict_get_try_str(job, "error"), ==, NULL);
                concluded = true;
            }
        }
        qobject_unref(answer);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    qtest_qmp_assert_success(
        qts, "{'execute': 'job-dismiss', 'arguments': {'id': %s}}", id);
}

/* An empty qcow2 image as node "disk" */
static void add_disk(QTestState *qts, const char *path)
{
    qtest_qmp_assert_success(
        qts, "{'execute': 'blockdev-add', 'arguments': {'driver': 'file',"
        " 'filename': %s, 'node-name': 'file'}}", path);
    qtest_qmp_assert_success(
        qts, "{'execute': 'blockdev-create', 'arguments': {'job-id': 'c',"
        " 'options': {'driver': 'qcow2', 'file': 'file',"
        " 'size': 1048576}}}");
    run_job(qts, "c");
    qtest_qmp_assert_success(
        qts, "{'execute': 'blockdev-add', 'arguments': {'driver': 'qcow2',"
        " 'file': 'file', 'node-name': 'disk'}}");
}

static void snapshot(QTestState *qts, const char *what)
{
    qtest_qmp_assert_success(
        qts, "{'execute': %s, 'arguments': {'job-id': 's', 'tag': 't',"
        " 'vmstate': 'disk', 'devices': ['disk']}}", what);
    run_job(qts, "s");
}

/* Case 52, savevm and loadvm */
static void test_snapshot(void)
{
    g_autofree char *path = NULL;
    QTestState *qts = start();
    int fd = g_file_open_tmp("arm-mec-XXXXXX.qcow2", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    wait_for_start(qts, 1);
    add_disk(qts, path);
    write_pages(qts, VALUE);
    g_assert_cmphex(load(qts, 3, REALM(PAGES + 3 * PAGE)), ==, VALUE + 3);
    snapshot(qts, "snapshot-save");

    /* Everything becomes something else */
    for (int i = 0; i < 5; i++) {
        store(qts, 8 - i, REALM(PAGES + i * PAGE), ~VALUE);
        store(qts, 8 - i, REALM(PAGES + i * PAGE + 8), ~VALUE);
    }
    snapshot(qts, "snapshot-load");

    /* The register came back too, and no entry of the TLB stayed */
    g_assert_cmphex(payload(qts, LOAD_AS_IT_IS, 0,
                            REALM(PAGES + 3 * PAGE), 0), ==, VALUE + 3);
    check_pages(qts, VALUE);
    write_pages(qts, ~VALUE);
    snapshot(qts, "snapshot-load");
    check_pages(qts, VALUE);

    qtest_quit(qts);
    unlink(path);
}

static void wait_for_status(QTestState *qts, const char *command,
                            const char *status)
{
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;
    bool reached = false;

    while (!reached) {
        QDict *answer = qtest_qmp_assert_success_ref(
            qts, "{'execute': %s}", command);
        const char *now = qdict_get_try_str(answer, "status");

        g_assert_cmpstr(now, !=, "failed");
        reached = now && g_str_equal(now, status);
        qobject_unref(answer);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
}

static QTestState *migrate(QTestState *from)
{
    g_autofree char *dir = g_dir_make_tmp("arm-mec-XXXXXX", NULL);
    g_autofree char *path = g_strdup_printf("%s/socket", dir);
    g_autofree char *uri = g_strdup_printf("unix:%s", path);
    g_autofree char *args = g_strdup_printf(CPU "-incoming %s", uri);
    QTestState *to = start_with(MACHINE ",mec=on", args);

    qtest_qmp_assert_success(
        from, "{'execute': 'migrate', 'arguments': {'uri': %s}}", uri);
    wait_for_status(from, "query-migrate", "completed");
    wait_for_status(to, "query-status", "running");
    qtest_quit(from);
    unlink(path);
    rmdir(dir);
    return to;
}

/* Case 52, to another emulator */
static void test_migrate(void)
{
    QTestState *qts = start();

    wait_for_start(qts, 1);
    write_pages(qts, VALUE);
    g_assert_cmphex(load(qts, 2, REALM(PAGES + 2 * PAGE)), ==, VALUE + 2);
    qts = migrate(qts);
    g_assert_cmphex(payload(qts, LOAD_AS_IT_IS, 0,
                            REALM(PAGES + 2 * PAGE), 0), ==, VALUE + 2);
    check_pages(qts, VALUE);
    write_pages(qts, ~VALUE);
    check_pages(qts, ~VALUE);
    qtest_quit(qts);
}

/* The same while pages change their context all the time */
static void test_migrate_churn(void)
{
    QTestState *qts = start();
    uint64_t laps;
    int mecid;

    wait_for_start(qts, 1);
    command(qts, CHURN, 0, REALM(PAGES), 0);
    for (int i = 0; i < 3; i++) {
        laps = wait_for(qts, BOX_LAPS, qtest_readq(qts, BOX_LAPS), true);
        qts = migrate(qts);
        g_assert_cmpint(qtest_readq(qts, BOX_LAPS), >=, laps);
        wait_for(qts, BOX_LAPS, qtest_readq(qts, BOX_LAPS), true);
    }
    qtest_writeq(qts, BOX_STOP, 1);
    wait_for(qts, BOX_COMMAND, 0, false);
    g_assert_cmphex(qtest_readq(qts, BOX_FAULT), ==, 0);
    g_assert_cmpint(qtest_readq(qts, BOX_ERRORS), ==, 0);
    laps = qtest_readq(qts, BOX_LAPS);
    g_assert_cmpint(laps, >, 3 * CHURN_PAGES);
    g_test_message("%" PRIu64 " pages written", laps);

    for (int i = 0; i < CHURN_PAGES; i++) {
        mecid = qtest_readq(qts, BOX_SHADOW + i * 16);
        g_assert_cmpint(mecid, >=, 1);
        g_assert_cmphex(load(qts, mecid, REALM(PAGES + i * PAGE)), ==,
                        qtest_readq(qts, BOX_SHADOW + i * 16 + 8));
        assert_unreadable(load(qts, mecid + 1, REALM(PAGES + i * PAGE)),
                          qtest_readq(qts, BOX_SHADOW + i * 16 + 8));
    }
    qtest_quit(qts);
}

void arm_mec_add_migration_tests(void)
{
    qtest_add_func("/arm-mec/snapshot", test_snapshot);
    qtest_add_func("/arm-mec/migrate", test_migrate);
    qtest_add_func("/arm-mec/migrate-churn", test_migrate_churn);
}
