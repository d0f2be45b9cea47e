/*
 * CXL.cache: the device's state tables, as data
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_tables.h"

#define P(p) CXL_CACHE_P_##p
#define ST(s) CXL_CACHE_ST(s)

#define STATE(_s, _mesi, _perm, _text) \
    [CXL_CACHE_##_s] = { #_s, _text, _perm, CXL_CACHE_GO_##_mesi }

const CXLCacheStateInfo cxl_cache_states[CXL_CACHE_NUM_STATES] = {
    STATE(I, I, P(STABLE), "not in the cache"),
    STATE(S, S, P(STABLE) | P(READ) | P(DATA) | P(TRACKED),
          "shared: memory and perhaps others have the same data"),
    STATE(E, E, P(STABLE) | P(READ) | P(WRITE) | P(FILL) | P(DATA) | P(EXCL) |
          P(TRACKED),
          "exclusive: memory has the same data, nobody else a copy"),
    STATE(M, M, P(STABLE) | P(READ) | P(WRITE) | P(FILL) | P(DATA) | P(DIRTY) |
          P(EXCL) | P(TRACKED),
          "modified: the only valid copy"),
    STATE(EN, E, P(STABLE) | P(FILL) | P(EXCL) | P(TRACKED),
          "exclusive by RdOwnNoData, not yet overwritten: no data"),
    STATE(IXAD, I, 0, "cacheable read sent: neither GO nor data yet"),
    STATE(IXA, I, P(DATA), "cacheable read sent: data, no GO yet"),
    STATE(ISD, S, P(TRACKED), "GO-S received, no data yet"),
    STATE(IED, E, P(EXCL) | P(TRACKED), "GO-E received, no data yet"),
    STATE(IMD, M, P(EXCL) | P(TRACKED), "GO-M received, no data yet"),
    STATE(IID, I, 0,
          "GO-I or GO-Err received, or snooped away: data are for one use"),
    STATE(IMDI, I, P(OWES),
          "IMD, then SnpInv: the data are forwarded when they come"),
    STATE(IMDS, S, P(OWES) | P(TRACKED),
          "IMD, then SnpData: the data are forwarded when they come"),
    STATE(IMDM, M, P(OWES) | P(EXCL) | P(TRACKED),
          "IMD, then SnpCur: the data are forwarded when they come"),
    STATE(IEA, I, 0, "RdOwnNoData sent from I, no GO yet"),
    STATE(SEA, S, P(DATA) | P(TRACKED),
          "RdOwnNoData sent from S, no GO yet"),
    STATE(MIA, M, P(DATA) | P(DIRTY) | P(EXCL) | P(TRACKED),
          "DirtyEvict sent, no GO yet"),
    STATE(EIA, E, P(DATA) | P(EXCL) | P(TRACKED),
          "CleanEvict or CleanEvictNoData sent from E, no GO yet"),
    STATE(SIA, S, P(DATA) | P(TRACKED),
          "CleanEvictNoData sent from S, no GO yet"),
    STATE(NIA, E, P(EXCL) | P(TRACKED),
          "CleanEvictNoData sent from EN, no GO yet"),
    STATE(SIB, S, P(DATA) | P(TRACKED) | P(BOGUS),
          "evict sent, then snooped to S: its data are bogus"),
    STATE(IIB, I, P(BOGUS),
          "evict sent, then snooped away: its data are bogus"),
};

#undef STATE

#define PULLS (CXL_CACHE_RSPS(GO_WRITE_PULL) | \
               CXL_CACHE_RSPS(GO_ERR_WRITE_PULL))
#define FAST_PULLS (CXL_CACHE_RSPS(FAST_GO_WRITE_PULL) | \
                    CXL_CACHE_RSPS(GO_ERR_WRITE_PULL) | \
                    CXL_CACHE_RSPS(EXT_CMP))
#define GO(s) CXL_CACHE_GOS(s)

#define REQ(_op, _name, _class, ...) \
    [CXL_CACHE_##_op] = { .name = _name, .class = CXL_CACHE_CLASS_##_class, \
                          __VA_ARGS__ }

const CXLCacheReqRule cxl_cache_req_rules[CXL_CACHE_D2H_REQ_CODES] = {
    REQ(RD_CURR, "RdCurr", READ,
        .legal = ST(I), .h2d_data = true, .overlap = true,
        .use = "read once; nobody's state changes, no GO"),
    REQ(RD_OWN, "RdOwn", READ,
        .legal = ST(I), .pending = { [CXL_CACHE_I] = CXL_CACHE_IXAD },
        .go = GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true,
        .use = "read, to write"),
    REQ(RD_SHARED, "RdShared", READ,
        .legal = ST(I), .pending = { [CXL_CACHE_I] = CXL_CACHE_IXAD },
        .go = GO(S) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true,
        .use = "read, to read again"),
    REQ(RD_ANY, "RdAny", READ,
        .legal = ST(I), .pending = { [CXL_CACHE_I] = CXL_CACHE_IXAD },
        .go = GO(S) | GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true,
        .use = "read, in whatever state the host likes"),
    REQ(RD_OWN_NO_DATA, "RdOwnNoData", READ0,
        .legal = ST(I) | ST(S),
        .pending = { [CXL_CACHE_I] = CXL_CACHE_IEA,
                     [CXL_CACHE_S] = CXL_CACHE_SEA },
        .go = GO(E) | GO(ERR), .cacheable = true,
        .use = "own a line that will be overwritten whole"),
    REQ(I_TO_M_WR, "ItoMWr", READ0_WRITE,
        .legal = ST(I), .rsp = PULLS, .d2h_data = true, .overlap = true,
        .use = "write a whole line, into the host's cache"),
    REQ(WR_CUR, "WrCur", READ0_WRITE,
        .legal = ST(I), .rsp = PULLS, .d2h_data = true, .overlap = true,
        .use = "write a whole line, into the host's cache if it is there"),
    REQ(CL_FLUSH, "CLFlush", READ0,
        .legal = ST(I), .go = GO(I) | GO(ERR), .overlap = true,
        .use = "have the line written back everywhere"),
    REQ(CLEAN_EVICT, "CleanEvict", WRITE,
        .legal = ST(E), .pending = { [CXL_CACHE_E] = CXL_CACHE_EIA },
        .rsp = CXL_CACHE_RSPS(GO_WRITE_PULL) |
               CXL_CACHE_RSPS(GO_WRITE_PULL_DROP),
        .d2h_data = true, .evict = true,
        .use = "give up an unmodified line, data on offer"),
    REQ(DIRTY_EVICT, "DirtyEvict", WRITE,
        .legal = ST(M), .pending = { [CXL_CACHE_M] = CXL_CACHE_MIA },
        .rsp = PULLS, .d2h_data = true, .evict = true,
        .use = "write a modified line back"),
    REQ(CLEAN_EVICT_NO_DATA, "CleanEvictNoData", WRITE,
        .legal = ST(E) | ST(EN) | ST(S),
        .pending = { [CXL_CACHE_E] = CXL_CACHE_EIA,
                     [CXL_CACHE_EN] = CXL_CACHE_NIA,
                     [CXL_CACHE_S] = CXL_CACHE_SIA },
        .go = GO(I), .evict = true,
        .use = "give up a line, for the snoop filter to know"),
    REQ(WO_WR_INV, "WOWrInv", WRITE,
        .legal = ST(I), .rsp = FAST_PULLS, .d2h_data = true, .partial = true,
        .overlap = true,
        .use = "write part of a line, weakly ordered"),
    REQ(WO_WR_INV_F, "WOWrInvF", WRITE,
        .legal = ST(I), .rsp = FAST_PULLS, .d2h_data = true, .overlap = true,
        .use = "write a whole line, weakly ordered"),
    REQ(WR_INV, "WrInv", WRITE,
        .legal = ST(I), .go = GO(I) | GO(ERR),
        .rsp = CXL_CACHE_RSPS(WRITE_PULL), .d2h_data = true, .partial = true,
        .overlap = true,
        .use = "write any bytes of a line, visible at GO"),
    REQ(CACHE_FLUSHED, "CacheFlushed", READ0,
        .legal = ST(I), .go = GO(I),
        .use = "tell the host that the cache is empty"),
};

#undef REQ
#undef GO

#define RSP(r) CXL_CACHE_RSP_##r
#define R(r) (1u << CXL_CACHE_RSP_##r)
/* What a snoop may be answered with at all, by state of an owner or sharer */
#define OK_I    R(I_HIT_I)
#define CELL(_st, _rsp, _next, _allowed, ...) \
    [CXL_CACHE_##_st] = { .rsp = RSP(_rsp), .next = CXL_CACHE_##_next, \
                          .allowed = (_allowed), __VA_ARGS__ }
#define FWD     .fwd = true
#define LATE    .fwd = true, .late = true
#define INF     .inferred = true
#define NEVER   .unreachable = true, .inferred = true

const CXLCacheSnoopRule
cxl_cache_snoop_rules[CXL_CACHE_SNP_CUR + 1][CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_SNP_DATA] = {
        CELL(I,    I_HIT_I,  I,    OK_I),
        CELL(S,    S_HIT_SE, S,    R(S_HIT_SE)),
        CELL(E,    S_HIT_SE, S,    R(S_HIT_SE)),
        CELL(M,    S_FWD_M,  S,    R(S_FWD_M) | R(I_FWD_M), FWD),
        CELL(EN,   I_HIT_I,  I,    OK_I, INF),
        CELL(IXAD, I_HIT_I,  IXAD, OK_I),
        CELL(IXA,  I_HIT_I,  IXA,  OK_I, NEVER),
        CELL(ISD,  S_HIT_SE, ISD,  R(S_HIT_SE)),
        CELL(IED,  S_HIT_SE, ISD,  R(S_HIT_SE)),
        CELL(IMD,  S_FWD_M,  IMDS, R(S_FWD_M) | R(I_FWD_M), LATE),
        CELL(IID,  I_HIT_I,  IID,  OK_I, INF),
        CELL(IMDI, I_HIT_I,  IMDI, OK_I, NEVER),
        CELL(IMDS, S_HIT_SE, IMDS, R(S_HIT_SE), NEVER),
        CELL(IMDM, S_HIT_SE, IMDM, R(S_HIT_SE), NEVER),
        CELL(IEA,  I_HIT_I,  IEA,  OK_I),
        CELL(SEA,  S_HIT_SE, SEA,  R(S_HIT_SE)),
        CELL(MIA,  S_FWD_M,  SIB,  R(S_FWD_M) | R(I_FWD_M), FWD),
        CELL(EIA,  S_HIT_SE, SIB,  R(S_HIT_SE)),
        CELL(SIA,  S_HIT_SE, SIA,  R(S_HIT_SE)),
        CELL(NIA,  I_HIT_I,  IIB,  OK_I, INF),
        CELL(SIB,  S_HIT_SE, SIB,  R(S_HIT_SE)),
        CELL(IIB,  I_HIT_I,  IIB,  OK_I),
    },
    [CXL_CACHE_SNP_INV] = {
        CELL(I,    I_HIT_I,  I,    OK_I),
        CELL(S,    I_HIT_SE, I,    R(I_HIT_SE)),
        CELL(E,    I_HIT_SE, I,    R(I_HIT_SE)),
        CELL(M,    I_FWD_M,  I,    R(I_FWD_M), FWD),
        CELL(EN,   I_HIT_SE, I,    R(I_HIT_SE), INF),
        CELL(IXAD, I_HIT_I,  IXAD, OK_I),
        CELL(IXA,  I_HIT_I,  IXA,  OK_I, NEVER),
        CELL(ISD,  I_HIT_SE, IID,  R(I_HIT_SE)),
        CELL(IED,  I_HIT_SE, IID,  R(I_HIT_SE)),
        CELL(IMD,  I_FWD_M,  IMDI, R(I_FWD_M), LATE, INF),
        CELL(IID,  I_HIT_I,  IID,  OK_I, INF),
        CELL(IMDI, I_HIT_I,  IMDI, OK_I, NEVER),
        CELL(IMDS, I_HIT_SE, IMDI, R(I_HIT_SE), NEVER),
        CELL(IMDM, I_HIT_SE, IMDI, R(I_HIT_SE), NEVER),
        CELL(IEA,  I_HIT_I,  IEA,  OK_I),
        CELL(SEA,  I_HIT_SE, IEA,  R(I_HIT_SE)),
        CELL(MIA,  I_FWD_M,  IIB,  R(I_FWD_M), FWD),
        CELL(EIA,  I_HIT_SE, IIB,  R(I_HIT_SE)),
        CELL(SIA,  I_HIT_SE, IIB,  R(I_HIT_SE)),
        CELL(NIA,  I_HIT_SE, IIB,  R(I_HIT_SE), INF),
        CELL(SIB,  I_HIT_SE, IIB,  R(I_HIT_SE)),
        CELL(IIB,  I_HIT_I,  IIB,  OK_I),
    },
    [CXL_CACHE_SNP_CUR] = {
        CELL(I,    I_HIT_I,  I,    OK_I),
        CELL(S,    V_HIT_V,  S,    R(V_HIT_V) | R(S_HIT_SE)),
        CELL(E,    V_HIT_V,  E,    R(V_HIT_V) | R(V_FWD_V) | R(S_HIT_SE)),
        CELL(M,    V_FWD_V,  M,    R(V_FWD_V) | R(S_FWD_M) | R(I_FWD_M), FWD),
        CELL(EN,   I_HIT_I,  I,    OK_I, INF),
        CELL(IXAD, I_HIT_I,  IXAD, OK_I),
        CELL(IXA,  I_HIT_I,  IXA,  OK_I, NEVER),
        CELL(ISD,  V_HIT_V,  ISD,  R(V_HIT_V)),
        CELL(IED,  V_HIT_V,  IED,  R(V_HIT_V)),
        CELL(IMD,  V_FWD_V,  IMDM, R(V_FWD_V), LATE),
        CELL(IID,  I_HIT_I,  IID,  OK_I, INF),
        CELL(IMDI, I_HIT_I,  IMDI, OK_I, NEVER),
        CELL(IMDS, V_HIT_V,  IMDS, R(V_HIT_V), NEVER),
        CELL(IMDM, V_HIT_V,  IMDM, R(V_HIT_V), NEVER),
        CELL(IEA,  I_HIT_I,  IEA,  OK_I),
        CELL(SEA,  V_HIT_V,  SEA,  R(V_HIT_V)),
        CELL(MIA,  V_FWD_V,  MIA,  R(V_FWD_V), FWD),
        CELL(EIA,  V_HIT_V,  EIA,  R(V_HIT_V)),
        CELL(SIA,  V_HIT_V,  SIA,  R(V_HIT_V)),
        CELL(NIA,  I_HIT_I,  IIB,  OK_I, INF),
        CELL(SIB,  V_HIT_V,  SIB,  R(V_HIT_V)),
        CELL(IIB,  I_HIT_I,  IIB,  OK_I),
    },
};

#define NONE CXL_CACHE_NUM_STATES
#define GRANT(_st, _s, _e, _m, _i, _err) \
    [CXL_CACHE_##_st] = { \
        NONE, CXL_CACHE_##_s, CXL_CACHE_##_e, CXL_CACHE_##_i, \
        CXL_CACHE_##_err, NONE, CXL_CACHE_##_m, NONE }
#define NO_GRANT(_st) \
    [CXL_CACHE_##_st] = { NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE }

/* An alias, so that GRANT() can name "not allowed" like a state */
#define CXL_CACHE_NO NONE

const uint8_t cxl_cache_go_rules[CXL_CACHE_NUM_STATES][CXL_CACHE_GO_CODES] = {
    /*            GO-S  GO-E  GO-M  GO-I  GO-Err */
    NO_GRANT(I), NO_GRANT(S), NO_GRANT(E), NO_GRANT(M), NO_GRANT(EN),
    GRANT(IXAD,   ISD,  IED,  IMD,  IID,  IID),
    GRANT(IXA,    S,    E,    M,    I,    I),
    NO_GRANT(ISD), NO_GRANT(IED), NO_GRANT(IMD), NO_GRANT(IID),
    NO_GRANT(IMDI), NO_GRANT(IMDS), NO_GRANT(IMDM),
    GRANT(IEA,    NO,   EN,   NO,   NO,   I),
    GRANT(SEA,    NO,   EN,   NO,   NO,   I),
    GRANT(MIA,    NO,   NO,   NO,   I,    I),
    GRANT(EIA,    NO,   NO,   NO,   I,    I),
    GRANT(SIA,    NO,   NO,   NO,   I,    I),
    GRANT(NIA,    NO,   NO,   NO,   I,    I),
    GRANT(SIB,    NO,   NO,   NO,   I,    I),
    GRANT(IIB,    NO,   NO,   NO,   I,    I),
};

const uint8_t cxl_cache_data_rules[CXL_CACHE_NUM_STATES] = {
    [CXL_CACHE_I]    = NONE, [CXL_CACHE_S]    = NONE,
    [CXL_CACHE_E]    = NONE, [CXL_CACHE_M]    = NONE,
    [CXL_CACHE_EN]   = NONE,
    [CXL_CACHE_IXAD] = CXL_CACHE_IXA,
    [CXL_CACHE_IXA]  = NONE,
    [CXL_CACHE_ISD]  = CXL_CACHE_S,
    [CXL_CACHE_IED]  = CXL_CACHE_E,
    [CXL_CACHE_IMD]  = CXL_CACHE_M,
    [CXL_CACHE_IID]  = CXL_CACHE_I,
    [CXL_CACHE_IMDI] = CXL_CACHE_I,
    [CXL_CACHE_IMDS] = CXL_CACHE_S,
    [CXL_CACHE_IMDM] = CXL_CACHE_M,
    [CXL_CACHE_IEA]  = NONE, [CXL_CACHE_SEA]  = NONE,
    [CXL_CACHE_MIA]  = NONE, [CXL_CACHE_EIA]  = NONE,
    [CXL_CACHE_SIA]  = NONE, [CXL_CACHE_NIA]  = NONE,
    [CXL_CACHE_SIB]  = NONE, [CXL_CACHE_IIB]  = NONE,
};

#define SNP(s) (1 << CXL_CACHE_SNP_##s)
#define SNP_ALL (SNP(DATA) | SNP(INV) | SNP(CUR))
#define REPLY(_op, _name, _snoops, ...) \
    [CXL_CACHE_RSP_##_op] = { .name = _name, .snoops = (_snoops), __VA_ARGS__ }

const CXLCacheRspRule cxl_cache_rsp_rules[CXL_CACHE_D2H_RSP_CODES] = {
    REPLY(S_HIT_SE, "RspSHitSE", SNP(DATA) | SNP(CUR), .keeps = true),
    REPLY(I_HIT_I,  "RspIHitI",  SNP_ALL),
    REPLY(I_HIT_SE, "RspIHitSE", SNP(INV)),
    REPLY(V_HIT_V,  "RspVHitV",  SNP(CUR), .keeps = true, .excl = true),
    REPLY(S_FWD_M,  "RspSFwdM",  SNP(DATA) | SNP(CUR), .keeps = true,
          .data = true, .dirty = true),
    REPLY(I_FWD_M,  "RspIFwdM",  SNP_ALL, .data = true, .dirty = true),
    REPLY(V_FWD_V,  "RspVFwdV",  SNP(CUR), .keeps = true, .excl = true,
          .data = true),
};
