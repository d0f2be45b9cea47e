/*
 * CXL.cache: long random runs against a reference memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices and the host do whatever is legal, in random order, over links of
 * which random channels stand still for a while. The reference memory has the
 * last write to each line, as ordered where the write takes effect: at a store
 * into an owned line, and when the home writes memory for a device or the host.
 * A line that is kept, memory that the host may read, and all that is written
 * back must be the reference's; data for one use must have been so at some time
 * since they were asked for. Memory that fails loses a line's last write, says
 * so once, and leaves poison where it was. On links with time, messages move
 * when they have arrived, and what moves is up to the clock.
 *
 * Seed: CXL_CACHE_SEED in the environment, else the test program's --seed.
 * Operations in each run: CXL_CACHE_OPS, a million without.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define WORDS   8
#define TRACE   64
#define HISTORY 256

/* A write in the order of its line; @mask has a bit for each word. */
typedef struct Write {
    uint64_t seq;
    uint64_t stamp;
    uint8_t mask;
} Write;

typedef struct Ref {
    uint64_t word[WORDS];
    bool poison;
    Write past[HISTORY];
    uint64_t writes;
} Ref;

/* What a line was when a read of it was sent */
typedef struct Floor {
    uint64_t word[WORDS];
    uint64_t seq;
} Floor;

typedef struct Run {
    const char *name;
    WorldConfig cfg;
    unsigned lines;             /* of memory; one more is nowhere */
    bool poison;                /* is injected */
    bool pin;                   /* the host takes lines for itself */
    bool drop;                  /* clean lines vanish silently */
    bool fails;                 /* memory does not always keep its word */
    unsigned share;             /* of the operations: 1 in so many */
} Run;

typedef struct State {
    const Run *run;
    World *w;
    Ref *ref;
    Floor *floor[CXL_CACHE_DEV_MAX];    /* by CQID */
    Floor *host_floor;                  /* by tag */
    uint64_t host_tag;
    uint64_t seq;
    uint64_t stamp;
    uint64_t seed;
    uint64_t ops;
    uint64_t reads;                     /* that were checked */
    uint64_t blocked;                   /* channels that stand still */
    unsigned stores;                    /* by the host, directly */
    unsigned most;                      /* requests outstanding at once */
    uint64_t nowhere;                   /* requests of what is nowhere */
    uint64_t refused;                   /* by memory */
    uint64_t host_failed;
    struct {
        unsigned dev;
        CXLCacheChannelId channel;
        CXLCacheMsg msg;
    } trace[TRACE];                     /* the last messages of all */
    uint64_t sent;
} State;

#define HOST_TAGS 8192

/* Under way for 1 to 2 latencies, of which a step of the clock is a part */
static const CXLCacheTiming jittered = {
    .latency = 200, .bandwidth = 4000000000, .jitter = 42,
};
static const CXLCacheTiming narrow = { .latency = 50, .bandwidth = 500000000 };

static const Run runs[] = {
    {
        .name = "one-device-one-credit",
        .cfg = {
            .devs = 1, .home = {
                .sf_lines = 2, .sf_ways = 2, .transactions = 2,
                .forward_dirty = true, .pull_clean = true,
            },
            .dev = { .size = 4 * 64, .ways = 2, .requests = 3 },
            .link = { .depth = { 1, 1, 1, 1, 1, 1 } },
        },
        .lines = 6, .poison = true, .pin = true, .drop = true,
    }, {
        .name = "two-devices",
        .cfg = {
            .devs = 2, .home = {
                .sf_lines = 8, .sf_ways = 4, .transactions = 8,
                .forward_dirty = true,
            },
            .dev = {
                .size = 8 * 64, .ways = 4, .requests = 16,
                .clean_evict = CXL_CACHE_CLEAN_DATA,
            },
            .link = { .depth = { 4, 2, 2, 2, 3, 2 },
                      .flit = CXL_CACHE_FLIT_256B },
        },
        .lines = 12, .poison = true, .pin = true,
    }, {
        .name = "four-devices",
        .cfg = {
            .devs = 4, .home = {
                .sf_lines = 4, .sf_ways = 2, .transactions = 5,
                .pull_clean = true,
            },
            .dev = {
                .size = 4 * 64, .ways = 4, .requests = 4,
                .clean_evict = CXL_CACHE_CLEAN_SILENT,
            },
            .link = { .depth = { 2, 1, 1, 1, 1, 1 },
                      .flit = CXL_CACHE_FLIT_256B },
        },
        .lines = 8, .drop = true,
    }, {
        .name = "two-lines-fought-over",
        .cfg = {
            .devs = 3, .home = {
                .sf_lines = 64, .sf_ways = 8, .transactions = 64,
                .forward_dirty = true, .pull_clean = true,
            },
            .dev = {
                .size = 64 * 64, .ways = 4, .requests = 64,
                .clean_evict = CXL_CACHE_CLEAN_DATA,
                .snp_data_invalidates = true,
            },
            .link = { .depth = { 32, 32, 32, 32, 32, 32 },
                      .flit = CXL_CACHE_FLIT_256B },
        },
        .lines = 2, .poison = true, .drop = true,
    }, {
        /* As many as QEMU's devices may have; and memory that fails */
        .name = "many-requests-bad-memory",
        .cfg = {
            .devs = 2, .home = {
                .sf_lines = 128, .sf_ways = 8, .transactions = 256,
                .forward_dirty = true,
            },
            .dev = {
                .size = 256 * 64, .ways = 16, .requests = 256,
                /* Who shares what memory has lost would have it still. */
                .snp_data_invalidates = true,
            },
            .link = { .depth = { 64, 64, 64, 64, 64, 64 },
                      .flit = CXL_CACHE_FLIT_256B },
        },
        .lines = 400, .poison = true, .pin = true, .drop = true, .fails = true,
        .share = 4,
    }, {
        /* T67: one credit of everything, on a narrow wire */
        .name = "timed-one-credit",
        .cfg = {
            .devs = 2, .home = {
                .sf_lines = 4, .sf_ways = 2, .transactions = 4,
                .forward_dirty = true, .pull_clean = true,
            },
            .dev = { .size = 4 * 64, .ways = 2, .requests = 4 },
            .link = { .depth = { 1, 1, 1, 1, 1, 1 },
                      .flit = CXL_CACHE_FLIT_256B, .timing = &narrow },
        },
        .lines = 6, .poison = true, .pin = true, .drop = true, .share = 4,
    }, {
        .name = "timed-jitter",
        .cfg = {
            .devs = 3, .home = {
                .sf_lines = 16, .sf_ways = 4, .transactions = 16,
                .forward_dirty = true,
            },
            .dev = {
                .size = 16 * 64, .ways = 4, .requests = 16,
                .clean_evict = CXL_CACHE_CLEAN_DATA,
            },
            .link = { .depth = { 8, 4, 4, 3, 8, 8 },
                      .flit = CXL_CACHE_FLIT_256B, .timing = &jittered },
        },
        .lines = 20, .poison = true, .pin = true, .share = 4,
    }, {
        .name = "timed-two-lines-fought-over",
        .cfg = {
            .devs = 3, .home = {
                .sf_lines = 64, .sf_ways = 8, .transactions = 64,
                .pull_clean = true,
            },
            .dev = {
                .size = 64 * 64, .ways = 4, .requests = 32,
                .snp_data_invalidates = true,
            },
            .link = { .depth = { 32, 32, 32, 32, 32, 32 },
                      .flit = CXL_CACHE_FLIT_256B, .timing = &jittered },
        },
        .lines = 2, .poison = true, .drop = true, .share = 4,
    },
};

static void on_sent(World *w, unsigned dev, CXLCacheChannelId channel,
                    const CXLCacheMsg *msg)
{
    State *s = w->opaque;
    unsigned i = s->sent++ % TRACE;

    s->trace[i].dev = dev;
    s->trace[i].channel = channel;
    s->trace[i].msg = *msg;
}

static void print_trace(State *s, uint64_t line)
{
    char buf[CXL_CACHE_MSG_STR];
    uint64_t i;

    for (i = s->sent > TRACE ? s->sent - TRACE : 0; i < s->sent; i++) {
        fprintf(stderr, "#   %u: %s\n", s->trace[i % TRACE].dev,
                cxl_cache_msg_str(s->trace[i % TRACE].channel,
                                  &s->trace[i % TRACE].msg, buf));
    }
    for (i = 0; i < s->w->cfg.devs; i++) {
        fprintf(stderr, "# device %d: line is %s\n", (int)i,
                cxl_cache_states[cxl_cache_dev_state(s->w->dev[i], line)].name);
    }
}

static G_NORETURN void fail(State *s, const char *what, uint64_t line)
{
    print_trace(s, line);
    fprintf(stderr, "# %s: %s, line %d, after %" PRIu64 " operations; "
            "CXL_CACHE_SEED=%" PRIu64 "\n", s->run->name, what,
            (int)(line - WORLD_BASE), s->ops, s->seed);
    abort();
}

static uint64_t word_of(const CXLCacheLineData *data, unsigned i)
{
    uint64_t v;

    memcpy(&v, data->b + i * 8, 8);
    return v;
}

static CXLCacheLineData stamped(uint64_t stamp)
{
    CXLCacheLineData data;
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        uint64_t v = stamp * WORDS + i;

        memcpy(data.b + i * 8, &v, 8);
    }
    return data;
}

/* Byte enables of whole words */
static uint64_t enables(uint8_t mask)
{
    uint64_t be = 0;
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        be |= mask >> i & 1 ? 0xffULL << (i * 8) : 0;
    }
    return be;
}

static void ref_write(State *s, uint64_t line, const CXLCacheLineData *data,
                      uint64_t be, bool poison)
{
    Ref *ref = &s->ref[line - WORLD_BASE];
    Write *past = &ref->past[ref->writes++ % HISTORY];
    unsigned i;

    *past = (Write) { .seq = ++s->seq };
    for (i = 0; i < WORDS; i++) {
        if (be >> (i * 8) & 1) {
            ref->word[i] = word_of(data, i);
            past->stamp = ref->word[i] / WORDS;
            past->mask |= 1 << i;
        }
    }
    ref->poison = poison || (ref->poison && be != CXL_CACHE_BE_ALL);
}

static bool ref_is(State *s, uint64_t line, const CXLCacheLineData *data,
                   bool poison)
{
    const Ref *ref = &s->ref[line - WORLD_BASE];

    s->reads++;
    return !memcmp(ref->word, data, sizeof(*data)) && ref->poison == poison;
}

/* Whether each word is one that it had since @floor, the last included */
static bool ref_was(State *s, uint64_t line, const CXLCacheLineData *data,
                    const Floor *floor)
{
    const Ref *ref = &s->ref[line - WORLD_BASE];
    uint64_t first = ref->writes > HISTORY ? ref->writes - HISTORY : 0, k;
    unsigned i;

    /* So many writes meanwhile that they are forgotten: nothing to compare */
    if (first && ref->past[first % HISTORY].seq > floor->seq) {
        return true;
    }
    s->reads++;
    for (i = 0; i < WORDS; i++) {
        uint64_t v = word_of(data, i);
        bool found = v == floor->word[i];

        for (k = first; k < ref->writes && !found; k++) {
            const Write *past = &ref->past[k % HISTORY];

            found = past->seq > floor->seq && (past->mask >> i & 1) &&
                    v == past->stamp * WORDS + i;
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static Floor floor_now(State *s, uint64_t line)
{
    Floor floor = { .seq = s->seq };

    if (line - WORLD_BASE < s->run->lines) {
        memcpy(floor.word, s->ref[line - WORLD_BASE].word, sizeof(floor.word));
    }
    return floor;
}

/* The last write is lost, and the line is again what memory has: poison. */
static void ref_lose(State *s, uint64_t line)
{
    Ref *ref = &s->ref[line - WORLD_BASE];
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        ref->word[i] = word_of(&s->w->ram[line - WORLD_BASE].data, i);
        ref->past[ref->writes++ % HISTORY] = (Write) {
            .seq = ++s->seq, .stamp = ref->word[i] / WORDS, .mask = 1 << i,
        };
    }
    ref->poison = true;
}

/* What the world tells */

static void on_refused(World *w, uint64_t line, bool write,
                       CXLCacheWriteWhy why)
{
    State *s = w->opaque;

    s->refused++;
}

static void on_write(World *w, uint64_t line, const CXLCacheLineData *data,
                     uint64_t be, bool poison, CXLCacheWriteWhy why)
{
    State *s = w->opaque;
    unsigned i;

    if (why == CXL_CACHE_WRITE_BACK) {
        if (be != CXL_CACHE_BE_ALL || !ref_is(s, line, data, poison)) {
            fail(s, "written back what is not the last write", line);
        }
        return;
    }
    for (i = 0; i < w->cfg.devs; i++) {
        CXLCacheState state = cxl_cache_dev_state(w->dev[i], line);

        if (state != CXL_CACHE_I && cxl_cache_may(state, CXL_CACHE_P_STABLE)) {
            fail(s, "memory is written beside a copy", line);
        }
    }
    if (why == CXL_CACHE_WRITE_POISON) {
        ref_lose(s, line);
        return;
    }
    ref_write(s, line, data, be, poison);
}

static void on_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    State *s = w->opaque;

    if (done->line - WORLD_BASE >= s->run->lines) {
        if (done->opcode != CXL_CACHE_CACHE_FLUSHED &&
            (!done->failed || done->state != CXL_CACHE_I)) {
            fail(s, "a line that is nowhere has been read", done->line);
        }
        s->nowhere += done->opcode != CXL_CACHE_CACHE_FLUSHED;
        return;
    }
    if (done->failed && done->opcode != CXL_CACHE_RD_OWN_NO_DATA &&
        (!s->run->fails || done->state != CXL_CACHE_I)) {
        fail(s, "a request has failed", done->line);
    }
    if (!done->data || done->failed) {
        return;
    }
    if (done->state != CXL_CACHE_I) {
        if (!ref_is(s, done->line, done->data, done->poison)) {
            fail(s, "a line is kept that is not the last write", done->line);
        }
    } else if (!ref_was(s, done->line, done->data,
                        &s->floor[dev][done->cqid])) {
        fail(s, "read what was not there", done->line);
    }
}

static void on_host_done(World *w, const CXLCacheHostDone *done)
{
    State *s = w->opaque;

    if (done->failed || !done->data) {
        if (done->failed && !s->run->fails) {
            fail(s, "a host access has failed", done->line);
        }
        s->host_failed += done->failed;
        return;
    }
    if (done->op == CXL_CACHE_HOST_READ ?
        !ref_is(s, done->line, done->data, done->poison) :
        !ref_was(s, done->line, done->data,
                 &s->host_floor[done->tag % HOST_TAGS])) {
        fail(s, "the host has read what was not there", done->line);
    }
}

/* What devices and the host do */

static void ask(State *s, unsigned dev, unsigned opcode, uint64_t line)
{
    World *w = s->w;
    CXLCacheLineData data = stamped(++s->stamp);
    unsigned mask = world_below(w, 255);
    CXLCacheReq req = {
        .line = line,
        .be = opcode == CXL_CACHE_WO_WR_INV ||
              (opcode == CXL_CACHE_WR_INV && world_below(w, 2)) ?
              enables(mask) : CXL_CACHE_BE_ALL,
        .data = &data,
        .opcode = opcode,
        .nt = world_below(w, 4) == 0,
        .poison = s->run->poison && world_below(w, 64) == 0,
    };
    Floor floor = floor_now(s, line);
    int ret = cxl_cache_dev_request(w->dev[dev], &req);

    if (ret >= 0) {
        s->floor[dev][ret] = floor;
        s->most = MAX(s->most, cxl_cache_dev_outstanding(w->dev[dev]));
        s->ops++;
    } else if (ret != -EBUSY && ret != -EAGAIN) {
        fail(s, "a legal request is refused", line);
    }
}

static void store(State *s, unsigned dev, uint64_t line, bool whole)
{
    CXLCacheLineData data = stamped(++s->stamp);
    uint64_t be = whole ? CXL_CACHE_BE_ALL
                        : enables(1 + world_below(s->w, 254));

    if (!cxl_cache_dev_write(s->w->dev[dev], line, &data, be)) {
        fail(s, "an owned line cannot be written", line);
    }
    ref_write(s, line, &data, be, false);
    s->ops++;
}

static void load(State *s, unsigned dev, uint64_t line)
{
    CXLCacheLineData data;
    bool poison;

    if (!cxl_cache_dev_read(s->w->dev[dev], line, &data, &poison)) {
        fail(s, "a line cannot be read", line);
    }
    if (!ref_is(s, line, &data, poison)) {
        fail(s, "a copy is not the last write", line);
    }
    s->ops++;
}

static void evict(State *s, unsigned dev, uint64_t line)
{
    int ret = cxl_cache_dev_evict(s->w->dev[dev], line);

    if (ret && ret != -EBUSY && ret != -EAGAIN) {
        fail(s, "a line cannot be evicted", line);
    }
    s->ops += ret == 0;
}

static void drop(State *s, unsigned dev, uint64_t line)
{
    if (!s->run->drop) {
        evict(s, dev, line);
    } else if (!cxl_cache_dev_drop(s->w->dev[dev], line)) {
        fail(s, "a clean line cannot be dropped", line);
    }
}

static void absent_turn(State *s, unsigned dev, uint64_t line)
{
    static const uint8_t ops[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED,
        CXL_CACHE_RD_ANY, CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_I_TO_M_WR,
        CXL_CACHE_WR_CUR, CXL_CACHE_CL_FLUSH, CXL_CACHE_WO_WR_INV,
        CXL_CACHE_WO_WR_INV_F, CXL_CACHE_WR_INV, CXL_CACHE_RD_OWN,
        CXL_CACHE_RD_SHARED, CXL_CACHE_RD_OWN, CXL_CACHE_RD_ANY,
    };
    World *w = s->w;

    if (world_below(w, 256) == 0 &&
        cxl_cache_dev_states(w->dev[dev])[CXL_CACHE_I] ==
        cxl_cache_dev_num_lines(w->dev[dev])) {
        ask(s, dev, CXL_CACHE_CACHE_FLUSHED, line);
        return;
    }
    ask(s, dev, ops[world_below(w, ARRAY_SIZE(ops))],
        world_below(w, 512) ? line : world_line(s->run->lines));
}

static void dev_turn(State *s)
{
    World *w = s->w;
    unsigned dev = world_below(w, w->cfg.devs);
    uint64_t line = world_line(world_below(w, s->run->lines));
    unsigned what = world_below(w, 8);

    switch (cxl_cache_dev_state(w->dev[dev], line)) {
    case CXL_CACHE_I:
        absent_turn(s, dev, line);
        break;
    case CXL_CACHE_S:
        what < 3 ? load(s, dev, line) :
        what < 5 ? ask(s, dev, CXL_CACHE_RD_OWN_NO_DATA, line) :
        what < 6 ? drop(s, dev, line) : evict(s, dev, line);
        break;
    case CXL_CACHE_E:
        what < 1 ? load(s, dev, line) :
        what < 5 ? store(s, dev, line, what == 1) :
        what < 6 ? drop(s, dev, line) :
        what < 7 ? ask(s, dev, CXL_CACHE_CLEAN_EVICT, line) :
                   evict(s, dev, line);
        break;
    case CXL_CACHE_M:
        what < 2 ? load(s, dev, line) :
        what < 6 ? store(s, dev, line, what == 2) :
                   ask(s, dev, CXL_CACHE_DIRTY_EVICT, line);
        break;
    case CXL_CACHE_EN:
        what < 6 ? store(s, dev, line, true) :
        what < 7 ? drop(s, dev, line) : evict(s, dev, line);
        break;
    default:
        break;
    }
}

/* The host at its memory, as far as it may without asking */
static void host_direct(State *s, uint64_t line)
{
    WorldLine *ram = &s->w->ram[line - WORLD_BASE];
    CXLCacheLineData data;
    uint64_t be;

    if (ram->access == CXL_CACHE_HOST_NONE) {
        return;
    }
    if (!ref_is(s, line, &ram->data, ram->poison)) {
        fail(s, "memory is not the last write", line);
    }
    if (ram->access == CXL_CACHE_HOST_RW && world_below(s->w, 2)) {
        data = stamped(++s->stamp);
        be = world_below(s->w, 2) ? CXL_CACHE_BE_ALL
                                  : enables(1 + world_below(s->w, 254));
        ref_write(s, line, &data, be, false);
        world_merge(&ram->data, &data, be);
        ram->poison &= be != CXL_CACHE_BE_ALL;
        s->stores++;
    }
}

static void host_turn(State *s)
{
    World *w = s->w;
    uint64_t line = world_line(world_below(w, s->run->lines));
    CXLCacheLineData data = stamped(++s->stamp);
    CXLCacheHostReq req = {
        .line = line,
        .be = world_below(w, 2) ? CXL_CACHE_BE_ALL
                                : enables(world_below(w, 255)),
        .data = &data,
        .tag = ++s->host_tag,
        .op = world_below(w, CXL_CACHE_NUM_HOST_OPS),
        .poison = s->run->poison && world_below(w, 64) == 0,
    };
    int ret;

    if (world_below(w, 2)) {
        host_direct(s, line);
        return;
    }
    if (s->run->pin && world_below(w, 32) == 0) {
        w->ram[line - WORLD_BASE].pinned ^= true;
    }
    if (s->run->fails && world_below(w, 8) == 0) {
        w->ram[line - WORLD_BASE].fails = world_below(w, 4) ? 0 :
            1 + world_below(w, WORLD_FAIL_READ | WORLD_FAIL_WRITE);
    }
    s->host_floor[req.tag % HOST_TAGS] = floor_now(s, line);
    ret = cxl_cache_home_host(w->home, &req);
    if (ret && ret != -EBUSY && ret != -EAGAIN) {
        fail(s, "a host access is refused", line);
    }
    s->ops += ret == 0;
}

/* The clock goes on: so may all that has arrived */
static bool tick(State *s)
{
    World *w = s->w;

    w->clock = cxl_cache_time(w->home) +
               world_below(w, w->cfg.link.timing->latency / 2);
    return cxl_cache_run(w->home);
}

/* One message of a channel that does not stand still */
static bool step(State *s)
{
    World *w = s->w;
    unsigned n = w->cfg.devs * CXL_CACHE_NUM_CHANNELS;
    unsigned start = world_below(w, n + 1 + w->cfg.devs), i, k;

    if (start == n) {
        return cxl_cache_home_tx(w->home);
    }
    if (start > n) {
        return cxl_cache_dev_tx(w->dev[start - n - 1]);
    }
    for (i = 0; i < n; i++) {
        k = (start + i) % n;
        if (!(s->blocked >> k & 1) &&
            cxl_cache_link_peek(w->link[k / CXL_CACHE_NUM_CHANNELS],
                                k % CXL_CACHE_NUM_CHANNELS) &&
            world_step(w, k / CXL_CACHE_NUM_CHANNELS,
                       k % CXL_CACHE_NUM_CHANNELS)) {
            return true;
        }
    }
    return false;
}

static void settle(State *s)
{
    unsigned i;

    if (s->run->cfg.link.timing) {
        cxl_cache_settle(s->w->home);
        g_assert_cmpuint(cxl_cache_next(s->w->home), ==, UINT64_MAX);
    } else if (world_below(s->w, 2)) {
        world_random_run(s->w);
    } else {
        cxl_cache_run(s->w->home);
    }
    world_check_quiet(s->w);
    /* Each is reported once, and to who is to blame. */
    g_assert_cmpuint(s->w->err_count[CXL_CACHE_ERR_DECODE], ==, s->nowhere);
    g_assert_cmpuint(s->w->err_count[CXL_CACHE_ERR_MEMORY] + s->host_failed, ==,
                     s->refused);
    for (i = 0; i < s->run->lines; i++) {
        host_direct(s, world_line(i));
    }
}

static void round_of(State *s, unsigned i)
{
    unsigned what = world_below(s->w, 16);

    if (i % 256 == 0) {
        s->blocked = world_random(&s->w->rng) & world_random(&s->w->rng) &
                     world_random(&s->w->rng);
    }
    if (i % 1024 == 0) {
        world_check_always(s->w);
    }
    if (i % 16384 == 0) {
        settle(s);
    }
    if (what < 5) {
        dev_turn(s);
    } else if (what < 6) {
        host_turn(s);
    } else if (s->run->cfg.link.timing) {
        tick(s);
    } else {
        step(s);
    }
    /* Nothing may be reported but lines that are nowhere, and bad memory. */
    if (s->w->num_errors != s->w->err_count[CXL_CACHE_ERR_DECODE] +
        (s->run->fails ? s->w->err_count[CXL_CACHE_ERR_MEMORY] : 0)) {
        fail(s, "an error was reported", 0);
    }
}

static State *state_new(const Run *run, uint64_t seed)
{
    State *s = g_new0(State, 1);
    WorldConfig cfg = run->cfg;
    CXLCacheLineData data;
    unsigned i;

    cfg.ram_lines = run->lines;
    cfg.no_log = true;
    s->run = run;
    s->seed = seed;
    s->w = world_new(&cfg);
    s->w->rng += seed * 2;
    s->w->opaque = s;
    s->w->on_sent = on_sent;
    s->w->on_refused = on_refused;
    s->w->on_write = on_write;
    s->w->on_done = on_done;
    s->w->on_host_done = on_host_done;
    s->host_floor = g_new0(Floor, HOST_TAGS);
    s->ref = g_new0(Ref, run->lines);
    for (i = 0; i < cfg.devs; i++) {
        s->floor[i] = g_new0(Floor, cfg.dev.requests);
    }
    for (i = 0; i < run->lines; i++) {
        data = stamped(++s->stamp);
        s->w->ram[i].data = data;
        memcpy(s->ref[i].word, &data, sizeof(data));
    }
    return s;
}

static void state_free(State *s)
{
    unsigned i;

    for (i = 0; i < s->w->cfg.devs; i++) {
        g_free(s->floor[i]);
    }
    s->w->num_errors = 0;
    world_free(s->w);
    g_free(s->ref);
    g_free(s->host_floor);
    g_free(s);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void test_random(gconstpointer opaque)
{
    const Run *run = opaque;
    uint64_t ops = env_number("CXL_CACHE_OPS", 1000000) / MAX(run->share, 1);
    State *s = state_new(run, env_number("CXL_CACHE_SEED",
                                            (uint32_t)g_test_rand_int()));
    const CXLCacheHomeStats *stats = cxl_cache_home_stats(s->w->home);
    unsigned i;

    g_test_message("CXL_CACHE_SEED=%" PRIu64, s->seed);
    for (i = 0; s->ops < ops; i++) {
        round_of(s, i);
    }
    settle(s);
    g_test_message("%" PRIu64 " operations, %" PRIu64 " values compared, "
                   "%u direct stores, %" PRIu64 " back-invalidations, "
                   "%" PRIu64 " write-backs, %" PRIu64 " for one use",
                   s->ops, s->reads, s->stores, stats->back_invalidations,
                   stats->write_backs, stats->use_once);
    /* A run that compares nothing proves nothing. */
    g_assert_cmpuint(s->reads, >, ops / 4);
    g_assert_cmpuint(s->stores, >, ops / 1000);
    g_assert_cmpuint(stats->write_backs, >, ops / 1000);
    g_assert_cmpuint(s->most, >, s->run->cfg.dev.requests / 2);
    if (s->run->fails) {
        g_assert_cmpuint(s->w->err_count[CXL_CACHE_ERR_MEMORY], >, ops / 1000);
        g_assert_cmpuint(s->host_failed, >, ops / 10000);
    }
    if (s->run->pin) {
        g_assert_cmpuint(stats->use_once, >, ops / 1000);
    }
    if (s->run->cfg.home.sf_lines < s->run->lines) {
        g_assert_cmpuint(stats->back_invalidations, >, ops / 1000);
    }
    state_free(s);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(runs); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/random/%s",
                                                runs[i].name);

        g_test_add_data_func(name, &runs[i], test_random);
    }
    return g_test_run();
}
