/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a granule, as TF-RMM and TF-A lead it: cases 48-50. A granule
 * is delegated, belongs to one realm after another or to RMM itself, and goes
 * back to the Non-secure world, where devices write to it.
 *
 * The steps of RMM run at R-EL2 in the way RMM is set up (E2H=1, A1=1, slots
 * with AMEC=1 through TTBR1 and MECID_A1_EL2), those of TF-A at EL3. With
 * cpus=2, each step runs on the CPU that did not run the one before.
 */

#include "mec-rt.h"
#include "mec-fwcfg.h"
#include "mec-virtio.h"

#define HIGH    0xffffff8000000000UL
#define CODE_VA 0x80000000UL
#define SLOT_RD_VA (HIGH | 0x10000000UL)        /* AMEC=0 */
#define SLOT_REALM_VA (HIGH | 0x20000000UL)     /* AMEC=1 */
#define GRANULES 8
#define WORDS   512

/* The file opt/mec/pattern: word i is PATTERN + i */
#define PATTERN 0x4d45432d00000000UL

static uint64_t granule[GRANULES];
static uint64_t agent[MEC_MAX_CPUS];
static struct mec_tt low[MEC_MAX_CPUS], high[MEC_MAX_CPUS];
static uint16_t pattern_key;
static struct virtio_disk disk;
static int turn;

/* --- RMM's side --- */

struct slot_op {
    uint64_t pa, op, x1, x2;
    uint16_t mecid;
    bool realm;             /* the slot with AMEC=1 */
    enum mec_end end;
};

static uint64_t rmm_set_up(void *arg)
{
    int cpu = mec_cpu_id();
    struct mec_world w = {
        .scr = mec_scr(WORLD_REALM), .hcr = HCR_RW | HCR_E2H,
        .sctlr2_el2 = SCTLR2_EMEC, .tcr2_el2 = TCR2_AMEC1,
        .sctlr_el2 = SCTLR_M | SCTLR_C | SCTLR_I,
        .tcr_el2 = MEC_TCR_E2H1 | TCR_A1,
        .ttbr0_el2 = low[cpu].root, .ttbr1_el2 = high[cpu].root,
        .vbar_el2 = CODE_VA,
    };

    wr(MECID_P0_EL2, 0);
    wr(MECID_P1_EL2, 0);
    wr(MECID_A0_EL2, 0);
    wr(MECID_A1_EL2, 0);
    mec_load_world(&w);
    mec_tlbi();
    return 0;
}

/* Map a slot, use it, unmap it, with the maintenance that RMM does. */
static uint64_t slot_run(void *arg)
{
    struct slot_op *s = arg;
    int cpu = mec_cpu_id();
    uint64_t va = s->realm ? SLOT_REALM_VA : SLOT_RD_VA;
    uint64_t pte = mec_pte(&high[cpu], va, 3);
    struct mec_regs r;

    wr(MECID_A1_EL2, s->realm ? s->mecid : 0);
    isb();
    mec_tt_write(&high[cpu], pte, s->pa | PTE_PAGE | PTE_S1 |
                 (s->realm ? PTE_AMEC : 0));
    isb();
    s->end = mec_op(&r, EL2, CODE_VA, s->op, va, s->x1, s->x2);
    mec_tt_write(&high[cpu], pte, 0);
    asm volatile("tlbi vae2, %0; dsb sy; isb" : :
                 "r" (va >> 12 & 0xfffffffffffUL) : "memory");
    wr(MECID_A1_EL2, 0);
    isb();
    return r.x[0];
}

static uint64_t rmm_cipae(void *arg)
{
    struct mec_regs r;

    return mec_op(&r, EL2, CODE_VA, OP(cipae),
                  *(uint64_t *)arg | PA_NS | PA_NSE, 0, 0);
}

static int next_cpu(void)
{
    return turn++ % mec_cpu_count();
}

static uint64_t slot(uint64_t pa, int mecid, uint64_t op, uint64_t x1,
                     uint64_t x2)
{
    struct slot_op s = {
        .pa = pa, .op = op, .x1 = x1, .x2 = x2, .mecid = mecid,
        .realm = mecid >= 0,
    };
    uint64_t result = mec_on(next_cpu(), slot_run, &s);

    MEC_CHECK(s.end == END_DONE, "R-EL2 took an exception: end %d", s.end);
    return result;
}

#define RMM_OWN (-1)    /* the slot with AMEC=0, MECID_P1 = 0 */

static void destroy(uint64_t pa)
{
    MEC_CHECK(mec_on(next_cpu(), rmm_cipae, &pa) == END_DONE, "DC CIPAE");
}

/* --- TF-A's side --- */

static uint64_t change_pas_step(void *arg)
{
    uint64_t pa = *(uint64_t *)arg;

    mec_cipapa_page(pa | PA_NS | PA_NSE);
    asm volatile("tlbi alle1is; tlbi alle2is; dsb sy; isb" : : : "memory");
    mec_cipapa_page(pa | PA_NS);
    return 0;
}

static void change_pas(uint64_t pa)
{
    mec_on(next_cpu(), change_pas_step, &pa);
}

/* --- The Non-secure world's side --- */

struct ns_scan {
    uint64_t pa, first, step;
};

static uint64_t ns_count_step(void *arg)
{
    struct ns_scan *s = arg;
    uint64_t i, wrong = 0;

    for (i = 0; i < WORDS; i++) {
        wrong += mec_rw(WIN_NS, s->pa + i * 8) != s->first + i * s->step;
    }
    return wrong;
}

/* How many of a page's words are not first, first + step, ... */
static uint64_t ns_wrong(uint64_t pa, uint64_t first, uint64_t step)
{
    struct ns_scan s = { pa, first, step };

    return mec_on(next_cpu(), ns_count_step, &s);
}

static uint64_t dma_step(void *arg)
{
    return fw_cfg_dma(pattern_key, *(uint64_t *)arg, 4096);
}

static bool dma(uint64_t pa)
{
    return mec_on(next_cpu(), dma_step, &pa);
}

struct disk_io {
    bool write;
    uint64_t sector, pa;
};

static uint64_t disk_step(void *arg)
{
    struct disk_io *io = arg;

    return virtio_disk_rw(&disk, io->write, io->sector, io->pa);
}

static uint64_t ns_zero_step(void *arg)
{
    unsigned i;

    for (i = 0; i < WORDS; i++) {
        mec_ww(WIN_NS, *(uint64_t *)arg + i * 8, 0);
    }
    return 0;
}

/* The page to the disk, cleared, and back: DMA in both directions. */
static void disk_round_trip(uint64_t pa, unsigned n)
{
    struct disk_io io = { true, n * 8, pa };

    MEC_CHECK(mec_on(next_cpu(), disk_step, &io), "disk write");
    mec_on(next_cpu(), ns_zero_step, &pa);
    io.write = false;
    MEC_CHECK(mec_on(next_cpu(), disk_step, &io), "disk read");
    MEC_CHECK(ns_wrong(pa, PATTERN, 1) == 0, "NS does not read the disk");
}

/* --- The cases --- */

static void realm_life(uint64_t pa, uint16_t mecid)
{
    uint64_t first = mec_value();

    slot(pa, mecid, OP(zero), 0, 0);
    MEC_CHECK(slot(pa, mecid, OP(count), 0, 1) == 0, "not zeroed");
    slot(pa, mecid, OP(fill), first, WORDS);
    MEC_CHECK(slot(pa, mecid, OP(count), first, WORDS) == 0,
              "MECID %d does not read back", mecid);
    MEC_CHECK(slot(pa, mecid ^ 1, OP(count), first, WORDS) == WORDS,
              "MECID %d reads it", mecid ^ 1);
    MEC_CHECK(ns_wrong(pa, first, 1) == WORDS, "NS reads it");
    destroy(pa);
    MEC_CHECK(ns_wrong(pa, first, 1) == WORDS, "NS reads it after CIPAE");
}

/* A realm descriptor: pointers that R-EL2 follows, in RMM's own context. */
static void metadata_life(uint64_t pa)
{
    uint64_t i;

    slot(pa, RMM_OWN, OP(zero), 0, 0);
    for (i = 0; i < WORDS; i++) {
        mec_w(0, pa + i * 8, SLOT_RD_VA + (i + 5) % WORDS * 8);
    }
    MEC_CHECK(slot(pa, RMM_OWN, OP(chase), WORDS, 0) == SLOT_RD_VA,
              "pointers are damaged");
    destroy(pa);
}

static void one_round(unsigned round)
{
    uint64_t seed = round;
    uint16_t mecid = 1 + mec_random(&seed) % 0xff00;
    unsigned g;

    for (g = 0; g < GRANULES && !mec_failing(); g++) {
        uint64_t pa = granule[g];

        change_pas(pa);                         /* delegate */
        if ((round + g) & 1) {
            metadata_life(pa);
        }
        realm_life(pa, mecid);
        if ((round + g) & 2) {
            metadata_life(pa);
            realm_life(pa, mecid + 1 + g);
        }
        slot(pa, RMM_OWN, OP(zero), 0, 0);      /* undelegate */
        change_pas(pa);
        MEC_CHECK(ns_wrong(pa, 0, 0) == 0, "NS does not read zeros");
        MEC_CHECK(dma(pa), "fw_cfg DMA");
        MEC_CHECK(ns_wrong(pa, PATTERN, 1) == 0, "NS does not read the DMA");
        if (disk.base) {
            disk_round_trip(pa, g);
        }
    }
    MEC_CHECK(!mec_failing(), "round %d, MECID %d", round, mecid);
}

static void life_cycle(void)
{
    unsigned i, rounds = mec_arg_num("rounds", 100);
    uint64_t ticks = mec_ticks();

    mec_case(48, "destroy and relaunch: granules recycled with DMA between");
    for (i = 0; i < rounds && !mec_failing(); i++) {
        one_round(i);
    }
    MEC_CHECK(disk.base || !mec_arg_num("disk", 0), "there is no disk");
    ml_printf("# %d rounds of %d granules on %d CPUs, %s disk, %d ms\n", i,
              GRANULES, mec_cpu_count(), disk.base ? "a" : "no",
              (int)((mec_ticks() - ticks) / (mec_ticks_per_second() / 1000)));
    mec_done();
}

static void scrub_under_another(void)
{
    unsigned i;

    mec_case(49, "scrubbed under MECID 1: NS reads no zeros; DMA is right");
    for (i = 0; i < 10 && !mec_failing(); i++) {
        uint64_t pa = granule[i % GRANULES];

        change_pas(pa);
        realm_life(pa, 3 + i);
        slot(pa, 1, OP(zero), 0, 0);
        change_pas(pa);
        /* Every other time the device is the first to touch the page. */
        if (i & 1) {
            MEC_CHECK(ns_wrong(pa, 0, 0) == WORDS, "NS reads zeros");
        }
        MEC_CHECK(dma(pa), "fw_cfg DMA");
        MEC_CHECK(ns_wrong(pa, PATTERN, 1) == 0, "NS does not read the DMA");
    }
    mec_done();
}

static void dma_without_maintenance(void)
{
    uint64_t pa = granule[0], first = mec_value();

    mec_case(50, "DMA into a Realm page without maintenance is MECID 0's");
    slot(pa, 3, OP(fill), first, WORDS);
    MEC_CHECK(dma(pa), "fw_cfg DMA");
    MEC_CHECK(ns_wrong(pa, PATTERN, 1) == 0, "NS does not read the DMA");
    MEC_CHECK(slot(pa, 3, OP(count), first, WORDS) == WORDS,
              "3 still reads its own");
    MEC_CHECK(slot(pa, 4, OP(count), first, WORDS) == WORDS, "4 reads 3's");
    /* The usual sequence makes it a good page again. */
    destroy(pa);
    slot(pa, RMM_OWN, OP(zero), 0, 0);
    change_pas(pa);
    MEC_CHECK(dma(pa), "fw_cfg DMA");
    MEC_CHECK(ns_wrong(pa, PATTERN, 1) == 0, "NS does not read the DMA");
    mec_done();
}

void mec_main(void)
{
    int cpu, i;

    pattern_key = fw_cfg_find("opt/mec/pattern");
    if (!pattern_key) {
        ml_printf("Bail out! -fw_cfg name=opt/mec/pattern is missing\n");
        return;
    }
    if (!mec_arg_num("disk", 1) || !virtio_disk_init(&disk)) {
        disk.base = 0;
    }
    for (i = 0; i < GRANULES; i++) {
        granule[i] = mec_page();
    }
    for (cpu = 0; cpu < mec_cpu_count(); cpu++) {
        agent[cpu] = mec_agent_page(0);
        mec_tt_init(&low[cpu], WIN_REALM, 0);
        mec_tt_init(&high[cpu], WIN_REALM, 0);
        mec_map(&low[cpu], CODE_VA, agent[cpu], 3, PTE_S1);
        mec_on(cpu, rmm_set_up, NULL);
    }
    life_cycle();
    scrub_under_another();
    dma_without_maintenance();
}
