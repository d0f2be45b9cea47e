/*
 * QTest testcase for cxl-type1-crypto behind an IOMMU: data, faults, isolation
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * T89 is the number of a case in the project's list of protocol tests.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-iommu.h"
#include "hw/cxl/cxl_cache_testdev.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_iommu.h"
#include "standard-headers/linux/virtio_ring.h"

#define PAGE        QCV_PAGE
#define PAGE_LINES  QCT_PAGE_LINES

/* ---- Modes ---- */

static const QCIMode modes[] = {
    { "legacy", QCI_LEGACY, QVTD_TM_LEGACY_TRANS, .ats = true },
    { "scalable", QCI_SCALABLE, QVTD_TM_SCALABLE_SLT, .ats = true },
    { "first-level", QCI_FIRST, QVTD_TM_SCALABLE_FLT, .ats = true },
    { "legacy-ats-off", QCI_LEGACY, QVTD_TM_LEGACY_TRANS },
    { "scalable-ats-off", QCI_SCALABLE, QVTD_TM_SCALABLE_SLT },
    { "first-level-ats-off", QCI_FIRST, QVTD_TM_SCALABLE_FLT },
};

/* The IOMMU has no ATS, so the device has none to enable */
static const QCIMode no_ats = {
    "no-ats", QCI_NO_ATS, QVTD_TM_LEGACY_TRANS,
};
static const QCIMode no_ats_enabled = {
    "no-ats-enabled", QCI_NO_ATS, QVTD_TM_LEGACY_TRANS, .ats = true,
};
/* It has, and tells nobody of invalidations */
static const QCIMode snoop_control = {
    "snoop-control", "-device intel-iommu,intremap=on,device-iotlb=on,"
    "snoop-control=on ", QVTD_TM_LEGACY_TRANS, .ats = true,
};
static const QCIMode pass = {
    "pass", QCI_LEGACY, QVTD_TM_LEGACY_TRANS, .pass = true, .ats = true,
};
static const QCIMode pass_scalable = {
    "pass-scalable", QCI_SCALABLE, QVTD_TM_SCALABLE_SLT, .pass = true,
    .ats = true,
};
static const QCIMode off = {
    "off", QCI_LEGACY, QVTD_TM_LEGACY_TRANS, .off = true,
};

/* ---- Known answers ---- */

static void check_atc(QCIRig *r, int64_t hits, int64_t misses,
                      int64_t refusals)
{
    g_assert_cmpint(qci_atc(r, 0, "hits"), ==, hits);
    g_assert_cmpint(qci_atc(r, 0, "misses"), ==, misses);
    g_assert_cmpint(qci_atc(r, 0, "refusals"), ==, refusals);
}

static void check_no_fault(QCIRig *r)
{
    QCVFault fault;

    if (qcv_fault(r->vtd, &fault)) {
        g_error("fault 0x%x at 0x%" PRIx64, fault.reason, fault.addr);
    }
}

/* The lines that it takes are those of host addresses. */
static void check_known_answer(QCIRig *r, bool cached)
{
    uint64_t src = qci_alloc(r, PAGE), dst = qci_alloc(r, PAGE);
    uint64_t from = qci_expose(r, 0, src, PAGE, QCV_READ);
    uint64_t to = qci_expose(r, 0, dst, PAGE, QCV_RW);

    qtest_memwrite(r->q.qts, src, qct_plain, sizeof(qct_plain));
    qct_encrypt(r->q.t[0], from, to, sizeof(qct_plain));
    check_no_fault(r);
    if (cached) {
        qci_check_ram_filled(r, dst, QCI_OLD, PAGE);
        g_assert_cmpuint(qci_owned(r, 0, dst, PAGE), ==, 1);
        g_assert_cmpuint(qci_owned_all(r, 0), ==, 1);
    } else {
        qci_check_ram(r, dst, qct_cipher, sizeof(qct_cipher));
        g_assert_cmpuint(qci_owned_all(r, 0), ==, 0);
    }
    qct_check_memory(&r->q, dst, qct_cipher, sizeof(qct_cipher));
    qct_check_filled(&r->q, dst + 64, QCI_OLD, PAGE - 64);

    /* The IV, too, is read by address. */
    check_atc(r, 0, cached ? 3 : 0, 0);
    qct_encrypt(r->q.t[0], from, to + 64, sizeof(qct_plain));
    check_atc(r, cached ? 3 : 0, cached ? 3 : 0, 0);
    g_assert_cmpint(qci_atc(r, 0, "held"), ==, cached ? 3 : 0);
    qct_check_memory(&r->q, dst + 64, qct_cipher, sizeof(qct_cipher));
}

static void run_known_answer(const QCIMode *mode, const char *opts,
                             bool cached)
{
    QCIRig r;

    qci_start(&r, mode, opts);
    check_known_answer(&r, cached);
    qci_end(&r);
}

static void test_known_answer(gconstpointer data)
{
    const QCIMode *mode = data;

    run_known_answer(mode, "", mode->ats);
}

static void test_no_iommu_ats(void)
{
    run_known_answer(&no_ats, "", false);
    run_known_answer(&no_ats_enabled, ",ats=on", false);
    run_known_answer(&snoop_control, ",ats=on", false);
}

/* With iommu_platform=off addresses are not the IOMMU's, ATS or not. */
static void test_let_past(void)
{
    run_known_answer(&pass, ",ats=on,iommu_platform=off", false);
}

static void test_off(void)
{
    run_known_answer(&off, "", false);
}

/* ---- Where there is an ATS capability ---- */

#define AUTO_NONE   ""
#define AUTO_DT     "-device intel-iommu,intremap=on,device-iotlb=on "
#define NO_ATS_TEXT "ats=on, but the IOMMU above the device has no ATS"

/**
 * Auto: what a machine has, and what comes of it
 * @args: ahead of the device
 * @opts: of the device, and what follows it
 * @there: the capability is
 * @warned: about "ats=on"
 */
typedef struct Auto {
    const char *name;
    const char *args;
    const char *opts;
    bool there;
    bool warned;
} Auto;

static const Auto autos[] = {
    { "none", AUTO_NONE, "" },
    { "none, on", AUTO_NONE, ",ats=on", .there = true },
    { "intel", QCI_NO_ATS, "" },
    { "intel, auto", QCI_NO_ATS, ",ats=auto" },
    { "intel, on", QCI_NO_ATS, ",ats=on", .there = true, .warned = true },
    { "device-iotlb", AUTO_DT, "", .there = true },
    { "device-iotlb, on", AUTO_DT, ",ats=on", .there = true },
    { "device-iotlb, off", AUTO_DT, ",ats=off" },
    { "scalable", QCI_SCALABLE, "", .there = true },
    { "first level", QCI_FIRST, "", .there = true },
    { "device-iotlb, that tells nobody",
      "-device intel-iommu,device-iotlb=on,snoop-control=on ", "" },
    { "device-iotlb, let past it", AUTO_DT, ",iommu_platform=off" },
    { "device-iotlb, after the device", AUTO_NONE, " " AUTO_DT,
      .there = true },
    { "intel, after the device, on", AUTO_NONE, ",ats=on " QCI_NO_ATS,
      .there = true, .warned = true },
    { "amd", "-device amd-iommu ", "" },
    { "amd, on", "-device amd-iommu ", ",ats=on", .there = true,
      .warned = true },
    { "virtio", "-device virtio-iommu-pci,addr=4 ", "" },
    { "virtio, on", "-device virtio-iommu-pci,addr=4 ", ",ats=on",
      .there = true, .warned = true },
};

/* What QEMU has said on the file that its standard error went to */
static void check_warned(const char *path, bool warned)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    if (!!strstr(text, NO_ATS_TEXT) != warned) {
        g_error("said: %s", text);
    }
}

static void check_ats_there(QPCIDevice *dev, bool there)
{
    uint16_t ats = qcxl_find_ext_cap(dev, PCI_EXT_CAP_ID_ATS, 0);

    g_assert_cmpint(ats != 0, ==, there);
    if (there) {
        g_assert_cmphex(qcxl_readw(dev, ats + PCI_ATS_CTRL), ==, 0);
        qcxl_writew(dev, ats + PCI_ATS_CTRL, PCI_ATS_CTRL_ENABLE);
        g_assert_cmphex(qcxl_readw(dev, ats + PCI_ATS_CTRL), ==,
                        PCI_ATS_CTRL_ENABLE);
        g_assert_cmphex(PCI_EXT_CAP_NEXT(qcxl_readl(dev, ats)), ==, 0);
    }
}

static void check_auto(const Auto *a)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-ats-%d", g_get_tmp_dir(),
                                           (int)getpid());
    QTestState *qts;
    QPCIDevice *dev;
    QCXL *cxl;

    g_test_message("%s", a->name);
    qts = qtest_initf("-nodefaults " QCXL_MACHINE "%s" QCXL_PXB QCXL_RP
                      ",cxl-cache=on " QCT_BACKEND QCT_DEVICE "%s 2>%s",
                      a->args, a->opts, log);
    cxl = qcxl_new(qts);
    dev = qcxl_endpoint(cxl);
    check_ats_there(dev, a->there);
    g_free(dev);
    qcxl_free(cxl);
    qtest_quit(qts);
    check_warned(log, a->warned);
    unlink(log);
}

static void test_ats_auto(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(autos); i++) {
        if ((!strstr(autos[i].args, "amd-iommu") ||
             qtest_has_device("amd-iommu")) &&
            (!strstr(autos[i].args, "virtio-iommu") ||
             qtest_has_device("virtio-iommu-pci"))) {
            check_auto(&autos[i]);
        }
    }
}

/* By device_add, into a machine that is complete */
static void check_hot_added(const char *iommu, const char *ats, bool there,
                            bool warned)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-ats-%d", g_get_tmp_dir(),
                                           (int)getpid());
    QTestState *qts = qtest_initf("-nodefaults " QCXL_MACHINE "%s" QCXL_PXB
                                  QCXL_RP ",cxl-cache=on " QCT_BACKEND
                                  " 2>%s", iommu, log);
    QCXL *cxl = qcxl_new(qts);
    QPCIDevice *dev;

    for (unsigned i = 0; i < 2; i++) {
        qtest_qmp_device_add(qts, "cxl-type1-crypto", "t0",
                             "{'bus': 'rp0', 'cryptodev': 'c0', 'ats': %s}",
                             ats);
        qcxl_plugged(cxl);
        dev = qcxl_endpoint(cxl);
        check_ats_there(dev, there);
        g_free(dev);
        qcxl_unplug(cxl, "t0");
    }
    qcxl_free(cxl);
    qtest_quit(qts);
    check_warned(log, warned);
    unlink(log);
}

static void test_ats_hot_add(void)
{
    check_hot_added("", "auto", false, false);
    check_hot_added(QCI_NO_ATS, "auto", false, false);
    check_hot_added(QCI_NO_ATS, "on", true, true);
    check_hot_added(AUTO_DT, "auto", true, false);
    check_hot_added(AUTO_DT, "off", false, false);
}

/* Enabled and disabled while the device is in use */
static void test_ats_switch(void)
{
    QCIRig r;
    uint64_t src, dst, from, to;
    g_autofree uint8_t *want = NULL;

    qci_start(&r, &modes[0], "");
    src = qci_alloc_source(&r, PAGE);
    want = qci_ciphertext(&r, src, PAGE);
    from = qci_expose(&r, 0, src, PAGE, QCV_READ);
    dst = qci_alloc(&r, 3 * PAGE);
    to = qci_expose(&r, 0, dst, 3 * PAGE, QCV_RW);

    qct_encrypt(r.q.t[0], from, to, PAGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, PAGE_LINES);
    qci_check_ram_filled(&r, dst, QCI_OLD, PAGE);

    qci_set_ats(&r, 0, false);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    g_assert_cmpint(qci_atc(&r, 0, "held"), ==, 0);
    qci_check_ram(&r, dst, want, PAGE);
    qct_encrypt(r.q.t[0], from, to + PAGE, PAGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qci_check_ram(&r, dst + PAGE, want, PAGE);

    qci_set_ats(&r, 0, true);
    qct_encrypt(r.q.t[0], from, to + 2 * PAGE, PAGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, PAGE_LINES);
    qct_check_memory(&r.q, dst + 2 * PAGE, want, PAGE);
    qci_end(&r);
}

/* ---- Faults ---- */

/**
 * Damage: what is wrong with a request of so many pages; a bit for a page
 * @src_gone, @dst_gone: not mapped
 * @src_wo: mapped for writing only
 * @dst_ro: mapped for reading only
 */
typedef struct Damage {
    const char *name;
    unsigned pages;
    uint32_t src_gone, dst_gone, src_wo, dst_ro;
} Damage;

static const Damage damages[] = {
    { "source", 1, .src_gone = 1 },
    { "destination", 1, .dst_gone = 1 },
    { "both", 1, .src_gone = 1, .dst_gone = 1 },
    { "source to be written only", 1, .src_wo = 1 },
    { "destination to be read only", 1, .dst_ro = 1 },
    { "second page of the source", 2, .src_gone = 2 },
    { "second page of the destination", 2, .dst_gone = 2 },
    { "second page to be read only", 2, .dst_ro = 2 },
    { "middle", 3, .dst_gone = 2 },
    { "end of 64 KiB", 16, .dst_gone = 1 << 15 },
    { "64 KiB of source", 16, .src_gone = 0xffff },
    { "64 KiB of destination", 16, .dst_gone = 0xffff },
    { "64 KiB to be read only", 16, .dst_ro = 0xffff },
};

static void remap(QCIRig *r, uint64_t iova, uint64_t gpa, uint32_t mask,
                  QCVAccess access)
{
    for (unsigned i = 0; mask >> i; i++) {
        if (!(mask >> i & 1)) {
            continue;
        }
        if (access) {
            qcv_map(r->vtd, &r->dom[0], iova + i * PAGE, gpa + i * PAGE, PAGE,
                    access);
        } else {
            qcv_unmap(r->vtd, &r->dom[0], iova + i * PAGE, PAGE);
        }
    }
}

static void do_damage(QCIJob *j, QCIRig *r, const Damage *d)
{
    remap(r, j->from, j->src, d->src_gone, 0);
    remap(r, j->from, j->src, d->src_wo, QCV_WRITE);
    remap(r, j->to, j->dst, d->dst_gone, 0);
    remap(r, j->to, j->dst, d->dst_ro, QCV_READ);
}

/* The IOMMU reports the first page that it stumbled over. */
static void check_fault(QCIJob *j, QCIRig *r, const Damage *d)
{
    bool first = r->mode->tables == QVTD_TM_SCALABLE_FLT;
    bool read = d->src_gone || d->src_wo;
    uint32_t bad = read ? d->src_gone | d->src_wo : d->dst_gone | d->dst_ro;
    uint64_t page = (read ? j->from : j->to) + ctz32(bad) * PAGE;
    unsigned reason = read ? VTD_FR_READ : VTD_FR_WRITE;
    QCVFault fault = { };

    if (first) {
        reason = d->dst_ro ? VTD_FR_SM_WRITE : VTD_FR_FS_PAGING_ENTRY_P;
    }
    g_assert_true(qcv_fault(r->vtd, &fault));
    g_assert_cmphex(fault.sid, ==, qci_sid(0));
    g_assert_cmphex(fault.addr, ==, page);
    g_assert_cmphex(fault.reason, ==, reason);
    g_assert_cmpint(fault.is_read, ==, read);
}

static void check_damage(QCIRig *r, const Damage *d)
{
    int64_t refusals = qci_atc(r, 0, "refusals");
    QCIJob j;

    g_test_message("%s", d->name);
    qci_job_init(&j, r, d->pages);
    do_damage(&j, r, d);
    g_assert_cmpuint(qci_job_run(&j, r), ==, VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(qci_atc(r, 0, "refusals") - refusals, ==, r->mode->ats);
    check_fault(&j, r, d);
    qci_job_check_untouched(&j, r);

    qci_job_map(&j, r);
    g_assert_cmpuint(qci_job_run(&j, r), ==, VIRTIO_CRYPTO_OK);
    check_no_fault(r);
    qci_job_check_done(&j, r);
    qci_job_clear(&j);
}

static void test_damage(gconstpointer data)
{
    const QCIMode *mode = data;
    QCIRig r;

    qci_start(&r, mode, "");
    for (unsigned i = 0; i < G_N_ELEMENTS(damages); i++) {
        /* The first level knows no page that cannot be read. */
        if (mode->tables != QVTD_TM_SCALABLE_FLT || !damages[i].src_wo) {
            check_damage(&r, &damages[i]);
        }
    }
    qci_end(&r);
}

/* A page of the arena, or a ring, is gone for the device; or back. */
static void own_page(QCIRig *r, uint64_t gpa, bool there)
{
    uint64_t page = QEMU_ALIGN_DOWN(gpa, PAGE);
    uint64_t iova = page + r->q.t[0]->c->iova_offset;

    remap(r, iova, page, 1, there ? QCV_RW : 0);
    qcv_invalidate(r->vtd, &r->dom[0], qci_sid(0), iova, PAGE);
}

/* The machine has gone on, and the device can be used again. */
static void check_works_again(QCIRig *r)
{
    QCVFault fault;
    QCIJob j;

    while (qcv_fault(r->vtd, &fault)) {
        g_assert_cmphex(fault.sid, ==, qci_sid(0));
    }
    qvirtio_crypto_stop(r->q.t[0]->c);
    qci_attach(r, 0);
    qci_job_init(&j, r, 1);
    g_assert_cmpuint(qci_job_run(&j, r), ==, VIRTIO_CRYPTO_OK);
    qci_job_check_done(&j, r);
    check_no_fault(r);
    qci_job_clear(&j);
}

static struct vring_desc *desc_of(QCTRequest *q, unsigned i)
{
    return &g_array_index(q->req.descs, struct vring_desc, i);
}

/* Nobody can be told of the end, but for the used ring. */
static void check_status_gone(QCIRig *r, QCVAccess access)
{
    uint64_t page = qci_alloc(r, PAGE);
    uint64_t iova = qci_expose(r, 0, page, PAGE, access ?: QCV_RW);
    QCVFault fault;
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 1);
    qct_prepare(r->q.t[0], &q, qct_iv,
                (QCTSeg[]) { { j.from, j.len }, { } },
                (QCTSeg[]) { { j.to, j.len }, { } });
    desc_of(&q, q.req.descs->len - 1)->addr = iova + 100;
    if (!access) {
        qcv_unmap(r->vtd, &r->dom[0], iova, PAGE);
    }
    qct_submit(r->q.t[0], &q);
    q.status_addr = page + 100;
    g_assert_cmpuint(qct_wait(r->q.t[0], &q), ==, QCI_OLD);
    g_assert_true(qcv_fault(r->vtd, &fault));
    g_assert_cmphex(fault.addr, ==, iova);
    g_assert_false(fault.is_read);
    qci_check_ram_filled(r, page, QCI_OLD, PAGE);
    check_works_again(r);
    qci_job_clear(&j);
}

static void test_status_gone(gconstpointer data)
{
    QCIRig r;

    qci_start(&r, data, "");
    check_status_gone(&r, 0);
    check_status_gone(&r, QCV_READ);
    qci_end(&r);
}

/* The device cannot even know what it is asked for; it may ask for a reset. */
static void test_table_gone(gconstpointer data)
{
    static const QVirtioCryptoLayout indirect = { .indirect = true };
    QVirtioCrypto *c;
    uint64_t page;
    QCTRequest q;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    c = r.q.t[0]->c;
    qci_job_init(&j, &r, 1);
    qct_prepare(r.q.t[0], &q, qct_iv, (QCTSeg[]) { { j.from, j.len }, { } },
                (QCTSeg[]) { { j.to, j.len }, { } });
    q.req.layout = &indirect;
    qvirtio_crypto_alloc(c, PAGE - c->arena_used % PAGE);
    page = c->arena + c->arena_used;
    own_page(&r, page, false);
    qct_submit(r.q.t[0], &q);
    g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &q.req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_BROKEN);
    qci_job_check_untouched(&j, &r);
    own_page(&r, page, true);
    check_works_again(&r);
    qci_job_clear(&j);
    qci_end(&r);
}

static void check_ring_gone(QCIRig *r, bool desc, bool avail, bool used)
{
    QVirtioCrypto *c = r->q.t[0]->c;
    uint64_t page[] = {
        desc ? c->vqs[0]->desc : 0, avail ? c->vqs[0]->avail : 0,
        used ? c->vqs[0]->used : 0,
    };
    QCTRequest q;
    QCIJob j;

    qci_job_init(&j, r, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(page); i++) {
        if (page[i]) {
            own_page(r, page[i], false);
        }
    }
    qci_job_post(&j, r, &q);
    g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &q.req,
                                        QVIRTIO_CRYPTO_QUIET_US), ==,
                    desc ? QVIRTIO_CRYPTO_BROKEN : QVIRTIO_CRYPTO_QUIET);
    for (unsigned i = 0; i < G_N_ELEMENTS(page); i++) {
        if (page[i]) {
            own_page(r, page[i], true);
        }
    }
    check_works_again(r);
    qci_job_clear(&j);
}

/*
 * The available ring alone, read as zeroes, would have the device do what is
 * in the descriptor table 65536 times: virtqueue_split_pop() does not care.
 */
static void test_ring_gone(gconstpointer data)
{
    QCIRig r;

    qci_start(&r, data, "");
    check_ring_gone(&r, true, false, false);
    check_ring_gone(&r, false, false, true);
    check_ring_gone(&r, true, true, true);
    qci_end(&r);
}

/* ---- Isolation ---- */

static void check_refused(QCIRig *r, uint64_t from, uint64_t to, uint32_t len)
{
    QCVFault fault;
    QDict *info;

    g_assert_cmpuint(qct_crypt_to(r->q.t[0], from, to, len), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_true(qcv_fault(r->vtd, &fault));
    g_assert_cmphex(fault.sid, ==, qci_sid(0));
    g_assert_cmpuint(qci_owned_all(r, 0), ==, 0);
    info = qct_query(r->q.qts);
    qct_check_quiet(info);
    qobject_unref(info);
}

/* What the other device has, and has in its cache, stays there. */
static void test_other_domain(gconstpointer data)
{
    uint64_t mine, theirs, from, to;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, QCT_SECOND);
    qci_job_init(&j, &r, 1);
    mine = qci_expose(&r, 1, j.src, PAGE, QCV_READ);
    theirs = qci_alloc(&r, PAGE);
    to = qci_expose(&r, 1, theirs, PAGE, QCV_RW);
    from = j.from;

    qct_encrypt(r.q.t[1], mine, to, PAGE);
    g_assert_cmpuint(qci_owned(&r, 1, theirs, PAGE), ==, PAGE_LINES);
    check_refused(&r, from, to, PAGE);
    check_refused(&r, to, j.to, PAGE);
    check_refused(&r, mine, j.to, PAGE);
    qci_job_check_untouched(&j, &r);
    g_assert_cmpuint(qci_owned(&r, 1, theirs, PAGE), ==, PAGE_LINES);
    qci_check_ram_filled(&r, theirs, QCI_OLD, PAGE);

    /* The same address is another page for each */
    qcv_map(r.vtd, &r.dom[0], to, j.dst, PAGE, QCV_RW);
    qct_encrypt(r.q.t[0], from, to, PAGE);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, PAGE_LINES);
    g_assert_cmpuint(qci_owned(&r, 1, theirs, PAGE), ==, PAGE_LINES);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, PAGE_LINES);
    g_assert_cmpuint(qci_owned_all(&r, 1), ==, PAGE_LINES);
    qci_job_check_done(&j, &r);
    qct_check_memory(&r.q, theirs, j.want, PAGE);

    /* Nor does it lose it by an invalidation that is for one of them */
    qct_encrypt(r.q.t[1], mine, to, PAGE);
    qci_take_back(&r, 0, to, PAGE);
    g_assert_cmpuint(qci_owned(&r, 1, theirs, PAGE), ==, PAGE_LINES);
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- What one domain can find out of another ---- */

#define MAX_COUNTS  128

/* Messages that have gone over a device's link, of each kind */
typedef struct Traffic {
    int64_t count[MAX_COUNTS];
    unsigned kinds;
} Traffic;

static Traffic traffic(QCIRig *r, unsigned n)
{
    g_autoptr(QDict) info = qct_query(r->q.qts);
    Traffic t = { };
    const QListEntry *ch, *op;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(qct_device(info, n), "channels"), ch) {
        QDict *channel = qobject_to(QDict, qlist_entry_obj(ch));

        QLIST_FOREACH_ENTRY(qdict_get_qlist(channel, "opcodes"), op) {
            g_assert_cmpuint(t.kinds, <, MAX_COUNTS);
            t.count[t.kinds++] = qdict_get_int(
                qobject_to(QDict, qlist_entry_obj(op)), "count");
        }
    }
    return t;
}

/* What the first device's request sends and gets, its destination not held */
static Traffic request_traffic(QCIRig *r, QCIJob *j)
{
    Traffic before, after;

    qci_take_back(r, 0, j->from, j->len);
    qci_take_back(r, 0, j->to, j->len);
    qci_job_map(j, r);
    before = traffic(r, 0);
    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_OK);
    after = traffic(r, 0);
    for (unsigned i = 0; i < after.kinds; i++) {
        after.count[i] -= before.count[i];
    }
    qci_job_check_done(j, r);
    return after;
}

#define assert_same_traffic(a, b)                                   \
    g_assert_cmpmem(&(a), sizeof(a), &(b), sizeof(b))

/* The second device's results, of so many pages: modified lines of its cache */
static uint64_t own_pages(QCIRig *r, QCIJob *j, unsigned pages)
{
    uint64_t gpa = qci_alloc(r, pages * PAGE);
    uint64_t from = qci_expose(r, 1, j->src, pages * PAGE, QCV_READ);
    uint64_t to = qci_expose(r, 1, gpa, pages * PAGE, QCV_RW);

    qct_encrypt(r->q.t[1], from, to, pages * PAGE);
    g_assert_cmpuint(qci_owned(r, 1, gpa, pages * PAGE), ==,
                     pages * PAGE_LINES);
    return gpa;
}

/*
 * Whatever the first device does, no message of it gets to the second, whose
 * lines stay as they are. And its own requests take the same messages, of the
 * same kinds, whether the second has lines or not.
 */
static void test_unseen(gconstpointer data)
{
    Traffic alone, beside, before, after;
    g_autofree QCTSlot *lines = NULL, *lines_after = NULL;
    uint64_t theirs, host;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, QCT_SECOND);
    qci_job_init(&j, &r, 4);
    request_traffic(&r, &j);
    alone = request_traffic(&r, &j);

    theirs = own_pages(&r, &j, 4);
    before = traffic(&r, 1);
    lines = qct_read_window(r.q.t[1]);
    beside = request_traffic(&r, &j);
    assert_same_traffic(alone, beside);

    /* By its address in memory, as source and as destination */
    host = theirs;
    check_refused(&r, j.from, host, PAGE);
    check_refused(&r, host, j.to, PAGE);
    /* Its own lines come and go. */
    qci_take_back(&r, 0, j.to, j.len);
    qci_job_map(&j, &r);
    qci_set_ats(&r, 0, false);
    qci_set_ats(&r, 0, true);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);

    after = traffic(&r, 1);
    assert_same_traffic(before, after);
    lines_after = qct_read_window(r.q.t[1]);
    g_assert_cmpmem(lines, r.q.t[1]->lines * sizeof(*lines), lines_after,
                    r.q.t[1]->lines * sizeof(*lines));
    qci_check_ram_filled(&r, theirs, QCI_OLD, 4 * PAGE);
    qct_check_memory(&r.q, theirs, j.want, 4 * PAGE);
    qci_job_clear(&j);
    qci_end(&r);
}

/*
 * A filter of 1024 lines that both share is what the first can take lines from
 * the second by; with a quota it cannot. Data are right all the same.
 */
static void test_shared_filter(gconstpointer data)
{
    static const int quotas[] = { 0, 256 };

    for (int i = 0; i < ARRAY_SIZE(quotas); i++) {
        uint64_t theirs;
        unsigned left;
        QCIRig r;
        QCIJob j;

        qci_start(&r, data, QCT_SECOND
                  " -global cxl-rp.cxl-cache-sf-size=65536");
        qtest_qmp_assert_success(r.q.qts, "{'execute': 'qom-set', 'arguments': "
                                 "{'path': 't0', 'property': 'sf-quota', "
                                 "'value': %d}}", quotas[i]);
        qci_job_init(&j, &r, 32);
        theirs = own_pages(&r, &j, 4);
        g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
        left = qci_owned(&r, 1, theirs, 4 * PAGE);
        g_test_message("quota %d: %u of %u lines left", quotas[i], left,
                       4 * PAGE_LINES);
        if (quotas[i]) {
            g_assert_cmpuint(left, ==, 4 * PAGE_LINES);
        } else {
            g_assert_cmpuint(left, <, 4 * PAGE_LINES);
        }
        qci_job_check_done(&j, &r);
        qct_check_memory(&r.q, theirs, j.want, 4 * PAGE);
        qci_job_clear(&j);
        qci_end(&r);
    }
}

static void test_stale(gconstpointer data)
{
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 2);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    qci_take_back(&r, 0, j.to, j.len);
    qci_check_ram(&r, j.dst, j.want, j.len);
    qtest_memset(r.q.qts, j.dst, QCI_OLD, j.len);
    check_refused(&r, j.from, j.to, j.len);
    qci_job_check_untouched(&j, &r);
    /* As a source: nothing of it gets out */
    check_refused(&r, j.to, j.from, PAGE);

    qci_take_back(&r, 0, j.from, j.len);
    check_refused(&r, j.from, j.to, j.len);
    qci_job_map(&j, &r);
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Addresses that no page can have, or that no device may use as memory */
static void test_strange_addresses(gconstpointer data)
{
    static const uint64_t strange[] = {
        0, 1ull << 47, 1ull << 48, 1ull << 52, 1ull << 63,
        0xffff800000000000, -PAGE, -32ull, -64ull,
        0xfee00000, 0xfee01000, 0xfeeff000, 0xfeeffff0,
    };
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    for (unsigned i = 0; i < G_N_ELEMENTS(strange); i++) {
        g_test_message("0x%" PRIx64, strange[i]);
        check_refused(&r, strange[i], j.to, 64);
        check_refused(&r, j.from, strange[i], 64);
        qci_job_check_untouched(&j, &r);
    }
    g_assert_cmpuint(qci_job_run(&j, &r), ==, VIRTIO_CRYPTO_OK);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* Interrupt messages are not memory, even if tables say so. */
static void test_interrupt_range(gconstpointer data)
{
    const uint64_t first = 0xfee00000;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 2);
    qcv_map(r.vtd, &r.dom[0], first - PAGE, j.dst, 2 * PAGE, QCV_RW);
    check_refused(&r, j.from, first, PAGE);
    check_refused(&r, j.from, first - PAGE, 2 * PAGE);
    check_refused(&r, first, j.from, PAGE);
    qci_job_check_untouched(&j, &r);
    qct_encrypt(r.q.t[0], j.from, first - PAGE, PAGE);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, PAGE_LINES);
    qct_check_memory(&r.q, j.dst, j.want, PAGE);
    qci_job_clear(&j);
    qci_end(&r);
}

/* A driver that would hand out host addresses is not let in. */
static void test_feature_refused(void)
{
    QVirtioDevice *vdev;
    uint64_t features;
    QCIRig r;

    qci_start(&r, &qci_legacy, "");
    vdev = &r.q.t[0]->c->pci->vdev;
    qvirtio_crypto_stop(r.q.t[0]->c);
    qvirtio_start_device(vdev);
    features = qvirtio_get_features(vdev);
    g_assert_true(features & 1ull << VIRTIO_F_ACCESS_PLATFORM);
    vdev->bus->set_features(vdev, 1ull << VIRTIO_F_VERSION_1);
    vdev->bus->set_status(vdev, vdev->bus->get_status(vdev) |
                          VIRTIO_CONFIG_S_FEATURES_OK);
    g_assert_false(vdev->bus->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK);
    qvirtio_reset(vdev);
    qci_attach(&r, 0);
    check_known_answer(&r, true);
    qci_end(&r);
}

/* ---- T89: what is mapped, and is no RAM ---- */

#define ROM         0xfffff000ull
#define TESTDEV     " " QCXL_RP1 ",cxl-cache=on " \
                    "-device cxl-cache-testdev,bus=rp1,id=x0"

static void test_rom(gconstpointer data)
{
    g_autofree uint8_t *rom = g_malloc(PAGE);
    g_autofree uint8_t *now = g_malloc(PAGE);
    uint64_t from;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    qtest_memread(r.q.qts, ROM, rom, PAGE);
    g_assert_cmphex(rom[0xff0], !=, 0);
    /* What becomes of a copy in RAM */
    qtest_memwrite(r.q.qts, j.src, rom, PAGE);
    g_free(j.want);
    j.want = qci_ciphertext(&r, j.src, PAGE);

    from = qci_expose(&r, 0, ROM, PAGE, QCV_RW);
    qct_encrypt(r.q.t[0], from, j.to, PAGE);
    g_assert_cmpuint(qci_owned(&r, 0, ROM, PAGE), ==, 0);
    qci_job_check_done(&j, &r);

    qct_crypt_to(r.q.t[0], j.from, from, PAGE);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qtest_memread(r.q.qts, ROM, now, PAGE);
    g_assert_cmpmem(now, PAGE, rom, PAGE);
    qci_job_clear(&j);
    qci_end(&r);
}

#ifdef CONFIG_TRACE_LOG
/* Bytes written to device memory in a range, by anybody, as traced */
static uint64_t bytes_written(const char *log, uint64_t addr, uint64_t len)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t sum = 0;

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *at = strstr(*line, " addr 0x");
        uint64_t a, v;
        unsigned size;

        if (at && strstr(*line, "memory_region_ops_write") &&
            sscanf(at, " addr 0x%" SCNx64 " value 0x%" SCNx64 " size %u", &a,
                   &v, &size) == 3 && a >= addr && a < addr + len) {
            sum += size;
        }
    }
    return sum;
}
#endif

/* Device memory: read as it is, written once, with nothing else behind it */
static void test_mmio(gconstpointer data)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-iommu-%d", g_get_tmp_dir(),
                                           (int)getpid());
    g_autofree char *opts = g_strdup_printf(
        "%s -trace memory_region_ops_write -D %s", TESTDEV, log);
    g_autofree uint8_t *buf = g_malloc(PAGE);
    QPCIDevice *pci;
    uint64_t at, gpa;
    QCXL *cxl;
    QPCIBar bar;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, opts);
    cxl = qcxl_new_port(r.q.qts, 1);
    pci = qcxl_endpoint(cxl);
    qpci_device_enable(pci);
    bar = qpci_iomap(pci, CXL_CACHE_TESTDEV_BAR_REGS, NULL);
    gpa = bar.addr + CCT_BUF;
    qci_job_init(&j, &r, 1);
    at = qci_expose(&r, 0, gpa, PAGE, QCV_RW);

    qtest_memread(r.q.qts, j.src, buf, PAGE);
    qpci_memwrite(pci, bar, CCT_BUF, buf, PAGE);
    qct_encrypt(r.q.t[0], at, j.to, PAGE);
    g_assert_cmpuint(qci_owned(&r, 0, gpa, PAGE), ==, 0);
    qci_job_check_done(&j, &r);

    qpci_memread(pci, bar, CCT_BUF, buf, PAGE);
#ifdef CONFIG_TRACE_LOG
    g_assert_cmpuint(bytes_written(log, gpa, PAGE), ==, PAGE);
#endif
    qct_encrypt(r.q.t[0], j.from, at, PAGE);
    qpci_memread(pci, bar, CCT_BUF, buf, PAGE);
    g_assert_cmpmem(buf, PAGE, j.want, PAGE);
#ifdef CONFIG_TRACE_LOG
    g_assert_cmpuint(bytes_written(log, gpa, PAGE), ==, 2 * PAGE);
#endif
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    check_no_fault(&r);

    /* Part of it is RAM: nothing of the request goes by CXL.cache. */
    qcv_map(r.vtd, &r.dom[0], at + PAGE, j.dst, PAGE, QCV_RW);
    qct_encrypt(r.q.t[0], j.from, at + PAGE - 64, 128);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qpci_memread(pci, bar, CCT_BUF + PAGE - 64, buf, 64);
    g_assert_cmpmem(buf, 64, j.want, 64);
    qct_check_memory(&r.q, j.dst, j.want + 64, 64);
    g_free(pci);
    qcxl_free(cxl);
    qci_job_clear(&j);
    qci_end(&r);
    unlink(log);
}

/* The address guard knows host addresses, not the driver's. */
static void test_window(gconstpointer data)
{
    uint64_t fenced = 0x7f00000;
    int64_t guarded;
    QDict *info;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, ",window=0-0x7efffff");
    qci_job_init(&j, &r, 1);
    /* Inside for the driver, and outside; then the other way round */
    qcv_map(r.vtd, &r.dom[0], 0x100000, fenced, PAGE, QCV_RW);
    qcv_map(r.vtd, &r.dom[0], fenced, j.dst, PAGE, QCV_RW);
    qtest_memset(r.q.qts, fenced, QCI_OLD, PAGE);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], j.from, 0x100000, PAGE), ==,
                     VIRTIO_CRYPTO_ERR);
    check_no_fault(&r);
    g_assert_cmpuint(qci_owned_all(&r, 0), ==, 0);
    qct_check_filled(&r.q, fenced, QCI_OLD, PAGE);
    qct_encrypt(r.q.t[0], j.from, fenced, PAGE);
    g_assert_cmpuint(qci_owned(&r, 0, j.dst, PAGE), ==, PAGE_LINES);
    qci_job_check_done(&j, &r);
    info = qct_query(r.q.qts);
    guarded = qdict_get_int(qct_device(info, 0), "guarded");
    g_assert_cmpint(guarded, ==, 1);
    qobject_unref(info);
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- Interrupts ---- */

/* Is the vector requested at the CPU's local APIC? */
static bool is_pending(QCIRig *r, unsigned vector)
{
    g_autofree char *text = qtest_hmp(r->q.qts, "info lapic 0");
    g_autofree char *want = g_strdup_printf(" %u ", vector);
    const char *irr = strstr(text, "IRR\t");
    const char *end;

    g_assert_nonnull(irr);
    end = strchr(irr, '\n');
    g_assert_nonnull(end);
    return g_strstr_len(irr, end - irr, want);
}

/* Entry 1 of MSI-X, which is data queue 0's */
static void set_msi(QCIRig *r, uint64_t addr, uint32_t data)
{
    QPCIDevice *pci = r->q.t[0]->c->pci->pdev;
    uint64_t off = pci->msix_table_off + PCI_MSIX_ENTRY_SIZE;

    qpci_io_writel(pci, pci->msix_table_bar, off, addr);
    qpci_io_writel(pci, pci->msix_table_bar, off + 4, addr >> 32);
    qpci_io_writel(pci, pci->msix_table_bar, off + 8, data);
    qpci_io_writel(pci, pci->msix_table_bar, off + 12, 0);
}

/* Returns: whether the end of a request led to the interrupt */
static bool interrupts(QCIRig *r, QCIJob *j, unsigned vector)
{
    g_assert_false(is_pending(r, vector));
    g_assert_cmpuint(qci_job_run(j, r), ==, VIRTIO_CRYPTO_OK);
    return is_pending(r, vector);
}

static void check_blocked(QCIRig *r, QCIJob *j, unsigned vector,
                          unsigned reason)
{
    QCVFault fault = { };

    g_assert_false(interrupts(r, j, vector));
    g_assert_true(qcv_fault(r->vtd, &fault));
    g_assert_cmphex(fault.reason, ==, reason);
    g_assert_cmphex(fault.sid, ==, qci_sid(0));
}

static void test_interrupts(gconstpointer data)
{
    QVirtioPCIDevice *pci;
    QCIRig r;
    QCIJob j;

    qci_start(&r, data, "");
    qci_job_init(&j, &r, 1);
    pci = r.q.t[0]->c->pci;
    qpci_msix_enable(pci->pdev);
    pci->msix_ops->set_queue_vector(pci, 0, 1);
    set_msi(&r, 0xfee00000, 0x50);
    g_assert_true(interrupts(&r, &j, 0x50));

    qcv_remap_interrupts(r.vtd);
    qcv_set_irte(r.vtd, 5, 0x51, qci_sid(0));
    set_msi(&r, qcv_msi_address(5), 0);
    g_assert_true(interrupts(&r, &j, 0x51));
    check_no_fault(&r);

    /* Not there, and another device's; QEMU lets the old format pass */
    set_msi(&r, qcv_msi_address(6), 0);
    check_blocked(&r, &j, 0x52, VTD_FR_IR_ENTRY_P);
    qcv_set_irte(r.vtd, 6, 0x52, qci_sid(1));
    check_blocked(&r, &j, 0x52, VTD_FR_IR_SID_ERR);

    qcv_set_irte(r.vtd, 6, 0x52, qci_sid(0));
    set_msi(&r, qcv_msi_address(6), 0);
    g_assert_true(interrupts(&r, &j, 0x52));
    check_no_fault(&r);
    qci_job_check_done(&j, &r);
    qci_job_clear(&j);
    qci_end(&r);
}

/* ---- virtio-iommu, which has no ATS ---- */

#define VIOMMU      "-device virtio-iommu-pci,addr=4 "
#define VOFFSET     (1ull << 33)

/**
 * VRig: a machine whose IOMMU is driven by requests
 * @vq: its request queue
 */
typedef struct VRig {
    QCTRig q;
    QVirtioPCIDevice *pci;
    QVirtQueue *vq;
    uint8_t *ram;
} VRig;

/* Returns: the status in the tail, which follows @len bytes */
static uint8_t viommu_request(VRig *r, const void *req, size_t len)
{
    QTestState *qts = r->q.qts;
    uint64_t addr = guest_alloc(&r->q.alloc, PAGE);
    uint32_t head;
    uint8_t status;

    qtest_memwrite(qts, addr, req, len);
    head = qvirtqueue_add(qts, r->vq, addr, len, false, true);
    qvirtqueue_add(qts, r->vq, addr + len,
                   sizeof(struct virtio_iommu_req_tail), true, false);
    qvirtqueue_kick(qts, &r->pci->vdev, r->vq, head);
    qvirtio_wait_used_elem(qts, &r->pci->vdev, r->vq, head, NULL,
                           QVIRTIO_CRYPTO_TIMEOUT_US);
    status = qtest_readb(qts, addr + len);
    guest_free(&r->q.alloc, addr);
    return status;
}

static void viommu_attach(VRig *r)
{
    struct virtio_iommu_req_attach req = {
        .head.type = VIRTIO_IOMMU_T_ATTACH,
        .domain = cpu_to_le32(1),
        .endpoint = cpu_to_le32(qci_sid(0)),
    };

    g_assert_cmpuint(viommu_request(r, &req, offsetof(typeof(req), tail)), ==,
                     VIRTIO_IOMMU_S_OK);
}

static void viommu_map(VRig *r, uint64_t iova, uint64_t gpa, uint64_t len,
                       uint32_t flags)
{
    struct virtio_iommu_req_map req = {
        .head.type = VIRTIO_IOMMU_T_MAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(iova),
        .virt_end = cpu_to_le64(iova + len - 1),
        .phys_start = cpu_to_le64(gpa),
        .flags = cpu_to_le32(flags),
    };

    g_assert_cmpuint(viommu_request(r, &req, offsetof(typeof(req), tail)), ==,
                     VIRTIO_IOMMU_S_OK);
}

static void viommu_unmap(VRig *r, uint64_t iova, uint64_t len)
{
    struct virtio_iommu_req_unmap req = {
        .head.type = VIRTIO_IOMMU_T_UNMAP,
        .domain = cpu_to_le32(1),
        .virt_start = cpu_to_le64(iova),
        .virt_end = cpu_to_le64(iova + len - 1),
    };

    g_assert_cmpuint(viommu_request(r, &req, offsetof(typeof(req), tail)), ==,
                     VIRTIO_IOMMU_S_OK);
}

static void viommu_start(VRig *r)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(4, 0) };
    QVirtioDevice *vdev;
    QCXLType1 *t;

    qct_rig_boot(&r->q, QCXL_SHARED_RAM VIOMMU, "");
    t = r->q.t[0];
    r->ram = qcxl_map_memfd(r->q.qts, QCXL_MEMFD, 128 * MiB);
    r->pci = virtio_pci_new(&t->cxl->port_bus, &addr);
    vdev = &r->pci->vdev;
    qvirtio_pci_device_enable(r->pci);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                         (1ull << VIRTIO_F_VERSION_1 |
                          1ull << VIRTIO_IOMMU_F_MAP_UNMAP));
    r->vq = qvirtqueue_setup(vdev, &r->q.alloc, 0);
    qvirtio_set_driver_ok(vdev);

    viommu_attach(r);
    /* The rings are somewhere in there, too: qvirtio_crypto_setup() knows */
    viommu_map(r, VOFFSET, 0, 128 * MiB,
               VIRTIO_IOMMU_MAP_F_READ | VIRTIO_IOMMU_MAP_F_WRITE);
    t->c->iova_offset = VOFFSET;
    qct_attach(t, qct_key);
}

static void viommu_end(VRig *r)
{
    munmap(r->ram, 128 * MiB);
    qvirtqueue_cleanup(r->pci->vdev.bus, r->vq, &r->q.alloc);
    qvirtio_pci_device_disable(r->pci);
    g_free(r->pci->pdev);
    g_free(r->pci);
    qct_rig_end(&r->q);
}

static void test_viommu(void)
{
    const uint64_t from = 1ull << 32, to = from + 2 * PAGE;
    uint64_t src, dst;
    QDict *info;
    VRig r;

    viommu_start(&r);
    src = qct_alloc_filled(&r.q, PAGE, 0);
    dst = qct_alloc_filled(&r.q, 2 * PAGE, QCI_OLD);
    qtest_memwrite(r.q.qts, src, qct_plain, sizeof(qct_plain));
    viommu_map(&r, from, src, PAGE, VIRTIO_IOMMU_MAP_F_READ);
    viommu_map(&r, to, dst, PAGE, VIRTIO_IOMMU_MAP_F_READ |
               VIRTIO_IOMMU_MAP_F_WRITE);

    qct_encrypt(r.q.t[0], from, to, sizeof(qct_plain));
    g_assert_cmpmem(r.ram + dst, sizeof(qct_cipher), qct_cipher,
                    sizeof(qct_cipher));
    /* Not mapped, to be read only, half of it */
    qct_check_filled(&r.q, dst + PAGE, QCI_OLD, PAGE);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], to + PAGE, to, 64), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], from, to + PAGE, 64), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], to, from, 64), ==,
                     VIRTIO_CRYPTO_ERR);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], from, to + PAGE - 64, 128), ==,
                     VIRTIO_CRYPTO_ERR);
    qct_check_filled(&r.q, dst + 64, QCI_OLD, 2 * PAGE - 64);
    qct_check_memory(&r.q, src, qct_plain, sizeof(qct_plain));

    /* Stale */
    viommu_unmap(&r, to, PAGE);
    qtest_memset(r.q.qts, dst, QCI_OLD, PAGE);
    g_assert_cmpuint(qct_crypt_to(r.q.t[0], from, to, 64), ==,
                     VIRTIO_CRYPTO_ERR);
    qct_check_filled(&r.q, dst, QCI_OLD, PAGE);

    info = qct_query(r.q.qts);
    g_assert_cmpint(qct_sent_all(qct_device(info, 0), "d2h-req"), <=, 1);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==, 0);
    qobject_unref(info);
    viommu_end(&r);
}

static void add(const char *name, const QCIMode *mode, GTestDataFunc func)
{
    g_autofree char *path = g_strdup_printf("/cxl-type1-iommu/%s/%s", name,
                                            mode->name);

    qtest_add_data_func(path, mode, func);
}

static const struct {
    const char *name;
    GTestDataFunc func;
} in_all_modes[] = {
    { "known-answer", test_known_answer },
    { "damage", test_damage },
    { "status-gone", test_status_gone },
    { "table-gone", test_table_gone },
    { "ring-gone", test_ring_gone },
};

/* What is owned is looked at. */
static const struct {
    const char *name;
    GTestDataFunc func;
} with_ats[] = {
    { "other-domain", test_other_domain },
    { "unseen", test_unseen },
    { "shared-filter", test_shared_filter },
    { "stale", test_stale },
    { "strange-addresses", test_strange_addresses },
    { "interrupt-range", test_interrupt_range },
    { "rom", test_rom },
    { "mmio", test_mmio },
    { "window", test_window },
    { "interrupts", test_interrupts },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned m = 0; m < G_N_ELEMENTS(modes); m++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(in_all_modes); i++) {
            add(in_all_modes[i].name, &modes[m], in_all_modes[i].func);
        }
        for (unsigned i = 0; modes[m].ats && i < G_N_ELEMENTS(with_ats); i++) {
            add(with_ats[i].name, &modes[m], with_ats[i].func);
        }
    }
    add("known-answer", &pass, test_known_answer);
    add("known-answer", &pass_scalable, test_known_answer);
    qtest_add_func("/cxl-type1-iommu/known-answer/no-ats", test_no_iommu_ats);
    qtest_add_func("/cxl-type1-iommu/known-answer/let-past", test_let_past);
    qtest_add_func("/cxl-type1-iommu/known-answer/off", test_off);
    qtest_add_func("/cxl-type1-iommu/ats-switch", test_ats_switch);
    qtest_add_func("/cxl-type1-iommu/field/02-ats-auto", test_ats_auto);
    qtest_add_func("/cxl-type1-iommu/field/02-ats-hot-add", test_ats_hot_add);
    qtest_add_func("/cxl-type1-iommu/feature-refused", test_feature_refused);
    if (qtest_has_device("virtio-iommu-pci")) {
        qtest_add_func("/cxl-type1-iommu/virtio-iommu", test_viommu);
    }
    return g_test_run();
}
