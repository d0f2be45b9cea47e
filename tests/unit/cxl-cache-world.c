/*
 * A small world for CXL.cache tests: a home, its devices, memory, a log
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-world.h"

/* Values */

uint64_t world_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

CXLCacheLineData world_data(uint64_t value)
{
    CXLCacheLineData data;
    uint64_t word;
    int i;

    for (i = 0; i < 8; i++) {
        word = value ^ (i * 0x9e3779b97f4a7c15ULL);
        memcpy(data.b + i * 8, &word, 8);
    }
    if (value == WORLD_ONES) {
        memset(&data, 0xff, sizeof(data));
    }
    return data;
}

uint64_t world_value(const CXLCacheLineData *data)
{
    CXLCacheLineData want = world_data(WORLD_ONES);
    uint64_t value;

    if (!memcmp(data, &want, sizeof(want))) {
        return WORLD_ONES;
    }
    memcpy(&value, data, 8);
    want = world_data(value);
    return memcmp(data, &want, sizeof(want)) ? WORLD_TORN : value;
}

void world_merge(CXLCacheLineData *to, const CXLCacheLineData *from,
                 uint64_t be)
{
    int i;

    for (i = 0; i < CXL_CACHE_LINE_SIZE; i++) {
        if (be >> i & 1) {
            to->b[i] = from->b[i];
        }
    }
}

/*
 * What the specification says of the messages, apart from our own tables.
 * GO: states that may be granted, X for the error. Rsp: p WritePull,
 * P GO_WritePull, D GO_WritePull_Drop, F Fast_GO_WritePull, e GO_ERR_WritePull,
 * x ExtCmp.
 */
typedef struct ReqFacts {
    const char *name;
    const char *go;
    const char *rsp;
    bool down;              /* 64 bytes to the device */
    bool cacheable;
    bool evict;
} ReqFacts;

static const ReqFacts req_facts[32] = {
    [0x01] = { "RdCurr",           "",     "",    true,  false, false },
    [0x02] = { "RdOwn",            "EMIX", "",    true,  true,  false },
    [0x03] = { "RdShared",         "SIX",  "",    true,  true,  false },
    [0x04] = { "RdAny",            "SEMIX", "",   true,  true,  false },
    [0x05] = { "RdOwnNoData",      "EX",   "",    false, true,  false },
    [0x06] = { "ItoMWr",           "",     "Pe",  false, false, false },
    [0x07] = { "WrCur",            "",     "Pe",  false, false, false },
    [0x08] = { "CLFlush",          "IX",   "",    false, false, false },
    [0x09] = { "CleanEvict",       "",     "PD",  false, false, true },
    [0x0a] = { "DirtyEvict",       "",     "Pe",  false, false, true },
    [0x0b] = { "CleanEvictNoData", "I",    "",    false, false, true },
    [0x0c] = { "WOWrInv",          "",     "Fex", false, false, false },
    [0x0d] = { "WOWrInvF",         "",     "Fex", false, false, false },
    [0x0e] = { "WrInv",            "IX",   "p",   false, false, false },
    [0x10] = { "CacheFlushed",     "I",    "",    false, false, false },
};

typedef struct RspFacts {
    const char *name;
    uint8_t snoops;         /* 1 << snoop that it may answer */
    bool fwd;
    bool changes;           /* the line's state */
} RspFacts;

static const RspFacts rsp_facts[32] = {
    [0x01] = { "RspSHitSE", 1 << 1 | 1 << 3,          false, true },
    [0x04] = { "RspIHitI",  1 << 1 | 1 << 2 | 1 << 3, false, false },
    [0x05] = { "RspIHitSE", 1 << 2,                   false, true },
    [0x06] = { "RspVHitV",  1 << 3,                   false, false },
    [0x07] = { "RspSFwdM",  1 << 1 | 1 << 3,          true,  true },
    [0x0f] = { "RspIFwdM",  1 << 1 | 1 << 2 | 1 << 3, true,  true },
    [0x16] = { "RspVFwdV",  1 << 3,                   true,  false },
};

static const char *const snoop_names[8] = {
    [1] = "SnpData", [2] = "SnpInv", [3] = "SnpCur",
};

typedef struct GoFacts {
    const char *name;
    char letter;            /* in ReqFacts.rsp */
    bool pull;
    bool drop;
} GoFacts;

static const GoFacts go_facts[16] = {
    [0x1] = { "WritePull",         'p', true,  false },
    [0x4] = { "GO",                0,   false, false },
    [0x5] = { "GO_WritePull",      'P', true,  false },
    [0x6] = { "ExtCmp",            'x', false, false },
    [0x8] = { "GO_WritePull_Drop", 'D', false, true },
    [0xc] = { "Fast_GO",           0,   false, false },
    [0xd] = { "Fast_GO_WritePull", 'F', true,  false },
    [0xf] = { "GO_ERR_WritePull",  'e', true,  false },
};

/* RspData of a GO */
static const char go_letters[16] = {
    [0x1] = 'S', [0x2] = 'E', [0x3] = 'I', [0x4] = 'X', [0x6] = 'M',
};

const char *world_op_name(CXLCacheChannelId channel, unsigned opcode)
{
    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        return opcode < 32 ? req_facts[opcode].name : NULL;
    case CXL_CACHE_D2H_RSP:
        return opcode < 32 ? rsp_facts[opcode].name : NULL;
    case CXL_CACHE_H2D_REQ:
        return opcode < 8 ? snoop_names[opcode] : NULL;
    case CXL_CACHE_H2D_RSP:
        return opcode < 16 ? go_facts[opcode].name : NULL;
    case CXL_CACHE_D2H_DATA:
        return "up";
    default:
        return "down";
    }
}

/* The monitor */

typedef struct MonReq {
    uint64_t line;
    uint8_t op;
    bool live;
    bool go;                /* or ExtCmp, where that ends it */
    bool moved;             /* its data, or there will be none */
    bool pulled;
} MonReq;

typedef struct MonLine {
    uint16_t evict_cqid;
    uint8_t snoop;          /* outstanding, 0 none */
    bool owes;              /* ... answered, but its data are missing */
    bool pull;
    bool half;              /* read data were sent, its GO was not */
    bool evicted;           /* no second one before a cacheable read */
    bool evicting;
    bool changed;           /* ... by a snoop since then */
} MonLine;

typedef struct MonDev {
    MonReq req[CXL_CACHE_ID_MAX];
    uint32_t snoop_line[CXL_CACHE_ID_MAX];      /* by UQID, + 1 */
    uint32_t pull_cqid[CXL_CACHE_ID_MAX];       /* by UQID, + 1 */
    MonLine *line;
} MonDev;

struct WorldMonitor {
    unsigned devs;
    unsigned lines;
    MonDev dev[];
};

WorldMonitor *world_monitor_new(unsigned devs, unsigned lines)
{
    WorldMonitor *m = g_malloc0(sizeof(*m) + devs * sizeof(m->dev[0]));
    unsigned i;

    m->devs = devs;
    m->lines = lines;
    for (i = 0; i < devs; i++) {
        m->dev[i].line = g_new0(MonLine, lines);
    }
    return m;
}

void world_monitor_free(WorldMonitor *m)
{
    unsigned i;

    for (i = 0; m && i < m->devs; i++) {
        g_free(m->dev[i].line);
    }
    g_free(m);
}

/* NULL for lines beside memory: nothing is ever cached there. */
static MonLine *mon_line(WorldMonitor *m, unsigned dev, uint64_t line)
{
    uint64_t n = line - WORLD_BASE;

    return n < m->lines ? &m->dev[dev].line[n] : NULL;
}

static const char *mon_d2h_req(WorldMonitor *m, unsigned dev,
                               const CXLCacheMsg *msg)
{
    MonReq *req = &m->dev[dev].req[msg->cqid];
    const ReqFacts *facts = &req_facts[msg->opcode & 31];
    MonLine *line = mon_line(m, dev, msg->line);

    if (!facts->name) {
        return "reserved request";
    }
    if (req->live) {
        return "CQID in use";
    }
    *req = (MonReq) {
        .line = msg->line,
        .op = msg->opcode,
        .live = true,
        .moved = msg->opcode == 0x05 || msg->opcode == 0x08 ||
                 msg->opcode == 0x0b || msg->opcode == 0x10,
        .go = msg->opcode == 0x01,
    };
    if (line && facts->evict) {
        if (line->evicted) {
            return "second evict without a read";
        }
        line->evicted = true;
        line->evicting = true;
        line->evict_cqid = msg->cqid;
        line->changed = false;
    } else if (line && facts->cacheable) {
        line->evicted = false;
    }
    return NULL;
}

static const char *mon_h2d_req(WorldMonitor *m, unsigned dev,
                               const CXLCacheMsg *msg)
{
    MonLine *line = mon_line(m, dev, msg->line);

    if (!world_op_name(CXL_CACHE_H2D_REQ, msg->opcode)) {
        return "reserved snoop";
    }
    if (!line) {
        return "snoop of a line that is not memory";
    }
    if (m->dev[dev].snoop_line[msg->uqid] || m->dev[dev].pull_cqid[msg->uqid]) {
        return "UQID in use";
    }
    if (line->snoop) {
        return "second snoop (O5)";
    }
    if (line->pull) {
        return "snoop during pull (O4)";
    }
    if (line->half) {
        return "snoop between data and GO (O3)";
    }
    line->snoop = msg->opcode;
    line->owes = false;
    m->dev[dev].snoop_line[msg->uqid] = msg->line - WORLD_BASE + 1;
    return NULL;
}

static void mon_snoop_end(WorldMonitor *m, unsigned dev, unsigned uqid)
{
    m->dev[dev].line[m->dev[dev].snoop_line[uqid] - 1].snoop = 0;
    m->dev[dev].snoop_line[uqid] = 0;
}

static const char *mon_d2h_rsp(WorldMonitor *m, unsigned dev,
                               const CXLCacheMsg *msg)
{
    const RspFacts *facts = &rsp_facts[msg->opcode & 31];
    uint32_t n = m->dev[dev].snoop_line[msg->uqid];
    MonLine *line;

    if (!n) {
        return "response without snoop";
    }
    line = &m->dev[dev].line[n - 1];
    if (!(facts->snoops & 1 << line->snoop)) {
        return "response not in the snoop's set";
    }
    if (line->owes) {
        return "second response";
    }
    line->changed |= facts->changes;
    line->owes = facts->fwd;
    if (!facts->fwd) {
        mon_snoop_end(m, dev, msg->uqid);
    }
    return NULL;
}

/* A request ends with both its answer and its data. */
static void mon_end(WorldMonitor *m, unsigned dev, MonReq *req)
{
    MonLine *line = mon_line(m, dev, req->line);

    req->live = !req->go || !req->moved;
    if (line && line->evicting && !req->live &&
        line->evict_cqid == req - m->dev[dev].req) {
        line->evicting = false;
    }
}

static const char *mon_go(WorldMonitor *m, unsigned dev, MonReq *req,
                          MonLine *line, const CXLCacheMsg *msg)
{
    const ReqFacts *facts = &req_facts[req->op];
    char state = go_letters[msg->rsp_data & 15];

    if (msg->rsp_data > 15 || !state || !strchr(facts->go, state)) {
        return "GO state not in the request's set";
    }
    if (req->go) {
        return "second GO";
    }
    if (req->op == 0x0e && !req->moved) {
        return "GO of a WrInv before its data (O6)";
    }
    if (line) {
        line->half = false;
    }
    req->go = true;
    mon_end(m, dev, req);
    return NULL;
}

static const char *mon_pull(WorldMonitor *m, unsigned dev, MonReq *req,
                            MonLine *line, const CXLCacheMsg *msg)
{
    uint16_t uqid = msg->rsp_data;

    if (req->pulled) {
        return "second pull";
    }
    if (uqid >= CXL_CACHE_ID_MAX || m->dev[dev].pull_cqid[uqid] ||
        m->dev[dev].snoop_line[uqid]) {
        return "UQID in use";
    }
    m->dev[dev].pull_cqid[uqid] = msg->cqid + 1;
    req->pulled = true;
    if (line) {
        line->pull = true;
    }
    /* WrInv has its GO still to come, the weakly ordered ones ExtCmp */
    req->go = req->op != 0x0e && req->op != 0x0c && req->op != 0x0d;
    return NULL;
}

static const char *mon_h2d_rsp(WorldMonitor *m, unsigned dev,
                               const CXLCacheMsg *msg)
{
    MonReq *req = &m->dev[dev].req[msg->cqid];
    const GoFacts *facts = &go_facts[msg->opcode & 15];
    MonLine *line = mon_line(m, dev, req->line);

    if (!req->live) {
        return "answer to no request";
    }
    if (line && line->snoop) {
        return facts->pull ? "pull during snoop (O4)" : "GO during snoop (O2)";
    }
    if (msg->opcode == 0x4) {
        return mon_go(m, dev, req, line, msg);
    }
    if (!facts->letter || !strchr(req_facts[req->op].rsp, facts->letter)) {
        return "answer not in the request's set";
    }
    if (facts->pull) {
        return mon_pull(m, dev, req, line, msg);
    }
    if (facts->letter == 'x' && !req->moved) {
        return "ExtCmp before the data";
    }
    req->go = true;
    req->moved = true;
    mon_end(m, dev, req);
    return NULL;
}

static const char *mon_h2d_data(WorldMonitor *m, unsigned dev,
                                const CXLCacheMsg *msg)
{
    MonReq *req = &m->dev[dev].req[msg->cqid];
    MonLine *line = mon_line(m, dev, req->line);

    if (!req->live || !req_facts[req->op].down) {
        return "data for no read";
    }
    if (req->moved) {
        return "data twice";
    }
    if (line && !req->go) {
        line->half = true;
    }
    req->moved = true;
    mon_end(m, dev, req);
    return NULL;
}

static const char *mon_d2h_data(WorldMonitor *m, unsigned dev,
                                const CXLCacheMsg *msg)
{
    MonDev *d = &m->dev[dev];
    MonLine *line;
    MonReq *req;

    if (d->snoop_line[msg->uqid]) {
        if (!d->line[d->snoop_line[msg->uqid] - 1].owes) {
            return "data before the response that announces them";
        }
        mon_snoop_end(m, dev, msg->uqid);
        return msg->bogus ? "a snoop's data are bogus" : NULL;
    }
    if (!d->pull_cqid[msg->uqid]) {
        return "data that nobody waits for";
    }
    req = &d->req[d->pull_cqid[msg->uqid] - 1];
    line = mon_line(m, dev, req->line);
    d->pull_cqid[msg->uqid] = 0;
    req->moved = true;
    if (line) {
        line->pull = false;
    }
    if (msg->bogus != (req_facts[req->op].evict && line && line->changed)) {
        return "bogus is wrong (O10)";
    }
    mon_end(m, dev, req);
    return NULL;
}

const char *world_monitor_see(WorldMonitor *m, unsigned dev,
                              CXLCacheChannelId channel,
                              const CXLCacheMsg *msg)
{
    static const char *(*const see[])(WorldMonitor *, unsigned,
                                      const CXLCacheMsg *) = {
        mon_d2h_req, mon_d2h_rsp, mon_d2h_data,
        mon_h2d_req, mon_h2d_rsp, mon_h2d_data,
    };

    if (msg->cqid >= CXL_CACHE_ID_MAX || msg->uqid >= CXL_CACHE_ID_MAX) {
        return "ID of more than 12 bits";
    }
    return see[channel](m, dev, msg);
}

/* The log */

static void text_of(GString *text, const WorldSent *s)
{
    const char *name = world_op_name(s->channel, s->msg.opcode);
    bool up = s->channel == CXL_CACHE_D2H_DATA;
    bool down = s->channel == CXL_CACHE_H2D_DATA;

    g_string_append_printf(text, "%s%u.%s", text->len ? " " : "", s->dev,
                           name ?: "reserved");
    if (s->channel == CXL_CACHE_H2D_RSP && s->msg.opcode == 0x4) {
        g_string_append_printf(text, "-%c",
                               go_letters[s->msg.rsp_data & 15] ?: '?');
    }
    if (up && s->msg.bogus) {
        g_string_append(text, ":bogus");
    }
    if (up && s->msg.be != CXL_CACHE_BE_ALL) {
        g_string_append(text, ":be");
    }
    if (down && s->msg.go_err) {
        g_string_append(text, ":err");
    }
    if ((up || down) && s->msg.poison) {
        g_string_append(text, ":poison");
    }
}

/* Whether the data @a only came before @b because either order is fine */
static bool data_first(const WorldSent *a, const WorldSent *b)
{
    if (a->dev != b->dev) {
        return false;
    }
    return (a->channel == CXL_CACHE_D2H_DATA &&
            b->channel == CXL_CACHE_D2H_RSP && a->msg.uqid == b->msg.uqid) ||
           (a->channel == CXL_CACHE_H2D_DATA &&
            b->channel == CXL_CACHE_H2D_RSP && a->msg.cqid == b->msg.cqid);
}

static GString *world_text(World *w)
{
    GString *text = g_string_new(NULL);
    unsigned i;

    for (i = 0; i < MIN(w->num_sent, WORLD_LOG); i++) {
        if (i + 1 < MIN(w->num_sent, WORLD_LOG) &&
            data_first(&w->sent[i], &w->sent[i + 1])) {
            text_of(text, &w->sent[i + 1]);
            text_of(text, &w->sent[i]);
            i++;
        } else {
            text_of(text, &w->sent[i]);
        }
    }
    return text;
}

static G_NORETURN void world_fail(World *w, const char *why)
{
    GString *text = world_text(w);

    fprintf(stderr, "# %s\n# messages: %s\n", why, text->str);
    g_string_free(text, true);
    abort();
}

static void world_sent(void *opaque, CXLCacheChannelId channel,
                       const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    struct WorldEnd *end = opaque;
    World *w = end->world;
    const char *wrong = NULL;
    WorldSent *s;

    if (!w->cfg.no_log && w->num_sent++ < WORLD_LOG) {
        s = &w->sent[w->num_sent - 1];
        s->dev = end->dev;
        s->channel = channel;
        s->msg = *msg;
        s->writes = w->writes;
        if (data) {
            s->data = *data;
        }
    }
    if (w->on_sent) {
        w->on_sent(w, end->dev, channel, msg);
    }
    if (w->monitor) {
        wrong = world_monitor_see(w->monitor, end->dev, channel, msg);
    }
    if (wrong) {
        fprintf(stderr, "# device %u, %s %s, line %" PRIx64 "\n", end->dev,
                cxl_cache_channel_name(channel),
                world_op_name(channel, msg->opcode), msg->line);
        world_fail(w, wrong);
    }
}

static void log_error(World *w, unsigned seen_by, unsigned dev,
                      CXLCacheError err, CXLCacheChannelId channel)
{
    w->err_count[err]++;
    if (w->num_errors++ < WORLD_LOG) {
        w->error[w->num_errors - 1] = (WorldError) {
            .seen_by = seen_by,
            .dev = dev,
            .err = err,
            .channel = channel,
        };
    }
}

static void dev_error(void *opaque, CXLCacheError err,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    struct WorldEnd *end = opaque;

    log_error(end->world, end->dev, end->dev, err, channel);
}

static void home_error(void *opaque, unsigned dev, CXLCacheError err,
                       CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    log_error(opaque, WORLD_HOST, dev, err, channel);
}

static WorldDone *log_done(World *w, const CXLCacheLineData *data)
{
    WorldDone *done;

    if (w->cfg.no_log || w->num_done++ >= WORLD_LOG) {
        return NULL;
    }
    done = &w->done[w->num_done - 1];
    memset(done, 0, sizeof(*done));
    done->has_data = data;
    if (data) {
        done->data = *data;
    }
    return done;
}

static void dev_complete(void *opaque, const CXLCacheDone *d)
{
    struct WorldEnd *end = opaque;
    WorldDone *done = log_done(end->world, d->data);

    if (done) {
        done->dev = end->dev;
        done->d = *d;
    }
    if (end->world->on_done) {
        end->world->on_done(end->world, end->dev, d);
    }
}

static void home_complete(void *opaque, const CXLCacheHostDone *h)
{
    World *w = opaque;
    WorldDone *done = log_done(w, h->data);

    if (done) {
        done->host = true;
        done->h = *h;
    }
    if (w->on_host_done) {
        w->on_host_done(w, h);
    }
}

/* Memory */

static WorldLine *ram_line(World *w, uint64_t line)
{
    return line - WORLD_BASE < w->cfg.ram_lines ? &w->ram[line - WORLD_BASE] :
                                                  NULL;
}

static unsigned home_decode(void *opaque, uint64_t line)
{
    WorldLine *l = ram_line(opaque, line);

    return l ? l->decode : 0;
}

static bool refused(World *w, uint64_t line, bool write, CXLCacheWriteWhy why)
{
    if (w->on_refused) {
        w->on_refused(w, line, write, why);
    }
    return false;
}

static bool home_read(void *opaque, uint64_t line, CXLCacheLineData *data,
                      bool *poison)
{
    WorldLine *l = ram_line(opaque, line);

    if (!l || !(l->decode & CXL_CACHE_MEM_READ) ||
        l->fails & WORLD_FAIL_READ) {
        return refused(opaque, line, false, 0);
    }
    *data = l->data;
    *poison = l->poison;
    if (((World *)opaque)->on_read) {
        ((World *)opaque)->on_read(opaque, line, data);
    }
    return true;
}

static bool home_write(void *opaque, uint64_t line,
                       const CXLCacheLineData *data, uint64_t be, bool poison,
                       CXLCacheWriteWhy why)
{
    World *w = opaque;
    WorldLine *l = ram_line(w, line);

    if (!l || !(l->decode & CXL_CACHE_MEM_WRITE) ||
        l->fails & (why == CXL_CACHE_WRITE_POISON ? WORLD_FAIL_POISON
                                                  : WORLD_FAIL_WRITE)) {
        return refused(w, line, true, why);
    }
    w->writes++;
    w->why[why]++;
    if (w->on_write) {
        w->on_write(w, line, data, be, poison, why);
    }
    if (be == CXL_CACHE_BE_ALL) {
        l->data = *data;
        l->poison = poison;
    } else {
        world_merge(&l->data, data, be);
        l->poison |= poison;
    }
    return true;
}

static bool home_access(void *opaque, uint64_t line, CXLCacheHostAccess access)
{
    WorldLine *l = ram_line(opaque, line);

    g_assert(l);
    if (l->pinned && access < l->access) {
        return false;
    }
    l->access = access;
    return true;
}

static void home_left(void *opaque, uint64_t line, uint32_t context,
                      uint16_t devs)
{
    World *w = opaque;

    if (w->on_left) {
        w->on_left(w, line, context, devs);
    }
}

/*
 * Pages. Who asks for one gets a copy, and memory takes from it what it is told
 * of: what is written and not told, or told and not written, is seen.
 */
static bool home_page(void *opaque, CXLCachePage *page)
{
    World *w = opaque;

    g_assert(page->line < CXL_CACHE_LINE_MAX);
    g_assert(page->line % CXL_CACHE_PAGE_LINES == 0);
    for (unsigned i = 0; i < CXL_CACHE_PAGE_LINES; i++) {
        const WorldLine *l = ram_line(w, page->line + i);

        if (!l || l->poison || l->fails || (i && l->decode != page->flags)) {
            return false;
        }
        page->flags = l->decode;
        page->held |= (uint64_t)(l->access != CXL_CACHE_HOST_RW) << i;
        w->page[i] = l->data;
    }
    page->mem = w->page;
    w->page_line = page->line;
    return true;
}

/* Who is to hold a line has none yet; who gives one up has written it. */
static bool home_page_access(void *opaque, const CXLCachePage *page,
                             uint64_t lines, CXLCacheHostAccess access)
{
    World *w = opaque;
    WorldLine *l = ram_line(w, page->line);

    g_assert(lines && page->mem == w->page && page->line == w->page_line);
    for (uint64_t m = lines; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        if (access > l[i].access) {
            g_assert(!memcmp(&l[i].data, &w->page[i], sizeof(w->page[i])));
            continue;
        }
        g_assert(access < l[i].access);
        g_assert(!cxl_cache_home_tracks(w->home, page->line + i, NULL));
        if (l[i].pinned) {
            return false;
        }
    }
    for (uint64_t m = lines; m; m &= m - 1) {
        l[__builtin_ctzll(m)].access = access;
    }
    return true;
}

static void home_page_written(void *opaque, const CXLCachePage *page,
                              uint64_t lines, CXLCacheWriteWhy why)
{
    World *w = opaque;

    g_assert(lines && page->mem == w->page && page->line == w->page_line);
    for (; lines; lines &= lines - 1) {
        unsigned i = __builtin_ctzll(lines);

        ram_line(w, page->line)[i].data = w->page[i];
        w->writes++;
        w->why[why]++;
    }
}

void world_check_page(World *w)
{
    const WorldLine *l = ram_line(w, w->page_line);

    for (unsigned i = 0; l && i < CXL_CACHE_PAGE_LINES; i++) {
        if (memcmp(&l[i].data, &w->page[i], sizeof(w->page[i]))) {
            world_fail(w, "memory was not told that it is written");
        }
    }
    w->page_line = 0;
}

/* Links with time */

static uint64_t home_now(void *opaque)
{
    World *w = opaque;

    return w->clock;
}

static bool home_defer(void *opaque, uint64_t line)
{
    const WorldLine *l = ram_line(opaque, line);

    return l && l->deferred;
}

static void home_timeout(void *opaque, unsigned dev)
{
    World *w = opaque;

    if (w->on_timeout) {
        w->on_timeout(w, dev);
    }
}

static const CXLCacheHomeOps home_ops = {
    .decode = home_decode,
    .read_line = home_read,
    .write_line = home_write,
    .host_access = home_access,
    .left = home_left,
    .complete = home_complete,
    .error = home_error,
    .now = home_now,
    .defer = home_defer,
    .timeout = home_timeout,
};

static const CXLCacheHomeOps page_ops = {
    .decode = home_decode,
    .read_line = home_read,
    .write_line = home_write,
    .host_access = home_access,
    .left = home_left,
    .complete = home_complete,
    .error = home_error,
    .page = home_page,
    .page_access = home_page_access,
    .page_written = home_page_written,
};

static const CXLCacheDevOps dev_ops = {
    .complete = dev_complete,
    .error = dev_error,
};

/* Life */

WorldConfig world_config(unsigned devs)
{
    return (WorldConfig) {
        .devs = devs,
        .ram_lines = 64,
        .home = {
            .sf_lines = 64,
            .sf_ways = 8,
            .transactions = 16,
            .contexts = true,
        },
        .dev = {
            .size = 16 * CXL_CACHE_LINE_SIZE,
            .ways = 4,
            .requests = 16,
        },
        .link = {
            .depth = { 16, 16, 16, 16, 16, 16 },
            .flit = CXL_CACHE_FLIT_256B,
        },
    };
}

static void world_add(World *w, unsigned i)
{
    CXLCacheLinkConfig cfg = w->cfg.link;

    w->end[i] = (struct WorldEnd) { .world = w, .dev = i };
    cfg.cache_id = i;
    cfg.beside = i && w->cfg.one_wire ? w->link[0] : NULL;
    w->link[i] = cxl_cache_link_new(&cfg);
    g_assert(w->link[i]);
    if (!w->cfg.no_log || !w->cfg.no_monitor) {
        w->link[i]->trace = world_sent;
        w->link[i]->trace_opaque = &w->end[i];
    }
    w->dev[i] = cxl_cache_dev_new(&w->cfg.dev, w->link[i], &dev_ops,
                                  &w->end[i]);
    g_assert(w->dev[i]);
    g_assert_cmpint(cxl_cache_home_attach(w->home, w->link[i]), ==, i);
}

World *world_new(const WorldConfig *cfg)
{
    World *w = g_new0(World, 1);
    unsigned i;

    w->cfg = *cfg;
    w->rng = 0x9e3779b97f4a7c15ULL;
    w->ram = g_new0(WorldLine, cfg->ram_lines);
    for (i = 0; i < cfg->ram_lines; i++) {
        w->ram[i].data = world_data(WORLD_V0 + i);
        w->ram[i].decode = CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
                           CXL_CACHE_MEM_CACHEABLE;
        w->ram[i].access = CXL_CACHE_HOST_RW;
    }
    w->home = cxl_cache_home_new(&cfg->home,
                                 cfg->pages ? &page_ops : &home_ops, w);
    g_assert(w->home);
    if (!cfg->no_monitor) {
        w->monitor = world_monitor_new(cfg->devs, cfg->ram_lines);
    }
    for (i = 0; i < cfg->devs; i++) {
        world_add(w, i);
    }
    return w;
}

World *world(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    return world_new(&cfg);
}

World *world_of_peers(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    cfg.no_monitor = true;
    return world_new(&cfg);
}

void world_add_tests(const char *prefix, const WorldTest *tests, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_autofree char *name = g_strconcat(prefix, tests[i].name, NULL);

        g_test_add_func(name, tests[i].fn);
    }
}

static bool world_is_quiet(World *w)
{
    unsigned i;

    for (i = 0; i < w->cfg.devs; i++) {
        if (cxl_cache_dev_outstanding(w->dev[i])) {
            return false;
        }
    }
    return !cxl_cache_home_open(w->home);
}

void world_free(World *w)
{
    unsigned i;

    world_clear(w);
    if (!w->cfg.no_monitor && world_is_quiet(w)) {
        world_check_quiet(w);
    }
    cxl_cache_home_free(w->home);
    for (i = 0; i < w->cfg.devs; i++) {
        cxl_cache_dev_free(w->dev[i]);
        cxl_cache_link_free(w->link[i]);
    }
    world_monitor_free(w->monitor);
    g_free(w->ram);
    g_free(w);
}

void world_clear(World *w)
{
    if (w->num_errors) {
        fprintf(stderr, "# %s, seen by %d on link %u\n",
                cxl_cache_error_name(w->error[0].err),
                (int)w->error[0].seen_by, w->error[0].dev);
        world_fail(w, "an error was reported");
    }
    w->num_sent = 0;
    w->num_done = 0;
}

/* What tests do */

int world_ask(World *w, unsigned dev, unsigned opcode, unsigned n, uint64_t v,
              uint64_t be)
{
    CXLCacheLineData data = world_data(v);
    CXLCacheReq req = {
        .line = world_line(n),
        .be = be,
        .data = &data,
        .opcode = opcode,
    };

    return cxl_cache_dev_request(w->dev[dev], &req);
}

WorldDone *world_do_be(World *w, unsigned dev, unsigned opcode, unsigned n,
                       uint64_t v, uint64_t be)
{
    unsigned i, before = w->num_done;

    g_assert_cmpint(world_ask(w, dev, opcode, n, v, be), >=, 0);
    cxl_cache_settle(w->home);
    for (i = before; i < w->num_done; i++) {
        if (!w->done[i].host && w->done[i].dev == dev &&
            w->done[i].d.opcode == opcode) {
            return &w->done[i];
        }
    }
    world_fail(w, "a request has not completed");
}

WorldDone *world_do(World *w, unsigned dev, unsigned opcode, unsigned n,
                    uint64_t v)
{
    return world_do_be(w, dev, opcode, n, v, CXL_CACHE_BE_ALL);
}

int world_host_ask(World *w, CXLCacheHostOp op, unsigned n, uint64_t v,
                   uint64_t be)
{
    CXLCacheLineData data = world_data(v);
    CXLCacheHostReq req = {
        .line = world_line(n),
        .be = be,
        .data = &data,
        .op = op,
    };

    return cxl_cache_home_host(w->home, &req);
}

WorldDone *world_host(World *w, CXLCacheHostOp op, unsigned n, uint64_t v)
{
    unsigned before = w->num_done;

    g_assert_cmpint(world_host_ask(w, op, n, v, CXL_CACHE_BE_ALL), ==, 0);
    cxl_cache_settle(w->home);
    if (w->num_done == before || !w->done[w->num_done - 1].host) {
        world_fail(w, "a host access has not completed");
    }
    return &w->done[w->num_done - 1];
}

void world_store(World *w, unsigned dev, unsigned n, uint64_t v)
{
    CXLCacheLineData data = world_data(v);

    g_assert_true(cxl_cache_dev_write(w->dev[dev], world_line(n), &data,
                                      CXL_CACHE_BE_ALL));
}

uint64_t world_load(World *w, unsigned dev, unsigned n)
{
    CXLCacheLineData data;

    g_assert_true(cxl_cache_dev_read(w->dev[dev], world_line(n), &data, NULL));
    return world_value(&data);
}

void world_make(World *w, unsigned dev, unsigned n, CXLCacheState state,
                uint64_t v)
{
    switch (state) {
    case CXL_CACHE_S:
        world_do(w, dev, CXL_CACHE_RD_SHARED, n, 0);
        break;
    case CXL_CACHE_EN:
        world_do(w, dev, CXL_CACHE_RD_OWN_NO_DATA, n, 0);
        break;
    case CXL_CACHE_M:
    case CXL_CACHE_E:
        world_do(w, dev, CXL_CACHE_RD_OWN, n, 0);
        if (state == CXL_CACHE_M) {
            world_store(w, dev, n, v);
        }
        break;
    default:
        g_assert(state == CXL_CACHE_I);
    }
    g_assert_cmpint(world_state(w, dev, n), ==, state);
    world_clear(w);
}

bool world_step(World *w, unsigned dev, CXLCacheChannelId channel)
{
    return channel < CXL_CACHE_H2D_REQ ?
           cxl_cache_home_rx(w->home, dev, channel) :
           cxl_cache_dev_rx(w->dev[dev], channel);
}

void world_must(World *w, unsigned dev, CXLCacheChannelId channel)
{
    if (!world_step(w, dev, channel)) {
        fprintf(stderr, "# device %u, %s\n", dev,
                cxl_cache_channel_name(channel));
        world_fail(w, "a message does not move");
    }
}

bool world_random_step(World *w)
{
    /* The last ones send what was short of credits: devices, then the home. */
    unsigned rx = w->cfg.devs * CXL_CACHE_NUM_CHANNELS;
    unsigned n = rx + w->cfg.devs + 1;
    unsigned start = world_below(w, n), i, k;

    for (i = 0; i < n; i++) {
        k = (start + i) % n;
        if (k == n - 1 ? cxl_cache_home_tx(w->home) :
            k >= rx ? cxl_cache_dev_tx(w->dev[k - rx]) :
            world_step(w, k / CXL_CACHE_NUM_CHANNELS,
                       k % CXL_CACHE_NUM_CHANNELS)) {
            return true;
        }
    }
    return false;
}

void world_random_run(World *w)
{
    while (world_random_step(w)) {
        continue;
    }
}

void world_expect_at(World *w, const char *want, const char *file, int line)
{
    GString *text = world_text(w);

    if (w->num_sent > WORLD_LOG || strcmp(text->str, want)) {
        fprintf(stderr, "# %s:%d\n# want:     %s\n", file, line, want);
        world_fail(w, "other messages than expected");
    }
    g_string_free(text, true);
    world_clear(w);
}

void world_expect_error_at(World *w, unsigned seen_by, CXLCacheError err,
                           const char *file, int line)
{
    if (w->num_errors != 1 || w->error[0].err != err ||
        w->error[0].seen_by != seen_by) {
        fprintf(stderr, "# %s:%d: want one error %s, have %u, the first %s\n",
                file, line, cxl_cache_error_name(err), w->num_errors,
                cxl_cache_error_name(w->error[0].err));
        world_fail(w, "other errors than expected");
    }
    w->num_errors = 0;
}

unsigned world_take_errors(World *w, unsigned seen_by)
{
    unsigned i, n = 0;

    for (i = 0; i < MIN(w->num_errors, WORLD_LOG); i++) {
        n += w->error[i].seen_by == seen_by;
    }
    w->num_errors = 0;
    return n;
}

const WorldSent *world_last(World *w, unsigned dev, CXLCacheChannelId channel)
{
    unsigned i = MIN(w->num_sent, WORLD_LOG);

    while (i-- > 0) {
        if (w->sent[i].dev == dev && w->sent[i].channel == channel) {
            return &w->sent[i];
        }
    }
    world_fail(w, "no such message was sent");
}

/* What must hold */

static void check_credits(World *w, unsigned dev)
{
    const CXLCacheChannel *ch;
    unsigned c;

    for (c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
        ch = &w->link[dev]->ch[c];
        if (ch->credits + cxl_cache_link_used(ch) + ch->freed != ch->depth) {
            world_fail(w, "credits have got lost or were made");
        }
    }
}

static void check_line(World *w, unsigned n, bool quiet)
{
    unsigned i, copies = 0, owners = 0;
    CXLCacheLineData data;
    CXLCacheState state;
    uint16_t tracks;
    bool excl, poison;

    tracks = cxl_cache_home_tracks(w->home, world_line(n), &excl);
    for (i = 0; i < w->cfg.devs; i++) {
        state = world_state(w, i, n);
        if (quiet && state > CXL_CACHE_EN) {
            world_fail(w, "a transient state in a quiet world");
        }
        if (state == CXL_CACHE_I || state > CXL_CACHE_EN) {
            continue;
        }
        copies++;
        owners += state != CXL_CACHE_S;
        if (!(tracks >> i & 1) || (state != CXL_CACHE_S && !excl)) {
            world_fail(w, "a copy that the snoop filter does not know");
        }
        if (w->ram[n].access != CXL_CACHE_HOST_NONE &&
            (state != CXL_CACHE_S || w->ram[n].access != CXL_CACHE_HOST_RO)) {
            world_fail(w, "the host may access what a device holds");
        }
        /* Not so while what a snoop has fetched is still on its way. */
        if (quiet && (state == CXL_CACHE_S || state == CXL_CACHE_E)) {
            g_assert_true(cxl_cache_dev_read(w->dev[i], world_line(n), &data,
                                             &poison));
            if (memcmp(&data, &w->ram[n].data, sizeof(data)) ||
                poison != w->ram[n].poison) {
                world_fail(w, "a clean copy that memory has not");
            }
        }
    }
    if (owners && copies > 1) {
        world_fail(w, "an owner beside another copy");
    }
    if (quiet && !tracks && w->ram[n].access != CXL_CACHE_HOST_RW) {
        world_fail(w, "the host has not got a line back");
    }
}

void world_check_always(World *w)
{
    unsigned i;

    for (i = 0; i < w->cfg.devs; i++) {
        check_credits(w, i);
    }
    for (i = 0; i < w->cfg.ram_lines; i++) {
        check_line(w, i, false);
    }
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), <=,
                     w->cfg.home.sf_lines);
}

void world_check_quiet(World *w)
{
    unsigned i, c;

    if (!world_is_quiet(w)) {
        world_fail(w, "something is still open");
    }
    for (i = 0; i < w->cfg.devs; i++) {
        for (c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
            cxl_cache_link_return_credits(w->link[i], c);
        }
        if (!cxl_cache_link_idle(w->link[i])) {
            world_fail(w, "the link is not idle");
        }
    }
    world_check_always(w);
    for (i = 0; i < w->cfg.ram_lines; i++) {
        check_line(w, i, true);
    }
}

/*
 * The adversary. Lines below ADV_SAFE belong to the good devices and the host:
 * the bad device sends nothing legal about them. It may have all the others.
 */
#define ADV_LINES   12
#define ADV_SAFE    6
#define ADV_BAD     2

typedef struct Adversary {
    World *w;
    const uint8_t *bytes;
    size_t left;
    uint64_t value[ADV_SAFE];       /* last writes */
    uint64_t stamp;
    unsigned host_asked;
    unsigned host_done;
    unsigned reported;              /* of the bad device, or to it */
} Adversary;

static unsigned adv_byte(Adversary *a)
{
    if (!a->left) {
        return 0;
    }
    a->left--;
    return *a->bytes++;
}

static void adv_write(World *w, uint64_t line, const CXLCacheLineData *data,
                      uint64_t be, bool poison, CXLCacheWriteWhy why)
{
    Adversary *a = w->opaque;
    uint64_t n = line - WORLD_BASE;

    if (n >= ADV_SAFE) {
        return;
    }
    if (poison || be != CXL_CACHE_BE_ALL || why == CXL_CACHE_WRITE_POISON) {
        world_fail(w, "a line that is not the adversary's was spoilt");
    }
    if (why != CXL_CACHE_WRITE_BACK) {
        a->value[n] = world_value(data);
    } else if (world_value(data) != a->value[n]) {
        world_fail(w, "foreign data were written back");
    }
}

static void adv_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    Adversary *a = w->opaque;
    uint64_t n = done->line - WORLD_BASE;

    if (dev == ADV_BAD || n >= ADV_SAFE || !done->data ||
        done->state == CXL_CACHE_I) {
        return;
    }
    if (done->failed || done->poison ||
        world_value(done->data) != a->value[n]) {
        world_fail(w, "a good device was given wrong data");
    }
}

static void adv_host_done(World *w, const CXLCacheHostDone *done)
{
    Adversary *a = w->opaque;
    uint64_t n = done->line - WORLD_BASE;

    a->host_done++;
    if (n < ADV_SAFE && done->op == CXL_CACHE_HOST_READ &&
        (done->poison || world_value(done->data) != a->value[n])) {
        world_fail(w, "the host has read wrong data");
    }
}

/* What the good devices do with their lines, and now and then with others */
static void adv_good_turn(Adversary *a, unsigned b)
{
    static const uint8_t ops[] = {
        CXL_CACHE_RD_OWN, CXL_CACHE_RD_SHARED, CXL_CACHE_WR_INV,
        CXL_CACHE_RD_ANY, CXL_CACHE_I_TO_M_WR, CXL_CACHE_RD_OWN_NO_DATA,
        CXL_CACHE_CL_FLUSH, CXL_CACHE_WO_WR_INV_F,
    };
    World *w = a->w;
    unsigned dev = b & 1, op = adv_byte(a);
    unsigned n = (b >> 1) % ADV_SAFE + (op & 0x40 ? ADV_SAFE : 0);
    uint64_t line = world_line(n), v = ++a->stamp;
    CXLCacheState state = cxl_cache_dev_state(w->dev[dev], line);
    CXLCacheLineData data = world_data(v);

    if (state == CXL_CACHE_I) {
        world_ask(w, dev, ops[op % ARRAY_SIZE(ops)], n, v, CXL_CACHE_BE_ALL);
    } else if (op & 1) {
        cxl_cache_dev_evict(w->dev[dev], line);
    } else if (state == CXL_CACHE_S) {
        if (n < ADV_SAFE && world_load(w, dev, n) != a->value[n]) {
            world_fail(w, "a good device has wrong data");
        }
        world_ask(w, dev, CXL_CACHE_RD_OWN_NO_DATA, n, 0, CXL_CACHE_BE_ALL);
    } else if (cxl_cache_dev_write(w->dev[dev], line, &data,
                                   CXL_CACHE_BE_ALL) && n < ADV_SAFE) {
        a->value[n] = v;
    }
}

static void adv_host_turn(Adversary *a, unsigned b)
{
    a->host_asked += !world_host_ask(a->w, b % CXL_CACHE_NUM_HOST_OPS,
                                     (b >> 2) % ADV_LINES, ++a->stamp,
                                     CXL_CACHE_BE_ALL);
}

/* The bad one has its legal moments, else it would never own anything. */
static void adv_legal_turn(Adversary *a, unsigned b)
{
    World *w = a->w;
    unsigned n = ADV_SAFE + b % (ADV_LINES - ADV_SAFE), op = adv_byte(a);
    CXLCacheLineData data = world_data(++a->stamp);

    switch (op >> 6) {
    case 0:
        cxl_cache_dev_evict(w->dev[ADV_BAD], world_line(n));
        break;
    case 1:
        cxl_cache_dev_write(w->dev[ADV_BAD], world_line(n), &data,
                            op & 1 ? CXL_CACHE_BE_ALL : 0xff);
        break;
    default:
        world_ask(w, ADV_BAD, op & 31, n, ++a->stamp,
                  op & 32 ? CXL_CACHE_BE_ALL : op);
    }
}

/* Requests that would give it a good line, or write one, are its right. */
static bool adv_rightful(const CXLCacheMsg *msg)
{
    switch (msg->opcode) {
    case CXL_CACHE_RD_OWN ... CXL_CACHE_WR_CUR:
    case CXL_CACHE_WO_WR_INV ... CXL_CACHE_WR_INV:
        return msg->line - WORLD_BASE < ADV_SAFE;
    default:
        return false;
    }
}

static void adv_inject(Adversary *a, CXLCacheChannelId channel)
{
    unsigned kind = adv_byte(a), id = adv_byte(a), op = adv_byte(a);
    CXLCacheLineData data = world_data(++a->stamp);
    CXLCacheMsg msg = {
        .line = world_line(kind % ADV_LINES),
        .be = kind & 0x40 ? CXL_CACHE_BE_ALL : (uint64_t)op << 8,
        .cqid = id % 8,
        .uqid = id % 8,
        .rsp_data = op >> 4,
        .opcode = op & 31,
        .cache_id = ADV_BAD,
        .bogus = kind & 0x10,
        .poison = kind & 0x20,
        .go_err = kind & 0x80,
    };

    switch (id >> 4) {
    case 0:
        msg.cqid = msg.uqid = 0xffff - id;
        break;
    case 1:
        msg.line = UINT64_MAX - op;
        break;
    case 2:
        msg.opcode = op;
        msg.rsp_data = 0xf00 + op;
        break;
    case 3:
        msg.cache_id = id;
        break;
    default:
        break;
    }
    if (channel == CXL_CACHE_D2H_REQ && adv_rightful(&msg)) {
        msg.line += ADV_SAFE;
    }
    cxl_cache_link_inject(a->w->link[ADV_BAD], channel, &msg, &data);
}

static void adv_errors(Adversary *a)
{
    World *w = a->w;
    unsigned i;

    for (i = 0; i < MIN(w->num_errors, WORLD_LOG); i++) {
        if (w->error[i].dev != ADV_BAD) {
            world_fail(w, "a good device is blamed, or blames the home");
        }
    }
    a->reported += w->num_errors;
    w->num_errors = 0;
}

static void adv_isolate(Adversary *a)
{
    World *w = a->w;
    unsigned n;

    cxl_cache_home_isolate(w->home, ADV_BAD);
    cxl_cache_dev_reset(w->dev[ADV_BAD]);
    cxl_cache_run(w->home);
    for (n = 0; n < ADV_LINES; n++) {
        if (cxl_cache_home_tracks(w->home, world_line(n), NULL) &
            1 << ADV_BAD) {
            world_fail(w, "an isolated device is still tracked");
        }
    }
}

static void adv_turn(Adversary *a)
{
    World *w = a->w;
    unsigned what = adv_byte(a), b = what >> 4;

    switch (what & 15) {
    case 0 ... 3:
        b = adv_byte(a);
        world_step(w, b % 3, b / 3 % CXL_CACHE_NUM_CHANNELS);
        break;
    case 4 ... 5:
        adv_good_turn(a, adv_byte(a));
        break;
    case 6:
        adv_host_turn(a, adv_byte(a));
        break;
    case 7 ... 8:
        adv_legal_turn(a, adv_byte(a));
        break;
    case 9 ... 13:
        adv_inject(a, b % CXL_CACHE_NUM_CHANNELS);
        break;
    case 14:
        cxl_cache_run(w->home);
        break;
    default:
        if (b == 0) {
            adv_isolate(a);
        } else if (b < 12) {
            cxl_cache_home_tx(w->home);
        } else {
            cxl_cache_dev_tx(w->dev[b - 12 < 3 ? b - 12 : 0]);
        }
    }
    adv_errors(a);
}

static void adv_verdict(Adversary *a)
{
    World *w = a->w;
    unsigned i;

    adv_isolate(a);
    if (!world_is_quiet(w) || a->host_asked != a->host_done) {
        world_fail(w, "something waits for ever");
    }
    for (i = 0; i < ADV_LINES; i++) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, i, 0, 0), ==, 0);
        a->host_asked++;
        cxl_cache_run(w->home);
        g_assert_cmpuint(a->host_done, ==, a->host_asked);
    }
    /* It may come back and be good. */
    g_assert_cmpint(world_ask(w, ADV_BAD, CXL_CACHE_RD_OWN, ADV_SAFE, 0,
                              CXL_CACHE_BE_ALL), >=, 0);
    cxl_cache_run(w->home);
    world_store(w, ADV_BAD, ADV_SAFE, ++a->stamp);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, ADV_SAFE, 0, 0),
                    ==, 0);
    cxl_cache_run(w->home);
    g_assert_cmphex(world_ram(w, ADV_SAFE), ==, a->stamp);
    adv_errors(a);
    world_check_quiet(w);
}

unsigned world_adversary(const uint8_t *bytes, size_t len)
{
    WorldConfig cfg = world_config(3);
    Adversary a = { .bytes = bytes, .left = len, .stamp = 0x50000 };
    unsigned mode = adv_byte(&a), i;

    cfg.no_log = true;
    cfg.no_monitor = true;
    cfg.ram_lines = ADV_LINES;
    cfg.home.sf_lines = mode & 1 ? 16 : 4;
    cfg.home.sf_ways = 4;
    cfg.home.transactions = mode & 2 ? 8 : 3;
    cfg.home.forward_dirty = mode & 4;
    cfg.home.pull_clean = mode & 8;
    cfg.dev.size = 4 * CXL_CACHE_LINE_SIZE;
    cfg.dev.requests = 8;
    cfg.dev.clean_evict = (mode >> 4) % 3;
    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = mode & 64 ? 8 : 2;
    }
    a.w = world_new(&cfg);
    a.w->opaque = &a;
    a.w->on_write = adv_write;
    a.w->on_done = adv_done;
    a.w->on_host_done = adv_host_done;
    for (i = 0; i < ADV_SAFE; i++) {
        a.value[i] = world_ram(a.w, i);
    }
    while (a.left) {
        adv_turn(&a);
    }
    adv_verdict(&a);
    world_free(a.w);
    return a.reported;
}
