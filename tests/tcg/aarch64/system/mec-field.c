/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC: mistakes that the emulator has to report: cases 61 and 62.
 *
 * A line "# log CASE: TEXT" says what -d guest_errors has to have; who runs
 * this looks.
 */

#include "mec-rt.h"

#define CODE_VA  0x80000000UL
#define DATA_VA  0x80001000UL
#define RAM      0x40000000UL
#define AMEC_IPA 0xc0000000UL

#define GUEST    0x23       /* a realm's MECID, and that of its stage 2 */
#define TABLES   0x24       /* its stage 1 tables, by stage 2's AMEC */
#define WRONG    0x77
#define SECOND   0x32

#define AT(op, va) ({ \
        asm volatile("at " op ", %0; isb" : : "r" (va) : "memory"); \
        rd(par_el1); })

static void set_ids(uint16_t p1, uint16_t vp, uint16_t va)
{
    wr(MECID_P0_EL2, 0);
    wr(MECID_A0_EL2, 0);
    wr(MECID_P1_EL2, p1);
    wr(MECID_A1_EL2, 0);
    wr(VMECID_P_EL2, vp);
    wr(VMECID_A_EL2, va);
    isb();
    mec_tlbi();
}

static void want_walk(const char *what, uint64_t address, uint64_t pte,
                      unsigned mecid, const char *reg, unsigned writer)
{
    ml_printf("# log 61: walk for %s 0x%lx: level 1 descriptor at PA 0x%lx "
              "read with MECID %u (%s), written with MECID %u\n", what,
              address, pte, mecid, reg, writer);
}

/* Realm EL2 whose tables are in context 0, as RMM's are, walked by P1 */
static void el2_walk(void)
{
    struct mec_tt tt;
    struct mec_world w;

    mec_tt_init(&tt, WIN_REALM, 0);
    mec_map(&tt, DATA_VA, mec_page(), 3, PTE_S1);
    w = (struct mec_world) {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | HCR_E2H,
        .sctlr2_el2 = SCTLR2_EMEC,
        .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I, .tcr_el2 = MEC_TCR_E2H1,
        .ttbr0_el2 = tt.root, .ttbr1_el2 = tt.root, .vbar_el2 = CODE_VA,
    };
    mec_load_world(&w);
    set_ids(0, 0, 0);
    MEC_CHECK(!(AT("s1e2r", DATA_VA) & 1), "the right MECID faults");
    set_ids(WRONG, 0, 0);
    AT("s1e2r", DATA_VA);
    want_walk("VA", DATA_VA, mec_pte(&tt, DATA_VA, 1), WRONG, "MECID_P1_EL2",
              0);
}

static struct mec_world el1_world(struct mec_tt *s1, uint64_t bias,
                                  struct mec_tt *s2)
{
    return (struct mec_world) {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | (s2 ? HCR_VM : 0),
        .sctlr2_el2 = SCTLR2_EMEC, .vbar_el2 = mec_agent_page(0),
        .sctlr_el1 = SCTLR_M | SCTLR_C | SCTLR_I,
        .tcr_el1 = MEC_TCR_E2H1 | MEC_BIT(23), .vtcr = MEC_VTCR,
        .ttbr0_el1 = s1->root + bias,
        .vttbr = s2 ? s2->root | 1UL << 48 : 0,
        .vbar_el1 = CODE_VA,
    };
}

/* Stage 1 in pages that stage 2 gives VMECID_A, and stage 2 by VMECID_P */
static void el1_walks(void)
{
    uint64_t bias = AMEC_IPA - RAM, ipa;
    struct mec_tt s1, s2;
    struct mec_world w;

    mec_tt_init(&s2, WIN_REALM, GUEST);
    mec_map(&s2, RAM, RAM, 1, PTE_S2);
    mec_map(&s2, AMEC_IPA, RAM, 1, PTE_S2 | PTE_AMEC);
    mec_tt_init(&s1, WIN_REALM, TABLES);
    s1.bias = bias;
    mec_map(&s1, DATA_VA, mec_page(), 3, PTE_S1);
    w = el1_world(&s1, bias, &s2);
    mec_load_world(&w);
    set_ids(0, GUEST, TABLES);
    MEC_CHECK(!(AT("s12e1r", DATA_VA) & 1), "the right MECIDs fault");
    set_ids(0, GUEST, WRONG);
    AT("s12e1r", DATA_VA);
    want_walk("VA", DATA_VA, mec_pte(&s1, DATA_VA, 1), WRONG, "VMECID_A_EL2",
              TABLES);
    set_ids(0, WRONG, TABLES);
    AT("s12e1r", DATA_VA);
    ipa = mec_pte(&s1, DATA_VA, 1) + bias;
    want_walk("IPA", ipa, mec_pte(&s2, ipa, 1), WRONG, "VMECID_P_EL2", GUEST);
}

static void walk_registers(void)
{
    mec_case(61, "field/11-walk-registers: each register that a walk can use");
    el2_walk();
    el1_walks();
    mec_done();
}

/* Code that another context has overwritten, all of it, without maintenance */
static void overwritten_code(void)
{
    struct mec_tt s1;
    struct mec_world w;
    struct mec_regs r;
    uint64_t code = mec_agent_page(GUEST);
    enum mec_end end;

    mec_case(62, "field/12-overwritten-code: the first context's fetches");
    mec_tt_init(&s1, WIN_REALM, GUEST);
    mec_map(&s1, CODE_VA, code, 3, PTE_S1);
    w = el1_world(&s1, 0, NULL);
    mec_load_world(&w);
    set_ids(0, GUEST, 0);
    end = mec_op(&r, EL1, CODE_VA, OP(nop), 0, 0, 0);
    MEC_CHECK(end == END_DONE, "its own code: end %d", end);
    mec_fill(SECOND, code, mec_value(), 4096);
    end = mec_op(&r, EL1, CODE_VA, OP(nop), 0, 0, 0);
    MEC_CHECK(end != END_DONE, "ran");
    ml_printf("# log 62: read at VA 0x%lx PA 0x%lx with MECID %u of a page "
              "written with MECID %u\n", CODE_VA + OP(nop), code + OP(nop),
              GUEST, SECOND);
    mec_done();
}

void mec_main(void)
{
    walk_registers();
    overwritten_code();
}
