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
#include "qemu/log.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "hw/core/cpu.h"
#include "hw/core/qdev-properties.h"
#include "system/address-spaces.h"
#include "mec-internal.h"
#include "trace.h"

/* What an unreadable word looks like with mec-mismatch=deadbeef */
#define MEC_DEADBEEF 0xdeadbeefdeadbeefULL

/* Messages about reads under the wrong MECID in a second */
#define MEC_LOG_LIMIT 16

void mec_set_entry(ARMMECState *s, uint64_t page, uint32_t entry)
{
    if (mec_entry(s, page) != entry) {
        qatomic_set(&s->table[page], cpu_to_le32(entry));
        memory_region_set_dirty(&s->table_mr, page * 4, 4);
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

bool mec_page_is_zero(ARMMECState *s, uint64_t page, uint64_t lines)
{
    const uint8_t *p = s->host + (page << MEC_PAGE_BITS);

    if (!lines) {
        return buffer_is_zero(p, MEC_PAGE_SIZE);
    }
    for (unsigned i = 0; i < 64; i++, p += 1 << MEC_LINE_BITS) {
        if (!extract64(lines, i, 1) && !buffer_is_zero(p, 1 << MEC_LINE_BITS)) {
            return false;
        }
    }
    return true;
}

void mec_rekey_page(ARMMECState *s, uint64_t page, uint16_t mecid,
                    MECPageState state)
{
    uint16_t old = MEC_ENTRY_OWNER(mec_entry(s, page));
    hwaddr offset = page << MEC_PAGE_BITS;
    uint32_t buf[MEC_PAGE_SIZE / 4];

    memcpy(buf, s->host + offset, sizeof(buf));
    mec_delta_page(old, mecid, s->base + offset, buf);
    /* This marks the page dirty and drops code translated from it. */
    address_space_write(&s->ram_as, s->base + offset, MEMTXATTRS_UNSPECIFIED,
                        buf, sizeof(buf));
    mec_set_entry(s, page, MEC_ENTRY(mecid, state));
    trace_arm_mec_rekey(s->base + offset, old, mecid);
}

/* What @mecid sees of @data, which RAM holds in a page with @entry */
static uint64_t mec_convert(ARMMECState *s, uint32_t entry, hwaddr pa,
                            unsigned size, uint16_t mecid, uint64_t data)
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
                         uint16_t mecid)
{
    return mec_convert(s, mec_entry(s, offset >> MEC_PAGE_BITS),
                       s->base + offset, size, mecid,
                       ldn_le_p(s->host + offset, size));
}

/*
 * What the CPU calls
 */

void arm_mec_set_rekeyed(ARMMECState *s, void (*rekeyed)(void))
{
    s->rekeyed = rekeyed;
}

bool arm_mec_contains(ARMMECState *s, hwaddr pa)
{
    uint64_t page;

    return mec_page_of(s, pa, &page);
}

bool arm_mec_is_foreign(ARMMECState *s, hwaddr pa, uint16_t mecid)
{
    uint64_t page;

    return mec_page_of(s, pa, &page) &&
           MEC_ENTRY_OWNER(mec_entry(s, page)) != mecid;
}

/* At most so many times a second, and each pair of contexts of a page once */
static void mec_log_read(ARMMECState *s, vaddr va, hwaddr pa,
                         uint16_t owner, uint16_t mecid)
{
    uint32_t contexts = (uint32_t)owner << 16 | mecid;
    uint64_t page = pa >> MEC_PAGE_BITS;
    int64_t now = get_clock();

    QEMU_LOCK_GUARD(&s->lock);
    if (now - s->log_since > NANOSECONDS_PER_SECOND) {
        s->log_since = now;
        s->log_count = 0;
    } else if (s->log_page == page && s->log_contexts == contexts) {
        return;
    }
    s->log_page = page;
    s->log_contexts = contexts;
    if (s->log_count < MEC_LOG_LIMIT) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "MEC: read at VA 0x%" PRIx64 " PA 0x%" HWADDR_PRIx
                      " with MECID %u of a page written with MECID %u\n",
                      (uint64_t)va, pa, mecid, owner);
    } else if (s->log_count == MEC_LOG_LIMIT) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "MEC: more such reads, not shown\n");
    }
    s->log_count++;
}

void arm_mec_report_read(ARMMECState *s, vaddr va, hwaddr pa, uint16_t mecid)
{
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return;
    }
    entry = mec_entry(s, page);
    if (MEC_ENTRY_OWNER(entry) && mecid && !mec_is_legible(entry, mecid)) {
        mec_log_read(s, va, pa, MEC_ENTRY_OWNER(entry), mecid);
    }
}

uint64_t arm_mec_convert_read(ARMMECState *s, hwaddr pa, unsigned size,
                              uint16_t mecid, uint64_t data)
{
    uint64_t page;
    uint32_t entry;

    if (!mec_page_of(s, pa, &page)) {
        return data;
    }
    if (unlikely(!current_cpu)) {
        QEMU_LOCK_GUARD(&s->lock);
        return mec_read_locked(s, pa - s->base, size, mecid);
    }
    entry = mec_entry(s, page);
    if (MEC_ENTRY_OWNER(entry) == mecid) {
        return data;
    }
    return mec_convert(s, entry, pa, size, mecid, data);
}

uint64_t arm_mec_write_mask(ARMMECState *s, hwaddr pa, uint16_t mecid)
{
    uint64_t page;
    uint16_t owner;

    if (!mec_page_of(s, pa, &page)) {
        return 0;
    }
    owner = MEC_ENTRY_OWNER(mec_entry(s, page));
    if (owner == mecid) {
        return 0;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        mec_set_entry(s, page, MEC_ENTRY(owner, MEC_MIXED));
    }
    return mec_delta(owner, mecid, pa, 8);
}

/*
 * The write-back of a line by its address reaches the point of encryption in
 * the context that the line was cached with (RKMNQX), so it does not matter
 * who asks, nor which physical address space the operand names.
 */
void arm_mec_clean(ARMMECState *s, hwaddr pa)
{
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return;
    }
    QEMU_LOCK_GUARD(&s->lock);
    entry = mec_entry(s, page);
    trace_arm_mec_cmo(pa, MEC_ENTRY_OWNER(entry));
    if (MEC_ENTRY_OWNER(entry) || mec_view_in_use(s, page)) {
        mec_queue_canonical(s, page);
    } else if (MEC_ENTRY_STATE(entry) != MEC_PURE) {
        mec_set_entry(s, page, MEC_ENTRY(0, mec_page_is_zero(s, page, 0)
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
static void mec_reset_enter(Object *obj, ResetType type)
{
    ARMMECState *s = ARM_MEC(obj);

    QEMU_LOCK_GUARD(&s->lock);
    mec_view_reset(s);
    for (uint64_t page = 0; page < s->size >> MEC_PAGE_BITS; page++) {
        uint32_t entry = mec_entry(s, page);

        if (MEC_ENTRY_OWNER(entry)) {
            mec_rekey_page(s, page, 0, MEC_PURE);
        } else if (entry) {
            mec_set_entry(s, page, 0);
        }
    }
}

static void mec_realize(DeviceState *dev, Error **errp)
{
    ARMMECState *s = ARM_MEC(dev);

    if (!s->ram || !memory_region_is_ram(s->ram)) {
        error_setg(errp, "arm-mec: property 'ram' must be set to RAM");
        return;
    }
    s->size = memory_region_size(s->ram);
    if ((s->base | s->size) & (MEC_PAGE_SIZE - 1)) {
        error_setg(errp, "arm-mec: RAM must consist of 4 KiB pages");
        return;
    }
    if (!memory_region_init_ram(&s->table_mr, OBJECT(dev), "arm-mec.pages",
                                s->size / MEC_PAGE_SIZE * 4, errp)) {
        return;
    }
    s->table = memory_region_get_ram_ptr(&s->table_mr);
    s->host = memory_region_get_ram_ptr(s->ram);
    memory_region_init(&s->ram_root, OBJECT(dev), "arm-mec-ram", UINT64_MAX);
    memory_region_init_alias(&s->ram_alias, OBJECT(dev), "arm-mec-ram-alias",
                             s->ram, 0, s->size);
    memory_region_add_subregion(&s->ram_root, s->base, &s->ram_alias);
    address_space_init(&s->ram_as, &s->ram_root, "arm-mec-ram");
    mec_view_init(s);
}

static void mec_init(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    qemu_mutex_init(&s->lock);
}

static void mec_finalize(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    mec_view_finalize(s);
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

static const Property mec_properties[] = {
    DEFINE_PROP_LINK("ram", ARMMECState, ram, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_UINT64("base", ARMMECState, base, 0),
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
