/*
 * CXL Extended Security: how far a host bridge trusts what is below its ports
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_ext_security.h"
#include "hw/pci/pcie_port.h"
#include "trace.h"

#define CHILD "cxl-ext-security"

#define TRUST_MASK  0x3

/* A root bus has room for no more functions. */
#define ENTRIES     EXTSEC_ENTRY_MAX

/**
 * Entry: of one root port
 * @preset: what firmware writes to @level
 */
typedef struct Entry {
    PCIDevice *port;
    uint8_t level;
    uint8_t preset;
} Entry;

struct CXLExtSecurity {
    Object parent_obj;

    void (*changed)(void);
    MemoryRegion regs;
    unsigned num;
    Entry entry[ENTRIES];   /* by the ports' addresses */
};

static Entry *find_entry(CXLExtSecurity *s, const PCIDevice *port)
{
    for (unsigned i = 0; i < s->num; i++) {
        if (s->entry[i].port == port) {
            return &s->entry[i];
        }
    }
    return NULL;
}

void cxl_ext_security_add(CXLExtSecurity *s, PCIDevice *root_port,
                          CXLTrustLevel level)
{
    unsigned at = s->num;

    g_assert(s->num < ENTRIES && !find_entry(s, root_port));
    while (at && s->entry[at - 1].port->devfn > root_port->devfn) {
        s->entry[at] = s->entry[at - 1];
        at--;
    }
    s->entry[at] = (Entry) {
        .port = root_port, .level = level, .preset = level,
    };
    s->num++;
}

void cxl_ext_security_remove(CXLExtSecurity *s, PCIDevice *root_port)
{
    Entry *e = find_entry(s, root_port);

    if (e) {
        s->num--;
        memmove(e, e + 1, (s->entry + s->num - e) * sizeof(*e));
    }
}

unsigned cxl_ext_security_level(const CXLExtSecurity *s,
                                const PCIDevice *root_port)
{
    const Entry *e = find_entry((CXLExtSecurity *)s, root_port);

    return e ? e->level : CXL_TRUST_NONE;
}

void cxl_ext_security_reset(CXLExtSecurity *s)
{
    for (unsigned i = 0; i < s->num; i++) {
        s->entry[i].level = s->entry[i].preset;
    }
    s->changed();
}

/* ---- Registers ---- */

/* The entry that a register is of, NULL for none; @policy: which of its two */
static Entry *entry_at(CXLExtSecurity *s, hwaddr addr, bool *policy)
{
    unsigned n = (addr - CXL_EXT_SECURITY_POLICY(0)) / 8;

    if (addr < CXL_EXT_SECURITY_POLICY(0) || n >= s->num) {
        return NULL;
    }
    *policy = addr == CXL_EXT_SECURITY_POLICY(n);
    return &s->entry[n];
}

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLExtSecurity *s = opaque;
    bool policy;
    Entry *e;

    if (addr == CXL_EXT_SECURITY_COUNT) {
        /* [7:0]; 256 root ports cannot be told from none. */
        return s->num & 0xff;
    }
    e = entry_at(s, addr, &policy);
    return !e ? 0 : policy ? e->level : PCIE_PORT(e->port)->port;
}

static void regs_write(void *opaque, hwaddr addr, uint64_t value,
                       unsigned size)
{
    CXLExtSecurity *s = opaque;
    bool policy;
    Entry *e = entry_at(s, addr, &policy);

    if (e && policy) {
        e->level = value & TRUST_MASK;
        trace_cxl_ext_security_level(e->port->name, e->level);
        s->changed();
    }
}

static const MemoryRegionOps regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

/* ---- The object ---- */

CXLExtSecurity *cxl_ext_security_of(Object *host)
{
    Object *child = object_resolve_path_component(host, CHILD);

    return child ? CXL_EXT_SECURITY(child) : NULL;
}

CXLExtSecurity *cxl_ext_security_new(Object *host,
                                     ComponentRegisters *component,
                                     void (*changed)(void))
{
    CXLExtSecurity *s = CXL_EXT_SECURITY(object_new(TYPE_CXL_EXT_SECURITY));

    object_property_add_child(host, CHILD, OBJECT(s));
    object_unref(OBJECT(s));
    s->changed = changed;
    memory_region_init_io(&s->regs, OBJECT(s), &regs_ops, s, CHILD,
                          CXL_EXTSEC_REGISTERS_SIZE);
    memory_region_add_subregion_overlap(&component->cache_mem,
                                        CXL_EXTSEC_REGISTERS_OFFSET, &s->regs,
                                        1);
    return s;
}

static const TypeInfo ext_security_info = {
    .name = TYPE_CXL_EXT_SECURITY,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLExtSecurity),
};

static void ext_security_register_types(void)
{
    type_register_static(&ext_security_info);
}

type_init(ext_security_register_types)
