/*
 * CXL.cache messages: channels, opcodes, fields
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/cxl/cxl_cache_tables.h"

/* Fields of a header, in the order of transmission */
typedef enum FieldId {
    F_END,
    F_VALID,
    F_OPCODE,
    F_LINE,
    F_CQID,
    F_UQID,
    F_NT,
    F_CACHE_ID,
    F_RSP_DATA,
    F_RSP_PRE,
    F_CHUNK_VALID,
    F_BOGUS,
    F_POISON,
    F_GO_ERR,
    F_BEP,
    F_RSVD,
} FieldId;

typedef struct Field {
    uint8_t id;
    uint8_t bits[CXL_CACHE_NUM_FLITS];
} Field;

#define MAX_FIELDS 9

/*
 * Tables 3-21 to 3-27. The reserved bits stand last: their places within the
 * header are the link layer's business, their number is not.
 */
static const Field layout[CXL_CACHE_NUM_CHANNELS][MAX_FIELDS] = {
    [CXL_CACHE_D2H_REQ] = {
        { F_VALID, { 1, 1 } }, { F_OPCODE, { 5, 5 } }, { F_CQID, { 12, 12 } },
        { F_NT, { 1, 1 } }, { F_CACHE_ID, { 0, 4 } }, { F_LINE, { 46, 46 } },
        { F_RSVD, { 14, 7 } },
    },
    [CXL_CACHE_D2H_RSP] = {
        { F_VALID, { 1, 1 } }, { F_OPCODE, { 5, 5 } }, { F_UQID, { 12, 12 } },
        { F_RSVD, { 2, 6 } },
    },
    [CXL_CACHE_D2H_DATA] = {
        { F_VALID, { 1, 1 } }, { F_UQID, { 12, 12 } },
        { F_CHUNK_VALID, { 1, 0 } }, { F_BOGUS, { 1, 1 } },
        { F_POISON, { 1, 1 } }, { F_BEP, { 0, 1 } }, { F_RSVD, { 1, 8 } },
    },
    [CXL_CACHE_H2D_REQ] = {
        { F_VALID, { 1, 1 } }, { F_OPCODE, { 3, 3 } }, { F_LINE, { 46, 46 } },
        { F_UQID, { 12, 12 } }, { F_CACHE_ID, { 0, 4 } },
        { F_RSVD, { 2, 6 } },
    },
    [CXL_CACHE_H2D_RSP] = {
        { F_VALID, { 1, 1 } }, { F_OPCODE, { 4, 4 } },
        { F_RSP_DATA, { 12, 12 } }, { F_RSP_PRE, { 2, 2 } },
        { F_CQID, { 12, 12 } }, { F_CACHE_ID, { 0, 4 } },
        { F_RSVD, { 1, 5 } },
    },
    [CXL_CACHE_H2D_DATA] = {
        { F_VALID, { 1, 1 } }, { F_CQID, { 12, 12 } },
        { F_CHUNK_VALID, { 1, 0 } }, { F_POISON, { 1, 1 } },
        { F_GO_ERR, { 1, 1 } }, { F_CACHE_ID, { 0, 4 } },
        { F_RSVD, { 8, 9 } },
    },
};

unsigned cxl_cache_header_bits(CXLCacheChannelId channel, CXLCacheFlit flit)
{
    unsigned bits = 0;

    for (const Field *f = layout[channel]; f->id != F_END; f++) {
        bits += f->bits[flit];
    }
    return bits;
}

#define MEMBER(_field, _member) \
    [_field] = { offsetof(CXLCacheMsg, _member), \
                 sizeof(((CXLCacheMsg *)NULL)->_member) }

/* Fields that are members of the message; the others follow from it. */
static const struct {
    uint8_t offset;
    uint8_t size;
} members[] = {
    MEMBER(F_OPCODE, opcode), MEMBER(F_LINE, line), MEMBER(F_CQID, cqid),
    MEMBER(F_UQID, uqid), MEMBER(F_NT, nt), MEMBER(F_CACHE_ID, cache_id),
    MEMBER(F_RSP_DATA, rsp_data), MEMBER(F_RSP_PRE, rsp_pre),
    MEMBER(F_BOGUS, bogus), MEMBER(F_POISON, poison),
    MEMBER(F_GO_ERR, go_err), [F_RSVD] = { 0, 0 },
};

static uint64_t get_field(const CXLCacheMsg *msg, FieldId id)
{
    const void *p = (const char *)msg + members[id].offset;

    switch (members[id].size) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return *(const uint16_t *)p;
    case 8:
        return *(const uint64_t *)p;
    default:
        /* All 64 bytes are one message here: no chunk of 32 is marked. */
        return id == F_VALID ||
               (id == F_BEP && msg->be != CXL_CACHE_BE_ALL);
    }
}

/* Returns false if no such value may be received. */
static bool set_field(CXLCacheMsg *msg, FieldId id, uint64_t value)
{
    void *p = (char *)msg + members[id].offset;

    switch (members[id].size) {
    case 1:
        *(uint8_t *)p = value;
        return true;
    case 2:
        *(uint16_t *)p = value;
        return true;
    case 8:
        *(uint64_t *)p = value;
        return true;
    default:
        if (id == F_BEP && value) {
            /* The enables themselves travel behind the data. */
            msg->be = 0;
        }
        return id == F_VALID ? value : id != F_RSVD || !value;
    }
}

static void put_bits(CXLCacheHeader *h, unsigned at, unsigned bits, uint64_t v)
{
    for (unsigned i = 0; i < bits; i++, at++) {
        h->w[at / 64] |= ((v >> i) & 1) << (at % 64);
    }
}

static uint64_t take_bits(const CXLCacheHeader *h, unsigned at, unsigned bits)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bits; i++, at++) {
        v |= ((h->w[at / 64] >> (at % 64)) & 1) << i;
    }
    return v;
}

void cxl_cache_pack(CXLCacheChannelId channel, CXLCacheFlit flit,
                    const CXLCacheMsg *msg, CXLCacheHeader *header)
{
    unsigned at = 0;

    *header = (CXLCacheHeader) { };
    for (const Field *f = layout[channel]; f->id != F_END; f++) {
        put_bits(header, at, f->bits[flit], get_field(msg, f->id));
        at += f->bits[flit];
    }
}

bool cxl_cache_unpack(CXLCacheChannelId channel, CXLCacheFlit flit,
                      const CXLCacheHeader *header, CXLCacheMsg *msg)
{
    unsigned at = 0;
    bool ok = true;

    *msg = (CXLCacheMsg) { .be = CXL_CACHE_BE_ALL };
    for (const Field *f = layout[channel]; f->id != F_END; f++) {
        ok &= set_field(msg, f->id, take_bits(header, at, f->bits[flit]));
        at += f->bits[flit];
    }
    /* Nothing behind the header either */
    for (; at < 128; at++) {
        ok &= !take_bits(header, at, 1);
    }
    return ok;
}

static const char *const channel_names[] = {
    "D2H Req", "D2H Rsp", "D2H Data", "H2D Req", "H2D Rsp", "H2D Data",
};

static const char *const snoop_names[CXL_CACHE_H2D_REQ_CODES] = {
    [CXL_CACHE_SNP_DATA] = "SnpData",
    [CXL_CACHE_SNP_INV]  = "SnpInv",
    [CXL_CACHE_SNP_CUR]  = "SnpCur",
};

/* Fast_GO is not here: reserved since r3.0. */
static const char *const h2d_rsp_names[CXL_CACHE_H2D_RSP_CODES] = {
    [CXL_CACHE_WRITE_PULL]         = "WritePull",
    [CXL_CACHE_GO]                 = "GO",
    [CXL_CACHE_GO_WRITE_PULL]      = "GO_WritePull",
    [CXL_CACHE_EXT_CMP]            = "ExtCmp",
    [CXL_CACHE_GO_WRITE_PULL_DROP] = "GO_WritePull_Drop",
    [CXL_CACHE_FAST_GO_WRITE_PULL] = "Fast_GO_WritePull",
    [CXL_CACHE_GO_ERR_WRITE_PULL]  = "GO_ERR_WritePull",
};

static const char *const go_names[CXL_CACHE_GO_CODES] = {
    [CXL_CACHE_GO_S]   = "S",
    [CXL_CACHE_GO_E]   = "E",
    [CXL_CACHE_GO_I]   = "I",
    [CXL_CACHE_GO_ERR] = "Err",
    [CXL_CACHE_GO_M]   = "M",
};

static const char *const error_names[CXL_CACHE_NUM_ERRS] = {
    [CXL_CACHE_ERR_NONE]          = "no error",
    [CXL_CACHE_ERR_RSVD_ENCODING] = "reserved encoding",
    [CXL_CACHE_ERR_ID_IN_USE]     = "ID still in use",
    [CXL_CACHE_ERR_ID_UNKNOWN]    = "unknown ID",
    [CXL_CACHE_ERR_ADDRESS]       = "address out of range",
    [CXL_CACHE_ERR_UNEXPECTED]    = "unexpected message",
    [CXL_CACHE_ERR_DIRTY_LOST]    = "modified data lost",
    [CXL_CACHE_ERR_NOT_OWNER]     = "written back without ownership",
    [CXL_CACHE_ERR_DECODE]        = "address decode error",
    [CXL_CACHE_ERR_MEMORY]        = "memory failed",
};

static const char *opcode_name(CXLCacheChannelId channel, uint8_t op)
{
    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        return op < CXL_CACHE_D2H_REQ_CODES ? cxl_cache_req_rules[op].name
                                            : NULL;
    case CXL_CACHE_D2H_RSP:
        return op < CXL_CACHE_D2H_RSP_CODES ? cxl_cache_rsp_rules[op].name
                                            : NULL;
    case CXL_CACHE_H2D_REQ:
        return op < ARRAY_SIZE(snoop_names) ? snoop_names[op] : NULL;
    case CXL_CACHE_H2D_RSP:
        return op < ARRAY_SIZE(h2d_rsp_names) ? h2d_rsp_names[op] : NULL;
    default:
        return "Data";
    }
}

const char *cxl_cache_opcode_name(CXLCacheChannelId channel, uint8_t opcode)
{
    return opcode_name(channel, opcode) ?: "reserved";
}

const char *cxl_cache_channel_name(CXLCacheChannelId channel)
{
    return channel < ARRAY_SIZE(channel_names) ? channel_names[channel]
                                               : "reserved";
}

const char *cxl_cache_go_name(unsigned state)
{
    return state < ARRAY_SIZE(go_names) && go_names[state] ? go_names[state]
                                                           : "reserved";
}

const char *cxl_cache_error_name(CXLCacheError err)
{
    return err < CXL_CACHE_NUM_ERRS ? error_names[err] : "unknown error";
}

static const char *rsp_data_str(const CXLCacheMsg *msg, char buf[16])
{
    switch (msg->opcode) {
    case CXL_CACHE_GO:
        g_snprintf(buf, 16, "-%s", cxl_cache_go_name(msg->rsp_data));
        break;
    case CXL_CACHE_EXT_CMP:
        buf[0] = '\0';
        break;
    default:
        g_snprintf(buf, 16, " UQID %u", msg->rsp_data);
    }
    return buf;
}

char *cxl_cache_msg_str(CXLCacheChannelId channel, const CXLCacheMsg *msg,
                        char *buf)
{
    const char *name = cxl_cache_opcode_name(channel, msg->opcode);
    char rsp[16];
    int n = 0;

    switch (channel) {
    case CXL_CACHE_D2H_REQ:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "D2H %s 0x%" PRIx64 " CQID %u%s",
                       name, msg->line << CXL_CACHE_LINE_SHIFT, msg->cqid,
                       msg->nt ? " NT" : "");
        break;
    case CXL_CACHE_D2H_RSP:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "D2H %s UQID %u", name,
                       msg->uqid);
        break;
    case CXL_CACHE_D2H_DATA:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "D2H Data UQID %u%s", msg->uqid,
                       msg->bogus ? " Bogus" : "");
        break;
    case CXL_CACHE_H2D_REQ:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "H2D %s 0x%" PRIx64 " UQID %u",
                       name, msg->line << CXL_CACHE_LINE_SHIFT, msg->uqid);
        break;
    case CXL_CACHE_H2D_RSP:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "H2D %s%s CQID %u", name,
                       rsp_data_str(msg, rsp), msg->cqid);
        break;
    default:
        n = g_snprintf(buf, CXL_CACHE_MSG_STR, "H2D Data CQID %u%s", msg->cqid,
                       msg->go_err ? " GO-Err" : "");
    }
    if (msg->poison && n < CXL_CACHE_MSG_STR) {
        g_strlcat(buf, " Poison", CXL_CACHE_MSG_STR);
    }
    if (channel == CXL_CACHE_D2H_DATA && msg->be != CXL_CACHE_BE_ALL) {
        n = strlen(buf);
        g_snprintf(buf + n, CXL_CACHE_MSG_STR - n, " BE 0x%016" PRIx64,
                   msg->be);
    }
    return buf;
}
