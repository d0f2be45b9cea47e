/*
 * QTest testcase for the events of CXL.cache devices
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Under qtest the rate limit goes by the virtual clock, which stands still
 * unless a test moves it: the first event of a kind comes at once, and others
 * of the same device when the second is over.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "qobject/qdict.h"
#include "standard-headers/linux/virtio_crypto.h"

#define LOST        "CXL_CACHE_LINES_LOST"
#define FAULT       "CXL_TYPE1_FAULT"
#define LINK        "CXL_TYPE1_LINK_CHANGE"
#define SECOND      1000000000ll

static const char *const ours[] = { LOST, FAULT, LINK };

/* ---- Hearing of them ---- */

/* Our events that have come and were not asked for yet, the oldest first */
static GList *pending;

static bool take_event(QTestState *qts, const char *name, QDict *event,
                       void *opaque)
{
    for (int i = 0; i < ARRAY_SIZE(ours); i++) {
        if (g_str_equal(name, ours[i])) {
            pending = g_list_append(pending, qobject_ref(event));
            return true;
        }
    }
    return false;
}

static void keep_events(QTestState *qts)
{
    g_assert_null(pending);
    qtest_qmp_set_event_callback(qts, take_event, NULL);
}

/* A command's answer comes after the events that were sent before. */
static void catch_up(QTestState *qts)
{
    qobject_unref(qct_query(qts));
}

/* The oldest of this kind, or NULL; it is to be freed */
static QDict *heard(QTestState *qts, const char *event)
{
    catch_up(qts);
    for (GList *l = pending; l; l = l->next) {
        QDict *rsp = l->data;

        if (g_str_equal(qdict_get_str(rsp, "event"), event)) {
            pending = g_list_delete_link(pending, l);
            return rsp;
        }
    }
    return NULL;
}

static void check_silence(QTestState *qts)
{
    catch_up(qts);
    g_assert_null(pending);
}

static void forget(void)
{
    g_list_free_full(pending, (GDestroyNotify)qobject_unref_impl);
    pending = NULL;
}

/* The event must have come, from the device @id. Its data, to be freed */
static QDict *check_event(QTestState *qts, const char *event, const char *id)
{
    g_autofree char *path = g_strdup_printf("/machine/peripheral/%s", id);
    QDict *rsp = heard(qts, event), *data;

    g_assert_nonnull(rsp);
    data = qdict_get_qdict(rsp, "data");
    g_assert_cmpstr(qdict_get_str(data, "id"), ==, id);
    g_assert_cmpstr(qdict_get_str(data, "qom-path"), ==, path);
    qobject_ref(data);
    qobject_unref(rsp);
    return data;
}

static void check_link(QTestState *qts, const char *id, bool up)
{
    g_autoptr(QDict) data = check_event(qts, LINK, id);

    g_assert_cmpint(qdict_get_bool(data, "up"), ==, up);
}

static void check_lines(QTestState *qts, const char *cause, int64_t rescued,
                        int64_t poisoned, int64_t lost)
{
    g_autoptr(QDict) data = check_event(qts, LOST, "t0");

    g_assert_cmpstr(qdict_get_str(data, "cause"), ==, cause);
    g_assert_cmpint(qdict_get_int(data, "rescued-lines"), ==, rescued);
    g_assert_cmpint(qdict_get_int(data, "poisoned-lines"), ==, poisoned);
    g_assert_cmpint(qdict_get_int(data, "lost-lines"), ==, lost);
}

static void check_fault(QTestState *qts, const char *fault, const char *point,
                        int64_t taken)
{
    g_autoptr(QDict) data = check_event(qts, FAULT, "t0");

    g_assert_cmpstr(qdict_get_str(data, "fault"), ==, fault);
    g_assert_cmpstr(qdict_get_try_str(data, "point"), ==, point);
    g_assert_cmpint(qdict_get_int(data, "taken"), ==, taken);
}

/* ---- A machine with results that have not come home ---- */

typedef struct Rig {
    QCTRig rig;
    QTestState *qts;
    uint64_t src, dst;
    int64_t lines;
} Rig;

static void encrypt(Rig *r)
{
    qct_encrypt(r->rig.t[0], r->src, r->dst, QCT_PAGE);
}

/* As many lines are modified as the host lets a device keep: 64, or none */
static void rig_start(Rig *r, const char *opts)
{
    QDict *info;

    qct_rig_start(&r->rig, QCXL_SHARED_RAM, opts);
    r->qts = r->rig.qts;
    keep_events(r->qts);
    r->src = qct_alloc_source(&r->rig, QCT_PAGE);
    r->dst = qct_alloc_filled(&r->rig, QCT_PAGE, 0);
    encrypt(r);
    info = qct_query(r->qts);
    r->lines = qct_lines(qct_device(info, 0), "M");
    qobject_unref(info);
}

static void rig_end(Rig *r)
{
    qct_rig_end(&r->rig);
    forget();
}

/* Likewise, without the device */
static void rig_end_gone(Rig *r)
{
    QCXL *cxl = r->rig.t[0]->cxl;

    qct_free(r->rig.t[0], true);
    qcxl_free(cxl);
    alloc_destroy(&r->rig.alloc);
    qtest_quit(r->qts);
    forget();
}

static void fault(Rig *r, const char *kind)
{
    qct_fault(r->qts, &(QCTFault) { .kind = kind });
}

static void second(Rig *r)
{
    qtest_clock_step(r->qts, SECOND);
}

/* ---- Tests ---- */

/* What happens all the time is no event. */
static void test_quiet(void)
{
    Rig r;

    rig_start(&r, "");
    qtest_readb(r.qts, r.dst);
    encrypt(&r);
    /* By a secondary bus reset, and by removal in order, lines come home. */
    qcxl_secondary_reset(r.rig.t[0]->cxl);
    qct_start_again(&r.rig, 0);
    encrypt(&r);
    check_silence(r.qts);
    qct_fault(r.qts, &(QCTFault) { "request-error", "ownership", 100 });
    qct_clear(r.qts);
    qtest_readb(r.qts, r.dst);
    qtest_system_reset(r.qts);
    check_silence(r.qts);
    second(&r);
    check_silence(r.qts);
    qcxl_init(r.rig.t[0]->cxl);
    qct_start_again(&r.rig, 0);
    qcxl_unplug(r.rig.t[0]->cxl, "t0");
    check_silence(r.qts);
    second(&r);
    check_silence(r.qts);
    rig_end_gone(&r);
}

/* The link is lost, lines are rescued, and it comes back. */
static void test_link(void)
{
    Rig r;

    rig_start(&r, "");
    fault(&r, "link-down");
    check_fault(r.qts, "link-down", NULL, 1);
    check_link(r.qts, "t0", false);
    if (r.lines) {
        check_lines(r.qts, "link-lost", r.lines, 0, 0);
    }
    check_silence(r.qts);

    qct_clear(r.qts);
    check_silence(r.qts);
    second(&r);
    check_link(r.qts, "t0", true);
    check_silence(r.qts);
    second(&r);

    /* Nothing has been modified since. */
    fault(&r, "link-down");
    check_fault(r.qts, "link-down", NULL, 2);
    check_link(r.qts, "t0", false);
    check_silence(r.qts);
    /* A reset while it is down loses nothing more. */
    qtest_system_reset(r.qts);
    second(&r);
    check_silence(r.qts);
    rig_end(&r);
}

/* What is up when the second is over is told, however often it changed. */
static void test_link_rate(void)
{
    Rig r;

    rig_start(&r, QCT_SECOND);
    for (int i = 0; i < 5; i++) {
        fault(&r, "link-down");
        qct_clear(r.qts);
    }
    fault(&r, "link-down");
    check_link(r.qts, "t0", false);
    g_assert_null(heard(r.qts, LINK));

    /* Another device has a limit of its own. */
    qtest_qmp_assert_success(r.qts,
        "{'execute': 'x-cxl-type1-fault', 'arguments': {'id': 't1', "
        "'fault': 'link-down'}}");
    check_link(r.qts, "t1", false);

    second(&r);
    check_link(r.qts, "t0", false);
    g_assert_null(heard(r.qts, LINK));
    check_fault(r.qts, "link-down", NULL, 1);
    rig_end(&r);
}

static void test_poison(void)
{
    Rig r;

    rig_start(&r, ",unplug=poison");
    if (!r.lines) {
        g_test_skip("lines are not kept on this host");
        goto out;
    }
    fault(&r, "link-down");
    check_lines(r.qts, "link-lost", 0, r.lines, 0);
    g_assert_cmpint(qct_total(r.qts, "poisoned-lines"), ==, r.lines);
out:
    rig_end(&r);
}

/* Lines that are dropped, by a test's wish and by a reset of the machine */
static void test_lost(void)
{
    Rig r;

    rig_start(&r, "");
    if (!r.lines) {
        g_test_skip("lines are not kept on this host");
        goto out;
    }
    qtest_system_reset(r.qts);
    check_lines(r.qts, "reset", 0, 0, r.lines);
    check_silence(r.qts);
    second(&r);
    qcxl_init(r.rig.t[0]->cxl);
    qct_start_again(&r.rig, 0);

    encrypt(&r);
    qtest_qmp_assert_success(r.qts,
        "{'execute': 'qom-set', 'arguments': {'path': '/machine/cxl-cache', "
        "'property': 'x-no-rescue', 'value': true}}");
    fault(&r, "link-down");
    /* The sum */
    check_lines(r.qts, "link-lost", 0, 0, 2 * r.lines);
out:
    rig_end(&r);
}

/* The last that is heard of a device that is pulled out */
static void test_removal(void)
{
    Rig r;

    rig_start(&r, "");
    fault(&r, "removal");
    check_fault(r.qts, "removal", NULL, 1);
    check_link(r.qts, "t0", false);
    if (r.lines) {
        check_lines(r.qts, "link-lost", r.lines, 0, 0);
    }
    check_silence(r.qts);
    rig_end_gone(&r);
}

/* Faults of requests: when they strike, and not when they are ordered */
static void test_fault(void)
{
    static const QCTFault order = { "request-error", "half-written", 1, 4 };
    Rig r;

    rig_start(&r, "");
    qct_fault(r.qts, &order);
    check_silence(r.qts);
    encrypt(&r);
    check_silence(r.qts);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpuint(qct_crypt_to(r.rig.t[0], r.src, r.dst, QCT_PAGE), ==,
                         VIRTIO_CRYPTO_ERR);
    }
    check_fault(r.qts, "request-error", "half-written", 1);
    check_silence(r.qts);
    encrypt(&r);
    second(&r);
    check_fault(r.qts, "request-error", "half-written", 4);
    second(&r);
    check_silence(r.qts);
    rig_end(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type1-event/quiet", test_quiet);
    qtest_add_func("/cxl-type1-event/link", test_link);
    qtest_add_func("/cxl-type1-event/link-rate", test_link_rate);
    qtest_add_func("/cxl-type1-event/poison", test_poison);
    qtest_add_func("/cxl-type1-event/lost", test_lost);
    qtest_add_func("/cxl-type1-event/removal", test_removal);
    qtest_add_func("/cxl-type1-event/fault", test_fault);
    return g_test_run();
}
