/*
 * CXL Type 1 crypto accelerator: how the data of requests move, and fail to
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A request is a transaction: until its status is written, memory is as it was,
 * whatever happens in between.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_type1_crypto.h"
#include "system/address-spaces.h"
#include "system/dma.h"
#include "trace.h"

/* A status that virtio v1.3 section 5.9.7.4 does not have */
#define STATUS_UNDEFINED 0x5a

typedef enum PayloadDir {
    PAYLOAD_READ,
    PAYLOAD_WRITE,
} PayloadDir;

/*
 * The guest memory that @len bytes at @offset of a descriptor chain are in.
 * Returns the number of pieces; *@total is less than @len if the chain ends.
 */
static unsigned find_payload(const hwaddr *addr, const struct iovec *sg,
                             unsigned num, size_t offset, size_t len,
                             CacheMemSeg *seg, size_t *total)
{
    unsigned n = 0;

    *total = 0;
    for (unsigned i = 0; i < num && *total < len; i++) {
        if (offset >= sg[i].iov_len) {
            offset -= sg[i].iov_len;
            continue;
        }
        seg[n].addr = addr[i] + offset;
        seg[n].len = MIN(sg[i].iov_len - offset, len - *total);
        *total += seg[n].len;
        if (n && seg[n - 1].addr + seg[n - 1].len == seg[n].addr) {
            seg[n - 1].len += seg[n].len;
        } else {
            n++;
        }
        offset = 0;
    }
    return n;
}

static bool all_valid(AddressSpace *as, const CacheMemSeg *seg, unsigned n,
                      PayloadDir dir)
{
    for (unsigned i = 0; i < n; i++) {
        if (!dma_memory_valid(as, seg[i].addr, seg[i].len,
                              dir == PAYLOAD_READ ? DMA_DIRECTION_TO_DEVICE :
                              DMA_DIRECTION_FROM_DEVICE,
                              MEMTXATTRS_UNSPECIFIED)) {
            return false;
        }
    }
    return true;
}

/*
 * By CXL.io. Returns false if memory cannot be accessed, with nothing written,
 * and an IOMMU is asked for a bad page once, not for each word of it.
 */
static bool move_uncached(CXLType1Crypto *s, const CacheMemSeg *seg,
                          unsigned n, uint8_t *buf, PayloadDir dir)
{
    AddressSpace *as = VIRTIO_DEVICE(&s->vdev)->dma_as;
    const char *name = PCI_DEVICE(s)->name;
    size_t done = 0;

    if (!all_valid(as, seg, n, dir)) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        MemTxResult result;

        if (dir == PAYLOAD_READ) {
            result = dma_memory_read(as, seg[i].addr, buf + done, seg[i].len,
                                     MEMTXATTRS_UNSPECIFIED);
            trace_cxl_type1_crypto_read(name, seg[i].addr, seg[i].len, result);
        } else {
            result = dma_memory_write(as, seg[i].addr, buf + done, seg[i].len,
                                      MEMTXATTRS_UNSPECIFIED);
            trace_cxl_type1_crypto_write(name, seg[i].addr, seg[i].len, result);
        }
        if (result != MEMTX_OK) {
            return false;
        }
        done += seg[i].len;
    }
    return true;
}

/*
 * Where a piece of a descriptor chain is
 *
 * @seg: as the driver says, which is what CXL.io uses
 * @host: host physical addresses, which is what CXL.cache uses
 * @how: whether there are any
 * @cached: CXL.cache can be used
 */
typedef struct Payload {
    CacheMemSeg *seg;
    unsigned n;
    size_t total;
    GArray *host_segs;
    CacheMemSeg *host;
    unsigned host_n;
    CacheMemTranslation how;
    bool cached;
} Payload;

static void payload_clear(Payload *p)
{
    g_free(p->seg);
    g_clear_pointer(&p->host_segs, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Payload, payload_clear)

/* iommu_platform=off: the addresses are not for an IOMMU to translate. */
static bool bypasses_iommu(CXLType1Crypto *s)
{
    return VIRTIO_DEVICE(&s->vdev)->dma_as == &address_space_memory &&
           pci_device_iommu_address_space(PCI_DEVICE(s)) !=
           &address_space_memory;
}

/* All addresses are checked before any line is asked for. */
static void payload_init(Payload *p, CXLType1Crypto *s, const hwaddr *addr,
                         const struct iovec *sg, unsigned num, size_t offset,
                         size_t len, PayloadDir dir)
{
    bool write = dir == PAYLOAD_WRITE;

    p->seg = g_new(CacheMemSeg, num);
    p->n = find_payload(addr, sg, num, offset, len, p->seg, &p->total);
    p->host_segs = g_array_new(false, false, sizeof(CacheMemSeg));
    p->how = bypasses_iommu(s) ? CACHE_MEM_UNTRANSLATED :
             cache_mem_translate(s->cache, p->seg, p->n, write, p->host_segs);
    p->host = (CacheMemSeg *)p->host_segs->data;
    p->host_n = p->host_segs->len;
    p->cached = p->how == CACHE_MEM_TRANSLATED &&
                cache_mem_usable(s->cache, p->host, p->host_n, write);
}

static bool read_cached(CXLType1Crypto *s, const Payload *p, uint8_t *buf)
{
    for (unsigned i = 0; i < p->host_n; i++) {
        const CacheMemSeg *seg = &p->host[i];
        bool poison;
        bool good = cache_mem_read(s->cache, seg->addr, buf, seg->len, &poison);

        trace_cxl_type1_crypto_read_cached(PCI_DEVICE(s)->name, seg->addr,
                                           seg->len, good);
        if (poison) {
            cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISON_RECEIVED);
        }
        if (!good) {
            return false;
        }
        buf += seg->len;
    }
    return true;
}

static bool write_cached(CXLType1Crypto *s, const Payload *p,
                         const uint8_t *buf)
{
    bool keep = s->writeback == CXL_TYPE1_WRITEBACK_ON_DEMAND;
    bool good = cache_mem_write(s->cache, p->host, p->host_n, buf, keep);

    for (unsigned i = 0; i < p->host_n; i++) {
        const CacheMemSeg *seg = &p->host[i];

        trace_cxl_type1_crypto_write_cached(PCI_DEVICE(s)->name, seg->addr,
                                            seg->len, good);
        if (good) {
            cache_mem_discard_code(&address_space_memory, seg->addr, seg->len);
        }
    }
    return good;
}

static bool move_payload(CXLType1Crypto *s, const Payload *p, uint8_t *buf,
                         PayloadDir dir)
{
    if (p->how == CACHE_MEM_REFUSED) {
        return false;
    }
    if (!p->cached) {
        return move_uncached(s, p->seg, p->n, buf, dir);
    }
    return dir == PAYLOAD_READ ? read_cached(s, p, buf) :
                                 write_cached(s, p, buf);
}

static ssize_t payload_read(VirtIOCrypto *vcrypto, const VirtQueueElement *elem,
                            size_t offset, void *buf, size_t len)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);
    g_auto(Payload) p = { };
    bool poison = cxl_type1_fault_reading(&s->faults);
    bool good;

    if (s->faults.viral || s->faults.not_ready) {
        return -VIRTIO_CRYPTO_ERR;
    }
    if (poison) {
        cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_POISON);
    }
    payload_init(&p, s, elem->out_addr, elem->out_sg, elem->out_num, offset,
                 len, PAYLOAD_READ);
    good = move_payload(s, &p, buf, PAYLOAD_READ);
    if (poison && cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_NONE)) {
        /* Nothing asked the host for a line: all of it was in the cache */
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISON_RECEIVED);
    }
    return good && !poison ? p.total : -VIRTIO_CRYPTO_ERR;
}

/* The results of a request, on their way out */
typedef struct Result {
    const Payload *payload;
    uint8_t *buf;
} Result;

static bool stage(CXLType1Crypto *s, const Result *r, CacheMemStep step)
{
    const Payload *p = r->payload;

    return cache_mem_stage(s->cache, p->host, p->host_n, r->buf, step);
}

/* Bring the request to a point, without anybody seeing a change of memory. */
static bool go_to_point(CXLType1Crypto *s, const Result *r,
                        CxlType1FaultPoint point)
{
    static const CacheMemStep steps[CXL_TYPE1_FAULT_POINT__MAX] = {
        [CXL_TYPE1_FAULT_POINT_OWNERSHIP] = CACHE_MEM_STEP_OWN,
        [CXL_TYPE1_FAULT_POINT_HALF_WRITTEN] = CACHE_MEM_STEP_HALF,
        [CXL_TYPE1_FAULT_POINT_PUBLICATION] = CACHE_MEM_STEP_ALL,
    };

    /* By CXL.io the first write is the one that publishes */
    return point == CXL_TYPE1_FAULT_POINT_SOURCE_READ || !r->payload->cached ||
           stage(s, r, steps[point]);
}

static ssize_t end_with(CXLType1Crypto *s, const Result *r, int status)
{
    if (r->payload->cached) {
        cache_mem_give_up(s->cache, r->payload->host, r->payload->host_n);
    }
    return -status;
}

/* The host refuses the next thing that it is asked for this request. */
static ssize_t fail_go_err(CXLType1Crypto *s, const Result *r,
                           CxlType1FaultPoint point)
{
    const Payload *p = r->payload;
    bool refused = false;

    if (p->cached && point == CXL_TYPE1_FAULT_POINT_SOURCE_READ) {
        cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_GO_ERR);
        stage(s, r, CACHE_MEM_STEP_OWN);
        refused = !cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_NONE);
    } else if (p->cached) {
        refused = cache_mem_fail_write_back(s->cache, p->host, p->host_n,
                                            r->buf);
    }
    if (!refused) {
        /* All lines were there, or none is asked for: CXL.io has no GO-Err */
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_INTERNAL);
    }
    return end_with(s, r, VIRTIO_CRYPTO_ERR);
}

static ssize_t publish(CXLType1Crypto *s, const Result *r)
{
    return move_payload(s, r->payload, r->buf, PAYLOAD_WRITE) ?
           r->payload->total : -VIRTIO_CRYPTO_ERR;
}

static ssize_t strike(CXLType1Crypto *s, const Result *r,
                      CxlType1FaultKind kind, CxlType1FaultPoint point)
{
    if (!go_to_point(s, r, point)) {
        return -VIRTIO_CRYPTO_ERR;
    }
    switch (kind) {
    case CXL_TYPE1_FAULT_KIND_REQUEST_ERROR:
        return end_with(s, r, VIRTIO_CRYPTO_ERR);
    case CXL_TYPE1_FAULT_KIND_WRONG_STATUS:
        return end_with(s, r, STATUS_UNDEFINED);
    case CXL_TYPE1_FAULT_KIND_POISON:
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_CACHE_DATA_ECC);
        return end_with(s, r, VIRTIO_CRYPTO_ERR);
    case CXL_TYPE1_FAULT_KIND_GO_ERR:
        return fail_go_err(s, r, point);
    case CXL_TYPE1_FAULT_KIND_VIRAL:
    case CXL_TYPE1_FAULT_KIND_HW_NOT_READY:
        end_with(s, r, VIRTIO_CRYPTO_ERR);
        cxl_type1_crypto_strike(s, kind);
        return -VIRTIO_CRYPTO_ERR;
    case CXL_TYPE1_FAULT_KIND_INVALIDATE_TIMEOUT:
        /* No harm to requests */
        cxl_type1_crypto_strike(s, kind);
        return publish(s, r);
    default:
        /* The request stops here, with what it has */
        cxl_type1_crypto_strike(s, kind);
        return -EINPROGRESS;
    }
}

static ssize_t payload_write(VirtIOCrypto *vcrypto,
                             const VirtQueueElement *elem, size_t offset,
                             const void *buf, size_t len)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);
    CxlType1FaultKind kind;
    CxlType1FaultPoint point;
    g_auto(Payload) p = { };
    Result r = { .payload = &p, .buf = (uint8_t *)buf };

    if (s->faults.hung) {
        return -EINPROGRESS;
    }
    if (s->faults.viral || s->faults.not_ready) {
        return -VIRTIO_CRYPTO_ERR;
    }
    payload_init(&p, s, elem->in_addr, elem->in_sg, elem->in_num, offset, len,
                 PAYLOAD_WRITE);
    if (p.how == CACHE_MEM_REFUSED) {
        /* If it hung before, it has lines of those pages that are still its */
        cache_mem_give_up_clean(s->cache);
        return -VIRTIO_CRYPTO_ERR;
    }
    if (cxl_type1_fault_due(&s->faults, &kind, &point)) {
        return strike(s, &r, kind, point);
    }
    return publish(s, &r);
}

/* Should a request of another queue be resumed it takes its lines anew. */
static void payload_abandon(VirtIOCrypto *vcrypto)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);

    /* A realize that fails late unrealizes the virtio device after the cache */
    if (s->cache) {
        cache_mem_give_up_clean(s->cache);
    }
}

static void payload_reset(VirtIOCrypto *vcrypto)
{
    container_of(vcrypto, CXLType1Crypto, vdev)->faults.hung = false;
}

const VirtIOCryptoPayloadOps cxl_type1_payload_ops = {
    .read = payload_read,
    .write = payload_write,
    .abandon = payload_abandon,
    .reset = payload_reset,
};
