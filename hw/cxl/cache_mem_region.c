/*
 * CacheMemRegion: CXL.cache devices and guest RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/core/boards.h"
#include "hw/core/qdev.h"
#include "hw/core/resettable.h"
#include "system/reset.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* Requests that a device and the home work at, and buffers in each channel */
#define OPEN_REQUESTS   256
#define CHANNEL_DEPTH   64
#define SF_MAX_WAYS     64
#define SF_MAX_SIZE     (16 * GiB)

/* What is found in memory where a line was lost with its device */
#define LOST_PATTERN    0xbaadf00d

static CacheMemRegion *the_region;

CacheMemTotals cache_mem_totals;

CacheMemRegion *cache_mem_region_get(void)
{
    return the_region;
}

/* The home and guest RAM */

static unsigned home_decode(void *opaque, uint64_t line)
{
    CacheMemRegion *region = opaque;

    if (region->fail.kind == CACHE_MEM_FAIL_GO_ERR &&
        region->fail.line == line) {
        return 0;
    }
    return cache_mem_trap_decode(region->trap, line);
}

/*
 * A CPU's stores to a lost line go unseen: it counts as lost while any of the
 * pattern is there, as a partial store to a poisoned line leaves it poisoned.
 */
static bool still_lost(CacheMemRegion *region, uint64_t line,
                       const uint8_t *mem)
{
    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {
        if (ldl_le_p(mem + i) == LOST_PATTERN) {
            return true;
        }
    }
    g_hash_table_remove(region->poisoned, &line);
    return false;
}

static bool is_poisoned(CacheMemRegion *region, uint64_t line,
                        const uint8_t *mem)
{
    void *lost;

    if (region->fail.kind == CACHE_MEM_FAIL_POISON &&
        region->fail.line == line) {
        return true;
    }
    return g_hash_table_size(region->poisoned) &&
           g_hash_table_lookup_extended(region->poisoned, &line, NULL, &lost) &&
           (!lost || still_lost(region, line, mem));
}

static bool home_read_line(void *opaque, uint64_t line, CXLCacheLineData *data,
                           bool *poison)
{
    CacheMemRegion *region = opaque;
    const uint8_t *mem = cache_mem_trap_line(region->trap, line);

    if (!mem) {
        return false;
    }
    memcpy(data, mem, sizeof(*data));
    *poison = is_poisoned(region, line, mem);
    return true;
}

static void set_poison(CacheMemRegion *region, uint64_t line, uint64_t be,
                       bool poison, bool lost)
{
    if (poison) {
        uint64_t *key = g_new(uint64_t, 1);

        *key = line;
        g_hash_table_insert(region->poisoned, key, GINT_TO_POINTER(lost));
    } else if (be == CXL_CACHE_BE_ALL) {
        g_hash_table_remove(region->poisoned, &line);
    }
}

/*
 * Naturally aligned pieces, as large as can be, each by one store: vCPUs may
 * look at the same time, and a store of a device's is one for them as well.
 */
static void write_pieces(uint8_t *mem, const uint8_t *data, uint64_t be)
{
    unsigned size;

    for (unsigned at = 0; at < CXL_CACHE_LINE_SIZE; at += size) {
        for (size = 8; size > 1; size /= 2) {
            if (at % size == 0 && extract64(be, at, size) ==
                MAKE_64BIT_MASK(0, size)) {
                break;
            }
        }
        if (extract64(be, at, 1)) {
            stn_he_p(mem + at, size, ldn_he_p(data + at, size));
        }
    }
}

static bool home_write_line(void *opaque, uint64_t line,
                            const CXLCacheLineData *data, uint64_t be,
                            bool poison, CXLCacheWriteWhy why)
{
    CacheMemRegion *region = opaque;
    uint8_t *mem = cache_mem_trap_line(region->trap, line);
    bool lost = why == CXL_CACHE_WRITE_POISON;

    if (!mem) {
        return false;
    }
    if (lost) {
        for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {
            stl_le_p(mem + i, LOST_PATTERN);
        }
    } else if (be == CXL_CACHE_BE_ALL) {
        memcpy(mem, data, sizeof(*data));
    } else {
        write_pieces(mem, data->b, be);
    }
    if (poison || g_hash_table_size(region->poisoned)) {
        set_poison(region, line, be, poison, lost);
    }
    cache_mem_trap_dirty(region->trap, line);
    return true;
}

static bool home_host_access(void *opaque, uint64_t line,
                             CXLCacheHostAccess access)
{
    CacheMemRegion *region = opaque;

    return cache_mem_trap_access(region->trap, line, access);
}

static void home_complete(void *opaque, const CXLCacheHostDone *done)
{
}

static CacheMemDev *find_dev(CacheMemRegion *region, int number)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        if (cm->number == number) {
            return cm;
        }
    }
    return NULL;
}

/* May be called in any thread; who is told wants the main loop's. */
static void note_error(CacheMemDev *cm, CXLCacheError err)
{
    trace_cxl_cache_error(cm->name, cxl_cache_error_name(err));
    qatomic_or(&cm->errors, BIT(err));
    qemu_bh_schedule(cm->error_bh);
}

static void home_error(void *opaque, unsigned dev, CXLCacheError err,
                       CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    CacheMemDev *cm = find_dev(opaque, dev);

    if (cm) {
        note_error(cm, err);
    }
}

static const CXLCacheHomeOps home_ops = {
    .decode = home_decode,
    .read_line = home_read_line,
    .write_line = home_write_line,
    .host_access = home_host_access,
    .complete = home_complete,
    .error = home_error,
};

/* Others' messages may follow from what one device sends. */
static void update_traces(CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        cache_mem_trace_update(cm);
    }
}

/* The trap and the home */

static void trap_begin(void *opaque)
{
    update_traces(opaque);
}

static void trap_settle(void *opaque)
{
    CacheMemRegion *region = opaque;

    cxl_cache_run(region->home);
}

static void trap_snoop(void *opaque, uint64_t line, CXLCacheHostOp op)
{
    CacheMemRegion *region = opaque;
    CXLCacheHostReq req = { .line = line, .op = op };

    while (cxl_cache_home_host(region->home, &req) < 0) {
        cxl_cache_run(region->home);
    }
}

static const CacheMemTrapOps trap_ops = {
    .begin = trap_begin,
    .snoop = trap_snoop,
    .settle = trap_settle,
};

/* Devices */

static void dev_complete(void *opaque, const CXLCacheDone *done)
{
    CacheMemDev *cm = opaque;

    if (cm->done) {
        cm->done(cm, done);
    }
}

static void dev_error(void *opaque, CXLCacheError err,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    note_error(opaque, err);
}

static const CXLCacheDevOps dev_ops = {
    .complete = dev_complete,
    .error = dev_error,
};

static void report_errors(void *opaque)
{
    CacheMemDev *cm = opaque;
    uint32_t errors = qatomic_xchg(&cm->errors, 0);

    for (; errors; errors &= errors - 1) {
        if (cm->config.error) {
            cm->config.error(cm->config.opaque, ctz32(errors));
        }
    }
}

static unsigned modified_lines(const CacheMemDev *cm)
{
    return cxl_cache_dev_states(cm->dev)[CXL_CACHE_M];
}

static unsigned held_lines(const CacheMemDev *cm)
{
    return cxl_cache_dev_num_lines(cm->dev) -
           cxl_cache_dev_states(cm->dev)[CXL_CACHE_I];
}

/* With the lock held. Evicts are possible in every mode. */
static void flush_locked(CacheMemDev *cm)
{
    while (cm->number >= 0 && cxl_cache_dev_flush(cm->dev) == -EAGAIN) {
        cxl_cache_run(cm->region->home);
    }
}

static void reset_caches(CacheMemRegion *region)
{
    CacheMemDev *cm;

    QTAILQ_FOREACH(cm, &region->devices, next) {
        unsigned lost = modified_lines(cm);

        cm->lost_lines += lost;
        cache_mem_totals.lost_lines += lost;
        trace_cxl_cache_reset(cm->name, lost);
    }
    cxl_cache_home_reset(region->home);
    QTAILQ_FOREACH(cm, &region->devices, next) {
        cxl_cache_dev_reset(cm->dev);
        cxl_cache_dev_set_caching(cm->dev, false);
        cm->mode = CACHE_MEM_OFF;
    }
    g_hash_table_remove_all(region->poisoned);
}

/*
 * System reset. RAM is about to be loaded anew, and what a cache had must not
 * come on top of it: so this is done before any device resets itself.
 */
static void region_reset_enter(Object *obj, ResetType type)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);
    CacheMemDev *cm;

    QEMU_LOCK_GUARD(&region->lock);
    if (type != RESET_TYPE_WAKEUP) {
        reset_caches(region);
        return;
    }
    /* Memory outlives suspend to RAM. */
    QTAILQ_FOREACH(cm, &region->devices, next) {
        flush_locked(cm);
    }
}

static ResettableState *region_reset_state(Object *obj)
{
    return &CACHE_MEM_REGION(obj)->reset;
}

static bool get_no_snoop(Object *obj, Error **errp)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    QEMU_LOCK_GUARD(&region->lock);
    return cache_mem_trap_no_snoop(region->trap);
}

static void set_no_snoop(Object *obj, bool value, Error **errp)
{
    CacheMemRegion *region = CACHE_MEM_REGION(obj);

    QEMU_LOCK_GUARD(&region->lock);
    cache_mem_trap_set_no_snoop(region->trap, value);
}

static bool get_no_rescue(Object *obj, Error **errp)
{
    return CACHE_MEM_REGION(obj)->no_rescue;
}

static void set_no_rescue(Object *obj, bool value, Error **errp)
{
    CACHE_MEM_REGION(obj)->no_rescue = value;
}

static bool get_no_invalidate(Object *obj, Error **errp)
{
    return CACHE_MEM_REGION(obj)->no_invalidate;
}

static void set_no_invalidate(Object *obj, bool value, Error **errp)
{
    CACHE_MEM_REGION(obj)->no_invalidate = value;
}

static void region_class_init(ObjectClass *klass, const void *data)
{
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    object_class_property_add_bool(klass, "x-no-ats-invalidate",
                                   get_no_invalidate, set_no_invalidate);
    object_class_property_set_description(klass, "x-no-ats-invalidate",
        "Keep translations and lines that an IOMMU takes back, for tests");

    object_class_property_add_bool(klass, "x-no-rescue", get_no_rescue,
                                   set_no_rescue);
    object_class_property_set_description(klass, "x-no-rescue",
        "Lose the modified lines of devices that are lost, for tests");

    object_class_property_add_bool(klass, "x-no-snoop", get_no_snoop,
                                   set_no_snoop);
    object_class_property_set_description(klass, "x-no-snoop",
        "Break coherence, for tests: accesses find memory as it is");

    rc->get_state = region_reset_state;
    rc->phases.enter = region_reset_enter;
}

/* Filters of any size have sets in a power of two, so ways take the rest. */
static unsigned sf_ways(uint64_t lines)
{
    unsigned odd = lines >> ctz64(lines);

    return odd > 8 ? odd : odd * 8;
}

static CacheMemRegion *region_new(uint64_t sf_size, Error **errp)
{
    uint64_t lines = sf_size / CXL_CACHE_LINE_SIZE;
    CacheMemRegion *region;
    CXLCacheHomeConfig config = {
        .sf_lines = lines,
        .transactions = OPEN_REQUESTS,
    };

    if (sf_size > SF_MAX_SIZE || lines >> ctz64(lines) > SF_MAX_WAYS) {
        error_setg(errp, "this snoop filter cannot be had: 'cxl-cache-sf-size' "
                   "must be 1 to 63 times a power of two, at most 16 GiB");
        return NULL;
    }
    config.sf_ways = sf_ways(lines);
    region = CACHE_MEM_REGION(object_new(TYPE_CACHE_MEM_REGION));
    object_property_add_child(qdev_get_machine(), "cxl-cache", OBJECT(region));
    object_unref(OBJECT(region));
    qemu_mutex_init(&region->lock);
    QTAILQ_INIT(&region->devices);
    region->sf_size = sf_size;
    region->poisoned = g_hash_table_new_full(g_int64_hash, g_int64_equal,
                                             g_free, NULL);
    region->home = cxl_cache_home_new(&config, &home_ops, region);
    assert(region->home);
    region->trap = cache_mem_trap_new(&region->lock, &trap_ops, region);
    qemu_register_resettable(OBJECT(region));
    return region;
}

static void region_free(CacheMemRegion *region)
{
    qemu_unregister_resettable(OBJECT(region));
    cache_mem_trap_free(region->trap);
    cxl_cache_home_free(region->home);
    g_hash_table_destroy(region->poisoned);
    qemu_mutex_destroy(&region->lock);
    object_unparent(OBJECT(region));
}

static char *device_name(DeviceState *dev)
{
    return dev->id ? g_strdup(dev->id) : object_get_canonical_path(OBJECT(dev));
}

static bool check_config(const CacheMemDevConfig *config, Error **errp)
{
    uint64_t lines = config->cache_size / CXL_CACHE_LINE_SIZE;
    uint32_t ways = config->cache_ways;

    if (!ways || ways > 16 || lines % ways || !is_power_of_2(lines / ways)) {
        error_setg(errp, "a cache of %" PRIu64 " lines cannot have %" PRIu32
                   " ways: 'cache-ways' must be 1 to 16 and leave a power of "
                   "two of sets", lines, ways);
        return false;
    }
    if (the_region && the_region->sf_size != config->sf_size) {
        error_setg(errp, "'cxl-cache-sf-size' must be the same for all root "
                   "ports with a CXL.cache device: they share one snoop "
                   "filter");
        return false;
    }
    return true;
}

static bool attach(CacheMemDev *cm, Error **errp)
{
    CXLCacheLinkConfig link = { .flit = CXL_CACHE_FLIT_68B };
    CXLCacheDevConfig dev = {
        .size = cm->config.cache_size,
        .ways = cm->config.cache_ways,
        .requests = OPEN_REQUESTS,
        .clean_evict = CXL_CACHE_CLEAN_NOTIFY,
        .yield = cm->config.yield,
    };

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        link.depth[i] = CHANNEL_DEPTH;
    }
    cm->link = cxl_cache_link_new(&link);
    cm->dev = cxl_cache_dev_new(&dev, cm->link, &dev_ops, cm);
    assert(cm->dev);

    QEMU_LOCK_GUARD(&cm->region->lock);
    cm->number = cxl_cache_home_attach(cm->region->home, cm->link);
    if (cm->number < 0) {
        error_setg(errp, "there can be no more than %d CXL.cache devices",
                   CXL_CACHE_DEV_MAX);
        return false;
    }
    cxl_cache_dev_set_caching(cm->dev, false);
    QTAILQ_INSERT_TAIL(&cm->region->devices, cm, next);
    return true;
}

CacheMemDev *cache_mem_dev_new(const CacheMemDevConfig *config, Error **errp)
{
    g_autoptr(CacheMemGuard) guard = NULL;
    CacheMemDev *cm;

    if (!check_config(config, errp)) {
        return NULL;
    }
    if (config->window) {
        guard = cache_mem_guard_new(config->window, errp);
        if (!guard) {
            return NULL;
        }
    }
    if (!the_region) {
        the_region = region_new(config->sf_size, errp);
        if (!the_region) {
            return NULL;
        }
    }
    cache_mem_totals.any_device = true;
    cm = g_new0(CacheMemDev, 1);
    cm->region = the_region;
    cm->region->users++;
    cm->config = *config;
    cm->name = device_name(config->dev);
    cm->error_bh = qemu_bh_new(report_errors, cm);
    cm->guard = g_steal_pointer(&guard);
    cm->atc = cache_mem_atc_new(cm, PCI_DEVICE(config->dev));
    if (!attach(cm, errp)) {
        cache_mem_dev_free(cm);
        return NULL;
    }
    return cm;
}

void cache_mem_dev_detach(CacheMemDev *cm)
{
    if (!cm || cm->number < 0) {
        return;
    }
    g_clear_pointer(&cm->atc, cache_mem_atc_free);
    QEMU_LOCK_GUARD(&cm->region->lock);
    flush_locked(cm);
    cxl_cache_home_detach(cm->region->home, cm->number);
    QTAILQ_REMOVE(&cm->region->devices, cm, next);
    cm->number = -1;
    cm->mode = CACHE_MEM_OFF;
}

/* Memory keeps its old bytes, and nobody is told. */
static void drop_lines(CacheMemDev *cm)
{
    cache_mem_totals.lost_lines += modified_lines(cm);
    cxl_cache_dev_reset(cm->dev);
    flush_locked(cm);
}

void cache_mem_dev_isolate(CacheMemDev *cm)
{
    CacheMemRegion *region = cm->region;

    if (cm->atc) {
        cache_mem_atc_forget(cm->atc);
    }
    QEMU_LOCK_GUARD(&region->lock);
    if (cm->number < 0) {
        return;
    }
    update_traces(region);
    cxl_cache_run(region->home);
    if (region->no_rescue) {
        drop_lines(cm);
    } else if (cm->config.rescue) {
        cache_mem_totals.rescued_lines += modified_lines(cm);
        flush_locked(cm);
    }
    cache_mem_totals.poisoned_lines +=
        cxl_cache_home_isolate(region->home, cm->number);
    cxl_cache_dev_reset(cm->dev);
    cxl_cache_dev_set_caching(cm->dev, false);
    qatomic_set(&cm->mode, CACHE_MEM_OFF);
    trace_cxl_cache_isolate(cm->name, cache_mem_totals.rescued_lines,
                            cache_mem_totals.poisoned_lines);
}

void cache_mem_dev_set_viral(CacheMemDev *cm, bool viral)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    cxl_cache_dev_set_viral(cm->dev, viral);
}

CacheMemFail cache_mem_dev_fail(CacheMemDev *cm, CacheMemFail fail)
{
    CacheMemFail before;

    QEMU_LOCK_GUARD(&cm->region->lock);
    before = cm->fail;
    cm->fail = fail;
    return before;
}

void cache_mem_dev_free(CacheMemDev *cm)
{
    if (!cm) {
        return;
    }
    cache_mem_dev_detach(cm);
    cache_mem_atc_free(cm->atc);
    cache_mem_guard_free(cm->guard);
    cxl_cache_dev_free(cm->dev);
    cxl_cache_link_free(cm->link);
    qemu_bh_delete(cm->error_bh);
    g_free(cm->name);
    g_free(cm);
    /* Memory stays bad when nobody is there to read it */
    if (!--the_region->users && !g_hash_table_size(the_region->poisoned)) {
        g_clear_pointer(&the_region, region_free);
    }
}

void cache_mem_dev_reset(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    /* A device that was never enabled has nothing to say. */
    if (cm->mode != CACHE_MEM_OFF || held_lines(cm)) {
        flush_locked(cm);
    }
    cxl_cache_dev_reset(cm->dev);
    cxl_cache_dev_set_caching(cm->dev, false);
    cm->mode = CACHE_MEM_OFF;
    trace_cxl_cache_reset(cm->name, 0);
}

void cache_mem_dev_set_mode(CacheMemDev *cm, CacheMemMode mode)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number < 0) {
        return;
    }
    cm->mode = mode;
    cxl_cache_dev_set_caching(cm->dev, mode == CACHE_MEM_ON);
}

CacheMemMode cache_mem_dev_mode(const CacheMemDev *cm)
{
    return qatomic_read(&cm->mode);
}

void cache_mem_dev_flush(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    flush_locked(cm);
}

/* Requests */

/* Run @again until it need not wait for others' messages any more */
#define RETRY_WHILE_BUSY(cm, again)                                 \
    ({                                                              \
        int ret_;                                                   \
                                                                    \
        while ((ret_ = (again)) == -EAGAIN || ret_ == -EBUSY) {     \
            if (!cxl_cache_run((cm)->region->home)) {               \
                break;                                              \
            }                                                       \
        }                                                           \
        ret_;                                                       \
    })

/* Fault injection. Nobody else's request is under way with the lock held. */
static void begin_fail(CacheMemDev *cm, uint64_t line)
{
    if (unlikely(cm->fail)) {
        cm->region->fail.kind = cm->fail;
        cm->region->fail.line = line;
        cm->fail = CACHE_MEM_FAIL_NONE;
    }
}

static void end_fail(CacheMemDev *cm)
{
    if (unlikely(cm->region->fail.kind)) {
        cxl_cache_run(cm->region->home);
        cm->region->fail.kind = CACHE_MEM_FAIL_NONE;
    }
}

static int send_request(CacheMemDev *cm, const CXLCacheReq *req)
{
    int ret;

    begin_fail(cm, req->line);
    ret = RETRY_WHILE_BUSY(cm, cxl_cache_dev_request(cm->dev, req));
    end_fail(cm);
    return ret;
}

static int send_evict(CacheMemDev *cm, uint64_t line)
{
    int ret;

    begin_fail(cm, line);
    ret = RETRY_WHILE_BUSY(cm, cxl_cache_dev_evict(cm->dev, line));
    end_fail(cm);
    return ret;
}

static bool holds(const CacheMemDev *cm, uint64_t line, unsigned perm)
{
    return cxl_cache_may(cxl_cache_dev_state(cm->dev, line), perm);
}

/* Part of a line that belongs to a range of memory */
typedef struct LinePart {
    uint64_t line;
    unsigned offset;
    unsigned len;
} LinePart;

static LinePart line_part(hwaddr addr, size_t len)
{
    LinePart part = {
        .line = addr / CXL_CACHE_LINE_SIZE,
        .offset = addr % CXL_CACHE_LINE_SIZE,
    };

    part.len = MIN(len, CXL_CACHE_LINE_SIZE - part.offset);
    return part;
}

static uint64_t part_be(const LinePart *part)
{
    return MAKE_64BIT_MASK(part->offset, part->len);
}

bool cache_mem_usable(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                      bool write)
{
    unsigned need = CXL_CACHE_MEM_READ | (write ? CXL_CACHE_MEM_WRITE : 0);

    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->mode == CACHE_MEM_OFF) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        hwaddr addr = seg[i].addr, end = addr + seg[i].len;

        while (addr < end) {
            hwaddr next = QEMU_ALIGN_DOWN(addr, 4 * KiB) + 4 * KiB;

            if (need & ~cache_mem_trap_decode(cm->region->trap,
                                              addr / CXL_CACHE_LINE_SIZE)) {
                return false;
            }
            addr = next;
        }
    }
    return true;
}

/* To be called before anything is asked of the host. */
static bool guard_allows(CacheMemDev *cm, hwaddr addr, uint64_t len)
{
    if (cache_mem_guard_allows(cm->guard, addr, len)) {
        return true;
    }
    cm->guarded++;
    trace_cxl_cache_guard(cm->name, addr, len);
    return false;
}

static bool guard_allows_all(CacheMemDev *cm, const CacheMemSeg *seg,
                             unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!guard_allows(cm, seg[i].addr, seg[i].len)) {
            return false;
        }
    }
    return true;
}

/* Reading */

static void take_read(CacheMemDev *cm, const CXLCacheDone *done)
{
    hwaddr at = MAX(done->line * CXL_CACHE_LINE_SIZE, cm->read.addr);
    LinePart part = line_part(at, cm->read.addr + cm->read.len - at);

    cm->failed |= done->failed;
    cm->poison |= done->poison;
    memcpy(cm->read.buf + (at - cm->read.addr), done->data->b + part.offset,
           part.len);
}

static bool read_held(CacheMemDev *cm, const LinePart *part, uint8_t *buf)
{
    CXLCacheLineData data;
    bool poison;

    if (!cxl_cache_dev_read(cm->dev, part->line, &data, &poison)) {
        return false;
    }
    cm->poison |= poison;
    memcpy(buf, data.b + part->offset, part->len);
    return true;
}

bool cache_mem_read(CacheMemDev *cm, hwaddr addr, void *buf, size_t len,
                    bool *poison)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    *poison = false;
    if (!guard_allows(cm, addr, len)) {
        return false;
    }
    update_traces(cm->region);
    cache_mem_trap_prepare(cm->region->trap, addr, len, false);
    cm->failed = cm->poison = false;
    cm->done = take_read;
    cm->read.addr = addr;
    cm->read.len = len;
    cm->read.buf = buf;
    for (size_t at = 0; at < len; ) {
        LinePart part = line_part(addr + at, len - at);
        CXLCacheReq req = {
            .line = part.line,
            .opcode = CXL_CACHE_RD_CURR,
        };

        if (!read_held(cm, &part, (uint8_t *)buf + at)) {
            /* Owned without data: of no use for reading */
            cxl_cache_dev_drop(cm->dev, part.line);
            cm->failed |= send_request(cm, &req) < 0;
        }
        at += part.len;
    }
    cxl_cache_run(cm->region->home);
    cm->done = NULL;
    *poison = cm->poison;
    return !cm->failed && !cm->poison;
}

/* Writing */

static void take_grant(CacheMemDev *cm, const CXLCacheDone *done)
{
    cm->failed |= done->failed;
}

/* Ask for what it takes to write a part of a line, unless it is there. */
static void own_part(CacheMemDev *cm, const LinePart *part)
{
    bool full = part->len == CXL_CACHE_LINE_SIZE;
    CXLCacheReq req = {
        .line = part->line,
        .opcode = full ? CXL_CACHE_RD_OWN_NO_DATA : CXL_CACHE_RD_OWN,
    };

    if (!holds(cm, part->line, CXL_CACHE_P_STABLE)) {
        /* Asked for already, for another part of it */
        cxl_cache_run(cm->region->home);
    }
    if (holds(cm, part->line, full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE) ||
        !(cache_mem_trap_decode(cm->region->trap, part->line) &
          CXL_CACHE_MEM_CACHEABLE)) {
        return;
    }
    if (!full) {
        /* RdOwn starts from I. */
        cxl_cache_dev_drop(cm->dev, part->line);
    }
    cm->failed |= send_request(cm, &req) < 0;
}

/* The line is not owned: write it without keeping it. */
static void write_once(CacheMemDev *cm, const LinePart *part,
                       const CXLCacheLineData *data)
{
    bool full = part->len == CXL_CACHE_LINE_SIZE;
    CXLCacheReq req = {
        .line = part->line,
        .opcode = full ? CXL_CACHE_I_TO_M_WR : CXL_CACHE_WR_INV,
        .be = part_be(part),
        .data = data,
    };

    cxl_cache_dev_drop(cm->dev, part->line);
    cm->once_lines++;
    trace_cxl_cache_once(cm->name, part->line * CXL_CACHE_LINE_SIZE);
    cm->failed |= send_request(cm, &req) < 0;
}

static void commit_part(CacheMemDev *cm, const LinePart *part,
                        const uint8_t *buf)
{
    CXLCacheLineData data;

    memcpy(data.b + part->offset, buf, part->len);
    if (!cxl_cache_dev_write(cm->dev, part->line, &data, part_be(part))) {
        write_once(cm, part, &data);
    }
}

static void own_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    /* The rest of the cache is for what this request drives out of it. */
    unsigned room = cxl_cache_dev_num_lines(cm->dev) / 2;

    if (cm->mode != CACHE_MEM_ON) {
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        cache_mem_trap_prepare(cm->region->trap, seg[i].addr, seg[i].len, true);
        for (size_t at = 0; at < seg[i].len && room; room--) {
            LinePart part = line_part(seg[i].addr + at, seg[i].len - at);

            own_part(cm, &part);
            at += part.len;
        }
    }
    cxl_cache_run(cm->region->home);
}

typedef void PartFn(CacheMemDev *cm, const LinePart *part, const uint8_t *buf);

static void for_each_part(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                          const uint8_t *buf, PartFn *fn)
{
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < seg[i].len; ) {
            LinePart part = line_part(seg[i].addr + at, seg[i].len - at);

            fn(cm, &part, buf);
            buf = buf ? buf + part.len : NULL;
            at += part.len;
        }
    }
    cxl_cache_run(cm->region->home);
}

static void evict_part(CacheMemDev *cm, const LinePart *part,
                       const uint8_t *buf)
{
    send_evict(cm, part->line);
}

/* The host is told: a line that it thinks is here may be lost with the link. */
static void give_up_part(CacheMemDev *cm, const LinePart *part,
                         const uint8_t *buf)
{
    if (!holds(cm, part->line, CXL_CACHE_P_DIRTY)) {
        send_evict(cm, part->line);
    }
}

static void stage_part(CacheMemDev *cm, const LinePart *part,
                       const uint8_t *buf)
{
    if (part->len == CXL_CACHE_LINE_SIZE) {
        CXLCacheLineData data;

        memcpy(data.b, buf, sizeof(data));
        cxl_cache_dev_stage(cm->dev, part->line, &data);
    }
}

/* The pieces up to @len bytes; returns how many of @seg go into @to. */
static unsigned cut_pieces(const CacheMemSeg *seg, unsigned n, size_t len,
                           CacheMemSeg *to)
{
    unsigned i;

    for (i = 0; i < n && len; i++) {
        to[i] = seg[i];
        to[i].len = MIN(seg[i].len, len);
        len -= to[i].len;
    }
    return i;
}

static size_t pieces_len(const CacheMemSeg *seg, unsigned n)
{
    size_t len = 0;

    for (unsigned i = 0; i < n; i++) {
        len += seg[i].len;
    }
    return len;
}

static void stage_pieces(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                         const void *buf, CacheMemStep step)
{
    g_autofree CacheMemSeg *part = g_new(CacheMemSeg, n);
    size_t len = pieces_len(seg, n);

    if (step == CACHE_MEM_STEP_HALF) {
        /* Of lines: the last one that begins in the first half is whole */
        len = QEMU_ALIGN_UP(len / 2, CXL_CACHE_LINE_SIZE);
    }
    for_each_part(cm, part, cut_pieces(seg, n, len, part), buf, stage_part);
}

/* All of it, or nothing of it is left. */
static bool own_all(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    if (!guard_allows_all(cm, seg, n)) {
        return false;
    }
    update_traces(cm->region);
    cm->failed = false;
    cm->done = take_grant;
    own_pieces(cm, seg, n);
    cm->done = NULL;
    if (cm->failed) {
        for_each_part(cm, seg, n, NULL, give_up_part);
        return false;
    }
    return true;
}

bool cache_mem_stage(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, CacheMemStep step)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (!own_all(cm, seg, n)) {
        return false;
    }
    if (step != CACHE_MEM_STEP_OWN) {
        stage_pieces(cm, seg, n, buf, step);
    }
    return true;
}

void cache_mem_give_up(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    for_each_part(cm, seg, n, NULL, give_up_part);
}

void cache_mem_give_up_clean(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (cm->number < 0 || modified_lines(cm) == held_lines(cm)) {
        return;
    }
    update_traces(cm->region);
    for (unsigned i = 0; i < cxl_cache_dev_num_lines(cm->dev); i++) {
        CXLCacheSlot slot;

        if (cxl_cache_dev_slot(cm->dev, i, &slot) &&
            !cxl_cache_may(slot.state, CXL_CACHE_P_DIRTY)) {
            send_evict(cm, slot.line);
        }
    }
    cxl_cache_run(cm->region->home);
}

/* A range may be larger than the cache by far. */
static void evict_slots(CacheMemDev *cm, uint64_t first, uint64_t last)
{
    unsigned n = cxl_cache_dev_num_lines(cm->dev);
    CXLCacheSlot slot;

    for (unsigned i = 0; i < n; i++) {
        if (cxl_cache_dev_slot(cm->dev, i, &slot) && slot.line >= first &&
            slot.line <= last) {
            send_evict(cm, slot.line);
        }
    }
}

void cache_mem_dev_flush_range(CacheMemDev *cm, hwaddr addr, uint64_t len)
{
    uint64_t first = addr / CXL_CACHE_LINE_SIZE;
    uint64_t last = (addr + len - 1) / CXL_CACHE_LINE_SIZE;

    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    if (last - first >= cxl_cache_dev_num_lines(cm->dev)) {
        evict_slots(cm, first, last);
        cxl_cache_run(cm->region->home);
        return;
    }
    for (uint64_t line = first; line <= last; line++) {
        send_evict(cm, line);
    }
    cxl_cache_run(cm->region->home);
    /* The host is about to touch these pages: no need to trap it */
    cache_mem_trap_unarm(cm->region->trap, addr, len);
}

bool cache_mem_fail_write_back(CacheMemDev *cm, const CacheMemSeg *seg,
                               unsigned n, const void *buf)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    for (unsigned i = 0; i < n; i++) {
        for (size_t at = 0; at < seg[i].len; ) {
            LinePart part = line_part(seg[i].addr + at, seg[i].len - at);
            CXLCacheLineData data;

            if (part.len == CXL_CACHE_LINE_SIZE &&
                cxl_cache_dev_state(cm->dev, part.line) == CXL_CACHE_EN) {
                memcpy(data.b, buf + at, sizeof(data));
                cxl_cache_dev_write(cm->dev, part.line, &data,
                                    CXL_CACHE_BE_ALL);
                cm->fail = CACHE_MEM_FAIL_GO_ERR;
                send_evict(cm, part.line);
                return true;
            }
            at += part.len;
        }
        buf += seg[i].len;
    }
    return false;
}

bool cache_mem_write(CacheMemDev *cm, const CacheMemSeg *seg, unsigned n,
                     const void *buf, bool keep)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    if (!own_all(cm, seg, n)) {
        return false;
    }
    cm->done = take_grant;
    for_each_part(cm, seg, n, buf, commit_part);
    if (!keep) {
        for_each_part(cm, seg, n, buf, evict_part);
        for (unsigned i = 0; i < n; i++) {
            cache_mem_trap_unarm(cm->region->trap, seg[i].addr, seg[i].len);
        }
    }
    cm->done = NULL;
    return !cm->failed;
}

void cache_mem_discard_code(AddressSpace *as, hwaddr addr, size_t len)
{
    MemTxAttrs attrs = MEMTXATTRS_UNSPECIFIED;

    RCU_READ_LOCK_GUARD();
    while (len) {
        hwaddr at, n = len;
        MemoryRegion *mr = address_space_translate(as, addr, &at, &n, true,
                                                   attrs);

        if (memory_access_is_direct(mr, true, attrs)) {
            /* The end of a mapping by which nothing was written */
            memory_region_ref(mr);
            address_space_unmap(as, memory_region_get_ram_ptr(mr) + at, n,
                                true, n);
        }
        addr += n;
        len -= n;
    }
}

/* One by one */

static void take_result(CacheMemDev *cm, const CXLCacheDone *done)
{
    CacheMemResult *result = cm->result;

    result->state = done->state;
    result->failed = done->failed;
    result->poison = done->poison;
    if (done->data) {
        result->data = *done->data;
    }
}

static bool mode_allows(const CacheMemDev *cm, const CXLCacheReq *req)
{
    return cm->mode != CACHE_MEM_OFF ||
           (req->opcode < CXL_CACHE_D2H_REQ_CODES &&
            cxl_cache_req_rules[req->opcode].evict);
}

static bool wants_line(const CXLCacheReq *req)
{
    return req->opcode < CXL_CACHE_D2H_REQ_CODES &&
           cxl_cache_req_rules[req->opcode].cacheable;
}

int cache_mem_request(CacheMemDev *cm, const CXLCacheReq *req,
                      CacheMemResult *result)
{
    int ret;

    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    if (!mode_allows(cm, req)) {
        return -EPERM;
    }
    if (!guard_allows(cm, req->line * CXL_CACHE_LINE_SIZE,
                      CXL_CACHE_LINE_SIZE)) {
        return -EACCES;
    }
    memset(result, 0, sizeof(*result));
    cache_mem_trap_prepare(cm->region->trap, req->line * CXL_CACHE_LINE_SIZE,
                           CXL_CACHE_LINE_SIZE, wants_line(req));
    cm->done = take_result;
    cm->result = result;
    ret = send_request(cm, req);
    cxl_cache_run(cm->region->home);
    cm->done = NULL;
    return MIN(ret, 0);
}

bool cache_mem_line_read(CacheMemDev *cm, uint64_t line,
                         CXLCacheLineData *data, bool *poison)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_read(cm->dev, line, data, poison);
}

bool cache_mem_line_write(CacheMemDev *cm, uint64_t line,
                          const CXLCacheLineData *data, uint64_t be)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_write(cm->dev, line, data, be);
}

bool cache_mem_line_drop(CacheMemDev *cm, uint64_t line)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_drop(cm->dev, line);
}

int cache_mem_line_evict(CacheMemDev *cm, uint64_t line)
{
    int ret;

    QEMU_LOCK_GUARD(&cm->region->lock);
    update_traces(cm->region);
    ret = send_evict(cm, line);
    cxl_cache_run(cm->region->home);
    return ret;
}

CXLCacheState cache_mem_line_state(CacheMemDev *cm, uint64_t line)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cxl_cache_dev_state(cm->dev, line);
}

static const TypeInfo region_info = {
    .name = TYPE_CACHE_MEM_REGION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CacheMemRegion),
    .class_init = region_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { TYPE_RESETTABLE_INTERFACE },
        { }
    },
};

static void region_register_types(void)
{
    type_register_static(&region_info);
}

type_init(region_register_types)
