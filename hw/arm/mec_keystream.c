/*
 * FEAT_MEC: the keystream of a context
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Not cryptography: what matters is that context 0 has a keystream of zeroes,
 * that any two contexts differ in every aligned 32-bit word, and that it is
 * the same on every host, for migration and replay.
 */

#include "qemu/osdep.h"
#include "mec-internal.h"

/* A bijection with hash(0) = 0 */
static inline uint32_t mec_hash(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    x ^= x >> 16;
    return x;
}

/*
 * Keystream of one context for an aligned word of a page. As the factor is
 * odd, two MECIDs never share a word of it.
 */
static inline uint32_t mec_keystream(uint16_t mecid, uint32_t page_hash,
                                     unsigned word)
{
    return mec_hash(mecid * (mec_hash(page_hash + word) | 1));
}

static uint32_t mec_page_hash(hwaddr pa)
{
    uint64_t page = pa >> MEC_PAGE_BITS;

    return mec_hash((uint32_t)page ^ 0x6d656331) + (uint32_t)(page >> 32);
}

/* Bytes at [pa, pa + size), naturally aligned, as a little endian number */
static uint64_t mec_keystream_at(uint16_t mecid, hwaddr pa, unsigned size)
{
    uint32_t hash = mec_page_hash(pa);
    unsigned word = (pa & (MEC_PAGE_SIZE - 1)) / 4;
    uint64_t val;

    if (mecid == 0) {
        return 0;
    }
    val = mec_keystream(mecid, hash, word);
    if (size == 8) {
        return val | (uint64_t)mec_keystream(mecid, hash, word + 1) << 32;
    }
    return extract64(val, (pa & 3) * 8, size * 8);
}

uint64_t mec_delta(uint16_t a, uint16_t b, hwaddr pa, unsigned size)
{
    return mec_keystream_at(a, pa, size) ^ mec_keystream_at(b, pa, size);
}

void mec_delta_page(uint16_t a, uint16_t b, hwaddr pa, void *bytes)
{
    uint32_t hash = mec_page_hash(pa);
    uint32_t *words = bytes;

    for (unsigned i = 0; i < MEC_PAGE_SIZE / 4; i++) {
        words[i] ^= cpu_to_le32(mec_keystream(a, hash, i) ^
                                mec_keystream(b, hash, i));
    }
}
