/*
 * State space search of CXL.cache: memory, the host, and who is told
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

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
        w->last[line][h] = world_fresh(w);
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
        loss_poison(w, line);
    }
    return true;
}

const char *const world_access_names[] = {
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
                       world_access_names[access]);
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
           (i != w->cfg->lines ||
            w->cfg->may & (MAY_REFUSE | MAY_PIN | MAY_ROUTE));
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

const CXLCacheHomeOps world_home_ops = {
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

const CXLCacheDevOps world_dev_ops = {
    .complete = dev_complete,
    .error = dev_error,
};

void world_sent(void *opaque, CXLCacheChannelId channel,
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

void world_cell_seen(void *opaque, CXLCacheHomeTable table, unsigned row,
                     unsigned cell)
{
    World *w = opaque;

    /* The data that a dead device owes never come: a look, not a use */
    if (!w->dying || table != CXL_CACHE_TABLE_PULLED) {
        w->home_cells[table][row] |= 1u << cell;
    }
}
