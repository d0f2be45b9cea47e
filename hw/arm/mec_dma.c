/*
 * FEAT_MEC: RAM as devices find it
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices find what context 0 finds: their requests are Non-secure. Pages that
 * are held for context 0 they access like any RAM; of others they are led here
 * (system/ram_view.h). So are table walks of the granule protection table, by
 * their own attributes, and Realm requests of devices, whose context the gate
 * of their address space tells: these never get a pointer, whoever has the
 * page.
 *
 * Two ways lead here. By the memory API, each access is one to an I/O region,
 * under the device's lock. A device with a cache of its own is served by
 * CXL.cache's host, who has locks that a page fault of whoever holds ours may
 * wait for: so there nothing waits for our lock. Bytes are converted by what
 * the page's entry says at the moment, and what is to be told, or remembered,
 * is noted for later.
 *
 * A page that devices have pointers into stays held for context 0: each counts
 * it first and then looks, and re-keying claims it first and then looks at the
 * count, so that at least one of both sees the other.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "hw/core/qdev.h"
#include "monitor/monitor.h"
#include "mec-internal.h"
#include "trace.h"

/* Where pages are */

/* Attributes that say nothing are those of a device, which is Non-secure. */
static MECContext mec_dma_context(ARMMECState *s, MemTxAttrs attrs)
{
    return mec_context(s, attrs.secure || attrs.space ? attrs.space
                                                      : ARMSS_NonSecure,
                       attrs.space == ARMSS_Realm ? attrs.mecid : 0);
}

/* What a gate says of the address space of this thread's access comes first */
static MemTxAttrs mec_dma_attrs(hwaddr pa, MemTxAttrs attrs)
{
    const AddressSpace *as = ram_view_user();

    if (as && !attrs.debug) {
        address_space_gate_allows(as, pa, 1, false, &attrs);
    }
    return attrs;
}

/* Is it for another context that the page is held, or about to be? */
static bool mec_dma_is_foreign(ARMMECState *s, uint64_t page,
                               MECContext context)
{
    MECContext owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));

    return (owner != MEC_NOBODY && owner != context) ||
           qatomic_read(&s->claimed) == page + 1;
}

static bool mec_dma_translate(RAMView *view, const RAMBlock *rb,
                              ram_addr_t offset, MemTxAttrs attrs,
                              hwaddr *addr, hwaddr *len)
{
    ARMMECState *s = container_of(view, ARMMECState, dma);
    hwaddr in_page = offset & (MEC_PAGE_SIZE - 1);
    hwaddr done = MEC_PAGE_SIZE - in_page;
    uint64_t page = 0, next = 0;
    MECContext context;
    bool foreign;

    if (mec_page_of_ram(s, rb, offset, &page)) {
        attrs = mec_dma_attrs(s->base + (page << MEC_PAGE_BITS), attrs);
        if (attrs.space == ARMSS_Realm) {
            *addr = (page << MEC_PAGE_BITS) + in_page;
            *len = MIN(*len, done);
            return true;
        }
    }
    context = mec_dma_context(s, attrs);
    foreign = mec_page_of_ram(s, rb, offset, &page) &&
              mec_dma_is_foreign(s, page, context);
    /* As far as the answer is the same, and the pages are side by side */
    while (done < *len) {
        bool there = mec_page_of_ram(s, rb, offset + done, &next);

        if ((there && mec_dma_is_foreign(s, next, context)) != foreign ||
            (foreign && next != page + ((in_page + done) >> MEC_PAGE_BITS))) {
            break;
        }
        done += MEC_PAGE_SIZE;
    }
    *len = MIN(*len, done);
    if (foreign) {
        *addr = (page << MEC_PAGE_BITS) + in_page;
    }
    return foreign;
}

static void mec_dma_count(ARMMECState *s, const RAMBlock *rb, ram_addr_t offset,
                          hwaddr len, int n)
{
    ram_addr_t at = offset & ~(ram_addr_t)(MEC_PAGE_SIZE - 1);
    uint64_t page;

    for (; at < offset + len; at += MEC_PAGE_SIZE) {
        if (!mec_page_of_ram(s, rb, at, &page)) {
            continue;
        }
        if (n > 0) {
            qatomic_inc(&s->pins[page]);
        } else if (qatomic_read(&s->pins[page])) {
            /* Who unmaps another length than he mapped leaves a page pinned. */
            qatomic_dec(&s->pins[page]);
        }
    }
}

static bool mec_dma_pin(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                        hwaddr len)
{
    ARMMECState *s = container_of(view, ARMMECState, dma);
    hwaddr addr, plain = len;

    mec_dma_count(s, rb, offset, len, 1);
    smp_mb();                   /* see mec_dma_claim() */
    if (!mec_dma_translate(view, rb, offset, MEMTXATTRS_UNSPECIFIED, &addr,
                           &plain) && plain == len) {
        return true;
    }
    mec_dma_count(s, rb, offset, len, -1);
    return false;
}

static void mec_dma_unpin(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                          hwaddr len)
{
    mec_dma_count(container_of(view, ARMMECState, dma), rb, offset, len, -1);
}

bool mec_dma_claim(ARMMECState *s, uint64_t page)
{
    qatomic_set(&s->claimed, page + 1);
    smp_mb();                   /* see mec_dma_pin() */
    if (!qatomic_read(&s->pins[page])) {
        return true;
    }
    qatomic_set(&s->claimed, 0);
    return false;
}

void mec_dma_claimed(ARMMECState *s)
{
    qatomic_store_release(&s->claimed, 0);
}

/* Who it is */

/* The device whose bus master address space it is, by its id or path */
static const char *mec_dma_who(const AddressSpace *as)
{
    g_autofree char *path = NULL;
    Object *owner;

    if (!as) {
        return "unknown";
    }
    owner = as->root ? memory_region_owner(as->root) : NULL;
    if (!owner || !object_dynamic_cast(owner, TYPE_DEVICE)) {
        return g_intern_string(as->name);
    }
    if (DEVICE(owner)->id) {
        return g_intern_string(DEVICE(owner)->id);
    }
    path = object_get_canonical_path(owner);
    return g_intern_string(path);
}

/* Accesses by the memory API */

static MemTxResult mec_dma_io_read(void *opaque, hwaddr offset, uint64_t *data,
                                   unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;

    attrs = mec_dma_attrs(s->base + offset, attrs);
    QEMU_LOCK_GUARD(&s->lock);
    if (!mec_host(s, page)) {
        return MEMTX_DECODE_ERROR;
    }
    *data = mec_read_locked(s, offset, size, mec_dma_context(s, attrs));
    trace_arm_mec_dma(s->base + offset, MEC_ENTRY_OWNER(mec_entry(s, page)),
                      "read");
    /* Who looks by the monitor is no device. */
    if (!monitor_cur()) {
        mec_report_dma(s, offset, size,
                       MEC_CONTEXT_MECID(mec_dma_context(s, attrs)),
                       mec_dma_who(ram_view_user()));
    }
    return MEMTX_OK;
}

static MemTxResult mec_dma_io_write(void *opaque, hwaddr offset, uint64_t data,
                                    unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;
    MECContext context;
    uint32_t entry;

    context = mec_dma_context(s, mec_dma_attrs(s->base + offset, attrs));
    QEMU_LOCK_GUARD(&s->lock);
    if (!mec_host(s, page)) {
        return MEMTX_DECODE_ERROR;
    }
    entry = mec_entry(s, page);
    trace_arm_mec_dma(s->base + offset, MEC_ENTRY_OWNER(entry), "write");
    if (s->cache) {
        return mec_cache_write_by_device(s, offset, data, size, context);
    }
    if (MEC_ENTRY_OWNER(entry) != MEC_CONTEXT_MECID(context)) {
        mec_note_use(s, page, entry, context, true);
    }
    return mec_store_locked(s, offset, data, size, context);
}

static const MemoryRegionOps mec_dma_ops = {
    .read_with_attrs = mec_dma_io_read,
    .write_with_attrs = mec_dma_io_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
};

/* Accesses by who has the bytes already, or will store them by himself */

static void mec_dma_note(ARMMECState *s, uint64_t page, uint32_t entry,
                         uint16_t mecid, ram_addr_t offset, unsigned len,
                         bool write, const char *who)
{
    MECDmaNote *note;

    offset &= MEC_PAGE_SIZE - 1;
    who = who ? g_intern_string(who) : NULL;
    QEMU_LOCK_GUARD(&s->notes_lock);
    note = s->notes_count ? &s->notes[s->notes_count - 1] : NULL;
    if (note && note->page == page && note->entry == entry &&
        note->mecid == mecid && note->write == write && note->who == who &&
        note->offset + note->len == offset) {
        note->len += len;       /* the next line of the same page */
        return;
    }
    if (s->notes_count == MEC_DMA_NOTES) {
        return;                 /* the main loop is far behind */
    }
    s->notes[s->notes_count++] = (MECDmaNote) {
        .page = page,
        .entry = entry,
        .mecid = mecid,
        .offset = offset,
        .len = len,
        .write = write,
        .who = who,
    };
    qemu_bh_schedule(s->notes_bh);
}

static void mec_dma_convert(ARMMECState *s, uint32_t entry, uint16_t mecid,
                            hwaddr pa, uint8_t *buf, unsigned len, bool write)
{
    uint16_t owner = MEC_ENTRY_OWNER(entry);

    for (unsigned i = 0; i < len; i += 8) {
        uint64_t data = ldq_le_p(buf + i);

        stq_le_p(buf + i, write
                          ? data ^ mec_delta(owner, mecid, pa + i, 8)
                          : mec_convert(s, entry, pa + i, 8, mecid, data));
    }
}

/* Does RAM hold a page as this context finds it? */
static bool mec_dma_is_held_for(ARMMECState *s, uint32_t entry,
                                MECContext context)
{
    MECContext owner = MEC_ENTRY_CONTEXT(entry);

    return owner == context ||
           (owner == MEC_NOBODY && !MEC_CONTEXT_MECID(context));
}

static void mec_dma_read(RAMView *view, const RAMBlock *rb, ram_addr_t offset,
                         void *buf, unsigned len, MemTxAttrs attrs,
                         const char *who)
{
    ARMMECState *s = container_of(view, ARMMECState, dma);
    MECContext context = mec_dma_context(s, attrs);
    hwaddr in_page = offset & (MEC_PAGE_SIZE - 1);
    uint64_t page;
    uint32_t entry;
    hwaddr pa;

    if (!mec_page_of_ram(s, rb, offset, &page)) {
        return;
    }
    entry = mec_entry(s, page);
    if (mec_dma_is_held_for(s, entry, context)) {
        return;
    }
    pa = s->base + (page << MEC_PAGE_BITS) + in_page;
    trace_arm_mec_dma(pa, MEC_ENTRY_OWNER(entry), "read");
    if (!s->cache || !mec_cache_read_memory(s, page, in_page / len, context,
                                            buf)) {
        mec_dma_convert(s, entry, MEC_CONTEXT_MECID(context), pa, buf, len,
                        false);
    }
    if (who) {
        mec_dma_note(s, page, entry, MEC_CONTEXT_MECID(context), offset, len,
                     false, who);
    }
}

/* If it is not @mecid's, the page has several writers from now on. */
static uint32_t mec_dma_mix(ARMMECState *s, uint64_t page, uint16_t mecid)
{
    uint32_t old = mec_entry(s, page), entry, was;

    while (true) {
        entry = MEC_ENTRY(MEC_ENTRY_OWNER(old), MEC_MIXED);
        if (MEC_ENTRY_OWNER(old) == mecid || entry == old) {
            return old;
        }
        was = le32_to_cpu(qatomic_cmpxchg(&s->table[page], cpu_to_le32(old),
                                          cpu_to_le32(entry)));
        if (was == old) {
            memory_region_set_dirty(&s->table_mr, page * 4, 4);
            return old;
        }
        old = was;
    }
}

static uint64_t mec_dma_write(RAMView *view, const RAMBlock *rb,
                              ram_addr_t offset, void *buf, unsigned len,
                              uint64_t enable, MemTxAttrs attrs,
                              const char *who)
{
    ARMMECState *s = container_of(view, ARMMECState, dma);
    MECContext context = mec_dma_context(s, attrs);
    uint16_t mecid = MEC_CONTEXT_MECID(context);
    hwaddr in_page = offset & (MEC_PAGE_SIZE - 1);
    unsigned first = enable ? ctz64(enable) : 0;
    unsigned last = enable ? 63 - clz64(enable) : 0;
    uint64_t page;
    uint32_t entry;
    hwaddr pa;

    if (!enable || !mec_page_of_ram(s, rb, offset, &page)) {
        return enable;
    }
    pa = s->base + (page << MEC_PAGE_BITS) + in_page;
    if (s->cache) {
        entry = mec_entry(s, page);
        if (mec_dma_is_held_for(s, entry, context)) {
            return enable;
        }
        trace_arm_mec_dma(pa, MEC_ENTRY_OWNER(entry), "write");
        mec_cache_write_memory(s, page, in_page / len, buf, enable, context);
        return 0;               /* RAM has what the page's context finds */
    }
    entry = mec_dma_mix(s, page, mecid);
    if (MEC_ENTRY_OWNER(entry) == mecid) {
        return enable;
    }
    trace_arm_mec_dma(pa, MEC_ENTRY_OWNER(entry), "write");
    mec_dma_convert(s, entry, mecid, pa, buf, len, true);
    mec_dma_note(s, page, entry, mecid, offset + first, last - first + 1, true,
                 who);
    return enable;
}

/*
 * What was noted. The bytes of a read are those of the page's owner, if it was
 * its only writer then; else who has written them is looked for now.
 */
static void mec_dma_tell(ARMMECState *s, const MECDmaNote *note)
{
    hwaddr offset = (note->page << MEC_PAGE_BITS) + note->offset;

    if (!mec_host(s, note->page)) {
        return;
    }
    if (note->write) {
        mec_note_use(s, note->page, note->entry,
                     mec_context(s, note->mecid ? ARMSS_Realm : ARMSS_NonSecure,
                                 note->mecid), true);
        mec_writers_stored(s, offset, note->len, note->mecid, note->entry);
    } else if (MEC_ENTRY_OWNER(note->entry) &&
               !mec_is_legible(note->entry, note->mecid)) {
        mec_report_dma_of(s, offset, note->mecid, MEC_ENTRY_OWNER(note->entry),
                          note->who);
    } else {
        mec_report_dma(s, offset, note->len, note->mecid, note->who);
    }
}

void mec_dma_settle(ARMMECState *s)
{
    g_autofree MECDmaNote *notes = NULL;
    unsigned count;

    WITH_QEMU_LOCK_GUARD(&s->notes_lock) {
        count = s->notes_count;
        notes = g_memdup2(s->notes, count * sizeof(*notes));
        s->notes_count = 0;
    }
    QEMU_LOCK_GUARD(&s->lock);
    for (unsigned i = 0; i < count; i++) {
        mec_dma_tell(s, &notes[i]);
    }
}

static void mec_dma_bh(void *opaque)
{
    mec_dma_settle(opaque);
}

void mec_dma_init(ARMMECState *s)
{
    s->dma = (RAMView) {
        .io = &s->dma_io,
        .translate = mec_dma_translate,
        .pin = mec_dma_pin,
        .unpin = mec_dma_unpin,
        .read = mec_dma_read,
        .write = mec_dma_write,
    };
    memory_region_init_io(&s->dma_io, OBJECT(s), &mec_dma_ops, s,
                          "arm-mec-dma", s->size);
    s->dma_io.ram_view_io = true;
    memory_region_enable_lockless_io(&s->dma_io);
    s->pins = g_new0(uint32_t, s->size >> MEC_PAGE_BITS);
    qemu_mutex_init(&s->notes_lock);
    s->notes_bh = qemu_bh_new(mec_dma_bh, s);
}

void mec_dma_finalize(ARMMECState *s)
{
    if (s->pins) {
        qemu_bh_delete(s->notes_bh);
        qemu_mutex_destroy(&s->notes_lock);
        g_clear_pointer(&s->pins, g_free);
    }
}
