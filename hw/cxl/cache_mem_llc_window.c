/*
 * CacheMemRegion: registers of the host's last-level cache
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "hw/cxl/cxl_cache_llc_regs.h"
#include "cache_mem_internal.h"

QEMU_BUILD_BUG_ON(CLR_CPU != CXL_LLC_CPU || CLR_DEVICE != CXL_LLC_DEVICE ||
                  CLR_DMA != CXL_LLC_DMA || CLR_PIN != CXL_LLC_PIN ||
                  CLR_NUM_CLASSES != CXL_LLC_NUM_CLASSES);
QEMU_BUILD_BUG_ON(CLR_EVICT_SET != CXL_LLC_EVICT_SET ||
                  CLR_EVICT_DIRECTORY != CXL_LLC_EVICT_DIRECTORY ||
                  CLR_EVICT_DDIO != CXL_LLC_EVICT_DDIO ||
                  CLR_EVICT_UNPIN != CXL_LLC_EVICT_UNPIN ||
                  CLR_EVICT_FLUSH != CXL_LLC_EVICT_FLUSH ||
                  CLR_NUM_REASONS != CXL_LLC_NUM_REASONS);
QEMU_BUILD_BUG_ON(CLR_SLICE(CXL_LLC_MAX_SLICES) > CLR_SAMPLE(0) ||
                  CLR_SAMPLE(CLR_NUM_SAMPLES) > CLR_REGS_SIZE ||
                  CLR_TAKEN(CLR_NUM_REASONS) > CLR_SLICE(0));

#define STRIDE  (CLR_SLICE(1) - CLR_SLICE(0))

/* A register of @size bytes at @start, or a half of it */
static bool is_in(hwaddr addr, hwaddr start, unsigned size)
{
    return addr >= start && addr < start + size;
}

static uint64_t read_slice(const CXLLlc *cache, hwaddr addr)
{
    unsigned slice = (addr - CLR_SLICE(0)) / STRIDE;
    const CXLLlcStats *stats = cxl_llc_stats(cache, slice);
    unsigned n = (addr - CLR_SLICE(slice)) / 8;
    const uint64_t first[] = {
        stats->hits, stats->misses, stats->fills, stats->write_backs,
    };

    if (slice >= cxl_llc_config(cache)->slices) {
        return 0;
    }
    return n < ARRAY_SIZE(first) ? first[n] :
           n < ARRAY_SIZE(first) + CXL_LLC_NUM_REASONS ?
           stats->evictions[n - ARRAY_SIZE(first)] : 0;
}

static uint64_t read_sample(const CacheMemLlc *llc, hwaddr addr)
{
    unsigned n = (addr - CLR_SAMPLE(0)) / (CLR_SAMPLE(1) - CLR_SAMPLE(0));
    const CacheMemLlcSample *s = &llc->sample[n];
    const uint64_t field[] = {
        s->ip, s->va, s->pa, s->source, s->latency, s->time,
    };
    unsigned i = (addr - CLR_SAMPLE(n)) / 8;

    return i < ARRAY_SIZE(field) ? field[i] : 0;
}

static uint32_t state_of(const CacheMemRegion *region, uint64_t line)
{
    CXLLlcEntry e;
    uint32_t held = region->home &&
                    cxl_cache_home_tracks(region->home, line, NULL) ?
                    CLR_STATE_HELD : 0;

    return !cxl_llc_find(region->llc->cache, line, &e) ? held :
           held | CLR_STATE_PRESENT | (e.dirty ? CLR_STATE_DIRTY : 0) |
           e.way << 8 | e.class << 16;
}

static uint32_t read_32(const CacheMemRegion *region, hwaddr addr)
{
    const CacheMemLlc *llc = region->llc;
    const CXLLlc *cache = llc->cache;
    uint64_t line = llc->addr >> CXL_CACHE_LINE_SHIFT;

    switch (addr) {
    case CLR_MAGIC:
        return CLR_MAGIC_VALUE;
    case CLR_VERSION:
        return 1;
    case CLR_SLICES:
        return cxl_llc_config(cache)->slices;
    case CLR_SETS:
        return cxl_llc_sets(cache);
    case CLR_WAYS:
        return cxl_llc_config(cache)->ways;
    case CLR_FLAGS:
        return llc->inclusive ? CLR_FLAG_INCLUSIVE : 0;
    case CLR_SLICE_OF:
        return cxl_llc_slice_of(cache, line);
    case CLR_SET_OF:
        return cxl_llc_set_of(cache, line);
    case CLR_STATE:
        return state_of(region, line);
    default:
        return is_in(addr, CLR_MASK(0), 4 * CLR_NUM_CLASSES) ?
               cxl_llc_mask(cache, (addr - CLR_MASK(0)) / 4) : 0;
    }
}

/* Of 8 bytes, naturally aligned: one register, or two */
static uint64_t read_64(const CacheMemRegion *region, hwaddr addr)
{
    const CacheMemLlc *llc = region->llc;

    if (addr == CLR_SIZE) {
        return cxl_llc_config(llc->cache)->size;
    } else if (addr == CLR_ADDR) {
        return llc->addr;
    } else if (is_in(addr, CLR_TAKEN(0), 8 * CLR_NUM_REASONS)) {
        return llc->taken[(addr - CLR_TAKEN(0)) / 8];
    } else if (addr == CLR_SAMPLES) {
        return llc->samples;
    } else if (addr == CLR_LOADS) {
        return llc->loads;
    } else if (addr == CLR_STORES) {
        return llc->stores;
    } else if (is_in(addr, CLR_SAMPLE(0), CLR_SAMPLE(CLR_NUM_SAMPLES) -
                                          CLR_SAMPLE(0))) {
        return read_sample(llc, addr);
    } else if (is_in(addr, CLR_SLICE(0), CXL_LLC_MAX_SLICES * STRIDE)) {
        return read_slice(llc->cache, addr);
    }
    return read_32(region, addr) | (uint64_t)read_32(region, addr + 4) << 32;
}

static uint64_t window_read(void *opaque, hwaddr addr, unsigned size)
{
    CacheMemRegion *region = opaque;
    uint64_t value;

    QEMU_LOCK_GUARD(&region->lock);
    if (!region->llc) {
        return 0;
    }
    value = read_64(region, addr & ~7ULL);
    return size == 8 ? value : extract64(value, (addr & 4) * 8, 32);
}

static bool command(CacheMemRegion *region, uint32_t value)
{
    uint64_t line = region->llc->addr >> CXL_CACHE_LINE_SHIFT;
    CacheMemLlcUse found;

    switch (value) {
    case CLR_LOAD_AS(CLR_CPU):
        cache_mem_llc_cpu(region, line, CXL_LLC_READ, CXL_LLC_CPU, &found);
        return true;
    case CLR_LOAD_AS(CLR_PIN):
        cache_mem_llc_cpu(region, line, CXL_LLC_READ, CXL_LLC_PIN, &found);
        return true;
    case CLR_FLUSH_LINE:
        cache_mem_llc_flush_line(region, line);
        return true;
    case CLR_FLUSH:
        cache_mem_llc_flush(region);
        return true;
    default:
        return false;
    }
}

static bool write_reg(CacheMemRegion *region, hwaddr addr, uint64_t value,
                      unsigned size)
{
    if (addr == CLR_ADDR && size == 8) {
        region->llc->addr = value;
        return true;
    } else if (addr == CLR_COMMAND && size == 4) {
        return command(region, value);
    } else if (is_in(addr, CLR_MASK(0), 4 * CLR_NUM_CLASSES) && size == 4) {
        return cxl_llc_set_mask(region->llc->cache, (addr - CLR_MASK(0)) / 4,
                                value);
    }
    return false;
}

static void window_write(void *opaque, hwaddr addr, uint64_t value,
                         unsigned size)
{
    CacheMemRegion *region = opaque;

    QEMU_LOCK_GUARD(&region->lock);
    if (region->llc && !write_reg(region, addr, value, size)) {
        qemu_log_mask(LOG_GUEST_ERROR, "cxl-host-llc: write of 0x%" PRIx64
                      " (%u bytes) to register 0x%" HWADDR_PRIx ": ignored\n",
                      value, size, addr);
    }
}

static const MemoryRegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

bool cache_mem_llc_window(MemoryRegion *mr, Object *owner)
{
    CacheMemRegion *region = cache_mem_region_get();

    if (!region || !region->llc) {
        return false;
    }
    memory_region_init_io(mr, owner, &window_ops, region, "cxl-host-llc",
                          CLR_REGS_SIZE);
    return true;
}
