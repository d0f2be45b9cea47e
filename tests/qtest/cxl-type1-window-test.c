/*
 * QTest testcase for property "window": which memory CXL.cache may touch
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Headers and sources are in memory that a window has to have, too: libqos
 * hands that out from the bottom. What is fenced off begins at FENCE.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "hw/cxl/cxl_cache_msg.h"
#include "hw/cxl/cxl_cache_testdev.h"
#include "qobject/qdict.h"

#define LINE        QCT_LINE
#define PAGE        QCT_PAGE
#define OLD         0x5a

#define FENCE       0x6000000ull
#define BELOW       ",window=0-0x5ffffff"
/* Two that touch, and one that is away from them */
#define THREE       BELOW ",,0x6000000-0x600007f,,0x6100000-0x6100fff"
#define AWAY        0x6100000ull

/* -EACCES on the test device, as Linux has it */
#define ACCES       (-13)

static int64_t guarded(QCTRig *r)
{
    QDict *info = qct_query(r->qts);
    int64_t n = qdict_get_int(qct_device(info, 0), "guarded");

    qct_check_quiet(info);
    qobject_unref(info);
    return n;
}

static int64_t modified(QCTRig *r)
{
    QDict *info = qct_query(r->qts);
    int64_t n = qct_lines(qct_device(info, 0), "M");

    qobject_unref(info);
    return n;
}

/* A request that the window lets pass: all lines are the device's. */
static void check_allowed(QCTRig *r, uint64_t src, uint64_t dst, uint32_t len)
{
    g_autofree uint8_t *want = NULL;
    int64_t before = guarded(r);

    want = qct_encrypt_uncached(r, src, len);
    qtest_memset(r->qts, dst, OLD, len);
    qct_encrypt(r->t[0], src, dst, len);
    g_assert_cmpint(modified(r), ==, len / LINE);
    qct_check_memory(r, dst, want, len);
    g_assert_cmpint(modified(r), ==, 0);
    g_assert_cmpint(guarded(r), ==, before);
}

/* One that it does not: nothing is owned, nothing changes, it is counted. */
static void check_refused(QCTRig *r, uint64_t src, uint64_t dst, uint32_t len)
{
    int64_t before = guarded(r);

    qtest_memset(r->qts, dst, OLD, len);
    g_assert_cmpuint(qct_crypt_to(r->t[0], src, dst, len), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(modified(r), ==, 0);
    g_assert_cmpint(guarded(r), ==, before + 1);
    qct_check_filled(r, dst, OLD, len);
}

static bool start(QCTRig *r, const char *opts, uint64_t *src)
{
    QDict *info;
    bool keeps;

    qct_rig_start(r, QCXL_SHARED_RAM, opts);
    *src = qct_alloc_source(r, 4 * PAGE);
    qct_encrypt_zeroes(r->t[0], FENCE - PAGE, PAGE);
    info = qct_query(r->qts);
    keeps = !qct_cannot_keep(info);
    qobject_unref(info);
    qtest_memset(r->qts, FENCE - PAGE, OLD, PAGE);
    return keeps;
}

static void test_one(void)
{
    uint64_t src;
    QCTRig r;

    if (start(&r, BELOW, &src)) {
        check_allowed(&r, src, FENCE - PAGE, PAGE);
        check_allowed(&r, src, FENCE - LINE, LINE);
        check_refused(&r, src, FENCE, LINE);
        check_refused(&r, src, FENCE + PAGE, PAGE);
        /* All or nothing */
        check_refused(&r, src, FENCE - LINE, 2 * LINE);
        check_refused(&r, src, FENCE - 2 * PAGE, 3 * PAGE);
        check_refused(&r, src, FENCE - 16, 32);
        /* As a source */
        check_refused(&r, FENCE, FENCE - PAGE, LINE);
        check_refused(&r, FENCE - 16, FENCE - PAGE, 32);
    }
    qct_rig_end(&r);
}

static void test_several(void)
{
    uint64_t src;
    QCTRig r;

    if (start(&r, THREE, &src)) {
        check_allowed(&r, src, FENCE - LINE, 3 * LINE);
        check_allowed(&r, src, FENCE, 2 * LINE);
        check_refused(&r, src, FENCE, 3 * LINE);
        check_refused(&r, src, FENCE + 2 * LINE, LINE);
        check_refused(&r, src, AWAY - LINE, LINE);
        check_refused(&r, src, AWAY - LINE, 2 * LINE);
        check_allowed(&r, src, AWAY, PAGE);
        check_refused(&r, src, AWAY + PAGE - LINE, 2 * LINE);
        check_refused(&r, src, AWAY + PAGE, LINE);
    }
    qct_rig_end(&r);
}

/* One piece of several */
static void test_pieces(void)
{
    QCTSeg to[] = { { FENCE - PAGE, LINE }, { FENCE + PAGE, LINE },
                    { FENCE - PAGE + LINE, LINE }, { } };
    uint64_t src;
    QCTRig r;

    if (start(&r, BELOW, &src)) {
        QCTSeg from[] = { { src, 3 * LINE }, { } };

        qtest_memset(r.qts, FENCE - PAGE, OLD, 3 * PAGE);
        g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                         VIRTIO_CRYPTO_ERR);
        g_assert_cmpint(modified(&r), ==, 0);
        g_assert_cmpint(guarded(&r), ==, 1);
        qct_check_filled(&r, FENCE - PAGE, OLD, 3 * PAGE);
    }
    qct_rig_end(&r);
}

/* It is about CXL.cache: what goes by CXL.io is none of its business. */
static void test_uncached(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src;
    QCTRig r;

    if (start(&r, BELOW, &src)) {
        want = qct_encrypt_uncached(&r, src, PAGE);
        qct_set_cache_enable(r.t[0], false);
        qct_encrypt(r.t[0], src, FENCE, PAGE);
        g_assert_cmpint(guarded(&r), ==, 0);
        qct_check_memory(&r, FENCE, want, PAGE);
    }
    qct_rig_end(&r);
}

/* Requests that hang own nothing there either. */
static void test_fault(void)
{
    static const char *const points[] = {
        "source-read", "ownership", "half-written", "publication",
    };
    uint64_t src;
    QCTRig r;

    if (start(&r, BELOW, &src)) {
        for (unsigned i = 0; i < G_N_ELEMENTS(points); i++) {
            qct_fault(r.qts, &(QCTFault) { .kind = "request-error",
                                           .point = points[i] });
            g_assert_cmpuint(qct_crypt_to(r.t[0], src, FENCE, PAGE), ==,
                             VIRTIO_CRYPTO_ERR);
            g_assert_cmpint(modified(&r), ==, 0);
            qct_clear(r.qts);
        }
        g_assert_cmpint(guarded(&r), ==, 3);
    }
    qct_rig_end(&r);
}

/* Monitor: the guest's user sees it, too */
static void test_monitor(void)
{
    g_autofree char *text = NULL;
    uint64_t src;
    QCTRig r;

    if (start(&r, BELOW, &src)) {
        check_refused(&r, src, FENCE, LINE);
        text = qtest_hmp(r.qts, "info cxl-cache");
        g_assert_nonnull(strstr(text, "refused by window"));
    }
    qct_rig_end(&r);
}

/* ---- Strings ---- */

static void test_bad_strings(void)
{
    static const char *const bad[] = {
        "", ",", "0", "-", "0-", "-63", "0-63,", ",0-63", "0-63,,64-127",
        "0-62", "1-63", "1-64", "0-64", "64-63", "128-63", "0x-0x3f",
        "0-63 ", " 0-63", "0- 63", "0-63,64", "0-0x10000000000000000",
        "0..63", "0-63-127",
        "all", "0-63;64-127", "0-6G", "-64-63", "0--1",
    };
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP
                                 ",cxl-cache=on " QCT_BACKEND);
    QCXL *cxl = qcxl_new(qts);

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        QDict *rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                               "'driver': 'cxl-type1-crypto', 'id': 't0',"
                               "'bus': 'rp0', 'cryptodev': 'c0',"
                               "'window': %s}}", bad[i]);

        g_test_message("'%s'", bad[i]);
        g_assert_true(qdict_haskey(rsp, "error"));
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                              "desc"), "'window'"));
        qobject_unref(rsp);
        g_assert_null(qcxl_endpoint(cxl));
    }
    qtest_qmp_device_add(qts, "cxl-type1-crypto", "t0", "{'bus': 'rp0',"
                         "'cryptodev': 'c0', 'window':"
                         " '0-63,0x40-127,0-0xffffffffffffffff'}");
    qcxl_free(cxl);
    qtest_quit(qts);
}

/* ---- Any request ---- */

typedef struct TestDev {
    QTestState *qts;
    QPCIDevice *pci;
    QPCIBar bar;
} TestDev;

static int32_t try_operation(TestDev *d, uint32_t what, uint32_t opcode,
                             uint64_t addr, uint32_t len)
{
    qpci_io_writel(d->pci, d->bar, CCT_OPCODE, opcode);
    qpci_io_writel(d->pci, d->bar, CCT_FLAGS, 0);
    qpci_io_writeq(d->pci, d->bar, CCT_ADDR, addr);
    qpci_io_writeq(d->pci, d->bar, CCT_BE, UINT64_MAX);
    qpci_io_writel(d->pci, d->bar, CCT_LEN, len);
    qpci_io_writel(d->pci, d->bar, CCT_DOORBELL, what);
    return qpci_io_readl(d->pci, d->bar, CCT_RESULT);
}

static int64_t sent(TestDev *d)
{
    QDict *info = qct_query(d->qts);
    int64_t n = qct_sent_all(qct_device(info, 0), "d2h-req");

    qobject_unref(info);
    return n;
}

/* All that are about a line, and need none to be there */
static const uint32_t opcodes[] = {
    CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED, CXL_CACHE_RD_ANY,
    CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR,
    CXL_CACHE_CL_FLUSH, CXL_CACHE_WO_WR_INV, CXL_CACHE_WO_WR_INV_F,
    CXL_CACHE_WR_INV,
};

static void test_any_request(void)
{
    TestDev d;
    QCXL *cxl;
    int64_t before;

    d.qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                       QCXL_RP ",cxl-cache=on "
                       "-device cxl-cache-testdev,bus=rp0,id=t0" BELOW);
    cxl = qcxl_new(d.qts);
    d.pci = qcxl_endpoint(cxl);
    qpci_device_enable(d.pci);
    d.bar = qpci_iomap(d.pci, CXL_CACHE_TESTDEV_BAR_REGS, NULL);
    qpci_io_writel(d.pci, d.bar, CCT_MODE, CCT_MODE_ON);
    qtest_memset(d.qts, FENCE - PAGE, OLD, 2 * PAGE);
    before = sent(&d);
    for (unsigned i = 0; i < G_N_ELEMENTS(opcodes); i++) {
        g_assert_cmpint(try_operation(&d, CCT_DO_REQUEST, opcodes[i], FENCE,
                                      0), ==, ACCES);
    }
    g_assert_cmpint(try_operation(&d, CCT_DO_READ, 0, FENCE - 8, 16), !=, 0);
    g_assert_cmpint(try_operation(&d, CCT_DO_WRITE, 0, FENCE - 8, 16), !=, 0);
    g_assert_cmpint(sent(&d), ==, before);
    g_assert_cmpint(try_operation(&d, CCT_DO_REQUEST, CXL_CACHE_RD_CURR,
                                  FENCE - LINE, 0), ==, 0);
    g_assert_cmpint(sent(&d), ==, before + 1);
    g_free(d.pci);
    qcxl_free(cxl);
    qtest_quit(d.qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type1-window/one", test_one);
    qtest_add_func("/cxl-type1-window/several", test_several);
    qtest_add_func("/cxl-type1-window/pieces", test_pieces);
    qtest_add_func("/cxl-type1-window/uncached", test_uncached);
    qtest_add_func("/cxl-type1-window/fault", test_fault);
    qtest_add_func("/cxl-type1-window/monitor", test_monitor);
    qtest_add_func("/cxl-type1-window/bad-strings", test_bad_strings);
    if (qtest_has_device("cxl-cache-testdev")) {
        qtest_add_func("/cxl-type1-window/any-request", test_any_request);
    }
    return g_test_run();
}
