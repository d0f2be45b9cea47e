/*
 * QTest testcase for the requests of cxl-type1-crypto on a link with time
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The clock stands still but for qtest_clock_step(), so that each request is
 * found where it is at any time: its source under way, its lines being owned,
 * its results in the cache and its status in memory. What memory really holds
 * is looked at past the emulator, for a CPU that looks brings lines home and
 * the link's time forward.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl-tree.h"
#include "libqos/cxl-type1.h"
#include "libqos/malloc-pc.h"
#include "hw/pci/pci_regs.h"

#define L           500
#define RAM_SIZE    (128 * MiB)
#define PAGE        QCT_PAGE
#define AREA        (16 * PAGE)
#define OLD         0x5a
#define MAX_REQUESTS 24

/* What a request takes whose lines all have a credit: there, back, and twice */
#define TRIP        (2 * L)

#define WRITEBACK   ",writeback="
#define UNPLUG_POISON ",unplug=poison"
#define CACHE_OFF       ",cache=off"

typedef struct Flight {
    QCTRequest q;
    unsigned vq;
    uint64_t src;
    uint64_t dst;
    uint32_t len;
} Flight;

typedef struct Rig {
    QTestState *qts;
    QGuestAllocator alloc;
    QCXL *cxl;
    QCXLType1 *t;
    uint8_t *ram;           /* what RAM really holds */
    uint64_t src;
    uint64_t area;
    uint64_t iv;            /* a line of its own */
    uint8_t *once;          /* what becomes of the source */
    int64_t clock;
    const char *writeback;  /* also of a device that is plugged in again */
    const char *unplug;     /* likewise */
    const char *cache;
} Rig;

/* Before the next command is answered timers have run that are due by then. */
static void step(Rig *r, int64_t ns)
{
    if (ns) {
        r->clock = qtest_clock_step(r->qts, ns);
        qtest_readb(r->qts, 0);
    }
}

static void rig_start(Rig *r, const char *port, const char *opts)
{
    const char *writeback = g_str_has_prefix(opts, WRITEBACK) ?
                            opts + strlen(WRITEBACK) : "on-demand";
    QCTRig q = { };

    *r = (Rig) {
        .writeback = writeback,
        .unplug = strstr(opts, UNPLUG_POISON) ? "poison" : "rescue",
        .cache = strstr(opts, CACHE_OFF) ? "off" : "auto",
    };
    r->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                         QCXL_RP ",cxl-cache=on%s -object "
                         "cryptodev-backend-openssl,id=c0,queues=2 "
                         QCT_DEVICE ",id=t0%s", port, opts);
    pc_alloc_init(&r->alloc, r->qts, ALLOC_NO_FLAGS);
    r->cxl = qcxl_new_port(r->qts, 0);
    r->t = qct_new(r->cxl, &r->alloc, qct_key);
    r->ram = qcxl_map_memfd(r->qts, QCXL_MEMFD, RAM_SIZE);
    q = (QCTRig) { .qts = r->qts, .alloc = r->alloc, .devices = 1,
                   .t = { r->t } };
    r->src = qct_alloc_source(&q, AREA);
    r->once = qct_encrypt_uncached(&q, r->src, AREA);
    r->area = qct_alloc_filled(&q, AREA, OLD);
    r->iv = qct_alloc_filled(&q, PAGE, 0);
    qtest_memwrite(r->qts, r->iv, qct_iv, sizeof(qct_iv));
    r->alloc = q.alloc;
}

static void rig_end(Rig *r, bool gone)
{
    munmap(r->ram, RAM_SIZE);
    g_free(r->once);
    qct_free(r->t, gone);
    qcxl_free(r->cxl);
    alloc_destroy(&r->alloc);
    qtest_quit(r->qts);
}

/* A counter of the device */
static int64_t count(Rig *r, const char *what)
{
    QDict *info = qct_query(r->qts);
    int64_t n = qdict_get_int(qct_device(info, 0), what);

    qobject_unref(info);
    return n;
}

static int64_t lines_of(Rig *r, const char *state)
{
    QDict *info = qct_query(r->qts);
    int64_t n = qct_lines(qct_device(info, 0), state);

    qobject_unref(info);
    return n;
}

static int64_t in_channel(Rig *r, const char *channel)
{
    QDict *info = qct_query(r->qts);
    QListEntry *e;
    int64_t n = -1;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(qct_device(info, 0), "channels"), e) {
        QDict *ch = qobject_to(QDict, qlist_entry_obj(e));

        if (g_str_equal(qdict_get_str(ch, "channel"), channel)) {
            n = qdict_get_int(ch, "messages");
        }
    }
    qobject_unref(info);
    return n;
}

static void check_quiet(Rig *r)
{
    QDict *info = qct_query(r->qts);

    qct_check_quiet(info);
    qobject_unref(info);
}

/* The doorbell is heard by the main loop, a little later. */
static void wait_outstanding(Rig *r, int64_t n)
{
    gint64 end = g_get_monotonic_time() + QVIRTIO_CRYPTO_TIMEOUT_US;

    while (count(r, "outstanding") != n) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void post_at(Rig *r, Flight *f, uint64_t src, uint64_t dst, uint32_t len)
{
    f->src = src;
    f->dst = dst;
    f->len = len;
    qct_prepare(r->t, &f->q, qct_iv, (QCTSeg[]) { { src, len }, { } },
                (QCTSeg[]) { { dst, len }, { } });
    g_array_index(f->q.req.descs, struct vring_desc, 1).addr = r->iv;
    qvirtio_crypto_enqueue(r->t->c, r->t->c->vqs[f->vq], &f->q.req);
    qvirtio_crypto_notify(r->t->c, r->t->c->vqs[f->vq]);
}

static void post(Rig *r, Flight *f, uint32_t src, uint32_t dst, uint32_t len)
{
    post_at(r, f, r->src + src, r->area + dst, len);
}

static bool is_done(Rig *r, const Flight *f)
{
    return r->ram[f->q.status_addr] != QCT_NO_STATUS;
}

/* Until it is done; returns how long it took, in steps of @ns */
static int64_t run_until_done(Rig *r, const Flight *f, int64_t ns)
{
    int64_t since = r->clock;

    for (int i = 0; !is_done(r, f); i++) {
        g_assert_cmpint(i, <, 10000);
        step(r, ns);
    }
    return r->clock - since;
}

/* Requests of a queue may come in any order. */
static void take(Rig *r, Flight *f, uint8_t status)
{
    g_assert_true(is_done(r, f));
    g_assert_cmpuint(r->ram[f->q.status_addr], ==, status);
    qct_forget(&f->q);
    r->t->c->in_flight--;
}

static void check_used(Rig *r, unsigned vq, unsigned n)
{
    uint32_t head, len;

    for (unsigned i = 0; i < n; i++) {
        g_assert_true(qvirtqueue_get_buf(r->qts, r->t->c->vqs[vq], &head,
                                         &len));
    }
    g_assert_false(qvirtqueue_get_buf(r->qts, r->t->c->vqs[vq], &head, &len));
}

static bool really_is(Rig *r, uint64_t addr, uint8_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (r->ram[addr + i] != value) {
            return false;
        }
    }
    return true;
}

/* As a CPU sees it */
static void check_memory(Rig *r, uint64_t addr, const void *want, size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);

    qtest_memread(r->qts, addr, buf, len);
    for (size_t i = 0; i < len; i++) {
        if (buf[i] != ((const uint8_t *)want)[i]) {
            g_test_message("byte %zu of %zu at 0x%" PRIx64 ", area 0x%" PRIx64,
                           i, len, addr, r->area);
            break;
        }
    }
    g_assert_cmpmem(buf, len, want, len);
}

static void check_filled(Rig *r, uint64_t addr, uint8_t value, size_t len)
{
    g_autofree uint8_t *want = g_malloc(len);

    memset(want, value, len);
    check_memory(r, addr, want, len);
}

/* How far the link's time is ahead of the clock: something was done at once */
static int64_t ahead(Rig *r)
{
    QDict *info = qct_query(r->qts);
    QDict *timing = qdict_get_qdict(qct_device(info, 0), "timing");
    int64_t ns = qdict_get_int(timing, "now") -
                 qdict_get_int(timing, "clock");

    qobject_unref(info);
    return ns;
}

static void catch_up(Rig *r)
{
    step(r, MAX(ahead(r), 0) + 10 * L);
}

static bool host_keeps(void)
{
    static int keeps = -1;

    if (keeps < 0) {
        Rig r;
        QDict *info;

        rig_start(&r, "", "");
        qct_encrypt(r.t, r.src, r.area, PAGE);
        info = qct_query(r.qts);
        keeps = !qct_has_obstacle(info);
        qobject_unref(info);
        rig_end(&r, false);
    }
    return keeps;
}

/* The device does its work. @lost: requests of its never had an answer */
static void check_works(Rig *r, bool lost)
{
    Flight f = { };

    qtest_memset(r->qts, r->area, OLD, AREA);
    catch_up(r);
    post(r, &f, 0, PAGE, PAGE);
    run_until_done(r, &f, L);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    check_memory(r, f.dst, r->once, PAGE);
    check_filled(r, r->area, OLD, PAGE);
    catch_up(r);
    if (!lost) {
        check_quiet(r);
    }
}

/* ---- Where a request is, and when ---- */

static void test_seen(Rig *r)
{
    Flight f = { };

    /* 16 lines, and the initialization vector's */
    post(r, &f, 0, 0, 1024);
    wait_outstanding(r, 17);
    g_assert_cmpint(in_channel(r, "d2h-req"), ==, 17);
    step(r, L - 1);
    g_assert_cmpint(in_channel(r, "d2h-req"), ==, 17);
    step(r, 1);
    g_assert_cmpint(in_channel(r, "d2h-req"), ==, 0);
    g_assert_cmpint(in_channel(r, "h2d-data"), ==, 17);
    step(r, L - 1);
    g_assert_cmpint(count(r, "outstanding"), ==, 17);
    /* The arithmetic takes no time. */
    step(r, 1);
    g_assert_cmpint(count(r, "outstanding"), ==, 16);
    g_assert_cmpint(in_channel(r, "d2h-req"), ==, 16);
    g_assert_false(is_done(r, &f));
    step(r, TRIP - 1);
    g_assert_false(is_done(r, &f));
    g_assert_cmpint(lines_of(r, "M"), ==, 0);
    check_used(r, 0, 0);
    step(r, 1);
    g_assert_cmpint(count(r, "outstanding"), ==, 0);
    g_assert_cmpint(lines_of(r, "M"), ==, 16);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    g_assert_true(really_is(r, f.dst, OLD, f.len));
    check_memory(r, f.dst, r->once, f.len);
    check_filled(r, f.dst + f.len, OLD, AREA - f.len);
    catch_up(r);
    check_quiet(r);
}

/* A payload in flight, the n-th: whose, and what it waits for */
static void check_work(Rig *r, int n, const Flight *f, bool write,
                       const char *awaits, int64_t requests, int64_t age)
{
    g_autoptr(QDict) info = qct_query(r->qts);
    QDict *dev = qct_device(info, 0), *w;
    g_autofree char *name = g_strdup_printf("queue %u, descriptor %u", f->vq,
                                            f->q.req.head);
    const QListEntry *e;
    int64_t of_it = 0;

    e = qlist_first(qdict_get_qlist(dev, "work"));
    while (n--) {
        e = qlist_next(e);
    }
    w = qobject_to(QDict, qlist_entry_obj(e));
    g_assert_cmpstr(qdict_get_str(w, "name"), ==, name);
    g_assert_cmpint(qdict_get_bool(w, "write"), ==, write);
    g_assert_cmpstr(qdict_get_str(w, "awaits"), ==, awaits);
    g_assert_cmpint(qdict_get_int(w, "requests"), ==, requests);
    g_assert_cmpint(qdict_get_int(w, "age"), ==, age);
    if (!qdict_haskey(dev, "requests")) {
        g_assert_cmpint(requests, ==, 0);
        return;
    }
    QLIST_FOREACH_ENTRY(qdict_get_qlist(dev, "requests"), e) {
        QDict *req = qobject_to(QDict, qlist_entry_obj(e));
        uint64_t addr = qdict_get_int(req, "address");

        if (g_strcmp0(qdict_get_try_str(req, "work"), name) ||
            strcmp(qdict_get_str(req, "request"), write ? "RdOwnNoData" :
                                                          "RdCurr")) {
            continue;
        }
        if (addr != r->iv) {
            g_assert_cmphex(addr, >=, write ? f->dst : f->src);
            g_assert_cmphex(addr, <, (write ? f->dst : f->src) + f->len);
        }
        g_assert_cmpint(qdict_get_int(req, "age"), ==, age);
        of_it++;
    }
    g_assert_cmpint(of_it, ==, requests);
}

/* Who wants to know what hangs finds it, with its name. */
static void test_named(Rig *r)
{
    Flight f[2] = { { .vq = 0 }, { .vq = 1 } };

    post(r, &f[0], 0, 0, 1024);
    wait_outstanding(r, 17);
    step(r, 100);
    post(r, &f[1], 2 * PAGE, PAGE, 256);
    wait_outstanding(r, 17 + 5);
    step(r, 50);
    check_work(r, 0, &f[0], false, "lines", 17, 150);
    check_work(r, 1, &f[1], false, "lines", 5, 50);
    step(r, TRIP - 100);
    check_work(r, 0, &f[0], false, "done", 0, TRIP + 50);
    check_work(r, 1, &f[1], false, "lines", 5, TRIP - 50);
    check_work(r, 2, &f[0], true, "lines", 16, 50);
    run_until_done(r, &f[0], L);
    run_until_done(r, &f[1], L);
    take(r, &f[0], VIRTIO_CRYPTO_OK);
    take(r, &f[1], VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    check_used(r, 1, 1);
    catch_up(r);
    check_quiet(r);
}

/* Where there are fewer credits than lines it waits for them. */
static void test_named_credits(Rig *r)
{
    Flight f = { };

    post(r, &f, 0, 0, 1024);
    wait_outstanding(r, 2);
    check_work(r, 0, &f, false, "others", 2, 0);
    run_until_done(r, &f, L);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
}

/* Many of two queues take no longer than one, if there are credits for them. */
static void test_many(Rig *r)
{
    Flight f[8] = { };
    int64_t alone, together;

    post(r, &f[0], 0, 8 * PAGE, 128);
    wait_outstanding(r, 3);
    alone = run_until_done(r, &f[0], 10);
    take(r, &f[0], VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    g_assert_cmpint(alone, ==, 2 * TRIP);
    for (int i = 0; i < 8; i++) {
        f[i].vq = i % 2;
        post(r, &f[i], 0, i * 512, 128);
    }
    wait_outstanding(r, 8 * 3);
    together = run_until_done(r, &f[7], 10);
    g_assert_cmpint(together, ==, alone);
    for (int i = 0; i < 8; i++) {
        take(r, &f[i], VIRTIO_CRYPTO_OK);
    }
    check_used(r, 0, 4);
    check_used(r, 1, 4);
    for (int i = 0; i < 8; i++) {
        check_memory(r, f[i].dst, r->once, 128);
        check_filled(r, f[i].dst + 128, OLD, 512 - 128);
    }
    catch_up(r);
    check_quiet(r);
}

/* N credits move N lines in a round trip, and the oldest request goes first. */
static void test_credits(Rig *r)
{
    Flight f[2] = { };
    int64_t first, second;

    post(r, &f[0], 0, 0, 1024);
    post(r, &f[1], 0, PAGE, 1024);
    wait_outstanding(r, 2);
    first = run_until_done(r, &f[0], 10);
    g_assert_false(is_done(r, &f[1]));
    second = first + run_until_done(r, &f[1], 10);
    /* 17 and 16 lines each, by two, a round trip for each two */
    g_assert_cmpint(second, >=, 2 * (17 + 16) / 2 * TRIP);
    g_assert_cmpint(second, <=, 2 * (17 + 16) / 2 * TRIP * 5 / 4);
    take(r, &f[0], VIRTIO_CRYPTO_OK);
    take(r, &f[1], VIRTIO_CRYPTO_OK);
    check_used(r, 0, 2);
    check_memory(r, f[0].dst, r->once, 1024);
    check_memory(r, f[1].dst, r->once, 1024);
    catch_up(r);
    check_quiet(r);
}

/* ---- Results ---- */

/* All shapes, each once more in front of the lines that the last one left */
static void test_shapes(Rig *r)
{
    static const struct {
        uint32_t at, len;
    } shapes[] = {
        { 0, 64 }, { 0, 4096 }, { 8, 16 }, { 40, 48 }, { 4072, 64 },
        { 100, 8192 }, { 64, 16384 }, { 8, 32752 },
    };
    uint8_t image[AREA];

    memset(image, OLD, AREA);
    for (int i = 0; i < 2 * ARRAY_SIZE(shapes); i++) {
        uint32_t at = shapes[i / 2].at + (i % 2) * 16;
        uint32_t len = shapes[i / 2].len;
        Flight f = { };

        post(r, &f, 0, at, len);
        run_until_done(r, &f, L);
        take(r, &f, VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        memcpy(image + at, r->once, len);
        if (i % 4 == 3) {
            check_memory(r, r->area, image, AREA);
            catch_up(r);
        }
    }
    check_memory(r, r->area, image, AREA);
    catch_up(r);
    check_quiet(r);
}

/* Parts of lines take no longer, and nothing that is done at once. */
static void test_edges(Rig *r)
{
    Flight f = { };

    post(r, &f, 0, 40, 1024);
    wait_outstanding(r, 17);
    g_assert_cmpint(run_until_done(r, &f, 10), ==, 2 * TRIP);
    g_assert_cmpint(ahead(r), ==, 0);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    g_assert_cmpint(lines_of(r, "M"), ==, 17);
    check_memory(r, f.dst, r->once, f.len);
    check_filled(r, r->area, OLD, 40);
    catch_up(r);
    check_quiet(r);
}

/* Neither the source nor the initialization vector begins a line. */
static void test_source(Rig *r)
{
    const uint64_t src = r->area + 8 * PAGE + 24;
    uint8_t source[1024];
    Flight f = { };

    qtest_memread(r->qts, r->src, source, sizeof(source));
    qtest_memwrite(r->qts, src, source, sizeof(source));
    qtest_memset(r->qts, r->iv, 0, sizeof(qct_iv));
    r->iv += 24;
    qtest_memwrite(r->qts, r->iv, qct_iv, sizeof(qct_iv));
    catch_up(r);
    post_at(r, &f, src, r->area, sizeof(source));
    wait_outstanding(r, 18);
    g_assert_cmpint(run_until_done(r, &f, 10), ==, 2 * TRIP);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    check_memory(r, f.dst, r->once, f.len);
    check_memory(r, src, source, sizeof(source));
    catch_up(r);
    check_quiet(r);
}

/* A result for which half of the cache is too small has no more than that. */
static void test_room(Rig *r)
{
    const int64_t half = 64 * KiB / 64 / 2;
    Flight f = { };

    post(r, &f, 0, 0, 12 * PAGE);
    run_until_done(r, &f, L);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    g_assert_cmpint(lines_of(r, "M"), <=, half);
    check_memory(r, f.dst, r->once, f.len);
    check_filled(r, f.dst + f.len, OLD, AREA - f.len);
    catch_up(r);
    check_quiet(r);
}

/* Nothing is left in the cache, and memory has it, when the status is there. */
static void test_memory_first(Rig *r)
{
    Flight f = { };

    post(r, &f, 0, 40, PAGE);
    while (!is_done(r, &f)) {
        step(r, 10);
    }
    g_assert_cmpmem(r->ram + f.dst, PAGE, r->once, PAGE);
    g_assert_true(really_is(r, r->area, OLD, 40));
    g_assert_cmpint(lines_of(r, "M"), ==, 0);
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_used(r, 0, 1);
    catch_up(r);
    check_quiet(r);
}

/* What a request has modified is the source of the next, and its destination */
static void test_in_cache(Rig *r)
{
    Flight f = { };
    uint8_t twice[PAGE];

    post(r, &f, 0, 0, PAGE);
    run_until_done(r, &f, L);
    take(r, &f, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(lines_of(r, "M"), ==, QCT_PAGE_LINES);
    f.vq = 1;
    post_at(r, &f, r->area, r->area, PAGE);
    wait_outstanding(r, 1);
    /* The initialization vector alone is asked for. */
    g_assert_cmpint(run_until_done(r, &f, 10), ==, TRIP);
    take(r, &f, VIRTIO_CRYPTO_OK);
    g_assert_cmpint(lines_of(r, "M"), ==, QCT_PAGE_LINES);
    g_assert_true(really_is(r, r->area, OLD, PAGE));
    qtest_memread(r->qts, r->area, twice, PAGE);
    g_assert_cmpint(memcmp(twice, r->once, PAGE), !=, 0);
    /* Likewise by CXL.io */
    qct_set_cache_enable(r->t, false);
    qtest_memwrite(r->qts, r->area + PAGE, r->once, PAGE);
    f.vq = 0;
    post_at(r, &f, r->area + PAGE, r->area + PAGE, PAGE);
    while (!is_done(r, &f)) {
        count(r, "outstanding");
    }
    take(r, &f, VIRTIO_CRYPTO_OK);
    check_memory(r, r->area + PAGE, twice, PAGE);
}

/* A CPU touches source and destination whenever it likes. */
static void test_touched(Rig *r)
{
    for (int when = 0; when <= 2 * TRIP + L; when += L / 2) {
        Flight f = { };
        uint8_t want[2 * PAGE];

        qtest_memset(r->qts, r->area, OLD, 2 * PAGE);
        catch_up(r);
        post(r, &f, 0, 24, PAGE);
        wait_outstanding(r, QCT_PAGE_LINES);
        step(r, when);
        /* In lines of the result, and before and behind it */
        qtest_writeb(r->qts, r->area + 5, 1);
        qtest_writeb(r->qts, r->area + PAGE + 30, 2);
        g_assert_cmpuint(qtest_readb(r->qts, f.src), ==, r->ram[f.src]);
        run_until_done(r, &f, L / 2);
        take(r, &f, VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        memset(want, OLD, sizeof(want));
        memcpy(want + 24, r->once, PAGE);
        want[5] = 1;
        want[PAGE + 30] = 2;
        check_memory(r, r->area, want, sizeof(want));
        catch_up(r);
        check_quiet(r);
    }
}

/* Sources, destinations, queues and touches at random */
static void test_random(Rig *r)
{
    GRand *rand = g_rand_new_with_seed(20261130);
    uint8_t image[AREA];

    memset(image, OLD, AREA);
    for (int round = 0; round < 12; round++) {
        Flight f[MAX_REQUESTS] = { };
        int n = g_rand_int_range(rand, 1, MAX_REQUESTS + 1), used[2] = { };

        for (int i = 0; i < n; i++) {
            uint32_t room = AREA / MAX_REQUESTS / 16 * 16;
            uint32_t len = 16 * g_rand_int_range(rand, 1, room / 16);
            uint32_t at = i * room + g_rand_int_range(rand, 0, room - len);

            f[i].vq = g_rand_int_range(rand, 0, 2);
            used[f[i].vq]++;
            post(r, &f[i], 0, at, len);
            memcpy(image + at, r->once, len);
            step(r, g_rand_int_range(rand, 0, L));
            if (g_rand_int_range(rand, 0, 4) == 0) {
                qtest_readb(r->qts, r->area +
                            g_rand_int_range(rand, 0, AREA));
            }
        }
        for (int i = 0; i < n; i++) {
            run_until_done(r, &f[i], L);
            take(r, &f[i], VIRTIO_CRYPTO_OK);
        }
        check_used(r, 0, used[0]);
        check_used(r, 1, used[1]);
        if (g_rand_boolean(rand)) {
            check_memory(r, r->area, image, AREA);
        }
    }
    check_memory(r, r->area, image, AREA);
    catch_up(r);
    check_quiet(r);
    g_rand_free(rand);
}

/* ---- The machine stops, the device goes ---- */

static void test_stop(Rig *r)
{
    for (int when = 0; when < 2 * TRIP; when += L) {
        g_autofree char *said = NULL;
        Flight f = { };

        post(r, &f, 0, 0, 1024);
        wait_outstanding(r, 17);
        step(r, when);
        qtest_qmp_assert_success(r->qts, "{'execute': 'stop'}");
        said = qtest_hmp(r->qts, "savevm now");
        g_assert_nonnull(strstr(said, "non-migratable"));
        /* The machine's memory is looked at, as for a dump. */
        qtest_memread(r->qts, r->area, (uint8_t[PAGE]) { }, PAGE);
        g_assert_false(is_done(r, &f));
        step(r, 100 * L);
        g_assert_false(is_done(r, &f));
        qtest_qmp_assert_success(r->qts, "{'execute': 'cont'}");
        run_until_done(r, &f, L);
        take(r, &f, VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        check_memory(r, f.dst, r->once, 1024);
        qtest_memset(r->qts, r->area, OLD, PAGE);
        catch_up(r);
        check_quiet(r);
    }
}

static void virtio_reset(Rig *r)
{
    qvirtio_crypto_stop(r->t->c);
}

static void flr(Rig *r)
{
    QPCIDevice *pdev = r->t->c->pci->pdev;
    uint8_t cap = qpci_find_capability(pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(pdev, cap + PCI_EXP_DEVCTL, qcxl_readw(pdev, cap +
                PCI_EXP_DEVCTL) | PCI_EXP_DEVCTL_BCR_FLR);
    qvirtio_crypto_release(r->t->c);
    qvirtio_pci_device_enable(r->t->c->pci);
}

static void start_again(Rig *r)
{
    QCXL *cxl = r->t->cxl;

    qct_free(r->t, true);
    r->t = qct_new(cxl, &r->alloc, qct_key);
}

static void system_reset(Rig *r)
{
    qtest_system_reset(r->qts);
    qcxl_init(r->cxl);
}

static void bus_reset(Rig *r)
{
    qcxl_secondary_reset(r->cxl);
}

static void plug_again(Rig *r)
{
    qtest_qmp_device_add(r->qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0', "
                         "'writeback': %s, 'unplug': %s, 'cache': %s}",
                         r->writeback, r->unplug, r->cache);
    qcxl_plugged(r->cxl);
}

static void unplug(Rig *r)
{
    qcxl_unplug(r->cxl, "t0");
    plug_again(r);
}

static void remove_now(Rig *r)
{
    qct_fault(r->qts, &(QCTFault) { "removal" });
    qtest_qmp_eventwait(r->qts, "DEVICE_DELETED");
    plug_again(r);
}

static void link_down(Rig *r)
{
    qct_fault(r->qts, &(QCTFault) { "link-down" });
    while (!qct_fault_is(r->qts, "link-down")) {
        g_usleep(100);
    }
    step(r, 100 * L);
    qct_clear(r->qts);
}

static const struct {
    const char *name;
    void (*fn)(Rig *r);
    bool attach;            /* the same device, as it was but for virtio */
    bool loses;             /* what is under way */
} ends[] = {
    { "virtio-reset", virtio_reset, true },
    { "flr", flr, true },
    { "system-reset", system_reset, .loses = true },
    { "bus-reset", bus_reset },
    { "unplug", unplug },
    { "removal", remove_now },
    { "link-down", link_down },
};

/*
 * Whenever it comes, requests that are not done yet are not done any more, and
 * memory is as it was.
 */
static void test_end(Rig *r, int end)
{
    static const int times[] = { 0, L, TRIP - 1, TRIP, TRIP + L, 2 * TRIP - 1 };

    for (int i = 0; i < ARRAY_SIZE(times); i++) {
        Flight f[2] = { { .vq = 0 }, { .vq = 1 } };

        post(r, &f[0], 0, 0, 1024);
        post(r, &f[1], 0, 2 * PAGE + 40, 256);
        wait_outstanding(r, 17 + 5);
        step(r, times[i]);
        ends[end].fn(r);
        step(r, 100 * L);
        for (int j = 0; j < 2; j++) {
            g_assert_false(is_done(r, &f[j]));
            qct_forget(&f[j].q);
        }
        g_assert_true(really_is(r, r->area, OLD, AREA));
        if (ends[end].attach) {
            /* The cache is as it was, and has nothing of them. */
            g_assert_cmpint(lines_of(r, "E"), ==, 0);
            g_assert_cmpint(lines_of(r, "EN"), ==, 0);
            r->t->c->in_flight = 0;
            qct_attach(r->t, qct_key);
        } else {
            start_again(r);
        }
        check_filled(r, r->area, OLD, AREA);
        check_works(r, ends[end].loses);
        qtest_memset(r->qts, r->area, OLD, AREA);
        catch_up(r);
    }
}

/*
 * A driver does again what is not done, also where its source was to be
 * overwritten: whenever the device goes, memory has all of the result and the
 * status says so, or none of it.
 */
static void test_whole(Rig *r)
{
    uint8_t source[1024];

    qtest_memread(r->qts, r->src, source, sizeof(source));
    for (int when = 0; when <= 4 * TRIP; when += L / 2) {
        Flight f = { };

        qtest_memwrite(r->qts, r->area, source, sizeof(source));
        catch_up(r);
        post_at(r, &f, r->area, r->area, sizeof(source));
        wait_outstanding(r, 17);
        step(r, when);
        remove_now(r);
        check_memory(r, r->area, is_done(r, &f) ? r->once : source,
                     sizeof(source));
        qct_forget(&f.q);
        start_again(r);
    }
}

#define POISON      0xbaadf00d

/*
 * It goes as hardware does, and takes with it what it has modified. That is
 * what requests that were done have left; of those in flight nothing is to be
 * seen, neither in memory nor as poison.
 */
static void test_gone_poison(Rig *r)
{
    for (int when = 0; when <= 2 * TRIP - 1; when += L - 1) {
        Flight done = { }, f[2] = { { .vq = 0 }, { .vq = 1 } };

        post(r, &done, 0, 8 * PAGE, PAGE);
        run_until_done(r, &done, L);
        take(r, &done, VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        catch_up(r);
        post(r, &f[0], 0, 0, 1024);
        post(r, &f[1], 0, 2 * PAGE + 40, 256);
        wait_outstanding(r, 17 + 5);
        step(r, when);
        remove_now(r);
        step(r, 100 * L);
        for (int j = 0; j < 2; j++) {
            g_assert_false(is_done(r, &f[j]));
            qct_forget(&f[j].q);
        }
        check_filled(r, r->area, OLD, 8 * PAGE);
        for (int line = 0; line < QCT_PAGE_LINES; line++) {
            g_assert_cmphex(qtest_readl(r->qts, r->area + 8 * PAGE + line * 64),
                            ==, POISON);
        }
        check_filled(r, r->area + 9 * PAGE, OLD, AREA - 9 * PAGE);
        start_again(r);
        check_works(r, false);
        qtest_memset(r->qts, r->area, OLD, AREA);
        catch_up(r);
    }
}

/* ---- The device fails ---- */

/* It hangs with requests under way, wherever they are, and goes on. */
static void test_hang(Rig *r)
{
    for (int when = 0; when < 2 * TRIP; when += L) {
        Flight f[2] = { { .vq = 0 }, { .vq = 1 } };

        post(r, &f[0], 0, 0, 1024);
        wait_outstanding(r, 17);
        step(r, when);
        g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 0);
        qct_fault(r->qts, &(QCTFault) { "hang" });
        while (!qct_fault_is(r->qts, "hung")) {
            g_usleep(100);
        }
        post(r, &f[1], 0, PAGE, 1024);
        step(r, 100 * L);
        qct_wait_held(r->qts, 2);
        g_assert_false(is_done(r, &f[0]));
        g_assert_true(really_is(r, r->area, OLD, AREA));
        check_filled(r, r->area, OLD, AREA);
        qct_clear(r->qts);
        run_until_done(r, &f[0], L);
        run_until_done(r, &f[1], L);
        take(r, &f[0], VIRTIO_CRYPTO_OK);
        take(r, &f[1], VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        check_used(r, 1, 1);
        check_memory(r, f[0].dst, r->once, 1024);
        check_memory(r, f[1].dst, r->once, 1024);
        qtest_memset(r->qts, r->area, OLD, AREA);
        catch_up(r);
        check_quiet(r);
    }
}

/* Faults of the n-th request: each is counted once, however often it goes on */
static void test_nth(Rig *r)
{
    static const char *const kinds[] = { "request-error", "poison", "go-err" };

    for (int i = 0; i < ARRAY_SIZE(kinds); i++) {
        qct_fault(r->qts, &(QCTFault) { kinds[i], .after = 2 });
        for (int n = 0; n < 4; n++) {
            Flight f = { };

            post(r, &f, 0, 40, 1024);
            run_until_done(r, &f, L);
            take(r, &f, n == 2 ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_OK);
            check_used(r, 0, 1);
            if (n == 2) {
                check_filled(r, r->area, OLD, AREA);
            } else {
                check_memory(r, f.dst, r->once, 1024);
            }
            qtest_memset(r->qts, r->area, OLD, 2 * PAGE);
            catch_up(r);
        }
    }
}

/* Viral in the middle: all that is under way ends in an error, once. */
static void test_viral(Rig *r)
{
    for (int when = 0; when < 2 * TRIP; when += L) {
        Flight f[2] = { { .vq = 0 }, { .vq = 1 } };

        post(r, &f[0], 0, 0, 1024);
        post(r, &f[1], 0, PAGE + 24, 128);
        wait_outstanding(r, 17 + 3);
        step(r, when);
        qct_fault(r->qts, &(QCTFault) { "viral" });
        while (!qct_fault_is(r->qts, "viral")) {
            g_usleep(100);
        }
        run_until_done(r, &f[0], L);
        run_until_done(r, &f[1], L);
        take(r, &f[0], VIRTIO_CRYPTO_ERR);
        take(r, &f[1], VIRTIO_CRYPTO_ERR);
        step(r, 100 * L);
        check_used(r, 0, 1);
        check_used(r, 1, 1);
        g_assert_true(really_is(r, r->area, OLD, AREA));
        qct_clear(r->qts);
        check_works(r, false);
        qtest_memset(r->qts, r->area, OLD, AREA);
        catch_up(r);
    }
}

static void hold(Rig *r, const char *channel)
{
    qtest_qmp_assert_success(r->qts, "{'execute': 'x-cxl-type1-fault', "
                             "'arguments': {'id': 't0', 'fault': "
                             "'hang-snoop', 'channel': %s}}", channel);
}

/*
 * It answers no snoop, and is isolated while a request is under way, as a CPU
 * is here that cannot wait. A request whose lines are lost ends in an error,
 * one that has its source goes on by CXL.io.
 */
static void test_isolated(Rig *r)
{
    for (int owns = 0; owns < 2; owns++) {
        Flight f[2] = { };

        post(r, &f[0], 0, 8 * PAGE, PAGE);
        run_until_done(r, &f[0], L);
        take(r, &f[0], VIRTIO_CRYPTO_OK);
        hold(r, "d2h-rsp");
        post(r, &f[1], 0, 0, 1024);
        wait_outstanding(r, 17);
        step(r, owns ? TRIP + L : L);
        check_memory(r, f[0].dst, r->once, PAGE);
        run_until_done(r, &f[1], L);
        take(r, &f[1], owns ? VIRTIO_CRYPTO_ERR : VIRTIO_CRYPTO_OK);
        step(r, 100 * L);
        check_used(r, 0, 2);
        if (owns) {
            g_assert_true(really_is(r, r->area, OLD, 8 * PAGE));
        } else {
            check_memory(r, f[1].dst, r->once, 1024);
        }
        qct_clear(r->qts);
        qct_set_cache_enable(r->t, false);
        qct_set_cache_enable(r->t, true);
        check_works(r, true);
        qtest_memset(r->qts, r->area, OLD, AREA);
        catch_up(r);
    }
}

#define CACHEMEM        0x1000
#define T_CTRL          0x8
#define T_STATUS        0xc
/* 100 us, time-out and isolation */
#define T_CTRL_100US    (1u << 8 | 1u << 12 | 1u << 18)
#define T_STATUS_BOTH   (1u << 4 | 1u << 12)

static uint32_t read_cachemem(void *opaque, uint16_t offset)
{
    Rig *r = opaque;

    return qpci_io_readl(r->cxl->rp, r->cxl->rp_bar, CACHEMEM + offset);
}

/*
 * By Timeout and Isolation: the host pulls results, and they do not come. They
 * are written at once, which does not wait in vain: what the device has not
 * sent is rescued, and the request behind goes by CXL.io.
 */
static void test_timeout(Rig *r)
{
    uint16_t at = qcxl_find_cap(read_cachemem, r, 0x09);
    Flight f[2] = { { .vq = 0 }, { .vq = 1 } };

    qpci_io_writel(r->cxl->rp, r->cxl->rp_bar, CACHEMEM + at + T_CTRL,
                   T_CTRL_100US);
    hold(r, "d2h-data");
    post(r, &f[0], 0, 0, 1024);
    post(r, &f[1], 0, PAGE, 512);
    wait_outstanding(r, 17 + 9);
    step(r, TRIP - 1);
    g_assert_false(is_done(r, &f[0]));
    g_assert_false(is_done(r, &f[1]));
    step(r, 200000);
    g_assert_cmphex(read_cachemem(r, at + T_STATUS), ==, T_STATUS_BOTH);
    take(r, &f[0], VIRTIO_CRYPTO_OK);
    take(r, &f[1], VIRTIO_CRYPTO_OK);
    step(r, 100 * L);
    check_used(r, 0, 1);
    check_used(r, 1, 1);
    check_memory(r, f[0].dst, r->once, 1024);
    check_filled(r, r->area + 1024, OLD, PAGE - 1024);
    check_memory(r, f[1].dst, r->once, 512);
    check_filled(r, r->area + PAGE + 512, OLD, PAGE - 512);
    qct_clear(r->qts);
    qpci_io_writel(r->cxl->rp, r->cxl->rp_bar, CACHEMEM + at + T_STATUS,
                   T_STATUS_BOTH);
    check_works(r, true);
}

/* Software turns the cache off with requests under way. */
static void test_cache_off(Rig *r)
{
    for (int when = 0; when < 2 * TRIP; when += L) {
        Flight f = { };

        post(r, &f, 0, 40, 1024);
        wait_outstanding(r, 17);
        step(r, when);
        qct_set_disable_caching(r->t, true);
        run_until_done(r, &f, L);
        take(r, &f, VIRTIO_CRYPTO_OK);
        check_used(r, 0, 1);
        check_memory(r, f.dst, r->once, 1024);
        check_filled(r, r->area, OLD, 40);
        qct_set_disable_caching(r->t, false);
        qtest_memset(r->qts, r->area, OLD, PAGE);
        catch_up(r);
        check_quiet(r);
    }
}

/* What is not on the allow-list fails as ever: once, before it asks. */
static void test_refused(Rig *r)
{
    int64_t before = count(r, "guarded");
    Flight f = { };

    post(r, &f, 0, 0, 1024);
    run_until_done(r, &f, L);
    take(r, &f, VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(count(r, "guarded"), ==, before + 1);
    check_used(r, 0, 1);
    check_filled(r, r->area, OLD, AREA);
}

typedef struct Case {
    const char *name;
    void (*fn)(Rig *r);
    const char *port;
    const char *opts;
} Case;

#define TIMED   ",cxl-cache-latency=500"
#define JITTER  TIMED ",x-jitter=3,cxl-cache-credits=5"

static const Case cases[] = {
    { "seen", test_seen, TIMED, "" },
    { "named", test_named, TIMED, "" },
    { "named/credits", test_named_credits, TIMED ",cxl-cache-credits=2", "" },
    { "many", test_many, TIMED, "" },
    { "credits", test_credits, TIMED ",cxl-cache-credits=2", "" },
    { "shapes/on-demand", test_shapes, TIMED, "" },
    { "shapes/completion", test_shapes, JITTER, ",writeback=completion" },
    { "shapes/through", test_shapes, JITTER, ",writeback=through" },
    { "shapes/adaptive", test_shapes, JITTER, ",writeback=adaptive" },
    { "shapes/once", test_shapes, JITTER, CACHE_OFF },
    { "shapes/small", test_shapes, JITTER, ",cache-size=64K,cache-ways=1" },
    { "edges", test_edges, TIMED, "" },
    { "source", test_source, TIMED, "" },
    { "room", test_room, TIMED, ",cache-size=64K" },
    { "memory-first/completion", test_memory_first, TIMED,
      ",writeback=completion" },
    { "memory-first/through", test_memory_first, TIMED, ",writeback=through" },
    { "in-cache", test_in_cache, TIMED, "" },
    { "touched", test_touched, TIMED, "" },
    { "touched/completion", test_touched, TIMED, ",writeback=completion" },
    { "random", test_random, TIMED, "" },
    { "random/jitter", test_random, JITTER, "" },
    { "random/small", test_random, JITTER, ",cache-size=64K,cache-ways=2" },
    { "random/completion", test_random, JITTER, ",writeback=completion" },
    { "whole/on-demand", test_whole, TIMED, "" },
    { "whole/completion", test_whole, TIMED, WRITEBACK "completion" },
    { "whole/through", test_whole, TIMED, WRITEBACK "through" },
    { "whole/once", test_whole, TIMED, CACHE_OFF },
    { "gone/poison", test_gone_poison, TIMED, UNPLUG_POISON },
    { "stop", test_stop, TIMED, "" },
    { "hang", test_hang, TIMED, "" },
    { "nth", test_nth, TIMED, "" },
    { "viral", test_viral, TIMED, "" },
    { "isolated", test_isolated, TIMED, "" },
    { "timeout", test_timeout, TIMED, ",writeback=through" },
    { "cache-off", test_cache_off, TIMED, "" },
    { "refused", test_refused, TIMED, ",window=0x0-0x3f" },
};

static void run_case(const void *opaque)
{
    const Case *c = opaque;
    Rig r;

    if (!host_keeps()) {
        g_test_skip("this host cannot trap accesses to guest memory");
        return;
    }
    rig_start(&r, c->port, c->opts);
    c->fn(&r);
    rig_end(&r, false);
}

static void run_end(const void *opaque)
{
    Rig r;

    if (!host_keeps()) {
        g_test_skip("this host cannot trap accesses to guest memory");
        return;
    }
    rig_start(&r, TIMED, "");
    test_end(&r, GPOINTER_TO_INT(opaque));
    rig_end(&r, false);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-type1/time/%s",
                                                cases[i].name);

        qtest_add_data_func(name, &cases[i], run_case);
    }
    for (int i = 0; i < ARRAY_SIZE(ends); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-type1/time/ends/%s",
                                                ends[i].name);

        qtest_add_data_func(name, GINT_TO_POINTER(i), run_end);
    }
    return g_test_run();
}
