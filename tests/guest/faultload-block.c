// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The content of a block, and what is wrong with one that differs
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "faultload.h"

#define MAGIC 0x646b6c6274666c63ull     /* "clftblkd" */
#define LINE 64
#define WORDS (BLOCK_SIZE / sizeof(uint64_t))

/* The first words name the block, so that a stale or misplaced one is known */
enum { WORD_MAGIC, WORD_SEED, WORD_PLACE, WORD_GENERATION, WORD_RANDOM };

uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t place(const struct block_id *id)
{
    return (uint64_t)id->file << 32 | id->block;
}

void block_fill(void *buf, const struct block_id *id)
{
    uint64_t *word = buf;
    uint64_t state = mix(id->seed) ^ mix(place(id) + 1);

    state = mix(state + id->generation) | 1;
    word[WORD_MAGIC] = MAGIC;
    word[WORD_SEED] = id->seed;
    word[WORD_PLACE] = place(id);
    word[WORD_GENERATION] = id->generation;
    for (size_t i = WORD_RANDOM; i < WORDS; i++) {
        word[i] = random_next(&state);
    }
}

static void explain(const uint64_t *have, const uint8_t *want,
                    const struct block_id *id, char *why, size_t why_size)
{
    const uint8_t *bytes = (const uint8_t *)have;
    int first = -1, lines = 0;
    char what[96] = "no block of this load";

    for (int at = 0; at < BLOCK_SIZE; at += LINE) {
        if (memcmp(bytes + at, want + at, LINE)) {
            lines++;
            first = first < 0 ? at : first;
        }
    }
    if (have[WORD_MAGIC] == MAGIC && have[WORD_SEED] == id->seed) {
        snprintf(what, sizeof(what), "file %u block %u generation %" PRIu64,
                 (unsigned)(have[WORD_PLACE] >> 32), (unsigned)have[WORD_PLACE],
                 have[WORD_GENERATION]);
    }
    snprintf(why, why_size, "file %u block %u generation %u: %d of %d lines "
             "are wrong, the first at byte %d, it begins as %s", id->file,
             id->block, id->generation, lines, BLOCK_SIZE / LINE, first, what);
}

bool block_good(const void *buf, const struct block_id *id,
                char *why, size_t why_size)
{
    uint64_t want[WORDS];

    block_fill(want, id);
    if (!memcmp(buf, want, BLOCK_SIZE)) {
        return true;
    }
    explain(buf, (uint8_t *)want, id, why, why_size);
    return false;
}
