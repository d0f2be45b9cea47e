// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How fast is a kernel driver of cbc(aes), seen from user space?
 *
 * usage: algbench DRIVER {encrypt|decrypt} BYTES MILLISECONDS THREADS
 *
 * Each thread processes BYTES after BYTES, one request at a time, on an
 * operation socket of its own.  One thread gives latency, several give
 * throughput.  Prints: requests, nanoseconds, median and 99th percentile of a
 * request's microseconds.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>
#include "alg.h"

#define MAX_THREADS 64
#define MAX_SAMPLES 200000

static size_t bytes;
static bool encrypt;
static int tfm;
static atomic_bool stop;

struct worker {
    pthread_t thread;
    uint32_t count;
    uint32_t *samples;  /* nanoseconds */
};

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    void *buf = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    struct iovec src = { buf, bytes }, dst = { (char *)buf + bytes, bytes };
    uint8_t iv[BLOCK] = { 0 };
    int op = alg_op(tfm);

    if (buf == MAP_FAILED) {
        die("mmap");
    }
    while (!atomic_load(&stop)) {
        uint64_t start = now();

        alg_begin(op, encrypt, iv, &src, 1, 0);
        alg_finish(op, &dst, 1, bytes);
        if (w->count < MAX_SAMPLES) {
            w->samples[w->count] = now() - start;
        }
        w->count++;
    }
    close(op);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static struct worker workers[MAX_THREADS];
    static const uint8_t key[32] = { 1, 2, 3 };
    uint32_t *all, total = 0, kept = 0;
    int threads = 0, ms = 0;
    uint64_t start, ns;

    if (argc == 6) {
        bytes = atol(argv[3]);
        ms = atoi(argv[4]);
        threads = atoi(argv[5]);
    }
    if (!bytes || bytes % BLOCK || ms < 1 || threads < 1 ||
        threads > MAX_THREADS) {
        fprintf(stderr, "usage: algbench DRIVER {encrypt|decrypt} BYTES "
                "MILLISECONDS THREADS\n");
        return 2;
    }
    encrypt = argv[2][0] == 'e';
    tfm = alg_open(argv[1], key, sizeof(key));
    all = malloc(threads * MAX_SAMPLES * sizeof(*all));
    start = now();
    for (int i = 0; i < threads; i++) {
        workers[i].samples = malloc(MAX_SAMPLES * sizeof(*all));
        if (!all || !workers[i].samples ||
            pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
            die("starting threads");
        }
    }
    usleep(ms * 1000);
    atomic_store(&stop, true);
    for (int i = 0; i < threads; i++) {
        uint32_t n;

        pthread_join(workers[i].thread, NULL);
        n = workers[i].count < MAX_SAMPLES ? workers[i].count : MAX_SAMPLES;
        memcpy(all + kept, workers[i].samples, n * sizeof(*all));
        kept += n;
        total += workers[i].count;
    }
    ns = now() - start;
    qsort(all, kept, sizeof(*all), by_value);
    printf("%u %llu %.1f %.1f\n", total, (unsigned long long)ns,
           all[kept / 2] / 1e3, all[(uint64_t)kept * 99 / 100] / 1e3);
    return 0;
}
