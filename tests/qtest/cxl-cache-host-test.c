/*
 * QTest testcase for CacheMemRegion and the host that it runs on: what the
 * kernel refuses, privileges, mappings, addresses, and what is left behind
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "libqtest.h"
#include "libqos/cxl.h"
#include "libqos/cxl-type1.h"
#include "cxl-cache-testdev.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define RAM_SIZE    (128 * MiB)
#define A           (16 * MiB)
#define B           (A + PAGE + 3 * LINE)

typedef struct Machine {
    QTestState *qts;
    Dev dev;
    uint8_t *ram;       /* what guest RAM really holds */
} Machine;

static char *obstacle_of(QTestState *qts)
{
    QDict *info = qtest_qmp_assert_success_ref(qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    char *why = g_strdup(qdict_get_try_str(qdict_get_qdict(info, "trap"),
                                           "obstacle"));

    qobject_unref(info);
    return why;
}

/* @memory: of the machine; @ram: the memfd's name, or NULL */
static void machine_boot(Machine *m, const char *memory, const char *ram,
                         const char *opts)
{
    *m = (Machine) { };
    m->qts = qtest_initf("-nodefaults " QCXL_MACHINE "%s " QCXL_PXB
                         QCXL_RP ",cxl-cache=on -device cxl-cache-testdev,"
                         "bus=rp0 %s", memory, opts);
    dev_start(&m->dev, m->qts, 0);
    if (ram) {
        m->ram = qcxl_map_memfd(m->qts, ram, RAM_SIZE);
    }
}

static void machine_end(Machine *m)
{
    if (m->ram) {
        munmap(m->ram, RAM_SIZE);
    }
    dev_end(&m->dev);
    qtest_quit(m->qts);
}

/* Lines are not kept, and @why is part of the reason. */
static void check_used_once(Machine *m, const char *why)
{
    g_autofree char *said = NULL;

    g_assert_cmpuint(request(&m->dev, CXL_CACHE_RD_OWN, B).state, ==,
                     CCT_STATE_I);
    said = obstacle_of(m->qts);
    g_assert_nonnull(said);
    if (!strstr(said, why)) {
        g_error("obstacle is '%s', not about '%s'", said, why);
    }
}

static bool host_keeps(void)
{
    static int keeps = -1;

    if (keeps < 0) {
        Machine m;

        machine_boot(&m, QCXL_SHARED_RAM, NULL, "");
        keeps = request(&m.dev, CXL_CACHE_RD_OWN, A).state == CCT_STATE_E;
        machine_end(&m);
    }
    if (!keeps) {
        g_test_skip("this host cannot trap accesses to guest memory");
    }
    return keeps;
}

/* ---- A kernel that refuses ---- */

/*
 * From now on a system call of this process and its children fails with
 * @error if its argument @arg has this value. Returns false if that cannot be
 * had.
 */
static bool refuse(int nr, int arg, uint32_t value, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[arg]) +
                 (HOST_BIG_ENDIAN ? 4 : 0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {
        .len = ARRAY_SIZE(filter), .filter = filter,
    };

    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

#define NO_SECCOMP 77

/* A filter is for good: run what needs one in a process of its own. */
static void run_refused(void (*fn)(void), int nr, int arg, uint32_t value,
                        int error)
{
    int status;
    pid_t pid;

    if (!host_keeps()) {
        return;
    }
    pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (!pid) {
        if (!refuse(nr, arg, value, error)) {
            _exit(NO_SECCOMP);
        }
        fn();
        _exit(0);
    }
    g_assert_cmpint(RETRY_ON_EINTR(waitpid(pid, &status, 0)), ==, pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SECCOMP) {
        g_test_skip("system calls cannot be filtered");
        return;
    }
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static void cpu_store(Machine *m, uint64_t addr, unsigned v)
{
    uint8_t data[LINE];

    fill(data, v);
    qtest_memwrite(m->qts, addr, data, LINE);
}

static void check_cpu_sees(Machine *m, uint64_t addr, unsigned v)
{
    uint8_t data[LINE];

    qtest_memread(m->qts, addr, data, LINE);
    assert_version(data, v);
}

/* A page that the kernel does not give back: nobody waits for it for ever. */
static void map_refused(void)
{
    Machine m;

    machine_boot(&m, QCXL_SHARED_RAM, QCXL_MEMFD, "");
    cpu_store(&m, A, 1);
    cpu_store(&m, B, 3);
    make_m(&m.dev, A, 2);
    make_m(&m.dev, B, 4);
    assert_version(m.ram + A, 1);
    check_cpu_sees(&m, A, 2);
    /* All lines have come home, not only those of the page. */
    assert_version(m.ram + B, 4);
    g_assert_cmpuint(line_state(&m.dev, B), ==, CCT_STATE_I);
    check_used_once(&m, "cannot give it back: Cannot allocate memory");
    check_cpu_sees(&m, B, 4);
    cpu_store(&m, B, 5);
    assert_version(request(&m.dev, CXL_CACHE_RD_CURR, B).data, 5);
    machine_end(&m);
}

static void test_map_refused(void)
{
    run_refused(map_refused, SYS_ioctl, 1, UFFDIO_CONTINUE, ENOMEM);
}

static void unprotect_refused(void)
{
    Machine m;

    machine_boot(&m, QCXL_SHARED_RAM, QCXL_MEMFD, "");
    cpu_store(&m, A, 1);
    request(&m.dev, CXL_CACHE_RD_SHARED, A);
    check_cpu_sees(&m, A, 1);
    if (line_state(&m.dev, A) == CCT_STATE_S) {
        /* The page is there, write-protected. */
        cpu_store(&m, A, 2);
        check_cpu_sees(&m, A, 2);
        check_used_once(&m, "cannot give it back: Cannot allocate memory");
    }
    machine_end(&m);
}

static void test_unprotect_refused(void)
{
    run_refused(unprotect_refused, SYS_ioctl, 1, UFFDIO_WRITEPROTECT, ENOMEM);
}

/* Memory that is not locked is not called so. */
static void zap_refused(void)
{
    Machine m;

    machine_boot(&m, QCXL_SHARED_RAM, QCXL_MEMFD, "");
    check_used_once(&m, "cannot be taken from the guest: Input/output error");
    machine_end(&m);
}

static void test_zap_refused(void)
{
    run_refused(zap_refused, SYS_madvise, 2, MADV_DONTNEED, EIO);
}

/* ---- Privileges ---- */

/* userfaultfd is there before QEMU becomes nobody. */
static void test_run_with_user(void)
{
    Machine m;

    if (geteuid()) {
        g_test_skip("only root can become somebody else");
        return;
    }
    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, "-run-with user=nobody");
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, A).state, ==,
                     CCT_STATE_E);
    machine_end(&m);
}

/* ---- Mappings ---- */

static char *read_proc(QTestState *qts, const char *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", qtest_pid(qts),
                                            file);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

typedef struct Mappings {
    unsigned n;         /* of guest RAM's memfd */
    unsigned dontdump;
    unsigned dontfork;
} Mappings;

static Mappings find_mappings(QTestState *qts)
{
    g_autofree char *smaps = read_proc(qts, "smaps");
    g_auto(GStrv) line = g_strsplit(smaps, "\n", -1);
    Mappings found = { };
    bool ours = false;

    for (int i = 0; line[i]; i++) {
        if (strstr(line[i], "/memfd:" QCXL_MEMFD)) {
            ours = true;
            found.n++;
        } else if (ours && g_str_has_prefix(line[i], "VmFlags:")) {
            ours = false;
            found.dontdump += strstr(line[i], " dd") != NULL;
            found.dontfork += strstr(line[i], " dc") != NULL;
        }
    }
    return found;
}

/* The second mapping is nothing for core dumps and for children. */
static void test_alias(void)
{
    Mappings found;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, "");
    found = find_mappings(m.qts);
    g_assert_cmpuint(found.n, ==, 2);
    g_assert_cmpuint(found.dontdump, ==, 1);
    g_assert_cmpuint(found.dontfork, >=, 1);
    machine_end(&m);

    machine_boot(&m, QCXL_SHARED_RAM, NULL, "-machine dump-guest-core=off");
    found = find_mappings(m.qts);
    g_assert_cmpuint(found.n, ==, 2);
    g_assert_cmpuint(found.dontdump, ==, 2);
    machine_end(&m);
}

/* Locked memory cannot be taken from the guest: there is no second mapping. */
static void test_mem_lock(void)
{
    Machine m;

    if (geteuid()) {
        g_test_skip("only root can lock that much memory");
        return;
    }
    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, "-overcommit mem-lock=on");
    g_assert_cmpuint(find_mappings(m.qts).n, ==, 1);
    check_used_once(&m, "it is locked in memory");
    machine_end(&m);
}

#define NO_KEEP(_opts) \
    "-m 128M -machine memory-backend=ram -object " _opts ",id=ram,size=128M"

static void test_private(void)
{
    Machine m;

    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, NO_KEEP("memory-backend-ram"), NULL, "");
    check_used_once(&m, "it is not shared memory");
    machine_end(&m);
}

/* Huge pages are not called memory that is not shared. */
static void test_huge_pages(void)
{
    g_autofree char *meminfo = NULL;
    const char *free_pages;
    Machine m;

    g_assert_true(g_file_get_contents("/proc/meminfo", &meminfo, NULL, NULL));
    free_pages = strstr(meminfo, "HugePages_Free:");
    if (!free_pages || !strstr(meminfo, "Hugepagesize:       2048 kB") ||
        atoi(free_pages + strlen("HugePages_Free:")) < 64) {
        g_test_skip("this host has not 64 huge pages of 2 MiB to spare "
                    "(vm.nr_hugepages)");
        return;
    }
    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, NO_KEEP("memory-backend-memfd,share=on,hugetlb=on,"
                             "hugetlbsize=2M"), NULL, "");
    check_used_once(&m, "huge pages of 2048 KiB");
    machine_end(&m);
}

/* ---- What is said of it ---- */

/* What x-query-cxl-cache says of memory @name: NULL, "kept", or why not */
static char *said_of(QTestState *qts, const char *name)
{
    QDict *info = qtest_qmp_assert_success_ref(qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    QDict *trap = qdict_get_qdict(info, "trap");
    char *said = NULL;
    QListEntry *e;

    g_assert_nonnull(qdict_get_qlist(trap, "memory"));
    QLIST_FOREACH_ENTRY(qdict_get_qlist(trap, "memory"), e) {
        QDict *mem = qobject_to(QDict, qlist_entry_obj(e));

        if (!strcmp(qdict_get_str(mem, "name"), name)) {
            g_assert_null(said);
            g_assert_true(qdict_get_bool(mem, "kept") !=
                          qdict_haskey(mem, "obstacle"));
            g_assert_cmpint(qdict_get_int(mem, "size"), ==, RAM_SIZE);
            said = g_strdup(qdict_get_try_str(mem, "obstacle") ?: "kept");
        }
    }
    qobject_unref(info);
    return said;
}

static void check_said(Machine *m, const char *name, const char *want)
{
    g_autofree char *said = said_of(m->qts, name);

    if (!said || !want) {
        g_assert_cmpstr(said, ==, want);
    } else if (!strstr(said, want)) {
        g_error("of '%s' it says '%s', not '%s'", name, said, want);
    }
}

/* As machine_boot(), and what QEMU says goes to a file; returns its name */
static char *machine_boot_heard(Machine *m, const char *memory,
                                const char *opts)
{
    char *path = g_strdup_printf("%s/cxl-cache-host-%d.err", g_get_tmp_dir(),
                                 (int)getpid());
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
    int ours = dup(STDERR_FILENO);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(dup2(fd, STDERR_FILENO), ==, STDERR_FILENO);
    machine_boot(m, memory, NULL, opts);
    dup2(ours, STDERR_FILENO);
    close(ours);
    close(fd);
    return path;
}

static unsigned times_said(const char *path, const char *what)
{
    g_autofree char *said = NULL;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &said, NULL, NULL));
    for (char *at = said; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

#define NODES(_second)                                                  \
    "-m 256M -numa node,memdev=n0 -numa node,memdev=n1 "                \
    "-object memory-backend-memfd,id=n0,share=on,size=128M "            \
    "-object " _second ",id=n1,size=128M "

/* Of two nodes, one whose lines are kept: before it has been used, and after */
static void test_said_of_nodes(void)
{
    g_autofree char *path = NULL;
    g_autofree char *hmp = NULL;
    g_autofree char *obstacle = NULL;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    path = machine_boot_heard(&m, NODES("memory-backend-ram"), "");
    g_assert_null(obstacle_of(m.qts));
    check_said(&m, "n0", "kept");
    check_said(&m, "n1", "it is not shared memory");
    g_assert_cmpuint(times_said(path, "CXL.cache"), ==, 0);
    for (int i = 0; i < 2; i++) {
        g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN,
                                 RAM_SIZE + B).state, ==, CCT_STATE_I);
    }
    g_assert_cmpuint(times_said(path, "devices use lines of memory 'n1' once "
                                "and keep none of them: it is not shared "
                                "memory"), ==, 1);
    g_assert_cmpuint(times_said(path, "CXL.cache"), ==, 1);
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, A).state, ==,
                     CCT_STATE_E);
    g_assert_null(obstacle_of(m.qts));
    check_said(&m, "n0", "kept");
    check_said(&m, "n1", "it is not shared memory");

    hmp = qtest_hmp(m.qts, "info cxl-cache");
    g_assert_nonnull(strstr(hmp, "memory n0                     kept"));
    g_assert_nonnull(strstr(hmp, "memory n1                 not kept\r\n"
                            "    it is not shared memory"));
    g_assert_null(strstr(hmp, "no lines are kept"));
    unlink(path);
    machine_end(&m);

    /* Of neither: then that is said, too. */
    machine_boot(&m, NODES("memory-backend-memfd,share=on"), NULL,
                 "-overcommit mem-lock=on");
    obstacle = obstacle_of(m.qts);
    g_assert_nonnull(obstacle);
    g_assert_nonnull(strstr(obstacle, "locked"));
    check_said(&m, "n0", "it is locked");
    check_said(&m, "n1", "it is locked");
    machine_end(&m);
}

/* The guest's answer to device_del of the DIMM in slot 0: ACPI ejects it. */
static void eject_dimm(QTestState *qts)
{
    qtest_outl(qts, 0xa00, 0);
    qtest_outb(qts, 0xa14, 1 << 3);
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
}

/* An ordinary DIMM beside memory whose lines are kept: it comes and goes. */
static void test_said_of_dimm(void)
{
    g_autofree char *path = NULL;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    path = machine_boot_heard(&m, "-m 128M,slots=2,maxmem=1G -machine "
                              "memory-backend=ram -object memory-backend-memfd,"
                              "id=ram,share=on,size=128M ",
                              "-object memory-backend-ram,id=dimm,size=128M");
    check_said(&m, "dimm", NULL);
    qtest_qmp_device_add(m.qts, "pc-dimm", "d0", "{'memdev': 'dimm'}");
    check_said(&m, "dimm", "it is not shared memory");
    check_said(&m, "ram", "kept");
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, 4 * GiB).state, ==,
                     CCT_STATE_I);
    g_assert_cmpuint(times_said(path, "lines of memory 'dimm' once"), ==, 1);
    g_assert_cmpuint(times_said(path, "CXL.cache"), ==, 1);
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, A).state, ==,
                     CCT_STATE_E);
    g_assert_null(obstacle_of(m.qts));

    qtest_qmp_device_del_send(m.qts, "d0");
    eject_dimm(m.qts);
    check_said(&m, "dimm", NULL);
    check_said(&m, "ram", "kept");
    g_assert_null(obstacle_of(m.qts));
    unlink(path);
    machine_end(&m);
}

/* Before a line has been asked for it is known whether pages can be shared. */
static void test_said_before_use(void)
{
    QDict *info;
    bool before;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, "");
    info = qct_query(m.qts);
    before = qct_can_share(info);
    qobject_unref(info);
    request(&m.dev, CXL_CACHE_RD_OWN, A);
    info = qct_query(m.qts);
    g_assert_cmpint(qct_can_share(info), ==, before);
    qobject_unref(info);
    machine_end(&m);
}

static bool can_bind(void)
{
    QTestState *qts = qtest_init("-machine none");
    QDict *rsp = qtest_qmp(qts, "{'execute': 'object-add', 'arguments': {"
                           "'qom-type': 'memory-backend-ram', 'id': 'n', "
                           "'size': 4096, 'host-nodes': [0], "
                           "'policy': 'bind'}}");
    bool can = !qdict_haskey(rsp, "error");

    qobject_unref(rsp);
    qtest_quit(qts);
    return can;
}

/* A NUMA policy is of the file: the second mapping has it as well. */
static void test_numa(void)
{
    g_autofree char *maps = NULL;
    g_auto(GStrv) line = NULL;
    unsigned n = 0;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    if (!can_bind()) {
        g_test_skip("this QEMU or this host has no NUMA policies");
        return;
    }
    machine_boot(&m, NO_KEEP("memory-backend-memfd,share=on,host-nodes=0,"
                             "policy=bind"), NULL, "");
    g_assert_cmpuint(request(&m.dev, CXL_CACHE_RD_OWN, A).state, ==,
                     CCT_STATE_E);
    maps = read_proc(m.qts, "numa_maps");
    line = g_strsplit(maps, "\n", -1);
    for (int i = 0; line[i]; i++) {
        if (strstr(line[i], "/memfd:" QCXL_MEMFD)) {
            n++;
            g_assert_nonnull(strstr(line[i], " bind:0 "));
        }
    }
    g_assert_cmpuint(n, ==, 2);
    machine_end(&m);
}

/* ---- cache=on ---- */

/* Returns: why a device with cache=on is refused, or NULL */
static char *plug_cache_on(QTestState *qts)
{
    QDict *rsp = qtest_qmp(qts, "{'execute': 'device_add', 'arguments': {"
                           "'driver': 'cxl-type1-crypto', 'id': 't1', "
                           "'bus': 'rp1', 'cryptodev': 'c1', 'cache': 'on'}}");
    char *why = NULL;

    if (qdict_haskey(rsp, "error")) {
        why = g_strdup(qdict_get_str(qdict_get_qdict(rsp, "error"), "desc"));
    }
    qobject_unref(rsp);
    return why;
}

#define CACHE_ON_OPTS \
    "-object cryptodev-backend-builtin,id=c1 " QCXL_RP1 ",cxl-cache=on "

/* With cache=on nobody tests anything else than what he thinks. */
static void test_cache_on(void)
{
    static const struct {
        const char *memory, *opts, *why;
    } refused[] = {
        { NO_KEEP("memory-backend-ram"), "", "it is not shared memory" },
        { NO_KEEP("memory-backend-memfd,share=off"), "",
          "it is not shared memory" },
        { QCXL_SHARED_RAM, "-overcommit mem-lock=on",
          "it is locked in memory" },
        { "-m 256M -numa node,memdev=n0 -numa node,memdev=n1 "
          "-object memory-backend-memfd,id=n0,share=on,size=128M "
          "-object memory-backend-ram,id=n1,size=128M", "",
          "lines of memory 'n1' cannot be kept" },
    };
    char *why;
    Machine m;

    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, CACHE_ON_OPTS);
    why = plug_cache_on(m.qts);
    g_assert_cmpstr(why, ==, NULL);
    machine_end(&m);

    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_autofree char *opts = g_strconcat(CACHE_ON_OPTS, refused[i].opts,
                                            NULL);

        machine_boot(&m, refused[i].memory, NULL, opts);
        why = plug_cache_on(m.qts);
        g_assert_nonnull(why);
        if (!strstr(why, refused[i].why)) {
            g_error("refused with '%s', not '%s'", why, refused[i].why);
        }
        g_free(why);
        machine_end(&m);
    }
}

static void cache_on_refused(void)
{
    g_autofree char *why = NULL;
    Machine m;

    machine_boot(&m, QCXL_SHARED_RAM, NULL, CACHE_ON_OPTS);
    why = plug_cache_on(m.qts);
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, "userfaultfd"));
    machine_end(&m);
}

/* A process that has no userfaultfd */
static void test_cache_on_refused(void)
{
    run_refused(cache_on_refused, SYS_ioctl, 1, UFFDIO_API, EPERM);
}

/* ---- Addresses ---- */

/* @len bytes at @addr, as CCT_DO_READ and CCT_DO_WRITE have it */
static int move(Dev *d, uint32_t what, uint64_t addr, uint32_t len)
{
    set_operation(d, 0, 0, addr, 0, len);
    set32(d, CCT_DOORBELL, what);
    return get_result(d).ret;
}

/* A range that goes past the last address does not go on at the first. */
static void test_wrap(void)
{
    static const uint64_t starts[] = {
        -LINE, -LINE - 1, -2 * LINE, -PAGE, UINT64_MAX, 1ULL << 63,
    };
    uint8_t before[PAGE], after[PAGE];
    Machine m;

    machine_boot(&m, QCXL_SHARED_RAM, NULL, "");
    memset(before, 0x5a, PAGE);
    qtest_memwrite(m.qts, 0, before, PAGE);
    for (int i = 0; i < ARRAY_SIZE(starts); i++) {
        uint32_t len = MIN(2 * PAGE, CCT_BUF_SIZE);

        g_assert_cmpint(move(&m.dev, CCT_DO_WRITE, starts[i], len), ==, FAULT);
        g_assert_cmpint(move(&m.dev, CCT_DO_READ, starts[i], len), ==, FAULT);
    }
    qtest_memread(m.qts, 0, after, PAGE);
    g_assert_cmpmem(before, PAGE, after, PAGE);
    machine_end(&m);
}

/* Lines have 46 bits: one with more is not another one. */
static void test_alias_lines(void)
{
    static const int bits[] = { 52, 53, 57, 63 };
    Machine m;

    if (!host_keeps()) {
        return;
    }
    machine_boot(&m, QCXL_SHARED_RAM, NULL, "");
    make_m(&m.dev, A, 1);
    for (int i = 0; i < ARRAY_SIZE(bits); i++) {
        uint64_t addr = A + (1ULL << bits[i]);

        g_assert_cmpuint(line_state(&m.dev, addr), ==, CCT_STATE_I);
        g_assert_cmpint(line_op(&m.dev, CCT_DO_LINE_READ, addr).ret, ==, PERM);
        g_assert_cmpint(line_write(&m.dev, addr, ALL, 2).ret, ==, PERM);
        g_assert_cmpint(line_op(&m.dev, CCT_DO_LINE_DROP, addr).ret, ==, PERM);
        g_assert_cmpint(line_op(&m.dev, CCT_DO_LINE_EVICT, addr).ret, ==,
                        INVAL);
        g_assert_cmpint(try_request(&m.dev, CXL_CACHE_RD_OWN, addr).ret, ==,
                        INVAL);
        g_assert_cmpuint(line_state(&m.dev, A), ==, CCT_STATE_M);
    }
    assert_version(line_op(&m.dev, CCT_DO_LINE_READ, A).data, 1);
    machine_end(&m);
}

/* ---- What is left behind ---- */

static unsigned count_userfaultfds(QTestState *qts)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", qtest_pid(qts));
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(path, name, NULL);
        g_autofree char *to = g_file_read_link(link, NULL);

        n += to && strstr(to, "[userfaultfd]");
    }
    g_dir_close(dir);
    return n;
}

static int64_t count_poisoned(QTestState *qts)
{
    QDict *info = qtest_qmp_assert_success_ref(qts,
                                    "{'execute': 'x-query-cxl-cache'}");
    int64_t n = qdict_get_int(info, "poisoned-lines");

    qobject_unref(info);
    return n;
}

static void plug_testdev(Dev *d)
{
    qtest_qmp_device_add(d->qts, "cxl-cache-testdev", "t9", "{'bus': 'rp1'}");
    qcxl_plugged(d->cxl);
    dev_map(d);
    set32(d, CCT_MODE, CCT_MODE_ON);
}

/*
 * The last device has gone and has left poison: memory stays bad, and nothing
 * else stays. Another filter size is possible, and a device that discards
 * memory.
 */
static void test_after_poison(void)
{
    QTestState *qts;
    QCTRig rig;
    uint64_t area;
    Dev d = { };
    Result res;

    if (!host_keeps()) {
        return;
    }
    qct_rig_start(&rig, QCXL_SHARED_RAM, ",unplug=poison "
                  "-m 128M,slots=2,maxmem=1G " QCXL_RP1 ",cxl-cache=on,"
                  "cxl-cache-sf-size=32M -device pcie-root-port,id=hp,"
                  "bus=pcie.0,chassis=9 -object memory-backend-ram,id=vm,"
                  "size=64M");
    qts = rig.qts;
    g_assert_cmpuint(count_userfaultfds(qts), ==, 1);
    g_assert_cmpuint(find_mappings(qts).n, ==, 2);
    area = qct_alloc_filled(&rig, QCT_PAGE, 0x5a);
    qct_encrypt_zeroes(rig.t[0], area, QCT_PAGE);
    qct_fault(qts, &(QCTFault) { "removal" });
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");
    g_assert_cmpint(count_poisoned(qts), ==, QCT_PAGE_LINES);
    g_assert_cmpuint(count_userfaultfds(qts), ==, 0);
    g_assert_cmpuint(find_mappings(qts).n, ==, 1);

    d = (Dev) { .qts = qts, .cxl = qcxl_new_port(qts, 1) };
    plug_testdev(&d);
    res = try_request(&d, CXL_CACHE_RD_CURR, area + LINE);
    g_assert_true(res.poison);
    g_assert_cmpuint(request(&d, CXL_CACHE_RD_OWN, A).state, ==, CCT_STATE_E);
    qcxl_unplug(d.cxl, "t9");
    qtest_qmp_eventwait(qts, "DEVICE_DELETED");

    if (!qtest_has_device("virtio-mem-pci")) {
        g_test_message("there is no virtio-mem-pci to discard memory");
    } else {
        qtest_qmp_device_add(qts, "virtio-mem-pci", "vm0",
                             "{'bus': 'hp', 'memdev': 'vm'}");
        plug_testdev(&d);
        g_assert_cmpuint(request(&d, CXL_CACHE_RD_OWN, A).state, ==,
                         CCT_STATE_I);
    }
    dev_end(&d);
    g_assert_cmpint(count_poisoned(qts), ==, QCT_PAGE_LINES);
    qcxl_free(rig.t[0]->cxl);
    qct_free(rig.t[0], true);
    alloc_destroy(&rig.alloc);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/cxl-cache-host/refused/map", test_map_refused);
    qtest_add_func("/cxl-cache-host/refused/unprotect",
                   test_unprotect_refused);
    qtest_add_func("/cxl-cache-host/refused/zap", test_zap_refused);
    qtest_add_func("/cxl-cache-host/run-with-user", test_run_with_user);
    qtest_add_func("/cxl-cache-host/memory/alias", test_alias);
    qtest_add_func("/cxl-cache-host/memory/locked", test_mem_lock);
    qtest_add_func("/cxl-cache-host/memory/private", test_private);
    qtest_add_func("/cxl-cache-host/memory/huge-pages", test_huge_pages);
    qtest_add_func("/cxl-cache-host/memory/numa", test_numa);
    qtest_add_func("/cxl-cache-host/field/04-said-of-nodes",
                   test_said_of_nodes);
    qtest_add_func("/cxl-cache-host/field/04-said-of-dimm",
                   test_said_of_dimm);
    qtest_add_func("/cxl-cache-host/field/04-said-before-use",
                   test_said_before_use);
    qtest_add_func("/cxl-cache-host/cache-on", test_cache_on);
    qtest_add_func("/cxl-cache-host/refused/cache-on", test_cache_on_refused);
    qtest_add_func("/cxl-cache-host/address/wrap", test_wrap);
    qtest_add_func("/cxl-cache-host/address/too-high", test_alias_lines);
    qtest_add_func("/cxl-cache-host/after-poison", test_after_poison);
    return g_test_run();
}
