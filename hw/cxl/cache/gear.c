/*
 * CXL.cache: the fast gear: lines of one page in one step
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a run of transactions comes to when nothing else is under way: each
 * asks nobody, or the one device that has the line, and is answered at once.
 * State, data and counters end as they do when every message is sent, line by
 * line; test-cxl-cache-gear holds the two against each other. Whatever takes
 * more than that is left to messages: a line with several holders, a victim, a
 * state that waits for something, poison, an error.
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_gear.h"
#include "dev.h"
#include "home.h"

/* When */

/* Nothing is under way on the link, and nobody looks at its messages. */
static bool link_ready(const CXLCacheLink *link)
{
    const CXLCacheDev *dev = link ? link->dev : NULL;

    return dev && !link->messages && !link->trace && !link->hold_credits &&
           !dev->busy && !dev->outstanding && !dev->viral && !dev->strays &&
           !link->held &&
           dev->flush == CXL_CACHE_FLUSH_IDLE && cxl_cache_link_idle(link);
}

static bool home_ready(const CXLCacheHome *home)
{
    return home && home->ops->page && !home->busy && !home->tx_open &&
           !home->seen;
}

/* The device's number at its home */
static unsigned number_of(const CXLCacheHome *home, const CXLCacheLink *link)
{
    unsigned n = 0;

    while (home->dev[n].link != link) {
        n++;
    }
    return n;
}

/* Whether it is a run of lines of one page at all */
static bool in_page(uint64_t line, unsigned n)
{
    return line < CXL_CACHE_LINE_MAX && n &&
           n <= CXL_CACHE_PAGE_LINES - line % CXL_CACHE_PAGE_LINES;
}

/* The lines' page, if the fast gear may be used for it */
static bool find_page(CXLCacheHome *home, uint64_t line, unsigned need,
                      CXLCachePage *page)
{
    *page = (CXLCachePage) {
        .line = line & ~(uint64_t)(CXL_CACHE_PAGE_LINES - 1),
    };
    return line < CXL_CACHE_LINE_MAX &&
           home->ops->page(home->opaque, page) && !(need & ~page->flags);
}

static bool ready(CXLCacheDev *dev, uint64_t line, unsigned n, unsigned need,
                  CXLCachePage *page)
{
    CXLCacheHome *home = dev->link->home;

    return in_page(line, n) && link_ready(dev->link) &&
           home_ready(home) && find_page(home, line, need, page);
}

/* All bits of a run */
static uint64_t run_mask(unsigned n)
{
    return UINT64_MAX >> (CXL_CACHE_PAGE_LINES - n);
}

/* Bits of a run, as bits of its page */
static uint64_t of_page(const CXLCachePage *page, uint64_t line, uint64_t run)
{
    return run << (line - page->line);
}

static CXLCacheLineData *page_data(const CXLCachePage *page, uint64_t line)
{
    return &((CXLCacheLineData *)page->mem)[line - page->line];
}

/* As if @n messages had been sent one after the other, and each been taken */
static void passed(CXLCacheLink *link, CXLCacheChannelId channel,
                   unsigned opcode, unsigned n)
{
    CXLCacheChannel *ch = &link->ch[channel];

    if (!n) {
        return;
    }
    ch->head += n;
    ch->tail += n;
    /* Freed credits come back when the sender has none left. */
    ch->freed = (ch->freed + n - 1) % ch->depth + 1;
    ch->credits = ch->depth - ch->freed;
    link->stats->sent[channel][opcode] += n;
}

/* What of a page the host may do more with, or less, when a run is done */
typedef struct Settled {
    uint64_t access[CXL_CACHE_HOST_RW + 1];
    uint64_t written;
} Settled;

static void settle(CXLCacheHome *home, const CXLCachePage *page,
                   const Settled *s)
{
    if (s->written) {
        home->ops->page_written(home->opaque, page, s->written,
                                CXL_CACHE_WRITE_BACK);
    }
    for (int i = 0; i < ARRAY_SIZE(s->access); i++) {
        if (s->access[i]) {
            home->ops->page_access(home->opaque, page, s->access[i], i);
        }
    }
}

/* The line's entry gets another word. */
static void change_entry(CXLCacheHome *home, uint64_t *e, uint64_t word,
                         uint64_t bit, Settled *s)
{
    CXLCacheHostAccess before = sf_access(*e);

    sf_write(home, e, word);
    if (sf_access(*e) != before) {
        s->access[sf_access(*e)] |= bit;
    }
}

/* Lines next to each other in one go; returns how many they are. */
static unsigned copy_lines(void *to, const void *from, uint64_t lines)
{
    unsigned count = __builtin_popcountll(lines);

    while (lines) {
        unsigned first = __builtin_ctzll(lines);
        uint64_t rest = ~(lines >> first);
        unsigned n = rest ? __builtin_ctzll(rest) : CXL_CACHE_PAGE_LINES;

        memcpy(to + first * CXL_CACHE_LINE_SIZE,
               from + first * CXL_CACHE_LINE_SIZE, n * CXL_CACHE_LINE_SIZE);
        lines &= ~(run_mask(n) << first);
    }
    return count;
}

/* Reading */

static bool read_way(CXLCacheDev *dev, int way, void *to)
{
    if (!cxl_cache_may(way_state(dev, way), CXL_CACHE_P_READ) ||
        way_poison(dev, way)) {
        return false;
    }
    touch(dev, way);
    memcpy(to, &dev->data[way], CXL_CACHE_LINE_SIZE);
    return true;
}

uint64_t cxl_cache_page_read(CXLCacheDev *dev, uint64_t line, unsigned n,
                             void *to)
{
    uint64_t held, done;
    unsigned asked;
    CXLCachePage page;

    if (!ready(dev, line, n, CXL_CACHE_MEM_READ, &page)) {
        return 0;
    }
    held = page.held >> (line - page.line) & run_mask(n);
    done = run_mask(n) & ~held;
    asked = copy_lines(to, page_data(&page, line), done);
    for (; held; held &= held - 1) {
        unsigned i = __builtin_ctzll(held);

        done |= (uint64_t)read_way(dev, find_way(dev, line + i),
                                   to + i * CXL_CACHE_LINE_SIZE) << i;
    }
    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_RD_CURR, asked);
    passed(dev->link, CXL_CACHE_H2D_DATA, 0, asked);
    return done;
}

/* Owning */

/* A free way for a line that is not in the cache, or -1 */
static int free_way(const CXLCacheDev *dev, uint64_t line)
{
    int first = set_of(dev, line), end = first + dev->ways;

    for (int i = first; i < end; i++) {
        if (way_state(dev, i) == CXL_CACHE_I) {
            return i;
        }
    }
    return -1;
}

/* Where a line that is nobody's goes */
typedef struct Room {
    uint64_t *e;
    int way;
} Room;

static bool find_room(const CXLCacheDev *dev, const CXLCacheHome *home,
                      uint64_t line, Room *room)
{
    room->way = free_way(dev, line);
    room->e = room->way < 0 ? NULL : sf_free(home, line);
    return room->e;
}

/* Lines of @lines that there is room for, each by itself */
static uint64_t find_rooms(const CXLCacheDev *dev, const CXLCacheHome *home,
                           uint64_t line, uint64_t lines, Room *room)
{
    uint64_t found = 0;

    for (; lines; lines &= lines - 1) {
        unsigned i = __builtin_ctzll(lines);

        found |= (uint64_t)find_room(dev, home, line + i, &room[i]) << i;
    }
    return found;
}

/* Returns false if lines of the same run have taken all the room. */
static bool own_line(CXLCacheDev *dev, CXLCacheHome *home, uint64_t line,
                     unsigned number, Room *room)
{
    if ((*room->e || way_state(dev, room->way) != CXL_CACHE_I) &&
        !find_room(dev, home, line, room)) {
        return false;
    }
    use_set(dev, line);
    dev->tags[room->way] |= line << CXL_CACHE_TAG_LINE_SHIFT | CXL_CACHE_EN;
    touch(dev, room->way);
    *room->e = line << CXL_CACHE_SF_LINE_SHIFT | 1ULL << number |
               CXL_CACHE_SF_EXCL | CXL_CACHE_SF_USED;
    sf_come(home, room->e, number);
    return true;
}

/* What is counted of @n lines that a device owns now */
static void count_owned(CXLCacheDev *dev, CXLCacheHome *home, unsigned n)
{
    dev->states[CXL_CACHE_I] -= n;
    dev->states[CXL_CACHE_EN] += n;
    home->sf_used += n;
    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_RD_OWN_NO_DATA, n);
    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO, n);
}

/* Lines of @lines that may be filled as they are */
static uint64_t fillable(const CXLCacheDev *dev, uint64_t line, uint64_t lines)
{
    uint64_t found = 0;

    for (; lines; lines &= lines - 1) {
        unsigned i = __builtin_ctzll(lines);
        int way = find_way(dev, line + i);

        found |= (uint64_t)!!cxl_cache_may(way_state(dev, way),
                                           CXL_CACHE_P_FILL) << i;
    }
    return found;
}

uint64_t cxl_cache_page_own(CXLCacheDev *dev, uint64_t line, unsigned n)
{
    CXLCacheHome *home = dev->link->home;
    uint64_t held, can, left = 0, done;
    Room room[CXL_CACHE_PAGE_LINES];
    CXLCachePage page;
    unsigned number;

    if (!dev->caching ||
        !ready(dev, line, n, CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
               CXL_CACHE_MEM_CACHEABLE, &page)) {
        return 0;
    }
    held = page.held >> (line - page.line);
    done = fillable(dev, line, held & run_mask(n));
    can = find_rooms(dev, home, line, ~held & run_mask(n), room);
    if (!can ||
        !home->ops->page_access(home->opaque, &page, of_page(&page, line, can),
                                CXL_CACHE_HOST_NONE)) {
        return done;
    }
    number = number_of(home, dev->link);
    for (uint64_t m = can; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        if (!own_line(dev, home, line + i, number, &room[i])) {
            left |= 1ULL << i;
        }
    }
    if (left) {
        home->ops->page_access(home->opaque, &page,
                               of_page(&page, line, left), CXL_CACHE_HOST_RW);
    }
    can &= ~left;
    count_owned(dev, home, __builtin_popcountll(can));
    return done | can;
}

/* Writing */

uint64_t cxl_cache_page_write(CXLCacheDev *dev, uint64_t line, unsigned n,
                              const void *from)
{
    uint64_t done = 0;

    if (!in_page(line, n)) {
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        int way = find_way(dev, line + i);

        if (cxl_cache_may(way_state(dev, way), CXL_CACHE_P_FILL)) {
            touch(dev, way);
            memcpy(&dev->data[way], from + i * CXL_CACHE_LINE_SIZE,
                   CXL_CACHE_LINE_SIZE);
            set_poison(dev, way, false);
            set_state(dev, way, CXL_CACHE_M);
            done |= 1ULL << i;
        }
    }
    return done;
}

uint64_t cxl_cache_page_put(CXLCacheDev *dev, uint64_t line, unsigned n,
                            const void *from)
{
    CXLCacheHome *home = dev->link->home;
    CXLCachePage page;
    uint64_t done;

    if (!ready(dev, line, n, CXL_CACHE_MEM_WRITE, &page)) {
        return 0;
    }
    done = run_mask(n) & ~(page.held >> (line - page.line));
    if (!done) {
        return 0;
    }
    n = copy_lines(page_data(&page, line), from, done);
    home->ops->page_written(home->opaque, &page, of_page(&page, line, done),
                            CXL_CACHE_WRITE_NEW);
    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_I_TO_M_WR, n);
    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO_WRITE_PULL, n);
    passed(dev->link, CXL_CACHE_D2H_DATA, 0, n);
    return done;
}

/* Giving up */

typedef struct Evicted {
    unsigned dirty;
    unsigned clean;
} Evicted;

/* Whether the line is out of the cache */
static bool evict_line(CXLCacheDev *dev, CXLCacheHome *home,
                       const CXLCachePage *page, uint64_t line,
                       unsigned number, Evicted *n, Settled *s)
{
    int way = find_way(dev, line);
    CXLCacheState state = way_state(dev, way);
    uint64_t bit = 1ULL << (line - page->line), *e;

    if (way < 0) {
        return true;
    }
    e = sf_find(home, line);
    if (!owned_by(e, number) || way_poison(dev, way)) {
        return false;
    }
    if (state == CXL_CACHE_M) {
        *page_data(page, line) = dev->data[way];
        s->written |= bit;
        home->stats->write_backs++;
        n->dirty++;
    } else if (cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
               dev->clean_evict == CXL_CACHE_CLEAN_NOTIFY) {
        n->clean++;
    } else {
        return false;
    }
    set_state(dev, way, CXL_CACHE_I);
    change_entry(home, e, *e & ~(1ULL << number), bit, s);
    return true;
}

uint64_t cxl_cache_page_evict(CXLCacheDev *dev, uint64_t line, unsigned n)
{
    CXLCacheHome *home = dev->link->home;
    Evicted evicted = { };
    Settled s = { };
    CXLCachePage page;
    uint64_t done = 0;
    unsigned number;

    if (!ready(dev, line, n, CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE,
               &page)) {
        return 0;
    }
    number = number_of(home, dev->link);
    for (unsigned i = 0; i < n; i++) {
        done |= (uint64_t)evict_line(dev, home, &page, line + i, number,
                                     &evicted, &s) << i;
    }
    settle(home, &page, &s);
    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_DIRTY_EVICT, evicted.dirty);
    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO_WRITE_PULL,
           evicted.dirty);
    passed(dev->link, CXL_CACHE_D2H_DATA, 0, evicted.dirty);
    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_CLEAN_EVICT_NO_DATA,
           evicted.clean);
    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO, evicted.clean);
    return done;
}

/* The host's own accesses */

/* What has gone over one device's link */
typedef struct Snooped {
    unsigned answers[CXL_CACHE_D2H_RSP_CODES];
    unsigned snoops;
    unsigned data;
} Snooped;

typedef struct Recall {
    CXLCacheHome *home;
    CXLCachePage page;
    CXLCacheHostOp op;
    CXLCacheAsk ask;
    uint16_t ready;             /* devices that can be snooped so */
    Settled s;
    Snooped snooped[CXL_CACHE_DEV_MAX];
} Recall;

/* The answer of the line's only holder, if it can be had at once */
static const CXLCacheSnoopRule *answer_of(const CXLCacheDev *dev, int way,
                                          uint8_t snoop, bool owned)
{
    CXLCacheState state = way_state(dev, way);
    const CXLCacheSnoopRule *rule = cxl_cache_dev_snoop_rule(dev, snoop,
                                                             state);

    return cxl_cache_may(state, CXL_CACHE_P_STABLE) && !rule->late &&
           !(rule->fwd && (!owned || way_poison(dev, way))) ? rule : NULL;
}

/* Snoop a device's line. Returns false where it takes messages. */
static bool snoop_line(Recall *r, uint64_t line, uint64_t *e)
{
    CXLCacheHome *home = r->home;
    unsigned number = __builtin_ctzll(*e & CXL_CACHE_SF_DEVS);
    CXLCacheDev *dev = home->dev[number].link->dev;
    uint64_t bit = 1ULL << (line - r->page.line);
    Snooped *n = &r->snooped[number];
    int way = find_way(dev, line);
    const CXLCacheSnoopRule *rule = answer_of(dev, way,
        cxl_cache_ask_snoop[r->ask], *e & CXL_CACHE_SF_EXCL);
    const CXLCacheRspRule *rsp;

    if (!rule) {
        return false;
    }
    rsp = &cxl_cache_rsp_rules[rule->rsp];
    home->stats->host_snoops[r->op]++;
    n->snoops++;
    n->answers[rule->rsp]++;
    if (rsp->data) {
        n->data++;
        *page_data(&r->page, line) = dev->data[way];
        r->s.written |= bit;
        home->stats->write_backs++;
        home->stats->host_dirty[r->op]++;
    }
    if (way >= 0) {
        set_state(dev, way, rule->next);
    }
    change_entry(home, e, *e & ~((rsp->keeps ? 0 : 1ULL << number) |
                                 (rsp->excl ? 0 : CXL_CACHE_SF_EXCL)),
                 bit, &r->s);
    return true;
}

static bool recall_line(Recall *r, uint64_t line)
{
    uint64_t *e = sf_find(r->home, line);
    uint64_t devs = e ? *e & CXL_CACHE_SF_DEVS : 0;

    /* Nobody has it, or those who share it may keep it. */
    if (!devs || (r->ask != CXL_CACHE_ASK_INV && !(*e & CXL_CACHE_SF_EXCL))) {
        return true;
    }
    return !(devs & (devs - 1)) && (devs & r->ready) && snoop_line(r, line, e);
}

static void recalled(Recall *r)
{
    for (unsigned i = 0; i < r->home->num_devs; i++) {
        CXLCacheLink *link = r->home->dev[i].link;
        const Snooped *n = &r->snooped[i];

        if (!n->snoops) {
            continue;
        }
        passed(link, CXL_CACHE_H2D_REQ, cxl_cache_ask_snoop[r->ask],
               n->snoops);
        for (unsigned rsp = 0; rsp < CXL_CACHE_D2H_RSP_CODES; rsp++) {
            passed(link, CXL_CACHE_D2H_RSP, rsp, n->answers[rsp]);
        }
        passed(link, CXL_CACHE_D2H_DATA, 0, n->data);
    }
    settle(r->home, &r->page, &r->s);
}

uint64_t cxl_cache_page_recall(CXLCacheHome *home, uint64_t line,
                               uint64_t lines, CXLCacheHostOp op)
{
    const CXLCacheHomeReq *row = &cxl_cache_home_reqs[CXL_CACHE_ROW_HOST + op];
    Recall r = { .home = home, .op = op, .ask = row->ask };
    uint64_t done = 0;

    /* What is only looked at leaves memory old: its data would be wanted. */
    if (op == CXL_CACHE_HOST_PEEK || !home_ready(home) ||
        !find_page(home, line, row->needs | CXL_CACHE_MEM_WRITE, &r.page)) {
        return 0;
    }
    for (unsigned i = 0; i < home->num_devs; i++) {
        r.ready |= link_ready(home->dev[i].link) << i;
    }
    for (uint64_t m = lines; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        if (recall_line(&r, r.page.line + i)) {
            done |= 1ULL << i;
            home->stats->host[op]++;
        }
    }
    recalled(&r);
    return done;
}
