/*
 * RME: granule protection checks of what devices below CXL root ports request
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device's requests for RAM come by its bus master address space, behind any
 * SMMU, or by CXL.cache, with addresses that are translated; both ask the gate
 * of that address space.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "hw/arm/gpc_dma.h"
#include "hw/core/qdev.h"
#include "hw/cxl/cxl_rme_cda.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie_port.h"
#include "qemu/rcu.h"
#include "system/ram_view.h"
#include "target/arm/cpu.h"
#include "target/arm/cpu-features.h"
#include "target/arm/internals.h"
#include "trace.h"

/* Messages, and no more then: what is refused is counted all the same */
#define GPC_LOG_MAX 64

/* The smallest granule that there is */
#define GPC_GRANULE 4096

struct ARMGPCDMAState {
    Object parent_obj;

    QLIST_HEAD(, GPCDevice) devices;
    DeviceListener listener;
    QemuMutex lock;             /* of what follows */
    uint64_t refused;
    uint64_t last_address;
    const char *last_owner;
    const char *last_device;
    const char *last_reason;
    const struct GPCDevice *said_device;
    hwaddr said;
    const char *said_why;
    unsigned messages;
    uint64_t stale;
    char *last_stale;
    unsigned stale_messages;
};

/* A device whose requests are checked */
typedef struct GPCDevice {
    struct rcu_head rcu;
    AddressSpaceGate gate;
    ARMGPCDMAState *s;
    PCIDevice *dev;
    PCIDevice *root_port;
    const char *name;
    QLIST_ENTRY(GPCDevice) next;
} GPCDevice;

/* What the first CPU checks its accesses with; false if it does not check */
static bool gpc_config(ARMGranuleProtectionConfig *config)
{
    ARMCPU *cpu = ARM_CPU(first_cpu);
    CPUARMState *env = &cpu->env;
    MemTxAttrs attrs = { .secure = true, .space = ARMSS_Root };

    *config = (ARMGranuleProtectionConfig) {
        .gpccr = env->cp15.gpccr_el3,
        .gpcbw = env->cp15.gpcbw_el3,
        .gptbr = env->cp15.gptbr_el3,
        .parange = FIELD_EX64_IDREG(&cpu->isar, ID_AA64MMFR0, PARANGE),
        .support_sel2 = cpu_isar_feature(aa64_sel2, cpu),
        .gpt_as = arm_addressspace(CPU(cpu), attrs),
    };
    return FIELD_EX64(config->gpccr, GPCCR, GPC);
}

static bool gpc_allows(const ARMGranuleProtectionConfig *config, hwaddr pa,
                       ARMSecuritySpace space)
{
    ARMMMUFaultInfo fi = { };

    return arm_granule_protection_check(*config, pa, space, space, &fi);
}

/* Whose granule is it that a Non-secure request may not have? */
static const struct {
    ARMSecuritySpace space;
    const char *name;
} owners[] = {
    { ARMSS_Realm, "Realm" },
    { ARMSS_Secure, "Secure" },
    { ARMSS_Root, "Root" },
};

static const char *gpc_owner(const ARMGranuleProtectionConfig *config,
                             hwaddr pa)
{
    for (unsigned i = 0; i < ARRAY_SIZE(owners); i++) {
        if (gpc_allows(config, pa, owners[i].space)) {
            return owners[i].name;
        }
    }
    return "nobody";
}

static void gpc_refuse(const GPCDevice *d, bool realm, hwaddr pa,
                       const char *owner, const char *why)
{
    ARMGPCDMAState *s = d->s;

    trace_arm_gpc_dma_refused(d->name, pa, owner, why);
    QEMU_LOCK_GUARD(&s->lock);
    s->refused++;
    s->last_address = pa;
    s->last_owner = owner;
    s->last_device = d->name;
    s->last_reason = why;
    if ((s->said_device == d && s->said == pa && s->said_why == why) ||
        s->messages == GPC_LOG_MAX) {
        return;
    }
    s->said_device = d;
    s->said = pa;
    s->said_why = why;
    s->messages++;
    qemu_log_mask(LOG_GUEST_ERROR, "GPC: device %s: %s request for PA "
                  "0x%" HWADDR_PRIx " refused: the granule's owner is %s, %s"
                  "%s\n", d->name, realm ? "Realm" : "Non-secure", pa, owner,
                  why, s->messages == GPC_LOG_MAX
                       ? "; no more of these are shown" : "");
}

/**
 * GPCAnswer: what becomes of a request for a granule
 * @realm: it is a Realm request, where the port lets those pass
 * @allowed: the granule is one of its
 */
typedef struct GPCAnswer {
    CXLRmeCdaVerdict verdict;
    bool realm;
    bool allowed;
} GPCAnswer;

static bool gpc_passes(const GPCAnswer *a)
{
    return a->allowed && a->verdict == CXL_RME_CDA_PASS;
}

/*
 * With no Realm stream table that would say it, the granule says which requests
 * are Realm requests: those for what is Realm's and not Non-secure.
 */
static GPCAnswer gpc_answer(const GPCDevice *d,
                            const ARMGranuleProtectionConfig *config, hwaddr pa)
{
    bool ns = !config || gpc_allows(config, pa, ARMSS_NonSecure);
    bool realm = !ns && gpc_allows(config, pa, ARMSS_Realm);

    return (GPCAnswer) {
        .verdict = cxl_rme_cda_check(d->root_port, pci_requester_id(d->dev),
                                     realm),
        .realm = realm,
        .allowed = ns || realm,
    };
}

static void gpc_tell(const GPCDevice *d,
                     const ARMGranuleProtectionConfig *config, hwaddr pa,
                     const GPCAnswer *a)
{
    if (a->allowed) {
        gpc_refuse(d, a->realm && a->verdict != CXL_RME_CDA_NONE, pa,
                   a->realm ? "Realm" : "Non-secure",
                   cxl_rme_cda_reason(a->verdict));
    } else {
        gpc_refuse(d, false, pa, gpc_owner(config, pa),
                   "no device has such requests");
    }
}

static bool gpc_allow(AddressSpaceGate *gate, const AddressSpace *as,
                      hwaddr addr, hwaddr *len, MemTxAttrs *attrs)
{
    const GPCDevice *d = container_of(gate, GPCDevice, gate);
    ARMGranuleProtectionConfig all, *config = gpc_config(&all) ? &all : NULL;
    hwaddr done = GPC_GRANULE - addr % GPC_GRANULE;
    GPCAnswer first = gpc_answer(d, config, addr);
    bool passes = gpc_passes(&first);

    while (passes && done < *len) {
        GPCAnswer next = gpc_answer(d, config, addr + done);

        if (!gpc_passes(&next) || next.realm != first.realm) {
            break;
        }
        done += GPC_GRANULE;
    }
    *len = MIN(*len, done);
    if (!passes) {
        if (as) {
            gpc_tell(d, config, addr, &first);
        }
        return false;
    }
    if (attrs && first.realm) {
        attrs->space = ARMSS_Realm;
        attrs->mecid = cxl_rme_cda_mecid(d->root_port);
    }
    return true;
}

static const char *gpc_space_name(unsigned space)
{
    return space == ARMSS_Realm ? "Realm" : "Non-secure";
}

static void gpc_stale(const GPCDevice *d,
                      const ARMGranuleProtectionConfig *config, hwaddr pa,
                      MemTxAttrs attrs)
{
    const char *owner = gpc_allows(config, pa, ARMSS_NonSecure)
                        ? "Non-secure" : gpc_owner(config, pa);
    g_autofree char *text = g_strdup_printf(
        "device %s: a line of PA 0x%" HWADDR_PRIx ", fetched as %s MECID %u, "
        "was still cached when the granule's owner became %s", d->name, pa,
        gpc_space_name(attrs.space), attrs.mecid, owner);
    ARMGPCDMAState *s = d->s;

    trace_arm_gpc_dma_stale(d->name, pa, attrs.space, attrs.mecid, owner);
    QEMU_LOCK_GUARD(&s->lock);
    s->stale++;
    if (s->stale_messages < GPC_LOG_MAX) {
        s->stale_messages++;
        qemu_log_mask(LOG_GUEST_ERROR, "GPC: %s%s\n", text,
                      s->stale_messages == GPC_LOG_MAX
                      ? "; no more of these are shown" : "");
    }
    g_free(s->last_stale);
    s->last_stale = g_steal_pointer(&text);
}

static bool gpc_keeps(AddressSpaceGate *gate, const AddressSpace *as,
                      hwaddr addr, MemTxAttrs attrs)
{
    const GPCDevice *d = container_of(gate, GPCDevice, gate);
    ARMGranuleProtectionConfig config;

    if (!gpc_config(&config) ||
        gpc_allows(&config, addr, attrs.space ?: ARMSS_NonSecure)) {
        return true;
    }
    if (as) {
        gpc_stale(d, &config, addr, attrs);
    }
    return false;
}

static void gpc_lost(AddressSpaceGate *gate, const AddressSpace *as,
                     hwaddr addr, MemTxAttrs attrs)
{
    const GPCDevice *d = container_of(gate, GPCDevice, gate);

    if (attrs.space == ARMSS_Realm) {
        cxl_rme_cda_lost(d->root_port);
    }
}

/* The root port that it is below, if that has CXL; else NULL */
static PCIDevice *gpc_root_port(PCIDevice *dev)
{
    for (PCIBus *bus = pci_get_bus(dev); bus && !pci_bus_is_root(bus);
         bus = pci_get_bus(bus->parent_dev)) {
        if (object_dynamic_cast(OBJECT(bus->parent_dev), "cxl-rp")) {
            return bus->parent_dev;
        }
    }
    return NULL;
}

static const char *gpc_name(DeviceState *dev)
{
    g_autofree char *path = NULL;

    if (dev->id) {
        return g_intern_string(dev->id);
    }
    path = object_get_canonical_path(OBJECT(dev));
    return g_intern_string(path);
}

static void gpc_device_realize(DeviceListener *listener, DeviceState *dev)
{
    ARMGPCDMAState *s = container_of(listener, ARMGPCDMAState, listener);
    PCIDevice *root_port = object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE)
                           ? gpc_root_port(PCI_DEVICE(dev)) : NULL;
    GPCDevice *d;

    if (root_port) {
        d = g_new0(GPCDevice, 1);
        d->gate = (AddressSpaceGate) {
            .allow = gpc_allow,
            .keeps = gpc_keeps,
            .lost = gpc_lost,
        };
        d->s = s;
        d->dev = PCI_DEVICE(dev);
        d->root_port = root_port;
        d->name = gpc_name(dev);
        QLIST_INSERT_HEAD(&s->devices, d, next);
        address_space_gate_set(&d->dev->bus_master_as, &d->gate);
    }
}

static void gpc_device_unrealize(DeviceListener *listener, DeviceState *dev)
{
    ARMGPCDMAState *s = container_of(listener, ARMGPCDMAState, listener);
    GPCDevice *d;

    QLIST_FOREACH(d, &s->devices, next) {
        if (DEVICE(d->dev) == dev) {
            QLIST_REMOVE(d, next);
            address_space_gate_set(&d->dev->bus_master_as, NULL);
            g_free_rcu(d, rcu);
            return;
        }
    }
}

void arm_gpc_dma_new(Object *machine)
{
    Object *obj = object_new(TYPE_ARM_GPC_DMA);

    object_property_add_child(machine, "gpc-dma", obj);
    object_unref(obj);
    device_listener_register(&ARM_GPC_DMA(obj)->listener);
}

static char *gpc_get_owner(Object *obj, Error **errp)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return g_strdup(s->last_owner);
}

static char *gpc_get_device(Object *obj, Error **errp)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return g_strdup(s->last_device);
}

static char *gpc_get_reason(Object *obj, Error **errp)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return g_strdup(s->last_reason);
}

static char *gpc_get_stale(Object *obj, Error **errp)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    QEMU_LOCK_GUARD(&s->lock);
    return g_strdup(s->last_stale);
}

static void gpc_init(Object *obj)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    qemu_mutex_init(&s->lock);
    s->last_owner = s->last_device = s->last_reason = "";
    s->last_stale = g_strdup("");
    s->listener = (DeviceListener) {
        .realize = gpc_device_realize,
        .unrealize = gpc_device_unrealize,
    };
    object_property_add_uint64_ptr(obj, "refused", &s->refused,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "last-address", &s->last_address,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "stale-context", &s->stale,
                                   OBJ_PROP_FLAG_READ);
}

static void gpc_class_init(ObjectClass *klass, const void *data)
{
    object_class_property_add_str(klass, "last-owner", gpc_get_owner, NULL);
    object_class_property_add_str(klass, "last-device", gpc_get_device, NULL);
    object_class_property_add_str(klass, "last-reason", gpc_get_reason, NULL);
    object_class_property_add_str(klass, "last-stale", gpc_get_stale, NULL);
}

static const TypeInfo gpc_type_info = {
    .name = TYPE_ARM_GPC_DMA,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(ARMGPCDMAState),
    .instance_init = gpc_init,
    .class_init = gpc_class_init,
};

static void gpc_register_types(void)
{
    type_register_static(&gpc_type_info);
}

type_init(gpc_register_types)
