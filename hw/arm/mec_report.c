/*
 * FEAT_MEC: telling a developer of reads under the wrong MECID
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What counts is what the reader gets (mec_writers.c), whatever it looks like.
 * Nothing here changes what memory reads as.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "exec/icount.h"
#include "hw/core/cpu.h"
#include "mec-internal.h"
#include "trace.h"

/* Messages of a kind in a second */
#define MEC_LOG_LIMIT 16

/*
 * The text
 */

const char *mec_space_name(ARMSecuritySpace space)
{
    static const char *const names[] = {
        [ARMSS_Secure] = "Secure",
        [ARMSS_NonSecure] = "Non-secure",
        [ARMSS_Root] = "Root",
        [ARMSS_Realm] = "Realm",
    };

    return names[space];
}

char *mec_report_who(const ArmMecEvent *e)
{
    if (e->access == ARM_MEC_ACCESS_WRITE_BACK) {
        return g_strdup("cache");
    }
    return e->device ? g_strdup_printf("device %s", e->device)
                     : g_strdup_printf("CPU %" PRId64, e->cpu_index);
}

char *mec_report_text(const ArmMecEvent *e)
{
    if (e->access == ARM_MEC_ACCESS_READ || e->access == ARM_MEC_ACCESS_DMA) {
        g_autofree char *va = e->has_va
                              ? g_strdup_printf("VA 0x%" PRIx64 " ", e->va)
                              : g_strdup("");

        return g_strdup_printf("read at %sPA 0x%" PRIx64 " with MECID %u of a "
                               "page written with MECID %u", va, e->addr,
                               e->mecid, e->writer);
    }
    if (e->access == ARM_MEC_ACCESS_WRITE_BACK) {
        return g_strdup_printf("PA 0x%" PRIx64 " of %s MECID %u is destroyed: "
                               "a line of %s MECID %u is written back, for "
                               "which %s was missing when the page changed "
                               "hands", e->addr, e->space, e->mecid,
                               e->writer_space, e->writer, e->missing);
    }
    return g_strdup_printf("walk for %s 0x%" PRIx64 ": level %d descriptor at "
                           "PA 0x%" PRIx64 " %s with MECID %u (%s), written "
                           "with MECID %u", e->has_va ? "VA" : "IPA",
                           e->has_va ? e->va : e->ipa, (int)e->level, e->addr,
                           e->access == ARM_MEC_ACCESS_WALK ? "read"
                                                            : "updated",
                           e->mecid, e->reg, e->writer);
}

/* At most so many times a second, and each pair of contexts of a page once */
static void mec_log(MECLog *log, const ArmMecEvent *e)
{
    uint32_t contexts = (uint32_t)e->writer << 16 | e->mecid;
    uint64_t page = e->addr >> MEC_PAGE_BITS;
    int64_t now = get_clock();

    if (now - log->since > NANOSECONDS_PER_SECOND) {
        log->since = now;
        log->count = 0;
    } else if (log->page == page && log->contexts == contexts) {
        return;
    }
    log->page = page;
    log->contexts = contexts;
    if (log->count < MEC_LOG_LIMIT) {
        g_autofree char *text = mec_report_text(e);
        g_autofree char *who = e->device ? mec_report_who(e) : NULL;

        qemu_log_mask(LOG_GUEST_ERROR, "MEC: %s%s%s\n", who ?: "",
                      who ? ": " : "", text);
    } else if (log->count == MEC_LOG_LIMIT) {
        qemu_log_mask(LOG_GUEST_ERROR, "MEC: more such %s, not shown\n",
                      e->access == ARM_MEC_ACCESS_WRITE_BACK ? "lines"
                                                             : "reads");
    }
    log->count++;
}

/*
 * The last ones
 */

static void mec_event_now(MECEvent *event)
{
    event->e.last = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    if (event->e.times == 1) {
        event->e.first = event->e.last;
    }
    event->untimed = false;
}

static void mec_event_work(CPUState *cs, run_on_cpu_data data)
{
    ARMMECState *s = data.host_ptr;

    QEMU_LOCK_GUARD(&s->lock);
    for (unsigned i = 0; i < MEC_EVENTS; i++) {
        if (s->events[i].untimed) {
            mec_event_now(&s->events[i]);
        }
    }
}

/*
 * Where instructions are counted there is no time inside a block of them. It
 * comes at its end then.
 */
static void mec_event_time(ARMMECState *s, MECEvent *event)
{
    if (!icount_enabled() || !current_cpu || current_cpu->neg.can_do_io) {
        mec_event_now(event);
    } else if (!event->untimed) {
        event->untimed = true;
        async_run_on_cpu(current_cpu, mec_event_work, RUN_ON_CPU_HOST_PTR(s));
    }
}

static bool mec_event_same(const ArmMecEvent *a, const ArmMecEvent *b)
{
    return a->access == b->access && a->mecid == b->mecid &&
           a->writer == b->writer && a->cpu_index == b->cpu_index &&
           a->device == b->device && a->space == b->space &&
           a->writer_space == b->writer_space &&
           a->addr >> MEC_PAGE_BITS == b->addr >> MEC_PAGE_BITS;
}

/* The same again counts with the first; or else the oldest makes room. */
static void mec_event_keep(ARMMECState *s, const ArmMecEvent *e)
{
    MECEvent *event = &s->events[0];
    uint64_t times = 0;

    for (unsigned i = 0; i < MEC_EVENTS; i++) {
        MECEvent *other = &s->events[i];

        if (other->seq && mec_event_same(&other->e, e)) {
            event = other;
            times = other->e.times;
            break;
        }
        if (other->seq < event->seq) {
            event = other;
        }
    }
    s->event_count += e->access != ARM_MEC_ACCESS_WRITE_BACK;
    event->seq = ++s->event_seq;
    if (!times) {
        event->e = *e;
        event->untimed = false;
    }
    event->e.times = times + 1;
    mec_event_time(s, event);
}

static void mec_tell(ARMMECState *s, MECLog *log, ArmMecEvent *e)
{
    if (!e->device && e->access != ARM_MEC_ACCESS_WRITE_BACK) {
        e->has_cpu_index = true;
        e->cpu_index = current_cpu->cpu_index;
    }
    trace_arm_mec_mismatch(ArmMecAccess_str(e->access), e->addr, e->mecid,
                           e->writer);
    mec_log(log, e);
    mec_event_keep(s, e);
}

/*
 * Reads
 */

void mec_report_read(ARMMECState *s, hwaddr offset, unsigned size,
                     uint16_t mecid, const vaddr *va)
{
    ArmMecEvent e = {
        .access = ARM_MEC_ACCESS_READ,
        .addr = s->base + offset,
        .mecid = mecid,
        .has_va = va,
        .va = va ? *va : 0,
    };
    bool was_there;

    if (mecid &&
        mec_writers_find(s, offset, MIN(size, MEC_PAGE_SIZE -
                                        offset % MEC_PAGE_SIZE),
                         mecid, &e.writer, &was_there) &&
        (e.writer || was_there)) {
        mec_tell(s, &s->log_reads, &e);
    }
}

void mec_report_dma_of(ARMMECState *s, hwaddr offset, uint16_t mecid,
                       uint16_t writer, const char *who)
{
    ArmMecEvent e = {
        .access = ARM_MEC_ACCESS_DMA,
        .addr = s->base + offset,
        .mecid = mecid,
        .writer = writer,
        .device = (char *)who,
    };

    mec_tell(s, &s->log_dma, &e);
}

/* Of memory that nobody has written there is nothing to tell. */
void mec_report_dma(ARMMECState *s, hwaddr offset, unsigned size,
                    uint16_t mecid, const char *who)
{
    uint16_t writer;
    bool was_there;

    if (mec_writers_find(s, offset, size, mecid, &writer, &was_there) &&
        (writer || was_there)) {
        mec_report_dma_of(s, offset, mecid, writer, who);
    }
}

/*
 * Lines that come back. Within a space it takes maintenance to the point of
 * encryption, between two to the point of physical aliasing.
 */
void mec_report_return(ARMMECState *s, hwaddr offset, MECContext context,
                       MECContext owner)
{
    static const char *const between[] = {
        [ARMSS_Secure] = "DC CIPAPA of its Secure address",
        [ARMSS_NonSecure] = "DC CIPAPA of its Non-secure address",
        [ARMSS_Root] = "DC CIPAPA of its Root address",
        [ARMSS_Realm] = "DC CIPAPA of its Realm address",
    };
    ARMSecuritySpace from = MEC_CONTEXT_SPACE(context);
    ARMSecuritySpace to = MEC_CONTEXT_SPACE(owner);
    /* Text lives for ever, and is compared by its address. */
    ArmMecEvent e = {
        .access = ARM_MEC_ACCESS_WRITE_BACK,
        .addr = s->base + offset,
        .mecid = MEC_CONTEXT_MECID(owner),
        .writer = MEC_CONTEXT_MECID(context),
        .space = (char *)mec_space_name(to),
        .writer_space = (char *)mec_space_name(from),
        .missing = (char *)(from == to ? "DC CIPAE" : between[from]),
    };

    mec_tell(s, &s->log_lines, &e);
}

static MECDoor *mec_door(ARMMECState *s, uint64_t page)
{
    return &s->doors[(page ^ page >> 9 ^ current_cpu->cpu_index * 7) %
                     MEC_DOORS];
}

void mec_report_set_door(ARMMECState *s, uint64_t page, vaddr va,
                         uint16_t mecid)
{
    *mec_door(s, page) = (MECDoor) {
        .page = page,
        .va = va & ~(vaddr)(MEC_PAGE_SIZE - 1),
        .cpu = current_cpu->cpu_index,
        .mecid = mecid,
    };
}

void mec_report_read_by_view(ARMMECState *s, hwaddr offset, unsigned size,
                             uint16_t mecid)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    MECDoor *door = mec_door(s, page);
    vaddr va = door->va | (offset & (MEC_PAGE_SIZE - 1));
    bool known = door->page == page && door->mecid == mecid &&
                 door->cpu == current_cpu->cpu_index;

    mec_report_read(s, offset, size, mecid, known ? &va : NULL);
}

/*
 * Walks. A developer who has the tables of a realm walked under the wrong
 * MECID will know of no other trace than a fault at some level.
 */
void mec_report_walk(ARMMECState *s, hwaddr offset, unsigned size,
                     const ARMMECWalk *walk, bool update)
{
    ArmMecEvent e = {
        .access = update ? ARM_MEC_ACCESS_UPDATE : ARM_MEC_ACCESS_WALK,
        .addr = s->base + offset,
        .mecid = walk->mecid,
        .has_va = !walk->stage2,
        .va = walk->stage2 ? 0 : walk->address,
        .has_ipa = walk->stage2,
        .ipa = walk->stage2 ? walk->address : 0,
        .has_level = true,
        .level = walk->level,
        .reg = (char *)walk->reg,
    };
    bool was_there;

    if (mec_writers_find(s, offset, size, walk->mecid, &e.writer,
                         &was_there)) {
        mec_tell(s, &s->log_walks, &e);
    }
}
