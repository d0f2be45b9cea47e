/*
 * cryptodev-backend-openssl: a cryptodev backend on libcrypto
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * AES in ECB, CBC, CTR and XTS mode, alone or chained with a hash or HMAC, and
 * RSA; on 1 to 64 queues.  This file keeps the sessions and speaks with the
 * cryptodev framework; "internal.h" says where the rest is.
 *
 * What a guest is told (VIRTIO 1.3, 5.9.5):
 * - The services CIPHER and, where libcrypto has RSA, AKCIPHER.  Not HASH and
 *   MAC: virtio-crypto has no way to a hash on its own.  The hash and MAC
 *   algorithm masks are set nevertheless, since a driver has to know what it
 *   can chain with a cipher.
 * - Of the asymmetric algorithms RSA alone: virtio-crypto refuses to create any
 *   other session.
 *
 * Like the rest of the framework this runs under the BQL.  What the queues
 * compute with is theirs alone, so that it would stay without locks if the
 * framework served them from several threads.
 */

#include "qemu/osdep.h"
#include <openssl/crypto.h>
#include "qapi/error.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qom/object.h"
#include "standard-headers/linux/virtio_crypto.h"
#include "system/cryptodev.h"
#include "system/cryptodev-openssl-evp.h"

/**
 * @TYPE_CRYPTODEV_BACKEND_OPENSSL:
 * name of the backend that uses libcrypto
 */
#define TYPE_CRYPTODEV_BACKEND_OPENSSL "cryptodev-backend-openssl"

OBJECT_DECLARE_SIMPLE_TYPE(CryptoDevBackendOpenssl, CRYPTODEV_BACKEND_OPENSSL)

#define OPENSSL_MAX_SESSIONS      1024

/*
 * All variable parts of a request together.  A request is copied, so this
 * bounds what a guest can make QEMU allocate.  Source and destination count
 * both, and Linux fails what exceeds it instead of splitting it: be generous.
 */
#define OPENSSL_MAX_REQUEST_SIZE  (4 * MiB)

/*
 * A session's ID is its slot and the slot's generation.  A request can wait
 * (throttling) while its session is closed and the slot is used again: it must
 * not run with the next session's key.
 */
typedef struct OpensslSlot {
    CryptoDevEvpSession *session;
    uint32_t generation;
} OpensslSlot;

#define OPENSSL_ID_GENERATION_SHIFT  32

struct CryptoDevBackendOpenssl {
    CryptoDevBackend parent_obj;

    /* "queues" of the parent can be changed at any time; these exist */
    unsigned int queues;
    OpensslSlot slots[OPENSSL_MAX_SESSIONS];
};

static void cryptodev_openssl_init(CryptoDevBackend *backend, Error **errp)
{
    CryptoDevBackendOpenssl *openssl = CRYPTODEV_BACKEND_OPENSSL(backend);
    uint32_t queues = backend->conf.peers.queues;
    CryptoDevEvpCaps caps;
    unsigned int i;

    if (queues > MAX_CRYPTO_QUEUE_NUM) {
        error_setg(errp, "cryptodev-backend-openssl has 1 to %d queues, "
                   "not %" PRIu32, MAX_CRYPTO_QUEUE_NUM, queues);
        return;
    }
    cryptodev_evp_probe(&caps);
    if (!caps.cipher_algo) {
        error_setg(errp, "OpenSSL's libcrypto offers none of the AES modes "
                   "that cryptodev-backend-openssl needs");
        error_append_hint(errp, "Check the host's OpenSSL configuration "
                          "(providers, FIPS policy).\n");
        return;
    }

    for (i = 0; i < queues; i++) {
        CryptoDevBackendClient *cc = cryptodev_backend_new_client();

        cc->info_str = g_strdup_printf("cryptodev-openssl%u", i);
        cc->queue_index = i;
        cc->type = QCRYPTODEV_BACKEND_TYPE_OPENSSL;
        backend->conf.peers.ccs[i] = cc;
    }
    openssl->queues = queues;

    backend->conf.crypto_services =
        1u << QCRYPTODEV_BACKEND_SERVICE_TYPE_CIPHER;
    backend->conf.cipher_algo_l = caps.cipher_algo;
    backend->conf.hash_algo = caps.hash_algo;
    backend->conf.mac_algo_l = caps.mac_algo;
    if (caps.rsa) {
        backend->conf.crypto_services |=
            1u << QCRYPTODEV_BACKEND_SERVICE_TYPE_AKCIPHER;
        backend->conf.akcipher_algo = 1u << VIRTIO_CRYPTO_AKCIPHER_RSA;
    }
    backend->conf.max_size = OPENSSL_MAX_REQUEST_SIZE;
    backend->conf.max_cipher_key_len = CRYPTODEV_EVP_MAX_CIPHER_KEY;
    backend->conf.max_auth_key_len = CRYPTODEV_EVP_MAX_AUTH_KEY;

    cryptodev_backend_set_ready(backend, true);
}

static int cryptodev_openssl_free_slot(const CryptoDevBackendOpenssl *openssl)
{
    int i;

    for (i = 0; i < OPENSSL_MAX_SESSIONS; i++) {
        if (!openssl->slots[i].session) {
            return i;
        }
    }
    return -1;
}

/* Returns: the slot of an open session, or NULL */
static OpensslSlot *cryptodev_openssl_find_slot(
    CryptoDevBackendOpenssl *openssl, uint64_t session_id)
{
    uint32_t index = session_id;
    OpensslSlot *slot;

    if (index >= OPENSSL_MAX_SESSIONS) {
        return NULL;
    }
    slot = &openssl->slots[index];
    if (!slot->session ||
        slot->generation != session_id >> OPENSSL_ID_GENERATION_SHIFT) {
        return NULL;
    }
    return slot;
}

static void cryptodev_openssl_clear_slot(OpensslSlot *slot)
{
    cryptodev_evp_session_free(slot->session);
    slot->session = NULL;
    slot->generation++;
}

/* The front end frees its copy of a key, but does not wipe it */
static void cryptodev_openssl_wipe(uint8_t *key, uint32_t len)
{
    if (key) {
        OPENSSL_cleanse(key, len);
    }
}

static int cryptodev_openssl_new_sym(CryptoDevBackendOpenssl *openssl,
                                     CryptoDevBackendSymSessionInfo *info,
                                     CryptoDevEvpSession **session, char **why)
{
    CryptoDevEvpSymParams params = {
        .cipher_alg = info->cipher_alg,
        .direction = info->direction,
        .op_type = info->op_type,
        .cipher_key = info->cipher_key,
        .cipher_key_len = info->key_len,
        .chain_order = info->alg_chain_order,
        .hash_mode = info->hash_mode,
        .hash_alg = info->hash_alg,
        .hash_result_len = info->hash_result_len,
        .auth_key = info->auth_key,
        .auth_key_len = info->auth_key_len,
        .aad_len = info->add_len,
    };
    int status = cryptodev_evp_sym_session_new(&params, openssl->queues,
                                               session, why);

    cryptodev_openssl_wipe(info->cipher_key, info->key_len);
    cryptodev_openssl_wipe(info->auth_key, info->auth_key_len);
    return status;
}

static int cryptodev_openssl_new_asym(CryptoDevBackendAsymSessionInfo *info,
                                      CryptoDevEvpSession **session,
                                      char **why)
{
    CryptoDevEvpAkParams params = {
        .keytype = info->keytype,
        .key = info->key,
        .keylen = info->keylen,
        .rsa_padding = info->u.rsa.padding_algo,
        .rsa_hash = info->u.rsa.hash_algo,
    };
    int status = VIRTIO_CRYPTO_NOTSUPP;

    /* What tells that u.rsa is the member that was set */
    if (info->algo == VIRTIO_CRYPTO_AKCIPHER_RSA) {
        status = cryptodev_evp_ak_session_new(&params, session, why);
    } else {
        *why = g_strdup_printf("asymmetric algorithm %u is not supported",
                               info->algo);
    }
    cryptodev_openssl_wipe(info->key, info->keylen);
    return status;
}

static int cryptodev_openssl_new_session(CryptoDevBackendOpenssl *openssl,
                                         CryptoDevBackendSessionInfo *info,
                                         CryptoDevEvpSession **session,
                                         char **why)
{
    switch (info->op_code) {
    case VIRTIO_CRYPTO_CIPHER_CREATE_SESSION:
        return cryptodev_openssl_new_sym(openssl, &info->u.sym_sess_info,
                                         session, why);
    case VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION:
        return cryptodev_openssl_new_asym(&info->u.asym_sess_info, session,
                                          why);
    default:
        *why = g_strdup_printf("control operation 0x%x is not supported",
                               info->op_code);
        return VIRTIO_CRYPTO_NOTSUPP;
    }
}

/* A session is valid on every queue, whichever one the driver named */
static int cryptodev_openssl_create_session(CryptoDevBackend *backend,
                                            CryptoDevBackendSessionInfo *info,
                                            uint32_t queue_index,
                                            CryptoDevCompletionFunc cb,
                                            void *opaque)
{
    CryptoDevBackendOpenssl *openssl = CRYPTODEV_BACKEND_OPENSSL(backend);
    g_autofree char *why = NULL;
    CryptoDevEvpSession *session = NULL;
    OpensslSlot *slot;
    int status, index;

    status = cryptodev_openssl_new_session(openssl, info, &session, &why);
    index = cryptodev_openssl_free_slot(openssl);
    if (status == VIRTIO_CRYPTO_OK && index < 0) {
        cryptodev_evp_session_free(session);
        why = g_strdup_printf("all %d sessions are in use",
                              OPENSSL_MAX_SESSIONS);
        status = VIRTIO_CRYPTO_NOSPC;
    }
    if (status == VIRTIO_CRYPTO_OK) {
        slot = &openssl->slots[index];
        slot->session = session;
        info->session_id = index |
            (uint64_t)slot->generation << OPENSSL_ID_GENERATION_SHIFT;
    } else {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "cryptodev-openssl: cannot create a session: %s\n",
                      why);
    }
    cb(opaque, -status);
    return 0;
}

static int cryptodev_openssl_close_session(CryptoDevBackend *backend,
                                           uint64_t session_id,
                                           uint32_t queue_index,
                                           CryptoDevCompletionFunc cb,
                                           void *opaque)
{
    CryptoDevBackendOpenssl *openssl = CRYPTODEV_BACKEND_OPENSSL(backend);
    OpensslSlot *slot = cryptodev_openssl_find_slot(openssl, session_id);

    if (!slot) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "cryptodev-openssl: there is no session 0x%" PRIx64
                      " to close\n", session_id);
        return -VIRTIO_CRYPTO_INVSESS;
    }
    cryptodev_openssl_clear_slot(slot);
    /* A reset closes sessions as well, and waits for nothing */
    if (cb) {
        cb(opaque, VIRTIO_CRYPTO_OK);
    }
    return 0;
}

static int cryptodev_openssl_sym_op(CryptoDevEvpSession *session,
                                    const CryptoDevBackendOpInfo *op_info,
                                    char **why)
{
    const CryptoDevBackendSymOpInfo *info = op_info->u.sym_op_info;
    CryptoDevEvpSymOp op = {
        .op_code = op_info->op_code,
        .op_type = info->op_type,
        .iv = info->iv,
        .iv_len = info->iv_len,
        .src = info->src,
        .src_len = info->src_len,
        .dst = info->dst,
        .dst_len = info->dst_len,
        .cipher_start = info->cipher_start_src_offset,
        .cipher_len = info->len_to_cipher,
        .hash_start = info->hash_start_src_offset,
        .hash_len = info->len_to_hash,
        .aad = info->aad_data,
        .aad_len = info->aad_len,
        .digest = info->digest_result,
        .digest_len = info->digest_result_len,
    };

    return cryptodev_evp_sym_op(session, op_info->queue_index, &op, why);
}

static int cryptodev_openssl_asym_op(CryptoDevEvpSession *session,
                                     const CryptoDevBackendOpInfo *op_info,
                                     char **why)
{
    CryptoDevBackendAsymOpInfo *info = op_info->u.asym_op_info;
    CryptoDevEvpAkOp op = {
        .op_code = op_info->op_code,
        .src = info->src,
        .src_len = info->src_len,
        .dst = info->dst,
        .dst_len = info->dst_len,
    };
    int status = cryptodev_evp_ak_op(session, &op, why);

    info->dst_len = op.dst_len;
    return status;
}

static int cryptodev_openssl_run(CryptoDevBackendOpenssl *openssl,
                                 const CryptoDevBackendOpInfo *op_info,
                                 char **why)
{
    OpensslSlot *slot = cryptodev_openssl_find_slot(openssl,
                                                    op_info->session_id);

    if (!slot) {
        *why = g_strdup_printf("there is no session 0x%" PRIx64,
                               op_info->session_id);
        return VIRTIO_CRYPTO_INVSESS;
    }
    /* The framework's statistics have refused any other type */
    return op_info->algtype == QCRYPTODEV_BACKEND_ALGO_TYPE_SYM ?
           cryptodev_openssl_sym_op(slot->session, op_info, why) :
           cryptodev_openssl_asym_op(slot->session, op_info, why);
}

/*
 * Always completes the request through its callback: when it comes from the
 * framework's throttle timer, nobody looks at a return value, and a request
 * answered that way alone would be lost.
 */
static int cryptodev_openssl_do_op(CryptoDevBackend *backend,
                                   CryptoDevBackendOpInfo *op_info)
{
    CryptoDevBackendOpenssl *openssl = CRYPTODEV_BACKEND_OPENSSL(backend);
    g_autofree char *why = NULL;
    int status = cryptodev_openssl_run(openssl, op_info, &why);

    if (status != VIRTIO_CRYPTO_OK) {
        qemu_log_mask(LOG_GUEST_ERROR, "cryptodev-openssl: %s\n", why);
    }
    op_info->cb(op_info->opaque, -status);
    return 0;
}

/* Also called when init() was not, or failed */
static void cryptodev_openssl_cleanup(CryptoDevBackend *backend, Error **errp)
{
    CryptoDevBackendOpenssl *openssl = CRYPTODEV_BACKEND_OPENSSL(backend);
    unsigned int i;

    for (i = 0; i < OPENSSL_MAX_SESSIONS; i++) {
        cryptodev_openssl_clear_slot(&openssl->slots[i]);
    }
    for (i = 0; i < openssl->queues; i++) {
        cryptodev_backend_free_client(backend->conf.peers.ccs[i]);
        backend->conf.peers.ccs[i] = NULL;
    }
    openssl->queues = 0;
    cryptodev_backend_set_ready(backend, false);
}

static void cryptodev_openssl_class_init(ObjectClass *oc, const void *data)
{
    CryptoDevBackendClass *bc = CRYPTODEV_BACKEND_CLASS(oc);

    bc->init = cryptodev_openssl_init;
    bc->cleanup = cryptodev_openssl_cleanup;
    bc->create_session = cryptodev_openssl_create_session;
    bc->close_session = cryptodev_openssl_close_session;
    bc->do_op = cryptodev_openssl_do_op;
}

static const TypeInfo cryptodev_openssl_info = {
    .name = TYPE_CRYPTODEV_BACKEND_OPENSSL,
    .parent = TYPE_CRYPTODEV_BACKEND,
    .class_init = cryptodev_openssl_class_init,
    .instance_size = sizeof(CryptoDevBackendOpenssl),
};

static void cryptodev_openssl_register_types(void)
{
    type_register_static(&cryptodev_openssl_info);
}

type_init(cryptodev_openssl_register_types);
