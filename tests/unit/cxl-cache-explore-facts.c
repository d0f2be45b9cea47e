/*
 * State space search of CXL.cache: what the specification says
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables here repeat the specification on purpose: if they were the
 * engine's, the search could not see a slip in them.
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore-rules.h"

/* Tables 3-22, 3-23 and 3-28 */
const ReqRule req_rules[CXL_CACHE_D2H_REQ_CODES] = {
    [CXL_CACHE_RD_CURR] = {
        .legal = ST(I), .h2d = true, .overlap = true,
    },
    [CXL_CACHE_RD_OWN] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(E) | GO(M) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_SHARED] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(S) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_ANY] = {
        .legal = ST(I), .first = RSP(GO), .h2d = true, .keeps = true,
        .go = GO(S) | GO(E) | GO(M) | GO(I) | GO(ERR),
    },
    [CXL_CACHE_RD_OWN_NO_DATA] = {
        .legal = ST(I) | ST(S), .first = RSP(GO), .keeps = true,
        .go = GO(E) | GO(ERR),
    },
    [CXL_CACHE_I_TO_M_WR] = {
        .legal = ST(I), .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .d2h = true, .overlap = true,
    },
    [CXL_CACHE_WR_CUR] = {
        .legal = ST(I), .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .d2h = true, .overlap = true,
    },
    [CXL_CACHE_CL_FLUSH] = {
        .legal = ST(I), .first = RSP(GO), .go = GO(I) | GO(ERR),
        .overlap = true,
    },
    [CXL_CACHE_CLEAN_EVICT] = {
        .legal = ST(E), .d2h = true, .evict = true,
        .first = RSP(GO_WRITE_PULL) | RSP(GO_WRITE_PULL_DROP),
    },
    [CXL_CACHE_DIRTY_EVICT] = {
        .legal = ST(M), .d2h = true, .evict = true,
        .first = RSP(GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
    },
    [CXL_CACHE_CLEAN_EVICT_NO_DATA] = {
        .legal = ST(S) | ST(E) | ST(EN), .evict = true,
        .first = RSP(GO), .go = GO(I),
    },
    [CXL_CACHE_WO_WR_INV] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(FAST_GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .second = RSP(EXT_CMP),
    },
    [CXL_CACHE_WO_WR_INV_F] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(FAST_GO_WRITE_PULL) | RSP(GO_ERR_WRITE_PULL),
        .second = RSP(EXT_CMP),
    },
    [CXL_CACHE_WR_INV] = {
        .legal = ST(I), .d2h = true, .overlap = true,
        .first = RSP(WRITE_PULL),
        .second = RSP(GO), .go = GO(I) | GO(ERR),
    },
    [CXL_CACHE_CACHE_FLUSHED] = {
        .first = RSP(GO), .go = GO(I),
    },
};

/* What a snoop may find */
const uint8_t line_found[CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_S] = SHARED,
    [CXL_CACHE_E] = OWNED,
    [CXL_CACHE_M] = MODIFIED,
    [CXL_CACHE_EN] = EMPTY,
    [CXL_CACHE_ISD] = SHARED,
    [CXL_CACHE_IED] = OWNED,
    [CXL_CACHE_IMD] = MODIFIED,
    [CXL_CACHE_IMDS] = SHARED,
    [CXL_CACHE_IMDM] = MODIFIED,
    [CXL_CACHE_SEA] = SHARED,
    [CXL_CACHE_MIA] = MODIFIED,
    [CXL_CACHE_EIA] = OWNED,
    [CXL_CACHE_SIA] = SHARED,
    [CXL_CACHE_NIA] = EMPTY,
    [CXL_CACHE_SIB] = SHARED,
};

/* Table 3-26 */
const uint32_t snoop_answers[CXL_CACHE_SNP_CUR + 1][MODIFIED + 1] = {
    [CXL_CACHE_SNP_DATA] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_I),
        [SHARED] = R(S_HIT_SE),
        [OWNED] = R(S_HIT_SE),
        [MODIFIED] = R(S_FWD_M) | R(I_FWD_M),
    },
    [CXL_CACHE_SNP_INV] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_SE),
        [SHARED] = R(I_HIT_SE),
        [OWNED] = R(I_HIT_SE),
        [MODIFIED] = R(I_FWD_M),
    },
    [CXL_CACHE_SNP_CUR] = {
        [NOTHING] = R(I_HIT_I),
        [EMPTY] = R(I_HIT_I),
        [SHARED] = R(V_HIT_V) | R(S_HIT_SE),
        [OWNED] = R(V_HIT_V) | R(V_FWD_V) | R(S_HIT_SE),
        [MODIFIED] = R(V_FWD_V) | R(S_FWD_M) | R(I_FWD_M),
    },
};

/*
 * An evict that is pending holds nothing: the device may no longer use the
 * line, though it must answer for it.
 */
const uint8_t line_holds[CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_S] = HOLD_SHARED,
    [CXL_CACHE_E] = HOLD_EXCL,
    [CXL_CACHE_M] = HOLD_EXCL,
    [CXL_CACHE_EN] = HOLD_EXCL,
    [CXL_CACHE_ISD] = HOLD_SHARED,
    [CXL_CACHE_IED] = HOLD_EXCL,
    [CXL_CACHE_IMD] = HOLD_EXCL,
    [CXL_CACHE_IMDS] = HOLD_SHARED,
    [CXL_CACHE_IMDM] = HOLD_EXCL,
    [CXL_CACHE_SEA] = HOLD_SHARED,
};


const char *op_name(unsigned op)
{
    return cxl_cache_opcode_name(CXL_CACHE_D2H_REQ, op);
}
