/*
 * QTest testcase for the faults of cxl-type1-crypto: requests that fail
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever goes wrong with a request, wherever in it: memory is as it was, the
 * status is what it has to be, and the same request works afterwards. What is
 * in memory is known without looking, for a CPU that looks brings lines home.
 *
 * Requests that hang, and devices that go away, are in cxl-type1-removal-test.
 * T71 and so on are the numbers of the cases in the project's list of protocol
 * tests.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqtest.h"
#include "libqos/cxl-type1.h"
#include "hw/pci/pci_regs.h"

#define PAGE        QCT_PAGE
#define PAGE_LINES  QCT_PAGE_LINES
#define AREA        (4 * PAGE)
#define OLD         0x5a

#define WRONG_STATUS    0x5a

/* For what is told by the main loop, on a loaded machine */
#define ERROR_TIMEOUT_US    (10 * 1000 * 1000)

/* Component registers: CXL.cachemem is behind 4 KiB of CXL.io */
#define COMPONENT_BAR   2
#define CACHEMEM        0x1000
#define RAS_UNC_STATUS  0x00
#define RAS_UNC_MASK    0x04
#define RAS_DATA_ECC    (1u << 3)
#define RAS_POISON      (1u << 10)
#define RAS_INTERNAL    (1u << 14)
#define RAS_ALL         0x1cfffu

/* DVSEC 0 of the device */
#define DEV_STATUS      0x0e
#define STATUS_VIRAL    0x4000

/* Virtio's interrupt status */
#define ISR_CONFIG      0x02

static const char *const points[] = {
    "source-read", "ownership", "half-written", "publication"
};

typedef struct Rig {
    QCTRig rig;
    QCXLType1 *t;
    QTestState *qts;
    QPCIDevice *pdev;
    QPCIBar component;
    uint32_t ras;
    uint16_t aer;
    uint16_t dvsec;
    uint64_t src;
    uint64_t area;
    /* The source, what becomes of it, and what becomes of that */
    uint8_t *plain, *once, *twice;
} Rig;

static uint32_t ras_read(Rig *r, uint32_t reg)
{
    return qpci_io_readl(r->pdev, r->component, r->ras + reg);
}

static void ras_write(Rig *r, uint32_t reg, uint32_t val)
{
    qpci_io_writel(r->pdev, r->component, r->ras + reg, val);
}

static void find_registers(Rig *r)
{
    r->pdev = r->t->c->pci->pdev;
    r->component = qpci_iomap(r->pdev, COMPONENT_BAR, NULL);
    r->ras = CACHEMEM;
    r->ras += qpci_io_readl(r->pdev, r->component, CACHEMEM + 4) >> 20;
    r->aer = qcxl_find_ext_cap(r->pdev, PCI_EXT_CAP_ID_ERR, 0);
    r->dvsec = qcxl_find_dvsec(r->pdev, 0);
    /* Everything is masked after reset. */
    ras_write(r, RAS_UNC_MASK, 0);
}

/* CBC: a shorter request has the beginning of what a longer one has. */
static void make_answers(Rig *r)
{
    uint64_t tmp;

    r->src = qct_alloc_source(&r->rig, AREA);
    r->plain = g_malloc(AREA);
    qtest_memread(r->qts, r->src, r->plain, AREA);
    r->once = qct_encrypt_uncached(&r->rig, r->src, AREA);
    tmp = qct_alloc_filled(&r->rig, AREA, 0);
    qtest_memwrite(r->qts, tmp, r->once, AREA);
    r->twice = qct_encrypt_uncached(&r->rig, tmp, AREA);
    r->area = qct_alloc_filled(&r->rig, AREA, OLD);
}

static void rig_start(Rig *r, const char *ram, const char *opts)
{
    *r = (Rig) { };
    qct_rig_start(&r->rig, ram, opts);
    r->t = r->rig.t[0];
    r->qts = r->rig.qts;
    find_registers(r);
    make_answers(r);
}

static void rig_end(Rig *r)
{
    g_free(r->plain);
    g_free(r->once);
    g_free(r->twice);
    qct_rig_end(&r->rig);
}

static int64_t modified_lines(Rig *r)
{
    QDict *info = qct_query(r->qts);
    int64_t lines = qct_lines(qct_device(info, 0), "M");

    qobject_unref(info);
    return lines;
}

static int64_t sent(Rig *r, const char *channel, const char *opcode)
{
    QDict *info = qct_query(r->qts);
    int64_t n = qct_sent(qct_device(info, 0), channel, opcode);

    qobject_unref(info);
    return n;
}

/* Errors that the host or the link sees are told a little later. */
static void check_errors(Rig *r, uint32_t ras, bool aer)
{
    gint64 end = g_get_monotonic_time() + ERROR_TIMEOUT_US;
    uint32_t unc;

    while (ras_read(r, RAS_UNC_STATUS) != ras &&
           !(ras_read(r, RAS_UNC_STATUS) & ~ras) &&
           g_get_monotonic_time() < end) {
        qct_fault_count(r->qts, "taken");
    }
    g_assert_cmphex(ras_read(r, RAS_UNC_STATUS), ==, ras);
    unc = qcxl_readl(r->pdev, r->aer + PCI_ERR_UNCOR_STATUS);
    g_assert_cmphex(unc, ==, aer ? PCI_ERR_UNC_INTN : 0);
    ras_write(r, RAS_UNC_STATUS, UINT32_MAX);
    qcxl_writel(r->pdev, r->aer + PCI_ERR_UNCOR_STATUS, UINT32_MAX);
    g_assert_cmphex(ras_read(r, RAS_UNC_STATUS), ==, 0);
}

static void check_viral(Rig *r, bool viral)
{
    uint16_t status = qcxl_readw(r->pdev, r->dvsec + DEV_STATUS);

    g_assert_cmphex(status & STATUS_VIRAL, ==, viral ? STATUS_VIRAL : 0);
    g_assert_true(qct_fault_is(r->qts, "viral") == viral);
}

static void check_ready(Rig *r, bool ready)
{
    struct virtio_crypto_config cfg;

    qvirtio_crypto_read_config(r->t->c, &cfg);
    g_assert_cmphex(cfg.status & VIRTIO_CRYPTO_S_HW_READY, ==,
                    ready ? VIRTIO_CRYPTO_S_HW_READY : 0);
    g_assert_true(qct_fault_is(r->qts, "hw-ready") == ready);
}

/* Where results go, what is there before and where the source is */
typedef struct Place {
    const char *name;
    QCTSeg to[4];           /* in the area */
    bool in_place;
    bool modified;          /* by an earlier request */
} Place;

static const Place places[] = {
    { "page", { { PAGE, PAGE } } },
    { "edges", { { PAGE - 24, PAGE + 48 } } },
    { "within-a-line", { { PAGE + 16, 32 } } },
    { "pieces", { { PAGE + 8, 200 }, { PAGE + 210, 40 }, { 100, 1040 },
                  { 0, 0 } } },
    { "in-place", { { PAGE, PAGE } }, .in_place = true },
    { "in-place-edges", { { PAGE + 40, 2000 } }, .in_place = true },
    { "modified", { { PAGE, PAGE } }, .modified = true },
    { "modified-edges", { { PAGE + 8, 2 * PAGE - 112 } }, .modified = true },
    { "modified-in-place", { { PAGE, PAGE } }, .in_place = true,
      .modified = true },
};

static uint32_t place_len(const Place *p)
{
    uint32_t len = 0;

    for (const QCTSeg *s = p->to; s->len; s++) {
        len += s->len;
    }
    return len;
}

static void put_pieces(uint8_t *image, const Place *p, const uint8_t *data)
{
    for (const QCTSeg *s = p->to; s->len; s++) {
        memcpy(image + s->addr, data, s->len);
        data += s->len;
    }
}

static uint8_t run_from(Rig *r, const Place *p, uint64_t src)
{
    QCTSeg from[ARRAY_SIZE(p->to)] = { { src, place_len(p) } };
    QCTSeg to[ARRAY_SIZE(p->to)] = { };

    for (int i = 0; p->to[i].len; i++) {
        to[i] = (QCTSeg) { r->area + p->to[i].addr, p->to[i].len };
    }
    return qct_encrypt_at(r->t, qct_iv, p->in_place && src != r->src ? to :
                          from, to);
}

static uint8_t run(Rig *r, const Place *p)
{
    return run_from(r, p, p->in_place ? 0 : r->src);
}

/* Make memory what it is to be before the request, and @image the same. */
static void prepare(Rig *r, const Place *p, uint8_t *image)
{
    memset(image, OLD, AREA);
    if (p->in_place && !p->modified) {
        put_pieces(image, p, r->plain);
    }
    qtest_memwrite(r->qts, r->area, image, AREA);
    if (p->modified) {
        g_assert_cmpuint(run_from(r, p, r->src), ==, VIRTIO_CRYPTO_OK);
        put_pieces(image, p, r->once);
    }
}

static const uint8_t *result(Rig *r, const Place *p)
{
    return p->in_place && p->modified ? r->twice : r->once;
}

/* How a fault looks from outside */
typedef struct Kind {
    const char *name;
    uint8_t status;
    uint32_t ras[ARRAY_SIZE(points)];
    bool aer;
    bool viral;
    bool not_ready;
} Kind;

static const Kind kinds[] = {
    { "request-error", VIRTIO_CRYPTO_ERR },
    { "wrong-status", WRONG_STATUS },
    { "poison", VIRTIO_CRYPTO_ERR,
      { RAS_POISON, RAS_DATA_ECC, RAS_DATA_ECC, RAS_DATA_ECC }, .aer = true },
    { "go-err", VIRTIO_CRYPTO_ERR,
      { RAS_INTERNAL, RAS_INTERNAL, RAS_INTERNAL, RAS_INTERNAL },
      .aer = true },
    { "viral", VIRTIO_CRYPTO_ERR, .aer = true, .viral = true },
    { "hw-not-ready", VIRTIO_CRYPTO_ERR, .not_ready = true },
};

/* Lines that are owned and not modified: nobody's after a request has failed */
static int64_t clean_lines(Rig *r)
{
    QDict *info = qct_query(r->qts);
    QDict *dev = qct_device(info, 0);
    int64_t lines = qct_lines(dev, "E") + qct_lines(dev, "EN");

    qobject_unref(info);
    return lines;
}

/* Nothing more is in the used ring. */
static void check_used_once(Rig *r)
{
    uint32_t head, len;

    g_assert_false(qvirtqueue_get_buf(r->qts, r->t->c->vqs[0], &head, &len));
}

static void check_abort(Rig *r, const Kind *kind, int point, const Place *p)
{
    g_autofree uint8_t *image = g_malloc(AREA);
    QCTFault fault = { .kind = kind->name, .point = points[point] };
    int64_t taken = qct_fault_count(r->qts, "taken");
    int64_t modified;

    g_test_message("%s at %s, %s", kind->name, points[point], p->name);
    prepare(r, p, image);
    modified = modified_lines(r);
    qct_fault(r->qts, &fault);
    g_assert_true(qct_fault_is(r->qts, "armed"));
    g_assert_cmpuint(run(r, p), ==, kind->status);
    check_used_once(r);
    g_assert_false(qct_fault_is(r->qts, "armed"));
    g_assert_cmpint(qct_fault_count(r->qts, "taken"), ==, taken + 1);
    g_assert_cmpint(qct_fault_count(r->qts, "held"), ==, 0);
    g_assert_cmpint(modified_lines(r), ==, modified);
    g_assert_cmpint(clean_lines(r), ==, 0);
    check_errors(r, kind->ras[point], kind->aer);
    check_viral(r, kind->viral);
    check_ready(r, !kind->not_ready);
    if (kind->viral || kind->not_ready) {
        int64_t reads = sent(r, "d2h-req", "RdCurr");

        g_assert_cmpuint(run(r, p), ==, VIRTIO_CRYPTO_ERR);
        g_assert_cmpint(sent(r, "d2h-req", "RdCurr"), ==, reads);
        qct_clear(r->qts);
        check_viral(r, false);
        check_ready(r, true);
    }
    /* What an earlier request left modified has to be there for the next. */
    if (!p->modified) {
        qct_check_memory(&r->rig, r->area, image, AREA);
    }
    g_assert_cmpuint(run(r, p), ==, VIRTIO_CRYPTO_OK);
    put_pieces(image, p, result(r, p));
    qct_check_memory(&r->rig, r->area, image, AREA);
    check_errors(r, 0, false);
}

/* Likewise for what a CPU finds of the earlier request's results */
static void check_earlier(Rig *r, const Kind *kind, int point, const Place *p)
{
    g_autofree uint8_t *image = g_malloc(AREA);

    prepare(r, p, image);
    qct_fault(r->qts, &(QCTFault) { kind->name, points[point] });
    g_assert_cmpuint(run(r, p), ==, kind->status);
    qct_check_memory(&r->rig, r->area, image, AREA);
    qct_clear(r->qts);
    check_errors(r, kind->ras[point], kind->aer);
}

static const struct {
    const char *name;
    const char *ram;
    const char *opts;
    bool off;
} machines[] = {
    { "kept", QCXL_SHARED_RAM, "" },
    { "written-back", QCXL_SHARED_RAM, ",writeback=completion" },
    { "through", QCXL_SHARED_RAM, ",writeback=through" },
    { "used-once", QCT_PRIVATE_RAM, "" },
    { "uncached", QCXL_SHARED_RAM, "", true },
    { "small-cache", QCXL_SHARED_RAM, ",cache-size=64K,cache-ways=1" },
};

static void test_abort(const void *opaque)
{
    unsigned n = GPOINTER_TO_UINT(opaque);
    const Kind *kind = &kinds[n / ARRAY_SIZE(machines)];
    unsigned m = n % ARRAY_SIZE(machines);
    Rig r;

    rig_start(&r, machines[m].ram, machines[m].opts);
    qct_set_cache_enable(r.t, !machines[m].off);
    for (int i = 0; i < ARRAY_SIZE(points); i++) {
        for (int j = 0; j < ARRAY_SIZE(places); j++) {
            check_abort(&r, kind, i, &places[j]);
            if (places[j].modified) {
                check_earlier(&r, kind, i, &places[j]);
            }
        }
    }
    rig_end(&r);
}

/*
 * All that is read, IV and source, is in the cache from an earlier request: the
 * host is not asked, and the poison is noted all the same. The lines are good.
 */
static void test_poison_held(void)
{
    static const Place *p = &places[0];
    g_autofree uint8_t *once = NULL, *image = g_malloc(AREA);
    int64_t reads;
    QCTRequest q;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    qtest_memset(r.qts, r.area, OLD, AREA);
    memset(image, OLD, AREA);
    once = qct_encrypt_uncached(&r.rig, r.src, PAGE);
    memcpy(image, once, PAGE);
    qct_encrypt(r.t, r.src, r.area, PAGE);
    g_assert_cmpint(modified_lines(&r), ==, PAGE / QCT_LINE);

    qct_fault(r.qts, &(QCTFault) { "poison", "source-read" });
    qct_prepare(r.t, &q, qct_iv, (QCTSeg[]) { { r.area, PAGE / 2 }, { } },
                (QCTSeg[]) { { r.area + 2 * PAGE, PAGE / 2 }, { } });
    g_array_index(q.req.descs, struct vring_desc, 1).addr =
        r.area + PAGE / 2 + r.t->c->iova_offset;
    reads = sent(&r, "d2h-req", "RdCurr");
    qct_submit(r.t, &q);
    g_assert_cmpuint(qct_wait(r.t, &q), ==, VIRTIO_CRYPTO_ERR);
    g_assert_cmpint(sent(&r, "d2h-req", "RdCurr"), ==, reads);
    check_errors(&r, RAS_POISON, true);
    g_assert_cmpint(modified_lines(&r), ==, PAGE / QCT_LINE);
    qct_check_memory(&r.rig, r.area, image, AREA);
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_OK);
    rig_end(&r);
}

/* The faults hit the requests that they are told to. */
static void test_after_count(void)
{
    static const Place *p = &places[0];
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < ARRAY_SIZE(points); j++) {
            QCTFault fault = { kinds[i].name, points[j], 2, 3 };
            int64_t taken = qct_fault_count(r.qts, "taken");

            g_test_message("%s at %s", fault.kind, fault.point);
            qct_fault(r.qts, &fault);
            for (int n = 0; n < 8; n++) {
                bool hit = n >= 2 && n < 5;

                qtest_memset(r.qts, r.area + PAGE, OLD, PAGE);
                g_assert_cmpuint(run(&r, p), ==,
                                 hit ? kinds[i].status : VIRTIO_CRYPTO_OK);
                if (hit) {
                    qct_check_filled(&r.rig, r.area + PAGE, OLD, PAGE);
                }
                g_assert_true(qct_fault_is(r.qts, "armed") == (n < 4));
            }
            g_assert_cmpint(qct_fault_count(r.qts, "taken"), ==, taken + 3);
        }
    }
    /* With a number and no point they wait as well, and can be taken back. */
    qct_fault(r.qts, &(QCTFault) { .kind = "viral", .after = 1 });
    check_viral(&r, false);
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_OK);
    check_viral(&r, false);
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_ERR);
    check_viral(&r, true);
    qct_clear(r.qts);
    qct_fault(r.qts, &(QCTFault) { .kind = "request-error", .after = 1 });
    qct_clear(r.qts);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_OK);
    }
    rig_end(&r);
}

/* x-fault, and what it is that a request sees of it */
static void test_start(void)
{
    static const struct {
        const char *opt;
        uint8_t status[4];
    } cases[] = {
        { "request-error", { 1, 0, 0, 0 } },
        { "request-error:publication", { 1, 0, 0, 0 } },
        { "request-error::1", { 0, 1, 0, 0 } },
        { "wrong-status:ownership:1:2", { 0, 0x5a, 0x5a, 0 } },
        { "poison:source-read::2", { 1, 1, 0, 0 } },
        { "viral::2", { 0, 0, 1, 1 } },
        { "hw-not-ready", { 1, 1, 1, 1 } },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *opts = g_strdup_printf(",x-fault=%s", cases[i].opt);
        uint64_t src, dst;
        QCTRig r;

        qct_rig_start(&r, QCXL_SHARED_RAM, opts);
        src = qct_alloc_filled(&r, PAGE, 0);
        dst = qct_alloc_filled(&r, PAGE, OLD);
        for (int j = 0; j < ARRAY_SIZE(cases[i].status); j++) {
            g_assert_cmpuint(qct_crypt_to(r.t[0], src, dst, PAGE), ==,
                             cases[i].status[j]);
        }
        qct_rig_end(&r);
    }
}

static void check_failure(QDict *error, const char *message)
{
    const char *said = qdict_get_str(error, "desc");

    if (!strstr(said, message)) {
        g_test_message("expected: %s", message);
        g_test_message("got: %s", said);
        g_test_fail();
    }
    qobject_unref(error);
}

/* A device that cannot be had, and leaves nothing behind */
static void test_bad_start(void)
{
    static const struct {
        const char *opt, *message;
    } cases[] = {
        { "", "x-fault: " },
        { "nonsense", "nonsense" },
        { ":ownership", "x-fault: " },
        { "hang:nowhere", "nowhere" },
        { "hang:ownership:x", "'x' is not a number of requests" },
        { "request-error::1:y", "'y' is not a number of requests" },
        { "request-error::1:2:3", "'2:3' is not a number of requests" },
        { "request-error::4294967296", "is not a number of requests" },
        { "request-error::-1", "is not a number of requests" },
        { "request-error:::0", "must be at least 1" },
        { "hang:ownership:0:1", "'hang' takes no 'count'" },
        { "clear", "nothing to clear" },
    };
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP
                                 ",cxl-cache=on " QCT_BACKEND);

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_test_message("x-fault=%s", cases[i].opt);
        check_failure(qtest_qmp_assert_failure_ref(qts,
            "{'execute': 'device_add', 'arguments': {"
            " 'driver': 'cxl-type1-crypto', 'bus': 'rp0', 'id': 't0',"
            " 'cryptodev': 'c0', 'x-fault': %s}}", cases[i].opt),
            cases[i].message);
    }
    qtest_qmp_device_add(qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0',"
                         " 'x-fault': 'hang'}");
    g_assert_true(qct_fault_is(qts, "armed"));
    qtest_quit(qts);
}

/* Failing late, when most of the device is there, leaves nothing either. */
static void test_late_failure(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP
                                 ",cxl-cache=on " QCT_BACKEND);

    for (int i = 0; i < 2; i++) {
        check_failure(qtest_qmp_assert_failure_ref(qts,
            "{'execute': 'device_add', 'arguments': {"
            " 'driver': 'cxl-type1-crypto', 'bus': 'rp0', 'id': 't0',"
            " 'cryptodev': 'c0', 'romfile': '/no/such/file'}}"),
            "/no/such/file");
    }
    check_failure(qtest_qmp_assert_failure_ref(qts,
        "{'execute': 'x-query-cxl-type1-fault', 'arguments': {"
        " 'id': 't0'}}"), "there is no CXL Type 1 device 't0'");
    qtest_qmp_device_add(qts, "cxl-type1-crypto", "t0",
                         "{'bus': 'rp0', 'cryptodev': 'c0'}");
    g_assert_false(qct_fault_is(qts, "armed"));
    qtest_quit(qts);
}

#define FAULT(args) \
    "{'execute': 'x-cxl-type1-fault', 'arguments': {" args "}}"

static void test_bad_commands(void)
{
    static const struct {
        const char *cmd, *message;
    } cases[] = {
        { FAULT("'id': 't9', 'fault': 'hang'"),
          "there is no CXL Type 1 device 't9'" },
        { FAULT("'id': 'rp0', 'fault': 'hang'"),
          "there is no CXL Type 1 device 'rp0'" },
        { FAULT("'id': '', 'fault': 'clear'"),
          "there is no CXL Type 1 device ''" },
        { FAULT("'id': 't0', 'fault': 'nonsense'"), "nonsense" },
        { FAULT("'id': 't0', 'fault': 'hang', 'point': 'nowhere'"),
          "nowhere" },
        { FAULT("'id': 't0', 'fault': 'request-error', 'count': 0"),
          "must be at least 1" },
        { FAULT("'id': 't0', 'fault': 'hang', 'count': 1"),
          "'hang' takes no 'count'" },
        { FAULT("'id': 't0', 'fault': 'viral', 'count': 1"),
          "'viral' takes no 'count'" },
        { FAULT("'id': 't0', 'fault': 'removal', 'count': 1"),
          "'removal' takes no 'count'" },
        { FAULT("'id': 't0', 'fault': 'clear', 'count': 1"),
          "'clear' takes no 'count'" },
        { FAULT("'id': 't0', 'fault': 'clear', 'point': 'ownership'"),
          "'clear' takes effect at once" },
        { FAULT("'id': 't0', 'fault': 'clear', 'after': 1"),
          "'clear' takes effect at once" },
        { FAULT("'id': 't0', 'fault': 'go-err', 'after': -1"), "after" },
        { "{'execute': 'x-query-cxl-type1-fault', 'arguments': {"
          " 'id': 'c0'}}", "there is no CXL Type 1 device 'c0'" },
    };
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        QDict *rsp;

        qtest_qmp_send_raw(r.qts, "%s", cases[i].cmd);
        rsp = qtest_qmp_receive(r.qts);
        g_assert_true(qdict_haskey(rsp, "error"));
        check_failure(qobject_ref(qdict_get_qdict(rsp, "error")),
                      cases[i].message);
        qobject_unref(rsp);
        g_assert_false(qct_fault_is(r.qts, "armed"));
    }
    g_assert_cmpint(qct_fault_count(r.qts, "taken"), ==, 0);
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_OK);
    rig_end(&r);
}

/* A device without an ID has its path. */
static void test_path(void)
{
    QTestState *qts = qtest_init("-nodefaults " QCXL_MACHINE QCXL_PXB QCXL_RP
                                 ",cxl-cache=on " QCT_BACKEND QCT_DEVICE);
    QDict *info = qct_query(qts);
    const char *path = qdict_get_str(qct_device(info, 0), "qom-path");

    qtest_qmp_assert_success(qts, "{'execute': 'x-cxl-type1-fault',"
                             " 'arguments': {'id': %s, 'fault': 'viral'}}",
                             path);
    qtest_qmp_assert_success(qts, "{'execute': 'x-query-cxl-type1-fault',"
                             " 'arguments': {'id': %s}}", path);
    qobject_unref(info);
    qtest_quit(qts);
}

static void check_hmp(QTestState *qts, const char *cmd, const char *answer)
{
    g_autofree char *said = qtest_hmp(qts, "%s", cmd);

    g_test_message("%s: %s", cmd, said);
    if (*answer) {
        g_assert_nonnull(strstr(said, answer));
    } else {
        g_assert_cmpstr(said, ==, "");
    }
}

static void test_hmp(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    check_hmp(r.qts, "info cxl-type1-fault t0",
              "armed no, taken 0, hanging requests 0\r\n"
              "viral no, link up, HW_READY yes\r\n");
    check_hmp(r.qts, "cxl_type1_fault t0 wrong-status ownership 1 2", "");
    check_hmp(r.qts, "info cxl-type1-fault t0", "armed yes, taken 0");
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_OK);
    g_assert_cmpuint(run(&r, &places[0]), ==, WRONG_STATUS);
    g_assert_cmpuint(run(&r, &places[0]), ==, WRONG_STATUS);
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_OK);
    check_hmp(r.qts, "info cxl-type1-fault t0", "armed no, taken 2");
    check_hmp(r.qts, "cxl_type1_fault t0 viral", "");
    check_hmp(r.qts, "cxl_type1_fault t0 hw-not-ready", "");
    check_hmp(r.qts, "info cxl-type1-fault t0",
              "viral yes, link up, HW_READY no\r\n");
    check_hmp(r.qts, "cxl_type1_fault t0 hang", "");
    check_hmp(r.qts, "info cxl-type1-fault t0", "requests 0, hung\r\n");
    check_hmp(r.qts, "cxl_type1_fault t0 clear", "");
    check_hmp(r.qts, "info cxl-type1-fault t0",
              "armed no, taken 5, hanging requests 0\r\n"
              "viral no, link up, HW_READY yes\r\n");
    check_hmp(r.qts, "cxl_type1_fault t0 nonsense", "Error: ");
    check_hmp(r.qts, "cxl_type1_fault t0 hang nowhere", "Error: ");
    check_hmp(r.qts, "cxl_type1_fault t9 hang", "Error: there is no");
    check_hmp(r.qts, "cxl_type1_fault t0 clear ownership", "Error: ");
    check_hmp(r.qts, "cxl_type1_fault t0 request-error ownership 0 0",
              "Error: ");
    check_hmp(r.qts, "cxl_type1_fault t0 request-error ownership -1",
              "32-bit");
    check_hmp(r.qts, "info cxl-type1-fault t9", "Error: there is no");
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_OK);
    rig_end(&r);
}

/* T71: the host pulls the data and drops them. */
static void test_go_err_write_pull(void)
{
    const Place *p = &places[0];
    g_autofree uint8_t *image = g_malloc(AREA);
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    prepare(&r, p, image);
    qct_fault(r.qts, &(QCTFault) { "go-err", "publication" });
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_ERR);
    if (modified_lines(&r) == 0 && sent(&r, "d2h-req", "RdOwnNoData")) {
        g_assert_cmpint(sent(&r, "h2d-rsp", "GO_ERR_WritePull"), ==, 1);
        g_assert_cmpint(sent(&r, "d2h-data", "Data"), ==, 1);
        g_assert_cmpint(sent(&r, "d2h-req", "DirtyEvict"), ==, 1);
    }
    check_errors(&r, RAS_INTERNAL, true);
    qct_check_memory(&r.rig, r.area, image, AREA);
    rig_end(&r);
}

/* Nothing is noted that software has masked. */
static void test_masked(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    ras_write(&r, RAS_UNC_MASK, RAS_ALL & ~RAS_DATA_ECC);
    qct_fault(r.qts, &(QCTFault) { "poison", "source-read" });
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_ERR);
    check_errors(&r, 0, false);
    qct_fault(r.qts, &(QCTFault) { "poison", "publication" });
    g_assert_cmpuint(run(&r, &places[0]), ==, VIRTIO_CRYPTO_ERR);
    check_errors(&r, RAS_DATA_ECC, true);
    rig_end(&r);
}

/* ---- What it takes that a guest hears of it ---- */

/**
 * Said: what software has seen to, of all that reporting passes
 * @SAID_RAS: Uncorrectable Error Mask of the RAS capability: off
 * @SAID_AER: bit 22 of AER's Uncorrectable Error Mask: off
 * @SAID_DEVICE: Device Control: report fatal and non-fatal errors
 * @SAID_BRIDGE: SERR# Enable of the root port's Bridge Control
 * @SAID_PORT: the root port's own Device Control
 * @SAID_ROOT: Root Error Command
 */
enum {
    SAID_RAS = 1 << 0,
    SAID_AER = 1 << 1,
    SAID_DEVICE = 1 << 2,
    SAID_BRIDGE = 1 << 3,
    SAID_PORT = 1 << 4,
    SAID_ROOT = 1 << 5,
    SAID_ALL = (1 << 6) - 1,
};

#define HEARD_MSI       0x4321
#define REPORT_UNC      (PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_NFERE)

static void report_errors(QPCIDevice *dev, bool on)
{
    uint8_t cap = qpci_find_capability(dev, PCI_CAP_ID_EXP, 0);
    uint16_t ctl = qcxl_readw(dev, cap + PCI_EXP_DEVCTL) & ~REPORT_UNC;

    qcxl_writew(dev, cap + PCI_EXP_DEVCTL, ctl | (on ? REPORT_UNC : 0));
}

/* The root port's interrupts become words in memory. */
static uint64_t catch_msi(Rig *r)
{
    QPCIDevice *rp = r->t->cxl->rp;
    uint8_t msi = qpci_find_capability(rp, PCI_CAP_ID_MSI, 0);
    uint64_t addr = qct_alloc_filled(&r->rig, PAGE, 0);
    uint16_t flags = qcxl_readw(rp, msi + PCI_MSI_FLAGS);

    qcxl_writel(rp, msi + PCI_MSI_ADDRESS_LO, addr);
    if (flags & PCI_MSI_FLAGS_64BIT) {
        qcxl_writel(rp, msi + PCI_MSI_ADDRESS_HI, 0);
        qcxl_writew(rp, msi + PCI_MSI_DATA_64, HEARD_MSI);
    } else {
        qcxl_writew(rp, msi + PCI_MSI_DATA_32, HEARD_MSI);
    }
    qcxl_writew(rp, msi + PCI_MSI_FLAGS, flags | PCI_MSI_FLAGS_ENABLE);
    return addr;
}

static void say(Rig *r, unsigned said, bool fatal)
{
    QPCIDevice *rp = r->t->cxl->rp;
    uint16_t root = qcxl_find_ext_cap(rp, PCI_EXT_CAP_ID_ERR, 0);
    uint16_t bridge = qcxl_readw(rp, PCI_BRIDGE_CONTROL);

    ras_write(r, RAS_UNC_MASK, said & SAID_RAS ? 0 : RAS_ALL);
    qcxl_writel(r->pdev, r->aer + PCI_ERR_UNCOR_MASK,
                said & SAID_AER ? 0 : PCI_ERR_UNC_INTN);
    qcxl_writel(r->pdev, r->aer + PCI_ERR_UNCOR_SEVER,
                fatal ? PCI_ERR_UNC_INTN : 0);
    report_errors(r->pdev, said & SAID_DEVICE);
    report_errors(rp, said & SAID_PORT);
    bridge &= ~PCI_BRIDGE_CTL_SERR;
    qcxl_writew(rp, PCI_BRIDGE_CONTROL, bridge | (said & SAID_BRIDGE ?
                                                  PCI_BRIDGE_CTL_SERR : 0));
    qcxl_writel(rp, root + PCI_ERR_ROOT_COMMAND, said & SAID_ROOT ?
                PCI_ERR_ROOT_CMD_NONFATAL_EN | PCI_ERR_ROOT_CMD_FATAL_EN : 0);
}

/* A kind of error, at which point, and whether the RAS capability has it */
static const struct {
    const char *kind;
    const char *point;
    bool ras;
} heard[] = {
    { "poison", "source-read", true },
    { "poison", "publication", true },
    { "go-err", "source-read", true },
    { "go-err", "publication", true },
    { "viral", NULL, false },
};

/* Is the root port told, and does it interrupt? Clears what it says. */
static void check_heard(Rig *r, uint64_t msi, bool told, bool interrupted,
                        bool fatal)
{
    QPCIDevice *rp = r->t->cxl->rp;
    uint16_t root = qcxl_find_ext_cap(rp, PCI_EXT_CAP_ID_ERR, 0);
    uint32_t status = qcxl_readl(rp, root + PCI_ERR_ROOT_STATUS);
    uint32_t want = PCI_ERR_ROOT_UNCOR_RCV |
                    (fatal ? PCI_ERR_ROOT_FATAL_RCV | PCI_ERR_ROOT_FIRST_FATAL :
                     PCI_ERR_ROOT_NONFATAL_RCV);

    g_assert_cmphex(status & 0x7f, ==, told ? want : 0);
    if (told) {
        g_assert_cmphex(qcxl_readw(rp, root + PCI_ERR_ROOT_ERR_SRC + 2), ==,
                        (QCXL_BUS_NR + 1) << 8);
    }
    /* The vector is in the lowest bit. */
    g_assert_cmphex(qtest_readl(r->qts, msi) & ~1u, ==,
                    interrupted ? HEARD_MSI & ~1u : 0);
    qtest_writel(r->qts, msi, 0);
    qcxl_writel(rp, root + PCI_ERR_ROOT_STATUS, UINT32_MAX);
    qcxl_writel(r->pdev, r->aer + PCI_ERR_UNCOR_STATUS, UINT32_MAX);
    ras_write(r, RAS_UNC_STATUS, UINT32_MAX);
}

static void check_hears(Rig *r, uint64_t msi, unsigned i, unsigned said,
                        bool fatal)
{
    unsigned matters = heard[i].ras ? SAID_ALL : SAID_ALL & ~SAID_RAS;
    bool told = (said & matters & ~SAID_ROOT) == (matters & ~SAID_ROOT);

    g_test_message("%s at %s, said 0x%x, fatal %d", heard[i].kind,
                   heard[i].point ?: "once", said, fatal);
    say(r, said, fatal);
    qct_fault(r->qts, &(QCTFault) { heard[i].kind, heard[i].point });
    if (heard[i].point) {
        g_assert_cmpuint(run(r, &places[0]), ==, VIRTIO_CRYPTO_ERR);
    }
    check_heard(r, msi, told, told && said & SAID_ROOT, fatal);
    qct_clear(r->qts);
}

static void test_hears(void)
{
    uint64_t msi;
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    msi = catch_msi(&r);
    for (unsigned i = 0; i < ARRAY_SIZE(heard); i++) {
        check_hears(&r, msi, i, SAID_ALL, true);
        check_hears(&r, msi, i, SAID_ALL, false);
        for (unsigned bit = 1; bit < SAID_ALL; bit <<= 1) {
            check_hears(&r, msi, i, SAID_ALL & ~bit, true);
        }
    }
    rig_end(&r);
}

/* Nobody hears of anything before software has said so. */
static void test_deaf(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    qcxl_secondary_reset(r.t->cxl);
    qcxl_writew(r.pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    qcxl_writel(r.pdev, PCI_BASE_ADDRESS_0 + 4 * COMPONENT_BAR,
                r.component.addr);
    g_assert_cmphex(ras_read(&r, RAS_UNC_MASK), ==, RAS_ALL);
    g_assert_cmphex(qcxl_readl(r.pdev, r.aer + PCI_ERR_UNCOR_MASK) &
                    PCI_ERR_UNC_INTN, ==, PCI_ERR_UNC_INTN);
    g_assert_cmphex(qcxl_readl(r.pdev, r.aer + PCI_ERR_UNCOR_SEVER) &
                    PCI_ERR_UNC_INTN, ==, PCI_ERR_UNC_INTN);
    rig_end(&r);
}

static void flr(Rig *r)
{
    uint8_t cap = qpci_find_capability(r->pdev, PCI_CAP_ID_EXP, 0);

    qcxl_writew(r->pdev, cap + PCI_EXP_DEVCTL,
                qcxl_readw(r->pdev, cap + PCI_EXP_DEVCTL) |
                PCI_EXP_DEVCTL_BCR_FLR);
    qvirtio_crypto_release(r->t->c);
    qvirtio_pci_device_enable(r->t->c->pci);
    qct_attach(r->t, qct_key);
}

static void virtio_reset(Rig *r)
{
    qvirtio_crypto_stop(r->t->c);
    qct_attach(r->t, qct_key);
}

static void new_device(Rig *r)
{
    qct_start_again(&r->rig, 0);
    r->t = r->rig.t[0];
    find_registers(r);
}

static void secondary_reset(Rig *r)
{
    qcxl_secondary_reset(r->t->cxl);
    new_device(r);
}

static void system_reset(Rig *r)
{
    qtest_system_reset(r->qts);
    qcxl_init(r->t->cxl);
    new_device(r);
}

/*
 * T72, and an accelerator that is not ready: requests fail, also after resets
 * that are none of the device, but snoops are answered.
 */
static void check_lasting(const char *kind, bool viral,
                          void (*end)(Rig *r))
{
    static void (*const weak[])(Rig *r) = { flr, virtio_reset };
    const Place *p = &places[0];
    g_autofree uint8_t *image = g_malloc(AREA);
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    prepare(&r, p, image);
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_OK);
    put_pieces(image, p, r.once);
    qct_fault(r.qts, &(QCTFault) { kind });
    check_viral(&r, viral);
    check_ready(&r, viral);
    check_errors(&r, 0, viral);
    g_assert_cmpuint(run(&r, &places[1]), ==, VIRTIO_CRYPTO_ERR);
    qct_check_memory(&r.rig, r.area, image, AREA);
    for (int i = 0; i < ARRAY_SIZE(weak); i++) {
        weak[i](&r);
        check_viral(&r, viral);
        check_ready(&r, viral);
        g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_ERR);
    }
    end(&r);
    check_viral(&r, false);
    check_ready(&r, true);
    qtest_memwrite(r.qts, r.src, r.plain, AREA);
    qtest_memset(r.qts, r.area, OLD, AREA);
    g_assert_cmpuint(run(&r, p), ==, VIRTIO_CRYPTO_OK);
    qct_check_memory(&r.rig, r.area, image, AREA);
    rig_end(&r);
}

static void clear(Rig *r)
{
    qct_clear(r->qts);
}

static void test_viral(void)
{
    check_lasting("viral", true, clear);
    check_lasting("viral", true, secondary_reset);
    check_lasting("viral", true, system_reset);
}

static void test_not_ready(void)
{
    check_lasting("hw-not-ready", false, clear);
    check_lasting("hw-not-ready", false, secondary_reset);
    check_lasting("hw-not-ready", false, system_reset);
}

/* Reading takes it away. */
static bool config_interrupt(Rig *r)
{
    QVirtioPCIDevice *pci = r->t->c->pci;

    return qpci_io_readb(pci->pdev, pci->bar, pci->isr_cfg_offset) &
           ISR_CONFIG;
}

/* The driver is told of both, once. */
static void test_config_interrupt(void)
{
    Rig r;

    rig_start(&r, QCXL_SHARED_RAM, "");
    config_interrupt(&r);
    g_assert_false(config_interrupt(&r));
    for (int i = 0; i < 2; i++) {
        qct_fault(r.qts, &(QCTFault) { "hw-not-ready" });
        g_assert_true(config_interrupt(&r) == !i);
    }
    for (int i = 0; i < 2; i++) {
        qct_clear(r.qts);
        g_assert_true(config_interrupt(&r) == !i);
    }
    rig_end(&r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (int i = 0; i < ARRAY_SIZE(kinds) * ARRAY_SIZE(machines); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-type1-fault/abort/%s/%s",
            machines[i % ARRAY_SIZE(machines)].name,
            kinds[i / ARRAY_SIZE(machines)].name);

        qtest_add_data_func(path, GUINT_TO_POINTER(i), test_abort);
    }
    qtest_add_func("/cxl-type1-fault/poison-held", test_poison_held);
    qtest_add_func("/cxl-type1-fault/after-count", test_after_count);
    qtest_add_func("/cxl-type1-fault/start", test_start);
    qtest_add_func("/cxl-type1-fault/bad-start", test_bad_start);
    qtest_add_func("/cxl-type1-fault/late-failure", test_late_failure);
    qtest_add_func("/cxl-type1-fault/bad-commands", test_bad_commands);
    qtest_add_func("/cxl-type1-fault/path", test_path);
    qtest_add_func("/cxl-type1-fault/hmp", test_hmp);
    qtest_add_func("/cxl-type1-fault/go-err-write-pull",
                   test_go_err_write_pull);
    qtest_add_func("/cxl-type1-fault/masked", test_masked);
    qtest_add_func("/cxl-type1-fault/field/07-hears", test_hears);
    qtest_add_func("/cxl-type1-fault/field/07-masked-at-reset", test_deaf);
    qtest_add_func("/cxl-type1-fault/viral", test_viral);
    qtest_add_func("/cxl-type1-fault/not-ready", test_not_ready);
    qtest_add_func("/cxl-type1-fault/config-interrupt",
                   test_config_interrupt);
    return g_test_run();
}
