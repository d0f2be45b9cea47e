/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The beginning and the end of BL33, mec-bl33.c: from TF-A, and on to Linux.
 * Runs at EL2 with the MMU off; x0 is the device tree, handed on.
 */

        .arch   armv8-a
        .section .text.start, "ax"
        .globl  _start
_start:
        mov     x19, x0                 /* device tree */
        adr     x0, vectors
        msr     vbar_el2, x0
        adr     x0, stack
        mov     sp, x0
        bl      bl33_main

        mov     x0, x19
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        ldr     x4, =KERNEL
        br      x4

        .ltorg

/* Every exception: note what it was, and skip the instruction */
        .align  11
vectors:
        .rept   16
        .align  7
        stp     x0, x1, [sp, #-16]!
        mrs     x0, esr_el2
        adr     x1, bl33_esr
        str     x0, [x1]
        mrs     x0, elr_el2
        add     x0, x0, #4
        msr     elr_el2, x0
        ldp     x0, x1, [sp], #16
        eret
        .endr

        .globl  bl33_esr
        .align  3
bl33_esr:
        .quad   0

        .align  4
        .space  1024
stack:
