/*
 * CacheMemRegion: under which context a device's requests pass
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "system/ram_view.h"
#include "hw/pci/pci_device.h"
#include "cache_mem_context.h"
#include "cache_mem_internal.h"

static const AddressSpace *address_space(const CacheMemDev *cm)
{
    return &PCI_DEVICE(cm->config.dev)->bus_master_as;
}

bool cache_mem_context_allows(const CacheMemDev *cm, uint64_t addr,
                              uint64_t len, bool tell, uint32_t *context)
{
    MemTxAttrs attrs = { };
    bool ok = address_space_gate_allows(address_space(cm), addr, len, tell,
                                        &attrs);

    *context = cache_mem_context_make(attrs);
    return ok;
}

/* Has the home a line of the page under any context? */
static bool page_has_contexts(const CacheMemRegion *region, uint64_t addr,
                              uint64_t held)
{
    uint64_t first = addr >> CXL_CACHE_LINE_SHIFT;

    for (; held; held &= held - 1) {
        if (cxl_cache_home_held(region->home, first + ctz64(held))) {
            return true;
        }
    }
    return false;
}

bool cache_mem_context_plain_page(const CacheMemRegion *region, uint64_t addr,
                                  uint64_t held)
{
    bool gated = false;
    CacheMemDev *cm;
    uint32_t context;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (address_space_has_gate(address_space(cm))) {
            gated = true;
            if (!cache_mem_context_allows(cm, addr, CACHE_MEM_PAGE_SIZE, false,
                                          &context) || context) {
                return false;
            }
        }
    }
    return !gated || !page_has_contexts(region, addr, held);
}

/* A device whose requests are checked; all are by the same table. */
static const CacheMemDev *gated_dev(const CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (address_space_has_gate(address_space(cm))) {
            return cm;
        }
    }
    return NULL;
}

bool cache_mem_context_any(const CacheMemRegion *region)
{
    return gated_dev(region);
}

bool cache_mem_context_stale(const CacheMemRegion *region,
                             const CacheMemPage *p)
{
    const CacheMemDev *cm = gated_dev(region);
    uint64_t first = p->addr >> CXL_CACHE_LINE_SHIFT;
    uint64_t held = cache_mem_page_lines(p, true);
    uint32_t last = 0;
    bool asked = false;

    for (; cm && held; held &= held - 1) {
        uint32_t context = cxl_cache_home_held(region->home,
                                               first + ctz64(held));

        /* All lines of a page are of one granule. */
        if (asked && context == last) {
            continue;
        }
        if (!address_space_gate_keeps(address_space(cm), p->addr,
                                      cache_mem_context_attrs(context),
                                      false)) {
            return true;
        }
        asked = true;
        last = context;
    }
    return false;
}

void cache_mem_context_left(CacheMemRegion *region, uint64_t line,
                            uint32_t context, uint16_t devs)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->number >= 0 && (devs >> cm->number & 1)) {
            address_space_gate_keeps(address_space(cm),
                                     line << CXL_CACHE_LINE_SHIFT,
                                     cache_mem_context_attrs(context), true);
        }
    }
}

void cache_mem_context_lost(CacheMemDev *cm)
{
    const AddressSpace *as = address_space(cm);

    if (!address_space_has_gate(as)) {
        return;
    }
    for (unsigned i = 0; i < cxl_cache_dev_num_lines(cm->dev); i++) {
        CXLCacheSlot slot;

        if (cxl_cache_dev_slot(cm->dev, i, &slot) &&
            cxl_cache_may(slot.state, CXL_CACHE_P_DIRTY)) {
            uint32_t context = cxl_cache_home_held(cm->region->home,
                                                   slot.line);

            address_space_gate_lost(as, slot.line << CXL_CACHE_LINE_SHIFT,
                                    cache_mem_context_attrs(context));
        }
    }
}
