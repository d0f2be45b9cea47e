/*
 * CXL.cache: the fast gear against messages
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the gear does, and what it leaves alone, one by one. Each call is made
 * in a pair of worlds, see cxl-cache-twin.h: that it comes to what messages
 * would is seen by the way. Any history: test-cxl-cache-gear-random.
 */

#include "qemu/osdep.h"
#include "cxl-cache-twin.h"

#define ALL     UINT64_MAX
#define LINES   CXL_CACHE_PAGE_LINES

static void no_page(void)
{
    World *w = world(1);

    /* A world without pages: everything is left to messages. */
    w->link[0]->trace = NULL;
    g_assert_cmphex(cxl_cache_page_own(w->dev[0], WORLD_BASE, 4), ==, 0);
    world_free(w);
}

/* Room for two pages, and then some */
static WorldConfig config(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    cfg.ram_lines = 2 * LINES;
    cfg.home.sf_lines = 512;
    cfg.dev.size = 256 * CXL_CACHE_LINE_SIZE;
    return cfg;
}

static Twin *twin(unsigned devs)
{
    WorldConfig cfg = config(devs);

    return twin_new(&cfg);
}

static uint64_t gear(Twin *t, TwinKind kind, unsigned first, unsigned n)
{
    return twin_gear(t, &(TwinGear) {
        .kind = kind, .line = world_line(first), .n = n, .value = 0x7000,
    });
}

static uint64_t recall(Twin *t, CXLCacheHostOp op, uint64_t lines)
{
    return twin_gear(t, &(TwinGear) {
        .kind = TWIN_RECALL, .line = world_line(5), .lines = lines, .op = op,
    });
}

/* Messages, in both worlds */
static void ask(Twin *t, unsigned dev, unsigned opcode, unsigned n)
{
    t->what = "a request";
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(world_ask(t->w[i], dev, opcode, n, 0x9000 + n,
                                  CXL_CACHE_BE_ALL), >=, 0);
        cxl_cache_run(t->w[i]->home);
    }
    twin_compare(t);
}

static void store(Twin *t, unsigned dev, unsigned n)
{
    for (int i = 0; i < 2; i++) {
        world_store(t->w[i], dev, n, 0x9000 + n);
    }
}

static void each_line(Twin *t, CXLCacheState state)
{
    for (unsigned i = 0; i < LINES; i++) {
        g_assert_cmpint(world_state(t->w[0], 0, i), ==, state);
    }
}

/* What it is for */

static void test_own_write_evict(void)
{
    Twin *t = twin(1);

    g_assert_cmphex(gear(t, TWIN_OWN, 0, LINES), ==, ALL);
    each_line(t, CXL_CACHE_EN);
    g_assert_cmpuint(t->w[0]->ram[9].access, ==, CXL_CACHE_HOST_NONE);
    g_assert_cmphex(gear(t, TWIN_READ, 0, LINES), ==, 0);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, LINES), ==, ALL);
    each_line(t, CXL_CACHE_M);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, LINES), ==, ALL);
    g_assert_cmphex(gear(t, TWIN_READ, 0, LINES), ==, ALL);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, LINES), ==, ALL);
    each_line(t, CXL_CACHE_I);
    for (unsigned i = 0; i < LINES; i++) {
        g_assert_cmphex(world_ram(t->w[0], i), ==, 0x7000 + i);
        g_assert_cmpuint(t->w[0]->ram[i].access, ==, CXL_CACHE_HOST_RW);
    }
    g_assert_cmphex(gear(t, TWIN_READ, 0, LINES), ==, ALL);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, LINES), ==, ALL);
    /* Half a page, and lines that are clean */
    g_assert_cmphex(gear(t, TWIN_OWN, 3, 40), ==, ALL >> 24);
    ask(t, 0, CXL_CACHE_RD_OWN, 50);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 60), ==, ALL >> 4);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 64), ==, ALL);
    g_assert_cmpuint(cxl_cache_home_tracked(t->w[0]->home), ==, 0);
    twin_free(t);
}

/* Write-through: memory has it at once, and nobody has a line. */
static void test_put(void)
{
    Twin *t = twin(2);

    g_assert_cmphex(gear(t, TWIN_PUT, 0, LINES), ==, ALL);
    each_line(t, CXL_CACHE_I);
    for (unsigned i = 0; i < LINES; i++) {
        g_assert_cmphex(world_ram(t->w[0], i), ==, 0x7000 + i);
        g_assert_cmpuint(t->w[0]->ram[i].access, ==, CXL_CACHE_HOST_RW);
    }
    /* What is somebody's, be it its own, takes messages. */
    g_assert_cmphex(gear(t, TWIN_OWN, 9, 2), ==, 3);
    ask(t, 1, CXL_CACHE_RD_SHARED, 12);
    g_assert_cmphex(gear(t, TWIN_PUT, 8, 6), ==, 0x29);
    g_assert_cmphex(gear(t, TWIN_PUT, 9, 2), ==, 0);
    g_assert_cmphex(world_ram(t->w[0], 8), ==, 0x7000);
    g_assert_cmphex(world_ram(t->w[0], 13), ==, 0x7005);
    twin_free(t);
}

static void test_recall(gconstpointer opaque)
{
    CXLCacheHostOp op = GPOINTER_TO_UINT(opaque);
    bool read = op == CXL_CACHE_HOST_READ;
    const CXLCacheHomeStats *stats;
    Twin *t = twin(2);

    stats = cxl_cache_home_stats(t->w[0]->home);
    /* Nobody has anything: the host need not ask. */
    g_assert_cmphex(recall(t, op, 0xff), ==, 0xff);
    /* Modified, without data, clean, shared, shared by two, nobody's */
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 32), ==, UINT32_MAX);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 16), ==, 0xffff);
    ask(t, 0, CXL_CACHE_RD_OWN, 40);
    ask(t, 0, CXL_CACHE_RD_SHARED, 41);
    ask(t, 0, CXL_CACHE_RD_SHARED, 42);
    ask(t, 1, CXL_CACHE_RD_SHARED, 42);
    g_assert_cmphex(recall(t, op, ALL), ==, read ? ALL : ~(1ULL << 42));
    g_assert_cmpuint(stats->host_dirty[op], ==, 16);
    g_assert_cmpuint(stats->host_snoops[op], ==, read ? 33 : 34);
    g_assert_cmpint(world_state(t->w[0], 0, 0), ==,
                    read ? CXL_CACHE_S : CXL_CACHE_I);
    g_assert_cmpint(world_state(t->w[0], 0, 20), ==, CXL_CACHE_I);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(world_ram(t->w[0], i), ==, 0x7000 + i);
        g_assert_cmpuint(t->w[0]->ram[i].access, ==,
                         read ? CXL_CACHE_HOST_RO : CXL_CACHE_HOST_RW);
    }
    /* Each line of another device */
    g_assert_cmphex(gear(t, TWIN_OWN, 50, 5), ==, 31);
    ask(t, 1, CXL_CACHE_RD_OWN, 55);
    store(t, 1, 55);
    g_assert_cmphex(recall(t, op, 63ULL << 50), ==, 63ULL << 50);
    g_assert_cmphex(world_ram(t->w[0], 55), ==, 0x9000 + 55);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_PEEK, 1ULL << 63), ==, 0);
    twin_free(t);
}

/* What it leaves alone: everything, for as long as something is so */

static void no_trace(void *opaque, CXLCacheChannelId channel,
                     const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
}

static void not_seen(void *opaque, CXLCacheHomeTable table, unsigned row,
                     unsigned cell)
{
}

static void trace(World *w, bool on)
{
    w->link[0]->trace = on ? no_trace : NULL;
}

static void cells(World *w, bool on)
{
    w->home->seen = on ? not_seen : NULL;
}

static void hold(World *w, bool on)
{
    w->link[0]->hold_credits = on;
}

static void viral(World *w, bool on)
{
    cxl_cache_dev_set_viral(w->dev[0], on);
}

static void flush(World *w, bool on)
{
    w->dev[0]->flush = on ? CXL_CACHE_FLUSH_LINES : CXL_CACHE_FLUSH_IDLE;
}

/* As after an isolation that the device does not know of */
static void outstanding(World *w, bool on)
{
    w->dev[0]->outstanding = on;
}

static void in_flight(World *w, CXLCacheChannelId channel, bool on)
{
    CXLCacheChannel *ch = &w->link[0]->ch[channel];
    uint32_t at = ch->tail & ch->mask;

    if (on) {
        ch->msg[at] = (CXLCacheMsg) { };
        if (ch->data) {
            ch->data[at] = (CXLCacheLineData) { };
        }
    }
    ch->tail += on ? 1 : -1;
    ch->credits -= on ? 1 : -1;
}

static void d2h_message(World *w, bool on)
{
    in_flight(w, CXL_CACHE_D2H_REQ, on);
}

static void h2d_message(World *w, bool on)
{
    in_flight(w, CXL_CACHE_H2D_DATA, on);
}

static void credit_lost(World *w, bool on)
{
    w->link[0]->ch[CXL_CACHE_D2H_RSP].depth += on ? 1 : -1;
}

static void transaction(World *w, bool on)
{
    if (on) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 100, 0, 0), ==,
                        0);
    } else {
        cxl_cache_run(w->home);
    }
}

static void no_device(World *w, bool on)
{
    w->link[0]->dev = on ? NULL : w->dev[0];
}

static void poisoned(World *w, bool on)
{
    w->ram[63].poison = on;
}

static void failing(World *w, bool on)
{
    w->ram[63].fails = on ? WORLD_FAIL_READ : 0;
}

static void unlike(World *w, bool on)
{
    w->ram[63].decode ^= CXL_CACHE_MEM_CACHEABLE;
}

typedef struct Reason {
    const char *name;
    void (*set)(World *w, bool on);
} Reason;

static const Reason reasons[] = {
    { "trace", trace }, { "cells", cells }, { "credits-held", hold },
    { "viral", viral }, { "flush", flush },
    { "outstanding", outstanding }, { "d2h-message", d2h_message },
    { "h2d-message", h2d_message }, { "credit-lost", credit_lost },
    { "transaction", transaction }, { "no-device", no_device },
    { "poison", poisoned }, { "failing", failing }, { "unlike", unlike },
};

/* Returns: how many of the calls did something */
static unsigned all_calls(Twin *t)
{
    return !!gear(t, TWIN_READ, 0, 40) + !!gear(t, TWIN_OWN, 0, 40) +
           !!recall(t, CXL_CACHE_HOST_READ, 0x0f) +
           !!recall(t, CXL_CACHE_HOST_WRITE, 0xf0) +
           !!recall(t, CXL_CACHE_HOST_FLUSH, 0xf00) +
           !!gear(t, TWIN_EVICT, 12, 4) + !!gear(t, TWIN_PUT, 40, 4);
}

static void test_reason(gconstpointer opaque)
{
    const Reason *reason = opaque;
    Twin *t = twin(2);

    g_assert_cmphex(gear(t, TWIN_OWN, 0, 24), ==, 0xffffff);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 16), ==, 0xffff);
    /* Something that the transaction snoops */
    ask(t, 1, CXL_CACHE_RD_OWN, 100);
    for (int i = 0; i < 2; i++) {
        reason->set(t->w[i], true);
    }
    g_assert_cmpuint(all_calls(t), ==, 0);
    for (int i = 0; i < 2; i++) {
        reason->set(t->w[i], false);
    }
    g_assert_cmpuint(all_calls(t), ==, 7);
    twin_free(t);
}

/* Who was isolated has lines that nobody knows of, until its reset. */
static void test_forgotten(void)
{
    Twin *t = twin(2);

    ask(t, 0, CXL_CACHE_RD_SHARED, 3);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(cxl_cache_home_isolate(t->w[i]->home, 0), ==, 0);
    }
    g_assert_cmpint(world_state(t->w[0], 0, 3), ==, CXL_CACHE_S);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 8), ==, 0);
    g_assert_cmphex(gear(t, TWIN_READ, 8, 8), ==, 0);
    for (int i = 0; i < 2; i++) {
        cxl_cache_dev_reset(t->w[i]->dev[0]);
    }
    g_assert_cmphex(gear(t, TWIN_READ, 0, 8), ==, 0xff);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 8), ==, 0xff);
    twin_free(t);
}

/* Who has no home, or one that does not know the device's messages */
static void test_detached(void)
{
    Twin *t = twin(3);

    for (int i = 0; i < 2; i++) {
        cxl_cache_home_detach(t->w[i]->home, 0);
    }
    g_assert_cmphex(gear(t, TWIN_READ, 0, 8), ==, 0);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 8), ==, 0);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 8), ==, 0);
    g_assert_cmphex(gear(t, TWIN_PUT, 0, 8), ==, 0);
    /* Of the others each is itself, and a number is free. */
    for (unsigned dev = 1; dev < 3; dev++) {
        g_assert_cmphex(twin_gear(t, &(TwinGear) {
            .kind = TWIN_OWN, .dev = dev, .line = WORLD_BASE + dev * 8, .n = 8,
        }), ==, 0xff);
        g_assert_cmphex(cxl_cache_home_tracks(t->w[0]->home,
                                              WORLD_BASE + dev * 8, NULL), ==,
                        1 << dev);
    }
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_WRITE, 0xffffff), ==, 0xffffff);
    twin_free(t);
}

/* While the home is at work, links may be idle, and no transaction open. */
static uint64_t in_callback;

static void at_host_done(World *w, const CXLCacheHostDone *done)
{
    in_callback |= cxl_cache_page_own(w->dev[0], WORLD_BASE, 4) |
                   cxl_cache_page_recall(w->home, WORLD_BASE, 1,
                                         CXL_CACHE_HOST_READ);
}

static void test_home_at_work(void)
{
    WorldConfig cfg = config(1);
    World *w;

    cfg.no_log = cfg.no_monitor = cfg.pages = true;
    w = world_new(&cfg);
    w->on_host_done = at_host_done;
    in_callback = 0;
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    g_assert_cmphex(in_callback, ==, 0);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    at_host_done(w, NULL);
    g_assert_cmphex(in_callback, ==, 15);
    world_free(w);
}

static void decode_page(Twin *t, unsigned without)
{
    for (int i = 0; i < 2; i++) {
        for (unsigned n = 0; n < LINES; n++) {
            t->w[i]->ram[n].decode = (CXL_CACHE_MEM_READ |
                                      CXL_CACHE_MEM_WRITE |
                                      CXL_CACHE_MEM_CACHEABLE) & ~without;
        }
    }
}

/* Pages that cannot be read, or written, or kept */
static void test_memory(void)
{
    Twin *t = twin(1);

    g_assert_cmphex(gear(t, TWIN_OWN, 0, 8), ==, 0xff);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 4), ==, 0xf);

    decode_page(t, CXL_CACHE_MEM_CACHEABLE);
    g_assert_cmphex(gear(t, TWIN_OWN, 8, 4), ==, 0);
    g_assert_cmphex(gear(t, TWIN_READ, 8, 4), ==, 0xf);
    g_assert_cmphex(gear(t, TWIN_PUT, 8, 4), ==, 0xf);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 1), ==, 1);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_READ, 2), ==, 2);

    decode_page(t, CXL_CACHE_MEM_WRITE);
    g_assert_cmphex(gear(t, TWIN_OWN, 8, 4), ==, 0);
    g_assert_cmphex(gear(t, TWIN_READ, 8, 4), ==, 0xf);
    g_assert_cmphex(gear(t, TWIN_PUT, 8, 4), ==, 0);
    g_assert_cmphex(gear(t, TWIN_EVICT, 2, 1), ==, 0);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_READ, 4), ==, 0);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_FLUSH, 4), ==, 0);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_WRITE, 4), ==, 0);

    decode_page(t, CXL_CACHE_MEM_READ);
    g_assert_cmphex(gear(t, TWIN_READ, 8, 4), ==, 0);
    g_assert_cmphex(gear(t, TWIN_PUT, 8, 4), ==, 0xf);
    g_assert_cmphex(gear(t, TWIN_OWN, 8, 4), ==, 0);
    g_assert_cmphex(gear(t, TWIN_EVICT, 2, 1), ==, 0);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_READ, 4), ==, 0);
    twin_free(t);
}

/* Addresses: no line of more than 46 bits, no range of two pages */
static void test_range(void)
{
    Twin *t = twin(1);
    TwinGear far = { .line = WORLD_BASE + CXL_CACHE_LINE_MAX, .n = 4 };

    for (TwinKind kind = 0; kind < TWIN_RECALL; kind++) {
        g_assert_cmphex(gear(t, kind, 0, 0), ==, 0);
        g_assert_cmphex(gear(t, kind, LINES, 0), ==, 0);
        far.kind = kind;
        g_assert_cmphex(twin_gear(t, &far), ==, 0);
    }
    far.kind = TWIN_RECALL;
    far.lines = 1;
    g_assert_cmphex(twin_gear(t, &far), ==, 0);
    g_assert_cmphex(gear(t, TWIN_READ, 60, 5), ==, 0);
    g_assert_cmphex(gear(t, TWIN_OWN, 60, 5), ==, 0);
    g_assert_cmphex(gear(t, TWIN_OWN, 60, 4), ==, 15);
    g_assert_cmphex(gear(t, TWIN_OWN, 64, 4), ==, 15);
    g_assert_cmphex(gear(t, TWIN_EVICT, 60, 5), ==, 0);
    g_assert_cmphex(gear(t, TWIN_OWN, 1, 64), ==, 0);
    /* Memory ends within the next page. */
    g_assert_cmphex(gear(t, TWIN_READ, 2 * LINES, 1), ==, 0);
    twin_free(t);
}

/* What it leaves alone: some lines, and does the others */

static void test_poison(void)
{
    Twin *t = twin(1);

    g_assert_cmphex(gear(t, TWIN_OWN, 0, 4), ==, 15);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 4), ==, 15);
    ask(t, 0, CXL_CACHE_RD_OWN, 4);
    for (int i = 0; i < 2; i++) {
        CXLCacheDev *dev = t->w[i]->dev[0];

        for (unsigned k = 0; k < dev->sets * dev->ways; k++) {
            uint64_t n = cxl_cache_tag_line(dev->tags[k]) - WORLD_BASE;

            dev->tags[k] |= n == 1 || n == 4 ? CXL_CACHE_TAG_POISON : 0;
        }
    }
    g_assert_cmphex(gear(t, TWIN_READ, 0, 5), ==, 0x0d);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_READ, 3), ==, 1);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_WRITE, 3), ==, 1);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 5), ==, 0x0d);
    /* Clean poison is in memory, too: only messages say so, but it can go. */
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_WRITE, 0x10), ==, 0x10);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 5), ==, 2);
    g_assert_cmphex(gear(t, TWIN_READ, 0, 5), ==, 0x1f);
    twin_free(t);
}

static void test_others_lines(void)
{
    Twin *t = twin(2);

    ask(t, 1, CXL_CACHE_RD_OWN, 0);
    store(t, 1, 0);
    ask(t, 1, CXL_CACHE_RD_SHARED, 1);
    ask(t, 0, CXL_CACHE_RD_SHARED, 1);
    ask(t, 0, CXL_CACHE_RD_SHARED, 2);
    g_assert_cmphex(gear(t, TWIN_READ, 0, 4), ==, 0x0e);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 4), ==, 0x08);
    g_assert_cmphex(gear(t, TWIN_WRITE, 0, 4), ==, 0x08);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 4), ==, 0x09);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_WRITE, 0x0f), ==, 0x0d);
    twin_free(t);
}

/* A line that the host does not give away takes all of the call's. */
static void test_pinned(void)
{
    Twin *t = twin(1);

    g_assert_cmphex(gear(t, TWIN_OWN, 0, 2), ==, 3);
    for (int i = 0; i < 2; i++) {
        t->w[i]->ram[3].pinned = true;
    }
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 8), ==, 3);
    g_assert_cmpint(world_state(t->w[0], 0, 2), ==, CXL_CACHE_I);
    g_assert_cmphex(gear(t, TWIN_OWN, 4, 4), ==, 15);
    g_assert_cmphex(gear(t, TWIN_READ, 3, 1), ==, 1);
    twin_free(t);
}

/* Sets of two in the cache, or in the filter: the third has no room. */
static void test_room(void)
{
    WorldConfig cfg = config(1);
    Twin *t;

    cfg.dev.ways = 2;
    cfg.dev.size = 32 * CXL_CACHE_LINE_SIZE;
    t = twin_new(&cfg);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, LINES), ==, UINT32_MAX);
    g_assert_cmpuint(t->w[0]->ram[32].access, ==, CXL_CACHE_HOST_RW);
    /* No victim for it */
    g_assert_cmphex(gear(t, TWIN_OWN, 32, 32), ==, 0);
    g_assert_cmphex(gear(t, TWIN_EVICT, 3, 1), ==, 1);
    g_assert_cmphex(gear(t, TWIN_OWN, 32, 32), ==, 8);
    twin_free(t);

    cfg = config(1);
    cfg.home.sf_ways = 2;
    cfg.home.sf_lines = 32;
    t = twin_new(&cfg);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, LINES), ==, UINT32_MAX);
    g_assert_cmphex(gear(t, TWIN_OWN, 32, 32), ==, 0);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_FLUSH, 1), ==, 1);
    g_assert_cmphex(gear(t, TWIN_OWN, 32, 32), ==, 1);
    twin_free(t);
}

/* A clean line that leaves with its data, or without a word */
static void test_clean(gconstpointer opaque)
{
    WorldConfig cfg = config(1);
    Twin *t;

    cfg.dev.clean_evict = GPOINTER_TO_UINT(opaque);
    t = twin_new(&cfg);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 3), ==, 7);
    g_assert_cmphex(gear(t, TWIN_WRITE, 1, 1), ==, 1);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 4), ==, 0x0a);
    for (int i = 0; i < 2; i++) {
        g_assert_true(cxl_cache_dev_drop(t->w[i]->dev[0], WORLD_BASE));
    }
    /* The filter has it still. */
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 1), ==, 0);
    g_assert_cmphex(gear(t, TWIN_READ, 0, 1), ==, 0);
    g_assert_cmphex(gear(t, TWIN_EVICT, 0, 1), ==, 1);
    g_assert_cmphex(recall(t, CXL_CACHE_HOST_READ, 1), ==, 1);
    g_assert_cmphex(gear(t, TWIN_OWN, 0, 1), ==, 1);
    twin_free(t);
}

int main(int argc, char **argv)
{
    static const WorldTest tests[] = {
        { "no-page", no_page },
        { "own-write-evict", test_own_write_evict },
        { "put", test_put },
        { "forgotten", test_forgotten },
        { "detached", test_detached },
        { "home-at-work", test_home_at_work },
        { "memory", test_memory },
        { "range", test_range },
        { "poison", test_poison },
        { "others-lines", test_others_lines },
        { "pinned", test_pinned },
        { "room", test_room },
    };

    g_test_init(&argc, &argv, NULL);
    world_add_tests("/cxl-cache/gear/", tests, ARRAY_SIZE(tests));
    g_test_add_data_func("/cxl-cache/gear/recall/read",
                         GUINT_TO_POINTER(CXL_CACHE_HOST_READ), test_recall);
    g_test_add_data_func("/cxl-cache/gear/recall/write",
                         GUINT_TO_POINTER(CXL_CACHE_HOST_WRITE), test_recall);
    g_test_add_data_func("/cxl-cache/gear/recall/flush",
                         GUINT_TO_POINTER(CXL_CACHE_HOST_FLUSH), test_recall);
    g_test_add_data_func("/cxl-cache/gear/clean/data",
                         GUINT_TO_POINTER(CXL_CACHE_CLEAN_DATA), test_clean);
    g_test_add_data_func("/cxl-cache/gear/clean/silent",
                         GUINT_TO_POINTER(CXL_CACHE_CLEAN_SILENT), test_clean);
    for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/gear/not-with/%s",
                                                reasons[i].name);

        g_test_add_data_func(name, &reasons[i], test_reason);
    }
    return g_test_run();
}
