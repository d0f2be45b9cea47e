/*
 * CXL Type 1 crypto accelerator: requests that wait for their lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * On a link with time a request is in flight while its data are: its source
 * first, then, when the back end has done its work, the results. Meanwhile
 * virtio-crypto has it as suspended, other requests come and go, and vCPUs run.
 * A timer in the main loop goes on with it when something has come, oldest
 * request first.
 *
 *   virtio-crypto    read()             write()               used ring
 *                      | -EINPROGRESS     | -EINPROGRESS        ^
 *   here             transfer --wake--> resume: read() --> back end --> write()
 */

#ifndef HW_CXL_CXL_TYPE1_FLIGHT_H
#define HW_CXL_CXL_TYPE1_FLIGHT_H

#include "cxl_type1_payload.h"

/**
 * cxl_type1_flight_wanted: is this payload to be moved while time goes on?
 *
 * Returns: false where it is done at once: by CXL.io, on a link without time,
 * or because something is injected into it
 */
bool cxl_type1_flight_wanted(CXLType1Payload *p);

/* Whether it is being moved so, or has been */
bool cxl_type1_flight_has(const CXLType1Payload *p);

/**
 * cxl_type1_flight_move: begin to move it, or go on
 * @buf: where the bytes go to, or come from; for a write it has to stay
 * @poison: set if some of what was read is known to be bad
 *
 * Returns: 0 or -EIO when that is over, -EINPROGRESS while it is not: then
 * virtio_crypto_resume_request() will ask again
 */
int cxl_type1_flight_move(CXLType1Payload *p, uint8_t *buf, bool *poison);

/* Whether a request is in flight, with whichever payload */
bool cxl_type1_flight_is(const CXLType1Crypto *s, const VirtQueueElement *elem);

/* The request is over, or is not the device's any more */
void cxl_type1_flight_forget(CXLType1Crypto *s, const VirtQueueElement *elem);

#endif /* HW_CXL_CXL_TYPE1_FLIGHT_H */
