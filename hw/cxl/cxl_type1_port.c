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
#include "hw/core/hotplug.h"
#include "hw/core/resettable.h"
#include "hw/cxl/cxl.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "hw/pci/pci_bridge.h"
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

/* CXL r3.1 section 8.1.5.2: of the Extensions DVSEC for Ports */
#define PORT_EXT_CONTROL             0x0c
#define PORT_EXT_CONTROL_UNMASK_SBR  BIT(0)

#define TYPE_CXL_TYPE1_PORT "cxl-type1-port"
OBJECT_DECLARE_SIMPLE_TYPE(CXLType1Port, CXL_TYPE1_PORT)

#define PORT_CHILD "cxl-cache-port"

#define PREFETCH_DEFAULT 32
#define DEPTH_DEFAULT 64

/**
 * CXLType1Port: what is kept about a port
 * @cache: it offers CXL.cache
 * @sf_size: of the snoop filter
 * @given: a property that the user has set, and that takes CXL.cache
 * @prefetch: pages that the host brings home at once
 * @messages: every message is sent
 * @timed: the link has time
 * @timing: how fast it is
 * @depth: buffers in each channel
 * @credits: that are granted of them, 0 for all
 * @link_up: a cache device has trained below it
 * @idle_status: the negotiated status when none has
 */
struct CXLType1Port {
    Object parent_obj;

    bool cache;
    uint64_t sf_size;
    const char *given;
    uint32_t prefetch;
    bool messages;
    bool timed;
    CXLCacheTiming timing;
    uint16_t depth;
    uint16_t credits;
    bool link_up;
    uint16_t idle_status;
};

/* The methods that the port's class had before ours */
static DeviceRealize parent_realize;
static ResettablePhases parent_phases;
static PCIConfigWriteFunc *parent_config_write;
static void (*parent_pre_plug)(HotplugHandler *handler, DeviceState *dev,
                               Error **errp);

/* NULL for a port that has been told nothing about CXL.cache */
static CXLType1Port *find_state(Object *obj)
{
    Object *child = object_resolve_path_component(obj, PORT_CHILD);

    return child ? CXL_TYPE1_PORT(child) : NULL;
}

/* Where a DVSEC of @port is in config space, 0 for none */
static uint16_t find_dvsec(PCIDevice *port, uint16_t id)
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
            pci_get_word(cap + PCIE_DVSEC_ID_OFFSET) == id) {
            return pos;
        }
        pos = PCI_EXT_CAP_NEXT(header);
    }
    return 0;
}

static uint16_t find_flex_bus_dvsec(PCIDevice *port)
{
    return find_dvsec(port, PCIE_FLEXBUS_PORT_DVSEC);
}

/* ---- Secondary bus reset ---- */

static uint8_t *port_ext_control(PCIDevice *port)
{
    return port->config + find_dvsec(port, EXTENSIONS_PORT_DVSEC) +
           PORT_EXT_CONTROL;
}

/* A link that has trained as PCI Express knows no such mask. */
static bool is_sbr_masked(PCIDevice *port)
{
    PCIDevice *below = pci_bridge_get_sec_bus(PCI_BRIDGE(port))->devices[0];

    return below && object_dynamic_cast(OBJECT(below), INTERFACE_CXL_DEVICE) &&
           !(pci_get_word(port_ext_control(port)) &
             PORT_EXT_CONTROL_UNMASK_SBR);
}

/*
 * While it is masked the bit can be written, and does nothing: what resets
 * must not see it.
 */
static void port_config_write(PCIDevice *port, uint32_t addr, uint32_t val,
                              int len)
{
    uint32_t sbr = 0;

    if (range_covers_byte(addr, len, PCI_BRIDGE_CONTROL) &&
        is_sbr_masked(port)) {
        sbr = val & PCI_BRIDGE_CTL_BUS_RESET << 8 * (PCI_BRIDGE_CONTROL - addr);
    }
    parent_config_write(port, addr, val & ~sbr, len);
    if (sbr) {
        pci_word_test_and_set_mask(port->config + PCI_BRIDGE_CONTROL,
                                   PCI_BRIDGE_CTL_BUS_RESET);
        trace_cxl_type1_port_sbr_masked(port->name);
    }
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

    if (state && state->given && !state->cache) {
        error_setg(errp, "'%s' is of a port that offers CXL.cache: "
                   "cxl-cache=on is missing", state->given);
        return;
    }
    if (state && state->credits > state->depth) {
        error_setg(errp, "'cxl-cache-credits' must be at most "
                   "'cxl-cache-depth', %u: each credit stands for a buffer",
                   state->depth);
        return;
    }
    parent_realize(dev, errp);
    if (!*errp && state && state->cache) {
        offer_cache(PCI_DEVICE(dev));
    }
}

/* What else than @pdev is on its bus; virtual functions go with theirs */
static PCIDevice *other_function(PCIBus *bus, const PCIDevice *pdev,
                                 bool (*is_it)(PCIDevice *other))
{
    for (int i = 0; i < ARRAY_SIZE(bus->devices); i++) {
        PCIDevice *other = bus->devices[i];

        if (other && other != pdev && !other->sriov_pf && is_it(other)) {
            return other;
        }
    }
    return NULL;
}

static bool has_cache(PCIDevice *pdev)
{
    uint16_t flex_bus = find_flex_bus_dvsec(pdev);

    return flex_bus &&
           pci_get_word(pdev->config + flex_bus + A_CXL_FLEX_BUS_CAP) &
           R_CXL_FLEX_BUS_CAP_CACHE_MASK;
}

/* The device that is there has checked that it is alone; so it stays. */
static void port_pre_plug(HotplugHandler *handler, DeviceState *dev,
                          Error **errp)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(handler));
    PCIDevice *holder = other_function(bus, PCI_DEVICE(dev), has_cache);

    if (holder) {
        error_setg(errp, "%s must be the only function below its root port: "
                   "there can be no other on bus '%s'",
                   object_get_typename(OBJECT(holder)), BUS(bus)->name);
        return;
    }
    parent_pre_plug(handler, dev, errp);
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
    pci_word_test_and_clear_mask(port_ext_control(PCI_DEVICE(obj)),
                                 PORT_EXT_CONTROL_UNMASK_SBR);
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
    state->given = "cxl-cache-sf-size";
}

static void get_prefetch(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    CXLType1Port *state = find_state(obj);
    uint32_t value = state ? state->prefetch : PREFETCH_DEFAULT;

    visit_type_uint32(v, name, &value, errp);
}

static void set_prefetch(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    CXLType1Port *state = writable_state(obj, name, errp);
    uint32_t value;

    if (!state || !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value > CACHE_MEM_PREFETCH_MAX) {
        error_setg(errp, "'%s' must be at most %d", name,
                   CACHE_MEM_PREFETCH_MAX);
        return;
    }
    state->prefetch = value;
    state->given = "cxl-cache-prefetch";
}

/* ---- ... of a link with time ---- */

/**
 * TimeProperty: any of them gives the link time
 * @min: and @max: of its value
 */
typedef struct TimeProperty {
    const char *name;
    const char *type;
    size_t offset;
    size_t size;
    uint64_t min;
    uint64_t max;
    const char *description;
} TimeProperty;

#define TIME_PROPERTY(name, type, field, min, max, text)                \
    { name, type, offsetof(CXLType1Port, field),                        \
      sizeof_field(CXLType1Port, field), min, max, text }

static const TimeProperty time_properties[] = {
    TIME_PROPERTY("cxl-cache-latency", "uint64", timing.latency, 0,
                  CXL_CACHE_LATENCY_MAX,
                  "Nanoseconds that a CXL.cache message is under way"),
    TIME_PROPERTY("cxl-cache-bandwidth", "size", timing.bandwidth, 0,
                  CXL_CACHE_BANDWIDTH_MAX,
                  "Bytes per second of flits in each direction (0: no limit)"),
    TIME_PROPERTY("cxl-cache-depth", "uint16", depth, 1, CXL_CACHE_ID_MAX,
                  "Messages that the receiver of each channel has buffers for "
                  "(default: 64)"),
    TIME_PROPERTY("cxl-cache-credits", "uint16", credits, 1, CXL_CACHE_ID_MAX,
                  "Credits that the receiver of each channel grants (default: "
                  "one for each buffer)"),
    TIME_PROPERTY("x-jitter", "uint64", timing.jitter, 1, UINT64_MAX,
                  "Seed: messages are under way for up to twice the latency"),
};

static uint64_t load_time(const CXLType1Port *state, const TimeProperty *prop)
{
    const void *field = (const char *)state + prop->offset;

    return prop->size == 2 ? *(const uint16_t *)field :
                             *(const uint64_t *)field;
}

static void store_time(CXLType1Port *state, const TimeProperty *prop,
                       uint64_t value)
{
    void *field = (char *)state + prop->offset;

    if (prop->size == 2) {
        *(uint16_t *)field = value;
    } else {
        *(uint64_t *)field = value;
    }
    state->timed = true;
    state->given = prop->name;
}

static void get_time(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    const TimeProperty *prop = opaque;
    CXLType1Port *state = find_state(obj);
    uint64_t value = state ? load_time(state, prop) :
                     prop->offset == offsetof(CXLType1Port, depth) ?
                     DEPTH_DEFAULT : 0;

    visit_type_uint64(v, name, &value, errp);
}

static void set_time(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    const TimeProperty *prop = opaque;
    CXLType1Port *state = writable_state(obj, name, errp);
    uint64_t value;

    if (!state) {
        return;
    }
    if (!(g_str_equal(prop->type, "size") ?
          visit_type_size(v, name, &value, errp) :
          visit_type_uint64(v, name, &value, errp))) {
        return;
    }
    if (value < prop->min || value > prop->max) {
        error_setg(errp, "'%s' must be %" PRIu64 " to %" PRIu64, name,
                   prop->min, prop->max);
        return;
    }
    store_time(state, prop, value);
}

static void add_time_properties(ObjectClass *oc)
{
    for (int i = 0; i < ARRAY_SIZE(time_properties); i++) {
        const TimeProperty *prop = &time_properties[i];

        object_class_property_add(oc, prop->name, prop->type, get_time,
                                  set_time, NULL, (void *)prop);
        object_class_property_set_description(oc, prop->name,
                                              prop->description);
    }
}

static const QEnumLookup gears = {
    .array = (const char *const[]) { "auto", "messages" },
    .size = 2,
};

static int get_gear(Object *obj, Error **errp)
{
    CXLType1Port *state = find_state(obj);

    return state && state->messages;
}

static void set_gear(Object *obj, int value, Error **errp)
{
    CXLType1Port *state = writable_state(obj, "x-gear", errp);

    if (state) {
        state->messages = value;
    }
}

void cxl_type1_port_class_init(ObjectClass *oc)
{
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(oc);

    /* A second class needs a place for its methods */
    assert(!parent_realize);
    device_class_set_parent_realize(DEVICE_CLASS(oc), port_realize,
                                    &parent_realize);
    resettable_class_set_parent_phases(RESETTABLE_CLASS(oc), NULL,
                                       port_reset_hold, NULL, &parent_phases);
    parent_config_write = pc->config_write;
    pc->config_write = port_config_write;
    parent_pre_plug = HOTPLUG_HANDLER_CLASS(oc)->pre_plug;
    HOTPLUG_HANDLER_CLASS(oc)->pre_plug = port_pre_plug;
    object_class_property_add_bool(oc, "cxl-cache", get_cache, set_cache);
    object_class_property_set_description(oc, "cxl-cache",
        "Offer CXL.cache to the device below (default: off)");
    object_class_property_add(oc, "cxl-cache-sf-size", "size", get_sf_size,
                              set_sf_size, NULL, NULL);
    object_class_property_set_description(oc, "cxl-cache-sf-size",
        "Bytes of cached memory that the snoop filter can track "
        "(default: 16 MiB)");
    object_class_property_add(oc, "cxl-cache-prefetch", "uint32", get_prefetch,
                              set_prefetch, NULL, NULL);
    object_class_property_set_description(oc, "cxl-cache-prefetch",
        "Pages whose lines the host takes home at once when it finds that "
        "one touch follows the other (default: 32)");
    object_class_property_add_enum(oc, "x-gear", "CXLCacheGear", &gears,
                                   get_gear, set_gear);
    object_class_property_set_description(oc, "x-gear",
        "Requests for many lines in one step where nothing else is under way "
        "(auto, the default), or always by messages");
    add_time_properties(oc);
}

/* ---- The device below ---- */

PCIDevice *cxl_type1_port_above(PCIDevice *pdev)
{
    return pci_get_bus(pdev)->parent_dev;
}

static bool offers_cache(PCIDevice *port)
{
    return find_state(OBJECT(port)) && has_cache(port);
}

/* Their buses are not of the type TYPE_CXL_BUS, and yet CXL is what they do */
static bool is_switch_port(PCIDevice *port)
{
    return port && (object_dynamic_cast(OBJECT(port), "cxl-upstream") ||
                    object_dynamic_cast(OBJECT(port), "cxl-downstream"));
}

static bool is_any(PCIDevice *other)
{
    return true;
}

static bool check_alone(PCIDevice *pdev, Error **errp)
{
    const char *type = object_get_typename(OBJECT(pdev));
    PCIDevice *other = other_function(pci_get_bus(pdev), pdev, is_any);

    /* 68B flits carry no Cache ID: the port can tell one cache device only */
    if (pdev->devfn > 0) {
        error_setg(errp, "%s must be device 0, function 0 of its bus", type);
        return false;
    }
    if (other) {
        error_setg(errp, "%s must be the only function below its root port, "
                   "but there is a %s at %x.%x", type,
                   object_get_typename(OBJECT(other)),
                   PCI_SLOT(other->devfn), PCI_FUNC(other->devfn));
        return false;
    }
    return true;
}

bool cxl_type1_port_check(PCIDevice *pdev, Error **errp)
{
    BusState *bus = qdev_get_parent_bus(DEVICE(pdev));
    PCIDevice *port = cxl_type1_port_above(pdev);
    const char *type = object_get_typename(OBJECT(pdev));

    if (!port || (!object_dynamic_cast(OBJECT(bus), TYPE_CXL_BUS) &&
                  !is_switch_port(port))) {
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
    return check_alone(pdev, errp);
}

CacheMemDev *cxl_type1_port_attach(PCIDevice *pdev, CacheMemDevConfig *config,
                                   Error **errp)
{
    const CXLType1Port *state = find_state(OBJECT(cxl_type1_port_above(pdev)));

    config->dev = DEVICE(pdev);
    config->sf_size = state->sf_size;
    config->prefetch = state->prefetch;
    config->messages = state->messages;
    config->timed = state->timed;
    config->timing = state->timing;
    config->depth = state->credits ?: state->depth;
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
    CXLType1Port *state = CXL_TYPE1_PORT(obj);

    state->sf_size = SNOOP_FILTER_DEFAULT_SIZE;
    state->prefetch = PREFETCH_DEFAULT;
    state->depth = DEPTH_DEFAULT;
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
