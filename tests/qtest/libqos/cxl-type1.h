/*
 * libqos support for cxl-type1-crypto: its cache at work
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A device that encrypts guest memory, at addresses that the test chooses, and
 * x-query-cxl-cache to see what its cache does meanwhile. qtest's own reads
 * and writes of guest memory are those of a CPU: they bring lines home. So
 * nothing here looks at a result.
 */

#ifndef LIBQOS_CXL_TYPE1_H
#define LIBQOS_CXL_TYPE1_H

#include "cxl.h"
#include "libqos-malloc.h"
#include "virtio-crypto.h"
#include "qobject/qdict.h"

#define QCT_LINE        64
#define QCT_PAGE        4096
#define QCT_PAGE_LINES  (QCT_PAGE / QCT_LINE)

/* RAM whose lines cannot be kept; for the other kind see QCXL_SHARED_RAM */
#define QCT_PRIVATE_RAM "-m 128M "

#define QCT_BACKEND     "-object cryptodev-backend-builtin,id=c0 "
#define QCT_DEVICE      "-device cxl-type1-crypto,bus=rp0,cryptodev=c0"

typedef struct QCXLType1 {
    QCXL *cxl;
    QVirtioCrypto *c;
    QPCIBar window;
    uint64_t window_size;
    uint64_t session;
} QCXLType1;

/* Guest memory of a request; @len bytes at @addr, a descriptor each */
typedef struct QCTSeg {
    uint64_t addr;
    uint32_t len;
} QCTSeg;

/**
 * qct_new: the device below a root port, with a session of AES-CBC
 * @cxl: the root port
 * @alloc: guest memory
 * @key: 16 bytes
 */
QCXLType1 *qct_new(QCXL *cxl, QGuestAllocator *alloc, const uint8_t *key);

/**
 * qct_attach: (re)start the device and make a session
 *
 * After a reset of the device, when qvirtio_crypto_release() was called.
 */
void qct_attach(QCXLType1 *t, const uint8_t *key);

/**
 * qct_free: stop the device; or only forget it, if it is gone
 */
void qct_free(QCXLType1 *t, bool gone);

/* Set or clear Cache_Enable and Disable_Caching by configuration space. */
void qct_set_cache_enable(QCXLType1 *t, bool on);
void qct_set_disable_caching(QCXLType1 *t, bool on);

/**
 * qct_encrypt_at: encrypt memory
 * @iv: 16 bytes
 * @src, @dst: pieces of memory, ended by one of length 0; as long as each other
 *
 * Returns: the virtio status
 */
uint8_t qct_encrypt_at(QCXLType1 *t, const uint8_t *iv, const QCTSeg *src,
                       const QCTSeg *dst);

/**
 * qct_encrypt_zeroes: encrypt @len bytes of zeroes to @dst; it must succeed
 */
void qct_encrypt_zeroes(QCXLType1 *t, uint64_t dst, uint32_t len);

/**
 * qct_query: the answer of x-query-cxl-cache, which must not be an error
 */
QDict *qct_query(QTestState *qts);

/* Parts of it; devices by the order in which they were plugged */
QDict *qct_device(QDict *info, unsigned n);
int64_t qct_sent(QDict *dev, const char *channel, const char *opcode);
int64_t qct_sent_all(QDict *dev, const char *channel);
int64_t qct_lines(QDict *dev, const char *state);
int64_t qct_access(QDict *info, const char *access, const char *what);
int64_t qct_trap(QDict *info, const char *what);
bool qct_can_share(QDict *info);
bool qct_has_obstacle(QDict *info);

/**
 * qct_cannot_keep: skip the test if this host cannot have devices keep lines
 *
 * Known as soon as a device has wanted to keep a line.
 */
bool qct_cannot_keep(QDict *info);

/**
 * qct_check_quiet: nothing is under way and all numbers fit each other
 *
 * Credits are home, requests and snoops have their answers, the snoop filter
 * tracks what the caches hold, nobody has broken a rule.
 */
void qct_check_quiet(QDict *info);

#endif
