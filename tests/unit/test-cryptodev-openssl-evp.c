/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Unit tests of cryptodev-backend-openssl's arithmetic
 *
 * Known answers are those of NIST SP 800-38A (AES modes), IEEE Std 1619 (XTS),
 * RFC 1321, FIPS 180-4 and FIPS 202 (hashes), RFC 2202 and RFC 4231 (HMAC),
 * NIST's CAVP (RSA signature verification) and RSA Laboratories' PKCS#1 v1.5
 * examples (RSA signature generation).
 *
 * libcrypto's allocator is replaced for the whole run by one that counts, that
 * looks for keys in what is given back, and that fails when told to.
 */

#include "qemu/osdep.h"
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "system/cryptodev-openssl-evp.h"

#define QUEUES  4

/* Bytes, and hexadecimal as the documents print it */

typedef struct Bytes {
    size_t len;
    uint8_t data[1024];
} Bytes;

static Bytes unhex(const char *hex)
{
    Bytes b = { 0 };

    for (; hex && *hex; hex++) {
        if (*hex == ' ') {
            continue;
        }
        g_assert_cmpuint(b.len, <, sizeof(b.data));
        b.data[b.len++] = g_ascii_xdigit_value(hex[0]) << 4 |
                          g_ascii_xdigit_value(hex[1]);
        hex++;
    }
    return b;
}

static void assert_bytes(const uint8_t *got, size_t got_len, const char *hex)
{
    Bytes want = unhex(hex);

    g_assert_cmpmem(got, got_len, want.data, want.len);
}

static void fill_random(uint8_t *data, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        data[i] = g_test_rand_int();
    }
}

/* The allocator */

typedef struct Block {
    size_t size;
    max_align_t data[];
} Block;

static int allocations;
static int live_blocks;
static int fail_in = -1;            /* so many allocations on; -1: never */
static int leaked_keys;
static const uint8_t *watched;      /* 16 bytes of a key */

static void *count_malloc(size_t size, const char *file, int line)
{
    Block *b;

    g_atomic_int_inc(&allocations);
    if (fail_in >= 0 && fail_in-- == 0) {
        return NULL;
    }
    g_atomic_int_inc(&live_blocks);
    b = malloc(sizeof(*b) + size);
    b->size = size;
    return b->data;
}

static void count_free(void *p, const char *file, int line)
{
    Block *b;

    if (!p) {
        return;
    }
    g_atomic_int_add(&live_blocks, -1);
    b = container_of(p, Block, data);
    if (watched && b->size >= 16 && memmem(p, b->size, watched, 16)) {
        g_atomic_int_inc(&leaked_keys);
    }
    free(b);
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
    void *new_p = count_malloc(size, file, line);

    if (p && new_p) {
        memcpy(new_p, p, MIN(size, container_of(p, Block, data)->size));
        count_free(p, file, line);
    }
    return new_p;
}

/*
 * libcrypto's calls, which fail, or tell a wrong length, when told to: not
 * those that libcrypto makes itself, for its random numbers say.
 */

typedef struct FailingCall {
    const char *name;
    bool wrong_length;
    int lib, reason;           /* of the error, or 0 for none */
} FailingCall;

static const FailingCall *failing_call;
static int failing_skip;       /* so many calls on; -1: it has failed */
static __thread int inside;    /* a call, which may jump to another */

/* Whether @caller is in this program itself, and not in a library */
static bool ours(const void *caller)
{
    Dl_info here, there;

    return dladdr(&failing_skip, &here) && dladdr(caller, &there) &&
           here.dli_fbase == there.dli_fbase;
}

static bool fails(const char *name, const void *caller)
{
    if (!failing_call || inside || strcmp(failing_call->name, name) != 0 ||
        !ours(caller) || failing_skip-- != 0) {
        return false;
    }
    if (failing_call->lib) {
        ERR_raise(failing_call->lib, failing_call->reason);
    }
    return true;
}

#define FAILS(name)  fails(name, __builtin_return_address(0))

static void *real_call(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name);

    g_assert_nonnull(fn);
    return fn;
}

/* Looked for once, or by several threads at once with the same result */
#define REAL(name) \
    ({ \
        static __typeof__(&name) real; \
        \
        if (!real) { \
            real = (__typeof__(&name))real_call(#name); \
        } \
        real; \
    })

int EVP_CipherUpdate(EVP_CIPHER_CTX *c, unsigned char *out, int *len,
                     const unsigned char *in, int in_len)
{
    int ok;

    inside++;
    ok = REAL(EVP_CipherUpdate)(c, out, len, in, in_len);
    inside--;
    if (!FAILS(__func__)) {
        return ok;
    }
    *len -= failing_call->wrong_length;
    return failing_call->wrong_length;
}

int EVP_DigestFinal_ex(EVP_MD_CTX *c, unsigned char *out, unsigned int *len)
{
    int ok;

    inside++;
    ok = REAL(EVP_DigestFinal_ex)(c, out, len);
    inside--;
    if (!FAILS(__func__)) {
        return ok;
    }
    *len -= failing_call->wrong_length;
    return failing_call->wrong_length;
}

int EVP_MAC_final(EVP_MAC_CTX *c, unsigned char *out, size_t *len, size_t size)
{
    int ok;

    inside++;
    ok = REAL(EVP_MAC_final)(c, out, len, size);
    inside--;
    if (!FAILS(__func__)) {
        return ok;
    }
    *len -= failing_call->wrong_length;
    return failing_call->wrong_length;
}

#define FAILING(type, name, result, params, args) \
    type name params \
    { \
        type r; \
        \
        if (FAILS(#name)) { \
            return result; \
        } \
        inside++; \
        r = REAL(name) args; \
        inside--; \
        return r; \
    }
#define FAILING1(type, name, A, result) \
    FAILING(type, name, result, (A a), (a))
#define FAILING2(type, name, A, B, result) \
    FAILING(type, name, result, (A a, B b), (a, b))
#define FAILING3(type, name, A, B, C, result) \
    FAILING(type, name, result, (A a, B b, C c), (a, b, c))
#define FAILING4(type, name, A, B, C, D, result) \
    FAILING(type, name, result, (A a, B b, C c, D d), (a, b, c, d))
#define FAILING6(type, name, A, B, C, D, E, F, result) \
    FAILING(type, name, result, (A a, B b, C c, D d, E e, F f), \
            (a, b, c, d, e, f))

typedef EVP_PKEY *PkeyPointer;

FAILING3(EVP_CIPHER *, EVP_CIPHER_fetch, OSSL_LIB_CTX *, const char *,
         const char *, NULL)
FAILING3(EVP_MD *, EVP_MD_fetch, OSSL_LIB_CTX *, const char *, const char *,
         NULL)
FAILING3(EVP_MAC *, EVP_MAC_fetch, OSSL_LIB_CTX *, const char *, const char *,
         NULL)
FAILING1(int, EVP_MD_get_size, const EVP_MD *,
         failing_call->wrong_length ? 65 : -1)
FAILING6(int, EVP_CipherInit_ex2, EVP_CIPHER_CTX *, const EVP_CIPHER *,
         const unsigned char *, const unsigned char *, int, const OSSL_PARAM *,
         0)
FAILING2(int, EVP_CIPHER_CTX_set_padding, EVP_CIPHER_CTX *, int, 0)
FAILING2(int, EVP_CIPHER_CTX_copy, EVP_CIPHER_CTX *, const EVP_CIPHER_CTX *, 0)
FAILING3(int, EVP_DigestInit_ex2, EVP_MD_CTX *, const EVP_MD *,
         const OSSL_PARAM *, 0)
FAILING3(int, EVP_DigestUpdate, EVP_MD_CTX *, const void *, size_t, 0)
FAILING2(int, EVP_MD_CTX_copy_ex, EVP_MD_CTX *, const EVP_MD_CTX *, 0)
FAILING1(EVP_MAC_CTX *, EVP_MAC_CTX_new, EVP_MAC *, NULL)
FAILING1(EVP_MAC_CTX *, EVP_MAC_CTX_dup, const EVP_MAC_CTX *, NULL)
FAILING4(int, EVP_MAC_init, EVP_MAC_CTX *, const unsigned char *, size_t,
         const OSSL_PARAM *, 0)
FAILING3(int, EVP_MAC_update, EVP_MAC_CTX *, const unsigned char *, size_t, 0)
FAILING1(OSSL_PARAM *, OSSL_PARAM_BLD_to_param, OSSL_PARAM_BLD *, NULL)
FAILING3(int, OSSL_PARAM_BLD_push_BN, OSSL_PARAM_BLD *, const char *,
         const BIGNUM *, 0)
FAILING3(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_name, OSSL_LIB_CTX *,
         const char *, const char *, NULL)
FAILING3(EVP_PKEY_CTX *, EVP_PKEY_CTX_new_from_pkey, OSSL_LIB_CTX *,
         EVP_PKEY *, const char *, NULL)
FAILING1(int, EVP_PKEY_fromdata_init, EVP_PKEY_CTX *, -2)
FAILING4(int, EVP_PKEY_fromdata, EVP_PKEY_CTX *, PkeyPointer *, int,
         OSSL_PARAM *, -1)
FAILING1(int, EVP_PKEY_get_size, const EVP_PKEY *,
         failing_call->wrong_length ? 1025 : -1)
FAILING2(int, EVP_PKEY_CTX_set_rsa_padding, EVP_PKEY_CTX *, int, -2)
FAILING2(int, EVP_PKEY_CTX_set_signature_md, EVP_PKEY_CTX *, const EVP_MD *,
         -2)
FAILING2(int, EVP_PKEY_CTX_set_params, EVP_PKEY_CTX *, const OSSL_PARAM *, -2)
FAILING1(int, EVP_PKEY_encrypt_init, EVP_PKEY_CTX *, -2)
FAILING1(int, EVP_PKEY_decrypt_init, EVP_PKEY_CTX *, -2)
FAILING1(int, EVP_PKEY_sign_init, EVP_PKEY_CTX *, -2)
FAILING1(int, EVP_PKEY_verify_init, EVP_PKEY_CTX *, -2)

/* Sessions and requests; the reason and the error queue are always checked */

static void check_outcome(int status, int expected, const char *why)
{
    if (status != expected && why) {
        g_test_message("reason: %s", why);
    }
    g_assert_cmpint(status, ==, expected);
    g_assert_cmpint(why != NULL, ==, expected != VIRTIO_CRYPTO_OK);
    if (why) {
        g_assert_null(strchr(why, '\n'));
        g_assert_cmpuint(strlen(why), <, 120);
    }
    g_assert_cmpuint(ERR_peek_error(), ==, 0);
}

static CryptoDevEvpSession *sym_session(const CryptoDevEvpSymParams *p,
                                        int expected)
{
    CryptoDevEvpSession *s;
    g_autofree char *why = NULL;
    int status = cryptodev_evp_sym_session_new(p, QUEUES, &s, &why);

    check_outcome(status, expected, why);
    g_assert_cmpint(s != NULL, ==, expected == VIRTIO_CRYPTO_OK);
    return s;
}

static CryptoDevEvpSymParams cipher_params(uint32_t alg, uint32_t direction,
                                           const Bytes *key)
{
    return (CryptoDevEvpSymParams) {
        .cipher_alg = alg,
        .direction = direction,
        .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
        .cipher_key = key->data,
        .cipher_key_len = key->len,
    };
}

static CryptoDevEvpSession *cipher_session(uint32_t alg, uint32_t direction,
                                           const Bytes *key)
{
    CryptoDevEvpSymParams p = cipher_params(alg, direction, key);

    return sym_session(&p, VIRTIO_CRYPTO_OK);
}

static CryptoDevEvpSymOp cipher_op(uint32_t direction, const Bytes *iv,
                                   const uint8_t *src, uint8_t *dst,
                                   uint32_t len)
{
    return (CryptoDevEvpSymOp) {
        .op_code = direction == VIRTIO_CRYPTO_OP_ENCRYPT ?
                   VIRTIO_CRYPTO_CIPHER_ENCRYPT : VIRTIO_CRYPTO_CIPHER_DECRYPT,
        .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
        .iv = iv ? iv->data : NULL,
        .iv_len = iv ? iv->len : 0,
        .src = src,
        .src_len = len,
        .dst = dst,
        .dst_len = len,
    };
}

static void sym_op(CryptoDevEvpSession *s, unsigned int queue,
                   const CryptoDevEvpSymOp *op, int expected)
{
    g_autofree char *why = NULL;
    int status = cryptodev_evp_sym_op(s, queue, op, &why);

    check_outcome(status, expected, why);
}

/* An error for the reason that is meant, and not for some later one */
static void sym_op_refused(CryptoDevEvpSession *s, unsigned int queue,
                           const CryptoDevEvpSymOp *op, const char *reason)
{
    g_autofree char *why = NULL;

    g_assert_cmpint(cryptodev_evp_sym_op(s, queue, op, &why), ==,
                    VIRTIO_CRYPTO_ERR);
    g_assert_nonnull(strstr(why, reason));
}

/* Returns: the length of the result */
static uint32_t ak_op(CryptoDevEvpSession *s, uint32_t op_code,
                      const uint8_t *src, uint32_t src_len,
                      uint8_t *dst, uint32_t dst_len, int expected)
{
    CryptoDevEvpAkOp op = {
        .op_code = op_code,
        .src = src,
        .src_len = src_len,
        .dst = dst,
        .dst_len = dst_len,
    };
    g_autofree char *why = NULL;
    int status = cryptodev_evp_ak_op(s, &op, &why);

    check_outcome(status, expected, why);
    return op.dst_len;
}

static void needs_private_key(CryptoDevEvpSession *s, uint32_t op_code)
{
    uint8_t data[128] = { 0 };
    CryptoDevEvpAkOp op = {
        .op_code = op_code,
        .src = data,
        .src_len = 20,
        .dst = data,
        .dst_len = sizeof(data),
    };
    g_autofree char *why = NULL;

    g_assert_cmpint(cryptodev_evp_ak_op(s, &op, &why), ==, VIRTIO_CRYPTO_ERR);
    g_assert_nonnull(strstr(why, "needs a private key"));
}

/* AES known answers */

typedef struct CipherVector {
    const char *name;
    uint32_t alg;
    const char *key, *iv, *plain, *cipher;
} CipherVector;

#define SP800_38A_KEY128 "2b7e151628aed2a6abf7158809cf4f3c"
#define SP800_38A_KEY192 "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
#define SP800_38A_KEY256 "603deb1015ca71be2b73aef0857d7781" \
                         "1f352c073b6108d72d9810a30914dff4"
#define SP800_38A_IV     "000102030405060708090a0b0c0d0e0f"
#define SP800_38A_CTR    "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
#define SP800_38A_PLAIN  "6bc1bee22e409f96e93d7e117393172a" \
                         "ae2d8a571e03ac9c9eb76fac45af8e51" \
                         "30c81c46a35ce411e5fbc1191a0a52ef" \
                         "f69f2445df4f9b17ad2b417be66c3710"

static const CipherVector cipher_vectors[] = {
    { "ecb/128 (F.1.1)", VIRTIO_CRYPTO_CIPHER_AES_ECB,
      SP800_38A_KEY128, NULL, SP800_38A_PLAIN,
      "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
      "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4" },
    { "ecb/192 (F.1.3)", VIRTIO_CRYPTO_CIPHER_AES_ECB,
      SP800_38A_KEY192, NULL, SP800_38A_PLAIN,
      "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef"
      "ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e" },
    { "ecb/256 (F.1.5)", VIRTIO_CRYPTO_CIPHER_AES_ECB,
      SP800_38A_KEY256, NULL, SP800_38A_PLAIN,
      "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
      "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7" },
    { "cbc/128 (F.2.1)", VIRTIO_CRYPTO_CIPHER_AES_CBC,
      SP800_38A_KEY128, SP800_38A_IV, SP800_38A_PLAIN,
      "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
      "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7" },
    { "cbc/192 (F.2.3)", VIRTIO_CRYPTO_CIPHER_AES_CBC,
      SP800_38A_KEY192, SP800_38A_IV, SP800_38A_PLAIN,
      "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
      "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd" },
    { "cbc/256 (F.2.5)", VIRTIO_CRYPTO_CIPHER_AES_CBC,
      SP800_38A_KEY256, SP800_38A_IV, SP800_38A_PLAIN,
      "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
      "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b" },
    { "ctr/128 (F.5.1)", VIRTIO_CRYPTO_CIPHER_AES_CTR,
      SP800_38A_KEY128, SP800_38A_CTR, SP800_38A_PLAIN,
      "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
      "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee" },
    { "ctr/192 (F.5.3)", VIRTIO_CRYPTO_CIPHER_AES_CTR,
      SP800_38A_KEY192, SP800_38A_CTR, SP800_38A_PLAIN,
      "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"
      "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050" },
    { "ctr/256 (F.5.5)", VIRTIO_CRYPTO_CIPHER_AES_CTR,
      SP800_38A_KEY256, SP800_38A_CTR, SP800_38A_PLAIN,
      "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
      "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6" },
    { "xts/128 (vector 2)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "1111111111111111111111111111111122222222222222222222222222222222",
      "33333333330000000000000000000000",
      "4444444444444444444444444444444444444444444444444444444444444444",
      "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0" },
    { "xts/128 (vector 3)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f022222222222222222222222222222222",
      "33333333330000000000000000000000",
      "4444444444444444444444444444444444444444444444444444444444444444",
      "af85336b597afc1a900b2eb21ec949d292df4c047e0b21532186a5971a227a89" },
    { "xts/128 (vector 15, 17 bytes)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0",
      "9a785634120000000000000000000000",
      "000102030405060708090a0b0c0d0e0f10",
      "6c1625db4671522d3d7599601de7ca09ed" },
    { "xts/128 (vector 16, 18 bytes)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0",
      "9a785634120000000000000000000000",
      "000102030405060708090a0b0c0d0e0f1011",
      "d069444b7a7e0cab09e24447d24deb1fedbf" },
    { "xts/128 (vector 18, 20 bytes)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0bfbebdbcbbbab9b8b7b6b5b4b3b2b1b0",
      "9a785634120000000000000000000000",
      "000102030405060708090a0b0c0d0e0f10111213",
      "9d84c813f719aa2c7be3f66171c7c5c2edbf9dac" },
    /* The first two blocks of a longer vector stand on their own */
    { "xts/256 (vector 10)", VIRTIO_CRYPTO_CIPHER_AES_XTS,
      "2718281828459045235360287471352662497757247093699959574966967627"
      "3141592653589793238462643383279502884197169399375105820974944592",
      "ff000000000000000000000000000000",
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
      "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b" },
};

static void check_cipher_vector(const CipherVector *v, bool in_place)
{
    Bytes key = unhex(v->key), iv = unhex(v->iv);
    Bytes plain = unhex(v->plain), cipher = unhex(v->cipher), out;
    uint8_t *dst = in_place ? plain.data : out.data;
    uint32_t dir = VIRTIO_CRYPTO_OP_ENCRYPT;
    CryptoDevEvpSession *s = cipher_session(v->alg, dir, &key);
    CryptoDevEvpSymOp op = cipher_op(dir, &iv, plain.data, dst, plain.len);

    sym_op(s, 0, &op, VIRTIO_CRYPTO_OK);
    assert_bytes(dst, plain.len, v->cipher);
    cryptodev_evp_session_free(s);

    dir = VIRTIO_CRYPTO_OP_DECRYPT;
    s = cipher_session(v->alg, dir, &key);
    dst = in_place ? cipher.data : out.data;
    op = cipher_op(dir, &iv, cipher.data, dst, cipher.len);
    sym_op(s, QUEUES - 1, &op, VIRTIO_CRYPTO_OK);
    assert_bytes(dst, cipher.len, v->plain);
    cryptodev_evp_session_free(s);
}

static void test_cipher_vectors(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cipher_vectors); i++) {
        g_test_message("%s", cipher_vectors[i].name);
        check_cipher_vector(&cipher_vectors[i], false);
        check_cipher_vector(&cipher_vectors[i], true);
    }
}

/*
 * A session keeps no state between requests: the same request gives the same
 * answer however many others, good and bad, were run in between, on whichever
 * queue.
 */
static void test_cipher_no_state(void)
{
    const CipherVector *v;
    size_t i;
    int round;

    for (i = 0; i < G_N_ELEMENTS(cipher_vectors); i++) {
        v = &cipher_vectors[i];
        Bytes key = unhex(v->key), iv = unhex(v->iv), plain = unhex(v->plain);
        Bytes out;
        CryptoDevEvpSession *s = cipher_session(v->alg,
                                                VIRTIO_CRYPTO_OP_ENCRYPT, &key);
        CryptoDevEvpSymOp good = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv,
                                           plain.data, out.data, plain.len);
        CryptoDevEvpSymOp bad = good;

        bad.iv_len = 5;
        for (round = 0; round < 3 * QUEUES; round++) {
            Bytes noise = plain;
            CryptoDevEvpSymOp other = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT,
                                                iv.len ? &noise : NULL,
                                                noise.data, noise.data, 16);

            other.iv_len = iv.len;
            sym_op(s, round % QUEUES, &bad, VIRTIO_CRYPTO_ERR);
            sym_op(s, round % QUEUES, &other, VIRTIO_CRYPTO_OK);
            sym_op(s, round % QUEUES, &good, VIRTIO_CRYPTO_OK);
            assert_bytes(out.data, plain.len, v->cipher);
        }
        cryptodev_evp_session_free(s);
    }
}

/* Lengths that are no vector's, against libcrypto used in one shot */
static void reference_cipher(const char *name, const Bytes *key,
                             const Bytes *iv, bool encrypt,
                             const uint8_t *src, uint8_t *dst, size_t len)
{
    EVP_CIPHER *c = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int done, rest;

    g_assert_true(EVP_CipherInit_ex2(ctx, c, key->data, iv->data, encrypt,
                                     NULL));
    EVP_CIPHER_CTX_set_padding(ctx, 0);
    g_assert_true(EVP_CipherUpdate(ctx, dst, &done, src, len));
    g_assert_true(EVP_CipherFinal_ex(ctx, dst + done, &rest));
    g_assert_cmpint(done + rest, ==, len);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(c);
}

typedef struct CipherKind {
    const char *name;
    uint32_t alg;
    uint32_t key_len;
    uint32_t iv_len;
    uint32_t granule;
    uint32_t shortest;
} CipherKind;

static const CipherKind cipher_kinds[] = {
    { "AES-128-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB, 16,  0, 16, 16 },
    { "AES-192-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB, 24,  0, 16, 16 },
    { "AES-256-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB, 32,  0, 16, 16 },
    { "AES-128-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 16, 16, 16 },
    { "AES-192-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC, 24, 16, 16, 16 },
    { "AES-256-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC, 32, 16, 16, 16 },
    { "AES-128-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 16,  1,  1 },
    { "AES-192-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR, 24, 16,  1,  1 },
    { "AES-256-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR, 32, 16,  1,  1 },
    { "AES-128-XTS", VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 16,  1, 16 },
    { "AES-256-XTS", VIRTIO_CRYPTO_CIPHER_AES_XTS, 64, 16,  1, 16 },
};

#define RANDOM_MAX  65536

static size_t random_length(const CipherKind *k)
{
    size_t len = g_test_rand_int_range(k->shortest,
                                       g_test_rand_bit() ? 600 : RANDOM_MAX);

    return len - len % k->granule;
}

static void test_cipher_random(void)
{
    g_autofree uint8_t *src = g_malloc(RANDOM_MAX);
    g_autofree uint8_t *dst = g_malloc(RANDOM_MAX);
    g_autofree uint8_t *want = g_malloc(RANDOM_MAX);
    uint32_t dir;
    size_t i, len;
    int round;

    fill_random(src, RANDOM_MAX);
    for (i = 0; i < G_N_ELEMENTS(cipher_kinds); i++) {
        const CipherKind *k = &cipher_kinds[i];
        Bytes key = { .len = k->key_len }, iv = { .len = k->iv_len };

        fill_random(key.data, key.len);
        for (dir = VIRTIO_CRYPTO_OP_ENCRYPT; dir <= VIRTIO_CRYPTO_OP_DECRYPT;
             dir++) {
            CryptoDevEvpSession *s = cipher_session(k->alg, dir, &key);

            for (round = 0; round < 20; round++) {
                CryptoDevEvpSymOp op;

                fill_random(iv.data, iv.len);
                len = random_length(k);
                op = cipher_op(dir, &iv, src, dst, len);
                sym_op(s, round % QUEUES, &op, VIRTIO_CRYPTO_OK);
                reference_cipher(k->name, &key, &iv,
                                 dir == VIRTIO_CRYPTO_OP_ENCRYPT, src, want,
                                 len);
                g_assert_cmpmem(dst, len, want, len);
            }
            cryptodev_evp_session_free(s);
        }
    }
}

/* What a symmetric session refuses */

static void test_sym_session_refused(void)
{
    Bytes key = unhex(SP800_38A_KEY256 SP800_38A_KEY256);
    static const struct {
        uint32_t alg, direction, op_type, key_len;
        int status;
    } cases[] = {
        /* algorithms that virtio-crypto has a number for and we do not have */
        { VIRTIO_CRYPTO_NO_CIPHER, 1, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
        { VIRTIO_CRYPTO_CIPHER_ARC4, 1, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
        { VIRTIO_CRYPTO_CIPHER_3DES_CBC, 1, 1, 24, VIRTIO_CRYPTO_NOTSUPP },
        { VIRTIO_CRYPTO_CIPHER_ZUC_EEA3, 1, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
        { UINT32_MAX, 1, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
        /* keys of a length that the algorithm does not have */
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 1, 1, 0, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 1, 1, 15, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 1, 1, 64, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_ECB, 1, 1, 33, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_CTR, 1, 1, 17, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 1, 1, 16, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 1, 1, 48, VIRTIO_CRYPTO_ERR },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 1, 1, UINT32_MAX, VIRTIO_CRYPTO_ERR },
        /* XTS with equal halves: libcrypto's own check */
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 1, 1, 64, VIRTIO_CRYPTO_ERR },
        /* directions that do not exist */
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 0, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 3, 1, 16, VIRTIO_CRYPTO_NOTSUPP },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        CryptoDevEvpSymParams p = cipher_params(cases[i].alg,
                                                cases[i].direction, &key);

        g_test_message("case %zu", i);
        p.op_type = cases[i].op_type;
        p.cipher_key_len = cases[i].key_len;
        sym_session(&p, cases[i].status);
    }
}

static void test_sym_op_refused(void)
{
    static const struct {
        uint32_t alg, key_len, iv_len, len;
        const char *reason;
    } cases[] = {
        { VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, 0, 0, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, 0, 16, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, 16, 16, "takes an IV of 0" },
        { VIRTIO_CRYPTO_CIPHER_AES_ECB, 16, 0, 15, "cannot process" },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 16, 0, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 0, 16, "takes an IV of 16" },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 15, 16, "takes an IV of 16" },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 17, 16, "takes an IV of 16" },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 16, 17, "cannot process" },
        { VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 16, 0, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 16, 1, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 12, 1, "takes an IV of 16" },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 16, 0, "cannot process" },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 16, 15, "cannot process" },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 16, 16, NULL },
        { VIRTIO_CRYPTO_CIPHER_AES_XTS, 32, 8, 16, "takes an IV of 16" },
        /* Refused before anything is read */
        { VIRTIO_CRYPTO_CIPHER_AES_CTR, 16, 16, UINT32_MAX,
          "cannot process" },
        { VIRTIO_CRYPTO_CIPHER_AES_CBC, 16, 16, 0x80000000u,
          "cannot process" },
    };
    Bytes key = unhex(SP800_38A_KEY256), iv = unhex(SP800_38A_KEY256);
    uint8_t data[32] = { 0 };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t dir = 1 + i % 2;
        CryptoDevEvpSession *s;
        CryptoDevEvpSymOp op;

        g_test_message("case %zu", i);
        key.len = cases[i].key_len;
        iv.len = cases[i].iv_len;
        s = cipher_session(cases[i].alg, dir, &key);
        op = cipher_op(dir, &iv, data, data, cases[i].len);
        if (cases[i].len == 0) {
            op.src = NULL;
        }
        if (cases[i].reason) {
            sym_op_refused(s, 0, &op, cases[i].reason);
        } else {
            sym_op(s, 0, &op, VIRTIO_CRYPTO_OK);
        }
        cryptodev_evp_session_free(s);
    }
}

static void test_sym_op_mismatch(void)
{
    Bytes key = unhex(SP800_38A_KEY128), iv = unhex(SP800_38A_IV);
    CryptoDevEvpSession *s = cipher_session(VIRTIO_CRYPTO_CIPHER_AES_CBC,
                                            VIRTIO_CRYPTO_OP_ENCRYPT, &key);
    uint8_t data[16] = { 0 }, digest[16];
    const CryptoDevEvpSymOp good = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv,
                                             data, data, sizeof(data));
    CryptoDevEvpSymOp op = good;

    op.op_code = VIRTIO_CRYPTO_CIPHER_DECRYPT;
    sym_op(s, 0, &op, VIRTIO_CRYPTO_ERR);
    op.op_code = VIRTIO_CRYPTO_HASH;
    sym_op(s, 0, &op, VIRTIO_CRYPTO_ERR);
    op = good;
    op.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    op.digest = digest;
    op.digest_len = sizeof(digest);
    sym_op_refused(s, 0, &op, "session is for");
    op = good;
    op.dst_len = 15;
    sym_op(s, 0, &op, VIRTIO_CRYPTO_ERR);
    sym_op(s, QUEUES, &good, VIRTIO_CRYPTO_ERR);
    sym_op(s, UINT_MAX, &good, VIRTIO_CRYPTO_ERR);
    sym_op(s, QUEUES - 1, &good, VIRTIO_CRYPTO_OK);

    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, data, sizeof(data),
          data, sizeof(data), VIRTIO_CRYPTO_INVSESS);
    /* Nobody has to want the reason */
    op.op_code = 0;
    g_assert_cmpint(cryptodev_evp_sym_op(s, 0, &op, NULL), ==,
                    VIRTIO_CRYPTO_ERR);
    cryptodev_evp_session_free(s);
}

/* Chaining */

typedef struct HashVector {
    uint32_t mode, alg;
    const char *key, *data, *digest;
    uint32_t len;              /* 0: the whole digest */
} HashVector;

#define HASH(id, digest) \
    { VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN, VIRTIO_CRYPTO_HASH_##id, \
      NULL, "616263", digest, 0 }
#define HI_THERE   "4869205468657265"
#define KEY_0B_16  "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"
#define KEY_0B_20  KEY_0B_16 "0b0b0b0b"
#define AA_32      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
                   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_AA_131 AA_32 AA_32 AA_32 AA_32 "aaaaaa"
#define HMAC_TEST(id, key, data, digest, len) \
    { VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH, VIRTIO_CRYPTO_MAC_HMAC_##id, \
      key, data, digest, len }

static const HashVector hash_vectors[] = {
    HASH(MD5, "900150983cd24fb0d6963f7d28e17f72"),
    HASH(SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"),
    HASH(SHA_224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    HASH(SHA_256, "ba7816bf8f01cfea414140de5dae2223"
                  "b00361a396177a9cb410ff61f20015ad"),
    HASH(SHA_384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded163"
                  "1a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
    HASH(SHA_512, "ddaf35a193617abacc417349ae204131"
                  "12e6fa4e89a97ea20a9eeee64b55d39a"
                  "2192992a274fc1a836ba3c23a3feebbd"
                  "454d4423643ce80e2a9ac94fa54ca49f"),
    HASH(SHA3_224, "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
    HASH(SHA3_256, "3a985da74fe225b2045c172d6bd390bd"
                   "855f086e3e9d525b46bfe24511431532"),
    HASH(SHA3_384, "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c25"
                   "96da7cf0e49be4b298d88cea927ac7f539f1edf228376d25"),
    HASH(SHA3_512, "b751850b1a57168a5693cd924b6b096e"
                   "08f621827444f70d884f5d0240d2712e"
                   "10e116e9192af3c91a7ec57647e39340"
                   "57340b4cf408d5a56592f8274eec53f0"),
    HMAC_TEST(MD5, KEY_0B_16, HI_THERE, "9294727a3638bb1c13f48ef8158bfc9d", 0),
    HMAC_TEST(SHA1, KEY_0B_20, HI_THERE,
              "b617318655057264e28bc0b6fb378c8ef146be00", 0),
    HMAC_TEST(SHA_224, KEY_0B_20, HI_THERE,
              "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22", 0),
    HMAC_TEST(SHA_256, KEY_0B_20, HI_THERE,
              "b0344c61d8db38535ca8afceaf0bf12b"
              "881dc200c9833da726e9376c2e32cff7", 0),
    HMAC_TEST(SHA_384, KEY_0B_20, HI_THERE,
              "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec6"
              "82aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6", 0),
    HMAC_TEST(SHA_512, KEY_0B_20, HI_THERE,
              "87aa7cdea5ef619d4ff0b4241a1d6cb0"
              "2379f4e2ce4ec2787ad0b30545e17cde"
              "daa833b7d6b8a702038b274eaea3f4e4"
              "be9d914eeb61f1702e696c203a126854", 0),
    /* RFC 4231 test case 5: a truncated result */
    HMAC_TEST(SHA_256, "0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c",
              "546573742057697468205472756e636174696f6e",
              "a3b6167473100ee06e0c796c2955552b", 16),
    /* test case 6: a key longer than a block */
    HMAC_TEST(SHA_256, KEY_AA_131,
              "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a"
              "65204b6579202d2048617368204b6579204669727374",
              "60e431591ee0b67f0d8a26aacbf5b77f"
              "8e0bc6213728c5140546040f0ee37f54", 0),
    /* no key and no data at all */
    HMAC_TEST(SHA_256, "", "",
              "b613679a0814d9ec772f95d778c35fc5"
              "ff1697c493715653c6c712144292c5ad", 0),
};

static CryptoDevEvpSymParams chain_params(const HashVector *v, uint32_t order,
                                          uint32_t direction,
                                          const Bytes *cipher_key,
                                          const Bytes *auth_key,
                                          uint32_t digest_len, uint32_t aad_len)
{
    CryptoDevEvpSymParams p = cipher_params(VIRTIO_CRYPTO_CIPHER_AES_CTR,
                                            direction, cipher_key);

    p.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    p.chain_order = order;
    p.hash_mode = v->mode;
    p.hash_alg = v->alg;
    p.hash_result_len = digest_len;
    p.auth_key = auth_key->len ? auth_key->data : NULL;
    p.auth_key_len = auth_key->len;
    p.aad_len = aad_len;
    return p;
}

static CryptoDevEvpSymOp chain_op(uint32_t direction, const Bytes *iv,
                                  const uint8_t *src, uint8_t *dst,
                                  uint32_t len, uint8_t *digest,
                                  uint32_t digest_len)
{
    CryptoDevEvpSymOp op = cipher_op(direction, iv, src, dst, len);

    op.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    op.cipher_len = op.hash_len = len;
    op.digest = digest;
    op.digest_len = digest_len;
    return op;
}

/* Where the data comes from: all of it source, all of it AAD, or split */
static void check_hash_vector(const HashVector *v, size_t aad_len)
{
    Bytes cipher_key = unhex(SP800_38A_KEY128), iv = unhex(SP800_38A_CTR);
    Bytes auth_key = unhex(v->key), data = unhex(v->data);
    uint8_t digest[EVP_MAX_MD_SIZE], out[256];
    Bytes want = unhex(v->digest);
    CryptoDevEvpSymParams p = chain_params(
        v, VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER,
        VIRTIO_CRYPTO_OP_ENCRYPT, &cipher_key, &auth_key, want.len, aad_len);
    CryptoDevEvpSession *s = sym_session(&p, VIRTIO_CRYPTO_OK);
    size_t len = data.len - aad_len;
    CryptoDevEvpSymOp op = chain_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv,
                                    len ? data.data + aad_len : NULL, out, len,
                                    digest, want.len);
    int round;

    op.aad = aad_len ? data.data : NULL;
    op.aad_len = aad_len;
    for (round = 0; round < 3; round++) {
        memset(digest, 0, sizeof(digest));
        sym_op(s, round % 2, &op, VIRTIO_CRYPTO_OK);
        assert_bytes(digest, want.len, v->digest);
        /* nothing behind what was asked for */
        g_assert_cmpint(digest[MIN(want.len, sizeof(digest) - 1)], ==,
                        want.len < sizeof(digest) ? 0 : want.data[63]);
    }
    cryptodev_evp_session_free(s);
}

static void test_hash_vectors(void)
{
    size_t i, len;

    for (i = 0; i < G_N_ELEMENTS(hash_vectors); i++) {
        g_test_message("vector %zu", i);
        len = unhex(hash_vectors[i].data).len;
        check_hash_vector(&hash_vectors[i], 0);
        check_hash_vector(&hash_vectors[i], len / 2);
        check_hash_vector(&hash_vectors[i], len);
    }
}

/*
 * A packet: a header in the clear, a payload that is ciphered, a trailer; the
 * MAC covers some additional data, the header and the payload.  Computed here
 * from its definition.
 */
#define PACKET_HEADER   20
#define PACKET_PAYLOAD  77
#define PACKET_TRAILER  12
#define PACKET_LEN      (PACKET_HEADER + PACKET_PAYLOAD + PACKET_TRAILER)
#define PACKET_AAD      9

static void packet_mac(const Bytes *key, const Bytes *aad,
                       const uint8_t *packet, uint8_t *mac)
{
    uint8_t joined[PACKET_AAD + PACKET_LEN];
    unsigned int len;

    memcpy(joined, aad->data, PACKET_AAD);
    memcpy(joined + PACKET_AAD, packet, PACKET_HEADER + PACKET_PAYLOAD);
    HMAC(EVP_sha256(), key->data, key->len, joined,
         PACKET_AAD + PACKET_HEADER + PACKET_PAYLOAD, mac, &len);
    g_assert_cmpuint(len, ==, 32);
}

static void check_packet(uint32_t order, uint32_t direction, bool in_place)
{
    const HashVector sha256 = HMAC_TEST(SHA_256, NULL, NULL, NULL, 0);
    Bytes cipher_key = unhex(SP800_38A_KEY192), iv = unhex(SP800_38A_CTR);
    Bytes auth_key = unhex(KEY_AA_131), aad = { .len = PACKET_AAD };
    uint8_t original[PACKET_LEN], src[PACKET_LEN];
    uint8_t dst[PACKET_LEN], want[PACKET_LEN];
    uint8_t mac[32], want_mac[32];
    CryptoDevEvpSymParams p = chain_params(&sha256, order, direction,
                                           &cipher_key, &auth_key, 32,
                                           PACKET_AAD);
    CryptoDevEvpSession *s = sym_session(&p, VIRTIO_CRYPTO_OK);
    uint8_t *out = in_place ? src : dst;
    CryptoDevEvpSymOp op = chain_op(direction, &iv, src, out, PACKET_LEN, mac,
                                    sizeof(mac));

    fill_random(original, sizeof(original));
    fill_random(aad.data, aad.len);
    memcpy(src, original, sizeof(src));
    memcpy(want, original, sizeof(want));
    reference_cipher("AES-192-CTR", &cipher_key, &iv,
                     direction == VIRTIO_CRYPTO_OP_ENCRYPT,
                     original + PACKET_HEADER, want + PACKET_HEADER,
                     PACKET_PAYLOAD);
    packet_mac(&auth_key, &aad,
               order == VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER ?
               original : want, want_mac);

    op.cipher_start = PACKET_HEADER;
    op.cipher_len = PACKET_PAYLOAD;
    op.hash_start = 0;
    op.hash_len = PACKET_HEADER + PACKET_PAYLOAD;
    op.aad = aad.data;
    op.aad_len = aad.len;
    memset(dst, 0x5a, sizeof(dst));
    sym_op(s, 1, &op, VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, PACKET_LEN, want, PACKET_LEN);
    g_assert_cmpmem(mac, sizeof(mac), want_mac, sizeof(want_mac));
    if (!in_place) {
        g_assert_cmpmem(src, PACKET_LEN, original, PACKET_LEN);
    }
    cryptodev_evp_session_free(s);
}

static void test_chain_packet(void)
{
    uint32_t order, direction;

    for (order = VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
         order <= VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH; order++) {
        for (direction = VIRTIO_CRYPTO_OP_ENCRYPT;
             direction <= VIRTIO_CRYPTO_OP_DECRYPT; direction++) {
            check_packet(order, direction, false);
            check_packet(order, direction, true);
        }
    }
}

static void test_chain_session_refused(void)
{
    Bytes key = unhex(SP800_38A_KEY128);
    Bytes long_key = { .len = CRYPTODEV_EVP_MAX_AUTH_KEY };
    static const struct {
        uint32_t order, mode, alg, result_len, auth_len;
        int status;
    } cases[] = {
        { 1, 1, VIRTIO_CRYPTO_HASH_SHA_256, 32, 0, VIRTIO_CRYPTO_OK },
        { 2, 2, VIRTIO_CRYPTO_MAC_HMAC_SHA_256, 1, 1, VIRTIO_CRYPTO_OK },
        { 2, 2, VIRTIO_CRYPTO_MAC_HMAC_MD5, 16, CRYPTODEV_EVP_MAX_AUTH_KEY,
          VIRTIO_CRYPTO_OK },
        /* chain orders */
        { 0, 1, VIRTIO_CRYPTO_HASH_SHA_256, 32, 0, VIRTIO_CRYPTO_NOTSUPP },
        { 3, 1, VIRTIO_CRYPTO_HASH_SHA_256, 32, 0, VIRTIO_CRYPTO_NOTSUPP },
        /* algorithms */
        { 1, 1, VIRTIO_CRYPTO_NO_HASH, 32, 0, VIRTIO_CRYPTO_NOTSUPP },
        { 1, 1, VIRTIO_CRYPTO_HASH_SHA3_SHAKE128, 16, 0,
          VIRTIO_CRYPTO_NOTSUPP },
        { 1, 2, VIRTIO_CRYPTO_NO_MAC, 32, 4, VIRTIO_CRYPTO_NOTSUPP },
        { 1, 2, VIRTIO_CRYPTO_MAC_CMAC_AES, 16, 16, VIRTIO_CRYPTO_NOTSUPP },
        { 1, 2, VIRTIO_CRYPTO_HASH_SHA3_256, 32, 16, VIRTIO_CRYPTO_NOTSUPP },
        { 1, 2, UINT32_MAX, 16, 16, VIRTIO_CRYPTO_NOTSUPP },
        /* results that the hash does not have */
        { 1, 1, VIRTIO_CRYPTO_HASH_SHA_256, 33, 0, VIRTIO_CRYPTO_ERR },
        { 1, 1, VIRTIO_CRYPTO_HASH_SHA_256, 0, 0, VIRTIO_CRYPTO_ERR },
        { 1, 2, VIRTIO_CRYPTO_MAC_HMAC_SHA_512, 65, 4, VIRTIO_CRYPTO_ERR },
        { 1, 2, VIRTIO_CRYPTO_MAC_HMAC_SHA1, UINT32_MAX, 4,
          VIRTIO_CRYPTO_ERR },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        HashVector v = { .mode = cases[i].mode, .alg = cases[i].alg };
        CryptoDevEvpSymParams p;

        g_test_message("case %zu", i);
        long_key.len = cases[i].auth_len;
        p = chain_params(&v, cases[i].order, VIRTIO_CRYPTO_OP_ENCRYPT, &key,
                         &long_key, cases[i].result_len, 0);
        cryptodev_evp_session_free(sym_session(&p, cases[i].status));
    }

    /* the cipher half is checked as well */
    {
        CryptoDevEvpSymParams p = chain_params(&hash_vectors[0], 1, 1, &key,
                                               &long_key, 16, 0);

        p.cipher_alg = VIRTIO_CRYPTO_CIPHER_KASUMI_F8;
        sym_session(&p, VIRTIO_CRYPTO_NOTSUPP);
    }
}

/* Every number of a chained request as a lie; the buffers are exact */
static void test_chain_op_refused(void)
{
    enum { LEN = 64, DIGEST = 20, AAD = 8 };
    static const struct {
        uint32_t cipher_start, cipher_len, hash_start, hash_len;
        uint32_t digest_len, aad_len;
        int status;
    } cases[] = {
        { 0, LEN, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_OK },
        { LEN, 0, LEN, 0, 1, AAD, VIRTIO_CRYPTO_OK },
        { 0, 0, 0, 0, DIGEST, AAD, VIRTIO_CRYPTO_OK },
        { 1, LEN - 1, 63, 1, DIGEST, AAD, VIRTIO_CRYPTO_OK },
        /* the region to cipher */
        { 1, LEN, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { LEN + 1, 0, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN + 1, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { UINT32_MAX, 1, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { UINT32_MAX - 15, 16, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 16, UINT32_MAX - 15, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, UINT32_MAX, 0, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        /* the region to hash */
        { 0, LEN, 1, LEN, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, LEN + 1, 0, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN + 1, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, UINT32_MAX, 1, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 1, UINT32_MAX, DIGEST, AAD, VIRTIO_CRYPTO_ERR },
        /* the digest, and the additional data */
        { 0, LEN, 0, LEN, 0, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN, DIGEST + 1, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN, UINT32_MAX, AAD, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN, DIGEST, AAD - 1, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN, DIGEST, AAD + 1, VIRTIO_CRYPTO_ERR },
        { 0, LEN, 0, LEN, DIGEST, UINT32_MAX, VIRTIO_CRYPTO_ERR },
    };
    const HashVector sha1 = HASH(SHA1, NULL);
    Bytes key = unhex(SP800_38A_KEY128), iv = unhex(SP800_38A_CTR), none = { };
    uint32_t order;
    size_t i;

    for (order = 1; order <= 2; order++) {
        CryptoDevEvpSymParams p = chain_params(&sha1, order, 1, &key, &none,
                                               DIGEST, AAD);
        CryptoDevEvpSession *s = sym_session(&p, VIRTIO_CRYPTO_OK);

        for (i = 0; i < G_N_ELEMENTS(cases); i++) {
            /* On the heap, so that a sanitizer sees a byte too many */
            g_autofree uint8_t *src = g_malloc0(LEN), *dst = g_malloc(LEN);
            g_autofree uint8_t *aad = g_malloc0(AAD);
            g_autofree uint8_t *digest = g_malloc(DIGEST);
            CryptoDevEvpSymOp op = chain_op(1, &iv, src, dst, LEN, digest,
                                            cases[i].digest_len);

            g_test_message("order %u case %zu", order, i);
            op.cipher_start = cases[i].cipher_start;
            op.cipher_len = cases[i].cipher_len;
            op.hash_start = cases[i].hash_start;
            op.hash_len = cases[i].hash_len;
            op.aad = aad;
            op.aad_len = cases[i].aad_len;
            sym_op(s, 0, &op, cases[i].status);
        }
        cryptodev_evp_session_free(s);
    }
}

/* A chain may carry no data at all; the pointers are then NULL */
static void test_chain_empty(void)
{
    const HashVector sha1 = HASH(SHA1, NULL);
    Bytes key = unhex(SP800_38A_KEY128), iv = unhex(SP800_38A_CTR), none = { };
    uint8_t digest[20], byte;
    uint32_t order;

    for (order = 1; order <= 2; order++) {
        CryptoDevEvpSymParams p = chain_params(&sha1, order, 1, &key, &none,
                                               20, 0);
        CryptoDevEvpSession *s = sym_session(&p, VIRTIO_CRYPTO_OK);
        CryptoDevEvpSymOp op = chain_op(1, &iv, NULL, &byte, 0, digest, 20);

        sym_op(s, 0, &op, VIRTIO_CRYPTO_OK);
        assert_bytes(digest, 20, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
        /* a request without a hash is not one for this session */
        op.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
        sym_op_refused(s, 0, &op, "session is for");
        op.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
        /* and its cipher's rules still hold */
        op.iv_len = 1;
        sym_op(s, 0, &op, VIRTIO_CRYPTO_ERR);
        cryptodev_evp_session_free(s);
    }
}

/* Many sessions at once, on all queues, in any order */

#define MANY  300

static void test_many_sessions(void)
{
    CryptoDevEvpSession *s[MANY];
    Bytes key[MANY], iv = unhex(SP800_38A_IV);
    uint8_t src[64], dst[64], want[64];
    int i, round;

    fill_random(src, sizeof(src));
    for (i = 0; i < MANY; i++) {
        key[i].len = 16;
        fill_random(key[i].data, 16);
        s[i] = cipher_session(VIRTIO_CRYPTO_CIPHER_AES_CBC,
                              VIRTIO_CRYPTO_OP_ENCRYPT, &key[i]);
    }
    for (round = 0; round < 3000; round++) {
        CryptoDevEvpSymOp op = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv, src,
                                         dst, sizeof(src));

        i = g_test_rand_int_range(0, MANY);
        sym_op(s[i], g_test_rand_int_range(0, QUEUES), &op, VIRTIO_CRYPTO_OK);
        reference_cipher("AES-128-CBC", &key[i], &iv, true, src, want,
                         sizeof(src));
        g_assert_cmpmem(dst, sizeof(dst), want, sizeof(want));
    }
    for (i = MANY; i-- > 0; ) {
        cryptodev_evp_session_free(s[i]);
    }
}

/* One session, each queue in its own thread, no lock anywhere */

typedef struct Worker {
    CryptoDevEvpSession *s;
    unsigned int queue;
    const uint8_t *want;
    int wrong;
} Worker;

#define WORKER_LEN     256
#define WORKER_ROUNDS  5000

static gpointer worker_run(gpointer opaque)
{
    Worker *w = opaque;
    Bytes iv = unhex(SP800_38A_CTR);
    uint8_t src[WORKER_LEN] = { 0 }, dst[WORKER_LEN], digest[32];
    int i;

    for (i = 0; i < WORKER_ROUNDS; i++) {
        CryptoDevEvpSymOp op = chain_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv, src,
                                        dst, WORKER_LEN, digest, 32);

        if (cryptodev_evp_sym_op(w->s, w->queue, &op, NULL) ||
            memcmp(digest, w->want, 32)) {
            w->wrong++;
        }
    }
    return NULL;
}

static void test_threads(void)
{
    const HashVector sha256 = HMAC_TEST(SHA_256, NULL, NULL, NULL, 0);
    Bytes key = unhex(SP800_38A_KEY256), iv = unhex(SP800_38A_CTR);
    CryptoDevEvpSymParams p = chain_params(
        &sha256, VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH,
        VIRTIO_CRYPTO_OP_ENCRYPT, &key, &key, 32, 0);
    CryptoDevEvpSession *s = sym_session(&p, VIRTIO_CRYPTO_OK);
    uint8_t zero[WORKER_LEN] = { 0 }, cipher[WORKER_LEN], want[32];
    Worker w[QUEUES];
    GThread *t[QUEUES];
    unsigned int i, len;

    reference_cipher("AES-256-CTR", &key, &iv, true, zero, cipher, WORKER_LEN);
    HMAC(EVP_sha256(), key.data, key.len, cipher, WORKER_LEN, want, &len);
    for (i = 0; i < QUEUES; i++) {
        w[i] = (Worker) { .s = s, .queue = i, .want = want };
        t[i] = g_thread_new("queue", worker_run, &w[i]);
    }
    for (i = 0; i < QUEUES; i++) {
        g_thread_join(t[i]);
        g_assert_cmpint(w[i].wrong, ==, 0);
    }
    cryptodev_evp_session_free(s);
}

/* After a queue's first request, libcrypto allocates nothing for a cipher */
static void test_no_allocation(void)
{
    uint8_t data[512] = { 0 };
    size_t i;
    int round, before;

    for (i = 0; i < G_N_ELEMENTS(cipher_kinds); i++) {
        const CipherKind *k = &cipher_kinds[i];
        Bytes key = { .len = k->key_len }, iv = { .len = k->iv_len };
        CryptoDevEvpSession *s;
        CryptoDevEvpSymOp op = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv, data,
                                         data, sizeof(data));

        fill_random(key.data, key.len);
        s = cipher_session(k->alg, VIRTIO_CRYPTO_OP_ENCRYPT, &key);
        sym_op(s, 0, &op, VIRTIO_CRYPTO_OK);
        before = g_atomic_int_get(&allocations);
        for (round = 0; round < 100; round++) {
            g_assert_cmpint(cryptodev_evp_sym_op(s, 0, &op, NULL), ==,
                            VIRTIO_CRYPTO_OK);
        }
        g_assert_cmpint(g_atomic_int_get(&allocations), ==, before);
        /* and the counter does count */
        sym_op(s, 1, &op, VIRTIO_CRYPTO_OK);
        g_assert_cmpint(g_atomic_int_get(&allocations), >, before);
        cryptodev_evp_session_free(s);
    }
}

/* Asymmetric keys in DER, built from numbers as the documents print them */

static void der_header(Bytes *b, uint8_t tag, size_t len)
{
    b->data[b->len++] = tag;
    if (len < 0x80) {
        b->data[b->len++] = len;
    } else if (len < 0x100) {
        b->data[b->len++] = 0x81;
        b->data[b->len++] = len;
    } else {
        b->data[b->len++] = 0x82;
        b->data[b->len++] = len >> 8;
        b->data[b->len++] = len;
    }
}

static void der_append(Bytes *b, const uint8_t *data, size_t len)
{
    g_assert_cmpuint(b->len + len, <=, sizeof(b->data));
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static void der_integer(Bytes *b, const char *hex)
{
    Bytes n = unhex(hex);
    uint8_t zero = 0;
    bool pad = n.len == 0 || n.data[0] & 0x80;

    der_header(b, 0x02, n.len + pad);
    der_append(b, &zero, pad);
    der_append(b, n.data, n.len);
}

static Bytes der_sequence(const Bytes *content)
{
    Bytes b = { 0 };

    der_header(&b, 0x30, content->len);
    der_append(&b, content->data, content->len);
    return b;
}

static Bytes der_integers(const char *const *hex, int count)
{
    Bytes content = { 0 };
    int i;

    for (i = 0; i < count; i++) {
        der_integer(&content, hex[i]);
    }
    return der_sequence(&content);
}

static CryptoDevEvpSession *ak_session(const CryptoDevEvpAkParams *p,
                                       int expected)
{
    CryptoDevEvpSession *s;
    g_autofree char *why = NULL;
    int status = cryptodev_evp_ak_session_new(p, &s, &why);

    check_outcome(status, expected, why);
    g_assert_cmpint(s != NULL, ==, expected == VIRTIO_CRYPTO_OK);
    return s;
}

static CryptoDevEvpAkParams rsa_params(const Bytes *key, bool private,
                                       uint32_t padding, uint32_t hash)
{
    return (CryptoDevEvpAkParams) {
        .keytype = private ? VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE
                           : VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
        .key = key->data,
        .keylen = key->len,
        .rsa_padding = padding,
        .rsa_hash = hash,
    };
}

static CryptoDevEvpSession *rsa_session(const Bytes *key, bool private,
                                        uint32_t padding, uint32_t hash)
{
    CryptoDevEvpAkParams p = rsa_params(key, private, padding, hash);

    return ak_session(&p, VIRTIO_CRYPTO_OK);
}

/* RSA Laboratories, pkcs1v15sign-vectors, example 1 */
#define EX1_N \
    "a56e4a0e701017589a5187dc7ea841d156f2ec0e36ad52a44dfeb1e61f7ad991" \
    "d8c51056ffedb162b4c0f283a12a88a394dff526ab7291cbb307ceabfce0b1df" \
    "d5cd9508096d5b2b8b6df5d671ef6377c0921cb23c270a70e2598e6ff89d19f1" \
    "05acc2d3f0cb35f29280e1386b6f64c4ef22e1e1f20d0ce8cffb2249bd9a2137"
#define EX1_E "010001"
#define EX1_D \
    "33a5042a90b27d4f5451ca9bbbd0b44771a101af884340aef9885f2a4bbe92e8" \
    "94a724ac3c568c8f97853ad07c0266c8c6a3ca0929f1e8f11231884429fc4d9a" \
    "e55fee896a10ce707c3ed7e734e44727a39574501a532683109c2abacaba283c" \
    "31b4bd2f53c3ee37e352cee34f9e503bd80c0622ad79c6dcee883547c6a3b325"
#define EX1_P \
    "e7e8942720a877517273a356053ea2a1bc0c94aa72d55c6e86296b2dfc967948" \
    "c0a72cbccca7eacb35706e09a1df55a1535bd9b3cc34160b3b6dcd3eda8e6443"
#define EX1_Q \
    "b69dca1cf7d4d7ec81e75b90fcca874abcde123fd2700180aa90479b6e48de8d" \
    "67ed24f9f19d85ba275874f542cd20dc723e6963364a1f9425452b269a6799fd"
#define EX1_DP \
    "28fa13938655be1f8a159cbaca5a72ea190c30089e19cd274a556f36c4f6e19f" \
    "554b34c077790427bbdd8dd3ede2448328f385d81b30e8e43b2fffa027861979"
#define EX1_DQ \
    "1a8b38f398fa712049898d7fb79ee0a77668791299cdfa09efc0e507acb21ed7" \
    "4301ef5bfd48be455eaeb6e1678255827580a8e4e8e14151d1510a82a3f2e729"
#define EX1_QINV \
    "27156aba4126d24a81f3a528cbfb27f56886f840a9f6e86e17a44b94fe931958" \
    "4b8e22fdde1e5a2e3bd8aa5ba8d8584194eb2190acf832b847f13a3d24a79f4d"
#define EX1_MESSAGE \
    "cdc87da223d786df3b45e0bbbc721326d1ee2af806cc315475cc6f0d9c66e1b6" \
    "2371d45ce2392e1ac92844c310102f156a0d8d52c1f4c40ba3aa65095786cb76" \
    "9757a6563ba958fed0bcc984e8b517a3d5f515b23b8a41e74aa867693f90dfb0" \
    "61a6e86dfaaee64472c00e5f20945729cbebe77f06ce78e08f4098fba41f9d61" \
    "93c0317e8b60d4b6084acb42d29e3808a3bc372d85e331170fcbf7cc72d0b71c" \
    "296648b3a4d10f416295d0807aa625cab2744fd9ea8fd223c42537029828bd16" \
    "be02546f130fd2e33b936d2676e08aed1b73318b750a0167d0"
#define EX1_SIGNATURE \
    "6bc3a06656842930a247e30d5864b4d819236ba7c68965862ad7dbc4e24af28e" \
    "86bb531f03358be5fb74777c6086f850caef893f0d6fcc2d0c91ec013693b4ea" \
    "00b80cd49aac4ecb5f8911afe539ada4a8f3823d1d13e472d1490547c659c761" \
    "7f3d24087ddb6f2b72096167fc097cab18e9a458fcb634cdce8ee35894c484d7"
#define EX1_BYTES 128

static const char *const ex1_public[] = { EX1_N, EX1_E };
static const char *const ex1_private[] = {
    "00", EX1_N, EX1_E, EX1_D, EX1_P, EX1_Q, EX1_DP, EX1_DQ, EX1_QINV,
};
/* Keys like those of Linux's crypto self-tests: no factors */
static const char *const ex1_private_short[] = {
    "00", EX1_N, EX1_E, EX1_D, "00", "00", "00", "00", "00",
};

static Bytes ex1_key(bool private)
{
    return private ? der_integers(ex1_private, G_N_ELEMENTS(ex1_private))
                   : der_integers(ex1_public, G_N_ELEMENTS(ex1_public));
}

static Bytes sha1_of(const char *hex)
{
    Bytes message = unhex(hex), digest = { .len = 20 };

    g_assert_true(EVP_Digest(message.data, message.len, digest.data, NULL,
                             EVP_sha1(), NULL));
    return digest;
}

static void check_rsa_sign(const Bytes *key)
{
    CryptoDevEvpSession *s = rsa_session(key, true,
                                         VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                                         VIRTIO_CRYPTO_RSA_SHA1);
    Bytes digest = sha1_of(EX1_MESSAGE), sig = unhex(EX1_SIGNATURE);
    uint8_t out[EX1_BYTES + 10];
    uint32_t len;

    len = ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len,
                out, EX1_BYTES, VIRTIO_CRYPTO_OK);
    assert_bytes(out, len, EX1_SIGNATURE);
    /* more room than needed: the true length comes back */
    len = ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len,
                out, sizeof(out), VIRTIO_CRYPTO_OK);
    assert_bytes(out, len, EX1_SIGNATURE);
    /* less */
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len,
          out, EX1_BYTES - 1, VIRTIO_CRYPTO_ERR);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len,
          NULL, 0, VIRTIO_CRYPTO_ERR);
    /* not a SHA-1 digest */
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len - 1,
          out, EX1_BYTES, VIRTIO_CRYPTO_ERR);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, NULL, 0, out, EX1_BYTES,
          VIRTIO_CRYPTO_ERR);
    /* a private key verifies as well */
    len = ak_op(s, VIRTIO_CRYPTO_AKCIPHER_VERIFY, sig.data, sig.len,
                digest.data, digest.len, VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(len, ==, 0);
    cryptodev_evp_session_free(s);
}

static void test_rsa_sign(void)
{
    Bytes key = ex1_key(true);

    check_rsa_sign(&key);
    key = der_integers(ex1_private_short, G_N_ELEMENTS(ex1_private_short));
    check_rsa_sign(&key);
}

/* NIST CAVP, SigGen15_186-3, modulus 1024 */
#define CAVP_N \
    "a3ecf80ff1804833c36a89a1583f58ef3332476a50a153e73ced177961396360" \
    "45c131a6b17222ba8848f70150b18dfa390bfb1670ae982dfbc311fd0ede0555" \
    "64687af3805ca883944bb5ac9ec19b0e0cfbd9a314d70b17080c3d49b50cbf41" \
    "7062eb41bd639d67a5fb330ec55a0489fee08eeec97ed487c114b20393fe0aef"

static const struct {
    const char *md;
    uint32_t hash;
    const char *message, *signature;
} cavp_vectors[] = {
    { "SHA1", VIRTIO_CRYPTO_RSA_SHA1,
      "1018469fda81f41922cfdb2dca679f7f3a286f11ba448ab71e4e02cca994c024"
      "2caec9416e57c0cad07cab383193fad3102ec5ddf0d0550d01ffe63ffc9aab69"
      "4f6d13d17a034b7db9bb04ebe31e76039270a44a8485e25841d7958cfed53bfe"
      "c27dabb5c72c9d1b23b56cada7b11bf7081797c03c0d3b8227fd991d77ea78cb",
      "147a8797d9d653f52d210135f61bbdfe59698d755b076230f2b252e7792c8612"
      "1469fab7b410789df4f193a76e8be99a2162e422c6a56106fa4e2fe5abafc542"
      "ff1a899d8580f9f6b4cd29a8310cd34964ce22bbad9618d97e4c36695b246bdd"
      "0c0d5d0c75d044265e6f275a272718b0c2b93974dc76ddcca985bef994ce67bd" },
    { "SHA224", VIRTIO_CRYPTO_RSA_SHA224,
      "ee957a3107024f9a51d212fc6ff18d46a26a2d80df2cb6b1250f36010d12381b"
      "a3e639d574b16013e80c69e8d24de3ff460c9b3aabe05898106ac85cc495bb6c"
      "201b8ff7a84ceb5a530bb14526192d1907969395d1c4a8b2a40fbfcb7f4ae701"
      "103c63deca5b5a3939d7d05992dad55d8f0ffcda79610fc78605019666ba24a4",
      "10fafcf4b543c9d58c1658a9d96e2d3ba1276406951b2d2ea5a7930fa18a88f8"
      "8a0ebdc53038c0277f7f00e699b5aa4977b25d42edacf3ed6eba656c177bbba6"
      "22b710e5bd78de381f626e38b5d49fa06fd5e0e9acb5fc67ae86107313575be7"
      "5bb4535864b57adef917dae1f04b0ed4bd02ee81cc3f0caa9b7a9a9d940d9372" },
    { "SHA256", VIRTIO_CRYPTO_RSA_SHA256,
      "dfce08b64b9ea4014947012670548da4ceeee084dbfe509aac92bf096982b805"
      "0153bbdd1c5bd4385226729e9a19773b05558ce0acdfb74be6fd2fa8bfe36f58"
      "a68e89f066f1bd85584f4a27d6e884abf2d727ae683bebd6d295585b1b71dcc6"
      "36491bf910a68670c3882fc60c08db7bff3c59f4f95b13c3d721e329657528d9",
      "8d9d30a87df0c2f6cd651fcaf2b9ac1296287ad3d4b03132e330f08ab701fc19"
      "7040d0a261f631e7e34478b592551e1f682395c9e2b54c8ce8b0c72c1b5a7974"
      "8cc34f9152730a7f67fae1225a4ce750f1d5d4e288176df197e7503c88b5baec"
      "ef3abcf2875f111e6d7f7b4dc8afa2ed3c1d7ad8e7cf45a77f0b1cb178518402" },
    { "SHA384", VIRTIO_CRYPTO_RSA_SHA384,
      "a8fe42908385a0d9bbdecfe321683dadc0d079e0b48fa36940b422681ae49449"
      "099f0b30b2c4769baf585d43e283d24309dba47b92e6d537b0d94e0caea6d203"
      "843631faa8f3be46268a029df3efb2347ea1df24892f6d1237fbc60f663ecfbd"
      "3e4c1cb30a1a602347fd27bafbb4c7c849a993a141745343fda1f139e9b375bf",
      "9a4a206f3ac129a50ddb3d05fbdf642306e4f9b465aad6699baebb212e99d807"
      "f300cbfab2eb629f438bcec7158d6c7cc0c2849a39feaf9be0a93c93b04fe6d7"
      "15b7ed974ba720413e7419de42627778c3dffbb9721f64135a4a779c3b36bb62"
      "c5d08cfef5fb54a2f389964d161c4ebb095f5001a53a3bfae031a2f04d4f45e5" },
    { "SHA512", VIRTIO_CRYPTO_RSA_SHA512,
      "600a570202eba1a0f00acbc7c7de8735e0ab100183ef052357fd77371de8417e"
      "9ea29726e265e2cba352cb3d015996847858b2210e878e97d113ae2a8009fde7"
      "897665e433cd9dc91d88428fe7122a882fe5f5a0bfefe4e2043bef3ec3cd1189"
      "07cee7c55ee979a344f45846e0d3e94aee990005fdf1b00cdabd62f94cfc256c",
      "708f5cd7d54cbfa33e5af4f83ae8e0e71be35c70bff5d9022d40b87a5c61f527"
      "def0820187462a66ce255835f365523f2bfb3b4be27ffb0d07c4e8865c2445d8"
      "3ce7cc135c251fc7f7c6098d496f9a47380292df3bfed10c8f6b160311915f66"
      "aa48b6461a0a3044e139cf57ca46f6636c00950a7b0b27449edc7a4bc9fa8e80" },
};

static void test_rsa_verify(void)
{
    static const char *const numbers[] = { CAVP_N, "1001" };
    Bytes key = der_integers(numbers, 2);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cavp_vectors); i++) {
        CryptoDevEvpSession *s = rsa_session(&key, false,
                                             VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                                             cavp_vectors[i].hash);
        Bytes message = unhex(cavp_vectors[i].message);
        Bytes sig = unhex(cavp_vectors[i].signature);
        uint8_t digest[EVP_MAX_MD_SIZE];
        unsigned int len;
        const uint32_t verify = VIRTIO_CRYPTO_AKCIPHER_VERIFY;

        g_test_message("%s", cavp_vectors[i].md);
        g_assert_true(EVP_Digest(message.data, message.len, digest, &len,
                                 EVP_get_digestbyname(cavp_vectors[i].md),
                                 NULL));
        g_assert_cmpuint(ak_op(s, verify, sig.data, sig.len, digest, len,
                               VIRTIO_CRYPTO_OK), ==, 0);
        /* a digest that is not one of this hash */
        ak_op(s, verify, sig.data, sig.len, digest, len - 1,
              VIRTIO_CRYPTO_ERR);
        ak_op(s, verify, sig.data, sig.len, NULL, 0, VIRTIO_CRYPTO_ERR);
        /* signatures that do not verify */
        ak_op(s, verify, sig.data, sig.len - 1, digest, len,
              VIRTIO_CRYPTO_KEY_REJECTED);
        ak_op(s, verify, NULL, 0, digest, len, VIRTIO_CRYPTO_KEY_REJECTED);
        sig.data[5] ^= 1;
        ak_op(s, verify, sig.data, sig.len, digest, len,
              VIRTIO_CRYPTO_KEY_REJECTED);
        sig.data[5] ^= 1;
        digest[len - 1] ^= 0x80;
        ak_op(s, verify, sig.data, sig.len, digest, len,
              VIRTIO_CRYPTO_KEY_REJECTED);
        cryptodev_evp_session_free(s);
    }
}

/* EMSA-PKCS1-v1_5 (RFC 8017 section 9.2) of example 1's message */
static Bytes ex1_block(void)
{
    Bytes digest = sha1_of(EX1_MESSAGE);
    Bytes prefix = unhex("3021300906052b0e03021a05000414");
    Bytes b = { .len = EX1_BYTES };
    size_t at = EX1_BYTES - digest.len - prefix.len;

    memset(b.data, 0xff, at);
    b.data[0] = 0;
    b.data[1] = 1;
    b.data[at - 1] = 0;
    memcpy(b.data + at, prefix.data, prefix.len);
    memcpy(b.data + at + prefix.len, digest.data, digest.len);
    return b;
}

/*
 * Without padding a signature and the block it signs are ciphertext and
 * plaintext of each other, so the same example is a vector for this.
 */
static void test_rsa_raw(void)
{
    Bytes pub = ex1_key(false), priv = ex1_key(true);
    uint32_t raw = VIRTIO_CRYPTO_RSA_RAW_PADDING;
    /* the hash is to be ignored */
    CryptoDevEvpSession *e = rsa_session(&pub, false, raw, 77);
    CryptoDevEvpSession *d = rsa_session(&priv, true, raw, 0);
    Bytes block = ex1_block(), sig = unhex(EX1_SIGNATURE), n = unhex(EX1_N);
    uint8_t out[EX1_BYTES + 4];
    const uint32_t encrypt = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT;
    const uint32_t decrypt = VIRTIO_CRYPTO_AKCIPHER_DECRYPT;
    uint32_t len;

    len = ak_op(e, encrypt, sig.data, sig.len, out, EX1_BYTES,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, len, block.data, block.len);
    len = ak_op(d, decrypt, block.data, block.len, out, EX1_BYTES,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, len, sig.data, sig.len);
    /* a private key encrypts as well */
    len = ak_op(d, encrypt, sig.data, sig.len, out, EX1_BYTES,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, len, block.data, block.len);

    /* Numbers are the same with and without leading zeros, in and out */
    len = ak_op(d, decrypt, block.data + 1, block.len - 1, out, EX1_BYTES + 4,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(len, ==, EX1_BYTES + 4);
    assert_bytes(out, 4, "00000000");
    g_assert_cmpmem(out + 4, EX1_BYTES, sig.data, sig.len);
    len = ak_op(e, encrypt, sig.data, sig.len, out, EX1_BYTES - 1,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, len, block.data + 1, block.len - 1);
    ak_op(e, encrypt, sig.data, sig.len, out, EX1_BYTES - 2,
          VIRTIO_CRYPTO_ERR);
    len = ak_op(e, encrypt, NULL, 0, out, 3, VIRTIO_CRYPTO_OK);
    assert_bytes(out, len, "000000");

    /* Numbers that are too big, keys that are too little, other operations */
    ak_op(e, encrypt, n.data, n.len, out, EX1_BYTES, VIRTIO_CRYPTO_ERR);
    memset(out, 0, sizeof(out));
    ak_op(e, encrypt, out, EX1_BYTES + 1, out, EX1_BYTES, VIRTIO_CRYPTO_ERR);
    needs_private_key(e, decrypt);
    ak_op(d, VIRTIO_CRYPTO_AKCIPHER_SIGN, sig.data, 20, out, EX1_BYTES,
          VIRTIO_CRYPTO_NOTSUPP);
    ak_op(e, VIRTIO_CRYPTO_AKCIPHER_VERIFY, sig.data, sig.len, out, 20,
          VIRTIO_CRYPTO_NOTSUPP);
    ak_op(e, VIRTIO_CRYPTO_OPCODE(VIRTIO_CRYPTO_SERVICE_AKCIPHER, 4),
          sig.data, sig.len, out, EX1_BYTES, VIRTIO_CRYPTO_NOTSUPP);
    ak_op(e, VIRTIO_CRYPTO_CIPHER_ENCRYPT, sig.data, sig.len, out, EX1_BYTES,
          VIRTIO_CRYPTO_NOTSUPP);
    cryptodev_evp_session_free(e);
    cryptodev_evp_session_free(d);
}

static void test_rsa_pkcs1(void)
{
    Bytes pub = ex1_key(false), priv = ex1_key(true);
    uint32_t pkcs1 = VIRTIO_CRYPTO_RSA_PKCS1_PADDING;
    CryptoDevEvpSession *e = rsa_session(&pub, false, pkcs1, 0);
    CryptoDevEvpSession *d = rsa_session(&priv, true, pkcs1,
                                         VIRTIO_CRYPTO_RSA_SHA512);
    CryptoDevEvpSession *raw = rsa_session(&pub, false,
                                           VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);
    const uint32_t encrypt = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT;
    const uint32_t decrypt = VIRTIO_CRYPTO_AKCIPHER_DECRYPT;
    uint8_t secret[EX1_BYTES], cipher[EX1_BYTES], plain[EX1_BYTES];
    uint8_t block[EX1_BYTES] = { 0, 2 };
    uint32_t len;

    /* A block by hand (RFC 8017 section 7.2.1), ciphered without padding */
    fill_random(secret, sizeof(secret));
    memset(block + 2, 0xa5, sizeof(block) - 2);
    block[EX1_BYTES - 33] = 0;
    memcpy(block + EX1_BYTES - 32, secret, 32);
    ak_op(raw, encrypt, block, sizeof(block), cipher, sizeof(cipher),
          VIRTIO_CRYPTO_OK);
    len = ak_op(d, decrypt, cipher, sizeof(cipher), plain, sizeof(plain),
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(plain, len, secret, 32);
    len = ak_op(d, decrypt, cipher, sizeof(cipher), plain, 32,
                VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(plain, len, secret, 32);
    ak_op(d, decrypt, cipher, sizeof(cipher), plain, 31, VIRTIO_CRYPTO_ERR);

    /* A block that is not padded right: an error, not made-up plaintext */
    block[1] = 3;
    ak_op(raw, encrypt, block, sizeof(block), cipher, sizeof(cipher),
          VIRTIO_CRYPTO_OK);
    ak_op(d, decrypt, cipher, sizeof(cipher), plain, sizeof(plain),
          VIRTIO_CRYPTO_ERR);

    /* There and back, up to the longest that fits */
    for (len = 0; len <= EX1_BYTES - 11; len += 39) {
        ak_op(e, encrypt, secret, len, cipher, sizeof(cipher),
              VIRTIO_CRYPTO_OK);
        g_assert_cmpuint(ak_op(d, decrypt, cipher, sizeof(cipher), plain,
                               sizeof(plain), VIRTIO_CRYPTO_OK), ==, len);
        g_assert_cmpmem(plain, len, secret, len);
    }
    ak_op(e, encrypt, secret, 0, cipher, sizeof(cipher), VIRTIO_CRYPTO_OK);
    ak_op(d, decrypt, cipher, sizeof(cipher), NULL, 0, VIRTIO_CRYPTO_OK);
    ak_op(e, encrypt, secret, EX1_BYTES - 10, cipher, sizeof(cipher),
          VIRTIO_CRYPTO_ERR);
    ak_op(e, encrypt, secret, 10, cipher, EX1_BYTES - 1, VIRTIO_CRYPTO_ERR);
    ak_op(d, decrypt, cipher, EX1_BYTES - 1, plain, sizeof(plain),
          VIRTIO_CRYPTO_ERR);
    needs_private_key(e, VIRTIO_CRYPTO_AKCIPHER_SIGN);
    cryptodev_evp_session_free(e);
    cryptodev_evp_session_free(d);
    cryptodev_evp_session_free(raw);
}

/* PKCS#1 padding without a hash signs the data as it is */
static void test_rsa_sign_no_hash(void)
{
    Bytes priv = ex1_key(true), block = ex1_block();
    CryptoDevEvpSession *s = rsa_session(&priv, true,
                                         VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                                         VIRTIO_CRYPTO_RSA_NO_HASH);
    const uint8_t *info = block.data + EX1_BYTES - 35;
    uint8_t out[EX1_BYTES];
    uint32_t len;

    len = ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, info, 35, out, sizeof(out),
                VIRTIO_CRYPTO_OK);
    assert_bytes(out, len, EX1_SIGNATURE);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_VERIFY, out, sizeof(out),
          (uint8_t *)info, 35, VIRTIO_CRYPTO_OK);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_VERIFY, out, sizeof(out),
          (uint8_t *)info, 34, VIRTIO_CRYPTO_KEY_REJECTED);
    cryptodev_evp_session_free(s);
}

static void refuse_rsa_key(const Bytes *key, bool private)
{
    CryptoDevEvpAkParams p = rsa_params(key, private,
                                        VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);

    ak_session(&p, VIRTIO_CRYPTO_ERR);
}

/* A key with one of its numbers replaced */
static void refuse_rsa_number(int index, const char *hex)
{
    const char *numbers[G_N_ELEMENTS(ex1_private)];
    Bytes key;

    memcpy(numbers, ex1_private, sizeof(numbers));
    numbers[index] = hex;
    key = der_integers(numbers, G_N_ELEMENTS(numbers));
    refuse_rsa_key(&key, true);
}

static void test_rsa_keys_refused(void)
{
    Bytes pub = ex1_key(false), priv = ex1_key(true), key;
    static const char *const small[] = { "c0ffee11", "03" };
    const char *numbers[G_N_ELEMENTS(ex1_private) + 1];
    Bytes content;
    size_t cut;
    int i;

    /* of the other type */
    refuse_rsa_key(&pub, true);
    refuse_rsa_key(&priv, false);
    /* cut off anywhere, and too long */
    for (cut = 0; cut < priv.len; cut++) {
        key = priv;
        key.len = cut;
        refuse_rsa_key(&key, true);
    }
    key = pub;
    key.data[key.len++] = 0;
    refuse_rsa_key(&key, false);
    /* a number too few, too many */
    key = der_integers(ex1_private, G_N_ELEMENTS(ex1_private) - 1);
    refuse_rsa_key(&key, true);
    key = der_integers(ex1_public, 1);
    refuse_rsa_key(&key, false);
    memcpy(numbers, ex1_private, sizeof(ex1_private));
    numbers[G_N_ELEMENTS(ex1_private)] = "05";
    key = der_integers(numbers, G_N_ELEMENTS(numbers));
    refuse_rsa_key(&key, true);
    /* not numbers */
    content = (Bytes) { 0 };
    der_integer(&content, EX1_N);
    der_header(&content, 0x05, 0);
    key = der_sequence(&content);
    refuse_rsa_key(&key, false);
    key = pub;
    g_assert_cmpint(key.data[3], ==, 0x02);
    key.data[3] = 0x04;
    refuse_rsa_key(&key, false);
    /* a sequence of indefinite length, which DER has not */
    key = unhex("3080020105020103");
    refuse_rsa_key(&key, false);
    /* numbers out of range */
    key = der_integers(small, 2);
    refuse_rsa_key(&key, false);
    refuse_rsa_number(0, "02");
    refuse_rsa_number(0, "0100");
    refuse_rsa_number(1, "00");
    refuse_rsa_number(2, "00");
    refuse_rsa_number(3, "00");
    for (i = 2; i < (int)G_N_ELEMENTS(ex1_private); i++) {
        refuse_rsa_number(i, EX1_N "ff");
    }
    /* an element that ends after its sequence, one without an end */
    key = pub;
    key.data[key.len - 4] = 4;
    refuse_rsa_key(&key, false);
    key = pub;
    key.data[key.len - 4] = 0x80;
    refuse_rsa_key(&key, false);
}

/* Linux takes numbers without the zero that says "not negative", so do we */
static void test_rsa_keys_unsigned(void)
{
    Bytes full = ex1_key(false), key = { 0 };
    Bytes block = ex1_block(), sig = unhex(EX1_SIGNATURE);
    CryptoDevEvpSession *s;
    uint8_t out[EX1_BYTES];

    /* 30 81 len 02 81 len 00 */
    g_assert_cmpint(full.data[6], ==, 0);
    full.data[2]--;
    full.data[5]--;
    der_append(&key, full.data, 6);
    der_append(&key, full.data + 7, full.len - 7);
    s = rsa_session(&key, false, VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, sig.data, sig.len, out,
          sizeof(out), VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(out, sizeof(out), block.data, block.len);
    cryptodev_evp_session_free(s);
}

/* Huge numbers must cost nothing */
static void test_rsa_keys_bounded(void)
{
    g_autofree uint8_t *der = g_malloc(1 << 20);
    CryptoDevEvpAkParams p = {
        .keytype = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
        .key = der,
        .rsa_padding = VIRTIO_CRYPTO_RSA_RAW_PADDING,
    };
    CryptoDevEvpSession *s;
    g_autofree char *why = NULL;

    memset(der, 0x55, 1 << 20);

    /* A modulus of 8200 bits */
    p.keylen = 4 + 4 + 1026 + 3;
    memcpy(der, "\x30\x82\x04\x09\x02\x82\x04\x02\x00\x80", 10);
    memcpy(der + 8 + 1026, "\x02\x01\x03", 3);
    g_assert_cmpint(cryptodev_evp_ak_session_new(&p, &s, &why), ==,
                    VIRTIO_CRYPTO_ERR);
    g_assert_nonnull(strstr(why, "512 to 8192 bits, not 8200"));
    g_clear_pointer(&why, g_free);

    /* One of a megabyte, which is not even looked at */
    p.keylen = 1 << 20;
    memcpy(der, "\x30\x83\x0f\xff\xfb\x02\x83\x0f\xff\xf3", 10);
    memcpy(der + p.keylen - 3, "\x02\x01\x03", 3);
    g_assert_cmpint(cryptodev_evp_ak_session_new(&p, &s, &why), ==,
                    VIRTIO_CRYPTO_ERR);
    g_assert_nonnull(strstr(why, "malformed"));
}

static void test_ak_session_refused(void)
{
    Bytes pub = ex1_key(false);
    const CryptoDevEvpAkParams good = rsa_params(
        &pub, false, VIRTIO_CRYPTO_RSA_PKCS1_PADDING, VIRTIO_CRYPTO_RSA_SHA1);
    CryptoDevEvpAkParams p = good;
    static const uint32_t no_hash[] = {
        VIRTIO_CRYPTO_RSA_MD2, VIRTIO_CRYPTO_RSA_MD3, VIRTIO_CRYPTO_RSA_MD4,
        VIRTIO_CRYPTO_RSA_SHA224 + 1, UINT32_MAX,
    };
    size_t i;

    p.rsa_padding = 2;
    ak_session(&p, VIRTIO_CRYPTO_NOTSUPP);
    p = good;
    for (i = 0; i < G_N_ELEMENTS(no_hash); i++) {
        p.rsa_hash = no_hash[i];
        ak_session(&p, VIRTIO_CRYPTO_NOTSUPP);
    }
    p = good;
    p.keylen = 0;
    p.key = NULL;
    ak_session(&p, VIRTIO_CRYPTO_ERR);
}

static void test_ak_mismatch(void)
{
    Bytes pub = ex1_key(false), iv = unhex(SP800_38A_IV);
    CryptoDevEvpSession *s = rsa_session(&pub, false,
                                         VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);
    uint8_t data[16] = { 0 };
    CryptoDevEvpSymOp op = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv, data, data,
                                     sizeof(data));

    sym_op(s, 0, &op, VIRTIO_CRYPTO_INVSESS);
    op.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    sym_op(s, 0, &op, VIRTIO_CRYPTO_INVSESS);
    cryptodev_evp_session_free(s);
    cryptodev_evp_session_free(NULL);
}

/*
 * Keys with any byte changed: taken or refused, but nothing is read or written
 * that is not theirs (for a sanitizer to see, the buffer is exact), and where
 * one is taken its session works or fails like any other.
 */
static void fuzz_key(const CryptoDevEvpAkParams *good)
{
    static const uint8_t values[] = {
        0x00, 0x01, 0x02, 0x04, 0x30, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xff,
    };
    g_autofree uint8_t *key = g_memdup2(good->key, good->keylen);
    CryptoDevEvpAkParams p = *good;
    CryptoDevEvpSession *s;
    uint8_t data[20] = { 0 }, out[256];
    CryptoDevEvpAkOp op = {
        .op_code = VIRTIO_CRYPTO_AKCIPHER_SIGN,
        .src = data,
        .src_len = sizeof(data),
        .dst = out,
    };
    size_t i, j;

    p.key = key;
    for (i = 0; i < good->keylen; i++) {
        for (j = 0; j < G_N_ELEMENTS(values); j++) {
            g_autofree char *why = NULL;

            key[i] = values[j];
            if (cryptodev_evp_ak_session_new(&p, &s, &why)) {
                g_assert_nonnull(why);
                g_assert_null(s);
            } else if (j % 4 == 0) {
                op.dst_len = sizeof(out);
                cryptodev_evp_ak_op(s, &op, NULL);
            }
            cryptodev_evp_session_free(s);
            g_assert_cmpuint(ERR_peek_error(), ==, 0);
        }
        key[i] = good->key[i];
    }
}

static void test_ak_keys_fuzzed(void)
{
    Bytes pub = ex1_key(false), priv = ex1_key(true);
    CryptoDevEvpAkParams p;

    p = rsa_params(&pub, false, VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);
    fuzz_key(&p);
    p = rsa_params(&priv, true, VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                   VIRTIO_CRYPTO_RSA_SHA1);
    fuzz_key(&p);
}

/* Keys do not stay behind in memory that libcrypto gives back */

static void check_wiped(const char *what)
{
    if (leaked_keys) {
        g_test_message("%s: %d blocks with the key in them", what,
                       leaked_keys);
    }
    g_assert_cmpint(leaked_keys, ==, 0);
}

static void watch(const uint8_t *key)
{
    watched = key;
    leaked_keys = 0;
}

static void test_wipe_watch_works(void)
{
    Bytes key = unhex(SP800_38A_KEY256);
    uint8_t *p = OPENSSL_malloc(100);

    watch(key.data);
    memcpy(p + 41, key.data, 16);
    OPENSSL_free(p);
    g_assert_cmpint(leaked_keys, ==, 1);
    p = OPENSSL_malloc(100);
    memcpy(p + 41, key.data, 16);
    OPENSSL_clear_free(p, 100);
    g_assert_cmpint(leaked_keys, ==, 1);
    watch(NULL);
}

static void test_wipe_sym(void)
{
    const HashVector hmac = HMAC_TEST(SHA_384, NULL, NULL, NULL, 0);
    uint8_t data[64] = { 0 }, digest[48];
    size_t i;
    unsigned int queue;

    for (i = 0; i < G_N_ELEMENTS(cipher_kinds); i++) {
        const CipherKind *k = &cipher_kinds[i];
        Bytes key = { .len = k->key_len }, iv = { .len = k->iv_len }, bad;
        CryptoDevEvpSession *s;
        CryptoDevEvpSymParams p;

        fill_random(key.data, key.len);
        watch(key.data);
        s = cipher_session(k->alg, VIRTIO_CRYPTO_OP_ENCRYPT, &key);
        for (queue = 0; queue < QUEUES; queue++) {
            CryptoDevEvpSymOp op = cipher_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv,
                                             data, data, sizeof(data));

            sym_op(s, queue, &op, VIRTIO_CRYPTO_OK);
        }
        cryptodev_evp_session_free(s);
        check_wiped(k->name);

        /* on the way out of a failure, after the cipher was keyed */
        bad = key;
        p = chain_params(&hmac, 9, VIRTIO_CRYPTO_OP_ENCRYPT, &key, &bad, 48, 0);
        p.cipher_alg = k->alg;
        sym_session(&p, VIRTIO_CRYPTO_NOTSUPP);
        check_wiped(k->name);
    }

    {
        Bytes key = { .len = 64 }, cipher_key = unhex(SP800_38A_KEY128);
        Bytes iv = unhex(SP800_38A_CTR);
        CryptoDevEvpSymParams p;
        CryptoDevEvpSession *s;
        CryptoDevEvpSymOp op = chain_op(VIRTIO_CRYPTO_OP_ENCRYPT, &iv, data,
                                        data, sizeof(data), digest, 48);

        fill_random(key.data, key.len);
        watch(key.data);
        p = chain_params(&hmac, 1, VIRTIO_CRYPTO_OP_ENCRYPT, &cipher_key, &key,
                         48, 0);
        s = sym_session(&p, VIRTIO_CRYPTO_OK);
        sym_op(s, 0, &op, VIRTIO_CRYPTO_OK);
        sym_op(s, 1, &op, VIRTIO_CRYPTO_OK);
        cryptodev_evp_session_free(s);
        check_wiped("HMAC");
    }
    watch(NULL);
}

/*
 * The DER is big-endian and libcrypto's numbers are words, little-endian: both
 * forms are watched for.
 */
static void check_rsa_wiped(const char *hex, bool little)
{
    Bytes key = ex1_key(true), number = unhex(hex), digest = sha1_of("00");
    uint8_t pattern[16], out[EX1_BYTES];
    CryptoDevEvpSession *s;
    int i;

    for (i = 0; i < 16; i++) {
        pattern[i] = little ? number.data[number.len - 1 - i] : number.data[i];
    }
    watch(pattern);
    s = rsa_session(&key, true, VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                    VIRTIO_CRYPTO_RSA_SHA1);
    ak_op(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, digest.data, digest.len, out,
          sizeof(out), VIRTIO_CRYPTO_OK);
    cryptodev_evp_session_free(s);
    check_wiped(hex);
    key.len--;
    refuse_rsa_key(&key, true);
    key.len++;
    key.data[key.len - 1]++;        /* the coefficient is wrong now */
    key.data[4 + 2] = 2;            /* and so is the version */
    refuse_rsa_key(&key, true);
    check_wiped(hex);
    watch(NULL);
}

static void test_wipe_rsa(void)
{
    static const char *const secrets[] = {
        EX1_D, EX1_P, EX1_Q, EX1_DP, EX1_DQ, EX1_QINV,
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(secrets); i++) {
        check_rsa_wiped(secrets[i], false);
        check_rsa_wiped(secrets[i], true);
    }
}

/* Failures of libcrypto's, and what others left in its error queue */

/*
 * One allocation of libcrypto's after the other fails, through a session's
 * whole life: each time there is an error and a reason, or nothing happened
 * that matters and the answer is right; and nothing is lost.
 */
typedef struct FailingJob {
    const char *name;
    int (*create)(CryptoDevEvpSession **s, char **why);
    int (*run)(CryptoDevEvpSession *s, uint8_t *out, char **why);
} FailingJob;

#define JOB_LEN  EX1_BYTES

static int create_sym_job(const CryptoDevEvpSymParams *p,
                          CryptoDevEvpSession **s, char **why)
{
    return cryptodev_evp_sym_session_new(p, 1, s, why);
}

static int create_xts_job(CryptoDevEvpSession **s, char **why)
{
    Bytes key = unhex(SP800_38A_KEY256);
    CryptoDevEvpSymParams p = cipher_params(VIRTIO_CRYPTO_CIPHER_AES_XTS, 1,
                                            &key);

    return create_sym_job(&p, s, why);
}

static int create_hmac_job(CryptoDevEvpSession **s, char **why)
{
    const HashVector v = HMAC_TEST(SHA_256, NULL, NULL, NULL, 0);
    Bytes key = unhex(SP800_38A_KEY128), auth = unhex(KEY_0B_20);
    CryptoDevEvpSymParams p = chain_params(&v, 1, 1, &key, &auth, 32, 4);

    return create_sym_job(&p, s, why);
}

static int create_hash_job(CryptoDevEvpSession **s, char **why)
{
    const HashVector v = HASH(SHA3_256, NULL);
    Bytes key = unhex(SP800_38A_KEY128), none = { };
    CryptoDevEvpSymParams p = chain_params(&v, 2, 1, &key, &none, 32, 4);

    return create_sym_job(&p, s, why);
}

static int run_cipher_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    static const uint8_t src[JOB_LEN];
    Bytes iv = unhex(SP800_38A_IV);
    CryptoDevEvpSymOp op = cipher_op(1, &iv, src, out, sizeof(src));

    return cryptodev_evp_sym_op(s, 0, &op, why);
}

static int run_chain_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    static const uint8_t src[JOB_LEN - 32];
    Bytes iv = unhex(SP800_38A_IV);
    CryptoDevEvpSymOp op = chain_op(1, &iv, src, out, sizeof(src),
                                    out + sizeof(src), 32);

    op.aad = src;
    op.aad_len = 4;
    return cryptodev_evp_sym_op(s, 0, &op, why);
}

static int create_rsa_job(CryptoDevEvpSession **s, char **why)
{
    Bytes key = ex1_key(true);
    CryptoDevEvpAkParams p = rsa_params(&key, true,
                                        VIRTIO_CRYPTO_RSA_PKCS1_PADDING,
                                        VIRTIO_CRYPTO_RSA_SHA1);

    return cryptodev_evp_ak_session_new(&p, s, why);
}

static int create_raw_job(CryptoDevEvpSession **s, char **why)
{
    Bytes key = ex1_key(false);
    CryptoDevEvpAkParams p = rsa_params(&key, false,
                                        VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);

    return cryptodev_evp_ak_session_new(&p, s, why);
}

static int run_ak_job(CryptoDevEvpSession *s, uint32_t op_code, uint8_t *out,
                      char **why)
{
    static const uint8_t src[20] = { 1 };
    CryptoDevEvpAkOp op = {
        .op_code = op_code,
        .src = src,
        .src_len = sizeof(src),
        .dst = out,
        .dst_len = JOB_LEN,
    };

    return cryptodev_evp_ak_op(s, &op, why);
}

static int run_sign_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    return run_ak_job(s, VIRTIO_CRYPTO_AKCIPHER_SIGN, out, why);
}

static int run_raw_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    return run_ak_job(s, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, out, why);
}

static int run_decrypt_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    return run_ak_job(s, VIRTIO_CRYPTO_AKCIPHER_DECRYPT, out, why);
}

static int create_decrypt_job(CryptoDevEvpSession **s, char **why)
{
    Bytes key = ex1_key(true);
    CryptoDevEvpAkParams p = rsa_params(&key, true,
                                        VIRTIO_CRYPTO_RSA_RAW_PADDING, 0);

    return cryptodev_evp_ak_session_new(&p, s, why);
}

static int run_verify_job(CryptoDevEvpSession *s, uint8_t *out, char **why)
{
    static Bytes digest;       /* made by the first run, which does not fail */
    Bytes sig = unhex(EX1_SIGNATURE);
    CryptoDevEvpAkOp op = {
        .op_code = VIRTIO_CRYPTO_AKCIPHER_VERIFY,
        .src = sig.data,
        .src_len = sig.len,
        .dst = digest.data,
    };

    if (!digest.len) {
        digest = sha1_of(EX1_MESSAGE);
    }
    op.dst_len = digest.len;
    memset(out, 0, JOB_LEN);
    return cryptodev_evp_ak_op(s, &op, why);
}

static const FailingJob failing_jobs[] = {
    { "xts", create_xts_job, run_cipher_job },
    { "hmac", create_hmac_job, run_chain_job },
    { "hash", create_hash_job, run_chain_job },
    { "rsa sign", create_rsa_job, run_sign_job },
    { "rsa verify", create_rsa_job, run_verify_job },
    { "rsa encrypt", create_raw_job, run_raw_job },
    { "rsa decrypt", create_decrypt_job, run_decrypt_job },
};

/* An error that another user of libcrypto did not take off the queue */
static void leave_error(void)
{
    ERR_clear_error();
    ERR_raise(ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM);
}

/* Returns: whether all went well */
static bool run_failing_job(const FailingJob *job, uint8_t *out)
{
    CryptoDevEvpSession *s;
    g_autofree char *why = NULL;
    int status = job->create(&s, &why);

    g_assert_cmpint(s != NULL, ==, status == VIRTIO_CRYPTO_OK);
    if (status == VIRTIO_CRYPTO_OK) {
        status = job->run(s, out, &why);
    }
    check_outcome(status, status, why);
    cryptodev_evp_session_free(s);
    return status == VIRTIO_CRYPTO_OK;
}

static void test_failing_allocations(void)
{
    uint8_t want[JOB_LEN], out[JOB_LEN];
    int n, before, failures;
    size_t i;
    bool ok;

    for (i = 0; i < G_N_ELEMENTS(failing_jobs); i++) {
        const FailingJob *job = &failing_jobs[i];

        /* twice: what libcrypto keeps for itself it has then */
        g_assert_true(run_failing_job(job, want));
        g_assert_true(run_failing_job(job, want));
        /* the thread's error queue has memory of its own, which varies */
        OPENSSL_thread_stop();
        before = live_blocks;
        failures = 0;
        for (n = 0; ; n++) {
            memset(out, 0, sizeof(out));
            fail_in = n;
            ok = run_failing_job(job, out);
            if (ok) {
                g_assert_cmpmem(out, sizeof(out), want, sizeof(want));
            }
            failures += !ok;
            OPENSSL_thread_stop();
            if (live_blocks != before) {
                g_test_message("%s: allocation %d", job->name, n);
            }
            g_assert_cmpint(live_blocks, ==, before);
            if (fail_in >= 0) {
                break;
            }
        }
        fail_in = -1;
        g_assert_true(ok);
        g_test_message("%s: %d allocations, %d of them fatal", job->name, n,
                       failures);
        g_assert_cmpint(failures, >, 3);
    }
}

/*
 * Returns: whether the job came to the call at all.  If so, it failed there
 * and not later.
 */
static bool check_failing_call(const FailingJob *job, const FailingCall *call,
                               int skip, int expected)
{
    uint8_t out[JOB_LEN];
    CryptoDevEvpSession *s;
    g_autofree char *why = NULL;
    int status;

    failing_call = call;
    failing_skip = skip;
    status = job->create(&s, &why);
    if (failing_skip >= 0) {
        g_assert_cmpint(status, ==, VIRTIO_CRYPTO_OK);
        status = job->run(s, out, &why);
    }
    failing_call = NULL;
    if (s && status != VIRTIO_CRYPTO_OK) {
        /* the session is as good as before */
        g_assert_cmpint(job->run(s, out, NULL), ==, VIRTIO_CRYPTO_OK);
    }
    cryptodev_evp_session_free(s);
    check_outcome(status, failing_skip < 0 ? expected : VIRTIO_CRYPTO_OK, why);
    if (failing_skip < 0) {
        g_assert_cmpint(strstr(why, "gave no reason") != NULL, ==, !call->lib);
    }
    return failing_skip < 0;
}

enum {
    XTS, MAC, HASH, SIGN, VERIFY, ENCRYPT, DECRYPT,
    SYM = 1 << XTS | 1 << MAC | 1 << HASH,
    SIGNING = 1 << SIGN | 1 << VERIFY,
    RSA_JOBS = SIGNING | 1 << ENCRYPT | 1 << DECRYPT,
};

static void test_failing_calls(void)
{
    static const struct {
        FailingCall call;
        unsigned int jobs;     /* that need it */
        int status;            /* of a failure without an error */
    } calls[] = {
        { { "EVP_CIPHER_fetch" }, SYM, VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_CipherInit_ex2" }, SYM, VIRTIO_CRYPTO_ERR },
        { { "EVP_CIPHER_CTX_set_padding" }, SYM, VIRTIO_CRYPTO_ERR },
        { { "EVP_CIPHER_CTX_copy" }, SYM, VIRTIO_CRYPTO_ERR },
        { { "EVP_CipherUpdate" }, SYM, VIRTIO_CRYPTO_ERR },
        { { "EVP_CipherUpdate", true }, SYM, VIRTIO_CRYPTO_ERR },
        { { "EVP_MD_fetch" }, 1 << MAC | 1 << HASH | SIGNING,
          VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_MD_get_size" }, 1 << MAC | 1 << HASH | SIGNING,
          VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_MD_get_size", true }, 1 << MAC | 1 << HASH | SIGNING,
          VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_DigestInit_ex2" }, 1 << HASH, VIRTIO_CRYPTO_ERR },
        { { "EVP_DigestUpdate" }, 1 << HASH, VIRTIO_CRYPTO_ERR },
        { { "EVP_DigestFinal_ex" }, 1 << HASH, VIRTIO_CRYPTO_ERR },
        { { "EVP_DigestFinal_ex", true }, 1 << HASH, VIRTIO_CRYPTO_ERR },
        { { "EVP_MD_CTX_copy_ex" }, 1 << HASH, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_fetch" }, 1 << MAC, VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_MAC_CTX_new" }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_CTX_dup" }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_init" }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_update" }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_final" }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "EVP_MAC_final", true }, 1 << MAC, VIRTIO_CRYPTO_ERR },
        { { "OSSL_PARAM_BLD_push_BN" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_CTX_new_from_name" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_CTX_new_from_pkey" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_fromdata" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_get_size" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_get_size", true }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_CTX_set_rsa_padding" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_CTX_set_signature_md" }, SIGNING, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_CTX_set_params" }, 1 << DECRYPT, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_encrypt_init" }, 1 << ENCRYPT, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_decrypt_init" }, 1 << DECRYPT, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_sign_init" }, 1 << SIGN, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_verify_init" }, 1 << VERIFY, VIRTIO_CRYPTO_ERR },
        { { "OSSL_PARAM_BLD_to_param" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_fromdata_init" }, RSA_JOBS, VIRTIO_CRYPTO_ERR },
    };
    size_t i, j;
    int skip;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        for (j = 0; j < G_N_ELEMENTS(failing_jobs); j++) {
            g_test_message("%s%s: %s", calls[i].call.name,
                           calls[i].call.wrong_length ? ", length" : "",
                           failing_jobs[j].name);
            skip = 0;
            while (check_failing_call(&failing_jobs[j], &calls[i].call, skip,
                                      calls[i].status)) {
                skip++;
            }
            g_assert_cmpint(skip > 0, ==, calls[i].jobs >> j & 1);
        }
    }
}

/* libcrypto's errors as virtio-crypto's statuses */
static void test_failing_status(void)
{
    static const struct {
        FailingCall call;
        int job;
        int status;
    } cases[] = {
        { { "EVP_PKEY_CTX_new_from_name", false, ERR_LIB_EVP,
            ERR_R_UNSUPPORTED }, ENCRYPT, VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_PKEY_CTX_new_from_name", false, ERR_LIB_CRYPTO,
            ERR_R_FETCH_FAILED }, ENCRYPT, VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_CIPHER_fetch", false, ERR_LIB_CRYPTO, ERR_R_MALLOC_FAILURE },
          XTS, VIRTIO_CRYPTO_ERR },
        { { "EVP_PKEY_fromdata", false, ERR_LIB_EVP,
            EVP_R_UNSUPPORTED_ALGORITHM }, ENCRYPT, VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_PKEY_sign_init", false, ERR_LIB_EVP,
            EVP_R_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE }, SIGN,
          VIRTIO_CRYPTO_NOTSUPP },
        { { "EVP_PKEY_CTX_set_signature_md", false, ERR_LIB_PROV,
            PROV_R_DIGEST_NOT_ALLOWED }, SIGN, VIRTIO_CRYPTO_NOTSUPP },
        /* the same number, of another library */
        { { "EVP_PKEY_CTX_set_signature_md", false, ERR_LIB_RSA,
            PROV_R_DIGEST_NOT_ALLOWED }, SIGN, VIRTIO_CRYPTO_ERR },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("case %zu", i);
        g_assert_true(check_failing_call(&failing_jobs[cases[i].job],
                                         &cases[i].call, 0, cases[i].status));
    }
}

/* What others left is neither a reason nor kept */
static void test_foreign_errors(void)
{
    static const FailingCall copy = { "EVP_CIPHER_CTX_copy" };
    static const FailingCall padding = { "EVP_PKEY_CTX_set_rsa_padding" };
    static const FailingCall cipher = { "EVP_CIPHER_fetch" };
    static const FailingCall digest = { "EVP_MD_fetch" };
    static const struct {
        const FailingCall *call;
        int job, status;
    } cases[] = {
        { &copy, XTS, VIRTIO_CRYPTO_ERR },
        { &copy, MAC, VIRTIO_CRYPTO_ERR },
        { &cipher, XTS, VIRTIO_CRYPTO_NOTSUPP },
        { &digest, SIGN, VIRTIO_CRYPTO_NOTSUPP },
        { &padding, ENCRYPT, VIRTIO_CRYPTO_ERR },
    };
    uint8_t out[JOB_LEN];
    CryptoDevEvpSession *s;
    CryptoDevEvpCaps caps;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        const FailingJob *job = &failing_jobs[cases[i].job];

        g_test_message("case %zu", i);
        leave_error();
        g_assert_true(check_failing_call(job, cases[i].call, 0,
                                         cases[i].status));
        /* a request alone */
        g_assert_cmpint(job->create(&s, NULL), ==, VIRTIO_CRYPTO_OK);
        leave_error();
        g_assert_cmpint(job->run(s, out, NULL), ==, VIRTIO_CRYPTO_OK);
        g_assert_cmpuint(ERR_peek_error(), ==, 0);
        cryptodev_evp_session_free(s);
    }
    leave_error();
    cryptodev_evp_probe(&caps);
    g_assert_cmpuint(ERR_peek_error(), ==, 0);
}

/* What libcrypto does not offer is not advertised */
static void test_probe_missing(void)
{
    static const FailingCall no_cipher = { "EVP_CIPHER_fetch" };
    static const FailingCall no_digest = { "EVP_MD_fetch" };
    static const FailingCall no_mac = { "EVP_MAC_fetch" };
    static const FailingCall no_rsa = { "EVP_PKEY_CTX_new_from_name" };
    CryptoDevEvpCaps caps;

    /* one of two key sizes of XTS */
    failing_call = &no_cipher;
    failing_skip = 9;
    cryptodev_evp_probe(&caps);
    g_assert_cmphex(caps.cipher_algo >> VIRTIO_CRYPTO_CIPHER_AES_XTS, ==, 1);
    failing_call = &no_digest;
    failing_skip = 0;
    cryptodev_evp_probe(&caps);
    g_assert_cmphex(caps.hash_algo, ==, 0x7fc);
    g_assert_cmphex(caps.mac_algo, ==, 0x7c);
    failing_call = &no_mac;
    failing_skip = 0;
    cryptodev_evp_probe(&caps);
    g_assert_cmphex(caps.hash_algo, ==, 0x7fe);
    g_assert_cmphex(caps.mac_algo, ==, 0);
    failing_call = &no_rsa;
    failing_skip = 0;
    cryptodev_evp_probe(&caps);
    g_assert_false(caps.rsa);
    failing_call = NULL;
}

static void test_probe(void)
{
    CryptoDevEvpCaps caps;

    cryptodev_evp_probe(&caps);
    g_assert_cmphex(caps.cipher_algo, ==,
                    1u << VIRTIO_CRYPTO_CIPHER_AES_ECB |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_CBC |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_CTR |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_XTS);
    g_assert_cmphex(caps.hash_algo, ==, 0x7fe);
    g_assert_cmphex(caps.mac_algo, ==, 0x7e);
    g_assert_true(caps.rsa);
    g_assert_cmpuint(ERR_peek_error(), ==, 0);
}

int main(int argc, char **argv)
{
    /* Before libcrypto's first allocation, or it refuses */
    g_assert_true(CRYPTO_set_mem_functions(count_malloc, count_realloc,
                                           count_free));
    g_test_init(&argc, &argv, NULL);

#define ADD(path, fn) g_test_add_func("/cryptodev-openssl-evp" path, fn)
    ADD("/probe", test_probe);
    ADD("/cipher/vectors", test_cipher_vectors);
    ADD("/cipher/no-state", test_cipher_no_state);
    ADD("/cipher/random", test_cipher_random);
    ADD("/cipher/session-refused", test_sym_session_refused);
    ADD("/cipher/op-refused", test_sym_op_refused);
    ADD("/cipher/op-mismatch", test_sym_op_mismatch);
    ADD("/chain/hash-vectors", test_hash_vectors);
    ADD("/chain/packet", test_chain_packet);
    ADD("/chain/session-refused", test_chain_session_refused);
    ADD("/chain/op-refused", test_chain_op_refused);
    ADD("/chain/empty", test_chain_empty);
    ADD("/queues/many-sessions", test_many_sessions);
    ADD("/queues/threads", test_threads);
    ADD("/queues/no-allocation", test_no_allocation);
    ADD("/rsa/sign", test_rsa_sign);
    ADD("/rsa/verify", test_rsa_verify);
    ADD("/rsa/raw", test_rsa_raw);
    ADD("/rsa/pkcs1", test_rsa_pkcs1);
    ADD("/rsa/sign-no-hash", test_rsa_sign_no_hash);
    ADD("/rsa/keys-refused", test_rsa_keys_refused);
    ADD("/rsa/keys-unsigned", test_rsa_keys_unsigned);
    ADD("/rsa/keys-bounded", test_rsa_keys_bounded);
    ADD("/akcipher/session-refused", test_ak_session_refused);
    ADD("/akcipher/mismatch", test_ak_mismatch);
    ADD("/akcipher/keys-fuzzed", test_ak_keys_fuzzed);
    ADD("/wipe/watch-works", test_wipe_watch_works);
    ADD("/wipe/symmetric", test_wipe_sym);
    ADD("/wipe/rsa", test_wipe_rsa);
    ADD("/failure/allocations", test_failing_allocations);
    ADD("/failure/calls", test_failing_calls);
    ADD("/failure/status", test_failing_status);
    ADD("/failure/probe", test_probe_missing);
    ADD("/failure/foreign-errors", test_foreign_errors);
    return g_test_run();
}
