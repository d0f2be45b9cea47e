/*
 * RME-CDA root ports: Realm requests of devices, and the context of lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A realm is MECID 7 here, and so are the Realm requests of what is below the
 * ports, where a test does not say otherwise. edu1 has plain DMA, cxl0 has
 * CXL.cache.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qobject/qdict.h"
#include "arm-mec-dma.h"

#define MEC         RIG ",mec=on"
#define CDA         "-global cxl-rp.rme-cda=on "
#define REALM_7     CDA "-global cxl-rp.realm-mecid=7 "
#define REALM_9     CDA "-global cxl-rp.realm-mecid=9 "

/* Of the realm, of the Non-secure world, of that at first; of a realm alone */
#define SECRET      PAGES
#define OPEN        (PAGES + 4 * PAGE)
#define MOVED       (PAGES + 12 * PAGE)
#define OWN         (PAGES + 13 * PAGE)

/* As Arm's compliance suite has them */
#define DVSEC       0x23
#define VENDOR      0x13b5
#define DVSEC_ID    0xff03
#define HEADER1     0x04
#define HEADER2     0x08
#define CTL1        0x0c
#define CTL2        0x10
#define CTL3        0x14
#define CTL4        0x18
#define TDISP_EN    1u
#define LOCK        2u
#define RID_VALID   1u
#define RID(rid)    ((uint32_t)(rid) << 8)

#define RANGE       "its Requester ID is out of range"

static uint16_t find_cda(QPCIDevice *rp)
{
    uint16_t at = 0;

    while ((at = qcxl_find_ext_cap(rp, DVSEC, at)) &&
           (qcxl_readw(rp, at + HEADER1) != VENDOR ||
            qcxl_readw(rp, at + HEADER2) != DVSEC_ID)) {
    }
    return at;
}

static QPCIDevice *port(GRig *g, int n)
{
    return n ? g->port->rp : g->r.cxl.cxl->rp;
}

static void set_ctl(GRig *g, int n, unsigned reg, uint32_t val)
{
    qcxl_writel(port(g, n), find_cda(port(g, n)) + reg, val);
}

/* Both ports; with the RIDs of what is below them */
static void open_gates(GRig *g)
{
    for (int n = 0; n < 2; n++) {
        uint32_t rid = n ? RID_EDU1 : RID_CXL0;

        set_ctl(g, n, CTL3, RID(rid));
        set_ctl(g, n, CTL4, RID(rid) | RID_VALID);
        set_ctl(g, n, CTL1, TDISP_EN | LOCK);
    }
}

static uint64_t refused(GRig *g)
{
    return gpc_count(g, "refused");
}

static uint64_t stale(GRig *g)
{
    return gpc_count(g, "stale-context");
}

static void realm_fill(GRig *g, uint16_t mecid, uint64_t pa, uint64_t value)
{
    payload(g->r.qts, FILL, mecid, REALM(pa), value);
    g_assert_cmphex(load(g->r.qts, mecid, REALM(pa)), ==, value);
}

/* Granules are checked; SECRET is the realm's and full of VALUE */
static void cda_start(GRig *g, const char *machine, const char *args)
{
    grig_start(g, machine, args);
    check_granules(g);
    realm_fill(g, 7, SECRET, VALUE);
    set_granule(g, SECRET, REALM_ONLY);
    set_granule(g, OPEN, NS);
}

/* What a device reads, or false */
static bool read_by(GRig *g, int n, uint64_t pa, uint64_t *seen)
{
    uint64_t before = refused(g);
    Result r;

    if (!n) {
        r = try_request(&g->r.cxl, CXL_CACHE_RD_CURR, pa);
        g_assert_true(r.failed == (refused(g) > before));
        *seen = ldq_le_p(r.data);
        return !r.failed;
    }
    *seen = copy_by_edu1(g, pa, 64);
    return refused(g) == before;
}

/* The port's registers are there, and only what can be written is written. */
static void test_registers(void)
{
    static const struct {
        unsigned reg;
        uint32_t writable;
    } ctl[] = {
        { CTL1, 0x1fff0003 },
        { CTL2, 0 },
        { CTL3, 0x00ffff00 },
        { CTL4, 0x00ffff01 },
    };
    QPCIDevice *rp;
    uint16_t at;
    GRig g;

    for (int i = 0; i < 2; i++) {
        grig_start(&g, MEC, i ? "-global cxl-rp.rme-cda=off " : "");
        g_assert_cmphex(find_cda(g.port->rp), ==, 0);
        grig_end(&g);
    }
    grig_start(&g, MEC, CDA);
    rp = g.port->rp;
    at = find_cda(rp);
    g_assert_cmphex(at, !=, 0);
    g_assert_cmphex(qcxl_readl(rp, at) & 0xfffff, ==, 1 << 16 | DVSEC);
    g_assert_cmphex(qcxl_readl(rp, at + HEADER1), ==, 0x1c << 20 | VENDOR);
    for (int i = 0; i < ARRAY_SIZE(ctl); i++) {
        g_assert_cmphex(qcxl_readl(rp, at + ctl[i].reg), ==, 0);
        qcxl_writel(rp, at + ctl[i].reg, UINT32_MAX);
        g_assert_cmphex(qcxl_readl(rp, at + ctl[i].reg), ==, ctl[i].writable);
    }
    qtest_system_reset(g.r.qts);
    for (int i = 0; i < ARRAY_SIZE(ctl); i++) {
        g_assert_cmphex(qcxl_readl(rp, at + ctl[i].reg), ==, 0);
    }
    grig_end(&g);
}

/* Why a request does not pass: NULL if it does */
static const struct {
    uint32_t ctl1;
    int base;               /* of the RID range, from the device's */
    int limit;
    bool valid;
    const char *realm;
    const char *open;
} gates[] = {
    { 0, 0, 0, true, "TDISP_EN is 0", NULL },
    { LOCK, 0, 0, true, "TDISP_EN is 0", NULL },
    { TDISP_EN, 0, 0, true, "LINK_STR_LOCK is 0", NULL },
    { TDISP_EN | LOCK, 0, 0, true, NULL, NULL },
    { TDISP_EN | LOCK, -1, 1, true, NULL, NULL },
    { TDISP_EN | LOCK, 0, 0, false, RANGE, RANGE },
    { TDISP_EN | LOCK, 1, 1, true, RANGE, RANGE },
    { TDISP_EN | LOCK, -1, -1, true, RANGE, RANGE },
    { LOCK, 1, 1, true, RANGE, RANGE },
    { TDISP_EN, 1, 1, true, "LINK_STR_LOCK is 0", NULL },
};

static void check_passes(GRig *g, int n, uint64_t pa, uint64_t value,
                         const char *why)
{
    uint64_t seen;
    bool ok = read_by(g, n, pa, &seen);

    g_assert_true(ok == !why);
    if (why) {
        g_assert_cmphex(seen, !=, value);
        assert_last(g, "last-reason", why);
        assert_last(g, "last-device", n ? "edu1" : "cxl0");
        /* Who is out of range is so for what it copies to, too. */
        assert_last(g, "last-owner", pa == OPEN || (n && !strcmp(why, RANGE))
                                     ? "Non-secure" : "Realm");
    } else {
        g_assert_cmphex(seen, ==, value);
    }
}

static void test_gates(const void *opaque)
{
    int n = GPOINTER_TO_INT(opaque);
    int rid = n ? RID_EDU1 : RID_CXL0;
    GRig g;

    cda_start(&g, MEC, REALM_7);
    /* TO is copied to, and everybody's. */
    for (int i = 0; i < ARRAY_SIZE(gates); i++) {
        set_ctl(&g, n, CTL3, RID(rid + gates[i].limit));
        set_ctl(&g, n, CTL4, RID(rid + gates[i].base) | gates[i].valid);
        set_ctl(&g, n, CTL1, gates[i].ctl1);
        check_passes(&g, n, OPEN, ~VALUE, gates[i].open);
        if (n) {
            /* Else what it has got cannot be seen. */
            g_assert_cmphex(held(&g.r, TO), ==, gates[i].open ? 1 : ~VALUE);
        }
        check_passes(&g, n, SECRET, VALUE, gates[i].realm);
    }
    /* Root's and Secure's are refused with the gates open. */
    open_gates(&g);
    set_granule(&g, OPEN, ROOT_ONLY);
    g_assert_false(read_by(&g, n, OPEN, &(uint64_t) { 0 }));
    assert_last(&g, "last-owner", "Root");
    assert_last(&g, "last-reason", NO_DEVICE);
    grig_end(&g);
}

static void assert_reported(GRig *g, const char *what)
{
    g_autofree char *text = qtest_hmp(g->r.qts, "info arm-mec");

    g_assert_nonnull(strstr(text, what));
}

/* A request has the context of its port: another one finds nothing. */
static void test_context_read(const void *opaque)
{
    int n = GPOINTER_TO_INT(opaque);
    uint64_t seen;
    GRig g;

    cda_start(&g, MEC, REALM_9);
    open_gates(&g);
    g_assert_true(read_by(&g, n, SECRET, &seen));
    g_assert_cmphex(seen, ==, DEADBEEF);
    assert_reported(&g, n ? "device edu1: read at PA 0x44000000 with MECID 9 "
                            "of a page written with MECID 7"
                          : "device cxl0: read at PA 0x44000000 with MECID 9 "
                            "of a page written with MECID 7");
    g_assert_cmphex(load(g.r.qts, 7, REALM(SECRET)), ==, VALUE);
    realm_fill(&g, 9, SECRET, ~VALUE);
    g_assert_true(read_by(&g, n, SECRET, &seen));
    g_assert_cmphex(seen, ==, ~VALUE);
    grig_end(&g);
}

/* The other way round: the realm finds what the device has written. */
static void test_context_write(const void *opaque)
{
    int n = GPOINTER_TO_INT(opaque);
    uint8_t want[LINE];
    GRig g;

    cda_start(&g, MEC, REALM_7);
    open_gates(&g);
    fill(want, 3);
    /* To a page of the realm's, and to one that nobody has written yet */
    set_granule(&g, MOVED, REALM_ONLY);
    for (int i = 0; i < 2; i++) {
        uint64_t pa = (i ? MOVED : SECRET) + 128, value = ldq_le_p(want);

        if (n) {
            edu_copy(g.edu1, g.bar1, OPEN, pa, 64);
            value = ~VALUE;
        } else {
            g_assert_false(write_request(&g.r.cxl, CXL_CACHE_WR_INV, pa, ALL,
                                         3).failed);
        }
        g_assert_cmphex(load(g.r.qts, 7, REALM(pa)), ==, value);
        assert_unreadable(load(g.r.qts, 8, REALM(pa)), value);
        g_assert_cmphex(resident(g.r.qts, SECRET), ==, 7);
    }
    g_assert_cmphex(load(g.r.qts, 7, REALM(SECRET)), ==, VALUE);
    /* What is of one context stays so: the device's is the realm's. */
    realm_fill(&g, 7, OWN, VALUE);
    set_granule(&g, OWN, REALM_ONLY);
    if (n) {
        edu_copy(g.edu1, g.bar1, OPEN, OWN, 64);
    } else {
        write_request(&g.r.cxl, CXL_CACHE_WR_INV, OWN, ALL, 3);
    }
    g_assert_cmphex(load(g.r.qts, 7, REALM(OWN)), !=, VALUE);
    g_assert_false(mixed(g.r.qts, OWN));
    g_assert_cmpuint(refused(&g), ==, 0);
    grig_end(&g);
}

/* ---- What lines are recorded under ---- */

/*
 * A modified line comes home under the context that it was fetched with
 * (RKMNQX), whoever has the page by then, and by whatever way.
 */
static void test_recorded(const void *opaque)
{
    int way = GPOINTER_TO_INT(opaque);
    uint8_t want[LINE];
    GRig g;

    cda_start(&g, MEC, REALM_7);
    open_gates(&g);
    fill(want, 5);
    make_m(&g.r.cxl, SECRET + 256, 5);
    switch (way) {
    case 0:                     /* a CPU of the same realm */
        break;
    case 1:                     /* another one takes the page */
        store(g.r.qts, 9, REALM(SECRET), ~VALUE);
        g_assert_cmphex(load(g.r.qts, 9, REALM(SECRET)), ==, ~VALUE);
        break;
    case 2:                     /* the device gives it up */
        evict(&g.r.cxl, SECRET + 256);
        break;
    case 3:                     /* ... when its port's gate is closed again */
        set_ctl(&g, 0, CTL1, 0);
        evict(&g.r.cxl, SECRET + 256);
        break;
    case 4:                     /* maintenance by physical address */
        clean(g.r.qts, SECRET + 256);
        g_assert_cmpuint(line_state(&g.r.cxl, SECRET + 256), ==, CCT_STATE_I);
        break;
    }
    for (int at = 0; at < LINE; at += 8) {
        g_assert_cmphex(load(g.r.qts, 7, REALM(SECRET + 256 + at)), ==,
                        ldq_le_p(want + at));
    }
    assert_unreadable(load(g.r.qts, 9, REALM(SECRET + 264)),
                      ldq_le_p(want + 8));
    if (way != 1) {
        g_assert_cmphex(load(g.r.qts, 7, REALM(SECRET)), ==, VALUE);
    }
    g_assert_cmpuint(stale(&g), ==, 0);
    grig_end(&g);
}

/*
 * A granule goes to the realm. Lines that a device had of it before are found
 * and told of when they leave, by whatever way; not if firmware has cleaned.
 */
static const struct {
    const char *name;
    bool modified;
    bool cleaned;
    int by;                 /* 0 a CPU, 1 the device's evict, 2 its request */
    uint64_t found;
} moves[] = {
    /* Another context's store reads the page, to which the line is shared. */
    { "modified/cpu", true, false, 0, 2 },
    { "modified/evict", true, false, 1, 1 },
    { "modified/request", true, false, 2, 1 },
    { "read/cpu", false, false, 0, 1 },
    { "read/request", false, false, 2, 1 },
    { "cleaned/modified", true, true, 0, 0 },
    { "cleaned/read", false, true, 2, 0 },
};

static void test_stale(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);
    Result r;
    GRig g;

    cda_start(&g, MEC, REALM_7);
    open_gates(&g);
    qtest_writeq(g.r.qts, MOVED, VALUE);
    if (moves[i].modified) {
        make_m(&g.r.cxl, MOVED + 64, 5);
    } else {
        request(&g.r.cxl, CXL_CACHE_RD_SHARED, MOVED + 64);
    }
    if (moves[i].cleaned) {
        payload(g.r.qts, CLEAN, 0, CLEAN_NS(MOVED + 64), 0);
        g_assert_cmpuint(line_state(&g.r.cxl, MOVED + 64), ==, CCT_STATE_I);
    }
    g_assert_cmpuint(stale(&g), ==, 0);
    set_granule(&g, MOVED, REALM_ONLY);
    switch (moves[i].by) {
    case 0:
        store(g.r.qts, 7, REALM(MOVED), ~VALUE);
        break;
    case 1:
        evict(&g.r.cxl, MOVED + 64);
        break;
    case 2:
        r = try_request(&g.r.cxl, CXL_CACHE_RD_CURR, MOVED + 128);
        g_assert_false(r.failed);
        break;
    }
    g_assert_cmpuint(line_state(&g.r.cxl, MOVED + 64), ==, CCT_STATE_I);
    g_assert_cmpuint(stale(&g), ==, moves[i].found);
    if (moves[i].found) {
        assert_last(&g, "last-stale",
                    "device cxl0: a line of PA 0x4400c040, fetched as "
                    "Non-secure MECID 0, was still cached when the granule's "
                    "owner became Realm");
    }
    grig_end(&g);
}

/* ... and back. Its realm's line is no longer what anybody has there. */
static void test_stale_back(void)
{
    GRig g;

    cda_start(&g, MEC, REALM_7);
    open_gates(&g);
    /* The control: the granule is whose it was. */
    make_m(&g.r.cxl, OPEN + 64, 5);
    evict(&g.r.cxl, OPEN + 64);
    g_assert_cmpuint(stale(&g), ==, 0);
    make_m(&g.r.cxl, SECRET + 256, 5);
    set_granule(&g, SECRET, NS);
    qtest_readq(g.r.qts, SECRET);
    g_assert_cmpuint(stale(&g), ==, 1);
    assert_last(&g, "last-stale",
                "device cxl0: a line of PA 0x44000100, fetched as Realm MECID "
                "7, was still cached when the granule's owner became "
                "Non-secure");
    assert_unreadable(load(g.r.qts, 0, NONSECURE(SECRET + 256)), 0);
    grig_end(&g);
}

/* ---- Lines that are lost ---- */

static bool tdi_error(GRig *g)
{
    QDict *answer = qtest_qmp(
        g->r.qts, "{'execute': 'qom-get', 'arguments': {'path': "
        "'/machine/peripheral/rp0/rme-cda-port', 'property': 'tdi-error'}}");
    bool error = qdict_get_bool(answer, "return");

    qobject_unref(answer);
    return error;
}

static void fault(GRig *g, const char *what)
{
    qtest_qmp_assert_success(g->r.qts, "{'execute': 'x-cxl-type1-fault', "
                             "'arguments': {'id': 'cxl0', 'fault': %s}}",
                             what);
}

/* The device answers no more, and what it had modified at @pa is gone. */
static void lose(GRig *g, uint64_t pa)
{
    make_m(&g->r.cxl, pa, 5);
    fault(g, "hang-snoop");
    qtest_readq(g->r.qts, pa);
    g_assert_cmpuint(line_state(&g->r.cxl, pa), ==, CCT_STATE_I);
    fault(g, "clear");
    set32(&g->r.cxl, CCT_MODE, CCT_MODE_ON);
}

static void test_error(void)
{
    uint64_t seen;
    GRig g;

    cda_start(&g, MEC, REALM_7);
    open_gates(&g);
    /* A Non-secure line is none of the interface's. */
    lose(&g, OPEN + 64);
    g_assert_false(tdi_error(&g));
    g_assert_true(read_by(&g, 0, SECRET, &seen));
    lose(&g, SECRET + 64);
    g_assert_true(tdi_error(&g));
    check_passes(&g, 0, SECRET, VALUE, "the device's interface is in ERROR");
    check_passes(&g, 0, OPEN, ~VALUE, NULL);
    /* The other port's is another one. */
    check_passes(&g, 1, SECRET, VALUE, NULL);
    set_ctl(&g, 0, CTL1, LOCK);
    g_assert_false(tdi_error(&g));
    set_ctl(&g, 0, CTL1, LOCK | TDISP_EN);
    check_passes(&g, 0, SECRET, VALUE, NULL);
    grig_end(&g);
}

void arm_rme_cda_add_tests(void)
{
    static const char *const ways[] = { "cpu", "other", "evict", "closed",
                                        "clean" };
    static const char *const by[] = { "cache", "dma" };

    qtest_add_func("/arm-mec-dma/cda/registers", test_registers);
    for (int n = 0; n < ARRAY_SIZE(by); n++) {
        g_autofree char *gate = g_strdup_printf("/arm-mec-dma/cda/gates/%s",
                                                by[n]);
        g_autofree char *read = g_strdup_printf(
            "/arm-mec-dma/cda/context/read/%s", by[n]);
        g_autofree char *write = g_strdup_printf(
            "/arm-mec-dma/cda/context/write/%s", by[n]);

        qtest_add_data_func(gate, GINT_TO_POINTER(n), test_gates);
        qtest_add_data_func(read, GINT_TO_POINTER(n), test_context_read);
        qtest_add_data_func(write, GINT_TO_POINTER(n), test_context_write);
    }
    for (int i = 0; i < ARRAY_SIZE(ways); i++) {
        g_autofree char *name = g_strdup_printf(
            "/arm-mec-dma/cda/recorded/%s", ways[i]);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_recorded);
    }
    for (int i = 0; i < ARRAY_SIZE(moves); i++) {
        g_autofree char *name = g_strdup_printf("/arm-mec-dma/cda/stale/%s",
                                                moves[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_stale);
    }
    qtest_add_func("/arm-mec-dma/cda/stale/back", test_stale_back);
    qtest_add_func("/arm-mec-dma/cda/error", test_error);
}
