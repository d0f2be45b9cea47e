// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which stores an agent may see, and in which order
 *
 * In most tests all stores to a location are increasing numbers, so that a
 * load tells which stores came before it, and a forbidden outcome of any two
 * iterations of two agents can be found by comparing numbers: iteration i
 * (from 0) stores i + 1.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include "cxl-litmus.h"

#define NEVER UINT64_MAX

static inline void mfence(void)
{
    __asm__ volatile("mfence" ::: "memory");
}

/* Where two cells are, relative to each other */
static const struct place {
    const char *name;
    unsigned a, b;
} places[] = {
    { "one line", 8, 48 },
    { "one page", 8, 5 * LINE + 16 },
    { "two pages", 8, PAGE + 7 * LINE + 24 },
};

#define PLACES (sizeof(places) / sizeof(places[0]))

static bool full_line(uint8_t how)
{
    return how == RD_OWN_NO_DATA || how == I_TO_M_WR || how == WR_CUR ||
           how == WO_WR_INV_F;
}

/*
 * Agents that are not in step should not be far apart either: a device is no
 * more than LAG stores ahead of what the CPU has acknowledged, by a cell that
 * no test looks at.
 */
#define LAG 2

static Cell *ack_cell;  /* one for each device, in lines of their own */

void order_init(void)
{
    ack_cell = alloc_pages(1, PROT_READ | PROT_WRITE);
}

static void acknowledge(uint64_t seen)
{
    *ack_cell = seen + LAG;
}

static void wait_acknowledged(Dev *d)
{
    *ack_cell = LAG;
    step(d, (Step) { CCT_OP_WAIT_GE, RD_CURR, .operand = CCT_ITER, .value = 1,
                     .at = ack_cell });
}

/* ---- MP: message passing ---- */

/*
 * A reader: by the time that it sees the flag it must see the data; not so of
 * data that were only posted, @relaxed.
 */
typedef struct Pair {
    Cell *data;
    Cell *flag;
    bool relaxed;
} Pair;

static void mp_reader(Cpu *c)
{
    Pair *p = c->arg;
    uint64_t last = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        uint64_t flag = *p->flag;
        uint64_t data = *p->data;

        if (data < flag && p->relaxed) {
            c->relaxed += flag != last;
        } else if (data < flag) {
            bad(c, "flag %llu, data %llu", (ULL)flag, (ULL)data);
        }
        if (flag < last) {
            bad(c, "flag %llu after %llu", (ULL)flag, (ULL)last);
        }
        if (flag != last && c->cpu == 0) {
            acknowledge(flag);
        }
        c->seen += flag != last;
        last = flag;
    }
}

static void mp_writer(Cpu *c)
{
    Pair *p = c->arg;

    while (!stop) {
        breathe(c, OFTEN);
        c->count++;
        *p->data = c->count;
        *p->flag = c->count;
    }
}

static void mp_to_cpu(const struct place *pl, uint8_t data, uint8_t flag)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Pair p = { cell(mem, pl->a), cell(mem, pl->b), false };

    prog(&devs[0], times(400), 0);
    step(&devs[0], (Step) { CCT_OP_STORE, data, .operand = CCT_ITER,
                            .at = p.data, .value = 1 });
    step(&devs[0], (Step) { CCT_OP_STORE, flag, .operand = CCT_ITER,
                            .at = p.flag, .value = 1 });
    wait_acknowledged(&devs[0]);
    cpu_work(0, mp_reader, &p);
    cpu_work(1, mp_reader, &p);
    run();
    verdict(true, "MP device to CPUs: data %s, flag %s, %s", how_names[data],
            how_names[flag], pl->name);
    free_pages(mem, 2);
}

/* What the device logged: flag, data */
static void mp_check_log(Dev *d, uint64_t *changes)
{
    uint64_t last[2] = { 0, 0 };

    *changes = 0;
    for (uint64_t i = 0; i < d->iterations; i++) {
        uint64_t *e = log_entry(d, i);

        if (e[1] < e[0] || e[0] < last[0] || e[1] < last[1]) {
            bad(&cpus[0], "device, iteration %llu: flag %llu, data %llu after "
                "%llu, %llu", (ULL)i, (ULL)e[0], (ULL)e[1], (ULL)last[0],
                (ULL)last[1]);
        }
        *changes += e[0] != last[0];
        last[0] = e[0];
        last[1] = e[1];
    }
}

static void mp_to_device(const struct place *pl, uint8_t flag, uint8_t data)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Pair p = { cell(mem, pl->a), cell(mem, pl->b), false };
    uint64_t changes = 0;

    prog(&devs[0], times(400), 2);
    wait_change(&devs[0], flag, p.flag);
    step(&devs[0], (Step) { CCT_OP_LOAD, data, .reg = 1, .at = p.data });
    cpu_work(0, mp_writer, &p);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        mp_check_log(&devs[0], &changes);
    }
    verdict(changes > 1, "MP CPU to device: flag %s, data %s, %s: device saw "
            "%llu", how_names[flag], how_names[data], pl->name, (ULL)changes);
    free_pages(mem, 2);
}

void test_mp(void)
{
    static const uint8_t to_cpu[][2] = {
        { RD_OWN, RD_OWN }, { WR_INV, WR_INV }, { WO_WR_INV, RD_OWN },
        { RD_OWN_NO_DATA, WR_INV }, { I_TO_M_WR, RD_OWN }, { WR_CUR, WR_INV },
        { WO_WR_INV_F, RD_OWN_NO_DATA },
    };
    static const uint8_t to_device[][2] = {
        { RD_CURR, RD_CURR }, { RD_SHARED, RD_SHARED }, { RD_OWN, RD_OWN },
        { RD_ANY, RD_ANY }, { RD_CURR, RD_SHARED }, { RD_SHARED, RD_CURR },
    };

    for (unsigned i = 0; i < PLACES; i++) {
        for (unsigned j = 0; j < sizeof(to_cpu) / 2; j++) {
            if (places[i].b / LINE == places[i].a / LINE &&
                (full_line(to_cpu[j][0]) || full_line(to_cpu[j][1]))) {
                continue;
            }
            mp_to_cpu(&places[i], to_cpu[j][0], to_cpu[j][1]);
        }
        for (unsigned j = 0; j < sizeof(to_device) / 2; j++) {
            mp_to_device(&places[i], to_device[j][0], to_device[j][1]);
        }
    }
}

/* ---- SB, LB: two agents, each stores one and loads the other ---- */

/*
 * @first[k]: the first iteration in which the CPU loaded at least k; NEVER if
 * there was none
 */
typedef struct Cross {
    Cell *mine;
    Cell *theirs;
    bool fence;
    uint64_t n;
    uint64_t *first;
} Cross;

static void cross_init(Cross *x, uint64_t n)
{
    x->n = n;
    x->first = malloc((n + 2) * sizeof(*x->first));
    for (uint64_t i = 0; i <= n + 1; i++) {
        x->first[i] = NEVER;
    }
    x->first[0] = 0;
}

static void cross_loaded(Cross *x, uint64_t *known, uint64_t value, uint64_t j)
{
    while (*known < value && *known <= x->n) {
        x->first[++*known] = j;
    }
}

static void sb_cpu(Cpu *c)
{
    Cross *x = c->arg;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        *x->mine = c->count + 1;
        if (x->fence) {
            mfence();
        }
        cross_loaded(x, &c->seen, *x->theirs, c->count);
    }
}

/*
 * The device's iteration i loaded v: the CPU's iteration v came later. So that
 * one must have loaded i + 1 or more.
 */
static uint64_t sb_weak(Dev *d, const Cross *x, uint64_t cpu_count,
                        uint64_t *close)
{
    uint64_t weak = 0;

    *close = 0;
    for (uint64_t i = 0; i < d->iterations; i++) {
        uint64_t v = log_entry(d, i)[1];

        weak += v < cpu_count && x->first[i + 1] > v;
        *close += x->first[i + 1] == v;
    }
    return weak;
}

static void sb(const struct place *pl, uint8_t store, uint8_t load, bool fence)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cross x = { cell(mem, pl->a), cell(mem, pl->b), fence, 0, NULL };
    uint64_t weak = 0, close = 0;

    prog(&devs[0], times(400), 2);
    cross_init(&x, devs[0].iterations);
    step(&devs[0], (Step) { CCT_OP_STORE, store, .operand = CCT_ITER,
                            .at = x.theirs, .value = 1 });
    step(&devs[0], (Step) { CCT_OP_LOAD, load, .reg = 1, .at = x.mine });
    wait_change(&devs[0], RD_CURR, x.mine);
    cpu_work(0, sb_cpu, &x);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        weak = sb_weak(&devs[0], &x, cpus[0].count, &close);
    }
    verdict(!weak || !fence, "SB%s: store %s, load %s, %s: both zero %llu%s, "
            "close %llu", fence ? " with fences" : "", how_names[store],
            how_names[load], pl->name, (ULL)weak,
            fence ? "" : " (allowed)", (ULL)close);
    free(x.first);
    free_pages(mem, 2);
}

void test_sb(void)
{
    static const uint8_t hows[][2] = {
        { RD_OWN, RD_CURR }, { RD_OWN, RD_SHARED }, { RD_OWN, RD_OWN },
        { WR_INV, RD_CURR }, { RD_OWN_NO_DATA, RD_SHARED },
    };

    for (unsigned i = 0; i < PLACES; i++) {
        for (unsigned j = 0; j < sizeof(hows) / 2; j++) {
            if (i || !full_line(hows[j][0])) {
                sb(&places[i], hows[j][0], hows[j][1], true);
            }
        }
        sb(&places[i], RD_OWN, RD_CURR, false);
        sb(&places[i], WR_INV, RD_SHARED, false);
    }
}

/* ---- MP, SB of a device whose store is only posted ---- */

/*
 * It is still under way when the device does what follows: another device has
 * its line, and has to be asked. Where it is joined before, all is as ever.
 */
static void post_step(uint8_t how, Cell *at, bool join)
{
    Dev *d = &devs[0];

    step(d, (Step) { CCT_OP_POST, how, .operand = CCT_ITER, .at = at,
                     .value = 1 });
    if (join) {
        step(d, (Step) { .op = CCT_OP_JOIN });
    }
}

/* Every now and then: a line that nobody else uses takes a round trip. */
static void take_again(uint64_t iterations, uint8_t how, Cell *at)
{
    Dev *d = &devs[1];

    if (num_devs > 1) {
        prog(d, iterations, 0);
        step(d, (Step) { CCT_OP_LOAD, how, .reg = 1, .at = at });
        step(d, (Step) { CCT_OP_LOAD, RD_CURR, .reg = 2, .at = ack_cell + 16 });
    }
}

static void mp_posted(const struct place *pl, uint8_t data, bool join)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Pair p = { cell(mem, pl->a), cell(mem, pl->b), !join };
    uint64_t n = times(400);

    prog(&devs[0], n, 0);
    post_step(data, p.data, join);
    step(&devs[0], (Step) { CCT_OP_STORE, WR_INV, .operand = CCT_ITER,
                            .at = p.flag, .value = 1 });
    step(&devs[0], (Step) { .op = CCT_OP_JOIN });
    wait_acknowledged(&devs[0]);
    /* CPUs may read what is shared until the store is there. */
    take_again(2 * n, RD_SHARED, p.data);
    cpu_work(0, mp_reader, &p);
    cpu_work(1, mp_reader, &p);
    run();
    verdict(true, "MP device to CPUs: data by %s posted%s, flag WrInv, %s",
            how_names[data], join ? " and joined" : "", pl->name);
    free_pages(mem, 2);
}

static void sb_posted(const struct place *pl, bool join)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cross x = { cell(mem, pl->a), cell(mem, pl->b), true, 0, NULL };
    uint64_t weak = 0, close = 0, n = times(400);

    prog(&devs[0], n, 2);
    cross_init(&x, devs[0].iterations);
    post_step(WR_INV, x.theirs, join);
    step(&devs[0], (Step) { CCT_OP_LOAD, RD_CURR, .reg = 1, .at = x.mine });
    step(&devs[0], (Step) { .op = CCT_OP_JOIN });
    wait_change(&devs[0], RD_CURR, x.mine);
    take_again(2 * n, RD_OWN, x.theirs);
    cpu_work(0, sb_cpu, &x);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        weak = sb_weak(&devs[0], &x, cpus[0].count, &close);
        cpus[0].relaxed = join ? 0 : weak;
    }
    verdict(!weak || !join, "SB with fences: store by WrInv posted%s, load "
            "RdCurr, %s: both zero %llu%s, close %llu",
            join ? " and joined" : "", pl->name, (ULL)weak,
            join ? "" : " (allowed)", (ULL)close);
    free(x.first);
    free_pages(mem, 2);
}

void test_posted(void)
{
    for (unsigned i = 1; i < PLACES; i++) {
        for (int join = 0; join < 2; join++) {
            mp_posted(&places[i], WR_INV, join);
            mp_posted(&places[i], I_TO_M_WR, join);
            sb_posted(&places[i], join);
        }
    }
}

static void lb_cpu(Cpu *c)
{
    Cross *x = c->arg;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        cross_loaded(x, &c->seen, *x->theirs, c->count);
        *x->mine = c->count + 1;
    }
}

/* The device's iteration i loaded v, so the CPU's v - 1 came before. */
static void lb(const struct place *pl, uint8_t load, uint8_t store)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cross x = { cell(mem, pl->a), cell(mem, pl->b), false, 0, NULL };
    uint64_t wrong = 0;

    prog(&devs[0], times(400), 2);
    cross_init(&x, devs[0].iterations);
    step(&devs[0], (Step) { CCT_OP_LOAD, load, .reg = 1, .at = x.mine });
    step(&devs[0], (Step) { CCT_OP_STORE, store, .operand = CCT_ITER,
                            .at = x.theirs, .value = 1 });
    wait_change(&devs[0], RD_CURR, x.mine);
    cpu_work(0, lb_cpu, &x);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        for (uint64_t i = 0; i < devs[0].iterations; i++) {
            wrong += x.first[i + 1] < log_entry(&devs[0], i)[1];
        }
    }
    verdict(!wrong, "LB: load %s, store %s, %s: out of thin air %llu",
            how_names[load], how_names[store], pl->name, (ULL)wrong);
    free(x.first);
    free_pages(mem, 2);
}

void test_lb(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        lb(&places[i], RD_CURR, RD_OWN);
        lb(&places[i], RD_SHARED, WR_INV);
    }
}

/* ---- Coherence of one location ---- */

static void corr_reader(Cpu *c)
{
    Cell *x = c->arg;
    uint64_t last = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        uint64_t r1 = *x, r2 = *x;

        if (r1 < last || r2 < r1) {
            bad(c, "%llu, %llu after %llu", (ULL)r1, (ULL)r2, (ULL)last);
        }
        if (r2 != last && c->cpu == 0) {
            acknowledge(r2);
        }
        c->seen += r2 != last;
        last = r2;
    }
}

static void corr_writer(Cpu *c)
{
    Cell *x = c->arg;

    while (!stop) {
        breathe(c, OFTEN);
        *x = ++c->count;
    }
}

/* CoRR, and CoWW by two stores in each iteration: 2i + 1, 2i + 2 */
static void corr_from_device(uint8_t how, bool evict)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, 3 * LINE);
    uint64_t n = times(600), end;

    prog(&devs[0], n, 0);
    step(&devs[0], (Step) { CCT_OP_STORE, how, .operand = CCT_ITER,
                            .at = x, .value = 1 });
    if (evict) {
        step(&devs[0], (Step) { CCT_OP_EVICT, .at = x });
    }
    wait_acknowledged(&devs[0]);
    cpu_work(0, corr_reader, (void *)x);
    cpu_work(1, corr_reader, (void *)x);
    run();
    end = *x;
    verdict(all_done(devs, 1, end), "CoRR, CoWW: device stores by %s%s, CPUs "
            "load: last %llu of %llu", how_names[how],
            evict ? ", evicts" : "", (ULL)end, (ULL)devs[0].iterations);
    free_pages(mem, 1);
}

static void corr_from_cpu(uint8_t how)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, 3 * LINE);
    uint64_t changes = 0;

    prog(&devs[0], times(600), 2);
    wait_change(&devs[0], how, x);
    step(&devs[0], (Step) { CCT_OP_LOAD, how, .reg = 1, .at = x });
    cpu_work(0, corr_writer, (void *)x);
    cpu_work(1, corr_reader, (void *)x);
    if (run()) {
        uint64_t last = 0;

        for (uint64_t i = 0; i < devs[0].iterations; i++) {
            uint64_t *e = log_entry(&devs[0], i);

            if (e[0] < last || e[1] < e[0]) {
                bad(&cpus[0], "device: %llu, %llu after %llu", (ULL)e[0],
                    (ULL)e[1], (ULL)last);
            }
            changes += e[1] != last;
            last = e[1];
        }
    }
    verdict(changes > 1, "CoRR: CPU stores, CPU and device by %s load: device "
            "saw %llu", how_names[how], (ULL)changes);
    free_pages(mem, 1);
}

/*
 * CoWR: two store to one location, each with a tag of its own, and load. What
 * is loaded must be the own last store or a later one of the other.
 */
#define TAG (1ULL << 40)

static void cowr_cpu(Cpu *c)
{
    Cell *x = c->arg;
    uint64_t other = 0, v;

    while (!stop) {
        breathe(c, OFTEN);
        *x = ++c->count;
        v = *x;
        if (v < TAG) {
            if (v != c->count) {
                bad(c, "stored %llu, loaded %llu", (ULL)c->count, (ULL)v);
            }
        } else {
            if (v <= other) {
                bad(c, "stored %llu, loaded the device's %llu although %llu "
                    "had been overwritten", (ULL)c->count, (ULL)(v - TAG),
                    (ULL)(other - TAG));
            }
            other = v;
            c->seen++;
        }
    }
}

static void cowr(uint8_t store, uint8_t load)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, 9 * LINE + 32);
    uint64_t other = 0, seen = 0;

    prog(&devs[0], times(600), 1);
    step(&devs[0], (Step) { CCT_OP_STORE, store, .operand = CCT_ITER,
                            .at = x, .value = TAG + 1 });
    step(&devs[0], (Step) { CCT_OP_LOAD, load, .reg = 0, .at = x });
    step(&devs[0], (Step) { CCT_OP_WAIT_NE, RD_CURR, .operand = CCT_ITER,
                            .reg = 1, .at = x, .value = TAG + 1 });
    cpu_work(0, cowr_cpu, (void *)x);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        for (uint64_t i = 0; i < devs[0].iterations; i++) {
            uint64_t v = *log_entry(&devs[0], i);

            if (v >= TAG ? v != TAG + i + 1 : v <= other) {
                bad(&cpus[0], "device stored %llu, loaded 0x%llx, before "
                    "0x%llx", (ULL)i + 1, (ULL)v, (ULL)other);
            }
            if (v < TAG) {
                other = v;
                seen++;
            }
        }
    }
    verdict(true, "CoWR: CPU and device store by %s and load by %s: device "
            "saw the CPU's %llu", how_names[store], how_names[load],
            (ULL)seen);
    free_pages(mem, 1);
}

/* Nobody may see a part of a store: eight bytes that are always the same. */
#define EIGHT 0x0101010101010101ULL

static void torn_reader(Cpu *c)
{
    Cell *x = c->arg;
    uint64_t last = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        uint64_t v = *x;

        if (v % EIGHT || v / EIGHT > 255) {
            bad(c, "0x%016llx", (ULL)v);
        }
        c->seen += v != last;
        last = v;
    }
}

/* Any two stores that follow each other differ in all bytes. */
static void torn(uint8_t how)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, 5 * LINE);

    prog(&devs[0], times(how == WR_INV || how == WO_WR_INV ? 20000 : 200), 0);
    for (unsigned k = 1; k <= CCT_NUM_STEPS; k++) {
        step(&devs[0], (Step) { CCT_OP_STORE, how, .at = x,
                                .value = k * 37 % 256 * EIGHT });
    }
    cpu_work(0, torn_reader, (void *)x);
    cpu_work(1, torn_reader, (void *)x);
    run();
    verdict(true, "stores by %s are seen as a whole", how_names[how]);
    free_pages(mem, 1);
}

/* And what the device loads */
static void torn_writer(Cpu *c)
{
    Cell *x = c->arg;

    while (!stop) {
        breathe(c, OFTEN);
        *x = (c->count++ & 255) * EIGHT;
    }
}

static void torn_load(uint8_t how)
{
    void *mem = alloc_pages(1, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, 5 * LINE);

    prog(&devs[0], times(600), 1);
    wait_change(&devs[0], how, x);
    cpu_work(0, torn_writer, (void *)x);
    cpu_work(1, noise, (char *)mem + 16 * LINE);
    if (run()) {
        for (uint64_t i = 0; i < devs[0].iterations; i++) {
            if (*log_entry(&devs[0], i) % EIGHT) {
                bad(&cpus[0], "0x%016llx", (ULL)*log_entry(&devs[0], i));
            }
        }
    }
    verdict(true, "loads by %s are of whole stores", how_names[how]);
    free_pages(mem, 1);
}

void test_co(void)
{
    static const uint8_t stores[] = {
        RD_OWN, WR_INV, WO_WR_INV, RD_OWN_NO_DATA, I_TO_M_WR, WR_CUR,
        WO_WR_INV_F,
    };
    static const uint8_t loads[] = { RD_CURR, RD_OWN, RD_SHARED, RD_ANY };

    for (unsigned i = 0; i < sizeof(stores); i++) {
        corr_from_device(stores[i], false);
    }
    corr_from_device(RD_OWN, true);
    corr_from_device(RD_OWN_NO_DATA, true);
    for (unsigned i = 0; i < sizeof(loads); i++) {
        corr_from_cpu(loads[i]);
    }
    for (unsigned i = 0; i < sizeof(stores); i++) {
        torn(stores[i]);
    }
    torn_load(RD_CURR);
    torn_load(RD_SHARED);
    cowr(RD_OWN, RD_CURR);
    cowr(WR_INV, RD_CURR);
    cowr(RD_OWN_NO_DATA, RD_SHARED);
}

/* ---- Three agents ---- */

/* WRC: what one saw and passed on, the third must see as well. */
static void wrc_relay(Cpu *c)
{
    Pair *p = c->arg;
    uint64_t last = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        uint64_t v = *p->data;

        if (v != last) {
            acknowledge(v);
        }
        c->seen += v != last;
        last = v;
        *p->flag = v;
    }
}

static void wrc(int shape, const struct place *pl)
{
    static const char *const names[] = {
        "device stores, CPU relays, CPU loads",
        "CPU stores, device relays, CPU loads",
        "CPU stores, CPU relays, device loads",
    };
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Pair p = { cell(mem, pl->a), cell(mem, pl->b), false };
    Dev *d = &devs[0];
    uint64_t changes = 2;

    prog(d, times(500), shape == 2 ? 2 : 0);
    if (shape == 0) {
        step(d, (Step) { CCT_OP_STORE, RD_OWN, .operand = CCT_ITER,
                         .at = p.data, .value = 1 });
        wait_acknowledged(d);
        cpu_work(0, wrc_relay, &p);
        cpu_work(1, mp_reader, &p);
    } else if (shape == 1) {
        wait_change(d, RD_SHARED, p.data);
        step(d, (Step) { CCT_OP_STORE, RD_OWN, .operand = CCT_REG,
                         .at = p.flag });
        cpu_work(0, corr_writer, (void *)p.data);
        cpu_work(1, mp_reader, &p);
    } else {
        wait_change(d, RD_SHARED, p.flag);
        step(d, (Step) { CCT_OP_LOAD, RD_SHARED, .reg = 1, .at = p.data });
        cpu_work(0, corr_writer, (void *)p.data);
        cpu_work(1, wrc_relay, &p);
    }
    if (run() && shape == 2) {
        mp_check_log(d, &changes);
    }
    verdict(changes > 1, "WRC: %s, %s", names[shape], pl->name);
    free_pages(mem, 2);
}

/* W+RWC: the device stores x; one loads x, y; one stores y, fence, loads x */
typedef struct Seer {
    Cell *a;
    Cell *b;
    Cell *ack;
    uint64_t n;
    uint64_t *least;    /* b, when a was first seen with that value */
} Seer;

static void seer_cpu(Cpu *c)
{
    Seer *s = c->arg;
    uint64_t last = 0;

    for (; !stop; c->count++) {
        breathe(c, OFTEN);
        uint64_t a = *s->a;
        uint64_t b = *s->b;

        if (a != last && a <= s->n) {
            s->least[a] = b;
            c->seen++;
            *s->ack = a + LAG;
        }
        last = a;
    }
}

static void seer_init(Seer *s, uint64_t n)
{
    s->n = n;
    s->least = malloc((n + 1) * sizeof(*s->least));
    for (uint64_t i = 0; i <= n; i++) {
        s->least[i] = NEVER;
    }
}

static void rwc(const struct place *pl)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cross x = { cell(mem, pl->a), cell(mem, pl->b), true, 0, NULL };
    Seer s = { x.theirs, x.mine, ack_cell, 0, NULL };
    uint64_t wrong = 0;

    prog(&devs[0], times(500), 0);
    cross_init(&x, devs[0].iterations);
    seer_init(&s, devs[0].iterations);
    step(&devs[0], (Step) { CCT_OP_STORE, RD_OWN, .operand = CCT_ITER,
                            .at = x.theirs, .value = 1 });
    wait_acknowledged(&devs[0]);
    cpu_work(0, seer_cpu, &s);
    cpu_work(1, sb_cpu, &x);
    run();
    /* a seen, but not y = j + 1: that store came later, and its load */
    for (uint64_t a = 1; a <= s.n; a++) {
        wrong += s.least[a] < cpus[1].count && x.first[a] > s.least[a];
    }
    verdict(!wrong, "W+RWC: device stores, CPUs, %s: forbidden %llu",
            pl->name, (ULL)wrong);
    free(x.first);
    free(s.least);
    free_pages(mem, 2);
}

/* IRIW: two devices store, two CPUs disagree about the order? */
static void iriw(const struct place *pl, uint8_t how)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cell *x = cell(mem, pl->a), *y = cell(mem, pl->b);
    Seer s0 = { x, y, ack_cell, 0, NULL };
    Seer s1 = { y, x, ack_cell + 8, 0, NULL };
    uint64_t n = times(500), wrong = 0;

    for (int i = 0; i < 2; i++) {
        prog(&devs[i], n, 0);
        step(&devs[i], (Step) { CCT_OP_STORE, how, .operand = CCT_ITER,
                                .at = i ? y : x, .value = 1 });
        ack_cell[i * 8] = LAG;
        step(&devs[i], (Step) { CCT_OP_WAIT_GE, RD_CURR, .operand = CCT_ITER,
                                .value = 1, .at = ack_cell + i * 8 });
    }
    seer_init(&s0, n);
    seer_init(&s1, n);
    cpu_work(0, seer_cpu, &s0);
    cpu_work(1, seer_cpu, &s1);
    run();
    /* CPU 0 saw x = a, y = b. If CPU 1 saw y > b it must have seen x >= a. */
    for (uint64_t a = 1; a <= n; a++) {
        uint64_t b = s0.least[a] + 1;

        while (s0.least[a] < n && b <= n && s1.least[b] == NEVER) {
            b++;
        }
        wrong += s0.least[a] < n && b <= n && s1.least[b] < a;
    }
    verdict(!wrong, "IRIW: two devices store by %s, CPUs load, %s: forbidden "
            "%llu", how_names[how], pl->name, (ULL)wrong);
    free(s0.least);
    free(s1.least);
    free_pages(mem, 2);
}

/* ... and the other way round. Logs: the first loaded, then the second */
static void iriw_reverse(const struct place *pl, uint8_t how)
{
    void *mem = alloc_pages(2, PROT_READ | PROT_WRITE);
    Cell *xy[2] = { cell(mem, pl->a), cell(mem, pl->b) };
    uint64_t wrong = 0;

    for (int i = 0; i < 2; i++) {
        prog(&devs[i], times(500), 2);
        wait_change(&devs[i], how, xy[i]);
        step(&devs[i], (Step) { CCT_OP_LOAD, how, .reg = 1, .at = xy[!i] });
        cpu_work(i, corr_writer, (void *)xy[i]);
    }
    if (run()) {
        uint64_t n = devs[1].iterations;

        for (uint64_t i = 0, j = 0; i < devs[0].iterations; i++) {
            uint64_t *e = log_entry(&devs[0], i);

            while (j < n && log_entry(&devs[1], j)[0] <= e[1]) {
                j++;
            }
            wrong += j < n && log_entry(&devs[1], j)[1] < e[0];
        }
    }
    verdict(!wrong, "IRIW: CPUs store, two devices load by %s, %s: forbidden "
            "%llu", how_names[how], pl->name, (ULL)wrong);
    free_pages(mem, 2);
}

void test_three(void)
{
    for (unsigned i = 0; i < PLACES; i++) {
        for (int shape = 0; shape < 3; shape++) {
            wrc(shape, &places[i]);
        }
        rwc(&places[i]);
    }
    if (num_devs < 2) {
        skip("IRIW", "there is one device only");
        return;
    }
    for (unsigned i = 0; i < PLACES; i++) {
        iriw(&places[i], RD_OWN);
        iriw(&places[i], WR_INV);
        iriw_reverse(&places[i], RD_SHARED);
        iriw_reverse(&places[i], RD_CURR);
    }
}
