/*
 * cryptodev-backend-openssl: hashes, under the numbers virtio-crypto has
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

typedef struct EvpDigestNumbers {
    const char *name;
    uint32_t id[EVP_NUMBERING__MAX];    /* 0 is "none" in each of them */
} EvpDigestNumbers;

/* VIRTIO 1.3, 5.9.4.2 (hash), 5.9.4.3 (MAC), 5.9.7.2.1 (RSA) */
static const EvpDigestNumbers evp_digests[] = {
    { "MD5",      { VIRTIO_CRYPTO_HASH_MD5, VIRTIO_CRYPTO_MAC_HMAC_MD5,
                    VIRTIO_CRYPTO_RSA_MD5 } },
    { "SHA1",     { VIRTIO_CRYPTO_HASH_SHA1, VIRTIO_CRYPTO_MAC_HMAC_SHA1,
                    VIRTIO_CRYPTO_RSA_SHA1 } },
    { "SHA2-224", { VIRTIO_CRYPTO_HASH_SHA_224, VIRTIO_CRYPTO_MAC_HMAC_SHA_224,
                    VIRTIO_CRYPTO_RSA_SHA224 } },
    { "SHA2-256", { VIRTIO_CRYPTO_HASH_SHA_256, VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
                    VIRTIO_CRYPTO_RSA_SHA256 } },
    { "SHA2-384", { VIRTIO_CRYPTO_HASH_SHA_384, VIRTIO_CRYPTO_MAC_HMAC_SHA_384,
                    VIRTIO_CRYPTO_RSA_SHA384 } },
    { "SHA2-512", { VIRTIO_CRYPTO_HASH_SHA_512, VIRTIO_CRYPTO_MAC_HMAC_SHA_512,
                    VIRTIO_CRYPTO_RSA_SHA512 } },
    { "SHA3-224", { VIRTIO_CRYPTO_HASH_SHA3_224 } },
    { "SHA3-256", { VIRTIO_CRYPTO_HASH_SHA3_256 } },
    { "SHA3-384", { VIRTIO_CRYPTO_HASH_SHA3_384 } },
    { "SHA3-512", { VIRTIO_CRYPTO_HASH_SHA3_512 } },
};

void cryptodev_evp_digest_probe(CryptoDevEvpCaps *caps)
{
    g_autoptr(EVP_MAC) hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_digests); i++) {
        const EvpDigestNumbers *d = &evp_digests[i];
        g_autoptr(EVP_MD) md = EVP_MD_fetch(NULL, d->name, NULL);

        if (!md) {
            continue;
        }
        caps->hash_algo |= 1u << d->id[EVP_NUMBERING_HASH];
        if (hmac && d->id[EVP_NUMBERING_MAC]) {
            caps->mac_algo |= 1u << d->id[EVP_NUMBERING_MAC];
        }
    }
}

static const char *evp_digest_name(EvpNumbering numbering, uint32_t id)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_digests); i++) {
        if (id && evp_digests[i].id[numbering] == id) {
            return evp_digests[i].name;
        }
    }
    return NULL;
}

int cryptodev_evp_digest_fetch(EvpDigest *digest, EvpNumbering numbering,
                               uint32_t id, char **why)
{
    const char *name = evp_digest_name(numbering, id);
    int size;

    if (!name) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "hash algorithm %u is not supported", id);
    }
    digest->md = EVP_MD_fetch(NULL, name, NULL);
    size = digest->md ? EVP_MD_get_size(digest->md) : 0;
    if (size <= 0 || size > EVP_MAX_MD_SIZE) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, name);
    }
    digest->size = size;
    return VIRTIO_CRYPTO_OK;
}
