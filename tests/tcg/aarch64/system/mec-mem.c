/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC and every kind of access: cases 35-41, and 53 as far as it is
 * about semihosting. Case 41 needs mte=on.
 */

#include "mec-rt.h"

#define PAGE 4096

/* --- R-EL2 with a page mapped under P0 and under A0 --- */

#define CODE_VA 0x80000000UL
#define P_VA    0x80010000UL
#define A_VA    0x80020000UL
#define P2_VA   0x80030000UL

static struct mec_tt tt;

static void el2_set_up(uint16_t p0, uint16_t a0, uint64_t pa, uint64_t p2)
{
    struct mec_world w = {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW,
        .sctlr2_el2 = SCTLR2_EMEC, .tcr2_el2 = TCR2_AMEC0,
        .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I, .tcr_el2 = MEC_TCR_E2H0,
        .vbar_el2 = CODE_VA,
    };

    mec_tt_init(&tt, WIN_REALM, p0);
    mec_map(&tt, CODE_VA, mec_agent_page(p0), 3, PTE_S1);
    mec_map(&tt, P_VA, pa, 3, PTE_S1);
    mec_map(&tt, A_VA, pa, 3, PTE_S1 | PTE_AMEC);
    mec_map(&tt, P2_VA, p2, 3, PTE_S1);
    w.ttbr0_el2 = tt.root;
    mec_load_world(&w);
    wr(MECID_P0_EL2, p0);
    wr(MECID_A0_EL2, a0);
    isb();
    mec_tlbi();
}

/* --- 35, 36: granularity --- */

static void one_byte(void)
{
    uint64_t pa = mec_page(), x = mec_value();
    unsigned i, wrong = 0, same = 0;
    struct mec_regs r;
    enum mec_end end;

    mec_case(35, "a byte of another context: the bytes beside it stay");
    for (i = 0; i < 64; i++) {
        mec_wb(1, pa + i, 0x40 + i);
    }
    mec_wb(2, pa + 5, 0xa5);
    MEC_CHECK(mec_rb(2, pa + 5) == 0xa5, "R(2) of its byte");
    for (i = 0; i < 64; i++) {
        wrong += i != 5 && mec_rb(1, pa + i) != 0x40 + i;
        same += i != 5 && mec_rb(2, pa + i) == 0x40 + i;
    }
    MEC_CHECK(wrong == 0, "%d of 63 bytes lost", wrong);
    /* A byte in 256 may agree by chance. */
    MEC_CHECK(same < 8, "R(2) reads %d of 63 bytes of 1", same);
    /* The whole doubleword at once, under each. */
    MEC_CHECK(((mec_r(1, pa) ^ 0x4746454443424140) & ~0xff0000000000UL) == 0,
              "doubleword under 1: 0x%lx", mec_r(1, pa));
    MEC_CHECK((mec_r(2, pa) >> 40 & 0xff) == 0xa5, "doubleword under 2");
    /* Zeros are data like any other. */
    pa = mec_page();
    mec_w(1, pa, 1);
    mec_fill(1, pa, 0, PAGE);
    mec_w(2, pa + 2048, mec_value());
    MEC_CHECK(mec_r(1, pa) == 0 && mec_r(1, pa + 4088) == 0,
              "zeros of 1 are gone: 0x%lx", mec_r(1, pa));
    /* A store is seen by the load after it, with nothing between. */
    pa = mec_page();
    mec_fill(1, pa, x, PAGE);
    el2_set_up(0, 2, pa, pa);
    end = mec_op(&r, EL2, CODE_VA, OP(st_ld64), A_VA + 64, ~x, A_VA + 64);
    MEC_CHECK(end == END_DONE && r.x[0] == ~x, "store, load: end %d 0x%lx",
              end, r.x[0]);
    mec_done();
}

static void across_pages(void)
{
    unsigned off;

    mec_case(36, "unaligned accesses across pages of different contexts");
    for (off = 1; off < 8; off++) {
        uint64_t pa = mec_pages(2, PAGE), x = mec_value(), before;

        mec_fill(1, pa, 0x1111111111111111, PAGE);
        mec_fill(2, pa + PAGE, 0x2222222222222222, PAGE);
        mec_w(3, pa + PAGE - off, x);
        MEC_CHECK(mec_r(3, pa + PAGE - off) == x, "off %d: under 3", off);
        MEC_CHECK(mec_differ(mec_r(4, pa + PAGE - off), x), "off %d: leak",
                  off);
        before = mec_r(1, pa + PAGE - 16);
        MEC_CHECK(before == 0x1111111111111111, "off %d: before", off);
        MEC_CHECK(mec_r(2, pa + PAGE + 8) == 0x2222222222222222,
                  "off %d: after", off);
        /* Stores in halves, read across. */
        mec_fill(1, pa, 0, PAGE);
        mec_fill(1, pa + PAGE, 0, PAGE);
        mec_w(1, pa + PAGE - off, x);
        mec_wb(2, pa, 1);           /* the first page goes to 2 */
        MEC_CHECK(mec_r(1, pa + PAGE - off) == x, "off %d: one foreign", off);
        mec_wb(2, pa + PAGE + 64, 1);
        MEC_CHECK(mec_r(1, pa + PAGE - off) == x, "off %d: both foreign", off);
    }
    mec_done();
}

/* --- 37: every instruction does on a foreign page what it does on its own */

static uint64_t out[64];    /* what the instruction returned */

static void op_ldxr_stxr(uint64_t *p)
{
    uint64_t v, fail;

    do {
        asm volatile("ldxr %0, [%2]; add %0, %0, #3; stxr %w1, %0, [%2]" :
                     "=&r" (v), "=&r" (fail) : "r" (p) : "memory");
    } while (fail & 1);
    out[0] = v;
}

static void op_ldxp_stxp(uint64_t *p)
{
    uint64_t a, b, fail;

    do {
        asm volatile("ldaxp %0, %1, [%3]; add %0, %0, #3; add %1, %1, %0;"
                     "stlxp %w2, %0, %1, [%3]" :
                     "=&r" (a), "=&r" (b), "=&r" (fail) : "r" (p) : "memory");
    } while (fail & 1);
    out[0] = a;
    out[1] = b;
}

static void op_cas(uint64_t *p)
{
    uint64_t old = p[0];

    asm volatile("casal %0, %1, [%2]" : "+r" (old) : "r" (0x1234567UL),
                 "r" (p) : "memory");
    out[0] = old;
    asm volatile("cas %w0, %w1, [%2]" : "+r" (old) : "r" (7), "r" (p + 1) :
                 "memory");
    out[1] = (uint32_t)old;
}

static void op_casp(uint64_t *p)
{
    register uint64_t a asm("x2") = p[0], b asm("x3") = p[1];
    register uint64_t c asm("x4") = 5, d asm("x5") = 6;

    asm volatile("caspal x2, x3, x4, x5, [%4]" : "+r" (a), "+r" (b) :
                 "r" (c), "r" (d), "r" (p) : "memory");
    out[0] = a;
    out[1] = b;
}

static void op_lse(uint64_t *p)
{
    asm volatile("ldaddal %1, %0, [%2]" : "=r" (out[0]) : "r" (77UL),
                 "r" (p) : "memory");
    asm volatile("ldclral %w1, %w0, [%2]" : "=r" (out[1]) : "r" (0xf0f0),
                 "r" (p + 1) : "memory");
    asm volatile("ldeoralh %w1, %w0, [%2]" : "=r" (out[2]) : "r" (0xff),
                 "r" (p + 2) : "memory");
    asm volatile("ldsmaxb %w1, %w0, [%2]" : "=r" (out[3]) : "r" (9),
                 "r" (p + 3) : "memory");
    asm volatile("swpal %1, %0, [%2]" : "=r" (out[4]) : "r" (9UL),
                 "r" (p + 4) : "memory");
}

/* FEAT_LSE128; the assembler may not know it. SWPPAL X2, X3, [X4] */
static void op_swpp(uint64_t *p)
{
    register uint64_t a asm("x2") = 0x55, b asm("x3") = 0x66;
    register uint64_t *q asm("x4") = p;

    asm volatile(".inst 0x19e38082" : "+r" (a), "+r" (b) : "r" (q) :
                 "memory");
    out[0] = a;
    out[1] = b;
}

static void op_pairs(uint64_t *p)
{
    asm volatile("ldp %0, %1, [%2]" : "=&r" (out[0]), "=&r" (out[1]) :
                 "r" (p));
    asm volatile("stp %0, %1, [%2, #16]" : : "r" (0x1111UL), "r" (0x2222UL),
                 "r" (p) : "memory");
    asm volatile("ldpsw %0, %1, [%2, #32]" : "=&r" (out[2]), "=&r" (out[3]) :
                 "r" (p));
}

static void op_fp(uint64_t *p)
{
    asm volatile(".arch_extension fp; .arch_extension simd\n"
                 "ldp q0, q1, [%0]; eor v2.16b, v0.16b, v1.16b;"
                 "str q2, [%0, #64]; st1 {v0.16b, v1.16b, v2.16b}, [%1];"
                 "ld4 {v4.4s, v5.4s, v6.4s, v7.4s}, [%0];"
                 "stp q4, q7, [%1, #256]; umov %0, v5.d[0]" :
                 "+r" (p) : "r" ((char *)p + 128 + 5) : "memory");
    out[0] = (uint64_t)p;
}

static void op_sve(uint64_t *p)
{
    char *src = (char *)p + 1027, *dst = (char *)p + 2001;
    uint64_t done, n;

    asm volatile(".arch_extension sve\n"
                 "ptrue p0.b; ld1d {z0.d}, p0/z, [%0];"
                 "add z0.d, z0.d, z0.d; st1d {z0.d}, p0, [%0]" : :
                 "r" (p) : "memory");
    /* A first-fault load may stop early for any reason: go on from there. */
    for (done = 0; done < 777; done += n) {
        asm volatile(".arch_extension sve\n"
                     "whilelo p2.b, %1, %4; setffr;"
                     "ldff1b {z1.b}, p2/z, [%2, %1]; rdffr p1.b, p2/z;"
                     "st1b {z1.b}, p1, [%3, %1]; cntp %0, p2, p1.b" :
                     "=&r" (n) : "r" (done), "r" (src), "r" (dst),
                     "r" (777UL) : "memory", "cc");
        if (!n) {
            out[1] = done + 1;
            return;
        }
    }
}

static void op_sme(uint64_t *p)
{
    asm volatile(".arch_extension sme\n"
                 "smstart; mov w12, #0; ldr za[w12, 0], [%0];"
                 "ptrue p0.b; ld1d {z3.d}, p0/z, [%0];"
                 "str za[w12, 0], [%1]; st1d {z3.d}, p0, [%2]; smstop" : :
                 "r" (p), "r" ((char *)p + 1024), "r" ((char *)p + 2048 + 1) :
                 "x12", "memory");
}

static void op_mops(uint64_t *p)
{
    void *d = (char *)p + 512 + 3, *s = (char *)p + 7;
    uint64_t n = 333;

    asm volatile(".arch armv8.8-a\n"
                 "cpyp [%0]!, [%1]!, %2!; cpym [%0]!, [%1]!, %2!;"
                 "cpye [%0]!, [%1]!, %2!" : "+r" (d), "+r" (s), "+r" (n) : :
                 "memory", "cc");
    d = (char *)p + 2048 + 1;
    n = 999;
    asm volatile("setp [%0]!, %1!, %2; setm [%0]!, %1!, %2;"
                 "sete [%0]!, %1!, %2\n.arch armv8.5-a" :
                 "+r" (d), "+r" (n) : "r" (0xabUL) : "memory", "cc");
}

static void op_zva(uint64_t *p)
{
    asm volatile("dc zva, %0" : : "r" (p + 24) : "memory");
    out[0] = p[23] + p[24] + p[31] + p[32];
}

/* LD64B/ST64B would need a device; LDRAA, LDAPR and unaligned forms here. */
static void op_ordered(uint64_t *p)
{
    asm volatile("ldar %0, [%1]" : "=r" (out[0]) : "r" (p));
    asm volatile("ldapr %0, [%1]" : "=r" (out[1]) : "r" (p + 1));
    asm volatile("stlr %w0, [%1]" : : "r" (0x99), "r" (p + 2) : "memory");
    asm volatile("stlrb %w0, [%1]" : : "r" (0x88), "r" (p + 3) : "memory");
    asm volatile("ldtr %0, [%1]" : "=r" (out[2]) : "r" ((char *)p + 3));
    asm volatile("sttr %0, [%1]" : : "r" (0x77UL), "r" ((char *)p + 61) :
                 "memory");
}

static const struct {
    const char *name;
    void (*fn)(uint64_t *p);
} insns[] = {
    { "LDXR/STXR", op_ldxr_stxr }, { "LDAXP/STLXP", op_ldxp_stxp },
    { "CAS", op_cas }, { "CASP", op_casp }, { "LSE", op_lse },
    { "SWPP", op_swpp }, { "LDP/STP", op_pairs }, { "Advanced SIMD", op_fp },
    { "SVE", op_sve }, { "SME", op_sme }, { "MOPS", op_mops },
    { "DC ZVA", op_zva }, { "ordered", op_ordered },
};

static uint64_t checksum(uint16_t mecid, uint64_t pa)
{
    uint64_t i, sum = 0;

    for (i = 0; i < PAGE - 8; i += 8) {     /* the last word is the rekeyer's */
        sum = sum * 31 + mec_r(mecid, pa + i);
    }
    return sum;
}

static void every_instruction(void)
{
    uint64_t first = 0, i, k, pass;

    mec_case(37, "each instruction: on a foreign-owned page as on its own");
    wr(ZCR_EL3, 0xf);
    wr(SMCR_EL3, MEC_BIT(31) | 0xf);
    isb();
    for (k = 0; k < ARRAY_SIZE(insns); k++) {
        uint64_t res[64];

        for (pass = 0; pass < 3; pass++) {
            uint64_t pa = mec_page(), sum;

            for (i = 0; i < PAGE; i += 8) {
                mec_w(1, pa + i, 0x0102030405060708 * (i + 1));
            }
            /* 1: 2 is resident; 2: made canonical, by PA */
            if (pass == 1) {
                mec_w(2, pa + PAGE - 8, 1);
            } else if (pass == 2) {
                mec_cipapa_page(pa | PA_NS | PA_NSE);
            }
            memset(out, 0, sizeof(out));
            mec_set(1);
            insns[k].fn(mec_va(WIN_REALM, pa));
            if (pass == 0) {
                memcpy(res, out, sizeof(out));
            }
            for (i = 0; i < 64; i++) {
                MEC_CHECK(out[i] == res[i], "%s, pass %d: result %d: 0x%lx,"
                          " not 0x%lx", insns[k].name, (int)pass, (int)i,
                          out[i], res[i]);
            }
            sum = checksum(1, pa);
            if (pass == 0) {
                first = sum;
            }
            MEC_CHECK(sum == first, "%s, pass %d: memory differs",
                      insns[k].name, (int)pass);
            MEC_CHECK(checksum(3, pa) != first, "%s, pass %d: 3 reads it",
                      insns[k].name, (int)pass);
            if (pass == 1) {
                MEC_CHECK(mec_r(2, pa + PAGE - 8) == 1, "%s: 2's word",
                          insns[k].name);
            }
        }
    }
    mec_done();
}

/* --- 38-40, at R-EL2 --- */

static void copy_between_contexts(void)
{
    uint64_t pa = mec_page(), other = mec_page(), i;
    struct mec_regs r;
    enum mec_end end;
    unsigned wrong = 0, leak = 0;

    mec_case(38, "CPYF between two contexts of one page ends, and is right");
    el2_set_up(0x11, 0x12, pa, other);
    for (i = 0; i < PAGE; i += 8) {
        mec_w(0x11, pa + i, 0x5000 + i);
    }
    /* From the first half under P0 to the second under A0. */
    end = mec_op(&r, EL2, CODE_VA, OP(cpyf), A_VA + 2048, P_VA, 2048);
    MEC_CHECK(end == END_DONE && r.x[2] == 0, "end %d ESR 0x%lx left %ld",
              end, r.esr2, r.x[2]);
    for (i = 0; i < 2048; i += 8) {
        wrong += mec_r(0x11, pa + i) != 0x5000 + i;
        wrong += mec_r(0x12, pa + 2048 + i) != 0x5000 + i;
        leak += !mec_differ(mec_r(0x11, pa + 2048 + i), 0x5000 + i);
        leak += !mec_differ(mec_r(0x12, pa + i), 0x5000 + i);
    }
    MEC_CHECK(wrong == 0, "%d words wrong", wrong);
    MEC_CHECK(leak == 0, "%d words readable by the other", leak);
    /* Odd bounds, backwards in place. */
    end = mec_op(&r, EL2, CODE_VA, OP(cpyf), P_VA + 3, A_VA + 2048 + 5, 1001);
    MEC_CHECK(end == END_DONE, "odd: end %d", end);
    for (i = 0, wrong = 0; i < 1001; i++) {
        wrong += mec_rb(0x11, pa + 3 + i) != mec_rb(0x12, pa + 2053 + i);
    }
    MEC_CHECK(wrong == 0, "odd: %d bytes wrong", wrong);
    mec_done();
}

static void what_does_not_store(void)
{
    uint64_t pa = mec_page(), x = mec_value(), i;
    uint64_t *p = mec_va(WIN_REALM, pa);
    uint64_t fail = 0, old;
    struct mec_regs r;

    mec_case(39, "failing stores, AT, PRFM, maintenance by VA change nothing");
    for (i = 0; i < PAGE; i += 8) {
        mec_w(1, pa + i, x + i);
    }
    el2_set_up(0, 2, pa, pa);
    mec_set(2);
    asm volatile("clrex; stxr %w0, %1, [%2]" : "=&r" (fail) : "r" (1UL),
                 "r" (p) : "memory");
    MEC_CHECK(fail == 1, "STXR did not fail");
    asm volatile("clrex; stlxp %w0, %1, %1, [%2]" : "=&r" (fail) :
                 "r" (1UL), "r" (p + 2) : "memory");
    MEC_CHECK(fail == 1, "STLXP did not fail");
    /*
     * What 1 sees there, and 2 must not. TCG's failing CAS stores what it
     * loaded, and a load of deadbeef is not what memory holds: in that mode
     * do it where the view is exact, on a page that 2 has written to as well.
     */
    if (mec_deadbeef()) {
        mec_w(2, pa + PAGE - 8, 1);
        mec_w(1, pa + PAGE - 8, x + PAGE - 8);
        mec_set(2);
    }
    old = x;
    asm volatile("casal %0, %1, [%2]" : "+r" (old) : "r" (0x123UL), "r" (p) :
                 "memory");
    MEC_CHECK(mec_differ(old, x), "CAS under 2 compares equal to 1's");
    asm volatile("at s1e3r, %0; at s1e3w, %0; isb" : : "r" (p) : "memory");
    asm volatile("prfm pldl1keep, [%0]; prfm pstl1keep, [%0]" : : "r" (p));
    asm volatile("dc civac, %0; dc cvac, %0; dc ivac, %0; dsb sy" : :
                 "r" (p) : "memory");
    mec_op(&r, EL2, CODE_VA, OP(at_s1e2w), A_VA, 0, 0);
    MEC_CHECK(!(r.x[0] & 1), "AT S1E2W");
    mec_set(2);
    mec_cipapa_page(pa | PA_NS | PA_NSE);
    for (i = 0; i < PAGE && !mec_failing(); i += 8) {
        MEC_CHECK(mec_r(1, pa + i) == x + i, "word %d lost", (int)(i / 8));
    }
    MEC_CHECK(mec_differ(mec_r(2, pa), x), "2 reads it");
    mec_done();
}

static void code(void)
{
    uint64_t pa = mec_page();
    struct mec_regs r;
    enum mec_end end;
    uint16_t bad[] = { 2, 0, 0xffff };
    unsigned i, k;

    mec_case(40, "code runs in the context that wrote it, and in no other");
    el2_set_up(0, 1, pa, pa);
    mec_put(1, pa, mec_code, mec_code_end - mec_code);
    asm volatile("ic ialluis; dsb sy; isb" : : : "memory");
    end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == 0x56781234, "end %d", end);
    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        wr(MECID_A0_EL2, bad[i]);
        isb();
        end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
        MEC_CHECK(end != END_DONE || r.x[0] != 0x56781234, "ran under %d",
                  bad[i]);
        wr(MECID_A0_EL2, 1);
        isb();
        end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
        MEC_CHECK(end == END_DONE && r.x[0] == 0x56781234,
                  "back to 1 after %d: end %d", bad[i], end);
    }
    /* MOVZ X0, #0x4321 in place of the first instruction. */
    end = mec_op(&r, EL2, CODE_VA, OP(store_call), A_VA, A_VA, 0xd2886420);
    MEC_CHECK(end == END_DONE && r.x[0] == 0x56784321,
              "self-modified: end %d 0x%lx", end, r.x[0]);
    /* Another context's data in the page does not harm the code. */
    mec_w(7, pa + 0x800, 1);
    end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == 0x56784321, "mixed page: end %d",
              end);
    /* The page is 7's now; what was translated for 1 is not 7's to run. */
    for (i = 0; i < 4; i++) {
        uint16_t m = i & 1 ? 1 : 7;

        /*
         * Reads bring it about that the page becomes m's without a store,
         * which would drop translated code by itself.
         */
        for (k = 0; k < 200; k++) {
            mec_r(m, pa + 0x900);
        }
        wr(MECID_A0_EL2, m);
        isb();
        end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
        MEC_CHECK((end == END_DONE && r.x[0] == 0x56784321) == (m == 1),
                  "resident %d: end %d 0x%lx", m, end, r.x[0]);
    }
    /* Overwritten under 7, then again under 1. */
    mec_put(7, pa, mec_code, mec_code_end - mec_code);
    mec_put(1, pa, mec_code, mec_code_end - mec_code);
    asm volatile("ic ialluis; dsb sy; isb" : : : "memory");
    end = mec_op(&r, EL2, CODE_VA, OP(call), A_VA, 0, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == 0x56781234, "rewritten: end %d",
              end);
    mec_done();
}

static uint64_t ldg(uint64_t *p)
{
    uint64_t v = (uint64_t)p;

    asm volatile(".arch_extension memtag\nldg %0, [%0]" : "+r" (v) : :
                 "memory");
    return v >> 56 & 0xf;
}

static void stg(uint64_t *p, uint64_t tag)
{
    uint64_t v = (uint64_t)p | tag << 56;

    asm volatile(".arch_extension memtag\nstg %0, [%0]" : : "r" (v) :
                 "memory");
}

static void tags(void)
{
    uint64_t pa = mec_page(), x = mec_value();
    uint64_t *p = mec_va(WIN_REALM_TAG, pa);
    unsigned i;

    mec_case(41, "MTE: tags round trip, and survive re-keying of their page");
    wr(sctlr_el3, rd(sctlr_el3) | SCTLR_ATA);
    isb();
    mec_set(1);
    for (i = 0; i < 16; i++) {
        stg(p + 2 * i, i);
        p[2 * i] = x + i;
    }
    for (i = 0; i < 16; i++) {
        MEC_CHECK(ldg(p + 2 * i) == i, "under 1: tag %d", i);
    }
    mec_w(2, pa + 2048, x);             /* 2 is resident */
    mec_set(1);
    for (i = 0; i < 16; i++) {
        MEC_CHECK(ldg(p + 2 * i) == i, "re-keyed: tag %d", i);
        MEC_CHECK(p[2 * i] == x + i, "re-keyed: data %d", i);
        stg(p + 2 * i, 15 - i);         /* on the foreign page */
        MEC_CHECK(ldg(p + 2 * i) == 15 - i, "foreign: tag %d", i);
        MEC_CHECK(p[2 * i] == x + i, "foreign: data %d", i);
    }
    asm volatile(".arch_extension memtag\nst2g %0, [%1]\nstzg %0, [%1, #32]" :
                 : "r" (5UL << 56), "r" (p + 128) : "memory");
    MEC_CHECK(ldg(p + 128) == 5 && ldg(p + 130) == 5 && ldg(p + 132) == 5,
              "ST2G, STZG");
    MEC_CHECK(p[132] == 0, "STZG did not zero");
    mec_cipapa_page(pa | PA_NS | PA_NSE);
    mec_set(1);
    MEC_CHECK(ldg(p + 128) == 5, "after DC CIPAPA");
    MEC_CHECK(mec_r(2, pa + 2048) == x, "2's data");
    MEC_CHECK(mec_differ(mec_r(2, pa), x), "2 reads 1's data");
    wr(sctlr_el3, rd(sctlr_el3) & ~SCTLR_ATA);
    isb();
    mec_done();
}

/*
 * The emulator's own accesses on behalf of the guest: the block it reads and
 * the string it writes are in the context that the address is mapped with.
 */
static void semihosting(void)
{
    uint64_t pa = mec_page(), x = mec_value(), i;
    char want[256];
    struct { char *buf; uint64_t len; } here = { want, sizeof(want) };
    struct mec_regs r;
    enum mec_end end;

    mec_case(53, "semihosting at R-EL2 accesses memory in the mapped context");
    mec_semihost(0x15, &here);                  /* SYS_GET_CMDLINE */
    MEC_CHECK(want[0], "there is no command line");
    el2_set_up(0, 0x21, pa, pa);
    mec_w(0x21, pa, A_VA + 64);
    mec_w(0x21, pa + 8, 256);
    mec_w(0x22, pa + 2048, x);                  /* 0x22 is resident */
    end = mec_op(&r, EL2, CODE_VA, OP(semihost), 0x15, A_VA, 0);
    MEC_CHECK(end == END_DONE && r.x[0] == 0, "end %d, result 0x%lx", end,
              r.x[0]);
    for (i = 0; want[i]; i++) {
        MEC_CHECK(mec_rb(0x21, pa + 64 + i) == want[i], "byte %d", (int)i);
    }
    MEC_CHECK(mec_r(0x22, pa + 2048) == x, "0x22's word");
    mec_done();
}

void mec_main(void)
{
    one_byte();
    across_pages();
    every_instruction();
    copy_between_contexts();
    what_does_not_store();
    code();
    semihosting();
    tags();
}
