/*
 * FEAT_MEC: lines of RAM in the caches of CPUs, for who keeps and returns them
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_ARM_MEC_CACHE_H
#define HW_ARM_MEC_CACHE_H

#include "mec-internal.h"

#define MEC_LINE_SIZE 64
#define MEC_LINE_WORDS (MEC_LINE_SIZE / 8)
#define MEC_LINES (MEC_PAGE_SIZE / MEC_LINE_SIZE)

/* Lines of contexts that do not have their pages any more: 1 MiB of them */
#define MEC_LINES_MAX 16384

typedef struct MECHeld MECHeld;

/*
 * A modified line that a context has in a cache while its page is held for
 * another: @data is the line in @context's plain text.
 */
typedef struct MECLine {
    MECHeld *held;
    MECContext context;
    unsigned line;              /* of the page */
    bool over;                  /* others have written memory there since */
    uint64_t data[MEC_LINE_WORDS];
    QTAILQ_ENTRY(MECLine) beside;   /* in the same place, oldest first */
    QTAILQ_ENTRY(MECLine) next;     /* of all, oldest first */
} MECLine;

/*
 * A page that is somebody's. RAM has his lines as he finds them, and so those
 * that he has modified: where RAM is not what memory has.
 */
struct MECHeld {
    uint64_t page;
    uint64_t memory[MEC_PAGE_SIZE / 8]; /* in the plain text of its context */
    uint64_t written;           /* lines that devices have, behind its back */
    QTAILQ_HEAD(, MECLine) lines[MEC_LINES];
};

struct MECCache {
    /*
     * Of what follows. Who holds it does not touch RAM: a page fault may wait
     * for somebody who waits for this lock (see mec_dma.c). Lines come and go
     * with the device's lock held as well.
     */
    QemuMutex lock;
    GHashTable *held;           /* page -> MECHeld */
    QTAILQ_HEAD(, MECLine) lines;
    unsigned count;

    QEMUTimer *timer;           /* of the device's lock, as what follows */
    uint64_t random;
    uint64_t returned;          /* lines that changed what others have */
};

/* mec_cache.c */

static inline uint64_t *mec_held_line(MECHeld *h, unsigned line)
{
    return h->memory + line * MEC_LINE_WORDS;
}

/**
 * mec_line_of_ram: copy a line that RAM holds, with the cache's lock not held
 * @s: device
 * @page: number of the page
 * @line: of the page
 * @data: gets it
 */
void mec_line_of_ram(ARMMECState *s, uint64_t page, unsigned line,
                     uint64_t *data);

/**
 * mec_line_to_ram: and store one
 * @s: device, its lock held and the cache's not
 */
void mec_line_to_ram(ARMMECState *s, uint64_t page, unsigned line,
                     const uint64_t *data);

/**
 * mec_line_delta: from one context's bytes of a line to another's
 * @a: MECID of the one
 * @b: and of the other
 * @data: converted in place
 */
void mec_line_delta(ARMMECState *s, uint64_t page, unsigned line, uint16_t a,
                    uint16_t b, uint64_t *data);

/**
 * mec_line_remove: a line is in no cache any more
 * @c: cache, lock held
 * @l: line, freed
 */
void mec_line_remove(MECCache *c, MECLine *l);

/**
 * mec_line_is_written: has a page's context stored to a line?
 * @s: device, the cache's lock held
 * @l: another context's modified line in the same place
 * @ram: what RAM has there, read before
 * @seen: @l as the page's context finds it
 *
 * In the same space it found @l there, in another one what memory has.
 */
bool mec_line_is_written(ARMMECState *s, const MECLine *l, const uint64_t *ram,
                         const uint64_t *seen);

/* mec_writeback.c: with the device's lock held, and the cache's not */

/**
 * mec_writeback_return: a line is written back to memory
 * @s: device
 * @l: line, freed
 * @last: it comes after whatever the page's context has written there
 *
 * It is told of if that destroys what somebody has written after it.
 */
void mec_writeback_return(ARMMECState *s, MECLine *l, bool last);

/**
 * mec_writeback_added: there are more lines that can be written back
 * @s: device
 *
 * Not by a CPU that executes: it looks at the clock.
 */
void mec_writeback_added(ARMMECState *s);

/** mec_writeback_init: for a device whose caches remember */
void mec_writeback_init(ARMMECState *s);

/** mec_writeback_reset: begin again, with no lines and the same seed */
void mec_writeback_reset(ARMMECState *s);

/** mec_writeback_finalize: free what mec_writeback_init() needs */
void mec_writeback_finalize(ARMMECState *s);

#endif
