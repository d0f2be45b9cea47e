/*
 * CXL.cache side of a root port
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "trace.h"

/* CXL r3.1 section 8.2.4.23: the structure's two registers */
#define SNOOP_FILTER_GROUP_ID        0x0
#define SNOOP_FILTER_EFFECTIVE_SIZE  0x4

/*
 * Ports that share one snoop filter carry one group ID (section 8.2.4.23.1).
 * All root ports of a machine are kept coherent by the same home agent.
 */
#define SNOOP_FILTER_GROUP           0

/* Returns: where @pdev's Flex Bus Port DVSEC is in config space, 0 for none */
static uint16_t find_flex_bus_dvsec(PCIDevice *pdev)
{
    uint16_t pos = PCI_CONFIG_SPACE_SIZE;

    if (!pci_is_express(pdev)) {
        return 0;
    }

    while (pos) {
        uint8_t *cap = pdev->config + pos;
        uint32_t header = pci_get_long(cap);

        if (PCI_EXT_CAP_ID(header) == PCI_EXT_CAP_ID_DVSEC &&
            pci_get_word(cap + PCIE_DVSEC_HEADER1_OFFSET) == CXL_VENDOR_ID &&
            pci_get_word(cap + PCIE_DVSEC_ID_OFFSET) ==
            PCIE_FLEXBUS_PORT_DVSEC) {
            return pos;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return 0;
}

bool cxl_type1_port_init(const CXLType1Port *port, PCIDevice *pdev,
                         Error **errp)
{
    uint64_t units = port->sf_size / CXL_SNOOP_FILTER_UNIT;
    uint8_t *flex_bus;

    if (!port->cache) {
        return true;
    }
    if (!units || units > UINT32_MAX ||
        port->sf_size % CXL_SNOOP_FILTER_UNIT) {
        error_setg(errp, "'cxl-cache-sf-size' must be a multiple of 64 KiB, "
                   "at least 64 KiB and less than 256 TiB");
        return false;
    }

    flex_bus = pdev->config + find_flex_bus_dvsec(pdev);
    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CAP,
                               R_CXL_FLEX_BUS_CAP_CACHE_MASK);
    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CTRL,
                               R_CXL_FLEX_BUS_CTRL_CACHE_MASK);
    pcie_cap_slot_enable_surprise(pdev);
    return true;
}

void cxl_type1_port_reset(const CXLType1Port *port,
                          uint32_t *cache_mem_registers)
{
    uint8_t *snoop = (uint8_t *)cache_mem_registers +
                     CXL_SNOOP_REGISTERS_OFFSET;

    if (port->cache) {
        stl_le_p(snoop + SNOOP_FILTER_GROUP_ID, SNOOP_FILTER_GROUP);
        stl_le_p(snoop + SNOOP_FILTER_EFFECTIVE_SIZE,
                 port->sf_size / CXL_SNOOP_FILTER_UNIT);
    }
}

bool cxl_type1_port_offers_cache(PCIDevice *pdev)
{
    uint16_t flex_bus = find_flex_bus_dvsec(pdev);

    return flex_bus &&
           pci_get_word(pdev->config + flex_bus + A_CXL_FLEX_BUS_CAP) &
           R_CXL_FLEX_BUS_CAP_CACHE_MASK;
}

uint64_t cxl_type1_port_sf_size(PCIDevice *pdev)
{
    return object_property_get_uint(OBJECT(pdev), "cxl-cache-sf-size",
                                    &error_abort);
}

static uint16_t set_negotiated(PCIDevice *pdev, uint16_t status)
{
    uint8_t *reg = pdev->config + find_flex_bus_dvsec(pdev) +
                   A_CXL_FLEX_BUS_STATUS;
    uint16_t old = pci_get_word(reg);

    pci_set_word(reg, status);
    trace_cxl_type1_port_negotiated(pdev->name, old, status);
    return old;
}

uint16_t cxl_type1_port_link_up(PCIDevice *pdev)
{
    return set_negotiated(pdev, CXL_FLEX_BUS_TYPE1);
}

void cxl_type1_port_link_down(PCIDevice *pdev, uint16_t status)
{
    set_negotiated(pdev, status);
}
