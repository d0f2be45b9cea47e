/*
 * The arithmetic of cryptodev-backend-openssl, on libcrypto's EVP interface
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Knows virtio-crypto's numbers (algorithms, op codes, status) and libcrypto;
 * knows neither QOM nor the cryptodev framework, so that it can be tested
 * alone.  The document followed, cited by section, is VIRTIO 1.3, section 5.9
 * ("Crypto Device").  All lengths are in bytes.
 *
 * Every function that can fail returns a VIRTIO_CRYPTO_* status of 5.9.7.1
 * (VIRTIO_CRYPTO_OK is 0) and, where @why is not NULL, a one-line reason that
 * the caller releases with g_free().  @why is set exactly when the status is
 * not VIRTIO_CRYPTO_OK.  What libcrypto reports meanwhile is taken off its
 * error queue, so that it never explains another failure.
 *
 * What virtio-crypto refuses before it calls a backend is not refused again: an
 * operation type, a hash mode, a key type that does not exist.  Lengths are
 * checked here, whoever has checked them before.
 *
 * Threads: a session may be used on several queues at once, by one thread per
 * queue; nothing is locked for that.  Creating a session needs no care.
 * Releasing one needs that no queue is inside an operation on it.
 */

#ifndef SYSTEM_CRYPTODEV_OPENSSL_EVP_H
#define SYSTEM_CRYPTODEV_OPENSSL_EVP_H

typedef struct CryptoDevEvpSession CryptoDevEvpSession;

/**
 * CryptoDevEvpSymParams:
 * @cipher_alg: VIRTIO_CRYPTO_CIPHER_*
 * @direction: VIRTIO_CRYPTO_OP_ENCRYPT or VIRTIO_CRYPTO_OP_DECRYPT
 * @op_type: VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING, which alone looks at the
 *           fields that follow @cipher_key_len, or VIRTIO_CRYPTO_SYM_OP_CIPHER
 * @cipher_key: the cipher's key; for XTS both halves
 * @cipher_key_len: its length
 * @chain_order: VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_*
 * @hash_mode: VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN or _AUTH
 * @hash_alg: VIRTIO_CRYPTO_HASH_* (plain) or VIRTIO_CRYPTO_MAC_HMAC_* (auth)
 * @hash_result_len: the longest digest a request may ask for
 * @auth_key: the HMAC key (auth)
 * @auth_key_len: its length; 0 is a valid HMAC key
 * @aad_len: bytes of additional data that each request puts before what is
 *           hashed
 *
 * The parameters of a symmetric session, as the driver gave them; 5.9.7.2.1
 * ("Symmetric algorithms session").
 */
typedef struct CryptoDevEvpSymParams {
    uint32_t cipher_alg;
    uint32_t direction;
    uint32_t op_type;
    const uint8_t *cipher_key;
    uint32_t cipher_key_len;
    uint32_t chain_order;
    uint32_t hash_mode;
    uint32_t hash_alg;
    uint32_t hash_result_len;
    const uint8_t *auth_key;
    uint32_t auth_key_len;
    uint32_t aad_len;
} CryptoDevEvpSymParams;

/**
 * CryptoDevEvpSymOp:
 * @op_code: VIRTIO_CRYPTO_CIPHER_ENCRYPT or VIRTIO_CRYPTO_CIPHER_DECRYPT
 * @op_type: VIRTIO_CRYPTO_SYM_OP_*; must be the session's
 * @iv: initialization vector, counter or tweak
 * @iv_len: its length
 * @src: source data; may be NULL where @src_len is 0
 * @src_len: its length
 * @dst: destination, @src itself or apart from it; as long as @dst_len
 * @dst_len: must be @src_len
 * @cipher_start: first byte of @src that is ciphered (chaining)
 * @cipher_len: number of bytes that are ciphered (chaining)
 * @hash_start: first byte that is hashed (chaining)
 * @hash_len: number of bytes that are hashed (chaining)
 * @aad: additional data, hashed before those bytes (chaining)
 * @aad_len: its length (chaining)
 * @digest: receives the digest or MAC (chaining)
 * @digest_len: bytes wanted, from the left (chaining)
 *
 * One symmetric request; 5.9.7.6 ("Symmetric algorithms Operation").  Every
 * number in it may be a lie.
 */
typedef struct CryptoDevEvpSymOp {
    uint32_t op_code;
    uint32_t op_type;
    const uint8_t *iv;
    uint32_t iv_len;
    const uint8_t *src;
    uint32_t src_len;
    uint8_t *dst;
    uint32_t dst_len;
    uint32_t cipher_start;
    uint32_t cipher_len;
    uint32_t hash_start;
    uint32_t hash_len;
    const uint8_t *aad;
    uint32_t aad_len;
    uint8_t *digest;
    uint32_t digest_len;
} CryptoDevEvpSymOp;

/**
 * CryptoDevEvpAkParams:
 * @keytype: VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE or _PUBLIC
 * @key: RSAPrivateKey or RSAPublicKey of PKCS#1 (RFC 8017), in DER
 * @keylen: its length
 * @rsa_padding: VIRTIO_CRYPTO_RSA_*_PADDING
 * @rsa_hash: VIRTIO_CRYPTO_RSA_<hash>, for signatures with PKCS#1 padding
 *
 * The parameters of an RSA session, as the driver gave them; 5.9.7.2.1
 * ("AKCIPHER session").  virtio-crypto has no way to ECDSA.
 */
typedef struct CryptoDevEvpAkParams {
    uint32_t keytype;
    const uint8_t *key;
    uint32_t keylen;
    uint32_t rsa_padding;
    uint32_t rsa_hash;
} CryptoDevEvpAkParams;

/**
 * CryptoDevEvpAkOp:
 * @op_code: VIRTIO_CRYPTO_AKCIPHER_*
 * @src: what is ciphered or signed; for VERIFY the signature
 * @src_len: its length
 * @dst: receives the result; for VERIFY the digest that was signed
 * @dst_len: in: its length; out, on success: the result's, which is 0 for
 *           VERIFY
 *
 * One asymmetric request; 5.9.7.8 ("AKCIPHER Service Operation").  Every number
 * in it may be a lie.
 */
typedef struct CryptoDevEvpAkOp {
    uint32_t op_code;
    const uint8_t *src;
    uint32_t src_len;
    uint8_t *dst;
    uint32_t dst_len;
} CryptoDevEvpAkOp;

/**
 * CryptoDevEvpCaps:
 * @cipher_algo: bits of VIRTIO_CRYPTO_CIPHER_*
 * @hash_algo: bits of VIRTIO_CRYPTO_HASH_* (for chaining)
 * @mac_algo: bits of VIRTIO_CRYPTO_MAC_* (for chaining)
 * @rsa: RSA can be had
 *
 * What this libcrypto, in its configuration, really offers.
 */
typedef struct CryptoDevEvpCaps {
    uint32_t cipher_algo;
    uint32_t hash_algo;
    uint32_t mac_algo;
    bool rsa;
} CryptoDevEvpCaps;

/**
 * Longest cipher key (AES-256-XTS) and longest HMAC key to advertise.  Any HMAC
 * key works (FIPS 198-1); virtio-crypto holds its guests to what it advertises.
 */
#define CRYPTODEV_EVP_MAX_CIPHER_KEY  64
#define CRYPTODEV_EVP_MAX_AUTH_KEY    512

/**
 * cryptodev_evp_probe:
 * @caps: receives what is available
 *
 * Ask libcrypto what it has, to be advertised as in 5.9.5 ("Device
 * configuration layout"): a distribution's policy or a FIPS configuration may
 * have taken algorithms away.
 */
void cryptodev_evp_probe(CryptoDevEvpCaps *caps);

/**
 * cryptodev_evp_sym_session_new:
 * @params: what the driver asked for; not kept
 * @queues: number of queues that may use the session
 * @session: receives the session, to be released with
 *           cryptodev_evp_session_free()
 * @why: receives the reason of a failure, or NULL
 *
 * Create a session for a cipher, or for a cipher chained with a hash or HMAC.
 * The key is scheduled here, once.
 *
 * Returns: VIRTIO_CRYPTO_OK; VIRTIO_CRYPTO_NOTSUPP for an algorithm, direction
 * or chain order that is unknown or that libcrypto does not offer;
 * VIRTIO_CRYPTO_ERR for lengths that contradict the algorithm, and for keys
 * that libcrypto refuses, such as two equal ones for XTS.
 */
int cryptodev_evp_sym_session_new(const CryptoDevEvpSymParams *params,
                                  unsigned int queues,
                                  CryptoDevEvpSession **session, char **why);

/**
 * cryptodev_evp_ak_session_new:
 * @params: what the driver asked for; not kept
 * @session: receives the session, to be released with
 *           cryptodev_evp_session_free()
 * @why: receives the reason of a failure, or NULL
 *
 * Create a session for RSA.
 *
 * Returns: VIRTIO_CRYPTO_OK; VIRTIO_CRYPTO_NOTSUPP for a padding or hash that
 * is unknown or that libcrypto does not offer; VIRTIO_CRYPTO_ERR for a key that
 * is malformed, or whose modulus has less than 512 or more than 8192 bits.
 */
int cryptodev_evp_ak_session_new(const CryptoDevEvpAkParams *params,
                                 CryptoDevEvpSession **session, char **why);

/**
 * cryptodev_evp_session_free:
 * @session: a session, or NULL
 *
 * Release a session.  Key material is wiped before its memory is given back.
 */
void cryptodev_evp_session_free(CryptoDevEvpSession *session);

/**
 * cryptodev_evp_sym_op:
 * @session: any session
 * @queue: the queue on which the request came, less than the session's queues
 * @op: the request
 * @why: receives the reason of a failure, or NULL
 *
 * Run a symmetric request to its end.  Bytes of the destination that the
 * request does not cipher (chaining) are copies of the source.  After a
 * failure the destination's content is undefined.  From the second request on
 * one queue on, a plain cipher neither allocates nor schedules a key.
 *
 * Returns: VIRTIO_CRYPTO_OK; VIRTIO_CRYPTO_INVSESS if the session is not a
 * symmetric one; VIRTIO_CRYPTO_ERR for anything else.
 */
int cryptodev_evp_sym_op(CryptoDevEvpSession *session, unsigned int queue,
                         const CryptoDevEvpSymOp *op, char **why);

/**
 * cryptodev_evp_ak_op:
 * @session: any session
 * @op: the request; @op->dst_len is updated
 * @why: receives the reason of a failure, or NULL
 *
 * Run an asymmetric request to its end.
 *
 * Returns: VIRTIO_CRYPTO_OK; VIRTIO_CRYPTO_INVSESS if the session is not an
 * asymmetric one; VIRTIO_CRYPTO_NOTSUPP if RSA, or the session's padding, has
 * no such operation; VIRTIO_CRYPTO_KEY_REJECTED if a signature does not
 * verify; VIRTIO_CRYPTO_ERR for anything else.
 */
int cryptodev_evp_ak_op(CryptoDevEvpSession *session, CryptoDevEvpAkOp *op,
                        char **why);

#endif /* SYSTEM_CRYPTODEV_OPENSSL_EVP_H */
