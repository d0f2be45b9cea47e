/*
 * Lines of one memory in several encryption contexts, in CPUs' caches
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: an address bit chooses whether memory is accessed as it is
 * or in encrypted form, as AMD's SEV does (AMD64 Architecture Programmer's
 * Manual, volume 2, 15.34.9, "C-bit"). A cached line is tagged with that bit
 * and the ASID, here together the context. As far as coherence goes, lines of
 * two contexts are two lines: memory has what was written back last. How far
 * hardware sees to it that there is one only, says CXLAliasCoherence: nowhere
 * (before SME_COHERENT, CPUID 0x8000001F EAX[10]), between CPUs (with it: CPUs,
 * not devices; CVE-2022-0171), or everywhere.
 *
 * Each CPU has the lines that it has used last; all of them together have a
 * limit, beyond which the line that was used longest ago leaves. Within a
 * context CPUs are coherent, and so are devices with context 0 and, by
 * cxl_alias_dma(), with any one.
 *
 * The bytes: what @ops reads and writes is what CPUs and devices see at the
 * plain address. While a plain line is cached that is the line, and what is in
 * memory beneath is kept here. All other contexts' lines are held here,
 * decrypted.
 *
 * Plain C on glib; no threads, no locks. Line numbers are physical addresses
 * over 64.
 */

#ifndef HW_CXL_CACHE_ALIAS_H
#define HW_CXL_CACHE_ALIAS_H

#include <glib.h>

#define CXL_ALIAS_LINE_SHIFT    6
#define CXL_ALIAS_LINE_SIZE     (1 << CXL_ALIAS_LINE_SHIFT)
#define CXL_ALIAS_PAGE_LINES    64

/* Contexts */
#define CXL_ALIAS_PLAIN         0u
#define CXL_ALIAS_OF_ASID(asid) ((asid) + 1u)
#define CXL_ALIAS_MAX_ASID      0xfffu
/* Of a pair: not a context but a device */
#define CXL_ALIAS_DEVICE        0xffffu

/* For whom a flush is */
#define CXL_ALIAS_ALL_CPUS      (-1)

/* Pairs that are kept */
#define CXL_ALIAS_MAX_PAIRS     (1u << 16)

typedef struct CXLAlias CXLAlias;

typedef enum CXLAliasCoherence {
    CXL_ALIAS_COHERENT_OFF,     /* no context knows of another */
    CXL_ALIAS_COHERENT_CPU,     /* CPUs' accesses find lines of all contexts */
    CXL_ALIAS_COHERENT_ALL,     /* and so do devices' */
} CXLAliasCoherence;

/**
 * CXLAliasOps: what it asks of its surroundings
 * @read: 64 bytes of a line as the plain address shows them
 * @write: have it show these
 * @crypt: 64 bytes of a line, in a context other than CXL_ALIAS_PLAIN
 */
typedef struct CXLAliasOps {
    void (*read)(void *opaque, uint64_t line, uint8_t *data);
    void (*write)(void *opaque, uint64_t line, const uint8_t *data);
    void (*crypt)(void *opaque, unsigned context, uint64_t line,
                  const uint8_t *in, uint8_t *out, bool encrypt);
} CXLAliasOps;

/**
 * CXLAliasStats: in lines, since reset
 * @scanned: looked at by flushes
 * @flushed: that a flush found
 * @needed: of them, those that were modified, or of which memory had changed,
 *          and that somebody does not find by himself
 * @wasted: of them, the others
 * @overwritten: write-backs over what somebody else had written meanwhile
 * @stale: accesses that found a line older than memory
 * @bypassed: accesses of memory past another context's modified line
 * @write_backs: modified lines that went to memory
 * @evictions: lines that left for want of room
 *
 * @overwritten, @stale and @bypassed are flushes that were missed.
 */
typedef struct CXLAliasStats {
    uint64_t scanned;
    uint64_t flushed;
    uint64_t needed;
    uint64_t wasted;
    uint64_t overwritten;
    uint64_t stale;
    uint64_t bypassed;
    uint64_t write_backs;
    uint64_t evictions;
} CXLAliasStats;

/**
 * CXLAliasPair: a line that was there twice, not twice the same
 * @context: the encrypted one, or that of the higher ASID
 * @other: a context, or CXL_ALIAS_DEVICE
 * @overwritten, @stale, @bypassed: what became of it, as in CXLAliasStats
 */
typedef struct CXLAliasPair {
    uint64_t line;
    uint16_t context;
    uint16_t other;
    uint64_t overwritten;
    uint64_t stale;
    uint64_t bypassed;
} CXLAliasPair;

/**
 * cxl_alias_new: caches without any line
 * @lines: that all CPUs can have together, at least 1
 * @ops: used as long as the caches are there
 */
CXLAlias *cxl_alias_new(unsigned lines, CXLAliasCoherence coherence,
                        const CXLAliasOps *ops, void *opaque);
void cxl_alias_free(CXLAlias *a);

/* As new: lines are forgotten; what the plain address shows stays */
void cxl_alias_reset(CXLAlias *a);

/**
 * cxl_alias_load, cxl_alias_store: a CPU's access in an encrypted context
 * @context: not CXL_ALIAS_PLAIN
 * @offset, @len: in the line
 */
void cxl_alias_load(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                    unsigned offset, unsigned len, void *data);
void cxl_alias_store(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                     unsigned offset, unsigned len, const void *data);

/* A CPU is about to read, or write, the plain address */
void cxl_alias_plain(CXLAlias *a, int cpu, uint64_t line, bool write);

/**
 * cxl_alias_device: a device is about to read, or write, the plain address
 *
 * No CPU has a plain line afterwards.
 */
void cxl_alias_device(CXLAlias *a, uint64_t line, bool write);

/**
 * cxl_alias_device_takes: a device gets the plain line, to keep
 * @owner: to write it
 *
 * As cxl_alias_device(), but memory is not accessed by that.
 */
void cxl_alias_device_takes(CXLAlias *a, uint64_t line, bool owner);

/**
 * cxl_alias_device_has: a device has the line now, and a CPU's access in an
 * encrypted context does not ask it
 * @owner: it may have modified it
 */
void cxl_alias_device_has(CXLAlias *a, unsigned context, uint64_t line,
                          bool owner, bool write);

/**
 * cxl_alias_dma: a device reads or writes the encrypted address
 *
 * That leaves no line.
 */
void cxl_alias_dma(CXLAlias *a, unsigned context, uint64_t line,
                   unsigned offset, unsigned len, void *data, bool write);

/* CLFLUSH: one line of one context leaves, whoever has it */
void cxl_alias_flush_line(CXLAlias *a, unsigned context, uint64_t line);

/* VM_PAGE_FLUSH: all lines of a page, of one context */
void cxl_alias_flush_page(CXLAlias *a, unsigned context, uint64_t first_line);

/**
 * cxl_alias_flush: WBINVD, or WBNOINVD
 * @cpu: whose, or CXL_ALIAS_ALL_CPUS
 * @invalidate: WBINVD; else what is modified is written back, and stays
 */
void cxl_alias_flush(CXLAlias *a, int cpu, bool invalidate);

/* Looking in */

/* Lines that are cached; those of them that a CPU has used last */
unsigned cxl_alias_num_lines(const CXLAlias *a, int cpu);
/* Is it cached? @dirty may be NULL */
bool cxl_alias_find(CXLAlias *a, unsigned context, uint64_t line, bool *dirty);
const CXLAliasStats *cxl_alias_stats(const CXLAlias *a);
/* By @n from 0 on, in the order in which they came; NULL after the last */
const CXLAliasPair *cxl_alias_pair(const CXLAlias *a, unsigned n);
unsigned cxl_alias_num_pairs(const CXLAlias *a);
/* That there was no room for */
uint64_t cxl_alias_pairs_lost(const CXLAlias *a);

#endif /* HW_CXL_CACHE_ALIAS_H */
