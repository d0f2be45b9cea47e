/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC on several CPUs: cases 42-44. Options: cpus=N seconds=N seed=N.
 */

#include "mec-rt.h"

#define LINE 64

/* --- One reader, one writer, one page --- */

static struct {
    uint64_t pa, stop, rounds;
} shared;

static uint64_t write_other_lines(void *arg)
{
    uint64_t i, seed = 42;

    for (i = 0; !__atomic_load_n(&shared.stop, __ATOMIC_RELAXED); i++) {
        uint64_t pa = shared.pa + LINE + 2 * LINE * (i % 32);
        uint64_t x = mec_random(&seed);

        mec_w(2, pa, x);
        if (mec_r(2, pa) != x) {
            return 1;
        }
    }
    __atomic_store_n(&shared.rounds, i, __ATOMIC_RELAXED);
    return 0;
}

static void reader_and_writer(void)
{
    uint64_t x[32], end, n = 0, wrong = 0, leaked = 0;
    unsigned i;

    mec_case(42, "a reader is not disturbed by another CPU's re-keying");
    shared.pa = mec_page();
    for (i = 0; i < 32; i++) {
        x[i] = mec_value();
        mec_w(1, shared.pa + 2 * LINE * i, x[i]);
    }
    mec_start_on(1, write_other_lines, NULL);
    end = mec_ticks() + mec_ticks_per_second();
    while (mec_ticks() < end) {
        for (i = 0; i < 32; i++, n++) {
            wrong += mec_r(1, shared.pa + 2 * LINE * i) != x[i];
        }
        leaked += !mec_differ(mec_r(3, shared.pa), x[0]);
    }
    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
    MEC_CHECK(mec_wait_for(1) == 0, "the writer lost a value");
    MEC_CHECK(wrong == 0, "%ld of %ld reads were wrong", wrong, n);
    MEC_CHECK(leaked == 0, "a third context read it");
    MEC_CHECK(shared.rounds > 10 && n > 10, "%ld reads, %ld writes", n,
              shared.rounds);
    ml_printf("# %ld reads, %ld writes\n", n, shared.rounds);
    mec_done();
}

/* --- Handing over --- */

struct hand {
    uint64_t pa, x;
    uint16_t mecid, before;
};

static uint64_t read_as(void *arg)
{
    struct hand *h = arg;

    mec_r(h->before, h->pa);
    mec_set(h->mecid);
    return mec_rw(WIN_REALM, h->pa);
}

static uint64_t write_as(void *arg)
{
    struct hand *h = arg;

    mec_w(h->mecid, h->pa, h->x);
    return 0;
}

static void hand_over(void)
{
    unsigned i;

    mec_case(43, "what one CPU writes, another reads in the same context");
    for (i = 0; i < 16; i++) {
        struct hand h = {
            .pa = mec_page(), .x = mec_value(), .mecid = 1 + i,
            .before = i & 1 ? 0 : 9 + i,
        };

        mec_w(h.mecid, h.pa, h.x);
        if (i & 2) {
            mec_cipae_page_el3(h.pa | PA_NS | PA_NSE);
        }
        if (i & 4) {
            mec_set(h.before);
            mec_cipapa_page(h.pa | PA_NS | PA_NSE);
        }
        MEC_CHECK(mec_on(1, read_as, &h) == h.x, "variant %d: 1 after 0", i);
        h.mecid += 100;
        MEC_CHECK(mec_differ(mec_on(1, read_as, &h), h.x),
                  "variant %d: mismatch", i);
        h.x = mec_value();
        mec_on(1, write_as, &h);
        MEC_CHECK(mec_r(h.mecid, h.pa) == h.x, "variant %d: 0 after 1", i);
        MEC_CHECK(mec_differ(mec_r(h.mecid - 100, h.pa), h.x),
                  "variant %d: mismatch, 0 after 1", i);
    }
    mec_done();
}

/* --- Stress --- */

#define PAGES 32
#define CTXS  4

static const uint16_t ids[CTXS] = { 1, 2, 0x8000, 0xffff };

/*
 * A byte of the shadow: what was written last, and by whom. Pages are shared
 * by all CPUs, lines are not, so each CPU's shadow is its own.
 */
struct shadow {
    uint8_t val[PAGES][4096];
    uint8_t ctx[PAGES][4096];   /* index into ids, or CTXS: not written yet */
};

static struct {
    uint64_t page[PAGES];
    struct shadow *shadow;
    uint64_t end;
    uint64_t ops[MEC_MAX_CPUS], checked[MEC_MAX_CPUS];
    struct bad {
        uint64_t pa, got, want, what, size;
    } bad[MEC_MAX_CPUS];
} stress;

/* A place to access: within a line of this CPU. */
struct place {
    unsigned page, off, size;
    void *p;
};

static uint64_t load(struct place *at)
{
    switch (at->size) {
    case 1:
        return LD((uint8_t *)at->p);
    case 2:
        return LD((uint16_t *)at->p);
    case 4:
        return LD((uint32_t *)at->p);
    default:
        return LD((uint64_t *)at->p);
    }
}

static void store(struct place *at, uint64_t x)
{
    switch (at->size) {
    case 1:
        ST((uint8_t *)at->p, x);
        break;
    case 2:
        ST((uint16_t *)at->p, x);
        break;
    case 4:
        ST((uint32_t *)at->p, x);
        break;
    default:
        ST((uint64_t *)at->p, x);
    }
}

static void shadow_store(struct place *at, unsigned ctx, uint64_t x,
                         unsigned size)
{
    unsigned i;

    for (i = 0; i < size; i++) {
        stress.shadow->val[at->page][at->off + i] = i < 8 ? x >> (8 * i) : 0;
        stress.shadow->ctx[at->page][at->off + i] = ctx;
    }
}

/* Bytes of the place that ctx wrote, as a mask; their values in *x. */
static uint64_t shadow_load(struct place *at, unsigned ctx, uint64_t *x)
{
    uint64_t mask = 0;
    unsigned i;

    *x = 0;
    for (i = 0; i < at->size; i++) {
        *x |= (uint64_t)stress.shadow->val[at->page][at->off + i] << (8 * i);
        if (stress.shadow->ctx[at->page][at->off + i] == ctx) {
            mask |= 0xffUL << (8 * i);
        }
    }
    return mask;
}

/* Did one context, but not ctx, write all of the place? */
static bool foreign(struct place *at, unsigned ctx)
{
    uint8_t *c = &stress.shadow->ctx[at->page][at->off];
    unsigned i;

    for (i = 0; i < at->size; i++) {
        if (c[i] != c[0] || c[i] == ctx || c[i] == CTXS) {
            return false;
        }
    }
    return true;
}

enum { BAD_READ = 1, BAD_LEAK, BAD_ATOMIC };

static bool fail(int cpu, struct place *at, int what, uint64_t got,
                 uint64_t want)
{
    stress.bad[cpu] = (struct bad) {
        stress.page[at->page] + at->off, got, want, what, at->size,
    };
    return false;
}

static bool check_load(int cpu, struct place *at, unsigned ctx)
{
    uint64_t want, mask = shadow_load(at, ctx, &want), got = load(at);

    stress.checked[cpu] += mask != 0;
    if ((got ^ want) & mask) {
        return fail(cpu, at, BAD_READ, got, want);
    }
    if (at->size == 8 && !(at->off & 3) && foreign(at, ctx) &&
        !mec_differ(got, want)) {
        return fail(cpu, at, BAD_LEAK, got, want);
    }
    return true;
}

static bool atomic_op(int cpu, struct place *at, unsigned ctx, uint64_t x)
{
    uint64_t want, got, mask;

    at->size = 8;
    at->off &= ~7U;
    at->p = (void *)((uint64_t)at->p & ~7UL);
    mask = shadow_load(at, ctx, &want);
    if (x & 1) {
        asm volatile("ldaddal %1, %0, [%2]" : "=r" (got) :
                     "r" (x), "r" (at->p) : "memory");
        if (mask == ~0UL && got != want) {
            return fail(cpu, at, BAD_ATOMIC, got, want);
        }
        if (mask == ~0UL) {
            shadow_store(at, ctx, want + x, 8);
        } else {
            shadow_store(at, CTXS, 0, 8);
        }
    } else {
        got = want;
        asm volatile("casal %0, %1, [%2]" : "+r" (got) :
                     "r" (x), "r" (at->p) : "memory");
        if (mask == ~0UL && got != want) {
            return fail(cpu, at, BAD_ATOMIC, got, want);
        }
        if (got == want) {
            shadow_store(at, ctx, x, 8);
        } else if (mask != ~0UL) {
            shadow_store(at, CTXS, 0, 8);
        }
    }
    return true;
}

static bool one_op(int cpu, uint64_t *seed)
{
    uint64_t rnd = mec_random(seed), x = mec_random(seed);
    unsigned ctx = rnd & 3, op = (rnd >> 2) & 31, lines;
    struct place at = {
        .page = (rnd >> 8) % PAGES, .size = 1 << ((rnd >> 16) & 3),
    };

    lines = 64 / mec_cpu_count();
    at.off = (((rnd >> 20) % lines) * mec_cpu_count() + cpu) * LINE;
    at.off += (rnd >> 32) % (LINE + 1 - at.size);
    at.p = mec_va(WIN_REALM, stress.page[at.page] + at.off);
    mec_set(ids[ctx]);
    if (op < 14) {
        return check_load(cpu, &at, ctx);
    } else if (op < 27) {
        store(&at, x);
        shadow_store(&at, ctx, x, at.size);
    } else if (op < 30) {
        return atomic_op(cpu, &at, ctx, x);
    } else if (op == 30) {
        at.off &= ~63U;
        at.p = (void *)((uint64_t)at.p & ~63UL);
        asm volatile("dc zva, %0" : : "r" (at.p) : "memory");
        shadow_store(&at, ctx, 0, 64);
    } else {
        mec_cipapa((stress.page[at.page] + at.off) | PA_NS | PA_NSE);
    }
    return true;
}

static uint64_t stress_cpu(void *arg)
{
    int cpu = mec_cpu_id();
    uint64_t seed = (uint64_t)arg, n = 0;

    do {
        unsigned i;

        for (i = 0; i < 256; i++, n++) {
            if (!one_op(cpu, &seed)) {
                stress.ops[cpu] = n;
                return 1;
            }
        }
    } while (mec_ticks() < stress.end);
    stress.ops[cpu] = n;
    return 0;
}

static void run_stress(void)
{
    static const char *what[] = { "", "read", "leak", "atomic" };
    unsigned seconds = mec_arg_num("seconds", 5), i;
    uint64_t seed = mec_arg_num("seed", 1), total = 0;
    int cpu, cpus = mec_cpu_count();

    mec_case(44, "stress: contexts, pages, sizes at random, on all CPUs");
    for (i = 0; i < PAGES; i++) {
        stress.page[i] = mec_page();
    }
    stress.shadow = (void *)mec_pages(sizeof(struct shadow) / 4096, 4096);
    memset(stress.shadow->ctx, CTXS, sizeof(stress.shadow->ctx));
    stress.end = mec_ticks() + seconds * mec_ticks_per_second();
    for (cpu = 1; cpu < cpus; cpu++) {
        mec_start_on(cpu, stress_cpu, (void *)(seed * 1000 + cpu));
    }
    stress_cpu((void *)(seed * 1000));
    for (cpu = 0; cpu < cpus; cpu++) {
        struct bad *b = &stress.bad[cpu];

        if (cpu) {
            mec_wait_for(cpu);
        }
        MEC_CHECK(!b->what, "CPU %d: %s at 0x%lx size %d: 0x%lx, not 0x%lx",
                  cpu, what[b->what], b->pa, (int)b->size, b->got, b->want);
        MEC_CHECK(stress.checked[cpu] > 10, "CPU %d checked nothing", cpu);
        ml_printf("# CPU %d: %ld operations, %ld values checked\n", cpu,
                  stress.ops[cpu], stress.checked[cpu]);
        total += stress.ops[cpu];
    }
    ml_printf("# %ld operations in %d s, seed %ld\n", total, seconds, seed);
    mec_done();
}

void mec_main(void)
{
    if (mec_cpu_count() < 2) {
        ml_printf("Bail out! needs -smp 2 and arg=cpus=2 at least\n");
        return;
    }
    if (!mec_arg("only")) {
        reader_and_writer();
        hand_over();
    }
    run_stress();
}
