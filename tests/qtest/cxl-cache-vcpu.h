/*
 * vCPUs in qtests: each does what its mailbox says, see cxl-cache-payload.S
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * They are in protected mode without paging. What a test writes to a mailbox is
 * DMA for the machine.
 */

#ifndef TESTS_CXL_CACHE_VCPU_H
#define TESTS_CXL_CACHE_VCPU_H

#include "qemu/units.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "cxl-cache-payload.h"

/* The firmware: at the end of the first MiB, and of the first 4 GiB */
#define BIOS_SIZE       (64 * KiB)
#define BIOS_PAYLOAD    0xf000
#define BIOS_RESET      0xfff0

/* How many CPUs there are, and a CPU's mailbox, see cxl-cache-payload.S */
#define CPUS            0x7f000
#define BOX(cpu)        (0x80000 + (cpu) * 4096)
#define BOX_COMMAND     0x00
#define BOX_ADDRESS     0x04
#define BOX_VALUE       0x08
#define BOX_COUNT       0x0c
#define BOX_ALIVE       0x10
#define BOX_LINE        0x40
#define BOX_LINE_SIZE   64

enum { LOAD_LINE = 1, STORE_WORD, LOCK_ADD, LOCK_COMPARE, COUNT, CALL };

#define VCPU_TIMEOUT_US (60 * G_USEC_PER_SEC)

/* The name of a file for -bios, to be unlinked and freed */
static inline char *vcpu_bios_new(void)
{
    static const uint8_t to_payload[] = { 0xea, 0x00, 0x00, 0x00, 0xff };
    g_autofree uint8_t *bios = g_malloc0(BIOS_SIZE);
    char *name;
    int fd = g_file_open_tmp("cxl-cache-vcpu-XXXXXX", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    memcpy(bios + BIOS_PAYLOAD, cxl_cache_payload, sizeof(cxl_cache_payload));
    memcpy(bios + BIOS_RESET, to_payload, sizeof(to_payload));
    g_assert_cmpint(write(fd, bios, BIOS_SIZE), ==, BIOS_SIZE);
    close(fd);
    return name;
}

/* Returns: false if the word does not get that value in time */
static inline bool vcpu_wait_for(QTestState *qts, uint64_t addr, uint32_t value,
                                 int64_t timeout_us)
{
    int64_t end = g_get_monotonic_time() + timeout_us;

    while (qtest_readl(qts, addr) != value) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        g_usleep(50);
    }
    return true;
}

/* All of them are there, and wait for commands. */
static inline bool vcpus_alive(QTestState *qts, int cpus, int64_t timeout_us)
{
    for (int i = 0; i < cpus; i++) {
        if (!vcpu_wait_for(qts, BOX(i) + BOX_ALIVE, 1, timeout_us)) {
            return false;
        }
    }
    return true;
}

static inline void vcpu_start(QTestState *qts, int cpu, uint32_t command,
                              uint64_t addr, uint32_t value, uint32_t count)
{
    qtest_writel(qts, BOX(cpu) + BOX_ADDRESS, addr);
    qtest_writel(qts, BOX(cpu) + BOX_VALUE, value);
    qtest_writel(qts, BOX(cpu) + BOX_COUNT, count);
    qtest_writel(qts, BOX(cpu) + BOX_COMMAND, command);
}

static inline uint32_t vcpu_wait(QTestState *qts, int cpu)
{
    g_assert_true(vcpu_wait_for(qts, BOX(cpu) + BOX_COMMAND, 0,
                                VCPU_TIMEOUT_US));
    return qtest_readl(qts, BOX(cpu) + BOX_VALUE);
}

static inline uint32_t vcpu_do(QTestState *qts, int cpu, uint32_t command,
                               uint64_t addr, uint32_t value, uint32_t count)
{
    vcpu_start(qts, cpu, command, addr, value, count);
    return vcpu_wait(qts, cpu);
}

static inline void vcpu_load(QTestState *qts, int cpu, uint64_t addr,
                             uint8_t *line)
{
    vcpu_do(qts, cpu, LOAD_LINE, addr, 0, 0);
    qtest_memread(qts, BOX(cpu) + BOX_LINE, line, BOX_LINE_SIZE);
}

#endif /* TESTS_CXL_CACHE_VCPU_H */
