/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start-up, vectors and world switch of the FEAT_MEC tests.
 *
 * All CPUs of the virt machine start here at EL3, with the MMU off: without
 * firmware there is no PSCI. The tests are EL3 programs (mec-rt.h); what runs
 * at lower Exception levels is the "agent", position-independent code that a
 * test copies into a page of the context that is to fetch it.
 */

#define MEC_ASSEMBLER
#include "mec-regs.h"

#define semihosting_call hlt 0xf000

#define STACK_SIZE 0x4000

/* struct mec_cpu */
#define CPU_EXPECT      0
#define CPU_ESR         8
#define CPU_FAR         16
#define CPU_FAULTS      24

/* struct mec_regs */
#define R_X             0
#define R_ELR           64
#define R_SPSR          72
#define R_VEC           80
#define R_ESR3          88
#define R_FAR3          96
#define R_ELR3          104
#define R_SPSR3         112
#define R_ESR2          120
#define R_FAR2          128
#define R_ELR2          136
#define R_HPFAR2        144
#define R_ESR1          152
#define R_FAR1          160
#define R_ELR1          168

    .text
    .global __start
__start:
    mrs     x19, mpidr_el1
    and     x19, x19, #0xff
    adrp    x1, mec_stacks
    add     x1, x1, :lo12:mec_stacks
    add     x2, x19, #1
    mov     x3, #STACK_SIZE
    madd    x1, x2, x3, x1
    mov     sp, x1
    adr     x0, mec_vectors
    msr     vbar_el3, x0
    mov     x0, #(1 << 8) | (1 << 12)       /* CPTR_EL3.{EZ,ESM} */
    msr     cptr_el3, x0
    isb

    cbnz    x19, 1f
    bl      mec_build_el3_tables
    adrp    x0, mec_tables_ready
    mov     w1, #1
    add     x0, x0, :lo12:mec_tables_ready
    stlr    w1, [x0]
1:  adrp    x0, mec_tables_ready
    add     x0, x0, :lo12:mec_tables_ready
2:  ldar    w1, [x0]
    cbz     w1, 2b

    adrp    x0, mec_el3_l1
    msr     ttbr0_el3, x0
    ldr     x0, =MEC_MAIR
    msr     mair_el3, x0
    ldr     x0, =MEC_TCR_EL3
    msr     tcr_el3, x0
    tlbi    alle3
    dsb     sy
    isb
    ldr     x0, =(MEC_SCTLR_RES1 | SCTLR_M | SCTLR_C | SCTLR_I)
    msr     sctlr_el3, x0
    isb

    adrp    x0, mec_cpus
    add     x0, x0, :lo12:mec_cpus
    add     x0, x0, x19, lsl #6
    msr     tpidr_el3, x0
    mov     x0, x19
    bl      mec_start
    b       .

    /* void mec_exit(int status) */
    .global mec_exit
mec_exit:
    mov     w1, w0
    ldr     x0, =0x20026                /* ADP_Stopped_ApplicationExit */
    stp     x0, x1, [sp, #-16]!
    mov     x1, sp
    mov     x0, #0x18                   /* SYS_EXIT */
    semihosting_call
    b       .

    /* void mec_puts(const char *s) */
    .global mec_puts
mec_puts:
    mov     x1, x0
    mov     x0, #4                      /* SYS_WRITE0 */
    semihosting_call
    ret

    /* int mec_semihost(uint64_t op, void *block) */
    .global mec_semihost
mec_semihost:
    semihosting_call
    ret

    /* void mec_enter(struct mec_regs *r): run at r->elr until EL3 is entered */
    .global mec_enter
mec_enter:
    sub     sp, sp, #112
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    str     x0, [sp, #96]
    ldp     x1, x2, [x0, #R_ELR]
    msr     elr_el3, x1
    msr     spsr_el3, x2
    ldp     x2, x3, [x0, #R_X + 16]
    ldp     x4, x5, [x0, #R_X + 32]
    ldp     x6, x7, [x0, #R_X + 48]
    ldp     x0, x1, [x0, #R_X]
    eret

mec_leave:
    ldr     x0, [sp, #(16 + 96)]
    str     x1, [x0, #R_VEC]
    stp     x2, x3, [x0, #R_X + 16]
    stp     x4, x5, [x0, #R_X + 32]
    stp     x6, x7, [x0, #R_X + 48]
    ldp     x2, x3, [sp], #16
    stp     x2, x3, [x0, #R_X]
    mrs     x1, esr_el3
    mrs     x2, far_el3
    stp     x1, x2, [x0, #R_ESR3]
    mrs     x1, elr_el3
    mrs     x2, spsr_el3
    stp     x1, x2, [x0, #R_ELR3]
    mrs     x1, esr_el2
    mrs     x2, far_el2
    stp     x1, x2, [x0, #R_ESR2]
    mrs     x1, elr_el2
    mrs     x2, hpfar_el2
    stp     x1, x2, [x0, #R_ELR2]
    mrs     x1, esr_el1
    mrs     x2, far_el1
    stp     x1, x2, [x0, #R_ESR1]
    mrs     x1, elr_el1
    str     x1, [x0, #R_ELR1]
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    add     sp, sp, #112
    ret

mec_el3_sync:
    /* x0, x1 are on the stack; x0 is struct mec_cpu */
    ldr     x1, [x0, #CPU_EXPECT]
    cbz     x1, mec_el3_unexpected
    mrs     x1, esr_el3
    str     x1, [x0, #CPU_ESR]
    mrs     x1, far_el3
    str     x1, [x0, #CPU_FAR]
    ldr     x1, [x0, #CPU_FAULTS]
    add     x1, x1, #1
    str     x1, [x0, #CPU_FAULTS]
    mrs     x1, elr_el3
    add     x1, x1, #4
    msr     elr_el3, x1
    ldp     x0, x1, [sp], #16
    eret

mec_el3_unexpected:
    mrs     x0, esr_el3
    mrs     x1, elr_el3
    mrs     x2, far_el3
    b       mec_panic

    .macro  v_el3
    .align  7
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el3
    b       mec_el3_sync
    .endm

    .macro  v_bad
    .align  7
    b       mec_el3_unexpected
    .endm

    .macro  v_lower n
    .align  7
    stp     x0, x1, [sp, #-16]!
    mov     x1, #\n
    b       mec_leave
    .endm

    .align  11
mec_vectors:
    v_bad
    v_bad
    v_bad
    v_bad
    v_el3
    v_bad
    v_bad
    v_bad
    v_lower MEC_VEC_SYNC
    v_lower MEC_VEC_IRQ
    v_lower MEC_VEC_FIQ
    v_lower MEC_VEC_SERROR
    v_bad
    v_bad
    v_bad
    v_bad

/*
 * The agent. Its first 2 KiB are vectors for whatever EL it runs at: any
 * exception that its own EL takes ends in SMC #2. Operations take x0.. and
 * end in SMC #0, or at EL0 (x6 != 0) in SVC #0.
 */
    .macro  op name
    .global mec_op_\name
mec_op_\name:
    .endm

    .macro  endop
    cbnz    x6, 1f
    smc     #0
1:  svc     #0
    .endm

    .align  12
    .global mec_agent, mec_agent_end
mec_agent:
    .rept   16
    .align  7
    smc     #2
    .endr
    .align  7

    op      nop
    endop
    op      ld64
    ldr     x0, [x0]
    endop
    op      st64
    str     x1, [x0]
    endop
    op      stb
    strb    w1, [x0]
    endop
    op      st_ld64                     /* store x1 at x0, then load [x2] */
    str     x1, [x0]
    ldr     x0, [x2]
    endop
    op      at_s1e2r
    at      s1e2r, x0
    isb
    mrs     x0, par_el1
    endop
    op      at_s1e2w
    at      s1e2w, x0
    isb
    mrs     x0, par_el1
    endop
    op      mrs_p0
    mrs     x0, MECID_P0_EL2
    endop
    op      msr_p0
    msr     MECID_P0_EL2, x0
    endop
    op      mrs_vp
    mrs     x0, VMECID_P_EL2
    endop
    op      msr_va
    msr     VMECID_A_EL2, x0
    endop
    op      msr_vp
    msr     VMECID_P_EL2, x0
    endop
    op      mrs_a0
    mrs     x0, MECID_A0_EL2
    endop
    op      msr_p1
    msr     MECID_P1_EL2, x0
    endop
    op      mrs_a1
    mrs     x0, MECID_A1_EL2
    endop
    op      mrs_mecidr
    mrs     x0, MECIDR_EL2
    endop
    op      a1_ld64                     /* MECID_A1 = x1, load [x0], A1 = x2 */
    msr     MECID_A1_EL2, x1
    isb
    ldr     x0, [x0]
    msr     MECID_A1_EL2, x2
    isb
    endop
    op      cipae                       /* all lines of the page at PA x0 */
    mov     x1, #64
1:  sys     #4, c7, c14, #0, x0
    add     x0, x0, #64
    subs    x1, x1, #1
    b.ne    1b
    dsb     sy
    endop
    op      fill                        /* x2 words at x0: x1, x1 + 1, ... */
1:  str     x1, [x0], #8
    add     x1, x1, #1
    subs    x2, x2, #1
    b.ne    1b
    dsb     sy
    endop
    op      count                       /* of those words, how many are wrong */
    mov     x3, #0
1:  ldr     x4, [x0], #8
    cmp     x4, x1
    cinc    x3, x3, ne
    add     x1, x1, #1
    subs    x2, x2, #1
    b.ne    1b
    mov     x0, x3
    endop
    op      zero                        /* the page at x0, by DC ZVA */
    mov     x1, #64
1:  dc      zva, x0
    add     x0, x0, #64
    subs    x1, x1, #1
    b.ne    1b
    dsb     sy
    endop
    op      chase                       /* follow x1 pointers from x0 */
1:  ldr     x0, [x0]
    subs    x1, x1, #1
    b.ne    1b
    endop
    .arch   armv8.8-a
    op      cpyf                        /* x2 bytes from x1 to x0 */
    cpyfp   [x0]!, [x1]!, x2!
    cpyfm   [x0]!, [x1]!, x2!
    cpyfe   [x0]!, [x1]!, x2!
    endop
    .arch   armv8.5-a
    op      wait                        /* while [x0] == x1; what came then */
1:  ldr     x2, [x0]
    cmp     x2, x1
    b.eq    1b
    mov     x0, x2
    endop
    op      semihost                    /* operation x0, block x1 */
    semihosting_call
    endop
    op      call                        /* call x0, which returns x0 */
    blr     x0
    endop
    op      store_call                  /* [x1] = x2, synchronise, call x0 */
    str     w2, [x1]
    dc      cvau, x1
    dsb     ish
    ic      ivau, x1
    dsb     ish
    isb
    blr     x0
    endop

    /* Copied into a code page on its own: returns a constant, twice. */
    .global mec_code, mec_code_end
mec_code:
    movz    x0, #0x1234
    movk    x0, #0x5678, lsl #16
    ret
mec_code_end:
    nop
    .align  3
    .ltorg
mec_agent_end:

    .data
    .align  2
    .global mec_tables_ready
mec_tables_ready:
    .word   0

    .bss
    .align  12
    .global mec_el3_l1
mec_el3_l1:
    .space  4096
mec_stacks:
    .space  STACK_SIZE * MEC_MAX_CPUS
