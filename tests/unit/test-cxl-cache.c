/*
 * CXL.cache: encodings, state tables, requests, races, errors, litmus tests
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers T01 to T51 and T65 to T72 are those of the project's list of
 * protocol tests. What is expected stands here in the words of CXL r3.1, never
 * taken from the tables under test.
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "cxl-cache-rst.h"
#include "cxl-cache-world.h"
#include "hw/cxl/cache/internal.h"

#define V1 0x77001
#define V2 0x77002
#define V3 0x77003
#define ALL CXL_CACHE_BE_ALL

/* Opcodes by their encoding (tables 3-22 to 3-27) */
enum {
    RD_CURR = 0x01, RD_OWN = 0x02, RD_SHARED = 0x03, RD_ANY = 0x04,
    RD_OWN_NO_DATA = 0x05, I_TO_M_WR = 0x06, WR_CUR = 0x07, CL_FLUSH = 0x08,
    CLEAN_EVICT = 0x09, DIRTY_EVICT = 0x0a, CLEAN_EVICT_ND = 0x0b,
    WO_WR_INV = 0x0c, WO_WR_INV_F = 0x0d, WR_INV = 0x0e, CACHE_FLUSHED = 0x10,
};
enum { SNP_DATA = 1, SNP_INV = 2, SNP_CUR = 3 };
enum {
    WRITE_PULL = 0x1, GO = 0x4, GO_WRITE_PULL = 0x5, EXT_CMP = 0x6,
    GO_WRITE_PULL_DROP = 0x8, FAST_GO_WRITE_PULL = 0xd, GO_ERR_WRITE_PULL = 0xf,
};

/* Encodings, lengths, fields */

static void test_opcodes(void)
{
    static const struct {
        CXLCacheChannelId channel;
        unsigned codes;
        struct {
            unsigned code;
            const char *name;
        } op[16];
    } want[] = {
        { CXL_CACHE_D2H_REQ, 32, {
            { 0x01, "RdCurr" }, { 0x02, "RdOwn" }, { 0x03, "RdShared" },
            { 0x04, "RdAny" }, { 0x05, "RdOwnNoData" }, { 0x06, "ItoMWr" },
            { 0x07, "WrCur" }, { 0x08, "CLFlush" }, { 0x09, "CleanEvict" },
            { 0x0a, "DirtyEvict" }, { 0x0b, "CleanEvictNoData" },
            { 0x0c, "WOWrInv" }, { 0x0d, "WOWrInvF" }, { 0x0e, "WrInv" },
            { 0x10, "CacheFlushed" },
        } },
        { CXL_CACHE_D2H_RSP, 32, {
            { 0x04, "RspIHitI" }, { 0x06, "RspVHitV" }, { 0x05, "RspIHitSE" },
            { 0x01, "RspSHitSE" }, { 0x07, "RspSFwdM" }, { 0x0f, "RspIFwdM" },
            { 0x16, "RspVFwdV" },
        } },
        { CXL_CACHE_H2D_REQ, 8, {
            { 1, "SnpData" }, { 2, "SnpInv" }, { 3, "SnpCur" },
        } },
        { CXL_CACHE_H2D_RSP, 16, {
            { 0x1, "WritePull" }, { 0x4, "GO" }, { 0x5, "GO_WritePull" },
            { 0x6, "ExtCmp" }, { 0x8, "GO_WritePull_Drop" },
            { 0xd, "Fast_GO_WritePull" }, { 0xf, "GO_ERR_WritePull" },
        } },
    };
    unsigned i, code, k;

    for (i = 0; i < ARRAY_SIZE(want); i++) {
        for (code = 0; code < 256; code++) {
            for (k = 0; want[i].op[k].name && want[i].op[k].code != code; k++) {
                continue;
            }
            g_assert_cmpint(cxl_cache_opcode_valid(want[i].channel, code), ==,
                            want[i].op[k].name != NULL);
            g_assert_cmpstr(cxl_cache_opcode_name(want[i].channel, code), ==,
                            want[i].op[k].name ?: "reserved");
        }
    }
    g_assert_true(cxl_cache_opcode_valid(CXL_CACHE_D2H_DATA, 0));
    g_assert_true(cxl_cache_opcode_valid(CXL_CACHE_H2D_DATA, 0));
}

static void test_names(void)
{
    static const char *const channels[] = {
        "D2H Req", "D2H Rsp", "D2H Data", "H2D Req", "H2D Rsp", "H2D Data",
    };
    static const char *const go[16] = {
        [0x1] = "S", [0x2] = "E", [0x3] = "I", [0x4] = "Err", [0x6] = "M",
    };
    CXLCacheMsg msg = {
        .line = 0x2a5a5a5a0001, .opcode = RD_OWN, .cqid = 77,
    };
    char buf[CXL_CACHE_MSG_STR];
    unsigned i, k;

    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        g_assert_cmpstr(cxl_cache_channel_name(i), ==, channels[i]);
    }
    for (i = 0; i < 16; i++) {
        g_assert_cmpstr(cxl_cache_go_name(i), ==, go[i] ?: "reserved");
    }
    for (i = 0; i < CXL_CACHE_NUM_ERRS; i++) {
        g_assert_nonnull(cxl_cache_error_name(i));
        for (k = 0; k < i; k++) {
            g_assert_cmpstr(cxl_cache_error_name(i), !=,
                            cxl_cache_error_name(k));
        }
    }
    g_assert_nonnull(strstr(cxl_cache_msg_str(CXL_CACHE_D2H_REQ, &msg, buf),
                            "RdOwn"));
    g_assert_nonnull(strstr(buf, "a969696800"));
    g_assert_nonnull(strstr(buf, "77"));
    /* The longest that can be made has its room. */
    memset(&msg, 0xff, sizeof(msg));
    msg.nt = msg.bogus = msg.poison = msg.go_err = true;
    msg.be = 1;
    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        g_assert_cmpuint(strlen(cxl_cache_msg_str(i, &msg, buf)), <,
                         CXL_CACHE_MSG_STR - 1);
    }
}

/* A field of a header: its member of CXLCacheMsg and its width by format */
typedef struct HeaderField {
    const char *name;
    size_t offset;
    size_t size;
    unsigned bits[2];
} HeaderField;

#define FIELD(_name, ...) \
    { #_name, offsetof(CXLCacheMsg, _name), \
      sizeof(((CXLCacheMsg *)NULL)->_name), { __VA_ARGS__ } }

static const struct {
    unsigned length[2];
    HeaderField field[8];
} headers[CXL_CACHE_NUM_CHANNELS] = {
    [CXL_CACHE_D2H_REQ] = { { 79, 76 }, {
        FIELD(opcode, 5, 5), FIELD(cqid, 12, 12), FIELD(nt, 1, 1),
        FIELD(cache_id, 0, 4), FIELD(line, 46, 46) } },
    [CXL_CACHE_D2H_RSP] = { { 20, 24 }, {
        FIELD(opcode, 5, 5), FIELD(uqid, 12, 12) } },
    [CXL_CACHE_D2H_DATA] = { { 17, 24 }, {
        FIELD(uqid, 12, 12), FIELD(bogus, 1, 1), FIELD(poison, 1, 1) } },
    [CXL_CACHE_H2D_REQ] = { { 64, 72 }, {
        FIELD(opcode, 3, 3), FIELD(line, 46, 46), FIELD(uqid, 12, 12),
        FIELD(cache_id, 0, 4) } },
    [CXL_CACHE_H2D_RSP] = { { 32, 40 }, {
        FIELD(opcode, 4, 4), FIELD(rsp_data, 12, 12), FIELD(rsp_pre, 2, 2),
        FIELD(cqid, 12, 12), FIELD(cache_id, 0, 4) } },
    [CXL_CACHE_H2D_DATA] = { { 24, 28 }, {
        FIELD(cqid, 12, 12), FIELD(poison, 1, 1), FIELD(go_err, 1, 1),
        FIELD(cache_id, 0, 4) } },
};

static void set_member(CXLCacheMsg *msg, const HeaderField *f, uint64_t v)
{
    memcpy((char *)msg + f->offset, &v, f->size);
}

static bool header_bit(const CXLCacheHeader *h, unsigned bit)
{
    return h->w[bit / 64] >> (bit % 64) & 1;
}

/* Each bit of each field lands on a bit of its own, in ascending order. */
static void test_header_fields(void)
{
    unsigned c, flit, k, b, bit, at;
    CXLCacheHeader none, h;
    const HeaderField *f;
    CXLCacheMsg msg;

    for (c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
        for (flit = 0; flit < 2; flit++) {
            g_assert_cmpuint(cxl_cache_header_bits(c, flit), ==,
                             headers[c].length[flit]);
            msg = (CXLCacheMsg) { .be = ALL };
            cxl_cache_pack(c, flit, &msg, &none);
            g_assert_cmphex(none.w[0], ==, 1);
            g_assert_cmphex(none.w[1], ==, 0);
            at = 1;
            for (k = 0; headers[c].field[k].name; k++) {
                f = &headers[c].field[k];
                for (b = 0; b < f->bits[flit]; b++) {
                    msg = (CXLCacheMsg) { .be = ALL };
                    set_member(&msg, f, 1ULL << b);
                    cxl_cache_pack(c, flit, &msg, &h);
                    h.w[0] &= ~1ULL;
                    g_assert_cmpint(__builtin_popcountll(h.w[0]) +
                                    __builtin_popcountll(h.w[1]), ==, 1);
                    for (bit = 0; !header_bit(&h, bit); bit++) {
                        continue;
                    }
                    g_assert_cmpuint(bit, >=, at);
                    g_assert_true(b == 0 || bit == at);
                    at = bit + 1;
                }
            }
            g_assert_cmpuint(at, <=, headers[c].length[flit]);
        }
    }
}

static void test_header_round_trip(void)
{
    unsigned c, flit, k, i;
    CXLCacheMsg msg, back;
    const HeaderField *f;
    CXLCacheHeader h;

    for (i = 0; i < 60000; i++) {
        c = i % CXL_CACHE_NUM_CHANNELS;
        flit = i / CXL_CACHE_NUM_CHANNELS % 2;
        msg = (CXLCacheMsg) { .be = ALL };
        for (k = 0; headers[c].field[k].name; k++) {
            f = &headers[c].field[k];
            set_member(&msg, f, ((uint64_t)g_test_rand_int() << 32 |
                                 (uint32_t)g_test_rand_int()) &
                                ((1ULL << f->bits[flit]) - 1));
        }
        cxl_cache_pack(c, flit, &msg, &h);
        memset(&back, 0xaa, sizeof(back));
        g_assert_true(cxl_cache_unpack(c, flit, &h, &back));
        g_assert_cmphex(back.line, ==, msg.line);
        g_assert_cmphex(back.be, ==, msg.be);
        g_assert_cmphex(back.cqid, ==, msg.cqid);
        g_assert_cmphex(back.uqid, ==, msg.uqid);
        g_assert_cmphex(back.rsp_data, ==, msg.rsp_data);
        g_assert_cmphex(back.opcode, ==, msg.opcode);
        g_assert_cmphex(back.cache_id, ==, msg.cache_id);
        g_assert_cmphex(back.rsp_pre, ==, msg.rsp_pre);
        g_assert_cmpint(back.nt, ==, msg.nt);
        g_assert_cmpint(back.bogus, ==, msg.bogus);
        g_assert_cmpint(back.poison, ==, msg.poison);
        g_assert_cmpint(back.go_err, ==, msg.go_err);
    }
}

/* What no field can set is reserved, and refused; so is Valid = 0. */
static void test_header_reserved(void)
{
    unsigned c, flit, k, bit, reserved;
    CXLCacheHeader all, h;
    CXLCacheMsg msg;

    for (c = 0; c < CXL_CACHE_NUM_CHANNELS; c++) {
        for (flit = 0; flit < 2; flit++) {
            msg = (CXLCacheMsg) { .be = ALL };
            for (k = 0; headers[c].field[k].name; k++) {
                set_member(&msg, &headers[c].field[k],
                           (1ULL << headers[c].field[k].bits[flit]) - 1);
            }
            /* In 256B flits byte enables have a bit that says so. */
            msg.be = c == CXL_CACHE_D2H_DATA && flit ? 1 : ALL;
            cxl_cache_pack(c, flit, &msg, &all);
            for (bit = 0, reserved = 0; bit < 128; bit++) {
                h = all;
                h.w[bit / 64] ^= 1ULL << (bit % 64);
                if (header_bit(&all, bit)) {
                    g_assert_cmpint(cxl_cache_unpack(c, flit, &h, &msg), ==,
                                    bit > 0);
                    continue;
                }
                reserved += cxl_cache_unpack(c, flit, &h, &msg);
            }
            /* 68B data headers have ChunkValid, which we never set. */
            g_assert_cmpuint(reserved, ==,
                             flit == 0 && (c == CXL_CACHE_D2H_DATA ||
                                           c == CXL_CACHE_H2D_DATA));
        }
    }
}

/*
 * A device whose host is the test. The line is world_line(0).
 */
typedef struct Solo {
    World *w;
    CXLCacheMsg req;            /* last request that the device sent */
    CXLCacheMsg rsp;            /* last snoop response */
    uint64_t value;             /* that the line has */
    unsigned uqid;
    bool changed;               /* by a snoop since the evict was sent */
    bool have_rsp;
} Solo;

static Solo *solo_new(void)
{
    WorldConfig cfg = world_config(1);
    Solo *s = g_new0(Solo, 1);

    cfg.no_monitor = true;
    s->w = world_new(&cfg);
    return s;
}

static void solo_free(Solo *s)
{
    world_free(s->w);
    g_free(s);
}

/* Take what the device sent. */
static bool solo_take(Solo *s, CXLCacheChannelId channel, CXLCacheMsg *msg,
                      CXLCacheLineData *data)
{
    const CXLCacheMsg *m = cxl_cache_link_peek(s->w->link[0], channel);

    if (!m) {
        return false;
    }
    *msg = *m;
    if (data) {
        *data = *cxl_cache_link_peek_data(s->w->link[0], channel);
    }
    cxl_cache_link_pop(s->w->link[0], channel);
    return true;
}

static void solo_send(Solo *s, CXLCacheChannelId channel,
                      const CXLCacheMsg *msg, uint64_t v)
{
    CXLCacheLineData data = world_data(v);

    g_assert_true(cxl_cache_link_inject(s->w->link[0], channel, msg, &data));
    g_assert_true(cxl_cache_dev_rx(s->w->dev[0], channel));
}

static int solo_ask(Solo *s, unsigned opcode)
{
    int cqid = world_ask(s->w, 0, opcode, 0, V3, ALL);

    if (cqid >= 0) {
        g_assert_true(solo_take(s, CXL_CACHE_D2H_REQ, &s->req, NULL));
        g_assert_cmpint(s->req.opcode, ==, opcode);
        g_assert_cmpint(s->req.cqid, ==, cqid);
        g_assert_cmphex(s->req.line, ==,
                        opcode == CACHE_FLUSHED ? s->req.line : world_line(0));
        s->changed = false;
    }
    return cqid;
}

static void solo_go(Solo *s, unsigned state)
{
    solo_send(s, CXL_CACHE_H2D_RSP, &(CXLCacheMsg) {
                  .opcode = GO, .cqid = s->req.cqid, .rsp_data = state }, 0);
}

static void solo_data(Solo *s, uint64_t v)
{
    solo_send(s, CXL_CACHE_H2D_DATA, &(CXLCacheMsg) { .cqid = s->req.cqid }, v);
    s->value = v;
}

static void solo_snoop(Solo *s, unsigned op)
{
    solo_send(s, CXL_CACHE_H2D_REQ, &(CXLCacheMsg) {
                  .opcode = op, .line = world_line(0), .uqid = ++s->uqid }, 0);
    s->have_rsp = solo_take(s, CXL_CACHE_D2H_RSP, &s->rsp, NULL);
    if (s->have_rsp) {
        g_assert_cmpint(s->rsp.uqid, ==, s->uqid);
        s->changed |= s->rsp.opcode != 0x04 && s->rsp.opcode != 0x06 &&
                      s->rsp.opcode != 0x16;
    }
}

static void solo_step(Solo *s, const char *word)
{
    static const struct {
        const char *word;
        unsigned opcode;
    } ask[] = {
        { "own", RD_OWN }, { "shared", RD_SHARED }, { "any", RD_ANY },
        { "nodata", RD_OWN_NO_DATA }, { "dirty", DIRTY_EVICT },
        { "clean", CLEAN_EVICT }, { "notify", CLEAN_EVICT_ND },
    }, go[] = {
        { "goS", 1 }, { "goE", 2 }, { "goI", 3 }, { "goX", 4 }, { "goM", 6 },
    }, snoop[] = {
        { "snpdata", SNP_DATA }, { "snpinv", SNP_INV }, { "snpcur", SNP_CUR },
    };
    CXLCacheLineData data;
    CXLCacheMsg msg;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(ask); i++) {
        if (!strcmp(word, ask[i].word)) {
            g_assert_cmpint(solo_ask(s, ask[i].opcode), >=, 0);
            return;
        }
    }
    for (i = 0; i < ARRAY_SIZE(go); i++) {
        if (!strcmp(word, go[i].word)) {
            solo_go(s, go[i].opcode);
            return;
        }
    }
    for (i = 0; i < ARRAY_SIZE(snoop); i++) {
        if (!strcmp(word, snoop[i].word)) {
            solo_snoop(s, snoop[i].opcode);
            solo_take(s, CXL_CACHE_D2H_DATA, &msg, &data);
            return;
        }
    }
    if (!strcmp(word, "data")) {
        solo_data(s, V1);
        solo_take(s, CXL_CACHE_D2H_DATA, &msg, &data);
    } else {
        g_assert_cmpstr(word, ==, "write");
        world_store(s->w, 0, 0, V2);
        s->value = V2;
    }
}

/* How to get into each state, as what device and host do */
static const struct {
    CXLCacheState state;
    const char *how;
} roads[] = {
    { CXL_CACHE_I,    "" },
    { CXL_CACHE_S,    "shared goS data" },
    { CXL_CACHE_S,    "any data goS" },
    { CXL_CACHE_S,    "own goE data snpdata" },
    { CXL_CACHE_E,    "own goE data" },
    { CXL_CACHE_E,    "any data goE" },
    { CXL_CACHE_M,    "own goM data" },
    { CXL_CACHE_M,    "any data goM" },
    { CXL_CACHE_M,    "own goE data write" },
    { CXL_CACHE_M,    "nodata goE write" },
    { CXL_CACHE_M,    "own goM snpcur data" },
    { CXL_CACHE_EN,   "nodata goE" },
    { CXL_CACHE_EN,   "shared goS data nodata goE" },
    { CXL_CACHE_EN,   "shared goS data nodata snpinv goE" },
    { CXL_CACHE_IXAD, "own" },
    { CXL_CACHE_IXAD, "shared" },
    { CXL_CACHE_IXAD, "any" },
    { CXL_CACHE_IXA,  "own data" },
    { CXL_CACHE_IXA,  "shared data" },
    { CXL_CACHE_IXA,  "any data" },
    { CXL_CACHE_ISD,  "shared goS" },
    { CXL_CACHE_ISD,  "any goS" },
    { CXL_CACHE_ISD,  "own goE snpdata" },
    { CXL_CACHE_IED,  "own goE" },
    { CXL_CACHE_IED,  "any goE" },
    { CXL_CACHE_IMD,  "own goM" },
    { CXL_CACHE_IMD,  "any goM" },
    { CXL_CACHE_IID,  "own goI" },
    { CXL_CACHE_IID,  "shared goX" },
    { CXL_CACHE_IID,  "shared goS snpinv" },
    { CXL_CACHE_IID,  "own goE snpinv" },
    { CXL_CACHE_IMDI, "own goM snpinv" },
    { CXL_CACHE_IMDS, "any goM snpdata" },
    { CXL_CACHE_IMDM, "own goM snpcur" },
    { CXL_CACHE_IEA,  "nodata" },
    { CXL_CACHE_IEA,  "shared goS data nodata snpinv" },
    { CXL_CACHE_SEA,  "shared goS data nodata" },
    { CXL_CACHE_MIA,  "own goM data dirty" },
    { CXL_CACHE_MIA,  "own goE data write dirty" },
    { CXL_CACHE_MIA,  "nodata goE write dirty" },
    { CXL_CACHE_MIA,  "own goM data dirty snpcur" },
    { CXL_CACHE_EIA,  "own goE data clean" },
    { CXL_CACHE_EIA,  "own goE data notify" },
    { CXL_CACHE_SIA,  "shared goS data notify" },
    { CXL_CACHE_NIA,  "nodata goE notify" },
    { CXL_CACHE_SIB,  "own goM data dirty snpdata" },
    { CXL_CACHE_SIB,  "own goE data clean snpdata" },
    { CXL_CACHE_SIB,  "own goE data notify snpdata" },
    { CXL_CACHE_IIB,  "own goM data dirty snpinv" },
    { CXL_CACHE_IIB,  "own goM data dirty snpdata snpinv" },
    { CXL_CACHE_IIB,  "own goE data clean snpinv" },
    { CXL_CACHE_IIB,  "own goE data notify snpinv" },
    { CXL_CACHE_IIB,  "shared goS data notify snpinv" },
    { CXL_CACHE_IIB,  "nodata goE notify snpinv" },
};

static Solo *solo_at(unsigned road)
{
    g_auto(GStrv) words = g_strsplit(roads[road].how, " ", 0);
    Solo *s = solo_new();
    char **word;

    for (word = words; *word && **word; word++) {
        solo_step(s, *word);
    }
    g_assert_cmpint(world_state(s->w, 0, 0), ==, roads[road].state);
    return s;
}

static void test_every_state(void)
{
    bool seen[CXL_CACHE_NUM_STATES] = { false };
    unsigned i, k;

    for (i = 0; i < ARRAY_SIZE(roads); i++) {
        solo_free(solo_at(i));
        seen[roads[i].state] = true;
    }
    for (i = 0; i < CXL_CACHE_NUM_STATES; i++) {
        g_assert_true(seen[i]);
        g_assert_nonnull(cxl_cache_states[i].name);
        g_assert_nonnull(cxl_cache_states[i].text);
        for (k = 0; k < i; k++) {
            g_assert_cmpstr(cxl_cache_states[i].name, !=,
                            cxl_cache_states[k].name);
        }
    }
}

/*
 * Table 3-28: states in which a request may be sent, N for ownership without
 * data (inferred: it is E, but there is nothing that a CleanEvict could offer).
 */
static const struct {
    unsigned opcode;
    const char *from;
} buried[] = {
    { RD_CURR, "I" }, { RD_OWN, "I" }, { RD_SHARED, "I" }, { RD_ANY, "I" },
    { RD_OWN_NO_DATA, "IS" }, { I_TO_M_WR, "I" }, { WR_CUR, "I" },
    { CL_FLUSH, "I" }, { CLEAN_EVICT, "E" }, { DIRTY_EVICT, "M" },
    { CLEAN_EVICT_ND, "ESN" }, { WO_WR_INV, "I" }, { WO_WR_INV_F, "I" },
    { WR_INV, "I" }, { CACHE_FLUSHED, "I" },
};

static void test_legal_states(void)
{
    static const char letters[] = "ISEMN";
    unsigned i, k, before;
    CXLCacheState state;
    bool legal;
    Solo *s;
    int ret;

    for (i = 0; i < ARRAY_SIZE(buried); i++) {
        for (k = 0; k < ARRAY_SIZE(roads); k++) {
            s = solo_at(k);
            state = roads[k].state;
            legal = state <= CXL_CACHE_EN &&
                    strchr(buried[i].from, letters[state]);
            before = cxl_cache_dev_outstanding(s->w->dev[0]);
            ret = world_ask(s->w, 0, buried[i].opcode, 0, V3,
                            buried[i].opcode == WO_WR_INV ? 0xff : ALL);
            if (legal) {
                g_assert_cmpint(ret, >=, 0);
                g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==,
                                 before + 1);
            } else {
                g_assert_true(ret == -EPERM || ret == -EBUSY);
                g_assert_true(state > CXL_CACHE_EN || ret == -EPERM);
                g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==,
                                 before);
                g_assert_cmpint(world_state(s->w, 0, 0), ==, state);
                g_assert_null(cxl_cache_link_peek(s->w->link[0],
                                                  CXL_CACHE_D2H_REQ));
            }
            solo_free(s);
        }
    }
}

/* Ordering rule O11: which requests may overlap on one line */
static void test_overlap(void)
{
    static const unsigned may[] = {
        RD_CURR, CL_FLUSH, WR_INV, WO_WR_INV, WO_WR_INV_F, I_TO_M_WR, WR_CUR,
    };
    static const unsigned not[] = {
        RD_OWN, RD_SHARED, RD_ANY, RD_OWN_NO_DATA,
    };
    unsigned i, k;
    Solo *s;

    for (i = 0; i < ARRAY_SIZE(may); i++) {
        for (k = 0; k < ARRAY_SIZE(may); k++) {
            s = solo_new();
            g_assert_cmpint(world_ask(s->w, 0, may[i], 0, V1,
                                      may[i] == WO_WR_INV ? 1 : ALL), >=, 0);
            g_assert_cmpint(world_ask(s->w, 0, may[k], 0, V2,
                                      may[k] == WO_WR_INV ? 1 : ALL), >=, 0);
            g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==, 2);
            solo_free(s);
        }
    }
    /* Reads that bring a line wait until all that may overlap is done. */
    for (i = 0; i < ARRAY_SIZE(not); i++) {
        for (k = 0; k < ARRAY_SIZE(may); k++) {
            s = solo_new();
            g_assert_cmpint(world_ask(s->w, 0, may[k], 0, V1,
                                      may[k] == WO_WR_INV ? 1 : ALL), >=, 0);
            g_assert_cmpint(world_ask(s->w, 0, not[i], 0, 0, ALL), ==, -EBUSY);
            /* Another line is none of its business. */
            g_assert_cmpint(world_ask(s->w, 0, not[i], 1, 0, ALL), >=, 0);
            solo_free(s);
        }
    }
    for (i = 0; i < ARRAY_SIZE(not); i++) {
        for (k = 0; k < ARRAY_SIZE(not); k++) {
            s = solo_new();
            g_assert_cmpint(solo_ask(s, not[i]), >=, 0);
            g_assert_cmpint(world_ask(s->w, 0, not[k], 0, 0, ALL), <, 0);
            solo_free(s);
        }
    }
}

static void test_bad_arguments(void)
{
    World *w = world_new(&(WorldConfig) { .devs = 1, .ram_lines = 4,
                         .home = world_config(1).home,
                         .dev = world_config(1).dev,
                         .link = world_config(1).link });
    CXLCacheLineData data = world_data(V1);
    unsigned op;

    for (op = 0; op < 256; op++) {
        if (!world_op_name(CXL_CACHE_D2H_REQ, op)) {
            g_assert_cmpint(world_ask(w, 0, op, 0, V1, ALL), ==, -EINVAL);
        }
    }
    g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &(CXLCacheReq) {
                        .opcode = RD_OWN, .line = CXL_CACHE_LINE_MAX }), ==,
                    -EINVAL);
    g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &(CXLCacheReq) {
                        .opcode = WR_INV, .line = world_line(0), .be = ALL }),
                    ==, -EINVAL);
    g_assert_cmpint(world_ask(w, 0, WO_WR_INV, 0, V1, ALL), ==, -EINVAL);
    g_assert_cmpint(cxl_cache_home_host(w->home, &(CXLCacheHostReq) {
                        .op = CXL_CACHE_HOST_READ,
                        .line = CXL_CACHE_LINE_MAX }), ==, -EINVAL);
    g_assert_false(cxl_cache_dev_write(w->dev[0], world_line(0), &data, ALL));
    g_assert_false(cxl_cache_dev_read(w->dev[0], world_line(0), &data, NULL));
    g_assert_false(cxl_cache_dev_drop(w->dev[0], world_line(0)));
    world_expect(w, "");
    /* Byte enables mean something with WrInv and WOWrInv only. */
    world_do_be(w, 0, I_TO_M_WR, 0, V1, 1);
    world_do_be(w, 0, WR_CUR, 1, V1, 0);
    world_do_be(w, 0, WO_WR_INV_F, 2, V1, 1);
    for (op = 0; op < 3; op++) {
        g_assert_cmphex(world_ram(w, op), ==, V1);
    }
    world_clear(w);
    world_free(w);
}

/* T01 to T21: requests */

static uint64_t value_of(const WorldDone *done)
{
    g_assert_true(done->has_data);
    return world_value(&done->data);
}

static uint16_t tracks(World *w, unsigned n)
{
    return cxl_cache_home_tracks(w->home, world_line(n), NULL);
}

static void test_t01(void)
{
    World *w = world(1);
    WorldDone *done = world_do(w, 0, RD_CURR, 0, 0);

    g_assert_cmphex(value_of(done), ==, WORLD_V0);
    g_assert_cmpint(done->d.state, ==, CXL_CACHE_I);
    world_expect(w, "0.RdCurr 0.down");
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);

    g_assert_cmpint(world_ask(w, 0, RD_CURR, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 0, RD_CURR, 0, 0, ALL), >=, 0);
    cxl_cache_run(w->home);
    g_assert_cmpuint(w->num_done, ==, 2);
    world_expect(w, "0.RdCurr 0.RdCurr 0.down 0.down");
    world_free(w);
}

static void test_t02(void)
{
    World *w = world(2);

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    g_assert_cmphex(value_of(world_do(w, 0, RD_CURR, 0, 0)), ==, V1);
    world_expect(w, "0.RdCurr 1.SnpCur 1.RspVFwdV 1.up 0.down");
    g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_M);
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    g_assert_cmphex(tracks(w, 0), ==, 2);
    world_free(w);
}

static void test_t03(void)
{
    World *w = world(1);
    WorldDone *done = world_do(w, 0, RD_SHARED, 0, 0);

    g_assert_cmphex(value_of(done), ==, WORLD_V0);
    g_assert_cmpint(done->d.state, ==, CXL_CACHE_S);
    world_expect(w, "0.RdShared 0.GO-S 0.down");
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RO);

    done = world_host(w, CXL_CACHE_HOST_READ, 0, 0);
    g_assert_cmphex(value_of(done), ==, WORLD_V0);
    g_assert_false(done->h.snooped);
    world_expect(w, "");
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_S);

    done = world_host(w, CXL_CACHE_HOST_WRITE, 0, V1);
    g_assert_true(done->h.snooped);
    world_expect(w, "0.SnpInv 0.RspIHitSE");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
    world_free(w);
}

static void test_t04(void)
{
    World *w = world(1);
    WorldDone *done = world_do(w, 0, RD_OWN, 0, 0);

    g_assert_cmphex(value_of(done), ==, WORLD_V0);
    world_expect(w, "0.RdOwn 0.GO-E 0.down");
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_NONE);
    world_store(w, 0, 0, V1);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_M);
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);

    done = world_host(w, CXL_CACHE_HOST_READ, 0, 0);
    g_assert_cmphex(value_of(done), ==, V1);
    g_assert_true(done->h.dirty);
    world_expect(w, "0.SnpData 0.RspSFwdM 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_S);
    g_assert_cmpint(w->why[CXL_CACHE_WRITE_BACK], ==, 1);
    g_assert_cmpint(w->writes, ==, 1);
    world_free(w);
}

static void test_t05(void)
{
    WorldConfig cfg = world_config(2);
    World *w;

    for (int forward = 0; forward < 2; forward++) {
        cfg.home.forward_dirty = forward;
        w = world_new(&cfg);
        world_make(w, 1, 0, CXL_CACHE_M, V1);
        g_assert_cmphex(value_of(world_do(w, 0, RD_OWN, 0, 0)), ==, V1);
        if (forward) {
            world_expect(w, "0.RdOwn 1.SnpInv 1.RspIFwdM 1.up 0.GO-M 0.down");
        } else {
            world_expect(w, "0.RdOwn 1.SnpInv 1.RspIFwdM 1.up 0.GO-E 0.down");
        }
        g_assert_cmphex(world_ram(w, 0), ==, forward ? WORLD_V0 : V1);
        g_assert_cmpint(world_state(w, 0, 0), ==,
                        forward ? CXL_CACHE_M : CXL_CACHE_E);
        g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_I);
        g_assert_cmphex(tracks(w, 0), ==, 1);

        /* A copy that is only E is not dirty, whatever the mode. */
        world_make(w, 1, 1, CXL_CACHE_E, 0);
        world_do(w, 0, RD_OWN, 1, 0);
        world_expect(w, "0.RdOwn 1.SnpInv 1.RspIHitSE 0.GO-E 0.down");
        g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 0, 0)), ==,
                        V1);
        g_assert_cmphex(world_ram(w, 0), ==, V1);
        world_clear(w);
        world_free(w);
    }
}

static void test_t06(void)
{
    WorldConfig cfg = world_config(2);
    CXLCacheState mine, other;
    World *w;

    for (int forward = 0; forward < 2; forward++) {
        cfg.home.forward_dirty = forward;
        w = world_new(&cfg);
        g_assert_cmphex(value_of(world_do(w, 0, RD_ANY, 0, 0)), ==, WORLD_V0);
        mine = world_state(w, 0, 0);
        g_assert_true(mine == CXL_CACHE_E || mine == CXL_CACHE_S);
        world_clear(w);

        world_make(w, 1, 1, CXL_CACHE_S, 0);
        g_assert_cmphex(value_of(world_do(w, 0, RD_ANY, 1, 0)), ==,
                        WORLD_V0 + 1);
        world_expect(w, "0.RdAny 0.GO-S 0.down");
        g_assert_cmpint(world_state(w, 1, 1), ==, CXL_CACHE_S);

        world_make(w, 1, 2, CXL_CACHE_M, V1);
        g_assert_cmphex(value_of(world_do(w, 0, RD_ANY, 2, 0)), ==, V1);
        mine = world_state(w, 0, 2);
        other = world_state(w, 1, 2);
        if (mine == CXL_CACHE_M) {
            g_assert_cmpint(other, ==, CXL_CACHE_I);
            g_assert_cmphex(world_ram(w, 2), ==, WORLD_V0 + 2);
        } else {
            g_assert_cmphex(world_ram(w, 2), ==, V1);
            g_assert_true(mine == CXL_CACHE_S || other == CXL_CACHE_I);
        }
        world_clear(w);
        world_free(w);
    }
}

static void test_t07(void)
{
    World *w = world(1);
    WorldDone *done = world_do(w, 0, RD_OWN_NO_DATA, 0, 0);

    g_assert_false(done->has_data);
    world_expect(w, "0.RdOwnNoData 0.GO-E");
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_NONE);
    world_store(w, 0, 0, V1);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_M);
    g_assert_cmphex(world_load(w, 0, 0), ==, V1);
    world_do(w, 0, DIRTY_EVICT, 0, 0);
    g_assert_cmphex(world_value(&world_last(w, 0, CXL_CACHE_D2H_DATA)->data),
                    ==, V1);
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    world_free(w);
}

static void test_t08(void)
{
    CXLCacheLineData data = world_data(V1);
    World *w = world(2);
    uint64_t line = world_line(0);

    world_make(w, 0, 0, CXL_CACHE_S, 0);
    world_make(w, 1, 0, CXL_CACHE_S, 0);
    world_do(w, 0, RD_OWN_NO_DATA, 0, 0);
    world_expect(w, "0.RdOwnNoData 1.SnpInv 1.RspIHitSE 0.GO-E");
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_EN);
    g_assert_false(cxl_cache_dev_write(w->dev[0], line, &data, ALL >> 1));
    g_assert_false(cxl_cache_dev_write(w->dev[0], line, &data, 0xff));
    g_assert_false(cxl_cache_dev_write(w->dev[0], line, &data, 0));
    g_assert_false(cxl_cache_dev_read(w->dev[0], line, &data, NULL));
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_EN);
    world_store(w, 0, 0, V1);
    /* From now on it is a line like any other. */
    data = world_data(V2);
    g_assert_true(cxl_cache_dev_write(w->dev[0], line, &data, ALL));
    g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 0, 0)), ==, V2);
    world_clear(w);
    world_free(w);
}

static void test_t09(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_EN, 0);
    g_assert_cmpint(world_ask(w, 0, CLEAN_EVICT, 0, 0, ALL), ==, -EPERM);
    g_assert_cmpint(world_ask(w, 0, DIRTY_EVICT, 0, 0, ALL), ==, -EPERM);
    g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(0)), ==, 0);
    cxl_cache_run(w->home);
    world_expect(w, "0.CleanEvictNoData 0.GO-I");
    g_assert_cmpint(w->writes, ==, 0);
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    g_assert_cmphex(tracks(w, 0), ==, 0);

    /* A snoop of it finds nothing that could be forwarded either. */
    world_make(w, 0, 0, CXL_CACHE_EN, 0);
    g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 0, 0)), ==,
                    WORLD_V0);
    world_expect(w, "0.SnpData 0.RspIHitI");
    g_assert_cmpint(w->writes, ==, 0);
    world_free(w);
}

/* ItoMWr and WrCur look alike here: memory is all that the host has. */
static void whole_write(unsigned opcode, const char *name)
{
    g_autofree char *cold = g_strdup_printf("0.%s 0.GO_WritePull 0.up", name);
    g_autofree char *shared = g_strdup_printf(
        "0.%s 1.SnpInv 1.RspIHitSE 0.GO_WritePull 0.up", name);
    g_autofree char *dirty = g_strdup_printf(
        "0.%s 1.SnpInv 1.RspIFwdM 1.up 0.GO_WritePull 0.up", name);
    World *w = world(2);

    world_do(w, 0, opcode, 0, V1);
    world_expect(w, cold);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    g_assert_cmpint(w->why[CXL_CACHE_WRITE_NEW], ==, 1);

    world_make(w, 1, 1, CXL_CACHE_S, 0);
    world_do(w, 0, opcode, 1, V1);
    world_expect(w, shared);
    g_assert_cmphex(world_ram(w, 1), ==, V1);
    g_assert_cmpint(world_state(w, 1, 1), ==, CXL_CACHE_I);

    world_make(w, 1, 2, CXL_CACHE_M, V2);
    world_do(w, 0, opcode, 2, V1);
    world_expect(w, dirty);
    g_assert_cmphex(world_ram(w, 2), ==, V1);
    g_assert_cmpint(world_state(w, 0, 2), ==, CXL_CACHE_I);
    world_free(w);
}

static void test_t10(void)
{
    whole_write(I_TO_M_WR, "ItoMWr");
}

static void test_t11(void)
{
    whole_write(WR_CUR, "WrCur");
}

static void test_t12(void)
{
    World *w = world(2);

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    world_do(w, 0, CL_FLUSH, 0, 0);
    /* RAM has the line by the time that the flush is acknowledged. */
    g_assert_cmpuint(world_last(w, 0, CXL_CACHE_H2D_RSP)->writes, ==, 1);
    world_expect(w, "0.CLFlush 1.SnpInv 1.RspIFwdM 1.up 0.GO-I");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 0, 0)), ==, V1);
    world_expect(w, "");
    world_free(w);
}

static void test_t13(void)
{
    WorldConfig cfg = world_config(1);
    World *w;

    for (int pull = 0; pull < 2; pull++) {
        cfg.home.pull_clean = pull;
        w = world_new(&cfg);
        world_make(w, 0, 0, CXL_CACHE_E, 0);
        world_do(w, 0, CLEAN_EVICT, 0, 0);
        if (pull) {
            g_assert_cmphex(world_value(&world_last(w, 0,
                                CXL_CACHE_D2H_DATA)->data), ==, WORLD_V0);
            world_expect(w, "0.CleanEvict 0.GO_WritePull 0.up");
        } else {
            world_expect(w, "0.CleanEvict 0.GO_WritePull_Drop");
        }
        g_assert_cmpint(w->writes, ==, 0);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        g_assert_cmphex(tracks(w, 0), ==, 0);
        g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
        world_free(w);
    }
}

static void test_t14(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_do(w, 0, DIRTY_EVICT, 0, 0);
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmpint(w->why[CXL_CACHE_WRITE_BACK], ==, 1);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
    world_free(w);
}

static void test_t15(void)
{
    World *w = world(2);
    CXLCacheState state;

    for (state = CXL_CACHE_S; state <= CXL_CACHE_E; state++) {
        world_make(w, 0, 0, state, 0);
        world_do(w, 0, CLEAN_EVICT_ND, 0, 0);
        world_expect(w, "0.CleanEvictNoData 0.GO-I");
        g_assert_cmphex(tracks(w, 0), ==, 0);
        world_host(w, CXL_CACHE_HOST_WRITE, 0, V1);
        world_expect(w, "");
    }
    /* Of two sharers one stays, and the line stays shared. */
    world_make(w, 0, 0, CXL_CACHE_S, 0);
    world_make(w, 1, 0, CXL_CACHE_S, 0);
    world_do(w, 0, CLEAN_EVICT_ND, 0, 0);
    world_clear(w);
    g_assert_cmphex(tracks(w, 0), ==, 2);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RO);
    world_free(w);
}

static void test_t16(void)
{
    World *w = world(2);
    CXLCacheLineData want = world_data(V2), new = world_data(V1);
    unsigned i;

    world_make(w, 1, 0, CXL_CACHE_M, V2);
    world_do_be(w, 0, WR_INV, 0, V1, 0xf0);
    for (i = 4; i < 8; i++) {
        want.b[i] = new.b[i];
    }
    g_assert_cmpmem(&w->ram[0].data, 64, &want, 64);
    /* Written back, then written: both before the GO. */
    g_assert_cmpuint(w->writes, >=, 1);
    g_assert_cmpuint(world_last(w, 0, CXL_CACHE_H2D_RSP)->writes, ==,
                     w->writes);
    world_expect(w, "0.WrInv 1.SnpInv 1.RspIFwdM 1.up 0.WritePull 0.up:be "
                 "0.GO-I");
    world_do(w, 0, WR_INV, 1, V1);
    world_expect(w, "0.WrInv 0.WritePull 0.up 0.GO-I");
    g_assert_cmphex(world_ram(w, 1), ==, V1);

    /* While the pull is out the line is the device's: the host waits. */
    g_assert_cmpint(world_ask(w, 0, WR_INV, 2, V1, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 2, 0, 0), ==,
                    -EBUSY);
    cxl_cache_run(w->home);
    world_clear(w);
    g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 2, 0)), ==, V1);
    world_free(w);
}

static void test_t17(void)
{
    World *w = world(2);

    world_make(w, 1, 0, CXL_CACHE_S, 0);
    world_do_be(w, 0, WR_INV, 0, V1, 0);
    world_expect(w, "0.WrInv 1.SnpInv 1.RspIHitSE 0.WritePull 0.up:be 0.GO-I");
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    world_free(w);
}

static void test_t18(void)
{
    static const uint64_t enables[] = { 0xff00, ALL, 0 };
    CXLCacheLineData want, new = world_data(V1);
    World *w = world(1);
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(enables); i++) {
        want = w->ram[i].data;
        world_merge(&want, &new, enables[i]);
        g_assert_cmpint(world_ask(w, 0, enables[i] == ALL ? WO_WR_INV_F
                                                          : WO_WR_INV,
                                  i, V1, enables[i]), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        g_assert_cmpint(world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.opcode, ==,
                        FAST_GO_WRITE_PULL);
        /* The data are away, but nobody may be told of them yet. */
        g_assert_nonnull(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_DATA));
        g_assert_cmpuint(w->num_done, ==, 0);
        world_must(w, 0, CXL_CACHE_D2H_DATA);
        g_assert_cmpuint(w->num_done, ==, 0);
        g_assert_cmpmem(&w->ram[i].data, 64, &want, 64);
        g_assert_cmpint(world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.opcode, ==,
                        EXT_CMP);
        g_assert_cmpuint(world_last(w, 0, CXL_CACHE_H2D_RSP)->writes, ==,
                         w->writes);
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        g_assert_cmpuint(w->num_done, ==, 1);
        g_assert_false(w->done[0].d.failed);
        if (enables[i] == ALL) {
            world_expect(w, "0.WOWrInvF 0.Fast_GO_WritePull 0.up 0.ExtCmp");
        } else {
            world_expect(w, "0.WOWrInv 0.Fast_GO_WritePull 0.up:be 0.ExtCmp");
        }
    }
    world_free(w);
}

static void test_t19(void)
{
    WorldConfig cfg = world_config(2);
    CXLCacheState state;
    unsigned n;
    World *w;

    cfg.dev.clean_evict = CXL_CACHE_CLEAN_SILENT;
    w = world_new(&cfg);
    for (n = 0; n < 8; n++) {
        world_make(w, 0, n, CXL_CACHE_S, 0);
        g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(n)));
    }
    world_make(w, 1, 0, CXL_CACHE_S, 0);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 8);
    world_do(w, 0, CACHE_FLUSHED, 0, 0);
    world_expect(w, "0.CacheFlushed 0.GO-I");
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 1);
    g_assert_cmphex(tracks(w, 0), ==, 2);
    for (n = 0; n < 8; n++) {
        world_host(w, CXL_CACHE_HOST_WRITE, n, V1);
        g_assert_cmpint(w->ram[n].access, ==, CXL_CACHE_HOST_RW);
    }
    world_expect(w, "1.SnpInv 1.RspIHitSE");
    for (state = CXL_CACHE_S; state <= CXL_CACHE_EN; state++) {
        world_make(w, 0, 5, state, V2);
        g_assert_cmpint(world_ask(w, 0, CACHE_FLUSHED, 0, 0, ALL), ==, -EPERM);
        world_host(w, CXL_CACHE_HOST_FLUSH, 5, 0);
        world_clear(w);
    }
    world_free(w);
}

/* The flush of the whole cache, with lines in every state and more coming */
static void test_flush(void)
{
    World *w = world(2);
    unsigned n, turns = 0;

    for (n = 0; n < 16; n++) {
        world_make(w, 0, n, CXL_CACHE_S + n % 4, V1 + n);
    }
    world_make(w, 1, 1, CXL_CACHE_M, V3);
    while (cxl_cache_dev_flush(w->dev[0]) == -EAGAIN) {
        cxl_cache_run(w->home);
        g_assert_cmpuint(turns++, <, 1000);
    }
    for (n = 0; n < 16; n++) {
        g_assert_cmpint(world_state(w, 0, n), ==, CXL_CACHE_I);
        g_assert_cmphex(world_ram(w, n), ==,
                        n % 4 == 2 ? V1 + n : WORLD_V0 + n);
        g_assert_cmphex(tracks(w, n), ==, n == 1 ? 2 : 0);
    }
    g_assert_cmpint(world_last(w, 0, CXL_CACHE_D2H_REQ)->msg.opcode, ==,
                    CACHE_FLUSHED);
    g_assert_cmpint(world_state(w, 1, 1), ==, CXL_CACHE_M);
    world_clear(w);
    world_free(w);
}

/* Requests of lines where nothing is, and what each has to see */
static void test_t20_unmapped(void)
{
    static const struct {
        unsigned opcode;
        const char *messages;
        bool ones;
    } cases[] = {
        { RD_CURR, "0.RdCurr 0.down:err", true },
        { RD_OWN, "0.RdOwn 0.GO-X 0.down:err", true },
        { RD_SHARED, "0.RdShared 0.GO-X 0.down:err", true },
        { RD_ANY, "0.RdAny 0.GO-X 0.down:err", true },
        { RD_OWN_NO_DATA, "0.RdOwnNoData 0.GO-X", false },
        { I_TO_M_WR, "0.ItoMWr 0.GO_ERR_WritePull 0.up", false },
        { WR_CUR, "0.WrCur 0.GO_ERR_WritePull 0.up", false },
        { WR_INV, "0.WrInv 0.WritePull 0.up 0.GO-X", false },
        { WO_WR_INV_F, "0.WOWrInvF 0.GO_ERR_WritePull 0.up 0.ExtCmp", false },
    };
    World *w = world(1);
    WorldDone *done;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        done = world_do(w, 0, cases[i].opcode, 1000, V1);
        g_assert_true(done->d.failed);
        g_assert_cmpint(done->d.state, ==, CXL_CACHE_I);
        if (cases[i].ones) {
            g_assert_cmphex(value_of(done), ==, WORLD_ONES);
        }
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
        world_expect(w, cases[i].messages);
        g_assert_cmpint(world_state(w, 0, 1000), ==, CXL_CACHE_I);
        g_assert_cmphex(tracks(w, 1000), ==, 0);
    }
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->errors[
                         CXL_CACHE_ERR_DECODE], ==, ARRAY_SIZE(cases));
    world_free(w);
}

static void test_t20_rom(void)
{
    World *w = world(1);

    w->ram[0].decode = CXL_CACHE_MEM_READ;
    g_assert_true(world_do(w, 0, WR_INV, 0, V1)->d.failed);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
    world_expect(w, "0.WrInv 0.WritePull 0.up 0.GO-X");
    g_assert_true(world_do(w, 0, I_TO_M_WR, 0, V1)->d.failed);
    world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
    world_expect(w, "0.ItoMWr 0.GO_ERR_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    g_assert_cmpint(w->writes, ==, 0);
    g_assert_cmphex(value_of(world_do(w, 0, RD_CURR, 0, 0)), ==, WORLD_V0);
    world_expect(w, "0.RdCurr 0.down");
    world_free(w);
}

/* Lines that may not be kept: good data for one use, or an error */
static void test_use_once(void)
{
    static const unsigned reads[] = { RD_OWN, RD_SHARED, RD_ANY };
    World *w = world(1);
    WorldDone *done;
    unsigned i;

    w->ram[0].decode = CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE;
    w->ram[1].pinned = true;
    for (i = 0; i < ARRAY_SIZE(reads) * 2; i++) {
        done = world_do(w, 0, reads[i / 2], i % 2, 0);
        g_assert_cmphex(value_of(done), ==, WORLD_V0 + i % 2);
        g_assert_false(done->d.failed);
        g_assert_cmpint(done->d.state, ==, CXL_CACHE_I);
        g_assert_cmpint(world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.rsp_data, ==,
                        3);
        g_assert_cmpint(world_state(w, 0, i % 2), ==, CXL_CACHE_I);
        g_assert_cmphex(tracks(w, i % 2), ==, 0);
        world_clear(w);
    }
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->use_once, ==, i);
    done = world_do(w, 0, RD_OWN_NO_DATA, 0, 0);
    g_assert_true(done->d.failed);
    g_assert_cmpint(world_last(w, 0, CXL_CACHE_H2D_RSP)->msg.rsp_data, ==, 4);
    world_take_errors(w, WORLD_HOST);
    world_clear(w);
    world_do(w, 0, WR_INV, 1, V1);
    g_assert_cmphex(world_ram(w, 1), ==, V1);
    world_clear(w);
    world_free(w);
}

static void test_t21(void)
{
    World *w = world(2);
    unsigned op, n = 0;

    world_make(w, 1, 0, CXL_CACHE_M, V1);
    world_monitor_free(w->monitor);
    w->monitor = NULL;
    for (op = 0; op < 256; op++) {
        if (world_op_name(CXL_CACHE_D2H_REQ, op)) {
            continue;
        }
        g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_REQ,
            &(CXLCacheMsg) { .opcode = op, .line = world_line(0),
                             .cqid = op % 16 }, NULL));
        cxl_cache_run(w->home);
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_RSVD_ENCODING);
        g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_M);
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        world_clear(w);
        n++;
    }
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->errors[
                         CXL_CACHE_ERR_RSVD_ENCODING], ==, n);
    /* The CQIDs of the refused are not in use. */
    for (op = 0; op < 40; op++) {
        world_do(w, 0, RD_CURR, 1, 0);
    }
    world_clear(w);
    world_check_quiet(w);
    world_free(w);
}

/*
 * T22 to T36: every snoop in every state (table 3-26; the transient ones and
 * ownership without data are what follows from its text). NULL: a correct host
 * never does this.
 */
typedef struct Cell {
    const char *rsp;
    CXLCacheState next;
    bool late;              /* the data follow when the device has them */
} Cell;

static const Cell cells[4][CXL_CACHE_NUM_STATES] = {
    [SNP_DATA] = {
        [CXL_CACHE_I]    = { "RspIHitI",  CXL_CACHE_I },
        [CXL_CACHE_S]    = { "RspSHitSE", CXL_CACHE_S },
        [CXL_CACHE_E]    = { "RspSHitSE", CXL_CACHE_S },
        [CXL_CACHE_M]    = { "RspSFwdM",  CXL_CACHE_S },
        /* There is nothing that could be kept to read. */
        [CXL_CACHE_EN]   = { "RspIHitI",  CXL_CACHE_I },
        [CXL_CACHE_IXAD] = { "RspIHitI",  CXL_CACHE_IXAD },
        [CXL_CACHE_ISD]  = { "RspSHitSE", CXL_CACHE_ISD },
        [CXL_CACHE_IED]  = { "RspSHitSE", CXL_CACHE_ISD },
        [CXL_CACHE_IMD]  = { "RspSFwdM",  CXL_CACHE_IMDS, true },
        [CXL_CACHE_IID]  = { "RspIHitI",  CXL_CACHE_IID },
        [CXL_CACHE_IEA]  = { "RspIHitI",  CXL_CACHE_IEA },
        [CXL_CACHE_SEA]  = { "RspSHitSE", CXL_CACHE_SEA },
        [CXL_CACHE_MIA]  = { "RspSFwdM",  CXL_CACHE_SIB },
        [CXL_CACHE_EIA]  = { "RspSHitSE", CXL_CACHE_SIB },
        [CXL_CACHE_SIA]  = { "RspSHitSE", CXL_CACHE_SIA },
        [CXL_CACHE_NIA]  = { "RspIHitI",  CXL_CACHE_IIB },
        [CXL_CACHE_SIB]  = { "RspSHitSE", CXL_CACHE_SIB },
        [CXL_CACHE_IIB]  = { "RspIHitI",  CXL_CACHE_IIB },
    },
    [SNP_INV] = {
        [CXL_CACHE_I]    = { "RspIHitI",  CXL_CACHE_I },
        [CXL_CACHE_S]    = { "RspIHitSE", CXL_CACHE_I },
        [CXL_CACHE_E]    = { "RspIHitSE", CXL_CACHE_I },
        [CXL_CACHE_M]    = { "RspIFwdM",  CXL_CACHE_I },
        [CXL_CACHE_EN]   = { "RspIHitSE", CXL_CACHE_I },
        [CXL_CACHE_IXAD] = { "RspIHitI",  CXL_CACHE_IXAD },
        [CXL_CACHE_ISD]  = { "RspIHitSE", CXL_CACHE_IID },
        [CXL_CACHE_IED]  = { "RspIHitSE", CXL_CACHE_IID },
        [CXL_CACHE_IMD]  = { "RspIFwdM",  CXL_CACHE_IMDI, true },
        [CXL_CACHE_IID]  = { "RspIHitI",  CXL_CACHE_IID },
        [CXL_CACHE_IEA]  = { "RspIHitI",  CXL_CACHE_IEA },
        [CXL_CACHE_SEA]  = { "RspIHitSE", CXL_CACHE_IEA },
        [CXL_CACHE_MIA]  = { "RspIFwdM",  CXL_CACHE_IIB },
        [CXL_CACHE_EIA]  = { "RspIHitSE", CXL_CACHE_IIB },
        [CXL_CACHE_SIA]  = { "RspIHitSE", CXL_CACHE_IIB },
        [CXL_CACHE_NIA]  = { "RspIHitSE", CXL_CACHE_IIB },
        [CXL_CACHE_SIB]  = { "RspIHitSE", CXL_CACHE_IIB },
        [CXL_CACHE_IIB]  = { "RspIHitI",  CXL_CACHE_IIB },
    },
    [SNP_CUR] = {
        [CXL_CACHE_I]    = { "RspIHitI",  CXL_CACHE_I },
        [CXL_CACHE_S]    = { "RspVHitV",  CXL_CACHE_S },
        [CXL_CACHE_E]    = { "RspVHitV",  CXL_CACHE_E },
        [CXL_CACHE_M]    = { "RspVFwdV",  CXL_CACHE_M },
        [CXL_CACHE_EN]   = { "RspIHitI",  CXL_CACHE_I },
        [CXL_CACHE_IXAD] = { "RspIHitI",  CXL_CACHE_IXAD },
        [CXL_CACHE_ISD]  = { "RspVHitV",  CXL_CACHE_ISD },
        [CXL_CACHE_IED]  = { "RspVHitV",  CXL_CACHE_IED },
        [CXL_CACHE_IMD]  = { "RspVFwdV",  CXL_CACHE_IMDM, true },
        [CXL_CACHE_IID]  = { "RspIHitI",  CXL_CACHE_IID },
        [CXL_CACHE_IEA]  = { "RspIHitI",  CXL_CACHE_IEA },
        [CXL_CACHE_SEA]  = { "RspVHitV",  CXL_CACHE_SEA },
        [CXL_CACHE_MIA]  = { "RspVFwdV",  CXL_CACHE_MIA },
        [CXL_CACHE_EIA]  = { "RspVHitV",  CXL_CACHE_EIA },
        [CXL_CACHE_SIA]  = { "RspVHitV",  CXL_CACHE_SIA },
        [CXL_CACHE_NIA]  = { "RspIHitI",  CXL_CACHE_IIB },
        [CXL_CACHE_SIB]  = { "RspVHitV",  CXL_CACHE_SIB },
        [CXL_CACHE_IIB]  = { "RspIHitI",  CXL_CACHE_IIB },
    },
};

/* What the specification has in the set of a snoop's responses */
static const char *const rsp_sets[4] = {
    [SNP_DATA] = "RspIHitI RspSHitSE RspSFwdM RspIFwdM",
    [SNP_INV] = "RspIHitI RspIHitSE RspIFwdM",
    [SNP_CUR] = "RspIHitI RspVHitV RspSHitSE RspSFwdM RspIFwdM RspVFwdV",
};

/* Let what is under way end as a host would, and look at the outcome. */
static void solo_finish(Solo *s)
{
    static const CXLCacheState after[CXL_CACHE_NUM_STATES] = {
        [CXL_CACHE_S] = CXL_CACHE_S, [CXL_CACHE_E] = CXL_CACHE_E,
        [CXL_CACHE_M] = CXL_CACHE_M, [CXL_CACHE_EN] = CXL_CACHE_EN,
        [CXL_CACHE_IXAD] = CXL_CACHE_S, [CXL_CACHE_IXA] = CXL_CACHE_S,
        [CXL_CACHE_ISD] = CXL_CACHE_S, [CXL_CACHE_IED] = CXL_CACHE_E,
        [CXL_CACHE_IMD] = CXL_CACHE_M, [CXL_CACHE_IMDS] = CXL_CACHE_S,
        [CXL_CACHE_IMDM] = CXL_CACHE_M, [CXL_CACHE_IEA] = CXL_CACHE_EN,
        [CXL_CACHE_SEA] = CXL_CACHE_EN,
    };
    CXLCacheState state = world_state(s->w, 0, 0), want = after[state];
    CXLCacheLineData data;
    CXLCacheMsg msg;

    if (s->req.opcode == RD_OWN &&
        (state == CXL_CACHE_IXAD || state == CXL_CACHE_IXA)) {
        want = CXL_CACHE_E;
    }
    switch (state) {
    case CXL_CACHE_IXAD:
    case CXL_CACHE_IXA:
        if (state == CXL_CACHE_IXAD) {
            solo_data(s, V1);
        }
        solo_go(s, want == CXL_CACHE_E ? 2 : 1);
        break;
    case CXL_CACHE_ISD ... CXL_CACHE_IMDM:
        solo_data(s, V1);
        break;
    case CXL_CACHE_IEA:
    case CXL_CACHE_SEA:
        solo_go(s, 2);
        break;
    case CXL_CACHE_MIA ... CXL_CACHE_IIB:
        if (s->req.opcode == CLEAN_EVICT_ND) {
            solo_go(s, 3);
            break;
        }
        solo_send(s, CXL_CACHE_H2D_RSP, &(CXLCacheMsg) {
                      .opcode = GO_WRITE_PULL, .cqid = s->req.cqid,
                      .rsp_data = 0xabc }, 0);
        g_assert_true(solo_take(s, CXL_CACHE_D2H_DATA, &msg, &data));
        g_assert_cmpint(msg.uqid, ==, 0xabc);
        g_assert_cmpint(msg.bogus, ==, s->changed);
        if (!msg.bogus) {
            g_assert_cmphex(world_value(&data), ==, s->value);
        }
        break;
    default:
        break;
    }
    g_assert_cmpint(world_state(s->w, 0, 0), ==, want);
    g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==, 0);
    if (want == CXL_CACHE_S || want == CXL_CACHE_E || want == CXL_CACHE_M) {
        g_assert_cmphex(world_load(s->w, 0, 0), ==, s->value);
    }
    g_assert_cmpuint(s->w->num_errors, ==, 0);
}

static void snoop_cell(unsigned snoop, unsigned road)
{
    CXLCacheState state = roads[road].state;
    const Cell *cell = &cells[snoop][state];
    Solo *s = solo_at(road);
    uint64_t value = s->value;
    bool fwd = strstr(cell->rsp, "Fwd"), got;
    CXLCacheLineData data;
    CXLCacheMsg msg;

    solo_snoop(s, snoop);
    g_assert_true(s->have_rsp);
    g_assert_cmpstr(world_op_name(CXL_CACHE_D2H_RSP, s->rsp.opcode), ==,
                    cell->rsp);
    g_assert_cmpint(world_state(s->w, 0, 0), ==, cell->next);
    got = solo_take(s, CXL_CACHE_D2H_DATA, &msg, &data);
    g_assert_cmpint(got, ==, fwd && !cell->late);
    if (got) {
        g_assert_cmphex(world_value(&data), ==, value);
        g_assert_cmpint(msg.uqid, ==, s->uqid);
        g_assert_false(msg.bogus);
    }
    solo_finish(s);
    got = solo_take(s, CXL_CACHE_D2H_DATA, &msg, &data);
    g_assert_cmpint(got, ==, cell->late);
    if (got) {
        g_assert_cmphex(world_value(&data), ==, V1);
        g_assert_cmpint(msg.uqid, ==, s->uqid);
        g_assert_false(msg.bogus);
    }
    solo_free(s);
}

/*
 * Where a correct host sends no snoop: any answer that the snoop may have, or
 * a report; no data are lost by it and the request still ends.
 */
static void never_cell(unsigned snoop, unsigned road)
{
    Solo *s = solo_at(road);
    CXLCacheMsg msg;

    solo_snoop(s, snoop);
    g_assert_true(s->have_rsp || s->w->num_errors);
    if (s->have_rsp) {
        g_assert_nonnull(strstr(rsp_sets[snoop],
                                world_op_name(CXL_CACHE_D2H_RSP,
                                              s->rsp.opcode)));
    }
    s->w->num_errors = 0;
    if (world_state(s->w, 0, 0) == CXL_CACHE_IXA) {
        solo_go(s, s->req.opcode == RD_SHARED ? 1 : 2);
    } else {
        solo_data(s, V1);
        g_assert_true(solo_take(s, CXL_CACHE_D2H_DATA, &msg, NULL));
    }
    g_assert_cmpint(world_state(s->w, 0, 0), <=, CXL_CACHE_EN);
    g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==, 0);
    s->w->num_errors = 0;
    solo_free(s);
}

/* A device that yields: the other answers that table 3-26 lets it give */
static void test_yield(void)
{
    static const struct {
        CXLCacheState state, next;
        bool forwards;
    } cases[] = {
        { CXL_CACHE_I, CXL_CACHE_I }, { CXL_CACHE_S, CXL_CACHE_S },
        { CXL_CACHE_E, CXL_CACHE_S }, { CXL_CACHE_M, CXL_CACHE_I, true },
    };
    WorldConfig cfg = world_config(1);
    unsigned i;

    cfg.dev.snp_data_invalidates = true;
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        World *w = world_new(&cfg);
        const uint64_t *rsp = w->link[0]->stats->sent[CXL_CACHE_D2H_RSP];

        world_make(w, 0, 0, cases[i].state, V1);
        world_host(w, CXL_CACHE_HOST_READ, 0, 0);
        g_assert_cmpuint(rsp[CXL_CACHE_RSP_I_FWD_M], ==, cases[i].forwards);
        g_assert_cmpuint(rsp[CXL_CACHE_RSP_S_FWD_M], ==, 0);
        g_assert_cmpint(world_state(w, 0, 0), ==, cases[i].next);
        g_assert_cmpuint(world_ram(w, 0) == V1, ==, cases[i].forwards);
        world_free(w);
    }
}

static bool staged(World *w)
{
    CXLCacheSlot slot;
    unsigned i;

    for (i = 0; i < cxl_cache_dev_num_lines(w->dev[0]); i++) {
        if (cxl_cache_dev_slot(w->dev[0], i, &slot) && slot.staged) {
            g_assert_cmphex(world_value(slot.data), ==, V1);
            return true;
        }
    }
    return false;
}

/* Data that wait in a line are nobody's until they are written */
static void test_stage(void)
{
    static const CXLCacheState not_en[] = {
        CXL_CACHE_I, CXL_CACHE_S, CXL_CACHE_E, CXL_CACHE_M
    };
    CXLCacheLineData data = world_data(V1);
    uint64_t line = world_line(0);
    unsigned i;
    World *w;

    for (i = 0; i < ARRAY_SIZE(not_en); i++) {
        w = world(1);
        world_make(w, 0, 0, not_en[i], V2);
        g_assert_false(cxl_cache_dev_stage(w->dev[0], line, &data));
        g_assert_false(staged(w));
        world_free(w);
    }
    /* 0: a CPU asks, 1: the device gives up, 2: it goes on */
    for (i = 0; i < 3; i++) {
        w = world(1);
        world_do(w, 0, RD_OWN_NO_DATA, 0, 0);
        g_assert_true(cxl_cache_dev_stage(w->dev[0], line, &data));
        g_assert_true(staged(w));
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_EN);
        g_assert_false(cxl_cache_dev_read(w->dev[0], line, &data, NULL));
        if (i == 0) {
            world_host(w, CXL_CACHE_HOST_READ, 0, 0);
        } else if (i == 1) {
            world_do(w, 0, CLEAN_EVICT_ND, 0, 0);
        } else {
            data = world_data(V2);
            g_assert_true(cxl_cache_dev_write(w->dev[0], line, &data, ALL));
            g_assert_cmphex(world_load(w, 0, 0), ==, V2);
            g_assert_false(staged(w));
            world_do(w, 0, DIRTY_EVICT, 0, 0);
        }
        g_assert_false(staged(w));
        g_assert_cmphex(world_ram(w, 0), ==, i == 2 ? V2 : WORLD_V0);
        /* Nothing of it is left for who takes the way next */
        world_do(w, 0, RD_OWN_NO_DATA, 0, 0);
        g_assert_false(staged(w));
        world_free(w);
    }
}

/* The same cells, as our tables have them */
static void snoop_rule(unsigned snoop, CXLCacheState state)
{
    const CXLCacheSnoopRule *rule = &cxl_cache_snoop_rules[snoop][state];
    const Cell *cell = &cells[snoop][state];
    unsigned code;

    g_assert_cmpint(rule->unreachable, ==, cell->rsp == NULL);
    for (code = 0; code < 32; code++) {
        if (rule->allowed & 1u << code) {
            g_assert_nonnull(world_op_name(CXL_CACHE_D2H_RSP, code));
            g_assert_nonnull(strstr(rsp_sets[snoop],
                                    world_op_name(CXL_CACHE_D2H_RSP, code)));
        }
    }
    if (!cell->rsp) {
        return;
    }
    g_assert_cmpstr(world_op_name(CXL_CACHE_D2H_RSP, rule->rsp), ==, cell->rsp);
    g_assert_cmpint(rule->next, ==, cell->next);
    g_assert_true(rule->allowed & 1u << rule->rsp);
    g_assert_cmpint(rule->fwd, ==, strstr(cell->rsp, "Fwd") != NULL);
    g_assert_cmpint(rule->late, ==, cell->late);
}

/* Real hosts: what the access sees, what memory has during it and after it */
typedef struct HomeCase {
    CXLCacheState state;
    unsigned opcode;            /* evict that is under way, or 0 */
} HomeCase;

static void home_case(unsigned snoop, const HomeCase *c)
{
    static const CXLCacheHostOp ops[] = {
        [SNP_DATA] = CXL_CACHE_HOST_READ, [SNP_INV] = CXL_CACHE_HOST_WRITE,
        [SNP_CUR] = CXL_CACHE_HOST_PEEK,
    };
    World *w = world(1);
    const Cell *cell;
    bool dirty = c->state == CXL_CACHE_M;
    uint64_t now = dirty ? V1 : WORLD_V0, want = now;
    unsigned writes = 0;

    world_make(w, 0, 0, c->state, V1);
    if (c->opcode) {
        g_assert_cmpint(world_ask(w, 0, c->opcode, 0, 0, ALL), >=, 0);
    }
    cell = &cells[snoop][world_state(w, 0, 0)];
    g_assert_cmpint(world_host_ask(w, ops[snoop], 0, V2, ALL), ==, 0);
    if (snoop == SNP_DATA && c->state == CXL_CACHE_S) {
        /* Memory is current: nobody is asked. */
        g_assert_cmpuint(w->num_done, ==, 1);
    } else if (snoop == SNP_CUR && c->state == CXL_CACHE_S) {
        g_assert_cmpuint(w->num_done, ==, 1);
    } else {
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        g_assert_cmpint(world_state(w, 0, 0), ==, cell->next);
        g_assert_cmpstr(world_op_name(CXL_CACHE_D2H_RSP,
                            world_last(w, 0, CXL_CACHE_D2H_RSP)->msg.opcode),
                        ==, cell->rsp);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        if (dirty) {
            g_assert_cmpuint(w->num_done, ==, 0);
            world_must(w, 0, CXL_CACHE_D2H_DATA);
        }
    }
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_true(w->done[0].host);
    /* RspVFwdV does not tell whether the data were modified. */
    g_assert_cmpint(w->done[0].h.dirty, ==, dirty && snoop != SNP_CUR);
    g_assert_false(w->done[0].h.failed);
    if (snoop == SNP_INV) {
        want = V2;
        now = V2;
        writes = w->writes;
        g_assert_cmpint(w->why[CXL_CACHE_WRITE_HOST], ==, 1);
    } else {
        g_assert_cmphex(value_of(&w->done[0]), ==, want);
        writes = snoop == SNP_DATA && dirty;
        now = writes ? V1 : WORLD_V0;
        g_assert_cmpint(w->writes, ==, writes);
    }
    g_assert_cmphex(world_ram(w, 0), ==, now);
    cxl_cache_run(w->home);
    /* An evict that went on after a SnpCur has real data; no other has. */
    g_assert_cmphex(world_ram(w, 0), ==, c->opcode ? want : now);
    g_assert_cmpint(w->writes, ==,
                    writes + (c->opcode && dirty && snoop == SNP_CUR));
    if (c->opcode) {
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        g_assert_cmphex(tracks(w, 0), ==, 0);
    }
    world_clear(w);
    world_free(w);
}

static const HomeCase home_cases[] = {
    { CXL_CACHE_S }, { CXL_CACHE_E }, { CXL_CACHE_M }, { CXL_CACHE_EN },
    { CXL_CACHE_M, DIRTY_EVICT }, { CXL_CACHE_E, CLEAN_EVICT },
    { CXL_CACHE_E, CLEAN_EVICT_ND }, { CXL_CACHE_S, CLEAN_EVICT_ND },
    { CXL_CACHE_EN, CLEAN_EVICT_ND },
};

/* T22 + 5 * (snoop - 1) + state; the fifth has EN and all transient states. */
static void test_matrix(gconstpointer opaque)
{
    unsigned number = GPOINTER_TO_UINT(opaque) - 22;
    unsigned snoop = number / 5 + 1, column = number % 5, i;
    CXLCacheState state;

    for (i = 0; i < CXL_CACHE_NUM_STATES; i++) {
        if (MIN(i, CXL_CACHE_EN) == column) {
            snoop_rule(snoop, i);
        }
    }
    for (i = 0; i < ARRAY_SIZE(roads); i++) {
        state = roads[i].state;
        if (MIN(state, CXL_CACHE_EN) != column) {
            continue;
        }
        if (cells[snoop][state].rsp) {
            snoop_cell(snoop, i);
        } else {
            never_cell(snoop, i);
        }
    }
    for (i = 0; i < ARRAY_SIZE(home_cases); i++) {
        state = home_cases[i].opcode ? CXL_CACHE_EN : home_cases[i].state;
        if (state == column) {
            home_case(snoop, &home_cases[i]);
        }
    }
}

/*
 * A home that breaks the rules: everything it can send, in every state of a
 * line. What is not an answer to the request under way is reported, once, and
 * changes nothing.
 */
static const struct {
    unsigned opcode;
    const char *go;             /* as in table 3-20, X for the error */
    const char *other;          /* answers but GO, as hexadecimal digits */
} answers[] = {
    { RD_OWN, "EMIX", "" }, { RD_SHARED, "SIX", "" }, { RD_ANY, "SEMIX", "" },
    { RD_OWN_NO_DATA, "EX", "" }, { CLEAN_EVICT, "", "58" },
    { DIRTY_EVICT, "", "5f" }, { CLEAN_EVICT_ND, "I", "" },
};

static bool wants_go(CXLCacheState state)
{
    return state == CXL_CACHE_IXAD || state == CXL_CACHE_IXA ||
           state == CXL_CACHE_IEA || state == CXL_CACHE_SEA ||
           state >= CXL_CACHE_MIA;
}

static bool wants_data(CXLCacheState state)
{
    return state == CXL_CACHE_IXAD ||
           (state >= CXL_CACHE_ISD && state <= CXL_CACHE_IMDM);
}

static bool answer_legal(const Solo *s, CXLCacheState state, unsigned op,
                         unsigned rsp_data)
{
    static const char go[16] = {
        [1] = 'S', [2] = 'E', [3] = 'I', [4] = 'X', [6] = 'M',
    };
    unsigned i = 0;

    if (!wants_go(state)) {
        return false;
    }
    while (answers[i].opcode != s->req.opcode) {
        i++;
    }
    if (op == GO) {
        return go[rsp_data] && strchr(answers[i].go, go[rsp_data]);
    }
    return strchr(answers[i].other, "0123456789abcdef"[op]);
}

/* The device has said so and nothing else has happened. */
static void solo_refused(Solo *s, CXLCacheState state, unsigned out,
                         CXLCacheError err)
{
    g_assert_cmpuint(s->w->num_errors, ==, 1);
    g_assert_cmpuint(s->w->error[0].seen_by, ==, 0);
    g_assert_cmpint(s->w->error[0].err, ==, err);
    s->w->num_errors = 0;
    g_assert_cmpint(world_state(s->w, 0, 0), ==, state);
    g_assert_cmpuint(cxl_cache_dev_outstanding(s->w->dev[0]), ==, out);
    g_assert_null(cxl_cache_link_peek(s->w->link[0], CXL_CACHE_D2H_RSP));
    g_assert_null(cxl_cache_link_peek(s->w->link[0], CXL_CACHE_D2H_DATA));
}

static void illegal_rsp(Solo *s, CXLCacheState state, unsigned op,
                        unsigned rsp_data)
{
    unsigned out = cxl_cache_dev_outstanding(s->w->dev[0]);
    bool known = op < 16 && op != 0xc &&
                 world_op_name(CXL_CACHE_H2D_RSP, op);
    CXLCacheMsg msg = {
        .opcode = op, .cqid = s->req.cqid, .rsp_data = rsp_data,
    };

    if (op >= 16 || !out || !answer_legal(s, state, op, rsp_data)) {
        solo_send(s, CXL_CACHE_H2D_RSP, &msg, 0);
        solo_refused(s, state, out, !known ? CXL_CACHE_ERR_RSVD_ENCODING :
                     out ? CXL_CACHE_ERR_UNEXPECTED : CXL_CACHE_ERR_ID_UNKNOWN);
    }
    msg.cqid = rsp_data & 1 ? 15 : 0xfff + rsp_data;
    solo_send(s, CXL_CACHE_H2D_RSP, &msg, 0);
    solo_refused(s, state, out, known ? CXL_CACHE_ERR_ID_UNKNOWN
                                      : CXL_CACHE_ERR_RSVD_ENCODING);
}

static void test_illegal_answers(void)
{
    static const uint16_t cqids[] = { 15, 16, 4095, 4096, 0xffff };
    CXLCacheState state;
    unsigned road, op, data, i, out;
    Solo *s;

    for (road = 0; road < ARRAY_SIZE(roads); road++) {
        s = solo_at(road);
        state = roads[road].state;
        out = cxl_cache_dev_outstanding(s->w->dev[0]);
        for (op = 0; op < 32; op++) {
            for (data = 0; data < 16; data++) {
                illegal_rsp(s, state, op, data);
            }
        }
        for (op = 0; op < 16; op++) {
            if (op < SNP_DATA || op > SNP_CUR) {
                solo_send(s, CXL_CACHE_H2D_REQ, &(CXLCacheMsg) {
                    .opcode = op, .line = world_line(0) }, 0);
                solo_refused(s, state, out, CXL_CACHE_ERR_RSVD_ENCODING);
            }
        }
        for (i = 0; i < ARRAY_SIZE(cqids); i++) {
            solo_send(s, CXL_CACHE_H2D_DATA, &(CXLCacheMsg) {
                .cqid = cqids[i] }, V3);
            solo_refused(s, state, out, CXL_CACHE_ERR_ID_UNKNOWN);
        }
        if (!wants_data(state)) {
            solo_send(s, CXL_CACHE_H2D_DATA, &(CXLCacheMsg) {
                .cqid = s->req.cqid }, V3);
            solo_refused(s, state, out, out ? CXL_CACHE_ERR_UNEXPECTED
                                            : CXL_CACHE_ERR_ID_UNKNOWN);
        }
        solo_finish(s);
        solo_free(s);
    }
}

/* T37 to T44: races */

/*
 * An evict and a snoop cross: the evict is sent first and received last. The
 * host stores to its memory, V3, between the two where it may.
 */
static void test_t37(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 0, DIRTY_EVICT, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==, 0);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    world_expect(w, "0.DirtyEvict 0.SnpInv 0.RspIFwdM 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
    w->ram[0].data = world_data(V3);
    cxl_cache_run(w->home);
    world_expect(w, "0.GO_WritePull 0.up:bogus");
    g_assert_cmphex(world_ram(w, 0), ==, V3);
    /* Once, or not at all: the host's write was of the whole line. */
    g_assert_cmpint(w->why[CXL_CACHE_WRITE_BACK], <=, 1);
    world_free(w);

    /* The other order: the evict is received first; the host waits. */
    w = world(1);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 0, DIRTY_EVICT, 0, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==,
                    -EBUSY);
    cxl_cache_run(w->home);
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    world_host(w, CXL_CACHE_HOST_WRITE, 0, V2);
    world_expect(w, "");
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    world_free(w);
}

static void test_t38(void)
{
    WorldConfig cfg = world_config(1);
    World *w;

    for (int pull = 0; pull < 2; pull++) {
        cfg.home.pull_clean = pull;
        w = world_new(&cfg);
        world_make(w, 0, 0, CXL_CACHE_E, 0);
        g_assert_cmpint(world_ask(w, 0, CLEAN_EVICT, 0, 0, ALL), >=, 0);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==,
                        0);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        world_expect(w, "0.CleanEvict 0.SnpInv 0.RspIHitSE");
        w->ram[0].data = world_data(V3);
        cxl_cache_run(w->home);
        if (pull) {
            world_expect(w, "0.GO_WritePull 0.up:bogus");
        } else {
            world_expect(w, "0.GO_WritePull_Drop");
        }
        g_assert_cmphex(world_ram(w, 0), ==, V3);
        g_assert_cmpint(w->writes, ==, 0);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        world_free(w);
    }
}

static void test_t39(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 0, DIRTY_EVICT, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_SIB);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    cxl_cache_run(w->home);
    world_expect(w, "0.DirtyEvict 0.SnpData 0.RspSFwdM 0.up "
                 "0.GO_WritePull 0.up:bogus");
    g_assert_cmpint(w->why[CXL_CACHE_WRITE_BACK], ==, 1);
    g_assert_cmpint(w->writes, ==, 1);
    g_assert_cmpint(w->ram[0].access, ==, CXL_CACHE_HOST_RW);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    world_free(w);
}

static void test_t40(void)
{
    World *w = world(2);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    /* The read is received first, then the evict crosses its snoop. */
    g_assert_cmpint(world_ask(w, 1, RD_CURR, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 0, DIRTY_EVICT, 0, 0, ALL), >=, 0);
    world_must(w, 1, CXL_CACHE_D2H_REQ);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_MIA);
    cxl_cache_run(w->home);
    world_expect(w, "1.RdCurr 0.DirtyEvict 0.SnpCur 0.RspVFwdV 0.up 1.down "
                 "0.GO_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    g_assert_cmpint(w->writes, ==, 1);
    world_free(w);
}

/* A snoop meets a line whose GO is in and whose data are not. */
static void test_t41(void)
{
    World *w = world(1);

    g_assert_cmpint(world_ask(w, 0, RD_OWN, 0, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    world_must(w, 0, CXL_CACHE_H2D_RSP);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IED);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL), ==, 0);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IID);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
    g_assert_cmphex(world_ram(w, 0), ==, V2);
    world_must(w, 0, CXL_CACHE_H2D_DATA);
    world_expect(w, "0.RdOwn 0.GO-E 0.down 0.SnpInv 0.RspIHitSE");
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    world_free(w);

    /* Granted M: the data are forwarded as soon as they are there. */
    WorldConfig cfg = world_config(2);

    cfg.home.forward_dirty = true;
    for (int read = 0; read < 2; read++) {
        w = world_new(&cfg);
        world_make(w, 1, 0, CXL_CACHE_M, V1);
        g_assert_cmpint(world_ask(w, 0, RD_OWN, 0, 0, ALL), >=, 0);
        world_must(w, 0, CXL_CACHE_D2H_REQ);
        world_must(w, 1, CXL_CACHE_H2D_REQ);
        world_must(w, 1, CXL_CACHE_D2H_RSP);
        world_must(w, 1, CXL_CACHE_D2H_DATA);
        world_must(w, 0, CXL_CACHE_H2D_RSP);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IMD);
        world_clear(w);
        g_assert_cmpint(world_host_ask(w, read ? CXL_CACHE_HOST_READ
                                               : CXL_CACHE_HOST_FLUSH,
                                       0, 0, 0), ==, 0);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        g_assert_false(world_step(w, 0, CXL_CACHE_D2H_DATA));
        g_assert_cmpuint(w->num_done, ==, 0);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        cxl_cache_run(w->home);
        g_assert_cmphex(world_ram(w, 0), ==, V1);
        g_assert_cmpint(world_state(w, 0, 0), ==,
                        read ? CXL_CACHE_S : CXL_CACHE_I);
        if (read) {
            world_expect(w, "0.SnpData 0.RspSFwdM 0.up");
        } else {
            world_expect(w, "0.SnpInv 0.RspIFwdM 0.up");
        }
        world_free(w);
    }
}

/* A snoop meets a line whose request has not been heard of yet. */
static void test_t42(void)
{
    static const struct {
        unsigned opcode;
        bool keep;              /* the S copy, until the request is sent */
        CXLCacheState before, after;
        const char *messages;
    } cases[] = {
        { RD_OWN, false, CXL_CACHE_IXAD, CXL_CACHE_IXAD,
          "0.RdOwn 0.SnpInv 0.RspIHitI 0.GO-E 0.down" },
        { RD_SHARED, false, CXL_CACHE_IXAD, CXL_CACHE_IXAD,
          "0.RdShared 0.SnpInv 0.RspIHitI 0.GO-S 0.down" },
        { RD_OWN_NO_DATA, false, CXL_CACHE_IEA, CXL_CACHE_IEA,
          "0.RdOwnNoData 0.SnpInv 0.RspIHitI 0.GO-E" },
        { RD_OWN_NO_DATA, true, CXL_CACHE_SEA, CXL_CACHE_IEA,
          "0.RdOwnNoData 0.SnpInv 0.RspIHitSE 0.GO-E" },
    };
    unsigned i;
    World *w;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        w = world(1);
        world_make(w, 0, 0, CXL_CACHE_S, 0);
        if (!cases[i].keep) {
            g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(0)));
        }
        g_assert_cmpint(world_ask(w, 0, cases[i].opcode, 0, 0, ALL), >=, 0);
        g_assert_cmpint(world_state(w, 0, 0), ==, cases[i].before);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL),
                        ==, 0);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        g_assert_cmpint(world_state(w, 0, 0), ==, cases[i].after);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        g_assert_cmphex(world_ram(w, 0), ==, V2);
        cxl_cache_run(w->home);
        if (cases[i].opcode != RD_OWN_NO_DATA) {
            g_assert_cmphex(world_load(w, 0, 0), ==, V2);
        }
        world_expect(w, cases[i].messages);
        world_free(w);
    }
}

static void test_t43(void)
{
    World *w;
    CXLCacheState state;

    for (state = CXL_CACHE_S; state <= CXL_CACHE_EN; state++) {
        if (state == CXL_CACHE_M) {
            continue;
        }
        w = world(1);
        world_make(w, 0, 0, state, 0);
        g_assert_cmpint(world_ask(w, 0, CLEAN_EVICT_ND, 0, 0, ALL), >=, 0);
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_WRITE, 0, V2, ALL),
                        ==, 0);
        world_must(w, 0, CXL_CACHE_H2D_REQ);
        world_must(w, 0, CXL_CACHE_D2H_RSP);
        g_assert_cmphex(tracks(w, 0), ==, 0);
        cxl_cache_run(w->home);
        world_expect(w, "0.CleanEvictNoData 0.SnpInv 0.RspIHitSE 0.GO-I");
        g_assert_cmphex(world_ram(w, 0), ==, V2);
        world_free(w);
    }
}

static void test_t44(void)
{
    unsigned seed, i, owners, firsts[2] = { 0, 0 };
    World *w;

    for (seed = 0; seed < 500; seed++) {
        w = world(2);
        w->rng += seed * 2;
        if (seed % 3 == 0) {
            world_make(w, seed % 2, 0, CXL_CACHE_S, 0);
            g_assert_true(cxl_cache_dev_drop(w->dev[seed % 2], world_line(0)));
        }
        for (i = 0; i < 2; i++) {
            g_assert_cmpint(world_ask(w, i, RD_OWN, 0, 0, ALL), >=, 0);
        }
        world_random_run(w);
        g_assert_cmpuint(w->num_done, ==, 2);
        for (i = 0, owners = 0; i < 2; i++) {
            owners += world_state(w, i, 0) == CXL_CACHE_E;
            g_assert_true(world_state(w, i, 0) == CXL_CACHE_E ||
                          world_state(w, i, 0) == CXL_CACHE_I);
            firsts[i] += world_state(w, i, 0) == CXL_CACHE_I;
        }
        g_assert_cmpuint(owners, ==, 1);
        world_clear(w);
        world_free(w);
    }
    /* Each of them was first now and then. */
    g_assert_cmpuint(firsts[0], >, 50);
    g_assert_cmpuint(firsts[1], >, 50);
}

/*
 * T45 to T47 are of processors that touch memory while a device takes it; the
 * trap that stops them is not part of the protocol. Its half of the bargain
 * is host_access(): the tests below access memory directly where the host may,
 * in between any two messages, and ask the home where it may not.
 */
typedef struct Sum {
    World *w;
    uint64_t line;
    unsigned left[3];           /* increments to do: two devices, the host */
    bool waiting[3];
} Sum;

static uint64_t line_add(CXLCacheLineData *data, unsigned word, uint64_t n)
{
    uint64_t v;

    memcpy(&v, data->b + word * 8, 8);
    v += n;
    memcpy(data->b + word * 8, &v, 8);
    return v;
}

static void sum_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    Sum *sum = w->opaque;

    sum->waiting[dev] = false;
}

static void sum_host_done(World *w, const CXLCacheHostDone *done)
{
    Sum *sum = w->opaque;

    sum->waiting[2] = false;
}

static void sum_dev_turn(Sum *sum, unsigned dev)
{
    World *w = sum->w;
    CXLCacheState state = cxl_cache_dev_state(w->dev[dev], sum->line);
    CXLCacheLineData data;
    unsigned n;
    int ret = 0;

    if (state == CXL_CACHE_M && world_below(w, 2)) {
        ret = world_ask(w, dev, DIRTY_EVICT, 0, 0, ALL);
    } else if (state == CXL_CACHE_E || state == CXL_CACHE_M) {
        for (n = 1 + world_below(w, MIN(8, sum->left[dev])); n > 0; n--) {
            g_assert_true(cxl_cache_dev_read(w->dev[dev], sum->line, &data,
                                             NULL));
            line_add(&data, 3, 1);
            g_assert_true(cxl_cache_dev_write(w->dev[dev], sum->line, &data,
                                              0xffULL << 24));
            sum->left[dev]--;
        }
        return;
    } else if (state == CXL_CACHE_I) {
        ret = world_ask(w, dev, RD_OWN, 0, 0, ALL);
    } else {
        return;
    }
    g_assert_true(ret >= 0 || ret == -EBUSY || ret == -EAGAIN);
    sum->waiting[dev] = ret >= 0;
}

static void sum_host_turn(Sum *sum)
{
    static const CXLCacheHostOp ops[] = {
        CXL_CACHE_HOST_READ, CXL_CACHE_HOST_FLUSH, CXL_CACHE_HOST_WRITE,
    };
    World *w = sum->w;
    unsigned n;
    int ret;

    if (w->ram[0].access == CXL_CACHE_HOST_RW) {
        for (n = 1 + world_below(w, MIN(8, sum->left[2])); n > 0; n--) {
            line_add(&w->ram[0].data, 3, 1);
            sum->left[2]--;
        }
        return;
    }
    ret = world_host_ask(w, ops[world_below(w, 3)], 0, 0, 0);
    g_assert_true(ret == 0 || ret == -EBUSY || ret == -EAGAIN);
    sum->waiting[2] = ret == 0 && cxl_cache_home_open(w->home);
}

static void sum_run(unsigned each, uint64_t seed)
{
    WorldConfig cfg = world_config(2);
    Sum sum = { .line = world_line(0), .left = { each, each, each } };
    CXLCacheLineData data;
    uint64_t total;
    World *w;
    unsigned who;

    cfg.no_log = true;
    cfg.ram_lines = 2;
    cfg.home.forward_dirty = seed & 1;
    sum.w = w = world_new(&cfg);
    w->rng += seed;
    w->opaque = &sum;
    w->on_done = sum_done;
    w->on_host_done = sum_host_done;
    memset(&w->ram[0].data, 0, sizeof(data));
    while (sum.left[0] || sum.left[1] || sum.left[2]) {
        who = world_below(w, 5);
        if (who < 3 && sum.left[who] && !sum.waiting[who]) {
            who == 2 ? sum_host_turn(&sum) : sum_dev_turn(&sum, who);
        } else {
            world_random_step(w);
        }
    }
    world_random_run(w);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==, 0);
    world_random_run(w);
    total = line_add(&w->ram[0].data, 3, 0);
    g_assert_cmpuint(total, ==, 3ULL * each);
    world_check_quiet(w);
    world_free(w);
}

/* T45: no store is lost, at whatever point the device takes the line. */
static void test_t45(void)
{
    uint64_t seed;

    for (seed = 0; seed < 1000; seed++) {
        sum_run(33, seed);
    }
}

/* T46: additions by two devices and the host, a million of them */
static void test_t46(void)
{
    sum_run(333334, 1);
}

/* T47: a host access over two lines of which the device owns one */
static void test_t47(void)
{
    unsigned owned, i;
    World *w;

    for (owned = 0; owned < 2; owned++) {
        w = world(1);
        world_make(w, 0, owned, CXL_CACHE_M, V1);
        for (i = 0; i < 2; i++) {
            if (w->ram[i].access == CXL_CACHE_HOST_NONE) {
                world_host(w, CXL_CACHE_HOST_FLUSH, i, 0);
            }
        }
        world_expect(w, "0.SnpInv 0.RspIFwdM 0.up");
        for (i = 0; i < 2; i++) {
            g_assert_cmpint(w->ram[i].access, ==, CXL_CACHE_HOST_RW);
            g_assert_cmphex(world_ram(w, i), ==, i == owned ? V1
                                                            : WORLD_V0 + i);
        }
        world_free(w);
    }
}

/*
 * T48: what breaks a rule is refused, reported or, where only an onlooker can
 * know, seen by the monitor that all tests run under.
 */
typedef struct Broken {
    const char *rule;               /* in the monitor's words */
    struct {
        CXLCacheChannelId channel;
        CXLCacheMsg msg;
    } step[6];                      /* the last one is wrong */
    unsigned steps;
} Broken;

#define REQ(_op, _cqid) { CXL_CACHE_D2H_REQ, \
    { .opcode = (_op), .line = WORLD_BASE, .cqid = (_cqid) } }
#define SNP(_op, _uqid) { CXL_CACHE_H2D_REQ, \
    { .opcode = (_op), .line = WORLD_BASE, .uqid = (_uqid) } }
#define RSP(_op, _uqid) { CXL_CACHE_D2H_RSP, \
    { .opcode = (_op), .uqid = (_uqid) } }
#define ANS(_op, _cqid, _data) { CXL_CACHE_H2D_RSP, \
    { .opcode = (_op), .cqid = (_cqid), .rsp_data = (_data) } }
#define UP(_uqid, _bogus) { CXL_CACHE_D2H_DATA, \
    { .uqid = (_uqid), .bogus = (_bogus) } }
#define DOWN(_cqid) { CXL_CACHE_H2D_DATA, { .cqid = (_cqid) } }

static const Broken broken[] = {
    { "GO during snoop (O2)", {
        REQ(RD_OWN, 1), SNP(SNP_INV, 5), ANS(GO, 1, 2) }, 3 },
    { "snoop between data and GO (O3)", {
        REQ(RD_OWN, 1), DOWN(1), SNP(SNP_INV, 5) }, 3 },
    { "snoop during pull (O4)", {
        REQ(DIRTY_EVICT, 1), ANS(GO_WRITE_PULL, 1, 5), SNP(SNP_INV, 6) }, 3 },
    { "pull during snoop (O4)", {
        REQ(DIRTY_EVICT, 1), SNP(SNP_INV, 5), ANS(GO_WRITE_PULL, 1, 6) }, 3 },
    { "second snoop (O5)", { SNP(SNP_INV, 5), SNP(SNP_DATA, 6) }, 2 },
    { "GO of a WrInv before its data (O6)", {
        REQ(WR_INV, 1), ANS(GO, 1, 3) }, 2 },
    { "ExtCmp before the data", {
        REQ(WO_WR_INV_F, 1), ANS(FAST_GO_WRITE_PULL, 1, 5),
        ANS(EXT_CMP, 1, 0) }, 3 },
    { "bogus is wrong (O10)", {
        REQ(DIRTY_EVICT, 1), ANS(GO_WRITE_PULL, 1, 5), UP(5, true) }, 3 },
    { "bogus is wrong (O10)", {
        REQ(DIRTY_EVICT, 1), SNP(SNP_INV, 5), RSP(0x0f, 5), UP(5, false),
        ANS(GO_WRITE_PULL, 1, 6), UP(6, false) }, 6 },
    { "bogus is wrong (O10)", {
        REQ(DIRTY_EVICT, 1), SNP(SNP_CUR, 5), RSP(0x16, 5), UP(5, false),
        ANS(GO_WRITE_PULL, 1, 6), UP(6, true) }, 6 },
    { "bogus is wrong (O10)", {
        REQ(WR_INV, 1), ANS(WRITE_PULL, 1, 5), UP(5, true) }, 3 },
    { "a snoop's data are bogus", {
        SNP(SNP_INV, 5), RSP(0x0f, 5), UP(5, true) }, 3 },
    { "second evict without a read", {
        REQ(DIRTY_EVICT, 1), ANS(GO_WRITE_PULL, 1, 5), UP(5, false),
        REQ(DIRTY_EVICT, 1) }, 4 },
    { "second pull", {
        REQ(WR_INV, 1), ANS(WRITE_PULL, 1, 5), ANS(WRITE_PULL, 1, 6) }, 3 },
    { "UQID in use", {
        REQ(WR_INV, 1), REQ(WR_INV, 2), ANS(WRITE_PULL, 1, 5),
        ANS(WRITE_PULL, 2, 5) }, 4 },
    { "CQID in use", { REQ(RD_CURR, 1), REQ(RD_CURR, 1) }, 2 },
    { "data twice", { REQ(RD_OWN, 1), DOWN(1), DOWN(1) }, 3 },
    { "second GO", { REQ(RD_OWN, 1), ANS(GO, 1, 2), ANS(GO, 1, 2) }, 3 },
    { "data for no read", { REQ(RD_OWN_NO_DATA, 1), DOWN(1) }, 2 },
    { "GO state not in the request's set", {
        REQ(RD_SHARED, 1), ANS(GO, 1, 2) }, 2 },
    { "GO state not in the request's set", {
        REQ(RD_CURR, 1), ANS(GO, 1, 1) }, 2 },
    { "answer not in the request's set", {
        REQ(DIRTY_EVICT, 1), ANS(GO_WRITE_PULL_DROP, 1, 5) }, 2 },
    { "answer to no request", { ANS(GO, 7, 2) }, 1 },
    { "response without snoop", { RSP(0x04, 5) }, 1 },
    { "response not in the snoop's set", { SNP(SNP_INV, 5), RSP(0x06, 5) }, 2 },
    { "second response", {
        SNP(SNP_INV, 5), RSP(0x0f, 5), RSP(0x0f, 5) }, 3 },
    { "data that nobody waits for", { UP(5, false) }, 1 },
    { "data before the response that announces them", {
        SNP(SNP_INV, 5), UP(5, false) }, 2 },
    { "reserved request", { REQ(0x0f, 1) }, 1 },
    { "reserved snoop", { SNP(5, 5) }, 1 },
    { "ID of more than 12 bits", { REQ(RD_CURR, 0x1000) }, 1 },
};

static void test_t48_monitor(void)
{
    WorldMonitor *m;
    const char *wrong;
    unsigned i, k;

    for (i = 0; i < ARRAY_SIZE(broken); i++) {
        m = world_monitor_new(1, 1);
        for (k = 0; k < broken[i].steps; k++) {
            wrong = world_monitor_see(m, 0, broken[i].step[k].channel,
                                      &broken[i].step[k].msg);
            if (k < broken[i].steps - 1) {
                g_assert_cmpstr(wrong, ==, NULL);
            } else {
                g_assert_cmpstr(wrong, ==, broken[i].rule);
            }
            /* A mere onlooker's mistake would be one for two devices. */
            g_assert_cmpuint(k, <, ARRAY_SIZE(broken[i].step));
        }
        world_monitor_free(m);
    }
}

/* Snoop pushes GO: whatever the transport tries, the GO is first. */
static void test_t48_spg(void)
{
    World *w = world(2);

    g_assert_cmpint(world_ask(w, 0, RD_OWN, 0, 0, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 0, RD_OWN, 1, 0, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_FLUSH, 0, 0, 0), ==, 0);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IXAD);
    g_assert_false(cxl_cache_dev_rx(w->dev[0], CXL_CACHE_H2D_REQ));
    /* Data may come before it; the snoop still may not. */
    world_must(w, 0, CXL_CACHE_H2D_DATA);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_IXA);
    g_assert_false(cxl_cache_dev_rx(w->dev[0], CXL_CACHE_H2D_REQ));
    world_must(w, 0, CXL_CACHE_H2D_RSP);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_E);
    /* The GO of the other line does not matter. */
    g_assert_cmpint(world_state(w, 0, 1), ==, CXL_CACHE_IXAD);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    cxl_cache_run(w->home);
    world_expect(w, "0.RdOwn 0.RdOwn 0.GO-E 0.down 0.GO-E 0.down 0.SnpInv "
                 "0.RspIHitSE");
    world_free(w);
}

/* The home has seen no GO-E and yet is offered modified data. */
static void test_t48_home(void)
{
    static const struct {
        CXLCacheState state;
        unsigned opcode;
    } cases[] = {
        { CXL_CACHE_I, DIRTY_EVICT }, { CXL_CACHE_S, DIRTY_EVICT },
        { CXL_CACHE_S, CLEAN_EVICT },
    };
    unsigned i;
    World *w;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        WorldConfig cfg = world_config(2);

        cfg.no_monitor = true;
        cfg.home.pull_clean = true;
        w = world_new(&cfg);
        world_make(w, 0, 0, cases[i].state, 0);
        if (cases[i].state == CXL_CACHE_I) {
            world_make(w, 1, 0, CXL_CACHE_M, V2);
        }
        g_assert_true(cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_REQ,
            &(CXLCacheMsg) { .opcode = cases[i].opcode, .line = world_line(0),
                             .cqid = 15 }, NULL));
        while (cxl_cache_home_rx(w->home, 0, CXL_CACHE_D2H_REQ)) {
            continue;
        }
        if (cxl_cache_link_peek(w->link[0], CXL_CACHE_H2D_RSP)) {
            CXLCacheMsg msg = *cxl_cache_link_peek(w->link[0],
                                                   CXL_CACHE_H2D_RSP);
            CXLCacheLineData data = world_data(V3);

            cxl_cache_link_pop(w->link[0], CXL_CACHE_H2D_RSP);
            if (msg.opcode == GO_WRITE_PULL ||
                msg.opcode == GO_ERR_WRITE_PULL) {
                cxl_cache_link_inject(w->link[0], CXL_CACHE_D2H_DATA,
                    &(CXLCacheMsg) { .uqid = msg.rsp_data, .be = ALL }, &data);
                world_must(w, 0, CXL_CACHE_D2H_DATA);
            }
        }
        cxl_cache_run(w->home);
        /* A CleanEvict's data are memory's: they are not even looked at. */
        g_assert_cmpuint(w->err_count[CXL_CACHE_ERR_NOT_OWNER], ==,
                         cases[i].opcode == DIRTY_EVICT);
        world_take_errors(w, WORLD_HOST);
        g_assert_cmpint(w->writes, ==, 0);
        g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
        if (cases[i].state == CXL_CACHE_I) {
            g_assert_cmpint(world_state(w, 1, 0), ==, CXL_CACHE_M);
            g_assert_cmphex(world_load(w, 1, 0), ==, V2);
        }
        g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
        world_clear(w);
        world_free(w);
    }
}

/*
 * T49 to T51: litmus tests. Each agent is a device or the host ("h") and does
 * its accesses one after the other, as with a fence in between: a request has
 * to complete first. "Wx1" writes 1 to x, "Rxa" reads x into a; lines start
 * with 0. How a device reads and writes is left to chance, and so is the order
 * in which everything moves. A weakly ordered write completes with its ExtCmp;
 * until then its line is busy at our home, so that the staleness which the
 * specification allows between Fast_GO and ExtCmp cannot be seen here.
 */
#define LITMUS_AGENTS 4

typedef struct Litmus {
    const char *name;
    const char *agent[LITMUS_AGENTS];   /* 'h' or 'd', then the program */
    const char *never[4];               /* outcomes: register, value, ... */
    const char *seen[4];                /* ... that have to turn up */
} Litmus;

typedef struct LitmusAgent {
    const char *pc;
    int dev;                            /* -1 for the host */
    bool waiting;
    bool advance;                       /* when the request completes */
} LitmusAgent;

typedef struct LitmusRun {
    World *w;
    LitmusAgent agent[LITMUS_AGENTS];
    unsigned agents;
    uint8_t reg[26];
} LitmusRun;

static const Litmus litmus[] = {
    { "T49-message-passing-d-h", { "dWx1Wy1", "hRyaRxb" },
      { "a1b0" }, { "a0b0", "a0b1", "a1b1" } },
    { "T49-message-passing-h-d", { "hWx1Wy1", "dRyaRxb" },
      { "a1b0" }, { "a0b0", "a0b1", "a1b1" } },
    { "T49-message-passing-d-d", { "dWx1Wy1", "dRyaRxb" },
      { "a1b0" }, { "a0b0", "a0b1", "a1b1" } },
    { "T50-store-buffering-d-d", { "dWx1Rya", "dWy1Rxb" },
      { "a0b0" }, { "a0b1", "a1b0", "a1b1" } },
    { "T50-store-buffering-d-h", { "dWx1Rya", "hWy1Rxb" },
      { "a0b0" }, { "a0b1", "a1b0", "a1b1" } },
    { "T50-load-buffering-d-d", { "dRxaWy1", "dRybWx1" },
      { "a1b1" }, { "a0b0", "a0b1", "a1b0" } },
    { "T50-load-buffering-d-h", { "dRxaWy1", "hRybWx1" },
      { "a1b1" }, { "a0b0", "a0b1", "a1b0" } },
    { "T50-iriw", { "dWx1", "hWy1", "dRxaRyb", "dRycRxd" },
      { "a1b0c1d0" }, { "a1b1c1d1", "a0b1c1d0", "a1b0c0d1" } },
    { "T50-iriw-h", { "dWx1", "dWy1", "dRxaRyb", "hRycRxd" },
      { "a1b0c1d0" }, { "a1b1c1d1", "a0b1c1d0", "a1b0c0d1" } },
    { "T51-corr", { "dWx1Wx2", "dRxaRxb" },
      { "a1b0", "a2b0", "a2b1" }, { "a0b1", "a1b2", "a0b2", "a2b2" } },
    { "T51-corr-h", { "dWx1Wx2", "hRxaRxb" },
      { "a1b0", "a2b0", "a2b1" }, { "a0b1", "a1b2", "a0b2", "a2b2" } },
    { "T51-coww", { "dWx1Wx2Rxa", "dRxb" },
      { "a0", "a1" }, { "a2b0", "a2b1", "a2b2" } },
    { "T51-cowr", { "dWx1Rxa", "hWx2", "dRxb" },
      { "a0" }, { "a1", "a2" } },
};

static void litmus_value(LitmusRun *run, LitmusAgent *agent,
                         const CXLCacheLineData *data)
{
    uint64_t v = world_value(data);
    unsigned line = agent->pc[1] - 'x';

    g_assert_true(v <= 2 || v == WORLD_V0 + line);
    run->reg[agent->pc[2] - 'a'] = v <= 2 ? v : 0;
}

static void litmus_end(LitmusRun *run, LitmusAgent *agent,
                       const CXLCacheLineData *data)
{
    agent->waiting = false;
    if (agent->advance) {
        if (agent->pc[0] == 'R') {
            litmus_value(run, agent, data);
        }
        agent->pc += 3;
    }
}

static void litmus_done(World *w, unsigned dev, const CXLCacheDone *done)
{
    LitmusRun *run = w->opaque;
    unsigned i;

    for (i = 0; i < run->agents; i++) {
        if (run->agent[i].dev == dev) {
            litmus_end(run, &run->agent[i], done->data);
        }
    }
}

static void litmus_host_done(World *w, const CXLCacheHostDone *done)
{
    LitmusRun *run = w->opaque;
    unsigned i;

    for (i = 0; i < run->agents; i++) {
        if (run->agent[i].dev < 0) {
            litmus_end(run, &run->agent[i], done->data);
        }
    }
}

static void litmus_host_turn(LitmusRun *run, LitmusAgent *agent)
{
    World *w = run->w;
    unsigned line = agent->pc[1] - 'x';
    CXLCacheHostOp op = agent->pc[0] == 'W' ? CXL_CACHE_HOST_WRITE :
                        world_below(w, 2) ? CXL_CACHE_HOST_READ
                                          : CXL_CACHE_HOST_PEEK;

    agent->waiting = true;
    agent->advance = true;
    if (world_host_ask(w, op, line, agent->pc[2] - '0', ALL)) {
        agent->waiting = false;
    }
}

static void litmus_dev_turn(LitmusRun *run, LitmusAgent *agent)
{
    static const unsigned reads[] = { RD_CURR, RD_SHARED, RD_ANY, RD_OWN };
    static const unsigned writes[] = {
        RD_OWN, RD_OWN_NO_DATA, WR_INV, I_TO_M_WR, WR_CUR, WO_WR_INV_F,
    };
    World *w = run->w;
    unsigned line = agent->pc[1] - 'x', op;
    CXLCacheState state = world_state(w, agent->dev, line);
    bool write = agent->pc[0] == 'W';
    CXLCacheLineData data;

    if (state > CXL_CACHE_EN) {
        return;
    }
    if (write && cxl_cache_may(state, CXL_CACHE_P_FILL)) {
        world_store(w, agent->dev, line, agent->pc[2] - '0');
        agent->pc += 3;
        return;
    }
    if (!write && cxl_cache_may(state, CXL_CACHE_P_READ)) {
        cxl_cache_dev_read(w->dev[agent->dev], world_line(line), &data, NULL);
        litmus_value(run, agent, &data);
        agent->pc += 3;
        return;
    }
    /* S cannot be written, nor ownership without data read. */
    op = state == CXL_CACHE_S ? RD_OWN_NO_DATA :
         state == CXL_CACHE_EN ? CLEAN_EVICT_ND :
         write ? writes[world_below(w, ARRAY_SIZE(writes))]
               : reads[world_below(w, ARRAY_SIZE(reads))];
    agent->advance = state == CXL_CACHE_I && op != RD_OWN_NO_DATA &&
                     !(write && op == RD_OWN);
    agent->waiting = true;
    if (world_ask(w, agent->dev, op, line, agent->pc[2] - '0', ALL) < 0) {
        agent->waiting = false;
    }
}

/* Some of the devices have had some of the lines before. */
static void litmus_prepare(World *w)
{
    static const CXLCacheState states[] = {
        CXL_CACHE_S, CXL_CACHE_E, CXL_CACHE_EN,
    };
    unsigned i;

    for (i = world_below(w, 4); i > 0; i--) {
        unsigned dev = world_below(w, w->cfg.devs), line = world_below(w, 2);

        if (world_state(w, dev, line) == CXL_CACHE_I) {
            world_make(w, dev, line, states[world_below(w, 3)], 0);
        }
    }
}

static void litmus_once(const Litmus *test, uint64_t seed, LitmusRun *run)
{
    WorldConfig cfg = world_config(0);
    LitmusAgent *agent;
    World *w;
    unsigned i, todo;

    memset(run, 0, sizeof(*run));
    for (i = 0; i < LITMUS_AGENTS && test->agent[i]; i++) {
        run->agent[i].pc = test->agent[i] + 1;
        run->agent[i].dev = test->agent[i][0] == 'h' ? -1 : (int)cfg.devs++;
    }
    run->agents = i;
    cfg.ram_lines = 2;
    cfg.home.forward_dirty = seed & 1;
    cfg.home.pull_clean = seed & 2;
    run->w = w = world_new(&cfg);
    w->rng += seed * 0x123456789;
    litmus_prepare(w);
    w->opaque = run;
    w->on_done = litmus_done;
    w->on_host_done = litmus_host_done;
    do {
        i = world_below(w, run->agents * 3);
        agent = i < run->agents ? &run->agent[i] : NULL;
        if (!agent) {
            world_random_step(w);
        } else if (*agent->pc && !agent->waiting) {
            agent->dev < 0 ? litmus_host_turn(run, agent)
                           : litmus_dev_turn(run, agent);
        }
        for (i = 0, todo = 0; i < run->agents; i++) {
            todo += *run->agent[i].pc != 0;
        }
    } while (todo);
    world_random_run(w);
    w->on_done = NULL;
    world_clear(w);
    world_check_quiet(w);
    world_free(w);
}

static bool litmus_is(const LitmusRun *run, const char *outcome)
{
    for (; *outcome; outcome += 2) {
        if (run->reg[outcome[0] - 'a'] != outcome[1] - '0') {
            return false;
        }
    }
    return true;
}

static void test_litmus(gconstpointer opaque)
{
    const Litmus *test = opaque;
    unsigned seen[4] = { 0 }, i;
    LitmusRun run;
    uint64_t seed;

    for (seed = 0; seed < 1500; seed++) {
        litmus_once(test, seed, &run);
        for (i = 0; i < 4 && test->never[i]; i++) {
            if (litmus_is(&run, test->never[i])) {
                g_test_message("seed %" PRIu64, seed);
                g_assert_cmpstr(test->never[i], ==, "never seen");
            }
        }
        for (i = 0; i < 4 && test->seen[i]; i++) {
            seen[i] += litmus_is(&run, test->seen[i]);
        }
    }
    /* Else the scheduler is not random enough to prove anything. */
    for (i = 0; i < 4 && test->seen[i]; i++) {
        g_test_message("%s: %u times", test->seen[i], seen[i]);
        g_assert_cmpuint(seen[i], >, 0);
    }
}

/* T65 to T72: capacity, credits, errors */

/* Ask until there is room: a victim may have to go first. */
static int ask_until(World *w, unsigned dev, unsigned opcode, unsigned n,
                     bool nt)
{
    CXLCacheReq req = { .line = world_line(n), .opcode = opcode, .nt = nt };
    unsigned turns = 0;
    int ret;

    while ((ret = cxl_cache_dev_request(w->dev[dev], &req)) == -EBUSY ||
           ret == -EAGAIN) {
        cxl_cache_run(w->home);
        g_assert_cmpuint(turns++, <, 100);
    }
    g_assert_cmpint(ret, >=, 0);
    cxl_cache_run(w->home);
    return ret;
}

static void test_t65(void)
{
    WorldConfig cfg = world_config(2);
    unsigned n, lines = 16;
    World *w;

    cfg.home.sf_lines = 8;
    cfg.home.sf_ways = 2;
    w = world_new(&cfg);
    for (n = 0; n < lines; n++) {
        ask_until(w, n % 2, RD_OWN, n, false);
        world_store(w, n % 2, n, V1 + n);
        g_assert_cmpuint(cxl_cache_home_tracked(w->home), <=, 8);
        world_check_always(w);
    }
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->back_invalidations, >=, 8);
    for (n = 0; n < lines; n++) {
        g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, n, 0)), ==,
                        V1 + n);
    }
    world_clear(w);
    world_free(w);

    /* One entry for all: the victims' snoops are in flight all the time. */
    cfg.home.sf_lines = cfg.home.sf_ways = 1;
    w = world_new(&cfg);
    for (n = 0; n < lines; n++) {
        g_assert_cmpint(world_ask(w, n % 2, RD_OWN, n, 0, ALL), >=, 0);
    }
    world_random_run(w);
    g_assert_cmpuint(w->num_done, ==, lines);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 1);
    world_clear(w);
    world_check_quiet(w);
    world_free(w);
}

static unsigned lines_held(World *w, unsigned dev)
{
    unsigned n, held = 0;

    for (n = 0; n < w->cfg.ram_lines; n++) {
        held += world_state(w, dev, n) != CXL_CACHE_I;
    }
    return held;
}

static void test_t66(void)
{
    WorldConfig cfg = world_config(1);
    World *w;
    unsigned n;

    cfg.dev.size = 4 * CXL_CACHE_LINE_SIZE;
    cfg.dev.ways = 4;
    w = world_new(&cfg);
    g_assert_cmpuint(cxl_cache_dev_num_lines(w->dev[0]), ==, 4);
    for (n = 0; n < 4; n++) {
        ask_until(w, 0, RD_OWN, n, false);
        world_store(w, 0, n, V1 + n);
    }
    world_clear(w);
    /* 0 is used again: 1 is the least recently used. */
    g_assert_cmphex(world_load(w, 0, 0), ==, V1);
    ask_until(w, 0, RD_OWN, 4, false);
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up 0.RdOwn 0.GO-E 0.down");
    g_assert_cmpint(world_state(w, 0, 1), ==, CXL_CACHE_I);
    g_assert_cmphex(world_ram(w, 1), ==, V1 + 1);
    g_assert_cmpuint(lines_held(w, 0), ==, 4);

    /* A non-temporal line goes first, young as it may be. */
    ask_until(w, 0, RD_SHARED, 5, true);
    g_assert_cmpint(world_state(w, 0, 2), ==, CXL_CACHE_I);
    world_clear(w);
    ask_until(w, 0, RD_OWN, 6, false);
    world_expect(w, "0.CleanEvictNoData 0.GO-I 0.RdOwn 0.GO-E 0.down");
    g_assert_cmpint(world_state(w, 0, 5), ==, CXL_CACHE_I);
    g_assert_cmpint(world_state(w, 0, 3), ==, CXL_CACHE_M);
    /* Likewise when it takes the place of the line that was used last. */
    g_assert_cmphex(world_load(w, 0, 0), ==, V1);
    world_host(w, CXL_CACHE_HOST_FLUSH, 0, 0);
    ask_until(w, 0, RD_SHARED, 5, true);
    world_clear(w);
    ask_until(w, 0, RD_OWN, 8, false);
    world_expect(w, "0.CleanEvictNoData 0.GO-I 0.RdOwn 0.GO-E 0.down");
    g_assert_cmpint(world_state(w, 0, 5), ==, CXL_CACHE_I);
    for (n = 9; n < 60; n++) {
        ask_until(w, 0, n % 3 ? RD_OWN : RD_SHARED, n, n % 5 == 0);
        g_assert_cmpuint(lines_held(w, 0), <=, 4);
    }
    world_clear(w);
    for (n = 0; n < 4; n++) {
        world_host(w, CXL_CACHE_HOST_FLUSH, n, 0);
        g_assert_cmphex(world_ram(w, n), ==, V1 + n);
    }
    world_clear(w);
    world_free(w);
}

/* How a clean line leaves, by configuration */
static void test_clean_evict(void)
{
    static const struct {
        CXLCacheCleanEvict how;
        CXLCacheState state;
        const char *messages;
    } cases[] = {
        { CXL_CACHE_CLEAN_NOTIFY, CXL_CACHE_E, "0.CleanEvictNoData 0.GO-I" },
        { CXL_CACHE_CLEAN_NOTIFY, CXL_CACHE_S, "0.CleanEvictNoData 0.GO-I" },
        { CXL_CACHE_CLEAN_DATA, CXL_CACHE_E, "0.CleanEvict "
          "0.GO_WritePull_Drop" },
        { CXL_CACHE_CLEAN_DATA, CXL_CACHE_S, "0.CleanEvictNoData 0.GO-I" },
        { CXL_CACHE_CLEAN_DATA, CXL_CACHE_EN, "0.CleanEvictNoData 0.GO-I" },
        { CXL_CACHE_CLEAN_SILENT, CXL_CACHE_E, "" },
        { CXL_CACHE_CLEAN_SILENT, CXL_CACHE_S, "" },
        { CXL_CACHE_CLEAN_SILENT, CXL_CACHE_M,
          "0.DirtyEvict 0.GO_WritePull 0.up" },
    };
    WorldConfig cfg = world_config(1);
    unsigned i;
    World *w;

    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        cfg.dev.clean_evict = cases[i].how;
        w = world_new(&cfg);
        world_make(w, 0, 0, cases[i].state, V1);
        g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(0)), ==, 0);
        cxl_cache_run(w->home);
        world_expect(w, cases[i].messages);
        g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
        world_free(w);
    }
}

static void test_t67(void)
{
    static const unsigned ops[] = {
        RD_CURR, RD_OWN, RD_SHARED, RD_ANY, RD_OWN_NO_DATA, I_TO_M_WR, WR_CUR,
        CL_FLUSH, CLEAN_EVICT, DIRTY_EVICT, CLEAN_EVICT_ND, WO_WR_INV_F, WR_INV,
    };
    WorldConfig cfg = world_config(2);
    unsigned i, done = 0, n;
    World *w;

    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        cfg.link.depth[i] = 1;
    }
    cfg.no_log = true;
    cfg.ram_lines = 8;
    w = world_new(&cfg);
    for (i = 0; done < 100000; i++) {
        n = world_below(w, 8);
        done += world_ask(w, i % 2, ops[world_below(w, ARRAY_SIZE(ops))], n, V1,
                          ALL) >= 0;
        if (i % 4 == 0) {
            done += world_host_ask(w, world_below(w, 4), n, V2, ALL) == 0;
        }
        world_random_step(w);
        world_random_step(w);
        if (i % 64 == 0) {
            world_check_always(w);
        }
    }
    world_random_run(w);
    world_check_quiet(w);
    world_free(w);

    /* No credit for requests left: a snoop is answered all the same (O13). */
    cfg.no_log = false;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 0, RD_OWN, 1, 0, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 0, RD_OWN, 2, 0, ALL), ==, -EAGAIN);
    g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, 0, 0, 0), ==, 0);
    world_must(w, 0, CXL_CACHE_H2D_REQ);
    world_must(w, 0, CXL_CACHE_D2H_RSP);
    world_must(w, 0, CXL_CACHE_D2H_DATA);
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_cmphex(value_of(&w->done[0]), ==, V1);
    g_assert_nonnull(cxl_cache_link_peek(w->link[0], CXL_CACHE_D2H_REQ));
    cxl_cache_run(w->home);
    world_clear(w);
    world_free(w);
}

static void test_t68(void)
{
    WorldConfig cfg = world_config(1);
    unsigned n;
    World *w;

    cfg.link.depth[CXL_CACHE_H2D_REQ] = 1;
    w = world_new(&cfg);
    for (n = 0; n < 3; n++) {
        world_make(w, 0, n, CXL_CACHE_M, V1 + n);
    }
    w->link[0]->hold_credits = true;
    for (n = 0; n < 3; n++) {
        g_assert_cmpint(world_host_ask(w, CXL_CACHE_HOST_READ, n, 0, 0), ==, 0);
    }
    world_random_run(w);
    /* One snoop went; its credit has not come back, nothing else moves. */
    g_assert_cmpuint(w->num_done, ==, 1);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 2);
    g_assert_false(cxl_cache_home_tx(w->home));
    for (n = 1; n < 3; n++) {
        g_assert_cmpuint(cxl_cache_link_return_credits(w->link[0],
                                                       CXL_CACHE_H2D_REQ), ==,
                         1);
        world_random_run(w);
        g_assert_cmpuint(w->num_done, ==, n + 1);
    }
    for (n = 0; n < 3; n++) {
        g_assert_cmphex(value_of(&w->done[n]), ==, V1 + n);
    }
    world_clear(w);
    world_free(w);
}

static void test_t69(void)
{
    WorldConfig cfg = world_config(1);
    CXLCacheReq req = { .opcode = RD_CURR };
    g_autofree bool *used = g_new0(bool, CXL_CACHE_ID_MAX);
    World *w;
    int i, ret, trackers;

    cfg.dev.requests = CXL_CACHE_ID_MAX;
    cfg.link.depth[CXL_CACHE_D2H_REQ] = CXL_CACHE_ID_MAX;
    for (trackers = 2; trackers <= CXL_CACHE_ID_MAX; trackers *= 2048) {
        cfg.home.transactions = trackers;
        w = world_new(&cfg);
        memset(used, 0, CXL_CACHE_ID_MAX);
        for (i = 0; i < CXL_CACHE_ID_MAX; i++) {
            req.line = world_line(i % 64);
            ret = cxl_cache_dev_request(w->dev[0], &req);
            g_assert_cmpint(ret, >=, 0);
            g_assert_cmpint(ret, <, CXL_CACHE_ID_MAX);
            g_assert_false(used[ret]);
            used[ret] = true;
        }
        g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &req), ==, -EAGAIN);
        g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[0]), ==,
                         CXL_CACHE_ID_MAX);
        cxl_cache_run(w->home);
        g_assert_cmpuint(w->num_done, ==, CXL_CACHE_ID_MAX);
        g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &req), >=, 0);
        cxl_cache_run(w->home);
        world_clear(w);
        world_free(w);
    }
}

static bool poisoned(World *w, unsigned n)
{
    CXLCacheLineData data;
    bool poison;

    g_assert_true(cxl_cache_dev_read(w->dev[0], world_line(n), &data, &poison));
    return poison;
}

static void test_t70(void)
{
    WorldConfig cfg = world_config(2);
    CXLCacheLineData data = world_data(V1);
    WorldDone *done;
    World *w;

    cfg.home.pull_clean = true;
    cfg.home.forward_dirty = true;
    w = world_new(&cfg);
    w->ram[0].poison = w->ram[1].poison = w->ram[2].poison = true;
    done = world_do(w, 0, RD_OWN, 0, 0);
    g_assert_true(done->d.poison);
    g_assert_true(poisoned(w, 0));
    world_take_errors(w, 0);
    world_expect(w, "0.RdOwn 0.GO-E 0.down:poison");
    g_assert_true(cxl_cache_dev_write(w->dev[0], world_line(0), &data, 0xff));
    g_assert_true(poisoned(w, 0));
    /* Owner to owner, and back home */
    done = world_do(w, 1, RD_OWN, 0, 0);
    g_assert_true(done->d.poison);
    world_take_errors(w, 1);
    world_expect(w, "1.RdOwn 0.SnpInv 0.RspIFwdM 0.up:poison 1.GO-M "
                 "1.down:poison");
    world_do(w, 1, DIRTY_EVICT, 0, 0);
    world_take_errors(w, WORLD_HOST);
    world_expect(w, "1.DirtyEvict 1.GO_WritePull 1.up:poison");
    g_assert_true(w->ram[0].poison);

    /* A whole line of new data is good again. */
    world_do(w, 0, RD_OWN, 1, 0);
    world_take_errors(w, 0);
    world_store(w, 0, 1, V2);
    g_assert_false(poisoned(w, 1));
    world_clear(w);
    world_do(w, 0, DIRTY_EVICT, 1, 0);
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up");
    g_assert_false(w->ram[1].poison);

    /* A clean line's poison goes nowhere but is not lost either. */
    world_do(w, 0, RD_OWN, 2, 0);
    world_do(w, 0, CLEAN_EVICT, 2, 0);
    world_take_errors(w, 0);
    world_expect(w, "0.RdOwn 0.GO-E 0.down:poison 0.CleanEvict "
                 "0.GO_WritePull 0.up:poison");
    g_assert_true(w->ram[2].poison);
    done = world_host(w, CXL_CACHE_HOST_READ, 2, 0);
    g_assert_true(done->h.poison);
    world_do_be(w, 0, WR_INV, 2, V1, 0xff);
    g_assert_true(w->ram[2].poison);
    world_do(w, 0, WR_INV, 2, V1);
    g_assert_false(w->ram[2].poison);
    world_take_errors(w, WORLD_HOST);
    world_clear(w);

    /* Data that a device knows to be bad */
    g_assert_cmpint(cxl_cache_dev_request(w->dev[0], &(CXLCacheReq) {
                        .opcode = I_TO_M_WR, .line = world_line(3), .be = ALL,
                        .data = &data, .poison = true }), >=, 0);
    cxl_cache_run(w->home);
    g_assert_true(w->ram[3].poison);
    world_take_errors(w, WORLD_HOST);
    world_clear(w);
    world_free(w);
}

/* Memory that refuses a write only when it is to be written */
/* ---- Cache IDs ---- */

static World *world_256b(unsigned devs)
{
    WorldConfig cfg = world_config(devs);

    cfg.link.flit = CXL_CACHE_FLIT_256B;
    return world_new(&cfg);
}

/*
 * A device that no Cache ID leads to gets no line and changes nothing: memory
 * is there, and is not asked. The others go on.
 */
static void test_unrouted(void)
{
    static const struct {
        unsigned opcode;
        const char *messages;
        bool ones;
    } cases[] = {
        { RD_CURR, "1.RdCurr 1.down:err", true },
        { RD_OWN, "1.RdOwn 1.GO-X 1.down:err", true },
        { RD_SHARED, "1.RdShared 1.GO-X 1.down:err", true },
        { RD_ANY, "1.RdAny 1.GO-X 1.down:err", true },
        { RD_OWN_NO_DATA, "1.RdOwnNoData 1.GO-X", false },
        { CL_FLUSH, "1.CLFlush 1.GO-X", false },
        { I_TO_M_WR, "1.ItoMWr 1.GO_ERR_WritePull 1.up", false },
        { WR_CUR, "1.WrCur 1.GO_ERR_WritePull 1.up", false },
        { WR_INV, "1.WrInv 1.WritePull 1.up 1.GO-X", false },
        { WO_WR_INV_F, "1.WOWrInvF 1.GO_ERR_WritePull 1.up 1.ExtCmp", false },
    };
    World *w = world_256b(2);
    WorldDone *done;
    unsigned i;

    world_make(w, 0, 5, CXL_CACHE_M, V2);
    cxl_cache_link_set_route(w->link[1], CXL_CACHE_UNROUTED);
    g_assert_cmpint(cxl_cache_link_route(w->link[1]), ==, CXL_CACHE_UNROUTED);
    for (i = 0; i < ARRAY_SIZE(cases); i++) {
        done = world_do(w, 1, cases[i].opcode, 5, V1);
        g_assert_true(done->d.failed);
        g_assert_cmpint(done->d.state, ==, CXL_CACHE_I);
        if (cases[i].ones) {
            g_assert_cmphex(value_of(done), ==, WORLD_ONES);
        }
        world_expect_error(w, WORLD_HOST, CXL_CACHE_ERR_DECODE);
        world_expect(w, cases[i].messages);
        g_assert_cmphex(tracks(w, 5), ==, 1);
        g_assert_cmpuint(w->link[1]->stats->aborted, ==, i + 1);
    }
    g_assert_cmpint(w->writes, ==, 0);
    g_assert_cmphex(world_load(w, 0, 5), ==, V2);
    g_assert_cmpuint(w->link[0]->stats->aborted, ==, 0);

    /* What only tells the host something is taken. */
    world_do(w, 1, CACHE_FLUSHED, 0, 0);
    world_expect(w, "1.CacheFlushed 1.GO-I");
    g_assert_cmpuint(w->link[1]->stats->aborted, ==, i);

    /* And an evict, should there be one */
    cxl_cache_link_set_route(w->link[1], 7);
    world_make(w, 1, 6, CXL_CACHE_M, V1);
    cxl_cache_link_set_route(w->link[1], CXL_CACHE_UNROUTED);
    world_do(w, 1, DIRTY_EVICT, 6, 0);
    world_expect(w, "1.DirtyEvict 1.GO_WritePull 1.up");
    g_assert_cmphex(world_ram(w, 6), ==, V1);
    g_assert_cmpuint(w->link[1]->stats->aborted, ==, i);

    cxl_cache_link_set_route(w->link[1], 7);
    done = world_do(w, 1, RD_OWN, 5, 0);
    g_assert_cmphex(value_of(done), ==, V2);
    g_assert_cmpuint(world_last(w, 1, CXL_CACHE_D2H_REQ)->msg.cache_id, ==, 7);
    world_expect(w, "1.RdOwn 0.SnpInv 0.RspIFwdM 0.up 1.GO-E 1.down");
    world_do(w, 1, CLEAN_EVICT_ND, 5, 0);
    world_clear(w);
    world_free(w);
}

/* Each message has its device's ID, if its header has one, and 0 if not. */
static void test_cache_id_carried(void)
{
    World *w = world_256b(3);
    unsigned seen[CXL_CACHE_NUM_CHANNELS] = { };
    unsigned i;

    for (i = 0; i < 3; i++) {
        cxl_cache_link_set_route(w->link[i], 15 - i);
    }
    for (i = 0; i < 3; i++) {
        world_do(w, i, RD_OWN, 3, 0);
        world_store(w, i, 3, V1 + i);
    }
    world_do(w, 2, DIRTY_EVICT, 3, 0);
    for (i = 0; i < w->num_sent; i++) {
        const WorldSent *sent = &w->sent[i];
        CXLCacheHeader header;
        CXLCacheMsg back;
        bool has = sent->channel != CXL_CACHE_D2H_RSP &&
                   sent->channel != CXL_CACHE_D2H_DATA;

        g_assert_cmpuint(sent->msg.cache_id, ==, has ? 15 - sent->dev : 0);
        cxl_cache_pack(sent->channel, CXL_CACHE_FLIT_256B, &sent->msg,
                       &header);
        g_assert_true(cxl_cache_unpack(sent->channel, CXL_CACHE_FLIT_256B,
                                       &header, &back));
        g_assert_cmpuint(back.cache_id, ==, sent->msg.cache_id);
        seen[sent->channel]++;
    }
    for (i = 0; i < CXL_CACHE_NUM_CHANNELS; i++) {
        g_assert_cmpuint(seen[i], >, 0);
    }
    world_clear(w);
    world_free(w);
}

/* ---- Limits ---- */

static unsigned held(World *w, unsigned dev)
{
    unsigned n = 0;

    for (unsigned i = 0; i < w->cfg.ram_lines; i++) {
        n += world_state(w, dev, i) != CXL_CACHE_I;
    }
    return n;
}

/* A device that has its quota loses a line of its own for each new one. */
static void test_quota(void)
{
    CXLCacheLimits limits = { .quota = 3 };
    const CXLCacheHomeStats *stats;
    World *w = world(2);
    unsigned i;

    stats = cxl_cache_home_stats(w->home);
    for (i = 0; i < 4; i++) {
        world_make(w, 1, 8 + i, CXL_CACHE_S, 0);
    }
    cxl_cache_home_set_limits(w->home, 0, &limits);
    for (i = 0; i < 3; i++) {
        world_make(w, 0, i, CXL_CACHE_M, V1 + i);
    }
    g_assert_cmpuint(stats->limited[0], ==, 0);
    for (; i < 7; i++) {
        world_make(w, 0, i, CXL_CACHE_M, V1 + i);
        g_assert_cmpuint(held(w, 0), ==, 3);
        g_assert_cmpuint(stats->limited[0], ==, i - 2);
        g_assert_cmpuint(stats->lost_to[0][0], ==, i - 2);
    }
    /* What was taken is in memory. */
    for (i = 0; i < 7; i++) {
        if (world_state(w, 0, i) == CXL_CACHE_I) {
            g_assert_cmphex(world_ram(w, i), ==, V1 + i);
        } else {
            g_assert_cmphex(world_load(w, 0, i), ==, V1 + i);
        }
    }
    g_assert_cmpuint(held(w, 1), ==, 4);
    g_assert_cmpuint(stats->lost_to[1][0], ==, 0);

    /* One line goes for one request, however often that is looked at. */
    world_ask(w, 0, RD_SHARED, 14, 0, CXL_CACHE_BE_ALL);
    for (i = 0; i < 3; i++) {
        g_assert_false(cxl_cache_home_rx(w->home, 0, CXL_CACHE_D2H_REQ));
        g_assert_cmpuint(stats->limited[0], ==, 5);
    }
    cxl_cache_run(w->home);
    world_clear(w);
    g_assert_cmpint(world_state(w, 0, 14), ==, CXL_CACHE_S);
    g_assert_cmpuint(held(w, 0), ==, 3);

    /* What is used once, and what it has, take no room. */
    world_do(w, 0, RD_CURR, 12, 0);
    world_do(w, 0, I_TO_M_WR, 12, V2);
    world_clear(w);
    g_assert_cmpuint(held(w, 0), ==, 3);
    g_assert_cmpuint(stats->limited[0], ==, 5);

    /* Less than it has: it comes down to that. */
    limits.quota = 1;
    cxl_cache_home_set_limits(w->home, 0, &limits);
    g_assert_cmpuint(held(w, 0), ==, 3);
    world_do(w, 0, RD_SHARED, 13, 0);
    world_clear(w);
    g_assert_cmpuint(held(w, 0), ==, 1);
    g_assert_cmpint(world_state(w, 0, 13), ==, CXL_CACHE_S);

    limits.quota = 0;
    cxl_cache_home_set_limits(w->home, 0, &limits);
    g_assert_false(w->home->limits);
    for (i = 0; i < 6; i++) {
        world_make(w, 0, i, CXL_CACHE_S, 0);
    }
    g_assert_cmpuint(held(w, 0), ==, 7);
    world_free(w);
}

/* Devices of one group share its room; those of another have theirs. */
static void test_groups(void)
{
    CXLCacheLimits one = { .group = 1, .group_size = 4 };
    CXLCacheLimits two = { .group = 2, .group_size = 2 };
    const CXLCacheHomeStats *stats;
    World *w = world(3);
    unsigned i;

    stats = cxl_cache_home_stats(w->home);
    cxl_cache_home_set_limits(w->home, 0, &one);
    cxl_cache_home_set_limits(w->home, 1, &one);
    cxl_cache_home_set_limits(w->home, 2, &two);
    world_make(w, 0, 0, CXL_CACHE_S, 0);
    world_make(w, 1, 1, CXL_CACHE_S, 0);
    /* A line that both have is one. */
    world_make(w, 0, 2, CXL_CACHE_S, 0);
    world_make(w, 1, 2, CXL_CACHE_S, 0);
    world_make(w, 1, 3, CXL_CACHE_S, 0);
    g_assert_cmpuint(w->home->group_lines[1], ==, 4);
    g_assert_cmpuint(stats->limited[0] + stats->limited[1], ==, 0);
    for (i = 4; i < 12; i++) {
        world_make(w, 1, i, CXL_CACHE_S, 0);
        g_assert_cmpuint(w->home->group_lines[1], ==, 4);
    }
    g_assert_cmpuint(stats->limited[1], ==, 8);
    /* The one that does not ask has lost what it had. */
    g_assert_cmpuint(held(w, 0), ==, 0);
    g_assert_cmpuint(stats->lost_to[0][1], ==, 2);
    g_assert_cmpuint(held(w, 1), ==, 4);

    for (i = 0; i < 5; i++) {
        world_make(w, 2, i, CXL_CACHE_E, 0);
    }
    g_assert_cmpuint(held(w, 2), ==, 2);
    g_assert_cmpuint(w->home->group_lines[2], ==, 2);
    g_assert_cmpuint(held(w, 1), ==, 4);
    g_assert_cmpuint(stats->lost_to[1][2], ==, 0);
    world_free(w);
}

static void test_t71(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    w->ram[0].decode = CXL_CACHE_MEM_READ;
    world_do(w, 0, DIRTY_EVICT, 0, 0);
    g_assert_cmpint(w->err_count[CXL_CACHE_ERR_DECODE], >=, 1);
    g_assert_cmpuint(world_take_errors(w, WORLD_HOST), >=, 1);
    g_assert_cmpuint(cxl_cache_home_stats(w->home)->errors[
                         CXL_CACHE_ERR_DECODE], >=, 1);
    world_expect(w, "0.DirtyEvict 0.GO_ERR_WritePull 0.up");
    g_assert_cmphex(world_ram(w, 0), ==, WORLD_V0);
    g_assert_cmpint(w->writes, ==, 0);
    g_assert_cmpint(world_state(w, 0, 0), ==, CXL_CACHE_I);
    g_assert_cmpuint(cxl_cache_home_open(w->home), ==, 0);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    world_free(w);
}

static void test_t72(void)
{
    World *w = world(2);
    unsigned op, n;

    for (n = 0; n < 3; n++) {
        world_make(w, 0, n, CXL_CACHE_M, V1 + n);
    }
    g_assert_cmpint(world_ask(w, 0, WR_INV, 9, V3, ALL), >=, 0);
    g_assert_cmpint(world_ask(w, 0, RD_OWN, 10, 0, ALL), >=, 0);
    cxl_cache_dev_set_viral(w->dev[0], true);
    cxl_cache_run(w->home);
    g_assert_cmpuint(w->num_done, ==, 2);
    g_assert_cmphex(world_ram(w, 9), ==, V3);
    for (op = RD_CURR; op < CACHE_FLUSHED; op++) {
        if (world_op_name(CXL_CACHE_D2H_REQ, op) &&
            (op < CLEAN_EVICT || op > CLEAN_EVICT_ND)) {
            g_assert_cmpint(world_ask(w, 0, op, 20, V1,
                                      op == WO_WR_INV ? 1 : ALL), ==, -EIO);
        }
    }
    world_clear(w);
    g_assert_cmphex(value_of(world_host(w, CXL_CACHE_HOST_READ, 0, 0)), ==, V1);
    g_assert_cmphex(value_of(world_do(w, 1, RD_OWN, 1, 0)), ==, V1 + 1);
    g_assert_cmpint(cxl_cache_dev_evict(w->dev[0], world_line(2)), ==, 0);
    cxl_cache_run(w->home);
    g_assert_cmphex(world_ram(w, 2), ==, V1 + 2);
    world_clear(w);
    cxl_cache_dev_set_viral(w->dev[0], false);
    world_do(w, 0, RD_OWN, 20, 0);
    world_clear(w);
    world_free(w);
}

/* Disable_Caching: nothing cacheable any more, everything else goes on */
static void test_caching_off(void)
{
    World *w = world(1);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    cxl_cache_dev_set_caching(w->dev[0], false);
    g_assert_cmpint(world_ask(w, 0, RD_OWN, 1, 0, ALL), ==, -EPERM);
    g_assert_cmpint(world_ask(w, 0, RD_SHARED, 1, 0, ALL), ==, -EPERM);
    g_assert_cmpint(world_ask(w, 0, RD_ANY, 1, 0, ALL), ==, -EPERM);
    g_assert_cmpint(world_ask(w, 0, RD_OWN_NO_DATA, 1, 0, ALL), ==, -EPERM);
    world_do(w, 0, RD_CURR, 1, 0);
    world_do(w, 0, WR_INV, 1, V2);
    world_do(w, 0, I_TO_M_WR, 2, V2);
    world_clear(w);
    while (cxl_cache_dev_flush(w->dev[0])) {
        cxl_cache_run(w->home);
    }
    world_expect(w, "0.DirtyEvict 0.GO_WritePull 0.up 0.CacheFlushed 0.GO-I");
    g_assert_cmphex(world_ram(w, 0), ==, V1);
    cxl_cache_dev_set_caching(w->dev[0], true);
    world_do(w, 0, RD_OWN, 1, 0);
    world_clear(w);
    world_free(w);
}

/* Link down: what the device may have owned is poisoned, the rest is not. */
static void test_isolate(void)
{
    World *w = world(2);

    world_make(w, 0, 0, CXL_CACHE_M, V1);
    world_make(w, 0, 1, CXL_CACHE_E, 0);
    world_make(w, 0, 2, CXL_CACHE_S, 0);
    world_make(w, 1, 2, CXL_CACHE_S, 0);
    world_make(w, 1, 3, CXL_CACHE_M, V2);
    world_make(w, 0, 5, CXL_CACHE_M, V1);
    g_assert_cmpint(world_ask(w, 1, RD_OWN, 5, 0, ALL), >=, 0);
    world_must(w, 1, CXL_CACHE_D2H_REQ);
    g_assert_cmpint(world_ask(w, 0, WR_INV, 6, V1, ALL), >=, 0);
    world_must(w, 0, CXL_CACHE_D2H_REQ);
    world_monitor_free(w->monitor);
    w->monitor = NULL;
    g_assert_cmpuint(cxl_cache_home_isolate(w->home, 0), >=, 2);
    cxl_cache_dev_reset(w->dev[0]);
    cxl_cache_run(w->home);
    w->num_errors = 0;
    g_assert_true(w->ram[0].poison);
    g_assert_true(w->ram[1].poison);
    g_assert_false(w->ram[2].poison);
    g_assert_false(w->ram[3].poison);
    g_assert_true(w->ram[6].poison);
    g_assert_cmphex(tracks(w, 0), ==, 0);
    g_assert_cmphex(tracks(w, 2), ==, 2);
    /* The other one's read has ended, with poison. */
    g_assert_cmpuint(cxl_cache_dev_outstanding(w->dev[1]), ==, 0);
    g_assert_cmphex(world_load(w, 1, 3), ==, V2);
    world_clear(w);
    g_assert_true(w->ram[5].poison);
    world_check_quiet(w);
    world_free(w);
}

/* What the largest filter and cache cost before anything is in them */

static long resident_pages(void)
{
    g_autofree char *text = NULL;
    long size, resident;

    if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL) ||
        sscanf(text, "%ld %ld", &size, &resident) != 2) {
        return -1;
    }
    return resident;
}

static void test_large_resident(void)
{
    WorldConfig cfg = world_config(1);
    long before = resident_pages(), after;
    World *w;

    if (before < 0) {
        g_test_skip("needs /proc");
        return;
    }
    cfg.home.sf_lines = 1 << 26;
    cfg.home.sf_ways = 16;
    cfg.dev.size = 1 << 28;
    cfg.dev.ways = 16;
    w = world_new(&cfg);
    world_make(w, 0, 0, CXL_CACHE_M, V1);
    cxl_cache_home_reset(w->home);
    cxl_cache_dev_reset(w->dev[0]);
    after = resident_pages();
    /* Of 512 MiB of filter, 32 of tags, 256 of data; sanitizers add to it. */
    g_assert_cmpint(after - before, <, (100 << 20) / 4096);
    world_clear(w);
    world_free(w);
}

/* Flush, isolation, reset: entries looked at, by entries that there are */
static void test_large_walks(void)
{
    WorldConfig cfg = world_config(2);
    const uint64_t *walked;
    uint64_t before;
    World *w;

    cfg.home.sf_lines = 1 << 24;
    cfg.home.sf_ways = 16;
    w = world_new(&cfg);
    walked = &cxl_cache_home_stats(w->home)->sf_walked;
    world_make(w, 0, 0, CXL_CACHE_E, V1);
    world_make(w, 0, 9, CXL_CACHE_S, V1);
    world_make(w, 1, 5, CXL_CACHE_M, V2);
    /* A device that forgets its lines in silence: the filter has them still. */
    g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(0)));
    g_assert_true(cxl_cache_dev_drop(w->dev[0], world_line(9)));
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 3);
    world_do(w, 0, CXL_CACHE_CACHE_FLUSHED, 0, 0);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 1);
    g_assert_cmpuint(*walked, >=, 1);
    g_assert_cmpuint(*walked, <=, 2 * 512);
    /* What it had since is gone, by snoops: nobody looks. */
    world_make(w, 0, 3, CXL_CACHE_E, V1);
    world_host(w, CXL_CACHE_HOST_FLUSH, 3, 0);
    before = *walked;
    world_do(w, 0, CXL_CACHE_CACHE_FLUSHED, 0, 0);
    g_assert_cmpuint(*walked, ==, before);
    g_assert_cmpuint(cxl_cache_home_isolate(w->home, 1), ==, 1);
    g_assert_cmpuint(cxl_cache_home_tracked(w->home), ==, 0);
    g_assert_cmpuint(*walked - before, <=, 512);
    before = *walked;
    cxl_cache_home_reset(w->home);
    g_assert_cmpuint(*walked, ==, before);
    cxl_cache_dev_reset(w->dev[1]);
    world_clear(w);
    world_free(w);
}

/* AddressSanitizer asks: out of memory, it is to return NULL as others do. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* More than there is memory for: an error, no crash */
static void test_too_large(void)
{
    CXLCacheHomeConfig cfg = world_config(1).home;
    struct rlimit old, low;

    g_assert_cmpint(getrlimit(RLIMIT_AS, &old), ==, 0);
    low = old;
    low.rlim_cur = 1 << 20;
    cfg.sf_lines = 1 << 30;
    cfg.sf_ways = 16;
    g_assert_cmpint(setrlimit(RLIMIT_AS, &low), ==, 0);
    g_assert_null(cxl_cache_home_new(&cfg, NULL, NULL));
    g_assert_cmpint(setrlimit(RLIMIT_AS, &old), ==, 0);
}

/* The documentation's tables are the code's. */

static char *docs_path(void)
{
    static const char name[] = "docs/system/devices/cxl-cache-tables.rst";
    const char *dir = g_getenv("G_TEST_SRCDIR");

#ifdef CXL_CACHE_SOURCE_ROOT
    return g_build_filename(CXL_CACHE_SOURCE_ROOT, name, NULL);
#endif
    if (dir) {
        return g_build_filename(dir, "..", "..", name, NULL);
    }
    /* As QEMU's own unit tests are run: from the build folder. */
    g_autofree char *here = g_path_get_dirname(__FILE__);

    return g_build_filename(here, "..", "..", name, NULL);
}

static void test_docs(void)
{
    g_autoptr(GString) want = cxl_cache_rst();
    g_autofree char *path = docs_path(), *have = NULL;
    g_autoptr(GError) err = NULL;

    g_assert_cmpuint(want->len, >, 4000);
    g_file_get_contents(path, &have, NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(have, ==, want->str);
}

static const struct {
    const char *name;
    void (*fn)(void);
} tests[] = {
    { "msg/opcodes", test_opcodes },
    { "msg/names", test_names },
    { "msg/header-fields", test_header_fields },
    { "msg/header-round-trip", test_header_round_trip },
    { "msg/header-reserved", test_header_reserved },
    { "tables/docs", test_docs },
    { "dev/every-state", test_every_state },
    { "dev/legal-states", test_legal_states },
    { "dev/overlap", test_overlap },
    { "dev/bad-arguments", test_bad_arguments },
    { "dev/yield", test_yield },
    { "dev/stage", test_stage },
    { "T01-rdcurr-cold", test_t01 },
    { "T02-rdcurr-modified-elsewhere", test_t02 },
    { "T03-rdshared", test_t03 },
    { "T04-rdown", test_t04 },
    { "T05-rdown-modified-elsewhere", test_t05 },
    { "T06-rdany", test_t06 },
    { "T07-rdownnodata", test_t07 },
    { "T08-rdownnodata-partial", test_t08 },
    { "T09-rdownnodata-given-up", test_t09 },
    { "T10-itomwr", test_t10 },
    { "T11-wrcur", test_t11 },
    { "T12-clflush", test_t12 },
    { "T13-cleanevict", test_t13 },
    { "T14-dirtyevict", test_t14 },
    { "T15-cleanevictnodata", test_t15 },
    { "T16-wrinv-partial", test_t16 },
    { "T17-wrinv-nothing", test_t17 },
    { "T18-wowrinv", test_t18 },
    { "T19-cacheflushed", test_t19 },
    { "T19-flush", test_flush },
    { "T20-unmapped", test_t20_unmapped },
    { "T20-rom", test_t20_rom },
    { "T20-use-once", test_use_once },
    { "T21-reserved-opcodes", test_t21 },
    { "dev/illegal-answers", test_illegal_answers },
    { "T37-snpinv-dirtyevict", test_t37 },
    { "T38-snpinv-cleanevict", test_t38 },
    { "T39-snpdata-dirtyevict", test_t39 },
    { "T40-snpcur-dirtyevict", test_t40 },
    { "T41-snoop-between-go-and-data", test_t41 },
    { "T42-snoop-before-go", test_t42 },
    { "T43-snpinv-cleanevictnodata", test_t43 },
    { "T44-two-rdown", test_t44 },
    { "T45-host-stores", test_t45 },
    { "T46-sum", test_t46 },
    { "T47-two-lines", test_t47 },
    { "T48-monitor", test_t48_monitor },
    { "T48-snoop-pushes-go", test_t48_spg },
    { "T48-home", test_t48_home },
    { "T65-snoop-filter-full", test_t65 },
    { "T66-cache-full", test_t66 },
    { "T66-clean-evict", test_clean_evict },
    { "T67-one-credit", test_t67 },
    { "T68-no-snoop-credit", test_t68 },
    { "T69-no-cqid", test_t69 },
    { "T70-poison", test_t70 },
    { "T71-go-err-writepull", test_t71 },
    { "T72-viral", test_t72 },
    { "limits/quota", test_quota },
    { "limits/groups", test_groups },
    { "id/unrouted", test_unrouted },
    { "id/carried", test_cache_id_carried },
    { "dev/caching-off", test_caching_off },
    { "home/isolate", test_isolate },
    { "large/resident", test_large_resident },
    { "large/walks", test_large_walks },
    { "large/no-memory", test_too_large },
};

static void add_matrix(void)
{
    static const char *const snoops[] = { "snpdata", "snpinv", "snpcur" };
    static const char *const states[] = { "I", "S", "E", "M", "transient" };
    unsigned i;

    for (i = 0; i < 15; i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/T%u-%s-%s", i + 22,
                                                snoops[i / 5], states[i % 5]);

        g_test_add_data_func(name, GUINT_TO_POINTER(i + 22), test_matrix);
    }
}

int main(int argc, char **argv)
{
    unsigned i;

    if (argc == 2 && !strcmp(argv[1], "--print-tables")) {
        g_autoptr(GString) text = cxl_cache_rst();

        fputs(text->str, stdout);
        return 0;
    }
    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(tests); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/%s", tests[i].name);

        g_test_add_func(name, tests[i].fn);
    }
    add_matrix();
    for (i = 0; i < ARRAY_SIZE(litmus); i++) {
        g_autofree char *name = g_strdup_printf("/cxl-cache/%s",
                                                litmus[i].name);

        g_test_add_data_func(name, &litmus[i], test_litmus);
    }
    return g_test_run();
}
