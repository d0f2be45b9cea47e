/*
 * FEAT_MEC: what the files of the memory side share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_ARM_MEC_INTERNAL_H
#define HW_ARM_MEC_INTERNAL_H

#include "hw/arm/mec.h"
#include "hw/core/sysbus.h"
#include "qapi/qapi-types-misc-arm.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "qemu/thread.h"
#include "system/memory.h"

/* The granule of RME, and the size of a TLB entry */
#define MEC_PAGE_BITS 12
#define MEC_PAGE_SIZE (1u << MEC_PAGE_BITS)

/* Cache writeback granule for the bookkeeping: 64 lines a page */
#define MEC_LINE_BITS 6

/*
 * Who has written a page. One that is all zero in context 0 counts as written
 * by nobody: it is RAM that was never used, or has been scrubbed.
 */
typedef enum MECPageState {
    MEC_PURE,           /* the resident context alone */
    MEC_OVER_DEFAULT,   /* the resident context, and context 0 before it */
    MEC_SEALED,         /* made canonical, whoever wrote it before */
    MEC_MIXED,          /* several */
} MECPageState;

/* An entry of the page table, as it stands in (and migrates with) memory */
#define MEC_ENTRY(OWNER, STATE) ((uint32_t)(OWNER) | (uint32_t)(STATE) << 16)
#define MEC_ENTRY_OWNER(E) ((uint16_t)(E))
#define MEC_ENTRY_STATE(E) ((MECPageState)extract32(E, 16, 2))

struct ARMMECState {
    SysBusDevice parent_obj;

    MemoryRegion *ram;
    uint64_t base;
    ArmMecMismatch mismatch;

    uint64_t size;
    uint8_t *host;
    MemoryRegion ram_root;
    MemoryRegion ram_alias;
    AddressSpace ram_as;        /* RAM alone, for stores that TCG must see */
    MemoryRegion view;          /* container, at physical addresses */
    MemoryRegion view_io;
    MemoryRegion table_mr;
    uint32_t *table;            /* MEC_ENTRY of each page, little endian */
    void (*rekeyed)(void);

    /*
     * Entries change, and the view works, under this lock. Entries change
     * their owner only in an exclusive section (or with the VM stopped), so
     * that CPUs which run can read it without the lock.
     */
    QemuMutex lock;
    GHashTable *uses;           /* page -> MECUse, see mec_view.c */

    /* Rate limit of messages, and what the last was about */
    int64_t log_since;
    unsigned log_count;
    uint64_t log_page;
    uint32_t log_contexts;
};

/* mec_keystream.c */

/**
 * mec_delta: from one context's bytes to another's
 * @a: one context
 * @b: the other
 * @pa: physical address, naturally aligned
 * @size: 1, 2, 4 or 8 bytes
 *
 * Returns what to XOR the bytes, as a little endian number, with.
 */
uint64_t mec_delta(uint16_t a, uint16_t b, hwaddr pa, unsigned size);

/**
 * mec_delta_page: from one context's bytes of a page to another's
 * @a: one context
 * @b: the other
 * @pa: physical address of the page
 * @bytes: page, converted in place
 */
void mec_delta_page(uint16_t a, uint16_t b, hwaddr pa, void *bytes);

/* mec.c: entries. The lock is held where one changes. */

static inline uint32_t mec_entry(ARMMECState *s, uint64_t page)
{
    return le32_to_cpu(qatomic_read(&s->table[page]));
}

/**
 * mec_set_entry: change a page's entry
 * @s: device
 * @page: number of the page
 * @entry: MEC_ENTRY
 */
void mec_set_entry(ARMMECState *s, uint64_t page, uint32_t entry);

/* Set @page to the number of the page with @pa, or return false */
static inline bool mec_page_of(ARMMECState *s, hwaddr pa, uint64_t *page)
{
    *page = (pa - s->base) >> MEC_PAGE_BITS;
    return pa >= s->base && pa - s->base < s->size;
}

/**
 * mec_is_legible: may a context have written to a page?
 * @entry: the page's
 * @mecid: context
 */
bool mec_is_legible(uint32_t entry, uint16_t mecid);

/**
 * mec_page_is_zero: does RAM hold nothing but zeroes?
 * @s: device
 * @page: number of the page
 * @lines: bit mask of lines that do not matter
 */
bool mec_page_is_zero(ARMMECState *s, uint64_t page, uint64_t lines);

/**
 * mec_rekey_page: hold a page for another context from now on
 * @s: device, lock held
 * @page: number of the page
 * @mecid: context
 * @state: of the page afterwards
 *
 * In an exclusive section, or with the VM stopped. Translations are the
 * caller's concern.
 */
void mec_rekey_page(ARMMECState *s, uint64_t page, uint16_t mecid,
                    MECPageState state);

/**
 * mec_read_locked: RAM as a context sees it
 * @s: device, lock held
 * @offset: into RAM, naturally aligned
 * @size: 1, 2, 4 or 8 bytes
 * @mecid: context
 */
uint64_t mec_read_locked(ARMMECState *s, hwaddr offset, unsigned size,
                         uint16_t mecid);

/* mec_view.c */

/**
 * mec_view_init: make the view of a device that knows its RAM
 * @s: device
 */
void mec_view_init(ARMMECState *s);

/**
 * mec_view_finalize: free what mec_view_init() needs
 * @s: device
 */
void mec_view_finalize(ARMMECState *s);

/**
 * mec_view_reset: forget who uses pages through the view
 * @s: device, lock held
 */
void mec_view_reset(ARMMECState *s);

/**
 * mec_view_in_use: is a page used through the view?
 * @s: device, lock held
 * @page: number of the page
 */
bool mec_view_in_use(ARMMECState *s, uint64_t page);

/**
 * mec_queue_canonical: make a page canonical before the CPU goes on
 * @s: device
 * @page: number of the page
 */
void mec_queue_canonical(ARMMECState *s, uint64_t page);

#endif
