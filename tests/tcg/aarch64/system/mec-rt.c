/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runtime of the FEAT_MEC bare-metal tests. See mec-rt.h.
 */

#include "mec-rt.h"

#define GICD        0x08000000UL
#define GICR        0x080a0000UL
#define GICR_STRIDE 0x20000UL
#define GICR_SGI    0x10000UL
#define TIMER_PPI   29      /* the EL3 (secure physical) timer */

unsigned mec_watchdog = 1;  /* seconds */

#define RAM_BASE    0x40000000UL
#define ARENA_BASE  0x42000000UL
#define ARENA_END   0x4f000000UL

struct mec_cpu mec_cpus[MEC_MAX_CPUS] __attribute__((aligned(64)));

static char cmdline[256];
static char line[512];
static unsigned line_len;
static uint64_t arena = ARENA_BASE;

static int case_number;
static const char *case_what;
static bool case_failed, any_failed;

/* gcc makes calls to these out of loops and structure copies. */
void *memset(void *to, int c, size_t n)
{
    uint8_t *p = to;

    while (n--) {
        ST(p++, c);
    }
    return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *p = to;
    const uint8_t *q = from;

    while (n--) {
        ST(p++, *q++);
    }
    return to;
}

int mec_cpu_id(void)
{
    return rd(mpidr_el1) & 0xff;
}

/* --- Reports --- */

void mec_flush(void)
{
    line[line_len] = '\0';
    mec_puts(line);
    line_len = 0;
}

void __sys_outc(char c)
{
    line[line_len++] = c;
    if (c == '\n' || line_len == sizeof(line) - 1) {
        mec_flush();
    }
}

void mec_case(int number, const char *what)
{
    case_number = number;
    case_what = what;
    case_failed = false;
}

void mec_fail(void)
{
    case_failed = any_failed = true;
}

bool mec_failing(void)
{
    return case_failed;
}

void mec_done(void)
{
    static const char * const status[] = { "ok", "not ok" };

    ml_printf("%s %d - case %d: %s\n", status[case_failed], case_number,
              case_number, case_what);
}

void mec_panic(uint64_t esr, uint64_t elr, uint64_t far)
{
    ml_printf("# EL3 exception: ESR 0x%lx ELR 0x%lx FAR 0x%lx\n",
              esr, elr, far);
    mec_fail();
    mec_done();
    mec_exit(1);
}

/* Value of "name=" on the semihosting command line, up to a space; or NULL. */
const char *mec_arg(const char *name)
{
    const char *p = cmdline, *n;

    while (*p) {
        for (n = name; *n && *p == *n; n++, p++) {
        }
        if (!*n && *p == '=') {
            return p + 1;
        }
        while (*p && *p != ' ') {
            p++;
        }
        while (*p == ' ') {
            p++;
        }
    }
    return NULL;
}

uint64_t mec_arg_num(const char *name, uint64_t otherwise)
{
    const char *p = mec_arg(name);
    uint64_t v = 0;

    if (!p) {
        return otherwise;
    }
    while (*p >= '0' && *p <= '9') {
        v = v * 10 + *p++ - '0';
    }
    return v;
}

/* The machine's mec-mismatch=, as told by arg=mode=...; deadbeef if untold. */
bool mec_deadbeef(void)
{
    const char *p = mec_arg("mode");

    return !p || *p == 'd';
}

uint64_t mec_ticks(void)
{
    isb();
    return rd(cntpct_el0);
}

uint64_t mec_ticks_per_second(void)
{
    return rd(cntfrq_el0);
}

/* --- Physical memory --- */

uint64_t mec_pages(unsigned n, uint64_t align)
{
    uint64_t pa = (arena + align - 1) & ~(align - 1);

    arena = pa + n * 4096UL;
    if (arena > ARENA_END) {
        ml_printf("Bail out! the arena is used up\n");
        mec_exit(1);
    }
    return pa;
}

/* A page that no test has touched yet: zero, context 0. */
uint64_t mec_page(void)
{
    return mec_pages(1, 4096);
}

/* No TLB maintenance: R_LPNPC and R_VKDBG forbid that MECIDs are cached. */
void mec_set(uint16_t mecid)
{
    wr(MECID_RL_A_EL3, mecid);
    isb();
}

uint64_t mec_rw(enum mec_win w, uint64_t pa)
{
    return LD((uint64_t *)mec_va(w, pa));
}

void mec_ww(enum mec_win w, uint64_t pa, uint64_t val)
{
    ST((uint64_t *)mec_va(w, pa), val);
}

uint64_t mec_r(uint16_t mecid, uint64_t pa)
{
    mec_set(mecid);
    return mec_rw(WIN_REALM, pa);
}

void mec_w(uint16_t mecid, uint64_t pa, uint64_t val)
{
    mec_set(mecid);
    mec_ww(WIN_REALM, pa, val);
}

uint8_t mec_rb(uint16_t mecid, uint64_t pa)
{
    mec_set(mecid);
    return LD((uint8_t *)mec_va(WIN_REALM, pa));
}

void mec_wb(uint16_t mecid, uint64_t pa, uint8_t val)
{
    mec_set(mecid);
    ST((uint8_t *)mec_va(WIN_REALM, pa), val);
}

void mec_put(uint16_t mecid, uint64_t pa, const void *from, size_t n)
{
    mec_set(mecid);
    memcpy(mec_va(WIN_REALM, pa), from, n);
    dsb();
}

void mec_fill(uint16_t mecid, uint64_t pa, uint64_t val, size_t n)
{
    uint64_t *p = mec_va(WIN_REALM, pa);

    mec_set(mecid);
    for (n /= 8; n; n--) {
        ST(p++, val);
    }
    dsb();
}

bool mec_differ(uint64_t a, uint64_t b)
{
    uint64_t d = a ^ b;

    return (uint32_t)d && (d >> 32);
}

uint64_t mec_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15UL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
    return z ^ (z >> 31);
}

/* A value not used before. */
uint64_t mec_value(void)
{
    static uint64_t seed = 1;

    return mec_random(&seed);
}

void mec_cipapa(uint64_t pa_and_space)
{
    asm volatile("sys #6, c7, c14, #1, %0" : : "r" (pa_and_space) : "memory");
}

void mec_cipapa_page(uint64_t pa_and_space)
{
    unsigned i;

    dsb();
    for (i = 0; i < 64; i++) {
        mec_cipapa(pa_and_space + i * 64);
    }
    dsb();
}

void mec_cipae_page_el3(uint64_t pa_and_space)
{
    unsigned i;

    dsb();
    for (i = 0; i < 64; i++) {
        asm volatile("sys #4, c7, c14, #0, %0" : :
                     "r" (pa_and_space + i * 64) : "memory");
    }
    dsb();
}

/* --- Translation --- */

uint64_t mec_tt_read(struct mec_tt *tt, uint64_t pte)
{
    mec_set(tt->mecid);
    return mec_rw(tt->win, pte);
}

void mec_tt_write(struct mec_tt *tt, uint64_t pte, uint64_t val)
{
    mec_set(tt->mecid);
    mec_ww(tt->win, pte, val);
    dsb();
}

static uint64_t tt_new(struct mec_tt *tt)
{
    uint64_t pa = mec_page();
    unsigned i;

    for (i = 0; i < 512; i++) {
        mec_tt_write(tt, pa + i * 8, 0);
    }
    return pa;
}

void mec_tt_init(struct mec_tt *tt, enum mec_win win, uint16_t mecid)
{
    tt->win = win;
    tt->mecid = mecid;
    tt->bias = 0;
    tt->root = tt_new(tt);
}

uint64_t mec_pte(struct mec_tt *tt, uint64_t va, int level)
{
    uint64_t table = tt->root, pte, d;
    int l;

    for (l = 1; ; l++) {
        pte = table + ((va >> (12 + 9 * (3 - l))) & 511) * 8;
        if (l == level) {
            return pte;
        }
        d = mec_tt_read(tt, pte);
        if ((d & 3) == PTE_TABLE) {
            table = (d & 0xfffffff000UL) - tt->bias;
        } else {
            table = tt_new(tt);
            mec_tt_write(tt, pte, (table + tt->bias) | PTE_TABLE);
        }
    }
}

void mec_map(struct mec_tt *tt, uint64_t va, uint64_t pa, int level,
             uint64_t flags)
{
    uint64_t pte = mec_pte(tt, va, level);

    mec_tt_write(tt, pte, pa | flags | (level == 3 ? PTE_PAGE : PTE_BLOCK));
}

void mec_tlbi(void)
{
    dsb();
    asm volatile("tlbi alle1is" : : : "memory");
    asm volatile("tlbi alle2is" : : : "memory");
    dsb();
    isb();
}

static void gpt_tlbi(void)
{
    dsb();
    asm volatile("sys #6, c8, c7, #4" : : : "memory");      /* TLBI PAALL */
    dsb();
    isb();
}

void mec_gpt_give(uint64_t pa, unsigned gpi)
{
    static uint64_t l0, l1;
    uint64_t page = (pa - RAM_BASE) >> 12, at, bit;
    unsigned i;

    if (!l0) {
        l0 = mec_page();
        l1 = mec_pages(32, 32 * 4096);
        for (i = 0; i < 4; i++) {
            /* GiB 1 by a table, the others open */
            mec_ww(WIN_ROOT, l0 + i * 8, i == 1 ? l1 | 3 : 0xf1);
        }
    }
    for (i = 0; i < 32 * 512; i++) {
        mec_ww(WIN_ROOT, l1 + i * 8, ~0UL);
    }
    at = l1 + page / 16 * 8;
    bit = page % 16 * 4;
    mec_ww(WIN_ROOT, at, ~(0xfUL << bit) | (uint64_t)gpi << bit);
    wr(GPTBR_EL3, l0 >> 12);
    wr(GPCCR_EL3, MEC_BIT(16) | 2 << 12);
    gpt_tlbi();
}

void mec_gpt_on(uint64_t ns_pa)
{
    mec_gpt_give(ns_pa, GPI_NS);
}

void mec_gpt_off(void)
{
    isb();
    wr(GPCCR_EL3, 0);
    gpt_tlbi();
}

/* EL3's own tables: 1 GiB blocks only. Runs with the MMU off. */
void mec_build_el3_tables(void)
{
    static const uint64_t flags[WIN_COUNT] = {
        [WIN_ROOT] = PTE_NSE,
        [WIN_REALM] = PTE_NSE | PTE_NS,
        [WIN_NS] = PTE_NS,
        [WIN_SECURE] = 0,
        [WIN_REALM_B63] = PTE_NSE | PTE_NS | PTE_AMEC,
        [WIN_REALM_NC] = PTE_NSE | PTE_NS | PTE_ATTR(2),
        [WIN_REALM_TAG] = PTE_NSE | PTE_NS | PTE_ATTR(3),
    };
    unsigned w;

    for (w = 0; w < WIN_COUNT; w++) {
        mec_el3_l1[w * 16] = PTE_BLOCK | PTE_AF | PTE_ATTR(1) |
                             (w == WIN_NS ? PTE_NS : 0);
        mec_el3_l1[w * 16 + 1] = RAM_BASE | PTE_BLOCK | PTE_S1 | flags[w];
    }
}

/* --- Watchdog: garbage that is executed may loop --- */

static void mmio_w32(uint64_t pa, uint32_t val)
{
    ST((uint32_t *)pa, val);
}

static void watchdog_init(void)
{
    uint64_t r = GICR + mec_cpu_id() * GICR_STRIDE;

    mmio_w32(GICD, 0x11);                       /* group 0, ARE_S */
    mmio_w32(r + 0x14, 0);                      /* wake up */
    mmio_w32(r + GICR_SGI + 0x80, ~(1U << TIMER_PPI));
    mmio_w32(r + GICR_SGI + 0x100, 1U << TIMER_PPI);
    wr(ICC_SRE_EL3, 0xf);
    isb();
    wr(ICC_PMR_EL1, 0xff);
    wr(ICC_IGRPEN0_EL1, 1);
    isb();
}

static void watchdog_arm(void)
{
    wr(CNTPS_CVAL_EL1, mec_ticks() + rd(cntfrq_el0) * mec_watchdog);
    wr(CNTPS_CTL_EL1, 1);
}

static void watchdog_stop(void)
{
    wr(CNTPS_CTL_EL1, 0);
    isb();
}

/* --- Worlds --- */

uint64_t mec_scr(uint64_t world)
{
    return world | SCR_FIQ | SCR_HCE | SCR_RW | SCR_ATA | SCR_TCR2EN |
           SCR_SCTLR2EN | SCR_MECEN | SCR_EEL2 | (3 << 4);
}

void mec_load_world(const struct mec_world *w)
{
    wr(scr_el3, w->scr);
    isb();
    wr(hcr_el2, w->hcr);
    isb();
    wr(SCTLR2_EL2, w->sctlr2_el2);
    wr(TCR2_EL2, w->tcr2_el2);
    wr(mair_el2, MEC_MAIR);
    wr(tcr_el2, w->tcr_el2);
    wr(ttbr0_el2, w->ttbr0_el2);
    wr(TTBR1_EL2, w->ttbr1_el2);
    wr(vbar_el2, w->vbar_el2);
    wr(sctlr_el2, w->sctlr_el2 | MEC_SCTLR_RES1);
    wr(vtcr_el2, w->vtcr);
    wr(vttbr_el2, w->vttbr);
    wr(mair_el1, MEC_MAIR);
    wr(tcr_el1, w->tcr_el1);
    wr(ttbr0_el1, w->ttbr0_el1);
    wr(vbar_el1, w->vbar_el1);
    wr(sctlr_el1, w->sctlr_el1 | MEC_SCTLR_EL1);
    /* No trap of FP, SVE and SME, in either format of CPTR_EL2. */
    wr(cptr_el2, w->hcr & HCR_E2H ? 0x3330000 : 0x2ff & ~0x100UL);
    wr(cpacr_el1, 0x3330000);
    isb();
}

void mec_agent_at(uint16_t mecid, uint64_t pa)
{
    mec_put(mecid, pa, mec_agent, mec_agent_end - mec_agent);
    asm volatile("ic ialluis" : : : "memory");
    dsb();
    isb();
}

uint64_t mec_agent_page(uint16_t mecid)
{
    uint64_t pa = mec_page();

    mec_agent_at(mecid, pa);
    return pa;
}

enum mec_end mec_run(struct mec_regs *r)
{
    unsigned imm, el;

    watchdog_arm();
    mec_enter(r);
    watchdog_stop();
    if (r->vec == MEC_VEC_FIQ) {
        return END_HANG;
    }
    if (r->vec != MEC_VEC_SYNC || ESR_EC(r->esr3) != 0x17) {
        return END_EL3;
    }
    imm = r->esr3 & 0xffff;
    el = (r->spsr3 >> 2) & 3;
    if (imm == 0) {
        return END_DONE;
    }
    if (ESR_EC(el == 1 ? r->esr1 : r->esr2) == EC_SVC) {
        return END_DONE;        /* an operation's end at EL0 */
    }
    return el == 2 ? END_FAULT2 : END_FAULT1;
}

enum mec_end mec_op(struct mec_regs *r, uint64_t el, uint64_t agent_va,
                    uint64_t op, uint64_t x0, uint64_t x1, uint64_t x2)
{
    *r = (struct mec_regs) {
        .x = { x0, x1, x2, [6] = el == EL0 },
        .elr = agent_va + op, .spsr = el,
    };
    return mec_run(r);
}

/* --- Start --- */

int mec_cpu_count(void)
{
    return mec_arg_num("cpus", 1);
}

static struct call {
    mec_fn *fn;         /* NULL: idle */
    void *arg;
    uint64_t result;
} __attribute__((aligned(64))) calls[MEC_MAX_CPUS];

/*
 * Sleep until another CPU's SEV, but not for long: 11.1.1 can lose one that
 * meets a CPU going to sleep.
 */
static void wait_event(void)
{
    uint64_t until = rd(cntvct_el0) + rd(cntfrq_el0) / 1000;

    asm volatile(".arch armv8.7-a\nwfet %0\n.arch armv8.5-a" : :
                 "r" (until) : "memory");
}

static void send_event(void)
{
    asm volatile("dsb sy; sev" : : : "memory");
}

void mec_start_on(int cpu, mec_fn *fn, void *arg)
{
    calls[cpu].arg = arg;
    __atomic_store_n(&calls[cpu].fn, fn, __ATOMIC_RELEASE);
    send_event();
}

uint64_t mec_wait_for(int cpu)
{
    while (__atomic_load_n(&calls[cpu].fn, __ATOMIC_ACQUIRE)) {
        wait_event();
    }
    return calls[cpu].result;
}

uint64_t mec_on(int cpu, mec_fn *fn, void *arg)
{
    if (cpu == mec_cpu_id()) {
        return fn(arg);
    }
    mec_start_on(cpu, fn, arg);
    return mec_wait_for(cpu);
}

static void serve(struct call *call)
{
    mec_fn *fn;

    for (;;) {
        fn = __atomic_load_n(&call->fn, __ATOMIC_ACQUIRE);
        if (!fn) {
            wait_event();
            continue;
        }
        call->result = fn(call->arg);
        __atomic_store_n(&call->fn, NULL, __ATOMIC_RELEASE);
        send_event();
    }
}

void mec_start(int cpu)
{
    struct { char *buf; uint64_t len; } block = { cmdline, sizeof(cmdline) };

    wr(scr_el3, mec_scr(WORLD_REALM));
    wr(SCTLR2_EL3, SCTLR2_EMEC);
    isb();
    watchdog_init();
    if (cpu) {
        serve(&calls[cpu]);
    }
    mec_semihost(0x15, &block);         /* SYS_GET_CMDLINE */
    mec_main();
    mec_flush();
    mec_exit(any_failed);
}
