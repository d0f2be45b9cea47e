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
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie_port.h"
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

    AddressSpaceGate gate;
    DeviceListener listener;
    QemuMutex lock;             /* of what follows */
    uint64_t refused;
    uint64_t last_address;
    const char *last_owner;
    const char *last_device;
    const AddressSpace *said_as;
    hwaddr said;
    unsigned messages;
};

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
static const char *gpc_owner(const ARMGranuleProtectionConfig *config,
                             hwaddr pa)
{
    static const struct {
        ARMSecuritySpace space;
        const char *name;
    } owners[] = {
        { ARMSS_Realm, "Realm" },
        { ARMSS_Secure, "Secure" },
        { ARMSS_Root, "Root" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(owners); i++) {
        if (gpc_allows(config, pa, owners[i].space)) {
            return owners[i].name;
        }
    }
    return "nobody";
}

static const char *gpc_who(const AddressSpace *as)
{
    DeviceState *dev = DEVICE(memory_region_owner(as->root));
    g_autofree char *path = NULL;

    if (dev->id) {
        return g_intern_string(dev->id);
    }
    path = object_get_canonical_path(OBJECT(dev));
    return g_intern_string(path);
}

static void gpc_refuse(ARMGPCDMAState *s, const AddressSpace *as, hwaddr pa,
                       const char *owner)
{
    const char *who = gpc_who(as);

    trace_arm_gpc_dma_refused(who, pa, owner);
    QEMU_LOCK_GUARD(&s->lock);
    s->refused++;
    s->last_address = pa;
    s->last_owner = owner;
    s->last_device = who;
    if ((s->said_as == as && s->said == pa) || s->messages == GPC_LOG_MAX) {
        return;
    }
    s->said_as = as;
    s->said = pa;
    s->messages++;
    qemu_log_mask(LOG_GUEST_ERROR, "GPC: device %s: Non-secure request for PA "
                  "0x%" HWADDR_PRIx " refused: the granule's owner is %s%s\n",
                  who, pa, owner, s->messages == GPC_LOG_MAX
                                  ? "; no more of these are shown" : "");
}

static bool gpc_allow(AddressSpaceGate *gate, const AddressSpace *as,
                      hwaddr addr, hwaddr *len)
{
    ARMGPCDMAState *s = container_of(gate, ARMGPCDMAState, gate);
    ARMGranuleProtectionConfig config;
    hwaddr done = GPC_GRANULE - addr % GPC_GRANULE;

    if (!gpc_config(&config)) {
        return true;
    }
    if (!gpc_allows(&config, addr, ARMSS_NonSecure)) {
        *len = MIN(*len, done);
        if (as) {
            gpc_refuse(s, as, addr, gpc_owner(&config, addr));
        }
        return false;
    }
    while (done < *len && gpc_allows(&config, addr + done, ARMSS_NonSecure)) {
        done += GPC_GRANULE;
    }
    *len = MIN(*len, done);
    return true;
}

/* Is it below a root port that has CXL? */
static bool gpc_is_below_cxl(PCIDevice *dev)
{
    for (PCIBus *bus = pci_get_bus(dev); bus && !pci_bus_is_root(bus);
         bus = pci_get_bus(bus->parent_dev)) {
        if (object_dynamic_cast(OBJECT(bus->parent_dev), "cxl-rp")) {
            return true;
        }
    }
    return false;
}

static void gpc_device_realize(DeviceListener *listener, DeviceState *dev)
{
    ARMGPCDMAState *s = container_of(listener, ARMGPCDMAState, listener);

    if (object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE) &&
        gpc_is_below_cxl(PCI_DEVICE(dev))) {
        address_space_gate_set(&PCI_DEVICE(dev)->bus_master_as, &s->gate);
    }
}

static void gpc_device_unrealize(DeviceListener *listener, DeviceState *dev)
{
    if (object_dynamic_cast(OBJECT(dev), TYPE_PCI_DEVICE)) {
        address_space_gate_set(&PCI_DEVICE(dev)->bus_master_as, NULL);
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

static void gpc_init(Object *obj)
{
    ARMGPCDMAState *s = ARM_GPC_DMA(obj);

    qemu_mutex_init(&s->lock);
    s->gate.allow = gpc_allow;
    s->last_owner = s->last_device = "";
    s->listener = (DeviceListener) {
        .realize = gpc_device_realize,
        .unrealize = gpc_device_unrealize,
    };
    object_property_add_uint64_ptr(obj, "refused", &s->refused,
                                   OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(obj, "last-address", &s->last_address,
                                   OBJ_PROP_FLAG_READ);
}

static void gpc_class_init(ObjectClass *klass, const void *data)
{
    object_class_property_add_str(klass, "last-owner", gpc_get_owner, NULL);
    object_class_property_add_str(klass, "last-device", gpc_get_device, NULL);
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
