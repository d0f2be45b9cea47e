/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver of the crypto device in user space: see vfio-crypto.c
 */
#ifndef VFIO_CRYPTO_H
#define VFIO_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096

void die(const char *what) __attribute__((noreturn));

/* ---- vfio-crypto-pci.c: a PCI function, and what it may reach ------------ */

/* Open a function, "0000:0d:00.0", that is bound to vfio-pci */
void pci_open(const char *name);
uint32_t pci_config_read(unsigned offset, unsigned size);
void pci_config_write(unsigned offset, unsigned size, uint32_t value);
uint32_t pci_bar_read(unsigned bar, uint64_t offset, unsigned size);
void pci_bar_write(unsigned bar, uint64_t offset, unsigned size,
                   uint32_t value);

/* From here on the function finds memory @p at address @iova */
void dma_map(uint64_t iova, void *p, size_t len, bool writable);
/* ... and does not any more: when this returns the IOMMU has forgotten it */
void dma_unmap(uint64_t iova, size_t len);

/* ---- vfio-crypto-virtio.c: virtio over PCI ------------------------------- */

#define QUEUE_SIZE 16

enum direction { TO_DEVICE, FROM_DEVICE };

/* A piece of a request, at an address that the device is given */
struct piece {
    uint64_t iova;
    uint32_t len;
    enum direction direction;
};

/* Find the device's registers, and reset it */
void virtio_open(void);
/* What is left of @features after negotiation; 0 if the device refuses */
uint64_t virtio_negotiate(uint64_t features);
/*
 * Start a queue; its rings are in page @mem, which the device knows as @iova.
 * @used_at: where in it the used ring begins; what does not fit into the page
 * is at the addresses behind.
 */
void virtio_start_queue(unsigned n, void *mem, uint64_t iova,
                        unsigned used_at);
/* ... all are started */
void virtio_driver_ok(void);
/* Has the device given up? */
bool virtio_needs_reset(void);
/* Hand it a request; returns false if it does not come back */
bool virtio_do(unsigned queue, const struct piece *pieces, unsigned n);

#endif
