// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The crypto device as the third agent: its results share their first and
 * last lines with words in which a CPU counts, and the pages in between with
 * loads and stores of the other CPU.
 */
#define _GNU_SOURCE
#define die alg_die
#include "alg.h"
#undef die
#include <sys/mman.h>
#include "cxl-litmus.h"

#define DRIVER "virtio_crypto_aes_cbc"
#define PAGES 3

typedef struct Crypto {
    uint8_t *mem;
    uint8_t *in;
    uint8_t *want;
    volatile uint32_t *words[2];
    uint64_t n;
} Crypto;

static const uint8_t key[32] = "32 bytes that no one has to know";
static const uint8_t iv[BLOCK] = "16 of this kind";

static void encrypt(int op, void *in, void *out, unsigned len)
{
    struct iovec src = { in, len }, dst = { out, len };

    alg_begin(op, true, iv, &src, 1, 0);
    alg_finish(op, &dst, 1, len);
}

static void count_words(Cpu *c)
{
    Crypto *k = c->arg;

    for (; !stop; c->count++) {
        (*k->words[0])++;
        (*k->words[1])++;
    }
}

/* CPU 0: requests, and what comes of them */
static void requests(Cpu *c)
{
    Crypto *k = c->arg;
    int tfm = alg_open(DRIVER, key, sizeof(key)), op = alg_op(tfm);
    int plain_tfm = alg_open_plain(key, sizeof(key));
    int plain = alg_op(plain_tfm);

    for (; c->count < k->n; c->count++) {
        /* From within the first line to within the last page */
        unsigned offset = 4 + rnd(LINE - 4);
        unsigned len = (1 + rnd((PAGES * PAGE - 2 * LINE) / BLOCK)) * BLOCK;
        uint8_t *out = k->mem + offset;

        for (unsigned i = 0; i < len; i += 1 + rnd(64)) {
            k->in[i]++;
        }
        encrypt(plain, k->in, k->want, len);
        if (rnd(2)) {
            memset(out, 0, len);
        }
        encrypt(op, k->in, out, len);
        if (memcmp(out, k->want, len)) {
            bad(c, "request %u of %u bytes at %u", (unsigned)c->count, len,
                offset);
        }
    }
    close(op);
    close(tfm);
    close(plain);
    close(plain_tfm);
}

void test_crypto(void)
{
    Crypto k = { .mem = alloc_pages(PAGES, PROT_READ | PROT_WRITE),
                 .in = alloc_pages(PAGES, PROT_READ | PROT_WRITE),
                 .want = alloc_pages(PAGES, PROT_READ | PROT_WRITE),
                 .n = times(150) };
    uint32_t count;

    k.words[0] = (volatile uint32_t *)k.mem;
    k.words[1] = (volatile uint32_t *)(k.mem + PAGES * PAGE - 4);
    cpu_work(1, count_words, &k);
    run_main(requests, &k);
    count = cpus[1].count;
    verdict(*k.words[0] == count && *k.words[1] == count, "crypto device's "
            "results next to words in which a CPU counts: %u, %u of %u",
            *k.words[0], *k.words[1], count);
    free_pages(k.mem, PAGES);
    free_pages(k.in, PAGES);
    free_pages(k.want, PAGES);
}
