/*
 * libqos support for the VT-d of a CXL machine
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a driver of the IOMMU does, for several devices with domains of their
 * own: page tables that grow as pages are mapped, the invalidation queue with
 * device TLBs, the fault register, the interrupt remapping table. Upstream's
 * qos-intel-iommu.h, whose fixed tables know one device and one page, gives
 * the modes and what a PTE looks like in each.
 *
 * Nothing is invalidated but on request.
 */

#ifndef LIBQOS_CXL_VTD_H
#define LIBQOS_CXL_VTD_H

#include "libqos-malloc.h"
#include "pci.h"
#include "qos-intel-iommu.h"

#define QCV_PAGE        4096ull
#define QCV_LARGE       (2 * 1024 * 1024ull)

/* All addresses, in an invalidation */
#define QCV_ALL         0

/* A device's name in the IOMMU's tables: bus, device and function */
#define QCV_SID(bus)    ((bus) << 8)

typedef struct QCXLVtd {
    QTestState *qts;
    QGuestAllocator *alloc;
    QVTDTransMode mode;
    uint64_t root;
    uint64_t queue;
    uint64_t status;
    uint64_t irt;
    uint32_t tail;
    uint32_t stamp;
    uint32_t gcmd;
} QCXLVtd;

typedef struct QCXLDomain {
    uint16_t id;
    uint64_t top;
} QCXLDomain;

/* What a page may be used for */
typedef enum QCVAccess {
    QCV_READ = 1,
    QCV_WRITE = 2,
    QCV_RW = QCV_READ | QCV_WRITE,
} QCVAccess;

/* What the fault register holds */
typedef struct QCVFault {
    bool is_read;
    uint8_t reason;
    uint16_t sid;
    uint64_t addr;
} QCVFault;

/**
 * qcv_new: set the IOMMU up, translation being off
 * @alloc: guest memory for the tables
 * @mode: which tables; QVTD_TM_LEGACY_TRANS or QVTD_TM_SCALABLE_*
 */
QCXLVtd *qcv_new(QTestState *qts, QGuestAllocator *alloc, QVTDTransMode mode);
void qcv_free(QCXLVtd *v);

/**
 * qcv_start: give the IOMMU its tables, after qcv_new() or a system reset
 */
void qcv_start(QCXLVtd *v);

/* Turn the translation of DMA on or off. */
void qcv_enable(QCXLVtd *v, bool on);

QCXLDomain qcv_domain(QCXLVtd *v, uint16_t id);

/**
 * qcv_bind: put a device into a domain
 * @sid: the device
 * @dom: the domain, or NULL to let its addresses pass
 */
void qcv_bind(QCXLVtd *v, uint16_t sid, const QCXLDomain *dom);

/* Whole pages; qcv_map_large()'s is one of 2 MiB. */
void qcv_map(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova, uint64_t gpa,
             uint64_t len, QCVAccess access);
void qcv_map_large(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                   uint64_t gpa, QCVAccess access);
void qcv_unmap(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova, uint64_t len);
/* The PTE of a small page; of the first level: never accessed, not dirty */
uint64_t qcv_pte(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova);
void qcv_make_fresh(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova);

void qcv_unmap_large(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova);

/* What the level above permits for the 2 MiB, whatever their pages say */
void qcv_limit(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
               QCVAccess access);

/**
 * qcv_queue: write an invalidation descriptor, which the IOMMU is not told of
 *
 * There is room for 255 until qcv_sync().
 */
void qcv_queue(QCXLVtd *v, uint64_t lo, uint64_t hi);

/* Of the IOMMU's own TLB: what @dom has in 2^n pages, @len bytes of them */
void qcv_queue_iotlb(QCXLVtd *v, const QCXLDomain *dom, uint64_t iova,
                     uint64_t len);
/* Of a device's TLB; @len is like that, or QCV_ALL */
void qcv_queue_device(QCXLVtd *v, uint16_t sid, uint64_t iova, uint64_t len);

/**
 * qcv_sync: have all descriptors processed, and wait for the end of that
 */
void qcv_sync(QCXLVtd *v);

/* Returns: whether it has come to that end */
bool qcv_try_sync(QCXLVtd *v);

/* Has a device not completed an invalidation? Then acknowledge that. */
bool qcv_timed_out(QCXLVtd *v);
void qcv_go_on(QCXLVtd *v);

/* All of the above; page by page, if @len is not like that */
void qcv_invalidate(QCXLVtd *v, const QCXLDomain *dom, uint16_t sid,
                    uint64_t iova, uint64_t len);

/* Contexts, IOTLB and interrupt entries: all that the IOMMU itself holds */
void qcv_forget_all(QCXLVtd *v);

/**
 * qcv_fault: read the fault register and make room for the next
 *
 * Returns: whether there was one
 */
bool qcv_fault(QCXLVtd *v, QCVFault *fault);

/**
 * qcv_remap_interrupts: turn interrupt remapping on, with an empty table
 */
void qcv_remap_interrupts(QCXLVtd *v);

/**
 * qcv_set_irte: fill or clear an entry of the interrupt remapping table
 * @vector: 0 clears it
 * @sid: the device whose interrupts may use it
 */
void qcv_set_irte(QCXLVtd *v, unsigned index, uint8_t vector, uint16_t sid);

/* The address of an MSI that goes by such an entry; its data are 0 */
uint64_t qcv_msi_address(unsigned index);

#endif
