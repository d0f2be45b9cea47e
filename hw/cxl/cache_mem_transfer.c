/*
 * CacheMemRegion: memory that is read or written while time goes on
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A transfer goes through its memory once in each of its phases, part of a line
 * by part of a line, and asks for what the phase needs, until there is no more
 * credit. A phase ends when all that it has asked for is there.
 *
 *   read:   FETCH
 *   write:  OWN
 *
 * When all lines are owned they are written, all at the same time. A request
 * that is lost before has left memory as it was, and whoever made it may do it
 * again, also in place: so nothing of it may be in memory sooner. Where that
 * takes more than lines which are owned, all is written at once, without time:
 * lines that cannot be kept, or are not to be, and those that the host has
 * taken back before the last one came. Asking for the latter again might never
 * come to an end between two who want the same page.
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "hw/cxl/cache_mem_transfer.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* To ask again where nothing is under way: a device that does not answer */
#define IDLE_NS     (1 * SCALE_MS)

typedef enum TransferPhase {
    PHASE_FETCH,
    PHASE_OWN,
    PHASE_OVER,
} TransferPhase;

/**
 * Cursor: where in its memory a transfer is
 * @seg, @at: piece, and byte of it
 * @pos: byte of all
 */
typedef struct Cursor {
    unsigned seg;
    size_t at;
    size_t pos;
} Cursor;

/**
 * CacheMemTransfer:
 * @name, @since: see CacheMemWorkLook
 * @data: what has been read, or NULL
 * @buf: what is to be written, or NULL
 * @len: of either
 * @open: requests that are under way for it
 * @room: lines that it may still own
 * @at_once: it is to be written by cache_mem_write()
 * @again: see cache_mem_transfer_again()
 * @forgotten: nobody waits for it: it goes with the last request
 */
struct CacheMemTransfer {
    CacheMemDev *cm;
    char *name;
    uint64_t since;
    CacheMemSeg *seg;
    unsigned n;
    uint8_t *data;
    const uint8_t *buf;
    size_t len;
    CacheMemWriteHow how;
    CacheMemWake *wake;
    void *opaque;

    TransferPhase phase;
    Cursor cursor;
    unsigned open;
    unsigned room;
    uint64_t again;
    bool at_once;
    bool failed;
    bool poison;
    bool forgotten;
    QLIST_ENTRY(CacheMemTransfer) next;
};

/* A request for a part of a line */
typedef struct PartRequest {
    CacheMemPosted posted;
    CacheMemTransfer *t;
    CacheMemLinePart part;
    size_t pos;
} PartRequest;

/* ---- Its memory, part by part ---- */

static bool at_end(const CacheMemTransfer *t)
{
    return t->cursor.seg == t->n;
}

static CacheMemLinePart this_part(const CacheMemTransfer *t, const Cursor *c)
{
    return cache_mem_line_part(t->seg[c->seg].addr + c->at,
                               t->seg[c->seg].len - c->at);
}

static void next_part(const CacheMemTransfer *t, Cursor *c)
{
    size_t len = this_part(t, c).len;

    c->at += len;
    c->pos += len;
    if (c->at == t->seg[c->seg].len) {
        c->seg++;
        c->at = 0;
    }
}

static bool is_full(const CacheMemLinePart *part)
{
    return part->len == CXL_CACHE_LINE_SIZE;
}

static uint64_t part_be(const CacheMemLinePart *part)
{
    return MAKE_64BIT_MASK(part->offset, part->len);
}

static bool holds(const CacheMemTransfer *t, const CacheMemLinePart *part,
                  unsigned perm)
{
    return cxl_cache_may(cxl_cache_dev_state(t->cm->dev, part->line), perm);
}

static bool can_write(const CacheMemTransfer *t, const CacheMemLinePart *part)
{
    return holds(t, part, is_full(part) ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE);
}

/* ---- Requests ---- */

static void free_transfer(CacheMemTransfer *t)
{
    g_free(t->name);
    g_free(t->seg);
    g_free(t->data);
    g_free(t);
}

static void part_done(CacheMemPosted *posted)
{
    PartRequest *r = container_of(posted, PartRequest, posted);
    CacheMemTransfer *t = r->t;

    t->open--;
    t->failed |= posted->result.failed;
    if (t->data) {
        t->poison |= posted->result.poison;
        memcpy(t->data + r->pos, posted->result.data.b + r->part.offset,
               r->part.len);
    }
    if (!t->forgotten) {
        t->wake(t->opaque, cxl_cache_time(t->cm->region->home));
    } else if (!t->open) {
        free_transfer(t);
    }
    g_free(r);
}

/* Returns: 0, -EAGAIN if it has to wait, or another error */
static int ask(CacheMemTransfer *t, const CacheMemLinePart *part,
               uint8_t opcode)
{
    CXLCacheReq req = {
        .line = part->line,
        .opcode = opcode,
        .be = part_be(part),
    };
    PartRequest *r = g_new(PartRequest, 1);
    int ret;

    r->posted.what = t->name;
    r->posted.done = part_done;
    r->t = t;
    r->part = *part;
    r->pos = t->cursor.pos;
    t->open++;
    ret = cache_mem_agent_post(t->cm, &req, &r->posted);
    if (ret) {
        t->open--;
        g_free(r);
    }
    return ret == -EBUSY ? -EAGAIN : ret;
}

/* ---- What the phases ask for ---- */

static int fetch_part(CacheMemTransfer *t, const CacheMemLinePart *part)
{
    CXLCacheLineData data;

    if (cxl_cache_dev_read(t->cm->dev, part->line, &data, &t->poison)) {
        memcpy(t->data + t->cursor.pos, data.b + part->offset, part->len);
        return 0;
    }
    /* Owned without data: of no use for reading */
    cxl_cache_dev_drop(t->cm->dev, part->line);
    return ask(t, part, CXL_CACHE_RD_CURR);
}

static TransferPhase fetched(CacheMemTransfer *t)
{
    t->failed |= t->poison;
    return PHASE_OVER;
}

static int own_part(CacheMemTransfer *t, const CacheMemLinePart *part)
{
    CacheMemDev *cm = t->cm;
    int ret;

    t->at_once |= t->how == CACHE_MEM_WRITE_THROUGH ||
                  cm->mode != CACHE_MEM_ON || !t->room ||
                  !(cache_mem_host_decode(cm->region, part->line) &
                    CXL_CACHE_MEM_CACHEABLE);
    if (t->at_once) {
        return 0;
    }
    if (!holds(t, part, CXL_CACHE_P_STABLE) &&
        cxl_cache_dev_state(cm->dev, part->line) != CXL_CACHE_I) {
        /* Asked for already, for another part of it or by another transfer */
        return -EAGAIN;
    }
    if (can_write(t, part)) {
        t->room--;
        return 0;
    }
    if (!is_full(part)) {
        /* RdOwn starts from I. */
        cxl_cache_dev_drop(cm->dev, part->line);
    }
    ret = ask(t, part, is_full(part) ? CXL_CACHE_RD_OWN_NO_DATA :
                                       CXL_CACHE_RD_OWN);
    t->room -= !ret;
    return ret;
}

static bool all_here(const CacheMemTransfer *t)
{
    for (Cursor c = { }; c.seg < t->n; next_part(t, &c)) {
        CacheMemLinePart part = this_part(t, &c);

        if (!can_write(t, &part)) {
            return false;
        }
    }
    return true;
}

static void write_all(CacheMemTransfer *t)
{
    for (Cursor c = { }; c.seg < t->n; next_part(t, &c)) {
        CacheMemLinePart part = this_part(t, &c);
        CXLCacheLineData data;

        memcpy(data.b + part.offset, t->buf + c.pos, part.len);
        cxl_cache_dev_write(t->cm->dev, part.line, &data, part_be(&part));
    }
}

static TransferPhase owned(CacheMemTransfer *t)
{
    if (t->cm->mode == CACHE_MEM_OFF) {
        /* Isolated, perhaps: what it owned may be lost. */
        t->failed = true;
    } else if (t->at_once || t->how != CACHE_MEM_WRITE_KEEP || !all_here(t)) {
        t->at_once = true;
    } else {
        write_all(t);
    }
    return PHASE_OVER;
}

/**
 * PhaseRule: what is done in a phase
 * @part: asks for what it needs for a part of a line; 0, -EAGAIN if that has to
 *        wait, or an error
 * @end: all that was asked for is there; returns the next phase
 */
static const struct PhaseRule {
    int (*part)(CacheMemTransfer *t, const CacheMemLinePart *part);
    TransferPhase (*end)(CacheMemTransfer *t);
} phase_rules[PHASE_OVER] = {
    [PHASE_FETCH] = { fetch_part, fetched },
    [PHASE_OWN] = { own_part, owned },
};

/* ---- Going on ---- */

/* Somebody else's message is waited for, or a credit. */
static void come_again(CacheMemTransfer *t)
{
    CXLCacheHome *home = t->cm->region->home;
    uint64_t next = MIN(cxl_cache_next(home), cxl_cache_deadline(home));

    t->again = next == UINT64_MAX ? cxl_cache_time(home) + IDLE_NS : next;
}

/* Returns: false if it cannot get to the end of the phase yet */
static bool go_on(CacheMemTransfer *t)
{
    const struct PhaseRule *rule = &phase_rules[t->phase];

    while (!at_end(t) && !t->failed) {
        CacheMemLinePart part = this_part(t, &t->cursor);
        int ret = rule->part(t, &part);

        if (ret == -EAGAIN) {
            come_again(t);
            return false;
        }
        t->failed |= ret < 0;
        next_part(t, &t->cursor);
    }
    if (t->open) {
        return false;
    }
    t->phase = t->failed ? PHASE_OVER : rule->end(t);
    t->cursor = (Cursor) { };
    return true;
}

/* Whether all of it may be asked for; before anything is. */
static bool is_allowed(const CacheMemTransfer *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (!cache_mem_agent_allowed(t->cm, t->seg[i].addr, t->seg[i].len)) {
            return false;
        }
    }
    return true;
}

int cache_mem_transfer_run(CacheMemTransfer *t)
{
    bool over_before = t->phase == PHASE_OVER;
    bool changed;

    WITH_QEMU_LOCK_GUARD(&t->cm->region->lock) {
        t->again = UINT64_MAX;
        while (t->phase != PHASE_OVER && go_on(t)) {
            /* To the next phase */
        }
        changed = t->phase == PHASE_OVER && !over_before;
    }
    if (t->phase != PHASE_OVER) {
        return -EINPROGRESS;
    }
    if (changed && t->at_once && !t->failed) {
        t->failed = !cache_mem_write(t->cm, t->seg, t->n, t->buf, t->how);
    }
    if (changed && t->failed && t->buf) {
        cache_mem_give_up(t->cm, t->seg, t->n);
    }
    return t->failed ? -EIO : 0;
}

uint64_t cache_mem_transfer_again(const CacheMemTransfer *t)
{
    return t->again;
}

const void *cache_mem_transfer_data(const CacheMemTransfer *t)
{
    return t->data;
}

bool cache_mem_transfer_poison(const CacheMemTransfer *t)
{
    return t->poison;
}

/* ---- Begin and end ---- */

bool cache_mem_in_time(CacheMemDev *cm)
{
    QEMU_LOCK_GUARD(&cm->region->lock);
    return cm->config.timed && !cm->region->hooks;
}

static CacheMemTransfer *new_transfer(CacheMemDev *cm, const char *name,
                                      const CacheMemSeg *seg, unsigned n,
                                      CacheMemWake *wake, void *opaque)
{
    CacheMemTransfer *t = g_new0(CacheMemTransfer, 1);

    t->cm = cm;
    t->name = g_strdup(name);
    t->seg = g_memdup2(seg, n * sizeof(*seg));
    t->n = n;
    t->wake = wake;
    t->opaque = opaque;
    t->again = UINT64_MAX;
    for (unsigned i = 0; i < n; i++) {
        t->len += seg[i].len;
    }
    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        t->failed = !is_allowed(t);
        cache_mem_trace_update(cm->region);
        /* The rest of the cache is for what this request drives out of it. */
        t->room = cxl_cache_dev_num_lines(cm->dev) / 2;
        t->since = cxl_cache_time(cm->region->home);
        QLIST_INSERT_HEAD(&cm->transfers, t, next);
    }
    return t;
}

CacheMemTransfer *cache_mem_transfer_read(CacheMemDev *cm, const char *name,
                                          const CacheMemSeg *seg, unsigned n,
                                          CacheMemWake *wake, void *opaque)
{
    CacheMemTransfer *t = new_transfer(cm, name, seg, n, wake, opaque);

    t->data = g_malloc0(t->len);
    t->phase = t->failed ? PHASE_OVER : PHASE_FETCH;
    return t;
}

CacheMemTransfer *cache_mem_transfer_write(CacheMemDev *cm, const char *name,
                                           const CacheMemSeg *seg, unsigned n,
                                           const void *buf,
                                           CacheMemWriteHow how,
                                           CacheMemWake *wake, void *opaque)
{
    CacheMemTransfer *t = new_transfer(cm, name, seg, n, wake, opaque);

    t->buf = buf;
    t->phase = t->failed ? PHASE_OVER : PHASE_OWN;
    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        t->how = cache_mem_agent_how(cm, how, t->len);
    }
    return t;
}

void cache_mem_transfer_free(CacheMemTransfer *t)
{
    CacheMemDev *cm = t->cm;
    bool owns = t->buf && t->phase != PHASE_OVER;

    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        QLIST_REMOVE(t, next);
        t->wake = NULL;
        t->forgotten = true;
        /* So that it is not freed with its last request, but here */
        t->open++;
        if (t->open > 1 && cm->number >= 0) {
            cm->region->urgent = cm;
            cache_mem_settle(cm->region);
            cache_mem_llc_go_on(cm->region);
            cache_mem_time_arm(cm->region);
        }
    }
    if (owns) {
        cache_mem_give_up(cm, t->seg, t->n);
    }
    /* A device that does not answer may still have requests of its. */
    WITH_QEMU_LOCK_GUARD(&cm->region->lock) {
        if (!--t->open) {
            free_transfer(t);
        }
    }
}

/* ---- For who looks ---- */

static CacheMemWorkWait awaits(const CacheMemTransfer *t)
{
    return t->phase == PHASE_OVER ? CACHE_MEM_WORK_DONE :
           t->again == UINT64_MAX ? CACHE_MEM_WORK_LINES :
                                    CACHE_MEM_WORK_OTHERS;
}

const CacheMemTransfer *cache_mem_transfer_next(const CacheMemDev *cm,
                                                const CacheMemTransfer *t,
                                                CacheMemWorkLook *look)
{
    t = t ? QLIST_NEXT(t, next) : QLIST_FIRST(&cm->transfers);
    if (t) {
        *look = (CacheMemWorkLook) {
            .name = t->name,
            .write = t->buf,
            .len = t->len,
            .open = t->open,
            .since = t->since,
            .awaits = awaits(t),
        };
    }
    return t;
}
