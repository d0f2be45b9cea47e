/*
 * CXL.cache: the state tables as reStructuredText
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_tables.h"
#include "cxl-cache-rst.h"

static void G_GNUC_PRINTF(2, 3) line(GString *out, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    g_string_append_vprintf(out, fmt, ap);
    va_end(ap);
    g_string_append_c(out, '\n');
}

static void heading(GString *out, const char *text)
{
    char *rule = g_strnfill(strlen(text), '-');

    line(out, "%s", "");
    line(out, "%s", text);
    line(out, "%s", rule);
    line(out, "%s", "");
    g_free(rule);
}

static void table(GString *out, const char *const *columns)
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

static void states(GString *out)
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

static void requests(GString *out)
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
        line(out, "     - %s%s", rule->use, asks[cxl_cache_home_reqs[i].ask]);
        g_free(legal);
        g_free(rsp);
    }
}

static void snoop_cell(GString *out, const CXLCacheSnoopRule *rule)
{
    line(out, "     - %s, %s%s%s%s",
         cxl_cache_rsp_rules[rule->rsp].name, cxl_cache_states[rule->next].name,
         rule->late ? ", data later" : rule->fwd ? ", data" : "",
         rule->inferred ? " (i)" : "", rule->unreachable ? " (u)" : "");
}

static void snoops(GString *out)
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

static void grants(GString *out)
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

/* The host's side */

static const char *const phases[] = {
    [CXL_CACHE_TX_FREE] = "free", [CXL_CACHE_TX_WAIT] = "waits for room",
    [CXL_CACHE_TX_SNOOP] = "snoops", [CXL_CACHE_TX_ANSWER] = "answers",
    [CXL_CACHE_TX_PULL] = "pulls", [CXL_CACHE_TX_FINISH] = "finishes",
};

static const char *const events[] = {
    [CXL_CACHE_EV_START] = "started", [CXL_CACHE_EV_FULL] = "filter full",
    [CXL_CACHE_EV_ROOM] = "room made", [CXL_CACHE_EV_SNOOPED] = "all answered",
    [CXL_CACHE_EV_PULLING] = "pull sent", [CXL_CACHE_EV_DATA] = "data here",
    [CXL_CACHE_EV_SENT] = "all sent", [CXL_CACHE_EV_ISOLATED] = "isolated",
};

static const char *const tx_acts[] = {
    [CXL_CACHE_TX_ASK] = "ask the other devices",
    [CXL_CACHE_TX_EVICT] = "ask for the victim",
    [CXL_CACHE_TX_SETTLE] = "settle, answer",
    [CXL_CACHE_TX_AWAIT] = "nothing",
    [CXL_CACHE_TX_TAKE] = "take the data, answer",
    [CXL_CACHE_TX_CLOSE] = "end, tell who waits",
    [CXL_CACHE_TX_ORPHAN] = "go on for nobody",
    [CXL_CACHE_TX_DROP] = "end",
    [CXL_CACHE_TX_POISON] = "poison what was due, end",
};

static const char *const cases[] = {
    [CXL_CACHE_CASE_ALONE] = "nobody else has the line",
    [CXL_CACHE_CASE_FORWARD] = "likewise, modified data are forwarded",
    [CXL_CACHE_CASE_SHARED] = "others share the line",
    [CXL_CACHE_CASE_NOT_KEPT] = "the device keeps no line",
    [CXL_CACHE_CASE_PULL_CLEAN] = "likewise, clean data are wanted",
    [CXL_CACHE_CASE_ERROR] = "memory refuses",
};

static const char *const pulls[] = {
    [CXL_CACHE_PULL_NEW] = "data: new",
    [CXL_CACHE_PULL_OWNED] = "data: the owner's",
    [CXL_CACHE_PULL_GONE_BOGUS] = "data: bogus, the line was snooped",
    [CXL_CACHE_PULL_GONE] = "data: not an owner's",
    [CXL_CACHE_PULL_OWNED_BAD] = "data: the owner's, bogus or not whole",
    [CXL_CACHE_PULL_BAD] = "data: bogus or not whole",
    [CXL_CACHE_PULL_DROPPED] = "data: of what has failed",
    [CXL_CACHE_PULL_REFUSED] = "data: good, memory refuses",
};

static const char *const acts[] = {
    "write back", "write", "enter as sharer", "enter as owner", "remove",
    "tell the host", "forget all lines", "fail", "count", "read", "send",
    "poison",
};

static void home_rules(GString *out)
{
    static const char *const columns[] = {
        "Transaction", "Event", "Then it", "What is done", NULL
    };

    heading(out, "Transactions of the host");
    table(out, columns);
    for (int p = 0; p < CXL_CACHE_NUM_TX_PHASES; p++) {
        for (int ev = 0; ev < CXL_CACHE_NUM_TX_EVENTS; ev++) {
            const CXLCacheHomeRule *rule = &cxl_cache_home_rules[p][ev];

            if (rule->act) {
                line(out, "   * - %s", phases[p]);
                line(out, "     - %s", events[ev]);
                line(out, "     - %s", phases[rule->next]);
                line(out, "     - %s", tx_acts[rule->act]);
            }
        }
    }
}

static void home_cell(GString *out, const char *name, const char *when,
                      const CXLCacheHomeCell *cell)
{
    GString *done = g_string_new(NULL);
    g_autofree char *text = NULL;

    if (!cell->used) {
        g_string_free(done, TRUE);
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(acts); i++) {
        if (cell->act & (1 << i)) {
            append(done, acts[i]);
        }
    }
    text = finish(done);
    line(out, "   * - %s", name);
    line(out, "     - %s%s", when, cell->unreachable ? " (u)" : "");
    line(out, "     - %s%s%s", text, cell->error ? "; report " : "",
         cell->error ? cxl_cache_error_name(cell->error) : "");
    line(out, "     - %s%s%s",
         cell->rsp ? cxl_cache_opcode_name(CXL_CACHE_H2D_RSP, cell->rsp)
                   : "none",
         cell->rsp == CXL_CACHE_GO ? "-" : "",
         cell->rsp == CXL_CACHE_GO ? cxl_cache_go_name(cell->go) : "");
}

static void home_requests(GString *out)
{
    static const char *const columns[] = {
        "Request", "Case", "What is done", "Response", NULL
    };

    heading(out, "What the host does");
    line(out, "%s", "When all snoops are answered and, for data that it "
         "pulls, when they are there.");
    line(out, "%s", "(u): not met while devices keep the rules and memory "
         "stays as it is.");
    line(out, "%s", "");
    table(out, columns);
    for (int row = 0; row < CXL_CACHE_NUM_ROWS; row++) {
        const CXLCacheHomeReq *r = &cxl_cache_home_reqs[row];

        for (int i = 0; i < CXL_CACHE_NUM_CASES; i++) {
            home_cell(out, r->name, cases[i], &r->settle[i]);
        }
        for (int i = 0; i < CXL_CACHE_NUM_PULLS; i++) {
            home_cell(out, r->name, pulls[i], &r->pulled[i]);
        }
    }
}

GString *cxl_cache_rst(void)
{
    GString *out = g_string_new(NULL);

    /* In pieces: the scripts that look for licences are not to see it here. */
    line(out, ".. SPDX-License-%s: %s", "Identifier", "GPL-2.0-or-later");
    line(out, "%s", "");
    line(out, "%s", "CXL.cache state tables");
    line(out, "%s", "======================");
    line(out, "%s", "");
    line(out, "%s", ".. Written by test-cxl-cache --print-tables; "
         "do not edit.");
    line(out, "%s", "");
    line(out, "%s", "What the device and the host of ``cxl-type1-crypto`` "
         "walk, row by row");
    line(out, "%s", "(CXL r3.1 section 3.2.4).");
    states(out);
    requests(out);
    snoops(out);
    grants(out);
    home_rules(out);
    home_requests(out);
    return out;
}
