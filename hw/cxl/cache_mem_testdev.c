/*
 * CXL.cache test device
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two halves. Operations by the doorbell are done in the thread that writes
 * the register. The agent is a thread that runs a program and takes the BQL
 * never: so a vCPU may wait for it with the BQL held.
 *
 * Code that vCPUs have translated is discarded after each write, whether it
 * ends in the cache or in memory: a vCPU that runs it fetches nothing any more
 * and would not notice that its bytes have changed.
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/resettable.h"
#include "hw/cxl/cache_mem_agent.h"
#include "hw/cxl/cxl_cache_testdev.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pci_device.h"
#include "hw/pci/pcie.h"
#include "migration/vmstate.h"
#include "qom/object.h"
#include "system/address-spaces.h"
#include "system/runstate.h"

#define TYPE_CXL_CACHE_TESTDEV "cxl-cache-testdev"
OBJECT_DECLARE_SIMPLE_TYPE(CXLCacheTestdev, CXL_CACHE_TESTDEV)

#define REGS_SIZE   CXL_CACHE_TESTDEV_REGS_SIZE
#define DELAY_MAX   (3600ull * NANOSECONDS_PER_SECOND)
#define OPCODE(op)  (1u << CXL_CACHE_##op)

QEMU_BUILD_BUG_ON(CCT_STATE_I != CXL_CACHE_I || CCT_STATE_S != CXL_CACHE_S ||
                  CCT_STATE_E != CXL_CACHE_E || CCT_STATE_M != CXL_CACHE_M ||
                  CCT_STATE_EN != CXL_CACHE_EN);
QEMU_BUILD_BUG_ON(CCT_MODE_OFF != CACHE_MEM_OFF ||
                  CCT_MODE_ONCE != CACHE_MEM_ONCE ||
                  CCT_MODE_ON != CACHE_MEM_ON);
QEMU_BUILD_BUG_ON(CCT_STEP(CCT_NUM_STEPS) > CCT_BUF ||
                  CCT_BUF + CCT_BUF_SIZE != REGS_SIZE);

/* One step, as the registers have it */
typedef struct Step {
    uint32_t op;
    uint32_t stride;
    uint64_t addr;
    uint64_t value;
    uint32_t wrap;
} Step;

/**
 * Agent:
 * @lock: held while a step is done; taken inside the BQL, outside the home's
 * @wake: @stop or @paused has changed
 * @paused: the machine does not run
 * @joinable: there is a thread, done or not
 * @deadline: of the DELAY that is being done, or 0
 *
 * From START on the program and @reg are the thread's. What else changes while
 * it runs is written by it alone, and read by others atomically.
 */
typedef struct Agent {
    QemuThread thread;
    QemuMutex lock;
    QemuCond wake;
    bool stop;
    bool paused;
    bool joinable;

    Step step[CCT_NUM_STEPS];
    unsigned num_steps;
    uint64_t iterations;
    uint64_t log;
    unsigned log_regs;
    uint64_t reg[CCT_AGENT_NUM_REGS];
    int64_t deadline;

    uint32_t status;
    int32_t result;
    uint64_t iteration;
    uint64_t retries;
    uint64_t polls;
    uint64_t shown_reg[CCT_AGENT_NUM_REGS];
} Agent;

struct CXLCacheTestdev {
    PCIDevice parent_obj;

    CXLType1Regs regs;
    CacheMemDev *cm;
    MemoryRegion bar;
    MemoryRegion window;
    uint8_t file[REGS_SIZE];
    Agent agent;
    VMChangeStateEntry *vmstate;
    uint64_t cache_size;
    uint32_t cache_ways;
    char *guard;
};

/* What a write may have changed is translated anew. */
static void written(uint64_t addr, size_t len)
{
    cache_mem_discard_code(&address_space_memory, addr, len);
}

static void written_line(uint64_t line)
{
    written(line * CXL_CACHE_LINE_SIZE, CXL_CACHE_LINE_SIZE);
}

/* ---- Steps of the agent ---- */

/* What a step may return other than a negative errno */
enum {
    STEP_DONE,
    STEP_RETRY,     /* a snoop came in between: from the start */
    STEP_POLL,      /* not yet what is waited for */
    STEP_LATER,     /* the delay is not over */
};

/**
 * Access: what a step is about, with iteration and registers put in
 * @how: D2H opcode
 */
typedef struct Access {
    uint64_t line;
    uint64_t operand;
    unsigned offset;
    unsigned size;
    uint8_t how;
    uint8_t reg;
} Access;

static uint64_t access_be(const Access *a)
{
    return MAKE_64BIT_MASK(a->offset, a->size);
}

static uint64_t get_value(const Access *a, const CXLCacheLineData *data)
{
    return ldn_le_p(data->b + a->offset, a->size);
}

static void put_value(const Access *a, CXLCacheLineData *data, uint64_t value)
{
    stn_le_p(data->b + a->offset, a->size, value);
}

/* The operand, cut off to what fits */
static uint64_t wanted(const Access *a)
{
    return a->operand & MAKE_64BIT_MASK(0, a->size * 8);
}

static bool owned(CXLCacheState state)
{
    return state == CXL_CACHE_E || state == CXL_CACHE_M;
}

/*
 * A D2H request to a line of which the cache should have nothing. A line that
 * it does have, and has again because the doorbell was rung, is evicted.
 */
static int request(CXLCacheTestdev *s, const CXLCacheReq *req,
                   CacheMemResult *result)
{
    int ret;

    if (cache_mem_line_state(s->cm, req->line) != CXL_CACHE_I) {
        cache_mem_line_evict(s->cm, req->line);
    }
    ret = cache_mem_request(s->cm, req, result);
    if (ret == -EAGAIN || ret == -EBUSY ||
        (ret == -EPERM &&
         cache_mem_line_state(s->cm, req->line) != CXL_CACHE_I)) {
        return STEP_RETRY;
    }
    if (ret) {
        return ret;
    }
    return result->failed || result->poison ? -EIO : STEP_DONE;
}

static int load(CXLCacheTestdev *s, const Access *a, uint64_t *value)
{
    CXLCacheReq req = { .line = a->line, .opcode = a->how };
    CacheMemResult result = { };
    bool poison = false;
    int ret = STEP_DONE;

    if (!cache_mem_line_read(s->cm, a->line, &result.data, &poison)) {
        ret = request(s, &req, &result);
    }
    *value = get_value(a, &result.data);
    return poison ? -EIO : ret;
}

static int step_load(CXLCacheTestdev *s, const Access *a)
{
    return load(s, a, &s->agent.reg[a->reg]);
}

static int wait_done(CXLCacheTestdev *s, const Access *a, uint64_t value,
                     bool done)
{
    s->agent.reg[a->reg] = value;
    return done ? STEP_DONE : STEP_POLL;
}

static int step_wait_eq(CXLCacheTestdev *s, const Access *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value == wanted(a));
}

static int step_wait_ne(CXLCacheTestdev *s, const Access *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value != wanted(a));
}

static int step_wait_ge(CXLCacheTestdev *s, const Access *a)
{
    uint64_t value;
    int ret = load(s, a, &value);

    return ret ?: wait_done(s, a, value, value >= wanted(a));
}

/* A write that leaves no line behind; for a full line @be is all ones. */
static int write_through(CXLCacheTestdev *s, uint64_t line, uint8_t opcode,
                         const CXLCacheLineData *data, uint64_t be)
{
    CXLCacheReq req = {
        .line = line,
        .opcode = opcode,
        .data = data,
        .be = be,
    };
    CacheMemResult result;
    int ret = request(s, &req, &result);

    if (ret == STEP_DONE) {
        written_line(line);
    }
    return ret;
}

static int write_owned(CXLCacheTestdev *s, uint64_t line,
                       const CXLCacheLineData *data, uint64_t be)
{
    if (!cache_mem_line_write(s->cm, line, data, be)) {
        return STEP_RETRY;
    }
    written_line(line);
    return STEP_DONE;
}

/* @kept is clear if the host grants the line for one use only. */
static int own(CXLCacheTestdev *s, uint64_t line, bool *kept)
{
    CXLCacheReq req = { .line = line, .opcode = CXL_CACHE_RD_OWN };
    CacheMemResult result;
    int ret;

    *kept = true;
    if (owned(cache_mem_line_state(s->cm, line))) {
        return STEP_DONE;
    }
    ret = request(s, &req, &result);
    *kept = ret || owned(result.state);
    return ret;
}

static int store_owned(CXLCacheTestdev *s, const Access *a,
                       const CXLCacheLineData *data)
{
    bool kept;
    int ret = own(s, a->line, &kept);

    if (ret) {
        return ret;
    }
    return kept ? write_owned(s, a->line, data, access_be(a)) :
           write_through(s, a->line, CXL_CACHE_WR_INV, data, access_be(a));
}

/* RdOwnNoData has no answer that means "once": the refusal is GO-Err. */
static int store_owned_full(CXLCacheTestdev *s, const Access *a,
                            const CXLCacheLineData *data)
{
    CXLCacheReq req = { .line = a->line, .opcode = CXL_CACHE_RD_OWN_NO_DATA };
    CXLCacheState state = cache_mem_line_state(s->cm, a->line);
    CacheMemResult result;
    int ret = STEP_DONE;

    if (!owned(state) && state != CXL_CACHE_EN) {
        ret = request(s, &req, &result);
    }
    if (ret == -EIO) {
        return write_through(s, a->line, CXL_CACHE_I_TO_M_WR, data,
                             CXL_CACHE_BE_ALL);
    }
    return ret ?: write_owned(s, a->line, data, CXL_CACHE_BE_ALL);
}

static void fill_line(const Access *a, CXLCacheLineData *data)
{
    for (int i = 0; i < CXL_CACHE_LINE_SIZE; i += 8) {
        stq_le_p(data->b + i, a->operand);
    }
}

static int step_store(CXLCacheTestdev *s, const Access *a)
{
    CXLCacheLineData data = { };

    put_value(a, &data, a->operand);
    switch (a->how) {
    case CXL_CACHE_RD_OWN:
        return store_owned(s, a, &data);
    case CXL_CACHE_WR_INV:
    case CXL_CACHE_WO_WR_INV:
        return write_through(s, a->line, a->how, &data, access_be(a));
    case CXL_CACHE_RD_OWN_NO_DATA:
        fill_line(a, &data);
        return store_owned_full(s, a, &data);
    default:
        fill_line(a, &data);
        return write_through(s, a->line, a->how, &data, CXL_CACHE_BE_ALL);
    }
}

/*
 * Nobody writes between the read and the write: that would take a snoop, after
 * which the line is not owned. It cannot be owned again in between, unless the
 * doorbell is rung.
 */
static int step_add(CXLCacheTestdev *s, const Access *a)
{
    CXLCacheLineData data;
    bool kept, poison;
    uint64_t old;
    int ret = own(s, a->line, &kept);

    if (ret) {
        return ret;
    }
    if (!kept) {
        return -EPERM;
    }
    if (!cache_mem_line_read(s->cm, a->line, &data, &poison)) {
        return STEP_RETRY;
    }
    if (poison) {
        return -EIO;
    }
    old = get_value(a, &data);
    put_value(a, &data, old + a->operand);
    ret = write_owned(s, a->line, &data, access_be(a));
    if (ret == STEP_DONE) {
        s->agent.reg[a->reg] = old;
    }
    return ret;
}

static int step_evict(CXLCacheTestdev *s, const Access *a)
{
    int ret = cache_mem_line_evict(s->cm, a->line);

    return ret == -EAGAIN || ret == -EBUSY ? STEP_RETRY : ret;
}

static int step_flush(CXLCacheTestdev *s, const Access *a)
{
    CXLCacheReq req = { .line = a->line, .opcode = CXL_CACHE_CL_FLUSH };
    CacheMemResult result;

    return request(s, &req, &result);
}

static int step_delay(CXLCacheTestdev *s, const Access *a)
{
    Agent *agent = &s->agent;
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_REALTIME);

    if (!agent->deadline) {
        agent->deadline = now + MIN(a->operand, DELAY_MAX);
    }
    if (now < agent->deadline) {
        return STEP_LATER;
    }
    agent->deadline = 0;
    return STEP_DONE;
}

/**
 * StepRule: what a program may say
 * @how: the opcodes it may be done by, a bit for each
 * @full: those which write whole lines
 * @memory: it has an address
 */
typedef struct StepRule {
    int (*fn)(CXLCacheTestdev *s, const Access *a);
    uint32_t how;
    uint32_t full;
    bool memory;
} StepRule;

#define LOADS (OPCODE(RD_CURR) | OPCODE(RD_OWN) | OPCODE(RD_SHARED) | \
               OPCODE(RD_ANY))
#define FILLS (OPCODE(RD_OWN_NO_DATA) | OPCODE(I_TO_M_WR) | \
               OPCODE(WR_CUR) | OPCODE(WO_WR_INV_F))
#define STORES (OPCODE(RD_OWN) | OPCODE(WR_INV) | OPCODE(WO_WR_INV) | FILLS)

static const StepRule step_rules[CCT_NUM_OPS] = {
    [CCT_OP_LOAD] = { step_load, LOADS, 0, true },
    [CCT_OP_STORE] = { step_store, STORES, FILLS, true },
    [CCT_OP_ADD] = { step_add, OPCODE(RD_OWN), 0, true },
    [CCT_OP_WAIT_EQ] = { step_wait_eq, LOADS, 0, true },
    [CCT_OP_WAIT_NE] = { step_wait_ne, LOADS, 0, true },
    [CCT_OP_WAIT_GE] = { step_wait_ge, LOADS, 0, true },
    [CCT_OP_EVICT] = { step_evict, BIT(0), 0, true },
    [CCT_OP_FLUSH] = { step_flush, OPCODE(CL_FLUSH), 0, true },
    [CCT_OP_DELAY] = { step_delay, BIT(0), 0, false },
};

/* ---- The agent ---- */

static const StepRule *step_rule(const Step *step)
{
    return &step_rules[CCT_STEP_GET_OP(step->op)];
}

static bool address_valid(const Step *step, uint32_t size, bool full)
{
    /* Overflow is defined, and ends in an address that is not decoded. */
    return is_power_of_2(size) && size <= 8 && (!full || size == 8) &&
           (step->addr | step->stride) % size == 0;
}

static bool step_valid(const Step *step)
{
    uint32_t op = CCT_STEP_GET_OP(step->op);
    uint32_t how = CCT_STEP_GET_HOW(step->op);
    const StepRule *rule;

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

static uint64_t step_operand(const Agent *agent, const Step *step)
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

static Access step_access(const Agent *agent, const Step *step)
{
    uint64_t i = agent->iteration;
    uint64_t addr = step->addr +
                    (step->wrap ? i % step->wrap : i) * step->stride;

    return (Access) {
        .line = addr / CXL_CACHE_LINE_SIZE,
        .offset = addr % CXL_CACHE_LINE_SIZE,
        .size = CCT_STEP_GET_SIZE(step->op),
        .operand = step_operand(agent, step),
        .how = CCT_STEP_GET_HOW(step->op),
        .reg = CCT_STEP_GET_REG(step->op),
    };
}

/* Returns: false if it is time to stop. Else the lock is held. */
static bool agent_enter(Agent *agent)
{
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
static void agent_leave(Agent *agent, int outcome)
{
    qemu_mutex_unlock(&agent->lock);
    if (outcome == STEP_RETRY) {
        qatomic_set(&agent->retries, agent->retries + 1);
    } else if (outcome == STEP_POLL) {
        qatomic_set(&agent->polls, agent->polls + 1);
    }
    if (outcome > 0) {
        g_thread_yield();
    }
}

static void agent_end(Agent *agent, uint32_t status, int result)
{
    qatomic_set(&agent->result, result);
    qatomic_store_release(&agent->status, status);
}

static void agent_fail(Agent *agent, unsigned step, int result)
{
    agent_end(agent, CCT_AGENT_ERROR | step << 8, result);
}

/* Returns: 0, a negative errno, or -ECANCELED when stopped */
static int run_step(CXLCacheTestdev *s, const Step *step)
{
    Agent *agent = &s->agent;
    Access a = step_access(agent, step);
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
    Agent *agent = &s->agent;
    unsigned len = agent->log_regs * 8;
    uint64_t addr = agent->log + agent->iteration * len;
    int ret = 0;

    for (unsigned i = 0; i < agent->log_regs && !ret; i++) {
        Access a = {
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
            ret = step_store(s, &a);
            agent_leave(agent, ret);
        } while (ret > 0);
    }
    return ret;
}

static int run_iteration(CXLCacheTestdev *s, unsigned *step)
{
    Agent *agent = &s->agent;
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

static void *agent_thread(void *opaque)
{
    CXLCacheTestdev *s = opaque;
    Agent *agent = &s->agent;
    unsigned step = 0;
    int ret = 0;

    rcu_register_thread();
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
    rcu_unregister_thread();
    return NULL;
}

static bool agent_running(Agent *agent)
{
    return qatomic_load_acquire(&agent->status) & CCT_AGENT_RUNNING;
}

static void agent_set(Agent *agent, bool *flag, bool value)
{
    QEMU_LOCK_GUARD(&agent->lock);
    *flag = value;
    qemu_cond_broadcast(&agent->wake);
}

static void agent_stop(Agent *agent)
{
    if (agent->joinable) {
        agent_set(agent, &agent->stop, true);
        qemu_thread_join(&agent->thread);
        agent->joinable = false;
        agent->stop = false;
    }
}

/* Returns: false if the program is none */
static bool read_program(CXLCacheTestdev *s)
{
    Agent *agent = &s->agent;
    unsigned n;

    for (n = 0; n < CCT_NUM_STEPS; n++) {
        Step *step = &agent->step[n];

        *step = (Step) {
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
    Agent *agent = &s->agent;

    agent_stop(agent);
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
    qemu_thread_create(&agent->thread, "cxl-cache-agent", agent_thread, s,
                       QEMU_THREAD_JOINABLE);
    agent->joinable = true;
}

static void agent_control(CXLCacheTestdev *s, uint32_t value)
{
    if (value & CCT_AGENT_STOP) {
        agent_stop(&s->agent);
    }
    if (value & CCT_AGENT_START) {
        if (agent_running(&s->agent)) {
            qemu_log_mask(LOG_GUEST_ERROR, "%s: START while the agent runs\n",
                          PCI_DEVICE(s)->name);
            return;
        }
        agent_start(s);
    }
}

/* A machine that is stopped is stopped altogether. */
static void vm_state_changed(void *opaque, bool running, RunState state)
{
    CXLCacheTestdev *s = opaque;

    agent_set(&s->agent, &s->agent.paused, !running);
}

/* ---- The doorbell ---- */

/**
 * Operation: what is in the registers when the doorbell is rung
 * @status: CCT_STATUS_* to be shown with the line's state
 */
typedef struct Operation {
    uint64_t addr;
    uint64_t line;
    uint64_t be;
    uint32_t opcode;
    uint32_t flags;
    uint32_t len;
    uint32_t status;
    CXLCacheLineData data;
} Operation;

static int do_request(CXLCacheTestdev *s, Operation *op)
{
    CXLCacheReq req = {
        .line = op->line,
        .opcode = op->opcode,
        .be = op->be,
        .data = &op->data,
        .nt = op->flags & CCT_FLAG_NT,
        .poison = op->flags & CCT_FLAG_POISON,
    };
    const CXLCacheReqRule *rule;
    CacheMemResult result;
    int ret;

    if (op->opcode >= CXL_CACHE_D2H_REQ_CODES) {
        return -EINVAL;
    }
    ret = cache_mem_request(s->cm, &req, &result);
    if (ret) {
        return ret;
    }
    op->status = (result.failed ? CCT_STATUS_FAILED : 0) |
                 (result.poison ? CCT_STATUS_POISON : 0);
    rule = &cxl_cache_req_rules[op->opcode];
    if (rule->h2d_data) {
        memcpy(&op->data, &result.data, sizeof(op->data));
    } else if (rule->d2h_data && !rule->evict) {
        written_line(op->line);
    }
    return 0;
}

static int do_line_read(CXLCacheTestdev *s, Operation *op)
{
    bool poison;

    if (!cache_mem_line_read(s->cm, op->line, &op->data, &poison)) {
        return -EPERM;
    }
    op->status = poison ? CCT_STATUS_POISON : 0;
    return 0;
}

static int do_line_write(CXLCacheTestdev *s, Operation *op)
{
    if (!cache_mem_line_write(s->cm, op->line, &op->data, op->be)) {
        return -EPERM;
    }
    written_line(op->line);
    return 0;
}

static int do_line_drop(CXLCacheTestdev *s, Operation *op)
{
    return cache_mem_line_drop(s->cm, op->line) ? 0 : -EPERM;
}

static int do_line_evict(CXLCacheTestdev *s, Operation *op)
{
    return cache_mem_line_evict(s->cm, op->line);
}

static int do_line_state(CXLCacheTestdev *s, Operation *op)
{
    return 0;
}

static int do_flush(CXLCacheTestdev *s, Operation *op)
{
    cache_mem_dev_flush(s->cm);
    return 0;
}

/* Returns: 0 if the buffer can be used for what ADDR and LEN say */
static int check_buffer(CXLCacheTestdev *s, const Operation *op, bool write)
{
    CacheMemSeg seg = { .addr = op->addr, .len = op->len };

    if (op->len > CCT_BUF_SIZE) {
        return -EINVAL;
    }
    if (cache_mem_dev_mode(s->cm) == CACHE_MEM_OFF) {
        return -EPERM;
    }
    return cache_mem_usable(s->cm, &seg, 1, write) ? 0 : -EFAULT;
}

static int do_read(CXLCacheTestdev *s, Operation *op)
{
    CacheMemSeg seg = { .addr = op->addr, .len = op->len };
    int ret = check_buffer(s, op, false);
    bool poison;

    if (ret) {
        return ret;
    }
    return cache_mem_read(s->cm, &seg, 1, s->file + CCT_BUF, &poison) ?
           0 : -EIO;
}

static int do_write(CXLCacheTestdev *s, Operation *op)
{
    CacheMemSeg seg = { .addr = op->addr, .len = op->len };
    int ret = check_buffer(s, op, true);

    if (ret) {
        return ret;
    }
    if (!cache_mem_write(s->cm, &seg, 1, s->file + CCT_BUF,
                         op->flags & CCT_FLAG_KEEP)) {
        return -EIO;
    }
    written(op->addr, op->len);
    return 0;
}

static int (*const operations[])(CXLCacheTestdev *s, Operation *op) = {
    [CCT_DO_REQUEST] = do_request,
    [CCT_DO_LINE_READ] = do_line_read,
    [CCT_DO_LINE_WRITE] = do_line_write,
    [CCT_DO_LINE_DROP] = do_line_drop,
    [CCT_DO_LINE_EVICT] = do_line_evict,
    [CCT_DO_LINE_STATE] = do_line_state,
    [CCT_DO_FLUSH] = do_flush,
    [CCT_DO_READ] = do_read,
    [CCT_DO_WRITE] = do_write,
};

static void doorbell(CXLCacheTestdev *s, uint32_t what)
{
    Operation op = {
        .addr = ldq_le_p(s->file + CCT_ADDR),
        .be = ldq_le_p(s->file + CCT_BE),
        .opcode = ldl_le_p(s->file + CCT_OPCODE),
        .flags = ldl_le_p(s->file + CCT_FLAGS),
        .len = ldl_le_p(s->file + CCT_LEN),
    };
    int ret = -EINVAL;

    op.line = op.addr / CXL_CACHE_LINE_SIZE;
    memcpy(&op.data, s->file + CCT_DATA, sizeof(op.data));
    if (what < ARRAY_SIZE(operations) && operations[what]) {
        ret = operations[what](s, &op);
    }
    if (ret == -EINVAL) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: operation %u, opcode %u, address "
                      "0x%" PRIx64 ": out of range\n", PCI_DEVICE(s)->name,
                      what, op.opcode, op.addr);
    }
    memcpy(s->file + CCT_DATA, &op.data, sizeof(op.data));
    stl_le_p(s->file + CCT_RESULT, ret);
    stl_le_p(s->file + CCT_STATUS,
             op.status | cache_mem_line_state(s->cm, op.line));
}

/* ---- Registers ---- */

/**
 * RegRange: registers that keep what is written
 * @agent: not while the agent runs
 */
typedef struct RegRange {
    uint16_t start;
    uint16_t end;
    bool agent;
} RegRange;

static const RegRange writable[] = {
    { CCT_OPCODE, CCT_DOORBELL },
    { CCT_DATA, CCT_DATA + CCT_DATA_SIZE },
    { CCT_AGENT_ITERATIONS, CCT_AGENT_ITERATION, true },
    { CCT_AGENT_LOG, CCT_AGENT_RESULT, true },
    { CCT_AGENT_REG(0), CCT_AGENT_REG(CCT_AGENT_NUM_REGS), true },
    { CCT_STEP(0), CCT_STEP(CCT_NUM_STEPS), true },
    { CCT_BUF, CCT_BUF + CCT_BUF_SIZE },
};

static bool may_write(CXLCacheTestdev *s, hwaddr addr, unsigned size)
{
    for (int i = 0; i < ARRAY_SIZE(writable); i++) {
        const RegRange *r = &writable[i];

        if (addr >= r->start && addr + size <= r->end) {
            return !r->agent || !agent_running(&s->agent);
        }
    }
    return false;
}

static void set_mode(CXLCacheTestdev *s, uint32_t mode)
{
    if (mode > CACHE_MEM_ON) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: mode %u does not exist\n",
                      PCI_DEVICE(s)->name, mode);
        return;
    }
    cache_mem_dev_set_mode(s->cm, mode);
}

/* What is not just the register file comes into it when it is read. */
static void update_file(CXLCacheTestdev *s)
{
    Agent *agent = &s->agent;

    stl_le_p(s->file + CCT_MODE, cache_mem_dev_mode(s->cm));
    stl_le_p(s->file + CCT_AGENT_STATUS, qatomic_load_acquire(&agent->status));
    stl_le_p(s->file + CCT_AGENT_RESULT, qatomic_read(&agent->result));
    stq_le_p(s->file + CCT_AGENT_ITERATION, qatomic_read(&agent->iteration));
    stq_le_p(s->file + CCT_AGENT_RETRIES, qatomic_read(&agent->retries));
    stq_le_p(s->file + CCT_AGENT_POLLS, qatomic_read(&agent->polls));
    for (int i = 0; i < CCT_AGENT_NUM_REGS; i++) {
        stq_le_p(s->file + CCT_AGENT_REG(i),
                 qatomic_read(&agent->shown_reg[i]));
    }
}

static uint64_t testdev_read(void *opaque, hwaddr addr, unsigned size)
{
    CXLCacheTestdev *s = opaque;

    if (addr < CCT_STEP(0)) {
        update_file(s);
    }
    return ldn_le_p(s->file + addr, size);
}

static void write_file(CXLCacheTestdev *s, hwaddr addr, uint64_t value,
                       unsigned size)
{
    int reg = ((int)addr - CCT_AGENT_REG(0)) / 8;

    if (!may_write(s, addr, size)) {
        qemu_log_mask(LOG_GUEST_ERROR, "%s: register 0x%" HWADDR_PRIx
                      " cannot be written now\n", PCI_DEVICE(s)->name, addr);
        return;
    }
    stn_le_p(s->file + addr, size, value);
    if (addr >= CCT_AGENT_REG(0) && reg < CCT_AGENT_NUM_REGS) {
        s->agent.shown_reg[reg] = ldq_le_p(s->file + CCT_AGENT_REG(reg));
    }
}

static void testdev_write(void *opaque, hwaddr addr, uint64_t value,
                          unsigned size)
{
    CXLCacheTestdev *s = opaque;

    switch (addr) {
    case CCT_MODE:
        set_mode(s, value);
        break;
    case CCT_DOORBELL:
        doorbell(s, value);
        break;
    case CCT_ERRORS:
        stl_le_p(s->file + CCT_ERRORS,
                 ldl_le_p(s->file + CCT_ERRORS) & ~value);
        break;
    case CCT_AGENT_CTRL:
        agent_control(s, value);
        break;
    default:
        write_file(s, addr, value, size);
        break;
    }
}

static const MemoryRegionOps testdev_ops = {
    .read = testdev_read,
    .write = testdev_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 8 },
    .impl = { .min_access_size = 4, .max_access_size = 8 },
};

static void note_error(void *opaque, CXLCacheError err)
{
    CXLCacheTestdev *s = opaque;

    /* Noted before the device was unplugged, and reported after */
    if (!DEVICE(s)->realized) {
        return;
    }
    cxl_type1_regs_protocol_error(&s->regs, err);
    stl_le_p(s->file + CCT_ERRORS, ldl_le_p(s->file + CCT_ERRORS) | BIT(err));
}

/* ---- The PCI device ---- */

static uint32_t testdev_config_read(PCIDevice *pdev, uint32_t addr, int len)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(pdev);
    uint32_t val;

    if (cxl_type1_regs_config_read(&s->regs, addr, len, &val)) {
        return val;
    }
    return pci_default_read_config(pdev, addr, len);
}

static void testdev_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val,
                                 int len)
{
    pci_default_write_config(pdev, addr, val, len);
    cxl_type1_regs_config_write(&CXL_CACHE_TESTDEV(pdev)->regs, addr, val,
                                len);
}

static bool attach_cache(CXLCacheTestdev *s, Error **errp)
{
    CacheMemDevConfig config = {
        .cache_size = s->cache_size,
        .cache_ways = s->cache_ways,
        .allow = s->guard,
        .error = note_error,
        .opaque = s,
    };

    s->cm = cxl_type1_port_attach(PCI_DEVICE(s), &config, errp);
    return s->cm;
}

static void init_bars(CXLCacheTestdev *s)
{
    PCIDevice *pdev = PCI_DEVICE(s);

    memory_region_init_io(&s->bar, OBJECT(s), &testdev_ops, s,
                          "cxl-cache-testdev", REGS_SIZE);
    pci_register_bar(pdev, CXL_CACHE_TESTDEV_BAR_REGS,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->bar);
    cache_mem_dev_window(s->cm, &s->window, OBJECT(s));
    pci_register_bar(pdev, CXL_CACHE_TESTDEV_BAR_WINDOW,
                     PCI_BASE_ADDRESS_SPACE_MEMORY, &s->window);
}

/* Read-only registers; everything else starts at 0. */
static void init_file(CXLCacheTestdev *s)
{
    memset(s->file, 0, sizeof(s->file));
    stl_le_p(s->file + CCT_MAGIC, CCT_MAGIC_VALUE);
    stl_le_p(s->file + CCT_VERSION, 1);
    stl_le_p(s->file + CCT_LINES, s->cache_size / CXL_CACHE_LINE_SIZE);
}

static void testdev_realize(PCIDevice *pdev, Error **errp)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(pdev);

    if (!cxl_type1_port_check(pdev, errp) || !attach_cache(s, errp)) {
        return;
    }
    if (pcie_endpoint_cap_init(pdev, 0) < 0) {
        error_setg(errp, "there is no room for a PCI Express capability");
        g_clear_pointer(&s->cm, cache_mem_dev_free);
        return;
    }
    s->regs.cache = s->cm;
    cxl_type1_regs_init(&s->regs, pdev, PCI_CONFIG_SPACE_SIZE,
                        CXL_CACHE_TESTDEV_BAR_COMPONENT, s->cache_size, 0);
    init_bars(s);
    init_file(s);
    cxl_type1_port_link_up(pdev);
    qemu_mutex_init(&s->agent.lock);
    qemu_cond_init(&s->agent.wake);
    s->vmstate = qemu_add_vm_change_state_handler(vm_state_changed, s);
    s->agent.paused = !runstate_is_running();
}

static void testdev_exit(PCIDevice *pdev)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(pdev);

    qemu_del_vm_change_state_handler(s->vmstate);
    agent_stop(&s->agent);
    cache_mem_dev_detach(s->cm);
    cxl_type1_port_link_down(pdev);
    cxl_type1_regs_exit(&s->regs);
}

/* A vCPU that was on its way to the registers has been there by now. */
static void testdev_instance_finalize(Object *obj)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(obj);

    if (s->cm) {
        agent_stop(&s->agent);
        qemu_cond_destroy(&s->agent.wake);
        qemu_mutex_destroy(&s->agent.lock);
        cache_mem_dev_free(s->cm);
    }
}

/* Before any memory is loaded anew, by whoever does that at reset */
static void testdev_reset_enter(Object *obj, ResetType type)
{
    agent_stop(&CXL_CACHE_TESTDEV(obj)->agent);
}

static void testdev_reset_hold(Object *obj, ResetType type)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(obj);
    Agent *agent = &s->agent;

    cache_mem_dev_reset(s->cm);
    cxl_type1_regs_reset(&s->regs);
    init_file(s);
    agent->status = 0;
    agent->result = 0;
    agent->iteration = 0;
    agent->retries = 0;
    agent->polls = 0;
    memset(agent->shown_reg, 0, sizeof(agent->shown_reg));
}

static const Property testdev_properties[] = {
    DEFINE_PROP_SIZE("cache-size", CXLCacheTestdev, cache_size, 64 * KiB),
    DEFINE_PROP_UINT32("cache-ways", CXLCacheTestdev, cache_ways, 16),
    DEFINE_PROP_STRING("window", CXLCacheTestdev, guard),
};

/* Lines in the cache are not in RAM. */
static const VMStateDescription testdev_vmstate = {
    .name = TYPE_CXL_CACHE_TESTDEV,
    .unmigratable = 1,
};

static void testdev_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "CXL.cache test device";
    dc->vmsd = &testdev_vmstate;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, testdev_properties);
    rc->phases.enter = testdev_reset_enter;
    rc->phases.hold = testdev_reset_hold;
    pc->realize = testdev_realize;
    pc->exit = testdev_exit;
    pc->config_read = testdev_config_read;
    pc->config_write = testdev_config_write;
    pc->vendor_id = CXL_CACHE_TESTDEV_VENDOR_ID;
    pc->device_id = CXL_CACHE_TESTDEV_DEVICE_ID;
    pc->class_id = PCI_CLASS_OTHERS;
}

static const TypeInfo testdev_info = {
    .name = TYPE_CXL_CACHE_TESTDEV,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(CXLCacheTestdev),
    .instance_finalize = testdev_instance_finalize,
    .class_init = testdev_class_init,
    .interfaces = (const InterfaceInfo[]) {
        { INTERFACE_PCIE_DEVICE },
        { INTERFACE_CXL_DEVICE },
        { }
    },
};

static void testdev_register_types(void)
{
    type_register_static(&testdev_info);
}

type_init(testdev_register_types)
