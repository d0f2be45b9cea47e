/*
 * FEAT_MEC: selection of the MECID, and the memory behind it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Memory behaves as plaintext XOR keystream(MECID, address), where context 0
 * has a keystream of zeroes and two others differ in every aligned 32-bit
 * word. That is never computed while all is well: each page of RAM has a
 * resident context, in whose plaintext the host holds the page, so that
 * accesses of this context are ordinary accesses to RAM. An access of another
 * context is given attrs.encrypted and goes through the "view", an I/O region
 * that converts on the way and is exact, but slow. Stores through it re-key
 * the page to their context soon after. When that happens does not matter to
 * the guest, so nothing has to wait for it.
 *
 * What must hold: a TLB entry that bypasses the view exists only while the
 * page's resident context is the one of the entry. It is why re-keying runs
 * while no CPU executes and flushes all TLBs. TLBs used by table walks
 * (Phys_*, Stage2*) outlive changes of the context; their entries do not say
 * anything about it and the walker converts each descriptor by itself.
 *
 * Registers are not cached in TLBs (R_LPNPC, R_VKDBG, R_JQSMC); see
 * mec_regs[] for what their writes flush.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "exec/cputlb.h"
#include "hw/core/cpu.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/sysbus.h"
#include "system/address-spaces.h"
#include "system/memory.h"
#include "cpregs.h"
#include "mmuidx-internal.h"
#include "ptw_mec.h"
#include "trace.h"

/* The granule of RME, and the size of a TLB entry */
#define MEC_PAGE_BITS 12
#define MEC_PAGE_SIZE (1u << MEC_PAGE_BITS)

/* Cache writeback granule for the bookkeeping below: 64 lines a page */
#define MEC_LINE_BITS 6

/*
 * Accesses through the view that make a page change hands without a first
 * store: re-keying costs as much as some dozens of them.
 */
#define MEC_VIEW_THRESHOLD 64

/* What an unreadable word looks like with mec-mismatch=deadbeef */
#define MEC_DEADBEEF 0xdeadbeefdeadbeefULL

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
 * What a CPU's TLBs hold that came of a register: nothing, some pages, or (at
 * a count of more than MEC_TLB_PAGES) anything. The state of the registers
 * is not TLB state, so a write of one has to find these.
 */
#define MEC_TLB_PAGES 4

typedef struct ARMMECTLB {
    ARMMECReg reg;              /* of the translation now being made */
    uint8_t count[MEC_REGS];
    vaddr page[MEC_REGS][MEC_TLB_PAGES];
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
#define MEC_REG(F, FLUSH) { #F, offsetof(CPUARMState, cp15.F), FLUSH }
    [MEC_RL_A] = MEC_REG(mecid_rl_a_el3, MEC_FLUSH_EL3),
    [MEC_P0] = MEC_REG(mecid_p0_el2, MEC_FLUSH_EL2),
    [MEC_A0] = MEC_REG(mecid_a0_el2, MEC_FLUSH_EL2),
    [MEC_P1] = MEC_REG(mecid_p1_el2, MEC_FLUSH_EL2),
    [MEC_A1] = MEC_REG(mecid_a1_el2, MEC_FLUSH_EL2),
    [MEC_VP] = MEC_REG(vmecid_p_el2, MEC_FLUSH_EL1),
    [MEC_VA] = MEC_REG(vmecid_a_el2, MEC_FLUSH_EL1),
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

uint16_t arm_mec_output_mecid(CPUARMState *env, ARMMMUIdx mmu_idx,
                              bool upper, bool amec,
                              ARMSecuritySpace out_space)
{
    ARMMECReg reg = mec_output_reg(env, mmu_idx, upper, amec, out_space);

    /* That of stage 2, if any, comes last and counts. */
    env_archcpu(env)->mec_tlb->reg = reg;
    return mec_reg_value(env, reg);
}

uint16_t arm_mec_walk_mecid(CPUARMState *env, ARMMMUIdx mmu_idx,
                            ARMSecuritySpace space)
{
    ARMMECReg reg = MEC_VP;     /* R_FQFXK, R_PDCWV */

    if (space != ARMSS_Realm || !mec_emec(env, 2)) {
        return 0;
    }
    if (regime_el(mmu_idx) == 2 && !regime_is_stage2(mmu_idx)) {
        /*
         * R_RXMFG, and R_XBDTH, I_TSRTP: tables of both ranges are in the
         * context of the range that does not define the ASID.
         */
        reg = regime_has_2_ranges(mmu_idx) && !(env->cp15.tcr_el[2] & TTBCR_A1)
              ? MEC_P1 : MEC_P0;
    }
    return mec_reg_value(env, reg);
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
    va &= -(vaddr)MEC_PAGE_SIZE;
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
        tlb_flush_by_mmuidx(CPU(cpu), mec_regs[reg].flush);
        mec_tlb_forget(tlb, mec_regs[reg].flush);
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
    for (ARMMECReg reg = MEC_RL_A; reg < MEC_REGS; reg++) {
        if (mec_regs[reg].offset == ri->fieldoffset) {
            mec_flush_reg(env_archcpu(env), reg);
        }
    }
}

void arm_mec_ctrl_changed(CPUARMState *env, int el)
{
    ARMCPU *cpu = env_archcpu(env);
    uint32_t idxmap = el == 3 ? MEC_FLUSH_EL3 : MEC_FLUSH_EL2 | MEC_FLUSH_EL1;

    trace_arm_mec_flush(CPU(cpu)->cpu_index, "controls", idxmap,
                        MEC_TLB_PAGES + 1);
    tlb_flush_by_mmuidx(CPU(cpu), idxmap);
    mec_tlb_forget(cpu->mec_tlb, idxmap);
}

/*
 * The memory
 */

/*
 * Who has written a page. One that is all zero in context 0 counts as written
 * by nobody: it is RAM that was never used, or has been scrubbed.
 */
typedef enum ARMMECPageState {
    MEC_PURE,           /* the resident context alone */
    MEC_OVER_DEFAULT,   /* the resident context, and context 0 before it */
    MEC_SEALED,         /* made canonical, whoever wrote it before */
    MEC_MIXED,          /* several */
} ARMMECPageState;

/* An entry of the page table, as it stands in (and migrates with) memory */
#define MEC_ENTRY(OWNER, STATE) ((uint32_t)(OWNER) | (uint32_t)(STATE) << 16)
#define MEC_ENTRY_OWNER(E) ((uint16_t)(E))
#define MEC_ENTRY_STATE(E) ((ARMMECPageState)extract32(E, 16, 2))

/* A page that is used through the view, and may be re-keyed for it. */
typedef struct ARMMECUse {
    uint64_t page;
    uint16_t mecid;             /* the (last) context that did */
    bool queued;                /* re-keying is under way */
    bool others;                /* another one has stored as well */
    ARMMECPageState before;     /* page state when it began */
    uint64_t lines;             /* what @mecid has stored to */
    unsigned accesses;
} ARMMECUse;

struct ARMMECState {
    SysBusDevice parent_obj;

    MemoryRegion *ram;
    uint64_t base;
    bool deadbeef;

    uint64_t size;
    uint8_t *host;
    MemoryRegion ram_root;
    MemoryRegion ram_alias;
    AddressSpace ram_as;        /* RAM alone, for stores that TCG must see */
    MemoryRegion view;          /* container, at physical addresses */
    MemoryRegion view_io;
    MemoryRegion table_mr;
    uint32_t *table;            /* MEC_ENTRY of each page, little endian */

    /*
     * Entries change, and the view works, under this lock. Entries change
     * their owner only in an exclusive section (or with the VM stopped), so
     * that CPUs can read it without the lock.
     */
    QemuMutex lock;
    GHashTable *uses;           /* page -> ARMMECUse */

    /* Rate limit of messages, and what the last was about */
    int64_t log_since;
    unsigned log_count;
    uint64_t log_page;
    uint32_t log_contexts;
};

typedef struct ARMMECWork {
    ARMMECState *s;
    uint64_t page;
    uint16_t mecid;
} ARMMECWork;

/* A bijection with hash(0) = 0 */
static inline uint32_t mec_hash(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352d;
    x ^= x >> 15;
    x *= 0x846ca68b;
    x ^= x >> 16;
    return x;
}

/*
 * Keystream of one context for the aligned word at @pa. As the factor is odd,
 * two MECIDs never share a word of it.
 */
static inline uint32_t mec_keystream(uint16_t mecid, uint32_t page_hash,
                                     unsigned word)
{
    return mec_hash(mecid * (mec_hash(page_hash + word) | 1));
}

static uint32_t mec_page_hash(hwaddr pa)
{
    uint64_t page = pa >> MEC_PAGE_BITS;

    return mec_hash((uint32_t)page ^ 0x6d656331) + (uint32_t)(page >> 32);
}

/* Bytes at [pa, pa + size), naturally aligned, as a little endian number */
static uint64_t mec_keystream_at(uint16_t mecid, hwaddr pa, unsigned size)
{
    uint32_t hash = mec_page_hash(pa);
    unsigned word = (pa & (MEC_PAGE_SIZE - 1)) / 4;
    uint64_t val;

    if (mecid == 0) {
        return 0;
    }
    val = mec_keystream(mecid, hash, word);
    if (size == 8) {
        return val | (uint64_t)mec_keystream(mecid, hash, word + 1) << 32;
    }
    return extract64(val, (pa & 3) * 8, size * 8);
}

/* From one context's bytes to another's */
static uint64_t mec_delta(uint16_t a, uint16_t b, hwaddr pa, unsigned size)
{
    return mec_keystream_at(a, pa, size) ^ mec_keystream_at(b, pa, size);
}

static inline uint32_t mec_entry(ARMMECState *s, uint64_t page)
{
    return le32_to_cpu(qatomic_read(&s->table[page]));
}

static void mec_set_entry(ARMMECState *s, uint64_t page, uint32_t entry)
{
    if (mec_entry(s, page) != entry) {
        qatomic_set(&s->table[page], cpu_to_le32(entry));
        memory_region_set_dirty(&s->table_mr, page * 4, 4);
    }
}

/* May @mecid have written to a page of this state? */
static bool mec_legible(uint32_t entry, uint16_t mecid)
{
    switch (MEC_ENTRY_STATE(entry)) {
    case MEC_PURE:
        return mecid == MEC_ENTRY_OWNER(entry);
    case MEC_OVER_DEFAULT:
        return mecid == MEC_ENTRY_OWNER(entry) || mecid == 0;
    default:
        return true;
    }
}

static bool mec_shows_deadbeef(ARMMECState *s, uint32_t entry, uint16_t mecid)
{
    return s->deadbeef && !mec_legible(entry, mecid);
}

static bool mec_page_of(ARMMECState *s, hwaddr pa, uint64_t *page)
{
    *page = (pa - s->base) >> MEC_PAGE_BITS;
    return pa >= s->base && pa - s->base < s->size;
}

/* All zero but for @lines? */
static bool mec_page_is_zero(ARMMECState *s, uint64_t page, uint64_t lines)
{
    const uint8_t *p = s->host + (page << MEC_PAGE_BITS);

    if (!lines) {
        return buffer_is_zero(p, MEC_PAGE_SIZE);
    }
    for (unsigned i = 0; i < 64; i++, p += 1 << MEC_LINE_BITS) {
        if (!extract64(lines, i, 1) && !buffer_is_zero(p, 1 << MEC_LINE_BITS)) {
            return false;
        }
    }
    return true;
}

/*
 * Hold the page for @mecid from now on. No CPU runs; the lock is held.
 */
static void mec_convert_page(ARMMECState *s, uint64_t page, uint16_t mecid,
                             ARMMECPageState state)
{
    uint16_t old = MEC_ENTRY_OWNER(mec_entry(s, page));
    hwaddr offset = page << MEC_PAGE_BITS;
    uint32_t hash = mec_page_hash(s->base + offset);
    uint32_t buf[MEC_PAGE_SIZE / 4];

    memcpy(buf, s->host + offset, sizeof(buf));
    for (unsigned i = 0; i < ARRAY_SIZE(buf); i++) {
        buf[i] ^= cpu_to_le32(mec_keystream(old, hash, i) ^
                              mec_keystream(mecid, hash, i));
    }
    /* This marks the page dirty and drops code translated from it. */
    address_space_write(&s->ram_as, s->base + offset, MEMTXATTRS_UNSPECIFIED,
                        buf, sizeof(buf));
    mec_set_entry(s, page, MEC_ENTRY(mecid, state));
    trace_arm_mec_rekey(s->base + offset, old, mecid);
}

/* In an exclusive section: no CPU is in a position to use its TLB. */
static void mec_flush_all_cpus(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        tlb_flush_by_mmuidx(cs, MEC_FLUSH_ALL);
        mec_tlb_forget(ARM_CPU(cs)->mec_tlb, MEC_FLUSH_ALL);
    }
}

/* Who has written the page that @use now takes over? */
static ARMMECPageState mec_state_after(ARMMECState *s, ARMMECUse *use,
                                       uint16_t owner)
{
    if (use->others || !use->lines || owner) {
        return MEC_MIXED;
    }
    if (mec_page_is_zero(s, use->page, use->lines)) {
        return MEC_PURE;
    }
    return use->before == MEC_PURE ? MEC_OVER_DEFAULT : MEC_MIXED;
}

static void mec_rekey_work(CPUState *cs, run_on_cpu_data data)
{
    g_autofree ARMMECWork *work = data.host_ptr;
    ARMMECState *s = work->s;
    ARMMECUse *use;
    uint16_t owner;

    QEMU_LOCK_GUARD(&s->lock);
    use = g_hash_table_lookup(s->uses, &work->page);
    if (!use || !use->queued || use->mecid != work->mecid) {
        /* Maintenance, or a reset, or another context came first. */
        return;
    }
    owner = MEC_ENTRY_OWNER(mec_entry(s, work->page));
    if (owner != work->mecid) {
        mec_convert_page(s, work->page, work->mecid,
                         mec_state_after(s, use, owner));
        mec_flush_all_cpus();
    }
    g_hash_table_remove(s->uses, &work->page);
}

static void mec_canonical_work(CPUState *cs, run_on_cpu_data data)
{
    g_autofree ARMMECWork *work = data.host_ptr;
    ARMMECState *s = work->s;

    QEMU_LOCK_GUARD(&s->lock);
    if (MEC_ENTRY_OWNER(mec_entry(s, work->page))) {
        mec_convert_page(s, work->page, 0, MEC_SEALED);
        mec_flush_all_cpus();
    } else if (g_hash_table_contains(s->uses, &work->page)) {
        mec_set_entry(s, work->page, MEC_ENTRY(0, MEC_SEALED));
    }
    g_hash_table_remove(s->uses, &work->page);
}

static void mec_queue(ARMMECState *s, run_on_cpu_func func, uint64_t page,
                      uint16_t mecid)
{
    ARMMECWork *work = g_new(ARMMECWork, 1);

    *work = (ARMMECWork) { .s = s, .page = page, .mecid = mecid };
    async_safe_run_on_cpu(current_cpu, func, RUN_ON_CPU_HOST_PTR(work));
}

/*
 * A CPU accesses the page through the view in context @mecid, storing to
 * @lines if any. The first store to a page of another context takes it over.
 * Readers, and stores to a page that contexts share anyway, do so after a
 * while, or it would go to and fro all the time. Lock held.
 */
static void mec_note_use(ARMMECState *s, uint64_t page, uint32_t entry,
                         uint16_t mecid, uint64_t lines)
{
    ARMMECUse *use = g_hash_table_lookup(s->uses, &page);

    if (!use) {
        use = g_new0(ARMMECUse, 1);
        use->page = page;
        use->mecid = mecid;
        use->before = MEC_ENTRY_STATE(entry);
        g_hash_table_insert(s->uses, &use->page, use);
    }
    if (use->mecid != mecid) {
        use->others |= use->lines || lines;
        use->mecid = mecid;
        use->queued = false;
        use->accesses = 0;
        use->lines = 0;
    }
    use->lines |= lines;
    use->accesses++;
    if (!use->queued &&
        (use->accesses >= MEC_VIEW_THRESHOLD ||
         (lines && use->before != MEC_MIXED))) {
        use->queued = true;
        mec_queue(s, mec_rekey_work, page, mecid);
    }
}

/*
 * The view. Accesses are naturally aligned, of up to 8 bytes.
 */

static MemTxResult mec_view_read(void *opaque, hwaddr offset, uint64_t *data,
                                 unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;
    hwaddr pa = s->base + offset;
    uint32_t entry;
    uint16_t owner;

    QEMU_LOCK_GUARD(&s->lock);
    entry = mec_entry(s, page);
    owner = MEC_ENTRY_OWNER(entry);
    trace_arm_mec_view(pa, owner, attrs.mecid, "read");
    if (mec_shows_deadbeef(s, entry, attrs.mecid)) {
        *data = extract64(MEC_DEADBEEF, (pa & 3) * 8, MIN(size, 4) * 8);
        if (size == 8) {
            *data = MEC_DEADBEEF;
        }
        return MEMTX_OK;
    }
    *data = ldn_le_p(s->host + offset, size) ^
            mec_delta(owner, attrs.mecid, pa, size);
    if (current_cpu && !attrs.debug && mec_legible(entry, attrs.mecid)) {
        mec_note_use(s, page, entry, attrs.mecid, 0);
    }
    return MEMTX_OK;
}

static MemTxResult mec_view_write(void *opaque, hwaddr offset, uint64_t data,
                                  unsigned size, MemTxAttrs attrs)
{
    ARMMECState *s = opaque;
    uint64_t page = offset >> MEC_PAGE_BITS;
    hwaddr pa = s->base + offset;
    uint32_t entry;
    uint16_t owner;
    uint8_t buf[8];

    QEMU_LOCK_GUARD(&s->lock);
    entry = mec_entry(s, page);
    owner = MEC_ENTRY_OWNER(entry);
    trace_arm_mec_view(pa, owner, attrs.mecid, "write");
    if (current_cpu && !attrs.debug) {
        unsigned line = extract64(offset, MEC_LINE_BITS,
                                  MEC_PAGE_BITS - MEC_LINE_BITS);

        mec_note_use(s, page, entry, attrs.mecid, 1ULL << line);
    }
    if (owner != attrs.mecid) {
        mec_set_entry(s, page, MEC_ENTRY(owner, MEC_MIXED));
    }
    stn_le_p(buf, size, data ^ mec_delta(owner, attrs.mecid, pa, size));
    return address_space_write(&s->ram_as, pa, MEMTXATTRS_UNSPECIFIED,
                               buf, size);
}

static const MemoryRegionOps mec_view_ops = {
    .read_with_attrs = mec_view_read,
    .write_with_attrs = mec_view_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
    .impl = {
        .min_access_size = 1,
        .max_access_size = 8,
    },
};

/*
 * What the CPU calls
 */

void arm_mec_cpu_realize(ARMCPU *cpu)
{
    cpu->mec_tlb = g_new0(ARMMECTLB, 1);
    cpu_address_space_init(CPU(cpu), ARMASIdx_MEC, "cpu-mec-view",
                           &cpu->mec->view);
}

/* Tell a developer, at most so many times a second. */
static void mec_report_mismatch(ARMMECState *s, vaddr va, hwaddr pa,
                                uint16_t owner, uint16_t mecid)
{
    const unsigned limit = 16;
    uint32_t contexts = (uint32_t)owner << 16 | mecid;
    uint64_t page = pa >> MEC_PAGE_BITS;
    int64_t now = get_clock();

    QEMU_LOCK_GUARD(&s->lock);
    if (now - s->log_since > NANOSECONDS_PER_SECOND) {
        s->log_since = now;
        s->log_count = 0;
    } else if (s->log_page == page && s->log_contexts == contexts) {
        return;
    }
    s->log_page = page;
    s->log_contexts = contexts;
    if (s->log_count < limit) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "MEC: read at VA 0x%" PRIx64 " PA 0x%" HWADDR_PRIx
                      " with MECID %u of a page written with MECID %u\n",
                      (uint64_t)va, pa, mecid, owner);
    } else if (s->log_count == limit) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "MEC: more such reads, not shown\n");
    }
    s->log_count++;
}

void arm_mec_tlb_fill(ARMCPU *cpu, vaddr va, MMUAccessType access_type,
                      ARMMMUIdx mmu_idx, GetPhysAddrResult *res)
{
    ARMMECState *s = cpu->mec;
    uint16_t mecid = res->f.attrs.mecid;
    hwaddr pa = res->f.phys_addr;
    uint32_t entry;
    uint16_t owner;
    uint64_t page;

    /* Phys_* and stage 2 are for the walker, which asks each time. */
    if (mmu_idx >= ARMMMUIdx_Phys_S && mmu_idx <= ARMMMUIdx_Phys_Realm) {
        return;
    }
    if (cpu->mec_tlb->reg != MEC_DEFAULT) {
        mec_tlb_note(cpu->mec_tlb, cpu->mec_tlb->reg, va);
    }
    if (regime_is_stage2(mmu_idx) || !mec_page_of(s, pa, &page)) {
        return;
    }
    entry = mec_entry(s, page);
    owner = MEC_ENTRY_OWNER(entry);
    if (owner == mecid) {
        return;
    }
    res->f.attrs.encrypted = 1;
    if (access_type != MMU_DATA_STORE && owner && mecid &&
        !mec_legible(entry, mecid)) {
        mec_report_mismatch(s, va, pa, owner, mecid);
    }
}

void arm_mec_debug_attrs(ARMCPU *cpu, hwaddr pa, MemTxAttrs *attrs)
{
    ARMMECState *s = cpu->mec;
    uint64_t page;

    if (mec_page_of(s, pa, &page)) {
        attrs->encrypted = MEC_ENTRY_OWNER(mec_entry(s, page)) != attrs->mecid;
    }
}

uint64_t arm_mec_ptw_read(ARMCPU *cpu, hwaddr pa, unsigned size, bool be,
                          uint16_t mecid, uint64_t data)
{
    ARMMECState *s = cpu->mec;
    uint64_t page, delta;
    uint32_t entry;
    uint16_t owner;

    if (!mec_page_of(s, pa, &page)) {
        return data;
    }
    entry = mec_entry(s, page);
    owner = MEC_ENTRY_OWNER(entry);
    if (owner == mecid) {
        return data;
    }
    if (mec_shows_deadbeef(s, entry, mecid)) {
        return extract64(be ? bswap64(MEC_DEADBEEF) : MEC_DEADBEEF,
                         0, size * 8);
    }
    delta = mec_delta(owner, mecid, pa, size);
    if (be) {
        delta = size == 8 ? bswap64(delta) : bswap32(delta);
    }
    return data ^ delta;
}

uint64_t arm_mec_ptw_write_mask(ARMCPU *cpu, hwaddr pa, bool be,
                                uint16_t mecid)
{
    ARMMECState *s = cpu->mec;
    uint64_t page, delta;
    uint16_t owner;

    if (!mec_page_of(s, pa, &page)) {
        return 0;
    }
    owner = MEC_ENTRY_OWNER(mec_entry(s, page));
    if (owner == mecid) {
        return 0;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        mec_set_entry(s, page, MEC_ENTRY(owner, MEC_MIXED));
    }
    delta = mec_delta(owner, mecid, pa, 8);
    return be ? bswap64(delta) : delta;
}

/*
 * The write-back of a line by its address reaches the point of encryption in
 * the context that the line was cached with (RKMNQX), so it does not matter
 * who asks, nor which physical address space the operand names.
 */
void arm_mec_cmo_pa(CPUARMState *env, const ARMCPRegInfo *ri, uint64_t value)
{
    ARMMECState *s = env_archcpu(env)->mec;
    hwaddr pa = extract64(value, 0, 52);
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return;
    }
    QEMU_LOCK_GUARD(&s->lock);
    entry = mec_entry(s, page);
    trace_arm_mec_cmo(pa, MEC_ENTRY_OWNER(entry));
    if (MEC_ENTRY_OWNER(entry) || g_hash_table_contains(s->uses, &page)) {
        mec_queue(s, mec_canonical_work, page, 0);
    } else if (MEC_ENTRY_STATE(entry) != MEC_PURE) {
        mec_set_entry(s, page, MEC_ENTRY(0, mec_page_is_zero(s, page, 0)
                                         ? MEC_PURE : MEC_SEALED));
    }
}

bool arm_mec_query(ARMMECState *s, hwaddr pa, uint16_t *mecid, bool *mixed)
{
    ARMMECPageState state;
    uint32_t entry;
    uint64_t page;

    if (!mec_page_of(s, pa, &page)) {
        return false;
    }
    WITH_QEMU_LOCK_GUARD(&s->lock) {
        entry = mec_entry(s, page);
    }
    state = MEC_ENTRY_STATE(entry);
    *mecid = MEC_ENTRY_OWNER(entry);
    *mixed = state == MEC_MIXED || state == MEC_OVER_DEFAULT;
    return true;
}

/*
 * The device
 */

/*
 * Before firmware is loaded anew. Nobody can read what was written before:
 * hardware would have made new keys. No CPU runs, and each flushes its TLB.
 */
static void mec_reset_enter(Object *obj, ResetType type)
{
    ARMMECState *s = ARM_MEC(obj);

    QEMU_LOCK_GUARD(&s->lock);
    g_hash_table_remove_all(s->uses);
    for (uint64_t page = 0; page < s->size >> MEC_PAGE_BITS; page++) {
        uint32_t entry = mec_entry(s, page);

        if (MEC_ENTRY_OWNER(entry)) {
            mec_convert_page(s, page, 0, MEC_PURE);
        } else if (entry) {
            mec_set_entry(s, page, 0);
        }
    }
}

static void mec_realize(DeviceState *dev, Error **errp)
{
    ARMMECState *s = ARM_MEC(dev);

    if (!s->ram || !memory_region_is_ram(s->ram)) {
        error_setg(errp, "arm-mec: property 'ram' must be set to RAM");
        return;
    }
    s->size = memory_region_size(s->ram);
    if ((s->base | s->size) & (MEC_PAGE_SIZE - 1)) {
        error_setg(errp, "arm-mec: RAM must consist of 4 KiB pages");
        return;
    }
    if (!memory_region_init_ram(&s->table_mr, OBJECT(dev), "arm-mec.pages",
                                s->size / MEC_PAGE_SIZE * 4, errp)) {
        return;
    }
    s->table = memory_region_get_ram_ptr(&s->table_mr);
    s->host = memory_region_get_ram_ptr(s->ram);
    memory_region_init(&s->ram_root, OBJECT(dev), "arm-mec-ram", UINT64_MAX);
    memory_region_init_alias(&s->ram_alias, OBJECT(dev), "arm-mec-ram-alias",
                             s->ram, 0, s->size);
    memory_region_add_subregion(&s->ram_root, s->base, &s->ram_alias);
    address_space_init(&s->ram_as, &s->ram_root, "arm-mec-ram");

    memory_region_init(&s->view, OBJECT(dev), "arm-mec-view", UINT64_MAX);
    memory_region_init_io(&s->view_io, OBJECT(dev), &mec_view_ops, s,
                          "arm-mec-view-ram", s->size);
    /* Devices that reach RAM by the view do not come in here twice. */
    s->view_io.disable_reentrancy_guard = true;
    memory_region_add_subregion(&s->view, s->base, &s->view_io);
}

static void mec_init(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    qemu_mutex_init(&s->lock);
    s->uses = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
}

static void mec_finalize(Object *obj)
{
    ARMMECState *s = ARM_MEC(obj);

    g_hash_table_destroy(s->uses);
    qemu_mutex_destroy(&s->lock);
}

static const Property mec_properties[] = {
    DEFINE_PROP_LINK("ram", ARMMECState, ram, TYPE_MEMORY_REGION,
                     MemoryRegion *),
    DEFINE_PROP_UINT64("base", ARMMECState, base, 0),
    DEFINE_PROP_BOOL("deadbeef", ARMMECState, deadbeef, true),
};

static void mec_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->realize = mec_realize;
    dc->desc = "Arm memory encryption contexts";
    dc->user_creatable = false;
    device_class_set_props(dc, mec_properties);
    rc->phases.enter = mec_reset_enter;
}

static const TypeInfo mec_type_info = {
    .name = TYPE_ARM_MEC,
    .parent = TYPE_SYS_BUS_DEVICE,
    .instance_size = sizeof(ARMMECState),
    .instance_init = mec_init,
    .instance_finalize = mec_finalize,
    .class_init = mec_class_init,
};

static void mec_register_types(void)
{
    type_register_static(&mec_type_info);
}

type_init(mec_register_types)
