/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device whose DMA another thread does, some time later: a virtio disk on
 * virtio-mmio (virtio 1.x, 4.2 and 5.2). One request at a time, polled. The
 * rings are in Non-secure memory, as a Linux guest's are.
 */
#ifndef MEC_VIRTIO_H
#define MEC_VIRTIO_H

#include "mec-rt.h"

#define VIRTIO_MMIO(n)          (0x0a000000UL + (n) * 0x200)
#define VIRTIO_MAGIC            0x000
#define VIRTIO_VERSION          0x004
#define VIRTIO_DEVICE_ID        0x008
#define VIRTIO_DRIVER_FEATURES  0x020
#define VIRTIO_DRIVER_SEL       0x024
#define VIRTIO_QUEUE_SEL        0x030
#define VIRTIO_QUEUE_NUM        0x038
#define VIRTIO_QUEUE_READY      0x044
#define VIRTIO_QUEUE_NOTIFY     0x050
#define VIRTIO_STATUS           0x070
#define VIRTIO_QUEUE_DESC       0x080
#define VIRTIO_QUEUE_DRIVER     0x090
#define VIRTIO_QUEUE_DEVICE     0x0a0
#define VIRTIO_ID_BLOCK         2

#define DESC_NEXT   1
#define DESC_WRITE  2
#define RING_SIZE   4

struct virtio_disk {
    uint64_t base;      /* of its registers; 0: there is none */
    uint64_t ring;      /* a page: descriptors, rings, request */
    uint16_t index;
};

/* Layout of the ring's page */
struct virtio_ring {
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } desc[RING_SIZE];
    struct {
        uint16_t flags, idx, ring[RING_SIZE];
    } avail;
    struct {
        uint16_t flags, idx;
        struct {
            uint32_t id, len;
        } ring[RING_SIZE];
    } used __attribute__((aligned(8)));
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } head;
    uint8_t status;
};

static inline uint32_t virtio_get(struct virtio_disk *d, unsigned reg)
{
    return LD((uint32_t *)(d->base + reg));
}

static inline void virtio_set(struct virtio_disk *d, unsigned reg,
                              uint32_t val)
{
    ST((uint32_t *)(d->base + reg), val);
}

static inline void virtio_set64(struct virtio_disk *d, unsigned reg,
                                uint64_t val)
{
    virtio_set(d, reg, val);
    virtio_set(d, reg + 4, val >> 32);
}

static inline bool virtio_disk_init(struct virtio_disk *d)
{
    uint64_t ring;
    unsigned i;

    for (i = 0; i < 32; i++) {
        d->base = VIRTIO_MMIO(i);
        if (virtio_get(d, VIRTIO_MAGIC) == 0x74726976 &&
            virtio_get(d, VIRTIO_VERSION) == 2 &&
            virtio_get(d, VIRTIO_DEVICE_ID) == VIRTIO_ID_BLOCK) {
            break;
        }
    }
    if (i == 32) {
        d->base = 0;
        return false;
    }
    ring = d->ring = mec_page();
    virtio_set(d, VIRTIO_STATUS, 0);
    virtio_set(d, VIRTIO_STATUS, 1 | 2);        /* ACKNOWLEDGE, DRIVER */
    virtio_set(d, VIRTIO_DRIVER_SEL, 1);
    virtio_set(d, VIRTIO_DRIVER_FEATURES, 1);   /* VERSION_1 */
    virtio_set(d, VIRTIO_STATUS, 1 | 2 | 8);    /* FEATURES_OK */
    virtio_set(d, VIRTIO_QUEUE_SEL, 0);
    virtio_set(d, VIRTIO_QUEUE_NUM, RING_SIZE);
    virtio_set64(d, VIRTIO_QUEUE_DESC, ring);
    virtio_set64(d, VIRTIO_QUEUE_DRIVER,
                 ring + offsetof(struct virtio_ring, avail));
    virtio_set64(d, VIRTIO_QUEUE_DEVICE,
                 ring + offsetof(struct virtio_ring, used));
    virtio_set(d, VIRTIO_QUEUE_READY, 1);
    virtio_set(d, VIRTIO_STATUS, 1 | 2 | 8 | 4);
    return virtio_get(d, VIRTIO_STATUS) == 15;
}

/* 4 KiB between the page and eight sectors; false on error or no answer. */
static inline bool virtio_disk_rw(struct virtio_disk *d, bool write,
                                  uint64_t sector, uint64_t pa)
{
    struct virtio_ring *r = mec_va(WIN_NS, d->ring);
    uint64_t deadline = mec_ticks() + 10 * mec_ticks_per_second();
    uint64_t in_ring = d->ring;

    r->head.type = write;
    r->head.reserved = 0;
    r->head.sector = sector;
    r->status = 0xff;
    r->desc[0].addr = in_ring + offsetof(struct virtio_ring, head);
    r->desc[0].len = sizeof(r->head);
    r->desc[0].flags = DESC_NEXT;
    r->desc[0].next = 1;
    r->desc[1].addr = pa;
    r->desc[1].len = 4096;
    r->desc[1].flags = DESC_NEXT | (write ? 0 : DESC_WRITE);
    r->desc[1].next = 2;
    r->desc[2].addr = in_ring + offsetof(struct virtio_ring, status);
    r->desc[2].len = 1;
    r->desc[2].flags = DESC_WRITE;
    r->avail.ring[d->index % RING_SIZE] = 0;
    d->index++;
    dsb();
    ST(&r->avail.idx, d->index);
    dsb();
    virtio_set(d, VIRTIO_QUEUE_NOTIFY, 0);
    while (LD(&r->used.idx) != d->index) {
        if (mec_ticks() > deadline) {
            return false;
        }
        asm volatile("yield" : : : "memory");
    }
    dsb();
    return LD(&r->status) == 0;
}

#endif
