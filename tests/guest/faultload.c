// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A random load that knows at any time what every block must be
 *
 * usage: faultload SEED THREADS MIB DIRECTORY STATUS TABLE
 *        faultload verify TABLE NUMBER < FILE
 *
 * Each thread has a file of its own, DIRECTORY/loadN of MIB, and reads and
 * writes runs of 1 to 16 blocks, by O_DIRECT and through the page cache, with
 * fsync and without, in random order.  Each block that is read must be the
 * generation last written.
 *
 * Some reads are looked at only many operations later.  Until then nobody
 * touches what the accelerator deciphered: on a device that keeps its results
 * these are the lines that are lost when it goes away.
 *
 * STATUS is written anew five times a second: "name value" lines.  SIGUSR1
 * starts the measurement of the longest operation anew.  SIGTERM ends it all:
 * the last reads are looked at, everything is synced, and the generations go
 * to TABLE, with which "verify" compares a file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "faultload.h"

#define MAX_THREADS 16
#define MAX_RUN 16
#define LATE 6              /* reads of a thread that nobody has looked at */
#define STATUS_MS 200

/* A run of blocks, and what was in them when it was read */
struct run {
    uint8_t *data;
    uint32_t block, count;
    uint32_t generations[MAX_RUN];
};

struct worker {
    pthread_t thread;
    uint32_t file;
    int direct, buffered;
    uint64_t random;
    struct run late[LATE];
    unsigned next_late;
    struct run now;
    _Atomic uint64_t began;     /* ns; 0: between two operations */
    _Atomic uint64_t operations;
};

static struct table table;
static struct worker workers[MAX_THREADS];
static uint32_t nr_workers;
static atomic_bool stop, failed_once;
static _Atomic uint64_t reads, writes, syncs, bytes_moved, longest;
static _Atomic uint64_t io_errors, bad_blocks;
static char first_failure[320] = "none";

void die(const char *what)
{
    fprintf(stderr, "faultload: %s: %s\n", what, strerror(errno));
    exit(2);
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* ---- what went wrong ----------------------------------------------------- */

/* All are told of on standard error, the first one in the status as well. */
static void __attribute__((format(printf, 2, 3)))
failure(_Atomic uint64_t *count, const char *format, ...)
{
    char text[sizeof(first_failure)];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "%s\n", text);
    if (!atomic_exchange(&failed_once, true)) {
        memcpy(first_failure, text, sizeof(text));
    }
    atomic_fetch_add(count, 1);
}

static void io_error(const struct worker *w, const char *what,
                     const struct run *run)
{
    failure(&io_errors, "%s of file %u blocks %u+%u: %s", what, w->file,
            run->block, run->count, strerror(errno));
}

/* ---- one operation ------------------------------------------------------- */

static uint32_t pick(struct worker *w, uint32_t below)
{
    return (random_next(&w->random) >> 16) % below;
}

static void pick_run(struct worker *w, struct run *run)
{
    run->count = 1 + pick(w, MAX_RUN);
    run->block = pick(w, table.blocks - run->count + 1);
}

static uint32_t *generation(const struct worker *w, uint32_t block)
{
    return &table.generations[(size_t)w->file * table.blocks + block];
}

static size_t run_bytes(const struct run *run)
{
    return (size_t)run->count * BLOCK_SIZE;
}

static off_t run_offset(const struct run *run)
{
    return (off_t)run->block * BLOCK_SIZE;
}

static void check_run(const struct worker *w, struct run *run)
{
    char why[256];

    for (uint32_t i = 0; i < run->count; i++) {
        struct block_id id = { table.seed, w->file, run->block + i,
                               run->generations[i] };

        if (id.generation != GENERATION_UNKNOWN &&
            !block_good(run->data + i * BLOCK_SIZE, &id, why, sizeof(why))) {
            failure(&bad_blocks, "%s", why);
        }
    }
    run->count = 0;
}

static bool read_run(struct worker *w, int fd, struct run *run)
{
    size_t size = run_bytes(run);

    for (uint32_t i = 0; i < run->count; i++) {
        run->generations[i] = *generation(w, run->block + i);
    }
    atomic_fetch_add(&reads, 1);
    errno = 0;
    if (pread(fd, run->data, size, run_offset(run)) != (ssize_t)size) {
        io_error(w, "read", run);
        run->count = 0;
        return false;
    }
    atomic_fetch_add(&bytes_moved, size);
    return true;
}

static void write_run(struct worker *w, int fd, struct run *run)
{
    size_t size = run_bytes(run);
    bool good;

    for (uint32_t i = 0; i < run->count; i++) {
        struct block_id id = { table.seed, w->file, run->block + i,
                               ++*generation(w, run->block + i) };

        block_fill(run->data + i * BLOCK_SIZE, &id);
    }
    atomic_fetch_add(&writes, 1);
    errno = 0;
    good = pwrite(fd, run->data, size, run_offset(run)) == (ssize_t)size;
    if (!good) {
        io_error(w, "write", run);
        for (uint32_t i = 0; i < run->count; i++) {
            *generation(w, run->block + i) = GENERATION_UNKNOWN;
        }
    }
    atomic_fetch_add(&bytes_moved, size);
}

static void sync_file(struct worker *w, const struct run *run)
{
    atomic_fetch_add(&syncs, 1);
    if (fsync(w->buffered)) {
        io_error(w, "fsync", run);
    }
}

static void read_direct(struct worker *w)
{
    pick_run(w, &w->now);
    if (read_run(w, w->direct, &w->now)) {
        check_run(w, &w->now);
    }
}

static void read_late(struct worker *w)
{
    struct run *run = &w->late[w->next_late++ % LATE];

    check_run(w, run);
    pick_run(w, run);
    read_run(w, w->direct, run);
}

/* From the disk, not from the page cache, and read ahead by the kernel */
static void read_buffered(struct worker *w)
{
    pick_run(w, &w->now);
    posix_fadvise(w->buffered, 0, 0, POSIX_FADV_DONTNEED);
    if (read_run(w, w->buffered, &w->now)) {
        check_run(w, &w->now);
    }
}

static void write_direct(struct worker *w)
{
    pick_run(w, &w->now);
    write_run(w, w->direct, &w->now);
}

static void write_synced(struct worker *w)
{
    pick_run(w, &w->now);
    write_run(w, w->buffered, &w->now);
    sync_file(w, &w->now);
}

/* The kernel writes it some time, or when a direct read asks for it */
static void write_unsynced(struct worker *w)
{
    pick_run(w, &w->now);
    write_run(w, w->buffered, &w->now);
}

/* How often of a hundred each is picked */
static const struct {
    void (*work)(struct worker *w);
    uint32_t share;
} operations[] = {
    { read_direct, 20 },
    { read_late, 30 },
    { read_buffered, 10 },
    { write_direct, 20 },
    { write_synced, 10 },
    { write_unsynced, 10 },
};

static void one_operation(struct worker *w)
{
    uint32_t dice = pick(w, 100);
    size_t i = 0;

    while (dice >= operations[i].share) {
        dice -= operations[i++].share;
    }
    operations[i].work(w);
}

/* ---- threads ------------------------------------------------------------- */

static void note_time(uint64_t took)
{
    uint64_t known = atomic_load(&longest);

    while (took > known &&
           !atomic_compare_exchange_weak(&longest, &known, took)) {
    }
}

static void fill_file(struct worker *w)
{
    struct run *run = &w->now;

    for (run->block = 0; run->block < table.blocks; run->block += run->count) {
        run->count = MAX_RUN;
        write_run(w, w->direct, run);
    }
    sync_file(w, run);
}

static void *work(void *opaque)
{
    struct worker *w = opaque;

    while (!atomic_load(&stop)) {
        uint64_t start = now();

        atomic_store(&w->began, start);
        one_operation(w);
        atomic_store(&w->began, 0);
        note_time(now() - start);
        atomic_fetch_add(&w->operations, 1);
    }
    for (unsigned i = 0; i < LATE; i++) {
        check_run(w, &w->late[i]);
    }
    w->now.block = w->now.count = 0;
    sync_file(w, &w->now);
    return NULL;
}

static uint8_t *new_buffer(void)
{
    uint8_t *p = mmap(NULL, MAX_RUN * BLOCK_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        die("memory for a buffer");
    }
    return p;
}

static void worker_new(struct worker *w, uint32_t file, const char *directory)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/load%u", directory, file);
    w->file = file;
    w->random = table.seed * 0x9e3779b97f4a7c15ull + file + 1;
    w->buffered = open(path, O_RDWR | O_CREAT, 0644);
    w->direct = open(path, O_RDWR | O_DIRECT);
    if (w->buffered < 0 || w->direct < 0) {
        die(path);
    }
    w->now.data = new_buffer();
    for (unsigned i = 0; i < LATE; i++) {
        w->late[i].data = new_buffer();
    }
    fill_file(w);
}

/* ---- what the outside sees ----------------------------------------------- */

static uint64_t longest_under_way(void)
{
    uint64_t most = 0, at = now();

    for (uint32_t i = 0; i < nr_workers; i++) {
        uint64_t began = atomic_load(&workers[i].began);

        if (began && at > began && at - began > most) {
            most = at - began;
        }
    }
    return most;
}

static void print_status(FILE *out)
{
    fprintf(out, "reads %" PRIu64 "\nwrites %" PRIu64 "\nsyncs %" PRIu64
            "\nbytes %" PRIu64 "\nlongest_ms %" PRIu64 "\nunder_way_ms %" PRIu64
            "\nio_errors %" PRIu64 "\nbad_blocks %" PRIu64 "\n",
            reads, writes, syncs, bytes_moved, longest / 1000000,
            longest_under_way() / 1000000, io_errors, bad_blocks);
    for (uint32_t i = 0; i < nr_workers; i++) {
        fprintf(out, "worker%u %" PRIu64 "\n", i, workers[i].operations);
    }
    fprintf(out, "first_failure %s\n", first_failure);
}

/* Whoever reads it sees one whole state */
static void write_status(const char *path)
{
    char next[4096];
    FILE *out;

    snprintf(next, sizeof(next), "%s.new", path);
    out = fopen(next, "w");
    if (!out) {
        die(next);
    }
    print_status(out);
    if (fclose(out) || rename(next, path)) {
        die(path);
    }
}

/* Until SIGTERM comes */
static void report(const char *path, const sigset_t *signals)
{
    static const struct timespec pause = { 0, STATUS_MS * 1000000 };
    int signal = 0;

    while (signal != SIGTERM) {
        write_status(path);
        signal = sigtimedwait(signals, NULL, &pause);
        if (signal == SIGUSR1) {
            atomic_store(&longest, 0);
        }
    }
}

static void run_load(const char *directory, const char *status)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    for (uint32_t i = 0; i < nr_workers; i++) {
        worker_new(&workers[i], i, directory);
    }
    for (uint32_t i = 0; i < nr_workers; i++) {
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
            die("starting threads");
        }
    }
    report(status, &signals);
    atomic_store(&stop, true);
    for (uint32_t i = 0; i < nr_workers; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    write_status(status);
}

int main(int argc, char **argv)
{
    long mib;

    if (argc == 4 && !strcmp(argv[1], "verify")) {
        return verify_file(argv[2], atoi(argv[3]));
    }
    nr_workers = argc == 7 ? atoi(argv[2]) : 0;
    mib = argc == 7 ? atol(argv[3]) : 0;
    if (!nr_workers || nr_workers > MAX_THREADS || mib < 1 || mib > 4096) {
        fprintf(stderr, "usage: faultload SEED THREADS MIB DIRECTORY STATUS "
                "TABLE\n       faultload verify TABLE NUMBER < FILE\n");
        return 2;
    }
    table_new(&table, strtoull(argv[1], NULL, 0), nr_workers,
              (mib << 20) / BLOCK_SIZE);
    run_load(argv[4], argv[5]);
    if (!table_save(&table, argv[6])) {
        die(argv[6]);
    }
    return io_errors || bad_blocks ? 1 : 0;
}
