/*
 * CacheMemRegion: a device's address translation cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CXL.cache speaks host physical addresses, and behind an IOMMU a device may
 * learn them by ATS alone (CXL r3.1 section 3.2.5.13). What it has learned is
 * kept here, until the IOMMU takes it back: then the lines of those pages are
 * written back before the invalidation is complete.
 *
 * Translations are asked for, used and invalidated with the BQL held.
 */

#include "qemu/osdep.h"
#include "qemu/interval-tree.h"
#include "qemu/units.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "system/address-spaces.h"
#include "cache_mem_internal.h"
#include "trace.h"

#define ATC_ENTRIES     1024
#define ATC_PAGE        (4 * KiB)

/* x86: writes to it are interrupts, whatever large page is there */
#define MSI_FIRST       0xfee00000ull
#define MSI_LAST        0xfeefffffull

typedef struct AtcEntry {
    IntervalTreeNode node;      /* of untranslated addresses */
    hwaddr to;                  /* what node.start is translated to */
    bool can_write;
    QTAILQ_ENTRY(AtcEntry) age;
} AtcEntry;

/**
 * CacheMemAtc:
 * @by_age: the least recently used one is the last
 * @listening: the notifier is registered, so entries may be kept
 * @deaf: invalidations are not completed
 * @dropped: counts entries that went
 */
struct CacheMemAtc {
    CacheMemDev *cm;
    PCIDevice *pdev;
    IntervalTreeRoot entries;
    QTAILQ_HEAD(, AtcEntry) by_age;
    IOMMUNotifier notifier;
    bool listening;
    bool deaf;
    uint64_t dropped;
    CacheMemAtcStats stats;
};

static AtcEntry *find_entry(CacheMemAtc *atc, hwaddr first, hwaddr last)
{
    IntervalTreeNode *node = interval_tree_iter_first(&atc->entries, first,
                                                      last);

    return node ? container_of(node, AtcEntry, node) : NULL;
}

static void drop_entry(CacheMemAtc *atc, AtcEntry *e)
{
    interval_tree_remove(&e->node, &atc->entries);
    QTAILQ_REMOVE(&atc->by_age, e, age);
    atc->stats.held--;
    atc->dropped++;
    g_free(e);
}

/* The device gives up the lines of all that the entry is about. */
static void invalidate_entry(CacheMemAtc *atc, AtcEntry *e)
{
    hwaddr to = e->to;
    uint64_t len = e->node.last - e->node.start + 1;

    drop_entry(atc, e);
    cache_mem_dev_flush_range(atc->cm, to, len);
}

static void invalidate(CacheMemAtc *atc, hwaddr first, hwaddr last)
{
    AtcEntry *e;

    while ((e = find_entry(atc, first, last))) {
        invalidate_entry(atc, e);
    }
}

static void notified(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    CacheMemAtc *atc = n->opaque;

    atc->stats.invalidations++;
    trace_cxl_cache_ats_invalidate(atc->cm->name, entry->iova,
                                   entry->addr_mask);
    n->timed_out = atc->deaf;
    if (!atc->deaf && !atc->cm->region->no_invalidate) {
        invalidate(atc, entry->iova, entry->iova + entry->addr_mask);
    }
}

/* Without ATS in the IOMMU there is nobody to hear invalidations from. */
static bool iommu_has_ats(CacheMemAtc *atc)
{
    Object *iommu = object_resolve_path_type("", "x86-iommu", NULL);

    return iommu && object_property_get_bool(iommu, "device-iotlb", NULL);
}

static bool hear_invalidations(CacheMemAtc *atc)
{
    if (!atc->listening && iommu_has_ats(atc) &&
        !pci_iommu_init_iotlb_notifier(atc->pdev, &atc->notifier, notified,
                                       atc)) {
        atc->listening = !pci_iommu_register_iotlb_notifier(atc->pdev,
                                                            PCI_NO_PASID,
                                                            &atc->notifier);
    }
    return atc->listening;
}

/* @page is not there, or the IOMMU would have refused. */
static void leave_interrupts_out(hwaddr *first, hwaddr *last, hwaddr page)
{
    if (*first <= MSI_LAST && *last >= MSI_FIRST) {
        if (page < MSI_FIRST) {
            *last = MSI_FIRST - 1;
        } else {
            *first = MSI_LAST + 1;
        }
    }
}

/* Returns NULL unless it is there as it is, with whatever permission. */
static AtcEntry *same_entry(CacheMemAtc *atc, hwaddr first, hwaddr last,
                            hwaddr to)
{
    AtcEntry *e = find_entry(atc, first, first);

    return e && e->node.start == first && e->node.last == last &&
           e->to == to ? e : NULL;
}

static AtcEntry *add_entry(CacheMemAtc *atc, const IOMMUTLBEntry *tlb,
                           hwaddr page)
{
    hwaddr first = tlb->iova & ~tlb->addr_mask;
    hwaddr last = tlb->iova | tlb->addr_mask;
    hwaddr to = tlb->translated_addr & ~tlb->addr_mask;
    AtcEntry *e;

    leave_interrupts_out(&first, &last, page);
    to += first & tlb->addr_mask;
    e = same_entry(atc, first, last, to);
    if (e) {
        return e;
    }
    /* What is there and different was not taken back as it should be */
    invalidate(atc, first, last);
    if (atc->stats.held == ATC_ENTRIES) {
        /* Its invalidation would find nothing, so its lines go with it */
        invalidate_entry(atc, QTAILQ_LAST(&atc->by_age));
    }
    e = g_new0(AtcEntry, 1);
    e->node.start = first;
    e->node.last = last;
    e->to = to;
    interval_tree_insert(&e->node, &atc->entries);
    QTAILQ_INSERT_HEAD(&atc->by_age, e, age);
    atc->stats.held++;
    return e;
}

static AtcEntry *lookup(CacheMemAtc *atc, hwaddr addr, bool write)
{
    AtcEntry *e = find_entry(atc, addr, addr);

    if (!e || (write && !e->can_write)) {
        return NULL;
    }
    QTAILQ_REMOVE(&atc->by_age, e, age);
    QTAILQ_INSERT_HEAD(&atc->by_age, e, age);
    return e;
}

/* Returns NULL if the IOMMU has no such translation. */
static AtcEntry *request(CacheMemAtc *atc, hwaddr addr, bool write)
{
    hwaddr page = QEMU_ALIGN_DOWN(addr, ATC_PAGE);
    IOMMUTLBEntry tlb;
    uint32_t errors;
    ssize_t n = pci_ats_request_translation(atc->pdev, PCI_NO_PASID, false,
                                            false, page, ATC_PAGE, !write,
                                            &tlb, 1, &errors);
    bool good = n == 1 && !errors && tlb.target_as == &address_space_memory;
    AtcEntry *e;

    trace_cxl_cache_ats_request(atc->cm->name, page, write, n,
                                good ? tlb.translated_addr : 0);
    if (!good) {
        atc->stats.refusals++;
        return NULL;
    }
    e = add_entry(atc, &tlb, page);
    /* Asked with "no write" the IOMMU has not noted the page as written */
    e->can_write |= write;
    return e;
}

static bool translate_piece(CacheMemAtc *atc, hwaddr addr, bool write,
                            size_t *len, hwaddr *to)
{
    AtcEntry *e = lookup(atc, addr, write);

    if (e) {
        atc->stats.hits++;
    } else {
        atc->stats.misses++;
        e = request(atc, addr, write);
    }
    if (!e) {
        return false;
    }
    *to = e->to + (addr - e->node.start);
    *len = MIN(*len, e->node.last - addr + 1);
    return true;
}

/* The host moves what stands together in one go. */
static void add_piece(GArray *to, const CacheMemSeg *piece)
{
    CacheMemSeg *last = to->len ?
                        &g_array_index(to, CacheMemSeg, to->len - 1) : NULL;

    if (last && last->addr + last->len == piece->addr) {
        last->len += piece->len;
    } else {
        g_array_append_val(to, *piece);
    }
}

static bool translate_all(CacheMemAtc *atc, const CacheMemSeg *seg, unsigned n,
                          bool write, GArray *to)
{
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < seg[i].len; ) {
            CacheMemSeg piece = { .len = seg[i].len - at };

            if (!translate_piece(atc, seg[i].addr + at, write, &piece.len,
                                 &piece.addr)) {
                return false;
            }
            add_piece(to, &piece);
            at += piece.len;
        }
    }
    return true;
}

/*
 * An entry that made room for a later one of the same request, or was found
 * wrong by it, would not be there when it is taken back: once more then.
 */
static CacheMemTranslation translate_lasting(CacheMemAtc *atc,
                                             const CacheMemSeg *seg, unsigned n,
                                             bool write, GArray *to)
{
    for (int round = 0; round < 2; round++) {
        uint64_t dropped = atc->dropped;

        g_array_set_size(to, 0);
        if (!translate_all(atc, seg, n, write, to)) {
            return CACHE_MEM_REFUSED;
        }
        if (atc->dropped == dropped) {
            return CACHE_MEM_TRANSLATED;
        }
    }
    /* More pages than there are entries */
    return CACHE_MEM_UNTRANSLATED;
}

CacheMemTranslation cache_mem_translate(CacheMemDev *cm, const CacheMemSeg *seg,
                                        unsigned n, bool write, GArray *to)
{
    CacheMemAtc *atc = cm->atc;

    if (pci_device_iommu_address_space(atc->pdev) == &address_space_memory) {
        g_array_append_vals(to, seg, n);
        return CACHE_MEM_TRANSLATED;
    }
    if (!pcie_ats_enabled(atc->pdev) || !hear_invalidations(atc)) {
        return CACHE_MEM_UNTRANSLATED;
    }
    return translate_lasting(atc, seg, n, write, to);
}

void cache_mem_atc_drop(CacheMemDev *cm)
{
    if (cm->atc) {
        invalidate(cm->atc, 0, UINT64_MAX);
    }
}

void cache_mem_atc_forget(CacheMemAtc *atc)
{
    AtcEntry *e;

    while ((e = find_entry(atc, 0, UINT64_MAX))) {
        drop_entry(atc, e);
    }
}

void cache_mem_atc_set_deaf(CacheMemDev *cm, bool deaf)
{
    if (cm->atc && cm->atc->deaf != deaf) {
        cm->atc->deaf = deaf;
        if (!deaf) {
            cache_mem_atc_drop(cm);
        }
    }
}

const CacheMemAtcStats *cache_mem_atc_stats(const CacheMemAtc *atc)
{
    return &atc->stats;
}

CacheMemAtc *cache_mem_atc_new(CacheMemDev *cm, PCIDevice *pdev)
{
    CacheMemAtc *atc = g_new0(CacheMemAtc, 1);

    atc->cm = cm;
    atc->pdev = pdev;
    QTAILQ_INIT(&atc->by_age);
    return atc;
}

void cache_mem_atc_free(CacheMemAtc *atc)
{
    if (!atc) {
        return;
    }
    if (atc->listening) {
        pci_iommu_unregister_iotlb_notifier(atc->pdev, PCI_NO_PASID,
                                            &atc->notifier);
    }
    cache_mem_atc_forget(atc);
    g_free(atc);
}
