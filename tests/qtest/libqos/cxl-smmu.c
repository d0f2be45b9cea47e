/*
 * libqos support for the SMMUv3 of a CXL machine
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "../libqtest.h"
#include "cxl.h"
#include "cxl-smmu.h"

#define IDR0            0x00
#define CR0             0x20
#define CR0ACK          0x24
#define CR0_SMMUEN      (1u << 0)
#define CR0_EVENTQEN    (1u << 2)
#define CR0_CMDQEN      (1u << 3)
#define GERROR          0x60
#define GERRORN         0x64
#define STRTAB_BASE     0x80
#define STRTAB_BASE_CFG 0x88
#define CMDQ_BASE       0x90
#define CMDQ_PROD       0x98
#define CMDQ_CONS       0x9c
#define EVENTQ_BASE     0xa0
#define EVENTQ_PROD     0x100a8
#define EVENTQ_CONS     0x100ac

#define STREAM_BITS     12
#define STE_BYTES       64
#define STREAM_BYTES    (STE_BYTES << STREAM_BITS)
/* Each queue is a page. */
#define COMMAND_BITS    8
#define COMMAND_BYTES   16
#define EVENT_BITS      7
#define EVENT_BYTES     32

#define CMD_CFGI_STE    0x03
#define CMD_CFGI_ALL    0x04
#define CMD_TLBI_ALL    0x30
#define CMD_ATC_INV     0x40
#define CMD_SYNC        0x46

#define PTE_TABLE       3ull
#define PTE_BLOCK       1ull
#define PTE_PAGE        3ull
#define PTE_AF          (1ull << 10)
#define PTE_S1_RO       (2ull << 6)
#define PTE_S2_READ     (1ull << 6)
#define PTE_S2_WRITE    (2ull << 6)
#define PTE_TABLE_RO    (1ull << 62)
#define PTE_ADDR        0x0000fffffffff000ull

/* Levels at which walks begin: 48 bits of stage 1, 39 of stage 2 */
#define S1_TOP          0
#define S2_TOP          1
#define S1_T0SZ         16ull
#define S2_T0SZ         25ull
#define SIZE_44_BITS    4ull

static uint32_t reg_read(QCXLSmmu *s, uint32_t reg)
{
    return qtest_readl(s->qts, VIRT_SMMU_BASE + reg);
}

static void reg_write(QCXLSmmu *s, uint32_t reg, uint32_t value)
{
    qtest_writel(s->qts, VIRT_SMMU_BASE + reg, value);
}

static void reg_write64(QCXLSmmu *s, uint32_t reg, uint64_t value)
{
    qtest_writeq(s->qts, VIRT_SMMU_BASE + reg, value);
}

static uint64_t zeroed(QCXLSmmu *s, uint64_t len)
{
    uint64_t addr = guest_alloc(s->alloc, len);

    qtest_memset(s->qts, addr, 0, len);
    return addr;
}

/* Commands */

/* The index of a queue has the wrap bit above it. */
static void queue_command(QCXLSmmu *s, uint64_t lo, uint64_t hi)
{
    uint32_t index = s->produced & MAKE_64BIT_MASK(0, COMMAND_BITS);
    uint64_t at = s->commands + index * COMMAND_BYTES;

    qtest_writeq(s->qts, at, lo);
    qtest_writeq(s->qts, at + 8, hi);
    s->produced = (s->produced + 1) & MAKE_64BIT_MASK(0, COMMAND_BITS + 1);
    reg_write(s, CMDQ_PROD, s->produced);
}

unsigned qcs_try_sync(QCXLSmmu *s)
{
    uint32_t cons;

    queue_command(s, CMD_SYNC, 0);
    cons = reg_read(s, CMDQ_CONS);
    if (reg_read(s, GERROR) != reg_read(s, GERRORN)) {
        return extract32(cons, 24, 7);
    }
    /* An error that was acknowledged is still to be seen */
    g_assert_cmphex(cons & MAKE_64BIT_MASK(0, COMMAND_BITS + 1), ==,
                    s->produced);
    return 0;
}

void qcs_sync(QCXLSmmu *s)
{
    g_assert_cmpint(qcs_try_sync(s), ==, 0);
}

void qcs_go_on(QCXLSmmu *s)
{
    reg_write(s, GERRORN, reg_read(s, GERROR));
}

void qcs_forget_all(QCXLSmmu *s)
{
    queue_command(s, CMD_CFGI_ALL, 31);
    queue_command(s, CMD_TLBI_ALL, 0);
    qcs_sync(s);
}

void qcs_queue_device(QCXLSmmu *s, uint16_t sid, uint64_t iova, unsigned size)
{
    queue_command(s, CMD_ATC_INV | (uint64_t)sid << 32, iova | size);
}

/* Events */

unsigned qcs_event(QCXLSmmu *s, uint16_t *sid, uint64_t *addr)
{
    uint32_t index = s->consumed & MAKE_64BIT_MASK(0, EVENT_BITS);
    uint64_t at = s->events + index * EVENT_BYTES;

    if (reg_read(s, EVENTQ_PROD) == s->consumed) {
        return 0;
    }
    s->consumed = (s->consumed + 1) & MAKE_64BIT_MASK(0, EVENT_BITS + 1);
    reg_write(s, EVENTQ_CONS, s->consumed);
    *sid = qtest_readl(s->qts, at + 4);
    *addr = qtest_readq(s->qts, at + 16);
    return qtest_readb(s->qts, at);
}

/* Tables */

static unsigned level_shift(int level)
{
    return 12 + 9 * (3 - level);
}

static uint64_t entry_at(uint64_t table, uint64_t addr, int level)
{
    return table + extract64(addr, level_shift(level), 9) * 8;
}

/* Where the entry of @level is, with tables above it as needed */
static uint64_t entry_of(QCXLSmmu *s, uint64_t table, int top, uint64_t addr,
                         int level)
{
    for (int at = top; at < level; at++) {
        uint64_t entry = entry_at(table, addr, at);
        uint64_t pte = qtest_readq(s->qts, entry);

        if (!pte) {
            pte = zeroed(s, QCS_PAGE) | PTE_TABLE;
            qtest_writeq(s->qts, entry, pte);
        }
        table = pte & PTE_ADDR;
    }
    return entry_at(table, addr, level);
}

static void set_s1(QCXLSmmu *s, const QCSDomain *d, uint64_t iova, uint64_t pte)
{
    qtest_writeq(s->qts, entry_of(s, d->s1, S1_TOP, iova, 3), pte);
}

static void set_s2(QCXLSmmu *s, const QCSDomain *d, uint64_t ipa, uint64_t pte)
{
    qtest_writeq(s->qts, entry_of(s, d->s2, S2_TOP, ipa, 3), pte);
}

static uint64_t s2_rights(QCSAccess access)
{
    return (access & QCS_READ ? PTE_S2_READ : 0) |
           (access & QCS_WRITE ? PTE_S2_WRITE : 0);
}

static uint64_t ipa_of(const QCSDomain *d, uint64_t gpa)
{
    return d->stages == QCS_NESTED ? gpa + QCS_IPA : gpa;
}

void qcs_map(QCXLSmmu *s, const QCSDomain *d, uint64_t iova, uint64_t gpa,
             uint64_t len, QCSAccess access)
{
    for (uint64_t at = 0; at < len; at += QCS_PAGE) {
        uint64_t ipa = ipa_of(d, gpa + at);

        if (d->stages & QCS_S1) {
            set_s1(s, d, iova + at, ipa | PTE_AF | PTE_PAGE |
                   (access & QCS_WRITE ? 0 : PTE_S1_RO));
        }
        if (d->stages & QCS_S2) {
            set_s2(s, d, d->stages & QCS_S1 ? ipa : iova + at,
                   (gpa + at) | PTE_AF | PTE_PAGE |
                   s2_rights(d->stages & QCS_S1 ? QCS_RW : access));
        }
    }
}

void qcs_unmap(QCXLSmmu *s, const QCSDomain *d, uint64_t iova, uint64_t len)
{
    for (uint64_t at = 0; at < len; at += QCS_PAGE) {
        if (d->stages & QCS_S1) {
            set_s1(s, d, iova + at, 0);
        } else {
            set_s2(s, d, iova + at, 0);
        }
    }
}

void qcs_limit(QCXLSmmu *s, const QCSDomain *d, uint64_t iova)
{
    uint64_t entry = entry_of(s, d->s1, S1_TOP, iova, 2);

    qtest_writeq(s->qts, entry, qtest_readq(s->qts, entry) | PTE_TABLE_RO);
}

QCSDomain qcs_domain(QCXLSmmu *s, QCSStages stages, uint16_t id)
{
    QCSDomain d = { .stages = stages, .id = id };

    if (stages & QCS_S1) {
        d.s1 = zeroed(s, QCS_PAGE);
        d.cd = zeroed(s, QCS_PAGE);
        /* T0SZ; EPD1, V, IPS; AA64, R, A, ASET, ASID */
        qtest_writeq(s->qts, d.cd, S1_T0SZ | 1ull << 30 | 1ull << 31 |
                     SIZE_44_BITS << 32 | 1ull << 41 | 1ull << 45 |
                     1ull << 46 | 1ull << 47 | (uint64_t)id << 48);
        qtest_writeq(s->qts, d.cd + 8, d.s1);
    }
    if (stages & QCS_S2) {
        d.s2 = zeroed(s, QCS_PAGE);
    }
    if (stages == QCS_NESTED) {
        /* Tables: all of the first GiB of RAM */
        qtest_writeq(s->qts, entry_of(s, d.s2, S2_TOP, QCXL_VIRT_RAM, 1),
                     QCXL_VIRT_RAM | PTE_AF | s2_rights(QCS_RW) | PTE_BLOCK);
    }
    return d;
}

void qcs_bind(QCXLSmmu *s, uint16_t sid, const QCSDomain *d, unsigned eats)
{
    uint64_t at = s->streams + sid * STE_BYTES;
    uint64_t config = 4;        /* all pass */
    uint64_t ste[4] = { };

    if (d) {
        config |= d->stages;
        ste[0] = d->cd;
    }
    ste[0] |= 1 | config << 1;
    ste[1] = (uint64_t)eats << 28;
    if (d && (d->stages & QCS_S2)) {
        /* VMID, T0SZ, SL0, PS, AA64, R */
        ste[2] = d->id | S2_T0SZ << 32 | 1ull << 38 | SIZE_44_BITS << 48 |
                 1ull << 51 | 1ull << 58;
        ste[3] = d->s2;
    }
    for (int i = 0; i < ARRAY_SIZE(ste); i++) {
        qtest_writeq(s->qts, at + i * 8, ste[i]);
    }
    queue_command(s, CMD_CFGI_STE | (uint64_t)sid << 32, 1);
    qcs_sync(s);
}

/* Life */

uint32_t qcs_idr0(QCXLSmmu *s)
{
    return reg_read(s, IDR0);
}

QCXLSmmu *qcs_new(QTestState *qts, QGuestAllocator *alloc)
{
    QCXLSmmu *s = g_new0(QCXLSmmu, 1);
    uint64_t streams;

    s->qts = qts;
    s->alloc = alloc;
    streams = zeroed(s, 2 * STREAM_BYTES);
    s->streams = ROUND_UP(streams, STREAM_BYTES);
    s->commands = zeroed(s, QCS_PAGE);
    s->events = zeroed(s, QCS_PAGE);
    reg_write64(s, STRTAB_BASE, s->streams);
    reg_write(s, STRTAB_BASE_CFG, STREAM_BITS);
    reg_write64(s, CMDQ_BASE, s->commands | COMMAND_BITS);
    reg_write(s, CMDQ_PROD, 0);
    reg_write(s, CMDQ_CONS, 0);
    reg_write64(s, EVENTQ_BASE, s->events | EVENT_BITS);
    reg_write(s, EVENTQ_PROD, 0);
    reg_write(s, EVENTQ_CONS, 0);
    reg_write(s, CR0, CR0_SMMUEN | CR0_EVENTQEN | CR0_CMDQEN);
    g_assert_cmphex(reg_read(s, CR0ACK), ==,
                    CR0_SMMUEN | CR0_EVENTQEN | CR0_CMDQEN);
    qcs_forget_all(s);
    return s;
}

void qcs_free(QCXLSmmu *s)
{
    g_free(s);
}
