/*
 * FEAT_MEC: caches of CPUs that remember
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A line that a CPU has modified stays in a cache under the physical address
 * space and the MECID that it was cached with, until it is written back under
 * these (RKMNQX): by maintenance, of whichever context, or when the cache needs
 * room. Another address space does not find it, as the space is a part of the
 * line's name (RFRMJJ): it finds what memory had before. In the same space all
 * MECIDs find it, and get UNKNOWN data.
 *
 * The page's context has its lines in RAM, as ever. What memory behind the
 * caches has is kept beside it, which tells which lines are modified, and so
 * which of them stay behind when the page changes hands. A context that stores
 * to a page before it is held for it has lines as well, and finds them again.
 *
 * Lines that have been read and not modified are not remembered: nobody finds
 * old bytes because he did not invalidate.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "mec-cache.h"
#include "trace.h"

/* Devices', and what RAM has that nobody has written since it was cleaned */
static MECContext mec_nonsecure(ARMMECState *s)
{
    return mec_context(s, ARMSS_NonSecure, 0);
}

static MECHeld *mec_held(MECCache *c, uint64_t page)
{
    return g_hash_table_lookup(c->held, &page);
}

static hwaddr mec_line_offset(uint64_t page, unsigned line)
{
    return (page << MEC_PAGE_BITS) + line * MEC_LINE_SIZE;
}

void mec_line_of_ram(ARMMECState *s, uint64_t page, unsigned line,
                     uint64_t *data)
{
    memcpy(data, mec_host(s, page) + line * MEC_LINE_SIZE, MEC_LINE_SIZE);
}

void mec_line_to_ram(ARMMECState *s, uint64_t page, unsigned line,
                     const uint64_t *data)
{
    address_space_write(&s->ram_as, s->base + mec_line_offset(page, line),
                        MEC_AS_HELD, data, MEC_LINE_SIZE);
}

void mec_line_delta(ARMMECState *s, uint64_t page, unsigned line, uint16_t a,
                    uint16_t b, uint64_t *data)
{
    hwaddr pa = s->base + mec_line_offset(page, line);

    if (a != b) {
        for (unsigned i = 0; i < MEC_LINE_WORDS; i++) {
            data[i] ^= cpu_to_le64(mec_delta(a, b, pa + i * 8, 8));
        }
    }
}

void mec_line_remove(MECCache *c, MECLine *l)
{
    QTAILQ_REMOVE(&l->held->lines[l->line], l, beside);
    QTAILQ_REMOVE(&c->lines, l, next);
    c->count--;
    g_free(l);
}

static MECLine *mec_line_find(MECHeld *h, unsigned line, MECContext context)
{
    MECLine *l;

    QTAILQ_FOREACH(l, &h->lines[line], beside) {
        if (l->context == context) {
            return l;
        }
    }
    return NULL;
}

/* The newest of the same space */
static MECLine *mec_line_find_space(MECHeld *h, unsigned line,
                                    MECContext context)
{
    MECLine *l;

    QTAILQ_FOREACH_REVERSE(l, &h->lines[line], beside) {
        if (MEC_CONTEXT_SPACE(l->context) == MEC_CONTEXT_SPACE(context)) {
            return l;
        }
    }
    return NULL;
}

bool mec_line_is_written(ARMMECState *s, const MECLine *l, const uint64_t *ram,
                         const uint64_t *seen)
{
    MECContext owner = MEC_ENTRY_CONTEXT(mec_entry(s, l->held->page));
    bool same = MEC_CONTEXT_SPACE(owner) == MEC_CONTEXT_SPACE(l->context);

    return memcmp(ram, same ? seen : mec_held_line(l->held, l->line),
                  MEC_LINE_SIZE);
}

static MECLine *mec_line_put(MECCache *c, MECHeld *h, unsigned line,
                             MECContext context, const uint64_t *data)
{
    MECLine *l = mec_line_find(h, line, context);

    if (!l) {
        l = g_new0(MECLine, 1);
        l->held = h;
        l->context = context;
        l->line = line;
        QTAILQ_INSERT_TAIL(&h->lines[line], l, beside);
        QTAILQ_INSERT_TAIL(&c->lines, l, next);
        c->count++;
    }
    memcpy(l->data, data, MEC_LINE_SIZE);
    l->over = false;
    return l;
}

/* A page of nobody's becomes somebody's, who finds RAM as it is. */
static void mec_cache_hold(ARMMECState *s, uint64_t page, MECContext context)
{
    MECHeld *h = g_new0(MECHeld, 1);

    h->page = page;
    for (unsigned i = 0; i < MEC_LINES; i++) {
        QTAILQ_INIT(&h->lines[i]);
    }
    memcpy(h->memory, mec_host(s, page), MEC_PAGE_SIZE);
    WITH_QEMU_LOCK_GUARD(&s->cache->lock) {
        g_hash_table_insert(s->cache->held, &h->page, h);
    }
    mec_set_entry(s, page, context | (mec_entry(s, page) & MEC_STATE_MASK));
}

bool mec_cache_enter(ARMMECState *s, uint64_t page, MECContext context)
{
    MECContext owner;

    QEMU_LOCK_GUARD(&s->lock);
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    if (owner != MEC_NOBODY || MEC_CONTEXT_MECID(context)) {
        return owner == context;
    }
    if (context != mec_nonsecure(s) && !mec_dma_claim(s, page)) {
        return false;           /* a device has a pointer */
    }
    mec_cache_hold(s, page, context);
    mec_dma_claimed(s);
    return true;
}

/*
 * What a context finds in a line, in @data, with the cache's lock held. False:
 * it is what RAM has, in the plain text of the page's context.
 */
static bool mec_cache_find(ARMMECState *s, MECHeld *h, unsigned line,
                           MECContext owner, MECContext context, uint64_t *data)
{
    MECLine *l = mec_line_find(h, line, context);

    if (!l && MEC_CONTEXT_SPACE(owner) == MEC_CONTEXT_SPACE(context)) {
        return false;
    }
    l = l ?: mec_line_find_space(h, line, context);
    memcpy(data, l ? l->data : mec_held_line(h, line), MEC_LINE_SIZE);
    mec_line_delta(s, h->page, line,
                   MEC_CONTEXT_MECID(l ? l->context : owner),
                   MEC_CONTEXT_MECID(context), data);
    return true;
}

uint64_t mec_cache_read(ARMMECState *s, hwaddr offset, unsigned size,
                        MECContext context)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned at = offset & (MEC_PAGE_SIZE - 1), line = at / MEC_LINE_SIZE;
    uint64_t found[MEC_LINE_WORDS];
    uint64_t data = ldn_le_p(mec_host(s, page) + at, size);
    uint32_t entry;

    barrier();
    entry = mec_entry(s, page);
    if (MEC_ENTRY_CONTEXT(entry) == context) {
        return data;
    }
    if (MEC_ENTRY_CONTEXT(entry) != MEC_NOBODY) {
        QEMU_LOCK_GUARD(&s->cache->lock);
        if (mec_cache_find(s, mec_held(s->cache, page), line,
                           MEC_ENTRY_CONTEXT(entry), context, found)) {
            return ldn_le_p((uint8_t *)found + at % MEC_LINE_SIZE, size);
        }
    }
    return mec_convert(s, entry, s->base + offset, size,
                       MEC_CONTEXT_MECID(context), data);
}

MemTxResult mec_cache_write(ARMMECState *s, hwaddr offset, uint64_t data,
                            unsigned size, MECContext context)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned line = (offset & (MEC_PAGE_SIZE - 1)) / MEC_LINE_SIZE;
    uint64_t ram[MEC_LINE_WORDS];
    MECContext owner;
    uint8_t bytes[8];
    MECHeld *h;

    if (MEC_ENTRY_CONTEXT(mec_entry(s, page)) == MEC_NOBODY) {
        mec_cache_hold(s, page, mec_nonsecure(s));
    }
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    if (owner == context) {
        stn_le_p(bytes, size, data);
        return address_space_write(&s->ram_as, s->base + offset, MEC_AS_HELD,
                                   bytes, size);
    }
    mec_line_of_ram(s, page, line, ram);
    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    if (!mec_cache_find(s, h, line, owner, context, ram)) {
        mec_line_delta(s, page, line, MEC_CONTEXT_MECID(owner),
                       MEC_CONTEXT_MECID(context), ram);
    }
    stn_le_p((uint8_t *)ram + offset % MEC_LINE_SIZE, size, data);
    mec_line_put(s->cache, h, line, context, ram);
    return MEMTX_OK;
}

/* @enable has a bit for each byte of the line. */
static void mec_cache_patch(uint64_t *line, const uint64_t *data,
                            uint64_t enable)
{
    for (unsigned i = 0; i < MEC_LINE_SIZE; i++) {
        if (enable & (1ull << i)) {
            ((uint8_t *)line)[i] = ((const uint8_t *)data)[i];
        }
    }
}

/* Memory gets other bytes: what comes back after that does harm. */
static void mec_cache_memory_written(MECHeld *h, unsigned line)
{
    MECLine *l;

    QTAILQ_FOREACH(l, &h->lines[line], beside) {
        l->over = true;
    }
}

void mec_cache_write_memory(ARMMECState *s, uint64_t page, unsigned line,
                            const void *data, uint64_t enable,
                            MECContext context)
{
    uint64_t held[MEC_LINE_WORDS];
    MECContext owner;
    MECHeld *h;
    MECLine *l;

    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    if (!h) {
        return;                 /* it has just become nobody's */
    }
    l = mec_line_find(h, line, context);
    if (l) {
        mec_cache_patch(l->data, data, enable);
    }
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    memcpy(held, data, MEC_LINE_SIZE);
    mec_line_delta(s, page, line, MEC_CONTEXT_MECID(context),
                   MEC_CONTEXT_MECID(owner), held);
    mec_cache_patch(mec_held_line(h, line), held, enable);
    mec_cache_memory_written(h, line);
    h->written |= 1ull << line;
}

MemTxResult mec_cache_write_by_device(ARMMECState *s, hwaddr offset,
                                      uint64_t data, unsigned size,
                                      MECContext context)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned line = (offset & (MEC_PAGE_SIZE - 1)) / MEC_LINE_SIZE;
    unsigned at = offset % MEC_LINE_SIZE;
    uint64_t ram[MEC_LINE_WORDS], buf[MEC_LINE_WORDS];
    MECContext owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    bool modified = true;
    MECHeld *h;

    if (owner == context || owner == MEC_NOBODY) {
        return mec_cache_write(s, offset, data, size, context);
    }
    mec_line_of_ram(s, page, line, ram);
    stn_le_p((uint8_t *)buf + at, size, data);
    WITH_QEMU_LOCK_GUARD(&s->cache->lock) {
        h = mec_held(s->cache, page);
        modified = memcmp(ram, mec_held_line(h, line), MEC_LINE_SIZE);
    }
    mec_cache_write_memory(s, page, line, buf, MAKE_64BIT_MASK(at, size),
                           context);
    if (!modified) {
        WITH_QEMU_LOCK_GUARD(&s->cache->lock) {
            memcpy(ram, mec_held_line(h, line), MEC_LINE_SIZE);
        }
        mec_line_to_ram(s, page, line, ram);
    }
    return MEMTX_OK;
}

bool mec_cache_read_memory(ARMMECState *s, uint64_t page, unsigned line,
                           MECContext context, void *data)
{
    MECHeld *h;

    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    return h && mec_cache_find(s, h, line,
                               MEC_ENTRY_CONTEXT(mec_entry(s, page)), context,
                               data);
}

/* A page is about to be @context's: who is known to have written it then? */
static MECPageState mec_state_after(uint32_t entry, MECContext context,
                                    bool zero)
{
    if (MEC_ENTRY_OWNER(entry) || MEC_ENTRY_STATE(entry) != MEC_PURE) {
        return MEC_MIXED;
    }
    return zero || !MEC_CONTEXT_MECID(context) ? MEC_PURE : MEC_OVER_DEFAULT;
}

void mec_cache_switch(ARMMECState *s, uint64_t page, MECContext context)
{
    uint64_t ram[MEC_PAGE_SIZE / 8];
    hwaddr pa = s->base + (page << MEC_PAGE_BITS);
    MECPageState state;
    MECContext owner;
    uint32_t entry;
    MECHeld *h;

    if (MEC_ENTRY_CONTEXT(mec_entry(s, page)) == MEC_NOBODY) {
        mec_cache_hold(s, page, mec_nonsecure(s));
    }
    entry = mec_entry(s, page);
    owner = MEC_ENTRY_CONTEXT(entry);
    memcpy(ram, mec_host(s, page), MEC_PAGE_SIZE);
    state = mec_state_after(entry, context, buffer_is_zero(ram, sizeof(ram)));
    WITH_QEMU_LOCK_GUARD(&s->cache->lock) {
        h = mec_held(s->cache, page);
        for (unsigned line = 0; line < MEC_LINES; line++) {
            uint64_t *data = ram + line * MEC_LINE_WORDS;
            uint64_t was[MEC_LINE_WORDS];
            MECLine *own = mec_line_find(h, line, context);

            memcpy(was, data, MEC_LINE_SIZE);
            if (!mec_cache_find(s, h, line, owner, context, data)) {
                mec_line_delta(s, page, line, MEC_CONTEXT_MECID(owner),
                               MEC_CONTEXT_MECID(context), data);
            }
            if (own) {
                mec_line_remove(s->cache, own);
            }
            if (memcmp(was, mec_held_line(h, line), MEC_LINE_SIZE)) {
                mec_line_put(s->cache, h, line, owner, was)->over =
                    h->written & (1ull << line);
            }
        }
        h->written = 0;
        mec_delta_page(MEC_CONTEXT_MECID(owner), MEC_CONTEXT_MECID(context),
                       pa, h->memory);
        mec_set_entry(s, page, context | MEC_ENTRY(0, state));
    }
    address_space_write(&s->ram_as, pa, MEC_AS_HELD, ram, MEC_PAGE_SIZE);
    mec_writers_drop(s, page);
    mec_writeback_added(s);
    trace_arm_mec_rekey(pa, MEC_CONTEXT_MECID(owner),
                        MEC_CONTEXT_MECID(context));
}

bool mec_cache_is_clean(ARMMECState *s, uint64_t page)
{
    uint64_t ram[MEC_PAGE_SIZE / 8];
    MECHeld *h;

    memcpy(ram, mec_host(s, page), MEC_PAGE_SIZE);
    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    if (!h) {
        return true;
    }
    for (unsigned line = 0; line < MEC_LINES; line++) {
        if (!QTAILQ_EMPTY(&h->lines[line])) {
            return false;
        }
    }
    return !memcmp(ram, h->memory, MEC_PAGE_SIZE);
}

/* The page's own line is written back. */
static void mec_cache_clean_own(ARMMECState *s, uint64_t page, unsigned line)
{
    uint64_t ram[MEC_LINE_WORDS], *memory;
    MECHeld *h;

    mec_line_of_ram(s, page, line, ram);
    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    memory = mec_held_line(h, line);
    h->written &= ~(1ull << line);
    if (memcmp(memory, ram, MEC_LINE_SIZE)) {
        memcpy(memory, ram, MEC_LINE_SIZE);
        mec_cache_memory_written(h, line);
    }
}

bool mec_cache_clean(ARMMECState *s, hwaddr offset, ARMSecuritySpace space)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned line = (offset & (MEC_PAGE_SIZE - 1)) / MEC_LINE_SIZE;
    MECContext owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    /* Which of two copies comes last is not said: the one that does harm. */
    bool last = s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL;
    MECLine *l, *next;
    MECHeld *h = mec_held(s->cache, page);
    bool own;

    if (!h) {
        return true;
    }
    own = MEC_CONTEXT_SPACE(owner) == space;
    if (own && last) {
        mec_cache_clean_own(s, page, line);
    }
    QTAILQ_FOREACH_SAFE(l, &h->lines[line], beside, next) {
        if (MEC_CONTEXT_SPACE(l->context) == space) {
            mec_writeback_return(s, l, last);
        }
    }
    if (own && !last) {
        mec_cache_clean_own(s, page, line);
    }
    return mec_cache_is_clean(s, page);
}

void mec_cache_forget(ARMMECState *s, uint64_t page)
{
    MECHeld *h;

    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    if (h) {
        for (unsigned line = 0; line < MEC_LINES; line++) {
            MECLine *l, *next;

            QTAILQ_FOREACH_SAFE(l, &h->lines[line], beside, next) {
                mec_line_remove(s->cache, l);
            }
        }
        g_hash_table_remove(s->cache->held, &page);
    }
}

unsigned mec_cache_lines(ARMMECState *s, uint64_t page)
{
    unsigned n = 0;
    MECHeld *h;
    MECLine *l;

    QEMU_LOCK_GUARD(&s->cache->lock);
    h = mec_held(s->cache, page);
    for (unsigned line = 0; h && line < MEC_LINES; line++) {
        QTAILQ_FOREACH(l, &h->lines[line], beside) {
            n++;
        }
    }
    return n;
}

static void mec_cache_drop_all(MECCache *c)
{
    MECLine *l;

    QEMU_LOCK_GUARD(&c->lock);
    while ((l = QTAILQ_FIRST(&c->lines))) {
        mec_line_remove(c, l);
    }
    g_hash_table_remove_all(c->held);
}

void mec_cache_reset(ARMMECState *s)
{
    mec_cache_drop_all(s->cache);
    mec_writeback_reset(s);
}

void mec_cache_init(ARMMECState *s)
{
    MECCache *c = g_new0(MECCache, 1);

    qemu_mutex_init(&c->lock);
    c->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    QTAILQ_INIT(&c->lines);
    s->cache = c;
    mec_writeback_init(s);
}

void mec_cache_finalize(ARMMECState *s)
{
    mec_writeback_finalize(s);
    mec_cache_drop_all(s->cache);
    g_hash_table_destroy(s->cache->held);
    qemu_mutex_destroy(&s->cache->lock);
    g_clear_pointer(&s->cache, g_free);
}
