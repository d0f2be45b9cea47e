/*
 * FEAT_MEC: who has written what in a page of several contexts
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Only to tell a developer: what memory reads as does not depend on it, and
 * nothing of it migrates.
 *
 * A page in the state MEC_PURE is its owner's and has no entry here. Others
 * have the context of each byte that stores through the view, and by walks,
 * have written. The resident context's stores are not seen. They are found
 * where RAM is no longer what it was when that context came.
 */

#include "qemu/osdep.h"
#include "mec-internal.h"

/* Contexts that are told apart in a page; more are unknown */
#define MEC_WRITERS 15
#define MEC_UNKNOWN MEC_WRITERS

/* Pages with two bytes of bookkeeping for each of RAM: this many, at least */
#define MEC_WRITERS_PAGES_MIN 1024
#define MEC_WRITERS_PAGES_SHIFT 4

struct MECWriters {
    uint64_t page;
    QTAILQ_ENTRY(MECWriters) next;  /* if @by is there */
    unsigned known;
    uint16_t context[MEC_WRITERS];
    uint8_t sole;               /* index of the writer of all, without @by */
    uint8_t *by;                /* index of each byte's writer */
    uint8_t *seen;              /* RAM when the resident context came */
};

static MECWriters *mec_writers_get(ARMMECState *s, uint64_t page)
{
    return g_hash_table_lookup(s->writers, &page);
}

static bool mec_writers_has(const MECWriters *w, uint16_t mecid)
{
    for (unsigned i = 0; i < w->known; i++) {
        if (w->context[i] == mecid) {
            return true;
        }
    }
    return false;
}

/* Forget contexts of which nothing is left */
static void mec_writers_purge(MECWriters *w)
{
    bool used[MEC_WRITERS + 1] = { };
    uint8_t moved[MEC_WRITERS + 1];
    unsigned known = 0;

    for (unsigned i = 0; i < MEC_PAGE_SIZE; i++) {
        used[w->by[i]] = true;
    }
    for (unsigned i = 0; i < w->known; i++) {
        moved[i] = known;
        if (used[i]) {
            w->context[known++] = w->context[i];
        }
    }
    moved[MEC_UNKNOWN] = MEC_UNKNOWN;
    for (unsigned i = 0; i < MEC_PAGE_SIZE; i++) {
        w->by[i] = moved[w->by[i]];
    }
    w->known = known;
}

static uint8_t mec_writers_index(MECWriters *w, uint16_t mecid)
{
    for (unsigned i = 0; i < w->known; i++) {
        if (w->context[i] == mecid) {
            return i;
        }
    }
    if (w->known == MEC_WRITERS && w->by) {
        mec_writers_purge(w);
    }
    if (w->known == MEC_WRITERS) {
        return MEC_UNKNOWN;
    }
    w->context[w->known] = mecid;
    return w->known++;
}

/* What differs from @seen is the resident context's */
static void mec_writers_settle_bytes(ARMMECState *s, MECWriters *w,
                                     uint16_t owner)
{
    const uint8_t *ram = mec_host(s, w->page);
    uint8_t index;

    if (!ram || !memcmp(ram, w->seen, MEC_PAGE_SIZE)) {
        return;
    }
    index = mec_writers_index(w, owner);
    for (unsigned i = 0; i < MEC_PAGE_SIZE; i++) {
        if (ram[i] != w->seen[i]) {
            w->by[i] = index;
            w->seen[i] = ram[i];
        }
    }
}

static void mec_writers_fold(ARMMECState *s, MECWriters *w, uint8_t sole)
{
    QTAILQ_REMOVE(&s->writers_full, w, next);
    s->writers_full_count--;
    w->sole = sole;
    g_free(w->by);
    g_free(w->seen);
    w->by = w->seen = NULL;
}

/*
 * Make room: the page that has had its bookkeeping for longest is likely to
 * be all its owner's by now, which takes no room. Else it is forgotten.
 */
static void mec_writers_make_room(ARMMECState *s)
{
    uint64_t limit = MAX(MEC_WRITERS_PAGES_MIN,
                         s->size >> (MEC_PAGE_BITS + MEC_WRITERS_PAGES_SHIFT));
    MECWriters *w;
    uint16_t owner;

    if (s->writers_full_count < limit) {
        return;
    }
    w = QTAILQ_FIRST(&s->writers_full);
    owner = MEC_ENTRY_OWNER(mec_entry(s, w->page));
    mec_writers_settle_bytes(s, w, owner);
    for (unsigned i = 0; i < MEC_PAGE_SIZE; i++) {
        if (w->by[i] != w->by[0]) {
            mec_writers_fold(s, w, MEC_UNKNOWN);
            return;
        }
    }
    mec_writers_fold(s, w, w->by[0] < MEC_UNKNOWN &&
                     w->context[w->by[0]] == owner ? w->by[0] : MEC_UNKNOWN);
}

/* Bookkeeping for a page, from what is known of it; NULL: nothing to keep */
static MECWriters *mec_writers_make(ARMMECState *s, uint64_t page,
                                    uint32_t entry)
{
    MECWriters *w = mec_writers_get(s, page);

    if (w && w->by) {
        return w;
    }
    if (!mec_host(s, page)) {
        return NULL;
    }
    mec_writers_make_room(s);
    if (!w) {
        w = g_new0(MECWriters, 1);
        w->page = page;
        /* Of others it is not known: they have migrated. */
        w->sole = MEC_ENTRY_STATE(entry) == MEC_PURE
                  ? mec_writers_index(w, MEC_ENTRY_OWNER(entry)) : MEC_UNKNOWN;
        g_hash_table_insert(s->writers, &w->page, w);
    }
    w->by = g_malloc(MEC_PAGE_SIZE);
    memset(w->by, w->sole, MEC_PAGE_SIZE);
    w->seen = g_memdup2(mec_host(s, page), MEC_PAGE_SIZE);
    QTAILQ_INSERT_TAIL(&s->writers_full, w, next);
    s->writers_full_count++;
    return w;
}

void mec_writers_store(ARMMECState *s, hwaddr offset, unsigned size,
                       uint16_t mecid, const uint8_t *bytes)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    uint32_t entry = mec_entry(s, page);
    unsigned at = offset & (MEC_PAGE_SIZE - 1);
    MECWriters *w;

    if (entry == MEC_ENTRY(mecid, MEC_PURE)) {
        return;
    }
    w = mec_writers_make(s, page, entry);
    if (w) {
        memset(w->by + at, mec_writers_index(w, mecid), size);
        memcpy(w->seen + at, bytes, size);
    }
}

void mec_writers_stored(ARMMECState *s, hwaddr offset, unsigned size,
                        uint16_t mecid, uint32_t entry)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned at = offset & (MEC_PAGE_SIZE - 1);
    MECWriters *w = mec_writers_make(s, page, entry);

    if (w) {
        memset(w->by + at, mec_writers_index(w, mecid), size);
        memcpy(w->seen + at, mec_host(s, page) + at, size);
    }
}

void mec_writers_before_rekey(ARMMECState *s, uint64_t page)
{
    uint32_t entry = mec_entry(s, page);
    MECWriters *w = mec_writers_make(s, page, entry);

    if (w) {
        mec_writers_settle_bytes(s, w, MEC_ENTRY_OWNER(entry));
    }
}

void mec_writers_after_rekey(ARMMECState *s, uint64_t page)
{
    MECWriters *w = mec_writers_get(s, page);

    if (w && w->by) {
        memcpy(w->seen, mec_host(s, page), MEC_PAGE_SIZE);
    }
}

bool mec_writers_find(ARMMECState *s, hwaddr offset, unsigned size,
                      uint16_t mecid, uint16_t *writer, bool *was_there)
{
    uint64_t page = offset >> MEC_PAGE_BITS;
    unsigned at = offset & (MEC_PAGE_SIZE - 1);
    uint32_t entry = mec_entry(s, page);
    MECWriters *w = mec_writers_get(s, page);
    const uint8_t *ram = mec_host(s, page);

    *was_there = w && mec_writers_has(w, mecid);
    if (!w || !ram) {
        *writer = MEC_ENTRY_OWNER(entry);
        return ram && !mec_is_legible(entry, mecid);
    }
    for (unsigned i = at; i < at + size; i++) {
        uint8_t index = w->by ? w->by[i] : w->sole;

        if (w->by && ram[i] != w->seen[i]) {
            *writer = MEC_ENTRY_OWNER(entry);
        } else if (index == MEC_UNKNOWN) {
            continue;
        } else {
            *writer = w->context[index];
        }
        if (*writer != mecid) {
            return true;
        }
    }
    return false;
}

bool mec_writers_is_sole(ARMMECState *s, uint64_t page, uint16_t mecid)
{
    MECWriters *w = mec_writers_get(s, page);
    const uint8_t *ram = mec_host(s, page);
    uint8_t index;

    if (!w || !w->by) {
        return mec_page_is_zero(s, page);
    }
    index = mec_writers_index(w, mecid);
    for (unsigned i = 0; i < MEC_PAGE_SIZE; i += 8) {
        if (!ldq_he_p(ram + i)) {
            continue;
        }
        for (unsigned n = i; n < i + 8; n++) {
            if (ram[n] && w->by[n] != index) {
                return false;
            }
        }
    }
    return true;
}

void mec_writers_drop(ARMMECState *s, uint64_t page)
{
    MECWriters *w = mec_writers_get(s, page);

    if (w) {
        if (w->by) {
            mec_writers_fold(s, w, 0);
        }
        g_hash_table_remove(s->writers, &page);
    }
}

void mec_writers_reset(ARMMECState *s)
{
    MECWriters *w;

    while ((w = QTAILQ_FIRST(&s->writers_full))) {
        mec_writers_fold(s, w, 0);
    }
    g_hash_table_remove_all(s->writers);
}

void mec_writers_init(ARMMECState *s)
{
    s->writers = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                       g_free);
    QTAILQ_INIT(&s->writers_full);
}

void mec_writers_finalize(ARMMECState *s)
{
    if (s->writers) {
        mec_writers_reset(s);
        g_clear_pointer(&s->writers, g_hash_table_destroy);
    }
}
