/*
 * -device cxl-cbit-alias
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Options, the window at the address bit, the registers and the keys; the rest
 * is cache_mem_alias.c. See hw/cxl/cxl_cbit_alias_regs.h.
 *
 * Encryption: AES-256-XTS over each line of 64 bytes. The tweak is the line's
 * plain physical address, little endian, 16 bytes; the keys are SHA-512 of
 * "cxl-cbit-alias", a byte of 0, the property "key", a byte of 0, and the ASID
 * in 4 bytes, little endian: data key first.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "qapi/qapi-types-cxl.h"
#include "hw/core/boards.h"
#include "hw/core/cpu.h"
#include "hw/core/qdev-properties.h"
#include "hw/cxl/cxl_cbit_alias_regs.h"
#include "hw/pci/pci_device.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "standard-headers/linux/virtio_crypto.h"
#include "system/address-spaces.h"
#include "system/cryptodev-openssl-evp.h"
#include "system/qtest.h"
#include "system/tcg.h"
#include "cache_mem_internal.h"

#define TYPE_CXL_CBIT_ALIAS "cxl-cbit-alias"
OBJECT_DECLARE_SIMPLE_TYPE(CXLCbitAlias, CXL_CBIT_ALIAS)

#define DEFAULT_LINES   65536
#define MIN_BIT         12
#define MAX_BIT         51
#define KEY_LEN         64

QEMU_BUILD_BUG_ON(CBR_COHERENCE_OFF != (int)CXL_ALIAS_COHERENT_OFF ||
                  CBR_COHERENCE_CPU != (int)CXL_ALIAS_COHERENT_CPU ||
                  CBR_COHERENCE_ALL != (int)CXL_ALIAS_COHERENT_ALL);
QEMU_BUILD_BUG_ON((int)CXL_TAG_COHERENCE_OFF != CBR_COHERENCE_OFF ||
                  (int)CXL_TAG_COHERENCE_CPU != CBR_COHERENCE_CPU ||
                  (int)CXL_TAG_COHERENCE_ALL != CBR_COHERENCE_ALL);

/* The two sessions of an ASID's key */
typedef struct AliasKey {
    CryptoDevEvpSession *encrypt;
    CryptoDevEvpSession *decrypt;
} AliasKey;

/**
 * CXLCbitAlias:
 * @region: what it is attached to, or NULL
 * @keys: AliasKey by context
 * @cpu, @addr, @data, @result: registers
 */
struct CXLCbitAlias {
    PCIDevice parent_obj;

    CacheMemAlias alias;
    CacheMemRegion *region;
    MemoryRegion window;
    MemoryRegion regs;
    GHashTable *keys;
    uint32_t cpu;
    uint32_t result;
    uint64_t addr;
    uint64_t data;

    uint8_t bit;
    int coherence;
    uint32_t lines;
    char *key;
    char *watch;
};

/* ---- Keys ---- */

static void free_key(gpointer opaque)
{
    AliasKey *key = opaque;

    cryptodev_evp_session_free(key->encrypt);
    cryptodev_evp_session_free(key->decrypt);
    g_free(key);
}

static void derive(const CXLCbitAlias *s, unsigned asid, uint8_t *out)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA512);
    const uint8_t le[4] = { asid, asid >> 8, asid >> 16, asid >> 24 };
    gsize len = KEY_LEN;

    g_checksum_update(sum, (const guchar *)TYPE_CXL_CBIT_ALIAS,
                      sizeof(TYPE_CXL_CBIT_ALIAS));
    if (s->key) {
        g_checksum_update(sum, (const guchar *)s->key, strlen(s->key));
    }
    g_checksum_update(sum, (const guchar *)"", 1);
    g_checksum_update(sum, le, sizeof(le));
    g_checksum_get_digest(sum, out, &len);
}

static bool new_session(const uint8_t *key, uint32_t direction,
                        CryptoDevEvpSession **session, Error **errp)
{
    const CryptoDevEvpSymParams params = {
        .cipher_alg = VIRTIO_CRYPTO_CIPHER_AES_XTS,
        .direction = direction,
        .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
        .cipher_key = key,
        .cipher_key_len = KEY_LEN,
    };
    g_autofree char *why = NULL;

    if (cryptodev_evp_sym_session_new(&params, 1, session, &why)) {
        error_setg(errp, "libcrypto gives no AES-256-XTS: %s", why);
        return false;
    }
    return true;
}

/* From now on there is a key for the ASID. */
static bool make_key(CXLCbitAlias *s, unsigned asid, Error **errp)
{
    unsigned context = CXL_ALIAS_OF_ASID(asid);
    uint8_t bytes[KEY_LEN];
    AliasKey *key;

    if (g_hash_table_contains(s->keys, GUINT_TO_POINTER(context))) {
        return true;
    }
    key = g_new0(AliasKey, 1);
    derive(s, asid, bytes);
    if (!new_session(bytes, VIRTIO_CRYPTO_OP_ENCRYPT, &key->encrypt, errp) ||
        !new_session(bytes, VIRTIO_CRYPTO_OP_DECRYPT, &key->decrypt, errp)) {
        free_key(key);
        return false;
    }
    g_hash_table_insert(s->keys, GUINT_TO_POINTER(context), key);
    return true;
}

static void crypt_line(void *opaque, unsigned context, uint64_t line,
                       const uint8_t *in, uint8_t *out, bool encrypt)
{
    CXLCbitAlias *s = opaque;
    const AliasKey *key = g_hash_table_lookup(s->keys,
                                              GUINT_TO_POINTER(context));
    uint8_t tweak[16] = { };
    const CryptoDevEvpSymOp op = {
        .op_code = encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT :
                             VIRTIO_CRYPTO_CIPHER_DECRYPT,
        .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
        .iv = tweak,
        .iv_len = sizeof(tweak),
        .src = in,
        .src_len = CXL_CACHE_LINE_SIZE,
        .dst = out,
        .dst_len = CXL_CACHE_LINE_SIZE,
    };

    stq_le_p(tweak, line << CXL_CACHE_LINE_SHIFT);
    if (cryptodev_evp_sym_op(encrypt ? key->encrypt : key->decrypt, 0, &op,
                             NULL)) {
        /* A key that has been made works for any 64 bytes. */
        g_assert_not_reached();
    }
}

/* ---- The window ---- */

/* What a device does has no attributes, or is not by a vCPU's thread. */
static int who(MemTxAttrs attrs)
{
    return !attrs.unspecified && current_cpu ? current_cpu->cpu_index :
                                               CACHE_MEM_ALIAS_DEVICE;
}

static bool access_window(CXLCbitAlias *s, hwaddr addr, uint64_t *value,
                          unsigned size, MemTxAttrs attrs, bool write)
{
    CacheMemRegion *region = s->region;
    uint8_t data[8] = { };
    bool done;

    stq_le_p(data, *value);
    WITH_QEMU_LOCK_GUARD(&region->lock) {
        done = cache_mem_alias_encrypted(region, who(attrs), addr, data, size,
                                         write);
    }
    *value = ldq_le_p(data);
    cache_mem_alias_written(region);
    return done;
}

static MemTxResult window_read(void *opaque, hwaddr addr, uint64_t *value,
                               unsigned size, MemTxAttrs attrs)
{
    *value = 0;
    return access_window(opaque, addr, value, size, attrs, false) ?
           MEMTX_OK : MEMTX_DECODE_ERROR;
}

static MemTxResult window_write(void *opaque, hwaddr addr, uint64_t value,
                                unsigned size, MemTxAttrs attrs)
{
    return access_window(opaque, addr, &value, size, attrs, true) ?
           MEMTX_OK : MEMTX_DECODE_ERROR;
}

static const MemoryRegionOps window_ops = {
    .read_with_attrs = window_read,
    .write_with_attrs = window_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8 },
};

/* ---- Registers ---- */

static uint64_t read_counter(const CXLAlias *model, hwaddr addr)
{
    const CXLAliasStats *stats = cxl_alias_stats(model);
    const uint64_t counter[] = {
        stats->scanned, stats->flushed, stats->needed, stats->wasted,
        stats->overwritten, stats->stale, stats->bypassed, stats->write_backs,
        stats->evictions, stats->overwritten + stats->stale + stats->bypassed,
        cxl_alias_num_pairs(model),
    };
    unsigned n = (addr - CBR_SCANNED) / 8;

    return n < ARRAY_SIZE(counter) ? counter[n] : 0;
}

static uint32_t read_32(const CXLCbitAlias *s, hwaddr addr)
{
    switch (addr) {
    case CBR_MAGIC:
        return CBR_MAGIC_VALUE;
    case CBR_VERSION:
        return 1;
    case CBR_BIT:
        return s->bit;
    case CBR_COHERENCE:
        return s->coherence;
    case CBR_ASID:
        return s->alias.asid;
    case CBR_LINES:
        return cxl_alias_num_lines(s->alias.model, CXL_ALIAS_ALL_CPUS);
    case CBR_CPU:
        return s->cpu;
    case CBR_RESULT:
        return s->result;
    default:
        return 0;
    }
}

/* Of 8 bytes, naturally aligned: one register, or two */
static uint64_t read_64(const CXLCbitAlias *s, hwaddr addr)
{
    if (addr == CBR_ADDR) {
        return s->addr;
    } else if (addr == CBR_DATA) {
        return s->data;
    } else if (addr >= CBR_SCANNED) {
        return read_counter(s->alias.model, addr);
    }
    return read_32(s, addr) | (uint64_t)read_32(s, addr + 4) << 32;
}

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCbitAlias *s = opaque;
    uint64_t value;

    QEMU_LOCK_GUARD(&s->region->lock);
    value = read_64(s, addr & ~7ULL);
    return size == 8 ? value : extract64(value, (addr & 4) * 8, 32);
}

static void load_or_store(CXLCbitAlias *s, bool write)
{
    uint64_t bit = BIT_ULL(s->bit);
    uint8_t data[8];
    bool done = false;

    stq_le_p(data, s->data);
    if (s->addr % sizeof(data)) {
        done = false;
    } else if (s->addr & bit) {
        done = cache_mem_alias_encrypted(s->region, s->cpu, s->addr & ~bit,
                                         data, sizeof(data), write);
    } else {
        done = cache_mem_alias_plain(s->region, s->cpu, s->addr, data,
                                     sizeof(data), write);
    }
    s->data = done ? ldq_le_p(data) : s->data;
    s->result = !done;
}

static bool command(CXLCbitAlias *s, uint32_t value)
{
    s->result = 0;
    switch (value) {
    case CBR_LOAD:
    case CBR_STORE:
        load_or_store(s, value == CBR_STORE);
        return true;
    case CBR_CLFLUSH:
        cache_mem_alias_flush_line(s->region, s->addr);
        return true;
    case CBR_WBINVD:
    case CBR_WBNOINVD:
        cxl_alias_flush(s->alias.model, s->cpu, value == CBR_WBINVD);
        return true;
    default:
        return false;
    }
}

static bool write_reg(CXLCbitAlias *s, hwaddr addr, uint64_t value,
                      unsigned size)
{
    if (size == 4) {
        switch (addr) {
        case CBR_ASID:
            if (value > CXL_ALIAS_MAX_ASID || !make_key(s, value, NULL)) {
                return false;
            }
            s->alias.asid = value;
            return true;
        case CBR_CPU:
            if (value >= current_machine->smp.max_cpus) {
                return false;
            }
            s->cpu = value;
            return true;
        case CBR_COMMAND:
            return command(s, value);
        default:
            return false;
        }
    }
    switch (addr) {
    case CBR_ADDR:
        s->addr = value;
        return true;
    case CBR_DATA:
        s->data = value;
        return true;
    case CBR_PAGE_FLUSH:
        cxl_alias_flush_page(s->alias.model,
                             CXL_ALIAS_OF_ASID(value & CXL_ALIAS_MAX_ASID),
                             (value & ~BIT_ULL(s->bit) &
                              ~(uint64_t)CXL_ALIAS_MAX_ASID) >>
                             CXL_CACHE_LINE_SHIFT);
        return true;
    default:
        return false;
    }
}

static void regs_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
    CXLCbitAlias *s = opaque;
    bool done;

    WITH_QEMU_LOCK_GUARD(&s->region->lock) {
        done = write_reg(s, addr, value, size);
    }
    cache_mem_alias_written(s->region);
    if (!done) {
        qemu_log_mask(LOG_GUEST_ERROR, "cxl-cbit-alias: write of 0x%" PRIx64
                      " (%u bytes) to register 0x%" HWADDR_PRIx ": ignored\n",
                      value, size, addr);
    }
}

static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

/* ---- Options ---- */

typedef struct FindRam {
    uint64_t size;
    bool found;
} FindRam;

static bool find_ram(Int128 start, Int128 len, const MemoryRegion *mr,
                     hwaddr offset, void *opaque)
{
    FindRam *find = opaque;

    find->found = mr->ram && !mr->readonly &&
                  int128_get64(start) + int128_get64(len) > find->size;
    return find->found;
}

static bool has_ram_above(uint64_t size)
{
    FindRam find = { .size = size };

    RCU_READ_LOCK_GUARD();
    flatview_for_each_range(address_space_to_flatview(&address_space_memory),
                            find_ram, &find);
    return find.found;
}

static bool check_bit(const CXLCbitAlias *s, Error **errp)
{
    uint64_t size = BIT_ULL(s->bit);
    uint64_t cpu_bits = first_cpu ?
        object_property_get_uint(OBJECT(first_cpu), "phys-bits", NULL) : 0;

    if (s->bit < MIN_BIT || s->bit > MAX_BIT) {
        error_setg(errp, "'bit' must be given, %d to %d", MIN_BIT, MAX_BIT);
        return false;
    }
    if (cpu_bits && s->bit >= cpu_bits) {
        error_setg(errp, "'bit' is %u, but CPUs have physical addresses of %"
                   PRIu64 " bits: see 'phys-bits' of -cpu", s->bit, cpu_bits);
        return false;
    }
    if (current_machine->maxram_size > size ||
        has_ram_above(size)) {
        error_setg(errp, "'bit' is %u, but there is RAM at addresses that have "
                   "that bit", s->bit);
        return false;
    }
    return true;
}

static bool check_accel(Error **errp)
{
    if (tcg_enabled() ? qemu_tcg_mttcg_enabled() : !qtest_enabled()) {
        error_setg(errp, "cxl-cbit-alias needs accel=tcg,thread=single: it "
                   "sees what CPUs do, one at a time");
        return false;
    }
    return true;
}

static void alias_realize(PCIDevice *pdev, Error **errp)
{
    CXLCbitAlias *s = CXL_CBIT_ALIAS(pdev);
    CacheMemRegion *region;

    if (!check_accel(errp) || !check_bit(s, errp)) {
        return;
    }
    if (!s->lines) {
        error_setg(errp, "'lines' must not be 0");
        return;
    }
    s->keys = g_hash_table_new_full(NULL, NULL, NULL, free_key);
    if (!make_key(s, 0, errp)) {
        return;
    }
    if (s->watch) {
        s->alias.watch = cache_mem_llc_watch_parse(s->watch, errp);
        if (!s->alias.watch) {
            return;
        }
    }
    s->alias.bit = s->bit;
    s->alias.coherence = s->coherence;
    s->alias.crypt = crypt_line;
    s->alias.opaque = s;
    region = cache_mem_region_make();
    if (!cache_mem_alias_attach(region, &s->alias, s->lines, errp)) {
        return;
    }
    s->region = region;
    cache_mem_watch_start(region);

    memory_region_init_io(&s->window, OBJECT(s), &window_ops, s,
                          "cxl-cbit-alias", BIT_ULL(s->bit));
    /* What the machine has there comes first, PCI's BARs as well. */
    memory_region_add_subregion_overlap(get_system_memory(), BIT_ULL(s->bit),
                                        &s->window, -2);
    memory_region_init_io(&s->regs, OBJECT(s), &regs_ops, s,
                          "cxl-cbit-alias-regs", CBR_REGS_SIZE);
    pci_register_bar(pdev, CXL_CBIT_ALIAS_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->regs);
}

static void alias_exit(PCIDevice *pdev)
{
    CXLCbitAlias *s = CXL_CBIT_ALIAS(pdev);

    memory_region_del_subregion(get_system_memory(), &s->window);
    cache_mem_alias_detach(s->region);
    s->region = NULL;
}

static void alias_finalize(Object *obj)
{
    CXLCbitAlias *s = CXL_CBIT_ALIAS(obj);

    g_clear_pointer(&s->keys, g_hash_table_unref);
    g_clear_pointer(&s->alias.watch, g_array_unref);
}

/* The caches are the region's to reset, before any device is. */
static void alias_reset_hold(Object *obj, ResetType type)
{
    CXLCbitAlias *s = CXL_CBIT_ALIAS(obj);

    s->cpu = s->result = 0;
    s->addr = s->data = 0;
}

static int get_coherence(Object *obj, Error **errp)
{
    return CXL_CBIT_ALIAS(obj)->coherence;
}

static void set_coherence(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        error_setg(errp, "'tag-coherence' cannot be changed any more");
        return;
    }
    CXL_CBIT_ALIAS(obj)->coherence = value;
}

static const Property alias_properties[] = {
    DEFINE_PROP_UINT8("bit", CXLCbitAlias, bit, 0),
    DEFINE_PROP_UINT32("lines", CXLCbitAlias, lines, DEFAULT_LINES),
    DEFINE_PROP_STRING("key", CXLCbitAlias, key),
    DEFINE_PROP_STRING("watch", CXLCbitAlias, watch),
};

/* What CPUs' caches hold is not in RAM. */
static const VMStateDescription alias_vmstate = {
    .name = TYPE_CXL_CBIT_ALIAS,
    .unmigratable = 1,
};

static void alias_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "encrypted alias of RAM, and the CPUs' caches of both";
    dc->vmsd = &alias_vmstate;
    dc->hotpluggable = false;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, alias_properties);
    object_class_property_add_enum(klass, "tag-coherence", "CxlTagCoherence",
                                   &CxlTagCoherence_lookup, get_coherence,
                                   set_coherence);
    object_class_property_set_description(klass, "tag-coherence",
        "who finds lines of the other address (default: off)");
    rc->phases.hold = alias_reset_hold;
    pc->realize = alias_realize;
    pc->exit = alias_exit;
    pc->vendor_id = CXL_CBIT_ALIAS_VENDOR_ID;
    pc->device_id = CXL_CBIT_ALIAS_DEVICE_ID;
    pc->class_id = PCI_CLASS_OTHERS;
}

static const TypeInfo alias_info = {
    .name = TYPE_CXL_CBIT_ALIAS,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(CXLCbitAlias),
    .instance_finalize = alias_finalize,
    .class_init = alias_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { }
    },
};

static void alias_register_types(void)
{
    type_register_static(&alias_info);
}

type_init(alias_register_types)
