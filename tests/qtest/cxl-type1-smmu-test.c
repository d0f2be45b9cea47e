/*
 * QTest testcase for cxl-type1-crypto behind an SMMUv3 with ATS
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What RAM holds while the device has a newer copy is seen through a mapping of
 * the memfd behind it: qtest's own reads would bring the lines home.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-smmu.h"
#include "libqos/cxl-type1.h"
#include "hw/pci/pci_regs.h"
#include "standard-headers/linux/virtio_ring.h"

#define PAGE        QCS_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define RAM_SIZE    (128 * MiB)
#define OLD         0x5a

/* Where a device finds its rings, and where its pages are */
#define RINGS       (1ull << 38)
#define FROM        (1ull << 36)
#define TO          (FROM + 2 * MiB)

#define SID         ((QCXL_BUS_NR + 1) << 8)
#define SMMU        QCXL_SHARED_RAM "-machine iommu=smmuv3 "
#define SMMU_ATS    SMMU "-global arm-smmuv3.ats=on "

typedef struct Rig {
    QCTRig q;
    QCXLSmmu *smmu;
    QCSDomain dom;
    uint8_t *ram;
    /* Two pages each */
    uint64_t src;
    uint64_t dst;
    uint8_t *want;
} Rig;

#define LEN (2 * PAGE)

static void set_ats(Rig *r, bool on)
{
    QPCIDevice *pdev = r->q.t[0]->c->pci->pdev;
    uint16_t cap = qcxl_find_ext_cap(pdev, PCI_EXT_CAP_ID_ATS, 0);

    g_assert_cmpint(cap, !=, 0);
    qcxl_writew(pdev, cap + PCI_ATS_CTRL, on ? PCI_ATS_CTRL_ENABLE : 0);
}

static void map_own(Rig *r, uint64_t gpa, uint64_t len)
{
    qcs_map(r->smmu, &r->dom, gpa + RINGS, gpa, ROUND_UP(len, PAGE), QCS_RW);
}

static void map_rings(Rig *r)
{
    QVirtioCrypto *c = r->q.t[0]->c;

    map_own(r, c->arena, QVIRTIO_CRYPTO_ARENA);
    for (unsigned i = 0; i <= c->num_dataq; i++) {
        QVirtQueue *vq = c->vqs[i];
        uint64_t end = vq->used + offsetof(struct vring_used, ring) +
                       vq->size * sizeof(struct vring_used_elem) +
                       sizeof(uint16_t);

        map_own(r, vq->desc, end - vq->desc);
    }
    qcs_forget_all(r->smmu);
}

static int64_t translations(Rig *r, const char *what)
{
    QDict *info = qct_query(r->q.qts);
    int64_t val = qdict_get_int(qdict_get_qdict(qct_device(info, 0),
                                                "translations"), what);

    qobject_unref(info);
    return val;
}

static void rig_start(Rig *r, const char *args, QCSStages stages, unsigned eats,
                      bool ats)
{
    QVirtioCrypto *c;

    *r = (Rig) { };
    /* A cache whose window is read in no time */
    qct_rig_boot(&r->q, args, ",ats=on,cache-size=256K");
    r->ram = qcxl_map_memfd(r->q.qts, QCXL_MEMFD, RAM_SIZE);
    r->smmu = qcs_new(r->q.qts, &r->q.alloc);
    r->dom = qcs_domain(r->smmu, stages, 7);
    qcs_bind(r->smmu, SID, &r->dom, eats);

    c = r->q.t[0]->c;
    c->iova_offset = RINGS;
    qvirtio_crypto_setup(c);
    map_rings(r);
    qvirtio_set_driver_ok(&c->pci->vdev);
    qct_make_session(r->q.t[0], qct_key);

    r->src = qct_alloc_source(&r->q, LEN);
    r->dst = qct_alloc_filled(&r->q, LEN, OLD);
    qcs_map(r->smmu, &r->dom, FROM, r->src, LEN, QCS_READ);
    qcs_map(r->smmu, &r->dom, TO, r->dst, LEN, QCS_RW);
    /* What is right is found out by CXL.io */
    qct_set_cache_enable(r->q.t[0], false);
    qct_encrypt(r->q.t[0], FROM, TO, LEN);
    qct_set_cache_enable(r->q.t[0], true);
    r->want = g_malloc(LEN);
    qtest_memread(r->q.qts, r->dst, r->want, LEN);
    qtest_memset(r->q.qts, r->dst, OLD, LEN);
    set_ats(r, ats);
}

static void rig_end(Rig *r)
{
    uint64_t addr;
    uint16_t sid;

    /* No test leaves an event that it has not asked for */
    g_assert_cmpint(qcs_event(r->smmu, &sid, &addr), ==, 0);
    qct_rig_end(&r->q);
    qcs_free(r->smmu);
    munmap(r->ram, RAM_SIZE);
    g_free(r->want);
}

static uint8_t run(Rig *r)
{
    return qct_crypt_to(r->q.t[0], FROM, TO, LEN);
}

static void check_quiet(Rig *r)
{
    QDict *info = qct_query(r->q.qts);

    qct_check_quiet(info);
    qobject_unref(info);
}

/* Lines of memory that the device has, by their translated addresses */
static unsigned owned(Rig *r, uint64_t gpa, uint64_t len)
{
    QCXLType1 *t = r->q.t[0];
    g_autofree QCTSlot *slot = qct_read_window(t);
    unsigned n = 0;

    for (uint64_t i = 0; i < t->lines; i++) {
        uint64_t ats = le64_to_cpu(slot[i].ats);
        uint64_t line = ats & MAKE_64BIT_MASK(6, 46);

        n += (ats & 1) && line >= gpa && line - gpa < len;
    }
    return n;
}

static void check_ram(Rig *r, uint64_t gpa, const void *want, size_t len)
{
    g_assert_cmpmem(r->ram + (gpa - QCXL_VIRT_RAM), len, want, len);
}

static void check_ram_old(Rig *r, uint64_t gpa, size_t len)
{
    g_autofree uint8_t *want = g_malloc(len);

    memset(want, OLD, len);
    check_ram(r, gpa, want, len);
}

/* Results are in the cache, and nowhere else. */
static void run_owned(Rig *r)
{
    g_assert_cmpint(run(r), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(owned(r, r->dst, LEN), ==, LEN / QCT_LINE);
    check_ram_old(r, r->dst, LEN);
}

/* Returns how many events there are, all of them of this type */
static unsigned take_events(Rig *r, unsigned type)
{
    uint64_t addr;
    uint16_t sid;
    unsigned got, n = 0;

    while ((got = qcs_event(r->smmu, &sid, &addr))) {
        g_assert_cmphex(got, ==, type);
        g_assert_cmphex(sid, ==, SID);
        n++;
    }
    return n;
}

/*
 * Not permitted: the request fails, and nothing is written. "Not permitted" is
 * an answer to a Translation Request and no event, but QEMU has mapped the
 * request's buffers by CXL.io when it took it from the ring, and that is one.
 */
static void run_refused(Rig *r, unsigned type)
{
    int64_t refusals = translations(r, "refusals");

    g_assert_cmpint(run(r), ==, VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(translations(r, "refusals"), >, refusals);
    g_assert_cmpint(owned(r, 0, UINT64_MAX), ==, 0);
    check_ram_old(r, r->dst, LEN);
    g_assert_cmpint(take_events(r, type), >, 0);
}

static void test_off(void)
{
    Rig r;

    rig_start(&r, SMMU, QCS_S1, 1, true);
    g_assert_cmphex(qcs_idr0(r.smmu) & QCS_IDR0_ATS, ==, 0);
    g_assert_cmpint(run(&r), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(owned(&r, 0, UINT64_MAX), ==, 0);
    check_ram(&r, r.dst, r.want, LEN);
    /* The command is none of its */
    qcs_queue_device(r.smmu, SID, 0, QCS_ALL);
    qcs_sync(r.smmu);
    rig_end(&r);
}

/* A page is taken back, and used elsewhere */
static void test_invalidate(gconstpointer stages)
{
    uint64_t other;
    Rig r;

    rig_start(&r, SMMU_ATS, GPOINTER_TO_INT(stages), 1, true);
    g_assert_cmphex(qcs_idr0(r.smmu) & QCS_IDR0_ATS, !=, 0);
    other = qct_alloc_filled(&r.q, PAGE, OLD);
    run_owned(&r);
    /* Two pages twice, and the IV's */
    g_assert_cmpint(translations(&r, "held"), ==, 5);

    /* The SMMU's own TLB is not the device's */
    qcs_unmap(r.smmu, &r.dom, TO, PAGE);
    qcs_forget_all(r.smmu);
    g_assert_cmpint(owned(&r, r.dst, LEN), ==, LEN / QCT_LINE);
    check_ram_old(&r, r.dst, LEN);

    qcs_queue_device(r.smmu, SID, TO, 0);
    qcs_sync(r.smmu);
    g_assert_cmpint(translations(&r, "held"), ==, 4);
    g_assert_cmpint(owned(&r, r.dst, PAGE), ==, 0);
    g_assert_cmpint(owned(&r, r.dst + PAGE, PAGE), ==, PAGE_LINES);
    check_ram(&r, r.dst, r.want, PAGE);
    check_ram_old(&r, r.dst + PAGE, PAGE);

    qcs_map(r.smmu, &r.dom, TO, other, PAGE, QCS_RW);
    qtest_memset(r.q.qts, r.dst, 0x77, PAGE);
    g_assert_cmpint(run(&r), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(owned(&r, other, PAGE), ==, PAGE_LINES);
    g_assert_cmpint(owned(&r, r.dst, PAGE), ==, 0);
    check_ram_old(&r, other, PAGE);

    /* All of it */
    qcs_queue_device(r.smmu, SID, 0, QCS_ALL);
    qcs_sync(r.smmu);
    g_assert_cmpint(translations(&r, "held"), ==, 0);
    g_assert_cmpint(owned(&r, 0, UINT64_MAX), ==, 0);
    check_ram(&r, other, r.want, PAGE);
    check_ram(&r, r.dst + PAGE, r.want + PAGE, PAGE);
    check_quiet(&r);
    rig_end(&r);
}

/* A range is as long as it says, another stream's is not this one's */
static void test_range(void)
{
    Rig r;

    rig_start(&r, SMMU_ATS, QCS_S1, 1, true);
    run_owned(&r);
    qcs_queue_device(r.smmu, SID + 0x100, TO, QCS_ALL);
    qcs_queue_device(r.smmu, SID + 1, TO, QCS_ALL);
    qcs_queue_device(r.smmu, SID, TO - 2 * PAGE, 1);
    qcs_queue_device(r.smmu, SID, TO + 2 * PAGE, 1);
    qcs_sync(r.smmu);
    g_assert_cmpint(owned(&r, r.dst, LEN), ==, LEN / QCT_LINE);
    qcs_queue_device(r.smmu, SID, TO, 1);
    qcs_sync(r.smmu);
    g_assert_cmpint(owned(&r, r.dst, LEN), ==, 0);
    check_ram(&r, r.dst, r.want, LEN);
    rig_end(&r);
}

/* A device that does not complete an invalidation: CMD_SYNC says so, once */
static void test_unresponsive(void)
{
    Rig r;

    rig_start(&r, SMMU_ATS, QCS_S1, 1, true);
    run_owned(&r);
    qct_fault(r.q.qts, &(QCTFault) { .kind = "invalidate-timeout" });
    qcs_queue_device(r.smmu, SID, TO, 1);
    g_assert_cmpint(qcs_try_sync(r.smmu), ==, QCS_ATC_INV_SYNC);
    g_assert_cmpint(owned(&r, r.dst, LEN), ==, LEN / QCT_LINE);
    qcs_go_on(r.smmu);
    qcs_sync(r.smmu);
    qct_clear(r.q.qts);
    qcs_queue_device(r.smmu, SID, TO, 1);
    qcs_sync(r.smmu);
    g_assert_cmpint(owned(&r, r.dst, LEN), ==, 0);
    rig_end(&r);
}

/* The stream's entry does not permit ATS, or lets all pass */
static void test_eats(gconstpointer eats)
{
    Rig r;

    rig_start(&r, SMMU_ATS, QCS_NESTED, GPOINTER_TO_INT(eats), true);
    run_refused(&r, QCS_EVT_BAD_ATS_TREQ);

    qcs_bind(r.smmu, SID, &r.dom, 1);
    run_owned(&r);
    qcs_queue_device(r.smmu, SID, 0, QCS_ALL);
    qcs_sync(r.smmu);
    rig_end(&r);
}

static void test_not_mapped(gconstpointer stages)
{
    Rig r;

    rig_start(&r, SMMU_ATS, GPOINTER_TO_INT(stages), 1, true);
    qcs_unmap(r.smmu, &r.dom, TO + PAGE, PAGE);
    qcs_forget_all(r.smmu);
    run_refused(&r, QCS_EVT_TRANSLATION);
    qcs_map(r.smmu, &r.dom, TO, r.dst, LEN, QCS_RW);
    run_owned(&r);
    rig_end(&r);
}

static void test_read_only(gconstpointer stages)
{
    Rig r;

    rig_start(&r, SMMU_ATS, GPOINTER_TO_INT(stages), 1, true);
    qcs_map(r.smmu, &r.dom, TO, r.dst, LEN, QCS_READ);
    qcs_forget_all(r.smmu);
    run_refused(&r, QCS_EVT_PERMISSION);
    rig_end(&r);
}

/* Stage 2 can permit writing alone, and then there is nothing to read */
static void test_write_only(void)
{
    Rig r;

    rig_start(&r, SMMU_ATS, QCS_S2, 1, true);
    qcs_map(r.smmu, &r.dom, TO, r.dst, LEN, QCS_WRITE);
    qcs_forget_all(r.smmu);
    run_owned(&r);
    qcs_queue_device(r.smmu, SID, 0, QCS_ALL);
    qcs_map(r.smmu, &r.dom, FROM, r.src, LEN, QCS_WRITE);
    qcs_forget_all(r.smmu);
    qtest_memset(r.q.qts, r.dst, OLD, LEN);
    run_refused(&r, QCS_EVT_PERMISSION);
    rig_end(&r);
}

/*
 * A table forbids writing to all pages below it: also if the SMMU's TLB has
 * the page from a read.
 */
static void test_table_read_only(gconstpointer stages)
{
    Rig r;

    rig_start(&r, SMMU_ATS, GPOINTER_TO_INT(stages), 1, true);
    qcs_limit(r.smmu, &r.dom, TO);
    qcs_forget_all(r.smmu);
    run_refused(&r, QCS_EVT_PERMISSION);
    rig_end(&r);
}

static void test_table_read_only_tlb(void)
{
    uint64_t other;
    Rig r;

    rig_start(&r, SMMU, QCS_S1, 0, false);
    other = qct_alloc_filled(&r.q, PAGE, OLD);
    qcs_map(r.smmu, &r.dom, TO + 2 * MiB, other, PAGE, QCS_RW);
    qcs_limit(r.smmu, &r.dom, TO);
    qcs_forget_all(r.smmu);
    /* By CXL.io it reads what it may not write */
    qct_encrypt(r.q.t[0], TO, TO + 2 * MiB, PAGE);
    g_assert_cmpint(run(&r), ==, VIRTIO_CRYPTO_ERR);
    check_ram_old(&r, r.dst, LEN);
    g_assert_cmpint(take_events(&r, QCS_EVT_PERMISSION), >, 0);
    rig_end(&r);
}

static void add(const char *name, QCSStages stages,
                void (*fn)(gconstpointer stages))
{
    static const char * const names[] = { "", "stage1", "stage2", "nested" };
    g_autofree char *path = g_strdup_printf("/cxl/type1/smmu/%s/%s", name,
                                            names[stages]);

    qtest_add_data_func(path, GINT_TO_POINTER(stages), fn);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/cxl/type1/smmu/off", test_off);
    for (QCSStages s = QCS_S1; s <= QCS_NESTED; s++) {
        add("invalidate", s, test_invalidate);
        add("not-mapped", s, test_not_mapped);
        add("read-only", s, test_read_only);
        if (s & QCS_S1) {
            add("table-read-only", s, test_table_read_only);
        }
    }
    qtest_add_func("/cxl/type1/smmu/table-read-only/tlb",
                   test_table_read_only_tlb);
    qtest_add_func("/cxl/type1/smmu/write-only", test_write_only);
    qtest_add_func("/cxl/type1/smmu/range", test_range);
    qtest_add_func("/cxl/type1/smmu/unresponsive", test_unresponsive);
    for (int eats = 0; eats < 4; eats++) {
        if (eats != 1) {
            g_autofree char *path = g_strdup_printf("/cxl/type1/smmu/eats/%d",
                                                    eats);

            qtest_add_data_func(path, GINT_TO_POINTER(eats), test_eats);
        }
    }
    return g_test_run();
}
