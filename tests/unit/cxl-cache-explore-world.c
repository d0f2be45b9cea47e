/*
 * State space search of CXL.cache: the world and the steps it can take
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

void world_broken(World *w, const char *rule, const char *fmt, ...)
{
    va_list ap;
    char *text;

    if (w->broken) {
        return;
    }
    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    w->broken = g_strdup_printf("%s: %s", rule, text);
    g_free(text);
}

/* Data of a line: two cells, each with the line's number and a value */

#define CELL(line, value) ((line) << 6 | (value))
#define CELL_HIGH (CXL_CACHE_LINE_SIZE - 1)

void data_set(CXLCacheLineData *data, unsigned line, unsigned low,
              unsigned high)
{
    memset(data, 0, sizeof(*data));
    data->b[0] = CELL(line, low);
    data->b[CELL_HIGH] = CELL(line, high);
}

bool data_get(const CXLCacheLineData *data, unsigned line, uint8_t value[2])
{
    CXLCacheLineData again;

    value[0] = data->b[0] & 0x3f;
    value[1] = data->b[CELL_HIGH] & 0x3f;
    data_set(&again, line, value[0], value[1]);
    return !memcmp(data, &again, sizeof(again));
}

bool data_is(const World *w, const CXLCacheLineData *data, unsigned line)
{
    uint8_t value[2];

    return data_get(data, line, value) && value[0] == w->last[line][0] &&
           value[1] == w->last[line][1];
}

/* A value that never was */
static uint8_t fresh(World *w)
{
    g_assert(w->fresh < 0x3f);
    return w->fresh++;
}

/* Memory */

static unsigned mem_decode(void *opaque, uint64_t line)
{
    World *w = opaque;

    g_assert(line < w->cfg->lines);
    return w->cfg->decode[line];
}

static bool mem_read(void *opaque, uint64_t line, CXLCacheLineData *data,
                     bool *poison)
{
    World *w = opaque;
    GhostLine *l = &w->g->line[line];

    if (!(w->cfg->decode[line] & CXL_CACHE_MEM_READ)) {
        world_broken(w, "decode", "memory read where none is readable");
    }
    data_set(data, line, l->ram[0], l->ram[1]);
    *poison = l->ram_poison;
    return true;
}

static void mem_write_back(World *w, unsigned line,
                           const CXLCacheLineData *data, uint64_t be,
                           bool poison)
{
    GhostLine *l = &w->g->line[line];

    if (be != CXL_CACHE_BE_ALL) {
        world_broken(w, "I3", "part of L%u is written back", line);
    }
    if (!data_is(w, data, line)) {
        world_broken(w, "I3", "L%u is written back with old data", line);
    }
    if (!memcmp(l->ram, w->last[line], HALVES)) {
        world_broken(w, "I4", "L%u is written back, memory has it", line);
    }
    if (poison != l->poison) {
        world_broken(w, "I14", "L%u is written back, poison %d became %d",
                     line, l->poison, poison);
    }
    memcpy(l->ram, w->last[line], HALVES);
    l->ram_poison = poison;
}

static void mem_write_new(World *w, unsigned line,
                          const CXLCacheLineData *data, uint64_t be,
                          bool poison)
{
    GhostLine *l = &w->g->line[line];
    uint8_t due = be == CXL_CACHE_BE_ALL ? DUE_LOW | DUE_HIGH :
                  be == BE_LOW ? DUE_LOW : be ? UINT8_MAX : 0;
    uint8_t value[2];
    unsigned h;

    if (due != l->due && !w->running) {
        world_broken(w, "I7", "L%u is written with bytes %" PRIx64
                     ", which nobody asked for", line, be);
        return;
    }
    if (poison != l->due_poison && !w->running) {
        world_broken(w, "I14", "L%u is written with poison %d", line, poison);
    }
    l->due = 0;
    l->due_poison = 0;
    if (!due) {
        return;
    }
    if (!data_get(data, line, value)) {
        world_broken(w, "I2", "L%u is written with another line's data", line);
    }
    for (h = 0; h < HALVES; h++) {
        if (!(due & 1 << h)) {
            continue;
        }
        if (value[h] != PEND) {
            world_broken(w, "I2", "L%u is written with old data", line);
        }
        /* A partial write merges: what it leaves must be the last value. */
        w->last[line][h] = fresh(w);
        l->ram[h] = w->last[line][h];
    }
    l->poison = poison || (due != (DUE_LOW | DUE_HIGH) && l->poison);
    l->ram_poison = poison ||
                    (due != (DUE_LOW | DUE_HIGH) && l->ram_poison);
    rules_written(w, line);
}

static bool mem_write(void *opaque, uint64_t line,
                      const CXLCacheLineData *data, uint64_t be, bool poison,
                      CXLCacheWriteWhy why)
{
    World *w = opaque;

    if (!(w->cfg->decode[line] & CXL_CACHE_MEM_WRITE)) {
        world_broken(w, "decode", "memory written where none is writable");
        return false;
    }
    if (w->log) {
        g_test_message("        memory: L%u written", (unsigned)line);
    }
    switch (why) {
    case CXL_CACHE_WRITE_BACK:
        mem_write_back(w, line, data, be, poison);
        break;
    case CXL_CACHE_WRITE_NEW:
    case CXL_CACHE_WRITE_HOST:
        mem_write_new(w, line, data, be, poison);
        break;
    default:
        world_broken(w, "I14", "L%u is poisoned, no device was lost",
                     (unsigned)line);
    }
    return true;
}

static const char *const access_names[] = {
    [CXL_CACHE_HOST_NONE] = "none",
    [CXL_CACHE_HOST_RO]   = "read-only",
    [CXL_CACHE_HOST_RW]   = "read-write",
};

static bool mem_host_access(void *opaque, uint64_t line,
                            CXLCacheHostAccess access)
{
    World *w = opaque;
    GhostLine *l = &w->g->line[line];

    if (access < l->access && (l->pinned || w->cfg->may & MAY_REFUSE)) {
        return false;
    }
    if (w->log) {
        g_test_message("        host's access to L%u: %s", (unsigned)line,
                       access_names[access]);
    }
    l->access = access;
    return true;
}

static void host_done(void *opaque, const CXLCacheHostDone *done)
{
    World *w = opaque;
    GhostLine *l = &w->g->line[done->line];
    unsigned decode = w->cfg->decode[done->line];
    bool write = l->host_op == CXL_CACHE_HOST_WRITE;
    bool bad = write ? !(decode & CXL_CACHE_MEM_WRITE) && l->due :
               l->host_op != CXL_CACHE_HOST_FLUSH &&
               !(decode & CXL_CACHE_MEM_READ);

    if (!(l->host & HOST_ACTIVE) || l->host & HOST_DONE ||
        done->op != l->host_op || done->tag != done->line) {
        world_broken(w, "I7", "a host access completes that is not open");
        return;
    }
    l->host |= HOST_DONE;
    if (done->failed != bad) {
        world_broken(w, "decode", "a host access fails: %d, should: %d",
                     done->failed, bad);
    }
    if (bad) {
        l->due = 0;
        return;
    }
    if (write && l->due) {
        world_broken(w, "I3", "a host write completes and is lost");
    }
    if (write || done->op == CXL_CACHE_HOST_FLUSH || w->running) {
        return;
    }
    if (!(l->host & HOST_WRITTEN) && !data_is(w, done->data, done->line)) {
        world_broken(w, "I2", "the host reads old data of L%u",
                     (unsigned)done->line);
    }
    if (!(l->host & HOST_WRITTEN) && done->poison != l->poison) {
        world_broken(w, "I14", "the host reads L%u, poison %d became %d",
                     (unsigned)done->line, l->poison, done->poison);
    }
}

/* What a configuration makes legitimate errors */
static bool error_expected(const World *w, CXLCacheError err)
{
    const unsigned good = CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |
                          CXL_CACHE_MEM_CACHEABLE;
    unsigned i;

    for (i = 0; i < w->cfg->lines && w->cfg->decode[i] == good; i++) {
        continue;
    }
    return err == CXL_CACHE_ERR_DECODE &&
           (i != w->cfg->lines || w->cfg->may & (MAY_REFUSE | MAY_PIN));
}

static void home_error(void *opaque, unsigned dev, CXLCacheError err,
                       CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    World *w = opaque;
    char buf[CXL_CACHE_MSG_STR];

    if (!error_expected(w, err)) {
        world_broken(w, "error", "the home reports %s of device %u: %s",
                     cxl_cache_error_name(err), dev,
                     msg ? cxl_cache_msg_str(channel, msg, buf) : "");
    }
}

static const CXLCacheHomeOps home_ops = {
    .decode = mem_decode,
    .read_line = mem_read,
    .write_line = mem_write,
    .host_access = mem_host_access,
    .complete = host_done,
    .error = home_error,
};

static void dev_complete(void *opaque, const CXLCacheDone *done)
{
    WorldDev *ctx = opaque;

    rules_done(ctx->w, ctx->nr, done);
}

static void dev_error(void *opaque, CXLCacheError err,
                      CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    WorldDev *ctx = opaque;
    World *w = ctx->w;
    char buf[CXL_CACHE_MSG_STR];

    if (!error_expected(w, err)) {
        world_broken(w, "error", "device %u reports %s of the home: %s",
                     ctx->nr, cxl_cache_error_name(err),
                     msg ? cxl_cache_msg_str(channel, msg, buf) : "");
    }
}

static const CXLCacheDevOps dev_ops = {
    .complete = dev_complete,
    .error = dev_error,
};

static void sent(void *opaque, CXLCacheChannelId channel,
                 const CXLCacheMsg *msg, const CXLCacheLineData *data)
{
    WorldDev *ctx = opaque;
    World *w = ctx->w;
    char buf[CXL_CACHE_MSG_STR];

    w->sent++;
    if (w->log) {
        g_test_message("        D%u %s", ctx->nr,
                       cxl_cache_msg_str(channel, msg, buf));
    }
    if (!w->running) {
        w->opcodes[channel] |= 1ULL << msg->opcode;
        rules_sent(w, ctx->nr, channel, msg, data);
    }
}

static void cell_seen(void *opaque, CXLCacheHomeTable table, unsigned row,
                      unsigned cell)
{
    World *w = opaque;

    w->home_cells[table][row] |= 1u << cell;
}

/* Set-up */

World *world_new(const ExploreConfig *cfg)
{
    World *w = g_new0(World, 1);
    unsigned i, ch;

    w->cfg = cfg;
    w->g = g_new0(Ghost, 1);
    w->home = cxl_cache_home_new(&cfg->home, &home_ops, w);
    g_assert_nonnull(w->home);
    w->home->seen = cell_seen;
    for (i = 0; i < DEVS; i++) {
        CXLCacheDevConfig dev_cfg = {
            .size = cfg->cache_lines * CXL_CACHE_LINE_SIZE,
            .ways = cfg->cache_ways,
            .requests = cfg->reqs,
            .clean_evict = cfg->clean_evict,
            .snp_data_invalidates = cfg->snp_data_invalidates,
        };
        CXLCacheLinkConfig link_cfg = {
            .flit = CXL_CACHE_FLIT_256B,
            .cache_id = i,
        };

        for (ch = 0; ch < CXL_CACHE_NUM_CHANNELS; ch++) {
            link_cfg.depth[ch] = cfg->depth;
        }
        w->ctx[i] = (WorldDev) { w, i };
        w->link[i] = cxl_cache_link_new(&link_cfg);
        g_assert_nonnull(w->link[i]);
        w->link[i]->trace = sent;
        w->link[i]->trace_opaque = &w->ctx[i];
        w->link[i]->hold_credits = cfg->hold_credits & 1 << i;
        w->dev[i] = cxl_cache_dev_new(&dev_cfg, w->link[i], &dev_ops,
                                      &w->ctx[i]);
        g_assert_nonnull(w->dev[i]);
        g_assert_cmpint(cxl_cache_home_attach(w->home, w->link[i]), ==, i);
    }
    for (i = 0; i < LINES; i++) {
        memset(w->g->line[i].ram, CUR, HALVES);
        w->g->line[i].access = CXL_CACHE_HOST_RW;
    }
    memset(w->last, CUR, sizeof(w->last));
    w->fresh = FRESH;
    canon_init(w);
    return w;
}

void world_free(World *w)
{
    unsigned i;

    for (i = 0; i < DEVS; i++) {
        cxl_cache_home_detach(w->home, i);
        cxl_cache_dev_free(w->dev[i]);
        cxl_cache_link_free(w->link[i]);
    }
    cxl_cache_home_free(w->home);
    g_free(w->g);
    g_free(w->image);
    g_free(w->first);
    g_free(w->broken);
    g_free(w);
}

/* Steps */

static CXLCacheState line_state(const World *w, const Step *s)
{
    return w->before[s->dev][s->line];
}

/* Variants to try of a request: bit n for VARIANT_n */
static unsigned request_variants(const World *w, unsigned op)
{
    unsigned may = w->cfg->may;
    unsigned v = 1 << VARIANT_FULL;

    switch (op) {
    case CXL_CACHE_RD_OWN:
    case CXL_CACHE_RD_SHARED:
    case CXL_CACHE_RD_ANY:
    case CXL_CACHE_RD_OWN_NO_DATA:
        return v | (may & MAY_NT ? 1 << VARIANT_NT : 0);
    case CXL_CACHE_WO_WR_INV:
        v = may & MAY_PART ? 1 << VARIANT_LOW | 1 << VARIANT_NONE :
            1 << VARIANT_LOW;
        break;
    case CXL_CACHE_WR_INV:
        v |= may & MAY_PART ? 1 << VARIANT_LOW | 1 << VARIANT_NONE : 0;
        break;
    case CXL_CACHE_I_TO_M_WR:
    case CXL_CACHE_WR_CUR:
    case CXL_CACHE_WO_WR_INV_F:
        break;
    default:
        return v;
    }
    return v | (may & MAY_POISON && op != CXL_CACHE_WO_WR_INV ?
                1 << VARIANT_POISON : 0);
}

static uint64_t variant_be(unsigned variant)
{
    return variant == VARIANT_LOW ? BE_LOW :
           variant == VARIANT_NONE ? 0 : CXL_CACHE_BE_ALL;
}

static bool lines_changed(const World *w, unsigned dev)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (cxl_cache_dev_state(w->dev[dev], l) != w->before[dev][l]) {
            return true;
        }
    }
    return false;
}

static bool step_request(World *w, const Step *s)
{
    bool must = rules_must_accept(w, s->dev, s->line, s->arg);
    CXLCacheLineData data;
    CXLCacheReq req = {
        .line = s->line,
        .be = variant_be(s->variant),
        .data = &data,
        .tag = s->line,
        .opcode = s->arg,
        .nt = s->variant == VARIANT_NT,
        .poison = s->variant == VARIANT_POISON,
    };
    unsigned i, open = 0;
    int ret;

    for (i = 0; i < MAX_REQS; i++) {
        open |= w->g->dev[s->dev].req[i].op ? 1 << i : 0;
    }
    /* Bytes that are not enabled must not matter. */
    data_set(&data, s->line, PEND,
             s->variant == VARIANT_LOW ? STALE : PEND);
    ret = cxl_cache_dev_request(w->dev[s->dev], &req);
    if (ret >= 0) {
        GhostReq *r = &w->g->dev[s->dev].req[ret];

        if (r->op != s->arg) {
            world_broken(w, "I7", "a request is accepted and not sent");
        }
        r->part = s->variant == VARIANT_LOW;
        r->empty = s->variant == VARIANT_NONE;
        r->poison = req.poison;
        return true;
    }
    for (i = 0; i < MAX_REQS; i++) {
        GhostReq *r = &w->g->dev[s->dev].req[i];

        r->internal |= r->op && !(open & 1 << i);
    }
    if (must) {
        world_broken(w, "I8", "a legal request is refused: %s",
                     g_strerror(-ret));
    }
    /* What may have happened is that a victim left. */
    return w->sent || lines_changed(w, s->dev);
}

static bool step_store(World *w, const Step *s)
{
    unsigned state = line_state(w, s);
    bool part = s->variant == VARIANT_LOW;
    bool may = state == CXL_CACHE_E || state == CXL_CACHE_M ||
               (state == CXL_CACHE_EN && !part);
    GhostLine *l = &w->g->line[s->line];
    CXLCacheLineData data;
    uint8_t value = fresh(w);
    bool ok;

    data_set(&data, s->line, value, part ? STALE : value);
    ok = cxl_cache_dev_write(w->dev[s->dev], s->line, &data,
                             variant_be(s->variant));
    if (ok != may) {
        world_broken(w, "I1", "a store to L%u in %s is %s", s->line,
                     cxl_cache_states[state].name,
                     ok ? "accepted" : "refused");
    }
    if (ok) {
        w->last[s->line][0] = value;
        if (!part) {
            w->last[s->line][1] = value;
            l->poison = false;
        }
        rules_written(w, s->line);
    }
    return ok;
}

static bool step_drop(World *w, const Step *s)
{
    unsigned state = line_state(w, s);
    bool may = state == CXL_CACHE_S || state == CXL_CACHE_E ||
               state == CXL_CACHE_EN;
    bool ok = cxl_cache_dev_drop(w->dev[s->dev], s->line);

    if (ok != may) {
        world_broken(w, "I3", "dropping L%u in %s is %s", s->line,
                     cxl_cache_states[state].name,
                     ok ? "accepted" : "refused");
    }
    return ok;
}

static bool no_credit(const World *w, unsigned dev, CXLCacheChannelId channel)
{
    const CXLCacheChannel *ch = &w->link[dev]->ch[channel];

    return !ch->credits && (!ch->freed || w->link[dev]->hold_credits);
}

/* What is not taken has a reason to wait, and only what may wait has one. */
static void rx_must_wait(World *w, const Step *s, const CXLCacheMsg *msg)
{
    bool credit = no_credit(w, s->dev, CXL_CACHE_D2H_DATA);
    bool may;

    switch (s->arg) {
    case CXL_CACHE_D2H_REQ:
        may = cxl_cache_home_open(w->home) ||
              no_credit(w, s->dev, CXL_CACHE_H2D_RSP);
        break;
    case CXL_CACHE_H2D_REQ:
        may = credit || no_credit(w, s->dev, CXL_CACHE_D2H_RSP) ||
              w->g->dev[s->dev].snoop[msg->line].older;
        break;
    case CXL_CACHE_H2D_RSP:
    case CXL_CACHE_H2D_DATA:
        may = credit;
        break;
    default:
        may = false;
    }
    if (!may) {
        world_broken(w, "O13", "a message of %s waits for nothing",
                     cxl_cache_channel_name(s->arg));
    }
}

/* Take a message: the observer looks first, as answers are sent at once. */
static bool step_rx(World *w, const Step *s, bool home)
{
    const CXLCacheMsg *head = cxl_cache_link_peek(w->link[s->dev], s->arg);
    Ghost ghost = *w->g;
    CXLCacheMsg msg;
    bool ok;

    if (!head) {
        return false;
    }
    msg = *head;
    rules_received(w, s->dev, s->arg, &msg);
    ok = home ? cxl_cache_home_rx(w->home, s->dev, s->arg) :
                cxl_cache_dev_rx(w->dev[s->dev], s->arg);
    if (!ok) {
        *w->g = ghost;
        g_clear_pointer(&w->broken, g_free);
        rx_must_wait(w, s, &msg);
    } else if (s->arg == CXL_CACHE_H2D_REQ) {
        w->cells[msg.opcode] |= 1u << w->before[s->dev][msg.line];
        rules_snooped(w, s->dev, msg.line);
    }
    return ok;
}

static bool step_host(World *w, const Step *s)
{
    GhostLine *l = &w->g->line[s->line];
    CXLCacheLineData data;
    bool low = s->variant == VARIANT_LOW;
    CXLCacheHostReq req = {
        .line = s->line,
        .be = variant_be(s->variant),
        .data = &data,
        .tag = s->line,
        .op = s->arg,
        .poison = s->variant == VARIANT_POISON,
    };
    GhostLine old = *l;
    int ret;

    data_set(&data, s->line, PEND, low ? STALE : PEND);
    l->host = HOST_ACTIVE;
    l->host_op = s->arg;
    if (s->arg == CXL_CACHE_HOST_WRITE && req.be) {
        l->host |= low ? HOST_PART : 0;
        l->due = low ? DUE_LOW : DUE_LOW | DUE_HIGH;
        l->due_poison = req.poison;
    }
    ret = cxl_cache_home_host(w->home, &req);
    if (ret) {
        *l = old;
    } else if (l->host & HOST_DONE) {
        l->host = 0;
        l->host_op = 0;
    }
    return !ret;
}

/* The host goes to memory by itself, as it may where no device has the line. */
static bool step_host_store(World *w, const Step *s)
{
    GhostLine *l = &w->g->line[s->line];

    memset(w->last[s->line], fresh(w), HALVES);
    memcpy(l->ram, w->last[s->line], HALVES);
    l->poison = l->ram_poison = false;
    rules_written(w, s->line);
    return true;
}

static void take_stock(World *w)
{
    unsigned d, l;

    for (d = 0; d < DEVS; d++) {
        for (l = 0; l < w->cfg->lines; l++) {
            w->before[d][l] = cxl_cache_dev_state(w->dev[d], l);
        }
    }
    memset(w->last, CUR, sizeof(w->last));
    w->fresh = FRESH;
    w->sent = 0;
}

/* A clean line that is gone without a message: the home cannot know. */
static void note_drops(World *w, unsigned dev)
{
    const uint32_t clean = CXL_CACHE_ST(S) | CXL_CACHE_ST(E) |
                           CXL_CACHE_ST(EN);
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (clean & 1u << w->before[dev][l] &&
            cxl_cache_dev_state(w->dev[dev], l) == CXL_CACHE_I) {
            w->g->dev[dev].dropped |= 1 << l;
        }
    }
}

/* A host access that ended in some step is forgotten after it. */
static void end_host_accesses(World *w)
{
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        if (w->g->line[l].host & HOST_DONE) {
            w->g->line[l].host = 0;
            w->g->line[l].host_op = 0;
        }
    }
}

bool world_step(World *w, const Step *s)
{
    bool ok;

    take_stock(w);
    switch (s->kind) {
    case STEP_START:
        return true;
    case STEP_REQUEST:
        ok = step_request(w, s);
        if (w->cfg->clean_evict == CXL_CACHE_CLEAN_SILENT) {
            note_drops(w, s->dev);
        }
        break;
    case STEP_STORE:
        ok = step_store(w, s);
        break;
    case STEP_DROP:
        ok = step_drop(w, s);
        note_drops(w, s->dev);
        break;
    case STEP_DEV_RX:
    case STEP_HOME_RX:
        ok = step_rx(w, s, s->kind == STEP_HOME_RX);
        break;
    case STEP_HOME_TX:
        ok = cxl_cache_home_tx(w->home);
        break;
    case STEP_HOST:
        ok = step_host(w, s);
        break;
    case STEP_HOST_STORE:
        ok = step_host_store(w, s);
        break;
    case STEP_PIN:
        w->g->line[s->line].pinned ^= true;
        ok = true;
        break;
    case STEP_CREDIT:
        ok = cxl_cache_link_return_credits(w->link[s->dev], s->arg);
        break;
    default:
        g_assert_not_reached();
    }
    rules_settle(w);
    end_host_accesses(w);
    return ok;
}

static unsigned return_credits(World *w)
{
    unsigned n = 0, d, ch;

    for (d = 0; d < DEVS; d++) {
        for (ch = 0; ch < CXL_CACHE_NUM_CHANNELS; ch++) {
            n += cxl_cache_link_return_credits(w->link[d], ch);
        }
    }
    return n;
}

void world_run(World *w)
{
    unsigned left = 1000;

    w->running = true;
    while (cxl_cache_run(w->home) + return_credits(w)) {
        if (!--left) {
            world_broken(w, "I10", "the scheduler does not come to an end");
            break;
        }
        end_host_accesses(w);
    }
    end_host_accesses(w);
    w->running = false;
}

/* What can be tried */

static void request_steps(const World *w, unsigned d, StepFunc *func,
                          void *opaque)
{
    unsigned op, l, v;

    for (op = 0; op < CXL_CACHE_D2H_REQ_CODES; op++) {
        if (!(w->cfg->ops[d] & 1u << op)) {
            continue;
        }
        for (l = 0; l < w->cfg->lines; l++) {
            for (v = 0; v < NUM_VARIANTS; v++) {
                if (request_variants(w, op) & 1 << v) {
                    Step s = { STEP_REQUEST, d, l, op, v };
                    func(opaque, &s);
                }
            }
            if (op == CXL_CACHE_CACHE_FLUSHED) {
                break;
            }
        }
    }
}

static void local_steps(const World *w, unsigned d, StepFunc *func,
                        void *opaque)
{
    static const struct {
        unsigned may;
        Step step;
    } steps[] = {
        { MAY_STORE, { STEP_STORE, .variant = VARIANT_FULL } },
        { MAY_STORE_PART, { STEP_STORE, .variant = VARIANT_LOW } },
        { MAY_DROP, { STEP_DROP } },
    };
    unsigned i, l;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        for (l = 0; w->cfg->may & steps[i].may && l < w->cfg->lines; l++) {
            Step s = steps[i].step;

            s.dev = d;
            s.line = l;
            func(opaque, &s);
        }
    }
}

static void link_steps(const World *w, unsigned d, StepFunc *func,
                       void *opaque)
{
    unsigned ch;

    for (ch = 0; ch < CXL_CACHE_NUM_CHANNELS; ch++) {
        const CXLCacheChannel *c = &w->link[d]->ch[ch];

        if (c->head != c->tail) {
            Step s = { ch < CXL_CACHE_H2D_REQ ? STEP_HOME_RX : STEP_DEV_RX,
                       d, 0, ch };
            func(opaque, &s);
        }
        if (c->freed && w->link[d]->hold_credits) {
            Step s = { STEP_CREDIT, d, 0, ch };
            func(opaque, &s);
        }
    }
}

static void host_steps(const World *w, unsigned line, StepFunc *func,
                       void *opaque)
{
    static const struct {
        unsigned may;
        Step step;
    } steps[] = {
        { MAY_HOST_READ, { STEP_HOST, .arg = CXL_CACHE_HOST_READ } },
        { MAY_HOST_PEEK, { STEP_HOST, .arg = CXL_CACHE_HOST_PEEK } },
        { MAY_HOST_WRITE, { STEP_HOST, .arg = CXL_CACHE_HOST_WRITE } },
        { MAY_HOST_PART, { STEP_HOST, .arg = CXL_CACHE_HOST_WRITE,
                           .variant = VARIANT_LOW } },
        { MAY_HOST_PART, { STEP_HOST, .arg = CXL_CACHE_HOST_WRITE,
                           .variant = VARIANT_NONE } },
        { MAY_HOST_FLUSH, { STEP_HOST, .arg = CXL_CACHE_HOST_FLUSH } },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(steps) && !w->g->line[line].host; i++) {
        if (w->cfg->may & steps[i].may) {
            Step s = steps[i].step;

            s.line = line;
            func(opaque, &s);
        }
    }
    if (w->cfg->may & MAY_LOAD_STORE &&
        w->g->line[line].access == CXL_CACHE_HOST_RW) {
        Step s = { STEP_HOST_STORE, 0, line };
        func(opaque, &s);
    }
}

static void pin_step(const World *w, unsigned line, StepFunc *func,
                     void *opaque)
{
    Step s = { STEP_PIN, 0, line };

    if (w->cfg->may & MAY_PIN) {
        func(opaque, &s);
    }
}

void world_steps(const World *w, StepFunc *func, void *opaque)
{
    Step tx = { STEP_HOME_TX };
    unsigned i;

    for (i = 0; i < DEVS; i++) {
        link_steps(w, i, func, opaque);
    }
    func(opaque, &tx);
    for (i = 0; i < DEVS; i++) {
        local_steps(w, i, func, opaque);
        request_steps(w, i, func, opaque);
    }
    for (i = 0; i < w->cfg->lines; i++) {
        host_steps(w, i, func, opaque);
        pin_step(w, i, func, opaque);
    }
}

/* For people */

void world_step_str(const Step *s, GString *out)
{
    static const char *const variants[] = {
        [VARIANT_LOW] = " (lower half)",
        [VARIANT_NONE] = " (no bytes)",
        [VARIANT_POISON] = " (poisoned)",
        [VARIANT_NT] = " (NT)",
    };
    static const char *const host_ops[] = {
        "reads", "peeks at", "writes", "flushes",
    };
    const char *variant = variants[s->variant] ?: "";

    switch (s->kind) {
    case STEP_START:
        g_string_append(out, "start");
        break;
    case STEP_REQUEST:
        g_string_append_printf(out, "device %u requests %s L%u%s", s->dev,
                               cxl_cache_req_rules[s->arg].name, s->line,
                               variant);
        break;
    case STEP_STORE:
        g_string_append_printf(out, "device %u stores to L%u%s", s->dev,
                               s->line, variant);
        break;
    case STEP_DROP:
        g_string_append_printf(out, "device %u drops L%u", s->dev, s->line);
        break;
    case STEP_DEV_RX:
        g_string_append_printf(out, "device %u takes from %s", s->dev,
                               cxl_cache_channel_name(s->arg));
        break;
    case STEP_HOME_RX:
        g_string_append_printf(out, "home takes from %s of device %u",
                               cxl_cache_channel_name(s->arg), s->dev);
        break;
    case STEP_HOME_TX:
        g_string_append(out, "home sends what had no credit");
        break;
    case STEP_HOST:
        g_string_append_printf(out, "host %s L%u%s", host_ops[s->arg],
                               s->line, variant);
        break;
    case STEP_HOST_STORE:
        g_string_append_printf(out, "host stores to L%u by itself", s->line);
        break;
    case STEP_PIN:
        g_string_append_printf(out, "L%u is pinned, or no longer", s->line);
        break;
    case STEP_CREDIT:
        g_string_append_printf(out, "credits of %s of device %u come back",
                               cxl_cache_channel_name(s->arg), s->dev);
        break;
    }
}

static void value_str(GString *out, const uint8_t value[HALVES])
{
    static const char *const names[] = { "old", "last", "next", "new" };

    g_string_append_printf(out, "%s", names[MIN(value[0], FRESH)]);
    if (value[0] != value[1]) {
        g_string_append_printf(out, "/%s", names[MIN(value[1], FRESH)]);
    }
}

/* What each device has of a line, what memory has */
void world_str(World *w, unsigned l, GString *out)
{
    unsigned d, i;
    uint8_t value[HALVES];
    CXLCacheSlot slot;

    g_string_append_printf(out, "L%u:", l);
    for (d = 0; d < DEVS; d++) {
        g_string_append_printf(out, " D%u %s", d, cxl_cache_states[
            cxl_cache_dev_state(w->dev[d], l)].name);
        for (i = 0; i < cxl_cache_dev_num_lines(w->dev[d]); i++) {
            if (cxl_cache_dev_slot(w->dev[d], i, &slot) &&
                slot.line == l && slot.data &&
                cxl_cache_may(slot.state, CXL_CACHE_P_DATA)) {
                g_string_append_c(out, '=');
                data_get(slot.data, l, value);
                value_str(out, value);
                g_string_append(out, slot.poison ? " poison" : "");
            }
        }
        g_string_append_c(out, ',');
    }
    g_string_append(out, " memory ");
    value_str(out, w->g->line[l].ram);
    g_string_append_printf(out, "%s, host %s, tracked %x",
                           w->g->line[l].ram_poison ? " poison" : "",
                           access_names[w->g->line[l].access],
                           cxl_cache_home_tracks(w->home, l, NULL));
}
