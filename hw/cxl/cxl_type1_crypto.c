/*
 * CXL Type 1 crypto accelerator
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/qdev-properties-system.h"
#include "hw/core/resettable.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_port.h"
#include "standard-headers/linux/virtio_config.h"
#include "system/system.h"
#include "hw/cxl/cxl_type1_crypto.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_vcs_switch.h"
#include "trace.h"

#define WINDOW_BAR         0
#define COMPONENT_BAR      2
#define DEFAULT_CACHE_SIZE (1 * MiB)
#define DEFAULT_CACHE_WAYS 16
#define REFUSED_SIZE       (256 * KiB)

/* One for the configuration, one that all queues share; what MSI-X can have */
#define MIN_VECTORS        2
#define MAX_VECTORS        2048

/* EUI-64 of QEMU's locally administered range for serials we make up */
#define SERIAL_EUI64_BASE  0x525400fffe000000ULL

static bool check_virtio_options(VirtIOPCIProxy *proxy, Error **errp)
{
    if (proxy->disable_modern || virtio_pci_legacy(proxy)) {
        error_setg(errp, "%s has no legacy mode: disable-legacy=off and "
                   "disable-modern=on are not supported",
                   TYPE_CXL_TYPE1_CRYPTO);
        return false;
    }
    if (proxy->flags & VIRTIO_PCI_FLAG_MODERN_PIO_NOTIFY) {
        error_setg(errp, "a CXL device must not claim I/O space: "
                   "modern-pio-notify=on is not supported");
        return false;
    }
    if (proxy->pci_dev.sriov_pf) {
        error_setg(errp, "%s cannot be an SR-IOV virtual function",
                   TYPE_CXL_TYPE1_CRYPTO);
        return false;
    }
    if (proxy->nvectors != DEV_NVECTORS_UNSPECIFIED &&
        (proxy->nvectors < MIN_VECTORS || proxy->nvectors > MAX_VECTORS)) {
        error_setg(errp, "'vectors' must be %d to %d, not %" PRIu32 ": there "
                   "is no interrupt but MSI-X", MIN_VECTORS, MAX_VECTORS,
                   proxy->nvectors);
        return false;
    }
    return true;
}

static bool check_cryptodev(CryptoDevBackend *backend, Error **errp)
{
    if (!backend) {
        error_setg(errp, "'cryptodev' must name a cryptodev backend object");
        return false;
    }
    if (cryptodev_backend_is_used(backend)) {
        error_setg(errp, "cryptodev backend '%s' is already in use by another "
                   "device",
                   object_get_canonical_path_component(OBJECT(backend)));
        return false;
    }
    return true;
}

static void cxl_type1_crypto_cache_error(void *opaque, CXLCacheError err)
{
    CXLType1Crypto *s = opaque;

    /* Noted before the device was unplugged, and reported after */
    if (DEVICE(s)->realized) {
        cxl_type1_regs_protocol_error(&s->regs, err);
    }
}

static bool attach_cache(CXLType1Crypto *s, Error **errp)
{
    CacheMemDevConfig config = {
        .cache = s->cache_policy,
        .cache_size = s->cache_size,
        .cache_ways = s->cache_ways,
        /* Nobody here reads a result, and who reads it often writes there */
        .snp_data_invalidates = true,
        .rescue = s->unplug == CXL_TYPE1_UNPLUG_RESCUE,
        .allow = s->guard,
        .flit_256b = s->flit_256b,
        .cache_id = s->cache_id,
        .limits = s->limits,
        .error = cxl_type1_crypto_cache_error,
        .opaque = s,
    };

    s->cache = cxl_type1_port_attach(PCI_DEVICE(s), &config, errp);
    return s->cache;
}

/*
 * Options are checked before anything of the device exists: virtio-pci does
 * not undo its part of a realize that fails later.
 */
static void cxl_type1_crypto_dc_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(dev);
    CXLType1CryptoClass *c = CXL_TYPE1_CRYPTO_GET_CLASS(dev);

    if (!cxl_type1_port_check(PCI_DEVICE(dev), errp) ||
        !check_virtio_options(VIRTIO_PCI(dev), errp) ||
        !check_cryptodev(s->vdev.conf.cryptodev, errp) ||
        !attach_cache(s, errp)) {
        return;
    }
    if (!cxl_type1_inject_init(s, errp)) {
        g_clear_pointer(&s->cache, cache_mem_dev_free);
        return;
    }
    c->parent_dc_realize(dev, errp);
    if (*errp) {
        cxl_type1_inject_exit(s);
        g_clear_pointer(&s->cache, cache_mem_dev_free);
    }
}

static uint32_t cxl_type1_crypto_config_read(PCIDevice *pci_dev,
                                             uint32_t addr, int len)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);
    uint32_t val;

    if (s->link_lost) {
        return UINT32_MAX;
    }
    if (cxl_type1_regs_config_read(&s->regs, addr, len, &val)) {
        return val;
    }
    return CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_config_read(pci_dev, addr,
                                                             len);
}

static void cxl_type1_crypto_config_write(PCIDevice *pci_dev, uint32_t addr,
                                          uint32_t val, int len)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);

    if (s->link_lost) {
        return;
    }
    CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_config_write(pci_dev, addr, val, len);
    /* virtio-pci has the AER capability but not its write side */
    if (pci_dev->exp.aer_cap) {
        pcie_aer_write_config(pci_dev, addr, val, len);
    }
    cxl_type1_regs_config_write(&s->regs, addr, val, len);
    if (!pcie_ats_enabled(pci_dev)) {
        cache_mem_ats_drop(s->cache);
    }
}

static uint64_t serial_number(CXLType1Crypto *s)
{
    PCIESlot *slot = PCIE_SLOT(cxl_type1_port_above(PCI_DEVICE(s)));

    if (s->sn != UINT64_MAX) {
        return s->sn;
    }
    return SERIAL_EUI64_BASE | slot->chassis << 16 | slot->slot;
}

static bool wants_ats(CXLType1Crypto *s, CacheMemAtsIommu iommu)
{
    if (s->ats != ON_OFF_AUTO_AUTO) {
        return s->ats == ON_OFF_AUTO_ON;
    }
    /* Let past the IOMMU by iommu_platform=off it has nothing to ask */
    return iommu == CACHE_MEM_ATS_IOMMU_HAS &&
           virtio_host_has_feature(VIRTIO_DEVICE(&s->vdev),
                                   VIRTIO_F_ACCESS_PLATFORM);
}

/*
 * What it would take is known when the machine is complete: an IOMMU may come
 * after the device on the command line. So this capability is the last one.
 *
 * Linux takes a device that is Cache_Capable and has ATS for one that cannot do
 * without: 7.3 then fails to probe an SMMUv3 that has none.
 */
static void init_ats(Notifier *notifier, void *data)
{
    CXLType1Crypto *s = container_of(notifier, CXLType1Crypto, machine_done);
    VirtIOPCIProxy *proxy = VIRTIO_PCI(s);
    PCIDevice *pci_dev = PCI_DEVICE(s);
    CacheMemAtsIommu iommu = cache_mem_ats_iommu(pci_dev);

    if (!wants_ats(s, iommu)) {
        return;
    }
    if (iommu == CACHE_MEM_ATS_IOMMU_HAS_NOT) {
        warn_report("%s: ats=on, but the IOMMU above the device has no ATS; a "
                    "guest that relies on it may leave all devices without "
                    "that IOMMU, as Linux 7.3 does with an SMMUv3",
                    DEVICE(s)->id ?: TYPE_CXL_TYPE1_CRYPTO);
        error_printf("With ats=auto, the default, the device has ATS where "
                     "the IOMMU does.\n");
    }
    pcie_ats_init(pci_dev, proxy->last_pcie_cap_offset,
                  proxy->flags & VIRTIO_PCI_FLAG_ATS_PAGE_ALIGNED);
    proxy->last_pcie_cap_offset += PCI_EXT_CAP_ATS_SIZEOF;
}

static void cxl_type1_crypto_realize(VirtIOPCIProxy *proxy, Error **errp)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(proxy);
    PCIDevice *pci_dev = &proxy->pci_dev;

    if (proxy->nvectors == DEV_NVECTORS_UNSPECIFIED) {
        /* One for configuration changes, one for the control queue */
        proxy->nvectors = s->vdev.conf.cryptodev->conf.peers.queues + 2;
    }

    virtio_pci_force_virtio_1(proxy);
    s->vdev.payload_ops = &cxl_type1_payload_ops;
    if (!qdev_realize(DEVICE(&s->vdev), BUS(&proxy->bus), errp)) {
        return;
    }
    if (pci_dev->exp.sriov_cap) {
        error_setg(errp, "%s cannot be an SR-IOV physical function",
                   TYPE_CXL_TYPE1_CRYPTO);
        return;
    }

    /* Plugging the virtio device has set this up for a plain virtio-pci */
    pci_set_byte(pci_dev->config + PCI_INTERRUPT_PIN, 0);

    s->regs.cache = s->cache;
    s->regs.cache_enable = s->cache_enable;
    s->regs.flit_256b = s->flit_256b;
    proxy->last_pcie_cap_offset =
        cxl_type1_regs_init(&s->regs, pci_dev, proxy->last_pcie_cap_offset,
                            COMPONENT_BAR, s->cache_size, serial_number(s));
    cache_mem_dev_window(s->cache, &s->window, OBJECT(s));
    pci_register_bar(pci_dev, WINDOW_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->window);
    pcie_cap_fill_link_ep_usp(pci_dev, s->width, s->speed, s->flit_256b);
    cxl_type1_port_link_up(pci_dev);
    s->machine_done.notify = init_ats;
    qemu_add_machine_init_done_notifier(&s->machine_done);
}

static void cxl_type1_crypto_exit(PCIDevice *pci_dev)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);

    qemu_remove_machine_init_done_notifier(&s->machine_done);
    cxl_type1_inject_exit(s);
    cxl_type1_port_link_down(pci_dev);
    CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_exit(pci_dev);
    cxl_type1_flights_exit(s);
    cxl_type1_regs_exit(&s->regs);
    cache_mem_dev_detach(s->cache);
}

static void cxl_type1_crypto_instance_finalize(Object *obj)
{
    cache_mem_dev_free(CXL_TYPE1_CRYPTO(obj)->cache);
}

/* Every reset does, FLR too; the IOMMU is not heard of any more then. */
static void disable_ats(CXLType1Crypto *s)
{
    PCIDevice *pci_dev = PCI_DEVICE(s);

    if (pci_dev->exp.ats_cap) {
        pci_set_word(pci_dev->config + pci_dev->exp.ats_cap + PCI_ATS_CTRL, 0);
        cache_mem_ats_drop(s->cache);
    }
}

static void cxl_type1_crypto_reset_hold(Object *obj, ResetType type)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(obj);
    CXLType1CryptoClass *c = CXL_TYPE1_CRYPTO_GET_CLASS(obj);
    PCIDevice *pci_dev = PCI_DEVICE(obj);
    /* pcie_cap_flr_write_config() leaves the bit set while it resets */
    bool flr = pci_get_word(pci_dev->config + pci_dev->exp.exp_cap +
                            PCI_EXP_DEVCTL) & PCI_EXP_DEVCTL_BCR_FLR;

    if (c->parent_phases.hold) {
        c->parent_phases.hold(obj, type);
    }
    if (!flr) {
        cxl_type1_inject_recover(s);
    }
    /* Before ATS ends, which would have the lines written back */
    if (s->link_lost) {
        cache_mem_dev_isolate(s->cache);
    }
    disable_ats(s);
    if (flr) {
        trace_cxl_type1_crypto_flr(pci_dev->name);
        return;
    }
    cache_mem_dev_reset(s->cache);
    cxl_type1_regs_reset(&s->regs);
    if (s->link_lost) {
        cache_mem_dev_set_mode(s->cache, CACHE_MEM_OFF);
    }
}

static const Property cxl_type1_crypto_properties[] = {
    DEFINE_PROP_BIT("ioeventfd", VirtIOPCIProxy, flags,
                    VIRTIO_PCI_FLAG_USE_IOEVENTFD_BIT, true),
    DEFINE_PROP_UINT32("vectors", VirtIOPCIProxy, nvectors,
                       DEV_NVECTORS_UNSPECIFIED),
    /* There to be refused with a reason */
    DEFINE_PROP_ON_OFF_AUTO("disable-legacy", VirtIOPCIProxy, disable_legacy,
                            ON_OFF_AUTO_AUTO),
    DEFINE_PROP_BOOL("disable-modern", VirtIOPCIProxy, disable_modern, false),
    DEFINE_PROP_SIZE("cache-size", CXLType1Crypto, cache_size,
                     DEFAULT_CACHE_SIZE),
    DEFINE_PROP_UINT32("cache-ways", CXLType1Crypto, cache_ways,
                       DEFAULT_CACHE_WAYS),
    DEFINE_PROP_ON_OFF_AUTO("cache", CXLType1Crypto, cache_policy,
                            ON_OFF_AUTO_AUTO),
    DEFINE_PROP_BOOL("cache-enable", CXLType1Crypto, cache_enable, true),
    DEFINE_PROP_ON_OFF_AUTO("ats", CXLType1Crypto, ats, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_BIT("aer", VirtIOPCIProxy, flags, VIRTIO_PCI_FLAG_AER_BIT,
                    true),
    DEFINE_PROP_STRING("window", CXLType1Crypto, guard),
    DEFINE_PROP_UINT64("sn", CXLType1Crypto, sn, UINT64_MAX),
    DEFINE_PROP_STRING("x-fault", CXLType1Crypto, inject.faults.start),
    DEFINE_PROP_PCIE_LINK_SPEED("x-speed", CXLType1Crypto, speed,
                                PCIE_LINK_SPEED_32),
    DEFINE_PROP_PCIE_LINK_WIDTH("x-width", CXLType1Crypto, width,
                                PCIE_LINK_WIDTH_16),
    DEFINE_PROP_BOOL("x-256b-flit", CXLType1Crypto, flit_256b, false),
    DEFINE_PROP_STRING("cache-id", CXLType1Crypto, cache_id),
};

static int get_writeback(Object *obj, Error **errp)
{
    return CXL_TYPE1_CRYPTO(obj)->writeback;
}

static void set_writeback(Object *obj, int value, Error **errp)
{
    CXL_TYPE1_CRYPTO(obj)->writeback = value;
}

static int get_unplug(Object *obj, Error **errp)
{
    return CXL_TYPE1_CRYPTO(obj)->unplug;
}

static void set_unplug(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "'unplug' cannot be changed after the device has been "
                   "realized");
        return;
    }
    CXL_TYPE1_CRYPTO(obj)->unplug = value;
}

static void set_link(PCIDevice *pdev, bool up)
{
    if (up) {
        cxl_type1_link_regain(CXL_TYPE1_CRYPTO(pdev));
    } else {
        cxl_type1_link_lose(CXL_TYPE1_CRYPTO(pdev));
    }
}

static CacheMemLimits *limits_of(Object *obj)
{
    return &CXL_TYPE1_CRYPTO(obj)->limits;
}

static void cxl_type1_crypto_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);
    VirtioPCIClass *vpc = VIRTIO_PCI_CLASS(klass);
    CXLType1CryptoClass *c = CXL_TYPE1_CRYPTO_CLASS(klass);

    dc->desc = "CXL Type 1 crypto accelerator";
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, cxl_type1_crypto_properties);
    object_class_property_add_enum(klass, "writeback", "CxlType1Writeback",
                                   &CxlType1Writeback_lookup, get_writeback,
                                   set_writeback);
    object_class_property_set_description(klass, "writeback",
        "When modified lines go to memory (on-demand, completion, through)");
    object_class_property_add_enum(klass, "unplug", "CxlType1Unplug",
                                   &CxlType1Unplug_lookup, get_unplug,
                                   set_unplug);
    object_class_property_set_description(klass, "unplug",
        "What becomes of modified lines when the link is lost "
        "(rescue, poison)");
    cache_mem_limits_class_init(klass, limits_of);
    device_class_set_parent_realize(dc, cxl_type1_crypto_dc_realize,
                                    &c->parent_dc_realize);
    resettable_class_set_parent_phases(rc, NULL, cxl_type1_crypto_reset_hold,
                                       NULL, &c->parent_phases);

    CXL_LINK_DEVICE_CLASS(klass)->set_link = set_link;
    cxl_type1_inject_class_init(klass);
    vpc->realize = cxl_type1_crypto_realize;
    c->parent_exit = pc->exit;
    pc->exit = cxl_type1_crypto_exit;
    c->parent_config_read = pc->config_read;
    pc->config_read = cxl_type1_crypto_config_read;
    c->parent_config_write = pc->config_write;
    pc->config_write = cxl_type1_crypto_config_write;
    pc->class_id = PCI_CLASS_CRYPT_OTHER;
}

static void cxl_type1_crypto_instance_init(Object *obj)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(obj);

    /*
     * What an IOMMU refuses is to fail a request, not the queue: it needs a
     * bounce buffer. The IOMMU is asked for each word of it.
     */
    PCI_DEVICE(obj)->max_bounce_buffer_size = REFUSED_SIZE;
    virtio_instance_init_common(obj, &s->vdev, sizeof(s->vdev),
                                TYPE_VIRTIO_CRYPTO);
    object_property_set_bool(OBJECT(&s->vdev), "iommu_platform", true,
                             &error_abort);
}

static const TypeInfo cxl_type1_crypto_info = {
    .name = TYPE_CXL_TYPE1_CRYPTO,
    .parent = TYPE_VIRTIO_PCI,
    .instance_size = sizeof(CXLType1Crypto),
    .instance_init = cxl_type1_crypto_instance_init,
    .instance_finalize = cxl_type1_crypto_instance_finalize,
    .class_size = sizeof(CXLType1CryptoClass),
    .class_init = cxl_type1_crypto_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { INTERFACE_CXL_DEVICE },
        { TYPE_CXL_RAS_DEVICE },
        { TYPE_CXL_LINK_DEVICE },
        { }
    },
};

static void cxl_type1_crypto_register_types(void)
{
    type_register_static(&cxl_type1_crypto_info);
}

type_init(cxl_type1_crypto_register_types)
