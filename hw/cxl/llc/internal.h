/*
 * A host's last-level cache, for its own files
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   llc.c       the cache, the directory, who may allocate where
 *   policy.c    which way is taken, and what ages become of that
 *   hash.c      which slice a line goes to
 *
 * llc.c calls the others.
 */

#ifndef HW_CXL_LLC_INTERNAL_H
#define HW_CXL_LLC_INTERNAL_H

#include "hw/cxl/cxl_cache_llc.h"

/* hash.c */

/* @slices is 1, 2, 4, 8 or 16. */
unsigned cxl_llc_hash(CXLLlcHash hash, unsigned slices, uint64_t line);

/* policy.c */

typedef enum CXLLlcQlruReplace {
    CXL_LLC_R0,
    CXL_LLC_R1,
    CXL_LLC_R2,
} CXLLlcQlruReplace;

typedef struct CXLLlcPolicy CXLLlcPolicy;

/**
 * CXLLlcPolicyOps: @age has a byte for each of a set's ways, @n
 * @reset: a set that nobody has used
 * @empty: the one of some empty ways, a bit for each, that is filled
 * @victim: the one of some ways that is given up; changes nothing
 * @missed: a line is to come; before anything is chosen
 * @hit: the way was used
 * @filled: a line has come to the way
 */
typedef struct CXLLlcPolicyOps {
    void (*reset)(uint8_t *age, unsigned n);
    unsigned (*empty)(const CXLLlcPolicy *p, uint32_t ways);
    unsigned (*victim)(const CXLLlcPolicy *p, const uint8_t *age, unsigned n,
                       uint32_t ways);
    void (*missed)(const CXLLlcPolicy *p, uint8_t *age, unsigned n);
    void (*hit)(const CXLLlcPolicy *p, uint8_t *age, unsigned n, unsigned way);
    void (*filled)(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                   unsigned way);
} CXLLlcPolicyOps;

/**
 * CXLLlcPolicy: a policy, and for QLRU what its name says
 * @hit: H: what an age becomes by a hit
 * @insert: M: age of a line that comes
 * @replace: R: which way is taken
 * @others: U1, U3: the way that was used is not aged with the others
 * @step: U2, U3: ages grow by 1; else until one is 3
 * @on_miss: UMO
 */
struct CXLLlcPolicy {
    const CXLLlcPolicyOps *ops;
    uint8_t hit[4];
    uint8_t insert;
    CXLLlcQlruReplace replace;
    bool others;
    bool step;
    bool on_miss;
};

/**
 * cxl_llc_policy_parse: a policy by its name, see CXLLlcConfig
 * @ways: that it is for
 *
 * Returns: NULL, or what is wrong, to be freed
 */
char *cxl_llc_policy_parse(CXLLlcPolicy *p, const char *name, unsigned ways);

extern const CXLLlcPolicy cxl_llc_lru;

#endif /* HW_CXL_LLC_INTERNAL_H */
