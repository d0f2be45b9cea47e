/*
 * Lines of one memory in several encryption contexts
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_alias.h"

#define NUM_RECENT  64

/**
 * Line: in a CPU's cache
 * @cpu: which one's: that has used it last
 * @data: decrypted. Of a plain line, what is in memory beneath it
 * @base: memory's bytes, when the line came from there or went there last
 * @same: the next one of the same memory, in another context
 * @link: in the order of use
 */
typedef struct Line {
    uint64_t line;
    uint16_t context;
    bool dirty;
    int cpu;
    uint8_t data[CXL_ALIAS_LINE_SIZE];
    uint8_t base[CXL_ALIAS_LINE_SIZE];
    struct Line *same;
    GList link;
} Line;

/* @same: the one of the same line that came before */
typedef struct Pair {
    CXLAliasPair pair;
    struct Pair *same;
} Pair;

/**
 * CXLAlias:
 * @by_line: from a line's number to the first Line of that memory
 * @recent: of these, some that were looked for, or NULL
 * @used: of Line; the one that was used last is last
 * @pairs: of Pair, in the order in which they came
 * @pairs_of: from a line's number to its Pair that came last
 */
struct CXLAlias {
    unsigned max_lines;
    CXLAliasCoherence coherence;
    const CXLAliasOps *ops;
    void *opaque;
    GHashTable *by_line;
    Line *recent[NUM_RECENT];
    GQueue used;
    GPtrArray *pairs;
    GHashTable *pairs_of;
    uint64_t pairs_lost;
    CXLAliasStats stats;
};

/* ---- Lines ---- */

/* What is asked for again and again need not be looked for. */
static Line *first_of(CXLAlias *a, uint64_t line)
{
    Line **recent = &a->recent[line % NUM_RECENT];

    if (!*recent || (*recent)->line != line) {
        *recent = g_hash_table_lookup(a->by_line, &line);
    }
    return *recent;
}

static Line *find(CXLAlias *a, unsigned context, uint64_t line)
{
    Line *l;

    for (l = first_of(a, line); l && l->context != context; l = l->same) {
        ;
    }
    return l;
}

static void chain(CXLAlias *a, Line *first)
{
    g_hash_table_replace(a->by_line, &first->line, first);
    a->recent[first->line % NUM_RECENT] = first;
}

static void insert(CXLAlias *a, Line *l)
{
    l->same = first_of(a, l->line);
    chain(a, l);
    l->link.data = l;
    g_queue_push_tail_link(&a->used, &l->link);
}

static void forget(CXLAlias *a, Line *l)
{
    Line *first = first_of(a, l->line);

    if (first == l) {
        if (l->same) {
            chain(a, l->same);
        } else {
            g_hash_table_remove(a->by_line, &l->line);
            a->recent[l->line % NUM_RECENT] = NULL;
        }
    } else {
        while (first->same != l) {
            first = first->same;
        }
        first->same = l->same;
    }
    g_queue_unlink(&a->used, &l->link);
    g_free(l);
}

/* ---- Memory, under all caches ---- */

static void memory_read(CXLAlias *a, uint64_t line, uint8_t *data)
{
    const Line *plain = find(a, CXL_ALIAS_PLAIN, line);

    if (plain) {
        memcpy(data, plain->data, CXL_ALIAS_LINE_SIZE);
    } else {
        a->ops->read(a->opaque, line, data);
    }
}

static void memory_write(CXLAlias *a, uint64_t line, const uint8_t *data)
{
    Line *plain = find(a, CXL_ALIAS_PLAIN, line);

    if (plain) {
        memcpy(plain->data, data, CXL_ALIAS_LINE_SIZE);
    } else {
        a->ops->write(a->opaque, line, data);
    }
}

/* Memory is no more what it was for this line. */
static bool has_changed(CXLAlias *a, const Line *l)
{
    uint8_t now[CXL_ALIAS_LINE_SIZE];

    if (l->context == CXL_ALIAS_PLAIN) {
        return memcmp(l->data, l->base, sizeof(l->base));
    }
    memory_read(a, l->line, now);
    return memcmp(now, l->base, sizeof(now));
}

/* ---- Pairs ---- */

static Pair *pairs_of(const CXLAlias *a, uint64_t line)
{
    return g_hash_table_lookup(a->pairs_of, &line);
}

/* The encrypted one comes first; a device is no context. */
static CXLAliasPair *add_pair(CXLAlias *a, uint64_t line, unsigned one,
                              unsigned two)
{
    bool swap = one == CXL_ALIAS_DEVICE ||
                (two != CXL_ALIAS_DEVICE && one < two);
    unsigned context = swap ? two : one, other = swap ? one : two;
    Pair *first = pairs_of(a, line), *p;

    for (p = first; p; p = p->same) {
        if (p->pair.context == context && p->pair.other == other) {
            return &p->pair;
        }
    }
    if (a->pairs->len == CXL_ALIAS_MAX_PAIRS) {
        a->pairs_lost++;
        return NULL;
    }
    p = g_new0(Pair, 1);
    p->pair.line = line;
    p->pair.context = context;
    p->pair.other = other;
    p->same = first;
    g_ptr_array_add(a->pairs, p);
    g_hash_table_replace(a->pairs_of, &p->pair.line, p);
    return &p->pair;
}

/* Who the other was is not known: of this line's pairs, the one noted last */
static CXLAliasPair *last_pair(CXLAlias *a, const Line *l)
{
    Pair *p;

    for (p = pairs_of(a, l->line);
         p && p->pair.context != l->context && p->pair.other != l->context;
         p = p->same) {
        ;
    }
    return p ? &p->pair : NULL;
}

static void count_overwritten(CXLAlias *a, const Line *l)
{
    CXLAliasPair *p = last_pair(a, l);

    a->stats.overwritten++;
    if (p) {
        p->overwritten++;
    }
}

static void count_stale(CXLAlias *a, const Line *l)
{
    CXLAliasPair *p = last_pair(a, l);

    a->stats.stale++;
    if (p) {
        p->stale++;
    }
}

static void count_bypassed(CXLAlias *a, CXLAliasPair *p)
{
    a->stats.bypassed++;
    if (p) {
        p->bypassed++;
    }
}

/* ---- Lines leave ---- */

/* Memory has what the line has, and the line is what memory has. */
static void write_back(CXLAlias *a, Line *l)
{
    uint8_t data[CXL_ALIAS_LINE_SIZE];

    if (!l->dirty) {
        return;
    }
    if (has_changed(a, l)) {
        count_overwritten(a, l);
    }
    if (l->context == CXL_ALIAS_PLAIN) {
        a->ops->read(a->opaque, l->line, data);
    } else {
        a->ops->crypt(a->opaque, l->context, l->line, l->data, data, true);
    }
    memory_write(a, l->line, data);
    memcpy(l->base, data, sizeof(data));
    l->dirty = false;
    a->stats.write_backs++;
}

static void leave(CXLAlias *a, Line *l)
{
    write_back(a, l);
    if (l->context == CXL_ALIAS_PLAIN) {
        /* From now on the plain address shows memory. */
        if (has_changed(a, l)) {
            a->ops->write(a->opaque, l->line, l->data);
        }
    }
    forget(a, l);
}

static void make_room(CXLAlias *a)
{
    while (a->used.length >= a->max_lines) {
        a->stats.evictions++;
        leave(a, g_queue_peek_head(&a->used));
    }
}

/* ---- Accesses ---- */

/* Lines of other contexts that an access does not find are noted. */
static void note_others(CXLAlias *a, unsigned who, unsigned context,
                        uint64_t line, bool write)
{
    for (const Line *l = first_of(a, line); l; l = l->same) {
        if (l->context != context && (write || l->dirty)) {
            add_pair(a, line, l->context, who);
        }
    }
}

/* Lines of other contexts that an access does find leave. */
static void snoop_others(CXLAlias *a, unsigned context, uint64_t line)
{
    Line *l = first_of(a, line), *next;

    for (; l; l = next) {
        next = l->same;
        if (l->context != context) {
            leave(a, l);
        }
    }
}

/* Memory is read, or written, past lines that are modified. */
static void pass_others(CXLAlias *a, unsigned who, unsigned context,
                        uint64_t line)
{
    for (const Line *l = first_of(a, line); l; l = l->same) {
        if (l->context != context && l->dirty) {
            count_bypassed(a, add_pair(a, line, l->context, who));
        }
    }
}

static Line *fill(CXLAlias *a, unsigned context, uint64_t line)
{
    Line *l;

    pass_others(a, context, context, line);
    make_room(a);
    l = g_new0(Line, 1);
    l->line = line;
    l->context = context;
    memory_read(a, line, l->base);
    if (context == CXL_ALIAS_PLAIN) {
        memcpy(l->data, l->base, sizeof(l->data));
    } else {
        a->ops->crypt(a->opaque, context, line, l->base, l->data, false);
    }
    insert(a, l);
    return l;
}

/* A CPU has the line now. */
static Line *access_line(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                         bool write)
{
    Line *l;

    if (a->coherence == CXL_ALIAS_COHERENT_OFF) {
        note_others(a, context, context, line, write);
    } else {
        snoop_others(a, context, line);
    }
    l = find(a, context, line);
    if (!l) {
        l = fill(a, context, line);
    } else {
        if (has_changed(a, l)) {
            count_stale(a, l);
        }
        g_queue_unlink(&a->used, &l->link);
        g_queue_push_tail_link(&a->used, &l->link);
    }
    l->cpu = cpu;
    l->dirty |= write;
    return l;
}

void cxl_alias_load(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                    unsigned offset, unsigned len, void *data)
{
    const Line *l = access_line(a, cpu, context, line, false);

    memcpy(data, l->data + offset, len);
}

void cxl_alias_store(CXLAlias *a, int cpu, unsigned context, uint64_t line,
                     unsigned offset, unsigned len, const void *data)
{
    Line *l = access_line(a, cpu, context, line, true);

    memcpy(l->data + offset, data, len);
}

void cxl_alias_plain(CXLAlias *a, int cpu, uint64_t line, bool write)
{
    access_line(a, cpu, CXL_ALIAS_PLAIN, line, write);
}

/* A device's access of a context, whose line a CPU then has no more */
static void device_access(CXLAlias *a, unsigned context, uint64_t line,
                          bool write)
{
    Line *own = find(a, context, line);

    if (own) {
        leave(a, own);
    }
    if (a->coherence == CXL_ALIAS_COHERENT_ALL) {
        snoop_others(a, context, line);
    } else {
        note_others(a, CXL_ALIAS_DEVICE, context, line, write);
        pass_others(a, CXL_ALIAS_DEVICE, context, line);
    }
}

void cxl_alias_device(CXLAlias *a, uint64_t line, bool write)
{
    device_access(a, CXL_ALIAS_PLAIN, line, write);
}

void cxl_alias_device_takes(CXLAlias *a, uint64_t line, bool owner)
{
    Line *own = find(a, CXL_ALIAS_PLAIN, line);

    if (own) {
        leave(a, own);
    }
    if (a->coherence == CXL_ALIAS_COHERENT_ALL) {
        snoop_others(a, CXL_ALIAS_PLAIN, line);
    } else {
        note_others(a, CXL_ALIAS_DEVICE, CXL_ALIAS_PLAIN, line, owner);
    }
}

void cxl_alias_device_has(CXLAlias *a, unsigned context, uint64_t line,
                          bool owner, bool write)
{
    CXLAliasPair *p;

    if (!owner && !write) {
        return;
    }
    p = add_pair(a, line, context, CXL_ALIAS_DEVICE);
    if (owner && !find(a, context, line)) {
        count_bypassed(a, p);
    }
}

void cxl_alias_dma(CXLAlias *a, unsigned context, uint64_t line,
                   unsigned offset, unsigned len, void *data, bool write)
{
    uint8_t raw[CXL_ALIAS_LINE_SIZE], text[CXL_ALIAS_LINE_SIZE];

    device_access(a, context, line, write);
    memory_read(a, line, raw);
    a->ops->crypt(a->opaque, context, line, raw, text, false);
    if (!write) {
        memcpy(data, text + offset, len);
        return;
    }
    memcpy(text + offset, data, len);
    a->ops->crypt(a->opaque, context, line, text, raw, true);
    memory_write(a, line, raw);
}

/* ---- Flushes ---- */

/* Left alone, the line could do harm: somebody does not know of it. */
static bool is_needed(CXLAlias *a, const Line *l)
{
    bool known = a->coherence == CXL_ALIAS_COHERENT_ALL ||
                 (a->coherence == CXL_ALIAS_COHERENT_CPU &&
                  l->context == CXL_ALIAS_PLAIN);

    return !known && (l->dirty || has_changed(a, l));
}

static void flush_found(CXLAlias *a, Line *l, bool invalidate)
{
    bool needed = is_needed(a, l);

    a->stats.flushed++;
    a->stats.needed += needed;
    a->stats.wasted += !needed;
    if (invalidate) {
        leave(a, l);
    } else {
        write_back(a, l);
    }
}

void cxl_alias_flush_line(CXLAlias *a, unsigned context, uint64_t line)
{
    Line *l = find(a, context, line);

    a->stats.scanned++;
    if (l) {
        flush_found(a, l, true);
    }
}

void cxl_alias_flush_page(CXLAlias *a, unsigned context, uint64_t first_line)
{
    for (unsigned i = 0; i < CXL_ALIAS_PAGE_LINES; i++) {
        cxl_alias_flush_line(a, context, first_line + i);
    }
}

void cxl_alias_flush(CXLAlias *a, int cpu, bool invalidate)
{
    GList *i, *next;

    /* What was used longest ago goes first. */
    for (i = a->used.head; i; i = next) {
        Line *l = i->data;

        next = i->next;
        if (cpu == CXL_ALIAS_ALL_CPUS || l->cpu == cpu) {
            a->stats.scanned++;
            flush_found(a, l, invalidate);
        }
    }
}

/* ---- Looking in ---- */

unsigned cxl_alias_num_lines(const CXLAlias *a, int cpu)
{
    unsigned n = 0;

    if (cpu == CXL_ALIAS_ALL_CPUS) {
        return a->used.length;
    }
    for (const GList *i = a->used.head; i; i = i->next) {
        n += ((const Line *)i->data)->cpu == cpu;
    }
    return n;
}

bool cxl_alias_find(CXLAlias *a, unsigned context, uint64_t line, bool *dirty)
{
    const Line *l = find(a, context, line);

    if (l && dirty) {
        *dirty = l->dirty;
    }
    return l;
}

const CXLAliasStats *cxl_alias_stats(const CXLAlias *a)
{
    return &a->stats;
}

const CXLAliasPair *cxl_alias_pair(const CXLAlias *a, unsigned n)
{
    const Pair *p = n < a->pairs->len ? g_ptr_array_index(a->pairs, n) : NULL;

    return p ? &p->pair : NULL;
}

unsigned cxl_alias_num_pairs(const CXLAlias *a)
{
    return a->pairs->len;
}

uint64_t cxl_alias_pairs_lost(const CXLAlias *a)
{
    return a->pairs_lost;
}

/* ---- Life ---- */

CXLAlias *cxl_alias_new(unsigned lines, CXLAliasCoherence coherence,
                        const CXLAliasOps *ops, void *opaque)
{
    CXLAlias *a = g_new0(CXLAlias, 1);

    a->max_lines = lines;
    a->coherence = coherence;
    a->ops = ops;
    a->opaque = opaque;
    a->by_line = g_hash_table_new(g_int64_hash, g_int64_equal);
    g_queue_init(&a->used);
    a->pairs = g_ptr_array_new_with_free_func(g_free);
    a->pairs_of = g_hash_table_new(g_int64_hash, g_int64_equal);
    return a;
}

void cxl_alias_reset(CXLAlias *a)
{
    while (!g_queue_is_empty(&a->used)) {
        forget(a, g_queue_peek_head(&a->used));
    }
    g_hash_table_remove_all(a->pairs_of);
    g_ptr_array_set_size(a->pairs, 0);
    a->pairs_lost = 0;
    a->stats = (CXLAliasStats) { };
}

void cxl_alias_free(CXLAlias *a)
{
    if (!a) {
        return;
    }
    cxl_alias_reset(a);
    g_hash_table_unref(a->by_line);
    g_hash_table_unref(a->pairs_of);
    g_ptr_array_unref(a->pairs);
    g_free(a);
}
