/*
 * CXL.cache messages: channels, opcodes, fields
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is modelled: the six channels of CXL.cache between a device and its
 * host, every opcode with its encoding, and the fields of every message with
 * their widths in 68B and 256B flits (CXL r3.1 section 3.2, tables 3-20 to
 * 3-27). Plain C on glib: this file, the others named cxl_cache_* and
 * hw/cxl/cache/ know nothing of QEMU and use no thread, no lock and, once set
 * up, no allocation.
 *
 * Addresses are *lines* throughout: bits 51:6 of the host physical address,
 * as the messages carry them (HPA >> CXL_CACHE_LINE_SHIFT).
 *
 * How the files depend on each other, lowest first:
 *
 *   cxl_cache_msg.h     this file
 *   cxl_cache_tables.h  the protocol's state tables, as data
 *   cxl_cache_link.h    six channels with their credits
 *   cxl_cache_dev.h     the device: its cache and its requests
 *   cxl_cache_home.h    the host: snoop filter, transactions, memory
 */

#ifndef HW_CXL_CACHE_MSG_H
#define HW_CXL_CACHE_MSG_H

#define CXL_CACHE_LINE_SHIFT    6
#define CXL_CACHE_LINE_SIZE 64
/* Lines below this are addressable: an HPA has 52 bits. */
#define CXL_CACHE_LINE_MAX      (1ULL << (52 - CXL_CACHE_LINE_SHIFT))
/* CQID and UQID are 12 bits wide. */
#define CXL_CACHE_ID_MAX        4096
/* CacheID is 4 bits wide: devices below one host. */
#define CXL_CACHE_DEV_MAX       16
/* All 64 byte enables */
#define CXL_CACHE_BE_ALL        UINT64_MAX

typedef struct CXLCacheLineData {
    uint8_t b[CXL_CACHE_LINE_SIZE];
} QEMU_ALIGNED(16) CXLCacheLineData;

typedef enum CXLCacheChannelId {
    CXL_CACHE_D2H_REQ,
    CXL_CACHE_D2H_RSP,
    CXL_CACHE_D2H_DATA,
    CXL_CACHE_H2D_REQ,
    CXL_CACHE_H2D_RSP,
    CXL_CACHE_H2D_DATA,
    CXL_CACHE_NUM_CHANNELS
} CXLCacheChannelId;

/* D2H requests (table 3-22); the codes between them are reserved */
typedef enum CXLCacheD2HReq {
    CXL_CACHE_RD_CURR               = 0x01,
    CXL_CACHE_RD_OWN                = 0x02,
    CXL_CACHE_RD_SHARED             = 0x03,
    CXL_CACHE_RD_ANY                = 0x04,
    CXL_CACHE_RD_OWN_NO_DATA        = 0x05,
    CXL_CACHE_I_TO_M_WR             = 0x06,
    CXL_CACHE_WR_CUR                = 0x07,
    CXL_CACHE_CL_FLUSH              = 0x08,
    CXL_CACHE_CLEAN_EVICT           = 0x09,
    CXL_CACHE_DIRTY_EVICT           = 0x0a,
    CXL_CACHE_CLEAN_EVICT_NO_DATA   = 0x0b,
    CXL_CACHE_WO_WR_INV             = 0x0c,
    CXL_CACHE_WO_WR_INV_F           = 0x0d,
    CXL_CACHE_WR_INV                = 0x0e,
    CXL_CACHE_CACHE_FLUSHED         = 0x10,
    CXL_CACHE_D2H_REQ_CODES         = 0x20
} CXLCacheD2HReq;

/* D2H responses, to snoops (table 3-25) */
typedef enum CXLCacheD2HRsp {
    CXL_CACHE_RSP_S_HIT_SE          = 0x01,
    CXL_CACHE_RSP_I_HIT_I           = 0x04,
    CXL_CACHE_RSP_I_HIT_SE          = 0x05,
    CXL_CACHE_RSP_V_HIT_V           = 0x06,
    CXL_CACHE_RSP_S_FWD_M           = 0x07,
    CXL_CACHE_RSP_I_FWD_M           = 0x0f,
    CXL_CACHE_RSP_V_FWD_V           = 0x16,
    CXL_CACHE_D2H_RSP_CODES         = 0x20
} CXLCacheD2HRsp;

/* H2D requests: snoops (table 3-26) */
typedef enum CXLCacheH2DReq {
    CXL_CACHE_SNP_DATA              = 0x1,
    CXL_CACHE_SNP_INV               = 0x2,
    CXL_CACHE_SNP_CUR               = 0x3,
    CXL_CACHE_H2D_REQ_CODES         = 0x8
} CXLCacheH2DReq;

/* H2D responses (table 3-27) */
typedef enum CXLCacheH2DRsp {
    CXL_CACHE_WRITE_PULL            = 0x1,
    CXL_CACHE_GO                    = 0x4,
    CXL_CACHE_GO_WRITE_PULL         = 0x5,
    CXL_CACHE_EXT_CMP               = 0x6,
    CXL_CACHE_GO_WRITE_PULL_DROP    = 0x8,
    CXL_CACHE_FAST_GO               = 0xc,  /* reserved since r3.0 */
    CXL_CACHE_FAST_GO_WRITE_PULL    = 0xd,
    CXL_CACHE_GO_ERR_WRITE_PULL     = 0xf,
    CXL_CACHE_H2D_RSP_CODES         = 0x10
} CXLCacheH2DRsp;

/* RspData of a GO: the state that is granted (table 3-20) */
typedef enum CXLCacheGOState {
    CXL_CACHE_GO_S                  = 0x1,
    CXL_CACHE_GO_E                  = 0x2,
    CXL_CACHE_GO_I                  = 0x3,
    CXL_CACHE_GO_ERR                = 0x4,
    CXL_CACHE_GO_M                  = 0x6,
    CXL_CACHE_GO_CODES              = 0x8
} CXLCacheGOState;

/* RSP_PRE of an H2D response: where the line was found. A hint only. */
typedef enum CXLCacheRspPre {
    CXL_CACHE_PRE_MISS_LOCAL        = 0,
    CXL_CACHE_PRE_HOST_HIT          = 1,
    CXL_CACHE_PRE_MISS_REMOTE       = 2,
} CXLCacheRspPre;

/**
 * CXLCacheMsg: one message of any channel, unpacked
 * @line: address, for requests of both directions
 * @be: byte enables of D2H Data; all ones travel as "no byte enables"
 * @cqid: the device's tracker entry (D2H Req, H2D Rsp, H2D Data)
 * @uqid: the host's buffer (H2D Req, D2H Rsp, D2H Data)
 * @rsp_data: of an H2D Rsp: a CXLCacheGOState with GO, a UQID with a pull
 * @opcode: of the channel's own enumeration; the data channels have none
 * @cache_id: of the device; travels in 256B flits only
 * @rsp_pre: CXLCacheRspPre
 * @nt: D2H Req: non-temporal, the hint that the line is not used soon again
 * @bogus: D2H Data: an eviction's data that a snoop made obsolete
 * @poison: both data channels: the 64 bytes are known to be bad
 * @go_err: H2D Data: the read failed, the data are all ones
 * @order: transport only, see cxl_cache_link.h
 */
typedef struct CXLCacheMsg {
    uint64_t line;
    uint64_t be;
    uint16_t cqid;
    uint16_t uqid;
    uint16_t rsp_data;
    uint8_t opcode;
    uint8_t cache_id;
    uint8_t rsp_pre;
    bool nt;
    bool bogus;
    bool poison;
    bool go_err;
    uint32_t order;
} CXLCacheMsg;

typedef enum CXLCacheFlit {
    CXL_CACHE_FLIT_68B,
    CXL_CACHE_FLIT_256B,
    CXL_CACHE_NUM_FLITS
} CXLCacheFlit;

/* The longest header is 79 bits. */
typedef struct CXLCacheHeader {
    uint64_t w[2];
} CXLCacheHeader;

/**
 * cxl_cache_header_bits: length of a channel's header in a flit format
 *
 * Returns: bits, reserved ones included (CXL r3.1 tables 3-21 to 3-27).
 */
unsigned cxl_cache_header_bits(CXLCacheChannelId channel, CXLCacheFlit flit);

/**
 * cxl_cache_pack: a message as the bits of its header
 *
 * @w[0] bit 0 is Valid; the fields follow in the specification's order. The
 * reserved bits are 0. Fields that the format does not have are lost.
 */
void cxl_cache_pack(CXLCacheChannelId channel, CXLCacheFlit flit,
                    const CXLCacheMsg *msg, CXLCacheHeader *header);

/**
 * cxl_cache_unpack: the reverse of cxl_cache_pack()
 *
 * Returns: false if Valid is clear or a reserved bit is set; @msg is then
 * undefined. An unknown opcode is not an error here: the receiver reports it.
 */
bool cxl_cache_unpack(CXLCacheChannelId channel, CXLCacheFlit flit,
                      const CXLCacheHeader *header, CXLCacheMsg *msg);

/**
 * cxl_cache_opcode_valid: whether @opcode is one of @channel's
 *
 * Always true for the data channels, which have none.
 */
static inline bool cxl_cache_opcode_valid(CXLCacheChannelId channel,
                                          uint8_t opcode)
{
    static const uint32_t valid[CXL_CACHE_NUM_CHANNELS] = {
        /* RdCurr to WrInv, and CacheFlushed */
        [CXL_CACHE_D2H_REQ] = (2u << CXL_CACHE_WR_INV) - 2 +
            (1u << CXL_CACHE_CACHE_FLUSHED),
        [CXL_CACHE_D2H_RSP] = 1u << CXL_CACHE_RSP_S_HIT_SE |
            1u << CXL_CACHE_RSP_I_HIT_I | 1u << CXL_CACHE_RSP_I_HIT_SE |
            1u << CXL_CACHE_RSP_V_HIT_V | 1u << CXL_CACHE_RSP_S_FWD_M |
            1u << CXL_CACHE_RSP_I_FWD_M | 1u << CXL_CACHE_RSP_V_FWD_V,
        [CXL_CACHE_D2H_DATA] = UINT32_MAX,
        [CXL_CACHE_H2D_REQ] = 1u << CXL_CACHE_SNP_DATA |
            1u << CXL_CACHE_SNP_INV | 1u << CXL_CACHE_SNP_CUR,
        /* All but Fast_GO */
        [CXL_CACHE_H2D_RSP] = 1u << CXL_CACHE_WRITE_PULL |
            1u << CXL_CACHE_GO | 1u << CXL_CACHE_GO_WRITE_PULL |
            1u << CXL_CACHE_EXT_CMP | 1u << CXL_CACHE_GO_WRITE_PULL_DROP |
            1u << CXL_CACHE_FAST_GO_WRITE_PULL |
            1u << CXL_CACHE_GO_ERR_WRITE_PULL,
        [CXL_CACHE_H2D_DATA] = UINT32_MAX,
    };

    return opcode < 32 && (valid[channel] & (1u << opcode));
}

/**
 * cxl_cache_has_id: whether @channel's headers have a CacheID, in 256B flits
 *
 * What the device sends because of a snoop, or a pull, goes by its UQID.
 */
static inline bool cxl_cache_has_id(CXLCacheChannelId channel)
{
    return channel != CXL_CACHE_D2H_RSP && channel != CXL_CACHE_D2H_DATA;
}

/* Names as the specification writes them; "reserved" for what it reserves. */
const char *cxl_cache_channel_name(CXLCacheChannelId channel);
const char *cxl_cache_opcode_name(CXLCacheChannelId channel, uint8_t opcode);
const char *cxl_cache_go_name(unsigned state);

/**
 * cxl_cache_msg_str: a message as one line of text
 * @buf: at least CXL_CACHE_MSG_STR bytes
 *
 * Returns: @buf
 */
#define CXL_CACHE_MSG_STR 128
char *cxl_cache_msg_str(CXLCacheChannelId channel, const CXLCacheMsg *msg,
                        char *buf);

/**
 * CXLCacheError: what a peer or the own user can do wrong
 *
 * Each is reported once per event, through the error callback of the side that
 * noticed it. The message is dropped; but a snoop is taken as answered by
 * RspIHitI, so that a bad answer stops nobody else.
 */
typedef enum CXLCacheError {
    CXL_CACHE_ERR_NONE,
    CXL_CACHE_ERR_RSVD_ENCODING,    /* opcode or field value is reserved */
    CXL_CACHE_ERR_ID_IN_USE,        /* a CQID that is still outstanding */
    CXL_CACHE_ERR_ID_UNKNOWN,       /* a CQID or UQID nobody waits for */
    CXL_CACHE_ERR_ADDRESS,          /* a line beyond 52 bits of address */
    CXL_CACHE_ERR_UNEXPECTED,       /* not in the response set of the table */
    CXL_CACHE_ERR_DIRTY_LOST,       /* an owner's are bogus, torn or none */
    CXL_CACHE_ERR_NOT_OWNER,        /* written back by who does not own it */
    CXL_CACHE_ERR_DECODE,           /* nothing is mapped there, or read-only */
    CXL_CACHE_ERR_MEMORY,           /* memory fails, no peer is to blame */
    CXL_CACHE_NUM_ERRS
} CXLCacheError;

const char *cxl_cache_error_name(CXLCacheError err);

#endif /* HW_CXL_CACHE_MSG_H */
