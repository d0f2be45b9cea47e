/*
 * QTest testcase for Cache IDs, and switches between devices and host
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Devices are cxl-cache-testdev. "The CPU" is this test, whose accesses go
 * through the guest's mapping of RAM as a vCPU's do.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-tree.h"
#include "cxl-cache-testdev.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define RAM_SIZE    (128 * MiB)
#define MAX_DEVS    16
#define A           (16 * MiB)

#define CACHEMEM    0x1000

/* Capabilities, and their registers */
#define CAP_TABLE   0x0d
#define CAP_DECODER 0x0e
#define CAP_SECURITY 0x06
#define CTRL        0x4
#define STATUS      0x8
#define TARGET(n)   (0x10 + 2 * (n))

#define FORWARD     (1u << 0)
#define ASSIGN      (1u << 1)
#define HDM_D       (1u << 2)
#define COMMIT      (1u << 3)
#define ID(n)       ((uint32_t)(n) << 16)
#define TRUST(n)    ((uint32_t)(n) << 24)

#define TABLE_COMMIT    1u
#define POLICY(n)   (0x4 + 8 * (n))
#define PORT_ID(n)  (0x8 + 8 * (n))

#define COMMITTED       1u
#define COMMIT_ERROR    2u

/* PCIe DVSEC for Flex Bus Port */
#define FLEX_BUS        7
#define FLEX_BUS_CAP    0x0a
#define FLEX_BUS_CTRL   0x0c
#define FLEX_BUS_STATUS 0x0e

#define RP          "-device cxl-rp,bus=cxl.0,cxl-cache=on,chassis=0"
#define USP         "-device cxl-upstream,cxl-cache=on,x-256b-flit=on"
#define DSP         "-device cxl-downstream,cxl-cache=on,chassis=0"
#define TESTDEV     "-device cxl-cache-testdev,x-256b-flit=on"

/* ---- Machines ---- */

typedef struct Machine {
    QTestState *qts;
    QCXLTree *tree;
    Dev dev[MAX_DEVS];
    unsigned num;
    uint8_t *ram;
} Machine;

static void map_dev(Machine *m, Dev *d, unsigned n)
{
    QCXLNode *node = qcxl_tree_endpoint(m->tree, n);

    QEMU_BUILD_BUG_ON(CXL_CACHE_TESTDEV_BAR_REGS);
    *d = (Dev) { .qts = m->qts, .pci = node->dev, .bar = node->registers };
    qpci_device_enable(d->pci);
    g_assert_cmphex(get32(d, CCT_MAGIC), ==, CCT_MAGIC_VALUE);
    set32(d, CCT_MODE, CCT_MODE_ON);
}

/* What firmware does, and after a system reset does again */
static void map_all(Machine *m)
{
    if (m->tree) {
        qcxl_tree_free(m->tree);
    }
    m->tree = qcxl_tree_new(m->qts);
    for (unsigned i = 0; i < m->num; i++) {
        map_dev(m, &m->dev[i], i);
    }
}

static void start(Machine *m, unsigned devs, const char *args)
{
    *m = (Machine) { .num = devs };
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                         "%s", args);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    map_all(m);
}

static void end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    qcxl_tree_free(m->tree);
    qtest_quit(m->qts);
}

/*
 * The options of a hierarchy of @devs devices below @levels switches: each
 * below a root port of its own; all below one switch; or below switches of four
 * ports each, which are below another one.
 */
static char *hierarchy(unsigned devs, unsigned levels, const char *opts)
{
    GString *s = g_string_new("");
    unsigned inner = levels == 2 ? DIV_ROUND_UP(devs, 4) : 0;

    if (levels) {
        g_string_append(s, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us ");
    }
    for (unsigned i = 0; i < inner; i++) {
        g_string_append_printf(s, DSP ",bus=us,id=mid%u,port=%u,slot=%u " USP
                               ",bus=mid%u,id=us%u ", i, i, 100 + i, i, i);
    }
    for (unsigned i = 0; i < devs; i++) {
        if (!levels) {
            g_string_append_printf(s, RP ",id=p%u,port=%u,slot=%u ", i, i, i);
        } else if (levels == 1) {
            g_string_append_printf(s, DSP ",bus=us,id=p%u,port=%u,slot=%u ", i,
                                   i, 10 + i);
        } else {
            g_string_append_printf(s, DSP ",bus=us%u,id=p%u,port=%u,slot=%u ",
                                   i / 4, i, i % 4, 10 + i);
        }
        g_string_append_printf(s, TESTDEV "%s,bus=p%u,id=t%u ", opts, i, i);
    }
    return g_string_free(s, false);
}

/* ---- Looking at it ---- */

static QDict *query(Machine *m)
{
    return qtest_qmp_assert_success_ref(m->qts,
                                        "{'execute': 'x-query-cxl-cache'}");
}

static QDict *find_dev(QDict *info, const char *id)
{
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), e) {
        QDict *dict = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(dict, "id"), id)) {
            return dict;
        }
    }
    g_assert_not_reached();
}

static int64_t cache_id(Machine *m, const char *id)
{
    g_autoptr(QDict) info = query(m);

    return qdict_get_try_int(find_dev(info, id), "cache-id", -1);
}

static int64_t aborted(Machine *m, const char *id)
{
    g_autoptr(QDict) info = query(m);

    return qdict_get_try_int(find_dev(info, id), "aborted", -1);
}

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

#define assert_ram(m, addr, v)  assert_version((m)->ram + (addr), v)

/* ---- Registers ---- */

/* The capability of a port, or of the host bridge for @node NULL */
typedef struct Cap {
    Machine *m;
    QCXLNode *node;
    uint64_t host;
    uint16_t at;
} Cap;

static uint32_t read_cachemem(void *opaque, uint16_t offset)
{
    Cap *c = opaque;

    return c->node ? qpci_io_readl(c->node->dev, c->node->registers,
                                   CACHEMEM + offset)
                   : qtest_readl(c->m->qts, c->host + CACHEMEM + offset);
}

/* No table tells where a machine without firmware has it. */
static uint64_t find_host(Machine *m)
{
    g_autofree char *tree = qtest_hmp(m->qts, "info mtree");
    char *line = strstr(tree, ": cxl_host_reg");

    g_assert_nonnull(line);
    while (line > tree && line[-1] != '\n') {
        line--;
    }
    return g_ascii_strtoull(line, NULL, 16);
}

static Cap try_cap(Machine *m, QCXLNode *node, uint16_t id)
{
    Cap c = { .m = m, .node = node };

    if (!node) {
        c.host = find_host(m);
    }
    c.at = qcxl_find_cap(read_cachemem, &c, id);
    return c;
}

static Cap cap(Machine *m, QCXLNode *node, uint16_t id)
{
    Cap c = try_cap(m, node, id);

    g_assert_cmphex(c.at, !=, 0);
    return c;
}

static uint32_t cap_read(Cap *c, uint16_t reg)
{
    return read_cachemem(c, c->at + reg);
}

static void cap_write(Cap *c, uint16_t reg, uint32_t val)
{
    uint16_t offset = CACHEMEM + c->at + reg;

    if (c->node) {
        qpci_io_writel(c->node->dev, c->node->registers, offset, val);
    } else {
        qtest_writel(c->m->qts, c->host + offset, val);
    }
}

/* Of 16 bits; a port's */
static void cap_writew(Cap *c, uint16_t reg, uint16_t val)
{
    qpci_io_writew(c->node->dev, c->node->registers, CACHEMEM + c->at + reg,
                   val);
}

/* Writes Control with Commit clear, then set. Returns: Status without time */
static uint32_t commit(Cap *c, uint32_t ctrl, uint32_t bit)
{
    cap_write(c, CTRL, ctrl);
    g_assert_cmphex(cap_read(c, STATUS) & 3, ==, 0);
    cap_write(c, CTRL, ctrl | bit);
    return cap_read(c, STATUS) & 3;
}

static uint32_t commit_decoder(Cap *c, uint32_t ctrl)
{
    return commit(c, ctrl, COMMIT);
}

static uint32_t commit_table(Cap *c)
{
    return commit(c, 0, TABLE_COMMIT);
}

static void set_target(Cap *c, unsigned id, int port)
{
    uint32_t old = cap_read(c, TARGET(id & ~1));
    uint32_t val = port < 0 ? 0 : (unsigned)port << 8 | 1;
    unsigned shift = id & 1 ? 16 : 0;

    cap_write(c, TARGET(id & ~1), (old & ~(0xffffu << shift)) | val << shift);
}

static uint16_t get_target(Cap *c, unsigned id)
{
    return cap_read(c, TARGET(id & ~1)) >> (id & 1 ? 16 : 0);
}

/* ---- Topologies ---- */

typedef struct Topology {
    unsigned devs;
    unsigned levels;
} Topology;

/* All devices have an ID of their own, and it is on the messages' way. */
static void check_ids(Machine *m)
{
    uint16_t seen = 0;

    for (unsigned i = 0; i < m->num; i++) {
        g_autofree char *name = g_strdup_printf("t%u", i);
        int64_t id = cache_id(m, name);

        g_assert_cmpint(id, >=, 0);
        g_assert_cmpint(id, <, 16);
        g_assert_false(seen & (1u << id));
        seen |= 1u << id;
        g_assert_cmpint(aborted(m, name), ==, 0);
    }
}

/* Every device takes lines; the next device, and the CPU, get them. */
static void check_ring(Machine *m, unsigned first)
{
    for (unsigned i = 0; i < m->num; i++) {
        cpu_store(m, A + i * LINE, first);
        make_m(&m->dev[i], A + i * LINE, first + 1 + i);
        assert_ram(m, A + i * LINE, first);
    }
    for (unsigned i = 0; i < m->num; i++) {
        Dev *next = &m->dev[(i + 1) % m->num];
        uint64_t addr = A + i * LINE;

        if (m->num > 1) {
            Result r = request(next, CXL_CACHE_RD_OWN, addr);

            assert_version(r.data, first + 1 + i);
            g_assert_cmpuint(line_state(&m->dev[i], addr), ==, CCT_STATE_I);
            g_assert_cmpint(line_write(next, addr, ALL, first + 50 + i).ret, ==,
                            OK);
        } else {
            g_assert_cmpint(line_write(next, addr, ALL, first + 50 + i).ret, ==,
                            OK);
        }
        assert_cpu_sees(m, addr, first + 50 + i);
        assert_ram(m, addr, first + 50 + i);
        cpu_store(m, addr, first + 70);
        g_assert_cmpuint(line_state(next, addr), ==, CCT_STATE_I);
    }
    for (unsigned i = 0; i < m->num; i++) {
        flush(&m->dev[i]);
    }
}

static void test_topology(const void *data)
{
    const Topology *t = data;
    g_autofree char *args = hierarchy(t->devs, t->levels, "");
    Machine m;

    start(&m, t->devs, args);
    check_ids(&m);
    check_ring(&m, 1);
    end(&m);
}

/* ---- Random accesses ---- */

#define SHADOW_LINES 48

static uint32_t rnd(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

/* Any device, any request that leaves nothing behind or a line, or the CPU */
static void random_step(Machine *m, unsigned *shadow, unsigned v, uint64_t *rng)
{
    unsigned n = rnd(rng) % SHADOW_LINES;
    Dev *d = &m->dev[rnd(rng) % m->num];
    uint64_t addr = A + n * LINE;
    uint32_t state;
    Result r;

    switch (rnd(rng) % 8) {
    case 0:
        assert_cpu_sees(m, addr, shadow[n]);
        return;
    case 1:
        cpu_store(m, addr, v);
        shadow[n] = v;
        return;
    case 2:
        state = line_state(d, addr);
        if (state != CCT_STATE_I) {
            evict(d, addr);
        }
        return;
    case 3:
        if (line_state(d, addr) == CCT_STATE_I) {
            r = write_request(d, CXL_CACHE_I_TO_M_WR, addr, ALL, v);
            g_assert_cmpint(r.ret, ==, OK);
            shadow[n] = v;
        }
        return;
    case 4:
        if (line_state(d, addr) == CCT_STATE_I) {
            r = request(d, CXL_CACHE_RD_CURR, addr);
            assert_version(r.data, shadow[n]);
        }
        return;
    case 5:
        if (line_state(d, addr) == CCT_STATE_I) {
            r = request(d, CXL_CACHE_RD_SHARED, addr);
            assert_version(r.data, shadow[n]);
        }
        return;
    default:
        state = line_state(d, addr);
        if (state == CCT_STATE_S) {
            evict(d, addr);
            state = CCT_STATE_I;
        }
        if (state == CCT_STATE_I) {
            r = request(d, CXL_CACHE_RD_OWN, addr);
            assert_version(r.data, shadow[n]);
        }
        g_assert_cmpint(line_write(d, addr, ALL, v).ret, ==, OK);
        shadow[n] = v;
        return;
    }
}

static void test_random(const void *data)
{
    const Topology *t = data;
    g_autofree char *args = hierarchy(t->devs, t->levels, "");
    const char *env = getenv("CXL_CACHE_ID_STEPS");
    unsigned steps = env ? atoi(env) : 600;
    unsigned shadow[SHADOW_LINES];
    uint64_t rng = 0x5eed + t->levels;
    Machine m;

    start(&m, t->devs, args);
    for (unsigned n = 0; n < SHADOW_LINES; n++) {
        cpu_store(&m, A + n * LINE, n);
        shadow[n] = n;
    }
    for (unsigned i = 0; i < steps; i++) {
        random_step(&m, shadow, 1000 + i, &rng);
    }
    for (unsigned i = 0; i < m.num; i++) {
        flush(&m.dev[i]);
    }
    for (unsigned n = 0; n < SHADOW_LINES; n++) {
        assert_ram(&m, A + n * LINE, shadow[n]);
    }
    check_ids(&m);
    end(&m);
}

/* ---- What firmware has left ---- */

static void check_flex_bus(QPCIDevice *dev, uint16_t ctrl, uint16_t status)
{
    uint16_t at = qcxl_find_dvsec(dev, FLEX_BUS);

    g_assert_cmphex(qcxl_readw(dev, at + FLEX_BUS_CAP) & 1, ==, 1);
    g_assert_cmphex(qcxl_readw(dev, at + FLEX_BUS_CTRL), ==, ctrl);
    g_assert_cmphex(qcxl_readw(dev, at + FLEX_BUS_STATUS), ==, status);
}

static void test_registers(void)
{
    g_autofree char *args = hierarchy(5, 2, "");
    QCXLNode *rp, *us, *mid, *us1, *ds;
    Machine m;
    Cap c;

    start(&m, 5, args);
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    mid = qcxl_tree_find(m.tree, us->secondary, 1);
    us1 = qcxl_tree_find(m.tree, mid->secondary, 0);
    ds = qcxl_tree_find(m.tree, us1->secondary, 0);

    /* Each kind has one of the two. */
    g_assert_cmphex(try_cap(&m, NULL, CAP_DECODER).at, ==, 0);
    g_assert_cmphex(try_cap(&m, rp, CAP_TABLE).at, ==, 0);
    g_assert_cmphex(try_cap(&m, us, CAP_DECODER).at, ==, 0);
    g_assert_cmphex(try_cap(&m, ds, CAP_TABLE).at, ==, 0);

    c = cap(&m, NULL, CAP_TABLE);
    g_assert_cmphex(cap_read(&c, 0), ==, 0x10010);
    g_assert_cmphex(cap_read(&c, CTRL), ==, TABLE_COMMIT);
    g_assert_cmphex(cap_read(&c, STATUS), ==, 0x2600 | COMMITTED);
    for (int id = 0; id < 16; id++) {
        g_assert_cmphex(get_target(&c, id), ==, id < 5 ? 1 : 0);
    }
    c = cap(&m, rp, CAP_DECODER);
    g_assert_cmphex(cap_read(&c, 0), ==, 1);
    g_assert_cmphex(cap_read(&c, CTRL), ==, FORWARD | COMMIT);
    g_assert_cmphex(cap_read(&c, STATUS), ==, 0x2600 | COMMITTED);
    c = cap(&m, us, CAP_TABLE);
    for (int id = 0; id < 16; id++) {
        g_assert_cmphex(get_target(&c, id), ==,
                        id < 4 ? 0x0001 : id == 4 ? 0x0101 : 0);
    }
    c = cap(&m, mid, CAP_DECODER);
    g_assert_cmphex(cap_read(&c, CTRL), ==, FORWARD | COMMIT);
    c = cap(&m, us1, CAP_TABLE);
    for (int id = 0; id < 16; id++) {
        g_assert_cmphex(get_target(&c, id), ==, id == 4 ? 0x0001 : 0);
    }
    c = cap(&m, ds, CAP_DECODER);
    g_assert_cmphex(cap_read(&c, CTRL), ==, ASSIGN | COMMIT | ID(4));

    /* Read-only bits stay, and reserved ones are 0. */
    cap_write(&c, 0, UINT32_MAX);
    cap_write(&c, STATUS, UINT32_MAX);
    cap_write(&c, 0xc, UINT32_MAX);
    g_assert_cmphex(cap_read(&c, 0), ==, 1);
    g_assert_cmphex(cap_read(&c, STATUS), ==, 0x2600 | COMMITTED);
    g_assert_cmphex(cap_read(&c, 0xc), ==, 0);
    cap_write(&c, CTRL, UINT32_MAX);
    g_assert_cmphex(cap_read(&c, CTRL), ==, 0x030f0f0f);
    c = cap(&m, us1, CAP_TABLE);
    cap_write(&c, TARGET(2), UINT32_MAX);
    g_assert_cmphex(cap_read(&c, TARGET(2)), ==, 0xff01ff01);
    /* Each target is a register of its own. */
    cap_writew(&c, TARGET(3), 0);
    g_assert_cmphex(cap_read(&c, TARGET(2)), ==, 0x0000ff01);
    cap_writew(&c, TARGET(2), 0x0201);
    g_assert_cmphex(cap_read(&c, TARGET(2)), ==, 0x00000201);

    check_flex_bus(rp->dev, 0x03, 0x07);
    check_flex_bus(us->dev, 0x27, 0x07);
    check_flex_bus(mid->dev, 0x03, 0x07);
    check_flex_bus(us1->dev, 0x27, 0x07);
    check_flex_bus(ds->dev, 0x03, 0x03);
    check_flex_bus(m.dev[4].pci, 0x02, 0x03);
    end(&m);
}

/* Without cxl-cache=on, and with 68B flits, nothing of this is there. */
static void test_absent(void)
{
    static const char *const args[] = {
        "-device cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=1 "
        "-device cxl-upstream,bus=rp0,id=us,x-256b-flit=on "
        "-device cxl-downstream,bus=us,id=p0,chassis=0,slot=2 ",
        RP ",id=rp0,slot=1,x-256b-flit=off "
        "-device cxl-upstream,cxl-cache=on,bus=rp0,id=us "
        DSP ",bus=us,id=p0,slot=2,x-256b-flit=off ",
    };

    for (int i = 0; i < ARRAY_SIZE(args); i++) {
        Machine m;

        start(&m, 0, args[i]);
        for (int n = 0; n < 3; n++) {
            g_assert_cmphex(try_cap(&m, &m.tree->node[n], CAP_TABLE).at, ==,
                            0);
            g_assert_cmphex(try_cap(&m, &m.tree->node[n], CAP_DECODER).at, ==,
                            0);
        }
        g_assert_cmphex(try_cap(&m, NULL, CAP_TABLE).at, ==, 0);
        end(&m);
    }
}

/* ---- A guest does it ---- */

/* Two devices below a switch, and the registers on their way */
typedef struct Switch {
    Machine m;
    Cap host;
    Cap rp;
    Cap us;
    Cap ds[2];
} Switch;

static void find_switch(Switch *s)
{
    QCXLNode *rp, *us;

    rp = qcxl_tree_find(s->m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(s->m.tree, rp->secondary, 0);
    s->host = cap(&s->m, NULL, CAP_TABLE);
    s->rp = cap(&s->m, rp, CAP_DECODER);
    s->us = cap(&s->m, us, CAP_TABLE);
    for (int i = 0; i < 2; i++) {
        s->ds[i] = cap(&s->m, qcxl_tree_find(s->m.tree, us->secondary, i),
                       CAP_DECODER);
    }
}

static void start_switch(Switch *s, const char *opts)
{
    g_autofree char *args = hierarchy(2, 1, opts);

    start(&s->m, 2, args);
    find_switch(s);
}

/* Each request that can fail does, and nothing in memory has changed. */
static void check_aborted(Switch *s, unsigned n)
{
    static const uint8_t reads[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED,
        CXL_CACHE_RD_ANY, CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_CL_FLUSH,
    };
    static const uint8_t writes[] = {
        CXL_CACHE_I_TO_M_WR, CXL_CACHE_WR_CUR, CXL_CACHE_WR_INV,
        CXL_CACHE_WO_WR_INV_F,
    };
    g_autofree char *name = g_strdup_printf("t%u", n);
    int64_t before = aborted(&s->m, name);
    Dev *d = &s->m.dev[n];

    g_assert_cmpint(cache_id(&s->m, name), ==, -1);
    cpu_store(&s->m, A, 1);
    for (int i = 0; i < ARRAY_SIZE(reads); i++) {
        Result r = try_request(d, reads[i], A);

        g_assert_cmpint(r.ret, ==, OK);
        g_assert_true(r.failed);
        g_assert_cmpuint(r.state, ==, CCT_STATE_I);
    }
    for (int i = 0; i < ARRAY_SIZE(writes); i++) {
        Result r = write_request(d, writes[i], A, ALL, 2);

        g_assert_cmpint(r.ret, ==, OK);
        g_assert_true(r.failed);
    }
    g_assert_cmpint(aborted(&s->m, name) - before, ==,
                    ARRAY_SIZE(reads) + ARRAY_SIZE(writes));
    /* Many lines at once */
    for (int i = CCT_DO_READ; i <= CCT_DO_WRITE; i++) {
        set_operation(d, 0, CCT_FLAG_KEEP, A, 0, 16 * LINE);
        set32(d, CCT_DOORBELL, i);
        g_assert_cmpint(get_result(d).ret, ==, IO);
    }
    assert_ram(&s->m, A, 1);
    assert_cpu_sees(&s->m, A, 1);
}

static void check_works(Switch *s, unsigned n, int id)
{
    g_autofree char *name = g_strdup_printf("t%u", n);

    g_assert_cmpint(cache_id(&s->m, name), ==, id);
    cpu_store(&s->m, A, 3);
    make_m(&s->m.dev[n], A, 4);
    assert_ram(&s->m, A, 3);
    assert_cpu_sees(&s->m, A, 4);
    flush(&s->m.dev[n]);
}

/* The way is open when the last of its registers is committed, no earlier. */
static void test_commit_steps(void)
{
    Switch s;

    start_switch(&s, ",cache-id=none");
    check_aborted(&s, 0);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(9)), ==, COMMITTED);
    check_aborted(&s, 0);
    set_target(&s.us, 9, 0);
    check_aborted(&s, 0);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    check_aborted(&s, 0);
    set_target(&s.host, 9, 0);
    g_assert_cmphex(commit_table(&s.host), ==, COMMITTED);
    check_aborted(&s, 0);
    g_assert_cmphex(commit_decoder(&s.rp, FORWARD), ==, COMMITTED);
    check_works(&s, 0, 9);
    check_aborted(&s, 1);
    check_works(&s, 0, 9);

    /* What is written without a commit has no effect, whatever else has. */
    cap_write(&s.ds[0], CTRL, ASSIGN | ID(3) | COMMIT);
    g_assert_cmphex(cap_read(&s.ds[0], STATUS) & 3, ==, COMMITTED);
    commit_decoder(&s.ds[1], ASSIGN | ID(4));
    check_works(&s, 0, 9);
    set_target(&s.us, 9, -1);
    commit_decoder(&s.ds[1], ASSIGN | ID(4));
    check_works(&s, 0, 9);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    check_aborted(&s, 0);
    set_target(&s.us, 9, 0);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    check_works(&s, 0, 9);

    /* A root port that inserts an ID of its own forwards none. */
    g_assert_cmphex(commit_decoder(&s.rp, ASSIGN | ID(2)), ==, COMMITTED);
    check_aborted(&s, 0);
    g_assert_cmphex(commit_decoder(&s.rp, FORWARD), ==, COMMITTED);
    check_works(&s, 0, 9);

    /* A device that is not trusted at all */
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(9) | TRUST(2)), ==,
                    COMMITTED);
    check_aborted(&s, 0);
    /* ... and one that is trusted with memory of its own, and has none */
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(9) | TRUST(1)), ==,
                    COMMITTED);
    check_aborted(&s, 0);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(9)), ==, COMMITTED);
    check_works(&s, 0, 9);
    end(&s.m);
}

static void test_commit_error(void)
{
    Switch s;

    start_switch(&s, ",cache-id=none");
    set_target(&s.us, 5, 0);
    set_target(&s.us, 6, 1);
    set_target(&s.host, 5, 0);
    set_target(&s.host, 6, 0);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    g_assert_cmphex(commit_table(&s.host), ==, COMMITTED);
    g_assert_cmphex(commit_decoder(&s.rp, FORWARD), ==, COMMITTED);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(5)), ==, COMMITTED);

    /* Two devices with one ID: the second is not told apart, and stays out. */
    g_assert_cmphex(commit_decoder(&s.ds[1], ASSIGN | ID(5)), ==,
                    COMMIT_ERROR);
    check_aborted(&s, 1);
    check_works(&s, 0, 5);
    g_assert_cmphex(commit_decoder(&s.ds[1], ASSIGN | ID(6)), ==, COMMITTED);
    check_works(&s, 1, 6);
    check_works(&s, 0, 5);

    g_assert_cmphex(commit_decoder(&s.ds[1], ASSIGN | FORWARD | ID(6)), ==,
                    COMMIT_ERROR);
    check_aborted(&s, 1);
    g_assert_cmphex(commit_decoder(&s.ds[1], ASSIGN | HDM_D | ID(6)), ==,
                    COMMIT_ERROR);
    check_aborted(&s, 1);
    g_assert_cmphex(commit_decoder(&s.ds[1], ASSIGN | ID(6)), ==, COMMITTED);
    check_works(&s, 1, 6);

    /* A port that the switch does not have */
    set_target(&s.us, 7, 9);
    g_assert_cmphex(commit_table(&s.us), ==, COMMIT_ERROR);
    check_aborted(&s, 0);
    check_aborted(&s, 1);
    set_target(&s.us, 7, -1);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    set_target(&s.host, 7, 9);
    g_assert_cmphex(commit_table(&s.host), ==, COMMIT_ERROR);
    check_aborted(&s, 0);
    set_target(&s.host, 7, -1);
    g_assert_cmphex(commit_table(&s.host), ==, COMMITTED);
    check_works(&s, 0, 5);
    check_works(&s, 1, 6);
    end(&s.m);

    /* Flits of 68 bytes carry none: only 0 can stand for that. */
    start(&s.m, 1, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=10 "
          DSP ",bus=us,id=p1,port=1,slot=11 "
          "-device cxl-cache-testdev,bus=p0,id=t0 ");
    find_switch(&s);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(3)), ==,
                    COMMIT_ERROR);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN), ==, COMMITTED);
    check_works(&s, 0, -1);
    end(&s.m);
}

/* A guest may do it otherwise; what a device holds comes home before. */
static void test_redo(void)
{
    Switch s;

    start_switch(&s, "");
    check_works(&s, 0, 0);
    check_works(&s, 1, 1);

    cpu_store(&s.m, A, 7);
    make_m(&s.m.dev[0], A, 8);
    assert_ram(&s.m, A, 7);
    cap_write(&s.ds[0], CTRL, 0);
    assert_ram(&s.m, A, 8);
    g_assert_cmpuint(line_state(&s.m.dev[0], A), ==, CCT_STATE_I);
    check_aborted(&s, 0);
    check_works(&s, 1, 1);

    set_target(&s.us, 12, 0);
    set_target(&s.host, 12, 0);
    g_assert_cmphex(commit_table(&s.us), ==, COMMITTED);
    g_assert_cmphex(commit_table(&s.host), ==, COMMITTED);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(12)), ==, COMMITTED);
    check_works(&s, 0, 12);

    /* The other one's lines stay where they are. */
    make_m(&s.m.dev[1], A + PAGE, 9);
    make_m(&s.m.dev[0], A, 10);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN | ID(0)), ==, COMMITTED);
    assert_ram(&s.m, A, 10);
    g_assert_cmpuint(line_state(&s.m.dev[1], A + PAGE), ==, CCT_STATE_M);
    check_works(&s, 0, 0);
    assert_cpu_sees(&s.m, A + PAGE, 9);
    end(&s.m);
}

static void test_fixed(void)
{
    Machine m;

    start(&m, 2, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=10 " DSP
          ",bus=us,id=p1,port=1,slot=11 "
          TESTDEV ",bus=p0,id=t0,cache-id=15 "
          TESTDEV ",bus=p1,id=t1,cache-id=0 ");
    g_assert_cmpint(cache_id(&m, "t0"), ==, 15);
    g_assert_cmpint(cache_id(&m, "t1"), ==, 0);
    check_ring(&m, 1);
    end(&m);
}

/* ---- Resets ---- */

static void secondary_reset(QPCIDevice *port)
{
    uint16_t at = qcxl_find_dvsec(port, 3) + 0x0c;
    uint16_t ctl = qpci_config_readw(port, PCI_BRIDGE_CONTROL);

    qcxl_writew(port, at, 1);
    qpci_config_writew(port, PCI_BRIDGE_CONTROL,
                       ctl | PCI_BRIDGE_CTL_BUS_RESET);
    qpci_config_writew(port, PCI_BRIDGE_CONTROL, ctl);
}

static void test_reset(void)
{
    Switch s;

    start_switch(&s, "");
    set_target(&s.us, 12, 0);
    set_target(&s.host, 12, 0);
    commit_table(&s.us);
    commit_table(&s.host);
    commit_decoder(&s.ds[0], ASSIGN | ID(12));
    check_works(&s, 0, 12);

    /* The bus below the root port: the switch and all below it */
    make_m(&s.m.dev[0], A, 20);
    make_m(&s.m.dev[1], A + PAGE, 21);
    secondary_reset(qcxl_tree_find(s.m.tree, QCXL_BUS_NR, 0)->dev);
    assert_ram(&s.m, A, 20);
    assert_ram(&s.m, A + PAGE, 21);
    map_all(&s.m);
    find_switch(&s);
    check_works(&s, 0, 0);
    check_works(&s, 1, 1);

    /* One device: the port above it needs no other ID. */
    make_m(&s.m.dev[0], A, 22);
    make_m(&s.m.dev[1], A + PAGE, 23);
    secondary_reset(s.ds[0].node->dev);
    assert_ram(&s.m, A, 22);
    g_assert_cmpuint(line_state(&s.m.dev[1], A + PAGE), ==, CCT_STATE_M);
    map_all(&s.m);
    find_switch(&s);
    check_works(&s, 0, 0);
    check_works(&s, 1, 1);

    /* The machine: modified lines are lost, as in any cache. */
    commit_decoder(&s.ds[1], ASSIGN | ID(7));
    check_aborted(&s, 1);
    qtest_system_reset(s.m.qts);
    map_all(&s.m);
    find_switch(&s);
    check_works(&s, 0, 0);
    check_works(&s, 1, 1);
    end(&s.m);
}

/* ---- Whom the host trusts ---- */

/* The first port by address is not the first that is made. */
#define TRUST_PORTS(flits)                                              \
    RP ",id=p1,port=1,slot=1,addr=2.0 "                                 \
    RP ",id=p0,port=5,slot=0,addr=1.0,trust-level=untrusted "           \
    "-device cxl-rp,bus=cxl.0,id=p2,port=2,slot=2,chassis=0 "           \
    "-device cxl-cache-testdev,bus=p0,id=t0" flits " "                  \
    "-device cxl-cache-testdev,bus=p1,id=t1" flits " "

/* A 68B device has no Cache ID, and the host bridge's word alone counts. */
static void test_trust_68b(void)
{
    Switch s = { };
    Cap c;

    start(&s.m, 2, TRUST_PORTS(""));
    c = cap(&s.m, NULL, CAP_SECURITY);
    /* Ports without CXL.cache have no entry. */
    g_assert_cmphex(cap_read(&c, 0), ==, 2);
    g_assert_cmphex(cap_read(&c, POLICY(0)), ==, 2);
    g_assert_cmphex(cap_read(&c, PORT_ID(0)), ==, 5);
    g_assert_cmphex(cap_read(&c, POLICY(1)), ==, 0);
    g_assert_cmphex(cap_read(&c, PORT_ID(1)), ==, 1);
    g_assert_cmphex(cap_read(&c, POLICY(2)), ==, 0);
    g_assert_cmphex(cap_read(&c, PORT_ID(2)), ==, 0);
    check_aborted(&s, 0);
    check_works(&s, 1, -1);

    cap_write(&c, POLICY(0), 0);
    check_works(&s, 0, -1);
    check_works(&s, 1, -1);
    /* What a device has is the host's before it is trusted less. */
    for (uint32_t level = 1; level <= 3; level++) {
        make_m(&s.m.dev[0], A, 30 + level);
        make_m(&s.m.dev[1], A + PAGE, 40 + level);
        cap_write(&c, POLICY(0), level);
        g_assert_cmphex(cap_read(&c, POLICY(0)), ==, level);
        assert_ram(&s.m, A, 30 + level);
        g_assert_cmpuint(line_state(&s.m.dev[0], A), ==, CCT_STATE_I);
        g_assert_cmpuint(line_state(&s.m.dev[1], A + PAGE), ==, CCT_STATE_M);
        check_aborted(&s, 0);
        check_works(&s, 1, -1);
        cap_write(&c, POLICY(0), 0);
        check_works(&s, 0, -1);
    }

    /* What is read-only, or is not there, stays. */
    cap_write(&c, 0, UINT32_MAX);
    cap_write(&c, PORT_ID(1), UINT32_MAX);
    cap_write(&c, POLICY(2), UINT32_MAX);
    cap_write(&c, POLICY(255), UINT32_MAX);
    g_assert_cmphex(cap_read(&c, 0), ==, 2);
    g_assert_cmphex(cap_read(&c, PORT_ID(1)), ==, 1);
    g_assert_cmphex(cap_read(&c, POLICY(2)), ==, 0);
    g_assert_cmphex(cap_read(&c, POLICY(255)), ==, 0);
    check_works(&s, 1, -1);
    cap_write(&c, POLICY(1), UINT32_MAX);
    g_assert_cmphex(cap_read(&c, POLICY(1)), ==, 3);
    check_aborted(&s, 1);

    qtest_system_reset(s.m.qts);
    map_all(&s.m);
    c = cap(&s.m, NULL, CAP_SECURITY);
    g_assert_cmphex(cap_read(&c, POLICY(0)), ==, 2);
    g_assert_cmphex(cap_read(&c, POLICY(1)), ==, 0);
    check_aborted(&s, 0);
    check_works(&s, 1, -1);
    end(&s.m);
}

/* A 256B device needs the trust of its port's decoder as well. */
static void test_trust_256b(void)
{
    Switch s = { };
    Cap c, d;

    start(&s.m, 2, TRUST_PORTS(",x-256b-flit=on"));
    c = cap(&s.m, NULL, CAP_SECURITY);
    d = cap(&s.m, qcxl_tree_find(s.m.tree, QCXL_BUS_NR, 1), CAP_DECODER);
    g_assert_cmphex(cap_read(&d, CTRL), ==, ASSIGN | COMMIT | TRUST(2));
    check_aborted(&s, 0);
    check_works(&s, 1, 1);
    cap_write(&c, POLICY(0), 0);
    check_aborted(&s, 0);
    g_assert_cmphex(commit_decoder(&d, ASSIGN), ==, COMMITTED);
    check_works(&s, 0, 0);
    cap_write(&c, POLICY(0), 2);
    check_aborted(&s, 0);
    check_works(&s, 1, 1);
    end(&s.m);
}

/* Below a switch: of one device by its port, of all by the root port */
static void test_trust_switch(void)
{
    Switch s = { };
    Cap c;

    start(&s.m, 2, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=2,trust-level=device-memory "
          DSP ",bus=us,id=p1,port=1,slot=3 "
          TESTDEV ",bus=p0,id=t0 " TESTDEV ",bus=p1,id=t1");
    find_switch(&s);
    c = cap(&s.m, NULL, CAP_SECURITY);
    g_assert_cmphex(cap_read(&c, 0), ==, 1);
    g_assert_cmphex(cap_read(&c, POLICY(0)), ==, 0);
    g_assert_cmphex(cap_read(&s.ds[0], CTRL), ==,
                    ASSIGN | COMMIT | TRUST(1));
    g_assert_cmphex(cap_read(&s.ds[1], CTRL), ==, ASSIGN | COMMIT | ID(1));
    check_aborted(&s, 0);
    check_works(&s, 1, 1);
    cap_write(&c, POLICY(0), 1);
    check_aborted(&s, 0);
    check_aborted(&s, 1);
    cap_write(&c, POLICY(0), 0);
    g_assert_cmphex(commit_decoder(&s.ds[0], ASSIGN), ==, COMMITTED);
    check_works(&s, 0, 0);
    check_works(&s, 1, 1);
    end(&s.m);
}

/* ---- Devices that come and go ---- */

/* The guest's part of a slot's power */
static void slot_power(QPCIDevice *port, bool on)
{
    uint8_t exp = qpci_find_capability(port, PCI_CAP_ID_EXP, 0);
    uint16_t ctl = qpci_config_readw(port, exp + PCI_EXP_SLTCTL);

    ctl &= ~(PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC);
    ctl |= on ? PCI_EXP_SLTCTL_PWR_ON | PCI_EXP_SLTCTL_PWR_IND_ON :
                PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;
    qpci_config_writew(port, exp + PCI_EXP_SLTCTL, ctl);
    qpci_config_writew(port, exp + PCI_EXP_SLTSTA,
                       qpci_config_readw(port, exp + PCI_EXP_SLTSTA));
}

static void unplug(Machine *m, QPCIDevice *port, const char *id)
{
    qtest_qmp_device_del_send(m->qts, id);
    slot_power(port, false);
    qtest_qmp_eventwait(m->qts, "DEVICE_DELETED");
}

static void plug(Machine *m, QPCIDevice *port, const char *id, const char *bus)
{
    qtest_qmp_device_add(m->qts, "cxl-cache-testdev", id,
                         "{'bus': %s, 'x-256b-flit': true}", bus);
    slot_power(port, true);
}

static void test_hotplug(void)
{
    QPCIDevice *port[3];
    QCXLNode *rp, *us;
    Machine m;

    /* The ports 1 and 2 are empty. */
    start(&m, 1, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=10 "
          DSP ",bus=us,id=p1,port=1,slot=11 "
          DSP ",bus=us,id=p2,port=2,slot=12 " TESTDEV ",bus=p0,id=t0 ");
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    for (int i = 0; i < 3; i++) {
        port[i] = qcxl_tree_find(m.tree, us->secondary, i)->dev;
        check_flex_bus(port[i], 0x03, i ? 0x06 : 0x03);
    }
    plug(&m, port[2], "t1", "p2");
    check_flex_bus(port[2], 0x03, 0x03);
    m.num = 2;
    map_all(&m);
    check_ids(&m);
    check_ring(&m, 1);

    /* What it has comes home with it. */
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    port[0] = qcxl_tree_find(m.tree, us->secondary, 0)->dev;
    cpu_store(&m, A, 30);
    make_m(&m.dev[0], A, 31);
    assert_ram(&m, A, 30);
    unplug(&m, port[0], "t0");
    assert_ram(&m, A, 31);
    check_flex_bus(port[0], 0x03, 0x06);
    m.num = 1;
    map_all(&m);
    make_m(&m.dev[0], A, 32);
    assert_cpu_sees(&m, A, 32);
    g_assert_cmpint(cache_id(&m, "t1"), ==, 1);

    /* Another one at the same place */
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    port[0] = qcxl_tree_find(m.tree, us->secondary, 0)->dev;
    plug(&m, port[0], "t0", "p0");
    m.num = 2;
    map_all(&m);
    check_ids(&m);
    check_ring(&m, 1);

    /* What an empty port has is for who asks for it. */
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    for (int i = 0; i < 2; i++) {
        port[i] = qcxl_tree_find(m.tree, us->secondary, i)->dev;
    }
    g_assert_cmpint(cache_id(&m, "t0"), ==, 0);
    unplug(&m, port[0], "t0");
    qtest_qmp_device_add(m.qts, "cxl-cache-testdev", "t2", "{'bus': 'p1', "
                         "'x-256b-flit': true, 'cache-id': '0'}");
    slot_power(port[1], true);
    map_all(&m);
    g_assert_cmpint(cache_id(&m, "t1"), ==, 1);
    g_assert_cmpint(cache_id(&m, "t2"), ==, 0);
    check_ring(&m, 1);
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    us = qcxl_tree_find(m.tree, rp->secondary, 0);
    plug(&m, qcxl_tree_find(m.tree, us->secondary, 0)->dev, "t0", "p0");
    m.num = 3;
    map_all(&m);
    check_ids(&m);
    check_ring(&m, 1);
    end(&m);
}

/* A switch goes, with all that is below it. */
static void test_switch_gone(void)
{
    g_autofree char *args = hierarchy(5, 2, "");
    QCXLNode *rp;
    Machine m;

    start(&m, 5, args);
    for (int i = 0; i < 5; i++) {
        cpu_store(&m, A + i * PAGE, 40);
        make_m(&m.dev[i], A + i * PAGE, 41 + i);
        assert_ram(&m, A + i * PAGE, 40);
    }
    rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    unplug(&m, rp->dev, "us");
    for (int i = 0; i < 5; i++) {
        assert_ram(&m, A + i * PAGE, 41 + i);
    }
    check_flex_bus(rp->dev, 0x03, 0x06);
    end(&m);
}

/* The way of CXL.mem is as before with a device of each kind below a switch. */
static void test_with_memory(void)
{
    QCXLNode *node;
    uint16_t at;
    Machine m;

    start(&m, 0, RP ",id=rp0,slot=1 " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=10 " DSP
          ",bus=us,id=p1,port=1,slot=11 "
          "-object memory-backend-ram,id=mem,size=256M "
          "-device cxl-type3,bus=p1,id=t3,volatile-memdev=mem "
          TESTDEV ",bus=p0,id=t0 "
          "-M cxl-fmw.0.targets.0=cxl.0,cxl-fmw.0.size=4G ");
    m.num = 1;
    map_dev(&m, &m.dev[0], 0);
    check_ids(&m);
    check_ring(&m, 1);
    node = qcxl_tree_endpoint(m.tree, 1);
    g_assert_cmphex(qpci_config_readw(node->dev, PCI_CLASS_DEVICE), ==,
                    0x0502);
    at = qcxl_find_dvsec(node->dev, FLEX_BUS);
    g_assert_cmphex(qcxl_readw(node->dev, at + FLEX_BUS_CAP) & 0x7, ==, 0x6);
    end(&m);
}

/* ---- Limits ---- */

#define VICTIM_LINES    200
/* Of the filter; the neighbour streams ten times as much. */
#define GROUP_LINES     1024
#define STREAM          (32 * MiB)

static uint64_t losses(Machine *m, const char *id, const char *to)
{
    g_autoptr(QDict) info = query(m);
    QDict *dev = find_dev(info, id);
    const QListEntry *e;

    if (qdict_haskey(dev, "losses")) {
        QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "losses"), e) {
            QDict *dict = qobject_to(QDict, qlist_entry_obj(e));

            if (g_str_equal(qdict_get_str(dict, "to"), to)) {
                return qdict_get_int(dict, "lines");
            }
        }
    }
    return 0;
}

static int64_t device_int(Machine *m, const char *id, const char *what)
{
    g_autoptr(QDict) info = query(m);

    return qdict_get_try_int(find_dev(info, id), what, -1);
}

static unsigned count_held(Dev *d, uint64_t addr, unsigned lines)
{
    unsigned n = 0;

    for (unsigned i = 0; i < lines; i++) {
        n += line_state(d, addr + i * LINE) != CCT_STATE_I;
    }
    return n;
}

static void take_lines(Dev *d, uint64_t addr, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        if (line_state(d, addr + i * LINE) == CCT_STATE_I) {
            request(d, CXL_CACHE_RD_SHARED, addr + i * LINE);
        }
    }
}

static void stream(Dev *d, unsigned lines)
{
    for (unsigned i = 0; i < lines; i += CCT_BUF_SIZE / LINE) {
        set_operation(d, 0, CCT_FLAG_KEEP, STREAM + i * LINE, 0, CCT_BUF_SIZE);
        set32(d, CCT_DOORBELL, CCT_DO_WRITE);
        g_assert_cmpint(get_result(d).ret, ==, OK);
    }
}

static void set_quota(Machine *m, const char *id, unsigned lines)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'qom-set', 'arguments': "
                             "{'path': %s, 'property': 'sf-quota', "
                             "'value': %u}}", id, lines);
}

/*
 * Two devices of a group, whose filter is small: one has a few lines, which it
 * wants again and again, the other streams.
 */
static void test_neighbour(void)
{
    Machine m;
    Dev *victim = &m.dev[0], *noisy = &m.dev[1];

    start(&m, 2, RP ",id=rp0,slot=1,cxl-cache-sf-group=3,"
          "cxl-cache-sf-size=64K " USP ",bus=rp0,id=us "
          DSP ",bus=us,id=p0,port=0,slot=10 "
          DSP ",bus=us,id=p1,port=1,slot=11 "
          TESTDEV ",bus=p0,id=t0 " TESTDEV ",bus=p1,id=t1,cache-size=256K ");
    g_assert_cmpint(device_int(&m, "t0", "sf-group"), ==, 3);
    g_assert_cmpint(device_int(&m, "t0", "sf-quota"), ==, -1);

    /* Without a quota the victim has to fetch most of its lines again. */
    take_lines(victim, A, VICTIM_LINES);
    stream(noisy, 10 * GROUP_LINES);
    g_assert_cmpuint(count_held(victim, A, VICTIM_LINES), <,
                     VICTIM_LINES / 10);
    g_assert_cmpuint(losses(&m, "t0", "t1"), >, VICTIM_LINES * 9 / 10);
    g_assert_cmpint(device_int(&m, "t1", "sf-limited"), >, 0);
    g_assert_cmpint(device_int(&m, "t0", "sf-limited"), ==, -1);
    flush(noisy);

    /* With one, it is the neighbour that makes the room which it needs. */
    set_quota(&m, "t1", GROUP_LINES / 2);
    g_assert_cmpint(device_int(&m, "t1", "sf-quota"), ==, GROUP_LINES / 2);
    take_lines(victim, A, VICTIM_LINES);
    for (int i = 0; i < 2; i++) {
        uint64_t before = losses(&m, "t0", "t1");
        uint64_t own = losses(&m, "t1", "t1");

        stream(noisy, 10 * GROUP_LINES);
        g_assert_cmpuint(count_held(victim, A, VICTIM_LINES), ==,
                         VICTIM_LINES);
        g_assert_cmpuint(losses(&m, "t0", "t1"), ==, before);
        g_assert_cmpuint(losses(&m, "t1", "t1") - own, >, 9 * GROUP_LINES);
    }

    /* And what it has streamed is right. */
    flush(noisy);
    for (unsigned i = 0; i < CCT_BUF_SIZE; i++) {
        g_assert_cmpuint(m.ram[STREAM + i], ==, 0);
    }
    /* Less than one operation owns at a time, and the least there is */
    for (unsigned lines = 16; lines; lines /= 16) {
        memset(m.ram + STREAM, 0xa5, CCT_BUF_SIZE);
        set_quota(&m, "t1", lines);
        stream(noisy, CCT_BUF_SIZE / LINE);
        g_assert_cmpuint(count_held(noisy, STREAM, CCT_BUF_SIZE / LINE), <=,
                         lines);
        flush(noisy);
        for (unsigned i = 0; i < CCT_BUF_SIZE; i++) {
            g_assert_cmpuint(m.ram[STREAM + i], ==, 0);
        }
    }

    set_quota(&m, "t1", 0);
    take_lines(victim, A, VICTIM_LINES);
    stream(noisy, 10 * GROUP_LINES);
    g_assert_cmpuint(count_held(victim, A, VICTIM_LINES), <,
                     VICTIM_LINES / 10);
    end(&m);
}

/* Ports of another group have a filter of their own, of another size. */
static void test_groups(void)
{
    Machine m;
    QCXLNode *rp;
    Cap c;

    start(&m, 2, RP ",id=p0,port=0,slot=1,cxl-cache-sf-group=0,"
          "cxl-cache-sf-size=64K " RP ",id=p1,port=1,slot=2,"
          "cxl-cache-sf-group=5,cxl-cache-sf-size=128K "
          "-device cxl-cache-testdev,bus=p0,id=t0 "
          TESTDEV ",bus=p1,id=t1,cache-size=256K ");
    for (int i = 0; i < 2; i++) {
        rp = qcxl_tree_find(m.tree, QCXL_BUS_NR, i);
        c = cap(&m, rp, 8);
        g_assert_cmphex(cap_read(&c, 0), ==, i ? 5 : 0);
        g_assert_cmphex(cap_read(&c, 4), ==, 1 + i);
    }
    take_lines(&m.dev[0], A, VICTIM_LINES);
    stream(&m.dev[1], 10 * GROUP_LINES);
    g_assert_cmpuint(count_held(&m.dev[0], A, VICTIM_LINES), ==, VICTIM_LINES);
    g_assert_cmpuint(losses(&m, "t0", "t1"), ==, 0);
    /* The last that it wrote; all of its filter's, and no more */
    g_assert_cmpuint(count_held(&m.dev[1], STREAM, 10 * GROUP_LINES), ==,
                     2 * GROUP_LINES);
    check_ring(&m, 1);
    end(&m);
}

#define DEV_DVSEC   0
#define DEV_CAP2    0x16

/* What the CXL Device DVSEC says of its cache, in units of 64 KiB */
static unsigned cache_units(QPCIDevice *dev)
{
    uint16_t cap2 = qcxl_readw(dev, qcxl_find_dvsec(dev, DEV_DVSEC) +
                               DEV_CAP2);

    g_assert_cmpuint(cap2 & 0xf, ==, 1);
    return cap2 >> 8;
}

/*
 * A guest that gives out the filter of a group finds in registers when it is
 * not enough, which is when an operating system says -ENOSPC. Who uses a cache
 * all the same takes lines from its neighbour: as many as are too many.
 */
static void test_capacity(void)
{
    unsigned used[16] = { }, size[16] = { };
    Machine m;

    start(&m, 3, RP ",id=p0,port=0,slot=1,cxl-cache-sf-group=0,"
          "cxl-cache-sf-size=64K " RP ",id=p1,port=1,slot=2,"
          "cxl-cache-sf-group=5,cxl-cache-sf-size=128K " RP ",id=p2,port=2,"
          "slot=3,cxl-cache-sf-group=5,cxl-cache-sf-size=128K "
          TESTDEV ",bus=p0,id=t0,cache-size=64K "
          TESTDEV ",bus=p1,id=t1,cache-size=128K "
          TESTDEV ",bus=p2,id=t2,cache-size=64K ");
    for (int i = 0; i < 3; i++) {
        Cap c = cap(&m, qcxl_tree_find(m.tree, QCXL_BUS_NR, i), 8);
        uint32_t group = cap_read(&c, 0);

        g_assert_cmpuint(group, <, ARRAY_SIZE(used));
        size[group] = cap_read(&c, 4);
        used[group] += cache_units(m.dev[i].pci);
    }
    g_assert_cmpuint(used[0], ==, size[0]);
    g_assert_cmpuint(used[5], ==, size[5] + 1);

    stream(&m.dev[1], 2 * GROUP_LINES);
    take_lines(&m.dev[0], A, VICTIM_LINES);
    g_assert_cmpuint(count_held(&m.dev[1], STREAM, 2 * GROUP_LINES), ==,
                     2 * GROUP_LINES);
    take_lines(&m.dev[2], A + MiB, VICTIM_LINES);
    g_assert_cmpuint(count_held(&m.dev[2], A + MiB, VICTIM_LINES), ==,
                     VICTIM_LINES);
    g_assert_cmpuint(losses(&m, "t1", "t2"), ==, VICTIM_LINES);
    g_assert_cmpuint(count_held(&m.dev[1], STREAM, 2 * GROUP_LINES), ==,
                     2 * GROUP_LINES - VICTIM_LINES);
    g_assert_cmpuint(count_held(&m.dev[0], A, VICTIM_LINES), ==, VICTIM_LINES);
    end(&m);
}

/* ---- The conformance text ---- */

/*
 * CXL r3.1 sections 14.13.21 and 14.13.22, steps 1 to 5: read all elements of
 * the array, decode the one with the capability, verify it; keep the pointer,
 * which has to lead to the structure.
 */
static void check_header(Machine *m, QCXLNode *node, uint16_t id,
                         uint32_t first_word)
{
    Cap c = { .m = m, .node = node, .host = node ? 0 : find_host(m) };
    uint32_t array = read_cachemem(&c, 0);
    unsigned size = array >> 24, found = 0, pointer = 0;

    g_assert_cmphex(array & 0xffff, ==, 0x0001);
    for (unsigned i = 1; i <= size; i++) {
        uint32_t header = read_cachemem(&c, 4 * i);

        if ((header & 0xffff) == id) {
            g_assert_cmpuint(header >> 16 & 0xf, ==, 1);
            pointer = header >> 20;
            found++;
        }
    }
    g_assert_cmpuint(found, ==, 1);
    g_assert_cmpuint(pointer, >=, 4 * (size + 1));
    /* Nobody else's structure begins within it */
    for (unsigned i = 1; i <= size; i++) {
        unsigned other = read_cachemem(&c, 4 * i) >> 20;

        g_assert_true(other <= pointer || other >= pointer + 0xc);
    }
    g_assert_cmphex(read_cachemem(&c, pointer), ==, first_word);
}

/* What the sections ask for before: 256B flits, enabled */
static void check_flit_mode(QCXLNode *node)
{
    uint8_t exp = qpci_find_capability(node->dev, PCI_CAP_ID_EXP, 0);

    g_assert_cmphex(qpci_config_readw(node->dev, exp + PCI_EXP_LNKSTA2) &
                    PCI_EXP_LNKSTA2_FLIT, ==, PCI_EXP_LNKSTA2_FLIT);
}

/* 14.13.21: Cache ID Route Table, of a switch and of the host bridge */
static void test_14_13_21(void)
{
    g_autofree char *args = hierarchy(2, 1, "");
    QCXLNode *usp;
    Machine m;

    start(&m, 2, args);
    usp = qcxl_tree_find(m.tree, QCXL_BUS_NR + 1, 0);
    check_flit_mode(usp);
    /* 16 targets, no HDM-D devices, explicit commit */
    check_header(&m, usp, CAP_TABLE, 0x00010010);
    check_header(&m, NULL, CAP_TABLE, 0x00010010);
    end(&m);
}

/* 14.13.22: Cache ID Decoder, of root ports and downstream ports */
static void test_14_13_22(void)
{
    g_autofree char *args = hierarchy(2, 1, "");
    QCXLNode *port[3];
    Machine m;

    start(&m, 2, args);
    port[0] = qcxl_tree_find(m.tree, QCXL_BUS_NR, 0);
    port[1] = qcxl_tree_find(m.tree, QCXL_BUS_NR + 2, 0);
    port[2] = qcxl_tree_find(m.tree, QCXL_BUS_NR + 2, 1);
    for (int i = 0; i < ARRAY_SIZE(port); i++) {
        check_flit_mode(port[i]);
        check_header(&m, port[i], CAP_DECODER, 1);
    }
    end(&m);
}

/* ---- What is refused ---- */

static const struct {
    const char *name;
    const char *args;
    const char *message;
} refused[] = {
    {
        "upstream-port",
        RP ",id=rp0 -device cxl-upstream,bus=rp0,id=us,x-256b-flit=on "
        DSP ",bus=us,id=p0,slot=2 " TESTDEV ",bus=p0",
        "'us', a cxl-upstream on the way from cxl-cache-testdev to its host, "
        "does not offer CXL.cache",
    }, {
        "downstream-port",
        RP ",id=rp0 " USP ",bus=rp0,id=us "
        "-device cxl-downstream,bus=us,id=p0,slot=2 " TESTDEV ",bus=p0",
        "'p0', a cxl-downstream on the way",
    }, {
        "root-port",
        "-device cxl-rp,bus=cxl.0,id=rp0 " USP ",bus=rp0,id=us "
        DSP ",bus=us,id=p0,slot=2 " TESTDEV ",bus=p0",
        "'rp0', a cxl-rp on the way",
    }, {
        "flit-device",
        RP ",id=rp0 " USP ",bus=rp0,id=us " DSP ",bus=us,id=p0,port=0,slot=2 "
        DSP ",bus=us,id=p1,port=1,slot=3 " TESTDEV ",bus=p0,id=t0 "
        "-device cxl-cache-testdev,bus=p1",
        "there can be one CXL.cache device below root port 'rp0', and 't0' is "
        "there, because 68B flits carry no Cache ID",
    }, {
        "flit-68b-first",
        RP ",id=rp0 " USP ",bus=rp0,id=us " DSP ",bus=us,id=p0,port=0,slot=2 "
        DSP ",bus=us,id=p1,port=1,slot=3 "
        "-device cxl-cache-testdev,bus=p1,id=t0 " TESTDEV ",bus=p0",
        "there can be one CXL.cache device below root port 'rp0', and 't0' is",
    }, {
        "flit-upstream",
        RP ",id=rp0 -device cxl-upstream,cxl-cache=on,bus=rp0,id=us "
        DSP ",bus=us,id=p0,slot=2 " TESTDEV ",bus=p0",
        "'us', a cxl-upstream on its way to the host, has x-256b-flit=off",
    }, {
        "flit-root-port",
        RP ",id=rp0,x-256b-flit=off " TESTDEV ",bus=rp0",
        "'rp0', a cxl-rp on its way to the host, has x-256b-flit=off",
    }, {
        "id-twice",
        RP ",id=rp0,slot=1 " TESTDEV ",bus=rp0,cache-id=3 "
        RP ",id=rp1,slot=2 " TESTDEV ",bus=rp1,cache-id=3",
        "cache-id=3 is in use by another device below the same host bridge",
    }, {
        "id-16",
        RP ",id=rp0 " TESTDEV ",bus=rp0,cache-id=16",
        "'cache-id' must be auto, none, or 0 to 15, not '16'",
    }, {
        "id-word",
        RP ",id=rp0 " TESTDEV ",bus=rp0,cache-id=some",
        "'cache-id' must be auto, none, or 0 to 15, not 'some'",
    }, {
        "id-68b",
        RP ",id=rp0 -device cxl-cache-testdev,bus=rp0,cache-id=2",
        "cache-id=2 needs x-256b-flit=on",
    }, {
        "group-size",
        RP ",id=rp0,slot=1,cxl-cache-sf-group=1,cxl-cache-sf-size=64K "
        TESTDEV ",bus=rp0 "
        RP ",id=rp1,slot=2,cxl-cache-sf-group=1,cxl-cache-sf-size=128K "
        TESTDEV ",bus=rp1",
        "'cxl-cache-sf-size' must be the same for all root ports of group 1",
    }, {
        "group-some",
        RP ",id=rp0,slot=1 " TESTDEV ",bus=rp0 "
        RP ",id=rp1,slot=2,cxl-cache-sf-group=1 " TESTDEV ",bus=rp1",
        "'cxl-cache-sf-group' must be given for all root ports",
    }, {
        "group-16",
        RP ",id=rp0,cxl-cache-sf-group=16",
        "'cxl-cache-sf-group' must be at most 15",
    }, {
        "group-large",
        RP ",id=rp0,cxl-cache-sf-group=1,cxl-cache-sf-size=128M " TESTDEV
        ",bus=rp0",
        "'cxl-cache-sf-size' must be at most 64 MiB",
    }, {
        "trust-word",
        RP ",id=rp0,trust-level=some",
        "'trust-level'",
    }, {
        "trust-alone",
        "-device cxl-rp,bus=cxl.0,id=rp0,trust-level=untrusted",
        "'trust-level' is of a port that offers CXL.cache: cxl-cache=on is "
        "missing",
    }, {
        "trust-68b",
        RP ",id=rp0 " USP ",bus=rp0,id=us "
        DSP ",bus=us,id=p0,slot=2,trust-level=untrusted "
        "-device cxl-cache-testdev,bus=p0",
        "'trust-level' of a switch's port needs a device with x-256b-flit=on",
    }, {
        "trust-pxb",
        "-device cxl-rp,bus=pcie.0,id=rp0,cxl-cache=on,trust-level=untrusted",
        "'trust-level' needs a root port below a pxb-cxl",
    }, {
        "below-upstream-port",
        RP ",id=rp0 " USP ",bus=rp0,id=us " TESTDEV ",bus=us",
        "must be plugged into a cxl-rp or a cxl-downstream, not into a "
        "cxl-upstream",
    },
};

static void test_refused(const void *data)
{
    int i = GPOINTER_TO_INT(data);

    qcxl_check_refused(refused[i].args, refused[i].message);
}

/* A seventeenth device */
static void test_refused_17(void)
{
    g_autofree char *args = hierarchy(16, 1, "");
    g_autofree char *more = g_strdup_printf("%s " DSP
        ",bus=us,id=p16,port=16,slot=40 " TESTDEV ",bus=p16", args);

    qcxl_check_refused(more, "all 16 Cache IDs below the host bridge are in "
                       "use");
}

/* ---- Figures, with "-m perf" alone ---- */

#define COST_ROUNDS     60
#define COST_LOOPS      10000
#define COST_TARGET     1.05

/* Microseconds for a RdCurr and a WrInv, by a thread of the device */
static double time_requests(Dev *d)
{
    int64_t start = g_get_monotonic_time();

    agent_start(d, COST_LOOPS);
    while (agent_runs(d)) {
        g_usleep(500);
    }
    agent_wait(d, COST_LOOPS);
    return (double)(g_get_monotonic_time() - start) / COST_LOOPS;
}

/*
 * A device directly below a root port, and below two switches, in turns: the
 * best of each, as whatever else the machine does only makes them longer
 */
static void test_cost_routing(void)
{
    double best[2] = { G_MAXDOUBLE, G_MAXDOUBLE };
    Machine m[2];

    for (int i = 0; i < 2; i++) {
        g_autofree char *args = hierarchy(1, 2 * i, "");
        Dev *d = &m[i].dev[0];

        start(&m[i], 1, args);
        set_step(d, 0, LOAD(CXL_CACHE_RD_CURR, 0), A, 0);
        set32(d, CCT_STEP_STRIDE(0), LINE);
        set32(d, CCT_STEP_WRAP(0), 1024);
        set_step(d, 1, STORE(CXL_CACHE_WR_INV, CCT_ITER), A + MiB, 0);
        set32(d, CCT_STEP_STRIDE(1), LINE);
        set32(d, CCT_STEP_WRAP(1), 1024);
        time_requests(d);
    }
    for (int n = 0; n < COST_ROUNDS; n++) {
        for (int i = 0; i < 2; i++) {
            best[i] = MIN(best[i], time_requests(&m[i].dev[0]));
        }
    }
    for (int i = 0; i < 2; i++) {
        check_ids(&m[i]);
        end(&m[i]);
    }
    g_test_message("RESULT {\"CXL.cache through two levels of switches\": "
                   "{\"ours\": %.3f, \"peer\": %.3f, \"ratio\": %.3f, "
                   "\"unit\": \"us\", \"target\": %.3f}}",
                   best[1], best[0], best[0] / best[1], 1 / COST_TARGET);
}

int main(int argc, char **argv)
{
    static const unsigned devs[] = { 1, 2, 4, 16 };
    static Topology topologies[ARRAY_SIZE(devs) * 3];
    static const Topology random[] = { { 16, 1 }, { 16, 2 } };

    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        qtest_add_func("/cxl/cache-id/cost/routing", test_cost_routing);
        return g_test_run();
    }

    for (int i = 0; i < ARRAY_SIZE(topologies); i++) {
        Topology *t = &topologies[i];
        g_autofree char *name = NULL;

        *t = (Topology) { devs[i / 3], i % 3 };
        name = g_strdup_printf("/cxl/cache-id/topology/%u-devices-%u-levels",
                               t->devs, t->levels);
        qtest_add_data_func(name, t, test_topology);
    }
    for (int i = 0; i < ARRAY_SIZE(random); i++) {
        g_autofree char *name = g_strdup_printf(
            "/cxl/cache-id/random/%u-levels", random[i].levels);

        qtest_add_data_func(name, &random[i], test_random);
    }
    qtest_add_func("/cxl/cache-id/registers", test_registers);
    qtest_add_func("/cxl/cache-id/absent", test_absent);
    qtest_add_func("/cxl/cache-id/commit-steps", test_commit_steps);
    qtest_add_func("/cxl/cache-id/commit-error", test_commit_error);
    qtest_add_func("/cxl/cache-id/redo", test_redo);
    qtest_add_func("/cxl/cache-id/fixed", test_fixed);
    qtest_add_func("/cxl/cache-id/reset", test_reset);
    qtest_add_func("/cxl/cache-id/trust/68b", test_trust_68b);
    qtest_add_func("/cxl/cache-id/trust/256b", test_trust_256b);
    qtest_add_func("/cxl/cache-id/trust/switch", test_trust_switch);
    qtest_add_func("/cxl/cache-id/hotplug", test_hotplug);
    qtest_add_func("/cxl/cache-id/switch-gone", test_switch_gone);
    qtest_add_func("/cxl/cache-id/with-memory", test_with_memory);
    qtest_add_func("/cxl/cache-id/conformance/14.13.21", test_14_13_21);
    qtest_add_func("/cxl/cache-id/conformance/14.13.22", test_14_13_22);
    qtest_add_func("/cxl/cache-id/limits/neighbour", test_neighbour);
    qtest_add_func("/cxl/cache-id/limits/groups", test_groups);
    qtest_add_func("/cxl/cache-id/limits/capacity", test_capacity);
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *name = g_strdup_printf("/cxl/cache-id/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_refused);
    }
    qtest_add_func("/cxl/cache-id/refused/17-devices", test_refused_17);
    return g_test_run();
}
