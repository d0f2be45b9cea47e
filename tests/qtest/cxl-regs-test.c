/*
 * QTest testcase for the component registers of CXL host bridges and ports
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which capabilities each may have: CXL r3.1 table 8-22.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"

/* Where q35 puts the registers of its first host bridge, with this memory */
#define HOST_BRIDGE     0x100000000ull

#define CACHEMEM        0x1000
#define REG_LOC_DVSEC   8

enum {
    CAP_RAS = 2,
    CAP_LINK = 4,
    CAP_HDM = 5,
    CAP_EXT_SECURITY = 6,
    CAP_SNOOP_FILTER = 8,
};

/* Capabilities, a bit for each; those of ID 0 are null, to be skipped */
static uint32_t caps(QTestState *qts, uint64_t block)
{
    uint32_t header = qtest_readl(qts, block + CACHEMEM), seen = 0;

    /* CXL_Capability, of CXL.cachemem */
    g_assert_cmphex(header & 0xffff, ==, 1);
    for (uint32_t i = 1; i <= header >> 24; i++) {
        uint32_t cap = qtest_readl(qts, block + CACHEMEM + 4 * i);

        if (cap & 0xffff) {
            g_assert_cmphex(seen & 1u << (cap & 0xffff), ==, 0);
            g_assert_cmphex(cap >> 20, >=, 4 * (header >> 24));
            seen |= 1u << (cap & 0xffff);
        }
    }
    return seen;
}

/*
 * Decoders and security are the host bridge's; what has a link is not. With one
 * root port it needs no decoder, and has none unless that is asked for.
 */
static void test_host_bridge(void)
{
    QTestState *qts = qtest_init("-nodefaults -m 128M " QCXL_MACHINE QCXL_PXB
                                 QCXL_RP " " QCXL_RP1);
    uint32_t hdm;

    g_assert_cmphex(caps(qts, HOST_BRIDGE), ==,
                    1 << CAP_HDM | 1 << CAP_EXT_SECURITY);
    /* The capability of decoders: 4 of them, as before */
    for (hdm = 1; (qtest_readl(qts, HOST_BRIDGE + CACHEMEM + 4 * hdm) &
                   0xffff) != CAP_HDM; hdm++) {
        g_assert_cmpuint(hdm, <, 16);
    }
    hdm = qtest_readl(qts, HOST_BRIDGE + CACHEMEM + 4 * hdm) >> 20;
    g_assert_cmphex(qtest_readl(qts, HOST_BRIDGE + CACHEMEM + hdm) & 0xf, ==,
                    2);
    qtest_quit(qts);
}

static void test_root_port(void)
{
    QTestState *qts = qtest_init("-nodefaults -m 128M " QCXL_MACHINE QCXL_PXB
                                 QCXL_RP);
    QCXL *cxl = qcxl_new(qts);
    uint32_t seen = caps(qts, cxl->rp_bar.addr);

    g_assert_cmphex(seen & 1 << CAP_RAS, !=, 0);
    g_assert_cmphex(seen & 1 << CAP_LINK, !=, 0);
    g_assert_cmphex(seen & 1 << CAP_SNOOP_FILTER, !=, 0);
    qcxl_free(cxl);
    qtest_quit(qts);
}

static bool log_has(const char *log, const char *what)
{
    g_autofree char *text = NULL;

    return g_file_get_contents(log, &text, NULL, NULL) && strstr(text, what);
}

/*
 * Who follows an empty entry of a Register Locator comes to offset 0 of BAR 0:
 * to CXL.io registers, of which there are none.
 */
static void test_empty_entries(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-regs-test-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    QTestState *qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_PXB
                                  QCXL_RP " -D %s -d invalid_mem", log);
    QCXL *cxl = qcxl_new(qts);
    uint64_t block = cxl->rp_bar.addr;
    uint16_t loc = qcxl_find_dvsec(cxl->rp, REG_LOC_DVSEC);
    uint16_t len = qcxl_readl(cxl->rp, loc + 4) >> 20;
    unsigned empty = 0;

    g_assert_cmpuint(loc, !=, 0);
    for (uint16_t at = loc + 0xc; at < loc + len; at += 8) {
        uint32_t low = qcxl_readl(cxl->rp, at);

        if (!(low >> 8 & 0xff)) {
            g_assert_cmphex(low, ==, 0);
            g_assert_cmphex(qcxl_readl(cxl->rp, at + 4), ==, 0);
            empty++;
        }
    }
    g_assert_cmpuint(empty, >, 0);
    for (unsigned at = 0; at < CACHEMEM; at += 4) {
        qtest_writel(qts, block + at, UINT32_MAX);
        qtest_writel(qts, HOST_BRIDGE + at, UINT32_MAX);
        g_assert_cmphex(qtest_readl(qts, block + at), ==, 0);
        g_assert_cmphex(qtest_readl(qts, HOST_BRIDGE + at), ==, 0);
    }
    g_assert_cmphex(qtest_readb(qts, block + 1), ==, 0);
    g_assert_cmphex(qtest_readq(qts, block + 8), ==, 0);
    qcxl_free(cxl);
    qtest_quit(qts);
    g_assert_false(log_has(log, "Invalid "));
    unlink(log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-regs/host-bridge", test_host_bridge);
    qtest_add_func("/cxl-regs/root-port", test_root_port);
    qtest_add_func("/cxl-regs/empty-entries", test_empty_entries);
    return g_test_run();
}
