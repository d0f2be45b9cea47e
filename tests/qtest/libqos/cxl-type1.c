/*
 * libqos support for cxl-type1-crypto: its cache at work
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "../libqtest.h"
#include "qobject/qlist.h"
#include "cxl-type1.h"
#include "malloc-pc.h"

/* DVSEC 0 of the device */
#define DVSEC_DEVICE    0
#define DEV_CTRL        0x0c
#define CTRL_CACHE_EN   0x0001
#define DEV_CTRL2       0x10
#define CTRL2_DISABLE   0x0001

QCXLType1 *qct_probe(QCXL *cxl, QGuestAllocator *alloc)
{
    QCXLType1 *t = g_new0(QCXLType1, 1);

    t->cxl = cxl;
    t->c = qvirtio_crypto_new(cxl->qts, alloc, qcxl_virtio_endpoint(cxl));
    t->window = qpci_iomap(t->c->pci->pdev, 0, NULL);
    return t;
}

QCXLType1 *qct_new(QCXL *cxl, QGuestAllocator *alloc, const uint8_t *key)
{
    QCXLType1 *t = qct_probe(cxl, alloc);

    qct_attach(t, key);
    return t;
}

void qct_attach(QCXLType1 *t, const uint8_t *key)
{
    qvirtio_crypto_start(t->c);
    qct_make_session(t, key);
}

void qct_make_session(QCXLType1 *t, const uint8_t *key)
{
    g_assert_cmpuint(qvirtio_crypto_create_cipher(t->c,
                         VIRTIO_CRYPTO_CIPHER_AES_CBC,
                         VIRTIO_CRYPTO_OP_ENCRYPT, key, 16, &t->session), ==,
                     VIRTIO_CRYPTO_OK);
}

void qct_free(QCXLType1 *t, bool gone)
{
    if (gone) {
        qvirtio_crypto_release(t->c);
    } else {
        qvirtio_crypto_stop(t->c);
    }
    qvirtio_crypto_free(t->c);
    g_free(t);
}

static void set_bit16(QCXLType1 *t, uint16_t reg, uint16_t bit, bool on)
{
    QPCIDevice *pdev = t->c->pci->pdev;
    uint16_t off = qcxl_find_dvsec(pdev, DVSEC_DEVICE) + reg;
    uint16_t val = qcxl_readw(pdev, off);

    qcxl_writew(pdev, off, on ? val | bit : val & ~bit);
}

void qct_set_cache_enable(QCXLType1 *t, bool on)
{
    set_bit16(t, DEV_CTRL, CTRL_CACHE_EN, on);
}

void qct_set_disable_caching(QCXLType1 *t, bool on)
{
    set_bit16(t, DEV_CTRL2, CTRL2_DISABLE, on);
}

static uint32_t total(const QCTSeg *seg)
{
    uint32_t len = 0;

    for (; seg->len; seg++) {
        len += seg->len;
    }
    return len;
}

static void add_descs(GArray *descs, const QCTSeg *seg, uint16_t flags)
{
    for (; seg->len; seg++) {
        struct vring_desc d = {
            .addr = seg->addr,
            .len = seg->len,
            .flags = flags,
        };

        g_array_append_val(descs, d);
    }
}

/* Header and IV, source, destination, status: the outer ones as laid out. */
static void place(QVirtioCryptoReq *req, const QCTSeg *src, const QCTSeg *dst)
{
    struct vring_desc *old = (struct vring_desc *)req->descs->data;
    GArray *descs = g_array_new(false, true, sizeof(struct vring_desc));

    g_array_append_vals(descs, old, 2);
    add_descs(descs, src, 0);
    req->num_out_descs = descs->len;
    add_descs(descs, dst, VRING_DESC_F_WRITE);
    g_array_append_vals(descs, &old[2], 1);
    for (unsigned i = 0; i < descs->len; i++) {
        struct vring_desc *d = &g_array_index(descs, struct vring_desc, i);

        d->flags &= ~VRING_DESC_F_NEXT;
        if (i + 1 < descs->len) {
            d->flags |= VRING_DESC_F_NEXT;
            d->next = i + 1;
        }
    }
    g_array_free(req->descs, true);
    req->descs = descs;
    /* What was written is not to be read back. */
    req->in_area_len = 0;
}

void qct_prepare(QCXLType1 *t, QCTRequest *q, const uint8_t *iv,
              const QCTSeg *src, const QCTSeg *dst)
{
    *q = (QCTRequest) {
        .req = {
            .out = { { &q->hdr, sizeof(q->hdr) }, { (void *)iv, 16 } },
            .in = { { &q->status, sizeof(q->status) } },
        },
    };
    qvirtio_crypto_init_cipher_hdr(&q->hdr, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                   t->session, 16, total(src));
    qvirtio_crypto_layout(t->c, &q->req);
    q->status_addr = g_array_index(q->req.descs, struct vring_desc, 2).addr -
                     t->c->iova_offset;
    place(&q->req, src, dst);
}

void qct_submit(QCXLType1 *t, QCTRequest *q)
{
    qvirtio_crypto_enqueue(t->c, t->c->vqs[0], &q->req);
    qvirtio_crypto_notify(t->c, t->c->vqs[0]);
}

void qct_post(QCXLType1 *t, QCTRequest *q, const uint8_t *iv,
              const QCTSeg *src, const QCTSeg *dst)
{
    qct_prepare(t, q, iv, src, dst);
    qct_submit(t, q);
}

uint8_t qct_wait(QCXLType1 *t, QCTRequest *q)
{
    g_assert_cmpint(qvirtio_crypto_wait(t->c, t->c->vqs[0], &q->req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    return qtest_readb(t->cxl->qts, q->status_addr);
}

void qct_forget(QCTRequest *q)
{
    g_array_free(q->req.descs, true);
    q->req.descs = NULL;
}

uint8_t qct_encrypt_at(QCXLType1 *t, const uint8_t *iv, const QCTSeg *src,
                       const QCTSeg *dst)
{
    QCTRequest q;

    qct_post(t, &q, iv, src, dst);
    return qct_wait(t, &q);
}

void qct_encrypt_zeroes(QCXLType1 *t, uint64_t dst, uint32_t len)
{
    static const uint8_t iv[16];
    QTestState *qts = t->cxl->qts;
    uint64_t src = guest_alloc(t->c->alloc, len);

    qtest_memset(qts, src, 0, len);
    g_assert_cmpuint(qct_encrypt_at(t, iv, (QCTSeg[]) { { src, len }, { } },
                                    (QCTSeg[]) { { dst, len }, { } }), ==,
                     VIRTIO_CRYPTO_OK);
    guest_free(t->c->alloc, src);
}

/* A machine */

const uint8_t qct_key[16] = {
    0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c
};
const uint8_t qct_iv[16] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f
};
const uint8_t qct_plain[64] = {
    0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96,
    0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a,
    0xae, 0x2d, 0x8a, 0x57, 0x1e, 0x03, 0xac, 0x9c,
    0x9e, 0xb7, 0x6f, 0xac, 0x45, 0xaf, 0x8e, 0x51,
    0x30, 0xc8, 0x1c, 0x46, 0xa3, 0x5c, 0xe4, 0x11,
    0xe5, 0xfb, 0xc1, 0x19, 0x1a, 0x0a, 0x52, 0xef,
    0xf6, 0x9f, 0x24, 0x45, 0xdf, 0x4f, 0x9b, 0x17,
    0xad, 0x2b, 0x41, 0x7b, 0xe6, 0x6c, 0x37, 0x10
};
const uint8_t qct_cipher[64] = {
    0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
    0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d,
    0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee,
    0x95, 0xdb, 0x11, 0x3a, 0x91, 0x76, 0x78, 0xb2,
    0x73, 0xbe, 0xd6, 0xb8, 0xe3, 0xc1, 0x74, 0x3b,
    0x71, 0x16, 0xe6, 0x9e, 0x22, 0x22, 0x95, 0x16,
    0x3f, 0xf1, 0xca, 0xa1, 0x68, 0x1f, 0xac, 0x09,
    0x12, 0x0e, 0xca, 0x30, 0x75, 0x86, 0xe1, 0xa7
};

void qct_rig_boot(QCTRig *r, const char *ram, const char *opts)
{
    bool arm = g_str_equal(qtest_get_arch(), "aarch64");

    *r = (QCTRig) { .devices = strstr(opts, QCT_SECOND) ? 2 : 1 };
    r->qts = qtest_initf("-nodefaults %s%s" QCXL_PXB QCXL_RP
                         ",cxl-cache=on " QCT_BACKEND QCT_DEVICE ",id=t0%s",
                         arm ? QCXL_MACHINE_VIRT : QCXL_MACHINE, ram, opts);
    if (arm) {
        alloc_init(&r->alloc, ALLOC_NO_FLAGS, QCXL_VIRT_RAM + MiB,
                   QCXL_VIRT_RAM + 128 * MiB, QCT_PAGE);
    } else {
        pc_alloc_init(&r->alloc, r->qts, ALLOC_NO_FLAGS);
    }
    for (unsigned i = 0; i < r->devices; i++) {
        r->t[i] = qct_probe(qcxl_new_port(r->qts, i), &r->alloc);
    }
}

void qct_rig_start(QCTRig *r, const char *ram, const char *opts)
{
    qct_rig_boot(r, ram, opts);
    for (unsigned i = 0; i < r->devices; i++) {
        qct_attach(r->t[i], qct_key);
    }
}

void qct_rig_end(QCTRig *r)
{
    for (unsigned i = 0; i < r->devices; i++) {
        QCXL *cxl = r->t[i]->cxl;

        qct_free(r->t[i], false);
        qcxl_free(cxl);
    }
    alloc_destroy(&r->alloc);
    qtest_quit(r->qts);
}

void qct_start_again(QCTRig *r, unsigned n)
{
    QCXL *cxl = r->t[n]->cxl;

    qct_free(r->t[n], true);
    r->t[n] = qct_new(cxl, &r->alloc, qct_key);
}

uint64_t qct_alloc_filled(QCTRig *r, size_t len, uint8_t value)
{
    uint64_t addr = guest_alloc(&r->alloc, len);

    g_assert_cmphex(addr % QCT_PAGE, ==, 0);
    qtest_memset(r->qts, addr, value, len);
    return addr;
}

uint64_t qct_alloc_source(QCTRig *r, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint64_t addr = qct_alloc_filled(r, len, 0);

    for (size_t i = 0; i < len; i++) {
        buf[i] = (i * 0x9e3779b1u) >> 13;
    }
    qtest_memwrite(r->qts, addr, buf, len);
    return addr;
}

uint8_t qct_crypt_to(QCXLType1 *t, uint64_t src, uint64_t dst, uint32_t len)
{
    return qct_encrypt_at(t, qct_iv, (QCTSeg[]) { { src, len }, { } },
                          (QCTSeg[]) { { dst, len }, { } });
}

void qct_encrypt(QCXLType1 *t, uint64_t src, uint64_t dst, uint32_t len)
{
    g_assert_cmpuint(qct_crypt_to(t, src, dst, len), ==, VIRTIO_CRYPTO_OK);
}

uint8_t *qct_encrypt_uncached(QCTRig *r, uint64_t src, uint32_t len)
{
    uint64_t tmp = qct_alloc_filled(r, len, 0);
    uint8_t *out = g_malloc(len);

    qct_set_cache_enable(r->t[0], false);
    qct_encrypt(r->t[0], src, tmp, len);
    qct_set_cache_enable(r->t[0], true);
    qtest_memread(r->qts, tmp, out, len);
    guest_free(&r->alloc, tmp);
    return out;
}

void qct_check_memory(QCTRig *r, uint64_t addr, const void *want, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);

    qtest_memread(r->qts, addr, buf, len);
    g_assert_cmpmem(buf, len, want, len);
}

void qct_check_filled(QCTRig *r, uint64_t addr, uint8_t value, size_t len)
{
    g_autofree uint8_t *want = g_malloc(len);

    memset(want, value, len);
    qct_check_memory(r, addr, want, len);
}

QCTSlot *qct_read_window(QCXLType1 *t)
{
    QPCIDevice *pdev = t->c->pci->pdev;
    QCTSlot *slot;

    QEMU_BUILD_BUG_ON(sizeof(*slot) != 128);
    t->lines = qpci_io_readl(pdev, t->window, QCT_WINDOW_LINES);
    slot = g_new(QCTSlot, t->lines);
    for (unsigned n = 0; n < t->lines; n += QCT_WINDOW_PAGE_SLOTS) {
        unsigned shown = MIN(t->lines - n, QCT_WINDOW_PAGE_SLOTS);

        qpci_io_writel(pdev, t->window, QCT_WINDOW_PAGE,
                       n / QCT_WINDOW_PAGE_SLOTS);
        qpci_memread(pdev, t->window, 0, &slot[n], shown * sizeof(*slot));
    }
    qpci_io_writel(pdev, t->window, QCT_WINDOW_PAGE, 0);
    return slot;
}

/* Faults */

void qct_fault(QTestState *qts, const QCTFault *fault)
{
    QDict *args = qdict_new();

    qdict_put_str(args, "id", "t0");
    qdict_put_str(args, "fault", fault->kind);
    if (fault->point) {
        qdict_put_str(args, "point", fault->point);
    }
    if (fault->after) {
        qdict_put_int(args, "after", fault->after);
    }
    if (fault->count) {
        qdict_put_int(args, "count", fault->count);
    }
    qtest_qmp_assert_success(qts, "{'execute': 'x-cxl-type1-fault',"
                             " 'arguments': %p}", args);
}

void qct_clear(QTestState *qts)
{
    qct_fault(qts, &(QCTFault) { .kind = "clear" });
}

static QDict *fault_info(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts,
        "{'execute': 'x-query-cxl-type1-fault', 'arguments': {'id': 't0'}}");
}

bool qct_fault_is(QTestState *qts, const char *what)
{
    QDict *info = fault_info(qts);
    bool is = qdict_get_bool(info, what);

    qobject_unref(info);
    return is;
}

int64_t qct_fault_count(QTestState *qts, const char *what)
{
    QDict *info = fault_info(qts);
    int64_t n = qdict_get_int(info, what);

    qobject_unref(info);
    return n;
}

void qct_wait_held(QTestState *qts, int64_t n)
{
    gint64 end = g_get_monotonic_time() + QVIRTIO_CRYPTO_TIMEOUT_US;

    while (qct_fault_count(qts, "held") != n) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

int64_t qct_total(QTestState *qts, const char *what)
{
    QDict *info = qct_query(qts);
    int64_t n = qdict_get_int(info, what);

    qobject_unref(info);
    return n;
}

/* x-query-cxl-cache */

QDict *qct_query(QTestState *qts)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'x-query-cxl-cache'}");
    QDict *info = qdict_get_qdict(rsp, "return");

    g_assert_nonnull(info);
    qobject_ref(info);
    qobject_unref(rsp);
    return info;
}

static QDict *entry_dict(QListEntry *e)
{
    return qobject_to(QDict, qlist_entry_obj(e));
}

/* The member of a list whose @key is @value */
static QDict *member(QDict *d, const char *list, const char *key,
                     const char *value)
{
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(d, list), e) {
        if (!strcmp(qdict_get_str(entry_dict(e), key), value)) {
            return entry_dict(e);
        }
    }
    g_error("no %s %s in %s", key, value, list);
}

QDict *qct_device(QDict *info, unsigned n)
{
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), e) {
        if (!n--) {
            return entry_dict(e);
        }
    }
    g_error("so many devices are not there");
}

int64_t qct_sent(QDict *dev, const char *channel, const char *opcode)
{
    QDict *ch = member(dev, "channels", "channel", channel);

    return qdict_get_int(member(ch, "opcodes", "name", opcode), "count");
}

int64_t qct_sent_all(QDict *dev, const char *channel)
{
    QDict *ch = member(dev, "channels", "channel", channel);
    QListEntry *e;
    int64_t n = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(ch, "opcodes"), e) {
        n += qdict_get_int(entry_dict(e), "count");
    }
    return n;
}

int64_t qct_lines(QDict *dev, const char *state)
{
    return qdict_get_int(member(dev, "states", "state", state), "lines");
}

int64_t qct_access(QDict *info, const char *access, const char *what)
{
    return qdict_get_int(member(info, "accesses", "access", access), what);
}

int64_t qct_trap(QDict *info, const char *what)
{
    return qdict_get_int(qdict_get_qdict(info, "trap"), what);
}

bool qct_can_share(QDict *info)
{
    return qdict_get_bool(qdict_get_qdict(info, "trap"), "can-share");
}

bool qct_has_obstacle(QDict *info)
{
    return qdict_haskey(qdict_get_qdict(info, "trap"), "obstacle");
}

bool qct_cannot_keep(QDict *info)
{
    if (qct_has_obstacle(info)) {
        g_test_skip("this host cannot trap accesses to guest memory");
    }
    return qct_has_obstacle(info);
}

static void check_credits(QDict *dev)
{
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "channels"), e) {
        QDict *ch = entry_dict(e);

        g_assert_cmpint(qdict_get_int(ch, "messages"), ==, 0);
        g_assert_cmpint(qdict_get_int(ch, "credits") +
                        qdict_get_int(ch, "returning"), ==,
                        qdict_get_int(ch, "depth"));
    }
}

/* Every request and every snoop has its answer and its data. */
static void check_answers(QDict *dev)
{
    int64_t forwards, pulls, gos;

    g_assert_cmpint(qct_sent_all(dev, "h2d-req"), ==,
                    qct_sent_all(dev, "d2h-rsp"));
    forwards = qct_sent(dev, "d2h-rsp", "RspIFwdM") +
               qct_sent(dev, "d2h-rsp", "RspSFwdM") +
               qct_sent(dev, "d2h-rsp", "RspVFwdV");
    pulls = qct_sent(dev, "h2d-rsp", "GO_WritePull") +
            qct_sent(dev, "h2d-rsp", "WritePull") +
            qct_sent(dev, "h2d-rsp", "Fast_GO_WritePull") +
            qct_sent(dev, "h2d-rsp", "GO_ERR_WritePull");
    g_assert_cmpint(qct_sent_all(dev, "d2h-data"), ==, forwards + pulls);
    /* WrInv gets a GO behind its WritePull, RdCurr gets none at all. */
    gos = qct_sent(dev, "h2d-rsp", "GO") + pulls -
          qct_sent(dev, "h2d-rsp", "WritePull") +
          qct_sent(dev, "h2d-rsp", "GO_WritePull_Drop");
    g_assert_cmpint(qct_sent_all(dev, "d2h-req") -
                    qct_sent(dev, "d2h-req", "RdCurr"), ==, gos);
    g_assert_cmpint(qct_sent_all(dev, "h2d-data"), ==,
                    qct_sent(dev, "d2h-req", "RdCurr") +
                    qct_sent(dev, "d2h-req", "RdOwn") +
                    qct_sent(dev, "d2h-req", "RdShared") +
                    qct_sent(dev, "d2h-req", "RdAny"));
}

/* Returns: number of lines the device holds */
static int64_t check_lines(QDict *dev)
{
    QListEntry *e;
    int64_t all = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "states"), e) {
        all += qdict_get_int(entry_dict(e), "lines");
    }
    g_assert_cmpint(all * QCT_LINE, ==, qdict_get_int(dev, "size"));
    return all - qct_lines(dev, "I");
}

void qct_check_quiet(QDict *info)
{
    int64_t held = 0, shared = 0, tracked;
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), e) {
        QDict *dev = entry_dict(e);

        check_credits(dev);
        check_answers(dev);
        g_assert_cmpint(qdict_get_int(dev, "outstanding"), ==, 0);
        held += check_lines(dev);
        shared += qct_lines(dev, "S");
    }
    g_assert_cmpint(qdict_get_int(info, "transactions"), ==, 0);
    /* Several devices may share a line. */
    tracked = qdict_get_int(info, "tracked-lines");
    g_assert_cmpint(tracked, <=, held);
    g_assert_cmpint(tracked, >=, held - shared);
    if (qlist_size(qdict_get_qlist(info, "devices")) == 1) {
        g_assert_cmpint(tracked, ==, held);
    }
    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "faults"), e) {
        g_assert_cmpint(qdict_get_int(entry_dict(e), "count"), ==, 0);
    }
}
