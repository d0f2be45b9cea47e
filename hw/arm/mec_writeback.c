/*
 * FEAT_MEC: when lines that caches remember come back to memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Without maintenance: with mec-writeback=lazy when there are so many that the
 * oldest have to go, as in a cache that is seldom full. With adversarial soon
 * after the page's new context has written the line, by which its data are
 * destroyed. How soon, and which of several, follows from the seed and from
 * QEMU_CLOCK_VIRTUAL, so that it is the same again with -icount.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/timer.h"
#include "mec-cache.h"
#include "trace.h"

/* The wait for the next look at what can be done, in ns: from, and up to */
#define MEC_WAIT_MIN 20000
#define MEC_WAIT_RANGE 200000

/* xorshift64 */
static uint64_t mec_random(MECCache *c)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return c->random;
}

void mec_writeback_return(ARMMECState *s, MECLine *l, bool last)
{
    uint64_t page = l->held->page;
    unsigned line = l->line;
    MECContext context = l->context;
    MECContext owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    uint64_t ram[MEC_LINE_WORDS], data[MEC_LINE_WORDS];
    hwaddr offset = (page << MEC_PAGE_BITS) + line * MEC_LINE_SIZE;
    bool modified, over = l->over;

    mec_line_of_ram(s, page, line, ram);
    WITH_QEMU_LOCK_GUARD(&s->cache->lock) {
        uint64_t *memory = mec_held_line(l->held, line);

        memcpy(data, l->data, MEC_LINE_SIZE);
        mec_line_delta(s, page, line, MEC_CONTEXT_MECID(context),
                       MEC_CONTEXT_MECID(owner), data);
        modified = mec_line_is_written(s, l, ram, data);
        memcpy(memory, data, MEC_LINE_SIZE);
        mec_line_remove(s->cache, l);
    }
    trace_arm_mec_return(s->base + offset, MEC_CONTEXT_SPACE(context),
                         MEC_CONTEXT_MECID(context), MEC_CONTEXT_SPACE(owner),
                         MEC_CONTEXT_MECID(owner));
    if (modified && !last) {
        return;                 /* the page's context writes over it later */
    }
    if (memcmp(ram, data, MEC_LINE_SIZE)) {
        mec_line_to_ram(s, page, line, data);
        if (modified || over) {
            s->cache->returned++;
            mec_report_return(s, offset, context, owner);
        }
    }
}

/* Has somebody written there after it, whose data would be lost? */
static bool mec_writeback_does_harm(ARMMECState *s, MECLine *l)
{
    uint64_t page = l->held->page;
    uint64_t ram[MEC_LINE_WORDS], data[MEC_LINE_WORDS];

    mec_line_of_ram(s, page, l->line, ram);
    QEMU_LOCK_GUARD(&s->cache->lock);
    memcpy(data, l->data, MEC_LINE_SIZE);
    mec_line_delta(s, page, l->line, MEC_CONTEXT_MECID(l->context),
                   MEC_ENTRY_OWNER(mec_entry(s, page)), data);
    return (l->over || mec_line_is_written(s, l, ram, data)) &&
           memcmp(ram, data, MEC_LINE_SIZE);
}

static void mec_writeback_wait(ARMMECState *s)
{
    if (s->cache->count && !timer_pending(s->cache->timer)) {
        timer_mod(s->cache->timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) +
                  MEC_WAIT_MIN + mec_random(s->cache) % MEC_WAIT_RANGE);
    }
}

static void mec_writeback_look(void *opaque)
{
    ARMMECState *s = opaque;
    MECLine *l, *next;

    QEMU_LOCK_GUARD(&s->lock);
    QTAILQ_FOREACH_SAFE(l, &s->cache->lines, next, next) {
        if (mec_writeback_does_harm(s, l) && (mec_random(s->cache) & 1)) {
            mec_writeback_return(s, l, true);
        }
    }
    mec_writeback_wait(s);
}

void mec_writeback_added(ARMMECState *s)
{
    while (s->cache->count > MEC_LINES_MAX) {
        mec_writeback_return(s, QTAILQ_FIRST(&s->cache->lines), false);
    }
    if (s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL) {
        mec_writeback_wait(s);
    }
}

void mec_writeback_reset(ARMMECState *s)
{
    timer_del(s->cache->timer);
    /* Not 0, which xorshift would stay at */
    s->cache->random = s->seed * 0x9e3779b97f4a7c15ull | 1;
}

void mec_writeback_init(ARMMECState *s)
{
    s->cache->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, mec_writeback_look, s);
    mec_writeback_reset(s);
}

void mec_writeback_finalize(ARMMECState *s)
{
    timer_free(s->cache->timer);
}
