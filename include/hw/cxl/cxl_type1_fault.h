/*
 * Fault injection for CXL Type 1 devices: orders
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device that works on requests can be told to fail: at once, or at a named
 * point inside one of its next requests. This keeps what it has been told; the
 * device does the failing.
 *
 * QEMU interface:
 *  + QMP x-cxl-type1-fault and x-query-cxl-type1-fault, HMP cxl_type1_fault and
 *    "info cxl-type1-fault" find the device by its ID or QOM path;
 *  + the device embeds a CXLType1Faults, calls cxl_type1_fault_init() at
 *    realize and cxl_type1_fault_exit() at exit;
 *  + for each request it calls cxl_type1_fault_reading() when the source is
 *    about to be read and cxl_type1_fault_due() when the results are about to
 *    be written.
 */

#ifndef CXL_TYPE1_FAULT_H
#define CXL_TYPE1_FAULT_H

#include "qapi/qapi-types-cxl.h"
#include "qemu/queue.h"

/**
 * CXLType1FaultOps: what the device does
 * @armed: a fault is to come: CXLType1Faults.armed is set; NULL for a device
 *         without requests to fail in, which can have @hang-snoop alone
 * @inject: have this fault now, outside of any request
 * @hold: from now on these channels, a bit for each, stand still
 * @clear: undo what faults have done to the device
 * @query: fill in the device's state
 */
typedef struct CXLType1FaultOps {
    void (*armed)(void *opaque);
    void (*inject)(void *opaque, CxlType1FaultKind kind);
    void (*hold)(void *opaque, unsigned channels);
    void (*clear)(void *opaque);
    void (*query)(void *opaque, CxlType1FaultInfo *info);
} CXLType1FaultOps;

/**
 * CXLType1Faults:
 * @start: what is to be armed at realize, as cxl_type1_fault_init() takes it
 * @channel: of @hang-snoop
 * @taken: faults that have been injected
 */
typedef struct CXLType1Faults {
    DeviceState *dev;
    const CXLType1FaultOps *ops;
    void *opaque;
    char *start;

    bool armed;
    CxlType1FaultKind kind;
    CxlType1FaultPoint point;
    CxlCacheChannelType channel;
    uint32_t after;
    uint32_t count;

    uint64_t taken;
    QLIST_ENTRY(CXLType1Faults) next;
} CXLType1Faults;

/**
 * cxl_type1_fault_init: let @dev be told to fail
 * @faults: zeroed but for @start, which is NULL or
 *          "KIND[:POINT[:AFTER[:COUNT]]]" with the names of the QMP command
 * @errp: set when @start makes no sense
 *
 * Returns: true on success
 */
bool cxl_type1_fault_init(CXLType1Faults *faults, DeviceState *dev,
                          const CXLType1FaultOps *ops, void *opaque,
                          Error **errp);
void cxl_type1_fault_exit(CXLType1Faults *faults);

/**
 * cxl_type1_fault_reading: is a fault due that is of the reading itself?
 *
 * That is poison at source-read: the source comes with it. Counts as taken.
 */
bool cxl_type1_fault_reading(CXLType1Faults *faults);

/**
 * cxl_type1_fault_due: is a fault due in this request?
 * @kind: set to what shall happen
 * @point: and where
 *
 * To be called once for each request that gets so far. Counts as taken if so.
 * What is held by @hang-snoop has been held then.
 */
bool cxl_type1_fault_due(CXLType1Faults *faults, CxlType1FaultKind *kind,
                         CxlType1FaultPoint *point);

#endif /* CXL_TYPE1_FAULT_H */
