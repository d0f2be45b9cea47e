/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The arithmetic of cryptodev-backend-openssl, on libcrypto's EVP interface
 *
 * See the header for what is modelled and for the rules of use.  How it is
 * done:
 *
 * - A symmetric session holds a pattern: contexts with the key scheduled, which
 *   are never used for data.  A queue's first request copies the pattern into
 *   the queue's lane; from then on a request only sets the IV and runs.  So
 *   queues share nothing that is written to, and no key bytes are kept.
 * - An asymmetric session holds the EVP_PKEY, which libcrypto lets any thread
 *   read.  A request builds its own small EVP_PKEY_CTX: next to a modular
 *   exponentiation that is nothing.
 * - Keys come as DER written by a guest, so they are taken apart here, bounded
 *   (libcrypto would spend minutes on a megabyte of exponent), and handed to
 *   libcrypto as numbers.
 */

#include "qemu/osdep.h"
#include <openssl/asn1.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "system/cryptodev-openssl-evp.h"

#define EVP_RSA_MIN_BITS    512
#define EVP_RSA_MAX_BITS    8192
#define EVP_RSA_MAX_BYTES   (EVP_RSA_MAX_BITS / 8)

/* More than the DER encoding of any key that is within bounds */
#define EVP_MAX_KEY_DER     8192

/* The longest digest there is; ECDSA would silently cut anything longer */
#define EVP_MAX_DIGEST      64

G_DEFINE_AUTOPTR_CLEANUP_FUNC(BIGNUM, BN_clear_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BN_CTX, BN_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EC_GROUP, EC_GROUP_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EC_POINT, EC_POINT_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_CIPHER, EVP_CIPHER_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MAC, EVP_MAC_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_MD, EVP_MD_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM, OSSL_PARAM_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

typedef struct EvpCipher {
    uint32_t algo;
    uint32_t key_len;
    const char *name;
    uint8_t iv_len;
    uint8_t granule;      /* data comes in multiples of this */
    uint8_t shortest;     /* and is at least this long */
} EvpCipher;

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

/* One hash under the three numbers that virtio-crypto has for it; 0: none */
typedef struct EvpDigest {
    const char *name;
    uint32_t hash;
    uint32_t mac;
    uint32_t rsa;
} EvpDigest;

static const EvpDigest evp_digests[] = {
    { "MD5",      VIRTIO_CRYPTO_HASH_MD5,
      VIRTIO_CRYPTO_MAC_HMAC_MD5,     VIRTIO_CRYPTO_RSA_MD5 },
    { "SHA1",     VIRTIO_CRYPTO_HASH_SHA1,
      VIRTIO_CRYPTO_MAC_HMAC_SHA1,    VIRTIO_CRYPTO_RSA_SHA1 },
    { "SHA2-224", VIRTIO_CRYPTO_HASH_SHA_224,
      VIRTIO_CRYPTO_MAC_HMAC_SHA_224, VIRTIO_CRYPTO_RSA_SHA224 },
    { "SHA2-256", VIRTIO_CRYPTO_HASH_SHA_256,
      VIRTIO_CRYPTO_MAC_HMAC_SHA_256, VIRTIO_CRYPTO_RSA_SHA256 },
    { "SHA2-384", VIRTIO_CRYPTO_HASH_SHA_384,
      VIRTIO_CRYPTO_MAC_HMAC_SHA_384, VIRTIO_CRYPTO_RSA_SHA384 },
    { "SHA2-512", VIRTIO_CRYPTO_HASH_SHA_512,
      VIRTIO_CRYPTO_MAC_HMAC_SHA_512, VIRTIO_CRYPTO_RSA_SHA512 },
    { "SHA3-224", VIRTIO_CRYPTO_HASH_SHA3_224 },
    { "SHA3-256", VIRTIO_CRYPTO_HASH_SHA3_256 },
    { "SHA3-384", VIRTIO_CRYPTO_HASH_SHA3_384 },
    { "SHA3-512", VIRTIO_CRYPTO_HASH_SHA3_512 },
};

/* The only curves that the specification allows */
typedef struct EvpCurve {
    uint32_t id;
    int nid;
    const char *name;
    size_t bytes;         /* of a coordinate, and of a private key */
} EvpCurve;

static const EvpCurve evp_curves[] = {
    { VIRTIO_CRYPTO_CURVE_NIST_P192, NID_X9_62_prime192v1, "P-192", 24 },
    { VIRTIO_CRYPTO_CURVE_NIST_P224, NID_secp224r1,        "P-224", 28 },
    { VIRTIO_CRYPTO_CURVE_NIST_P256, NID_X9_62_prime256v1, "P-256", 32 },
    { VIRTIO_CRYPTO_CURVE_NIST_P384, NID_secp384r1,        "P-384", 48 },
    { VIRTIO_CRYPTO_CURVE_NIST_P521, NID_secp521r1,        "P-521", 66 },
};

/* libcrypto's errors that mean something other than the caller's default */
typedef struct EvpErrorStatus {
    int lib;              /* 0: any */
    int reason;
    int status;
} EvpErrorStatus;

static const EvpErrorStatus evp_error_status[] = {
    { 0, ERR_R_UNSUPPORTED, VIRTIO_CRYPTO_NOTSUPP },
    { 0, ERR_R_FETCH_FAILED, VIRTIO_CRYPTO_NOTSUPP },
    { 0, ERR_R_MALLOC_FAILURE, VIRTIO_CRYPTO_ERR },
    { ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM, VIRTIO_CRYPTO_NOTSUPP },
    { ERR_LIB_EVP, EVP_R_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE,
      VIRTIO_CRYPTO_NOTSUPP },
    { ERR_LIB_PROV, PROV_R_DIGEST_NOT_ALLOWED, VIRTIO_CRYPTO_NOTSUPP },
    { ERR_LIB_PROV, PROV_R_XTS_DUPLICATED_KEYS, VIRTIO_CRYPTO_ERR },
    { ERR_LIB_RSA, RSA_R_BAD_SIGNATURE, VIRTIO_CRYPTO_KEY_REJECTED },
    { ERR_LIB_EC, EC_R_BAD_SIGNATURE, VIRTIO_CRYPTO_KEY_REJECTED },
};

/* What one queue works with */
typedef struct EvpLane {
    EVP_CIPHER_CTX *cipher;
    EVP_MD_CTX *md;       /* chaining, plain hash */
    EVP_MAC_CTX *mac;     /* chaining, HMAC */
} EvpLane;

typedef struct EvpAkAlgo EvpAkAlgo;

struct CryptoDevEvpSession {
    /* symmetric */
    const EvpCipher *cipher;   /* NULL: an asymmetric session */
    uint32_t op_code;          /* the only one its direction allows */
    uint32_t op_type;
    bool hash_first;
    EVP_MD *md;                /* chaining; also RSA's signatures */
    uint32_t digest_len;
    uint32_t aad_len;
    EvpLane pattern;
    EvpLane *lanes;
    unsigned int queues;

    /* asymmetric */
    const EvpAkAlgo *ak;
    EVP_PKEY *pkey;
    bool is_private;
    bool raw_padding;
};

G_DEFINE_AUTOPTR_CLEANUP_FUNC(CryptoDevEvpSession, cryptodev_evp_session_free)

/* Refuse a request that was wrong before libcrypto saw it */
static int G_GNUC_PRINTF(3, 4)
evp_refuse(char **why, int status, const char *fmt, ...)
{
    va_list ap;

    if (why) {
        va_start(ap, fmt);
        *why = g_strdup_vprintf(fmt, ap);
        va_end(ap);
    }
    return status;
}

static int evp_status_of(unsigned long err, int fallback)
{
    const EvpErrorStatus *e;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_error_status); i++) {
        e = &evp_error_status[i];
        if (ERR_GET_REASON(err) == e->reason &&
            (e->lib == 0 || ERR_GET_LIB(err) == e->lib)) {
            return e->status;
        }
    }
    return fallback;
}

/*
 * Turn libcrypto's error queue into a status and a reason, and empty it: it
 * belongs to the thread, and what stays in it would explain somebody else's
 * failure.  The last entry is nearest to what was called.
 */
static int evp_failed(char **why, int fallback, const char *what)
{
    int status = fallback;
    const char *text = NULL;
    unsigned long err;

    while ((err = ERR_get_error()) != 0) {
        status = evp_status_of(err, fallback);
        text = ERR_reason_error_string(err);
    }
    return evp_refuse(why, status, "%s: %s", what,
                      text ? text : "libcrypto gives no reason");
}

static const EvpDigest *evp_find_digest(size_t column, uint32_t id)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_digests); i++) {
        /* 0 stands for "none" in each of the three number spaces */
        if (id && G_STRUCT_MEMBER(uint32_t, &evp_digests[i], column) == id) {
            return &evp_digests[i];
        }
    }
    return NULL;
}

static int evp_fetch_digest(CryptoDevEvpSession *s, size_t column, uint32_t id,
                            char **why)
{
    const EvpDigest *d = evp_find_digest(column, id);

    if (!d) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "hash algorithm %u is not supported", id);
    }
    s->md = EVP_MD_fetch(NULL, d->name, NULL);
    if (!s->md) {
        return evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, d->name);
    }
    return VIRTIO_CRYPTO_OK;
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

void cryptodev_evp_probe(CryptoDevEvpCaps *caps)
{
    g_autoptr(EVP_MAC) hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    g_autoptr(EVP_PKEY_CTX) rsa = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    size_t i;

    *caps = (CryptoDevEvpCaps) { .rsa = rsa != NULL };
    for (i = 0; i < G_N_ELEMENTS(evp_ciphers); i++) {
        g_autoptr(EVP_CIPHER) c = EVP_CIPHER_fetch(NULL, evp_ciphers[i].name,
                                                   NULL);

        caps->cipher_algo |= c ? 1u << evp_ciphers[i].algo : 0;
    }
    for (i = 0; i < G_N_ELEMENTS(evp_digests); i++) {
        g_autoptr(EVP_MD) md = EVP_MD_fetch(NULL, evp_digests[i].name, NULL);

        caps->hash_algo |= md ? 1u << evp_digests[i].hash : 0;
        if (md && hmac && evp_digests[i].mac) {
            caps->mac_algo |= 1u << evp_digests[i].mac;
        }
    }
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

    if (G_UNLIKELY(!lane->cipher) && !evp_lane_copy(lane, &s->pattern)) {
        evp_lane_clear(lane);
        return NULL;
    }
    return lane;
}

static int evp_setup_cipher(CryptoDevEvpSession *s,
                            const CryptoDevEvpSymParams *p, char **why)
{
    g_autoptr(EVP_CIPHER) cipher = NULL;
    bool algo_known;

    s->cipher = evp_find_cipher(p->cipher_alg, p->cipher_key_len, &algo_known);
    if (!algo_known) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "cipher algorithm %u is not supported",
                          p->cipher_alg);
    }
    if (!s->cipher) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "cipher algorithm %u has no key of %u bytes",
                          p->cipher_alg, p->cipher_key_len);
    }

    cipher = EVP_CIPHER_fetch(NULL, s->cipher->name, NULL);
    if (!cipher) {
        return evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, s->cipher->name);
    }
    s->pattern.cipher = EVP_CIPHER_CTX_new();
    if (!s->pattern.cipher ||
        !EVP_CipherInit_ex2(s->pattern.cipher, cipher, p->cipher_key, NULL,
                            p->direction == VIRTIO_CRYPTO_OP_ENCRYPT, NULL) ||
        !EVP_CIPHER_CTX_set_padding(s->pattern.cipher, 0)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, s->cipher->name);
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_setup_hmac(CryptoDevEvpSession *s,
                          const CryptoDevEvpSymParams *p, char **why)
{
    g_autoptr(EVP_MAC) mac = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                         (char *)EVP_MD_get0_name(s->md), 0),
        OSSL_PARAM_construct_end(),
    };
    /* libcrypto takes a NULL key for "the one you have" */
    const uint8_t *key = p->auth_key_len ? p->auth_key : (const uint8_t *)"";

    if (p->auth_key_len > CRYPTODEV_EVP_MAX_AUTH_KEY) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "authentication key of %u bytes is too long",
                          p->auth_key_len);
    }
    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    if (!mac) {
        return evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, "HMAC");
    }
    s->pattern.mac = EVP_MAC_CTX_new(mac);
    if (!s->pattern.mac ||
        !EVP_MAC_init(s->pattern.mac, key, p->auth_key_len, params)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "HMAC");
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_setup_hash(CryptoDevEvpSession *s, char **why)
{
    s->pattern.md = EVP_MD_CTX_new();
    if (!s->pattern.md || !EVP_DigestInit_ex2(s->pattern.md, s->md, NULL)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "hash");
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_setup_chain(CryptoDevEvpSession *s,
                           const CryptoDevEvpSymParams *p, char **why)
{
    bool auth = p->hash_mode == VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
    int status;

    if (p->chain_order != VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER &&
        p->chain_order != VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "chain order %u is not supported", p->chain_order);
    }
    if (!auth && p->hash_mode != VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "hash mode %u is not supported", p->hash_mode);
    }
    status = evp_fetch_digest(s, auth ? offsetof(EvpDigest, mac)
                                      : offsetof(EvpDigest, hash),
                              p->hash_alg, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (p->hash_result_len == 0 ||
        p->hash_result_len > EVP_MD_get_size(s->md)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%s has no result of %u bytes",
                          EVP_MD_get0_name(s->md), p->hash_result_len);
    }

    s->hash_first =
        p->chain_order == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
    s->digest_len = p->hash_result_len;
    s->aad_len = p->aad_len;
    return auth ? evp_setup_hmac(s, p, why) : evp_setup_hash(s, why);
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
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "direction %u is not supported", p->direction);
    }
    if (p->op_type != VIRTIO_CRYPTO_SYM_OP_CIPHER &&
        p->op_type != VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "operation type %u is not supported", p->op_type);
    }
    s->op_type = p->op_type;
    s->op_code = p->direction == VIRTIO_CRYPTO_OP_ENCRYPT ?
                 VIRTIO_CRYPTO_CIPHER_ENCRYPT : VIRTIO_CRYPTO_CIPHER_DECRYPT;
    s->queues = queues;
    s->lanes = g_new0(EvpLane, queues);

    status = evp_setup_cipher(s, p, why);
    if (status == VIRTIO_CRYPTO_OK &&
        p->op_type == VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING) {
        status = evp_setup_chain(s, p, why);
    }
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
    EVP_MD_free(s->md);
    EVP_PKEY_free(s->pkey);
    g_free(s);
}

/* Symmetric requests */

static bool evp_within(uint32_t start, uint32_t len, uint32_t total)
{
    return start <= total && len <= total - start;
}

static int evp_check_cipher(const EvpCipher *c, uint32_t iv_len, uint32_t len,
                            char **why)
{
    if (iv_len != c->iv_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%s takes an IV of %u bytes, not %u",
                          c->name, c->iv_len, iv_len);
    }
    if (len % c->granule || len < c->shortest || len > INT_MAX) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%s cannot process %u bytes", c->name, len);
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_check_chain(const CryptoDevEvpSession *s,
                           const CryptoDevEvpSymOp *op, char **why)
{
    if (!evp_within(op->cipher_start, op->cipher_len, op->src_len)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "bytes to cipher (%u from %u) exceed the %u given",
                          op->cipher_len, op->cipher_start, op->src_len);
    }
    if (!evp_within(op->hash_start, op->hash_len, op->src_len)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "bytes to hash (%u from %u) exceed the %u given",
                          op->hash_len, op->hash_start, op->src_len);
    }
    if (op->digest_len == 0 || op->digest_len > s->digest_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "digest of %u bytes wanted, session has %u",
                          op->digest_len, s->digest_len);
    }
    if (op->aad_len != s->aad_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%u bytes of additional data, session has %u",
                          op->aad_len, s->aad_len);
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_run_cipher(const EvpLane *lane, const uint8_t *iv,
                          const uint8_t *src, uint8_t *dst, uint32_t len,
                          char **why)
{
    int done = 0;

    if (len == 0) {
        return VIRTIO_CRYPTO_OK;
    }
    if (!EVP_CipherInit_ex2(lane->cipher, NULL, NULL, iv, -1, NULL) ||
        !EVP_CipherUpdate(lane->cipher, dst, &done, src, len) ||
        done != len) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "cipher");
    }
    return VIRTIO_CRYPTO_OK;
}

static bool evp_digest(const EvpLane *lane, const CryptoDevEvpSession *s,
                       const CryptoDevEvpSymOp *op, const uint8_t *data,
                       uint8_t *result)
{
    return EVP_DigestInit_ex2(lane->md, s->md, NULL) &&
           EVP_DigestUpdate(lane->md, op->aad, op->aad_len) &&
           EVP_DigestUpdate(lane->md, data, op->hash_len) &&
           EVP_DigestFinal_ex(lane->md, result, NULL);
}

static bool evp_hmac(const EvpLane *lane, const CryptoDevEvpSymOp *op,
                     const uint8_t *data, uint8_t *result)
{
    size_t len;

    return EVP_MAC_init(lane->mac, NULL, 0, NULL) &&
           EVP_MAC_update(lane->mac, op->aad, op->aad_len) &&
           EVP_MAC_update(lane->mac, data, op->hash_len) &&
           EVP_MAC_final(lane->mac, result, &len, EVP_MAX_MD_SIZE);
}

/*
 * The specification ("Symmetric algorithms Operation") passes additional data
 * along without saying what becomes of it.  Where a cipher is combined with a
 * MAC (ESP in RFC 4303, TLS in RFC 7366), the MAC covers a header that is sent
 * apart, then the message: so the additional data are hashed first.
 */
static int evp_run_hash(const CryptoDevEvpSession *s, const EvpLane *lane,
                        const CryptoDevEvpSymOp *op, const uint8_t *data,
                        char **why)
{
    uint8_t result[EVP_MAX_MD_SIZE];
    bool ok;

    if (op->hash_len) {
        data += op->hash_start;
    }
    ok = lane->mac ? evp_hmac(lane, op, data, result)
                   : evp_digest(lane, s, op, data, result);
    if (!ok) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "hash");
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

static int evp_run_chain(const CryptoDevEvpSession *s, const EvpLane *lane,
                         const CryptoDevEvpSymOp *op, char **why)
{
    const uint8_t *src = op->cipher_len ? op->src + op->cipher_start : NULL;
    uint8_t *dst = op->cipher_len ? op->dst + op->cipher_start : NULL;
    int status = VIRTIO_CRYPTO_OK;

    if (s->hash_first) {
        status = evp_run_hash(s, lane, op, op->src, why);
    }
    if (status == VIRTIO_CRYPTO_OK) {
        evp_copy_clear_parts(op);
        status = evp_run_cipher(lane, op->iv, src, dst, op->cipher_len, why);
    }
    if (status == VIRTIO_CRYPTO_OK && !s->hash_first) {
        status = evp_run_hash(s, lane, op, op->dst, why);
    }
    return status;
}

static int evp_check_sym_op(const CryptoDevEvpSession *s, unsigned int queue,
                            const CryptoDevEvpSymOp *op, char **why)
{
    if (!s->cipher) {
        return evp_refuse(why, VIRTIO_CRYPTO_INVSESS,
                          "symmetric request on an asymmetric session");
    }
    if (op->op_code != s->op_code || op->op_type != s->op_type) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "operation 0x%x type %u, session is for 0x%x type %u",
                          op->op_code, op->op_type, s->op_code, s->op_type);
    }
    if (queue >= s->queues) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR, "there is no queue %u",
                          queue);
    }
    if (op->dst_len != op->src_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "source of %u bytes, destination of %u",
                          op->src_len, op->dst_len);
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
        status = evp_check_cipher(s->cipher, op->iv_len,
                                  chain ? op->cipher_len : op->src_len, why);
    }
    if (status == VIRTIO_CRYPTO_OK && chain) {
        status = evp_check_chain(s, op, why);
    }
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }

    lane = evp_lane(s, queue);
    if (!lane) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "context of the queue");
    }
    if (chain) {
        return evp_run_chain(s, lane, op, why);
    }
    return evp_run_cipher(lane, op->iv, op->src, op->dst, op->src_len, why);
}

/* Asymmetric keys */

/* What is left to read of a DER encoding; nothing is copied out of it */
typedef struct EvpDer {
    const unsigned char *pos;
    size_t len;
} EvpDer;

/* First bytes of the elements that keys are made of */
#define EVP_DER_INTEGER       0x02
#define EVP_DER_OCTET_STRING  0x04
#define EVP_DER_OID           0x06
#define EVP_DER_SEQUENCE      0x30
#define EVP_DER_CONTEXT(n)    (0xa0 | (n))

/* Take the next element off @der if it is of type @first */
static bool evp_der_take(EvpDer *der, uint8_t first, EvpDer *content)
{
    const unsigned char *pos = der->pos;
    int flags, tag, class;
    long len;

    if (der->len == 0 || *pos != first) {
        return false;
    }
    flags = ASN1_get_object(&pos, &len, &tag, &class, der->len);
    ERR_clear_error();
    /* 0x80: does not fit; 1: of indefinite length, which DER has not */
    if (flags & 0x81) {
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

    return p->keylen <= EVP_MAX_KEY_DER &&
           evp_der_take(&der, EVP_DER_SEQUENCE, elements) && der.len == 0;
}

/* Returns: the number of one byte that begins private keys, or -1 */
static int evp_der_version(EvpDer *der)
{
    EvpDer content;

    if (!evp_der_take(der, EVP_DER_INTEGER, &content) || content.len != 1) {
        return -1;
    }
    return content.pos[0];
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

static int evp_pkey_build(CryptoDevEvpSession *s, const char *type,
                          OSSL_PARAM_BLD *bld, char **why)
{
    g_autoptr(OSSL_PARAM) params = OSSL_PARAM_BLD_to_param(bld);
    g_autoptr(EVP_PKEY_CTX) ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &s->pkey,
                          s->is_private ? EVP_PKEY_KEYPAIR
                                        : EVP_PKEY_PUBLIC_KEY, params) <= 0) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, type);
    }
    return VIRTIO_CRYPTO_OK;
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
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "RSA modulus has %d bits, %d to %d are supported",
                          bits, EVP_RSA_MIN_BITS, EVP_RSA_MAX_BITS);
    }
    for (i = 1; i < count; i++) {
        if (BN_is_zero(n->bn[i]) || BN_num_bits(n->bn[i]) > bits) {
            return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                              "RSA key: %s is out of range",
                              evp_rsa_numbers[i]);
        }
    }
    return VIRTIO_CRYPTO_OK;
}

static bool evp_rsa_read_numbers(EvpRsaNumbers *n,
                                 const CryptoDevEvpAkParams *p, size_t count)
{
    EvpDer der, content;
    size_t i;

    if (!evp_der_key(p, &der)) {
        return false;
    }
    /* 0; or 1, which older self-tests of Linux give keys with two factors */
    if (count == EVP_RSA_NUMBERS && (unsigned int)evp_der_version(&der) > 1) {
        return false;
    }
    for (i = 0; i < count; i++) {
        if (!evp_der_take(&der, EVP_DER_INTEGER, &content)) {
            return false;
        }
        n->bn[i] = evp_number(&content);
        if (!n->bn[i]) {
            return false;
        }
    }
    return der.len == 0;
}

static int evp_rsa_key(CryptoDevEvpSession *s, const CryptoDevEvpAkParams *p,
                       char **why)
{
    g_autoptr(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();
    g_auto(EvpRsaNumbers) n = { };
    size_t count, i;
    int status;

    count = s->is_private ? EVP_RSA_NUMBERS : EVP_RSA_PUBLIC_NUMBERS;
    if (!evp_rsa_read_numbers(&n, p, count)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR, "malformed RSA %s key",
                          s->is_private ? "private" : "public");
    }
    count = evp_rsa_useful_numbers(&n, s->is_private);
    status = evp_rsa_check_size(&n, count, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    for (i = 0; i < count; i++) {
        if (!bld || !OSSL_PARAM_BLD_push_BN(bld, evp_rsa_numbers[i],
                                            n.bn[i])) {
            return evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA");
        }
    }
    return evp_pkey_build(s, "RSA", bld, why);
}

static int evp_rsa_setup(CryptoDevEvpSession *s, const CryptoDevEvpAkParams *p,
                         char **why)
{
    int status;

    switch (p->rsa_padding) {
    case VIRTIO_CRYPTO_RSA_RAW_PADDING:
        s->raw_padding = true;
        break;
    case VIRTIO_CRYPTO_RSA_PKCS1_PADDING:
        /* Without a hash: for ciphers, or to sign a block as it is */
        if (p->rsa_hash == VIRTIO_CRYPTO_RSA_NO_HASH) {
            break;
        }
        status = evp_fetch_digest(s, offsetof(EvpDigest, rsa), p->rsa_hash,
                                  why);
        if (status != VIRTIO_CRYPTO_OK) {
            return status;
        }
        break;
    default:
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "RSA padding %u is not supported", p->rsa_padding);
    }
    return evp_rsa_key(s, p, why);
}

static const EvpCurve *evp_curve_by_id(uint32_t id)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_curves); i++) {
        if (evp_curves[i].id == id) {
            return &evp_curves[i];
        }
    }
    return NULL;
}

static const EvpCurve *evp_curve_by_bytes(size_t bytes)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_curves); i++) {
        if (evp_curves[i].bytes == bytes) {
            return &evp_curves[i];
        }
    }
    return NULL;
}

/*
 * Which curve a key is on.  The framework's session has no room for
 * virtio-crypto's curve_id, but no two NIST curves share a size: the length of
 * a point, or of a private key, which RFC 5915 fixes, tells.
 */
static int evp_find_curve(const CryptoDevEvpAkParams *p, size_t bytes,
                          const EvpCurve **curve, char **why)
{
    const EvpCurve *named = evp_curve_by_id(p->curve);

    if (p->curve != VIRTIO_CRYPTO_CURVE_UNKNOWN && !named) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "curve %u is not supported", p->curve);
    }
    *curve = evp_curve_by_bytes(bytes);
    if (!*curve || (named && named != *curve)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "ECDSA key of %zu bytes is not on the curve", bytes);
    }
    return VIRTIO_CRYPTO_OK;
}

static bool evp_ec_names_curve(EvpDer parameters, const EvpCurve *curve)
{
    const ASN1_OBJECT *want = OBJ_nid2obj(curve->nid);
    EvpDer oid;

    return evp_der_take(&parameters, EVP_DER_OID, &oid) &&
           parameters.len == 0 && oid.len == OBJ_length(want) &&
           memcmp(oid.pos, OBJ_get0_data(want), oid.len) == 0;
}

/*
 * ECPrivateKey: version 1, the private key, and as options the curve and the
 * public key.  The curve has to agree with the key's length; the public key is
 * computed, so that nobody has to trust the one that came along.
 */
static int evp_ec_read_private(const CryptoDevEvpAkParams *p,
                               const EvpCurve **curve, EvpDer *key, char **why)
{
    EvpDer der, parameters, public;
    bool named;
    int status;

    if (!evp_der_key(p, &der) || evp_der_version(&der) != 1 ||
        !evp_der_take(&der, EVP_DER_OCTET_STRING, key)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "malformed ECDSA private key");
    }
    named = evp_der_take(&der, EVP_DER_CONTEXT(0), &parameters);
    evp_der_take(&der, EVP_DER_CONTEXT(1), &public);
    if (der.len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "malformed ECDSA private key");
    }
    status = evp_find_curve(p, key->len, curve, why);
    if (status == VIRTIO_CRYPTO_OK && named &&
        !evp_ec_names_curve(parameters, *curve)) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "ECDSA private key names another curve than %s",
                          (*curve)->name);
    }
    return status;
}

static int evp_ec_private(CryptoDevEvpSession *s,
                          const CryptoDevEvpAkParams *p, OSSL_PARAM_BLD *bld,
                          char **why)
{
    g_autoptr(BIGNUM) priv = NULL;
    g_autoptr(EC_GROUP) group = NULL;
    g_autoptr(EC_POINT) point = NULL;
    g_autoptr(BN_CTX) bnctx = NULL;
    unsigned char *octets = NULL;
    const EvpCurve *curve;
    EvpDer key;
    size_t len;
    int status;

    status = evp_ec_read_private(p, &curve, &key, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    priv = evp_number(&key);
    group = EC_GROUP_new_by_curve_name(curve->nid);
    if (!priv || !group) {
        return evp_failed(why, VIRTIO_CRYPTO_NOTSUPP, curve->name);
    }
    if (BN_is_zero(priv) || BN_cmp(priv, EC_GROUP_get0_order(group)) >= 0) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "ECDSA private key is out of range");
    }
    bnctx = BN_CTX_secure_new();
    point = EC_POINT_new(group);
    if (!bnctx || !point ||
        !EC_POINT_mul(group, point, priv, NULL, NULL, bnctx)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, curve->name);
    }
    len = EC_POINT_point2buf(group, point, POINT_CONVERSION_UNCOMPRESSED,
                             &octets, bnctx);
    if (!len ||
        !OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                         curve->name, 0) ||
        !OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, priv) ||
        !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                          octets, len)) {
        status = evp_failed(why, VIRTIO_CRYPTO_ERR, curve->name);
    } else {
        /* The builder points into @priv and @octets until it is run */
        status = evp_pkey_build(s, "EC", bld, why);
    }
    OPENSSL_free(octets);
    return status;
}

static int evp_ec_public(CryptoDevEvpSession *s, const CryptoDevEvpAkParams *p,
                         OSSL_PARAM_BLD *bld, char **why)
{
    const EvpCurve *curve;
    bool full = p->keylen &&
                p->key[0] == POINT_CONVERSION_UNCOMPRESSED;
    size_t bytes = p->keylen ? p->keylen - 1 : 0;
    int status;

    status = evp_find_curve(p, full ? bytes / 2 : bytes, &curve, why);
    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (!OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME,
                                         curve->name, 0) ||
        !OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY,
                                          p->key, p->keylen)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, curve->name);
    }
    /* Refuses what is not exactly a point, and one that is not on the curve */
    return evp_pkey_build(s, "EC", bld, why);
}

static int evp_ecdsa_setup(CryptoDevEvpSession *s,
                           const CryptoDevEvpAkParams *p, char **why)
{
    g_autoptr(OSSL_PARAM_BLD) bld = OSSL_PARAM_BLD_new();

    if (!bld) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "ECDSA");
    }
    return s->is_private ? evp_ec_private(s, p, bld, why)
                         : evp_ec_public(s, p, bld, why);
}

/* Asymmetric requests */

typedef int EvpAkFn(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                    CryptoDevEvpAkOp *op, char **why);

/* The index into ops[] is the low byte of the op code */
struct EvpAkAlgo {
    uint32_t algo;
    int (*setup)(CryptoDevEvpSession *s, const CryptoDevEvpAkParams *p,
                 char **why);
    EvpAkFn *ops[4];
};

/* Hand out a result that is as long as it is */
static int evp_return(CryptoDevEvpAkOp *op, const uint8_t *result, size_t len,
                      char **why)
{
    if (len > op->dst_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "result of %zu bytes does not fit in %u",
                          len, op->dst_len);
    }
    if (len) {
        memcpy(op->dst, result, len);
    }
    op->dst_len = len;
    return VIRTIO_CRYPTO_OK;
}

/*
 * Hand out a number.  "Session operation: AKCIPHER session": without padding,
 * results have leading zeros.  They fill the destination, whatever its length,
 * as they do in QEMU's other backends.
 */
static int evp_return_number(CryptoDevEvpAkOp *op, const uint8_t *number,
                             size_t len, char **why)
{
    for (; len > op->dst_len && *number == 0; len--) {
        number++;
    }
    if (len > op->dst_len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "result of %zu bytes does not fit in %u",
                          len, op->dst_len);
    }
    memset(op->dst, 0, op->dst_len - len);
    memcpy(op->dst + op->dst_len - len, number, len);
    return VIRTIO_CRYPTO_OK;
}

static bool evp_rsa_padding(const CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx)
{
    return EVP_PKEY_CTX_set_rsa_padding(ctx, s->raw_padding ?
                                             RSA_NO_PADDING :
                                             RSA_PKCS1_PADDING) > 0;
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

/* The request's number with leading zeros up to the modulus' length */
static int evp_rsa_raw_input(const CryptoDevEvpAkOp *op, uint8_t *in,
                             size_t len, char **why)
{
    if (op->src_len > len) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "RSA input of %u bytes, modulus has %zu",
                          op->src_len, len);
    }
    memset(in, 0, len - op->src_len);
    if (op->src_len) {
        memcpy(in + len - op->src_len, op->src, op->src_len);
    }
    return VIRTIO_CRYPTO_OK;
}

typedef int EvpPkeyFn(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *outlen,
                      const unsigned char *in, size_t inlen);

static int evp_rsa_crypt(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                         CryptoDevEvpAkOp *op, EvpPkeyFn *crypt, char **why)
{
    uint8_t in[EVP_RSA_MAX_BYTES], out[EVP_RSA_MAX_BYTES];
    size_t size = EVP_PKEY_get_size(s->pkey);
    size_t out_len = sizeof(out);
    const uint8_t *src = op->src;
    size_t src_len = op->src_len;
    int status;

    if (s->raw_padding) {
        status = evp_rsa_raw_input(op, in, size, why);
        if (status != VIRTIO_CRYPTO_OK) {
            return status;
        }
        src = in;
        src_len = size;
    }
    if (crypt(ctx, out, &out_len, src, src_len) <= 0) {
        status = evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA");
    } else if (s->raw_padding) {
        status = evp_return_number(op, out, out_len, why);
    } else {
        status = evp_return(op, out, out_len, why);
    }
    OPENSSL_cleanse(in, sizeof(in));
    OPENSSL_cleanse(out, sizeof(out));
    return status;
}

static int evp_rsa_encrypt(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                           CryptoDevEvpAkOp *op, char **why)
{
    if (EVP_PKEY_encrypt_init(ctx) <= 0 || !evp_rsa_padding(s, ctx)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA encrypt");
    }
    return evp_rsa_crypt(s, ctx, op, EVP_PKEY_encrypt, why);
}

static int evp_rsa_decrypt(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                           CryptoDevEvpAkOp *op, char **why)
{
    if (EVP_PKEY_decrypt_init(ctx) <= 0 || !evp_rsa_padding(s, ctx) ||
        !evp_rsa_report_bad_padding(ctx)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA decrypt");
    }
    return evp_rsa_crypt(s, ctx, op, EVP_PKEY_decrypt, why);
}

static int evp_rsa_check_signing(const CryptoDevEvpSession *s,
                                 uint32_t digest_len, char **why)
{
    if (s->raw_padding) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "RSA without padding does not sign or verify");
    }
    if (s->md && digest_len != EVP_MD_get_size(s->md)) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%u bytes are not a digest of %s", digest_len,
                          EVP_MD_get0_name(s->md));
    }
    return VIRTIO_CRYPTO_OK;
}

static bool evp_rsa_signature_scheme(const CryptoDevEvpSession *s,
                                     EVP_PKEY_CTX *ctx)
{
    return evp_rsa_padding(s, ctx) &&
           (!s->md || EVP_PKEY_CTX_set_signature_md(ctx, s->md) > 0);
}

static int evp_sign(EVP_PKEY_CTX *ctx, CryptoDevEvpAkOp *op, char **why)
{
    uint8_t out[EVP_RSA_MAX_BYTES];
    size_t out_len = sizeof(out);

    if (EVP_PKEY_sign(ctx, out, &out_len, op->src, op->src_len) <= 0) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "sign");
    }
    return evp_return(op, out, out_len, why);
}

/* @op->dst is an input here: the digest that the signature @op->src is for */
static int evp_verify(EVP_PKEY_CTX *ctx, CryptoDevEvpAkOp *op, char **why)
{
    if (EVP_PKEY_verify(ctx, op->src, op->src_len, op->dst, op->dst_len) != 1) {
        return evp_failed(why, VIRTIO_CRYPTO_KEY_REJECTED, "verify");
    }
    op->dst_len = 0;
    return VIRTIO_CRYPTO_OK;
}

static int evp_rsa_sign(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                        CryptoDevEvpAkOp *op, char **why)
{
    int status = evp_rsa_check_signing(s, op->src_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_sign_init(ctx) <= 0 || !evp_rsa_signature_scheme(s, ctx)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA sign");
    }
    return evp_sign(ctx, op, why);
}

static int evp_rsa_verify(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                          CryptoDevEvpAkOp *op, char **why)
{
    int status = evp_rsa_check_signing(s, op->dst_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_verify_init(ctx) <= 0 || !evp_rsa_signature_scheme(s, ctx)) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "RSA verify");
    }
    return evp_verify(ctx, op, why);
}

static int evp_ecdsa_check_digest(uint32_t len, char **why)
{
    if (len == 0 || len > EVP_MAX_DIGEST) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "%u bytes are not a digest", len);
    }
    return VIRTIO_CRYPTO_OK;
}

static int evp_ecdsa_sign(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                          CryptoDevEvpAkOp *op, char **why)
{
    int status = evp_ecdsa_check_digest(op->src_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_sign_init(ctx) <= 0) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "ECDSA sign");
    }
    return evp_sign(ctx, op, why);
}

static int evp_ecdsa_verify(CryptoDevEvpSession *s, EVP_PKEY_CTX *ctx,
                            CryptoDevEvpAkOp *op, char **why)
{
    int status = evp_ecdsa_check_digest(op->dst_len, why);

    if (status != VIRTIO_CRYPTO_OK) {
        return status;
    }
    if (EVP_PKEY_verify_init(ctx) <= 0) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "ECDSA verify");
    }
    return evp_verify(ctx, op, why);
}

#define EVP_AK_OP(op_code)  ((op_code) & 0xff)

static const EvpAkAlgo evp_ak_algos[] = {
    {
        .algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
        .setup = evp_rsa_setup,
        .ops = {
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_ENCRYPT)] = evp_rsa_encrypt,
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_DECRYPT)] = evp_rsa_decrypt,
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_SIGN)] = evp_rsa_sign,
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_VERIFY)] = evp_rsa_verify,
        },
    }, {
        .algo = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
        .setup = evp_ecdsa_setup,
        .ops = {
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_SIGN)] = evp_ecdsa_sign,
            [EVP_AK_OP(VIRTIO_CRYPTO_AKCIPHER_VERIFY)] = evp_ecdsa_verify,
        },
    },
};

int cryptodev_evp_ak_session_new(const CryptoDevEvpAkParams *p,
                                 CryptoDevEvpSession **session, char **why)
{
    g_autoptr(CryptoDevEvpSession) s = g_new0(CryptoDevEvpSession, 1);
    int status;
    size_t i;

    *session = NULL;
    for (i = 0; i < G_N_ELEMENTS(evp_ak_algos); i++) {
        if (evp_ak_algos[i].algo == p->algo) {
            s->ak = &evp_ak_algos[i];
        }
    }
    if (!s->ak) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "asymmetric algorithm %u is not supported", p->algo);
    }
    s->is_private = p->keytype == VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE;
    if (!s->is_private &&
        p->keytype != VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "key type %u is not supported", p->keytype);
    }
    status = s->ak->setup(s, p, why);
    if (status == VIRTIO_CRYPTO_OK) {
        *session = g_steal_pointer(&s);
    }
    return status;
}

static bool evp_ak_needs_private(uint32_t op_code)
{
    return op_code == VIRTIO_CRYPTO_AKCIPHER_DECRYPT ||
           op_code == VIRTIO_CRYPTO_AKCIPHER_SIGN;
}

int cryptodev_evp_ak_op(CryptoDevEvpSession *s, CryptoDevEvpAkOp *op,
                        char **why)
{
    g_autoptr(EVP_PKEY_CTX) ctx = NULL;
    uint32_t index = EVP_AK_OP(op->op_code);
    EvpAkFn *fn;

    if (!s->ak) {
        return evp_refuse(why, VIRTIO_CRYPTO_INVSESS,
                          "asymmetric request on a symmetric session");
    }
    fn = index < G_N_ELEMENTS(s->ak->ops) ? s->ak->ops[index] : NULL;
    if (!fn || op->op_code != VIRTIO_CRYPTO_OPCODE(
                                  VIRTIO_CRYPTO_SERVICE_AKCIPHER, index)) {
        return evp_refuse(why, VIRTIO_CRYPTO_NOTSUPP,
                          "asymmetric algorithm %u has no operation 0x%x",
                          s->ak->algo, op->op_code);
    }
    if (evp_ak_needs_private(op->op_code) && !s->is_private) {
        return evp_refuse(why, VIRTIO_CRYPTO_ERR,
                          "operation 0x%x needs a private key", op->op_code);
    }
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, s->pkey, NULL);
    if (!ctx) {
        return evp_failed(why, VIRTIO_CRYPTO_ERR, "asymmetric context");
    }
    return fn(s, ctx, op, why);
}
