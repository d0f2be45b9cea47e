/*
 * cryptodev-backend-openssl: AES in ECB, CBC, CTR and XTS mode
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * NIST SP 800-38A for the first three; SP 800-38E, which is IEEE Std 1619,
 * for XTS.
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

struct EvpCipher {
    uint32_t algo;
    uint32_t key_len;     /* of both keys together (XTS), in bytes */
    const char *name;
    uint8_t iv_len;
    uint8_t granule;      /* data comes in multiples of this */
    uint8_t shortest;     /* and is at least this long */
};

static const EvpCipher evp_ciphers[] = {
    { VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, "AES-128-ECB",  0, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_ECB, 24, "AES-192-ECB",  0, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_ECB, 32, "AES-256-ECB",  0, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, "AES-128-CBC", 16, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CBC, 24, "AES-192-CBC", 16, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CBC, 32, "AES-256-CBC", 16, 16,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, "AES-128-CTR", 16,  1,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CTR, 24, "AES-192-CTR", 16,  1,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_CTR, 32, "AES-256-CTR", 16,  1,  0 },
    { VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, "AES-128-XTS", 16,  1, 16 },
    { VIRTIO_CRYPTO_CIPHER_AES_XTS, 64, "AES-256-XTS", 16,  1, 16 },
};

void cryptodev_evp_cipher_probe(CryptoDevEvpCaps *caps)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_ciphers); i++) {
        g_autoptr(EVP_CIPHER) c = EVP_CIPHER_fetch(NULL, evp_ciphers[i].name,
                                                   NULL);

        caps->cipher_algo |= c ? 1u << evp_ciphers[i].algo : 0;
    }
}

static const EvpCipher *evp_find_cipher(uint32_t algo, uint32_t key_len,
                                        bool *algo_known)
{
    size_t i;

    *algo_known = false;
    for (i = 0; i < G_N_ELEMENTS(evp_ciphers); i++) {
        if (evp_ciphers[i].algo != algo) {
            continue;
        }
        *algo_known = true;
        if (evp_ciphers[i].key_len == key_len) {
            return &evp_ciphers[i];
        }
    }
    return NULL;
}

int cryptodev_evp_cipher_setup(const EvpCipher **cipher, EVP_CIPHER_CTX **ctx,
                               const CryptoDevEvpSymParams *p, char **why)
{
    g_autoptr(EVP_CIPHER) evp = NULL;
    bool algo_known;

    *cipher = evp_find_cipher(p->cipher_alg, p->cipher_key_len, &algo_known);
    if (!algo_known) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "cipher algorithm %u is not supported",
                                    p->cipher_alg);
    }
    if (!*cipher) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "cipher algorithm %u takes no key of %u "
                                    "bytes", p->cipher_alg, p->cipher_key_len);
    }

    evp = EVP_CIPHER_fetch(NULL, (*cipher)->name, NULL);
    if (!evp) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_NOTSUPP,
                                    (*cipher)->name);
    }
    *ctx = EVP_CIPHER_CTX_new();
    if (!*ctx ||
        !EVP_CipherInit_ex2(*ctx, evp, p->cipher_key, NULL,
                            p->direction == VIRTIO_CRYPTO_OP_ENCRYPT, NULL) ||
        !EVP_CIPHER_CTX_set_padding(*ctx, 0)) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, (*cipher)->name);
    }
    return VIRTIO_CRYPTO_OK;
}

int cryptodev_evp_cipher_check(const EvpCipher *c, uint32_t iv_len,
                               uint32_t len, char **why)
{
    if (iv_len != c->iv_len) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "%s takes an IV of %u bytes, not %u",
                                    c->name, c->iv_len, iv_len);
    }
    /* libcrypto's lengths are of type int */
    if (len % c->granule || len < c->shortest || len > INT_MAX) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "%s cannot process %u bytes",
                                    c->name, len);
    }
    return VIRTIO_CRYPTO_OK;
}

int cryptodev_evp_cipher_run(EVP_CIPHER_CTX *ctx, const uint8_t *iv,
                             const uint8_t *src, uint8_t *dst, uint32_t len,
                             char **why)
{
    int done = 0;

    if (len == 0) {
        return VIRTIO_CRYPTO_OK;
    }
    if (!EVP_CipherInit_ex2(ctx, NULL, NULL, iv, -1, NULL) ||
        !EVP_CipherUpdate(ctx, dst, &done, src, len) ||
        done != len) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the cipher");
    }
    return VIRTIO_CRYPTO_OK;
}
