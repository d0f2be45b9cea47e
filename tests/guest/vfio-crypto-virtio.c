// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Virtio over PCI, as much as one request at a time takes: no interrupts, and
 * every address is what the caller says.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "vfio-crypto.h"

#define MAX_QUEUES 2
#define ANSWER_US 2000000
#define POLL_US 100

/* Where a structure of the device is */
struct place {
    unsigned bar;
    uint64_t offset;
};

/* The rings of a queue share a page, but for the end of the used ring */
struct rings {
    struct vring_desc desc[QUEUE_SIZE];
    struct {
        uint16_t flags, idx, ring[QUEUE_SIZE];
    } avail;
};

/* Which requests came back does not matter where there is one at a time */
struct used {
    uint16_t flags, idx;
};

static struct place common, notify;
static uint32_t notify_multiplier;
static volatile struct rings *rings[MAX_QUEUES];
static volatile struct used *used[MAX_QUEUES];
static uint64_t notify_offset[MAX_QUEUES];

#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

static uint32_t get(unsigned offset, unsigned size)
{
    return pci_bar_read(common.bar, common.offset + offset, size);
}

static void set(unsigned offset, unsigned size, uint32_t value)
{
    pci_bar_write(common.bar, common.offset + offset, size, value);
}

static void set64(unsigned offset, uint64_t value)
{
    set(offset, 4, value);
    set(offset + 4, 4, value >> 32);
}

static void find_places(void)
{
    for (unsigned at = pci_config_read(PCI_CAPABILITY_LIST, 1); at;
         at = pci_config_read(at + PCI_CAP_LIST_NEXT, 1)) {
        struct place place = {
            .bar = pci_config_read(at + VIRTIO_PCI_CAP_BAR, 1),
            .offset = pci_config_read(at + VIRTIO_PCI_CAP_OFFSET, 4),
        };

        if (pci_config_read(at, 1) != PCI_CAP_ID_VNDR) {
            continue;
        }
        switch (pci_config_read(at + VIRTIO_PCI_CAP_CFG_TYPE, 1)) {
        case VIRTIO_PCI_CAP_COMMON_CFG:
            common = place;
            break;
        case VIRTIO_PCI_CAP_NOTIFY_CFG:
            notify = place;
            notify_multiplier =
                pci_config_read(at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4);
            break;
        }
    }
}

static void reset(void)
{
    set(COMMON(device_status), 1, 0);
    while (get(COMMON(device_status), 1)) {
        usleep(POLL_US);
    }
}

void virtio_open(void)
{
    pci_config_write(PCI_COMMAND, 2, pci_config_read(PCI_COMMAND, 2) |
                     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    find_places();
    reset();
}

uint64_t virtio_negotiate(uint64_t features)
{
    uint64_t offered = 0;

    reset();
    set(COMMON(device_status), 1, VIRTIO_CONFIG_S_ACKNOWLEDGE |
        VIRTIO_CONFIG_S_DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        set(COMMON(device_feature_select), 4, i);
        offered |= (uint64_t)get(COMMON(device_feature), 4) << 32 * i;
    }
    features &= offered;
    for (unsigned i = 0; i < 2; i++) {
        set(COMMON(guest_feature_select), 4, i);
        set(COMMON(guest_feature), 4, features >> 32 * i);
    }
    set(COMMON(device_status), 1, VIRTIO_CONFIG_S_ACKNOWLEDGE |
        VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
    return get(COMMON(device_status), 1) & VIRTIO_CONFIG_S_FEATURES_OK ?
           features : 0;
}

void virtio_start_queue(unsigned n, void *mem, uint64_t iova,
                        unsigned used_at)
{
    memset(mem, 0, PAGE);
    rings[n] = mem;
    used[n] = (struct used *)((char *)mem + used_at);
    set(COMMON(queue_select), 2, n);
    set(COMMON(queue_size), 2, QUEUE_SIZE);
    set64(COMMON(queue_desc_lo), iova + offsetof(struct rings, desc));
    set64(COMMON(queue_avail_lo), iova + offsetof(struct rings, avail));
    set64(COMMON(queue_used_lo), iova + used_at);
    notify_offset[n] = notify.offset + (uint64_t)notify_multiplier *
                       get(COMMON(queue_notify_off), 2);
    set(COMMON(queue_enable), 2, 1);
}

void virtio_driver_ok(void)
{
    set(COMMON(device_status), 1, get(COMMON(device_status), 1) |
        VIRTIO_CONFIG_S_DRIVER_OK);
}

bool virtio_needs_reset(void)
{
    return get(COMMON(device_status), 1) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

bool virtio_do(unsigned queue, const struct piece *pieces, unsigned n)
{
    volatile struct rings *r = rings[queue];
    uint16_t idx = r->avail.idx;

    for (unsigned i = 0; i < n; i++) {
        r->desc[i].addr = pieces[i].iova;
        r->desc[i].len = pieces[i].len;
        r->desc[i].flags = i + 1 < n ? VRING_DESC_F_NEXT : 0;
        if (pieces[i].direction == FROM_DEVICE) {
            r->desc[i].flags |= VRING_DESC_F_WRITE;
        }
        r->desc[i].next = i + 1;
    }
    r->avail.ring[idx % QUEUE_SIZE] = 0;
    __sync_synchronize();
    r->avail.idx = idx + 1;
    __sync_synchronize();
    pci_bar_write(notify.bar, notify_offset[queue], 2, queue);
    for (int left = ANSWER_US; used[queue]->idx == idx; left -= POLL_US) {
        if (left <= 0) {
            return false;
        }
        usleep(POLL_US);
    }
    __sync_synchronize();
    return true;
}
