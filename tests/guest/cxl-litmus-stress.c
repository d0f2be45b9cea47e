// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All kinds of accesses at random, against a shadow of memory
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "cxl-litmus.h"

/* ---- Stress, with a shadow of memory ---- */

/*
 * Word w of each line belongs to agent w % 4: CPU 0, CPU 1, device 0, device
 * 1. Its values only grow. Of a device's words those below 12 are added to,
 * the others are stored to.
 */
#define STRESS_PAGES 4
#define STRESS_WORDS (STRESS_PAGES * PAGE / 4)
#define OWNER(word) ((word) % 4)

typedef struct Stress {
    volatile uint32_t *word;
    uint32_t *known;        /* by word: own value, or others' last seen */
    uint64_t seed;
    uint64_t n;
} Stress;

static uint32_t cpu_rnd(Stress *s, uint32_t below)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 7;
    s->seed ^= s->seed << 17;
    return (s->seed >> 16) % below;
}

static void stress_check(Cpu *c, Stress *s, unsigned w, uint32_t got)
{
    if (OWNER(w) == (unsigned)c->cpu ? got != s->known[w] :
        got < s->known[w]) {
        bad(c, "word %u (of agent %u) is %u, was %u", w, OWNER(w), got,
            s->known[w]);
    }
    s->known[w] = got;
}

static void stress_op(Cpu *c, Stress *s)
{
    unsigned w = cpu_rnd(s, STRESS_WORDS);
    unsigned kind = cpu_rnd(s, 4);

    c->count++;
    if (kind == 0) {
        stress_check(c, s, w, s->word[w]);
        return;
    }
    w = w / 4 * 4 + c->cpu;
    if (kind == 1) {
        stress_check(c, s, w, s->word[w]);
    } else if (kind == 2) {
        s->word[w] = ++s->known[w];
    } else {
        stress_check(c, s, w, __atomic_fetch_add(&s->word[w], 1,
                                                 __ATOMIC_SEQ_CST));
        s->known[w]++;
    }
}

static void stress_cpu(Cpu *c)
{
    while (!stop) {
        breathe(c, OFTEN);
        stress_op(c, c->arg);
    }
}

/* The programs of one round, and what they do, in the order they do it */
typedef struct Round {
    Step steps[MAX_DEVS][CCT_NUM_STEPS];
    unsigned num[MAX_DEVS];
    unsigned first[MAX_DEVS][CCT_NUM_STEPS];    /* word */
    uint64_t n;
    uint32_t base;
} Round;

static void round_step(Round *r, int dev, Stress *s)
{
    static const uint8_t stores[] = { RD_OWN, WR_INV, WO_WR_INV };
    unsigned k = r->num[dev]++, line = rnd(STRESS_WORDS / 16);
    unsigned word = rnd(16), span = 64 - line % 64, kind = rnd(10);
    Step *t = &r->steps[dev][k];

    *t = (Step) { .size = 4, .stride = LINE, .wrap = 1 + rnd(span) };
    if (kind < 3) {
        word = rnd(3) * 4 + 2 + dev;
        t->op = CCT_OP_ADD;
        t->how = RD_OWN;
        t->value = 1;
        t->reg = 7;
    } else if (kind < 5) {
        word = 12 + 2 + dev;
        t->op = CCT_OP_STORE;
        t->how = stores[rnd(3)];
        t->operand = CCT_ITER;
        t->value = r->base;
    } else if (kind < 8) {
        t->op = CCT_OP_LOAD;
        t->how = RD_CURR + rnd(4);
        t->reg = k % 7;
    } else if (kind < 9) {
        t->op = CCT_OP_EVICT;
    } else {
        t->op = CCT_OP_FLUSH;
        t->how = CL_FLUSH;
    }
    r->first[dev][k] = line * 16 + word;
    t->at = s->word + r->first[dev][k];
}

static void round_make(Round *r, Stress *s)
{
    for (int i = 0; i < num_devs; i++) {
        unsigned n = 3 + rnd(4);

        r->num[i] = 0;
        while (r->num[i] < n) {
            round_step(r, i, s);
        }
        prog(&devs[i], r->n, 7);
        for (unsigned k = 0; k < n; k++) {
            step(&devs[i], r->steps[i][k]);
        }
    }
}

/* What was loaded, against what may have been there; and what is stored */
static void round_replay(Cpu *c, const Round *r, int dev, const uint32_t *low,
                         uint32_t *model, const uint32_t *high)
{
    uint32_t *last = malloc(STRESS_WORDS * 4);

    memcpy(last, low, STRESS_WORDS * 4);
    for (uint64_t i = 0; i < r->n; i++) {
        for (unsigned k = 0; k < r->num[dev]; k++) {
            const Step *t = &r->steps[dev][k];
            unsigned w = r->first[dev][k] + i % t->wrap * 16;
            uint32_t v = log_entry(&devs[dev], i)[t->reg];
            bool own = OWNER(w) == 2u + dev;

            if (t->op == CCT_OP_ADD) {
                model[w]++;
            } else if (t->op == CCT_OP_STORE) {
                model[w] = t->value + i;
            } else if (t->op == CCT_OP_LOAD) {
                if (own ? v != model[w] : v < last[w] || v > high[w]) {
                    bad(c, "device %d loads word %u by %s: %u, not %u to %u",
                        dev, w, how_names[t->how], v,
                        own ? model[w] : last[w], own ? model[w] : high[w]);
                }
                last[w] = v;
            }
        }
    }
    free(last);
}

static void stress_look(Cpu *c, Stress *s, uint32_t *copy)
{
    for (unsigned w = 0; w < STRESS_WORDS; w++) {
        copy[w] = s->word[w];
        stress_check(c, s, w, copy[w]);
    }
}

/* CPU 0's thread; CPU 1 goes on all the time */
static bool stress_round(Cpu *c, Stress *s, Round *r, uint32_t *model)
{
    static uint32_t low[STRESS_WORDS], high[STRESS_WORDS];
    double end = now() + limit;

    round_make(r, s);
    stress_look(c, s, low);
    agents_start();
    for (unsigned i = 0; agents_running() && (i % 256 || now() < end); i++) {
        for (int j = 0; j < 200; j++) {
            stress_op(c, s);
        }
    }
    if (!agents_end()) {
        return false;
    }
    stress_look(c, s, high);
    for (int i = 0; i < num_devs; i++) {
        round_replay(c, r, i, low, model, high);
    }
    for (unsigned w = 0; w < STRESS_WORDS; w++) {
        if (OWNER(w) >= 2 && high[w] != model[w]) {
            bad(c, "word %u of device %u is %u instead of %u", w,
                OWNER(w) - 2, high[w], model[w]);
            model[w] = high[w];
        }
    }
    r->base += r->n;
    return true;
}

typedef struct StressMain {
    Stress *s;
    uint64_t ops;
    uint64_t rounds;
} StressMain;

static void stress_main(Cpu *c)
{
    static uint32_t model[STRESS_WORDS];
    StressMain *m = c->arg;
    Round r = { .n = 100, .base = 1 };

    memset(model, 0, sizeof(model));
    for (m->rounds = 0; m->rounds < times(60); m->rounds++) {
        if (!stress_round(c, m->s, &r, model)) {
            break;
        }
        for (int i = 0; i < num_devs; i++) {
            m->ops += r.n * r.num[i];
        }
    }
}

void test_stress(void)
{
    static uint32_t known[CPUS][STRESS_WORDS];
    volatile uint32_t *mem = alloc_pages(STRESS_PAGES, PROT_READ | PROT_WRITE);
    Stress s[CPUS];
    StressMain m = { &s[0], 0, 0 };
    uint64_t first_seed = seed;

    memset(known, 0, sizeof(known));
    for (int i = 0; i < CPUS; i++) {
        s[i] = (Stress) { mem, known[i], seed + i + 1, 0 };
    }
    cpu_work(1, stress_cpu, &s[1]);
    run_main(stress_main, &m);
    verdict(true, "stress, seed %llu: %llu rounds, %llu operations of "
            "devices", (ULL)first_seed, (ULL)m.rounds, (ULL)m.ops);
    free_pages((void *)mem, STRESS_PAGES);
}
