/*
 * FEAT_MEC: which RAM has contexts
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever RAM is mapped in the device's range of physical addresses: main
 * memory, in one block or in one for each NUMA node, and what is plugged in
 * beside it. The table of pages goes by the address and covers all of the
 * range, so that a block which is mapped anew has what it had.
 *
 * CPUs look blocks up while they run, under RCU. Blocks change with the BQL
 * and the device's lock held.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "mec-internal.h"

struct MECBanks {
    struct rcu_head rcu;
    unsigned count;
    MECBank bank[];
};

static const MECBank *mec_bank_in(const MECBanks *banks, uint64_t page)
{
    for (unsigned i = 0; i < banks->count; i++) {
        const MECBank *bank = &banks->bank[i];

        if (page - bank->first < bank->count) {
            return bank;
        }
    }
    return NULL;
}

static uint8_t *mec_host_in(const MECBanks *banks, uint64_t page)
{
    const MECBank *bank = mec_bank_in(banks, page);

    return bank ? bank->host + ((page - bank->first) << MEC_PAGE_BITS) : NULL;
}

uint8_t *mec_host(ARMMECState *s, uint64_t page)
{
    return mec_host_in(qatomic_rcu_read(&s->banks), page);
}

bool mec_page_of_ram(ARMMECState *s, const RAMBlock *rb, ram_addr_t offset,
                     uint64_t *page)
{
    const MECBanks *banks = qatomic_rcu_read(&s->banks);

    for (unsigned i = 0; i < banks->count; i++) {
        const MECBank *bank = &banks->bank[i];
        uint64_t n = (offset - bank->offset) >> MEC_PAGE_BITS;

        if (bank->mr->ram_block == rb && offset >= bank->offset &&
            n < bank->count) {
            *page = bank->first + n;
            return true;
        }
    }
    return false;
}

void mec_each_page(ARMMECState *s, void (*fn)(ARMMECState *s, uint64_t page))
{
    for (unsigned i = 0; i < s->banks->count; i++) {
        const MECBank *bank = &s->banks->bank[i];

        for (uint64_t n = 0; n < bank->count; n++) {
            fn(s, bank->first + n);
        }
    }
}

/* The whole pages of a section that have contexts; false if there are none */
static bool mec_bank_of_section(ARMMECState *s, MemoryRegionSection *section,
                                MECBank *bank)
{
    MemoryRegion *mr = section->mr;
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);
    hwaddr first = MAX(ROUND_UP(start, MEC_PAGE_SIZE), s->base);
    hwaddr last = MIN(ROUND_DOWN(end, MEC_PAGE_SIZE), s->base + s->size);

    if (!memory_region_is_ram(mr) || memory_region_is_ram_device(mr) ||
        mr->readonly || first >= last) {
        return false;
    }
    *bank = (MECBank) {
        .first = (first - s->base) >> MEC_PAGE_BITS,
        .count = (last - first) >> MEC_PAGE_BITS,
        .mr = mr,
        .offset = section->offset_within_region + (first - start),
    };
    bank->host = (uint8_t *)memory_region_get_ram_ptr(mr) + bank->offset;
    return true;
}

/*
 * A page is taken out of the machine. It goes as it would with hardware: as
 * anybody without a key sees it.
 */
static void mec_page_leaves(ARMMECState *s, const MECBank *bank, uint64_t page)
{
    hwaddr at = (page - bank->first) << MEC_PAGE_BITS;
    uint16_t owner = MEC_ENTRY_OWNER(mec_entry(s, page));

    if (owner) {
        mec_delta_page(owner, 0, s->base + (page << MEC_PAGE_BITS),
                       bank->host + at);
        memory_region_set_dirty(bank->mr, bank->offset + at, MEC_PAGE_SIZE);
        mec_set_entry(s, page, MEC_ENTRY(0, MEC_SEALED));
    }
    if (s->cache) {
        mec_set_entry(s, page, mec_entry(s, page) & MEC_STATE_MASK);
        mec_cache_forget(s, page);
    }
    mec_view_forget(s, page);
    mec_writers_drop(s, page);
}

/* Memory that another block left behind says nothing of this one, if new. */
static void mec_page_comes(ARMMECState *s, uint64_t page)
{
    if (mec_entry(s, page) && mec_page_is_zero(s, page)) {
        mec_set_entry(s, page, 0);
    }
}

static void mec_compare_banks(ARMMECState *s, const MECBanks *old,
                              const MECBanks *new, bool leave)
{
    for (unsigned i = 0; i < old->count; i++) {
        const MECBank *bank = &old->bank[i];
        const MECBank *other = mec_bank_in(new, bank->first);

        if (other && other->first == bank->first &&
            other->count == bank->count && other->host == bank->host) {
            continue;
        }
        for (uint64_t n = 0; n < bank->count; n++) {
            if (mec_host_in(new, bank->first + n) ==
                bank->host + (n << MEC_PAGE_BITS)) {
                continue;
            }
            if (leave) {
                mec_page_leaves(s, bank, bank->first + n);
            } else {
                mec_page_comes(s, bank->first + n);
            }
        }
    }
}

static bool mec_banks_have(const MECBanks *banks, const MemoryRegion *mr)
{
    for (unsigned i = 0; i < banks->count; i++) {
        if (banks->bank[i].mr == mr) {
            return true;
        }
    }
    return false;
}

/* Devices are led to RAM by way of mec_dma.c, where it has contexts. */
static void mec_lead_devices(ARMMECState *s, const MECBanks *old,
                             const MECBanks *new)
{
    for (unsigned i = 0; i < new->count; i++) {
        ram_view_set(new->bank[i].mr->ram_block, &s->dma);
    }
    for (unsigned i = 0; i < old->count; i++) {
        if (!mec_banks_have(new, old->bank[i].mr)) {
            ram_view_set(old->bank[i].mr->ram_block, NULL);
        }
    }
}

static void mec_banks_free(MECBanks *banks)
{
    for (unsigned i = 0; i < banks->count; i++) {
        memory_region_unref(banks->bank[i].mr);
    }
    g_free(banks);
}

static MECBanks *mec_banks_new(GArray *sections)
{
    unsigned count = sections ? sections->len : 0;
    MECBanks *banks = g_malloc0(sizeof(*banks) + count * sizeof(MECBank));

    banks->count = count;
    for (unsigned i = 0; i < count; i++) {
        banks->bank[i] = g_array_index(sections, MECBank, i);
        memory_region_ref(banks->bank[i].mr);
    }
    return banks;
}

static void mec_region_add(MemoryListener *listener,
                           MemoryRegionSection *section)
{
    ARMMECState *s = container_of(listener, ARMMECState, listener);
    MECBank bank;

    if (mec_bank_of_section(s, section, &bank)) {
        g_array_append_val(s->sections, bank);
        s->sections_changed = true;
    }
}

static void mec_region_del(MemoryListener *listener,
                           MemoryRegionSection *section)
{
    ARMMECState *s = container_of(listener, ARMMECState, listener);
    MECBank bank;

    if (!mec_bank_of_section(s, section, &bank)) {
        return;
    }
    for (unsigned i = 0; i < s->sections->len; i++) {
        if (g_array_index(s->sections, MECBank, i).first == bank.first) {
            g_array_remove_index_fast(s->sections, i);
            s->sections_changed = true;
            return;
        }
    }
}

/*
 * A section that is split, or joined again, is deleted and added, while CPUs
 * may use it: so only now is it known what comes and what goes.
 */
static void mec_commit(MemoryListener *listener)
{
    ARMMECState *s = container_of(listener, ARMMECState, listener);
    MECBanks *old = s->banks, *new;

    if (!s->sections_changed) {
        return;
    }
    s->sections_changed = false;
    new = mec_banks_new(s->sections);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        mec_compare_banks(s, old, new, true);
        qatomic_rcu_set(&s->banks, new);
        mec_compare_banks(s, new, old, false);
    }
    mec_lead_devices(s, old, new);
    call_rcu(old, mec_banks_free, rcu);
}

void mec_ram_init(ARMMECState *s)
{
    s->sections = g_array_new(false, false, sizeof(MECBank));
    s->banks = mec_banks_new(NULL);
    address_space_init(&s->ram_as, s->memory, "arm-mec-ram");
    s->listener = (MemoryListener) {
        .name = "arm-mec",
        .region_add = mec_region_add,
        .region_del = mec_region_del,
        .commit = mec_commit,
    };
    memory_listener_register(&s->listener, &s->ram_as);
}
