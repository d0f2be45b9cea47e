/*
 * CXL.cache: the state tables as reStructuredText
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_tables.h"

typedef struct Out {
    void (*emit)(void *opaque, const char *text);
    void *opaque;
} Out;

static void G_GNUC_PRINTF(2, 3) line(const Out *out, const char *fmt, ...)
{
    char *text;
    va_list ap;

    va_start(ap, fmt);
    text = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    out->emit(out->opaque, text);
    g_free(text);
}

static void heading(const Out *out, const char *text)
{
    char *rule = g_strnfill(strlen(text), '-');

    line(out, "%s", "");
    line(out, "%s", text);
    line(out, "%s", rule);
    line(out, "%s", "");
    g_free(rule);
}

static void table(const Out *out, const char *const *columns)
{
    line(out, "%s", ".. list-table::");
    line(out, "%s", "   :header-rows: 1");
    line(out, "%s", "");
    for (int i = 0; columns[i]; i++) {
        line(out, "   %s - %s", i ? " " : "*", columns[i]);
    }
}

static void append(GString *s, const char *text)
{
    g_string_append_printf(s, "%s%s", s->len ? ", " : "", text);
}

static char *finish(GString *s)
{
    if (!s->len) {
        g_string_append(s, "none");
    }
    return g_string_free(s, FALSE);
}

static char *legal_states(const CXLCacheReqRule *rule)
{
    GString *s = g_string_new(NULL);

    for (int i = 0; i < CXL_CACHE_NUM_STATES; i++) {
        if (rule->legal & (1u << i)) {
            append(s, cxl_cache_states[i].name);
        }
    }
    return finish(s);
}

static char *responses(const CXLCacheReqRule *rule)
{
    static const uint8_t go_order[] = {
        CXL_CACHE_GO_S, CXL_CACHE_GO_E, CXL_CACHE_GO_M, CXL_CACHE_GO_I,
        CXL_CACHE_GO_ERR,
    };
    GString *s = g_string_new(NULL);

    for (int i = 0; i < CXL_CACHE_H2D_RSP_CODES; i++) {
        if (rule->rsp & (1 << i)) {
            append(s, cxl_cache_opcode_name(CXL_CACHE_H2D_RSP, i));
        }
    }
    for (int i = 0; i < ARRAY_SIZE(go_order); i++) {
        if (rule->go & (1 << go_order[i])) {
            char *go = g_strconcat("GO-", cxl_cache_go_name(go_order[i]), NULL);

            append(s, go);
            g_free(go);
        }
    }
    return finish(s);
}

static void states(const Out *out)
{
    static const char *const columns[] = {
        "State", "Shown as", "Meaning", NULL
    };

    heading(out, "States of a line");
    table(out, columns);
    for (int i = 0; i < CXL_CACHE_NUM_STATES; i++) {
        const CXLCacheStateInfo *info = &cxl_cache_states[i];

        line(out, "   * - %s", info->name);
        line(out, "     - %s", cxl_cache_go_name(info->mesi));
        line(out, "     - %s", info->text);
    }
}

static void requests(const Out *out)
{
    static const char *const columns[] = {
        "Code", "Request", "From", "Responses", "Data", "Use", NULL
    };
    static const char *const asks[] = {
        [CXL_CACHE_ASK_NONE] = "", [CXL_CACHE_ASK_CUR] = "; SnpCur first",
        [CXL_CACHE_ASK_DATA] = "; SnpData first",
        [CXL_CACHE_ASK_INV] = "; SnpInv first",
    };

    heading(out, "D2H requests");
    table(out, columns);
    for (int i = 0; i < CXL_CACHE_D2H_REQ_CODES; i++) {
        const CXLCacheReqRule *rule = &cxl_cache_req_rules[i];
        char *legal, *rsp;

        if (!rule->name) {
            continue;
        }
        legal = legal_states(rule);
        rsp = responses(rule);
        line(out, "   * - 0x%02x", i);
        line(out, "     - %s", rule->name);
        line(out, "     - %s", legal);
        line(out, "     - %s", rsp);
        line(out, "     - %s%s", rule->h2d_data ? "H2D" :
             rule->d2h_data ? "D2H" : "none",
             rule->partial ? ", byte enables" : "");
        line(out, "     - %s%s", rule->use, asks[rule->ask]);
        g_free(legal);
        g_free(rsp);
    }
}

static void snoop_cell(const Out *out, const CXLCacheSnoopRule *rule)
{
    line(out, "     - %s, %s%s%s%s",
         cxl_cache_rsp_rules[rule->rsp].name, cxl_cache_states[rule->next].name,
         rule->late ? ", data later" : rule->fwd ? ", data" : "",
         rule->inferred ? " (i)" : "", rule->unreachable ? " (u)" : "");
}

static void snoops(const Out *out)
{
    static const char *const columns[] = {
        "State", "SnpData", "SnpInv", "SnpCur", NULL
    };

    heading(out, "Snoops");
    line(out, "%s", "Response, next state, and whether data follow. (i): "
         "inferred, not in the");
    line(out, "%s", "specification's table. (u): a host that keeps the rules "
         "never does this.");
    line(out, "%s", "");
    table(out, columns);
    for (int st = 0; st < CXL_CACHE_NUM_STATES; st++) {
        line(out, "   * - %s", cxl_cache_states[st].name);
        for (int s = CXL_CACHE_SNP_DATA; s <= CXL_CACHE_SNP_CUR; s++) {
            snoop_cell(out, &cxl_cache_snoop_rules[s][st]);
        }
    }
}

static const char *next_name(unsigned state)
{
    return state < CXL_CACHE_NUM_STATES ? cxl_cache_states[state].name : "--";
}

static bool takes_grant(int state)
{
    for (int i = 0; i < CXL_CACHE_GO_CODES; i++) {
        if (cxl_cache_go_rules[state][i] < CXL_CACHE_NUM_STATES) {
            return true;
        }
    }
    return cxl_cache_data_rules[state] < CXL_CACHE_NUM_STATES;
}

static void grants(const Out *out)
{
    static const char *const columns[] = {
        "State", "GO-S", "GO-E", "GO-M", "GO-I", "GO-Err", "Data", NULL
    };
    static const uint8_t order[] = {
        CXL_CACHE_GO_S, CXL_CACHE_GO_E, CXL_CACHE_GO_M, CXL_CACHE_GO_I,
        CXL_CACHE_GO_ERR,
    };

    heading(out, "Grants and data");
    line(out, "%s", "The next state; ``--`` where this is a protocol error.");
    line(out, "%s", "");
    table(out, columns);
    for (int st = 0; st < CXL_CACHE_NUM_STATES; st++) {
        if (!takes_grant(st)) {
            continue;
        }
        line(out, "   * - %s", cxl_cache_states[st].name);
        for (int i = 0; i < ARRAY_SIZE(order); i++) {
            line(out, "     - %s", next_name(cxl_cache_go_rules[st][order[i]]));
        }
        line(out, "     - %s", next_name(cxl_cache_data_rules[st]));
    }
}

void cxl_cache_tables_rst(void (*emit)(void *opaque, const char *text),
                          void *opaque)
{
    Out out = { emit, opaque };

    /* In pieces: the scripts that look for licences are not to see it here. */
    line(&out, ".. SPDX-License-%s: %s", "Identifier", "GPL-2.0-or-later");
    line(&out, "%s", "");
    line(&out, "%s", "CXL.cache state tables");
    line(&out, "%s", "======================");
    line(&out, "%s", "");
    line(&out, "%s",
         ".. Generated from hw/cxl/cxl_cache_tables.c; do not edit.");
    line(&out, "%s", "");
    line(&out, "%s", "What the device and the host of ``cxl-type1-crypto`` "
         "walk, row by row");
    line(&out, "%s", "(CXL r3.1 section 3.2.4).");
    states(&out);
    requests(&out);
    snoops(&out);
    grants(&out);
}
