/*
 * QTest testcase for virtio-crypto
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything that goes over the virtqueues of a crypto device: known answers,
 * every shape a request may have, and what a guest can send that no driver
 * would.  The same suite runs on each line of crypto_configs[]; a device or
 * backend that the binary does not have is skipped, unless QTEST_REQUIRE_ALL
 * is set in the environment, which makes it an error.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_pci.h"
#include "libqos/cxl.h"
#include "libqos/malloc-pc.h"
#include "libqos/pci-pc.h"
#include "libqos/virtio-crypto.h"

#define CIPHER_BIT(name)    (1u << VIRTIO_CRYPTO_CIPHER_##name)
#define SERVICE_BIT(name)   (1u << VIRTIO_CRYPTO_SERVICE_##name)

#define PC_SLOT             4

/* The most a request's source may have for the suite to finish in time */
#define LARGEST_SOURCE      (512 * 1024)

/* One combination of device and backend */
typedef struct CryptoConfig {
    const char *name;
    const char *device;
    const char *backend;
    unsigned queues;
    bool cxl;
    const char *rp_opts;
    /* What configuration space has to offer at least */
    uint32_t services;
    uint32_t ciphers;
    bool chaining;
} CryptoConfig;

#define OPENSSL_CAPS                                                        \
    .services = SERVICE_BIT(CIPHER) | SERVICE_BIT(AKCIPHER),                \
    .ciphers = CIPHER_BIT(AES_ECB) | CIPHER_BIT(AES_CBC) |                  \
               CIPHER_BIT(AES_CTR) | CIPHER_BIT(AES_XTS),                   \
    .chaining = true

static const CryptoConfig crypto_configs[] = {
    {
        .name = "virtio-crypto-pci/builtin",
        .device = "virtio-crypto-pci",
        .backend = "cryptodev-backend-builtin",
        .queues = 1,
        .services = SERVICE_BIT(CIPHER),
        .ciphers = CIPHER_BIT(AES_CBC),
    }, {
        /* Proves the CXL hierarchy of libqos where there is no Type 1 device */
        .name = "virtio-crypto-pci-on-cxl/builtin",
        .device = "virtio-crypto-pci",
        .backend = "cryptodev-backend-builtin",
        .queues = 1,
        .cxl = true,
        .rp_opts = "",
        .services = SERVICE_BIT(CIPHER),
        .ciphers = CIPHER_BIT(AES_CBC),
    }, {
        .name = "virtio-crypto-pci/openssl",
        .device = "virtio-crypto-pci",
        .backend = "cryptodev-backend-openssl",
        .queues = 1,
        OPENSSL_CAPS,
    }, {
        .name = "virtio-crypto-pci/openssl-4q",
        .device = "virtio-crypto-pci",
        .backend = "cryptodev-backend-openssl",
        .queues = 4,
        OPENSSL_CAPS,
    }, {
        .name = "cxl-type1-crypto/openssl",
        .device = "cxl-type1-crypto",
        .backend = "cryptodev-backend-openssl",
        .queues = 1,
        .cxl = true,
        .rp_opts = ",cxl-cache=on",
        OPENSSL_CAPS,
    }, {
        .name = "cxl-type1-crypto/openssl-4q",
        .device = "cxl-type1-crypto",
        .backend = "cryptodev-backend-openssl",
        .queues = 4,
        .cxl = true,
        .rp_opts = ",cxl-cache=on",
        OPENSSL_CAPS,
    },
};

/* A running machine with the device under test */
typedef struct Machine {
    const CryptoConfig *cfg;
    QTestState *qts;
    QGuestAllocator alloc;
    QPCIBus *pc_bus;
    QCXL *cxl;
    QVirtioCrypto *c;
} Machine;

static void attach_driver(Machine *m)
{
    QPCIAddress addr = { .devfn = QPCI_DEVFN(PC_SLOT, 0) };
    QVirtioPCIDevice *pci;

    pci = m->cxl ? qcxl_virtio_endpoint(m->cxl) :
                   virtio_pci_new(m->pc_bus, &addr);
    g_assert_nonnull(pci);
    m->c = qvirtio_crypto_new(m->qts, &m->alloc, pci);
}

static void G_GNUC_PRINTF(3, 4)
machine_init(Machine *m, const CryptoConfig *cfg, const char *extra_fmt, ...)
{
    g_autofree char *queues = NULL;
    g_autofree char *extra = NULL;
    va_list ap;

    va_start(ap, extra_fmt);
    extra = g_strdup_vprintf(extra_fmt, ap);
    va_end(ap);
    queues = g_strdup_printf(",queues=%u", cfg->queues);

    *m = (Machine) { .cfg = cfg };
    if (cfg->cxl) {
        m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                             QCXL_PXB QCXL_RP "%s -object %s,id=c0%s%s "
                             "-device %s,bus=rp0,cryptodev=c0,id=dut,"
                             "vectors=%u",
                             cfg->rp_opts, cfg->backend,
                             cfg->queues > 1 ? queues : "", extra,
                             cfg->device, cfg->queues + 2);
        m->cxl = qcxl_new(m->qts);
    } else {
        m->qts = qtest_initf("-nodefaults -machine pc "
                             "-object %s,id=c0%s%s "
                             "-device %s,addr=%d,cryptodev=c0,id=dut,"
                             "vectors=%u",
                             cfg->backend, cfg->queues > 1 ? queues : "", extra,
                             cfg->device, PC_SLOT, cfg->queues + 2);
        m->pc_bus = qpci_new_pc(m->qts, NULL);
    }
    pc_alloc_init(&m->alloc, m->qts, ALLOC_NO_FLAGS);
    attach_driver(m);
}

static void machine_start(Machine *m, const CryptoConfig *cfg)
{
    machine_init(m, cfg, "%s", "");
    qvirtio_crypto_start(m->c);
}

/* Likewise with short rings, for those that start the device again and again */
#define SMALL_QUEUE_SIZE    32

static void machine_start_small(Machine *m, const CryptoConfig *cfg)
{
    machine_init(m, cfg, "%s", "");
    m->c->queue_size = SMALL_QUEUE_SIZE;
    qvirtio_crypto_start(m->c);
}

static void machine_end(Machine *m)
{
    if (m->c && m->c->vqs) {
        qvirtio_crypto_stop(m->c);
    }
    qvirtio_crypto_free(m->c);
    alloc_destroy(&m->alloc);
    qcxl_free(m->cxl);
    qpci_free_pc(m->pc_bus);
    qtest_quit(m->qts);
}

static void common_writel(Machine *m, size_t off, uint32_t val)
{
    qpci_io_writel(m->c->pci->pdev, m->c->pci->bar,
                   m->c->pci->common_cfg_offset + off, val);
}

static void common_writew(Machine *m, size_t off, uint16_t val)
{
    qpci_io_writew(m->c->pci->pdev, m->c->pci->bar,
                   m->c->pci->common_cfg_offset + off, val);
}

/*
 * Known answers
 */

/* NIST SP 800-38A, appendix F; IEEE 1619-2007, appendix B, vectors 2 and 10 */
#define SP800_38A_PLAIN                                                     \
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"      \
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
#define SP800_38A_KEY128    "2b7e151628aed2a6abf7158809cf4f3c"
#define SP800_38A_KEY192    "8e73b0f7da0e6452c810f32b809079e5"              \
                            "62f8ead2522c6b7b"
#define SP800_38A_KEY256    "603deb1015ca71be2b73aef0857d7781"              \
                            "1f352c073b6108d72d9810a30914dff4"
#define SP800_38A_IV        "000102030405060708090a0b0c0d0e0f"
#define SP800_38A_COUNTER   "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"

typedef struct CipherKat {
    const char *name;
    uint32_t algo;
    const char *key, *iv, *plain, *cipher;
} CipherKat;

static const CipherKat cipher_kats[] = {
    {
        "AES-128-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC,
        SP800_38A_KEY128, SP800_38A_IV, SP800_38A_PLAIN,
        "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2"
        "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
    }, {
        "AES-192-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC,
        SP800_38A_KEY192, SP800_38A_IV, SP800_38A_PLAIN,
        "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a"
        "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
    }, {
        "AES-256-CBC", VIRTIO_CRYPTO_CIPHER_AES_CBC,
        SP800_38A_KEY256, SP800_38A_IV, SP800_38A_PLAIN,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
        "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
    }, {
        "AES-128-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB,
        SP800_38A_KEY128, "", SP800_38A_PLAIN,
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
        "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
    }, {
        "AES-192-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB,
        SP800_38A_KEY192, "", SP800_38A_PLAIN,
        "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef"
        "ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
    }, {
        "AES-256-ECB", VIRTIO_CRYPTO_CIPHER_AES_ECB,
        SP800_38A_KEY256, "", SP800_38A_PLAIN,
        "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
        "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
    }, {
        "AES-128-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR,
        SP800_38A_KEY128, SP800_38A_COUNTER, SP800_38A_PLAIN,
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
    }, {
        "AES-192-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR,
        SP800_38A_KEY192, SP800_38A_COUNTER, SP800_38A_PLAIN,
        "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"
        "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050",
    }, {
        "AES-256-CTR", VIRTIO_CRYPTO_CIPHER_AES_CTR,
        SP800_38A_KEY256, SP800_38A_COUNTER, SP800_38A_PLAIN,
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    }, {
        "AES-128-XTS", VIRTIO_CRYPTO_CIPHER_AES_XTS,
        "1111111111111111111111111111111122222222222222222222222222222222",
        "33333333330000000000000000000000",
        "4444444444444444444444444444444444444444444444444444444444444444",
        "c454185e6a16936e39334038acef838bfb186fff7480adc4289382ecd6d394f0",
    }, {
        "AES-256-XTS", VIRTIO_CRYPTO_CIPHER_AES_XTS,
        "2718281828459045235360287471352662497757247093699959574966967627"
        "3141592653589793238462643383279502884197169399375105820974944592",
        "ff000000000000000000000000000000",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "1c3b3a102f770386e4836c99e370cf9bea00803f5e482357a4ae12d414a3e63b",
    },
};

/*
 * AES-128-CBC of pattern_byte() under the key and IV above: the length of the
 * source, the SHA-256 of the result.
 */
typedef struct LengthKat {
    size_t len;
    const char *sha256;
} LengthKat;

static const LengthKat length_kats[] = {
    { 16,
      "dc7dcf7858ee581e6d8417dccbf3a72265f21de76d7b9e9fafcb3875f18b8f3f" },
    { 512,
      "c9368706062fe465ed9d5fdabb85c1cd89f0e9d11c96e731a543de14714ba9ed" },
    { 4096,
      "31ab744899b57fdb285fd32068e260b9adac7c14f2fc91fffae902f9265ff32b" },
    { 65536,
      "0da67b1e2cd530a7606cebd28c241888546851cb2ff97d168ad8df1efabdd7bc" },
    { 131072,
      "467b9f0eb0da82fcd794d01d6322fb8e1ee5ed250afc7cc7074febac307c0e09" },
};

static uint8_t pattern_byte(size_t i)
{
    return i * i + 7 * i + 3 + (i >> 8);
}

static uint8_t *unhex(const char *hex, size_t *len)
{
    size_t i, n = strlen(hex) / 2;
    uint8_t *buf = g_malloc(n + 1);

    for (i = 0; i < n; i++) {
        buf[i] = g_ascii_xdigit_value(hex[2 * i]) << 4 |
                 g_ascii_xdigit_value(hex[2 * i + 1]);
    }
    *len = n;
    return buf;
}

static uint64_t open_cipher(QVirtioCrypto *c, uint32_t algo, bool encrypt,
                            const char *hex_key)
{
    size_t key_len;
    g_autofree uint8_t *key = unhex(hex_key, &key_len);
    uint64_t id = UINT64_MAX;
    uint32_t status;

    status = qvirtio_crypto_create_cipher(c, algo,
                                          encrypt ? VIRTIO_CRYPTO_OP_ENCRYPT :
                                                    VIRTIO_CRYPTO_OP_DECRYPT,
                                          key, key_len, &id);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    return id;
}

static uint64_t open_cbc(QVirtioCrypto *c, bool encrypt)
{
    return open_cipher(c, VIRTIO_CRYPTO_CIPHER_AES_CBC, encrypt,
                       SP800_38A_KEY128);
}

static void close_cipher(QVirtioCrypto *c, uint64_t id)
{
    g_assert_cmpuint(qvirtio_crypto_destroy_session(c,
                         VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION, id), ==,
                     VIRTIO_CRYPTO_OK);
}

/* One direction of a known answer, in a session that is already there */
static void check_kat_in_session(QVirtioCrypto *c, unsigned queue,
                                 const CipherKat *kat, bool encrypt,
                                 uint64_t session,
                                 const QVirtioCryptoLayout *layout)
{
    size_t iv_len, len, len2;
    g_autofree uint8_t *iv = unhex(kat->iv, &iv_len);
    g_autofree uint8_t *src = unhex(encrypt ? kat->plain : kat->cipher, &len);
    g_autofree uint8_t *want = unhex(encrypt ? kat->cipher : kat->plain, &len2);
    g_autofree uint8_t *dst = g_malloc0(len);
    uint8_t status;

    status = qvirtio_crypto_cipher(c, queue,
                                   encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT :
                                             VIRTIO_CRYPTO_CIPHER_DECRYPT,
                                   session, iv, iv_len, src, dst, len, layout);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(dst, len, want, len2);
}

static void check_kat(QVirtioCrypto *c, unsigned queue, const CipherKat *kat,
                      bool encrypt, const QVirtioCryptoLayout *layout)
{
    uint64_t session = open_cipher(c, kat->algo, encrypt, kat->key);

    check_kat_in_session(c, queue, kat, encrypt, session, layout);
    close_cipher(c, session);
}

/* The device does what it is for. */
static void check_works(QVirtioCrypto *c)
{
    check_kat(c, 0, &cipher_kats[0], true, NULL);
    check_kat(c, 0, &cipher_kats[0], false, NULL);
}

static void test_config(const CryptoConfig *cfg)
{
    struct virtio_crypto_config conf, again;
    QVirtioDevice *vdev;
    Machine m;
    unsigned i;

    machine_start(&m, cfg);
    vdev = &m.c->pci->vdev;
    qvirtio_crypto_read_config(m.c, &conf);

    g_assert_cmphex(conf.status, ==, VIRTIO_CRYPTO_S_HW_READY);
    g_assert_cmpuint(conf.max_dataqueues, ==, cfg->queues);
    g_assert_cmphex(conf.crypto_services & cfg->services, ==, cfg->services);
    g_assert_cmphex(conf.cipher_algo_l & cfg->ciphers, ==, cfg->ciphers);
    /* Every key and request of this suite has to fit. */
    g_assert_cmpuint(conf.max_cipher_key_len, >=, 64);
    g_assert_cmpuint(conf.max_size, >=, 2 * 131072 + 16);
    if (cfg->chaining) {
        g_assert_cmpuint(conf.max_auth_key_len, >=, 64);
        g_assert_cmphex(conf.mac_algo_l &
                        (1u << VIRTIO_CRYPTO_MAC_HMAC_SHA_256), !=, 0);
    }
    if (conf.crypto_services & SERVICE_BIT(AKCIPHER)) {
        g_assert_cmphex(conf.akcipher_algo & (1u << VIRTIO_CRYPTO_AKCIPHER_RSA),
                        !=, 0);
    } else {
        g_assert_cmphex(conf.akcipher_algo, ==, 0);
    }

    /* Any access width, and nothing a driver can write */
    for (i = 0; i < sizeof(conf); i++) {
        uint32_t dword = qvirtio_config_readl(vdev, i & ~3u);

        g_assert_cmphex(qvirtio_config_readb(vdev, i), ==,
                        (dword >> (i % 4 * 8)) & 0xff);
        qpci_io_writeb(m.c->pci->pdev, m.c->pci->bar,
                       m.c->pci->device_cfg_offset + i, 0x5a);
    }
    qvirtio_crypto_read_config(m.c, &again);
    g_assert_cmpmem(&conf, sizeof(conf), &again, sizeof(again));

    machine_end(&m);
}

/* Returns: the QOM path of the virtio device */
static char *virtio_path(QTestState *qts)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'x-query-virtio'}");
    QListEntry *entry;
    char *path = NULL;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), entry) {
        QDict *info = qobject_to(QDict, qlist_entry_obj(entry));

        if (g_str_equal(qdict_get_str(info, "name"), "virtio-crypto")) {
            path = g_strdup(qdict_get_str(info, "path"));
        }
    }
    qobject_unref(rsp);
    return path;
}

static void test_monitor(const CryptoConfig *cfg)
{
    g_autofree char *path = NULL;
    QDict *rsp, *info;
    Machine m;

    machine_start(&m, cfg);
    path = virtio_path(m.qts);
    g_assert_nonnull(path);
    rsp = qtest_qmp(m.qts, "{'execute': 'x-query-virtio-status',"
                    " 'arguments': {'path': %s}}", path);
    info = qdict_get_qdict(rsp, "return");
    g_assert_nonnull(info);
    g_assert_cmpstr(qdict_get_str(info, "name"), ==, "virtio-crypto");
    g_assert_nonnull(qdict_get_qdict(info, "backend-features"));
    qobject_unref(rsp);
    machine_end(&m);
}

static void test_sessions(const CryptoConfig *cfg)
{
    /* More than any backend has */
    enum { TRIES = 5000 };
    g_autoptr(GHashTable) ids = g_hash_table_new_full(g_int64_hash,
                                                      g_int64_equal, g_free,
                                                      NULL);
    uint8_t key[16] = { 0 };
    GHashTableIter iter;
    uint64_t id, *p;
    uint32_t status = VIRTIO_CRYPTO_OK;
    Machine m;
    int i;

    machine_start(&m, cfg);

    id = open_cbc(m.c, true);
    close_cipher(m.c, id);
    g_assert_cmpuint(qvirtio_crypto_destroy_session(m.c,
                         VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION, id), !=,
                     VIRTIO_CRYPTO_OK);

    /* Until there are no more; each has a name of its own. */
    for (i = 0; i < TRIES && status == VIRTIO_CRYPTO_OK; i++) {
        status = qvirtio_crypto_create_cipher(m.c,
                                              VIRTIO_CRYPTO_CIPHER_AES_CBC,
                                              VIRTIO_CRYPTO_OP_ENCRYPT, key,
                                              sizeof(key), &id);
        if (status == VIRTIO_CRYPTO_OK) {
            g_assert_true(g_hash_table_add(ids, g_memdup2(&id, sizeof(id))));
        }
    }
    g_assert_cmpuint(g_hash_table_size(ids), >=, 64);
    if (g_hash_table_size(ids) < TRIES) {
        g_assert_true(status == VIRTIO_CRYPTO_ERR ||
                      status == VIRTIO_CRYPTO_NOSPC);
    }

    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, (void **)&p, NULL)) {
        close_cipher(m.c, *p);
    }
    check_works(m.c);

    machine_end(&m);
}

static void test_ciphers(const CryptoConfig *cfg)
{
    struct virtio_crypto_config conf;
    Machine m;
    int i;

    machine_start(&m, cfg);
    qvirtio_crypto_read_config(m.c, &conf);
    for (i = 0; i < ARRAY_SIZE(cipher_kats); i++) {
        const CipherKat *kat = &cipher_kats[i];

        if (conf.cipher_algo_l & (1u << kat->algo)) {
            g_test_message("%s", kat->name);
            check_kat(m.c, 0, kat, true, NULL);
            check_kat(m.c, 0, kat, false, NULL);
        }
    }
    machine_end(&m);
}

/* Two sessions of one key must not share their chaining state. */
static void test_interleaved(const CryptoConfig *cfg)
{
    const CipherKat *kat = &cipher_kats[0];
    uint64_t enc[2], dec;
    Machine m;
    int i;

    machine_start(&m, cfg);
    enc[0] = open_cbc(m.c, true);
    enc[1] = open_cbc(m.c, true);
    dec = open_cbc(m.c, false);
    for (i = 0; i < 8; i++) {
        check_kat_in_session(m.c, 0, kat, true, enc[i % 2], NULL);
        check_kat_in_session(m.c, 0, kat, false, dec, NULL);
    }
    close_cipher(m.c, enc[0]);
    check_kat_in_session(m.c, 0, kat, true, enc[1], NULL);
    close_cipher(m.c, enc[1]);
    close_cipher(m.c, dec);
    machine_end(&m);
}

/* One byte, odd bytes, cuts inside every field, everything in one piece */
static const uint32_t cut_1[] = { 1, 0 };
static const uint32_t cut_7[] = { 7, 0 };
static const uint32_t cut_odd[] = { 1, 3, 64, 5, 13, 2, 31, 0 };
static const uint32_t cut_16[] = { 16, 0 };
static const uint32_t cut_71[] = { 71, 1, 15, 1, 0 };
static const uint32_t cut_none[] = { 0x10000, 0 };

static const QVirtioCryptoLayout layouts[] = {
    { "fields", NULL, NULL, 16 },
    { "fields, adjacent", NULL, NULL, 0 },
    { "fields, unaligned", NULL, NULL, 13 },
    { "one piece", cut_none, cut_none, 3 },
    { "bytes", cut_1, cut_1, 1 },
    { "sevens", cut_7, cut_7, 5 },
    { "odd", cut_odd, cut_odd, 61 },
    { "header cut short", cut_71, cut_16, 64 },
    { "fields, indirect", NULL, NULL, 16, true },
    { "one piece, indirect", cut_none, cut_none, 3, true },
    { "bytes, indirect", cut_1, cut_1, 1, true },
    { "odd, indirect", cut_odd, cut_71, 7, true },
    { "across pages", cut_16, cut_16, 4093 },
};

static void test_layouts(const CryptoConfig *cfg)
{
    Machine m;
    int i;

    machine_start(&m, cfg);
    for (i = 0; i < ARRAY_SIZE(layouts); i++) {
        g_test_message("%s", layouts[i].name);
        check_kat(m.c, 0, &cipher_kats[0], true, &layouts[i]);
        check_kat(m.c, 0, &cipher_kats[2], false, &layouts[i]);
    }
    machine_end(&m);
}

/* There and back again, the way there compared with the known answer */
static void check_length(QVirtioCrypto *c, size_t len, const char *sha256,
                         const QVirtioCryptoLayout *layout)
{
    uint64_t enc = open_cbc(c, true), dec = open_cbc(c, false);
    g_autofree uint8_t *plain = g_malloc(len);
    g_autofree uint8_t *cipher = g_malloc0(len);
    g_autofree uint8_t *back = g_malloc0(len);
    g_autofree char *sum = NULL;
    size_t i, iv_len;
    g_autofree uint8_t *iv = unhex(SP800_38A_IV, &iv_len);
    uint8_t status;

    for (i = 0; i < len; i++) {
        plain[i] = pattern_byte(i);
    }
    status = qvirtio_crypto_cipher(c, 0, VIRTIO_CRYPTO_CIPHER_ENCRYPT, enc,
                                   iv, iv_len, plain, cipher, len, layout);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    if (sha256) {
        sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, cipher, len);
        g_assert_cmpstr(sum, ==, sha256);
    }
    status = qvirtio_crypto_cipher(c, 0, VIRTIO_CRYPTO_CIPHER_DECRYPT, dec,
                                   iv, iv_len, cipher, back, len, layout);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(plain, len, back, len);
    close_cipher(c, enc);
    close_cipher(c, dec);
}

static void test_lengths(const CryptoConfig *cfg)
{
    static const uint32_t cut_page[] = { 4096, 0 };
    static const uint32_t cut_wild[] = { 4095, 1, 511, 8191, 33, 0 };
    static const QVirtioCryptoLayout pages = {
        "pages", cut_page, cut_page, 1
    };
    static const QVirtioCryptoLayout wild = {
        "wild", cut_wild, cut_wild, 3, true
    };
    struct virtio_crypto_config conf;
    size_t largest;
    Machine m;
    int i;

    machine_start(&m, cfg);
    for (i = 0; i < ARRAY_SIZE(length_kats); i++) {
        const LengthKat *kat = &length_kats[i];

        check_length(m.c, kat->len, kat->sha256, NULL);
        check_length(m.c, kat->len, kat->sha256, &pages);
        check_length(m.c, kat->len, kat->sha256, &wild);
    }

    qvirtio_crypto_read_config(m.c, &conf);
    largest = QEMU_ALIGN_DOWN((conf.max_size - 16) / 2, 16);
    check_length(m.c, MIN(largest, LARGEST_SOURCE), NULL, NULL);
    machine_end(&m);
}

/*
 * Cipher and MAC in one request.  What is authenticated is always the cipher
 * text, as in IPsec: cipher then hash on the way out, hash then cipher back.
 */
static uint32_t create_chain(QVirtioCrypto *c, bool encrypt, uint32_t mac,
                             uint32_t mac_len, const void *key, size_t key_len,
                             const void *mac_key, size_t mac_key_len,
                             uint64_t *id)
{
    struct virtio_crypto_op_ctrl_req ctrl = {
        .header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_CREATE_SESSION),
        .u.sym_create_session = {
            .op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING),
            .u.chain.para = {
                .alg_chain_order = cpu_to_le32(encrypt ?
                    VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_CIPHER_THEN_HASH :
                    VIRTIO_CRYPTO_SYM_ALG_CHAIN_ORDER_HASH_THEN_CIPHER),
                .hash_mode = cpu_to_le32(VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH),
                .cipher_param = {
                    .algo = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_AES_CBC),
                    .keylen = cpu_to_le32(key_len),
                    .op = cpu_to_le32(encrypt ? VIRTIO_CRYPTO_OP_ENCRYPT :
                                                VIRTIO_CRYPTO_OP_DECRYPT),
                },
                .u.mac_param = {
                    .algo = cpu_to_le32(mac),
                    .hash_result_len = cpu_to_le32(mac_len),
                    .auth_key_len = cpu_to_le32(mac_key_len),
                },
            },
        },
    };

    return qvirtio_crypto_ctrl(c, &ctrl, key, key_len, mac_key, mac_key_len,
                               id);
}

typedef struct MacKat {
    uint32_t algo;
    const char *digest;
} MacKat;

/* HMAC of the cipher text of cipher_kats[0], the key is 20 bytes of 0x0b */
static const MacKat mac_kats[] = {
    {
        VIRTIO_CRYPTO_MAC_HMAC_SHA1,
        "a93ca10bd80536504cceccc78016185075114cd4",
    }, {
        VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
        "1eb4c024edef8c8af2424cf405697f69bdf736e6e243cec4c538156efca83782",
    }, {
        VIRTIO_CRYPTO_MAC_HMAC_SHA_512,
        "b5c814477282f02d3a7112028d488ccbd1fe6ae6a1ae3c214e3014a9c2cf4fe9"
        "91bf5d35fe9eb48bfb87603ed9bc99306a99e995cd65a5b6aca48501244f4456",
    },
};

static void check_chain(QVirtioCrypto *c, const MacKat *kat, bool encrypt,
                        const QVirtioCryptoLayout *layout)
{
    const CipherKat *ck = &cipher_kats[0];
    size_t key_len, iv_len, len, len2, mac_len;
    g_autofree uint8_t *key = unhex(ck->key, &key_len);
    g_autofree uint8_t *iv = unhex(ck->iv, &iv_len);
    g_autofree uint8_t *src = unhex(encrypt ? ck->plain : ck->cipher, &len);
    g_autofree uint8_t *want = unhex(encrypt ? ck->cipher : ck->plain, &len2);
    g_autofree uint8_t *mac = unhex(kat->digest, &mac_len);
    g_autofree uint8_t *dst = g_malloc0(len);
    g_autofree uint8_t *digest = g_malloc0(mac_len);
    struct virtio_crypto_op_data_req hdr = {
        .header.opcode = cpu_to_le32(encrypt ? VIRTIO_CRYPTO_CIPHER_ENCRYPT :
                                               VIRTIO_CRYPTO_CIPHER_DECRYPT),
        .u.sym_req = {
            .op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING),
            .u.chain.para = {
                .iv_len = cpu_to_le32(iv_len),
                .src_data_len = cpu_to_le32(len),
                .dst_data_len = cpu_to_le32(len),
                .len_to_cipher = cpu_to_le32(len),
                .len_to_hash = cpu_to_le32(len),
                .hash_result_len = cpu_to_le32(mac_len),
            },
        },
    };
    uint8_t status, mac_key[20];
    QVirtioCryptoReq req = {
        .out = { { &hdr, sizeof(hdr) }, { iv, iv_len }, { src, len } },
        .in = { { dst, len }, { digest, mac_len },
                { &status, sizeof(status) } },
        .layout = layout,
    };
    uint64_t id;

    memset(mac_key, 0x0b, sizeof(mac_key));
    g_assert_cmpuint(create_chain(c, encrypt, kat->algo, mac_len, key, key_len,
                                  mac_key, sizeof(mac_key), &id), ==,
                     VIRTIO_CRYPTO_OK);
    hdr.header.session_id = cpu_to_le64(id);

    qvirtio_crypto_post(c, c->vqs[0], &req);
    g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    g_assert_cmpuint(req.used_len, ==, len + mac_len + sizeof(status));
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpmem(dst, len, want, len2);
    g_assert_cmpmem(digest, mac_len, mac, mac_len);
    close_cipher(c, id);
}

static void test_chaining(const CryptoConfig *cfg)
{
    struct virtio_crypto_config conf;
    size_t key_len;
    g_autofree uint8_t *key = unhex(SP800_38A_KEY128, &key_len);
    uint64_t id;
    Machine m;
    int i, j;

    machine_start(&m, cfg);
    qvirtio_crypto_read_config(m.c, &conf);
    if (!cfg->chaining) {
        /* Refused, and the device goes on working */
        g_assert_cmpuint(create_chain(m.c, true, VIRTIO_CRYPTO_MAC_HMAC_SHA_256,
                                      32, key, key_len, key, key_len, &id), !=,
                         VIRTIO_CRYPTO_OK);
        check_works(m.c);
        machine_end(&m);
        return;
    }
    for (i = 0; i < ARRAY_SIZE(mac_kats); i++) {
        if (!(conf.mac_algo_l & (1u << mac_kats[i].algo))) {
            continue;
        }
        check_chain(m.c, &mac_kats[i], true, NULL);
        check_chain(m.c, &mac_kats[i], false, NULL);
        for (j = 0; j < ARRAY_SIZE(layouts); j++) {
            check_chain(m.c, &mac_kats[i], true, &layouts[j]);
        }
    }
    machine_end(&m);
}

/*
 * RSA with a 1024 bit key made for this test: a raw operation in both
 * directions, and a PKCS#1 v1.5 signature of a SHA-256 digest.
 */
static const char rsa_private[] =
    "3082025d02010002818100d75b3db94c7e629cfbe6c025b9bb9835753fe8fcc3193e823a"
    "25ff71aeddf9228e9bf4eaba02df8100db09a7242204a7319f26632c3d61e4e3fe5424cf"
    "ef01d0b9f264a37f3e9dce7ec6288da30ed069247e20d80ad2a0338745b8855debb0690f"
    "789533fb273723b75720c164213e3e117e91d9e5afe5ddb71568a1055571e50203010001"
    "02818035a6a676ee66a21ca7e8f1bfb448d6ffa2693c9b13e3cb1dd86cb4f9d66db86e72"
    "86c9fa5c42f0f98b8406209cb0d8e5ea47d2e16c1912b55a53771500b47387de3cf56bf1"
    "6eb9ec6990ce02126118d7d7e3fa85fce29a7687865896d50bc29e8ee66c0b2a763c199a"
    "8edfddabb142140597a812e59290f32badfd65aa272541024100fab8890d08c957974552"
    "d6a118ee1d0da2494447e6dc3e2f3edf492956d183d4546798ea50592ba15c0e91c394e3"
    "d7a3f45a48817281625218868e1c9eaa0035024100dbe4148d9723b42492e21a4b7d2475"
    "d0efdb3b14742b73e3ab671b80a12903228b4a83bff6238967206633b251c5f1205e075c"
    "ebabb70306353865354e0640f1024100e87123268169e119ee7c515dc376265b5884a298"
    "229137d9a7696d33b538c3069c45fb7fe883f32e42e18304174a70c6a128fea57c5a35a4"
    "34f6b254184935ad0241008eb96a05c5362d7517c99e5ba52c8734489b39abbb03814323"
    "3bd7841416f4abf5513656e0c28c2addc2b88763c061142b34084207c0d03bb54b979593"
    "c1476102404eaf304672c6dc91d088cfa581267e3a1a1bdeffe75b2ddb7a23b139928702"
    "74028f706fa3d99d50eb5a8e98f5d0b955874f7665cd00d6709197fa0a87fecac0";

static const char rsa_public[] =
    "30818902818100d75b3db94c7e629cfbe6c025b9bb9835753fe8fcc3193e823a25ff71ae"
    "ddf9228e9bf4eaba02df8100db09a7242204a7319f26632c3d61e4e3fe5424cfef01d0b9"
    "f264a37f3e9dce7ec6288da30ed069247e20d80ad2a0338745b8855debb0690f789533fb"
    "273723b75720c164213e3e117e91d9e5afe5ddb71568a1055571e50203010001";

static const char rsa_raw_plain[] =
    "000b30557a9fc4e90e33587da2c7ec11365b80a5caef14395e83a8cdf2173c6186abd0f5"
    "1a3f6489aed3f81d42678cb1d6fb20456a8fb4d9fe23486d92b7dc01264b7095badf0429"
    "4e7398bde2072c51769bc0e50a2f54799ec3e80d32577ca1c6eb10355a7fa4c9ee13385d"
    "82a7ccf1163b6085aacff4193e6388add2f71c41";

static const char rsa_raw_cipher[] =
    "9171151c249281a26baa9c640daf3c1e3f6358c0e6b155c317b4ad2fe43f180df5350e44"
    "bfe7ea61b46fbf3d07f40b428947bcd39a94a233c52658eb01bf5175c1bc8eb72d487735"
    "e02c42b9ed0564651ca6ac981808e0f197b17a98f06b14931553ef53ee78c565392f3c0a"
    "5bbb939d718c8c7b9597c68bcabf86e1aefbc477";

static const char rsa_digest[] =
    "ae8182bbb9db522f143015503110db7545401bbe4b10837d22c35022fbe57c95";

static const char rsa_signature[] =
    "967c93dc55054642837d64b09e706941d9693dd8629d2045b9bdc780e82374f0d4a091d4"
    "b153d9d81f13f850037807dcf4337b69b945ead7a15990f72eb53b1a16dbdcb62e5c207c"
    "457cbba02651a2ff0c1cfc3ca999140fe10489e72c3d88da2ce5a4f8ed95d8ede04fccc1"
    "a9e460623245879748e800ba81d3d6c42a5ba5bf";

typedef struct RsaKat {
    const char *name;
    uint32_t opcode;
    bool private;
    uint32_t padding;
    const char *src, *dst;
} RsaKat;

static const RsaKat rsa_kats[] = {
    { "raw encrypt", VIRTIO_CRYPTO_AKCIPHER_ENCRYPT, false,
      VIRTIO_CRYPTO_RSA_RAW_PADDING, rsa_raw_plain, rsa_raw_cipher },
    { "raw decrypt", VIRTIO_CRYPTO_AKCIPHER_DECRYPT, true,
      VIRTIO_CRYPTO_RSA_RAW_PADDING, rsa_raw_cipher, rsa_raw_plain },
    { "sign", VIRTIO_CRYPTO_AKCIPHER_SIGN, true,
      VIRTIO_CRYPTO_RSA_PKCS1_PADDING, rsa_digest, rsa_signature },
    { "verify", VIRTIO_CRYPTO_AKCIPHER_VERIFY, false,
      VIRTIO_CRYPTO_RSA_PKCS1_PADDING, rsa_signature, rsa_digest },
};

static uint32_t try_open_rsa(QVirtioCrypto *c, bool private, uint32_t padding,
                             uint64_t *id)
{
    size_t key_len;
    g_autofree uint8_t *key = unhex(private ? rsa_private : rsa_public,
                                    &key_len);

    return qvirtio_crypto_create_rsa(c,
               private ? VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE :
                         VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC,
               padding, VIRTIO_CRYPTO_RSA_SHA256, key, key_len, id);
}

static uint64_t open_rsa(QVirtioCrypto *c, bool private, uint32_t padding)
{
    uint64_t id = UINT64_MAX;

    g_assert_cmpuint(try_open_rsa(c, private, padding, &id), ==,
                     VIRTIO_CRYPTO_OK);
    return id;
}

static void close_rsa(QVirtioCrypto *c, uint64_t id)
{
    g_assert_cmpuint(qvirtio_crypto_destroy_session(c,
                         VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION, id), ==,
                     VIRTIO_CRYPTO_OK);
}

static bool has_akcipher(QVirtioCrypto *c)
{
    struct virtio_crypto_config conf;

    qvirtio_crypto_read_config(c, &conf);
    return conf.crypto_services & SERVICE_BIT(AKCIPHER);
}

static void check_rsa(QVirtioCrypto *c, const RsaKat *kat)
{
    bool verify = kat->opcode == VIRTIO_CRYPTO_AKCIPHER_VERIFY;
    size_t src_len, want_len, len;
    g_autofree uint8_t *src = unhex(kat->src, &src_len);
    g_autofree uint8_t *want = unhex(kat->dst, &want_len);
    g_autofree uint8_t *dst = g_memdup2(want, want_len);
    uint64_t id = open_rsa(c, kat->private, kat->padding);
    uint8_t status;

    g_test_message("%s", kat->name);
    len = want_len;
    if (!verify) {
        memset(dst, 0, len);
    }
    status = qvirtio_crypto_akcipher(c, kat->opcode, id, src, src_len, dst,
                                     &len);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_OK);
    if (!verify) {
        g_assert_cmpmem(dst, len, want, want_len);
        /* No room for the result: told so, nothing written beyond it */
        len = want_len / 2;
        status = qvirtio_crypto_akcipher(c, kat->opcode, id, src, src_len, dst,
                                         &len);
        g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_ERR);
    } else {
        dst[3] ^= 1;
        len = want_len;
        status = qvirtio_crypto_akcipher(c, kat->opcode, id, src, src_len, dst,
                                         &len);
        g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_KEY_REJECTED);
    }
    close_rsa(c, id);
}

static void test_rsa(const CryptoConfig *cfg)
{
    Machine m;
    int i;

    machine_start(&m, cfg);
    if (has_akcipher(m.c)) {
        for (i = 0; i < ARRAY_SIZE(rsa_kats); i++) {
            check_rsa(m.c, &rsa_kats[i]);
        }
    } else {
        g_test_message("no akcipher service");
        g_assert_cmphex(cfg->services & SERVICE_BIT(AKCIPHER), ==, 0);
    }
    check_works(m.c);
    machine_end(&m);
}

/*
 * Queues and interrupts
 */

/* Sessions belong to the device, not to a queue. */
static void test_queues(const CryptoConfig *cfg)
{
    const CipherKat *kat = &cipher_kats[0];
    uint64_t enc, dec;
    Machine m;
    unsigned q, round;

    machine_start(&m, cfg);
    enc = open_cbc(m.c, true);
    dec = open_cbc(m.c, false);
    for (round = 0; round < 3; round++) {
        for (q = 0; q < cfg->queues; q++) {
            check_kat_in_session(m.c, q, kat, true, enc, NULL);
            check_kat_in_session(m.c, q, kat, false, dec, NULL);
        }
    }
    close_cipher(m.c, enc);
    close_cipher(m.c, dec);
    machine_end(&m);
}

/* A request that is one of many in flight */
typedef struct Flight {
    struct virtio_crypto_op_data_req hdr;
    uint8_t iv[16];
    uint8_t *src, *dst;
    size_t len;
    uint8_t status;
    QVirtioCryptoReq req;
} Flight;

static void flight_init(Flight *f, uint64_t session, size_t len)
{
    size_t i;

    *f = (Flight) {
        .src = g_malloc(len),
        .dst = g_malloc0(len),
        .len = len,
        .status = 0xff,
    };
    for (i = 0; i < sizeof(f->iv); i++) {
        f->iv[i] = i;
    }
    for (i = 0; i < len; i++) {
        f->src[i] = pattern_byte(i);
    }
    qvirtio_crypto_init_cipher_hdr(&f->hdr, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                   session, sizeof(f->iv), len);
    f->req = (QVirtioCryptoReq) {
        .out = {
            { &f->hdr, sizeof(f->hdr) },
            { f->iv, sizeof(f->iv) },
            { f->src, len },
        },
        .in = {
            { f->dst, len },
            { &f->status, sizeof(f->status) },
        },
    };
}

static void flight_clear(Flight *f)
{
    g_free(f->src);
    g_free(f->dst);
}

/* Many requests under one doorbell, on every queue, done in order */
static void test_order(const CryptoConfig *cfg)
{
    enum { BATCH = 48 };
    g_autofree Flight *f = g_new(Flight, cfg->queues * BATCH);
    Machine m;
    uint64_t session;
    unsigned q, i;

    machine_start(&m, cfg);
    session = open_cbc(m.c, true);
    for (i = 0; i < BATCH; i++) {
        for (q = 0; q < cfg->queues; q++) {
            Flight *r = &f[q * BATCH + i];

            flight_init(r, session,
                        length_kats[(i * 7 + q) % 3].len);
            qvirtio_crypto_layout(m.c, &r->req);
            qvirtio_crypto_enqueue(m.c, m.c->vqs[q], &r->req);
        }
    }
    for (q = 0; q < cfg->queues; q++) {
        qvirtio_crypto_notify(m.c, m.c->vqs[q]);
    }
    for (q = cfg->queues; q-- > 0; ) {
        for (i = 0; i < BATCH; i++) {
            Flight *r = &f[q * BATCH + i];
            g_autofree char *sum = NULL;

            /* Fails unless this very request is next in the used ring */
            g_assert_cmpint(qvirtio_crypto_wait(m.c, m.c->vqs[q], &r->req,
                                                QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                            QVIRTIO_CRYPTO_DONE);
            g_assert_cmpuint(r->status, ==, VIRTIO_CRYPTO_OK);
            g_assert_cmpuint(r->req.used_len, ==, r->len + 1);
            sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, r->dst,
                                              r->len);
            g_assert_cmpstr(sum, ==, length_kats[(i * 7 + q) % 3].sha256);
            flight_clear(r);
        }
    }
    close_cipher(m.c, session);
    machine_end(&m);
}

/* More requests than the rings have entries, with five descriptors each */
static void test_wrap(const CryptoConfig *cfg)
{
    Machine m;
    QVirtQueue *vq;
    uint64_t session;
    uint16_t idx;
    int i;

    machine_start_small(&m, cfg);
    vq = m.c->vqs[0];
    session = open_cbc(m.c, true);
    g_assert_cmpuint(vq->size, <, 100);
    for (i = 0; i < 100; i++) {
        check_kat_in_session(m.c, 0, &cipher_kats[0], true, session, NULL);
    }
    qtest_memread(m.qts, vq->used + offsetof(struct vring_used, idx), &idx,
                  sizeof(idx));
    g_assert_cmpuint(le16_to_cpu(idx), ==, 100);
    close_cipher(m.c, session);
    machine_end(&m);
}

static void wait_isr(Machine *m, QVirtQueue *vq)
{
    qvirtio_wait_queue_isr(m->qts, &m->c->pci->vdev, vq,
                           QVIRTIO_CRYPTO_TIMEOUT_US);
}

static void run_flight(Machine *m, unsigned q, uint64_t session)
{
    Flight f;

    flight_init(&f, session, 64);
    qvirtio_crypto_post(m->c, m->c->vqs[q], &f.req);
    wait_isr(m, m->c->vqs[q]);
    g_assert_cmpint(qvirtio_crypto_wait(m->c, m->c->vqs[q], &f.req, 0), ==,
                    QVIRTIO_CRYPTO_DONE);
    g_assert_cmpuint(f.status, ==, VIRTIO_CRYPTO_OK);
    flight_clear(&f);
}

/* One vector for each queue, one for configuration changes */
static void test_msix(const CryptoConfig *cfg)
{
    QVirtioPCIDevice *pci;
    uint64_t session;
    Flight bad;
    Machine m;
    unsigned q;

    machine_init(&m, cfg, "%s", "");
    pci = m.c->pci;
    qpci_msix_enable(pci->pdev);
    g_assert_cmpuint(qpci_msix_table_size(pci->pdev), ==, cfg->queues + 2);
    qvirtio_crypto_setup(m.c);
    qvirtio_pci_set_msix_configuration_vector(pci, &m.alloc, 0);
    for (q = 0; q < cfg->queues; q++) {
        qvirtqueue_pci_msix_setup(pci,
                                  container_of(m.c->vqs[q], QVirtQueuePCI, vq),
                                  &m.alloc, q + 1);
    }
    qvirtio_set_driver_ok(&pci->vdev);

    session = open_cbc(m.c, true);
    for (q = 0; q < cfg->queues; q++) {
        run_flight(&m, q, session);
        run_flight(&m, q, session);
    }

    /* A device that breaks says so by its configuration vector. */
    flight_init(&bad, session, 64);
    bad.req.out[0].len = 8;
    bad.req.out[1].len = 0;
    bad.req.out[2].len = 0;
    qvirtio_crypto_post(m.c, m.c->vqs[0], &bad.req);
    qvirtio_wait_config_isr(&pci->vdev, QVIRTIO_CRYPTO_TIMEOUT_US);
    g_assert_cmpint(qvirtio_crypto_wait(m.c, m.c->vqs[0], &bad.req, 0), ==,
                    QVIRTIO_CRYPTO_BROKEN);
    flight_clear(&bad);

    machine_end(&m);
}

/* INTx where there is a pin; where there is none, nothing must happen */
static void test_isr(const CryptoConfig *cfg)
{
    uint64_t session;
    Machine m;
    Flight f;

    machine_start(&m, cfg);
    session = open_cbc(m.c, true);
    /* Opening the session was an interrupt, reading clears it. */
    qpci_io_readb(m.c->pci->pdev, m.c->pci->bar, m.c->pci->isr_cfg_offset);
    g_assert_cmphex(qpci_io_readb(m.c->pci->pdev, m.c->pci->bar,
                                  m.c->pci->isr_cfg_offset), ==, 0);
    run_flight(&m, 0, session);

    flight_init(&f, session, 64);
    f.req.out[0].len = 8;
    f.req.out[1].len = 0;
    f.req.out[2].len = 0;
    qvirtio_crypto_post(m.c, m.c->vqs[0], &f.req);
    qvirtio_wait_config_isr(&m.c->pci->vdev, QVIRTIO_CRYPTO_TIMEOUT_US);
    g_assert_cmpint(qvirtio_crypto_wait(m.c, m.c->vqs[0], &f.req, 0), ==,
                    QVIRTIO_CRYPTO_BROKEN);
    flight_clear(&f);
    machine_end(&m);
}

/*
 * The life of the device
 */

static void test_reset(const CryptoConfig *cfg)
{
    Machine m;
    int i;

    machine_start(&m, cfg);
    for (i = 0; i < 3; i++) {
        check_works(m.c);
        qvirtio_crypto_stop(m.c);
        qvirtio_crypto_start(m.c);
    }
    check_works(m.c);

    for (i = 0; i < 2; i++) {
        qtest_system_reset(m.qts);
        qvirtio_crypto_release(m.c);
        qvirtio_crypto_free(m.c);
        if (m.cxl) {
            qcxl_init(m.cxl);
        }
        attach_driver(&m);
        qvirtio_crypto_start(m.c);
        check_works(m.c);
    }
    machine_end(&m);
}

/* A guest that is reset over and over leaves its sessions open each time. */
static void test_reset_sessions(const CryptoConfig *cfg)
{
    Machine m;
    int i, j;

    machine_start_small(&m, cfg);
    for (i = 0; i < 40; i++) {
        for (j = 0; j < 8; j++) {
            open_cbc(m.c, true);
        }
        qvirtio_crypto_stop(m.c);
        qvirtio_crypto_start(m.c);
    }
    check_works(m.c);
    machine_end(&m);
}

static void unplug(Machine *m)
{
    if (m->cxl) {
        qcxl_unplug(m->cxl, "dut");
    } else {
        qpci_unplug_acpi_device_test(m->qts, "dut", PC_SLOT);
    }
    qvirtio_crypto_release(m->c);
    qvirtio_crypto_free(m->c);
    m->c = NULL;
}

static void plug(Machine *m)
{
    if (m->cxl) {
        qtest_qmp_device_add(m->qts, m->cfg->device, "dut",
                             "{'bus': 'rp0', 'cryptodev': 'c0', 'vectors': %u}",
                             m->cfg->queues + 2);
        qcxl_plugged(m->cxl);
    } else {
        qtest_qmp_device_add(m->qts, m->cfg->device, "dut",
                             "{'addr': %s, 'cryptodev': 'c0', 'vectors': %u}",
                             stringify(PC_SLOT), m->cfg->queues + 2);
    }
    attach_driver(m);
    qvirtio_crypto_start(m->c);
}

/* Under a sanitizer, leaks nothing either */
static void test_hotplug(const CryptoConfig *cfg)
{
    Machine m;
    int i;

    machine_start(&m, cfg);
    for (i = 0; i < 3; i++) {
        check_works(m.c);
        unplug(&m);
        plug(&m);
    }
    check_works(m.c);

    /* Once it is gone, so is the backend's user. */
    unplug(&m);
    qtest_qmp_assert_success(m.qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': 'c0'}}");
    machine_end(&m);
}

/*
 * Requests that wait in the backend
 *
 * A throttled backend keeps requests for a while, which is the way to have
 * some pending when something happens to their session or to the device.
 */

#define NUM_PENDING 6

typedef struct Pending {
    Machine m;
    uint64_t session;
    Flight f[NUM_PENDING];
} Pending;

static void set_throttle(Pending *p, int bps)
{
    qtest_qmp_assert_success(p->m.qts, "{'execute': 'qom-set', 'arguments':"
                             " {'path': '/objects/c0',"
                             "  'property': 'throttle-bps', 'value': %d}}",
                             bps);
}

/* One byte a second: the first request runs, the others wait for a minute. */
static void pending_start(Pending *p, const CryptoConfig *cfg)
{
    QVirtQueue *vq;
    unsigned i;

    machine_init(&p->m, cfg, "%s", ",throttle-bps=1");
    qvirtio_crypto_start(p->m.c);
    vq = p->m.c->vqs[0];
    p->session = open_cbc(p->m.c, true);
    for (i = 0; i < NUM_PENDING; i++) {
        flight_init(&p->f[i], p->session, 64);
        qvirtio_crypto_post(p->m.c, vq, &p->f[i].req);
    }
    g_assert_cmpint(qvirtio_crypto_wait(p->m.c, vq, &p->f[0].req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    g_usleep(QVIRTIO_CRYPTO_QUIET_US);
    g_assert_false(qvirtqueue_get_buf(p->m.qts, vq, NULL, NULL));
}

/* The requests that were pending are not coming back any more. */
static void pending_forget(Pending *p)
{
    unsigned i;

    for (i = 1; i < NUM_PENDING; i++) {
        g_array_free(p->f[i].req.descs, true);
    }
}

static void pending_end(Pending *p)
{
    unsigned i;

    for (i = 0; i < NUM_PENDING; i++) {
        flight_clear(&p->f[i]);
    }
    machine_end(&p->m);
}

static void test_pending(const CryptoConfig *cfg)
{
    Pending p;
    unsigned i;

    pending_start(&p, cfg);
    set_throttle(&p, 0);
    for (i = 1; i < NUM_PENDING; i++) {
        g_assert_cmpint(qvirtio_crypto_wait(p.m.c, p.m.c->vqs[0], &p.f[i].req,
                                            QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                        QVIRTIO_CRYPTO_DONE);
        g_assert_cmpuint(p.f[i].status, ==, VIRTIO_CRYPTO_OK);
        g_assert_cmpmem(p.f[i].dst, p.f[i].len, p.f[0].dst, p.f[0].len);
    }
    check_works(p.m.c);
    pending_end(&p);
}

/* They may succeed or fail, but none may be forgotten. */
static void test_pending_close(const CryptoConfig *cfg)
{
    Pending p;
    unsigned i;

    pending_start(&p, cfg);
    qvirtio_crypto_destroy_session(p.m.c, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION,
                                   p.session);
    set_throttle(&p, 0);
    for (i = 1; i < NUM_PENDING; i++) {
        g_assert_cmpint(qvirtio_crypto_wait(p.m.c, p.m.c->vqs[0], &p.f[i].req,
                                            QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                        QVIRTIO_CRYPTO_DONE);
        g_assert_true(p.f[i].status == VIRTIO_CRYPTO_OK ||
                      p.f[i].status == VIRTIO_CRYPTO_INVSESS);
    }
    check_works(p.m.c);
    pending_end(&p);
}

/* What was pending before a reset is no business of the driver after it. */
static void test_pending_reset(const CryptoConfig *cfg)
{
    Pending p;
    QVirtQueue *vq;

    pending_start(&p, cfg);
    qvirtio_crypto_stop(p.m.c);
    pending_forget(&p);
    qvirtio_crypto_start(p.m.c);
    vq = p.m.c->vqs[0];
    set_throttle(&p, 0);
    g_usleep(QVIRTIO_CRYPTO_QUIET_US);
    g_assert_false(qvirtqueue_get_buf(p.m.qts, vq, NULL, NULL));
    check_works(p.m.c);
    pending_end(&p);
}

/* The same for the reset of one queue */
static void test_pending_queue_reset(const CryptoConfig *cfg)
{
    const size_t reset = offsetof(struct virtio_pci_modern_common_cfg,
                                  queue_reset);
    Pending p;
    QVirtioCrypto *c;
    QVirtQueue *vq;

    pending_start(&p, cfg);
    c = p.m.c;
    vq = c->vqs[0];
    common_writew(&p.m, offsetof(struct virtio_pci_common_cfg, queue_select),
                  vq->index);
    common_writew(&p.m, reset, 1);
    pending_forget(&p);
    c->in_flight = 0;
    qvring_init(p.m.qts, &p.m.alloc, vq, vq->desc);
    vq->last_used_idx = 0;
    qvirtqueue_reset_pool(vq);
    vq->vdev->bus->set_queue_address(vq->vdev, vq);
    common_writew(&p.m, offsetof(struct virtio_pci_common_cfg, queue_enable),
                  1);

    set_throttle(&p, 0);
    g_usleep(QVIRTIO_CRYPTO_QUIET_US);
    g_assert_false(qvirtqueue_get_buf(p.m.qts, vq, NULL, NULL));
    /* The queue has been reset, the session has not. */
    check_kat_in_session(c, 0, &cipher_kats[0], true, p.session, NULL);
    check_works(c);
    pending_end(&p);
}

/*
 * A request that completes outside of the queue's handler and whose result,
 * all zeroes, goes to the device's own registers: it resets the device.
 */
static void test_pending_own_registers(const CryptoConfig *cfg)
{
    static const uint8_t zeroes[64];
    uint8_t iv[16] = { 0 };
    uint64_t dec;
    Pending p;
    Flight f;
    QVirtioCrypto *c;

    pending_start(&p, cfg);
    c = p.m.c;
    set_throttle(&p, 0);
    for (int i = 1; i < NUM_PENDING; i++) {
        g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &p.f[i].req,
                                            QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                        QVIRTIO_CRYPTO_DONE);
    }

    /* What decrypts to zeroes */
    dec = open_cbc(c, false);
    flight_init(&f, dec, sizeof(zeroes));
    memset(f.iv, 0, sizeof(f.iv));
    g_assert_cmpuint(qvirtio_crypto_cipher(c, 0, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                           p.session, iv, sizeof(iv), zeroes,
                                           f.src, sizeof(zeroes), NULL), ==,
                     VIRTIO_CRYPTO_OK);

    /* The first takes the tokens, the second is held back. */
    set_throttle(&p, 1);
    flight_clear(&p.f[0]);
    flight_init(&p.f[0], p.session, 64);
    qvirtio_crypto_post(c, c->vqs[0], &p.f[0].req);
    g_assert_cmpint(qvirtio_crypto_wait(c, c->vqs[0], &p.f[0].req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    qvirtio_crypto_layout(c, &f.req);
    g_array_index(f.req.descs, struct vring_desc, f.req.num_out_descs).addr =
        c->pci->bar.addr + c->pci->common_cfg_offset;
    qvirtio_crypto_enqueue(c, c->vqs[0], &f.req);
    qvirtio_crypto_notify(c, c->vqs[0]);
    g_usleep(QVIRTIO_CRYPTO_QUIET_US);
    set_throttle(&p, 0);
    g_array_free(f.req.descs, true);
    flight_clear(&f);

    qvirtio_crypto_stop(c);
    qvirtio_crypto_start(c);
    check_works(c);
    pending_end(&p);
}

static void test_pending_unplug(const CryptoConfig *cfg)
{
    Pending p;

    pending_start(&p, cfg);
    unplug(&p.m);
    pending_forget(&p);
    set_throttle(&p, 0);
    plug(&p.m);
    check_works(p.m.c);

    /* And once more, the backend going away with the requests */
    set_throttle(&p, 1);
    flight_clear(&p.f[0]);
    flight_clear(&p.f[1]);
    p.session = open_cbc(p.m.c, true);
    flight_init(&p.f[0], p.session, 64);
    flight_init(&p.f[1], p.session, 64);
    qvirtio_crypto_post(p.m.c, p.m.c->vqs[0], &p.f[0].req);
    qvirtio_crypto_post(p.m.c, p.m.c->vqs[0], &p.f[1].req);
    g_assert_cmpint(qvirtio_crypto_wait(p.m.c, p.m.c->vqs[0], &p.f[0].req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    unplug(&p.m);
    g_array_free(p.f[1].req.descs, true);
    qtest_qmp_assert_success(p.m.qts, "{'execute': 'object-del',"
                             " 'arguments': {'id': 'c0'}}");
    pending_end(&p);
}

/*
 * Malformed requests
 *
 * Each is sent to a device that works.  Afterwards the device must have
 * answered in one of the ways given, and work again after a reset.
 */

#define ST(name)    (1u << VIRTIO_CRYPTO_##name)
#define ANY_STATUS  0xffu
#define ANY_ERROR   (ANY_STATUS & ~ST(OK))
#define ELSEWHERE   (1u << 29)  /* done, but the status is not where it was */
#define BROKEN      (1u << 30)
#define QUIET       (1u << 31)

/* One request that is correct until somebody spoils it */
typedef struct Bad {
    Machine *m;
    uint64_t session;
    bool on_ctrl;
    bool short_answer;
    union {
        struct virtio_crypto_op_data_req data;
        struct virtio_crypto_op_ctrl_req ctrl;
    } hdr;
    uint8_t payload[256];
    uint8_t result[512];
    union {
        uint8_t data;
        struct virtio_crypto_session_input ctrl;
    } answer;
    QVirtioCryptoReq req;
} Bad;

static void bad_init_data(Bad *b)
{
    size_t i, iv_len = 16, len = 64;

    qvirtio_crypto_init_cipher_hdr(&b->hdr.data, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                   b->session, iv_len, len);
    for (i = 0; i < sizeof(b->payload); i++) {
        b->payload[i] = pattern_byte(i);
    }
    b->answer.data = 0xff;
    b->req = (QVirtioCryptoReq) {
        .out = {
            { &b->hdr.data, sizeof(b->hdr.data) },
            { b->payload, iv_len },
            { b->payload + iv_len, len },
        },
        .in = {
            { b->result, len },
            { &b->answer.data, sizeof(b->answer.data) },
        },
    };
}

static void bad_init_ctrl(Bad *b)
{
    b->on_ctrl = true;
    b->hdr.ctrl = (struct virtio_crypto_op_ctrl_req) {
        .header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_CREATE_SESSION),
        .u.sym_create_session = {
            .op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER),
            .u.cipher.para = {
                .algo = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_AES_CBC),
                .keylen = cpu_to_le32(16),
                .op = cpu_to_le32(VIRTIO_CRYPTO_OP_ENCRYPT),
            },
        },
    };
    b->answer.ctrl.status = 0xffffffff;
    b->req = (QVirtioCryptoReq) {
        .out = {
            { &b->hdr.ctrl, sizeof(b->hdr.ctrl) },
            { b->payload, 16 },
        },
        .in = { { &b->answer.ctrl, sizeof(b->answer.ctrl) } },
    };
}

static void bad_init_destroy(Bad *b)
{
    bad_init_ctrl(b);
    b->short_answer = true;
    b->hdr.ctrl = (struct virtio_crypto_op_ctrl_req) {
        .header.opcode = cpu_to_le32(VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION),
        .u.destroy_session.session_id = cpu_to_le64(b->session),
    };
    b->req.out[1].len = 0;
    b->answer.data = 0xff;
    b->req.in[0] = (QVirtioCryptoField) {
        &b->answer.data, sizeof(b->answer.data)
    };
}

static QVirtQueue *bad_vq(Bad *b)
{
    QVirtioCrypto *c = b->m->c;

    return b->on_ctrl ? qvirtio_crypto_ctrlq(c) : c->vqs[0];
}

static uint32_t outcome_of_status(uint32_t status)
{
    return status < 8 ? 1u << status : ELSEWHERE;
}

static uint32_t bad_outcome(Bad *b, gint64 timeout_us)
{
    switch (qvirtio_crypto_wait(b->m->c, bad_vq(b), &b->req, timeout_us)) {
    case QVIRTIO_CRYPTO_DONE:
        if (b->on_ctrl && !b->short_answer) {
            return outcome_of_status(le32_to_cpu(b->answer.ctrl.status));
        }
        return outcome_of_status(b->answer.data);
    case QVIRTIO_CRYPTO_BROKEN:
        return BROKEN;
    default:
        return QUIET;
    }
}

/* Start over: whatever happened, a reset makes the device good again. */
static void bad_recover(Bad *b)
{
    QVirtioCrypto *c = b->m->c;

    qvirtio_crypto_stop(c);
    qvirtio_crypto_start(c);
    check_works(c);
    b->session = open_cbc(c, true);
}

static void bad_begin(Bad *b, Machine *m, const CryptoConfig *cfg)
{
    machine_start_small(m, cfg);
    memset(b, 0, sizeof(*b));
    b->m = m;
    b->session = open_cbc(m->c, true);
}

static void bad_check(Bad *b, const char *name, uint32_t got, uint32_t allowed)
{
    if (!(got & allowed)) {
        g_test_message("%s: outcome 0x%08x, allowed 0x%08x", name, got,
                       allowed);
        g_test_fail();
    }
}

/* Put @value in the @size bytes at @off of the header. */
typedef struct Poke {
    uint16_t off;
    uint8_t size;
    uint64_t value;
} Poke;

typedef struct BadHeader {
    const char *name;
    Poke poke[4];
    uint32_t allowed;
} BadHeader;

#define POKE(type, field, val)                                              \
    { offsetof(struct type, field), sizeof_field(struct type, field), val }
#define DATA(field, val)    POKE(virtio_crypto_op_data_req, field, val)
#define CTRL(field, val)    POKE(virtio_crypto_op_ctrl_req, field, val)

#define CIPHER_PARA u.sym_req.u.cipher.para

static const BadHeader bad_data_headers[] = {
    /* What is not looked at does no harm. */
    { "as it should be", { }, ST(OK) },
    { "algo, flag, padding", {
        DATA(header.algo, 0xffffffff), DATA(header.flag, 0xffffffff),
        DATA(header.padding, 0xffffffff) }, ST(OK) },

    { "opcode: none", { DATA(header.opcode, 0xdeadbeef) }, ST(NOTSUPP) },
    { "opcode: hash", { DATA(header.opcode, VIRTIO_CRYPTO_HASH) },
      ST(NOTSUPP) },
    { "opcode: mac", { DATA(header.opcode, VIRTIO_CRYPTO_MAC) }, ST(NOTSUPP) },
    { "opcode: aead encrypt", {
        DATA(header.opcode, VIRTIO_CRYPTO_AEAD_ENCRYPT) }, ST(NOTSUPP) },
    { "opcode: aead decrypt", {
        DATA(header.opcode, VIRTIO_CRYPTO_AEAD_DECRYPT) }, ST(NOTSUPP) },
    { "opcode: create session", {
        DATA(header.opcode, VIRTIO_CRYPTO_CIPHER_CREATE_SESSION) },
      ST(NOTSUPP) },
    { "opcode: destroy session", {
        DATA(header.opcode, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION) },
      ST(NOTSUPP) },

    { "session: -1", { DATA(header.session_id, UINT64_MAX) }, ST(INVSESS) },
    { "session: never opened", { DATA(header.session_id, 0xfe) },
      ST(INVSESS) },
    { "session: 1 << 32", { DATA(header.session_id, 1ull << 32) },
      ST(INVSESS) },
    { "session: 1 << 63", { DATA(header.session_id, 1ull << 63) },
      ST(INVSESS) },

    { "op_type: none", { DATA(u.sym_req.op_type, 0) }, ST(NOTSUPP) },
    { "op_type: unknown", { DATA(u.sym_req.op_type, 3) }, ST(NOTSUPP) },
    { "op_type: chaining in a cipher session", {
        DATA(u.sym_req.op_type, VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING) },
      ANY_ERROR },

    { "source 4 GiB - 1", { DATA(CIPHER_PARA.src_data_len, 0xffffffff) },
      BROKEN },
    { "both 4 GiB - 1", {
        DATA(CIPHER_PARA.src_data_len, 0xffffffff),
        DATA(CIPHER_PARA.dst_data_len, 0xffffffff) }, BROKEN },
    { "lengths whose sum wraps to 0", {
        DATA(CIPHER_PARA.src_data_len, 0x80000000),
        DATA(CIPHER_PARA.dst_data_len, 0x80000000),
        DATA(CIPHER_PARA.iv_len, 0) }, BROKEN },
    { "lengths whose sum wraps to 64", {
        DATA(CIPHER_PARA.src_data_len, 32),
        DATA(CIPHER_PARA.dst_data_len, 32),
        DATA(CIPHER_PARA.iv_len, 0xffffffff) }, BROKEN },
    { "source longer than destination", {
        DATA(CIPHER_PARA.dst_data_len, 48) }, BROKEN },
    { "source shorter than destination", {
        DATA(CIPHER_PARA.src_data_len, 48) }, BROKEN },
    { "source beyond the chain", {
        DATA(CIPHER_PARA.src_data_len, 65),
        DATA(CIPHER_PARA.dst_data_len, 65) }, BROKEN },
    { "source far beyond the chain", {
        DATA(CIPHER_PARA.src_data_len, 0x10000),
        DATA(CIPHER_PARA.dst_data_len, 0x10000) }, BROKEN },
    { "IV beyond the chain", { DATA(CIPHER_PARA.iv_len, 81) }, BROKEN },
    { "IV takes a byte of the source", { DATA(CIPHER_PARA.iv_len, 17) },
      BROKEN },
    { "IV huge", { DATA(CIPHER_PARA.iv_len, 0x80000000) }, BROKEN },
    { "IV short", { DATA(CIPHER_PARA.iv_len, 15) }, ST(ERR) },
    { "IV long", {
        DATA(CIPHER_PARA.iv_len, 32), DATA(CIPHER_PARA.src_data_len, 48),
        DATA(CIPHER_PARA.dst_data_len, 48) }, ST(ERR) },
    { "no IV", { DATA(CIPHER_PARA.iv_len, 0) }, ST(OK) | ST(ERR) },
    { "not a multiple of the block", {
        DATA(CIPHER_PARA.src_data_len, 63),
        DATA(CIPHER_PARA.dst_data_len, 63) }, ST(ERR) },
    { "less than a block", {
        DATA(CIPHER_PARA.src_data_len, 1),
        DATA(CIPHER_PARA.dst_data_len, 1) }, ST(ERR) },
    { "no data", {
        DATA(CIPHER_PARA.src_data_len, 0),
        DATA(CIPHER_PARA.dst_data_len, 0) }, ST(OK) | ST(ERR) },
    { "nothing at all", {
        DATA(CIPHER_PARA.src_data_len, 0), DATA(CIPHER_PARA.dst_data_len, 0),
        DATA(CIPHER_PARA.iv_len, 0) }, ST(OK) | ST(ERR) },

    /* The session that is open is not an asymmetric one. */
    { "akcipher encrypt in a cipher session", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_ENCRYPT),
        DATA(u.akcipher_req.para.src_data_len, 64),
        DATA(u.akcipher_req.para.dst_data_len, 64) }, ANY_ERROR },
    { "akcipher sign in a cipher session", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN),
        DATA(u.akcipher_req.para.src_data_len, 64),
        DATA(u.akcipher_req.para.dst_data_len, 64) }, ANY_ERROR },
    { "akcipher verify in a cipher session", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_VERIFY),
        DATA(u.akcipher_req.para.src_data_len, 64),
        DATA(u.akcipher_req.para.dst_data_len, 16) }, ANY_ERROR },
    { "akcipher source 4 GiB - 1", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT),
        DATA(u.akcipher_req.para.src_data_len, 0xffffffff),
        DATA(u.akcipher_req.para.dst_data_len, 64) }, BROKEN },
    { "akcipher lengths whose sum wraps", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT),
        DATA(u.akcipher_req.para.src_data_len, 0x80000010),
        DATA(u.akcipher_req.para.dst_data_len, 0x80000010) }, BROKEN },
    { "akcipher source beyond the chain", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_DECRYPT),
        DATA(u.akcipher_req.para.src_data_len, 81),
        DATA(u.akcipher_req.para.dst_data_len, 64) }, BROKEN },
    { "akcipher digest beyond the chain", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_VERIFY),
        DATA(u.akcipher_req.para.src_data_len, 64),
        DATA(u.akcipher_req.para.dst_data_len, 64) }, BROKEN },
    { "akcipher nothing at all", {
        DATA(header.opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN),
        DATA(u.akcipher_req.para.src_data_len, 0),
        DATA(u.akcipher_req.para.dst_data_len, 0) }, ANY_ERROR },
};

#define SYM_CREATE      u.sym_create_session
#define CIPHER_CREATE   u.sym_create_session.u.cipher.para
#define CHAIN_CREATE    u.sym_create_session.u.chain.para
#define AK_CREATE       u.akcipher_create_session.para
#define OP_AK_CREATE                                                        \
    CTRL(header.opcode, VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION)
#define OP_CHAIN                                                            \
    CTRL(SYM_CREATE.op_type, VIRTIO_CRYPTO_SYM_OP_ALGORITHM_CHAINING)

static const BadHeader bad_ctrl_headers[] = {
    { "as it should be", { }, ST(OK) },
    { "algo, flag", {
        CTRL(header.algo, 0xffffffff), CTRL(header.flag, 0xffffffff) },
      ST(OK) },
    { "queue 1024", { CTRL(header.queue_id, 1024) }, ST(ERR) },
    { "queue -1", { CTRL(header.queue_id, 0xffffffff) }, ST(ERR) },

    { "opcode: none", { CTRL(header.opcode, 0xdeadbeef) }, ST(NOTSUPP) },
    { "opcode: encrypt", { CTRL(header.opcode, VIRTIO_CRYPTO_CIPHER_ENCRYPT) },
      ST(NOTSUPP) },
    { "opcode: decrypt", { CTRL(header.opcode, VIRTIO_CRYPTO_CIPHER_DECRYPT) },
      ST(NOTSUPP) },
    { "opcode: sign", { CTRL(header.opcode, VIRTIO_CRYPTO_AKCIPHER_SIGN) },
      ST(NOTSUPP) },
    { "opcode: hash session", {
        CTRL(header.opcode, VIRTIO_CRYPTO_HASH_CREATE_SESSION) },
      ST(NOTSUPP) },
    { "opcode: mac session", {
        CTRL(header.opcode, VIRTIO_CRYPTO_MAC_CREATE_SESSION) },
      ST(NOTSUPP) },
    { "opcode: aead session", {
        CTRL(header.opcode, VIRTIO_CRYPTO_AEAD_CREATE_SESSION) },
      ST(NOTSUPP) },

    { "no key", { CTRL(CIPHER_CREATE.keylen, 0) }, ST(ERR) },
    { "key of 1 byte", { CTRL(CIPHER_CREATE.keylen, 1) }, ST(ERR) },
    { "key of 15 bytes", { CTRL(CIPHER_CREATE.keylen, 15) }, ST(ERR) },
    { "key beyond the chain", { CTRL(CIPHER_CREATE.keylen, 17) }, BROKEN },
    { "key far beyond the chain", { CTRL(CIPHER_CREATE.keylen, 64) }, BROKEN },
    { "key longer than any", { CTRL(CIPHER_CREATE.keylen, 0x10000) },
      ST(ERR) },
    { "key of 4 GiB - 1", { CTRL(CIPHER_CREATE.keylen, 0xffffffff) },
      ST(ERR) },
    { "no algorithm", { CTRL(CIPHER_CREATE.algo, 0) }, ANY_ERROR },
    { "algorithm nobody has", { CTRL(CIPHER_CREATE.algo, 15) }, ANY_ERROR },
    { "algorithm 32", { CTRL(CIPHER_CREATE.algo, 32) }, ANY_ERROR },
    { "algorithm -1", { CTRL(CIPHER_CREATE.algo, 0xffffffff) }, ANY_ERROR },
    { "XTS with half a key", {
        CTRL(CIPHER_CREATE.algo, VIRTIO_CRYPTO_CIPHER_AES_XTS) }, ANY_ERROR },
    { "neither encrypt nor decrypt", { CTRL(CIPHER_CREATE.op, 0) },
      ANY_STATUS },
    { "direction -1", { CTRL(CIPHER_CREATE.op, 0xffffffff) }, ANY_STATUS },
    { "op_type: none", { CTRL(SYM_CREATE.op_type, 0) }, ST(NOTSUPP) },
    { "op_type: -1", { CTRL(SYM_CREATE.op_type, 0xffffffff) }, ST(NOTSUPP) },

    { "hash mode: none", {
        OP_CHAIN, CTRL(CHAIN_CREATE.hash_mode, 0),
        CTRL(CHAIN_CREATE.cipher_param.keylen, 16) }, ST(NOTSUPP) },
    { "hash mode: nested", {
        OP_CHAIN,
        CTRL(CHAIN_CREATE.hash_mode, VIRTIO_CRYPTO_SYM_HASH_MODE_NESTED),
        CTRL(CHAIN_CREATE.cipher_param.keylen, 16) }, ST(NOTSUPP) },
    { "hash mode: unknown", {
        OP_CHAIN, CTRL(CHAIN_CREATE.hash_mode, 0xffffffff),
        CTRL(CHAIN_CREATE.cipher_param.keylen, 16) }, ST(NOTSUPP) },
    { "chain with no order", {
        OP_CHAIN,
        CTRL(CHAIN_CREATE.hash_mode, VIRTIO_CRYPTO_SYM_HASH_MODE_PLAIN),
        CTRL(CHAIN_CREATE.alg_chain_order, 0) }, ANY_ERROR },
    { "authentication key of 4 GiB - 1", {
        OP_CHAIN,
        CTRL(CHAIN_CREATE.hash_mode, VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH),
        CTRL(CHAIN_CREATE.u.mac_param.auth_key_len, 0xffffffff) }, ST(ERR) },
    { "authentication key beyond the chain", {
        OP_CHAIN,
        CTRL(CHAIN_CREATE.hash_mode, VIRTIO_CRYPTO_SYM_HASH_MODE_AUTH),
        CTRL(CHAIN_CREATE.u.mac_param.auth_key_len, 17) }, BROKEN },
    { "chained cipher key beyond the chain", {
        OP_CHAIN, CTRL(CHAIN_CREATE.cipher_param.keylen, 17) }, BROKEN },

    { "akcipher with no key", {
        OP_AK_CREATE, CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_AKCIPHER_RSA),
        CTRL(AK_CREATE.keytype, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC),
        CTRL(AK_CREATE.keylen, 0) }, ANY_ERROR },
    { "akcipher with a key that is none", {
        OP_AK_CREATE, CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_AKCIPHER_RSA),
        CTRL(AK_CREATE.keytype, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PRIVATE),
        CTRL(AK_CREATE.keylen, 16) }, ANY_ERROR },
    { "akcipher key beyond the chain", {
        OP_AK_CREATE, CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_AKCIPHER_RSA),
        CTRL(AK_CREATE.keytype, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC),
        CTRL(AK_CREATE.keylen, 17) }, BROKEN },
    { "akcipher key of 4 GiB - 1", {
        OP_AK_CREATE, CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_AKCIPHER_RSA),
        CTRL(AK_CREATE.keytype, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC),
        CTRL(AK_CREATE.keylen, 0xffffffff) }, ST(ERR) },
    { "akcipher of no type", {
        OP_AK_CREATE, CTRL(AK_CREATE.keytype, 0),
        CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_AKCIPHER_RSA) }, ST(NOTSUPP) },
    { "akcipher of no algorithm", {
        OP_AK_CREATE, CTRL(AK_CREATE.algo, VIRTIO_CRYPTO_NO_AKCIPHER),
        CTRL(AK_CREATE.keytype, VIRTIO_CRYPTO_AKCIPHER_KEY_TYPE_PUBLIC) },
      ANY_ERROR },
};

static const BadHeader bad_destroy_headers[] = {
    { "as it should be", { }, ST(OK) },
    { "session -1", { CTRL(u.destroy_session.session_id, UINT64_MAX) },
      ANY_ERROR },
    { "session 1 << 32", {
        CTRL(u.destroy_session.session_id, 1ull << 32) }, ANY_ERROR },
    { "hash session -1", {
        CTRL(header.opcode, VIRTIO_CRYPTO_HASH_DESTROY_SESSION),
        CTRL(u.destroy_session.session_id, UINT64_MAX) }, ANY_ERROR },
    { "akcipher session -1", {
        CTRL(header.opcode, VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION),
        CTRL(u.destroy_session.session_id, UINT64_MAX) }, ANY_ERROR },
    { "cipher session as a session of another kind", {
        CTRL(header.opcode, VIRTIO_CRYPTO_AKCIPHER_DESTROY_SESSION) },
      ANY_STATUS },
    { "queue -1", { CTRL(header.queue_id, 0xffffffff) }, ST(ERR) },
};

static void poke(void *hdr, const Poke *p)
{
    uint64_t le = cpu_to_le64(p->value);

    memcpy((uint8_t *)hdr + p->off, &le, p->size);
}

static void run_bad_headers(const CryptoConfig *cfg, const BadHeader *table,
                            size_t num, void (*init)(Bad *b))
{
    Machine m;
    Bad b;
    size_t i;
    int j;

    bad_begin(&b, &m, cfg);
    for (i = 0; i < num; i++) {
        const BadHeader *h = &table[i];
        uint32_t got;

        g_test_message("%s", h->name);
        init(&b);
        for (j = 0; j < ARRAY_SIZE(h->poke); j++) {
            poke(&b.hdr, &h->poke[j]);
        }
        qvirtio_crypto_post(m.c, bad_vq(&b), &b.req);
        got = bad_outcome(&b, QVIRTIO_CRYPTO_TIMEOUT_US);
        bad_check(&b, h->name, got, h->allowed);
        bad_recover(&b);
    }
    machine_end(&m);
}

static void test_bad_data(const CryptoConfig *cfg)
{
    run_bad_headers(cfg, bad_data_headers, ARRAY_SIZE(bad_data_headers),
                    bad_init_data);
}

static void test_bad_ctrl(const CryptoConfig *cfg)
{
    run_bad_headers(cfg, bad_ctrl_headers, ARRAY_SIZE(bad_ctrl_headers),
                    bad_init_ctrl);
}

static void test_bad_destroy(const CryptoConfig *cfg)
{
    run_bad_headers(cfg, bad_destroy_headers, ARRAY_SIZE(bad_destroy_headers),
                    bad_init_destroy);
}

/* Fields that are there in part, not at all, or too long */
typedef struct BadShape {
    const char *name;
    void (*init)(Bad *b);
    int out[3], in[2];      /* lengths of the fields, -1: as they were */
    uint32_t allowed;
} BadShape;

static const BadShape bad_shapes[] = {
    { "data: header of one byte", bad_init_data,
      { 1, 0, 0 }, { -1, -1 }, BROKEN },
    { "data: header one byte short", bad_init_data,
      { sizeof(struct virtio_crypto_op_data_req) - 1, 0, 0 }, { -1, -1 },
      BROKEN },
    { "data: header alone", bad_init_data, { -1, 0, 0 }, { -1, -1 }, BROKEN },
    { "data: no source", bad_init_data, { -1, -1, 0 }, { -1, -1 }, BROKEN },
    { "data: source one byte short", bad_init_data,
      { -1, -1, 63 }, { -1, -1 }, BROKEN },
    { "data: more source than said", bad_init_data,
      { -1, -1, 240 }, { -1, -1 }, ST(OK) },
    { "data: nothing to read", bad_init_data, { 0, 0, 0 }, { -1, -1 }, BROKEN },
    { "data: nothing to write", bad_init_data,
      { -1, -1, -1 }, { 0, 0 }, BROKEN },
    { "data: status only", bad_init_data, { -1, -1, -1 }, { 0, -1 }, BROKEN },
    { "data: destination one byte short", bad_init_data,
      { -1, -1, -1 }, { 63, -1 }, BROKEN },
    { "data: destination of one byte", bad_init_data,
      { -1, -1, -1 }, { 1, -1 }, BROKEN },
    /* The status is the last byte, wherever that is. */
    { "data: destination too long", bad_init_data,
      { -1, -1, -1 }, { 512, -1 }, ST(OK) },

    { "ctrl: header of one byte", bad_init_ctrl,
      { 1, 0, 0 }, { -1, 0 }, BROKEN },
    { "ctrl: header one byte short", bad_init_ctrl,
      { sizeof(struct virtio_crypto_op_ctrl_req) - 1, 0, 0 }, { -1, 0 },
      BROKEN },
    { "ctrl: no key", bad_init_ctrl, { -1, 0, 0 }, { -1, 0 }, BROKEN },
    { "ctrl: key one byte short", bad_init_ctrl,
      { -1, 15, 0 }, { -1, 0 }, BROKEN },
    { "ctrl: nothing to read", bad_init_ctrl, { 0, 0, 0 }, { -1, 0 }, BROKEN },
    { "ctrl: nothing to write", bad_init_ctrl,
      { -1, -1, 0 }, { 0, 0 }, BROKEN },
    { "ctrl: answer one byte short", bad_init_ctrl,
      { -1, -1, 0 }, { sizeof(struct virtio_crypto_session_input) - 1, 0 },
      BROKEN },
    { "ctrl: answer of one byte", bad_init_ctrl,
      { -1, -1, 0 }, { 1, 0 }, BROKEN },
    { "destroy: header one byte short", bad_init_destroy,
      { sizeof(struct virtio_crypto_op_ctrl_req) - 1, 0, 0 }, { -1, 0 },
      BROKEN },
    { "destroy: nothing to write", bad_init_destroy,
      { -1, 0, 0 }, { 0, 0 }, BROKEN },
};

static void test_bad_shapes(const CryptoConfig *cfg)
{
    Machine m;
    Bad b;
    size_t i;
    int j;

    bad_begin(&b, &m, cfg);
    for (i = 0; i < ARRAY_SIZE(bad_shapes); i++) {
        const BadShape *s = &bad_shapes[i];

        g_test_message("%s", s->name);
        b.on_ctrl = b.short_answer = false;
        s->init(&b);
        for (j = 0; j < ARRAY_SIZE(s->out); j++) {
            if (s->out[j] >= 0) {
                b.req.out[j].len = s->out[j];
            }
        }
        for (j = 0; j < ARRAY_SIZE(s->in); j++) {
            if (s->in[j] >= 0) {
                b.req.in[j].len = s->in[j];
            }
        }
        qvirtio_crypto_post(m.c, bad_vq(&b), &b.req);
        bad_check(&b, s->name, bad_outcome(&b, QVIRTIO_CRYPTO_TIMEOUT_US),
                  s->allowed);
        bad_recover(&b);
    }
    machine_end(&m);
}

/*
 * Descriptors that lie.  @desc is one of the chain header, IV, source,
 * destination, status.
 */
typedef struct Lie {
    const char *name;
    void (*tell)(Bad *b, struct vring_desc *desc);
    unsigned desc;
    bool indirect;
    uint32_t allowed;
} Lie;

#define NOWHERE     0x7f0000000000ull   /* no RAM, no device */
#define ROM         0xfffff000ull       /* the last page of the firmware */
#define MMIO        0xfee00000ull       /* local APIC */

static void lie_empty(Bad *b, struct vring_desc *d)
{
    d->len = 0;
}

static void lie_huge(Bad *b, struct vring_desc *d)
{
    d->len = 0xffffffff;
}

static void lie_nowhere(Bad *b, struct vring_desc *d)
{
    d->addr = NOWHERE;
}

static void lie_last_address(Bad *b, struct vring_desc *d)
{
    d->addr = UINT64_MAX;
}

static void lie_wraps(Bad *b, struct vring_desc *d)
{
    d->addr = UINT64_MAX - d->len / 2;
}

static void lie_rom(Bad *b, struct vring_desc *d)
{
    d->addr = ROM;
}

static void lie_mmio(Bad *b, struct vring_desc *d)
{
    d->addr = MMIO;
}

/* The device's own registers: its writes come back to it. */
static void lie_own_bar(Bad *b, struct vring_desc *d)
{
    d->addr = b->m->c->pci->bar.addr + b->m->c->pci->common_cfg_offset;
}

static void lie_own_doorbell(Bad *b, struct vring_desc *d)
{
    d->addr = b->m->c->pci->bar.addr + b->m->c->pci->notify_cfg_offset;
}

static void lie_own_isr(Bad *b, struct vring_desc *d)
{
    d->addr = b->m->c->pci->bar.addr + b->m->c->pci->isr_cfg_offset;
}

static void lie_own_ring(Bad *b, struct vring_desc *d)
{
    d->addr = bad_vq(b)->avail;
}

static void lie_end_of_ram(Bad *b, struct vring_desc *d)
{
    d->addr = b->m->alloc.end - 1;
}

static void lie_direction(Bad *b, struct vring_desc *d)
{
    d->flags ^= VRING_DESC_F_WRITE;
}

static void lie_next_self(Bad *b, struct vring_desc *d)
{
    d->flags |= VRING_DESC_F_NEXT;
    d->next = d - &g_array_index(b->req.descs, struct vring_desc, 0);
}

static void lie_next_far(Bad *b, struct vring_desc *d)
{
    d->flags |= VRING_DESC_F_NEXT;
    d->next = 0x7fff;
}

static void lie_next_just_out(Bad *b, struct vring_desc *d)
{
    d->flags |= VRING_DESC_F_NEXT;
    d->next = bad_vq(b)->size;
}

static void lie_chain_ends(Bad *b, struct vring_desc *d)
{
    d->flags &= ~VRING_DESC_F_NEXT;
}

static void lie_nested(Bad *b, struct vring_desc *d)
{
    d->flags |= VRING_DESC_F_INDIRECT;
    d->len = 16;
}

static void lie_flags(Bad *b, struct vring_desc *d)
{
    d->flags |= 0xfff8;
}

#define ANYTHING    (ANY_STATUS | BROKEN)
#define SOMEWHERE   (ANYTHING | ELSEWHERE)

static const Lie lies[] = {
    { "header of no length", lie_empty, 0, false, BROKEN },
    { "source of no length", lie_empty, 2, false, BROKEN },
    { "destination of no length", lie_empty, 3, false, BROKEN },
    { "status of no length", lie_empty, 4, false, BROKEN },
    { "status of no length, indirect", lie_empty, 4, true, BROKEN },
    /* More than there is RAM: may map up to its end */
    { "header huge", lie_huge, 0, false, ANYTHING },
    { "source huge", lie_huge, 2, false, ANYTHING },
    { "destination huge", lie_huge, 3, false, ANYTHING },
    { "status huge", lie_huge, 4, false, SOMEWHERE },
    { "header nowhere", lie_nowhere, 0, false, ANY_ERROR | BROKEN },
    { "source nowhere", lie_nowhere, 2, false, ANYTHING },
    { "destination nowhere", lie_nowhere, 3, false, ANYTHING },
    { "status nowhere", lie_nowhere, 4, false, SOMEWHERE },
    { "header at the last address", lie_last_address, 0, false,
      ANY_ERROR | BROKEN },
    { "destination at the last address", lie_last_address, 3, false,
      ANYTHING },
    { "status at the last address", lie_last_address, 4, false, SOMEWHERE },
    { "header wraps", lie_wraps, 0, false, ANY_ERROR | BROKEN },
    { "source wraps", lie_wraps, 2, false, ANYTHING },
    { "destination wraps", lie_wraps, 3, false, ANYTHING },
    { "header across the end of RAM", lie_end_of_ram, 0, false,
      ANY_ERROR | BROKEN },
    { "destination across the end of RAM", lie_end_of_ram, 3, false,
      ANYTHING },
    { "source in ROM", lie_rom, 2, false, ST(OK) },
    { "destination in ROM", lie_rom, 3, false, ANYTHING },
    { "status in ROM", lie_rom, 4, false, SOMEWHERE },
    { "header in MMIO", lie_mmio, 0, false, ANY_ERROR | BROKEN },
    { "source in MMIO", lie_mmio, 2, false, ANYTHING },
    { "destination in MMIO", lie_mmio, 3, false, ANYTHING },
    { "status in MMIO", lie_mmio, 4, false, SOMEWHERE },
    { "header in own registers", lie_own_bar, 0, false, ANY_ERROR | BROKEN },
    { "source in own registers", lie_own_bar, 2, false, ANYTHING },
    { "destination in own registers", lie_own_bar, 3, false,
      ANYTHING | QUIET },
    { "status in own registers", lie_own_bar, 4, false, SOMEWHERE | QUIET },
    { "destination in own doorbell", lie_own_doorbell, 3, false, ANYTHING },
    { "status in own doorbell", lie_own_doorbell, 4, false, SOMEWHERE },
    { "source in own ISR", lie_own_isr, 2, false, ANYTHING },
    { "source in own ring", lie_own_ring, 2, false, ST(OK) },
    { "destination in own ring", lie_own_ring, 3, false, ANYTHING | QUIET },
    { "header to be written", lie_direction, 0, false, BROKEN },
    { "source to be written", lie_direction, 2, false, BROKEN },
    { "destination to be read", lie_direction, 3, false, BROKEN },
    { "status to be read", lie_direction, 4, false, BROKEN },
    { "status to be read, indirect", lie_direction, 4, true, BROKEN },
    { "header points at itself", lie_next_self, 0, false, BROKEN },
    { "status points at itself", lie_next_self, 4, false, BROKEN },
    { "status points at itself, indirect", lie_next_self, 4, true, BROKEN },
    { "header points far away", lie_next_far, 0, false, BROKEN },
    { "status points just beyond", lie_next_just_out, 4, false, BROKEN },
    { "source points beyond its table", lie_next_far, 2, true, BROKEN },
    { "chain ends in the header", lie_chain_ends, 0, false, BROKEN },
    { "chain ends in the source", lie_chain_ends, 2, false, BROKEN },
    { "chain ends in the destination", lie_chain_ends, 3, false, BROKEN },
    { "indirect in the middle", lie_nested, 2, false, ANYTHING },
    { "indirect in indirect", lie_nested, 0, true, ANYTHING },
    { "unknown flags", lie_flags, 3, false, ANYTHING },
};

static void forget_guards(Bad *b)
{
    /* The answer may have gone anywhere; do not look for it. */
    g_array_set_size(b->req.descs, b->req.num_out_descs);
    b->req.in_area_len = 0;
}

static void test_lies(const CryptoConfig *cfg)
{
    static const QVirtioCryptoLayout indirect = {
        "indirect", NULL, NULL, 16, true
    };
    Machine m;
    Bad b;
    size_t i;

    bad_begin(&b, &m, cfg);
    for (i = 0; i < ARRAY_SIZE(lies); i++) {
        const Lie *l = &lies[i];
        uint64_t status_addr;
        uint32_t got;

        g_test_message("%s", l->name);
        bad_init_data(&b);
        b.req.layout = l->indirect ? &indirect : NULL;
        qvirtio_crypto_layout(m.c, &b.req);
        l->tell(&b, &g_array_index(b.req.descs, struct vring_desc, l->desc));
        status_addr = g_array_index(b.req.descs, struct vring_desc, 4).addr;
        qvirtio_crypto_enqueue(m.c, bad_vq(&b), &b.req);
        forget_guards(&b);
        qvirtio_crypto_notify(m.c, bad_vq(&b));
        got = bad_outcome(&b, l->allowed & QUIET ? QVIRTIO_CRYPTO_QUIET_US :
                                                   QVIRTIO_CRYPTO_TIMEOUT_US);
        if (got == ELSEWHERE) {
            /* The fields were not read back; see what the driver would. */
            got = outcome_of_status(qtest_readb(m.qts, status_addr));
        }
        bad_check(&b, l->name, got, l->allowed);
        bad_recover(&b);
    }
    machine_end(&m);
}

/*
 * Rings that lie.  The driver's own idea of the ring does not matter any more
 * afterwards, only that the device stays defined.
 */
typedef struct BadRing {
    const char *name;
    void (*spoil)(Machine *m, QVirtQueue *vq);
    /* What happens to a good request that is sent over it then */
    uint32_t allowed;
} BadRing;

static void ring_address(Machine *m, QVirtQueue *vq, size_t off, uint64_t addr)
{
    common_writew(m, offsetof(struct virtio_pci_common_cfg, queue_select),
                  vq->index);
    common_writel(m, off, addr);
    common_writel(m, off + 4, addr >> 32);
    common_writew(m, offsetof(struct virtio_pci_common_cfg, queue_enable), 1);
}

#define RING_SPOILER(name, field, value)                                    \
    static void name(Machine *m, QVirtQueue *vq)                            \
    {                                                                       \
        ring_address(m, vq, offsetof(struct virtio_pci_common_cfg,          \
                                     field), value);                        \
    }

RING_SPOILER(desc_nowhere, queue_desc_lo, NOWHERE)
RING_SPOILER(desc_last, queue_desc_lo, UINT64_MAX - 15)
RING_SPOILER(desc_rom, queue_desc_lo, ROM)
RING_SPOILER(desc_mmio, queue_desc_lo, MMIO)
RING_SPOILER(desc_odd, queue_desc_lo, vq->desc + 1)
RING_SPOILER(desc_end, queue_desc_lo, m->alloc.end - 16)
RING_SPOILER(avail_nowhere, queue_avail_lo, NOWHERE)
RING_SPOILER(avail_rom, queue_avail_lo, ROM)
RING_SPOILER(avail_end, queue_avail_lo, m->alloc.end - 2)
RING_SPOILER(used_nowhere, queue_used_lo, NOWHERE)
RING_SPOILER(used_rom, queue_used_lo, ROM)
RING_SPOILER(used_mmio, queue_used_lo, MMIO)
RING_SPOILER(used_end, queue_used_lo, m->alloc.end - 4)
RING_SPOILER(used_own_bar, queue_used_lo,
             m->c->pci->bar.addr + m->c->pci->common_cfg_offset)

#undef RING_SPOILER

static void set_size(Machine *m, QVirtQueue *vq, uint16_t size)
{
    common_writew(m, offsetof(struct virtio_pci_common_cfg, queue_select),
                  vq->index);
    common_writew(m, offsetof(struct virtio_pci_common_cfg, queue_size), size);
    common_writew(m, offsetof(struct virtio_pci_common_cfg, queue_enable), 1);
}

static void size_zero(Machine *m, QVirtQueue *vq)
{
    set_size(m, vq, 0);
}

static void size_one(Machine *m, QVirtQueue *vq)
{
    set_size(m, vq, 1);
}

static void size_three(Machine *m, QVirtQueue *vq)
{
    set_size(m, vq, 3);
}

static void size_odd(Machine *m, QVirtQueue *vq)
{
    set_size(m, vq, 1023);
}

static void size_huge(Machine *m, QVirtQueue *vq)
{
    set_size(m, vq, 0xffff);
}

static void avail_idx(Machine *m, QVirtQueue *vq, uint16_t add)
{
    uint64_t addr = vq->avail + offsetof(struct vring_avail, idx);
    uint16_t le;

    qtest_memread(m->qts, addr, &le, sizeof(le));
    le = cpu_to_le16(le16_to_cpu(le) + add);
    qtest_memwrite(m->qts, addr, &le, sizeof(le));
}

static void avail_ahead(Machine *m, QVirtQueue *vq)
{
    avail_idx(m, vq, vq->size + 1);
}

static void avail_far_ahead(Machine *m, QVirtQueue *vq)
{
    avail_idx(m, vq, 0x8000);
}

static void avail_back(Machine *m, QVirtQueue *vq)
{
    avail_idx(m, vq, 0xffff);
}

static void head_out(Machine *m, QVirtQueue *vq)
{
    qvirtio_crypto_offer(m->c, vq, vq->size);
}

static void head_far_out(Machine *m, QVirtQueue *vq)
{
    qvirtio_crypto_offer(m->c, vq, 0xffff);
}

/* The same chain again and again, more often than the ring has entries */
static void head_twice(Machine *m, QVirtQueue *vq)
{
    int i;

    for (i = 0; i < 32; i++) {
        qvirtio_crypto_offer(m->c, vq, vq->size - 1);
    }
}

/* A chain whose indirect table is @desc */
static void offer_table(Machine *m, QVirtQueue *vq, uint64_t addr,
                        uint32_t len, uint16_t flags)
{
    struct vring_desc d = {
        .addr = addr,
        .len = len,
        .flags = VRING_DESC_F_INDIRECT | flags,
        .next = vq->size - 2,
    };

    qvirtio_crypto_write_desc(m->c, vq->desc, vq->size - 1, &d);
    qvirtio_crypto_offer(m->c, vq, vq->size - 1);
}

static void table_empty(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, m->c->arena, 0, 0);
}

static void table_uneven(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, m->c->arena, 17, 0);
}

static void table_huge(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, m->c->arena, 0xfffffff0, 0);
}

static void table_nowhere(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, NOWHERE, 64, 0);
}

static void table_mmio(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, MMIO, 64, 0);
}

static void table_end(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, m->alloc.end - 16, 64, 0);
}

static void table_and_next(Machine *m, QVirtQueue *vq)
{
    offer_table(m, vq, m->c->arena, 64, VRING_DESC_F_NEXT);
}

/* More buffers than any element may have */
static void table_long(Machine *m, QVirtQueue *vq)
{
    enum { NUM = 1500 };
    uint64_t table = m->c->arena + 0x10000;
    int i;

    for (i = 0; i < NUM; i++) {
        struct vring_desc d = {
            .addr = m->c->arena + i,
            .len = 1,
            .flags = i + 1 < NUM ? VRING_DESC_F_NEXT : VRING_DESC_F_WRITE,
            .next = i + 1,
        };

        qvirtio_crypto_write_desc(m->c, table, i, &d);
    }
    offer_table(m, vq, table, NUM * sizeof(struct vring_desc), 0);
}

static const BadRing bad_rings[] = {
    { "table nowhere", desc_nowhere, BROKEN | QUIET },
    { "table at the last address", desc_last, BROKEN | QUIET },
    { "table in ROM", desc_rom, BROKEN | QUIET },
    { "table in MMIO", desc_mmio, BROKEN | QUIET },
    { "table at an odd address", desc_odd, BROKEN | QUIET },
    { "table across the end of RAM", desc_end, BROKEN | QUIET },
    { "available ring nowhere", avail_nowhere, BROKEN | QUIET },
    { "available ring in ROM", avail_rom, BROKEN | QUIET },
    { "available ring across the end of RAM", avail_end, BROKEN | QUIET },
    { "used ring nowhere", used_nowhere, BROKEN | QUIET },
    { "used ring in ROM", used_rom, BROKEN | QUIET },
    { "used ring in MMIO", used_mmio, BROKEN | QUIET },
    { "used ring across the end of RAM", used_end, BROKEN | QUIET },
    { "used ring in own registers", used_own_bar, BROKEN | QUIET },
    { "no entries", size_zero, ANYTHING | QUIET },
    { "one entry", size_one, ANYTHING | QUIET },
    { "three entries", size_three, ANYTHING | QUIET },
    { "odd number of entries", size_odd, ANYTHING | QUIET },
    { "65535 entries", size_huge, ANYTHING | QUIET },
    /* Old entries of the ring are seen again: requests, right or wrong */
    { "available index beyond the ring", avail_ahead, ANYTHING | QUIET },
    { "available index far away", avail_far_ahead, ANYTHING | QUIET },
    { "available index goes back", avail_back, ANYTHING | QUIET },
    { "head just beyond the table", head_out, BROKEN },
    { "head far beyond the table", head_far_out, BROKEN },
    { "the same empty descriptor over and over", head_twice, BROKEN },
    { "indirect table of no length", table_empty, BROKEN },
    { "indirect table of 17 bytes", table_uneven, BROKEN },
    { "indirect table of 4 GiB - 16", table_huge, BROKEN },
    { "indirect table nowhere", table_nowhere, BROKEN },
    { "indirect table in MMIO", table_mmio, BROKEN },
    { "indirect table across the end of RAM", table_end, BROKEN },
    { "indirect and next", table_and_next, BROKEN },
    { "indirect table of 1500 entries", table_long, BROKEN },
};

/* Spoil the ring, then offer a request over it that would be a good one. */
static void spoil_ring(Machine *m, const BadRing *r, bool ctrl)
{
    QVirtioCrypto *c = m->c;
    QVirtQueue *vq = ctrl ? qvirtio_crypto_ctrlq(c) : c->vqs[0];
    uint64_t session = open_cbc(c, true);
    uint32_t got = QUIET;
    gint64 end;
    Bad b = { .m = m, .session = session };

    g_test_message("%s%s", ctrl ? "control queue: " : "", r->name);
    if (ctrl) {
        bad_init_ctrl(&b);
    } else {
        bad_init_data(&b);
    }
    r->spoil(m, vq);
    qvirtio_crypto_layout(c, &b.req);
    qvirtio_crypto_enqueue(c, vq, &b.req);
    qvirtio_crypto_notify(c, vq);

    end = g_get_monotonic_time() +
          (r->allowed & QUIET ? QVIRTIO_CRYPTO_QUIET_US :
                                QVIRTIO_CRYPTO_TIMEOUT_US);
    while (got == QUIET && g_get_monotonic_time() < end) {
        if (qvirtio_crypto_is_broken(c)) {
            got = BROKEN;
        }
    }
    bad_check(&b, r->name, got, r->allowed);
    g_array_free(b.req.descs, true);

    qvirtio_crypto_stop(c);
    qvirtio_crypto_start(c);
    check_works(c);
    /* A backend may have closed it on reset. */
    qvirtio_crypto_destroy_session(c, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION,
                                   session);
}

static void test_bad_rings(const CryptoConfig *cfg)
{
    Machine m;
    size_t i;

    machine_start_small(&m, cfg);
    for (i = 0; i < ARRAY_SIZE(bad_rings); i++) {
        spoil_ring(&m, &bad_rings[i], false);
        spoil_ring(&m, &bad_rings[i], true);
    }
    machine_end(&m);
}

/* Queues that are not there, and common configuration at its limits */
static void test_bad_registers(const CryptoConfig *cfg)
{
    Machine m;
    QPCIDevice *pdev;
    QPCIBar bar;
    uint32_t off;
    uint64_t qword;
    unsigned q;

    machine_start(&m, cfg);
    pdev = m.c->pci->pdev;
    bar = m.c->pci->bar;

    /* No such queue: size 0, cannot be enabled, its doorbell does nothing */
    for (q = cfg->queues + 1; q < 0x10000; q = q * 3 + 1) {
        common_writew(&m, offsetof(struct virtio_pci_common_cfg, queue_select),
                      q);
        g_assert_cmpuint(qpci_io_readw(pdev, bar,
                                       m.c->pci->common_cfg_offset +
                                       offsetof(struct virtio_pci_common_cfg,
                                                queue_size)), ==, 0);
        common_writew(&m, offsetof(struct virtio_pci_common_cfg, queue_enable),
                      1);
        qpci_io_writew(pdev, bar, m.c->pci->notify_cfg_offset +
                       (q % 1024) * m.c->pci->notify_off_multiplier, q);
    }
    check_works(m.c);

    /* Every byte of the capability's region, in every width */
    for (off = 0; off < sizeof(struct virtio_pci_common_cfg) + 8; off++) {
        qpci_io_readb(pdev, bar, m.c->pci->common_cfg_offset + off);
        qpci_io_readw(pdev, bar, m.c->pci->common_cfg_offset + off);
        qpci_io_readl(pdev, bar, m.c->pci->common_cfg_offset + off);
        qpci_memread(pdev, bar, m.c->pci->common_cfg_offset + off, &qword,
                     sizeof(qword));
    }
    for (off = 0; off < sizeof(struct virtio_crypto_config) + 8; off++) {
        qpci_io_readl(pdev, bar, m.c->pci->device_cfg_offset + off);
        qpci_io_writel(pdev, bar, m.c->pci->device_cfg_offset + off,
                       0xffffffff);
    }
    check_works(m.c);

    /* And written, which leaves nothing of the driver's set-up */
    for (off = 0; off < sizeof(struct virtio_pci_common_cfg); off++) {
        qpci_io_writeb(pdev, bar, m.c->pci->common_cfg_offset + off, 0xff);
    }
    for (off = 0; off < sizeof(struct virtio_pci_common_cfg); off += 4) {
        qpci_io_writel(pdev, bar, m.c->pci->common_cfg_offset + off,
                       0xffffffff);
    }
    for (q = 0; q <= cfg->queues; q++) {
        qvirtio_crypto_notify(m.c, m.c->vqs[q]);
    }
    qvirtio_crypto_stop(m.c);
    qvirtio_crypto_start(m.c);
    check_works(m.c);
    machine_end(&m);
}

/*
 * Requests at the wrong time
 */

static void test_before_driver_ok(const CryptoConfig *cfg)
{
    uint64_t session;
    Machine m;
    Flight f;

    machine_start(&m, cfg);
    session = open_cbc(m.c, true);
    check_kat_in_session(m.c, 0, &cipher_kats[0], true, session, NULL);
    qvirtio_crypto_stop(m.c);
    qvirtio_crypto_setup(m.c);

    flight_init(&f, 0, 64);
    qvirtio_crypto_post(m.c, m.c->vqs[0], &f.req);
    g_usleep(QVIRTIO_CRYPTO_QUIET_US);
    g_assert_false(qvirtqueue_get_buf(m.qts, m.c->vqs[0], NULL, NULL));
    g_assert_false(qvirtio_crypto_is_broken(m.c));

    /* Afterwards it is a request like any other. */
    qvirtio_set_driver_ok(&m.c->pci->vdev);
    qvirtio_crypto_notify(m.c, m.c->vqs[0]);
    g_assert_cmpint(qvirtio_crypto_wait(m.c, m.c->vqs[0], &f.req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    flight_clear(&f);
    check_works(m.c);
    machine_end(&m);
}

static void test_after_reset(const CryptoConfig *cfg)
{
    Machine m;
    QVirtQueue *vq;
    Flight f;
    unsigned q;

    machine_start(&m, cfg);
    flight_init(&f, open_cbc(m.c, true), 64);
    vq = m.c->vqs[0];
    qvirtio_reset(&m.c->pci->vdev);
    qvirtio_crypto_post(m.c, vq, &f.req);
    for (q = 0; q <= cfg->queues; q++) {
        qvirtio_crypto_notify(m.c, m.c->vqs[q]);
    }
    g_assert_cmpint(qvirtio_crypto_wait(m.c, vq, &f.req,
                                        QVIRTIO_CRYPTO_QUIET_US), ==,
                    QVIRTIO_CRYPTO_QUIET);
    flight_clear(&f);
    qvirtio_crypto_release(m.c);
    qvirtio_crypto_start(m.c);
    check_works(m.c);
    machine_end(&m);
}

static void test_bus_master_off(const CryptoConfig *cfg)
{
    Machine m;
    QPCIDevice *pdev;
    uint16_t cmd;
    Flight f;
    int q;

    machine_start(&m, cfg);
    pdev = m.c->pci->pdev;
    flight_init(&f, open_cbc(m.c, true), 64);
    cmd = qpci_config_readw(pdev, PCI_COMMAND);
    qpci_config_writew(pdev, PCI_COMMAND, cmd & ~PCI_COMMAND_MASTER);

    qvirtio_crypto_post(m.c, m.c->vqs[0], &f.req);
    for (q = cfg->queues; q >= 0; q--) {
        qvirtio_crypto_notify(m.c, m.c->vqs[q]);
    }
    g_assert_cmpint(qvirtio_crypto_wait(m.c, m.c->vqs[0], &f.req,
                                        QVIRTIO_CRYPTO_QUIET_US), !=,
                    QVIRTIO_CRYPTO_DONE);
    flight_clear(&f);

    qpci_config_writew(pdev, PCI_COMMAND, cmd);
    qvirtio_crypto_stop(m.c);
    qvirtio_crypto_start(m.c);
    check_works(m.c);
    machine_end(&m);
}

/*
 * Sessions of the wrong kind
 */

static void test_wrong_session(const CryptoConfig *cfg)
{
    uint64_t cipher, rsa, closed;
    uint8_t buf[128], out[128];
    size_t len;
    uint8_t status;
    Machine m;

    machine_start(&m, cfg);
    memset(buf, 0x11, sizeof(buf));
    closed = open_cbc(m.c, true);
    cipher = open_cbc(m.c, true);
    close_cipher(m.c, closed);

    status = qvirtio_crypto_cipher(m.c, 0, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                   closed, buf, 16, buf, out, 64, NULL);
    g_assert_cmpuint(status, ==, VIRTIO_CRYPTO_INVSESS);
    len = sizeof(out);
    status = qvirtio_crypto_akcipher(m.c, VIRTIO_CRYPTO_AKCIPHER_DECRYPT,
                                     closed, buf, sizeof(buf), out, &len);
    g_assert_cmpuint(status, !=, VIRTIO_CRYPTO_OK);
    len = sizeof(out);
    status = qvirtio_crypto_akcipher(m.c, VIRTIO_CRYPTO_AKCIPHER_DECRYPT,
                                     cipher, buf, sizeof(buf), out, &len);
    g_assert_cmpuint(status, !=, VIRTIO_CRYPTO_OK);
    check_kat_in_session(m.c, 0, &cipher_kats[0], true, cipher, NULL);

    /* A backend may have RSA for some paddings and not say so */
    if (try_open_rsa(m.c, true, VIRTIO_CRYPTO_RSA_PKCS1_PADDING, &rsa) ==
        VIRTIO_CRYPTO_OK) {
        status = qvirtio_crypto_cipher(m.c, 0, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                       rsa, buf, 16, buf, out, 64, NULL);
        g_assert_cmpuint(status, !=, VIRTIO_CRYPTO_OK);
        status = qvirtio_crypto_cipher(m.c, 0, VIRTIO_CRYPTO_CIPHER_DECRYPT,
                                       rsa, NULL, 0, buf, out, 64, NULL);
        g_assert_cmpuint(status, !=, VIRTIO_CRYPTO_OK);
        close_rsa(m.c, rsa);
    }
    check_works(m.c);
    machine_end(&m);
}

/*
 * Table of tests
 */

typedef struct CryptoTest {
    const char *name;
    void (*run)(const CryptoConfig *cfg);
} CryptoTest;

static const CryptoTest crypto_tests[] = {
    { "config", test_config },
    { "monitor", test_monitor },
    { "sessions", test_sessions },
    { "ciphers", test_ciphers },
    { "interleaved", test_interleaved },
    { "layouts", test_layouts },
    { "lengths", test_lengths },
    { "chaining", test_chaining },
    { "rsa", test_rsa },
    { "queues", test_queues },
    { "order", test_order },
    { "wrap", test_wrap },
    { "msix", test_msix },
    { "isr", test_isr },
    { "reset", test_reset },
    { "reset-sessions", test_reset_sessions },
    { "hotplug", test_hotplug },
    { "pending", test_pending },
    { "pending-close", test_pending_close },
    { "pending-reset", test_pending_reset },
    { "pending-queue-reset", test_pending_queue_reset },
    { "pending-own-registers", test_pending_own_registers },
    { "pending-unplug", test_pending_unplug },
    { "bad/data-header", test_bad_data },
    { "bad/ctrl-header", test_bad_ctrl },
    { "bad/destroy-header", test_bad_destroy },
    { "bad/shape", test_bad_shapes },
    { "bad/descriptor", test_lies },
    { "bad/ring", test_bad_rings },
    { "bad/registers", test_bad_registers },
    { "bad/before-driver-ok", test_before_driver_ok },
    { "bad/after-reset", test_after_reset },
    { "bad/bus-master-off", test_bus_master_off },
    { "bad/session", test_wrong_session },
};

typedef struct Case {
    const CryptoConfig *cfg;
    const CryptoTest *test;
    const char *missing;
} Case;

static void run_case(const void *data)
{
    const Case *c = data;

    if (c->missing) {
        if (g_getenv("QTEST_REQUIRE_ALL")) {
            g_test_message("%s is not in this binary", c->missing);
            g_test_fail();
        } else {
            g_autofree char *why = g_strdup_printf("no %s", c->missing);

            g_test_skip(why);
        }
        return;
    }
    c->test->run(c->cfg);
}

/* The backends of the binary; qtest_has_device() knows devices only. */
static bool has_backend(QDict *types, const char *name)
{
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(types, "return"), e) {
        if (g_str_equal(qdict_get_str(qobject_to(QDict, qlist_entry_obj(e)),
                                      "name"), name)) {
            return true;
        }
    }
    return false;
}

static QDict *query_backends(void)
{
    QTestState *qts = qtest_init("-machine none");
    QDict *types = qtest_qmp(qts, "{'execute': 'qom-list-types', 'arguments':"
                             " {'implements': 'cryptodev-backend',"
                             "  'abstract': false}}");

    qtest_quit(qts);
    g_assert_true(qdict_haskey(types, "return"));
    return types;
}

int main(int argc, char **argv)
{
    QDict *backends;
    size_t i, j;

    g_test_init(&argc, &argv, NULL);

    backends = query_backends();
    for (i = 0; i < ARRAY_SIZE(crypto_configs); i++) {
        const CryptoConfig *cfg = &crypto_configs[i];
        const char *missing = NULL;

        if (!qtest_has_device(cfg->device)) {
            missing = cfg->device;
        } else if (!has_backend(backends, cfg->backend)) {
            missing = cfg->backend;
        }
        for (j = 0; j < ARRAY_SIZE(crypto_tests); j++) {
            g_autofree char *path = g_strdup_printf("/%s/%s", cfg->name,
                                                    crypto_tests[j].name);
            Case *c = g_new(Case, 1);

            *c = (Case) { cfg, &crypto_tests[j], missing };
            qtest_add_data_func_full(path, c, run_case, g_free);
        }
    }
    qobject_unref(backends);
    return g_test_run();
}
