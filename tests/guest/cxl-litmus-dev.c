// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the litmus tests stand on: devices, memory, threads, TAP.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "cxl-litmus.h"

#define POLL_US 2000
#define BUDGET 0.7      /* seconds for a run() */
#define ENOUGH 16       /* iterations, if they take longer than that */

Dev devs[MAX_DEVS];
int num_devs;
Cpu cpus[CPUS];
unsigned scale = 100;
volatile int stop;
uint64_t seed = 1;
unsigned limit = 60;
int points, failures;
bool give_up;
Totals totals;

static volatile int ready, go;
static char trouble[256];
static double began;
static int pagemap = -1;

uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 16) % below;
}

double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

void die(const char *what)
{
    printf("Bail out! %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- Memory ---- */

void *alloc_pages(unsigned n, int prot)
{
    void *p = mmap(NULL, n * PAGE, prot, MAP_SHARED | MAP_ANONYMOUS |
                   MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED || mlock(p, n * PAGE)) {
        die("mmap, mlock");
    }
    memset(p, 0, n * PAGE);
    return p;
}

void free_pages(void *p, unsigned n)
{
    for (int i = 0; i < num_devs; i++) {
        dev_flush(&devs[i]);
    }
    munmap(p, n * PAGE);
}

uint64_t phys(const volatile void *p)
{
    uint64_t entry;

    if (pagemap < 0) {
        pagemap = open("/proc/self/pagemap", O_RDONLY);
    }
    if (pread(pagemap, &entry, 8, (uintptr_t)p / PAGE * 8) != 8 ||
        !(entry >> 63) || !(entry << 9)) {
        die("/proc/self/pagemap");
    }
    return (entry << 9 >> 9) * PAGE + (uintptr_t)p % PAGE;
}

/* For the log: physically in one piece */
static void *alloc_log(void)
{
    void *p = mmap(NULL, MAX_LOG, PROT_READ | PROT_WRITE, MAP_SHARED |
                   MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        die("a huge page");
    }
    memset(p, 0, MAX_LOG);
    return p;
}

/* ---- Registers ---- */

static void w32(Dev *d, unsigned reg, uint32_t value)
{
    *(volatile uint32_t *)(d->bar + reg) = value;
}

static void w64(Dev *d, unsigned reg, uint64_t value)
{
    *(volatile uint64_t *)(d->bar + reg) = value;
}

static uint32_t r32(Dev *d, unsigned reg)
{
    return *(volatile uint32_t *)(d->bar + reg);
}

static uint64_t r64(Dev *d, unsigned reg)
{
    return *(volatile uint64_t *)(d->bar + reg);
}

static void operate(Dev *d, uint32_t what)
{
    int32_t result;

    do {
        w32(d, CCT_DOORBELL, what);
        result = r32(d, CCT_RESULT);
    } while (result == -EAGAIN || result == -EBUSY);
    if (result) {
        errno = -result;
        die("the device");
    }
}

void dev_write_phys(Dev *d, uint64_t addr, const void *buf, unsigned len,
                    bool keep)
{
    uint32_t word;

    w64(d, CCT_ADDR, addr);
    w32(d, CCT_LEN, len);
    w32(d, CCT_FLAGS, keep ? CCT_FLAG_KEEP : 0);
    for (unsigned i = 0; i < len; i += 4) {
        memcpy(&word, (const char *)buf + i, len - i < 4 ? len - i : 4);
        w32(d, CCT_BUF + i, word);
    }
    operate(d, CCT_DO_WRITE);
}

void dev_read_phys(Dev *d, uint64_t addr, void *buf, unsigned len)
{
    uint32_t word;

    w64(d, CCT_ADDR, addr);
    w32(d, CCT_LEN, len);
    operate(d, CCT_DO_READ);
    for (unsigned i = 0; i < len; i += 4) {
        word = r32(d, CCT_BUF + i);
        memcpy((char *)buf + i, &word, len - i < 4 ? len - i : 4);
    }
}

static unsigned to_page_end(const volatile void *p, unsigned len)
{
    unsigned left = PAGE - (uintptr_t)p % PAGE;

    return left < len ? left : len;
}

void dev_write(Dev *d, volatile void *p, const void *buf, unsigned len,
               bool keep)
{
    while (len) {
        unsigned n = to_page_end(p, len);

        dev_write_phys(d, phys(p), buf, n, keep);
        p = (volatile char *)p + n;
        buf = (const char *)buf + n;
        len -= n;
    }
}

void dev_read(Dev *d, const volatile void *p, void *buf, unsigned len)
{
    while (len) {
        unsigned n = to_page_end(p, len);

        dev_read_phys(d, phys(p), buf, n);
        p = (const volatile char *)p + n;
        buf = (char *)buf + n;
        len -= n;
    }
}

void dev_flush(Dev *d)
{
    operate(d, CCT_DO_FLUSH);
}

/* ---- The agents ---- */

void prog(Dev *d, uint64_t iterations, unsigned log_regs)
{
    if (log_regs && iterations > MAX_LOG / 8 / log_regs) {
        iterations = MAX_LOG / 8 / log_regs;
    }
    d->steps = 0;
    d->iterations = iterations;
    d->log_regs = log_regs;
    w64(d, CCT_AGENT_ITERATIONS, iterations);
    w32(d, CCT_AGENT_LOG_REGS, log_regs);
    w64(d, CCT_AGENT_LOG, phys(d->log));
    for (int i = 0; i < CCT_AGENT_NUM_REGS; i++) {
        w64(d, CCT_AGENT_REG(i), 0);
    }
    w32(d, CCT_STEP_OP(0), CCT_OP_END);
}

void step(Dev *d, Step s)
{
    unsigned n = d->steps++;

    if (n >= CCT_NUM_STEPS) {
        errno = E2BIG;
        die("the program");
    }
    w32(d, CCT_STEP_OP(n), CCT_STEP_MAKE(s.op, s.how, s.size ? s.size : 8u,
                                         s.operand, s.reg,
                                         (uint32_t)s.src));
    w32(d, CCT_STEP_STRIDE(n), s.stride);
    w64(d, CCT_STEP_ADDR(n), s.at ? phys(s.at) : 0);
    w64(d, CCT_STEP_VALUE(n), s.value);
    w32(d, CCT_STEP_WRAP(n), s.wrap ? s.wrap : 1);
    if (n + 1 < CCT_NUM_STEPS) {
        w32(d, CCT_STEP_OP(n + 1), CCT_OP_END);
    }
}

void agents_start(void)
{
    for (int i = 0; i < num_devs; i++) {
        if (devs[i].iterations) {
            w32(&devs[i], CCT_AGENT_CTRL, CCT_AGENT_START);
        }
    }
}

bool agents_running(void)
{
    for (int i = 0; i < num_devs; i++) {
        if (devs[i].iterations &&
            r32(&devs[i], CCT_AGENT_STATUS) & CCT_AGENT_RUNNING) {
            return true;
        }
    }
    return false;
}

/* Iterations that are complete: the agent's that has the fewest */
static uint64_t agents_progress(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < num_devs; i++) {
        if (devs[i].iterations) {
            uint64_t n = r64(&devs[i], CCT_AGENT_ITERATION);

            least = n < least ? n : least;
        }
    }
    return least;
}

/*
 * Stop those that still run. Returns whether all have done their work, or, if
 * @early is set, at least some of it: then iterations is how much.
 */
static bool agents_finish(bool early)
{
    bool good = true;

    for (int i = 0; i < num_devs; i++) {
        Dev *d = &devs[i];
        uint32_t status;

        if (!d->iterations) {
            continue;
        }
        w32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
        status = r32(d, CCT_AGENT_STATUS);
        d->cut_off = early && status & CCT_AGENT_STOPPED;
        if (d->cut_off) {
            d->iterations = r64(d, CCT_AGENT_ITERATION);
        } else if (!(status & CCT_AGENT_DONE)) {
            snprintf(trouble, sizeof(trouble), "device %d: status 0x%x, "
                     "result %d, iteration %llu of %llu, %llu polls", i,
                     status, (int)r32(d, CCT_AGENT_RESULT),
                     (unsigned long long)r64(d, CCT_AGENT_ITERATION),
                     (unsigned long long)d->iterations,
                     (unsigned long long)r64(d, CCT_AGENT_POLLS));
            good = false;
        }
    }
    return good;
}

bool agents_end(void)
{
    return agents_finish(false);
}

/* ---- Threads ---- */

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set)) {
        die("sched_setaffinity");
    }
}

static void *thread(void *opaque)
{
    Cpu *c = opaque;

    pin(c->cpu);
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (!go) {
        sched_yield();
    }
    c->fn(c);
    return NULL;
}

void cpu_work(int cpu, void (*fn)(Cpu *c), void *arg)
{
    cpus[cpu] = (Cpu) { .cpu = cpu, .fn = fn, .arg = arg };
}

static void start_threads(int first, pthread_t *threads)
{
    int started = 0;

    stop = go = ready = 0;
    for (int i = first; i < CPUS; i++) {
        if (cpus[i].fn) {
            started++;
            if (pthread_create(&threads[i], NULL, thread, &cpus[i])) {
                die("pthread_create");
            }
        }
    }
    while (ready < started) {
        sched_yield();
    }
}

static void end_threads(int first, pthread_t *threads)
{
    stop = 1;
    for (int i = first; i < CPUS; i++) {
        if (cpus[i].fn) {
            pthread_join(threads[i], NULL);
        }
    }
}

/*
 * Threads and agents at once, until the agents have done their iterations; or
 * enough of them, on a machine so busy that they wait for each other's turns.
 * Threads that work for a fixed number of times look at stop only after that.
 */
bool run(void)
{
    double start = now(), soft = BUDGET * (scale > 100 ? scale / 100. : 1);
    pthread_t threads[CPUS];
    bool early = false;

    start_threads(0, threads);
    agents_start();
    go = 1;
    while (agents_running() && !early && now() < start + limit) {
        usleep(POLL_US);
        early = now() > start + soft && agents_progress() >= ENOUGH;
    }
    end_threads(0, threads);
    return agents_finish(early);
}

void run_main(void (*fn)(Cpu *c), void *arg)
{
    pthread_t threads[CPUS];

    cpu_work(0, fn, arg);
    start_threads(1, threads);
    go = 1;
    fn(&cpus[0]);
    end_threads(1, threads);
}

/* ---- Results ---- */

void bad(Cpu *c, const char *format, ...)
{
    va_list ap;

    if (!c->bad++) {
        va_start(ap, format);
        vsnprintf(c->what, sizeof(c->what), format, ap);
        va_end(ap);
    }
}

void note(const char *format, ...)
{
    va_list ap;

    printf("# ");
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    printf("\n");
    fflush(stdout);
}

static void agents_forget(uint64_t *iterations, uint64_t *retries)
{
    *iterations = *retries = 0;
    for (int i = 0; i < num_devs; i++) {
        Dev *d = &devs[i];

        if (d->iterations) {
            uint64_t n = r64(d, CCT_AGENT_ITERATION);

            *iterations += n;
            *retries += r64(d, CCT_AGENT_RETRIES);
            totals.steps += n * (d->steps + d->log_regs) +
                            r64(d, CCT_AGENT_POLLS);
        }
        d->iterations = 0;
    }
}

void verdict(bool ok, const char *format, ...)
{
    uint64_t iterations, retries, relaxed = 0;
    double t = now();
    va_list ap;

    agents_forget(&iterations, &retries);
    ok = ok && !trouble[0];
    for (int i = 0; i < CPUS; i++) {
        ok = ok && !cpus[i].bad;
    }
    failures += !ok;
    printf("%sok %d - ", ok ? "" : "not ", ++points);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    printf(" [agents %llu, retries %llu", (unsigned long long)iterations,
           (unsigned long long)retries);
    for (int i = 0; i < CPUS; i++) {
        if (cpus[i].count) {
            printf("; cpu%d %llu", i, (unsigned long long)cpus[i].count);
        }
        if (cpus[i].seen) {
            printf(" saw %llu", (unsigned long long)cpus[i].seen);
        }
        totals.rounds += cpus[i].count;
        totals.relaxed += cpus[i].relaxed;
        relaxed += cpus[i].relaxed;
    }
    if (relaxed) {
        printf("; relaxed %llu", (unsigned long long)relaxed);
    }
    printf("; %.2f s]\n", t - began);
    if (trouble[0]) {
        note("%s", trouble);
    }
    for (int i = 0; i < CPUS; i++) {
        if (cpus[i].bad) {
            note("cpu%d: %llu forbidden, first: %s", i,
                 (unsigned long long)cpus[i].bad, cpus[i].what);
        }
        memset(&cpus[i], 0, sizeof(cpus[i]));
    }
    trouble[0] = 0;
    fflush(stdout);
    began = now();
    if (give_up && !ok) {
        /* Before the memory is someone else's */
        for (int i = 0; i < num_devs; i++) {
            dev_flush(&devs[i]);
        }
        printf("1..%d\n", points);
        exit(1);
    }
}

void skip(const char *name, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++points, name, why);
    fflush(stdout);
}

/* ---- What many tests want ---- */

const char *const how_names[] = {
    [RD_CURR] = "RdCurr", [RD_OWN] = "RdOwn", [RD_SHARED] = "RdShared",
    [RD_ANY] = "RdAny", [RD_OWN_NO_DATA] = "RdOwnNoData",
    [I_TO_M_WR] = "ItoMWr", [WR_CUR] = "WrCur", [CL_FLUSH] = "CLFlush",
    [WO_WR_INV] = "WOWrInv", [WO_WR_INV_F] = "WOWrInvF", [WR_INV] = "WrInv",
};

/* Does nothing but get in the way: other lines of the same pages */
void noise(Cpu *c)
{
    Cell *other = c->arg;

    for (; !stop; c->count++) {
        other[c->count % 8 * 8]++;
        breathe(c, 4096);
    }
}

void wait_change(Dev *d, uint8_t how, Cell *at)
{
    step(d, (Step) { CCT_OP_WAIT_NE, how, .operand = CCT_REG, .reg = 0,
                     .src = 0, .at = at });
}

/* ---- Finding the devices ---- */

static long read_number(const char *dir, const char *file)
{
    char path[256];
    long value = -1;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    f = fopen(path, "r");
    if (f) {
        if (fscanf(f, "%li", &value) != 1) {
            value = -1;
        }
        fclose(f);
    }
    return value;
}

static void write_text(const char *dir, const char *file, const char *text)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f)) {
        die(path);
    }
}

/* Memory decoding by the kernel, bus mastering by ourselves */
static void enable(const char *dir)
{
    char path[256];
    uint16_t command;
    int fd;

    write_text(dir, "enable", "1");
    snprintf(path, sizeof(path), "%s/config", dir);
    fd = open(path, O_RDWR);
    if (fd < 0 || pread(fd, &command, 2, 4) != 2) {
        die(path);
    }
    command |= 6;
    if (pwrite(fd, &command, 2, 4) != 2) {
        die(path);
    }
    close(fd);
}

static void open_device(const char *dir)
{
    Dev *d = &devs[num_devs];
    char path[256];
    int fd;

    enable(dir);
    snprintf(path, sizeof(path), "%s/resource0", dir);
    fd = open(path, O_RDWR | O_SYNC);
    if (fd < 0) {
        die(path);
    }
    d->bar = mmap(NULL, CXL_CACHE_TESTDEV_REGS_SIZE, PROT_READ | PROT_WRITE,
                  MAP_SHARED, fd, 0);
    close(fd);
    if (d->bar == MAP_FAILED) {
        die(path);
    }
    if (r32(d, CCT_MAGIC) != CCT_MAGIC_VALUE) {
        errno = ENODEV;
        die("the device's magic number");
    }
    w32(d, CCT_AGENT_CTRL, CCT_AGENT_STOP);
    w32(d, CCT_MODE, CCT_MODE_ON);
    dev_flush(d);
    d->log = alloc_log();
    num_devs++;
}

void find_devices(void)
{
    glob_t g;

    write_text("/proc/sys/vm", "nr_hugepages", "4");
    if (glob("/sys/bus/pci/devices/*", 0, NULL, &g)) {
        die("/sys/bus/pci/devices");
    }
    for (unsigned i = 0; i < g.gl_pathc && num_devs < MAX_DEVS; i++) {
        const char *dir = g.gl_pathv[i];

        if (read_number(dir, "vendor") == CXL_CACHE_TESTDEV_VENDOR_ID &&
            read_number(dir, "device") == CXL_CACHE_TESTDEV_DEVICE_ID) {
            open_device(dir);
        }
    }
    globfree(&g);
    pin(0);
    began = now();
}
