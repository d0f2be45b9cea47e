// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Benchmark for FEAT_MEC, bare metal, in Realm world
 *
 * Prints lines "name nanoseconds", each for a round, and "done".  See
 * mec-bench.S for how it gets here; the mode comes from the loader.
 */

#include <stdint.h>
#include <stddef.h>
#include "mec-bench.h"

#define PAGE            4096
#define KIB             1024
#define MIB             (1024 * KIB)

/* Addresses as seen at EL2 and EL1 */
#define UART            ((volatile uint32_t *)0x09000000)
#define MEMORY          0x44000000u     /* main memory as it is */
#define MEMORY_SIZE     (16 * MIB)
#define PAGED           0xc0000000u     /* the same, by 4 KiB pages */
#define ALTERNATE       0x80000000u     /* the same as 0x40000000, AMEC=1 */
#define REKEYED         0x46000000u
#define REKEYED_BLOCK   (REKEYED - 0x40000000u + ALTERNATE)
/* REKEYED as a monitor has it: a small page, AMEC=1; the last of PAGED */
#define SLOT            (PAGED + MEMORY_SIZE - PAGE)
#define BESIDE          1024            /* pages that are in the TLB as well */

#define read_reg(name) ({ uint64_t value_; \
    asm volatile("mrs %0, " name : "=r"(value_)); value_; })
#define write_reg(name, value) \
    asm volatile("msr " name ", %0" : : "r"((uint64_t)(value)) : "memory")
#define isb() asm volatile("isb" : : : "memory")
#define dsb() asm volatile("dsb sy" : : : "memory")

/* Samples of a run of re-keys */
#define CHUNKS          20

#define MECID_A0_EL2    "S3_4_C10_C8_1"
#define TCR2_EL2        "S3_4_C2_C0_3"
#define TCR2_AMEC0      (1 << 12)

enum {
    MODE_LOOPS,
    MODE_REKEY_STORE,
    MODE_REKEY_CLEAN,
    MODE_REKEY_BESIDE,
    MODE_WRITE_IDLE,
    MODE_WRITE_USED,
};

/* Descriptors, stage 1 and, in what matters here, 2 */
#define VALID           1
#define TABLE           3
#define LEAF            3
#define AF              (1 << 10)
#define SHARED          (3 << 8)
#define S1_DEVICE       (1 << 2)        /* attribute 1 */
#define S1_NS           (1 << 5)
#define S1_XN           (1ull << 54)
#define AMEC            (1ull << 63)
#define S2_NORMAL       (0xf << 2)
#define S2_DEVICE       (1 << 2)
#define S2_RW           (3 << 6)
#define S2_XN           (2ull << 53)
#define S2_NS           (1ull << 55)

static uint64_t s1_el2[512] __attribute__((aligned(PAGE)));
static uint64_t s1_el1[512] __attribute__((aligned(PAGE)));
static uint64_t s2[512] __attribute__((aligned(PAGE)));
static uint64_t middle[512] __attribute__((aligned(PAGE)));
static uint64_t leaves[MEMORY_SIZE / PAGE] __attribute__((aligned(PAGE)));

static const char *world;
static volatile uint64_t sink;

uint64_t call_el1(uint64_t (*function)(void), uint64_t sp);
void main(void);
void main_secondary(void);
void unexpected(uint64_t esr, uint64_t elr, uint64_t far);

static void put_char(char c)
{
    while (UART[6] & (1 << 5)) {
        /* transmit FIFO is full */
    }
    UART[0] = c;
}

static void put(const char *s)
{
    while (*s) {
        put_char(*s++);
    }
}

static void put_number(uint64_t value)
{
    char digits[24];
    int at = sizeof(digits);

    digits[--at] = 0;
    do {
        digits[--at] = '0' + value % 10;
        value /= 10;
    } while (value);
    put(digits + at);
}

static void put_hex(uint64_t value)
{
    for (int shift = 60; shift >= 0; shift -= 4) {
        put_char("0123456789abcdef"[(value >> shift) & 15]);
    }
}

void unexpected(uint64_t esr, uint64_t elr, uint64_t far)
{
    put("exception ");
    put_hex(esr);
    put_char(' ');
    put_hex(elr);
    put_char(' ');
    put_hex(far);
    put("\ndone\n");
    for (;;) {
        asm volatile("wfi");
    }
}

static uint64_t now(void)
{
    isb();
    return read_reg("cntpct_el0");
}

static uint64_t nanoseconds(uint64_t ticks)
{
    return ticks * (1000000000 / read_reg("cntfrq_el0"));
}

static void report(const char *name, uint64_t ns)
{
    put(world);
    put(name);
    put_char(' ');
    put_number(ns);
    put_char('\n');
}

/* The loops */

static void compute(void)
{
    uint64_t a = 1, b = 0;

    for (int i = 0; i < 6000000; i++) {
        a ^= a << 13;
        a ^= a >> 7;
        a ^= a << 17;
        if (a & 1) {
            b += a * 0x9e3779b97f4a7c15ull;
        } else {
            b ^= a;
        }
    }
    sink = b;
}

static void stream(void)
{
    uint64_t *from = (uint64_t *)(uintptr_t)MEMORY;
    uint64_t *to = from + MEMORY_SIZE / 16;

    for (int round = 0; round < 24; round++) {
        for (size_t i = 0; i < MEMORY_SIZE / 16; i += 4) {
            to[i] = from[i];
            to[i + 1] = from[i + 1];
            to[i + 2] = from[i + 2];
            to[i + 3] = from[i + 3] + 1;
        }
    }
}

/* Loads and stores all over the place, within what a TLB holds */
static void scatter(void)
{
    uint32_t at = 1;

    for (int i = 0; i < 8000000; i++) {
        at = at * 1664525 + 1013904223;
        *(volatile uint64_t *)(uintptr_t)
            (PAGED + (at >> 8) % (1 * MIB / 8) * 8) += at;
    }
}

/* One access to a page, then to the next: walks, and little else */
static void walk(const char *tlbi)
{
    for (int round = 0; round < 40; round++) {
        if (*tlbi) {
            asm volatile("tlbi alle2" : : : "memory");
        } else {
            asm volatile("tlbi vmalle1" : : : "memory");
        }
        dsb();
        isb();
        for (uint32_t at = 0; at < MEMORY_SIZE; at += PAGE) {
            *(volatile uint64_t *)(uintptr_t)(PAGED + at) += 1;
        }
    }
}

static void walk_el2(void) { walk("2"); }
static void walk_el1(void) { walk(""); }

static void time(const char *name, void (*loop)(void))
{
    uint64_t start = now();

    loop();
    report(name, nanoseconds(now() - start));
}

static uint64_t loops_el1(void)
{
    world = "el1-";
    time("compute", compute);
    time("stream", stream);
    time("scatter", scatter);
    time("walk", walk_el1);
    return 0;
}

static void loops_el2(void)
{
    world = "el2-";
    time("compute", compute);
    time("stream", stream);
    time("scatter", scatter);
    time("walk", walk_el2);
}

/* Once round, so that every page has its context and code is translated */
static void settle(void)
{
    volatile uint64_t *memory = (uint64_t *)(uintptr_t)MEMORY;

    for (size_t i = 0; i < MEMORY_SIZE / 8; i += 64) {
        memory[i] = i;
    }
}

/* Re-keying, and the register */

static void use_context(uint64_t mecid)
{
    write_reg(MECID_A0_EL2, mecid);
    isb();
}

/* As a page table is made: all of a page is zeroed, by 64 bytes */
static void zero_page(uint32_t va)
{
    for (uint32_t at = 0; at < PAGE; at += 64) {
        asm volatile("dc zva, %0" : : "r"((uint64_t)va + at) : "memory");
    }
}

/* DC CIPAE of a page of Realm memory */
static void clean_page(uint64_t pa)
{
    dsb();
    for (int at = 0; at < PAGE; at += 64) {
        asm volatile("sys #4, c7, c14, #0, %0"
                     : : "r"((pa + at) | 3ull << 62) : "memory");
    }
    dsb();
}

static void rekey_by_store(uint32_t va, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        use_context(100 + (i & 1));
        zero_page(va);
    }
}

static void rekey_by_clean(uint64_t count)
{
    uint32_t va = REKEYED - 0x40000000 + ALTERNATE;

    use_context(100);
    for (uint64_t i = 0; i < count; i++) {
        zero_page(va);
        clean_page(REKEYED);
    }
}

/*
 * With a TLB full of other pages, which are used after each: what comes on top
 * of the re-key itself.  Without @rekey, what they take anyway.
 */
static void rekey_beside(uint64_t count, int rekey)
{
    for (uint64_t i = 0; i < count; i++) {
        if (rekey) {
            rekey_by_store(SLOT, 2);
        }
        for (uint32_t at = 0; at < BESIDE * PAGE; at += PAGE) {
            *(volatile uint64_t *)(uintptr_t)(PAGED + at);
        }
    }
}

static void write_mecid(uint64_t count, int touch)
{
    volatile uint64_t *word =
        (uint64_t *)(uintptr_t)(REKEYED - 0x40000000 + ALTERNATE);

    for (uint64_t i = 0; i < count; i++) {
        use_context(100 + (i & 1));
        if (touch) {
            *word;
        }
    }
}

/* Translation */

static void make_tables(void)
{
    uint64_t common = AF | SHARED | 1 << 6 | VALID;

    for (size_t i = 0; i < MEMORY_SIZE / PAGE; i++) {
        leaves[i] = (MEMORY + i * PAGE) | AF | SHARED | 1 << 6 | LEAF;
    }
    leaves[MEMORY_SIZE / PAGE - 1] =
        REKEYED | AMEC | S1_XN | AF | SHARED | 1 << 6 | LEAF;
    for (size_t i = 0; i < MEMORY_SIZE / (2 * MIB); i++) {
        middle[i] = (uintptr_t)&leaves[i * 512] | TABLE;
    }
    s1_el2[0] = S1_XN | S1_NS | S1_DEVICE | common;
    s1_el2[1] = 0x40000000 | common;
    s1_el2[2] = 0x40000000 | AMEC | S1_XN | common;
    s1_el2[3] = (uintptr_t)middle | TABLE;

    /* Not accessible to EL0, or EL1 could not execute it */
    common &= ~(uint64_t)(1 << 6);
    s1_el1[0] = S1_XN | S1_DEVICE | common;
    s1_el1[1] = 0x40000000 | common;
    s1_el1[3] = (uintptr_t)middle | TABLE;

    s2[0] = S2_NS | S2_XN | S2_DEVICE | S2_RW | AF | VALID;
    s2[1] = 0x40000000 | S2_NORMAL | S2_RW | SHARED | AF | VALID;
}

static void start_mmu_el2(void)
{
    write_reg("mair_el2", 0xff);
    write_reg("ttbr0_el2", (uintptr_t)s1_el2);
    write_reg("tcr_el2", 1u << 31 | 1 << 23 | 2 << 16 | 3 << 12 | 1 << 10 |
              1 << 8 | 25);
    write_reg(TCR2_EL2, TCR2_AMEC0);
    dsb();
    isb();
    write_reg("sctlr_el2", read_reg("sctlr_el2") | 0x1005);
    isb();
}

static void prepare_el1(void)
{
    write_reg("hcr_el2", 1ull << 31 | 1);
    write_reg("vtcr_el2", 1u << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 |
              1 << 6 | 25);
    write_reg("vttbr_el2", (uintptr_t)s2 | 1ull << 48);
    write_reg("cnthctl_el2", 3);
    write_reg("cptr_el2", 0x33ff);
    write_reg("mair_el1", 0xff);
    write_reg("ttbr0_el1", (uintptr_t)s1_el1);
    write_reg("tcr_el1", 2ull << 32 | 1 << 23 | 3 << 12 | 1 << 10 | 1 << 8 |
              25);
    write_reg("sctlr_el1", 0x30d01805);
    dsb();
    isb();
}

static uint64_t parameter(uint64_t address)
{
    uint64_t value;

    /* Put there by the loader, hence under MECID 0 */
    use_context(0);
    value = *(volatile uint64_t *)(uintptr_t)(address - 0x40000000 +
                                              ALTERNATE);
    return value;
}

static volatile int ready;

void main_secondary(void)
{
    uint64_t a = 1;

    while (!ready) {
        /* tables */
    }
    start_mmu_el2();
    for (;;) {
        a = a * 6364136223846793005ull + 1442695040888963407ull;
        sink = a;
    }
}

void main(void)
{
    static uint8_t stack_el1[16 * KIB] __attribute__((aligned(16)));
    uint64_t mode, count, start;

    world = "";
    UART[12] = 0x301;           /* on, transmit and receive */
    make_tables();
    start_mmu_el2();
    mode = parameter(MODE);
    count = parameter(COUNT);
    ready = 1;

    switch (mode) {
    case MODE_LOOPS:
        settle();
        prepare_el1();
        while (count--) {
            loops_el2();
            call_el1(loops_el1, (uintptr_t)stack_el1 + sizeof(stack_el1));
        }
        break;
    case MODE_REKEY_STORE:
        rekey_by_store(REKEYED_BLOCK, 100);
        for (int i = 0; i < CHUNKS; i++) {
            start = now();
            rekey_by_store(REKEYED_BLOCK, count);
            report("rekey-store", nanoseconds(now() - start) / count);
        }
        break;
    case MODE_REKEY_CLEAN:
        rekey_by_clean(100);
        for (int i = 0; i < CHUNKS; i++) {
            start = now();
            rekey_by_clean(count);
            report("rekey-clean", nanoseconds(now() - start) / count / 2);
        }
        break;
    case MODE_REKEY_BESIDE:
        walk_el2();             /* the emulator's TLB grows when flushed */
        rekey_beside(10, 1);
        for (int i = 0; i < CHUNKS; i++) {
            for (int rekey = 0; rekey < 2; rekey++) {
                start = now();
                rekey_beside(count, rekey);
                report(rekey ? "rekey-beside" : "beside",
                       nanoseconds(now() - start) / count);
            }
        }
        break;
    case MODE_WRITE_IDLE:
    case MODE_WRITE_USED:
        use_context(0);
        start = now();
        write_mecid(count, mode == MODE_WRITE_USED);
        report("write", nanoseconds(now() - start) / count);
        break;
    }
    put("done\n");
}
