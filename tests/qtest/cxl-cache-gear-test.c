/*
 * QTest testcase for CXL.cache's shortcuts: many lines in one step, pages that
 * come home before they are touched, devices that say what they access
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * None of them may be seen but in the time that things take, and in counters
 * that are there for it. So the same jobs run on three machines: one that may
 * take the short way, one that sends every message, one whose device keeps no
 * lines. All of them must have the same data, the first two the same caches.
 *
 * The first one counts the messages that it does not send, too. That it does
 * not send them is seen from the credits: it never waits for any.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "hw/pci/pci_regs.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "libqos/cxl-type1.h"
#include "libqos/malloc-pc.h"

#define PAGE        QCT_PAGE
#define LINE        QCT_LINE
#define PAGE_LINES  QCT_PAGE_LINES
#define RAM_SIZE    (128 * MiB)
#define OLD         0x5a

/* ---- Both gears ---- */

enum { AUTO, MESSAGES, NONE, MACHINES };

/* What a machine has to show: what it is that jobs are done with */
#define AREA_PAGES  40
#define AREA        (AREA_PAGES * PAGE)
#define JOBS        120
#define MAX_SEGS    4

typedef struct Setup {
    const char *name;
    const char *dev;
    const char *port;
    bool second;
} Setup;

static const Setup setups[] = {
    { "on-demand", "" },
    { "completion", ",writeback=completion" },
    { "small-cache", ",cache-size=64K" },
    { "few-ways", ",cache-size=64K,cache-ways=1" },
    { "many-ways", ",cache-size=64K,cache-ways=16" },
    { "small-filter", "", "-global cxl-rp.cxl-cache-sf-size=64K " },
    { "small-both", ",cache-size=128K,cache-ways=2",
      "-global cxl-rp.cxl-cache-sf-size=64K " },
    { "no-prefetch", "", "-global cxl-rp.cxl-cache-prefetch=0 " },
    { "two-devices", ",cache-size=128K", .second = true },
    { "through", ",writeback=through" },
    { "through-and-not", ",writeback=through", .second = true },
};

typedef struct Trio {
    const Setup *setup;
    QCTRig r[MACHINES];
    uint8_t *ram[MACHINES];
    uint64_t area;
    GRand *rand;
} Trio;

/* Do it on each machine; @m is the machine's number. */
#define FOR_EACH(m) for (unsigned m = 0; m < MACHINES; m++)

static void trio_start(Trio *t, const Setup *setup, uint32_t seed)
{
    *t = (Trio) { .setup = setup, .rand = g_rand_new_with_seed(seed) };
    FOR_EACH(m) {
        g_autofree char *opts = g_strdup_printf("%s%s%s %s%s", setup->dev,
            m == NONE ? ",cache=off" : "", setup->second ? QCT_SECOND : "",
            m == MESSAGES ? "-global cxl-rp.x-gear=messages " : "",
            setup->port ?: "");

        qct_rig_start(&t->r[m], QCXL_SHARED_RAM, opts);
        t->ram[m] = qcxl_map_memfd(t->r[m].qts, QCXL_MEMFD, RAM_SIZE);
        t->area = qct_alloc_source(&t->r[m], AREA);
    }
}

static void trio_end(Trio *t)
{
    FOR_EACH(m) {
        munmap(t->ram[m], RAM_SIZE);
        qct_rig_end(&t->r[m]);
    }
    g_rand_free(t->rand);
}

static uint32_t any(Trio *t, uint32_t n)
{
    return g_rand_int_range(t->rand, 0, n);
}

/*
 * How far a device was ahead of the host when it sent messages: that many were
 * taken at once, and so many credits came back together. One by one there is
 * nothing of the kind. That they are all there, qct_check_quiet() sees. And a
 * page fault that a signal interrupts comes once more: then nobody has lines of
 * the page any more.
 */
static void drop_pace(QDict *info)
{
    QListEntry *d, *c;

    qdict_del(qdict_get_qdict(info, "trap"), "other");
    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "devices"), d) {
        QDict *dev = qobject_to(QDict, qlist_entry_obj(d));

        QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "channels"), c) {
            QDict *channel = qobject_to(QDict, qlist_entry_obj(c));

            qdict_del(channel, "credits");
            qdict_del(channel, "returning");
            qdict_del(channel, "stalled");
        }
    }
}

static void check_same_info(Trio *t, const char *job)
{
    g_autoptr(QDict) a = qct_query(t->r[AUTO].qts);
    g_autoptr(QDict) b = qct_query(t->r[MESSAGES].qts);

    qct_check_quiet(a);
    qct_check_quiet(b);
    drop_pace(a);
    drop_pace(b);
    if (!qobject_is_equal(QOBJECT(a), QOBJECT(b))) {
        g_autoptr(GString) auto_info = qobject_to_json(QOBJECT(a));
        g_autoptr(GString) messages_info = qobject_to_json(QOBJECT(b));

        g_test_message("after %s:", job);
        g_test_message("x-gear=auto has %s", auto_info->str);
        g_test_message("x-gear=messages has %s", messages_info->str);
    }
    g_assert_true(qobject_is_equal(QOBJECT(a), QOBJECT(b)));
}

/* What RAM really holds: lines that are in a cache are old there. */
static void check_same_ram(Trio *t)
{
    g_assert_cmpmem(t->ram[AUTO] + t->area, AREA,
                    t->ram[MESSAGES] + t->area, AREA);
}

static void check_same_window(Trio *t)
{
    for (unsigned d = 0; d < t->r[AUTO].devices; d++) {
        g_autofree QCTSlot *a = qct_read_window(t->r[AUTO].t[d]);
        g_autofree QCTSlot *b = qct_read_window(t->r[MESSAGES].t[d]);
        unsigned n = t->r[AUTO].t[d]->lines;

        g_assert_cmpuint(n, ==, t->r[MESSAGES].t[d]->lines);
        for (unsigned i = 0; i < n; i++) {
            g_assert_cmpmem(&a[i], sizeof(*a), &b[i], sizeof(*b));
        }
    }
}

/* ---- Jobs ---- */

/* Cut @len bytes into pieces of the area, anywhere */
static void cut(Trio *t, QCTSeg *seg, uint32_t len)
{
    static const uint32_t grids[] = { 1, 4, LINE, LINE, PAGE };
    unsigned n = 1 + any(t, MAX_SEGS);

    for (unsigned i = 0; i < n && len; i++) {
        uint32_t grid = grids[any(t, ARRAY_SIZE(grids))];
        uint32_t part = i + 1 == n ? len : 1 + any(t, len);

        seg->addr = t->area + any(t, (AREA - part) / grid + 1) * grid;
        seg->len = part;
        len -= part;
        seg++;
    }
    *seg = (QCTSeg) { };
}

static void job_request(Trio *t)
{
    static const uint32_t sizes[] = {
        16, 48, LINE, 3 * LINE, PAGE - 16, PAGE, PAGE + 16, 3 * PAGE,
        5 * PAGE + 80, 16 * PAGE, 24 * PAGE,
    };
    uint32_t len = sizes[any(t, ARRAY_SIZE(sizes))];
    unsigned dev = any(t, t->r[AUTO].devices);
    QCTSeg src[MAX_SEGS + 1], dst[MAX_SEGS + 1];
    bool in_place = !any(t, 4);

    cut(t, src, len);
    cut(t, dst, len);
    FOR_EACH(m) {
        g_assert_cmpuint(qct_encrypt_at(t->r[m].t[dev], qct_iv, src,
                                        in_place ? src : dst), ==,
                         VIRTIO_CRYPTO_OK);
    }
}

/* Page upon page, as a driver does it */
static void job_pages(Trio *t)
{
    unsigned first = any(t, AREA_PAGES / 2);
    unsigned n = 1 + any(t, AREA_PAGES / 2);

    for (unsigned i = 0; i < n; i++) {
        uint64_t addr = t->area + (first + i) * PAGE;

        FOR_EACH(m) {
            qct_encrypt(t->r[m].t[0], addr, addr, PAGE);
        }
    }
}

static void read_same(Trio *t, uint64_t addr, uint32_t len)
{
    g_autofree uint8_t *want = g_malloc(len), *got = g_malloc(len);

    qtest_memread(t->r[NONE].qts, addr, want, len);
    for (int m = 0; m < NONE; m++) {
        if (len == 1) {
            *got = qtest_readb(t->r[m].qts, addr);
        } else {
            qtest_memread(t->r[m].qts, addr, got, len);
        }
        g_assert_cmpmem(got, len, want, len);
    }
}

static void job_load(Trio *t)
{
    read_same(t, t->area + any(t, AREA), 1);
}

static void job_store(Trio *t)
{
    uint64_t addr = t->area + any(t, AREA / 8) * 8;
    uint32_t value = g_rand_int(t->rand);

    FOR_EACH(m) {
        qtest_writeq(t->r[m].qts, addr, value);
    }
}

static void job_read(Trio *t)
{
    uint32_t len = 1 + any(t, 6 * PAGE);

    read_same(t, t->area + any(t, AREA - len), len);
}

static void job_write(Trio *t)
{
    uint32_t len = 1 + any(t, 6 * PAGE);
    uint64_t addr = t->area + any(t, AREA - len);
    uint8_t value = any(t, 256);

    FOR_EACH(m) {
        qtest_memset(t->r[m].qts, addr, value, len);
    }
}

/* Touches of one page after the other, forth or back */
static void job_stream(Trio *t)
{
    unsigned n = 1 + any(t, AREA_PAGES), first = any(t, AREA_PAGES - n + 1);
    bool back = any(t, 2), write = !any(t, 4);

    for (unsigned i = 0; i < n; i++) {
        uint64_t addr = t->area + (first + (back ? n - 1 - i : i)) * PAGE;

        if (!write) {
            read_same(t, addr + 5, 1);
            continue;
        }
        FOR_EACH(m) {
            qtest_writeb(t->r[m].qts, addr + 5, i);
        }
    }
}

/* Write back everything, and go on. */
static void job_flush(Trio *t)
{
    FOR_EACH(m) {
        qct_set_cache_enable(t->r[m].t[0], false);
        qct_set_cache_enable(t->r[m].t[0], true);
    }
}

static void job_once(Trio *t)
{
    FOR_EACH(m) {
        qct_set_disable_caching(t->r[m].t[0], true);
    }
    job_request(t);
    FOR_EACH(m) {
        qct_set_disable_caching(t->r[m].t[0], false);
    }
}

static void flr(QCTRig *r)
{
    QVirtioCrypto *c = r->t[0]->c;
    uint8_t cap = qpci_find_capability(c->pci->pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(c->pci->pdev, cap + PCI_EXP_DEVCTL,
                qcxl_readw(c->pci->pdev, cap + PCI_EXP_DEVCTL) |
                PCI_EXP_DEVCTL_BCR_FLR);
    qvirtio_crypto_release(c);
    qvirtio_pci_device_enable(c->pci);
    qct_attach(r->t[0], qct_key);
}

static void job_flr(Trio *t)
{
    FOR_EACH(m) {
        flr(&t->r[m]);
    }
}

static void job_bus_reset(Trio *t)
{
    FOR_EACH(m) {
        qcxl_secondary_reset(t->r[m].t[0]->cxl);
        qct_start_again(&t->r[m], 0);
    }
}

/* The host's counters go with the last device, a while after it has gone. */
static void wait_gone(QTestState *qts)
{
    bool gone = false;

    while (!gone) {
        QDict *info = qct_query(qts);

        gone = !qdict_get_int(info, "filter-lines");
        qobject_unref(info);
    }
}

/* What it had modified is rescued, and there is another one. */
static void job_unplug(Trio *t)
{
    FOR_EACH(m) {
        QCXL *cxl = t->r[m].t[0]->cxl;

        qcxl_unplug(cxl, "t0");
        if (!t->setup->second) {
            wait_gone(t->r[m].qts);
        }
        qtest_qmp_device_add(t->r[m].qts, "cxl-type1-crypto", "t0",
                             "{'bus': 'rp0', 'cryptodev': 'c0', 'cache': %s}",
                             m == NONE ? "off" : "auto");
        qcxl_plugged(cxl);
        qct_start_again(&t->r[m], 0);
    }
}

static const struct {
    const char *name;
    void (*fn)(Trio *t);
    unsigned weight;
} jobs[] = {
    { "a request", job_request, 30 },
    { "pages", job_pages, 6 },
    { "a load", job_load, 12 },
    { "a store", job_store, 12 },
    { "a large read", job_read, 8 },
    { "a large write", job_write, 8 },
    { "touches in a row", job_stream, 8 },
    { "a flush", job_flush, 3 },
    { "a request that keeps no lines", job_once, 5 },
    { "FLR", job_flr, 3 },
    { "a bus reset", job_bus_reset, 3 },
    { "hot unplug", job_unplug, 2 },
};

static unsigned choose_job(Trio *t)
{
    unsigned all = 0, i;

    for (i = 0; i < ARRAY_SIZE(jobs); i++) {
        all += jobs[i].weight;
    }
    all = any(t, all);
    for (i = 0; all >= jobs[i].weight; i++) {
        all -= jobs[i].weight;
    }
    return i;
}

static bool trio_cannot_keep(Trio *t)
{
    QDict *info;
    bool cannot;

    job_request(t);
    info = qct_query(t->r[AUTO].qts);
    cannot = qct_cannot_keep(info);
    qobject_unref(info);
    return cannot;
}

/* Returns false if lines cannot be kept. */
static bool compare_gears(const Setup *setup, uint32_t seed)
{
    bool can;
    Trio t;

    trio_start(&t, setup, seed);
    can = !trio_cannot_keep(&t);
    for (int i = 0; can && i < JOBS; i++) {
        unsigned job = choose_job(&t);

        jobs[job].fn(&t);
        check_same_info(&t, jobs[job].name);
        check_same_ram(&t);
    }
    check_same_window(&t);
    read_same(&t, t.area, AREA);
    check_same_info(&t, "all of it");
    trio_end(&t);
    return can;
}

static void test_gears(const void *opaque)
{
    unsigned histories = g_test_slow() ? 20 : 1;

    for (unsigned i = 0; i < histories && compare_gears(opaque, i); i++) {
        /* Another one */
    }
}

static int64_t count_stalled(QTestState *qts)
{
    g_autoptr(QDict) info = qct_query(qts);
    int64_t n = 0;
    QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(qct_device(info, 0), "channels"), e) {
        n += qdict_get_int(qobject_to(QDict, qlist_entry_obj(e)), "stalled");
    }
    return n;
}

/*
 * Lines of a page and one more are more requests than there are credits: who
 * sends them has to wait. Who does the page in one step has not.
 */
static void test_pace(void)
{
    Trio t;

    trio_start(&t, &setups[0], 0);
    for (unsigned m = 0; m < NONE; m++) {
        g_assert_cmpint(count_stalled(t.r[m].qts), ==, 0);
        qct_encrypt(t.r[m].t[0], t.area, t.area, PAGE + 16);
    }
    if (!trio_cannot_keep(&t)) {
        g_assert_cmpint(count_stalled(t.r[AUTO].qts), ==, 0);
        g_assert_cmpint(count_stalled(t.r[MESSAGES].qts), >, 0);
    }
    trio_end(&t);
}

/* ---- Pages that come home ahead ---- */

/* A prime: steps of any size go through all of them. */
#define PAGES       101

typedef struct Pages {
    QCTRig r;
    uint64_t src;
    uint64_t page[PAGES];
    uint8_t *fresh;         /* what the device makes of it, page by page */
    uint8_t *want;          /* what is in memory */
} Pages;

/* @scattered: pages with others between them, in no order */
static void pages_start(Pages *p, const char *opts, bool scattered)
{
    uint64_t area, tmp;

    qct_rig_start(&p->r, QCXL_SHARED_RAM, opts);
    p->src = qct_alloc_source(&p->r, PAGES * PAGE);
    p->fresh = g_malloc(PAGES * PAGE);
    p->want = g_malloc(PAGES * PAGE);
    area = qct_alloc_filled(&p->r, 2 * PAGES * PAGE, OLD);
    tmp = qct_alloc_filled(&p->r, PAGES * PAGE, OLD);
    qct_set_cache_enable(p->r.t[0], false);
    for (int i = 0; i < PAGES; i++) {
        p->page[i] = area + (scattered ? i * 40 % PAGES * 2 : i) * PAGE;
        qct_encrypt(p->r.t[0], p->src + i * PAGE, tmp + i * PAGE, PAGE);
    }
    qct_set_cache_enable(p->r.t[0], true);
    qtest_memread(p->r.qts, tmp, p->fresh, PAGES * PAGE);
    memset(p->want, OLD, PAGES * PAGE);
}

static void pages_end(Pages *p)
{
    g_free(p->fresh);
    g_free(p->want);
    qct_rig_end(&p->r);
}

static void take(Pages *p, int i)
{
    qct_encrypt(p->r.t[0], p->src + i * PAGE, p->page[i], PAGE);
    memcpy(p->want + i * PAGE, p->fresh + i * PAGE, PAGE);
}

/* Returns false, and skips the test, where lines cannot be kept. */
static bool take_all(Pages *p)
{
    QDict *info;
    bool can;

    for (int i = 0; i < PAGES; i++) {
        take(p, i);
    }
    info = qct_query(p->r.qts);
    can = !qct_cannot_keep(info);
    if (can) {
        g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==,
                        PAGES * PAGE_LINES);
        g_assert_cmpint(qct_trap(info, "zapped"), ==, PAGES);
        g_assert_cmpint(qct_trap(info, "held"), ==, PAGES);
    }
    qobject_unref(info);
    return can;
}

static void touch(Pages *p, int i, bool write)
{
    uint64_t at = p->page[i] + 8 * i;

    if (write) {
        qtest_writeb(p->r.qts, at, i);
        p->want[i * PAGE + 8 * i] = i;
    } else {
        g_assert_cmphex(qtest_readb(p->r.qts, at), ==,
                        p->want[i * PAGE + 8 * i]);
    }
}

static int64_t trap(Pages *p, const char *what)
{
    QDict *info = qct_query(p->r.qts);
    int64_t n = qct_trap(info, what);

    qobject_unref(info);
    return n;
}

static int64_t modified(Pages *p)
{
    QDict *info = qct_query(p->r.qts);
    int64_t n = qct_lines(qct_device(info, 0), "M");

    qobject_unref(info);
    return n;
}

/* Every page that was taken is held, or has come home one way or the other. */
static void check_sum(Pages *p)
{
    QDict *info = qct_query(p->r.qts);

    qct_check_quiet(info);
    g_assert_cmpint(qct_trap(info, "reads") + qct_trap(info, "writes") +
                    qct_trap(info, "ahead") + qct_trap(info, "dma") +
                    qct_trap(info, "held"), ==, qct_trap(info, "zapped"));
    g_assert_cmpint(qct_trap(info, "other"), ==, 0);
    g_assert_cmpint(qct_lines(qct_device(info, 0), "M"), ==,
                    qct_trap(info, "held") * PAGE_LINES);
    qobject_unref(info);
}

/* All data, by large reads: for these lines come home, too */
static void check_pages(Pages *p)
{
    for (int i = 0; i < PAGES; i++) {
        qct_check_memory(&p->r, p->page[i], p->want + i * PAGE, PAGE);
    }
    g_assert_cmpint(modified(p), ==, 0);
    check_sum(p);
}

/*
 * What a row of touches of every @step-th page comes to: from the third touch
 * on as many pages come home as it has been long, at most @ahead.
 *
 * Returns: the number of faults; @home is that of pages
 */
static int faults_of_row(int n, int step, int ahead, int *home)
{
    int faults = 0, length = 0;

    for (int at = 0, next = 0; at < n; at += step) {
        int told;

        if (at < next) {
            continue;
        }
        faults++;
        length++;
        told = length < 3 ? 0 : MIN(length, MIN(ahead, n - 1 - at));
        length += told;
        next = at + 1 + told;
    }
    *home = length;
    return faults;
}

typedef struct Row {
    const char *name;
    const char *opts;
    int ahead;
    int step;
    bool scattered;
    bool back;
    bool write;
} Row;

#define PREFETCH(n) " -global cxl-rp.cxl-cache-prefetch=" #n

static const Row rows[] = {
    { "forth", "", 32, 1 },
    { "forth-0", PREFETCH(0), 0, 1 },
    { "forth-1", PREFETCH(1), 1, 1 },
    { "forth-64", PREFETCH(64), 64, 1 },
    { "forth-write", "", 32, 1, .write = true },
    { "forth-scattered", "", 32, 1, .scattered = true },
    { "forth-scattered-messages", " -global cxl-rp.x-gear=messages", 32, 1,
      .scattered = true },
    { "forth-by-3", "", 32, 3 },
    { "forth-by-4-write", "", 32, 4, .scattered = true, .write = true },
    { "back-by-2", "", 32, 2, .back = true },
    { "back", "", 32, 1, .back = true },
    { "back-0", PREFETCH(0), 0, 1, .back = true },
    { "back-1", PREFETCH(1), 1, 1, .back = true },
    { "back-64", PREFETCH(64), 64, 1, .back = true },
    { "back-write-scattered", "", 32, 1, .scattered = true, .back = true,
      .write = true },
};

static void test_row(const void *opaque)
{
    const Row *row = opaque;
    int home, faults;
    Pages p;

    /* The first touch does not say that the second one goes back. */
    bool turns = row->back && row->ahead;

    faults = faults_of_row(PAGES - turns * row->step, row->step, row->ahead,
                           &home);
    pages_start(&p, row->opts, row->scattered);
    if (take_all(&p)) {
        for (int i = 0; i < PAGES; i += row->step) {
            touch(&p, row->back ? PAGES - 1 - i : i, row->write);
        }
        g_assert_cmpint(trap(&p, row->write ? "writes" : "reads"), ==,
                        faults + turns);
        g_assert_cmpint(trap(&p, "ahead"), ==, home - faults);
        g_assert_cmpint(trap(&p, "dma"), ==, 0);
        g_assert_cmpint(trap(&p, "held"), ==, PAGES - home - turns);
        check_sum(&p);
        check_pages(&p);
        g_assert_cmpint(trap(&p, "dma"), ==, PAGES - home - turns);
    }
    pages_end(&p);
}

/* Touches that do not follow each other are no row. */
static void test_no_row(const void *opaque)
{
    enum { TOUCHES = PAGES / 2 };
    Pages p;

    pages_start(&p, "", opaque);
    if (take_all(&p)) {
        for (int i = 0; i < TOUCHES; i++) {
            touch(&p, i * 37 % PAGES, false);
        }
        g_assert_cmpint(trap(&p, "reads"), ==, TOUCHES);
        g_assert_cmpint(trap(&p, "ahead"), ==, 0);
        g_assert_cmpint(modified(&p), ==, (PAGES - TOUCHES) * PAGE_LINES);
        check_sum(&p);
        check_pages(&p);
        g_assert_cmpint(trap(&p, "dma"), ==, PAGES - TOUCHES);
    }
    pages_end(&p);
}

/* Touches of all kinds, and pages that the device takes again in between */
static void test_any_order(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(1129);
    Pages p;

    pages_start(&p, "", true);
    if (take_all(&p)) {
        for (int i = 0; i < 60; i++) {
            int first = g_rand_int_range(rand, 0, PAGES);
            int n = g_rand_int_range(rand, 1, 12);
            int step = g_rand_int_range(rand, -4, 5);

            for (int k = 0; k < n; k++) {
                int page = (first + k * step + 60 * PAGES) % PAGES;

                if (i % 3) {
                    touch(&p, page, i & 1);
                } else {
                    take(&p, page);
                }
            }
            check_sum(&p);
        }
        check_pages(&p);
    }
    pages_end(&p);
}

/* A page that was taken again is not where it was: the row ends before it. */
static void test_gap(void)
{
    enum { GAP = 50, STOP = 31 };
    Pages p;

    pages_start(&p, "", true);
    if (take_all(&p)) {
        touch(&p, GAP, false);
        take(&p, GAP);
        check_sum(&p);
        for (int i = 0; i < STOP; i++) {
            touch(&p, i, false);
        }
        g_assert_cmpint(trap(&p, "held"), ==, PAGES - GAP);
        for (int i = STOP; i <= GAP; i++) {
            touch(&p, i, false);
        }
        g_assert_cmpint(trap(&p, "held"), ==, PAGES - GAP - 1);
        check_sum(&p);
        check_pages(&p);
    }
    pages_end(&p);
}

/* Rows go on over pages that the device has taken again meanwhile. */
static void test_taken_again(void)
{
    enum { AGAIN = 20 };
    Pages p;

    pages_start(&p, "", true);
    if (take_all(&p)) {
        for (int i = 0; i < AGAIN; i++) {
            touch(&p, i, false);
        }
        check_sum(&p);
        for (int i = 0; i < AGAIN; i++) {
            take(&p, i);
        }
        check_sum(&p);
        for (int i = AGAIN; i < PAGES; i++) {
            touch(&p, i, false);
        }
        g_assert_cmpint(modified(&p), ==, 0);
        check_sum(&p);
        check_pages(&p);
    }
    pages_end(&p);
}

/* ---- A memory module that goes in the middle of a row ---- */

#define DIMM_SIZE       (64 * MiB)

/* Registers of ACPI memory hot-plug */
#define MEMHP_BASE      0x0a00
#define MEMHP_CTRL      (MEMHP_BASE + 0x14)
#define MEMHP_EJECT     0x08

static uint64_t dimm_plug(QTestState *qts)
{
    g_autoptr(QDict) rsp = NULL;
    QDict *info;

    qtest_qmp_assert_success(qts, "{'execute': 'object-add', 'arguments':"
                             " {'qom-type': 'memory-backend-memfd', 'id':"
                             " 'module', 'size': %u, 'share': true}}",
                             (unsigned)DIMM_SIZE);
    qtest_qmp_device_add(qts, "pc-dimm", "dimm", "{'memdev': 'module'}");
    rsp = qtest_qmp(qts, "{'execute': 'query-memory-devices'}");
    info = qobject_to(QDict, qlist_peek(qdict_get_qlist(rsp, "return")));
    return qdict_get_int(qdict_get_qdict(info, "data"), "addr");
}

static void dimm_unplug(QTestState *qts)
{
    qtest_qmp_device_del_send(qts, "dimm");
    qtest_outl(qts, MEMHP_BASE, 0);
    qtest_outb(qts, MEMHP_CTRL, MEMHP_EJECT);
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
    qtest_qmp_assert_success(qts, "{'execute': 'object-del', 'arguments':"
                             " {'id': 'module'}}");
}

/*
 * The log says of each page that comes home ahead where it is: in RAM. Of the
 * module, which is there until all who look at memory have seen that it is not,
 * nobody has a line.
 */
static void check_ahead_of(const char *log, uint64_t end)
{
    g_autofree char *said = NULL;
    const char *at;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(log, &said, NULL, NULL));
    for (at = said; (at = strstr(at, "cxl_cache_ahead")); ) {
        bool ram;

        at = strstr(at, "0x");
        g_assert_nonnull(at);
        ram = g_ascii_strtoull(at, NULL, 16) < end;
        n += ram;
        at = strstr(at, ": ");
        g_assert_nonnull(at);
        g_assert_true(ram || g_str_has_prefix(at, ": 0 lines"));
    }
    g_assert_cmpuint(n, >, 0);
}

/* Every other page is the module's: what is next, is not there any more. */
static void test_dimm(void)
{
    enum { BEFORE = 5 };
    g_autofree char *log = g_strdup_printf("%s/cxl-cache-gear-%d.log",
                                           g_get_tmp_dir(), (int)getpid());
    g_autofree char *opts = g_strdup_printf(" -m 128M,slots=2,maxmem=1G "
                                            "-D %s", log);
    g_autofree char *said = NULL;
    uint64_t dimm;
    int64_t home;
    Pages p;

    pages_start(&p, opts, false);
    dimm = dimm_plug(p.r.qts);
    for (int i = 1; i < PAGES; i += 2) {
        p.page[i] = dimm + i * PAGE;
    }
    if (take_all(&p)) {
        for (int i = 0; i < BEFORE; i++) {
            touch(&p, i, false);
        }
        home = PAGES - trap(&p, "held");
        g_assert_cmpint(home, >, BEFORE);
        dimm_unplug(p.r.qts);
        said = qtest_hmp(p.r.qts, "trace-event cxl_cache_ahead on");
        g_assert_cmpstr(said, ==, "");
        /* What was left of the module's has come home, and RAM's has not. */
        g_assert_cmpint(modified(&p), ==,
                        (PAGES / 2 + 1 - (home + 1) / 2) * PAGE_LINES);
        for (int i = 0; i < PAGES; i += 2) {
            touch(&p, i, false);
        }
        g_assert_cmpint(modified(&p), ==, 0);
        for (int i = 0; i < PAGES; i += 2) {
            qct_check_memory(&p.r, p.page[i], p.want + i * PAGE, PAGE);
        }
        /* Numbers of pages that are gone are given to others. */
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < PAGES; i += 2) {
                take(&p, i);
            }
            for (int i = 0; i < PAGES; i += 2) {
                touch(&p, i, false);
            }
        }
        g_assert_cmpint(modified(&p), ==, 0);
        check_ahead_of(log, dimm);
    }
    pages_end(&p);
    unlink(log);
}

/* ---- QEMU's own devices ---- */

static void check_trap(Pages *p, int64_t reads, int64_t writes, int64_t dma)
{
    g_assert_cmpint(trap(p, "reads"), ==, reads);
    g_assert_cmpint(trap(p, "writes"), ==, writes);
    g_assert_cmpint(trap(p, "dma"), ==, dma);
    g_assert_cmpint(trap(p, "ahead"), ==, 0);
    check_sum(p);
}

/* What reads or writes by the piece says so if the piece is a line or more. */
static void test_pieces(void)
{
    uint8_t buf[3 * PAGE];
    Pages p;

    pages_start(&p, "", false);
    if (take_all(&p)) {
        qtest_memread(p.r.qts, p.page[0] + 10, buf, LINE);
        g_assert_cmpmem(buf, LINE, p.want + 10, LINE);
        check_trap(&p, 0, 0, 1);
        qtest_memread(p.r.qts, p.page[2] + 10, buf, LINE - 1);
        g_assert_cmpmem(buf, LINE - 1, p.want + 2 * PAGE + 10, LINE - 1);
        check_trap(&p, 1, 0, 1);

        /* From the last byte of a page to the first of the one but two */
        memset(buf, 1, sizeof(buf));
        qtest_memwrite(p.r.qts, p.page[11] - 1, buf, 2 * PAGE + 2);
        memset(p.want + 11 * PAGE - 1, 1, 2 * PAGE + 2);
        check_trap(&p, 1, 0, 5);
        /* It was said for writing, so a store finds nobody in its way. */
        qtest_writeb(p.r.qts, p.page[12], 1);
        check_trap(&p, 1, 0, 5);
        qtest_memwrite(p.r.qts, p.page[20] + 1, buf, LINE - 1);
        memset(p.want + 20 * PAGE + 1, 1, LINE - 1);
        check_trap(&p, 1, 1, 5);

        /* What is at home has nothing to say. */
        qtest_memread(p.r.qts, p.page[10], buf, 3 * PAGE);
        g_assert_cmpmem(buf, 3 * PAGE, p.want + 10 * PAGE, 3 * PAGE);
        check_trap(&p, 1, 1, 5);
        check_pages(&p);
    }
    pages_end(&p);
}

/* The edu device, which copies from and to a buffer of its own */
#define EDU             " -device edu,addr=7.0,bus=pcie.0"
#define EDU_DEVFN       (7 << 3)
#define EDU_SRC         0x80
#define EDU_DST         0x88
#define EDU_COUNT       0x90
#define EDU_CMD         0x98
#define EDU_BUF         0x40000

typedef struct Edu {
    QTestState *qts;
    QPCIDevice *pci;
    QPCIBar bar;
} Edu;

static void edu_copy(Edu *e, uint64_t src, uint64_t dst, uint64_t len,
                     bool to_memory)
{
    qpci_io_writeq(e->pci, e->bar, EDU_SRC, src);
    qpci_io_writeq(e->pci, e->bar, EDU_DST, dst);
    qpci_io_writeq(e->pci, e->bar, EDU_COUNT, len);
    qpci_io_writeq(e->pci, e->bar, EDU_CMD, 1 | to_memory << 1);
    qtest_clock_step(e->qts, 200 * 1000 * 1000);
    g_assert_cmphex(qpci_io_readq(e->pci, e->bar, EDU_CMD) & 1, ==, 0);
}

static void test_edu(void)
{
    Pages p;
    Edu e;

    pages_start(&p, EDU, false);
    e.qts = p.r.qts;
    e.pci = qpci_device_find(&p.r.t[0]->cxl->port_bus, EDU_DEVFN);
    g_assert_nonnull(e.pci);
    qpci_device_enable(e.pci);
    e.bar = qpci_iomap(e.pci, 0, NULL);
    if (take_all(&p)) {
        /* Page 3 comes home, and takes the place of page 7. */
        edu_copy(&e, p.page[3], EDU_BUF, PAGE / 2, false);
        check_trap(&p, 0, 0, 1);
        edu_copy(&e, EDU_BUF, p.page[7] + 8, PAGE / 2, true);
        check_trap(&p, 0, 0, 2);
        memcpy(p.want + 7 * PAGE + 8, p.want + 3 * PAGE, PAGE / 2);
        /* Pieces of a few bytes are trapped. */
        edu_copy(&e, p.page[30], EDU_BUF, 8, false);
        check_trap(&p, 1, 0, 2);
        edu_copy(&e, EDU_BUF, p.page[50] + 8, 8, true);
        check_trap(&p, 1, 1, 2);
        memcpy(p.want + 50 * PAGE + 8, p.want + 30 * PAGE, 8);
        check_pages(&p);
    }
    g_free(e.pci);
    pages_end(&p);
}

/* A crypto device without a cache, which maps the pieces of a request */
#define OTHER_DEVFN     (6 << 3)
#define OTHER           " -object cryptodev-backend-builtin,id=c9 " \
                        "-device virtio-crypto-pci,cryptodev=c9,addr=6.0," \
                        "bus=pcie.0"

static void test_mapped(void)
{
    QPCIAddress addr = { .devfn = OTHER_DEVFN };
    QCXLType1 other = { };
    uint64_t tmp;
    Pages p;

    pages_start(&p, OTHER, false);
    other.cxl = p.r.t[0]->cxl;
    other.c = qvirtio_crypto_new(p.r.qts, &p.r.alloc,
                                 virtio_pci_new(&other.cxl->port_bus, &addr));
    qct_attach(&other, qct_key);
    tmp = qct_alloc_filled(&p.r, PAGE, OLD);
    if (take_all(&p)) {
        /* As the device has made them of their source, they are made again. */
        qct_encrypt(&other, p.page[5], tmp, PAGE);
        check_trap(&p, 0, 0, 1);
        qct_encrypt(&other, p.src + 6 * PAGE, p.page[9], PAGE);
        memcpy(p.want + 9 * PAGE, p.fresh + 6 * PAGE, PAGE);
        check_trap(&p, 0, 0, 2);
        /* Two pages to two pages */
        qct_encrypt(&other, p.page[20], p.page[40], 2 * PAGE);
        check_trap(&p, 0, 0, 6);
        /* Pieces of a mapping are announced, however small they are. */
        qct_encrypt(&other, p.page[60], p.page[70] + 16, 16);
        check_trap(&p, 0, 0, 8);
        qct_encrypt(&other, p.src + 70 * PAGE, p.page[70], PAGE);
        memcpy(p.want + 70 * PAGE, p.fresh + 70 * PAGE, PAGE);

        /* Our device has the same opinion of what becomes of these. */
        qct_set_cache_enable(p.r.t[0], false);
        qct_encrypt(p.r.t[0], p.page[20], tmp, PAGE);
        qtest_memread(p.r.qts, tmp, p.want + 40 * PAGE, PAGE);
        qct_check_memory(&p.r, p.page[40], p.want + 40 * PAGE, PAGE);
    }
    qvirtio_crypto_stop(other.c);
    qvirtio_crypto_free(other.c);
    pages_end(&p);
}

/* Devices with a cache ask for lines: what they map is not brought home. */
static void test_ours(void)
{
    Pages p;
    QDict *info;

    pages_start(&p, QCT_SECOND, false);
    if (take_all(&p)) {
        for (int i = 0; i < 10; i++) {
            /* To itself, to what it has, to what it has not */
            qct_encrypt(p.r.t[0], p.page[i], p.page[i], PAGE);
            qct_encrypt(p.r.t[0], p.page[i], p.page[i + 50], PAGE);
        }
        g_assert_cmpint(modified(&p), ==, PAGES * PAGE_LINES);
        check_trap(&p, 0, 0, 0);
        /* Nor those that another device of the kind maps */
        qct_encrypt(p.r.t[1], p.src + 20 * PAGE, p.page[21], PAGE);
        qct_encrypt(p.r.t[1], p.page[30], p.page[31], PAGE);
        info = qct_query(p.r.qts);
        qct_check_quiet(info);
        g_assert_cmpint(qct_trap(info, "reads"), ==, 0);
        g_assert_cmpint(qct_trap(info, "writes"), ==, 0);
        g_assert_cmpint(qct_trap(info, "dma"), ==, 0);
        g_assert_cmpint(qct_lines(qct_device(info, 1), "M"), ==,
                        2 * PAGE_LINES);
        qobject_unref(info);
        qct_check_memory(&p.r, p.page[21], p.fresh + 20 * PAGE, PAGE);
    }
    pages_end(&p);
}

/* ---- Properties ---- */

#define TYPE1   QCT_BACKEND QCT_DEVICE ",id=t0 "

static const struct {
    const char *name;
    const char *args;
    const char *message;
} refused[] = {
    {
        "prefetch-65",
        QCXL_RP ",cxl-cache=on,cxl-cache-prefetch=65 ",
        "'cxl-cache-prefetch' must be at most 64",
    }, {
        "prefetch-4294967295",
        QCXL_RP ",cxl-cache=on,cxl-cache-prefetch=4294967295 ",
        "'cxl-cache-prefetch' must be at most 64",
    }, {
        "prefetch-4294967296",
        QCXL_RP ",cxl-cache=on,cxl-cache-prefetch=4294967296 ",
        "cxl-cache-prefetch",
    }, {
        "prefetch--1",
        QCXL_RP ",cxl-cache=on,cxl-cache-prefetch=-1 ",
        "cxl-cache-prefetch",
    }, {
        "prefetch-many",
        QCXL_RP ",cxl-cache=on,cxl-cache-prefetch=many ",
        "cxl-cache-prefetch",
    }, {
        "prefetch-without-cache",
        QCXL_RP ",cxl-cache-prefetch=32 ",
        "'cxl-cache-prefetch' is of a port that offers CXL.cache: "
        "cxl-cache=on is missing",
    }, {
        "prefetch-with-cache-off",
        QCXL_RP ",cxl-cache=off,cxl-cache-prefetch=0 ",
        "cxl-cache=on is missing",
    }, {
        "prefetch-of-two-ports",
        QCXL_RP ",cxl-cache=on " TYPE1 QCXL_RP1
        ",cxl-cache=on,cxl-cache-prefetch=31 "
        "-object cryptodev-backend-builtin,id=c1 "
        "-device cxl-type1-crypto,bus=rp1,cryptodev=c1",
        "'cxl-cache-prefetch' must be the same for all root ports with a "
        "CXL.cache device: they share one host",
    }, {
        "gear-third",
        QCXL_RP ",cxl-cache=on,x-gear=third ",
        "does not accept value 'third'",
    }, {
        "gear-",
        QCXL_RP ",cxl-cache=on,x-gear= ",
        "does not accept value ''",
    },
};

static void test_refused(const void *opaque)
{
    int i = GPOINTER_TO_INT(opaque);
    g_autofree char *err = qcxl_refusal(refused[i].args);
    g_auto(GStrv) said = NULL;
    unsigned own = 0, found = 0;

    said = g_strsplit(g_strchomp(err), "\n", -1);
    for (char **l = said; *l; l++) {
        /* A sanitizer has lines of its own. */
        own += !g_str_has_prefix(*l, "==");
        found += !!strstr(*l, refused[i].message);
    }
    if (own != 1 || found != 1) {
        g_test_message("expected one line: %s", refused[i].message);
        g_test_message("got: %s", err);
        g_test_fail();
    }
}

#define PERIPHERAL "/machine/peripheral/"

static void check_property(QTestState *qts, const char *port, int64_t prefetch,
                           const char *gear)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                           "{'path': %s, 'property': 'cxl-cache-prefetch'}}",
                           port);

    g_assert_cmpint(qdict_get_int(rsp, "return"), ==, prefetch);
    qobject_unref(rsp);
    rsp = qtest_qmp(qts, "{'execute': 'qom-get', 'arguments': "
                    "{'path': %s, 'property': 'x-gear'}}", port);
    g_assert_cmpstr(qdict_get_str(rsp, "return"), ==, gear);
    qobject_unref(rsp);
}

/* What they are, that it is too late to change them, and who need not agree */
static void test_properties(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                                 QCXL_PXB QCXL_RP ",cxl-cache=on " TYPE1
                                 QCXL_RP1 ",cxl-cache=on,x-gear=messages,"
                                 "cxl-cache-prefetch=64 "
                                 "-device cxl-rp,port=2,bus=cxl.0,id=rp2,"
                                 "chassis=0,slot=4");
    QDict *rsp;

    check_property(qts, PERIPHERAL "rp0", 32, "auto");
    check_property(qts, PERIPHERAL "rp1", 64, "messages");
    check_property(qts, PERIPHERAL "rp2", 32, "auto");
    rsp = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': {'path': %s, "
                    "'property': 'cxl-cache-prefetch', 'value': 1}}",
                    PERIPHERAL "rp0");
    qmp_expect_error_and_unref(rsp, "GenericError");
    rsp = qtest_qmp(qts, "{'execute': 'qom-set', 'arguments': {'path': %s, "
                    "'property': 'x-gear', 'value': 'messages'}}",
                    PERIPHERAL "rp0");
    qmp_expect_error_and_unref(rsp, "GenericError");
    check_property(qts, PERIPHERAL "rp0", 32, "auto");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(setups); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache-gear/gears/%s",
                                                setups[i].name);

        qtest_add_data_func(name, &setups[i], test_gears);
    }
    qtest_add_func("/cxl-cache-gear/pace", test_pace);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache-gear/row/%s",
                                                rows[i].name);

        qtest_add_data_func(name, &rows[i], test_row);
    }
    qtest_add_data_func("/cxl-cache-gear/no-row/contiguous", NULL,
                        test_no_row);
    qtest_add_data_func("/cxl-cache-gear/no-row/scattered", "", test_no_row);
    qtest_add_func("/cxl-cache-gear/any-order", test_any_order);
    qtest_add_func("/cxl-cache-gear/gap", test_gap);
    qtest_add_func("/cxl-cache-gear/taken-again", test_taken_again);
    qtest_add_func("/cxl-cache-gear/dimm", test_dimm);
    qtest_add_func("/cxl-cache-gear/dma/pieces", test_pieces);
    qtest_add_func("/cxl-cache-gear/dma/edu", test_edu);
    qtest_add_func("/cxl-cache-gear/dma/mapped", test_mapped);
    qtest_add_func("/cxl-cache-gear/dma/ours", test_ours);
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache-gear/refused/%s",
                                                refused[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), test_refused);
    }
    qtest_add_func("/cxl-cache-gear/properties", test_properties);
    return g_test_run();
}
