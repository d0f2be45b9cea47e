/*
 * Virtual CXL Switch: vPPBs of a switch, bound and unbound by a fabric manager
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/log.h"
#include "qemu/uuid.h"
#include "hw/cxl/cache_mem_region.h"
#include "hw/cxl/cxl_events.h"
#include "hw/cxl/cxl_port.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_vcs_switch.h"
#include "hw/pci/pci_bridge.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "hw/pci/pcie_aer.h"
#include "hw/pci/pcie_port.h"
#include "trace.h"

#define VCS_ID              0
#define VCS_ENABLED         0x01
#define VCS_INVALID         0xff
#define NO_LD               0xff
#define NO_LD_ID            0xffff

/* CXL r3.1 table 7-32: vPPB Binding Status */
enum {
    VPPB_UNBOUND    = 0x00,
    VPPB_BOUND_PORT = 0x02,
};

/* Table 7-34: Unbind Option */
enum {
    UNBIND_WAIT,        /* for the port's link to go down */
    UNBIND_MANAGED,
    UNBIND_SURPRISE,
    UNBIND_OPTIONS,
};

#define UNBIND_OPTION_MASK  0xf

/* Tables 7-77 and 7-78, Event Type */
#define EVENT_LINK_CHANGE    0x00
#define EVENT_BINDING_CHANGE 0x00

#define TYPE_CXL_VCS "cxl-vcs"
OBJECT_DECLARE_SIMPLE_TYPE(CXLVcs, CXL_VCS)

#define VCS_CHILD "cxl-vcs"

/**
 * CXLVcs: the virtual switch of a cxl-upstream
 * @unbound: physical ports that are not bound, by their numbers
 * @binding: a vPPB is just being bound, or unbound
 * @dstate: of it, the event logs
 */
struct CXLVcs {
    Object parent_obj;

    DECLARE_BITMAP(unbound, CXL_MAX_PHY_PORTS);
    bool binding;
    CXLDeviceState dstate;
};

/* NULL where nobody has asked for it yet: everything is bound then */
static CXLVcs *find_vcs(PCIDevice *usp)
{
    Object *child = object_resolve_path_component(OBJECT(usp), VCS_CHILD);

    return child ? CXL_VCS(child) : NULL;
}

static CXLVcs *get_vcs(PCIDevice *usp)
{
    CXLVcs *vcs = find_vcs(usp);

    if (!vcs) {
        vcs = CXL_VCS(object_new(TYPE_CXL_VCS));
        object_property_add_child(OBJECT(usp), VCS_CHILD, OBJECT(vcs));
        object_unref(OBJECT(vcs));
    }
    return vcs;
}

static PCIBus *bus_below(PCIDevice *port)
{
    return pci_bridge_get_sec_bus(PCI_BRIDGE(port));
}

static unsigned port_number(PCIDevice *port)
{
    return PCIE_PORT(port)->port;
}

static PCIDevice *find_dsp(PCIDevice *usp, uint8_t number)
{
    PCIDevice *port = pcie_find_port_by_pn(bus_below(usp), number);

    return port && object_dynamic_cast(OBJECT(port), TYPE_CXL_DSP) ? port
                                                                   : NULL;
}

static unsigned count_vppbs(PCIDevice *usp)
{
    unsigned n = 1;

    for (unsigned i = 0; i < CXL_MAX_PHY_PORTS; i++) {
        n += find_dsp(usp, i) != NULL;
    }
    return n;
}

/* The port that is a vPPB; NULL for none */
static PCIDevice *find_vppb(PCIDevice *usp, unsigned vppb)
{
    if (!vppb) {
        return usp;
    }
    for (unsigned i = 0; i < CXL_MAX_PHY_PORTS; i++) {
        PCIDevice *port = find_dsp(usp, i);

        if (port && !--vppb) {
            return port;
        }
    }
    return NULL;
}

static bool is_bound(PCIDevice *usp, PCIDevice *port)
{
    CXLVcs *vcs = find_vcs(usp);

    return port == usp || !vcs || !test_bit(port_number(port), vcs->unbound);
}

/* The switch that a downstream port is of, or NULL for another port */
static PCIDevice *switch_of(PCIDevice *port)
{
    PCIDevice *usp = pci_get_bus(port)->parent_dev;

    return usp && object_dynamic_cast(OBJECT(usp), TYPE_CXL_USP) ? usp : NULL;
}

bool cxl_vcs_is_bound(PCIDevice *port)
{
    PCIDevice *usp = switch_of(port);

    return !usp || is_bound(usp, port);
}

unsigned cxl_vcs_unbound(PCIDevice *usp)
{
    CXLVcs *vcs = find_vcs(usp);

    return vcs ? bitmap_count_one(vcs->unbound, CXL_MAX_PHY_PORTS) : 0;
}

/* ---- Events ---- */

/* 40d26425-3396-4c4d-a5da-3d47263af425 */
static const QemuUUID vcs_event_uuid = {
    .data = UUID(0x40d26425, 0x3396, 0x4c4d, 0xa5, 0xda, 0x3d, 0x47, 0x26,
                 0x3a, 0xf4, 0x25),
};

/* CXL r3.1 table 7-78: Virtual CXL Switch Event Record */
typedef struct CXLVcsEvent {
    CXLEventRecordHdr hdr;
    uint8_t vcs_id;
    uint8_t vppb_id;
    uint8_t type;
    uint8_t binding_status;
    uint8_t port_id;
    uint8_t ld_id;
    uint16_t link_control;
    uint16_t slot_control;
    uint8_t reserved[0x46];
} QEMU_PACKED CXLVcsEvent;

QEMU_BUILD_BUG_ON(sizeof(CXLVcsEvent) != CXL_EVENT_RECORD_SIZE);

/* A vPPB was bound or unbound, or was not (section 7.6.8.2) */
static void note_binding(PCIDevice *usp, unsigned vppb, PCIDevice *port,
                         bool done)
{
    CXLVcs *vcs = get_vcs(usp);
    bool bound = is_bound(usp, port);
    const uint8_t *exp = port->config + port->exp.exp_cap;
    CXLVcsEvent event = {
        .hdr.id = vcs_event_uuid,
        .hdr.length = sizeof(event),
        .vcs_id = VCS_ID,
        .vppb_id = vppb,
        .type = EVENT_BINDING_CHANGE,
        .binding_status = bound ? VPPB_BOUND_PORT : VPPB_UNBOUND,
        .port_id = bound ? port_number(port) : 0,
        .ld_id = NO_LD,
        .link_control = cpu_to_le16(pci_get_word(exp + PCI_EXP_LNKCTL)),
        .slot_control = cpu_to_le16(pci_get_word(exp + PCI_EXP_SLTCTL)),
    };

    trace_cxl_vcs_binding(port->name, vppb, bound, done);
    cxl_event_insert(&vcs->dstate,
                     done ? CXL_EVENT_TYPE_INFO : CXL_EVENT_TYPE_WARN,
                     (CXLEventRecordRaw *)&event);
}

/* 77cf9271-9c02-470b-9fe4-bc7b75f2da97 */
static const QemuUUID port_event_uuid = {
    .data = UUID(0x77cf9271, 0x9c02, 0x470b, 0x9f, 0xe4, 0xbc, 0x7b, 0x75,
                 0xf2, 0xda, 0x97),
};

/*
 * CXL r3.1 table 7-77: Physical Switch Event Record. From @config_state on it
 * is what Get Physical Port State has of a port (table 7-19).
 */
typedef struct CXLPortEvent {
    CXLEventRecordHdr hdr;
    uint8_t port_id;
    uint8_t type;
    uint16_t slot_status;
    uint8_t rsvd1;
    uint8_t config_state;
    uint8_t device_mode;
    uint8_t rsvd2;
    uint8_t device_type;
    uint8_t supported_modes;
    uint8_t max_width;
    uint8_t width;
    uint8_t supported_speeds;
    uint8_t max_speed;
    uint8_t speed;
    uint8_t ltssm_state;
    uint8_t first_lane;
    uint16_t link_state;
    uint8_t reserved[0x3d];
} QEMU_PACKED CXLPortEvent;

QEMU_BUILD_BUG_ON(sizeof(CXLPortEvent) != CXL_EVENT_RECORD_SIZE);

void cxl_vcs_note_link(PCIDevice *port, bool up)
{
    PCIDevice *usp = switch_of(port);
    const uint8_t *exp = port->config + port->exp.exp_cap;
    uint32_t cap = pci_get_long(exp + PCI_EXP_LNKCAP);
    /* A read of Link Status takes what follows from the device below. */
    uint16_t status = port->config_read(port, port->exp.exp_cap +
                                        PCI_EXP_LNKSTA, sizeof(status));
    bool flits = pci_get_word(exp + PCI_EXP_LNKSTA2) & PCI_EXP_LNKSTA2_FLIT;
    CXLPortEvent event = {
        .hdr.id = port_event_uuid,
        .hdr.length = sizeof(event),
        .port_id = port_number(port),
        .type = EVENT_LINK_CHANGE,
        .slot_status = cpu_to_le16(pci_get_word(exp + PCI_EXP_SLTSTA)),
        .config_state = CXL_PORT_CONFIG_STATE_DSP,
        .supported_modes = CXL_PORT_SUPPORTS_68B_VH | CXL_PORT_SUPPORTS_256B,
        .max_width = (cap & PCI_EXP_LNKCAP_MLW) >> 4,
        .supported_speeds = (pci_get_long(exp + PCI_EXP_LNKCAP2) & 0xfe) >> 1,
        .max_speed = cap & PCI_EXP_LNKCAP_SLS,
        .ltssm_state = CXL_PORT_LTSSM_DETECT,
    };

    if (!usp || get_vcs(usp)->binding) {
        return;
    }
    if (up) {
        event.device_mode = flits ? CXL_PORT_CONNECTED_DEV_MODE_256B
                                  : CXL_PORT_CONNECTED_DEV_MODE_68B_VH;
        event.device_type = CXL_PORT_CONNECTED_DEV_TYPE_1;
        event.width = (status & PCI_EXP_LNKSTA_NLW) >> 4;
        event.speed = status & PCI_EXP_LNKSTA_CLS;
        event.ltssm_state = CXL_PORT_LTSSM_L0;
        event.link_state = cpu_to_le16(CXL_PORT_LINK_STATE_FLAG_PRSNT);
    }
    trace_cxl_vcs_link(port->name, up);
    cxl_event_insert(&get_vcs(usp)->dstate, CXL_EVENT_TYPE_INFO,
                     (CXLEventRecordRaw *)&event);
}

/* CXL r3.1 section 8.2.9.2.2: Get Event Records (Opcode 0100h) */
CXL_VCS_COMMAND(cmd_vcs_get_event_records)
{
    CXLVcs *vcs = get_vcs(PCI_DEVICE(cci->d));
    int max = (cci->payload_max - CXL_EVENT_PAYLOAD_HDR_SIZE) /
              CXL_EVENT_RECORD_SIZE;

    memset(payload_out, 0, CXL_EVENT_PAYLOAD_HDR_SIZE);
    return cxl_event_get_records(&vcs->dstate,
                                 (CXLGetEventPayload *)payload_out,
                                 payload_in[0], max, len_out);
}

/* CXL r3.1 section 8.2.9.2.3: Clear Event Records (Opcode 0101h) */
CXL_VCS_COMMAND(cmd_vcs_clear_event_records)
{
    CXLVcs *vcs = get_vcs(PCI_DEVICE(cci->d));
    CXLClearEventPayload *in = (CXLClearEventPayload *)payload_in;

    if (len_in < sizeof(*in) ||
        len_in < sizeof(*in) + sizeof(*in->handle) * in->nr_recs) {
        return CXL_MBOX_INVALID_PAYLOAD_LENGTH;
    }
    return cxl_event_clear_records(&vcs->dstate, in);
}

/* ---- A physical port's own configuration space ---- */

static PCIDevice *find_port(PCIDevice *usp, uint8_t number)
{
    return port_number(usp) == number ? usp : find_dsp(usp, number);
}

/*
 * CXL r3.1 section 7.6.7.1.4: Send PPB CXL.io Configuration Request (Opcode
 * 5103h)
 */
CXL_VCS_COMMAND(cmd_send_ppb_cxl_io_config)
{
    struct cxl_fmapi_ppb_config_req_pl {
        uint8_t ppb_id;
        uint8_t reg;
        uint8_t ext_be;     /* [3:0] of the address, [7:4] byte enables */
        uint8_t type;       /* [7] write */
        uint32_t data;
    } QEMU_PACKED *in = (void *)payload_in;
    PCIDevice *port = find_port(PCI_DEVICE(cci->d), in->ppb_id);
    uint32_t addr = (in->ext_be & 0xf) << 8 | in->reg;
    uint8_t enables = in->ext_be >> 4;
    uint32_t data = 0;

    QEMU_BUILD_BUG_ON(sizeof(*in) != 8);
    if (!port || addr % 4) {
        return CXL_MBOX_INVALID_INPUT;
    }
    for (int i = 0; i < 4; i++) {
        uint32_t byte;

        if (!(enables & (1 << i))) {
            continue;
        }
        if (in->type & 0x80) {
            byte = le32_to_cpu(in->data) >> 8 * i & 0xff;
            port->config_write(port, addr + i, byte, 1);
        } else {
            byte = port->config_read(port, addr + i, 1);
            data |= byte << 8 * i;
        }
    }
    stl_le_p(payload_out, data);
    *len_out = sizeof(data);
    return CXL_MBOX_SUCCESS;
}

/* ---- Virtual switches ---- */

struct vcs_info_block {
    uint8_t vcs_id;
    uint8_t state;
    uint8_t usp_id;
    uint8_t num_vppbs;
    struct vppb_block {
        uint8_t status;
        uint8_t port_id;
        uint8_t ld_id;
        uint8_t rsvd;
    } QEMU_PACKED vppb[];
} QEMU_PACKED;

/* Returns the block's length */
static size_t fill_vcs(PCIDevice *usp, uint8_t id, unsigned start, unsigned n,
                       struct vcs_info_block *block)
{
    if (id != VCS_ID) {
        *block = (struct vcs_info_block) {
            .vcs_id = id, .state = VCS_INVALID,
        };
        return sizeof(*block);
    }
    *block = (struct vcs_info_block) {
        .vcs_id = id,
        .state = VCS_ENABLED,
        .usp_id = port_number(usp),
        .num_vppbs = count_vppbs(usp),
    };
    for (unsigned i = 0; i < n; i++) {
        PCIDevice *port = find_vppb(usp, start + i);
        bool bound = is_bound(usp, port);

        block->vppb[i] = (struct vppb_block) {
            .status = bound ? VPPB_BOUND_PORT : VPPB_UNBOUND,
            .port_id = bound ? port_number(port) : 0,
            .ld_id = NO_LD,
        };
    }
    return sizeof(*block) + n * sizeof(block->vppb[0]);
}

/* CXL r3.1 section 7.6.7.2.1: Get Virtual CXL Switch Info (Opcode 5200h) */
CXL_VCS_COMMAND(cmd_get_virtual_cxl_switch_info)
{
    struct cxl_fmapi_get_vcs_info_req_pl {
        uint8_t start_vppb;
        uint8_t vppb_list_limit;
        uint8_t num_vcss;
        uint8_t vcs_ids[];
    } QEMU_PACKED *in = (void *)payload_in;
    struct cxl_fmapi_get_vcs_info_resp_pl {
        uint8_t num_vcss;
        uint8_t rsvd[3];
        uint8_t blocks[];
    } QEMU_PACKED *out = (void *)payload_out;
    PCIDevice *usp = PCI_DEVICE(cci->d);
    unsigned total = count_vppbs(usp), n;
    size_t at = sizeof(*out);

    if (len_in < sizeof(*in) || len_in < sizeof(*in) + in->num_vcss) {
        return CXL_MBOX_INVALID_PAYLOAD_LENGTH;
    }
    n = in->start_vppb < total ? MIN(total - in->start_vppb,
                                     in->vppb_list_limit) : 0;
    memset(out, 0, sizeof(*out));
    out->num_vcss = in->num_vcss;
    for (unsigned i = 0; i < in->num_vcss; i++) {
        size_t most = sizeof(struct vcs_info_block) +
                      n * sizeof(struct vppb_block);

        if (at + most > cci->payload_max) {
            return CXL_MBOX_INVALID_INPUT;
        }
        at += fill_vcs(usp, in->vcs_ids[i], in->start_vppb, n,
                       (struct vcs_info_block *)(payload_out + at));
    }
    *len_out = at;
    return CXL_MBOX_SUCCESS;
}

/* ---- Binding ---- */

static PCIDevice *device_below(PCIDevice *port)
{
    return bus_below(port)->devices[0];
}

/* A device that has nothing else to do */
static void set_link(PCIDevice *pdev, bool up)
{
    CacheMemDev *cm = cache_mem_dev_of(DEVICE(pdev));

    /* The reset of a device would have it write back what it has. */
    if (cm && up) {
        cxl_type1_port_link_up(pdev);
    } else if (cm) {
        cxl_type1_port_link_down(pdev);
        cache_mem_dev_isolate(cm);
    }
    /* What is enabled once more has been reset. */
    pci_set_enabled(pdev, false);
    pcie_cap_slot_set_present(pci_get_bus(pdev)->parent_dev, up);
}

static void set_device_link(PCIDevice *pdev, bool up)
{
    CXLLinkDeviceClass *c =
        (CXLLinkDeviceClass *)object_class_dynamic_cast(
            object_get_class(OBJECT(pdev)), TYPE_CXL_LINK_DEVICE);
    PCIDevice *port = pci_get_bus(pdev)->parent_dev;
    CXLVcs *vcs = get_vcs(switch_of(port));

    /* It is the host that loses the device, not the physical port. */
    vcs->binding = true;
    if (c) {
        c->set_link(pdev, up);
    } else {
        set_link(pdev, up);
    }
    vcs->binding = false;
}

static bool is_link_up(PCIDevice *port)
{
    return device_below(port) &&
           pci_get_word(port->config + port->exp.exp_cap + PCI_EXP_SLTSTA) &
           PCI_EXP_SLTSTA_PDS;
}

void cxl_vcs_reset_port(PCIDevice *port)
{
    PCIDevice *pdev = device_below(port);

    if (!cxl_vcs_is_bound(port)) {
        if (pdev) {
            pci_set_enabled(pdev, false);
        }
        pcie_cap_slot_set_present(port, false);
    }
}

/* The downstream port that a command is about, or NULL */
static PCIDevice *find_target(PCIDevice *usp, uint8_t vcs_id, uint8_t vppb)
{
    return vcs_id == VCS_ID && vppb ? find_vppb(usp, vppb) : NULL;
}

/* CXL r3.1 section 7.6.7.2.2: Bind vPPB (Opcode 5201h) */
CXL_VCS_COMMAND(cmd_bind_vppb)
{
    struct cxl_fmapi_bind_vppb_req_pl {
        uint8_t vcs_id;
        uint8_t vppb_id;
        uint8_t port_id;
        uint8_t rsvd;
        uint16_t ld_id;
    } QEMU_PACKED *in = (void *)payload_in;
    PCIDevice *usp = PCI_DEVICE(cci->d), *pdev;
    PCIDevice *port = find_target(usp, in->vcs_id, in->vppb_id);

    QEMU_BUILD_BUG_ON(sizeof(*in) != 6);
    if (!port || !find_dsp(usp, in->port_id)) {
        return CXL_MBOX_INVALID_INPUT;
    }
    if (le16_to_cpu(in->ld_id) != NO_LD_ID || is_bound(usp, port)) {
        note_binding(usp, in->vppb_id, port, false);
        return CXL_MBOX_INVALID_INPUT;
    }
    if (port_number(port) != in->port_id) {
        qemu_log_mask(LOG_UNIMP, "cxl-vcs: vPPB %u can be bound to port %u "
                      "only\n", in->vppb_id, port_number(port));
        note_binding(usp, in->vppb_id, port, false);
        return CXL_MBOX_INVALID_INPUT;
    }
    clear_bit(in->port_id, get_vcs(usp)->unbound);
    pdev = device_below(port);
    if (pdev) {
        set_device_link(pdev, true);
    }
    note_binding(usp, in->vppb_id, port, true);
    return CXL_MBOX_SUCCESS;
}

/* Whether a port can be unbound so now */
static CXLRetCode check_unbind(PCIDevice *usp, PCIDevice *port,
                               unsigned option)
{
    PCIDevice *pdev = device_below(port);

    if (option >= UNBIND_OPTIONS || !is_bound(usp, port)) {
        return CXL_MBOX_INVALID_INPUT;
    }
    if (option == UNBIND_WAIT && is_link_up(port)) {
        return CXL_MBOX_RETRY_REQUIRED;
    }
    if (pdev && (object_dynamic_cast(OBJECT(pdev), TYPE_CXL_TYPE3) ||
                 object_dynamic_cast(OBJECT(pdev), TYPE_PCI_BRIDGE))) {
        qemu_log_mask(LOG_UNIMP, "cxl-vcs: a port with a %s below it cannot be "
                      "unbound\n", object_get_typename(OBJECT(pdev)));
        return CXL_MBOX_INTERNAL_ERROR;
    }
    return CXL_MBOX_SUCCESS;
}

/* CXL r3.1 section 7.6.7.2.3: Unbind vPPB (Opcode 5202h) */
CXL_VCS_COMMAND(cmd_unbind_vppb)
{
    struct cxl_fmapi_unbind_vppb_req_pl {
        uint8_t vcs_id;
        uint8_t vppb_id;
        uint8_t option;
    } QEMU_PACKED *in = (void *)payload_in;
    PCIDevice *usp = PCI_DEVICE(cci->d), *pdev;
    PCIDevice *port = find_target(usp, in->vcs_id, in->vppb_id);
    unsigned option = in->option & UNBIND_OPTION_MASK;
    CacheMemDev *cm;
    CXLRetCode ret;

    QEMU_BUILD_BUG_ON(sizeof(*in) != 3);
    if (!port) {
        return CXL_MBOX_INVALID_INPUT;
    }
    ret = check_unbind(usp, port, option);
    if (ret) {
        note_binding(usp, in->vppb_id, port, false);
        return ret;
    }
    pdev = device_below(port);
    cm = pdev ? cache_mem_dev_of(DEVICE(pdev)) : NULL;
    if (cm && option == UNBIND_MANAGED) {
        cache_mem_dev_flush(cm);
    }
    if (pdev) {
        set_device_link(pdev, false);
    }
    set_bit(port_number(port), get_vcs(usp)->unbound);
    note_binding(usp, in->vppb_id, port, true);
    return CXL_MBOX_SUCCESS;
}

/* CXL r3.1 section 7.6.7.2.4: Generate AER Event (Opcode 5203h) */
CXL_VCS_COMMAND(cmd_generate_aer_event)
{
    struct cxl_fmapi_generate_aer_req_pl {
        uint8_t vcs_id;
        uint8_t vppb_id;
        uint8_t rsvd[2];
        uint32_t error;     /* [4:0] status bit, [31] uncorrectable */
        uint8_t header[0x20];
    } QEMU_PACKED *in = (void *)payload_in;
    PCIDevice *usp = PCI_DEVICE(cci->d);
    PCIDevice *port = in->vcs_id == VCS_ID ? find_vppb(usp, in->vppb_id) : NULL;
    uint32_t error = le32_to_cpu(in->error);
    bool correctable = !(error & BIT(31));
    PCIEAERErr err = {
        .status = BIT(error & 0x1f),
        .flags = correctable ? PCIE_AER_ERR_IS_CORRECTABLE
                             : PCIE_AER_ERR_HEADER_VALID,
    };

    QEMU_BUILD_BUG_ON(sizeof(*in) != 0x28);
    if (!port || error & ~(BIT(31) | 0x1f)) {
        return CXL_MBOX_INVALID_INPUT;
    }
    err.source_id = pci_requester_id(port);
    for (int i = 0; i < ARRAY_SIZE(err.header); i++) {
        err.header[i] = ldl_be_p(in->header + 4 * i);
    }
    return pcie_aer_inject_error(port, &err) == -EINVAL ?
           CXL_MBOX_INVALID_INPUT : CXL_MBOX_SUCCESS;
}

/* ---- */

static void cxl_vcs_init(Object *obj)
{
    cxl_event_init(&CXL_VCS(obj)->dstate, 0);
}

static void cxl_vcs_finalize(Object *obj)
{
    CXLDeviceState *dstate = &CXL_VCS(obj)->dstate;

    cxl_discard_all_event_records(dstate);
}

static const TypeInfo types[] = {
    {
        .name = TYPE_CXL_VCS,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(CXLVcs),
        .instance_init = cxl_vcs_init,
        .instance_finalize = cxl_vcs_finalize,
    }, {
        .name = TYPE_CXL_LINK_DEVICE,
        .parent = TYPE_INTERFACE,
        .class_size = sizeof(CXLLinkDeviceClass),
    },
};

DEFINE_TYPES(types)
