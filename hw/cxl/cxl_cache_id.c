/*
 * Cache IDs: the registers that route CXL.cache by them
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cxl_cache_id.h"
#include "trace.h"

#define CHILD "cxl-cache-id"

/* Both stand behind all that QEMU itself has a place for. */
#define TABLE_INDEX         (CXL_BI_DECODER_CAP_HDR_IDX + 1)
#define DECODER_INDEX       (CXL_BI_DECODER_CAP_HDR_IDX + 2)
#define TABLE_OFFSET        ROUND_UP(CXL_BI_DECODER_REGISTERS_OFFSET + \
                                     CXL_BI_DECODER_REGISTERS_SIZE, 0x10)
#define DECODER_OFFSET      (TABLE_OFFSET + CXL_CACHE_ID_SIZE)
#define STRUCTURE_VERSION   1

QEMU_BUILD_BUG_ON(DECODER_OFFSET + CXL_CACHE_ID_SIZE >
                  CXL2_COMPONENT_CM_REGION_SIZE);
QEMU_BUILD_BUG_ON(CXL_CACHE_ID_TARGET(CXL_CACHE_IDS) > CXL_CACHE_ID_SIZE);

/* A commit may take two seconds, as QEMU's other explicit commits do. */
#define STATUS_TIMEOUT      0x2600

static QLIST_HEAD(, CXLCacheId) all = QLIST_HEAD_INITIALIZER(all);

static uint32_t commit_bit(const CXLCacheId *c)
{
    return c->decoder ? CXL_CACHE_ID_DECODER_COMMIT
                      : CXL_CACHE_ID_TABLE_CTRL_COMMIT;
}

/* ---- Commit ---- */

static bool committed(const CXLCacheId *c)
{
    return ldl_le_p(c->file + CXL_CACHE_ID_STATUS) &
           CXL_CACHE_ID_STATUS_COMMITTED;
}

static CXLCacheIdDecoder read_decoder(const uint8_t *file)
{
    uint32_t ctrl = ldl_le_p(file + CXL_CACHE_ID_CTRL);

    return (CXLCacheIdDecoder) {
        .assign = ctrl & CXL_CACHE_ID_DECODER_ASSIGN,
        .forward = ctrl & CXL_CACHE_ID_DECODER_FORWARD,
        .id = extract32(ctrl, CXL_CACHE_ID_DECODER_ID_SHIFT, 4),
        .trust = extract32(ctrl, CXL_CACHE_ID_DECODER_TRUST_SHIFT, 2),
    };
}

static int read_target(const uint8_t *file, unsigned id)
{
    uint16_t target = lduw_le_p(file + CXL_CACHE_ID_TARGET(id));

    return target & CXL_CACHE_ID_TARGET_VALID ?
           target >> CXL_CACHE_ID_TARGET_PORT_SHIFT : -1;
}

/*
 * The capabilities say that no HDM-D device can be routed. A port that inserts
 * an ID of its own into what has one already would hide who asked.
 */
static bool decoder_ok(CXLCacheId *c)
{
    CXLCacheIdDecoder d = read_decoder(c->file);

    return !(ldl_le_p(c->file + CXL_CACHE_ID_CTRL) &
             CXL_CACHE_ID_DECODER_HDM_D) &&
           !(d.assign && d.forward) &&
           (!d.assign || c->ops->may_assign(c, d.id));
}

static bool table_ok(CXLCacheId *c)
{
    for (unsigned id = 0; id < CXL_CACHE_IDS; id++) {
        int port = read_target(c->file, id);

        if (port >= 0 && !c->ops->has_port(c, port)) {
            return false;
        }
    }
    return true;
}

static void set_status(CXLCacheId *c, uint32_t bits)
{
    stl_le_p(c->file + CXL_CACHE_ID_STATUS, STATUS_TIMEOUT | bits);
}

static void commit(CXLCacheId *c)
{
    bool ok = c->decoder ? decoder_ok(c) : table_ok(c);

    set_status(c, ok ? CXL_CACHE_ID_STATUS_COMMITTED
                     : CXL_CACHE_ID_STATUS_ERROR);
    memcpy(c->live, c->file, sizeof(c->live));
    trace_cxl_cache_id_commit(c->port ? c->port->name : "host bridge",
                              c->decoder ? "decoder" : "route table",
                              ldl_le_p(c->file + CXL_CACHE_ID_CTRL), ok);
    c->ops->changed();
}

static void uncommit(CXLCacheId *c)
{
    set_status(c, 0);
    c->ops->changed();
}

static void ctrl_written(CXLCacheId *c, uint32_t old)
{
    uint32_t now = ldl_le_p(c->file + CXL_CACHE_ID_CTRL);

    if (now & ~old & commit_bit(c)) {
        commit(c);
    } else if (old & ~now & commit_bit(c)) {
        uncommit(c);
    }
}

bool cxl_cache_id_decoder(const CXLCacheId *c, CXLCacheIdDecoder *decoder)
{
    *decoder = read_decoder(c->live);
    return committed(c);
}

int cxl_cache_id_target(const CXLCacheId *c, unsigned id)
{
    return committed(c) && id < CXL_CACHE_IDS ? read_target(c->live, id) : -1;
}

/* ---- Firmware ---- */

static void put_decoder(uint8_t *file, const CXLCacheIdDecoder *d)
{
    stl_le_p(file + CXL_CACHE_ID_CTRL,
             d ? CXL_CACHE_ID_DECODER_COMMIT |
                 (d->assign ? CXL_CACHE_ID_DECODER_ASSIGN : 0) |
                 (d->forward ? CXL_CACHE_ID_DECODER_FORWARD : 0) |
                 d->id << CXL_CACHE_ID_DECODER_ID_SHIFT |
                 d->trust << CXL_CACHE_ID_DECODER_TRUST_SHIFT : 0);
}

static void put_target(uint8_t *file, unsigned id, int port)
{
    stw_le_p(file + CXL_CACHE_ID_TARGET(id),
             port < 0 ? 0 : port << CXL_CACHE_ID_TARGET_PORT_SHIFT |
                            CXL_CACHE_ID_TARGET_VALID);
    stl_le_p(file + CXL_CACHE_ID_CTRL, CXL_CACHE_ID_TABLE_CTRL_COMMIT);
}

static void firmware_written(CXLCacheId *c)
{
    if (ldl_le_p(c->file + CXL_CACHE_ID_CTRL) & commit_bit(c)) {
        commit(c);
    } else {
        uncommit(c);
    }
}

void cxl_cache_id_set_decoder(CXLCacheId *c, const CXLCacheIdDecoder *decoder)
{
    put_decoder(c->firmware, decoder);
    put_decoder(c->file, decoder);
    firmware_written(c);
}

void cxl_cache_id_set_target(CXLCacheId *c, unsigned id, int port)
{
    put_target(c->firmware, id, port);
    put_target(c->file, id, port);
    firmware_written(c);
}

static void init_file(CXLCacheId *c)
{
    memset(c->firmware, 0, sizeof(c->firmware));
    stl_le_p(c->firmware + CXL_CACHE_ID_CAPABILITY,
             c->decoder ? CXL_CACHE_ID_DECODER_CAP_EXPLICIT
                        : CXL_CACHE_IDS | CXL_CACHE_ID_TABLE_CAP_EXPLICIT);
    stl_le_p(c->firmware + CXL_CACHE_ID_STATUS, STATUS_TIMEOUT);
    memcpy(c->file, c->firmware, sizeof(c->file));
    memcpy(c->live, c->firmware, sizeof(c->live));
}

void cxl_cache_id_reset(CXLCacheId *c)
{
    memcpy(c->file, c->firmware, sizeof(c->file));
    firmware_written(c);
}

/* ---- Registers ---- */

static uint32_t write_mask(const CXLCacheId *c, hwaddr dword)
{
    if (dword == CXL_CACHE_ID_CTRL) {
        /* HDM-D ID, Local Cache ID and Trust Level; and the flags */
        return c->decoder ? 0x030f0f0f : CXL_CACHE_ID_TABLE_CTRL_COMMIT;
    }
    return !c->decoder && dword >= CXL_CACHE_ID_TARGET(0) ? 0xff01ff01 : 0;
}

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheId *c = opaque;

    return ldn_le_p(c->file + addr, size);
}

static void regs_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLCacheId *c = opaque;
    uint32_t old = ldl_le_p(c->file + CXL_CACHE_ID_CTRL);
    hwaddr dword = addr & ~3ULL;
    uint32_t mask = write_mask(c, dword) &
                    MAKE_64BIT_MASK(8 * (addr - dword), 8 * size);

    stl_le_p(c->file + dword, (ldl_le_p(c->file + dword) & ~mask) |
             ((uint32_t)value << 8 * (addr - dword) & mask));
    if (dword == CXL_CACHE_ID_CTRL) {
        ctrl_written(c, old);
    }
}

/* The targets of a route table are registers of 16 bits. */
static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 2, .max_access_size = 8 },
    .impl = { .min_access_size = 2, .max_access_size = 4 },
};

static unsigned cap_index(const CXLCacheId *c)
{
    return c->decoder ? DECODER_INDEX : TABLE_INDEX;
}

static hwaddr cap_offset(const CXLCacheId *c)
{
    return c->decoder ? DECODER_OFFSET : TABLE_OFFSET;
}

/* The first header says how many follow it. */
static uint64_t array_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheId *c = opaque;

    return FIELD_DP32(c->component->cache_mem_registers[0],
                      CXL_CAPABILITY_HEADER, ARRAY_SIZE, cap_index(c));
}

static uint64_t header_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheId *c = opaque;

    return (c->decoder ? CXL_CACHE_ID_DECODER_CAP : CXL_CACHE_ID_TABLE_CAP) |
           STRUCTURE_VERSION << 16 | cap_offset(c) << 20;
}

static void no_write(void *opaque, hwaddr addr, uint64_t value, unsigned size)
{
}

static const MemoryRegionOps array_ops = {
    .read = array_read,
    .write = no_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static const MemoryRegionOps header_ops = {
    .read = header_read,
    .write = no_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ---- The object ---- */

static void lay_over(CXLCacheId *c, MemoryRegion *mr, const char *name,
                     const MemoryRegionOps *ops, hwaddr offset, uint64_t size)
{
    memory_region_init_io(mr, OBJECT(c), ops, c, name, size);
    memory_region_add_subregion_overlap(&c->component->cache_mem, offset, mr,
                                        1);
}

CXLCacheId *cxl_cache_id_new(Object *owner, ComponentRegisters *component,
                             PCIDevice *port, PCIBus *root, bool decoder,
                             const CXLCacheIdOps *ops)
{
    CXLCacheId *c = CXL_CACHE_ID(object_new(TYPE_CXL_CACHE_ID));

    object_property_add_child(owner, CHILD, OBJECT(c));
    object_unref(OBJECT(c));
    c->ops = ops;
    c->component = component;
    c->port = port;
    c->root = root;
    c->decoder = decoder;
    init_file(c);
    lay_over(c, &c->array, "cxl-cache-id-array", &array_ops, 0, 4);
    lay_over(c, &c->header, "cxl-cache-id-header", &header_ops,
             cap_index(c) * 4, 4);
    lay_over(c, &c->regs, "cxl-cache-id-regs", &regs_ops, cap_offset(c),
             CXL_CACHE_ID_SIZE);
    QLIST_INSERT_HEAD(&all, c, next);
    return c;
}

CXLCacheId *cxl_cache_id_of(Object *owner)
{
    Object *child = object_resolve_path_component(owner, CHILD);

    return child ? CXL_CACHE_ID(child) : NULL;
}

CXLCacheId *cxl_cache_id_next(CXLCacheId *c)
{
    return c ? QLIST_NEXT(c, next) : QLIST_FIRST(&all);
}

void cxl_cache_id_exit(CXLCacheId *c)
{
    MemoryRegion *cache_mem = &c->component->cache_mem;

    memory_region_del_subregion(cache_mem, &c->array);
    memory_region_del_subregion(cache_mem, &c->header);
    memory_region_del_subregion(cache_mem, &c->regs);
    QLIST_REMOVE(c, next);
    object_unparent(OBJECT(c));
}

static const TypeInfo cache_id_info = {
    .name = TYPE_CXL_CACHE_ID,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLCacheId),
};

static void cache_id_register_types(void)
{
    type_register_static(&cache_id_info);
}

type_init(cache_id_register_types)
