/*
 * CXL.cache test device: the agent
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A thread that runs a program and takes the BQL never: so a vCPU may wait for
 * it with the BQL held.
 *
 * With icount the kernel would have a say in what happens when: there it is a
 * coroutine that a timer of the machine's clock enters, so that a run can be
 * repeated.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "qemu/log.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "exec/icount.h"
#include "cache_mem_testdev.h"

/* What a step takes at least, by a clock that does not go on by itself */
#define STEP_NS 100

static const CCTStepRule *step_rule(const CCTStep *step)
{
    return &cct_step_rules[CCT_STEP_GET_OP(step->op)];
}

static bool address_valid(const CCTStep *step, uint32_t size, bool full)
{
    /* Overflow is defined, and ends in an address that is not decoded. */
    return is_power_of_2(size) && size <= 8 && (!full || size == 8) &&
           (step->addr | step->stride) % size == 0;
}

static bool step_valid(const CCTStep *step)
{
    uint32_t op = CCT_STEP_GET_OP(step->op);
    uint32_t how = CCT_STEP_GET_HOW(step->op);
    const CCTStepRule *rule;

    if (op >= CCT_NUM_OPS || how >= CXL_CACHE_D2H_REQ_CODES ||
        step->op & CCT_STEP_RSVD ||
        CCT_STEP_GET_OPERAND(step->op) > CCT_REG ||
        CCT_STEP_GET_REG(step->op) >= CCT_AGENT_NUM_REGS ||
        CCT_STEP_GET_SRC(step->op) >= CCT_AGENT_NUM_REGS) {
        return false;
    }
    rule = step_rule(step);
    return (rule->how & BIT(how)) &&
           (!rule->memory ||
            address_valid(step, CCT_STEP_GET_SIZE(step->op),
                          rule->full & BIT(how)));
}

static uint64_t step_operand(const CCTAgent *agent, const CCTStep *step)
{
    switch (CCT_STEP_GET_OPERAND(step->op)) {
    case CCT_ITER:
        return step->value + agent->iteration;
    case CCT_REG:
        return step->value + agent->reg[CCT_STEP_GET_SRC(step->op)];
    default:
        return step->value;
    }
}

static CCTAccess step_access(const CCTAgent *agent, const CCTStep *step)
{
    uint64_t i = agent->iteration;
    uint64_t addr = step->addr +
                    (step->wrap ? i % step->wrap : i) * step->stride;

    return (CCTAccess) {
        .line = addr / CXL_CACHE_LINE_SIZE,
        .offset = addr % CXL_CACHE_LINE_SIZE,
        .size = CCT_STEP_GET_SIZE(step->op),
        .operand = step_operand(agent, step),
        .how = CCT_STEP_GET_HOW(step->op),
        .reg = CCT_STEP_GET_REG(step->op),
    };
}

/* The coroutine waits: until then, by the machine's clock, or to be stopped. */
static void coroutine_fn agent_sleep(void *opaque, uint64_t when)
{
    CCTAgent *agent = opaque;

    timer_mod_ns(agent->timer, when);
    qemu_coroutine_yield();
}

static bool is_coroutine(const CCTAgent *agent)
{
    return agent->co;
}

/* Returns: false if it is time to stop. Else the lock is held. */
static bool agent_enter(CCTAgent *agent)
{
    if (is_coroutine(agent)) {
        return !agent->stop;
    }
    qemu_mutex_lock(&agent->lock);
    while (agent->paused && !agent->stop) {
        qemu_cond_wait(&agent->wake, &agent->lock);
    }
    if (agent->stop) {
        qemu_mutex_unlock(&agent->lock);
        return false;
    }
    return true;
}

/* The home's lock is not fair: give others a chance to have it. */
static void agent_leave(CCTAgent *agent, int outcome)
{
    if (!is_coroutine(agent)) {
        qemu_mutex_unlock(&agent->lock);
    }
    if (outcome == CCT_STEP_RETRY) {
        qatomic_set(&agent->retries, agent->retries + 1);
    } else if (outcome == CCT_STEP_POLL) {
        qatomic_set(&agent->polls, agent->polls + 1);
    }
    if (is_coroutine(agent)) {
        agent_sleep(agent, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + STEP_NS);
    } else if (outcome > 0) {
        g_thread_yield();
    }
}

static void agent_end(CCTAgent *agent, uint32_t status, int result)
{
    qatomic_set(&agent->result, result);
    qatomic_store_release(&agent->status, status);
}

static void agent_fail(CCTAgent *agent, unsigned step, int result)
{
    agent_end(agent, CCT_AGENT_ERROR | step << 8, result);
}

/* Returns: 0, a negative errno, or -ECANCELED when stopped */
static int run_step(CXLCacheTestdev *s, const CCTStep *step)
{
    CCTAgent *agent = &s->agent;
    CCTAccess a = step_access(agent, step);
    int ret;

    do {
        if (!agent_enter(agent)) {
            return -ECANCELED;
        }
        ret = step_rule(step)->fn(s, &a);
        agent_leave(agent, ret);
    } while (ret > 0);
    return ret;
}

/* The registers to the log, in the one or two lines where they belong */
static int write_log(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;
    unsigned len = agent->log_regs * 8;
    uint64_t addr = agent->log + agent->iteration * len;
    int ret = 0;

    for (unsigned i = 0; i < agent->log_regs && !ret; i++) {
        CCTAccess a = {
            .line = (addr + i * 8) / CXL_CACHE_LINE_SIZE,
            .offset = (addr + i * 8) % CXL_CACHE_LINE_SIZE,
            .size = 8,
            .operand = agent->reg[i],
            .how = CXL_CACHE_WR_INV,
        };

        do {
            if (!agent_enter(agent)) {
                return -ECANCELED;
            }
            ret = cct_step_store(s, &a);
            agent_leave(agent, ret);
        } while (ret > 0);
    }
    return ret;
}

static int run_iteration(CXLCacheTestdev *s, unsigned *step)
{
    CCTAgent *agent = &s->agent;
    int ret;

    for (*step = 0; *step < agent->num_steps; (*step)++) {
        ret = run_step(s, &agent->step[*step]);
        if (ret) {
            return ret;
        }
    }
    *step = CCT_AGENT_STEP_LOG;
    ret = write_log(s);
    if (ret) {
        return ret;
    }
    for (unsigned i = 0; i < CCT_AGENT_NUM_REGS; i++) {
        qatomic_set(&agent->shown_reg[i], agent->reg[i]);
    }
    qatomic_set(&agent->iteration, agent->iteration + 1);
    return 0;
}

static void run_program(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;
    unsigned step = 0;
    int ret = 0;

    while (agent->iteration < agent->iterations && !ret) {
        ret = run_iteration(s, &step);
    }
    if (!ret) {
        agent_end(agent, CCT_AGENT_DONE, 0);
    } else if (ret == -ECANCELED) {
        agent_end(agent, CCT_AGENT_STOPPED, 0);
    } else {
        agent_fail(agent, step, ret);
    }
}

static void *agent_thread(void *opaque)
{
    rcu_register_thread();
    run_program(opaque);
    rcu_unregister_thread();
    return NULL;
}

static void coroutine_fn agent_co(void *opaque)
{
    CXLCacheTestdev *s = opaque;

    run_program(s);
    cache_mem_dev_set_sleep(s->cm, NULL, NULL);
    s->agent.co = NULL;
}

static void agent_tick(void *opaque)
{
    CXLCacheTestdev *s = opaque;

    if (s->agent.co) {
        qemu_coroutine_enter(s->agent.co);
    }
}

static void start_coroutine(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;

    if (!agent->timer) {
        agent->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, agent_tick, s);
    }
    cache_mem_dev_set_sleep(s->cm, agent_sleep, agent);
    agent->co = qemu_coroutine_create(agent_co, s);
    timer_mod_ns(agent->timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + STEP_NS);
}

/* It goes on until it has seen that it is to stop. */
static void stop_coroutine(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;

    cache_mem_hurry(s->cm, true);
    agent->stop = true;
    while (agent->co) {
        qemu_coroutine_enter(agent->co);
    }
    agent->stop = false;
    cache_mem_hurry(s->cm, false);
    g_clear_pointer(&agent->timer, timer_free);
}

bool cct_agent_running(CCTAgent *agent)
{
    return qatomic_load_acquire(&agent->status) & CCT_AGENT_RUNNING;
}

/* The lock is had when the step that is being done is complete. */
static void agent_set(CXLCacheTestdev *s, bool *flag, bool value)
{
    CCTAgent *agent = &s->agent;

    cache_mem_hurry(s->cm, true);
    WITH_QEMU_LOCK_GUARD(&agent->lock) {
        *flag = value;
        qemu_cond_broadcast(&agent->wake);
    }
    cache_mem_hurry(s->cm, false);
}

void cct_agent_stop(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;

    if (agent->timer) {
        stop_coroutine(s);
    }
    if (agent->joinable) {
        agent_set(s, &agent->stop, true);
        qemu_thread_join(&agent->thread);
        agent->joinable = false;
        agent->stop = false;
    }
}

/* Returns: false if the program is none */
static bool read_program(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;
    unsigned n;

    for (n = 0; n < CCT_NUM_STEPS; n++) {
        CCTStep *step = &agent->step[n];

        *step = (CCTStep) {
            .op = ldl_le_p(s->file + CCT_STEP_OP(n)),
            .stride = ldl_le_p(s->file + CCT_STEP_STRIDE(n)),
            .addr = ldq_le_p(s->file + CCT_STEP_ADDR(n)),
            .value = ldq_le_p(s->file + CCT_STEP_VALUE(n)),
            .wrap = ldl_le_p(s->file + CCT_STEP_WRAP(n)),
        };
        if (CCT_STEP_GET_OP(step->op) == CCT_OP_END) {
            break;
        }
        if (!step_valid(step)) {
            qemu_log_mask(LOG_GUEST_ERROR, "%s: step %u of the program is "
                          "malformed\n", PCI_DEVICE(s)->name, n);
            agent_fail(agent, n, -EINVAL);
            return false;
        }
    }
    agent->num_steps = n;
    agent->log = ldq_le_p(s->file + CCT_AGENT_LOG);
    agent->log_regs = ldl_le_p(s->file + CCT_AGENT_LOG_REGS);
    if (agent->log_regs > CCT_AGENT_NUM_REGS || agent->log % 8) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: the agent's log is malformed\n",
                      PCI_DEVICE(s)->name);
        agent_fail(agent, CCT_AGENT_STEP_LOG, -EINVAL);
        return false;
    }
    return true;
}

static void agent_start(CXLCacheTestdev *s)
{
    CCTAgent *agent = &s->agent;

    cct_agent_stop(s);
    agent->iteration = 0;
    agent->retries = 0;
    agent->polls = 0;
    agent->deadline = 0;
    if (!read_program(s)) {
        return;
    }
    agent->iterations = ldq_le_p(s->file + CCT_AGENT_ITERATIONS);
    for (int i = 0; i < CCT_AGENT_NUM_REGS; i++) {
        agent->reg[i] = agent->shown_reg[i];
    }
    agent_end(agent, CCT_AGENT_RUNNING, 0);
    if (icount_enabled()) {
        start_coroutine(s);
        return;
    }
    qemu_thread_create(&agent->thread, "cxl-cache-agent", agent_thread, s,
                       QEMU_THREAD_JOINABLE);
    agent->joinable = true;
}

void cct_agent_control(CXLCacheTestdev *s, uint32_t value)
{
    if (value & CCT_AGENT_STOP) {
        cct_agent_stop(s);
    }
    if (value & CCT_AGENT_START) {
        if (cct_agent_running(&s->agent)) {
            qemu_log_mask(LOG_GUEST_ERROR, "%s: START while the agent runs\n",
                          PCI_DEVICE(s)->name);
            return;
        }
        agent_start(s);
    }
}

void cct_agent_vm_state(void *opaque, bool running, RunState state)
{
    CXLCacheTestdev *s = opaque;

    /* By the clock it goes on with that. */
    if (!icount_enabled()) {
        agent_set(s, &s->agent.paused, !running);
    }
}
