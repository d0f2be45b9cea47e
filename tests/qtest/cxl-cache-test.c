/*
 * QTest testcase for CacheMemRegion: CXL.cache devices, guest RAM and whoever
 * else uses it, by way of cxl-cache-testdev
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * T01 and so on are the numbers of the cases in the project's list of
 * protocol tests. "The CPU" is this test: its qtest accesses go through the
 * guest's mapping of RAM, as a vCPU's do. What RAM really holds while a device
 * has a newer copy is seen through a mapping of the memfd behind it.
 *
 * A doorbell's request is complete when the write returns, so that the races
 * of two messages on their way (T37 to T43) cannot be set up from here: the
 * unit tests have them. Here two agents and the CPU meet them by chance.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/malloc-pc.h"
#include "libqos/virtio.h"
#include "libqos/virtio-pci.h"
#include "cxl-cache-testdev.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "standard-headers/linux/virtio_blk.h"
#include "standard-headers/linux/virtio_ring.h"

#define RAM_SIZE    (128 * MiB)
#define MEMFD       QCXL_SHARED_RAM
#define TESTDEV0    "-device cxl-cache-testdev,bus=rp0,id=t0"
#define TESTDEV1    "-device cxl-cache-testdev,bus=rp1,id=t1"

/* Where the tests play: lines of two pages, far from anything else */
#define A           (16 * MiB)
#define B           (A + PAGE + 3 * LINE)

#define UNMAPPED    0x800000000ull
#define ROM         0xffff0000ull

/**
 * Machine:
 * @ram: the memory behind guest RAM, or NULL where lines are used once
 * @can_share: a line that a device has as S can be read without a fault
 * @before: the statistics at start, after the CacheFlushed of a reset
 */
typedef struct Machine {
    QTestState *qts;
    Dev dev[2];
    unsigned num_devs;
    uint8_t *ram;
    bool can_share;
    QDict *before;
} Machine;

static void cpu_store(Machine *m, uint64_t addr, unsigned v)
{
    uint8_t data[LINE];

    fill(data, v);
    qtest_memwrite(m->qts, addr, data, LINE);
}

#define assert_cpu_sees(m, addr, v)                             \
    do {                                                        \
        uint8_t data_[LINE];                                    \
                                                                \
        qtest_memread((m)->qts, addr, data_, LINE);             \
        assert_version(data_, v);                               \
    } while (0)

/* Behind everybody's back: the bytes of RAM */
#define assert_ram(m, addr, v)                                  \
    do {                                                        \
        if ((m)->ram) {                                         \
            assert_version((m)->ram + (addr), v);               \
        }                                                       \
    } while (0)

/* What a read by the CPU leaves of a line that a device had S, E or M */
static uint32_t after_cpu_read(Machine *m)
{
    return m->can_share ? CCT_STATE_S : CCT_STATE_I;
}

/* ---- Statistics ---- */

static QDict *query(Machine *m)
{
    return qtest_qmp_assert_success_ref(m->qts,
                                        "{'execute': 'x-query-cxl-cache'}");
}

static QDict *find(QList *list, const char *key, const char *value)
{
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(list, e) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(dict, key), value)) {
            return dict;
        }
    }
    g_assert_not_reached();
}

static int64_t count_sent(QDict *info, const char *id, const char *channel,
                          const char *name)
{
    QDict *dev = find(qdict_get_qlist(info, "devices"), "id", id);
    QDict *ch = find(qdict_get_qlist(dev, "channels"), "channel", channel);
    QDict *op = find(qdict_get_qlist(ch, "opcodes"), "name", name);

    return qdict_get_int(op, "count");
}

/* How many messages have crossed a device's link */
static int64_t sent(Machine *m, const char *id, const char *channel,
                    const char *name)
{
    g_autoptr(QDict) info = query(m);

    return count_sent(info, id, channel, name) -
           count_sent(m->before, id, channel, name);
}

static int64_t lines_in(Machine *m, const char *id, const char *state)
{
    g_autoptr(QDict) info = query(m);
    QDict *dev = find(qdict_get_qlist(info, "devices"), "id", id);

    return qdict_get_int(find(qdict_get_qlist(dev, "states"), "state", state),
                         "lines");
}

static int64_t lines_held(Machine *m, const char *id)
{
    return lines_in(m, id, "S") + lines_in(m, id, "E") +
           lines_in(m, id, "M") + lines_in(m, id, "EN");
}

static int64_t tracked(Machine *m)
{
    g_autoptr(QDict) info = query(m);

    return qdict_get_int(info, "tracked-lines");
}

/* Modified lines that system resets have dropped */
static int64_t lost_lines(Machine *m, const char *id)
{
    g_autoptr(QDict) info = query(m);

    return qdict_get_int(find(qdict_get_qlist(info, "devices"), "id", id),
                         "lost-lines");
}

/* Snoops for the sake of the CPU */
static int64_t host_snoops(Machine *m)
{
    g_autoptr(QDict) info = query(m);
    QList *list = qdict_get_qlist(info, "accesses");
    const QListEntry *e;
    int64_t n = 0;

    QLIST_FOREACH_ENTRY(list, e) {
        n += qdict_get_int(qobject_to(QDict, qlist_entry_obj(e)), "snoops");
    }
    return n;
}

/* ---- Machines ---- */

/*
 * @memory: MEMFD or ""
 * @opts: of the command line; two devices if it has TESTDEV1
 */
static void machine_start(Machine *m, const char *memory, const char *rp_opts,
                          const char *dev_opts, const char *opts)
{
    *m = (Machine) { .num_devs = strstr(opts, TESTDEV1) ? 2 : 1 };
    m->qts = qtest_initf("-nodefaults -m 128M,slots=2,maxmem=1G " QCXL_MACHINE
                         "%s" QCXL_PXB QCXL_RP ",cxl-cache=on%s " QCXL_RP1
                         ",cxl-cache=on%s " TESTDEV0 "%s %s", memory, rp_opts,
                         rp_opts, dev_opts, opts);
    for (unsigned i = 0; i < m->num_devs; i++) {
        dev_start(&m->dev[i], m->qts, i);
    }
    if (*memory) {
        m->ram = qcxl_map_memfd(m->qts, "memory-backend-memfd", RAM_SIZE);
    }
    m->before = query(m);
}

static void machine_end(Machine *m)
{
    if (m->ram) {
        munmap(m->ram, RAM_SIZE);
    }
    for (unsigned i = 0; i < m->num_devs; i++) {
        dev_end(&m->dev[i]);
    }
    qobject_unref(m->before);
    qtest_quit(m->qts);
}

/* Whether lines are kept on this host, and how; asked once */
static bool host_probed, host_keeps, host_can_share;

static void probe_host(void)
{
    g_autoptr(QDict) info = NULL;
    QDict *trap;
    Machine m;

    host_probed = true;
    machine_start(&m, MEMFD, "", "", "");
    host_keeps = request(&m.dev[0], CXL_CACHE_RD_OWN, A).state == CCT_STATE_E;
    info = query(&m);
    trap = qdict_get_qdict(info, "trap");
    host_can_share = qdict_get_bool(trap, "can-share");
    if (!host_keeps) {
        g_test_message("lines are not kept: %s",
                       qdict_get_try_str(trap, "obstacle"));
    }
    machine_end(&m);
}

/* ---- Requests (T01 to T21), with lines kept and used once ---- */

/* T01 */
static void test_rd_curr(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    for (int i = 0; i < 2; i++) {
        Result r = request(d, CXL_CACHE_RD_CURR, A);

        assert_version(r.data, 1);
        g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    }
    g_assert_cmpint(sent(m, "t0", "d2h-req", "RdCurr"), ==, 2);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "GO"), ==, 0);
    g_assert_cmpint(tracked(m), ==, 0);
}

/* T03 */
static void test_rd_shared(Machine *m)
{
    Dev *d = &m->dev[0];
    Result r;
    int64_t snoops;

    cpu_store(m, A, 1);
    r = request(d, CXL_CACHE_RD_SHARED, A);
    assert_version(r.data, 1);
    g_assert_cmpuint(r.state, ==, m->ram ? CCT_STATE_S : CCT_STATE_I);
    if (!m->ram) {
        return;
    }
    r = line_op(d, CCT_DO_LINE_READ, A);
    g_assert_cmpint(r.ret, ==, OK);
    assert_version(r.data, 1);
    g_assert_cmpint(line_write(d, A, ALL, 2).ret, ==, PERM);

    snoops = host_snoops(m);
    assert_cpu_sees(m, A, 1);
    g_assert_cmpuint(line_state(d, A), ==, after_cpu_read(m));
    if (m->can_share) {
        g_assert_cmpint(host_snoops(m), ==, snoops);
        cpu_store(m, A, 2);
        g_assert_cmpint(host_snoops(m), ==, snoops + 1);
        g_assert_cmpint(sent(m, "t0", "d2h-rsp", "RspIHitSE"), ==, 1);
    }
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
}

/* T04 */
static void test_rd_own(Machine *m)
{
    Dev *d = &m->dev[0];
    Result r;

    cpu_store(m, A, 1);
    r = request(d, CXL_CACHE_RD_OWN, A);
    assert_version(r.data, 1);
    if (!m->ram) {
        g_assert_cmpuint(r.state, ==, CCT_STATE_I);
        g_assert_cmpint(line_write(d, A, ALL, 2).ret, ==, PERM);
        assert_cpu_sees(m, A, 1);
        return;
    }
    g_assert_cmpuint(r.state, ==, CCT_STATE_E);
    g_assert_cmpint(line_write(d, A, 0xff00, 2).ret, ==, OK);
    g_assert_cmpint(line_write(d, A, ~0xff00ull, 2).ret, ==, OK);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    assert_ram(m, A, 1);

    assert_cpu_sees(m, A, 2);
    assert_ram(m, A, 2);
    g_assert_cmpuint(line_state(d, A), ==, after_cpu_read(m));
    if (m->can_share) {
        g_assert_cmpint(sent(m, "t0", "h2d-req", "SnpData"), ==, 1);
        g_assert_cmpint(sent(m, "t0", "d2h-rsp", "RspSFwdM"), ==, 1);
    }
}

/* A store by the CPU meets M, E and S */
static void test_cpu_store(Machine *m)
{
    Dev *d = &m->dev[0];

    for (int i = 0; i < 3; i++) {
        uint32_t op = i == 2 ? CXL_CACHE_RD_SHARED : CXL_CACHE_RD_OWN;
        uint64_t word = 0x1122334455667788;
        uint8_t expected[LINE], seen[LINE];

        cpu_store(m, A, 1);
        request(d, op, A);
        if (m->ram && i == 0) {
            g_assert_cmpint(line_write(d, A, ALL, 2).ret, ==, OK);
        }
        /* Part of the line: the rest is the device's. */
        qtest_writeq(m->qts, A + 8, word);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        fill(expected, m->ram && i == 0 ? 2 : 1);
        stq_le_p(expected + 8, word);
        qtest_memread(m->qts, A, seen, LINE);
        g_assert_cmpmem(seen, LINE, expected, LINE);
        memcpy(seen, request(d, CXL_CACHE_RD_CURR, A).data, LINE);
        g_assert_cmpmem(seen, LINE, expected, LINE);
    }
}

/* T07 */
static void test_rd_own_no_data(Machine *m)
{
    Dev *d = &m->dev[0];
    Result r;

    cpu_store(m, A, 1);
    r = try_request(d, CXL_CACHE_RD_OWN_NO_DATA, A);
    g_assert_cmpint(r.ret, ==, OK);
    if (!m->ram) {
        /* There is no answer that means "use it once". */
        g_assert_true(r.failed);
        g_assert_cmpuint(r.state, ==, CCT_STATE_I);
        assert_cpu_sees(m, A, 1);
        return;
    }
    g_assert_cmpuint(r.state, ==, CCT_STATE_EN);
    g_assert_cmpint(line_op(d, CCT_DO_LINE_READ, A).ret, ==, PERM);
    g_assert_cmpint(line_write(d, A, 0xff, 2).ret, ==, PERM);
    g_assert_cmpint(line_write(d, A, ALL, 2).ret, ==, OK);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
    assert_ram(m, A, 1);
    evict(d, A);
    assert_ram(m, A, 2);
    assert_cpu_sees(m, A, 2);
}

/* T08 */
static void test_rd_own_no_data_from_s(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    request(d, CXL_CACHE_RD_SHARED, A);
    g_assert_cmpuint(request(d, CXL_CACHE_RD_OWN_NO_DATA, A).state, ==,
                     CCT_STATE_EN);
    g_assert_cmpint(line_write(d, A, ALL >> 1, 2).ret, ==, PERM);
    g_assert_cmpint(line_write(d, A, ALL, 2).ret, ==, OK);
    assert_cpu_sees(m, A, 2);
}

/* T09: and what another device had modified is not lost with it */
static void test_rd_own_no_data_unused(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    request(d, CXL_CACHE_RD_OWN_NO_DATA, A);
    g_assert_cmpint(try_request(d, CXL_CACHE_CLEAN_EVICT, A).ret, ==, PERM);
    request(d, CXL_CACHE_CLEAN_EVICT_NO_DATA, A);
    assert_ram(m, A, 1);
    assert_cpu_sees(m, A, 1);

    make_m(&m->dev[1], A, 2);
    request(d, CXL_CACHE_RD_OWN_NO_DATA, A);
    g_assert_cmpuint(line_state(&m->dev[1], A), ==, CCT_STATE_I);
    assert_cpu_sees(m, A, 2);
    g_assert_cmpuint(line_state(d, A), !=, CCT_STATE_EN);
}

/* T10, T11, T16, T18: writes that leave nothing in the cache */
static void check_write(Machine *m, uint32_t opcode, uint64_t be)
{
    Dev *d = &m->dev[0];
    uint8_t expected[LINE], seen[LINE], data[LINE];
    Result r;

    fill(expected, 1);
    fill(data, 2);
    for (int i = 0; i < LINE; i++) {
        expected[i] = be & 1ull << i ? data[i] : expected[i];
    }
    cpu_store(m, A, 1);
    r = write_request(d, opcode, A, be, 2);
    g_assert_cmpint(r.ret, ==, OK);
    g_assert_false(r.failed);
    g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    if (m->ram) {
        g_assert_cmpmem(m->ram + A, LINE, expected, LINE);
    }
    qtest_memread(m->qts, A, seen, LINE);
    g_assert_cmpmem(seen, LINE, expected, LINE);
    g_assert_cmpint(tracked(m), ==, 0);
}

static void test_ito_m_wr(Machine *m)
{
    check_write(m, CXL_CACHE_I_TO_M_WR, ALL);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "GO_WritePull"), ==, 1);
}

static void test_wr_cur(Machine *m)
{
    check_write(m, CXL_CACHE_WR_CUR, ALL);
}

static void test_wr_inv(Machine *m)
{
    check_write(m, CXL_CACHE_WR_INV, 0xf0);
    check_write(m, CXL_CACHE_WR_INV, ALL);
    check_write(m, CXL_CACHE_WR_INV, 0x8000000000000001);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "WritePull"), ==, 3);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "GO"), ==, 3);
}

/* T17 */
static void test_wr_inv_nothing(Machine *m)
{
    check_write(m, CXL_CACHE_WR_INV, 0);
}

static void test_wo_wr_inv(Machine *m)
{
    check_write(m, CXL_CACHE_WO_WR_INV, 0x00ff00ff00ff00ff);
    check_write(m, CXL_CACHE_WO_WR_INV_F, ALL);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "Fast_GO_WritePull"), ==, 2);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "ExtCmp"), ==, 2);
    /* The one is never whole, the other always. */
    g_assert_cmpint(write_request(&m->dev[0], CXL_CACHE_WO_WR_INV, A, ALL,
                                  3).ret, ==, INVAL);
    assert_cpu_sees(m, A, 2);
}

/* T10 to T12, T16, T18: the other device had the line, as S or as M */
static void test_writes_snoop(Machine *m)
{
    static const uint32_t ops[] = {
        CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR, CXL_CACHE_WR_INV,
        CXL_CACHE_WO_WR_INV_F, CXL_CACHE_CL_FLUSH,
    };
    Dev *d = &m->dev[0], *other = &m->dev[1];

    for (int i = 0; i < ARRAY_SIZE(ops) * 2; i++) {
        bool flush = ops[i / 2] == CXL_CACHE_CL_FLUSH;
        unsigned have = 1;

        cpu_store(m, A, 1);
        if (i % 2) {
            make_m(other, A, have = 2);
        } else {
            request(other, CXL_CACHE_RD_SHARED, A);
        }
        g_assert_cmpint(write_request(d, ops[i / 2], A, ALL, 3).ret, ==, OK);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        g_assert_cmpuint(line_state(other, A), ==, CCT_STATE_I);
        assert_ram(m, A, flush ? have : 3);
        assert_cpu_sees(m, A, flush ? have : 3);
    }

    /* Bytes of both, in one line */
    make_m(other, A, 2);
    write_request(d, CXL_CACHE_WR_INV, A, 0xffff, 3);
    write_request(d, CXL_CACHE_WO_WR_INV, A, ~0xffffull, 3);
    assert_cpu_sees(m, A, 3);
}

/* T02 */
static void test_rd_curr_of_m(Machine *m)
{
    Dev *d = &m->dev[0], *owner = &m->dev[1];
    Result r;

    cpu_store(m, A, 1);
    make_m(owner, A, 2);
    r = request(d, CXL_CACHE_RD_CURR, A);
    assert_version(r.data, 2);
    g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    g_assert_cmpint(sent(m, "t1", "h2d-req", "SnpCur"), ==, 1);
    g_assert_cmpint(sent(m, "t1", "d2h-rsp", "RspVFwdV"), ==, 1);
    g_assert_cmpuint(line_state(owner, A), ==, CCT_STATE_M);
    assert_ram(m, A, 1);
}

/* T05 */
static void test_rd_own_of_m(Machine *m)
{
    Dev *d = &m->dev[0], *owner = &m->dev[1];
    bool written;
    Result r;

    cpu_store(m, A, 1);
    make_m(owner, A, 2);
    r = request(d, CXL_CACHE_RD_OWN, A);
    assert_version(r.data, 2);
    g_assert_cmpuint(line_state(owner, A), ==, CCT_STATE_I);
    g_assert_cmpint(sent(m, "t1", "d2h-rsp", "RspIFwdM"), ==, 1);
    /* E says that memory has it, M that it does not. */
    written = m->ram[A + 1] == r.data[1];
    g_assert_cmpuint(r.state, ==, written ? CCT_STATE_E : CCT_STATE_M);
    evict(d, A);
    assert_ram(m, A, 2);
}

/* T06 */
static void test_rd_any(Machine *m)
{
    Dev *d = &m->dev[0], *other = &m->dev[1];
    Result r;

    cpu_store(m, A, 1);
    r = request(d, CXL_CACHE_RD_ANY, A);
    assert_version(r.data, 1);
    g_assert_true(r.state == CCT_STATE_E || r.state == CCT_STATE_S);
    evict(d, A);

    request(other, CXL_CACHE_RD_SHARED, A);
    r = request(d, CXL_CACHE_RD_ANY, A);
    assert_version(r.data, 1);
    g_assert_cmpuint(r.state, ==, CCT_STATE_S);
    evict(d, A);
    evict(other, A);

    make_m(other, A, 2);
    r = request(d, CXL_CACHE_RD_ANY, A);
    assert_version(r.data, 2);
    if (r.state == CCT_STATE_S) {
        assert_ram(m, A, 2);
    } else {
        g_assert_cmpuint(r.state, ==, CCT_STATE_M);
        g_assert_cmpuint(line_state(other, A), ==, CCT_STATE_I);
    }
}

/* T13: the host has no use for the data and lets the device drop them */
static void test_clean_evict(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    g_assert_cmpint(try_request(d, CXL_CACHE_CLEAN_EVICT, A).ret, ==, PERM);
    request(d, CXL_CACHE_RD_OWN, A);
    g_assert_cmpint(try_request(d, CXL_CACHE_DIRTY_EVICT, A).ret, ==, PERM);
    g_assert_cmpuint(request(d, CXL_CACHE_CLEAN_EVICT, A).state, ==,
                     CCT_STATE_I);
    g_assert_cmpint(sent(m, "t0", "h2d-rsp", "GO_WritePull_Drop"), ==, 1);
    g_assert_cmpint(tracked(m), ==, 0);
    assert_ram(m, A, 1);
}

/* T14 */
static void test_dirty_evict(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    make_m(d, A, 2);
    g_assert_cmpint(try_request(d, CXL_CACHE_CLEAN_EVICT, A).ret, ==, PERM);
    assert_ram(m, A, 1);
    g_assert_cmpuint(request(d, CXL_CACHE_DIRTY_EVICT, A).state, ==,
                     CCT_STATE_I);
    assert_ram(m, A, 2);
    g_assert_cmpint(tracked(m), ==, 0);
    assert_cpu_sees(m, A, 2);
}

/* T15 */
static void test_clean_evict_no_data(Machine *m)
{
    Dev *d = &m->dev[0];

    for (int i = 0; i < 2; i++) {
        cpu_store(m, A, 1);
        request(d, i ? CXL_CACHE_RD_SHARED : CXL_CACHE_RD_OWN, A);
        g_assert_cmpuint(request(d, CXL_CACHE_CLEAN_EVICT_NO_DATA, A).state,
                         ==, CCT_STATE_I);
        g_assert_cmpint(tracked(m), ==, 0);
        cpu_store(m, A, 2);
        g_assert_cmpint(host_snoops(m), ==, 0);
    }
}

/* T19 */
static void test_cache_flushed(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    request(d, CXL_CACHE_CACHE_FLUSHED, 0);
    request(d, CXL_CACHE_RD_SHARED, A);
    if (m->ram) {
        g_assert_cmpint(try_request(d, CXL_CACHE_CACHE_FLUSHED, 0).ret, ==,
                        PERM);
        /* The host does not know that. */
        g_assert_cmpint(line_op(d, CCT_DO_LINE_DROP, A).ret, ==, OK);
        g_assert_cmpint(tracked(m), ==, 1);
        request(d, CXL_CACHE_CACHE_FLUSHED, 0);
        g_assert_cmpint(tracked(m), ==, 0);
    }
    cpu_store(m, A, 2);
    g_assert_cmpint(host_snoops(m), ==, 0);
    assert_version(request(d, CXL_CACHE_RD_CURR, A).data, 2);
}

static void wait_errors(Dev *d, uint32_t errors)
{
    for (int i = 0; i < 1000 && get32(d, CCT_ERRORS) != errors; i++) {
        g_usleep(1000);
    }
    g_assert_cmphex(get32(d, CCT_ERRORS), ==, errors);
    set32(d, CCT_ERRORS, errors);
    g_assert_cmphex(get32(d, CCT_ERRORS), ==, 0);
}

static void assert_ones(const uint8_t *data)
{
    for (int i = 0; i < LINE; i++) {
        g_assert_cmphex(data[i], ==, 0xff);
    }
}

/* T20: where nothing is, and where a device's registers are */
static void test_unmapped(Machine *m)
{
    static const uint32_t reads[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED,
        CXL_CACHE_RD_ANY,
    }, writes[] = {
        CXL_CACHE_WR_INV, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR,
        CXL_CACHE_WO_WR_INV_F,
    };
    Dev *d = &m->dev[0];
    uint64_t addr[] = { UNMAPPED, d->bar.addr };

    for (int i = 0; i < ARRAY_SIZE(addr); i++) {
        for (int j = 0; j < ARRAY_SIZE(reads); j++) {
            Result r = try_request(d, reads[j], addr[i]);

            g_assert_cmpint(r.ret, ==, OK);
            g_assert_true(r.failed);
            g_assert_cmpuint(r.state, ==, CCT_STATE_I);
            assert_ones(r.data);
            wait_errors(d, 1u << CXL_CACHE_ERR_DECODE);
        }
        for (int j = 0; j < ARRAY_SIZE(writes); j++) {
            Result r = write_request(d, writes[j], addr[i], ALL, 1);

            g_assert_cmpint(r.ret, ==, OK);
            g_assert_true(r.failed);
            wait_errors(d, 1u << CXL_CACHE_ERR_DECODE);
        }
    }
    g_assert_cmpint(tracked(m), ==, 0);
    /* Beyond 52 bits there is no way to ask for it. */
    g_assert_cmpint(try_request(d, CXL_CACHE_RD_CURR, 1ull << 52).ret, ==,
                    INVAL);
}

/* T20: ROM can be read and not be owned. */
static void test_rom(Machine *m)
{
    Dev *d = &m->dev[0];
    uint8_t rom[LINE], now[LINE];
    Result r;

    qtest_memread(m->qts, ROM, rom, LINE);
    r = request(d, CXL_CACHE_RD_CURR, ROM);
    g_assert_cmpmem(r.data, LINE, rom, LINE);
    r = request(d, CXL_CACHE_RD_SHARED, ROM);
    g_assert_cmpmem(r.data, LINE, rom, LINE);
    g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    r = write_request(d, CXL_CACHE_WR_INV, ROM, ALL, 1);
    g_assert_true(r.failed);
    wait_errors(d, 1u << CXL_CACHE_ERR_DECODE);
    r = try_request(d, CXL_CACHE_RD_OWN, ROM);
    g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    qtest_memread(m->qts, ROM, now, LINE);
    g_assert_cmpmem(now, LINE, rom, LINE);
}

/* T21: the device does not send what it knows to be none */
static void test_reserved(Machine *m)
{
    static const uint32_t ops[] = { 0, 0x0f, 0x11, 0x1f, 0x20, UINT32_MAX };
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    for (int i = 0; i < ARRAY_SIZE(ops); i++) {
        g_assert_cmpint(try_request(d, ops[i], A).ret, ==, INVAL);
    }
    set32(d, CCT_DOORBELL, 0);
    g_assert_cmpint(get_result(d).ret, ==, INVAL);
    set32(d, CCT_DOORBELL, 77);
    g_assert_cmpint(get_result(d).ret, ==, INVAL);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    assert_version(request(d, CXL_CACHE_RD_CURR, A).data, 1);
}

/* T70 */
static void test_poison(Machine *m)
{
    Dev *d = &m->dev[0];
    uint8_t data[LINE];
    Result r;

    fill(data, 1);
    r = operate(d, CCT_DO_REQUEST, CXL_CACHE_WR_INV, CCT_FLAG_POISON, A, ALL,
                data);
    g_assert_cmpint(r.ret, ==, OK);
    r = try_request(d, CXL_CACHE_RD_CURR, A);
    g_assert_true(r.poison);
    g_assert_false(try_request(d, CXL_CACHE_RD_CURR, A + LINE).poison);
    /* Part of the line does not make it good. */
    write_request(d, CXL_CACHE_WR_INV, A, 0xff, 2);
    g_assert_true(try_request(d, CXL_CACHE_RD_CURR, A).poison);
    if (m->ram) {
        r = try_request(d, CXL_CACHE_RD_OWN, A);
        g_assert_true(r.poison);
        g_assert_cmpint(line_write(d, A, 0xff, 3).ret, ==, OK);
        evict(d, A);
        r = try_request(d, CXL_CACHE_RD_CURR, A);
        g_assert_true(r.poison);
        /* The CPU stores all of it: not seen by the host, so it stays. */
        try_request(d, CXL_CACHE_RD_OWN, A);
        g_assert_cmpint(line_write(d, A, ALL, 3).ret, ==, OK);
        evict(d, A);
        r = request(d, CXL_CACHE_RD_CURR, A);
        assert_version(r.data, 3);
    }
    write_request(d, CXL_CACHE_I_TO_M_WR, A, ALL, 4);
    r = request(d, CXL_CACHE_RD_CURR, A);
    assert_version(r.data, 4);
}

/* T79, and a line that is held when the mode goes off */
static void test_mode_off(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    if (m->ram) {
        make_m(d, A, 2);
        make_m(d, B, 2);
    }
    set32(d, CCT_MODE, CCT_MODE_OFF);
    g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
    for (int op = CXL_CACHE_RD_CURR; op <= CXL_CACHE_WR_INV; op++) {
        g_assert_cmpint(write_request(d, op, A + LINE, 1, 3).ret, ==, PERM);
    }
    if (m->ram) {
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
        assert_cpu_sees(m, A, 2);
        evict(d, B);
        assert_ram(m, B, 2);
    }
    set32(d, CCT_MODE, 3);
    g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);

    set32(d, CCT_MODE, CCT_MODE_ONCE);
    g_assert_cmpint(try_request(d, CXL_CACHE_RD_OWN, A + LINE).ret, ==, PERM);
    g_assert_cmpint(try_request(d, CXL_CACHE_RD_SHARED, A + LINE).ret, ==,
                    PERM);
    g_assert_cmpint(write_request(d, CXL_CACHE_WR_INV, A + LINE, ALL, 3).ret,
                    ==, OK);
    assert_cpu_sees(m, A + LINE, 3);
}

/* ---- Ranges: cache_mem_read() and cache_mem_write() ---- */

/* Evicted at once, kept, written through */
static const uint32_t range_hows[] = { 0, CCT_FLAG_KEEP, CCT_FLAG_THROUGH };

static int range_op(Dev *d, uint32_t what, uint64_t addr, uint32_t len,
                    uint32_t flags)
{
    set_operation(d, 0, flags, addr, 0, len);
    set32(d, CCT_DOORBELL, what);
    return (int32_t)get32(d, CCT_RESULT);
}

static int range_write(Dev *d, uint64_t addr, const void *buf, uint32_t len,
                       uint32_t flags)
{
    uint8_t whole[CCT_BUF_SIZE] = { };

    memcpy(whole, buf, len);
    qpci_memwrite(d->pci, d->bar, CCT_BUF, whole, ROUND_UP(len, 8));
    return range_op(d, CCT_DO_WRITE, addr, len, flags);
}

static int range_read(Dev *d, uint64_t addr, void *buf, uint32_t len)
{
    uint8_t whole[CCT_BUF_SIZE];
    int ret = range_op(d, CCT_DO_READ, addr, len, 0);

    qpci_memread(d->pci, d->bar, CCT_BUF, whole, ROUND_UP(len, 8));
    memcpy(buf, whole, len);
    return ret;
}

static void test_ranges(Machine *m)
{
    static const struct {
        uint64_t addr;
        uint32_t len;
    } ranges[] = {
        { A, LINE }, { A, PAGE }, { A + 1, 1 }, { A + 63, 2 },
        { A + PAGE - 5, 10 }, { A + 3, 5000 }, { A + LINE, CCT_BUF_SIZE },
    };
    static uint8_t mem[4 * PAGE], data[CCT_BUF_SIZE], seen[4 * PAGE];
    const uint64_t base = A - PAGE;
    Dev *d = &m->dev[0];

    for (int i = 0; i < ARRAY_SIZE(ranges) * ARRAY_SIZE(range_hows); i++) {
        uint64_t addr = ranges[i / ARRAY_SIZE(range_hows)].addr;
        uint32_t len = ranges[i / ARRAY_SIZE(range_hows)].len;
        uint32_t how = range_hows[i % ARRAY_SIZE(range_hows)];
        bool keep = how == CCT_FLAG_KEEP;

        for (int j = 0; j < sizeof(mem); j++) {
            mem[j] = i + j * 5 + j / 256;
        }
        qtest_memwrite(m->qts, base, mem, sizeof(mem));
        for (int j = 0; j < len; j++) {
            data[j] = ~i + j * 7 + j / 256;
        }
        g_assert_cmpint(range_write(d, addr, data, len, how), ==, OK);
        if (m->ram) {
            int held = lines_held(m, "t0");

            g_assert_cmpint(held, ==, !keep ? 0 :
                            (addr + len - 1) / LINE - addr / LINE + 1);
            g_assert_cmpint(held, ==, lines_in(m, "t0", "M"));
            /* Kept and not yet in memory, or there */
            g_assert_cmpint(memcmp(m->ram + addr, data, len) != 0, ==, keep);
        }
        memcpy(mem + (addr - base), data, len);
        memset(data, 0, sizeof(data));
        g_assert_cmpint(range_read(d, addr, data, len), ==, OK);
        g_assert_cmpmem(data, len, mem + (addr - base), len);
        qtest_memread(m->qts, base, seen, sizeof(seen));
        g_assert_cmpmem(seen, sizeof(seen), mem, sizeof(mem));
        flush(d);
    }

    g_assert_cmpint(range_read(d, UNMAPPED, data, 8), ==, FAULT);
    g_assert_cmpint(range_write(d, ROM, data, 8, CCT_FLAG_KEEP), ==,
                    FAULT);
    g_assert_cmpint(range_read(d, ROM, data, 8), ==, OK);
    g_assert_cmpint(range_write(d, RAM_SIZE - 8, data, 16, CCT_FLAG_KEEP),
                    ==, FAULT);
    g_assert_cmpint(range_op(d, CCT_DO_READ, A, CCT_BUF_SIZE + 1, 0), ==,
                    INVAL);
    set32(d, CCT_MODE, CCT_MODE_OFF);
    g_assert_cmpint(range_read(d, A, data, 8), ==, PERM);
}

/* ---- Memory side ---- */

/* T52, T53: across two lines and across two pages, one of them owned */
static void test_unaligned(Machine *m)
{
    static const uint64_t edge[] = { A + LINE, A + PAGE };
    Dev *d = &m->dev[0];

    for (int i = 0; i < ARRAY_SIZE(edge) * 3; i++) {
        uint64_t first = edge[i / 3] - LINE, second = edge[i / 3];
        unsigned have = i % 3 + 1;      /* the first, the second, both */
        uint8_t expected[LINE * 2];

        cpu_store(m, first, 1);
        cpu_store(m, second, 2);
        if (have & 1) {
            make_m(d, first, 3);
        }
        if (have & 2) {
            make_m(d, second, 4);
        }
        fill(expected, have & 1 ? 3 : 1);
        fill(expected + LINE, have & 2 ? 4 : 2);
        g_assert_cmphex(qtest_readq(m->qts, second - 3), ==,
                        ldq_le_p(expected + LINE - 3));
    }
}

/* T44: the home puts them in sequence */
static void test_two_own(Machine *m)
{
    Dev *d[2] = { &m->dev[0], &m->dev[1] };

    cpu_store(m, A, 1);
    for (unsigned v = 2; v < 20; v++) {
        Dev *mine = d[v % 2], *other = d[!(v % 2)];
        Result r = request(mine, CXL_CACHE_RD_OWN, A);

        assert_version(r.data, v - 1);
        g_assert_cmpuint(line_state(other, A), ==, CCT_STATE_I);
        g_assert_cmpint(line_write(other, A, ALL, 99).ret, ==, PERM);
        g_assert_cmpint(line_write(mine, A, ALL, v).ret, ==, OK);
    }
    assert_cpu_sees(m, A, 19);
}

/* T90: two lines of one page, a writer of each */
static void test_false_sharing(Machine *m)
{
    Dev *d[2] = { &m->dev[0], &m->dev[1] };
    uint64_t addr[2] = { A, A + LINE };

    for (int i = 0; i < 4; i++) {
        cpu_store(m, A + i * LINE, i);
    }
    for (unsigned v = 10; v < 30; v += 2) {
        for (int i = 0; i < 2; i++) {
            make_m(d[i], addr[i], v + i);
        }
        g_assert_cmpuint(line_state(d[0], addr[0]), ==, CCT_STATE_M);
        /* Not the lines themselves, but their page */
        if (v % 4) {
            assert_cpu_sees(m, A + 2 * LINE, 2);
            g_assert_cmpuint(line_state(d[0], addr[0]), ==, after_cpu_read(m));
        } else {
            assert_ram(m, addr[0], v > 10 ? v - 2 : 0);
        }
        for (int i = 0; i < 2; i++) {
            assert_version(request(d[!i], CXL_CACHE_RD_CURR, addr[i]).data,
                           v + i);
        }
        for (int i = 0; i < 2; i++) {
            assert_cpu_sees(m, addr[i], v + i);
            evict(d[i], addr[i]);
        }
    }
    assert_cpu_sees(m, A + 3 * LINE, 3);
}

/* T49: data in the cache or in memory, then the flag */
static void test_message_passing(Machine *m)
{
    static const uint32_t ops[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_WR_INV, CXL_CACHE_WO_WR_INV_F,
        CXL_CACHE_I_TO_M_WR,
    };
    Dev *d = &m->dev[0];

    for (unsigned v = 0; v < 32; v++) {
        uint64_t addr[] = { A, B };
        uint32_t op[] = { ops[v % 4], ops[v / 4 % 4] };

        for (int i = 0; i < 2; i++) {
            /* The CPU's read has left it shared. */
            evict(d, addr[i]);
            if (op[i] == CXL_CACHE_RD_OWN) {
                make_m(d, addr[i], v);
            } else {
                g_assert_cmpint(write_request(d, op[i], addr[i], ALL, v).ret,
                                ==, OK);
            }
        }
        assert_cpu_sees(m, B, v);
        assert_cpu_sees(m, A, v);
    }
}

/* T57: DMA of the edu device, which goes by address_space_rw() */
#define EDU_DEVFN       (7 << 3)
#define EDU             "-device edu,addr=7.0,bus=pcie.0"
#define EDU_SRC         0x80
#define EDU_DST         0x88
#define EDU_COUNT       0x90
#define EDU_CMD         0x98
#define EDU_BUF         0x40000

static void edu_dma(Machine *m, QPCIDevice *edu, QPCIBar bar, uint64_t src,
                    uint64_t dst, bool to_memory)
{
    qpci_io_writeq(edu, bar, EDU_SRC, src);
    qpci_io_writeq(edu, bar, EDU_DST, dst);
    qpci_io_writeq(edu, bar, EDU_COUNT, LINE);
    qpci_io_writeq(edu, bar, EDU_CMD, 1 | to_memory << 1);
    qtest_clock_step(m->qts, 200 * 1000 * 1000);
    g_assert_cmphex(qpci_io_readq(edu, bar, EDU_CMD) & 1, ==, 0);
}

static void test_dma(Machine *m)
{
    Dev *d = &m->dev[0];
    QPCIDevice *edu = qpci_device_find(&d->cxl->port_bus, EDU_DEVFN);
    QPCIBar bar;

    g_assert_nonnull(edu);
    qpci_device_enable(edu);
    bar = qpci_iomap(edu, 0, NULL);

    cpu_store(m, A, 1);
    make_m(d, A, 2);
    edu_dma(m, edu, bar, A, EDU_BUF, false);
    assert_ram(m, A, 2);
    g_assert_cmpuint(line_state(d, A), ==, after_cpu_read(m));
    edu_dma(m, edu, bar, EDU_BUF, B, true);
    assert_cpu_sees(m, B, 2);

    make_m(d, B, 3);
    edu_dma(m, edu, bar, EDU_BUF, B, true);
    g_assert_cmpuint(line_state(d, B), ==, CCT_STATE_I);
    assert_version(request(d, CXL_CACHE_RD_OWN, B).data, 2);
    g_free(edu);
}

/* T58: a disk reads and writes guest RAM by mapped pointers, in system calls */
#define BLK_DEVFN       (6 << 3)
#define SECTOR          512
#define DISK_SIZE       (64 * KiB)
#define BLK_TIMEOUT_US  (30 * 1000 * 1000)

static char *disk_path(void)
{
    return g_strdup_printf("%s/cxl-cache-test-%d.raw", g_get_tmp_dir(),
                           (int)getpid());
}

typedef struct Disk {
    QGuestAllocator alloc;
    QVirtioPCIDevice *pci;
    QVirtQueue *vq;
    uint64_t req;
} Disk;

static void disk_start(Machine *m, Disk *disk)
{
    QPCIAddress addr = { .devfn = BLK_DEVFN };
    QVirtioDevice *vdev;

    pc_alloc_init(&disk->alloc, m->qts, ALLOC_NO_FLAGS);
    disk->pci = virtio_pci_new(&m->dev[0].cxl->port_bus, &addr);
    g_assert_nonnull(disk->pci);
    vdev = &disk->pci->vdev;
    qvirtio_pci_device_enable(disk->pci);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                         ~((1ull << VIRTIO_RING_F_INDIRECT_DESC) |
                           (1ull << VIRTIO_RING_F_EVENT_IDX)));
    disk->vq = qvirtqueue_setup(vdev, &disk->alloc, 0);
    qvirtio_set_driver_ok(vdev);
    disk->req = guest_alloc(&disk->alloc, PAGE);
}

static void disk_end(Machine *m, Disk *disk)
{
    qvirtqueue_cleanup(disk->pci->vdev.bus, disk->vq, &disk->alloc);
    guest_free(&disk->alloc, disk->req);
    qvirtio_pci_device_disable(disk->pci);
    qos_object_destroy((QOSGraphObject *)disk->pci);
    alloc_destroy(&disk->alloc);
}

/* @owner also has the lines of the request and of the rings (T59). */
static void disk_io(Machine *m, Disk *disk, uint32_t type, uint64_t addr,
                    Dev *owner)
{
    struct virtio_blk_outhdr hdr = { .type = cpu_to_le32(type) };
    uint64_t taken[] = { disk->req, disk->vq->desc, disk->vq->avail,
                         disk->vq->used };
    uint32_t head;

    qtest_memwrite(m->qts, disk->req, &hdr, sizeof(hdr));
    qtest_writeb(m->qts, disk->req + LINE, 0xff);
    head = qvirtqueue_add(m->qts, disk->vq, disk->req, sizeof(hdr), false,
                          true);
    qvirtqueue_add(m->qts, disk->vq, addr, SECTOR, type == VIRTIO_BLK_T_IN,
                   true);
    qvirtqueue_add(m->qts, disk->vq, disk->req + LINE, 1, true, false);
    for (int i = 0; i < ARRAY_SIZE(taken); i++) {
        Result r = try_request(owner, CXL_CACHE_RD_OWN, taken[i]);

        /* What it has now is what it shows: a modified line */
        if (r.ret == OK) {
            operate(owner, CCT_DO_LINE_WRITE, 0, 0, taken[i], ALL, r.data);
        }
    }
    qvirtqueue_kick(m->qts, &disk->pci->vdev, disk->vq, head);
    qvirtio_wait_used_elem(m->qts, &disk->pci->vdev, disk->vq, head, NULL,
                           BLK_TIMEOUT_US);
    g_assert_cmpuint(qtest_readb(m->qts, disk->req + LINE), ==, 0);
}

static void test_disk(Machine *m)
{
    g_autofree char *path = disk_path();
    uint8_t sector[SECTOR];
    Dev *d = &m->dev[0];
    Disk disk;

    disk_start(m, &disk);
    for (unsigned v = 0; v < 100; v += 10) {
        FILE *f = fopen(path, "r+");

        /* Out: half of the sector is in the cache. */
        for (int i = 0; i < SECTOR / LINE; i++) {
            evict(d, A + i * LINE);
            cpu_store(m, A + i * LINE, 1);
            if (i % 2) {
                make_m(d, A + i * LINE, v + i);
            }
        }
        disk_io(m, &disk, VIRTIO_BLK_T_OUT, A, d);
        g_assert_cmpint(fread(sector, SECTOR, 1, f), ==, 1);
        for (int i = 0; i < SECTOR / LINE; i++) {
            assert_version(sector + i * LINE, i % 2 ? v + i : 1);
            fill(sector + i * LINE, v + i + 1);
        }

        /* In: what comes from the disk takes the place of what is owned. */
        rewind(f);
        g_assert_cmpint(fwrite(sector, SECTOR, 1, f), ==, 1);
        fclose(f);
        make_m(d, A, 99);
        make_m(d, A + SECTOR, 98);
        disk_io(m, &disk, VIRTIO_BLK_T_IN, A, d);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        for (int i = 0; i < SECTOR / LINE; i++) {
            assert_cpu_sees(m, A + i * LINE, v + i + 1);
        }
        assert_cpu_sees(m, A + SECTOR, 98);
        evict(d, A + SECTOR);
    }
    disk_end(m, &disk);
}

/* T60: the human monitor. A read of the page costs ownership, not data. */
static void test_monitor(Machine *m)
{
    Dev *d = &m->dev[0];
    g_autofree char *said = NULL, *expected = NULL;
    uint8_t data[LINE];

    cpu_store(m, A, 1);
    make_m(d, A, 2);
    said = qtest_hmp(m->qts, "xp /1gx 0x%llx", (unsigned long long)A);
    fill(data, 2);
    expected = g_strdup_printf("0x%016" PRIx64, ldq_le_p(data));
    g_assert_nonnull(strstr(said, expected));
    g_assert_cmpuint(line_state(d, A), ==, after_cpu_read(m));
    assert_ram(m, A, 2);
}

static void assert_file_has(const char *path, const uint8_t *data)
{
    g_autofree char *contents = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &contents, &len, NULL));
    g_assert_nonnull(memmem(contents, len, data, LINE));
    unlink(path);
}

/* T61 */
static void test_dump(Machine *m)
{
    g_autofree char *path = g_strdup_printf("%s/cxl-cache-test-%d.dump",
                                            g_get_tmp_dir(), (int)getpid());
    g_autofree char *protocol = g_strdup_printf("file:%s", path);
    Dev *d = &m->dev[0];
    uint8_t data[LINE];

    fill(data, 2);
    make_m(d, A, 2);
    qtest_qmp_assert_success(m->qts, "{'execute': 'pmemsave', 'arguments':"
                             " {'val': %u, 'size': %u, 'filename': %s}}",
                             (unsigned)(A - PAGE), 2 * PAGE, path);
    assert_file_has(path, data);

    fill(data, 3);
    evict(d, A);
    make_m(d, A, 3);
    qtest_qmp_assert_success(m->qts, "{'execute': 'dump-guest-memory', "
                             "'arguments': {'paging': false, 'protocol': %s,"
                             " 'begin': %u, 'length': %u}}", protocol,
                             (unsigned)(A - PAGE), 2 * PAGE);
    assert_file_has(path, data);
}

/* T62 */
static void test_migration(Machine *m)
{
    QDict *rsp = qtest_qmp(m->qts, "{'execute': 'migrate', 'arguments':"
                           " {'uri': 'exec:cat >/dev/null'}}");
    const char *why;

    g_assert_true(qdict_haskey(rsp, "error"));
    why = qdict_get_str(qdict_get_qdict(rsp, "error"), "desc");
    g_assert_nonnull(strstr(why, "cxl-cache-testdev"));
    qobject_unref(rsp);
}

/* T63: memory that comes, is used, goes, and comes anew */
#define DIMM_SIZE       (128 * MiB)
#define MEMHP_BASE      0x0a00
#define MEMHP_CTRL      (MEMHP_BASE + 0x14)
#define MEMHP_EJECT     0x08

/*
 * A backend that is deleted lives on for a grace period, and one of the same
 * id that is added in it gets the same memfd. So each has an id of its own.
 */
static uint64_t dimm_plug(Machine *m, const char *id)
{
    g_autoptr(QDict) rsp = NULL;
    QDict *info;

    qtest_qmp_assert_success(m->qts, "{'execute': 'object-add', 'arguments':"
                             " {'qom-type': 'memory-backend-memfd', 'id':"
                             " %s, 'size': %u, 'share': true}}", id,
                             (unsigned)DIMM_SIZE);
    qtest_qmp_device_add(m->qts, "pc-dimm", "dimm", "{'memdev': %s}", id);
    rsp = qtest_qmp(m->qts, "{'execute': 'query-memory-devices'}");
    info = qobject_to(QDict, qlist_peek(qdict_get_qlist(rsp, "return")));
    return qdict_get_int(qdict_get_qdict(info, "data"), "addr");
}

/* The guest ejects it when it is told that it may go. */
static void dimm_unplug(Machine *m, const char *id)
{
    qtest_qmp_device_del_send(m->qts, "dimm");
    qtest_outl(m->qts, MEMHP_BASE, 0);
    qtest_outb(m->qts, MEMHP_CTRL, MEMHP_EJECT);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
    qtest_qmp_assert_success(m->qts, "{'execute': 'object-del', 'arguments':"
                             " {'id': %s}}", id);
}

static void test_dimm(Machine *m)
{
    Dev *d = &m->dev[0];
    uint8_t zero[LINE] = { };

    for (int i = 0; i < 3; i++) {
        g_autofree char *id = g_strdup_printf("module-%d", i);
        uint64_t dimm = dimm_plug(m, id);
        Result r = request(d, CXL_CACHE_RD_OWN, dimm + A);

        /* Nothing is left of the module that was here before. */
        g_assert_cmpmem(r.data, LINE, zero, LINE);
        g_assert_cmpuint(r.state, ==, CCT_STATE_E);
        g_assert_cmpint(line_write(d, dimm + A, ALL, 1).ret, ==, OK);
        make_m(d, A, 2);
        assert_cpu_sees(m, dimm + A, 1);
        evict(d, dimm + A);
        make_m(d, dimm + A, 3);

        dimm_unplug(m, id);
        g_assert_cmpuint(line_state(d, dimm + A), ==, CCT_STATE_I);
        g_assert_true(try_request(d, CXL_CACHE_RD_CURR, dimm + A).failed);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
        assert_cpu_sees(m, A, 2);
        evict(d, A);
    }
}

/* ---- Capacity ---- */

static void own_many(Machine *m, Dev *d, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        request(d, CXL_CACHE_RD_OWN, A + i * LINE);
        g_assert_cmpint(line_write(d, A + i * LINE, ALL, i).ret, ==, OK);
    }
}

/* T66 */
static void test_capacity(Machine *m)
{
    Dev *d = &m->dev[0];
    unsigned lines = get32(d, CCT_LINES);

    g_assert_cmpuint(lines, ==, 1024);
    for (unsigned i = 0; i < lines * 3 / 2; i += 128) {
        own_many(m, d, i, i + 128);
        g_assert_cmpint(lines_held(m, "t0"), ==, MIN(i + 128, lines));
        g_assert_cmpint(tracked(m), ==, MIN(i + 128, lines));
    }
    /* The oldest third has come home, the rest has not: LRU in each set. */
    for (unsigned i = 0; i < lines * 3 / 2; i++) {
        g_assert_cmpuint(line_state(d, A + i * LINE), ==,
                         i < lines / 2 ? CCT_STATE_I : CCT_STATE_M);
    }
    for (unsigned i = 0; i < lines * 3 / 2; i++) {
        assert_cpu_sees(m, A + i * LINE, i);
    }
}

/* T66: a line that came with NT goes first, however new it is. */
static void test_non_temporal(Machine *m)
{
    Dev *d = &m->dev[0];
    /* Lines of one set */
    const uint64_t step = 64 * LINE;

    for (int i = 0; i < 16; i++) {
        operate(d, CCT_DO_REQUEST, CXL_CACHE_RD_OWN, i == 15 ? CCT_FLAG_NT : 0,
                A + i * step, 0, NULL);
        g_assert_cmpint(line_write(d, A + i * step, ALL, i).ret, ==, OK);
    }
    request(d, CXL_CACHE_RD_OWN, A + 16 * step);
    for (int i = 0; i <= 16; i++) {
        g_assert_cmpint(line_state(d, A + i * step) == CCT_STATE_I, ==,
                        i == 15);
    }
    assert_ram(m, A + 15 * step, 15);
    assert_cpu_sees(m, A, 0);
}

/* T65: a snoop filter that tracks less than the caches could hold */
static void test_snoop_filter(Machine *m)
{
    g_autoptr(QDict) info = NULL;
    unsigned lines = get32(&m->dev[0], CCT_LINES);

    g_assert_cmpuint(lines, ==, 2048);
    own_many(m, &m->dev[0], 0, lines);
    info = query(m);
    g_assert_cmpint(qdict_get_int(info, "filter-lines"), ==, 1024);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), <=, 1024);
    g_assert_cmpint(qdict_get_int(info, "back-invalidations"), >=, 1024);
    g_assert_cmpint(lines_held(m, "t0"), <=, 1024);
    own_many(m, &m->dev[1], 0, 100);
    for (unsigned i = 0; i < lines; i++) {
        assert_cpu_sees(m, A + i * LINE, i);
    }
}

/* ---- Flush, resets, removal ---- */

#define DVSEC_DEVICE    0
#define DVSEC_CTRL      0x0c
#define DVSEC_CTRL2     0x10
#define DVSEC_STATUS2   0x12

/* T77: by the test register, and by Control2 of the DVSEC */
static void test_flush(Machine *m)
{
    Dev *d = &m->dev[0];
    uint16_t dvsec = qcxl_find_dvsec(d->pci, DVSEC_DEVICE);

    for (int i = 0; i < 2; i++) {
        qcxl_writew(d->pci, dvsec + DVSEC_CTRL2, 0);
        set32(d, CCT_MODE, CCT_MODE_ON);
        cpu_store(m, A, 1);
        cpu_store(m, A + LINE, 1);
        make_m(d, A, 2);
        make_m(d, B, 3);
        request(d, CXL_CACHE_RD_SHARED, A + LINE);
        if (i) {
            qcxl_writew(d->pci, dvsec + DVSEC_CTRL, 0x0001);
            g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_ON);
            qcxl_writew(d->pci, dvsec + DVSEC_CTRL2, 0x0001);
            g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_ONCE);
            g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_M);
            g_assert_cmpint(try_request(d, CXL_CACHE_RD_OWN, A + PAGE).ret,
                            ==, PERM);
            qcxl_writew(d->pci, dvsec + DVSEC_CTRL2, 0x0003);
            g_assert_cmphex(qcxl_readw(d->pci, dvsec + DVSEC_STATUS2) & 1, ==,
                            1);
        } else {
            flush(d);
        }
        g_assert_cmpint(lines_held(m, "t0"), ==, 0);
        g_assert_cmpint(tracked(m), ==, 0);
        g_assert_cmpint(sent(m, "t0", "d2h-req", "CacheFlushed"), ==, i + 1);
        assert_ram(m, A, 2);
        assert_ram(m, B, 3);
        assert_ram(m, A + LINE, 1);
    }
    assert_version(request(d, CXL_CACHE_RD_CURR, A).data, 2);
}

/* T75: what a cache had is gone and does not come back on top of new RAM. */
static void test_system_reset(Machine *m)
{
    Dev *d = &m->dev[0];

    for (int i = 0; i < 2; i++) {
        cpu_store(m, A, 1);
        cpu_store(m, B, 1);
        make_m(d, A, 2);
        make_m(d, B, 3);
        qtest_system_reset(m->qts);
        assert_ram(m, A, 1);
        qcxl_init(d->cxl);
        dev_map(d);
        g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        g_assert_cmpint(lines_held(m, "t0"), ==, 0);
        g_assert_cmpint(tracked(m), ==, 0);
        cpu_store(m, A, 4);
        assert_ram(m, A, 4);
        set32(d, CCT_MODE, CCT_MODE_ON);
        flush(d);
        assert_ram(m, A, 4);
        assert_cpu_sees(m, A, 4);
        assert_cpu_sees(m, B, 1);
        make_m(d, A, 5);
        assert_cpu_sees(m, A, 5);
        evict(d, A);
        g_assert_cmpint(lost_lines(m, "t0"), ==, 2 * (i + 1));
        g_assert_cmphex(get32(d, CCT_ERRORS), ==, 0);
    }
}

/* T76 */
static void test_secondary_reset(Machine *m)
{
    Dev *d = &m->dev[0];

    cpu_store(m, A, 1);
    make_m(d, A, 2);
    make_m(&m->dev[1], B, 3);
    qcxl_secondary_reset(d->cxl);
    assert_ram(m, A, 2);
    dev_map(d);
    g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
    g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
    /* The other port's device knows nothing of it. */
    g_assert_cmpuint(line_state(&m->dev[1], B), ==, CCT_STATE_M);
    set32(d, CCT_MODE, CCT_MODE_ON);
    assert_version(request(d, CXL_CACHE_RD_OWN, B).data, 3);
    g_assert_cmpuint(line_state(&m->dev[1], B), ==, CCT_STATE_I);
}

static void replug(Machine *m, Dev *d)
{
    qcxl_unplug(d->cxl, "t0");
    qtest_qmp_device_add(m->qts, "cxl-cache-testdev", "t0", "{'bus': 'rp0'}");
    qcxl_plugged(d->cxl);
    dev_map(d);
    set32(d, CCT_MODE, CCT_MODE_ON);
}

/* T73: removed in order */
static void test_unplug(Machine *m)
{
    Dev *d = &m->dev[0];

    for (int i = 0; i < 3; i++) {
        cpu_store(m, A, 1);
        make_m(d, A, 2);
        request(d, CXL_CACHE_RD_SHARED, B);
        replug(m, d);
        assert_ram(m, A, 2);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        g_assert_cmpint(tracked(m), ==, 0);
        assert_version(request(d, CXL_CACHE_RD_CURR, A).data, 2);
    }
}

/* T80 */
static void test_refused(Machine *m)
{
    static const char *const bad[] = {
        "{'bus': 'pcie.0'}", "{'bus': 'rp1', 'addr': '1'}",
        "{'bus': 'rp1', 'cache-size': 65537}",
        "{'bus': 'rp1', 'cache-ways': 17}", "{'bus': 'rp1', 'cache-ways': 0}",
    };

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_autofree char *cmd =
            g_strdup_printf("{'execute': 'device_add', 'arguments': {'driver':"
                            " 'cxl-cache-testdev', 'id': 'bad', %s}",
                            bad[i] + 1);
        QDict *rsp;

        qtest_qmp_send_raw(m->qts, "%s", cmd);
        rsp = qtest_qmp_receive(m->qts);
        g_assert_true(qdict_haskey(rsp, "error"));
        qobject_unref(rsp);
    }
    make_m(&m->dev[0], A, 1);
}

/* ---- The agent ---- */

#define LOG             (64 * MiB)

static void agent_log(Dev *d, uint64_t addr, unsigned regs)
{
    set64(d, CCT_AGENT_LOG, addr);
    set32(d, CCT_AGENT_LOG_REGS, regs);
}

/* Every operation, alone */
static void test_agent_steps(Machine *m)
{
    static const uint32_t loads[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED,
        CXL_CACHE_RD_ANY,
    }, stores[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_WR_INV, CXL_CACHE_WO_WR_INV,
        CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR,
        CXL_CACHE_WO_WR_INV_F,
    };
    const uint64_t value = 0x8877665544332211;
    Dev *d = &m->dev[0];

    for (int i = 0; i < ARRAY_SIZE(loads); i++) {
        qtest_writeq(m->qts, A + 16, value + i);
        set_step(d, 0, LOAD(loads[i], 5), A + 16, 0);
        agent_start(d, 1);
        agent_wait(d, 1);
        g_assert_cmphex(get64(d, CCT_AGENT_REG(5)), ==, value + i);
    }
    for (int i = 0; i < ARRAY_SIZE(stores); i++) {
        bool full = i > 2;

        cpu_store(m, A, 1);
        set_step(d, 0, STORE(stores[i], CCT_CONST), A + 16, value + i);
        agent_start(d, 1);
        agent_wait(d, 1);
        g_assert_cmphex(qtest_readq(m->qts, A + 16), ==, value + i);
        g_assert_cmpint(qtest_readq(m->qts, A + 24) == value + i, ==, full);
        g_assert_cmpint(qtest_readq(m->qts, A + 8) == value + i, ==, full);
    }

    /* Sizes, stride and wrap: 5 times +1 in each of 4 bytes, 3 in one */
    qtest_memset(m->qts, A, 0, LINE);
    for (int size = 1; size <= 8 && m->ram; size *= 2) {
        qtest_memset(m->qts, A, 0xff, LINE);
        set_step(d, 0, ADD(size, CCT_CONST), A + 8, 2);
        agent_start(d, 1);
        agent_wait(d, 1);
        g_assert_cmphex(qtest_readq(m->qts, A + 8), ==,
                        size == 8 ? 1 : (ALL << size * 8) + 1);
        g_assert_cmphex(get64(d, CCT_AGENT_REG(0)), ==,
                        ALL >> (64 - size * 8));
    }

    /* stride, wrap, operands: word i % 3 gets 100 + i */
    set_step(d, 0, STORE(CXL_CACHE_WR_INV, CCT_ITER), A, 100);
    set32(d, CCT_STEP_STRIDE(0), 8);
    set32(d, CCT_STEP_WRAP(0), 3);
    set_step(d, 1, LOAD(CXL_CACHE_RD_CURR, 1), A, 0);
    set_step(d, 2, CCT_STEP_MAKE(CCT_OP_STORE, CXL_CACHE_WR_INV, 8, CCT_REG, 0,
                                 1), B, 7);
    set_step(d, 3, CCT_STEP_MAKE(CCT_OP_EVICT, 0, 8, 0, 0, 0), A, 0);
    set_step(d, 4, CCT_STEP_MAKE(CCT_OP_FLUSH, CXL_CACHE_CL_FLUSH, 8, 0, 0, 0),
             B, 0);
    set_step(d, 5, CCT_STEP_MAKE(CCT_OP_DELAY, 0, 0, CCT_CONST, 0, 0), 0,
             20 * 1000);
    set_step(d, 6, CCT_STEP_MAKE(CCT_OP_WAIT_EQ, CXL_CACHE_RD_CURR, 8,
                                 CCT_CONST, 2, 0), A + 56, 0x1234);
    set_step(d, 7, CCT_STEP_MAKE(CCT_OP_WAIT_NE, CXL_CACHE_RD_CURR, 8,
                                 CCT_CONST, 3, 0), A + 56, 5);
    qtest_writeq(m->qts, A + 56, 0x1234);
    agent_log(d, LOG + 8, 3);
    agent_start(d, 8);
    agent_wait(d, 8);
    g_assert_cmpuint(qtest_readq(m->qts, A), ==, 106);
    g_assert_cmpuint(qtest_readq(m->qts, A + 8), ==, 107);
    g_assert_cmpuint(qtest_readq(m->qts, A + 16), ==, 105);
    g_assert_cmpuint(qtest_readq(m->qts, B), ==, 113);
    for (int i = 0; i < 8; i++) {
        g_assert_cmpuint(qtest_readq(m->qts, LOG + 8 + i * 24 + 8), ==,
                         100 + i / 3 * 3);
        g_assert_cmpuint(qtest_readq(m->qts, LOG + 8 + i * 24 + 16), ==,
                         0x1234);
    }
    g_assert_cmpuint(get64(d, CCT_AGENT_REG(3)), ==, 0x1234);
}

/* Programs that are none, and steps that fail */
static void test_agent_errors(Machine *m)
{
    static const uint32_t bad[] = {
        CCT_STEP_MAKE(10, 1, 8, 0, 0, 0),               /* operation */
        CCT_STEP_MAKE(15, 0, 8, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_LOAD, 0, 8, 0, 0, 0),      /* opcode */
        CCT_STEP_MAKE(CCT_OP_LOAD, 0x0e, 8, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_STORE, 0x01, 8, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_STORE, 0xff, 8, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_STORE, 0x06, 4, 0, 0, 0),  /* a whole line */
        CCT_STEP_MAKE(CCT_OP_ADD, 0x03, 8, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 0, 0, 0, 0),      /* size */
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 3, 0, 0, 0),
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 8, 3, 0, 0),      /* operand */
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 8, 0, 8, 0),      /* registers */
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 8, 0, 0, 15),
        CCT_STEP_MAKE(CCT_OP_LOAD, 1, 8, 0, 0, 0) | 1u << 31,
    };
    const uint32_t error = CCT_AGENT_ERROR;
    Dev *d = &m->dev[0];

    set_step(d, 0, LOAD(CXL_CACHE_RD_CURR, 0), A, 0);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        set_step(d, 1, bad[i], A, 0);
        agent_start(d, 1);
        g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 1 << 8);
        g_assert_cmpint((int32_t)get32(d, CCT_AGENT_RESULT), ==, INVAL);
    }
    /* Not aligned, by the address or the stride; the log likewise */
    set_step(d, 1, LOAD(CXL_CACHE_RD_CURR, 0), A + 4, 0);
    agent_start(d, 1);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 1 << 8);
    set_step(d, 1, LOAD(CXL_CACHE_RD_CURR, 0), A, 0);
    set32(d, CCT_STEP_STRIDE(1), 12);
    agent_start(d, 1);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 1 << 8);
    set32(d, CCT_STEP_STRIDE(1), 0);
    agent_log(d, LOG, 9);
    agent_start(d, 1);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 0xff00);
    agent_log(d, LOG + 4, 1);
    agent_start(d, 1);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 0xff00);

    /* What only shows when it runs */
    agent_log(d, UNMAPPED, 1);
    agent_start(d, 1);
    while (agent_runs(d)) {
    }
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 0xff00);
    g_assert_cmpint((int32_t)get32(d, CCT_AGENT_RESULT), ==, IO);
    agent_log(d, 0, 0);
    set_step(d, 1, STORE(CXL_CACHE_RD_OWN, CCT_CONST), ROM, 0);
    agent_start(d, 1);
    while (agent_runs(d)) {
    }
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 1 << 8);
    g_assert_cmpint((int32_t)get32(d, CCT_AGENT_RESULT), ==, IO);
    if (!m->ram) {
        set_step(d, 1, ADD(8, CCT_CONST), A, 0);
        agent_start(d, 1);
        while (agent_runs(d)) {
        }
        g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error | 1 << 8);
        g_assert_cmpint((int32_t)get32(d, CCT_AGENT_RESULT), ==, PERM);
    }
    set32(d, CCT_MODE, CCT_MODE_OFF);
    agent_start(d, 1);
    while (agent_runs(d)) {
    }
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, error);
    g_assert_cmpint((int32_t)get32(d, CCT_AGENT_RESULT), ==, PERM);
    /* Nothing to do is no error. */
    agent_start(d, 0);
    agent_wait(d, 0);
    set32(d, CCT_STEP_OP(0), CCT_OP_END);
    agent_start(d, 1000);
    agent_wait(d, 1000);
}

static void start_endless(Machine *m, Dev *d)
{
    qtest_writeq(m->qts, A, 0);
    set_step(d, 0, WAIT_GE(CXL_CACHE_RD_CURR, CCT_CONST), A, 1);
    agent_start(d, ALL);
    g_assert_true(agent_runs(d));
}

/* STOP, the machine's stop, resets and removal while the agent waits */
static void test_agent_stop(Machine *m)
{
    Dev *d = &m->dev[0];
    gint64 since = g_get_monotonic_time();
    uint64_t polls;

    for (int i = 0; i < 50; i++) {
        start_endless(m, d);
        set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
        g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
    }
    start_endless(m, d);
    /* Nothing of it can be changed now. */
    set64(d, CCT_STEP_VALUE(0), 99);
    g_assert_cmpuint(get64(d, CCT_STEP_VALUE(0)), ==, 1);
    set64(d, CCT_AGENT_REG(0), 99);
    g_assert_cmpuint(get64(d, CCT_AGENT_REG(0)), ==, 0);
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_START);
    g_assert_true(agent_runs(d));
    polls = get64(d, CCT_AGENT_POLLS);
    while (get64(d, CCT_AGENT_POLLS) == polls) {
    }

    qtest_qmp_assert_success(m->qts, "{'execute': 'stop'}");
    polls = get64(d, CCT_AGENT_POLLS);
    g_usleep(10000);
    g_assert_cmpuint(get64(d, CCT_AGENT_POLLS), <=, polls + 1);
    g_assert_true(agent_runs(d));
    qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    while (get64(d, CCT_AGENT_POLLS) <= polls + 1) {
    }

    qcxl_secondary_reset(d->cxl);
    dev_map(d);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, 0);
    set32(d, CCT_MODE, CCT_MODE_ON);
    start_endless(m, d);
    replug(m, d);
    start_endless(m, d);
    qtest_system_reset(m->qts);
    qcxl_init(d->cxl);
    dev_map(d);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, 0);
    set32(d, CCT_MODE, CCT_MODE_ON);

    /* Stopped inside a delay, too; and at exit it may run. */
    set_step(d, 0, CCT_STEP_MAKE(CCT_OP_DELAY, 0, 0, CCT_CONST, 0, 0), 0,
             INT32_MAX);
    agent_start(d, 10);
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
    g_assert_cmpint(g_get_monotonic_time() - since, <, 20 * G_USEC_PER_SEC);
    start_endless(m, d);
}

/*
 * T46, T51, and the lost stores of T45: two agents add to one word while the
 * CPU reads that and writes its own word of the same line.
 */
static void test_agent_add(Machine *m)
{
    const unsigned n = 50000;
    g_autofree uint8_t *seen = g_malloc0(2 * n);
    g_autofree uint64_t *log = g_new(uint64_t, 2 * n);
    uint64_t last = 0, mine = 0;

    qtest_memset(m->qts, A, 0, LINE);
    for (int i = 0; i < 2; i++) {
        set_step(&m->dev[i], 0, ADD(8, CCT_CONST), A, 1);
        agent_log(&m->dev[i], LOG + i * n * 8, 1);
        agent_start(&m->dev[i], n);
    }
    while (agent_runs(&m->dev[0]) || agent_runs(&m->dev[1])) {
        uint64_t now = qtest_readq(m->qts, A);

        g_assert_cmpuint(now, >=, last);
        last = now;
        g_assert_cmpuint(qtest_readq(m->qts, A + 8), ==, mine);
        qtest_writeq(m->qts, A + 8, ++mine);
    }
    agent_wait(&m->dev[0], n);
    agent_wait(&m->dev[1], n);
    g_assert_cmpuint(qtest_readq(m->qts, A), ==, 2 * n);
    g_assert_cmpuint(qtest_readq(m->qts, A + 8), ==, mine);
    g_test_message("%" PRIu64 " stores of the CPU, retries: %" PRIu64 " and %"
                   PRIu64, mine, get64(&m->dev[0], CCT_AGENT_RETRIES),
                   get64(&m->dev[1], CCT_AGENT_RETRIES));
    /* Each value has been found exactly once. */
    qtest_memread(m->qts, LOG, log, 2 * n * 8);
    for (unsigned i = 0; i < 2 * n; i++) {
        uint64_t value = le64_to_cpu(log[i]);

        g_assert_cmpuint(value, <, 2 * n);
        g_assert_cmpuint(seen[value]++, ==, 0);
    }
}

/* T49: no reader, CPU or device, sees the flag and not the data. */
static void test_agent_message_passing(Machine *m)
{
    static const uint32_t hows[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_WR_INV, CXL_CACHE_WO_WR_INV_F,
        CXL_CACHE_RD_OWN_NO_DATA,
    }, loads[] = {
        CXL_CACHE_RD_SHARED, CXL_CACHE_RD_CURR, CXL_CACHE_RD_ANY,
        CXL_CACHE_RD_OWN,
    };
    const unsigned n = 3000;
    g_autofree uint64_t *log = g_new(uint64_t, 2 * n);
    Dev *writer = &m->dev[0], *reader = &m->dev[1];

    for (int i = 0; i < ARRAY_SIZE(hows) * 2; i++) {
        uint32_t data_how = hows[i % 4], flag_how = hows[i / 4];

        qtest_memset(m->qts, A, 0, LINE);
        qtest_memset(m->qts, B, 0, LINE);
        set_step(writer, 0, STORE(data_how, CCT_ITER), A, 1);
        set_step(writer, 1, STORE(flag_how, CCT_ITER), B, 1);
        set_step(reader, 0, LOAD(loads[i % 4], 0), B, 0);
        set_step(reader, 1, LOAD(loads[i / 4], 1), A, 0);
        agent_log(reader, LOG, 2);
        agent_start(writer, n);
        agent_start(reader, n);
        while (agent_runs(writer)) {
            uint64_t flag = qtest_readq(m->qts, B);

            g_assert_cmpuint(qtest_readq(m->qts, A), >=, flag);
        }
        agent_wait(writer, n);
        agent_wait(reader, n);
        qtest_memread(m->qts, LOG, log, n * 16);
        for (unsigned j = 0; j < n; j++) {
            g_assert_cmpuint(le64_to_cpu(log[2 * j + 1]), >=,
                             le64_to_cpu(log[2 * j]));
        }
        g_assert_cmpuint(qtest_readq(m->qts, A), ==, n);
    }
}

#define LITMUS          4000

/*
 * T50: store buffering and load buffering by two devices, each time with new
 * locations, the devices in step with each other but for a delay that grows. A
 * device's steps are done one after the other, so r0 = r1 = 0, or 1, is no
 * possible outcome.
 */
static void set_litmus(Dev *d, int nr, bool store_first, uint32_t store,
                       uint32_t load)
{
    const uint64_t x = A, y = A + MiB, turn = A - 4 * LINE;

    set_step(d, 0, STORE(CXL_CACHE_WR_INV, CCT_ITER), turn + nr * LINE, 1);
    set_step(d, 1, WAIT_GE(CXL_CACHE_RD_CURR, CCT_ITER), turn + !nr * LINE, 1);
    set_step(d, 2, CCT_STEP_MAKE(CCT_OP_DELAY, 0, 0, nr ? CCT_CONST : CCT_ITER,
                                 0, 0), 0, nr ? LITMUS / 2 : 0);
    for (int i = 0; i < 2; i++) {
        bool is_store = i == !store_first;

        set_step(d, 3 + i, is_store ? STORE(store, CCT_CONST) : LOAD(load, 0),
                 is_store == !nr ? x : y, 1);
        set32(d, CCT_STEP_STRIDE(3 + i), LINE);
    }
    agent_log(d, LOG + nr * LITMUS * 8, 1);
}

static void check_litmus(Machine *m, bool store_first, uint32_t store,
                         uint32_t load)
{
    g_autofree uint64_t *log = g_new(uint64_t, 2 * LITMUS);
    unsigned outcomes[4] = { };

    qtest_memset(m->qts, A - 4 * LINE, 0, 2 * MiB);
    for (int i = 0; i < 2; i++) {
        set_litmus(&m->dev[i], i, store_first, store, load);
    }
    for (int i = 0; i < 2; i++) {
        agent_start(&m->dev[i], LITMUS);
    }
    for (int i = 0; i < 2; i++) {
        agent_wait(&m->dev[i], LITMUS);
    }
    qtest_memread(m->qts, LOG, log, 2 * LITMUS * 8);
    for (unsigned i = 0; i < LITMUS; i++) {
        outcomes[!!log[i] * 2 + !!log[LITMUS + i]]++;
    }
    g_test_message("%s by opcodes %u and %u: 00 %u, 01 %u, 10 %u, 11 %u",
                   store_first ? "store buffering" : "load buffering",
                   store, load,
                   outcomes[0], outcomes[1], outcomes[2], outcomes[3]);
    g_assert_cmpuint(outcomes[store_first ? 0 : 3], ==, 0);
}

static void test_agent_litmus(Machine *m)
{
    static const uint32_t stores[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_WR_INV, CXL_CACHE_I_TO_M_WR,
    }, loads[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_SHARED, CXL_CACHE_RD_OWN,
    };

    for (int i = 0; i < ARRAY_SIZE(stores); i++) {
        check_litmus(m, true, stores[i], loads[i]);
        check_litmus(m, false, stores[i], loads[i]);
    }
}

/* ---- Random operations against a model that is plain memory ---- */

#define RANDOM_OPS      20000
#define RANDOM_LINES    40
#define RANDOM_SIZE     (RANDOM_LINES * LINE)
/* Two pages, from the middle of the first */
#define RANDOM_BASE     (A + PAGE / 2)

typedef struct Random {
    Machine *m;
    GRand *rand;
    uint8_t mem[RANDOM_SIZE];
} Random;

static unsigned pick(Random *r, unsigned n)
{
    return g_rand_int_range(r->rand, 0, n);
}

static void random_bytes(Random *r, uint8_t *buf, unsigned len)
{
    for (unsigned i = 0; i < len; i++) {
        buf[i] = g_rand_int(r->rand);
    }
}

static uint64_t random_be(Random *r)
{
    uint64_t be = (uint64_t)g_rand_int(r->rand) << 32 | g_rand_int(r->rand);

    return pick(r, 3) ? be : ALL;
}

static void model_write(Random *r, unsigned line, const uint8_t *data,
                        uint64_t be)
{
    for (int i = 0; i < LINE; i++) {
        if (be & 1ull << i) {
            r->mem[line * LINE + i] = data[i];
        }
    }
}

static void assert_model(Random *r, unsigned at, const uint8_t *data,
                         unsigned len)
{
    g_assert_cmpmem(data, len, r->mem + at, len);
}

static void random_request(Random *r, Dev *d)
{
    unsigned line = pick(r, RANDOM_LINES);
    uint32_t op = CXL_CACHE_RD_CURR + pick(r, CXL_CACHE_WR_INV);
    bool partial = op == CXL_CACHE_WR_INV || op == CXL_CACHE_WO_WR_INV;
    uint64_t be = partial ? random_be(r) : ALL;
    uint8_t data[LINE];
    Result res;

    random_bytes(r, data, LINE);
    if (op == CXL_CACHE_WO_WR_INV) {
        be &= ~1ull;
    }
    res = operate(d, CCT_DO_REQUEST, op, pick(r, 8) ? 0 : CCT_FLAG_NT,
                  RANDOM_BASE + line * LINE, be, data);
    g_assert_false(res.poison);
    if (res.ret != OK) {
        g_assert_cmpint(res.ret, ==, PERM);
        return;
    }
    /* The only request with no better answer from a host that cannot */
    g_assert_cmpint(res.failed, ==,
                    op == CXL_CACHE_RD_OWN_NO_DATA && !r->m->ram);
    switch (op) {
    case CXL_CACHE_RD_CURR:
    case CXL_CACHE_RD_OWN:
    case CXL_CACHE_RD_SHARED:
    case CXL_CACHE_RD_ANY:
        assert_model(r, line * LINE, res.data, LINE);
        break;
    case CXL_CACHE_I_TO_M_WR:
    case CXL_CACHE_WR_CUR:
    case CXL_CACHE_WO_WR_INV:
    case CXL_CACHE_WO_WR_INV_F:
    case CXL_CACHE_WR_INV:
        model_write(r, line, data, be);
        break;
    }
}

static void random_line_op(Random *r, Dev *d)
{
    static const uint32_t ops[] = {
        CCT_DO_LINE_READ, CCT_DO_LINE_WRITE, CCT_DO_LINE_WRITE,
        CCT_DO_LINE_WRITE, CCT_DO_LINE_DROP, CCT_DO_LINE_EVICT,
    };
    uint32_t op = ops[pick(r, ARRAY_SIZE(ops))];
    unsigned line = pick(r, RANDOM_LINES);
    uint64_t be = random_be(r);
    uint8_t data[LINE];
    Result res;

    random_bytes(r, data, LINE);
    res = operate(d, op, 0, 0, RANDOM_BASE + line * LINE, be, data);
    if (res.ret == OK && op == CCT_DO_LINE_READ) {
        assert_model(r, line * LINE, res.data, LINE);
    } else if (res.ret == OK && op == CCT_DO_LINE_WRITE) {
        model_write(r, line, data, be);
    }
}

static void random_range(Random *r, Dev *d)
{
    unsigned at = pick(r, RANDOM_SIZE);
    unsigned len = 1 + pick(r, MIN(RANDOM_SIZE - at, 8 * LINE));
    uint8_t data[8 * LINE];

    if (pick(r, 2)) {
        g_assert_cmpint(range_read(d, RANDOM_BASE + at, data, len), ==, OK);
        assert_model(r, at, data, len);
    } else {
        random_bytes(r, data, len);
        g_assert_cmpint(range_write(d, RANDOM_BASE + at, data, len,
                                    range_hows[pick(r, 3)]), ==, OK);
        memcpy(r->mem + at, data, len);
    }
}

static void random_cpu(Random *r)
{
    unsigned at = pick(r, RANDOM_SIZE);
    unsigned len = 1 + pick(r, MIN(RANDOM_SIZE - at, 3 * LINE));
    uint8_t data[3 * LINE];

    if (pick(r, 2)) {
        qtest_memread(r->m->qts, RANDOM_BASE + at, data, len);
        assert_model(r, at, data, len);
    } else {
        random_bytes(r, data, len);
        qtest_memwrite(r->m->qts, RANDOM_BASE + at, data, len);
        memcpy(r->mem + at, data, len);
    }
}

static void random_op(Random *r)
{
    Dev *d = &r->m->dev[pick(r, 2)];

    switch (pick(r, 100)) {
    case 0 ... 44:
        random_request(r, d);
        break;
    case 45 ... 79:
        random_line_op(r, d);
        break;
    case 80 ... 86:
        random_range(r, d);
        break;
    case 87 ... 98:
        random_cpu(r);
        break;
    case 99:
        if (!pick(r, 5)) {
            flush(d);
        }
        break;
    }
}

static void random_start(Random *r, Machine *m)
{
    uint32_t seed = g_test_rand_int();

    g_test_message("seed %" PRIu32, seed);
    *r = (Random) { .m = m, .rand = g_rand_new_with_seed(seed) };
    random_bytes(r, r->mem, RANDOM_SIZE);
    qtest_memwrite(m->qts, RANDOM_BASE, r->mem, RANDOM_SIZE);
}

static void random_end(Random *r)
{
    Machine *m = r->m;
    uint8_t seen[RANDOM_SIZE];

    qtest_memread(m->qts, RANDOM_BASE, seen, RANDOM_SIZE);
    assert_model(r, 0, seen, RANDOM_SIZE);
    flush(&m->dev[0]);
    flush(&m->dev[1]);
    g_assert_cmpint(tracked(m), ==, 0);
    if (m->ram) {
        assert_model(r, 0, m->ram + RANDOM_BASE, RANDOM_SIZE);
        g_assert_cmphex(get32(&m->dev[0], CCT_ERRORS), ==, 0);
        g_assert_cmphex(get32(&m->dev[1], CCT_ERRORS), ==, 0);
    }
    g_rand_free(r->rand);
}

static void test_random(Machine *m)
{
    unsigned ops = m->ram ? RANDOM_OPS : RANDOM_OPS / 4;
    Random r;

    random_start(&r, m);
    for (unsigned i = 0; i < ops; i++) {
        random_op(&r);
    }
    random_end(&r);
}

/* The same while both agents work at other lines of one of the pages */
static void test_random_agents(Machine *m)
{
    Random r;

    random_start(&r, m);
    qtest_memset(m->qts, A, 0, 2 * LINE);
    for (int i = 0; i < 2; i++) {
        set_step(&m->dev[i], 0, ADD(8, CCT_CONST), A + i * LINE, 1);
        agent_start(&m->dev[i], ALL);
    }
    for (unsigned i = 0; i < RANDOM_OPS / 4; i++) {
        random_op(&r);
    }
    for (int i = 0; i < 2; i++) {
        Dev *d = &m->dev[i];

        /* On a machine with much to do its thread may not have run yet. */
        for (int k = 0; !get64(d, CCT_AGENT_ITERATION); k++) {
            g_assert_cmpint(k, <, 30000);
            g_usleep(1000);
        }
        set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
        g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_STOPPED);
        g_assert_cmpuint(qtest_readq(m->qts, A + i * LINE), ==,
                         get64(d, CCT_AGENT_ITERATION));
    }
    random_end(&r);
}

/* ---- All cases ---- */

enum {
    TWO = 1 << 0,       /* needs a second device */
    ONCE = 1 << 1,      /* also with RAM of which no line can be kept */
};

typedef struct Case {
    const char *name;
    void (*fn)(Machine *m);
    unsigned flags;
    const char *opts;
    const char *rp_opts;
    const char *dev_opts;
} Case;

static const Case cases[] = {
    { "t01/rd-curr", test_rd_curr, ONCE },
    { "t02/rd-curr-of-m", test_rd_curr_of_m, TWO },
    { "t03/rd-shared", test_rd_shared, ONCE },
    { "t04/rd-own", test_rd_own, ONCE },
    { "t04/cpu-store", test_cpu_store, ONCE },
    { "t05/rd-own-of-m", test_rd_own_of_m, TWO },
    { "t06/rd-any", test_rd_any, TWO },
    { "t07/rd-own-no-data", test_rd_own_no_data, ONCE },
    { "t08/rd-own-no-data-from-s", test_rd_own_no_data_from_s },
    { "t09/rd-own-no-data-unused", test_rd_own_no_data_unused, TWO },
    { "t10/ito-m-wr", test_ito_m_wr, ONCE },
    { "t11/wr-cur", test_wr_cur, ONCE },
    { "t12/writes-snoop", test_writes_snoop, TWO },
    { "t13/clean-evict", test_clean_evict },
    { "t14/dirty-evict", test_dirty_evict },
    { "t15/clean-evict-no-data", test_clean_evict_no_data },
    { "t16/wr-inv", test_wr_inv, ONCE },
    { "t17/wr-inv-nothing", test_wr_inv_nothing, ONCE },
    { "t18/wo-wr-inv", test_wo_wr_inv, ONCE },
    { "t19/cache-flushed", test_cache_flushed, ONCE },
    { "t20/unmapped", test_unmapped, ONCE },
    { "t20/rom", test_rom, ONCE },
    { "t21/reserved", test_reserved, ONCE },
    { "t44/two-own", test_two_own, TWO },
    { "t49/message-passing", test_message_passing },
    { "t52/unaligned", test_unaligned },
    { "t57/dma", test_dma, .opts = EDU },
    { "t70/poison", test_poison, ONCE },
    { "t79/mode-off", test_mode_off, ONCE },
    { "t90/false-sharing", test_false_sharing, TWO },
    { "ranges", test_ranges, ONCE },
    { "t60/monitor", test_monitor },
    { "t61/dump", test_dump },
    { "t62/migration", test_migration },
    { "t63/dimm", test_dimm },
    { "t65/snoop-filter", test_snoop_filter, TWO,
      .rp_opts = ",cxl-cache-sf-size=64K", .dev_opts = ",cache-size=128K" },
    { "t66/capacity", test_capacity },
    { "t66/non-temporal", test_non_temporal },
    { "t73/unplug", test_unplug },
    { "t75/system-reset", test_system_reset },
    { "t76/secondary-reset", test_secondary_reset, TWO },
    { "t77/flush", test_flush },
    { "t80/refused", test_refused },
    { "agent/steps", test_agent_steps, ONCE },
    { "agent/errors", test_agent_errors, ONCE },
    { "agent/stop", test_agent_stop, ONCE },
    { "t46/agent-add", test_agent_add, TWO },
    { "t49/agent-message-passing", test_agent_message_passing, TWO | ONCE },
    { "t50/agent-litmus", test_agent_litmus, TWO | ONCE },
    { "random", test_random, TWO | ONCE },
    { "random-agents", test_random_agents, TWO },
};

static void run_case(const Case *c, bool keep)
{
    g_autofree char *opts = g_strdup_printf("%s %s",
                                            c->flags & TWO ? TESTDEV1 : "",
                                            c->opts ?: "");
    Machine m;

    if (keep && !host_probed) {
        probe_host();
    }
    if (keep && !host_keeps) {
        g_test_skip("this host cannot trap accesses to guest memory");
        return;
    }
    machine_start(&m, keep ? MEMFD : "", c->rp_opts ?: "", c->dev_opts ?: "",
                  opts);
    m.can_share = keep && host_can_share;
    c->fn(&m);
    machine_end(&m);
}

static void run_kept(const void *c)
{
    run_case(c, true);
}

static void run_once(const void *c)
{
    run_case(c, false);
}

/* This one needs a disk before the machine starts. */
static void run_disk(const void *opaque)
{
    g_autofree char *path = disk_path();
    g_autofree char *opts =
        g_strdup_printf("-blockdev file,node-name=disk,filename=%s "
                        "-device virtio-blk-pci,drive=disk,addr=6.0,"
                        "bus=pcie.0,disable-legacy=on", path);
    const Case c = { "", test_disk, .opts = opts };
    FILE *f = fopen(path, "w");

    g_assert_nonnull(f);
    g_assert_cmpint(ftruncate(fileno(f), DISK_SIZE), ==, 0);
    fclose(f);
    run_case(&c, true);
    unlink(path);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_data_func("/cxl-cache/t58/disk", NULL, run_disk);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        const Case *c = &cases[i];
        g_autofree char *kept = g_strdup_printf("/cxl-cache/%s", c->name);
        g_autofree char *once = g_strdup_printf("/cxl-cache/%s/once", c->name);

        qtest_add_data_func(kept, c, run_kept);
        if (c->flags & ONCE) {
            qtest_add_data_func(once, c, run_once);
        }
    }
    return g_test_run();
}
