/*
 * QTest testcase for the encrypted alias of RAM (-device cxl-cbit-alias)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Which line is cached, and which one leaves, is the model's business
 * (test-cxl-cache-alias). Here it is whether CPUs, the CXL.cache device and DMA
 * see what "tag-coherence" says, whether what is not what it should be is in
 * the list of pairs, and whether RAM holds what libcrypto, asked by this test,
 * says that it should.
 *
 * CPUs' accesses are made by the alias' registers, and by two vCPUs under TCG.
 * The test's own are DMA for the machine.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include <glib/gstdio.h>
#include <openssl/evp.h>
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/pci-pc.h"
#include "hw/cxl/cxl_cbit_alias_regs.h"
#include "hw/pci/pci_regs.h"
#include "cxl-cache-testdev.h"
#include "cxl-cache-vcpu.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"

#define RAM_SIZE    (128 * MiB)
#define A           (16 * MiB)
#define BIT         39
#define ENCRYPTED   (1ull << BIT)
#define SLOT        5
#define BAR         0xf1000000u
#define KEY         "a key"
#define NUM_CPUS    2

#define ALIAS       "-device cxl-cbit-alias,bus=pcie.0,addr=5,key=\"" KEY "\","
#define DEVICE      QCXL_PXB QCXL_RP ",cxl-cache=on " \
                    "-device cxl-cache-testdev,bus=rp0,id=t0 "

typedef struct Machine {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *alias;
    Dev dev;
    uint8_t *ram;
    uint32_t cpu;
    uint32_t asid;
} Machine;

/* ---- Machines ---- */

static void map_alias(Machine *m)
{
    m->bus = qpci_new_pc(m->qts, NULL);
    m->alias = qpci_device_find(m->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(m->alias);
    g_assert_cmphex(qpci_config_readw(m->alias, PCI_DEVICE_ID), ==,
                    CXL_CBIT_ALIAS_DEVICE_ID);
    qpci_config_writel(m->alias, PCI_BASE_ADDRESS_0, BAR);
    qpci_device_enable(m->alias);
    g_assert_cmphex(qtest_readl(m->qts, BAR + CBR_MAGIC), ==, CBR_MAGIC_VALUE);
}

/* Returns: false, and the test is skipped, where lines are not kept */
static bool machine_start(Machine *m, const char *options)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults -smp %d " QCXL_MACHINE QCXL_SHARED_RAM
                         ALIAS "bit=%d,%s " DEVICE, NUM_CPUS, BIT, options);
    map_alias(m);
    dev_start(&m->dev, m->qts, 0);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    if (request(&m->dev, CXL_CACHE_RD_OWN, A).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
        munmap(m->ram, RAM_SIZE);
        dev_end(&m->dev);
        g_free(m->alias);
        qpci_free_pc(m->bus);
        qtest_quit(m->qts);
        return false;
    }
    evict(&m->dev, A);
    return true;
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    dev_end(&m->dev);
    g_free(m->alias);
    qpci_free_pc(m->bus);
    qtest_quit(m->qts);
}

/* ---- CPUs ---- */

static uint64_t counter(Machine *m, uint32_t reg)
{
    return qtest_readq(m->qts, BAR + reg);
}

static void set_asid(Machine *m, uint32_t asid)
{
    if (asid != m->asid) {
        qtest_writel(m->qts, BAR + CBR_ASID, asid);
        m->asid = asid;
    }
}

static void cpu_do(Machine *m, uint32_t cpu, uint32_t what, uint64_t addr,
                   uint64_t data)
{
    const uint64_t regs[] = { cpu_to_le64(addr), cpu_to_le64(data) };

    if (cpu != m->cpu) {
        qtest_writel(m->qts, BAR + CBR_CPU, cpu);
        m->cpu = cpu;
    }
    qtest_memwrite(m->qts, BAR + CBR_ADDR, regs, sizeof(regs));
    qtest_writel(m->qts, BAR + CBR_COMMAND, what);
}

static uint64_t cpu_load(Machine *m, uint32_t cpu, uint64_t addr)
{
    cpu_do(m, cpu, CBR_LOAD, addr, 0);
    return qtest_readq(m->qts, BAR + CBR_DATA);
}

static void cpu_store(Machine *m, uint32_t cpu, uint64_t addr, uint64_t data)
{
    cpu_do(m, cpu, CBR_STORE, addr, data);
}

static void flush_all(Machine *m)
{
    for (int cpu = 0; cpu < NUM_CPUS; cpu++) {
        cpu_do(m, cpu, CBR_WBINVD, 0, 0);
    }
}

/* ---- libcrypto's word ---- */

static void derive(uint32_t asid, uint8_t *key)
{
    uint8_t text[128];
    size_t len = sizeof("cxl-cbit-alias");

    memcpy(text, "cxl-cbit-alias", len);
    memcpy(text + len, KEY, sizeof(KEY));
    len += sizeof(KEY);
    stl_le_p(text + len, asid);
    g_assert_true(EVP_Digest(text, len + 4, key, NULL, EVP_sha512(), NULL));
}

static EVP_CIPHER_CTX *cipher_of(uint32_t asid, bool encrypt)
{
    static EVP_CIPHER_CTX *ctx[8][2];

    g_assert_cmpuint(asid, <, ARRAY_SIZE(ctx));
    if (!ctx[asid][encrypt]) {
        uint8_t key[64];

        derive(asid, key);
        ctx[asid][encrypt] = EVP_CIPHER_CTX_new();
        g_assert_true(EVP_CipherInit_ex(ctx[asid][encrypt], EVP_aes_256_xts(),
                                        NULL, key, NULL, encrypt));
    }
    return ctx[asid][encrypt];
}

static void xts(uint32_t asid, uint64_t addr, const uint8_t *in, uint8_t *out,
                bool encrypt)
{
    EVP_CIPHER_CTX *ctx = cipher_of(asid, encrypt);
    uint8_t tweak[16] = { };
    int len;

    stq_le_p(tweak, addr);
    g_assert_true(EVP_CipherInit_ex(ctx, NULL, NULL, NULL, tweak, -1));
    g_assert_true(EVP_CipherUpdate(ctx, out, &len, in, LINE));
    g_assert_cmpint(len, ==, LINE);
}

/* RAM holds @text, encrypted */
#define assert_encrypted(m, asid, addr, text)                           \
    do {                                                                \
        uint8_t cipher_[LINE];                                          \
                                                                        \
        xts(asid, addr, text, cipher_, true);                           \
        g_assert_cmpmem((m)->ram + (addr), LINE, cipher_, LINE);        \
    } while (0)

/* ---- The monitor ---- */

static QDict *query(Machine *m)
{
    return qtest_qmp_assert_success_ref(m->qts,
                                        "{'execute': 'x-query-cxl-aliases'}");
}

/* The pairs of the line; what they were, where there is one */
static unsigned pairs_of(QDict *info, uint64_t addr, const char **other)
{
    const QListEntry *e;
    unsigned n = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "pairs"), e) {
        QDict *p = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(p, "address") == addr) {
            n++;
            *other = qdict_get_str(p, "other");
        }
    }
    return n;
}

/* ---- What is in RAM ---- */

/* Each ASID's stores are in RAM as libcrypto has them, when they get there. */
static void test_ciphertext(void)
{
    uint8_t text[LINE], cipher[LINE];
    const uint8_t zero[LINE] = { };
    Machine m;

    if (!machine_start(&m, "tag-coherence=off")) {
        return;
    }
    for (uint32_t asid = 0; asid < 4; asid++) {
        uint64_t addr = A + asid * PAGE + LINE;

        fill(text, asid);
        set_asid(&m, asid);
        for (int i = 0; i < LINE; i += 8) {
            cpu_store(&m, i / 8 % 2, ENCRYPTED + addr + i, ldq_le_p(text + i));
        }
        g_assert_cmpmem(m.ram + addr, LINE, zero, LINE);
        for (int i = 0; i < LINE; i += 8) {
            g_assert_cmphex(cpu_load(&m, 0, ENCRYPTED + addr + i), ==,
                            ldq_le_p(text + i));
        }
        cpu_do(&m, 1, CBR_CLFLUSH, ENCRYPTED + addr, 0);
        assert_encrypted(&m, asid, addr, text);

        /* The plain address shows just that, and so does the other ASID. */
        for (int i = 0; i < LINE; i += 8) {
            g_assert_cmphex(cpu_load(&m, 0, addr + i), ==,
                            ldq_le_p(m.ram + addr + i));
        }
        set_asid(&m, asid + 1);
        xts(asid + 1, addr, m.ram + addr, cipher, false);
        g_assert_cmphex(cpu_load(&m, 0, ENCRYPTED + addr), ==,
                        ldq_le_p(cipher));
    }
    g_assert_cmpuint(counter(&m, CBR_MISSED), ==, 0);
    machine_end(&m);
}

/* A device that uses the encrypted address encrypts, of any length. */
static void test_dma(void)
{
    uint8_t text[5 * LINE], back[5 * LINE];
    Machine m;

    if (!machine_start(&m, "tag-coherence=off")) {
        return;
    }
    for (int i = 0; i < sizeof(text); i++) {
        text[i] = i * 11 + i / 64;
    }
    set_asid(&m, 3);
    qtest_memwrite(m.qts, ENCRYPTED + A, text, sizeof(text));
    for (int i = 0; i < 5; i++) {
        assert_encrypted(&m, 3, A + i * LINE, text + i * LINE);
    }
    memset(text + 13, 0x5a, 150);
    qtest_memwrite(m.qts, ENCRYPTED + A + 13, text + 13, 150);
    qtest_memread(m.qts, ENCRYPTED + A, back, sizeof(back));
    g_assert_cmpmem(text, sizeof(text), back, sizeof(back));
    qtest_memread(m.qts, ENCRYPTED + A + 7, back, 99);
    g_assert_cmpmem(text + 7, 99, back, 99);

    /* It finds a CPU's line of its own context, and no other. */
    cpu_store(&m, 0, ENCRYPTED + A, 0x1122334455667788);
    g_assert_cmphex(qtest_readq(m.qts, ENCRYPTED + A), ==, 0x1122334455667788);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 0);

    /* Where no RAM is, nothing is. */
    g_assert_cmphex(qtest_readq(m.qts, ENCRYPTED + 2 * GiB), ==, 0);
    qtest_writeq(m.qts, ENCRYPTED + 2 * GiB, 1);
    cpu_do(&m, 0, CBR_LOAD, ENCRYPTED + 2 * GiB, 7);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_RESULT), ==, 1);
    cpu_do(&m, 0, CBR_STORE, A + 4, 7);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_RESULT), ==, 1);
    machine_end(&m);
}

/* ---- Who finds what ---- */

/*
 * CVE-2022-0171: the page of an encrypted guest goes to the host, whose device
 * writes it; what the guest's CPU still has is written back over that. With
 * "cpu" as with "off", unless it is flushed before; with "all" never.
 */
static void test_page_goes_to_device(const void *opaque)
{
    const char *mode = opaque;
    bool safe = g_str_equal(mode, "all");
    g_autofree char *options = g_strdup_printf("tag-coherence=%s", mode);
    Machine m;
    Dev *d = &m.dev;

    if (!machine_start(&m, options)) {
        return;
    }
    for (int flush = 0; flush < 2; flush++) {
        uint64_t addr = A + flush * PAGE;
        g_autoptr(QDict) info = NULL;
        const char *other = NULL;

        cpu_store(&m, 1, ENCRYPTED + addr, 0x5ec2e7);
        if (flush) {
            qtest_writeq(m.qts, BAR + CBR_PAGE_FLUSH, addr | 0);
        }
        make_m(d, addr, 7);
        evict(d, addr);
        assert_version(m.ram + addr, 7);
        flush_all(&m);
        if (safe || flush) {
            assert_version(m.ram + addr, 7);
        } else {
            uint8_t text[LINE] = { };

            /* What the line was fetched from was all zeroes. */
            xts(0, addr, text, text, false);
            stq_le_p(text, 0x5ec2e7);
            assert_encrypted(&m, 0, addr, text);
        }
        info = query(&m);
        g_assert_cmpuint(pairs_of(info, addr, &other), ==,
                         safe || flush ? 0 : 1);
        if (!safe && !flush) {
            g_assert_cmpstr(other, ==, "device");
            g_assert_cmpuint(counter(&m, CBR_OVERWRITTEN), ==, 1);
        }
    }
    /* The same of a device that does not know of CXL.cache */
    cpu_store(&m, 0, ENCRYPTED + A + 2 * PAGE, 1);
    qtest_writeq(m.qts, A + 2 * PAGE, 0x1234);
    flush_all(&m);
    g_assert_cmpint(ldq_le_p(m.ram + A + 2 * PAGE) == 0x1234, ==, safe);
    /* And of a device that reads */
    cpu_store(&m, 0, ENCRYPTED + A + 3 * PAGE, 1);
    g_assert_cmpint(request(d, CXL_CACHE_RD_CURR, A + 3 * PAGE).data[0] != 0,
                    ==, safe);
    machine_end(&m);
}

/* The device has it, a CPU stores by the other address: later wins, or not. */
static void test_device_has_line(const void *opaque)
{
    const char *mode = opaque;
    bool safe = g_str_equal(mode, "all");
    g_autofree char *options = g_strdup_printf("tag-coherence=%s", mode);
    uint8_t text[LINE];
    Machine m;
    Dev *d = &m.dev;

    if (!machine_start(&m, options)) {
        return;
    }
    make_m(d, A, 3);
    cpu_store(&m, 0, ENCRYPTED + A, 42);
    g_assert_cmpuint(line_state(d, A), ==, safe ? CCT_STATE_I : CCT_STATE_M);
    flush_all(&m);
    if (safe) {
        fill(text, 3);
        xts(0, A, text, text, false);
        stq_le_p(text, 42);
        assert_encrypted(&m, 0, A, text);
    } else {
        evict(d, A);
        assert_version(m.ram + A, 3);
        g_assert_cmpuint(counter(&m, CBR_PAIRS), ==, 1);
    }
    /* A CPU's plain access finds the device's line, whatever the mode. */
    make_m(d, A + LINE, 4);
    fill(text, 4);
    g_assert_cmphex(cpu_load(&m, 0, A + LINE), ==, ldq_le_p(text));
    cpu_store(&m, 1, A + LINE, 9);
    g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_I);
    g_assert_cmphex(ldq_le_p(request(d, CXL_CACHE_RD_SHARED,
                                     A + LINE).data), ==, 9);
    /* A device that does not read what it gets finds lines as well. */
    flush_all(&m);
    cpu_store(&m, 0, ENCRYPTED + A + 2 * LINE, 1);
    request(d, CXL_CACHE_RD_OWN_NO_DATA, A + 2 * LINE);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, safe ? 0 : 1);
    machine_end(&m);
}

/* ---- What flushes cost ---- */

static void test_flush(void)
{
    g_autoptr(QDict) info = NULL;
    Machine m;

    if (!machine_start(&m, "tag-coherence=off")) {
        return;
    }
    for (int i = 0; i < 10; i++) {
        cpu_store(&m, 0, ENCRYPTED + A + i * LINE, i);
        cpu_store(&m, 1, ENCRYPTED + A + PAGE + i * LINE, i);
        cpu_load(&m, 1, ENCRYPTED + A + 2 * PAGE + i * LINE);
    }
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 30);
    cpu_do(&m, 0, CBR_WBINVD, 0, 0);
    g_assert_cmpuint(counter(&m, CBR_SCANNED), ==, 10);
    g_assert_cmpuint(counter(&m, CBR_NEEDED), ==, 10);
    g_assert_cmphex(ldq_le_p(m.ram + A + PAGE), ==, 0);
    g_assert_cmphex(ldq_le_p(m.ram + A), !=, 0);
    cpu_do(&m, 1, CBR_WBNOINVD, 0, 0);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 20);
    g_assert_cmphex(ldq_le_p(m.ram + A + PAGE), !=, 0);
    g_assert_cmpuint(counter(&m, CBR_NEEDED), ==, 20);
    g_assert_cmpuint(counter(&m, CBR_WASTED), ==, 10);
    /* Of another ASID there is nothing in the page. */
    qtest_writeq(m.qts, BAR + CBR_PAGE_FLUSH, (A + PAGE) | 1);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 20);
    qtest_writeq(m.qts, BAR + CBR_PAGE_FLUSH, A + PAGE);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 10);
    cpu_do(&m, 0, CBR_CLFLUSH, A + 2 * PAGE, 0);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 10);
    cpu_do(&m, 0, CBR_CLFLUSH, ENCRYPTED + A + 2 * PAGE, 0);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 9);
    g_assert_cmpuint(counter(&m, CBR_SCANNED), ==, 10 + 20 + 2 * 64 + 2);
    g_assert_cmpuint(counter(&m, CBR_FLUSHED), ==, 10 + 20 + 10 + 1);

    info = query(&m);
    g_assert_cmpint(qdict_get_int(info, "bit"), ==, BIT);
    g_assert_cmpstr(qdict_get_str(info, "tag-coherence"), ==, "off");
    g_assert_cmpint(qdict_get_int(info, "lines"), ==, 9);
    g_assert_cmpint(qdict_get_int(info, "scanned"), ==,
                    counter(&m, CBR_SCANNED));
    g_assert_cmpint(qdict_get_int(info, "needed"), ==,
                    counter(&m, CBR_NEEDED));
    g_assert_cmpint(qdict_get_int(info, "wasted"), ==,
                    counter(&m, CBR_WASTED));
    g_assert_cmpint(qdict_get_int(info, "missed"), ==, 0);

    /* After a reset nothing is left, and nothing is written back. */
    cpu_store(&m, 0, ENCRYPTED + A + 3 * PAGE, 1);
    qtest_system_reset(m.qts);
    qpci_config_writel(m.alias, PCI_BASE_ADDRESS_0, BAR);
    qpci_device_enable(m.alias);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 0);
    g_assert_cmpuint(counter(&m, CBR_SCANNED), ==, 0);
    g_assert_cmphex(ldq_le_p(m.ram + A + 3 * PAGE), ==, 0);
    machine_end(&m);
}

/* Outside "watch" no line is cached. */
static void test_watch(void)
{
    uint8_t text[LINE] = { };
    Machine m;

    if (!machine_start(&m, "watch=0x1000000-0x1000fff")) {
        return;
    }
    cpu_store(&m, 0, ENCRYPTED + A, 1);
    g_assert_cmphex(ldq_le_p(m.ram + A), ==, 0);
    cpu_store(&m, 0, ENCRYPTED + A + PAGE, 1);
    xts(0, A + PAGE, text, text, false);
    stq_le_p(text, 1);
    assert_encrypted(&m, 0, A + PAGE, text);
    cpu_load(&m, 0, A + PAGE);
    g_assert_cmpuint(qtest_readl(m.qts, BAR + CBR_LINES), ==, 1);
    machine_end(&m);
}

/* ---- vCPUs, to be told what to do ---- */

#define CODE            (15 * MiB)

/* They are without paging: the bit is one of theirs. */
#define ENCRYPTED_32    (1u << 31)

/* The CPU executes some instructions, and returns. */
static void vcpu_run(Machine *m, int cpu, const void *code, size_t len)
{
    static unsigned runs;
    uint64_t at = CODE + runs++ % 64 * LINE;
    uint8_t line[LINE];

    memset(line, 0x90, LINE);
    memcpy(line, code, len);
    line[LINE - 1] = 0xc3;
    qtest_memwrite(m->qts, at, line, LINE);
    vcpu_do(m->qts, cpu, CALL, at, 0, 1);
}

static void vcpu_clflush(Machine *m, int cpu, uint32_t addr)
{
    /* mov $addr, %eax; clflush (%eax) */
    uint8_t code[] = { 0xb8, 0, 0, 0, 0, 0x0f, 0xae, 0x38 };

    stl_le_p(code + 1, addr);
    vcpu_run(m, cpu, code, sizeof(code));
}

static const uint8_t insn_wbinvd[] = { 0x0f, 0x09 };
static const uint8_t insn_wbnoinvd[] = { 0xf3, 0x0f, 0x09 };

static uint32_t vcpu_load_word(Machine *m, int cpu, uint32_t addr)
{
    vcpu_do(m->qts, cpu, LOAD_LINE, addr, 0, 0);
    return qtest_readl(m->qts, BOX(cpu) + BOX_LINE);
}

static void vcpu_store_word(Machine *m, int cpu, uint32_t addr, uint32_t value)
{
    vcpu_do(m->qts, cpu, STORE_WORD, addr, value, 0);
}

/* Returns: false, and the test is skipped, where vCPUs do not run */
static bool vcpus_start(Machine *m, const char *options)
{
    g_autofree char *bios = NULL;

    *m = (Machine) { };
    if (!qtest_has_accel("tcg")) {
        g_test_skip("vCPUs run under TCG alone");
        return false;
    }
    bios = vcpu_bios_new();
    m->qts = qtest_initf("-accel tcg,thread=single -nodefaults -smp %d "
                         "-cpu max " QCXL_MACHINE QCXL_SHARED_RAM "-bios %s "
                         "%s " DEVICE, NUM_CPUS, bios, options);
    g_assert_true(vcpus_alive(m->qts, NUM_CPUS, VCPU_TIMEOUT_US));
    g_unlink(bios);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
    return true;
}

/* ---- At random ---- */

/*
 * Lines at A. Of the first ones each is used in one context alone, or by the
 * plain address alone; the others by everybody.
 */
#define LINES       96
#define ONE_ASID    16
#define ONLY_PLAIN  32
#define ASIDS       2
#define STEPS       100000

/*
 * @device: it takes part, and DMA; @vcpus: CPUs' accesses are by instructions,
 * else by the alias' registers; @bit: of encrypted addresses
 */
typedef struct World {
    Machine m;
    GRand *rand;
    bool device;
    bool vcpus;
    uint64_t bit;
    uint8_t raw[LINES][LINE];
    bool wrong[LINES];
    uint64_t wrong_loads;
} World;

static void check_load(World *w, unsigned line, const void *seen,
                       const void *expected, unsigned len)
{
    if (memcmp(seen, expected, len)) {
        w->wrong[line] = true;
        w->wrong_loads++;
    }
}

/* Single words (qtest_readq()) are not announced to who watches DMA. */
static uint64_t dma_load(Machine *m, uint64_t addr)
{
    uint64_t value;

    qtest_memread(m->qts, addr, &value, sizeof(value));
    return le64_to_cpu(value);
}

static uint64_t world_load(World *w, uint32_t cpu, uint64_t addr)
{
    uint8_t line[LINE];

    if (!w->vcpus) {
        return cpu_load(&w->m, cpu, addr);
    }
    vcpu_load(w->m.qts, cpu, QEMU_ALIGN_DOWN(addr, LINE), line);
    return ldq_le_p(line + addr % LINE);
}

static void world_store(World *w, uint32_t cpu, uint64_t addr, uint64_t value)
{
    if (w->vcpus) {
        vcpu_store_word(&w->m, cpu, addr, value);
        vcpu_store_word(&w->m, cpu, addr + 4, value >> 32);
    } else {
        cpu_store(&w->m, cpu, addr, value);
    }
}

static void encrypted_access(World *w, unsigned line, unsigned word, bool dma,
                             bool write)
{
    uint32_t asid = line < ONE_ASID ? 1 : g_rand_int_range(w->rand, 1,
                                                           1 + ASIDS);
    uint64_t addr = A + line * LINE, at = w->bit + addr + word * 8;
    uint64_t value = g_rand_int(w->rand) * 0x100000001ull, seen;
    uint32_t cpu = g_rand_int_range(w->rand, 0, NUM_CPUS);
    uint8_t text[LINE];

    set_asid(&w->m, asid);
    xts(asid, addr, w->raw[line], text, false);
    if (!write) {
        seen = cpu_to_le64(dma ? dma_load(&w->m, at) :
                                 world_load(w, cpu, at));
        check_load(w, line, &seen, text + word * 8, 8);
        return;
    }
    if (dma) {
        qtest_writeq(w->m.qts, at, value);
    } else {
        world_store(w, cpu, at, value);
    }
    stq_le_p(text + word * 8, value);
    xts(asid, addr, text, w->raw[line], true);
}

static void plain_access(World *w, unsigned line, unsigned word, bool dma,
                         bool write)
{
    uint64_t at = A + line * LINE + word * 8, seen;
    uint64_t value = g_rand_int(w->rand) * 0x100000001ull;
    uint32_t cpu = g_rand_int_range(w->rand, 0, NUM_CPUS);

    if (!write) {
        seen = cpu_to_le64(dma ? dma_load(&w->m, at) :
                                 world_load(w, cpu, at));
        check_load(w, line, &seen, w->raw[line] + word * 8, 8);
        return;
    }
    if (dma) {
        qtest_writeq(w->m.qts, at, value);
    } else {
        world_store(w, cpu, at, value);
    }
    stq_le_p(w->raw[line] + word * 8, value);
}

/* What the device has, it keeps, until somebody asks for it or it has to go. */
static void device_access(World *w, unsigned line, unsigned word, bool write)
{
    Dev *d = &w->m.dev;
    uint64_t addr = A + line * LINE;
    uint32_t state = line_state(d, addr);
    uint8_t data[LINE];

    if (!write) {
        Result r = state == CCT_STATE_I ?
                   request(d, CXL_CACHE_RD_SHARED, addr) :
                   line_op(d, CCT_DO_LINE_READ, addr);

        g_assert_cmpint(r.ret, ==, OK);
        check_load(w, line, r.data, w->raw[line], LINE);
        return;
    }
    if (state == CCT_STATE_S) {
        evict(d, addr);
    }
    if (state == CCT_STATE_S || state == CCT_STATE_I) {
        request(d, CXL_CACHE_RD_OWN, addr);
    }
    for (int i = 0; i < LINE; i += 4) {
        stl_le_p(data + i, g_rand_int(w->rand));
    }
    g_assert_cmpint(operate(d, CCT_DO_LINE_WRITE, 0, 0, addr,
                            0xffull << (8 * word), data).ret, ==, OK);
    memcpy(w->raw[line] + word * 8, data + word * 8, 8);
}

static void one_step(World *w)
{
    unsigned line = g_rand_int_range(w->rand, 0, LINES);
    unsigned word = g_rand_int_range(w->rand, 0, LINE / 8);
    bool write = g_rand_boolean(w->rand);
    bool dma = w->device && g_rand_int_range(w->rand, 0, 4) == 0;
    bool device = w->device && g_rand_int_range(w->rand, 0, 3) == 0;

    if (line < ONE_ASID) {
        encrypted_access(w, line, word, dma, write);
    } else if (device) {
        device_access(w, line, word, write);
    } else if (line < ONLY_PLAIN || g_rand_boolean(w->rand)) {
        plain_access(w, line, word, dma, write);
    } else {
        encrypted_access(w, line, word, dma, write);
    }
}

static void world_start(World *w)
{
    for (int line = 0; line < LINES; line++) {
        fill(w->raw[line], line);
    }
    qtest_memwrite(w->m.qts, A, w->raw, sizeof(w->raw));
}

static unsigned steps(void)
{
    const char *n = getenv("CXL_CBIT_ALIAS_STEPS");

    return n ? atoi(n) : STEPS;
}

/* Everything goes to RAM, which is compared. Returns: bytes that are wrong */
static unsigned count_wrong(World *w)
{
    unsigned n = 0;

    flush(&w->m.dev);
    flush_all(&w->m);
    for (unsigned i = 0; i < sizeof(w->raw); i++) {
        if (w->m.ram[A + i] != ((uint8_t *)w->raw)[i]) {
            w->wrong[i / LINE] = true;
            n++;
        }
    }
    return n;
}

/*
 * Coherent: no byte is wrong, and nothing is in the list. "cpu" is, as long as
 * there are CPUs alone.
 */
static void stay_coherent(World *w, unsigned n)
{
    w->rand = g_rand_new_with_seed(3);
    world_start(w);
    for (unsigned i = 0; i < n; i++) {
        one_step(w);
    }
    g_assert_cmpuint(w->wrong_loads, ==, 0);
    g_assert_cmpuint(counter(&w->m, CBR_WRITE_BACKS), >, n / 20);
    g_assert_cmpuint(count_wrong(w), ==, 0);
    g_assert_cmpuint(counter(&w->m, CBR_MISSED), ==, 0);
    g_assert_cmpuint(counter(&w->m, CBR_PAIRS), ==, 0);
    g_test_message("%u operations, no wrong byte", n);
    machine_end(&w->m);
    g_rand_free(w->rand);
}

static void test_coherent(const void *opaque)
{
    const char *mode = opaque;
    g_autofree char *options =
        g_strdup_printf("tag-coherence=%s,lines=48", mode);
    World w = { .device = g_str_equal(mode, "all"), .bit = ENCRYPTED };

    if (machine_start(&w.m, options)) {
        stay_coherent(&w, w.device ? steps() : steps() / 10);
    }
}

/* On a link with time, below a cache that takes lines from the device */
static void test_coherent_timed(void)
{
    World w = { .device = true, .bit = ENCRYPTED };

    if (machine_start(&w.m, "tag-coherence=all,lines=48 "
                      "-object cxl-host-llc,id=llc0,size=4K,ways=4,slices=2,"
                      "hash=linear,inclusive=on "
                      "-global cxl-rp.cxl-cache-latency=500 "
                      "-global cxl-rp.x-jitter=5")) {
        stay_coherent(&w, steps() / 20);
    }
}

/* The same, with instructions of two vCPUs */
static void test_coherent_vcpus(void)
{
    World w = { .device = true, .vcpus = true, .bit = ENCRYPTED_32 };

    if (!vcpus_start(&w.m, ALIAS "bit=31,tag-coherence=all,lines=48")) {
        return;
    }
    map_alias(&w.m);
    dev_start(&w.m.dev, w.m.qts, 0);
    if (request(&w.m.dev, CXL_CACHE_RD_OWN, A).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
        machine_end(&w.m);
        return;
    }
    evict(&w.m.dev, A);
    stay_coherent(&w, getenv("CXL_CBIT_ALIAS_STEPS") ? steps() : steps() / 50);
}

/*
 * Not coherent, nothing is flushed: bytes are wrong, and each of them is of a
 * line in the list. What has been used in one context alone is neither.
 */
static void test_incoherent(const void *opaque)
{
    const char *mode = opaque;
    g_autofree char *options =
        g_strdup_printf("tag-coherence=%s,lines=48", mode);
    World w = { .device = true, .bit = ENCRYPTED };
    unsigned n = steps() / 10, wrong, wrong_lines = 0;
    g_autoptr(QDict) info = NULL;

    if (!machine_start(&w.m, options)) {
        return;
    }
    w.rand = g_rand_new_with_seed(4);
    world_start(&w);
    for (unsigned i = 0; i < n; i++) {
        one_step(&w);
    }
    wrong = count_wrong(&w);
    info = query(&w.m);
    for (unsigned line = 0; line < LINES; line++) {
        const char *other;
        unsigned pairs = pairs_of(info, A + line * LINE, &other);

        if (w.wrong[line]) {
            g_assert_cmpuint(pairs, >, 0);
            wrong_lines++;
        }
        if (line < ONLY_PLAIN) {
            g_assert_false(w.wrong[line]);
            g_assert_cmpuint(pairs, ==, 0);
        }
    }
    g_assert_cmpuint(wrong, >, 0);
    g_assert_cmpuint(w.wrong_loads, >, 0);
    g_assert_cmpint(qdict_get_int(info, "missed"), >, 0);
    g_assert_cmpint(qdict_get_int(info, "pairs-lost"), ==, 0);
    g_test_message("%u operations: %u bytes of RAM are wrong, %" PRIu64
                   " loads were; %u lines, all in the list", n, wrong,
                   w.wrong_loads, wrong_lines);
    machine_end(&w.m);
    g_rand_free(w.rand);
}

/* ---- vCPUs ---- */

/* A last-level cache alone: flushes of vCPUs take its lines from a device. */
static void test_llc(void)
{
    Machine m;
    Dev *d = &m.dev;

    if (!vcpus_start(&m, "-object cxl-host-llc,id=llc0,size=64K,ways=8,"
                         "slices=2,hash=linear,inclusive=on")) {
        return;
    }
    dev_start(d, m.qts, 0);
    if (request(d, CXL_CACHE_RD_OWN, A).state != CCT_STATE_E) {
        g_test_skip("lines are not kept on this host");
    } else {
        evict(d, A);
        make_m(d, A, 1);
        make_m(d, A + LINE, 2);
        vcpu_clflush(&m, 1, A + 7);
        g_assert_cmpuint(line_state(d, A), ==, CCT_STATE_I);
        assert_version(m.ram + A, 1);
        vcpu_run(&m, 0, insn_wbnoinvd, sizeof(insn_wbnoinvd));
        g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_M);
        vcpu_run(&m, 0, insn_wbinvd, sizeof(insn_wbinvd));
        g_assert_cmpuint(line_state(d, A + LINE), ==, CCT_STATE_I);
        assert_version(m.ram + A + LINE, 2);
    }
    munmap(m.ram, RAM_SIZE);
    dev_end(d);
    qtest_quit(m.qts);
}

/* Code that is written back is what is executed. */
static void run_written_back(Machine *m)
{
    const uint64_t at = CODE + PAGE;
    uint8_t code[LINE], text[LINE];

    memset(code, 0x90, LINE);
    code[0] = 0xb8;
    code[LINE - 1] = 0xc3;
    for (uint32_t v = 1; v < 4; v++) {
        stl_le_p(code + 1, v);
        xts(0, at, code, text, false);
        for (int i = 0; i < LINE; i += 4) {
            vcpu_store_word(m, 0, ENCRYPTED_32 + at + i, ldl_le_p(text + i));
        }
        vcpu_clflush(m, 0, at);
        vcpu_clflush(m, 0, ENCRYPTED_32 + at);
        vcpu_do(m->qts, 0, CALL, at, 0, 1);
        g_assert_cmpuint(qtest_readl(m->qts, BOX(0) + BOX_VALUE), ==, v);
    }
}

/* Instructions of real vCPUs: plain and encrypted, and each kind of flush */
static void test_vcpus(void)
{
    uint8_t text[LINE] = { };
    Machine m;

    if (!vcpus_start(&m, ALIAS "bit=31,tag-coherence=off")) {
        return;
    }
    map_alias(&m);
    xts(0, A, text, text, false);
    stl_le_p(text, 0x600d);

    for (int how = 0; how < 4; how++) {
        uint64_t misses = counter(&m, CBR_MISSED);

        memset(m.ram + A, 0, LINE);
        vcpu_store_word(&m, 0, ENCRYPTED_32 + A, 0x600d);
        g_assert_cmphex(ldl_le_p(m.ram + A), ==, 0);
        g_assert_cmphex(vcpu_load_word(&m, 0, ENCRYPTED_32 + A), ==, 0x600d);
        /* Another CPU's flush of all is of its own lines. */
        vcpu_run(&m, 1, insn_wbinvd, sizeof(insn_wbinvd));
        vcpu_clflush(&m, 1, A);
        g_assert_cmphex(ldl_le_p(m.ram + A), ==, 0);
        switch (how) {
        case 0:
            vcpu_run(&m, 0, insn_wbinvd, sizeof(insn_wbinvd));
            break;
        case 1:
            vcpu_run(&m, 0, insn_wbnoinvd, sizeof(insn_wbnoinvd));
            break;
        default:
            vcpu_clflush(&m, how == 2, ENCRYPTED_32 + A + 60);
            break;
        }
        assert_encrypted(&m, 0, A, text);
        g_assert_cmpuint(counter(&m, CBR_MISSED), ==, misses);
        g_assert_cmphex(vcpu_load_word(&m, 1, A), ==, ldl_le_p(m.ram + A));
        g_assert_cmphex(vcpu_load_word(&m, 1, ENCRYPTED_32 + A), ==, 0x600d);
        vcpu_run(&m, 0, insn_wbinvd, sizeof(insn_wbinvd));
        vcpu_run(&m, 1, insn_wbinvd, sizeof(insn_wbinvd));
    }

    /* Both side by side: the plain store is written back later, and wins. */
    vcpu_store_word(&m, 0, ENCRYPTED_32 + A, 0xbad);
    vcpu_store_word(&m, 1, A, 0x70d);
    g_assert_cmphex(vcpu_load_word(&m, 1, ENCRYPTED_32 + A), ==, 0xbad);
    vcpu_clflush(&m, 0, ENCRYPTED_32 + A);
    g_assert_cmphex(vcpu_load_word(&m, 0, A), ==, 0x70d);
    vcpu_clflush(&m, 0, A);
    g_assert_cmphex(ldl_le_p(m.ram + A), ==, 0x70d);
    g_assert_cmpuint(counter(&m, CBR_OVERWRITTEN), ==, 1);
    g_assert_cmpuint(counter(&m, CBR_PAIRS), ==, 1);

    run_written_back(&m);
    munmap(m.ram, RAM_SIZE);
    g_free(m.alias);
    qpci_free_pc(m.bus);
    qtest_quit(m.qts);
}

/* ---- Options ---- */

static void assert_refused(const char *options, const char *why)
{
    g_autofree char *args = g_strdup_printf(QCXL_SHARED_RAM "-device "
        "cxl-cbit-alias,bus=pcie.0%s", options);

    qcxl_check_refused(args, why);
}

/* vCPUs that run side by side are no CPUs whose accesses it could see. */
static void assert_needs_one_thread(void)
{
    g_autofree char *line = g_strdup_printf(
        "%s -nodefaults -display none -accel tcg,thread=multi -machine q35 "
        "-device cxl-cbit-alias,bit=39", qtest_qemu_binary(NULL));
    g_auto(GStrv) argv = NULL;
    g_autofree char *err = NULL;
    int status;

    if (!qtest_has_accel("tcg")) {
        return;
    }
    g_assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
    g_assert_true(g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH |
                               G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL,
                               &err, &status, NULL));
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    g_assert_nonnull(strstr(err, "thread=single"));
}

static void test_options(void)
{
    assert_refused("", "'bit' must be given");
    assert_refused(",bit=11", "'bit' must be given");
    assert_refused(",bit=52", "'bit' must be given");
    assert_refused(",bit=40", "physical addresses of 40 bits");
    assert_refused(",bit=26", "there is RAM");
    assert_refused(",bit=39,lines=0", "'lines' must not be 0");
    assert_refused(",bit=39,watch=all", "'watch' takes");
    assert_refused(",bit=39,tag-coherence=some", "tag-coherence");
    assert_refused(",bit=39 -device cxl-cbit-alias,bus=pcie.0,bit=38",
                   "has a cxl-cbit-alias already");
    assert_needs_one_thread();
}

int main(int argc, char **argv)
{
    static const char *const modes[] = { "off", "cpu", "all" };
    static const struct {
        const char *name;
        void (*fn)(const void *);
    } each[] = {
        { "page-goes-to-device", test_page_goes_to_device },
        { "device-has-line", test_device_has_line },
    };

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cbit-alias/options", test_options);
    qtest_add_func("/cxl-cbit-alias/ciphertext", test_ciphertext);
    qtest_add_func("/cxl-cbit-alias/dma", test_dma);
    for (int i = 0; i < ARRAY_SIZE(each); i++) {
        for (int mode = 0; mode < ARRAY_SIZE(modes); mode++) {
            g_autofree char *path = g_strdup_printf("/cxl-cbit-alias/%s/%s",
                                                    each[i].name, modes[mode]);

            qtest_add_data_func(path, modes[mode], each[i].fn);
        }
    }
    qtest_add_func("/cxl-cbit-alias/flush", test_flush);
    qtest_add_func("/cxl-cbit-alias/watch", test_watch);
    qtest_add_func("/cxl-cbit-alias/vcpus", test_vcpus);
    qtest_add_func("/cxl-cbit-alias/llc", test_llc);
    qtest_add_data_func("/cxl-cbit-alias/incoherent/off", "off",
                        test_incoherent);
    qtest_add_data_func("/cxl-cbit-alias/incoherent/cpu", "cpu",
                        test_incoherent);
    qtest_add_data_func("/cxl-cbit-alias/coherent/cpu", "cpu", test_coherent);
    qtest_add_data_func("/cxl-cbit-alias/coherent/all", "all", test_coherent);
    qtest_add_func("/cxl-cbit-alias/coherent/timed", test_coherent_timed);
    qtest_add_func("/cxl-cbit-alias/coherent/vcpus", test_coherent_vcpus);
    return g_test_run();
}
