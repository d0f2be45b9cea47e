/*
 * QTest testcase for limits of CXL.cache devices, by way of cxl-cache-testdev
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * "rate" and "req-credits"; "sf-quota" is in cxl-cache-id-test. The clock
 * stands still but for qtest_clock_step().
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/cxl-tree.h"
#include "libqos/cxl-type1.h"
#include "cxl-cache-testdev.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define A           (16 * MiB)
#define B           (32 * MiB)
#define L           500
#define AGAIN       (-11)
#define LATENCY     "cxl-cache-latency=500"
#define NO_TIME     "x-gear=auto"

/* @tree: where both devices are below one switch */
typedef struct Machine {
    QTestState *qts;
    QCXLTree *tree;
    Dev dev[2];
} Machine;

static void start(Machine *m, const char *port, const char *limits)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_SHARED_RAM
                         QCXL_PXB QCXL_RP ",cxl-cache=on,%s " QCXL_RP1
                         ",cxl-cache=on,%s -device cxl-cache-testdev,bus=rp0,"
                         "id=t0%s -device cxl-cache-testdev,bus=rp1,id=t1 ",
                         port, port, limits);
    for (int i = 0; i < 2; i++) {
        dev_start(&m->dev[i], m->qts, i);
    }
}

/* Both below one switch */
static void start_switch(Machine *m, const char *port, const char *limits)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_SHARED_RAM
        QCXL_PXB "-device cxl-rp,cxl-cache=on,bus=cxl.0,id=rp0,chassis=0,"
        "slot=1,%s -device cxl-upstream,cxl-cache=on,x-256b-flit=on,bus=rp0,"
        "id=us -device cxl-downstream,cxl-cache=on,bus=us,id=p0,port=0,"
        "chassis=0,slot=10 -device cxl-downstream,cxl-cache=on,bus=us,id=p1,"
        "port=1,chassis=0,slot=11 "
        "-device cxl-cache-testdev,x-256b-flit=on,bus=p0,id=t0%s "
        "-device cxl-cache-testdev,x-256b-flit=on,bus=p1,id=t1", port, limits);
    m->tree = qcxl_tree_new(m->qts);
    for (int i = 0; i < 2; i++) {
        QCXLNode *node = qcxl_tree_endpoint(m->tree, i);

        m->dev[i] = (Dev) {
            .qts = m->qts, .pci = node->dev, .bar = node->registers,
        };
        qpci_device_enable(node->dev);
        set32(&m->dev[i], CCT_MODE, CCT_MODE_ON);
    }
}

static void end(Machine *m)
{
    for (int i = 0; !m->tree && i < 2; i++) {
        dev_end(&m->dev[i]);
    }
    g_clear_pointer(&m->tree, qcxl_tree_free);
    qtest_quit(m->qts);
}

/* A number of what the monitor says of a device; -1 if it says nothing */
static int64_t info(Machine *m, const char *id, const char *what)
{
    g_autoptr(QDict) rsp = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "devices"), e) {
        QDict *d = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(d, "id"), id)) {
            return qdict_get_try_int(d, what, -1);
        }
    }
    g_assert_not_reached();
}

static void set(Machine *m, const char *id, const char *what, int64_t value)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'qom-set', 'arguments': "
                             "{'path': %s, 'property': %s, 'value': %"
                             PRId64 "}}", id, what, value);
}

static int post(Dev *d, uint32_t opcode, uint64_t addr)
{
    return operate(d, CCT_DO_POST, opcode, 0, addr, ALL, NULL).ret;
}

static void post_some(Dev *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, A + i * LINE), ==, OK);
    }
}

static unsigned posts_open(Dev *d)
{
    return CCT_POSTS_OPEN(get32(d, CCT_POSTS));
}

/* Of @n requests one is done at the end of each microsecond. */
static void check_one_each_us(Machine *m, Dev *d, unsigned n)
{
    for (unsigned i = n; i; i--) {
        g_assert_cmpuint(posts_open(d), ==, i);
        qtest_clock_step(m->qts, 999);
        g_assert_cmpuint(posts_open(d), ==, i);
        qtest_clock_step(m->qts, 1);
        g_assert_cmpuint(posts_open(d), ==, i - 1);
    }
}

/* A request in a microsecond, and two at once, where messages take no time */
static void test_rate(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start(&m, NO_TIME, ",rate=1000000,rate-burst=2");
    g_assert_cmpint(info(&m, "t0", "rate"), ==, 1000000);
    g_assert_cmpint(info(&m, "t0", "rate-burst"), ==, 2);
    g_assert_cmpint(info(&m, "t0", "rate-limited"), ==, -1);
    g_assert_cmpint(info(&m, "t1", "rate"), ==, -1);
    post_some(d, 6);
    post_some(&m.dev[1], 6);
    g_assert_cmpuint(posts_open(&m.dev[1]), ==, 0);
    check_one_each_us(&m, d, 4);
    g_assert_cmpint(info(&m, "t0", "rate-limited"), ==, 4);
    g_assert_cmpint(info(&m, "t0", "rate-limited-ns"), ==, 4000);
    g_assert_cmpint(info(&m, "t1", "rate-limited"), ==, -1);
    end(&m);
}

/* Where they take time, below a switch, of which the port has the time */
static void test_rate_switch(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start_switch(&m, LATENCY, ",rate=1000000,rate-burst=1");
    post_some(d, 4);
    post_some(&m.dev[1], 4);
    qtest_clock_step(m.qts, 2 * L - 1);
    g_assert_cmpuint(posts_open(&m.dev[1]), ==, 4);
    g_assert_cmpuint(posts_open(d), ==, 4);
    qtest_clock_step(m.qts, 1);
    g_assert_cmpuint(posts_open(&m.dev[1]), ==, 0);
    check_one_each_us(&m, d, 3);
    g_assert_cmpint(info(&m, "t0", "rate-limited"), ==, 3);
    g_assert_cmpint(info(&m, "t1", "rate-limited"), ==, -1);
    end(&m);
}

/* Changed while requests wait: lowered, raised, given up */
static void test_rate_change(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start(&m, LATENCY, "");
    set(&m, "t0", "rate-burst", 1);
    set(&m, "t0", "rate", 1000000);
    post_some(d, 10);
    qtest_clock_step(m.qts, 2 * L);
    g_assert_cmpuint(posts_open(d), ==, 9);
    set(&m, "t0", "rate", 1);
    qtest_clock_step(m.qts, 100000);
    /* A new rate begins with a token. */
    g_assert_cmpuint(posts_open(d), ==, 8);
    set(&m, "t0", "rate", 10000000);
    qtest_clock_step(m.qts, L + 100);
    g_assert_cmpuint(posts_open(d), ==, 6);
    set(&m, "t0", "rate", 0);
    g_assert_cmpint(info(&m, "t0", "rate"), ==, -1);
    g_assert_cmpint(info(&m, "t0", "rate-burst"), ==, -1);
    qtest_clock_step(m.qts, L);
    g_assert_cmpuint(posts_open(d), ==, 0);

    /* Where no link has time the last rate takes the clock with it. */
    end(&m);
    start(&m, NO_TIME, ",rate=1,rate-burst=1");
    post_some(d, 5);
    g_assert_cmpuint(posts_open(d), ==, 4);
    set(&m, "t0", "rate", 0);
    g_assert_cmpuint(posts_open(d), ==, 0);
    end(&m);
}

/*
 * What is done when it returns is, and takes tokens that come later. A
 * neighbour's operations do not wait for what waits here.
 */
static void test_rate_at_once(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start(&m, LATENCY, ",rate=1000,rate-burst=1");
    make_m(d, B, 1);
    make_m(d, B + LINE, 2);
    make_m(&m.dev[1], B + 4 * LINE, 3);
    qtest_clock_step(m.qts, 100 * L);
    g_assert_cmpint(info(&m, "t0", "rate-limited"), ==, -1);
    /* Two are owed, and the second of these waits for its own. */
    post_some(d, 1);
    qtest_clock_step(m.qts, 1900000);
    g_assert_cmpuint(posts_open(d), ==, 1);
    flush(&m.dev[1]);
    request(&m.dev[1], CXL_CACHE_RD_OWN, B + 5 * LINE);
    g_assert_cmpuint(posts_open(d), ==, 1);
    qtest_clock_step(m.qts, 100000);
    g_assert_cmpuint(posts_open(d), ==, 0);

    /* A reset does not wait, and what waits is lost with it. */
    post_some(d, 4);
    g_assert_cmpuint(posts_open(d), ==, 4);
    qcxl_secondary_reset(d->cxl);
    dev_map(d);
    g_assert_cmpuint(posts_open(d), ==, 0);
    set32(d, CCT_MODE, CCT_MODE_ON);
    post_some(&m.dev[1], 1);
    qtest_clock_step(m.qts, 20 * L);
    g_assert_cmpuint(posts_open(&m.dev[1]), ==, 0);

    /* Nor does removal. */
    make_m(d, B, 7);
    post_some(d, 4);
    qcxl_unplug(d->cxl, "t0");
    post_some(&m.dev[1], 1);
    qtest_clock_step(m.qts, 20 * L);
    g_assert_cmpuint(posts_open(&m.dev[1]), ==, 0);
    end(&m);
}

/* The agent's thread waits for its tokens, and not when it is stopped. */
static void test_rate_agent(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start(&m, NO_TIME, ",rate=1000000,rate-burst=1");
    set_step(d, 0, LOAD(CXL_CACHE_RD_CURR, 0), A, 0);
    agent_start(d, 8);
    for (int i = 1; i < 8; i++) {
        while (get64(d, CCT_AGENT_ITERATION) != i) {
            g_usleep(1000);
        }
        g_usleep(10000);
        g_assert_cmpuint(get64(d, CCT_AGENT_ITERATION), ==, i);
        qtest_clock_step(m.qts, 1000);
    }
    agent_wait(d, 8);
    agent_start(d, ALL);
    g_usleep(10000);
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
    end(&m);
}

#define RAM_SIZE    (128 * MiB)

/*
 * Microseconds that a page takes, the device's requests being in flight; what
 * becomes of it is the same. @limited: how many of them waited for a token
 */
static unsigned encrypt_page(const char *opts, int64_t *limited)
{
    uint64_t src, dst;
    g_autofree uint8_t *once = NULL;
    unsigned us = 0;
    QCTRequest q;
    uint8_t *ram;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, opts);
    ram = qcxl_map_memfd(r.qts, QCXL_MEMFD, RAM_SIZE);
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, PAGE, 0x5a);
    once = qct_encrypt_uncached(&r, src, PAGE);
    /* What that owes is paid. */
    qtest_clock_step(r.qts, 1000000000);
    qct_post(r.t[0], &q, qct_iv, (QCTSeg[]) { { src, PAGE }, { } },
             (QCTSeg[]) { { dst, PAGE }, { } });
    while (ram[q.status_addr] == QCT_NO_STATUS) {
        g_assert_cmpuint(us++, <, 1000);
        qtest_clock_step(r.qts, 1000);
        /* Before this is answered, timers that are due have run. */
        qtest_readb(r.qts, 0);
    }
    *limited = info(&(Machine) { .qts = r.qts }, "t0", "rate-limited");
    g_assert_cmpuint(qct_wait(r.t[0], &q), ==, VIRTIO_CRYPTO_OK);
    qct_check_memory(&r, dst, once, PAGE);
    munmap(ram, RAM_SIZE);
    qct_rig_end(&r);
    return us;
}

/* Requests of the crypto device wait as others do: 64 reads, and 64 to own */
static void test_rate_crypto(void)
{
    int64_t limited;

    g_assert_cmpuint(encrypt_page(" -global cxl-rp.cxl-cache-latency=500",
                                  &limited), <=, 5);
    g_assert_cmpint(limited, ==, -1);
    g_assert_cmpuint(encrypt_page(",rate=1000000,rate-burst=1 -global "
                                  "cxl-rp.cxl-cache-latency=500", &limited),
                     >=, 126);
    g_assert_cmpint(limited, >=, 126);
}

static void test_credits(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    start(&m, LATENCY, ",req-credits=2");
    g_assert_cmpint(info(&m, "t0", "req-credits"), ==, 2);
    g_assert_cmpint(info(&m, "t0", "req-limited"), ==, -1);
    g_assert_cmpint(info(&m, "t1", "req-credits"), ==, -1);
    post_some(d, 2);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, AGAIN);
    post_some(&m.dev[1], 10);
    qtest_clock_step(m.qts, 2 * L - 1);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, AGAIN);
    qtest_clock_step(m.qts, 1);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, OK);
    g_assert_cmpint(info(&m, "t0", "req-limited"), ==, 2);
    g_assert_cmpint(info(&m, "t0", "req-limited-ns"), ==, 2 * L);
    qtest_clock_step(m.qts, 4 * L);

    /* More are there a latency later; fewer, when they come back. */
    set(&m, "t0", "req-credits", 5);
    post_some(d, 2);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, AGAIN);
    qtest_clock_step(m.qts, 4 * L);
    post_some(d, 5);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, AGAIN);
    set(&m, "t0", "req-credits", 1);
    qtest_clock_step(m.qts, 4 * L);
    post_some(d, 1);
    g_assert_cmpint(post(d, CXL_CACHE_RD_CURR, B), ==, AGAIN);
    set(&m, "t0", "req-credits", 0);
    qtest_clock_step(m.qts, 4 * L);
    post_some(d, 64);
    g_assert_cmpint(info(&m, "t0", "req-limited"), ==, -1);
    qtest_clock_step(m.qts, 4 * L);
    end(&m);
}

/* Without time: all is done, by one request after the other. */
static void test_credits_no_time(void)
{
    Machine m;
    Dev *d = &m.dev[0];
    uint8_t data[PAGE];

    start(&m, NO_TIME, ",req-credits=1");
    memset(data, 0x5a, sizeof(data));
    qpci_memwrite(d->pci, d->bar, CCT_BUF, data, PAGE);
    set_operation(d, 0, CCT_FLAG_KEEP, A, 0, PAGE);
    set32(d, CCT_DOORBELL, CCT_DO_WRITE);
    g_assert_cmpint(get_result(d).ret, ==, OK);
    memset(data, 0, sizeof(data));
    qtest_memread(m.qts, A, data, PAGE);
    for (int i = 0; i < PAGE; i++) {
        g_assert_cmphex(data[i], ==, 0x5a);
    }
    end(&m);
}

/* ---- A flood ---- */

#define FLOOD_NS    60000
#define STEP_NS     500

/*
 * Device 0 writes as much as it can, device 1 reads, 4 lines at a time, over
 * one wire to the host.
 *
 * Returns: its reads in FLOOD_NS
 */
static unsigned reads_beside_flood(const char *limits, bool flood)
{
    unsigned reads = 0, writes = 0;
    Machine m;

    start_switch(&m, LATENCY ",cxl-cache-bandwidth=2G", limits);
    for (unsigned t = 0; t < FLOOD_NS; t += STEP_NS) {
        while (flood && post(&m.dev[0], CXL_CACHE_WO_WR_INV_F,
                             B + writes % 1024 * LINE) == OK) {
            writes++;
        }
        for (unsigned n = posts_open(&m.dev[1]); n < 4; n++) {
            g_assert_cmpint(post(&m.dev[1], CXL_CACHE_RD_CURR,
                                 A + reads++ % 1024 * LINE), ==, OK);
        }
        qtest_clock_step(m.qts, STEP_NS);
    }
    reads -= posts_open(&m.dev[1]);
    end(&m);
    return reads;
}

static void test_noisy(void)
{
    unsigned alone = reads_beside_flood("", false);
    unsigned flood = reads_beside_flood("", true);
    unsigned rate = reads_beside_flood(",rate=8000000", true);

    g_test_message("%u reads alone, %u beside a flood, %u with a rate", alone,
                   flood, rate);
    g_assert_cmpuint(flood, <, alone / 2);
    g_assert_cmpuint(rate * 10, >=, alone * 9);
}

/* ---- What a device can find out of another by the clock ---- */

#define FILTER_LINES    1024

/* Nanoseconds until a request is answered */
static unsigned elapsed(Machine *m, Dev *d, uint32_t opcode, uint64_t addr)
{
    unsigned ns = 0;

    /* What is done at once has taken the link's time along. */
    qtest_clock_step(m->qts, 100000000);
    g_assert_cmpint(post(d, opcode, addr), ==, OK);
    while (posts_open(d)) {
        qtest_clock_step(m->qts, L / 10);
        ns += L / 10;
        g_assert_cmpuint(ns, <, 100 * L);
    }
    return ns;
}

static void own_lines(Dev *d, uint64_t addr, unsigned n)
{
    set_operation(d, 0, CCT_FLAG_KEEP, addr, 0, n * LINE);
    set32(d, CCT_DOORBELL, CCT_DO_WRITE);
    g_assert_cmpint(get_result(d).ret, ==, OK);
}

/*
 * Device 0 asks for lines of its own, and learns nothing of what device 1 has
 * in others, as long as the filter has room. When it has none, and when a line
 * is shared, it takes a snoop more. A quota of device 1 keeps the room.
 */
static void test_observed(void)
{
    unsigned alone, beside, same, full, quota;
    Machine m;

    start(&m, LATENCY ",cxl-cache-sf-size=64K", "");
    alone = elapsed(&m, &m.dev[0], CXL_CACHE_RD_OWN, A);
    own_lines(&m.dev[1], A + LINE, 63);
    beside = elapsed(&m, &m.dev[0], CXL_CACHE_RD_OWN, A + PAGE);
    same = elapsed(&m, &m.dev[0], CXL_CACHE_RD_OWN, A + LINE);
    for (unsigned i = 0; i < 2 * FILTER_LINES; i += 64) {
        own_lines(&m.dev[1], B + i * LINE, 64);
    }
    full = elapsed(&m, &m.dev[0], CXL_CACHE_RD_OWN, A + 2 * PAGE);

    set(&m, "t1", "sf-quota", FILTER_LINES / 2);
    flush(&m.dev[1]);
    flush(&m.dev[0]);
    for (unsigned i = 0; i < 2 * FILTER_LINES; i += 64) {
        own_lines(&m.dev[1], B + i * LINE, 64);
    }
    quota = elapsed(&m, &m.dev[0], CXL_CACHE_RD_OWN, A + 2 * PAGE);

    g_test_message("%u ns alone, %u beside, %u for its line, %u with a full "
                   "filter, %u with a quota", alone, beside, same, full, quota);
    g_assert_cmpuint(alone, ==, 2 * L);
    g_assert_cmpuint(beside, ==, alone);
    g_assert_cmpuint(same, >=, alone + 2 * L);
    g_assert_cmpuint(full, >=, alone + 2 * L);
    g_assert_cmpuint(quota, ==, alone);
    end(&m);
}

static const struct {
    const char *name;
    const char *opts;
    const char *message;
} refused[] = {
    { "rate", "rate=1000000000001", "'rate' must be at most 1000000000000" },
    { "negative", "rate=-1", "rate" },
    { "credits", "req-credits=4097", "'req-credits' must be at most 4096" },
};

static void test_refused(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);
    g_autofree char *args = g_strdup_printf(QCXL_RP ",cxl-cache=on -device "
        "cxl-cache-testdev,bus=rp0,%s", refused[i].opts);

    qcxl_check_refused(args, refused[i].message);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cache/limits/rate", test_rate);
    qtest_add_func("/cxl-cache/limits/rate-switch", test_rate_switch);
    qtest_add_func("/cxl-cache/limits/rate-change", test_rate_change);
    qtest_add_func("/cxl-cache/limits/rate-at-once", test_rate_at_once);
    qtest_add_func("/cxl-cache/limits/rate-agent", test_rate_agent);
    qtest_add_func("/cxl-cache/limits/rate-crypto", test_rate_crypto);
    qtest_add_func("/cxl-cache/limits/credits", test_credits);
    qtest_add_func("/cxl-cache/limits/credits-no-time", test_credits_no_time);
    qtest_add_func("/cxl-cache/limits/noisy", test_noisy);
    qtest_add_func("/cxl-cache/limits/observed", test_observed);
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/limits/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_refused);
    }
    return g_test_run();
}
