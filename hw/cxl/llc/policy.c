/*
 * A host's last-level cache: replacement
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The published rules know no way masks. Here ages are those of the whole set,
 * whoever may allocate where, and what is chosen is chosen among the ways that
 * the access may take.
 */

#include "qemu/osdep.h"
#include "internal.h"

#define OLDEST 3

static unsigned first_way(uint32_t ways)
{
    return __builtin_ctz(ways);
}

static unsigned last_way(uint32_t ways)
{
    return 31 - __builtin_clz(ways);
}

/* The leftmost of the oldest */
static unsigned oldest(const uint8_t *age, uint32_t ways)
{
    unsigned found = first_way(ways);

    for (uint32_t m = ways; m; m &= m - 1) {
        unsigned way = first_way(m);

        if (age[way] > age[found]) {
            found = way;
        }
    }
    return found;
}

static unsigned take_first(const CXLLlcPolicy *p, uint32_t ways)
{
    return first_way(ways);
}

static void no_miss(const CXLLlcPolicy *p, uint8_t *age, unsigned n)
{
}

/* LRU: an age is how many ways have been used since. */

static void lru_reset(uint8_t *age, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        age[i] = i;
    }
}

static unsigned lru_victim(const CXLLlcPolicy *p, const uint8_t *age,
                           unsigned n, uint32_t ways)
{
    return oldest(age, ways);
}

static void lru_used(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                     unsigned way)
{
    uint8_t before = age[way];

    for (unsigned i = 0; i < n; i++) {
        age[i] += age[i] < before;
    }
    age[way] = 0;
}

static const CXLLlcPolicyOps lru_ops = {
    .reset = lru_reset,
    .empty = take_first,
    .victim = lru_victim,
    .missed = no_miss,
    .hit = lru_used,
    .filled = lru_used,
};

const CXLLlcPolicy cxl_llc_lru = { .ops = &lru_ops };

/*
 * Tree-PLRU: ages are nodes of a binary tree, in heap order: those below node i
 * are 2 i + 1 and 2 i + 2. Each points to where the next victim is: 1 is right.
 */

static void plru_reset(uint8_t *age, unsigned n)
{
    memset(age, 0, n);
}

static unsigned plru_victim(const CXLLlcPolicy *p, const uint8_t *age,
                            unsigned n, uint32_t ways)
{
    unsigned node = 0, first = 0;

    for (unsigned half = n / 2; half; half /= 2) {
        uint32_t left = (uint32_t)((1ULL << half) - 1) << first;
        /* Where nothing may be taken, it does not point. */
        bool right = !(ways & left) ||
                     (age[node] && (ways & left << half));

        node = 2 * node + 1 + right;
        first += right ? half : 0;
    }
    return first;
}

static void plru_used(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                      unsigned way)
{
    unsigned node = 0;

    for (unsigned half = n / 2; half; half /= 2) {
        bool right = way & half;

        age[node] = !right;
        node = 2 * node + 1 + right;
    }
}

static const CXLLlcPolicyOps plru_ops = {
    .reset = plru_reset,
    .empty = take_first,
    .victim = plru_victim,
    .missed = no_miss,
    .hit = plru_used,
    .filled = plru_used,
};

/* QLRU: ages from 0 to 3 */

static void qlru_reset(uint8_t *age, unsigned n)
{
    memset(age, OLDEST, n);
}

static unsigned qlru_empty(const CXLLlcPolicy *p, uint32_t ways)
{
    return p->replace == CXL_LLC_R2 ? last_way(ways) : first_way(ways);
}

/*
 * R0 and R2 are defined where a way has age 3. It may be one that the access
 * may not take: then it is the oldest that it may.
 */
static unsigned qlru_victim(const CXLLlcPolicy *p, const uint8_t *age,
                            unsigned n, uint32_t ways)
{
    unsigned way = oldest(age, ways);

    return p->replace == CXL_LLC_R1 && age[way] < OLDEST ? first_way(ways)
                                                         : way;
}

/* Nobody is of age 3 any more: U. @way was used, @n is none. */
static void qlru_update(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                        unsigned way)
{
    unsigned spared = p->others ? way : n, max = 0, add;

    for (unsigned i = 0; i < n; i++) {
        /* U3 asks for any of age 3, U1 for one among those that it ages. */
        if (i != spared || p->step) {
            max = MAX(max, age[i]);
        }
    }
    add = max == OLDEST ? 0 : p->step ? 1 : OLDEST - max;
    for (unsigned i = 0; add && i < n; i++) {
        age[i] += i == spared ? 0 : add;
    }
}

static void qlru_missed(const CXLLlcPolicy *p, uint8_t *age, unsigned n)
{
    if (p->on_miss) {
        qlru_update(p, age, n, n);
    }
}

static void qlru_used(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                      unsigned way, uint8_t to)
{
    age[way] = to;
    if (!p->on_miss) {
        qlru_update(p, age, n, way);
    }
}

static void qlru_hit(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                     unsigned way)
{
    uint8_t to = p->hit[age[way]];

    /* With U0 some way is of age 3 after each update: this changes nothing. */
    if (to != age[way] || p->others || p->step) {
        qlru_used(p, age, n, way, to);
    }
}

static void qlru_filled(const CXLLlcPolicy *p, uint8_t *age, unsigned n,
                        unsigned way)
{
    qlru_used(p, age, n, way, p->insert);
}

static const CXLLlcPolicyOps qlru_ops = {
    .reset = qlru_reset,
    .empty = qlru_empty,
    .victim = qlru_victim,
    .missed = qlru_missed,
    .hit = qlru_hit,
    .filled = qlru_filled,
};

/* Names */

#define POLICIES "'lru', 'plru', 'srrip' or 'qlru:H.._M._R._U.[_UMO]'"

/* A letter and digits, each up to a limit of its own; moves @at behind them */
static bool parse_part(const char **at, const char *what, const char *max,
                       unsigned *digit)
{
    size_t len = strlen(what);

    if (strncmp(*at, what, len)) {
        return false;
    }
    *at += len;
    for (; *max; max++, digit++, (*at)++) {
        if (**at < '0' || **at > *max) {
            return false;
        }
        *digit = **at - '0';
    }
    return true;
}

/* Hxy: 3 becomes x, 2 becomes y, what is younger 0 */
static void set_hit(CXLLlcPolicy *p, const unsigned *h)
{
    p->hit[0] = p->hit[1] = 0;
    p->hit[2] = h[1];
    p->hit[3] = h[0];
}

static char *parse_qlru(CXLLlcPolicy *p, const char *name)
{
    const char *at = name;
    unsigned h[2], m, r, u;

    if (!parse_part(&at, "H", "21", h) || !parse_part(&at, "_M", "3", &m) ||
        !parse_part(&at, "_R", "2", &r) || !parse_part(&at, "_U", "3", &u) ||
        (*at && strcmp(at, "_UMO"))) {
        return g_strdup_printf("'%s' is no name of a QLRU policy: it is "
                               "Hxy_Mx_Rx_Ux with H00, H10, H11, H20 or H21, "
                               "M0 to M3, R0 to R2, U0 to U3, and _UMO for "
                               "updates on a miss only", name);
    }
    if (h[1] > h[0]) {
        return g_strdup_printf("'%s' is no QLRU policy: H%u%u would have a hit "
                               "leave a younger line the older one", name, h[0],
                               h[1]);
    }
    if (r != CXL_LLC_R1 && u >= 2) {
        return g_strdup_printf("'%s' is no QLRU policy: R%u needs a line of "
                               "age 3, which U%u does not see to; use U0 or "
                               "U1, or R1", name, r, u);
    }
    *p = (CXLLlcPolicy) {
        .ops = &qlru_ops,
        .insert = m,
        .replace = r,
        .others = u & 1,
        .step = u & 2,
        .on_miss = *at,
    };
    set_hit(p, h);
    return NULL;
}

char *cxl_llc_policy_parse(CXLLlcPolicy *p, const char *name, unsigned ways)
{
    if (!strcmp(name, "lru")) {
        *p = cxl_llc_lru;
    } else if (!strcmp(name, "plru")) {
        if (ways & (ways - 1)) {
            return g_strdup_printf("'plru' is a binary tree: %u ways are no "
                                   "power of two", ways);
        }
        *p = (CXLLlcPolicy) { .ops = &plru_ops };
    } else if (!strcmp(name, "srrip")) {
        return parse_qlru(p, "H00_M2_R0_U0_UMO");
    } else if (g_str_has_prefix(name, "qlru:")) {
        return parse_qlru(p, name + strlen("qlru:"));
    } else {
        return g_strdup_printf("there is no policy '%s': use " POLICIES, name);
    }
    return NULL;
}
