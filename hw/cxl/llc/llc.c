/*
 * A host's last-level cache: tags, directory, who may allocate where
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

#define MAX_SIZE    (1ULL << 30)
#define LINE_SIZE   (1u << CXL_LLC_LINE_SHIFT)

/* A tag: bits 51:6 the line; 0 is an empty way */
#define TAG_VALID       (1u << 0)
#define TAG_DIRTY       (1u << 1)
#define TAG_CLASS_SHIFT 2
#define TAG_CLASS       (3u << TAG_CLASS_SHIFT)
#define TAG_LINE_SHIFT  6

QEMU_BUILD_BUG_ON(CXL_LLC_NUM_CLASSES - 1 > TAG_CLASS >> TAG_CLASS_SHIFT);

/**
 * Array: ways of many sets
 * @tag, @age: of way w of set s: [s * ways + w]
 */
typedef struct Array {
    CXLLlcPolicy policy;
    unsigned ways;
    uint64_t *tag;
    uint8_t *age;
} Array;

/**
 * CXLLlc:
 * @sets: of a slice, a power of two: 1 << @set_bits
 * @slice_bits: of the number of a slice
 * @all_sets: of all slices
 */
struct CXLLlc {
    CXLLlcConfig config;
    char *policy;
    unsigned sets;
    unsigned set_bits;
    unsigned slice_bits;
    size_t all_sets;
    uint32_t mask[CXL_LLC_NUM_CLASSES];
    Array lines;
    Array directory;
    CXLLlcStats stats[CXL_LLC_MAX_SLICES];
};

/* Arrays */

static uint32_t all_ways(unsigned n)
{
    return UINT32_MAX >> (32 - n);
}

static void array_reset(Array *a, size_t sets)
{
    if (!a->ways) {
        return;
    }
    memset(a->tag, 0, sets * a->ways * sizeof(*a->tag));
    for (size_t i = 0; i < sets; i++) {
        a->policy.ops->reset(&a->age[i * a->ways], a->ways);
    }
}

static bool array_init(Array *a, size_t sets)
{
    if (!a->ways) {
        return true;
    }
    a->tag = g_try_new(uint64_t, sets * a->ways);
    a->age = g_try_new(uint8_t, sets * a->ways);
    if (!a->tag || !a->age) {
        return false;
    }
    array_reset(a, sets);
    return true;
}

static void array_free(Array *a)
{
    g_free(a->tag);
    g_free(a->age);
}

/* The line's way in a set, or -1 */
static int array_find(const Array *a, size_t set, uint64_t line)
{
    const uint64_t *tag = &a->tag[set * a->ways];

    for (unsigned i = 0; i < a->ways; i++) {
        if (tag[i] && tag[i] >> TAG_LINE_SHIFT == line) {
            return i;
        }
    }
    return -1;
}

static uint32_t empty_ways(const Array *a, size_t set)
{
    const uint64_t *tag = &a->tag[set * a->ways];
    uint32_t empty = 0;

    for (unsigned i = 0; i < a->ways; i++) {
        empty |= (uint32_t)!tag[i] << i;
    }
    return empty;
}

/* One of @allowed for a line that is to come; its tag is what leaves, or 0 */
static unsigned array_room(Array *a, size_t set, uint32_t allowed)
{
    const CXLLlcPolicy *p = &a->policy;
    uint8_t *age = &a->age[set * a->ways];
    uint32_t empty = empty_ways(a, set);

    p->ops->missed(p, age, a->ways);
    return allowed & empty ? p->ops->empty(p, allowed & empty) :
           p->ops->victim(p, age, a->ways, allowed);
}

static void array_fill(Array *a, size_t set, unsigned way, uint64_t tag)
{
    const CXLLlcPolicy *p = &a->policy;

    a->tag[set * a->ways + way] = tag;
    p->ops->filled(p, &a->age[set * a->ways], a->ways, way);
}

static void array_hit(Array *a, size_t set, unsigned way)
{
    const CXLLlcPolicy *p = &a->policy;

    p->ops->hit(p, &a->age[set * a->ways], a->ways, way);
}

/* Where lines are */

unsigned cxl_llc_slice_of(const CXLLlc *llc, uint64_t line)
{
    return cxl_llc_hash(llc->config.hash, llc->config.slices,
                        line & (CXL_LLC_LINE_MAX - 1));
}

unsigned cxl_llc_set_of(const CXLLlc *llc, uint64_t line)
{
    /* A hash leaves the bits below for the set, slices in turn take them. */
    return (llc->config.hash == CXL_LLC_HASH_LINEAR ?
            line >> llc->slice_bits : line) & (llc->sets - 1);
}

/* The line's set among those of all slices */
static size_t index_of(const CXLLlc *llc, uint64_t line)
{
    return (size_t)cxl_llc_slice_of(llc, line) << llc->set_bits |
           cxl_llc_set_of(llc, line);
}

static CXLLlcEntry entry_at(const CXLLlc *llc, size_t set, unsigned way,
                            uint64_t tag)
{
    return (CXLLlcEntry) {
        .line = tag >> TAG_LINE_SHIFT,
        .slice = set >> llc->set_bits,
        .set = set & (llc->sets - 1),
        .way = way,
        .dirty = tag & TAG_DIRTY,
        .class = (tag & TAG_CLASS) >> TAG_CLASS_SHIFT,
    };
}

/* Leaving */

static void count_gone(CXLLlc *llc, const CXLLlcEntry *gone,
                       CXLLlcReason reason)
{
    CXLLlcStats *stats = &llc->stats[gone->slice];

    stats->evictions[reason]++;
    stats->write_backs += gone->dirty;
}

static CXLLlcReason reason_of(const CXLLlc *llc, const CXLLlcEntry *victim,
                              CXLLlcClass class)
{
    return class == CXL_LLC_DMA ? CXL_LLC_EVICT_DDIO :
           !(llc->mask[victim->class] & 1u << victim->way) ?
           CXL_LLC_EVICT_UNPIN : CXL_LLC_EVICT_SET;
}

static void evict(CXLLlc *llc, CXLLlcClass class, CXLLlcResult *r, size_t set,
                  unsigned way, uint64_t tag)
{
    r->evicted = true;
    r->victim = entry_at(llc, set, way, tag);
    r->reason = reason_of(llc, &r->victim, class);
    count_gone(llc, &r->victim, r->reason);
}

bool cxl_llc_flush_line(CXLLlc *llc, uint64_t line, CXLLlcEntry *gone)
{
    CXLLlcEntry entry;

    if (!cxl_llc_find(llc, line, &entry)) {
        return false;
    }
    llc->lines.tag[index_of(llc, line) * llc->lines.ways + entry.way] = 0;
    count_gone(llc, &entry, CXL_LLC_EVICT_FLUSH);
    if (gone) {
        *gone = entry;
    }
    return true;
}

uint64_t cxl_llc_flush(CXLLlc *llc, CXLLlcFunc *func, void *opaque)
{
    uint64_t n = 0;

    for (size_t set = 0; set < llc->all_sets; set++) {
        for (unsigned way = 0; way < llc->lines.ways; way++) {
            uint64_t tag = llc->lines.tag[set * llc->lines.ways + way];
            CXLLlcEntry gone = entry_at(llc, set, way, tag);

            if (tag) {
                n++;
                count_gone(llc, &gone, CXL_LLC_EVICT_FLUSH);
                if (func) {
                    func(opaque, &gone);
                }
            }
        }
    }
    array_reset(&llc->lines, llc->all_sets);
    return n;
}

/* Accesses */

static bool allocates(const CXLLlc *llc, CXLLlcKind kind, CXLLlcClass class)
{
    return llc->mask[class] &&
           (class != CXL_LLC_DMA || kind == CXL_LLC_WRITE ||
            kind == CXL_LLC_WRITE_BACK);
}

static uint64_t make_tag(uint64_t line, CXLLlcClass class)
{
    return line << TAG_LINE_SHIFT | class << TAG_CLASS_SHIFT | TAG_VALID;
}

void cxl_llc_access(CXLLlc *llc, uint64_t line, CXLLlcKind kind,
                    CXLLlcClass class, CXLLlcResult *result)
{
    Array *a = &llc->lines;
    size_t set = index_of(llc, line);
    CXLLlcStats *stats = &llc->stats[set >> llc->set_bits];
    uint64_t dirty = kind == CXL_LLC_READ || kind == CXL_LLC_OWN ? 0 :
                     TAG_DIRTY;
    uint64_t *tag = &a->tag[set * a->ways];
    int way;

    line &= CXL_LLC_LINE_MAX - 1;
    *result = (CXLLlcResult) { };
    way = array_find(a, set, line);
    if (way >= 0) {
        result->hit = true;
        stats->hits++;
        array_hit(a, set, way);
    } else {
        stats->misses++;
    }
    if (way < 0 && allocates(llc, kind, class)) {
        way = array_room(a, set, llc->mask[class]);
        result->allocated = true;
        stats->fills++;
        if (tag[way]) {
            evict(llc, class, result, set, way, tag[way]);
        }
        array_fill(a, set, way, make_tag(line, class));
    }
    if (way >= 0) {
        tag[way] |= dirty;
    }
    result->at = entry_at(llc, set, MAX(way, 0),
                          way < 0 ? make_tag(line, class) : tag[way]);
}

bool cxl_llc_find(const CXLLlc *llc, uint64_t line, CXLLlcEntry *entry)
{
    size_t set = index_of(llc, line);
    int way = array_find(&llc->lines, set, line & (CXL_LLC_LINE_MAX - 1));

    if (way < 0) {
        return false;
    }
    *entry = entry_at(llc, set, way,
                      llc->lines.tag[set * llc->lines.ways + way]);
    return true;
}

/* The directory */

bool cxl_llc_track(CXLLlc *llc, uint64_t line, CXLLlcEntry *conflict)
{
    Array *a = &llc->directory;
    size_t set = index_of(llc, line);
    uint64_t left;
    unsigned way;

    line &= CXL_LLC_LINE_MAX - 1;
    if (!a->ways || array_find(a, set, line) >= 0) {
        return false;
    }
    way = array_room(a, set, all_ways(a->ways));
    left = a->tag[set * a->ways + way];
    array_fill(a, set, way, make_tag(line, CXL_LLC_DEVICE));
    if (!left) {
        return false;
    }
    *conflict = entry_at(llc, set, way, left);
    count_gone(llc, conflict, CXL_LLC_EVICT_DIRECTORY);
    return true;
}

void cxl_llc_untrack(CXLLlc *llc, uint64_t line)
{
    Array *a = &llc->directory;
    size_t set = index_of(llc, line);
    int way = a->ways ? array_find(a, set, line & (CXL_LLC_LINE_MAX - 1)) : -1;

    if (way >= 0) {
        a->tag[set * a->ways + way] = 0;
    }
}

bool cxl_llc_tracks(const CXLLlc *llc, uint64_t line)
{
    const Array *a = &llc->directory;

    return a->ways && array_find(a, index_of(llc, line),
                                 line & (CXL_LLC_LINE_MAX - 1)) >= 0;
}

/* Way masks */

bool cxl_llc_set_mask(CXLLlc *llc, CXLLlcClass class, uint32_t mask)
{
    if (mask & ~all_ways(llc->config.ways) ||
        (!mask && class != CXL_LLC_PIN)) {
        return false;
    }
    llc->mask[class] = mask;
    return true;
}

uint32_t cxl_llc_mask(const CXLLlc *llc, CXLLlcClass class)
{
    return llc->mask[class];
}

/* Looking in */

const CXLLlcConfig *cxl_llc_config(const CXLLlc *llc)
{
    return &llc->config;
}

unsigned cxl_llc_sets(const CXLLlc *llc)
{
    return llc->sets;
}

const CXLLlcStats *cxl_llc_stats(const CXLLlc *llc, unsigned slice)
{
    return &llc->stats[slice];
}

bool cxl_llc_entry(const CXLLlc *llc, unsigned slice, unsigned set,
                   unsigned way, CXLLlcEntry *entry, uint8_t *age)
{
    const Array *a = &llc->lines;
    size_t at;

    if (slice >= llc->config.slices || set >= llc->sets || way >= a->ways) {
        return false;
    }
    at = ((size_t)slice * llc->sets + set) * a->ways + way;
    if (age) {
        *age = a->age[at];
    }
    *entry = entry_at(llc, at / a->ways, way, a->tag[at]);
    return a->tag[at];
}

const char *cxl_llc_reason_name(CXLLlcReason reason)
{
    static const char *const names[] = {
        [CXL_LLC_EVICT_SET] = "set-conflict",
        [CXL_LLC_EVICT_DIRECTORY] = "directory-conflict",
        [CXL_LLC_EVICT_DDIO] = "ddio",
        [CXL_LLC_EVICT_UNPIN] = "unpin",
        [CXL_LLC_EVICT_FLUSH] = "flush",
    };

    return names[reason];
}

const char *cxl_llc_class_name(CXLLlcClass class)
{
    static const char *const names[] = {
        [CXL_LLC_CPU] = "cpu",
        [CXL_LLC_DEVICE] = "device",
        [CXL_LLC_DMA] = "dma",
        [CXL_LLC_PIN] = "pin",
    };

    return names[class];
}

/* Life */

static bool is_pow2(uint64_t n)
{
    return n && !(n & (n - 1));
}

static char *check_config(const CXLLlcConfig *c)
{
    uint64_t unit;

    if (!is_pow2(c->slices) || c->slices > CXL_LLC_MAX_SLICES) {
        return g_strdup_printf("'slices' must be 1, 2, 4, 8 or 16, not %u",
                               c->slices);
    }
    if (!c->ways || c->ways > CXL_LLC_MAX_WAYS) {
        return g_strdup_printf("'ways' must be 1 to %d, not %u",
                               CXL_LLC_MAX_WAYS, c->ways);
    }
    unit = (uint64_t)c->slices * c->ways * LINE_SIZE;
    if (c->size > MAX_SIZE || c->size % unit || !is_pow2(c->size / unit)) {
        return g_strdup_printf("'size' must be %" PRIu64 " bytes (a set of %u "
                               "ways in each of %u slices) times a power of "
                               "two, at most 1 GiB", unit, c->ways, c->slices);
    }
    if (!c->ddio_ways || c->ddio_ways > c->ways) {
        return g_strdup_printf("'ddio-ways' must be 1 to %u, the number of "
                               "ways", c->ways);
    }
    if (c->directory_ways > CXL_LLC_MAX_WAYS) {
        return g_strdup_printf("'directory-ways' must be 0 to %d",
                               CXL_LLC_MAX_WAYS);
    }
    return NULL;
}

static void set_default_masks(CXLLlc *llc)
{
    uint32_t all = all_ways(llc->config.ways);

    llc->mask[CXL_LLC_CPU] = llc->mask[CXL_LLC_DEVICE] = all;
    llc->mask[CXL_LLC_DMA] = all & ~(all >> llc->config.ddio_ways);
    llc->mask[CXL_LLC_PIN] = 0;
}

void cxl_llc_reset(CXLLlc *llc)
{
    array_reset(&llc->lines, llc->all_sets);
    array_reset(&llc->directory, llc->all_sets);
    memset(llc->stats, 0, sizeof(llc->stats));
    set_default_masks(llc);
}

CXLLlc *cxl_llc_new(const CXLLlcConfig *config, char **error)
{
    CXLLlcPolicy policy;
    CXLLlc *llc;

    *error = check_config(config) ?:
             cxl_llc_policy_parse(&policy, config->policy, config->ways);
    if (*error) {
        return NULL;
    }
    llc = g_new0(CXLLlc, 1);
    llc->config = *config;
    llc->config.policy = llc->policy = g_strdup(config->policy);
    llc->all_sets = config->size / config->ways / LINE_SIZE;
    llc->sets = llc->all_sets / config->slices;
    llc->set_bits = __builtin_ctz(llc->sets);
    llc->slice_bits = __builtin_ctz(config->slices);
    llc->lines.policy = policy;
    llc->lines.ways = config->ways;
    llc->directory.policy = cxl_llc_lru;
    llc->directory.ways = config->directory_ways;
    set_default_masks(llc);
    if (!array_init(&llc->lines, llc->all_sets) ||
        !array_init(&llc->directory, llc->all_sets)) {
        cxl_llc_free(llc);
        *error = g_strdup_printf("there is no memory for the tags of %" PRIu64
                                 " bytes of cache", config->size);
        return NULL;
    }
    return llc;
}

void cxl_llc_free(CXLLlc *llc)
{
    if (llc) {
        array_free(&llc->lines);
        array_free(&llc->directory);
        g_free(llc->policy);
        g_free(llc);
    }
}
