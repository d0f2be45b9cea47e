/*
 * A change of security state must not leave stage 2 translations behind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A Non-secure and a Realm guest have the same VMID. Their stage 1 tables
 * are at the same IPA, but stage 2 puts that IPA elsewhere for each, and only
 * the Non-secure copy maps TEST_VA. When the Realm guest takes its turn its
 * walk must go by its own stage 2, and fault.
 *
 * To be run at EL3 with FEAT_RME: virt,secure=on,virtualization=on -cpu
 * max,x-rme=on. Exits with 0, or 1 on failure.
 */

#define TABLE_IPA       0x48000000
#define REALM_TABLE_PA  0x4a000000
#define TEST_VA         0x80200000

#define BLOCK1G_S1      (0x40000000 | (1 << 10) | (3 << 8) | 1)
#define BLOCK2M_S2      ((1 << 10) | (3 << 8) | (3 << 6) | (0xf << 2) | 1)
#define SCR_NONSECURE   ((1 << 10) | (1 << 8) | (3 << 4) | 1)
#define SCR_REALM       ((1 << 62) | SCR_NONSECURE)
#define VMID            (1 << 48)

        .macro  print msg
        adr     x1, \msg
        mov     x0, #4                  /* SYS_WRITE0 */
        hlt     #0xf000
        .endm

        .text
        .globl  _start
_start:
        adr     x0, el3_vectors
        msr     vbar_el3, x0

        adrp    x0, ns_s2_l1
        adrp    x1, ns_s2_l2
        bl      identity_stage2
        adrp    x0, realm_s2_l1
        adrp    x1, realm_s2_l2
        bl      identity_stage2
        ldr     x2, =(REALM_TABLE_PA | BLOCK2M_S2)
        str     x2, [x1, #((TABLE_IPA - 0x40000000) >> 21) * 8]

        /* Both map the code; one maps TEST_VA. */
        ldr     x0, =BLOCK1G_S1
        ldr     x1, =TABLE_IPA
        stp     x0, x0, [x1, #8]
        ldr     x1, =REALM_TABLE_PA
        str     x0, [x1, #8]
        dsb     sy

        ldr     x0, =((1 << 31) | 1)            /* RW, VM */
        msr     hcr_el2, x0
        ldr     x0, =((1 << 31) | (2 << 16) | (3 << 12) | (1 << 6) | 25)
        msr     vtcr_el2, x0
        ldr     x0, =TABLE_IPA
        msr     ttbr0_el1, x0
        ldr     x0, =((2 << 32) | (1 << 23) | (3 << 12) | 25)
        msr     tcr_el1, x0
        mov     x0, #0xff
        msr     mair_el1, x0
        ldr     x0, =0x30d00801                 /* RES1 bits, M */
        msr     sctlr_el1, x0
        adr     x0, el1_vectors
        msr     vbar_el1, x0

        mov     x19, #0                         /* first turn */
        ldr     x0, =SCR_NONSECURE
        adrp    x1, ns_s2_l1
enter:
        msr     scr_el3, x0
        isb
        mov     x0, #VMID
        orr     x1, x1, x0
        msr     vttbr_el2, x1
        mov     x0, #0x3c5                      /* EL1h, DAIF */
        msr     spsr_el3, x0
        adr     x0, el1
        msr     elr_el3, x0
        mov     x20, #0
        isb
        eret

el1:
        ldr     x0, =TEST_VA
        ldr     x0, [x0]
        mov     x20, #1                         /* could read it */
        smc     #0

        /* x0: level 1 table, x1: level 2 table for the GiB at 1 GiB */
identity_stage2:
        orr     x2, x1, #3
        str     x2, [x0, #8]
        ldr     x2, =(0x40000000 | BLOCK2M_S2)
        mov     x3, #0
1:      str     x2, [x1, x3, lsl #3]
        add     x2, x2, #0x200000
        add     x3, x3, #1
        cmp     x3, #512
        b.ne    1b
        ret

back_in_el3:
        cbnz    x19, 1f
        cbz     x20, setup_fail
        mov     x19, #1
        ldr     x0, =SCR_REALM
        adrp    x1, realm_s2_l1
        b       enter
1:      cbnz    x20, fail
        print   msg_pass
        mov     x2, #0
        b       exit
fail:
        print   msg_fail
        mov     x2, #1
        b       exit
setup_fail:
        print   msg_setup
        mov     x2, #1
exit:
        adr     x1, exit_block
        str     x2, [x1, #8]
        mov     x0, #0x18                       /* SYS_EXIT */
        hlt     #0xf000
        b       .
        .ltorg

msg_pass:       .asciz "PASS: the Realm walk went by its own stage 2\n"
msg_fail:       .asciz "FAIL: the Realm walk used Non-secure stage 2\n"
msg_setup:      .asciz "FAIL: the Non-secure guest could not read\n"
        .align  3
exit_block:     .quad 0x20026, 0

        .align  11
el3_vectors:
        .rept   16
        .align  7
        b       back_in_el3
        .endr

        .align  11
el1_vectors:
        .rept   16
        .align  7
        mov     x20, #0
        smc     #0
        .endr

        .align  12
ns_s2_l1:       .space 4096
ns_s2_l2:       .space 4096
realm_s2_l1:    .space 4096
realm_s2_l2:    .space 4096
