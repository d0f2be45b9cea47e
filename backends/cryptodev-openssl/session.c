/*
 * cryptodev-backend-openssl: sessions, and the queues that use them
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A symmetric session holds a pattern: contexts with the key scheduled, which
 * are never used for data.  A queue's first request copies the pattern into
 * the queue's lane; from then on a request only sets the IV and runs.  So
 * queues share nothing that is written to, and no key bytes are kept.
 *
 * Other users of libcrypto may have left errors in this thread's queue, which
 * are not to explain a failure here.  So the queue is emptied before anything
 * but a cipher request's own work: that costs an eighth of a short one, and
 * what fails there adds an error of its own, which is then the last.
 *
 * An asymmetric session holds an RSA key, which libcrypto lets any thread
 * read.  A request builds its own small context: next to a modular
 * exponentiation that is nothing.
 */

#include "qemu/osdep.h"
#include <openssl/err.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

struct CryptoDevEvpSession {
    /* symmetric */
    const EvpCipher *cipher;   /* NULL: an asymmetric session */
    uint32_t op_code;          /* the only one its direction allows */
    uint32_t op_type;
    EvpChain chain;            /* empty for a cipher alone */
    EvpLane pattern;
    EvpLane *lanes;
    unsigned int queues;

    /* asymmetric */
    EvpRsa *rsa;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoDevEvpSession, cryptodev_evp_session_free)

void cryptodev_evp_probe(CryptoDevEvpCaps *caps)
{
    *caps = (CryptoDevEvpCaps) { .rsa = cryptodev_evp_rsa_probe() };
    cryptodev_evp_cipher_probe(caps);
    cryptodev_evp_digest_probe(caps);
    ERR_clear_error();
}

static void evp_lane_clear(EvpLane *lane)
{
    EVP_CIPHER_CTX_free(lane->cipher);
    EVP_MD_CTX_free(lane->md);
    EVP_MAC_CTX_free(lane->mac);
    memset(lane, 0, sizeof(*lane));
}

static bool evp_lane_copy(EvpLane *lane, const EvpLane *pattern)
{
    lane->cipher = EVP_CIPHER_CTX_new();
    if (!lane->cipher ||
        !EVP_CIPHER_CTX_copy(lane->cipher, pattern->cipher)) {
        return false;
    }
    if (pattern->mac) {
        lane->mac = EVP_MAC_CTX_dup(pattern->mac);
        return lane->mac != NULL;
    }
    if (pattern->md) {
        lane->md = EVP_MD_CTX_new();
        return lane->md && EVP_MD_CTX_copy_ex(lane->md, pattern->md);
    }
    return true;
}

/* Only the thread of @queue comes here for @queue, so no lock is needed */
static EvpLane *evp_lane(CryptoDevEvpSession *s, unsigned int queue)
{
    EvpLane *lane = &s->lanes[queue];

    if (G_UNLIKELY(!lane->cipher)) {
        ERR_clear_error();
        if (!evp_lane_copy(lane, &s->pattern)) {
            evp_lane_clear(lane);
            return NULL;
        }
    }
    return lane;
}

int cryptodev_evp_sym_session_new(const CryptoDevEvpSymParams *p,
                                  unsigned int queues,
                                  CryptoDevEvpSession **session, char **why)
{
    g_autoptr(CryptoDevEvpSession) s = g_new0(CryptoDevEvpSession, 1);
    int status;

    *session = NULL;
    if (p->direction != VIRTIO_CRYPTO_OP_ENCRYPT &&
        p->direction != VIRTIO_CRYPTO_OP_DECRYPT) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "direction %u is not supported",
                                    p->direction);
    }
    s->op_type = p->op_type;
    s->op_code = p->direction == VIRTIO_CRYPTO_OP_ENCRYPT ?
                 VIRTIO_CRYPTO_CIPHER_ENCRYPT : VIRTIO_CRYPTO_CIPHER_DECRYPT;
    s->queues = queues;
    s->lanes = g_new0(EvpLane, queues);

    ERR_clear_error();
    status = cryptodev_evp_cipher_setup(&s->cipher, &s->pattern.cipher, p, why);
    if (status == VIRTIO_CRYPTO_OK &&
        p->op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING) {
        status = cryptodev_evp_chain_setup(&s->chain, &s->pattern, p, why);
    }
    if (status == VIRTIO_CRYPTO_OK) {
        *session = g_steal_pointer(&s);
    }
    return status;
}

int cryptodev_evp_ak_session_new(const CryptoDevEvpAkParams *p,
                                 CryptoDevEvpSession **session, char **why)
{
    g_autoptr(CryptoDevEvpSession) s = g_new0(CryptoDevEvpSession, 1);
    int status;

    *session = NULL;
    ERR_clear_error();
    status = cryptodev_evp_rsa_new(&s->rsa, p, why);
    if (status == VIRTIO_CRYPTO_OK) {
        *session = g_steal_pointer(&s);
    }
    return status;
}

void cryptodev_evp_session_free(CryptoDevEvpSession *s)
{
    unsigned int i;

    if (!s) {
        return;
    }
    for (i = 0; i < s->queues; i++) {
        evp_lane_clear(&s->lanes[i]);
    }
    g_free(s->lanes);
    evp_lane_clear(&s->pattern);
    EVP_MD_free(s->chain.digest.md);
    cryptodev_evp_rsa_free(s->rsa);
    g_free(s);
}

static int evp_check_sym_op(const CryptoDevEvpSession *s, unsigned int queue,
                            const CryptoDevEvpSymOp *op, char **why)
{
    if (!s->cipher) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_INVSESS,
                                    "symmetric request on an asymmetric "
                                    "session");
    }
    if (op->op_code != s->op_code || op->op_type != s->op_type) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the request is for operation 0x%x of type "
                                    "%u, the session is for 0x%x of type %u",
                                    op->op_code, op->op_type, s->op_code,
                                    s->op_type);
    }
    if (queue >= s->queues) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "there is no queue %u", queue);
    }
    if (op->dst_len != op->src_len) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the source has %u bytes, but the "
                                    "destination %u", op->src_len, op->dst_len);
    }
    return VIRTIO_CRYPTO_OK;
}

int cryptodev_evp_sym_op(CryptoDevEvpSession *s, unsigned int queue,
                         const CryptoDevEvpSymOp *op, char **why)
{
    bool chain = op->op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    EvpLane *lane;
    int status;

    status = evp_check_sym_op(s, queue, op, why);
    if (status == VIRTIO_CRYPTO_OK) {
        status = cryptodev_evp_cipher_check(s->cipher, op->iv_len,
                                            chain ? op->cipher_len
                                                  : op->src_len, why);
    }
    if (status == VIRTIO_CRYPTO_OK && chain) {
        status = cryptodev_evp_chain_check(&s->chain, op, why);
    }
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }

    lane = evp_lane(s, queue);
    if (!lane) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR,
                                    "the context of the queue");
    }
    if (chain) {
        return cryptodev_evp_chain_run(&s->chain, lane, op, why);
    }
    return cryptodev_evp_cipher_run(lane->cipher, op->iv, op->src, op->dst,
                                    op->src_len, why);
}

int cryptodev_evp_ak_op(CryptoDevEvpSession *s, CryptoDevEvpAkOp *op,
                        char **why)
{
    if (!s->rsa) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_INVSESS,
                                    "asymmetric request on a symmetric "
                                    "session");
    }
    ERR_clear_error();
    return cryptodev_evp_rsa_run(s->rsa, op, why);
}
