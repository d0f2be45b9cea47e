/*
 * CacheMemRegion: the window on a device's cached lines
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A slot is made up anew by each access, a word of 8 bytes at a time. Two
 * accesses may see two different moments.
 *
 * The window is as large for every cache: the smallest memory window that a
 * bridge can have (1 MiB) has room for it and for the device's other BARs,
 * whatever firmware has left for a slot that was empty.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "cache_mem_internal.h"

#define SLOT_SIZE       128
#define SLOT_WORDS      (SLOT_SIZE / 8)

/* Words of a slot; before them are the line's data. */
#define WORD_ATS        (CXL_CACHE_LINE_SIZE / 8)
#define WORD_STATE      9
#define WORD_DESC       10

#define ATS_VALID       (1ULL << 0)
#define ATS_EXCLUSIVE   (1ULL << 1)

#define STATE_STAGED    (1 << 6)
#define STATE_POISON    (1 << 7)

/* Registers behind the slots */
#define SLOTS_SIZE      (CACHE_MEM_WINDOW_LINES * SLOT_SIZE)
#define REG_LINES       SLOTS_SIZE          /* of the cache */
#define REG_PAGE_LINES  (SLOTS_SIZE + 4)    /* of a page of the window */
#define REG_PAGE        (SLOTS_SIZE + 8)
#define WINDOW_SIZE     (2 * SLOTS_SIZE)

#define DESC_VALID      (1ULL << 63)
#define DESC_CREDITS_MAX 127

QEMU_BUILD_BUG_ON(WORD_DESC + CXL_CACHE_NUM_CHANNELS != SLOT_WORDS);

/*
 * Whether a message is about the slot's line. Only requests have its address;
 * the others have the ID of what the device or the home waits for.
 */
static bool msg_is_about(const CacheMemDev *cm, const CXLCacheSlot *slot,
                         CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    uint64_t line;

    switch (channel) {
    case CXL_CACHE_D2H_REQ:
    case CXL_CACHE_H2D_REQ:
        /* CacheFlushed has an address field that means nothing. */
        return msg->line == slot->line &&
               !(channel == CXL_CACHE_D2H_REQ &&
                 msg->opcode == CXL_CACHE_CACHE_FLUSHED);
    case CXL_CACHE_D2H_RSP:
    case CXL_CACHE_D2H_DATA:
        return cxl_cache_home_tx_line(cm->region->home, msg->uqid, &line) &&
               line == slot->line;
    default:
        return cxl_cache_dev_request_line(cm->dev, msg->cqid, &line) &&
               line == slot->line;
    }
}

static const CXLCacheMsg *oldest_about(const CacheMemDev *cm,
                                       const CXLCacheSlot *slot,
                                       CXLCacheChannelId channel)
{
    const CXLCacheChannel *ch = &cm->link->ch[channel];

    for (uint32_t at = ch->head; at != ch->tail; at++) {
        const CXLCacheMsg *msg = &ch->msg[at & ch->mask];

        if (msg_is_about(cm, slot, channel, msg)) {
            return msg;
        }
    }
    return NULL;
}

/* The UQID of a message; one that is pulled by has it for RspData. */
static uint16_t msg_uqid(CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    bool pull = channel == CXL_CACHE_H2D_RSP && msg->opcode != CXL_CACHE_GO;

    return pull ? msg->rsp_data : msg->uqid;
}

static uint64_t descriptor(const CacheMemDev *cm, const CXLCacheSlot *slot,
                           CXLCacheChannelId channel)
{
    const CXLCacheMsg *msg = oldest_about(cm, slot, channel);
    unsigned credits = cm->link->ch[channel].credits;
    CXLCacheHeader header = { };
    uint64_t desc = DESC_VALID;

    if (!msg) {
        return 0;
    }
    if (channel == CXL_CACHE_D2H_DATA) {
        cxl_cache_pack(channel, cm->link->flit, msg, &header);
    }
    desc = deposit64(desc, 60, 3, channel);
    desc = deposit64(desc, 55, 5, msg->opcode);
    desc = deposit64(desc, 43, 12, msg->cqid);
    desc = deposit64(desc, 31, 12, msg_uqid(channel, msg));
    desc = deposit64(desc, 24, 7, MIN(credits, DESC_CREDITS_MAX));
    return deposit64(desc, 0, 24, header.w[0]);
}

static uint64_t ats_word(const CacheMemDev *cm, const CXLCacheSlot *slot)
{
    unsigned mem = cache_mem_host_decode(cm->region, slot->line);
    bool kept = cm->config.rescue || cxl_cache_states[slot->state].mesi ==
                                     CXL_CACHE_GO_S;

    return (slot->line << CXL_CACHE_LINE_SHIFT) | ATS_VALID |
           (kept && mem & CXL_CACHE_MEM_CACHEABLE ? ATS_EXCLUSIVE : 0);
}

static uint64_t state_word(const CacheMemDev *cm, const CXLCacheSlot *slot)
{
    uint64_t word = cxl_cache_states[slot->state].mesi;
    unsigned nreq = 0;

    for (int i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        nreq += oldest_about(cm, slot, i) != NULL;
    }
    word |= slot->poison ? STATE_POISON : 0;
    word |= slot->staged ? STATE_STAGED : 0;
    return deposit64(word, 8, 8, nreq);
}

/* What a way without a line shows: nothing, in state I */
static uint64_t empty_word(unsigned word)
{
    return word == WORD_STATE ? CXL_CACHE_GO_I : 0;
}

static uint64_t slot_word(const CacheMemDev *cm, unsigned index, unsigned word)
{
    CXLCacheSlot slot;

    if (!cxl_cache_dev_slot(cm->dev, index, &slot)) {
        return empty_word(word);
    }
    switch (word) {
    case 0 ... WORD_ATS - 1:
        /* The bytes of a way whose data are to come are another line's. */
        return cxl_cache_may(slot.state, CXL_CACHE_P_DATA) || slot.staged ?
               ldq_le_p(&slot.data->b[word * 8]) : 0;
    case WORD_ATS:
        return ats_word(cm, &slot);
    case WORD_STATE:
        return state_word(cm, &slot);
    default:
        return descriptor(cm, &slot, word - WORD_DESC);
    }
}

/* Of the page that is shown: the last one need not be full. */
static uint64_t page_word(const CacheMemDev *cm, hwaddr addr)
{
    uint64_t index = (uint64_t)cm->window_page * CACHE_MEM_WINDOW_LINES +
                     addr / SLOT_SIZE;

    return index < cxl_cache_dev_num_lines(cm->dev) ?
           slot_word(cm, index, addr % SLOT_SIZE / 8) : 0;
}

static uint64_t register_word(const CacheMemDev *cm, hwaddr addr)
{
    switch (QEMU_ALIGN_DOWN(addr, 8)) {
    case REG_LINES:
        return deposit64(cxl_cache_dev_num_lines(cm->dev), 32, 32,
                         CACHE_MEM_WINDOW_LINES);
    case REG_PAGE:
        return cm->window_page;
    default:
        return 0;
    }
}

QEMU_BUILD_BUG_ON(REG_PAGE_LINES != REG_LINES + 4);

static uint64_t window_read(void *opaque, hwaddr addr, unsigned size)
{
    CacheMemDev *cm = opaque;
    uint64_t word;

    QEMU_LOCK_GUARD(&cm->region->lock);
    word = addr < SLOTS_SIZE ? page_word(cm, addr) : register_word(cm, addr);
    return extract64(word, addr % 8 * 8, size * 8);
}

static void turn_page(CacheMemDev *cm, uint32_t page)
{
    uint32_t pages;

    QEMU_LOCK_GUARD(&cm->region->lock);
    pages = DIV_ROUND_UP(cxl_cache_dev_num_lines(cm->dev),
                         CACHE_MEM_WINDOW_LINES);
    if (page < pages) {
        cm->window_page = page;
        return;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "%s: the cache window has %" PRIu32
                  " pages: there is no page %" PRIu32 "\n", cm->name, pages,
                  page);
}

static void window_write(void *opaque, hwaddr addr, uint64_t val,
                         unsigned size)
{
    CacheMemDev *cm = opaque;

    if (addr == REG_PAGE && size == 4) {
        turn_page(cm, val);
        return;
    }
    qemu_log_mask(LOG_GUEST_ERROR, "%s: the cache window is read-only: "
                  "write of %u bytes at 0x%" HWADDR_PRIx " is ignored\n",
                  cm->name, size, addr);
}

/*
 * Accesses are naturally aligned when they come here, as the core cuts others
 * up: none straddles two words.
 */
static const MemoryRegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
};

void cache_mem_dev_window(CacheMemDev *cm, MemoryRegion *mr, Object *owner)
{
    memory_region_init_io(mr, owner, &window_ops, cm, "cxl-cache-window",
                          WINDOW_SIZE);
}
