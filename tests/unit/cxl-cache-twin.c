/*
 * Two CXL.cache worlds of the same history: one has the fast gear
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-beside.h"
#include "cxl-cache-twin.h"

/* Where they differ */

G_NORETURN void twin_fail(Twin *t, const char *why)
{
    fprintf(stderr, "# %s: %s, at step %" PRIu64 "; CXL_CACHE_SEED=%" PRIu64
            "\n", t->what, why, t->step, t->seed);
    abort();
}

int twin_same(Twin *t, int a, int b)
{
    if (a != b) {
        fprintf(stderr, "# %d with the gear, %d by messages\n", a, b);
        twin_fail(t, "the worlds answer differently");
    }
    return a;
}

/* Some bytes of something; @of says of what, and of which. */
static void same(Twin *t, const char *of, int i, const char *name,
                 const void *a, const void *b, size_t size)
{
    const uint8_t *x = a, *y = b;
    size_t at = 0;

    if (!memcmp(a, b, size)) {
        return;
    }
    while (x[at] == y[at]) {
        at++;
    }
    fprintf(stderr, "# %s %d: %s differs from byte %d of %d on:\n#  ", of, i,
            name, (int)at, (int)size);
    at -= at % 8;
    for (int k = 0; k < 2; k++) {
        for (size_t n = MIN(at + 8, size); n-- > at;) {
            fprintf(stderr, "%02x", (k ? y : x)[n]);
        }
        fprintf(stderr, k ? " by messages\n" : " with the gear, ");
    }
    twin_fail(t, "the worlds differ");
}

typedef struct Field {
    const char *name;
    size_t at;
    size_t size;
} Field;

#define FIELD(f) { #f, offsetof(OF, f), sizeof_field(OF, f) }

static void same_fields(Twin *t, const char *of, int i, const Field *f,
                        size_t n, const void *a, const void *b)
{
    for (; n-- > 0; f++) {
        same(t, of, i, f->name, (const char *)a + f->at,
             (const char *)b + f->at, f->size);
    }
}

#define SAME_FIELDS(t, of, i, fields, a, b) \
    same_fields((t), (of), (i), (fields), ARRAY_SIZE(fields), (a), (b))

/* Links */

#define OF CXLCacheMsg
static const Field msg_fields[] = {
    FIELD(line), FIELD(be), FIELD(cqid), FIELD(uqid), FIELD(rsp_data),
    FIELD(opcode), FIELD(cache_id), FIELD(rsp_pre), FIELD(nt), FIELD(bogus),
    FIELD(poison), FIELD(go_err), FIELD(order),
};
#undef OF

#define OF CXLCacheChannel
static const Field channel_fields[] = {
    FIELD(head), FIELD(tail), FIELD(depth), FIELD(credits), FIELD(freed),
};
#undef OF

static void compare_channel(Twin *t, const CXLCacheChannel *a,
                            const CXLCacheChannel *b, const char *name)
{
    SAME_FIELDS(t, name, 0, channel_fields, a, b);
    for (uint32_t at = a->head; at != a->tail; at++) {
        uint32_t i = at & a->mask;

        SAME_FIELDS(t, name, i, msg_fields, &a->msg[i], &b->msg[i]);
        if (a->data) {
            same(t, name, i, "data", &a->data[i], &b->data[i],
                 sizeof(a->data[i]));
        }
    }
}

static void compare_link(Twin *t, unsigned i)
{
    const CXLCacheLink *a = t->w[0]->link[i], *b = t->w[1]->link[i];

    for (int c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
        const char *name = cxl_cache_channel_name(c);

        compare_channel(t, &a->ch[c], &b->ch[c], name);
        same(t, name, i, "messages sent", a->stats->sent[c],
             b->stats->sent[c], sizeof(a->stats->sent[c]));
    }
    same(t, "link", i, "stalls", a->stats->stalled, b->stats->stalled,
         sizeof(a->stats->stalled));
}

/* Devices */

#define OF CXLCacheDevReq
static const Field req_fields[] = {
    FIELD(line), FIELD(be), FIELD(tag), FIELD(way), FIELD(next), FIELD(uqid),
    FIELD(opcode), FIELD(due), FIELD(go), FIELD(pulled), FIELD(got_data),
    FIELD(failed), FIELD(internal), FIELD(poison),
};
#undef OF

#define OF CXLCacheDev
static const Field dev_fields[] = {
    FIELD(cqid_hint), FIELD(outstanding), FIELD(cacheable_out), FIELD(due),
    FIELD(flush_at), FIELD(flush_cqid), FIELD(flush), FIELD(caching),
    FIELD(viral), FIELD(busy), FIELD(states), FIELD(chain),
};
#undef OF

static void compare_reqs(Twin *t, unsigned i, const CXLCacheDev *a,
                         const CXLCacheDev *b)
{
    same(t, "device", i, "free CQIDs", a->cqid_free, b->cqid_free,
         DIV_ROUND_UP(a->requests, 64) * 8);
    for (unsigned k = 0; a->outstanding && k < a->requests; k++) {
        const CXLCacheDevReq *r = &a->req[k];

        if (!r->opcode && !b->req[k].opcode) {
            continue;
        }
        SAME_FIELDS(t, "CQID", k, req_fields, r, &b->req[k]);
        if (r->due == CXL_CACHE_DUE_FORWARD ||
            (r->way < 0 && cxl_cache_req_rules[r->opcode].d2h_data)) {
            same(t, "CQID", k, "data", &a->req_data[k], &b->req_data[k],
                 sizeof(a->req_data[k]));
        }
    }
}

/* Whether the way has data that anybody can still see */
static bool has_data(uint64_t tag)
{
    CXLCacheState state = cxl_cache_tag_state(tag);

    return cxl_cache_may(state, CXL_CACHE_P_DATA) ||
           (tag & CXL_CACHE_TAG_STAGED);
}

static void compare_dev(Twin *t, unsigned i)
{
    const CXLCacheDev *a = t->w[0]->dev[i], *b = t->w[1]->dev[i];
    unsigned n = a->sets * a->ways;

    SAME_FIELDS(t, "device", i, dev_fields, a, b);
    same(t, "device", i, "tags", a->tags, b->tags, n * sizeof(*a->tags));
    for (unsigned k = 0; k < n; k++) {
        if (has_data(a->tags[k])) {
            same(t, "way", k, "data", &a->data[k], &b->data[k],
                 sizeof(a->data[k]));
        }
    }
    same(t, "device", i, "sets in use", a->used.word, b->used.word,
         a->used.words * 8);
    same(t, "device", i, "words of sets in use", a->used.any, b->used.any,
         DIV_ROUND_UP(a->used.words, 64) * 8);
    compare_reqs(t, i, a, b);
}

/* The home */

#define OF CXLCacheHomeStats
static const Field stats_fields[] = {
    FIELD(host), FIELD(host_snoops), FIELD(host_dirty),
    FIELD(back_invalidations), FIELD(write_backs), FIELD(use_once),
    FIELD(sf_walked), FIELD(errors),
};
#undef OF

#define OF CXLCacheHome
static const Field home_fields[] = {
    FIELD(sf_used), FIELD(tx_open), FIELD(tx_hint), FIELD(n_stalled),
    FIELD(busy), FIELD(num_devs), FIELD(sf_lines),
};
#undef OF

#define OF CXLCacheHomeDev
static const Field home_dev_fields[] = {
    FIELD(open), FIELD(snoops), FIELD(cqid_busy),
};
#undef OF

static void compare_txs(Twin *t, const CXLCacheHome *a, const CXLCacheHome *b)
{
    const size_t from = offsetof(CXLCacheTx, be);
    size_t words = DIV_ROUND_UP(a->num_tx, 64);

    same(t, "home", 0, "free trackers", a->tx_free, b->tx_free, words * 8);
    same(t, "home", 0, "stalled trackers", a->tx_stalled, b->tx_stalled,
         words * 8);
    same(t, "home", 0, "chains", a->chain, b->chain,
         (a->chain_mask + 1) * sizeof(*a->chain));
    for (unsigned i = 0; a->tx_open && i < a->num_tx; i++) {
        const CXLCacheTx *x = &a->tx[i], *y = &b->tx[i];

        if (a->tx_free[i / 64] >> (i % 64) & 1) {
            continue;
        }
        same(t, "UQID", i, "line", &x->line, &y->line, sizeof(x->line));
        same(t, "UQID", i, "state", &x->be, &y->be,
             offsetof(CXLCacheTx, data) - from);
        if (x->have) {
            same(t, "UQID", i, "data", &x->data, &y->data, sizeof(x->data));
        }
    }
}

static void compare_home(Twin *t)
{
    const CXLCacheHome *a = t->w[0]->home, *b = t->w[1]->home;
    size_t marks = CXL_CACHE_DEV_MAX * a->sf_mark_words;

    SAME_FIELDS(t, "home", 0, home_fields, a, b);
    SAME_FIELDS(t, "home", 0, stats_fields, a->stats, b->stats);
    same(t, "home", 0, "snoop filter", a->sf, b->sf,
         (size_t)a->sf_sets * a->sf_ways * sizeof(*a->sf));
    same(t, "home", 0, "parts of the filter in use", a->sf_mark, b->sf_mark,
         marks * sizeof(*a->sf_mark));
    same(t, "home", 0, "words of parts in use", a->sf_mark_any, b->sf_mark_any,
         CXL_CACHE_DEV_MAX * DIV_ROUND_UP(a->sf_mark_words, 64) * 8);
    for (unsigned i = 0; i < a->num_devs; i++) {
        SAME_FIELDS(t, "home's device", i, home_dev_fields, &a->dev[i],
                    &b->dev[i]);
    }
    compare_txs(t, a, b);
}

/* Memory */

#define OF WorldLine
static const Field ram_fields[] = {
    FIELD(data), FIELD(poison), FIELD(pinned), FIELD(decode), FIELD(fails),
    FIELD(access),
};
#undef OF

#define OF World
static const Field world_fields[] = {
    FIELD(err_count), FIELD(writes), FIELD(why),
};
#undef OF

void twin_compare(Twin *t)
{
    const World *a = t->w[0], *b = t->w[1];

    for (unsigned i = 0; i < a->cfg.devs; i++) {
        compare_dev(t, i);
        compare_link(t, i);
    }
    compare_home(t);
    SAME_FIELDS(t, "world", 0, world_fields, a, b);
    for (unsigned i = 0; i < a->cfg.ram_lines; i++) {
        SAME_FIELDS(t, "line", i, ram_fields, &a->ram[i], &b->ram[i]);
    }
}

/* What the gear did, by messages */

int twin_number(const World *w, unsigned dev)
{
    int n = cxl_cache_home_devices(w->home);

    while (n-- > 0 && cxl_cache_home_link(w->home, n) != w->link[dev]) {
        continue;
    }
    return n;
}

static void run(Twin *t, int number)
{
    t->beside += beside_run(t->w[1]->home, number);
}

static void on_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    Twin *t = w->opaque;

    t->ended = true;
    t->bad = done->failed || done->poison;
    t->has_data = done->data;
    if (done->data) {
        t->data = *done->data;
    }
}

static void on_host_done(World *w, const CXLCacheHostDone *done)
{
    Twin *t = w->opaque;

    t->ended = true;
    t->bad = done->failed || done->poison;
}

static void must(Twin *t, bool is, const char *why)
{
    if (!is) {
        twin_fail(t, why);
    }
}

static void request(Twin *t, const TwinGear *g, uint64_t line, uint8_t opcode,
                    const CXLCacheLineData *data)
{
    World *w = t->w[1];
    CXLCacheReq req = { .line = line, .opcode = opcode, .data = data };

    t->ended = false;
    must(t, cxl_cache_dev_request(w->dev[g->dev], &req) >= 0,
         "the gear did what a device may not ask for");
    run(t, twin_number(w, g->dev));
    must(t, t->ended && !t->bad, "the gear did what fails by messages");
}

static void read_line(Twin *t, const TwinGear *g, uint64_t line,
                      const CXLCacheLineData *got)
{
    CXLCacheLineData data;
    bool poison = false;

    if (!cxl_cache_dev_read(t->w[1]->dev[g->dev], line, &data, &poison)) {
        request(t, g, line, CXL_CACHE_RD_CURR, NULL);
        must(t, t->has_data, "no data");
        data = t->data;
    }
    must(t, !poison, "the gear has read poison");
    same(t, "line", line - WORLD_BASE, "what is read", got, &data,
         sizeof(data));
}

static void own_line(Twin *t, const TwinGear *g, uint64_t line)
{
    CXLCacheDev *dev = t->w[1]->dev[g->dev];

    if (!cxl_cache_may(cxl_cache_dev_state(dev, line), CXL_CACHE_P_FILL)) {
        request(t, g, line, CXL_CACHE_RD_OWN_NO_DATA, NULL);
    }
    must(t, cxl_cache_may(cxl_cache_dev_state(dev, line), CXL_CACHE_P_FILL),
         "the gear gave a line that messages do not give");
}

static void evict_line(Twin *t, const TwinGear *g, uint64_t line)
{
    World *w = t->w[1];

    must(t, cxl_cache_dev_evict(w->dev[g->dev], line) == 0,
         "the gear evicted what a device may not");
    run(t, twin_number(w, g->dev));
    must(t, cxl_cache_dev_state(w->dev[g->dev], line) == CXL_CACHE_I,
         "the gear evicted what stays by messages");
}

static void recall_line(Twin *t, const TwinGear *g, uint64_t line)
{
    World *w = t->w[1];
    uint16_t devs = cxl_cache_home_tracks(w->home, line, NULL);
    CXLCacheHostReq req = { .line = line, .op = g->op };

    t->ended = false;
    must(t, cxl_cache_home_host(w->home, &req) == 0,
         "the gear did what the host may not");
    if (!t->ended) {
        run(t, __builtin_ctz(devs));
    }
    must(t, t->ended && !t->bad, "the gear did what fails for the host");
}

static void fill(const TwinGear *g, CXLCacheLineData *data)
{
    for (unsigned i = 0; i < g->n; i++) {
        data[i] = world_data(g->value + i);
    }
}

/* Before the gear, and after it */
static void count_sent(Twin *t, int sign)
{
    for (unsigned i = 0; i < t->w[0]->cfg.devs; i++) {
        const CXLCacheLinkStats *stats = t->w[0]->link[i]->stats;

        for (int c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
            for (int op = 0; op < CXL_CACHE_D2H_REQ_CODES; op++) {
                t->sent[c][op] += sign * stats->sent[c][op];
            }
        }
    }
}

static uint64_t by_gear(Twin *t, const TwinGear *g, CXLCacheLineData *data)
{
    World *w = t->w[0];

    switch (g->kind) {
    case TWIN_READ:
        return cxl_cache_page_read(w->dev[g->dev], g->line, g->n, data);
    case TWIN_OWN:
        return cxl_cache_page_own(w->dev[g->dev], g->line, g->n);
    case TWIN_WRITE:
        return cxl_cache_page_write(w->dev[g->dev], g->line, g->n, data);
    case TWIN_PUT:
        return cxl_cache_page_put(w->dev[g->dev], g->line, g->n, data);
    case TWIN_EVICT:
        return cxl_cache_page_evict(w->dev[g->dev], g->line, g->n);
    default:
        return cxl_cache_page_recall(w->home, g->line, g->lines, g->op);
    }
}

static void by_messages(Twin *t, const TwinGear *g, uint64_t line,
                        const CXLCacheLineData *data)
{
    switch (g->kind) {
    case TWIN_READ:
        read_line(t, g, line, data);
        break;
    case TWIN_OWN:
        own_line(t, g, line);
        break;
    case TWIN_WRITE:
        must(t, cxl_cache_dev_write(t->w[1]->dev[g->dev], line, data,
                                    CXL_CACHE_BE_ALL),
             "the gear wrote what a device may not");
        break;
    case TWIN_PUT:
        request(t, g, line, CXL_CACHE_I_TO_M_WR, data);
        break;
    case TWIN_EVICT:
        evict_line(t, g, line);
        break;
    default:
        recall_line(t, g, line);
    }
}

uint64_t twin_gear(Twin *t, const TwinGear *g)
{
    static const char *const names[TWIN_KINDS] = {
        "read", "own", "write", "put", "evict", "recall",
    };
    CXLCacheLineData data[2 * CXL_CACHE_PAGE_LINES];
    uint64_t line = g->kind == TWIN_RECALL ?
                    ROUND_DOWN(g->line, CXL_CACHE_PAGE_LINES) : g->line;
    uint64_t asked = g->kind == TWIN_RECALL ? g->lines :
                     g->n < 64 ? (1ULL << g->n) - 1 : UINT64_MAX;
    uint64_t done;

    g_assert(g->n <= ARRAY_SIZE(data));
    t->what = names[g->kind];
    fill(g, data);
    count_sent(t, -1);
    done = by_gear(t, g, data);
    count_sent(t, 1);
    must(t, !(done & ~asked), "the gear did what it was not asked for");
    world_check_page(t->w[0]);
    for (unsigned i = 0; g->kind == TWIN_READ && i < g->n; i++) {
        CXLCacheLineData was = world_data(g->value + i);

        must(t, (i < 64 && (done >> i & 1)) ||
             !memcmp(&was, &data[i], sizeof(was)),
             "data of a line that is not done");
    }
    for (uint64_t m = done; m; m &= m - 1) {
        unsigned i = __builtin_ctzll(m);

        by_messages(t, g, line + i, &data[i]);
    }
    t->done[g->kind] += __builtin_popcountll(done);
    t->none[g->kind] += !done;
    twin_compare(t);
    return done;
}

void twin_run(Twin *t)
{
    twin_same(t, cxl_cache_run(t->w[0]->home), cxl_cache_run(t->w[1]->home));
}

/* Life */

Twin *twin_new(const WorldConfig *config)
{
    Twin *t = g_new0(Twin, 1);
    WorldConfig cfg = *config;

    cfg.no_log = cfg.no_monitor = cfg.pages = true;
    t->rng = 0x9e3779b97f4a7c15ULL;
    t->what = "nothing yet";
    for (int i = 0; i < 2; i++) {
        t->w[i] = world_new(&cfg);
        t->w[i]->opaque = t;
    }
    t->w[1]->on_done = on_done;
    t->w[1]->on_host_done = on_host_done;
    return t;
}

void twin_free(Twin *t)
{
    for (int i = 0; i < 2; i++) {
        t->w[i]->num_errors = 0;
        world_free(t->w[i]);
    }
    g_free(t);
}
