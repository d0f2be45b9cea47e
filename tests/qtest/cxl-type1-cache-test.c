/*
 * QTest testcase for the cache of cxl-type1-crypto: data, resets, registers
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the right ciphertext is comes from a published vector, or from the same
 * device by CXL.io, without its cache. Reads and writes of guest memory by
 * qtest are those of a CPU.
 *
 * T74 and so on are the numbers of the cases in the project's list of
 * protocol tests.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "libqos/malloc-pc.h"
#include "hw/pci/pci_regs.h"

#define PAGE        QCT_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define OLD         0x5a

/* DVSEC 0 of the device */
#define DEV_CTRL2       0x10
#define CTRL2_DISABLE   0x0001
#define CTRL2_WB_INV    0x0002
#define DEV_STATUS2     0x12
#define STATUS2_INVALID 0x0001

/* The query at this moment, everything being quiet */
static QDict *quiet(QCTRig *r)
{
    QDict *info = qct_query(r->qts);

    qct_check_quiet(info);
    return info;
}

static int64_t lines_of(QCTRig *r, unsigned n, const char *state)
{
    QDict *info = quiet(r);
    int64_t lines = qct_lines(qct_device(info, n), state);

    qobject_unref(info);
    return lines;
}

static int64_t sent_by(QCTRig *r, unsigned n, const char *channel,
                       const char *opcode)
{
    QDict *info = quiet(r);
    int64_t sent = qct_sent(qct_device(info, n), channel, opcode);

    qobject_unref(info);
    return sent;
}

static bool cannot_keep(QCTRig *r)
{
    QDict *info = qct_query(r->qts);
    bool cannot = qct_cannot_keep(info);

    qobject_unref(info);
    return cannot;
}

/* A page with modified lines in device 0. Returns false if that is not here */
static bool make_modified(QCTRig *r, uint64_t *dst, uint8_t **want)
{
    uint64_t src = qct_alloc_source(r, PAGE);

    *dst = qct_alloc_filled(r, PAGE, OLD);
    *want = qct_encrypt_uncached(r, src, PAGE);
    qct_encrypt(r->t[0], src, *dst, PAGE);
    guest_free(&r->alloc, src);
    if (cannot_keep(r)) {
        return false;
    }
    g_assert_cmpint(lines_of(r, 0, "M"), ==, PAGE_LINES);
    return true;
}

/* T86: a known answer, still modified when the guest is told */
static void test_known_answer(void)
{
    uint64_t src, dst;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    src = qct_alloc_filled(&r, PAGE, 0);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    qtest_memwrite(r.qts, src + 256, qct_plain, sizeof(qct_plain));
    qct_encrypt(r.t[0], src + 256, dst + 256, sizeof(qct_plain));
    if (!cannot_keep(&r)) {
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 1);
    }
    qct_check_memory(&r, dst + 256, qct_cipher, sizeof(qct_cipher));
    qct_check_filled(&r, dst, OLD, 256);
    qct_check_filled(&r, dst + 320, OLD, PAGE - 320);
    qct_rig_end(&r);
}

/* T87: without coherence this would be seen. */
static void test_no_snoop(void)
{
    g_autofree uint8_t *want = NULL;
    uint8_t buf[PAGE];
    uint64_t dst;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    qobject_unref(qtest_qmp(r.qts, "{'execute': 'qom-set', 'arguments': {"
                            "'path': '/machine/cxl-cache',"
                            "'property': 'x-no-snoop', 'value': true}}"));
    if (make_modified(&r, &dst, &want)) {
        qtest_memread(r.qts, dst, buf, PAGE);
        g_assert_cmpint(memcmp(buf, want, PAGE), !=, 0);
        qct_check_filled(&r, dst, OLD, PAGE);
    }
    qct_rig_end(&r);
}

/* Nothing is left behind when the guest is told, and nothing faults then. */
static void test_completion(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst;
    QDict *info, *dev;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",writeback=completion");
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    want = qct_encrypt_uncached(&r, src, PAGE);
    qct_encrypt(r.t[0], src, dst, PAGE);
    info = quiet(&r);
    if (!qct_cannot_keep(info)) {
        dev = qct_device(info, 0);
        g_assert_cmpint(qct_lines(dev, "I"), ==, 1 * MiB / QCT_LINE);
        g_assert_cmpint(qct_sent(dev, "d2h-req", "RdOwnNoData"), ==,
                        PAGE_LINES);
        g_assert_cmpint(qct_sent(dev, "d2h-req", "DirtyEvict"), ==,
                        PAGE_LINES);
        g_assert_cmpint(qct_sent(dev, "h2d-rsp", "GO_WritePull"), ==,
                        PAGE_LINES);
        g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
    }
    qobject_unref(info);
    qct_check_memory(&r, dst, want, PAGE);
    info = quiet(&r);
    g_assert_cmpint(qct_trap(info, "reads"), ==, 0);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    g_assert_cmpint(qct_sent_all(qct_device(info, 0), "h2d-req"), ==, 0);
    qobject_unref(info);
    qct_rig_end(&r);
}

static void set_writeback(QCTRig *r, const char *value)
{
    qobject_unref(qtest_qmp(r->qts, "{'execute': 'qom-set', 'arguments': {"
                            "'path': 't0', 'property': 'writeback',"
                            "'value': %s}}", value));
}

/* No line is taken: whole ones go by ItoMWr, others by WrInv. */
static void test_through(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst;
    QDict *info, *dev;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",writeback=through");
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, 2 * PAGE, OLD);
    want = qct_encrypt_uncached(&r, src, PAGE);
    qct_encrypt(r.t[0], src, dst, PAGE);
    info = quiet(&r);
    dev = qct_device(info, 0);
    g_assert_cmpint(qct_lines(dev, "I"), ==, 1 * MiB / QCT_LINE);
    g_assert_cmpint(qct_sent(dev, "d2h-req", "RdOwnNoData"), ==, 0);
    g_assert_cmpint(qct_sent(dev, "d2h-req", "ItoMWr"), ==, PAGE_LINES);
    g_assert_cmpint(qct_sent(dev, "h2d-rsp", "GO_WritePull"), ==, PAGE_LINES);
    g_assert_cmpint(qct_sent(dev, "d2h-data", "Data"), ==, PAGE_LINES);
    g_assert_cmpint(qdict_get_int(dev, "once-lines"), ==, PAGE_LINES);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, 0);
    g_assert_cmpint(qct_trap(info, "zapped"), ==, 0);
    qobject_unref(info);
    qct_check_memory(&r, dst, want, PAGE);
    qct_check_filled(&r, dst + PAGE, OLD, PAGE);

    /* Half a line more at each end */
    qct_encrypt(r.t[0], src, dst + 32, PAGE);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "ItoMWr"), ==,
                    2 * PAGE_LINES - 1);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "WrInv"), ==, 2);
    qct_check_memory(&r, dst, want, 32);
    qct_check_memory(&r, dst + 32, want, PAGE);
    qct_check_filled(&r, dst + PAGE + 32, OLD, PAGE - 32);

    /* Lines that it has from before go, with what they had. */
    set_writeback(&r, "on-demand");
    qct_encrypt(r.t[0], src, dst, 2 * QCT_LINE);
    if (!cannot_keep(&r)) {
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 2);
        set_writeback(&r, "through");
        qct_encrypt(r.t[0], src, dst + QCT_LINE, 2 * QCT_LINE);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 1);
        g_assert_cmpint(lines_of(&r, 0, "I"), ==, 1 * MiB / QCT_LINE - 1);
    }
    qct_check_memory(&r, dst, want, QCT_LINE);
    qct_check_memory(&r, dst + QCT_LINE, want, 2 * QCT_LINE);
    qct_rig_end(&r);
}

/* What another device has modified is older. */
static void test_through_others(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",writeback=through" QCT_SECOND);
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    want = qct_encrypt_uncached(&r, src, PAGE);
    qct_encrypt_zeroes(r.t[1], dst, PAGE);
    if (!cannot_keep(&r)) {
        g_assert_cmpint(lines_of(&r, 1, "M"), ==, PAGE_LINES);
        qct_encrypt(r.t[0], src, dst, PAGE / 2);
        g_assert_cmpint(lines_of(&r, 1, "M"), ==, PAGE_LINES / 2);
        g_assert_cmpint(sent_by(&r, 1, "d2h-rsp", "RspIFwdM"), ==,
                        PAGE_LINES / 2);
        g_assert_cmpint(lines_of(&r, 0, "I"), ==, 1 * MiB / QCT_LINE);
        qct_check_memory(&r, dst, want, PAGE / 2);
    }
    qct_rig_end(&r);
}

/* Results of @num blocks, each read by the host at once if @read */
#define BLOCK   (64 * KiB)

static void blocks(QCTRig *r, uint64_t src, uint64_t dst, const uint8_t *want,
                   unsigned num, bool read)
{
    for (unsigned i = 0; i < num; i++) {
        uint64_t to = dst + i % 4 * BLOCK;

        qct_encrypt(r->t[0], src, to, BLOCK);
        if (read) {
            qct_check_memory(r, to, want, BLOCK);
        }
    }
}

/*
 * Results that nobody touches are kept.  Those that the host takes are written
 * through, after a window of 1 MiB that has shown it, and kept again when the
 * rest is over and they are left alone.
 */
static void test_adaptive(void)
{
    const unsigned window = 1 * MiB / BLOCK, rest = 16 * MiB / BLOCK;
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst, through;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",writeback=adaptive");
    if (cannot_keep(&r)) {
        qct_rig_end(&r);
        return;
    }
    src = qct_alloc_source(&r, BLOCK);
    dst = qct_alloc_filled(&r, 4 * BLOCK, OLD);
    want = qct_encrypt_uncached(&r, src, BLOCK);

    blocks(&r, src, dst, want, 3 * window, false);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "ItoMWr"), ==, 0);
    g_assert_cmpint(lines_of(&r, 0, "M"), >=, BLOCK / QCT_LINE);

    /* What is in the cache from before is taken with the first ones. */
    blocks(&r, src, dst, want, window, true);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "ItoMWr"), ==, 0);
    blocks(&r, src, dst, want, 2, true);
    through = sent_by(&r, 0, "d2h-req", "ItoMWr");
    g_assert_cmpint(through, ==, 2 * BLOCK / QCT_LINE);
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, 0);

    /* Whoever is here first: the rest is so long whatever happens. */
    blocks(&r, src, dst, want, rest - 2, false);
    through = sent_by(&r, 0, "d2h-req", "ItoMWr");
    g_assert_cmpint(through, ==, rest * BLOCK / QCT_LINE);
    blocks(&r, src, dst, want, 3 * window, false);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "ItoMWr"), ==, through);
    qct_check_memory(&r, dst, want, BLOCK);
    qct_rig_end(&r);
}

static void flr(QCTRig *r)
{
    QPCIDevice *pdev = r->t[0]->c->pci->pdev;
    uint8_t cap = qpci_find_capability(pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(pdev, cap + PCI_EXP_DEVCTL, qcxl_readw(pdev, cap +
                PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
    qvirtio_crypto_release(r->t[0]->c);
    qvirtio_pci_device_enable(r->t[0]->c->pci);
}

static void virtio_reset(QCTRig *r)
{
    qvirtio_crypto_stop(r->t[0]->c);
}

/* T74: neither knows the cache. */
static void check_survives(void (*reset)(QCTRig *r))
{
    g_autofree uint8_t *want = NULL;
    uint64_t dst, other;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (make_modified(&r, &dst, &want)) {
        reset(&r);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
        qct_check_memory(&r, dst, want, PAGE);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 0);
        qct_attach(r.t[0], qct_key);
        other = qct_alloc_filled(&r, PAGE, OLD);
        qct_encrypt_zeroes(r.t[0], other, PAGE);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    }
    qct_rig_end(&r);
}

static void test_flr(void)
{
    check_survives(flr);
}

static void test_virtio_reset(void)
{
    check_survives(virtio_reset);
}

/* T75: what is loaded into RAM next stays, whatever the cache had. */
static void test_system_reset(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t dst, other;
    QDict *info;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (!make_modified(&r, &dst, &want)) {
        goto out;
    }
    qtest_system_reset(r.qts);
    info = quiet(&r);
    g_assert_cmpint(qdict_get_int(qct_device(info, 0), "lost-lines"), ==,
                    PAGE_LINES);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, 0);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, 0);
    qobject_unref(info);
    /* Never written back: what RAM had before */
    qct_check_filled(&r, dst, OLD, PAGE);
    qtest_memset(r.qts, dst, 0x77, PAGE);

    qcxl_init(r.t[0]->cxl);
    qct_start_again(&r, 0);
    other = qct_alloc_filled(&r, PAGE, OLD);
    qct_encrypt_zeroes(r.t[0], other, PAGE);
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    qct_check_filled(&r, dst, 0x77, PAGE);
    qcxl_secondary_reset(r.t[0]->cxl);
    qct_check_filled(&r, dst, 0x77, PAGE);
    qct_start_again(&r, 0);
out:
    qct_rig_end(&r);
}

/* T76: nothing is lost. */
static void test_secondary_reset(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t dst;
    QDict *info;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (make_modified(&r, &dst, &want)) {
        qcxl_secondary_reset(r.t[0]->cxl);
        info = quiet(&r);
        g_assert_cmpint(qct_lines(qct_device(info, 0), "I"), ==,
                        1 * MiB / QCT_LINE);
        g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
        g_assert_cmpint(qdict_get_int(qct_device(info, 0), "lost-lines"), ==,
                        0);
        g_assert_cmpint(qct_trap(info, "held"), ==, 0);
        qobject_unref(info);
        qct_check_memory(&r, dst, want, PAGE);
        qct_start_again(&r, 0);
        qct_encrypt_zeroes(r.t[0], dst, PAGE);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    }
    qct_rig_end(&r);
}

/* T77: Disable_Caching, write back and invalidate */
static void test_registers(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst, other;
    int64_t flushed, owned;
    QPCIDevice *pdev;
    QDict *info;
    uint16_t dvsec;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (!make_modified(&r, &dst, &want)) {
        goto out;
    }
    pdev = r.t[0]->c->pci->pdev;
    dvsec = qcxl_find_dvsec(pdev, 0);
    flushed = sent_by(&r, 0, "d2h-req", "CacheFlushed");
    owned = sent_by(&r, 0, "d2h-req", "RdOwnNoData");
    /* Ignored while the cache may take lines */
    qcxl_writew(pdev, dvsec + DEV_CTRL2, CTRL2_WB_INV);
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);

    qcxl_writew(pdev, dvsec + DEV_CTRL2, CTRL2_DISABLE);
    qcxl_writew(pdev, dvsec + DEV_CTRL2, CTRL2_DISABLE | CTRL2_WB_INV);
    g_assert_cmphex(qcxl_readw(pdev, dvsec + DEV_STATUS2) & STATUS2_INVALID,
                    !=, 0);
    info = quiet(&r);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "d2h-req", "CacheFlushed"),
                    ==, flushed + 1);
    /* All of it before anybody asked for it */
    g_assert_cmpint(qct_sent_all(qct_device(info, 0), "h2d-req"), ==, 0);
    qobject_unref(info);
    qct_check_memory(&r, dst, want, PAGE);

    src = qct_alloc_source(&r, PAGE);
    other = qct_alloc_filled(&r, PAGE, OLD);
    qct_encrypt(r.t[0], src, other, PAGE);
    info = quiet(&r);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, 0);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "d2h-req", "RdOwnNoData"),
                    ==, owned);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "d2h-req", "RdOwn"), ==, 0);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "d2h-req", "ItoMWr"), ==,
                    PAGE_LINES);
    qobject_unref(info);
    qct_check_memory(&r, other, want, PAGE);

    qcxl_writew(pdev, dvsec + DEV_CTRL2, 0);
    qct_encrypt(r.t[0], src, other, PAGE);
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    qct_check_memory(&r, other, want, PAGE);
out:
    qct_rig_end(&r);
}

/* T79: no message at all */
static void test_cache_enable_off(void)
{
    uint64_t src, dst;
    QDict *info, *dev;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",cache-enable=off");
    src = qct_alloc_filled(&r, PAGE, 0);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    qtest_memwrite(r.qts, src, qct_plain, sizeof(qct_plain));
    qct_encrypt(r.t[0], src, dst, sizeof(qct_plain));
    qct_check_memory(&r, dst, qct_cipher, sizeof(qct_cipher));
    info = quiet(&r);
    dev = qct_device(info, 0);
    g_assert_cmpstr(qdict_get_str(dev, "mode"), ==, "off");
    g_assert_cmpint(qct_sent_all(dev, "d2h-req"), ==, 0);
    g_assert_cmpint(qct_sent_all(dev, "h2d-req"), ==, 0);
    g_assert_cmpint(qdict_get_int(dev, "once-lines"), ==, 0);
    qobject_unref(info);

    /* The guest may still want it. */
    qct_set_cache_enable(r.t[0], true);
    qct_encrypt(r.t[0], src, dst, sizeof(qct_plain));
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "RdCurr"), >, 0);
    qct_check_memory(&r, dst, qct_cipher, sizeof(qct_cipher));
    qct_rig_end(&r);
}

/* The device uses CXL.cache and keeps no line, whatever software says. */
static void test_cache_off(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",cache=off");
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    want = qct_encrypt_uncached(&r, src, PAGE);
    for (int i = 1; i <= 2; i++) {
        QDict *info, *dev;

        qtest_memset(r.qts, dst, OLD, PAGE);
        qct_encrypt(r.t[0], src, dst, PAGE);
        info = quiet(&r);
        dev = qct_device(info, 0);
        g_assert_cmpstr(qdict_get_str(dev, "mode"), ==, "once");
        g_assert_cmpint(qct_sent(dev, "d2h-req", "RdCurr"), >, 0);
        g_assert_cmpint(qdict_get_int(dev, "once-lines"), ==, i * PAGE_LINES);
        g_assert_cmpint(qct_lines(dev, "I"), ==, 1 * MiB / QCT_LINE);
        g_assert_cmpint(qct_trap(info, "held"), ==, 0);
        qobject_unref(info);
        qct_check_memory(&r, dst, want, PAGE);
        qct_set_disable_caching(r.t[0], true);
        qct_set_disable_caching(r.t[0], false);
    }
    qct_rig_end(&r);
}

/* A request that fails changes nothing, in the cache or behind it. */
static void test_failed_request(void)
{
    uint64_t src, dst, session;
    g_autofree uint8_t *want = NULL;
    int64_t before;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (!make_modified(&r, &dst, &want)) {
        goto out;
    }
    src = qct_alloc_source(&r, PAGE);
    before = sent_by(&r, 0, "d2h-req", "RdOwnNoData");
    /* No such session; then, no whole number of blocks */
    session = r.t[0]->session;
    r.t[0]->session = session + 100;
    g_assert_cmpuint(qct_crypt_to(r.t[0], src, dst, PAGE), !=,
                     VIRTIO_CRYPTO_OK);
    r.t[0]->session = session;
    g_assert_cmpuint(qct_crypt_to(r.t[0], src, dst, PAGE - 1), !=,
                     VIRTIO_CRYPTO_OK);
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    g_assert_cmpint(sent_by(&r, 0, "d2h-req", "RdOwnNoData"), ==, before);
    qct_check_memory(&r, dst, want, PAGE);
    qct_encrypt(r.t[0], src, dst, PAGE);
    qct_check_memory(&r, dst, want, PAGE);
out:
    qct_rig_end(&r);
}

/*
 * In place, and again: what is held is read and written without asking
 * anybody, so the second time nothing but the IV crosses the link.
 */
static void test_in_place(void)
{
    g_autofree uint8_t *once = NULL, *twice = NULL;
    uint64_t src, dst;
    int64_t requests;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    src = qct_alloc_source(&r, PAGE);
    once = qct_encrypt_uncached(&r, src, PAGE);
    dst = qct_alloc_filled(&r, PAGE, 0);
    qtest_memwrite(r.qts, dst, once, PAGE);
    twice = qct_encrypt_uncached(&r, dst, PAGE);

    qct_encrypt(r.t[0], src, dst, PAGE);
    if (!cannot_keep(&r)) {
        requests = sent_by(&r, 0, "d2h-req", "RdOwnNoData");
        qct_encrypt(r.t[0], dst, dst, PAGE);
        g_assert_cmpint(sent_by(&r, 0, "d2h-req", "RdOwnNoData"), ==,
                        requests);
        /* 64 for the first one's source, at most 2 for each IV */
        g_assert_cmpint(sent_by(&r, 0, "d2h-req", "RdCurr"), <=,
                        PAGE_LINES + 4);
        g_assert_cmpint(sent_by(&r, 0, "h2d-req", "SnpData"), ==, 0);
        qct_check_memory(&r, dst, twice, PAGE);
    }
    qct_rig_end(&r);
}

/* Lines that were written in parts are read before, then held as any other. */
static void check_parts_held(QCTRig *r, const QCTSeg *to)
{
    g_autoptr(GHashTable) lines = g_hash_table_new(NULL, NULL);
    QDict *info = quiet(r), *dev = qct_device(info, 0);
    int64_t full = 0;

    for (; to->len; to++) {
        for (uint64_t l = to->addr / 64; l * 64 < to->addr + to->len; l++) {
            g_hash_table_add(lines, GUINT_TO_POINTER(l));
            full += l * 64 >= to->addr && (l + 1) * 64 <= to->addr + to->len;
        }
    }
    if (!qct_has_obstacle(info)) {
        g_assert_cmpint(qct_lines(dev, "M"), ==, g_hash_table_size(lines));
        g_assert_cmpint(qct_sent(dev, "d2h-req", "RdOwnNoData"), ==, full);
        g_assert_cmpint(qct_sent(dev, "d2h-req", "RdOwn"), ==,
                        g_hash_table_size(lines) - full);
        g_assert_cmpint(qdict_get_int(dev, "once-lines"), ==, 0);
    }
    qobject_unref(info);
}

/*
 * Pieces that begin and end within lines, that share lines, that go backwards
 * through memory. What is between them stays.
 */
static void test_pieces(void)
{
    static const struct {
        uint32_t offset;
        uint32_t len;
    } pieces[] = {
        { 100, 28 }, { 130, 62 }, { 4095, 2 }, { 300, 20 }, { 256, 40 },
        { 1, 1 }, { 3, 1 }, { 63, 2 }, { 512, 1000 }, { 8190, 300 },
        { 5000, 64 }, { 5120, 128 }, { 6001, 1664 },
    };
    enum { AREA = 3 * PAGE, LEN = 3312 };
    g_autofree uint8_t *image = g_malloc(AREA);
    g_autofree uint8_t *want = NULL;
    QCTSeg to[ARRAY_SIZE(pieces) + 1] = { };
    QCTSeg from[] = { { 0, 1000 }, { 0, 7 }, { 0, LEN - 1007 }, { } };
    uint64_t src, dst;
    uint32_t at = 0;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, AREA, OLD);
    want = qct_encrypt_uncached(&r, src, LEN);
    memset(image, OLD, AREA);
    for (int i = 0; i < ARRAY_SIZE(pieces); i++) {
        to[i].addr = dst + pieces[i].offset;
        to[i].len = MIN(pieces[i].len, LEN - at);
        memcpy(image + pieces[i].offset, want + at, to[i].len);
        at += to[i].len;
    }
    g_assert_cmpuint(at, ==, LEN);
    from[0].addr = src;
    from[1].addr = src + 1000;
    from[2].addr = src + 1007;
    /* Twice: into lines that nobody has, then into lines that are held */
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                         VIRTIO_CRYPTO_OK);
        check_parts_held(&r, to);
    }
    qct_check_memory(&r, dst, image, AREA);
    /* And into lines that are shared */
    qtest_memset(r.qts, dst, OLD, AREA);
    qct_encrypt_zeroes(r.t[0], dst, AREA);
    qtest_memread(r.qts, dst, image, AREA);
    at = 0;
    for (int i = 0; i < ARRAY_SIZE(pieces); i++) {
        memcpy(image + pieces[i].offset, want + at, to[i].len);
        at += to[i].len;
    }
    g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                     VIRTIO_CRYPTO_OK);
    qct_check_memory(&r, dst, image, AREA);
    qobject_unref(quiet(&r));
    qct_rig_end(&r);
}

/* Destinations that overlap the source, or each other, or are too large */
static void test_overlap(void)
{
    g_autofree uint8_t *want = NULL, *roomy = NULL;
    uint8_t image[PAGE];
    uint64_t src, dst;
    QCTSeg from[] = { { 0, 128 }, { } };
    QCTSeg to[] = { { 0, 80 }, { 0, 48 }, { } };
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    src = qct_alloc_source(&r, 2 * PAGE);
    want = qct_encrypt_uncached(&r, src, PAGE);
    qct_encrypt(r.t[0], src, src + 24, PAGE);
    qct_check_memory(&r, src + 24, want, PAGE);

    /* As without a cache: the last one wins. */
    dst = qct_alloc_filled(&r, PAGE, OLD);
    from[0].addr = src;
    to[0].addr = dst + 100;
    to[1].addr = dst + 150;
    qct_set_cache_enable(r.t[0], false);
    g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                     VIRTIO_CRYPTO_OK);
    qtest_memread(r.qts, dst, image, PAGE);
    qtest_memset(r.qts, dst, OLD, PAGE);
    qct_set_cache_enable(r.t[0], true);
    g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                     VIRTIO_CRYPTO_OK);
    qct_check_memory(&r, dst, image, PAGE);

    /* More room than the result needs, in the last piece and in another one */
    roomy = qct_encrypt_uncached(&r, src, 128);
    qtest_memset(r.qts, dst, OLD, PAGE);
    to[0] = (QCTSeg) { dst + 40, 200 };
    to[1] = (QCTSeg) { dst + 1000, 300 };
    g_assert_cmpuint(qct_encrypt_at(r.t[0], qct_iv, from, to), ==,
                     VIRTIO_CRYPTO_OK);
    qobject_unref(quiet(&r));
    qct_check_filled(&r, dst, OLD, 40);
    qct_check_memory(&r, dst + 40, roomy, 128);
    qct_check_filled(&r, dst + 168, OLD, PAGE - 168);
    qct_rig_end(&r);
}

/* More than the cache holds: what has no room is written through. */
static void test_larger_than_cache(void)
{
    static const uint32_t sizes[] = { 64 * KiB, 64 * KiB + 48, 256 * KiB };
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, ",cache-size=64K,cache-ways=2");
    for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t src = qct_alloc_source(&r, sizes[i]);
        uint64_t dst = qct_alloc_filled(&r, sizes[i] + PAGE, OLD) + 32;
        g_autofree uint8_t *want = qct_encrypt_uncached(&r, src, sizes[i]);
        QDict *info;

        qct_encrypt(r.t[0], src, dst, sizes[i]);
        info = quiet(&r);
        if (qct_cannot_keep(info)) {
            qobject_unref(info);
            break;
        }
        g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), >, 0);
        g_assert_cmpint(qdict_get_int(qct_device(info, 0), "once-lines"), >,
                        0);
        qobject_unref(info);
        qct_check_memory(&r, dst, want, sizes[i]);
        qct_check_filled(&r, dst - 32, OLD, 32);
        qct_check_filled(&r, dst + sizes[i], OLD, PAGE - 32);
    }
    qct_rig_end(&r);
}

static void test_unplug(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t dst;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, "");
    if (make_modified(&r, &dst, &want)) {
        qcxl_unplug(r.t[0]->cxl, "t0");
        qct_check_memory(&r, dst, want, PAGE);
        qtest_memset(r.qts, dst, OLD, PAGE);
        qct_check_filled(&r, dst, OLD, PAGE);

        /* Another one, with nothing in its cache */
        qtest_qmp_device_add(r.qts, "cxl-type1-crypto", "t0",
                             "{'bus': 'rp0', 'cryptodev': 'c0'}");
        qcxl_plugged(r.t[0]->cxl);
        qct_start_again(&r, 0);
        g_assert_cmpint(lines_of(&r, 0, "I"), ==, 1 * MiB / QCT_LINE);
        qct_encrypt_zeroes(r.t[0], dst, PAGE);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, PAGE_LINES);
    }
    qct_rig_end(&r);
}

/* One reads what the other has modified, then takes it. */
static void test_two_devices(void)
{
    g_autofree uint8_t *once = NULL, *twice = NULL;
    uint64_t src, dst, other;
    QDict *info;
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, QCT_SECOND);
    src = qct_alloc_source(&r, PAGE);
    dst = qct_alloc_filled(&r, PAGE, OLD);
    other = qct_alloc_filled(&r, PAGE, OLD);
    once = qct_encrypt_uncached(&r, src, PAGE);
    qtest_memwrite(r.qts, dst, once, PAGE);
    twice = qct_encrypt_uncached(&r, dst, PAGE);
    qtest_memset(r.qts, dst, OLD, PAGE);

    qct_encrypt(r.t[0], src, dst, PAGE);
    if (cannot_keep(&r)) {
        goto out;
    }
    /* RdCurr changes nobody's state. */
    qct_encrypt(r.t[1], dst, other, PAGE);
    info = quiet(&r);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==, PAGE_LINES);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "h2d-req", "SnpCur"), ==,
                    PAGE_LINES);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "d2h-rsp", "RspVFwdV"), ==,
                    PAGE_LINES);
    g_assert_cmpint(qct_lines(qct_device(info, 1), "M"), ==, PAGE_LINES);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, 2 * PAGE_LINES);
    qobject_unref(info);
    qct_check_memory(&r, other, twice, PAGE);

    /* In place: the first one loses it, memory has not seen it yet. */
    qct_encrypt(r.t[1], dst, dst, PAGE);
    info = quiet(&r);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==, 0);
    g_assert_cmpint(qct_sent(qct_device(info, 0), "h2d-req", "SnpInv"), ==,
                    PAGE_LINES);
    g_assert_cmpint(qct_lines(qct_device(info, 1), "M"), ==, PAGE_LINES);
    qobject_unref(info);
    qct_check_memory(&r, dst, twice, PAGE);

    /* And back, from lines that a CPU has read */
    qct_encrypt(r.t[0], src, dst, PAGE);
    g_assert_cmpint(lines_of(&r, 1, "M"), ==, 0);
    qct_check_memory(&r, dst, once, PAGE);
out:
    qct_rig_end(&r);
}

/* A reset of one leaves the other's lines alone. */
static void test_two_resets(void)
{
    g_autofree uint8_t *want = NULL;
    uint64_t src, dst[2];
    QCTRig r;

    qct_rig_start(&r, QCXL_SHARED_RAM, QCT_SECOND);
    src = qct_alloc_source(&r, PAGE);
    want = qct_encrypt_uncached(&r, src, PAGE);
    for (int i = 0; i < 2; i++) {
        dst[i] = qct_alloc_filled(&r, PAGE, OLD);
        qct_encrypt(r.t[i], src, dst[i], PAGE);
    }
    if (!cannot_keep(&r)) {
        qcxl_secondary_reset(r.t[0]->cxl);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 0);
        g_assert_cmpint(lines_of(&r, 1, "M"), ==, PAGE_LINES);
        qct_check_memory(&r, dst[0], want, PAGE);
        qct_check_memory(&r, dst[1], want, PAGE);
        qct_start_again(&r, 0);
    }
    qct_rig_end(&r);
}

/* They share one snoop filter: it cannot have two sizes. */
static void test_two_filters(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                                 QCXL_PXB QCXL_RP ",cxl-cache=on "
                                 QCT_BACKEND QCT_DEVICE ",id=t0 "
                                 QCXL_RP1 ",cxl-cache=on,"
                                 "cxl-cache-sf-size=128K "
                                 "-object cryptodev-backend-builtin,id=c1");
    QDict *rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                           "'driver': 'cxl-type1-crypto', 'id': 't1',"
                           "'bus': 'rp1', 'cryptodev': 'c1'}}");
    QDict *error = qdict_get_qdict(rsp, "error");

    g_assert_nonnull(error);
    g_assert_nonnull(strstr(qdict_get_str(error, "desc"),
                            "'cxl-cache-sf-size' must be the same"));
    qobject_unref(rsp);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-type1-cache/known-answer", test_known_answer);
    qtest_add_func("/cxl-type1-cache/no-snoop", test_no_snoop);
    qtest_add_func("/cxl-type1-cache/completion", test_completion);
    qtest_add_func("/cxl-type1-cache/through", test_through);
    qtest_add_func("/cxl-type1-cache/through-others", test_through_others);
    qtest_add_func("/cxl-type1-cache/adaptive", test_adaptive);
    qtest_add_func("/cxl-type1-cache/flr", test_flr);
    qtest_add_func("/cxl-type1-cache/virtio-reset", test_virtio_reset);
    qtest_add_func("/cxl-type1-cache/system-reset", test_system_reset);
    qtest_add_func("/cxl-type1-cache/secondary-reset", test_secondary_reset);
    qtest_add_func("/cxl-type1-cache/registers", test_registers);
    qtest_add_func("/cxl-type1-cache/cache-enable-off",
                   test_cache_enable_off);
    qtest_add_func("/cxl-type1-cache/cache-off", test_cache_off);
    qtest_add_func("/cxl-type1-cache/failed-request", test_failed_request);
    qtest_add_func("/cxl-type1-cache/in-place", test_in_place);
    qtest_add_func("/cxl-type1-cache/pieces", test_pieces);
    qtest_add_func("/cxl-type1-cache/overlap", test_overlap);
    qtest_add_func("/cxl-type1-cache/larger-than-cache",
                   test_larger_than_cache);
    qtest_add_func("/cxl-type1-cache/unplug", test_unplug);
    qtest_add_func("/cxl-type1-cache/two-devices", test_two_devices);
    qtest_add_func("/cxl-type1-cache/two-resets", test_two_resets);
    qtest_add_func("/cxl-type1-cache/two-filters", test_two_filters);
    return g_test_run();
}
