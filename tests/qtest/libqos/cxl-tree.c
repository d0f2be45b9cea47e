/*
 * libqos support for CXL hierarchies with switches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "hw/pci/pci.h"
#include "hw/pci/pci_regs.h"
#include "cxl-tree.h"

#define MMIO_BASE       0xc0000000u
#define MMIO_END        0xf0000000u
#define WINDOW_ALIGN    0x00100000u

static void align_mmio(QCXLTree *t)
{
    t->bus.mmio_alloc_ptr = ROUND_UP(t->bus.mmio_alloc_ptr, WINDOW_ALIGN);
}

static void scan_bus(QCXLTree *t, uint8_t bus);

static void set_up_bridge(QCXLTree *t, QCXLNode *n)
{
    QPCIDevice *dev = n->dev;
    uint32_t start;

    n->secondary = t->next_bus++;
    qpci_config_writeb(dev, PCI_PRIMARY_BUS, n->bus);
    qpci_config_writeb(dev, PCI_SECONDARY_BUS, n->secondary);
    qpci_config_writeb(dev, PCI_SUBORDINATE_BUS, 0xff);
    align_mmio(t);
    start = t->bus.mmio_alloc_ptr;
    scan_bus(t, n->secondary);
    /* Room for what is plugged in later */
    t->bus.mmio_alloc_ptr += WINDOW_ALIGN;
    align_mmio(t);
    qpci_config_writeb(dev, PCI_SUBORDINATE_BUS, t->next_bus - 1);
    qpci_config_writew(dev, PCI_MEMORY_BASE, start >> 16);
    qpci_config_writew(dev, PCI_MEMORY_LIMIT,
                       (t->bus.mmio_alloc_ptr - 1) >> 16);
    /* A window whose limit is below its base is closed. */
    qpci_config_writew(dev, PCI_PREF_MEMORY_BASE, 0xfff0);
    qpci_config_writew(dev, PCI_PREF_MEMORY_LIMIT, 0);
    qpci_config_writew(dev, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static void scan_bus(QCXLTree *t, uint8_t bus)
{
    unsigned first = t->num, end;

    for (unsigned slot = 0; slot < 32; slot++) {
        QPCIDevice *dev = qpci_device_find(&t->bus, bus << 8 | slot << 3);

        if (!dev) {
            continue;
        }
        g_assert_cmpuint(t->num, <, ARRAY_SIZE(t->node));
        t->node[t->num++] = (QCXLNode) {
            .dev = dev, .bus = bus, .slot = slot,
            .bridge = qpci_config_readw(dev, PCI_CLASS_DEVICE) ==
                      PCI_CLASS_BRIDGE_PCI,
        };
    }
    end = t->num;
    /* What is on this bus comes before the windows to others. */
    for (unsigned i = first; i < end; i++) {
        t->node[i].registers = qpci_iomap(t->node[i].dev, 0, NULL);
    }
    for (unsigned i = first; i < end; i++) {
        if (t->node[i].bridge) {
            set_up_bridge(t, &t->node[i]);
        }
    }
}

QCXLTree *qcxl_tree_new(QTestState *qts)
{
    QCXLTree *t = g_new0(QCXLTree, 1);

    t->qts = qts;
    t->next_bus = QCXL_BUS_NR + 1;
    qcxl_bus_init(&t->bus, qts, MMIO_BASE, MMIO_END);
    scan_bus(t, QCXL_BUS_NR);
    return t;
}

void qcxl_tree_free(QCXLTree *t)
{
    for (unsigned i = 0; i < t->num; i++) {
        g_free(t->node[i].dev);
    }
    g_free(t);
}

QCXLNode *qcxl_tree_find(QCXLTree *t, uint8_t bus, uint8_t slot)
{
    for (unsigned i = 0; i < t->num; i++) {
        if (t->node[i].bus == bus && t->node[i].slot == slot) {
            return &t->node[i];
        }
    }
    return NULL;
}

QCXLNode *qcxl_tree_endpoint(QCXLTree *t, unsigned n)
{
    for (unsigned i = 0; i < t->num; i++) {
        if (!t->node[i].bridge && !n--) {
            return &t->node[i];
        }
    }
    g_assert_not_reached();
}

uint16_t qcxl_find_cap(uint32_t (*read)(void *opaque, uint16_t offset),
                       void *opaque, uint16_t id)
{
    unsigned n = read(opaque, 0) >> 24;

    for (unsigned i = 1; i <= n; i++) {
        uint32_t header = read(opaque, 4 * i);

        if ((header & 0xffff) == id) {
            return header >> 20;
        }
    }
    return 0;
}
