/*
 * FEAT_MEC: which memory encryption context an access has
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TARGET_ARM_PTW_MEC_H
#define TARGET_ARM_PTW_MEC_H

#include "cpu.h"
#include "internals.h"
#include "cpregs.h"
#include "hw/arm/mec.h"

/**
 * arm_mec_enabled: does this CPU have memory encryption contexts?
 * @env: CPU
 *
 * False unless the machine has a TYPE_ARM_MEC device. Without it the registers
 * of FEAT_MEC can be there, but nothing below may be called.
 */
#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)
#define arm_mec_enabled(env) unlikely(env_archcpu(env)->mec)
#else
#define arm_mec_enabled(env) false
#endif

/**
 * arm_mec_set_output: give a translation its MECID
 * @env: CPU
 * @mmu_idx: regime and stage that gave the output address
 * @upper: true if stage 1 took the upper VA range (TTBR1)
 * @amec: AMEC field of the block or page descriptor, false with the MMU off
 * @out_space: physical address space of the output
 * @result: translation; its attributes get the MECID
 */
#ifndef CONFIG_USER_ONLY
void arm_mec_set_output(CPUARMState *env, ARMMMUIdx mmu_idx, bool upper,
                        bool amec, ARMSecuritySpace out_space,
                        GetPhysAddrResult *result);
#endif

/**
 * arm_mec_walk_begin: choose the MECID of a descriptor fetch
 * @env: CPU
 * @mmu_idx: regime and stage whose table is read
 * @space: physical address space of the table
 * @debug: for a debugger
 * @walk: gets the MECID, and where it came from
 *
 * For a table at a physical address; see arm_mec_walk_by_stage2() for others.
 */
void arm_mec_walk_begin(CPUARMState *env, ARMMMUIdx mmu_idx,
                        ARMSecuritySpace space, bool debug, ARMMECWalk *walk);

/**
 * arm_mec_walk_by_stage2: fetch a descriptor by an address of stage 2
 * @full: TLB entry of stage 2, made by arm_mec_tlb_fill()
 * @walk: gets the MECID, and where it came from
 */
void arm_mec_walk_by_stage2(const CPUTLBEntryFull *full, ARMMECWalk *walk);

/**
 * arm_mec_amec_fault: does AMEC make this block or page invalid?
 * @env: CPU
 * @mmu_idx: regime and stage of the descriptor
 * @upper: true if stage 1 took the upper VA range (TTBR1)
 * @descriptor: block or page descriptor
 * @space: security state's own address space, before the descriptor's NS
 */
bool arm_mec_amec_fault(CPUARMState *env, ARMMMUIdx mmu_idx, bool upper,
                        uint64_t descriptor, ARMSecuritySpace space);

/**
 * arm_mec_tlb_fill: let a translation meet the page's resident context
 * @cpu: CPU
 * @va: virtual address of the access
 * @size: of the access in bytes, 0 for a mere probe
 * @access_type: what the access is
 * @mmu_idx: which TLB the result is for
 * @res: translation; its attributes select the view where needed
 */
#ifndef CONFIG_USER_ONLY
void arm_mec_tlb_fill(ARMCPU *cpu, vaddr va, int size,
                      MMUAccessType access_type, ARMMMUIdx mmu_idx,
                      GetPhysAddrResult *res);
#endif

/**
 * arm_mec_debug_attrs: as arm_mec_tlb_fill(), without consequences
 * @cpu: CPU
 * @pa: physical address
 * @attrs: attributes of the translation
 */
void arm_mec_debug_attrs(ARMCPU *cpu, hwaddr pa, MemTxAttrs *attrs);

/**
 * arm_mec_ptw_read: decrypt a descriptor
 * @cpu: CPU
 * @pa: its physical address
 * @size: its size, 4 or 8 bytes
 * @be: true if @data was loaded big endian
 * @walk: the fetch
 * @data: value loaded from RAM
 *
 * Returns the descriptor that the walk sees.
 */
uint64_t arm_mec_ptw_read(ARMCPU *cpu, hwaddr pa, unsigned size, bool be,
                          const ARMMECWalk *walk, uint64_t data);

/**
 * arm_mec_ptw_write_mask: encrypt a descriptor that the walk is to write
 * @cpu: CPU
 * @pa: its physical address
 * @be: true if it is stored big endian
 * @walk: the fetch that it came of
 * @data: its new value
 *
 * Returns what to XOR old and new value with to compare and exchange them in
 * RAM.
 */
uint64_t arm_mec_ptw_write_mask(ARMCPU *cpu, hwaddr pa, bool be,
                                const ARMMECWalk *walk, uint64_t data);

/**
 * arm_mec_cmo_pa: clean and invalidate by physical address
 * @env: CPU
 * @ri: DC CIPAPA, CIGDPAPA, CIPAE or CIGDPAE
 * @value: operand
 */
void arm_mec_cmo_pa(CPUARMState *env, const ARMCPRegInfo *ri, uint64_t value);

/**
 * arm_mec_define_va_cmos: have maintenance by VA reach caches that remember
 * @cpu: CPU whose registers are defined
 *
 * Where they do not it stays a nop.
 */
void arm_mec_define_va_cmos(ARMCPU *cpu);

/**
 * arm_mec_mecid_changed: a MECID register has a new value
 * @env: CPU
 * @ri: the register
 */
void arm_mec_mecid_changed(CPUARMState *env, const ARMCPRegInfo *ri);

/**
 * arm_mec_ctrl_changed: EMEC, AMEC<x>, MECEn or an enable above them changed
 * @env: CPU
 * @el: 3 for the EL3 regime, 2 for EL2, EL2&0 and EL1&0
 */
void arm_mec_ctrl_changed(CPUARMState *env, int el);

/**
 * arm_mec_cpu_realize: give the CPU its address space for attrs.encrypted
 * @cpu: CPU whose board has set the property "mec"
 */
void arm_mec_cpu_realize(ARMCPU *cpu);

#endif
