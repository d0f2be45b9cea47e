/*
 * CXL.cache capability of a root port
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/core/resettable.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "qom/object.h"
#include "trace.h"

/* CXL r3.1 section 8.2.4.23: the structure's two registers */
#define SNOOP_FILTER_GROUP_ID        0x0
#define SNOOP_FILTER_EFFECTIVE_SIZE  0x4

#define SNOOP_FILTER_UNIT            (64 * KiB)
#define SNOOP_FILTER_DEFAULT_SIZE    (16 * MiB)

/*
 * Ports that share one snoop filter carry one group ID (section 8.2.4.23.1).
 * All root ports of a machine are kept coherent by the same home agent.
 */
#define SNOOP_FILTER_GROUP           0

#define TYPE_CXL_TYPE1_PORT "cxl-type1-port"
OBJECT_DECLARE_SIMPLE_TYPE(CXLType1Port, CXL_TYPE1_PORT)

#define PORT_CHILD "cxl-cache-port"

/**
 * CXLType1Port: what is kept about a port
 * @cache: it offers CXL.cache
 * @link_up: a cache device has trained below it
 * @idle_status: the negotiated status when none has
 */
struct CXLType1Port {
    Object parent_obj;

    bool cache;
    uint64_t sf_size;
    bool link_up;
    uint16_t idle_status;
};

/* The methods that the port's class had before ours */
static DeviceRealize parent_realize;
static ResettablePhases parent_phases;

/* NULL for a port that has been told nothing about CXL.cache */
static CXLType1Port *find_state(Object *obj)
{
    Object *child = object_resolve_path_component(obj, PORT_CHILD);

    return child ? CXL_TYPE1_PORT(child) : NULL;
}

/* Where @port's Flex Bus Port DVSEC is in config space, 0 for none */
static uint16_t find_flex_bus_dvsec(PCIDevice *port)
{
    uint16_t pos = PCI_CONFIG_SPACE_SIZE;

    if (!pci_is_express(port)) {
        return 0;
    }

    while (pos) {
        uint8_t *cap = port->config + pos;
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

/* ---- The port ---- */

static void offer_cache(PCIDevice *port)
{
    uint8_t *flex_bus = port->config + find_flex_bus_dvsec(port);

    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CAP,
                               R_CXL_FLEX_BUS_CAP_CACHE_MASK);
    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CTRL,
                               R_CXL_FLEX_BUS_CTRL_CACHE_MASK);
    pcie_cap_slot_enable_surprise(port);
}

static void port_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    CXLType1Port *state = find_state(OBJECT(dev));

    parent_realize(dev, errp);
    if (!*errp && state && state->cache) {
        offer_cache(PCI_DEVICE(dev));
    }
}

/* The port's CXL.cachemem registers, found by the BAR that shows them */
static uint8_t *cachemem_registers(PCIDevice *port)
{
    MemoryRegion *bar = port->io_regions[CXL_COMPONENT_REG_BAR_IDX].memory;

    return (uint8_t *)container_of(bar, ComponentRegisters,
                                   component_registers)->cache_mem_registers;
}

static void port_reset_hold(Object *obj, ResetType type)
{
    CXLType1Port *state = find_state(obj);

    if (parent_phases.hold) {
        parent_phases.hold(obj, type);
    }
    if (state && state->cache) {
        uint8_t *snoop = cachemem_registers(PCI_DEVICE(obj)) +
                         CXL_SNOOP_REGISTERS_OFFSET;

        stl_le_p(snoop + SNOOP_FILTER_GROUP_ID, SNOOP_FILTER_GROUP);
        stl_le_p(snoop + SNOOP_FILTER_EFFECTIVE_SIZE,
                 state->sf_size / SNOOP_FILTER_UNIT);
    }
}

/* ---- Its properties ---- */

/* What a property is written to, or NULL with @errp set if that is too late */
static CXLType1Port *writable_state(Object *obj, const char *name, Error **errp)
{
    CXLType1Port *state = find_state(obj);

    if (DEVICE(obj)->realized) {
        error_setg(errp, "'%s' cannot be changed after the port has been "
                   "realized", name);
        return NULL;
    }
    if (!state) {
        state = CXL_TYPE1_PORT(object_new(TYPE_CXL_TYPE1_PORT));
        object_property_add_child(obj, PORT_CHILD, OBJECT(state));
        object_unref(OBJECT(state));
    }
    return state;
}

static bool get_cache(Object *obj, Error **errp)
{
    CXLType1Port *state = find_state(obj);

    return state && state->cache;
}

static void set_cache(Object *obj, bool value, Error **errp)
{
    CXLType1Port *state = writable_state(obj, "cxl-cache", errp);

    if (state) {
        state->cache = value;
    }
}

static void get_sf_size(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    CXLType1Port *state = find_state(obj);
    uint64_t value = state ? state->sf_size : SNOOP_FILTER_DEFAULT_SIZE;

    visit_type_size(v, name, &value, errp);
}

static void set_sf_size(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    CXLType1Port *state = writable_state(obj, name, errp);
    uint64_t value;

    if (!state || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (!value || value / SNOOP_FILTER_UNIT > UINT32_MAX ||
        value % SNOOP_FILTER_UNIT) {
        error_setg(errp, "'%s' must be a multiple of 64 KiB, at least 64 KiB "
                   "and less than 256 TiB", name);
        return;
    }
    state->sf_size = value;
}

void cxl_type1_port_class_init(ObjectClass *oc)
{
    /* A second class needs a place for its methods */
    assert(!parent_realize);
    device_class_set_parent_realize(DEVICE_CLASS(oc), port_realize,
                                    &parent_realize);
    resettable_class_set_parent_phases(RESETTABLE_CLASS(oc), NULL,
                                       port_reset_hold, NULL, &parent_phases);
    object_class_property_add_bool(oc, "cxl-cache", get_cache, set_cache);
    object_class_property_set_description(oc, "cxl-cache",
        "Offer CXL.cache to the device below (default: off)");
    object_class_property_add(oc, "cxl-cache-sf-size", "size", get_sf_size,
                              set_sf_size, NULL, NULL);
    object_class_property_set_description(oc, "cxl-cache-sf-size",
        "Bytes of cached memory that the snoop filter can track "
        "(default: 16 MiB)");
}

/* ---- The device below ---- */

PCIDevice *cxl_type1_port_above(PCIDevice *pdev)
{
    return pci_get_bus(pdev)->parent_dev;
}

static bool offers_cache(PCIDevice *port)
{
    uint16_t flex_bus = find_flex_bus_dvsec(port);

    return find_state(OBJECT(port)) && flex_bus &&
           pci_get_word(port->config + flex_bus + A_CXL_FLEX_BUS_CAP) &
           R_CXL_FLEX_BUS_CAP_CACHE_MASK;
}

bool cxl_type1_port_check(PCIDevice *pdev, Error **errp)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(pdev));
    PCIDevice *port = cxl_type1_port_above(pdev);
    const char *type = object_get_typename(OBJECT(pdev));

    if (!object_dynamic_cast(OBJECT(bus), TYPE_CXL_BUS) || !port) {
        error_setg(errp, "%s needs a CXL bus, but '%s' is not a CXL bus", type,
                   bus->name);
        error_append_hint(errp, "Plug it into a cxl-rp with cxl-cache=on.\n");
        return false;
    }
    if (!object_dynamic_cast(OBJECT(port), "cxl-rp")) {
        error_setg(errp, "%s must be plugged directly into a cxl-rp, not into "
                   "a %s", type, object_get_typename(OBJECT(port)));
        return false;
    }
    if (!offers_cache(port)) {
        error_setg(errp, "the root port of bus '%s' does not offer CXL.cache",
                   bus->name);
        error_append_hint(errp, "Add cxl-cache=on to its cxl-rp.\n");
        return false;
    }
    /* 68B flits carry no Cache ID: the port can tell one cache device only */
    if (pdev->devfn > 0) {
        error_setg(errp, "%s must be device 0, function 0 of its bus", type);
        return false;
    }
    return true;
}

CacheMemDev *cxl_type1_port_attach(PCIDevice *pdev, CacheMemDevConfig *config,
                                   Error **errp)
{
    config->dev = DEVICE(pdev);
    config->sf_size = find_state(OBJECT(cxl_type1_port_above(pdev)))->sf_size;
    return cxl_type1_cache_size_enc(config->cache_size, errp) ?
           cache_mem_dev_new(config, errp) : NULL;
}

static uint16_t set_negotiated(PCIDevice *port, uint16_t status)
{
    uint8_t *reg = port->config + find_flex_bus_dvsec(port) +
                   A_CXL_FLEX_BUS_STATUS;
    uint16_t old = pci_get_word(reg);

    pci_set_word(reg, status);
    trace_cxl_type1_port_negotiated(port->name, old, status);
    return old;
}

void cxl_type1_port_link_up(PCIDevice *pdev)
{
    PCIDevice *port = cxl_type1_port_above(pdev);
    CXLType1Port *state = find_state(OBJECT(port));

    if (!state->link_up) {
        state->link_up = true;
        state->idle_status = set_negotiated(port, CXL_FLEX_BUS_TYPE1);
    }
}

void cxl_type1_port_link_down(PCIDevice *pdev)
{
    PCIDevice *port = cxl_type1_port_above(pdev);
    CXLType1Port *state = find_state(OBJECT(port));

    if (state->link_up) {
        state->link_up = false;
        set_negotiated(port, state->idle_status);
    }
}

static void cxl_type1_port_instance_init(Object *obj)
{
    CXL_TYPE1_PORT(obj)->sf_size = SNOOP_FILTER_DEFAULT_SIZE;
}

static const TypeInfo cxl_type1_port_info = {
    .name = TYPE_CXL_TYPE1_PORT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLType1Port),
    .instance_init = cxl_type1_port_instance_init,
};

static void cxl_type1_port_register_types(void)
{
    type_register_static(&cxl_type1_port_info);
}

type_init(cxl_type1_port_register_types)
