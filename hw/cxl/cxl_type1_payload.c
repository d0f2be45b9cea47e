/*
 * CXL Type 1 crypto accelerator: how the data of requests move
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A request is a transaction: until its status is written, memory is as it was,
 * whatever happens in between.
 */

#include "qemu/osdep.h"
#include "cxl_type1_flight.h"
#include "system/address-spaces.h"
#include "system/dma.h"
#include "trace.h"

/* Without a checked cast, which counts where it is made for each request */
static AddressSpace *dma_as_of(const CXLType1Crypto *s)
{
    return s->vdev.parent_obj.dma_as;
}

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

static bool all_valid(AddressSpace *as, const CXLType1Payload *p)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (!dma_memory_valid(as, p->seg[i].addr, p->seg[i].len,
                              p->write ? DMA_DIRECTION_FROM_DEVICE :
                              DMA_DIRECTION_TO_DEVICE,
                              MEMTXATTRS_UNSPECIFIED)) {
            return false;
        }
    }
    return true;
}

/*
 * By CXL.io. Returns -EIO if memory cannot be accessed, with nothing written,
 * and an IOMMU is asked for a bad page once, not for each word of it.
 */
static int move_uncached(const CXLType1Payload *p, uint8_t *buf)
{
    AddressSpace *as = dma_as_of(p->s);
    const char *name = cache_mem_dev_name(p->s->cache);

    if (!all_valid(as, p)) {
        return -EIO;
    }
    for (unsigned i = 0; i < p->n; i++) {
        const CacheMemSeg *seg = &p->seg[i];
        MemTxResult result;

        if (p->write) {
            result = dma_memory_write(as, seg->addr, buf, seg->len,
                                      MEMTXATTRS_UNSPECIFIED);
            trace_cxl_type1_crypto_write(name, seg->addr, seg->len, result);
        } else {
            result = dma_memory_read(as, seg->addr, buf, seg->len,
                                     MEMTXATTRS_UNSPECIFIED);
            trace_cxl_type1_crypto_read(name, seg->addr, seg->len, result);
        }
        if (result != MEMTX_OK) {
            return -EIO;
        }
        buf += seg->len;
    }
    return 0;
}

static void payload_clear(CXLType1Payload *p)
{
    g_free(p->seg);
    g_clear_pointer(&p->host, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CXLType1Payload, payload_clear)

/* iommu_platform=off: the addresses are not for an IOMMU to translate. */
static bool bypasses_iommu(CXLType1Crypto *s)
{
    return dma_as_of(s) == &address_space_memory &&
           pci_device_iommu_address_space(&s->parent_obj.pci_dev) !=
           &address_space_memory;
}

static void payload_init(CXLType1Payload *p, CXLType1Crypto *s, bool write,
                         const VirtQueueElement *elem, size_t offset,
                         size_t len)
{
    unsigned num = write ? elem->in_num : elem->out_num;

    p->s = s;
    p->elem = elem;
    p->offset = offset;
    p->write = write;
    p->seg = g_new(CacheMemSeg, num);
    p->n = find_payload(write ? elem->in_addr : elem->out_addr,
                        write ? elem->in_sg : elem->out_sg, num, offset, len,
                        p->seg, &p->total);
}

bool cxl_type1_payload_translate(CXLType1Payload *p)
{
    CacheMemDev *cache = p->s->cache;

    if (!p->translated) {
        p->translated = true;
        p->host = g_array_new(false, false, sizeof(CacheMemSeg));
        p->how = bypasses_iommu(p->s) ? CACHE_MEM_UNTRANSLATED :
                 cache_mem_translate(cache, p->seg, p->n, p->write, p->host);
        p->cached = p->how == CACHE_MEM_TRANSLATED &&
                    cache_mem_usable(cache, cxl_type1_payload_host(p),
                                     p->host->len, p->write);
    }
    return p->how != CACHE_MEM_REFUSED;
}

/* Returns: as cxl_type1_flight_move() */
static int read_lines(CXLType1Payload *p, uint8_t *buf, bool *poison)
{
    return cxl_type1_flight_wanted(p) ?
           cxl_type1_flight_move(p, buf, poison) :
           cache_mem_read(p->s->cache, cxl_type1_payload_host(p), p->host->len,
                          buf, poison) ? 0 : -EIO;
}

static int read_cached(CXLType1Payload *p, uint8_t *buf)
{
    CXLType1Crypto *s = p->s;
    bool poison;
    int ret = read_lines(p, buf, &poison);

    for (unsigned i = 0; ret != -EINPROGRESS && i < p->host->len; i++) {
        const CacheMemSeg *seg = &cxl_type1_payload_host(p)[i];

        trace_cxl_type1_crypto_read_cached(cache_mem_dev_name(s->cache),
                                           seg->addr, seg->len, !ret);
    }
    if (poison) {
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISON_RECEIVED);
    }
    return ret;
}

CacheMemWriteHow cxl_type1_payload_how(const CXLType1Crypto *s)
{
    static const CacheMemWriteHow how[CXL_TYPE1_WRITEBACK__MAX] = {
        [CXL_TYPE1_WRITEBACK_ON_DEMAND] = CACHE_MEM_WRITE_KEEP,
        [CXL_TYPE1_WRITEBACK_COMPLETION] = CACHE_MEM_WRITE_EVICT,
        [CXL_TYPE1_WRITEBACK_THROUGH] = CACHE_MEM_WRITE_THROUGH,
        [CXL_TYPE1_WRITEBACK_ADAPTIVE] = CACHE_MEM_WRITE_ADAPT,
    };

    return how[s->writeback];
}

/* Returns: as cxl_type1_flight_move() */
static int write_lines(CXLType1Payload *p, uint8_t *buf)
{
    CXLType1Crypto *s = p->s;
    bool poison;

    return cxl_type1_flight_wanted(p) ?
           cxl_type1_flight_move(p, buf, &poison) :
           cache_mem_write(s->cache, cxl_type1_payload_host(p), p->host->len,
                           buf, cxl_type1_payload_how(s)) ? 0 : -EIO;
}

static int write_cached(CXLType1Payload *p, uint8_t *buf)
{
    int ret = write_lines(p, buf);

    for (unsigned i = 0; ret != -EINPROGRESS && i < p->host->len; i++) {
        const CacheMemSeg *seg = &cxl_type1_payload_host(p)[i];

        trace_cxl_type1_crypto_write_cached(cache_mem_dev_name(p->s->cache),
                                            seg->addr, seg->len, !ret);
        if (!ret) {
            cache_mem_discard_code(&address_space_memory, seg->addr, seg->len);
        }
    }
    return ret;
}

static ssize_t outcome(const CXLType1Payload *p, int ret)
{
    return !ret ? p->total : ret == -EINPROGRESS ? ret : -VIRTIO_CRYPTO_ERR;
}

/* Another call has begun with it, and has translated it. */
static bool in_flight(CXLType1Payload *p)
{
    return cxl_type1_flight_has(p) && cxl_type1_flight_wanted(p);
}

ssize_t cxl_type1_payload_read(CXLType1Payload *p, uint8_t *buf)
{
    if (!in_flight(p) && !cxl_type1_payload_translate(p)) {
        return -VIRTIO_CRYPTO_ERR;
    }
    return outcome(p, p->cached ? read_cached(p, buf) : move_uncached(p, buf));
}

ssize_t cxl_type1_payload_publish(CXLType1Payload *p, uint8_t *buf)
{
    if (!in_flight(p) && !cxl_type1_payload_translate(p)) {
        /* If it was suspended it may still have lines of those pages */
        cache_mem_give_up_clean(p->s->cache);
        return -VIRTIO_CRYPTO_ERR;
    }
    return outcome(p, p->cached ? write_cached(p, buf) : move_uncached(p, buf));
}

static ssize_t payload_read(VirtIOCrypto *vcrypto, const VirtQueueElement *elem,
                            size_t offset, void *buf, size_t len)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);
    const CXLType1InjectHooks *hooks = s->inject.hooks;
    g_auto(CXLType1Payload) p = { };

    payload_init(&p, s, false, elem, offset, len);
    if (!cxl_type1_flight_has(&p)) {
        trace_cxl_type1_crypto_source(cache_mem_dev_name(s->cache), elem, len);
    }
    return hooks ? hooks->read(&p, buf) : cxl_type1_payload_read(&p, buf);
}

static ssize_t payload_write(VirtIOCrypto *vcrypto,
                             const VirtQueueElement *elem, size_t offset,
                             const void *buf, size_t len)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);
    const CXLType1InjectHooks *hooks = s->inject.hooks;
    g_auto(CXLType1Payload) p = { };
    ssize_t ret;

    payload_init(&p, s, true, elem, offset, len);
    ret = hooks ? hooks->write(&p, (uint8_t *)buf) :
                  cxl_type1_payload_publish(&p, (uint8_t *)buf);
    if (ret != -EINPROGRESS || !cxl_type1_flight_has(&p)) {
        trace_cxl_type1_crypto_result(cache_mem_dev_name(s->cache), elem, len,
                                      ret);
    }
    return ret;
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

static void payload_forget(VirtIOCrypto *vcrypto, const VirtQueueElement *elem)
{
    cxl_type1_flight_forget(container_of(vcrypto, CXLType1Crypto, vdev), elem);
}

static void payload_reset(VirtIOCrypto *vcrypto)
{
    CXLType1Crypto *s = container_of(vcrypto, CXLType1Crypto, vdev);

    if (s->inject.hooks) {
        s->inject.hooks->reset(s);
    }
}

const VirtIOCryptoPayloadOps cxl_type1_payload_ops = {
    .read = payload_read,
    .write = payload_write,
    .abandon = payload_abandon,
    .forget = payload_forget,
    .reset = payload_reset,
};
