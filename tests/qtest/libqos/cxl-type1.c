/*
 * libqos support for cxl-type1-crypto: its cache at work
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qobject/qlist.h"
#include "cxl-type1.h"

/* DVSEC 0 of the device */
#define DVSEC_DEVICE    0
#define DEV_CTRL        0x0c
#define CTRL_CACHE_EN   0x0001
#define DEV_CTRL2       0x10
#define CTRL2_DISABLE   0x0001

QCXLType1 *qct_new(QCXL *cxl, QGuestAllocator *alloc, const uint8_t *key)
{
    QCXLType1 *t = g_new0(QCXLType1, 1);

    t->cxl = cxl;
    t->c = qvirtio_crypto_new(cxl->qts, alloc, qcxl_virtio_endpoint(cxl));
    t->window = qpci_iomap(t->c->pci->pdev, 0, &t->window_size);
    qct_attach(t, key);
    return t;
}

void qct_attach(QCXLType1 *t, const uint8_t *key)
{
    qvirtio_crypto_start(t->c);
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

/*
 * Header and IV, source, destination, status: as laid out, but for source and
 * destination. Returns the address of the status.
 */
static uint64_t place(QVirtioCryptoReq *req, const QCTSeg *src,
                      const QCTSeg *dst)
{
    struct vring_desc *old = (struct vring_desc *)req->descs->data;
    GArray *descs = g_array_new(false, true, sizeof(struct vring_desc));
    uint64_t status = old[2].addr;

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
    return status;
}

uint8_t qct_encrypt_at(QCXLType1 *t, const uint8_t *iv, const QCTSeg *src,
                       const QCTSeg *dst)
{
    struct virtio_crypto_op_data_req hdr;
    uint8_t status = 0xff;
    QVirtioCryptoReq req = {
        .out = { { &hdr, sizeof(hdr) }, { (void *)iv, 16 } },
        .in = { { &status, sizeof(status) } },
    };
    uint64_t status_addr;

    qvirtio_crypto_init_cipher_hdr(&hdr, VIRTIO_CRYPTO_CIPHER_ENCRYPT,
                                   t->session, 16, total(src));
    qvirtio_crypto_layout(t->c, &req);
    status_addr = place(&req, src, dst);
    qvirtio_crypto_enqueue(t->c, t->c->vqs[0], &req);
    qvirtio_crypto_notify(t->c, t->c->vqs[0]);
    g_assert_cmpint(qvirtio_crypto_wait(t->c, t->c->vqs[0], &req,
                                        QVIRTIO_CRYPTO_TIMEOUT_US), ==,
                    QVIRTIO_CRYPTO_DONE);
    return qtest_readb(t->cxl->qts, status_addr);
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
