/*
 * Stand-in for QEMU's osdep.h where the series' plain C files are built
 * without QEMU ("make check-quick")
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It gives what those files may use: the C library, glib, and a few macros
 * with QEMU's names and meaning. A file that needs more than this belongs to
 * the other side of the project, which knows QEMU.
 */

#ifndef QUICK_QEMU_OSDEP_H
#define QUICK_QEMU_OSDEP_H

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <glib.h>

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

#define ARRAY_SIZE(x) G_N_ELEMENTS(x)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ROUND_UP(n, d) (DIV_ROUND_UP(n, d) * (d))
#define sizeof_field(type, field) sizeof(((type *)0)->field)
#define ROUND_DOWN(n, m) ((n) / (m) * (m))
#define QEMU_IS_ALIGNED(n, m) (((n) % (m)) == 0)

#define QEMU_BUILD_BUG_ON(x) G_STATIC_ASSERT(!(x))
#define QEMU_BUILD_BUG_MSG(x, msg) _Static_assert(!(x), msg)
#define QEMU_PACKED __attribute__((packed))
#define QEMU_ALIGNED(n) __attribute__((aligned(n)))
#define QEMU_ALWAYS_INLINE __attribute__((always_inline))

#define container_of(ptr, type, member) \
    ((type *)((char *)(ptr) - offsetof(type, member)))

#endif /* QUICK_QEMU_OSDEP_H */
