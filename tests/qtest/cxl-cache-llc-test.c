/*
 * QTest testcase for the host's last-level cache (-object cxl-host-llc) and
 * what it takes from CXL.cache devices
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which line leaves is the model's business (test-cxl-cache-llc). Here it is
 * whether the cache sees the traffic that there is, as it is; whether a line
 * that may not be held any more is really taken, by a snoop, with its data; and
 * whether all who can tell of it say the same.
 *
 * Loads by a CPU are made by the cache's own registers: this test's accesses
 * are DMA for the machine.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "qapi/error.h"
#include "libqos/cxl.h"
#include "hw/cxl/cxl_cache_llc_regs.h"
#include "cxl-cache-testdev.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"

#define RAM_SIZE    (128 * MiB)
#define A           (16 * MiB)

/* 2 slices of 8 sets of 4 ways, the lines in turn */
#define SMALL       "size=4K,ways=4,slices=2,hash=linear"
#define WAYS        4
#define STRIDE      (2 * 8 * LINE)
/* One set, so that all lines are congruent */
#define ONE_SET     "size=512,ways=8,slices=1"

typedef struct Machine {
    QTestState *qts;
    Dev dev[2];
    unsigned num_devs;
    QPCIBar llc;
    uint8_t *ram;
} Machine;

/* ---- Machines ---- */

static void machine_map(Machine *m)
{
    m->llc = qpci_iomap(m->dev[0].pci, CXL_CACHE_TESTDEV_BAR_LLC, NULL);
    g_assert_cmphex(qpci_io_readl(m->dev[0].pci, m->llc, CLR_MAGIC), ==,
                    CLR_MAGIC_VALUE);
}

/* Returns: false, and the test is skipped, where lines are not kept */
static bool machine_start(Machine *m, const char *llc, unsigned devs)
{
    *m = (Machine) { .num_devs = devs };
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                         "-object cxl-host-llc,id=llc0,%s "
                         QCXL_PXB QCXL_RP ",cxl-cache=on "
                         "-device cxl-cache-testdev,bus=rp0,id=t0 %s", llc,
                         devs > 1 ? QCXL_RP1 ",cxl-cache=on "
                         "-device cxl-cache-testdev,bus=rp1,id=t1" : "");
    for (unsigned i = 0; i < devs; i++) {
        dev_start(&m->dev[i], m->qts, i);
    }
    machine_map(m);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    if (request(&m->dev[0], CXL_CACHE_RD_OWN, A).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
        munmap(m->ram, RAM_SIZE);
        dev_end(&m->dev[0]);
        qtest_quit(m->qts);
        return false;
    }
    evict(&m->dev[0], A);
    return true;
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    for (unsigned i = 0; i < m->num_devs; i++) {
        dev_end(&m->dev[i]);
    }
    qtest_quit(m->qts);
}

/* ---- The cache's registers ---- */

static uint32_t reg32(Machine *m, uint64_t reg)
{
    return qpci_io_readl(m->dev[0].pci, m->llc, reg);
}

static uint64_t reg64(Machine *m, uint64_t reg)
{
    return qpci_io_readq(m->dev[0].pci, m->llc, reg);
}

static void look_at(Machine *m, uint64_t addr)
{
    qpci_io_writeq(m->dev[0].pci, m->llc, CLR_ADDR, addr);
}

static void command(Machine *m, uint64_t addr, uint32_t what)
{
    look_at(m, addr);
    qpci_io_writel(m->dev[0].pci, m->llc, CLR_COMMAND, what);
}

static void load(Machine *m, uint64_t addr)
{
    command(m, addr, CLR_LOAD_AS(CLR_CPU));
}

static uint32_t llc_state(Machine *m, uint64_t addr)
{
    look_at(m, addr);
    return reg32(m, CLR_STATE);
}

static bool present(Machine *m, uint64_t addr)
{
    return llc_state(m, addr) & CLR_STATE_PRESENT;
}

static void set_mask(Machine *m, unsigned class, uint32_t mask)
{
    qpci_io_writel(m->dev[0].pci, m->llc, CLR_MASK(class), mask);
}

static uint64_t sum(Machine *m, unsigned offset)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < reg32(m, CLR_SLICES); i++) {
        n += reg64(m, CLR_SLICE(i) + offset);
    }
    return n;
}

static uint64_t fills(Machine *m)
{
    return sum(m, CLR_FILLS(0) - CLR_SLICE(0));
}

static uint64_t hits(Machine *m)
{
    return sum(m, CLR_HITS(0) - CLR_SLICE(0));
}

static uint64_t evictions(Machine *m, unsigned why)
{
    return sum(m, CLR_EVICTIONS(0, why) - CLR_SLICE(0));
}

/* ---- The monitor ---- */

static QDict *query(Machine *m)
{
    return qtest_qmp_assert_success_ref(m->qts,
                                        "{'execute': 'x-query-cxl-llc'}");
}

static QDict *query_set(Machine *m, uint64_t addr)
{
    return qtest_qmp_assert_success_ref(m->qts,
        "{'execute': 'x-query-cxl-llc', 'arguments': {'address': %" PRIu64
        "}}", addr);
}

static int64_t taken(Machine *m, const char *why)
{
    g_autoptr(QDict) info = query(m);
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "taken"), e) {
        QDict *t = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(t, "reason"), why)) {
            return qdict_get_int(t, "count");
        }
    }
    g_assert_not_reached();
}

static int64_t snoops_sent(Machine *m)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(m->qts,
        "{'execute': 'x-query-cxl-cache'}");
    const QListEntry *d, *c, *o;
    int64_t n = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), d) {
        QDict *dev = qobject_to(QDict, qlist_entry_obj(d));

        QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "channels"), c) {
            QDict *ch = qobject_to(QDict, qlist_entry_obj(c));

            QLIST_FOREACH_ENTRY(qdict_get_qlist(ch, "opcodes"), o) {
                QDict *op = qobject_to(QDict, qlist_entry_obj(o));

                if (g_str_equal(qdict_get_str(op, "name"), "SnpInv")) {
                    n += qdict_get_int(op, "count");
                }
            }
        }
    }
    return n;
}

static void assert_event(Machine *m, uint64_t addr, const char *reason,
                         const char *by, const char *state)
{
    g_autoptr(QDict) event = qtest_qmp_eventwait_ref(m->qts,
                                                     "CXL_LLC_EVICTED");
    QDict *data = qdict_get_qdict(event, "data");

    g_assert_cmpstr(qdict_get_str(data, "id"), ==, "llc0");
    g_assert_cmphex(qdict_get_int(data, "address"), ==, addr);
    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    g_assert_cmpstr(qdict_get_str(data, "by"), ==, by);
    g_assert_cmpstr(qdict_get_str(data, "device"), ==, "t0");
    g_assert_cmpstr(qdict_get_str(data, "state"), ==, state);
    look_at(m, addr);
    g_assert_cmpuint(qdict_get_int(data, "slice"), ==, reg32(m, CLR_SLICE_OF));
    g_assert_cmpuint(qdict_get_int(data, "set"), ==, reg32(m, CLR_SET_OF));
}

/* ---- Who takes lines from devices ---- */

/* w congruent lines leave a device's line alone, w + 1 take it. */
static void test_congruent(const void *policy)
{
    g_autofree char *llc = g_strdup_printf(SMALL ",inclusive=on,policy=%s",
                                           (const char *)policy);
    int64_t snoops;
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, llc, 1)) {
        return;
    }
    command(&m, 0, CLR_FLUSH);
    make_m(d, A, 7);
    snoops = snoops_sent(&m);
    for (int i = 1; i < WAYS; i++) {
        load(&m, A + i * STRIDE);
        look_at(&m, A + i * STRIDE);
        g_assert_cmpuint(reg32(&m, CLR_SLICE_OF), ==, 0);
        g_assert_cmpuint(reg32(&m, CLR_SET_OF), ==, 0);
    }
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    g_assert_true(present(&m, A));
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 0);
    g_assert_cmpint(snoops_sent(&m), ==, snoops);
    g_assert_cmpuint(m.ram[A], ==, 0);

    load(&m, A + WAYS * STRIDE);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    g_assert_cmphex(llc_state(&m, A), ==, 0);
    assert_version(m.ram + A, 7);
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 1);
    g_assert_cmpuint(reg64(&m, CLR_TAKEN(CLR_EVICT_SET)), ==, 1);
    g_assert_cmpint(snoops_sent(&m), ==, snoops + 1);
    assert_event(&m, A, "set-conflict", "cpu", "M");
    for (int i = 1; i <= WAYS; i++) {
        g_assert_true(present(&m, A + i * STRIDE));
    }
    machine_end(&m);
}

/* Where the cache is not inclusive, what leaves it may stay with a device. */
static void test_not_inclusive(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, SMALL ",directory-ways=0,policy=lru", 1)) {
        return;
    }
    make_m(d, A, 3);
    for (int i = 1; i <= 3 * WAYS; i++) {
        load(&m, A + i * STRIDE);
    }
    g_assert_cmphex(llc_state(&m, A), ==, CLR_STATE_HELD);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    machine_end(&m);
}

/* The directory has room for two lines of a set. */
static void test_directory(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, SMALL ",directory-ways=2,policy=lru", 1)) {
        return;
    }
    make_m(d, A, 1);
    make_m(d, A + STRIDE, 2);
    for (int i = 4; i <= 4 * WAYS; i++) {
        load(&m, A + i * STRIDE);
    }
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    g_assert_cmpint(taken(&m, "directory-conflict"), ==, 0);

    make_m(d, A + 2 * STRIDE, 3);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    g_assert_cmpuint(line_state(d, A + STRIDE), ==, CCT_STATE_M);
    assert_version(m.ram + A, 1);
    g_assert_cmpint(taken(&m, "directory-conflict"), ==, 1);
    assert_event(&m, A, "directory-conflict", "device", "M");

    /* Who gives a line up makes room, though another one is older. */
    evict(d, A + 2 * STRIDE);
    make_m(d, A + 3 * STRIDE, 4);
    g_assert_cmpint(taken(&m, "directory-conflict"), ==, 1);
    g_assert_cmpuint(line_state(d, A + STRIDE), ==, CCT_STATE_M);
    machine_end(&m);
}

/* DMA's writes come to the last ways, and take what is there. */
static void test_ddio(void)
{
    uint8_t line[LINE];
    uint64_t before;
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, SMALL ",inclusive=on,ddio-ways=1,policy=lru", 1)) {
        return;
    }
    g_assert_cmphex(reg32(&m, CLR_MASK(CLR_DMA)), ==, 0x8);
    command(&m, 0, CLR_FLUSH);
    for (int i = 1; i < WAYS; i++) {
        load(&m, A + i * STRIDE);
    }
    make_m(d, A, 9);
    g_assert_cmpuint(CLR_STATE_WAY(llc_state(&m, A)), ==, 3);
    before = fills(&m);
    qtest_memread(m.qts, A + 8 * STRIDE, line, LINE);
    g_assert_cmpuint(fills(&m), ==, before);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);

    fill(line, 1);
    qtest_memwrite(m.qts, A + 8 * STRIDE, line, LINE);
    g_assert_cmpuint(fills(&m), ==, before + 1);
    g_assert_cmphex(llc_state(&m, A + 8 * STRIDE), ==, CLR_STATE_PRESENT |
                    CLR_STATE_DIRTY | 3 << 8 | CLR_DMA << 16);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    assert_version(m.ram + A, 9);
    assert_event(&m, A, "ddio", "dma", "M");
    g_assert_cmpuint(evictions(&m, CLR_EVICT_DDIO), ==, 1);
    for (int i = 1; i < WAYS; i++) {
        g_assert_true(present(&m, A + i * STRIDE));
    }
    machine_end(&m);
}

/* A line in a way of its own survives 100,000 fills of its set. */
static void test_pin(void)
{
    Machine m;
    Dev *d = &m.dev[0];
    uint64_t before;

    if (!machine_start(&m, ONE_SET ",inclusive=on", 1)) {
        return;
    }
    command(&m, 0, CLR_FLUSH);
    set_mask(&m, CLR_PIN, 0x04);
    set_mask(&m, CLR_CPU, 0xfb);
    set_mask(&m, CLR_DEVICE, 0xfb);
    set_mask(&m, CLR_DMA, 0xfb);
    /* What is no mask is ignored. */
    set_mask(&m, CLR_CPU, 0x1ff);
    set_mask(&m, CLR_CPU, 0);
    g_assert_cmphex(reg32(&m, CLR_MASK(CLR_CPU)), ==, 0xfb);

    command(&m, A, CLR_LOAD_AS(CLR_PIN));
    g_assert_cmpuint(CLR_STATE_WAY(llc_state(&m, A)), ==, 2);
    make_m(d, A, 5);
    before = fills(&m);
    for (int i = 1; i <= 100; i++) {
        load(&m, A + i * LINE);
        request(d, CXL_CACHE_RD_CURR, A + (1000 + i) * LINE);
    }
    qtest_memset(m.qts, 32 * MiB, 0xaa, 100000 * LINE);
    g_assert_cmpuint(fills(&m), ==, before + 100200);
    g_assert_cmphex(llc_state(&m, A) & ~0xffu, ==, 2 << 8 | CLR_PIN << 16);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    g_assert_cmpuint(m.ram[A + 1], ==, 0);

    /* Given up, it leaves, and it is said why. */
    set_mask(&m, CLR_PIN, 0);
    set_mask(&m, CLR_CPU, 0x04);
    load(&m, A + LINE);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    assert_version(m.ram + A, 5);
    g_assert_cmpint(taken(&m, "unpin"), ==, 1);
    assert_event(&m, A, "unpin", "cpu", "M");
    machine_end(&m);
}

static void test_flush(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, SMALL ",inclusive=on", 1)) {
        return;
    }
    make_m(d, A, 1);
    make_m(d, A + LINE, 2);
    command(&m, A, CLR_FLUSH_LINE);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    g_assert_false(present(&m, A));
    assert_version(m.ram + A, 1);
    g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_M);
    command(&m, 0, CLR_FLUSH);
    g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_I);
    assert_version(m.ram + A + LINE, 2);
    g_assert_cmpint(taken(&m, "flush"), ==, 1);
    machine_end(&m);
}

/* ---- What it sees ---- */

/* Each request is one access, whatever the home does for it. */
static void test_traffic(void)
{
    static const struct {
        uint32_t opcode;
        bool write;
        bool dirty;
    } requests[] = {
        { CXL_CACHE_RD_CURR },
        { CXL_CACHE_RD_OWN },
        { CXL_CACHE_RD_SHARED },
        { CXL_CACHE_RD_ANY },
        { CXL_CACHE_RD_OWN_NO_DATA },
        { CXL_CACHE_I_TO_M_WR, true, true },
        { CXL_CACHE_WR_INV, true, true },
        { CXL_CACHE_WO_WR_INV_F, true, true },
    };
    Machine m;
    Dev *d = &m.dev[0];

    if (!machine_start(&m, "size=64K,ways=8,slices=4,hash=linear", 1)) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(requests); i++) {
        uint64_t addr = A + (16 + i) * LINE, f = fills(&m), h = hits(&m);

        for (int again = 0; again < 2; again++) {
            if (requests[i].write) {
                g_assert_cmpint(write_request(d, requests[i].opcode, addr,
                                              ALL, i).ret, ==, OK);
            } else {
                request(d, requests[i].opcode, addr);
                evict(d, addr);
            }
            g_assert_cmpuint(fills(&m), ==, f + 1);
            g_assert_cmpuint(hits(&m), ==, h + again);
        }
        g_assert_cmpint(!!(llc_state(&m, addr) & CLR_STATE_DIRTY), ==,
                        requests[i].dirty);
    }
    make_m(d, A, 4);
    g_assert_false(llc_state(&m, A) & CLR_STATE_DIRTY);
    evict(d, A);
    g_assert_true(llc_state(&m, A) & CLR_STATE_DIRTY);
    machine_end(&m);
}

/* Registers and monitor say the same of a set. */
static void test_query(void)
{
    g_autofree char *text = NULL;
    g_autoptr(QDict) info = NULL;
    const QListEntry *e;
    unsigned valid = 0;
    QDict *set;
    Machine m;

    if (!machine_start(&m, "size=64K,ways=8,slices=16,policy=plru,"
                       "inclusive=on", 1)) {
        return;
    }
    g_assert_cmpuint(reg64(&m, CLR_SIZE), ==, 64 * KiB);
    g_assert_cmpuint(reg32(&m, CLR_SLICES), ==, 16);
    g_assert_cmpuint(reg32(&m, CLR_SETS), ==, 8);
    g_assert_cmpuint(reg32(&m, CLR_WAYS), ==, 8);
    g_assert_cmphex(reg32(&m, CLR_FLAGS), ==, CLR_FLAG_INCLUSIVE);
    /* Bit 12 is in three masks of the 16-slice hash */
    look_at(&m, 0x1000);
    g_assert_cmpuint(reg32(&m, CLR_SLICE_OF), ==, 13);
    g_assert_cmpuint(reg32(&m, CLR_SET_OF), ==, 0);
    command(&m, 0, CLR_FLUSH);
    load(&m, 0x1000);
    make_m(&m.dev[0], A, 1);

    info = query_set(&m, 0x1000);
    g_assert_cmpstr(qdict_get_str(info, "policy"), ==, "plru");
    g_assert_cmpstr(qdict_get_str(info, "hash"), ==, "intel");
    set = qdict_get_qdict(info, "content");
    g_assert_cmpint(qdict_get_int(set, "slice"), ==, 13);
    g_assert_cmpint(qdict_get_int(set, "set"), ==, 0);
    QLIST_FOREACH_ENTRY(qdict_get_qlist(set, "ways"), e) {
        QDict *way = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_bool(way, "valid")) {
            valid++;
            g_assert_cmphex(qdict_get_int(way, "address"), ==, 0x1000);
            g_assert_cmpstr(qdict_get_str(way, "agent"), ==, "cpu");
            g_assert_false(qdict_get_bool(way, "held"));
        }
    }
    g_assert_cmpuint(valid, ==, 1);
    text = qtest_hmp(m.qts, "info cxl-llc 0x%x", (unsigned)A);
    g_assert_nonnull(strstr(text,
                            "16 slices (intel) of 8 sets of 8 ways, plru"));
    g_assert_nonnull(strstr(text, "0x000001000000 by device held"));
    g_free(g_steal_pointer(&text));
    text = qtest_hmp(m.qts, "info cxl-llc");
    g_assert_null(strstr(text, "0x000001000000"));

    qobject_unref(qtest_qmp_assert_failure_ref(m.qts,
        "{'execute': 'x-query-cxl-llc', 'arguments': {'slice': 16, "
        "'set': 0}}"));
    qobject_unref(qtest_qmp_assert_failure_ref(m.qts,
        "{'execute': 'x-query-cxl-llc', 'arguments': {'slice': 1}}"));
    machine_end(&m);
}

/* A guest may write what it likes to the registers. */
static void test_registers(void)
{
    GRand *rand = g_rand_new_with_seed(1);
    Machine m;

    if (!machine_start(&m, SMALL ",inclusive=on", 1)) {
        return;
    }
    for (int i = 0; i < 4000; i++) {
        uint64_t reg = g_rand_int_range(rand, 0, CLR_SLICE(1) / 4) * 4;
        uint64_t value = (uint64_t)g_rand_int(rand) << (i % 3 * 16) >>
                         (i % 5 * 8);

        if (g_rand_boolean(rand) && !(reg & 4)) {
            qpci_io_writeq(m.dev[0].pci, m.llc, reg, value);
        } else {
            qpci_io_writel(m.dev[0].pci, m.llc, reg, value);
        }
        reg32(&m, g_rand_int_range(rand, 0, CLR_REGS_SIZE / 4) * 4);
        reg64(&m, g_rand_int_range(rand, 0, CLR_REGS_SIZE / 8) * 8);
    }
    g_assert_cmphex(reg32(&m, CLR_MAGIC), ==, CLR_MAGIC_VALUE);
    g_assert_cmpuint(reg32(&m, CLR_WAYS), ==, WAYS);
    g_rand_free(rand);
    machine_end(&m);
}

static void test_reset(void)
{
    Machine m;

    if (!machine_start(&m, SMALL ",inclusive=on", 1)) {
        return;
    }
    set_mask(&m, CLR_PIN, 1);
    load(&m, A);
    g_assert_true(present(&m, A));
    dev_end(&m.dev[0]);
    m.dev[0] = (Dev) { };
    qtest_system_reset(m.qts);
    dev_start(&m.dev[0], m.qts, 0);
    machine_map(&m);
    g_assert_false(present(&m, A));
    g_assert_cmphex(reg32(&m, CLR_MASK(CLR_PIN)), ==, 0);
    make_m(&m.dev[0], A, 2);
    g_assert_true(present(&m, A));
    machine_end(&m);
}

/* ---- Links with time ---- */

#define L       500
#define TIMED   " -global cxl-rp.cxl-cache-latency=500"
#define JITTER  TIMED " -global cxl-rp.x-jitter=7"
#define LONG_NS 1000000

static void must_post(Dev *d, uint32_t opcode, uint64_t addr)
{
    g_assert_cmpint(operate(d, CCT_DO_POST, opcode, 0, addr, ALL, NULL).ret,
                    ==, OK);
}

/* Links with time, which has begun, and a cache of which nothing is in use */
static bool start_in_time(Machine *m, unsigned devices)
{
    if (!machine_start(m, SMALL ",inclusive=on,policy=lru" TIMED, devices)) {
        return false;
    }
    qtest_clock_step(m->qts, LONG_NS);
    command(m, 0, CLR_FLUSH);
    return true;
}

/*
 * A line has to leave when another device's request has come to the host: the
 * snoop goes out then, takes the line when it arrives, and the data are home
 * when they do. They go to memory, and not into the cache, nor does anything
 * wait for it.
 */
static void test_in_time(const void *opcode)
{
    const unsigned back = CLR_WRITE_BACKS(0) - CLR_SLICE(0);
    uint64_t before;
    Machine m;
    Dev *d = &m.dev[0];

    if (!start_in_time(&m, 2)) {
        return;
    }
    make_m(d, A, 7);
    before = sum(&m, back);
    qtest_clock_step(m.qts, LONG_NS);
    for (int i = 1; i <= WAYS; i++) {
        must_post(&m.dev[1], GPOINTER_TO_UINT(opcode), A + i * STRIDE);
    }
    qtest_clock_step(m.qts, L - 1);
    g_assert_true(present(&m, A));
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 0);
    qtest_clock_step(m.qts, 1);
    g_assert_false(present(&m, A));
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 1);
    assert_event(&m, A, "set-conflict", "device", "M");
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    qtest_clock_step(m.qts, L - 1);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    qtest_clock_step(m.qts, 1);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    /* No request has waited for it. */
    g_assert_cmpuint(CCT_POSTS_OPEN(get32(&m.dev[1], CCT_POSTS)), ==, 0);
    qtest_clock_step(m.qts, L - 1);
    g_assert_cmpuint(m.ram[A], ==, 0);
    qtest_clock_step(m.qts, 1);
    assert_version(m.ram + A, 7);
    g_assert_false(present(&m, A));
    g_assert_cmpuint(sum(&m, back), ==, before);
    for (int i = 1; i <= WAYS; i++) {
        g_assert_true(present(&m, A + i * STRIDE));
    }
    machine_end(&m);
}

/* A CPU's load takes a line at once, and leaves its neighbour alone. */
static void test_in_time_neighbour(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    if (!start_in_time(&m, 1)) {
        return;
    }
    make_m(d, A, 3);
    make_m(d, A + LINE, 4);
    for (int i = 1; i <= WAYS; i++) {
        load(&m, A + i * STRIDE);
    }
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    assert_version(m.ram + A, 3);
    g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_M);
    g_assert_cmpuint(m.ram[A + LINE], ==, 0);
    machine_end(&m);
}

/* Where something is under way for the line, it is asked for behind that. */
static void test_in_time_busy(void)
{
    Machine m;
    Dev *d = &m.dev[0];

    if (!start_in_time(&m, 2)) {
        return;
    }
    make_m(d, A, 3);
    qtest_clock_step(m.qts, LONG_NS);
    /* Which leaves the line where it is, but is with it from L to 3 L. */
    must_post(&m.dev[1], CXL_CACHE_RD_CURR, A);
    for (int i = 1; i <= WAYS; i++) {
        must_post(&m.dev[1], CXL_CACHE_RD_CURR, A + i * STRIDE);
    }
    qtest_clock_step(m.qts, L);
    g_assert_false(present(&m, A));
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 0);
    qtest_clock_step(m.qts, 3 * L - 1);
    g_assert_cmpint(taken(&m, "set-conflict"), ==, 1);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    qtest_clock_step(m.qts, 1);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    qtest_clock_step(m.qts, L);
    assert_version(m.ram + A, 3);
    machine_end(&m);
}

/* ---- Nothing is lost ---- */

#define LINES   96
#define STEPS   600

typedef struct Stress {
    const char *name;
    const char *llc;
} Stress;

static const Stress stresses[] = {
    { "inclusive-lru", SMALL ",inclusive=on,policy=lru" },
    { "inclusive-plru", SMALL ",inclusive=on,policy=plru" },
    { "inclusive-qlru", "size=4K,ways=4,slices=4,inclusive=on,"
                        "policy=qlru:H21_M3_R1_U3_UMO" },
    { "one-way", "size=512,ways=1,slices=4,inclusive=on,policy=srrip" },
    { "one-line", "size=64,ways=1,slices=1,inclusive=on" },
    { "directory", SMALL ",directory-ways=1" },
    { "directory-one-line", "size=64,ways=1,slices=1,directory-ways=1" },
    { "timed", SMALL ",inclusive=on,policy=lru" TIMED },
    { "timed-jitter", SMALL ",inclusive=on,policy=plru" JITTER },
    { "timed-one-line", "size=64,ways=1,slices=1,inclusive=on" JITTER },
    { "timed-directory", SMALL ",directory-ways=1" JITTER },
};

/* An inclusive cache has all that devices have. */
static void check_inclusion(Machine *m)
{
    bool inclusive = reg32(m, CLR_FLAGS) & CLR_FLAG_INCLUSIVE;

    for (int i = 0; inclusive && i < LINES; i++) {
        for (unsigned n = 0; n < m->num_devs; n++) {
            if (line_state(&m->dev[n], A + i * LINE) != CCT_STATE_I) {
                g_assert_true(present(m, A + i * LINE));
            }
        }
    }
}

/* What is under way while all else goes on; refused where a line is in use */
static void post_any(Dev *d, GRand *rand, uint64_t addr)
{
    static const uint8_t opcodes[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_SHARED, CXL_CACHE_RD_OWN,
        CXL_CACHE_DIRTY_EVICT, CXL_CACHE_CLEAN_EVICT_NO_DATA,
    };

    operate(d, CCT_DO_POST, opcodes[g_rand_int_range(rand, 0,
                                                     ARRAY_SIZE(opcodes))],
            0, addr, ALL, NULL);
}

/* One by one, and 8 KiB at once: more lines than the cache has */
static void test_nothing_lost(const void *opaque)
{
    const Stress *s = opaque;
    GRand *rand = g_rand_new_with_seed(5);
    unsigned version[LINES] = { };
    uint8_t *big = g_malloc0(CCT_BUF_SIZE), *back = g_malloc(CCT_BUF_SIZE);
    const bool timed = strstr(s->llc, TIMED);
    uint8_t line[LINE];
    Machine m;

    if (!machine_start(&m, s->llc, 2)) {
        goto out;
    }
    for (int i = 0; i < LINES; i++) {
        fill(line, 0);
        qtest_memwrite(m.qts, A + i * LINE, line, LINE);
    }
    for (int step = 1; step <= STEPS; step++) {
        unsigned i = g_rand_int_range(rand, 0, LINES);
        Dev *d = &m.dev[g_rand_boolean(rand)];
        uint64_t addr = A + i * LINE;

        switch (g_rand_int_range(rand, 0, timed ? 10 : 7)) {
        case 0:
        case 1:
            line_op(d, CCT_DO_LINE_EVICT, addr);
            request(d, CXL_CACHE_RD_OWN, addr);
            /* In one line's room it may be gone at once. */
            if (line_write(d, addr, ALL, step).ret == OK) {
                version[i] = step;
            }
            break;
        case 2:
            line_op(d, CCT_DO_LINE_EVICT, addr);
            assert_version(request(d, CXL_CACHE_RD_SHARED, addr).data,
                           version[i]);
            break;
        case 3:
            load(&m, addr);
            break;
        case 4:
            fill(line, step);
            qtest_memwrite(m.qts, addr, line, LINE);
            version[i] = step;
            break;
        case 5:
            qtest_memread(m.qts, addr, line, LINE);
            assert_version(line, version[i]);
            break;
        case 6:
            command(&m, addr, CLR_FLUSH_LINE);
            assert_version(m.ram + addr, version[i]);
            break;
        case 7:
        case 8:
            post_any(d, rand, addr);
            break;
        case 9:
            qtest_clock_step(m.qts, g_rand_int_range(rand, 1, 2 * L));
            break;
        }
        if (step % 200 == 0) {
            if (timed) {
                qtest_clock_step(m.qts, LONG_NS);
            }
            check_inclusion(&m);
        }
    }
    for (int i = 0; i < LINES; i++) {
        qtest_memread(m.qts, A + i * LINE, line, LINE);
        assert_version(line, version[i]);
    }
    for (int round = 1; round <= 3; round++) {
        Dev *d = &m.dev[round % 2];

        for (int i = 0; i < CCT_BUF_SIZE; i++) {
            big[i] = i * 7 + i / LINE + round;
        }
        qpci_memwrite(d->pci, d->bar, CCT_BUF, big, CCT_BUF_SIZE);
        set_operation(d, 0, CCT_FLAG_KEEP, A, 0, CCT_BUF_SIZE);
        set32(d, CCT_DOORBELL, CCT_DO_WRITE);
        g_assert_cmpint((int32_t)get32(d, CCT_RESULT), ==, OK);
        check_inclusion(&m);
        d = &m.dev[!(round % 2)];
        set_operation(d, 0, 0, A, 0, CCT_BUF_SIZE);
        set32(d, CCT_DOORBELL, CCT_DO_READ);
        g_assert_cmpint((int32_t)get32(d, CCT_RESULT), ==, OK);
        qpci_memread(d->pci, d->bar, CCT_BUF, back, CCT_BUF_SIZE);
        g_assert_cmpmem(big, CCT_BUF_SIZE, back, CCT_BUF_SIZE);
    }
    command(&m, 0, CLR_FLUSH);
    qtest_memread(m.qts, A, back, CCT_BUF_SIZE);
    g_assert_cmpmem(big, CCT_BUF_SIZE, back, CCT_BUF_SIZE);
    machine_end(&m);
out:
    g_free(big);
    g_free(back);
    g_rand_free(rand);
}

/* ---- Options ---- */

static void assert_refused(QTestState *qts, const char *props,
                           const char *why)
{
    g_autofree char *args = g_strdup_printf("{'qom-type': 'cxl-host-llc', "
        "'id': 'x', %s}", props);
    QDict *resp = qtest_qmp(qts, "{'execute': 'object-add', 'arguments': %p}",
                            qobject_from_json(args, &error_abort));
    const char *desc;

    g_assert_true(qdict_haskey(resp, "error"));
    desc = qdict_get_str(qdict_get_qdict(resp, "error"), "desc");
    if (!strstr(desc, why)) {
        g_test_message("not about %s: %s", why, desc);
    }
    g_assert_nonnull(strstr(desc, why));
    qobject_unref(resp);
}

static void test_options(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                                 QCXL_PXB QCXL_RP ",cxl-cache=on");

    assert_refused(qts, "'ways': 33", "'ways' must be");
    assert_refused(qts, "'slices': 3", "'slices' must be");
    assert_refused(qts, "'size': 65536", "'size' must be");
    assert_refused(qts, "'policy': 'fifo'", "there is no policy 'fifo'");
    assert_refused(qts, "'policy': 'qlru:H99_M1_R0_U0'", "no name of a QLRU");
    assert_refused(qts, "'policy': 'plru'", "no power of two");
    assert_refused(qts, "'ddio-ways': 0", "'ddio-ways' must not be 0");
    assert_refused(qts, "'ddio-ways': 13", "'ddio-ways' must be");
    assert_refused(qts, "'directory-ways': 33", "'directory-ways' must be");
    assert_refused(qts, "'watch': 'all'", "'watch' takes");
    assert_refused(qts, "'watch': '0x1000-0x2fff,'", "'watch' takes");
    assert_refused(qts, "'watch': '0x1000-0x2000'", "the last byte of one");
    assert_refused(qts, "'watch': '0x2000-0x1fff'", "the last byte of one");
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{'execute': 'x-query-cxl-llc'}"));

    qtest_qmp_assert_success(qts, "{'execute': 'object-add', 'arguments': "
                             "{'qom-type': 'cxl-host-llc', 'id': 'a'}}");
    assert_refused(qts, "'ways': 12", "has a cxl-host-llc, 'a'");
    qtest_qmp_assert_success(qts, "{'execute': 'object-del', 'arguments': "
                             "{'id': 'a'}}");
    qtest_qmp_assert_success(qts, "{'execute': 'object-add', 'arguments': "
                             "{'qom-type': 'cxl-host-llc', 'id': 'b'}}");
    qtest_qmp_assert_success(qts, "{'execute': 'device_add', 'arguments': "
                             "{'driver': 'cxl-cache-testdev', 'bus': 'rp0'}}");
    qobject_unref(qtest_qmp_assert_failure_ref(qts,
        "{'execute': 'object-del', 'arguments': {'id': 'b'}}"));
    qtest_quit(qts);

    qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                     QCXL_RP ",cxl-cache=on "
                     "-device cxl-cache-testdev,bus=rp0");
    assert_refused(qts, "'ways': 12", "before the first");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    static const char *const policies[] = {
        "lru", "plru", "srrip", "qlru:H11_M1_R0_U0",
    };

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cache-llc/options", test_options);
    for (int i = 0; i < ARRAY_SIZE(policies); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-cache-llc/congruent/%s",
                                                policies[i]);

        qtest_add_data_func(path, policies[i], test_congruent);
    }
    qtest_add_func("/cxl-cache-llc/not-inclusive", test_not_inclusive);
    qtest_add_func("/cxl-cache-llc/directory", test_directory);
    qtest_add_func("/cxl-cache-llc/ddio", test_ddio);
    qtest_add_func("/cxl-cache-llc/pin", test_pin);
    qtest_add_func("/cxl-cache-llc/flush", test_flush);
    qtest_add_func("/cxl-cache-llc/traffic", test_traffic);
    qtest_add_func("/cxl-cache-llc/query", test_query);
    qtest_add_func("/cxl-cache-llc/registers", test_registers);
    qtest_add_func("/cxl-cache-llc/reset", test_reset);
    qtest_add_data_func("/cxl-cache-llc/in-time/read",
                        GUINT_TO_POINTER(CXL_CACHE_RD_CURR), test_in_time);
    qtest_add_data_func("/cxl-cache-llc/in-time/own",
                        GUINT_TO_POINTER(CXL_CACHE_RD_OWN), test_in_time);
    qtest_add_func("/cxl-cache-llc/in-time/busy", test_in_time_busy);
    qtest_add_func("/cxl-cache-llc/in-time/neighbour", test_in_time_neighbour);
    for (int i = 0; i < ARRAY_SIZE(stresses); i++) {
        g_autofree char *path =
            g_strdup_printf("/cxl-cache-llc/nothing-lost/%s",
                            stresses[i].name);

        qtest_add_data_func(path, &stresses[i], test_nothing_lost);
    }
    return g_test_run();
}
