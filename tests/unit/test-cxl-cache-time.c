/*
 * CXL.cache: links with time
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When messages arrive, who waits for what, in which order they are taken, and
 * how much gets through. Races come about by time alone: nobody says which
 * message moves next. test-cxl-cache-random has long runs on such links.
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

#define V1 0x101
#define V2 0x102
#define V3 0x103
#define ALL CXL_CACHE_BE_ALL
#define L 100               /* latency, unless a test has another */

static const CXLCacheTiming plain = { .latency = L };

static WorldConfig timed_config(unsigned devs, const CXLCacheTiming *timing)
{
    WorldConfig cfg = world_config(devs);

    cfg.link.timing = timing;
    return cfg;
}

static World *timed_world(unsigned devs, const CXLCacheTiming *timing)
{
    WorldConfig cfg = timed_config(devs, timing);

    return world_new(&cfg);
}

static unsigned used(World *w, unsigned dev, CXLCacheChannelId channel)
{
    return cxl_cache_link_used(&w->link[dev]->ch[channel]);
}

/* The clock is set, and what has arrived is taken. */
static unsigned at(World *w, uint64_t clock)
{
    w->clock = clock;
    return cxl_cache_run(w->home);
}

/* What has been prepared is over: the clock has come as far as the link. */
static uint64_t begin(World *w)
{
    cxl_cache_settle(w->home);
    w->clock = cxl_cache_time(w->home);
    world_clear(w);
    return w->clock;
}

static CXLCacheChannelTime channel_time(World *w, unsigned dev,
                                        CXLCacheChannelId channel)
{
    CXLCacheChannelTime time;

    g_assert_true(cxl_cache_link_channel_time(w->link[dev], channel, &time));
    return time;
}

/* A channel: messages in it, those that have arrived, credits at the sender */
static void check_channel(World *w, CXLCacheChannelId channel, unsigned n,
                          unsigned arrived, unsigned credits)
{
    g_assert_cmpuint(used(w, 0, channel), ==, n);
    g_assert_cmpuint(channel_time(w, 0, channel).arrived, ==, arrived);
    g_assert_cmpuint(w->link[0]->ch[channel].credits, ==, credits);
}

/* ---- When ---- */

static void test_off(void)
{
    World *w = world(1);
    CXLCacheChannelTime time;
    CXLCacheWhen when;

    g_assert_false(cxl_cache_is_timed(w->home));
    g_assert_null(cxl_cache_link_timing(w->link[0]));
    g_assert_false(cxl_cache_link_channel_time(w->link[0], CXL_CACHE_D2H_REQ,
                                               &time));
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 0, 0, ALL), >=, 0);
    g_assert_false(cxl_cache_link_when(w->link[0], CXL_CACHE_D2H_REQ,
        cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_REQ), &when));
    g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
    /* A request and its data; nothing else is done by going on */
    g_assert_cmpuint(cxl_cache_advance(w->home), ==, 2);
    g_assert_cmpuint(cxl_cache_advance(w->home), ==, 0);
    g_assert_cmpuint(cxl_cache_time(w->home), ==, 0);
    world_free(w);
}

static void test_config(void)
{
    static const CXLCacheTiming good[] = {
        { }, { .latency = CXL_CACHE_LATENCY_MAX },
        { .bandwidth = CXL_CACHE_BANDWIDTH_MAX, .jitter = 1 },
    };
    static const CXLCacheTiming bad[] = {
        { .latency = CXL_CACHE_LATENCY_MAX + 1 },
        { .bandwidth = CXL_CACHE_BANDWIDTH_MAX + 1 },
    };
    CXLCacheLinkConfig cfg = world_config(1).link;
    CXLCacheLink *link;

    for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
        cfg.timing = &good[i];
        link = cxl_cache_link_new(&cfg);
        g_assert_nonnull(link);
        g_assert_cmpmem(cxl_cache_link_timing(link), sizeof(good[i]), &good[i],
                        sizeof(good[i]));
        cxl_cache_link_free(link);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        cfg.timing = &bad[i];
        g_assert_null(cxl_cache_link_new(&cfg));
    }
}

/* Each message is in its queue until its time, and its credit comes after it */
static void test_seen(void)
{
    World *w = timed_world(1, &plain);
    CXLCacheWhen when;

    at(w, 1000);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    g_assert_true(cxl_cache_link_when(w->link[0], CXL_CACHE_D2H_REQ,
        cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_REQ), &when));
    g_assert_cmpuint(when.sent, ==, 1000);
    g_assert_cmpuint(when.due, ==, 1000 + L);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, 1000 + L);
    g_assert_cmpuint(at(w, 1000 + L - 1), ==, 0);
    world_expect(w, "0.RdOwn");
    check_channel(w, CXL_CACHE_D2H_REQ, 1, 0, 15);

    g_assert_cmpuint(at(w, 1000 + L), ==, 1);
    world_expect(w, "0.GO-E 0.down");
    check_channel(w, CXL_CACHE_D2H_REQ, 0, 0, 15);
    check_channel(w, CXL_CACHE_H2D_RSP, 1, 0, 15);
    check_channel(w, CXL_CACHE_H2D_DATA, 1, 0, 15);
    g_assert_cmpuint(at(w, 1000 + 2 * L - 1), ==, 0);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, 1000 + 2 * L);

    /* GO, data, and the credit of the request */
    g_assert_cmpuint(at(w, 1000 + 2 * L), ==, 3);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_E);
    check_channel(w, CXL_CACHE_D2H_REQ, 0, 0, 16);
    check_channel(w, CXL_CACHE_H2D_RSP, 0, 0, 15);
    check_channel(w, CXL_CACHE_H2D_DATA, 0, 0, 15);
    g_assert_cmpuint(at(w, 1000 + 3 * L), ==, 2);
    check_channel(w, CXL_CACHE_H2D_RSP, 0, 0, 16);
    check_channel(w, CXL_CACHE_H2D_DATA, 0, 0, 16);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ).high_water, ==, 1);
    world_free(w);
}

/* Messages taken: what @taken was told */
typedef struct Taken {
    CXLCacheChannelId channel;
    uint8_t opcode;
    CXLCacheWhen when;
    uint64_t now;
} Taken;

typedef struct TakenLog {
    Taken t[512];
    unsigned n;
} TakenLog;

static void note_taken(void *opaque, CXLCacheChannelId channel,
                       const CXLCacheMsg *msg, const CXLCacheWhen *when,
                       uint64_t now)
{
    TakenLog *log = opaque;

    g_assert_cmpuint(log->n, <, ARRAY_SIZE(log->t));
    log->t[log->n++] = (Taken) {
        .channel = channel, .opcode = msg->opcode, .when = *when, .now = now,
    };
}

/* Some requests; the clock goes on by @step. Returns what was taken when. */
static TakenLog *some_traffic(const CXLCacheTiming *timing, uint64_t step)
{
    static const uint8_t ops[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_RD_CURR, CXL_CACHE_I_TO_M_WR,
        CXL_CACHE_WR_INV, CXL_CACHE_RD_SHARED, CXL_CACHE_CL_FLUSH,
    };
    World *w = timed_world(1, timing);
    TakenLog *log = g_new0(TakenLog, 1);

    cxl_cache_link_set_taken(w->link[0], note_taken, log);
    for (unsigned i = 0; i < 12; i++) {
        g_assert_cmpint(world_ask(w, 0, ops[i % ARRAY_SIZE(ops)], i, V1, ALL),
                        >=, 0);
    }
    while (cxl_cache_next(w->home) != UINT64_MAX) {
        at(w, w->clock + step);
    }
    world_free(w);
    return log;
}

/* However late the engine is called, all happens when it is due. */
static void test_late(void)
{
    const CXLCacheTiming timing = { .latency = 70, .bandwidth = 3000000000 };
    g_autofree TakenLog *one = some_traffic(&timing, 1);
    g_autofree TakenLog *late = some_traffic(&timing, 9973);

    g_assert_cmpuint(one->n, >, 24);
    g_assert_cmpmem(one, sizeof(*one), late, sizeof(*late));
    for (unsigned i = 0; i < one->n; i++) {
        g_assert_cmpuint(one->t[i].now, ==, one->t[i].when.due);
    }
}

static void test_jitter(void)
{
    const CXLCacheTiming a = { .latency = L, .jitter = 1 };
    const CXLCacheTiming b = { .latency = L, .jitter = 2 };
    g_autofree TakenLog *first = some_traffic(&a, 7);
    g_autofree TakenLog *again = some_traffic(&a, 13);
    g_autofree TakenLog *other = some_traffic(&b, 7);
    uint64_t last[CXL_CACHE_NUM_CHANNELS] = { };
    uint64_t last_sent[CXL_CACHE_NUM_CHANNELS] = { };
    unsigned longer = 0;

    g_assert_cmpmem(first, sizeof(*first), again, sizeof(*again));
    g_assert_cmpuint(first->n, ==, other->n);
    g_assert_true(memcmp(first, other, sizeof(*first)));
    for (unsigned i = 0; i < first->n; i++) {
        const Taken *t = &first->t[i];

        g_assert_cmpuint(t->when.due, >=, t->when.sent + L);
        /* FIFO in each channel, by both ends */
        g_assert_cmpuint(t->when.due, >=, last[t->channel]);
        g_assert_cmpuint(t->when.sent, >=, last_sent[t->channel]);
        last[t->channel] = t->when.due;
        last_sent[t->channel] = t->when.sent;
        longer += t->when.due > t->when.sent + L;
    }
    g_assert_cmpuint(longer, >, first->n / 2);
}

/* ---- Order ---- */

/*
 * At one time a snoop arrives at the device and a request of its at the home:
 * the snoop is first. And what answers a snoop is before requests.
 */
static void test_h2d_first(void)
{
    World *w = timed_world(2, &plain);
    uint64_t t;

    for (unsigned dev = 0; dev < 2; dev++) {
        world_make(w, dev, 0, CXL_CACHE_M, V1);
        t = begin(w);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 1, 0, ALL), >=, 0);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==,
                        0);
        at(w, t + L);
        world_expect(w, dev ? "0.RdCurr 1.SnpInv 1.RspIFwdM 1.up 0.down"
                            : "0.RdCurr 0.SnpInv 0.RspIFwdM 0.up 0.down");
        begin(w);
    }

    /* One device's answer to a snoop, and its request for something else */
    world_make(w, 1, 2, CXL_CACHE_M, V2);
    t = begin(w);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 2, 0, ALL), >=, 0);
    at(w, t + 2 * L);
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_CURR, 3, 0, ALL), >=, 0);
    at(w, t + 3 * L);
    world_expect(w, "0.RdOwn 1.SnpInv 1.RspIFwdM 1.up 1.RdCurr "
                 "0.GO-E 0.down 1.down");
    cxl_cache_settle(w->home);
    g_assert_cmphex(world_load(w, 0, 2), ==, V2);
    world_free(w);
}

/* What the host is about to take is not given away. */
static void test_defer(void)
{
    World *w = timed_world(1, &plain);

    w->ram[0].deferred = true;
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    /* FIFO: what is behind it waits as well. */
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 1, 0, ALL), >=, 0);
    at(w, 10 * L);
    world_expect(w, "0.RdOwn 0.RdCurr");
    check_channel(w, CXL_CACHE_D2H_REQ, 2, 2, 14);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
    w->ram[0].deferred = false;
    begin(w);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_E);
    /* Both had arrived at L and were taken at 10 L. */
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ)
                     .stalled[CXL_CACHE_STALL_ORDER], ==, 2 * 9 * L);

    /* Requests that take nothing are not kept waiting. */
    w->ram[2].deferred = true;
    world_do(w, 0, CXL_CACHE_RD_CURR, 2, 0);
    world_expect(w, "0.RdCurr 0.down");
    w->ram[2].deferred = false;
    world_free(w);
}

/* A snoop that is faster than the GO sent before it waits for it. */
static void test_snoop_pushes_go(void)
{
    unsigned overtaken = 0, used_once = 0;

    for (unsigned seed = 1; seed <= 400; seed++) {
        const CXLCacheTiming timing = { .latency = L, .jitter = seed };
        World *w = timed_world(1, &timing);
        CXLCacheWhen go, snoop;
        uint64_t t;

        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
        t = cxl_cache_next(w->home);
        at(w, t);
        g_assert_cmpuint(used(w, 0, CXL_CACHE_H2D_RSP), ==, 1);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==,
                        0);
        cxl_cache_link_when(w->link[0], CXL_CACHE_H2D_RSP,
            cxl_cache_link_peek(w->link[0], CXL_CACHE_H2D_RSP), &go);
        cxl_cache_link_when(w->link[0], CXL_CACHE_H2D_REQ,
            cxl_cache_link_peek(w->link[0], CXL_CACHE_H2D_REQ), &snoop);
        if (snoop.due < go.due) {
            overtaken++;
            at(w, snoop.due);
            check_channel(w, CXL_CACHE_H2D_REQ, 1, 1, 15);
            at(w, go.due - 1);
            check_channel(w, CXL_CACHE_H2D_REQ, 1, 1, 15);
            at(w, go.due);
            check_channel(w, CXL_CACHE_H2D_REQ, 0, 0, 15);
            g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_H2D_REQ)
                             .stalled[CXL_CACHE_STALL_ORDER], ==,
                             go.due - snoop.due);
        }
        cxl_cache_settle(w->home);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
        /* T41: it came between GO and data: they are good for once. */
        used_once += w->num_done && w->done[0].host == false &&
                     w->done[0].d.state == CXL_CACHE_I;
        world_free(w);
    }
    g_test_message("%u of 400 snoops overtook their GO, %u their data",
                   overtaken, used_once);
    g_assert_cmpuint(overtaken, >, 50);
    g_assert_cmpuint(used_once, >, 50);
}

/* ---- Every snoop in every state of a line, in time: T22 to T36 ---- */

typedef struct Cell {
    const char *name;
    CXLCacheHostOp op;
    CXLCacheState state;
    bool dropped;               /* the host does not know of it */
    bool pending;               /* and RdOwn is under way */
    const char *text;
    CXLCacheState next;
    uint64_t ram;
} Cell;

#define READ    CXL_CACHE_HOST_READ
#define WRITE   CXL_CACHE_HOST_WRITE
#define PEEK    CXL_CACHE_HOST_PEEK

static const Cell cells[] = {
    { "T22-snpdata-I", READ, CXL_CACHE_E, true, false,
      "0.SnpData 0.RspIHitI", CXL_CACHE_I, WORLD_V0 },
    /* Memory is current: nobody is asked. */
    { "T23-snpdata-S", READ, CXL_CACHE_S, false, false,
      "", CXL_CACHE_S, WORLD_V0 },
    { "T24-snpdata-E", READ, CXL_CACHE_E, false, false,
      "0.SnpData 0.RspSHitSE", CXL_CACHE_S, WORLD_V0 },
    { "T25-snpdata-M", READ, CXL_CACHE_M, false, false,
      "0.SnpData 0.RspSFwdM 0.up", CXL_CACHE_S, V1 },
    { "T26-snpdata-pending", READ, CXL_CACHE_E, true, true,
      "0.RdOwn 0.SnpData 0.RspIHitI", CXL_CACHE_IXAD, WORLD_V0 },
    { "T27-snpinv-I", WRITE, CXL_CACHE_E, true, false,
      "0.SnpInv 0.RspIHitI", CXL_CACHE_I, V2 },
    { "T28-snpinv-S", WRITE, CXL_CACHE_S, false, false,
      "0.SnpInv 0.RspIHitSE", CXL_CACHE_I, V2 },
    { "T29-snpinv-E", WRITE, CXL_CACHE_E, false, false,
      "0.SnpInv 0.RspIHitSE", CXL_CACHE_I, V2 },
    { "T30-snpinv-M", WRITE, CXL_CACHE_M, false, false,
      "0.SnpInv 0.RspIFwdM 0.up", CXL_CACHE_I, V2 },
    { "T31-snpinv-pending", WRITE, CXL_CACHE_E, true, true,
      "0.RdOwn 0.SnpInv 0.RspIHitI", CXL_CACHE_IXAD, V2 },
    { "T32-snpcur-I", PEEK, CXL_CACHE_E, true, false,
      "0.SnpCur 0.RspIHitI", CXL_CACHE_I, WORLD_V0 },
    { "T33-snpcur-S", PEEK, CXL_CACHE_S, false, false,
      "", CXL_CACHE_S, WORLD_V0 },
    { "T34-snpcur-E", PEEK, CXL_CACHE_E, false, false,
      "0.SnpCur 0.RspVHitV", CXL_CACHE_E, WORLD_V0 },
    { "T35-snpcur-M", PEEK, CXL_CACHE_M, false, false,
      "0.SnpCur 0.RspVFwdV 0.up", CXL_CACHE_M, WORLD_V0 },
    { "T36-snpcur-pending", PEEK, CXL_CACHE_E, true, true,
      "0.RdOwn 0.SnpCur 0.RspIHitI", CXL_CACHE_IXAD, WORLD_V0 },
};

/* The line changes a latency later, and the host has its answer after two. */
static void test_cell(gconstpointer opaque)
{
    const Cell *cell = opaque;
    World *w = timed_world(1, &plain);
    uint64_t value = cell->state == CXL_CACHE_M ? V1 : WORLD_V0, t;
    CXLCacheState before;

    world_make(w, 0, 0, cell->state, V1);
    t = begin(w);
    if (cell->dropped) {
        g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(0)));
    }
    if (cell->pending) {
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    }
    before = world_state(w, 0, 0);
    g_assert_cmpint(world_host_ask(w, cell->op, 0, V2, ALL), ==, 0);
    if (used(w, 0, CXL_CACHE_H2D_REQ)) {
        at(w, t + L - 1);
        g_assert_cmpint(world_state(w, 0, 0), ==, before);
        at(w, t + L);
        g_assert_cmpint(world_state(w, 0, 0), ==, cell->next);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        at(w, t + 2 * L - 1);
        g_assert_cmpuint(w->num_done, ==, 0);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        world_expect(w, cell->text);
        at(w, t + 2 * L);
    } else {
        g_assert_cmpstr(cell->text, ==, "");
        g_assert_cmpuint(w->num_sent, ==, 0);
    }
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_true(w->done[0].host);
    g_assert_false(w->done[0].h.failed);
    if (cell->op != WRITE) {
        g_assert_cmphex(world_value(&w->done[0].data), ==, value);
    }
    g_assert_cmphex(world_ram(w, 0), ==, cell->ram);
    g_assert_cmpint(world_state(w, 0, 0), ==, cell->next);
    cxl_cache_settle(w->home);
    if (cell->pending) {
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_E);
        g_assert_cmphex(world_load(w, 0, 0), ==, cell->ram);
    }
    world_free(w);
}

/* ---- Races: an evict or a request, and a snoop, are sent at one time ---- */

typedef struct Race {
    const char *name;
    CXLCacheState state;
    uint8_t opcode;
    CXLCacheHostOp op;
    bool pull_clean;
    const char *text;
    uint64_t ram;               /* in the end */
    CXLCacheState end;
} Race;

static const Race races[] = {
    { "T37-snpinv-dirtyevict", CXL_CACHE_M, CXL_CACHE_DIRTY_EVICT,
      CXL_CACHE_HOST_FLUSH, false,
      "0.DirtyEvict 0.SnpInv 0.RspIFwdM 0.up 0.GO_WritePull 0.up:bogus",
      V1, CXL_CACHE_I },
    { "T37-host-write-dirtyevict", CXL_CACHE_M, CXL_CACHE_DIRTY_EVICT,
      CXL_CACHE_HOST_WRITE, false,
      "0.DirtyEvict 0.SnpInv 0.RspIFwdM 0.up 0.GO_WritePull 0.up:bogus",
      V2, CXL_CACHE_I },
    { "T38-snpinv-cleanevict", CXL_CACHE_E, CXL_CACHE_CLEAN_EVICT,
      CXL_CACHE_HOST_FLUSH, true,
      "0.CleanEvict 0.SnpInv 0.RspIHitSE 0.GO_WritePull 0.up:bogus",
      WORLD_V0, CXL_CACHE_I },
    { "T38-snpinv-cleanevict-drop", CXL_CACHE_E, CXL_CACHE_CLEAN_EVICT,
      CXL_CACHE_HOST_FLUSH, false,
      "0.CleanEvict 0.SnpInv 0.RspIHitSE 0.GO_WritePull_Drop",
      WORLD_V0, CXL_CACHE_I },
    { "T39-snpdata-dirtyevict", CXL_CACHE_M, CXL_CACHE_DIRTY_EVICT,
      CXL_CACHE_HOST_READ, false,
      "0.DirtyEvict 0.SnpData 0.RspSFwdM 0.up 0.GO_WritePull 0.up:bogus",
      V1, CXL_CACHE_I },
    { "T40-snpcur-dirtyevict", CXL_CACHE_M, CXL_CACHE_DIRTY_EVICT,
      CXL_CACHE_HOST_PEEK, false,
      "0.DirtyEvict 0.SnpCur 0.RspVFwdV 0.up 0.GO_WritePull 0.up",
      V1, CXL_CACHE_I },
    { "T42-snpinv-rdownnodata-from-S", CXL_CACHE_S,
      CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_HOST_FLUSH, false,
      "0.RdOwnNoData 0.SnpInv 0.RspIHitSE 0.GO-E",
      WORLD_V0, CXL_CACHE_EN },
    { "T43-snpinv-cleanevictnodata", CXL_CACHE_E,
      CXL_CACHE_CLEAN_EVICT_NO_DATA, CXL_CACHE_HOST_FLUSH, false,
      "0.CleanEvictNoData 0.SnpInv 0.RspIHitSE 0.GO-I",
      WORLD_V0, CXL_CACHE_I },
};

static void test_race(gconstpointer opaque)
{
    const Race *race = opaque;
    WorldConfig cfg = timed_config(1, &plain);
    World *w;
    uint64_t t;

    cfg.home.pull_clean = race->pull_clean;
    w = world_new(&cfg);
    world_make(w, 0, 0, race->state, V1);
    t = begin(w);
    g_assert_cmpint(world_ask(w, 0, race->opcode, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_host_ask(w, race->op, 0, V2, ALL), ==, 0);
    /* The request is there, and waits for the snoop's answer. */
    at(w, t + L);
    check_channel(w, CXL_CACHE_D2H_REQ, 1, 1, 15);
    at(w, t + 2 * L);
    check_channel(w, CXL_CACHE_D2H_REQ, 0, 0, 15);
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ)
                     .stalled[CXL_CACHE_STALL_ORDER], ==, L);
    cxl_cache_settle(w->home);
    world_expect(w, race->text);
    g_assert_cmphex(world_ram(w, 0), ==, race->ram);
    g_assert_cmpint(world_state(w, 0, 0), ==, race->end);
    g_assert_cmpuint(w->why[CXL_CACHE_WRITE_BACK], <=, 1);
    world_free(w);
}

/* T42: the host knows of a copy that was dropped, and RdOwn is under way. */
static void test_t42_dropped(void)
{
    World *w = timed_world(1, &plain);
    uint64_t t;

    world_make(w, 0, 0, CXL_CACHE_S, 0);
    t = begin(w);
    g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(0)));
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==,
                    0);
    at(w, t + 2 * L);
    cxl_cache_settle(w->home);
    world_expect(w, "0.RdOwn 0.SnpInv 0.RspIHitI 0.GO-E 0.down");
    g_assert_cmphex(world_load(w, 0, 0), ==, V2);
    world_free(w);
}

/* T44: two devices want a line at one time; it is handed over at once. */
static void test_t44(void)
{
    WorldConfig cfg = timed_config(2, &plain);
    World *w;

    cfg.home.forward_dirty = true;
    w = world_new(&cfg);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 1, CXL_CACHE_RD_OWN, 0, 0, ALL), >=, 0);
    /* The first has its GO at 2 L, with the snoop for the other behind it. */
    at(w, 2 * L);
    cxl_cache_settle(w->home);
    world_expect(w, "0.RdOwn 1.RdOwn 0.GO-E 0.down 0.SnpInv 0.RspIHitSE "
                 "1.GO-E 1.down");
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_E);
    world_free(w);
}

/* ---- Credits, and what runs out ---- */

/* They are gone until the first message has been there and back. */
static void test_credits(void)
{
    WorldConfig cfg = timed_config(1, &plain);
    World *w;

    cfg.link.depth[CXL_CACHE_D2H_REQ] = 3;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 3; i++) {
        at(w, i * 10);
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, i, 0, ALL), >=, 0);
    }
    at(w, 50);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 3, 0, ALL), ==, -EAGAIN);
    at(w, 2 * L - 1);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 3, 0, ALL), ==, -EAGAIN);
    at(w, 2 * L);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 3, 0, ALL), >=, 0);
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ)
                     .stalled[CXL_CACHE_STALL_CREDIT], ==, 2 * L - 50);
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ).high_water, ==, 3);
    g_assert_cmpuint(w->link[0]->stats->stalled[CXL_CACHE_D2H_REQ], ==, 2);
    cxl_cache_settle(w->home);
    g_assert_cmpuint(w->num_done, ==, 4);
    world_free(w);
}

/* O13: requests are stuck, a snoop is answered all the same. */
static void test_snoop_past_requests(void)
{
    WorldConfig cfg = timed_config(1, &plain);
    World *w;
    uint64_t t;

    cfg.link.depth[CXL_CACHE_D2H_REQ] = 2;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    t = begin(w);
    w->ram[1].deferred = true;
    for (unsigned i = 0; i < 2; i++) {
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 1 + i, 0, ALL), >=,
                        0);
    }
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 3, 0, ALL), ==, -EAGAIN);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==,
                    0);
    at(w, t + 2 * L);
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    check_channel(w, CXL_CACHE_D2H_REQ, 2, 2, 0);
    w->ram[1].deferred = false;
    cxl_cache_settle(w->home);
    world_free(w);
}

/* T68: no credit for snoops: the host waits, and each is sent in its turn. */
static void test_t68(void)
{
    WorldConfig cfg = timed_config(1, &plain);
    World *w;
    uint64_t t;

    cfg.link.depth[CXL_CACHE_H2D_REQ] = 1;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 3; i++) {
        world_make(w, 0, i, CXL_CACHE_M, V1 + i);
    }
    t = begin(w);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, i, 0, 0), ==,
                        0);
    }
    world_expect(w, "0.SnpInv");
    /* One in two latencies */
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpuint(w->num_done, ==, i);
        at(w, t + 2 * L * (i + 1) - 1);
        g_assert_cmphex(world_ram(w, i), ==, WORLD_V0 + i);
        at(w, t + 2 * L * (i + 1));
        g_assert_cmphex(world_ram(w, i), ==, V1 + i);
    }
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_H2D_REQ)
                     .stalled[CXL_CACHE_STALL_CREDIT], ==, 4 * L);
    world_free(w);
}

/* T69: all CQIDs are in use: the device waits for an answer. */
static void test_t69(void)
{
    WorldConfig cfg = timed_config(1, &plain);
    World *w;

    cfg.dev.requests = 5;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, i, 0, ALL), >=, 0);
    }
    at(w, 2 * L - 1);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 5, 0, ALL), ==, -EAGAIN);
    g_assert_cmpuint(w->link[0]->ch[CXL_CACHE_D2H_REQ].credits, >, 0);
    at(w, 2 * L);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, 5, 0, ALL), >=, 0);
    cxl_cache_settle(w->home);
    world_free(w);
}

/* T71: an evict of what memory has lost meanwhile: data are sent, dropped */
static void test_t71(void)
{
    World *w = timed_world(1, &plain);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    begin(w);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0, ALL), >=, 0);
    w->ram[0].decode = CXL_CACHE_MEM_READ;
    cxl_cache_settle(w->home);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
    world_expect(w, "0.DirtyEvict 0.GO_ERR_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    world_free(w);
}

/* T72: viral with an evict and a snoop under way: both come to an end. */
static void test_t72(void)
{
    World *w = timed_world(1, &plain);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_make(w, 0, 1, CXL_CACHE_M, V2);
    begin(w);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 1, 0, 0), ==, 0);
    cxl_cache_dev_set_viral(w->dev[0], true);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN, 2, 0, ALL), ==, -EIO);
    cxl_cache_settle(w->home);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmphex(world_ram(w, 1), ==, V2);
    world_free(w);
}

/* A device dies, or is reset with the host, in the middle of everything. */
static void test_lost(void)
{
    for (unsigned reset = 0; reset < 2; reset++) {
        for (uint64_t when = 0; when <= 4 * L; when += L / 2) {
            World *w = timed_world(2, &plain);
            uint64_t t;

            world_make(w, 0, 0, CXL_CACHE_M, V1);
            world_make(w, 0, 1, CXL_CACHE_M, V2);
            t = begin(w);
            world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 0, 0, ALL);
            world_ask(w, 0, CXL_CACHE_RD_OWN, 2, 0, ALL);
            world_ask(w, 0, CXL_CACHE_WO_WR_INV_F, 3, V3, ALL);
            world_ask(w, 1, CXL_CACHE_RD_OWN, 1, 0, ALL);
            at(w, t + when);
            if (reset) {
                cxl_cache_home_reset(w->home);
                cxl_cache_dev_reset(w->dev[1]);
            } else {
                cxl_cache_home_isolate(w->home, 0);
            }
            cxl_cache_dev_reset(w->dev[0]);
            g_assert_true(cxl_cache_link_idle(w->link[0]));
            cxl_cache_settle(w->home);
            g_assert_cmpuint(cxl_cache_next(w->home), ==, UINT64_MAX);
            for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
                g_assert_cmpuint(w->link[0]->ch[i].credits, ==, 16);
            }
            g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
            g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
            if (!reset) {
                g_assert_cmpint(world_state(w, 1, 1), ==, CXL_CACHE_E);
            }
            w->num_done = 0;
            w->num_errors = 0;
            world_monitor_free(w->monitor);
            w->monitor = world_monitor_new(2, w->cfg.ram_lines);
            /* It may come back. */
            world_make(w, 0, 4, CXL_CACHE_M, V1);
            world_check_quiet(w);
            world_free(w);
        }
    }
}

/* ---- How much gets through ---- */

typedef struct Stream {
    const char *name;
    uint8_t opcode;
    unsigned up;                /* slots that a request takes, to the host */
    unsigned down;
    unsigned longest;           /* of its messages */
} Stream;

static const Stream streams[] = {
    { "RdCurr", CXL_CACHE_RD_CURR, 1, 5, 5 },
    { "ItoMWr", CXL_CACHE_I_TO_M_WR, 6, 1, 5 },
    { "CLFlush", CXL_CACHE_CL_FLUSH, 1, 1, 1 },
};

/* Whole rounds of the credits: before it is measured, and of what is */
#define STREAM_START    128
#define STREAM_LINES    1024

static unsigned completed, from, to;
static uint64_t from_ns, to_ns;

static void stream_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    completed++;
    if (completed == from) {
        from_ns = cxl_cache_time(w->home);
    } else if (completed == to) {
        to_ns = cxl_cache_time(w->home);
    }
}

/* Independent lines, one after the other: lines per second */
static double stream_rate(const Stream *stream, const CXLCacheTiming *timing,
                          unsigned credits, CXLCacheFlit flit)
{
    WorldConfig cfg = timed_config(1, timing);
    World *w;

    cfg.link.flit = flit;
    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = credits;
    }
    cfg.home.transactions = 2048;
    cfg.dev.requests = 2048;
    cfg.ram_lines = 256;
    cfg.no_log = cfg.no_monitor = true;
    w = world_new(&cfg);
    w->on_done = stream_done;
    completed = 0;
    from = STREAM_START;
    to = from + STREAM_LINES;
    for (unsigned i = 0; completed < to; ) {
        int ret = i < to ?
            world_ask(w, 0, stream->opcode, i % cfg.ram_lines, V1, ALL) :
            -EAGAIN;

        if (ret >= 0) {
            i++;
        } else {
            g_assert_cmpuint(cxl_cache_advance(w->home), >, 0);
        }
    }
    cxl_cache_settle(w->home);
    world_free(w);
    return (to - from) * 1e9 / (to_ns - from_ns);
}

static void test_throughput(gconstpointer opaque)
{
    const Stream *stream = opaque;
    static const uint64_t latency[] = { 50, 200, 1000 };
    static const unsigned credits[] = { 1, 8, 64 };
    static const uint64_t bandwidth[] = { 0, 500000000, 8000000000 };

    g_test_message("%s: latency ns, credits, bytes/s, flit; million lines/s, "
                   "by the formula", stream->name);
    for (unsigned i = 0; i < 3 * 3 * 3 * 2; i++) {
        CXLCacheFlit flit = i % 2 ? CXL_CACHE_FLIT_256B : CXL_CACHE_FLIT_68B;
        unsigned n = credits[i / 2 % 3];
        CXLCacheTiming timing = {
            .latency = latency[i / 6 % 3],
            .bandwidth = bandwidth[i / 18],
        };
        double slot = i % 2 ? 256.0 / 15 : 68.0 / 4;
        double ns = timing.bandwidth ? slot * 1e9 / timing.bandwidth : 0;
        double trip = 2 * timing.latency;
        double got = stream_rate(stream, &timing, n, flit);
        double want = n * 1e9 / (trip + stream->longest * ns);

        if (timing.bandwidth) {
            want = MIN(want, 1e9 / (ns * MAX(stream->up, stream->down)));
        }
        g_test_message("%6u %3u %11" PRIu64 " %4s  %9.3f %9.3f",
                       (unsigned)timing.latency, n, timing.bandwidth,
                       i % 2 ? "256B" : "68B", got / 1e6, want / 1e6);
        g_assert_cmpfloat(got, <=, want * 1.05);
        g_assert_cmpfloat(got, >=, want * 0.95);
    }
}

static void test_slots(void)
{
    CXLCacheMsg all = { .be = CXL_CACHE_BE_ALL }, part = { .be = 0xff };
    static const unsigned want[CXL_CACHE_NUM_CHANNELS] = { 1, 1, 5, 1, 1, 5 };

    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        g_assert_cmpuint(cxl_cache_slots(i, &all), ==, want[i]);
        g_assert_cmpuint(cxl_cache_slots(i, &part), ==,
                         want[i] + (i == CXL_CACHE_D2H_DATA));
    }
}

/* A wire of 17 bytes a slot: to the nanosecond */
static void test_wire(void)
{
    const CXLCacheTiming timing = { .latency = L, .bandwidth = 1700000000 };
    WorldConfig cfg = timed_config(1, &timing);
    World *w;

    cfg.link.flit = CXL_CACHE_FLIT_68B;
    w = world_new(&cfg);
    for (unsigned i = 0; i < 3; i++) {
        g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_CURR, i, 0, ALL), >=, 0);
    }
    /* A request takes 10 ns of the wire, what answers it 50. */
    g_assert_cmpuint(cxl_cache_next(w->home), ==, L + 10);
    at(w, L + 10);
    g_assert_cmpuint(cxl_cache_next(w->home), ==, L + 20);
    at(w, L + 30);
    g_assert_cmpuint(w->num_done, ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t due = L + 10 + 50 * (i + 1) + L;

        at(w, due - 1);
        g_assert_cmpuint(w->num_done, ==, i);
        at(w, due);
        g_assert_cmpuint(w->num_done, ==, i + 1);
    }
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_D2H_REQ)
                     .stalled[CXL_CACHE_STALL_WIRE], ==, 10 + 20);
    /* The answers are sent 10 ns apart. */
    g_assert_cmpuint(channel_time(w, 0, CXL_CACHE_H2D_DATA)
                     .stalled[CXL_CACHE_STALL_WIRE], ==, 40 + 80);
    cxl_cache_settle(w->home);
    world_free(w);
}

static const WorldTest tests[] = {
    { "off", test_off },
    { "config", test_config },
    { "seen", test_seen },
    { "late", test_late },
    { "jitter", test_jitter },
    { "h2d-first", test_h2d_first },
    { "defer", test_defer },
    { "T48-snoop-pushes-go", test_snoop_pushes_go },
    { "T42-snpinv-rdown-of-a-dropped-line", test_t42_dropped },
    { "T44-two-rdown", test_t44 },
    { "T67-credits", test_credits },
    { "T67-snoop-past-requests", test_snoop_past_requests },
    { "T68-no-snoop-credit", test_t68 },
    { "T69-no-cqid", test_t69 },
    { "T71-go-err-writepull", test_t71 },
    { "T72-viral", test_t72 },
    { "lost", test_lost },
    { "slots", test_slots },
    { "wire", test_wire },
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/time/", tests, ARRAY_SIZE(tests));
    for (unsigned i = 0; i < ARRAY_SIZE(cells); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/time/%s",
                                                cells[i].name);

        g_test_add_data_func(name, &cells[i], test_cell);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(races); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/time/%s",
                                                races[i].name);

        g_test_add_data_func(name, &races[i], test_race);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(streams); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/time/stream-%c",
                                                'a' + i);

        g_test_add_data_func(name, &streams[i], test_throughput);
    }
    return g_test_run();
}
