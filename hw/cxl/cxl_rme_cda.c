/*
 * RME-CDA: a CXL root port that lets Realm requests of devices pass
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/cxl/cxl_pci.h"
#include "hw/cxl/cxl_rme_cda.h"
#include "hw/pci/pcie.h"
#include "qom/object.h"
#include "trace.h"

#define TYPE_CXL_RME_CDA "cxl-rme-cda"
OBJECT_DECLARE_SIMPLE_TYPE(CXLRmeCda, CXL_RME_CDA)

#define CHILD "rme-cda-port"

/* Far behind the capabilities that a cxl-rp has */
#define OFFSET 0x400

/**
 * CXLRmeCda: what is kept about a port
 * @on: it has the DVSEC
 * @mecid: of Realm requests from below it
 * @given: @mecid is what the user has set
 * @error: modified Realm lines were lost; atomic
 */
struct CXLRmeCda {
    Object parent_obj;

    bool on;
    uint16_t mecid;
    bool given;
    bool error;
};

/* NULL for a port that has been told nothing about it */
static CXLRmeCda *find_state(const void *port)
{
    Object *child = object_resolve_path_component(OBJECT(port), CHILD);

    return child ? CXL_RME_CDA(child) : NULL;
}

static CXLRmeCda *find_on(const PCIDevice *port)
{
    CXLRmeCda *s = find_state(port);

    return s && s->on ? s : NULL;
}

static uint32_t reg(const PCIDevice *port, unsigned offset)
{
    return pci_get_long(port->config + OFFSET + offset);
}

static uint16_t rid_of(uint32_t value)
{
    return (value & CXL_RME_CDA_RID_MASK) >> CXL_RME_CDA_RID_SHIFT;
}

static bool rid_ok(const PCIDevice *port, uint16_t rid)
{
    uint32_t base = reg(port, CXL_RME_CDA_CTL4);

    return (base & CXL_RME_CDA_CTL4_RID_VALID) && rid >= rid_of(base) &&
           rid <= rid_of(reg(port, CXL_RME_CDA_CTL3));
}

CXLRmeCdaVerdict cxl_rme_cda_check(const PCIDevice *root_port, uint16_t rid,
                                   bool realm)
{
    CXLRmeCda *s = find_on(root_port);
    uint32_t ctl1 = s ? reg(root_port, CXL_RME_CDA_CTL1) : 0;

    if ((ctl1 & CXL_RME_CDA_CTL1_LINK_STR_LOCK) && !rid_ok(root_port, rid)) {
        return CXL_RME_CDA_RID;
    }
    if (!realm) {
        return CXL_RME_CDA_PASS;
    }
    return !s ? CXL_RME_CDA_NONE :
           !(ctl1 & CXL_RME_CDA_CTL1_TDISP_EN) ? CXL_RME_CDA_NO_TDISP :
           !(ctl1 & CXL_RME_CDA_CTL1_LINK_STR_LOCK) ? CXL_RME_CDA_UNLOCKED :
           qatomic_read(&s->error) ? CXL_RME_CDA_ERROR : CXL_RME_CDA_PASS;
}

const char *cxl_rme_cda_reason(CXLRmeCdaVerdict verdict)
{
    static const char *const reasons[CXL_RME_CDA_NUM_VERDICTS] = {
        [CXL_RME_CDA_PASS] = "it passes",
        [CXL_RME_CDA_NONE] = "the root port has no RME-CDA",
        [CXL_RME_CDA_NO_TDISP] = "TDISP_EN is 0",
        [CXL_RME_CDA_UNLOCKED] = "LINK_STR_LOCK is 0",
        [CXL_RME_CDA_ERROR] = "the device's interface is in ERROR",
        [CXL_RME_CDA_RID] = "its Requester ID is out of range",
    };

    return reasons[verdict];
}

uint16_t cxl_rme_cda_mecid(const PCIDevice *root_port)
{
    CXLRmeCda *s = find_on(root_port);

    return s ? s->mecid : 0;
}

void cxl_rme_cda_lost(const PCIDevice *root_port)
{
    CXLRmeCda *s = find_on(root_port);

    if (s && !qatomic_xchg(&s->error, true)) {
        trace_cxl_rme_cda_error(root_port->name);
    }
}

/* ---- The port ---- */

bool cxl_rme_cda_check_config(const PCIDevice *root_port, Error **errp)
{
    CXLRmeCda *s = find_state(root_port);

    if (s && s->given && !s->on) {
        error_setg(errp, "'realm-mecid' is of a port that lets Realm requests "
                   "pass: rme-cda=on is missing");
        return false;
    }
    return true;
}

void cxl_rme_cda_realize(PCIDevice *root_port)
{
    uint8_t *config = root_port->config + OFFSET;
    uint8_t *wmask = root_port->wmask + OFFSET;

    if (!find_on(root_port)) {
        return;
    }
    pcie_add_capability(root_port, PCI_EXT_CAP_ID_DVSEC, 1, OFFSET,
                        CXL_RME_CDA_LENGTH);
    pci_set_long(config + PCIE_DVSEC_HEADER1_OFFSET,
                 CXL_RME_CDA_LENGTH << 20 | CXL_RME_CDA_VENDOR_ID);
    pci_set_word(config + PCIE_DVSEC_ID_OFFSET, CXL_RME_CDA_DVSEC_ID);
    pci_set_long(wmask + CXL_RME_CDA_CTL1, CXL_RME_CDA_CTL1_TDISP_EN |
                                           CXL_RME_CDA_CTL1_LINK_STR_LOCK |
                                           CXL_RME_CDA_CTL1_FIRST_TEE_CKID);
    pci_set_long(wmask + CXL_RME_CDA_CTL3, CXL_RME_CDA_RID_MASK);
    pci_set_long(wmask + CXL_RME_CDA_CTL4, CXL_RME_CDA_RID_MASK |
                                           CXL_RME_CDA_CTL4_RID_VALID);
}

void cxl_rme_cda_reset(PCIDevice *root_port)
{
    CXLRmeCda *s = find_on(root_port);

    if (s) {
        memset(root_port->config + OFFSET + CXL_RME_CDA_CTL1, 0,
               CXL_RME_CDA_LENGTH - CXL_RME_CDA_CTL1);
        qatomic_set(&s->error, false);
    }
}

void cxl_rme_cda_written(PCIDevice *root_port)
{
    CXLRmeCda *s = find_on(root_port);

    if (s && !(reg(root_port, CXL_RME_CDA_CTL1) & CXL_RME_CDA_CTL1_TDISP_EN)) {
        qatomic_set(&s->error, false);
    }
}

/* ---- Its properties ---- */

static CXLRmeCda *writable_state(Object *obj, const char *name, Error **errp)
{
    CXLRmeCda *s = find_state(obj);

    if (DEVICE(obj)->realized) {
        error_setg(errp, "'%s' cannot be changed after the port has been "
                   "realized", name);
        return NULL;
    }
    if (!s) {
        s = CXL_RME_CDA(object_new(TYPE_CXL_RME_CDA));
        object_property_add_child(obj, CHILD, OBJECT(s));
        object_unref(OBJECT(s));
    }
    return s;
}

static bool get_on(Object *obj, Error **errp)
{
    CXLRmeCda *s = find_state(obj);

    return s && s->on;
}

static void set_on(Object *obj, bool value, Error **errp)
{
    CXLRmeCda *s = writable_state(obj, "rme-cda", errp);

    if (s) {
        s->on = value;
    }
}

static void get_mecid(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    CXLRmeCda *s = find_state(obj);
    uint16_t value = s ? s->mecid : 0;

    visit_type_uint16(v, name, &value, errp);
}

static void set_mecid(Object *obj, Visitor *v, const char *name, void *opaque,
                      Error **errp)
{
    CXLRmeCda *s = writable_state(obj, name, errp);
    uint16_t value;

    if (s && visit_type_uint16(v, name, &value, errp)) {
        s->mecid = value;
        s->given = true;
    }
}

void cxl_rme_cda_class_init(ObjectClass *oc)
{
    object_class_property_add_bool(oc, "rme-cda", get_on, set_on);
    object_class_property_set_description(oc, "rme-cda",
        "Registers by which Arm firmware lets Realm requests from below pass "
        "(default: off)");
    object_class_property_add(oc, "realm-mecid", "uint16", get_mecid,
                              set_mecid, NULL, NULL);
    object_class_property_set_description(oc, "realm-mecid",
        "Memory encryption context of Realm requests from below (default: 0)");
}

static bool get_error(Object *obj, Error **errp)
{
    return qatomic_read(&CXL_RME_CDA(obj)->error);
}

static void rme_cda_class_init(ObjectClass *oc, const void *data)
{
    object_class_property_add_bool(oc, "tdi-error", get_error, NULL);
}

static const TypeInfo rme_cda_info = {
    .name = TYPE_CXL_RME_CDA,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLRmeCda),
    .class_init = rme_cda_class_init,
};

static void rme_cda_register_types(void)
{
    type_register_static(&rme_cda_info);
}

type_init(rme_cda_register_types)
