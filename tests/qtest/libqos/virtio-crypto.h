/*
 * libqos driver for virtio-crypto
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Works on any QVirtioPCIDevice whose virtio device type is crypto, whatever
 * bus it sits on.  Requests are built from fields (header, IV, payload, ...);
 * a layout says how the byte stream of these fields is cut into descriptors,
 * so that one request can be sent in many shapes.  Every descriptor stands
 * alone in guest memory with guard bytes around it, and the guards of the
 * device-writable ones are checked when the request completes.
 */

#ifndef LIBQOS_VIRTIO_CRYPTO_H
#define LIBQOS_VIRTIO_CRYPTO_H

#include "libqos-malloc.h"
#include "virtio-pci.h"
#include "standard-headers/linux/virtio_crypto.h"

/* Generous: sanitizer builds on a loaded machine are slow. */
#define QVIRTIO_CRYPTO_TIMEOUT_US   (60 * 1000 * 1000)
/* Long enough to notice that a request was served that must not be. */
#define QVIRTIO_CRYPTO_QUIET_US     (50 * 1000)

#define QVIRTIO_CRYPTO_MAX_FIELDS   4

/* Guest memory that headers, and what is not given an address, are in */
#define QVIRTIO_CRYPTO_ARENA        (16 * 1024 * 1024)
/* Enough for any request, and not as slow to set up as the device's 1024 */
#define QVIRTIO_CRYPTO_QUEUE_SIZE   512

typedef struct QVirtioCrypto {
    QTestState *qts;
    QGuestAllocator *alloc;
    QVirtioPCIDevice *pci;
    /* Data queues first, the control queue last, as the device numbers them */
    QVirtQueue **vqs;
    unsigned num_dataq;
    /*
     * Of every queue, from the next start on.  Setting one up takes two
     * accesses for each of its descriptors: who starts often has few.
     */
    uint16_t queue_size;
    uint64_t feature_mask;
    /* What an IOMMU takes off the device's addresses of @arena and the rings */
    uint64_t iova_offset;
    uint64_t arena;
    size_t arena_used;
    unsigned in_flight;
} QVirtioCrypto;

/* How a byte stream is cut into descriptors */
typedef struct QVirtioCryptoLayout {
    const char *name;
    /*
     * Descriptor lengths, used cyclically, ended by a zero.  NULL gives one
     * descriptor to each field, which is how Linux's driver does it.
     */
    const uint32_t *out_cuts;
    const uint32_t *in_cuts;
    /* Guard bytes between neighbouring descriptors */
    uint32_t gap;
    bool indirect;
} QVirtioCryptoLayout;

typedef struct QVirtioCryptoField {
    void *data;
    size_t len;
} QVirtioCryptoField;

/*
 * A request.  The caller fills @out and @in (fields with a length of zero are
 * left out); qvirtio_crypto_post() fills the rest.
 */
typedef struct QVirtioCryptoReq {
    QVirtioCryptoField out[QVIRTIO_CRYPTO_MAX_FIELDS];
    QVirtioCryptoField in[QVIRTIO_CRYPTO_MAX_FIELDS];
    const QVirtioCryptoLayout *layout;

    uint16_t head;
    uint32_t used_len;
    uint64_t in_area;
    size_t in_area_len;
    GArray *descs;
    unsigned num_out_descs;
} QVirtioCryptoReq;

typedef enum QVirtioCryptoOutcome {
    QVIRTIO_CRYPTO_DONE,    /* the request is in the used ring */
    QVIRTIO_CRYPTO_BROKEN,  /* the device asks for a reset */
    QVIRTIO_CRYPTO_QUIET,   /* neither within the time given */
} QVirtioCryptoOutcome;

/**
 * qvirtio_crypto_new: make a driver for a device
 * @qts: the QTestState the device belongs to
 * @alloc: guest memory for rings and buffers
 * @pci: the device, not enabled yet; the driver takes it over
 *
 * Returns: a driver for a device that has been enabled but not started
 */
QVirtioCrypto *qvirtio_crypto_new(QTestState *qts, QGuestAllocator *alloc,
                                  QVirtioPCIDevice *pci);

/**
 * qvirtio_crypto_free: free the driver and its QVirtioPCIDevice
 * @c: the driver, stopped
 */
void qvirtio_crypto_free(QVirtioCrypto *c);

/**
 * qvirtio_crypto_setup: reset the device and set up everything but DRIVER_OK
 * @c: the driver
 */
void qvirtio_crypto_setup(QVirtioCrypto *c);

/**
 * qvirtio_crypto_start: reset the device and bring it up to DRIVER_OK
 * @c: the driver
 */
void qvirtio_crypto_start(QVirtioCrypto *c);

/**
 * qvirtio_crypto_release: free the queues without touching the device
 * @c: the driver
 *
 * For a device that is gone, or that something else has reset.
 */
void qvirtio_crypto_release(QVirtioCrypto *c);

/**
 * qvirtio_crypto_stop: reset the device and free the queues
 * @c: the driver
 */
void qvirtio_crypto_stop(QVirtioCrypto *c);

/**
 * qvirtio_crypto_ctrlq: the control queue of a device that has been set up
 * @c: the driver
 */
QVirtQueue *qvirtio_crypto_ctrlq(QVirtioCrypto *c);

/**
 * qvirtio_crypto_read_config: read the device's configuration space
 * @c: the driver, set up
 * @cfg: filled in, in host byte order
 */
void qvirtio_crypto_read_config(QVirtioCrypto *c,
                                struct virtio_crypto_config *cfg);

/**
 * qvirtio_crypto_is_broken: does the device ask for a reset?
 * @c: the driver
 */
bool qvirtio_crypto_is_broken(QVirtioCrypto *c);

/**
 * qvirtio_crypto_alloc: a piece of guest memory
 * @c: the driver
 * @len: its length
 *
 * Returns: the address of memory that stays the caller's until no request is
 * in flight any more and the next one is posted
 */
uint64_t qvirtio_crypto_alloc(QVirtioCrypto *c, size_t len);

/**
 * qvirtio_crypto_write_desc: write one descriptor of a descriptor table
 * @c: the driver
 * @table: address of the table: vq->desc or one of your own
 * @idx: index in the table
 * @desc: the descriptor, in host byte order
 */
void qvirtio_crypto_write_desc(QVirtioCrypto *c, uint64_t table, uint16_t idx,
                               const struct vring_desc *desc);

/**
 * qvirtio_crypto_layout: lay a request out in guest memory
 * @c: the driver
 * @req: the request
 *
 * Fills @req->descs, an array of struct vring_desc, without giving anything
 * to the device. The addresses in it are the device's.
 */
void qvirtio_crypto_layout(QVirtioCrypto *c, QVirtioCryptoReq *req);

/**
 * qvirtio_crypto_enqueue: put @req->descs in the ring as they are
 * @c: the driver
 * @vq: the queue
 * @req: a request that has been laid out, its descriptors perhaps altered
 *
 * The device is not notified.
 */
void qvirtio_crypto_enqueue(QVirtioCrypto *c, QVirtQueue *vq,
                            QVirtioCryptoReq *req);

/**
 * qvirtio_crypto_offer: put a chain in the available ring
 * @c: the driver
 * @vq: the queue
 * @head: index of the chain's first descriptor, right or wrong
 */
void qvirtio_crypto_offer(QVirtioCrypto *c, QVirtQueue *vq, uint16_t head);

/**
 * qvirtio_crypto_notify: ring the doorbell
 * @c: the driver
 * @vq: the queue
 */
void qvirtio_crypto_notify(QVirtioCrypto *c, QVirtQueue *vq);

/**
 * qvirtio_crypto_post: lay a request out and give it to the device
 * @c: the driver
 * @vq: the queue
 * @req: the request
 */
void qvirtio_crypto_post(QVirtioCrypto *c, QVirtQueue *vq,
                         QVirtioCryptoReq *req);

/**
 * qvirtio_crypto_wait: wait for the oldest request of a queue
 * @c: the driver
 * @vq: the queue
 * @req: the request that has to complete next
 * @timeout_us: how long to wait
 *
 * When the request completes, its @in fields are read back and the guards
 * checked.  In any case the request's private parts are freed.
 */
QVirtioCryptoOutcome qvirtio_crypto_wait(QVirtioCrypto *c, QVirtQueue *vq,
                                         QVirtioCryptoReq *req,
                                         gint64 timeout_us);

/**
 * qvirtio_crypto_ctrl: send a control request and wait for its end
 * @c: the driver
 * @ctrl: the request, in device byte order
 * @key: what follows @ctrl, may be NULL
 * @key_len: length of @key
 * @auth_key: what follows @key, may be NULL
 * @auth_key_len: length of @auth_key
 * @session_id: filled in on success, may be NULL
 *
 * For requests that are answered with a struct virtio_crypto_session_input.
 *
 * Returns: the virtio status
 */
uint32_t qvirtio_crypto_ctrl(QVirtioCrypto *c,
                             const struct virtio_crypto_op_ctrl_req *ctrl,
                             const void *key, size_t key_len,
                             const void *auth_key, size_t auth_key_len,
                             uint64_t *session_id);

/**
 * qvirtio_crypto_create_cipher: create a plain cipher session
 * @c: the driver
 * @algo: VIRTIO_CRYPTO_CIPHER_*
 * @op: VIRTIO_CRYPTO_OP_ENCRYPT or VIRTIO_CRYPTO_OP_DECRYPT
 * @key: the key
 * @key_len: its length
 * @session_id: filled in on success
 *
 * Returns: the virtio status
 */
uint32_t qvirtio_crypto_create_cipher(QVirtioCrypto *c, uint32_t algo,
                                      uint32_t op, const void *key,
                                      size_t key_len, uint64_t *session_id);

/**
 * qvirtio_crypto_create_rsa: create an RSA session
 * @c: the driver
 * @keytype: VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_*
 * @padding: VIRTIO_CRYPTO_RSA_RAW_PADDING or VIRTIO_CRYPTO_RSA_PKCS1_PADDING
 * @hash: VIRTIO_CRYPTO_RSA_*
 * @key: the key in PKCS#1 DER
 * @key_len: its length
 * @session_id: filled in on success
 *
 * Returns: the virtio status
 */
uint32_t qvirtio_crypto_create_rsa(QVirtioCrypto *c, uint32_t keytype,
                                   uint32_t padding, uint32_t hash,
                                   const void *key, size_t key_len,
                                   uint64_t *session_id);

/**
 * qvirtio_crypto_destroy_session: close a session
 * @c: the driver
 * @opcode: VIRTIO_CRYPTO_*_DESTROY_SESSION
 * @session_id: the session
 *
 * Returns: the virtio status
 */
uint8_t qvirtio_crypto_destroy_session(QVirtioCrypto *c, uint32_t opcode,
                                       uint64_t session_id);

/**
 * qvirtio_crypto_init_cipher_hdr: fill in the header of a cipher request
 * @hdr: the header
 * @opcode: VIRTIO_CRYPTO_CIPHER_ENCRYPT or VIRTIO_CRYPTO_CIPHER_DECRYPT
 * @session_id: the session
 * @iv_len: length of the IV
 * @len: length of source and destination
 */
void qvirtio_crypto_init_cipher_hdr(struct virtio_crypto_op_data_req *hdr,
                                    uint32_t opcode, uint64_t session_id,
                                    uint32_t iv_len, uint32_t len);

/**
 * qvirtio_crypto_cipher: run one cipher request and wait for its end
 * @c: the driver
 * @queue: number of the data queue
 * @opcode: VIRTIO_CRYPTO_CIPHER_ENCRYPT or VIRTIO_CRYPTO_CIPHER_DECRYPT
 * @session_id: the session
 * @iv: the IV
 * @iv_len: its length
 * @src: source
 * @dst: destination
 * @len: length of both
 * @layout: how to cut the request, NULL for one descriptor per field
 *
 * Returns: the virtio status
 */
uint8_t qvirtio_crypto_cipher(QVirtioCrypto *c, unsigned queue,
                              uint32_t opcode, uint64_t session_id,
                              const void *iv, size_t iv_len,
                              const void *src, void *dst, size_t len,
                              const QVirtioCryptoLayout *layout);

/**
 * qvirtio_crypto_akcipher: run one asymmetric request and wait for its end
 * @c: the driver
 * @opcode: VIRTIO_CRYPTO_AKCIPHER_*
 * @session_id: the session
 * @src: source
 * @src_len: its length
 * @dst: destination; for VERIFY, what is read as the second source
 * @dst_len: its length; set to the length of the result
 *
 * Returns: the virtio status
 */
uint8_t qvirtio_crypto_akcipher(QVirtioCrypto *c, uint32_t opcode,
                                uint64_t session_id,
                                const void *src, size_t src_len,
                                void *dst, size_t *dst_len);

#endif
