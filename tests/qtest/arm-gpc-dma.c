/*
 * Granule protection checks of what devices below CXL root ports request
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The payload at EL3 turns the checks on, the test writes the table: all is for
 * everybody but the granules that a test gives to somebody. edu1 and cxl0 are
 * below root ports, edu0 is not.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qobject/qdict.h"
#include "arm-mec-dma.h"

#define EDU1            QCXL_RP1 " -device edu,id=edu1,bus=rp1," \
                        "dma_mask=0xffffffff "

/* Level 0: a GiB an entry, 40 bits; level 1: 16 granules of RAM an entry */
#define GPT0            0x45000000
#define GPT0_ENTRIES    1024
#define GPT1            0x45020000
#define GPT1_SIZE       (128 * KiB)
#define GPT_BLOCK_ANY   0xf1
#define GPT_TABLE       3
/* GPC, inner shareable, write-back, 4 KiB, 40 bits */
#define GPCCR           (1 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | 2)

#define GRANULE         PAGES
#define OPEN            (PAGES + 4 * PAGE)

void set_granule(GRig *g, uint64_t pa, unsigned gpi)
{
    uint64_t n = (pa - RAM) / PAGE, at = GPT1 + n / 16 * 8;
    uint64_t entry = qtest_readq(g->r.qts, at);

    qtest_writeq(g->r.qts, at, deposit64(entry, n % 16 * 4, 4, gpi));
}

void check_granules(GRig *g)
{
    for (int i = 0; i < GPT0_ENTRIES; i++) {
        qtest_writeq(g->r.qts, GPT0 + i * 8, GPT_BLOCK_ANY);
    }
    qtest_writeq(g->r.qts, GPT0 + RAM / GiB * 8, GPT1 | GPT_TABLE);
    qtest_memset(g->r.qts, GPT1, 0xff, GPT1_SIZE);
    payload(g->r.qts, GRANULES, 0, GPT0, GPCCR);
}

void grig_start(GRig *g, const char *machine, const char *args)
{
    g_autofree char *all = g_strdup_printf("%s%s", EDU1, args);

    rig_start(&g->r, machine, all);
    g->port = qcxl_new_port(g->r.qts, 1);
    edu_find(&g->port->bus, (QCXL_BUS_NR + 2) << 8, &g->edu1, &g->bar1);
    for (int at = 0; at < PAGE; at += 8) {
        qtest_writeq(g->r.qts, GRANULE + at, VALUE);
        qtest_writeq(g->r.qts, OPEN + at, ~VALUE);
    }
}

void grig_end(GRig *g)
{
    g_free(g->edu1);
    qcxl_free(g->port);
    rig_end(&g->r);
}

uint64_t gpc_count(GRig *g, const char *property)
{
    QDict *answer = qtest_qmp(g->r.qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': '/machine/gpc-dma', "
                              "'property': %s}}", property);
    uint64_t n = qdict_get_int(answer, "return");

    qobject_unref(answer);
    return n;
}

void assert_last(GRig *g, const char *property, const char *value)
{
    QDict *answer = qtest_qmp(g->r.qts, "{'execute': 'qom-get', 'arguments': "
                              "{'path': '/machine/gpc-dma', "
                              "'property': %s}}", property);

    g_assert_cmpstr(qdict_get_str(answer, "return"), ==, value);
    qobject_unref(answer);
}

static uint64_t refused(GRig *g)
{
    return gpc_count(g, "refused");
}

uint64_t copy_by_edu1(GRig *g, uint64_t from, uint64_t count)
{
    qtest_writeq(g->r.qts, TO, 1);
    edu_copy(g->edu1, g->bar1, from, TO, count);
    return held(&g->r, TO);
}

static const struct {
    unsigned gpi;
    const char *owner;      /* NULL: a Non-secure request may have it */
    const char *reason;
} granules[] = {
    { ANY, NULL },
    { NS, NULL },
    { REALM_ONLY, "Realm", "the root port has no RME-CDA" },
    { ROOT_ONLY, "Root", NO_DEVICE },
    { SECURE_ONLY, "Secure", NO_DEVICE },
    { NOBODY, "nobody", NO_DEVICE },
};

/* Plain DMA: below a root port it is refused, elsewhere nobody checks. */
static void test_dma(void)
{
    uint64_t n = 0;
    GRig g;

    grig_start(&g, RIG, "");
    g_assert_cmphex(copy_by_edu1(&g, GRANULE, 64), ==, VALUE);
    check_granules(&g);
    for (int i = 0; i < ARRAY_SIZE(granules); i++) {
        set_granule(&g, GRANULE, granules[i].gpi);
        if (!granules[i].owner) {
            g_assert_cmphex(copy_by_edu1(&g, GRANULE, 64), ==, VALUE);
            g_assert_cmpuint(refused(&g), ==, 0);
            continue;
        }
        g_assert_cmphex(copy_by_edu1(&g, GRANULE, 64), ==, 0);
        g_assert_cmpuint(refused(&g), >, n);
        assert_last(&g, "last-owner", granules[i].owner);
        assert_last(&g, "last-device", "edu1");
        n = refused(&g);
        edu_copy(g.edu1, g.bar1, OPEN, GRANULE, 64);
        g_assert_cmphex(held(&g.r, GRANULE), ==, VALUE);
        g_assert_cmpuint(refused(&g), >, n);
        n = refused(&g);
        edu_copy(g.r.edu, g.r.bar, GRANULE, TO, 64);
        g_assert_cmphex(held(&g.r, TO), ==, VALUE);
        g_assert_cmpuint(refused(&g), ==, n);
    }
    /* Half of it is its own */
    edu_copy(g.edu1, g.bar1, GRANULE + PAGE - 64, TO, 128);
    g_assert_cmphex(held(&g.r, TO), ==, 0);
    qtest_writeq(g.r.qts, GRANULE + PAGE, VALUE);
    edu_copy(g.edu1, g.bar1, GRANULE + PAGE - 64, TO, 128);
    g_assert_cmphex(held(&g.r, TO), ==, 0);
    g_assert_cmphex(held(&g.r, TO + 64), ==, VALUE);
    /* ... and the other way round */
    qtest_writeq(g.r.qts, GRANULE - 64, ~VALUE);
    edu_copy(g.edu1, g.bar1, GRANULE - 64, TO, 128);
    g_assert_cmphex(held(&g.r, TO), ==, ~VALUE);
    g_assert_cmphex(held(&g.r, TO + 64), ==, 0);
    n = refused(&g);
    set_granule(&g, GRANULE, NS);
    g_assert_cmphex(copy_by_edu1(&g, GRANULE, 64), ==, VALUE);
    g_assert_cmpuint(refused(&g), ==, n);
    grig_end(&g);
}

/* The request fails (GO-Err), and nothing has changed. */
static void assert_cache_refused(GRig *g, uint32_t opcode, const char *reason)
{
    Dev *d = &g->r.cxl;
    uint64_t n = refused(g);
    Result r = write_request(d, opcode, GRANULE, ALL, 3);

    g_assert_true(r.failed);
    g_assert_cmphex(held(&g->r, GRANULE), ==, VALUE);
    g_assert_cmpuint(line_state(d, GRANULE), ==, CCT_STATE_I);
    g_assert_cmpuint(refused(g), ==, n + 1);
    assert_last(g, "last-device", "cxl0");
    assert_last(g, "last-reason", reason);
}

static int read_page(Dev *d, uint64_t pa)
{
    set_operation(d, 0, 0, pa, 0, PAGE);
    set32(d, CCT_DOORBELL, CCT_DO_READ);
    return get_result(d).ret;
}

/* CXL.cache, with the contexts of FEAT_MEC and without */
static void test_cache(const void *opaque)
{
    static const uint32_t opcodes[] = {
        CXL_CACHE_RD_CURR, CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED,
        CXL_CACHE_RD_ANY, CXL_CACHE_RD_OWN_NO_DATA, CXL_CACHE_I_TO_M_WR,
        CXL_CACHE_WR_CUR, CXL_CACHE_WR_INV,
    };
    g_autofree char *machine = g_strdup_printf("%s,mec=%s", RIG,
                                               (const char *)opaque);
    Dev *d;
    GRig g;

    grig_start(&g, machine, "");
    d = &g.r.cxl;
    g_assert_cmphex(ldq_le_p(request(d, CXL_CACHE_RD_CURR, GRANULE).data), ==,
                    VALUE);
    check_granules(&g);
    for (int i = 0; i < ARRAY_SIZE(granules); i++) {
        set_granule(&g, GRANULE, granules[i].gpi);
        if (!granules[i].owner) {
            request(d, CXL_CACHE_RD_OWN, GRANULE);
            evict(d, GRANULE);
            g_assert_cmpint(read_page(d, GRANULE), ==, OK);
            continue;
        }
        for (int n = 0; n < ARRAY_SIZE(opcodes); n++) {
            assert_cache_refused(&g, opcodes[n], granules[i].reason);
        }
        assert_last(&g, "last-owner", granules[i].owner);
        g_assert_cmpint(read_page(d, GRANULE), ==, IO);
        g_assert_cmpint(read_page(d, OPEN), ==, OK);
    }
    /* A line from before comes home */
    set_granule(&g, GRANULE, NS);
    make_m(d, GRANULE, 3);
    set_granule(&g, GRANULE, REALM_ONLY);
    evict(d, GRANULE);
    g_assert_cmphex(held(&g.r, GRANULE), !=, VALUE);
    /* To the device nothing was there */
    g_assert_cmphex(get32(d, CCT_ERRORS), ==, 1u << CXL_CACHE_ERR_DECODE);
    grig_end(&g);
}

void arm_gpc_add_tests(void)
{
    qtest_add_func("/arm-mec-dma/granules/dma", test_dma);
    qtest_add_data_func("/arm-mec-dma/granules/cache", "off", test_cache);
    qtest_add_data_func("/arm-mec-dma/granules/cache-mec", "on", test_cache);
}
