/*
 * CXL Type 1 crypto accelerator: faults on order
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cxl_type1_fault.h takes orders; here is what they do to the device.  Nothing
 * of it is in the way of a request until there is an order: the device calls
 * CXLType1InjectHooks if there are any, and only there.
 */

#ifndef CXL_TYPE1_INJECT_H
#define CXL_TYPE1_INJECT_H

#include "hw/cxl/cxl_type1_fault.h"
#include "system/runstate.h"

typedef struct CXLType1Crypto CXLType1Crypto;
typedef struct CXLType1Payload CXLType1Payload;

/**
 * CXLType1InjectHooks: what may happen to a request
 * @read: instead of cxl_type1_payload_read()
 * @write: instead of cxl_type1_payload_publish(); -EINPROGRESS suspends the
 *         request, or comes with the device unplugged
 * @reset: the virtio device is reset
 */
typedef struct CXLType1InjectHooks {
    ssize_t (*read)(CXLType1Payload *p, uint8_t *buf);
    ssize_t (*write)(CXLType1Payload *p, uint8_t *buf);
    void (*reset)(CXLType1Crypto *s);
} CXLType1InjectHooks;

/**
 * CXLType1Inject:
 * @hooks: NULL unless a fault is armed, or has left the device in one of
 *         the states that follow
 * @faults: orders
 * @unresponsive: requests are suspended
 * @viral: requests fail (CXL r3.1 section 12.4)
 * @not_ready: HW_READY of virtio-crypto is clear and requests fail
 */
typedef struct CXLType1Inject {
    const CXLType1InjectHooks *hooks;
    CXLType1Faults faults;
    bool unresponsive;
    bool viral;
    bool not_ready;
    VMChangeStateEntry *run_state;
} CXLType1Inject;

/**
 * cxl_type1_inject_class_init: the methods of TYPE_CXL_RAS_DEVICE, which
 * @klass has
 */
void cxl_type1_inject_class_init(ObjectClass *klass);

/**
 * cxl_type1_inject_init: let @s be told to fail
 * @errp: set if the property "x-fault" makes no sense
 *
 * Returns: true on success
 */
bool cxl_type1_inject_init(CXLType1Crypto *s, Error **errp);

/**
 * cxl_type1_inject_exit: @s is unplugged; may be called more than once
 */
void cxl_type1_inject_exit(CXLType1Crypto *s);

/**
 * cxl_type1_inject_recover: take back what a conventional reset ends
 */
void cxl_type1_inject_recover(CXLType1Crypto *s);

#endif /* CXL_TYPE1_INJECT_H */
