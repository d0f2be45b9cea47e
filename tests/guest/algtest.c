// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does a kernel driver of cbc(aes) compute AES-CBC?
 *
 * usage: algtest [-s SEED] [-n ROUNDS] [-m MAXLEN] DRIVER
 *
 * First the vectors of NIST SP 800-38A F.2, then random requests compared
 * with the kernel's plain C version.  The forms of a request: buffers at any
 * offset, input and output cut into pieces, memory spliced in so that input
 * and output are the same pages, and an operation that goes on in a second
 * request with the IV the first one left.  Output is TAP; the exit status is
 * 0 when every point is ok.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include "alg.h"
#include "nist.h"

#define MAX_LEN (128 * 1024)
#define MAX_PIECES 6

static uint64_t seed = 1;
static int points, failures;

static uint32_t rnd(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 16) % below;
}

static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        p[i] = rnd(256);
    }
}

static void point(bool ok, const char *what)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", ++points, what);
    fflush(stdout);
    failures += !ok;
}

/* One request in one piece */
static void crypt_plain(int op, bool encrypt, const uint8_t *iv, uint8_t *in,
                        uint8_t *out, size_t len)
{
    struct iovec src = { in, len }, dst = { out, len };

    alg_begin(op, encrypt, iv, &src, 1, 0);
    alg_finish(op, &dst, 1, len);
}

/* Input and output cut at random places, which need not be block borders */
static int cut(struct iovec *iov, uint8_t *p, size_t len)
{
    int n = 0;

    while (n < MAX_PIECES - 1 && len > 1) {
        size_t part = 1 + rnd(len);

        iov[n++] = (struct iovec) { p, part };
        p += part;
        len -= part;
        if (!len) {
            return n;
        }
    }
    iov[n++] = (struct iovec) { p, len };
    return n;
}

static void crypt_pieces(int op, bool encrypt, const uint8_t *iv, uint8_t *in,
                         uint8_t *out, size_t len)
{
    struct iovec src[MAX_PIECES], dst[MAX_PIECES];
    int nsrc = cut(src, in, len), ndst = cut(dst, out, len);

    alg_begin(op, encrypt, iv, src, nsrc, 0);
    alg_finish(op, dst, ndst, len);
}

/* Two requests of one operation: the second one's IV is the first one's end */
static void crypt_chained(int op, bool encrypt, const uint8_t *iv, uint8_t *in,
                          uint8_t *out, size_t len)
{
    size_t first = len / BLOCK / 2 * BLOCK;
    struct iovec src = { in, first }, dst = { out, first };

    if (!first) {
        crypt_plain(op, encrypt, iv, in, out, len);
        return;
    }
    alg_begin(op, encrypt, iv, &src, 1, MSG_MORE);
    alg_finish(op, &dst, 1, first);
    if (send(op, in + first, len - first, 0) != (ssize_t)(len - first)) {
        die("send(AF_ALG)");
    }
    dst = (struct iovec) { out + first, len - first };
    alg_finish(op, &dst, 1, len - first);
}

/* The kernel reads and writes our pages, in place when in == out */
static void crypt_spliced(int op, bool encrypt, const uint8_t *iv, uint8_t *in,
                          uint8_t *out, size_t len)
{
    struct iovec dst = { out, len };
    size_t done = 0;
    int fds[2];

    if (pipe(fds)) {
        die("pipe");
    }
    alg_begin(op, encrypt, iv, NULL, 0, MSG_MORE);
    while (done < len) {
        struct iovec src = { in + done, len - done };
        ssize_t part = vmsplice(fds[1], &src, 1, SPLICE_F_GIFT);

        if (part < 0) {
            die("vmsplice");
        }
        done += part;
        while (part) {
            ssize_t n = splice(fds[0], NULL, op, NULL, part,
                               done < len ? SPLICE_F_MORE : 0);

            if (n <= 0) {
                die("splice");
            }
            part -= n;
        }
    }
    alg_finish(op, &dst, 1, len);
    close(fds[0]);
    close(fds[1]);
}

typedef void crypt_fn(int op, bool encrypt, const uint8_t *iv, uint8_t *in,
                      uint8_t *out, size_t len);

static const struct form {
    const char *name;
    crypt_fn *crypt;
    bool in_place;
} forms[] = {
    { "one piece", crypt_plain, false },
    { "in pieces", crypt_pieces, false },
    { "IV carried on", crypt_chained, false },
    { "spliced, in place", crypt_spliced, true },
};

/* ---- NIST SP 800-38A F.2.1 to F.2.6 ------------------------------------- */

static const struct {
    size_t keylen;
    uint8_t key[32], cipher[64];
} nist[] = {
    { 16,
      { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
        0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c },
      { 0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
        0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d,
        0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee,
        0x95, 0xdb, 0x11, 0x3a, 0x91, 0x76, 0x78, 0xb2,
        0x73, 0xbe, 0xd6, 0xb8, 0xe3, 0xc1, 0x74, 0x3b,
        0x71, 0x16, 0xe6, 0x9e, 0x22, 0x22, 0x95, 0x16,
        0x3f, 0xf1, 0xca, 0xa1, 0x68, 0x1f, 0xac, 0x09,
        0x12, 0x0e, 0xca, 0x30, 0x75, 0x86, 0xe1, 0xa7 } },
    { 24,
      { 0x8e, 0x73, 0xb0, 0xf7, 0xda, 0x0e, 0x64, 0x52,
        0xc8, 0x10, 0xf3, 0x2b, 0x80, 0x90, 0x79, 0xe5,
        0x62, 0xf8, 0xea, 0xd2, 0x52, 0x2c, 0x6b, 0x7b },
      { 0x4f, 0x02, 0x1d, 0xb2, 0x43, 0xbc, 0x63, 0x3d,
        0x71, 0x78, 0x18, 0x3a, 0x9f, 0xa0, 0x71, 0xe8,
        0xb4, 0xd9, 0xad, 0xa9, 0xad, 0x7d, 0xed, 0xf4,
        0xe5, 0xe7, 0x38, 0x76, 0x3f, 0x69, 0x14, 0x5a,
        0x57, 0x1b, 0x24, 0x20, 0x12, 0xfb, 0x7a, 0xe0,
        0x7f, 0xa9, 0xba, 0xac, 0x3d, 0xf1, 0x02, 0xe0,
        0x08, 0xb0, 0xe2, 0x79, 0x88, 0x59, 0x88, 0x81,
        0xd9, 0x20, 0xa9, 0xe6, 0x4f, 0x56, 0x15, 0xcd } },
    { 32,
      { 0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe,
        0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
        0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7,
        0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4 },
      { 0xf5, 0x8c, 0x4c, 0x04, 0xd6, 0xe5, 0xf1, 0xba,
        0x77, 0x9e, 0xab, 0xfb, 0x5f, 0x7b, 0xfb, 0xd6,
        0x9c, 0xfc, 0x4e, 0x96, 0x7e, 0xdb, 0x80, 0x8d,
        0x67, 0x9f, 0x77, 0x7b, 0xc6, 0x70, 0x2c, 0x7d,
        0x39, 0xf2, 0x33, 0x69, 0xa9, 0xd9, 0xba, 0xcf,
        0xa5, 0x30, 0xe2, 0x63, 0x04, 0x23, 0x14, 0x61,
        0xb2, 0xeb, 0x05, 0xe2, 0xc3, 0x9b, 0xe9, 0xfc,
        0xda, 0x6c, 0x19, 0x07, 0x8c, 0x6a, 0x9d, 0x1b } },
};

static void known_answers(const char *driver)
{
    uint8_t iv[BLOCK], in[64], out[64];
    char what[80];

    for (int i = 0; i < BLOCK; i++) {
        iv[i] = i;
    }
    for (size_t i = 0; i < sizeof(nist) / sizeof(nist[0]); i++) {
        int tfm = alg_open(driver, nist[i].key, nist[i].keylen);
        int op = alg_op(tfm);
        bool ok;

        memcpy(in, nist_plain, sizeof(in));
        crypt_plain(op, true, iv, in, out, sizeof(in));
        ok = !memcmp(out, nist[i].cipher, sizeof(out));
        memcpy(in, nist[i].cipher, sizeof(in));
        crypt_plain(op, false, iv, in, out, sizeof(in));
        ok &= !memcmp(out, nist_plain, sizeof(out));
        close(op);
        close(tfm);
        snprintf(what, sizeof(what), "%s: SP 800-38A vectors, %zu-bit key",
                 driver, nist[i].keylen * 8);
        point(ok, what);
    }
}

/* ---- random requests ---------------------------------------------------- */

static size_t random_len(size_t max)
{
    /* As many short ones as long ones, and the sizes disks use */
    size_t len = BLOCK << rnd(14);

    if (rnd(3)) {
        len = BLOCK * (1 + rnd(len / BLOCK));
    }
    return len > max ? max : len;
}

static bool random_round(const char *driver, const struct form *form,
                         uint8_t *in, uint8_t *out, uint8_t *want, size_t max)
{
    size_t keylen = 16 + 8 * rnd(3), len = random_len(max);
    size_t at = rnd(2) ? 0 : rnd(4096);
    uint8_t key[32], iv[BLOCK];
    bool encrypt = rnd(2), ok;
    int ref, tfm, op;

    fill(key, sizeof(key));
    fill(iv, sizeof(iv));
    fill(in + at, len);
    memset(out, 0xee, MAX_LEN + 8192);

    ref = alg_open_plain(key, keylen);
    op = alg_op(ref);
    crypt_plain(op, encrypt, iv, in + at, want, len);
    close(op);
    close(ref);

    if (form->in_place) {
        memcpy(out + at, in + at, len);
        in = out;
    }
    tfm = alg_open(driver, key, keylen);
    op = alg_op(tfm);
    form->crypt(op, encrypt, iv, in + at, out + at, len);
    close(op);
    close(tfm);

    ok = !memcmp(out + at, want, len);
    /* What lies around the output is nobody's to write to */
    for (size_t i = 0; i < at; i++) {
        ok &= out[i] == 0xee;
    }
    for (size_t i = at + len; i < MAX_LEN + 8192; i++) {
        ok &= out[i] == 0xee;
    }
    if (!ok) {
        printf("# %s: %s, %s of %zu bytes at offset %zu, %zu-bit key\n",
               driver, form->name, encrypt ? "encryption" : "decryption",
               len, at, keylen * 8);
    }
    return ok;
}

static uint8_t *buffer(size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    return p;
}

int main(int argc, char **argv)
{
    size_t max = MAX_LEN;
    int rounds = 60, opt;
    uint8_t *in, *out, *want;
    const char *driver;
    char what[120];

    while ((opt = getopt(argc, argv, "s:n:m:")) != -1) {
        switch (opt) {
        case 's':
            seed = (uint64_t)atoll(optarg) * 2 + 1;
            break;
        case 'n':
            rounds = atoi(optarg);
            break;
        case 'm':
            max = atol(optarg) / BLOCK * BLOCK;
            break;
        default:
            return 2;
        }
    }
    if (optind != argc - 1 || !max || max > MAX_LEN) {
        fprintf(stderr, "usage: algtest [-s SEED] [-n ROUNDS] [-m MAXLEN] "
                "DRIVER\n");
        return 2;
    }
    driver = argv[optind];
    in = buffer(MAX_LEN + 8192);
    out = buffer(MAX_LEN + 8192);
    want = buffer(MAX_LEN + 8192);

    known_answers(driver);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        int good = 0;

        for (int n = 0; n < rounds; n++) {
            good += random_round(driver, &forms[i], in, out, want, max);
        }
        snprintf(what, sizeof(what), "%s: %d of %d random requests, %s",
                 driver, good, rounds, forms[i].name);
        point(good == rounds, what);
    }
    printf("1..%d\n", points);
    return failures != 0;
}
