/*
 * QTest testcase for errors that are injected into CXL devices
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cxl-inject-uncorrectable-errors and cxl-inject-correctable-error, done to a
 * cxl-type1-crypto and to a cxl-type3: software that handles the errors of one
 * has to be able to handle the other's. CXL r3.1 section 8.2.4.17, PCIe r6.0
 * section 6.2.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "standard-headers/linux/virtio_crypto.h"

/* CXL.cachemem is behind 4 KiB of CXL.io */
#define CACHEMEM        0x1000

/* The RAS capability */
#define RAS_UNC_STATUS  0x00
#define RAS_UNC_MASK    0x04
#define RAS_UNC_SEVER   0x08
#define RAS_COR_STATUS  0x0c
#define RAS_COR_MASK    0x10
#define RAS_CAP_CTRL    0x14
#define RAS_HEADER      0x18
#define RAS_ALL         0x1cfffu
#define COR_ALL         0x7fu
#define FIRST_ERROR     0x3fu
#define NO_ERROR        63

#define HEADER_DWORDS   16

#define ROOT_STATUS     0x7f

typedef struct Kind {
    const char *name;
    const char *args;
    int bar;
} Kind;

static const Kind type1 = {
    "type1",
    QCT_BACKEND QCT_DEVICE ",id=d0", 2
};

static const Kind type3 = {
    "type3",
    "-object memory-backend-ram,id=m0,size=256M "
    "-device cxl-type3,bus=rp0,volatile-memdev=m0,id=d0", 0
};

typedef struct Rig {
    QTestState *qts;
    QCXL *cxl;
    QPCIDevice *dev;
    QPCIBar bar;
    uint32_t ras, link;
    uint16_t aer, root;
} Rig;

static const struct {
    const char *name;
    int bit;
} uncorrectable[] = {
    { "cache-data-parity", 0 },
    { "cache-address-parity", 1 },
    { "cache-be-parity", 2 },
    { "cache-data-ecc", 3 },
    { "mem-data-parity", 4 },
    { "mem-address-parity", 5 },
    { "mem-be-parity", 6 },
    { "mem-data-ecc", 7 },
    { "reinit-threshold", 8 },
    { "rsvd-encoding", 9 },
    { "poison-received", 10 },
    { "receiver-overflow", 11 },
    { "internal", 14 },
    { "cxl-ide-tx", 15 },
    { "cxl-ide-rx", 16 },
}, correctable[] = {
    { "cache-data-ecc", 0 },
    { "mem-data-ecc", 1 },
    { "crc-threshold", 2 },
    { "retry-threshold", 3 },
    { "cache-poison-received", 4 },
    { "mem-poison-received", 5 },
    { "physical", 6 },
};

/* ---- Registers ---- */

static uint32_t ras_read(Rig *r, uint32_t reg)
{
    return qpci_io_readl(r->dev, r->bar, r->ras + reg);
}

static void ras_write(Rig *r, uint32_t reg, uint32_t val)
{
    qpci_io_writel(r->dev, r->bar, r->ras + reg, val);
}

static uint32_t component_cap(Rig *r, unsigned id)
{
    uint32_t n = qpci_io_readl(r->dev, r->bar, CACHEMEM) >> 24;

    for (uint32_t i = 1; i <= n; i++) {
        uint32_t cap = qpci_io_readl(r->dev, r->bar, CACHEMEM + 4 * i);

        if ((cap & 0xffff) == id) {
            return CACHEMEM + (cap >> 20);
        }
    }
    g_assert_not_reached();
}

static void report_errors(QPCIDevice *dev)
{
    uint8_t cap = qpci_find_capability(dev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(dev, cap + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_CERE |
                PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE);
}

/* All that is in the way of an error's being heard of */
static void unmask(Rig *r)
{
    uint16_t bridge = qcxl_readw(r->cxl->rp, PCI_BRIDGE_CONTROL);

    ras_write(r, RAS_UNC_MASK, 0);
    ras_write(r, RAS_COR_MASK, 0);
    qcxl_writel(r->dev, r->aer + PCI_ERR_UNCOR_MASK, 0);
    qcxl_writel(r->dev, r->aer + PCI_ERR_COR_MASK, 0);
    report_errors(r->dev);
    report_errors(r->cxl->rp);
    qcxl_writew(r->cxl->rp, PCI_BRIDGE_CONTROL, bridge | PCI_BRIDGE_CTL_SERR);
}

static void rig_start(Rig *r, const Kind *kind)
{
    r->qts = qtest_initf("-nodefaults " QCXL_MACHINE "-m 128M " QCXL_PXB
                         QCXL_RP "%s %s", kind == &type1 ? ",cxl-cache=on" : "",
                         kind->args);
    r->cxl = qcxl_new(r->qts);
    r->dev = qcxl_endpoint(r->cxl);
    g_assert_nonnull(r->dev);
    qpci_device_enable(r->dev);
    r->bar = qpci_iomap(r->dev, kind->bar, NULL);
    r->ras = component_cap(r, 2);
    r->link = component_cap(r, 4);
    r->aer = qcxl_find_ext_cap(r->dev, PCI_EXT_CAP_ID_ERR, 0);
    r->root = qcxl_find_ext_cap(r->cxl->rp, PCI_EXT_CAP_ID_ERR, 0);
    unmask(r);
}

static void rig_end(Rig *r)
{
    g_free(r->dev);
    qcxl_free(r->cxl);
    qtest_quit(r->qts);
}

/* What the root port has been told since it was asked last */
static uint32_t told(Rig *r)
{
    uint32_t status = qcxl_readl(r->cxl->rp, r->root + PCI_ERR_ROOT_STATUS);

    qcxl_writel(r->cxl->rp, r->root + PCI_ERR_ROOT_STATUS, UINT32_MAX);
    return status & ROOT_STATUS;
}

static uint32_t aer_status(Rig *r, uint16_t reg)
{
    uint32_t status = qcxl_readl(r->dev, r->aer + reg);

    qcxl_writel(r->dev, r->aer + reg, UINT32_MAX);
    return status;
}

#define FATAL       (PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_FATAL_RCV | \
                     PCI_ERR_ROOT_FIRST_FATAL)
#define NON_FATAL   (PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV)

static void check_told(Rig *r, uint32_t root, uint32_t unc, uint32_t cor)
{
    g_assert_cmphex(told(r), ==, root);
    g_assert_cmphex(aer_status(r, PCI_ERR_UNCOR_STATUS), ==, unc);
    g_assert_cmphex(aer_status(r, PCI_ERR_COR_STATUS), ==, cor);
    if (root) {
        g_assert_cmphex(qcxl_readl(r->cxl->rp, r->root + PCI_ERR_ROOT_ERR_SRC)
                        >> (cor ? 0 : 16) & 0xffff, ==,
                        (QCXL_BUS_NR + 1) << 8);
    }
}

/* ---- Injecting ---- */

/* One more error, whose header is @dwords long and begins with @first */
static void add(QList *list, const char *type, uint32_t first, unsigned dwords)
{
    QDict *record = qdict_new();
    QList *header = qlist_new();

    for (unsigned i = 0; i < dwords; i++) {
        qlist_append_int(header, first + i);
    }
    qdict_put_str(record, "type", type);
    qdict_put(record, "header", header);
    qlist_append(list, record);
}

static QDict *inject_at(Rig *r, const char *path, QList *list)
{
    return qtest_qmp(r->qts, "{'execute': 'cxl-inject-uncorrectable-errors', "
                     "'arguments': {'path': %s, 'errors': %p}}", path, list);
}

static void check_good(QDict *rsp)
{
    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
}

static void check_error(QDict *rsp)
{
    g_assert_true(qdict_haskey(rsp, "error"));
    qmp_expect_error_and_unref(rsp, "GenericError");
}

static void inject(Rig *r, QList *list)
{
    check_good(inject_at(r, "/machine/peripheral/d0", list));
}

static void inject_one(Rig *r, const char *type, uint32_t first)
{
    QList *list = qlist_new();

    add(list, type, first, HEADER_DWORDS);
    inject(r, list);
}

static QDict *inject_cor(Rig *r, const char *type)
{
    return qtest_qmp(r->qts, "{'execute': 'cxl-inject-correctable-error', "
                     "'arguments': {'path': '/machine/peripheral/d0', "
                     "'type': %s}}", type);
}

static void check_first(Rig *r, int bit, uint32_t first)
{
    g_assert_cmpint(ras_read(r, RAS_CAP_CTRL) & FIRST_ERROR, ==, bit);
    for (unsigned i = 0; i < HEADER_DWORDS; i++) {
        g_assert_cmphex(ras_read(r, RAS_HEADER + 4 * i), ==, first + i);
    }
}

static void check_none(Rig *r)
{
    g_assert_cmphex(ras_read(r, RAS_UNC_STATUS), ==, 0);
    g_assert_cmpint(ras_read(r, RAS_CAP_CTRL) & FIRST_ERROR, ==, NO_ERROR);
}

/* ---- Tests of both ---- */

/* Each error: status, first error, header, AER, the root port; and its end */
static void test_each(const void *opaque)
{
    Rig r;

    rig_start(&r, opaque);
    /* Multiple header recording (section 8.2.4.17.6) */
    g_assert_cmphex(ras_read(&r, RAS_CAP_CTRL) & (1 << 9), ==, 1 << 9);
    for (int i = 0; i < ARRAY_SIZE(uncorrectable); i++) {
        uint32_t bit = 1u << uncorrectable[i].bit;
        bool fatal = i % 2;

        qcxl_writel(r.dev, r.aer + PCI_ERR_UNCOR_SEVER,
                    fatal ? PCI_ERR_UNC_INTN : 0);
        inject_one(&r, uncorrectable[i].name, 0x1000 * i + 1);
        g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, bit);
        check_first(&r, uncorrectable[i].bit, 0x1000 * i + 1);
        check_told(&r, fatal ? FATAL : NON_FATAL, PCI_ERR_UNC_INTN, 0);
        /* Other bits and zeroes clear nothing. */
        ras_write(&r, RAS_UNC_STATUS, RAS_ALL & ~bit);
        ras_write(&r, RAS_UNC_STATUS, 0);
        g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, bit);
        ras_write(&r, RAS_UNC_STATUS, bit);
        check_none(&r);
        g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, 0);
    }
    rig_end(&r);
}

/* A mask holds one error back and no other. */
static void test_masks(const void *opaque)
{
    Rig r;

    rig_start(&r, opaque);
    ras_write(&r, RAS_UNC_SEVER, 0x5a5a5a5a);
    g_assert_cmphex(ras_read(&r, RAS_UNC_SEVER), ==, 0x5a5a5a5a & RAS_ALL);
    for (int i = 0; i < ARRAY_SIZE(uncorrectable); i++) {
        uint32_t bit = 1u << uncorrectable[i].bit;

        ras_write(&r, RAS_UNC_MASK, bit);
        inject_one(&r, uncorrectable[i].name, 1);
        g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0);
        check_told(&r, 0, 0, 0);
        ras_write(&r, RAS_UNC_MASK, RAS_ALL & ~bit);
        inject_one(&r, uncorrectable[i].name, 1);
        g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, bit);
        check_told(&r, FATAL, PCI_ERR_UNC_INTN, 0);
        ras_write(&r, RAS_UNC_STATUS, bit);
    }
    rig_end(&r);
}

/* Several errors are shown one after the other (PCIe r6.0 section 6.2.4.2). */
static void test_records(const void *opaque)
{
    QList *list = qlist_new();
    Rig r;

    rig_start(&r, opaque);
    ras_write(&r, RAS_UNC_MASK, 1 << 9);
    add(list, "cache-data-ecc", 0x100, HEADER_DWORDS);
    add(list, "rsvd-encoding", 0x200, HEADER_DWORDS);
    add(list, "poison-received", 0x300, HEADER_DWORDS);
    add(list, "cache-data-ecc", 0x400, HEADER_DWORDS);
    inject(&r, list);
    /* One message for all of them */
    check_told(&r, FATAL, PCI_ERR_UNC_INTN, 0);
    inject_one(&r, "internal", 0x500);
    check_told(&r, FATAL, PCI_ERR_UNC_INTN, 0);

    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4408);
    check_first(&r, 3, 0x100);
    ras_write(&r, RAS_UNC_STATUS, 1 << 3);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4408);
    check_first(&r, 10, 0x300);
    ras_write(&r, RAS_UNC_STATUS, 1 << 10);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4008);
    check_first(&r, 3, 0x400);
    ras_write(&r, RAS_UNC_STATUS, 1 << 3);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4000);
    check_first(&r, 14, 0x500);
    ras_write(&r, RAS_UNC_STATUS, 1 << 14);
    check_none(&r);
    /* Clearing is told to nobody. */
    check_told(&r, 0, 0, 0);
    rig_end(&r);
}

/* Software that knows of no records clears what it has seen. */
static void test_clear_all(const void *opaque)
{
    QList *list = qlist_new();
    Rig r;

    rig_start(&r, opaque);
    add(list, "cache-data-ecc", 0x100, HEADER_DWORDS);
    add(list, "poison-received", 0x200, HEADER_DWORDS);
    add(list, "internal", 0x300, 2);
    add(list, "cache-data-ecc", 0x400, HEADER_DWORDS);
    inject(&r, list);
    /* Not the first one's: all records of it go */
    ras_write(&r, RAS_UNC_STATUS, 1 << 10);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4008);
    check_first(&r, 3, 0x100);
    ras_write(&r, RAS_UNC_STATUS, 1 << 3 | 1 << 10);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 1 << 14);
    /* A short header is filled up. */
    g_assert_cmpint(ras_read(&r, RAS_CAP_CTRL) & FIRST_ERROR, ==, 14);
    g_assert_cmphex(ras_read(&r, RAS_HEADER), ==, 0x300);
    g_assert_cmphex(ras_read(&r, RAS_HEADER + 4), ==, 0x301);
    g_assert_cmphex(ras_read(&r, RAS_HEADER + 8), ==, 0);
    ras_write(&r, RAS_UNC_STATUS, UINT32_MAX);
    check_none(&r);
    rig_end(&r);
}

static void test_correctable(const void *opaque)
{
    uint32_t all = 0;
    Rig r;

    rig_start(&r, opaque);
    for (int i = 0; i < ARRAY_SIZE(correctable); i++) {
        uint32_t bit = 1u << correctable[i].bit;

        ras_write(&r, RAS_COR_MASK, bit);
        check_good(inject_cor(&r, correctable[i].name));
        g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, all);
        check_told(&r, 0, 0, 0);
        ras_write(&r, RAS_COR_MASK, COR_ALL & ~bit);
        check_good(inject_cor(&r, correctable[i].name));
        all |= bit;
        g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, all);
        check_told(&r, PCI_ERR_ROOT_COR_RCV, 0, PCI_ERR_COR_INTERNAL);
    }
    ras_write(&r, RAS_COR_STATUS, 1 << 2);
    g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, all & ~(1 << 2));
    ras_write(&r, RAS_COR_STATUS, UINT32_MAX);
    g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, 0);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0);
    rig_end(&r);
}

/* The log has 16 DWORDs; behind it are other registers. */
static void test_long_header(const void *opaque)
{
    QList *list = qlist_new();
    Rig r;

    rig_start(&r, opaque);
    add(list, "internal", 0x1000, HEADER_DWORDS + 1);
    check_error(inject_at(&r, "/machine/peripheral/d0", list));
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0);
    check_told(&r, 0, 0, 0);
    inject_one(&r, "internal", 0x2000);
    check_first(&r, 14, 0x2000);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(qpci_io_readl(r.dev, r.bar, r.link + 4 * i), ==, 0);
    }
    rig_end(&r);
}

/* ---- Tests of cxl-type1-crypto alone ---- */

static void check_refused(Rig *r, const char *path, const char *why)
{
    QList *list = qlist_new();
    QDict *rsp;

    add(list, "internal", 0, 1);
    rsp = inject_at(r, path, list);
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), why));
    qmp_expect_error_and_unref(rsp, "GenericError");
}

/* Nothing of a list happens if a part of it cannot be. */
static void test_refused(void)
{
    QList *list = qlist_new();
    Rig r;

    rig_start(&r, &type1);
    add(list, "internal", 0, 1);
    add(list, "poison-received", 0, HEADER_DWORDS + 1);
    check_error(inject_at(&r, "/machine/peripheral/d0", list));
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0);
    inject(&r, qlist_new());
    check_told(&r, 0, 0, 0);

    check_refused(&r, "/machine/peripheral/rp0", "type 3 device");
    check_refused(&r, "/machine/nobody", "resolve");
    check_good(qtest_qmp(r.qts, "{'execute': 'x-cxl-type1-fault', 'arguments': "
                         "{'id': 'd0', 'fault': 'link-down'}}"));
    check_refused(&r, "/machine/peripheral/d0", "link of d0 is down");
    check_error(inject_cor(&r, "physical"));
    rig_end(&r);
}

/* An error that finds no room for a record is still one. */
static void test_no_room(void)
{
    QList *list = qlist_new();
    Rig r;

    rig_start(&r, &type1);
    for (unsigned i = 0; i < 16; i++) {
        add(list, "cache-data-ecc", 0x100 * i, HEADER_DWORDS);
    }
    add(list, "internal", 0x5000, HEADER_DWORDS);
    inject(&r, list);
    for (unsigned i = 0; i < 16; i++) {
        g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4008);
        check_first(&r, 3, 0x100 * i);
        ras_write(&r, RAS_UNC_STATUS, 1 << 3);
    }
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0x4000);
    g_assert_cmpint(ras_read(&r, RAS_CAP_CTRL) & FIRST_ERROR, ==, NO_ERROR);
    ras_write(&r, RAS_UNC_STATUS, 1 << 14);
    check_none(&r);
    rig_end(&r);
}

/* Records end with a conventional reset. */
static void test_reset(void)
{
    Rig r;

    rig_start(&r, &type1);
    inject_one(&r, "cache-data-ecc", 0x100);
    check_good(inject_cor(&r, "physical"));
    qcxl_secondary_reset(r.cxl);
    qpci_device_enable(r.dev);
    qcxl_writel(r.dev, PCI_BASE_ADDRESS_0 + 4 * type1.bar, r.bar.addr);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 0);
    g_assert_cmphex(ras_read(&r, RAS_COR_STATUS), ==, 0);
    g_assert_cmphex(ras_read(&r, RAS_HEADER), ==, 0);
    unmask(&r);
    inject_one(&r, "internal", 0x200);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, 1 << 14);
    check_first(&r, 14, 0x200);
    rig_end(&r);
}

/* The device works on, with its cache as it was. */
static void test_works_on(void)
{
    uint64_t src, dst;
    QDict *before, *after;
    QCTRig q;
    Rig r = { };

    qct_rig_start(&q, QCXL_SHARED_RAM, "");
    src = qct_alloc_source(&q, QCT_PAGE);
    dst = qct_alloc_filled(&q, QCT_PAGE, 0);
    qct_encrypt(q.t[0], src, dst, QCT_PAGE);
    r.qts = q.qts;
    r.cxl = q.t[0]->cxl;
    r.dev = q.t[0]->c->pci->pdev;
    r.bar = qpci_iomap(r.dev, type1.bar, NULL);
    r.ras = component_cap(&r, 2);
    r.aer = qcxl_find_ext_cap(r.dev, PCI_EXT_CAP_ID_ERR, 0);
    unmask(&r);
    before = qct_query(q.qts);
    for (int i = 0; i < ARRAY_SIZE(uncorrectable); i++) {
        QList *list = qlist_new();

        add(list, uncorrectable[i].name, i, HEADER_DWORDS);
        check_good(inject_at(&r, "/machine/peripheral/t0", list));
    }
    after = qct_query(q.qts);
    g_assert_true(qobject_is_equal(QOBJECT(before), QOBJECT(after)));
    qobject_unref(before);
    qobject_unref(after);
    g_assert_cmphex(ras_read(&r, RAS_UNC_STATUS), ==, RAS_ALL);
    g_assert_cmpuint(qct_crypt_to(q.t[0], src, dst, QCT_PAGE), ==,
                     VIRTIO_CRYPTO_OK);
    qct_rig_end(&q);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fn)(const void *opaque);
    } both[] = {
        { "each", test_each },
        { "masks", test_masks },
        { "records", test_records },
        { "clear-all", test_clear_all },
        { "correctable", test_correctable },
        { "long-header", test_long_header },
    };
    static const Kind *const kinds[] = { &type1, &type3 };

    g_test_init(&argc, &argv, NULL);
    for (int k = 0; k < ARRAY_SIZE(kinds); k++) {
        for (int i = 0; i < ARRAY_SIZE(both); i++) {
            g_autofree char *path = g_strdup_printf("/cxl-ras/%s/%s",
                                                    kinds[k]->name,
                                                    both[i].name);

            qtest_add_data_func(path, kinds[k], both[i].fn);
        }
    }
    qtest_add_func("/cxl-ras/type1/refused", test_refused);
    qtest_add_func("/cxl-ras/type1/no-room", test_no_room);
    qtest_add_func("/cxl-ras/type1/reset", test_reset);
    qtest_add_func("/cxl-ras/type1/works-on", test_works_on);
    return g_test_run();
}
