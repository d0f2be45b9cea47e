/*
 * cryptodev-backend-openssl: why something failed
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <openssl/err.h>
#include <openssl/proverr.h>
#include "standard-headers/linux/virtio_crypto.h"
#include "internal.h"

/* libcrypto's errors that mean something other than the caller's fallback */
typedef struct EvpErrorStatus {
    int lib;              /* 0: any */
    int reason;
    int status;
} EvpErrorStatus;

static const EvpErrorStatus evp_error_status[] = {
    { 0, ERR_R_UNSUPPORTED, VIRTIO_CRYPTO_NOTSUPP },
    { 0, ERR_R_FETCH_FAILED, VIRTIO_CRYPTO_NOTSUPP },
    { 0, ERR_R_MALLOC_FAILURE, VIRTIO_CRYPTO_ERR },
    { ERR_LIB_EVP, EVP_R_UNSUPPORTED_ALGORITHM, VIRTIO_CRYPTO_NOTSUPP },
    { ERR_LIB_EVP, EVP_R_OPERATION_NOT_SUPPORTED_FOR_THIS_KEYTYPE,
      VIRTIO_CRYPTO_NOTSUPP },
    { ERR_LIB_PROV, PROV_R_DIGEST_NOT_ALLOWED, VIRTIO_CRYPTO_NOTSUPP },
};

int cryptodev_evp_refuse(char **why, int status, const char *fmt, ...)
{
    va_list ap;

    if (why) {
        va_start(ap, fmt);
        *why = g_strdup_vprintf(fmt, ap);
        va_end(ap);
    }
    return status;
}

static int evp_status_of(unsigned long err, int fallback)
{
    const EvpErrorStatus *e;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(evp_error_status); i++) {
        e = &evp_error_status[i];
        if (ERR_GET_REASON(err) == e->reason &&
            (e->lib == 0 || ERR_GET_LIB(err) == e->lib)) {
            return e->status;
        }
    }
    return fallback;
}

/*
 * The queue belongs to the thread: what stays in it would explain somebody
 * else's failure.  The last entry is nearest to what was called.
 */
int cryptodev_evp_failed(char **why, int fallback, const char *what)
{
    int status = fallback;
    const char *text = NULL;
    unsigned long err;

    while ((err = ERR_get_error()) != 0) {
        status = evp_status_of(err, fallback);
        text = ERR_reason_error_string(err);
    }
    return cryptodev_evp_refuse(why, status, "%s failed: %s", what,
                                text ? text : "libcrypto gave no reason");
}
