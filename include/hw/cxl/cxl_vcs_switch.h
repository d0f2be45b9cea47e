/*
 * Virtual CXL Switch: vPPBs of a switch, bound and unbound by a fabric manager
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: CXL r3.1 section 7.6.7.2 for devices that are not logical
 * ones (SLDs). A cxl-upstream is one virtual switch, number 0. Its vPPB 0 is
 * the upstream port; vPPBs 1, 2, ... are the downstream ports in the order of
 * their port numbers. At first all are bound, each to the physical port of its
 * own number. No other port can be bound to it: a device cannot change its
 * place in the guest's topology.
 *
 * A vPPB that is unbound has nothing below it: to the guest, its link is down
 * and its slot is empty. The device goes on to exist, without a host, and is
 * reset when it is bound again.
 *
 * QEMU interface:
 *  + the mailbox of a switch has the handlers below in its table of commands;
 *  + cxl_vcs_reset_port() is called when a downstream port has been reset;
 *  + a device says by cxl_vcs_note_link() that its link has come or gone;
 *  + a device that has to do more than others when its link goes, or comes, has
 *    the interface TYPE_CXL_LINK_DEVICE.
 */

#ifndef HW_CXL_VCS_SWITCH_H
#define HW_CXL_VCS_SWITCH_H

#include "hw/cxl/cxl.h"
#include "hw/pci/pci_device.h"
#include "qom/object.h"

#define TYPE_CXL_LINK_DEVICE "cxl-link-device"
typedef struct CXLLinkDeviceClass CXLLinkDeviceClass;
DECLARE_CLASS_CHECKERS(CXLLinkDeviceClass, CXL_LINK_DEVICE,
                       TYPE_CXL_LINK_DEVICE)

/**
 * CXLLinkDeviceClass:
 * @set_link: the link goes down, by surprise, or comes up; with all that
 *            follows from it for the device, its lines and its slot
 */
struct CXLLinkDeviceClass {
    InterfaceClass parent_class;

    void (*set_link)(PCIDevice *pdev, bool up);
};

/* How many vPPBs of a cxl-upstream, @usp, are not bound */
unsigned cxl_vcs_unbound(PCIDevice *usp);

/* Whether a host has what is below @port; a port of no switch always has one */
bool cxl_vcs_is_bound(PCIDevice *port);

/* A cxl-downstream, @port, has been reset: what is not bound stays so. */
void cxl_vcs_reset_port(PCIDevice *port);

/**
 * cxl_vcs_note_link: the link below a port of a switch has come up, or is lost
 * @port: the port above a Type 1 device; nothing is done for one that is no
 *        downstream port of a switch
 *
 * It is told by a Physical Switch Event Record (CXL r3.1 section 7.6.8.1) in
 * the informational log of the switch. Binding and unbinding have events of
 * their own.
 */
void cxl_vcs_note_link(PCIDevice *port, bool up);

#define CXL_VCS_COMMAND(name)                                               \
    CXLRetCode name(const struct cxl_cmd *cmd, uint8_t *payload_in,         \
                    size_t len_in, uint8_t *payload_out, size_t *len_out,   \
                    CXLCCI *cci)

/*
 * Handlers, by their opcodes: 0100h and 0101h of the switch's event logs,
 * 5103h, and 5200h to 5203h. @cci's device is the cxl-upstream.
 */
CXL_VCS_COMMAND(cmd_vcs_get_event_records);
CXL_VCS_COMMAND(cmd_vcs_clear_event_records);
CXL_VCS_COMMAND(cmd_send_ppb_cxl_io_config);
CXL_VCS_COMMAND(cmd_get_virtual_cxl_switch_info);
CXL_VCS_COMMAND(cmd_bind_vppb);
CXL_VCS_COMMAND(cmd_unbind_vppb);
CXL_VCS_COMMAND(cmd_generate_aer_event);

#endif /* HW_CXL_VCS_SWITCH_H */
