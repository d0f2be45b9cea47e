/*
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Unit tests of the cryptodev-backend-openssl object: its properties, what it
 * advertises, and its sessions, through the cryptodev framework's own calls.
 * The arithmetic has tests of its own (test-cryptodev-openssl-evp).
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-cryptodev.h"
#include "qapi/qapi-types-cryptodev.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "qemu/module.h"
#include "qom/object.h"
#include "qom/object_interfaces.h"
#include "standard-headers/linux/virtio_crypto.h"
#include "system/cryptodev.h"
#include "system/stats.h"

#define TYPE_BACKEND  "cryptodev-backend-openssl"
#define SESSIONS      1024

/* The statistics' QMP commands are not linked here */
void add_stats_callbacks(StatsProvider provider, StatRetrieveFunc *stats_fn,
                         SchemaRetrieveFunc *schemas_fn)
{
}

void add_stats_schema(StatsSchemaList **schema_results, StatsProvider provider,
                      StatsTarget target, StatsSchemaValueList *stats_list)
{
}

/* Objects */

static Object *new_object(uint32_t queues, Error **errp)
{
    Object *obj = object_new(TYPE_BACKEND);

    if (!object_property_set_uint(obj, "queues", queues, errp) ||
        !user_creatable_complete(USER_CREATABLE(obj), errp)) {
        object_unref(obj);
        return NULL;
    }
    return obj;
}

static CryptoDevBackend *new_backend(uint32_t queues)
{
    return CRYPTODEV_BACKEND(new_object(queues, &error_abort));
}

/* A completion, which has to come exactly once */

typedef struct Completion {
    int count;
    int status;
} Completion;

static void complete(void *opaque, int status)
{
    Completion *c = opaque;

    c->count++;
    c->status = status;
}

#define EXPECT(c, expected) \
    do { \
        g_assert_cmpint((c)->count, ==, 1); \
        g_assert_cmpint((c)->status, ==, -(expected)); \
    } while (0)

/* Sessions */

static const uint8_t aes_key[16] = {
    0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c,
};

/* Returns: the session's ID */
static uint64_t create_session(CryptoDevBackend *b,
                               CryptoDevBackendSessionInfo *info, int expected)
{
    Completion c = { };

    info->session_id = UINT64_MAX;
    g_assert_cmpint(cryptodev_backend_create_session(b, info, 0, complete, &c),
                    ==, 0);
    EXPECT(&c, expected);
    g_assert_cmpint(info->session_id == UINT64_MAX, ==,
                    expected != VIRTIO_CRYPTO_OK);
    return info->session_id;
}

static CryptoDevBackendSessionInfo cbc_info(uint8_t *key, uint32_t key_len)
{
    return (CryptoDevBackendSessionInfo) {
        .op_code = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
        .u.sym_sess_info = {
            .cipher_alg = VIRTIO_CRYPTO_CIPHER_AES_CBC,
            .key_len = key_len,
            .cipher_key = key,
            .op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER,
            .direction = VIRTIO_CRYPTO_OP_ENCRYPT,
        },
    };
}

static uint64_t create_cbc(CryptoDevBackend *b, int expected)
{
    g_autofree uint8_t *key = g_memdup2(aes_key, sizeof(aes_key));
    CryptoDevBackendSessionInfo info = cbc_info(key, sizeof(aes_key));

    return create_session(b, &info, expected);
}

/* RSAPublicKey: 512 bits that are odd and of no other merit, and 3 */
static uint64_t create_rsa(CryptoDevBackend *b, uint32_t padding)
{
    uint8_t key[] = "\x30\x46\x02\x41\x00"
                    "0123456789abcdef0123456789abcdef"
                    "0123456789abcdef0123456789abcdeg\x02\x01\x03";
    CryptoDevBackendSessionInfo info = {
        .op_code = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
        .u.asym_sess_info = {
            .algo = VIRTIO_CRYPTO_AKCIPHER_RSA,
            .keytype = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
            .keylen = sizeof(key) - 1,
            .key = key,
            .u.rsa.padding_algo = padding,
        },
    };
    uint64_t id;

    key[5] |= 0x80;
    id = create_session(b, &info, VIRTIO_CRYPTO_OK);
    g_assert_true(buffer_is_zero(key, sizeof(key) - 1));
    return id;
}

static void close_session(CryptoDevBackend *b, uint64_t id)
{
    Completion c = { };

    g_assert_cmpint(cryptodev_backend_close_session(b, id, 0, complete, &c),
                    ==, 0);
    EXPECT(&c, VIRTIO_CRYPTO_OK);
}

/* As a request without a session to close: no completion */
static void close_session_fails(CryptoDevBackend *b, uint64_t id)
{
    Completion c = { };

    g_assert_cmpint(cryptodev_backend_close_session(b, id, 0, complete, &c),
                    ==, -VIRTIO_CRYPTO_INVSESS);
    g_assert_cmpint(c.count, ==, 0);
}

/* Requests */

typedef struct SymRequest {
    CryptoDevBackendOpInfo op;
    CryptoDevBackendSymOpInfo info;
    uint8_t iv[16], src[16], dst[16];
    Completion done;
} SymRequest;

static void submit_cbc(CryptoDevBackend *b, SymRequest *r, uint64_t id,
                       uint32_t queue)
{
    static const uint8_t plain[16] = {
        0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
        0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a,
    };
    int i;

    memset(r, 0, sizeof(*r));
    for (i = 0; i < sizeof(r->iv); i++) {
        r->iv[i] = i;
    }
    memcpy(r->src, plain, sizeof(plain));
    r->info.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
    r->info.iv = r->iv;
    r->info.iv_len = sizeof(r->iv);
    r->info.src = r->src;
    r->info.src_len = sizeof(r->src);
    r->info.dst = r->dst;
    r->info.dst_len = sizeof(r->dst);
    r->op.algtype = QCRYPTODEV_BACKEND_ALGO_TYPE_SYM;
    r->op.op_code = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
    r->op.queue_index = queue;
    r->op.session_id = id;
    r->op.u.sym_op_info = &r->info;
    r->op.cb = complete;
    r->op.opaque = &r->done;
    g_assert_cmpint(cryptodev_backend_crypto_operation(b, &r->op), ==, 0);
}

static void run_cbc(CryptoDevBackend *b, uint64_t id, uint32_t queue,
                    int expected)
{
    /* SP 800-38A, F.2.1, the first block */
    static const uint8_t cipher[16] = {
        0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
        0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d,
    };
    SymRequest r;

    submit_cbc(b, &r, id, queue);
    EXPECT(&r.done, expected);
    if (expected == VIRTIO_CRYPTO_OK) {
        g_assert_cmpmem(r.dst, sizeof(r.dst), cipher, sizeof(cipher));
    }
}

/* Returns: the length of the result */
static uint32_t run_rsa(CryptoDevBackend *b, uint64_t id, uint8_t *dst,
                        uint32_t dst_len, int expected)
{
    Completion done = { };
    uint8_t src[1] = { 2 };
    CryptoDevBackendAsymOpInfo info = {
        .src = src,
        .src_len = sizeof(src),
        .dst = dst,
        .dst_len = dst_len,
    };
    CryptoDevBackendOpInfo op = {
        .algtype = QCRYPTODEV_BACKEND_ALGO_TYPE_ASYM,
        .op_code = VIRTIO_CRYPTO_AKCIPHER_ENCRYPT,
        .session_id = id,
        .u.asym_op_info = &info,
        .cb = complete,
        .opaque = &done,
    };

    g_assert_cmpint(cryptodev_backend_crypto_operation(b, &op), ==, 0);
    EXPECT(&done, expected);
    return info.dst_len;
}

/* Tests */

static void test_advertised(void)
{
    CryptoDevBackend *b = new_backend(1);

    g_assert_true(cryptodev_backend_is_ready(b));
    g_assert_cmphex(b->conf.crypto_services, ==,
                    1u << QCRYPTODEV_BACKEND_SERVICE_TYPE_CIPHER |
                    1u << QCRYPTODEV_BACKEND_SERVICE_TYPE_AKCIPHER);
    g_assert_cmphex(b->conf.cipher_algo_l, ==,
                    1u << VIRTIO_CRYPTO_CIPHER_AES_ECB |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_CBC |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_CTR |
                    1u << VIRTIO_CRYPTO_CIPHER_AES_XTS);
    g_assert_cmphex(b->conf.cipher_algo_h, ==, 0);
    g_assert_true(b->conf.hash_algo & 1u << VIRTIO_CRYPTO_HASH_SHA_256);
    g_assert_true(b->conf.mac_algo_l & 1u << VIRTIO_CRYPTO_MAC_HMAC_SHA_256);
    g_assert_cmphex(b->conf.aead_algo, ==, 0);
    g_assert_cmphex(b->conf.akcipher_algo, ==,
                    1u << VIRTIO_CRYPTO_AKCIPHER_RSA);
    g_assert_cmpuint(b->conf.max_cipher_key_len, ==, 64);
    g_assert_cmpuint(b->conf.max_auth_key_len, ==, 512);
    g_assert_cmpuint(b->conf.max_size, >=, 1024 * 1024);
    object_unref(OBJECT(b));
}

static void check_queues_refused(uint32_t queues, const char *message)
{
    Error *err = NULL;

    g_assert_null(new_object(queues, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), message));
    error_free(err);
}

static void test_queues(void)
{
    static const uint32_t good[] = { 1, 2, 63, MAX_CRYPTO_QUEUE_NUM };
    CryptoDevBackend *b;
    uint64_t id;
    int i, q;

    check_queues_refused(0, "doesn't take value '0'");
    check_queues_refused(MAX_CRYPTO_QUEUE_NUM + 1, "1 to 64 queues, not 65");
    check_queues_refused(UINT32_MAX, "1 to 64 queues");

    for (i = 0; i < ARRAY_SIZE(good); i++) {
        b = new_backend(good[i]);
        id = create_cbc(b, VIRTIO_CRYPTO_OK);
        for (q = 0; q < good[i]; q++) {
            g_assert_cmpuint(b->conf.peers.ccs[q]->queue_index, ==, q);
            g_assert_cmpint(b->conf.peers.ccs[q]->type, ==,
                            QCRYPTODEV_BACKEND_TYPE_OPENSSL);
            run_cbc(b, id, q, VIRTIO_CRYPTO_OK);
        }
        run_cbc(b, id, good[i], VIRTIO_CRYPTO_ERR);
        object_unref(OBJECT(b));
    }
}

/* "queues" is a property of the parent, which takes it at any time */
static void test_queues_changed_later(void)
{
    CryptoDevBackend *b = new_backend(2);
    uint64_t id = create_cbc(b, VIRTIO_CRYPTO_OK);

    object_property_set_uint(OBJECT(b), "queues", 200, &error_abort);
    run_cbc(b, id, 1, VIRTIO_CRYPTO_OK);
    run_cbc(b, id, 2, VIRTIO_CRYPTO_ERR);
    id = create_cbc(b, VIRTIO_CRYPTO_OK);
    run_cbc(b, id, 1, VIRTIO_CRYPTO_OK);
    run_cbc(b, id, 2, VIRTIO_CRYPTO_ERR);
    object_unref(OBJECT(b));
}

static void test_query(void)
{
    CryptoDevBackend *b = new_backend(3);
    QCryptodevInfoList *list;
    QCryptodevBackendClientList *client;
    int clients = 0;

    object_property_add_child(object_get_container("objects"), "dev0",
                              OBJECT(b));
    list = qmp_query_cryptodev(&error_abort);
    g_assert_nonnull(list);
    g_assert_null(list->next);
    g_assert_cmpstr(list->value->id, ==, "dev0");
    for (client = list->value->client; client; client = client->next) {
        g_assert_cmpstr(QCryptodevBackendType_str(client->value->type), ==,
                        "openssl");
        clients++;
    }
    g_assert_cmpint(clients, ==, 3);
    qapi_free_QCryptodevInfoList(list);
    object_unparent(OBJECT(b));
    object_unref(OBJECT(b));
}

static void test_session_ids(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint64_t first = create_cbc(b, VIRTIO_CRYPTO_OK);
    uint64_t second = create_cbc(b, VIRTIO_CRYPTO_OK);
    uint64_t reused;

    g_assert_cmpuint(first, !=, second);
    run_cbc(b, first, 0, VIRTIO_CRYPTO_OK);
    run_cbc(b, second, 0, VIRTIO_CRYPTO_OK);

    /* IDs that are nobody's */
    run_cbc(b, second + 1, 0, VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, SESSIONS - 1, 0, VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, SESSIONS, 0, VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, first | 1ull << 32, 0, VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, first | 1ull << 63, 0, VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, UINT64_MAX, 0, VIRTIO_CRYPTO_INVSESS);
    close_session_fails(b, second + 1);
    close_session_fails(b, SESSIONS);
    close_session_fails(b, UINT64_MAX);

    /* An ID that is no longer anybody's, even when its slot is */
    close_session(b, first);
    run_cbc(b, first, 0, VIRTIO_CRYPTO_INVSESS);
    close_session_fails(b, first);
    reused = create_cbc(b, VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(reused, !=, first);
    run_cbc(b, first, 0, VIRTIO_CRYPTO_INVSESS);
    close_session_fails(b, first);
    run_cbc(b, reused, 0, VIRTIO_CRYPTO_OK);
    run_cbc(b, second, 0, VIRTIO_CRYPTO_OK);
    object_unref(OBJECT(b));
}

static void test_session_limit(void)
{
    CryptoDevBackend *b = new_backend(1);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash,
                                                       g_int64_equal, g_free,
                                                       NULL);
    uint64_t id = 0, middle = 0;
    int i;

    for (i = 0; i < SESSIONS; i++) {
        id = create_cbc(b, VIRTIO_CRYPTO_OK);
        g_assert_true(g_hash_table_add(seen, g_memdup2(&id, sizeof(id))));
        middle = i == SESSIONS / 2 ? id : middle;
    }
    create_cbc(b, VIRTIO_CRYPTO_NOSPC);
    run_cbc(b, id, 0, VIRTIO_CRYPTO_OK);
    close_session(b, middle);
    id = create_cbc(b, VIRTIO_CRYPTO_OK);
    g_assert_true(g_hash_table_add(seen, g_memdup2(&id, sizeof(id))));
    create_cbc(b, VIRTIO_CRYPTO_NOSPC);
    /* the object takes them all with it */
    object_unref(OBJECT(b));
}

static void test_session_refused(void)
{
    static const uint32_t not_ours[] = {
        VIRTIO_CRYPTO_HASH_CREATE_SESSION, VIRTIO_CRYPTO_MAC_CREATE_SESSION,
        VIRTIO_CRYPTO_AEAD_CREATE_SESSION, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION,
        UINT32_MAX,
    };
    CryptoDevBackend *b = new_backend(1);
    CryptoDevBackendSessionInfo info;
    uint8_t key[32];
    int i;

    for (i = 0; i < ARRAY_SIZE(not_ours); i++) {
        info = (CryptoDevBackendSessionInfo) { .op_code = not_ours[i] };
        create_session(b, &info, VIRTIO_CRYPTO_NOTSUPP);
    }
    /* no asymmetric algorithm but RSA, whose key is wiped nevertheless */
    memset(key, 0x11, sizeof(key));
    info = (CryptoDevBackendSessionInfo) {
        .op_code = VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION,
        .u.asym_sess_info = {
            .algo = VIRTIO_CRYPTO_AKCIPHER_ECDSA,
            .keytype = VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
            .keylen = sizeof(key),
            .key = key,
        },
    };
    create_session(b, &info, VIRTIO_CRYPTO_NOTSUPP);
    g_assert_true(buffer_is_zero(key, sizeof(key)));
    memset(key, 0x11, sizeof(key));
    info = cbc_info(key, 17);
    create_session(b, &info, VIRTIO_CRYPTO_ERR);
    info = cbc_info(key, 0);
    info.u.sym_sess_info.cipher_key = NULL;
    create_session(b, &info, VIRTIO_CRYPTO_ERR);
    /* nothing was used up */
    for (i = 0; i < SESSIONS; i++) {
        create_cbc(b, VIRTIO_CRYPTO_OK);
    }
    object_unref(OBJECT(b));
}

/* The front end frees its copies of the keys without wiping them */
static void test_session_wipes_keys(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint8_t cipher_key[32], auth_key[40];
    CryptoDevBackendSessionInfo info;
    CryptoDevBackendSymSessionInfo *sym = &info.u.sym_sess_info;
    int refused;

    for (refused = 0; refused <= 1; refused++) {
        memset(cipher_key, 0x22, sizeof(cipher_key));
        memset(auth_key, 0x33, sizeof(auth_key));
        info = cbc_info(cipher_key, sizeof(cipher_key));
        sym->op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
        sym->alg_chain_order =
            VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH;
        sym->hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH;
        sym->hash_alg = VIRTIO_CRYPTO_MAC_HMAC_SHA1;
        sym->hash_result_len = refused ? 21 : 20;
        sym->auth_key = auth_key;
        sym->auth_key_len = sizeof(auth_key);
        create_session(b, &info, refused ? VIRTIO_CRYPTO_ERR
                                         : VIRTIO_CRYPTO_OK);
        g_assert_true(buffer_is_zero(cipher_key, sizeof(cipher_key)));
        g_assert_true(buffer_is_zero(auth_key, sizeof(auth_key)));
    }
    object_unref(OBJECT(b));
}

/* A chained request reaches the arithmetic with each number in its place */
static void test_chain(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint8_t key[16], src[20] = "header|payload|tail", dst[20], digest[20];
    uint8_t iv[16] = { }, aad[3] = "ab";
    Completion done = { };
    CryptoDevBackendSymOpInfo sym = {
        .op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING,
        .iv = iv,
        .iv_len = sizeof(iv),
        .src = src,
        .src_len = 19,
        .dst = dst,
        .dst_len = 19,
        .cipher_start_src_offset = 7,
        .len_to_cipher = 7,
        .hash_start_src_offset = 5,
        .len_to_hash = 1,
        .aad_data = aad,
        .aad_len = 2,
        .digest_result = digest,
        .digest_result_len = 18,
    };
    CryptoDevBackendOpInfo op = {
        .algtype = QCRYPTODEV_BACKEND_ALGO_TYPE_SYM,
        .op_code = VIRTIO_CRYPTO_CIPHER_ENCRYPT,
        .u.sym_op_info = &sym,
        .cb = complete,
        .opaque = &done,
    };
    CryptoDevBackendSessionInfo info;
    /* SHA-1 of "abc": the additional data, then the one byte that is hashed */
    static const uint8_t want[18] = {
        0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba,
        0x3e, 0x25, 0x71, 0x78, 0x50, 0xc2, 0x6c, 0x9c, 0xd0,
    };

    src[5] = 'c';
    memcpy(key, aes_key, sizeof(key));
    info = cbc_info(key, sizeof(key));
    info.u.sym_sess_info.cipher_alg = VIRTIO_CRYPTO_CIPHER_AES_CTR;
    info.u.sym_sess_info.op_type = VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING;
    info.u.sym_sess_info.alg_chain_order =
        VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER;
    info.u.sym_sess_info.hash_mode = VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN;
    info.u.sym_sess_info.hash_alg = VIRTIO_CRYPTO_HASH_SHA1;
    info.u.sym_sess_info.hash_result_len = 18;
    info.u.sym_sess_info.add_len = 2;
    op.session_id = create_session(b, &info, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(cryptodev_backend_crypto_operation(b, &op), ==, 0);
    EXPECT(&done, VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(digest, 18, want, 18);
    g_assert_cmpmem(dst, 7, src, 7);
    g_assert_cmpmem(dst + 14, 5, src + 14, 5);
    g_assert_cmpint(memcmp(dst + 7, src + 7, 7), !=, 0);
    object_unref(OBJECT(b));
}

/* A request of one kind on a session of the other is an error, not a crash */
static void test_kinds(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint64_t sym = create_cbc(b, VIRTIO_CRYPTO_OK);
    uint64_t asym = create_rsa(b, VIRTIO_CRYPTO_RSA_RAW_PADDING);
    uint8_t dst[64];

    run_cbc(b, asym, 0, VIRTIO_CRYPTO_INVSESS);
    run_rsa(b, sym, dst, sizeof(dst), VIRTIO_CRYPTO_INVSESS);
    run_cbc(b, sym, 0, VIRTIO_CRYPTO_OK);
    run_rsa(b, asym, dst, sizeof(dst), VIRTIO_CRYPTO_OK);
    object_unref(OBJECT(b));
}

static void test_rsa(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint64_t raw = create_rsa(b, VIRTIO_CRYPTO_RSA_RAW_PADDING);
    uint64_t padded = create_rsa(b, VIRTIO_CRYPTO_RSA_PKCS1_PADDING);
    uint8_t dst[70];

    /* 2 to the third, in as many bytes as there is room for */
    memset(dst, 0xff, sizeof(dst));
    g_assert_cmpuint(run_rsa(b, raw, dst, sizeof(dst), VIRTIO_CRYPTO_OK), ==,
                     sizeof(dst));
    g_assert_true(buffer_is_zero(dst, sizeof(dst) - 1));
    g_assert_cmpint(dst[sizeof(dst) - 1], ==, 8);
    /* the length of a padded result is the modulus', and is told */
    g_assert_cmpuint(run_rsa(b, padded, dst, sizeof(dst), VIRTIO_CRYPTO_OK),
                     ==, 64);
    object_unref(OBJECT(b));
}

static void test_statistics(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint64_t sym = create_cbc(b, VIRTIO_CRYPTO_OK);
    uint64_t asym = create_rsa(b, VIRTIO_CRYPTO_RSA_RAW_PADDING);
    uint8_t dst[64];

    run_cbc(b, sym, 0, VIRTIO_CRYPTO_OK);
    run_cbc(b, sym, 0, VIRTIO_CRYPTO_OK);
    run_rsa(b, asym, dst, sizeof(dst), VIRTIO_CRYPTO_OK);
    g_assert_cmpint(b->sym_stat->encrypt_ops, ==, 2);
    g_assert_cmpint(b->sym_stat->encrypt_bytes, ==, 32);
    g_assert_cmpint(b->sym_stat->decrypt_ops, ==, 0);
    g_assert_cmpint(b->asym_stat->encrypt_ops, ==, 1);
    object_unref(OBJECT(b));
}

/*
 * Throttled requests run later, when nobody looks at what do_op() returns:
 * each is completed nevertheless.  One whose session was closed meanwhile must
 * not run with the session that has the slot now.
 */
static void test_throttled(void)
{
    CryptoDevBackend *b = new_backend(1);
    uint64_t closed = create_cbc(b, VIRTIO_CRYPTO_OK);
    uint64_t open;
    SymRequest first, lost, good;

    object_property_set_uint(OBJECT(b), "throttle-ops", 1, &error_abort);
    submit_cbc(b, &first, closed, 0);
    submit_cbc(b, &lost, closed, 0);
    EXPECT(&first.done, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(lost.done.count, ==, 0);
    close_session(b, closed);
    open = create_cbc(b, VIRTIO_CRYPTO_OK);
    submit_cbc(b, &good, open, 0);
    g_assert_cmpint(good.done.count, ==, 0);

    /* lifting the limit runs what waits */
    object_property_set_uint(OBJECT(b), "throttle-ops", 0, &error_abort);
    EXPECT(&lost.done, VIRTIO_CRYPTO_INVSESS);
    EXPECT(&good.done, VIRTIO_CRYPTO_OK);
    object_unref(OBJECT(b));
}

int main(int argc, char **argv)
{
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    g_test_init(&argc, &argv, NULL);

#define ADD(path, fn) g_test_add_func("/cryptodev-openssl" path, fn)
    ADD("/advertised", test_advertised);
    ADD("/queues", test_queues);
    ADD("/queues/changed-later", test_queues_changed_later);
    ADD("/query", test_query);
    ADD("/session/ids", test_session_ids);
    ADD("/session/limit", test_session_limit);
    ADD("/session/refused", test_session_refused);
    ADD("/session/wipes-keys", test_session_wipes_keys);
    ADD("/operation/chain", test_chain);
    ADD("/operation/kinds", test_kinds);
    ADD("/operation/rsa", test_rsa);
    ADD("/operation/statistics", test_statistics);
    ADD("/operation/throttled", test_throttled);
    return g_test_run();
}
