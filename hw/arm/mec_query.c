/*
 * FEAT_MEC: the monitor's commands
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qapi/clone-visitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-misc-arm.h"
#include "qapi/qapi-visit-misc-arm.h"
#include "qobject/qdict.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "target/arm/cpu.h"
#include "target/arm/internals.h"
#include "mec-cache.h"

static ARMMECState *mec_find(Error **errp)
{
    Object *obj = object_resolve_path_type("", TYPE_ARM_MEC, NULL);

    if (!obj) {
        error_setg(errp, "This machine has no memory encryption contexts "
                   "(-machine virt,mec=on)");
        return NULL;
    }
    return ARM_MEC(obj);
}

/* Where caches remember: whose page it is, and what others have of it */
static void mec_query_cached(ARMMECState *s, ArmMecPage *info)
{
    uint64_t page = (info->addr - s->base) >> MEC_PAGE_BITS;
    MECContext owner;

    QEMU_LOCK_GUARD(&s->lock);
    owner = MEC_ENTRY_CONTEXT(mec_entry(s, page));
    if (owner != MEC_NOBODY) {
        info->space = g_strdup(mec_space_name(MEC_CONTEXT_SPACE(owner)));
    }
    info->has_cached_lines = true;
    info->cached_lines = mec_cache_lines(s, page);
}

ArmMecPage *qmp_x_query_arm_mec(uint64_t addr, Error **errp)
{
    ARMMECState *s = mec_find(errp);
    ArmMecPage *info;
    uint16_t mecid = 0;
    bool mixed = false;

    if (!s) {
        return NULL;
    }
    if (!arm_mec_query(s, addr, &mecid, &mixed)) {
        error_setg(errp, "Address 0x%" PRIx64 " is not in RAM that has memory "
                   "encryption contexts", addr);
        return NULL;
    }
    info = g_new0(ArmMecPage, 1);
    info->addr = addr & ~UINT64_C(0xfff);
    info->mecid = mecid;
    info->mixed = mixed;
    if (arm_mec_remembers(s)) {
        mec_query_cached(s, info);
    }
    return info;
}

/* As they are at the moment, while the CPU may run */
static ArmMecCpu *mec_query_cpu(CPUState *cs)
{
    CPUARMState *env = &ARM_CPU(cs)->env;
    uint64_t scr = env->cp15.scr_el3, tcr2 = env->cp15.tcr2_el[2];
    ArmMecCpu *info = g_new0(ArmMecCpu, 1);

    *info = (ArmMecCpu) {
        .cpu_index = cs->cpu_index,
        .scr_el3_mecen = scr & SCR_MECEN,
        .scr_el3_sctlr2en = scr & SCR_SCTLR2EN,
        .scr_el3_tcr2en = scr & SCR_TCR2EN,
        .sctlr2_el3_emec = env->cp15.sctlr2_el[3] & SCTLR2_EMEC,
        .sctlr2_el2_emec = env->cp15.sctlr2_el[2] & SCTLR2_EMEC,
        .tcr2_el2_amec0 = tcr2 & TCR2_AMEC0,
        .tcr2_el2_amec1 = tcr2 & TCR2_AMEC1,
        .mecid_rl_a_el3 = env->cp15.mecid_rl_a_el3,
        .mecid_p0_el2 = env->cp15.mecid_p0_el2,
        .mecid_a0_el2 = env->cp15.mecid_a0_el2,
        .mecid_p1_el2 = env->cp15.mecid_p1_el2,
        .mecid_a1_el2 = env->cp15.mecid_a1_el2,
        .vmecid_p_el2 = env->cp15.vmecid_p_el2,
        .vmecid_a_el2 = env->cp15.vmecid_a_el2,
    };
    return info;
}

static int mec_event_by_age(const void *a, const void *b)
{
    const MECEvent *x = *(const MECEvent **)a, *y = *(const MECEvent **)b;

    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static ArmMecEventList *mec_query_events(ARMMECState *s)
{
    ArmMecEventList *list = NULL, **tail = &list;
    MECEvent *events[MEC_EVENTS];

    for (unsigned i = 0; i < MEC_EVENTS; i++) {
        events[i] = &s->events[i];
    }
    qsort(events, MEC_EVENTS, sizeof(events[0]), mec_event_by_age);
    for (unsigned i = 0; i < MEC_EVENTS; i++) {
        if (events[i]->seq) {
            QAPI_LIST_APPEND(tail, QAPI_CLONE(ArmMecEvent, &events[i]->e));
        }
    }
    return list;
}

ArmMecState *qmp_x_query_arm_mec_state(Error **errp)
{
    ARMMECState *s = mec_find(errp);
    ArmMecCpuList **tail;
    ArmMecState *info;
    CPUState *cs;

    if (!s) {
        return NULL;
    }
    info = g_new0(ArmMecState, 1);
    tail = &info->cpus;
    CPU_FOREACH(cs) {
        QAPI_LIST_APPEND(tail, mec_query_cpu(cs));
    }
    mec_dma_settle(s);
    QEMU_LOCK_GUARD(&s->lock);
    info->mismatches = s->event_count;
    info->events = mec_query_events(s);
    info->writeback = s->writeback;
    if (s->cache) {
        info->has_returned_lines = true;
        info->returned_lines = s->cache->returned;
    }
    return info;
}

static void mec_print_cpu(Monitor *mon, const ArmMecCpu *cpu)
{
    monitor_printf(mon, "CPU %" PRId64 ": SCR_EL3.MECEn=%d SCTLR2En=%d "
                   "TCR2En=%d SCTLR2_EL3.EMEC=%d SCTLR2_EL2.EMEC=%d "
                   "TCR2_EL2.AMEC0=%d AMEC1=%d\n", cpu->cpu_index,
                   cpu->scr_el3_mecen, cpu->scr_el3_sctlr2en,
                   cpu->scr_el3_tcr2en, cpu->sctlr2_el3_emec,
                   cpu->sctlr2_el2_emec, cpu->tcr2_el2_amec0,
                   cpu->tcr2_el2_amec1);
    monitor_printf(mon, "  MECID_RL_A_EL3=%u MECID_P0_EL2=%u MECID_A0_EL2=%u "
                   "MECID_P1_EL2=%u MECID_A1_EL2=%u VMECID_P_EL2=%u "
                   "VMECID_A_EL2=%u\n", cpu->mecid_rl_a_el3,
                   cpu->mecid_p0_el2, cpu->mecid_a0_el2, cpu->mecid_p1_el2,
                   cpu->mecid_a1_el2, cpu->vmecid_p_el2, cpu->vmecid_a_el2);
}

static void mec_print_event(Monitor *mon, const ArmMecEvent *e)
{
    g_autofree char *text = mec_report_text(e);
    g_autofree char *who = mec_report_who(e);

    monitor_printf(mon, "  at %.9f s, %s: %s",
                   (double)e->last / NANOSECONDS_PER_SECOND, who, text);
    if (e->times > 1) {
        monitor_printf(mon, ", %" PRIu64 " times since %.9f s", e->times,
                       (double)e->first / NANOSECONDS_PER_SECOND);
    }
    monitor_printf(mon, "\n");
}

static void mec_print_state(Monitor *mon)
{
    g_autoptr(ArmMecState) info = NULL;
    Error *err = NULL;

    info = qmp_x_query_arm_mec_state(&err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    for (ArmMecCpuList *l = info->cpus; l; l = l->next) {
        mec_print_cpu(mon, l->value);
    }
    monitor_printf(mon, "reads under the wrong MECID: %" PRIu64 "%s\n",
                   info->mismatches, info->events ? ", the last:" : "");
    for (ArmMecEventList *l = info->events; l; l = l->next) {
        mec_print_event(mon, l->value);
    }
    if (info->has_returned_lines) {
        monitor_printf(mon, "mec-writeback=%s: lines written back over others' "
                       "data: %" PRIu64 "\n",
                       ArmMecWriteback_str(info->writeback),
                       info->returned_lines);
    }
}

void hmp_info_arm_mec(Monitor *mon, const QDict *qdict)
{
    g_autoptr(ArmMecPage) info = NULL;
    Error *err = NULL;

    if (!qdict_haskey(qdict, "addr")) {
        mec_print_state(mon);
        return;
    }
    info = qmp_x_query_arm_mec(qdict_get_int(qdict, "addr"), &err);
    if (hmp_handle_error(mon, err)) {
        return;
    }
    monitor_printf(mon, "page 0x%" PRIx64 ": MECID %u%s\n", info->addr,
                   info->mecid,
                   info->mixed ? ", written by more than one context" : "");
    if (info->has_cached_lines) {
        monitor_printf(mon, "  cached in: %s; modified lines of others: %u\n",
                       info->space ?: "no physical address space",
                       info->cached_lines);
    }
}
