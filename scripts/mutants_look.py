# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of looking at lines, of errors, of events"""

LINE = 'hw/cxl/cache_mem_line.c'
LOOK = 'hw/cxl/cache/look.c'
POISON = 'hw/cxl/cache_mem_poison.c'
RAS = 'hw/cxl/cxl_type1_ras.c'
RAS_DEVICE = 'hw/cxl/cxl_ras.c'
REGS = 'hw/cxl/cxl_type1_regs.c'
INJECT = 'hw/cxl/cxl_type1_inject.c'
REGION = 'hw/cxl/cache_mem_region.c'
LINK = 'hw/cxl/cxl_type1_link.c'
FAULT = 'hw/cxl/cxl_type1_fault.c'
COMPONENT = 'hw/cxl/cxl-component-utils.c'
MAILBOX = 'hw/cxl/cxl-mailbox-utils.c'
MONITOR = 'monitor/monitor.c'
TYPE3 = 'hw/mem/cxl_type3.c'
COMPONENT_H = 'include/hw/cxl/cxl_component.h'

TESTS = ('cxl-cache-line-test', 'cxl-ras-test', 'cxl-type1-event-test',
         'cxl-fm-test', 'cxl-regs-test')
LINES, ERRORS, EVENTS, FM, BLOCKS = ([(test, None)] for test in TESTS)

# As in mutate.py
FAULTS = [
    # x-query-cxl-cache-line
    ('the line of the next address', LINE,
     '    cxl_cache_home_look(region->home, line, &home);',
     '    cxl_cache_home_look(region->home, line + 1, &home);', LINES),
    ('a set of the filter too far', LOOK,
     '    look->sf_set = (set - home->sf) / home->sf_ways;',
     '    look->sf_set = (set - home->sf) / home->sf_ways + 1;', LINES),
    ('the place in the whole cache for a way', LOOK,
     '.way = index < 0 ? -1 : index % dev->ways,', '.way = index,', LINES),
    ('who may own is not told', LOOK,
     '    look->excl = e && (*e & CXL_CACHE_SF_EXCL);', '', LINES),
    ('who only may have it is not told', LINE,
     'look.slot.cqid >= 0 ||\n            home->devs & BIT(cm->number)) {',
     'look.slot.cqid >= 0) {', LINES),
    ('bytes where there are none', LINE,
     '    if (cxl_cache_may(slot->state, CXL_CACHE_P_DATA) || slot->staged) {',
     '    if (slot->data) {', LINES),
    ('staged bytes are not shown', LINE,
     'CXL_CACHE_P_DATA) || slot->staged) {', 'CXL_CACHE_P_DATA)) {', LINES),
    ('poison of RAM is not told', LINE,
     '    info->poison = cache_mem_poison_has(region->poison, line, mem);\n',
     '', LINES),
    ('poison of a device is not told', LINE,
     '    info->poison = slot->poison;\n', '', LINES),
    ('asking reads as the CPU does', LINE,
     '    uint8_t *mem = cache_mem_ram_mem(s, addr);',
     '    uint8_t *mem = cache_mem_ram_mem(s, addr);\n'
     '    if (s->block) {\n'
     '        cache_mem_snoop_page(region, cache_mem_ram_page(s, addr));\n'
     '    }', LINES),
    ('nothing is RAM', LINE, '    if (!s) {', '    if (0) {', LINES),
    # The RAS capability
    ('an error is recorded in spite of its mask', RAS,
     '    if (get(regs, A_CXL_RAS_UNC_ERR_MASK) & bit) {', '    if (0) {',
     ERRORS),
    ('a correctable one, too', RAS,
     '    if (get(regs, A_CXL_RAS_COR_ERR_MASK) & BIT(bit)) {',
     '    if (0) {', ERRORS),
    ('the newest error is shown', RAS,
     'ras->records ? ras->record : NULL;',
     'ras->records ? &ras->record[ras->records - 1] : NULL;', ERRORS),
    ('all records of the first go', RAS,
     '        if (first ? i > 0 :', '        if (first && 0 ? i > 0 :', ERRORS),
    ('what has no room is forgotten', RAS,
     '        ras->unrecorded |= bit;\n', '', ERRORS),
    ('what had no room stays', RAS,
     '    ras->unrecorded &= ~ones;\n', '', ERRORS),
    ('records outlive a reset', REGS,
     '    regs->ras = (CXLType1Ras) { };\n', '', ERRORS),
    ('half of the header', RAS,
     'first && i < CXL_RAS_HEADER_DWORDS;',
     'first && i < CXL_RAS_HEADER_DWORDS / 2;', ERRORS),
    ('AER is not told', REGS,
     '        pcie_aer_inject_error(regs->pdev, &aer);',
     '        (void)aer;', ERRORS),
    ('AER is told of what is masked', REGS,
     '    if (any) {\n', '    if (any || 1) {\n', ERRORS),
    ('correctable errors are not corrected ones', REGS,
     'PCI_ERR_COR_INTERNAL, PCIE_AER_ERR_IS_CORRECTABLE',
     'PCI_ERR_COR_INTERNAL, 0', ERRORS),
    ('correctable status can be set', RAS,
     'get(regs, offset) & ~ones);', 'ones);', ERRORS),
    ('two errors change places', RAS_DEVICE,
     '    [CXL_UNCOR_ERROR_TYPE_CXL_IDE_TX] = CXL_RAS_UNC_ERR_CXL_IDE_TX,',
     '    [CXL_UNCOR_ERROR_TYPE_CXL_IDE_TX] = CXL_RAS_UNC_ERR_CXL_IDE_RX,',
     ERRORS),
    ('a header of any length', RAS_DEVICE,
     '        if (n == CXL_RAS_HEADER_DWORDS) {',
     '        if (n == CXL_RAS_HEADER_DWORDS && 0) {', ERRORS),
    ('errors on a link that is down', INJECT,
     '    if (s->link_lost) {\n'
     '        error_setg(errp, "the link of %s is down: there is nobody to be '
     'told "\n'
     '                   "of an error", cache_mem_dev_name(s->cache));\n'
     '    }\n'
     '    return !s->link_lost;\n', '    return true;\n', ERRORS),
    ('the type 3 log is as long as it was', COMPONENT_H,
     'CXL_RAS_ERR_HEADER_NUM 16', 'CXL_RAS_ERR_HEADER_NUM 32', ERRORS),
    # Events
    ('an event although nothing was lost', REGION,
     '    if (!memcmp(gone, &cm->told, sizeof(*gone))) {',
     '    if (0) {', EVENTS),
    ('nobody is told of a reset', REGION,
     '        cache_mem_dev_tell_gone(cm, CXL_CACHE_LOSS_CAUSE_RESET);',
     '        (void)cm;',
     EVENTS),
    ('rescued lines are not counted', REGION,
     '    cm->gone.rescued_lines += region->totals.rescued_lines -\n'
     '                              before.rescued_lines;\n', '', EVENTS),
    ('poisoned lines are not counted', REGION,
     '    cm->gone.poisoned_lines += region->totals.poisoned_lines -\n'
     '                               before.poisoned_lines;\n', '', EVENTS),
    ('lost lines are not summed', REGION,
     '        cm->gone.lost_lines += lost;\n', '', EVENTS),
    ('the link is up when it is down', LINK,
     'DEVICE(s)->id, !s->link_lost);', 'DEVICE(s)->id, s->link_lost);', EVENTS),
    ('a link that comes back is no event', LINK,
     '(pdev), true);\n    tell(s);\n', '(pdev), true);\n', EVENTS),
    ('the fault that is told of has not struck', FAULT,
     '    faults->taken++;\n    trace',
     '    trace', EVENTS),
    ('faults are not limited', MONITOR,
     '    [QAPI_EVENT_CXL_TYPE1_FAULT]   = { 1000 * SCALE_MS },\n', '', EVENTS),
    # Switches and host bridges
    ('PERST is always asserted', MAILBOX,
     'cxl_perst_asserted(perst) ?', 'perst ?', FM),
    ('everything is a Type 1 device', MAILBOX,
     'bool type1 = cxl_connected_type1(ds_dev);', 'bool type1 = true;', FM),
    ('a host bridge with a link', COMPONENT,
     '            init_cap_reg(LINK, 4, 2);\n        }\n',
     '        }\n        init_cap_reg(LINK, 4, 2);\n', BLOCKS),
    ('a host bridge with a snoop filter', COMPONENT,
     '    case CXL2_RC:\n        /* + Ext',
     '    case CXL2_RC:\n        init_cap_reg(SNOOP, 8, 1);\n        /* + Ext',
     BLOCKS),
    ('the CXL.io registers are unassigned', COMPONENT,
     '&cxl_io_ops, NULL, ".io",',
     '0 ? &cxl_io_ops : NULL, NULL, ".io",', BLOCKS),
]
