// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Nothing is lost: atomic and split accesses, words and lines next to others'
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include "cxl-litmus.h"

/* ---- Atomic operations ---- */

typedef struct Counter {
    volatile void *at;
    bool wide;
    uint64_t n;
} Counter;

static void xadd_cpu(Cpu *c)
{
    Counter *k = c->arg;
    uint64_t last = 0;

    for (; !stop || c->count < k->n; c->count++) {
        breathe(c, OFTEN);
        uint64_t old = k->wide ?
            __atomic_fetch_add((volatile uint64_t *)k->at, 1,
                               __ATOMIC_SEQ_CST) :
            __atomic_fetch_add((volatile uint32_t *)k->at, 1,
                               __ATOMIC_SEQ_CST);

        if (c->count && old <= last) {
            bad(c, "xadd returned %llu after %llu", (ULL)old, (ULL)last);
        }
        c->seen += c->count && old != last + 1;
        last = old;
    }
}

static void cmpxchg_cpu(Cpu *c)
{
    Counter *k = c->arg;
    volatile uint64_t *w64 = k->at;
    volatile uint32_t *w32 = k->at;

    while (!stop || c->count < k->n) {
        if (k->wide) {
            uint64_t old = *w64;

            c->count += __sync_bool_compare_and_swap(w64, old, old + 1);
        } else {
            uint32_t old = *w32;

            c->count += __sync_bool_compare_and_swap(w32, old, old + 1);
        }
    }
}

/* @turns: a device waits until a CPU has changed what it left */
static void atomic_sum(bool wide, int ndevs, bool turns)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Counter k = { cell(mem, 11 * LINE + 8), wide, times(450000) };
    uint64_t n = times(turns ? 4000 : 100000) / ndevs, sum, got;
    bool ok;

    for (int i = 0; i < ndevs; i++) {
        prog(&devs[i], n, 0);
        step(&devs[i], (Step) { CCT_OP_ADD, RD_OWN, wide ? 8 : 4, .at = k.at,
                                .value = 1, .reg = 0 });
        if (turns) {
            step(&devs[i], (Step) { CCT_OP_WAIT_NE, RD_OWN, wide ? 8 : 4,
                                    CCT_REG, .src = 0, .value = 1, .reg = 1,
                                    .at = k.at });
        }
    }
    cpu_work(0, xadd_cpu, &k);
    cpu_work(1, cmpxchg_cpu, &k);
    run();
    sum = cpus[0].count + cpus[1].count;
    got = wide ? *(Cell *)k.at : *(volatile uint32_t *)k.at;
    ok = all_done(devs, ndevs, got - sum);
    for (int i = 0; i < ndevs; i++) {
        sum += devs[i].iterations;
    }
    verdict(ok, "T46 atomics, %d bytes: xadd, cmpxchg, %d device(s) "
            "add%s: %llu of %llu", wide ? 8 : 4, ndevs,
            turns ? " in turns" : "", (ULL)got, (ULL)sum);
    free_pages(mem, 1);
}

/* T54: both halves as one; the CPU counts in the low one */
static void cmpxchg16b_cpu(Cpu *c)
{
    unsigned __int128 *at = c->arg;
    uint64_t last = 0;

    while (!stop) {
        breathe(c, OFTEN);
        uint64_t low = 0, high = 0;
        bool done;

        /* Compare and store until it fits */
        __asm__ volatile("lock cmpxchg16b %1"
                         : "=@ccz"(done), "+m"(*at), "+a"(low), "+d"(high)
                         : "b"(low), "c"(high) : "memory");
        while (!done) {
            __asm__ volatile("lock cmpxchg16b %1"
                             : "=@ccz"(done), "+m"(*at), "+a"(low), "+d"(high)
                             : "b"(low + 1), "c"(high) : "memory");
            if (high < last) {
                bad(c, "the device's half was %llu after %llu", (ULL)high,
                    (ULL)last);
            }
            c->seen += high != last;
            last = high;
        }
        c->count++;
    }
}

static void test_atomic16(void)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *at = cell(mem, 2 * LINE + 32);
    uint64_t n = times(5000);

    /* Never 0, or the first comparison would store */
    at[0] = 1;
    prog(&devs[0], n, 0);
    step(&devs[0], (Step) { CCT_OP_ADD, RD_OWN, .at = at + 1, .value = 1,
                            .reg = 1 });
    wait_change(&devs[0], RD_OWN, at);
    cpu_work(0, cmpxchg16b_cpu, (void *)at);
    cpu_work(1, cmpxchg16b_cpu, (void *)at);
    run();
    verdict(at[0] == 1 + cpus[0].count + cpus[1].count &&
            all_done(devs, 1, at[1]),
            "T54 cmpxchg16b: halves %llu of %llu, %llu of %llu",
            (ULL)at[0] - 1, (ULL)(cpus[0].count + cpus[1].count), (ULL)at[1],
            (ULL)devs[0].iterations);
    free_pages(mem, 1);
}

void test_atomic(void)
{
    for (int n = 1; n <= num_devs; n++) {
        atomic_sum(false, n, true);
        atomic_sum(true, n, false);
    }
    test_atomic16();
}

/* ---- T47, T52, T53: accesses across two lines or pages ---- */

static void split_load(const volatile void *p, unsigned size, uint8_t *to)
{
    switch (size) {
    case 2:
        *(uint16_t *)to = *(volatile uint16_t *)p;
        break;
    case 4:
        *(uint32_t *)to = *(volatile uint32_t *)p;
        break;
    case 8:
        *(uint64_t *)to = *(volatile uint64_t *)p;
        break;
    default:
        __asm__ volatile("movdqu (%0), %%xmm0; movdqu %%xmm0, (%1)"
                         : : "r"(p), "r"(to) : "xmm0", "memory");
    }
}

static void split_store(volatile void *p, unsigned size, const uint8_t *from)
{
    switch (size) {
    case 2:
        *(volatile uint16_t *)p = *(uint16_t *)from;
        break;
    case 4:
        *(volatile uint32_t *)p = *(uint32_t *)from;
        break;
    case 8:
        *(volatile uint64_t *)p = *(uint64_t *)from;
        break;
    default:
        __asm__ volatile("movdqu (%1), %%xmm0; movdqu %%xmm0, (%0)"
                         : : "r"(p), "r"(from) : "xmm0", "memory");
    }
}

/* Locked operations on what should be @old; true if it was */
static bool split_xadd(volatile void *p, unsigned size, uint64_t old,
                       uint64_t add)
{
    uint32_t v32 = add;

    if (size == 4) {
        __asm__ volatile("lock xaddl %0, %1"
                         : "+r"(v32), "+m"(*(volatile uint32_t *)p)
                         : : "memory");
        return v32 == (uint32_t)old;
    }
    __asm__ volatile("lock xaddq %0, %1"
                     : "+r"(add), "+m"(*(volatile uint64_t *)p)
                     : : "memory");
    return add == old;
}

static bool split_cmpxchg(volatile void *p, unsigned size, uint64_t old,
                          uint64_t add)
{
    uint64_t new = old + add, expected = old;
    bool done;

    if (size == 4) {
        __asm__ volatile("lock cmpxchgl %k3, %1"
                         : "=@ccz"(done), "+m"(*(volatile uint32_t *)p),
                           "+a"(expected) : "r"(new) : "memory");
    } else {
        __asm__ volatile("lock cmpxchgq %3, %1"
                         : "=@ccz"(done), "+m"(*(volatile uint64_t *)p),
                           "+a"(expected) : "r"(new) : "memory");
    }
    return done;
}

static bool split_cmpxchg8b(volatile void *p, unsigned size, uint64_t old,
                            uint64_t add)
{
    uint64_t new = old + add;
    uint32_t low = old, high = old >> 32;
    bool done;

    (void)size;
    __asm__ volatile("lock cmpxchg8b %1"
                     : "=@ccz"(done), "+m"(*(volatile uint64_t *)p),
                       "+a"(low), "+d"(high)
                     : "b"((uint32_t)new), "c"((uint32_t)(new >> 32))
                     : "memory");
    return done;
}

/* The device gets some of the bytes anew, and keeps their lines as M. */
static void split_device(uint8_t *p, unsigned size, unsigned head,
                         uint8_t *model)
{
    unsigned which = 1 + rnd(3);

    for (unsigned i = 0; i < size; i++) {
        if (which & (i < head ? 1 : 2)) {
            model[i] = rnd(256);
        }
    }
    if (which & 1) {
        dev_write(&devs[0], p, model, head, true);
    }
    if (which & 2) {
        dev_write(&devs[rnd(num_devs)], p + head, model + head, size - head,
                  true);
    }
}

/*
 * Steps in turn: the device writes one part or both, the CPU loads, stores or
 * does a locked operation, both read.
 */
static void split_round(Cpu *c, uint8_t *border, bool locked)
{
    static bool (*const ops[])(volatile void *p, unsigned size, uint64_t old,
                               uint64_t add) = {
        split_xadd, split_cmpxchg, split_cmpxchg8b,
    };
    unsigned size = (locked ? 4u : 2u) << rnd(locked ? 2 : 4);
    unsigned head = 1 + rnd(size - 1), op = rnd(size == 8 ? 3 : 2);
    uint8_t *p = border - head, model[16], got[16];
    uint64_t old = 0, add;

    split_load(p, size, model);
    split_device(p, size, head, model);
    if (locked) {
        memcpy(&old, model, size);
        add = rnd(1u << 31) * 0x10001ULL;
        if (!ops[op](p, size, old, add)) {
            bad(c, "locked operation %u of %u bytes, %u below the border: "
                "stale", op, size, head);
        }
        old += add;
        memcpy(model, &old, size);
    } else if (rnd(2)) {
        split_load(p, size, got);
        if (memcmp(got, model, size)) {
            bad(c, "load of %u bytes, %u below the border: stale", size, head);
        }
    } else {
        for (unsigned i = 0; i < size; i++) {
            model[i] = rnd(256);
        }
        split_store(p, size, model);
    }
    dev_read(&devs[rnd(num_devs)], p, got, size);
    if (memcmp(got, model, size)) {
        bad(c, "device reads %u bytes, %u below the border: stale", size,
            head);
    }
    c->count++;
}

static void split_alternate(unsigned border, bool locked, const char *name)
{
    uint8_t *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    uint64_t n = times(600);

    cpu_work(0, NULL, NULL);
    for (uint64_t i = 0; i < n; i++) {
        split_round(&cpus[0], mem + border, locked);
    }
    verdict(true, "%s: in turns", name);
    free_pages(mem, 2);
}

/* And at once: the device counts next to what the CPU counts */
typedef struct Split {
    uint8_t *p;
    bool locked;
} Split;

static void split_cpu(Cpu *c)
{
    Split *s = c->arg;
    uint64_t v = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        /* Bytes change on both sides of the border */
        uint64_t next = v + 0x100000000000001ULL * (c->count % 2 ? 1 : 257);

        if (s->locked) {
            if (!split_xadd(s->p, 8, v, next - v)) {
                bad(c, "xadd %llu: not what was there", (ULL)c->count);
            }
        } else {
            uint64_t got;

            split_load(s->p, 8, (uint8_t *)&got);
            if (got != v) {
                bad(c, "load %llu: 0x%llx for 0x%llx", (ULL)c->count, (ULL)got,
                    (ULL)v);
            }
            split_store(s->p, 8, (uint8_t *)&next);
        }
        v = next;
    }
}

static void split_at_once(unsigned border, bool locked, const char *name)
{
    uint8_t *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Split s = { mem + border - 3, locked };
    Cell *below = cell(mem, border - LINE), *above = cell(mem, border + 40);
    uint64_t n = times(locked ? 300 : 500);

    prog(&devs[0], n, 0);
    step(&devs[0], (Step) { CCT_OP_ADD, RD_OWN, .at = below, .value = 1,
                            .reg = 1 });
    step(&devs[0], (Step) { CCT_OP_ADD, RD_OWN, .at = above, .value = 1,
                            .reg = 1 });
    /* The last 8 bytes below the border hold some of what the CPU changes. */
    wait_change(&devs[0], RD_OWN, cell(mem, border - 8));
    cpu_work(0, split_cpu, &s);
    cpu_work(1, noise, mem + (border == PAGE ? 0 : PAGE));
    run();
    verdict(all_done(devs, 1, *below) && all_done(devs, 1, *above),
            "%s: at once, device's %llu and %llu of %llu", name, (ULL)*below,
            (ULL)*above, (ULL)devs[0].iterations);
    free_pages(mem, 2);
}

void test_split(void)
{
    static const struct {
        const char *name;
        unsigned border;
        bool locked;
    } kinds[] = {
        { "T52 loads and stores across lines", 20 * LINE, false },
        { "T53 loads and stores across pages", PAGE, false },
        { "T47 locked operations across lines", 20 * LINE, true },
        { "T47 locked operations across pages", PAGE, true },
    };

    for (unsigned i = 0; i < 4; i++) {
        split_alternate(kinds[i].border, kinds[i].locked, kinds[i].name);
        split_at_once(kinds[i].border, kinds[i].locked, kinds[i].name);
    }
}

/* ---- T45: a tight loop of stores while the page is taken ---- */

static void tight_cpu(Cpu *c)
{
    volatile uint32_t *word = c->arg;
    uint32_t shadow[PAGE / LINE] = { 0 };

    for (; !stop || c->count < times(100000); c->count++) {
        breathe(c, OFTEN);
        unsigned line = c->count % (PAGE / LINE);
        uint32_t next = shadow[line] + 1;

        if (word[line * 16] != shadow[line]) {
            bad(c, "line %u has %u instead of %u", line, word[line * 16],
                shadow[line]);
        }
        word[line * 16] = next;
        shadow[line] = next;
    }
    for (unsigned line = 0; line < PAGE / LINE; line++) {
        if (word[line * 16] != shadow[line]) {
            bad(c, "at the end line %u has %u instead of %u", line,
                word[line * 16], shadow[line]);
        }
    }
}

static void tight(uint8_t op, uint8_t how)
{
    uint32_t *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    uint64_t n = times(4000), sum = 0;

    prog(&devs[0], n, 0);
    step(&devs[0], (Step) { op, how, 4, CCT_CONST, .at = mem + 5,
                            .value = 1, .reg = 1, .stride = LINE, .wrap = 64 });
    step(&devs[0], (Step) { CCT_OP_WAIT_NE, RD_CURR, 4, CCT_REG, .reg = 0,
                            .src = 0, .at = mem });
    cpu_work(0, tight_cpu, mem);
    cpu_work(1, tight_cpu, mem + 1);
    run();
    for (unsigned line = 0; line < PAGE / LINE; line++) {
        sum += mem[line * 16 + 5];
    }
    if (op == CCT_OP_ADD) {
        verdict(all_done(devs, 1, sum), "T45 stores while the device adds in "
                "the page: %llu of %llu", (ULL)sum, (ULL)devs[0].iterations);
    } else {
        verdict(true, "T45 stores while the device reads by %s",
                how_names[how]);
    }
    free_pages(mem, 1);
}

void test_tight(void)
{
    tight(CCT_OP_ADD, RD_OWN);
    tight(CCT_OP_LOAD, RD_OWN);
    tight(CCT_OP_LOAD, RD_SHARED);
    tight(CCT_OP_LOAD, RD_ANY);
}

/* ---- T90: false sharing ---- */

static void share_cpu(Cpu *c)
{
    volatile uint32_t *word = c->arg;

    for (; !stop || c->count < times(100000); c->count++) {
        breathe(c, OFTEN);
        (*word)++;
    }
}

static void sharing(unsigned distance, bool turns, const char *name)
{
    volatile uint32_t *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    uint64_t n = times(turns ? 4000 : 100000);
    volatile uint32_t *word[CPUS + MAX_DEVS];
    bool good = true;

    for (int i = 0; i < CPUS + num_devs; i++) {
        word[i] = mem + 7 * 16 + i * distance;
    }
    for (int i = 0; i < num_devs; i++) {
        prog(&devs[i], n, 0);
        step(&devs[i], (Step) { CCT_OP_ADD, RD_OWN, 4, .value = 1, .reg = 1,
                                .at = word[CPUS + i] });
        if (turns) {
            step(&devs[i], (Step) { CCT_OP_WAIT_NE, RD_CURR, 4, CCT_REG,
                                    .reg = 0, .src = 0, .at = word[i] });
        }
    }
    for (int i = 0; i < CPUS; i++) {
        cpu_work(i, share_cpu, (void *)word[i]);
    }
    run();
    for (int i = 0; i < CPUS + num_devs; i++) {
        Dev *d = &devs[i - CPUS];

        if (i < CPUS ? *word[i] != (uint32_t)cpus[i].count :
            !all_done(d, 1, *word[i])) {
            note("word %d: %u of %llu", i, *word[i],
                 (ULL)(i < CPUS ? cpus[i].count : d->iterations));
            good = false;
        }
    }
    verdict(good, "T90 false sharing: each counts in a %s", name);
    free_pages((void *)mem, 1);
}

void test_sharing(void)
{
    sharing(1, true, "word of one line, the device in turn with a CPU");
    sharing(1, false, "word of one line, as fast as it can");
    sharing(3 * 16, true, "line of one page, the device in turn with a CPU");
    sharing(3 * 16, false, "line of one page, as fast as it can");
}
