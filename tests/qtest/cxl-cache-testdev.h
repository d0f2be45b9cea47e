/*
 * cxl-cache-testdev in qtests: registers, operations, and what lines hold
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CXL_CACHE_TESTDEV_H
#define TESTS_CXL_CACHE_TESTDEV_H

#include "libqtest.h"
#include "libqos/cxl.h"
#include "qemu/bswap.h"
#include "hw/cxl/cxl_cache_msg.h"
#include "hw/cxl/cxl_cache_testdev.h"

#define LINE        64
#define PAGE        4096
#define ALL         UINT64_MAX

/* Results of a doorbell */
#define OK          0
#define PERM        (-1)
#define IO          (-5)
#define FAULT       (-14)
#define INVAL       (-22)

typedef struct Dev {
    QTestState *qts;
    QCXL *cxl;
    QPCIDevice *pci;
    QPCIBar bar;
    QPCIBar window;
} Dev;

typedef struct Result {
    int ret;
    uint32_t state;
    bool failed;
    bool poison;
    uint8_t data[LINE];
} Result;

/* ---- The device's registers ---- */

static inline uint32_t get32(Dev *d, uint64_t reg)
{
    return qpci_io_readl(d->pci, d->bar, reg);
}

static inline uint64_t get64(Dev *d, uint64_t reg)
{
    return qpci_io_readq(d->pci, d->bar, reg);
}

static inline void set32(Dev *d, uint64_t reg, uint32_t val)
{
    qpci_io_writel(d->pci, d->bar, reg, val);
}

static inline void set64(Dev *d, uint64_t reg, uint64_t val)
{
    qpci_io_writeq(d->pci, d->bar, reg, val);
}

/* OPCODE to LEN in one go */
static inline void set_operation(Dev *d, uint32_t opcode, uint32_t flags,
                                 uint64_t addr, uint64_t be, uint32_t len)
{
    uint8_t regs[CCT_DOORBELL - CCT_OPCODE];

    stl_le_p(regs, opcode);
    stl_le_p(regs + CCT_FLAGS - CCT_OPCODE, flags);
    stq_le_p(regs + CCT_ADDR - CCT_OPCODE, addr);
    stq_le_p(regs + CCT_BE - CCT_OPCODE, be);
    stl_le_p(regs + CCT_LEN - CCT_OPCODE, len);
    qpci_memwrite(d->pci, d->bar, CCT_OPCODE, regs, sizeof(regs));
}

static inline Result get_result(Dev *d)
{
    uint8_t regs[CCT_DATA + CCT_DATA_SIZE - CCT_RESULT];
    uint32_t status;
    Result r = { };

    qpci_memread(d->pci, d->bar, CCT_RESULT, regs, sizeof(regs));
    status = ldl_le_p(regs + CCT_STATUS - CCT_RESULT);
    r.ret = (int32_t)ldl_le_p(regs);
    r.state = status & CCT_STATUS_STATE;
    r.failed = status & CCT_STATUS_FAILED;
    r.poison = status & CCT_STATUS_POISON;
    memcpy(r.data, regs + CCT_DATA - CCT_RESULT, LINE);
    return r;
}

static inline Result operate(Dev *d, uint32_t what, uint32_t opcode,
                             uint32_t flags, uint64_t addr, uint64_t be,
                             const void *data)
{
    set_operation(d, opcode, flags, addr, be, 0);
    if (data) {
        qpci_memwrite(d->pci, d->bar, CCT_DATA, data, LINE);
    }
    set32(d, CCT_DOORBELL, what);
    return get_result(d);
}

/* A request without data, or that reads */
static inline Result try_request(Dev *d, uint32_t opcode, uint64_t addr)
{
    return operate(d, CCT_DO_REQUEST, opcode, 0, addr, 0, NULL);
}

static inline Result request(Dev *d, uint32_t opcode, uint64_t addr)
{
    Result r = try_request(d, opcode, addr);

    g_assert_cmpint(r.ret, ==, OK);
    g_assert_false(r.failed);
    g_assert_false(r.poison);
    return r;
}

static inline uint32_t line_state(Dev *d, uint64_t addr)
{
    return operate(d, CCT_DO_LINE_STATE, 0, 0, addr, 0, NULL).state;
}

static inline Result line_op(Dev *d, uint32_t what, uint64_t addr)
{
    return operate(d, what, 0, 0, addr, 0, NULL);
}

static inline void evict(Dev *d, uint64_t addr)
{
    g_assert_cmpint(line_op(d, CCT_DO_LINE_EVICT, addr).ret, ==, OK);
}

static inline void flush(Dev *d)
{
    g_assert_cmpint(line_op(d, CCT_DO_FLUSH, 0).ret, ==, OK);
}

/* ---- Data: version @v of a line, different in each byte ---- */

static inline void fill(uint8_t *buf, unsigned v)
{
    for (int i = 0; i < LINE; i++) {
        buf[i] = v * 67 + i * 3;
    }
}

#define assert_version(buf, v)                                  \
    do {                                                        \
        uint8_t expected_[LINE];                                \
                                                                \
        fill(expected_, v);                                     \
        g_assert_cmpmem(buf, LINE, expected_, LINE);            \
    } while (0)

static inline Result write_request(Dev *d, uint32_t opcode, uint64_t addr,
                                   uint64_t be, unsigned v)
{
    uint8_t data[LINE];

    fill(data, v);
    return operate(d, CCT_DO_REQUEST, opcode, 0, addr, be, data);
}

static inline Result line_write(Dev *d, uint64_t addr, uint64_t be, unsigned v)
{
    uint8_t data[LINE];

    fill(data, v);
    return operate(d, CCT_DO_LINE_WRITE, 0, 0, addr, be, data);
}

/* The device owns the line, modified to version @v. */
static inline void make_m(Dev *d, uint64_t addr, unsigned v)
{
    request(d, CXL_CACHE_RD_OWN, addr);
    g_assert_cmpint(line_write(d, addr, ALL, v).ret, ==, OK);
    g_assert_cmpuint(line_state(d, addr), ==, CCT_STATE_M);
}

/* ---- Finding it ---- */

static inline void dev_map(Dev *d)
{
    g_free(d->pci);
    d->pci = qcxl_endpoint(d->cxl);
    g_assert_nonnull(d->pci);
    qpci_device_enable(d->pci);
    d->bar = qpci_iomap(d->pci, CXL_CACHE_TESTDEV_BAR_REGS, NULL);
    d->window = qpci_iomap(d->pci, CXL_CACHE_TESTDEV_BAR_WINDOW, NULL);
    g_assert_cmphex(get32(d, CCT_MAGIC), ==, CCT_MAGIC_VALUE);
}

static inline void dev_start(Dev *d, QTestState *qts, int port)
{
    d->qts = qts;
    d->cxl = qcxl_new_port(qts, port);
    dev_map(d);
    set32(d, CCT_MODE, CCT_MODE_ON);
}

static inline void dev_end(Dev *d)
{
    g_free(d->pci);
    qcxl_free(d->cxl);
}

/* ---- The agent ---- */

#define ADD(size, operand) \
    CCT_STEP_MAKE(CCT_OP_ADD, CXL_CACHE_RD_OWN, size, operand, 0, 0)
#define STORE(how, operand) \
    CCT_STEP_MAKE(CCT_OP_STORE, how, 8, operand, 0, 0)
#define LOAD(how, reg) \
    CCT_STEP_MAKE(CCT_OP_LOAD, how, 8, CCT_CONST, reg, 0)
#define WAIT_GE(how, operand) \
    CCT_STEP_MAKE(CCT_OP_WAIT_GE, how, 8, operand, 7, 0)

static inline void set_step(Dev *d, int n, uint32_t op, uint64_t addr,
                            uint64_t value)
{
    set32(d, CCT_STEP_OP(n), op);
    set64(d, CCT_STEP_ADDR(n), addr);
    set64(d, CCT_STEP_VALUE(n), value);
    set32(d, CCT_STEP_STRIDE(n), 0);
    set32(d, CCT_STEP_WRAP(n), 0);
    set32(d, CCT_STEP_OP(n + 1), CCT_OP_END);
}

static inline void agent_start(Dev *d, uint64_t iterations)
{
    set64(d, CCT_AGENT_ITERATIONS, iterations);
    set32(d, CCT_AGENT_CTRL, CCT_AGENT_START);
}

static inline bool agent_runs(Dev *d)
{
    return get32(d, CCT_AGENT_STATUS) & CCT_AGENT_RUNNING;
}

static inline void agent_wait(Dev *d, uint64_t iterations)
{
    for (int i = 0; agent_runs(d); i++) {
        g_assert_cmpint(i, <, 30000);
        g_usleep(1000);
    }
    g_assert_cmphex(get32(d, CCT_AGENT_STATUS), ==, CCT_AGENT_DONE);
    g_assert_cmpuint(get64(d, CCT_AGENT_ITERATION), ==, iterations);
}

#endif /* TESTS_CXL_CACHE_TESTDEV_H */
