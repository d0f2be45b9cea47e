/*
 * QTest testcase for CacheMemRegion: vCPUs and a CXL.cache device on the same
 * lines, under TCG and, where it works, under KVM
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The firmware of the machine is a payload of 300 bytes, cxl-cache-payload.S:
 * two vCPUs in protected mode without paging. They do what this test writes to
 * their mailboxes, while it drives cxl-cache-testdev; what RAM really holds is
 * seen through a mapping of the memfd behind it.
 *
 * Under TCG also with a link that has time: vCPUs wait for snoops, by the
 * clock, and with icount, where it goes by what they execute.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include <glib/gstdio.h>
#include "libqtest.h"
#include "hw/cxl/cxl_cache_llc_regs.h"
#include "libqos/cxl.h"
#include "libqos/cxl-tree.h"
#include "cxl-cache-testdev.h"
#include "cxl-cache-vcpu.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define RAM_SIZE        (128 * MiB)
#define NUM_CPUS        2

/* Two pages of lines */
#define A               (16 * MiB)
#define B               (A + PAGE)

/* Of CPU and device in a contest */
#define CPU_ROUND       5000
#define DEV_ROUNDS      6000
/* Time for the CPUs to have the lines, too */
#define DEV_PAUSE_NS    50000
/* So many of the CPUs' accesses have to meet a line of the device */
#define CONTESTED       50
/* So often a function is called, for its translation to be found again */
#define CALLS           100
#define PAUSE           CCT_STEP_MAKE(CCT_OP_DELAY, 0, 0, CCT_CONST, 0, 0)

/* Of a root port: 2 to 4 us in each direction */
#define TIMED   " -global cxl-rp.cxl-cache-latency=2000 " \
                "-global cxl-rp.x-jitter=9"

typedef struct Machine {
    QTestState *qts;
    Dev dev;
    uint8_t *ram;
} Machine;

static char *bios_file;

/* ---- The CPUs ---- */

static void cpu_start(Machine *m, int cpu, uint32_t command, uint64_t addr,
                      uint32_t value, uint32_t count)
{
    vcpu_start(m->qts, cpu, command, addr, value, count);
}

static uint32_t cpu_wait(Machine *m, int cpu)
{
    return vcpu_wait(m->qts, cpu);
}

static void cpu_load(Machine *m, int cpu, uint64_t addr, uint8_t *line)
{
    vcpu_load(m->qts, cpu, addr, line);
}

static void cpu_store(Machine *m, int cpu, uint64_t addr, uint32_t value)
{
    vcpu_do(m->qts, cpu, STORE_WORD, addr, value, 0);
}

static uint32_t cpu_call(Machine *m, int cpu, uint64_t addr)
{
    return vcpu_do(m->qts, cpu, CALL, addr, 0, CALLS);
}

#define assert_cpu_sees(m, cpu, addr, v)                        \
    do {                                                        \
        uint8_t line_[LINE];                                    \
                                                                \
        cpu_load(m, cpu, addr, line_);                          \
        assert_version(line_, v);                               \
    } while (0)

/* ---- Machines ---- */

static bool machine_boot(Machine *m, const char *accel, const char *opts,
                         int64_t timeout_us)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-accel %s -nodefaults -smp %d " QCXL_MACHINE
                         QCXL_SHARED_RAM "-bios %s " QCXL_PXB QCXL_RP
                         ",cxl-cache=on -device cxl-cache-testdev,bus=rp0,"
                         "id=t0 %s",
                         accel, NUM_CPUS, bios_file, opts);
    if (!vcpus_alive(m->qts, NUM_CPUS, timeout_us)) {
        qtest_quit(m->qts);
        return false;
    }
    return true;
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    dev_end(&m->dev);
    qtest_quit(m->qts);
}

/*
 * Whether vCPUs run at all: that /dev/kvm can be opened does not say so. Asked
 * once for each.
 */
static bool accel_works(const char *accel)
{
    static GHashTable *known;
    gpointer works;
    Machine m;

    if (!known) {
        known = g_hash_table_new(g_str_hash, g_str_equal);
    }
    if (!g_hash_table_lookup_extended(known, accel, NULL, &works)) {
        g_autofree char *name = g_strndup(accel, strcspn(accel, ", "));

        works = NULL;
        if (qtest_has_accel(name) &&
            machine_boot(&m, accel, "", 10 * G_USEC_PER_SEC)) {
            qtest_quit(m.qts);
            works = known;
        }
        g_hash_table_insert(known, (gpointer)accel, works);
    }
    return works;
}

/* Returns: false, and the test is skipped, if it cannot be run here */
static bool machine_start(Machine *m, const char *accel, const char *opts)
{
    if (!accel_works(accel)) {
        g_autofree char *why =
            g_strdup_printf("two vCPUs do not run under %s here", accel);

        g_test_skip(why);
        return false;
    }
    g_assert_true(machine_boot(m, accel, opts, VCPU_TIMEOUT_US));
    dev_start(&m->dev, m->qts, 0);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    if (request(&m->dev, CXL_CACHE_RD_OWN, B).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
        machine_end(m);
        return false;
    }
    evict(&m->dev, B);
    return true;
}

static void set_no_snoop(Machine *m)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'qom-set', 'arguments': "
                             "{'path': '/machine/cxl-cache', "
                             "'property': 'x-no-snoop', 'value': true}}");
}

static void put_version(Machine *m, uint64_t addr, unsigned v)
{
    uint8_t line[LINE];

    fill(line, v);
    qtest_memwrite(m->qts, addr, line, LINE);
}

/* Accesses that were stopped for a device's lines, so far */
static int64_t trapped(Machine *m)
{
    QDict *info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    QDict *trap = qdict_get_qdict(info, "trap");
    int64_t n = qdict_get_int(trap, "reads") + qdict_get_int(trap, "writes");

    qobject_unref(info);
    return n;
}

/* ---- Cases ---- */

/* Memory is stale until a vCPU touches it; that one sees the new bytes. */
static void test_stale(const void *accel)
{
    Machine m;
    uint32_t word;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    for (int cpu = 0; cpu < NUM_CPUS; cpu++) {
        uint64_t addr = A + cpu * LINE;

        put_version(&m, addr, 1);
        assert_cpu_sees(&m, cpu, addr, 1);
        make_m(&m.dev, addr, 2);
        g_usleep(10000);
        assert_version(m.ram + addr, 1);
        g_assert_cmpuint(line_state(&m.dev, addr), ==, CCT_STATE_M);

        assert_cpu_sees(&m, cpu, addr, 2);
        assert_version(m.ram + addr, 2);
        g_assert_cmpuint(line_state(&m.dev, addr), !=, CCT_STATE_M);

        /* A store takes the line away and changes a word of the new bytes. */
        if (line_state(&m.dev, addr) != CCT_STATE_I) {
            evict(&m.dev, addr);
        }
        make_m(&m.dev, addr, 3);
        assert_version(m.ram + addr, 2);
        cpu_store(&m, cpu, addr, 0x12345678);
        g_assert_cmpuint(line_state(&m.dev, addr), ==, CCT_STATE_I);
        word = ldl_le_p(m.ram + addr);
        g_assert_cmphex(word, ==, 0x12345678);
        put_version(&m, addr, 3);
        assert_cpu_sees(&m, !cpu, addr, 3);
    }
    machine_end(&m);
}

/* The same must go wrong where nobody is asked. */
static void test_no_snoop(const void *accel)
{
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    set_no_snoop(&m);
    put_version(&m, A, 1);
    make_m(&m.dev, A, 2);
    assert_cpu_sees(&m, 0, A, 1);
    g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);

    /* What the other vCPU adds is lost in the device's write-back. */
    cpu_start(&m, 1, LOCK_ADD, A, 0, 100);
    cpu_wait(&m, 1);
    evict(&m.dev, A);
    assert_cpu_sees(&m, 1, A, 2);
    machine_end(&m);
}

/* Messages that take time: fewer of them do. */
static unsigned dev_rounds(const char *accel)
{
    return strstr(accel, TIMED) ? DEV_ROUNDS / 10 : DEV_ROUNDS;
}

/* Two vCPUs, each by its instruction, and the device add to one word. */
static void test_atomics(const void *accel)
{
    const unsigned rounds = dev_rounds(accel);
    uint32_t total = rounds;
    int64_t before;
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    before = trapped(&m);
    qtest_memset(m.qts, A, 0, LINE);
    set_step(&m.dev, 0, ADD(4, CCT_CONST), A, 1);
    set_step(&m.dev, 1, PAUSE, 0, DEV_PAUSE_NS);
    agent_start(&m.dev, rounds);
    do {
        cpu_start(&m, 0, LOCK_ADD, A, 0, CPU_ROUND);
        cpu_start(&m, 1, LOCK_COMPARE, A, 0, CPU_ROUND);
        cpu_wait(&m, 0);
        cpu_wait(&m, 1);
        total += 2 * CPU_ROUND;
    } while (agent_runs(&m.dev));
    agent_wait(&m.dev, rounds);
    g_assert_cmpuint(qtest_readl(m.qts, A), ==, total);
    g_test_message("%u in all, %" PRId64 " accesses trapped", total,
                   trapped(&m) - before);
    g_assert_cmpint(trapped(&m) - before, >, CONTESTED);
    machine_end(&m);
}

/*
 * Each vCPU counts in a line of its own, by loads and stores; the device
 * counts in a third line of the page and keeps taking the other two.
 */
static void test_neighbours(const void *accel)
{
    const unsigned dev = dev_rounds(accel);
    uint32_t rounds = 0;
    int64_t before;
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    before = trapped(&m);
    qtest_memset(m.qts, A, 0, PAGE);
    set_step(&m.dev, 0, ADD(4, CCT_CONST), A + 2 * LINE, 1);
    set_step(&m.dev, 1, LOAD(CXL_CACHE_RD_SHARED, 1), A, 0);
    set_step(&m.dev, 2, LOAD(CXL_CACHE_RD_OWN, 2), A + LINE, 0);
    set_step(&m.dev, 3, PAUSE, 0, DEV_PAUSE_NS);
    agent_start(&m.dev, dev);
    do {
        for (int i = 0; i < NUM_CPUS; i++) {
            cpu_start(&m, i, COUNT, A + i * LINE, 0, CPU_ROUND);
        }
        for (int i = 0; i < NUM_CPUS; i++) {
            g_assert_cmpuint(cpu_wait(&m, i), ==, 0);
        }
        rounds++;
    } while (agent_runs(&m.dev));
    agent_wait(&m.dev, dev);
    for (int i = 0; i < NUM_CPUS; i++) {
        g_assert_cmpuint(qtest_readl(m.qts, A + i * LINE), ==,
                         rounds * CPU_ROUND);
    }
    g_assert_cmpuint(qtest_readl(m.qts, A + 2 * LINE), ==, dev);
    g_test_message("%u rounds, %" PRId64 " accesses trapped", rounds,
                   trapped(&m) - before);
    g_assert_cmpint(trapped(&m) - before, >, CONTESTED);
    machine_end(&m);
}

/* A line of code: a function that returns @v */
static void fill_code(uint8_t *line, uint32_t v)
{
    memset(line, 0x90, LINE);       /* nop */
    line[0] = 0xb8;                 /* mov $v, %eax */
    stl_le_p(line + 1, v);
    line[LINE - 1] = 0xc3;          /* ret */
}

/*
 * What a vCPU has run, and has translated, is what the device changes in its
 * cache: the vCPU runs the new code, though it fetches no byte of what it has
 * translated. The other vCPU runs it as well, from memory then.
 */
static void test_code(const void *accel)
{
    uint8_t line[LINE];
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    fill_code(line, 1);
    qtest_memwrite(m.qts, A, line, LINE);
    for (int cpu = 0; cpu < NUM_CPUS; cpu++) {
        g_assert_cmpuint(cpu_call(&m, cpu, A), ==, 1);
    }
    for (uint32_t v = 2; v < 6; v++) {
        uint8_t old[LINE];

        fill_code(line, v);
        fill_code(old, v - 1);
        request(&m.dev, CXL_CACHE_RD_OWN, A);
        g_assert_cmpint(operate(&m.dev, CCT_DO_LINE_WRITE, 0, 0, A, ALL,
                                line).ret, ==, OK);
        g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);
        g_assert_cmpmem(m.ram + A, LINE, old, LINE);

        g_assert_cmpuint(cpu_call(&m, v % 2, A), ==, v);
        g_assert_cmpmem(m.ram + A, LINE, line, LINE);
        g_assert_cmpuint(cpu_call(&m, !(v % 2), A), ==, v);
        if (line_state(&m.dev, A) != CCT_STATE_I) {
            evict(&m.dev, A);
        }
    }
    machine_end(&m);
}

/* ---- */

/*
 * The host's last-level cache sees what vCPUs load and store in memory that is
 * watched, and nothing of the page behind it.
 */

#define LLC         "-object cxl-host-llc,id=llc0,size=4K,ways=4,slices=2," \
                    "hash=linear,policy=lru,inclusive=on," \
                    "watch=0x1000000-0x1000fff,sample=1"
#define LLC_WAYS    4
#define LLC_STRIDE  (2 * 8 * LINE)
#define LLC_SET     (4 * LINE)

typedef struct Seen {
    uint64_t loads;
    uint64_t stores;
    uint64_t samples;
} Seen;

static uint64_t llc64(Machine *m, QPCIBar bar, uint64_t reg)
{
    return qpci_io_readq(m->dev.pci, bar, reg);
}

/* What has come since the last time */
static Seen seen(Machine *m, QPCIBar bar, Seen *last)
{
    const Seen now = {
        llc64(m, bar, CLR_LOADS), llc64(m, bar, CLR_STORES),
        llc64(m, bar, CLR_SAMPLES),
    };
    const Seen new = {
        now.loads - last->loads, now.stores - last->stores,
        now.samples - last->samples,
    };

    *last = now;
    return new;
}

/* rep movsl; lock xaddl */
static const uint8_t insn_load[] = { 0xf3, 0xa5 };
static const uint8_t insn_add[] = { 0xf0, 0x0f, 0xc1 };

/* What the record's instruction is */
#define assert_insn(m, bar, n, insn)                                    \
    do {                                                                \
        uint8_t code_[sizeof(insn)];                                    \
                                                                        \
        qtest_memread((m)->qts,                                         \
            llc64(m, bar, CLR_SAMPLE_IP((n) % CLR_NUM_SAMPLES)),        \
            code_, sizeof(code_));                                      \
        g_assert_cmpmem(code_, sizeof(code_), insn, sizeof(insn));      \
    } while (0)

static void assert_sample(Machine *m, QPCIBar bar, uint64_t n, uint64_t addr,
                          uint64_t source)
{
    unsigned i = n % CLR_NUM_SAMPLES;

    g_assert_cmphex(llc64(m, bar, CLR_SAMPLE_PA(i)), ==, addr);
    /* The payload has no page tables. */
    g_assert_cmphex(llc64(m, bar, CLR_SAMPLE_VA(i)), ==, addr);
    g_assert_cmphex(llc64(m, bar, CLR_SAMPLE_SOURCE(i)), ==, source);
    assert_insn(m, bar, n, insn_load);
}

static void test_llc(const void *accel)
{
    uint8_t line[LINE];
    Seen last = { }, s;
    QPCIBar bar;
    Machine m;

    if (strcmp(accel, "tcg")) {
        g_test_skip("'watch' is for TCG");
        return;
    }
    if (!machine_start(&m, accel, LLC)) {
        return;
    }
    bar = qpci_iomap(m.dev.pci, CXL_CACHE_TESTDEV_BAR_LLC, NULL);
    qpci_io_writel(m.dev.pci, bar, CLR_COMMAND, CLR_FLUSH);
    seen(&m, bar, &last);

    /* 16 words; the first one brings the line. */
    cpu_load(&m, 0, A, line);
    s = seen(&m, bar, &last);
    g_assert_cmpuint(s.loads, ==, LINE / 4);
    g_assert_cmpuint(s.stores, ==, 0);
    g_assert_cmpuint(s.samples, ==, LINE / 4);
    assert_sample(&m, bar, last.samples - 16, A, CLR_SOURCE_MEMORY);
    for (int i = 1; i < LINE / 4; i++) {
        assert_sample(&m, bar, last.samples - 16 + i, A + 4 * i,
                      CLR_SOURCE_HIT);
    }
    cpu_store(&m, 1, A + 8, 1);
    s = seen(&m, bar, &last);
    g_assert_cmpuint(s.loads, ==, 0);
    g_assert_cmpuint(s.stores, ==, 1);
    cpu_start(&m, 1, LOCK_ADD, A + 8, 0, 100);
    cpu_wait(&m, 1);
    s = seen(&m, bar, &last);
    g_assert_cmpuint(s.loads, ==, 100);
    g_assert_cmpuint(s.stores, ==, 100);
    assert_insn(&m, bar, last.samples - 1, insn_add);

    /* The next page is not watched. */
    cpu_load(&m, 0, B, line);
    cpu_store(&m, 0, B, 2);
    s = seen(&m, bar, &last);
    g_assert_cmpuint(s.loads + s.stores, ==, 0);

    /* A line that a device has modified, as a vCPU finds it */
    make_m(&m.dev, A + 2 * LINE, 6);
    assert_cpu_sees(&m, 1, A + 2 * LINE, 6);
    s = seen(&m, bar, &last);
    assert_sample(&m, bar, last.samples - 16, A + 2 * LINE,
                  CLR_SOURCE_MODIFIED);

    /*
     * As many congruent lines as ways leave a device's alone, one more not. In
     * another set than the mailboxes: what this test does there is DMA.
     */
    qpci_io_writel(m.dev.pci, bar, CLR_COMMAND, CLR_FLUSH);
    make_m(&m.dev, B + LLC_SET, 7);
    for (int i = 0; i < LLC_WAYS - 1; i++) {
        cpu_load(&m, i % NUM_CPUS, A + LLC_SET + i * LLC_STRIDE, line);
    }
    g_assert_cmpuint(line_state(&m.dev, B + LLC_SET), ==, CCT_STATE_M);
    g_assert_cmpuint(llc64(&m, bar, CLR_TAKEN(CLR_EVICT_SET)), ==, 0);
    cpu_load(&m, 0, A + LLC_SET + (LLC_WAYS - 1) * LLC_STRIDE, line);
    g_assert_cmpuint(line_state(&m.dev, B + LLC_SET), ==, CCT_STATE_I);
    g_assert_cmpuint(llc64(&m, bar, CLR_TAKEN(CLR_EVICT_SET)), ==, 1);
    assert_version(m.ram + B + LLC_SET, 7);
    machine_end(&m);
}

/* ---- A device that does not answer ---- */

#define POISON          0xbaadf00d
#define CACHEMEM        0x1000
/* Timeout and Isolation: Control; a time-out of 10 ms isolates */
#define T_CTRL          0x8
#define T_CTRL_10MS     (2 << 8 | 1 << 12 | 1 << 18)

static void order(Machine *m, const char *fault)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'x-cxl-type1-fault', "
                             "'arguments': {'id': 't0', 'fault': %s}}", fault);
}

static uint32_t read_cachemem(void *opaque, uint16_t offset)
{
    QCXL *cxl = ((Machine *)opaque)->dev.cxl;

    return qpci_io_readl(cxl->rp, cxl->rp_bar, CACHEMEM + offset);
}

static QDict *query_device(Machine *m)
{
    g_autoptr(QDict) info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    QDict *d = qobject_to(QDict, qlist_entry_obj(qlist_first(
                                    qdict_get_qlist(info, "devices"))));

    return qobject_ref(d);
}

/* The host waits for the device, or not, on its own behalf. */
static void check_awaits(Machine *m, bool awaits)
{
    g_autoptr(QDict) d = query_device(m);
    QDict *w;

    g_assert_cmpint(qdict_haskey(d, "awaits"), ==, awaits);
    if (awaits) {
        w = qobject_to(QDict, qlist_entry_obj(qlist_first(
                                  qdict_get_qlist(d, "awaits"))));
        g_assert_cmphex(qdict_get_int(w, "address"), ==, A);
        g_assert_false(qdict_haskey(w, "by"));
    }
}

/* It depends on who else wants a processor. */
static void wait_until(Machine *m, bool (*func)(const QDict *d))
{
    gint64 end = g_get_monotonic_time() + VCPU_TIMEOUT_US;
    bool done = false;

    while (!done) {
        g_autoptr(QDict) d = query_device(m);

        done = func(d);
        g_assert_true(done || g_get_monotonic_time() < end);
        g_usleep(1000);
    }
}

static bool is_awaited(const QDict *d)
{
    return qdict_haskey(d, "awaits");
}

static bool is_idle(const QDict *d)
{
    return !qdict_get_int(d, "outstanding");
}

/* A vCPU is in the middle of loading a line that the device has modified. */
static void get_stuck(Machine *m, unsigned v)
{
    make_m(&m->dev, A, v);
    order(m, "hang-snoop");
    cpu_start(m, 0, LOAD_LINE, A, 0, 0);
    wait_until(m, is_awaited);
    g_usleep(20000);
    g_assert_cmpuint(qtest_readl(m->qts, BOX(0) + BOX_COMMAND), ==, LOAD_LINE);
    check_awaits(m, true);
}

/* It has got poison, and the device is as new. */
static void check_lost(Machine *m)
{
    cpu_wait(m, 0);
    g_assert_cmphex(qtest_readl(m->qts, BOX(0) + BOX_LINE), ==, POISON);
    check_awaits(m, false);
    order(m, "clear");
    put_version(m, A, 0);
}

/* A vCPU waits; others, the monitor and who stops the machine do not. */
static void test_hang(const void *accel)
{
    uint8_t line[LINE];
    uint16_t at;
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    at = qcxl_find_cap(read_cachemem, &m, 0x09);
    get_stuck(&m, 1);
    if (!strstr(accel, "single")) {
        put_version(&m, B, 0);
        cpu_start(&m, 1, LOCK_ADD, B, 0, 1000);
        cpu_wait(&m, 1);
    }
    g_assert_cmpuint(qtest_readl(m.qts, BOX(0) + BOX_COMMAND), ==, LOAD_LINE);
    order(&m, "clear");
    cpu_wait(&m, 0);
    qtest_memread(m.qts, BOX(0) + BOX_LINE, line, LINE);
    assert_version(line, 1);
    flush(&m.dev);

    get_stuck(&m, 2);
    qtest_qmp_assert_success(m.qts, "{'execute': 'stop'}");
    qtest_qmp_assert_success(m.qts, "{'execute': 'cont'}");
    check_lost(&m);
    set32(&m.dev, CCT_MODE, CCT_MODE_ON);

    make_m(&m.dev, A, 3);
    order(&m, "hang-snoop");
    qpci_io_writel(m.dev.cxl->rp, m.dev.cxl->rp_bar, CACHEMEM + at + T_CTRL,
                   T_CTRL_10MS);
    cpu_start(&m, 0, LOAD_LINE, A, 0, 0);
    check_lost(&m);
    machine_end(&m);
}

/* A machine that is reset, or ends, while a vCPU waits */
static void test_hang_reset(const void *accel)
{
    Machine m;

    if (!machine_start(&m, accel, "")) {
        return;
    }
    get_stuck(&m, 1);
    qtest_writel(m.qts, CPUS, 0);
    for (int i = 0; i < NUM_CPUS; i++) {
        qtest_writel(m.qts, BOX(i) + BOX_ALIVE, 0);
    }
    qtest_system_reset(m.qts);
    for (int i = 0; i < NUM_CPUS; i++) {
        g_assert_true(vcpu_wait_for(m.qts, BOX(i) + BOX_ALIVE, 1,
                                    VCPU_TIMEOUT_US));
        cpu_wait(&m, i);
    }
    qcxl_init(m.dev.cxl);
    dev_map(&m.dev);
    set32(&m.dev, CCT_MODE, CCT_MODE_ON);
    check_awaits(&m, false);
    get_stuck(&m, 2);
    machine_end(&m);
}

/* ---- The same run again, under icount ---- */

#define CODE            0x3f01000
#define CODE_BAR        0x3f00000
#define TRACED_ROUNDS   2000
#define COUNTED_ROUNDS  20000
#define AGENT_ROUNDS    300

/*
 * What CPU 0 does in each round; the device's BAR is at CODE_BAR, a counter
 * behind that:
 *
 *   pushl %ecx; pushl %ebx
 *   movl CODE_BAR, %ebx; movl CODE_BAR + 4, %ecx; incl CODE_BAR + 4
 *   andl $7, %ecx; shll $6, %ecx; addl $A, %ecx       a line of A's
 *   movl $CXL_CACHE_RD_OWN, %eax; movl %eax, CCT_OPCODE(%ebx)
 *   movl %ecx, CCT_ADDR(%ebx)
 *   movl $CCT_DO_POST, %eax; movl %eax, CCT_DOORBELL(%ebx)
 *   movl 64(%ecx), %eax; addl %eax, (%ecx)            the next one, and it
 *   popl %ebx; popl %ecx; ret
 */
static const uint8_t traced_code[] = {
    0x51, 0x53, 0x8b, 0x1d, 0x00, 0x00, 0xf0, 0x03, 0x8b, 0x0d, 0x04, 0x00,
    0xf0, 0x03, 0xff, 0x05, 0x04, 0x00, 0xf0, 0x03, 0x83, 0xe1, 0x07, 0xc1,
    0xe1, 0x06, 0x81, 0xc1, 0x00, 0x00, 0x00, 0x01, 0xb8, 0x02, 0x00, 0x00,
    0x00, 0x89, 0x43, 0x10, 0x89, 0x4b, 0x18, 0xb8, 0x0a, 0x00, 0x00, 0x00,
    0x89, 0x43, 0x2c, 0x8b, 0x41, 0x40, 0x01, 0x01, 0x5b, 0x59, 0xc3,
};

/* Programs of two devices, on lines that CPUs have as well */
static void start_agents(Dev *dev)
{
    for (int i = 0; i < 2; i++) {
        set_step(&dev[i], 0, ADD(8, CCT_CONST), A + 6 * LINE + 16 + 8 * i, 1);
        set_step(&dev[i], 1, LOAD(CXL_CACHE_RD_SHARED, 1), A + 5 * LINE, 0);
        set_step(&dev[i], 2, STORE(CXL_CACHE_WR_INV, CCT_ITER),
                 A + 8 * LINE + 8 * i, 0);
        set_step(&dev[i], 3, PAUSE, 0, 700);
        agent_start(&dev[i], AGENT_ROUNDS);
    }
}

/**
 * Traced: a run that is traced
 * @cpus: of which the second counts in a line that the first one has a device
 *        take
 * @agents: two devices run programs
 */
typedef struct Traced {
    const char *name;
    unsigned cpus;
    bool agents;
} Traced;

/* The trace of a run in which nothing comes from outside, to be freed */
static char *traced_run(unsigned seed, const Traced *run)
{
    const unsigned cpus = run->cpus;
    Dev dev[2] = { };
    g_autofree char *file = NULL;
    char *trace = NULL;
    int fd = g_file_open_tmp("cxl-cache-XXXXXX.trace", &file, NULL);
    Machine m = { };

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    m.qts = qtest_initf("-S -accel tcg,thread=single -icount shift=3,sleep=off "
                        "-smp %u -nodefaults " QCXL_MACHINE QCXL_SHARED_RAM
                        "-bios %s " QCXL_PXB QCXL_RP ",cxl-cache=on,"
                        "cxl-cache-latency=2000,x-jitter=%u "
                        "-device cxl-cache-testdev,bus=rp0,id=t0 "
                        QCXL_RP1 ",cxl-cache=on,cxl-cache-latency=1000,"
                        "x-jitter=%u -device cxl-cache-testdev,bus=rp1,id=t1 "
                        "-trace enable=cxl_cache_* -D %s", cpus, bios_file,
                        seed, seed, file);
    for (int i = 0; i < 2; i++) {
        dev_start(&dev[i], m.qts, i);
    }
    qtest_writel(m.qts, CODE_BAR, dev[0].bar.addr);
    qtest_memwrite(m.qts, CODE, traced_code, sizeof(traced_code));
    cpu_start(&m, 0, CALL, CODE, 0, TRACED_ROUNDS);
    for (int i = 1; i < cpus; i++) {
        cpu_start(&m, i, COUNT, A + 5 * LINE + 8, 0, COUNTED_ROUNDS);
    }
    if (run->agents) {
        start_agents(dev);
    }
    qtest_qmp_assert_success(m.qts, "{'execute': 'cont'}");
    for (int i = 0; i < cpus; i++) {
        cpu_wait(&m, i);
    }
    for (int i = 0; i < 2 && run->agents; i++) {
        agent_wait(&dev[i], AGENT_ROUNDS);
    }
    /* What is under way comes to its end: CPUs make time pass. */
    wait_until(&m, is_idle);
    g_usleep(50000);
    qtest_qmp_assert_success(m.qts, "{'execute': 'stop'}");
    g_assert_true(g_file_get_contents(file, &trace, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(qtest_readq(m.qts, A + 6 * LINE + 16 + 8 * i), ==,
                         run->agents ? AGENT_ROUNDS : 0);
        dev_end(&dev[i]);
    }
    qtest_quit(m.qts);
    g_unlink(file);
    return trace;
}

static unsigned count_words(const char *text, const char *word)
{
    unsigned n = 0;

    while ((text = strstr(text, word))) {
        text += strlen(word);
        n++;
    }
    return n;
}

/* Where two texts part, as a line of each */
static void check_same(const char *a, const char *b)
{
    g_auto(GStrv) left = g_strsplit(a, "\n", -1);
    g_auto(GStrv) right = g_strsplit(b, "\n", -1);

    for (unsigned i = 0; left[i] || right[i]; i++) {
        g_assert_cmpstr(left[i], ==, right[i]);
    }
}

static void test_same_trace(const void *run)
{
    g_autofree char *first = NULL;
    g_autofree char *again = NULL;
    g_autofree char *other = NULL;

    if (!accel_works("tcg")) {
        g_test_skip("TCG does not run here");
        return;
    }
    first = traced_run(9, run);
    if (!strstr(first, "cxl_cache_fault")) {
        g_test_skip("lines are not kept on this host");
        return;
    }
    again = traced_run(9, run);
    other = traced_run(10, run);
    g_test_message("%u messages, %u accesses trapped",
                   count_words(first, "cxl_cache_taken"),
                   count_words(first, "cxl_cache_fault"));
    g_assert_cmpuint(count_words(first, "cxl_cache_taken"), >, 500);
    g_assert_cmpuint(count_words(first, "cxl_cache_fault"), >, 50);
    check_same(first, again);
    g_assert_cmpstr(first, !=, other);
}

int main(int argc, char **argv)
{
    static const Traced traced[] = {
        { "same-trace", 1 },
        { "same-trace/cpus", 2 },
        { "same-trace/agents", 2, true },
    };
    static const struct {
        const char *name;
        void (*run)(const void *accel);
    } cases[] = {
        { "stale", test_stale },
        { "no-snoop", test_no_snoop },
        { "atomics", test_atomics },
        { "neighbours", test_neighbours },
        { "code", test_code },
        { "llc", test_llc },
        { "hang", test_hang },
        { "hang-reset", test_hang_reset },
    };
    /* Each by name, and by what starts with -accel's argument */
    static const struct {
        const char *name;
        const char *accel;
    } accels[] = {
        { "tcg", "tcg" },
        { "kvm", "kvm" },
        { "tcg-timed", "tcg" TIMED },
        { "tcg-timed-icount", "tcg,thread=single -icount shift=3" TIMED },
    };
    int ret;

    g_test_init(&argc, &argv, NULL);
    bios_file = vcpu_bios_new();
    for (int i = 0; i < ARRAY_SIZE(accels); i++) {
        for (int j = 0; j < ARRAY_SIZE(cases); j++) {
            g_autofree char *path = g_strdup_printf("/cxl-cache/accel/%s/%s",
                                                    accels[i].name,
                                                    cases[j].name);

            qtest_add_data_func(path, accels[i].accel, cases[j].run);
        }
    }
    for (int i = 0; i < ARRAY_SIZE(traced); i++) {
        g_autofree char *path = g_strdup_printf("/cxl-cache/accel/icount/%s",
                                                traced[i].name);

        qtest_add_data_func(path, &traced[i], test_same_trace);
    }
    ret = g_test_run();
    g_unlink(bios_file);
    g_free(bios_file);
    return ret;
}
