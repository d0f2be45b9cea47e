/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the kernels that this is built for, 6.1 to 7.3, under
 * the newest kernel's names
 */
#ifndef CXL_TYPE1_CRYPTO_COMPAT_H
#define CXL_TYPE1_CRYPTO_COMPAT_H

#include <crypto/internal/skcipher.h>
#include <linux/version.h>
#include <linux/virtio_config.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)

/* What a completion is called with, and how it finds its data there */
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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)

struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
	bool ctx;
};

/* At most @max queues: what this module has names for */
#define COMPAT_MAX_VQS	65

static inline int compat_find_vqs(struct virtio_device *vdev, unsigned int n,
				  struct virtqueue *vqs[],
				  struct virtqueue_info info[],
				  struct irq_affinity *desc)
{
	vq_callback_t *callbacks[COMPAT_MAX_VQS];
	const char *names[COMPAT_MAX_VQS];
	unsigned int i;

	if (n > COMPAT_MAX_VQS)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(vdev, n, vqs, callbacks, names, desc);
}

#else

#define compat_find_vqs	virtio_find_vqs

#endif

#endif
