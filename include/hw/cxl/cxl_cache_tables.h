/*
 * CXL.cache: the protocol's state tables, as data
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the device does (tables_dev.c) and what the host does (tables_home.c).
 * The code only walks them. They stand in the order of CXL r3.1 (section 3.2.4;
 * tables 3-22/3-23/3-28 and 3-26), so that the two can be laid side by side.
 * Tests, the state space search and the documentation read the same tables.
 *
 * A rule that is not in the specification's text but follows from it, or was
 * chosen among what it allows, is marked inferred.
 */

#ifndef HW_CXL_CACHE_TABLES_H
#define HW_CXL_CACHE_TABLES_H

#include "hw/cxl/cxl_cache_msg.h"

/**
 * CXLCacheState: state of a line in the device's cache
 *
 * Transient states are named by where they come from, where they go and what
 * is missing: A the GO, D the data. "X" is "whatever the host grants".
 */
typedef enum CXLCacheState {
    CXL_CACHE_I,
    CXL_CACHE_S,
    CXL_CACHE_E,
    CXL_CACHE_M,
    CXL_CACHE_EN,       /* E by RdOwnNoData, not yet overwritten: no data */
    CXL_CACHE_IXAD,     /* cacheable read: no GO, no data yet */
    CXL_CACHE_IXA,      /* ... data are in, no GO yet */
    CXL_CACHE_ISD,      /* ... GO-S is in, no data yet */
    CXL_CACHE_IED,      /* ... GO-E is in, no data yet */
    CXL_CACHE_IMD,      /* ... GO-M is in, no data yet */
    CXL_CACHE_IID,      /* ... GO-I, GO-Err or snooped away: use data once */
    CXL_CACHE_IMDI,     /* IMD, SnpInv answered: forward the data, then I */
    CXL_CACHE_IMDS,     /* IMD, SnpData answered: forward the data, then S */
    CXL_CACHE_IMDM,     /* IMD, SnpCur answered: forward the data, then M */
    CXL_CACHE_IEA,      /* RdOwnNoData from I: no GO yet */
    CXL_CACHE_SEA,      /* RdOwnNoData from S: no GO yet */
    CXL_CACHE_MIA,      /* DirtyEvict: no GO yet */
    CXL_CACHE_EIA,      /* CleanEvict or CleanEvictNoData from E */
    CXL_CACHE_SIA,      /* CleanEvictNoData from S */
    CXL_CACHE_NIA,      /* CleanEvictNoData from EN */
    CXL_CACHE_SIB,      /* an evict, snooped down to S: its data are bogus */
    CXL_CACHE_IIB,      /* an evict, snooped away: its data are bogus */
    CXL_CACHE_NUM_STATES
} CXLCacheState;

#define CXL_CACHE_ST(s) (1u << CXL_CACHE_##s)

/* What a state lets its holder do, and what it holds. */
enum {
    CXL_CACHE_P_STABLE  = 1 << 0,   /* no transaction is open */
    CXL_CACHE_P_READ    = 1 << 1,   /* the device may read the line */
    CXL_CACHE_P_WRITE   = 1 << 2,   /* ... write parts of it */
    CXL_CACHE_P_FILL    = 1 << 3,   /* ... overwrite the whole line */
    CXL_CACHE_P_DATA    = 1 << 4,   /* 64 bytes are held */
    CXL_CACHE_P_DIRTY   = 1 << 5,   /* and memory may be older */
    CXL_CACHE_P_EXCL    = 1 << 6,   /* nobody else has a copy */
    CXL_CACHE_P_TRACKED = 1 << 7,   /* the snoop filter knows the device */
    CXL_CACHE_P_BOGUS   = 1 << 8,   /* an evict's data would be bogus */
    CXL_CACHE_P_OWES    = 1 << 9,   /* a FwdM was promised, data to come */
};

typedef struct CXLCacheStateInfo {
    const char *name;
    const char *text;
    unsigned perm;                  /* CXL_CACHE_P_* */
    uint8_t mesi;                   /* as a CXLCacheGOState, for registers */
} CXLCacheStateInfo;

extern const CXLCacheStateInfo cxl_cache_states[CXL_CACHE_NUM_STATES];

static inline bool cxl_cache_may(CXLCacheState state, unsigned perm)
{
    return cxl_cache_states[state].perm & perm;
}

/* Class of a D2H request (table 3-22): what crosses the link for it */
typedef enum CXLCacheClass {
    CXL_CACHE_CLASS_RESERVED,
    CXL_CACHE_CLASS_READ,           /* data to the device */
    CXL_CACHE_CLASS_READ0,          /* no data */
    CXL_CACHE_CLASS_READ0_WRITE,    /* GO and pull in one, data to the host */
    CXL_CACHE_CLASS_WRITE,          /* pull, then data to the host */
} CXLCacheClass;

/* Which bits of a response set: an H2D Rsp opcode, or GO with a state */
#define CXL_CACHE_RSPS(op) (1u << CXL_CACHE_##op)
#define CXL_CACHE_GOS(state) (1u << CXL_CACHE_GO_##state)

/**
 * CXLCacheReqRule: one row of tables 3-22, 3-23 and 3-28
 * @legal: states of the line at issue (the buried state rule)
 * @pending: state of the line while it waits, by state at issue; I stays I for
 *           requests that leave the cache alone
 * @go: GO states the host may grant, a set of CXL_CACHE_GOS()
 * @rsp: H2D responses other than a plain GO, a set of CXL_CACHE_RSPS()
 * @h2d_data, @d2h_data: 64 bytes cross the link
 * @partial: byte enables are allowed
 * @cacheable: the device gets a line, the snoop filter an entry
 * @evict: the device gives a line up
 * @overlap: more of these may be outstanding to one line (ordering rule O11)
 * @use: what it is for, a sentence
 */
typedef struct CXLCacheReqRule {
    const char *name;
    CXLCacheClass class;
    uint32_t legal;
    uint8_t pending[CXL_CACHE_EN + 1];
    uint8_t go;
    uint16_t rsp;
    bool h2d_data;
    bool d2h_data;
    bool partial;
    bool cacheable;
    bool evict;
    bool overlap;
    const char *use;
} CXLCacheReqRule;

extern const CXLCacheReqRule cxl_cache_req_rules[CXL_CACHE_D2H_REQ_CODES];

/**
 * CXLCacheSnoopRule: a snoop meets a line (table 3-26)
 * @rsp: D2H response; 0 where a correct host never sends this snoop and the
 *       line stays as it is: those cells say what is answered all the same
 * @next: state afterwards
 * @allowed: every response the specification lists here, as 1 << rsp
 * @fwd: 64 bytes follow the response
 * @late: ... once the device has them itself
 * @unreachable: a correct host never does this
 * @inferred: not in the specification's table
 */
typedef struct CXLCacheSnoopRule {
    uint8_t rsp;
    uint8_t next;
    uint32_t allowed;
    bool fwd;
    bool late;
    bool unreachable;
    bool inferred;
} CXLCacheSnoopRule;

extern const CXLCacheSnoopRule
    cxl_cache_snoop_rules[CXL_CACHE_SNP_CUR + 1][CXL_CACHE_NUM_STATES];

/**
 * cxl_cache_go_rules: a GO with a state meets a line that waits for it
 *
 * The next state; CXL_CACHE_NUM_STATES where the grant is not in the request's
 * response set, which is a protocol error.
 */
extern const uint8_t
    cxl_cache_go_rules[CXL_CACHE_NUM_STATES][CXL_CACHE_GO_CODES];

/**
 * cxl_cache_data_rules: read data meet a line that waits for them
 *
 * The next state, CXL_CACHE_NUM_STATES where none are expected.
 */
extern const uint8_t cxl_cache_data_rules[CXL_CACHE_NUM_STATES];

/* What the host may still do with a line, by what a device holds. */
typedef enum CXLCacheHostAccess {
    CXL_CACHE_HOST_NONE,        /* a device has it E or M */
    CXL_CACHE_HOST_RO,          /* devices have it S */
    CXL_CACHE_HOST_RW,          /* no device has it */
} CXLCacheHostAccess;

/**
 * CXLCacheRspRule: what a snoop response tells the host
 * @snoops: the snoops it may answer, as 1 << CXL_CACHE_SNP_*
 * @keeps: the device still has the line
 * @excl: ... and may be its owner still
 * @data: 64 bytes follow
 * @dirty: ... which memory does not have
 */
typedef struct CXLCacheRspRule {
    const char *name;
    uint8_t snoops;
    bool keeps;
    bool excl;
    bool data;
    bool dirty;
} CXLCacheRspRule;

extern const CXLCacheRspRule cxl_cache_rsp_rules[CXL_CACHE_D2H_RSP_CODES];

/* The host's side: transactions */

/* What decode() may say of a line */
enum {
    CXL_CACHE_MEM_READ      = 1 << 0,
    CXL_CACHE_MEM_WRITE     = 1 << 1,
    CXL_CACHE_MEM_CACHEABLE = 1 << 2,   /* a device may keep it */
};

/**
 * CXLCacheTxPhase: where a transaction is
 */
typedef enum CXLCacheTxPhase {
    CXL_CACHE_TX_FREE,
    CXL_CACHE_TX_WAIT,          /* for room in the snoop filter */
    CXL_CACHE_TX_SNOOP,         /* snoops to send, responses to come */
    CXL_CACHE_TX_ANSWER,        /* GO, data or a pull to send */
    CXL_CACHE_TX_PULL,          /* data of a write to come */
    CXL_CACHE_TX_FINISH,        /* last response of a write to send */
    CXL_CACHE_NUM_TX_PHASES
} CXLCacheTxPhase;

/**
 * CXLCacheTxEvent: what moves a transaction on
 */
typedef enum CXLCacheTxEvent {
    CXL_CACHE_EV_START,         /* it has room in the filter, or needs none */
    CXL_CACHE_EV_FULL,          /* another line is where its entry could be */
    CXL_CACHE_EV_ROOM,          /* that line has left */
    CXL_CACHE_EV_SNOOPED,       /* no snoop, no forwarded data is due */
    CXL_CACHE_EV_PULLING,       /* the answer is sent, it asks for data */
    CXL_CACHE_EV_DATA,          /* those data have come */
    CXL_CACHE_EV_SENT,          /* all is sent */
    CXL_CACHE_EV_ISOLATED,      /* its device answers no more */
    CXL_CACHE_NUM_TX_EVENTS
} CXLCacheTxEvent;

typedef enum CXLCacheTxAct {
    CXL_CACHE_TX_NEVER,         /* such an event there is not */
    CXL_CACHE_TX_ASK,           /* snoop whom the request's row says */
    CXL_CACHE_TX_EVICT,         /* snoop that other line away */
    CXL_CACHE_TX_SETTLE,        /* the request's cell of "settle", answer */
    CXL_CACHE_TX_AWAIT,         /* nothing but the new phase */
    CXL_CACHE_TX_TAKE,          /* the request's cell of "pulled", answer */
    CXL_CACHE_TX_CLOSE,         /* its end; whoever waits is told */
    CXL_CACHE_TX_ORPHAN,        /* go on, with nobody to be answered */
    CXL_CACHE_TX_DROP,          /* its end; nobody is told */
    CXL_CACHE_TX_POISON,        /* likewise; data that were due are lost */
    CXL_CACHE_NUM_TX_ACTS
} CXLCacheTxAct;

/**
 * CXLCacheHomeRule: an event meets a transaction
 */
typedef struct CXLCacheHomeRule {
    uint8_t next;               /* CXLCacheTxPhase */
    uint8_t act;                /* CXLCacheTxAct */
} CXLCacheHomeRule;

extern const CXLCacheHomeRule
    cxl_cache_home_rules[CXL_CACHE_NUM_TX_PHASES][CXL_CACHE_NUM_TX_EVENTS];

/**
 * CXLCacheHomeCase: how a request finds its line when all snoops are answered
 */
typedef enum CXLCacheHomeCase {
    CXL_CACHE_CASE_ALONE,       /* no other device has it any more */
    CXL_CACHE_CASE_FORWARD,     /* likewise, and its owner's data are at hand */
    CXL_CACHE_CASE_SHARED,      /* others have it, shared */
    CXL_CACHE_CASE_NOT_KEPT,    /* the device has no line in the end */
    CXL_CACHE_CASE_PULL_CLEAN,  /* likewise, but its clean data are wanted */
    CXL_CACHE_CASE_ERROR,       /* memory takes no such request */
    CXL_CACHE_NUM_CASES
} CXLCacheHomeCase;

/**
 * CXLCachePullCase: what the data of a pull are
 */
typedef enum CXLCachePullCase {
    CXL_CACHE_PULL_NEW,         /* of a write, as its request said */
    CXL_CACHE_PULL_OWNED,       /* an evict's, of the line's owner */
    CXL_CACHE_PULL_GONE_BOGUS,  /* bogus; a snoop took the line before */
    CXL_CACHE_PULL_GONE,        /* not bogus, but the device is no owner */
    CXL_CACHE_PULL_OWNED_BAD,   /* ... bogus, but nobody took it, or torn */
    CXL_CACHE_PULL_BAD,         /* bogus or not whole, and not an owner's */
    CXL_CACHE_PULL_DROPPED,     /* of what has failed before */
    CXL_CACHE_PULL_REFUSED,     /* good, but memory does not take them */
    CXL_CACHE_NUM_PULLS
} CXLCachePullCase;

/*
 * What a cell does, in this order. An action that fails goes on with another
 * cell of the row: the host refuses to let go of the line, NOT_KEPT; memory
 * refuses, ERROR (or REFUSED).
 */
enum {
    CXL_CACHE_DO_WRITE_BACK = 1 << 0,   /* what snoops found, to memory */
    CXL_CACHE_DO_WRITE      = 1 << 1,   /* what the request brings, likewise */
    CXL_CACHE_DO_SHARER     = 1 << 2,   /* enter the device, take the host's */
    CXL_CACHE_DO_OWNER      = 1 << 3,   /* ... access away as far as need be */
    CXL_CACHE_DO_REMOVE     = 1 << 4,   /* the device has not got the line */
    CXL_CACHE_DO_ACCESS     = 1 << 5,   /* tell the host what it may do now */
    CXL_CACHE_DO_FORGET     = 1 << 6,   /* the device has no line at all */
    CXL_CACHE_DO_FAIL       = 1 << 7,   /* the request has failed */
    CXL_CACHE_DO_COUNT      = 1 << 8,   /* count a read that is used once */
    CXL_CACHE_DO_READ       = 1 << 9,   /* have the data, of snoops or memory */
    CXL_CACHE_DO_SEND       = 1 << 10,  /* send them; all ones if failed */
    CXL_CACHE_DO_POISON     = 1 << 11,  /* the data are lost: poison memory */
};

/**
 * CXLCacheHomeCell: what is done, then what is answered
 * @act: CXL_CACHE_DO_*
 * @rsp: H2D response, 0 for none
 * @go: with a GO: CXLCacheGOState
 * @error: what is reported of the device
 * @unreachable: not met while devices keep the rules and memory stays as it is
 */
typedef struct CXLCacheHomeCell {
    uint16_t act;
    uint8_t rsp;
    uint8_t go;
    uint8_t error;
    bool used;
    bool unreachable;
} CXLCacheHomeCell;

/* What the host asks of other devices before it settles a request */
typedef enum CXLCacheAsk {
    CXL_CACHE_ASK_NONE,
    CXL_CACHE_ASK_CUR,      /* SnpCur to the owner */
    CXL_CACHE_ASK_DATA,     /* SnpData to the owner */
    CXL_CACHE_ASK_INV,      /* SnpInv to everybody */
} CXLCacheAsk;

/* Rows of what the host does: D2H requests by opcode, then its own */
enum {
    CXL_CACHE_ROW_HOST = CXL_CACHE_D2H_REQ_CODES,   /* + CXLCacheHostOp */
    CXL_CACHE_ROW_BACK_INVALIDATION = CXL_CACHE_ROW_HOST + 4,
    CXL_CACHE_ROW_ORPHAN,       /* whose device was isolated meanwhile */
    CXL_CACHE_NUM_ROWS
};

/**
 * CXLCacheHomeReq: what the host does for one kind of request
 * @needs: what the line must be: CXL_CACHE_MEM_READ or _WRITE, 0 for anything
 * @ask: what it asks of the other devices first
 * @settle: then, by case
 * @pulled: when the data it has pulled are there, by what they are
 */
typedef struct CXLCacheHomeReq {
    const char *name;
    uint8_t needs;
    uint8_t ask;
    CXLCacheHomeCell settle[CXL_CACHE_NUM_CASES];
    CXLCacheHomeCell pulled[CXL_CACHE_NUM_PULLS];
} QEMU_ALIGNED(64) CXLCacheHomeReq;

extern const CXLCacheHomeReq cxl_cache_home_reqs[CXL_CACHE_NUM_ROWS];

#endif /* HW_CXL_CACHE_TABLES_H */
