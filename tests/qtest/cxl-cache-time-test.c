/*
 * QTest testcase for CXL.cache links with time, by way of cxl-cache-testdev
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clock stands still but for qtest_clock_step(): each message is seen where
 * it is. "The CPU" is this test, whose accesses go through the guest's mapping
 * of RAM: they bring the link's time forward, as the clock does not go on while
 * they wait.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "cxl-cache-testdev.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define A           (16 * MiB)
#define B           (A + PAGE)
#define L           500
#define AGAIN       (-11)
#define RAM_SIZE    (128 * MiB)

typedef struct Machine {
    QTestState *qts;
    Dev dev[2];
    uint8_t *ram;               /* what RAM really holds */
} Machine;

static void machine_start(Machine *m, const char *port, const char *opts)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_SHARED_RAM
                         QCXL_PXB QCXL_RP ",cxl-cache=on,%s " QCXL_RP1
                         ",cxl-cache=on,%s -device cxl-cache-testdev,bus=rp0,"
                         "id=t0 -device cxl-cache-testdev,bus=rp1,id=t1 %s",
                         port, port, opts);
    for (int i = 0; i < 2; i++) {
        dev_start(&m->dev[i], m->qts, i);
    }
    m->ram = qcxl_map_memfd(m->qts, "memory-backend-memfd", RAM_SIZE);
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    for (int i = 0; i < 2; i++) {
        dev_end(&m->dev[i]);
    }
    qtest_quit(m->qts);
}

static bool host_keeps(void)
{
    static int keeps = -1;

    if (keeps < 0) {
        Machine m;

        machine_start(&m, "x-gear=auto", "");
        keeps = request(&m.dev[0], CXL_CACHE_RD_OWN, A).state == CCT_STATE_E;
        machine_end(&m);
    }
    return keeps;
}

/* ---- What is to be seen ---- */

static QDict *query_device(Machine *m, int dev)
{
    QDict *info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    const QListEntry *e = qlist_first(qdict_get_qlist(info, "devices"));
    QDict *d;

    while (dev--) {
        e = qlist_next(e);
    }
    d = qobject_to(QDict, qlist_entry_obj(e));
    qobject_ref(d);
    qobject_unref(info);
    return d;
}

typedef struct Channel {
    int64_t messages;
    int64_t credits;
    int64_t arrived;
    int64_t high_water;
    int64_t wait[3];            /* credit, wire, order */
} Channel;

static Channel channel(Machine *m, int dev, int ch)
{
    g_autoptr(QDict) d = query_device(m, dev);
    const QListEntry *e = qlist_first(qdict_get_qlist(d, "channels"));
    Channel c = { };
    QDict *info, *time;

    while (ch--) {
        e = qlist_next(e);
    }
    info = qobject_to(QDict, qlist_entry_obj(e));
    c.messages = qdict_get_int(info, "messages");
    c.credits = qdict_get_int(info, "credits");
    time = qdict_get_qdict(info, "time");
    c.arrived = qdict_get_int(time, "arrived");
    c.high_water = qdict_get_int(time, "high-water");
    e = qlist_first(qdict_get_qlist(time, "waits"));
    for (int i = 0; i < 3; i++, e = qlist_next(e)) {
        c.wait[i] = qdict_get_int(qobject_to(QDict, qlist_entry_obj(e)), "ns");
    }
    return c;
}

/* How far the link's time is ahead of the clock */
static int64_t ahead(Machine *m)
{
    g_autoptr(QDict) d = query_device(m, 0);
    QDict *timing = qdict_get_qdict(d, "timing");

    return qdict_get_int(timing, "now") - qdict_get_int(timing, "clock");
}

/* The clock comes as far as the link, and whatever is under way is over. */
static void catch_up(Machine *m)
{
    qtest_clock_step(m->qts, ahead(m) + 10 * L);
    g_assert_cmpint(ahead(m), ==, 0);
}

static int post(Dev *d, uint32_t opcode, uint64_t addr)
{
    return operate(d, CCT_DO_POST, opcode, 0, addr, ALL, NULL).ret;
}

static void must_post(Dev *d, uint32_t opcode, uint64_t addr)
{
    g_assert_cmpint(post(d, opcode, addr), ==, OK);
}

static unsigned posts_open(Dev *d)
{
    return CCT_POSTS_OPEN(get32(d, CCT_POSTS));
}

static unsigned posts_failed(Dev *d)
{
    return CCT_POSTS_FAILED(get32(d, CCT_POSTS));
}

/* Writes of one line go one after the other: up to 64 times their way. */
static void finish_posts(Machine *m, Dev *d)
{
    for (int i = 0; posts_open(d); i++) {
        g_assert_cmpint(i, <, 64 * 4);
        qtest_clock_step(m->qts, L);
    }
}

/* A line's slot of the window; the descriptor of a channel */
static uint64_t descriptor(Dev *d, uint64_t addr, unsigned ch)
{
    /* Of 64 sets; in one of its 16 ways */
    uint64_t first = addr / LINE % 64 * 16;

    for (unsigned i = 0; i < 16; i++) {
        uint64_t slot = (first + i) * 128;
        uint64_t ats = qpci_io_readq(d->pci, d->window, slot + 64);

        if ((ats & 1) && (ats & ~(LINE - 1ull)) == addr) {
            return qpci_io_readq(d->pci, d->window, slot + 80 + 8 * ch);
        }
    }
    g_assert_not_reached();
}

/* ---- The tests ---- */

static void test_off(Machine *m)
{
    g_autoptr(QDict) d = query_device(m, 0);
    const QListEntry *e;

    g_assert_false(qdict_haskey(d, "timing"));
    QLIST_FOREACH_ENTRY(qdict_get_qlist(d, "channels"), e) {
        g_assert_false(qdict_haskey(qobject_to(QDict, qlist_entry_obj(e)),
                                    "time"));
    }
    /* What is posted is over at once. */
    must_post(&m->dev[0], CXL_CACHE_RD_OWN, A);
    g_assert_cmpuint(posts_open(&m->dev[0]), ==, 0);
    g_assert_cmpuint(line_state(&m->dev[0], A), ==, CCT_STATE_E);
}

/* Each message is in its queue until its time: by the monitor and the window */
static void test_seen(Machine *m)
{
    Dev *d = &m->dev[0];
    uint64_t desc;

    must_post(d, CXL_CACHE_RD_OWN, A);
    g_assert_cmpuint(posts_open(d), ==, 1);
    for (int i = 0; i < 2; i++) {
        Channel req = channel(m, 0, CXL_CACHE_D2H_REQ);

        g_assert_cmpint(req.messages, ==, 1);
        g_assert_cmpint(req.arrived, ==, 0);
        g_assert_cmpint(req.credits, ==, 63);
        desc = descriptor(d, A, CXL_CACHE_D2H_REQ);
        g_assert_cmphex(desc >> 63, ==, 1);
        g_assert_cmpuint(desc >> 60 & 7, ==, CXL_CACHE_D2H_REQ);
        g_assert_cmpuint(desc >> 55 & 31, ==, CXL_CACHE_RD_OWN);
        g_assert_cmpuint(desc >> 24 & 127, ==, 63);
        g_assert_cmphex(descriptor(d, A, CXL_CACHE_H2D_RSP), ==, 0);
        qtest_clock_step(m->qts, i ? 1 : L - 1);
    }
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).messages, ==, 0);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_H2D_RSP).messages, ==, 1);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_H2D_DATA).messages, ==, 1);
    desc = descriptor(d, A, CXL_CACHE_H2D_RSP);
    g_assert_cmpuint(desc >> 60, ==, 8 | CXL_CACHE_H2D_RSP);
    g_assert_cmpuint(desc >> 55 & 31, ==, CXL_CACHE_GO);
    desc = descriptor(d, A, CXL_CACHE_H2D_DATA);
    g_assert_cmpuint(desc >> 60, ==, 8 | CXL_CACHE_H2D_DATA);
    qtest_clock_step(m->qts, L - 1);
    g_assert_cmpuint(posts_open(d), ==, 1);
    qtest_clock_step(m->qts, 1);
    g_assert_cmpuint(posts_open(d), ==, 0);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_E);
    /* The credit is back with it, those of the answers a little later. */
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).credits, ==, 64);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_H2D_DATA).credits, ==, 63);
    qtest_clock_step(m->qts, L);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_H2D_DATA).credits, ==, 64);
    g_assert_cmpint(ahead(m), ==, 0);
}

/* Many in flight, of two devices; they do not wait for each other. */
static void test_many(Machine *m)
{
    for (int i = 0; i < 20; i++) {
        for (int dev = 0; dev < 2; dev++) {
            must_post(&m->dev[dev], i % 2 ? CXL_CACHE_RD_CURR :
                      CXL_CACHE_I_TO_M_WR, A + (2 * i + dev) * LINE);
        }
    }
    g_assert_cmpuint(posts_open(&m->dev[0]), ==, 20);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).messages, ==, 20);
    qtest_clock_step(m->qts, 2 * L);
    for (int dev = 0; dev < 2; dev++) {
        /* All reads are done; writes are, when their data are sent. */
        g_assert_cmpuint(posts_open(&m->dev[dev]), ==, 0);
        g_assert_cmpint(channel(m, dev, CXL_CACHE_D2H_DATA).messages, ==, 10);
        g_assert_cmpint(channel(m, dev, CXL_CACHE_D2H_REQ).high_water, ==, 20);
    }
    qtest_clock_step(m->qts, 2 * L);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_DATA).messages, ==, 0);
    g_assert_cmpuint(posts_failed(&m->dev[0]), ==, 0);
}

/* They run out, and come back (cxl-cache-credits=2). */
static void test_credits(Machine *m)
{
    Dev *d = &m->dev[0];

    must_post(d, CXL_CACHE_RD_CURR, A);
    must_post(d, CXL_CACHE_RD_CURR, A + LINE);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, A + 2 * LINE), ==, AGAIN);
    qtest_clock_step(m->qts, 2 * L - 1);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, A + 2 * LINE), ==, AGAIN);
    qtest_clock_step(m->qts, 1);
    must_post(d, CXL_CACHE_RD_CURR, A + 2 * LINE);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).wait[0], ==, 2 * L);
    qtest_clock_step(m->qts, 3 * L);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).credits, ==, 2);
}

/* A CPU waits for a snoop, which comes to meet an evict (T37). */
static void test_touch(Machine *m)
{
    Dev *d = &m->dev[0];
    uint8_t data[LINE];

    fill(data, 0);
    qtest_memwrite(m->qts, A, data, LINE);
    make_m(d, A, 1);
    make_m(d, A + LINE, 2);
    catch_up(m);
    must_post(d, CXL_CACHE_DIRTY_EVICT, A);
    assert_version(m->ram + A, 0);
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 1);
    /* There and back; the evict came to the home at half the way. */
    g_assert_cmpint(ahead(m), ==, 2 * L);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_REQ).wait[2], ==, L);
    g_assert_cmpuint(line_state(d, A + LINE), !=, CCT_STATE_M);
    assert_version(m->ram + A + LINE, 2);
    catch_up(m);
    g_assert_cmpuint(posts_open(d), ==, 0);
    g_assert_cmpuint(posts_failed(d), ==, 0);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    /* Nothing to ask for: no time is spent. */
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 1);
    g_assert_cmpint(ahead(m), ==, 0);
}

/* The host's access goes first, and a device gets the line behind it. */
static void test_touch_first(Machine *m)
{
    uint8_t data[LINE];

    make_m(&m->dev[0], A, 1);
    catch_up(m);
    must_post(&m->dev[1], CXL_CACHE_RD_OWN, A + LINE);
    qtest_clock_step(m->qts, L / 2);
    /* The request comes while the snoop is out, and is kept waiting. */
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 1);
    g_assert_cmpint(channel(m, 1, CXL_CACHE_D2H_REQ).arrived, ==, 1);
    catch_up(m);
    g_assert_cmpint(channel(m, 1, CXL_CACHE_D2H_REQ).wait[2], ==, 3 * L / 2);
    g_assert_cmpuint(line_state(&m->dev[1], A + LINE), ==, CCT_STATE_E);
}

/* Two devices want a line at the same time; T44 */
static void test_handover(Machine *m)
{
    uint8_t data[LINE];

    make_m(&m->dev[0], A, 3);
    catch_up(m);
    must_post(&m->dev[1], CXL_CACHE_RD_OWN, A);
    qtest_clock_step(m->qts, 2 * L);
    /* The owner has been asked, and has nothing any more. */
    g_assert_cmpuint(line_state(&m->dev[0], A), ==, CCT_STATE_I);
    g_assert_cmpint(channel(m, 0, CXL_CACHE_D2H_DATA).messages, ==, 1);
    must_post(&m->dev[0], CXL_CACHE_RD_OWN, A);
    qtest_clock_step(m->qts, 2 * L);
    g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
    g_assert_cmpuint(posts_open(&m->dev[0]), ==, 1);
    catch_up(m);
    g_assert_cmpuint(line_state(&m->dev[0], A), !=, CCT_STATE_I);
    g_assert_cmpuint(line_state(&m->dev[1], A), ==, CCT_STATE_I);
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 3);
}

static uint64_t iteration(Dev *d)
{
    return get64(d, CCT_AGENT_ITERATION);
}

/* The agent's thread has come to where it waits for the clock. */
static void agent_rest(Machine *m, int dev)
{
    for (int i = 0; !channel(m, dev, CXL_CACHE_D2H_REQ).messages; i++) {
        g_assert_cmpint(i, <, 10000);
        g_usleep(1000);
    }
}

/* It gets no further than its messages. */
static void test_agent(Machine *m)
{
    Dev *d = &m->dev[0];

    set_step(d, 0, LOAD(CXL_CACHE_RD_CURR, 0), A, 0);
    agent_start(d, 5);
    for (int i = 0; i < 5; i++) {
        agent_rest(m, 0);
        g_usleep(20000);
        g_assert_cmpuint(iteration(d), ==, i);
        qtest_clock_step(m->qts, 2 * L - 1);
        g_usleep(20000);
        g_assert_cmpuint(iteration(d), ==, i);
        qtest_clock_step(m->qts, 1);
        while (iteration(d) == i) {
            g_usleep(1000);
        }
    }
    agent_wait(d, 5);

    /* Who waits for it does not wait for the clock. */
    agent_start(d, ALL);
    agent_rest(m, 0);
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
    agent_start(d, ALL);
    agent_rest(m, 0);
    qtest_qmp_assert_success(m->qts, "{'execute': 'stop'}");
    qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    g_assert_true(agent_runs(d));
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    catch_up(m);
}

/*
 * What an agent has posted is under way while it does the next step, and may be
 * behind that; what it joins is over.
 */
static void test_agent_posts(Machine *m)
{
    const uint32_t post = CCT_STEP_MAKE(CCT_OP_POST, CXL_CACHE_WR_INV, 8,
                                        CCT_CONST, 0, 0);
    const uint32_t join = CCT_STEP_MAKE(CCT_OP_JOIN, 0, 0, CCT_CONST, 0, 0);
    Dev *d = &m->dev[0];

    make_m(&m->dev[1], A, 1);
    catch_up(m);
    set_step(d, 0, post, A, 0x11);
    set_step(d, 1, STORE(CXL_CACHE_WR_INV, CCT_CONST), B, 0x22);
    set_step(d, 2, join, 0, 0);
    agent_start(d, 1);
    while (channel(m, 0, CXL_CACHE_D2H_REQ).messages != 2) {
        g_usleep(1000);
    }
    g_assert_cmpuint(posts_open(d), ==, 1);
    /* The other device has to be asked for the first. */
    qtest_clock_step(m->qts, 3 * L);
    g_assert_cmphex(ldq_le_p(m->ram + B), ==, 0x22);
    assert_version(m->ram + A, 1);
    qtest_clock_step(m->qts, L);
    g_usleep(30000);
    g_assert_true(agent_runs(d));
    g_assert_cmpuint(posts_open(d), ==, 1);
    qtest_clock_step(m->qts, 2 * L - 1);
    g_assert_cmphex(ldq_le_p(m->ram + A), ==, 0x11);
    g_usleep(30000);
    g_assert_true(agent_runs(d));
    qtest_clock_step(m->qts, 1);
    g_assert_cmpuint(posts_open(d), ==, 0);
    agent_wait(d, 1);

    /* More than there are credits for, and one that is stopped */
    set_step(d, 0, post, A, 0x33);
    agent_start(d, 500);
    while (agent_runs(d)) {
        qtest_clock_step(m->qts, L);
    }
    agent_wait(d, 500);
    /* It has posted them all; they need not be over. */
    finish_posts(m, d);
    set_step(d, 1, join, 0, 0);
    agent_start(d, ALL);
    while (!posts_open(d)) {
        g_usleep(1000);
    }
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
    catch_up(m);
    g_assert_cmpuint(posts_open(d), ==, 0);
    g_assert_cmpuint(posts_failed(d), ==, 0);
}

/* Two agents and the CPU add to words of one line; the clock goes on and on. */
static void test_race(Machine *m)
{
    const unsigned n = 60;
    unsigned mine = 0;

    qtest_memset(m->qts, A, 0, LINE);
    for (int i = 0; i < 2; i++) {
        set_step(&m->dev[i], 0, ADD(8, CCT_CONST), A, 1);
        agent_start(&m->dev[i], n);
    }
    for (int i = 0; agent_runs(&m->dev[0]) || agent_runs(&m->dev[1]); i++) {
        g_assert_cmpint(i, <, 100000);
        qtest_clock_step(m->qts, L / 2);
        if (i % 8 == 0) {
            g_assert_cmpuint(qtest_readq(m->qts, A), <=, 2 * n);
            qtest_writeq(m->qts, A + 8, ++mine);
        }
    }
    for (int i = 0; i < 2; i++) {
        agent_wait(&m->dev[i], n);
    }
    g_assert_cmpuint(qtest_readq(m->qts, A), ==, 2 * n);
    g_assert_cmpuint(qtest_readq(m->qts, A + 8), ==, mine);
    catch_up(m);
}

/*
 * A machine that is stopped: what is under way stays there, and memory can be
 * looked at all the same.
 */
static void test_stop(Machine *m)
{
    g_autofree char *said = NULL;
    Dev *d = &m->dev[0];
    uint8_t data[LINE];

    make_m(d, A, 4);
    catch_up(m);
    must_post(d, CXL_CACHE_RD_CURR, B);
    qtest_qmp_assert_success(m->qts, "{'execute': 'stop'}");
    g_assert_cmpuint(posts_open(d), ==, 1);
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 4);
    /* Such a machine is not saved. */
    said = qtest_hmp(m->qts, "savevm now");
    g_assert_nonnull(strstr(said, "cxl-cache-testdev"));
    qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    catch_up(m);
    g_assert_cmpuint(posts_open(d), ==, 0);
    g_assert_cmpuint(posts_failed(d), ==, 0);
}

/* What is under way at a reset is over: system reset, secondary bus reset */
static void test_reset(Machine *m)
{
    Dev *d = &m->dev[0];

    for (int system = 0; system < 2; system++) {
        make_m(d, A, 5);
        catch_up(m);
        qtest_memset(m->qts, B, 0x77, LINE);
        must_post(d, CXL_CACHE_DIRTY_EVICT, A);
        must_post(d, CXL_CACHE_RD_OWN, B);
        qtest_clock_step(m->qts, L + L / 2);
        if (system) {
            qtest_system_reset(m->qts);
            qcxl_init(d->cxl);
        } else {
            qcxl_secondary_reset(d->cxl);
        }
        dev_map(d);
        g_assert_cmpuint(posts_open(d), ==, 0);
        g_assert_cmpuint(posts_failed(d), ==, 0);
        g_assert_cmpuint(line_state(d, B), ==, CCT_STATE_I);
        if (!system) {
            assert_version(m->ram + A, 5);
        }
        set32(d, CCT_MODE, CCT_MODE_ON);
        qtest_clock_step(m->qts, 10 * L);
        g_assert_cmphex(qtest_readb(m->qts, B), ==, 0x77);
        make_m(d, A + LINE, 6);
        catch_up(m);
    }
}

/* Unplugged in the middle of everything: modified lines come home. */
static void test_unplug(Machine *m)
{
    Dev *d = &m->dev[0];
    uint8_t data[LINE];

    make_m(d, A, 7);
    make_m(d, B, 8);
    catch_up(m);
    must_post(d, CXL_CACHE_DIRTY_EVICT, A);
    must_post(d, CXL_CACHE_RD_OWN, B + LINE);
    set_step(d, 0, LOAD(CXL_CACHE_RD_CURR, 0), B + 2 * LINE, 0);
    agent_start(d, ALL);
    qtest_clock_step(m->qts, L);
    qcxl_unplug(d->cxl, "t0");
    assert_version(m->ram + A, 7);
    assert_version(m->ram + B, 8);
    qtest_memread(m->qts, B, data, LINE);
    assert_version(data, 8);
    must_post(&m->dev[1], CXL_CACHE_RD_OWN, A);
    catch_up(m);
    g_assert_cmpuint(line_state(&m->dev[1], A), ==, CCT_STATE_E);
}

/* Large operations are done when they return, and take the link's time. */
static void test_at_once(Machine *m)
{
    Dev *d = &m->dev[0];
    g_autofree uint8_t *data = g_malloc(PAGE);
    g_autofree uint8_t *seen = g_malloc(PAGE);
    int64_t most;

    memset(data, 0x5a, PAGE);
    qpci_memwrite(d->pci, d->bar, CCT_BUF, data, PAGE);
    set_operation(d, 0, CCT_FLAG_KEEP, A, 0, PAGE);
    set32(d, CCT_DOORBELL, CCT_DO_WRITE);
    g_assert_cmpint(get_result(d).ret, ==, OK);
    /* 64 lines, owned by as many credits: two latencies, and the last credit */
    most = ahead(m);
    g_assert_cmpint(most, >=, 2 * L);
    g_assert_cmpint(most, <=, 4 * L);
    catch_up(m);
    qtest_memread(m->qts, A, seen, PAGE);
    g_assert_cmpmem(seen, PAGE, data, PAGE);
    catch_up(m);
}

static const struct {
    const char *name;
    const char *args;
    const char *message;
} refused[] = {
    {
        "latency", QCXL_RP ",cxl-cache=on,cxl-cache-latency=1000000001 ",
        "'cxl-cache-latency' must be 0 to 1000000000",
    }, {
        "bandwidth", QCXL_RP ",cxl-cache=on,cxl-cache-bandwidth=2T ",
        "'cxl-cache-bandwidth' must be 0 to 1000000000000",
    }, {
        "depth", QCXL_RP ",cxl-cache=on,cxl-cache-depth=0 ",
        "'cxl-cache-depth' must be 1 to 4096",
    }, {
        "credits", QCXL_RP ",cxl-cache=on,cxl-cache-credits=4097 ",
        "'cxl-cache-credits' must be 1 to 4096",
    }, {
        "more-credits-than-buffers",
        QCXL_RP ",cxl-cache=on,cxl-cache-depth=4,cxl-cache-credits=5 ",
        "'cxl-cache-credits' must be at most 'cxl-cache-depth', 4",
    }, {
        "without-cache", QCXL_RP ",cxl-cache-latency=1 ",
        "'cxl-cache-latency' is of a port that offers CXL.cache: "
        "cxl-cache=on is missing",
    }, {
        "no-number", QCXL_RP ",cxl-cache=on,cxl-cache-latency=fast ",
        "cxl-cache-latency",
    },
};

static void test_refused(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);

    qcxl_check_refused(refused[i].args, refused[i].message);
}

typedef struct Case {
    const char *name;
    void (*fn)(Machine *m);
    const char *port;
} Case;

#define LATENCY "cxl-cache-latency=500"

static const Case cases[] = {
    { "off", test_off, "x-gear=auto" },
    { "seen", test_seen, LATENCY },
    { "many", test_many, LATENCY },
    { "credits", test_credits, LATENCY ",cxl-cache-credits=2" },
    { "depth", test_credits, LATENCY ",cxl-cache-depth=2" },
    { "touch", test_touch, LATENCY },
    { "touch-first", test_touch_first, LATENCY },
    { "handover", test_handover, LATENCY },
    { "agent", test_agent, LATENCY },
    { "agent-posts", test_agent_posts, LATENCY },
    { "race", test_race, LATENCY },
    { "race-jitter", test_race, LATENCY ",x-jitter=7,cxl-cache-bandwidth=1G" },
    { "stop", test_stop, LATENCY },
    { "reset", test_reset, LATENCY },
    { "unplug", test_unplug, LATENCY },
    { "at-once", test_at_once, LATENCY },
};

static void run_case(const void *opaque)
{
    const Case *c = opaque;
    Machine m;

    if (!host_keeps()) {
        g_test_skip("this host cannot trap accesses to guest memory");
        return;
    }
    machine_start(&m, c->port, "");
    c->fn(&m);
    machine_end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/time/%s",
                                                cases[i].name);

        qtest_add_data_func(name, &cases[i], run_case);
    }
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/time/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_refused);
    }
    return g_test_run();
}
