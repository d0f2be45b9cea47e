/*
 * QTest testcase for the fabric manager's commands of a CXL switch
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Through cxl-switch-mailbox-cci, here below a root port of its own: the
 * registers of CXL r3.1 section 8.2.8, the commands of section 7.6.7.1.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define CCI_ID          0xa12319e5

/* Device registers: an array of capabilities, of which one is the mailbox */
#define CAP_MAILBOX     2
#define MBOX_CTRL       0x04
#define MBOX_CMD        0x08
#define MBOX_STATUS     0x10
#define MBOX_PAYLOAD    0x20
#define MBOX_MAX        512

/* Return codes (table 8-34) */
#define SUCCESS         0x0
#define INVALID_INPUT   0x2
#define INTERNAL_ERROR  0x4

#define GET_PORT_STATE  0x5101
#define PORT_CONTROL    0x5102

/* Table 7-19, a port's block */
#define PORT_BLOCK      16
#define PORT_ID         0
#define PORT_CONFIG     1
#define PORT_MODE       2
#define PORT_TYPE       4
#define PORT_LINK       13

#define CONFIG_DSP      3
#define CONFIG_USP      4
#define MODE_NONE       0
#define MODE_68B        2
#define TYPE_NONE       0
#define TYPE_PCIE       1
#define TYPE_1          2
#define TYPE_3_MLD      5
#define LINK_PERST      (1 << 1)

#define PERST_ASSERT    0
#define PERST_DEASSERT  1

/* The upstream port is port 0; the ports below have number and slot alike */
#define SWITCH(opts)    " " QCXL_RP1 \
                        " -device cxl-upstream,bus=rp0,id=us0,port=0" opts \
                        " -device cxl-switch-mailbox-cci,bus=rp1," \
                        "target=us0,id=cci "
#define DSP(n, opts)    "-device cxl-downstream,bus=us0,id=ds" #n ",port=" #n \
                        ",chassis=0,slot=1" #n opts " "

typedef struct Switch {
    QTestState *qts;
    QCXL *cxl;
    QPCIDevice *cci;
    QPCIBar bar;
    uint32_t mbox;
    uint8_t out[MBOX_MAX];
} Switch;

static uint32_t find_mailbox(Switch *s)
{
    uint32_t n = qpci_io_readl(s->cci, s->bar, 4) & 0xffff;

    for (uint32_t i = 1; i <= n; i++) {
        if ((qpci_io_readl(s->cci, s->bar, 16 * i) & 0xffff) == CAP_MAILBOX) {
            return qpci_io_readl(s->cci, s->bar, 16 * i + 4);
        }
    }
    g_assert_not_reached();
}

static void switch_start(Switch *s, const char *args)
{
    s->qts = qtest_initf("-nodefaults -m 128M " QCXL_MACHINE QCXL_PXB QCXL_RP
                         "%s", args);
    s->cxl = qcxl_new_port(s->qts, 1);
    s->cci = qcxl_endpoint(s->cxl);
    g_assert_nonnull(s->cci);
    g_assert_cmphex(qcxl_readl(s->cci, 0), ==, CCI_ID);
    qpci_device_enable(s->cci);
    s->bar = qpci_iomap(s->cci, 0, NULL);
    s->mbox = find_mailbox(s);
}

static void switch_end(Switch *s)
{
    g_free(s->cci);
    qcxl_free(s->cxl);
    qtest_quit(s->qts);
}

/* Returns the code; what comes back is in @s->out */
static unsigned command(Switch *s, uint16_t opcode, const uint8_t *in,
                        unsigned len)
{
    uint64_t status;
    unsigned out;

    g_assert_cmphex(qpci_io_readl(s->cci, s->bar, s->mbox + MBOX_CTRL) & 1, ==,
                    0);
    for (unsigned i = 0; i < len; i += 4) {
        uint8_t word[4] = { };

        memcpy(word, in + i, MIN(4, len - i));
        qpci_io_writel(s->cci, s->bar, s->mbox + MBOX_PAYLOAD + i,
                       ldl_le_p(word));
    }
    qpci_io_writeq(s->cci, s->bar, s->mbox + MBOX_CMD,
                   opcode | (uint64_t)len << 16);
    qpci_io_writel(s->cci, s->bar, s->mbox + MBOX_CTRL, 1);
    g_assert_cmphex(qpci_io_readl(s->cci, s->bar, s->mbox + MBOX_CTRL) & 1, ==,
                    0);
    status = qpci_io_readq(s->cci, s->bar, s->mbox + MBOX_STATUS);
    out = qpci_io_readq(s->cci, s->bar, s->mbox + MBOX_CMD) >> 16 & 0xfffff;
    g_assert_cmpuint(out, <=, MBOX_MAX);
    memset(s->out, 0, sizeof(s->out));
    for (unsigned i = 0; i < out; i += 4) {
        stl_le_p(s->out + i, qpci_io_readl(s->cci, s->bar,
                                           s->mbox + MBOX_PAYLOAD + i));
    }
    return status >> 32 & 0xffff;
}

/* The block of one port */
static const uint8_t *port_state(Switch *s, uint8_t port)
{
    uint8_t in[] = { 1, port };

    g_assert_cmphex(command(s, GET_PORT_STATE, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmpuint(s->out[0], ==, 1);
    g_assert_cmpuint(s->out[4 + PORT_ID], ==, port);
    return s->out + 4;
}

static void check_port(Switch *s, uint8_t port, uint8_t config, uint8_t type,
                       uint8_t mode)
{
    const uint8_t *state = port_state(s, port);

    g_assert_cmphex(state[PORT_CONFIG], ==, config);
    g_assert_cmphex(state[PORT_TYPE] & 0xf, ==, type);
    g_assert_cmphex(state[PORT_MODE] & 0xf, ==, mode);
}

static bool perst(Switch *s, uint8_t port)
{
    return lduw_le_p(port_state(s, port) + PORT_LINK) & LINK_PERST;
}

static unsigned port_control(Switch *s, uint8_t port, uint8_t op)
{
    uint8_t in[] = { port, op };

    return command(s, PORT_CONTROL, in, sizeof(in));
}

/* ---- Tests ---- */

/* Memory, something that is no CXL device, and nothing */
static void test_port_types(void)
{
    uint8_t in[] = { 4, 3, 0, 1, 2 };
    Switch s;

    switch_start(&s, SWITCH("") DSP(1, ",x-256b-flit=off") DSP(2, "")
                 DSP(3, "") "-object memory-backend-ram,id=m0,size=256M "
                 "-device cxl-type3,bus=ds1,volatile-memdev=m0,"
                 "x-256b-flit=off "
                 "-device virtio-rng-pci,bus=ds2");
    check_port(&s, 0, CONFIG_USP, 0, 0);
    check_port(&s, 1, CONFIG_DSP, TYPE_3_MLD, MODE_68B);
    check_port(&s, 2, CONFIG_DSP, TYPE_PCIE, MODE_NONE);
    check_port(&s, 3, CONFIG_DSP, TYPE_NONE, MODE_NONE);

    /* All in one, in the order that was asked for */
    g_assert_cmphex(command(&s, GET_PORT_STATE, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmpuint(s.out[0], ==, 4);
    for (int i = 0; i < 4; i++) {
        g_assert_cmpuint(s.out[4 + i * PORT_BLOCK + PORT_ID], ==, in[1 + i]);
    }
    in[2] = 77;
    g_assert_cmphex(command(&s, GET_PORT_STATE, in, sizeof(in)), ==,
                    INVALID_INPUT);
    switch_end(&s);
}

/* The mailbox may be a function beside the upstream port. */
static void test_beside(void)
{
    QTestState *qts = qtest_init("-nodefaults -m 128M " QCXL_MACHINE QCXL_PXB
        QCXL_RP " -device cxl-upstream,bus=rp0,id=us0,addr=0.0,"
        "multifunction=on -device cxl-switch-mailbox-cci,bus=rp0,addr=0.1,"
        "target=us0");
    QCXL *cxl = qcxl_new(qts);
    QPCIDevice *cci = qpci_device_find(&cxl->bus, (QCXL_BUS_NR + 1) << 8 | 1);

    g_assert_nonnull(cci);
    g_assert_cmphex(qcxl_readl(cci, 0), ==, CCI_ID);
    g_free(cci);
    qcxl_free(cxl);
    qtest_quit(qts);
}

static bool has_property(const char *type, const char *name)
{
    QTestState *qts = qtest_init("-machine none");
    g_autoptr(QDict) rsp = qtest_qmp(qts, "{'execute': "
        "'device-list-properties', 'arguments': {'typename': %s}}", type);
    const QListEntry *e;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), e) {
        QDict *prop = qobject_to(QDict, qlist_entry_obj(e));

        found |= g_str_equal(qdict_get_str(prop, "name"), name);
    }
    qtest_quit(qts);
    return found;
}

/* A device with a cache and no memory */
static void test_port_type1(void)
{
    Switch s;

    if (!has_property("cxl-downstream", "cxl-cache")) {
        g_test_skip("switches carry no CXL.cache in this build");
        return;
    }
    switch_start(&s, ",cxl-cache=on" SWITCH(",cxl-cache=on")
                 DSP(1, ",cxl-cache=on,x-256b-flit=off") DSP(2, "")
                 QCT_BACKEND "-device cxl-type1-crypto,bus=ds1,cryptodev=c0");
    check_port(&s, 1, CONFIG_DSP, TYPE_1, MODE_68B);
    check_port(&s, 2, CONFIG_DSP, TYPE_NONE, MODE_NONE);
    switch_end(&s);
}

/* PERST is told of while it is asserted, and of the port where it is. */
static void test_perst(void)
{
    gint64 end;
    Switch s;

    switch_start(&s, SWITCH("") DSP(1, "") DSP(2, ""));
    for (int i = 0; i < 3; i++) {
        g_assert_false(perst(&s, i));
    }
    g_assert_cmphex(port_control(&s, 1, PERST_DEASSERT), ==, INTERNAL_ERROR);
    g_assert_cmphex(port_control(&s, 9, PERST_ASSERT), ==, INVALID_INPUT);

    g_assert_cmphex(port_control(&s, 1, PERST_ASSERT), ==, SUCCESS);
    /* A thread does it, and takes 100 ms until it can be taken back. */
    end = g_get_monotonic_time() + 10 * G_USEC_PER_SEC;
    while (!perst(&s, 1)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_assert_cmphex(port_control(&s, 1, PERST_ASSERT), !=, SUCCESS);
    while (port_control(&s, 1, PERST_DEASSERT) != SUCCESS) {
        g_assert_true(perst(&s, 1));
        g_assert_false(perst(&s, 0));
        g_assert_false(perst(&s, 2));
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    g_assert_false(perst(&s, 1));
    switch_end(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-fm/port-types", test_port_types);
    qtest_add_func("/cxl-fm/port-type1", test_port_type1);
    qtest_add_func("/cxl-fm/perst", test_perst);
    qtest_add_func("/cxl-fm/beside", test_beside);
    return g_test_run();
}
