/*
 * libqos support for cxl-type1-crypto behind an IOMMU
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "hw/pci/pci_regs.h"
#include "standard-headers/linux/virtio_ring.h"
#include "cxl-iommu.h"

#define RAM_SIZE        (128 * 1024 * 1024)
/* Where a device finds its rings, and where its pages begin */
#define RINGS_OFFSET    (1ull << 38)
#define FIRST_IOVA      (1ull << 36)

const QCIMode qci_legacy = {
    .name = "legacy",
    .args = QCI_LEGACY,
    .tables = QVTD_TM_LEGACY_TRANS,
    .ats = true,
};

uint16_t qci_sid(unsigned n)
{
    return QCV_SID(QCXL_BUS_NR + 1 + n);
}

static bool translates(QCIRig *r)
{
    return !r->mode->pass && !r->mode->off;
}

void qci_set_ats(QCIRig *r, unsigned n, bool on)
{
    QPCIDevice *pdev = r->q.t[n]->c->pci->pdev;
    uint16_t cap = qcxl_find_ext_cap(pdev, PCI_EXT_CAP_ID_ATS, 0);

    if (cap) {
        qcxl_writew(pdev, cap + PCI_ATS_CTRL, on ? PCI_ATS_CTRL_ENABLE : 0);
    } else {
        g_assert_false(on);
    }
}

static void map_own(QCIRig *r, unsigned n, uint64_t gpa, uint64_t len)
{
    qcv_map(r->vtd, &r->dom[n], gpa + RINGS_OFFSET, gpa,
            ROUND_UP(len, QCV_PAGE), QCV_RW);
}

static void map_rings(QCIRig *r, unsigned n)
{
    QVirtioCrypto *c = r->q.t[n]->c;

    map_own(r, n, c->arena, QVIRTIO_CRYPTO_ARENA);
    for (unsigned i = 0; i <= c->num_dataq; i++) {
        QVirtQueue *vq = c->vqs[i];
        uint64_t end = vq->used + offsetof(struct vring_used, ring) +
                       vq->size * sizeof(struct vring_used_elem) +
                       sizeof(uint16_t);

        map_own(r, n, vq->desc, end - vq->desc);
    }
    /* Rings may be where others were. */
    qcv_forget_all(r->vtd);
    qcv_queue_device(r->vtd, qci_sid(n), 0, QCV_ALL);
    qcv_sync(r->vtd);
}

void qci_attach(QCIRig *r, unsigned n)
{
    QCXLType1 *t = r->q.t[n];

    if (translates(r)) {
        t->c->iova_offset = RINGS_OFFSET;
    }
    qvirtio_crypto_setup(t->c);
    if (translates(r)) {
        map_rings(r, n);
    }
    qci_set_ats(r, n, r->mode->ats);
    qvirtio_set_driver_ok(&t->c->pci->vdev);
    qct_make_session(t, qct_key);
}

void qci_attach_again(QCIRig *r, unsigned n)
{
    QCXL *cxl = r->q.t[n]->cxl;

    qct_free(r->q.t[n], true);
    r->q.t[n] = qct_probe(cxl, &r->q.alloc);
    qci_attach(r, n);
}

static void make_area(QCIRig *r)
{
    uint64_t addr = guest_alloc(&r->q.alloc, QCI_AREA + QCV_LARGE);

    r->area = ROUND_UP(addr, QCV_LARGE);
    qtest_memset(r->q.qts, r->area, QCI_OLD, QCI_AREA);
}

void qci_start(QCIRig *r, const QCIMode *mode, const char *opts)
{
    g_autofree char *args = g_strconcat(QCXL_SHARED_RAM, mode->args, NULL);

    *r = (QCIRig) { .mode = mode, .iova = FIRST_IOVA };
    qct_rig_boot(&r->q, args, opts);
    r->ram = qcxl_map_memfd(r->q.qts, QCXL_MEMFD, RAM_SIZE);
    r->vtd = qcv_new(r->q.qts, &r->q.alloc, mode->tables);
    for (unsigned i = 0; i < r->q.devices; i++) {
        r->dom[i] = qcv_domain(r->vtd, i + 1);
        qcv_bind(r->vtd, qci_sid(i), mode->pass ? NULL : &r->dom[i]);
    }
    if (!mode->off) {
        qcv_enable(r->vtd, true);
    }
    for (unsigned i = 0; i < r->q.devices; i++) {
        qci_attach(r, i);
    }
    make_area(r);
}

void qci_end(QCIRig *r)
{
    qct_rig_end(&r->q);
    qcv_free(r->vtd);
    munmap(r->ram, RAM_SIZE);
}

uint64_t qci_alloc(QCIRig *r, uint64_t len)
{
    uint64_t addr = r->area + r->area_used;

    r->area_used += ROUND_UP(len, QCV_PAGE);
    g_assert_cmphex(r->area_used, <=, QCI_AREA);
    return addr;
}

uint64_t qci_alloc_source(QCIRig *r, uint64_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint64_t addr = qci_alloc(r, len);

    for (uint64_t i = 0; i < len; i++) {
        buf[i] = ((addr + i) * 0x9e3779b1u) >> 13;
    }
    qtest_memwrite(r->q.qts, addr, buf, len);
    return addr;
}

uint64_t qci_expose(QCIRig *r, unsigned n, uint64_t gpa, uint64_t len,
                    QCVAccess access)
{
    uint64_t iova = r->iova;

    if (!translates(r)) {
        return gpa;
    }
    len = ROUND_UP(len, QCV_PAGE);
    qcv_map(r->vtd, &r->dom[n], iova, gpa, len, access);
    /* The page behind it is nobody's */
    r->iova += len + QCV_PAGE;
    return iova;
}

void qci_take_back(QCIRig *r, unsigned n, uint64_t iova, uint64_t len)
{
    qcv_unmap(r->vtd, &r->dom[n], iova, len);
    qcv_invalidate(r->vtd, &r->dom[n], qci_sid(n), iova, len);
}

unsigned qci_owned(QCIRig *r, unsigned n, uint64_t gpa, uint64_t len)
{
    QCXLType1 *t = r->q.t[n];
    g_autofree QCTSlot *slot = qct_read_window(t);
    unsigned owned = 0;

    for (uint64_t i = 0; i < t->lines; i++) {
        uint64_t ats = le64_to_cpu(slot[i].ats);
        uint64_t line = ats & ~0xfffull & ((1ull << 52) - 1);

        line |= ats & 0xfc0;
        owned += (ats & 1) && line >= gpa && line - gpa < len;
    }
    return owned;
}

unsigned qci_owned_all(QCIRig *r, unsigned n)
{
    return qci_owned(r, n, 0, UINT64_MAX);
}

int64_t qci_atc(QCIRig *r, unsigned n, const char *what)
{
    QDict *info = qct_query(r->q.qts);
    QDict *dev = qct_device(info, n);
    int64_t val = qdict_get_int(qdict_get_qdict(dev, "translations"), what);

    qobject_unref(info);
    return val;
}

uint8_t *qci_ciphertext(QCIRig *r, uint64_t gpa, uint32_t len)
{
    uint64_t tmp = guest_alloc(&r->q.alloc, len);
    uint64_t src = qci_expose(r, 0, gpa, len, QCV_READ);
    uint64_t dst = qci_expose(r, 0, tmp, len, QCV_RW);
    uint8_t *out = g_malloc(len);

    qct_set_cache_enable(r->q.t[0], false);
    qct_encrypt(r->q.t[0], src, dst, len);
    qct_set_cache_enable(r->q.t[0], true);
    qtest_memread(r->q.qts, tmp, out, len);
    if (translates(r)) {
        qci_take_back(r, 0, src, len);
        qci_take_back(r, 0, dst, len);
    }
    guest_free(&r->q.alloc, tmp);
    return out;
}

void qci_check_ram(QCIRig *r, uint64_t gpa, const void *want, size_t len)
{
    g_assert_cmphex(gpa + len, <=, RAM_SIZE);
    g_assert_cmpmem(r->ram + gpa, len, want, len);
}

void qci_check_ram_filled(QCIRig *r, uint64_t gpa, uint8_t value, size_t len)
{
    g_autofree uint8_t *want = g_malloc(len);

    memset(want, value, len);
    qci_check_ram(r, gpa, want, len);
}

void qci_job_init(QCIJob *j, QCIRig *r, unsigned pages)
{
    j->len = pages * QCV_PAGE;
    j->src = qci_alloc_source(r, j->len);
    j->dst = qci_alloc(r, j->len);
    j->want = qci_ciphertext(r, j->src, j->len);
    j->from = qci_expose(r, 0, j->src, j->len, QCV_READ);
    j->to = qci_expose(r, 0, j->dst, j->len, QCV_RW);
}

void qci_job_clear(QCIJob *j)
{
    g_free(j->want);
}

void qci_job_map(QCIJob *j, QCIRig *r)
{
    qcv_map(r->vtd, &r->dom[0], j->from, j->src, j->len, QCV_READ);
    qcv_map(r->vtd, &r->dom[0], j->to, j->dst, j->len, QCV_RW);
    qcv_invalidate(r->vtd, &r->dom[0], qci_sid(0), j->from, j->len);
    qcv_invalidate(r->vtd, &r->dom[0], qci_sid(0), j->to, j->len);
}

uint8_t qci_job_run(QCIJob *j, QCIRig *r)
{
    return qct_crypt_to(r->q.t[0], j->from, j->to, j->len);
}

void qci_job_post(QCIJob *j, QCIRig *r, QCTRequest *q)
{
    qct_post(r->q.t[0], q, qct_iv, (QCTSeg[]) { { j->from, j->len }, { } },
             (QCTSeg[]) { { j->to, j->len }, { } });
}

void qci_job_check_untouched(QCIJob *j, QCIRig *r)
{
    g_assert_cmpuint(qci_owned(r, 0, j->dst, j->len), ==, 0);
    qci_check_ram_filled(r, j->dst, QCI_OLD, j->len);
    qct_check_filled(&r->q, j->dst, QCI_OLD, j->len);
}

void qci_job_check_done(QCIJob *j, QCIRig *r)
{
    qct_check_memory(&r->q, j->dst, j->want, j->len);
}
