/*
 * cryptodev-backend-openssl: a cipher chained with a hash or HMAC
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * VIRTIO 1.3, 5.9.7.2.1 ("Symmetric algorithms session") and 5.9.7.6
 * ("Symmetric algorithms Operation"); HMAC is FIPS 198-1.
 */

#include "qemu/osdep.h"
#include <openssl/core_names.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

static int evp_setup_hmac(EvpLane *pattern, const EvpDigest *digest,
                          const CryptoDevEvpSymParams *p, char **why)
{
    g_autoptr(EVP_MAC) mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         (char *)EVP_MD_get0_name(digest->md),
                                         0),
        OSSL_PARAM_construct_end(),
    };
    /* libcrypto takes a NULL key for "the one you have" */
    const uint8_t *key = p->auth_key_len ? p->auth_key : (const uint8_t *)"";

    if (!mac) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, "HMAC");
    }
    pattern->mac = EVP_MAC_CTX_new(mac);
    if (!pattern->mac ||
        !EVP_MAC_init(pattern->mac, key, p->auth_key_len, params)) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "HMAC");
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_setup_hash(EvpLane *pattern, const EvpDigest *digest, char **why)
{
    pattern->md = EVP_MD_CTX_new();
    if (!pattern->md || !EVP_DigestInit_ex2(pattern->md, digest->md, NULL)) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the hash");
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_set_order(EvpChain *chain, uint32_t order, char **why)
{
    switch (order) {
    case VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER:
        chain->hash_first = true;
        return VIRTIO_CRYPTO_OK;
    case VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH:
        chain->hash_first = false;
        return VIRTIO_CRYPTO_OK;
    default:
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "chain order %u is not supported", order);
    }
}

int cryptodev_evp_chain_setup(EvpChain *chain, EvpLane *pattern,
                              const CryptoDevEvpSymParams *p, char **why)
{
    bool auth = p->hash_mode == VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
    int status;

    status = evp_set_order(chain, p->chain_order, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    status = cryptodev_evp_digest_fetch(&chain->digest,
                                        auth ? EVP_NUMBERING_MAC
                                             : EVP_NUMBERING_HASH,
                                        p->hash_alg, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (p->hash_result_len == 0 || p->hash_result_len > chain->digest.size) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "a result of %s has 1 to %u bytes, not %u",
                                    EVP_MD_get0_name(chain->digest.md),
                                    chain->digest.size, p->hash_result_len);
    }
    chain->result_len = p->hash_result_len;
    chain->aad_len = p->aad_len;
    return auth ? evp_setup_hmac(pattern, &chain->digest, p, why)
                : evp_setup_hash(pattern, &chain->digest, why);
}

static bool evp_within(uint32_t start, uint32_t len, uint32_t total)
{
    return start <= total && len <= total - start;
}

int cryptodev_evp_chain_check(const EvpChain *chain,
                              const CryptoDevEvpSymOp *op, char **why)
{
    if (!evp_within(op->cipher_start, op->cipher_len, op->src_len)) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the %u bytes to cipher from offset %u "
                                    "exceed the source of %u", op->cipher_len,
                                    op->cipher_start, op->src_len);
    }
    if (!evp_within(op->hash_start, op->hash_len, op->src_len)) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the %u bytes to hash from offset %u "
                                    "exceed the source of %u", op->hash_len,
                                    op->hash_start, op->src_len);
    }
    if (op->digest_len == 0 || op->digest_len > chain->result_len) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the session has digests of 1 to %u "
                                    "bytes, not %u", chain->result_len,
                                    op->digest_len);
    }
    if (op->aad_len != chain->aad_len) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the session has %u bytes of additional "
                                    "data, not %u", chain->aad_len,
                                    op->aad_len);
    }
    return VIRTIO_CRYPTO_OK;
}

static bool evp_digest(EVP_MD_CTX *ctx, const EVP_MD *md,
                       const CryptoDevEvpSymOp *op, const uint8_t *data,
                       uint8_t *result, size_t *len)
{
    unsigned int done = 0;
    bool ok = EVP_DigestInit_ex2(ctx, md, NULL) &&
              EVP_DigestUpdate(ctx, op->aad, op->aad_len) &&
              EVP_DigestUpdate(ctx, data, op->hash_len) &&
              EVP_DigestFinal_ex(ctx, result, &done);

    *len = done;
    return ok;
}

static bool evp_hmac(EVP_MAC_CTX *ctx, const CryptoDevEvpSymOp *op,
                     const uint8_t *data, uint8_t *result, size_t *len)
{
    return EVP_MAC_init(ctx, NULL, 0, NULL) &&
           EVP_MAC_update(ctx, op->aad, op->aad_len) &&
           EVP_MAC_update(ctx, data, op->hash_len) &&
           EVP_MAC_final(ctx, result, len, EVP_MAX_MD_SIZE);
}

/*
 * 5.9.7.6 passes additional data along without saying what becomes of it.
 * Where a cipher is combined with a MAC (ESP in RFC 4303, TLS in RFC 7366), the
 * MAC covers a header that is sent apart, then the message: so the additional
 * data are hashed first.
 */
static int evp_run_hash(const EvpChain *chain, const EvpLane *lane,
                        const CryptoDevEvpSymOp *op, const uint8_t *data,
                        char **why)
{
    uint8_t result[EVP_MAX_MD_SIZE];
    size_t len = 0;
    bool ok;

    if (op->hash_len) {
        data += op->hash_start;
    }
    ok = lane->mac ? evp_hmac(lane->mac, op, data, result, &len)
                   : evp_digest(lane->md, chain->digest.md, op, data, result,
                                &len);
    if (!ok || len != chain->digest.size) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the hash");
    }
    memcpy(op->digest, result, op->digest_len);
    return VIRTIO_CRYPTO_OK;
}

/*
 * The front end returns the whole destination to the guest, so what is not
 * ciphered has to be there as well; and a hash after the cipher covers headers
 * in the clear along with the ciphertext.
 */
static void evp_copy_clear_parts(const CryptoDevEvpSymOp *op)
{
    uint32_t end = op->cipher_start + op->cipher_len;

    if (op->dst == op->src) {
        return;
    }
    if (op->cipher_start) {
        memcpy(op->dst, op->src, op->cipher_start);
    }
    if (end < op->src_len) {
        memcpy(op->dst + end, op->src + end, op->src_len - end);
    }
}

int cryptodev_evp_chain_run(const EvpChain *chain, const EvpLane *lane,
                            const CryptoDevEvpSymOp *op, char **why)
{
    const uint8_t *src = op->cipher_len ? op->src + op->cipher_start : NULL;
    uint8_t *dst = op->cipher_len ? op->dst + op->cipher_start : NULL;
    int status = VIRTIO_CRYPTO_OK;

    if (chain->hash_first) {
        status = evp_run_hash(chain, lane, op, op->src, why);
    }
    if (status == VIRTIO_CRYPTO_OK) {
        evp_copy_clear_parts(op);
        status = cryptodev_evp_cipher_run(lane->cipher, op->iv, src, dst,
                                          op->cipher_len, why);
    }
    if (status == VIRTIO_CRYPTO_OK && !chain->hash_first) {
        status = evp_run_hash(chain, lane, op, op->dst, why);
    }
    return status;
}
