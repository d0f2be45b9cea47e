/*
 * libqos support for the SMMUv3 of a CXL machine
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a driver of the SMMU does, for streams with domains of their own: a
 * linear stream table, page tables of 4 KiB granules that grow as pages are
 * mapped, the command queue with its errors, the event queue. Upstream's
 * qos-smmuv3.h has fixed tables for one page.
 *
 * A domain of both stages has its tables at the same address in IPA and PA, and
 * its pages QCS_IPA higher. Nothing is invalidated but on request.
 */

#ifndef LIBQOS_CXL_SMMU_H
#define LIBQOS_CXL_SMMU_H

#include "libqos-malloc.h"
#include "pci.h"
#include "qos-smmuv3.h"

#define QCS_PAGE        4096ull
#define QCS_ALL         52      /* log2 of pages: everything, for a device */

#define QCS_IDR0_ATS    (1u << 10)
#define QCS_IPA         0x2000000000ull

/* Errors of commands, and events */
#define QCS_ATC_INV_SYNC        3
#define QCS_EVT_BAD_STE         0x04
#define QCS_EVT_BAD_ATS_TREQ    0x05
#define QCS_EVT_TRANSLATION     0x10
#define QCS_EVT_PERMISSION      0x13

typedef enum QCSStages { QCS_S1 = 1, QCS_S2 = 2, QCS_NESTED = 3 } QCSStages;

typedef enum QCSAccess {
    QCS_READ = 1,
    QCS_WRITE = 2,              /* alone: of stage 2 only */
    QCS_RW = QCS_READ | QCS_WRITE,
} QCSAccess;

typedef struct QCXLSmmu {
    QTestState *qts;
    QGuestAllocator *alloc;
    uint64_t streams;
    uint64_t commands;
    uint64_t events;
    uint32_t produced;
    uint32_t consumed;
} QCXLSmmu;

typedef struct QCSDomain {
    QCSStages stages;
    uint16_t id;                /* ASID and VMID */
    uint64_t s1;
    uint64_t s2;
    uint64_t cd;
} QCSDomain;

/** qcs_new: set the SMMU up and enable it; all streams are aborted */
QCXLSmmu *qcs_new(QTestState *qts, QGuestAllocator *alloc);
void qcs_free(QCXLSmmu *s);

uint32_t qcs_idr0(QCXLSmmu *s);

QCSDomain qcs_domain(QCXLSmmu *s, QCSStages stages, uint16_t id);

/**
 * qcs_bind: put a stream into a domain
 * @sid: the stream
 * @d: the domain, or NULL to let its addresses pass
 * @eats: STE.EATS
 */
void qcs_bind(QCXLSmmu *s, uint16_t sid, const QCSDomain *d, unsigned eats);

/* Whole pages. What is read-only is so by stage 1, if there is one. */
void qcs_map(QCXLSmmu *s, const QCSDomain *d, uint64_t iova, uint64_t gpa,
             uint64_t len, QCSAccess access);
void qcs_unmap(QCXLSmmu *s, const QCSDomain *d, uint64_t iova, uint64_t len);

/* Have the table above a page forbid writing, whatever stage 1 says of it. */
void qcs_limit(QCXLSmmu *s, const QCSDomain *d, uint64_t iova);

/* What the SMMU itself holds of all */
void qcs_forget_all(QCXLSmmu *s);

/**
 * qcs_queue_device: CMD_ATC_INV
 * @size: log2 of pages
 */
void qcs_queue_device(QCXLSmmu *s, uint16_t sid, uint64_t iova, unsigned size);

/**
 * qcs_try_sync: CMD_SYNC
 *
 * Returns: 0, or the error of the command that the queue has stopped at
 */
unsigned qcs_try_sync(QCXLSmmu *s);
void qcs_sync(QCXLSmmu *s);

/* Acknowledge an error; the command is tried again */
void qcs_go_on(QCXLSmmu *s);

/**
 * qcs_event: take the next event
 *
 * Returns: its type, or 0 if there is none
 */
unsigned qcs_event(QCXLSmmu *s, uint16_t *sid, uint64_t *addr);

#endif
