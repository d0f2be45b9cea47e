/*
 * cryptodev-backend-openssl: RSA, raw and with PKCS#1 v1.5 padding
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * VIRTIO 1.3, 5.9.7.2.1 ("AKCIPHER session") and 5.9.7.8 ("AKCIPHER Service
 * Operation"); RFC 8017 (PKCS#1 2.2) for keys and padding.
 *
 * Keys come as DER written by a guest, so they are taken apart here, bounded
 * (libcrypto would spend minutes on a megabyte of exponent), and handed to
 * libcrypto as numbers.
 */

#include "qemu/osdep.h"
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

#define EVP_RSA_MIN_BITS    512
#define EVP_RSA_MAX_BITS    8192
#define EVP_RSA_MAX_BYTES   (EVP_RSA_MAX_BITS / 8)

/* More than the DER encoding of any key that is within bounds */
#define EVP_RSA_MAX_DER     8192

G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

struct EvpRsa {
    EVP_PKEY *pkey;
    EvpDigest digest;     /* of signatures; none: they sign the data as is */
    size_t size;          /* of the modulus, in bytes */
    bool is_private;
    bool raw_padding;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(EvpRsa, cryptodev_evp_rsa_free)

/* Keys */

/* What is left to read of a DER encoding; nothing is copied out of it */
typedef struct EvpDer {
    const unsigned char *pos;
    size_t len;
} EvpDer;

/* First bytes of the elements that keys are made of */
#define EVP_DER_INTEGER       0x02
#define EVP_DER_SEQUENCE      0x30

/* Take the next element off @der if it is of type @first */
static bool evp_der_take(EvpDer *der, uint8_t first, EvpDer *content)
{
    const unsigned char *pos = der->pos;
    int flags, tag, class;
    long len = 0;

    if (der->len == 0 || *pos != first) {
        return false;
    }
    flags = ASN1_get_object(&pos, &len, &tag, &class, der->len);
    ERR_clear_error();
    /* An error, such as an element that does not fit */
    if (flags & 0x80) {
        return false;
    }
    content->pos = pos;
    content->len = len;
    der->len -= pos + len - der->pos;
    der->pos = pos + len;
    return true;
}

/* The elements of the one SEQUENCE that a key consists of */
static bool evp_der_key(const CryptoDevEvpAkParams *p, EvpDer *elements)
{
    EvpDer der = { p->key, p->keylen };

    return p->keylen <= EVP_RSA_MAX_DER &&
           evp_der_take(&der, EVP_DER_SEQUENCE, elements) && der.len == 0;
}

/*
 * What private keys begin with: 0 for two factors; or 1, which older
 * self-tests of Linux give keys with two factors
 */
static bool evp_der_version(EvpDer *der)
{
    EvpDer content;

    return evp_der_take(der, EVP_DER_INTEGER, &content) && content.len == 1 &&
           content.pos[0] <= 1;
}

/*
 * A number, of as many bytes as there are: no number of a key is negative, and
 * Linux takes them the same way, so that a missing zero in front is no error.
 * From libcrypto's "secure" numbers, because their copies in an OSSL_PARAM are
 * wiped when that is freed; others are not.
 */
static BIGNUM *evp_number(const EvpDer *bytes)
{
    BIGNUM *bn = BN_secure_new();

    if (bn && !BN_bin2bn(bytes->pos, bytes->len, bn)) {
        BN_clear_free(bn);
        return NULL;
    }
    return bn;
}

/*
 * The numbers of RSAPrivateKey after its version, in order; RSAPublicKey is
 * the first two of them
 */
static const char *const evp_rsa_numbers[] = {
    OSSL_PKEY_PARAM_RSA_N,
    OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,
    OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,
    OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2,
    OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

#define EVP_RSA_PUBLIC_NUMBERS   2
#define EVP_RSA_MINIMAL_NUMBERS  3
#define EVP_RSA_NUMBERS          G_N_ELEMENTS(evp_rsa_numbers)

typedef struct EvpRsaNumbers {
    BIGNUM *bn[EVP_RSA_NUMBERS];
} EvpRsaNumbers;

static void evp_rsa_numbers_clear(EvpRsaNumbers *n)
{
    size_t i;

    for (i = 0; i < EVP_RSA_NUMBERS; i++) {
        BN_clear_free(n->bn[i]);
    }
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(EvpRsaNumbers, evp_rsa_numbers_clear)

/*
 * How many of the numbers to give to libcrypto.  Private keys whose factors
 * are left at 0 exist (Linux's crypto self-tests use some), and libcrypto
 * would divide by them.
 */
static size_t evp_rsa_useful_numbers(const EvpRsaNumbers *n, bool is_private)
{
    size_t i;

    if (!is_private) {
        return EVP_RSA_PUBLIC_NUMBERS;
    }
    for (i = EVP_RSA_MINIMAL_NUMBERS; i < EVP_RSA_NUMBERS; i++) {
        if (BN_is_zero(n->bn[i]) || BN_is_one(n->bn[i])) {
            return EVP_RSA_MINIMAL_NUMBERS;
        }
    }
    return EVP_RSA_NUMBERS;
}

static int evp_rsa_check_size(const EvpRsaNumbers *n, size_t count, char **why)
{
    int bits = BN_num_bits(n->bn[0]);
    size_t i;

    if (bits < EVP_RSA_MIN_BITS || bits > EVP_RSA_MAX_BITS) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "an RSA modulus must have %d to %d bits, "
                                    "not %d", EVP_RSA_MIN_BITS,
                                    EVP_RSA_MAX_BITS, bits);
    }
    for (i = 1; i < count; i++) {
        if (BN_is_zero(n->bn[i]) || BN_num_bits(n->bn[i]) > bits) {
            return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                        "the RSA key's number \"%s\" is out of "
                                        "range", evp_rsa_numbers[i]);
        }
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_rsa_malformed(bool is_private, char **why)
{
    return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                "the RSA %s key is malformed",
                                is_private ? "private" : "public");
}

static int evp_rsa_read_numbers(EvpRsaNumbers *n, bool is_private,
                                const CryptoDevEvpAkParams *p, char **why)
{
    size_t count = is_private ? EVP_RSA_NUMBERS : EVP_RSA_PUBLIC_NUMBERS;
    EvpDer der, content;
    size_t i;

    if (!evp_der_key(p, &der) || (is_private && !evp_der_version(&der))) {
        return evp_rsa_malformed(is_private, why);
    }
    for (i = 0; i < count; i++) {
        if (!evp_der_take(&der, EVP_DER_INTEGER, &content)) {
            return evp_rsa_malformed(is_private, why);
        }
        n->bn[i] = evp_number(&content);
        if (!n->bn[i]) {
            return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the RSA key");
        }
    }
    return der.len ? evp_rsa_malformed(is_private, why) : VIRTIO_CRYPTO_OK;
}

static int evp_rsa_build(EvpRsa *rsa, OSSL_PARAM_BLD *bld, char **why)
{
    g_autoptr(OSSL_PARAM) params = OSSL_PARAM_BLD_to_param(bld);
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    int size;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &rsa->pkey,
                          rsa->is_private ? EVP_PKEY_KEYPAIR
                                          : EVP_PKEY_PUBLIC_KEY, params) <= 0) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the RSA key");
    }
    /* Requests have buffers of the largest size on their stack */
    size = EVP_PKEY_get_size(rsa->pkey);
    if (size <= 0 || size > EVP_RSA_MAX_BYTES) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR,
                                    "the size of the RSA key");
    }
    rsa->size = size;
    return VIRTIO_CRYPTO_OK;
}

static int evp_rsa_key(EvpRsa *rsa, const CryptoDevEvpAkParams *p, char **why)
{
    g_autoptr(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
    g_auto(EvpRsaNumbers) n = { };
    size_t count, i;
    int status;

    status = evp_rsa_read_numbers(&n, rsa->is_private, p, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    count = evp_rsa_useful_numbers(&n, rsa->is_private);
    status = evp_rsa_check_size(&n, count, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    for (i = 0; i < count; i++) {
        if (!bld || !OSSL_PARAM_BLD_push_BN(bld, evp_rsa_numbers[i],
                                            n.bn[i])) {
            return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "the RSA key");
        }
    }
    return evp_rsa_build(rsa, bld, why);
}

bool cryptodev_evp_rsa_probe(void)
{
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    return ctx != NULL;
}

static int evp_rsa_setup_padding(EvpRsa *rsa, const CryptoDevEvpAkParams *p,
                                 char **why)
{
    switch (p->rsa_padding) {
    case VIRTIO_CRYPTO_RSA_RAW_PADDING:
        /* 5.9.7.2.1: the hash is ignored */
        rsa->raw_padding = true;
        return VIRTIO_CRYPTO_OK;
    case VIRTIO_CRYPTO_RSA_PKCS1_PADDING:
        /* Without a hash: for ciphers, or to sign a block as it is */
        if (p->rsa_hash == VIRTIO_CRYPTO_RSA_NO_HASH) {
            return VIRTIO_CRYPTO_OK;
        }
        return cryptodev_evp_digest_fetch(&rsa->digest, EVP_NUMBERING_RSA,
                                          p->rsa_hash, why);
    default:
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "RSA padding %u is not supported",
                                    p->rsa_padding);
    }
}

int cryptodev_evp_rsa_new(EvpRsa **rsa, const CryptoDevEvpAkParams *p,
                          char **why)
{
    g_autoptr(EvpRsa) new = g_new0(EvpRsa, 1);
    int status;

    new->is_private = p->keytype == VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
    status = evp_rsa_setup_padding(new, p, why);
    if (status == VIRTIO_CRYPTO_OK) {
        status = evp_rsa_key(new, p, why);
    }
    if (status == VIRTIO_CRYPTO_OK) {
        *rsa = g_steal_pointer(&new);
    }
    return status;
}

void cryptodev_evp_rsa_free(EvpRsa *rsa)
{
    if (!rsa) {
        return;
    }
    EVP_PKEY_free(rsa->pkey);
    EVP_MD_free(rsa->digest.md);
    g_free(rsa);
}

/* Results */

static int evp_rsa_no_room(const CryptoDevEvpAkOp *op, size_t len, char **why)
{
    return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                "the result has %zu bytes, the destination %u",
                                len, op->dst_len);
}

/* Hand out a result that is as long as it is */
static int evp_rsa_return(CryptoDevEvpAkOp *op, const uint8_t *result,
                          size_t len, char **why)
{
    if (len > op->dst_len) {
        return evp_rsa_no_room(op, len, why);
    }
    if (len) {
        memcpy(op->dst, result, len);
    }
    op->dst_len = len;
    return VIRTIO_CRYPTO_OK;
}

/*
 * Hand out a number.  5.9.7.2.1: without padding, results have leading zeros.
 * They fill the destination, whatever its length, as they do in QEMU's other
 * backends.
 */
static int evp_rsa_return_number(CryptoDevEvpAkOp *op, const uint8_t *number,
                                 size_t len, char **why)
{
    for (; len > op->dst_len && *number == 0; len--) {
        number++;
    }
    if (len > op->dst_len) {
        return evp_rsa_no_room(op, len, why);
    }
    memset(op->dst, 0, op->dst_len - len);
    memcpy(op->dst + op->dst_len - len, number, len);
    return VIRTIO_CRYPTO_OK;
}

/* Ciphers */

/* The request's number with leading zeros up to the modulus' length */
static int evp_rsa_raw_input(const EvpRsa *rsa, const CryptoDevEvpAkOp *op,
                             uint8_t *in, char **why)
{
    if (op->src_len > rsa->size) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "the RSA input has %u bytes, the modulus "
                                    "%zu", op->src_len, rsa->size);
    }
    memset(in, 0, rsa->size - op->src_len);
    if (op->src_len) {
        memcpy(in + rsa->size - op->src_len, op->src, op->src_len);
    }
    return VIRTIO_CRYPTO_OK;
}

typedef int EvpPkeyFn(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen,
                      const unsigned char *in, size_t inlen);

static int evp_rsa_crypt(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                         CryptoDevEvpAkOp *op, EvpPkeyFn *crypt, char **why)
{
    uint8_t in[EVP_RSA_MAX_BYTES], out[EVP_RSA_MAX_BYTES];
    size_t out_len = sizeof(out);
    const uint8_t *src = op->src;
    size_t src_len = op->src_len;
    int status;

    if (rsa->raw_padding) {
        status = evp_rsa_raw_input(rsa, op, in, why);
        if (status != VIRTIO_CRYPTO_OK) {
            return status;
        }
        src = in;
        src_len = rsa->size;
    }
    if (crypt(ctx, out, &out_len, src, src_len) <= 0) {
        status = cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA");
    } else if (rsa->raw_padding) {
        status = evp_rsa_return_number(op, out, out_len, why);
    } else {
        status = evp_rsa_return(op, out, out_len, why);
    }
    OPENSSL_cleanse(in, sizeof(in));
    OPENSSL_cleanse(out, sizeof(out));
    return status;
}

static int evp_rsa_encrypt(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                           CryptoDevEvpAkOp *op, char **why)
{
    return evp_rsa_crypt(rsa, ctx, op, EVP_PKEY_encrypt, why);
}

/*
 * libcrypto 3.2 answers bad PKCS#1 padding with made-up plaintext.  That is
 * for protocols to ask for; a driver expects the error that its software
 * implementation would have given.  Older versions ignore the parameter.
 */
static bool evp_rsa_report_bad_padding(EVP_PKEY_CTX *ctx)
{
    unsigned int off = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_uint("implicit-rejection", &off),
        OSSL_PARAM_construct_end(),
    };

    return EVP_PKEY_CTX_set_params(ctx, params) > 0;
}

static int evp_rsa_decrypt(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                           CryptoDevEvpAkOp *op, char **why)
{
    if (!evp_rsa_report_bad_padding(ctx)) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA decryption");
    }
    return evp_rsa_crypt(rsa, ctx, op, EVP_PKEY_decrypt, why);
}

/* Signatures */

static int evp_rsa_setup_signing(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                                 uint32_t digest_len, char **why)
{
    /* 5.9.7.2.1 */
    if (rsa->raw_padding) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "RSA without padding can neither sign nor "
                                    "verify");
    }
    if (!rsa->digest.md) {
        return VIRTIO_CRYPTO_OK;
    }
    if (digest_len != rsa->digest.size) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "a digest of %s has %u bytes, not %u",
                                    EVP_MD_get0_name(rsa->digest.md),
                                    rsa->digest.size, digest_len);
    }
    if (EVP_PKEY_CTX_set_signature_md(ctx, rsa->digest.md) <= 0) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA's hash");
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_rsa_sign(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                        CryptoDevEvpAkOp *op, char **why)
{
    uint8_t out[EVP_RSA_MAX_BYTES];
    size_t out_len = sizeof(out);
    int status = evp_rsa_setup_signing(rsa, ctx, op->src_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_sign(ctx, out, &out_len, op->src, op->src_len) <= 0) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA signing");
    }
    return evp_rsa_return(op, out, out_len, why);
}

/* @op->dst is an input here: the digest that the signature @op->src is for */
static int evp_rsa_verify(const EvpRsa *rsa, EVP_PKEY_CTX *ctx,
                          CryptoDevEvpAkOp *op, char **why)
{
    int status = evp_rsa_setup_signing(rsa, ctx, op->dst_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_verify(ctx, op->src, op->src_len, op->dst, op->dst_len) != 1) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_KEY_REJECTED,
                                    "RSA verification");
    }
    op->dst_len = 0;
    return VIRTIO_CRYPTO_OK;
}

/* Requests */

typedef struct EvpRsaOp {
    uint32_t op_code;
    bool needs_private;
    int (*init)(EVP_PKEY_CTX *ctx);
    int (*run)(const EvpRsa *rsa, EVP_PKEY_CTX *ctx, CryptoDevEvpAkOp *op,
               char **why);
} EvpRsaOp;

static const EvpRsaOp evp_rsa_ops[] = {
    { VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, false,
      EVP_PKEY_encrypt_init, evp_rsa_encrypt },
    { VIRTIO_CRYPTO_AKCIPHER_DECRYPT, true,
      EVP_PKEY_decrypt_init, evp_rsa_decrypt },
    { VIRTIO_CRYPTO_AKCIPHER_SIGN, true,
      EVP_PKEY_sign_init, evp_rsa_sign },
    { VIRTIO_CRYPTO_AKCIPHER_VERIFY, false,
      EVP_PKEY_verify_init, evp_rsa_verify },
};

static const EvpRsaOp *evp_rsa_find_op(uint32_t op_code)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_rsa_ops); i++) {
        if (evp_rsa_ops[i].op_code == op_code) {
            return &evp_rsa_ops[i];
        }
    }
    return NULL;
}

int cryptodev_evp_rsa_run(const EvpRsa *rsa, CryptoDevEvpAkOp *op, char **why)
{
    const EvpRsaOp *fn = evp_rsa_find_op(op->op_code);
    g_autoptr(EVP_PKEY_CTX) ctx = NULL;

    if (!fn) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                                    "RSA has no operation 0x%x", op->op_code);
    }
    if (fn->needs_private && !rsa->is_private) {
        return cryptodev_evp_refuse(why, VIRTIO_CRYPTO_ERR,
                                    "operation 0x%x needs a private key",
                                    op->op_code);
    }
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, rsa->pkey, NULL);
    if (!ctx || fn->init(ctx) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, rsa->raw_padding ?
                                          RSA_NO_PADDING :
                                          RSA_PKCS1_PADDING) <= 0) {
        return cryptodev_evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA's context");
    }
    return fn->run(rsa, ctx, op, why);
}
