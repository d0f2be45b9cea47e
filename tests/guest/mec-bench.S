/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Start of the benchmark for FEAT_MEC: from EL3 into Realm EL2, with all of
 * the program in the pages of one encryption context.
 *
 * The image is linked at LINKED and loaded, raw, at LOADED.  EL3 copies it to
 * where it is linked, through a Realm mapping, under MECID; there it goes on
 * as Realm EL2 with the MMU off, which is MECID_P0_EL2 (R_FCSBF).  Where the
 * machine has no contexts, the same code does the same without them.
 */
        .arch   armv8.5-a

#include "mec-bench.h"

#define SCTLR2_EL2      S3_4_C1_C0_3
#define SCTLR2_EL3      S3_6_C1_C0_3
#define SCTLR2_EMEC     (1 << 1)
#define MECID_RL_A_EL3  S3_6_C10_C10_1
#define MECID_P0_EL2    S3_4_C10_C8_0
#define VMECID_P_EL2    S3_4_C10_C9_0

/* NS, RES1, HCE, RW, TCR2En, SCTLR2En, MECEn, NSE */
#define SCR             (1 | 3 << 4 | 1 << 8 | 1 << 10 | 1 << 43 | 1 << 44 | \
                         1 << 49 | 1 << 62)

/* 1 GiB block: AF, inner shareable, AP[1] */
#define BLOCK           (0x40000000 | 1 << 10 | 3 << 8 | 1 << 6 | 1)
#define BLOCK_ROOT      (BLOCK | 1 << 11)
#define BLOCK_REALM     (BLOCK | 1 << 11 | 1 << 5)
#define EL3_TABLE       0x40200000

        .section .text.start, "ax"
        .globl  _start
_start:
        mrs     x20, mpidr_el1
        and     x20, x20, #0xff
        cbnz    x20, 1f

        ldr     x0, =EL3_TABLE
        ldr     x1, =BLOCK_ROOT
        str     x1, [x0, #8]            /* 0x40000000 */
        ldr     x1, =BLOCK_REALM
        str     x1, [x0, #16]           /* 0x80000000 */
        dsb     sy
1:
        ldr     x0, =EL3_TABLE
        msr     ttbr0_el3, x0
        mov     x0, #0xff
        msr     mair_el3, x0
        ldr     x0, =(1 << 31 | 1 << 23 | 2 << 16 | 3 << 12 | 1 << 10 | \
                      1 << 8 | 25)
        msr     tcr_el3, x0
        ldr     x0, =SCR
        msr     scr_el3, x0
        mov     x0, #MECID
        msr     MECID_RL_A_EL3, x0
        msr     MECID_P0_EL2, x0
        msr     VMECID_P_EL2, x0
        mov     x0, #SCTLR2_EMEC
        msr     SCTLR2_EL3, x0
        msr     SCTLR2_EL2, x0
        isb

        adr     x10, go
        cbnz    x20, 3f
        mrs     x0, sctlr_el3
        mov     x1, #0x1005             /* M, C, I */
        orr     x0, x0, x1
        msr     sctlr_el3, x0
        isb

        ldr     x0, =LOADED
        ldr     x1, =LINKED + 0x40000000
        ldr     x2, =_end
        ldr     x3, =LINKED
        sub     x2, x2, x3
2:      ldp     x4, x5, [x0], #16
        stp     x4, x5, [x1], #16
        subs    x2, x2, #16
        b.gt    2b
        dsb     sy
        ic      iallu
        dsb     sy
        mov     x0, #1
        adr     x1, go
        str     x0, [x1]
        b       4f

        /* The other CPU follows when the image is where it belongs */
3:      ldr     x0, [x10]
        cbz     x0, 3b
4:
        msr     hcr_el2, xzr
        ldr     x0, =0x30c50830
        msr     sctlr_el2, x0
        ldr     x0, =el2
        msr     elr_el3, x0
        mov     x0, #0x3c9              /* EL2h, masked */
        msr     spsr_el3, x0
        isb
        eret

        .align  3
go:     .quad   0
        .ltorg

el2:
        ldr     x0, =stacks
        lsl     x1, x20, #16
        add     x0, x0, x1
        mov     x1, #0x10000
        add     sp, x0, x1
        ldr     x0, =vectors
        msr     vbar_el2, x0
        cbnz    x20, 5f
        bl      main
6:      wfi
        b       6b
5:      bl      main_secondary
        b       6b

/*
 * uint64_t call_el1(uint64_t (*function)(void), uint64_t sp)
 *
 * At EL1, which comes back with HVC.
 */
        .globl  call_el1
call_el1:
        stp     x29, x30, [sp, #-96]!
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        stp     x23, x24, [sp, #48]
        stp     x25, x26, [sp, #64]
        stp     x27, x28, [sp, #80]
        msr     sp_el1, x1
        mov     x19, x0
        adr     x1, el1
        msr     elr_el2, x1
        mov     x1, #0x3c5              /* EL1h, masked */
        msr     spsr_el2, x1
        isb
        eret
el1:    blr     x19
        hvc     #0

back:   ldp     x19, x20, [sp, #16]
        ldp     x21, x22, [sp, #32]
        ldp     x23, x24, [sp, #48]
        ldp     x25, x26, [sp, #64]
        ldp     x27, x28, [sp, #80]
        ldp     x29, x30, [sp], #96
        ret

        .align  11
vectors:
        .rept   8
        .align  7
        mrs     x0, esr_el2
        mrs     x1, elr_el2
        mrs     x2, far_el2
        b       unexpected
        .endr
        /* From EL1: an HVC, or else */
        .align  7
        mrs     x9, esr_el2
        lsr     x9, x9, #26
        cmp     x9, #0x16
        b.eq    back
        mrs     x0, esr_el2
        mrs     x1, elr_el2
        mrs     x2, far_el2
        b       unexpected
        .ltorg

        .bss
        .align  16
stacks: .space  0x20000
