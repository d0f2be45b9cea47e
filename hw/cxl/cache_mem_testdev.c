/*
 * CXL.cache test device
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Two halves: operations by the doorbell are done in the thread that writes the
 * register, the agent is a thread of its own (cache_mem_testdev_agent.c).
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "hw/core/qdev-properties.h"
#include "hw/core/resettable.h"
#include "hw/cxl/cxl_type1_port.h"
#include "hw/pci/pci_bus.h"
#include "hw/pci/pcie.h"
#include "migration/vmstate.h"
#include "system/runstate.h"
#include "cache_mem_llc.h"
#include "cache_mem_testdev.h"

#define REGS_SIZE   CXL_CACHE_TESTDEV_REGS_SIZE

QEMU_BUILD_BUG_ON(CCT_STATE_I != CXL_CACHE_I || CCT_STATE_S != CXL_CACHE_S ||
                  CCT_STATE_E != CXL_CACHE_E || CCT_STATE_M != CXL_CACHE_M ||
                  CCT_STATE_EN != CXL_CACHE_EN);
QEMU_BUILD_BUG_ON(CCT_MODE_OFF != CACHE_MEM_OFF ||
                  CCT_MODE_ONCE != CACHE_MEM_ONCE ||
                  CCT_MODE_ON != CACHE_MEM_ON);
QEMU_BUILD_BUG_ON(CCT_STEP(CCT_NUM_STEPS) > CCT_BUF ||
                  CCT_BUF + CCT_BUF_SIZE != REGS_SIZE);

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

static CXLCacheReq request_of(const Operation *op)
{
    return (CXLCacheReq) {
        .line = op->line,
        .opcode = op->opcode,
        .be = op->be,
        .data = &op->data,
        .nt = op->flags & CCT_FLAG_NT,
        .poison = op->flags & CCT_FLAG_POISON,
    };
}

static int do_request(CXLCacheTestdev *s, Operation *op)
{
    CXLCacheReq req = request_of(op);
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
        cct_written_line(op->line);
    }
    return 0;
}

typedef struct Post {
    CacheMemPosted posted;
    CXLCacheTestdev *s;
} Post;

static void post_done(CacheMemPosted *posted)
{
    Post *post = container_of(posted, Post, posted);
    CXLCacheTestdev *s = post->s;

    qatomic_set(&s->posts_open, s->posts_open - 1);
    if (posted->result.failed) {
        qatomic_set(&s->posts_failed, s->posts_failed + 1);
    }
    g_free(post);
}

int cct_post(CXLCacheTestdev *s, const CXLCacheReq *req)
{
    Post *post = g_new0(Post, 1);
    int ret;

    post->posted.done = post_done;
    post->s = s;
    ret = cache_mem_post(s->cm, req, &post->posted, &s->posts_open);
    if (ret) {
        g_free(post);
    }
    return ret;
}

static int do_post(CXLCacheTestdev *s, Operation *op)
{
    CXLCacheReq req = request_of(op);

    return op->opcode < CXL_CACHE_D2H_REQ_CODES ? cct_post(s, &req) : -EINVAL;
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
    cct_written_line(op->line);
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
                         op->flags & CCT_FLAG_THROUGH ?
                         CACHE_MEM_WRITE_THROUGH :
                         op->flags & CCT_FLAG_KEEP ? CACHE_MEM_WRITE_KEEP :
                                                     CACHE_MEM_WRITE_EVICT)) {
        return -EIO;
    }
    cct_written(op->addr, op->len);
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
    [CCT_DO_POST] = do_post,
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
            return !r->agent || !cct_agent_running(&s->agent);
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
    CCTAgent *agent = &s->agent;

    stl_le_p(s->file + CCT_MODE, cache_mem_dev_mode(s->cm));
    stw_le_p(s->file + CCT_POSTS, qatomic_read(&s->posts_open));
    stw_le_p(s->file + CCT_POSTS + 2, qatomic_read(&s->posts_failed));
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
        cct_agent_control(s, value);
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

/* ---- Faults ---- */

static void testdev_hold(void *opaque, unsigned channels)
{
    CXLCacheTestdev *s = opaque;

    cache_mem_dev_hold(s->cm, cache_mem_dev_held_channels(s->cm) | channels);
}

static void testdev_clear(void *opaque)
{
    CXLCacheTestdev *s = opaque;

    cache_mem_dev_hold(s->cm, 0);
}

static void testdev_query(void *opaque, CxlType1FaultInfo *info)
{
    info->hw_ready = true;
}

static const CXLType1FaultOps testdev_faults = {
    .hold = testdev_hold,
    .clear = testdev_clear,
    .query = testdev_query,
};

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
        .rescue = s->rescue,
        .flit_256b = s->flit_256b,
        .cache_id = s->cache_id,
        .limits = s->limits,
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
    if (cache_mem_llc_window(&s->llc, OBJECT(s))) {
        pci_register_bar(pdev, CXL_CACHE_TESTDEV_BAR_LLC,
                         PCI_BASE_ADDRESS_SPACE_MEMORY, &s->llc);
    }
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
    cxl_type1_fault_init(&s->faults, DEVICE(s), &testdev_faults, s,
                         &error_abort);
    s->regs.cache = s->cm;
    s->regs.flit_256b = s->flit_256b;
    cxl_type1_regs_init(&s->regs, pdev, PCI_CONFIG_SPACE_SIZE,
                        CXL_CACHE_TESTDEV_BAR_COMPONENT, s->cache_size, 0);
    init_bars(s);
    init_file(s);
    cxl_type1_port_link_up(pdev);
    qemu_mutex_init(&s->agent.lock);
    qemu_cond_init(&s->agent.wake);
    s->vmstate = qemu_add_vm_change_state_handler(cct_agent_vm_state, s);
    s->agent.paused = !runstate_is_running();
}

static void testdev_exit(PCIDevice *pdev)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(pdev);

    qemu_del_vm_change_state_handler(s->vmstate);
    cxl_type1_fault_exit(&s->faults);
    cct_agent_stop(s);
    cache_mem_dev_detach(s->cm);
    cxl_type1_port_link_down(pdev);
    cxl_type1_regs_exit(&s->regs);
}

/* A vCPU that was on its way to the registers has been there by now. */
static void testdev_instance_finalize(Object *obj)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(obj);

    if (s->cm) {
        cct_agent_stop(s);
        qemu_cond_destroy(&s->agent.wake);
        qemu_mutex_destroy(&s->agent.lock);
        cache_mem_dev_free(s->cm);
    }
}

/* Before any memory is loaded anew, by whoever does that at reset */
static void testdev_reset_enter(Object *obj, ResetType type)
{
    cct_agent_stop(CXL_CACHE_TESTDEV(obj));
}

static void testdev_reset_hold(Object *obj, ResetType type)
{
    CXLCacheTestdev *s = CXL_CACHE_TESTDEV(obj);
    CCTAgent *agent = &s->agent;

    cache_mem_dev_reset(s->cm);
    cxl_type1_regs_reset(&s->regs);
    init_file(s);
    agent->status = 0;
    agent->result = 0;
    agent->iteration = 0;
    agent->retries = 0;
    agent->polls = 0;
    s->posts_failed = 0;
    memset(agent->shown_reg, 0, sizeof(agent->shown_reg));
}

static const Property testdev_properties[] = {
    DEFINE_PROP_SIZE("cache-size", CXLCacheTestdev, cache_size, 64 * KiB),
    DEFINE_PROP_UINT32("cache-ways", CXLCacheTestdev, cache_ways, 16),
    DEFINE_PROP_STRING("window", CXLCacheTestdev, guard),
    DEFINE_PROP_BOOL("rescue", CXLCacheTestdev, rescue, false),
    DEFINE_PROP_BOOL("x-256b-flit", CXLCacheTestdev, flit_256b, false),
    DEFINE_PROP_STRING("cache-id", CXLCacheTestdev, cache_id),
};

/* Lines in the cache are not in RAM. */
static const VMStateDescription testdev_vmstate = {
    .name = TYPE_CXL_CACHE_TESTDEV,
    .unmigratable = 1,
};

static CacheMemLimits *limits_of(Object *obj)
{
    return &CXL_CACHE_TESTDEV(obj)->limits;
}

static void testdev_class_init(ObjectClass *klass, const void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);
    ResettableClass *rc = RESETTABLE_CLASS(klass);

    dc->desc = "CXL.cache test device";
    dc->vmsd = &testdev_vmstate;
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    device_class_set_props(dc, testdev_properties);
    cache_mem_limits_class_init(klass, limits_of);
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
