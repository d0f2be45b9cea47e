/*
 * CXL Type 1 crypto accelerator: faults on order
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/cxl/cache_mem_inject.h"
#include "cxl_type1_flight.h"

/* A status that virtio v1.3 section 5.9.7.4 does not have */
#define STATUS_UNDEFINED 0x5a

static const CXLType1InjectHooks inject_hooks;

static void update_hooks(CXLType1Crypto *s)
{
    CXLType1Inject *inject = &s->inject;

    inject->hooks = inject->faults.armed || inject->unresponsive ||
                    inject->viral || inject->not_ready ? &inject_hooks : NULL;
}

/* ---- Faults of the device ---- */

static void fail_device(CXLType1Crypto *s, CxlType1FaultKind kind)
{
    switch (kind) {
    case CXL_TYPE1_FAULT_KIND_HANG:
        s->inject.unresponsive = true;
        break;
    case CXL_TYPE1_FAULT_KIND_VIRAL:
        s->inject.viral = true;
        cache_mem_dev_set_viral(s->cache, true);
        cxl_type1_regs_viral(&s->regs, true);
        break;
    case CXL_TYPE1_FAULT_KIND_HW_NOT_READY:
        s->inject.not_ready = true;
        virtio_crypto_set_hw_failed(&s->vdev, true);
        break;
    case CXL_TYPE1_FAULT_KIND_LINK_DOWN:
        s->inject.unresponsive = true;
        cxl_type1_link_lose(s);
        break;
    case CXL_TYPE1_FAULT_KIND_REMOVAL:
        s->inject.unresponsive = true;
        cxl_type1_link_remove(s);
        break;
    case CXL_TYPE1_FAULT_KIND_INVALIDATE_TIMEOUT:
        cache_mem_ats_set_unresponsive(s->cache, true);
        break;
    default:
        g_assert_not_reached();
    }
    update_hooks(s);
}

static void resume(CXLType1Crypto *s)
{
    if (runstate_is_running() && !s->inject.unresponsive) {
        virtio_crypto_resume(&s->vdev);
    }
}

/* What a stopped machine was told to clear it goes on with later. */
static void run_state_changed(void *opaque, bool running, RunState state)
{
    if (running) {
        resume(opaque);
    }
}

void cxl_type1_inject_recover(CXLType1Crypto *s)
{
    cache_mem_ats_set_unresponsive(s->cache, false);
    cache_mem_dev_hold(s->cache, 0);
    if (s->inject.viral) {
        s->inject.viral = false;
        cache_mem_dev_set_viral(s->cache, false);
        cxl_type1_regs_viral(&s->regs, false);
    }
    if (s->inject.not_ready) {
        s->inject.not_ready = false;
        virtio_crypto_set_hw_failed(&s->vdev, false);
    }
    update_hooks(s);
}

/* ---- Faults of a request ---- */

/* A device in one of these states works at no request. */
static bool refuses_requests(CXLType1Crypto *s)
{
    return s->inject.viral || s->inject.not_ready;
}

static ssize_t inject_read(CXLType1Payload *p, uint8_t *buf)
{
    CXLType1Crypto *s = p->s;

    if (refuses_requests(s)) {
        return -VIRTIO_CRYPTO_ERR;
    }
    if (cxl_type1_flight_has(p) ||
        !cxl_type1_fault_reading(&s->inject.faults)) {
        return cxl_type1_payload_read(p, buf);
    }
    update_hooks(s);
    p->at_once = true;
    cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_POISON);
    cxl_type1_payload_read(p, buf);
    if (cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_NONE)) {
        /* Nothing asked the host for a line: all of it was in the cache */
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISON_RECEIVED);
    }
    return -VIRTIO_CRYPTO_ERR;
}

static bool stage(CXLType1Payload *p, const uint8_t *buf, CacheMemStep step)
{
    return cache_mem_stage(p->s->cache, cxl_type1_payload_host(p),
                           p->host->len, buf, step);
}

/* Bring the request to a point, without anybody seeing a change of memory. */
static bool go_to_point(CXLType1Payload *p, const uint8_t *buf,
                        CxlType1FaultPoint point)
{
    static const CacheMemStep steps[CXL_TYPE1_FAULT_POINT__MAX] = {
        [CXL_TYPE1_FAULT_POINT_OWNERSHIP] = CACHE_MEM_STEP_OWN,
        [CXL_TYPE1_FAULT_POINT_HALF_WRITTEN] = CACHE_MEM_STEP_HALF,
        [CXL_TYPE1_FAULT_POINT_PUBLICATION] = CACHE_MEM_STEP_ALL,
    };

    /* By CXL.io the first write is the one that publishes */
    return point == CXL_TYPE1_FAULT_POINT_SOURCE_READ || !p->cached ||
           stage(p, buf, steps[point]);
}

static ssize_t end_with(CXLType1Payload *p, int status)
{
    if (p->cached) {
        cache_mem_give_up(p->s->cache, cxl_type1_payload_host(p),
                          p->host->len);
    }
    return -status;
}

/* The host refuses the next thing that it is asked for this request. */
static ssize_t fail_go_err(CXLType1Payload *p, const uint8_t *buf,
                           CxlType1FaultPoint point)
{
    CXLType1Crypto *s = p->s;
    bool refused = false;

    if (p->cached && point == CXL_TYPE1_FAULT_POINT_SOURCE_READ) {
        cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_GO_ERR);
        stage(p, buf, CACHE_MEM_STEP_OWN);
        refused = !cache_mem_dev_fail(s->cache, CACHE_MEM_FAIL_NONE);
    } else if (p->cached) {
        refused = cache_mem_fail_write_back(s->cache,
                                            cxl_type1_payload_host(p),
                                            p->host->len, buf);
    }
    if (!refused) {
        /* All lines were there, or none is asked for: CXL.io has no GO-Err */
        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_INTERNAL);
    }
    return end_with(p, VIRTIO_CRYPTO_ERR);
}

static ssize_t fail_request(CXLType1Payload *p, uint8_t *buf,
                            CxlType1FaultKind kind, CxlType1FaultPoint point)
{
    if (!go_to_point(p, buf, point)) {
        return -VIRTIO_CRYPTO_ERR;
    }
    switch (kind) {
    case CXL_TYPE1_FAULT_KIND_REQUEST_ERROR:
        return end_with(p, VIRTIO_CRYPTO_ERR);
    case CXL_TYPE1_FAULT_KIND_WRONG_STATUS:
        return end_with(p, STATUS_UNDEFINED);
    case CXL_TYPE1_FAULT_KIND_POISON:
        cxl_type1_regs_error(&p->s->regs, CXL_RAS_UNC_ERR_CACHE_DATA_ECC);
        return end_with(p, VIRTIO_CRYPTO_ERR);
    case CXL_TYPE1_FAULT_KIND_GO_ERR:
        return fail_go_err(p, buf, point);
    case CXL_TYPE1_FAULT_KIND_VIRAL:
    case CXL_TYPE1_FAULT_KIND_HW_NOT_READY:
        end_with(p, VIRTIO_CRYPTO_ERR);
        fail_device(p->s, kind);
        return -VIRTIO_CRYPTO_ERR;
    case CXL_TYPE1_FAULT_KIND_INVALIDATE_TIMEOUT:
        /* No harm to requests */
        fail_device(p->s, kind);
        return cxl_type1_payload_publish(p, buf);
    case CXL_TYPE1_FAULT_KIND_HANG_SNOOP:
        /* Nor of this one, but for what its lines come to */
        return cxl_type1_payload_publish(p, buf);
    default:
        /* The request stops here, with what it has */
        fail_device(p->s, kind);
        return -EINPROGRESS;
    }
}

static ssize_t inject_write(CXLType1Payload *p, uint8_t *buf)
{
    CXLType1Crypto *s = p->s;
    CxlType1FaultKind kind;
    CxlType1FaultPoint point;

    if (s->inject.unresponsive) {
        return -EINPROGRESS;
    }
    if (refuses_requests(s)) {
        return -VIRTIO_CRYPTO_ERR;
    }
    /* What is in flight has been asked about when it began. */
    if (cxl_type1_flight_has(p) || !cxl_type1_payload_translate(p) ||
        !cxl_type1_fault_due(&s->inject.faults, &kind, &point)) {
        return cxl_type1_payload_publish(p, buf);
    }
    update_hooks(s);
    return fail_request(p, buf, kind, point);
}

static void inject_reset(CXLType1Crypto *s)
{
    s->inject.unresponsive = false;
    update_hooks(s);
}

static const CXLType1InjectHooks inject_hooks = {
    .read = inject_read,
    .write = inject_write,
    .reset = inject_reset,
};

/* ---- Errors of the RAS capability ---- */

/* They are registered and told of; the device works on. */

static bool can_tell(CXLType1Crypto *s, Error **errp)
{
    if (s->link_lost) {
        error_setg(errp, "the link of %s is down: there is nobody to be told "
                   "of an error", cache_mem_dev_name(s->cache));
    }
    return !s->link_lost;
}

static void ras_uncorrectable(CXLRasDevice *dev, const CXLRasError *errors,
                              unsigned n, Error **errp)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(dev);

    if (can_tell(s, errp)) {
        cxl_type1_regs_uncorrectable(&s->regs, errors, n);
    }
}

static void ras_correctable(CXLRasDevice *dev, unsigned bit, Error **errp)
{
    CXLType1Crypto *s = CXL_TYPE1_CRYPTO(dev);

    if (can_tell(s, errp)) {
        cxl_type1_regs_correctable(&s->regs, bit);
    }
}

void cxl_type1_inject_class_init(ObjectClass *klass)
{
    CXLRasDeviceClass *rc = CXL_RAS_DEVICE_CLASS(klass);

    rc->uncorrectable = ras_uncorrectable;
    rc->correctable = ras_correctable;
}

/* ---- Orders ---- */

static void fault_armed(void *opaque)
{
    update_hooks(opaque);
}

static void fault_inject(void *opaque, CxlType1FaultKind kind)
{
    fail_device(opaque, kind);
}

static void fault_hold(void *opaque, unsigned channels)
{
    CXLType1Crypto *s = opaque;

    cache_mem_dev_hold(s->cache,
                       cache_mem_dev_held_channels(s->cache) | channels);
}

static void fault_clear(void *opaque)
{
    CXLType1Crypto *s = opaque;

    s->inject.unresponsive = false;
    cxl_type1_inject_recover(s);
    cxl_type1_link_regain(s);
    resume(s);
}

static void fault_query(void *opaque, CxlType1FaultInfo *info)
{
    CXLType1Crypto *s = opaque;
    VirtIOCryptoReq *req;

    QTAILQ_FOREACH(req, &s->vdev.requests, next) {
        info->held += virtio_crypto_suspended(req) &&
                      (s->inject.unresponsive ||
                       !cxl_type1_flight_is(s, &req->elem));
    }
    info->hung = s->inject.unresponsive;
    info->viral = s->inject.viral;
    info->link_down = s->link_lost;
    info->hw_ready = !s->inject.not_ready;
}

static const CXLType1FaultOps fault_ops = {
    .armed = fault_armed,
    .inject = fault_inject,
    .hold = fault_hold,
    .clear = fault_clear,
    .query = fault_query,
};

bool cxl_type1_inject_init(CXLType1Crypto *s, Error **errp)
{
    if (!cxl_type1_fault_init(&s->inject.faults, DEVICE(s), &fault_ops, s,
                              errp)) {
        return false;
    }
    s->inject.run_state = qemu_add_vm_change_state_handler(run_state_changed,
                                                           s);
    return true;
}

void cxl_type1_inject_exit(CXLType1Crypto *s)
{
    g_clear_pointer(&s->inject.run_state, qemu_del_vm_change_state_handler);
    cxl_type1_fault_exit(&s->inject.faults);
}
