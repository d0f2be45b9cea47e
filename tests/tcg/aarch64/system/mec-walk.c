/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC and translation table walks: cases 30-34.
 */

#include "mec-rt.h"

#define HIGH     0xffffff8000000000UL
#define CODE_VA  0x80000000UL
#define DATA_VA  0x80001000UL
#define RAM      0x40000000UL
#define AMEC_IPA 0xc0000000UL
#define DATA_IPA 0x100000000UL

#define PAR_F(par)  ((par) & 1)
#define PAR_PA(par) ((par) & 0xfffffff000UL)

/* AT at EL3 walks the regime of the world in SCR_EL3: no code of it runs. */
#define AT(op, va) ({ \
        asm volatile("at " op ", %0; isb" : : "r" (va) : "memory"); \
        rd(par_el1); })

static struct mec_world el2_world(uint64_t root0, uint64_t root1)
{
    return (struct mec_world) {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | HCR_E2H,
        .sctlr2_el2 = SCTLR2_EMEC, .tcr2_el2 = TCR2_AMEC0 | TCR2_AMEC1,
        .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I, .tcr_el2 = MEC_TCR_E2H1,
        .ttbr0_el2 = root0, .ttbr1_el2 = root1, .vbar_el2 = CODE_VA,
    };
}

static struct mec_world el1_world(uint64_t ttbr0, uint64_t vttbr)
{
    return (struct mec_world) {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | (vttbr ? HCR_VM : 0),
        .sctlr2_el2 = SCTLR2_EMEC, .vbar_el2 = mec_agent_page(0),
        .sctlr_el1 = SCTLR_M | SCTLR_C | SCTLR_I,
        .tcr_el1 = MEC_TCR_E2H1 | MEC_BIT(23), .vtcr = MEC_VTCR,
        .ttbr0_el1 = ttbr0, .vttbr = vttbr ? vttbr | 1UL << 48 : 0,
        .vbar_el1 = CODE_VA,
    };
}

static void set_ids(uint16_t p0, uint16_t a0, uint16_t p1, uint16_t a1,
                    uint16_t vp, uint16_t va)
{
    wr(MECID_P0_EL2, p0);
    wr(MECID_A0_EL2, a0);
    wr(MECID_P1_EL2, p1);
    wr(MECID_A1_EL2, a1);
    wr(VMECID_P_EL2, vp);
    wr(VMECID_A_EL2, va);
    isb();
}

/*
 * R_XBDTH: of R-EL2&0 both ranges are walked under one MECID, P0 if
 * TCR_EL2.A1 is set and P1 if not. RMM sets A1 and so walks under P0 = 0.
 */
static void el2_walks(void)
{
    struct mec_tt lo, hi;
    struct mec_world w;
    struct mec_regs r;
    enum mec_end end;
    uint64_t data = mec_page(), x = mec_value(), par;
    unsigned a1;

    mec_case(30, "R-EL2&0 walks: P0 if TCR_EL2.A1, else P1, for both TTBRs");
    for (a1 = 0; a1 < 2; a1++) {
        mec_tt_init(&lo, WIN_REALM, 0);
        mec_tt_init(&hi, WIN_REALM, 0);
        /* Code and data are AMEC=1: their contexts stay when P0, P1 move. */
        mec_map(&lo, CODE_VA, mec_agent_page(5), 3, PTE_S1 | PTE_AMEC);
        mec_map(&lo, DATA_VA, data, 3, PTE_S1 | PTE_AMEC);
        mec_map(&hi, DATA_VA | HIGH, data, 3, PTE_S1 | PTE_AMEC);
        w = el2_world(lo.root, hi.root);
        w.tcr_el2 |= a1 ? TCR_A1 : 0;
        mec_load_world(&w);
        set_ids(a1 ? 0 : 7, 5, a1 ? 7 : 0, 6, 0, 0);
        mec_tlbi();
        mec_w(5, data, x);
        end = mec_op(&r, EL2, CODE_VA, OP(ld64), DATA_VA, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x, "A1=%d: end %d", a1, end);
        mec_w(6, data, x);
        end = mec_op(&r, EL2, CODE_VA, OP(ld64), DATA_VA | HIGH, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x, "A1=%d, TTBR1: end %d", a1,
                  end);

        /* The register that does not count may hold anything. */
        set_ids(a1 ? 0 : 9, 5, a1 ? 9 : 0, 6, 0, 0);
        mec_tlbi();
        par = AT("s1e2r", DATA_VA);
        MEC_CHECK(!PAR_F(par) && PAR_PA(par) == data, "A1=%d: PAR 0x%lx", a1,
                  par);
        /* The one that counts may not. */
        set_ids(a1 ? 9 : 0, 5, a1 ? 0 : 9, 6, 0, 0);
        mec_tlbi();
        par = AT("s1e2r", DATA_VA);
        MEC_CHECK(PAR_F(par) || PAR_PA(par) != data,
                  "A1=%d: walked all the same, PAR 0x%lx", a1, par);
        par = AT("s1e2r", DATA_VA | HIGH);
        MEC_CHECK(PAR_F(par) || PAR_PA(par) != data,
                  "A1=%d, TTBR1: walked all the same, PAR 0x%lx", a1, par);
        /* Not even the vectors can be fetched: only the watchdog ends it. */
        end = mec_op(&r, EL2, CODE_VA, OP(ld64), DATA_VA, 0, 0);
        MEC_CHECK(end != END_DONE || r.x[0] != x, "A1=%d: ran", a1);

        set_ids(a1 ? 0 : 9, 5, a1 ? 9 : 0, 6, 0, 0);
        mec_tlbi();
        mec_w(5, data, x);
        end = mec_op(&r, EL2, CODE_VA, OP(ld64), DATA_VA, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x, "A1=%d, again: end %d", a1,
                  end);
    }
    mec_done();
}

/* Stage 1 and 2 of EL1&0, all under context m but for code and data. */
struct guest {
    struct mec_tt s1, s2;
    struct mec_world w;
    uint64_t data;
};

static void make_guest(struct guest *g, uint16_t s1_mecid, uint16_t s2_mecid,
                       uint64_t s1_bias, uint16_t code_mecid)
{
    uint64_t agent = mec_agent_page(code_mecid);

    g->data = mec_page();
    mec_tt_init(&g->s2, WIN_REALM, s2_mecid);
    mec_map(&g->s2, RAM, RAM, 1, PTE_S2);
    mec_map(&g->s2, AMEC_IPA, RAM, 1, PTE_S2 | PTE_AMEC);
    mec_map(&g->s2, DATA_IPA, g->data, 3, PTE_S2);
    mec_tt_init(&g->s1, WIN_REALM, s1_mecid);
    g->s1.bias = s1_bias;
    mec_map(&g->s1, CODE_VA, agent, 3, PTE_S1);
    mec_map(&g->s1, DATA_VA, DATA_IPA, 3, PTE_S1);
    g->w = el1_world(g->s1.root + s1_bias, g->s2.root);
    mec_load_world(&g->w);
}

static void s2_walks(void)
{
    static const uint16_t n[] = { 0, 1, 0x22, 0x8000, 0xffff };
    struct guest g;
    struct mec_regs r;
    enum mec_end end;
    uint64_t x = mec_value();
    unsigned i;

    mec_case(31, "stage-2 walks: VMECID_P; garbage tables abort to R-EL2");
    make_guest(&g, 0x23, 0x23, 0, 0x23);
    set_ids(0, 0, 0, 0, 0x23, 0x24);
    mec_tlbi();
    mec_w(0x23, g.data, x);
    end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == x, "end %d ESR 0x%lx", end, r.esr2);
    for (i = 0; i < ARRAY_SIZE(n); i++) {
        set_ids(0, 0, 0, 0, n[i], 0x24);
        mec_tlbi();
        end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
        MEC_CHECK(end == END_FAULT2 && (ESR_EC(r.esr2) == EC_IABORT_LOW ||
                                        ESR_EC(r.esr2) == EC_DABORT_LOW),
                  "VMECID_P 0x%x: end %d ESR 0x%lx", n[i], end, r.esr2);
    }
    set_ids(0, 0, 0, 0, 0x23, 0x24);
    mec_tlbi();
    end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == x, "again: end %d", end);
    mec_done();
}

static void s1_walks(void)
{
    struct guest g;
    struct mec_regs r;
    enum mec_end end;
    uint64_t x = mec_value();

    mec_case(32, "stage-1 walks: what stage 2 says for the table's page");
    /* Tables in pages with stage-2 AMEC=1: VMECID_A; stage 2's: VMECID_P. */
    make_guest(&g, 0x24, 0x23, AMEC_IPA - RAM, 0x23);
    set_ids(0, 0, 0, 0, 0x23, 0x24);
    mec_tlbi();
    mec_w(0x23, g.data, x);
    end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == x,
              "AMEC=1: end %d ESR_EL1 0x%lx ESR_EL2 0x%lx", end, r.esr1,
              r.esr2);
    set_ids(0, 0, 0, 0, 0x23, 0x25);
    mec_tlbi();
    {
        uint64_t par = AT("s12e1r", DATA_VA);

        MEC_CHECK(PAR_F(par) || PAR_PA(par) != g.data,
                  "walked under another VMECID_A, PAR 0x%lx", par);
    }
    /* And with AMEC=0, VMECID_A is not asked. */
    make_guest(&g, 0x23, 0x23, 0, 0x23);
    set_ids(0, 0, 0, 0, 0x23, 0x25);
    mec_tlbi();
    mec_w(0x23, g.data, x);
    end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == x, "AMEC=0: end %d", end);
    mec_done();
}

/*
 * The table's page was last written by another context (its unused end), so
 * that the hardware's update meets a page that is not resident for the walk.
 */
static void dirty_updates(void)
{
    const uint64_t pte_flags = PTE_SH | PTE_DBM | PTE_RO;   /* AF=0, clean */
    struct mec_tt tt;
    struct mec_world w;
    struct mec_regs r;
    struct guest g;
    enum mec_end end;
    uint64_t data = mec_page(), x = mec_value(), y = mec_value(), pte, want;
    uint64_t before;

    mec_case(33, "hardware updates of AF and dirty state: the walk's MECID");
    mec_tt_init(&tt, WIN_REALM, 0x61);
    mec_map(&tt, CODE_VA, mec_agent_page(5), 3, PTE_S1 | PTE_AMEC);
    mec_map(&tt, DATA_VA, data, 3, pte_flags | PTE_AMEC);
    pte = mec_pte(&tt, DATA_VA, 3);
    w = el2_world(tt.root, tt.root);
    w.tcr_el2 |= TCR_E2H1_HA | TCR_E2H1_HD;
    mec_load_world(&w);
    set_ids(0x60, 5, 0x61, 5, 0, 0);
    mec_w(5, data, x);
    before = data | pte_flags | PTE_AMEC | PTE_PAGE;
    MEC_CHECK(mec_tt_read(&tt, pte) == before, "set-up");

    mec_w(0x62, (pte & ~0xfffUL) + 0xff8, y);
    mec_tlbi();
    end = mec_op(&r, EL2, CODE_VA, OP(ld64), DATA_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == x, "load: end %d ESR 0x%lx", end,
              r.esr2);
    want = before | PTE_AF;
    MEC_CHECK(mec_tt_read(&tt, pte) == want, "AF: 0x%lx, not 0x%lx",
              mec_tt_read(&tt, pte), want);
    MEC_CHECK(mec_r(0x62, (pte & ~0xfffUL) + 0xff8) == y, "other bytes");

    mec_w(0x62, (pte & ~0xfffUL) + 0xff0, y);
    mec_tlbi();
    end = mec_op(&r, EL2, CODE_VA, OP(st64), DATA_VA, y, 0);
    MEC_CHECK(end == END_DONE, "store: end %d ESR 0x%lx", end, r.esr2);
    want &= ~PTE_RO;
    MEC_CHECK(mec_tt_read(&tt, pte) == want, "dirty: 0x%lx, not 0x%lx",
              mec_tt_read(&tt, pte), want);
    MEC_CHECK(mec_r(0x62, (pte & ~0xfffUL) + 0xff0) == y, "other bytes");
    MEC_CHECK(mec_r(5, data) == y, "the store");

    /* Stage 2: AF, and S2AP[1] by DBM. */
    make_guest(&g, 0x23, 0x23, 0, 0x23);
    g.w.vtcr |= MEC_BIT(21) | MEC_BIT(22);
    mec_load_world(&g.w);
    set_ids(0, 0, 0, 0, 0x23, 0x24);
    pte = mec_pte(&g.s2, DATA_IPA, 3);
    before = g.data | PTE_PAGE | PTE_SH | S2_WB | MEC_BIT(6) | PTE_DBM;
    mec_tt_write(&g.s2, pte, before);
    mec_w(0x62, (pte & ~0xfffUL) + 0xff8, y);
    mec_tlbi();
    end = mec_op(&r, EL1, CODE_VA, OP(st64), DATA_VA, x, 0);
    MEC_CHECK(end == END_DONE, "stage 2: end %d ESR 0x%lx", end, r.esr2);
    want = before | PTE_AF | MEC_BIT(7);
    MEC_CHECK(mec_tt_read(&g.s2, pte) == want, "stage 2: 0x%lx, not 0x%lx",
              mec_tt_read(&g.s2, pte), want);
    MEC_CHECK(mec_r(0x62, (pte & ~0xfffUL) + 0xff8) == y, "other bytes");
    MEC_CHECK(mec_r(0x23, g.data) == x, "the store");
    /* And no plain text of it in the context that wrote last. */
    MEC_CHECK(mec_differ(mec_r(0x62, pte), want), "0x62 reads the table");
    mec_done();
}

static void rekeyed_table(void)
{
    struct guest g;
    struct mec_regs r;
    enum mec_end end;
    uint64_t x = mec_value(), s1, s2;
    unsigned i;

    mec_case(34, "a table page re-keyed between two walks walks the same");
    make_guest(&g, 0x23, 0x23, 0, 0x23);
    set_ids(0, 0, 0, 0, 0x23, 0x24);
    s1 = mec_pte(&g.s1, DATA_VA, 3) & ~0xfffUL;
    s2 = mec_pte(&g.s2, DATA_IPA, 3) & ~0xfffUL;
    mec_w(0x23, g.data, x);
    for (i = 0; i < 6; i++) {
        mec_w(0x40 + i, (i & 1 ? s1 : s2) + 0xff8, x);
        if (i == 4) {
            mec_cipapa_page(s1 | PA_NS | PA_NSE);
            mec_cipapa_page(g.s2.root | PA_NS | PA_NSE);
        }
        mec_tlbi();
        end = mec_op(&r, EL1, CODE_VA, OP(ld64), DATA_VA, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == x,
                  "round %d: end %d ESR_EL1 0x%lx ESR_EL2 0x%lx", i, end,
                  r.esr1, r.esr2);
    }
    MEC_CHECK(mec_r(0x23, g.data) == x, "data");
    /* The descriptor is unreadable to those who wrote beside it. */
    MEC_CHECK(mec_differ(mec_r(0x45, mec_pte(&g.s1, DATA_VA, 3)),
                         DATA_IPA | PTE_S1 | PTE_PAGE), "0x45 reads it");
    mec_done();
}

void mec_main(void)
{
    el2_walks();
    s2_walks();
    s1_walks();
    dirty_updates();
    rekeyed_table();
}
