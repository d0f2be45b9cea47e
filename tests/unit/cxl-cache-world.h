/*
 * A small world for CXL.cache tests: a home, its devices, memory, a log
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory is WORLD_BASE .. WORLD_BASE + ram_lines - 1, in lines. Line n starts
 * with the value WORLD_V0 + n, where a "value" is a number spread over the 64
 * bytes such that any lost or misplaced byte is seen.
 *
 * Everything that is sent goes past a monitor that knows the message rules of
 * the specification (not our tables) and stops the test where one is broken,
 * and into a text that tests compare with what they expect, as in
 *
 *     0.RdOwn 1.SnpInv 1.RspIFwdM 1.up 0.GO-M 0.down
 *
 * "up" and "down" are the data of D2H and H2D. GO and data of a read may come
 * in any order, so may a snoop's response and its data: the text has the data
 * last. What a message says is written with names of our own.
 */

#ifndef CXL_CACHE_WORLD_H
#define CXL_CACHE_WORLD_H

#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_time.h"

#define WORLD_BASE      0x2a5a5a5a0000ULL
#define WORLD_V0        0x1000
#define WORLD_ONES      (UINT64_MAX - 1)    /* all bytes 0xff */
#define WORLD_TORN      UINT64_MAX          /* no value at all */

typedef struct WorldConfig {
    unsigned devs;
    unsigned ram_lines;
    CXLCacheHomeConfig home;
    CXLCacheDevConfig dev;
    CXLCacheLinkConfig link;            /* cache_id is the device's number */
    bool no_log;                        /* neither text nor records */
    bool no_monitor;                    /* the test is an illegal peer */
    bool one_wire;                      /* links share the first one's */
    bool pages;                         /* memory has CXLCacheHomeOps.page */
} WorldConfig;

/* What memory does not do when it is asked to, whatever it said before */
enum {
    WORLD_FAIL_READ     = 1 << 0,
    WORLD_FAIL_WRITE    = 1 << 1,
    WORLD_FAIL_POISON   = 1 << 2,       /* CXL_CACHE_WRITE_POISON as well */
};

typedef struct WorldLine {
    CXLCacheLineData data;
    bool poison;
    bool pinned;                        /* the host does not give it away */
    bool deferred;                      /* CXLCacheHomeOps.defer says so */
    uint32_t decode;
    uint8_t fails;                      /* WORLD_FAIL_* */
    uint8_t access;                     /* CXLCacheHostAccess */
} WorldLine;

typedef struct WorldSent {
    unsigned dev;
    CXLCacheChannelId channel;
    CXLCacheMsg msg;
    CXLCacheLineData data;
    unsigned writes;                    /* of memory, before it was sent */
} WorldSent;

typedef struct WorldDone {
    bool host;
    unsigned dev;
    CXLCacheDone d;
    CXLCacheHostDone h;
    CXLCacheLineData data;
    bool has_data;
} WorldDone;

#define WORLD_HOST      UINT_MAX        /* the device that found an error */

typedef struct WorldError {
    unsigned seen_by;                   /* a device, or WORLD_HOST */
    unsigned dev;                       /* whose link it came by */
    CXLCacheError err;
    CXLCacheChannelId channel;
} WorldError;

#define WORLD_LOG       256

typedef struct WorldMonitor WorldMonitor;
typedef struct World World;

struct World {
    WorldConfig cfg;
    CXLCacheHome *home;
    CXLCacheLink *link[CXL_CACHE_DEV_MAX];
    CXLCacheDev *dev[CXL_CACHE_DEV_MAX];
    WorldLine *ram;
    WorldMonitor *monitor;
    uint64_t rng;
    uint64_t clock;                     /* ns, for links with time */
    /* A copy of the page that was asked for last: see world_check_page() */
    CXLCacheLineData page[CXL_CACHE_PAGE_LINES];
    uint64_t page_line;

    /* The log; the arrays keep the first WORLD_LOG since world_clear() */
    WorldSent sent[WORLD_LOG];
    unsigned num_sent;
    WorldDone done[WORLD_LOG];
    unsigned num_done;
    WorldError error[WORLD_LOG];
    unsigned num_errors;
    uint64_t err_count[CXL_CACHE_NUM_ERRS];
    unsigned writes;                    /* of memory, in all */
    unsigned why[CXL_CACHE_WRITE_POISON + 1];

    /* What a test wants to be told itself; may be NULL */
    void (*on_done)(World *w, unsigned dev, const CXLCacheDone *done);
    void (*on_host_done)(World *w, const CXLCacheHostDone *done);
    void (*on_sent)(World *w, unsigned dev, CXLCacheChannelId channel,
                    const CXLCacheMsg *msg);
    /* Memory has refused to read, or to write for that reason */
    void (*on_refused)(World *w, uint64_t line, bool write,
                       CXLCacheWriteWhy why);
    void (*on_write)(World *w, uint64_t line, const CXLCacheLineData *data,
                     uint64_t be, bool poison, CXLCacheWriteWhy why);
    /* What memory has, about to be read; the test may change it */
    void (*on_read)(World *w, uint64_t line, CXLCacheLineData *data);
    void (*on_left)(World *w, uint64_t line, uint32_t context, uint16_t devs);
    void (*on_timeout)(World *w, unsigned dev);
    void *opaque;
    /* What devices and home refer to */
    struct WorldEnd {
        World *world;
        unsigned dev;
    } end[CXL_CACHE_DEV_MAX];
};

/* 16 lines of 4 ways in a device, 64 tracked, 16 of everything else */
WorldConfig world_config(unsigned devs);

World *world_new(const WorldConfig *cfg);

/* Of @devs devices, as world_config() has them */
World *world(unsigned devs);

/* Likewise, and one end of the links is the test: it may break rules. */
World *world_of_peers(unsigned devs);

typedef struct WorldTest {
    const char *name;
    void (*fn)(void);
} WorldTest;

/* Each as @prefix and its name */
void world_add_tests(const char *prefix, const WorldTest *tests, unsigned n);

/* With the checks of world_check_quiet(), if nothing is open. */
void world_free(World *w);

/* Forget the log; an error that a test did not look at stops it. */
void world_clear(World *w);

/* Values of lines */
CXLCacheLineData world_data(uint64_t value);
uint64_t world_value(const CXLCacheLineData *data);
void world_merge(CXLCacheLineData *to, const CXLCacheLineData *from,
                 uint64_t be);
uint64_t world_random(uint64_t *state);

static inline unsigned world_below(World *w, unsigned n)
{
    return (world_random(&w->rng) >> 32) % n;
}

static inline uint64_t world_line(unsigned n)
{
    return WORLD_BASE + n;
}

static inline uint64_t world_ram(World *w, unsigned n)
{
    return world_value(&w->ram[n].data);
}

/* Names by the encodings of the specification, not by our enumerations */
const char *world_op_name(CXLCacheChannelId channel, unsigned opcode);

/**
 * world_ask: a request, without running anything
 * @v: value to be written, with requests that have data
 */
int world_ask(World *w, unsigned dev, unsigned opcode, unsigned n, uint64_t v,
              uint64_t be);

/**
 * world_do: a request that must be accepted; run until nothing moves
 *
 * Returns: its outcome
 */
WorldDone *world_do(World *w, unsigned dev, unsigned opcode, unsigned n,
                    uint64_t v);
WorldDone *world_do_be(World *w, unsigned dev, unsigned opcode, unsigned n,
                       uint64_t v, uint64_t be);

/* Likewise for the host. */
int world_host_ask(World *w, CXLCacheHostOp op, unsigned n, uint64_t v,
                   uint64_t be);
WorldDone *world_host(World *w, CXLCacheHostOp op, unsigned n, uint64_t v);

/* Local accesses of whole lines; they must be possible. */
void world_store(World *w, unsigned dev, unsigned n, uint64_t v);
uint64_t world_load(World *w, unsigned dev, unsigned n);

static inline CXLCacheState world_state(World *w, unsigned dev, unsigned n)
{
    return cxl_cache_dev_state(w->dev[dev], world_line(n));
}

/* Bring a line into a stable state, by real requests; clears the log. */
void world_make(World *w, unsigned dev, unsigned n, CXLCacheState state,
                uint64_t v);

/* One message of one channel, if it can move */
bool world_step(World *w, unsigned dev, CXLCacheChannelId channel);
/* ... it must */
void world_must(World *w, unsigned dev, CXLCacheChannelId channel);
/* One random thing that can move; false if nothing can */
bool world_random_step(World *w);
/* All that can, in random order */
void world_random_run(World *w);

/* The log's text must be @text; then the log is cleared. */
#define world_expect(w, text) \
    world_expect_at((w), (text), __FILE__, __LINE__)
void world_expect_at(World *w, const char *text, const char *file, int line);

/* The log must have exactly one error, this one; clears the errors. */
#define world_expect_error(w, seen_by, err) \
    world_expect_error_at((w), (seen_by), (err), __FILE__, __LINE__)
void world_expect_error_at(World *w, unsigned seen_by, CXLCacheError err,
                           const char *file, int line);
/* At least one error by this observer, any; clears the errors. */
unsigned world_take_errors(World *w, unsigned seen_by);

/* The last message that was sent on a channel of a device */
const WorldSent *world_last(World *w, unsigned dev, CXLCacheChannelId channel);

/**
 * world_check_quiet: nothing is under way and everything fits together
 *
 * Credits are home, nobody waits, one writer or many readers, clean copies are
 * memory's, the snoop filter and the host's access rights cover what devices
 * hold.
 */
void world_check_quiet(World *w);

/* As much of it as holds at any time: credits, one writer, filter, access */
void world_check_always(World *w);

/* What was written to the last page is what memory was told of. */
void world_check_page(World *w);

/*
 * The monitor. It is told of each message as it is sent, and says what is
 * wrong with it, or NULL.
 */
WorldMonitor *world_monitor_new(unsigned devs, unsigned lines);
void world_monitor_free(WorldMonitor *m);
const char *world_monitor_see(WorldMonitor *m, unsigned dev,
                              CXLCacheChannelId channel,
                              const CXLCacheMsg *msg);

/**
 * world_adversary: an illegal peer, played from a string of bytes
 *
 * Two good devices, a bad one and the host. The bytes choose what all of them
 * do, and what illegal messages come over the bad one's link, in both
 * directions. Afterwards the bad device is isolated, and whatever the others
 * have must be as a reference memory says.
 *
 * Returns: number of errors that were reported.
 */
unsigned world_adversary(const uint8_t *bytes, size_t len);

#endif /* CXL_CACHE_WORLD_H */
