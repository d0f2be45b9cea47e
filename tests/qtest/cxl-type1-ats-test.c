/*
 * QTest testcase for cxl-type1-crypto's address translation cache: what the
 * IOMMU takes back while the device uses it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * T88 is the number of a case in the project's list of protocol tests. What
 * RAM holds while a device has a newer copy is seen through a mapping of the
 * memfd behind it: qtest's own reads would bring the lines home.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-iommu.h"
#include "hw/pci/pci_regs.h"
#include "standard-headers/linux/virtio_ring.h"

#define PAGE        QCV_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define ATC_ENTRIES 1024
/* A cache whose window is read in no time */
#define SMALL_CACHE ",cache-size=256K"

static const QCIMode modes[] = {
    { "legacy", QCI_LEGACY, QVTD_TM_LEGACY_TRANS, .ats = true },
    { "scalable", QCI_SCALABLE, QVTD_TM_SCALABLE_SLT, .ats = true },
    { "first-level", QCI_FIRST, QVTD_TM_SCALABLE_FLT, .ats = true },
};

static void check_quiet(QCIRig *r)
{
    QDict *info = qct_query(r->q.qts);

    qct_check_quiet(info);
    qobject_unref(info);
}

/* The results are in the cache, and in no other place. */
static void check_owned(QCIRig *r, QCIJob *j)
{
    g_assert_cmpuint(qci_owned(r, 0, j->dst, j->len), ==, j->len / QCT_LINE);
    qci_check_ram_filled(r, j->dst, QCI_OLD, j->len);
}

/* The results are in RAM, and in no other place. */
static void check_home(QCIRig *r, QCIJob *j)
{
    g_assert_cmpuint(qci_owned(r, 0, j->dst, j->len), ==, 0);
    qci_check_ram(r, j->dst, j->want, j->len);
}

static void run_owned(QCIRig *r, QCIJob *j)
{
    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_OK);
    check_owned(r, j);
}

/* T88: a page whose lines are modified is taken back, and used elsewhere */
static void test_owned(gconstpointer data)
{
    int64_t invalidations, held;
    uint64_t other;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 2);
    other = qci_alloc(&r, PAGE);
    run_owned(&r, &j);

    /* The IOMMU's own TLB is not the device's */
    qcv_unmap(r.vtd, &r.dom[0], j.to, PAGE);
    qcv_queue_iotlb(r.vtd, &r.dom[0], j.to, PAGE);
    qcv_sync(r.vtd);
    check_owned(&r, &j);

    invalidations = qci_atc(&r, 0, "invalidations");
    held = qci_atc(&r, 0, "held");
    qcv_queue_device(r.vtd, qci_sid(0), j.to, PAGE);
    qcv_sync(r.vtd);
    g_assert_cmpint(qci_atc(&r, 0, "invalidations"), ==, invalidations + 1);
    g_assert_cmpint(qci_atc(&r, 0, "held"), ==, held - 1);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, 0);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst + PAGE, PAGE), ==, PAGE_LINES);
    qci_check_ram(&r, j.dst, j.want, PAGE);
    qci_check_ram_filled(&r, j.dst + PAGE, QCI_OLD, PAGE);

    qcv_map(r.vtd, &r.dom[0], j.to, other, PAGE, QCV_RW);
    qtest_memset(r.q.qts, j.dst, 0x77, PAGE);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(qci_owned(&r, 0, other, PAGE), ==, PAGE_LINES);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, 0);
    qci_check_ram_filled(&r, j.dst, 0x77, PAGE);
    qct_check_memory(&r.q, other, j.want, PAGE);
    qct_check_memory(&r.q, j.dst + PAGE, j.want + PAGE, PAGE);
    check_quiet(&r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* The other way round: without invalidations that test has to see it. */
static void test_negative(gconstpointer data)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    run_owned(&r, &j);
    qtest_qom_set_bool(r.q.qts, "/machine/cxl-cache", "x-no-ats-invalidate",
                       true);
    qci_take_back(&r, 0, j.to, PAGE);
    check_owned(&r, &j);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    qtest_qom_set_bool(r.q.qts, "/machine/cxl-cache", "x-no-ats-invalidate",
                       false);
    qci_take_back(&r, 0, j.to, PAGE);
    check_home(&r, &j);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_ERR);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Descriptors of all sizes, at places that they fit and do not fit */
static void test_ranges(gconstpointer data)
{
    static const struct {
        uint64_t first, len;    /* in pages */
        uint32_t gone;          /* pages of 16, at 16 */
    } cases[] = {
        { 16, 1, 0x0001 }, { 31, 1, 0x8000 }, { 15, 1, 0 }, { 32, 1, 0 },
        { 16, 2, 0x0003 }, { 18, 2, 0x000c }, { 20, 4, 0x00f0 },
        { 24, 8, 0xff00 }, { 16, 16, 0xffff }, { 0, 16, 0 }, { 32, 32, 0 },
        { 0, 32, 0xffff }, { 0, 512, 0xffff }, { 0, 1 << 18, 0xffff },
        { 0, QCV_ALL, 0xffff },
    };
    const uint64_t base = 1ull << 35;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, SMALL_CACHE);
    qci_job_init(&j, &r, 16);
    j.to = base + 16 * PAGE;
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        qci_job_map(&j, &r);
        qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
        run_owned(&r, &j);
        qcv_queue_device(r.vtd, qci_sid(0), base + cases[i].first * PAGE,
                         cases[i].len * PAGE);
        qcv_sync(r.vtd);
        for (unsigned p = 0; p < 16; p++) {
            bool gone = cases[i].gone >> p & 1;

            g_assert_cmpuint(qci_owned(&r, 0, j.dst + p * PAGE, PAGE), ==,
                             gone ? 0 : PAGE_LINES);
        }
        qci_job_check_done(&j, &r);
    }
    qci_job_clear(&j);
    qci_end(&r);
}

/* For another device, or for one that is not there */
static void test_other_device(void)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, &qci_legacy, QCT_SECOND);
    qci_job_init(&j, &r, 1);
    run_owned(&r, &j);
    qcv_queue_device(r.vtd, qci_sid(1), 0, QCV_ALL);
    qcv_queue_device(r.vtd, qci_sid(2), 0, QCV_ALL);
    qcv_queue_device(r.vtd, 0, 0, QCV_ALL);
    qcv_sync(r.vtd);
    check_owned(&r, &j);
    qcv_queue_device(r.vtd, qci_sid(0), 0, QCV_ALL);
    qcv_sync(r.vtd);
    check_home(&r, &j);
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- Requests under way ---- */

static const char *const points[] = {
    "source-read", "ownership", "half-written", "publication",
};

static void hang(QCIRig *r, const char *point)
{
    qct_fault(r->q.qts, &(QCTFault) { .kind = "hang", .point = point });
}

/* The destination is taken back while the request hangs. */
static void check_in_request(QCIRig *r, const char *point)
{
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 2);
    hang(r, point);
    qci_job_post(&j, r, &q);
    qct_wait_held(r->q.qts, 1);
    qci_take_back(r, 0, j.to + PAGE, PAGE);
    g_assert_cmpuint(qci_owned(r, 0, j.dst + PAGE, PAGE), ==, 0);
    qci_check_ram_filled(r, j.dst, QCI_OLD, j.len);
    qct_clear(r->q.qts);
    g_assert_cmpuint(qct_wait(r->q.t[0], &q), ==, VIRTIO_CRYPTO_ERR);
    qci_job_check_untouched(&j, r);

    qci_job_map(&j, r);
    g_assert_cmpuint(qci_job_run(&j, r), ==, VIRTIO_CRYPTO_OK);
    qci_job_check_done(&j, r);
    qci_job_clear(&j);
}

/* It is another page afterwards, so the results go there. */
static void check_moved_in_request(QCIRig *r, const char *point)
{
    uint64_t other = qci_alloc(r, PAGE);
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 1);
    hang(r, point);
    qci_job_post(&j, r, &q);
    qct_wait_held(r->q.qts, 1);
    qcv_map(r->vtd, &r->dom[0], j.to, other, PAGE, QCV_RW);
    qcv_invalidate(r->vtd, &r->dom[0], qci_sid(0), j.to, PAGE);
    g_assert_cmpuint(qci_owned(r, 0, j.dst, PAGE), ==, 0);
    qct_clear(r->q.qts);
    g_assert_cmpuint(qct_wait(r->q.t[0], &q), ==, VIRTIO_CRYPTO_OK);
    qci_job_check_untouched(&j, r);
    qct_check_memory(&r->q, other, j.want, PAGE);
    qci_job_clear(&j);
}

/* The page of the status becomes somebody else's: it stays as it is. */
static void check_status_in_request(QCIRig *r, const char *point)
{
    uint64_t page = qci_alloc(r, PAGE);
    uint64_t iova = qci_expose(r, 0, page, PAGE, QCV_RW);
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 1);
    hang(r, point);
    qct_prepare(r->q.t[0], &q, qct_iv, (QCTSeg[]) { { j.from, j.len }, { } },
                (QCTSeg[]) { { j.to, j.len }, { } });
    g_array_index(q.req.descs, struct vring_desc,
                  q.req.descs->len - 1).addr = iova + 100;
    q.status_addr = page + 100;
    qct_submit(r->q.t[0], &q);
    qct_wait_held(r->q.qts, 1);
    qci_take_back(r, 0, iova, PAGE);
    qci_take_back(r, 0, j.to, PAGE);
    qct_clear(r->q.qts);
    g_assert_cmpuint(qct_wait(r->q.t[0], &q), ==, QCI_OLD);
    qci_check_ram_filled(r, page, QCI_OLD, PAGE);
    qci_job_check_untouched(&j, r);
    qci_job_clear(&j);
}

/* Reset while it hangs, its page being taken back: nothing comes later. */
static void check_reset_in_request(QCIRig *r, const char *point)
{
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 1);
    hang(r, point);
    qci_job_post(&j, r, &q);
    qct_wait_held(r->q.qts, 1);
    qci_take_back(r, 0, j.to, PAGE);
    qct_forget(&q);
    qvirtio_crypto_stop(r->q.t[0]->c);
    qct_clear(r->q.qts);
    qci_attach(r, 0);
    qci_job_check_untouched(&j, r);
    qci_job_clear(&j);
}

static void test_in_request(gconstpointer data)
{
    QCIRig r;

    qci_start(&r, data, SMALL_CACHE);
    for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
        g_test_message("%s", points[i]);
        check_in_request(&r, points[i]);
        check_moved_in_request(&r, points[i]);
        check_status_in_request(&r, points[i]);
        check_reset_in_request(&r, points[i]);
    }
    check_quiet(&r);
    qci_end(&r);
}

/* ---- On a link with time: while a request is in flight ---- */

#define L           500
/* With credits for all lines of a request */
#define TIMED       " -global cxl-rp.cxl-cache-latency=500" \
                    " -global cxl-rp.cxl-cache-depth=256"
#define TRIP        (2 * L)
#define THROUGH     " -global cxl-type1-crypto.writeback=through"
#define ONCE        " -global cxl-type1-crypto.cache=off"

static void wait_outstanding(QCIRig *r)
{
    int64_t n = 0;

    while (!n) {
        QDict *info = qct_query(r->q.qts);

        n = qdict_get_int(qct_device(info, 0), "outstanding");
        qobject_unref(info);
    }
}

static void post_and_step(QCIRig *r, QCIJob *j, QCTRequest *q, int64_t ns)
{
    qci_job_post(j, r, q);
    wait_outstanding(r);
    if (ns) {
        qtest_clock_step(r->q.qts, ns);
        qtest_readb(r->q.qts, 0);
    }
    g_assert_cmphex(r->ram[q->status_addr], ==, QCT_NO_STATUS);
}

static uint8_t step_and_wait(QCIRig *r, QCTRequest *q)
{
    for (int i = 0; r->ram[q->status_addr] == QCT_NO_STATUS; i++) {
        g_assert_cmpint(i, <, 1000);
        qtest_clock_step(r->q.qts, L);
    }
    return qct_wait(r->q.t[0], q);
}

/*
 * A page is taken back, and another one is there: the result goes to that, and
 * no line of the first is owned from the moment on at which the invalidation is
 * complete.
 */
static void check_time_moved(gconstpointer data, const char *opts, bool keeps)
{
    QCIRig r;

    qci_start(&r, data, opts);
    for (int when = 0; when < (keeps ? 2 : 1) * TRIP; when += L / 2) {
        uint64_t other = qci_alloc(&r, PAGE);
        QCTRequest q;
        QCIJob j;

        qci_job_init(&j, &r, 1);
        post_and_step(&r, &j, &q, when);
        qci_take_back(&r, 0, j.to, PAGE);
        g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, 0);
        qcv_map(r.vtd, &r.dom[0], j.to, other, PAGE, QCV_RW);
        g_assert_cmpuint(step_and_wait(&r, &q), ==, VIRTIO_CRYPTO_OK);
        g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, 0);
        g_assert_cmpuint(qci_owned(&r, 0, other, PAGE), ==,
                         keeps ? PAGE_LINES : 0);
        if (!keeps) {
            qci_check_ram(&r, other, j.want, PAGE);
        }
        qci_check_ram_filled(&r, j.dst, QCI_OLD, PAGE);
        qct_check_memory(&r.q, other, j.want, PAGE);
        qtest_clock_step(r.q.qts, 100 * L);
        check_quiet(&r);
        qci_job_clear(&j);
    }
    qci_end(&r);
}

static void test_time_moved(gconstpointer data)
{
    check_time_moved(data, TIMED, true);
}

/* Where no line is kept a request is over when its source has come. */
static void test_time_moved_through(gconstpointer data)
{
    check_time_moved(data, TIMED THROUGH, false);
}

static void test_time_moved_once(gconstpointer data)
{
    check_time_moved(data, TIMED ONCE, false);
}

/* Taken back for good: the request fails, and nothing has changed. */
static void check_time_gone(gconstpointer data, const char *opts, bool keeps)
{
    QCIRig r;

    qci_start(&r, data, opts);
    for (int when = 0; when < (keeps ? 2 : 1) * TRIP; when += L / 2) {
        for (int write = 0; write < 2; write++) {
            bool late = !write && when >= TRIP;
            QCTRequest q;
            QCIJob j;

            qci_job_init(&j, &r, 2);
            post_and_step(&r, &j, &q, when);
            qci_take_back(&r, 0, write ? j.to + PAGE : j.from + PAGE, PAGE);
            g_assert_cmpuint(step_and_wait(&r, &q), ==,
                             late ? VIRTIO_CRYPTO_OK : VIRTIO_CRYPTO_ERR);
            if (late) {
                qct_check_memory(&r.q, j.dst, j.want, j.len);
            } else {
                qci_job_check_untouched(&j, &r);
            }
            qtest_clock_step(r.q.qts, 100 * L);
            check_quiet(&r);
            qci_job_clear(&j);
        }
    }
    qci_end(&r);
}

static void test_time_gone(gconstpointer data)
{
    check_time_gone(data, TIMED, true);
}

static void test_time_gone_through(gconstpointer data)
{
    check_time_gone(data, TIMED THROUGH, false);
}

static void test_time_gone_once(gconstpointer data)
{
    check_time_gone(data, TIMED ONCE, false);
}

/* More pages in flight than translations that the device can keep */
static void test_time_many(gconstpointer data)
{
    QCTRequest q[8];
    QCIJob j[8];
    QCIRig r;

    qci_start(&r, data, TIMED);
    for (int i = 0; i < G_N_ELEMENTS(j); i++) {
        qci_job_init(&j[i], &r, 100);
        qci_job_post(&j[i], &r, &q[i]);
    }
    for (int i = 0; i < G_N_ELEMENTS(j); i++) {
        while (r.ram[q[i].status_addr] == QCT_NO_STATUS) {
            qtest_clock_step(r.q.qts, L);
        }
    }
    for (int i = 0; i < G_N_ELEMENTS(j); i++) {
        g_assert_cmphex(r.ram[q[i].status_addr], ==, VIRTIO_CRYPTO_OK);
        qct_forget(&q[i]);
        r.q.t[0]->c->in_flight--;
        qct_check_memory(&r.q, j[i].dst, j[i].want, j[i].len);
        qci_job_clear(&j[i]);
    }
    qci_end(&r);
}

/* ---- Everything at once ---- */

static void disable_ats(QCIRig *r)
{
    qci_set_ats(r, 0, false);
}

static void flr(QCIRig *r)
{
    QPCIDevice *pdev = r->q.t[0]->c->pci->pdev;
    uint8_t exp = qpci_find_capability(pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(pdev, exp + PCI_EXP_DEVCTL, qcxl_readw(pdev, exp +
                PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
}

static void secondary_reset(QCIRig *r)
{
    qcxl_secondary_reset(r->q.t[0]->cxl);
}

static void virtio_reset(QCIRig *r)
{
    qvirtio_reset(&r->q.t[0]->c->pci->vdev);
}

static void global_invalidation(QCIRig *r)
{
    qcv_queue_device(r->vtd, qci_sid(0), 0, QCV_ALL);
    qcv_sync(r->vtd);
}

/**
 * End:
 * @keeps: translations and lines are kept
 * @resets: the driver has to start again
 * @loses_bars: and with it the firmware
 */
typedef struct End {
    const char *name;
    void (*func)(QCIRig *r);
    bool keeps;
    bool resets;
    bool loses_bars;
} End;

static const End ends[] = {
    { "ats-disable", disable_ats },
    { "global", global_invalidation },
    { "flr", flr, .resets = true, .loses_bars = true },
    { "secondary-reset", secondary_reset, .resets = true, .loses_bars = true },
    { "virtio-reset", virtio_reset, .keeps = true, .resets = true },
};

/* RAM has it all when it is over; nobody can own a line that was forgotten. */
static void check_end(const End *end)
{
    QCIJob j;
    QCIRig r;

    g_test_message("%s", end->name);
    qci_start(&r, &qci_legacy, "");
    qci_job_init(&j, &r, 3);
    run_owned(&r, &j);
    end->func(&r);
    g_assert_cmpint(qci_atc(&r, 0, "held") != 0, ==, end->keeps);
    if (!end->keeps) {
        qci_check_ram(&r, j.dst, j.want, j.len);
    }
    check_quiet(&r);
    if (end->loses_bars) {
        qci_attach_again(&r, 0);
    } else if (end->resets) {
        qvirtio_crypto_release(r.q.t[0]->c);
        qci_attach(&r, 0);
    }
    qci_set_ats(&r, 0, true);
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    run_owned(&r, &j);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

static void test_ends(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(ends); i++) {
        check_end(&ends[i]);
    }
}

/* T75: no line comes home. The IOMMU forgets its tables, too. */
static void test_system_reset(void)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, &qci_legacy, "");
    qci_job_init(&j, &r, 3);
    run_owned(&r, &j);
    qtest_system_reset(r.q.qts);
    g_assert_cmpint(qci_atc(&r, 0, "held"), ==, 0);
    qci_job_check_untouched(&j, &r);

    qcxl_init(r.q.t[0]->cxl);
    qcv_start(r.vtd);
    qcv_enable(r.vtd, true);
    qci_attach_again(&r, 0);
    run_owned(&r, &j);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

/*
 * The link is lost, and the translations with it: no reason to give lines up in
 * good order, as where ATS is disabled. What becomes of them "unplug" says.
 */
static void check_gone(const char *opts, const char *counted)
{
    static const char *const totals[] = {
        "rescued-lines", "poisoned-lines", "lost-lines",
    };
    QCIJob j;
    QCIRig r;

    g_test_message("%s", counted);
    qci_start(&r, &qci_legacy, opts);
    qci_job_init(&j, &r, 2);
    run_owned(&r, &j);
    qct_fault(r.q.qts, &(QCTFault) { "link-down" });
    for (unsigned i = 0; i < G_N_ELEMENTS(totals); i++) {
        g_assert_cmpint(qct_total(r.q.qts, totals[i]), ==,
                        strcmp(totals[i], counted) ? 0 : j.len / QCT_LINE);
    }
    if (!strcmp(counted, totals[0])) {
        qci_check_ram(&r, j.dst, j.want, j.len);
    }

    qct_clear(r.q.qts);
    qci_attach_again(&r, 0);
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    run_owned(&r, &j);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

static void test_gone(void)
{
    check_gone("", "rescued-lines");
    check_gone(",unplug=poison", "poisoned-lines");
}

/* More pages than there is room for, without an invalidation */
static void test_overflow(gconstpointer data)
{
    const unsigned n = ATC_ENTRIES + 200;
    int64_t misses, invalidations;
    uint64_t dst, to;
    QDict *info;
    QCIJob j;
    QCIRig r;

    /* The cache has room for all of them */
    qci_start(&r, data, ",cache-size=8M");
    qci_job_init(&j, &r, 1);
    dst = qci_alloc(&r, n * PAGE);
    to = qci_expose(&r, 0, dst, n * PAGE, QCV_RW);
    misses = qci_atc(&r, 0, "misses");
    invalidations = qci_atc(&r, 0, "invalidations");
    for (unsigned i = 0; i < n; i++) {
        qct_encrypt(r.q.t[0], j.from, to + i * PAGE, PAGE);
    }
    g_assert_cmpint(qci_atc(&r, 0, "held"), ==, ATC_ENTRIES);
    /* Each page and the source once: the IV's is known, and used all along. */
    g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses + n + 1);
    g_assert_cmpint(qci_atc(&r, 0, "invalidations"), ==, invalidations);

    /* The oldest ones are gone with their lines; the latest are not. */
    info = qct_query(r.q.qts);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==,
                    (ATC_ENTRIES - 2) * PAGE_LINES);
    qobject_unref(info);
    for (unsigned i = 0; i < n - (ATC_ENTRIES - 2); i++) {
        qci_check_ram(&r, dst + i * PAGE, j.want, PAGE);
    }
    qci_check_ram_filled(&r, dst + (n - 1) * PAGE, QCI_OLD, PAGE);
    qci_take_back(&r, 0, to, n * PAGE);
    for (unsigned i = 0; i < n; i++) {
        qci_check_ram(&r, dst + i * PAGE, j.want, PAGE);
    }
    qci_job_clear(&j);
    qci_end(&r);
}

static void test_storm(gconstpointer data)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, SMALL_CACHE);
    qci_job_init(&j, &r, 4);
    for (unsigned i = 0; i < 100; i++) {
        QCTRequest q;

        qci_job_post(&j, &r, &q);
        for (unsigned k = 0; k < 10; k++) {
            bool all = k == 9;

            qcv_queue_device(r.vtd, qci_sid(0), all ? 0 : j.to + k % 4 * PAGE,
                             all ? QCV_ALL : PAGE);
        }
        qcv_sync(r.vtd);
        g_assert_cmpuint(qct_wait(r.q.t[0], &q), ==, VIRTIO_CRYPTO_OK);
        qci_job_check_done(&j, &r);
        qtest_memset(r.q.qts, j.dst, i, j.len);
    }
    g_assert_cmpint(qci_atc(&r, 0, "invalidations"), >=, 1000);
    check_quiet(&r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* A device that does not answer: nobody is told that it has let go. */
static void test_timeout(gconstpointer data)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    run_owned(&r, &j);
    qct_fault(r.q.qts, &(QCTFault) { .kind = "invalidate-timeout" });
    qcv_unmap(r.vtd, &r.dom[0], j.to, j.len);
    qcv_queue_iotlb(r.vtd, &r.dom[0], j.to, j.len);
    qcv_queue_device(r.vtd, qci_sid(0), j.to, j.len);
    g_assert_false(qcv_try_sync(r.vtd));
    g_assert_true(qcv_timed_out(r.vtd));
    check_owned(&r, &j);
    /* The queue stands still until somebody says that it may go on. */
    g_assert_false(qcv_try_sync(r.vtd));
    qcv_go_on(r.vtd);
    g_assert_false(qcv_timed_out(r.vtd));
    g_assert_true(qcv_try_sync(r.vtd));

    qcv_queue_device(r.vtd, qci_sid(0), j.to, j.len);
    g_assert_false(qcv_try_sync(r.vtd));
    qct_clear(r.q.qts);
    check_home(&r, &j);
    qcv_go_on(r.vtd);
    qcv_queue_device(r.vtd, qci_sid(0), j.to, j.len);
    qcv_sync(r.vtd);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_ERR);
    check_home(&r, &j);
    qci_job_map(&j, &r);
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    run_owned(&r, &j);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Who asks in order to read may not write, even if the answer would allow. */
static void test_no_write(gconstpointer data)
{
    bool first = ((const QCIMode *)data)->tables == QVTD_TM_SCALABLE_FLT;
    int64_t misses, held;
    uint64_t page;
    QCIJob j, k;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    qci_job_init(&k, &r, 1);
    qcv_map(r.vtd, &r.dom[0], j.from, j.src, PAGE, QCV_RW);
    if (first) {
        qcv_make_fresh(r.vtd, &r.dom[0], j.from);
    }
    misses = qci_atc(&r, 0, "misses");
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses + 2);
    held = qci_atc(&r, 0, "held");
    if (first) {
        page = qcv_pte(r.vtd, &r.dom[0], j.from);
        g_assert_cmphex(page & (VTD_FS_A | VTD_FS_D), ==, VTD_FS_A);
    }

    /* The page and the new source; then nothing any more */
    for (unsigned i = 0; i < 2; i++) {
        qct_encrypt(r.q.t[0], k.from, j.from, PAGE);
        g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses + 4);
        g_assert_cmpint(qci_atc(&r, 0, "held"), ==, held + 1);
    }
    qct_check_memory(&r.q, j.src, k.want, PAGE);
    qci_job_clear(&j);
    qci_job_clear(&k);
    qci_end(&r);
}

/* ---- What may be read only, written only, or neither ---- */

static bool first_level(QCIRig *r)
{
    return r->mode->tables == QVTD_TM_SCALABLE_FLT;
}

static void drain_faults(QCIRig *r)
{
    QCVFault fault;

    while (qcv_fault(r->vtd, &fault)) {
        g_assert_cmphex(fault.sid, ==, qci_sid(0));
    }
}

/* Mapped with other permissions, and what was known of it is forgotten */
static void map_as(QCIRig *r, uint64_t iova, uint64_t gpa, uint64_t len,
                   QCVAccess access)
{
    qcv_map(r->vtd, &r->dom[0], iova, gpa, len, access);
    qcv_invalidate(r->vtd, &r->dom[0], qci_sid(0), iova, len);
}

/* The destination becomes a source, of which not a byte gets out. */
static void check_unreadable(QCIRig *r, QCIJob *j)
{
    int64_t refusals = qci_atc(r, 0, "refusals");
    uint64_t other = qci_alloc(r, PAGE);
    uint64_t to = qci_expose(r, 0, other, PAGE, QCV_RW);

    g_assert_cmpuint(qct_crypt_to(r->q.t[0], j->to, to, PAGE), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(qci_atc(r, 0, "refusals"), ==, refusals + 1);
    qct_check_filled(&r->q, other, QCI_OLD, PAGE);
    drain_faults(r);
}

/* As Linux 7.2 maps what a device writes (DMA_FROM_DEVICE) */
static void test_write_only(gconstpointer data)
{
    QCVFault fault;
    int64_t misses;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 2);
    map_as(&r, j.to, j.dst, j.len, QCV_WRITE);
    run_owned(&r, &j);
    g_assert_false(qcv_fault(r.vtd, &fault));
    g_assert_cmpint(qci_atc(&r, 0, "refusals"), ==, 0);
    qci_job_check_done(&j, &r);

    misses = qci_atc(&r, 0, "misses");
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    run_owned(&r, &j);
    g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses);
    check_unreadable(&r, &j);

    /* CXL.io */
    qci_set_ats(&r, 0, false);
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    check_home(&r, &j);
    g_assert_false(qcv_fault(r.vtd, &fault));
    check_quiet(&r);
    qci_job_clear(&j);
    qci_end(&r);
}

static void test_write_only_large(gconstpointer data)
{
    const uint64_t to = 5 * QCV_LARGE, len = 4 * PAGE;
    uint64_t page;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 4);
    page = r.area + QCV_LARGE;
    qcv_map_large(r.vtd, &r.dom[0], to, page, QCV_WRITE);
    qct_encrypt(r.q.t[0], j.from, to + PAGE, len);
    g_assert_cmpuint(qci_owned(&r, 0, page + PAGE, len), ==, 4 * PAGE_LINES);
    qct_check_memory(&r.q, page + PAGE, j.want, len);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], to, j.to, PAGE), ==,
                     VIRTIO_CRYPTO_ERR);
    qci_job_check_untouched(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Refused for writing; that it can be read is known from then on. */
static void test_read_only(gconstpointer data)
{
    int64_t misses, refusals;
    QCVFault fault = { };
    QCIJob j, k;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    qci_job_init(&k, &r, 1);
    qct_encrypt(r.q.t[0], k.from, k.to, PAGE);
    refusals = qci_atc(&r, 0, "refusals");
    map_as(&r, j.to, j.dst, PAGE, QCV_READ);
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_ERR);
        g_assert_cmpint(qci_atc(&r, 0, "refusals"), ==, ++refusals);
        /* The second time, too, although the IOMMU has it in its TLB */
        g_assert_true(qcv_fault(r.vtd, &fault));
        g_assert_cmphex(fault.addr, ==, j.to);
        g_assert_false(fault.is_read);
        drain_faults(&r);
    }
    qci_job_check_untouched(&j, &r);

    misses = qci_atc(&r, 0, "misses");
    qct_encrypt(r.q.t[0], j.to, k.to, PAGE);
    g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses);
    g_assert_cmpint(qci_atc(&r, 0, "refusals"), ==, refusals);
    g_assert_false(qcv_fault(r.vtd, &fault));

    map_as(&r, j.to, j.dst, PAGE, QCV_RW);
    run_owned(&r, &j);
    check_quiet(&r);
    qci_job_clear(&j);
    qci_job_clear(&k);
    qci_end(&r);
}

/* Nothing is known of it, so it can be used as soon as it is mapped. */
static void check_no_access(QCIRig *r, QCIJob *j)
{
    int64_t held, refusals = qci_atc(r, 0, "refusals");

    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_ERR);
    held = qci_atc(r, 0, "held");
    g_assert_cmpint(qci_atc(r, 0, "refusals"), ==, ++refusals);
    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(qci_atc(r, 0, "refusals"), ==, ++refusals);
    g_assert_cmpint(qci_atc(r, 0, "held"), ==, held);
    qci_job_check_untouched(j, r);
    drain_faults(r);
}

static void test_no_access(gconstpointer data)
{
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    qci_take_back(&r, 0, j.to, PAGE);
    check_no_access(&r, &j);
    qcv_map(r.vtd, &r.dom[0], j.to, j.dst, PAGE, QCV_RW);
    run_owned(&r, &j);

    /* One level permits to read, another one to write: neither then */
    j.to = 7 * QCV_LARGE;
    qtest_memset(r.q.qts, j.dst, QCI_OLD, PAGE);
    if (!first_level(&r)) {
        qcv_map(r.vtd, &r.dom[0], j.to, j.dst, PAGE, QCV_WRITE);
        qcv_limit(r.vtd, &r.dom[0], j.to, QCV_READ);
        check_no_access(&r, &j);
        check_unreadable(&r, &j);
    }
    qcv_map(r.vtd, &r.dom[0], j.to, j.dst, PAGE, QCV_RW);
    qcv_limit(r.vtd, &r.dom[0], j.to, QCV_RW);
    run_owned(&r, &j);
    check_quiet(&r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Some of a request, and only in one way; then taken away while in use */
static void test_part(gconstpointer data)
{
    const uint64_t to = 7 * QCV_LARGE;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 4);
    /* The level above says no to what its pages permit */
    qcv_map(r.vtd, &r.dom[0], to, j.dst, j.len, QCV_RW);
    qcv_limit(r.vtd, &r.dom[0], to, QCV_READ);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], j.from, to, j.len), ==,
                     VIRTIO_CRYPTO_ERR);
    qci_job_check_untouched(&j, &r);
    drain_faults(&r);

    map_as(&r, j.to + 2 * PAGE, j.dst + 2 * PAGE, PAGE, QCV_READ);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_ERR);
    qci_job_check_untouched(&j, &r);
    drain_faults(&r);
    map_as(&r, j.to + 2 * PAGE, j.dst + 2 * PAGE, PAGE, QCV_RW);
    run_owned(&r, &j);

    /* It can still be read, and its lines are home for that. */
    map_as(&r, j.to, j.dst, PAGE, QCV_READ);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, 0);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst + PAGE, 3 * PAGE), ==,
                     3 * PAGE_LINES);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_ERR);
    qci_job_check_done(&j, &r);
    if (!first_level(&r)) {
        map_as(&r, j.to, j.dst, PAGE, QCV_WRITE);
        check_unreadable(&r, &j);
        g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
        qci_job_check_done(&j, &r);
    }
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- Large pages ---- */

/* A translation of 2 MiB; part of it taken back is all of it taken back. */
static void test_large(gconstpointer data)
{
    const uint64_t to = 5 * QCV_LARGE, len = 16 * PAGE;
    int64_t misses;
    uint64_t page;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 16);
    page = r.area + QCV_LARGE;
    qcv_map_large(r.vtd, &r.dom[0], to, page, QCV_RW);
    misses = qci_atc(&r, 0, "misses");
    qct_encrypt(r.q.t[0], j.from, to, len);
    qct_encrypt(r.q.t[0], j.from, to + QCV_LARGE - len, len);
    /* 16 pages of source, and this one */
    g_assert_cmpint(qci_atc(&r, 0, "misses"), ==, misses + 17);
    g_assert_cmpuint(qci_owned(&r, 0, page, len), ==, 16 * PAGE_LINES);
    g_assert_cmpuint(qci_owned(&r, 0, page + QCV_LARGE - len, len), ==,
                     16 * PAGE_LINES);
    qci_check_ram_filled(&r, page, QCI_OLD, QCV_LARGE);

    qcv_unmap_large(r.vtd, &r.dom[0], to);
    qcv_invalidate(r.vtd, &r.dom[0], qci_sid(0), to + 100 * PAGE, PAGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qci_check_ram(&r, page, j.want, len);
    qci_check_ram(&r, page + QCV_LARGE - len, j.want, len);
    qci_check_ram_filled(&r, page + len, QCI_OLD, QCV_LARGE - 2 * len);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], j.from, to, len), ==,
                     VIRTIO_CRYPTO_ERR);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Many small ones, taken back as one */
static void test_large_range(gconstpointer data)
{
    const uint64_t to = 5 * QCV_LARGE, len = 32 * PAGE;
    uint64_t page;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 32);
    page = r.area + QCV_LARGE;
    qcv_map(r.vtd, &r.dom[0], to, page, QCV_LARGE, QCV_RW);
    qct_encrypt(r.q.t[0], j.from, to, len);
    qct_encrypt(r.q.t[0], j.from, to + QCV_LARGE - len, len);
    qcv_unmap(r.vtd, &r.dom[0], to, QCV_LARGE);
    qcv_invalidate(r.vtd, &r.dom[0], qci_sid(0), to, QCV_LARGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qci_check_ram(&r, page, j.want, len);
    qci_check_ram(&r, page + QCV_LARGE - len, j.want, len);
    qci_job_clear(&j);
    qci_end(&r);
}

/* The part of a large page that lies in the interrupt range is no memory. */
static void test_large_interrupt(gconstpointer data)
{
    const uint64_t to = 0xfee00000;
    uint64_t page;
    QCIJob j;
    QCIRig r;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    page = r.area + QCV_LARGE;
    qcv_map_large(r.vtd, &r.dom[0], to, page, QCV_RW);
    qct_encrypt(r.q.t[0], j.from, to + MiB, PAGE);
    qct_check_memory(&r.q, page + MiB, j.want, PAGE);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], j.from, to, PAGE), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], j.from, to + MiB - PAGE, 2 * PAGE),
                     ==, VIRTIO_CRYPTO_ERR);
    qct_check_filled(&r.q, page, QCI_OLD, MiB);
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- Random ---- */

#define SLOTS       8
#define FRAMES      24
#define SOURCES     4
#define FLIGHT      6

/**
 * Load:
 * @slot: device addresses, and the frame that each is mapped to, or -1
 * @frame: pages, and which source's ciphertext each holds, or -1
 * @busy: frames that a slot had in this round, a bit each
 */
typedef struct Load {
    QCIRig *r;
    GRand *rand;
    uint64_t source[SOURCES], from[SOURCES];
    uint8_t *want[SOURCES];
    uint64_t to;
    int slot[SLOTS];
    uint64_t frames;
    int frame[FRAMES];
    uint32_t busy;
} Load;

/* A request of a load, and what its slot was when it was given */
typedef struct LoadRequest {
    QCTRequest q;
    unsigned slot, source;
    int before;
} LoadRequest;

static int pick(Load *l, int n)
{
    return g_rand_int_range(l->rand, 0, n);
}

static void load_init(Load *l, QCIRig *r, uint32_t seed)
{
    *l = (Load) { .r = r, .rand = g_rand_new_with_seed(seed) };
    for (unsigned i = 0; i < SOURCES; i++) {
        l->source[i] = qci_alloc_source(r, PAGE);
        l->want[i] = qci_ciphertext(r, l->source[i], PAGE);
        l->from[i] = qci_expose(r, 0, l->source[i], PAGE, QCV_READ);
    }
    l->frames = qci_alloc(r, FRAMES * PAGE);
    memset(l->frame, -1, sizeof(l->frame));
    memset(l->slot, -1, sizeof(l->slot));
    l->to = qci_expose(r, 0, l->frames, SLOTS * PAGE, QCV_RW);
    qcv_unmap(r->vtd, &r->dom[0], l->to, SLOTS * PAGE);
}

static void load_clear(Load *l)
{
    for (unsigned i = 0; i < SOURCES; i++) {
        g_free(l->want[i]);
    }
    g_rand_free(l->rand);
}

/* One that no request of this round can go to */
static int free_frame(Load *l)
{
    int f;

    do {
        f = pick(l, FRAMES);
    } while (l->busy & 1u << f);
    l->busy |= 1u << f;
    return f;
}

static bool frame_is(Load *l, int f, int content)
{
    g_autofree uint8_t *buf = g_malloc(PAGE);
    g_autofree uint8_t *old = g_malloc(PAGE);

    memset(old, QCI_OLD, PAGE);
    qtest_memread(l->r->q.qts, l->frames + f * PAGE, buf, PAGE);
    return !memcmp(buf, content < 0 ? old : l->want[content], PAGE);
}

/* What leaves a slot is the CPU's again, and must be complete. */
static void change_slot(Load *l, unsigned s)
{
    uint64_t iova = l->to + s * PAGE;
    int old = l->slot[s];

    if (pick(l, 3)) {
        l->slot[s] = free_frame(l);
        qcv_map(l->r->vtd, &l->r->dom[0], iova,
                l->frames + l->slot[s] * PAGE, PAGE, QCV_RW);
    } else {
        l->slot[s] = -1;
        qcv_unmap(l->r->vtd, &l->r->dom[0], iova, PAGE);
    }
    qcv_invalidate(l->r->vtd, &l->r->dom[0], qci_sid(0), iova, PAGE);
    if (old >= 0 && old != l->slot[s]) {
        g_assert_cmpuint(qci_owned(l->r, 0, l->frames + old * PAGE, PAGE), ==,
                         0);
    }
}

static void load_post(Load *l, LoadRequest *q, unsigned slot)
{
    q->slot = slot;
    q->source = pick(l, SOURCES);
    q->before = l->slot[slot];
    qct_post(l->r->q.t[0], &q->q, qct_iv,
             (QCTSeg[]) { { l->from[q->source], PAGE }, { } },
             (QCTSeg[]) { { l->to + slot * PAGE, PAGE }, { } });
}

/* Returns: whether the frame has it now; @fresh counts those that had not. */
static bool took(Load *l, int f, int source, unsigned *fresh)
{
    if (f < 0 || !frame_is(l, f, source)) {
        return false;
    }
    *fresh += l->frame[f] != source;
    l->frame[f] = source;
    return true;
}

/* It was done before the slot was changed or after it, and all or nothing. */
static void load_wait(Load *l, LoadRequest *q)
{
    uint8_t status = qct_wait(l->r->q.t[0], &q->q);
    int after = l->slot[q->slot];
    unsigned fresh = 0;
    bool found;

    if (status != VIRTIO_CRYPTO_OK) {
        g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_ERR);
        g_assert_true(q->before < 0 || after < 0);
        return;
    }
    found = took(l, after, q->source, &fresh);
    if (q->before != after) {
        found |= took(l, q->before, q->source, &fresh);
    }
    g_assert_true(found);
    g_assert_cmpuint(fresh, <=, 1);
}

/* Requests, each to a slot of its own, while slots change under them */
static void load_round(Load *l)
{
    unsigned first = pick(l, SLOTS), n = 1 + pick(l, FLIGHT);
    QVirtQueue *vq = l->r->q.t[0]->c->vqs[0];
    LoadRequest q[FLIGHT];
    bool changed[SLOTS] = { };

    /* Descriptors are not used again before the ring is idle, as it is now. */
    if (vq->num_free < FLIGHT * 5) {
        qvirtqueue_reset_pool(vq);
    }
    l->busy = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        l->busy |= l->slot[i] >= 0 ? 1u << l->slot[i] : 0;
    }
    for (unsigned i = 0; i < n; i++) {
        load_post(l, &q[i], (first + i) % SLOTS);
        if (pick(l, 2)) {
            unsigned s = pick(l, SLOTS);

            if (!changed[s]) {
                changed[s] = true;
                change_slot(l, s);
            }
        }
    }
    for (unsigned i = 0; i < n; i++) {
        load_wait(l, &q[i]);
    }
    for (int f = 0; f < FRAMES; f++) {
        if (!frame_is(l, f, l->frame[f])) {
            g_error("frame %d does not hold %d", f, l->frame[f]);
        }
    }
}

static void test_load(gconstpointer data)
{
    const char *given = g_getenv("CXL_ATS_SEED");
    uint32_t seed = given ? g_ascii_strtoull(given, NULL, 0) :
                            g_test_rand_int();
    QCIRig r;
    Load l;

    g_test_message("CXL_ATS_SEED=0x%x", seed);
    qci_start(&r, data, SMALL_CACHE);
    load_init(&l, &r, seed);
    for (unsigned i = 0; i < 60; i++) {
        load_round(&l);
    }
    check_quiet(&r);
    load_clear(&l);
    qci_end(&r);
}

/* @second: the first level knows no page that cannot be read */
static const struct {
    const char *name;
    GTestDataFunc func;
    bool second;
} cases[] = {
    { "field/01-write-only", test_write_only, .second = true },
    { "field/01-write-only-large", test_write_only_large, .second = true },
    { "field/01-read-only", test_read_only },
    { "field/01-no-access", test_no_access },
    { "field/01-part", test_part },
    { "owned", test_owned },
    { "no-invalidate", test_negative },
    { "ranges", test_ranges },
    { "in-request", test_in_request },
    { "overflow", test_overflow },
    { "storm", test_storm },
    { "timeout", test_timeout },
    { "no-write", test_no_write },
    { "large", test_large },
    { "large-range", test_large_range },
    { "large-interrupt", test_large_interrupt },
    { "load", test_load },
    { "time/moved", test_time_moved },
    { "time/moved/through", test_time_moved_through },
    { "time/moved/once", test_time_moved_once },
    { "time/gone", test_time_gone },
    { "time/gone/through", test_time_gone_through },
    { "time/gone/once", test_time_gone_once },
    { "time/many", test_time_many },
};

/* Figures, with "-m perf" alone */

#define COST_PAGES  32
#define COST_ROUNDS 16

/* Have the device own the lines of that many pages more. */
static void own_more(QCIRig *r, unsigned pages)
{
    for (unsigned i = 0; i < pages; i += COST_PAGES) {
        QCIJob j;

        qci_job_init(&j, r, COST_PAGES);
        g_assert_cmpuint(qci_job_run(&j, r), ==, VIRTIO_CRYPTO_OK);
        qci_job_clear(&j);
    }
}

/* Returns: microseconds for a page whose lines are all modified */
static double time_invalidation(QCIRig *r, QCIJob *j)
{
    int64_t start;

    qci_job_map(j, r);
    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_OK);
    for (unsigned i = 0; i < COST_PAGES; i++) {
        qcv_queue_device(r->vtd, qci_sid(0), j->to + i * PAGE, PAGE);
    }
    start = g_get_monotonic_time();
    qcv_sync(r->vtd);
    return (double)(g_get_monotonic_time() - start) / COST_PAGES;
}

static void test_cost(gconstpointer data)
{
    unsigned more = GPOINTER_TO_UINT(data);
    double best = G_MAXDOUBLE;
    QCIJob j;
    QCIRig r;

    qci_start(&r, &modes[0], ",cache-size=16M");
    own_more(&r, more);
    qci_job_init(&j, &r, COST_PAGES);
    for (unsigned i = 0; i < COST_ROUNDS; i++) {
        best = MIN(best, time_invalidation(&r, &j));
    }
    qci_check_ram(&r, j.dst, j.want, j.len);
    g_test_minimized_result(best, "%u pages held: %.2f us for each page that "
                            "is invalidated", more + COST_PAGES, best);
    qci_job_clear(&j);
    qci_end(&r);
}

static void add_costs(void)
{
    static const unsigned more[] = { 0, 96, 448 };

    for (unsigned i = 0; i < G_N_ELEMENTS(more); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type1-ats/cost/%u",
                                                more[i] + COST_PAGES);

        qtest_add_data_func(path, GUINT_TO_POINTER(more[i]), test_cost);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        add_costs();
        return g_test_run();
    }
    for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
            g_autofree char *path = g_strdup_printf("/cxl-type1-ats/%s/%s",
                                                    cases[i].name,
                                                    modes[m].name);

            if (cases[i].second && modes[m].tables == QVTD_TM_SCALABLE_FLT) {
                continue;
            }
            qtest_add_data_func(path, &modes[m], cases[i].func);
        }
    }
    qtest_add_func("/cxl-type1-ats/other-device", test_other_device);
    qtest_add_func("/cxl-type1-ats/ends", test_ends);
    qtest_add_func("/cxl-type1-ats/system-reset", test_system_reset);
    qtest_add_func("/cxl-type1-ats/gone", test_gone);
    return g_test_run();
}
