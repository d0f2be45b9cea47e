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
#include "cache_mem_ats.h"
#include "trace.h"

#define ATS_ENTRIES     1024
#define ATS_PAGE        (4 * KiB)

/**
 * AtsEntry: a translation
 * @node: of untranslated addresses
 * @to: what node.start is translated to
 * @perm: IOMMU_RO, IOMMU_WO or both: what was asked for and granted
 */
typedef struct AtsEntry {
    IntervalTreeNode node;
    hwaddr to;
    IOMMUAccessFlags perm;
    QTAILQ_ENTRY(AtsEntry) age;
} AtsEntry;

/**
 * CacheMemAts:
 * @name: how people know the device
 * @give_up: what is done about a range whose translation goes
 * @by_age: the least recently used one is the last
 * @listening: the notifier is registered, so entries may be kept
 * @dropped: counts entries that went
 */
struct CacheMemAts {
    PCIDevice *pdev;
    const char *name;
    CacheMemAtsGiveUp *give_up;
    void *opaque;
    IntervalTreeRoot entries;
    QTAILQ_HEAD(, AtsEntry) by_age;
    IOMMUNotifier notifier;
    bool listening;
    CacheMemAtsFault fault;
    uint64_t dropped;
    CacheMemAtsStats stats;
};

static AtsEntry *find_entry(CacheMemAts *ats, hwaddr first, hwaddr last)
{
    IntervalTreeNode *node = interval_tree_iter_first(&ats->entries, first,
                                                      last);

    return node ? container_of(node, AtsEntry, node) : NULL;
}

static void drop_entry(CacheMemAts *ats, AtsEntry *e)
{
    interval_tree_remove(&e->node, &ats->entries);
    QTAILQ_REMOVE(&ats->by_age, e, age);
    ats->stats.held--;
    ats->dropped++;
    g_free(e);
}

/* The device gives up the lines of all that the entry is about. */
static void invalidate_entry(CacheMemAts *ats, AtsEntry *e)
{
    hwaddr to = e->to;
    uint64_t len = e->node.last - e->node.start + 1;

    drop_entry(ats, e);
    ats->give_up(ats->opaque, to, len);
}

static void invalidate(CacheMemAts *ats, hwaddr first, hwaddr last)
{
    AtsEntry *e;

    while ((e = find_entry(ats, first, last))) {
        invalidate_entry(ats, e);
    }
}

static void notified(IOMMUNotifier *n, IOMMUTLBEntry *entry)
{
    CacheMemAts *ats = n->opaque;

    ats->stats.invalidations++;
    trace_cxl_cache_ats_invalidate(ats->name, entry->iova, entry->addr_mask);
    n->timed_out = ats->fault == CACHE_MEM_ATS_UNRESPONSIVE;
    if (ats->fault == CACHE_MEM_ATS_WORKS) {
        invalidate(ats, entry->iova, entry->iova + entry->addr_mask);
    }
}

static ssize_t ask_iommu(CacheMemAts *ats, hwaddr page, bool write,
                         IOMMUTLBEntry *tlb, uint32_t *errors)
{
    return pci_ats_request_translation(ats->pdev, PCI_NO_PASID, false, false,
                                       page, ATS_PAGE, !write, tlb, 1, errors);
}

CacheMemAtsIommu cache_mem_ats_iommu(PCIDevice *pdev)
{
    PCIBus *iommu, *bus;
    uint32_t errors;
    int devfn;

    pci_device_get_iommu_bus_devfn(pdev, &iommu, &bus, &devfn);
    if (!iommu) {
        return CACHE_MEM_ATS_NO_IOMMU;
    }
    /* To be told nothing is enough, and needs nothing of the device */
    return iommu->iommu_ops->ats_request_translation &&
           !iommu->iommu_ops->ats_request_translation(bus, iommu->iommu_opaque,
                                                      devfn, PCI_NO_PASID,
                                                      false, false, 0, 0, true,
                                                      NULL, 0, &errors) ?
           CACHE_MEM_ATS_IOMMU_HAS : CACHE_MEM_ATS_IOMMU_HAS_NOT;
}

/* An IOMMU without ATS tells of no invalidation. */
static bool hear_invalidations(CacheMemAts *ats)
{
    if (!ats->listening &&
        cache_mem_ats_iommu(ats->pdev) == CACHE_MEM_ATS_IOMMU_HAS &&
        !pci_iommu_init_iotlb_notifier(ats->pdev, &ats->notifier, notified,
                                       ats)) {
        ats->listening = !pci_iommu_register_iotlb_notifier(ats->pdev,
                                                            PCI_NO_PASID,
                                                            &ats->notifier);
    }
    return ats->listening;
}

/*
 * A translation may be of more than is memory: what stands before the IOMMU in
 * the device's address space, such as interrupts, is not for it to translate.
 */
static void clip_to_memory(CacheMemAts *ats, hwaddr *first, hwaddr *last,
                           hwaddr page)
{
    AddressSpace *as = pci_device_iommu_address_space(ats->pdev);
    hwaddr at = *first;

    while (at <= *last) {
        MemoryRegionSection s = memory_region_find(as->root, at,
                                                   *last - at + 1);
        hwaddr start = s.offset_within_address_space;
        hwaddr end = start + int128_get64(s.size) - 1;

        if (!s.mr) {
            return;
        }
        memory_region_unref(s.mr);
        if (page >= start && page <= end) {
            *first = start;
            *last = end;
            return;
        }
        if (end == UINT64_MAX) {
            return;
        }
        at = end + 1;
    }
}

/* Returns NULL unless it is there as it is, with whatever permission. */
static AtsEntry *same_entry(CacheMemAts *ats, hwaddr first, hwaddr last,
                            hwaddr to)
{
    AtsEntry *e = find_entry(ats, first, first);

    return e && e->node.start == first && e->node.last == last &&
           e->to == to ? e : NULL;
}

static AtsEntry *add_entry(CacheMemAts *ats, const IOMMUTLBEntry *tlb,
                           hwaddr page)
{
    hwaddr first = tlb->iova & ~tlb->addr_mask;
    hwaddr last = tlb->iova | tlb->addr_mask;
    hwaddr to = tlb->translated_addr & ~tlb->addr_mask;
    AtsEntry *e;

    clip_to_memory(ats, &first, &last, page);
    to += first & tlb->addr_mask;
    e = same_entry(ats, first, last, to);
    if (e) {
        return e;
    }
    /* What is there and different was not taken back as it should be */
    invalidate(ats, first, last);
    if (ats->stats.held == ATS_ENTRIES) {
        /* Its invalidation would find nothing, so its lines go with it */
        invalidate_entry(ats, QTAILQ_LAST(&ats->by_age));
    }
    e = g_new0(AtsEntry, 1);
    e->node.start = first;
    e->node.last = last;
    e->to = to;
    interval_tree_insert(&e->node, &ats->entries);
    QTAILQ_INSERT_HEAD(&ats->by_age, e, age);
    ats->stats.held++;
    return e;
}

static bool permits(IOMMUAccessFlags perm, bool write)
{
    return perm & (write ? IOMMU_WO : IOMMU_RO);
}

static AtsEntry *lookup(CacheMemAts *ats, hwaddr addr, bool write)
{
    AtsEntry *e = find_entry(ats, addr, addr);

    if (!e || !permits(e->perm, write)) {
        return NULL;
    }
    QTAILQ_REMOVE(&ats->by_age, e, age);
    QTAILQ_INSERT_HEAD(&ats->by_age, e, age);
    return e;
}

/* Memory, and of all that was asked for */
static bool is_translation(const IOMMUTLBEntry *tlb, hwaddr page)
{
    hwaddr first = tlb->iova & ~tlb->addr_mask;

    return tlb->target_as == &address_space_memory && page >= first &&
           page - first <= tlb->addr_mask &&
           ATS_PAGE - 1 <= tlb->addr_mask - (page - first);
}

/*
 * An answer may grant less than was asked for (PCIe r5.0 section 10.2.3): a
 * page that can only be read, only be written, or neither.
 *
 * What is granted is kept. "Neither" is not: nobody would say when that ends.
 */
static void keep_granted(CacheMemAts *ats, const IOMMUTLBEntry *tlb,
                         hwaddr page, bool write)
{
    IOMMUAccessFlags perm = tlb->perm & IOMMU_RW;
    AtsEntry *e;

    if (!write) {
        /* Asked with "no write" the IOMMU has not noted the page as written */
        perm &= IOMMU_RO;
    }
    if (!perm) {
        return;
    }
    e = add_entry(ats, tlb, page);
    /* Who reads is not told about writing, who writes is told about both. */
    e->perm = write ? perm : e->perm | perm;
}

/* Returns NULL if the IOMMU does not permit it. */
static AtsEntry *request(CacheMemAts *ats, hwaddr addr, bool write)
{
    hwaddr page = QEMU_ALIGN_DOWN(addr, ATS_PAGE);
    IOMMUTLBEntry tlb;
    uint32_t errors;
    ssize_t n = ask_iommu(ats, page, write, &tlb, &errors);
    bool good = n == 1 && !errors && is_translation(&tlb, page);
    AtsEntry *e = NULL;

    trace_cxl_cache_ats_request(ats->name, page, write, n,
                                good ? tlb.translated_addr : 0,
                                good ? tlb.perm & IOMMU_RW : IOMMU_NONE);
    if (good) {
        keep_granted(ats, &tlb, page, write);
        e = lookup(ats, addr, write);
    }
    ats->stats.refusals += !e;
    return e;
}

static bool translate_piece(CacheMemAts *ats, hwaddr addr, bool write,
                            size_t *len, hwaddr *to)
{
    AtsEntry *e = lookup(ats, addr, write);

    if (e) {
        ats->stats.hits++;
    } else {
        ats->stats.misses++;
        e = request(ats, addr, write);
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

static bool translate_all(CacheMemAts *ats, const CacheMemSeg *seg, unsigned n,
                          bool write, GArray *to)
{
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < seg[i].len; ) {
            CacheMemSeg piece = { .len = seg[i].len - at };

            if (!translate_piece(ats, seg[i].addr + at, write, &piece.len,
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
static CacheMemTranslation translate_lasting(CacheMemAts *ats,
                                             const CacheMemSeg *seg, unsigned n,
                                             bool write, GArray *to)
{
    for (int round = 0; round < 2; round++) {
        uint64_t dropped = ats->dropped;

        g_array_set_size(to, 0);
        if (!translate_all(ats, seg, n, write, to)) {
            return CACHE_MEM_REFUSED;
        }
        if (ats->dropped == dropped) {
            return CACHE_MEM_TRANSLATED;
        }
    }
    /* More pages than there are entries */
    return CACHE_MEM_UNTRANSLATED;
}

CacheMemTranslation cache_mem_ats_translate(CacheMemAts *ats,
                                            const CacheMemSeg *seg, unsigned n,
                                            bool write, GArray *to)
{
    if (pci_device_iommu_address_space(ats->pdev) == &address_space_memory) {
        g_array_append_vals(to, seg, n);
        return CACHE_MEM_TRANSLATED;
    }
    if (!pcie_ats_enabled(ats->pdev) || !n ||
        !hear_invalidations(ats)) {
        return CACHE_MEM_UNTRANSLATED;
    }
    return translate_lasting(ats, seg, n, write, to);
}

uint64_t cache_mem_ats_gone(const CacheMemAts *ats)
{
    return ats->dropped;
}

void cache_mem_ats_invalidate_all(CacheMemAts *ats)
{
    invalidate(ats, 0, UINT64_MAX);
}

void cache_mem_ats_forget(CacheMemAts *ats)
{
    AtsEntry *e;

    while ((e = find_entry(ats, 0, UINT64_MAX))) {
        drop_entry(ats, e);
    }
}

void cache_mem_ats_set_fault(CacheMemAts *ats, CacheMemAtsFault fault)
{
    if (ats->fault == CACHE_MEM_ATS_UNRESPONSIVE && fault != ats->fault) {
        cache_mem_ats_invalidate_all(ats);
    }
    ats->fault = fault;
}

CacheMemAtsFault cache_mem_ats_fault(const CacheMemAts *ats)
{
    return ats->fault;
}

const CacheMemAtsStats *cache_mem_ats_stats(const CacheMemAts *ats)
{
    return &ats->stats;
}

CacheMemAts *cache_mem_ats_new(PCIDevice *pdev, const char *name,
                               CacheMemAtsGiveUp *give_up, void *opaque)
{
    CacheMemAts *ats = g_new0(CacheMemAts, 1);

    ats->pdev = pdev;
    ats->name = name;
    ats->give_up = give_up;
    ats->opaque = opaque;
    QTAILQ_INIT(&ats->by_age);
    return ats;
}

void cache_mem_ats_free(CacheMemAts *ats)
{
    if (!ats) {
        return;
    }
    if (ats->listening) {
        pci_iommu_unregister_iotlb_notifier(ats->pdev, PCI_NO_PASID,
                                            &ats->notifier);
    }
    cache_mem_ats_forget(ats);
    g_free(ats);
}
