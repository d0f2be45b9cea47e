/*
 * QTest testcase for what is to be seen of a CXL.cache: the window on its
 * lines, x-query-cxl-cache, "info cxl-cache" and trace events
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cxl-type1-crypto encrypts a page into another one. Without its cache (by
 * CXL.io) this gives what the page must hold; with it, the page's 64 lines
 * stay in the device. qtest's own reads and writes of guest memory are those
 * of a CPU: they bring the lines home.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "qobject/qlist.h"
#include "libqos/cxl-type1.h"
#include "libqos/malloc-pc.h"
#include "libqos/vhost-user-peer.h"

#define PAGE        QCT_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define CACHE_LINES (1 * MiB / QCT_LINE)
#define SLOT        128

/* MESI as the window has it */
enum { MESI_S = 1, MESI_E = 2, MESI_I = 3, MESI_M = 6 };

typedef struct Rig {
    QTestState *qts;
    QCXL *cxl;
    QCXLType1 *t;
    QGuestAllocator alloc;
    uint64_t dst;
    uint8_t cipher[PAGE];
} Rig;

static const uint8_t key[16] = "sixteen bytes...";

static void encrypt(Rig *r)
{
    qct_encrypt_zeroes(r->t, r->dst, PAGE);
}

static void rig_start(Rig *r, const char *ram, const char *dev_opts)
{
    r->qts = qtest_initf("-nodefaults " QCXL_MACHINE "%s" QCXL_PXB QCXL_RP
                         ",cxl-cache=on " QCT_BACKEND QCT_DEVICE "%s",
                         ram, dev_opts);
    r->cxl = qcxl_new(r->qts);
    pc_alloc_init(&r->alloc, r->qts, ALLOC_NO_FLAGS);
    r->t = qct_new(r->cxl, &r->alloc, key);
    r->dst = guest_alloc(&r->alloc, PAGE);
    g_assert_cmphex(r->dst % PAGE, ==, 0);

    qct_set_cache_enable(r->t, false);
    encrypt(r);
    qtest_memread(r->qts, r->dst, r->cipher, PAGE);
    qtest_memset(r->qts, r->dst, 0, PAGE);
    qct_set_cache_enable(r->t, true);
}

static void rig_end(Rig *r)
{
    guest_free(&r->alloc, r->dst);
    qct_free(r->t, false);
    alloc_destroy(&r->alloc);
    qcxl_free(r->cxl);
    qtest_quit(r->qts);
}

/* The only device there is */

static QDict *device(QDict *info)
{
    return qct_device(info, 0);
}

static int64_t sent(QDict *info, const char *channel, const char *opcode)
{
    return qct_sent(device(info), channel, opcode);
}

static int64_t sent_all(QDict *info, const char *channel)
{
    return qct_sent_all(device(info), channel);
}

static int64_t lines_in(QDict *info, const char *state)
{
    return qct_lines(device(info), state);
}

/* The window */

/* All 64 lines of the page are there, in @mesi, and nothing else. */
static void check_window(Rig *r, uint8_t mesi)
{
    static const uint8_t none[SLOT];
    g_autofree QCTSlot *slot = qct_read_window(r->t);
    uint64_t seen = 0;

    for (int i = 0; i < CACHE_LINES; i++) {
        QCTSlot *s = &slot[i];
        uint64_t addr = le64_to_cpu(s->ats) & 0x000fffffffffffc0ULL;
        unsigned n = (addr - r->dst) / 64;

        g_assert_cmpmem(&s->nreq, SLOT - 73, none, SLOT - 73);
        if (!(le64_to_cpu(s->ats) & 1)) {
            g_assert_cmphex(s->state, ==, MESI_I);
            g_assert_cmpmem(s, 72, none, 72);
            continue;
        }
        g_assert_cmphex(s->state, ==, mesi);
        g_assert_cmphex(le64_to_cpu(s->ats), ==, addr | 3);
        g_assert_cmpuint(n, <, PAGE_LINES);
        g_assert_cmpmem(s->data, 64, r->cipher + n * 64, 64);
        g_assert_false(seen & (1ULL << n));
        seen |= 1ULL << n;
    }
    g_assert_cmphex(seen, ==, mesi == MESI_I ? 0 : UINT64_MAX);
}

static void check_same(QDict *a, QDict *b)
{
    g_assert_true(qobject_is_equal(QOBJECT(a), QOBJECT(b)));
}

/* A result stays in the cache, is read by a CPU, is written by a CPU. */
static void test_life_of_a_page(const void *opaque)
{
    bool dma = opaque;
    uint8_t page[PAGE];
    QDict *info, *again;
    const char *access, *snoop;
    int64_t requests, flushes;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, ",id=t1");
    info = qct_query(r.qts);
    g_assert_cmpstr(qdict_get_str(device(info), "mode"), ==, "on");
    /* It was off until now, and has only said so. */
    flushes = sent(info, "d2h-req", "CacheFlushed");
    g_assert_cmpint(sent_all(info, "d2h-req"), ==, flushes);
    qct_check_quiet(info);
    check_window(&r, MESI_I);
    g_assert_cmpuint(r.t->lines, ==, CACHE_LINES);
    qobject_unref(info);

    encrypt(&r);
    info = qct_query(r.qts);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    access = qct_can_share(info) ? "read" : "flush";
    snoop = qct_can_share(info) ? "SnpData" : "SnpInv";
    qct_check_quiet(info);
    g_assert_cmpint(lines_in(info, "M"), ==, PAGE_LINES);
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES - PAGE_LINES);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, PAGE_LINES);
    g_assert_cmpint(sent(info, "d2h-req", "RdOwnNoData"), ==, PAGE_LINES);
    g_assert_cmpint(sent(info, "d2h-req", "RdCurr"), >=, PAGE_LINES);
    g_assert_cmpint(sent(info, "h2d-rsp", "GO"), ==, PAGE_LINES + flushes);
    g_assert_cmpint(sent_all(info, "h2d-req"), ==, 0);
    g_assert_cmpint(sent_all(info, "d2h-data"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, 0);
    g_assert_cmpint(qdict_get_int(device(info), "once-lines"), ==, 0);
    g_assert_cmpint(qct_trap(info, "held"), ==, 1);
    g_assert_cmpint(qct_trap(info, "zapped"), >=, 1);
    g_assert_cmpint(qct_trap(info, "reads"), ==, 0);
    requests = sent_all(info, "d2h-req");

    /* Looking costs nothing, and writing to the window does nothing. */
    check_window(&r, MESI_M);
    for (uint64_t at = 0; at < QCT_WINDOW_SIZE; at += 1000 * 8) {
        qpci_io_writeq(r.t->c->pci->pdev, r.t->window, at, UINT64_MAX);
    }
    check_window(&r, MESI_M);
    again = qct_query(r.qts);
    check_same(info, again);
    qobject_unref(info);
    qobject_unref(again);

    /* A small access is stopped, a large one says before that it comes. */
    if (dma) {
        qtest_memread(r.qts, r.dst, page, PAGE);
        g_assert_cmpmem(page, PAGE, r.cipher, PAGE);
    } else {
        g_assert_cmphex(qtest_readb(r.qts, r.dst + 99), ==, r.cipher[99]);
    }
    /* This device does not keep what somebody reads. */
    check_window(&r, MESI_I);
    info = qct_query(r.qts);
    qct_check_quiet(info);
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES);
    g_assert_cmpint(sent_all(info, "h2d-req"), ==, PAGE_LINES);
    g_assert_cmpint(sent(info, "h2d-req", snoop), ==, PAGE_LINES);
    g_assert_cmpint(sent(info, "d2h-rsp", "RspIFwdM"), ==, PAGE_LINES);
    g_assert_cmpint(qct_access(info, access, "count"), ==, PAGE_LINES);
    g_assert_cmpint(qct_access(info, access, "snoops"), ==, PAGE_LINES);
    g_assert_cmpint(qct_access(info, access, "dirty"), ==, PAGE_LINES);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
    g_assert_cmpint(qct_trap(info, "reads"), ==, !dma);
    g_assert_cmpint(qct_trap(info, "dma"), ==, dma);
    g_assert_cmpint(qct_trap(info, "ahead"), ==, 0);
    g_assert_cmpint(qct_trap(info, "writes"), ==, 0);
    /* The device has not asked for anything. */
    g_assert_cmpint(sent_all(info, "d2h-req"), ==, requests);
    qobject_unref(info);

    qtest_writeb(r.qts, r.dst + 100, 0xaa);
    check_window(&r, MESI_I);
    info = qct_query(r.qts);
    qct_check_quiet(info);
    g_assert_cmpint(sent_all(info, "h2d-req"), ==, PAGE_LINES);
    g_assert_cmpint(qct_trap(info, "writes"), ==, 0);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
    r.cipher[100] = 0xaa;
    qtest_memread(r.qts, r.dst, page, PAGE);
    g_assert_cmpmem(page, PAGE, r.cipher, PAGE);
out:
    qobject_unref(info);
    rig_end(&r);
}

/* Accesses of all sizes, also across slots and where nothing is aligned */
static void test_window_accesses(void)
{
    static const unsigned sizes[] = { 1, 2, 3, 4, 5, 7, 8, 64, 200 };
    g_autofree QCTSlot *slot = NULL;
    QPCIDevice *pci;
    uint8_t *image;
    QDict *info;
    int first, end;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, ",id=t1");
    pci = r.t->c->pci->pdev;
    encrypt(&r);
    info = qct_query(r.qts);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    slot = qct_read_window(r.t);
    for (first = 0; !(slot[first].ats & cpu_to_le64(1)); first++) {
        g_assert_cmpint(first, <, CACHE_LINES - 1);
    }
    qpci_io_writel(pci, r.t->window, QCT_WINDOW_PAGE,
                   first / QCT_WINDOW_PAGE_SLOTS);
    image = (uint8_t *)&slot[QEMU_ALIGN_DOWN(first, QCT_WINDOW_PAGE_SLOTS)];
    first %= QCT_WINDOW_PAGE_SLOTS;
    end = MIN(first + 2, QCT_WINDOW_PAGE_SLOTS) * SLOT;
    for (int at = first * SLOT; at < end; at++) {
        for (int i = 0; i < ARRAY_SIZE(sizes); i++) {
            uint8_t buf[200];

            if (at + sizes[i] <= QCT_WINDOW_PAGE_SLOTS * SLOT) {
                qpci_memread(pci, r.t->window, at, buf, sizes[i]);
                g_assert_cmpmem(buf, sizes[i], image + at, sizes[i]);
            }
        }
        g_assert_cmphex(qpci_io_readb(pci, r.t->window, at), ==, image[at]);
    }
    for (int at = first * SLOT; at < (first + 1) * SLOT; at += 8) {
        g_assert_cmphex(qpci_io_readw(pci, r.t->window, at + 2), ==,
                        lduw_le_p(image + at + 2));
        g_assert_cmphex(qpci_io_readl(pci, r.t->window, at + 4), ==,
                        (uint32_t)ldl_le_p(image + at + 4));
        g_assert_cmphex(qpci_io_readq(pci, r.t->window, at), ==,
                        ldq_le_p(image + at));
    }
out:
    qobject_unref(info);
    rig_end(&r);
}

static uint32_t window_get(Rig *r, uint64_t reg)
{
    return qpci_io_readl(r->t->c->pci->pdev, r->t->window, reg);
}

static void window_turn(Rig *r, uint32_t page)
{
    qpci_io_writel(r->t->c->pci->pdev, r->t->window, QCT_WINDOW_PAGE, page);
}

/* Caches of whole pages, of less than one, and with a last one that is not */
static void test_window_page(void)
{
    static const struct {
        const char *opts;
        uint32_t lines, pages;
    } caches[] = {
        { ",id=t1", 16384, 8 },
        { ",id=t1,cache-size=64K", 1024, 1 },
        { ",id=t1,cache-size=448K", 7168, 4 },
        { ",id=t1,cache-size=255M", 4177920, 2040 },
    };

    for (int i = 0; i < ARRAY_SIZE(caches); i++) {
        uint32_t last = caches[i].pages - 1;
        QPCIDevice *pci;
        uint64_t end;
        Rig r;

        rig_start(&r, QCXL_SHARED_RAM, caches[i].opts);
        pci = r.t->c->pci->pdev;
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_LINES), ==,
                         caches[i].lines);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE_LINES), ==,
                         QCT_WINDOW_PAGE_SLOTS);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE), ==, 0);

        /* A way that is empty is in state I; behind the last there is none. */
        window_turn(&r, last);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE), ==, last);
        end = (caches[i].lines - 1) % QCT_WINDOW_PAGE_SLOTS * SLOT + SLOT;
        g_assert_cmphex(window_get(&r, end - SLOT + 72), ==, MESI_I);
        g_assert_cmphex(window_get(&r, end % QCT_WINDOW_LINES + 72), ==,
                        end == QCT_WINDOW_LINES ? MESI_I : 0);

        /* No such page; not a register's size; not a register */
        window_turn(&r, last + 1);
        window_turn(&r, UINT32_MAX);
        qpci_io_writeb(pci, r.t->window, QCT_WINDOW_PAGE, 0);
        qpci_io_writew(pci, r.t->window, QCT_WINDOW_PAGE, 0);
        qpci_io_writew(pci, r.t->window, QCT_WINDOW_PAGE + 2, 0);
        qpci_io_writel(pci, r.t->window, QCT_WINDOW_LINES, 0);
        qpci_io_writel(pci, r.t->window, QCT_WINDOW_PAGE_LINES, 0);
        qpci_io_writel(pci, r.t->window, QCT_WINDOW_PAGE + 4, 0);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE), ==, last);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE + 4), ==, 0);
        g_assert_cmpuint(window_get(&r, QCT_WINDOW_SIZE - 4), ==, 0);
        rig_end(&r);
    }
}

static void test_window_page_reset(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, ",id=t1");
    window_turn(&r, 7);
    qcxl_secondary_reset(r.cxl);
    /* Its BARs are not decoded any more */
    qct_free(r.t, true);
    r.t = qct_new(r.cxl, &r.alloc, key);
    g_assert_cmpuint(window_get(&r, QCT_WINDOW_PAGE), ==, 0);
    rig_end(&r);
}

static void test_window_log(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-query-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(",id=t1 -d guest_errors -D %s",
                                            log);
    g_autofree char *said = NULL;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, opts);
    qpci_io_writel(r.t->c->pci->pdev, r.t->window, 72, 0);
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    g_assert_nonnull(strstr(said, "t1: the cache window is read-only"));
    g_assert_null(strstr(said, "there is no page"));
    g_clear_pointer(&said, g_free);
    window_turn(&r, 8);
    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    g_assert_nonnull(strstr(said, "t1: the cache window has 8 pages: "
                            "there is no page 8"));
    unlink(log);
    rig_end(&r);
}

/* RAM that cannot be trapped: lines are used once, and it says why. */
static void test_use_once(void)
{
    uint8_t page[PAGE];
    QDict *info;
    Rig r;

    rig_start(&r, QCT_PRIVATE_RAM, "");
    encrypt(&r);
    check_window(&r, MESI_I);
    info = qct_query(r.qts);
    qct_check_quiet(info);
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES);
    g_assert_cmpint(qdict_get_int(device(info), "once-lines"), ==,
                    PAGE_LINES);
    g_assert_cmpint(sent(info, "d2h-req", "ItoMWr"), ==, PAGE_LINES);
    g_assert_cmpint(sent(info, "h2d-rsp", "GO_WritePull"), ==, PAGE_LINES);
    g_assert_cmpint(sent_all(info, "d2h-data"), ==, PAGE_LINES);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    g_assert_cmpint(qct_trap(info, "zapped"), ==, 0);
    g_assert_true(qct_has_obstacle(info));
    /* The device was given no id. */
    g_assert_false(qdict_haskey(device(info), "id"));
    g_assert_true(g_str_has_prefix(qdict_get_str(device(info), "qom-path"),
                                   "/machine/peripheral-anon/"));
    qobject_unref(info);
    qtest_memread(r.qts, r.dst, page, PAGE);
    g_assert_cmpmem(page, PAGE, r.cipher, PAGE);
    rig_end(&r);
}

static void check_mode(Rig *r, const char *mode)
{
    QDict *info = qct_query(r->qts);

    g_assert_cmpstr(qdict_get_str(device(info), "mode"), ==, mode);
    qobject_unref(info);
}

#ifdef CONFIG_LINUX
/* T64: while somebody goes past the page tables all lines are at home. */
static void test_bypass(void)
{
    QVhostUserPeer *peer = qvhost_user_peer_new(NULL, NULL);
    g_autofree char *opts =
        g_strdup_printf(QCXL_SHARED_RAM "-chardev socket,id=c0,path=%s ",
                        qvhost_user_peer_path(peer));
    uint8_t page[PAGE];
    QDict *info;
    Rig r;

    rig_start(&r, opts, "");
    encrypt(&r);
    info = qct_query(r.qts);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    g_assert_cmpint(lines_in(info, "M"), ==, PAGE_LINES);
    g_assert_false(qct_has_obstacle(info));
    qobject_unref(info);

    qtest_qmp_assert_success(r.qts, "{'execute': 'netdev_add', 'arguments': "
                             "{'type': 'vhost-user', 'id': 'n0', "
                             "'chardev': 'c0'}}");
    info = qct_query(r.qts);
    g_assert_true(qct_has_obstacle(info));
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, PAGE_LINES);
    qobject_unref(info);
    qtest_memread(r.qts, r.dst, page, PAGE);
    g_assert_cmpmem(page, PAGE, r.cipher, PAGE);

    encrypt(&r);
    info = qct_query(r.qts);
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES);
    g_assert_cmpint(qdict_get_int(device(info), "once-lines"), ==, PAGE_LINES);
    qtest_memread(r.qts, r.dst, page, PAGE);
    g_assert_cmpmem(page, PAGE, r.cipher, PAGE);
    qobject_unref(info);

    qtest_qmp_assert_success(r.qts, "{'execute': 'netdev_del', 'arguments': "
                             "{'id': 'n0'}}");
    encrypt(&r);
    info = qct_query(r.qts);
    g_assert_false(qct_has_obstacle(info));
    g_assert_cmpint(lines_in(info, "M"), ==, PAGE_LINES);
out:
    qobject_unref(info);
    rig_end(&r);
    qvhost_user_peer_free(peer);
}
#endif /* CONFIG_LINUX */

static void test_description(void)
{
    QDict *info, *dev;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, ",id=t1,cache-size=512K,cache-ways=4");
    info = qct_query(r.qts);
    dev = device(info);
    g_assert_cmpstr(qdict_get_str(dev, "id"), ==, "t1");
    g_assert_cmpstr(qdict_get_str(dev, "qom-path"), ==,
                    "/machine/peripheral/t1");
    g_assert_cmpint(qdict_get_int(dev, "size"), ==, 512 * KiB);
    g_assert_cmpint(qdict_get_int(dev, "ways"), ==, 4);
    g_assert_cmpint(lines_in(info, "I"), ==, 512 * KiB / 64);
    /* As the root port has it by default: 16M */
    g_assert_cmpint(qdict_get_int(info, "filter-lines"), ==, 16 * MiB / 64);
    qobject_unref(info);
    check_mode(&r, "on");
    qct_set_disable_caching(r.t, true);
    check_mode(&r, "once");
    qct_set_cache_enable(r.t, false);
    check_mode(&r, "off");
    rig_end(&r);
}

/* A system reset drops what was not written back, and says how much. */
static void test_reset(void)
{
    QDict *info;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, ",id=t1");
    encrypt(&r);
    info = qct_query(r.qts);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    g_assert_cmpint(qdict_get_int(device(info), "lost-lines"), ==, 0);
    qobject_unref(info);
    qtest_system_reset(r.qts);
    info = qct_query(r.qts);
    g_assert_cmpint(qdict_get_int(device(info), "lost-lines"), ==, PAGE_LINES);
    g_assert_cmpint(lines_in(info, "I"), ==, CACHE_LINES);
    g_assert_cmpint(qdict_get_int(info, "tracked-lines"), ==, 0);
    g_assert_cmpint(qdict_get_int(info, "write-backs"), ==, 0);
    g_assert_cmpint(qct_trap(info, "held"), ==, 0);
    qct_check_quiet(info);
out:
    qobject_unref(info);
    qcxl_init(r.cxl);
    qvirtio_pci_device_enable(r.t->c->pci);
    rig_end(&r);
}

/* A snoop filter that is smaller than the cache takes lines back. */
static void test_filter(void)
{
    enum { FILTER = 1024, PAGES = 24 };
    uint64_t pages, first_dst;
    QDict *info;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM "-global cxl-rp.cxl-cache-sf-size=64K ",
              ",id=t1");
    pages = guest_alloc(&r.alloc, PAGES * PAGE);
    first_dst = r.dst;
    for (int i = 0; i < PAGES; i++) {
        r.dst = pages + i * PAGE;
        encrypt(&r);
    }
    r.dst = first_dst;
    info = qct_query(r.qts);
    if (!qct_cannot_keep(info)) {
        qct_check_quiet(info);
        g_assert_cmpint(qdict_get_int(info, "filter-lines"), ==, FILTER);
        g_assert_cmpint(qdict_get_int(info, "tracked-lines"), <=, FILTER);
        g_assert_cmpint(qdict_get_int(info, "back-invalidations"), ==,
                        PAGES * PAGE_LINES - lines_in(info, "M"));
        g_assert_cmpint(qdict_get_int(info, "back-invalidations"), ==,
                        qdict_get_int(info, "write-backs"));
        g_assert_cmpint(qdict_get_int(info, "back-invalidations"), >=,
                        PAGES * PAGE_LINES - FILTER);
        g_assert_cmpint(sent(info, "h2d-req", "SnpInv"), ==,
                        qdict_get_int(info, "back-invalidations"));
    }
    qobject_unref(info);
    guest_free(&r.alloc, pages);
    rig_end(&r);
}

static char *info_cxl_cache(QTestState *qts)
{
    return qtest_hmp(qts, "info cxl-cache");
}

static void check_line(const char *text, const char *what, uint64_t n)
{
    g_autofree char *pattern = g_strdup_printf("(?m)^ +%s +%" PRIu64 "\r?$",
                                               what, n);

    if (!g_regex_match_simple(pattern, text, 0, 0)) {
        g_error("no line \"%s %" PRIu64 "\" in\n%s", what, n, text);
    }
}

/* The same numbers for people; opcodes that were not sent are left out. */
static void test_hmp(void)
{
    g_autofree char *text = NULL;
    QDict *info;
    Rig r;

    rig_start(&r, QCT_PRIVATE_RAM, ",id=t1");
    encrypt(&r);
    info = qct_query(r.qts);
    text = info_cxl_cache(r.qts);
    check_line(text, "ItoMWr", PAGE_LINES);
    check_line(text, "GO_WritePull", PAGE_LINES);
    check_line(text, "Data", PAGE_LINES);
    check_line(text, "RdCurr", sent(info, "d2h-req", "RdCurr"));
    check_line(text, "lines in I", CACHE_LINES);
    check_line(text, "lines written through", PAGE_LINES);
    check_line(text, "pages held", 0);
    g_assert_nonnull(strstr(text, "device t1 /machine/peripheral/t1"));
    g_assert_true(qct_has_obstacle(info));
    g_assert_nonnull(strstr(text, qdict_get_str(qdict_get_qdict(info, "trap"),
                                                "obstacle")));
    g_assert_null(strstr(text, "RdOwnNoData"));
    g_assert_null(strstr(text, "SnpData"));
    g_assert_null(strstr(text, "lines in M"));
    qobject_unref(info);
    rig_end(&r);
}

static void check_no_device(QTestState *qts)
{
    g_autofree char *text = NULL;
    QDict *rsp = qtest_qmp(qts, "{'execute': 'x-query-cxl-cache'}");

    qmp_expect_error_and_unref(rsp, "GenericError");
    text = info_cxl_cache(qts);
    g_assert_nonnull(strstr(text, "has no CXL.cache device"));
}

/* What has become of the last one's lines can still be asked. */
static void check_device_gone(QTestState *qts)
{
    QDict *info = qct_query(qts);
    g_autofree char *text = NULL;

    g_assert_true(qlist_empty(qdict_get_qlist(info, "devices")));
    g_assert_cmpint(qdict_get_int(info, "lost-lines"), ==, 0);
    qobject_unref(info);
    text = qtest_hmp(qts, "info cxl-cache");
    g_assert_null(strstr(text, "has no CXL.cache device"));
    g_assert_nonnull(strstr(text, "lines lost"));
}

static void test_no_device(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE);
    QCXL *cxl;
    QDict *rsp;

    check_no_device(qts);
    qtest_quit(qts);

    qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                     QCXL_RP ",cxl-cache=on " QCT_BACKEND QCT_DEVICE ",id=t1");
    cxl = qcxl_new(qts);
    rsp = qtest_qmp(qts, "{'execute': 'x-query-cxl-cache'}");
    g_assert_true(qdict_haskey(rsp, "return"));
    qobject_unref(rsp);
    qcxl_unplug(cxl, "t1");
    check_device_gone(qts);
    qcxl_free(cxl);
    qtest_quit(qts);
}

/* How many lines of the log have all of these words */
static unsigned count_log(const char *log, const char *a, const char *b)
{
    g_autofree char *said = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    lines = g_strsplit(said, "\n", -1);
    for (char **l = lines; *l; l++) {
        n += strstr(*l, a) && strstr(*l, b);
    }
    return n;
}

static void trace(Rig *r, const char *events, bool on)
{
    g_autofree char *said = qtest_hmp(r->qts, "trace-event %s %s", events,
                                      on ? "on" : "off");

    g_assert_cmpstr(said, ==, "");
}

/*
 * All of the first device's messages since @before are in the log, and no
 * others: what scripts/cxl-chart draws is what was counted.
 */
static void check_trace_counts(const char *log, QDict *before, QDict *after)
{
    static const char *const names[] = {
        "t1: D2H Req ", "t1: D2H Rsp ", "t1: D2H Data ",
        "t1: H2D Req ", "t1: H2D Rsp ", "t1: H2D Data ",
    };
    QList *channels = qdict_get_qlist(device(after), "channels");
    const char *const *name = names;
    const QListEntry *ch, *op;

    QLIST_FOREACH_ENTRY(channels, ch) {
        QDict *channel = qobject_to(QDict, qlist_entry_obj(ch));
        const char *id = qdict_get_str(channel, "channel");
        bool data = g_str_has_suffix(id, "data");

        QLIST_FOREACH_ENTRY(qdict_get_qlist(channel, "opcodes"), op) {
            QDict *opcode = qobject_to(QDict, qlist_entry_obj(op));
            const char *code = qdict_get_str(opcode, "name");
            g_autofree char *said = g_strdup_printf("%s%s%s", *name,
                                                    data ? "0x" : code,
                                                    data ? "" : " ");

            g_assert_cmpint(count_log(log, said, ""), ==,
                            qdict_get_int(opcode, "count") -
                            sent(before, id, code));
        }
        name++;
    }
}

/* Every message of every line, with the line's address */
static void test_trace(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-trace-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(",id=t1 -D %s", log);
    QDict *before, *info;
    Rig r;

    unlink(log);
    rig_start(&r, QCXL_SHARED_RAM, opts);
    before = qct_query(r.qts);
    trace(&r, "cxl_cache_*", true);
    encrypt(&r);
    qtest_readb(r.qts, r.dst);
    info = qct_query(r.qts);
    check_trace_counts(log, before, info);
    if (qct_cannot_keep(info)) {
        goto out;
    }
    trace(&r, "cxl_cache_*", false);
    /* Silent again */
    qtest_memset(r.qts, r.dst, 0, PAGE);
    encrypt(&r);

    for (int i = 0; i < PAGE_LINES; i++) {
        g_autofree char *addr = g_strdup_printf(" 0x%" PRIx64 " ",
                                                r.dst + i * 64);

        g_assert_cmpuint(count_log(log, "t1: D2H Req RdOwnNoData", addr), ==,
                         1);
        g_assert_cmpuint(count_log(log, "t1: H2D Rsp GO state E RspData 0x002",
                                   addr), ==, 1);
        g_assert_cmpuint(count_log(log, "t1: H2D Req Snp", addr), ==, 1);
        g_assert_cmpuint(count_log(log, "t1: D2H Rsp Rsp", addr), ==, 1);
        g_assert_cmpuint(count_log(log, "t1: D2H Data", addr), ==, 1);
        g_assert_cmpuint(count_log(log, addr, "t1: "), ==, 5);
    }
    g_assert_cmpuint(count_log(log, "t1: D2H Req RdCurr 0x", " CQID "), ==,
                     count_log(log, "t1: H2D Data 0x", " CQID "));
    g_assert_cmpuint(count_log(log, "t1: D2H Req RdCurr 0x", " CQID "), >=,
                     PAGE_LINES);
    g_assert_cmpuint(count_log(log, "0xffffffffffffffff ", ""), ==, 0);
    g_assert_cmpuint(count_log(log, "cxl_cache_fault", ""), ==, 1);
    g_assert_cmpuint(count_log(log, "cxl_cache_dma", ""), ==, 0);
    g_assert_cmpuint(count_log(log, "cxl_cache_zap", ""), ==, 1);
out:
    qobject_unref(before);
    qobject_unref(info);
    rig_end(&r);
    unlink(log);
}

/* The trace is on, and what comes first is no request. */
static void test_trace_reset(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-trace-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(",id=t1 -D %s", log);
    QDict *before, *info;
    Rig r;

    unlink(log);
    rig_start(&r, QCXL_SHARED_RAM, opts);
    encrypt(&r);
    before = qct_query(r.qts);
    trace(&r, "cxl_cache_*", true);
    qcxl_secondary_reset(r.cxl);
    info = qct_query(r.qts);
    check_trace_counts(log, before, info);
    if (!qct_cannot_keep(info)) {
        g_assert_cmpuint(count_log(log, "t1: D2H Req DirtyEvict ", ""), ==,
                         PAGE_LINES);
    }
    qobject_unref(before);
    qobject_unref(info);
    qvirtio_pci_device_enable(r.t->c->pci);
    rig_end(&r);
    unlink(log);
}

/* Lines that are not kept are named one by one. */
static void test_trace_once(void)
{
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-trace-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(",writeback=through,id=t1 -D %s",
                                            log);
    Rig r;

    unlink(log);
    rig_start(&r, QCXL_SHARED_RAM, opts);
    trace(&r, "cxl_cache_once", true);
    encrypt(&r);
    for (int i = 0; i < PAGE_LINES; i++) {
        g_autofree char *addr = g_strdup_printf("t1: 0x%" PRIx64 " ",
                                                r.dst + i * 64);

        g_assert_cmpuint(count_log(log, addr, "is not kept"), ==, 1);
    }
    rig_end(&r);
    unlink(log);
}

/* Each channel's event is enough for itself. */
static void test_trace_one(void)
{
    static const char *const events[] = {
        "d2h_req", "d2h_rsp", "d2h_data", "h2d_req", "h2d_rsp", "h2d_data",
    };
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-trace-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(",id=t1 -D %s", log);
    uint8_t page[PAGE];
    QDict *info;
    Rig r;

    unlink(log);
    rig_start(&r, QCXL_SHARED_RAM, opts);
    for (int i = 0; i < ARRAY_SIZE(events); i++) {
        g_autofree char *event = g_strdup_printf("cxl_cache_%s", events[i]);

        trace(&r, event, true);
        encrypt(&r);
        qtest_memread(r.qts, r.dst, page, PAGE);
        trace(&r, event, false);
    }
    info = qct_query(r.qts);
    if (!qct_cannot_keep(info)) {
        for (int i = 0; i < ARRAY_SIZE(events); i++) {
            g_assert_cmpuint(count_log(log, events[i], "t1: "), >=,
                             PAGE_LINES);
        }
    }
    qobject_unref(info);
    rig_end(&r);
    unlink(log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_data_func("/cxl-cache-query/life-of-a-page", NULL,
                        test_life_of_a_page);
    qtest_add_data_func("/cxl-cache-query/life-of-a-page-by-dma", "",
                        test_life_of_a_page);
    qtest_add_func("/cxl-cache-query/window-accesses", test_window_accesses);
    qtest_add_func("/cxl-cache-query/window-log", test_window_log);
    qtest_add_func("/cxl-cache-query/field/03-window-page", test_window_page);
    qtest_add_func("/cxl-cache-query/field/03-window-page-reset",
                   test_window_page_reset);
    qtest_add_func("/cxl-cache-query/use-once", test_use_once);
#ifdef CONFIG_LINUX
    qtest_add_func("/cxl-cache-query/bypass", test_bypass);
#endif
    qtest_add_func("/cxl-cache-query/description", test_description);
    qtest_add_func("/cxl-cache-query/reset", test_reset);
    qtest_add_func("/cxl-cache-query/filter", test_filter);
    qtest_add_func("/cxl-cache-query/hmp", test_hmp);
    qtest_add_func("/cxl-cache-query/no-device", test_no_device);
    qtest_add_func("/cxl-cache-query/trace", test_trace);
    qtest_add_func("/cxl-cache-query/trace-reset", test_trace_reset);
    qtest_add_func("/cxl-cache-query/trace-once", test_trace_once);
    qtest_add_func("/cxl-cache-query/trace-one", test_trace_one);
    return g_test_run();
}
