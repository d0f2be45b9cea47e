/*
 * QTest testcase for CXL.cache devices that do not answer: x-cxl-type1-fault's
 * hang-snoop, and the root port's CXL Timeout and Isolation
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clock stands still but for qtest_clock_step(). One device does not
 * answer, and another one waits for a line of its; cxl-cache-accel-test has
 * vCPUs that wait.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/cxl-tree.h"
#include "cxl-cache-testdev.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"

#define A           (16 * MiB)
#define B           (A + PAGE)
#define MSI_ADDR    (32 * MiB)
#define MSI_DATA    0x4320
#define L           500
#define RAM_SIZE    (128 * MiB)
#define POISON      0xbaadf00d
#define US          1000ll
#define SECOND      (1000000 * US)

#define CACHEMEM    0x1000
#define T_CAP       0x0
#define T_CTRL      0x8
#define T_STATUS    0xc

#define CAP_VALUE       0x06041f00
#define CTRL_TIMEOUT    (1u << 12)
#define CTRL_ISOLATION  (1u << 18)
#define CTRL_ERR_COR    (1u << 25)
#define CTRL_INTERRUPT  (1u << 26)
#define CTRL_ALL        0x06041f00
#define STATUS_TIMEOUT  (1u << 4)
#define STATUS_ISOLATED (1u << 12)

typedef struct Machine {
    QTestState *qts;
    Dev dev[2];
    uint8_t *ram;               /* what RAM really holds */
    bool timed;
    uint16_t at;                /* the registers of port 0, in CXL.cachemem */
    int64_t clock;
    GList *events;
} Machine;

/* The clock goes on. */
static void step(Machine *m, int64_t ns)
{
    if (ns) {
        m->clock = qtest_clock_step(m->qts, ns);
    }
}

static bool keep_event(QTestState *qts, const char *name, QDict *event,
                       void *opaque)
{
    Machine *m = opaque;

    if (!g_str_has_prefix(name, "CXL_")) {
        return false;
    }
    m->events = g_list_append(m->events, qobject_ref(event));
    return true;
}

static uint32_t read_cachemem(void *opaque, uint16_t offset)
{
    Machine *m = opaque;
    QCXL *cxl = m->dev[0].cxl;

    return qpci_io_readl(cxl->rp, cxl->rp_bar, CACHEMEM + offset);
}

static void machine_start(Machine *m, const char *port)
{
    *m = (Machine) { .timed = strstr(port, "latency") };
    m->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_SHARED_RAM
                         QCXL_PXB QCXL_RP ",cxl-cache=on,%s " QCXL_RP1
                         ",cxl-cache=on,%s -device cxl-cache-testdev,bus=rp0,"
                         "id=t0 -device cxl-cache-testdev,bus=rp1,id=t1", port,
                         port);
    qtest_qmp_set_event_callback(m->qts, keep_event, m);
    for (int i = 0; i < 2; i++) {
        dev_start(&m->dev[i], m->qts, i);
    }
    m->ram = qcxl_map_memfd(m->qts, "memory-backend-memfd", RAM_SIZE);
    m->at = qcxl_find_cap(read_cachemem, m, 0x09);
    g_assert_cmphex(m->at, !=, 0);
}

static void machine_end(Machine *m)
{
    g_list_free_full(m->events, (GDestroyNotify)qobject_unref_impl);
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

        machine_start(&m, "x-gear=auto");
        keeps = request(&m.dev[0], CXL_CACHE_RD_OWN, A).state == CCT_STATE_E;
        machine_end(&m);
    }
    return keeps;
}

/* ---- The port's registers ---- */

static uint32_t t_read(Machine *m, uint16_t reg)
{
    return read_cachemem(m, m->at + reg);
}

static void t_write(Machine *m, uint16_t reg, uint32_t val)
{
    QCXL *cxl = m->dev[0].cxl;

    qpci_io_writel(cxl->rp, cxl->rp_bar, CACHEMEM + m->at + reg, val);
}

/* Value 1: 100 us */
#define T           100000
#define CTRL_100US  (1u << 8 | CTRL_TIMEOUT)

/* ---- Events ---- */

/* The oldest event of this kind, or NULL: its data, to be freed */
static QDict *take_event(Machine *m, const char *name)
{
    /* An answer comes after the events that were sent before. */
    qtest_qmp_assert_success(m->qts, "{'execute': 'query-status'}");
    for (GList *l = m->events; l; l = l->next) {
        QDict *event = l->data, *data;

        if (g_str_equal(qdict_get_str(event, "event"), name)) {
            data = qdict_get_qdict(event, "data");
            qobject_ref(data);
            qobject_unref(event);
            m->events = g_list_delete_link(m->events, l);
            return data;
        }
    }
    return NULL;
}

static void check_isolated(Machine *m, const char *cause, int64_t poisoned)
{
    g_autoptr(QDict) event = NULL;
    g_autoptr(QDict) lost = NULL;

    /* The rate limit is by the same clock. */
    for (int i = 0; i < 100 && !event; i++) {
        step(m, i * SECOND);
        event = take_event(m, "CXL_CACHE_ISOLATED");
    }
    g_assert_nonnull(event);
    g_assert_cmpstr(qdict_get_str(event, "id"), ==, "t0");
    g_assert_cmpstr(qdict_get_str(event, "cause"), ==, cause);
    lost = take_event(m, "CXL_CACHE_LINES_LOST");
    g_assert_nonnull(lost);
    g_assert_cmpstr(qdict_get_str(lost, "cause"), ==, "isolation");
    g_assert_cmpint(qdict_get_int(lost, "poisoned-lines"), ==, poisoned);
}

static void check_no_event(Machine *m)
{
    g_assert_null(take_event(m, "CXL_CACHE_ISOLATED"));
    g_assert_null(take_event(m, "CXL_CACHE_LINES_LOST"));
}

/* ---- What is ordered, and what is to be seen ---- */

static void hang(Machine *m, const char *channel)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'x-cxl-type1-fault', "
                             "'arguments': {'id': 't0', 'fault': 'hang-snoop', "
                             "'channel': %s}}", channel);
}

static void clear(Machine *m)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'x-cxl-type1-fault', "
                             "'arguments': {'id': 't0', 'fault': 'clear'}}");
}

static QDict *query_device(Machine *m)
{
    QDict *info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    QDict *d = qobject_to(QDict, qlist_entry_obj(qlist_first(
                                    qdict_get_qlist(info, "devices"))));

    qobject_ref(d);
    qobject_unref(info);
    return d;
}

/* The host waits for t0, for a line, or NULL for nothing; returns since when */
static int64_t check_awaits(Machine *m, uint64_t addr, const char *awaited,
                            const char *by)
{
    g_autoptr(QDict) d = query_device(m);
    QDict *w;

    if (!awaited) {
        g_assert_false(qdict_haskey(d, "awaits"));
        return 0;
    }
    g_assert_true(qdict_haskey(d, "awaits"));
    w = qobject_to(QDict, qlist_entry_obj(qlist_first(
                              qdict_get_qlist(d, "awaits"))));
    g_assert_cmphex(qdict_get_int(w, "address"), ==, addr);
    g_assert_cmpstr(qdict_get_str(w, "awaited"), ==, awaited);
    g_assert_cmpstr(qdict_get_try_str(w, "by"), ==, by);
    return qdict_get_int(w, "since");
}

/* Who waits for it: t1, of which the monitor has the request by name */
static void check_request(Machine *m, const char *awaits, int64_t age)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    QList *list = qdict_get_qlist(info, "devices");
    QDict *d = qobject_to(QDict, qlist_entry_obj(qlist_next(
                                                     qlist_first(list)))), *r;

    r = qobject_to(QDict, qlist_entry_obj(qlist_first(
                              qdict_get_qlist(d, "requests"))));
    g_assert_cmpstr(qdict_get_str(r, "request"), ==, "RdOwn");
    g_assert_cmphex(qdict_get_int(r, "address"), ==, A);
    g_assert_cmpstr(qdict_get_str(r, "awaits"), ==, awaits);
    g_assert_cmpint(qdict_get_int(r, "age"), ==, age);
    g_assert_false(qdict_haskey(r, "work"));
    list = qdict_get_qlist(r, "asked");
    g_assert_cmpuint(qlist_size(list), ==, 1);
    g_assert_cmpstr(qstring_get_str(qobject_to(QString, qlist_entry_obj(
                                        qlist_first(list)))), ==, "t0");
}

static void catch_up(Machine *m)
{
    g_autoptr(QDict) d = query_device(m);
    QDict *timing = m->timed ? qdict_get_qdict(d, "timing") : NULL;
    int64_t ahead = timing ? qdict_get_int(timing, "now") -
                             qdict_get_int(timing, "clock") : 0;

    step(m, MAX(ahead, 0) + 10 * L);
}

static void must_post(Dev *d, uint32_t opcode, uint64_t addr)
{
    g_assert_cmpint(operate(d, CCT_DO_POST, opcode, 0, addr, ALL, NULL).ret,
                    ==, OK);
}

static unsigned posts_open(Dev *d)
{
    return CCT_POSTS_OPEN(get32(d, CCT_POSTS));
}

/*
 * t0 has two modified lines and does not answer; t1 asks for the first. Returns
 * when the host begins to wait.
 */
static int64_t get_stuck(Machine *m, const char *channel)
{
    make_m(&m->dev[0], A, 1);
    make_m(&m->dev[0], A + LINE, 2);
    catch_up(m);
    hang(m, channel);
    must_post(&m->dev[1], CXL_CACHE_RD_OWN, A);
    step(m, 4 * L);
    g_assert_cmpuint(posts_open(&m->dev[1]), ==, 1);
    return check_awaits(m, A, g_str_equal(channel, "d2h-data") ? "data" :
                        "response", "t1");
}

/* ---- The tests ---- */

static void test_registers(Machine *m)
{
    g_assert_cmphex(t_read(m, T_CAP), ==, CAP_VALUE);
    g_assert_cmphex(t_read(m, 4), ==, 0);
    g_assert_cmphex(t_read(m, T_CTRL), ==, 0);
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    for (int reg = 0; reg < 0x10; reg += 4) {
        t_write(m, reg, UINT32_MAX);
    }
    g_assert_cmphex(t_read(m, T_CAP), ==, CAP_VALUE);
    g_assert_cmphex(t_read(m, 4), ==, 0);
    g_assert_cmphex(t_read(m, T_CTRL), ==, CTRL_ALL);
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    t_write(m, T_CTRL, 5 << 8 | CTRL_INTERRUPT);
    g_assert_cmphex(t_read(m, T_CTRL), ==, 5 << 8 | CTRL_INTERRUPT);
    qtest_system_reset(m->qts);
    qcxl_init(m->dev[0].cxl);
    g_assert_cmphex(t_read(m, T_CTRL), ==, 0);
    g_assert_cmphex(t_read(m, T_CAP), ==, CAP_VALUE);
}

/* An answer that is late is good all the same, wherever it was stuck. */
static void test_late(Machine *m)
{
    static const char *const channels[] = { "h2d-req", "d2h-rsp", "d2h-data" };
    uint8_t data[LINE];

    for (int i = 0; i < ARRAY_SIZE(channels); i++) {
        g_autoptr(QDict) d = NULL;
        QList *held;

        get_stuck(m, channels[i]);
        step(m, 10 * SECOND);
        g_assert_cmpuint(posts_open(&m->dev[1]), ==, 1);
        check_request(m, "snoops", 10 * SECOND + 4 * L);
        g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
        d = query_device(m);
        held = qdict_get_qlist(d, "held");
        g_assert_cmpstr(qstring_get_str(qobject_to(QString, qlist_entry_obj(
                                            qlist_first(held)))), ==,
                        channels[i]);
        /* It works on otherwise. */
        request(&m->dev[0], CXL_CACHE_RD_CURR, B);
        clear(m);
        step(m, 10 * L);
        g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
        check_awaits(m, 0, NULL, NULL);
        g_assert_cmpuint(line_state(&m->dev[1], A), !=, CCT_STATE_I);
        qtest_memread(m->qts, A, data, LINE);
        assert_version(data, 1);
        qtest_memread(m->qts, A + LINE, data, LINE);
        assert_version(data, 2);
        check_no_event(m);
        flush(&m->dev[0]);
        flush(&m->dev[1]);
        catch_up(m);
    }
}

/* The root port's interrupts become words in memory. */
static void catch_msi(Machine *m)
{
    QPCIDevice *rp = m->dev[0].cxl->rp;
    uint8_t msi = qpci_find_capability(rp, PCI_CAP_ID_MSI, 0);
    uint16_t flags = qcxl_readw(rp, msi + PCI_MSI_FLAGS);
    bool wide = flags & PCI_MSI_FLAGS_64BIT;

    qcxl_writel(rp, msi + PCI_MSI_ADDRESS_LO, MSI_ADDR);
    if (wide) {
        qcxl_writel(rp, msi + PCI_MSI_ADDRESS_HI, 0);
    }
    qcxl_writew(rp, msi + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32),
                MSI_DATA);
    /* Two messages */
    qcxl_writew(rp, msi + PCI_MSI_FLAGS,
                (flags & ~PCI_MSI_FLAGS_QSIZE) | 1 << 4 | PCI_MSI_FLAGS_ENABLE);
    qtest_writel(m->qts, MSI_ADDR, 0);
}

/* Status, interrupt, lines, requests: all of it at its time, to the ns */
static void test_isolation(Machine *m)
{
    static const char *const channels[] = { "h2d-req", "d2h-rsp", "d2h-data" };
    Dev *d = &m->dev[0];

    catch_msi(m);
    g_assert_cmphex(t_read(m, T_CAP), ==, CAP_VALUE | 1u << 27);
    for (int i = 0; i < ARRAY_SIZE(channels); i++) {
        int64_t since;
        g_autoptr(QDict) info = NULL;

        t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION | CTRL_INTERRUPT);
        since = get_stuck(m, channels[i]);
        step(m, since + T - 1 - m->clock);
        g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
        g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, 0);
        check_no_event(m);
        g_assert_cmpuint(posts_open(&m->dev[1]), ==, 1);
        step(m, 1);
        g_assert_cmphex(t_read(m, T_STATUS), ==,
                        STATUS_TIMEOUT | STATUS_ISOLATED);
        g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, MSI_DATA | 1);
        qtest_writel(m->qts, MSI_ADDR, 0);
        check_isolated(m, "timeout", 2 * (i + 1));
        check_awaits(m, 0, NULL, NULL);

        /* What it had is poisoned, and who waited for it is told so. */
        catch_up(m);
        g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
        g_assert_cmphex((uint32_t)ldl_le_p(m->ram + A + LINE), ==,
                        POISON);
        g_assert_true(line_op(&m->dev[1], CCT_DO_LINE_READ, A).poison);
        g_assert_true(try_request(&m->dev[1], CXL_CACHE_RD_CURR,
                                  A + LINE).poison);

        /* Until the guest ends it the device's requests are aborted. */
        set32(d, CCT_MODE, CCT_MODE_ON);
        g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
        g_assert_cmpint(try_request(d, CXL_CACHE_RD_CURR, B).ret, ==, PERM);
        info = query_device(m);
        g_assert_true(qdict_get_bool(info, "isolated"));
        g_assert_cmpint(qdict_get_int(info, "aborted"), ==, i + 1);
        t_write(m, T_STATUS, STATUS_TIMEOUT);
        g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_ISOLATED);
        g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
        t_write(m, T_STATUS, STATUS_ISOLATED);
        g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
        g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_ON);
        clear(m);
        /* A full write ends the poison. */
        flush(&m->dev[1]);
        for (int line = 0; line < 2; line++) {
            qtest_memset(m->qts, A + line * LINE, 0, LINE);
        }
        catch_up(m);
    }
}

/* The interrupt is for Isolation Status and its enable, whichever is later. */
static void test_interrupt(Machine *m)
{
    QPCIDevice *rp = m->dev[0].cxl->rp;
    uint16_t aer = qcxl_find_ext_cap(rp, PCI_EXT_CAP_ID_ERR, 0);

    catch_msi(m);
    qcxl_writel(rp, aer + PCI_ERR_COR_MASK, 0);
    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION);
    get_stuck(m, "h2d-req");
    step(m, T);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT | STATUS_ISOLATED);
    g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, 0);
    g_assert_cmphex(qcxl_readl(rp, aer + PCI_ERR_COR_STATUS), ==, 0);
    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION | CTRL_INTERRUPT);
    g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, MSI_DATA | 1);
    qtest_writel(m->qts, MSI_ADDR, 0);
    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION | CTRL_INTERRUPT |
            CTRL_ERR_COR);
    g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, 0);

    /* Once more, with ERR_COR */
    t_write(m, T_STATUS, UINT32_MAX);
    clear(m);
    set32(&m->dev[0], CCT_MODE, CCT_MODE_ON);
    flush(&m->dev[1]);
    qtest_memset(m->qts, A, 0, 2 * LINE);
    get_stuck(m, "h2d-req");
    step(m, T);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT | STATUS_ISOLATED);
    g_assert_cmphex(qtest_readl(m->qts, MSI_ADDR), ==, MSI_DATA | 1);
    /* Corrected Internal Error */
    g_assert_cmphex(qcxl_readl(rp, aer + PCI_ERR_COR_STATUS), ==, 0x4000);
}

/* Without isolation a time-out is recorded, and the host goes on waiting. */
static void test_no_isolation(Machine *m)
{
    int64_t since;
    uint8_t data[LINE];

    t_write(m, T_CTRL, CTRL_100US | CTRL_INTERRUPT);
    since = get_stuck(m, "d2h-rsp");
    step(m, since + T - m->clock);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT);
    t_write(m, T_STATUS, STATUS_TIMEOUT);
    step(m, 100 * T);
    /* Told of once */
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    check_awaits(m, A, "response", "t1");
    clear(m);
    step(m, 10 * L);
    g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
    qtest_memread(m->qts, A, data, LINE);
    assert_version(data, 1);
    check_no_event(m);
}

/* What the device has asked for itself is over with its isolation. */
static void test_posted(Machine *m)
{
    Dev *d = &m->dev[0];
    int64_t since;

    if (!m->timed) {
        /* What is posted is over at once. */
        return;
    }
    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION);
    since = get_stuck(m, "h2d-req");
    step(m, since + T - L / 2 - m->clock);
    must_post(d, CXL_CACHE_RD_OWN, B);
    must_post(d, CXL_CACHE_RD_CURR, B + LINE);
    g_assert_cmpuint(posts_open(d), ==, 2);
    step(m, L / 2);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT | STATUS_ISOLATED);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(posts_open(d), ==, 0);
        g_assert_cmpuint(CCT_POSTS_FAILED(get32(d, CCT_POSTS)), ==, 2);
        step(m, 10 * L);
    }
}

/* Disabled in the middle of it, and enabled again: what counts is the wait */
static void test_enable(Machine *m)
{
    int64_t since;

    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION);
    since = get_stuck(m, "h2d-req");
    t_write(m, T_CTRL, CTRL_ISOLATION);
    step(m, 50 * T);
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    /* 10 ms since the host waits, of which half are over */
    t_write(m, T_CTRL, 2 << 8 | CTRL_TIMEOUT | CTRL_ISOLATION);
    step(m, since + 10000 * US - 1 - m->clock);
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    step(m, 1);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT | STATUS_ISOLATED);
}

/* Each value is the longest time of its range; the rest is as 0. */
static void test_ranges(Machine *m)
{
    static const int64_t us[16] = {
        10000, 100, 10000, 10000, 10000, 55000, 210000, 10000,
        10000, 900000, 3500000, 10000, 10000, 13000000, 64000000, 10000,
    };

    for (int i = 0; i < 16; i++) {
        int64_t since;

        t_write(m, T_CTRL, i << 8 | CTRL_TIMEOUT);
        since = get_stuck(m, "h2d-req");
        step(m, since + us[i] * US - 1 - m->clock);
        g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
        step(m, 1);
        g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT);
        t_write(m, T_STATUS, STATUS_TIMEOUT);
        clear(m);
        flush(&m->dev[0]);
        catch_up(m);
        flush(&m->dev[1]);
        catch_up(m);
    }
}

/*
 * QEMU itself cannot wait: with a time-out the links' time goes on to it, and
 * without one the device is isolated at once.
 */
static void test_no_wait(Machine *m)
{
    make_m(&m->dev[0], A, 1);
    make_m(&m->dev[0], A + LINE, 2);
    catch_up(m);
    hang(m, "h2d-req");
    g_assert_cmphex(qtest_readl(m->qts, A), ==, POISON);
    check_isolated(m, "no-wait", 2);
    /* That is not the port's doing. */
    g_assert_cmphex(t_read(m, T_STATUS), ==, 0);
    clear(m);
    set32(&m->dev[0], CCT_MODE, CCT_MODE_ON);
    qtest_memset(m->qts, A, 0, 2 * LINE);
    catch_up(m);

    make_m(&m->dev[0], A, 1);
    catch_up(m);
    t_write(m, T_CTRL, CTRL_100US | CTRL_ISOLATION);
    hang(m, "d2h-data");
    g_assert_cmphex(qtest_readl(m->qts, A), ==, POISON);
    g_assert_cmphex(t_read(m, T_STATUS), ==, STATUS_TIMEOUT | STATUS_ISOLATED);
    check_isolated(m, "timeout", 3);
}

/* A request of t1's that is done when it returns */
static void test_no_wait_request(Machine *m)
{
    Result r;

    make_m(&m->dev[0], A, 1);
    catch_up(m);
    hang(m, "d2h-rsp");
    r = try_request(&m->dev[1], CXL_CACHE_RD_OWN, A);
    g_assert_cmpint(r.ret, ==, OK);
    g_assert_true(r.poison);
    check_isolated(m, "no-wait", 1);
}

static bool awaits_any(Machine *m)
{
    g_autoptr(QDict) d = query_device(m);

    return qdict_haskey(d, "awaits");
}

/*
 * An agent waits by the clock; who stops it does not. When its thread runs, the
 * kernel says.
 */
static void test_agent(Machine *m)
{
    Dev *d = &m->dev[1];

    make_m(&m->dev[0], A, 1);
    catch_up(m);
    hang(m, "h2d-req");
    set_step(d, 0, LOAD(CXL_CACHE_RD_OWN, 0), A, 0);
    agent_start(d, 1);
    for (int i = 0; !awaits_any(m); i++) {
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
        step(m, L);
    }
    for (int i = 0; i < 20; i++) {
        g_usleep(1000);
        step(m, L);
    }
    g_assert_true(agent_runs(d));
    check_awaits(m, A, "response", "t1");
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    g_assert_false(agent_runs(d));
    check_isolated(m, "no-wait", 1);
}

/* Stopped, reset, unplugged: all of it comes to an end. */
static void test_stop(Machine *m)
{
    get_stuck(m, "h2d-req");
    qtest_qmp_assert_success(m->qts, "{'execute': 'stop'}");
    check_awaits(m, A, "response", "t1");
    qtest_qmp_assert_success(m->qts, "{'execute': 'cont'}");
    check_awaits(m, A, "response", "t1");
    clear(m);
    step(m, 10 * L);
    g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
}

static void test_reset(Machine *m)
{
    uint8_t data[LINE];

    for (int system = 0; system < 2; system++) {
        get_stuck(m, "d2h-data");
        if (system) {
            qtest_system_reset(m->qts);
            qcxl_init(m->dev[0].cxl);
            qcxl_init(m->dev[1].cxl);
            dev_map(&m->dev[0]);
            dev_map(&m->dev[1]);
        } else {
            /* It answers again, before it forgets all. */
            qcxl_secondary_reset(m->dev[0].cxl);
            dev_map(&m->dev[0]);
            step(m, 10 * L);
            g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
            qtest_memread(m->qts, A, data, LINE);
            assert_version(data, 1);
            flush(&m->dev[1]);
        }
        check_awaits(m, 0, NULL, NULL);
        set32(&m->dev[0], CCT_MODE, CCT_MODE_ON);
        set32(&m->dev[1], CCT_MODE, CCT_MODE_ON);
        catch_up(m);
        make_m(&m->dev[0], B, 3);
        catch_up(m);
        qtest_memread(m->qts, B, data, LINE);
        assert_version(data, 3);
        flush(&m->dev[0]);
        catch_up(m);
    }
}

static void test_unplug(Machine *m)
{
    get_stuck(m, "h2d-req");
    qcxl_unplug(m->dev[0].cxl, "t0");
    step(m, 10 * L);
    g_assert_cmpuint(posts_open(&m->dev[1]), ==, 0);
    g_assert_true(line_op(&m->dev[1], CCT_DO_LINE_READ, A).poison);
}

/* Orders that make no sense */
#define check_order(m, args, message)                                   \
    do {                                                                \
        g_autoptr(QDict) rsp_ = qtest_qmp((m)->qts,                     \
            "{'execute': 'x-cxl-type1-fault', 'arguments': "            \
            "{'id': 't0', " args "}}");                                 \
                                                                        \
        g_assert_true(qdict_haskey(rsp_, "error"));                     \
        g_assert_cmpstr(qdict_get_str(qdict_get_qdict(rsp_, "error"),   \
                                      "desc"), ==, message);            \
    } while (0)

static void test_orders(Machine *m)
{
    check_order(m, "'fault': 'hang-snoop', 'channel': 'h2d-rsp'",
                "'channel' must be h2d-req, d2h-rsp or d2h-data: a snoop and "
                "its answer take no other");
    check_order(m, "'fault': 'clear', 'channel': 'h2d-req'",
                "'clear' takes no 'channel': that is for 'hang-snoop'");
    check_order(m, "'fault': 'hang'",
                "cxl-cache-testdev has no requests to fail in: it takes "
                "'hang-snoop' and 'clear', without 'point' and 'after'");
    check_order(m, "'fault': 'hang-snoop', 'after': 1",
                "cxl-cache-testdev has no requests to fail in: it takes "
                "'hang-snoop' and 'clear', without 'point' and 'after'");
}

static const struct {
    const char *name;
    void (*fn)(Machine *m);
} cases[] = {
    { "registers", test_registers },
    { "late", test_late },
    { "isolation", test_isolation },
    { "interrupt", test_interrupt },
    { "no-isolation", test_no_isolation },
    { "posted", test_posted },
    { "enable", test_enable },
    { "ranges", test_ranges },
    { "no-wait", test_no_wait },
    { "no-wait-request", test_no_wait_request },
    { "agent", test_agent },
    { "stop", test_stop },
    { "reset", test_reset },
    { "unplug", test_unplug },
    { "orders", test_orders },
};

static const char *const links[] = { "x-gear=auto", "cxl-cache-latency=500" };

static void run_case(const void *opaque)
{
    unsigned i = GPOINTER_TO_UINT(opaque);
    Machine m;

    if (!host_keeps()) {
        g_test_skip("this host cannot trap accesses to guest memory");
        return;
    }
    machine_start(&m, links[i % 2]);
    cases[i / 2].fn(&m);
    machine_end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/wait/%s/%s",
                                                i % 2 ? "timed" : "untimed",
                                                cases[i / 2].name);

        qtest_add_data_func(name, GUINT_TO_POINTER(i), run_case);
    }
    return g_test_run();
}
