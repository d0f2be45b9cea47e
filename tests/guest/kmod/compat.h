/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between the kernels that this is built for, 6.1 to 7.3 */
#ifndef CXL_CRYPTO_TEST_COMPAT_H
#define CXL_CRYPTO_TEST_COMPAT_H

#include <linux/crypto.h>
#include <linux/version.h>

/* What a completion is called with, and how it finds its data there */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)

typedef struct crypto_async_request *completion_arg;

static inline void *completion_data(completion_arg arg)
{
	return arg->data;
}

#else

typedef void *completion_arg;

static inline void *completion_data(completion_arg arg)
{
	return arg;
}

#endif

#endif
