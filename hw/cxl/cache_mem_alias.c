/*
 * CacheMemRegion: an encrypted alias of guest RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/range.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "system/address-spaces.h"
#include "system/tcg.h"
#include "cache_mem_internal.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(CXL_ALIAS_LINE_SHIFT != CXL_CACHE_LINE_SHIFT);
QEMU_BUILD_BUG_ON(CXL_ALIAS_PAGE_LINES != CACHE_MEM_PAGE_LINES);

/* ---- RAM ---- */

/**
 * Place: where a line is
 * @mem: its bytes, past the trap where there is one
 * @section: NULL where nobody follows RAM, since there is no CXL.cache device;
 *           then @mr and @offset
 */
typedef struct Place {
    uint8_t *mem;
    CacheMemSection *section;
    MemoryRegion *mr;
    hwaddr offset;
} Place;

/* In an RCU critical section. Returns: false where no RAM is to be written */
static bool find_place(CacheMemRegion *region, uint64_t line, Place *place)
{
    hwaddr addr = line << CXL_CACHE_LINE_SHIFT, len = CXL_CACHE_LINE_SIZE;

    *place = (Place) { };
    if (region->ram) {
        place->section = cache_mem_ram_find(region->ram, addr);
        if (!place->section || place->section->readonly) {
            return false;
        }
        place->mem = cache_mem_ram_mem(place->section, addr);
        return true;
    }
    place->mr = address_space_translate(&address_space_memory, addr,
                                        &place->offset, &len, true,
                                        MEMTXATTRS_UNSPECIFIED);
    if (!memory_region_is_ram(place->mr) || place->mr->readonly ||
        memory_region_is_rom(place->mr) || len < CXL_CACHE_LINE_SIZE) {
        return false;
    }
    place->mem = (uint8_t *)memory_region_get_ram_ptr(place->mr) +
                 place->offset;
    return true;
}

static void set_dirty(CacheMemRegion *region, const Place *place, uint64_t line)
{
    if (place->section) {
        cache_mem_ram_dirty(place->section, line << CXL_CACHE_LINE_SHIFT,
                            CXL_CACHE_LINE_SIZE);
    } else {
        memory_region_set_dirty(place->mr, place->offset, CXL_CACHE_LINE_SIZE);
    }
    g_array_append_val(region->alias->written, line);
}

static void read_shown(void *opaque, uint64_t line, uint8_t *data)
{
    Place place;

    RCU_READ_LOCK_GUARD();
    if (find_place(opaque, line, &place)) {
        memcpy(data, place.mem, CXL_CACHE_LINE_SIZE);
    } else {
        /* It has been unplugged. */
        memset(data, 0xff, CXL_CACHE_LINE_SIZE);
    }
}

static void write_shown(void *opaque, uint64_t line, const uint8_t *data)
{
    Place place;

    RCU_READ_LOCK_GUARD();
    if (find_place(opaque, line, &place)) {
        memcpy(place.mem, data, CXL_CACHE_LINE_SIZE);
        set_dirty(opaque, &place, line);
    }
}

static void crypt_line(void *opaque, unsigned context, uint64_t line,
                       const uint8_t *in, uint8_t *out, bool encrypt)
{
    CacheMemAlias *alias = ((CacheMemRegion *)opaque)->alias;

    alias->crypt(alias->opaque, context, line, in, out, encrypt);
}

static const CXLAliasOps alias_ops = {
    .read = read_shown,
    .write = write_shown,
    .crypt = crypt_line,
};

void cache_mem_alias_written(CacheMemRegion *region)
{
    g_autoptr(GArray) lines = NULL;

    if (!tcg_enabled()) {
        return;
    }
    WITH_QEMU_LOCK_GUARD(&region->lock) {
        if (!region->alias || !region->alias->written->len) {
            return;
        }
        lines = region->alias->written;
        region->alias->written = g_array_new(false, false, sizeof(uint64_t));
    }
    for (unsigned i = 0; i < lines->len; i++) {
        cache_mem_discard_code(&address_space_memory,
                               g_array_index(lines, uint64_t, i) <<
                               CXL_CACHE_LINE_SHIFT, CXL_CACHE_LINE_SIZE);
    }
}

bool cache_mem_alias_watches(const CacheMemAlias *alias, hwaddr addr)
{
    for (unsigned i = 0; alias->watch && i < alias->watch->len; i++) {
        if (range_contains(&g_array_index(alias->watch, Range, i), addr)) {
            return true;
        }
    }
    return !alias->watch;
}

/* ---- CPUs ---- */

/* A CPU's access of another address than devices' finds their lines, or not. */
static void ask_devices(CacheMemRegion *region, uint64_t line, bool cached,
                        bool write)
{
    const CacheMemAlias *alias = region->alias;
    CXLCacheState state;

    if (!region->home) {
        return;
    }
    if (alias->coherence == CXL_ALIAS_COHERENT_ALL || !cached) {
        cache_mem_snoop_line(region, line, CXL_CACHE_HOST_FLUSH);
    } else if (cache_mem_snoop_holder(region, line, &state)) {
        cxl_alias_device_has(alias->model, CXL_ALIAS_OF_ASID(alias->asid),
                             line, state != CXL_CACHE_S, write);
    }
}

bool cache_mem_alias_encrypted(CacheMemRegion *region, int cpu, hwaddr addr,
                               void *data, unsigned len, bool write)
{
    const CacheMemAlias *alias = region->alias;
    uint64_t line = addr >> CXL_CACHE_LINE_SHIFT;
    unsigned context = CXL_ALIAS_OF_ASID(alias->asid);
    unsigned offset = addr % CXL_CACHE_LINE_SIZE;
    bool cached = cache_mem_alias_watches(alias, addr);
    Place place;

    WITH_RCU_READ_LOCK_GUARD() {
        if (!find_place(region, line, &place)) {
            return false;
        }
    }
    trace_cxl_cache_alias(addr, len, write ? "write" : "read", cpu,
                          alias->asid, cached ? "" : " uncached");
    ask_devices(region, line, cached, write);
    if (cpu == CACHE_MEM_ALIAS_DEVICE || !cached) {
        cxl_alias_dma(alias->model, context, line, offset, len, data, write);
    } else if (write) {
        cxl_alias_store(alias->model, cpu, context, line, offset, len, data);
    } else {
        cxl_alias_load(alias->model, cpu, context, line, offset, len, data);
    }
    cache_mem_llc_settle(region);
    return true;
}

/* CPUs' plain lines and devices' are coherent, whatever else is. */
static void access_plain(CacheMemRegion *region, int cpu, uint64_t line,
                         bool write)
{
    if (region->home) {
        cache_mem_snoop_line(region, line, !write && region->can_share ?
                                           CXL_CACHE_HOST_READ :
                                           CXL_CACHE_HOST_FLUSH);
        cache_mem_llc_settle(region);
    }
    if (cache_mem_alias_watches(region->alias, line << CXL_CACHE_LINE_SHIFT)) {
        cxl_alias_plain(region->alias->model, cpu, line, write);
    }
}

bool cache_mem_alias_plain(CacheMemRegion *region, int cpu, hwaddr addr,
                           void *data, unsigned len, bool write)
{
    uint64_t line = addr >> CXL_CACHE_LINE_SHIFT;
    Place place;

    RCU_READ_LOCK_GUARD();
    if (!find_place(region, line, &place)) {
        return false;
    }
    access_plain(region, cpu, line, write);
    if (write) {
        memcpy(place.mem + addr % CXL_CACHE_LINE_SIZE, data, len);
        set_dirty(region, &place, line);
    } else {
        memcpy(data, place.mem + addr % CXL_CACHE_LINE_SIZE, len);
    }
    return true;
}

void cache_mem_alias_cpu(CacheMemRegion *region, int cpu, hwaddr addr,
                         unsigned len, bool write)
{
    uint64_t last = (addr + len - 1) >> CXL_CACHE_LINE_SHIFT;
    Place place;

    for (uint64_t line = addr >> CXL_CACHE_LINE_SHIFT; line <= last; line++) {
        bool found;

        WITH_RCU_READ_LOCK_GUARD() {
            found = find_place(region, line, &place);
        }
        if (found) {
            access_plain(region, cpu, line, write);
        }
    }
}

void cache_mem_alias_flush_line(CacheMemRegion *region, hwaddr addr)
{
    const CacheMemAlias *alias = region->alias;
    bool encrypted = addr & BIT_ULL(alias->bit);

    cxl_alias_flush_line(alias->model,
                         encrypted ? CXL_ALIAS_OF_ASID(alias->asid) :
                                     CXL_ALIAS_PLAIN,
                         (addr & ~BIT_ULL(alias->bit)) >> CXL_CACHE_LINE_SHIFT);
}

/* ---- Devices ---- */

void cache_mem_alias_home(CacheMemRegion *region, uint64_t line, bool write)
{
    cxl_alias_device(region->alias->model, line, write);
}

void cache_mem_alias_access(CacheMemRegion *region, uint64_t line,
                            CXLCacheHostAccess access)
{
    if (access != CXL_CACHE_HOST_RW && !region->snooping) {
        cxl_alias_device_takes(region->alias->model, line,
                               access == CXL_CACHE_HOST_NONE);
    }
}

typedef struct Dma {
    CacheMemRegion *region;
    const RAMBlock *rb;
    ram_addr_t first;
    ram_addr_t last;
    bool write;
} Dma;

/* The part of a range that is accessed, by all addresses that it has */
static bool dma_range(Int128 start, Int128 len, const MemoryRegion *mr,
                      hwaddr offset, void *opaque)
{
    const Dma *dma = opaque;
    hwaddr size = int128_get64(len);
    hwaddr from = MAX(offset, dma->first);
    hwaddr to = MIN(offset + size - 1, dma->last);
    hwaddr base = int128_get64(start) - offset;

    if (mr->ram_block == dma->rb && from <= to) {
        for (uint64_t line = (base + from) >> CXL_CACHE_LINE_SHIFT;
             line <= (base + to) >> CXL_CACHE_LINE_SHIFT; line++) {
            cxl_alias_device(dma->region->alias->model, line, dma->write);
        }
    }
    return false;
}

void cache_mem_alias_dma(CacheMemRegion *region, const RAMBlock *rb,
                         ram_addr_t offset, ram_addr_t len, bool write)
{
    Dma dma = {
        .region = region,
        .rb = rb,
        .first = offset,
        .last = offset + len - 1,
        .write = write,
    };

    if (cxl_alias_num_lines(region->alias->model, CXL_ALIAS_ALL_CPUS)) {
        flatview_for_each_range(address_space_to_flatview(
                                    &address_space_memory), dma_range, &dma);
    }
}

/* ---- Life ---- */

bool cache_mem_alias_attach(CacheMemRegion *region, CacheMemAlias *alias,
                            unsigned lines, Error **errp)
{
    QEMU_LOCK_GUARD(&region->lock);
    if (region->alias) {
        error_setg(errp, "the machine has a cxl-cbit-alias already");
        return false;
    }
    alias->model = cxl_alias_new(lines, alias->coherence, &alias_ops, region);
    alias->written = g_array_new(false, false, sizeof(uint64_t));
    qatomic_set(&region->alias, alias);
    cache_mem_touch_listen(region);
    return true;
}

void cache_mem_alias_detach(CacheMemRegion *region)
{
    QEMU_LOCK_GUARD(&region->lock);
    g_clear_pointer(&region->alias->model, cxl_alias_free);
    g_clear_pointer(&region->alias->written, g_array_unref);
    qatomic_set(&region->alias, NULL);
}

void cache_mem_alias_reset(CacheMemRegion *region)
{
    cxl_alias_reset(region->alias->model);
    region->alias->asid = 0;
    g_array_set_size(region->alias->written, 0);
}
