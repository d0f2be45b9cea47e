/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runtime of the FEAT_MEC bare-metal tests.
 *
 * A test is an EL3 program. EL3 sees RAM through windows that differ in the
 * physical address space only; in the Realm window MECID_RL_A_EL3 chooses the
 * context, so EL3 is at once the director and the measuring instrument.
 * Lower Exception levels run the agent (mec-boot.S) in worlds that the test
 * describes with struct mec_world.
 */
#ifndef MEC_RT_H
#define MEC_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <minilib.h>
#include "mec-regs.h"

#define MEC_STR_(x) #x
#define MEC_STR(x) MEC_STR_(x)
#define rd(reg) ({ uint64_t v_; \
        asm volatile("mrs %0, " MEC_STR(reg) : "=r" (v_) : : "memory"); v_; })
#define wr(reg, val) \
        asm volatile("msr " MEC_STR(reg) ", %0" : : "r" ((uint64_t)(val)) \
                     : "memory")
#define isb() asm volatile("isb" : : : "memory")
#define dsb() asm volatile("dsb sy" : : : "memory")
/* One access of the pointer's size, made where and as it stands. */
#define LD(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define ST(p, val) __atomic_store_n(p, val, __ATOMIC_RELAXED)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Windows of EL3's address space, 16 GiB each: address = PA + window << 34. */
enum mec_win {
    WIN_ROOT, WIN_REALM, WIN_NS, WIN_SECURE,
    WIN_REALM_B63,      /* Realm, descriptor bit 63 set */
    WIN_REALM_NC,       /* Realm, non-cacheable */
    WIN_REALM_TAG,      /* Realm, with allocation tags */
    WIN_COUNT
};

static inline void *mec_va(enum mec_win w, uint64_t pa)
{
    return (void *)(pa + ((uint64_t)w << 34));
}

/* Filled by exceptions from lower ELs; layout known to mec-boot.S. */
struct mec_regs {
    uint64_t x[8], elr, spsr, vec;
    uint64_t esr3, far3, elr3, spsr3;
    uint64_t esr2, far2, elr2, hpfar2;
    uint64_t esr1, far1, elr1;
};

/* One a CPU, 64 bytes each; layout known to mec-boot.S. */
struct mec_cpu {
    uint64_t expect_fault, esr, far, faults;
    uint64_t pad[4];
};

/* Why a run at a lower EL ended. */
enum mec_end {
    END_DONE,           /* the operation completed */
    END_FAULT2,         /* an exception to EL2 */
    END_FAULT1,         /* an exception to EL1 */
    END_EL3,            /* an exception to EL3 other than the agent's SMC */
    END_HANG,           /* the watchdog bit */
};

/* All that a world needs; written by mec_load_world(). */
struct mec_world {
    uint64_t scr, hcr;
    uint64_t sctlr2_el2, tcr2_el2;
    uint64_t sctlr_el2, tcr_el2, ttbr0_el2, ttbr1_el2, vbar_el2;
    uint64_t vtcr, vttbr;
    uint64_t sctlr_el1, tcr_el1, ttbr0_el1, vbar_el1;
};

/* A translation table whose pages are written under one MECID. */
struct mec_tt {
    uint64_t root;
    enum mec_win win;
    uint16_t mecid;
    uint64_t bias;      /* of the addresses in table descriptors, to the PA */
};

extern unsigned mec_watchdog;   /* seconds that lower ELs may run at a time */
extern uint64_t mec_el3_l1[512];
extern struct mec_cpu mec_cpus[MEC_MAX_CPUS];
extern char mec_agent[], mec_agent_end[], mec_code[], mec_code_end[];
/* The agent's operations; what each does stands in mec-boot.S. */
extern char mec_op_nop[], mec_op_ld64[], mec_op_st64[], mec_op_stb[],
    mec_op_st_ld64[], mec_op_at_s1e2r[], mec_op_at_s1e2w[], mec_op_mrs_p0[],
    mec_op_msr_p0[], mec_op_mrs_vp[], mec_op_msr_va[], mec_op_msr_vp[],
    mec_op_mrs_a0[], mec_op_msr_p1[], mec_op_mrs_a1[], mec_op_mrs_mecidr[],
    mec_op_a1_ld64[], mec_op_cipae[], mec_op_fill[], mec_op_count[],
    mec_op_zero[], mec_op_chase[], mec_op_cpyf[], mec_op_wait[], mec_op_call[],
    mec_op_store_call[], mec_op_semihost[];
#define OP(name) ((uint64_t)(mec_op_##name - mec_agent))

/* mec-boot.S */
void mec_enter(struct mec_regs *r);
void mec_exit(int status) __attribute__((noreturn));
void mec_puts(const char *s);
void *memset(void *to, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int mec_semihost(uint64_t op, void *block);

/* The test program. */
void mec_main(void);
/* The CPUs there are, as told by arg=cpus=N. */
int mec_cpu_count(void);
/* Run fn(arg) on a CPU: at once, or started and waited for apart. */
typedef uint64_t mec_fn(void *arg);
uint64_t mec_on(int cpu, mec_fn *fn, void *arg);
void mec_start_on(int cpu, mec_fn *fn, void *arg);
uint64_t mec_wait_for(int cpu);

/* Reports. MEC_CHECK() notes a failure of the case that is open. */
void mec_case(int number, const char *what);
void mec_done(void);
void mec_fail(void);
bool mec_failing(void);
void mec_flush(void);
#define MEC_CHECK(cond, ...) ({ \
        bool ok_ = (cond); \
        if (!ok_) { \
            mec_fail(); \
            ml_printf("# %s:%d: ", __FILE_NAME__, __LINE__); \
            ml_printf(__VA_ARGS__); \
            ml_printf("\n"); \
        } \
        ok_; })
const char *mec_arg(const char *name);
uint64_t mec_arg_num(const char *name, uint64_t otherwise);
bool mec_deadbeef(void);
int mec_cpu_id(void);
uint64_t mec_ticks(void);
uint64_t mec_ticks_per_second(void);

/* Physical memory */
uint64_t mec_page(void);
uint64_t mec_pages(unsigned n, uint64_t align);
void mec_set(uint16_t mecid);
uint64_t mec_r(uint16_t mecid, uint64_t pa);
void mec_w(uint16_t mecid, uint64_t pa, uint64_t val);
uint64_t mec_rw(enum mec_win w, uint64_t pa);
void mec_ww(enum mec_win w, uint64_t pa, uint64_t val);
uint8_t mec_rb(uint16_t mecid, uint64_t pa);
void mec_wb(uint16_t mecid, uint64_t pa, uint8_t val);
void mec_put(uint16_t mecid, uint64_t pa, const void *from, size_t n);
void mec_fill(uint16_t mecid, uint64_t pa, uint64_t val, size_t n);
/* Differ in every aligned 32-bit word (reference 4, "!="). */
bool mec_differ(uint64_t a, uint64_t b);
uint64_t mec_value(void);
uint64_t mec_random(uint64_t *seed);
void mec_cipapa(uint64_t pa_and_space);
void mec_cipapa_page(uint64_t pa_and_space);
void mec_cipae_page_el3(uint64_t pa_and_space);
#define PA_NS  MEC_BIT(63)
#define PA_NSE MEC_BIT(62)

/* Translation */
void mec_tt_init(struct mec_tt *tt, enum mec_win win, uint16_t mecid);
void mec_map(struct mec_tt *tt, uint64_t va, uint64_t pa, int level,
             uint64_t flags);
/* Address of the level's descriptor for va. */
uint64_t mec_pte(struct mec_tt *tt, uint64_t va, int level);
void mec_tt_write(struct mec_tt *tt, uint64_t pte, uint64_t val);
uint64_t mec_tt_read(struct mec_tt *tt, uint64_t pte);
void mec_tlbi(void);

/* Granule protection: all is open, but one page is somebody's (Non-secure) */
#define GPI_NS      9
#define GPI_REALM   11
void mec_gpt_give(uint64_t pa, unsigned gpi);
void mec_gpt_on(uint64_t ns_pa);
void mec_gpt_off(void);

/* Worlds */
#define EL0 0x3c0
#define EL1 0x3c5
#define EL2 0x3c9
#define WORLD_REALM (SCR_NSE | SCR_NS)
#define WORLD_NS    SCR_NS
#define WORLD_SEC   SCR_EEL2
uint64_t mec_scr(uint64_t world);
void mec_load_world(const struct mec_world *w);
/* The agent, as a page fetched under mecid. */
uint64_t mec_agent_page(uint16_t mecid);
void mec_agent_at(uint16_t mecid, uint64_t pa);
enum mec_end mec_run(struct mec_regs *r);
/* Operation at agent_va; result in *out. */
enum mec_end mec_op(struct mec_regs *r, uint64_t el, uint64_t agent_va,
                    uint64_t op, uint64_t x0, uint64_t x1, uint64_t x2);

#define ESR_EC(esr)     (((esr) >> 26) & 0x3f)
#define ESR_FSC(esr)    ((esr) & 0x3f)
#define EC_UNKNOWN      0x00
#define EC_SVC          0x15
#define EC_SYSREG       0x18
#define EC_IABORT_LOW   0x20
#define EC_IABORT       0x21
#define EC_DABORT_LOW   0x24
#define EC_DABORT       0x25
#define FSC_TRANS(l)    (0x04 + (l))
#define FSC_AF(l)       (0x08 + (l))
#define FSC_GPF         0x28

#endif
