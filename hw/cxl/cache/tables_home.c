/*
 * CXL.cache: the host's tables, as data
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transaction asks the devices that may hold the line (SNOOP), then does what
 * was asked for with memory and the snoop filter (its row's "settle"), then
 * answers (ANSWER) and, for a write, waits for the data (PULL, "pulled"). So a
 * GO never overtakes a snoop of its line (ordering rule O2), and snoops and
 * pulls of one line exclude each other (O4).
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_home.h"

#define ON(_event, _next, _act) \
    [CXL_CACHE_EV_##_event] = { CXL_CACHE_TX_##_next, CXL_CACHE_TX_##_act }

const CXLCacheHomeRule
cxl_cache_home_rules[CXL_CACHE_NUM_TX_PHASES][CXL_CACHE_NUM_TX_EVENTS] = {
    [CXL_CACHE_TX_FREE] = {
        ON(START,    SNOOP,  ASK),
        ON(FULL,     WAIT,   EVICT),
    },
    [CXL_CACHE_TX_WAIT] = {
        ON(ROOM,     ANSWER, SETTLE),
        ON(ISOLATED, WAIT,   ORPHAN),
    },
    [CXL_CACHE_TX_SNOOP] = {
        ON(SNOOPED,  ANSWER, SETTLE),
        ON(ISOLATED, SNOOP,  ORPHAN),
    },
    [CXL_CACHE_TX_ANSWER] = {
        ON(PULLING,  PULL,   AWAIT),
        ON(SENT,     FREE,   CLOSE),
        ON(ISOLATED, FREE,   DROP),
    },
    [CXL_CACHE_TX_PULL] = {
        ON(DATA,     FINISH, TAKE),
        ON(ISOLATED, FREE,   POISON),
    },
    [CXL_CACHE_TX_FINISH] = {
        ON(SENT,     FREE,   CLOSE),
        ON(ISOLATED, FREE,   DROP),
    },
};

#define DO(a) CXL_CACHE_DO_##a

/* The grants: what a device gets, and what makes it true */
#define SHARER  (DO(WRITE_BACK) | DO(SHARER))
#define OWNER   (DO(WRITE_BACK) | DO(OWNER))
/* As its owner had it: memory stays old. */
#define HEIR    DO(OWNER)
/* The device has no line, and the host may do more than before, perhaps. */
#define NONE    (DO(WRITE_BACK) | DO(REMOVE) | DO(ACCESS))
#define DATA    (DO(READ) | DO(SEND))
#define FAIL    (NONE | DO(FAIL))

#define CELL(_kind, _case, _act, _rsp, _go, ...) \
    [CXL_CACHE_##_kind##_##_case] = { \
        .used = true, .act = (_act), .rsp = CXL_CACHE_##_rsp, \
        .go = CXL_CACHE_GO_##_go, __VA_ARGS__ }
#define IF(_case, _act, _rsp, _go, ...) \
    CELL(CASE, _case, _act, _rsp, _go, __VA_ARGS__)
#define GOT(_case, _act, _rsp, _go, ...) \
    CELL(PULL, _case, _act, _rsp, _go, __VA_ARGS__)
/* Aliases, so that cells can name "no response" and "no state" */
#define CXL_CACHE_NO_RSP    0
#define CXL_CACHE_GO_NO     0

#define DECODE  .error = CXL_CACHE_ERR_DECODE
#define NEVER   .unreachable = true
/* Unreachable, and reported of the device */
#define BAD(_error) .error = CXL_CACHE_ERR_##_error, .unreachable = true

#define ROW(_row, _name, _needs, _ask) \
    [CXL_CACHE_##_row] = { \
        .name = _name, .needs = CXL_CACHE_MEM_##_needs, \
        .ask = CXL_CACHE_ASK_##_ask,
#define SETTLE(...) .settle = { __VA_ARGS__ },
#define PULLED(...) .pulled = { __VA_ARGS__ },
#define END }
#define CXL_CACHE_MEM_ANY 0

const CXLCacheHomeReq cxl_cache_home_reqs[CXL_CACHE_NUM_ROWS] = {
    ROW(RD_CURR, "RdCurr", READ, CUR)
        SETTLE(IF(NOT_KEPT, NONE | DATA,             NO_RSP, I),
               IF(ERROR,    FAIL | DO(SEND),         NO_RSP, ERR, DECODE))
    END,
    ROW(RD_OWN, "RdOwn", READ, INV)
        SETTLE(IF(ALONE,    OWNER | DATA,            GO, E),
               IF(FORWARD,  HEIR | DATA,             GO, M),
               IF(NOT_KEPT, NONE | DO(COUNT) | DATA, GO, I),
               IF(ERROR,    FAIL | DO(SEND),         GO, ERR, DECODE))
    END,
    ROW(RD_SHARED, "RdShared", READ, DATA)
        SETTLE(IF(ALONE,    SHARER | DATA,           GO, S),
               IF(FORWARD,  SHARER | DATA,           GO, S),
               IF(SHARED,   SHARER | DATA,           GO, S),
               IF(NOT_KEPT, NONE | DO(COUNT) | DATA, GO, I),
               IF(ERROR,    FAIL | DO(SEND),         GO, ERR, DECODE))
    END,
    ROW(RD_ANY, "RdAny", READ, DATA)
        SETTLE(IF(ALONE,    OWNER | DATA,            GO, E),
               IF(FORWARD,  HEIR | DATA,             GO, M),
               IF(SHARED,   SHARER | DATA,           GO, S),
               IF(NOT_KEPT, NONE | DO(COUNT) | DATA, GO, I),
               IF(ERROR,    FAIL | DO(SEND),         GO, ERR, DECODE))
    END,
    /* Ownership is for writing; GO-Err is all that says no, and no blame. */
    ROW(RD_OWN_NO_DATA, "RdOwnNoData", WRITE, INV)
        SETTLE(IF(ALONE,    OWNER,                   GO, E),
               IF(FORWARD,  OWNER,                   GO, E),
               IF(NOT_KEPT, FAIL,                    GO, ERR),
               IF(ERROR,    FAIL,                    GO, ERR, DECODE))
    END,
    ROW(I_TO_M_WR, "ItoMWr", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_ERR_WRITE_PULL, NO,
                  DECODE))
        PULLED(GOT(NEW,     DO(WRITE),               NO_RSP, NO),
               GOT(BAD,     DO(FAIL),                NO_RSP, NO,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, DO(FAIL),                NO_RSP, NO),
               GOT(REFUSED, DO(POISON),             NO_RSP, NO,
                   BAD(MEMORY)))
    END,
    ROW(WR_CUR, "WrCur", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_ERR_WRITE_PULL, NO,
                  DECODE))
        PULLED(GOT(NEW,     DO(WRITE),               NO_RSP, NO),
               GOT(BAD,     DO(FAIL),                NO_RSP, NO,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, DO(FAIL),                NO_RSP, NO),
               GOT(REFUSED, DO(POISON),             NO_RSP, NO,
                   BAD(MEMORY)))
    END,
    ROW(CL_FLUSH, "CLFlush", READ, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    GO, I),
               IF(ERROR,    FAIL,                    GO, ERR, DECODE))
    END,
    ROW(CLEAN_EVICT, "CleanEvict", ANY, NONE)
        SETTLE(IF(NOT_KEPT, NONE,                    GO_WRITE_PULL_DROP, NO),
               IF(PULL_CLEAN, NONE,                  GO_WRITE_PULL, NO))
        /* Memory has them. */
        PULLED(GOT(GONE,    0,                       NO_RSP, NO),
               GOT(GONE_BOGUS, 0,                    NO_RSP, NO),
               GOT(BAD,     0,                       NO_RSP, NO,
                   BAD(UNEXPECTED)))
    END,
    ROW(DIRTY_EVICT, "DirtyEvict", WRITE, NONE)
        SETTLE(IF(NOT_KEPT, 0,                       GO_WRITE_PULL, NO),
               IF(ERROR,    DO(FAIL),                GO_ERR_WRITE_PULL, NO,
                  DECODE, NEVER))
        PULLED(GOT(OWNED,   DO(WRITE) | NONE,        NO_RSP, NO),
               GOT(GONE_BOGUS, NONE,                 NO_RSP, NO),
               GOT(GONE,    NONE,                    NO_RSP, NO,
                   BAD(NOT_OWNER)),
               GOT(OWNED_BAD, DO(POISON) | NONE,     NO_RSP, NO,
                   BAD(DIRTY_LOST)),
               GOT(BAD,     NONE,                    NO_RSP, NO,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, FAIL,                    NO_RSP, NO, NEVER),
               GOT(REFUSED, DO(POISON) | NONE,      NO_RSP, NO,
                   BAD(MEMORY)))
    END,
    ROW(CLEAN_EVICT_NO_DATA, "CleanEvictNoData", ANY, NONE)
        SETTLE(IF(NOT_KEPT, NONE,                    GO, I))
    END,
    ROW(WO_WR_INV, "WOWrInv", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    FAST_GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_ERR_WRITE_PULL, NO,
                  DECODE))
        PULLED(GOT(NEW,     DO(WRITE),               EXT_CMP, NO),
               GOT(BAD,     DO(FAIL),                EXT_CMP, NO,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, DO(FAIL),                EXT_CMP, NO),
               GOT(REFUSED, DO(POISON),             EXT_CMP, NO,
                   BAD(MEMORY)))
    END,
    ROW(WO_WR_INV_F, "WOWrInvF", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    FAST_GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_ERR_WRITE_PULL, NO,
                  DECODE))
        PULLED(GOT(NEW,     DO(WRITE),               EXT_CMP, NO),
               GOT(BAD,     DO(FAIL),                EXT_CMP, NO,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, DO(FAIL),                EXT_CMP, NO),
               GOT(REFUSED, DO(POISON),             EXT_CMP, NO,
                   BAD(MEMORY)))
    END,
    ROW(WR_INV, "WrInv", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    WRITE_PULL, NO, DECODE))
        PULLED(GOT(NEW,     DO(WRITE),               GO, I),
               GOT(BAD,     DO(FAIL),                GO, ERR,
                   BAD(UNEXPECTED)),
               GOT(DROPPED, DO(FAIL),                GO, ERR),
               GOT(REFUSED, DO(FAIL),               GO, ERR,
                   BAD(MEMORY)))
    END,
    /* Not about a line: no transaction, but for its answer. */
    ROW(CACHE_FLUSHED, "CacheFlushed", ANY, NONE)
        SETTLE(IF(NOT_KEPT, DO(FORGET),              GO, I))
    END,

    /* The host's own accesses; their answer is a callback. */
    ROW(ROW_HOST + CXL_CACHE_HOST_READ, "host reads", READ, DATA)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS) | DATA, NO_RSP, NO),
               IF(ERROR,    DO(WRITE_BACK) | DO(ACCESS) | DO(FAIL) | DO(SEND),
                  NO_RSP, NO))
    END,
    ROW(ROW_HOST + CXL_CACHE_HOST_PEEK, "host peeks", READ, CUR)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS) | DATA, NO_RSP, NO),
               IF(ERROR,    DO(WRITE_BACK) | DO(ACCESS) | DO(FAIL) | DO(SEND),
                  NO_RSP, NO))
    END,
    ROW(ROW_HOST + CXL_CACHE_HOST_WRITE, "host writes", WRITE, INV)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(WRITE) | DO(ACCESS),
                  NO_RSP, NO),
               IF(ERROR,    DO(WRITE_BACK) | DO(ACCESS) | DO(FAIL),
                  NO_RSP, NO))
    END,
    ROW(ROW_HOST + CXL_CACHE_HOST_FLUSH, "host flushes", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS), NO_RSP, NO))
    END,

    /* The snoop filter takes a line to make room for another. */
    ROW(ROW_BACK_INVALIDATION, "back-invalidation", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS), NO_RSP, NO))
    END,
    ROW(ROW_ORPHAN, "orphan", ANY, NONE)
        SETTLE(IF(NOT_KEPT, NONE,                    NO_RSP, NO))
    END,
};

/* All that most requests need of a row is in one cache line. */
QEMU_BUILD_BUG_ON(offsetof(CXLCacheHomeReq, pulled) > 64);
QEMU_BUILD_BUG_ON(CXL_CACHE_ROW_HOST + CXL_CACHE_NUM_HOST_OPS !=
                  CXL_CACHE_ROW_BACK_INVALIDATION);
