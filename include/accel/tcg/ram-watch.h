/*
 * Who watches RAM: told of what vCPUs load and store, under TCG
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_TCG_RAM_WATCH_H
#define ACCEL_TCG_RAM_WATCH_H

#include "exec/hwaddr.h"
#include "exec/vaddr.h"

/**
 * TCGRamAccess: a load, a store, or both in one
 * @cpu: whose
 * @addr: virtual address
 * @phys: guest physical address
 * @size: bytes, all in one page
 * @ra: where it is done, for tcg_ram_watch_pc()
 */
typedef struct TCGRamAccess {
    CPUState *cpu;
    vaddr addr;
    hwaddr phys;
    unsigned size;
    bool load;
    bool store;
    uintptr_t ra;
} TCGRamAccess;

/* What a vCPU does to its cache by an instruction */
typedef enum TCGCacheFlush {
    TCG_CACHE_FLUSH_LINE,       /* CLFLUSH */
    TCG_CACHE_FLUSH_ALL,        /* WBINVD */
    TCG_CACHE_WRITE_BACK_ALL,   /* WBNOINVD */
} TCGCacheFlush;

/**
 * TCGRamWatch:
 * @covers: is anything in the page at this address watched? Always the same
 * @access: is about to be done: no fault of the guest's stops it any more. By
 *          the vCPU's thread, which may hold the BQL and need not
 * @flush: a vCPU flushes the line at @phys, or all; by its thread, likewise.
 *         Of any memory, watched or not. NULL if it is of no interest
 */
typedef struct TCGRamWatch {
    bool (*covers)(void *opaque, hwaddr page);
    void (*access)(void *opaque, const TCGRamAccess *access);
    void (*flush)(void *opaque, CPUState *cpu, TCGCacheFlush how,
                  hwaddr phys);
    void *opaque;
} TCGRamWatch;

/**
 * tcg_ram_watch_set: have loads and stores of some pages of RAM told
 *
 * Those pages' accesses take the slow path, all others go as without it. Not
 * told are instruction fetches, page table walks, and helpers that have asked
 * for the host's address (probe_access()).
 *
 * To be called before any vCPU runs, or when none can any more. There can be
 * one; NULL for none.
 */
void tcg_ram_watch_set(const TCGRamWatch *watch);

/* The guest's instruction that does it */
vaddr tcg_ram_watch_pc(const TCGRamAccess *access);

/* Whether flushes are of interest: if not, they have no effect and no faults */
bool tcg_ram_watch_flushes(void);
void tcg_ram_watch_flush(CPUState *cpu, TCGCacheFlush how, hwaddr phys);

#endif /* ACCEL_TCG_RAM_WATCH_H */
