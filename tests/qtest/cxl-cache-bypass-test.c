/*
 * QTest testcase for CacheMemRegion: users of guest RAM that go past the trap
 * come and go, and lines are kept only while there is none
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include <sys/socket.h>
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/vhost-user-peer.h"
#include "cxl-cache-testdev.h"
#include "qobject/qdict.h"

#define RAM_SIZE    (128 * MiB)
/* A line to play with, and one of another page */
#define A           (16 * MiB)
#define B           (A + PAGE + 3 * LINE)

#define IVSHMEM_BAR 2

typedef struct Machine {
    QTestState *qts;
    Dev dev;            /* cxl-cache-testdev */
    QCXL *port;         /* where the other user is plugged */
    uint8_t *ram;       /* what guest RAM really holds */
} Machine;

/* Of the trap, as x-query-cxl-cache has it: why no line is kept, or NULL */
static char *obstacle(Machine *m)
{
    QDict *info = qtest_qmp_assert_success_ref(m->qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    char *why = g_strdup(qdict_get_try_str(qdict_get_qdict(info, "trap"),
                                           "obstacle"));

    qobject_unref(info);
    return why;
}

static void assert_kept(Machine *m, uint64_t addr)
{
    g_autofree char *why = obstacle(m);

    g_assert_cmpstr(why, ==, NULL);
    if (line_state(&m->dev, addr) != CCT_STATE_I) {
        evict(&m->dev, addr);
    }
    g_assert_cmpuint(request(&m->dev, CXL_CACHE_RD_OWN, addr).state, ==,
                     CCT_STATE_E);
}

/* Of nobody but @who, and not for other reasons, a line is used once. */
static void assert_used_once(Machine *m, uint64_t addr, const char *who)
{
    g_autofree char *why = obstacle(m);

    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, who));
    g_assert_cmpuint(request(&m->dev, CXL_CACHE_RD_OWN, addr).state, ==,
                     CCT_STATE_I);
}

static void machine_boot(Machine *m, const char *opts)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE QCXL_SHARED_RAM QCXL_PXB
                         QCXL_RP ",cxl-cache=on " QCXL_RP1
                         " -device cxl-cache-testdev,bus=rp0 %s", opts);
    dev_start(&m->dev, m->qts, 0);
    m->port = qcxl_new_port(m->qts, 1);
    m->ram = qcxl_map_memfd(m->qts, QCXL_MEMFD, RAM_SIZE);
}

static void machine_end(Machine *m)
{
    munmap(m->ram, RAM_SIZE);
    qcxl_free(m->port);
    dev_end(&m->dev);
    qtest_quit(m->qts);
}

/* Returns: false, and the test is skipped, where no line is ever kept */
static bool machine_start(Machine *m, const char *opts)
{
    g_autofree char *why = NULL;

    machine_boot(m, opts);
    /* userfaultfd is opened for the first line. */
    if (request(&m->dev, CXL_CACHE_RD_OWN, B).state == CCT_STATE_E) {
        return true;
    }
    why = obstacle(m);
    g_test_message("lines are not kept: %s", why);
    g_test_skip("lines are not kept on this host");
    machine_end(m);
    return false;
}

/* The device has version 2 of the line, memory has version 1. */
static void have_modified(Machine *m)
{
    uint8_t data[LINE];

    fill(data, 1);
    qtest_memwrite(m->qts, A, data, LINE);
    make_m(&m->dev, A, 2);
    assert_version(m->ram + A, 1);
}

static void check_home(Machine *m)
{
    assert_version(m->ram + A, 2);
    g_assert_cmpuint(line_state(&m->dev, A), ==, CCT_STATE_I);
    g_assert_cmpuint(line_state(&m->dev, B), ==, CCT_STATE_I);
}

/* ---- vhost-user ---- */

/* What guest RAM holds when the back end is spoken to for the first time */
typedef struct Hello {
    Machine *m;
    unsigned count;
    uint8_t line[LINE];
} Hello;

static void say_hello(void *opaque)
{
    Hello *h = opaque;

    if (!h->count++ && h->m->ram) {
        memcpy(h->line, h->m->ram + A, LINE);
    }
}

static char *chardev_opts(QVhostUserPeer *peer, const char *id)
{
    return g_strdup_printf("-chardev socket,id=%s,path=%s ", id,
                           qvhost_user_peer_path(peer));
}

static void add_netdev(Machine *m, const char *id, const char *chardev)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'netdev_add', 'arguments': "
                             "{'type': 'vhost-user', 'id': %s, 'chardev': %s}}",
                             id, chardev);
}

static void del_netdev(Machine *m, const char *id)
{
    qtest_qmp_assert_success(m->qts, "{'execute': 'netdev_del', 'arguments': "
                             "{'id': %s}}", id);
}

static bool has_device(const char *type)
{
    if (!qtest_has_device(type)) {
        g_autofree char *why = g_strdup_printf("no %s", type);

        g_test_skip(why);
        return false;
    }
    return true;
}

/* The device is plugged, lines are home, it is unplugged, lines are kept. */
static void test_vhost_user_device(void)
{
    Machine m = { };
    Hello h = { .m = &m };
    QVhostUserPeer *peer;
    g_autofree char *opts = NULL;

    if (!has_device("vhost-user-fs-pci")) {
        return;
    }
    peer = qvhost_user_peer_new(say_hello, &h);
    opts = chardev_opts(peer, "c0");
    if (!machine_start(&m, opts)) {
        goto out;
    }
    have_modified(&m);
    qtest_qmp_device_add(m.qts, "vhost-user-fs-pci", "u0",
                         "{'bus': 'rp1', 'chardev': 'c0', 'tag': 'x'}");
    qcxl_plugged(m.port);
    g_assert_cmpuint(h.count, >=, 1);
    assert_version(h.line, 2);
    check_home(&m);
    assert_used_once(&m, A, "vhost-user");

    qcxl_unplug(m.port, "u0");
    assert_kept(&m, A);
    assert_kept(&m, B);
    machine_end(&m);
out:
    qvhost_user_peer_free(peer);
}

/* A network back end has no device, and is one all the same. */
static void test_vhost_user_netdev(void)
{
    Machine m = { };
    Hello h = { .m = &m };
    QVhostUserPeer *peer = qvhost_user_peer_new(say_hello, &h);
    g_autofree char *opts = chardev_opts(peer, "c0");

    if (!machine_start(&m, opts)) {
        goto out;
    }
    have_modified(&m);
    add_netdev(&m, "n0", "c0");
    g_assert_cmpuint(h.count, >=, 1);
    assert_version(h.line, 2);
    check_home(&m);
    assert_used_once(&m, A, "vhost-user");
    del_netdev(&m, "n0");
    assert_kept(&m, A);
    machine_end(&m);
out:
    qvhost_user_peer_free(peer);
}

/* Of two users the first goes; only when the second has gone lines are kept. */
static void test_two_users(void)
{
    Machine m = { };
    QVhostUserPeer *peer[2];
    g_autofree char *opts = NULL;

    for (int i = 0; i < 2; i++) {
        peer[i] = qvhost_user_peer_new(NULL, NULL);
    }
    opts = g_strdup_printf("-chardev socket,id=c0,path=%s "
                           "-chardev socket,id=c1,path=%s",
                           qvhost_user_peer_path(peer[0]),
                           qvhost_user_peer_path(peer[1]));
    if (!machine_start(&m, opts)) {
        goto out;
    }
    add_netdev(&m, "n0", "c0");
    add_netdev(&m, "n1", "c1");
    assert_used_once(&m, A, "vhost-user");
    del_netdev(&m, "n0");
    assert_used_once(&m, A, "vhost-user");
    del_netdev(&m, "n1");
    assert_kept(&m, A);
    machine_end(&m);
out:
    for (int i = 0; i < 2; i++) {
        qvhost_user_peer_free(peer[i]);
    }
}

/* It was there before there was a CXL.cache device. */
static void test_there_first(void)
{
    Machine m = { };
    QVhostUserPeer *peer = qvhost_user_peer_new(NULL, NULL);
    g_autofree char *opts = NULL;

    /* Skipped where nothing can be kept anyway */
    if (!machine_start(&m, "")) {
        goto out;
    }
    machine_end(&m);

    opts = g_strdup_printf("-chardev socket,id=c0,path=%s "
                           "-netdev vhost-user,id=n0,chardev=c0",
                           qvhost_user_peer_path(peer));
    machine_boot(&m, opts);
    assert_used_once(&m, A, "vhost-user");
    del_netdev(&m, "n0");
    assert_kept(&m, A);
    machine_end(&m);
out:
    qvhost_user_peer_free(peer);
}

/* ---- Other users ---- */

/*
 * A device in another process: it has guest RAM's file when it is plugged.
 * x-pci-proxy-dev takes it for granted that there is KVM.
 */
static void test_proxy(void)
{
    Machine m = { };
    QTestState *remote;
    g_autoptr(QDict) info = NULL;
    g_autofree char *name = NULL;
    int fd[2];

    if (!has_device("x-pci-proxy-dev") || !has_device("lsi53c895a")) {
        return;
    }
    if (!qtest_has_accel("kvm") || access("/dev/kvm", R_OK | W_OK)) {
        g_test_skip("x-pci-proxy-dev needs KVM");
        return;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), ==, 0);
    remote = qtest_initf("-nodefaults -machine x-remote "
                         "-device lsi53c895a,id=d0 "
                         "-object x-remote-object,id=r0,devid=d0,fd=%d", fd[1]);
    if (!machine_start(&m, "-accel kvm -S")) {
        goto out;
    }
    info = qtest_qmp_assert_success_ref(m.qts, "{'execute': 'query-kvm'}");
    if (!qdict_get_bool(info, "enabled")) {
        g_test_skip("x-pci-proxy-dev needs KVM");
        machine_end(&m);
        goto out;
    }
    have_modified(&m);
    name = g_strdup_printf("%d", fd[0]);
    qtest_qmp_device_add(m.qts, "x-pci-proxy-dev", "u0",
                         "{'bus': 'rp1', 'fd': %s}", name);
    check_home(&m);
    assert_used_once(&m, A, "x-pci-proxy-dev");
    qcxl_plugged(m.port);
    qcxl_unplug(m.port, "u0");
    assert_kept(&m, A);
    machine_end(&m);
out:
    qtest_quit(remote);
    close(fd[0]);
    close(fd[1]);
}

/*
 * Other machines have the memory of an ivshmem device, of which no line is
 * kept. Guest RAM is no business of theirs.
 */
static void test_ivshmem(void)
{
    Machine m = { };
    QPCIDevice *dev;
    QPCIBar bar;

    if (!has_device("ivshmem-plain")) {
        return;
    }
    if (!machine_start(&m, "-object memory-backend-memfd,id=shm,size=1M,"
                       "share=on")) {
        return;
    }
    have_modified(&m);
    qtest_qmp_device_add(m.qts, "ivshmem-plain", "u0",
                         "{'bus': 'rp1', 'memdev': 'shm'}");
    qcxl_plugged(m.port);
    dev = qcxl_endpoint(m.port);
    g_assert_nonnull(dev);
    qpci_device_enable(dev);
    bar = qpci_iomap(dev, IVSHMEM_BAR, NULL);

    assert_version(m.ram + A, 1);
    g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, bar.addr).state, ==,
                     CCT_STATE_I);
    g_assert_cmpint(write_request(&m.dev, CXL_CACHE_I_TO_M_WR, bar.addr, ALL,
                                  3).ret, ==, OK);
    assert_version(request(&m.dev, CXL_CACHE_RD_CURR, bar.addr).data, 3);
    g_assert_cmpuint(line_state(&m.dev, bar.addr), ==, CCT_STATE_I);
    g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);

    g_free(dev);
    qcxl_unplug(m.port, "u0");
    assert_kept(&m, B);
    machine_end(&m);
}

/* vhost in the kernel goes through this process's page tables. */
static void test_vhost_kernel(void)
{
    Machine m = { };

    if (!has_device("vhost-vsock-pci")) {
        return;
    }
    if (access("/dev/vhost-vsock", R_OK | W_OK)) {
        g_test_skip("/dev/vhost-vsock cannot be opened");
        return;
    }
    if (!machine_start(&m, "")) {
        return;
    }
    have_modified(&m);
    qtest_qmp_assert_success(m.qts, "{'execute': 'device_add', 'arguments': "
                             "{'driver': 'vhost-vsock-pci', 'id': 'u0', "
                             "'bus': 'rp1', 'guest-cid': %d}}",
                             (int)getpid());
    g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);
    assert_kept(&m, B);
    qcxl_plugged(m.port);
    qcxl_unplug(m.port, "u0");
    machine_end(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cache/bypass/vhost-user/device",
                   test_vhost_user_device);
    qtest_add_func("/cxl-cache/bypass/vhost-user/netdev",
                   test_vhost_user_netdev);
    qtest_add_func("/cxl-cache/bypass/two-users", test_two_users);
    qtest_add_func("/cxl-cache/bypass/there-first", test_there_first);
    qtest_add_func("/cxl-cache/bypass/proxy", test_proxy);
    qtest_add_func("/cxl-cache/bypass/ivshmem", test_ivshmem);
    qtest_add_func("/cxl-cache/bypass/vhost-kernel", test_vhost_kernel);
    return g_test_run();
}
