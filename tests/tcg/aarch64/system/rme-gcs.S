/*
 * Guarded control stack accesses in Realm state, and under stage 2.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * 1. Realm EL2 makes a call with a GCS in memory that stage 1 maps as Realm
 *    memory without GCS permission: a Permission fault.
 * 2. Non-secure EL1 makes a call with a GCS that stage 1 permits. Stage 2 puts
 *    the page elsewhere: that is where the return address must go.
 *
 * To be run at EL3 with FEAT_RME: virt,secure=on,virtualization=on -cpu
 * max,x-rme=on. Exits with 0, or with the number of the part that failed.
 */

#define GCS_IPA         0x48000000
#define GCS_PA          0x4a000000

#define BLOCK1G         (0x40000000 | (1 << 10) | (3 << 8) | 1)
#define BLOCK2M         (0x40000000 | (1 << 10) | (3 << 8) | 1)
#define BLOCK2M_S2      (BLOCK2M | (3 << 6) | (0xf << 2))
#define PI_GCS          (1 << 53)       /* PIIndex[2]: entry 4 of PIR_EL1 */
#define PIR             0x000000000009000e      /* 4: GCS, 0: RWX */
/* NSE, PIEn, TCR2En, GCSEn, HXEn, RW, HCE, RES1, NS */
#define SCR_NONSECURE   ((1 << 45) | (1 << 43) | (1 << 39) | (1 << 38) | \
                         (1 << 10) | (1 << 8) | (3 << 4) | 1)
#define SCR_REALM       ((1 << 62) | SCR_NONSECURE)

#define HCRX_EL2        S3_4_C1_C2_2
#define TCR2_EL1        S3_0_C2_C0_3
#define PIR_EL1         S3_0_C10_C2_3
#define GCSCR_EL1       S3_0_C2_C5_0
#define GCSPR_EL1       S3_0_C2_C5_1
#define GCSCR_EL2       S3_4_C2_C5_0
#define GCSPR_EL2       S3_4_C2_C5_1

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
        adr     x0, el2_vectors
        msr     vbar_el2, x0
        adr     x0, el1_vectors
        msr     vbar_el1, x0
        mov     x19, #1                 /* the part under test */

        /* Part 1 */
        ldr     x0, =SCR_REALM
        msr     scr_el3, x0
        isb
        mov     x0, #(1 << 31)          /* RW */
        msr     hcr_el2, x0
        adrp    x0, s1_l1
        ldr     x1, =(BLOCK1G | (1 << 6))
        str     x1, [x0, #8]
        dsb     sy
        msr     ttbr0_el2, x0
        mov     x0, #0xff
        msr     mair_el2, x0
        ldr     x0, =((1 << 31) | (1 << 23) | (2 << 16) | (3 << 12) | 25)
        msr     tcr_el2, x0
        ldr     x0, =0x30c50831         /* RES1 bits, M */
        msr     sctlr_el2, x0
        mov     x0, #0x3c9              /* EL2h, DAIF */
        msr     spsr_el3, x0
        adr     x0, realm_el2
        msr     elr_el3, x0
        isb
        eret

realm_el2:
        ldr     x0, =(GCS_IPA + 4096)
        msr     GCSPR_EL2, x0
        mov     x0, #1                  /* PCRSEL */
        msr     GCSCR_EL2, x0
        isb
        bl      1f
1:      smc     #0                      /* it did not fault */

after_part1:
        /* Data Abort, Permission fault at level 1, from a GCS access */
        ldr     x1, =0x9600004d
        and     x0, x21, x1
        cmp     x0, x1
        b.ne    fail

        /* Part 2 */
        mov     x19, #2
        ldr     x0, =SCR_NONSECURE
        msr     scr_el3, x0
        isb
        msr     sctlr_el2, xzr
        msr     GCSCR_EL2, xzr

        adrp    x0, s1_l1
        adrp    x1, s1_l2
        orr     x2, x1, #3
        str     x2, [x0, #8]
        ldr     x2, =BLOCK2M
        bl      identity
        ldr     x2, =((GCS_IPA - 0x40000000 + BLOCK2M) | PI_GCS)
        str     x2, [x1, #((GCS_IPA - 0x40000000) >> 21) * 8]
        msr     ttbr0_el1, x0

        adrp    x0, s2_l1
        adrp    x1, s2_l2
        orr     x2, x1, #3
        str     x2, [x0, #8]
        ldr     x2, =BLOCK2M_S2
        bl      identity
        ldr     x2, =(GCS_PA - 0x40000000 + BLOCK2M_S2)
        str     x2, [x1, #((GCS_IPA - 0x40000000) >> 21) * 8]
        msr     vttbr_el2, x0
        dsb     sy

        ldr     x0, =((1 << 31) | 1)            /* RW, VM */
        msr     hcr_el2, x0
        ldr     x0, =((1 << 22) | (1 << 14))    /* GCSEn, TCR2En */
        msr     HCRX_EL2, x0
        ldr     x0, =((1 << 31) | (2 << 16) | (3 << 12) | (1 << 6) | 25)
        msr     vtcr_el2, x0
        ldr     x0, =((2 << 32) | (1 << 23) | (3 << 12) | 25)
        msr     tcr_el1, x0
        mov     x0, #2                          /* PIE */
        msr     TCR2_EL1, x0
        ldr     x0, =PIR
        msr     PIR_EL1, x0
        mov     x0, #0xff
        msr     mair_el1, x0
        ldr     x0, =0x30d00801                 /* RES1 bits, M */
        msr     sctlr_el1, x0
        mov     x0, #0x3c5                      /* EL1h, DAIF */
        msr     spsr_el3, x0
        adr     x0, ns_el1
        msr     elr_el3, x0
        isb
        tlbi    alle1
        tlbi    alle2
        dsb     sy
        isb
        eret

ns_el1:
        ldr     x0, =(GCS_IPA + 4096)
        msr     GCSPR_EL1, x0
        mov     x0, #1                          /* PCRSEL */
        msr     GCSCR_EL1, x0
        isb
        bl      after_call
after_call:
        msr     GCSCR_EL1, xzr
        isb
        mov     x20, #2
        smc     #0

after_part2:
        /* The one at the IPA's own number must be as it was. */
        ldr     x0, =(GCS_PA + 4088)
        ldr     x0, [x0]
        adr     x1, after_call
        cmp     x0, x1
        b.ne    fail
        ldr     x0, =(GCS_IPA + 4088)
        ldr     x0, [x0]
        cbnz    x0, fail
        print   msg_pass
        mov     x19, #0
        b       exit
fail:
        print   msg_fail
exit:
        adr     x1, exit_block
        str     x19, [x1, #8]
        mov     x0, #0x18                       /* SYS_EXIT */
        hlt     #0xf000
        b       .

        /* x1: level 2 table for the GiB at 1 GiB, x2: its first block */
identity:
        mov     x3, #0
1:      str     x2, [x1, x3, lsl #3]
        add     x2, x2, #0x200000
        add     x3, x3, #1
        cmp     x3, #512
        b.ne    1b
        ret

back_in_el3:
        cmp     x19, #1
        b.eq    after_part1
        cmp     x20, #2
        b.eq    after_part2
        b       fail
        .ltorg

msg_pass:       .asciz "PASS: GCS accesses in Realm and by stage 2\n"
msg_fail:       .asciz "FAIL: GCS access\n"
        .align  3
exit_block:     .quad 0x20026, 0

        .align  11
el3_vectors:
        .rept   16
        .align  7
        b       back_in_el3
        .endr

        .align  11
el2_vectors:
        .rept   16
        .align  7
        mrs     x21, esr_el2
        smc     #0
        .endr

        .align  11
el1_vectors:
        .rept   16
        .align  7
        mov     x20, #3
        smc     #0
        .endr

        .align  12
s1_l1:  .space 4096
s1_l2:  .space 4096
s2_l1:  .space 4096
s2_l2:  .space 4096
