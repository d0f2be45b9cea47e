/*
 * CXL.cache test device, for its own files
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cache_mem_testdev.c (registers, doorbell) starts and stops the agent
 * (cache_mem_testdev_agent.c), which runs steps (cache_mem_testdev_step.c).
 */

#ifndef HW_CXL_CACHE_MEM_TESTDEV_H
#define HW_CXL_CACHE_MEM_TESTDEV_H

#include "qemu/coroutine.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "hw/cxl/cache_mem_agent.h"
#include "hw/cxl/cxl_cache_testdev.h"
#include "hw/cxl/cxl_type1_fault.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "hw/pci/pci_device.h"
#include "qom/object.h"
#include "system/runstate.h"

#define TYPE_CXL_CACHE_TESTDEV "cxl-cache-testdev"
OBJECT_DECLARE_SIMPLE_TYPE(CXLCacheTestdev, CXL_CACHE_TESTDEV)

/* One step, as the registers have it */
typedef struct CCTStep {
    uint32_t op;
    uint32_t stride;
    uint64_t addr;
    uint64_t value;
    uint32_t wrap;
} CCTStep;

/**
 * CCTAgent:
 * @lock: held while a step is done; taken inside the BQL, outside the home's
 * @wake: @stop or @paused has changed
 * @paused: the machine does not run
 * @joinable: there is a thread, done or not
 * @co: instead of the thread, where the machine's clock goes by what vCPUs
 *      execute: it goes by that; NULL when the program is over
 * @timer: when @co goes on
 * @deadline: of the DELAY that is being done, or 0
 *
 * With @co all is done with the BQL held, and @lock is not used.
 *
 * From START on the program and @reg are the thread's. What else changes while
 * it runs is written by it alone, and read by others atomically.
 */
typedef struct CCTAgent {
    QemuThread thread;
    QemuMutex lock;
    QemuCond wake;
    bool stop;
    bool paused;
    bool joinable;
    Coroutine *co;
    QEMUTimer *timer;

    CCTStep step[CCT_NUM_STEPS];
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
} CCTAgent;

struct CXLCacheTestdev {
    PCIDevice parent_obj;

    CXLType1Regs regs;
    CacheMemDev *cm;
    MemoryRegion bar;
    MemoryRegion window;
    MemoryRegion llc;
    uint8_t file[CXL_CACHE_TESTDEV_REGS_SIZE];
    CCTAgent agent;
    VMChangeStateEntry *vmstate;
    uint64_t cache_size;
    uint32_t cache_ways;
    char *guard;
    bool rescue;
    bool flit_256b;
    char *cache_id;
    /* Requests that are posted, under way and failed: written with the lock */
    uint16_t posts_open;
    uint16_t posts_failed;
    CacheMemLimits limits;
    CXLType1Faults faults;
};

/* What a step may return other than a negative errno */
enum {
    CCT_STEP_DONE,
    CCT_STEP_RETRY,     /* a snoop came in between: from the start */
    CCT_STEP_POLL,      /* not yet what is waited for */
    CCT_STEP_LATER,     /* the delay is not over */
};

/**
 * CCTAccess: what a step is about, with iteration and registers put in
 * @how: D2H opcode
 */
typedef struct CCTAccess {
    uint64_t line;
    uint64_t operand;
    unsigned offset;
    unsigned size;
    uint8_t how;
    uint8_t reg;
} CCTAccess;

/**
 * CCTStepRule: what a program may say
 * @how: the opcodes it may be done by, a bit for each
 * @full: those which write whole lines
 * @memory: it has an address
 */
typedef struct CCTStepRule {
    int (*fn)(CXLCacheTestdev *s, const CCTAccess *a);
    uint32_t how;
    uint32_t full;
    bool memory;
} CCTStepRule;

/* By operation, CCT_OP_* */
extern const CCTStepRule cct_step_rules[CCT_NUM_OPS];

/* What a write may have changed is translated anew. */
void cct_written(uint64_t addr, size_t len);
void cct_written_line(uint64_t line);

/*
 * Send a request that goes on by itself, counted in CCT_POSTS. Returns: as
 * cache_mem_post()
 */
int cct_post(CXLCacheTestdev *s, const CXLCacheReq *req);

/* A step that stores; the agent's log is stores, too. */
int cct_step_store(CXLCacheTestdev *s, const CCTAccess *a);

/* CCT_AGENT_CTRL is written. */
void cct_agent_control(CXLCacheTestdev *s, uint32_t value);

bool cct_agent_running(CCTAgent *agent);
void cct_agent_stop(CXLCacheTestdev *s);

/* A VMChangeStateHandler: a machine that is stopped is stopped altogether. */
void cct_agent_vm_state(void *opaque, bool running, RunState state);

#endif /* HW_CXL_CACHE_MEM_TESTDEV_H */
