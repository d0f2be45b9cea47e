/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AF_ALG for the programs that run inside the guest: one cipher, by the name
 * of its kernel driver, one operation socket at a time.
 */
#ifndef GUEST_ALG_H
#define GUEST_ALG_H

#include <errno.h>
#include <linux/if_alg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BLOCK 16

#ifndef SOL_ALG
#define SOL_ALG 279
#endif

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

/* The transform of a driver, without a key; -1 if there is no such driver */
static inline int alg_find(const char *driver)
{
    struct sockaddr_alg sa = { .salg_family = AF_ALG,
                               .salg_type = "skcipher" };
    int tfm = socket(AF_ALG, SOCK_SEQPACKET, 0);

    snprintf((char *)sa.salg_name, sizeof(sa.salg_name), "%s", driver);
    if (tfm < 0) {
        die("socket(AF_ALG)");
    }
    if (bind(tfm, (struct sockaddr *)&sa, sizeof(sa))) {
        close(tfm);
        return -1;
    }
    return tfm;
}

static inline void alg_set_key(int tfm, const void *key, size_t keylen)
{
    if (setsockopt(tfm, SOL_ALG, ALG_SET_KEY, key, keylen)) {
        die("ALG_SET_KEY");
    }
}

/* A transform: driver + key. Operation sockets come from it by accept(). */
static inline int alg_open(const char *driver, const void *key, size_t keylen)
{
    int tfm = alg_find(driver);

    if (tfm < 0) {
        die(driver);
    }
    alg_set_key(tfm, key, keylen);
    return tfm;
}

/*
 * AES-CBC by the processor: which of its drivers there are depends on the
 * kernel (7.3 has no generic one) and on the processor.
 */
static inline int alg_open_plain(const void *key, size_t keylen)
{
    static const char *const names[] = {
        "cbc(aes-generic)", "cbc-aes-lib", "cbc-aes-aesni", "cbc-aes-ce",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int tfm = alg_find(names[i]);

        if (tfm >= 0) {
            alg_set_key(tfm, key, keylen);
            return tfm;
        }
    }
    die("no AES-CBC by the processor");
    return -1;
}

static inline int alg_op(int tfm)
{
    int op = accept(tfm, NULL, 0);

    if (op < 0) {
        die("accept(AF_ALG)");
    }
    return op;
}

/* Begin an operation, with as much of its input as @iov holds */
static inline void alg_begin(int op, bool encrypt, const void *iv,
                             struct iovec *iov, int niov, int flags)
{
    union {
        char buf[CMSG_SPACE(sizeof(uint32_t)) +
                 CMSG_SPACE(sizeof(struct af_alg_iv) + BLOCK)];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = niov,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof(control.buf) };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    struct af_alg_iv *alg_iv;
    uint32_t what = encrypt ? ALG_OP_ENCRYPT : ALG_OP_DECRYPT;

    cmsg->cmsg_level = SOL_ALG;
    cmsg->cmsg_type = ALG_SET_OP;
    cmsg->cmsg_len = CMSG_LEN(sizeof(what));
    memcpy(CMSG_DATA(cmsg), &what, sizeof(what));

    cmsg = CMSG_NXTHDR(&msg, cmsg);
    cmsg->cmsg_level = SOL_ALG;
    cmsg->cmsg_type = ALG_SET_IV;
    cmsg->cmsg_len = CMSG_LEN(sizeof(*alg_iv) + BLOCK);
    alg_iv = (struct af_alg_iv *)CMSG_DATA(cmsg);
    alg_iv->ivlen = BLOCK;
    memcpy(alg_iv->iv, iv, BLOCK);

    if (sendmsg(op, &msg, flags) < 0) {
        die("sendmsg(AF_ALG)");
    }
}

static inline void alg_finish(int op, struct iovec *iov, int niov, size_t len)
{
    ssize_t got = readv(op, iov, niov);

    if (got < 0) {
        die("readv(AF_ALG)");
    }
    if ((size_t)got != len) {
        fprintf(stderr, "readv(AF_ALG): %zd bytes instead of %zu\n", got, len);
        exit(2);
    }
}

#endif
