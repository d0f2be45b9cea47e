/*
 * State space search of CXL.cache: set-up, and a world as text
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

/* Set-up */

World *world_new(const ExploreConfig *cfg)
{
    World *w = g_new0(World, 1);
    unsigned i, ch;

    w->cfg = cfg;
    w->devs = cfg->devs ?: 2;
    w->g = g_new0(Ghost, 1);
    w->home = cxl_cache_home_new(&cfg->home, &world_home_ops, w);
    g_assert_nonnull(w->home);
    w->home->seen = world_cell_seen;
    for (i = 0; i < w->devs; i++) {
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
        w->link[i]->trace = world_sent;
        w->link[i]->trace_opaque = &w->ctx[i];
        w->link[i]->hold_credits = cfg->hold_credits & 1 << i;
        w->dev[i] = cxl_cache_dev_new(&dev_cfg, w->link[i], &world_dev_ops,
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

    for (i = 0; i < w->devs; i++) {
        cxl_cache_home_detach(w->home, i);
        cxl_cache_dev_free(w->dev[i]);
        cxl_cache_link_free(w->link[i]);
    }
    cxl_cache_home_free(w->home);
    g_free(w->g);
    g_free(w->image);
    g_free(w->first);
    g_free(w->gear_from);
    g_free(w->gear_to);
    g_free(w->broken);
    g_free(w);
}

/* For people */

void world_step_str(const Step *s, GString *out)
{
    static const char *const variants[] = {
        [VARIANT_LOW] = " (lower half)",
        [VARIANT_NONE] = " (no bytes)",
        [VARIANT_POISON] = " (poisoned)",
        [VARIANT_NT] = " (NT)",
        [VARIANT_POISON_LOW] = " (lower half, poisoned)",
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
    case STEP_LOAD:
        g_string_append_printf(out, "device %u reads L%u", s->dev, s->line);
        break;
    case STEP_FLUSH:
        g_string_append_printf(out, "device %u flushes, one call", s->dev);
        break;
    case STEP_VIRAL:
        g_string_append_printf(out, "device %u becomes viral", s->dev);
        break;
    case STEP_DISABLE:
        g_string_append_printf(out, "caching of device %u is switched",
                               s->dev);
        break;
    case STEP_DIE:
        g_string_append_printf(out, "device %u dies, is isolated and reset",
                               s->dev);
        break;
    case STEP_ROUTE:
        g_string_append_printf(out, "the Cache ID of device %u goes, or comes",
                               s->dev);
        break;
    case STEP_RESET:
        g_string_append(out, "all are reset, but for memory");
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
    case STEP_DEV_TX:
        g_string_append_printf(out, "device %u sends what had no credit",
                               s->dev);
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
    for (d = 0; d < w->devs; d++) {
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
                           world_access_names[w->g->line[l].access],
                           cxl_cache_home_tracks(w->home, l, NULL));
}
