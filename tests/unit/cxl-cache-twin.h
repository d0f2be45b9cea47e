/*
 * Two CXL.cache worlds of the same history: one has the fast gear
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever happens, happens in both worlds. What the fast gear does in the
 * first, messages do in the second, line by line. Afterwards the two are
 * compared, to the last counter: a message that was sent too often, a credit
 * that came back too early, a line that has another age are a difference.
 */

#ifndef CXL_CACHE_TWIN_H
#define CXL_CACHE_TWIN_H

#include "hw/cxl/cxl_cache_gear.h"
#include "hw/cxl/cache/internal.h"
#include "cxl-cache-world.h"

typedef enum TwinKind {
    TWIN_READ,
    TWIN_OWN,
    TWIN_WRITE,
    TWIN_PUT,
    TWIN_EVICT,
    TWIN_RECALL,
    TWIN_KINDS
} TwinKind;

/**
 * TwinGear: a call of the fast gear
 * @line: where it starts; of a recall: any line of the page
 * @lines: of a recall: bits of the page
 * @value: of the first line that is written; each has another
 */
typedef struct TwinGear {
    TwinKind kind;
    unsigned dev;
    uint64_t line;
    unsigned n;
    uint64_t lines;
    CXLCacheHostOp op;
    uint64_t value;
} TwinGear;

typedef struct Twin {
    World *w[2];                /* by the gear, by messages */
    uint64_t rng;
    uint64_t seed;              /* for who has to find it again */
    uint64_t step;
    const char *what;           /* happens just now */
    uint64_t done[TWIN_KINDS];  /* lines, by the gear */
    uint64_t none[TWIN_KINDS];  /* calls that did nothing */
    uint64_t beside;            /* lines, beside other devices' messages */
    /* Messages that the gear stood for */
    uint64_t sent[CXL_CACHE_NUM_CHANNELS][CXL_CACHE_D2H_REQ_CODES];
    /* How the second world's request has ended */
    bool ended;
    bool bad;
    CXLCacheLineData data;
    bool has_data;
} Twin;

/* Without log and monitor, which would look at messages; with pages. */
Twin *twin_new(const WorldConfig *cfg);
void twin_free(Twin *t);

G_NORETURN void twin_fail(Twin *t, const char *why);

/* Stop the test where the worlds differ. */
void twin_compare(Twin *t);

/**
 * twin_gear: the gear in one world, messages in the other, and compare
 *
 * Returns: what the gear did.
 */
uint64_t twin_gear(Twin *t, const TwinGear *g);

/* Move messages in both worlds until none can. */
void twin_run(Twin *t);

/* Both worlds return the same number. */
int twin_same(Twin *t, int a, int b);

static inline unsigned twin_below(Twin *t, unsigned n)
{
    return (world_random(&t->rng) >> 32) % n;
}

/* A device's number at its home, or -1 if it is detached */
int twin_number(const World *w, unsigned dev);

#endif /* CXL_CACHE_TWIN_H */
