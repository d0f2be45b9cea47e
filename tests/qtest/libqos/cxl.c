/*
 * libqos support for CXL hierarchies
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/bswap.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_regs.h"
#include "hw/pci-host/q35.h"
#include "cxl.h"

/* Where firmware puts things, or finds them */
typedef struct QCXLMap {
    uint32_t ecam;
    uint32_t port_mmio;
    uint32_t window;    /* what a root port forwards to what is below it */
} QCXLMap;

/* Each of QCXL_MAX_PORTS has as much of both. */
#define PORT_SIZE       0x04000000u

#define CXL_VENDOR_ID   0x1e98

/* Extensions DVSEC for Ports, its Control */
#define PORT_EXT_DVSEC  3
#define PORT_EXT_CTRL   0x0c
#define UNMASK_SBR      (1u << 0)

#define DOE_CTRL        0x08
#define DOE_CTRL_ABORT  (1u << 0)
#define DOE_CTRL_GO     (1u << 31)
#define DOE_STATUS      0x0c
#define DOE_STATUS_BUSY (1u << 0)
#define DOE_STATUS_ERR  (1u << 2)
#define DOE_STATUS_RDY  (1u << 31)
#define DOE_WRITE       0x10
#define DOE_READ        0x14

/* Of the machines of this architecture */
static const QCXLMap *map;

/* In this file a devfn has the bus number in bits 15:8. */
static uint64_t ecam_addr(int devfn, uint16_t off)
{
    return map->ecam + ((uint64_t)devfn << 12) + off;
}

static uint8_t ecam_readb(QPCIBus *bus, int devfn, uint8_t off)
{
    return qtest_readb(bus->qts, ecam_addr(devfn, off));
}

static uint16_t ecam_readw(QPCIBus *bus, int devfn, uint8_t off)
{
    return qtest_readw(bus->qts, ecam_addr(devfn, off));
}

static uint32_t ecam_readl(QPCIBus *bus, int devfn, uint8_t off)
{
    return qtest_readl(bus->qts, ecam_addr(devfn, off));
}

static void ecam_writeb(QPCIBus *bus, int devfn, uint8_t off, uint8_t val)
{
    qtest_writeb(bus->qts, ecam_addr(devfn, off), val);
}

static void ecam_writew(QPCIBus *bus, int devfn, uint8_t off, uint16_t val)
{
    qtest_writew(bus->qts, ecam_addr(devfn, off), val);
}

static void ecam_writel(QPCIBus *bus, int devfn, uint8_t off, uint32_t val)
{
    qtest_writel(bus->qts, ecam_addr(devfn, off), val);
}

static void mem_read(QPCIBus *bus, uint32_t addr, void *buf, size_t len)
{
    qtest_memread(bus->qts, addr, buf, len);
}

static void mem_write(QPCIBus *bus, uint32_t addr, const void *buf, size_t len)
{
    qtest_memwrite(bus->qts, addr, buf, len);
}

uint8_t qcxl_readb(QPCIDevice *dev, uint16_t off)
{
    return qtest_readb(dev->bus->qts, ecam_addr(dev->devfn, off));
}

uint16_t qcxl_readw(QPCIDevice *dev, uint16_t off)
{
    return qtest_readw(dev->bus->qts, ecam_addr(dev->devfn, off));
}

uint32_t qcxl_readl(QPCIDevice *dev, uint16_t off)
{
    return qtest_readl(dev->bus->qts, ecam_addr(dev->devfn, off));
}

void qcxl_writeb(QPCIDevice *dev, uint16_t off, uint8_t val)
{
    qtest_writeb(dev->bus->qts, ecam_addr(dev->devfn, off), val);
}

void qcxl_writew(QPCIDevice *dev, uint16_t off, uint16_t val)
{
    qtest_writew(dev->bus->qts, ecam_addr(dev->devfn, off), val);
}

void qcxl_writel(QPCIDevice *dev, uint16_t off, uint32_t val)
{
    qtest_writel(dev->bus->qts, ecam_addr(dev->devfn, off), val);
}

static void bus_init(QPCIBus *bus, QTestState *qts, uint64_t mmio,
                     uint64_t mmio_end)
{
    /* No port I/O: nothing on a CXL bus may ask for it. */
    *bus = (QPCIBus) {
        .memread = mem_read,
        .memwrite = mem_write,
        .config_readb = ecam_readb,
        .config_readw = ecam_readw,
        .config_readl = ecam_readl,
        .config_writeb = ecam_writeb,
        .config_writew = ecam_writew,
        .config_writel = ecam_writel,
        .qts = qts,
        .mmio_alloc_ptr = mmio,
        .mmio_limit = mmio_end,
    };
}

static const QCXLMap map_q35 = {
    .ecam = 0xb0000000,
    .port_mmio = 0xc0000000,
    .window = 0xe0000000,
};

/* With highmem-ecam=off: all of it is below 4 GiB */
static const QCXLMap map_virt = {
    .ecam = 0x3f000000,
    .port_mmio = 0x10000000,
    .window = 0x20000000,
};

/* On q35 ECAM is off after reset, so this one goes through the I/O ports. */
static void enable_ecam(QTestState *qts)
{
    if (g_str_equal(qtest_get_arch(), "aarch64")) {
        map = &map_virt;
        return;
    }
    map = &map_q35;
    qtest_outl(qts, 0xcf8, (1u << 31) | (MCH_HOST_BRIDGE_PCIEXBAR + 4));
    qtest_outl(qts, 0xcfc, 0);
    qtest_outl(qts, 0xcf8, (1u << 31) | MCH_HOST_BRIDGE_PCIEXBAR);
    qtest_outl(qts, 0xcfc, map->ecam | MCH_HOST_BRIDGE_PCIEXBAREN);
}

/* The bus below the root port */
static int endpoint_bus(const QCXL *cxl)
{
    return QCXL_BUS_NR + 1 + cxl->port;
}

void qcxl_bus_init(QPCIBus *bus, QTestState *qts, uint64_t mmio,
                   uint64_t mmio_end)
{
    enable_ecam(qts);
    bus_init(bus, qts, mmio, mmio_end);
}

void qcxl_init(QCXL *cxl)
{
    uint32_t mmio, window;
    QPCIDevice *rp;

    enable_ecam(cxl->qts);
    mmio = map->port_mmio + cxl->port * PORT_SIZE;
    window = map->window + cxl->port * PORT_SIZE;
    bus_init(&cxl->port_bus, cxl->qts, mmio, mmio + PORT_SIZE);
    bus_init(&cxl->bus, cxl->qts, window, window + PORT_SIZE);

    g_free(cxl->rp);
    rp = cxl->rp = qpci_device_find(&cxl->port_bus,
                                    QCXL_BUS_NR << 8 | cxl->port << 3);
    g_assert_nonnull(rp);
    g_assert_cmphex(qpci_config_readw(rp, PCI_CLASS_DEVICE), ==,
                    PCI_CLASS_BRIDGE_PCI);

    qpci_config_writeb(rp, PCI_PRIMARY_BUS, QCXL_BUS_NR);
    qpci_config_writeb(rp, PCI_SECONDARY_BUS, endpoint_bus(cxl));
    qpci_config_writeb(rp, PCI_SUBORDINATE_BUS, endpoint_bus(cxl));
    qpci_config_writew(rp, PCI_MEMORY_BASE, window >> 16);
    qpci_config_writew(rp, PCI_MEMORY_LIMIT, (window + PORT_SIZE - 1) >> 16);
    /* A window whose limit is below its base is closed. */
    qpci_config_writew(rp, PCI_PREF_MEMORY_BASE, 0xfff0);
    qpci_config_writew(rp, PCI_PREF_MEMORY_LIMIT, 0);

    cxl->rp_bar = qpci_iomap(rp, 0, NULL);
    qpci_config_writew(rp, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

QCXL *qcxl_new_port(QTestState *qts, int port)
{
    QCXL *cxl = g_new0(QCXL, 1);

    g_assert_cmpint(port, <, QCXL_MAX_PORTS);
    cxl->qts = qts;
    cxl->port = port;
    qcxl_init(cxl);
    return cxl;
}

QCXL *qcxl_new(QTestState *qts)
{
    return qcxl_new_port(qts, 0);
}

void qcxl_free(QCXL *cxl)
{
    if (cxl) {
        g_free(cxl->rp);
        g_free(cxl);
    }
}

QPCIDevice *qcxl_endpoint(QCXL *cxl)
{
    return qpci_device_find(&cxl->bus, endpoint_bus(cxl) << 8);
}

QVirtioPCIDevice *qcxl_virtio_endpoint(QCXL *cxl)
{
    QPCIAddress addr = { .devfn = endpoint_bus(cxl) << 8 };

    return virtio_pci_new(&cxl->bus, &addr);
}

bool qcxl_unmask_sbr(QCXL *cxl, bool on)
{
    uint16_t reg = qcxl_find_dvsec(cxl->rp, PORT_EXT_DVSEC) + PORT_EXT_CTRL;
    uint16_t ctrl = qcxl_readw(cxl->rp, reg);

    qcxl_writew(cxl->rp, reg, on ? ctrl | UNMASK_SBR : ctrl & ~UNMASK_SBR);
    return ctrl & UNMASK_SBR;
}

void qcxl_secondary_reset(QCXL *cxl)
{
    uint16_t ctl = qpci_config_readw(cxl->rp, PCI_BRIDGE_CONTROL);
    bool before = qcxl_unmask_sbr(cxl, true);

    qpci_config_writew(cxl->rp, PCI_BRIDGE_CONTROL,
                       ctl | PCI_BRIDGE_CTL_BUS_RESET);
    qpci_config_writew(cxl->rp, PCI_BRIDGE_CONTROL,
                       ctl & ~PCI_BRIDGE_CTL_BUS_RESET);
    qcxl_unmask_sbr(cxl, before);
}

/* The slot's power and its indicator, and the events acknowledged */
static void slot_power(QCXL *cxl, bool on)
{
    uint8_t exp = qpci_find_capability(cxl->rp, PCI_CAP_ID_EXP, 0);
    uint16_t ctl = qpci_config_readw(cxl->rp, exp + PCI_EXP_SLTCTL);

    ctl &= ~(PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC);
    ctl |= on ? PCI_EXP_SLTCTL_PWR_ON | PCI_EXP_SLTCTL_PWR_IND_ON :
                PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;
    qpci_config_writew(cxl->rp, exp + PCI_EXP_SLTCTL, ctl);
    qpci_config_writew(cxl->rp, exp + PCI_EXP_SLTSTA,
                       qpci_config_readw(cxl->rp, exp + PCI_EXP_SLTSTA));
}

void qcxl_unplug(QCXL *cxl, const char *id)
{
    qtest_qmp_device_del_send(cxl->qts, id);
    slot_power(cxl, false);
    qtest_qmp_eventwait(cxl->qts, "DEVICE_DELETED");
}

void qcxl_plugged(QCXL *cxl)
{
    slot_power(cxl, true);
}

uint16_t qcxl_find_ext_cap(QPCIDevice *dev, uint16_t id, uint16_t start)
{
    uint16_t off = PCI_CONFIG_SPACE_SIZE;

    if (start) {
        off = PCI_EXT_CAP_NEXT(qcxl_readl(dev, start));
    }
    while (off) {
        uint32_t hdr = qcxl_readl(dev, off);

        if (!hdr) {
            return 0;
        }
        if (PCI_EXT_CAP_ID(hdr) == id) {
            return off;
        }
        off = PCI_EXT_CAP_NEXT(hdr);
    }
    return 0;
}

uint16_t qcxl_find_dvsec(QPCIDevice *dev, uint16_t id)
{
    uint16_t off = 0;

    while ((off = qcxl_find_ext_cap(dev, PCI_EXT_CAP_ID_DVSEC, off))) {
        if (qcxl_readw(dev, off + PCI_DVSEC_HEADER1) == CXL_VENDOR_ID &&
            qcxl_readw(dev, off + PCI_DVSEC_HEADER2) == id) {
            return off;
        }
    }
    return 0;
}

int qcxl_doe(QPCIDevice *dev, uint16_t doe, const uint32_t *req,
             unsigned num_req, uint32_t *rsp, unsigned max_rsp)
{
    unsigned i;

    g_assert_cmphex(qcxl_readl(dev, doe + DOE_STATUS) & DOE_STATUS_BUSY,
                    ==, 0);
    for (i = 0; i < num_req; i++) {
        qcxl_writel(dev, doe + DOE_WRITE, req[i]);
    }
    qcxl_writel(dev, doe + DOE_CTRL, DOE_CTRL_GO);

    for (i = 0; qcxl_readl(dev, doe + DOE_STATUS) & DOE_STATUS_RDY; i++) {
        uint32_t val = qcxl_readl(dev, doe + DOE_READ);

        g_assert_cmpuint(i, <, max_rsp);
        rsp[i] = val;
        /* Any write takes the dword out of the mailbox. */
        qcxl_writel(dev, doe + DOE_READ, 0);
    }
    if (qcxl_readl(dev, doe + DOE_STATUS) & DOE_STATUS_ERR) {
        return -1;
    }
    return i;
}

void qcxl_doe_abort(QPCIDevice *dev, uint16_t doe)
{
    qcxl_writel(dev, doe + DOE_CTRL, DOE_CTRL_ABORT);
}

char *qcxl_refusal(const char *args)
{
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -accel qtest "
        QCXL_MACHINE QCXL_PXB "%s -device no-such-device",
        qtest_qemu_binary(NULL), args);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    char *err = NULL;
    int status;

    g_assert_true(g_shell_parse_argv(line, NULL, &argv, &error));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH |
                               G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               &err, &status, &error));
    g_assert_no_error(error);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    return err;
}

void qcxl_check_refused(const char *args, const char *message)
{
    g_autofree char *err = qcxl_refusal(args);

    if (!strstr(err, message)) {
        g_test_message("expected: %s", message);
        g_test_message("got: %s", err);
        g_test_fail();
    }
}

#ifdef CONFIG_POSIX
uint8_t *qcxl_map_memfd(QTestState *qts, const char *name, size_t size)
{
    g_autofree char *dir = g_strdup_printf("/proc/%d/fd",
                                           (int)qtest_pid(qts));
    g_autofree char *start = g_strdup_printf("/memfd:%s", name);
    GDir *fds = g_dir_open(dir, 0, NULL);
    const char *entry;
    void *mem = NULL;

    g_assert_nonnull(fds);
    while (!mem && (entry = g_dir_read_name(fds))) {
        g_autofree char *path = g_strdup_printf("%s/%s", dir, entry);
        g_autofree char *target = g_file_read_link(path, NULL);
        int fd;

        if (!target || !g_str_has_prefix(target, start)) {
            continue;
        }
        fd = open(path, O_RDWR);
        g_assert_cmpint(fd, >=, 0);
        mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        g_assert_true(mem != MAP_FAILED);
        close(fd);
    }
    g_dir_close(fds);
    g_assert_nonnull(mem);
    return mem;
}
#endif
