/*
 * State space search of CXL.cache: devices, a host, every interleaving
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The code under test is the code that runs in the device, not a model of it:
 * each state is the engine's own memory, copied. From each state every step
 * that any party could take is taken: a device makes any legal request, reads,
 * stores or drops a line, flushes, gets viral, dies; a message of any channel
 * is taken by its receiver; the host accesses a line; a credit comes back; all
 * is reset. In each new state the rules of cxl-cache-explore-rules.h must hold,
 * and the standard scheduler must bring a copy of it to rest. What breaks a
 * rule is printed as the shortest sequence of steps and messages that leads
 * there.
 *
 * States are recognised by a 128-bit hash of their canonical form; what that
 * form merges, and why it may, is in docs/system/devices/cxl-cache.rst.
 *
 * The default configurations are small, each about one feature. "-m slow" adds
 * larger ones, which take minutes.
 */

#include "qemu/osdep.h"
#include <signal.h>
#include "cxl-cache-explore.h"

/* A state, and how it was reached first */
typedef struct Node {
    uint64_t hash[2];
    uint32_t parent;
    Step step;
} Node;

typedef struct Search {
    World *w;
    Node *node;
    uint32_t nodes;
    uint32_t *table;            /* node + 1, by hash */
    uint32_t mask;
    GByteArray *now, *next;     /* states of this distance, and of the next */
    GByteArray *packed;
    uint8_t *parent;            /* image of the state being expanded */
    uint32_t parent_nr;
    bool changed;               /* the world is no longer in that state */
    uint64_t steps;
    unsigned depth;
    size_t queued;              /* bytes of states in the queues, at most */
    uint32_t culprit;           /* a rule is broken after this node */
    Step last;                  /* ... by this step */
    bool at_rest;               /* ... or by the scheduler */
} Search;

/* What precedes a packed state in the queue */
typedef struct Packed {
    uint32_t node;
    uint32_t len;
} Packed;

/* Seen by any search: must be everything in the end */
static uint64_t seen_opcodes[CXL_CACHE_NUM_CHANNELS];
static uint32_t seen_cells[CXL_CACHE_SNP_CUR + 1];
static uint32_t seen_home[CXL_CACHE_NUM_HOME_TABLES][CXL_CACHE_NUM_ROWS];
static uint64_t gear_done[NUM_GEAR_KINDS];
static unsigned searches_done;

static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ULL;
    h = (h ^ h >> 29) * 0x9fb21c651e98df25ULL;
    return h ^ h >> 32;
}

static void hash_bytes(const uint8_t *p, size_t len, uint64_t hash[2])
{
    uint64_t a = 0x243f6a8885a308d3ULL ^ len, b = 0x13198a2e03707344ULL;
    uint64_t word;

    for (; len; len -= MIN(len, sizeof(word)), p += sizeof(word)) {
        word = 0;
        memcpy(&word, p, MIN(len, sizeof(word)));
        a = mix(a + word);
        b = mix(b ^ (word * 0x9e3779b97f4a7c15ULL)) + a;
    }
    hash[0] = mix(a);
    hash[1] = mix(b);
}

static void grow(Search *s)
{
    uint32_t i, at, size = (s->mask + 1) * 2;

    s->node = g_renew(Node, s->node, size / 2);
    g_free(s->table);
    s->table = g_new0(uint32_t, size);
    s->mask = size - 1;
    for (i = 0; i < s->nodes; i++) {
        at = s->node[i].hash[0] & s->mask;
        while (s->table[at]) {
            at = (at + 1) & s->mask;
        }
        s->table[at] = i + 1;
    }
}

/* Returns: whether the packed state is a new one */
static bool enter(Search *s, const Step *step)
{
    uint64_t hash[2];
    uint32_t at;

    hash_bytes(s->packed->data, s->packed->len, hash);
    for (at = hash[0] & s->mask; s->table[at]; at = (at + 1) & s->mask) {
        const Node *n = &s->node[s->table[at] - 1];

        if (n->hash[0] == hash[0] && n->hash[1] == hash[1]) {
            return false;
        }
    }
    s->node[s->nodes] = (Node) { { hash[0], hash[1] }, s->parent_nr, *step };
    s->table[at] = ++s->nodes;
    if (s->nodes > s->mask / 2) {
        grow(s);
    }
    return true;
}

static void enqueue(Search *s)
{
    Packed head = { s->nodes - 1, s->packed->len };

    g_byte_array_append(s->next, (const uint8_t *)&head, sizeof(head));
    g_byte_array_append(s->next, s->packed->data, s->packed->len);
}

/* A new state: all rules, the fast gear, and the way to rest */
static void check_state(Search *s)
{
    World *w = s->w;

    rules_state(w);
    if (w->broken) {
        return;
    }
    s->changed = true;
    gear_check(w);
    if (w->broken) {
        return;
    }
    s->at_rest = true;
    world_run(w);
    rules_quiescent(w);
}

static void try_step(void *opaque, const Step *step)
{
    Search *s = opaque;
    World *w = s->w;
    bool ok;

    if (w->broken) {
        return;
    }
    if (s->changed) {
        canon_restore(w, s->parent);
    }
    s->steps++;
    s->culprit = s->parent_nr;
    s->last = *step;
    s->at_rest = false;
    ok = world_step(w, step);
    s->changed = ok || !canon_same(w, s->parent);
    if (!ok && !w->broken && s->changed) {
        /* Freed entries may have changed, but nothing that counts. */
        canon_save(w);
        if (memcmp(w->image, s->parent, w->size)) {
            world_broken(w, "refusal", "what is refused changes the state");
        }
    }
    if (ok && !w->broken) {
        canon_save(w);
        g_byte_array_set_size(s->packed, 0);
        canon_pack(w, s->packed);
        if (enter(s, step)) {
            enqueue(s);
            check_state(s);
        }
    }
}

typedef struct StepList {
    Step step[1024];
    unsigned n;
} StepList;

static void add_step(void *opaque, const Step *step)
{
    StepList *list = opaque;

    g_assert_cmpuint(list->n, <, ARRAY_SIZE(list->step));
    list->step[list->n++] = *step;
}

static void expand(Search *s)
{
    StepList list = { .n = 0 };
    unsigned i;

    canon_restore(s->w, s->parent);
    s->changed = false;
    world_steps(s->w, add_step, &list);
    for (i = 0; i < list.n; i++) {
        try_step(s, &list.step[i]);
    }
}

static void search_level(Search *s)
{
    const uint8_t *p = s->now->data, *end = p + s->now->len;
    Packed head;

    while (p < end && !s->w->broken) {
        memcpy(&head, p, sizeof(head));
        p += sizeof(head);
        canon_unpack(s->w, p, head.len, s->parent);
        p += head.len;
        s->parent_nr = head.node;
        expand(s);
        if (s->nodes > s->w->cfg->limit) {
            world_broken(s->w, "bound", "more than %u states",
                         s->w->cfg->limit);
        }
    }
}

static void search(Search *s)
{
    const Step start = { STEP_START };
    GByteArray *swap;

    g_byte_array_set_size(s->packed, 0);
    canon_pack(s->w, s->packed);
    enter(s, &start);
    enqueue(s);
    check_state(s);
    while (s->next->len && !s->w->broken) {
        swap = s->now;
        s->now = s->next;
        s->next = swap;
        g_byte_array_set_size(s->next, 0);
        search_level(s);
        s->depth++;
        s->queued = MAX(s->queued, s->now->len + s->next->len);
    }
}

/* The way to what broke a rule, for people */

static GArray *path_to(const Search *s)
{
    GArray *path = g_array_new(false, false, sizeof(Step));
    uint32_t at;

    g_array_append_val(path, s->last);
    for (at = s->culprit; at; at = s->node[at].parent) {
        g_array_prepend_val(path, s->node[at].step);
    }
    return path;
}

static void print_lines_held(World *w)
{
    GString *text = g_string_new(NULL);
    unsigned l;

    for (l = 0; l < w->cfg->lines; l++) {
        world_str(w, l, text);
        g_test_message("        %s", text->str);
        g_string_truncate(text, 0);
    }
    g_string_free(text, true);
}

static void replay_step(World *w, const Step *step, unsigned nr)
{
    GString *text = g_string_new(NULL);

    world_step_str(step, text);
    g_test_message("%4u. %s", nr, text->str);
    g_string_free(text, true);
    world_step(w, step);
    if (!w->broken) {
        canon_save(w);
        rules_state(w);
    }
    print_lines_held(w);
}

static void replay(World *w, const GArray *path, bool at_rest)
{
    unsigned i;

    w->log = true;
    for (i = 0; i < path->len; i++) {
        replay_step(w, &g_array_index(path, Step, i), i + 1);
    }
    if (at_rest) {
        g_test_message("      the scheduler runs to the end");
        world_run(w);
        rules_quiescent(w);
        print_lines_held(w);
    }
    w->log = false;
}

static void print_way(const Search *s)
{
    World *w = world_new(s->w->cfg);
    GArray *path = path_to(s);

    g_test_message("BROKEN in %s: %s", s->w->cfg->name, s->w->broken);
    replay(w, path, s->at_rest);
    g_array_free(path, true);
    world_free(w);
}

/*
 * The engine itself fell over, in a step of the search or in its replay. There
 * is one thread and nothing to lose.
 */
static Search *searching;

static void crashed(int sig)
{
    Search *s = searching;

    signal(sig, SIG_DFL);
    searching = NULL;
    if (s) {
        world_broken(s->w, "crash", "%s", g_strsignal(sig));
        print_way(s);
    }
    raise(sig);
}

static void catch_crashes(void)
{
    const struct sigaction sa = {
        .sa_handler = crashed,
        .sa_flags = SA_NODEFER,
    };

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGABRT, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
}

/* MiB that the search took, without the world */
static double memory_of(const Search *s)
{
    size_t table = s->mask + (size_t)1;

    return (table * sizeof(*s->table) + table / 2 * sizeof(*s->node) +
            s->queued) / (1024.0 * 1024.0);
}

static void test_search(gconstpointer opaque)
{
    const ExploreConfig *cfg = opaque;
    Search s = {
        .w = world_new(cfg),
        .mask = (1 << 16) - 1,
        .node = g_new(Node, 1 << 15),
        .table = g_new0(uint32_t, 1 << 16),
        .now = g_byte_array_new(),
        .next = g_byte_array_new(),
        .packed = g_byte_array_new(),
    };
    clock_t start = clock();
    unsigned i;

    s.parent = g_malloc0(s.w->size);
    searching = &s;
    search(&s);
    searching = NULL;
    g_test_message("%s: %u states, %" PRIu64 " steps, depth %u, %.1f s of CPU, "
                   "%.0f MiB", cfg->name, s.nodes, s.steps, s.depth,
                   (double)(clock() - start) / CLOCKS_PER_SEC, memory_of(&s));
    g_test_message("bounds: %s", cfg->bound);
    if (s.w->broken) {
        print_way(&s);
        g_test_fail();
    }
    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        seen_opcodes[i] |= s.w->opcodes[i];
    }
    for (i = 0; i < ARRAY_SIZE(seen_cells); i++) {
        seen_cells[i] |= s.w->cells[i];
    }
    for (i = 0; i < CXL_CACHE_NUM_HOME_TABLES; i++) {
        for (unsigned row = 0; row < CXL_CACHE_NUM_ROWS; row++) {
            seen_home[i][row] |= s.w->home_cells[i][row];
        }
    }
    for (i = 0; i < NUM_GEAR_KINDS; i++) {
        gear_done[i] += s.w->gear_done[i];
    }
    searches_done++;
    world_free(s.w);
    g_free(s.parent);
    g_free(s.node);
    g_free(s.table);
    g_byte_array_free(s.now, true);
    g_byte_array_free(s.next, true);
    g_byte_array_free(s.packed, true);
}

static void home_cell(const char *row, const char *cell, bool reachable,
                      bool met)
{
    if (reachable != met) {
        g_test_message("%s, %s: marked %s, was %s", row, cell,
                       reachable ? "reachable" : "unreachable",
                       met ? "met" : "never met");
        g_test_fail();
    }
}

static void check_home_rules(void)
{
    unsigned p, ev;

    for (p = 0; p < CXL_CACHE_NUM_TX_PHASES; p++) {
        for (ev = 0; ev < CXL_CACHE_NUM_TX_EVENTS; ev++) {
            g_autofree char *phase = g_strdup_printf("phase %u", p);
            g_autofree char *event = g_strdup_printf("event %u", ev);

            home_cell(phase, event, cxl_cache_home_rules[p][ev].act,
                      seen_home[CXL_CACHE_TABLE_RULES][p] & 1u << ev);
        }
    }
}

/* Every cell of the host's tables was used, or cannot be. */
static void check_home_cells(void)
{
    unsigned row, i;

    check_home_rules();
    for (row = 0; row < CXL_CACHE_NUM_ROWS; row++) {
        const CXLCacheHomeReq *r = &cxl_cache_home_reqs[row];

        for (i = 0; i < CXL_CACHE_NUM_CASES; i++) {
            g_autofree char *name = g_strdup_printf("case %u", i);

            home_cell(r->name, name,
                      r->settle[i].used && !r->settle[i].unreachable,
                      seen_home[CXL_CACHE_TABLE_SETTLE][row] & 1u << i);
        }
        for (i = 0; i < CXL_CACHE_NUM_PULLS; i++) {
            g_autofree char *name = g_strdup_printf("pulled data %u", i);

            home_cell(r->name, name,
                      r->pulled[i].used && !r->pulled[i].unreachable,
                      seen_home[CXL_CACHE_TABLE_PULLED][row] & 1u << i);
        }
    }
}

/* Every message and every cell of the tables was met, or cannot be. */
static void test_coverage(void)
{
    const uint32_t *seen = seen_cells;
    unsigned ch, op, snoop, st;

    if (searches_done != explore_num_small) {
        g_test_skip("needs all small searches");
        return;
    }
    for (ch = 0; ch < CXL_CACHE_NUM_CHANNELS; ch++) {
        for (op = 1; op < CXL_CACHE_D2H_REQ_CODES; op++) {
            if (cxl_cache_opcode_valid(ch, op) &&
                ch != CXL_CACHE_D2H_DATA && ch != CXL_CACHE_H2D_DATA &&
                !(seen_opcodes[ch] & 1ULL << op)) {
                g_test_message("never sent: %s",
                               cxl_cache_opcode_name(ch, op));
                g_test_fail();
            }
        }
    }
    check_home_cells();
    for (ch = 0; ch < NUM_GEAR_KINDS; ch++) {
        g_test_message("fast gear, kind %u: %" PRIu64 " calls", ch,
                       gear_done[ch]);
        g_assert_cmpuint(gear_done[ch], >, 1000);
    }
    for (snoop = CXL_CACHE_SNP_DATA; snoop <= CXL_CACHE_SNP_CUR; snoop++) {
        for (st = 0; st < CXL_CACHE_NUM_STATES; st++) {
            bool never = cxl_cache_snoop_rules[snoop][st].unreachable;
            bool met = seen[snoop] & 1u << st;

            if (never == met) {
                g_test_message("%s of %s: marked %s, was %s",
                               cxl_cache_opcode_name(CXL_CACHE_H2D_REQ,
                                                     snoop),
                               cxl_cache_states[st].name,
                               never ? "unreachable" : "reachable",
                               met ? "met" : "never met");
                if (never) {
                    g_test_fail();
                }
            }
        }
    }
}

static void add(const char *group, const ExploreConfig *cfg)
{
    char *path = g_strdup_printf("/cxl-cache-explore/%s%s",
                                 cfg->group ?: group, cfg->name);

    g_test_add_data_func(path, cfg, test_search);
    g_free(path);
}

int main(int argc, char **argv)
{
    unsigned i;

    g_test_init(&argc, &argv, NULL);
    catch_crashes();
    for (i = 0; i < explore_num_small; i++) {
        add("small/", &explore_small[i]);
    }
    g_test_add_func("/cxl-cache-explore/tables/coverage", test_coverage);
    for (i = 0; g_test_slow() && i < explore_num_large; i++) {
        add("large/", &explore_large[i]);
    }
    return g_test_run();
}
