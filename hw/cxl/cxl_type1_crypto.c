/*
 * CXL Type 1 crypto accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/qdev-properties-system.h"
#include "hw/core/resettable.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_port.h"
#include "hw/cxl/cxl_type1_crypto.h"
#include "hw/cxl/cxl_type1_port.h"
#include "qemu/main-loop.h"
#include "system/runstate.h"
#include "trace.h"

#define WINDOW_BAR         0
#define COMPONENT_BAR      2
#define DEFAULT_CACHE_SIZE (1 * MiB)
#define DEFAULT_CACHE_WAYS 16
#define REFUSED_SIZE       (256 * KiB)

/* EUI-64 of QEMU's locally administered range for serials we make up */
#define SERIAL_EUI64_BASE  0x525400fffe000000ULL

static PCIDevice *port_above(DeviceState *dev)
{
    return PCI_BUS(qdev_get_parent_bus(dev))->parent_dev;
}

static bool check_bus(DeviceState *dev, Error **errp)
{
    BusState *bus = qdev_get_parent_bus(dev);
    PCIDevice *port = port_above(dev);

    if (!object_dynamic_cast(OBJECT(bus), TYPE_CXL_BUS) || !port) {
        error_setg(errp, "%s needs a CXL bus, and bus '%s' is none",
                   TYPE_CXL_TYPE1_CRYPTO, bus->name);
        error_append_hint(errp, "Plug it into a cxl-rp with cxl-cache=on.\n");
        return false;
    }
    if (!object_dynamic_cast(OBJECT(port), "cxl-rp")) {
        error_setg(errp, "%s must stand directly below a cxl-rp, not below "
                   "a %s", TYPE_CXL_TYPE1_CRYPTO,
                   object_get_typename(OBJECT(port)));
        return false;
    }
    if (!cxl_type1_port_offers_cache(port)) {
        error_setg(errp, "the root port of bus '%s' does not offer CXL.cache",
                   bus->name);
        error_append_hint(errp, "Add cxl-cache=on to its cxl-rp.\n");
        return false;
    }
    /* 68B flits carry no Cache ID: the port can tell one cache device only */
    if (PCI_DEVICE(dev)->devfn > 0) {
        error_setg(errp, "%s must be device 0, function 0 of its bus",
                   TYPE_CXL_TYPE1_CRYPTO);
        return false;
    }
    return true;
}

static bool check_virtio_options(VirtIOPCIProxy *proxy, Error **errp)
{
    if (proxy->disable_modern || virtio_pci_legacy(proxy)) {
        error_setg(errp, "%s has no legacy mode: disable-legacy=off and "
                   "disable-modern=on are not possible",
                   TYPE_CXL_TYPE1_CRYPTO);
        return false;
    }
    if (proxy->flags & VIRTIO_PCI_FLAG_MODERN_PIO_NOTIFY) {
        error_setg(errp, "a CXL device must not claim I/O space: "
                   "modern-pio-notify=on is not possible");
        return false;
    }
    if (proxy->pci_dev.sriov_pf) {
        error_setg(errp, "%s cannot be an SR-IOV virtual function",
                   TYPE_CXL_TYPE1_CRYPTO);
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
        error_setg(errp, "cryptodev backend '%s' is used by another device",
                   object_get_canonical_path_component(OBJECT(backend)));
        return false;
    }
    return true;
}

static void cxl_type1_crypto_cache_error(void *opaque, CXLCacheError err)
{
    CXLType1Crypto *s = opaque;

    cxl_type1_regs_protocol_error(&s->regs, err);
}

static bool attach_cache(CXLType1Crypto *s, Error **errp)
{
    CacheMemDevConfig config = {
        .dev = DEVICE(s),
        .cache_size = s->cache_size,
        .cache_ways = s->cache_ways,
        /* Nobody here reads a result, and who reads it often writes there */
        .yield = true,
        .rescue = s->unplug == CXL_TYPE1_UNPLUG_RESCUE,
        .sf_size = cxl_type1_port_sf_size(port_above(DEVICE(s))),
        .window = s->guard,
        .error = cxl_type1_crypto_cache_error,
        .opaque = s,
    };

    s->cache = cache_mem_dev_new(&config, errp);
    return s->cache;
}

/* Faults that are the device's */

static void go_on(CXLType1Crypto *s)
{
    if (runstate_is_running() && !s->faults.hung) {
        virtio_crypto_resume(&s->vdev);
    }
}

/* What a stopped machine was told to clear it goes on with later. */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        go_on(opaque);
    }
}

/* The reset that this is for the device finds the link down. */
static void lose_link(CXLType1Crypto *s)
{
    PCIDevice *port = port_above(DEVICE(s));

    if (s->faults.link_down) {
        return;
    }
    s->faults.link_down = true;
    cxl_type1_port_link_down(port, s->port_status);
    pci_set_enabled(PCI_DEVICE(s), false);
    cache_mem_dev_isolate(s->cache);
    pcie_cap_slot_set_present(port, false);
}

static void regain_link(CXLType1Crypto *s)
{
    PCIDevice *port = port_above(DEVICE(s));

    s->faults.link_down = false;
    cxl_type1_port_link_up(port);
    /* The slot may have got its power back while the link was down */
    pci_set_enabled(PCI_DEVICE(s), false);
    /* If the slot has power, that is a reset of the device */
    pcie_cap_slot_set_present(port, true);
}

/* Out of the callbacks of the request that the link went down in */
static void lose_link_bh(void *opaque)
{
    CXLType1Crypto *s = opaque;

    if (DEVICE(s)->realized) {
        lose_link(s);
    }
    object_unref(OBJECT(s));
}

static void remove_bh(void *opaque)
{
    CXLType1Crypto *s = opaque;
    DeviceState *dev = DEVICE(s);

    if (dev->realized) {
        lose_link(s);
        dev->pending_deleted_event = true;
        hotplug_handler_unplug(qdev_get_hotplug_handler(dev), dev,
                               &error_abort);
        object_unparent(OBJECT(s));
    }
    object_unref(OBJECT(s));
}

static void schedule(CXLType1Crypto *s, QEMUBHFunc *cb)
{
    object_ref(OBJECT(s));
    aio_bh_schedule_oneshot(qemu_get_aio_context(), cb, s);
}

void cxl_type1_crypto_strike(CXLType1Crypto *s, CxlType1FaultKind kind)
{
    switch (kind) {
    case CXL_TYPE1_FAULT_KIND_HANG:
        s->faults.hung = true;
        break;
    case CXL_TYPE1_FAULT_KIND_VIRAL:
        s->faults.viral = true;
        cache_mem_dev_set_viral(s->cache, true);
        cxl_type1_regs_viral(&s->regs, true);
        break;
    case CXL_TYPE1_FAULT_KIND_HW_NOT_READY:
        s->faults.not_ready = true;
        virtio_crypto_set_hw_failed(&s->vdev, true);
        break;
    case CXL_TYPE1_FAULT_KIND_LINK_DOWN:
        s->faults.hung = true;
        schedule(s, lose_link_bh);
        break;
    case CXL_TYPE1_FAULT_KIND_REMOVAL:
        s->faults.hung = true;
        schedule(s, remove_bh);
        break;
    case CXL_TYPE1_FAULT_KIND_INVALIDATE_TIMEOUT:
        cache_mem_atc_set_deaf(s->cache, true);
        break;
    default:
        g_assert_not_reached();
    }
}

static void fault_strike(void *opaque, CxlType1FaultKind kind)
{
    cxl_type1_crypto_strike(opaque, kind);
}

static void recover(CXLType1Crypto *s)
{
    cache_mem_atc_set_deaf(s->cache, false);
    if (s->faults.viral) {
        s->faults.viral = false;
        cache_mem_dev_set_viral(s->cache, false);
        cxl_type1_regs_viral(&s->regs, false);
    }
    if (s->faults.not_ready) {
        s->faults.not_ready = false;
        virtio_crypto_set_hw_failed(&s->vdev, false);
    }
}

static void fault_clear(void *opaque)
{
    CXLType1Crypto *s = opaque;

    recover(s);
    s->faults.hung = false;
    if (s->faults.link_down) {
        regain_link(s);
    }
    go_on(s);
}

static unsigned fault_held(void *opaque)
{
    CXLType1Crypto *s = opaque;
    VirtIOCryptoReq *req;
    unsigned held = 0;

    QTAILQ_FOREACH(req, &s->vdev.requests, next) {
        held += req->held;
    }
    return held;
}

static const CXLType1FaultOps fault_ops = {
    .strike = fault_strike,
    .clear = fault_clear,
    .held = fault_held,
};

/*
 * Options are checked before anything of the device exists: virtio-pci does
 * not undo its part of a realize that fails later.
 */
static void cxl_type1_crypto_dc_realize(DeviceState *dev, Error **errp)
{
    ERRP_GUARD();
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(dev);
    CXLType1CryptoClass *c = CXL_TYPE1_CRYPTO_GET_CLASS(dev);

    if (!check_bus(dev, errp) ||
        !check_virtio_options(VIRTIO_PCI(dev), errp) ||
        !cxl_type1_cache_size_enc(s->cache_size, errp) ||
        !check_cryptodev(s->vdev.conf.cryptodev, errp) ||
        !attach_cache(s, errp)) {
        return;
    }
    if (!cxl_type1_fault_init(&s->faults, dev, &fault_ops, s, errp)) {
        g_clear_pointer(&s->cache, cache_mem_dev_free);
        return;
    }
    c->parent_dc_realize(dev, errp);
    if (*errp) {
        cxl_type1_fault_exit(&s->faults);
        g_clear_pointer(&s->cache, cache_mem_dev_free);
        return;
    }
    s->run_state = qemu_add_vm_change_state_handler(run_state_changed, s);
}

static uint32_t cxl_type1_crypto_config_read(PCIDevice *pci_dev,
                                             uint32_t addr, int len)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);
    uint32_t val;

    if (s->faults.link_down) {
        return UINT32_MAX;
    }
    if (cxl_type1_regs_config_read(&s->regs, addr, len, &val)) {
        return val;
    }
    return s->virtio_config_read(pci_dev, addr, len);
}

static void cxl_type1_crypto_config_write(PCIDevice *pci_dev, uint32_t addr,
                                          uint32_t val, int len)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);

    if (s->faults.link_down) {
        return;
    }
    s->virtio_config_write(pci_dev, addr, val, len);
    /* virtio-pci has the AER capability but not its write side */
    if (pci_dev->exp.aer_cap) {
        pcie_aer_write_config(pci_dev, addr, val, len);
    }
    cxl_type1_regs_config_write(&s->regs, addr, val, len);
    if (!pcie_ats_enabled(pci_dev)) {
        cache_mem_atc_drop(s->cache);
    }
}

static uint64_t serial_number(CXLType1Crypto *s)
{
    PCIESlot *slot = PCIE_SLOT(port_above(DEVICE(s)));

    if (s->sn != UINT64_MAX) {
        return s->sn;
    }
    return SERIAL_EUI64_BASE | slot->chassis << 16 | slot->slot;
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

    /* Plugging the virtio device has set these up for a plain virtio-pci */
    pci_set_byte(pci_dev->config + PCI_INTERRUPT_PIN, 0);
    s->virtio_config_read = pci_dev->config_read;
    s->virtio_config_write = pci_dev->config_write;
    pci_dev->config_read = cxl_type1_crypto_config_read;
    pci_dev->config_write = cxl_type1_crypto_config_write;

    s->regs.cache = s->cache;
    s->regs.cache_enable = s->cache_enable;
    proxy->last_pcie_cap_offset =
        cxl_type1_regs_init(&s->regs, pci_dev, proxy->last_pcie_cap_offset,
                            COMPONENT_BAR, s->cache_size, serial_number(s));
    cache_mem_dev_window(s->cache, &s->window, OBJECT(s));
    pci_register_bar(pci_dev, WINDOW_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->window);
    pcie_cap_fill_link_ep_usp(pci_dev, s->width, s->speed, false);
    s->port_status = cxl_type1_port_link_up(port_above(DEVICE(s)));
}

static void cxl_type1_crypto_exit(PCIDevice *pci_dev)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(pci_dev);

    /* Not there yet if the realize fails late */
    g_clear_pointer(&s->run_state, qemu_del_vm_change_state_handler);
    cxl_type1_fault_exit(&s->faults);
    cxl_type1_port_link_down(port_above(DEVICE(s)), s->port_status);
    CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_exit(pci_dev);
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
        cache_mem_atc_drop(s->cache);
    }
}

static void cxl_type1_crypto_reset_hold(Object *obj, ResetType type)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(obj);
    CXLType1CryptoClass *c = CXL_TYPE1_CRYPTO_GET_CLASS(obj);
    PCIDevice *pci_dev = PCI_DEVICE(obj);
    uint16_t devctl = pci_get_word(pci_dev->config + pci_dev->exp.exp_cap +
                                   PCI_EXP_DEVCTL);

    if (c->parent_phases.hold) {
        c->parent_phases.hold(obj, type);
    }
    disable_ats(s);

    /* pcie_cap_flr_write_config() leaves the bit set while it resets */
    if (devctl & PCI_EXP_DEVCTL_BCR_FLR) {
        trace_cxl_type1_crypto_flr(pci_dev->name);
        return;
    }
    recover(s);
    if (s->faults.link_down) {
        cache_mem_dev_isolate(s->cache);
    }
    cache_mem_dev_reset(s->cache);
    cxl_type1_regs_reset(&s->regs);
    if (s->faults.link_down) {
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
    DEFINE_PROP_BOOL("cache-enable", CXLType1Crypto, cache_enable, true),
    DEFINE_PROP_STRING("window", CXLType1Crypto, guard),
    DEFINE_PROP_UINT64("sn", CXLType1Crypto, sn, UINT64_MAX),
    DEFINE_PROP_STRING("x-fault", CXLType1Crypto, faults.start),
    DEFINE_PROP_PCIE_LINK_SPEED("x-speed", CXLType1Crypto, speed,
                                PCIE_LINK_SPEED_32),
    DEFINE_PROP_PCIE_LINK_WIDTH("x-width", CXLType1Crypto, width,
                                PCIE_LINK_WIDTH_16),
};

static const QEnumLookup writeback_lookup = {
    .array = (const char *const[]) {
        [CXL_TYPE1_WRITEBACK_ON_DEMAND] = "on-demand",
        [CXL_TYPE1_WRITEBACK_COMPLETION] = "completion",
    },
    .size = 2,
};

static int get_writeback(Object *obj, Error **errp)
{
    return CXL_TYPE1_CRYPTO(obj)->writeback;
}

static void set_writeback(Object *obj, int value, Error **errp)
{
    CXL_TYPE1_CRYPTO(obj)->writeback = value;
}

static const QEnumLookup unplug_lookup = {
    .array = (const char *const[]) {
        [CXL_TYPE1_UNPLUG_RESCUE] = "rescue",
        [CXL_TYPE1_UNPLUG_POISON] = "poison",
    },
    .size = 2,
};

static int get_unplug(Object *obj, Error **errp)
{
    return CXL_TYPE1_CRYPTO(obj)->unplug;
}

static void set_unplug(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "'unplug' cannot be changed any more");
        return;
    }
    CXL_TYPE1_CRYPTO(obj)->unplug = value;
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
    object_class_property_add_enum(klass, "writeback", "CXLType1Writeback",
                                   &writeback_lookup, get_writeback,
                                   set_writeback);
    object_class_property_set_description(klass, "writeback",
        "When modified lines go to memory (on-demand, completion)");
    object_class_property_add_enum(klass, "unplug", "CXLType1Unplug",
                                   &unplug_lookup, get_unplug, set_unplug);
    object_class_property_set_description(klass, "unplug",
        "What becomes of modified lines when the link is lost "
        "(rescue, poison)");
    device_class_set_parent_realize(dc, cxl_type1_crypto_dc_realize,
                                    &c->parent_dc_realize);
    resettable_class_set_parent_phases(rc, NULL, cxl_type1_crypto_reset_hold,
                                       NULL, &c->parent_phases);

    vpc->realize = cxl_type1_crypto_realize;
    c->parent_exit = pc->exit;
    pc->exit = cxl_type1_crypto_exit;
    pc->class_id = PCI_CLASS_CRYPT_OTHER;
}

static void cxl_type1_crypto_instance_init(Object *obj)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(obj);

    VIRTIO_PCI(obj)->flags |= VIRTIO_PCI_FLAG_ATS | VIRTIO_PCI_FLAG_AER;
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
        { }
    },
};

static void cxl_type1_crypto_register_types(void)
{
    type_register_static(&cxl_type1_crypto_info);
}

type_init(cxl_type1_crypto_register_types)
