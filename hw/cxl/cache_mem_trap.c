/*
 * CacheMemRegion: the trap, userfaultfd
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In minor mode userfaultfd is silent about pages that the file does not have.
 * So a page is touched through the alias before it is zapped, and nobody may
 * discard the memory while it is watched.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "cache_mem_trap.h"

#ifdef CONFIG_LINUX
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include "qemu/event_notifier.h"
#include "qemu/userfaultfd.h"

#define MAX_TOUCHES 16

struct CacheMemTrap {
    int uffd;
    EventNotifier stop;
    bool can_protect;
    int64_t poll_ns;
    int self;
};

/* Through the alias, so that the file has the page */
static void populate(const uint8_t *alias)
{
    (void)qatomic_read(alias);
}

static void populate_range(const CacheMemZap *zap)
{
    for (uint64_t at = 0; at < zap->size; at += CACHE_MEM_PAGE_SIZE) {
        populate(zap->alias + at);
    }
}

/* The C library has these only since glibc 2.36. */
static int open_self(void)
{
    return syscall(SYS_pidfd_open, getpid(), 0);
}

static ssize_t zap_vector(int pidfd, const struct iovec *iov, unsigned n)
{
    return syscall(SYS_process_madvise, pidfd, iov, n, MADV_DONTNEED, 0);
}

CacheMemTrap *cache_mem_trap_new(Error **errp)
{
    const uint64_t wp = UFFD_FEATURE_PAGEFAULT_FLAG_WP |
                        UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    g_autofree CacheMemTrap *trap = g_new0(CacheMemTrap, 1);
    uint64_t features = 0;

    if (uffd_query_features(&features)) {
        error_setg(errp, "userfaultfd is not permitted");
        return NULL;
    }
    if (!(features & UFFD_FEATURE_MINOR_SHMEM)) {
        error_setg(errp, "userfaultfd has no minor mode for shared memory, "
                   "which Linux has since 5.14");
        return NULL;
    }
    trap->can_protect = (features & wp) == wp;
    trap->uffd = uffd_create_fd(UFFD_FEATURE_MINOR_SHMEM |
                                (trap->can_protect ? wp : 0), true);
    if (trap->uffd < 0) {
        error_setg(errp, "userfaultfd is not permitted");
        return NULL;
    }
    if (event_notifier_init(&trap->stop, 0) < 0) {
        error_setg(errp, "there is no eventfd to be had");
        uffd_close_fd(trap->uffd);
        return NULL;
    }
    trap->self = open_self();
    return g_steal_pointer(&trap);
}

void cache_mem_trap_free(CacheMemTrap *trap)
{
    if (trap) {
        if (trap->self >= 0) {
            close(trap->self);
        }
        event_notifier_cleanup(&trap->stop);
        uffd_close_fd(trap->uffd);
        g_free(trap);
    }
}

bool cache_mem_trap_can_protect(const CacheMemTrap *trap)
{
    return trap->can_protect;
}

bool cache_mem_trap_watch(CacheMemTrap *trap, uint8_t *host, uint64_t size,
                          Error **errp)
{
    uint64_t mode = UFFDIO_REGISTER_MODE_MINOR;
    uint64_t ioctls = 0;

    if (trap->can_protect) {
        mode |= UFFDIO_REGISTER_MODE_WP;
    }
    if (uffd_register_memory(trap->uffd, host, size, mode, &ioctls) ||
        !(ioctls & BIT(_UFFDIO_CONTINUE))) {
        error_setg(errp, "userfaultfd cannot watch it");
        return false;
    }
    return true;
}

void cache_mem_trap_unwatch(CacheMemTrap *trap, uint8_t *host, uint64_t size)
{
    uffd_unregister_memory(trap->uffd, host, size);
    /* That alone wakes who sleeps for a missing page, and here none is. */
    uffd_wakeup(trap->uffd, host, size);
}

int cache_mem_trap_zap(const CacheMemZap *zap)
{
    int ret;

    populate_range(zap);
    do {
        ret = madvise(zap->host, zap->size, MADV_DONTNEED);
    } while (ret && errno == EAGAIN);
    return ret ? -errno : 0;
}

bool cache_mem_trap_zap_all(CacheMemTrap *trap, const CacheMemZap *zap,
                            unsigned n)
{
    struct iovec iov[CACHE_MEM_ZAP_MAX];
    ssize_t size = 0;

    if (n < 2 || trap->self < 0) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        populate_range(&zap[i]);
        iov[i] = (struct iovec) { zap[i].host, zap[i].size };
        size += zap[i].size;
    }
    return zap_vector(trap->self, iov, n) == size;
}

int cache_mem_trap_map(CacheMemTrap *trap, uint8_t *host, uint8_t *alias,
                       uint64_t size, bool protect)
{
    uint64_t done = 0;

    while (done < size) {
        struct uffdio_continue arg = {
            .range.start = (uintptr_t)host + done,
            .range.len = size - done,
            .mode = protect ? UFFDIO_CONTINUE_MODE_WP : 0,
        };

        if (!ioctl(trap->uffd, UFFDIO_CONTINUE, &arg)) {
            break;
        }
        done += MAX(arg.mapped, 0);
        switch (errno) {
        case EAGAIN:
            break;
        case EEXIST:
            /* Somebody else's fault has mapped it. */
            uffd_wakeup(trap->uffd, host + done, CACHE_MEM_PAGE_SIZE);
            done += CACHE_MEM_PAGE_SIZE;
            break;
        case EFAULT:
            populate(alias + done);
            break;
        default:
            return -errno;
        }
    }
    return 0;
}

int cache_mem_trap_unprotect(CacheMemTrap *trap, uint8_t *host, uint64_t size)
{
    struct uffdio_writeprotect arg = {
        .range.start = (uintptr_t)host,
        .range.len = size,
    };
    int ret;

    do {
        ret = ioctl(trap->uffd, UFFDIO_WRITEPROTECT, &arg);
    } while (ret && errno == EAGAIN);
    return ret ? -errno : 0;
}

/* Returns how many of @n events are about pages. */
static int take_events(const struct uffd_msg *msg, int n, CacheMemTouch *touch)
{
    int taken = 0;

    for (int i = 0; i < n; i++) {
        uint64_t flags = msg[i].arg.pagefault.flags;
        uint64_t addr = msg[i].arg.pagefault.address;

        if (msg[i].event == UFFD_EVENT_PAGEFAULT) {
            touch[taken++] = (CacheMemTouch) {
                .host = (uint8_t *)(uintptr_t)
                        QEMU_ALIGN_DOWN(addr, CACHE_MEM_PAGE_SIZE),
                .write = flags & (UFFD_PAGEFAULT_FLAG_WRITE |
                                  UFFD_PAGEFAULT_FLAG_WP),
                .protected = flags & UFFD_PAGEFAULT_FLAG_WP,
            };
        }
    }
    return taken;
}

static int read_touches(CacheMemTrap *trap, CacheMemTouch *touch, int max)
{
    struct uffd_msg msgs[MAX_TOUCHES];
    int n = uffd_read_events(trap->uffd, msgs, MIN(max, MAX_TOUCHES));

    return take_events(msgs, n, touch);
}

static int poll_touches(CacheMemTrap *trap, CacheMemTouch *touch, int max,
                        int64_t end)
{
    int n = 0;

    while (!n && get_clock() < end) {
        n = read_touches(trap, touch, max);
    }
    return n;
}

/* @ms: at most, negative for as long as it takes */
static int await_touches(CacheMemTrap *trap, CacheMemTouch *touch, int max,
                         int ms)
{
    struct pollfd fds[] = {
        { .fd = trap->uffd, .events = POLLIN },
        { .fd = event_notifier_get_fd(&trap->stop), .events = POLLIN },
    };
    int n = 0, ready = 1;

    while (!n && ready &&
           (ready = RETRY_ON_EINTR(poll(fds, ARRAY_SIZE(fds), ms))) >= 0 &&
           !fds[1].revents) {
        n = read_touches(trap, touch, max);
    }
    return ready ? n : -EAGAIN;
}

int cache_mem_trap_wait_ms(CacheMemTrap *trap, CacheMemTouch *touch, int max,
                           int ms)
{
    return await_touches(trap, touch, max, ms);
}

int cache_mem_trap_wait(CacheMemTrap *trap, CacheMemTouch *touch, int max)
{
    int64_t begun = get_clock();
    int n = poll_touches(trap, touch, max, begun + trap->poll_ns);

    n = n ?: await_touches(trap, touch, max, -1);
    trap->poll_ns = cache_mem_trap_poll_ns(trap->poll_ns, get_clock() - begun);
    return n;
}

void cache_mem_trap_stop(CacheMemTrap *trap)
{
    event_notifier_set(&trap->stop);
}

#else /* !CONFIG_LINUX */

CacheMemTrap *cache_mem_trap_new(Error **errp)
{
    error_setg(errp, "this host has no userfaultfd");
    return NULL;
}

/* There is never a trap to call the rest with. */

void cache_mem_trap_free(CacheMemTrap *trap)
{
}

bool cache_mem_trap_can_protect(const CacheMemTrap *trap)
{
    g_assert_not_reached();
}

bool cache_mem_trap_watch(CacheMemTrap *trap, uint8_t *host, uint64_t size,
                          Error **errp)
{
    g_assert_not_reached();
}

void cache_mem_trap_unwatch(CacheMemTrap *trap, uint8_t *host, uint64_t size)
{
    g_assert_not_reached();
}

int cache_mem_trap_zap(const CacheMemZap *zap)
{
    g_assert_not_reached();
}

bool cache_mem_trap_zap_all(CacheMemTrap *trap, const CacheMemZap *zap,
                            unsigned n)
{
    g_assert_not_reached();
}

int cache_mem_trap_map(CacheMemTrap *trap, uint8_t *host, uint8_t *alias,
                       uint64_t size, bool protect)
{
    g_assert_not_reached();
}

int cache_mem_trap_unprotect(CacheMemTrap *trap, uint8_t *host, uint64_t size)
{
    g_assert_not_reached();
}

int cache_mem_trap_wait(CacheMemTrap *trap, CacheMemTouch *touch, int max)
{
    g_assert_not_reached();
}

int cache_mem_trap_wait_ms(CacheMemTrap *trap, CacheMemTouch *touch, int max,
                           int ms)
{
    g_assert_not_reached();
}

void cache_mem_trap_stop(CacheMemTrap *trap)
{
    g_assert_not_reached();
}

#endif /* CONFIG_LINUX */
