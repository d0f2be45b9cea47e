/*
 * A host's last-level cache: which lines it has, and which one leaves
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the tags of a sliced, set-associative cache that all
 * agents of a host share, and beside it a directory of the lines that devices
 * have (the snoop filter of a cache that is not inclusive). There are no data:
 * memory has them at all times, and a line is dirty only by name.
 *
 *  + Slice hashes: Maurice et al., "Reverse Engineering Intel Last-Level Cache
 *    Complex Addressing Using Performance Counters", RAID 2015, for 2, 4 and 8
 *    slices; the masks of a Xeon Gold 6130 for 16.
 *  + Replacement: LRU; tree-PLRU; and the policies that Abel and Reineke name
 *    QLRU_Hxy_Mx_Rx_Ux[_UMO] ("nanoBench", ISPASS 2020, and uops.info). SRRIP
 *    (Jaleel et al., ISCA 2010) is QLRU_H00_M2_R0_U0_UMO by their names.
 *  + Way masks: Intel SDM volume 3, cache allocation technology: a mask says
 *    where a class may allocate, not where it may hit. Two agents have classes
 *    of their own, as on hardware: devices' DMA (DDIO, MSR 0xC8B: only writes
 *    allocate), and CXL.cache devices.
 *
 * Not modelled: private caches, which filter what gets here; speculation and
 * prefetches; time.
 *
 * No call allocates memory but cxl_llc_new(). There is no lock.
 */

#ifndef HW_CXL_CACHE_LLC_H
#define HW_CXL_CACHE_LLC_H

#define CXL_LLC_LINE_SHIFT  6
#define CXL_LLC_MAX_WAYS    32
#define CXL_LLC_MAX_SLICES  16
/* Lines of a 52-bit physical address space */
#define CXL_LLC_LINE_MAX    (1ULL << 46)

typedef struct CXLLlc CXLLlc;

typedef enum CXLLlcHash {
    CXL_LLC_HASH_LINEAR,    /* lines go to the slices in turn */
    CXL_LLC_HASH_INTEL,     /* by the parity of address bits */
    CXL_LLC_NUM_HASHES
} CXLLlcHash;

/* Who accesses: each has a mask of the ways in which it may allocate. */
typedef enum CXLLlcClass {
    CXL_LLC_CPU,
    CXL_LLC_DEVICE,         /* CXL.cache */
    CXL_LLC_DMA,            /* all others' DMA: DDIO */
    CXL_LLC_PIN,            /* whoever pins lines; no way at first */
    CXL_LLC_NUM_CLASSES
} CXLLlcClass;

typedef enum CXLLlcKind {
    CXL_LLC_READ,
    CXL_LLC_OWN,            /* to write it elsewhere: in a device's cache */
    CXL_LLC_WRITE,
    CXL_LLC_WRITE_BACK,     /* a modified line comes from a device's cache */
    CXL_LLC_NUM_KINDS
} CXLLlcKind;

/* Why a line has left */
typedef enum CXLLlcReason {
    CXL_LLC_EVICT_SET,          /* the ways where it may be were full */
    CXL_LLC_EVICT_DIRECTORY,    /* its set of the directory was full */
    CXL_LLC_EVICT_DDIO,         /* a DMA write came in its place */
    CXL_LLC_EVICT_UNPIN,        /* its class had lost the way that it was in */
    CXL_LLC_EVICT_FLUSH,
    CXL_LLC_NUM_REASONS
} CXLLlcReason;

/**
 * CXLLlcConfig:
 * @size: bytes: @slices x sets x @ways x 64; sets are a power of two
 * @ways: 1 to CXL_LLC_MAX_WAYS; for plru a power of two
 * @slices: 1, 2, 4, 8 or 16
 * @policy: "lru", "plru", "srrip" or "qlru:" and what uops.info has after
 *          QLRU_, for example "qlru:H11_M1_R1_U2"
 * @ddio_ways: the last so many ways are where DMA may allocate; 1 to @ways
 * @directory_ways: of each set of the directory, which has the cache's sets
 *                  and LRU replacement; 0 to CXL_LLC_MAX_WAYS, 0 for none
 */
typedef struct CXLLlcConfig {
    uint64_t size;
    unsigned ways;
    unsigned slices;
    CXLLlcHash hash;
    const char *policy;
    unsigned ddio_ways;
    unsigned directory_ways;
} CXLLlcConfig;

/* A line in the cache; @slice, @set, @way say where it is, or was */
typedef struct CXLLlcEntry {
    uint64_t line;
    unsigned slice;
    unsigned set;
    unsigned way;
    bool dirty;
    CXLLlcClass class;      /* who brought it */
} CXLLlcEntry;

/**
 * CXLLlcResult: what an access has done
 * @hit: the line was there
 * @allocated: it was not, and is now. Neither: no way may take it
 * @at: where it is; @way is 0 where it is not
 * @evicted: @victim has left for it, for @reason
 */
typedef struct CXLLlcResult {
    bool hit;
    bool allocated;
    bool evicted;
    CXLLlcReason reason;
    CXLLlcEntry at;
    CXLLlcEntry victim;
} CXLLlcResult;

/* What a slice has seen: lines, each */
typedef struct CXLLlcStats {
    uint64_t hits;
    uint64_t misses;
    uint64_t fills;         /* misses that were allocated */
    uint64_t write_backs;   /* dirty lines that left */
    uint64_t evictions[CXL_LLC_NUM_REASONS];
} CXLLlcStats;

/**
 * cxl_llc_new: an empty cache
 * @error: set to what is wrong with @config; to be freed by g_free()
 *
 * Returns: NULL on an error
 */
CXLLlc *cxl_llc_new(const CXLLlcConfig *config, char **error);
void cxl_llc_free(CXLLlc *llc);

const CXLLlcConfig *cxl_llc_config(const CXLLlc *llc);
/* Sets of a slice */
unsigned cxl_llc_sets(const CXLLlc *llc);
const CXLLlcStats *cxl_llc_stats(const CXLLlc *llc, unsigned slice);

/* Where a line goes; bits above CXL_LLC_LINE_MAX do not count */
unsigned cxl_llc_slice_of(const CXLLlc *llc, uint64_t line);
unsigned cxl_llc_set_of(const CXLLlc *llc, uint64_t line);

/**
 * cxl_llc_access: somebody reads or writes a line
 *
 * READ and OWN bring a clean line, the others a dirty one. DMA's reads do not
 * allocate, nor does a class without ways.
 */
void cxl_llc_access(CXLLlc *llc, uint64_t line, CXLLlcKind kind,
                    CXLLlcClass class, CXLLlcResult *result);

/**
 * cxl_llc_flush_line: the line leaves (CLFLUSH), if it is there
 * @gone: filled in if it was; may be NULL
 *
 * The age of its way stays: the next one to come is told apart by being empty.
 */
bool cxl_llc_flush_line(CXLLlc *llc, uint64_t line, CXLLlcEntry *gone);

/**
 * cxl_llc_flush: all lines leave (WBINVD)
 * @func: called for each, in the order of slices, sets and ways; or NULL
 *
 * Ages are as in a new cache after it; the directory is as before.
 *
 * Returns: how many were there
 */
typedef void CXLLlcFunc(void *opaque, const CXLLlcEntry *entry);
uint64_t cxl_llc_flush(CXLLlc *llc, CXLLlcFunc *func, void *opaque);

/* As cxl_llc_new() has left it: the directory, counters and masks, too */
void cxl_llc_reset(CXLLlc *llc);

/**
 * cxl_llc_set_mask: the ways in which a class may allocate, bit i for way i
 *
 * What is in other ways stays there and can be hit.
 *
 * Returns: false, and nothing has changed, if there are no such ways, or if
 * @mask is 0 for a class other than CXL_LLC_PIN.
 */
bool cxl_llc_set_mask(CXLLlc *llc, CXLLlcClass class, uint32_t mask);
uint32_t cxl_llc_mask(const CXLLlc *llc, CXLLlcClass class);

/**
 * cxl_llc_track: a device has the line now
 * @conflict: the line whose place it takes in the directory
 *
 * Without a directory, and for a line that it has already, nothing happens.
 *
 * Returns: whether there is a @conflict: no device may have that line any more
 */
bool cxl_llc_track(CXLLlc *llc, uint64_t line, CXLLlcEntry *conflict);
void cxl_llc_untrack(CXLLlc *llc, uint64_t line);
bool cxl_llc_tracks(const CXLLlc *llc, uint64_t line);

/* Whether the line is in the cache; changes nothing */
bool cxl_llc_find(const CXLLlc *llc, uint64_t line, CXLLlcEntry *entry);

/**
 * cxl_llc_entry: what is in a way
 * @age: LRU: how many ways were used since; QLRU: 0 to 3; PLRU: node @way of
 *       the tree in heap order, 1 if the next victim is to its right. May be
 *       NULL
 *
 * Returns: false if it is empty, or if there is no such way
 */
bool cxl_llc_entry(const CXLLlc *llc, unsigned slice, unsigned set,
                   unsigned way, CXLLlcEntry *entry, uint8_t *age);

/* Names, as options and the monitor have them */
const char *cxl_llc_reason_name(CXLLlcReason reason);
const char *cxl_llc_class_name(CXLLlcClass class);

#endif /* HW_CXL_CACHE_LLC_H */
