/*
 * The host's last-level cache: its registers
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: of hardware, counters like those of a CHA and way masks as
 * cache allocation technology has them; besides, what hardware tells nobody:
 * where a line goes, and whether it is there.
 *
 * This file is the register layout and needs no other header, so that a test
 * in the guest can include it. They are BAR 1 of cxl-cache-testdev, 8 KiB,
 * where the machine has a -object cxl-host-llc.
 *
 * All registers are little endian and take accesses of 4 and 8 bytes, naturally
 * aligned; those of 8 bytes can be read as two halves, and are written as one.
 * What is not listed reads as zero.
 */

#ifndef HW_CXL_CACHE_LLC_REGS_H
#define HW_CXL_CACHE_LLC_REGS_H

#define CLR_REGS_SIZE           0x2000

#define CLR_MAGIC               0x000   /* 32 RO */
#define CLR_MAGIC_VALUE         0x434c4c43u     /* "CLLC" */
#define CLR_VERSION             0x004   /* 32 RO: 1 */
#define CLR_SIZE                0x008   /* 64 RO: bytes */
#define CLR_SLICES              0x010   /* 32 RO */
#define CLR_SETS                0x014   /* 32 RO: of a slice */
#define CLR_WAYS                0x018   /* 32 RO */
#define CLR_FLAGS               0x01c   /* 32 RO */
#define CLR_FLAG_INCLUSIVE      (1u << 0)

/* Looking at a line: these follow CLR_ADDR, and change nothing. */
#define CLR_ADDR                0x020   /* 64 RW: guest physical */
#define CLR_SLICE_OF            0x028   /* 32 RO */
#define CLR_SET_OF              0x02c   /* 32 RO: in its slice */
#define CLR_STATE               0x030   /* 32 RO */
#define CLR_STATE_PRESENT       (1u << 0)       /* in the cache */
#define CLR_STATE_DIRTY         (1u << 1)
#define CLR_STATE_HELD          (1u << 2)       /* a device may have it */
#define CLR_STATE_WAY(v)        (((v) >> 8) & 0xff)
#define CLR_STATE_CLASS(v)      (((v) >> 16) & 0xff)    /* who brought it */

/* Who accesses */
#define CLR_CPU                 0
#define CLR_DEVICE              1       /* CXL.cache devices */
#define CLR_DMA                 2       /* all other devices */
#define CLR_PIN                 3       /* to pin with */
#define CLR_NUM_CLASSES         4

/* Something is done with the line at CLR_ADDR before the write returns. */
#define CLR_COMMAND             0x034   /* 32 WO */
/* A CPU reads it, in the class of bits 15:8: CLR_CPU or CLR_PIN */
#define CLR_LOAD                1
#define CLR_LOAD_AS(class)      (CLR_LOAD | (class) << 8)
#define CLR_FLUSH_LINE          2       /* CLFLUSH: from devices as well */
#define CLR_FLUSH               3       /* WBINVD: all lines of the cache */

/*
 * Ways in which a class may allocate, bit i for way i. A value with other ways,
 * or for another class than CLR_PIN with none, is ignored.
 */
#define CLR_MASK(class)         (0x040 + 4 * (class))   /* 32 RW */

/* What each slice has seen, lines */
#define CLR_SLICE(n)            (0x100 + 0x80 * (n))
#define CLR_HITS(n)             (CLR_SLICE(n) + 0x00)   /* 64 RO */
#define CLR_MISSES(n)           (CLR_SLICE(n) + 0x08)   /* 64 RO */
#define CLR_FILLS(n)            (CLR_SLICE(n) + 0x10)   /* 64 RO */
#define CLR_WRITE_BACKS(n)      (CLR_SLICE(n) + 0x18)   /* 64 RO */
#define CLR_EVICTIONS(n, why)   (CLR_SLICE(n) + 0x20 + 8 * (why))       /* 64 */
#define CLR_EVICT_SET           0
#define CLR_EVICT_DIRECTORY     1
#define CLR_EVICT_DDIO          2
#define CLR_EVICT_UNPIN         3
#define CLR_EVICT_FLUSH         4
#define CLR_NUM_REASONS         5

/* Lines taken from devices, by why */
#define CLR_TAKEN(why)          (0x060 + 8 * (why))     /* 64 RO */

/*
 * CPUs' loads and stores of what the object's "watch" covers, and of the loads
 * each so-manieth, by its "sample": a ring of records with what a PEBS record
 * of a load has. The last one is number CLR_SAMPLES - 1, modulo
 * CLR_NUM_SAMPLES. Latencies are nominal: the machine has none for loads.
 */
#define CLR_LOADS               0x090   /* 64 RO */
#define CLR_STORES              0x098   /* 64 RO */
#define CLR_SAMPLES             0x0a0   /* 64 RO: written so far */
#define CLR_NUM_SAMPLES         64
#define CLR_SAMPLE(n)           (0x1000 + 0x40 * (n))
#define CLR_SAMPLE_IP(n)        (CLR_SAMPLE(n) + 0x00)  /* 64 RO, each */
#define CLR_SAMPLE_VA(n)        (CLR_SAMPLE(n) + 0x08)
#define CLR_SAMPLE_PA(n)        (CLR_SAMPLE(n) + 0x10)
#define CLR_SAMPLE_SOURCE(n)    (CLR_SAMPLE(n) + 0x18)
#define CLR_SAMPLE_LATENCY(n)   (CLR_SAMPLE(n) + 0x20)
#define CLR_SAMPLE_TIME(n)      (CLR_SAMPLE(n) + 0x28)  /* virtual, in ns */
/* Sources, and the nominal latencies, in cycles */
#define CLR_SOURCE_HIT          0x04    /* in the cache */
#define CLR_LATENCY_HIT         50
#define CLR_SOURCE_MODIFIED     0x07    /* a device had modified it */
#define CLR_LATENCY_MODIFIED    150
#define CLR_SOURCE_MEMORY       0x0a
#define CLR_LATENCY_MEMORY      200

#endif /* HW_CXL_CACHE_LLC_REGS_H */
