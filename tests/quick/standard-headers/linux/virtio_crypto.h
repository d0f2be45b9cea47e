/*
 * The system's copy of the header that QEMU imports from Linux
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <linux/virtio_crypto.h>
