/*
 * CacheMemRegion's trap: pages that are taken and given back, and a kernel
 * that refuses
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ioctl() and madvise() of this program stand before those of the C library:
 * they pass everything on, unless a test has told them to fail.
 */

#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "../../hw/cxl/cache_mem_trap.h"
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define PAGE    CACHE_MEM_PAGE_SIZE
#define PAGES   4

/* What fails, how often, and with what; madvise() stands for itself */
#define MADVISE 1

static struct {
    unsigned long what;
    int times;
    int error;
    int calls;
} failing;

static void fail(unsigned long what, int times, int error)
{
    failing.what = what;
    failing.times = times;
    failing.error = error;
    failing.calls = 0;
}

static bool fails(unsigned long what)
{
    if (what != failing.what) {
        return false;
    }
    failing.calls++;
    if (!failing.times) {
        return false;
    }
    failing.times--;
    errno = failing.error;
    return true;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (fails(request)) {
        if (request == UFFDIO_CONTINUE) {
            ((struct uffdio_continue *)arg)->mapped = -failing.error;
        }
        return -1;
    }
    return syscall(SYS_ioctl, fd, request, arg);
}

int madvise(void *addr, size_t len, int advice)
{
    return fails(MADVISE) ? -1 : syscall(SYS_madvise, addr, len, advice);
}

/* Memory that is mapped twice, and a trap on it */
typedef struct World {
    CacheMemTrap *trap;
    uint8_t *host;
    uint8_t *alias;
} World;

static bool world_start(World *w)
{
    Error *err = NULL;
    int fd = memfd_create("trap", MFD_CLOEXEC);

    w->trap = cache_mem_trap_new(&err);
    if (!w->trap) {
        g_test_skip(error_get_pretty(err));
        error_free(err);
        close(fd);
        return false;
    }
    g_assert_cmpint(ftruncate(fd, PAGES * PAGE), ==, 0);
    w->host = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                   0);
    w->alias = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                    0);
    close(fd);
    g_assert_true(w->host != MAP_FAILED && w->alias != MAP_FAILED);
    g_assert_true(cache_mem_trap_watch(w->trap, w->host, PAGES * PAGE,
                                       &error_abort));
    return true;
}

static void world_end(World *w)
{
    fail(0, 0, 0);
    cache_mem_trap_free(w->trap);
    munmap(w->host, PAGES * PAGE);
    munmap(w->alias, PAGES * PAGE);
}

static CacheMemZap zap_of(World *w, int page, int n)
{
    return (CacheMemZap) {
        w->host + page * PAGE, w->alias + page * PAGE, n * PAGE,
    };
}

static void zap(World *w, int page, int n)
{
    CacheMemZap zap = zap_of(w, page, n);

    g_assert_cmpint(cache_mem_trap_zap(&zap), ==, 0);
}

static int map(World *w, int page, int n, bool protect)
{
    return cache_mem_trap_map(w->trap, w->host + page * PAGE,
                              w->alias + page * PAGE, n * PAGE, protect);
}

/* Somebody who touches a byte, and sleeps if it is trapped */
typedef struct Toucher {
    uint8_t *at;
    bool write;
    uint8_t seen;
    bool done;
    QemuThread thread;
} Toucher;

static void *touch_thread(void *opaque)
{
    Toucher *t = opaque;

    if (t->write) {
        qatomic_set(t->at, 0x77);
    }
    t->seen = qatomic_read(t->at);
    qatomic_set(&t->done, true);
    return NULL;
}

static void touch(Toucher *t, uint8_t *at, bool write)
{
    *t = (Toucher) { .at = at, .write = write };
    qemu_thread_create(&t->thread, "toucher", touch_thread, t,
                       QEMU_THREAD_JOINABLE);
}

static void touch_end(Toucher *t)
{
    qemu_thread_join(&t->thread);
    g_assert_true(t->done);
}

/* The trap tells of it, and it does not go on by itself. */
static void check_sleeps(World *w, Toucher *t, bool write, bool protected)
{
    CacheMemTouch seen = { };

    g_assert_cmpint(cache_mem_trap_wait(w->trap, &seen, 1), ==, 1);
    g_assert_true(seen.host == w->host + (t->at - w->host) / PAGE * PAGE);
    g_assert_true(seen.write == write);
    g_assert_true(seen.protected == protected);
    g_usleep(20000);
    g_assert_false(qatomic_read(&t->done));
}

static void test_read(void)
{
    World w;
    Toucher t;

    if (!world_start(&w)) {
        return;
    }
    w.host[5] = 1;
    zap(&w, 0, 1);
    touch(&t, w.host + 5, false);
    check_sleeps(&w, &t, false, false);
    w.alias[5] = 2;
    g_assert_cmpint(map(&w, 0, 1, false), ==, 0);
    touch_end(&t);
    g_assert_cmpint(t.seen, ==, 2);
    /* It is there now. */
    w.host[6] = 3;
    g_assert_cmpint(w.alias[6], ==, 3);
    world_end(&w);
}

static void test_write(void)
{
    World w;
    Toucher t;

    if (!world_start(&w)) {
        return;
    }
    zap(&w, 0, PAGES);
    touch(&t, w.host + 2 * PAGE, true);
    check_sleeps(&w, &t, true, false);
    g_assert_cmpint(w.alias[2 * PAGE], ==, 0);
    g_assert_cmpint(map(&w, 0, PAGES, false), ==, 0);
    touch_end(&t);
    g_assert_cmpint(w.alias[2 * PAGE], ==, 0x77);
    world_end(&w);
}

/* A page that was never there is zapped and trapped like another. */
static void test_untouched(void)
{
    World w;
    Toucher t;

    if (!world_start(&w)) {
        return;
    }
    zap(&w, 3, 1);
    touch(&t, w.host + 3 * PAGE, false);
    check_sleeps(&w, &t, false, false);
    g_assert_cmpint(map(&w, 3, 1, false), ==, 0);
    touch_end(&t);
    world_end(&w);
}

static void test_protect(void)
{
    World w;
    Toucher t;
    int ret;

    if (!world_start(&w)) {
        return;
    }
    zap(&w, 1, 1);
    ret = cache_mem_trap_can_protect(w.trap) ? map(&w, 1, 1, true) : -EINVAL;
    if (ret == -EINVAL) {
        g_test_skip("this kernel cannot write-protect pages of shared memory");
        world_end(&w);
        return;
    }
    g_assert_cmpint(ret, ==, 0);
    g_assert_cmpint(w.host[PAGE], ==, 0);
    touch(&t, w.host + PAGE, true);
    check_sleeps(&w, &t, true, true);
    fail(UFFDIO_WRITEPROTECT, 1, ENOENT);
    g_assert_cmpint(cache_mem_trap_unprotect(w.trap, w.host + PAGE, PAGE), ==,
                    -ENOENT);
    g_usleep(20000);
    g_assert_false(qatomic_read(&t.done));
    fail(UFFDIO_WRITEPROTECT, 2, EAGAIN);
    g_assert_cmpint(cache_mem_trap_unprotect(w.trap, w.host + PAGE, PAGE), ==,
                    0);
    g_assert_cmpint(failing.calls, ==, 3);
    touch_end(&t);
    g_assert_cmpint(w.alias[PAGE], ==, 0x77);
    world_end(&w);
}

/* An error that nobody expects is told, and unwatching wakes who sleeps. */
static void test_map_fails(void)
{
    World w;
    Toucher t;

    if (!world_start(&w)) {
        return;
    }
    zap(&w, 0, 1);
    touch(&t, w.host, false);
    check_sleeps(&w, &t, false, false);
    fail(UFFDIO_CONTINUE, 1, ENOMEM);
    g_assert_cmpint(map(&w, 0, 1, false), ==, -ENOMEM);
    g_assert_cmpint(failing.calls, ==, 1);
    g_usleep(20000);
    g_assert_false(qatomic_read(&t.done));
    w.alias[0] = 9;
    cache_mem_trap_unwatch(w.trap, w.host, PAGES * PAGE);
    touch_end(&t);
    g_assert_cmpint(t.seen, ==, 9);
    world_end(&w);
}

static void test_map_again(void)
{
    World w;
    Toucher t;

    if (!world_start(&w)) {
        return;
    }
    /* Somebody else's fault has mapped the first of two pages. */
    zap(&w, 0, 2);
    g_assert_cmpint(map(&w, 0, 1, false), ==, 0);
    touch(&t, w.host + PAGE, false);
    check_sleeps(&w, &t, false, false);
    fail(UFFDIO_CONTINUE, 2, EAGAIN);
    g_assert_cmpint(map(&w, 0, 2, false), ==, 0);
    /* Twice in vain, once for the page that is there, once for the other */
    g_assert_cmpint(failing.calls, ==, 4);
    touch_end(&t);
    world_end(&w);
}

/* What a kernel without write protection of such pages says */
static void test_map_protect_fails(void)
{
    World w;

    if (!world_start(&w)) {
        return;
    }
    zap(&w, 0, 1);
    fail(UFFDIO_CONTINUE, 1, EINVAL);
    g_assert_cmpint(map(&w, 0, 1, true), ==, -EINVAL);
    g_assert_cmpint(map(&w, 0, 1, false), ==, 0);
    world_end(&w);
}

/* process_madvise() takes MADV_DONTNEED since then. */
static bool kernel_zaps_several(void)
{
    struct utsname name;
    int major, minor;

    g_assert_cmpint(uname(&name), ==, 0);
    g_assert_cmpint(sscanf(name.release, "%d.%d", &major, &minor), ==, 2);
    return major > 6 || (major == 6 && minor >= 13);
}

static void test_zap_all(void)
{
    World w;
    Toucher t[PAGES];

    if (!world_start(&w)) {
        return;
    }
    for (int i = 0; i < PAGES; i++) {
        w.host[i * PAGE] = 10 + i;
    }
    if (kernel_zaps_several()) {
        const CacheMemZap some[] = { zap_of(&w, 0, 1), zap_of(&w, 2, 2) };

        g_assert_false(cache_mem_trap_zap_all(w.trap, some, 1));
        g_assert_true(cache_mem_trap_zap_all(w.trap, some, 2));
        /* The one between is there. */
        g_assert_cmpint(w.host[PAGE], ==, 11);
        for (int i = 0; i < PAGES; i++) {
            if (i != 1) {
                touch(&t[i], w.host + i * PAGE, false);
                check_sleeps(&w, &t[i], false, false);
                w.alias[i * PAGE] = 20 + i;
                g_assert_cmpint(map(&w, i, 1, false), ==, 0);
                touch_end(&t[i]);
                g_assert_cmpint(t[i].seen, ==, 20 + i);
            }
        }
    } else {
        g_test_skip("this kernel takes one range at a time");
    }
    world_end(&w);
}

static void test_zap_fails(void)
{
    World w;
    CacheMemZap first, two[2];

    if (!world_start(&w)) {
        return;
    }
    first = zap_of(&w, 0, 1);
    two[0] = zap_of(&w, 1, 1);
    two[1] = first;
    w.host[0] = 4;
    fail(MADVISE, 1, ENOMEM);
    g_assert_cmpint(cache_mem_trap_zap(&first), ==, -ENOMEM);
    g_assert_cmpint(w.host[0], ==, 4);
    fail(MADVISE, 2, EAGAIN);
    g_assert_cmpint(cache_mem_trap_zap(&first), ==, 0);
    g_assert_cmpint(failing.calls, ==, 3);
    g_assert_cmpint(map(&w, 0, 1, false), ==, 0);
    g_assert_cmpint(w.host[0], ==, 4);

    /* For real: memory that is locked */
    if (!mlock(w.host, PAGE)) {
        g_assert_cmpint(cache_mem_trap_zap(&first), ==, -EINVAL);
        g_assert_false(cache_mem_trap_zap_all(w.trap, two, 2));
        munlock(w.host, PAGE);
    }
    world_end(&w);
}

static void *wait_thread(void *opaque)
{
    CacheMemTouch seen;

    return GINT_TO_POINTER(cache_mem_trap_wait(opaque, &seen, 1) + 1);
}

static void test_stop(void)
{
    World w;
    QemuThread thread;

    if (!world_start(&w)) {
        return;
    }
    qemu_thread_create(&thread, "wait", wait_thread, w.trap,
                       QEMU_THREAD_JOINABLE);
    g_usleep(20000);
    cache_mem_trap_stop(w.trap);
    g_assert_cmpint(GPOINTER_TO_INT(qemu_thread_join(&thread)), ==, 1);
    world_end(&w);
}

static void test_poll(void)
{
    static const struct { int64_t before, waited, next; } step[] = {
        { 0, 0, CACHE_MEM_POLL_MIN_NS },
        { 0, CACHE_MEM_POLL_MAX_NS, CACHE_MEM_POLL_MIN_NS },
        { 0, CACHE_MEM_POLL_MAX_NS + 1, 0 },
        { CACHE_MEM_POLL_MIN_NS, 1, 2 * CACHE_MEM_POLL_MIN_NS },
        { CACHE_MEM_POLL_MAX_NS, 1, CACHE_MEM_POLL_MAX_NS },
        { CACHE_MEM_POLL_MAX_NS, CACHE_MEM_POLL_MAX_NS + 1, 0 },
        { CACHE_MEM_POLL_MAX_NS, INT64_MAX, 0 },
    };

    for (int i = 0; i < ARRAY_SIZE(step); i++) {
        g_assert_cmpint(cache_mem_trap_poll_ns(step[i].before, step[i].waited),
                        ==, step[i].next);
    }
}

typedef struct Walk {
    World *w;
    int pages;
    QemuThread thread;
} Walk;

static void *walk_thread(void *opaque)
{
    Walk *walk = opaque;

    for (int i = 0; i < walk->pages; i++) {
        (void)qatomic_read(&walk->w->host[i * PAGE]);
    }
    return NULL;
}

static int64_t thread_cpu_us(void)
{
    struct rusage used;

    g_assert_cmpint(getrusage(RUSAGE_THREAD, &used), ==, 0);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * G_USEC_PER_SEC +
           used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static void *late_thread(void *opaque)
{
    Walk *walk = opaque;

    g_usleep(G_USEC_PER_SEC / 4);
    return walk_thread(walk);
}

/* Touches one after the other are all seen; no touch costs nothing. */
static void test_walk(void)
{
    World w;
    Walk walk = { .w = &w, .pages = PAGES };
    CacheMemTouch seen;
    int64_t used;

    if (!world_start(&w)) {
        return;
    }
    for (int round = 0; round < 50; round++) {
        zap(&w, 0, PAGES);
        qemu_thread_create(&walk.thread, "walk", walk_thread, &walk,
                           QEMU_THREAD_JOINABLE);
        for (int i = 0; i < PAGES; i++) {
            g_assert_cmpint(cache_mem_trap_wait(w.trap, &seen, 1), ==, 1);
            g_assert_true(seen.host == w.host + i * PAGE);
            g_assert_cmpint(map(&w, i, 1, false), ==, 0);
        }
        qemu_thread_join(&walk.thread);
    }

    zap(&w, 0, 1);
    walk.pages = 1;
    qemu_thread_create(&walk.thread, "late", late_thread, &walk,
                       QEMU_THREAD_JOINABLE);
    used = thread_cpu_us();
    g_assert_cmpint(cache_mem_trap_wait(w.trap, &seen, 1), ==, 1);
    /* Of a quarter of a second */
    g_assert_cmpint(thread_cpu_us() - used, <, 25000);
    g_assert_cmpint(map(&w, 0, 1, false), ==, 0);
    qemu_thread_join(&walk.thread);
    world_end(&w);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cxl-cache/trap/read", test_read);
    g_test_add_func("/cxl-cache/trap/write", test_write);
    g_test_add_func("/cxl-cache/trap/untouched", test_untouched);
    g_test_add_func("/cxl-cache/trap/protect", test_protect);
    g_test_add_func("/cxl-cache/trap/map-fails", test_map_fails);
    g_test_add_func("/cxl-cache/trap/map-again", test_map_again);
    g_test_add_func("/cxl-cache/trap/map-protect-fails",
                    test_map_protect_fails);
    g_test_add_func("/cxl-cache/trap/zap-all", test_zap_all);
    g_test_add_func("/cxl-cache/trap/zap-fails", test_zap_fails);
    g_test_add_func("/cxl-cache/trap/stop", test_stop);
    g_test_add_func("/cxl-cache/trap/poll", test_poll);
    g_test_add_func("/cxl-cache/trap/walk", test_walk);
    return g_test_run();
}
