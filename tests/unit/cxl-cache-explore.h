/*
 * State space search of CXL.cache: what its files share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A World is two devices, their links, a home, memory and what an all-knowing
 * observer has noted down (the Ghost). All of it lies in a few blocks that are
 * copied to save and restore a state.
 *
 *   cxl-cache-explore-world.c   set-up, memory, the steps a world can take
 *   cxl-cache-explore-rules.c   the observer: rules for messages and states
 *   cxl-cache-explore-canon.c   canonical form, saving, restoring
 *   test-cxl-cache-explore.c    the search and its configurations
 *
 * Values. The engine copies data and never looks at them, so a search with
 * unboundedly many values needs three: the line's last write (CUR), anything
 * older (STALE), and what a request not yet in order will write (PEND). Each
 * write makes a value never seen before; after the step the three are renamed
 * back. Data are two cells, one in each half of the line, so that byte enables
 * matter. All other bytes stay zero.
 */

#ifndef TESTS_CXL_CACHE_EXPLORE_H
#define TESTS_CXL_CACHE_EXPLORE_H

#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cache/internal.h"

#define DEVS    2
#define LINES   2
#define HALVES  2
#define MAX_REQS 4
#define MAX_TX  4

/* The lower half's cell is byte 0, the upper half's the last byte. */
#define BE_LOW  0x00000000ffffffffULL

enum { STALE, CUR, PEND, FRESH };

/* Steps that a configuration may switch on, besides messages */
enum {
    MAY_STORE       = 1 << 0,   /* a device stores a whole line */
    MAY_STORE_PART  = 1 << 1,   /* ... its lower half */
    MAY_DROP        = 1 << 2,   /* a device forgets a clean line */
    MAY_HOST_READ   = 1 << 3,
    MAY_HOST_PEEK   = 1 << 4,
    MAY_HOST_WRITE  = 1 << 5,
    MAY_HOST_FLUSH  = 1 << 6,
    MAY_HOST_PART   = 1 << 7,   /* writes of the lower half, and of nothing */
    MAY_LOAD_STORE  = 1 << 8,   /* the host, by itself, where it has access */
    MAY_POISON      = 1 << 9,   /* writes may be poisoned */
    MAY_PART        = 1 << 10,  /* WrInv and WOWrInv of the lower half */
    MAY_REFUSE      = 1 << 11,  /* memory refuses all restrictions */
    MAY_NT          = 1 << 12,  /* cacheable reads may carry the NT hint */
    MAY_PIN         = 1 << 13,  /* memory starts and ends to refuse them */

    MAY_HOST        = MAY_HOST_READ | MAY_HOST_PEEK | MAY_HOST_WRITE |
                      MAY_HOST_FLUSH,
};

/**
 * ExploreConfig: one search
 * @bound: what it leaves out, and why
 * @ops: D2H requests that device n may make, as 1 << opcode
 * @depth: credits of the channels, all alike
 * @hold_credits: devices on whose link a credit's return is a step of its own
 * @decode: what memory says of each line
 * @limit: states; more is a failure, as the search must end
 */
typedef struct ExploreConfig {
    const char *name;
    const char *bound;
    uint32_t ops[DEVS];
    uint32_t may;
    unsigned lines;
    unsigned reqs;
    unsigned cache_lines;
    unsigned cache_ways;
    CXLCacheCleanEvict clean_evict;
    bool snp_data_invalidates;
    CXLCacheHomeConfig home;
    uint16_t depth;
    unsigned hold_credits;
    unsigned decode[LINES];
    uint32_t limit;
} ExploreConfig;

/* The observer's notes. Bytes only: they are part of the state. */

enum {
    REQ_RSP         = 1 << 0,   /* the first response was sent */
    REQ_RSP_SEEN    = 1 << 1,   /* ... and is with the device */
    REQ_RSP2        = 1 << 2,   /* the second: GO of WrInv, ExtCmp */
    REQ_RSP2_SEEN   = 1 << 3,
    REQ_DATA        = 1 << 4,   /* the data were sent, in either direction */
    REQ_DATA_SEEN   = 1 << 5,   /* ... to the device, and are there */
    REQ_WRITTEN     = 1 << 6,   /* the line was written since */
    REQ_SNOOPED     = 1 << 7,   /* an evict's data have become bogus */
    REQ_PULLED      = 1 << 8,   /* the response asked for data */
    REQ_ERR         = 1 << 9,
    REQ_FOLLOWED    = 1 << 10,  /* CacheFlushed: a cacheable request since */
};

typedef struct GhostReq {
    uint16_t flags;
    uint8_t op;                 /* 0: none */
    uint8_t line;
    uint8_t grant;              /* CXLCacheGOState */
    uint8_t part;               /* data are the lower half only */
    uint8_t empty;              /* ... or none */
    uint8_t poison;
    uint8_t internal;           /* a victim's: nobody is told of its end */
} GhostReq;

enum {
    SNP_ANSWERED    = 1 << 0,   /* a response was sent */
    SNP_FWD         = 1 << 1,   /* data belong to it */
    SNP_DATA        = 1 << 2,   /* and were sent */
    SNP_RSP_SEEN    = 1 << 3,   /* the response is with the home */
    SNP_DATA_SEEN   = 1 << 4,
};

typedef struct GhostSnoop {
    uint8_t op;                 /* 0: none */
    uint8_t flags;
    uint8_t uqid;
    uint8_t older;              /* H2D Rsp to the line on the way before it */
} GhostSnoop;

typedef struct GhostPull {
    uint8_t op;                 /* 0: none */
    uint8_t line;
    uint8_t cqid;
    uint8_t sent;
    uint8_t bogus;
    uint8_t part;
    uint8_t empty;
    uint8_t poison;
    uint8_t drop;               /* the home will not use the data */
} GhostPull;

typedef struct GhostDev {
    GhostReq req[MAX_REQS];
    GhostPull pull[MAX_TX];     /* by UQID */
    GhostSnoop snoop[LINES];
    uint8_t dropped;            /* lines forgotten, nobody told */
    uint8_t flushed;            /* CacheFlushed acknowledged, nothing since */
} GhostDev;

enum { HOST_ACTIVE = 1, HOST_WRITTEN = 2, HOST_DONE = 4, HOST_PART = 8,
       HOST_EMPTY = 16, HOST_POISON = 32 };

typedef struct GhostLine {
    uint8_t ram[HALVES];
    uint8_t ram_poison;
    uint8_t poison;             /* of the line's last value */
    uint8_t access;             /* CXLCacheHostAccess */
    uint8_t due;                /* data are with the home, to be written */
    uint8_t due_poison;
    uint8_t host;               /* an access of the host, HOST_* */
    uint8_t host_op;
    uint8_t pinned;             /* it refuses restrictions */
} GhostLine;

enum { DUE_LOW = 1, DUE_HIGH = 2 };

typedef struct Ghost {
    GhostDev dev[DEVS];
    GhostLine line[LINES];
} QEMU_ALIGNED(8) Ghost;

typedef enum StepKind {
    STEP_START,
    STEP_REQUEST,               /* arg: opcode, variant */
    STEP_STORE,                 /* variant */
    STEP_DROP,
    STEP_DEV_RX,                /* arg: channel */
    STEP_HOME_RX,               /* arg: channel */
    STEP_HOME_TX,
    STEP_HOST,                  /* arg: CXLCacheHostOp, variant */
    STEP_HOST_STORE,
    STEP_PIN,
    STEP_CREDIT,                /* arg: channel */
} StepKind;

/* What data a request or a store brings */
enum { VARIANT_FULL, VARIANT_LOW, VARIANT_NONE, VARIANT_POISON, VARIANT_NT,
       NUM_VARIANTS };

typedef struct Step {
    uint8_t kind;
    uint8_t dev:4;
    uint8_t line:4;
    uint8_t arg;
    uint8_t variant;
} Step;

typedef struct World World;

typedef struct WorldDev {
    World *w;
    unsigned nr;
} WorldDev;

typedef struct Block {
    void *live;
    size_t size;
    size_t at;                  /* in the saved image */
} Block;

#define BLOCKS (3 * DEVS + 3)

struct World {
    const ExploreConfig *cfg;
    CXLCacheLink *link[DEVS];
    CXLCacheDev *dev[DEVS];
    CXLCacheHome *home;
    Ghost *g;
    WorldDev ctx[DEVS];

    Block block[BLOCKS];
    size_t size;                /* of all blocks */
    uint8_t *image;             /* canonical state, not packed */
    uint8_t *first;             /* ... of the initial state */

    /* Of the step being taken */
    uint8_t before[DEVS][LINES];        /* states of the lines */
    uint8_t last[LINES][HALVES];        /* value of the last write */
    uint8_t fresh;                      /* next value never seen */
    unsigned sent;                      /* messages */
    uint32_t answered;                  /* a snoop, with 1 << opcode */
    bool running;                       /* the scheduler, unobserved */

    bool log;                   /* print messages: a run is replayed */
    char *broken;               /* the rule that was broken, or NULL */
    uint64_t opcodes[CXL_CACHE_NUM_CHANNELS];   /* opcodes seen, for a report */
    uint32_t cells[CXL_CACHE_SNP_CUR + 1];      /* states snooped, likewise */
    /* Cells of the host's tables, likewise: by row */
    uint32_t home_cells[CXL_CACHE_NUM_HOME_TABLES][CXL_CACHE_NUM_ROWS];
};

/* cxl-cache-explore-world.c */
World *world_new(const ExploreConfig *cfg);
void world_free(World *w);
typedef void StepFunc(void *opaque, const Step *step);
/* All steps that might change something; call @func with each. */
void world_steps(const World *w, StepFunc *func, void *opaque);
/* Take a step. Returns: false if it is not possible; nothing has changed. */
bool world_step(World *w, const Step *step);
/* Run to the end by the standard scheduler. */
void world_run(World *w);
void world_step_str(const Step *step, GString *out);
void world_str(World *w, unsigned line, GString *out);
void G_GNUC_PRINTF(3, 4) world_broken(World *w, const char *rule,
                                      const char *fmt, ...);

void data_set(CXLCacheLineData *data, unsigned line, unsigned low,
              unsigned high);
/* Returns: whether @data are such that data_set() makes, of @line */
bool data_get(const CXLCacheLineData *data, unsigned line, uint8_t value[2]);
bool data_is(const World *w, const CXLCacheLineData *data, unsigned line);

/* cxl-cache-explore-rules.c */
void rules_sent(World *w, unsigned dev, CXLCacheChannelId channel,
                const CXLCacheMsg *msg, const CXLCacheLineData *data);
void rules_received(World *w, unsigned dev, CXLCacheChannelId channel,
                    const CXLCacheMsg *msg);
void rules_snooped(World *w, unsigned dev, unsigned line);
void rules_done(World *w, unsigned dev, const CXLCacheDone *done);
void rules_written(World *w, unsigned line);
/* Forget a victim's evict that has ended. */
void rules_settle(World *w);
bool rules_may_request(const World *w, unsigned dev, unsigned line,
                       unsigned op);
bool rules_must_accept(const World *w, unsigned dev, unsigned line,
                       unsigned op);
void rules_state(World *w);
void rules_quiescent(World *w);

/* cxl-cache-explore-canon.c */
void canon_init(World *w);
/* Bring the world into canonical form, and its image into w->image. */
void canon_save(World *w);
void canon_restore(World *w, const uint8_t *image);
bool canon_same(const World *w, const uint8_t *image);
/* Append what differs from the initial state. */
void canon_pack(const World *w, GByteArray *out);
void canon_unpack(const World *w, const uint8_t *packed, size_t len,
                  uint8_t *image);
/* Calls @func with every 64 bytes of a line that the state has. */
typedef void DataFunc(World *w, CXLCacheLineData *data);
void canon_each_data(World *w, DataFunc *func);
/* Whether the home has the line's last value for memory */
bool canon_home_has(World *w, unsigned line);

#endif /* TESTS_CXL_CACHE_EXPLORE_H */
