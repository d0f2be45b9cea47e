/*
 * CXL Type 1 crypto accelerator: its link is lost, and comes back
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Any of this may be done inside a request, which ends with nobody to tell:
 * virtio-crypto keeps a device that has been unplugged until then.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-events-cxl.h"
#include "hw/core/hotplug.h"
#include "hw/cxl/cxl_type1_crypto.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_vcs_switch.h"
#include "hw/pci/pcie.h"

static void tell(CXLType1Crypto *s)
{
    g_autofree char *path = object_get_canonical_path(OBJECT(s));

    qapi_event_send_cxl_type1_link_change(path, DEVICE(s)->id, !s->link_lost);
}

/* The reset that this is for the device finds the link down. */
void cxl_type1_link_lose(CXLType1Crypto *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    if (s->link_lost) {
        return;
    }
    s->link_lost = true;
    tell(s);
    cxl_type1_port_link_down(pdev);
    pci_set_enabled(pdev, false);
    cache_mem_dev_isolate(s->cache);
    pcie_cap_slot_set_present(cxl_type1_port_above(pdev), false);
    cxl_vcs_note_link(cxl_type1_port_above(pdev), false);
}

void cxl_type1_link_regain(CXLType1Crypto *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    /* A fault that is over does not give the host what it has not got. */
    if (!s->link_lost || !cxl_vcs_is_bound(cxl_type1_port_above(pdev))) {
        return;
    }
    s->link_lost = false;
    cxl_type1_port_link_up(pdev);
    /* The slot may have got its power back while the link was down */
    pci_set_enabled(pdev, false);
    /* If the slot has power, that is a reset of the device */
    pcie_cap_slot_set_present(cxl_type1_port_above(pdev), true);
    cxl_vcs_note_link(cxl_type1_port_above(pdev), true);
    tell(s);
}

void cxl_type1_link_remove(CXLType1Crypto *s)
{
    DeviceState *dev = DEVICE(s);

    cxl_type1_link_lose(s);
    hotplug_handler_unplug(qdev_get_hotplug_handler(dev), dev, &error_abort);
    object_unparent(OBJECT(s));
}
