/*
 * CXL Type 1 crypto accelerator: requests that wait for their lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All of it with the BQL held, but for woken(), which arms the timer.
 *
 * Translations are good until the IOMMU takes them back. The device's ATC has
 * what is under way come to its end before it says that it is done with them,
 * and the transfer begins anew here, with new translations. A device that has
 * more pages in flight than its ATC has entries would never come to an end like
 * this: what has begun too often is done at once.
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "hw/cxl/cache_mem_transfer.h"
#include "cxl_type1_flight.h"

#define MAX_BEGINS  4

/**
 * FlightPart: a payload of a request
 * @host: as CXLType1Payload.host
 * @gone: translations that had gone when it was translated
 * @begins: how often it has begun
 * @over: @transfer need not be run any more
 */
typedef struct FlightPart {
    bool write;
    size_t offset;
    CacheMemTransfer *transfer;
    GArray *host;
    uint64_t gone;
    unsigned begins;
    bool over;
    QSIMPLEQ_ENTRY(FlightPart) next;
} FlightPart;

struct CXLType1Flight {
    const VirtQueueElement *elem;
    QSIMPLEQ_HEAD(, FlightPart) parts;
    bool ready;
    QTAILQ_ENTRY(CXLType1Flight) next;
};

static CXLType1Flight *find_flight(const CXLType1Crypto *s,
                                   const VirtQueueElement *elem)
{
    return s->flights.by_elem ? g_hash_table_lookup(s->flights.by_elem, elem) :
                                NULL;
}

static FlightPart *find_part(const CXLType1Payload *p)
{
    const CXLType1Flight *flight = find_flight(p->s, p->elem);
    FlightPart *part;

    if (!flight) {
        return NULL;
    }
    QSIMPLEQ_FOREACH(part, &flight->parts, next) {
        if (part->write == p->write && part->offset == p->offset) {
            return part;
        }
    }
    return NULL;
}

static bool is_stale(const CXLType1Crypto *s, const FlightPart *part)
{
    return part->gone != cache_mem_translations_gone(s->cache);
}

/* ---- The timer ---- */

static void woken(void *opaque, uint64_t when)
{
    CXLType1Crypto *s = opaque;

    timer_mod_anticipate_ns(s->flights.timer, when);
}

/* Returns: when to run it again, unless woken before */
static uint64_t run_part(CXLType1Crypto *s, CXLType1Flight *flight,
                         FlightPart *part)
{
    /* What is stale begins anew when the request is resumed. */
    part->over = is_stale(s, part) ||
                 cache_mem_transfer_run(part->transfer) != -EINPROGRESS;
    flight->ready |= part->over;
    return part->over ? UINT64_MAX : cache_mem_transfer_again(part->transfer);
}

static void run_flights(CXLType1Crypto *s)
{
    uint64_t again = UINT64_MAX;
    CXLType1Flight *flight;
    FlightPart *part;

    QTAILQ_FOREACH(flight, &s->flights.list, next) {
        QSIMPLEQ_FOREACH(part, &flight->parts, next) {
            if (!part->over) {
                again = MIN(again, run_part(s, flight, part));
            }
        }
    }
    if (again != UINT64_MAX) {
        timer_mod_anticipate_ns(s->flights.timer, again);
    }
}

static CXLType1Flight *find_ready(CXLType1Crypto *s)
{
    CXLType1Flight *flight;

    QTAILQ_FOREACH(flight, &s->flights.list, next) {
        if (flight->ready) {
            return flight;
        }
    }
    return NULL;
}

/* A device that hangs goes on with its requests when that is over. */
static void go_on(void *opaque)
{
    CXLType1Crypto *s = opaque;
    CXLType1Flight *flight;

    if (s->inject.unresponsive || s->link_lost) {
        return;
    }
    run_flights(s);
    /* Any completion may reset the device, or unplug it */
    while ((flight = find_ready(s)) && !s->inject.unresponsive) {
        flight->ready = false;
        virtio_crypto_resume_request(&s->vdev, flight->elem);
    }
}

/* ---- Payloads ---- */

static CXLType1Flight *make_flight(CXLType1Crypto *s,
                                   const VirtQueueElement *elem)
{
    CXLType1Flight *flight = find_flight(s, elem);

    if (!flight) {
        if (!s->flights.timer) {
            s->flights.by_elem = g_hash_table_new(NULL, NULL);
            QTAILQ_INIT(&s->flights.list);
            s->flights.timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, go_on, s);
        }
        flight = g_new0(CXLType1Flight, 1);
        flight->elem = elem;
        QSIMPLEQ_INIT(&flight->parts);
        QTAILQ_INSERT_TAIL(&s->flights.list, flight, next);
        g_hash_table_insert(s->flights.by_elem, (void *)elem, flight);
    }
    return flight;
}

static FlightPart *make_part(const CXLType1Payload *p)
{
    CXLType1Flight *flight = make_flight(p->s, p->elem);
    FlightPart *part = g_new0(FlightPart, 1);

    part->write = p->write;
    part->offset = p->offset;
    QSIMPLEQ_INSERT_TAIL(&flight->parts, part, next);
    return part;
}

static void end(FlightPart *part)
{
    g_clear_pointer(&part->transfer, cache_mem_transfer_free);
    g_clear_pointer(&part->host, g_array_unref);
}

/* As a driver knows it */
static char *name_of(const VirtQueueElement *elem)
{
    const VirtIOCryptoReq *req = container_of(elem, VirtIOCryptoReq, elem);

    return g_strdup_printf("queue %d, descriptor %u",
                           virtio_get_queue_index(req->vq), elem->index);
}

static void begin(CXLType1Payload *p, FlightPart *part, const uint8_t *buf)
{
    CXLType1Crypto *s = p->s;
    const CacheMemSeg *seg = cxl_type1_payload_host(p);
    g_autofree char *name = name_of(p->elem);

    end(part);
    part->host = g_array_ref(p->host);
    part->transfer = p->write ?
        cache_mem_transfer_write(s->cache, name, seg, p->host->len, buf,
                                 cxl_type1_payload_how(s), woken, s) :
        cache_mem_transfer_read(s->cache, name, seg, p->host->len, woken, s);
    part->gone = cache_mem_translations_gone(s->cache);
    part->begins++;
    part->over = false;
}

bool cxl_type1_flight_is(const CXLType1Crypto *s, const VirtQueueElement *elem)
{
    return find_flight(s, elem);
}

bool cxl_type1_flight_has(const CXLType1Payload *p)
{
    return find_part(p);
}

/* It has been translated, in a call before. */
static void adopt(CXLType1Payload *p, const FlightPart *part)
{
    if (!p->translated) {
        p->translated = true;
        p->how = CACHE_MEM_TRANSLATED;
        p->host = g_array_ref(part->host);
        p->cached = true;
    }
}

bool cxl_type1_flight_wanted(CXLType1Payload *p)
{
    FlightPart *part = find_part(p);

    if (part && !is_stale(p->s, part)) {
        adopt(p, part);
        return true;
    }
    return !p->at_once && cxl_type1_payload_translate(p) && p->cached &&
           cache_mem_in_time(p->s->cache) &&
           !(part && part->begins == MAX_BEGINS);
}

int cxl_type1_flight_move(CXLType1Payload *p, uint8_t *buf, bool *poison)
{
    FlightPart *part = find_part(p) ?: make_part(p);
    int ret;

    *poison = false;
    if (!part->transfer || is_stale(p->s, part)) {
        begin(p, part, buf);
    }
    ret = cache_mem_transfer_run(part->transfer);
    part->over = ret != -EINPROGRESS;
    if (!part->over) {
        uint64_t again = cache_mem_transfer_again(part->transfer);

        if (again != UINT64_MAX) {
            timer_mod_anticipate_ns(p->s->flights.timer, again);
        }
    } else if (!p->write) {
        *poison = cache_mem_transfer_poison(part->transfer);
        memcpy(buf, cache_mem_transfer_data(part->transfer), p->total);
    }
    return ret;
}

void cxl_type1_flight_forget(CXLType1Crypto *s, const VirtQueueElement *elem)
{
    CXLType1Flight *flight = find_flight(s, elem);
    FlightPart *part;

    if (!flight) {
        return;
    }
    QTAILQ_REMOVE(&s->flights.list, flight, next);
    g_hash_table_remove(s->flights.by_elem, elem);
    while ((part = QSIMPLEQ_FIRST(&flight->parts))) {
        QSIMPLEQ_REMOVE_HEAD(&flight->parts, next);
        end(part);
        g_free(part);
    }
    g_free(flight);
}

void cxl_type1_flights_exit(CXLType1Crypto *s)
{
    g_clear_pointer(&s->flights.timer, timer_free);
    g_clear_pointer(&s->flights.by_elem, g_hash_table_unref);
}
