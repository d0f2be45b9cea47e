/*
 * CXL.cache: the engine's private structures
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For the files of this folder and tests that look inside; nobody else. Device
 * and home are one block of memory each, with pointers to nothing but
 * themselves,
 * their link, callbacks and statistics: copied away and back, in place, a block
 * is in its earlier state again.
 */

#ifndef HW_CXL_CACHE_INTERNAL_H
#define HW_CXL_CACHE_INTERNAL_H

#include "hw/cxl/cxl_cache_dev.h"
#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cxl_cache_time.h"

#define CXL_CACHE_NO_ID 0xffff

/*
 * Which parts of an array are in use: a bit for each span of it, and one for
 * each word of those. A bit is set with the first use; who looks, and finds the
 * span unused again, clears it. So what is to be done for all that is in use
 * takes time by what is, and was since the last look, and not by the size.
 */
#define CXL_CACHE_NO_SPAN SIZE_MAX

typedef struct CXLCacheMarks {
    uint64_t *word;
    uint64_t *any;              /* a bit for each of @word that is not 0 */
    size_t words;
} CXLCacheMarks;

static inline bool cxl_cache_marked(const CXLCacheMarks *m, size_t span)
{
    return m->word[span / 64] & (1ULL << (span % 64));
}

static inline void cxl_cache_mark(const CXLCacheMarks *m, size_t span)
{
    uint64_t *word = &m->word[span / 64], bit = 1ULL << (span % 64);

    if (G_UNLIKELY(!(*word & bit))) {
        *word |= bit;
        m->any[span / 64 / 64] |= 1ULL << (span / 64 % 64);
    }
}

/* block.c */
void cxl_cache_unmark(const CXLCacheMarks *m, size_t span);
/* The first marked span from @span on, or CXL_CACHE_NO_SPAN */
size_t cxl_cache_next_mark(const CXLCacheMarks *m, size_t span);
void cxl_cache_clear_marks(const CXLCacheMarks *m);

/*
 * A way of the device's cache is one word: line address, state, age within its
 * set (0 is the most recent), poison, non-temporal. The ages of a set's ways
 * are all different, once it is in use: until then they are all zero.
 */
#define CXL_CACHE_SET_SPAN          32

#define CXL_CACHE_TAG_STATE_BITS    5
#define CXL_CACHE_TAG_AGE_SHIFT     5
#define CXL_CACHE_TAG_AGE_MASK      (0xfULL << CXL_CACHE_TAG_AGE_SHIFT)
#define CXL_CACHE_TAG_POISON        (1ULL << 9)
#define CXL_CACHE_TAG_NT            (1ULL << 10)
#define CXL_CACHE_TAG_STAGED        (1ULL << 11)
#define CXL_CACHE_TAG_LINE_SHIFT    18

QEMU_BUILD_BUG_ON(CXL_CACHE_NUM_STATES > (1 << CXL_CACHE_TAG_STATE_BITS));

static inline CXLCacheState cxl_cache_tag_state(uint64_t tag)
{
    return tag & ((1 << CXL_CACHE_TAG_STATE_BITS) - 1);
}

static inline uint64_t cxl_cache_tag_line(uint64_t tag)
{
    return tag >> CXL_CACHE_TAG_LINE_SHIFT;
}

static inline unsigned cxl_cache_tag_age(uint64_t tag)
{
    return (tag & CXL_CACHE_TAG_AGE_MASK) >> CXL_CACHE_TAG_AGE_SHIFT;
}

/**
 * CXLCacheDevReq: an outstanding request; its index is the CQID
 * @way: index of the line's way, -1 for requests that leave the cache alone
 * @next: next request in the chain of @line, for those
 * @uqid: host's buffer that a late forward goes to, or a pull's data
 * @since: when it was sent, by the home's time; 0 on a link without
 * @opcode: 0 if the entry is free
 * @due: what waits for a credit of D2H Data: the pull's opcode, or DUE_FORWARD,
 *       whose data are in @req_data; 0 for nothing
 */
#define CXL_CACHE_DUE_FORWARD CXL_CACHE_H2D_RSP_CODES

typedef struct CXLCacheDevReq {
    uint64_t line;
    uint64_t be;
    uint64_t tag;
    uint64_t since;
    int32_t way;
    uint16_t next;
    uint16_t uqid;
    uint8_t opcode;
    uint8_t due;
    bool go;            /* GO, or what stands for it, is in */
    bool pulled;        /* the data are sent */
    bool got_data;      /* the data are in */
    bool failed;
    /* Not side by side: read as one after a store of each, they would stall. */
    bool internal;      /* a victim or a flush: nobody is told */
    bool poison;
} CXLCacheDevReq;

#define CXL_CACHE_CHAINS 64

typedef enum CXLCacheFlushPhase {
    CXL_CACHE_FLUSH_IDLE,
    CXL_CACHE_FLUSH_LINES,      /* lines are on their way out */
    CXL_CACHE_FLUSH_TELL,       /* CacheFlushed is sent */
    CXL_CACHE_FLUSH_DONE,
} CXLCacheFlushPhase;

struct CXLCacheDev {
    CXLCacheLink *link;
    const CXLCacheDevOps *ops;
    void *opaque;
    uint64_t *tags;
    CXLCacheLineData *data;
    CXLCacheDevReq *req;
    CXLCacheLineData *req_data;         /* to be sent, by CQID */
    CXLCacheMarks used;                 /* spans of sets that had lines */
    uint64_t *cqid_free;                /* bitmap */
    size_t size;                        /* of this block */
    unsigned ways;
    unsigned sets;
    unsigned set_mask;                  /* 0 if they are no power of two */
    unsigned requests;
    unsigned cqid_hint;                 /* first bitmap word with a free ID */
    unsigned outstanding;
    unsigned cacheable_out;             /* ... of them with a way */
    unsigned due;                       /* ... with data that are due */
    unsigned flush_at;                  /* next way that a flush looks at */
    unsigned flush_cqid;                /* of its CacheFlushed */
    CXLCacheFlushPhase flush;
    CXLCacheCleanEvict clean_evict;
    bool caching;
    bool viral;
    bool snp_data_invalidates;
    bool busy;                          /* taking messages */
    bool strays;                        /* lines that the home has forgotten */
    uint32_t states[CXL_CACHE_NUM_STATES];
    uint16_t chain[CXL_CACHE_CHAINS];   /* requests without a way, by line */
};

/* Nothing on the link, held or not, and nothing that waits for its credits */
static inline bool cxl_cache_link_silent(const CXLCacheLink *link)
{
    for (unsigned i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        if (cxl_cache_link_used(&link->ch[i])) {
            return false;
        }
    }
    return !link->dev || !link->dev->due;
}

/* Who asked: a device by its opcode, the host, or the snoop filter */
typedef enum CXLCacheTxKind {
    CXL_CACHE_TX_DEV,
    CXL_CACHE_TX_HOST,
    CXL_CACHE_TX_BACK_INV,      /* back-invalidation */
    CXL_CACHE_TX_GONE,          /* a device that was isolated meanwhile */
} CXLCacheTxKind;

/**
 * CXLCacheTx: an open transaction; its index is the UQID
 * @e: the line's entry of the snoop filter; see tx_entry()
 * @id: the index
 * @next: next one of the same hash chain
 * @then: the transaction that waits for the entry this one frees
 * @ask: devices still to be snooped
 * @wait: devices whose response is due
 * @fwd: devices whose data are due
 * @early: devices whose data came before their response
 * @access: what the host could do with the line before
 * @context: under which the request is let pass
 * @held: under which devices have the line
 */
typedef struct CXLCacheTx {
    uint64_t line;
    uint64_t *e;
    uint64_t be;
    uint64_t tag;
    uint32_t context;
    uint32_t held;
    uint16_t id;
    uint16_t next;
    uint16_t then;
    uint16_t cqid;
    uint16_t ask;
    uint16_t wait;
    uint16_t fwd;
    uint16_t early;
    uint8_t access;
    uint8_t phase;
    uint8_t kind;
    uint8_t op;
    uint8_t row;                /* of cxl_cache_home_reqs */
    uint8_t dev;
    uint8_t snoop;
    uint8_t rsp;                /* H2D Rsp to send, 0 for none */
    uint8_t from;               /* device that forwarded @data */
    uint8_t stamped;            /* phase that @since is of */
    uint16_t rsp_data;
    bool open;                  /* see cxl_cache_tx_enter() */
    bool stalled;               /* its bit of tx_stalled */
    bool keep;                  /* the device may keep the line */
    bool send_data;
    bool dirty;                 /* @data are newer than memory */
    bool have;                  /* @data are the line's */
    bool poison;
    bool failed;
    bool spoilt;                /* what came early is bad */
    bool snooped;
    bool was_dirty;
    bool host_poison;
    CXLCacheLineData data;
    CXLCacheLineData host_data; /* of a host's write */
    uint64_t since;             /* when it came to this phase: wait.c */
} CXLCacheTx;

/**
 * CXLCacheBucket: of tokens, see rate.c
 * @rate: tokens in a second; 0 for no limit
 * @burst: tokens when it is full
 * @full_ns: when it is full again, and @full_part / @rate ns later
 * @waits: the device's oldest request has come, and there is no token for it
 * @since: since when
 */
typedef struct CXLCacheBucket {
    uint64_t rate;
    uint64_t full_ns;
    uint64_t full_part;
    uint64_t since;
    unsigned burst;
    bool waits;
} CXLCacheBucket;

typedef struct CXLCacheHomeDev {
    CXLCacheLink *link;
    unsigned open;              /* transactions it asked for */
    unsigned snoops;            /* not yet answered, data included */
    unsigned quota;             /* lines, 0 for no limit */
    unsigned group;             /* of the filter, see CXLCacheHome */
    uint16_t room;              /* transaction that makes room, or NO_ID */
    uint64_t room_line;         /* ... by taking this */
    size_t room_at;             /* where the next victim is looked for */
    bool room_waits;            /* its oldest request, for room */
    uint64_t room_since;        /* ... since when */
    CXLCacheBucket bucket;
    uint64_t timeout;           /* ns, 0 for none: wait.c */
    uint64_t told;              /* of waits since before that */
    uint64_t cqid_busy[CXL_CACHE_ID_MAX / 64];
} CXLCacheHomeDev;

/*
 * A snoop filter entry is one word: line address, a recently-used mark, "one of
 * them may own it", the devices that may hold it. Zero is a free entry.
 */
#define CXL_CACHE_SF_DEVS           0xffffULL
#define CXL_CACHE_SF_EXCL           (1ULL << 16)
#define CXL_CACHE_SF_USED           (1ULL << 17)
#define CXL_CACHE_SF_LINE_SHIFT     18

#define CXL_CACHE_SF_SPAN           512

/* Tables of the host, of which a cell is used */
typedef enum CXLCacheHomeTable {
    CXL_CACHE_TABLE_RULES,      /* phase, event */
    CXL_CACHE_TABLE_SETTLE,     /* row, case */
    CXL_CACHE_TABLE_PULLED,     /* row, what the data are */
    CXL_CACHE_NUM_HOME_TABLES
} CXLCacheHomeTable;

typedef void CXLCacheCellSeen(void *opaque, CXLCacheHomeTable table,
                              unsigned row, unsigned cell);

struct CXLCacheHome {
    const CXLCacheHomeOps *ops;
    void *opaque;
    CXLCacheHomeStats *stats;
    uint64_t *sf;
    uint32_t *sf_context;       /* of each entry, or NULL */
    uint64_t *sf_mark;          /* spans with each device, see sf_marks() */
    uint64_t *sf_mark_any;
    size_t sf_mark_words;       /* for each device */
    CXLCacheTx *tx;
    uint16_t *chain;            /* heads of open transactions, by line */
    uint64_t *tx_free;          /* bitmap */
    uint64_t *tx_stalled;       /* bitmap: something to send, no credit */
    size_t size;                /* of this block */
    unsigned sf_sets;
    unsigned sf_ways;
    unsigned sf_used;
    unsigned num_tx;
    unsigned tx_open;
    unsigned tx_hint;
    unsigned n_stalled;
    unsigned chain_mask;
    bool forward_dirty;
    bool pull_clean;
    bool busy;                  /* at work: see home_enter() */
    bool running;               /* ... and @now is the time */
    uint8_t asking;             /* device + 1, see cxl_cache_home_asking() */
    uint32_t context;           /* see cxl_cache_home_context() */
    bool contexts;              /* a line had one other than 0 */
    unsigned num_devs;          /* highest number + 1 */
    unsigned turn;              /* the device whose request is taken first */
    uint32_t queued;            /* bitmap: links that may have messages */
    bool rescuing;              /* see cxl_cache_home_rescue() */
    unsigned timed;             /* devices with time, held or timed out */
    unsigned rated;             /* devices with a rate: there is time as well */
    unsigned hurry;             /* 1 + cxl_cache_home_hurry()'s @who */
    uint64_t now;               /* ... how far theirs has come */
    /*
     * Limits: see limits.c. Lines are counted for a group if it has a capacity:
     * entries with any of its devices.
     */
    bool limits;
    bool made_room;             /* a snoop was sent, and no message taken */
    uint16_t group_devs[CXL_CACHE_DEV_MAX];
    unsigned group_size[CXL_CACHE_DEV_MAX];
    unsigned group_lines[CXL_CACHE_DEV_MAX];
    /* A test is told of each cell that is used; else NULL. */
    CXLCacheCellSeen *seen;
    uint32_t sf_lines[CXL_CACHE_DEV_MAX];       /* entries with each device */
    CXLCacheHomeDev dev[CXL_CACHE_DEV_MAX];
};

static inline bool cxl_cache_has_line(uint64_t word, uint64_t key)
{
    return G_UNLIKELY((word ^ key) < (1 << CXL_CACHE_SF_LINE_SHIFT));
}

/*
 * Index of the first of @n words with @line above bit 18 and one of @used below
 * it, or @n. A free word has no line: @used is what tells it from line 0. Ways
 * are looked through for every message, most of them in vain.
 */
static inline unsigned cxl_cache_find_line(const uint64_t *word, unsigned n,
                                           uint64_t line, uint64_t used)
{
    const uint64_t key = line << CXL_CACHE_SF_LINE_SHIFT;
    const uint64_t *w = word, *end = word + n;

    while (end - w >= 4 &&
           !cxl_cache_has_line(w[0], key) && !cxl_cache_has_line(w[1], key) &&
           !cxl_cache_has_line(w[2], key) && !cxl_cache_has_line(w[3], key)) {
        w += 4;
    }
    while (w < end && !(cxl_cache_has_line(*w, key) && (*w & used))) {
        w++;
    }
    return w - word;
}

QEMU_BUILD_BUG_ON(CXL_CACHE_TAG_LINE_SHIFT != CXL_CACHE_SF_LINE_SHIFT);

/**
 * cxl_cache_home_take, cxl_cache_dev_take: the messages of a channel
 *
 * What cxl_cache_home_rx() and cxl_cache_dev_rx() do, up to @most times.
 *
 * Returns: how many were taken.
 */
unsigned cxl_cache_home_take(CXLCacheHome *home, unsigned dev,
                             CXLCacheChannelId channel, unsigned most);
unsigned cxl_cache_dev_take(CXLCacheDev *dev, CXLCacheChannelId channel,
                            unsigned most);

/* The time of a link: time.c. All of them but the first are of a timed link. */
bool cxl_cache_timing_ok(const CXLCacheTiming *timing);
/* Whether a link can have the wires of @beside */
bool cxl_cache_time_can_share(const CXLCacheTiming *timing, CXLCacheFlit flit,
                              const CXLCacheLink *beside);
CXLCacheTime *cxl_cache_time_new(const CXLCacheLink *link,
                                 const CXLCacheTiming *timing,
                                 const CXLCacheLink *beside);
void cxl_cache_time_free(CXLCacheTime *time);
void cxl_cache_time_reset(CXLCacheLink *link);
/* A message is sent, its fields are filled in. */
void cxl_cache_time_sent(CXLCacheLink *link, CXLCacheChannelId channel,
                         const CXLCacheMsg *msg);
void cxl_cache_time_stalled(CXLCacheLink *link, CXLCacheChannelId channel);
/* Credits that are back by @now; returns how many */
unsigned cxl_cache_time_credits(CXLCacheLink *link, uint64_t now);
/* Whether the oldest message is there by @now */
bool cxl_cache_time_arrived(const CXLCacheLink *link, CXLCacheChannelId channel,
                            uint64_t now);
/* The oldest message was taken: its credit goes back. */
void cxl_cache_time_taken(CXLCacheLink *link, CXLCacheChannelId channel,
                          const CXLCacheMsg *msg, uint64_t now);
/* When the next message or credit arrives, after @now */
uint64_t cxl_cache_time_next(const CXLCacheLink *link, uint64_t now);
/* @n new credits, counted as freed, are on their way to the sender. */
void cxl_cache_time_granted(CXLCacheLink *link, CXLCacheChannelId channel,
                            unsigned n);

/* Devices' rates: rate.c */
void cxl_cache_rate_set(CXLCacheHome *home, unsigned dev, uint64_t rate,
                        unsigned burst);
/* No request waits, and the bucket is full. */
void cxl_cache_rate_reset(CXLCacheBucket *bucket);
/* Whether there is a token for the device's oldest request, @msg */
bool cxl_cache_rate_ready(CXLCacheHome *home, unsigned dev,
                          const CXLCacheMsg *msg);
/* ... it is taken, and the request with it. The device has a rate. */
void cxl_cache_rate_take(CXLCacheHome *home, unsigned dev);
/* When there is a token for a request that waits for one, after now */
uint64_t cxl_cache_rate_next(const CXLCacheHome *home);

/* What is given back, and what says that all is, costs no token. */
static inline bool cxl_cache_rate_counts(unsigned opcode)
{
    return opcode != CXL_CACHE_CACHE_FLUSHED &&
           !cxl_cache_req_rules[opcode].evict;
}

/* Who is waited for: wait.c */

/* Count what @home->timed counts, after a change. */
void cxl_cache_wait_count(CXLCacheHome *home);
/* Transactions have come to their phase: note when, if that is new. */
void cxl_cache_wait_stamp(CXLCacheHome *home, uint64_t now);
/* Tell of time-outs that are over at @now; returns how many */
unsigned cxl_cache_wait_expire(CXLCacheHome *home, uint64_t now);

/**
 * cxl_cache_block_new: zeroes, at the start of a cache line
 *
 * Memory of its own only for what is written: large tables cost what is used.
 *
 * Returns: NULL if there is not so much memory.
 */
void *cxl_cache_block_new(size_t size);
void cxl_cache_block_free(void *block);

/* Hand out a piece of the block, or only count it while @base is NULL. */
static inline void *cxl_cache_carve(void *base, size_t *at, size_t size)
{
    void *p = base ? (char *)base + *at : NULL;

    *at += ROUND_UP(size, CXL_CACHE_LINE_SIZE);
    return p;
}

/* The smallest power of two, from @n on, that is no less than @least */
static inline unsigned cxl_cache_pow2(unsigned n, unsigned least)
{
    while (n < least) {
        n *= 2;
    }
    return n;
}

/* Whether @lines lines make a power of two of sets of @ways each */
static inline bool cxl_cache_sets_ok(uint64_t lines, unsigned ways)
{
    uint64_t sets = lines / ways;

    return lines % ways == 0 && sets && !(sets & (sets - 1));
}

static inline bool cxl_cache_dev_is_empty(const CXLCacheDev *dev)
{
    return dev->states[CXL_CACHE_I] == dev->sets * dev->ways;
}

/* Fibonacci hashing; the low bits alone would put all pages' starts together */
static inline unsigned cxl_cache_hash(uint64_t line)
{
    return (line * 0x9e3779b97f4a7c15ULL) >> 40;
}

#endif /* HW_CXL_CACHE_INTERNAL_H */
