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
#include "libqos/cxl-tree.h"
#include "libqos/cxl-type1.h"
#include "cxl-cache-testdev.h"
#include "hw/pci/pci_regs.h"
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
#define RETRY_REQUIRED  0x5
#define INVALID_LENGTH  0x16

#define GET_EVENTS      0x0100
#define CLEAR_EVENTS    0x0101
#define IDENTIFY_SWITCH 0x5100
#define GET_PORT_STATE  0x5101
#define PORT_CONTROL    0x5102
#define PPB_CONFIG      0x5103
#define GET_VCS_INFO    0x5200
#define BIND            0x5201
#define UNBIND          0x5202
#define GENERATE_AER    0x5203

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
    unsigned len;
    /* Where all that is below the host bridge has been brought up */
    QCXLTree *tree;
    uint8_t *ram;
    Dev dev[2];
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
    s->len = out;
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

/* ---- Virtual switches: two accelerators, on vPPBs 1 and 2 ---- */

#define RAM_SIZE        (128 * 1024 * 1024)
#define A               (16 * 1024 * 1024)
#define DSP_ID          0xa12919e5
#define NO_DEVICE       0xffffffff
#define POISON          0xbaadf00d

#define VPPB_UNBOUND    0
#define VPPB_BOUND      2
#define VPPBS           4

#define UNBIND_WAIT     0
#define UNBIND_MANAGED  1
#define UNBIND_SURPRISE 2

#define LOG_INFO        0
#define LOG_WARN        1

#define CACHE_DSP(n)    "-device cxl-downstream,cxl-cache=on,bus=us0,id=ds" #n \
                        ",port=" #n ",chassis=0,slot=1" #n " "

static void map_vcs(Switch *s)
{
    s->tree = qcxl_tree_new(s->qts);
    for (int i = 0; i < 3; i++) {
        QCXLNode *node = qcxl_tree_endpoint(s->tree, i);

        qpci_device_enable(node->dev);
        if (i == 2) {
            s->cci = node->dev;
            s->bar = node->registers;
            g_assert_cmphex(qcxl_readl(s->cci, 0), ==, CCI_ID);
            s->mbox = find_mailbox(s);
            break;
        }
        s->dev[i] = (Dev) {
            .qts = s->qts, .pci = node->dev, .bar = node->registers,
        };
        set32(&s->dev[i], CCT_MODE, CCT_MODE_ON);
    }
}

/* Lines can be kept here, of memory that a test can look into. */
static bool vcs_start(Switch *s, const char *opts)
{
    if (!qtest_has_device("cxl-cache-testdev")) {
        g_test_skip("no cxl-cache-testdev in this build");
        return false;
    }
    *s = (Switch) { };
    s->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
        QCXL_RP ",cxl-cache=on " QCXL_RP1 " -device cxl-upstream,cxl-cache=on,"
        "x-256b-flit=on,bus=rp0,id=us0,port=9 " CACHE_DSP(1) CACHE_DSP(2)
        CACHE_DSP(3) "-device cxl-switch-mailbox-cci,bus=rp1,target=us0 "
        "-device cxl-cache-testdev,x-256b-flit=on,bus=ds1,id=t0%s "
        "-device cxl-cache-testdev,x-256b-flit=on,bus=ds2,id=t1", opts);
    s->ram = qcxl_map_memfd(s->qts, QCXL_MEMFD, RAM_SIZE);
    map_vcs(s);
    if (request(&s->dev[0], CXL_CACHE_RD_OWN, A).state != CCT_STATE_E) {
        munmap(s->ram, RAM_SIZE);
        qcxl_tree_free(s->tree);
        qtest_quit(s->qts);
        g_test_skip("this host cannot trap accesses to guest memory");
        return false;
    }
    flush(&s->dev[0]);
    return true;
}

static void vcs_end(Switch *s)
{
    munmap(s->ram, RAM_SIZE);
    qcxl_tree_free(s->tree);
    qtest_quit(s->qts);
}

static unsigned bind_to(Switch *s, uint8_t vppb, uint8_t port)
{
    const uint8_t in[] = { 0, vppb, port, 0, 0xff, 0xff };

    return command(s, BIND, in, sizeof(in));
}

static unsigned unbind(Switch *s, uint8_t vppb, uint8_t option)
{
    const uint8_t in[] = { 0, vppb, option };

    return command(s, UNBIND, in, sizeof(in));
}

/* The status of a vPPB; what it is bound to is looked at */
static unsigned vppb_status(Switch *s, uint8_t vppb)
{
    const uint8_t in[] = { vppb, 1, 1, 0 };
    const uint8_t *block = s->out + 4, *info = block + 4;

    g_assert_cmphex(command(s, GET_VCS_INFO, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmpuint(s->len, ==, 4 + 4 + 4);
    g_assert_cmpuint(block[3], ==, VPPBS);
    g_assert_cmpuint(info[1], ==, info[0] == VPPB_UNBOUND ? 0 :
                                  vppb ? vppb : 9);
    g_assert_cmphex(info[2], ==, 0xff);
    return info[0];
}

static unsigned bound_vppbs(Switch *s)
{
    g_assert_cmphex(command(s, IDENTIFY_SWITCH, NULL, 0), ==, SUCCESS);
    g_assert_cmpuint(lduw_le_p(s->out + 0x44), ==, VPPBS);
    return lduw_le_p(s->out + 0x46);
}

/* Records of a log; the first is @s->out + 32 */
static unsigned events(Switch *s, uint8_t log)
{
    g_assert_cmphex(command(s, GET_EVENTS, &log, 1), ==, SUCCESS);
    return lduw_le_p(s->out + 20);
}

/* The oldest record is of this, and is cleared. */
static void check_event(Switch *s, uint8_t log, uint8_t vppb, uint8_t status)
{
    static const uint8_t uuid[] = {
        0x40, 0xd2, 0x64, 0x25, 0x33, 0x96, 0x4c, 0x4d,
        0xa5, 0xda, 0x3d, 0x47, 0x26, 0x3a, 0xf4, 0x25,
    };
    uint8_t clear[] = { log, 0, 1, 0, 0, 0, 0, 0 };
    const uint8_t *record = s->out + 32;

    g_assert_cmpuint(events(s, log), >=, 1);
    g_assert_cmpmem(record, 16, uuid, 16);
    g_assert_cmpuint(record[0x10], ==, 128);
    g_assert_cmpuint(record[0x30], ==, 0);
    g_assert_cmpuint(record[0x31], ==, vppb);
    g_assert_cmpuint(record[0x32], ==, 0);
    g_assert_cmpuint(record[0x33], ==, status);
    g_assert_cmpuint(record[0x34], ==, status == VPPB_UNBOUND ? 0 : vppb);
    g_assert_cmphex(record[0x35], ==, 0xff);
    memcpy(clear + 6, record + 0x14, 2);
    g_assert_cmphex(command(s, CLEAR_EVENTS, clear, sizeof(clear)), ==,
                    SUCCESS);
}

/* A downstream port as the guest sees it: has its slot a device, and a link? */
static bool is_present(Switch *s, unsigned n)
{
    QCXLNode *node = qcxl_tree_find(s->tree, QCXL_BUS_NR + 2, n - 1);
    uint8_t exp = qpci_find_capability(node->dev, PCI_CAP_ID_EXP, 0);
    bool present = qpci_config_readw(node->dev, exp + PCI_EXP_SLTSTA) &
                   PCI_EXP_SLTSTA_PDS;

    g_assert_cmphex(qcxl_readl(node->dev, 0), ==, DSP_ID);
    g_assert_cmpint(!!(qpci_config_readw(node->dev, exp + PCI_EXP_LNKSTA) &
                       PCI_EXP_LNKSTA_DLLLA), ==, present);
    return present;
}

static int64_t total(Switch *s, const char *what)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(s->qts,
                                    "{'execute': 'x-query-cxl-cache'}");

    return qdict_get_int(info, what);
}

static void test_vcs_info(void)
{
    static const uint8_t all[] = { 0, 255, 1, 0 }, some[] = { 1, 2, 2, 0, 7 };
    static const uint8_t none[] = { 0, 255, 0 }, past[] = { 4, 1, 1, 0 };
    uint8_t many[3 + 200] = { 0, 255, 200 };
    Switch s;

    if (!vcs_start(&s, "")) {
        return;
    }
    g_assert_cmphex(command(&s, GET_VCS_INFO, all, sizeof(all)), ==, SUCCESS);
    g_assert_cmpuint(s.len, ==, 4 + 4 + 4 * VPPBS);
    g_assert_cmphex(ldl_le_p(s.out), ==, 1);
    /* Number, enabled, its upstream port, vPPBs */
    g_assert_cmphex(ldl_be_p(s.out + 4), ==, 0x00010900 | VPPBS);
    for (int i = 0; i < VPPBS; i++) {
        g_assert_cmphex(ldl_be_p(s.out + 8 + 4 * i), ==,
                        0x0200ff00 | (i ? i : 9) << 16);
    }
    /* A part of them; and a switch that is not there */
    g_assert_cmphex(command(&s, GET_VCS_INFO, some, sizeof(some)), ==,
                    SUCCESS);
    g_assert_cmpuint(s.len, ==, 4 + 4 + 4 * 2 + 4);
    g_assert_cmphex(ldl_le_p(s.out), ==, 2);
    g_assert_cmphex(ldl_be_p(s.out + 8), ==, 0x0201ff00);
    g_assert_cmphex(ldl_be_p(s.out + 12), ==, 0x0202ff00);
    g_assert_cmphex(ldl_be_p(s.out + 16), ==, 0x07ff0000);

    g_assert_cmphex(command(&s, GET_VCS_INFO, none, sizeof(none)), ==,
                    SUCCESS);
    g_assert_cmpuint(s.len, ==, 4);
    g_assert_cmphex(command(&s, GET_VCS_INFO, past, sizeof(past)), ==,
                    SUCCESS);
    g_assert_cmpuint(s.len, ==, 8);
    g_assert_cmphex(command(&s, GET_VCS_INFO, all, 2), ==, INVALID_LENGTH);
    g_assert_cmphex(command(&s, GET_VCS_INFO, all, 3), ==, INVALID_LENGTH);
    g_assert_cmphex(command(&s, GET_VCS_INFO, many, sizeof(many)), ==,
                    INVALID_INPUT);
    g_assert_cmpuint(bound_vppbs(&s), ==, VPPBS);
    vcs_end(&s);
}

/* A line that the device has modified, and one that its neighbour has */
static void make_lines(Switch *s)
{
    uint8_t data[LINE];

    fill(data, 0);
    qtest_memwrite(s->qts, A, data, LINE);
    make_m(&s->dev[0], A, 1);
    make_m(&s->dev[1], A + 4096, 2);
    assert_version(s->ram + A, 0);
}

static void check_gone(Switch *s)
{
    g_assert_cmpuint(vppb_status(s, 1), ==, VPPB_UNBOUND);
    g_assert_cmpuint(vppb_status(s, 2), ==, VPPB_BOUND);
    g_assert_cmpuint(bound_vppbs(s), ==, VPPBS - 1);
    g_assert_false(is_present(s, 1));
    g_assert_true(is_present(s, 2));
    g_assert_cmphex(qcxl_readl(s->dev[0].pci, 0), ==, NO_DEVICE);
    g_assert_cmpuint(line_state(&s->dev[1], A + 4096), ==, CCT_STATE_M);
    request(&s->dev[1], CXL_CACHE_RD_OWN, A + 8192);
}

/* What becomes of the line, and how often that is counted */
static void check_unbind(uint8_t option, const char *opts, int version,
                         int64_t rescued, int64_t poisoned)
{
    Switch s;

    if (!vcs_start(&s, opts)) {
        return;
    }
    make_lines(&s);
    g_assert_cmphex(unbind(&s, 1, option), ==, SUCCESS);
    if (version) {
        assert_version(s.ram + A, version);
    } else {
        for (int i = 0; i < LINE; i += 4) {
            g_assert_cmphex((uint32_t)ldl_le_p(s.ram + A + i), ==, POISON);
        }
    }
    g_assert_cmpint(total(&s, "rescued-lines"), ==, rescued);
    g_assert_cmpint(total(&s, "poisoned-lines"), ==, poisoned);
    check_gone(&s);
    check_event(&s, LOG_INFO, 1, VPPB_UNBOUND);
    g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
    g_assert_cmpuint(events(&s, LOG_WARN), ==, 0);
    vcs_end(&s);
}

static void test_unbind_managed(void)
{
    check_unbind(UNBIND_MANAGED, "", 1, 0, 0);
}

static void test_unbind_poison(void)
{
    check_unbind(UNBIND_SURPRISE, "", 0, 0, 1);
}

static void test_unbind_rescue(void)
{
    check_unbind(UNBIND_SURPRISE, ",rescue=on", 1, 1, 0);
}

/* It comes back reset, and works; again and again */
static void test_rebind(void)
{
    uint8_t data[LINE];
    Switch s;

    if (!vcs_start(&s, "")) {
        return;
    }
    for (int i = 0; i < 3; i++) {
        Dev *d = &s.dev[0];
        uint32_t bar = qpci_config_readl(d->pci, PCI_BASE_ADDRESS_0);

        make_m(d, A, i);
        g_assert_cmphex(unbind(&s, 1, UNBIND_MANAGED), ==, SUCCESS);
        qtest_memread(s.qts, A, data, LINE);
        assert_version(data, i);
        /* Nobody is there to be written to. */
        qpci_config_writel(d->pci, PCI_BASE_ADDRESS_0, bar);

        g_assert_cmphex(bind_to(&s, 1, 1), ==, SUCCESS);
        g_assert_cmpuint(vppb_status(&s, 1), ==, VPPB_BOUND);
        g_assert_cmpuint(bound_vppbs(&s), ==, VPPBS);
        g_assert_true(is_present(&s, 1));
        g_assert_cmphex(qpci_config_readw(d->pci, PCI_COMMAND) &
                        PCI_COMMAND_MEMORY, ==, 0);
        qpci_config_writel(d->pci, PCI_BASE_ADDRESS_0, bar);
        qpci_device_enable(d->pci);
        g_assert_cmphex(get32(d, CCT_MAGIC), ==, CCT_MAGIC_VALUE);
        g_assert_cmpuint(get32(d, CCT_MODE), ==, CCT_MODE_OFF);
        set32(d, CCT_MODE, CCT_MODE_ON);
        check_event(&s, LOG_INFO, 1, VPPB_UNBOUND);
        check_event(&s, LOG_INFO, 1, VPPB_BOUND);
    }
    make_m(&s.dev[0], A, 9);
    qtest_memread(s.qts, A, data, LINE);
    assert_version(data, 9);
    vcs_end(&s);
}

/* Neither a reset of the machine nor an empty port binds anything. */
static void test_unbind_stays(void)
{
    Switch s;

    if (!vcs_start(&s, "")) {
        return;
    }
    g_assert_cmphex(unbind(&s, 1, UNBIND_SURPRISE), ==, SUCCESS);
    g_assert_cmphex(unbind(&s, 3, UNBIND_WAIT), ==, SUCCESS);
    g_assert_cmpuint(bound_vppbs(&s), ==, VPPBS - 2);
    qtest_system_reset(s.qts);
    qcxl_tree_free(s.tree);
    s.tree = qcxl_tree_new(s.qts);
    g_assert_false(is_present(&s, 1));
    g_assert_true(is_present(&s, 2));
    /* One accelerator less to be found */
    s.cci = qcxl_tree_endpoint(s.tree, 1)->dev;
    s.bar = qcxl_tree_endpoint(s.tree, 1)->registers;
    qpci_device_enable(s.cci);
    g_assert_cmphex(qcxl_readl(s.cci, 0), ==, CCI_ID);
    g_assert_cmpuint(vppb_status(&s, 1), ==, VPPB_UNBOUND);
    g_assert_cmpuint(vppb_status(&s, 3), ==, VPPB_UNBOUND);
    g_assert_cmphex(bind_to(&s, 3, 3), ==, SUCCESS);
    g_assert_cmphex(bind_to(&s, 1, 1), ==, SUCCESS);
    g_assert_true(is_present(&s, 1));
    g_assert_cmpuint(bound_vppbs(&s), ==, VPPBS);
    vcs_end(&s);
}

typedef struct Bad {
    uint16_t opcode;
    uint8_t in[40];
    uint8_t len;
    uint8_t code;
    bool told;          /* by an event: it is about a vPPB */
} Bad;

static const Bad bad[] = {
    { BIND, { 0, 1, 1, 0, 0xff, 0xff }, 5, INVALID_LENGTH },
    { BIND, { 0, 1, 1, 0, 0xff, 0xff }, 7, INVALID_LENGTH },
    { BIND, { 1, 3, 3, 0, 0xff, 0xff }, 6, INVALID_INPUT },
    { BIND, { 0, 0, 9, 0, 0xff, 0xff }, 6, INVALID_INPUT },
    { BIND, { 0, 4, 3, 0, 0xff, 0xff }, 6, INVALID_INPUT },
    { BIND, { 0, 3, 4, 0, 0xff, 0xff }, 6, INVALID_INPUT },
    { BIND, { 0, 1, 1, 0, 0xff, 0xff }, 6, INVALID_INPUT, true },
    { BIND, { 0, 3, 2, 0, 0xff, 0xff }, 6, INVALID_INPUT, true },
    { BIND, { 0, 3, 3, 0, 0, 0 }, 6, INVALID_INPUT, true },
    { UNBIND, { 0, 1 }, 2, INVALID_LENGTH },
    { UNBIND, { 0, 1, 2, 0 }, 4, INVALID_LENGTH },
    { UNBIND, { 2, 1, 2 }, 3, INVALID_INPUT },
    { UNBIND, { 0, 0, 2 }, 3, INVALID_INPUT },
    { UNBIND, { 0, 4, 2 }, 3, INVALID_INPUT },
    { UNBIND, { 0, 1, 3 }, 3, INVALID_INPUT, true },
    { UNBIND, { 0, 1, 0 }, 3, RETRY_REQUIRED, true },
    { UNBIND, { 0, 3, 2 }, 3, INVALID_INPUT, true },
    { GENERATE_AER, { 0, 1 }, 0x27, INVALID_LENGTH },
    { GENERATE_AER, { 1, 1 }, 0x28, INVALID_INPUT },
    { GENERATE_AER, { 0, 4 }, 0x28, INVALID_INPUT },
    { GENERATE_AER, { 0, 1, 0, 0, 0x20 }, 0x28, INVALID_INPUT },
    { GENERATE_AER, { 0, 1, 0, 0, 1 }, 0x28, INVALID_INPUT },
    { PPB_CONFIG, { 1, 0, 0xf0 }, 4, INVALID_LENGTH },
    { PPB_CONFIG, { 4, 0, 0xf0 }, 8, INVALID_INPUT },
    { PPB_CONFIG, { 1, 2, 0xf0 }, 8, INVALID_INPUT },
    { GET_EVENTS, { 9 }, 1, INVALID_INPUT },
    { CLEAR_EVENTS, { 0, 0, 1 }, 6, INVALID_LENGTH },
};

/* vPPB 3 is not bound meanwhile. */
static void test_bad(void)
{
    Switch s;

    if (!vcs_start(&s, "")) {
        return;
    }
    g_assert_cmphex(unbind(&s, 3, UNBIND_MANAGED), ==, SUCCESS);
    check_event(&s, LOG_INFO, 3, VPPB_UNBOUND);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        const Bad *b = &bad[i];

        g_test_message("%04xh, case %d", b->opcode, i);
        g_assert_cmphex(command(&s, b->opcode, b->in, b->len), ==, b->code);
        if (b->told) {
            check_event(&s, LOG_WARN, b->in[1],
                        b->in[1] == 3 ? VPPB_UNBOUND : VPPB_BOUND);
        }
        g_assert_cmpuint(events(&s, LOG_WARN), ==, 0);
        g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
        g_assert_cmpuint(bound_vppbs(&s), ==, VPPBS - 1);
    }
    g_assert_true(is_present(&s, 1));
    vcs_end(&s);
}

/* Memory would have to go from the host's windows. */
static void test_unbind_memory(void)
{
    Switch s;

    switch_start(&s, SWITCH("") DSP(1, "") "-object memory-backend-ram,id=m0,"
                 "size=256M -device cxl-type3,bus=ds1,volatile-memdev=m0");
    g_assert_cmphex(unbind(&s, 1, UNBIND_SURPRISE), ==, INTERNAL_ERROR);
    check_port(&s, 1, CONFIG_DSP, TYPE_3_MLD, 3);
    switch_end(&s);
}

/* The crypto device tells of its link, too. */
static void test_unbind_crypto(void)
{
    Switch s;

    if (!has_property("cxl-downstream", "cxl-cache")) {
        g_test_skip("switches carry no CXL.cache in this build");
        return;
    }
    switch_start(&s, ",cxl-cache=on" SWITCH(",cxl-cache=on")
                 DSP(1, ",cxl-cache=on,x-256b-flit=off")
                 QCT_BACKEND "-device cxl-type1-crypto,bus=ds1,cryptodev=c0,"
                 "id=d0");
    for (int up = 0; up < 2; up++) {
        g_autoptr(QDict) event = NULL;
        QDict *data;

        g_assert_cmphex(up ? bind_to(&s, 1, 1) : unbind(&s, 1, UNBIND_MANAGED),
                        ==, SUCCESS);
        /* One in a second is told at once. */
        qtest_clock_step(s.qts, 2000000000);
        event = qtest_qmp_eventwait_ref(s.qts, "CXL_TYPE1_LINK_CHANGE");
        data = qdict_get_qdict(event, "data");
        g_assert_cmpstr(qdict_get_str(data, "id"), ==, "d0");
        g_assert_cmpint(qdict_get_bool(data, "up"), ==, up);
    }
    switch_end(&s);
}

/* ---- A link that is lost, and comes back ---- */

#define EVENT_LINK      0
#define LTSSM_DETECT    0
#define LTSSM_L0        4
#define LINK_PRSNT      (1 << 2)

/* The only record is of port 1's link, and of what is there; it is cleared. */
static void check_link_event(Switch *s, bool up)
{
    static const uint8_t uuid[] = {
        0x77, 0xcf, 0x92, 0x71, 0x9c, 0x02, 0x47, 0x0b,
        0x9f, 0xe4, 0xbc, 0x7b, 0x75, 0xf2, 0xda, 0x97,
    };
    uint8_t clear[] = { LOG_INFO, 0, 1, 0, 0, 0, 0, 0 };
    uint8_t port[PORT_BLOCK];
    const uint8_t *record = s->out + 32;

    memcpy(port, port_state(s, 1), PORT_BLOCK);
    g_assert_cmpuint(events(s, LOG_INFO), ==, 1);
    g_assert_cmpmem(record, 16, uuid, 16);
    g_assert_cmpuint(record[0x10], ==, 128);
    g_assert_cmpuint(record[0x30], ==, 1);
    g_assert_cmpuint(record[0x31], ==, EVENT_LINK);
    g_assert_cmpint(!!(lduw_le_p(record + 0x32) & PCI_EXP_SLTSTA_PDS), ==, up);
    g_assert_cmpuint(record[0x35], ==, CONFIG_DSP);
    g_assert_cmpuint(record[0x36], ==, up ? MODE_68B : MODE_NONE);
    g_assert_cmpuint(record[0x38], ==, up ? TYPE_1 : TYPE_NONE);
    /* Modes and widths, speeds: as the port's own block has them */
    g_assert_cmpuint(record[0x39], !=, 0);
    g_assert_cmpmem(record + 0x39, 2, port + 5, 2);
    g_assert_cmpuint(record[0x3b], ==, up ? port[7] : 0);
    g_assert_cmpmem(record + 0x3c, 2, port + 8, 2);
    g_assert_cmpuint(record[0x3e], ==, up ? port[10] : 0);
    g_assert_cmpuint(record[0x3f], ==, up ? LTSSM_L0 : LTSSM_DETECT);
    g_assert_cmphex(lduw_le_p(record + 0x41), ==, up ? LINK_PRSNT : 0);
    memcpy(clear + 6, record + 0x14, 2);
    g_assert_cmphex(command(s, CLEAR_EVENTS, clear, sizeof(clear)), ==,
                    SUCCESS);
    g_assert_cmpuint(events(s, LOG_WARN), ==, 0);
}

/*
 * The switch's log has what a link below does by itself, and of binding only
 * the binding. What is not bound stays away when its fault is over.
 */
static void test_link_events(void)
{
    Switch s;

    if (!has_property("cxl-downstream", "cxl-cache")) {
        g_test_skip("switches carry no CXL.cache in this build");
        return;
    }
    switch_start(&s, ",cxl-cache=on" SWITCH(",cxl-cache=on")
                 DSP(1, ",cxl-cache=on,x-256b-flit=off")
                 QCT_BACKEND "-device cxl-type1-crypto,bus=ds1,cryptodev=c0,"
                 "id=t0");
    g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
    for (int i = 0; i < 2; i++) {
        qct_fault(s.qts, &(QCTFault) { "link-down" });
        check_link_event(&s, false);
        qct_clear(s.qts);
        check_link_event(&s, true);
    }
    g_assert_cmphex(unbind(&s, 1, UNBIND_SURPRISE), ==, SUCCESS);
    check_event(&s, LOG_INFO, 1, VPPB_UNBOUND);
    g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
    qct_clear(s.qts);
    g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
    g_assert_cmphex(bind_to(&s, 1, 1), ==, SUCCESS);
    check_event(&s, LOG_INFO, 1, VPPB_BOUND);
    g_assert_cmpuint(events(&s, LOG_INFO), ==, 0);
    qct_fault(s.qts, &(QCTFault) { "removal" });
    check_link_event(&s, false);
    switch_end(&s);
}

static uint32_t ppb_read(Switch *s, uint8_t port, unsigned addr,
                         uint8_t enables)
{
    const uint8_t in[] = {
        port, addr & 0xff, enables << 4 | addr >> 8, 0, 1, 2, 3, 4,
    };

    g_assert_cmphex(command(s, PPB_CONFIG, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmpuint(s->len, ==, 4);
    return ldl_le_p(s->out);
}

static void ppb_write(Switch *s, uint8_t port, unsigned addr, uint8_t enables,
                      uint32_t data)
{
    uint8_t in[] = { port, addr & 0xff, enables << 4 | addr >> 8, 0x80 };
    uint8_t req[8];

    memcpy(req, in, 4);
    stl_le_p(req + 4, data);
    g_assert_cmphex(command(s, PPB_CONFIG, req, sizeof(req)), ==, SUCCESS);
}

static void test_ppb_config(void)
{
    Switch s;

    switch_start(&s, SWITCH("") DSP(1, "") DSP(2, ""));
    g_assert_cmphex(ppb_read(&s, 1, 0, 0xf), ==, DSP_ID);
    g_assert_cmphex(ppb_read(&s, 1, 0, 0x5), ==, DSP_ID & 0x00ff00ff);
    /* The upstream port, and the extended space */
    g_assert_cmphex(ppb_read(&s, 0, 0, 0xf), ==, 0xa12819e5);
    g_assert_cmphex(ppb_read(&s, 2, 0x100, 0x3), ==, PCI_EXT_CAP_ID_ERR);

    /* Latency Timer is read-only; the bus numbers are not */
    ppb_write(&s, 1, PCI_PRIMARY_BUS, 0xf, 0x00332211);
    g_assert_cmphex(ppb_read(&s, 1, PCI_PRIMARY_BUS, 0xf), ==, 0x00332211);
    ppb_write(&s, 1, PCI_PRIMARY_BUS, 0x2, 0x00aabbcc);
    g_assert_cmphex(ppb_read(&s, 1, PCI_PRIMARY_BUS, 0xf), ==, 0x0033bb11);
    ppb_write(&s, 1, PCI_PRIMARY_BUS, 0, 0);
    g_assert_cmphex(ppb_read(&s, 1, PCI_PRIMARY_BUS, 0xf), ==, 0x0033bb11);
    g_assert_cmphex(ppb_read(&s, 2, PCI_PRIMARY_BUS, 0xf), ==, 0);
    switch_end(&s);
}

#define AER             0x100

/* One error on one port, of each kind, with its header */
static void test_aer(void)
{
    uint8_t in[0x28] = { 0, 1 };
    Switch s;

    switch_start(&s, SWITCH("") DSP(1, "") DSP(2, ""));
    for (int i = 0; i < 0x20; i++) {
        in[8 + i] = i + 1;
    }
    stl_le_p(in + 4, 6);        /* Bad TLP */
    g_assert_cmphex(command(&s, GENERATE_AER, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmphex(ppb_read(&s, 1, AER + PCI_ERR_COR_STATUS, 0xf), ==,
                    PCI_ERR_COR_BAD_TLP);
    g_assert_cmphex(ppb_read(&s, 1, AER + PCI_ERR_UNCOR_STATUS, 0xf), ==, 0);

    in[1] = 2;
    stl_le_p(in + 4, 1u << 31 | 18);     /* Malformed TLP */
    g_assert_cmphex(command(&s, GENERATE_AER, in, sizeof(in)), ==, SUCCESS);
    g_assert_cmphex(ppb_read(&s, 2, AER + PCI_ERR_UNCOR_STATUS, 0xf), ==,
                    PCI_ERR_UNC_MALF_TLP);
    g_assert_cmphex(ppb_read(&s, 2, AER + PCI_ERR_COR_STATUS, 0xf), ==, 0);
    g_assert_cmphex(ppb_read(&s, 2, AER + PCI_ERR_HEADER_LOG, 0xf), ==,
                    0x04030201);
    g_assert_cmphex(ppb_read(&s, 1, AER + PCI_ERR_UNCOR_STATUS, 0xf), ==, 0);
    /* vPPB 0 is the upstream port. */
    in[1] = 0;
    g_assert_cmphex(command(&s, GENERATE_AER, in, sizeof(in)), ==, SUCCESS);
    switch_end(&s);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-fm/vcs/info", test_vcs_info);
    qtest_add_func("/cxl-fm/vcs/unbind-managed", test_unbind_managed);
    qtest_add_func("/cxl-fm/vcs/unbind-poison", test_unbind_poison);
    qtest_add_func("/cxl-fm/vcs/unbind-rescue", test_unbind_rescue);
    qtest_add_func("/cxl-fm/vcs/unbind-stays", test_unbind_stays);
    qtest_add_func("/cxl-fm/vcs/unbind-memory", test_unbind_memory);
    qtest_add_func("/cxl-fm/vcs/unbind-crypto", test_unbind_crypto);
    qtest_add_func("/cxl-fm/vcs/rebind", test_rebind);
    qtest_add_func("/cxl-fm/link-events", test_link_events);
    qtest_add_func("/cxl-fm/vcs/bad", test_bad);
    qtest_add_func("/cxl-fm/ppb-config", test_ppb_config);
    qtest_add_func("/cxl-fm/aer", test_aer);
    qtest_add_func("/cxl-fm/port-types", test_port_types);
    qtest_add_func("/cxl-fm/port-type1", test_port_type1);
    qtest_add_func("/cxl-fm/perst", test_perst);
    qtest_add_func("/cxl-fm/beside", test_beside);
    return g_test_run();
}
