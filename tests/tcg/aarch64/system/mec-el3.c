/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * FEAT_MEC at EL3: cases 1-7 (selection), 47 (maintenance by PA).
 */

#include "mec-rt.h"

/* EMEC of EL3 may be cached in a TLB (unlike MECIDs): invalidate. */
static void set_emec3(bool on)
{
    wr(SCTLR2_EL3, on ? SCTLR2_EMEC : 0);
    isb();
    asm volatile("tlbi alle3" : : : "memory");
    dsb();
    isb();
}

static void emec_off_is_context_0(void)
{
    uint64_t pa = mec_page(), x = mec_value();

    mec_case(1, "EL3, EMEC=0: MECID 0 whatever MECID_RL_A_EL3 (R_FMLTL)");
    set_emec3(false);
    mec_w(5, pa, x);
    set_emec3(true);
    MEC_CHECK(mec_r(0, pa) == x, "context 0 does not read it");
    MEC_CHECK(mec_differ(mec_r(5, pa), x), "context 5 reads it");
    set_emec3(false);
    MEC_CHECK(mec_r(5, pa) == x, "EMEC=0 does not read as context 0");
    set_emec3(true);
    mec_done();
}

/* What a mismatch shows, in both settings of mec-mismatch. */
static void check_picture(uint64_t pa, uint64_t x, uint16_t other)
{
    uint64_t seen = mec_r(other, pa), y = mec_value(), again;

    if (mec_deadbeef()) {
        MEC_CHECK(seen == 0xdeadbeefdeadbeef, "not deadbeef: 0x%lx", seen);
        return;
    }
    MEC_CHECK(mec_differ(seen, 0xdeadbeefdeadbeef), "deadbeef");
    /* The view is exclusive-or with what depends on place and MECID only. */
    mec_w(1, pa, y);
    again = mec_r(other, pa);
    MEC_CHECK((seen ^ again) == (x ^ y), "0x%lx, 0x%lx: not exact",
              seen, again);
    /* Of the place as well: equal words do not show as equal. */
    mec_w(1, pa + 128, y);
    seen = mec_r(other, pa + 128);
    MEC_CHECK(mec_differ(again, seen) && mec_differ(again << 32 | again >> 32,
                                                    seen),
              "0x%lx, 0x%lx: equal words look equal", again, seen);
    mec_w(1, pa, x);
}

static void two_contexts(void)
{
    uint64_t pa = mec_page(), x = mec_value(), y = mec_value();

    mec_case(2, "EL3: only the writer's context reads; reads destroy nothing");
    mec_w(1, pa, x);
    MEC_CHECK(mec_r(1, pa) == x, "R(1)");
    MEC_CHECK(mec_differ(mec_r(2, pa), x), "R(2) reads it");
    check_picture(pa, x, 2);
    MEC_CHECK(mec_r(1, pa) == x, "R(1) after R(2)");
    /* Now both have written: each reads its own words, not the other's. */
    mec_w(2, pa + 8, y);
    MEC_CHECK(mec_r(2, pa + 8) == y, "R(2) of its own");
    MEC_CHECK(mec_r(1, pa) == x, "R(1) after W(2) elsewhere");
    MEC_CHECK(mec_differ(mec_r(1, pa + 8), y), "R(1) of 2's");
    MEC_CHECK(mec_differ(mec_r(2, pa), x), "R(2) of 1's");
    MEC_CHECK(mec_r(1, pa) == x && mec_r(2, pa + 8) == y, "at the end");
    mec_done();
}

static void width(void)
{
    uint64_t pa = mec_page(), x = mec_value();
    unsigned bit;

    mec_case(3, "EL3: 16 bits of MECID, all of them matter; others RES0");
    mec_w(0xffff, pa, x);
    MEC_CHECK(mec_differ(mec_r(0xfffe, pa), x), "0xfffe reads 0xffff's");
    for (bit = 0; bit < 16; bit++) {
        MEC_CHECK(mec_differ(mec_r(0xffff ^ (1 << bit), pa), x),
                  "bit %d does not matter", bit);
    }
    MEC_CHECK(mec_r(0xffff, pa) == x, "R(0xffff)");
    wr(MECID_RL_A_EL3, 0x1ffff);
    isb();
    MEC_CHECK(rd(MECID_RL_A_EL3) == 0xffff, "0x1ffff reads back as 0x%lx",
              rd(MECID_RL_A_EL3));
    MEC_CHECK((rd(MECIDR_EL2) & 0xf) == 15, "MECIDR_EL2");
    mec_done();
}

static void other_spaces_read(void)
{
    static const enum mec_win win[] = { WIN_NS, WIN_ROOT, WIN_SECURE };
    uint64_t pa = mec_page(), x = mec_value();
    unsigned i;

    mec_case(4, "a Realm context is not readable from NS, Root, Secure");
    mec_w(1, pa, x);
    for (i = 0; i < ARRAY_SIZE(win); i++) {
        MEC_CHECK(mec_differ(mec_rw(win[i], pa), x), "window %d", win[i]);
    }
    MEC_CHECK(mec_r(1, pa) == x, "R(1)");
    mec_done();
}

static void other_spaces_write(void)
{
    static const enum mec_win win[] = { WIN_NS, WIN_ROOT, WIN_SECURE };
    unsigned i, j;

    mec_case(5, "NS, Root and Secure are context 0 (R_GKRVJ and others)");
    for (i = 0; i < ARRAY_SIZE(win); i++) {
        uint64_t pa = mec_page(), y = mec_value();

        /* A page that had an owner, and one that had none. */
        if (i != 1) {
            mec_w(1, pa, mec_value());
        }
        mec_set(7);
        mec_ww(win[i], pa, y);
        for (j = 0; j < ARRAY_SIZE(win); j++) {
            MEC_CHECK(mec_rw(win[j], pa) == y, "written %d, read %d",
                      win[i], win[j]);
        }
        MEC_CHECK(mec_r(0, pa) == y, "R(0) of window %d", win[i]);
        MEC_CHECK(mec_differ(mec_r(1, pa), y), "R(1) of window %d", win[i]);
        MEC_CHECK(mec_differ(mec_r(7, pa), y), "R(7) of window %d", win[i]);
    }
    mec_done();
}

static void no_tlbi(void)
{
    uint64_t pa = mec_page(), x = mec_value(), y = mec_value();
    uint64_t *p = mec_va(WIN_REALM, pa);
    uint64_t seen[4];

    mec_case(6, "MECID_RL_A_EL3 needs an ISB, and no TLBI (R_LPNPC)");
    wr(MECID_RL_A_EL3, 3);
    isb();
    ST(p, x);
    seen[0] = LD(p);
    wr(MECID_RL_A_EL3, 4);
    isb();
    seen[1] = LD(p);
    ST(p + 1, y);
    wr(MECID_RL_A_EL3, 3);
    isb();
    seen[2] = LD(p);
    seen[3] = LD(p + 1);
    MEC_CHECK(seen[0] == x, "3 after W(3)");
    MEC_CHECK(mec_differ(seen[1], x), "4 reads 3's");
    MEC_CHECK(seen[2] == x, "3 again");
    MEC_CHECK(mec_differ(seen[3], y), "3 reads 4's");
    MEC_CHECK(mec_r(4, pa + 8) == y, "4's own");
    mec_done();
}

static void bit63(void)
{
    uint64_t pa = mec_page(), x = mec_value();

    mec_case(7, "EL3: descriptor bit 63 neither faults nor selects (R_CCSND)");
    mec_set(6);
    mec_cpus[0].faults = 0;
    mec_cpus[0].expect_fault = 1;
    mec_ww(WIN_REALM_B63, pa, x);
    MEC_CHECK(mec_rw(WIN_REALM_B63, pa) == x, "not read back");
    mec_cpus[0].expect_fault = 0;
    MEC_CHECK(mec_cpus[0].faults == 0, "faulted");
    MEC_CHECK(mec_r(6, pa) == x, "not in context 6");
    MEC_CHECK(mec_differ(mec_r(0, pa), x), "in context 0");
    mec_done();
}

/* As the RME compliance tests do it. */
static void maintenance_other_context(void)
{
    uint64_t pa = mec_page(), x = mec_value(), y = mec_value();

    mec_case(47, "DC CIPAPA under another MECID writes back under the line's");
    mec_w(1, pa, x);
    mec_set(2);
    mec_cipapa_page(pa | PA_NS | PA_NSE);
    mec_set(1);
    MEC_CHECK(mec_rw(WIN_REALM_NC, pa) == x, "non-cacheable R(1)");
    MEC_CHECK(mec_differ(mec_r(2, pa), x), "R(2) reads it");
    mec_set(1);
    mec_ww(WIN_REALM_NC, pa, y);
    dsb();
    MEC_CHECK(mec_rw(WIN_REALM, pa) == y, "cacheable R(1)");
    MEC_CHECK(mec_differ(mec_r(2, pa), y), "R(2) reads the second");
    MEC_CHECK(mec_differ(mec_r(0, pa), y), "R(0) reads the second");
    mec_done();
}

void mec_main(void)
{
    emec_off_is_context_0();
    two_contexts();
    width();
    other_spaces_read();
    other_spaces_write();
    no_tlbi();
    bit63();
    maintenance_other_context();
}
