/*
 * State space search of CXL.cache: which steps can be tried
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cxl-cache-explore.h"

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
        return v | (may & MAY_POISON_PART ? 1 << VARIANT_POISON_LOW : 0);
    case CXL_CACHE_WR_INV:
        v |= may & MAY_PART ? 1 << VARIANT_LOW | 1 << VARIANT_NONE : 0;
        v |= may & MAY_POISON_PART ? 1 << VARIANT_POISON_LOW : 0;
        break;
    case CXL_CACHE_I_TO_M_WR:
    case CXL_CACHE_WR_CUR:
    case CXL_CACHE_WO_WR_INV_F:
        break;
    default:
        return v;
    }
    return v | (may & MAY_POISON ? 1 << VARIANT_POISON : 0);
}

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
        { MAY_LOAD, { STEP_LOAD } },
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

/* Steps of a device as a whole */
static void dev_steps(const World *w, unsigned d, StepFunc *func,
                      void *opaque)
{
    static const struct {
        unsigned may;
        unsigned kind;
    } steps[] = {
        { MAY_FLUSH, STEP_FLUSH },
        { MAY_VIRAL, STEP_VIRAL },
        { MAY_DISABLE, STEP_DISABLE },
        { MAY_DIE, STEP_DIE },
        { MAY_ROUTE, STEP_ROUTE },
    };
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(steps); i++) {
        if (w->cfg->may & steps[i].may && w->cfg->fates & 1 << d) {
            Step s = { steps[i].kind, d };

            func(opaque, &s);
        }
    }
}

static void link_steps(const World *w, unsigned d, StepFunc *func,
                       void *opaque)
{
    const Step tx = { STEP_DEV_TX, d };
    unsigned ch;

    if (w->dev[d]->due) {
        func(opaque, &tx);
    }
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
        { MAY_HOST_POISON, { STEP_HOST, .arg = CXL_CACHE_HOST_WRITE,
                             .variant = VARIANT_POISON } },
        { MAY_HOST_POISON, { STEP_HOST, .arg = CXL_CACHE_HOST_WRITE,
                             .variant = VARIANT_POISON_LOW } },
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
    const Step tx = { STEP_HOME_TX }, reset = { STEP_RESET };
    unsigned i;

    for (i = 0; i < w->devs; i++) {
        link_steps(w, i, func, opaque);
    }
    func(opaque, &tx);
    for (i = 0; i < w->devs; i++) {
        local_steps(w, i, func, opaque);
        dev_steps(w, i, func, opaque);
        request_steps(w, i, func, opaque);
    }
    if (w->cfg->may & MAY_RESET) {
        func(opaque, &reset);
    }
    for (i = 0; i < w->cfg->lines; i++) {
        host_steps(w, i, func, opaque);
        pin_step(w, i, func, opaque);
    }
}
