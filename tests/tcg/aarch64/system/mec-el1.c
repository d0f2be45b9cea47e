/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC at Realm EL1&0, with and without stage 2: cases 23-29 and 45.
 * As in mec-el2.c the expectation is the table, written from the rules.
 */

#include "mec-rt.h"

#define CODE_VA  0x80000000UL
#define CODE0_VA 0x80001000UL   /* the same page, for EL0 */
#define DATA_VA  0x80002000UL
/* Intermediate addresses: 1 GiB of RAM as it is, and again with AMEC=1 */
#define RAM      0x40000000UL
#define AMEC_IPA 0xc0000000UL
#define DATA_IPA 0x100000000UL

enum { C0, VP, VA, P0, A0, N_CTX, NSPAS };

static const uint16_t id[N_CTX] = {
    [C0] = 0, [VP] = 0x0505, [VA] = 0xa0a6, [P0] = 0x1001, [A0] = 0x2002,
};

#define NO_EMEC     1
#define NO_SCTLR2   2
#define NO_TCR2     4
#define NO_MECEN    8

static const struct row {
    uint8_t number;
    const char *rule;
    uint8_t el;
    bool s1, s2, dc;
    uint8_t off;
    bool s1_b63;            /* descriptor bit 63 at stage 1 */
    bool amec, ns;          /* of the data at stage 2 */
    bool code_amec;         /* of the code at stage 2 */
    uint8_t data, code, walk;
} rows[] = {
    /*                      el s1 s2 dc off       63 am ns ca data   code wlk */
    { 23, "R_YSNHS",        1, 0, 0, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 23, "R_YSNHS",        1, 1, 0, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 23, "R_HDGTR",        1, 0, 0, 0, NO_EMEC,   0, 0, 0, 0, C0,    C0, C0 },
    { 23, "R_HDGTR",        1, 1, 0, 0, NO_EMEC,   0, 0, 0, 0, C0,    C0, C0 },
    { 23, "SCTLR2En",       1, 1, 0, 0, NO_SCTLR2, 0, 0, 0, 0, C0,    C0, C0 },
    { 23, "MECEn",          1, 1, 0, 0, NO_MECEN,  0, 0, 0, 0, C0,    C0, C0 },
    { 24, "R_XMTZH",        1, 0, 1, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 24, "R_XMTZH",        1, 0, 1, 0, 0,         0, 1, 0, 0, VA,    VP, VP },
    { 24, "R_XMTZH",        1, 1, 1, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 24, "R_XMTZH",        1, 1, 1, 0, 0,         0, 1, 0, 0, VA,    VP, VP },
    { 24, "no TCR2 enable", 1, 1, 1, 0, NO_TCR2,   0, 1, 0, 0, VA,    VP, VP },
    { 24, "code VMECID_A",  1, 1, 1, 0, 0,         0, 0, 0, 1, VP,    VA, VP },
    { 24, "R_HDGTR",        1, 1, 1, 0, NO_EMEC,   0, 1, 0, 1, C0,    C0, C0 },
    { 24, "MECEn",          1, 1, 1, 0, NO_MECEN,  0, 1, 0, 1, C0,    C0, C0 },
    { 25, "R_DQZTR",        1, 1, 1, 0, 0,         0, 1, 1, 0, NSPAS, VP, VP },
    { 25, "R_DQZTR",        1, 0, 1, 0, 0,         0, 0, 1, 0, NSPAS, VP, VP },
    { 26, "S1 bit 63",      1, 1, 0, 0, 0,         1, 0, 0, 0, VP,    VP, VP },
    { 26, "S1 bit 63",      1, 1, 1, 0, 0,         1, 0, 0, 0, VP,    VP, VP },
    { 26, "S1 bit 63",      1, 1, 1, 0, 0,         1, 1, 0, 0, VA,    VP, VP },
    { 27, "EL0",            0, 1, 0, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 27, "EL0",            0, 1, 1, 0, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 27, "EL0",            0, 1, 1, 0, 0,         0, 1, 0, 0, VA,    VP, VP },
    { 27, "EL0",            0, 1, 1, 0, 0,         0, 1, 0, 1, VA,    VA, VP },
    { 28, "HCR_EL2.DC",     1, 0, 1, 1, 0,         0, 0, 0, 0, VP,    VP, VP },
    { 28, "HCR_EL2.DC",     1, 0, 1, 1, 0,         0, 1, 0, 0, VA,    VP, VP },
    { 28, "HCR_EL2.DC",     1, 0, 1, 1, 0,         0, 1, 1, 0, NSPAS, VP, VP },
};

static void write_ids(void)
{
    wr(MECID_P0_EL2, 0);        /* the agent at EL2 is context 0 */
    wr(MECID_A0_EL2, id[A0]);
    wr(MECID_P1_EL2, id[P0]);
    wr(MECID_A1_EL2, id[A0]);
    wr(VMECID_P_EL2, id[VP]);
    wr(VMECID_A_EL2, id[VA]);
    isb();
}

struct setup {
    struct mec_tt s1, s2;
    struct mec_world w;
    uint64_t data;          /* physical */
    uint64_t va, agent;     /* as EL1 sees them */
    uint64_t el;
};

static void set_up(struct setup *s, const struct row *r)
{
    uint64_t agent = mec_agent_page(id[r->code]), ipa;

    *s = (struct setup) {
        .data = mec_page(), .el = r->el ? EL1 : EL0,
        .w.scr = mec_scr(WORLD_REALM),
        .w.hcr = HCR_RW | (r->dc ? HCR_DC : r->s2 ? HCR_VM : 0),
        .w.sctlr2_el2 = r->off & NO_EMEC ? 0 : SCTLR2_EMEC,
        .w.vbar_el2 = mec_agent_page(0),
        .w.sctlr_el1 = SCTLR_C | SCTLR_I | (r->s1 ? SCTLR_M : 0),
        .w.tcr_el1 = MEC_TCR_E2H1 | MEC_BIT(23),    /* EPD1 */
        .w.vtcr = MEC_VTCR,
    };
    s->w.scr &= ~((r->off & NO_SCTLR2 ? SCR_SCTLR2EN : 0) |
                  (r->off & NO_TCR2 ? SCR_TCR2EN : 0) |
                  (r->off & NO_MECEN ? SCR_MECEN : 0));
    ipa = r->s2 ? DATA_IPA : s->data;
    if (r->s2) {
        mec_tt_init(&s->s2, WIN_REALM, id[r->walk]);
        mec_map(&s->s2, RAM, RAM, 1, PTE_S2);
        mec_map(&s->s2, AMEC_IPA, RAM, 1, PTE_S2 | PTE_AMEC);
        mec_map(&s->s2, DATA_IPA, s->data, 3, PTE_S2 |
                (r->amec ? PTE_AMEC : 0) | (r->ns ? S2_NS : 0));
        s->w.vttbr = s->s2.root | (1UL << 48);
        if (r->code_amec) {
            agent += AMEC_IPA - RAM;
        }
    }
    s->agent = agent;
    s->va = ipa;
    if (r->s1) {
        mec_tt_init(&s->s1, WIN_REALM, id[r->walk]);
        mec_map(&s->s1, CODE_VA, agent, 3, PTE_S1);
        mec_map(&s->s1, CODE0_VA, agent, 3, PTE_S1 | PTE_USER | PTE_RO);
        mec_map(&s->s1, DATA_VA, ipa, 3, PTE_S1 |
                (r->el ? 0 : PTE_USER) | (r->s1_b63 ? PTE_AMEC : 0));
        s->w.ttbr0_el1 = s->s1.root;
        s->va = DATA_VA;
        s->agent = r->el ? CODE_VA : CODE0_VA;
    }
    s->w.vbar_el1 = r->s1 ? CODE_VA : s->agent;
    mec_load_world(&s->w);
    write_ids();
    mec_tlbi();
}

#define ROW_CHECK(r, cond, ...) ({ \
        bool good_ = MEC_CHECK(cond, __VA_ARGS__); \
        if (!good_) { \
            ml_printf("#   row %d: case %d %s\n", (int)((r) - rows), \
                      (r)->number, (r)->rule); \
        } \
        good_; })

static void check_context(const struct row *row, struct setup *s)
{
    unsigned c, want = row->data == NSPAS ? C0 : row->data;
    uint64_t x = mec_value(), seen;
    struct mec_regs r;
    enum mec_end end;

    end = mec_op(&r, s->el, s->agent, OP(st64), s->va, x, 0);
    if (!ROW_CHECK(row, end == END_DONE,
                   "store: end %d ESR_EL1 0x%lx ESR_EL2 0x%lx FAR_EL2 0x%lx",
                   end, r.esr1, r.esr2, r.far2)) {
        return;
    }
    for (c = 0; c < N_CTX; c++) {
        seen = mec_r(id[c], s->data);
        ROW_CHECK(row, c == want ? seen == x : mec_differ(seen, x),
                  "store is %s context %x", c == want ? "not in" : "in",
                  id[c]);
    }
    if (row->data == NSPAS) {
        ROW_CHECK(row, mec_rw(WIN_NS, s->data) == x, "store is not NS");
    }
    for (c = 0; c < N_CTX; c++) {
        x = mec_value();
        mec_w(id[c], s->data + 8 * c, x);
        end = mec_op(&r, s->el, s->agent, OP(ld64), s->va + 8 * c, 0, 0);
        if (!ROW_CHECK(row, end == END_DONE, "load: end %d", end)) {
            return;
        }
        ROW_CHECK(row, c == want ? r.x[0] == x : mec_differ(r.x[0], x),
                  "load %s context %x", c == want ? "does not read" : "reads",
                  id[c]);
    }
}

/* An access to a page that only Non-secure accesses may touch. */
static void check_space(const struct row *row, struct setup *s)
{
    struct mec_regs r;
    enum mec_end end;

    mec_gpt_on(s->data);
    end = mec_op(&r, s->el, s->agent, OP(ld64), s->va, 0, 0);
    mec_gpt_off();
    if (row->data == NSPAS) {
        ROW_CHECK(row, end == END_DONE, "not Non-secure: end %d", end);
    } else {
        ROW_CHECK(row, end == END_FAULT1 && ESR_FSC(r.esr1) == FSC_GPF,
                  "not Realm: end %d ESR 0x%lx 0x%lx", end, r.esr1, r.esr2);
    }
}

static void table_case(int number, const char *what)
{
    struct setup s;
    unsigned i;

    mec_case(number, what);
    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].number == number) {
            set_up(&s, &rows[i]);
            check_context(&rows[i], &s);
            check_space(&rows[i], &s);
        }
    }
    mec_done();
}

/* Stages off: VMECID_P is all there is, for code and data alike. */
static void vmecid_change(void)
{
    static const struct row off = { .el = 1, .data = VP, .code = VP };
    uint64_t agent[2], el2, x[2];
    uint16_t m[2] = { 0x31, 0x32 };
    struct mec_regs r;
    struct setup s;
    enum mec_end end;
    unsigned i;

    mec_case(29, "VMECID_P_EL2 written at EL2: EL1 sees it without a TLBI");
    set_up(&s, &off);
    el2 = s.w.vbar_el2;
    for (i = 0; i < 2; i++) {
        agent[i] = mec_agent_page(m[i]);
        x[i] = mec_value();
    }
    for (i = 0; i < 8; i++) {
        unsigned k = i & 1;

        end = mec_op(&r, EL2, el2, OP(msr_vp), m[k], 0, 0);
        MEC_CHECK(end == END_DONE, "EL2: end %d", end);
        wr(vbar_el1, agent[k]);
        isb();
        if (i < 2) {
            end = mec_op(&r, EL1, agent[k], OP(st64), s.data + 8 * k, x[k], 0);
            MEC_CHECK(end == END_DONE, "store: end %d", end);
        }
        end = mec_op(&r, EL1, agent[k], OP(ld64), s.data + 8 * k, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x[k], "round %d: own", i);
        end = mec_op(&r, EL1, agent[k], OP(ld64), s.data + 8 * !k, 0, 0);
        MEC_CHECK(end == END_DONE && mec_differ(r.x[0], x[!k]),
                  "round %d: the other's", i);
    }
    mec_done();
}

/*
 * Two worlds with equal VMID, and the same intermediate address for the
 * stage-1 table: each has its own table there. Without TLB maintenance
 * between them, as entries of different security states never match.
 */
static void world_switch(void)
{
    static const struct { uint64_t world; enum mec_win win; } v[] = {
        { WORLD_NS, WIN_NS }, { WORLD_REALM, WIN_REALM },
    };
    const uint64_t table_ipa = 0x100200000UL;
    struct mec_world w[2];
    uint64_t x[2], data[2], agent = mec_agent_page(0);
    struct mec_regs r;
    enum mec_end end;
    unsigned i;

    mec_case(45, "equal VMIDs: a Realm walk does not use NS stage 2");
    for (i = 0; i < 2; i++) {
        uint64_t block = mec_pages(512, 0x200000);
        struct mec_tt s2;

        data[i] = mec_page();
        x[i] = mec_value();
        mec_set(0);
        mec_ww(v[i].win, data[i], x[i]);
        mec_tt_init(&s2, v[i].win, 0);
        mec_map(&s2, RAM, RAM, 1, PTE_S2);
        mec_map(&s2, table_ipa, block, 2, PTE_S2);
        /* A level-1 table: the GiB of the agent, and one that differs. */
        mec_ww(v[i].win, block + 8, RAM | PTE_BLOCK | PTE_S1);
        mec_ww(v[i].win, block + 16, (table_ipa + 4096) | PTE_TABLE);
        mec_ww(v[i].win, block + 4096, (table_ipa + 8192) | PTE_TABLE);
        mec_ww(v[i].win, block + 8192, data[i] | PTE_PAGE | PTE_S1);
        w[i] = (struct mec_world) {
            .scr = mec_scr(v[i].world), .hcr = HCR_RW | HCR_VM,
            .vbar_el2 = agent, .vbar_el1 = agent,
            .sctlr_el1 = SCTLR_M | SCTLR_C | SCTLR_I,
            .tcr_el1 = MEC_TCR_E2H1 | MEC_BIT(23),
            .ttbr0_el1 = table_ipa, .vtcr = MEC_VTCR,
            .vttbr = s2.root | (1UL << 48),
        };
    }
    mec_load_world(&w[0]);
    mec_tlbi();
    for (i = 0; i < 6; i++) {
        /* Only what differs: other registers' writes could flush. */
        wr(scr_el3, w[i & 1].scr);
        isb();
        wr(vttbr_el2, w[i & 1].vttbr);
        isb();
        end = mec_op(&r, EL1, agent, OP(ld64), 0x80000000, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x[i & 1],
                  "%s: end %d, read 0x%lx, which is %s",
                  i & 1 ? "Realm" : "NS", end, r.x[0],
                  r.x[0] == x[!(i & 1)] ? "the other world's" : "unknown");
    }
    mec_done();
}

void mec_main(void)
{
    table_case(23, "R-EL1, stage 2 off: VMECID_P, stage 1 on and off");
    table_case(24, "stage 2: AMEC chooses VMECID_P or VMECID_A, no enable");
    table_case(25, "stage 2 NS=1: Non-secure whatever AMEC");
    table_case(26, "bit 63 of stage-1 descriptors of EL1 is ignored");
    table_case(27, "EL0 data and fetches: as EL1");
    table_case(28, "HCR_EL2.DC=1: the rules of stage 2");
    vmecid_change();
    world_switch();
}
