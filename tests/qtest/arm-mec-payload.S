/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * EL3 payload of arm-mec-test: does one access for the test at a time, or
 * re-keys pages all the time. Each CPU that starts here has a mailbox.
 *
 * arm-mec-payload.h holds what this assembles to, linked at 0x40100000:
 *   aarch64-linux-gnu-gcc -nostdlib -static -Wl,--build-id=none \
 *       -Wl,-Ttext=0x40100000 -o payload.elf arm-mec-payload.S
 *   aarch64-linux-gnu-objcopy -O binary payload.elf payload.bin
 *
 * Main memory is mapped at its own address as Root (MECID 0), and at three
 * aliases as Realm, Non-secure and Secure; memory that is plugged in as Realm
 * and Non-secure.  GPC is off, so that each of these is reachable.  The test is
 * a device to caches that remember, so mailboxes are accessed as Non-secure.
 */
        .arch   armv8.5-a

#define ID_AA64MMFR3_EL1 S3_0_C0_C7_3
#define ID_MMFR3_MEC    28              /* FEAT_MEC, 4 bits */
#define SCTLR2_EL2      S3_4_C1_C0_3
#define SCTLR2_EL3      S3_6_C1_C0_3
#define MECID_RL_A_EL3  S3_6_C10_C10_1
#define VMECID_P_EL2    S3_4_C10_C9_0
#define GPTBR_EL3       S3_6_C2_C1_4
#define GPCCR_EL3       S3_6_C2_C1_6
#define SCTLR2_EMEC     (1 << 1)
#define SCR_NS          (1 << 0)
#define SCR_RW          (1 << 10)
#define SCR_SCTLR2EN    (1 << 44)
#define SCR_MECEN       (1 << 49)
#define SCR_NSE         (1 << 62)
#define HCR_VM          (1 << 0)
#define HCR_RW          (1 << 31)
/* 39 bits of IPA from level 1, 40 of PA, tables write-back, inner shareable */
#define VTCR            (1 << 31 | 2 << 16 | 3 << 12 | 1 << 10 | 1 << 8 | \
                         1 << 6 | 25)

#define RAM             0x40000000
#define DIMM            0x80000000
#define TABLE           0x40200000
#define BOX             0xc0300000      /* Non-secure 0x40300000 */
#define BOX_SIZE_SHIFT  13              /* one for each CPU */

/* The mailbox, 64-bit words; the test writes the command last */
#define BOX_COMMAND     0x00            /* 0: done */
#define BOX_MECID       0x08
#define BOX_ADDRESS     0x10
#define BOX_VALUE       0x18
#define BOX_FAULT       0x20            /* ESR_EL3 of an exception */
#define BOX_ERRORS      0x28            /* churn: values misread */
#define BOX_LAPS        0x30            /* churn: pages written */
#define BOX_STOP        0x38            /* churn: nonzero ends it */
#define BOX_STARTS      0x40            /* how often this was started */
#define BOX_PEER        0x48            /* alternate: another MECID */
#define BOX_SHADOW      0x1000          /* churn: MECID, value per page */

/* Churn: page number lap % 16 is written under MECID lap % 3 + 1 */
#define CHURN_PAGES     16
#define CHURN_MECIDS    3

/* 1 GiB block: AF, inner shareable, attribute 0, AP[1] */
#define BLOCK_ATTRS     (1 << 10 | 3 << 8 | 1 << 6 | 1)
#define BLOCK           (RAM | BLOCK_ATTRS)
#define BLOCK_DIMM      (DIMM | BLOCK_ATTRS)
#define BLOCK_NS        (1 << 5)
#define BLOCK_NSE       (1 << 11)

        .text
        .globl  _start
_start:
        mrs     x27, mpidr_el1
        and     x27, x27, #0xff         /* CPU */

        adr     x0, vectors
        msr     vbar_el3, x0

        ldr     x0, =TABLE
        ldr     x1, =BLOCK | BLOCK_NSE
        str     x1, [x0, #8]            /* 0x40000000 Root */
        ldr     x1, =BLOCK | BLOCK_NSE | BLOCK_NS
        str     x1, [x0, #16]           /* 0x80000000 Realm */
        ldr     x1, =BLOCK | BLOCK_NS
        str     x1, [x0, #24]           /* 0xc0000000 Non-secure */
        ldr     x1, =BLOCK
        str     x1, [x0, #32]           /* 0x100000000 Secure */
        ldr     x1, =BLOCK_DIMM | BLOCK_NSE | BLOCK_NS
        str     x1, [x0, #40]           /* 0x140000000 Realm */
        ldr     x1, =BLOCK_DIMM | BLOCK_NS
        str     x1, [x0, #48]           /* 0x180000000 Non-secure */
        msr     ttbr0_el3, x0
        mov     x0, #0xff               /* attribute 0: write-back */
        msr     mair_el3, x0
        /* 39 bits of VA, 40 of PA, tables write-back and inner shareable */
        ldr     x0, =(1 << 31 | 1 << 23 | 2 << 16 | 3 << 12 | 1 << 10 | \
                      1 << 8 | 25)
        msr     tcr_el3, x0
        /* Only a CPU with FEAT_MEC has the registers */
        mrs     x28, ID_AA64MMFR3_EL1
        ubfx    x28, x28, #ID_MMFR3_MEC, #4
        cbz     x28, 1f
        mrs     x0, scr_el3
        orr     x0, x0, #SCR_MECEN
        msr     scr_el3, x0
        mov     x0, #SCTLR2_EMEC
        msr     SCTLR2_EL3, x0
1:      dsb     sy
        isb
        mrs     x0, sctlr_el3
        mov     x1, #0x1005             /* M, C, I */
        orr     x0, x0, x1
        msr     sctlr_el3, x0
        isb

        ldr     x19, =BOX
        add     x19, x19, x27, lsl #BOX_SIZE_SHIFT
        ldr     x0, [x19, #BOX_STARTS]
        add     x0, x0, #1
        str     x0, [x19, #BOX_STARTS]
        stlr    xzr, [x19]
next:
        yield
        ldar    x0, [x19]
        cbz     x0, next
        ldr     x1, [x19, #BOX_MECID]
        ldr     x2, [x19, #BOX_ADDRESS]
        ldr     x3, [x19, #BOX_VALUE]
        cmp     x0, #(commands_end - commands) / 4
        b.hi    next
        adr     x4, commands - 4
        add     x4, x4, x0, lsl #2
        br      x4

commands:
        b       load
        b       store
        b       store_byte
        b       clean
        b       load_as_it_is
        b       churn
        b       id_register
        b       load_pair
        b       alternate
        b       fill
        b       walk
        b       watch
        b       without_emec
        b       granules
        b       cipapa_lines
        b       cipae_lines
        b       civac_lines
        b       cvac_lines
commands_end:

done:   str     x3, [x19, #BOX_VALUE]
        stlr    xzr, [x19]
        b       next

/* MECIDs are not cached in TLBs: an ISB is all it takes (R_LPNPC) */
        .macro  context mecid
        cbz     x28, 2f
        msr     MECID_RL_A_EL3, \mecid
        isb
2:
        .endm

load:   context x1
load_as_it_is:
        ldr     x3, [x2]
        b       done

store:  context x1
        str     x3, [x2]
        b       done

store_byte:
        context x1
        strb    w3, [x2]
        b       done

/* Two contexts one after the other through the same translation */
load_pair:
        context x3
        ldr     x5, [x2]
        context x1
        ldr     x3, [x2]
        b       done

/* DC CIPAPA: the operand holds the PA space */
clean:  dsb     sy
        sys     #6, c7, c14, #1, x2
        dsb     sy
        b       done

id_register:
        mrs     x3, ID_AA64MMFR3_EL1
        b       done

/*
 * Write pages under changing MECIDs; each time look at what the page held
 * under its last one first.  @address: Realm alias of the first page
 */
churn:  ldr     x5, [x19, #BOX_LAPS]
        add     x20, x19, #BOX_SHADOW
3:      and     x6, x5, #CHURN_PAGES - 1
        add     x7, x2, x6, lsl #12     /* page */
        add     x8, x20, x6, lsl #4     /* shadow */
        mov     x9, #CHURN_MECIDS
        udiv    x10, x5, x9
        msub    x10, x10, x9, x5
        add     x10, x10, #1            /* MECID */

        ldp     x11, x12, [x8]
        cbz     x11, 4f
        context x11
        ldr     x13, [x7]
        ldr     x14, [x7, #4088]
        cmp     x13, x12
        ccmp    x14, x12, #0, eq
        b.eq    4f
        ldr     x13, [x19, #BOX_ERRORS]
        add     x13, x13, #1
        str     x13, [x19, #BOX_ERRORS]
4:
        context x10
        add     x12, x5, x10, lsl #48
        str     x12, [x7]
        str     x12, [x7, #4088]
        stp     x10, x12, [x8]
        add     x5, x5, #1
        str     x5, [x19, #BOX_LAPS]
        ldar    x13, [x19]
        ldr     x13, [x19, #BOX_STOP]
        cbz     x13, 3b
        b       done

/*
 * Load VALUE under MECID, and have PEER between two loads, so that each has to
 * be translated anew. PEER loads nothing until the end: that leaves translated
 * code. Then it must not see VALUE by a translation that was made before.
 */
alternate:
        ldr     x4, [x19, #BOX_PEER]
        ldr     x5, [x19, #BOX_LAPS]
        ldr     x6, [x19, #BOX_ERRORS]
5:      context x1
        ldr     x7, [x2]
        context x4
        cmp     x7, x3
        cinc    x6, x6, ne
        add     x5, x5, #1
        str     x5, [x19, #BOX_LAPS]
        ldr     x7, [x19, #BOX_STOP]
        cbz     x7, 5b
        ldr     x7, [x2]
        cmp     x7, x3
        cinc    x6, x6, eq
        str     x6, [x19, #BOX_ERRORS]
        b       done

/* All words of a page */
fill:   context x1
        add     x4, x2, #4096
6:      str     x3, [x2], #8
        cmp     x2, x4
        b.ne    6b
        b       done

/*
 * Translate an address by stage 2 alone, whose table is at VALUE, with MECID
 * in VMECID_P_EL2: the answer is PAR_EL1
 */
walk:   mrs     x4, scr_el3
        ldr     x5, =SCR_NSE | SCR_MECEN | SCR_SCTLR2EN | SCR_RW | SCR_NS
        orr     x5, x5, x4
        msr     scr_el3, x5
        msr     VMECID_P_EL2, x1
        mov     x5, #SCTLR2_EMEC
        msr     SCTLR2_EL2, x5
        ldr     x5, =VTCR
        msr     vtcr_el2, x5
        msr     vttbr_el2, x3
        ldr     x5, =HCR_RW | HCR_VM
        msr     hcr_el2, x5
        isb
        tlbi    alle1
        dsb     sy
        isb
        at      s12e1r, x2
        isb
        mrs     x3, par_el1
        msr     scr_el3, x4
        isb
        b       done

/* Load VALUE under MECID all the time */
watch:  context x1
        ldr     x5, [x19, #BOX_LAPS]
        ldr     x6, [x19, #BOX_ERRORS]
7:      ldr     x7, [x2]
        cmp     x7, x3
        cinc    x6, x6, ne
        str     x6, [x19, #BOX_ERRORS]
        add     x5, x5, #1
        str     x5, [x19, #BOX_LAPS]
        ldr     x7, [x19, #BOX_STOP]
        cbz     x7, 7b
        b       done

/* Load under MECID, and at once with EL3's contexts off: the second counts */
without_emec:
        context x1
        ldr     x5, [x2]
        msr     SCTLR2_EL3, xzr
        isb
        ldr     x3, [x2]
        mov     x5, #SCTLR2_EMEC
        msr     SCTLR2_EL3, x5
        isb
        b       done

/* Check granules by the table at @address (VALUE: GPCCR_EL3) */
granules:
        dsb     sy
        lsr     x2, x2, #12
        msr     GPTBR_EL3, x2
        msr     GPCCR_EL3, x3
        isb
        sys     #6, c8, c7, #4          /* TLBI PAALL */
        dsb     sy
        isb
        b       done

/* Maintenance of VALUE lines from @address on, which is the operand */
        .macro  maintain op1, crm, op2
        context x1
        dsb     sy
8:      cbz     x3, 9f
        sys     #\op1, c7, c\crm, #\op2, x2
        add     x2, x2, #64
        sub     x3, x3, #1
        b       8b
9:      dsb     sy
        b       done
        .endm

cipapa_lines:
        maintain 6, 14, 1
cipae_lines:
        maintain 4, 14, 0
civac_lines:
        maintain 3, 14, 1
cvac_lines:
        maintain 3, 10, 1

        .ltorg

/*
 * Only the vector for synchronous exceptions of this level is needed: tell
 * the test, and go on with the next command
 */
        .align  11
vectors:
        .space  0x200
        mrs     x0, esr_el3
        str     x0, [x19, #BOX_FAULT]
        adr     x0, next
        msr     elr_el3, x0
        stlr    xzr, [x19]
        eret
