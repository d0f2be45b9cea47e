/*
 * libqos support for cxl-type1-crypto behind an IOMMU
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine of cxl-type1.h whose devices have each a domain of VT-d, with
 * nothing in it but the rings and headers, at addresses that are not where
 * they are in memory. Source and destination are pages of "the area", mapped
 * as the test wants.
 */

#ifndef LIBQOS_CXL_IOMMU_H
#define LIBQOS_CXL_IOMMU_H

#include "cxl-type1.h"
#include "cxl-vtd.h"

#define QCI_AREA        (8 * 1024 * 1024)
/* What the area holds before anybody writes to it */
#define QCI_OLD         0x5a

#define QCI_LEGACY      "-device intel-iommu,intremap=on,device-iotlb=on "
#define QCI_NO_ATS      "-device intel-iommu,intremap=on "
#define QCI_SCALABLE    "-device intel-iommu,intremap=on,device-iotlb=on," \
                        "scalable-mode=on "
#define QCI_FIRST       "-device intel-iommu,intremap=on,device-iotlb=on," \
                        "scalable-mode=on,fsts=on "

/**
 * QCIMode:
 * @args: the IOMMU
 * @pass: addresses pass, in contexts that say so
 * @off: they pass, as translation is off
 * @ats: ATS is enabled in the devices
 */
typedef struct QCIMode {
    const char *name;
    const char *args;
    QVTDTransMode tables;
    bool pass;
    bool off;
    bool ats;
} QCIMode;

typedef struct QCIRig {
    QCTRig q;
    const QCIMode *mode;
    QCXLVtd *vtd;
    QCXLDomain dom[2];
    /* What memory holds, seen without anybody noticing */
    uint8_t *ram;
    uint64_t area;
    uint64_t area_used;
    uint64_t iova;
} QCIRig;

/**
 * qci_start: start a machine, its IOMMU and its devices
 * @opts: as for qct_rig_start()
 */
void qci_start(QCIRig *r, const QCIMode *mode, const char *opts);
void qci_end(QCIRig *r);

/* The first mode: legacy tables and ATS. */
extern const QCIMode qci_legacy;

/**
 * qci_attach: (re)start the driver of a device, and enable ATS if the mode does
 */
void qci_attach(QCIRig *r, unsigned n);

/* After a reset that the device's BARs did not survive */
void qci_attach_again(QCIRig *r, unsigned n);

void qci_set_ats(QCIRig *r, unsigned n, bool on);
uint16_t qci_sid(unsigned n);

/* Pages of the area, full of QCI_OLD; or of other things */
uint64_t qci_alloc(QCIRig *r, uint64_t len);
uint64_t qci_alloc_source(QCIRig *r, uint64_t len);

/**
 * qci_expose: map pages for a device
 *
 * Returns: where, an address that was never used before
 */
uint64_t qci_expose(QCIRig *r, unsigned n, uint64_t gpa, uint64_t len,
                    QCVAccess access);

/* Unmap pages, and invalidate what was known of them. */
void qci_take_back(QCIRig *r, unsigned n, uint64_t iova, uint64_t len);

/* Lines that a device has, in the window: of some memory, or all */
unsigned qci_owned(QCIRig *r, unsigned n, uint64_t gpa, uint64_t len);
unsigned qci_owned_all(QCIRig *r, unsigned n);

/* A member of a device's "translations" */
int64_t qci_atc(QCIRig *r, unsigned n, const char *what);

/* What becomes of pages of the area, as CXL.io sees it */
uint8_t *qci_ciphertext(QCIRig *r, uint64_t gpa, uint32_t len);

/* What RAM really holds, lines that devices have being elsewhere */
void qci_check_ram(QCIRig *r, uint64_t gpa, const void *want, size_t len);
void qci_check_ram_filled(QCIRig *r, uint64_t gpa, uint8_t value, size_t len);

/* A request of the first device, where its memory is for it, and really */
typedef struct QCIJob {
    uint64_t src, dst;
    uint64_t from, to;
    uint32_t len;
    uint8_t *want;
} QCIJob;

/* Pages of the area, mapped, and what will become of them */
void qci_job_init(QCIJob *j, QCIRig *r, unsigned pages);
void qci_job_clear(QCIJob *j);

/* Map them again, after something else was tried there. */
void qci_job_map(QCIJob *j, QCIRig *r);

/* Returns: the virtio status */
uint8_t qci_job_run(QCIJob *j, QCIRig *r);
void qci_job_post(QCIJob *j, QCIRig *r, QCTRequest *q);

/* Not a byte of the destination has changed, and no line of it is owned. */
void qci_job_check_untouched(QCIJob *j, QCIRig *r);
void qci_job_check_done(QCIJob *j, QCIRig *r);

#endif
