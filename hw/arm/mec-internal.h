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
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "system/memory.h"
#include "system/ram_view.h"
#include "hw/arm/arm-security.h"

/* The granule of RME, and the size of a TLB entry */
#define MEC_PAGE_BITS 12
#define MEC_PAGE_SIZE (1u << MEC_PAGE_BITS)

/* Attributes of who accesses RAM as it is held, not as devices find it */
#define MEC_AS_HELD ((MemTxAttrs) { .debug = 1 })

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

/*
 * Who accesses memory: his MECID. Where caches remember (mec_cache.c) the
 * physical address space counts as well, and a page is somebody's or nobody's.
 * It is an entry without its state.
 */
typedef uint32_t MECContext;

#define MEC_NOBODY 0
#define MEC_SOMEBODY (1u << 20)
#define MEC_STATE_MASK (3u << 16)
#define MEC_ENTRY_CONTEXT(E) ((MECContext)(E) & ~MEC_STATE_MASK)
#define MEC_CONTEXT_MECID(C) ((uint16_t)(C))
#define MEC_CONTEXT_SPACE(C) ((ARMSecuritySpace)extract32(C, 18, 2))

/* A block of RAM with contexts */
typedef struct MECBank {
    uint64_t first;             /* page */
    uint64_t count;
    MemoryRegion *mr;
    hwaddr offset;              /* into @mr */
    uint8_t *host;
} MECBank;

typedef struct MECBanks MECBanks;
typedef struct MECWriters MECWriters;
typedef struct MECCache MECCache;

/* What the reports keep: this many mismatches, and ways to so many pages */
#define MEC_EVENTS 32
#define MEC_DOORS 64

/* By which VA a CPU's TLB leads to a page that is foreign to its context */
typedef struct MECDoor {
    uint64_t page;
    vaddr va;
    int cpu;
    uint16_t mecid;             /* 0: nothing is known */
} MECDoor;

typedef struct MECEvent {
    uint64_t seq;               /* 0: none */
    bool untimed;               /* its time is still to be noted */
    ArmMecEvent e;
} MECEvent;

/* What a device has met where no lock can be waited for, see mec_dma.c */
typedef struct MECDmaNote {
    uint64_t page;
    uint32_t entry;             /* the page's, then */
    uint16_t mecid;             /* the device's */
    uint16_t offset;            /* into the page */
    uint16_t len;
    bool write;
    const char *who;            /* interned */
} MECDmaNote;

#define MEC_DMA_NOTES 256

/* Rate limit of messages of one kind, and what the last was about */
typedef struct MECLog {
    int64_t since;
    unsigned count;
    uint64_t page;
    uint32_t contexts;
} MECLog;

struct ARMMECState {
    SysBusDevice parent_obj;

    MemoryRegion *memory;
    uint64_t base;
    uint64_t size;
    ArmMecMismatch mismatch;
    ArmMecWriteback writeback;
    uint64_t seed;
    MECCache *cache;            /* NULL: nothing is remembered */
    Error *blocker;

    AddressSpace ram_as;        /* for stores that TCG must see */
    MemoryListener listener;
    GArray *sections;           /* of MECBank, while the map changes */
    bool sections_changed;
    MECBanks *banks;            /* RCU */

    MemoryRegion view;          /* container, at physical addresses */
    MemoryRegion view_io;
    MemoryRegion table_mr;
    uint32_t *table;            /* MEC_ENTRY of each page, little endian */
    void (*rekeyed)(hwaddr pa);

    /*
     * Entries change, and the view works, under this lock. Entries change
     * their owner only in an exclusive section (or with the VM stopped), so
     * that CPUs which run can read it without the lock.
     */
    QemuMutex lock;
    GHashTable *uses;           /* page -> MECUse, see mec_view.c */
    GHashTable *writers;        /* page -> MECWriters */
    QTAILQ_HEAD(, MECWriters) writers_full; /* with bytes, oldest first */
    uint64_t writers_full_count;

    /*
     * Devices, see mec_dma.c. Pages that they have pointers into are counted;
     * @claimed is the one (+ 1) that is about to be held for another context.
     */
    RAMView dma;
    MemoryRegion dma_io;
    uint32_t *pins;
    uint64_t claimed;
    QemuMutex notes_lock;       /* of what follows; nothing is taken inside */
    QEMUBH *notes_bh;
    unsigned notes_count;
    MECDmaNote notes[MEC_DMA_NOTES];

    MECLog log_reads, log_walks, log_dma, log_lines;
    uint64_t event_seq;
    uint64_t event_count;
    MECEvent events[MEC_EVENTS];
    MECDoor doors[MEC_DOORS];
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

/* mec_ram.c */

/**
 * mec_ram_init: find the RAM in the device's range, and follow its changes
 * @s: device with its table of pages
 */
void mec_ram_init(ARMMECState *s);

/**
 * mec_host: a page's RAM, or NULL if there is none with contexts
 * @s: device
 * @page: number of the page
 *
 * For callers with the BQL, or the device's lock, or in an RCU section as a
 * running CPU's thread is.
 */
uint8_t *mec_host(ARMMECState *s, uint64_t page);

/**
 * mec_page_of_ram: which page is at this place of a block?
 * @s: device
 * @rb: the block
 * @offset: into it
 * @page: set to the number of the page
 *
 * Returns false if there are no contexts there. In an RCU section.
 */
bool mec_page_of_ram(ARMMECState *s, const RAMBlock *rb, ram_addr_t offset,
                     uint64_t *page);

/**
 * mec_each_page: call a function for all pages that there are
 * @s: device, lock held
 * @fn: function
 */
void mec_each_page(ARMMECState *s, void (*fn)(ARMMECState *s, uint64_t page));

/* mec.c: entries. The lock is held where one changes. */

/**
 * mec_context: who accesses memory
 * @s: device
 * @space: physical address space of the access
 * @mecid: its MECID
 */
static inline MECContext mec_context(ARMMECState *s, ARMSecuritySpace space,
                                     uint16_t mecid)
{
    return likely(!s->cache) ? mecid
                             : mecid | (uint32_t)space << 18 | MEC_SOMEBODY;
}

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
    return pa >= s->base && pa - s->base < s->size && mec_host(s, *page);
}

/**
 * mec_is_pure_owner: does a page have one context, and is it this one?
 * @s: device
 * @pa: any physical address
 * @context: context
 *
 * What is nearly always so, found out without looking for the page's RAM.
 */
static inline bool mec_is_pure_owner(ARMMECState *s, hwaddr pa,
                                     MECContext context)
{
    return pa >= s->base && pa - s->base < s->size &&
           mec_entry(s, (pa - s->base) >> MEC_PAGE_BITS) ==
           (context | MEC_ENTRY(0, MEC_PURE));
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
 */
bool mec_page_is_zero(ARMMECState *s, uint64_t page);

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
 * mec_convert: what a context sees of bytes that RAM holds
 * @s: device
 * @entry: the page's
 * @pa: physical address, naturally aligned
 * @size: 1, 2, 4 or 8 bytes
 * @mecid: context
 * @data: the bytes as a little endian number
 */
uint64_t mec_convert(ARMMECState *s, uint32_t entry, hwaddr pa, unsigned size,
                     uint16_t mecid, uint64_t data);

/**
 * mec_read_locked: RAM as a context sees it
 * @s: device, lock held
 * @offset: into the range of RAM, naturally aligned
 * @size: 1, 2, 4 or 8 bytes
 * @context: context
 */
uint64_t mec_read_locked(ARMMECState *s, hwaddr offset, unsigned size,
                         MECContext context);

/* mec_cache.c: caches that remember, if @s->cache; the lock is held */

/** mec_cache_init: have caches remember what is modified */
void mec_cache_init(ARMMECState *s);

/** mec_cache_finalize: free what mec_cache_init() needs */
void mec_cache_finalize(ARMMECState *s);

/** mec_cache_reset: caches are empty, and no page is anybody's */
void mec_cache_reset(ARMMECState *s);

/**
 * mec_cache_enter: a CPU's translation is about to bypass the view
 * @s: device, lock not held
 * @page: number of the page
 * @context: the CPU's
 *
 * A page of nobody's becomes @context's, if RAM has it as @context finds it.
 * Returns whether the page is @context's.
 */
bool mec_cache_enter(ARMMECState *s, uint64_t page, MECContext context);

/**
 * mec_cache_read: what a context finds, in a cache or in memory
 * @s: device
 * @offset: into the range of RAM, naturally aligned
 * @size: 1, 2, 4 or 8 bytes
 * @context: context
 */
uint64_t mec_cache_read(ARMMECState *s, hwaddr offset, unsigned size,
                        MECContext context);

/**
 * mec_cache_write: a store, which modifies a line of the context's
 * @s: device
 * @offset: into the range of RAM, naturally aligned
 * @data: a little endian number
 * @size: 1, 2, 4 or 8 bytes
 * @context: context
 */
MemTxResult mec_cache_write(ARMMECState *s, hwaddr offset, uint64_t data,
                            unsigned size, MECContext context);

/** mec_cache_write_by_device: the same, but it goes to memory at once */
MemTxResult mec_cache_write_by_device(ARMMECState *s, hwaddr offset,
                                      uint64_t data, unsigned size,
                                      MECContext context);

/**
 * mec_cache_read_memory: mec_cache_read() of a line, by who may not wait
 * @s: device, lock not held
 * @page: number of the page
 * @line: of the page
 * @context: context
 * @data: gets the line; has what RAM has
 *
 * Returns false if that is for the caller to convert.
 */
bool mec_cache_read_memory(ARMMECState *s, uint64_t page, unsigned line,
                           MECContext context, void *data);

/**
 * mec_cache_write_memory: a device writes a line, by who may not wait
 * @s: device, lock not held
 * @page: number of a page that is somebody's
 * @line: of the page
 * @data: in the plain text of @context
 * @enable: bit i is byte i
 * @context: context
 */
void mec_cache_write_memory(ARMMECState *s, uint64_t page, unsigned line,
                            const void *data, uint64_t enable,
                            MECContext context);

/**
 * mec_cache_switch: hold a page for another context from now on
 * @s: device
 * @page: number of the page
 * @context: context
 *
 * In an exclusive section. What the old one has modified stays in a cache.
 * Translations are the caller's concern.
 */
void mec_cache_switch(ARMMECState *s, uint64_t page, MECContext context);

/**
 * mec_cache_clean: maintenance of a line
 * @s: device
 * @offset: into the range of RAM
 * @space: the physical address space that it is maintained in
 *
 * Returns whether nothing of the page is in a cache any more.
 */
bool mec_cache_clean(ARMMECState *s, hwaddr offset, ARMSecuritySpace space);

/** mec_cache_is_clean: is nothing of a page in a cache? */
bool mec_cache_is_clean(ARMMECState *s, uint64_t page);

/** mec_cache_forget: no cache has anything of a page, which is nobody's */
void mec_cache_forget(ARMMECState *s, uint64_t page);

/** mec_cache_lines: modified lines that contexts have of others' page */
unsigned mec_cache_lines(ARMMECState *s, uint64_t page);

/* mec_dma.c: what devices find, who have context 0 */

/** mec_dma_init: make what devices access, before RAM is looked for */
void mec_dma_init(ARMMECState *s);

/** mec_dma_finalize: free what mec_dma_init() needs */
void mec_dma_finalize(ARMMECState *s);

/** mec_dma_is_plain: do devices find a page of this context as it is held? */
static inline bool mec_dma_is_plain(ARMMECState *s, MECContext owner)
{
    return owner == MEC_NOBODY || owner == mec_context(s, ARMSS_NonSecure, 0);
}

/**
 * mec_dma_claim: may a page that is held for context 0 be held for another?
 * @s: device, lock held
 * @page: number of the page
 *
 * Not while a device has a pointer into it. If so, mec_dma_claimed() is to be
 * called when it is done.
 */
bool mec_dma_claim(ARMMECState *s, uint64_t page);

/** mec_dma_claimed: what mec_dma_claim() was asked for is done */
void mec_dma_claimed(ARMMECState *s);

/**
 * mec_dma_settle: tell of what devices have met up to now
 * @s: device, lock not held
 */
void mec_dma_settle(ARMMECState *s);

/* mec_view.c */

/**
 * mec_store_locked: a store in a context, also one that is not resident
 * @s: device, lock held
 * @offset: into the range of RAM, naturally aligned
 * @data: a little endian number
 * @size: 1, 2, 4 or 8 bytes
 * @context: context
 */
MemTxResult mec_store_locked(ARMMECState *s, hwaddr offset, uint64_t data,
                             unsigned size, MECContext context);

/**
 * mec_note_use: a page is accessed through the view
 * @s: device, lock held
 * @page: number of the page
 * @entry: the page's, before the access
 * @context: context
 * @store: does it store?
 *
 * The first store to a page of another context takes it over. Readers, and
 * stores to a page that contexts share anyway, do so after a while, or it would
 * go to and fro all the time.
 */
void mec_note_use(ARMMECState *s, uint64_t page, uint32_t entry,
                  MECContext context, bool store);

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
 * mec_view_forget: forget who uses a page through the view
 * @s: device, lock held
 * @page: number of the page
 */
void mec_view_forget(ARMMECState *s, uint64_t page);

/**
 * mec_queue_canonical: make a page canonical before the CPU goes on
 * @s: device
 * @page: number of the page
 */
void mec_queue_canonical(ARMMECState *s, uint64_t page);

/* mec_writers.c: the lock is held */

/**
 * mec_writers_store: a context is about to store to RAM, but not as resident
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the store in bytes
 * @mecid: context
 * @bytes: what RAM will hold
 */
void mec_writers_store(ARMMECState *s, hwaddr offset, unsigned size,
                       uint16_t mecid, const uint8_t *bytes);

/**
 * mec_writers_stored: a context has stored to RAM, but not as resident
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the store in bytes
 * @mecid: context
 * @entry: the page's before the store
 */
void mec_writers_stored(ARMMECState *s, hwaddr offset, unsigned size,
                        uint16_t mecid, uint32_t entry);

/**
 * mec_writers_before_rekey: the resident context is about to change
 * @s: device
 * @page: number of the page
 */
void mec_writers_before_rekey(ARMMECState *s, uint64_t page);

/**
 * mec_writers_after_rekey: RAM is that of another resident context
 * @s: device
 * @page: number of the page
 */
void mec_writers_after_rekey(ARMMECState *s, uint64_t page);

/**
 * mec_writers_find: does a context read what it has not written itself?
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the read in bytes
 * @mecid: context of the reader
 * @writer: set to the context that has written the first such byte
 * @was_there: set to whether the reader is known to have written in the page
 *
 * A context that has written nothing is none; 0 stands for nobody, too.
 */
bool mec_writers_find(ARMMECState *s, hwaddr offset, unsigned size,
                      uint16_t mecid, uint16_t *writer, bool *was_there);

/**
 * mec_writers_is_sole: is all that a context has not written zero?
 * @s: device
 * @page: number of a page that RAM holds for context 0
 * @mecid: context
 */
bool mec_writers_is_sole(ARMMECState *s, uint64_t page, uint16_t mecid);

/**
 * mec_writers_drop: a page is its owner's, or nobody's
 * @s: device
 * @page: number of the page
 */
void mec_writers_drop(ARMMECState *s, uint64_t page);

/** mec_writers_reset: no page has more than one writer */
void mec_writers_reset(ARMMECState *s);

/** mec_writers_init: for a device that is new */
void mec_writers_init(ARMMECState *s);

/** mec_writers_finalize: free what mec_writers_init() needs */
void mec_writers_finalize(ARMMECState *s);

/* mec_report.c: the lock is held */

/**
 * mec_report_read: tell of a CPU's read, if it gets what others have written
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the read in bytes
 * @mecid: context of the reader
 * @va: virtual address if known, or NULL
 *
 * Not if the reader's is context 0. Nor if context 0 has written the bytes,
 * unless the reader's own were there.
 */
void mec_report_read(ARMMECState *s, hwaddr offset, unsigned size,
                     uint16_t mecid, const vaddr *va);

/**
 * mec_report_walk: the same of a descriptor, whoever is concerned
 * @s: device
 * @offset: into the range of RAM
 * @size: of the descriptor in bytes
 * @walk: the fetch
 * @update: it is written, too
 */
void mec_report_walk(ARMMECState *s, hwaddr offset, unsigned size,
                     const ARMMECWalk *walk, bool update);

/**
 * mec_report_dma: the same of a device's read
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the read in bytes
 * @mecid: context of the device
 * @who: name of the device; lives for ever
 */
void mec_report_dma(ARMMECState *s, hwaddr offset, unsigned size,
                    uint16_t mecid, const char *who);

/**
 * mec_report_dma_of: the same, of a read that is over
 * @s: device
 * @offset: into the range of RAM, in one page
 * @mecid: context of the device
 * @writer: the other one that has written what was read
 * @who: name of the device; lives for ever
 */
void mec_report_dma_of(ARMMECState *s, hwaddr offset, uint16_t mecid,
                       uint16_t writer, const char *who);

/**
 * mec_report_set_door: remember by which VA the current CPU reaches a page
 * @s: device
 * @page: number of the page
 * @va: virtual address in the page
 * @mecid: context
 */
void mec_report_set_door(ARMMECState *s, uint64_t page, vaddr va,
                         uint16_t mecid);

/**
 * mec_report_read_by_view: mec_report_read() of the current CPU
 * @s: device
 * @offset: into the range of RAM, in one page
 * @size: of the read in bytes
 * @mecid: context of the reader
 */
void mec_report_read_by_view(ARMMECState *s, hwaddr offset, unsigned size,
                             uint16_t mecid);

/**
 * mec_report_return: tell of a line that has come back
 * @s: device
 * @offset: of the line, into the range of RAM
 * @context: whose line it is
 * @owner: who had the page, and finds other bytes now
 */
void mec_report_return(ARMMECState *s, hwaddr offset, MECContext context,
                       MECContext owner);

/** mec_space_name: a physical address space's name */
const char *mec_space_name(ARMSecuritySpace space);

/**
 * mec_report_text: one line about a mismatch, to be freed by the caller
 * @e: the mismatch
 *
 * Not who it was: see mec_report_who().
 */
char *mec_report_text(const ArmMecEvent *e);

/**
 * mec_report_who: "CPU 0" or "device edu0", to be freed by the caller
 * @e: the mismatch
 */
char *mec_report_who(const ArmMecEvent *e);

#endif
