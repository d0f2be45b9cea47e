/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What TF-A starts as BL33, before it lets Linux have the machine: a
 * Non-secure host that asks the test realm payload (TRP) for granules.
 *
 * Each of GRANULES granules is filled, delegated to Realm, found out of
 * reach, taken back, and used again, ROUNDS times.  Every one of these moves
 * makes EL3 clean the granule by physical address (DC CIPAPA), which is where
 * FEAT_MEC has to leave Non-secure memory as it was.
 *
 * Runs at EL2 with the MMU off; x0 is the device tree, handed on to Linux.
 * The result is one line on the console:
 *   BL33: rmi VVVVVVVV moves MMMMMMMM faults FFFFFFFF kept KKKKKKKK
 *         errors EEEEEEEE
 */

#define UART            0x09000000
#define UART_FR         0x18
#define UART_FR_TXFF    5

#define RMI_VERSION     0xc4000150
#define RMI_DELEGATE    0xc4000151
#define RMI_UNDELEGATE  0xc4000152

#define FIRST           0x48000000
#define GRANULES        32
#define GRANULE         4096
#define ROUNDS          16

/* Data Abort, same EL; Granule Protection Fault, not on a table walk */
#define ESR_GPF         0x94000028      /* EC and DFSC */
#define ESR_MASK        0xfc00003f

        .arch   armv8-a
        .text
        .globl  _start

        .macro  rmi function, argument
        ldr     x0, =\function
        mov     x1, \argument
        smc     #0
        .endm

        .macro  count register, if, a, b
        cmp     \a, \b
        cinc    \register, \register, \if
        .endm

_start:
        mov     x19, x0                 /* device tree */
        adr     x0, vectors
        msr     vbar_el2, x0
        adr     x0, stack
        mov     sp, x0
        mov     x20, #0                 /* moves */
        mov     x21, #0                 /* faults */
        mov     x22, #0                 /* granules that kept their content */
        mov     x23, #0                 /* errors */

        rmi     RMI_VERSION, #0
        count   x23, ne, x0, #0
        mov     x28, x1                 /* version */

        mov     x24, #0                 /* round */
1:      ldr     x25, =FIRST             /* granule */
2:      mov     x0, x25
        mov     x1, x24
        bl      fill

        rmi     RMI_DELEGATE, x25
        count   x23, ne, x0, #0
        add     x20, x20, #1

        mov     x26, #0                 /* what the vector saw */
        ldr     x1, [x25]
        ldr     w1, =ESR_MASK
        and     w26, w26, w1
        ldr     w1, =ESR_GPF
        count   x21, eq, w26, w1

        rmi     RMI_UNDELEGATE, x25
        count   x23, ne, x0, #0
        add     x20, x20, #1

        mov     x0, x25
        mov     x1, x24
        bl      verify
        count   x22, eq, x0, #0

        mvn     x1, x24
        mov     x0, x25
        bl      fill
        mvn     x1, x24
        mov     x0, x25
        bl      verify
        count   x23, ne, x0, #0

        add     x25, x25, #GRANULE
        ldr     x0, =FIRST + GRANULES * GRANULE
        cmp     x25, x0
        b.ne    2b
        add     x24, x24, #1
        cmp     x24, #ROUNDS
        b.ne    1b

        adr     x0, text_rmi
        mov     x1, x28
        bl      report
        adr     x0, text_moves
        mov     x1, x20
        bl      report
        adr     x0, text_faults
        mov     x1, x21
        bl      report
        adr     x0, text_kept
        mov     x1, x22
        bl      report
        adr     x0, text_errors
        mov     x1, x23
        bl      report
        mov     w0, #'\r'
        bl      putc
        mov     w0, #'\n'
        bl      putc

        mov     x0, x19
        mov     x1, #0
        mov     x2, #0
        mov     x3, #0
        ldr     x4, =KERNEL
        br      x4

/* fill(page, seed): each word is its address turned by the seed */
fill:   mov     x2, #GRANULE
3:      eor     x3, x0, x1, lsl #32
        str     x3, [x0], #8
        subs    x2, x2, #8
        b.ne    3b
        ret

/* verify(page, seed): the number of words that differ */
verify: mov     x2, #GRANULE
        mov     x5, #0
4:      ldr     x4, [x0]
        eor     x3, x0, x1, lsl #32
        count   x5, ne, x3, x4
        add     x0, x0, #8
        subs    x2, x2, #8
        b.ne    4b
        mov     x0, x5
        ret

putc:   ldr     x2, =UART
5:      ldr     w3, [x2, #UART_FR]
        tbnz    w3, #UART_FR_TXFF, 5b
        str     w0, [x2]
        ret

/* report(text, number) */
report: stp     x29, x30, [sp, #-16]!
        mov     x9, x0
        mov     x10, x1
6:      ldrb    w0, [x9], #1
        cbz     w0, 7f
        bl      putc
        b       6b
7:      mov     x11, #28
8:      lsr     x0, x10, x11
        and     w0, w0, #15
        add     w1, w0, #'a' - 10
        add     w0, w0, #'0'
        cmp     w0, #'9'
        csel    w0, w0, w1, ls
        bl      putc
        subs    x11, x11, #4
        b.pl    8b
        ldp     x29, x30, [sp], #16
        ret

        .ltorg
text_rmi:       .asciz "BL33: rmi "
text_moves:     .asciz " moves "
text_faults:    .asciz " faults "
text_kept:      .asciz " kept "
text_errors:    .asciz " errors "

/* Every exception: note what it was, and skip the instruction */
        .align  11
vectors:
        .rept   16
        .align  7
        mrs     x26, esr_el2
        mrs     x27, elr_el2
        add     x27, x27, #4
        msr     elr_el2, x27
        eret
        .endr

        .align  4
        .space  256
stack:
