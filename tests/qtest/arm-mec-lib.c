/*
 * What the tests of FEAT_MEC on the virt machine share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "arm-mec-lib.h"
#include "arm-mec-payload.h"

char *arm_mec_payload_file;

static char *command_line(const char *machine, const char *args)
{
    return g_strdup_printf("-accel tcg -M %s -m %d -nodefaults "
                           "-display none -device loader,file=%s,addr=0x%x,"
                           "cpu-num=0,force-raw=on %s",
                           machine, RAM_MIB, arm_mec_payload_file, PAYLOAD,
                           args);
}

QTestState *start_with(const char *machine, const char *args)
{
    g_autofree char *line = command_line(machine, args);

    return qtest_init(line);
}

QTestState *start(void)
{
    return start_with(MACHINE ",mec=on", CPU);
}

uint64_t wait_for(QTestState *qts, uint64_t pa, uint64_t value, bool differs)
{
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;
    uint64_t now;

    while (true) {
        now = qtest_readq(qts, pa);
        if ((now == value) != differs) {
            return now;
        }
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(100);
    }
}

void wait_for_start(QTestState *qts, uint64_t starts)
{
    wait_for(qts, BOX_STARTS, starts, false);
}

void command(QTestState *qts, int code, uint64_t mecid, uint64_t address,
             uint64_t value)
{
    qtest_writeq(qts, BOX_MECID, mecid);
    qtest_writeq(qts, BOX_ADDRESS, address);
    qtest_writeq(qts, BOX_VALUE, value);
    qtest_writeq(qts, BOX_COMMAND, code);
}

uint64_t payload(QTestState *qts, int code, uint64_t mecid, uint64_t address,
                 uint64_t value)
{
    command(qts, code, mecid, address, value);
    wait_for(qts, BOX_COMMAND, 0, false);
    g_assert_cmphex(qtest_readq(qts, BOX_FAULT), ==, 0);
    return qtest_readq(qts, BOX_VALUE);
}

uint64_t load(QTestState *qts, uint16_t mecid, uint64_t va)
{
    return payload(qts, LOAD, mecid, va, 0);
}

void store(QTestState *qts, uint16_t mecid, uint64_t va, uint64_t value)
{
    payload(qts, STORE, mecid, va, value);
}

void clean(QTestState *qts, uint64_t pa)
{
    payload(qts, CLEAN, 0, CLEAN_REALM(pa), 0);
}

static void query(QTestState *qts, uint64_t pa, int *mecid, bool *mixed)
{
    QDict *answer = qtest_qmp_assert_success_ref(
        qts, "{'execute': 'x-query-arm-mec', 'arguments': {'addr': %"
        PRIu64 "}}", pa);

    /* Reported is the page or the address: both name the page */
    g_assert_cmphex(qdict_get_int(answer, "addr") & ~(uint64_t)(PAGE - 1),
                    ==, pa & ~(uint64_t)(PAGE - 1));
    *mecid = qdict_get_int(answer, "mecid");
    *mixed = qdict_get_bool(answer, "mixed");
    qobject_unref(answer);
}

int resident(QTestState *qts, uint64_t pa)
{
    int mecid;
    bool mixed;

    query(qts, pa, &mecid, &mixed);
    return mecid;
}

bool mixed(QTestState *qts, uint64_t pa)
{
    int mecid;
    bool mixed;

    query(qts, pa, &mecid, &mixed);
    return mixed;
}

void assert_unreadable(uint64_t seen, uint64_t value)
{
    g_assert_cmphex((uint32_t)seen, !=, (uint32_t)value);
    g_assert_cmphex(seen >> 32, !=, value >> 32);
}

int count_in_hmp(QTestState *qts, const char *command, const char *what)
{
    g_autofree char *text = qtest_hmp(qts, "%s", command);
    const char *at = text;
    int count = 0;

    while ((at = strstr(at, what))) {
        at += strlen(what);
        count++;
    }
    return count;
}

void arm_mec_write_payload(void)
{
    g_autoptr(GError) error = NULL;
    int fd = g_file_open_tmp("arm-mec-XXXXXX.bin", &arm_mec_payload_file,
                             &error);

    g_assert_no_error(error);
    g_assert_cmpint(write(fd, arm_mec_payload, sizeof(arm_mec_payload)), ==,
                    sizeof(arm_mec_payload));
    close(fd);
}
