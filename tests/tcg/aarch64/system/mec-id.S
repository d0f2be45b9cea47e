/*
 * FEAT_MEC implies FEAT_RME (I_HHCPS).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To be run with any CPU at EL1 or above. Exits with 0, or 1 on failure.
 */

#define ID_AA64MMFR3_EL1        S3_0_C0_C7_3
#define MMFR3_MEC_SHIFT         28
#define PFR0_RME_SHIFT          52

        .text
        .globl  _start
_start:
        mrs     x0, id_aa64pfr0_el1
        ubfx    x0, x0, #PFR0_RME_SHIFT, #4
        mrs     x1, ID_AA64MMFR3_EL1
        ubfx    x1, x1, #MMFR3_MEC_SHIFT, #4
        cmp     x0, #0
        ccmp    x1, #0, #4, eq          /* RME, or no MEC */
        cset    x2, ne
        adr     x1, msg_fail
        cbnz    x2, 1f
        adr     x1, msg_pass
1:      mov     x0, #4                  /* SYS_WRITE0 */
        hlt     #0xf000
        adr     x1, exit_block
        str     x2, [x1, #8]
        mov     x0, #0x18               /* SYS_EXIT */
        hlt     #0xf000
        b       .

msg_pass:       .asciz "PASS: no FEAT_MEC without FEAT_RME\n"
msg_fail:       .asciz "FAIL: FEAT_MEC without FEAT_RME\n"
        .align  3
exit_block:     .quad 0x20026, 0
