/*
 * QTest testcase for what devices find in memory of other contexts (FEAT_MEC)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A payload at EL3 stores and loads under a MECID (arm-mec-lib.h); edu reads
 * and writes by plain DMA, virtio-rng by pointers into RAM, cxl-cache-testdev
 * by CXL.cache. What RAM holds is seen through a mapping of the memfd behind
 * it.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "libqos/libqos-malloc.h"
#include "libqos/virtio.h"
#include "libqos/virtio-mmio.h"
#include "standard-headers/linux/virtio_ring.h"
#include "arm-mec-dma.h"

/* Pages: the secret, what devices copy to, and what is nobody's secret */
#define SECRET      PAGES
#define COPY        (PAGES + 4 * PAGE)
#define PLAIN       (PAGES + 8 * PAGE)
#define RINGS       (PAGES + 16 * PAGE)

#define EDU_BUS     0x18000000
#define EDU_DEVFN   (5 << 3)
#define EDU_BUF     0x40000
#define EDU_SRC     0x80
#define EDU_DST     0x88
#define EDU_COUNT   0x90
#define EDU_CMD     0x98
#define EDU_RUN     1
#define EDU_TO_RAM  2

void rig_start(Rig *r, const char *machine, const char *args)
{
    g_autofree char *all = g_strdup_printf("%s%s", DEVICES, args);

    *r = (Rig) { .qts = start_with(machine, all) };
    wait_for_start(r->qts, 1);
    dev_start(&r->cxl, r->qts, 0);
    qcxl_bus_init(&r->bus, r->qts, EDU_BUS, EDU_BUS + 16 * MiB);
    edu_find(&r->bus, EDU_DEVFN, &r->edu, &r->bar);
    r->ram = qcxl_map_memfd(r->qts, QCXL_MEMFD, RAM_MIB * MiB);
}

void rig_end(Rig *r)
{
    munmap(r->ram, RAM_MIB * MiB);
    g_free(r->edu);
    dev_end(&r->cxl);
    qtest_quit(r->qts);
}

uint64_t held(Rig *r, uint64_t pa)
{
    return ldq_le_p(r->ram + (pa - RAM));
}

void edu_find(QPCIBus *bus, int devfn, QPCIDevice **edu, QPCIBar *bar)
{
    *edu = qpci_device_find(bus, devfn);
    g_assert_nonnull(*edu);
    qpci_device_enable(*edu);
    *bar = qpci_iomap(*edu, 0, NULL);
}

static void edu_transfer(QPCIDevice *edu, QPCIBar bar, uint64_t src,
                         uint64_t dst, uint64_t count, uint64_t cmd)
{
    qpci_io_writeq(edu, bar, EDU_SRC, src);
    qpci_io_writeq(edu, bar, EDU_DST, dst);
    qpci_io_writeq(edu, bar, EDU_COUNT, count);
    qpci_io_writeq(edu, bar, EDU_CMD, cmd | EDU_RUN);
    for (int i = 0; qpci_io_readq(edu, bar, EDU_CMD) & EDU_RUN; i++) {
        g_assert_cmpint(i, <, 60000);
        g_usleep(1000);
    }
}

void edu_copy(QPCIDevice *edu, QPCIBar bar, uint64_t from, uint64_t to,
              uint64_t count)
{
    edu_transfer(edu, bar, from, EDU_BUF, count, 0);
    edu_transfer(edu, bar, EDU_BUF, to, count, EDU_TO_RAM);
}

static void copy(Rig *r, uint64_t from, uint64_t to, uint64_t count)
{
    edu_copy(r->edu, r->bar, from, to, count);
}

static QDict *query(Rig *r)
{
    return qtest_qmp_assert_success_ref(
        r->qts, "{'execute': 'x-query-arm-mec-state'}");
}

static int mismatches(Rig *r)
{
    QDict *state = query(r);
    int n = qdict_get_int(state, "mismatches");

    qobject_unref(state);
    return n;
}

/* The last one was @who's, of @writer's bytes in the page @pa */
static void assert_reported(Rig *r, const char *who, uint64_t pa, int writer)
{
    QDict *state = query(r), *event;
    QList *events = qdict_get_qlist(state, "events");
    const QListEntry *entry = NULL, *e;

    QLIST_FOREACH_ENTRY(events, e) {
        entry = e;
    }
    g_assert_nonnull(entry);
    event = qobject_to(QDict, qlist_entry_obj(entry));
    g_assert_cmpstr(qdict_get_str(event, "access"), ==, "dma");
    g_assert_cmpstr(qdict_get_str(event, "device"), ==, who);
    g_assert_false(qdict_haskey(event, "cpu-index"));
    g_assert_cmphex(qdict_get_int(event, "addr") & ~(PAGE - 1ull), ==, pa);
    g_assert_cmpint(qdict_get_int(event, "mecid"), ==, 0);
    g_assert_cmpint(qdict_get_int(event, "writer"), ==, writer);
    qobject_unref(state);
}

/* A page full of @value, under a MECID */
static void fill_page(Rig *r, uint16_t mecid, uint64_t pa, uint64_t value)
{
    payload(r->qts, FILL, mecid, REALM(pa), value);
    g_assert_cmphex(load(r->qts, mecid, REALM(pa)), ==, value);
}

/* ---- Plain DMA ---- */

/* A device reads what a CPU in MECID 0 reads, and that is told. */
static void test_read(const void *opaque)
{
    g_autofree char *machine = g_strdup_printf(
        "%s,mec=on,mec-mismatch=%s", RIG, (const char *)opaque);
    g_autofree char *text = NULL;
    Rig r;

    rig_start(&r, machine, "");
    fill_page(&r, 7, SECRET, VALUE);
    g_assert_cmpint(resident(r.qts, SECRET), ==, 7);
    g_assert_cmphex(held(&r, SECRET), ==, VALUE);
    g_assert_cmpint(mismatches(&r), ==, 0);

    copy(&r, SECRET, COPY, PAGE);
    assert_reported(&r, "edu0", SECRET, 7);
    text = qtest_hmp(r.qts, "info arm-mec");
    g_assert_nonnull(strstr(text, "device edu0: read at PA 0x44000000 with "
                            "MECID 0 of a page written with MECID 7"));
    for (int at = 0; at < PAGE; at += 8) {
        g_assert_cmphex(held(&r, COPY + at), !=, VALUE);
    }
    for (int at = 0; at < PAGE; at += 504) {
        uint64_t seen = load(r.qts, 0, NONSECURE(COPY + at));

        g_assert_cmphex(seen, ==, load(r.qts, 0, NONSECURE(SECRET + at)));
        assert_unreadable(seen, VALUE);
        g_assert_true((seen == DEADBEEF) == g_str_equal(opaque, "deadbeef"));
    }
    /* It was not destroyed */
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET + 8)), ==, VALUE);

    /* What has been cleaned is no different, but it is not told any more. */
    clean(r.qts, SECRET);
    g_assert_cmpint(resident(r.qts, SECRET), ==, 0);
    copy(&r, SECRET, COPY, PAGE);
    assert_unreadable(load(r.qts, 0, NONSECURE(COPY)), VALUE);
    rig_end(&r);
}

/* What is context 0's, and what has no contexts, is as it always was. */
static void test_plain(const void *opaque)
{
    g_autofree char *machine = g_strdup_printf("%s,mec=%s", RIG,
                                               (const char *)opaque);
    bool on = g_str_equal(opaque, "on");
    Rig r;

    rig_start(&r, machine, "");
    for (int at = 0; at < PAGE; at += 8) {
        qtest_writeq(r.qts, PLAIN + at, VALUE + at);
    }
    copy(&r, PLAIN, COPY, PAGE);
    for (int at = 0; at < PAGE; at += 8) {
        g_assert_cmphex(held(&r, COPY + at), ==, VALUE + at);
    }
    g_assert_cmphex(load(r.qts, 0, NONSECURE(COPY + 16)), ==, VALUE + 16);
    /* The control: without contexts the secret is none */
    fill_page(&r, 7, SECRET, VALUE);
    copy(&r, SECRET, COPY, PAGE);
    g_assert_true((held(&r, COPY) == VALUE) == !on);
    if (on) {
        g_assert_cmpint(mismatches(&r), ==, 1 * (PAGE / 8));
    }
    rig_end(&r);
}

/* From the middle of one page to that of another, which is another's */
static void test_across(void)
{
    uint64_t from = SECRET + PAGE - 64;
    Rig r;

    rig_start(&r, RIG ",mec=on", "");
    fill_page(&r, 7, SECRET, VALUE);
    for (int at = 0; at < PAGE; at += 8) {
        qtest_writeq(r.qts, SECRET + PAGE + at, ~VALUE);
    }
    fill_page(&r, 8, SECRET + 2 * PAGE, VALUE);
    copy(&r, from, COPY, 128);
    for (int at = 0; at < 64; at += 8) {
        g_assert_cmphex(held(&r, COPY + at), ==, DEADBEEF);
        g_assert_cmphex(held(&r, COPY + 64 + at), ==, ~VALUE);
    }
    assert_reported(&r, "edu0", SECRET, 7);
    /* Bytes of any alignment, to the page of another */
    copy(&r, SECRET + PAGE + 3, SECRET + 3 * PAGE - 13, 29);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET + 3 * PAGE - 8)), ==,
                    ~VALUE);
    g_assert_cmphex(held(&r, SECRET + 3 * PAGE + 8), ==, ~VALUE);
    g_assert_cmphex(load(r.qts, 8, REALM(SECRET + 3 * PAGE - 24)), ==, VALUE);
    rig_end(&r);
}

/* A device's store to a page of another context is MECID 0's. */
static void test_write(void)
{
    Rig r;
    int n;

    rig_start(&r, RIG ",mec=on", "");
    fill_page(&r, 7, SECRET, VALUE);
    for (int at = 0; at < 64; at += 8) {
        qtest_writeq(r.qts, PLAIN + at, ~VALUE);
    }
    copy(&r, PLAIN, SECRET + 512, 64);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET + 512)), ==, ~VALUE);
    assert_unreadable(load(r.qts, 7, REALM(SECRET + 512)), ~VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET + 504)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET + 576)), ==, VALUE);
    g_assert_true(mixed(r.qts, SECRET));

    /* Whose it was is told, as he finds a device's bytes where his were */
    n = mismatches(&r);
    load(r.qts, 7, REALM(SECRET + 520));
    g_assert_cmpint(mismatches(&r), ==, n + 1);
    rig_end(&r);
}

/* The monitor looks as devices do, and is none. */
static void test_monitor(void)
{
    g_autofree char *said = NULL;
    Rig r;

    rig_start(&r, RIG ",mec=on", "");
    fill_page(&r, 7, SECRET, VALUE);
    said = qtest_hmp(r.qts, "xp /1gx 0x%x", SECRET);
    g_assert_nonnull(strstr(said, "0xdeadbeefdeadbeef"));
    g_assert_cmpint(mismatches(&r), ==, 0);
    rig_end(&r);
}

/* ---- By pointers into RAM ---- */

static void rng_read(QVirtioDevice *vdev, QVirtQueue *vq, QTestState *qts,
                     uint64_t to, uint32_t len)
{
    uint32_t head = qvirtqueue_add(qts, vq, to, len, true, false), got;

    qvirtqueue_kick(qts, vdev, vq, head);
    qvirtio_wait_used_elem(qts, vdev, vq, head, &got, TIMEOUT_US);
    g_assert_cmpuint(got, >, 0);
    g_assert_cmpuint(got, <=, len);
}

/*
 * A buffer of other contexts is bounced. The rings' page, to which virtio keeps
 * pointers, stays held for context 0 until the device is reset.
 */
static void test_pointers(void)
{
    QVirtioMMIODevice dev = { };
    QVirtioDevice *vdev = &dev.vdev;
    QGuestAllocator alloc;
    QVirtQueue *vq;
    uint64_t end;
    Rig r;

    rig_start(&r, RIG ",mec=on", "-device virtio-rng-device ");
    alloc_init(&alloc, 0, RINGS, RINGS + 64 * PAGE, PAGE);
    qvirtio_mmio_init_device(&dev, r.qts, 0x0a003e00, PAGE);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                         ~(QVIRTIO_F_BAD_FEATURE |
                           1u << VIRTIO_RING_F_INDIRECT_DESC |
                           1u << VIRTIO_RING_F_EVENT_IDX));
    vq = qvirtqueue_setup(vdev, &alloc, 0);
    qvirtio_set_driver_ok(vdev);

    /* To more than one page, and more than is bounced by default */
    fill_page(&r, 7, SECRET, VALUE);
    fill_page(&r, 7, SECRET + PAGE, VALUE);
    rng_read(vdev, vq, r.qts, SECRET, 2 * PAGE);
    assert_unreadable(load(r.qts, 0, NONSECURE(SECRET)), VALUE);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET)), !=, DEADBEEF);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET)), ==,
                    qtest_readq(r.qts, SECRET));
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET)), !=,
                    load(r.qts, 0, NONSECURE(SECRET)));

    /* Stores behind the used ring, in its page */
    end = (vq->used & ~(PAGE - 1ull)) + PAGE - 64;
    for (int i = 0; i < 300; i++) {
        store(r.qts, 7, REALM(end), VALUE + i);
    }
    g_assert_cmpint(resident(r.qts, end), ==, 0);
    g_assert_cmphex(load(r.qts, 7, REALM(end)), ==, VALUE + 299);
    assert_unreadable(held(&r, end), VALUE + 299);
    rng_read(vdev, vq, r.qts, PLAIN, 64);
    g_assert_cmphex(held(&r, PLAIN), !=, 0);

    /* When the device lets go of it, the page is 7's. */
    qvirtio_reset(vdev);
    for (int i = 0; resident(r.qts, end) != 7; i++) {
        g_assert_cmpint(i, <, 60000);
        store(r.qts, 7, REALM(end), ~VALUE);
    }
    g_assert_cmphex(held(&r, end), ==, ~VALUE);
    alloc_destroy(&alloc);
    g_free(vq);
    rig_end(&r);
}

/* ---- CXL.cache ---- */

static void read_by_cache(Rig *r, uint64_t pa, uint8_t *buf)
{
    Dev *d = &r->cxl;

    set_operation(d, 0, 0, pa, 0, PAGE);
    set32(d, CCT_DOORBELL, CCT_DO_READ);
    g_assert_cmpint(get_result(d).ret, ==, OK);
    qpci_memread(d->pci, d->bar, CCT_BUF, buf, PAGE);
}

static void test_cache_read(void)
{
    g_autofree uint8_t *buf = g_malloc(PAGE);
    Result got;
    Rig r;

    rig_start(&r, RIG ",mec=on", "");
    fill_page(&r, 7, SECRET, VALUE);
    got = request(&r.cxl, CXL_CACHE_RD_CURR, SECRET + 128);
    for (int at = 0; at < LINE; at += 8) {
        g_assert_cmphex(ldq_le_p(got.data + at), ==, DEADBEEF);
    }
    assert_reported(&r, "cxl0", SECRET, 7);
    /* All of it at once, too */
    read_by_cache(&r, SECRET, buf);
    for (int at = 0; at < PAGE; at += 8) {
        g_assert_cmphex(ldq_le_p(buf + at), ==, DEADBEEF);
    }
    /* A line that is kept is read as it was */
    request(&r.cxl, CXL_CACHE_RD_SHARED, SECRET);
    g_assert_cmpuint(line_state(&r.cxl, SECRET), !=, CCT_STATE_I);
    got = line_op(&r.cxl, CCT_DO_LINE_READ, SECRET);
    g_assert_cmphex(ldq_le_p(got.data), ==, DEADBEEF);
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET)), ==, VALUE);

    /* The control: context 0's own, by the page */
    for (int at = 0; at < PAGE; at += 8) {
        qtest_writeq(r.qts, PLAIN + at, VALUE + at);
    }
    read_by_cache(&r, PLAIN, buf);
    for (int at = 0; at < PAGE; at += 8) {
        g_assert_cmphex(ldq_le_p(buf + at), ==, VALUE + at);
    }
    rig_end(&r);
}

/* A modified line comes home as MECID 0's, also to who takes the page over. */
static void test_cache_write(void)
{
    uint8_t want[LINE];
    int n;
    Rig r;

    rig_start(&r, RIG ",mec=on", "");
    fill(want, 5);
    fill_page(&r, 7, SECRET, VALUE);
    make_m(&r.cxl, SECRET + 256, 5);
    g_assert_cmphex(held(&r, SECRET + 256), ==, VALUE);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(SECRET + 264)), ==,
                    ldq_le_p(want + 8));
    g_assert_cmpuint(line_state(&r.cxl, SECRET + 256), !=, CCT_STATE_M);
    assert_unreadable(load(r.qts, 7, REALM(SECRET + 264)), ldq_le_p(want + 8));
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET + 248)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 7, REALM(SECRET + 320)), ==, VALUE);
    g_assert_true(mixed(r.qts, SECRET));
    n = mismatches(&r);
    load(r.qts, 7, REALM(SECRET + 272));
    g_assert_cmpint(mismatches(&r), ==, n + 1);

    /* The line is the device's when 8 comes and takes the page */
    make_m(&r.cxl, PLAIN + 64, 5);
    store(r.qts, 8, REALM(PLAIN), VALUE);
    g_assert_cmphex(load(r.qts, 8, REALM(PLAIN)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(PLAIN + 72)), ==,
                    ldq_le_p(want + 8));

    /* By writes that leave no line behind: some bytes, and all */
    fill_page(&r, 9, COPY, VALUE);
    write_request(&r.cxl, CXL_CACHE_WR_INV, COPY + 64, 0xff00, 5);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(COPY + 72)), ==,
                    ldq_le_p(want + 8));
    g_assert_cmphex(load(r.qts, 9, REALM(COPY + 64)), ==, VALUE);
    g_assert_cmphex(load(r.qts, 9, REALM(COPY + 80)), ==, VALUE);
    fill_page(&r, 9, COPY + PAGE, VALUE);
    write_request(&r.cxl, CXL_CACHE_I_TO_M_WR, COPY + PAGE, ALL, 5);
    g_assert_cmphex(load(r.qts, 0, NONSECURE(COPY + PAGE + 8)), ==,
                    ldq_le_p(want + 8));
    rig_end(&r);
}

/*
 * CPUs re-key pages all the time while the device owns lines of them, writes to
 * them and reads: nobody waits for ever, and no CPU loses its own words.
 */
static void test_contest(void)
{
    int64_t end;
    uint64_t laps;
    Rig r;

    rig_start(&r, RIG ",mec=on", "");
    set_step(&r.cxl, 0, ADD(8, CCT_CONST), PAGES + 2048, 1);
    set_step(&r.cxl, 1, LOAD(CXL_CACHE_RD_CURR, 1), PAGES + 1024, 0);
    for (int i = 0; i < 2; i++) {
        set32(&r.cxl, CCT_STEP_STRIDE(i), PAGE);
        set32(&r.cxl, CCT_STEP_WRAP(i), CHURN_PAGES);
    }
    command(r.qts, CHURN, 0, REALM(PAGES), 0);
    wait_for(r.qts, BOX_LAPS, 0, true);
    agent_start(&r.cxl, UINT64_MAX);
    end = g_get_monotonic_time() + 3 * G_USEC_PER_SEC;
    do {
        uint64_t iterations = get64(&r.cxl, CCT_AGENT_ITERATION);

        laps = qtest_readq(r.qts, BOX_LAPS);
        wait_for(r.qts, BOX_LAPS, laps, true);
        for (int i = 0;
             get64(&r.cxl, CCT_AGENT_ITERATION) == iterations; i++) {
            g_assert_true(agent_runs(&r.cxl));
            g_assert_cmpint(i, <, 60000);
            g_usleep(1000);
        }
    } while (g_get_monotonic_time() < end);
    set32(&r.cxl, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    qtest_writeq(r.qts, BOX_STOP, 1);
    wait_for(r.qts, BOX_COMMAND, 0, false);
    g_assert_cmpint(qtest_readq(r.qts, BOX_ERRORS), ==, 0);
    g_assert_cmphex(qtest_readq(r.qts, BOX_FAULT), ==, 0);
    g_test_message("%" PRIu64 " laps, %" PRIu64 " iterations",
                   qtest_readq(r.qts, BOX_LAPS),
                   get64(&r.cxl, CCT_AGENT_ITERATION));
    rig_end(&r);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    arm_mec_write_payload();

    qtest_add_data_func("/arm-mec-dma/read/deadbeef", "deadbeef", test_read);
    qtest_add_data_func("/arm-mec-dma/read/keystream", "keystream", test_read);
    qtest_add_data_func("/arm-mec-dma/plain/on", "on", test_plain);
    qtest_add_data_func("/arm-mec-dma/plain/off", "off", test_plain);
    qtest_add_func("/arm-mec-dma/across", test_across);
    qtest_add_func("/arm-mec-dma/write", test_write);
    qtest_add_func("/arm-mec-dma/monitor", test_monitor);
    qtest_add_func("/arm-mec-dma/pointers", test_pointers);
    qtest_add_func("/arm-mec-dma/cache/read", test_cache_read);
    qtest_add_func("/arm-mec-dma/cache/write", test_cache_write);
    qtest_add_func("/arm-mec-dma/cache/contest", test_contest);
    arm_gpc_add_tests();
    arm_rme_cda_add_tests();
    arm_mec_writeback_add_tests();

    ret = g_test_run();
    unlink(arm_mec_payload_file);
    g_free(arm_mec_payload_file);
    return ret;
}
