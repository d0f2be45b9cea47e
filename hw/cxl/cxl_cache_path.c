/*
 * The way of CXL.cache between a device and its host, over ports and switches
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "hw/core/resettable.h"
#include "hw/cxl/cxl_cache_id.h"
#include "hw/cxl/cxl_cache_path.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_host.h"
#include "hw/pci/pcie_port.h"
#include "system/reset.h"
#include "trace.h"

/* ---- The way up ---- */

PCIDevice *cxl_cache_path_above(PCIDevice *pdev)
{
    return pci_get_bus(pdev)->parent_dev;
}

static bool is_upstream(PCIDevice *port)
{
    return object_dynamic_cast(OBJECT(port), "cxl-upstream");
}

/* The ports that a device, or a switch, can be below */
static bool is_downstream(PCIDevice *port)
{
    return port && (object_dynamic_cast(OBJECT(port), "cxl-rp") ||
                    object_dynamic_cast(OBJECT(port), "cxl-downstream"));
}

/* The next port on the way to the host, NULL behind the root port */
static PCIDevice *next_port(PCIDevice *port)
{
    return pci_bus_is_root(pci_get_bus(port)) ? NULL
                                              : cxl_cache_path_above(port);
}

PCIDevice *cxl_cache_path_root_port(PCIDevice *pdev)
{
    PCIDevice *port = next_port(pdev), *above;

    while (port && (above = next_port(port))) {
        port = above;
    }
    return port;
}

char *cxl_cache_path_name(PCIDevice *port)
{
    return DEVICE(port)->id ? g_strdup(DEVICE(port)->id) :
           object_get_canonical_path(OBJECT(port));
}

static bool port_is(PCIDevice *port, const char *property)
{
    return object_property_find(OBJECT(port), property) &&
           object_property_get_bool(OBJECT(port), property, &error_abort);
}

bool cxl_cache_path_check(PCIDevice *pdev, Error **errp)
{
    for (PCIDevice *port = next_port(pdev); port; port = next_port(port)) {
        if (!port_is(port, "cxl-cache")) {
            g_autofree char *name = cxl_cache_path_name(port);

            error_setg(errp, "'%s', a %s on the way from %s to its host, does "
                       "not offer CXL.cache", name,
                       object_get_typename(OBJECT(port)),
                       object_get_typename(OBJECT(pdev)));
            error_append_hint(errp, "Add cxl-cache=on to it.\n");
            return false;
        }
    }
    return true;
}

static unsigned port_number(PCIDevice *port)
{
    return PCIE_PORT(port)->port;
}

static Object *host_bridge(PCIBus *root)
{
    Object *host = OBJECT(BUS(root)->parent);

    return object_dynamic_cast(host, TYPE_PXB_CXL_HOST);
}

/* The route table of what is between @port and its host, NULL for none */
static CXLCacheId *table_above(PCIDevice *port)
{
    PCIBus *bus = pci_get_bus(port);
    Object *owner = pci_bus_is_root(bus) ? host_bridge(bus)
                                         : OBJECT(bus->parent_dev);

    return owner ? cxl_cache_id_of(owner) : NULL;
}

/* ---- What the registers mean ---- */

static PCIDevice *device_below(PCIDevice *port)
{
    return pci_bridge_get_sec_bus(PCI_BRIDGE(port))->devices[0];
}

static CacheMemDev *cache_below(PCIDevice *port)
{
    PCIDevice *pdev = device_below(port);

    return pdev ? cache_mem_dev_of(DEVICE(pdev)) : NULL;
}

/*
 * The Cache ID that leads to what is below @port, and by which its requests
 * come to the host; CACHE_MEM_UNROUTED if there is none.
 */
static int find_route(PCIDevice *port)
{
    bool first = true;
    int id = CACHE_MEM_UNROUTED;

    while (port) {
        CXLCacheId *decoder = cxl_cache_id_of(OBJECT(port));
        CXLCacheId *table = table_above(port);
        CXLCacheIdDecoder d;

        if (!decoder || !table || !cxl_cache_id_decoder(decoder, &d) ||
            !(first ? d.assign : d.forward)) {
            return CACHE_MEM_UNROUTED;
        }
        if (first && d.trust != CXL_TRUST_ALL) {
            return CACHE_MEM_UNROUTED;
        }
        id = first ? d.id : id;
        first = false;
        if (cxl_cache_id_target(table, id) != port_number(port)) {
            return CACHE_MEM_UNROUTED;
        }
        port = next_port(port);
        port = port ? next_port(port) : NULL;
    }
    return id;
}

/* Does the host bridge trust what is below the root port? */
static bool is_trusted(PCIDevice *pdev)
{
    PCIDevice *root_port = cxl_cache_path_root_port(pdev);
    Object *host = host_bridge(pci_get_bus(root_port));
    CXLExtSecurity *security = host ? cxl_ext_security_of(host) : NULL;

    return !security ||
           cxl_ext_security_level(security, root_port) == CXL_TRUST_ALL;
}

static void update_routes(void)
{
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm))) {
        PCIDevice *pdev = PCI_DEVICE(cache_mem_dev_device(cm));

        cache_mem_dev_set_route(cm, !is_trusted(pdev) ? CACHE_MEM_UNROUTED :
                                    cache_mem_dev_flit_256b(cm) ?
                                    find_route(cxl_cache_path_above(pdev)) : 0);
    }
}

/* The decoder that gives out an ID below a host bridge, NULL for none */
static CXLCacheId *find_holder(const CXLCacheId *but, unsigned id)
{
    CXLCacheIdDecoder d;
    CXLCacheId *c = NULL;

    while ((c = cxl_cache_id_next(c))) {
        if (c != but && c->decoder && c->root == but->root &&
            cxl_cache_id_decoder(c, &d) && d.assign && d.id == id) {
            return c;
        }
    }
    return NULL;
}

/* Flits of 68 bytes have no room for a Cache ID: it can be none but 0. */
static bool may_assign(CXLCacheId *decoder, unsigned id)
{
    CacheMemDev *cm = cache_below(decoder->port);

    return !find_holder(decoder, id) &&
           (!id || !cm || cache_mem_dev_flit_256b(cm));
}

static bool has_port(CXLCacheId *table, unsigned number)
{
    PCIBus *bus = table->port ? pci_bridge_get_sec_bus(PCI_BRIDGE(table->port))
                              : table->root;

    for (int i = 0; i < ARRAY_SIZE(bus->devices); i++) {
        if (is_downstream(bus->devices[i]) &&
            port_number(bus->devices[i]) == number) {
            return true;
        }
    }
    return false;
}

static const CXLCacheIdOps ops = {
    .may_assign = may_assign,
    .has_port = has_port,
    .changed = update_routes,
};

/* ---- Who can be there ---- */

/* Another device with a cache below the same root port */
static CacheMemDev *find_neighbour(PCIDevice *pdev)
{
    PCIDevice *root_port = cxl_cache_path_root_port(pdev);
    CacheMemDev *cm = NULL;

    while ((cm = cache_mem_dev_next(cm))) {
        PCIDevice *other = PCI_DEVICE(cache_mem_dev_device(cm));

        if (other != pdev && cxl_cache_path_root_port(other) == root_port) {
            return cm;
        }
    }
    return NULL;
}

static bool check_alone(PCIDevice *pdev, bool flit_256b, Error **errp)
{
    CacheMemDev *other = find_neighbour(pdev);
    g_autofree char *name = NULL;

    if (!other || (flit_256b && cache_mem_dev_flit_256b(other))) {
        return true;
    }
    name = cxl_cache_path_name(cxl_cache_path_root_port(pdev));
    error_setg(errp, "there can be one CXL.cache device below root port '%s', "
               "and '%s' is there, because 68B flits carry no Cache ID", name,
               cache_mem_dev_name(other));
    error_append_hint(errp, "Give both of them x-256b-flit=on.\n");
    return false;
}

static bool check_flits(PCIDevice *pdev, Error **errp)
{
    for (PCIDevice *port = next_port(pdev); port; port = next_port(port)) {
        if (!port_is(port, "x-256b-flit")) {
            g_autofree char *name = cxl_cache_path_name(port);

            error_setg(errp, "%s cannot have x-256b-flit=on: '%s', a %s on its "
                       "way to the host, has x-256b-flit=off",
                       object_get_typename(OBJECT(pdev)), name,
                       object_get_typename(OBJECT(port)));
            return false;
        }
    }
    if (!table_above(cxl_cache_path_root_port(pdev))) {
        error_setg(errp, "%s cannot have x-256b-flit=on: its root port is not "
                   "below a pxb-cxl", object_get_typename(OBJECT(pdev)));
        return false;
    }
    return true;
}

static bool parse_id(const char *cache_id, int *id)
{
    unsigned value;

    if (!cache_id || !strcmp(cache_id, "auto")) {
        *id = CXL_CACHE_ID_AUTO;
    } else if (!strcmp(cache_id, "none")) {
        *id = CXL_CACHE_ID_NONE;
    } else if (qemu_strtoui(cache_id, NULL, 10, &value) ||
               value >= CXL_CACHE_IDS) {
        return false;
    } else {
        *id = value;
    }
    return true;
}

static bool is_free(CXLCacheId *decoder, unsigned id)
{
    CXLCacheId *holder = find_holder(decoder, id);

    return !holder || !device_below(holder->port);
}

/*
 * The ID that @decoder is to give out, -1 if none is left. A port keeps its
 * own when another device comes.
 */
static int choose_id(CXLCacheId *decoder, int want)
{
    CXLCacheIdDecoder d;

    if (want >= 0) {
        return is_free(decoder, want) ? want : -1;
    }
    if (cxl_cache_id_decoder(decoder, &d) && d.assign) {
        return d.id;
    }
    /* What an empty port has is not taken from it without need. */
    for (int id = 0; id < CXL_CACHE_IDS; id++) {
        if (!find_holder(decoder, id)) {
            return id;
        }
    }
    for (int id = 0; id < CXL_CACHE_IDS; id++) {
        if (is_free(decoder, id)) {
            return id;
        }
    }
    return -1;
}

static bool check_id(PCIDevice *pdev, int want, Error **errp)
{
    CXLCacheId *decoder = cxl_cache_id_of(OBJECT(cxl_cache_path_above(pdev)));

    if (want == CXL_CACHE_ID_NONE || choose_id(decoder, want) >= 0) {
        return true;
    }
    if (want >= 0) {
        error_setg(errp, "cache-id=%d is in use by another device below the "
                   "same host bridge", want);
    } else {
        error_setg(errp, "all %d Cache IDs below the host bridge are in use",
                   CXL_CACHE_IDS);
    }
    return false;
}

bool cxl_cache_path_admit(PCIDevice *pdev, bool flit_256b,
                          const char *cache_id, CXLTrustLevel trust,
                          Error **errp)
{
    int want;

    if (!parse_id(cache_id, &want)) {
        error_setg(errp, "'cache-id' must be auto, none, or 0 to %d, not '%s'",
                   CXL_CACHE_IDS - 1, cache_id);
        return false;
    }
    if (!flit_256b && want > 0) {
        error_setg(errp, "cache-id=%d needs x-256b-flit=on: 68B flits carry no "
                   "Cache ID", want);
        return false;
    }
    /* A root port's is the host bridge's, whatever the flits. */
    if (!flit_256b && trust != CXL_TRUST_ALL &&
        next_port(cxl_cache_path_above(pdev))) {
        error_setg(errp, "'trust-level' of a switch's port needs a device with "
                   "x-256b-flit=on: without, only the root port has one");
        return false;
    }
    return check_alone(pdev, flit_256b, errp) &&
           (!flit_256b || (check_flits(pdev, errp) &&
                           check_id(pdev, want, errp)));
}

/* ---- Firmware's part ---- */

static void forget_id(CXLCacheId *decoder, unsigned id)
{
    PCIDevice *port = decoder->port;

    cxl_cache_id_set_decoder(decoder, NULL);
    while (port) {
        CXLCacheId *table = table_above(port);

        if (cxl_cache_id_target(table, id) == port_number(port)) {
            cxl_cache_id_set_target(table, id, -1);
        }
        port = next_port(port);
        port = port ? next_port(port) : NULL;
    }
}

static void assign_id(PCIDevice *port, unsigned id, CXLTrustLevel trust)
{
    CXLCacheIdDecoder d = { .assign = true, .id = id, .trust = trust };

    cxl_cache_id_set_decoder(cxl_cache_id_of(OBJECT(port)), &d);
    cxl_cache_id_set_target(table_above(port), id, port_number(port));
    d = (CXLCacheIdDecoder) { .forward = true };
    /* From one switch to the next */
    for (port = next_port(port); port; port = next_port(port)) {
        if (is_upstream(port)) {
            continue;
        }
        cxl_cache_id_set_decoder(cxl_cache_id_of(OBJECT(port)), &d);
        cxl_cache_id_set_target(table_above(port), id, port_number(port));
    }
}

void cxl_cache_path_up(PCIDevice *pdev, bool flit_256b, const char *cache_id,
                       CXLTrustLevel trust)
{
    PCIDevice *port = cxl_cache_path_above(pdev);
    CXLCacheId *decoder = cxl_cache_id_of(OBJECT(port)), *holder;
    int want, id;

    if (!flit_256b || !parse_id(cache_id, &want) ||
        want == CXL_CACHE_ID_NONE) {
        update_routes();
        return;
    }
    id = choose_id(decoder, want);
    if (id < 0) {
        /* The guest has given them all away since the device was admitted. */
        update_routes();
        return;
    }
    holder = find_holder(decoder, id);
    if (holder) {
        forget_id(holder, id);
    }
    assign_id(port, id, trust);
    trace_cxl_cache_path_assign(pdev->name, id);
}

/* ---- Ports ---- */

/* The host bridge is reset with the machine. */
static void reset_host(void *opaque)
{
    cxl_cache_id_reset(opaque);
}

static void reset_security(void *opaque)
{
    cxl_ext_security_reset(opaque);
}

static CXLExtSecurity *make_security(Object *host)
{
    CXLExtSecurity *s = cxl_ext_security_of(host);

    if (!s) {
        s = cxl_ext_security_new(host,
                                 &cxl_get_hb_cstate(PCI_HOST_BRIDGE(host))->crb,
                                 update_routes);
        qemu_register_reset(reset_security, s);
    }
    return s;
}

bool cxl_cache_path_check_trust(PCIDevice *root_port, CXLTrustLevel level,
                                Error **errp)
{
    if (level != CXL_TRUST_ALL && !host_bridge(pci_get_bus(root_port))) {
        error_setg(errp, "'trust-level' needs a root port below a pxb-cxl, "
                   "whose registers say it");
        return false;
    }
    return true;
}

void cxl_cache_path_trust(PCIDevice *root_port, CXLTrustLevel level)
{
    Object *host = host_bridge(pci_get_bus(root_port));

    if (host) {
        cxl_ext_security_add(make_security(host), root_port, level);
    }
}

static void add_host(PCIBus *root)
{
    Object *host = host_bridge(root);
    CXLComponentState *cstate;
    CXLCacheId *table;

    if (cxl_cache_id_of(host)) {
        return;
    }
    cstate = cxl_get_hb_cstate(PCI_HOST_BRIDGE(host));
    table = cxl_cache_id_new(host, &cstate->crb, NULL, root, false, &ops);
    qemu_register_reset(reset_host, table);
}

void cxl_cache_path_add_port(PCIDevice *port, ComponentRegisters *component)
{
    PCIBus *root = pci_device_root_bus(port);

    if (!host_bridge(root)) {
        return;
    }
    add_host(root);
    cxl_cache_id_new(OBJECT(port), component, port, root, !is_upstream(port),
                     &ops);
}

void cxl_cache_path_reset_port(PCIDevice *port)
{
    CXLCacheId *c = cxl_cache_id_of(OBJECT(port));

    if (c) {
        cxl_cache_id_reset(c);
    }
}

void cxl_cache_path_remove_port(PCIDevice *port)
{
    CXLCacheId *c = cxl_cache_id_of(OBJECT(port));
    Object *host = pci_bus_is_root(pci_get_bus(port)) ?
                   host_bridge(pci_get_bus(port)) : NULL;
    CXLExtSecurity *security = host ? cxl_ext_security_of(host) : NULL;

    if (security) {
        cxl_ext_security_remove(security, port);
    }
    if (c) {
        cxl_cache_id_exit(c);
    }
}
