/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC at Realm EL2, E2H=0 and E2H=1: cases 8-22.
 *
 * What is expected stands in rows[], written from the rules and not from the
 * emulator: for each setting of the controls, the context of the data access,
 * of the agent's fetches and of the table walks.
 */

#include "mec-rt.h"

#define CODE_VA 0x80000000UL
#define DATA_VA 0x80001000UL
#define CODE0_VA 0x80002000UL   /* the same page as at CODE_VA, for EL0 */
#define BLOCK_VA 0x80200000UL
#define HIGH    0xffffff8000000000UL

/* Contexts, and what else an access can end in. */
enum { C0, P0, A0, P1, A1, N_CTX, FAULT, NSPAS };

static const uint16_t id[N_CTX] = {
    [C0] = 0, [P0] = 0x1001, [A0] = 0x2002, [P1] = 0x4003, [A1] = 0x8004,
};

/* Controls that are off in a row. */
#define NO_EMEC     1
#define NO_SCTLR2   2
#define NO_TCR2     4
#define NO_MECEN    8

static const struct row {
    uint8_t number;
    const char *rule;
    bool e2h, mmu;
    uint8_t off;            /* NO_x */
    uint8_t amecx;          /* TCR2_EL2.AMEC1:AMEC0 */
    bool a1;                /* TCR_EL2.A1 */
    bool high;              /* TTBR1 */
    bool amec, ns;          /* the descriptor's */
    uint8_t data, code, walk;
    bool el0;               /* at EL0, HCR_EL2.TGE=1 */
} rows[] = {
    /*                      e2h mmu off     amx a1 hi am ns  data   code walk */
    { 8, "R_FCSBF",         0, 0, 0,          0, 0, 0, 0, 0, P0,    P0, C0 },
    { 8, "R_FCSBF",         1, 0, 0,          0, 0, 0, 0, 0, P0,    P0, C0 },
    { 8, "R_FCSBF",         1, 0, 0,          3, 1, 0, 0, 0, P0,    P0, C0 },
    { 9, "R_CBJVF",         0, 0, NO_EMEC,    0, 0, 0, 0, 0, C0,    C0, C0 },
    { 9, "R_CBJVF",         0, 1, NO_EMEC,    1, 0, 0, 0, 0, C0,    C0, C0 },
    { 9, "R_CBJVF",         1, 1, NO_EMEC,    3, 0, 0, 0, 0, C0,    C0, C0 },
    { 9, "R_CBJVF",         1, 1, NO_EMEC,    3, 0, 1, 0, 0, C0,    C0, C0 },
    { 10, "SCTLR2En",       0, 0, NO_SCTLR2,  0, 0, 0, 0, 0, C0,    C0, C0 },
    { 10, "SCTLR2En",       0, 1, NO_SCTLR2,  1, 0, 0, 1, 0, C0,    C0, C0 },
    { 10, "SCTLR2En",       1, 1, NO_SCTLR2,  3, 1, 1, 1, 0, C0,    C0, C0 },
    { 11, "MECEn",          0, 0, NO_MECEN,   0, 0, 0, 0, 0, C0,    C0, C0 },
    { 11, "MECEn",          0, 1, NO_MECEN,   1, 0, 0, 0, 0, C0,    C0, C0 },
    { 11, "MECEn",          0, 1, NO_MECEN,   1, 0, 0, 1, 0, C0,    C0, C0 },
    { 11, "MECEn",          1, 1, NO_MECEN,   3, 0, 1, 0, 0, C0,    C0, C0 },
    { 11, "MECEn",          1, 1, NO_MECEN,   3, 0, 1, 1, 0, C0,    C0, C0 },
    { 12, "R_LZGSD",        0, 1, 0,          0, 0, 0, 0, 0, P0,    P0, P0 },
    { 12, "R_THGCP",        0, 1, 0,          1, 0, 0, 0, 0, P0,    P0, P0 },
    { 12, "R_THGCP",        0, 1, 0,          1, 0, 0, 1, 0, A0,    P0, P0 },
    { 12, "AMEC1 unused",   0, 1, 0,          3, 0, 0, 1, 0, A0,    P0, P0 },
    { 13, "R_THGCP",        1, 1, 0,          3, 0, 0, 0, 0, P0,    P0, P1 },
    { 13, "R_THGCP",        1, 1, 0,          3, 0, 0, 1, 0, A0,    P0, P1 },
    { 13, "R_WVKQV",        1, 1, 0,          3, 0, 1, 0, 0, P1,    P0, P1 },
    { 13, "R_MQHXQ",        1, 1, 0,          3, 0, 1, 1, 0, A1,    P0, P1 },
    { 13, "R_XBDTH",        1, 1, 0,          3, 1, 0, 0, 0, P0,    P0, P0 },
    { 13, "R_XBDTH",        1, 1, 0,          3, 1, 0, 1, 0, A0,    P0, P0 },
    { 13, "R_XBDTH",        1, 1, 0,          3, 1, 1, 0, 0, P1,    P0, P0 },
    { 13, "R_XBDTH",        1, 1, 0,          3, 1, 1, 1, 0, A1,    P0, P0 },
    { 13, "EL0, R_LZGSD",   1, 1, 0,          3, 1, 0, 0, 0, P0,    P0, P0, 1 },
    { 13, "EL0, R_THGCP",   1, 1, 0,          3, 1, 0, 1, 0, A0,    P0, P0, 1 },
    { 13, "EL0, R_WVKQV",   1, 1, 0,          3, 1, 1, 0, 0, P1,    P0, P0, 1 },
    { 13, "EL0, R_MQHXQ",   1, 1, 0,          3, 1, 1, 1, 0, A1,    P0, P0, 1 },
    { 13, "AMEC0 only",     1, 1, 0,          1, 0, 0, 1, 0, A0,    P0, P1 },
    { 13, "AMEC1 only",     1, 1, 0,          2, 0, 1, 1, 0, A1,    P0, P1 },
    { 14, "R_LZGSD",        0, 1, 0,          0, 0, 0, 1, 0, FAULT, P0, P0 },
    { 14, "R_LZGSD",        0, 1, 0,          2, 0, 0, 1, 0, FAULT, P0, P0 },
    { 14, "R_LZGSD",        1, 1, 0,          2, 0, 0, 1, 0, FAULT, P0, P1 },
    { 15, "R_WVKQV",        1, 1, 0,          1, 0, 1, 1, 0, FAULT, P0, P1 },
    { 15, "R_WVKQV",        1, 1, 0,          0, 1, 1, 1, 0, FAULT, P0, P0 },
    { 15, "EL0, R_WVKQV",   1, 1, 0,          1, 1, 1, 1, 0, FAULT, P0, P0, 1 },
    { 16, "AMEC, EMEC=0",   0, 1, NO_EMEC,    0, 0, 0, 1, 0, C0,    C0, C0 },
    { 16, "AMEC, EMEC=0",   1, 1, NO_EMEC,    0, 0, 0, 1, 0, C0,    C0, C0 },
    { 16, "AMEC, EMEC=0",   1, 1, NO_EMEC,    0, 0, 1, 1, 0, C0,    C0, C0 },
    { 17, "TCR2En",         0, 1, NO_TCR2,    1, 0, 0, 1, 0, FAULT, P0, P0 },
    { 17, "TCR2En",         1, 1, NO_TCR2,    3, 0, 1, 1, 0, FAULT, P0, P1 },
    { 17, "TCR2En",         1, 1, NO_TCR2,    3, 0, 1, 0, 0, P1,    P0, P1 },
    { 18, "R_XVLMT",        0, 1, 0,          0, 0, 0, 1, 1, NSPAS, P0, P0 },
    { 18, "R_XVLMT",        0, 1, 0,          1, 0, 0, 1, 1, NSPAS, P0, P0 },
    { 18, "R_XVLMT",        1, 1, 0,          0, 0, 1, 1, 1, NSPAS, P0, P1 },
    { 18, "R_XVLMT",        1, 1, 0,          3, 0, 1, 0, 1, NSPAS, P0, P1 },
};

static void write_ids(void)
{
    wr(MECID_P0_EL2, id[P0]);
    wr(MECID_A0_EL2, id[A0]);
    wr(MECID_P1_EL2, id[P1]);
    wr(MECID_A1_EL2, id[A1]);
    wr(VMECID_P_EL2, 0x0505);
    wr(VMECID_A_EL2, 0xa0a6);
    isb();
}

/* Tables, agent and a data page for a row. */
struct setup {
    struct mec_tt tt, tt1;
    struct mec_world w;
    uint64_t data, block;       /* physical */
    uint64_t va, agent;         /* virtual */
    uint64_t el;
};

static uint64_t data_flags(const struct row *r)
{
    return PTE_S1 | (r->amec ? PTE_AMEC : 0) | (r->ns ? PTE_NS : 0) |
           (r->el0 ? PTE_USER : 0);
}

static void set_up(struct setup *s, const struct row *r)
{
    static uint64_t block;
    struct mec_tt *tt = r->high ? &s->tt1 : &s->tt;
    uint64_t agent = mec_agent_page(id[r->code]);

    *s = (struct setup) { .data = mec_page(), .agent = CODE_VA };
    if (!block) {
        block = mec_pages(512, 0x200000);
    }
    s->block = block;
    s->w = (struct mec_world) {
        .scr = mec_scr(WORLD_REALM),
        .hcr = HCR_RW | (r->e2h ? HCR_E2H : 0) | (r->el0 ? HCR_TGE : 0),
        .sctlr2_el2 = r->off & NO_EMEC ? 0 : SCTLR2_EMEC,
        .tcr2_el2 = (uint64_t)r->amecx << 12,
        .sctlr_el2 = SCTLR_C | SCTLR_I | (r->mmu ? SCTLR_M : 0),
        .tcr_el2 = (r->e2h ? MEC_TCR_E2H1 : MEC_TCR_E2H0) |
                   (r->a1 ? TCR_A1 : 0),
    };
    s->w.scr &= ~((r->off & NO_SCTLR2 ? SCR_SCTLR2EN : 0) |
                  (r->off & NO_TCR2 ? SCR_TCR2EN : 0) |
                  (r->off & NO_MECEN ? SCR_MECEN : 0));
    if (r->mmu) {
        mec_tt_init(&s->tt, WIN_REALM, id[r->walk]);
        mec_tt_init(&s->tt1, WIN_REALM, id[r->walk]);
        mec_map(&s->tt, CODE_VA, agent, 3, PTE_S1);
        mec_map(&s->tt, CODE0_VA, agent, 3, PTE_S1 | PTE_USER | PTE_RO);
        mec_map(tt, DATA_VA, s->data, 3, data_flags(r));
        mec_map(tt, BLOCK_VA, s->block, 2, data_flags(r));
        s->w.ttbr0_el2 = s->tt.root;
        s->w.ttbr1_el2 = s->tt1.root;
        s->va = DATA_VA | (r->high ? HIGH : 0);
    } else {
        s->agent = agent;
        s->va = s->data;
    }
    s->w.vbar_el2 = s->agent;
    s->el = EL2;
    if (r->el0) {
        s->el = EL0;
        s->agent = CODE0_VA;
    }
    mec_load_world(&s->w);
    write_ids();
    mec_tlbi();
}

static void describe(const struct row *r)
{
    mec_fail();
    ml_printf("#   row %d: case %d %s e2h=%d mmu=%d off=%x amecx=%d a1=%d "
              "ttbr%d amec=%d ns=%d el0=%d\n", (int)(r - rows), r->number,
              r->rule, r->e2h, r->mmu, r->off, r->amecx, r->a1, r->high,
              r->amec, r->ns, r->el0);
}

#define ROW_CHECK(r, cond, ...) ({ \
        bool good_ = MEC_CHECK(cond, __VA_ARGS__); \
        if (!good_) { \
            describe(r); \
        } \
        good_; })

static void check_fault(const struct row *row, struct setup *s)
{
    struct mec_regs r;
    uint64_t high = row->high ? HIGH : 0;
    unsigned dabort = row->el0 ? EC_DABORT_LOW : EC_DABORT;
    unsigned iabort = row->el0 ? EC_IABORT_LOW : EC_IABORT;
    enum mec_end end;

    end = mec_op(&r, s->el, s->agent, OP(ld64), s->va + 8, 0, 0);
    ROW_CHECK(row, end == END_FAULT2 && ESR_EC(r.esr2) == dabort &&
              ESR_FSC(r.esr2) == FSC_TRANS(3) && !(r.esr2 & (1 << 6)) &&
              r.far2 == s->va + 8,
              "load of a page: end %d ESR 0x%lx FAR 0x%lx", end, r.esr2,
              r.far2);
    end = mec_op(&r, s->el, s->agent, OP(st64), s->va, 1, 0);
    ROW_CHECK(row, end == END_FAULT2 && ESR_EC(r.esr2) == dabort &&
              ESR_FSC(r.esr2) == FSC_TRANS(3) && (r.esr2 & (1 << 6)),
              "store to a page: end %d ESR 0x%lx", end, r.esr2);
    end = mec_op(&r, s->el, s->agent, OP(ld64), BLOCK_VA + 0x5008 + high, 0, 0);
    ROW_CHECK(row, end == END_FAULT2 && ESR_EC(r.esr2) == dabort &&
              ESR_FSC(r.esr2) == FSC_TRANS(2) &&
              r.far2 == BLOCK_VA + 0x5008 + high,
              "load of a block: end %d ESR 0x%lx FAR 0x%lx", end, r.esr2,
              r.far2);
    r = (struct mec_regs) { .elr = s->va + 0x40, .spsr = s->el };
    end = mec_run(&r);
    ROW_CHECK(row, end == END_FAULT2 && ESR_EC(r.esr2) == iabort &&
              ESR_FSC(r.esr2) == FSC_TRANS(3) && r.far2 == s->va + 0x40,
              "fetch of a page: end %d ESR 0x%lx FAR 0x%lx", end, r.esr2,
              r.far2);
    r = (struct mec_regs) { .elr = BLOCK_VA + high, .spsr = s->el };
    end = mec_run(&r);
    ROW_CHECK(row, end == END_FAULT2 && ESR_EC(r.esr2) == iabort &&
              ESR_FSC(r.esr2) == FSC_TRANS(2),
              "fetch of a block: end %d ESR 0x%lx", end, r.esr2);
}

static void check_context(const struct row *row, struct setup *s)
{
    uint64_t x = mec_value(), seen;
    struct mec_regs r;
    enum mec_end end;
    unsigned c, want = row->data == NSPAS ? C0 : row->data;

    end = mec_op(&r, s->el, s->agent, OP(st64), s->va, x, 0);
    if (!ROW_CHECK(row, end == END_DONE,
                   "store: end %d ESR 0x%lx FAR 0x%lx ELR 0x%lx", end,
                   r.esr2, r.far2, r.elr2)) {
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
        if (!ROW_CHECK(row, end == END_DONE, "load: end %d ESR 0x%lx", end,
                       r.esr2)) {
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
        ROW_CHECK(row, end == END_DONE, "not Non-secure: end %d ESR 0x%lx",
                  end, r.esr2);
    } else {
        ROW_CHECK(row, end == END_FAULT2 && ESR_FSC(r.esr2) == FSC_GPF,
                  "not Realm: end %d ESR 0x%lx", end, r.esr2);
    }
}

static void run_rows(int number)
{
    struct setup s;
    unsigned i;

    for (i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].number == number) {
            set_up(&s, &rows[i]);
            if (rows[i].data == FAULT) {
                check_fault(&rows[i], &s);
            } else {
                check_context(&rows[i], &s);
                check_space(&rows[i], &s);
            }
        }
    }
}

static void table_case(int number, const char *what)
{
    mec_case(number, what);
    run_rows(number);
    mec_done();
}

/* A world in which all is on: E2H=1, walks under P1 (A1=0). */
static const struct row all_on = {
    .e2h = true, .mmu = true, .amecx = 3, .data = P0, .code = P0, .walk = P1,
};

static void mecen_traps(void)
{
    static const uint16_t vals[] = { 0x111, 0x222, 0x333, 0x444 };
    struct setup s;
    struct mec_regs r;
    enum mec_end end;
    uint64_t ops[] = { OP(mrs_p0), OP(msr_p0), OP(mrs_a0), OP(msr_p1),
                       OP(mrs_a1), OP(mrs_vp), OP(msr_va) };
    struct row off = all_on;
    unsigned i;

    mec_case(11, "SCR_EL3.MECEn=0: EL2's MECIDs trap to EL3 and count as 0");
    run_rows(11);

    off.off = NO_MECEN;
    off.code = off.walk = C0;
    set_up(&s, &off);
    wr(MECID_P0_EL2, vals[0]);
    wr(MECID_A0_EL2, vals[1]);
    wr(MECID_P1_EL2, vals[2]);
    wr(MECID_A1_EL2, vals[3]);
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        end = mec_op(&r, EL2, s.agent, ops[i], 0x999, 0, 0);
        MEC_CHECK(end == END_EL3 && ESR_EC(r.esr3) == EC_SYSREG,
                  "access %d: end %d ESR_EL3 0x%lx", i, end, r.esr3);
    }
    MEC_CHECK(rd(MECID_P0_EL2) == vals[0] && rd(MECID_A0_EL2) == vals[1] &&
              rd(MECID_P1_EL2) == vals[2] && rd(MECID_A1_EL2) == vals[3],
              "EL3 reads other values than it wrote");

    /* Back on: the values that were kept count again, with no rewrite. */
    {
        uint64_t x = mec_value();

        s.agent = mec_agent_page(vals[0]);
        s.w.scr |= SCR_MECEN;
        s.w.sctlr_el2 &= ~SCTLR_M;
        s.w.vbar_el2 = s.agent;
        mec_load_world(&s.w);
        mec_tlbi();
        mec_w(vals[0], s.data, x);
        end = mec_op(&r, EL2, s.agent, OP(ld64), s.data, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x, "MECEn=1: end %d", end);
    }
    mec_done();
}

/* Four VAs to one page: what each writes, only it reads. */
static void cross_matrix(void)
{
    static const struct { uint64_t va, flags; uint8_t ctx; } v[] = {
        { 0x80010000, 0, P0 }, { 0x80011000, PTE_AMEC, A0 },
        { 0x80010000 | HIGH, 0, P1 }, { 0x80011000 | HIGH, PTE_AMEC, A1 },
    };
    struct setup s;
    struct mec_regs r;
    enum mec_end end;
    unsigned i, j;

    mec_case(13, "R-EL2&0: TTBR0 and TTBR1, AMEC 0 and 1: P0, A0, P1, A1");
    run_rows(13);
    set_up(&s, &all_on);
    for (i = 0; i < 4; i++) {
        mec_map(i < 2 ? &s.tt : &s.tt1, v[i].va, s.data, 3,
                PTE_S1 | v[i].flags);
    }
    mec_tlbi();
    for (i = 0; i < 4; i++) {
        uint64_t x = mec_value();

        end = mec_op(&r, EL2, s.agent, OP(st64), v[i].va, x, 0);
        MEC_CHECK(end == END_DONE, "store %d: end %d", i, end);
        for (j = 0; j < 4; j++) {
            end = mec_op(&r, EL2, s.agent, OP(ld64), v[j].va, 0, 0);
            MEC_CHECK(end == END_DONE &&
                      (i == j ? r.x[0] == x : mec_differ(r.x[0], x)),
                      "written through %d, read through %d", i, j);
        }
        MEC_CHECK(mec_r(id[v[i].ctx], s.data) == x, "VA %d from EL3", i);
    }
    /* RMM's slot: A1 set and cleared around an access, no TLBI. */
    {
        uint64_t x = mec_value(), y = mec_value();

        mec_w(0x77, s.data, x);
        mec_w(0x78, s.data + 8, y);
        end = mec_op(&r, EL2, s.agent, OP(a1_ld64), v[3].va, 0x77, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x, "slot under 0x77");
        end = mec_op(&r, EL2, s.agent, OP(a1_ld64), v[3].va + 8, 0x78, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == y, "slot under 0x78");
        end = mec_op(&r, EL2, s.agent, OP(a1_ld64), v[3].va, 0x78, 0);
        MEC_CHECK(end == END_DONE && mec_differ(r.x[0], x), "slot, mismatch");
    }
    mec_done();
}

/* The AMEC bit belongs to Realm: in NS and Secure EL2 bit 63 is software's. */
static void other_worlds(void)
{
    static const struct { uint64_t world; enum mec_win win; } v[] = {
        { WORLD_NS, WIN_NS }, { WORLD_SEC, WIN_SECURE },
    };
    unsigned i, e2h;

    mec_case(19, "EL2 of NS and Secure: bit 63 neither faults nor selects");
    for (i = 0; i < ARRAY_SIZE(v); i++) {
        for (e2h = 0; e2h < 2; e2h++) {
            uint64_t data = mec_page(), x = mec_value();
            uint64_t agent = mec_agent_page(0);
            struct mec_tt tt;
            struct mec_world w = {
                .scr = mec_scr(v[i].world),
                .hcr = HCR_RW | (e2h ? HCR_E2H : 0),
                .sctlr2_el2 = SCTLR2_EMEC,
                .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I,
                .tcr_el2 = e2h ? MEC_TCR_E2H1 : MEC_TCR_E2H0,
                .vbar_el2 = CODE_VA,
            };
            struct mec_regs r;
            enum mec_end end;

            mec_tt_init(&tt, v[i].win, 0);
            mec_map(&tt, CODE_VA, agent, 3, PTE_S1 | PTE_AMEC);
            mec_map(&tt, DATA_VA, data, 3, PTE_S1 | PTE_AMEC);
            w.ttbr0_el2 = tt.root;
            mec_load_world(&w);
            write_ids();
            mec_tlbi();
            end = mec_op(&r, EL2, CODE_VA, OP(st64), DATA_VA, x, 0);
            MEC_CHECK(end == END_DONE, "world %d: end %d ESR 0x%lx", i, end,
                      r.esr2);
            MEC_CHECK(mec_rw(v[i].win, data) == x, "world %d: lost", i);
            MEC_CHECK(mec_differ(mec_r(id[P0], data), x), "world %d: P0", i);
            MEC_CHECK(mec_differ(mec_r(id[A0], data), x), "world %d: A0", i);
        }
    }
    mec_done();
}

static void fault_priority(void)
{
    static const struct { const char *name; uint64_t pte; } v[] = {
        { "address size", 0xff0000000000 | PTE_S1 | PTE_AMEC },
        { "access flag", PTE_SH | PTE_AMEC },
        { "permission", PTE_S1 | PTE_RO | PTE_AMEC },
    };
    struct setup s;
    struct mec_regs r;
    struct row row = all_on;
    enum mec_end end;
    unsigned i;

    mec_case(20, "the AMEC fault comes before address size and access flag");
    row.amecx = 0;
    set_up(&s, &row);
    for (i = 0; i < ARRAY_SIZE(v); i++) {
        uint64_t va = 0x80020000 + i * 4096, pte;

        pte = v[i].pte & 0xff0000000000 ? v[i].pte : s.data | v[i].pte;
        mec_tt_write(&s.tt, mec_pte(&s.tt, va, 3), pte | PTE_PAGE);
        mec_tlbi();
        end = mec_op(&r, EL2, s.agent, OP(st64), va, 0, 0);
        MEC_CHECK(end == END_FAULT2 && ESR_FSC(r.esr2) == FSC_TRANS(3),
                  "with %s: end %d ESR 0x%lx", v[i].name, end, r.esr2);
        /* And without AMEC it is the other fault: the row is no dead one. */
        mec_tt_write(&s.tt, mec_pte(&s.tt, va, 3),
                     (pte | PTE_PAGE) & ~PTE_AMEC);
        mec_tlbi();
        end = mec_op(&r, EL2, s.agent, OP(st64), va, 0, 0);
        MEC_CHECK(end == END_FAULT2 && ESR_FSC(r.esr2) != FSC_TRANS(3),
                  "%s alone: end %d ESR 0x%lx", v[i].name, end, r.esr2);
    }
    mec_done();
}

static void address_translation(void)
{
    struct setup s;
    struct mec_regs r;
    struct row row = all_on;
    enum mec_end end;
    uint64_t x = mec_value();

    mec_case(21, "AT S1E2R/W: PAR_EL1 tells the AMEC fault; no other effect");
    row.amec = true;
    row.amecx = 2;
    set_up(&s, &row);
    end = mec_op(&r, EL2, s.agent, OP(at_s1e2r), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && (r.x[0] & 1) &&
              ((r.x[0] >> 1) & 0x3f) == FSC_TRANS(3),
              "S1E2R: end %d PAR 0x%lx", end, r.x[0]);
    end = mec_op(&r, EL2, s.agent, OP(at_s1e2w), BLOCK_VA, 0, 0);
    MEC_CHECK(end == END_DONE && (r.x[0] & 1) &&
              ((r.x[0] >> 1) & 0x3f) == FSC_TRANS(2),
              "S1E2W: end %d PAR 0x%lx", end, r.x[0]);

    row.amecx = 3;
    set_up(&s, &row);
    mec_w(9, s.data, x);
    end = mec_op(&r, EL2, s.agent, OP(at_s1e2w), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && !(r.x[0] & 1) &&
              (r.x[0] & 0xfffffff000) == s.data,
              "good address: PAR 0x%lx", r.x[0]);
    MEC_CHECK(mec_r(9, s.data) == x, "AT changed the page");
    MEC_CHECK(mec_differ(mec_r(id[A0], s.data), x), "AT gave it to A0");
    mec_done();
}

static void register_access(void)
{
    uint64_t ops[] = { OP(mrs_p0), OP(msr_p0), OP(mrs_a0), OP(msr_p1),
                       OP(mrs_vp), OP(msr_va) };
    uint64_t agent = mec_agent_page(0);
    struct mec_world w = {
        .scr = mec_scr(WORLD_NS), .hcr = HCR_RW,
        .vbar_el2 = agent, .vbar_el1 = agent,
    };
    struct mec_regs r;
    enum mec_end end;
    unsigned i;

    mec_case(22, "MECID registers at NS EL2 and EL1 are UNDEFINED; MECIDR");
    mec_load_world(&w);
    mec_tlbi();
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        end = mec_op(&r, EL2, agent, ops[i], 0, 0, 0);
        MEC_CHECK(end == END_FAULT2 && ESR_EC(r.esr2) == EC_UNKNOWN,
                  "NS EL2, %d: end %d ESR 0x%lx", i, end, r.esr2);
        end = mec_op(&r, EL1, agent, ops[i], 0, 0, 0);
        MEC_CHECK(end == END_FAULT1 && ESR_EC(r.esr1) == EC_UNKNOWN,
                  "NS EL1, %d: end %d ESR 0x%lx", i, end, r.esr1);
    }
    end = mec_op(&r, EL2, agent, OP(mrs_mecidr), 0, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == 0xf, "MECIDR at NS EL2: 0x%lx",
              r.x[0]);
    end = mec_op(&r, EL1, agent, OP(mrs_mecidr), 0, 0, 0);
    MEC_CHECK(end == END_FAULT1 && ESR_EC(r.esr1) == EC_UNKNOWN,
              "MECIDR at NS EL1: end %d", end);

    w.scr = mec_scr(WORLD_REALM);
    mec_load_world(&w);
    mec_tlbi();
    for (i = 0; i < ARRAY_SIZE(ops); i++) {
        end = mec_op(&r, EL1, agent, ops[i], 0, 0, 0);
        MEC_CHECK(end == END_FAULT1 && ESR_EC(r.esr1) == EC_UNKNOWN,
                  "Realm EL1, %d: end %d ESR 0x%lx", i, end, r.esr1);
    }
    mec_done();
}

void mec_main(void)
{
    table_case(8, "R-EL2, MMU off: MECID_P0_EL2");
    table_case(9, "R-EL2, EMEC=0: MECID 0");
    table_case(10, "R-EL2, SCR_EL3.SCTLR2En=0: EMEC is ignored");
    mecen_traps();
    table_case(12, "R-EL2, E2H=0: AMEC chooses P0 or A0");
    cross_matrix();
    table_case(14, "AMEC=1, AMEC0=0: Translation fault, page, block, fetch");
    table_case(15, "AMEC=1, AMEC1=0: Translation fault through TTBR1");
    table_case(16, "AMEC=1, EMEC=0: no fault, MECID 0");
    table_case(17, "SCR_EL3.TCR2En=0: AMEC0 and AMEC1 are ignored");
    table_case(18, "AMEC=1, NS=1: no fault, Non-secure access");
    other_worlds();
    fault_priority();
    address_translation();
    register_access();
}
