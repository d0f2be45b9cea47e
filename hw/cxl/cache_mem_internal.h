/*
 * CacheMemRegion, for its own files
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who calls whom:
 *
 *   cache_mem_transfer.c  the same while time goes on
 *   cache_mem_agent.c   what a device does: read, own, commit, give up
 *     cache_mem_region.c  the object; devices that come, go, are reset and die
 *       cache_mem_host.c    the host's side: its memory, its accesses
 *         cache_mem_touch.c   who touches pages, and what follows from it
 *         cache_mem_snoop.c   lines come home, pages go to the guest
 *         cache_mem_pages.c   which pages the guest may touch
 *           cache_mem_stream.c  and which it is about to
 *           cache_mem_ram.c, cache_mem_trap.c
 *         cache_mem_time.c    links with time: the clock, and who waits
 *         cache_mem_wait.c    devices that do not answer
 *         cache_mem_poison.c, cache_mem_bypass.c
 *         cache_mem_llc.c     the host's last-level cache; calls snoop.c
 *         cache_mem_alias.c   an encrypted alias of RAM; calls snoop.c
 *     cache_mem_ats.c, cache_mem_allow.c
 *
 * cache_mem_query.c, cache_mem_line.c, cache_mem_window.c and
 * cache_mem_trace.c look in and change nothing; cache_mem_inject.c hangs on
 * CacheMemHooks. Functions are called with the region's lock held unless they
 * say otherwise.
 */

#ifndef HW_CXL_CACHE_MEM_INTERNAL_H
#define HW_CXL_CACHE_MEM_INTERNAL_H

#include "hw/cxl/cache_mem_agent.h"
#include "hw/cxl/cache_mem_inject.h"
#include "hw/cxl/cache_mem_transfer.h"
#include "hw/cxl/cxl_cache_home.h"
#include "hw/cxl/cxl_cache_keep.h"
#include "cache_mem_alias.h"
#include "cache_mem_allow.h"
#include "cache_mem_ats.h"
#include "cache_mem_bypass.h"
#include "cache_mem_llc.h"
#include "cache_mem_poison.h"
#include "cache_mem_ram.h"
#include "cache_mem_stream.h"
#include "cache_mem_trap.h"
#include "hw/core/qdev.h"
#include "hw/core/resettable.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "system/ramlist.h"
#include "qapi/qapi-types-cxl.h"
#include "qom/object.h"

#define TYPE_CACHE_MEM_REGION "cache-mem-region"
OBJECT_DECLARE_SIMPLE_TYPE(CacheMemRegion, CACHE_MEM_REGION)

/**
 * CacheMemHooks: what injection does in the place of the host or a device
 * @request: a device's request; as cache_mem_agent_request()
 * @evict: a device gives a line up; as cache_mem_agent_evict()
 * @snoop: the guest touches a page: are the devices to be snooped?
 * @lose: what becomes of the lines of a device that is lost; returns false to
 *        have it as the device's configuration says
 */
typedef struct CacheMemHooks {
    int (*request)(CacheMemDev *cm, const CXLCacheReq *req);
    int (*evict)(CacheMemDev *cm, uint64_t line);
    bool (*snoop)(CacheMemRegion *region);
    bool (*lose)(CacheMemDev *cm);
} CacheMemHooks;

/**
 * CacheMemRecall: a page that the host is about to touch
 *
 * No device gets lines of it, on a link with time, until it has been touched.
 */
typedef struct CacheMemRecall {
    uint64_t addr;
    QLIST_ENTRY(CacheMemRecall) next;
} CacheMemRecall;

/**
 * CacheMemInject: what cache_mem_inject.c has been told
 * @hooks: those of CacheMemHooks that are needed for it
 * @line: of the request that is failing now
 * @fail: and how
 */
typedef struct CacheMemInject {
    CacheMemHooks hooks;
    bool no_snoop;
    bool no_rescue;
    bool no_invalidate;
    uint64_t line;
    CacheMemFail fail;
} CacheMemInject;

typedef struct CacheMemTrapStats {
    uint64_t reads;         /* page faults for reading */
    uint64_t writes;
    uint64_t other;         /* of pages that no device had lines of */
    uint64_t ahead;         /* pages that came home before they were touched */
    uint64_t dma;           /* pages that came home for a device of QEMU's */
    uint64_t zaps;          /* pages taken out of the guest's mapping */
    uint64_t pages;         /* of which devices have lines now */
} CacheMemTrapStats;

/* What became of modified lines whose device was lost, since the start */
typedef struct CacheMemTotals {
    uint64_t rescued_lines;
    uint64_t poisoned_lines;
    uint64_t lost_lines;
} CacheMemTotals;

/**
 * CacheMemRegion: the object /machine/cxl-cache
 * @users: devices, attached or not; without any there is no @home, no @ram
 * @had_device: there was one at some time
 * @home_ops: what @home asks of memory
 * @trap: NULL where lines cannot be kept at all
 * @prefetch: pages that come home at once when touches follow each other
 * @obstacle: why no line is kept now, or NULL
 * @said: the set of what the user has been told, or NULL
 * @no_trap: why there is no @trap
 * @bypassed: who may use any RAM past the trap, or NULL
 * @discards: somebody may discard guest RAM
 * @can_share: pages can be write-protected while devices share their lines
 * @discard_disabled: nobody may discard guest RAM, for our sake
 * @stream: which pages are about to be touched
 * @recalls: pages that are about to be touched
 * @at_once: somebody does what he does at once, whatever is about to be touched
 * @urgent: whose requests are done at once, whatever its rate; or NULL
 * @timer: in the main loop, for links with time; NULL if there are none
 * @later: when @timer is to come for what stays behind a touch, or 0
 * @moved: something has been moved by time
 * @hurry: who waits for that is not to wait any more
 * @beat: in the main loop: it goes round
 * @beating: @beat is scheduled; atomic
 * @grouped: the devices are of groups, each with a filter of its own size
 * @hooks: NULL unless something is injected
 * @inject: what is
 * @llc: the host's last-level cache, or NULL; atomic for who has no lock
 * @alias: an encrypted alias of RAM, or NULL; atomic likewise
 * @snooping: the host takes lines from devices, or has them shared
 */
struct CacheMemRegion {
    Object parent_obj;

    ResettableState reset;
    QemuMutex lock;
    unsigned users;
    bool had_device;
    CXLCacheHome *home;
    CXLCacheHomeOps home_ops;
    uint64_t sf_size;
    bool grouped;
    QTAILQ_HEAD(, CacheMemDev) devices;

    CacheMemRam *ram;
    RAMBlockNotifier block_notifier;
    MemoryListener listener;
    CacheMemBypass *bypass;
    CacheMemTrap *trap;
    QemuThread thread;
    const char *obstacle;
    GHashTable *said;
    char *no_trap;
    const char *bypassed;
    bool discards;
    bool can_share;
    bool discard_disabled;
    CacheMemTrapStats stats;
    CacheMemStream *stream;
    unsigned prefetch;

    QLIST_HEAD(, CacheMemRecall) recalls;
    bool at_once;
    const CacheMemDev *urgent;
    QEMUTimer *timer;
    uint64_t later;
    QemuCond moved;
    unsigned hurry;
    QEMUBH *beat;
    bool beating;

    CacheMemPoison *poison;
    CacheMemTotals totals;

    const CacheMemHooks *hooks;
    CacheMemInject inject;

    CacheMemLlc *llc;
    CacheMemAlias *alias;
    bool snooping;
};

/**
 * CacheMemDev:
 * @number: at the home; negative when not attached
 * @once_lines: lines written without being kept
 * @lost_lines: modified lines that a system reset dropped
 * @gone: modified lines of its that did not come home in order, since it is
 *        there
 * @told: of them, those that have been told of by an event
 * @refused: operations that @allow has refused
 * @fail: what is to happen to the next request, by injection
 * @window_page: what the window shows: CACHE_MEM_WINDOW_LINES from there on
 * @errors: to be reported by @error_bh, a bit for each CXLCacheError
 * @port_events: to be told by @error_bh, a bit for each CacheMemPortEvent
 * @isolation_cause: of the isolation to be told of, a CxlCacheIsolationCause
 * @isolate: a time-out isolates it
 * @isolated: CXL.cache of its root port is isolated
 * @wanted: the mode that it is to have when that is over
 * @error_bh: NULL when not attached
 * @posted: requests that are under way by themselves
 * @sleep: how who waits for its requests does so; NULL for a thread
 * @transfers: memory that is moved while time goes on, the newest first
 *
 * The rest is for the operation that holds the lock:
 * @done: takes completions
 * @read_buf: for cache_mem_read()
 * @result: for cache_mem_request()
 * @room: lines that cache_mem_write() may still own
 * @failed: the host has answered with an error
 * @poison: or with poison
 */
struct CacheMemDev {
    CacheMemRegion *region;
    CacheMemDevConfig config;
    CXLCacheLink *link;
    CXLCacheDev *dev;
    CacheMemAts *ats;
    CacheMemAllow *allow;
    uint64_t refused;
    CacheMemFail fail;
    int number;
    CacheMemMode mode;
    char *name;
    uint64_t once_lines;
    uint64_t lost_lines;
    CXLCacheKeep keep;
    CacheMemTotals gone;
    CacheMemTotals told;
    uint32_t window_page;
    uint32_t errors;
    uint32_t port_events;
    uint32_t isolation_cause;
    bool isolate;
    bool isolated;
    CacheMemMode wanted;
    QEMUBH *error_bh;
    QLIST_HEAD(, CacheMemPosted) posted;
    CacheMemSleep *sleep;
    void *sleep_opaque;
    QLIST_HEAD(, CacheMemTransfer) transfers;
    QTAILQ_ENTRY(CacheMemDev) next;

    void (*done)(CacheMemDev *cm, const CXLCacheDone *done);
    uint8_t *read_buf;
    CacheMemResult *result;
    unsigned room;
    bool failed;
    bool poison;
};

/* cache_mem_region.c */

/* The machine's, or NULL before it has a device; may be called by anybody */
CacheMemRegion *cache_mem_region_get(void);

/* The machine's; made if there is none yet. The BQL is held. */
CacheMemRegion *cache_mem_region_make(void);

/* @cm has broken a rule, or the host has seen it do so */
void cache_mem_dev_note_error(CacheMemDev *cm, CXLCacheError err);

unsigned cache_mem_dev_modified(const CacheMemDev *cm);
unsigned cache_mem_dev_held(const CacheMemDev *cm);

/* The set mode, whether isolated or not */
void cache_mem_dev_set_mode_locked(CacheMemDev *cm, CacheMemMode mode);

/* Without the lock: if modified lines have gone, say so. */
void cache_mem_dev_tell_gone(CacheMemDev *cm, CxlCacheLossCause cause);

/* Write everything back and say so by CacheFlushed, with the lock held */
void cache_mem_dev_flush_locked(CacheMemDev *cm);

/* cache_mem_host.c */

extern const CXLCacheHomeOps cache_mem_home_ops;

/* Without the lock: start to follow guest RAM, and to trap it if that goes */
void cache_mem_host_start(CacheMemRegion *region);
void cache_mem_host_stop(CacheMemRegion *region);

/**
 * cache_mem_host_check: can lines of the machine's memory be kept?
 *
 * Returns: false with @errp set to why not
 */
bool cache_mem_host_check(CacheMemRegion *region, Error **errp);

/**
 * cache_mem_host_why_not: why lines of a section are not kept now
 *
 * Starts nothing: whether the trap can watch the memory is known only when
 * lines of it have been asked for.
 *
 * Returns: the reason, or NULL if they are kept
 */
const char *cache_mem_host_why_not(const CacheMemRegion *region,
                                   const CacheMemSection *s);

/* What is at a line: CXL_CACHE_MEM_* flags; 0 where no RAM is. */
unsigned cache_mem_host_decode(CacheMemRegion *region, uint64_t line);

/**
 * cache_mem_host_prepare: before a device asks for lines of @n ranges
 * @own: the lines will be owned: zap all of the pages at once
 *
 * Also takes the memory's lines from the devices if they got them by another
 * address.
 */
void cache_mem_host_prepare(CacheMemRegion *region, const CacheMemSeg *seg,
                            unsigned n, bool own);

/* Map pages again of which no device has lines, to save the faults. */
void cache_mem_host_release(CacheMemRegion *region, hwaddr addr, uint64_t len);

/* cache_mem_touch.c */

/* Have touches reported, where that can be; see @trap and @no_trap */
void cache_mem_touch_start(CacheMemRegion *region);
void cache_mem_touch_stop(CacheMemRegion *region);
/* Be told of DMA even if there is no CXL.cache device; the BQL is held */
void cache_mem_touch_listen(CacheMemRegion *region);

/* cache_mem_snoop.c */

/* Have the devices give up lines of a page */
void cache_mem_snoop_lines(CacheMemRegion *region, const CacheMemPage *p,
                           uint64_t lines, CXLCacheHostOp op);
/* Likewise, on links with time: it takes time, and may have to be repeated */
void cache_mem_snoop_ask(CacheMemRegion *region, const CacheMemPage *p,
                         uint64_t lines, CXLCacheHostOp op);
/* Likewise one line, if they have it by this address */
void cache_mem_snoop_line(CacheMemRegion *region, uint64_t line,
                          CXLCacheHostOp op);
/*
 * Likewise, on links with time: the snoop is sent, and nobody waits. Returns
 * false if it has to be repeated, as something is under way for the line.
 */
bool cache_mem_snoop_start(CacheMemRegion *region, uint64_t line,
                           CXLCacheHostOp op);
/* Who has the line in the highest state, and which that is; NULL if nobody */
const CacheMemDev *cache_mem_snoop_holder(CacheMemRegion *region,
                                          uint64_t line, CXLCacheState *state);
/*
 * Have them give up all of a page; those of a block; of pages that devices
 * know by these addresses, in one section
 */
void cache_mem_snoop_page(CacheMemRegion *region, const CacheMemPage *p);
void cache_mem_snoop_block(CacheMemRegion *region, CacheMemBlock *block);
void cache_mem_snoop_section(CacheMemRegion *region, const CacheMemSection *s,
                             uint64_t addr, uint64_t end);

/* All lines come home, and who sleeps there goes on. */
void cache_mem_snoop_unwatch(CacheMemRegion *region, CacheMemBlock *block);

/* A page whose lines have come home goes to the guest. Returns 0, or -errno */
int cache_mem_snoop_give(CacheMemRegion *region, CacheMemBlock *block,
                         const CacheMemPage *p);

/*
 * A page cannot be given back as it should be: nobody is to sleep for ever. All
 * of the block goes to the guest, and no line of it is kept any more.
 */
void cache_mem_snoop_give_up(CacheMemRegion *region, CacheMemBlock *block,
                             int ret);

/* cache_mem_pages.c */

bool cache_mem_pages_watch(CacheMemRegion *region, CacheMemBlock *block);

/* Whether lines of the section can be kept; starts what is needed for it */
static inline bool cache_mem_pages_usable(CacheMemRegion *region,
                                          const CacheMemSection *s)
{
    CacheMemBlock *block = s->block;

    return !region->obstacle && block && !block->unfit && !block->bypassed &&
           (block->watched || cache_mem_pages_watch(region, block));
}

/**
 * cache_mem_pages_limit: from now on the guest may do no more than @access
 * @addr: of a page
 * @lines: of it
 *
 * Returns: false if one of them is not to be had; then nothing has changed
 */
bool cache_mem_pages_limit(CacheMemRegion *region, uint64_t addr,
                           uint64_t lines, CXLCacheHostAccess access);

/**
 * CacheMemTaking: pages that are to be taken from the guest
 * @run: pages of a block side by side, @n of them from number @page on, which
 *       has the address @addr
 * @n: of @run
 *
 * Begins with @n = 0. It goes before anything is asked of the protocol: it
 * counts as taken what cache_mem_pages_taken() is still to take.
 */
typedef struct CacheMemTaking {
    unsigned n;
    struct CacheMemRun {
        CacheMemBlock *block;
        uint64_t page;
        uint64_t n;
        uint64_t addr;
    } run[CACHE_MEM_ZAP_MAX];
} CacheMemTaking;

/* Add a page, which has not been taken */
void cache_mem_pages_take(CacheMemRegion *region, CacheMemTaking *taking,
                          CacheMemBlock *block, uint64_t page, uint64_t addr);

/**
 * cache_mem_pages_taken: take the pages from the guest, from now on
 *
 * Returns: false if some cannot be taken; then no line of their block is kept
 */
bool cache_mem_pages_taken(CacheMemRegion *region, CacheMemTaking *taking);

/* Give zapped pages to the guest. Returns 0, or -errno */
int cache_mem_pages_map(CacheMemRegion *region, CacheMemBlock *block,
                        uint64_t page, uint64_t n, bool protect);

/* The lines of a page that stand in the way of an access */
uint64_t cache_mem_page_lines(const CacheMemPage *p, bool write);

/**
 * cache_mem_pages_note: say once that lines are not kept
 * @mr: of what memory, or NULL: of none at all
 */
void cache_mem_pages_note(CacheMemRegion *region, const MemoryRegion *mr,
                          const char *why);

/**
 * cache_mem_pages_refuse: from now on no line of the block is kept
 * @why: becomes the block's
 *
 * What is held stays until it is asked for.
 */
void cache_mem_pages_refuse(CacheMemRegion *region, CacheMemBlock *block,
                            char *why);

/* Something of what @obstacle depends on has changed. */
void cache_mem_pages_update(CacheMemRegion *region);

/* cache_mem_time.c */

/* For CXLCacheHomeOps */
uint64_t cache_mem_time_now(void *opaque);

/* The calling thread does what vCPUs wait for in an access to memory. */
void cache_mem_time_for_vcpu(void);
bool cache_mem_time_defer(void *opaque, uint64_t line);

/* Links with time may come from now on; a region of which all have gone */
void cache_mem_time_start(CacheMemRegion *region);
void cache_mem_time_stop(CacheMemRegion *region);

/* Something may be under way: see to it that it goes on. */
void cache_mem_time_arm(CacheMemRegion *region);

/* cache_mem_wait.c */

/* For CXLCacheHomeOps */
void cache_mem_wait_timeout(void *opaque, unsigned number);

/* Whether the host waits for a device that does not answer at all */
bool cache_mem_wait_hangs(CacheMemRegion *region);

/**
 * cache_mem_wait_give_up: who waits cannot wait
 *
 * Isolates the devices that do not answer, and for which the host waits.
 *
 * Returns: how many
 */
unsigned cache_mem_wait_give_up(CacheMemRegion *region);

/* The lines of a device that does not answer are given up. */
void cache_mem_wait_isolate(CacheMemDev *cm);

/* What @cm has asked for at once is done, whatever is in its way. */
void cache_mem_wait_finish(CacheMemDev *cm);

/* Without the lock, under the BQL: tell of what has not been told */
void cache_mem_wait_report(CacheMemDev *cm);

/*
 * As cxl_cache_advance() and cxl_cache_settle(), for what is done before the
 * lock is given back: nobody else's turn is waited for, and no rate. If all
 * that is waited for is a device that does not answer, that is given up.
 */
static inline void cache_mem_hurry_begin(CacheMemRegion *region)
{
    region->at_once = true;
    cxl_cache_home_hurry(region->home, region->urgent ?
                         region->urgent->number : CXL_CACHE_DEV_MAX);
}

static inline void cache_mem_hurry_end(CacheMemRegion *region)
{
    cxl_cache_home_hurry(region->home, -1);
    region->at_once = false;
}

static inline unsigned cache_mem_advance(CacheMemRegion *region)
{
    unsigned n;

    cache_mem_hurry_begin(region);
    n = cxl_cache_advance(region->home);
    cache_mem_hurry_end(region);
    return n ? n : cache_mem_wait_give_up(region);
}

static inline void cache_mem_settle(CacheMemRegion *region)
{
    cache_mem_hurry_begin(region);
    cxl_cache_settle(region->home);
    cache_mem_hurry_end(region);
    region->urgent = NULL;
}

/*
 * A page that is to be touched is about to be given to the guest; it has been.
 * Then what had to stay behind the touch goes on.
 */
void cache_mem_time_before_touch(CacheMemRegion *region);
void cache_mem_time_after_touch(CacheMemRegion *region);

/* No device gets lines of this page any more, until it is over */
void cache_mem_time_recall(CacheMemRegion *region, CacheMemRecall *recall,
                           uint64_t addr);
void cache_mem_time_recalled(CacheMemRegion *region, CacheMemRecall *recall);

/**
 * cache_mem_time_wait: until the next message has come, or a credit
 *
 * For a thread that waits for nothing else and which nobody else depends on,
 * but who sleeps in an access to memory. Gives the lock back for as long as it
 * takes by the clock. If the clock has not come so far by then, it stands still
 * and the links' time is brought forward.
 *
 * Returns: false if nothing is under way: then who is waited for does not
 *          answer, until a time-out by the clock, or for ever
 */
bool cache_mem_time_wait(CacheMemRegion *region);

/* A request is over; @done is NULL if it was lost with its device. */
void cache_mem_posted_over(CacheMemPosted *posted, const CXLCacheDone *done);
void cache_mem_posted_lost(CacheMemDev *cm);

/* The tag of a request that is posted, and such a tag's request or NULL */
uint64_t cache_mem_posted_tag(const CacheMemPosted *posted);
CacheMemPosted *cache_mem_posted_of(uint64_t tag);

/* cache_mem_trace.c */

/* Follow "-trace cxl_cache_*" at run time, before messages are sent */
void cache_mem_trace_update(CacheMemRegion *region);

/* cache_mem_agent.c, for transfers */

/* On the device's allow-list? Before anything is asked of the host; counts. */
bool cache_mem_agent_allowed(CacheMemDev *cm, hwaddr addr, uint64_t len);

/* What CACHE_MEM_WRITE_ADAPT comes to for @len bytes; others as they are */
CacheMemWriteHow cache_mem_agent_how(CacheMemDev *cm, CacheMemWriteHow how,
                                     size_t len);

/* As cache_mem_post() */
int cache_mem_agent_post(CacheMemDev *cm, const CXLCacheReq *req,
                         CacheMemPosted *posted);

/* cache_mem_transfer.c, for who looks */

typedef enum CacheMemWorkWait {
    CACHE_MEM_WORK_LINES,       /* its own requests */
    CACHE_MEM_WORK_OTHERS,      /* a credit, or a line that is another's now */
    CACHE_MEM_WORK_DONE,        /* nothing: the device goes on with it */
    CACHE_MEM_NUM_WORK
} CacheMemWorkWait;

/**
 * CacheMemWorkLook: memory that is moved while time goes on
 * @name: whose
 * @write: it is written, else read
 * @len: bytes of it
 * @open: requests that are under way for it
 * @since: when it began, by the home's time
 */
typedef struct CacheMemWorkLook {
    const char *name;
    bool write;
    size_t len;
    unsigned open;
    uint64_t since;
    CacheMemWorkWait awaits;
} CacheMemWorkLook;

/* The transfer after @t, or the newest; NULL if there is no more */
const CacheMemTransfer *cache_mem_transfer_next(const CacheMemDev *cm,
                                                const CacheMemTransfer *t,
                                                CacheMemWorkLook *look);

/* cache_mem_agent.c, for injection */

/* Part of a line that belongs to a range of memory */
typedef struct CacheMemLinePart {
    uint64_t line;
    unsigned offset;
    unsigned len;
} CacheMemLinePart;

/* The first of the lines that @len bytes at @addr are in */
static inline CacheMemLinePart cache_mem_line_part(hwaddr addr, size_t len)
{
    CacheMemLinePart part = {
        .line = addr / CXL_CACHE_LINE_SIZE,
        .offset = addr % CXL_CACHE_LINE_SIZE,
    };

    part.len = MIN(len, CXL_CACHE_LINE_SIZE - part.offset);
    return part;
}

int cache_mem_agent_request(CacheMemDev *cm, const CXLCacheReq *req);
int cache_mem_agent_evict(CacheMemDev *cm, uint64_t line);

/* Whether it may be asked for: 0, or as cache_mem_request() */
int cache_mem_agent_check(CacheMemDev *cm, const CXLCacheReq *req);

/* cache_mem_inject.c */

/* Properties of the region's class by which tests break it */
void cache_mem_inject_class_init(ObjectClass *klass);

/* What a device that is attached takes on of what is injected now */
void cache_mem_inject_attach(CacheMemDev *cm);

#endif /* HW_CXL_CACHE_MEM_INTERNAL_H */
