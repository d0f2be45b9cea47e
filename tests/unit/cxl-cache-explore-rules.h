/*
 * State space search of CXL.cache: what the observer's files share
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The observer sees each message when it is sent and when it is taken, keeps
 * its own notes, and holds both sides to the rules; and it looks at each state
 * as a whole. Rules are named as in the project's list: I1 single writer or
 * many readers, I2 values, I3 no dirty data lost, I4 no needless write, I5
 * snoops and pulls exclude each other, I6 Bogus, I7 response sets and IDs, I8
 * buried state rule, I9 credits, I10 progress, I11 snoop filter, I12 the host's
 * own access, I13 order of GO and snoops, I14 poison. Of the search's own: R1
 * replacement, R2 devices that die and resets, R3 flush, R4 who may not ask.
 *
 *   cxl-cache-explore-facts.c   what the specification says, as tables
 *   cxl-cache-explore-sent.c    a message is sent
 *   cxl-cache-explore-taken.c   a message is taken, a request ends
 *   cxl-cache-explore-state.c   a state as a whole, and at rest
 *   cxl-cache-explore-order.c   replacement: device's cache, snoop filter
 *   cxl-cache-explore-loss.c    a device dies, everything is reset
 */

#ifndef TESTS_CXL_CACHE_EXPLORE_RULES_H
#define TESTS_CXL_CACHE_EXPLORE_RULES_H

#include "cxl-cache-explore.h"

#define ST CXL_CACHE_ST
#define GO CXL_CACHE_GOS
#define RSP CXL_CACHE_RSPS

/* Tables 3-22, 3-23 and 3-28 */
typedef struct ReqRule {
    uint32_t legal;
    uint8_t go;
    uint16_t first;
    uint16_t second;
    bool h2d, d2h;
    bool keeps;             /* the device may have the line afterwards */
    bool evict;
    bool overlap;           /* ordering rule O11 */
} ReqRule;

extern const ReqRule req_rules[CXL_CACHE_D2H_REQ_CODES];

/* What a line in a state is to others: what a snoop may find, in table 3-26. */
typedef enum Found {
    NOTHING,
    EMPTY,          /* owned, not a byte there */
    SHARED,
    OWNED,
    MODIFIED,
} Found;

extern const uint8_t line_found[CXL_CACHE_NUM_STATES];
extern const uint32_t snoop_answers[CXL_CACHE_SNP_CUR + 1][MODIFIED + 1];

#define R(rsp) (1u << CXL_CACHE_RSP_##rsp)
#define FWD (R(S_FWD_M) | R(I_FWD_M) | R(V_FWD_V))
#define GONE (R(I_HIT_I) | R(I_HIT_SE) | R(I_FWD_M))
#define DOWN (GONE | R(S_HIT_SE) | R(S_FWD_M))

/* What a device may do with a line now, or once what is on its way arrives */
typedef enum Hold { HOLD_NONE, HOLD_SHARED, HOLD_EXCL } Hold;

extern const uint8_t line_holds[CXL_CACHE_NUM_STATES];

/* cxl-cache-explore-facts.c */
const char *op_name(unsigned op);

/* cxl-cache-explore-sent.c */
/* Returns: how many requests the device has open */
unsigned outstanding(const World *w, unsigned dev);
/* Whether data of the line are being pulled */
bool pull_open(const GhostDev *d, unsigned line);
/* What a read gets where nothing is */
bool all_ones(const CXLCacheLineData *data);

/* cxl-cache-explore-state.c */
/* Whether the device answers for a line that memory does not have */
bool answers_for(const World *w, unsigned dev, unsigned line,
                 CXLCacheState state);

#endif /* TESTS_CXL_CACHE_EXPLORE_RULES_H */
