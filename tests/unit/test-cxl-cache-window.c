/*
 * The window on a CXL.cache device's lines, bit by bit
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a guest can only catch by luck, messages under way, is made here step
 * by step. The slot is taken apart by the numbers of its documentation
 * (hw/cxl/cache_mem_region.h), not by the window's own macros.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/log.h"
#include "../../hw/cxl/cache_mem_internal.h"
#include "cxl-cache-world.h"

#define ALL CXL_CACHE_BE_ALL

enum { D2H_REQ, D2H_RSP, D2H_DATA, H2D_REQ, H2D_RSP, H2D_DATA, NUM_DESC };

/* MESI as the window has it */
enum { MESI_S = 1, MESI_E = 2, MESI_I = 3, MESI_M = 6 };

/* One device of a world, with a window */
typedef struct Window {
    CacheMemRegion region;
    CacheMemDev cm;
    MemoryRegion mr;
    const MemoryRegionOps *ops;
    void *opaque;
    uint64_t size;
} Window;

typedef struct Slot {
    CXLCacheLineData data;
    uint64_t ats;
    uint8_t state;
    uint8_t nreq;
    uint64_t desc[NUM_DESC];
} Slot;

typedef struct Desc {
    bool valid;
    unsigned channel;
    unsigned opcode;
    unsigned cqid;
    unsigned uqid;
    unsigned credits;
    unsigned header;
} Desc;

/* What the window needs of the rest of QEMU */

static Window *initializing, *reading;
static bool cacheable;

void memory_region_init_io(MemoryRegion *mr, Object *owner,
                           const MemoryRegionOps *ops, void *opaque,
                           const char *name, uint64_t size)
{
    g_assert_true(mr == &initializing->mr);
    initializing->ops = ops;
    initializing->opaque = opaque;
    initializing->size = size;
}

unsigned cache_mem_host_decode(CacheMemRegion *region, uint64_t line)
{
    /* "With the lock held" */
    g_assert_cmpint(qemu_mutex_trylock(&reading->region.lock), !=, 0);
    return CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
           (cacheable ? CXL_CACHE_MEM_CACHEABLE : 0);
}

static void window_open(Window *win, World *w, unsigned dev)
{
    memset(win, 0, sizeof(*win));
    qemu_mutex_init(&win->region.lock);
    win->region.home = w->home;
    win->cm.region = &win->region;
    win->cm.link = w->link[dev];
    win->cm.dev = w->dev[dev];
    win->cm.name = (char *)"dev";
    win->cm.config.rescue = true;
    initializing = win;
    cacheable = true;
    cache_mem_dev_window(&win->cm, &win->mr, NULL);
}

static void window_close(Window *win)
{
    qemu_mutex_destroy(&win->region.lock);
}

static uint64_t get(Window *win, uint64_t addr, unsigned size)
{
    uint64_t val;

    reading = win;
    val = win->ops->read(win->opaque, addr, size);
    if (size < 8) {
        g_assert_cmphex(val >> (size * 8), ==, 0);
    }
    return val;
}

static Slot slot_at(Window *win, unsigned index)
{
    uint64_t at = index * 128;
    Slot slot;

    for (int i = 0; i < 64; i += 8) {
        stq_le_p(&slot.data.b[i], get(win, at + i, 8));
    }
    slot.ats = get(win, at + 64, 8);
    slot.state = get(win, at + 72, 1);
    slot.nreq = get(win, at + 73, 1);
    for (int i = 74; i < 80; i++) {
        g_assert_cmphex(get(win, at + i, 1), ==, 0);
    }
    for (int i = 0; i < NUM_DESC; i++) {
        slot.desc[i] = get(win, at + 80 + 8 * i, 8);
    }
    return slot;
}

/* The slot that has line @n of the world, exactly one */
static Slot slot_of(Window *win, World *w, unsigned n)
{
    uint64_t addr = world_line(n) << 6;
    int found = -1;

    for (unsigned i = 0; i < cxl_cache_dev_num_lines(win->cm.dev); i++) {
        uint64_t ats = get(win, i * 128 + 64, 8);

        if ((ats & 1) && (ats & ~3ULL) == addr) {
            g_assert_cmpint(found, ==, -1);
            found = i;
        }
    }
    g_assert_cmpint(found, >=, 0);
    return slot_at(win, found);
}

static Desc desc_of(const Slot *slot, unsigned channel)
{
    uint64_t d = slot->desc[channel];

    return (Desc) {
        .valid = d >> 63,
        .channel = (d >> 60) & 7,
        .opcode = (d >> 55) & 0x1f,
        .cqid = (d >> 43) & 0xfff,
        .uqid = (d >> 31) & 0xfff,
        .credits = (d >> 24) & 0x7f,
        .header = d & 0xffffff,
    };
}

static void check_empty(const Slot *slot)
{
    static const CXLCacheLineData zero;

    g_assert_cmpmem(&slot->data, 64, &zero, 64);
    g_assert_cmphex(slot->ats, ==, 0);
    g_assert_cmphex(slot->state, ==, MESI_I);
    g_assert_cmpuint(slot->nreq, ==, 0);
    for (int i = 0; i < NUM_DESC; i++) {
        g_assert_cmphex(slot->desc[i], ==, 0);
    }
}

/* Exactly these descriptors are there, a bit for each. */
static void check_descs(const Slot *slot, unsigned which)
{
    for (int i = 0; i < NUM_DESC; i++) {
        Desc d = desc_of(slot, i);

        g_assert_cmpint(d.valid, ==, (which >> i) & 1);
        if (d.valid) {
            g_assert_cmpuint(d.channel, ==, i);
        } else {
            g_assert_cmphex(slot->desc[i], ==, 0);
        }
    }
    g_assert_cmpuint(slot->nreq, ==, ctpop8(which));
}

#define SLOTS_SIZE (2048 * 128)

/* As large for any cache: what is behind its lines reads as 0. */
static void test_size(void)
{
    static const struct {
        unsigned lines;
        unsigned ways;
    } caches[] = {
        { 16, 4 }, { 12, 3 }, { 24, 3 }, { 20, 4 }, { 1, 1 },
    };

    for (int i = 0; i < ARRAY_SIZE(caches); i++) {
        WorldConfig cfg = world_config(1);
        Window win;
        World *w;

        cfg.dev.size = caches[i].lines * 64;
        cfg.dev.ways = caches[i].ways;
        w = world_new(&cfg);
        window_open(&win, w, 0);
        g_assert_cmpuint(win.size, ==, 2 * SLOTS_SIZE);
        g_assert_cmphex(get(&win, SLOTS_SIZE, 4), ==, caches[i].lines);
        g_assert_cmphex(get(&win, SLOTS_SIZE, 8), ==,
                        2048ull << 32 | caches[i].lines);
        for (unsigned n = 0; n < caches[i].lines; n++) {
            Slot slot = slot_at(&win, n);

            check_empty(&slot);
        }
        for (uint64_t at = caches[i].lines * 128; at < SLOTS_SIZE; at += 8) {
            g_assert_cmphex(get(&win, at, 8), ==, 0);
        }
        window_close(&win);
        world_free(w);
    }
}

static void test_states(void)
{
    static const struct {
        CXLCacheState state;
        uint8_t mesi;
        uint64_t value;
    } states[] = {
        { CXL_CACHE_S, MESI_S, WORLD_V0 },
        { CXL_CACHE_E, MESI_E, WORLD_V0 + 1 },
        { CXL_CACHE_M, MESI_M, 0x5151 },
        { CXL_CACHE_EN, MESI_E, 0 },
    };
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    Window win;

    window_open(&win, w, 0);
    for (int i = 0; i < ARRAY_SIZE(states); i++) {
        CXLCacheLineData want = { };
        Slot slot;

        world_make(w, 0, i, states[i].state, states[i].value);
        if (states[i].state != CXL_CACHE_EN) {
            want = world_data(states[i].value);
        }
        slot = slot_of(&win, w, i);
        g_assert_cmphex(slot.state, ==, states[i].mesi);
        g_assert_cmphex(slot.ats, ==, world_line(i) << 6 | 3);
        g_assert_cmpmem(&slot.data, 64, &want, 64);
        check_descs(&slot, 0);
        cacheable = false;
        slot = slot_of(&win, w, i);
        g_assert_cmphex(slot.ats, ==, world_line(i) << 6 | 1);
        cacheable = true;
        /* No copy is kept of what only the device has, or may have */
        win.cm.config.rescue = false;
        slot = slot_of(&win, w, i);
        g_assert_cmphex(slot.ats, ==, world_line(i) << 6 |
                        (states[i].state == CXL_CACHE_S ? 3 : 1));
        win.cm.config.rescue = true;
    }
    window_close(&win);
    world_free(w);
}

/* Data that wait in a line without data of its own do show, and are marked. */
static void test_staged(void)
{
    CXLCacheLineData data = world_data(0x5151);
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    Window win;
    Slot slot;

    window_open(&win, w, 0);
    world_make(w, 0, 0, CXL_CACHE_EN, 0);
    g_assert_true(cxl_cache_dev_stage(w->dev[0], world_line(0), &data));
    slot = slot_of(&win, w, 0);
    g_assert_cmphex(slot.state, ==, MESI_E | 0x40);
    g_assert_cmpmem(&slot.data, 64, &data, 64);
    g_assert_true(cxl_cache_dev_write(w->dev[0], world_line(0), &data,
                                      CXL_CACHE_BE_ALL));
    slot = slot_of(&win, w, 0);
    g_assert_cmphex(slot.state, ==, MESI_M);
    window_close(&win);
    world_free(w);
}

/* Set by set, and way by way in each; a way's old bytes do not show. */
static void test_order(void)
{
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    bool seen[16] = { };
    Window win;

    window_open(&win, w, 0);
    for (int i = 0; i < 16; i++) {
        world_make(w, 0, i, CXL_CACHE_M, i + 1);
    }
    for (int i = 0; i < 16; i++) {
        Slot slot = slot_at(&win, i);
        unsigned n = (slot.ats >> 6) - WORLD_BASE;

        g_assert_cmpuint(n, <, 16);
        g_assert_false(seen[n]);
        seen[n] = true;
        g_assert_cmpuint(n % 4, ==, i / 4);
        g_assert_cmphex(world_value(&slot.data), ==, n + 1);
    }
    world_host(w, CXL_CACHE_HOST_FLUSH, 5, 0);
    world_clear(w);
    for (int i = 0; i < 16; i++) {
        Slot slot = slot_at(&win, i);

        if (!(slot.ats & 1)) {
            check_empty(&slot);
            g_assert_true(seen[5]);
            seen[5] = false;
        }
    }
    g_assert_false(seen[5]);
    /* The line that comes next into this way has no data yet. */
    world_ask(w, 0, CXL_CACHE_RD_OWN, 5, 0, ALL);
    {
        static const CXLCacheLineData zero;
        Slot slot = slot_of(&win, w, 5);

        g_assert_cmpmem(&slot.data, 64, &zero, 64);
        g_assert_cmphex(slot.state, ==, MESI_I);
    }
    world_random_run(w);
    window_close(&win);
    world_free(w);
}

/* A cache of three pages: a line is in the one that its set is in. */
static void test_page(void)
{
    WorldConfig cfg = world_config(1);
    World *w;
    Window win;
    Slot slot;

    cfg.dev.size = 3 * 2048 * 64;
    cfg.dev.ways = 2;
    w = world_new(&cfg);
    window_open(&win, w, 0);
    /* 3072 sets: line 5 of the world is in one of the three pages */
    world_make(w, 0, 5, CXL_CACHE_M, 0x55);
    for (unsigned page = 0; page < 3; page++) {
        unsigned set = world_line(5) % 3072;
        unsigned index = set * 2;

        win.ops->write(win.opaque, SLOTS_SIZE + 8, page, 4);
        g_assert_cmphex(get(&win, SLOTS_SIZE + 8, 4), ==, page);
        slot = slot_at(&win, index % 2048);
        if (index / 2048 == page) {
            g_assert_cmphex(slot.ats, ==, world_line(5) << 6 | 3);
            g_assert_cmphex(world_value(&slot.data), ==, 0x55);
        } else {
            check_empty(&slot);
        }
    }
    win.ops->write(win.opaque, SLOTS_SIZE + 8, 3, 4);
    g_assert_cmphex(get(&win, SLOTS_SIZE + 8, 4), ==, 2);
    window_close(&win);
    world_free(w);
}

/* Sets in any number: a line is in the set of its address modulo that. */
static void test_sets(void)
{
    WorldConfig cfg = world_config(1);
    World *w;
    Window win;

    cfg.dev.size = 20 * 64;
    cfg.dev.ways = 4;
    w = world_new(&cfg);
    window_open(&win, w, 0);
    for (int i = 0; i < 16; i++) {
        world_make(w, 0, i, CXL_CACHE_M, i + 1);
    }
    for (int i = 0; i < 16; i++) {
        g_assert_cmpint(world_state(w, 0, i), ==, CXL_CACHE_M);
    }
    for (int i = 0; i < 20; i++) {
        Slot slot = slot_at(&win, i);

        if (slot.ats & 1) {
            uint64_t line = slot.ats >> 6;

            g_assert_cmpuint(line % 5, ==, i / 4);
            g_assert_cmphex(world_value(&slot.data), ==,
                            line - WORLD_BASE + 1);
        }
    }
    while (cxl_cache_dev_flush(w->dev[0]) == -EAGAIN) {
        world_random_run(w);
    }
    world_random_run(w);
    for (int i = 0; i < 16; i++) {
        g_assert_cmpint(world_state(w, 0, i), ==, CXL_CACHE_I);
    }
    window_close(&win);
    world_free(w);
}

static void test_poison(void)
{
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    Window win;
    Slot slot;

    window_open(&win, w, 0);
    w->ram[3].poison = true;
    world_make(w, 0, 3, CXL_CACHE_S, 0);
    world_make(w, 0, 4, CXL_CACHE_S, 0);
    slot = slot_of(&win, w, 3);
    g_assert_cmphex(slot.state, ==, MESI_S | 0x80);
    slot = slot_of(&win, w, 4);
    g_assert_cmphex(slot.state, ==, MESI_S);
    window_close(&win);
    world_free(w);
}

/* All sizes and places show the same bytes. */
static void test_sizes(void)
{
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    g_autofree uint8_t *image = NULL;
    Window win;

    window_open(&win, w, 0);
    for (int i = 0; i < 7; i++) {
        world_make(w, 0, i, CXL_CACHE_M, 0x123456 + i);
    }
    world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 2, 0, ALL);
    image = g_malloc(32 * 128);
    for (uint64_t at = 0; at < 32 * 128; at += 8) {
        stq_le_p(image + at, get(&win, at, 8));
    }
    for (uint64_t at = 0; at < 32 * 128; at++) {
        g_assert_cmphex(get(&win, at, 1), ==, image[at]);
        if (at % 2 == 0) {
            g_assert_cmphex(get(&win, at, 2), ==, lduw_le_p(image + at));
        }
        if (at % 4 == 0) {
            g_assert_cmphex(get(&win, at, 4), ==,
                            (uint32_t)ldl_le_p(image + at));
        }
    }
    world_random_run(w);
    window_close(&win);
    world_free(w);
}

/* Messages of a read that finds the line modified elsewhere, one by one */
static void test_read_messages(void)
{
    WorldConfig cfg = world_config(2);
    World *w = world_new(&cfg);
    Window asks, owns;
    CXLCacheHeader header;
    Slot slot;
    Desc d;
    int cqid;

    window_open(&asks, w, 0);
    window_open(&owns, w, 1);
    world_make(w, 1, 9, CXL_CACHE_M, 0x77);
    world_make(w, 1, 10, CXL_CACHE_M, 0x78);
    /* Not to be taken for it: older messages about another line */
    world_ask(w, 0, CXL_CACHE_RD_OWN, 10, 0, ALL);
    cqid = world_ask(w, 0, CXL_CACHE_RD_SHARED, 9, 0, ALL);
    g_assert_cmpint(cqid, >, 0);
    slot = slot_of(&asks, w, 9);
    check_descs(&slot, 1 << D2H_REQ);
    d = desc_of(&slot, D2H_REQ);
    g_assert_cmpuint(d.opcode, ==, 3);
    g_assert_cmpuint(d.cqid, ==, cqid);
    g_assert_cmpuint(d.uqid, ==, 0);
    g_assert_cmpuint(d.credits, ==, 14);
    g_assert_cmpuint(d.header, ==, 0);

    world_must(w, 0, CXL_CACHE_D2H_REQ);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    slot = slot_of(&asks, w, 9);
    check_descs(&slot, 0);
    slot = slot_of(&owns, w, 9);
    check_descs(&slot, 1 << H2D_REQ);
    d = desc_of(&slot, H2D_REQ);
    g_assert_cmpuint(d.opcode, ==, 1);
    g_assert_cmpuint(d.uqid, ==,
                     world_last(w, 1, CXL_CACHE_H2D_REQ)->msg.uqid);
    g_assert_cmpuint(d.uqid, >, 0);
    g_assert_cmpuint(d.credits, ==, 14);
    g_assert_cmphex(slot.state, ==, MESI_M);

    world_must(w, 1, CXL_CACHE_H2D_REQ);
    slot = slot_of(&owns, w, 9);
    check_descs(&slot, 1 << H2D_REQ);
    world_must(w, 1, CXL_CACHE_H2D_REQ);
    slot = slot_of(&owns, w, 9);
    check_descs(&slot, 1 << D2H_RSP | 1 << D2H_DATA);
    g_assert_cmphex(slot.state, ==, MESI_S);
    g_assert_cmpuint(desc_of(&slot, D2H_RSP).opcode, ==, 7);
    g_assert_cmpuint(desc_of(&slot, D2H_RSP).uqid, ==, d.uqid);
    g_assert_cmpuint(desc_of(&slot, D2H_RSP).header, ==, 0);
    g_assert_cmpuint(desc_of(&slot, D2H_DATA).uqid, ==, d.uqid);
    cxl_cache_pack(CXL_CACHE_D2H_DATA, CXL_CACHE_FLIT_256B,
                   &world_last(w, 1, CXL_CACHE_D2H_DATA)->msg, &header);
    g_assert_cmphex(header.w[0] & 1, ==, 1);
    g_assert_cmphex(desc_of(&slot, D2H_DATA).header, ==, header.w[0]);

    world_must(w, 1, CXL_CACHE_D2H_RSP);
    world_must(w, 1, CXL_CACHE_D2H_RSP);
    slot = slot_of(&owns, w, 9);
    check_descs(&slot, 1 << D2H_DATA);
    world_must(w, 1, CXL_CACHE_D2H_DATA);
    world_must(w, 1, CXL_CACHE_D2H_DATA);
    slot = slot_of(&owns, w, 9);
    check_descs(&slot, 0);

    slot = slot_of(&asks, w, 9);
    check_descs(&slot, 1 << H2D_RSP | 1 << H2D_DATA);
    d = desc_of(&slot, H2D_RSP);
    g_assert_cmpuint(d.opcode, ==, 4);
    g_assert_cmpuint(d.cqid, ==, cqid);
    /* A GO has a state where a pull has the UQID. */
    g_assert_cmpuint(d.uqid, ==, 0);
    g_assert_cmpuint(desc_of(&slot, H2D_DATA).cqid, ==, cqid);

    world_random_run(w);
    slot = slot_of(&asks, w, 9);
    check_descs(&slot, 0);
    g_assert_cmphex(slot.state, ==, MESI_S);
    g_assert_cmphex(world_value(&slot.data), ==, 0x77);
    window_close(&asks);
    window_close(&owns);
    world_free(w);
}

/* An evict: the pull says to which of the host's buffers the data go. */
static void test_evict_messages(void)
{
    WorldConfig cfg = world_config(2);
    World *w = world_new(&cfg);
    unsigned uqid;
    Window win;
    Slot slot;
    int cqid;

    window_open(&win, w, 0);
    world_make(w, 0, 1, CXL_CACHE_M, 0x66);
    /* So that neither ID is 0, which a field that is not filled in has, too */
    world_make(w, 1, 0, CXL_CACHE_M, 0x65);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    world_ask(w, 0, CXL_CACHE_RD_OWN, 2, 0, ALL);
    cqid = world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 1, 0, ALL);
    g_assert_cmpint(cqid, >, 0);
    slot = slot_of(&win, w, 1);
    check_descs(&slot, 1 << D2H_REQ);
    g_assert_cmpuint(desc_of(&slot, D2H_REQ).opcode, ==, 0xa);
    g_assert_cmpuint(desc_of(&slot, D2H_REQ).cqid, ==, cqid);
    g_assert_cmphex(slot.state, ==, MESI_M);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    slot = slot_of(&win, w, 1);
    check_descs(&slot, 1 << H2D_RSP);
    uqid = world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.rsp_data;
    g_assert_cmpuint(uqid, >, 0);
    g_assert_cmpuint(desc_of(&slot, H2D_RSP).opcode, ==, 5);
    g_assert_cmpuint(desc_of(&slot, H2D_RSP).uqid, ==, uqid);
    g_assert_cmpuint(desc_of(&slot, H2D_RSP).cqid, ==, cqid);
    world_random_run(w);
    window_close(&win);
    world_free(w);
}

static Desc inject_and_look(World *w, Window *win,
                            const CXLCacheMsg *msg, unsigned channel)
{
    Slot slot;

    g_assert_true(cxl_cache_link_inject(w->link[0], channel, msg, NULL));
    slot = slot_of(win, w, 7);
    check_descs(&slot, 1 << channel);
    return desc_of(&slot, channel);
}

/* The oldest of several, all values of the fields, credits above 127 */
static void test_fields(void)
{
    WorldConfig cfg = world_config(1);
    CXLCacheMsg msg = { .opcode = 0x1f, .cqid = 0xfff, .be = ALL };
    CXLCacheMsg snoop = { .opcode = 7, .uqid = 0xfff, .be = ALL };
    World *w;
    Window win;
    Slot slot;
    Desc d;

    cfg.no_monitor = true;
    cfg.link.depth[CXL_CACHE_D2H_REQ] = 300;
    cfg.link.depth[CXL_CACHE_H2D_REQ] = 128;
    w = world_new(&cfg);
    window_open(&win, w, 0);
    world_make(w, 0, 7, CXL_CACHE_S, 0);
    msg.line = snoop.line = world_line(7);

    d = inject_and_look(w, &win, &msg, D2H_REQ);
    g_assert_cmpuint(d.opcode, ==, 0x1f);
    g_assert_cmpuint(d.cqid, ==, 0xfff);
    g_assert_cmpuint(d.uqid, ==, 0);
    g_assert_cmpuint(d.credits, ==, 127);
    /* A younger one does not show. */
    msg.opcode = 1;
    d = inject_and_look(w, &win, &msg, D2H_REQ);
    g_assert_cmpuint(d.opcode, ==, 0x1f);
    cxl_cache_link_reset(w->link[0]);

    d = inject_and_look(w, &win, &snoop, H2D_REQ);
    g_assert_cmpuint(d.opcode, ==, 7);
    g_assert_cmpuint(d.cqid, ==, 0);
    g_assert_cmpuint(d.uqid, ==, 0xfff);
    g_assert_cmpuint(d.credits, ==, 127);
    d = inject_and_look(w, &win, &snoop, H2D_REQ);
    g_assert_cmpuint(d.credits, ==, 126);
    cxl_cache_link_reset(w->link[0]);

    /* About no line: what names nobody, and CacheFlushed */
    msg.opcode = 0x10;
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_REQ, &msg, NULL);
    for (unsigned id = 0; id < 0x10000; id += 0xfff) {
        CXLCacheMsg lost = { .opcode = 4, .cqid = id, .uqid = id };

        cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_RSP, &lost, NULL);
        cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_DATA, &lost, NULL);
        cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_RSP, &lost, NULL);
        cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_DATA, &lost, NULL);
        slot = slot_of(&win, w, 7);
        check_descs(&slot, 0);
    }
    cxl_cache_link_reset(w->link[0]);
    window_close(&win);
    world_free(w);
}

/* An ID beyond the last one is nobody's, not that of some other request. */
static void test_big_ids(void)
{
    WorldConfig cfg = world_config(1);
    /* As many as there are requests and transactions */
    CXLCacheMsg go = { .opcode = CXL_CACHE_GO, .rsp_data = 1, .cqid = 16 };
    CXLCacheMsg rsp = { .opcode = CXL_CACHE_RSP_I_HIT_I, .uqid = 16 };
    World *w;
    Window win;
    Slot slot;

    cfg.no_monitor = true;
    w = world_new(&cfg);
    window_open(&win, w, 0);
    world_make(w, 0, 7, CXL_CACHE_S, 0);
    g_assert_cmpint(world_ask(w, 0, CXL_CACHE_RD_OWN_NO_DATA, 7, 0, ALL), ==,
                    0);
    cxl_cache_link_inject(w->link[0], CXL_CACHE_H2D_RSP, &go, NULL);
    slot = slot_of(&win, w, 7);
    check_descs(&slot, 1 << D2H_REQ);
    world_random_run(w);
    world_expect_error(w, 0, CXL_CACHE_ERR_ID_UNKNOWN);

    world_make(w, 0, 8, CXL_CACHE_M, 0x99);
    world_ask(w, 0, CXL_CACHE_DIRTY_EVICT, 8, 0, ALL);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    g_assert_cmpuint(world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.rsp_data, ==, 0);
    cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_RSP, &rsp, NULL);
    slot = slot_of(&win, w, 8);
    check_descs(&slot, 1 << H2D_RSP);
    world_random_run(w);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_ID_UNKNOWN);
    window_close(&win);
    world_free(w);
}

static void test_write(void)
{
    WorldConfig cfg = world_config(1);
    World *w = world_new(&cfg);
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-window-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *said = NULL;
    Window win;
    Slot before, after;

    window_open(&win, w, 0);
    world_make(w, 0, 0, CXL_CACHE_M, 0x44);
    before = slot_of(&win, w, 0);
    g_assert_true(qemu_set_log_filename_flags(log, LOG_GUEST_ERROR, NULL));
    for (uint64_t at = 0; at < win.size; at += 0x1fc) {
        win.ops->write(win.opaque, at, 0xffffffff, 4);
    }
    g_assert_true(qemu_set_log_filename_flags(NULL, 0, NULL));
    after = slot_of(&win, w, 0);
    g_assert_cmpmem(&after, sizeof(after), &before, sizeof(before));
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_M);
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    g_assert_nonnull(strstr(said, "dev: the cache window is read-only"));
    unlink(log);
    window_close(&win);
    world_free(w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-cache/window/size", test_size);
    g_test_add_func("/cxl-cache/window/states", test_states);
    g_test_add_func("/cxl-cache/window/staged", test_staged);
    g_test_add_func("/cxl-cache/window/order", test_order);
    g_test_add_func("/cxl-cache/window/field/03-page", test_page);
    g_test_add_func("/cxl-cache/window/field/03-sets", test_sets);
    g_test_add_func("/cxl-cache/window/poison", test_poison);
    g_test_add_func("/cxl-cache/window/access-sizes", test_sizes);
    g_test_add_func("/cxl-cache/window/read-messages", test_read_messages);
    g_test_add_func("/cxl-cache/window/evict-messages", test_evict_messages);
    g_test_add_func("/cxl-cache/window/fields", test_fields);
    g_test_add_func("/cxl-cache/window/big-ids", test_big_ids);
    g_test_add_func("/cxl-cache/window/write", test_write);
    return g_test_run();
}
