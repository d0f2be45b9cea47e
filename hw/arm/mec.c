/*
 * FEAT_MEC: the memory encryption contexts of a machine's RAM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory behaves as plaintext XOR keystream(MECID, address), where context 0
 * has a keystream of zeroes and two others differ in every aligned 32-bit
 * word. That is never computed while all is well: each page of RAM has a
 * resident context, in whose plaintext the host holds the page, so that
 * accesses of this context are ordinary accesses to RAM. An access of another
 * context is given attrs.encrypted and goes through the view (mec_view.c),
 * which converts on the way. Stores through it re-key the page to their
 * context soon after. When that happens does not matter to the guest, so
 * nothing has to wait for it.
 *
 * What must hold: a translation that bypasses the view exists only while the
 * page's resident context is the one of the translation. It is why re-keying
 * runs while no CPU executes, and calls what arm_mec_set_rekeyed() has
 * registered.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "hw/core/cpu.h"
#include "hw/core/qdev-properties.h"
#include "migration/blocker.h"
#include "system/address-spaces.h"
#include "mec-internal.h"
#include "trace.h"

/* What an unreadable word looks like with mec-mismatch=deadbeef */
#define MEC_DEADBEEF 0xdeadbeefdeadbeefULL

void mec_set_entry(ARMMECState *s, uint64_t page, uint32_t entry)
{
    if (mec_entry(s, page) != entry) {
        qatomic_set(&s->table[page], cpu_to_le32(entry));
        memory_region_set_dirty(&s->table_mr, page * 4, 4);
    }
    if (MEC_ENTRY_STATE(entry) == MEC_PURE) {
        mec_writers_drop(s, page);
    }
}

bool mec_is_legible(uint32_t entry, uint16_t mecid)
{
    switch (MEC_ENTRY_STATE(entry)) {
    case MEC_PURE:
        return mecid == MEC_ENTRY_OWNER(entry);
    case MEC_OVER_DEFAULT:
        return mecid == MEC_ENTRY_OWNER(entry) || mecid == 0;
    default:
        return true;
    }
}

bool mec_page_is_zero(ARMMECState *s, uint64_t page)
{
    return buffer_is_zero(mec_host(s, page), MEC_PAGE_SIZE);
}

void mec_rekey_page(ARMMECState *s, uint64_t page, uint16_t mecid,
                    MECPageState state)
{
    uint16_t old = MEC_ENTRY_OWNER(mec_entry(s, page));
    hwaddr offset = page << MEC_PAGE_BITS;
    uint32_t buf[MEC_PAGE_SIZE / 4];

    if (state != MEC_PURE) {
        mec_writers_before_rekey(s, page);
    }
    memcpy(buf, mec_host(s, page), sizeof(buf));
    mec_delta_page(old, mecid, s->base + offset, buf);
    /* This marks the page dirty and drops code translated from it. */
    address_space_write(&s->ram_as, s->base + offset, MEC_AS_HELD, buf,
                        sizeof(buf));
    mec_set_entry(s, page, MEC_ENTRY(mecid, state));
    mec_writers_after_rekey(s, page);
    trace_arm_mec_rekey(s->base + offset, old, mecid);
}

uint64_t mec_convert(ARMMECState *s, uint32_t entry, hwaddr pa, unsigned size,
                     uint16_t mecid, uint64_t data)
{
    /* R_VXMVW: UNKNOWN; R_NTHZN: but never what the owner has written */
    if (s->mismatch == ARM_MEC_MISMATCH_DEADBEEF &&
        !mec_is_legible(entry, mecid)) {
        return extract64(size == 8 ? MEC_DEADBEEF :
                         MEC_DEADBEEF >> ((pa & 3) * 8), 0, size * 8);
    }
    return data ^ mec_delta(MEC_ENTRY_OWNER(entry), mecid, pa, size);
}

uint64_t mec_read_locked(ARMMECState *s, hwaddr offset, unsigned size,
                         MECContext context)
{
    uint16_t mecid = MEC_CONTEXT_MECID(context);
    uint64_t page = offset >> MEC_PAGE_BITS;
    const uint8_t *p = mec_host(s, page) + (offset & (MEC_PAGE_SIZE - 1));
    /* First: it may have a CXL.cache device write its line back to the page. */
    uint64_t data = ldn_le_p(p, size);

    if (s->cache) {
        return mec_cache_read(s, offset, size, context);
    }
    barrier();
    return mec_convert(s, mec_entry(s, page), s->base + offset, size, mecid,
                       data);
}

/*
 * What the CPU calls
 */

void arm_mec_set_rekeyed(ARMMECState *s, void (*rekeyed)(hwaddr pa))
{
    s->rekeyed = rekeyed;
}

bool arm_mec_contains(ARMMECState *s, hwaddr pa)
{
    uint64_t page;

    return mec_page_of(s, pa, &page);
}

bool arm_mec_remembers(ARMMECState *s)
{
    return s->cache;
}

bool arm_mec_is_foreign(ARMMECState *s, hwaddr pa, ARMSecuritySpace space,
                        uint16_t mecid)
{
    MECContext context = mec_context(s, space, mecid), owner;
    uint64_t page;

    if (mec_is_pure_owner(s, pa, context) || !mec_page_of(s, pa, &page)) {
        return false;
    }
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    return owner != context && (owner != MEC_NOBODY || mecid);
}

bool arm_mec_enter(ARMMECState *s, hwaddr pa, ARMSecuritySpace space,
                   uint16_t mecid)
{
    MECContext context = mec_context(s, space, mecid);
    uint64_t page;

    if (likely(!s->cache)) {
        return !arm_mec_is_foreign(s, pa, space, mecid);
    }
    return mec_is_pure_owner(s, pa, context) || !mec_page_of(s, pa, &page) ||
           mec_cache_enter(s, page, context);
}

void arm_mec_note_fill(ARMMECState *s, vaddr va, hwaddr pa, unsigned size,
                       ARMSecuritySpace space, uint16_t mecid, bool store)
{
    MECContext context = mec_context(s, space, mecid);
    uint32_t entry;
    uint64_t page;

    if (mec_is_pure_owner(s, pa, context) || !mec_page_of(s, pa, &page)) {
        return;
    }
    entry = mec_entry(s, page);
    if (MEC_ENTRY_CONTEXT(entry) != context) {
        QEMU_LOCK_GUARD(&s->lock);
        mec_report_set_door(s, page, va, mecid);
    } else if (MEC_ENTRY_STATE(entry) != MEC_PURE && size && !store) {
        QEMU_LOCK_GUARD(&s->lock);
        mec_report_read(s, pa - s->base, size, mecid, &va);
    }
}

static void mec_trace_walk(hwaddr pa, uint16_t owner, const ARMMECWalk *walk,
                           const char *rw)
{
    trace_arm_mec_walk(walk->stage2 ? 2 : 1, walk->address, walk->level, pa,
                       owner, walk->mecid, walk->reg, rw);
}

uint64_t arm_mec_convert_read(ARMMECState *s, hwaddr pa, unsigned size,
                              const ARMMECWalk *walk, uint64_t data)
{
    MECContext context = mec_context(s, walk->space, walk->mecid);
    uint64_t page;
    uint32_t entry;

    if ((current_cpu && mec_is_pure_owner(s, pa, context)) ||
        !mec_page_of(s, pa, &page)) {
        return data;
    }
    if (unlikely(!current_cpu)) {
        QEMU_LOCK_GUARD(&s->lock);
        return mec_read_locked(s, pa - s->base, size, context);
    }
    entry = mec_entry(s, page);
    if (MEC_ENTRY_CONTEXT(entry) == context) {
        return data;
    }
    if (s->cache) {
        QEMU_LOCK_GUARD(&s->lock);
        return mec_read_locked(s, pa - s->base, size, context);
    }
    if (!walk->debug) {
        QEMU_LOCK_GUARD(&s->lock);
        mec_trace_walk(pa, MEC_ENTRY_OWNER(entry), walk, "read");
        mec_report_walk(s, pa - s->base, size, walk, false);
    }
    return mec_convert(s, entry, pa, size, walk->mecid, data);
}

uint64_t arm_mec_write_mask(ARMMECState *s, hwaddr pa, const ARMMECWalk *walk,
                            uint64_t data)
{
    uint8_t bytes[8];
    uint64_t page, mask;
    uint16_t owner;

    if (!mec_page_of(s, pa, &page)) {
        return 0;
    }
    owner = MEC_ENTRY_OWNER(mec_entry(s, page));
    if (owner == walk->mecid) {
        return 0;
    }
    mask = mec_delta(owner, walk->mecid, pa, 8);
    stq_le_p(bytes, data ^ mask);
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        mec_trace_walk(pa, owner, walk, "update");
        mec_report_walk(s, pa - s->base, 8, walk, true);
        mec_writers_store(s, pa - s->base, 8, walk->mecid, bytes);
        mec_set_entry(s, page, MEC_ENTRY_CONTEXT(mec_entry(s, page)) |
                               MEC_ENTRY(0, MEC_MIXED));
    }
    return mask;
}

/*
 * Lines in devices' caches are in the way of a store, and come home before it:
 * one that changes nothing is enough, and no other CPU sees it.
 */
static void mec_take_from_devices(ARMMECState *s, hwaddr pa, uint64_t page)
{
    uint8_t *host = mec_host(s, page);

    if (host) {
        qatomic_or(host + (pa & (MEC_PAGE_SIZE - 1)), 0);
    }
}

/*
 * The write-back of a line by its address reaches the point of encryption in
 * the context that the line was cached with (RKMNQX), so it does not matter
 * who asks, nor which physical address space the operand names.
 */
void arm_mec_clean(ARMMECState *s, hwaddr pa, ARMSecuritySpace space)
{
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return;
    }
    mec_take_from_devices(s, pa, page);
    QEMU_LOCK_GUARD(&s->lock);
    entry = mec_entry(s, page);
    trace_arm_mec_cmo(pa, MEC_ENTRY_OWNER(entry));
    if (s->cache && !mec_cache_clean(s, pa - s->base, space)) {
        return;                 /* some is left, of other lines or spaces */
    }
    if (MEC_ENTRY_CONTEXT(entry) != MEC_NOBODY || mec_view_in_use(s, page)) {
        mec_queue_canonical(s, page);
    } else if (MEC_ENTRY_STATE(entry) != MEC_PURE) {
        mec_set_entry(s, page, MEC_ENTRY(0, mec_page_is_zero(s, page)
                                         ? MEC_PURE : MEC_SEALED));
    }
}

bool arm_mec_query(ARMMECState *s, hwaddr pa, uint16_t *mecid, bool *mixed)
{
    MECPageState state;
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        entry = mec_entry(s, page);
    }
    state = MEC_ENTRY_STATE(entry);
    *mecid = MEC_ENTRY_OWNER(entry);
    *mixed = state == MEC_MIXED || state == MEC_OVER_DEFAULT;
    return true;
}

/*
 * The device
 */

/*
 * Before firmware is loaded anew. Nobody can read what was written before:
 * hardware would have made new keys. No CPU runs, and each flushes its TLB.
 */
static void mec_reset_page(ARMMECState *s, uint64_t page)
{
    uint32_t entry = mec_entry(s, page);

    if (MEC_ENTRY_OWNER(entry)) {
        mec_rekey_page(s, page, 0, MEC_PURE);
    } else if (entry) {
        mec_set_entry(s, page, 0);
    }
}

static void mec_reset_enter(Object *obj, ResetType type)
{
    ARMMECState *s = ARM_MEC(obj);

    QEMU_LOCK_GUARD(&s->lock);
    mec_view_reset(s);
    mec_writers_reset(s);
    mec_each_page(s, mec_reset_page);
    if (s->cache) {
        mec_cache_reset(s);
    }
}

static void mec_realize(DeviceState *dev, Error **errp)
{
    ARMMECState *s = ARM_MEC(dev);

    if (!s->memory || !s->size) {
        error_setg(errp, "arm-mec: properties 'memory' and 'size' must be set");
        return;
    }
    if ((s->base | s->size) & (MEC_PAGE_SIZE - 1)) {
        error_setg(errp, "arm-mec: RAM must consist of 4 KiB pages");
        return;
    }
    if (!memory_region_init_ram(&s->table_mr, OBJECT(dev), "arm-mec.pages",
                                s->size / MEC_PAGE_SIZE * 4, errp)) {
        return;
    }
    s->table = memory_region_get_ram_ptr(&s->table_mr);
    if (s->writeback != ARM_MEC_WRITEBACK_IMMEDIATE) {
        error_setg(&s->blocker, "Lines that caches remember "
                   "(mec-writeback=%s) do not migrate",
                   ArmMecWriteback_str(s->writeback));
        if (migrate_add_blocker(&s->blocker, errp) < 0) {
            return;
        }
        mec_cache_init(s);
    }
    mec_dma_init(s);
    mec_view_init(s);
    mec_writers_init(s);
    mec_ram_init(s);
}

static void mec_init(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    qemu_mutex_init(&s->lock);
}

static void mec_finalize(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    if (s->cache) {
        mec_cache_finalize(s);
    }
    migrate_del_blocker(&s->blocker);
    mec_writers_finalize(s);
    mec_view_finalize(s);
    mec_dma_finalize(s);
    qemu_mutex_destroy(&s->lock);
}

static int mec_get_mismatch(Object *obj, Error **errp)
{
    return ARM_MEC(obj)->mismatch;
}

static void mec_set_mismatch(Object *obj, int value, Error **errp)
{
    ARM_MEC(obj)->mismatch = value;
}

static int mec_get_writeback(Object *obj, Error **errp)
{
    return ARM_MEC(obj)->writeback;
}

static void mec_set_writeback(Object *obj, int value, Error **errp)
{
    ARM_MEC(obj)->writeback = value;
}

static const Property mec_properties[] = {
    DEFINE_PROP_LINK("memory", ARMMECState, memory, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_UINT64("base", ARMMECState, base, 0),
    DEFINE_PROP_UINT64("size", ARMMECState, size, 0),
    DEFINE_PROP_UINT64("seed", ARMMECState, seed, 0),
};

static void mec_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->realize = mec_realize;
    dc->desc = "Arm memory encryption contexts";
    dc->user_creatable = false;
    device_class_set_props(dc, mec_properties);
    object_class_property_add_enum(klass, "mismatch", "ArmMecMismatch",
                                   &ArmMecMismatch_lookup,
                                   mec_get_mismatch, mec_set_mismatch);
    object_class_property_add_enum(klass, "writeback", "ArmMecWriteback",
                                   &ArmMecWriteback_lookup,
                                   mec_get_writeback, mec_set_writeback);
    rc->phases.enter = mec_reset_enter;
}

static const TypeInfo mec_type_info = {
    .name = TYPE_ARM_MEC,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(ARMMECState),
    .instance_init = mec_init,
    .instance_finalize = mec_finalize,
    .class_init = mec_class_init,
};

static void mec_register_types(void)
{
    type_register_static(&mec_type_info);
}

type_init(mec_register_types)
