/*
 * cryptodev-backend-openssl: what its files share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each file calls only those below it:
 *
 *     object.c              the QOM object: sessions by number, completion
 *     session.c             a session and its queues; dispatch of requests
 *     chain.c     rsa.c     cipher and hash in one request | RSA
 *     cipher.c              AES
 *     digest.c    error.c   which hash a number means | a failure's reason
 *
 * object.c needs no more of session.c than "system/cryptodev-openssl-evp.h",
 * where status, reasons and threads are explained; the rules there hold here
 * as well.  VIRTIO 1.3 is the document that comments cite by section.
 */

#ifndef BACKENDS_CRYPTODEV_OPENSSL_INTERNAL_H
#define BACKENDS_CRYPTODEV_OPENSSL_INTERNAL_H

#include <openssl/evp.h>
#include "system/cryptodev-openssl-evp.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER, EVP_CIPHER_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MAC, EVP_MAC_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD, EVP_MD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)

/* error.c */

/**
 * cryptodev_evp_refuse:
 * @why: receives the reason, or NULL
 * @status: what to return
 * @fmt: the reason, one line of plain English
 *
 * Refuse what was wrong before libcrypto saw it.
 *
 * Returns: @status
 */
int cryptodev_evp_refuse(char **why, int status, const char *fmt, ...)
    G_GNUC_PRINTF(3, 4);

/**
 * cryptodev_evp_failed:
 * @why: receives the reason, or NULL
 * @fallback: the status of an error that says nothing else
 * @what: what failed
 *
 * Turn libcrypto's error queue into a status and a reason, and empty it.
 *
 * Returns: the status that belongs to the last error in the queue; VIRTIO 1.3,
 * 5.9.7.1 ("Operation Status")
 */
int cryptodev_evp_failed(char **why, int fallback, const char *what);

/* digest.c */

/** The three ways in which virtio-crypto numbers hashes */
typedef enum EvpNumbering {
    EVP_NUMBERING_HASH,   /* VIRTIO_CRYPTO_HASH_* */
    EVP_NUMBERING_MAC,    /* VIRTIO_CRYPTO_MAC_HMAC_* */
    EVP_NUMBERING_RSA,    /* VIRTIO_CRYPTO_RSA_<hash> */
    EVP_NUMBERING__MAX,
} EvpNumbering;

/**
 * EvpDigest:
 * @md: the hash function, or NULL for none
 * @size: bytes in a digest of it, at most EVP_MAX_MD_SIZE
 */
typedef struct EvpDigest {
    EVP_MD *md;
    uint32_t size;
} EvpDigest;

/**
 * cryptodev_evp_digest_probe:
 * @caps: receives the hashes, and the MACs that are made of them
 */
void cryptodev_evp_digest_probe(CryptoDevEvpCaps *caps);

/**
 * cryptodev_evp_digest_fetch:
 * @digest: receives the hash function; empty before
 * @numbering: what kind of number @id is
 * @id: the number; VIRTIO 1.3, 5.9.4.2, 5.9.4.3 and 5.9.7.2.1
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: VIRTIO_CRYPTO_OK, or VIRTIO_CRYPTO_NOTSUPP for a number that means
 * no hash and for a hash that libcrypto does not offer
 */
int cryptodev_evp_digest_fetch(EvpDigest *digest, EvpNumbering numbering,
                               uint32_t id, char **why);

/* cipher.c */

typedef struct EvpCipher EvpCipher;

/**
 * cryptodev_evp_cipher_probe:
 * @caps: receives the ciphers
 */
void cryptodev_evp_cipher_probe(CryptoDevEvpCaps *caps);

/**
 * cryptodev_evp_cipher_setup:
 * @cipher: receives the algorithm
 * @ctx: receives a context with the key scheduled; the caller's to free, after
 *       a failure as well
 * @params: the session's parameters; the direction has been checked
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: as cryptodev_evp_sym_session_new()
 */
int cryptodev_evp_cipher_setup(const EvpCipher **cipher, EVP_CIPHER_CTX **ctx,
                               const CryptoDevEvpSymParams *params,
                               char **why);

/**
 * cryptodev_evp_cipher_check:
 * @cipher: the session's algorithm
 * @iv_len: bytes of IV, counter or tweak in the request
 * @len: bytes to cipher
 * @why: receives the reason of a failure, or NULL
 *
 * What the mode asks for: NIST SP 800-38A (ECB, CBC: whole blocks; CBC, CTR:
 * one block of IV) and SP 800-38E (XTS: a block or more).
 *
 * Returns: VIRTIO_CRYPTO_OK or VIRTIO_CRYPTO_ERR
 */
int cryptodev_evp_cipher_check(const EvpCipher *cipher, uint32_t iv_len,
                               uint32_t len, char **why);

/**
 * cryptodev_evp_cipher_run:
 * @ctx: a context with the key scheduled, this queue's own
 * @iv: the IV, counter or tweak, as long as the mode wants it
 * @src: source data
 * @dst: destination, @src itself or apart from it
 * @len: bytes of each, checked with cryptodev_evp_cipher_check()
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: VIRTIO_CRYPTO_OK or VIRTIO_CRYPTO_ERR
 */
int cryptodev_evp_cipher_run(EVP_CIPHER_CTX *ctx, const uint8_t *iv,
                             const uint8_t *src, uint8_t *dst, uint32_t len,
                             char **why);

/* chain.c */

/**
 * EvpLane:
 * @cipher: the cipher's context
 * @md: a chained plain hash's, or NULL
 * @mac: a chained HMAC's, or NULL
 *
 * What one queue computes with.
 */
typedef struct EvpLane {
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *md;
    EVP_MAC_CTX *mac;
} EvpLane;

/**
 * EvpChain:
 * @digest: the hash, alone or in the HMAC
 * @hash_first: of the source, else of the destination
 * @result_len: longest digest that a request may ask for, in bytes
 * @aad_len: bytes of additional data in each request
 */
typedef struct EvpChain {
    EvpDigest digest;
    bool hash_first;
    uint32_t result_len;
    uint32_t aad_len;
} EvpChain;

/**
 * cryptodev_evp_chain_setup:
 * @chain: receives what the requests have to agree with; empty before
 * @pattern: receives the hash's or HMAC's context, with the key in it; the
 *           caller's to free, after a failure as well
 * @params: the session's parameters
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: as cryptodev_evp_sym_session_new()
 */
int cryptodev_evp_chain_setup(EvpChain *chain, EvpLane *pattern,
                              const CryptoDevEvpSymParams *params, char **why);

/**
 * cryptodev_evp_chain_check:
 * @chain: the session's
 * @op: a request, whose numbers may all be lies
 * @why: receives the reason of a failure, or NULL
 *
 * That the parts to cipher and to hash lie within the source, and that digest
 * and additional data are as the session wants them; VIRTIO 1.3, 5.9.7.6
 * ("Symmetric algorithms Operation").
 *
 * Returns: VIRTIO_CRYPTO_OK or VIRTIO_CRYPTO_ERR
 */
int cryptodev_evp_chain_check(const EvpChain *chain,
                              const CryptoDevEvpSymOp *op, char **why);

/**
 * cryptodev_evp_chain_run:
 * @chain: the session's
 * @lane: the queue's
 * @op: a request that was checked, the cipher's part of it as well
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: VIRTIO_CRYPTO_OK or VIRTIO_CRYPTO_ERR
 */
int cryptodev_evp_chain_run(const EvpChain *chain, const EvpLane *lane,
                            const CryptoDevEvpSymOp *op, char **why);

/* rsa.c */

typedef struct EvpRsa EvpRsa;

/** cryptodev_evp_rsa_probe: whether libcrypto has RSA */
bool cryptodev_evp_rsa_probe(void);

/**
 * cryptodev_evp_rsa_new:
 * @rsa: receives the key, to be released with cryptodev_evp_rsa_free()
 * @params: the session's parameters
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: as cryptodev_evp_ak_session_new()
 */
int cryptodev_evp_rsa_new(EvpRsa **rsa, const CryptoDevEvpAkParams *params,
                          char **why);

/**
 * cryptodev_evp_rsa_free:
 * @rsa: a key, which is wiped; or NULL
 */
void cryptodev_evp_rsa_free(EvpRsa *rsa);

/**
 * cryptodev_evp_rsa_run:
 * @rsa: the session's key, which any number of threads may use
 * @op: a request, whose numbers may all be lies; @op->dst_len is updated
 * @why: receives the reason of a failure, or NULL
 *
 * Returns: as cryptodev_evp_ak_op()
 */
int cryptodev_evp_rsa_run(const EvpRsa *rsa, CryptoDevEvpAkOp *op, char **why);

#endif /* BACKENDS_CRYPTODEV_OPENSSL_INTERNAL_H */
