/*
 * CXL Type 1 crypto accelerator: the payload of a request
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CXL_CXL_TYPE1_PAYLOAD_H
#define HW_CXL_CXL_TYPE1_PAYLOAD_H

#include "hw/cxl/cxl_type1_crypto.h"

/**
 * CXLType1Payload: where the source of a request is, or its destination
 * @elem, @offset: whose it is, and which of them
 * @at_once: it may not be moved while time goes on
 * @seg: as the driver says, which is what CXL.io uses; @n pieces
 * @total: bytes in them
 * @translated: what follows has been found out
 * @how: whether there are host physical addresses
 * @host: these, an array of CacheMemSeg, which is what CXL.cache uses
 * @cached: CXL.cache can be used
 *
 * There is one for all that is read for a request, and one for all that is
 * written, so that addresses are translated once each.  It lives no longer than
 * the callback that it is made in, and the BQL is not released in there: an
 * invalidation needs that, and so none can come between translation and use.
 * A request that is suspended meanwhile gets a new one; on a link with time it
 * finds what was translated in its flight (cxl_type1_flight.h).
 */
typedef struct CXLType1Payload {
    CXLType1Crypto *s;
    const VirtQueueElement *elem;
    size_t offset;
    bool write;
    bool at_once;
    CacheMemSeg *seg;
    unsigned n;
    size_t total;

    bool translated;
    CacheMemTranslation how;
    GArray *host;
    bool cached;
} CXLType1Payload;

/**
 * cxl_type1_payload_translate: find host physical addresses, unless done
 *
 * All addresses are, before any line is asked for.
 *
 * Returns: false if the IOMMU refuses it
 */
bool cxl_type1_payload_translate(CXLType1Payload *p);

/* The host physical addresses of @p, of which there are @p->host->len */
static inline const CacheMemSeg *
cxl_type1_payload_host(const CXLType1Payload *p)
{
    return (const CacheMemSeg *)p->host->data;
}

/* How results are written, by the property "writeback" */
CacheMemWriteHow cxl_type1_payload_how(const CXLType1Crypto *s);

/**
 * cxl_type1_payload_read: read all of it
 *
 * Returns: as VirtIOCryptoPayloadOps.read, -EINPROGRESS too
 */
ssize_t cxl_type1_payload_read(CXLType1Payload *p, uint8_t *buf);

/**
 * cxl_type1_payload_publish: write all of it, as one transaction
 *
 * Returns: as VirtIOCryptoPayloadOps.write
 */
ssize_t cxl_type1_payload_publish(CXLType1Payload *p, uint8_t *buf);

#endif /* HW_CXL_CXL_TYPE1_PAYLOAD_H */
