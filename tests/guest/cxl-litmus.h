/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For litmus tests inside the guest: the cxl-cache-testdev devices, memory of
 * which the physical address is known, two pinned threads, and TAP.
 */
#ifndef GUEST_CXL_LITMUS_H
#define GUEST_CXL_LITMUS_H

#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>
#include "hw/cxl/cxl_cache_testdev.h"

#define PAGE 4096
#define LINE 64
#define CPUS 2
#define MAX_DEVS 2
#define MAX_LOG (2u << 20)

/* D2H opcodes */
enum {
    RD_CURR = 1, RD_OWN, RD_SHARED, RD_ANY, RD_OWN_NO_DATA, I_TO_M_WR, WR_CUR,
    CL_FLUSH, WO_WR_INV = 12, WO_WR_INV_F, WR_INV
};

/**
 * Dev: a device that was found
 * @steps: of the program so far
 * @iterations: to be done in this run; 0 if the agent takes no part
 * @cut_off: run() stopped it early, @iterations says when, and maybe within
 *           the next iteration
 * @log: what the agent logged, @log_regs values for each iteration
 */
typedef struct Dev {
    volatile uint8_t *bar;
    unsigned steps;
    uint64_t iterations;
    bool cut_off;
    volatile uint64_t *log;
    unsigned log_regs;
} Dev;

/**
 * Cpu: one of the two threads
 * @fn: its work, until stopped() says true; NULL for none
 * @seen: how often another's store was noticed
 * @bad: forbidden outcomes
 * @relaxed: outcomes that are allowed, and cannot be where nothing takes time
 */
typedef struct Cpu Cpu;
struct Cpu {
    int cpu;
    void (*fn)(Cpu *c);
    void *arg;
    uint64_t count;
    uint64_t seen;
    uint64_t bad;
    uint64_t relaxed;
    char what[160];
};

extern Dev devs[MAX_DEVS];
extern int num_devs;
extern Cpu cpus[CPUS];
extern unsigned scale;      /* percent */
extern unsigned limit;      /* seconds for a program */
extern bool give_up;        /* at the first point that is not ok */
extern volatile int stop;
extern uint64_t seed;
extern int points, failures;

/**
 * Totals: what was done for all points so far
 * @steps: of agents, each of which is an access, looks of their WAITs too
 * @rounds: of CPUs' loops, each of which has one access or more
 * @relaxed: see Cpu
 */
typedef struct Totals {
    uint64_t steps;
    uint64_t rounds;
    uint64_t relaxed;
} Totals;

extern Totals totals;

/* The scaled number of repetitions */
static inline uint64_t times(uint64_t n)
{
    n = n * scale / 100;
    return n < 16 ? 16 : n;
}

uint32_t rnd(uint32_t below);
double now(void);
void die(const char *what);

void find_devices(void);

/* @n pages in one piece of this process's memory, zeroed, that stay there */
void *alloc_pages(unsigned n, int prot);
void free_pages(void *p, unsigned n);
uint64_t phys(const volatile void *p);

/* Single operations of a device: synchronous */
void dev_write(Dev *d, volatile void *p, const void *buf, unsigned len,
               bool keep);
void dev_read(Dev *d, const volatile void *p, void *buf, unsigned len);
void dev_write_phys(Dev *d, uint64_t addr, const void *buf, unsigned len,
                    bool keep);
void dev_read_phys(Dev *d, uint64_t addr, void *buf, unsigned len);
void dev_flush(Dev *d);

/* The agent's program; prog_run() starts it, ends when it has ended */
typedef struct Step {
    uint8_t op;
    uint8_t how;
    uint8_t size;           /* 8 if 0 */
    uint8_t operand;
    uint8_t reg;
    uint8_t src;
    volatile void *at;
    uint64_t value;
    uint32_t stride;
    uint32_t wrap;          /* 1 if 0 */
} Step;

void prog(Dev *d, uint64_t iterations, unsigned log_regs);
void step(Dev *d, Step s);
void cpu_work(int cpu, void (*fn)(Cpu *c), void *arg);
bool run(void);

/* Instead of run(): @fn is CPU 0's work, starts agents, ends when it ends */
void run_main(void (*fn)(Cpu *c), void *arg);
void agents_start(void);
bool agents_running(void);
bool agents_end(void);

void bad(Cpu *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* TAP; @ok and what run() and bad() said must be good */
void verdict(bool ok, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void skip(const char *name, const char *why);

/* ---- For tests ---- */

#define ULL unsigned long long

/* Memory that agents share */
typedef volatile uint64_t Cell;

/* A cell in @page, by byte offset */
static inline Cell *cell(void *page, unsigned offset)
{
    return (Cell *)((char *)page + offset);
}

/* Whether @got is what the devices must have done, each once an iteration */
static inline bool all_done(Dev *d, int n, uint64_t got)
{
    uint64_t least = 0, most = 0;

    for (int i = 0; i < n; i++) {
        least += d[i].iterations;
        most += d[i].iterations + d[i].cut_off;
    }
    return got >= least && got <= most;
}

static inline uint64_t *log_entry(Dev *d, uint64_t i)
{
    return (uint64_t *)d->log + i * d->log_regs;
}

/*
 * Threads that spin all the time would have the agents wait for a CPU of the
 * host, and for all of a time slice.
 */
static inline void breathe(Cpu *c, unsigned often)
{
    if (c->count % often == 0) {
        usleep(10);
    }
}

#define OFTEN 32768

extern const char *const how_names[];

/* Work for cpu_work(): gets in the way, in other lines; @arg is where */
void noise(Cpu *c);
/* A step: until a CPU has changed @at; r0 is what was there last. */
void wait_change(Dev *d, uint8_t how, Cell *at);

void order_init(void);
void test_mp(void);
void test_sb(void);
void test_posted(void);
void test_lb(void);
void test_co(void);
void test_three(void);
void test_atomic(void);
void test_split(void);
void test_tight(void);
void test_sharing(void);
void test_code(void);
void test_table(void);
void test_stress(void);
void test_crypto(void);
void bench(void);

#endif
