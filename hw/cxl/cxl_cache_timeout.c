/*
 * CXL Timeout and Isolation of a root port, for CXL.cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/timer.h"
#include "hw/cxl/cxl_cache_id.h"
#include "hw/cxl/cxl_cache_timeout.h"
#include "hw/pci/msi.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "trace.h"

#define CHILD "cxl-cache-timeout"

/* Behind the structures of Cache IDs, which may be there or not */
#define INDEX               (CXL_BI_DECODER_CAP_HDR_IDX + 3)
#define STRUCTURE_VERSION   1
#define OFFSET              (ROUND_UP(CXL_BI_DECODER_REGISTERS_OFFSET + \
                                      CXL_BI_DECODER_REGISTERS_SIZE, 0x10) + \
                             2 * CXL_CACHE_ID_SIZE)

QEMU_BUILD_BUG_ON(OFFSET + CXL_CACHE_TIMEOUT_SIZE >
                  CXL2_COMPONENT_CM_REGION_SIZE);

#define CTRL_WRITABLE   ((0xf << CXL_CACHE_TIMEOUT_CTRL_VALUE_SHIFT) | \
                         CXL_CACHE_TIMEOUT_CTRL_TIMEOUT | \
                         CXL_CACHE_TIMEOUT_CTRL_ISOLATION | \
                         CXL_CACHE_TIMEOUT_CTRL_ERR_COR | \
                         CXL_CACHE_TIMEOUT_CTRL_INTERRUPT)

/* The longest time of each value's range, in us (section 8.2.4.24.2) */
static const uint32_t timeouts[16] = {
    [0x0] = 10000,              /* default: 50 us to 10 ms */
    [0x1] = 100,                /* A */
    [0x2] = 10000,
    [0x5] = 55000,              /* B */
    [0x6] = 210000,
    [0x9] = 900000,             /* C */
    [0xa] = 3500000,
    [0xd] = 13000000,           /* D */
    [0xe] = 64000000,
};

uint64_t cxl_cache_timeout_ns(unsigned value)
{
    uint32_t us = timeouts[value & 0xf];

    return (uint64_t)(us ? us : timeouts[0]) * SCALE_US;
}

CXLCacheTimeout *cxl_cache_timeout_of(PCIDevice *port)
{
    Object *child = object_resolve_path_component(OBJECT(port), CHILD);

    return child ? CXL_CACHE_TIMEOUT(child) : NULL;
}

/* ---- What is told ---- */

static unsigned message_number(const CXLCacheTimeout *t)
{
    return msi_nr_vectors_allocated(t->port) > 1;
}

static bool interrupts(const CXLCacheTimeout *t)
{
    return (t->ctrl & CXL_CACHE_TIMEOUT_CTRL_INTERRUPT) &&
           (t->status & CXL_CACHE_TIMEOUT_STATUS_ISOLATION);
}

/* @before: whether there was a reason to, already */
static void update_interrupt(CXLCacheTimeout *t, bool before)
{
    if (!before && interrupts(t) && msi_enabled(t->port)) {
        msi_notify(t->port, message_number(t));
    }
}

static void send_err_cor(CXLCacheTimeout *t)
{
    const PCIEAERErr err = {
        .status = PCI_ERR_COR_INTERNAL,
        .source_id = pci_requester_id(t->port),
        .flags = PCIE_AER_ERR_IS_CORRECTABLE,
    };

    if (t->ctrl & CXL_CACHE_TIMEOUT_CTRL_ERR_COR) {
        pcie_aer_inject_error(t->port, &err);
    }
}

static void port_event(DeviceState *port, CacheMemPortEvent event)
{
    static const uint32_t bits[CACHE_MEM_NUM_PORT_EVENTS] = {
        [CACHE_MEM_PORT_TIMEOUT] = CXL_CACHE_TIMEOUT_STATUS_TIMEOUT,
        [CACHE_MEM_PORT_ISOLATED] = CXL_CACHE_TIMEOUT_STATUS_ISOLATION,
    };
    CXLCacheTimeout *t = cxl_cache_timeout_of(PCI_DEVICE(port));
    bool before, new;

    if (!t) {
        /* The port is on its way out. */
        return;
    }
    before = interrupts(t);
    new = !(t->status & bits[event]);
    t->status |= bits[event];
    trace_cxl_cache_timeout_status(t->port->name, t->status);
    update_interrupt(t, before);
    if (event == CACHE_MEM_PORT_ISOLATED && new) {
        send_err_cor(t);
    }
}

/* ---- Registers ---- */

static void apply(CXLCacheTimeout *t)
{
    uint64_t ns = cxl_cache_timeout_ns(t->ctrl >>
                                       CXL_CACHE_TIMEOUT_CTRL_VALUE_SHIFT);

    cache_mem_port_set_timeout(DEVICE(t->port),
                               t->ctrl & CXL_CACHE_TIMEOUT_CTRL_TIMEOUT ? ns
                                                                        : 0,
                               t->ctrl & CXL_CACHE_TIMEOUT_CTRL_ISOLATION);
}

static void write_ctrl(CXLCacheTimeout *t, uint32_t val)
{
    bool before = interrupts(t);

    t->ctrl = val & CTRL_WRITABLE;
    trace_cxl_cache_timeout_ctrl(t->port->name, t->ctrl);
    apply(t);
    update_interrupt(t, before);
}

static void write_status(CXLCacheTimeout *t, uint32_t val)
{
    uint32_t clear = val & t->status;

    t->status &= ~clear;
    if (clear & CXL_CACHE_TIMEOUT_STATUS_ISOLATION) {
        cache_mem_port_end_isolation(DEVICE(t->port));
    }
}

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheTimeout *t = opaque;

    switch (addr) {
    case CXL_CACHE_TIMEOUT_CAPABILITY:
        return CXL_CACHE_TIMEOUT_CAP_RANGES | CXL_CACHE_TIMEOUT_CAP_TIMEOUT |
               CXL_CACHE_TIMEOUT_CAP_ISOLATION |
               CXL_CACHE_TIMEOUT_CAP_ERR_COR | CXL_CACHE_TIMEOUT_CAP_INTERRUPT |
               message_number(t) << CXL_CACHE_TIMEOUT_CAP_MESSAGE_SHIFT;
    case CXL_CACHE_TIMEOUT_CTRL:
        return t->ctrl;
    case CXL_CACHE_TIMEOUT_STATUS:
        cache_mem_port_report();
        return t->status;
    default:
        return 0;
    }
}

static void regs_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    CXLCacheTimeout *t = opaque;

    /* What has happened before is not cleared unseen. */
    cache_mem_port_report();
    switch (addr) {
    case CXL_CACHE_TIMEOUT_CTRL:
        write_ctrl(t, val);
        break;
    case CXL_CACHE_TIMEOUT_STATUS:
        write_status(t, val);
        break;
    }
}

/* The first header says how many follow it. */
static uint64_t array_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheTimeout *t = opaque;

    return FIELD_DP32(t->component->cache_mem_registers[0],
                      CXL_CAPABILITY_HEADER, ARRAY_SIZE, INDEX);
}

static uint64_t header_read(void *opaque, hwaddr addr, unsigned size)
{
    return CXL_CACHE_TIMEOUT_CAP | STRUCTURE_VERSION << 16 | OFFSET << 20;
}

static void no_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
}

/* What all of them are but for what they do */
#define TIMEOUT_OPS(on_read, on_write) {                                \
        .read = on_read,                                                \
        .write = on_write,                                              \
        .endianness = DEVICE_LITTLE_ENDIAN,                             \
        .valid = { .min_access_size = 4, .max_access_size = 8 },        \
        .impl = { .min_access_size = 4, .max_access_size = 4 },         \
    }

static const MemoryRegionOps array_ops = TIMEOUT_OPS(array_read, no_write);
static const MemoryRegionOps header_ops = TIMEOUT_OPS(header_read, no_write);
static const MemoryRegionOps regs_ops = TIMEOUT_OPS(regs_read, regs_write);

/* ---- The object ---- */

/* Above those of Cache IDs: this is the last structure. */
static void lay_over(CXLCacheTimeout *t, MemoryRegion *mr, const char *name,
                     const MemoryRegionOps *ops, hwaddr offset, uint64_t size)
{
    memory_region_init_io(mr, OBJECT(t), ops, t, name, size);
    memory_region_add_subregion_overlap(&t->component->cache_mem, offset, mr,
                                        2);
}

void cxl_cache_timeout_new(PCIDevice *port, ComponentRegisters *component)
{
    CXLCacheTimeout *t = CXL_CACHE_TIMEOUT(object_new(TYPE_CXL_CACHE_TIMEOUT));

    object_property_add_child(OBJECT(port), CHILD, OBJECT(t));
    object_unref(OBJECT(t));
    t->port = port;
    t->component = component;
    lay_over(t, &t->array, "cxl-cache-timeout-array", &array_ops, 0, 4);
    lay_over(t, &t->header, "cxl-cache-timeout-header", &header_ops, INDEX * 4,
             4);
    lay_over(t, &t->regs, "cxl-cache-timeout-regs", &regs_ops, OFFSET,
             CXL_CACHE_TIMEOUT_SIZE);
}

void cxl_cache_timeout_reset(PCIDevice *port)
{
    CXLCacheTimeout *t = cxl_cache_timeout_of(port);

    if (t) {
        cache_mem_port_report();
        write_status(t, UINT32_MAX);
        write_ctrl(t, 0);
    }
}

void cxl_cache_timeout_exit(PCIDevice *port)
{
    CXLCacheTimeout *t = cxl_cache_timeout_of(port);

    if (t) {
        MemoryRegion *cache_mem = &t->component->cache_mem;

        memory_region_del_subregion(cache_mem, &t->array);
        memory_region_del_subregion(cache_mem, &t->header);
        memory_region_del_subregion(cache_mem, &t->regs);
        object_unparent(OBJECT(t));
    }
}

void cxl_cache_timeout_config(PCIDevice *port, CacheMemDevConfig *config)
{
    CXLCacheTimeout *t = cxl_cache_timeout_of(port);

    config->port = DEVICE(port);
    config->port_event = t ? port_event : NULL;
    config->isolated = t && (t->status & CXL_CACHE_TIMEOUT_STATUS_ISOLATION);
}

void cxl_cache_timeout_attached(PCIDevice *port)
{
    CXLCacheTimeout *t = cxl_cache_timeout_of(port);

    if (t) {
        apply(t);
    }
}

static const TypeInfo cache_timeout_info = {
    .name = TYPE_CXL_CACHE_TIMEOUT,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLCacheTimeout),
};

static void cache_timeout_register_types(void)
{
    type_register_static(&cache_timeout_info);
}

type_init(cache_timeout_register_types)
