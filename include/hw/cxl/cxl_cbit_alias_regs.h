/*
 * An encrypted alias of RAM: its registers
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: of hardware, the choice of an ASID and VM_PAGE_FLUSH (MSR
 * C001_011Eh, AMD64 Architecture Programmer's Manual, volume 2); besides, what
 * hardware tells nobody: what flushes cost, and what came of those that were
 * left out.
 *
 * This file is the register layout and needs no other header, so that a test
 * in the guest can include it.
 *
 * PCI: 1af4:10f1. BAR 0: the registers below, 4 KiB.
 *
 * All registers are little endian and take accesses of 4 and 8 bytes, naturally
 * aligned; those of 8 bytes can be read as two halves, and are written as one.
 * What is not listed reads as zero. Addresses are guest physical.
 *
 * QEMU interface:
 *  + -device cxl-cbit-alias,bit=<number>: one for the machine, on any PCI bus
 *  + "tag-coherence" (off, cpu or all; default off), "key" (any string),
 *    "lines" (default 65536), "watch" (default: all RAM)
 *  + QMP x-query-cxl-aliases, HMP "info cxl-aliases", trace event
 *    cxl_cache_alias
 *  + System reset makes the caches empty, without writing anything back, and
 *    gives every register its reset value, 0 but for the read-only ones.
 */

#ifndef HW_CXL_CBIT_ALIAS_REGS_H
#define HW_CXL_CBIT_ALIAS_REGS_H

#define CXL_CBIT_ALIAS_VENDOR_ID    0x1af4
#define CXL_CBIT_ALIAS_DEVICE_ID    0x10f1
#define CXL_CBIT_ALIAS_BAR_REGS     0

#define CBR_REGS_SIZE           0x1000

#define CBR_MAGIC               0x000   /* 32 RO */
#define CBR_MAGIC_VALUE         0x54494243u     /* "CBIT" */
#define CBR_VERSION             0x004   /* 32 RO: 1 */
#define CBR_BIT                 0x008   /* 32 RO */
#define CBR_COHERENCE           0x00c   /* 32 RO: */
#define CBR_COHERENCE_OFF       0
#define CBR_COHERENCE_CPU       1
#define CBR_COHERENCE_ALL       2
/*
 * Whose key the alias is of, 0 to 4095. What CPUs have in their caches stays
 * there, as the other ASID's.
 */
#define CBR_ASID                0x010   /* 32 RW */
#define CBR_LINES               0x014   /* 32 RO: in all CPUs' caches */
/* As VM_PAGE_FLUSH: page in bits 63:12, ASID in 11:0; of that alias alone */
#define CBR_PAGE_FLUSH          0x018   /* 64 WO */

/*
 * A CPU does something before the write of CBR_COMMAND returns, as if by an
 * instruction of its own; for the caches, this is the same.
 */
#define CBR_CPU                 0x020   /* 32 RW: by number */
#define CBR_COMMAND             0x024   /* 32 WO: */
#define CBR_LOAD                1       /* DATA = 8 bytes at ADDR */
#define CBR_STORE               2       /* 8 bytes at ADDR = DATA */
#define CBR_CLFLUSH             3       /* the line at ADDR */
#define CBR_WBINVD              4
#define CBR_WBNOINVD            5
#define CBR_ADDR                0x028   /* 64 RW: 8-byte aligned, bit or not */
#define CBR_DATA                0x030   /* 64 RW */
/* Of the last command: 0, or 1 if ADDR is no RAM, or not aligned */
#define CBR_RESULT              0x038   /* 32 RO */

/* Counters, in lines: 64 RO, since reset */
#define CBR_SCANNED             0x040   /* looked at by flushes */
#define CBR_FLUSHED             0x048   /* and found */
#define CBR_NEEDED              0x050   /* and in somebody's way */
#define CBR_WASTED              0x058   /* and not */
#define CBR_OVERWRITTEN         0x060   /* written back over what was newer */
#define CBR_STALE               0x068   /* older than memory when used */
#define CBR_BYPASSED            0x070   /* newer than memory, which was used */
#define CBR_WRITE_BACKS         0x078
#define CBR_EVICTIONS           0x080
/* OVERWRITTEN, STALE and BYPASSED: flushes that were missed */
#define CBR_MISSED              0x088
/* Lines that were there twice, not twice the same: x-query-cxl-aliases */
#define CBR_PAIRS               0x090

#endif /* HW_CXL_CBIT_ALIAS_REGS_H */
