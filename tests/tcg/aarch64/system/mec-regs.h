/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Register names and fields that the FEAT_MEC tests use; for C and assembly.
 */
#ifndef MEC_REGS_H
#define MEC_REGS_H

/* Encodings, for assemblers that do not know the names. */
#define SCTLR2_EL2      S3_4_C1_C0_3
#define SCTLR2_EL3      S3_6_C1_C0_3
#define TCR2_EL2        S3_4_C2_C0_3
#define MECIDR_EL2      S3_4_C10_C8_7
#define MECID_P0_EL2    S3_4_C10_C8_0
#define MECID_A0_EL2    S3_4_C10_C8_1
#define MECID_P1_EL2    S3_4_C10_C8_2
#define MECID_A1_EL2    S3_4_C10_C8_3
#define VMECID_P_EL2    S3_4_C10_C9_0
#define VMECID_A_EL2    S3_4_C10_C9_1
#define MECID_RL_A_EL3  S3_6_C10_C10_1
#define TTBR1_EL2       S3_4_C2_C0_1
#define GPCCR_EL3       S3_6_C2_C1_6
#define GPTBR_EL3       S3_6_C2_C1_4
#define ZCR_EL3         S3_6_C1_C2_0
#define ZCR_EL2         S3_4_C1_C2_0
#define SMCR_EL3        S3_6_C1_C2_6
#define SMCR_EL2        S3_4_C1_C2_6
#define CNTPS_CTL_EL1   S3_7_C14_C2_1
#define CNTPS_CVAL_EL1  S3_7_C14_C2_2
#define ICC_SRE_EL3     S3_6_C12_C12_5
#define ICC_PMR_EL1     S3_0_C4_C6_0
#define ICC_IGRPEN0_EL1 S3_0_C12_C12_6
#define VSTTBR_EL2      S3_4_C2_C6_0

#define MEC_MAX_CPUS    8

#define MEC_VEC_SYNC    0
#define MEC_VEC_IRQ     1
#define MEC_VEC_FIQ     2
#define MEC_VEC_SERROR  3

#ifdef MEC_ASSEMBLER
#define MEC_UL(x) x
#else
#define MEC_UL(x) x##UL
#endif
#define MEC_BIT(n)      (MEC_UL(1) << (n))

/* Attr0 write-back, Attr1 device, Attr2 non-cacheable, Attr3 tagged */
#define MEC_MAIR        0xf04400ff

#define SCTLR_M         MEC_BIT(0)
#define SCTLR_C         MEC_BIT(2)
#define SCTLR_I         MEC_BIT(12)
#define MEC_SCTLR_RES1  0x30c50830
#define MEC_SCTLR_EL1   0x30d00800
#define SCTLR_ATA       MEC_BIT(43)

/* 39-bit addresses, 4 KiB granule, write-back tables, 40-bit output */
#define MEC_TCR_WALK    (MEC_UL(3) << 12 | MEC_BIT(10) | MEC_BIT(8) | 25)
#define MEC_TCR_E2H0    (MEC_BIT(31) | MEC_BIT(23) | (2 << 16) | MEC_TCR_WALK)
#define MEC_TCR_EL3     (MEC_TCR_E2H0 | MEC_BIT(20))    /* TBI */
#define MEC_TCR_E2H1    ((MEC_UL(2) << 32) | (MEC_UL(2) << 30) | \
                         (MEC_TCR_WALK << 16) | MEC_TCR_WALK)
#define TCR_A1          MEC_BIT(22)
#define TCR_E2H1_HA     MEC_BIT(39)
#define TCR_E2H1_HD     MEC_BIT(40)
#define TCR_E2H0_HA     MEC_BIT(21)
#define TCR_E2H0_HD     MEC_BIT(22)
/* start at level 1, 4 KiB granule, 40-bit output, RES1 */
#define MEC_VTCR        (MEC_BIT(31) | (2 << 16) | (3 << 12) | (1 << 10) | \
                         (1 << 8) | (1 << 6) | 25)

#define SCR_NS          MEC_BIT(0)
#define SCR_FIQ         MEC_BIT(2)
#define SCR_HCE         MEC_BIT(8)
#define SCR_RW          MEC_BIT(10)
#define SCR_EEL2        MEC_BIT(18)
#define SCR_ATA         MEC_BIT(26)
#define SCR_TCR2EN      MEC_BIT(43)
#define SCR_SCTLR2EN    MEC_BIT(44)
#define SCR_MECEN       MEC_BIT(49)
#define SCR_NSE         MEC_BIT(62)

#define SCTLR2_EMEC     MEC_BIT(1)
#define TCR2_AMEC0      MEC_BIT(12)
#define TCR2_AMEC1      MEC_BIT(13)

#define HCR_VM          MEC_BIT(0)
#define HCR_DC          MEC_BIT(12)
#define HCR_TGE         MEC_BIT(27)
#define HCR_RW          MEC_BIT(31)
#define HCR_E2H         MEC_BIT(34)
#define HCR_ATA         MEC_BIT(56)

/* Descriptors. AMEC is bit 63 of VMSAv8-64 leaf descriptors (D8.3). */
#define PTE_TABLE       MEC_UL(3)
#define PTE_BLOCK       MEC_UL(1)
#define PTE_PAGE        MEC_UL(3)
#define PTE_ATTR(n)     (MEC_UL(n) << 2)
#define PTE_NS          MEC_BIT(5)
#define PTE_USER        MEC_BIT(6)
#define PTE_RO          MEC_BIT(7)
#define PTE_SH          (MEC_UL(3) << 8)
#define PTE_AF          MEC_BIT(10)
#define PTE_NSE         MEC_BIT(11)
#define PTE_NG          MEC_BIT(11)
#define PTE_DBM         MEC_BIT(51)
#define PTE_AMEC        MEC_BIT(63)
#define PTE_S1          (PTE_AF | PTE_SH)
#define S2_RW           (MEC_UL(3) << 6)
#define S2_WB           (MEC_UL(0xf) << 2)
#define S2_NS           MEC_BIT(55)
#define PTE_S2          (PTE_AF | PTE_SH | S2_RW | S2_WB)

#endif
