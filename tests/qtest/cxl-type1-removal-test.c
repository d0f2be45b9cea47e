/*
 * QTest testcase for cxl-type1-crypto when it hangs or goes away
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Requests that hang, and all that may become of them; a link that goes down
 * and a device that is pulled out, with results of which memory knows nothing
 * yet; and a guest that does everything wrong meanwhile.
 *
 * Requests that fail are in cxl-type1-fault-test. T73 is the number of a case
 * in the project's list of protocol tests.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqmp.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "hw/pci/pci_regs.h"
#include "standard-headers/linux/virtio_pci.h"

/* Component registers: CXL.cachemem is behind 4 KiB of CXL.io */
#define COMPONENT_BAR   2
#define CACHEMEM        0x1000
#define RAS_UNC_MASK    0x04

#define PAGE        QCT_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define AREA        (4 * PAGE)
#define OLD         0x5a
#define STRANGE     0x77

/* In the area: what is modified when a request hangs, that one, the next */
#define FIRST       0
#define FIRST_LEN   512
#define HUNG        (PAGE - 24)
#define HUNG_LEN    (PAGE + 48)
#define NEXT        (3 * PAGE)
#define NEXT_LEN    512

static const char *const points[] = {
    NULL, "source-read", "ownership", "half-written", "publication"
};

typedef struct Rig {
    QCTRig rig;
    QCXLType1 *t;
    QTestState *qts;
    const char *unplug;
    uint64_t src;
    uint64_t area;
    uint8_t *once;          /* what becomes of the source */
    uint8_t image[AREA];    /* what the area has to be */
    QCTRequest hung, next;
} Rig;

static void rig_start(Rig *r, const char *ram, const char *unplug,
                      const char *more)
{
    g_autofree char *opts = g_strdup_printf(",unplug=%s%s", unplug, more);

    *r = (Rig) { .unplug = unplug };
    qct_rig_start(&r->rig, ram, opts);
    r->t = r->rig.t[0];
    r->qts = r->rig.qts;
    r->src = qct_alloc_source(&r->rig, AREA);
    r->once = qct_encrypt_uncached(&r->rig, r->src, AREA);
    r->area = qct_alloc_filled(&r->rig, AREA, OLD);
    memset(r->image, OLD, AREA);
}

static void rig_end(Rig *r)
{
    g_free(r->once);
    qct_rig_end(&r->rig);
}

static void check_area(Rig *r)
{
    qct_check_memory(&r->rig, r->area, r->image, AREA);
}

static void encrypt_to(Rig *r, uint32_t at, uint32_t len)
{
    qct_encrypt(r->t, r->src, r->area + at, len);
    memcpy(r->image + at, r->once, len);
}

static void prepare(Rig *r, QCTRequest *q, uint32_t at, uint32_t len)
{
    qct_prepare(r->t, q, qct_iv, (QCTSeg[]) { { r->src, len }, { } },
                (QCTSeg[]) { { r->area + at, len }, { } });
}

static void post(Rig *r, QCTRequest *q, uint32_t at, uint32_t len)
{
    prepare(r, q, at, len);
    qct_submit(r->t, q);
}

static void complete(Rig *r, QCTRequest *q, uint32_t at, uint32_t len)
{
    g_assert_cmpuint(qct_wait(r->t, q), ==, VIRTIO_CRYPTO_OK);
    memcpy(r->image + at, r->once, len);
}

static bool can_keep(Rig *r)
{
    QDict *info = qct_query(r->qts);
    bool can = !qct_has_obstacle(info);

    qobject_unref(info);
    return can;
}

/* Skips what is about lines that are kept. */
static bool cannot_keep(Rig *r)
{
    QDict *info = qct_query(r->qts);
    bool cannot = qct_cannot_keep(info);

    qobject_unref(info);
    return cannot;
}

static int64_t lines_of(Rig *r, unsigned n, const char *state)
{
    QDict *info = qct_query(r->qts);
    int64_t lines = qct_lines(qct_device(info, n), state);

    qobject_unref(info);
    return lines;
}

/* The device does its work, with its cache. */
static void check_works(Rig *r)
{
    bool keep;

    qtest_memset(r->qts, r->area, OLD, AREA);
    memset(r->image, OLD, AREA);
    encrypt_to(r, PAGE, PAGE);
    keep = can_keep(r) && !r->rig.t[1];
    if (keep) {
        g_assert_cmpint(lines_of(r, 0, "M"), ==, PAGE_LINES);
    }
    check_area(r);
}

/* A device for the driver to set up, after a reset or a new one */
static void new_device(Rig *r)
{
    qct_start_again(&r->rig, 0);
    r->t = r->rig.t[0];
}

static void plug_again(Rig *r)
{
    qtest_qmp_device_add(r->qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0', 'unplug': %s}",
                         r->unplug);
    qcxl_plugged(r->t->cxl);
    new_device(r);
}

static void fault_now(Rig *r, const char *kind)
{
    qct_fault(r->qts, &(QCTFault) { kind });
}

static void wait_link_down(Rig *r)
{
    /* The command comes back before the machine's main loop has done it. */
    while (!qct_fault_is(r->qts, "link-down")) {
        g_usleep(100);
    }
}

static void wait_removed(Rig *r)
{
    qtest_qmp_eventwait(r->qts, "DEVICE_DELETED");
    g_assert_null(qcxl_endpoint(r->t->cxl));
}

/* Requests that hang */

static void check_nothing_done(Rig *r)
{
    uint32_t head, len;

    g_assert_cmphex(qtest_readb(r->qts, r->hung.status_addr), ==,
                    QCT_NO_STATUS);
    g_assert_cmphex(qtest_readb(r->qts, r->next.status_addr), ==,
                    QCT_NO_STATUS);
    g_assert_false(qvirtqueue_get_buf(r->qts, r->t->c->vqs[0], &head, &len));
}

static void hang(Rig *r, const char *point)
{
    uint64_t id;

    encrypt_to(r, FIRST, FIRST_LEN);
    qct_fault(r->qts, &(QCTFault) { "hang", point });
    post(r, &r->hung, HUNG, HUNG_LEN);
    post(r, &r->next, NEXT, NEXT_LEN);
    qct_wait_held(r->qts, 2);
    g_assert_true(qct_fault_is(r->qts, "hung"));
    check_nothing_done(r);
    /* It is the engine that hangs, the control queue is there. */
    g_assert_cmpuint(qvirtio_crypto_create_cipher(r->t->c,
                         VIRTIO_CRYPTO_CIPHER_AES_CBC,
                         VIRTIO_CRYPTO_OP_ENCRYPT, qct_key, 16, &id), ==,
                     VIRTIO_CRYPTO_OK);
}

/* A CPU that uses what is around the results, and looks at their place */
static void touch(Rig *r)
{
    static const uint32_t around[] = {
        HUNG - 1, HUNG - 40, HUNG + HUNG_LEN, HUNG + HUNG_LEN + 30
    };

    for (int i = 0; i < ARRAY_SIZE(around); i++) {
        qtest_writeb(r->qts, r->area + around[i], STRANGE);
        r->image[around[i]] = STRANGE;
    }
    check_area(r);
}

static void forget(Rig *r)
{
    qct_forget(&r->hung);
    qct_forget(&r->next);
}

static void check_forgotten(Rig *r)
{
    g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 0);
    g_assert_false(qct_fault_is(r->qts, "hung"));
    check_area(r);
    forget(r);
}

static void clear_and_complete(Rig *r)
{
    qct_clear(r->qts);
    complete(r, &r->hung, HUNG, HUNG_LEN);
    complete(r, &r->next, NEXT, NEXT_LEN);
    g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 0);
    check_area(r);
}

static void stop(Rig *r)
{
    qtest_qmp_assert_success(r->qts, "{'execute': 'stop'}");
}

static void cont(Rig *r)
{
    qtest_qmp_assert_success(r->qts, "{'execute': 'cont'}");
}

static void stop_cont_clear(Rig *r)
{
    stop(r);
    check_nothing_done(r);
    cont(r);
    qct_wait_held(r->qts, 2);
    check_nothing_done(r);
    clear_and_complete(r);
}

/* A machine that is stopped does nothing, whatever it is told. */
static void stop_clear_cont(Rig *r)
{
    stop(r);
    qct_clear(r->qts);
    g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 2);
    check_nothing_done(r);
    cont(r);
    complete(r, &r->hung, HUNG, HUNG_LEN);
    complete(r, &r->next, NEXT, NEXT_LEN);
    check_area(r);
}

static void flr(Rig *r)
{
    QPCIDevice *pdev = r->t->c->pci->pdev;
    uint8_t cap = qpci_find_capability(pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(pdev, cap + PCI_EXP_DEVCTL, qcxl_readw(pdev, cap +
                PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
    check_forgotten(r);
    qvirtio_crypto_release(r->t->c);
    qvirtio_pci_device_enable(r->t->c->pci);
    qct_attach(r->t, qct_key);
}

static void virtio_reset(Rig *r)
{
    qvirtio_crypto_stop(r->t->c);
    check_forgotten(r);
    qct_attach(r->t, qct_key);
}

static void common_writew(Rig *r, size_t off, uint16_t val)
{
    QVirtioPCIDevice *pci = r->t->c->pci;

    qpci_io_writew(pci->pdev, pci->bar, pci->common_cfg_offset + off, val);
}

/* Forgets the requests; the device hangs on. */
static void queue_reset(Rig *r)
{
    QVirtioCrypto *c = r->t->c;
    QVirtQueue *vq = c->vqs[0];

    common_writew(r, offsetof(struct virtio_pci_common_cfg, queue_select), 0);
    common_writew(r, offsetof(struct virtio_pci_modern_common_cfg,
                              queue_reset), 1);
    g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 0);
    g_assert_true(qct_fault_is(r->qts, "hung"));
    check_area(r);
    forget(r);
    c->in_flight = 0;
    qvring_init(r->qts, &r->rig.alloc, vq, vq->desc);
    vq->last_used_idx = 0;
    qvirtqueue_reset_pool(vq);
    vq->vdev->bus->set_queue_address(vq->vdev, vq);
    common_writew(r, offsetof(struct virtio_pci_common_cfg, queue_enable), 1);
    post(r, &r->hung, HUNG, HUNG_LEN);
    post(r, &r->next, NEXT, NEXT_LEN);
    qct_wait_held(r->qts, 2);
    clear_and_complete(r);
}

static void secondary_reset(Rig *r)
{
    qcxl_secondary_reset(r->t->cxl);
    check_forgotten(r);
    new_device(r);
}

/* Drops what the cache has. */
static void system_reset(Rig *r)
{
    bool kept = lines_of(r, 0, "M");

    qtest_system_reset(r->qts);
    if (kept) {
        memset(r->image + FIRST, OLD, FIRST_LEN);
    }
    check_forgotten(r);
    qcxl_init(r->t->cxl);
    new_device(r);
}

static void unplug(Rig *r)
{
    qcxl_unplug(r->t->cxl, "t0");
    check_area(r);
    forget(r);
    plug_again(r);
}

/* Lines that the completed request left modified */
static void lose_first(Rig *r)
{
    if (!strcmp(r->unplug, "poison") && lines_of(r, 0, "M")) {
        for (int i = 0; i < FIRST_LEN; i += 4) {
            stl_le_p(r->image + FIRST + i, 0xbaadf00d);
        }
    }
}

static void removal(Rig *r)
{
    lose_first(r);
    fault_now(r, "removal");
    wait_removed(r);
    check_area(r);
    forget(r);
    plug_again(r);
}

static void link_down(Rig *r)
{
    lose_first(r);
    fault_now(r, "link-down");
    wait_link_down(r);
    check_forgotten(r);
    qct_clear(r->qts);
    check_area(r);
    new_device(r);
}

static const struct {
    const char *name;
    void (*end)(Rig *r);
} ends[] = {
    { "clear", clear_and_complete },
    { "stop-cont-clear", stop_cont_clear },
    { "stop-clear-cont", stop_clear_cont },
    { "flr", flr },
    { "virtio-reset", virtio_reset },
    { "queue-reset", queue_reset },
    { "secondary-reset", secondary_reset },
    { "system-reset", system_reset },
    { "unplug", unplug },
    { "removal", removal },
    { "link-down", link_down },
};

/* The device is as good as new after each, so one machine is enough. */
static void check_hang(const char *ram, const char *unplug, int end)
{
    Rig r;

    rig_start(&r, ram, unplug, "");
    for (int i = 0; i < ARRAY_SIZE(points); i++) {
        for (int touched = 0; touched < 2; touched++) {
            g_test_message("%s%s", points[i] ?: "now",
                           touched ? ", touched" : "");
            hang(&r, points[i]);
            if (touched) {
                touch(&r);
            }
            ends[end].end(&r);
            check_works(&r);
        }
    }
    rig_end(&r);
}

static void test_hang(const void *opaque)
{
    check_hang(QCXL_SHARED_RAM, "rescue", GPOINTER_TO_INT(opaque));
}

static void test_hang_poison(const void *opaque)
{
    check_hang(QCXL_SHARED_RAM, "poison", GPOINTER_TO_INT(opaque));
}

static void test_hang_private(const void *opaque)
{
    check_hang(QCT_PRIVATE_RAM, "rescue", GPOINTER_TO_INT(opaque));
}

/* The end of the machine is one of a request, too. */
static void test_hang_quit(void)
{
    for (int i = 0; i < ARRAY_SIZE(points); i++) {
        QCXL *cxl;
        Rig r;

        rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
        hang(&r, points[i]);
        forget(&r);
        cxl = r.t->cxl;
        qct_free(r.t, true);
        qcxl_free(cxl);
        alloc_destroy(&r.rig.alloc);
        qtest_quit(r.qts);
        g_free(r.once);
    }
}

/* Told to hang again while it hangs, and after it was cleared */
static void test_hang_again(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    hang(&r, "ownership");
    fault_now(&r, "hang");
    qct_fault(r.qts, &(QCTFault) { "hang", "publication" });
    clear_and_complete(&r);
    g_assert_false(qct_fault_is(r.qts, "armed"));
    hang(&r, "half-written");
    clear_and_complete(&r);
    check_works(&r);
    rig_end(&r);
}

/* MESI as the window has it, and the bits of its words */
enum { MESI_S = 1, MESI_E = 2, MESI_I = 3, MESI_M = 6 };
#define STATE_STAGED    0x40
#define ATS_VALID       1
#define ATS_EXCLUSIVE   2
#define ATS_ADDR        0x000fffffffffffc0ULL

typedef struct Seen {
    unsigned lines, staged;
} Seen;

/* What the window says about a page that a request hangs on */
static Seen look(Rig *r, uint64_t page, bool exclusive)
{
    g_autofree QCTSlot *slot = qct_read_window(r->t);
    Seen seen = { };

    for (unsigned i = 0; i < r->t->lines; i++) {
        uint64_t ats = le64_to_cpu(slot[i].ats);
        uint64_t addr = ats & ATS_ADDR;

        if (!(ats & ATS_VALID) || addr < page || addr >= page + PAGE) {
            continue;
        }
        seen.lines++;
        g_assert_cmphex(ats & ATS_EXCLUSIVE, ==,
                        exclusive ? ATS_EXCLUSIVE : 0);
        g_assert_cmphex(slot[i].state & ~STATE_STAGED, ==, MESI_E);
        if (slot[i].state & STATE_STAGED) {
            seen.staged++;
            g_assert_cmpmem(slot[i].data, 64, r->once + (addr - page), 64);
        }
    }
    return seen;
}

static void check_window(const char *point, bool rescue, unsigned lines,
                         unsigned staged)
{
    Seen seen;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, rescue ? "rescue" : "poison", "");
    qct_fault(r.qts, &(QCTFault) { "hang", point });
    post(&r, &r.hung, PAGE, PAGE);
    qct_wait_held(r.qts, 1);
    if (!cannot_keep(&r)) {
        seen = look(&r, r.area + PAGE, rescue);
        g_assert_cmpuint(seen.lines, ==, lines);
        g_assert_cmpuint(seen.staged, ==, staged);
        g_assert_cmpint(lines_of(&r, 0, "M"), ==, 0);
        /* A CPU gets the old bytes, and takes all of it away. */
        check_area(&r);
        seen = look(&r, r.area + PAGE, rescue);
        g_assert_cmpuint(seen.staged, ==, 0);
    }
    qct_clear(r.qts);
    complete(&r, &r.hung, PAGE, PAGE);
    check_area(&r);
    rig_end(&r);
}

static void test_window(void)
{
    for (int rescue = 0; rescue < 2; rescue++) {
        check_window("source-read", rescue, 0, 0);
        check_window("ownership", rescue, PAGE_LINES, 0);
        check_window("half-written", rescue, PAGE_LINES, PAGE_LINES / 2);
        check_window("publication", rescue, PAGE_LINES, PAGE_LINES);
    }
}

/* Modified lines, and nobody there any more who has them */

typedef enum Fate {
    RESCUED,
    POISONED,
    LOST,
} Fate;

/* Lines that the request to HUNG modifies */
#define HUNG_FIRST_LINE (HUNG / QCT_LINE * QCT_LINE)
#define HUNG_LINES      (PAGE_LINES + 2)

static void check_totals(Rig *r, Fate fate)
{
    g_assert_cmpint(qct_total(r->qts, "rescued-lines"), ==,
                    fate == RESCUED ? HUNG_LINES : 0);
    g_assert_cmpint(qct_total(r->qts, "poisoned-lines"), ==,
                    fate == POISONED ? HUNG_LINES : 0);
    g_assert_cmpint(qct_total(r->qts, "lost-lines"), ==,
                    fate == LOST ? HUNG_LINES : 0);
}

static void poison_image(Rig *r)
{
    for (int i = 0; i < HUNG_LINES * QCT_LINE; i += 4) {
        stl_le_p(r->image + HUNG_FIRST_LINE + i, 0xbaadf00d);
    }
}

static void set_no_rescue(Rig *r)
{
    qtest_qmp_assert_success(r->qts, "{'execute': 'qom-set', 'arguments': {"
                             "'path': '/machine/cxl-cache',"
                             "'property': 'x-no-rescue', 'value': true}}");
}

static void go_away(Rig *r, bool remove)
{
    if (remove) {
        fault_now(r, "removal");
        wait_removed(r);
    } else {
        fault_now(r, "link-down");
        wait_link_down(r);
    }
}

static void come_back(Rig *r, bool removed)
{
    if (removed) {
        plug_again(r);
    } else {
        qct_clear(r->qts);
        new_device(r);
    }
}

static uint8_t read_lost(Rig *r, QCXLType1 *t, uint64_t to)
{
    return qct_crypt_to(t, r->area + PAGE, to, PAGE);
}

/* RAS, whose errors are masked after reset, is the first capability. */
static void unmask_errors(QPCIDevice *pdev)
{
    QPCIBar component = qpci_iomap(pdev, COMPONENT_BAR, NULL);
    uint32_t ras = qpci_io_readl(pdev, component, CACHEMEM + 4) >> 20;

    qpci_io_writel(pdev, component, CACHEMEM + ras + RAS_UNC_MASK, 0);
}

/* A device finds poison until a CPU has written all of it anew. */
static void check_poison(Rig *r, QCXLType1 *t)
{
    QPCIDevice *pdev = t->c->pci->pdev;
    uint16_t aer = qcxl_find_ext_cap(pdev, PCI_EXT_CAP_ID_ERR, 0);
    uint64_t to = qct_alloc_filled(&r->rig, PAGE, OLD);
    g_autofree uint8_t *plain = g_malloc(PAGE);

    unmask_errors(pdev);
    g_assert_cmphex(qcxl_readl(pdev, aer + PCI_ERR_UNCOR_STATUS), ==, 0);
    g_assert_cmpuint(read_lost(r, t, to), ==, VIRTIO_CRYPTO_ERR);
    g_assert_cmphex(qcxl_readl(pdev, aer + PCI_ERR_UNCOR_STATUS), ==,
                    PCI_ERR_UNC_INTN);
    qct_check_filled(&r->rig, to, OLD, PAGE);
    qtest_memread(r->qts, r->src, plain, PAGE);
    qtest_memwrite(r->qts, r->area + PAGE, plain, PAGE - 4);
    g_assert_cmpuint(read_lost(r, t, to), ==, VIRTIO_CRYPTO_ERR);
    qtest_memwrite(r->qts, r->area + PAGE, plain, PAGE);
    g_assert_cmpuint(read_lost(r, t, to), ==, VIRTIO_CRYPTO_OK);
    qct_check_memory(&r->rig, to, r->once, PAGE);
}

/* The other one has lines of its own, and keeps them. */
static uint64_t use_other(Rig *r)
{
    uint64_t theirs = qct_alloc_filled(&r->rig, PAGE, OLD);

    if (r->rig.t[1]) {
        qct_encrypt(r->rig.t[1], r->src, theirs, PAGE);
    }
    return theirs;
}

static void check_other(Rig *r, bool removed, uint64_t theirs)
{
    if (r->rig.t[1]) {
        g_assert_cmpint(lines_of(r, removed ? 0 : 1, "M"), ==, PAGE_LINES);
        qct_check_memory(&r->rig, theirs, r->once, PAGE);
    }
}

static void check_lines(Fate fate, bool remove, const char *other)
{
    uint64_t theirs;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, fate == POISONED ? "poison" : "rescue",
              other);
    encrypt_to(&r, HUNG, HUNG_LEN);
    theirs = use_other(&r);
    if (cannot_keep(&r)) {
        goto out;
    }
    g_assert_cmpint(lines_of(&r, 0, "M"), ==, HUNG_LINES);
    if (fate == LOST) {
        set_no_rescue(&r);
        memset(r.image, OLD, AREA);
    } else if (fate == POISONED) {
        poison_image(&r);
    }
    go_away(&r, remove);
    check_totals(&r, fate);
    check_area(&r);
    check_other(&r, remove, theirs);
    if (fate == POISONED && r.rig.t[1]) {
        check_poison(&r, r.rig.t[1]);
    }
    come_back(&r, remove);
    if (fate == POISONED && !r.rig.t[1]) {
        check_poison(&r, r.t);
    }
    check_totals(&r, fate);
    check_works(&r);
out:
    rig_end(&r);
}

/* T73 */
static void test_lines(const void *opaque)
{
    Fate fate = GPOINTER_TO_INT(opaque) / 4;
    bool remove = GPOINTER_TO_INT(opaque) & 1;
    bool other = GPOINTER_TO_INT(opaque) & 2;

    check_lines(fate, remove, other ? QCT_SECOND : "");
}

/* Lines that were dropped before are nobody's: they are not poisoned. */
static void test_poison_only_modified(void)
{
    static const char *const kinds[] = { "request-error", "go-err", "poison" };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (int j = 1; j < ARRAY_SIZE(points); j++) {
            Rig r;

            g_test_message("%s at %s", kinds[i], points[j]);
            rig_start(&r, QCXL_SHARED_RAM, "poison", "");
            qct_fault(r.qts, &(QCTFault) { kinds[i], points[j] });
            g_assert_cmpuint(qct_crypt_to(r.t, r.src, r.area + HUNG,
                                          HUNG_LEN), ==, VIRTIO_CRYPTO_ERR);
            go_away(&r, false);
            g_assert_cmpint(qct_total(r.qts, "poisoned-lines"), ==, 0);
            check_area(&r);
            come_back(&r, false);
            check_works(&r);
            rig_end(&r);
        }
    }
}

/* The slot and the registers when the link is down */

#define FLEX_BUS_DVSEC      7
#define FLEX_BUS_STATUS     0x0e
#define DEV_CTRL            0x0c

static uint16_t slot_reg(Rig *r, uint16_t reg)
{
    QPCIDevice *rp = r->t->cxl->rp;

    return qcxl_readw(rp, qpci_find_capability(rp, PCI_CAP_ID_EXP, 0) + reg);
}

static void ack_slot(Rig *r)
{
    QPCIDevice *rp = r->t->cxl->rp;
    uint16_t sta = qpci_find_capability(rp, PCI_CAP_ID_EXP, 0) +
                   PCI_EXP_SLTSTA;

    qcxl_writew(rp, sta, qcxl_readw(rp, sta));
}

/* The slot says whether there is something, and that it has changed. */
static void check_slot(Rig *r, bool present)
{
    const uint16_t events = PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
    QPCIDevice *rp = r->t->cxl->rp;
    uint16_t status = slot_reg(r, PCI_EXP_SLTSTA);
    uint16_t dvsec = qcxl_find_dvsec(rp, FLEX_BUS_DVSEC);

    g_assert_cmphex(status & PCI_EXP_SLTSTA_PDS, ==,
                    present ? PCI_EXP_SLTSTA_PDS : 0);
    g_assert_cmphex(status & events, ==, events);
    g_assert_cmphex(slot_reg(r, PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA, ==,
                    present ? PCI_EXP_LNKSTA_DLLLA : 0);
    g_assert_cmphex(qcxl_readw(rp, dvsec + FLEX_BUS_STATUS), ==,
                    present ? 0x23 : 0x06);
    ack_slot(r);
    g_assert_cmphex(slot_reg(r, PCI_EXP_SLTSTA) & events, ==, 0);
}

static void check_config_gone(Rig *r)
{
    QPCIDevice *pdev = r->t->c->pci->pdev;

    g_assert_null(qcxl_endpoint(r->t->cxl));
    for (int i = 0; i < 4096; i += 4) {
        g_assert_cmphex(qcxl_readl(pdev, i), ==, UINT32_MAX);
    }
    g_assert_cmphex(qcxl_readw(pdev, PCI_VENDOR_ID), ==, 0xffff);
    g_assert_cmphex(qcxl_readb(pdev, PCI_REVISION_ID), ==, 0xff);
    qcxl_writel(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    qcxl_writel(pdev, PCI_BASE_ADDRESS_0, r->t->window.addr);
    g_assert_cmphex(qcxl_readl(pdev, PCI_COMMAND), ==, UINT32_MAX);
}

/* As after any reset, and none of what was written meanwhile */
static void check_config_back(Rig *r)
{
    QPCIDevice *pdev = qcxl_endpoint(r->t->cxl);

    g_assert_nonnull(pdev);
    g_assert_cmphex(qcxl_readw(pdev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qcxl_readw(pdev, PCI_COMMAND), ==, 0);
    for (int i = 0; i < 6; i++) {
        g_assert_cmphex(qcxl_readl(pdev, PCI_BASE_ADDRESS_0 + 4 * i) & ~0xf,
                        ==, 0);
    }
    g_assert_cmphex(qcxl_readw(pdev, qcxl_find_dvsec(pdev, 0) + DEV_CTRL), ==,
                    3);
    g_assert_cmphex(qcxl_readw(pdev, qcxl_find_dvsec(pdev, FLEX_BUS_DVSEC) +
                               FLEX_BUS_STATUS), ==, 0x23);
    g_free(pdev);
}

/* The window is where nothing answers. */
static void check_bars_gone(Rig *r)
{
    QPCIDevice *pdev = r->t->c->pci->pdev;
    uint64_t first = qpci_io_readq(pdev, r->t->window, 72);

    g_assert_true(first == 0 || first == UINT64_MAX);
    for (uint64_t at = 0; at < QCT_WINDOW_SIZE; at += 4 * KiB) {
        qpci_io_writeq(pdev, r->t->window, at, 0);
        g_assert_cmphex(qpci_io_readq(pdev, r->t->window, at + 72), ==, first);
    }
}

static void test_link_registers(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    ack_slot(&r);
    for (int i = 0; i < 3; i++) {
        encrypt_to(&r, PAGE, PAGE);
        go_away(&r, false);
        check_slot(&r, false);
        check_config_gone(&r);
        check_bars_gone(&r);
        g_assert_cmpint(lines_of(&r, 0, "I"), ==, 1 * MiB / QCT_LINE);
        /* Twice is once. */
        fault_now(&r, "link-down");
        g_assert_cmphex(slot_reg(&r, PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_PDC, ==,
                        0);
        check_area(&r);
        qct_clear(r.qts);
        g_assert_false(qct_fault_is(r.qts, "link-down"));
        check_slot(&r, true);
        check_config_back(&r);
        new_device(&r);
        check_works(&r);
    }
    rig_end(&r);
}

static void test_removal_registers(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    ack_slot(&r);
    for (int i = 0; i < 3; i++) {
        encrypt_to(&r, PAGE, PAGE);
        go_away(&r, true);
        check_slot(&r, false);
        check_config_gone(&r);
        check_bars_gone(&r);
        check_area(&r);
        plug_again(&r);
        g_assert_cmpint(qct_fault_count(r.qts, "taken"), ==, 0);
        check_works(&r);
    }
    rig_end(&r);
}

/*
 * Nobody knows a device that has gone: neither the monitor, by its name, nor
 * who is told that the machine stops and goes on. (The emulator's heap is
 * filled with a pattern where it is freed, see main().)
 */
static void test_nothing_left(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    encrypt_to(&r, PAGE, PAGE);
    go_away(&r, true);
    for (int i = 0; i < 2; i++) {
        QDict *rsp = qtest_qmp(r.qts, "{'execute': 'x-query-cxl-type1-fault', "
                               "'arguments': {'id': 't0'}}");

        qmp_expect_error_and_unref(rsp, "DeviceNotFound");
        qtest_qmp_assert_success(r.qts, "{'execute': 'stop'}");
        qtest_qmp_assert_success(r.qts, "{'execute': 'cont'}");
    }
    plug_again(&r);
    check_works(&r);
    rig_end(&r);
}

/* What may happen to a slot while its link is down */

static void slot_power(Rig *r, bool on)
{
    QPCIDevice *rp = r->t->cxl->rp;
    uint16_t off = qpci_find_capability(rp, PCI_CAP_ID_EXP, 0) +
                   PCI_EXP_SLTCTL;
    uint16_t ctl = qcxl_readw(rp, off);

    ctl &= ~(PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC);
    ctl |= on ? PCI_EXP_SLTCTL_PWR_ON | PCI_EXP_SLTCTL_PWR_IND_ON :
                PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;
    qcxl_writew(rp, off, ctl);
    ack_slot(r);
}

static void off_clear_on(Rig *r)
{
    slot_power(r, false);
    qct_clear(r->qts);
    g_assert_false(qct_fault_is(r->qts, "link-down"));
    slot_power(r, true);
}

static void off_on_clear(Rig *r)
{
    slot_power(r, false);
    slot_power(r, true);
    check_config_gone(r);
    check_bars_gone(r);
    qct_clear(r->qts);
}

static void system_reset_clear(Rig *r)
{
    qtest_system_reset(r->qts);
    qcxl_init(r->t->cxl);
    check_config_gone(r);
    qct_clear(r->qts);
}

static void secondary_reset_clear(Rig *r)
{
    qcxl_secondary_reset(r->t->cxl);
    check_config_gone(r);
    qct_clear(r->qts);
}

static void stop_clear_cont_link(Rig *r)
{
    stop(r);
    qct_clear(r->qts);
    cont(r);
}

static void off_device_del(Rig *r)
{
    slot_power(r, false);
    qtest_qmp_device_del_send(r->qts, "t0");
    qtest_qmp_eventwait(r->qts, "DEVICE_DELETED");
    qtest_qmp_device_add(r->qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0'}");
    qcxl_plugged(r->t->cxl);
}

static void removal_device_add(Rig *r)
{
    fault_now(r, "removal");
    wait_removed(r);
    qtest_qmp_device_add(r->qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0'}");
    qcxl_plugged(r->t->cxl);
}

static void test_link_events(void)
{
    static void (*const events[])(Rig *r) = {
        off_clear_on, off_on_clear, system_reset_clear, secondary_reset_clear,
        stop_clear_cont_link, off_device_del, removal_device_add,
    };

    for (int i = 0; i < ARRAY_SIZE(events); i++) {
        Rig r;

        g_test_message("%d", i);
        rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
        encrypt_to(&r, PAGE, PAGE);
        go_away(&r, false);
        check_area(&r);
        events[i](&r);
        check_config_back(&r);
        new_device(&r);
        check_works(&r);
        rig_end(&r);
    }
}

/* The link goes, or the device, in the middle of a request. */
static void check_gone_at(const char *kind, bool remove, const char *point)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    encrypt_to(&r, FIRST, FIRST_LEN);
    qct_fault(r.qts, &(QCTFault) { kind, point, 1 });
    encrypt_to(&r, NEXT, NEXT_LEN);
    post(&r, &r.hung, HUNG, HUNG_LEN);
    if (remove) {
        wait_removed(&r);
    } else {
        wait_link_down(&r);
        g_assert_cmpint(qct_fault_count(r.qts, "held"), ==, 0);
        g_assert_cmpint(qct_fault_count(r.qts, "taken"), ==, 1);
    }
    g_assert_cmphex(qtest_readb(r.qts, r.hung.status_addr), ==,
                    QCT_NO_STATUS);
    qct_forget(&r.hung);
    check_area(&r);
    come_back(&r, remove);
    check_works(&r);
    rig_end(&r);
}

static void test_gone_in_request(void)
{
    for (int i = 1; i < ARRAY_SIZE(points); i++) {
        check_gone_at("link-down", false, points[i]);
        check_gone_at("removal", true, points[i]);
    }
}

/*
 * The device unplugs itself in the middle of a request, and there is another
 * request behind it in the queue: nobody may go on with that.
 */
static void check_removal_inside(const char *point)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    encrypt_to(&r, FIRST, FIRST_LEN);
    qct_fault(r.qts, &(QCTFault) { "removal", point });
    prepare(&r, &r.hung, HUNG, HUNG_LEN);
    prepare(&r, &r.next, NEXT, NEXT_LEN);
    qvirtio_crypto_enqueue(r.t->c, r.t->c->vqs[0], &r.hung.req);
    qct_submit(r.t, &r.next);
    wait_removed(&r);
    g_assert_cmphex(qtest_readb(r.qts, r.hung.status_addr), ==,
                    QCT_NO_STATUS);
    g_assert_cmphex(qtest_readb(r.qts, r.next.status_addr), ==,
                    QCT_NO_STATUS);
    qct_forget(&r.hung);
    qct_forget(&r.next);
    check_area(&r);
    come_back(&r, true);
    check_works(&r);
    rig_end(&r);
}

static void test_removal_inside(void)
{
    for (int i = 1; i < ARRAY_SIZE(points); i++) {
        check_removal_inside(points[i]);
    }
}

/* The device is taken out twice, or by two. */
static void test_removal_twice(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "rescue", "");
    encrypt_to(&r, PAGE, PAGE);
    qtest_qmp_device_del_send(r.qts, "t0");
    qct_fault(r.qts, &(QCTFault) { "link-down", "ownership" });
    qtest_qmp_send(r.qts, "{'execute': 'x-cxl-type1-fault', 'arguments': {"
                   "'id': 't0', 'fault': 'removal'}}");
    qtest_qmp_send(r.qts, "{'execute': 'x-cxl-type1-fault', 'arguments': {"
                   "'id': 't0', 'fault': 'removal'}}");
    qobject_unref(qtest_qmp_receive(r.qts));
    qobject_unref(qtest_qmp_receive(r.qts));
    wait_removed(&r);
    check_area(&r);
    plug_again(&r);
    check_works(&r);
    rig_end(&r);
}

/*
 * A guest that does everything wrong, on a device that does. Nothing is to be
 * right meanwhile, but the machine has to live, and work when it is told to.
 */

typedef struct Bad {
    Rig r;
    QPCIDevice *pdev;
    uint8_t exp;            /* its PCI Express capability */
    bool stopped;
} Bad;

static uint32_t below(uint32_t n)
{
    return g_test_rand_int_range(0, n);
}

/* Any answer will do. */
static void try_qmp(Bad *b, const char *cmd)
{
    qtest_qmp_send_raw(b->r.qts, "%s", cmd);
    qobject_unref(qtest_qmp_receive(b->r.qts));
}

static void bad_fault(Bad *b)
{
    static const char *const kinds[] = {
        "request-error", "wrong-status", "poison", "go-err", "hang", "viral",
        "hw-not-ready", "link-down", "removal", "clear", "clear", "clear",
    };
    g_autoptr(GString) cmd = g_string_new(NULL);

    g_string_printf(cmd, "{'execute': 'x-cxl-type1-fault', 'arguments': {"
                    "'id': 't0', 'fault': '%s'",
                    kinds[below(ARRAY_SIZE(kinds))]);
    if (below(2)) {
        g_string_append_printf(cmd, ", 'point': '%s'",
                               points[1 + below(ARRAY_SIZE(points) - 1)]);
    }
    if (!below(3)) {
        g_string_append_printf(cmd, ", 'after': %u", below(3));
    }
    if (!below(3)) {
        g_string_append_printf(cmd, ", 'count': %u", below(3));
    }
    g_string_append(cmd, "}}");
    try_qmp(b, cmd->str);
}

static void bad_post(Bad *b)
{
    QCTRequest q;
    uint32_t len = 16 * (1 + below(PAGE / 16));

    /* Descriptors and rings may be in use: this takes them all the same. */
    b->r.t->c->in_flight = 0;
    post(&b->r, &q, below(AREA - PAGE), len);
    qct_forget(&q);
}

static void bad_descriptor(Bad *b)
{
    QVirtQueue *vq = b->r.t->c->vqs[below(2)];
    struct vring_desc desc = {
        .addr = below(2) ? b->r.area + below(AREA) : b->r.t->window.addr,
        .len = below(3) ? below(2 * PAGE) : UINT32_MAX,
        .flags = below(8),
        .next = below(vq->size + 1),
    };

    qvirtio_crypto_write_desc(b->r.t->c, vq->desc, below(32), &desc);
    qvirtio_crypto_offer(b->r.t->c, vq, below(40));
    qvirtio_crypto_notify(b->r.t->c, vq);
}

static void bad_notify(Bad *b)
{
    qvirtio_crypto_notify(b->r.t->c, b->r.t->c->vqs[below(2)]);
}

static void bad_bar(Bad *b)
{
    QPCIBar bars[] = { b->r.t->window, b->r.t->c->pci->bar };
    QPCIBar bar = bars[below(2)];
    uint64_t at = below(16 * KiB) & ~7;

    qpci_io_writel(b->pdev, bar, at, g_test_rand_int());
    qpci_io_writeb(b->pdev, bar, at + below(8), g_test_rand_int());
    qpci_io_readq(b->pdev, bar, at);
}

static void bad_config(Bad *b)
{
    qcxl_writel(b->pdev, below(1024) * 4, below(4) ? below(256) :
                g_test_rand_int());
    qcxl_readl(b->pdev, below(1024) * 4);
}

static void bad_memory(Bad *b)
{
    uint8_t buf[256];

    qtest_memread(b->r.qts, b->r.area + below(AREA - 256), buf, sizeof(buf));
    qtest_memset(b->r.qts, b->r.area + below(AREA - 256), OLD, below(256));
}

static void bad_reset(Bad *b)
{
    switch (below(4)) {
    case 0:
        qcxl_secondary_reset(b->r.t->cxl);
        break;
    case 1:
        common_writew(&b->r, offsetof(struct virtio_pci_common_cfg,
                                      device_status), 0);
        break;
    case 2:
        qcxl_writew(b->pdev, b->exp + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
        break;
    default:
        qtest_system_reset(b->r.qts);
        qcxl_init(b->r.t->cxl);
    }
}

static void bad_slot(Bad *b)
{
    slot_power(&b->r, below(2));
}

static void bad_plug(Bad *b)
{
    try_qmp(b, below(2) ?
            "{'execute': 'device_del', 'arguments': {'id': 't0'}}" :
            "{'execute': 'device_add', 'arguments': {"
            "'driver': 'cxl-type1-crypto', 'id': 't0', 'bus': 'rp0',"
            "'cryptodev': 'c0', 'x-fault': 'hang:ownership:1'}}");
}

static void bad_stop(Bad *b)
{
    b->stopped = !b->stopped;
    try_qmp(b, b->stopped ? "{'execute': 'stop'}" : "{'execute': 'cont'}");
}

static void bad_query(Bad *b)
{
    try_qmp(b, "{'execute': 'x-query-cxl-type1-fault',"
            " 'arguments': {'id': 't0'}}");
    try_qmp(b, "{'execute': 'x-query-cxl-cache'}");
}

static void clear_fault(Bad *b)
{
    try_qmp(b, "{'execute': 'x-cxl-type1-fault', 'arguments': {"
            "'id': 't0', 'fault': 'clear'}}");
}

/* D0 to D3hot; in others than D0 the BARs answer nobody. */
static void set_power_state(QPCIDevice *pdev, uint16_t state)
{
    uint8_t pm = qpci_find_capability(pdev, PCI_CAP_ID_PM, 0);

    g_assert_cmphex(pm, !=, 0);
    qcxl_writew(pdev, pm + PCI_PM_CTRL, state);
}

/*
 * Set up anew what a reset has taken down, if anybody answers. A removal that
 * waits for a request of before could come in the middle of it.
 */
static void start_driver(Bad *b)
{
    QPCIDevice *pdev;

    if (b->stopped) {
        return;
    }
    clear_fault(b);
    pdev = qcxl_endpoint(b->r.t->cxl);
    if (pdev) {
        set_power_state(pdev, 0);
        /* libqos maps BARs below 4 GiB, and leaves the upper half alone. */
        qcxl_writel(pdev, PCI_BASE_ADDRESS_5, 0);
        new_device(&b->r);
        b->pdev = b->r.t->c->pci->pdev;
    }
    g_free(pdev);
}

static bool is_there(Bad *b)
{
    QDict *rsp = qtest_qmp(b->r.qts, "{'execute': 'x-query-cxl-type1-fault',"
                           " 'arguments': {'id': 't0'}}");
    bool there = qdict_haskey(rsp, "return");

    qobject_unref(rsp);
    return there;
}

/* All that one can do to have it work again */
static void recover(Bad *b)
{
    if (b->stopped) {
        bad_stop(b);
    }
    clear_fault(b);
    if (!is_there(b)) {
        qtest_qmp_device_add(b->r.qts, "cxl-type1-crypto", "t0",
                             "{'bus': 'rp0', 'cryptodev': 'c0'}");
    }
    qtest_system_reset(b->r.qts);
    qcxl_init(b->r.t->cxl);
    qcxl_plugged(b->r.t->cxl);
    new_device(&b->r);
    b->pdev = b->r.t->c->pci->pdev;
    qtest_memset(b->r.qts, b->r.src, 0, AREA);
}

static void test_bad_guest(void)
{
    static void (*const deeds[])(Bad *b) = {
        bad_fault, bad_fault, bad_fault, bad_post, bad_post, bad_post,
        bad_post, bad_descriptor, bad_notify, bad_bar, bad_config, bad_memory,
        bad_memory, bad_reset, bad_slot, bad_plug, bad_stop, bad_query,
        start_driver, start_driver,
    };
    int rounds = g_test_slow() ? 200 : 10;
    Bad b = { };

    rig_start(&b.r, QCXL_SHARED_RAM, "rescue", "");
    b.pdev = b.r.t->c->pci->pdev;
    b.exp = qpci_find_capability(b.pdev, PCI_CAP_ID_EXP, 0);
    for (int i = 0; i < rounds; i++) {
        for (int j = 0; j < 100; j++) {
            deeds[below(ARRAY_SIZE(deeds))](&b);
        }
        recover(&b);
        /* The source is another one since the first round. */
        qct_encrypt(b.r.t, b.r.src, b.r.area, PAGE);
        g_clear_pointer(&b.r.once, g_free);
        b.r.once = qct_encrypt_uncached(&b.r.rig, b.r.src, AREA);
        check_works(&b.r);
    }
    rig_end(&b.r);
}

static void add_hangs(const char *name, GTestDataFunc fn)
{
    for (int i = 0; i < ARRAY_SIZE(ends); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type1-removal/%s/%s",
                                                name, ends[i].name);

        qtest_add_data_func(path, GINT_TO_POINTER(i), fn);
    }
}

static void add_lines(void)
{
    static const char *const fates[] = { "rescued", "poisoned", "lost" };

    for (int i = 0; i < 4 * ARRAY_SIZE(fates); i++) {
        g_autofree char *path = g_strdup_printf(
            "/cxl-type1-removal/%s/%s%s", fates[i / 4],
            i & 1 ? "removal" : "link-down", i & 2 ? "-of-two" : "");

        qtest_add_data_func(path, GINT_TO_POINTER(i), test_lines);
    }
}

int main(int argc, char **argv)
{
    /* Who looks at what has been freed is to notice */
    g_setenv("MALLOC_PERTURB_", "165", false);
    g_test_init(&argc, &argv, NULL);
    add_hangs("hang", test_hang);
    add_hangs("hang-unplug-poison", test_hang_poison);
    add_hangs("hang-used-once", test_hang_private);
    qtest_add_func("/cxl-type1-removal/hang/quit", test_hang_quit);
    qtest_add_func("/cxl-type1-removal/hang/again", test_hang_again);
    qtest_add_func("/cxl-type1-removal/window", test_window);
    add_lines();
    qtest_add_func("/cxl-type1-removal/poison-only-modified",
                   test_poison_only_modified);
    qtest_add_func("/cxl-type1-removal/link-registers", test_link_registers);
    qtest_add_func("/cxl-type1-removal/nothing-left", test_nothing_left);
    qtest_add_func("/cxl-type1-removal/removal-registers",
                   test_removal_registers);
    qtest_add_func("/cxl-type1-removal/link-events", test_link_events);
    qtest_add_func("/cxl-type1-removal/gone-in-request",
                   test_gone_in_request);
    qtest_add_func("/cxl-type1-removal/removal-inside", test_removal_inside);
    qtest_add_func("/cxl-type1-removal/twice", test_removal_twice);
    qtest_add_func("/cxl-type1-removal/bad-guest", test_bad_guest);
    return g_test_run();
}
