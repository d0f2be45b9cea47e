/*
 * CacheMemRegion: pages that are about to be touched
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cache_mem_stream.h"

/* Touches in a row before anything is told: two may be chance */
#define STREAM_BEGINS   3
/* A touch this near to the one before still follows it. */
#define STREAM_NEAR     4

/**
 * CacheMemStream:
 * @taken: pages by the number of their taking, the last of them
 * @next: number of the next one
 * @last: number of the page that was touched last, or told
 * @back: touches go from later pages to earlier ones
 * @length: touches in a row, pages that were told among them
 * @ahead: pages to tell at once
 */
struct CacheMemStream {
    CacheMemStreamPage taken[CACHE_MEM_PAGE_NUMBERS];
    unsigned next;
    unsigned last;
    bool back;
    unsigned length;
    unsigned ahead;
};

CacheMemStream *cache_mem_stream_new(unsigned ahead)
{
    CacheMemStream *stream = g_new0(CacheMemStream, 1);

    stream->ahead = MIN(ahead, CACHE_MEM_PREFETCH_MAX);
    return stream;
}

void cache_mem_stream_free(CacheMemStream *stream)
{
    g_free(stream);
}

void cache_mem_stream_taken(CacheMemStream *stream, CacheMemBlock *block,
                            CacheMemPage *page)
{
    page->number = stream->next;
    stream->taken[stream->next] = (CacheMemStreamPage) { block, page };
    stream->next = (stream->next + 1) % CACHE_MEM_PAGE_NUMBERS;
}

void cache_mem_stream_forget(CacheMemStream *stream, const CacheMemBlock *block)
{
    for (int i = 0; i < CACHE_MEM_PAGE_NUMBERS; i++) {
        if (stream->taken[i].block == block) {
            stream->taken[i] = (CacheMemStreamPage) { };
        }
    }
}

/* The page of a number, if it was not taken again later, nor given back */
static const CacheMemStreamPage *zapped_page(const CacheMemStream *stream,
                                             unsigned number)
{
    const CacheMemStreamPage *s = &stream->taken[number];

    return s->page && s->page->number == number && s->page->zapped ? s : NULL;
}

static unsigned steps(unsigned from, unsigned to)
{
    return (to - from) % CACHE_MEM_PAGE_NUMBERS;
}

/* Does the touch of a page follow the one before? */
static void follow(CacheMemStream *stream, unsigned number)
{
    bool forth = steps(stream->last, number) - 1 < STREAM_NEAR;
    bool back = steps(number, stream->last) - 1 < STREAM_NEAR;

    if ((!forth && !back) || back != stream->back) {
        stream->length = 0;
        stream->back = back;
    }
    stream->length++;
    stream->last = number;
}

unsigned cache_mem_stream_touched(CacheMemStream *stream,
                                  const CacheMemPage *page,
                                  CacheMemStreamPage *next)
{
    unsigned most, n = 0;

    if (stream->taken[page->number].page != page) {
        stream->length = 0;
        return 0;
    }
    follow(stream, page->number);
    /* As much again as has been seen to be right */
    most = stream->length < STREAM_BEGINS ? 0 :
           MIN(stream->length, stream->ahead);
    while (n < most) {
        unsigned number = (stream->last + (stream->back ? -1 : 1)) %
                          CACHE_MEM_PAGE_NUMBERS;
        const CacheMemStreamPage *s = zapped_page(stream, number);

        if (!s) {
            break;
        }
        stream->last = number;
        next[n++] = *s;
    }
    stream->length += n;
    return n;
}
