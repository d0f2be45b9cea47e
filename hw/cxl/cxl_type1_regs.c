/*
 * Registers of a CXL Type 1 device (CXL.io and CXL.cache, no memory)
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The DVSECs are built from offsets rather than from the structures in
 * cxl_pci.h, whose layout differs between trees.
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "hw/pci/pcie.h"
#include "hw/cxl/cxl_type1_regs.h"
#include "trace.h"

/* CXL r3.1 section 8.1.3.9: units of Cache Size Unit */
#define CACHE_SIZE_UNIT_64K  1
#define CACHE_SIZE_UNIT_1M   2
#define CACHE_SIZE_MAX_UNITS 255

/* One 16-bit register of a DVSEC; what is not listed reads as zero */
typedef struct DVSECReg {
    uint8_t offset;
    uint16_t value;
    uint16_t rw;
    uint16_t rw1c;
} DVSECReg;

#define CXL_DEV_CTRL_RWL                        \
    (R_CXL_DEV_CTRL_CACHE_ENABLE_MASK |         \
     R_CXL_DEV_CTRL_CACHE_SF_COVERAGE_MASK |    \
     R_CXL_DEV_CTRL_CACHE_SF_GRANULARITY_MASK | \
     R_CXL_DEV_CTRL_CACHE_CLEAN_EVICTION_MASK | \
     R_CXL_DEV_CTRL_VIRAL_ENABLE_MASK)

/* Capability2 depends on the cache and is filled in at init */
static const DVSECReg cxl_dev_dvsec[] = {
    {
        .offset = A_CXL_DEV_CAP,
        .value = R_CXL_DEV_CAP_CACHE_CAPABLE_MASK |
                 R_CXL_DEV_CAP_IO_CAPABLE_MASK |
                 R_CXL_DEV_CAP_CACHE_WB_AND_INV_CAPABLE_MASK |
                 R_CXL_DEV_CAP_VIRAL_CAPABLE_MASK |
                 R_CXL_DEV_CAP_PM_INIT_COMPLETION_REPORTING_MASK,
    }, {
        .offset = A_CXL_DEV_CTRL,
        .value = R_CXL_DEV_CTRL_IO_ENABLE_MASK,
        .rw = CXL_DEV_CTRL_RWL,
    }, {
        .offset = A_CXL_DEV_STATUS,
        .rw1c = R_CXL_DEV_STATUS_VIRAL_STATUS_MASK,
    }, {
        .offset = A_CXL_DEV_CTRL2,
        .rw = R_CXL_DEV_CTRL2_DISABLE_CACHING_MASK |
              R_CXL_DEV_CTRL2_INITIATE_CACHE_WB_AND_INV_MASK,
    }, {
        .offset = A_CXL_DEV_STATUS2,
        .value = R_CXL_DEV_STATUS2_PM_INIT_COMPLETE_MASK,
    }, {
        .offset = A_CXL_DEV_LOCK,
        .rw = R_CXL_DEV_LOCK_CONFIG_LOCK_MASK,
    },
};

static const DVSECReg flex_bus_dvsec[] = {
    { .offset = A_CXL_FLEX_BUS_CAP, .value = CXL_FLEX_BUS_TYPE1 },
    { .offset = A_CXL_FLEX_BUS_CTRL, .value = CXL_FLEX_BUS_IO_ENABLE },
    { .offset = A_CXL_FLEX_BUS_STATUS, .value = CXL_FLEX_BUS_TYPE1 },
};

uint16_t cxl_type1_cache_size_enc(uint64_t size, Error **errp)
{
    static const struct {
        uint64_t bytes;
        uint8_t enc;
    } units[] = {
        { 64 * KiB, CACHE_SIZE_UNIT_64K },
        { 1 * MiB, CACHE_SIZE_UNIT_1M },
    };

    for (int i = 0; i < ARRAY_SIZE(units); i++) {
        uint64_t n = size / units[i].bytes;

        if (n && n <= CACHE_SIZE_MAX_UNITS && size % units[i].bytes == 0) {
            uint16_t cap2 = FIELD_DP16(0, CXL_DEV_CAP2, CACHE_SIZE_UNIT,
                                       units[i].enc);

            return FIELD_DP16(cap2, CXL_DEV_CAP2, CACHE_SIZE, n);
        }
    }

    error_setg(errp, "'cache-size' must be 1 to %d times 64 KiB or 1 MiB, "
               "not %" PRIu64 " bytes", CACHE_SIZE_MAX_UNITS, size);
    return 0;
}

static uint8_t *dev_dvsec_reg(CXLType1Regs *regs, int offset)
{
    return regs->pdev->config + regs->dev_dvsec + offset;
}

/*
 * Give a DVSEC its reset values and write masks.  This also undoes the masks
 * that cxl_component_create_dvsec() sets for devices with memory.
 */
static void dvsec_reset(PCIDevice *pdev, uint16_t base, uint16_t length,
                        const DVSECReg *regs, int n)
{
    memset(pdev->wmask + base + sizeof(DVSECHeader), 0,
           length - sizeof(DVSECHeader));

    for (int i = 0; i < n; i++) {
        uint16_t addr = base + regs[i].offset;

        pci_set_word(pdev->config + addr, regs[i].value);
        pci_set_word(pdev->wmask + addr, regs[i].rw);
        pci_set_word(pdev->w1cmask + addr, regs[i].rw1c);
    }
}

static uint16_t create_dvsec(CXLType1Regs *regs, uint16_t id, uint8_t rev,
                             uint16_t length, const DVSECReg *table, int n)
{
    g_autofree uint8_t *body = g_malloc0(length);
    uint16_t base = regs->cstate.dvsec_offset;

    cxl_component_create_dvsec(&regs->cstate, CXL2_DEVICE, length, id, rev,
                               body);
    dvsec_reset(regs->pdev, base, length, table, n);
    return base;
}

static void create_register_locator(CXLType1Regs *regs, int bar)
{
    /* CXL r3.1 section 8.1.9: the first of three register block entries */
    const int block1 = 0x0c;
    uint16_t base = create_dvsec(regs, REG_LOC_DVSEC, REG_LOC_DVSEC_REVID,
                                 REG_LOC_DVSEC_LENGTH, NULL, 0);

    pci_set_long(regs->pdev->config + base + block1,
                 RBI_COMPONENT_REG | bar);
}

/*
 * CXL r3.1 section 8.1.11.1: read entry.  The only entry is the header of the
 * CDAT, so any other handle is past the end of the table.
 */
static bool cdat_read_entry(DOECap *doe)
{
    CDATReq *req = pcie_doe_get_write_mbox_ptr(doe);
    struct {
        CDATRsp rsp;
        CDATTableHeader table;
    } QEMU_PACKED answer = {
        .rsp = {
            .header = {
                .vendor_id = cpu_to_le16(CXL_VENDOR_ID),
                .data_obj_type = CXL_DOE_TABLE_ACCESS,
                .length = cpu_to_le32(sizeof(answer) / sizeof(uint32_t)),
            },
            .rsp_code = CXL_DOE_TAB_RSP,
            .table_type = CXL_DOE_TAB_TYPE_CDAT,
            .entry_handle = cpu_to_le16(CXL_DOE_TAB_ENT_MAX),
        },
        .table = {
            .length = cpu_to_le32(sizeof(CDATTableHeader)),
            .revision = CXL_CDAT_REV,
        },
    };
    const uint8_t *table = (const uint8_t *)&answer.table;
    uint8_t sum = 0;

    if (pcie_doe_get_obj_len(req) < sizeof(*req) / sizeof(uint32_t) ||
        req->req_code != CXL_DOE_TAB_REQ ||
        req->table_type != CXL_DOE_TAB_TYPE_CDAT || req->entry_handle) {
        return false;
    }

    for (int i = 0; i < sizeof(answer.table); i++) {
        sum += table[i];
    }
    answer.table.checksum = -sum;

    pcie_doe_set_rsp(doe, &answer);
    return true;
}

static DOEProtocol doe_protocols[] = {
    { CXL_VENDOR_ID, CXL_DOE_TABLE_ACCESS, cdat_read_entry },
    { }
};

static void cachemem_write(void *opaque, hwaddr offset, uint64_t value,
                           unsigned size)
{
    CXLComponentState *cstate = opaque;
    CXLType1Regs *regs = container_of(cstate, CXLType1Regs, cstate);
    uint32_t *cachemem = cstate->crb.cache_mem_registers;

    if (!cxl_type1_ras_clear(&regs->ras, cachemem, offset, value)) {
        stl_le_p((uint8_t *)cachemem + offset, value);
    }
}

static void component_registers_reset(CXLType1Regs *regs)
{
    ComponentRegisters *crb = &regs->cstate.crb;

    cxl_component_register_init_common(crb->cache_mem_registers,
                                       crb->cache_mem_regs_write_mask,
                                       CXL2_DEVICE, false);
    /* The common code still writes the version of CXL 2.0 */
    ARRAY_FIELD_DP32(crb->cache_mem_registers, CXL_RAS_CAPABILITY_HEADER,
                     VERSION, CXL_RAS_CAPABILITY_VERSION);
    regs->ras = (CXLType1Ras) { };
}

static void init_component_registers(CXLType1Regs *regs, int bar)
{
    CXLComponentState *cstate = &regs->cstate;

    regs->cachemem_ops.write = cachemem_write;
    cstate->crb.special_ops = &regs->cachemem_ops;
    cxl_component_register_block_init(OBJECT(regs->pdev), cstate,
                                      "cxl-type1-component");
    component_registers_reset(regs);
    pci_register_bar(regs->pdev, bar, PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_TYPE_64,
                     &cstate->crb.component_registers);
}

/* CXL r3.1 sections 8.1.3.2 and 8.1.3.4: what the cache may do */
static void update_mode(CXLType1Regs *regs)
{
    uint16_t ctrl = pci_get_word(dev_dvsec_reg(regs, A_CXL_DEV_CTRL));
    uint16_t ctrl2 = pci_get_word(dev_dvsec_reg(regs, A_CXL_DEV_CTRL2));

    cache_mem_dev_set_mode(regs->cache,
        !FIELD_EX16(ctrl, CXL_DEV_CTRL, CACHE_ENABLE) ? CACHE_MEM_OFF :
        FIELD_EX16(ctrl2, CXL_DEV_CTRL2, DISABLE_CACHING) ? CACHE_MEM_ONCE :
        CACHE_MEM_ON);
}

/* Stands in for firmware that sets Cache_Enable before it starts an OS */
static void firmware_enable(CXLType1Regs *regs)
{
    if (regs->cache_enable) {
        pci_word_test_and_set_mask(dev_dvsec_reg(regs, A_CXL_DEV_CTRL),
                                   R_CXL_DEV_CTRL_CACHE_ENABLE_MASK);
    }
    update_mode(regs);
}

uint16_t cxl_type1_regs_init(CXLType1Regs *regs, PCIDevice *pdev,
                             uint16_t offset, int bar, uint64_t cache_size,
                             uint64_t serial)
{
    regs->pdev = pdev;
    regs->cache_size = cache_size;
    regs->cstate.pdev = pdev;
    regs->cstate.dvsec_offset = offset;

    regs->dev_dvsec = create_dvsec(regs, PCIE_CXL_DEVICE_DVSEC,
                                   CXL_DEV_DVSEC_REVID, CXL_DEV_DVSEC_LENGTH,
                                   cxl_dev_dvsec, ARRAY_SIZE(cxl_dev_dvsec));
    pci_set_word(dev_dvsec_reg(regs, A_CXL_DEV_CAP2),
                 cxl_type1_cache_size_enc(cache_size, &error_abort));

    /* There is nothing to save on power failure: phase 2 takes no time */
    create_dvsec(regs, GPF_DEVICE_DVSEC, GPF_DEVICE_DVSEC_REVID,
                 GPF_DEVICE_DVSEC_LENGTH, NULL, 0);
    offset = create_dvsec(regs, PCIE_FLEXBUS_PORT_DVSEC,
                          CXL_FLEX_BUS_DVSEC_REVID, CXL_FLEX_BUS_DVSEC_LENGTH,
                          flex_bus_dvsec, ARRAY_SIZE(flex_bus_dvsec));
    if (regs->flit_256b) {
        pci_set_word(pdev->config + offset + A_CXL_FLEX_BUS_STATUS,
                     CXL_FLEX_BUS_TYPE1_256B);
    }
    create_register_locator(regs, bar);
    offset = regs->cstate.dvsec_offset;

    /* pcie_doe_fini() frees the structure, so it cannot be embedded */
    regs->doe = g_new0(DOECap, 1);
    pcie_doe_init(pdev, regs->doe, offset, doe_protocols, false, 0);
    offset += PCI_DOE_SIZEOF;

    pcie_dev_ser_num_init(pdev, offset, serial);
    offset += PCI_EXT_CAP_DSN_SIZEOF;

    init_component_registers(regs, bar);
    firmware_enable(regs);
    return offset;
}

void cxl_type1_regs_exit(CXLType1Regs *regs)
{
    g_clear_pointer(&regs->doe, pcie_doe_fini);
}

void cxl_type1_regs_reset(CXLType1Regs *regs)
{
    dvsec_reset(regs->pdev, regs->dev_dvsec, CXL_DEV_DVSEC_LENGTH,
                cxl_dev_dvsec, ARRAY_SIZE(cxl_dev_dvsec));
    firmware_enable(regs);
    component_registers_reset(regs);
    trace_cxl_type1_regs_reset(regs->pdev->name);
}

bool cxl_type1_regs_config_read(CXLType1Regs *regs, uint32_t addr, int len,
                                uint32_t *val)
{
    return pcie_doe_read_config(regs->doe, addr, len, val);
}

/* CXL r3.1 section 8.1.3.6: the lock holds until the next conventional reset */
static void write_lock(CXLType1Regs *regs)
{
    uint8_t *wmask = regs->pdev->wmask + regs->dev_dvsec;

    if (pci_get_word(dev_dvsec_reg(regs, A_CXL_DEV_LOCK)) &
        R_CXL_DEV_LOCK_CONFIG_LOCK_MASK) {
        pci_set_word(wmask + A_CXL_DEV_CTRL, 0);
        pci_set_word(wmask + A_CXL_DEV_LOCK, 0);
        trace_cxl_type1_regs_locked(regs->pdev->name);
    }
}

/* CXL r3.1 sections 8.1.3.4 and 8.1.3.5 */
static void write_ctrl2(CXLType1Regs *regs)
{
    uint8_t *reg = dev_dvsec_reg(regs, A_CXL_DEV_CTRL2);
    uint8_t *status2 = dev_dvsec_reg(regs, A_CXL_DEV_STATUS2);
    bool initiate = pci_word_test_and_clear_mask(
        reg, R_CXL_DEV_CTRL2_INITIATE_CACHE_WB_AND_INV_MASK);

    if (!(pci_get_word(reg) & R_CXL_DEV_CTRL2_DISABLE_CACHING_MASK)) {
        pci_word_test_and_clear_mask(status2,
                                     R_CXL_DEV_STATUS2_CACHE_INVALID_MASK);
        if (initiate) {
            qemu_log_mask(LOG_GUEST_ERROR,
                          "%s: Initiate_Cache_Write_Back_and_Invalidation "
                          "without Disable_Caching ignored\n",
                          regs->pdev->name);
        }
    } else if (initiate) {
        cache_mem_dev_flush(regs->cache);
        trace_cxl_type1_regs_cache_wb_and_inv(regs->pdev->name);
        pci_word_test_and_set_mask(status2,
                                   R_CXL_DEV_STATUS2_CACHE_INVALID_MASK);
    }
}

void cxl_type1_regs_config_write(CXLType1Regs *regs, uint32_t addr,
                                 uint32_t val, int len)
{
    uint32_t ctrl = regs->dev_dvsec + A_CXL_DEV_CTRL;
    uint32_t ctrl2 = regs->dev_dvsec + A_CXL_DEV_CTRL2;
    uint32_t lock = regs->dev_dvsec + A_CXL_DEV_LOCK;

    pcie_doe_write_config(regs->doe, addr, val, len);

    if (ranges_overlap(addr, len, ctrl, ctrl2 + 2 - ctrl)) {
        update_mode(regs);
    }
    if (ranges_overlap(addr, len, ctrl2, 2)) {
        write_ctrl2(regs);
    }
    if (ranges_overlap(addr, len, lock, 2)) {
        write_lock(regs);
    }
    if (ranges_overlap(addr, len, ctrl, ctrl2 + 2 - ctrl)) {
        trace_cxl_type1_regs_ctrl(regs->pdev->name,
                                  pci_get_word(regs->pdev->config + ctrl),
                                  pci_get_word(regs->pdev->config + ctrl2));
    }
}

/* CXL r3.1 section 8.2.4.17.1; what has no bit of its own is internal */
static const uint8_t ras_bit[CXL_CACHE_NUM_ERRS] = {
    [CXL_CACHE_ERR_RSVD_ENCODING] = CXL_RAS_UNC_ERR_RSVD_ENCODING,
};

static void signal_error(CXLType1Regs *regs, uint32_t status, uint16_t flags)
{
    PCIEAERErr aer = {
        .status = status,
        .source_id = pci_requester_id(regs->pdev),
        .flags = flags,
    };

    if (regs->pdev->exp.aer_cap) {
        pcie_aer_inject_error(regs->pdev, &aer);
    }
}

static void signal_internal_error(CXLType1Regs *regs)
{
    signal_error(regs, PCI_ERR_UNC_INTN, 0);
}

void cxl_type1_regs_uncorrectable(CXLType1Regs *regs, const CXLRasError *errors,
                                  unsigned n)
{
    uint32_t *cachemem = regs->cstate.crb.cache_mem_registers;
    bool any = false;

    for (unsigned i = 0; i < n; i++) {
        if (cxl_type1_ras_uncorrectable(&regs->ras, cachemem, &errors[i])) {
            any = true;
            trace_cxl_type1_regs_ras(regs->pdev->name,
                ldl_le_p(cachemem + R_CXL_RAS_UNC_ERR_STATUS));
        }
    }
    if (any) {
        signal_internal_error(regs);
    }
}

void cxl_type1_regs_error(CXLType1Regs *regs, unsigned bit)
{
    CXLRasError error = { .bit = bit };

    cxl_type1_regs_uncorrectable(regs, &error, 1);
}

void cxl_type1_regs_correctable(CXLType1Regs *regs, unsigned bit)
{
    if (cxl_type1_ras_correctable(regs->cstate.crb.cache_mem_registers, bit)) {
        trace_cxl_type1_regs_correctable(regs->pdev->name, bit);
        signal_error(regs, PCI_ERR_COR_INTERNAL, PCIE_AER_ERR_IS_CORRECTABLE);
    }
}

void cxl_type1_regs_protocol_error(CXLType1Regs *regs, CXLCacheError err)
{
    cxl_type1_regs_error(regs, ras_bit[err] ?: CXL_RAS_UNC_ERR_INTERNAL);
}

void cxl_type1_regs_viral(CXLType1Regs *regs, bool viral)
{
    uint8_t *status = dev_dvsec_reg(regs, A_CXL_DEV_STATUS);

    if (!viral) {
        pci_word_test_and_clear_mask(status,
                                     R_CXL_DEV_STATUS_VIRAL_STATUS_MASK);
        return;
    }
    pci_word_test_and_set_mask(status, R_CXL_DEV_STATUS_VIRAL_STATUS_MASK);
    signal_internal_error(regs);
}
