/*
 * QTest testcase for cxl-type1-crypto and the root port above it: registers,
 * resets, hot-plug, refused options
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The expected values stand here as numbers out of CXL r3.1, not as the
 * macros the device is made from.  Every capability is found by walking the
 * lists, as an operating system does.
 *
 * T77 and so on are the numbers of the cases in the project's list of
 * protocol tests.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/malloc-pc.h"
#include "libqos/virtio-crypto.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci/pci_ids.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qjson.h"

#define BACKEND     "-object cryptodev-backend-builtin,id=c0 "
#define TYPE1       "-device cxl-type1-crypto,bus=rp0,cryptodev=c0,id=t1"

#define DVSEC_DEVICE    0
#define DVSEC_GPF       5
#define DVSEC_FLEX_BUS  7
#define DVSEC_REG_LOC   8

/* Offsets in DVSEC 0 */
#define DEV_CAP         0x0a
#define DEV_CTRL        0x0c
#define DEV_STATUS      0x0e
#define DEV_CTRL2       0x10
#define DEV_STATUS2     0x12
#define DEV_LOCK        0x14
#define DEV_CAP2        0x16
#define DEV_DVSEC_LEN   0x3c

#define CTRL_RESET      0x0002
#define CTRL_RWL        0x4ff9
#define CTRL_CACHE_EN   0x0001
#define CTRL2_DISABLE   0x0001
#define CTRL2_WB_INV    0x0002
#define STATUS2_RESET   0x8000u
#define STATUS2_INVALID 0x0001u

/* Offsets in DVSEC 7 */
#define FB_CAP          0x0a
#define FB_CTRL         0x0c
#define FB_STATUS       0x0e

/* The CXL.cachemem registers of a cxl-rp of QEMU 11.1 after reset */
#define STOCK_PORT_SHA256                                                   \
    "068f86af0169d855ba17f79bcc503e848abf15e5940ae366f55986ef20124583"

/* Component registers: CXL.cachemem is behind 4 KiB of CXL.io */
#define COMPONENT_BAR   2
#define CACHEMEM        0x1000

typedef struct Machine {
    QTestState *qts;
    QCXL *cxl;
    QPCIDevice *dev;
} Machine;

static void machine_start(Machine *m, const char *rp_opts,
                          const char *dev_opts)
{
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP "%s "
                         BACKEND TYPE1 "%s", rp_opts, dev_opts);
    m->cxl = qcxl_new(m->qts);
    m->dev = qcxl_endpoint(m->cxl);
    g_assert_nonnull(m->dev);
}

static void machine_end(Machine *m)
{
    g_free(m->dev);
    qcxl_free(m->cxl);
    qtest_quit(m->qts);
}

/* As the specification has it after reset: no firmware has been there */
static void start(Machine *m)
{
    machine_start(m, ",cxl-cache=on", ",cache-enable=off");
}

/* A machine whose root port has @rp_opts and nothing below */
static void port_start(Machine *m, const char *rp_opts)
{
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP "%s "
                         BACKEND, rp_opts);
    m->cxl = qcxl_new(m->qts);
    m->dev = NULL;
}

static void plug(Machine *m)
{
    qtest_qmp_device_add(m->qts, "cxl-type1-crypto", "t1",
                         "{'bus': 'rp0', 'cryptodev': 'c0'}");
    qcxl_plugged(m->cxl);
}

static uint16_t dvsec(QPCIDevice *dev, int id)
{
    uint16_t off = qcxl_find_dvsec(dev, id);

    g_assert_cmphex(off, !=, 0);
    return off;
}

/* Without the reserved capability walk of libqos, which has 8-bit offsets */
static uint8_t pcie_cap(QPCIDevice *dev)
{
    uint8_t cap = qpci_find_capability(dev, PCI_CAP_ID_EXP, 0);

    g_assert_cmphex(cap, !=, 0);
    return cap;
}

static void flr(Machine *m)
{
    uint16_t devctl = pcie_cap(m->dev) + PCI_EXP_DEVCTL;

    g_assert_cmphex(qcxl_readl(m->dev, pcie_cap(m->dev) + PCI_EXP_DEVCAP) &
                    PCI_EXP_DEVCAP_FLR, !=, 0);
    qcxl_writew(m->dev, devctl, qcxl_readw(m->dev, devctl) |
                PCI_EXP_DEVCTL_BCR_FLR);
}

/* Identity: who binds to it, and what a CXL.cache function must not have */
static void test_identity(void)
{
    Machine m;
    uint16_t cls;

    start(&m);
    g_assert_cmphex(qcxl_readw(m.dev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qcxl_readw(m.dev, PCI_DEVICE_ID), ==, 0x1054);
    g_assert_cmphex(qcxl_readb(m.dev, PCI_REVISION_ID), ==, 1);
    cls = qcxl_readw(m.dev, PCI_CLASS_DEVICE);
    g_assert_cmphex(cls, ==, 0x1080);
    g_assert_cmphex(cls, !=, 0x0502);
    g_assert_cmphex(qcxl_readb(m.dev, PCI_INTERRUPT_PIN), ==, 0);
    g_assert_cmphex(qcxl_readw(m.dev, pcie_cap(m.dev) + PCI_EXP_FLAGS) &
                    PCI_EXP_FLAGS_TYPE, ==, PCI_EXP_TYPE_ENDPOINT << 4);
    g_assert_cmphex(qpci_find_capability(m.dev, PCI_CAP_ID_MSIX, 0), !=, 0);
    machine_end(&m);
}

static void test_bars(void)
{
    static const struct {
        int bar;
        uint32_t ones;    /* what is left of a write of all ones */
    } bars[] = {
        { 0, 0xfff80000 },                     /* window, for any cache */
        { 1, 0xfffff000 },                     /* MSI-X, 32 bit */
        { 2, 0xffff0004 }, { 3, 0xffffffff },  /* component, 64 bit */
        { 4, 0xffffc00c }, { 5, 0xffffffff },  /* virtio, 64 bit prefetch */
    };
    Machine m;

    start(&m);
    for (int i = 0; i < ARRAY_SIZE(bars); i++) {
        uint16_t off = PCI_BASE_ADDRESS_0 + 4 * bars[i].bar;

        qcxl_writel(m.dev, off, UINT32_MAX);
        g_assert_cmphex(qcxl_readl(m.dev, off), ==, bars[i].ones);
        g_assert_cmphex(bars[i].ones & PCI_BASE_ADDRESS_SPACE_IO &
                        -(bars[i].bar % 2 == 0), ==, 0);
    }
    machine_end(&m);
}

/* What a BAR that is not a 64-bit one's upper half takes of the window */
static uint64_t bar_size(QPCIDevice *dev, int bar)
{
    uint16_t off = PCI_BASE_ADDRESS_0 + 4 * bar;
    uint32_t ones;

    qcxl_writel(dev, off, UINT32_MAX);
    ones = qcxl_readl(dev, off);
    qcxl_writel(dev, off, 0);
    return -(uint64_t)(ones & PCI_BASE_ADDRESS_MEM_MASK) & UINT32_MAX;
}

/*
 * Issue 14, item 3: for every size that CXL Capability2 has, the BARs fit in
 * the smallest memory windows that a bridge can have, of 1 MiB each: then there
 * is room in a slot that was empty when firmware laid them out.
 */
static void test_bars_fit(void)
{
    static const uint64_t unit[] = { 64 * KiB, 1 * MiB };
    static const int count[] = {
        1, 2, 3, 5, 7, 16, 17, 31, 100, 127, 128, 129, 192, 241, 254, 255,
    };
    Machine m;

    port_start(&m, ",cxl-cache=on");
    for (int i = 0; i < ARRAY_SIZE(unit) * ARRAY_SIZE(count); i++) {
        uint64_t size = unit[i % 2] * count[i / 2];

        qtest_qmp_device_add(m.qts, "cxl-type1-crypto", "t1",
                             "{'bus': 'rp0', 'cryptodev': 'c0',"
                             " 'cache-size': %" PRIu64 "}", size);
        qcxl_plugged(m.cxl);
        m.dev = qcxl_endpoint(m.cxl);
        g_assert_nonnull(m.dev);
        g_assert_cmpuint(bar_size(m.dev, 0) + bar_size(m.dev, 1) +
                         bar_size(m.dev, 2), <=, 1 * MiB);
        g_assert_cmpuint(bar_size(m.dev, 4), <=, 1 * MiB);
        g_free(m.dev);
        m.dev = NULL;
        qcxl_unplug(m.cxl, "t1");
    }
    machine_end(&m);
}

/* T81: the list of extended capabilities, their versions and lengths */
static void test_ext_caps(void)
{
    static const struct {
        uint16_t id;
        int dvsec;
        uint8_t rev;
        uint16_t len;
    } caps[] = {
        { PCI_EXT_CAP_ID_ERR, -1 },
        { PCI_EXT_CAP_ID_DVSEC, DVSEC_DEVICE, 3, 0x3c },
        { PCI_EXT_CAP_ID_DVSEC, DVSEC_GPF, 0, 0x10 },
        { PCI_EXT_CAP_ID_DVSEC, DVSEC_FLEX_BUS, 2, 0x20 },
        { PCI_EXT_CAP_ID_DVSEC, DVSEC_REG_LOC, 0, 0x24 },
        { PCI_EXT_CAP_ID_DOE, -1 },
        { PCI_EXT_CAP_ID_DSN, -1 },
        { PCI_EXT_CAP_ID_ATS, -1 },
    };
    Machine m;
    uint32_t off = PCI_CONFIG_SPACE_SIZE, end = off;

    machine_start(&m, ",cxl-cache=on", ",ats=on");
    for (int i = 0; i < ARRAY_SIZE(caps); i++) {
        uint32_t hdr = qcxl_readl(m.dev, off);

        /* In ascending order, none inside its predecessor */
        g_assert_cmphex(off, >=, end);
        g_assert_cmphex(PCI_EXT_CAP_ID(hdr), ==, caps[i].id);
        g_assert_cmphex(PCI_EXT_CAP_VER(hdr), !=, 0);
        end = off + 8;
        if (caps[i].dvsec >= 0) {
            uint32_t hdr1 = qcxl_readl(m.dev, off + PCI_DVSEC_HEADER1);

            g_assert_cmphex(hdr1 & 0xffff, ==, 0x1e98);
            g_assert_cmphex((hdr1 >> 16) & 0xf, ==, caps[i].rev);
            g_assert_cmphex(hdr1 >> 20, ==, caps[i].len);
            g_assert_cmphex(qcxl_readw(m.dev, off + PCI_DVSEC_HEADER2), ==,
                            caps[i].dvsec);
            end = off + caps[i].len;
        }
        off = PCI_EXT_CAP_NEXT(hdr);
    }
    g_assert_cmphex(off, ==, 0);
    machine_end(&m);
}

static void check_dev_reset_values(Machine *m)
{
    uint16_t base = dvsec(m->dev, DVSEC_DEVICE);

    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_CAP), ==, 0xc043);
    /* Cache_Enable depends on "cache-enable", see test_cache_enable() */
    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_CTRL) & ~CTRL_CACHE_EN, ==,
                    CTRL_RESET);
    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_STATUS), ==, 0);
    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_CTRL2), ==, 0);
    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_STATUS2), ==,
                    STATUS2_RESET);
    g_assert_cmphex(qcxl_readw(m->dev, base + DEV_LOCK), ==, 0);
    /* No memory: no range, no default volatile state */
    for (int off = 0x18; off < DEV_DVSEC_LEN; off += 4) {
        g_assert_cmphex(qcxl_readl(m->dev, base + off), ==, 0);
    }
}

static void test_dev_reset_values(void)
{
    Machine m;

    start(&m);
    check_dev_reset_values(&m);
    machine_end(&m);
}

/* What can be written in a DVSEC; a dword that is not listed is read-only */
typedef struct DVSECMask {
    uint16_t offset;
    uint32_t rw;
} DVSECMask;

static void check_masks(QPCIDevice *dev, int id, uint16_t len,
                        const DVSECMask *masks)
{
    uint16_t base = dvsec(dev, id);

    for (uint16_t off = 0; off < len; off += 4) {
        uint32_t before = qcxl_readl(dev, base + off);
        uint32_t rw = 0;

        for (const DVSECMask *mask = masks; mask && mask->offset; mask++) {
            rw |= mask->offset == off ? mask->rw : 0;
        }
        qcxl_writel(dev, base + off, UINT32_MAX);
        g_assert_cmphex(qcxl_readl(dev, base + off), ==, before | rw);
        qcxl_writel(dev, base + off, 0);
        g_assert_cmphex(qcxl_readl(dev, base + off), ==, before & ~rw);
        for (int bit = 0; bit < 32; bit++) {
            uint32_t val = 1u << bit;

            qcxl_writel(dev, base + off, val);
            g_assert_cmphex(qcxl_readl(dev, base + off), ==,
                            (before & ~rw) | (val & rw));
            qcxl_writel(dev, base + off, ~val);
            g_assert_cmphex(qcxl_readl(dev, base + off), ==,
                            (before & ~rw) | (~val & rw));
        }
        for (int byte = 0; byte < 4; byte++) {
            qcxl_writeb(dev, base + off + byte, 0);
            g_assert_cmphex(qcxl_readb(dev, base + off + byte), ==,
                            (uint8_t)((before & ~rw) >> 8 * byte));
        }
    }
}

/*
 * Control2 comes before the lock, and its write-back bit reads as zero.  The
 * lock is written once: it stays, but nothing here is writable behind it.
 */
static void test_dev_masks(void)
{
    static const DVSECMask device[] = {
        { DEV_CTRL, CTRL_RWL },
        { }
    };
    Machine m;
    uint16_t base;

    start(&m);
    base = dvsec(m.dev, DVSEC_DEVICE);
    check_masks(m.dev, DVSEC_DEVICE, DEV_CTRL2, device);

    qcxl_writew(m.dev, base + DEV_CTRL2, 0xffff & ~CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readw(m.dev, base + DEV_CTRL2), ==, CTRL2_DISABLE);
    qcxl_writew(m.dev, base + DEV_CTRL2, 0);
    g_assert_cmphex(qcxl_readw(m.dev, base + DEV_CTRL2), ==, 0);

    qcxl_writew(m.dev, base + DEV_STATUS2, 0xffff);
    g_assert_cmphex(qcxl_readw(m.dev, base + DEV_STATUS2), ==, STATUS2_RESET);
    qcxl_writew(m.dev, base + DEV_LOCK, 0xfffe);
    g_assert_cmphex(qcxl_readw(m.dev, base + DEV_LOCK), ==, 0);
    for (int off = DEV_CAP2 + 2; off < DEV_DVSEC_LEN; off += 4) {
        qcxl_writel(m.dev, base + off, UINT32_MAX);
        g_assert_cmphex(qcxl_readl(m.dev, base + off), ==, 0);
    }

    check_masks(m.dev, DVSEC_GPF, 0x10, NULL);
    check_masks(m.dev, DVSEC_FLEX_BUS, 0x20, NULL);
    check_masks(m.dev, DVSEC_REG_LOC, 0x24, NULL);
    machine_end(&m);
}

/* T78: CONFIG_LOCK holds across FLR and not across a conventional reset */
static void test_lock(void)
{
    Machine m;
    uint16_t ctrl, lock;

    start(&m);
    ctrl = dvsec(m.dev, DVSEC_DEVICE) + DEV_CTRL;
    lock = dvsec(m.dev, DVSEC_DEVICE) + DEV_LOCK;

    qcxl_writew(m.dev, ctrl, CTRL_CACHE_EN);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);
    /* Byte accesses reach it as well */
    qcxl_writeb(m.dev, lock, 1);
    g_assert_cmphex(qcxl_readw(m.dev, lock), ==, 1);

    for (int bit = 0; bit < 16; bit++) {
        qcxl_writew(m.dev, ctrl, 1u << bit);
        g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==,
                        CTRL_RESET | CTRL_CACHE_EN);
    }
    qcxl_writel(m.dev, ctrl, 0xfffe);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);
    qcxl_writeb(m.dev, ctrl, 0);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);
    qcxl_writew(m.dev, lock, 0);
    g_assert_cmphex(qcxl_readw(m.dev, lock), ==, 1);
    /* Control2 is not locked */
    qcxl_writew(m.dev, ctrl - DEV_CTRL + DEV_CTRL2, CTRL2_DISABLE);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl - DEV_CTRL + DEV_CTRL2), ==,
                    CTRL2_DISABLE);

    flr(&m);
    g_assert_cmphex(qcxl_readw(m.dev, lock), ==, 1);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);
    qcxl_writew(m.dev, ctrl, 0);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);

    qcxl_secondary_reset(m.cxl);
    check_dev_reset_values(&m);
    qcxl_writew(m.dev, ctrl, CTRL_RWL);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_RWL);
    qcxl_writew(m.dev, lock, 1);

    qtest_system_reset(m.qts);
    qcxl_init(m.cxl);
    check_dev_reset_values(&m);
    qcxl_writew(m.dev, ctrl, CTRL_RWL);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_RWL);
    machine_end(&m);
}

/* T77, for a cache that is empty */
static void test_cache_control(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-type1-test-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(" -d guest_errors -D %s", log);
    g_autofree char *said = NULL;
    Machine m;
    uint16_t ctrl2, status2;

    machine_start(&m, ",cxl-cache=on", opts);
    ctrl2 = dvsec(m.dev, DVSEC_DEVICE) + DEV_CTRL2;
    status2 = dvsec(m.dev, DVSEC_DEVICE) + DEV_STATUS2;

    /* Undefined without Disable_Caching: ignored, and a guest error */
    qcxl_writew(m.dev, ctrl2, CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl2), ==, 0);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==, STATUS2_RESET);
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    g_assert_nonnull(strstr(said, "without Disable_Caching"));
    unlink(log);

    qcxl_writew(m.dev, ctrl2, CTRL2_DISABLE);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==, STATUS2_RESET);
    qcxl_writew(m.dev, ctrl2, CTRL2_DISABLE | CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl2), ==, CTRL2_DISABLE);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==,
                    STATUS2_RESET | STATUS2_INVALID);
    qcxl_writew(m.dev, status2, 0);
    qcxl_writew(m.dev, ctrl2, CTRL2_DISABLE);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==,
                    STATUS2_RESET | STATUS2_INVALID);

    /* A device that may cache again promises nothing about its cache */
    qcxl_writew(m.dev, ctrl2, 0);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==, STATUS2_RESET);

    /* Both bits in one write, as a dword with Status2, then as bytes */
    qcxl_writel(m.dev, ctrl2, CTRL2_DISABLE | CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readl(m.dev, ctrl2), ==,
                    CTRL2_DISABLE | (STATUS2_RESET | STATUS2_INVALID) << 16);
    qcxl_writeb(m.dev, ctrl2, 0);
    qcxl_writeb(m.dev, ctrl2, CTRL2_DISABLE | CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==,
                    STATUS2_RESET | STATUS2_INVALID);

    /* FLR has no effect on CXL.cache */
    flr(&m);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl2), ==, CTRL2_DISABLE);
    g_assert_cmphex(qcxl_readw(m.dev, status2), ==,
                    STATUS2_RESET | STATUS2_INVALID);
    qcxl_secondary_reset(m.cxl);
    check_dev_reset_values(&m);
    machine_end(&m);
}

static void test_cache_size(void)
{
    static const struct {
        const char *opts;
        uint64_t size;
    } sizes[] = {
        { "", 1 * MiB },
        { ",cache-size=64K", 64 * KiB },
        { ",cache-size=192K,cache-ways=3", 192 * KiB },
        { ",cache-size=960K,cache-ways=15", 960 * KiB },
        { ",cache-size=16M", 16 * MiB },
        { ",cache-size=128M", 128 * MiB },
        { ",cache-size=240M,cache-ways=15", 240 * MiB },
        /* Sets in any number, with the default ways */
        { ",cache-size=192K", 192 * KiB },
        { ",cache-size=16320K", 16320 * KiB },
        { ",cache-size=255M", 255 * MiB },
    };
    static const uint64_t units[] = { 0, 64 * KiB, 1 * MiB };
    Machine m;

    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint16_t cap2;

        machine_start(&m, ",cxl-cache=on", sizes[i].opts);
        cap2 = qcxl_readw(m.dev, dvsec(m.dev, DVSEC_DEVICE) + DEV_CAP2);
        g_assert_cmphex(cap2 & 0xf, <, ARRAY_SIZE(units));
        g_assert_cmphex(cap2 & 0xf0, ==, 0);
        g_assert_cmpuint((cap2 >> 8) * units[cap2 & 0xf], ==, sizes[i].size);

        /* Read-only, and still there after a reset */
        qcxl_writew(m.dev, dvsec(m.dev, DVSEC_DEVICE) + DEV_CAP2, ~cap2);
        qcxl_secondary_reset(m.cxl);
        g_assert_cmphex(qcxl_readw(m.dev, dvsec(m.dev, DVSEC_DEVICE) +
                                   DEV_CAP2), ==, cap2);
        machine_end(&m);
    }
}

static void check_flex_bus(QPCIDevice *dev, uint16_t cap, uint16_t ctrl,
                           uint16_t status)
{
    uint16_t base = dvsec(dev, DVSEC_FLEX_BUS);

    g_assert_cmphex(qcxl_readw(dev, base + FB_CAP), ==, cap);
    g_assert_cmphex(qcxl_readw(dev, base + FB_CTRL), ==, ctrl);
    g_assert_cmphex(qcxl_readw(dev, base + FB_STATUS), ==, status);
}

/* The negotiated protocols follow what is below the port */
static void test_flex_bus(void)
{
    Machine m;

    start(&m);
    check_flex_bus(m.dev, 0x23, 0x02, 0x23);
    check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x23);

    for (int i = 0; i < 3; i++) {
        qcxl_unplug(m.cxl, "t1");
        check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x06);
        plug(&m);
        check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x23);
        check_flex_bus(m.dev, 0x23, 0x02, 0x23);
        check_dev_reset_values(&m);
    }
    machine_end(&m);
}

/* Without the option, registers are what they are on a stock root port */
static void test_port_default(void)
{
    static const struct {
        const char *opts;
        uint16_t status;
    } ports[] = {
        { "", 0x06 },
        { ",cxl-cache=off", 0x06 },
        { ",x-256b-flit=off", 0x26 },
    };
    Machine m;

    for (int i = 0; i < ARRAY_SIZE(ports); i++) {
        port_start(&m, ports[i].opts);
        check_flex_bus(m.cxl->rp, 0x26, 0x02, ports[i].status);
        machine_end(&m);
    }
}

static void read_port_registers(const char *opts, uint32_t *regs, int num)
{
    Machine m;

    port_start(&m, opts);
    for (int i = 0; i < num; i++) {
        regs[i] = qpci_io_readl(m.cxl->rp, m.cxl->rp_bar, CACHEMEM + 4 * i);
    }
    machine_end(&m);
}

static void read_port_config(const char *opts, uint32_t *config)
{
    Machine m;

    port_start(&m, opts);
    for (int i = 0; i < 1024; i++) {
        config[i] = qcxl_readl(m.cxl->rp, 4 * i);
    }
    machine_end(&m);
}

/* Of the configuration space, the option shows in the Flex Bus DVSEC alone */
static void test_port_config(void)
{
    uint32_t by_default[1024], off[1024], on[1024];
    int differ = 0;

    read_port_config("", by_default);
    read_port_config(",cxl-cache=off", off);
    read_port_config(",cxl-cache=on", on);
    g_assert_cmpmem(by_default, sizeof(by_default), off, sizeof(off));
    for (int i = 0; i < ARRAY_SIZE(on); i++) {
        differ += on[i] != off[i];
    }
    /* Capability is in one dword, Control in the next */
    g_assert_cmpint(differ, ==, 2);
}

/* Returns: offset in CXL.cachemem of capability @id, 0 for none */
static uint16_t find_component_cap(const uint32_t *regs, uint16_t id)
{
    int n = regs[0] >> 24;

    for (int i = 1; i <= n; i++) {
        if ((regs[i] & 0xffff) == id) {
            return regs[i] >> 20;
        }
    }
    return 0;
}

/*
 * The snoop filter's capacity is the only component register that differs,
 * besides Timeout and Isolation, and with 256B flits, which are the default,
 * the Cache ID Decoder.
 */
static void test_snoop_filter(void)
{
    static const struct {
        const char *opts;
        uint32_t units;    /* of 64 KiB */
    } sizes[] = {
        { ",cxl-cache=on", 256 },
        { ",cxl-cache=on,x-256b-flit=off", 256 },
        { ",cxl-cache=on,x-256b-flit=off,cxl-cache-sf-size=64K", 1 },
        { ",cxl-cache=on,x-256b-flit=off,cxl-cache-sf-size=1G", 16384 },
    };
    uint32_t off[1024], on[1024];
    g_autofree char *sum = NULL;
    int snoop, timeout;

    read_port_registers("", off, ARRAY_SIZE(off));
    sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (void *)off,
                                      sizeof(off));
    g_assert_cmpstr(sum, ==, STOCK_PORT_SHA256);
    snoop = find_component_cap(off, 8) / 4;
    g_assert_cmpint(snoop, !=, 0);
    g_assert_cmphex(off[snoop], ==, 0);
    g_assert_cmphex(off[snoop + 1], ==, 0);

    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        read_port_registers(sizes[i].opts, on, ARRAY_SIZE(on));
        g_assert_cmphex(on[snoop], ==, 0);
        g_assert_cmphex(on[snoop + 1], ==, sizes[i].units);
        on[snoop + 1] = 0;
        timeout = find_component_cap(on, 0x09) / 4;
        g_assert_cmphex(on[0] >> 24, ==, 10);
        g_assert_cmphex(on[10], ==, (uint32_t)timeout << 22 | 0x10009);
        g_assert_cmphex(on[timeout], ==, 0x06041f00);
        if (!strstr(sizes[i].opts, "x-256b-flit")) {
            int decoder = find_component_cap(on, 0x0e) / 4;

            g_assert_cmphex(on[9], ==, (uint32_t)decoder << 22 | 0x1000e);
            on[9] = 0;
            memset(&on[decoder], 0, 0x30);
        }
        on[0] = off[0];
        on[10] = on[timeout] = 0;
        g_assert_cmpmem(on, sizeof(on), off, sizeof(off));
    }
}

static void test_register_locator(void)
{
    Machine m;
    uint16_t base;

    start(&m);
    base = dvsec(m.dev, DVSEC_REG_LOC);
    g_assert_cmphex(qcxl_readl(m.dev, base + 0x0c), ==,
                    1 << 8 | COMPONENT_BAR);
    for (int off = 0x10; off < 0x24; off += 4) {
        g_assert_cmphex(qcxl_readl(m.dev, base + off), ==, 0);
    }
    machine_end(&m);
}

static void check_component_mask(Machine *m, QPCIBar bar, int off,
                                 uint32_t reset, uint32_t rw)
{
    off += CACHEMEM;
    g_assert_cmphex(qpci_io_readl(m->dev, bar, off), ==, reset);
    qpci_io_writel(m->dev, bar, off, UINT32_MAX);
    g_assert_cmphex(qpci_io_readl(m->dev, bar, off), ==, reset | rw);
    qpci_io_writel(m->dev, bar, off, 0);
    g_assert_cmphex(qpci_io_readl(m->dev, bar, off), ==, reset & ~rw);
}

/* T81: exactly the RAS and Link capabilities, and what can be written */
static void test_component_registers(void)
{
    Machine m;
    QPCIBar bar;
    uint64_t size;
    uint32_t regs[64];
    int ras;

    start(&m);
    bar = qpci_iomap(m.dev, COMPONENT_BAR, &size);
    g_assert_cmphex(size, ==, 64 * KiB);
    qpci_device_enable(m.dev);
    for (int i = 0; i < ARRAY_SIZE(regs); i++) {
        regs[i] = qpci_io_readl(m.dev, bar, CACHEMEM + 4 * i);
    }

    /* ID 1, version 1, CXL.cachemem version 1, two capabilities */
    g_assert_cmphex(regs[0], ==, 0x02110001);
    g_assert_cmphex(regs[1] & 0xfffff, ==, 3 << 16 | 2);
    g_assert_cmphex(regs[2] & 0xffff, ==, 4);
    for (int i = 3; i < (regs[1] >> 20) / 4; i++) {
        g_assert_cmphex(regs[i], ==, 0);
    }

    ras = regs[1] >> 20;
    check_component_mask(&m, bar, ras + 0x00, 0, 0);             /* RW1C */
    check_component_mask(&m, bar, ras + 0x04, 0x1cfff, 0x1cfff); /* mask */
    check_component_mask(&m, bar, ras + 0x08, 0x1cfff, 0x1cfff); /* severity */
    check_component_mask(&m, bar, ras + 0x0c, 0, 0);             /* RW1C */
    check_component_mask(&m, bar, ras + 0x10, 0x7f, 0x7f);       /* mask */
    /* Everything else is read-only, and behind the capabilities zero */
    for (int off = 0; off < 0x1000; off += 4) {
        uint32_t reset = qpci_io_readl(m.dev, bar, CACHEMEM + off);

        if (off == ras + 0x04 || off == ras + 0x08 || off == ras + 0x10) {
            continue;
        }
        g_assert_true(off < 3 * 4 || off == ras + 0x14 || !reset);
        check_component_mask(&m, bar, off, reset, 0);
    }

    /* The masks have been cleared; FLR leaves them so */
    flr(&m);
    g_free(m.dev);
    m.dev = qcxl_endpoint(m.cxl);
    bar = qpci_iomap(m.dev, COMPONENT_BAR, NULL);
    qpci_device_enable(m.dev);
    g_assert_cmphex(qpci_io_readl(m.dev, bar, CACHEMEM + ras + 4), ==, 0);

    qcxl_secondary_reset(m.cxl);
    g_free(m.dev);
    m.dev = qcxl_endpoint(m.cxl);
    bar = qpci_iomap(m.dev, COMPONENT_BAR, NULL);
    qpci_device_enable(m.dev);
    g_assert_cmphex(qpci_io_readl(m.dev, bar, CACHEMEM + ras + 4), ==,
                    0x1cfff);
    machine_end(&m);
}

/* Accesses that no driver should make: any value, but no abort */
static void test_odd_accesses(void)
{
    Machine m;
    QPCIBar bar;

    start(&m);
    bar = qpci_iomap(m.dev, COMPONENT_BAR, NULL);
    qpci_device_enable(m.dev);
    for (int off = 0; off < 64 * KiB; off += 0x7fc) {
        qpci_io_writeb(m.dev, bar, off, 0xff);
        qpci_io_writew(m.dev, bar, off + 1, 0xffff);
        qpci_io_writeq(m.dev, bar, off & ~7, UINT64_MAX);
        qpci_io_readb(m.dev, bar, off + 3);
        qpci_io_readw(m.dev, bar, off + 1);
        qpci_io_readl(m.dev, bar, off + 2);
        qpci_io_readq(m.dev, bar, off & ~7);
    }
    for (int off = 0; off < 0x1000; off++) {
        qcxl_readb(m.dev, off);
        if (off < 0xfff) {
            qcxl_readw(m.dev, off);
        }
        if (off < 0xffd) {
            qcxl_readl(m.dev, off);
        }
    }
    g_assert_cmphex(qcxl_readw(m.dev, PCI_VENDOR_ID), ==, 0x1af4);
    machine_end(&m);
}

/* T79's register side: Cache_Enable is off after reset, and sticks */
static void test_cache_enable(void)
{
    Machine m;
    uint16_t ctrl;

    start(&m);
    ctrl = dvsec(m.dev, DVSEC_DEVICE) + DEV_CTRL;
    g_assert_cmphex(qcxl_readw(m.dev, ctrl) & CTRL_CACHE_EN, ==, 0);
    qcxl_writew(m.dev, ctrl, CTRL_RESET | CTRL_CACHE_EN);
    flr(&m);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET | CTRL_CACHE_EN);
    qcxl_secondary_reset(m.cxl);
    g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET);
    machine_end(&m);

    /* By default the device is as firmware would leave it, again and again */
    machine_start(&m, ",cxl-cache=on", "");
    for (int i = 0; i < 3; i++) {
        g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==,
                        CTRL_RESET | CTRL_CACHE_EN);
        qcxl_writew(m.dev, ctrl, 0);
        g_assert_cmphex(qcxl_readw(m.dev, ctrl), ==, CTRL_RESET);
        if (i == 1) {
            qtest_system_reset(m.qts);
            qcxl_init(m.cxl);
        } else {
            qcxl_secondary_reset(m.cxl);
        }
    }
    machine_end(&m);
}

/* T82: everything that signals an interrupt, with MSI-X off */
static void test_no_intx(void)
{
    static const uint8_t key[16] = "0123456789abcdef";
    Machine m;
    QGuestAllocator alloc;
    QVirtioCrypto *c;
    QVirtioCryptoReq req = {
        .out = { { (void *)key, 4 } },    /* far too short for a header */
        .in = { { (void *)key, 1 } },
    };
    uint64_t session;

    start(&m);
    pc_alloc_init(&alloc, m.qts, ALLOC_NO_FLAGS);
    c = qvirtio_crypto_new(m.qts, &alloc, qcxl_virtio_endpoint(m.cxl));
    g_assert_cmphex(qcxl_readw(m.dev, qpci_find_capability(m.dev,
                        PCI_CAP_ID_MSIX, 0) + PCI_MSIX_FLAGS) &
                    PCI_MSIX_FLAGS_ENABLE, ==, 0);
    qvirtio_crypto_start(c);

    /* A queue interrupt, then the ISR read that would take it back */
    g_assert_cmpuint(qvirtio_crypto_create_cipher(c,
                         VIRTIO_CRYPTO_CIPHER_AES_CBC,
                         VIRTIO_CRYPTO_OP_ENCRYPT, key, sizeof(key),
                         &session), ==, VIRTIO_CRYPTO_OK);
    g_assert_true(c->pci->vdev.bus->get_queue_isr_status(&c->pci->vdev,
                                                         c->vqs[0]));

    /* A configuration interrupt: the device says that it needs a reset */
    qvirtio_crypto_post(c, c->vqs[0], &req);
    g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_BROKEN);
    c->pci->vdev.bus->wait_config_isr_status(&c->pci->vdev,
                                             QVIRTIO_CRYPTO_TIMEOUT_US);

    /* INTx status never shows, and the pin cannot be written into being */
    for (int i = 0; i < 4; i++) {
        uint16_t cmd = qcxl_readw(m.dev, PCI_COMMAND);

        qcxl_writew(m.dev, PCI_COMMAND, cmd ^ PCI_COMMAND_INTX_DISABLE);
        qcxl_writeb(m.dev, PCI_INTERRUPT_PIN, 1);
        g_assert_cmphex(qcxl_readb(m.dev, PCI_INTERRUPT_PIN), ==, 0);
        g_assert_cmphex(qcxl_readw(m.dev, PCI_STATUS) & PCI_STATUS_INTERRUPT,
                        ==, 0);
    }
    qvirtio_crypto_stop(c);
    qvirtio_crypto_free(c);
    alloc_destroy(&alloc);
    machine_end(&m);
}

static uint16_t doe_cap(Machine *m)
{
    uint16_t doe = qcxl_find_ext_cap(m->dev, PCI_EXT_CAP_ID_DOE, 0);

    g_assert_cmphex(doe, !=, 0);
    return doe;
}

static const uint32_t cdat_request[] = { 0x00021e98, 3, 0x00000000 };

static void check_cdat(Machine *m)
{
    uint32_t rsp[16] = { };
    const uint8_t *table = (const uint8_t *)&rsp[3];
    uint8_t sum = 0;

    g_assert_cmpint(qcxl_doe(m->dev, doe_cap(m), cdat_request,
                             ARRAY_SIZE(cdat_request), rsp,
                             ARRAY_SIZE(rsp)), ==, 7);
    g_assert_cmphex(rsp[0], ==, 0x00021e98);
    g_assert_cmphex(rsp[1], ==, 7);
    /* Response 0, table type 0 (CDAT), no next entry */
    g_assert_cmphex(rsp[2], ==, 0xffff0000);
    /* A table that is its own header */
    g_assert_cmphex(rsp[3], ==, 16);
    for (int i = 0; i < 16; i++) {
        sum += table[i];
    }
    g_assert_cmphex(sum, ==, 0);
    g_assert_cmphex(table[5], !=, 0);
}

/* T83 */
static void test_cdat(void)
{
    static const uint32_t discovery[] = { 0x00000001, 3, 1 };
    Machine m;
    uint32_t rsp[16];

    start(&m);
    for (int i = 0; i < 3; i++) {
        check_cdat(&m);
    }
    g_assert_cmpint(qcxl_doe(m.dev, doe_cap(&m), discovery,
                             ARRAY_SIZE(discovery), rsp, ARRAY_SIZE(rsp)),
                    ==, 3);
    g_assert_cmphex(rsp[2], ==, 0x00021e98);
    machine_end(&m);
}

static void test_doe_bad_requests(void)
{
    static const struct {
        uint32_t dwords[3];
        int num;
    } bad[] = {
        { { 0x00021e98, 2, 0 }, 2 },             /* no entry named */
        { { 0x00021e98, 3, 0x00010000 }, 3 },    /* entry past the end */
        { { 0x00021e98, 3, 0xffff0000 }, 3 },
        { { 0x00021e98, 3, 0x00000100 }, 3 },    /* other table */
        { { 0x00021e98, 3, 0x00000001 }, 3 },    /* other request code */
        { { 0x00021e98, 4, 0 }, 3 },             /* lies about its length */
        { { 0x00021e98, 0, 0 }, 3 },             /* 2^18 dwords */
        { { 0x00031e98, 3, 0 }, 3 },             /* other type */
        { { 0x00021234, 3, 0 }, 3 },             /* other vendor */
        { { 0, 0, 0 }, 0 },                      /* nothing at all */
    };
    Machine m;
    uint32_t rsp[16];

    start(&m);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        g_assert_cmpint(qcxl_doe(m.dev, doe_cap(&m), bad[i].dwords,
                                 bad[i].num, rsp, ARRAY_SIZE(rsp)), ==, 0);
        qcxl_doe_abort(m.dev, doe_cap(&m));
        check_cdat(&m);
    }
    machine_end(&m);
}

/* A GO while a response waits is an error, however often it is repeated */
static void test_doe_go_again(void)
{
    Machine m;
    uint16_t doe;

    start(&m);
    doe = doe_cap(&m);
    for (int i = 0; i < ARRAY_SIZE(cdat_request); i++) {
        qcxl_writel(m.dev, doe + 0x10, cdat_request[i]);
    }
    qcxl_writel(m.dev, doe + 0x08, 1u << 31);
    g_assert_cmphex(qcxl_readl(m.dev, doe + 0x0c), ==, 1u << 31);
    /* Enough to fill the mailbox of 2^18 dwords, were they answered */
    for (int i = 0; i < (1 << 18) / 7 + 2; i++) {
        qcxl_writel(m.dev, doe + 0x08, 1u << 31);
    }
    g_assert_cmphex(qcxl_readl(m.dev, doe + 0x0c) & (1u << 2), !=, 0);

    qcxl_doe_abort(m.dev, doe);
    g_assert_cmphex(qcxl_readl(m.dev, doe + 0x0c), ==, 0);
    check_cdat(&m);
    machine_end(&m);
}

static void put_cdat_request(Machine *m)
{
    for (int i = 0; i < ARRAY_SIZE(cdat_request); i++) {
        qcxl_writel(m->dev, doe_cap(m) + 0x10, cdat_request[i]);
    }
    qcxl_writel(m->dev, doe_cap(m) + 0x08, 1u << 31);
}

/* What a driver does not do with the mailbox; an abort mends it */
static void test_doe_mailbox(void)
{
    Machine m;
    uint16_t doe;

    start(&m);
    doe = doe_cap(&m);

    /* Abort in the middle of a request, and of a response */
    qcxl_writel(m.dev, doe + 0x10, cdat_request[0]);
    qcxl_doe_abort(m.dev, doe);
    check_cdat(&m);
    put_cdat_request(&m);
    qcxl_writel(m.dev, doe + 0x14, 0);
    qcxl_doe_abort(m.dev, doe);
    check_cdat(&m);

    /* Take more out than there is */
    put_cdat_request(&m);
    for (int i = 0; i < 16; i++) {
        qcxl_readl(m.dev, doe + 0x14);
        qcxl_writel(m.dev, doe + 0x14, 0);
    }
    g_assert_cmphex(qcxl_readl(m.dev, doe + 0x0c) & (1u << 2), !=, 0);
    qcxl_doe_abort(m.dev, doe);
    check_cdat(&m);

    /* Accesses that are no dwords */
    for (int off = 0; off < 0x18; off++) {
        qcxl_readb(m.dev, doe + off);
        qcxl_readw(m.dev, doe + off);
        qcxl_readl(m.dev, doe + off);
        qcxl_writeb(m.dev, doe + off, 0xff);
        qcxl_writew(m.dev, doe + off, 0xffff);
    }
    qcxl_doe_abort(m.dev, doe);
    check_cdat(&m);
    machine_end(&m);
}

static uint64_t read_serial(Machine *m)
{
    uint16_t dsn = qcxl_find_ext_cap(m->dev, PCI_EXT_CAP_ID_DSN, 0);

    g_assert_cmphex(dsn, !=, 0);
    return qcxl_readl(m->dev, dsn + 4) |
           (uint64_t)qcxl_readl(m->dev, dsn + 8) << 32;
}

static void test_serial(void)
{
    Machine m;

    /* Chassis 0, slot 2 of the root port */
    start(&m);
    g_assert_cmphex(read_serial(&m), ==, 0x525400fffe000002);
    machine_end(&m);

    machine_start(&m, ",cxl-cache=on", ",sn=0x1122334455667788");
    g_assert_cmphex(read_serial(&m), ==, 0x1122334455667788);
    machine_end(&m);
}

static void test_aer(void)
{
    g_autofree char *said = NULL;
    Machine m;
    uint16_t aer;
    uint32_t mask;

    start(&m);
    aer = qcxl_find_ext_cap(m.dev, PCI_EXT_CAP_ID_ERR, 0);
    g_assert_cmphex(aer, !=, 0);
    mask = qcxl_readl(m.dev, aer + PCI_ERR_UNCOR_MASK);
    qcxl_writel(m.dev, aer + PCI_ERR_UNCOR_MASK, UINT32_MAX);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_UNCOR_MASK), !=, mask);
    qcxl_writel(m.dev, aer + PCI_ERR_UNCOR_STATUS, UINT32_MAX);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_UNCOR_STATUS), ==, 0);
    qcxl_writel(m.dev, aer + PCI_ERR_UNCOR_MASK, 0);

    /* An error is logged with its header; clearing it clears the log */
    said = qtest_hmp(m.qts, "pcie_aer_inject_error t1 POISON_TLP 1 2 3 4");
    g_test_message("%s", said);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_UNCOR_STATUS), ==,
                    PCI_ERR_UNC_POISON_TLP);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_HEADER_LOG), !=, 0);
    qcxl_writel(m.dev, aer + PCI_ERR_UNCOR_STATUS, PCI_ERR_UNC_POISON_TLP);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_UNCOR_STATUS), ==, 0);
    g_assert_cmphex(qcxl_readl(m.dev, aer + PCI_ERR_HEADER_LOG), ==, 0);
    machine_end(&m);

    /* Without the optional ones the rest still makes a list */
    machine_start(&m, ",cxl-cache=on", ",aer=off,ats=off");
    g_assert_cmphex(qcxl_find_ext_cap(m.dev, PCI_EXT_CAP_ID_ERR, 0), ==, 0);
    g_assert_cmphex(qcxl_find_ext_cap(m.dev, PCI_EXT_CAP_ID_ATS, 0), ==, 0);
    check_dev_reset_values(&m);
    check_cdat(&m);
    flr(&m);
    machine_end(&m);
}

/* T80, T84 and the other options that are refused, each with its reason */
static const struct {
    const char *name;
    const char *args;
    const char *message;
} refused[] = {
    {
        "pcie-root-bus",
        BACKEND "-device cxl-type1-crypto,bus=pcie.0,cryptodev=c0",
        "needs a CXL bus, but 'pcie.0' is not a CXL bus",
    }, {
        "pcie-root-port",
        BACKEND "-device pcie-root-port,id=p,slot=9 "
        "-device cxl-type1-crypto,bus=p,cryptodev=c0",
        "needs a CXL bus, but 'p' is not a CXL bus",
    }, {
        "pxb-cxl-bus",
        BACKEND "-device cxl-type1-crypto,bus=cxl.0,cryptodev=c0",
        "must be plugged into a cxl-rp or a cxl-downstream, not into a pxb-cxl",
    }, {
        "switch",
        BACKEND QCXL_RP ",cxl-cache=on -device cxl-upstream,bus=rp0,id=us "
        "-device cxl-downstream,bus=us,id=ds,slot=5 "
        "-device cxl-type1-crypto,bus=ds,cryptodev=c0",
        "'ds', a cxl-downstream on the way from cxl-type1-crypto to its host, "
        "does not offer CXL.cache",
    }, {
        "no-cxl-cache",
        BACKEND QCXL_RP " " TYPE1,
        "root port of bus 'rp0' does not offer CXL.cache",
    }, {
        "second-device",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",addr=1",
        "must be device 0, function 0",
    }, {
        "second-function",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",addr=0.1",
        "must be device 0, function 0",
    }, {
        "cache-size-0",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=0",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB, not 0 bytes",
    }, {
        "cache-size-1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=1",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB, not 1 bytes",
    }, {
        "cache-size-8E",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=8E",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB",
    }, {
        "cache-size-63K",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=63K",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB",
    }, {
        "cache-size-16384K-and-64K",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=16448K",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB",
    }, {
        "cache-size-256M",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=256M",
        "'cache-size' must be 1 to 255 times 64 KiB or 1 MiB",
    }, {
        "cache-ways-0",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-ways=0",
        "a cache of 16384 lines cannot have 0 ways",
    }, {
        "cache-ways-7",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-ways=7",
        "a cache of 16384 lines cannot have 7 ways",
    }, {
        "cache-ways-more-than-lines",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-ways=32768",
        "a cache of 16384 lines cannot have 32768 ways",
    }, {
        "cache-size-192K-7-ways",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=192K,cache-ways=7",
        "a cache of 3072 lines cannot have 7 ways",
    }, {
        "snoop-filter-67-units",
        BACKEND QCXL_RP ",cxl-cache=on,cxl-cache-sf-size=4288K " TYPE1,
        "'cxl-cache-sf-size' must be 1 to 63 times a power of two",
    }, {
        "writeback",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",writeback=never",
        "never",
    }, {
        "modern-pio-notify",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",modern-pio-notify=on",
        "must not claim I/O space: modern-pio-notify=on is not supported",
    }, {
        "legacy",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",disable-legacy=off",
        "has no legacy mode",
    }, {
        "no-modern",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",disable-modern=on",
        "has no legacy mode",
    }, {
        "sriov-vf",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",sriov-pf=x",
        "cannot be an SR-IOV virtual function",
    }, {
        "sriov-pf",
        BACKEND QCXL_RP ",cxl-cache=on "
        "-device virtio-net-pci,bus=rp0,addr=0.1,sriov-pf=t1 "
        TYPE1 ",multifunction=on",
        "cannot be an SR-IOV physical function",
    }, {
        "no-cryptodev",
        QCXL_RP ",cxl-cache=on -device cxl-type1-crypto,bus=rp0",
        "'cryptodev' must name a cryptodev backend object",
    }, {
        "busy-cryptodev",
        BACKEND QCXL_RP ",cxl-cache=on "
        "-device virtio-crypto-pci,bus=pcie.0,cryptodev=c0 " TYPE1,
        "cryptodev backend 'c0' is already in use",
    }, {
        "busy-cryptodev-type1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 " "
        "-device cxl-rp,port=1,bus=cxl.0,id=rp1,chassis=0,slot=3,cxl-cache=on "
        "-device cxl-type1-crypto,bus=rp1,cryptodev=c0",
        "cryptodev backend 'c0' is already in use",
    }, {
        "snoop-filter-size",
        QCXL_RP ",cxl-cache=on,cxl-cache-sf-size=65K",
        "'cxl-cache-sf-size' must be a multiple of 64 KiB",
    }, {
        "snoop-filter-size-0",
        QCXL_RP ",cxl-cache=on,cxl-cache-sf-size=0",
        "'cxl-cache-sf-size' must be a multiple of 64 KiB",
    }, {
        "field/05-switch-upstream-port",
        BACKEND QCXL_RP ",cxl-cache=on -device cxl-upstream,bus=rp0,id=us "
        "-device cxl-type1-crypto,bus=us,cryptodev=c0",
        "must be plugged into a cxl-rp or a cxl-downstream, not into a "
        "cxl-upstream",
    }, {
        "field/05-function-after",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",multifunction=on "
        "-device virtio-rng-pci,bus=rp0,addr=0.1",
        "cxl-type1-crypto must be the only function below its root port",
    }, {
        "field/05-function-before",
        BACKEND QCXL_RP ",cxl-cache=on "
        "-device virtio-rng-pci,bus=rp0,addr=0.1,multifunction=on "
        TYPE1 ",multifunction=on",
        "but there is a virtio-rng-pci at 0.1",
    }, {
        "field/05-device-after",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 " "
        "-device virtio-rng-pci,bus=rp0,addr=1",
        "cxl-type1-crypto must be the only function below its root port",
    }, {
        "field/05-device-before",
        BACKEND QCXL_RP ",cxl-cache=on "
        "-device virtio-rng-pci,bus=rp0,addr=1 " TYPE1,
        "but there is a virtio-rng-pci at 1.0",
    }, {
        "field/05-same-place",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 " "
        "-device virtio-rng-pci,bus=rp0",
        "cxl-type1-crypto must be the only function below its root port",
    }, {
        "field/05-vectors-0",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=0",
        "'vectors' must be 2 to 2048, not 0",
    }, {
        "field/05-vectors-1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=1",
        "'vectors' must be 2 to 2048, not 1",
    }, {
        "field/05-vectors-2049",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=2049",
        "'vectors' must be 2 to 2048, not 2049",
    }, {
        "field/05-vectors-5000",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=5000",
        "'vectors' must be 2 to 2048, not 5000",
    }, {
        "field/05-vectors-4294967294",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=4294967294",
        "'vectors' must be 2 to 2048, not 4294967294",
    }, {
        "field/05-snoop-filter-without-cache",
        QCXL_RP ",cxl-cache-sf-size=16M",
        "'cxl-cache-sf-size' is of a port that offers CXL.cache: "
        "cxl-cache=on is missing",
    }, {
        "realm-mecid-without-rme-cda",
        QCXL_RP ",cxl-cache=on,realm-mecid=7",
        "'realm-mecid' is of a port that lets Realm requests pass: "
        "rme-cda=on is missing",
    }, {
        "field/05-snoop-filter-with-cache-off",
        QCXL_RP ",cxl-cache=off,cxl-cache-sf-size=32M",
        "cxl-cache=on is missing",
    }, {
        "field/05-x-fault-is-nonsense",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=nonsense",
        "x-fault: there is no fault 'nonsense'; there are: request-error, "
        "wrong-status, poison",
    }, {
        "field/05-x-fault-is-",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=",
        "x-fault: there is no fault ''; there are: request-error",
    }, {
        "field/05-x-fault-is-hang-nowhere",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=hang:nowhere",
        "x-fault: there is no point 'nowhere'; there are: source-read, "
        "ownership, half-written, publication",
    }, {
        "field/05-x-fault-is-hang-ownership-many",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=hang:ownership:many",
        "x-fault: 'many' is not a number of requests",
    }, {
        "field/05-x-fault-is-poison-ownership--1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=poison:ownership:-1",
        "x-fault: '-1' is not a number of requests",
    }, {
        "field/05-x-fault-is-poison-ownership-1-2-3",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1
        ",x-fault=poison:ownership:1:2:3",
        "x-fault: '2:3' is not a number of requests",
    }, {
        "field/05-x-fault-is-poison-ownership-4294967296",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1
        ",x-fault=poison:ownership:4294967296",
        "x-fault: '4294967296' is not a number of requests",
    }, {
        "field/05-x-fault-is-hang-ownership-0-1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=hang:ownership:0:1",
        "x-fault: 'hang' takes no 'count'",
    }, {
        "field/05-x-fault-is-clear",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-fault=clear",
        "x-fault: 'clear' is not possible at startup",
    }, {
        "field/05-cache-is-maybe",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache=maybe",
        "does not accept value 'maybe'",
    }, {
        "field/05-cache-enable-is-2",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-enable=2",
        "expects 'on' or 'off'",
    }, {
        "field/05-writeback-is-",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",writeback=",
        "does not accept value ''",
    }, {
        "field/05-unplug-is-ask",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",unplug=ask",
        "does not accept value 'ask'",
    }, {
        "field/05-sn-is--1x",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",sn=-1x",
        "sn",
    }, {
        "field/05-sn-is-0x10000000000000000",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",sn=0x10000000000000000",
        "sn",
    }, {
        "field/05-cache-size-is--64K",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=-64K",
        "cache-size",
    }, {
        "field/05-cache-size-is-1.5Q",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-size=1.5Q",
        "cache-size",
    }, {
        "field/05-cache-ways-is--1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-ways=-1",
        "cache-ways",
    }, {
        "field/05-cache-ways-is-17",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache-ways=17",
        "cannot have 17 ways: 'cache-ways' must be 1 to 16 and divide",
    }, {
        "field/05-vectors-is-many",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",vectors=many",
        "vectors",
    }, {
        "field/05-aer-is-perhaps",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",aer=perhaps",
        "expects 'on' or 'off'",
    }, {
        "field/05-iommu_platform-is-perhaps",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",iommu_platform=perhaps",
        "expects 'on' or 'off'",
    }, {
        "field/05-window-is-all",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",window=all",
        "'window'",
    }, {
        "field/05-x-speed-is-3",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-speed=3",
        "does not accept value '3'",
    }, {
        "field/05-x-width-is-3",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",x-width=3",
        "does not accept value '3'",
    }, {
        "field/05-addr-is-32",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",addr=32",
        "addr",
    }, {
        "field/05-no-such-option-is-1",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",no-such-option=1",
        "no-such-option",
    }, {
        "field/05-cache-is-on",
        BACKEND QCXL_RP ",cxl-cache=on " TYPE1 ",cache=on",
        "lines of memory",
    }, {
        "field/05-port-cxl-cache-is-2",
        QCXL_RP ",cxl-cache=2",
        "expects 'on' or 'off'",
    }, {
        "field/05-port-cxl-cache-sf-size-is--64K",
        QCXL_RP ",cxl-cache-sf-size=-64K",
        "cxl-cache-sf-size",
    }, {
        "field/05-port-cxl-cache-sf-size-is-all",
        QCXL_RP ",cxl-cache-sf-size=all",
        "cxl-cache-sf-size",
    },
};

/* @opaque is an index into refused[]. */
static void test_refused(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);

    qcxl_check_refused(refused[i].args, refused[i].message);
}

#define ADD(props)                                                          \
    "{'execute': 'device_add', 'arguments': {'driver': 'cxl-type1-crypto'," \
    " 'bus': 'rp0', 'id': 't1'" props "}}"

/* A refusal at run time leaves nothing behind: the next try works */
static void test_refused_hotplug(void)
{
    static const struct {
        const char *cmd, *message;
    } bad[] = {
        { ADD(", 'cryptodev': 'c0', 'cache-size': 1"), "'cache-size'" },
        { ADD(", 'cryptodev': 'c0', 'cache-ways': 0"), "'cache-ways'" },
        { ADD(", 'cryptodev': 'c0', 'modern-pio-notify': true"), "I/O space" },
        { ADD(", 'cryptodev': 'c0', 'disable-modern': true"), "legacy mode" },
        { ADD(""), "'cryptodev'" },
    };
    Machine m;

    port_start(&m, ",cxl-cache=on");
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        QDict *rsp;

        qtest_qmp_send_raw(m.qts, "%s", bad[i].cmd);
        rsp = qtest_qmp_receive(m.qts);
        g_assert_true(qdict_haskey(rsp, "error"));
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                              "desc"), bad[i].message));
        qobject_unref(rsp);
        g_assert_null(qcxl_endpoint(m.cxl));
        check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x06);
    }
    plug(&m);
    m.dev = qcxl_endpoint(m.cxl);
    g_assert_nonnull(m.dev);
    check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x23);
    machine_end(&m);
}

#define CMD(name, args) "{'execute': '" name "', 'arguments': {" args "}}"

/* Other functions, at run time and in both orders */
static void test_function_hotplug(void)
{
    static const char *const others[] = { "0", "0.1", "0.7", "1", "1f.7" };
    Machine m;
    QDict *rsp;

    start(&m);
    for (int i = 0; i < ARRAY_SIZE(others); i++) {
        rsp = qtest_qmp(m.qts, CMD("device_add", "'driver': 'virtio-rng-pci',"
                                   "'bus': 'rp0', 'addr': %s"), others[i]);
        g_assert_true(qdict_haskey(rsp, "error"));
        g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                              "desc"), "only function"));
        qobject_unref(rsp);
    }
    qcxl_unplug(m.cxl, "t1");
    /* A function that is not 0 waits for that one. */
    qtest_qmp_device_add(m.qts, "virtio-rng-pci", "r1",
                         "{'bus': 'rp0', 'addr': '0.1'}");
    rsp = qtest_qmp(m.qts, CMD("device_add", "'driver': 'cxl-type1-crypto',"
                               "'bus': 'rp0', 'cryptodev': 'c0',"
                               "'multifunction': true"));
    g_assert_true(qdict_haskey(rsp, "error"));
    g_assert_nonnull(strstr(qdict_get_str(qdict_get_qdict(rsp, "error"),
                                          "desc"), "a virtio-rng-pci at 0.1"));
    qobject_unref(rsp);
    machine_end(&m);
}

/* What is shown as a default is what one gets. */
static void test_defaults(void)
{
    static const char *const on[] = {
        "aer", "iommu_platform", "cache-enable", "ioeventfd",
    };
    Machine m;
    QDict *rsp;

    start(&m);
    rsp = qtest_qmp(m.qts, CMD("device-list-properties",
                               "'typename': 'cxl-type1-crypto'"));
    for (int i = 0; i < ARRAY_SIZE(on); i++) {
        QListEntry *e;
        bool seen = false;

        QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), e) {
            QDict *info = qobject_to(QDict, qlist_entry_obj(e));

            if (!strcmp(qdict_get_str(info, "name"), on[i])) {
                g_test_message("%s", on[i]);
                g_assert_true(qdict_get_bool(info, "default-value"));
                seen = true;
            }
        }
        g_assert_true(seen);
    }
    qobject_unref(rsp);
    machine_end(&m);
}

/* Wrong words in the human monitor: one message, and nothing else happens. */
static void test_hmp_errors(void)
{
    static const struct {
        const char *cmd, *answer;
    } cases[] = {
        { "info cxl-type1-fault", "t1:\r\narmed no" },
        { "info cxl-type1-fault t9", "there is no CXL Type 1 device 't9'" },
        { "info cxl-type1-fault c0", "there is no CXL Type 1 device 'c0'" },
        { "cxl_type1_fault", "cxl_type1_fault" },
        { "cxl_type1_fault t1", "cxl_type1_fault" },
        { "cxl_type1_fault t1 nonsense",
          "there is no fault 'nonsense'; there are: request-error, " },
        { "cxl_type1_fault t1 hang nowhere",
          "there is no point 'nowhere'; there are: source-read, " },
        { "cxl_type1_fault t9 hang", "there is no CXL Type 1 device 't9'" },
        { "cxl_type1_fault t1 poison ownership -1",
          "integer is for 32-bit values" },
        { "cxl_type1_fault t1 poison ownership 4294967296",
          "integer is for 32-bit values" },
        { "cxl_type1_fault t1 poison ownership 0 4294967296",
          "integer is for 32-bit values" },
        { "cxl_type1_fault t1 poison ownership 0 0", "must be at least 1" },
        { "cxl_type1_fault t1 poison ownership many", "invalid char" },
        { "cxl_type1_fault t1 hang ownership 0 1", "takes no 'count'" },
        { "cxl_type1_fault t1 clear ownership", "takes effect at once" },
        { "info cxl-cache nonsense", "extraneous characters" },
    };
    Machine m;

    start(&m);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *said = qtest_hmp(m.qts, "%s", cases[i].cmd);
        g_autofree char *state = NULL;

        g_test_message("%s: %s", cases[i].cmd, said);
        if (!strstr(said, cases[i].answer)) {
            g_test_message("expected: %s", cases[i].answer);
            g_test_fail();
        }
        state = qtest_hmp(m.qts, "info cxl-type1-fault t1");
        g_assert_nonnull(strstr(state, "armed no, taken 0"));
    }
    machine_end(&m);

    port_start(&m, ",cxl-cache=on");
    {
        g_autofree char *none = qtest_hmp(m.qts, "info cxl-type1-fault");
        g_autofree char *cache = qtest_hmp(m.qts, "info cxl-cache");

        g_assert_nonnull(strstr(none, "There is no CXL Type 1 device"));
        g_assert_nonnull(strstr(cache, "has no CXL.cache device"));
    }
    machine_end(&m);
}

/* The virtio side of the endpoint that is there now, started */
static QVirtioCrypto *attach(Machine *m, QGuestAllocator *alloc)
{
    QVirtioCrypto *c = qvirtio_crypto_new(m->qts, alloc,
                                          qcxl_virtio_endpoint(m->cxl));

    qvirtio_crypto_start(c);
    return c;
}

/* FIPS 197 appendix B, as CBC with an IV of zeroes */
static void check_virtio(QVirtioCrypto *c)
{
    static const uint8_t key[16] = {
        0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
        0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c
    };
    static const uint8_t plain[16] = {
        0x32, 0x43, 0xf6, 0xa8, 0x88, 0x5a, 0x30, 0x8d,
        0x31, 0x31, 0x98, 0xa2, 0xe0, 0x37, 0x07, 0x34
    };
    static const uint8_t cipher[16] = {
        0x39, 0x25, 0x84, 0x1d, 0x02, 0xdc, 0x09, 0xfb,
        0xdc, 0x11, 0x85, 0x97, 0x19, 0x6a, 0x0b, 0x32
    };
    static const uint8_t iv[16];
    uint8_t dst[16] = { };
    uint64_t id;

    g_assert_cmpuint(qvirtio_crypto_create_cipher(c,
                         VIRTIO_CRYPTO_CIPHER_AES_CBC,
                         VIRTIO_CRYPTO_OP_ENCRYPT, key, sizeof(key), &id), ==,
                     VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(qvirtio_crypto_cipher(c, 0, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                           id, iv, sizeof(iv), plain, dst,
                                           sizeof(dst), NULL), ==,
                     VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(dst, sizeof(dst), cipher, sizeof(cipher));
}

static void sbr(Machine *m)
{
    qcxl_secondary_reset(m->cxl);
}

static void system_reset(Machine *m)
{
    qtest_system_reset(m->qts);
    qcxl_init(m->cxl);
}

/* A write to Bridge Control, all of which is in the dword at 0x3c */
static const struct {
    uint8_t offset;
    unsigned size;
} sbr_writes[] = {
    { PCI_BRIDGE_CONTROL, 1 }, { PCI_BRIDGE_CONTROL, 2 },
    { PCI_INTERRUPT_LINE, 4 },
};

static void write_sbr(Machine *m, int i, bool on)
{
    uint8_t off = sbr_writes[i].offset;
    uint32_t bit = PCI_BRIDGE_CTL_BUS_RESET << 8 * (PCI_BRIDGE_CONTROL - off);
    uint32_t val = qcxl_readl(m->cxl->rp, off) & ~bit;

    val |= on ? bit : 0;
    switch (sbr_writes[i].size) {
    case 1:
        qcxl_writeb(m->cxl->rp, off, val);
        break;
    case 2:
        qcxl_writew(m->cxl->rp, off, val);
        break;
    default:
        qcxl_writel(m->cxl->rp, off, val);
    }
    g_assert_cmphex(qcxl_readw(m->cxl->rp, PCI_BRIDGE_CONTROL) &
                    PCI_BRIDGE_CTL_BUS_RESET, ==,
                    on ? PCI_BRIDGE_CTL_BUS_RESET : 0);
}

/* Returns: whether the device, and nothing else of it, was reset */
static bool pulse_resets(Machine *m, QPCIDevice *dev, int i)
{
    bool kept;

    qcxl_writew(dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    qcxl_writel(dev, PCI_BASE_ADDRESS_1, 0xe0300000);
    write_sbr(m, i, true);
    write_sbr(m, i, false);
    kept = qcxl_readw(dev, PCI_COMMAND) & PCI_COMMAND_MEMORY;
    g_assert_cmphex(qcxl_readl(dev, PCI_BASE_ADDRESS_1), ==,
                    kept ? 0xe0300000 : 0);
    return !kept;
}

/* CXL r3.1 section 8.1.5.2 */
static void test_unmask_sbr(void)
{
    QGuestAllocator alloc;
    QVirtioCrypto *c;
    uint16_t lock;
    Machine m;

    start(&m);
    lock = dvsec(m.dev, DVSEC_DEVICE) + DEV_LOCK;
    g_assert_false(qcxl_unmask_sbr(m.cxl, false));
    for (int i = 0; i < ARRAY_SIZE(sbr_writes); i++) {
        qcxl_writew(m.dev, lock, 1);
        g_assert_false(pulse_resets(&m, m.dev, i));
        g_assert_cmphex(qcxl_readw(m.dev, lock), ==, 1);
        g_assert_false(qcxl_unmask_sbr(m.cxl, true));
        g_assert_true(pulse_resets(&m, m.dev, i));
        check_dev_reset_values(&m);
        g_assert_true(qcxl_unmask_sbr(m.cxl, false));
    }

    /* In use, and not disturbed */
    pc_alloc_init(&alloc, m.qts, ALLOC_NO_FLAGS);
    c = attach(&m, &alloc);
    check_virtio(c);
    write_sbr(&m, 1, true);
    check_virtio(c);
    write_sbr(&m, 1, false);
    check_virtio(c);
    qvirtio_crypto_stop(c);
    qvirtio_crypto_free(c);
    alloc_destroy(&alloc);

    /* Not sticky */
    qcxl_unmask_sbr(m.cxl, true);
    system_reset(&m);
    g_assert_false(qcxl_unmask_sbr(m.cxl, false));
    g_assert_false(pulse_resets(&m, m.dev, 0));
    machine_end(&m);
}

/* What is no CXL device has a link that knows no UnmaskSBR. */
static void test_sbr_pcie(void)
{
    Machine m;

    m.qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP
                       ",cxl-cache=on -device virtio-rng-pci,bus=rp0");
    m.cxl = qcxl_new(m.qts);
    m.dev = qcxl_endpoint(m.cxl);
    for (int i = 0; i < ARRAY_SIZE(sbr_writes); i++) {
        g_assert_true(pulse_resets(&m, m.dev, i));
    }
    machine_end(&m);
}

/* Whatever resets it, it is the same device afterwards, and works */
static void test_resets(void)
{
    static void (*const resets[])(Machine *m) = { flr, sbr, system_reset };
    QGuestAllocator alloc;
    QVirtioCrypto *c;
    Machine m;

    start(&m);
    pc_alloc_init(&alloc, m.qts, ALLOC_NO_FLAGS);
    for (int i = 0; i < 2 * ARRAY_SIZE(resets); i++) {
        c = attach(&m, &alloc);
        check_virtio(c);
        put_cdat_request(&m);

        resets[i % ARRAY_SIZE(resets)](&m);
        g_free(m.dev);
        m.dev = qcxl_endpoint(m.cxl);
        g_assert_cmphex(qcxl_readw(m.dev, PCI_COMMAND) &
                        (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER), ==, 0);
        qvirtio_crypto_release(c);
        qvirtio_crypto_free(c);

        g_assert_cmphex(qcxl_readb(m.dev, PCI_INTERRUPT_PIN), ==, 0);
        check_dev_reset_values(&m);
        check_flex_bus(m.dev, 0x23, 0x02, 0x23);
        check_flex_bus(m.cxl->rp, 0x27, 0x03, 0x23);
        qcxl_doe_abort(m.dev, doe_cap(&m));
        check_cdat(&m);
    }
    c = attach(&m, &alloc);
    check_virtio(c);
    qvirtio_crypto_stop(c);
    qvirtio_crypto_free(c);
    alloc_destroy(&alloc);
    machine_end(&m);
}

/* Unplugged while it is in use, locked, and has a DOE response waiting */
static void test_hotplug(void)
{
    QGuestAllocator alloc;
    QVirtioCrypto *c;
    Machine m;

    start(&m);
    pc_alloc_init(&alloc, m.qts, ALLOC_NO_FLAGS);
    for (int i = 0; i < 5; i++) {
        uint16_t base = dvsec(m.dev, DVSEC_DEVICE);

        c = attach(&m, &alloc);
        check_virtio(c);
        qcxl_writew(m.dev, base + DEV_CTRL, CTRL_CACHE_EN);
        qcxl_writew(m.dev, base + DEV_LOCK, 1);
        put_cdat_request(&m);

        qcxl_unplug(m.cxl, "t1");
        qvirtio_crypto_release(c);
        qvirtio_crypto_free(c);
        g_assert_null(qcxl_endpoint(m.cxl));

        plug(&m);
        check_dev_reset_values(&m);
        check_cdat(&m);
    }
    alloc_destroy(&alloc);
    machine_end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    qtest_add_func("/cxl-type1/identity", test_identity);
    qtest_add_func("/cxl-type1/bars", test_bars);
    qtest_add_func("/cxl-type1/field/03-bars-fit", test_bars_fit);
    qtest_add_func("/cxl-type1/ext-caps", test_ext_caps);
    qtest_add_func("/cxl-type1/device/reset-values", test_dev_reset_values);
    qtest_add_func("/cxl-type1/device/masks", test_dev_masks);
    qtest_add_func("/cxl-type1/device/lock", test_lock);
    qtest_add_func("/cxl-type1/device/cache-control", test_cache_control);
    qtest_add_func("/cxl-type1/device/cache-enable", test_cache_enable);
    qtest_add_func("/cxl-type1/device/cache-size", test_cache_size);
    qtest_add_func("/cxl-type1/flex-bus", test_flex_bus);
    qtest_add_func("/cxl-type1/port/default", test_port_default);
    qtest_add_func("/cxl-type1/port/config", test_port_config);
    qtest_add_func("/cxl-type1/port/snoop-filter", test_snoop_filter);
    qtest_add_func("/cxl-type1/register-locator", test_register_locator);
    qtest_add_func("/cxl-type1/component-registers",
                   test_component_registers);
    qtest_add_func("/cxl-type1/odd-accesses", test_odd_accesses);
    qtest_add_func("/cxl-type1/no-intx", test_no_intx);
    qtest_add_func("/cxl-type1/doe/cdat", test_cdat);
    qtest_add_func("/cxl-type1/doe/bad-requests", test_doe_bad_requests);
    qtest_add_func("/cxl-type1/doe/go-again", test_doe_go_again);
    qtest_add_func("/cxl-type1/doe/mailbox", test_doe_mailbox);
    qtest_add_func("/cxl-type1/serial", test_serial);
    qtest_add_func("/cxl-type1/aer", test_aer);
    qtest_add_func("/cxl-type1/resets", test_resets);
    qtest_add_func("/cxl-type1/field/06-unmask-sbr", test_unmask_sbr);
    qtest_add_func("/cxl-type1/field/06-sbr-pcie", test_sbr_pcie);
    qtest_add_func("/cxl-type1/hotplug", test_hotplug);
    qtest_add_func("/cxl-type1/refused-hotplug", test_refused_hotplug);
    qtest_add_func("/cxl-type1/field/05-function-hotplug",
                   test_function_hotplug);
    qtest_add_func("/cxl-type1/field/05-defaults", test_defaults);
    qtest_add_func("/cxl-type1/field/05-monitor", test_hmp_errors);
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type1/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(path, GINT_TO_POINTER(i), test_refused);
    }
    return g_test_run();
}
