/*
 * CXL.cache capability of a CXL port
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
#include "hw/cxl/cxl_cache_path.h"
#include "hw/cxl/cxl_cache_timeout.h"
#include "hw/cxl/cxl_rme_cda.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "hw/cxl/cxl_vcs_switch.h"
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
 * @grouped: it is the filter of a group, @sf_group: ports that share one carry
 *           one group ID (section 8.2.4.23.1); else all share one
 * @given: a property that the user has set, and that takes CXL.cache
 * @prefetch: pages that the host brings home at once
 * @messages: every message is sent
 * @timed: the link has time
 * @timing: how fast it is
 * @depth: buffers in each channel
 * @credits: that are granted of them, 0 for all
 * @link_up: a cache device has trained below it, or a switch that offers it
 * @trust: how far what is below is trusted
 * @idle_status: the negotiated status when none has
 * @flit_256b: of the device below
 * @cache_id: likewise, what its property says
 */
struct CXLType1Port {
    Object parent_obj;

    bool cache;
    uint64_t sf_size;
    bool grouped;
    uint32_t sf_group;
    const char *given;
    uint32_t prefetch;
    bool messages;
    bool timed;
    CXLCacheTiming timing;
    uint16_t depth;
    uint16_t credits;
    CXLTrustLevel trust;
    bool link_up;
    uint16_t idle_status;
    bool flit_256b;
    const char *cache_id;
};

/**
 * PortClass: the methods that a class of ports had before ours
 */
typedef struct PortClass {
    ObjectClass *oc;
    DeviceRealize realize;
    ResettablePhases phases;
    PCIConfigWriteFunc *config_write;
    PCIUnregisterFunc *exit;
    void (*pre_plug)(HotplugHandler *handler, DeviceState *dev, Error **errp);
} PortClass;

/* Root ports, and both kinds of switch ports */
static PortClass port_classes[3];

static PortClass *find_class(void *obj)
{
    for (int i = 0; i < ARRAY_SIZE(port_classes); i++) {
        PortClass *pc = &port_classes[i];

        if (pc->oc && object_dynamic_cast(obj, object_class_get_name(pc->oc))) {
            return pc;
        }
    }
    g_assert_not_reached();
}

static bool is_root_port(void *obj)
{
    return object_dynamic_cast(obj, "cxl-rp");
}

static bool is_upstream_port(void *obj)
{
    return object_dynamic_cast(obj, "cxl-upstream");
}

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

static bool offers_cache(PCIDevice *port)
{
    CXLType1Port *state = find_state(OBJECT(port));

    return state && state->cache;
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

    if (!is_root_port(port) && !offers_cache(port)) {
        return false;
    }
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
    find_class(port)->config_write(port, addr, val & ~sbr, len);
    cxl_rme_cda_written(port);
    if (sbr) {
        pci_word_test_and_set_mask(port->config + PCI_BRIDGE_CONTROL,
                                   PCI_BRIDGE_CTL_BUS_RESET);
        trace_cxl_type1_port_sbr_masked(port->name);
    }
}

/* ---- The port ---- */

/* The port's component registers, found by the BAR that shows them */
static ComponentRegisters *component_registers(PCIDevice *port)
{
    MemoryRegion *bar = port->io_regions[CXL_COMPONENT_REG_BAR_IDX].memory;

    return container_of(bar, ComponentRegisters, component_registers);
}

static bool has_256b_flits(PCIDevice *port)
{
    return object_property_get_bool(OBJECT(port), "x-256b-flit", &error_abort);
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

static void train(PCIDevice *port, uint16_t status)
{
    CXLType1Port *state = find_state(OBJECT(port));

    if (!state->link_up) {
        state->link_up = true;
        state->idle_status = set_negotiated(port, status);
    }
}

static void link_down(PCIDevice *port)
{
    CXLType1Port *state = find_state(OBJECT(port));

    if (state->link_up) {
        state->link_up = false;
        set_negotiated(port, state->idle_status);
    }
}

static uint16_t negotiated(PCIDevice *port)
{
    return pci_get_word(port->config + find_flex_bus_dvsec(port) +
                        A_CXL_FLEX_BUS_STATUS);
}

/* A switch has trained with the port above it: CXL.cache if both offer it. */
static void train_switch(PCIDevice *port)
{
    PCIDevice *above = cxl_cache_path_above(port);

    if (above && find_state(OBJECT(above)) && offers_cache(above)) {
        train(above, negotiated(above) | R_CXL_FLEX_BUS_CAP_CACHE_MASK);
        set_negotiated(port, negotiated(port) | R_CXL_FLEX_BUS_CAP_CACHE_MASK);
    }
}

static void offer_cache(PCIDevice *port)
{
    uint8_t *flex_bus = port->config + find_flex_bus_dvsec(port);

    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CAP,
                               R_CXL_FLEX_BUS_CAP_CACHE_MASK);
    pci_word_test_and_set_mask(flex_bus + A_CXL_FLEX_BUS_CTRL,
                               R_CXL_FLEX_BUS_CTRL_CACHE_MASK);
    if (has_256b_flits(port)) {
        cxl_cache_path_add_port(port, component_registers(port));
    }
    if (is_root_port(port)) {
        cxl_cache_timeout_new(port, component_registers(port));
        cxl_cache_path_trust(port, find_state(OBJECT(port))->trust);
    }
    if (is_upstream_port(port)) {
        train_switch(port);
    } else {
        pcie_cap_slot_enable_surprise(port);
    }
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
    if (state && state->cache && is_root_port(dev) &&
        !cxl_cache_path_check_trust(PCI_DEVICE(dev), state->trust, errp)) {
        return;
    }
    if (!cxl_rme_cda_check_config(PCI_DEVICE(dev), errp)) {
        return;
    }
    find_class(dev)->realize(dev, errp);
    if (*errp) {
        return;
    }
    cxl_rme_cda_realize(PCI_DEVICE(dev));
    if (state && state->cache) {
        offer_cache(PCI_DEVICE(dev));
    }
}

static void port_exit(PCIDevice *port)
{
    PCIDevice *above = cxl_cache_path_above(port);

    if (offers_cache(port)) {
        cxl_cache_timeout_exit(port);
        cxl_cache_path_remove_port(port);
        if (is_upstream_port(port) && above && find_state(OBJECT(above))) {
            link_down(above);
        }
    }
    find_class(port)->exit(port);
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

static const char *kind_of_port(PCIDevice *port)
{
    return is_root_port(port) ? "root port" : "downstream port";
}

/* Whether it is a device with a cache */
static bool has_cache(PCIDevice *pdev)
{
    uint16_t flex_bus = find_flex_bus_dvsec(pdev);

    /* A switch's upstream port is capable of it, too. */
    return flex_bus && !object_dynamic_cast(OBJECT(pdev), TYPE_PCI_BRIDGE) &&
           pci_get_word(pdev->config + flex_bus + A_CXL_FLEX_BUS_CAP) &
           R_CXL_FLEX_BUS_CAP_CACHE_MASK;
}

/* The device that is there has checked that it is alone; so it stays. */
static void port_pre_plug(HotplugHandler *handler, DeviceState *dev,
                          Error **errp)
{
    PCIBus *bus = pci_bridge_get_sec_bus(PCI_BRIDGE(handler));
    PCIDevice *port = PCI_DEVICE(handler);
    PCIDevice *holder = is_root_port(port) || offers_cache(port) ?
                        other_function(bus, PCI_DEVICE(dev), has_cache) : NULL;

    if (holder) {
        error_setg(errp, "%s must be the only function below its %s: "
                   "there can be no other on bus '%s'",
                   object_get_typename(OBJECT(holder)), kind_of_port(port),
                   BUS(bus)->name);
        return;
    }
    find_class(port)->pre_plug(handler, dev, errp);
}

static void port_reset_hold(Object *obj, ResetType type)
{
    CXLType1Port *state = find_state(obj);
    PortClass *pc = find_class(obj);

    if (pc->phases.hold) {
        pc->phases.hold(obj, type);
    }
    if (is_root_port(obj) || offers_cache(PCI_DEVICE(obj))) {
        pci_word_test_and_clear_mask(port_ext_control(PCI_DEVICE(obj)),
                                     PORT_EXT_CONTROL_UNMASK_SBR);
    }
    if (state && state->cache) {
        cxl_cache_path_reset_port(PCI_DEVICE(obj));
        cxl_cache_timeout_reset(PCI_DEVICE(obj));
    }
    cxl_rme_cda_reset(PCI_DEVICE(obj));
    if (object_dynamic_cast(obj, "cxl-downstream")) {
        cxl_vcs_reset_port(PCI_DEVICE(obj));
    }
    if (state && state->cache && is_root_port(obj)) {
        uint8_t *registers = (uint8_t *)component_registers(PCI_DEVICE(obj))->
                             cache_mem_registers;
        uint8_t *snoop = registers + CXL_SNOOP_REGISTERS_OFFSET;

        stl_le_p(snoop + SNOOP_FILTER_GROUP_ID, state->sf_group);
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

static const QEnumLookup trust_levels = {
    .array = (const char *const[]) {
        [CXL_TRUST_ALL] = "trusted",
        [CXL_TRUST_DEVICE_MEMORY] = "device-memory",
        [CXL_TRUST_NONE] = "untrusted",
    },
    .size = CXL_TRUST_LEVELS,
};

static int get_trust(Object *obj, Error **errp)
{
    CXLType1Port *state = find_state(obj);

    return state ? state->trust : CXL_TRUST_ALL;
}

static void set_trust(Object *obj, int value, Error **errp)
{
    CXLType1Port *state = writable_state(obj, "trust-level", errp);

    if (state) {
        state->trust = value;
        state->given = "trust-level";
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

static void get_sf_group(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    CXLType1Port *state = find_state(obj);
    uint32_t value = state ? state->sf_group : 0;

    visit_type_uint32(v, name, &value, errp);
}

static void set_sf_group(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    CXLType1Port *state = writable_state(obj, name, errp);
    uint32_t value;

    if (!state || !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value >= CACHE_MEM_SF_GROUPS) {
        error_setg(errp, "'%s' must be at most %d", name,
                   CACHE_MEM_SF_GROUPS - 1);
        return;
    }
    state->sf_group = value;
    state->grouped = true;
    state->given = "cxl-cache-sf-group";
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

static void add_root_port_properties(ObjectClass *oc)
{
    object_class_property_add(oc, "cxl-cache-sf-size", "size", get_sf_size,
                              set_sf_size, NULL, NULL);
    object_class_property_set_description(oc, "cxl-cache-sf-size",
        "Bytes of cached memory that the snoop filter can track "
        "(default: 16 MiB)");
    object_class_property_add(oc, "cxl-cache-sf-group", "uint32",
                              get_sf_group, set_sf_group, NULL, NULL);
    object_class_property_set_description(oc, "cxl-cache-sf-group",
        "Group of root ports that share a snoop filter (default: all share "
        "one)");
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

static PortClass *new_class(ObjectClass *oc)
{
    for (int i = 0; i < ARRAY_SIZE(port_classes); i++) {
        if (!port_classes[i].oc) {
            port_classes[i].oc = oc;
            return &port_classes[i];
        }
    }
    g_assert_not_reached();
}

void cxl_type1_port_class_init(ObjectClass *oc)
{
    PCIDeviceClass *pdc = PCI_DEVICE_CLASS(oc);
    PortClass *pc = new_class(oc);
    const char *type = object_class_get_name(oc);

    device_class_set_parent_realize(DEVICE_CLASS(oc), port_realize,
                                    &pc->realize);
    resettable_class_set_parent_phases(RESETTABLE_CLASS(oc), NULL,
                                       port_reset_hold, NULL, &pc->phases);
    pc->exit = pdc->exit;
    pdc->exit = port_exit;
    object_class_property_add_bool(oc, "cxl-cache", get_cache, set_cache);
    object_class_property_set_description(oc, "cxl-cache",
        "Offer CXL.cache to what is below (default: off)");
    if (!strcmp(type, "cxl-upstream")) {
        return;
    }
    object_class_property_add_enum(oc, "trust-level", "CXLTrustLevel",
                                   &trust_levels, get_trust, set_trust);
    object_class_property_set_description(oc, "trust-level",
        "How far firmware has CXL.cache of what is below trusted: all memory "
        "(trusted, the default), device-memory, untrusted");
    pc->config_write = pdc->config_write;
    pdc->config_write = port_config_write;
    pc->pre_plug = HOTPLUG_HANDLER_CLASS(oc)->pre_plug;
    HOTPLUG_HANDLER_CLASS(oc)->pre_plug = port_pre_plug;
    if (!strcmp(type, "cxl-rp")) {
        add_root_port_properties(oc);
        cxl_rme_cda_class_init(oc);
    }
}

/* ---- The device below ---- */

PCIDevice *cxl_type1_port_above(PCIDevice *pdev)
{
    return cxl_cache_path_above(pdev);
}

/* Their buses are not of the type TYPE_CXL_BUS, and yet CXL is what they do */
static bool is_downstream_port(PCIDevice *port)
{
    return object_dynamic_cast(OBJECT(port), "cxl-downstream");
}

static bool is_switch_port(PCIDevice *port)
{
    return port && (is_upstream_port(port) || is_downstream_port(port));
}

static bool is_any(PCIDevice *other)
{
    return true;
}

static bool check_alone(PCIDevice *pdev, Error **errp)
{
    const char *type = object_get_typename(OBJECT(pdev));
    PCIDevice *other = other_function(pci_get_bus(pdev), pdev, is_any);

    /* A Cache ID is a port's: it can tell one device with a cache only. */
    if (pdev->devfn > 0) {
        error_setg(errp, "%s must be device 0, function 0 of its bus", type);
        return false;
    }
    if (other) {
        error_setg(errp, "%s must be the only function below its %s, "
                   "but there is a %s at %x.%x", type,
                   kind_of_port(cxl_type1_port_above(pdev)),
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
    if (!is_root_port(port) && !is_downstream_port(port)) {
        error_setg(errp, "%s must be plugged into a cxl-rp or a "
                   "cxl-downstream, not into a %s", type,
                   object_get_typename(OBJECT(port)));
        return false;
    }
    if (is_root_port(port) && !offers_cache(port)) {
        error_setg(errp, "the root port of bus '%s' does not offer CXL.cache",
                   bus->name);
        error_append_hint(errp, "Add cxl-cache=on to its cxl-rp.\n");
        return false;
    }
    if (!cxl_cache_path_check(pdev, errp)) {
        return false;
    }
    return check_alone(pdev, errp);
}

CacheMemDev *cxl_type1_port_attach(PCIDevice *pdev, CacheMemDevConfig *config,
                                   Error **errp)
{
    PCIDevice *root_port = cxl_cache_path_root_port(pdev);
    const CXLType1Port *state = find_state(OBJECT(root_port));
    CXLType1Port *above = find_state(OBJECT(cxl_type1_port_above(pdev)));
    CacheMemDev *cm;

    if (!cxl_cache_path_admit(pdev, config->flit_256b, config->cache_id,
                              above->trust, errp)) {
        return NULL;
    }
    config->dev = DEVICE(pdev);
    config->sf_size = state->sf_size;
    config->grouped = state->grouped;
    config->sf_group = state->sf_group;
    config->prefetch = state->prefetch;
    config->messages = state->messages;
    config->timed = state->timed;
    config->timing = state->timing;
    config->root_port = root_port;
    config->depth = state->credits ?: state->depth;
    cxl_cache_timeout_config(root_port, config);
    cm = cxl_type1_cache_size_enc(config->cache_size, errp) ?
         cache_mem_dev_new(config, errp) : NULL;
    if (cm) {
        above->flit_256b = config->flit_256b;
        above->cache_id = config->cache_id;
        cxl_cache_timeout_attached(root_port);
    }
    return cm;
}

void cxl_type1_port_link_up(PCIDevice *pdev)
{
    PCIDevice *port = cxl_type1_port_above(pdev);
    const CXLType1Port *state = find_state(OBJECT(port));

    train(port, state->flit_256b ? CXL_FLEX_BUS_TYPE1_256B
                                 : CXL_FLEX_BUS_TYPE1);
    cxl_cache_path_up(pdev, state->flit_256b, state->cache_id, state->trust);
}

void cxl_type1_port_link_down(PCIDevice *pdev)
{
    link_down(cxl_type1_port_above(pdev));
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
