/*
 * QTest testcase for evictions as software meets them: a vCPU that loads lines
 * of a host's last-level cache, and a CXL.cache device whose line has to go
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All loads are a vCPU's, by instructions (cxl-cache-payload.S), of memory that
 * is watched, but for the device's line. Whether that has been taken from it is
 * found by time: a load that has to fetch it from there takes that of a link
 * with latency, by the machine's clock; one that has not to does not. From that
 * alone eviction sets are made, and compared with what the cache's registers
 * say.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include <glib/gstdio.h>
#include "libqtest.h"
#include "libqos/cxl.h"
#include "hw/cxl/cxl_cache_llc_regs.h"
#include "cxl-cache-testdev.h"
#include "cxl-cache-vcpu.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define RAM_SIZE        (128 * MiB)

/*
 * Watched: the lines that the vCPU has to choose from. The device's is behind
 * them, where a vCPU waits for what it touches, and in another set than
 * mailboxes, for what this test writes there is DMA.
 */
#define POOL            (16 * MiB)
#define POOL_LINES      512
#define TARGET          (POOL + (POOL_LINES + 3) * LINE)
#define WATCH           "watch=0x1000000-0x1007fff"

/* Not watched: what it executes, and which lines it is to load */
#define CODE_PROBE      (15 * MiB)
#define CODE_FILL       (15 * MiB + PAGE)
#define LIST            (14 * MiB)

/*
 * There and back by such a link it takes 8 ms, where a load takes some us. A
 * host that is busy makes any load long, and none short.
 */
#define TIMED           "-global cxl-rp.cxl-cache-latency=4000000 "
#define TRIES           4
#define PASSES          2

/* Some of the loads hit: old lines that a QLRU cache keeps */
#define FILLS           100000
/* Lines that are asked for together */
#define BATCH           16

/* As the device's window has it */
#define MESI_M          6

/* @limit: what takes so many ticks of the clock has come from the device */
typedef struct Machine {
    QTestState *qts;
    Dev dev;
    QPCIBar llc;
    uint8_t *ram;
    unsigned ways;
    unsigned probes;
    uint32_t limit;
} Machine;

static char *bios_file;

/* ---- What the vCPU executes ---- */

/*
 * Load a word of each line of a list, then see how long it takes to load one
 * more. At LIST: how many, which one is the last, and the others.
 *
 *      pushl %esi; pushl %edi; pushl %ebx; pushl %ecx
 *      movl $LIST, %esi
 *      movl (%esi), %ecx; movl 4(%esi), %edi; addl $8, %esi
 *      jecxz 2f
 *   1: lodsl; movl (%eax), %eax; loop 1b
 *   2: rdtsc; movl %eax, %ebx; movl (%edi), %eax; rdtsc; subl %ebx, %eax
 *      popl %ecx; popl %ebx; popl %edi; popl %esi; ret
 */
static const uint8_t code_probe[] = {
    0x56, 0x57, 0x53, 0x51, 0xbe, 0x00, 0x00, 0xe0, 0x00, 0x8b, 0x0e, 0x8b,
    0x7e, 0x04, 0x83, 0xc6, 0x08, 0xe3, 0x05, 0xad, 0x8b, 0x00, 0xe2, 0xfb,
    0x0f, 0x31, 0x89, 0xc3, 0x8b, 0x07, 0x0f, 0x31, 0x29, 0xd8, 0x59, 0x5b,
    0x5f, 0x5e, 0xc3,
};

/*
 * Load lines in turn, 110,000 times. At LIST: a stride, the first and the end.
 *
 *      pushl %esi; pushl %ecx
 *      movl LIST + 4, %esi; movl $110000, %ecx
 *   1: movl (%esi), %eax
 *      addl LIST, %esi; cmpl LIST + 8, %esi; jb 2f
 *      movl LIST + 4, %esi
 *   2: loop 1b
 *      popl %ecx; popl %esi; ret
 */
static const uint8_t code_fill[] = {
    0x56, 0x51, 0x8b, 0x35, 0x04, 0x00, 0xe0, 0x00, 0xb9, 0xb0, 0xad, 0x01,
    0x00, 0x8b, 0x06, 0x03, 0x35, 0x00, 0x00, 0xe0, 0x00, 0x3b, 0x35, 0x08,
    0x00, 0xe0, 0x00, 0x72, 0x06, 0x8b, 0x35, 0x04, 0x00, 0xe0, 0x00, 0xe2,
    0xe8, 0x59, 0x5e, 0xc3,
};

/* Not by DMA, which the cache would see */
static void put_word(Machine *m, uint64_t addr, uint32_t value)
{
    stl_le_p(m->ram + addr, value);
}

/* ---- Machines ---- */

/* Returns: false, and the test is skipped, if it cannot be run here */
static bool machine_start(Machine *m, const char *llc, const char *options)
{
    *m = (Machine) { };
    if (!qtest_has_accel("tcg")) {
        g_test_skip("'watch' is for TCG");
        return false;
    }
    m->qts = qtest_initf("-accel tcg,thread=single -nodefaults " QCXL_MACHINE
                         QCXL_SHARED_RAM "-bios %s "
                         "-object cxl-host-llc,id=llc0,inclusive=on," WATCH
                         ",%s %s " QCXL_PXB QCXL_RP ",cxl-cache=on "
                         "-device cxl-cache-testdev,bus=rp0,id=t0",
                         bios_file, llc, options);
    g_assert_true(vcpus_alive(m->qts, 1, VCPU_TIMEOUT_US));
    dev_start(&m->dev, m->qts, 0);
    m->llc = qpci_iomap(m->dev.pci, CXL_CACHE_TESTDEV_BAR_LLC, NULL);
    m->ways = qpci_io_readl(m->dev.pci, m->llc, CLR_WAYS);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    memcpy(m->ram + CODE_PROBE, code_probe, sizeof(code_probe));
    memcpy(m->ram + CODE_FILL, code_fill, sizeof(code_fill));
    if (request(&m->dev, CXL_CACHE_RD_OWN, TARGET).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
        munmap(m->ram, RAM_SIZE);
        dev_end(&m->dev);
        qtest_quit(m->qts);
        return false;
    }
    evict(&m->dev, TARGET);
    return true;
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    dev_end(&m->dev);
    qtest_quit(m->qts);
}

/* ---- The cache, by its registers ---- */

static uint32_t reg32(Machine *m, uint64_t reg)
{
    return qpci_io_readl(m->dev.pci, m->llc, reg);
}

static void flush_llc(Machine *m)
{
    qpci_io_writel(m->dev.pci, m->llc, CLR_COMMAND, CLR_FLUSH);
}

/* Its slice and set, in one number */
static uint64_t place_of(Machine *m, uint64_t addr)
{
    qpci_io_writeq(m->dev.pci, m->llc, CLR_ADDR, addr);
    return (uint64_t)reg32(m, CLR_SLICE_OF) << 32 | reg32(m, CLR_SET_OF);
}

/* Which lines of the pool go where @target goes; returns how many */
static unsigned compute_congruent(Machine *m, uint64_t target, bool *congruent)
{
    uint64_t place = place_of(m, target);
    unsigned n = 0;

    for (int i = 0; i < POOL_LINES; i++) {
        congruent[i] = place_of(m, POOL + i * LINE) == place;
        n += congruent[i];
    }
    return n;
}

/* ---- By time alone ---- */

/*
 * The cache is empty, the device modifies @target, the vCPU loads some lines of
 * the pool. Returns: how long it takes to load @target then
 */
static uint32_t probe(Machine *m, uint64_t target, const unsigned *line,
                      unsigned n)
{
    uint32_t ticks;

    flush_llc(m);
    make_m(&m->dev, target, ++m->probes);
    put_word(m, LIST, n);
    put_word(m, LIST + 4, target);
    for (int i = 0; i < n; i++) {
        put_word(m, LIST + 8 + 4 * i, POOL + line[i] * LINE);
    }
    ticks = vcpu_do(m->qts, 0, CALL, CODE_PROBE, 0, 1);
    assert_version(m->ram + target, m->probes);
    return ticks;
}

/* Does that take the line from the device? */
static bool evicts(Machine *m, uint64_t target, const unsigned *line,
                   unsigned n)
{
    for (int i = 0; i < TRIES; i++) {
        if (probe(m, target, line, n) < m->limit) {
            return true;
        }
    }
    return false;
}

/* What a load from the device takes at least, and one from memory at best */
static void calibrate(Machine *m)
{
    uint32_t far = UINT32_MAX, near = UINT32_MAX;

    for (int i = 0; i < 8; i++) {
        far = MIN(far, probe(m, TARGET, NULL, 0));
        put_word(m, LIST, 0);
        near = MIN(near, vcpu_do(m->qts, 0, CALL, CODE_PROBE, 0, 1));
    }
    g_test_message("%u ticks from the device, %u from memory", far, near);
    g_assert_cmpuint(far, >, 16 * near);
    m->limit = far / 2;
}

/* Without the lines from @from on, @len of them */
static unsigned copy_without(unsigned *to, const unsigned *line, unsigned n,
                             unsigned from, unsigned len)
{
    memcpy(to, line, from * sizeof(*to));
    memcpy(to + from, line + from + len, (n - from - len) * sizeof(*to));
    return n - len;
}

/*
 * Of lines that evict @target as few as do. In as many groups as there are
 * ways, and one more, there is one that can go; when there is none, all of them
 * are needed. Returns: how many are left of @line
 */
static unsigned reduce(Machine *m, uint64_t target, unsigned *line, unsigned n)
{
    g_autofree unsigned *rest = g_new(unsigned, n);

    for (;;) {
        unsigned groups = MIN(n, m->ways + 1), i, left = 0;

        for (i = 0; i < groups; i++) {
            unsigned from = n * i / groups;

            left = copy_without(rest, line, n, from,
                                n * (i + 1) / groups - from);
            if (evicts(m, target, rest, left)) {
                break;
            }
        }
        if (i == groups) {
            return n;
        }
        n = left;
        memcpy(line, rest, n * sizeof(*line));
    }
}

/*
 * Which of @len lines from @from on go where @target goes: with all lines but
 * one of an eviction set they evict it. All at once, and where there is one by
 * halves. Lines of the set are not asked for.
 */
static void search(Machine *m, uint64_t target, const unsigned *set,
                   unsigned n, unsigned from, unsigned len, bool *found)
{
    g_autofree unsigned *line = g_new(unsigned, n + len);
    unsigned num = n - 1;

    memcpy(line, set + 1, num * sizeof(*line));
    for (unsigned i = from; i < from + len; i++) {
        if (!found[i]) {
            line[num++] = i;
        }
    }
    if (num == n - 1 || !evicts(m, target, line, num)) {
        return;
    }
    if (len == 1) {
        found[from] = true;
        return;
    }
    search(m, target, set, n, from, len / 2, found);
    search(m, target, set, n, from + len / 2, len - len / 2, found);
}

/* ---- Cases ---- */

/*
 * An eviction set that was found by time: it has as many lines as the cache
 * ways, all of which go where the device's line goes; and it tells which others
 * do.
 */
static void test_timed(const void *llc)
{
    g_autofree unsigned *line = g_new(unsigned, POOL_LINES);
    bool congruent[POOL_LINES], found[POOL_LINES] = { };
    unsigned all, n;
    Machine m;

    if (!machine_start(&m, llc, TIMED)) {
        return;
    }
    calibrate(&m);
    all = compute_congruent(&m, TARGET, congruent);
    g_assert_cmpuint(all, >, m.ways);
    for (int i = 0; i < POOL_LINES; i++) {
        line[i] = i;
    }
    g_assert_true(evicts(&m, TARGET, line, POOL_LINES));
    /* Mistakes are of one kind: what evicts is taken for what does not. */
    n = POOL_LINES;
    for (int i = 0; i < PASSES; i++) {
        n = reduce(&m, TARGET, line, n);
    }
    g_assert_cmpuint(n, ==, m.ways);
    for (int i = 0; i < n; i++) {
        g_assert_true(congruent[line[i]]);
        found[line[i]] = true;
    }
    for (int i = 0; i < PASSES * POOL_LINES; i += BATCH) {
        search(&m, TARGET, line, n, i % POOL_LINES, BATCH, found);
    }
    g_assert_cmpmem(found, sizeof(found), congruent, sizeof(congruent));
    g_test_message("%u lines of %u found by time, %u probes", all, POOL_LINES,
                   m.probes);
    machine_end(&m);
}

/* The slot of the device's window that has the line; 0 if none has */
static uint8_t window_state(Machine *m, uint64_t addr)
{
    unsigned lines = qpci_io_readl(m->dev.pci, m->dev.window, 512 * KiB);

    for (unsigned i = 0; i < MIN(lines, 4096); i++) {
        uint64_t ats = qpci_io_readq(m->dev.pci, m->dev.window, i * 128 + 64);

        if ((ats & 1) && (ats & MAKE_64BIT_MASK(6, 46)) == addr) {
            return qpci_io_readb(m->dev.pci, m->dev.window, i * 128 + 72) & 0xf;
        }
    }
    return 0;
}

/* What the monitor says of the line; @held: and that a device may have it */
static bool query_present(Machine *m, uint64_t addr, bool *held)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(m->qts,
        "{'execute': 'x-query-cxl-llc', 'arguments': {'address': %" PRIu64
        "}}", addr);
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(qdict_get_qdict(info, "content"),
                                        "ways"), e) {
        QDict *way = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_bool(way, "valid") &&
            qdict_get_int(way, "address") == addr) {
            *held = qdict_get_bool(way, "held");
            return true;
        }
    }
    *held = false;
    return false;
}

static void check_event(Machine *m, uint64_t addr, const char *reason)
{
    g_autoptr(QDict) event = qtest_qmp_eventwait_ref(m->qts,
                                                     "CXL_LLC_EVICTED");
    QDict *data = qdict_get_qdict(event, "data");
    uint64_t place = place_of(m, addr);

    g_assert_cmphex(qdict_get_int(data, "address"), ==, addr);
    g_assert_cmpstr(qdict_get_str(data, "reason"), ==, reason);
    g_assert_cmpstr(qdict_get_str(data, "by"), ==, "cpu");
    g_assert_cmpstr(qdict_get_str(data, "device"), ==, "t0");
    g_assert_cmpstr(qdict_get_str(data, "state"), ==, "M");
    g_assert_cmpuint(qdict_get_int(data, "slice"), ==, place >> 32);
    g_assert_cmpuint(qdict_get_int(data, "set"), ==, (uint32_t)place);
}

/*
 * As many congruent lines as ways, the device's among them, leave it alone; one
 * more takes it. Device, window, monitor and event agree.
 */
static void check_congruent(const char *llc, const char *options)
{
    bool congruent[POOL_LINES], held;
    uint8_t line[LINE];
    unsigned loads = 0;
    Machine m;

    if (!machine_start(&m, llc, options)) {
        return;
    }
    g_assert_cmpuint(compute_congruent(&m, TARGET, congruent), >=, m.ways);
    flush_llc(&m);
    make_m(&m.dev, TARGET, 7);
    /* Of those that are not congruent any number */
    for (int i = 0; i < POOL_LINES; i++) {
        if (congruent[i] && ++loads == m.ways) {
            g_assert_cmpuint(line_state(&m.dev, TARGET), ==, CCT_STATE_M);
            g_assert_cmpuint(window_state(&m, TARGET), ==, MESI_M);
            g_assert_true(query_present(&m, TARGET, &held));
            g_assert_true(held);
            g_assert_cmphex(m.ram[TARGET], ==, 0);
        }
        vcpu_load(m.qts, 0, POOL + i * LINE, line);
        if (loads == m.ways) {
            break;
        }
    }
    g_assert_cmpuint(loads, ==, m.ways);
    g_assert_cmpuint(line_state(&m.dev, TARGET), ==, CCT_STATE_I);
    g_assert_cmpuint(window_state(&m, TARGET), ==, 0);
    g_assert_false(query_present(&m, TARGET, &held));
    assert_version(m.ram + TARGET, 7);
    check_event(&m, TARGET, "set-conflict");
    machine_end(&m);
}

static void test_congruent(const void *llc)
{
    check_congruent(llc, "");
}

/* Where the clock goes by instructions, and the link asks for the time */
static void test_icount(const void *llc)
{
    check_congruent(llc, TIMED "-icount shift=3,sleep=off");
}

/* A line in a way of its own survives 100,000 fills of its set. */
static void test_pin(const void *llc)
{
    uint64_t before, after;
    uint32_t all;
    bool held;
    Machine m;
    Dev *d = &m.dev;

    if (!machine_start(&m, llc, "")) {
        return;
    }
    g_assert_cmpuint(reg32(&m, CLR_SETS) * reg32(&m, CLR_SLICES), ==, 1);
    all = MAKE_64BIT_MASK(0, m.ways);
    for (int class = CLR_CPU; class <= CLR_DMA; class++) {
        qpci_io_writel(d->pci, m.llc, CLR_MASK(class), all & ~1u);
    }
    flush_llc(&m);
    qpci_io_writel(d->pci, m.llc, CLR_MASK(CLR_PIN), 1);
    qpci_io_writeq(d->pci, m.llc, CLR_ADDR, TARGET);
    qpci_io_writel(d->pci, m.llc, CLR_COMMAND, CLR_LOAD_AS(CLR_PIN));
    make_m(d, TARGET, 5);

    put_word(&m, LIST, LINE);
    put_word(&m, LIST + 4, POOL);
    put_word(&m, LIST + 8, POOL + POOL_LINES * LINE);
    before = qpci_io_readq(d->pci, m.llc, CLR_FILLS(0));
    vcpu_do(m.qts, 0, CALL, CODE_FILL, 0, 1);
    after = qpci_io_readq(d->pci, m.llc, CLR_FILLS(0));
    /* And some by what this test says to the vCPU */
    g_assert_cmpuint(after - before, >=, FILLS);
    g_assert_cmpuint(line_state(d, TARGET), ==, CCT_STATE_M);
    g_assert_cmpuint(window_state(&m, TARGET), ==, MESI_M);
    g_assert_true(query_present(&m, TARGET, &held));
    g_assert_cmphex(m.ram[TARGET], ==, 0);

    /* Not any more: the next one takes it. */
    qpci_io_writel(d->pci, m.llc, CLR_MASK(CLR_PIN), 0);
    for (int class = CLR_CPU; class <= CLR_DMA; class++) {
        qpci_io_writel(d->pci, m.llc, CLR_MASK(class), all);
    }
    vcpu_do(m.qts, 0, CALL, CODE_FILL, 0, 1);
    g_assert_cmpuint(line_state(d, TARGET), ==, CCT_STATE_I);
    assert_version(m.ram + TARGET, 5);
    machine_end(&m);
}

int main(int argc, char **argv)
{
    /* By name; 2 to 4 slices as Intel's go through different bits */
    static const struct {
        const char *name;
        const char *llc;
        bool timed;
    } caches[] = {
        { "lru-2", "size=8K,ways=4,slices=2,hash=intel,policy=lru", true },
        { "plru-4", "size=16K,ways=8,slices=4,hash=intel,policy=plru" },
        { "qlru-4", "size=12K,ways=6,slices=4,hash=intel,"
                    "policy=qlru:H11_M1_R0_U0", true },
        { "linear", "size=8K,ways=8,slices=2,hash=linear,policy=srrip" },
    };
    int ret;

    g_test_init(&argc, &argv, NULL);
    bios_file = vcpu_bios_new();
    for (int i = 0; i < ARRAY_SIZE(caches); i++) {
        g_autofree char *congruent =
            g_strdup_printf("/cxl-cache-evict/congruent/%s", caches[i].name);
        g_autofree char *timed =
            g_strdup_printf("/cxl-cache-evict/timed/%s", caches[i].name);

        qtest_add_data_func(congruent, caches[i].llc, test_congruent);
        if (caches[i].timed) {
            qtest_add_data_func(timed, caches[i].llc, test_timed);
        }
    }
    qtest_add_data_func("/cxl-cache-evict/icount", caches[0].llc, test_icount);
    qtest_add_data_func("/cxl-cache-evict/pin/lru",
                        "size=512,ways=8,slices=1,policy=lru", test_pin);
    qtest_add_data_func("/cxl-cache-evict/pin/qlru",
                        "size=512,ways=8,slices=1,policy=qlru:H11_M1_R1_U2",
                        test_pin);
    ret = g_test_run();
    g_unlink(bios_file);
    g_free(bios_file);
    return ret;
}
