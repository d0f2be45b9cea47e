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
    unsigned lines;         /* of the cache, once qct_read_window() was here */
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
 * qct_probe: the device below a root port, not started
 */
QCXLType1 *qct_probe(QCXL *cxl, QGuestAllocator *alloc);

/**
 * qct_attach: (re)start the device and make a session
 *
 * After a reset of the device, when qvirtio_crypto_release() was called.
 */
void qct_attach(QCXLType1 *t, const uint8_t *key);

/**
 * qct_make_session: make a session of AES-CBC on a device that is started
 */
void qct_make_session(QCXLType1 *t, const uint8_t *key);

/**
 * qct_free: stop the device; or only forget it, if it is gone
 */
void qct_free(QCXLType1 *t, bool gone);

/* Set or clear Cache_Enable and Disable_Caching by configuration space. */
void qct_set_cache_enable(QCXLType1 *t, bool on);
void qct_set_disable_caching(QCXLType1 *t, bool on);

/* A request that is under way */
typedef struct QCTRequest {
    QVirtioCryptoReq req;
    struct virtio_crypto_op_data_req hdr;
    uint8_t status;
    uint64_t status_addr;
} QCTRequest;

/* What the status of a request holds before the device writes it */
#define QCT_NO_STATUS   0xa5

/**
 * qct_prepare: a request to have memory encrypted
 * @q: the request, for qct_submit()
 * @iv: 16 bytes
 * @src, @dst: pieces of memory, ended by one of length 0; as long as each other
 *
 * Descriptors, to be changed at will: header, IV, source, destination, status.
 * Behind an IOMMU all addresses are the device's, but for @q->status_addr.
 */
void qct_prepare(QCXLType1 *t, QCTRequest *q, const uint8_t *iv,
                 const QCTSeg *src, const QCTSeg *dst);

/**
 * qct_submit: give a request to data queue 0
 * @q: the request, for qct_wait() or qct_forget()
 */
void qct_submit(QCXLType1 *t, QCTRequest *q);

/**
 * qct_post: qct_prepare() and qct_submit()
 */
void qct_post(QCXLType1 *t, QCTRequest *q, const uint8_t *iv,
              const QCTSeg *src, const QCTSeg *dst);

/**
 * qct_wait: wait for the oldest request; it must complete
 *
 * Returns: the virtio status
 */
uint8_t qct_wait(QCXLType1 *t, QCTRequest *q);

/**
 * qct_forget: the request will not complete, and its queue is gone
 */
void qct_forget(QCTRequest *q);

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

/* A machine with one device, "t0", or with two that share their host */
typedef struct QCTRig {
    QTestState *qts;
    QGuestAllocator alloc;
    unsigned devices;
    QCXLType1 *t[2];
} QCTRig;

/* NIST SP 800-38A, F.2.1: CBC-AES128.Encrypt */
extern const uint8_t qct_key[16];
extern const uint8_t qct_iv[16];
extern const uint8_t qct_plain[64];
extern const uint8_t qct_cipher[64];

/**
 * qct_rig_boot: start a machine, but not its devices
 * @ram, @opts: as for qct_rig_start()
 */
void qct_rig_boot(QCTRig *r, const char *ram, const char *opts);

/**
 * qct_rig_start: start a machine, and its devices
 * @ram: QCXL_SHARED_RAM or QCT_PRIVATE_RAM
 * @opts: of the first device, and what shall follow it on the command line;
 *        QCT_SECOND is the second device
 */
void qct_rig_start(QCTRig *r, const char *ram, const char *opts);
void qct_rig_end(QCTRig *r);

#define QCT_SECOND      " " QCXL_RP1 ",cxl-cache=on " \
                        "-object cryptodev-backend-builtin,id=c1 " \
                        "-device cxl-type1-crypto,bus=rp1,cryptodev=c1,id=t1"

/**
 * qct_start_again: set up a device after a reset that its BARs did not survive
 */
void qct_start_again(QCTRig *r, unsigned n);

/* Page aligned guest memory; qct_alloc_source()'s bytes are not all the same */
uint64_t qct_alloc_filled(QCTRig *r, size_t len, uint8_t value);
uint64_t qct_alloc_source(QCTRig *r, size_t len);

/* One piece of memory with qct_iv; qct_encrypt() must succeed */
uint8_t qct_crypt_to(QCXLType1 *t, uint64_t src, uint64_t dst, uint32_t len);
void qct_encrypt(QCXLType1 *t, uint64_t src, uint64_t dst, uint32_t len);

/**
 * qct_encrypt_uncached: what becomes of @src, by CXL.io
 */
uint8_t *qct_encrypt_uncached(QCTRig *r, uint64_t src, uint32_t len);

void qct_check_memory(QCTRig *r, uint64_t addr, const void *want, size_t len);
void qct_check_filled(QCTRig *r, uint64_t addr, uint8_t value, size_t len);

/* Offsets in the window, and what it shows at a time */
#define QCT_WINDOW_SIZE         0x80000
#define QCT_WINDOW_LINES        0x40000
#define QCT_WINDOW_PAGE_LINES   0x40004
#define QCT_WINDOW_PAGE         0x40008
#define QCT_WINDOW_PAGE_SLOTS   2048

/* A slot of the window */
typedef struct QCTSlot {
    uint8_t data[64];
    uint64_t ats;
    uint8_t state;
    uint8_t nreq;
    uint8_t rsvd[6];
    uint64_t desc[6];
} QCTSlot;

/**
 * qct_read_window: all lines of the cache, page by page of the window
 *
 * There are @t->lines of them. Leaves page 0 in the window.
 */
QCTSlot *qct_read_window(QCXLType1 *t);

/* x-cxl-type1-fault of "t0"; what is 0 or NULL is left out */
typedef struct QCTFault {
    const char *kind;
    const char *point;
    uint32_t after;
    uint32_t count;
} QCTFault;

void qct_fault(QTestState *qts, const QCTFault *fault);
void qct_clear(QTestState *qts);

/* Members of x-query-cxl-type1-fault's answer for "t0" */
bool qct_fault_is(QTestState *qts, const char *what);
int64_t qct_fault_count(QTestState *qts, const char *what);

/**
 * qct_wait_held: wait until so many requests hang
 */
void qct_wait_held(QTestState *qts, int64_t n);

/**
 * qct_total: rescued-lines, poisoned-lines or lost-lines
 */
int64_t qct_total(QTestState *qts, const char *what);

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
