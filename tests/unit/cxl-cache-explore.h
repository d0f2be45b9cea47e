/*
 * State space search of CXL.cache: what its files share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A World is one to three devices, their links, a home, memory and what an
 * all-knowing observer has noted down (the Ghost). All of it lies in a few
 * blocks that are copied to save and restore a state.
 *
 *   cxl-cache-explore-world.c    set-up, and a world as text
 *   cxl-cache-explore-memory.c   memory, the host, who is told
 *   cxl-cache-explore-choices.c  the steps a world might take
 *   cxl-cache-explore-steps.c    ... and what they do
 *   cxl-cache-explore-rules.h    the observer, in files of its own
 *   cxl-cache-explore-canon.c    canonical form, saving, restoring
 *   cxl-cache-explore-gear.c     the fast gear beside it
 *   cxl-cache-explore-configs.c  the configurations
 *   test-cxl-cache-explore.c     the search
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
#include "hw/cxl/cxl_cache_gear.h"
#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cache/internal.h"

#define DEVS    3
#define LINES   3
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
    MAY_LOAD        = 1 << 14,  /* a device reads a line that it has */
    MAY_FLUSH       = 1 << 15,  /* a device flushes its cache */
    MAY_VIRAL       = 1 << 16,  /* ... becomes viral */
    MAY_DISABLE     = 1 << 17,  /* its caching is disabled, or enabled */
    MAY_DIE         = 1 << 18,  /* it is isolated, reset, and as new */
    MAY_RESET       = 1 << 19,  /* home and devices are reset */
    MAY_POISON_PART = 1 << 20,  /* partial writes may be poisoned */
    MAY_HOST_POISON = 1 << 21,  /* so may the host's, of all and of half */
    MAY_ROUTE       = 1 << 22,  /* its Cache ID goes, another one comes */

    MAY_HOST        = MAY_HOST_READ | MAY_HOST_PEEK | MAY_HOST_WRITE |
                      MAY_HOST_FLUSH,
};

/**
 * ExploreConfig: one search
 * @group: what stands before the name in its path; NULL for "small/", "large/"
 * @bound: what it leaves out, and why
 * @devs: devices, 0 for the usual 2
 * @ops: D2H requests that device n may make, as 1 << opcode
 * @fates: devices that MAY_FLUSH, _VIRAL, _DISABLE, _DIE and _ROUTE are about
 * @depth: credits of the channels, all alike
 * @hold_credits: devices on whose link a credit's return is a step of its own
 * @decode: what memory says of each line
 * @limit: states; more is a failure, as the search must end
 */
typedef struct ExploreConfig {
    const char *name;
    const char *group;
    const char *bound;
    unsigned devs;
    uint32_t ops[DEVS];
    uint32_t may;
    unsigned fates;
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
    uint8_t told;               /* ... since the last flush began */
    uint8_t viral;
    uint8_t disabled;
    uint8_t unrouted;           /* no Cache ID leads to it */
    uint8_t nt;                 /* lines brought in with the NT hint */
    uint8_t order[LINES];       /* line + 1, the last used first; 0: none */
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
    uint8_t used;               /* granted since the filter last forgot */
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
    STEP_LOAD,
    STEP_DROP,
    STEP_FLUSH,
    STEP_VIRAL,
    STEP_DISABLE,
    STEP_DIE,
    STEP_ROUTE,
    STEP_RESET,
    STEP_DEV_RX,                /* arg: channel */
    STEP_HOME_RX,               /* arg: channel */
    STEP_HOME_TX,
    STEP_DEV_TX,
    STEP_HOST,                  /* arg: CXLCacheHostOp, variant */
    STEP_HOST_STORE,
    STEP_PIN,
    STEP_CREDIT,                /* arg: channel */
} StepKind;

/* What data a request or a store brings */
enum { VARIANT_FULL, VARIANT_LOW, VARIANT_NONE, VARIANT_POISON, VARIANT_NT,
       VARIANT_POISON_LOW, NUM_VARIANTS };

typedef struct Step {
    uint8_t kind;
    uint8_t dev:4;
    uint8_t line:4;
    uint8_t arg;
    uint8_t variant;
} Step;

/* Calls of the fast gear */
typedef enum GearKind {
    GEAR_READ,
    GEAR_OWN,
    GEAR_WRITE,
    GEAR_PUT,
    GEAR_EVICT,
    GEAR_RECALL,
    NUM_GEAR_KINDS
} GearKind;

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

#define DEV_BLOCKS 3
#define BLOCKS (DEV_BLOCKS * DEVS + 3)

struct World {
    const ExploreConfig *cfg;
    unsigned devs;
    CXLCacheLink *link[DEVS];
    CXLCacheDev *dev[DEVS];
    CXLCacheHome *home;
    Ghost *g;
    WorldDev ctx[DEVS];

    Block block[BLOCKS];
    unsigned num_blocks;
    size_t size;                /* of all blocks */
    uint8_t *image;             /* canonical state, not packed */
    uint8_t *first;             /* ... of the initial state */

    /* Of the step being taken */
    uint8_t before[DEVS][LINES];        /* states of the lines */
    uint8_t last[LINES][HALVES];        /* value of the last write */
    uint8_t fresh;                      /* next value never seen */
    unsigned sent;                      /* messages */
    uint32_t answered;                  /* a snoop, with 1 << opcode */
    uint8_t tracked;                    /* lines that the filter had before */
    uint8_t busy;                       /* ... with a transaction */
    uint8_t back_inv;                   /* ... that is a back-invalidation */
    uint8_t may_lose;                   /* lines that may be poisoned */
    uint8_t lost;                       /* ... that were */
    bool dying;
    bool running;                       /* the scheduler, unobserved */

    /* Of a call of the fast gear, and of the messages that it stands for */
    CXLCacheLineData page[CXL_CACHE_PAGE_LINES];
    uint8_t *gear_from, *gear_to;
    CXLCacheLineData gear_data;
    bool gear_ended;
    bool gear_bad;
    uint64_t gear_done[NUM_GEAR_KINDS]; /* calls that did something */

    bool log;                   /* print messages: a run is replayed */
    char *broken;               /* the rule that was broken, or NULL */
    uint64_t opcodes[CXL_CACHE_NUM_CHANNELS];   /* opcodes seen, for a report */
    uint32_t cells[CXL_CACHE_SNP_CUR + 1];      /* states snooped, likewise */
    /* Cells of the host's tables, likewise: by row */
    uint32_t home_cells[CXL_CACHE_NUM_HOME_TABLES][CXL_CACHE_NUM_ROWS];
};

/* cxl-cache-explore-choices.c */
typedef void StepFunc(void *opaque, const Step *step);
/* All steps that might change something; call @func with each. */
void world_steps(const World *w, StepFunc *func, void *opaque);

/* cxl-cache-explore-steps.c */
/* Take a step. Returns: false if it is not possible; nothing has changed. */
bool world_step(World *w, const Step *step);
/* Run to the end by the standard scheduler. */
void world_run(World *w);
/* A value that never was */
uint8_t world_fresh(World *w);

/* cxl-cache-explore-memory.c */
extern const CXLCacheHomeOps world_home_ops;
extern const CXLCacheDevOps world_dev_ops;
extern const char *const world_access_names[];
/* CXLCacheTrace and CXLCacheCellSeen, of a WorldDev and a World */
void world_sent(void *opaque, CXLCacheChannelId channel,
                const CXLCacheMsg *msg, const CXLCacheLineData *data);
void world_cell_seen(void *opaque, CXLCacheHomeTable table, unsigned row,
                     unsigned cell);

/* cxl-cache-explore-world.c */
World *world_new(const ExploreConfig *cfg);
void world_free(World *w);

/* What a line is to a device: nothing, if no Cache ID leads to it */
static inline unsigned world_decode(const World *w, unsigned dev, unsigned line)
{
    return w->g->dev[dev].unrouted ? 0 : w->cfg->decode[line];
}
void world_step_str(const Step *step, GString *out);
void world_str(World *w, unsigned line, GString *out);
void G_GNUC_PRINTF(3, 4) world_broken(World *w, const char *rule,
                                      const char *fmt, ...);

void data_set(CXLCacheLineData *data, unsigned line, unsigned low,
              unsigned high);
/* Returns: whether @data are such that data_set() makes, of @line */
bool data_get(const CXLCacheLineData *data, unsigned line, uint8_t value[2]);
bool data_is(const World *w, const CXLCacheLineData *data, unsigned line);

/* The observer: cxl-cache-explore-rules.h */
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
/* Whether it needs another line's way, and that line can leave now */
bool rules_needs_room(const World *w, unsigned dev, unsigned line,
                      unsigned op);
/* The device says that a flush is done. */
void rules_flushed(World *w, unsigned dev);
void rules_state(World *w);
void rules_quiescent(World *w);

/* ... replacement: cxl-cache-explore-order.c */
/* Before a step */
void order_stock(World *w);
/* After it: what has left, what was chosen to leave the snoop filter */
void order_settle(World *w);
/* The device has used the line. */
void order_used(World *w, unsigned dev, unsigned line);
/* The device's request for a line that it had not was sent. */
void order_came(World *w, unsigned dev, unsigned line, bool nt);
/* A request for the line has ended. */
void order_done(World *w, unsigned dev, unsigned line);
/* Lines in the set of @line, before the step */
unsigned order_crowd(const World *w, unsigned dev, unsigned line);
/* Whether what left to make room for @line was the right one */
void order_check_victim(World *w, unsigned dev, unsigned line, bool must);

/* ... devices that die, resets: cxl-cache-explore-loss.c */
/* Isolate the device and reset it. */
void loss_die(World *w, unsigned dev);
/* Memory is poisoned, as a device was lost. */
void loss_poison(World *w, unsigned line);
/* Reset everything but memory. */
void loss_reset(World *w);

/* cxl-cache-explore-canon.c */
void canon_init(World *w);
/* Bring the world into canonical form, and its image into w->image. */
void canon_save(World *w);
void canon_restore(World *w, const uint8_t *image);
bool canon_same(const World *w, const uint8_t *image);
/* Whether the saved state is the initial one: of a device, of all but notes */
bool canon_dev_is_new(const World *w, unsigned dev);
bool canon_is_new(const World *w);
/* Append what differs from the initial state. */
void canon_pack(const World *w, GByteArray *out);
void canon_unpack(const World *w, const uint8_t *packed, size_t len,
                  uint8_t *image);
/* Calls @func with every 64 bytes of a line that the state has. */
typedef void DataFunc(World *w, CXLCacheLineData *data);
void canon_each_data(World *w, DataFunc *func);
/* Whether the home has the line's last value for memory */
bool canon_home_has(World *w, unsigned line);

/* cxl-cache-explore-gear.c */
/* From the saved state: whatever the gear does, messages do. */
void gear_check(World *w);

/* cxl-cache-explore-configs.c */
extern const ExploreConfig explore_small[];
extern const ExploreConfig explore_large[];
extern const unsigned explore_num_small, explore_num_large;

#endif /* TESTS_CXL_CACHE_EXPLORE_H */
