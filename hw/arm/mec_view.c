/*
 * FEAT_MEC: RAM as it looks to a context that is not the resident one
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An I/O region that converts each access. It also sees who uses pages in
 * this way, and has them re-keyed.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/core/cpu.h"
#include "system/address-spaces.h"
#include "mec-internal.h"
#include "trace.h"

/*
 * Accesses through the view that make a page change hands without a first
 * store: re-keying costs as much as some dozens of them.
 */
#define MEC_VIEW_THRESHOLD 64

/* A page that is used through the view, and may be re-keyed for it. */
typedef struct MECUse {
    uint64_t page;
    MECContext context;         /* the (last) one that did */
    bool queued;                /* re-keying is under way */
    bool others;                /* another one has stored as well */
    MECPageState before;        /* page state when it began */
    bool stored;                /* @context has */
    unsigned accesses;
} MECUse;

typedef struct MECWork {
    ARMMECState *s;
    uint64_t page;
    MECContext context;
} MECWork;

/* Who has written the page that @use now takes over? */
static MECPageState mec_state_after(ARMMECState *s, MECUse *use,
                                    uint16_t owner)
{
    if (use->others || !use->stored || owner) {
        return MEC_MIXED;
    }
    if (mec_writers_is_sole(s, use->page, MEC_CONTEXT_MECID(use->context))) {
        return MEC_PURE;
    }
    return use->before == MEC_PURE ? MEC_OVER_DEFAULT : MEC_MIXED;
}

static void mec_rekey_and_tell(ARMMECState *s, uint64_t page, uint16_t mecid,
                               MECPageState state)
{
    mec_rekey_page(s, page, mecid, state);
    s->rekeyed(s->base + (page << MEC_PAGE_BITS));
}

static void mec_rekey_work(CPUState *cs, run_on_cpu_data data)
{
    g_autofree MECWork *work = data.host_ptr;
    ARMMECState *s = work->s;
    MECContext owner;
    MECUse *use;

    QEMU_LOCK_GUARD(&s->lock);
    use = g_hash_table_lookup(s->uses, &work->page);
    if (!use || !use->queued || use->context != work->context) {
        /* Maintenance, reset, removal, or another context came first. */
        return;
    }
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, work->page));
    if (mec_dma_is_plain(s, owner) && !mec_dma_is_plain(s, work->context) &&
        !mec_dma_claim(s, work->page)) {
        /* Not yet: a device has a pointer. Nobody but the log can tell. */
        use->queued = false;
        use->accesses = 0;
        use->before = MEC_MIXED;
        return;
    }
    if (owner != work->context && s->cache) {
        mec_cache_switch(s, work->page, work->context);
        s->rekeyed(s->base + (work->page << MEC_PAGE_BITS));
    } else if (owner != work->context) {
        mec_rekey_and_tell(s, work->page, work->context,
                           mec_state_after(s, use, owner));
    }
    mec_dma_claimed(s);
    g_hash_table_remove(s->uses, &work->page);
}

/* Who has written a page that is in no cache any more? */
static MECPageState mec_state_cleaned(ARMMECState *s, uint64_t page)
{
    uint32_t entry = mec_entry(s, page);

    return !MEC_ENTRY_OWNER(entry) && (MEC_ENTRY_STATE(entry) == MEC_PURE ||
                                       mec_page_is_zero(s, page))
           ? MEC_PURE : MEC_SEALED;
}

static void mec_canonical_work(CPUState *cs, run_on_cpu_data data)
{
    g_autofree MECWork *work = data.host_ptr;
    ARMMECState *s = work->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (!mec_host(s, work->page)) {
        return;                 /* it has been taken out of the machine */
    }
    if (s->cache && !mec_cache_is_clean(s, work->page)) {
        return;                 /* a CPU has stored to it in the meantime */
    }
    if (s->cache && mec_entry(s, work->page)) {
        mec_rekey_and_tell(s, work->page, 0, mec_state_cleaned(s, work->page));
        mec_cache_forget(s, work->page);
    } else if (MEC_ENTRY_OWNER(mec_entry(s, work->page))) {
        mec_rekey_and_tell(s, work->page, 0, MEC_SEALED);
    } else if (mec_view_in_use(s, work->page)) {
        mec_set_entry(s, work->page, MEC_ENTRY(0, MEC_SEALED));
    }
    g_hash_table_remove(s->uses, &work->page);
}

static void mec_queue(ARMMECState *s, run_on_cpu_func func, uint64_t page,
                      MECContext context)
{
    MECWork *work = g_new(MECWork, 1);

    *work = (MECWork) { .s = s, .page = page, .context = context };
    async_safe_run_on_cpu(current_cpu ?: first_cpu, func,
                          RUN_ON_CPU_HOST_PTR(work));
}

void mec_queue_canonical(ARMMECState *s, uint64_t page)
{
    mec_queue(s, mec_canonical_work, page, 0);
}

void mec_note_use(ARMMECState *s, uint64_t page, uint32_t entry,
                  MECContext context, bool store)
{
    MECUse *use = g_hash_table_lookup(s->uses, &page);

    if (!use) {
        use = g_new0(MECUse, 1);
        use->page = page;
        use->context = context;
        use->before = MEC_ENTRY_STATE(entry);
        g_hash_table_insert(s->uses, &use->page, use);
    }
    if (use->context != context) {
        use->others |= use->stored || store;
        use->context = context;
        use->queued = false;
        use->accesses = 0;
        use->stored = false;
    }
    use->stored |= store;
    use->accesses++;
    if (!use->queued &&
        (use->accesses >= MEC_VIEW_THRESHOLD ||
         (store && use->before != MEC_MIXED))) {
        use->queued = true;
        mec_queue(s, mec_rekey_work, page, context);
    }
}

/*
 * A debugger's thread goes through the view even where it is the resident
 * context, see arm_mec_debug_attrs(): that is not worth a note, or a trace.
 */
static void mec_trace_view(hwaddr pa, uint32_t entry, MemTxAttrs attrs,
                           const char *rw)
{
    if (MEC_ENTRY_OWNER(entry) != attrs.mecid) {
        trace_arm_mec_view(pa, MEC_ENTRY_OWNER(entry), attrs.mecid, rw);
    }
}

static MECContext mec_attrs_context(ARMMECState *s, MemTxAttrs attrs)
{
    return mec_context(s, attrs.space, attrs.mecid);
}

/* Accesses are naturally aligned, of up to 8 bytes. */
static MemTxResult mec_view_read(void *opaque, hwaddr offset, uint64_t *data,
                                 unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;
    uint32_t entry;

    QEMU_LOCK_GUARD(&s->lock);
    if (!mec_host(s, page)) {
        return MEMTX_DECODE_ERROR;
    }
    entry = mec_entry(s, page);
    mec_trace_view(s->base + offset, entry, attrs, "read");
    *data = mec_read_locked(s, offset, size, mec_attrs_context(s, attrs));
    if (!current_cpu || attrs.debug) {
        return MEMTX_OK;
    }
    mec_report_read_by_view(s, offset, size, attrs.mecid);
    if (mec_is_legible(entry, attrs.mecid) ||
        (s->cache && MEC_CONTEXT_SPACE(entry) != attrs.space)) {
        mec_note_use(s, page, entry, mec_attrs_context(s, attrs), false);
    }
    return MEMTX_OK;
}

MemTxResult mec_store_locked(ARMMECState *s, hwaddr offset, uint64_t data,
                             unsigned size, MECContext context)
{
    uint16_t mecid = MEC_CONTEXT_MECID(context);
    uint64_t page = offset >> MEC_PAGE_BITS;
    hwaddr pa = s->base + offset;
    uint16_t owner = MEC_ENTRY_OWNER(mec_entry(s, page));
    uint8_t buf[8];

    if (s->cache) {
        return mec_cache_write(s, offset, data, size, context);
    }
    stn_le_p(buf, size, data ^ mec_delta(owner, mecid, pa, size));
    mec_writers_store(s, offset, size, mecid, buf);
    if (owner != mecid) {
        mec_set_entry(s, page, MEC_ENTRY(owner, MEC_MIXED));
    }
    return address_space_write(&s->ram_as, pa, MEC_AS_HELD, buf, size);
}

static MemTxResult mec_view_write(void *opaque, hwaddr offset, uint64_t data,
                                  unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;
    uint32_t entry;

    QEMU_LOCK_GUARD(&s->lock);
    if (!mec_host(s, page)) {
        return MEMTX_DECODE_ERROR;
    }
    entry = mec_entry(s, page);
    mec_trace_view(s->base + offset, entry, attrs, "write");
    if (current_cpu && !attrs.debug) {
        mec_note_use(s, page, entry, mec_attrs_context(s, attrs), true);
    }
    return mec_store_locked(s, offset, data, size,
                            mec_attrs_context(s, attrs));
}

static const MemoryRegionOps mec_view_ops = {
    .read_with_attrs = mec_view_read,
    .write_with_attrs = mec_view_write,
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

MemoryRegion *arm_mec_view(ARMMECState *s)
{
    return &s->view;
}

bool mec_view_in_use(ARMMECState *s, uint64_t page)
{
    return g_hash_table_contains(s->uses, &page);
}

void mec_view_forget(ARMMECState *s, uint64_t page)
{
    g_hash_table_remove(s->uses, &page);
}

void mec_view_reset(ARMMECState *s)
{
    g_hash_table_remove_all(s->uses);
}

void mec_view_init(ARMMECState *s)
{
    s->uses = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    memory_region_init(&s->view, OBJECT(s), "arm-mec-view", UINT64_MAX);
    memory_region_init_io(&s->view_io, OBJECT(s), &mec_view_ops, s,
                          "arm-mec-view-ram", s->size);
    /* Devices that reach RAM by the view do not come in here twice. */
    s->view_io.disable_reentrancy_guard = true;
    memory_region_add_subregion(&s->view, s->base, &s->view_io);
}

void mec_view_finalize(ARMMECState *s)
{
    g_clear_pointer(&s->uses, g_hash_table_destroy);
}
