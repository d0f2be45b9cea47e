/*
 * libqos driver for virtio-crypto
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_ids.h"
#include "standard-headers/linux/virtio_pci.h"
#include "virtio-crypto.h"

#define GUARD_BYTE  0xa5

static const QVirtioCryptoLayout natural_layout = {
    .name = "one descriptor per field",
    .gap = 16,
};

QVirtioCrypto *qvirtio_crypto_new(QTestState *qts, QGuestAllocator *alloc,
                                  QVirtioPCIDevice *pci)
{
    QVirtioCrypto *c = g_new0(QVirtioCrypto, 1);

    g_assert_cmpint(pci->vdev.device_type, ==, VIRTIO_ID_CRYPTO);

    c->qts = qts;
    c->alloc = alloc;
    c->pci = pci;
    /* libqos speaks split rings only and rings the doorbell every time. */
    c->feature_mask = (1ull << VIRTIO_F_VERSION_1) |
                      (1ull << VIRTIO_F_ACCESS_PLATFORM) |
                      (1ull << VIRTIO_F_RING_RESET) |
                      (1ull << VIRTIO_RING_F_INDIRECT_DESC);
    c->queue_size = QVIRTIO_CRYPTO_QUEUE_SIZE;
    c->arena = guest_alloc(alloc, QVIRTIO_CRYPTO_ARENA);
    qvirtio_pci_device_enable(pci);
    return c;
}

void qvirtio_crypto_free(QVirtioCrypto *c)
{
    if (!c) {
        return;
    }
    g_assert_null(c->vqs);
    guest_free(c->alloc, c->arena);
    qvirtio_pci_device_disable(c->pci);
    g_free(c->pci->pdev);
    g_free(c->pci);
    g_free(c);
}

static void set_queue_size(QVirtioCrypto *c, uint16_t index)
{
    QVirtioDevice *vdev = &c->pci->vdev;

    vdev->bus->queue_select(vdev, index);
    qpci_io_writew(c->pci->pdev, c->pci->bar, c->pci->common_cfg_offset +
                   offsetof(struct virtio_pci_common_cfg, queue_size),
                   c->queue_size);
    g_assert_cmpuint(vdev->bus->get_queue_size(vdev), ==, c->queue_size);
}

/* The rings stay where they are; the device finds them at other addresses. */
static void offset_rings(QVirtioCrypto *c, QVirtQueue *vq)
{
    QVirtioPCIDevice *pci = c->pci;
    QVirtQueue seen = *vq;

    seen.desc += c->iova_offset;
    seen.avail += c->iova_offset;
    seen.used += c->iova_offset;
    pci->vdev.bus->set_queue_address(&pci->vdev, &seen);
    /* Enabled anew, the device takes them over */
    qpci_io_writew(pci->pdev, pci->bar, pci->common_cfg_offset +
                   offsetof(struct virtio_pci_common_cfg, queue_enable), 1);
}

void qvirtio_crypto_setup(QVirtioCrypto *c)
{
    QVirtioDevice *vdev = &c->pci->vdev;
    struct virtio_crypto_config cfg;
    unsigned i;

    g_assert_null(c->vqs);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) & c->feature_mask);
    qvirtio_crypto_read_config(c, &cfg);

    c->num_dataq = cfg.max_dataqueues;
    c->vqs = g_new0(QVirtQueue *, c->num_dataq + 1);
    for (i = 0; i < c->num_dataq + 1; i++) {
        set_queue_size(c, i);
        c->vqs[i] = qvirtqueue_setup(vdev, c->alloc, i);
        if (c->iova_offset) {
            offset_rings(c, c->vqs[i]);
        }
    }
    c->in_flight = 0;
    c->arena_used = 0;
}

void qvirtio_crypto_start(QVirtioCrypto *c)
{
    qvirtio_crypto_setup(c);
    qvirtio_set_driver_ok(&c->pci->vdev);
}

void qvirtio_crypto_release(QVirtioCrypto *c)
{
    unsigned i;

    for (i = 0; i < c->num_dataq + 1; i++) {
        qvirtqueue_cleanup(c->pci->vdev.bus, c->vqs[i], c->alloc);
    }
    g_free(c->vqs);
    c->vqs = NULL;
}

void qvirtio_crypto_stop(QVirtioCrypto *c)
{
    qvirtio_reset(&c->pci->vdev);
    qvirtio_crypto_release(c);
}

QVirtQueue *qvirtio_crypto_ctrlq(QVirtioCrypto *c)
{
    return c->vqs[c->num_dataq];
}

void qvirtio_crypto_read_config(QVirtioCrypto *c,
                                struct virtio_crypto_config *cfg)
{
    QVirtioDevice *vdev = &c->pci->vdev;
    uint32_t *dword = (uint32_t *)cfg;
    size_t i;

    /* Everything before max_size is 32 bit registers */
    for (i = 0; i < offsetof(struct virtio_crypto_config, max_size); i += 4) {
        *dword++ = qvirtio_config_readl(vdev, i);
    }
    cfg->max_size = qvirtio_config_readq(vdev,
                        offsetof(struct virtio_crypto_config, max_size));
}

bool qvirtio_crypto_is_broken(QVirtioCrypto *c)
{
    QVirtioDevice *vdev = &c->pci->vdev;

    return vdev->bus->get_status(vdev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

uint64_t qvirtio_crypto_alloc(QVirtioCrypto *c, size_t len)
{
    uint64_t addr = c->arena + c->arena_used;

    c->arena_used += len;
    g_assert_cmpuint(c->arena_used, <=, QVIRTIO_CRYPTO_ARENA);
    return addr;
}

void qvirtio_crypto_write_desc(QVirtioCrypto *c, uint64_t table, uint16_t idx,
                               const struct vring_desc *desc)
{
    struct vring_desc le = {
        .addr = cpu_to_le64(desc->addr),
        .len = cpu_to_le32(desc->len),
        .flags = cpu_to_le16(desc->flags),
        .next = cpu_to_le16(desc->next),
    };

    qtest_memwrite(c->qts, table + idx * sizeof(le), &le, sizeof(le));
}

static size_t fields_len(const QVirtioCryptoField *f)
{
    size_t len = 0;
    int i;

    for (i = 0; i < QVIRTIO_CRYPTO_MAX_FIELDS; i++) {
        len += f[i].len;
    }
    return len;
}

/* Append the descriptor lengths that @cuts makes of the fields */
static void cut_fields(GArray *descs, const QVirtioCryptoField *f,
                       const uint32_t *cuts, uint16_t flags)
{
    struct vring_desc d = { .flags = flags };
    size_t left = fields_len(f);
    int i;

    if (!cuts) {
        for (i = 0; i < QVIRTIO_CRYPTO_MAX_FIELDS; i++) {
            if (f[i].len) {
                d.len = f[i].len;
                g_array_append_val(descs, d);
            }
        }
        return;
    }
    for (i = 0; left; i++) {
        if (!cuts[i]) {
            i = 0;
        }
        d.len = MIN(cuts[i], left);
        left -= d.len;
        g_array_append_val(descs, d);
    }
}

/*
 * Give the descriptors [@first, end) their addresses, one area for all of
 * them, @gap bytes before, between and after.  Returns the area's length.
 */
static size_t place_descs(QVirtioCrypto *c, GArray *descs, unsigned first,
                          uint32_t gap, uint64_t *area)
{
    size_t len = gap;
    unsigned i;

    for (i = first; i < descs->len; i++) {
        g_array_index(descs, struct vring_desc, i).addr = len;
        len += g_array_index(descs, struct vring_desc, i).len + gap;
    }
    *area = qvirtio_crypto_alloc(c, len);
    for (i = first; i < descs->len; i++) {
        g_array_index(descs, struct vring_desc, i).addr += *area;
    }
    return len;
}

/*
 * Copy between the fields and @image, a copy of the area at @area that the
 * descriptors [@first, @end) lie in.
 */
static void copy_fields(const QVirtioCryptoField *f, GArray *descs,
                        unsigned first, unsigned end, uint8_t *image,
                        uint64_t area, bool to_image)
{
    const QVirtioCryptoField *last = f + QVIRTIO_CRYPTO_MAX_FIELDS;
    size_t field_off = 0;
    unsigned i;

    for (i = first; i < end; i++) {
        struct vring_desc *d = &g_array_index(descs, struct vring_desc, i);
        uint8_t *p = image + (d->addr - area);
        size_t left = d->len;

        while (left) {
            size_t n;

            while (f < last && field_off == f->len) {
                f++;
                field_off = 0;
            }
            g_assert(f < last);
            n = MIN(left, f->len - field_off);
            if (to_image) {
                memcpy(p, (uint8_t *)f->data + field_off, n);
            } else {
                memcpy((uint8_t *)f->data + field_off, p, n);
                /* What is left in the image afterwards are the guards. */
                memset(p, GUARD_BYTE, n);
            }
            field_off += n;
            p += n;
            left -= n;
        }
    }
}

void qvirtio_crypto_layout(QVirtioCrypto *c, QVirtioCryptoReq *req)
{
    const QVirtioCryptoLayout *l = req->layout ? req->layout : &natural_layout;
    g_autofree uint8_t *image = NULL;
    uint64_t area;
    size_t len;
    unsigned i;

    if (!c->in_flight) {
        c->arena_used = 0;
    }
    req->descs = g_array_new(false, true, sizeof(struct vring_desc));

    cut_fields(req->descs, req->out, l->out_cuts, 0);
    req->num_out_descs = req->descs->len;
    len = place_descs(c, req->descs, 0, l->gap, &area);
    image = g_malloc(len);
    memset(image, GUARD_BYTE, len);
    copy_fields(req->out, req->descs, 0, req->num_out_descs, image, area, true);
    qtest_bufwrite(c->qts, area, image, len);

    cut_fields(req->descs, req->in, l->in_cuts, VRING_DESC_F_WRITE);
    req->in_area_len = place_descs(c, req->descs, req->num_out_descs, l->gap,
                                   &req->in_area);
    qtest_memset(c->qts, req->in_area, GUARD_BYTE, req->in_area_len);

    for (i = 0; i < req->descs->len; i++) {
        struct vring_desc *d = &g_array_index(req->descs, struct vring_desc, i);

        d->addr += c->iova_offset;
        if (i + 1 < req->descs->len) {
            d->flags |= VRING_DESC_F_NEXT;
            d->next = i + 1;
        }
    }
}

static uint16_t put_in_ring(QVirtioCrypto *c, QVirtQueue *vq, GArray *descs)
{
    uint16_t head;
    unsigned i;

    g_assert_cmpuint(descs->len, <=, vq->size);
    if (descs->len > vq->num_free) {
        /* Only safe, and only needed, when the ring is idle. */
        g_assert_cmpuint(c->in_flight, ==, 0);
        qvirtqueue_reset_pool(vq);
    }
    head = vq->free_head;
    for (i = 0; i < descs->len; i++) {
        struct vring_desc d = g_array_index(descs, struct vring_desc, i);

        d.next += head;
        qvirtio_crypto_write_desc(c, vq->desc, head + i, &d);
    }
    vq->free_head += descs->len;
    vq->num_free -= descs->len;
    return head;
}

void qvirtio_crypto_offer(QVirtioCrypto *c, QVirtQueue *vq, uint16_t head)
{
    uint16_t idx, le;

    qtest_memread(c->qts, vq->avail + offsetof(struct vring_avail, idx),
                  &le, sizeof(le));
    idx = le16_to_cpu(le);
    le = cpu_to_le16(head);
    qtest_memwrite(c->qts, vq->avail + offsetof(struct vring_avail, ring) +
                   idx % vq->size * sizeof(le), &le, sizeof(le));
    le = cpu_to_le16(idx + 1);
    qtest_memwrite(c->qts, vq->avail + offsetof(struct vring_avail, idx),
                   &le, sizeof(le));
}

void qvirtio_crypto_notify(QVirtioCrypto *c, QVirtQueue *vq)
{
    vq->vdev->bus->virtqueue_kick(vq->vdev, vq);
}

void qvirtio_crypto_enqueue(QVirtioCrypto *c, QVirtQueue *vq,
                            QVirtioCryptoReq *req)
{
    if (req->layout && req->layout->indirect) {
        g_autoptr(GArray) one = g_array_new(false, true,
                                            sizeof(struct vring_desc));
        struct vring_desc d = {
            .len = req->descs->len * sizeof(struct vring_desc),
            .flags = VRING_DESC_F_INDIRECT,
        };
        uint64_t table;
        unsigned i;

        g_assert_true(vq->indirect);
        table = qvirtio_crypto_alloc(c, d.len);
        d.addr = table + c->iova_offset;
        for (i = 0; i < req->descs->len; i++) {
            qvirtio_crypto_write_desc(c, table, i,
                &g_array_index(req->descs, struct vring_desc, i));
        }
        g_array_append_val(one, d);
        req->head = put_in_ring(c, vq, one);
    } else {
        req->head = put_in_ring(c, vq, req->descs);
    }
    c->in_flight++;
    qvirtio_crypto_offer(c, vq, req->head);
}

void qvirtio_crypto_post(QVirtioCrypto *c, QVirtQueue *vq,
                         QVirtioCryptoReq *req)
{
    qvirtio_crypto_layout(c, req);
    qvirtio_crypto_enqueue(c, vq, req);
    qvirtio_crypto_notify(c, vq);
}

/* Read the device-writable fields back; nothing else may have changed. */
static void read_back(QVirtioCrypto *c, QVirtioCryptoReq *req)
{
    g_autofree uint8_t *image = NULL;
    size_t i;

    if (!req->in_area_len) {
        return;
    }
    image = g_malloc(req->in_area_len);
    qtest_bufread(c->qts, req->in_area, image, req->in_area_len);
    copy_fields(req->in, req->descs, req->num_out_descs, req->descs->len,
                image, req->in_area + c->iova_offset, false);
    for (i = 0; i < req->in_area_len; i++) {
        g_assert_cmphex(image[i], ==, GUARD_BYTE);
    }
}

QVirtioCryptoOutcome qvirtio_crypto_wait(QVirtioCrypto *c, QVirtQueue *vq,
                                         QVirtioCryptoReq *req,
                                         gint64 timeout_us)
{
    gint64 end = g_get_monotonic_time() + timeout_us;
    QVirtioCryptoOutcome outcome = QVIRTIO_CRYPTO_QUIET;
    uint32_t head;

    do {
        if (qvirtqueue_get_buf(c->qts, vq, &head, &req->used_len)) {
            g_assert_cmpuint(head, ==, req->head);
            read_back(c, req);
            outcome = QVIRTIO_CRYPTO_DONE;
        } else if (qvirtio_crypto_is_broken(c)) {
            outcome = QVIRTIO_CRYPTO_BROKEN;
        }
    } while (outcome == QVIRTIO_CRYPTO_QUIET &&
             g_get_monotonic_time() < end);

    g_array_free(req->descs, true);
    req->descs = NULL;
    c->in_flight--;
    return outcome;
}

static void run(QVirtioCrypto *c, QVirtQueue *vq, QVirtioCryptoReq *req)
{
    QVirtioCryptoOutcome outcome;

    qvirtio_crypto_post(c, vq, req);
    outcome = qvirtio_crypto_wait(c, vq, req, QVIRTIO_CRYPTO_TIMEOUT_US);
    g_assert_cmpint(outcome, ==, QVIRTIO_CRYPTO_DONE);
}

uint32_t qvirtio_crypto_ctrl(QVirtioCrypto *c,
                             const struct virtio_crypto_op_ctrl_req *ctrl,
                             const void *key, size_t key_len,
                             const void *auth_key, size_t auth_key_len,
                             uint64_t *session_id)
{
    struct virtio_crypto_session_input input;
    QVirtioCryptoReq req = {
        .out = {
            { (void *)ctrl, sizeof(*ctrl) },
            { (void *)key, key_len },
            { (void *)auth_key, auth_key_len },
        },
        .in = { { &input, sizeof(input) } },
    };
    uint32_t status;

    run(c, qvirtio_crypto_ctrlq(c), &req);
    g_assert_cmpuint(req.used_len, ==, sizeof(input));
    status = le32_to_cpu(input.status);
    if (session_id && status == VIRTIO_CRYPTO_OK) {
        *session_id = le64_to_cpu(input.session_id);
    }
    return status;
}

uint32_t qvirtio_crypto_create_cipher(QVirtioCrypto *c, uint32_t algo,
                                      uint32_t op, const void *key,
                                      size_t key_len, uint64_t *session_id)
{
    struct virtio_crypto_op_ctrl_req ctrl = {
        .header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_CREATE_SESSION),
        .header.algo = cpu_to_le32(algo),
        .u.sym_create_session = {
            .op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER),
            .u.cipher.para = {
                .algo = cpu_to_le32(algo),
                .keylen = cpu_to_le32(key_len),
                .op = cpu_to_le32(op),
            },
        },
    };

    return qvirtio_crypto_ctrl(c, &ctrl, key, key_len, NULL, 0, session_id);
}

uint32_t qvirtio_crypto_create_rsa(QVirtioCrypto *c, uint32_t keytype,
                                   uint32_t padding, uint32_t hash,
                                   const void *key, size_t key_len,
                                   uint64_t *session_id)
{
    struct virtio_crypto_op_ctrl_req ctrl = {
        .header.opcode = cpu_to_le32(VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION),
        .header.algo = cpu_to_le32(VIRTIO_CRYPTO_AKCIPHER_RSA),
        .u.akcipher_create_session.para = {
            .algo = cpu_to_le32(VIRTIO_CRYPTO_AKCIPHER_RSA),
            .keytype = cpu_to_le32(keytype),
            .keylen = cpu_to_le32(key_len),
            .u.rsa.padding_algo = cpu_to_le32(padding),
            .u.rsa.hash_algo = cpu_to_le32(hash),
        },
    };

    return qvirtio_crypto_ctrl(c, &ctrl, key, key_len, NULL, 0, session_id);
}

uint8_t qvirtio_crypto_destroy_session(QVirtioCrypto *c, uint32_t opcode,
                                       uint64_t session_id)
{
    struct virtio_crypto_op_ctrl_req ctrl = {
        .header.opcode = cpu_to_le32(opcode),
        .u.destroy_session.session_id = cpu_to_le64(session_id),
    };
    uint8_t status;
    QVirtioCryptoReq req = {
        .out = { { &ctrl, sizeof(ctrl) } },
        .in = { { &status, sizeof(status) } },
    };

    run(c, qvirtio_crypto_ctrlq(c), &req);
    g_assert_cmpuint(req.used_len, ==, sizeof(status));
    return status;
}

void qvirtio_crypto_init_cipher_hdr(struct virtio_crypto_op_data_req *hdr,
                                    uint32_t opcode, uint64_t session_id,
                                    uint32_t iv_len, uint32_t len)
{
    *hdr = (struct virtio_crypto_op_data_req) {
        .header.opcode = cpu_to_le32(opcode),
        .header.session_id = cpu_to_le64(session_id),
        .u.sym_req = {
            .op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER),
            .u.cipher.para = {
                .iv_len = cpu_to_le32(iv_len),
                .src_data_len = cpu_to_le32(len),
                .dst_data_len = cpu_to_le32(len),
            },
        },
    };
}

uint8_t qvirtio_crypto_cipher(QVirtioCrypto *c, unsigned queue,
                              uint32_t opcode, uint64_t session_id,
                              const void *iv, size_t iv_len,
                              const void *src, void *dst, size_t len,
                              const QVirtioCryptoLayout *layout)
{
    struct virtio_crypto_op_data_req hdr;
    uint8_t status;
    QVirtioCryptoReq req = {
        .out = {
            { &hdr, sizeof(hdr) },
            { (void *)iv, iv_len },
            { (void *)src, len },
        },
        .in = {
            { dst, len },
            { &status, sizeof(status) },
        },
        .layout = layout,
    };

    g_assert_cmpuint(queue, <, c->num_dataq);
    qvirtio_crypto_init_cipher_hdr(&hdr, opcode, session_id, iv_len, len);
    run(c, c->vqs[queue], &req);
    g_assert_cmpuint(req.used_len, ==, len + sizeof(status));
    return status;
}

uint8_t qvirtio_crypto_akcipher(QVirtioCrypto *c, uint32_t opcode,
                                uint64_t session_id,
                                const void *src, size_t src_len,
                                void *dst, size_t *dst_len)
{
    bool verify = opcode == VIRTIO_CRYPTO_AKCIPHER_VERIFY;
    struct virtio_crypto_op_data_req hdr = {
        .header.opcode = cpu_to_le32(opcode),
        .header.session_id = cpu_to_le64(session_id),
        .u.akcipher_req.para = {
            .src_data_len = cpu_to_le32(src_len),
            .dst_data_len = cpu_to_le32(*dst_len),
        },
    };
    uint8_t status;
    QVirtioCryptoReq req = {
        .out = {
            { &hdr, sizeof(hdr) },
            { (void *)src, src_len },
            { dst, verify ? *dst_len : 0 },
        },
        .in = {
            { dst, verify ? 0 : *dst_len },
            { &status, sizeof(status) },
        },
    };

    run(c, c->vqs[0], &req);
    if (status == VIRTIO_CRYPTO_OK) {
        *dst_len = req.used_len - sizeof(status);
    }
    return status;
}
