/*
 * FEAT_MEC: which memory encryption context an access has
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The choice of the MECID for each access and each descriptor fetch (Arm ARM
 * D8.12), and TLBs that agree with it. What it does to memory is told by
 * hw/arm/mec.c: a TLB entry may bypass the view of the RAM only while the
 * page's resident context is the one of the entry. TLBs used by table walks
 * (Phys_*, Stage2*) outlive changes of the context; their entries do not say
 * anything about it and the walker converts each descriptor by itself.
 *
 * Registers are not cached in TLBs (R_LPNPC, R_VKDBG, R_JQSMC); see
 * mec_regs[] for what their writes flush.
 *
 * Monitor and gdbstub translate addresses in threads of their own, while
 * CPUs run: a translation writes nothing but its result. ARMMECTLB is the
 * CPU's own thread's.
 */

#include "qemu/osdep.h"
#include "exec/cpu-common.h"
#include "exec/cputlb.h"
#include "exec/tlb-flags.h"
#include "accel/tcg/cpu-mmu-index.h"
#include "accel/tcg/probe.h"
#include "exec/target_page.h"
#include "hw/core/cpu.h"
#include "cpregs.h"
#include "mmuidx-internal.h"
#include "ptw_mec.h"
#include "trace.h"

/*
 * Selection of the context
 */

typedef enum ARMMECReg {
    MEC_DEFAULT,        /* no register: context 0 */
    MEC_RL_A,
    MEC_P0,
    MEC_A0,
    MEC_P1,
    MEC_A1,
    MEC_VP,
    MEC_VA,
    MEC_REGS
} ARMMECReg;

/*
 * Stage 2 entries of the TLB keep where their MECID came from beside the SH
 * field, which only stage 1 walks would look at, and do not.
 */
#define MEC_S2_HAS_REG 0x40
#define MEC_S2_AMEC 0x80

/*
 * What a CPU's TLBs hold that came of a register: nothing, some pages, or (at
 * a count of more than MEC_TLB_PAGES) anything. The state of the registers
 * is not TLB state, so a write of one has to find these.
 */
#define MEC_TLB_PAGES 4

typedef struct ARMMECTLB {
    uint8_t count[MEC_REGS];
    vaddr page[MEC_REGS][MEC_TLB_PAGES];
    bool flush_queued;          /* atomic: mec_flush_work() is still to run */
} ARMMECTLB;

#define MEC_FLUSH_EL3 (ARMMMUIdxBit_E3 | ARMMMUIdxBit_E3_GCS | \
                       ARMMMUIdxBit_E30_0 | ARMMMUIdxBit_E30_3_PAN)
#define MEC_FLUSH_EL2 (ARMMMUIdxBit_E2 | ARMMMUIdxBit_E2_GCS | \
                       ARMMMUIdxBit_E20_0 | ARMMMUIdxBit_E20_0_GCS | \
                       ARMMMUIdxBit_E20_2 | ARMMMUIdxBit_E20_2_PAN | \
                       ARMMMUIdxBit_E20_2_GCS)
/* With stage 2, which tells the context of stage 1 tables. */
#define MEC_FLUSH_EL1 (ARMMMUIdxBit_E10_0 | ARMMMUIdxBit_E10_0_GCS | \
                       ARMMMUIdxBit_E10_1 | ARMMMUIdxBit_E10_1_PAN | \
                       ARMMMUIdxBit_E10_1_GCS | \
                       ARMMMUIdxBit_Stage2 | ARMMMUIdxBit_Stage2_S)
#define MEC_FLUSH_ALL (MEC_FLUSH_EL3 | MEC_FLUSH_EL2 | MEC_FLUSH_EL1)

/* Where a register is, and which TLBs can hold what came of it. */
static const struct {
    const char *name;
    size_t offset;
    uint32_t flush;
} mec_regs[MEC_REGS] = {
#define MEC_REG(NAME, F, FLUSH) \
    { #NAME, offsetof(CPUARMState, cp15.F), FLUSH }
    [MEC_DEFAULT] = { .name = "default" },
    [MEC_RL_A] = MEC_REG(MECID_RL_A_EL3, mecid_rl_a_el3, MEC_FLUSH_EL3),
    [MEC_P0] = MEC_REG(MECID_P0_EL2, mecid_p0_el2, MEC_FLUSH_EL2),
    [MEC_A0] = MEC_REG(MECID_A0_EL2, mecid_a0_el2, MEC_FLUSH_EL2),
    [MEC_P1] = MEC_REG(MECID_P1_EL2, mecid_p1_el2, MEC_FLUSH_EL2),
    [MEC_A1] = MEC_REG(MECID_A1_EL2, mecid_a1_el2, MEC_FLUSH_EL2),
    [MEC_VP] = MEC_REG(VMECID_P_EL2, vmecid_p_el2, MEC_FLUSH_EL1),
    [MEC_VA] = MEC_REG(VMECID_A_EL2, vmecid_a_el2, MEC_FLUSH_EL1),
#undef MEC_REG
};

/* SCTLR2_ELx.EMEC; EL2's is for all regimes that EL2 controls. */
static bool mec_emec(CPUARMState *env, int el)
{
    if (el == 3) {
        return env->cp15.sctlr2_el[3] & SCTLR2_EMEC;
    }
    return (env->cp15.sctlr2_el[2] & SCTLR2_EMEC) &&
           (env->cp15.scr_el3 & SCR_SCTLR2EN);
}

static uint16_t mec_reg_value(CPUARMState *env, ARMMECReg reg)
{
    if (reg == MEC_DEFAULT) {
        return 0;
    }
    /* SCR_EL3.MECEn: EL2's registers are then 0 in their effect */
    if (reg != MEC_RL_A && !(env->cp15.scr_el3 & SCR_MECEN)) {
        return 0;
    }
    return *(uint64_t *)((char *)env + mec_regs[reg].offset);
}

static ARMMECReg mec_output_reg(CPUARMState *env, ARMMMUIdx mmu_idx,
                                bool upper, bool amec,
                                ARMSecuritySpace out_space)
{
    static const ARMMECReg el2_regs[2][2] = {   /* [upper][amec] */
        { MEC_P0, MEC_A0 },     /* R_FCSBF, R_LZGSD, R_THGCP */
        { MEC_P1, MEC_A1 },     /* R_WVKQV, R_MQHXQ */
    };
    bool stage2 = regime_is_stage2(mmu_idx);
    int el = regime_el(mmu_idx);

    /*
     * R_GKRVJ, R_YJVST, R_MRKMQ, R_WGBXM: the other spaces have the default
     * context only; that includes NS=1 in Realm tables (R_XVLMT, R_DQZTR).
     */
    if (out_space != ARMSS_Realm || !mec_emec(env, el)) {
        return MEC_DEFAULT;     /* R_FMLTL, R_CBJVF, R_HDGTR */
    }
    if (stage2) {
        return amec ? MEC_VA : MEC_VP;      /* R_XMTZH */
    }
    switch (el) {
    case 3:
        return MEC_RL_A;        /* R_CCSND: whatever the descriptor says */
    case 2:
        return el2_regs[upper && regime_has_2_ranges(mmu_idx)][amec];
    default:
        return MEC_VP;          /* R_YSNHS; stage 2, if on, has its own say */
    }
}

void arm_mec_set_output(CPUARMState *env, ARMMMUIdx mmu_idx, bool upper,
                        bool amec, ARMSecuritySpace out_space,
                        GetPhysAddrResult *result)
{
    /* That of stage 2, if any, comes last and counts. */
    result->mec_reg = mec_output_reg(env, mmu_idx, upper, amec, out_space);
    result->f.attrs.mecid = mec_reg_value(env, result->mec_reg);
}

void arm_mec_walk_begin(CPUARMState *env, ARMMMUIdx mmu_idx,
                        ARMSecuritySpace space, bool debug, ARMMECWalk *walk)
{
    ARMMECReg reg = MEC_VP;     /* R_FQFXK, R_PDCWV */

    if (space != ARMSS_Realm || !mec_emec(env, 2)) {
        reg = MEC_DEFAULT;
    } else if (regime_el(mmu_idx) == 2 && !regime_is_stage2(mmu_idx)) {
        /*
         * R_RXMFG, and R_XBDTH, I_TSRTP: tables of both ranges are in the
         * context of the range that does not define the ASID.
         */
        reg = regime_has_2_ranges(mmu_idx) && !(env->cp15.tcr_el[2] & TTBCR_A1)
              ? MEC_P1 : MEC_P0;
    }
    walk->space = space;
    walk->mecid = mec_reg_value(env, reg);
    walk->reg = mec_regs[reg].name;
    walk->stage2 = regime_is_stage2(mmu_idx);
    walk->debug = debug;
}

/*
 * The entry can stay in the TLB while other registers change, but those that
 * its MECID came from drop it when they do (MEC_FLUSH_EL1).
 */
void arm_mec_walk_by_stage2(const CPUTLBEntryFull *full, ARMMECWalk *walk)
{
    ARMMECReg reg = MEC_DEFAULT;

    if (full->extra.arm.shareability & MEC_S2_HAS_REG) {
        reg = full->extra.arm.shareability & MEC_S2_AMEC ? MEC_VA : MEC_VP;
    }
    walk->space = full->attrs.space;
    walk->mecid = full->attrs.mecid;
    walk->reg = mec_regs[reg].name;
    walk->stage2 = false;
    walk->debug = false;
}

bool arm_mec_amec_fault(CPUARMState *env, ARMMMUIdx mmu_idx, bool upper,
                        uint64_t descriptor, ARMSecuritySpace space)
{
    uint64_t enable = TCR2_AMEC0;

    /* AMEC is RES0 in a descriptor with NS=1 (R_XVLMT). */
    if (!extract64(descriptor, 63, 1) || extract64(descriptor, 5, 1) ||
        space != ARMSS_Realm || regime_is_stage2(mmu_idx) ||
        regime_el(mmu_idx) != 2 || !mec_emec(env, 2)) {
        return false;
    }
    if (upper && regime_has_2_ranges(mmu_idx)) {
        enable = TCR2_AMEC1;
    }
    return !(env->cp15.scr_el3 & SCR_TCR2EN) ||
           !(env->cp15.tcr2_el[2] & enable);
}

/*
 * What register writes flush
 */

/* A TLB has a translation of @va whose MECID came from @reg. */
static void mec_tlb_note(ARMMECTLB *tlb, ARMMECReg reg, vaddr va)
{
    unsigned count = tlb->count[reg];

    if (likely(count > MEC_TLB_PAGES)) {
        return;
    }
    va &= TARGET_PAGE_MASK;
    for (unsigned i = 0; i < count; i++) {
        if (tlb->page[reg][i] == va) {
            return;
        }
    }
    if (count < MEC_TLB_PAGES) {
        tlb->page[reg][count] = va;
    }
    tlb->count[reg]++;
}

static void mec_tlb_forget(ARMMECTLB *tlb, uint32_t idxmap)
{
    for (ARMMECReg reg = MEC_RL_A; reg < MEC_REGS; reg++) {
        if ((mec_regs[reg].flush & ~idxmap) == 0) {
            tlb->count[reg] = 0;
        }
    }
}

/* In the CPU's own thread */
static void mec_flush(ARMCPU *cpu, uint32_t idxmap)
{
    tlb_flush_by_mmuidx(CPU(cpu), idxmap);
    mec_tlb_forget(cpu->mec_tlb, idxmap);
}

static void mec_flush_work(CPUState *cs, run_on_cpu_data data)
{
    ARMCPU *cpu = ARM_CPU(cs);

    qatomic_set_mb(&cpu->mec_tlb->flush_queued, false);
    mec_flush(cpu, MEC_FLUSH_ALL);
}

/*
 * Flush a CPU's TLBs before it executes another instruction. Queued work is
 * done first wherever a CPU (re)enters translated code: queueing leaves
 * icount_decr negative, which each block looks at before its first
 * instruction, that of cpu_exec_step_atomic() included.
 */
static void mec_flush_all(ARMCPU *cpu)
{
    if (qemu_cpu_is_self(CPU(cpu))) {
        mec_flush(cpu, MEC_FLUSH_ALL);
    } else if (!qatomic_xchg(&cpu->mec_tlb->flush_queued, true)) {
        async_run_on_cpu(CPU(cpu), mec_flush_work, RUN_ON_CPU_NULL);
    }
}

/* A page has another resident context. No CPU runs. */
static void mec_rekeyed(hwaddr pa)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        tlb_flush_phys_page(cs, pa, MEC_FLUSH_ALL);
    }
}

static void mec_flush_reg(ARMCPU *cpu, ARMMECReg reg)
{
    ARMMECTLB *tlb = cpu->mec_tlb;
    unsigned count = tlb->count[reg];

    if (!count) {
        return;
    }
    trace_arm_mec_flush(CPU(cpu)->cpu_index, mec_regs[reg].name,
                        mec_regs[reg].flush, count);
    if (count > MEC_TLB_PAGES) {
        mec_flush(cpu, mec_regs[reg].flush);
        return;
    }
    /* RMM's slots: it changes A1 about each use of one or two pages. */
    for (unsigned i = 0; i < count; i++) {
        tlb_flush_page_by_mmuidx(CPU(cpu), tlb->page[reg][i],
                                 mec_regs[reg].flush);
    }
    tlb->count[reg] = 0;
}

void arm_mec_mecid_changed(CPUARMState *env, const ARMCPRegInfo *ri)
{
    ARMCPU *cpu = env_archcpu(env);

    if (!qemu_cpu_is_self(CPU(cpu))) {
        mec_flush_all(cpu);     /* an incoming migration sets registers */
        return;
    }
    for (ARMMECReg reg = MEC_RL_A; reg < MEC_REGS; reg++) {
        if (mec_regs[reg].offset == ri->fieldoffset) {
            mec_flush_reg(cpu, reg);
        }
    }
}

void arm_mec_ctrl_changed(CPUARMState *env, int el)
{
    ARMCPU *cpu = env_archcpu(env);
    uint32_t idxmap = el == 3 ? MEC_FLUSH_EL3 : MEC_FLUSH_EL2 | MEC_FLUSH_EL1;

    trace_arm_mec_flush(CPU(cpu)->cpu_index, "controls", idxmap,
                        MEC_TLB_PAGES + 1);
    if (qemu_cpu_is_self(CPU(cpu))) {
        mec_flush(cpu, idxmap);
    } else {
        mec_flush_all(cpu);
    }
}

/*
 * Access to the memory
 */

void arm_mec_cpu_realize(ARMCPU *cpu)
{
    cpu->mec_tlb = g_new0(ARMMECTLB, 1);
    cpu_address_space_init(CPU(cpu), ARMASIdx_MEC, "cpu-mec-view",
                           arm_mec_view(cpu->mec));
    arm_mec_set_rekeyed(cpu->mec, mec_rekeyed);
}

void arm_mec_tlb_fill(ARMCPU *cpu, vaddr va, int size,
                      MMUAccessType access_type, ARMMMUIdx mmu_idx,
                      GetPhysAddrResult *res)
{
    ARMSecuritySpace space = res->f.attrs.space;
    uint16_t mecid = res->f.attrs.mecid;
    hwaddr pa = res->f.phys_addr;

    /* Phys_* and stage 2 are for the walker, which asks each time. */
    if (mmu_idx >= ARMMMUIdx_Phys_S && mmu_idx <= ARMMMUIdx_Phys_Realm) {
        return;
    }
    if (res->mec_reg != MEC_DEFAULT) {
        mec_tlb_note(cpu->mec_tlb, res->mec_reg, va);
    }
    if (regime_is_stage2(mmu_idx)) {
        res->f.extra.arm.shareability |=
            (res->mec_reg == MEC_DEFAULT ? 0 : MEC_S2_HAS_REG) |
            (res->mec_reg == MEC_VA ? MEC_S2_AMEC : 0);
        return;
    }
    res->f.attrs.encrypted = !arm_mec_enter(cpu->mec, pa, space, mecid);
    if (mecid) {
        arm_mec_note_fill(cpu->mec, va, pa, size, space, mecid,
                          access_type == MMU_DATA_STORE);
    }
}

/*
 * A CPU is not overtaken by re-keying while it runs; the monitor is. It is
 * right in the view alone, which is under the device's lock.
 */
void arm_mec_debug_attrs(ARMCPU *cpu, hwaddr pa, MemTxAttrs *attrs)
{
    attrs->encrypted = current_cpu
                       ? arm_mec_is_foreign(cpu->mec, pa, attrs->space,
                                            attrs->mecid)
                       : arm_mec_contains(cpu->mec, pa);
}

uint64_t arm_mec_ptw_read(ARMCPU *cpu, hwaddr pa, unsigned size, bool be,
                          const ARMMECWalk *walk, uint64_t data)
{
    if (likely(!be)) {
        return arm_mec_convert_read(cpu->mec, pa, size, walk, data);
    }
    data = size == 8 ? bswap64(data) : bswap32(data);
    data = arm_mec_convert_read(cpu->mec, pa, size, walk, data);
    return size == 8 ? bswap64(data) : bswap32(data);
}

uint64_t arm_mec_ptw_write_mask(ARMCPU *cpu, hwaddr pa, bool be,
                                const ARMMECWalk *walk, uint64_t data)
{
    uint64_t mask = arm_mec_write_mask(cpu->mec, pa, walk,
                                       be ? bswap64(data) : data);

    return be ? bswap64(mask) : mask;
}

/*
 * DC CIPAE, CIGDPAE, CIPAPA and CIGDPAPA: [51:0] of the operand is the PA, 63
 * and 62 are NS and NSE
 */
void arm_mec_cmo_pa(CPUARMState *env, const ARMCPRegInfo *ri, uint64_t value)
{
    static const ARMSecuritySpace spaces[2][2] = {  /* [NSE][NS] */
        { ARMSS_Secure, ARMSS_NonSecure },
        { ARMSS_Root, ARMSS_Realm },
    };

    arm_mec_clean(env_archcpu(env)->mec, extract64(value, 0, 52),
                  spaces[extract64(value, 62, 1)][extract64(value, 63, 1)]);
}

/*
 * Maintenance by VA to the point of coherency. There it says what cannot be
 * translated, as it does elsewhere in QEMU: nothing.
 */
static void mec_cmo_va(CPUARMState *env, const ARMCPRegInfo *ri, uint64_t value)
{
    CPUState *cs = env_cpu(env);
    CPUTLBEntryFull *full;
    void *host;

    if (probe_access_full(env, value, 0, MMU_DATA_LOAD,
                          cpu_mmu_index(cs, false), true, &host, &full, 0) &
        TLB_INVALID_MASK) {
        return;
    }
    arm_mec_clean(env_archcpu(env)->mec,
                  full->phys_addr | (value & ~TARGET_PAGE_MASK),
                  full->attrs.space);
}

void arm_mec_define_va_cmos(ARMCPU *cpu)
{
    static const struct {
        uint8_t op1, crm, op2;
    } ops[] = {
        { 0, 6, 1 },            /* IVAC, which may write back */
        { 0, 6, 5 },            /* IGDVAC */
        { 3, 10, 1 },           /* CVAC */
        { 3, 10, 5 },           /* CGDVAC */
        { 3, 14, 1 },           /* CIVAC */
        { 3, 14, 5 },           /* CIGDVAC */
    };

    if (!arm_mec_remembers(cpu->mec)) {
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        uint32_t key = ENCODE_AA64_CP_REG(1, ops[i].op1, 7, ops[i].crm,
                                          ops[i].op2);
        ARMCPRegInfo *ri = g_hash_table_lookup(cpu->cp_regs,
                                               (gpointer)(uintptr_t)key);

        if (ri) {
            ri->type = (ri->type & ~ARM_CP_NOP) | ARM_CP_NO_RAW;
            ri->writefn = mec_cmo_va;
        }
    }
}
