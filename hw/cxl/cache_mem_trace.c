/*
 * CacheMemRegion: messages as trace events
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is one event for each channel, so that they can be chosen. A message
 * without an address is about the line of the request or transaction that its
 * ID names; that line is shown, for otherwise a trace could only be read from
 * its beginning.
 */

#include "qemu/osdep.h"
#include "cache_mem_internal.h"
#include "trace.h"

/* An address that no message has */
#define NO_ADDR UINT64_MAX

static uint64_t line_addr(bool known, uint64_t line)
{
    return known ? line << CXL_CACHE_LINE_SHIFT : NO_ADDR;
}

static uint64_t addr_of_cqid(CacheMemDev *cm, unsigned cqid)
{
    uint64_t line = 0;
    bool known = cxl_cache_dev_request_line(cm->dev, cqid, &line);

    return line_addr(known, line);
}

static uint64_t addr_of_uqid(CacheMemDev *cm, unsigned uqid)
{
    uint64_t line = 0;
    bool known = cxl_cache_home_tx_line(cm->region->home, uqid, &line);

    return line_addr(known, line);
}

static void trace_d2h_req(CacheMemDev *cm, const char *op,
                          const CXLCacheMsg *msg)
{
    trace_cxl_cache_d2h_req(cm->name, op, line_addr(true, msg->line),
                            msg->cqid, msg->nt ? " NT" : "");
}

static void trace_d2h_rsp(CacheMemDev *cm, const char *op,
                          const CXLCacheMsg *msg)
{
    trace_cxl_cache_d2h_rsp(cm->name, op, addr_of_uqid(cm, msg->uqid),
                            msg->uqid);
}

static void trace_d2h_data(CacheMemDev *cm, const char *op,
                           const CXLCacheMsg *msg)
{
    static const char *const flags[2][2] = {
        { "", " Poison" }, { " Bogus", " Bogus Poison" },
    };

    trace_cxl_cache_d2h_data(cm->name, addr_of_uqid(cm, msg->uqid), msg->uqid,
                             msg->be, flags[msg->bogus][msg->poison]);
}

static void trace_h2d_req(CacheMemDev *cm, const char *op,
                          const CXLCacheMsg *msg)
{
    trace_cxl_cache_h2d_req(cm->name, op, line_addr(true, msg->line),
                            msg->uqid);
}

static void trace_h2d_rsp(CacheMemDev *cm, const char *op,
                          const CXLCacheMsg *msg)
{
    const char *state = msg->opcode == CXL_CACHE_GO ?
                        cxl_cache_go_name(msg->rsp_data) : "-";

    trace_cxl_cache_h2d_rsp(cm->name, op, state, msg->rsp_data,
                            addr_of_cqid(cm, msg->cqid), msg->cqid);
}

static void trace_h2d_data(CacheMemDev *cm, const char *op,
                           const CXLCacheMsg *msg)
{
    trace_cxl_cache_h2d_data(cm->name, addr_of_cqid(cm, msg->cqid), msg->cqid,
                             msg->go_err ? " GO-Err" :
                             msg->poison ? " Poison" : "");
}

static void (*const trace_by_channel[CXL_CACHE_NUM_CHANNELS])(
    CacheMemDev *cm, const char *op, const CXLCacheMsg *msg) = {
    [CXL_CACHE_D2H_REQ]  = trace_d2h_req,
    [CXL_CACHE_D2H_RSP]  = trace_d2h_rsp,
    [CXL_CACHE_D2H_DATA] = trace_d2h_data,
    [CXL_CACHE_H2D_REQ]  = trace_h2d_req,
    [CXL_CACHE_H2D_RSP]  = trace_h2d_rsp,
    [CXL_CACHE_H2D_DATA] = trace_h2d_data,
};

/* What names the request or transaction that a message belongs to */
static uint16_t id_of(CXLCacheChannelId channel, const CXLCacheMsg *msg)
{
    return channel == CXL_CACHE_D2H_RSP || channel == CXL_CACHE_D2H_DATA ||
           channel == CXL_CACHE_H2D_REQ ? msg->uqid : msg->cqid;
}

static void trace_times(CacheMemDev *cm, CXLCacheChannelId channel,
                        const CXLCacheMsg *msg)
{
    CXLCacheWhen when;

    if (cxl_cache_link_when(cm->link, channel, msg, &when)) {
        trace_cxl_cache_sent(cm->name, cxl_cache_channel_name(channel),
                             cxl_cache_opcode_name(channel, msg->opcode),
                             id_of(channel, msg), when.sent, when.due,
                             cm->link->ch[channel].credits);
    }
}

static void trace_taken(void *opaque, CXLCacheChannelId channel,
                        const CXLCacheMsg *msg, const CXLCacheWhen *when,
                        uint64_t now)
{
    CacheMemDev *cm = opaque;

    trace_cxl_cache_taken(cm->name, cxl_cache_channel_name(channel),
                          cxl_cache_opcode_name(channel, msg->opcode),
                          id_of(channel, msg), when->sent, when->due, now,
                          cm->link->ch[channel].credits);
}

static void trace_message(void *opaque, CXLCacheChannelId channel,
                          const CXLCacheMsg *msg,
                          const CXLCacheLineData *data)
{
    trace_by_channel[channel](opaque,
                              cxl_cache_opcode_name(channel, msg->opcode),
                              msg);
    trace_times(opaque, channel, msg);
}

void cache_mem_trace_update(CacheMemRegion *region)
{
    bool on = trace_event_get_state_backends(TRACE_CXL_CACHE_D2H_REQ) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_D2H_RSP) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_D2H_DATA) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_H2D_REQ) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_H2D_RSP) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_H2D_DATA) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_SENT) ||
              trace_event_get_state_backends(TRACE_CXL_CACHE_ONCE);
    bool taken = trace_event_get_state_backends(TRACE_CXL_CACHE_TAKEN);
    CacheMemDev *cm;

    /* Others' messages may follow from what one device sends. */
    QTAILQ_FOREACH(cm, &region->devices, next) {
        cm->link->trace_opaque = cm;
        cm->link->trace = on ? trace_message : NULL;
        cxl_cache_link_set_taken(cm->link, taken ? trace_taken : NULL, cm);
    }
}
