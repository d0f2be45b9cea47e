// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that the CPU itself reads: code and page tables
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include "cxl-litmus.h"

/* ---- T55: code ---- */

typedef uint32_t code_fn(void);

/* mov eax, imm32; ret; 2 bytes of nothing */
static uint64_t code(uint32_t value)
{
    return 0xb8 | (uint64_t)value << 8 | 0xc3ULL << 40;
}

static void code_in_turns(unsigned offset, bool keep)
{
    uint8_t *mem = alloc_pages(2, PROT_READ | PROT_WRITE | PROT_EXEC);
    uint64_t n = times(1500), bytes;
    code_fn *fn = (code_fn *)(mem + offset);

    cpu_work(0, NULL, NULL);
    bytes = code(0);
    memcpy(mem + offset, &bytes, 6);
    for (uint32_t i = 1; i <= n; i++) {
        uint32_t got;

        bytes = code(i * 0x01010101u);
        dev_write(&devs[rnd(num_devs)], mem + offset, &bytes, 6, keep);
        got = fn();
        if (got != i * 0x01010101u) {
            bad(&cpus[0], "code %u: 0x%x", i, got);
        }
        /* Run again, and so often that it is linked to what calls it */
        for (int j = rnd(4); j > 0; j--) {
            if (fn() != i * 0x01010101u) {
                bad(&cpus[0], "code %u, again", i);
            }
        }
        cpus[0].count++;
    }
    verdict(true, "T55 code across %s: device %s, CPU calls",
            offset % PAGE > PAGE - 8 ? "pages" :
            offset % LINE > LINE - 8 ? "lines" : "nothing",
            keep ? "keeps it" : "writes it");
    free_pages(mem, 2);
}

typedef struct Code {
    code_fn *fn;
    Cell *flag;
    Cell *ack;
    uint64_t n;
} Code;

static void code_cpu(Cpu *c)
{
    Code *k = c->arg;

    while (c->count < k->n) {
        uint32_t before, got;
        uint64_t flag;

        do {
            before = *k->flag;
            got = k->fn();
            flag = *k->flag;
            /* What it was before the flag was seen, or the next one */
            if (got < before || got > before + 1) {
                bad(c, "flag %u, code %u", before, got);
            }
            if (stop) {
                return;
            }
        } while (flag <= c->count);
        got = k->fn();
        if (got != flag) {
            bad(c, "flag %llu, code %u", (ULL)flag, got);
        }
        c->count = flag;
        *k->ack = flag;
    }
}

/* The agent, while the CPU runs what it changes */
static void code_at_once(uint8_t how)
{
    uint8_t *mem = alloc_pages(3, PROT_READ | PROT_WRITE | PROT_EXEC);
    uint64_t n = times(800), first = code(0);
    Code k = { (code_fn *)(mem + 2 * LINE), cell(mem, PAGE),
               cell(mem, 2 * PAGE), n };

    memcpy((void *)k.fn, &first, 8);
    prog(&devs[0], n, 0);
    /* r0 = the next code: 256 more than before */
    *cell(mem, 2 * PAGE + LINE) = code(1);
    step(&devs[0], (Step) { CCT_OP_ADD, RD_OWN, .reg = 0, .value = 256,
                            .at = cell(mem, 2 * PAGE + LINE) });
    step(&devs[0], (Step) { CCT_OP_STORE, how, .operand = CCT_REG, .src = 0,
                            .at = (void *)k.fn });
    step(&devs[0], (Step) { CCT_OP_STORE, RD_OWN, .operand = CCT_ITER,
                            .value = 1, .at = k.flag });
    step(&devs[0], (Step) { CCT_OP_WAIT_GE, RD_CURR, .operand = CCT_ITER,
                            .value = 1, .at = k.ack });
    cpu_work(0, code_cpu, &k);
    run();
    verdict(cpus[0].count >= devs[0].iterations, "T55 code: device stores it "
            "by %s, CPU runs it: %llu of %llu", how_names[how],
            (ULL)cpus[0].count, (ULL)devs[0].iterations);
    free_pages(mem, 3);
}

void test_code(void)
{
    static const unsigned offsets[] = { 3 * LINE, 9 * LINE - 3, PAGE - 2 };

    for (unsigned i = 0; i < 3; i++) {
        code_in_turns(offsets[i], true);
        code_in_turns(offsets[i], false);
    }
    code_at_once(RD_OWN);
    code_at_once(WR_INV);
    code_at_once(RD_OWN_NO_DATA);
}

/* ---- T56: page tables ---- */

#define TABLE_SPAN (2u << 20)
#define PTE_A 5
#define PTE_B 17
#define PTE_ACCESSED 0x20
#define PTE_DIRTY 0x40
#define PTE_FRAME 0x000ffffffffff000ULL

/* Physical address of the page table with the entries of @region, or 0 */
static uint64_t find_table(uint8_t *region)
{
    const uint64_t is_table = 1ULL << 26;
    uint64_t flags[512], found = 0, pte, base = 0;
    int fd = open("/proc/kpageflags", O_RDONLY);
    ssize_t n;

    while (fd >= 0 && !found &&
           (n = pread(fd, flags, sizeof(flags), base * 8)) > 0) {
        for (unsigned i = 0; i < n / 8 && !found; i++) {
            uint64_t table = (base + i) * PAGE;

            if (!(flags[i] & is_table)) {
                continue;
            }
            dev_read_phys(&devs[0], table + PTE_A * 8, &pte, 8);
            if ((pte & 1) && (pte & PTE_FRAME) ==
                phys(region + PTE_A * PAGE)) {
                dev_read_phys(&devs[0], table + PTE_B * 8, &pte, 8);
                found = (pte & PTE_FRAME) == phys(region + PTE_B * PAGE) ?
                        table : 0;
            }
        }
        base += n / 8;
    }
    if (fd >= 0) {
        close(fd);
    }
    return found;
}

/* Has the kernel forget the translations, and touch the entries itself */
static void flush_tlb(uint8_t *page)
{
    if (mprotect(page, PAGE, PROT_READ) ||
        mprotect(page, PAGE, PROT_READ | PROT_WRITE)) {
        die("mprotect");
    }
}

/* Exchange the frames of two entries in the device's cache, clear A and D */
static void swap_entries(uint64_t table)
{
    uint64_t a, b, frame;

    dev_read_phys(&devs[0], table + PTE_A * 8, &a, 8);
    dev_read_phys(&devs[0], table + PTE_B * 8, &b, 8);
    frame = (a ^ b) & PTE_FRAME;
    a = (a ^ frame) & ~(PTE_ACCESSED | PTE_DIRTY);
    b = (b ^ frame) & ~(PTE_ACCESSED | PTE_DIRTY);
    dev_write_phys(&devs[0], table + PTE_A * 8, &a, 8, true);
    dev_write_phys(&devs[0], table + PTE_B * 8, &b, 8, true);
}

static void table_round(Cpu *c, uint8_t *region, uint64_t table)
{
    Cell *a = cell(region, PTE_A * PAGE), *b = cell(region, PTE_B * PAGE);
    uint64_t old_a = *a, old_b = *b, pte;

    swap_entries(table);
    flush_tlb(region + PTE_A * PAGE);
    flush_tlb(region + PTE_B * PAGE);
    /* With the line of the entries in the device again: walked, A is set */
    dev_read_phys(&devs[0], table + PTE_A * 8, &pte, 8);
    pte &= ~(uint64_t)(PTE_ACCESSED | PTE_DIRTY);
    dev_write_phys(&devs[0], table + PTE_A * 8, &pte, 8, true);
    if (*a != old_b || *b != old_a) {
        bad(c, "round %llu: %llu, %llu instead of %llu, %llu", (ULL)c->count,
            (ULL)*a, (ULL)*b, (ULL)old_b, (ULL)old_a);
    }
    dev_read_phys(&devs[0], table + PTE_A * 8, &pte, 8);
    if (!(pte & PTE_ACCESSED)) {
        bad(c, "round %llu: the accessed bit is clear", (ULL)c->count);
    }
    *a += 2;
    dev_read_phys(&devs[0], table + PTE_A * 8, &pte, 8);
    if (!(pte & PTE_DIRTY)) {
        bad(c, "round %llu: the dirty bit is clear", (ULL)c->count);
    }
    c->count++;
}

void test_table(void)
{
    uint8_t *space = mmap(NULL, 3 * TABLE_SPAN, PROT_NONE, MAP_PRIVATE |
                          MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *region = (uint8_t *)(((uintptr_t)space + TABLE_SPAN - 1) &
                                  -(uintptr_t)TABLE_SPAN);
    uint64_t table, n = times(300) & ~1ULL;

    if (mmap(region, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED |
             MAP_ANONYMOUS | MAP_POPULATE | MAP_FIXED, -1, 0) != region ||
        mlock(region, 32 * PAGE)) {
        die("mmap");
    }
    for (int i = 0; i < 32; i++) {
        region[i * PAGE] = i;
    }
    table = find_table(region);
    if (!table) {
        skip("T56 page tables", "/proc/kpageflags does not tell where");
        return;
    }
    cpu_work(0, NULL, NULL);
    /* An even number of times: the kernel gets back what it had */
    for (uint64_t i = 0; i < n; i++) {
        table_round(&cpus[0], region, table);
    }
    dev_flush(&devs[0]);
    munmap(space, 3 * TABLE_SPAN);
    verdict(true, "T56 page table owned by the device: walks, A and D");
}
