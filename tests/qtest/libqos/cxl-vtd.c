/*
 * libqos support for the VT-d of a CXL machine
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/bswap.h"
#include "cxl-vtd.h"

#define BASE            Q35_HOST_BRIDGE_IOMMU_ADDR
#define TOP_LEVEL       4
#define LEAF_LEVEL      1
#define LARGE_LEVEL     2
#define TABLE_ENTRIES   512
#define AW_48           2

#define PTE_LARGE       (1ull << 7)
/* What a PTE of the first level has in the place of read and write */
#define FS_WRITE        (1ull << 1)

/* Of a context entry in scalable mode */
#define SM_CONTEXT_DTE  (1ull << 2)

#define QUEUE_ENTRIES   256
#define IRT_SIZE        7           /* 2^(7 + 1) entries: a page */
#define FSTS_CLEAR      0xff
#define STOPPED         (VTD_FSTS_IQE | VTD_FSTS_ITE)

static uint64_t new_table(QCXLVtd *v)
{
    uint64_t addr = guest_alloc(v->alloc, QCV_PAGE);

    g_assert_cmphex(addr % QCV_PAGE, ==, 0);
    qtest_memset(v->qts, addr, 0, QCV_PAGE);
    return addr;
}

/* Registers */

static void command(QCXLVtd *v, uint32_t bit, bool on)
{
    bool lasting = bit == VTD_GCMD_TE || bit == VTD_GCMD_QIE ||
                   bit == VTD_GCMD_IRE;
    uint32_t gcmd = on ? v->gcmd | bit : v->gcmd & ~bit;

    qtest_writel(v->qts, BASE + DMAR_GCMD_REG, gcmd);
    if (lasting) {
        v->gcmd = gcmd;
        g_assert_cmphex(qtest_readl(v->qts, BASE + DMAR_GSTS_REG) & bit, ==,
                        gcmd & bit);
    }
}

void qcv_start(QCXLVtd *v)
{
    uint64_t root = v->root;

    if (qvtd_is_scalable(v->mode)) {
        root |= VTD_RTADDR_SMT;
    }
    v->gcmd = 0;
    v->tail = 0;
    qtest_writeq(v->qts, BASE + DMAR_RTADDR_REG, root);
    command(v, VTD_GCMD_SRTP, true);
    qtest_writeq(v->qts, BASE + DMAR_IQA_REG, v->queue);
    qtest_writeq(v->qts, BASE + DMAR_IQT_REG, 0);
    command(v, VTD_GCMD_QIE, true);
}

QCXLVtd *qcv_new(QTestState *qts, QGuestAllocator *alloc, QVTDTransMode mode)
{
    QCXLVtd *v = g_new0(QCXLVtd, 1);

    v->qts = qts;
    v->alloc = alloc;
    v->mode = mode;
    v->root = new_table(v);
    v->queue = new_table(v);
    v->status = new_table(v);
    v->irt = new_table(v);
    qcv_start(v);
    return v;
}

void qcv_free(QCXLVtd *v)
{
    g_free(v);
}

void qcv_enable(QCXLVtd *v, bool on)
{
    command(v, VTD_GCMD_TE, on);
}

/* Devices */

QCXLDomain qcv_domain(QCXLVtd *v, uint16_t id)
{
    return (QCXLDomain) { .id = id, .top = new_table(v) };
}

/* The table that an entry points to; made if there is none */
static uint64_t table_below(QCXLVtd *v, uint64_t entry, uint64_t flags)
{
    uint64_t val = qtest_readq(v->qts, entry);

    if (!val) {
        val = new_table(v) | flags;
        qtest_writeq(v->qts, entry, val);
    }
    return val & VTD_PAGE_MASK_4K & VTD_HAW_MASK(48);
}

static void bind_legacy(QCXLVtd *v, uint64_t entry, const QCXLDomain *dom)
{
    uint64_t ats = qtest_readq(v->qts, BASE + DMAR_ECAP_REG) & VTD_ECAP_DT;
    uint64_t lo = VTD_CONTEXT_TT_PASS_THROUGH;

    if (dom) {
        lo = dom->top | (ats ? VTD_CONTEXT_TT_DEV_IOTLB :
                         VTD_CONTEXT_TT_MULTI_LEVEL);
    }
    qtest_writeq(v->qts, entry + 8, (dom ? dom->id << 8 : 0) | AW_48);
    qtest_writeq(v->qts, entry, lo | VTD_CONTEXT_ENTRY_P);
}

static void write_pasid_entry(QCXLVtd *v, uint64_t entry,
                              const QCXLDomain *dom)
{
    /* The emulated one takes the width from here for the first level, too. */
    uint64_t second = AW_48 << 2, first = 0;
    uint64_t type = VTD_SM_PASID_ENTRY_PT;

    if (dom && v->mode == QVTD_TM_SCALABLE_FLT) {
        type = VTD_SM_PASID_ENTRY_FST;
        first = dom->top;
    } else if (dom) {
        type = VTD_SM_PASID_ENTRY_SST;
        second |= dom->top;
    }
    qtest_writeq(v->qts, entry + 8, dom ? dom->id : 0);
    qtest_writeq(v->qts, entry + 16, first);
    qtest_writeq(v->qts, entry, second | type << 6 | VTD_PASID_ENTRY_P);
}

/* The entry of PASID 0, which stands for requests without one */
static void bind_scalable(QCXLVtd *v, uint64_t entry, const QCXLDomain *dom)
{
    uint64_t ats = qtest_readq(v->qts, BASE + DMAR_ECAP_REG) & VTD_ECAP_DT;
    uint64_t dir = table_below(v, entry, VTD_CONTEXT_ENTRY_P |
                               (ats ? SM_CONTEXT_DTE : 0));

    write_pasid_entry(v, table_below(v, dir, VTD_PASID_ENTRY_P), dom);
}

void qcv_bind(QCXLVtd *v, uint16_t sid, const QCXLDomain *dom)
{
    uint64_t contexts = table_below(v, v->root + (sid >> 8) * 16,
                                    VTD_ROOT_ENTRY_P);
    uint8_t devfn = sid;

    if (qvtd_is_scalable(v->mode)) {
        /* There is another table for the upper half. */
        g_assert_cmpuint(devfn, <, 128);
        bind_scalable(v, contexts + devfn * VTD_CTX_ENTRY_SCALABLE_SIZE, dom);
    } else {
        bind_legacy(v, contexts + devfn * VTD_CTX_ENTRY_LEGACY_SIZE, dom);
    }
}

/* Pages */

static uint64_t table_flags(QCXLVtd *v)
{
    return qvtd_make_leaf_pte(0, v->mode);
}

static uint64_t make_pte(QCXLVtd *v, uint64_t gpa, QCVAccess access)
{
    uint64_t pte = qvtd_make_leaf_pte(gpa, v->mode);

    if (v->mode == QVTD_TM_SCALABLE_FLT) {
        /* Whatever is present there can be read. */
        g_assert_true(access & QCV_READ);
        return access & QCV_WRITE ? pte : pte & ~FS_WRITE;
    }
    return access == QCV_RW ? pte :
           pte & ~(access == QCV_READ ? VTD_SS_W : VTD_SS_R);
}

static unsigned table_index(uint64_t iova, unsigned level)
{
    return iova >> (12 + 9 * (level - 1)) & (TABLE_ENTRIES - 1);
}

/* Where the PTE of a level is */
static uint64_t pte_address(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                            unsigned level)
{
    uint64_t table = dom->top;

    for (unsigned l = TOP_LEVEL; l > level; l--) {
        table = table_below(v, table + table_index(iova, l) * 8,
                            table_flags(v));
    }
    return table + table_index(iova, level) * 8;
}

/* @pte is the first one's; 0 clears. As many at once as a table has */
static void write_ptes(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                       uint64_t pte, uint64_t pages)
{
    while (pages) {
        unsigned n = MIN(pages, TABLE_ENTRIES - table_index(iova, LEAF_LEVEL));
        uint64_t ptes[TABLE_ENTRIES];

        for (unsigned i = 0; i < n; i++) {
            ptes[i] = cpu_to_le64(pte ? pte + i * QCV_PAGE : 0);
        }
        qtest_memwrite(v->qts, pte_address(v, dom, iova, LEAF_LEVEL), ptes,
                       n * 8);
        iova += n * QCV_PAGE;
        pte = pte ? pte + n * QCV_PAGE : 0;
        pages -= n;
    }
}

void qcv_map(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova, uint64_t gpa,
             uint64_t len, QCVAccess access)
{
    g_assert_cmphex((iova | gpa | len) % QCV_PAGE, ==, 0);
    write_ptes(v, dom, iova, make_pte(v, gpa, access), len / QCV_PAGE);
}

void qcv_make_fresh(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova)
{
    uint64_t pte = pte_address(v, dom, iova, LEAF_LEVEL);

    qtest_writeq(v->qts, pte, qtest_readq(v->qts, pte) &
                 ~(VTD_FS_A | VTD_FS_D));
}

void qcv_unmap(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova, uint64_t len)
{
    g_assert_cmphex((iova | len) % QCV_PAGE, ==, 0);
    write_ptes(v, dom, iova, 0, len / QCV_PAGE);
}

uint64_t qcv_pte(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova)
{
    return qtest_readq(v->qts, pte_address(v, dom, iova, LEAF_LEVEL));
}

void qcv_map_large(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                   uint64_t gpa, QCVAccess access)
{
    g_assert_cmphex((iova | gpa) % QCV_LARGE, ==, 0);
    qtest_writeq(v->qts, pte_address(v, dom, iova, LARGE_LEVEL),
                 make_pte(v, gpa, access) | PTE_LARGE);
}

void qcv_limit(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
               QCVAccess access)
{
    uint64_t entry = pte_address(v, dom, iova, LARGE_LEVEL);

    qtest_writeq(v->qts, entry,
                 make_pte(v, table_below(v, entry, table_flags(v)), access));
}

void qcv_unmap_large(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova)
{
    qtest_writeq(v->qts, pte_address(v, dom, iova, LARGE_LEVEL), 0);
}

/* Invalidation */

void qcv_queue(QCXLVtd *v, uint64_t lo, uint64_t hi)
{
    uint64_t addr = v->queue + v->tail * 16;

    qtest_writeq(v->qts, addr, lo);
    qtest_writeq(v->qts, addr + 8, hi);
    v->tail = (v->tail + 1) % QUEUE_ENTRIES;
}

void qcv_queue_iotlb(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                     uint64_t len)
{
    g_assert_true(is_power_of_2(len) && len >= QCV_PAGE);
    qcv_queue(v, VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_PAGE |
                 (uint64_t)dom->id << 16, iova | ctz64(len / QCV_PAGE));
}

void qcv_queue_device(QCXLVtd *v, uint16_t sid, uint64_t iova, uint64_t len)
{
    uint64_t hi = iova;

    if (len == QCV_ALL) {
        hi = QEMU_ALIGN_DOWN(UINT64_MAX, QCV_PAGE) | 1;
    } else if (len > QCV_PAGE) {
        /* The size is where the lowest zero is. */
        g_assert_true(is_power_of_2(len) && !(iova & (len - 1)));
        hi |= (len / 2 - 1) & ~(QCV_PAGE - 1);
        hi |= 1;
    }
    qcv_queue(v, VTD_INV_DESC_DEVICE | (uint64_t)sid << 32, hi);
}

bool qcv_try_sync(QCXLVtd *v)
{
    uint32_t stamp = ++v->stamp;

    qcv_queue(v, VTD_INV_DESC_WAIT | VTD_INV_DESC_WAIT_SW |
                 (uint64_t)stamp << VTD_INV_DESC_WAIT_DATA_SHIFT, v->status);
    qtest_writeq(v->qts, BASE + DMAR_IQT_REG, v->tail << QVTD_IQT_SHIFT);
    /* The emulated one is done when the write of the tail is. */
    return qtest_readl(v->qts, v->status) == stamp;
}

void qcv_sync(QCXLVtd *v)
{
    g_assert_true(qcv_try_sync(v));
    g_assert_cmphex(qtest_readl(v->qts, BASE + DMAR_FSTS_REG) & STOPPED, ==,
                    0);
}

bool qcv_timed_out(QCXLVtd *v)
{
    return qtest_readl(v->qts, BASE + DMAR_FSTS_REG) & VTD_FSTS_ITE;
}

void qcv_go_on(QCXLVtd *v)
{
    qtest_writel(v->qts, BASE + DMAR_FSTS_REG, VTD_FSTS_ITE);
}

static void queue_both(QCXLVtd *v, const QCXLDomain *dom, uint16_t sid,
                       uint64_t iova, uint64_t len)
{
    qcv_queue_iotlb(v, dom, iova, len);
    qcv_queue_device(v, sid, iova, len);
}

void qcv_invalidate(QCXLVtd *v, const QCXLDomain *dom, uint16_t sid,
                    uint64_t iova, uint64_t len)
{
    if (is_power_of_2(len) && !(iova & (len - 1))) {
        queue_both(v, dom, sid, iova, len);
    } else {
        for (uint64_t at = 0; at < len; at += QCV_PAGE) {
            queue_both(v, dom, sid, iova + at, QCV_PAGE);
            if (at / QCV_PAGE % 100 == 99) {
                qcv_sync(v);
            }
        }
    }
    qcv_sync(v);
}

void qcv_forget_all(QCXLVtd *v)
{
    qcv_queue(v, VTD_INV_DESC_CC | VTD_INV_DESC_CC_GLOBAL, 0);
    qcv_queue(v, VTD_INV_DESC_IOTLB | VTD_INV_DESC_IOTLB_GLOBAL, 0);
    qcv_queue(v, VTD_INV_DESC_IEC, 0);
    qcv_sync(v);
}

/* Faults */

bool qcv_fault(QCXLVtd *v, QCVFault *fault)
{
    uint64_t lo = qtest_readq(v->qts, BASE + DMAR_FRCD_REG_0_0);
    uint64_t hi = qtest_readq(v->qts, BASE + DMAR_FRCD_REG_0_2);

    if (!(hi & VTD_FRCD_F)) {
        return false;
    }
    g_assert_true(qtest_readl(v->qts, BASE + DMAR_FSTS_REG) & VTD_FSTS_PPF);
    *fault = (QCVFault) {
        .is_read = hi & VTD_FRCD_T,
        .reason = hi >> 32,
        .sid = hi,
        .addr = lo,
    };
    qtest_writeq(v->qts, BASE + DMAR_FRCD_REG_0_2, VTD_FRCD_F);
    qtest_writel(v->qts, BASE + DMAR_FSTS_REG, FSTS_CLEAR);
    g_assert_cmphex(qtest_readl(v->qts, BASE + DMAR_FSTS_REG), ==, 0);
    return true;
}

/* Interrupts */

void qcv_remap_interrupts(QCXLVtd *v)
{
    qtest_writeq(v->qts, BASE + DMAR_IRTA_REG, v->irt | IRT_SIZE);
    command(v, VTD_GCMD_SIRTP, true);
    command(v, VTD_GCMD_IRE, true);
}

void qcv_set_irte(QCXLVtd *v, unsigned index, uint8_t vector, uint16_t sid)
{
    VTD_IR_TableEntry entry = { };
    uint64_t addr = v->irt + index * sizeof(entry);

    if (vector) {
        /* Edge, fixed, to APIC ID 0, and all of @sid is compared */
        entry.irte.present = 1;
        entry.irte.vector = vector;
        entry.irte.source_id = sid;
        entry.irte.sid_vtype = 1;
    }
    qtest_writeq(v->qts, addr + 8, entry.data[1]);
    qtest_writeq(v->qts, addr, entry.data[0]);
    qcv_queue(v, VTD_INV_DESC_IEC, 0);
    qcv_sync(v);
}

uint64_t qcv_msi_address(unsigned index)
{
    VTD_IR_MSIAddress msi = {
        .addr = {
            .__head = 0xfee,
            .int_mode = VTD_IR_INT_FORMAT_REMAP,
            .index_l = index,
        },
    };

    return msi.data;
}
