/*
 * CXL.cache, the host's side: snoop filter, transactions, memory
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the home agent of several CXL.cache devices. It knows by a
 * snoop filter of limited capacity which device may hold which line, asks them
 * by snoops before anybody else gets the line, and is the only one to touch
 * memory. The host's own reads, writes and flushes are requests like the
 * devices' own (cxl_cache_home_host()).
 *
 * One transaction at a time per line. The specification's prose leaves open
 * what two outstanding snoops of one line to two devices may do; with all
 * transactions of a line in sequence the question does not come up.
 *
 * Memory is behind CXLCacheHomeOps. Of memory that no device has a line of, the
 * home knows nothing: the filter's 8 bytes per tracked line are all there is.
 *
 * Calls are not re-entrant: a callback may not call into the same home, but for
 * what only looks (cxl_cache_home_tracks() and what follows it, without
 * cxl_cache_run()). Who does it all the same is stopped by an assertion: the
 * message that is being taken would be taken again.
 */

#ifndef HW_CXL_CACHE_HOME_H
#define HW_CXL_CACHE_HOME_H

#include "hw/cxl/cxl_cache_link.h"
#include "hw/cxl/cxl_cache_tables.h"

/* Why a line is written */
typedef enum CXLCacheWriteWhy {
    CXL_CACHE_WRITE_BACK,       /* a modified line comes home */
    CXL_CACHE_WRITE_NEW,        /* what a device's write brings */
    CXL_CACHE_WRITE_HOST,       /* cxl_cache_home_host() */
    CXL_CACHE_WRITE_POISON,     /* the line was lost with its device */
} CXLCacheWriteWhy;

/**
 * CXLCacheHostReq: an access by the host itself
 * @data: for a write: copied at once
 * @be: for a write: byte enables; 0 just takes the line from all devices
 * @tag: the caller's
 */
typedef enum CXLCacheHostOp {
    CXL_CACHE_HOST_READ,        /* SnpData: owners keep the line shared */
    CXL_CACHE_HOST_PEEK,        /* SnpCur: nobody's state changes */
    CXL_CACHE_HOST_WRITE,       /* SnpInv: all devices lose the line */
    CXL_CACHE_HOST_FLUSH,       /* SnpInv: likewise, memory is current */
    CXL_CACHE_NUM_HOST_OPS
} CXLCacheHostOp;

typedef struct CXLCacheHostReq {
    uint64_t line;
    uint64_t be;
    const CXLCacheLineData *data;
    uint64_t tag;
    CXLCacheHostOp op;
    bool poison;
} CXLCacheHostReq;

/**
 * CXLCacheHostDone: outcome of a host access
 * @data: the line, for READ and PEEK; valid during the callback
 * @snooped: devices were asked
 * @dirty: a device had newer data than memory
 * @failed: memory refused the access
 */
typedef struct CXLCacheHostDone {
    uint64_t line;
    uint64_t tag;
    const CXLCacheLineData *data;
    CXLCacheHostOp op;
    bool snooped;
    bool dirty;
    bool poison;
    bool failed;
} CXLCacheHostDone;

/**
 * CXLCachePage: memory of some lines in a row, for hw/cxl/cxl_cache_gear.h
 * @line: the first of CXL_CACHE_PAGE_LINES, a multiple of that
 * @mem: their bytes
 * @flags: CXL_CACHE_MEM_* of every one of them
 * @held: those that the host may do less with than CXL_CACHE_HOST_RW, by its
 *        host_access(): devices may hold them, and no others. Bit i is line i.
 */
#define CXL_CACHE_PAGE_LINES 64

typedef struct CXLCachePage {
    uint64_t line;
    void *mem;
    unsigned flags;
    uint64_t held;
} CXLCachePage;

/*
 * A context: what an access has beside its address, where memory is encrypted
 * for several, and who may access it differs. No message has it: it comes from
 * where the host has checked the request, and stays in the entry of the line
 * for as long as devices have it. The space is a part of the address: lines of
 * two spaces are two lines, of which devices can have one at a time here. All
 * is 0 where there is nothing of the kind.
 */
#define CXL_CACHE_MEM_CONTEXT_SHIFT     8
#define CXL_CACHE_CONTEXT(space, key)   ((uint32_t)(space) << 16 | (key))
#define CXL_CACHE_CONTEXT_SPACE(c)      ((c) >> 16)
#define CXL_CACHE_CONTEXT_KEY(c)        ((uint16_t)(c))

/**
 * CXLCacheHomeOps: memory, and who is told
 * @decode: CXL_CACHE_MEM_* of a line; 0 where nothing is. From
 *          CXL_CACHE_MEM_CONTEXT_SHIFT on: the context under which the request
 *          that cxl_cache_home_asking() tells of is let pass
 * @read_line: read memory; sets @poison; false on an error
 * @write_line: write the bytes of @be; @poison marks the line, a full write
 *              without it clears the mark; false on an error. Where decode()
 *              said that it may be written this comes too late for most
 *              devices to be told: the line is poisoned then
 * @host_access: from now on the host may do no more than @access to the line
 *               by itself. Called before a device gets it and, to allow more
 *               again, after the device's data are in memory. A restriction
 *               may be refused (false): then no device gets to keep the line.
 * @left: devices may do less with a line than before, which they had under
 *        @context; @devs are those of them that gave it up or were snooped, bit
 *        n for device n. Called after the host may do more; not at reset, and
 *        not for what is done in the fast gear. May be NULL
 * @complete: a cxl_cache_home_host() is done
 * @error: device @dev broke a rule, by @msg of @channel (@msg may be NULL);
 *         with CXL_CACHE_ERR_MEMORY it did not, but its data, or a read of its,
 *         were lost by memory
 *
 * The next three are for links with time (cxl_cache_time.h), for time-outs and
 * for devices that do not answer, and may be NULL:
 * @now: what time it is, in nanoseconds; never less than before
 * @defer: a device's request for @line, one that may keep it, is to stay in its
 *         queue: the host itself is about to access it
 * @timeout: device @dev has not answered for as long as
 *           cxl_cache_home_set_timeout() says; called for each such time once,
 *           at that time. It may call cxl_cache_home_isolate() and _rescue().
 *
 * The next three may be NULL, all of them. Bit i of @lines is line i of a page:
 * @page: fill in @page, of which @line is set; false where its lines are not
 *        alike, have poison, or cannot be read and written at @mem
 * @page_access: as @host_access, for some lines. A restriction is of all of
 *               them, or refused.
 * @page_written: some lines were written, without poison; @why is WRITE_BACK or
 *                WRITE_NEW
 */
typedef struct CXLCacheHomeOps {
    unsigned (*decode)(void *opaque, uint64_t line);
    bool (*read_line)(void *opaque, uint64_t line, CXLCacheLineData *data,
                      bool *poison);
    bool (*write_line)(void *opaque, uint64_t line,
                       const CXLCacheLineData *data, uint64_t be, bool poison,
                       CXLCacheWriteWhy why);
    bool (*host_access)(void *opaque, uint64_t line,
                        CXLCacheHostAccess access);
    void (*left)(void *opaque, uint64_t line, uint32_t context, uint16_t devs);
    void (*complete)(void *opaque, const CXLCacheHostDone *done);
    void (*error)(void *opaque, unsigned dev, CXLCacheError err,
                  CXLCacheChannelId channel, const CXLCacheMsg *msg);
    uint64_t (*now)(void *opaque);
    bool (*defer)(void *opaque, uint64_t line);
    void (*timeout)(void *opaque, unsigned dev);
    bool (*page)(void *opaque, CXLCachePage *page);
    bool (*page_access)(void *opaque, const CXLCachePage *page, uint64_t lines,
                        CXLCacheHostAccess access);
    void (*page_written)(void *opaque, const CXLCachePage *page,
                         uint64_t lines, CXLCacheWriteWhy why);
} CXLCacheHomeOps;

/**
 * CXLCacheHomeConfig:
 * @sf_lines: capacity of the snoop filter, a multiple of @sf_ways, sets a
 *            power of two
 * @sf_ways: 1 to 64
 * @transactions: open at most, 2 to 4096; their UQIDs are 0 to this - 1
 * @forward_dirty: a RdOwn or RdAny that finds the line modified elsewhere gets
 *                 GO-M with the data and memory stays old; else memory is
 *                 written and the grant is GO-E
 * @pull_clean: a CleanEvict is answered with GO_WritePull, not with
 *              GO_WritePull_Drop
 * @contexts: decode() may say a context other than 0; takes 4 bytes more for
 *            each line of @sf_lines
 */
typedef struct CXLCacheHomeConfig {
    unsigned sf_lines;
    unsigned sf_ways;
    unsigned transactions;
    bool forward_dirty;
    bool pull_clean;
    bool contexts;
} CXLCacheHomeConfig;

/**
 * CXLCacheLimit: what can keep a device's request in its channel
 * @CXL_CACHE_LIMIT_LINES: a quota, or the capacity of a group
 * @CXL_CACHE_LIMIT_RATE: the rate of its requests
 */
typedef enum CXLCacheLimit {
    CXL_CACHE_LIMIT_LINES,
    CXL_CACHE_LIMIT_RATE,
    CXL_CACHE_NUM_LIMITS
} CXLCacheLimit;

/**
 * CXLCacheWaits: requests that had to wait
 * @requests: how many, each once
 * @ns: how long, of those that are over; 0 where nothing has time
 */
typedef struct CXLCacheWaits {
    uint64_t requests;
    uint64_t ns;
} CXLCacheWaits;

typedef struct CXLCacheHomeStats {
    uint64_t host[CXL_CACHE_NUM_HOST_OPS];      /* accesses */
    uint64_t host_snoops[CXL_CACHE_NUM_HOST_OPS];       /* snoops for them */
    uint64_t host_dirty[CXL_CACHE_NUM_HOST_OPS];        /* found modified */
    uint64_t back_invalidations;                /* the snoop filter was full */
    uint64_t write_backs;                       /* modified lines come home */
    uint64_t use_once;                          /* reads answered GO-I */
    uint64_t sf_walked;                         /* entries, for a device's */
    uint64_t other_space;       /* requests for a line held by another space */
    uint64_t errors[CXL_CACHE_NUM_ERRS];
    /* Lines that had to go because of a limit, by who asked for one more */
    uint64_t limited[CXL_CACHE_DEV_MAX];
    /* Requests that a limit kept waiting, by device; see CXLCacheLimit */
    CXLCacheWaits waits[CXL_CACHE_DEV_MAX][CXL_CACHE_NUM_LIMITS];
    /* Lines that [a] had to lose so that [b] may have one, by limits alone */
    uint64_t lost_to[CXL_CACHE_DEV_MAX][CXL_CACHE_DEV_MAX];
} CXLCacheHomeStats;

/**
 * CXLCacheLimits: what a device may have of the host
 * @quota: lines of this device at most, 0 for as many as there is room for
 * @group: 0 to CXL_CACHE_DEV_MAX - 1: of devices that share a filter
 * @group_size: lines that the group may have, of all its devices together; the
 *              same for all of them; 0 for as many as there is room for
 * @rate: requests in a second, 0 for as many as it makes: a token bucket
 * @burst: tokens that the bucket has, thus requests that may follow each other
 *         at once; at least 1
 */
typedef struct CXLCacheLimits {
    unsigned quota;
    unsigned group;
    unsigned group_size;
    uint64_t rate;
    unsigned burst;
} CXLCacheLimits;

/**
 * cxl_cache_home_new: a home without devices
 *
 * Its memory follows what is tracked, not what @config allows.
 *
 * Returns: NULL if @config is out of range, or if there is no such memory.
 */
CXLCacheHome *cxl_cache_home_new(const CXLCacheHomeConfig *config,
                                 const CXLCacheHomeOps *ops, void *opaque);
/* Attached links must still be there; they can be attached to another home. */
void cxl_cache_home_free(CXLCacheHome *home);

/**
 * cxl_cache_home_attach: take the host's end of @link
 *
 * Returns: the device's number, the lowest that is free, or
 *   -ENOSPC there are CXL_CACHE_DEV_MAX devices
 *   -EBUSY  a home has this link already
 *   -EINVAL @link is NULL
 */
int cxl_cache_home_attach(CXLCacheHome *home, CXLCacheLink *link);
CXLCacheLink *cxl_cache_home_link(const CXLCacheHome *home, unsigned dev);

/**
 * cxl_cache_home_set_limits: limit what a device may have, from now on
 *
 * A request for a line beyond it stays in its channel until another line of the
 * device, or of its group, has been taken (SnpInv): the one that has not been
 * used for longest, nearly. A line that several devices share counts for each.
 * Who has more than a new limit keeps it until the next request.
 *
 * With a rate, a request stays in its channel until there is a token. Requests
 * that give a line up, and CacheFlushed, need none. It counts by the time of
 * CXLCacheHomeOps.now(), whether links have time or not: where none has,
 * messages are there at once, and requests wait all the same. So there is time
 * (cxl_cache_is_timed()) as long as any device has a rate. A new rate begins
 * with a full bucket; call cxl_cache_run() for what waits.
 *
 * All of this is specific to the implementation: CXL.cache has no such thing.
 */
void cxl_cache_home_set_limits(CXLCacheHome *home, unsigned dev,
                               const CXLCacheLimits *limits);

/**
 * cxl_cache_home_hurry: somebody waits for a device, and cannot wait for tokens
 * @who: the device's number: its requests take their tokens before these are
 *       there, and others that come later have to wait for that; or
 *       CXL_CACHE_DEV_MAX: no device's; or -1: it is over
 *
 * Meanwhile nothing goes on for the sake of those who wait for a token: time
 * does not move ahead to that, and cxl_cache_settle() leaves them.
 */
void cxl_cache_home_hurry(CXLCacheHome *home, int who);

/* Highest number of an attached device, plus 1 */
unsigned cxl_cache_home_devices(const CXLCacheHome *home);

/**
 * cxl_cache_home_isolate: the device answers no more
 *
 * What a root port does at link down or time-out (section 12.3): the host
 * answers in the device's place. Lines that it may have owned are poisoned in
 * memory, unless memory says otherwise by refusing; shared ones are not.
 * Pending pulls end with poison, its own requests vanish. The link is reset.
 *
 * Returns: number of lines poisoned.
 */
unsigned cxl_cache_home_isolate(CXLCacheHome *home, unsigned dev);

/**
 * cxl_cache_home_rescue: likewise, where the host has copies of what it lent
 *
 * The device's modified lines, and what of them is on its way, are written to
 * memory. Nothing is poisoned.
 *
 * Returns: number of lines written.
 */
unsigned cxl_cache_home_rescue(CXLCacheHome *home, unsigned dev);

/**
 * CXLCacheAwaited: what the host waits for, of a device
 * @CXL_CACHE_AWAITS_CREDIT: room for a snoop
 * @CXL_CACHE_AWAITS_RSP: the response to a snoop
 * @CXL_CACHE_AWAITS_DATA: the data that such a response has promised
 * @CXL_CACHE_AWAITS_PULL: the data of a write, which it has pulled
 */
typedef enum CXLCacheAwaited {
    CXL_CACHE_AWAITS_CREDIT,
    CXL_CACHE_AWAITS_RSP,
    CXL_CACHE_AWAITS_DATA,
    CXL_CACHE_AWAITS_PULL,
    CXL_CACHE_NUM_AWAITED
} CXLCacheAwaited;

/**
 * CXLCacheWait: a transaction that waits for a device
 * @since: in ns: when its snoops, or its pull, were due to be sent
 * @by: the device that has asked for it, or a negative number: the host itself
 */
typedef struct CXLCacheWait {
    uint64_t line;
    uint64_t since;
    CXLCacheAwaited awaited;
    int by;
} CXLCacheWait;

/**
 * cxl_cache_home_waits: what the host waits for, of a device
 * @waits: filled in with @most of them at most, in the order of their trackers
 *
 * Where no link has time, none is held and there are no time-outs, @since is 0.
 *
 * Returns: how many there are
 */
unsigned cxl_cache_home_waits(const CXLCacheHome *home, unsigned dev,
                              CXLCacheWait *waits, unsigned most);

/**
 * cxl_cache_home_set_timeout: how long the host waits for a device
 * @ns: from CXLCacheWait.since on; 0 for ever, which is what it does at first
 */
void cxl_cache_home_set_timeout(CXLCacheHome *home, unsigned dev, uint64_t ns);

/**
 * cxl_cache_home_detach: forget a device
 *
 * Isolates it first if it holds lines or has transactions open. A number that
 * is no device's is ignored.
 */
void cxl_cache_home_detach(CXLCacheHome *home, unsigned dev);

/**
 * cxl_cache_home_reset: everything at its initial state, as at system reset
 *
 * Nothing is written to memory; the host may access every line. Links are
 * reset, devices stay attached.
 */
void cxl_cache_home_reset(CXLCacheHome *home);

/**
 * cxl_cache_home_host: an access by the host
 *
 * Returns: 0 if it is under way: complete() will be called, or was already;
 *   -EBUSY  a transaction of this line is open: run, then ask again
 *   -EAGAIN too many transactions are open: likewise
 *   -EINVAL the address is out of range
 */
int cxl_cache_home_host(CXLCacheHome *home, const CXLCacheHostReq *req);

/**
 * cxl_cache_home_rx: take the oldest message of a D2H channel
 *
 * Returns: false if there is none, or if it has to wait. Only D2H Req ever
 * waits: for a transaction of the same line, or for a free tracker.
 */
bool cxl_cache_home_rx(CXLCacheHome *home, unsigned dev,
                       CXLCacheChannelId channel);

/**
 * cxl_cache_home_tx: send what transactions could not for lack of credits
 *
 * Returns: whether anything was sent.
 */
bool cxl_cache_home_tx(CXLCacheHome *home);

/**
 * cxl_cache_home_asking: for whose request memory is asked
 *
 * For decode() and read_line(). Only looks.
 *
 * Returns: the device, or -1 if it is for none's: the host's own, or a line
 * that is given up
 */
int cxl_cache_home_asking(const CXLCacheHome *home);

/**
 * cxl_cache_home_context: under which context memory is read or written now
 *
 * For read_line() and write_line(). Only looks. What comes back does so under
 * the context that its line was fetched with.
 */
uint32_t cxl_cache_home_context(const CXLCacheHome *home);

/**
 * cxl_cache_home_held: under which context devices have a line
 *
 * Returns: 0 if none has it, too.
 */
uint32_t cxl_cache_home_held(const CXLCacheHome *home, uint64_t line);

/**
 * cxl_cache_home_tracks: the snoop filter's view of a line
 * @excl: set if a device may own it; may be NULL
 *
 * Returns: set of devices that may hold the line, bit n for device n.
 */
uint16_t cxl_cache_home_tracks(const CXLCacheHome *home, uint64_t line,
                               bool *excl);

/**
 * cxl_cache_home_tx_line: the line that a transaction is about
 *
 * Returns: false if there is no transaction with this UQID, or if it is not
 * about a line.
 */
bool cxl_cache_home_tx_line(const CXLCacheHome *home, unsigned uqid,
                            uint64_t *line);

unsigned cxl_cache_home_tracked(const CXLCacheHome *home);
unsigned cxl_cache_home_open(const CXLCacheHome *home);
const CXLCacheHomeStats *cxl_cache_home_stats(const CXLCacheHome *home);

/**
 * cxl_cache_run: move messages until none can move any more
 *
 * What the host sent is drained first, then responses and data to the host,
 * then one request of each device in turn, in the order they were made.
 *
 * On links with time those that have arrived by now, each as of its own time:
 * what follows from it is sent then, however late this is called.
 *
 * Returns: number of messages taken, and of credits that came back in time.
 */
unsigned cxl_cache_run(CXLCacheHome *home);

/**
 * cxl_cache_advance: likewise; if there is nothing, go on to what is next
 *
 * For who cannot wait for links with time: their time moves ahead of what @now
 * says, to the next message or credit that arrives. It does not go back: until
 * @now has come as far, messages are sent at the time that was reached.
 *
 * Where nothing is under way, but the host waits for a device that it does not
 * wait for without end, time moves to where that ends.
 *
 * Returns: as cxl_cache_run(); 0 if nothing is under way.
 */
unsigned cxl_cache_advance(CXLCacheHome *home);

/**
 * cxl_cache_settle: move messages until none is left, and no credit either
 *
 * As cxl_cache_run() where no link has time; else as cxl_cache_advance() again
 * and again, but for waiting for what nothing is under way of.
 */
void cxl_cache_settle(CXLCacheHome *home);

/**
 * cxl_cache_next: when something arrives next, on links with time
 *
 * Returns: UINT64_MAX if nothing is under way
 */
uint64_t cxl_cache_next(const CXLCacheHome *home);

/* Likewise: when a time-out is over; UINT64_MAX if none is running */
uint64_t cxl_cache_deadline(const CXLCacheHome *home);

/*
 * The time that has been come to; and whether there is any: links have time, or
 * are held, devices have a rate, or the host has time-outs
 */
uint64_t cxl_cache_time(const CXLCacheHome *home);
bool cxl_cache_is_timed(const CXLCacheHome *home);

#endif /* HW_CXL_CACHE_HOME_H */
