# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of CacheMemRegion"""

AGENT = 'hw/cxl/cache_mem_agent.c'
ALLOW = 'hw/cxl/cache_mem_allow.c'
ATS = 'hw/cxl/cache_mem_ats.c'
HOST = 'hw/cxl/cache_mem_host.c'
INJECT = 'hw/cxl/cache_mem_inject.c'
PAGES = 'hw/cxl/cache_mem_pages.c'
POISON = 'hw/cxl/cache_mem_poison.c'
RAM = 'hw/cxl/cache_mem_ram.c'
REGION = 'hw/cxl/cache_mem_region.c'
TRAP = 'hw/cxl/cache_mem_trap.c'
WINDOW = 'hw/cxl/cache_mem_window.c'

CACHE_TEST = 'cxl-cache-test'
HOST_TEST = 'cxl-cache-host-test'
FAULT_TEST = 'cxl-type1-fault-test'
REMOVAL_TEST = 'cxl-type1-removal-test'
TESTS = (CACHE_TEST, HOST_TEST, 'cxl-cache-accel-test')

IOMMU = [('cxl-type1-iommu-test', None), ('cxl-type1-ats-test', None)]
INVALIDATE = [('cxl-type1-ats-test', None), ('cxl-type1-iommu-test', None)]
ALLOWED = [('cxl-type1-window-test', None)]
CACHE = [(CACHE_TEST, None)]
WHERE = [(HOST_TEST, None)]
LOST = [(REMOVAL_TEST, 'poisoned')]

# As in mutants_fault.py
FAULTS = [
    # Owning, committing, giving up
    ('give up evicts modified lines', AGENT,
     '    if (!holds(cm, part->line, CXL_CACHE_P_DIRTY)) {\n'
     '        send_evict',
     '    if (true) {\n'
     '        send_evict',
     [(FAULT_TEST, 'abort/kept'), (REMOVAL_TEST, 'only')]),
    ('staged data are seen by a snoop', AGENT,
     'cxl_cache_dev_stage(cm->dev, part->line, &data);',
     'cxl_cache_dev_write(cm->dev, part->line, &data, CXL_CACHE_BE_ALL);',
     [(FAULT_TEST, 'abort/kept'), (REMOVAL_TEST, 'window')]),
    ('half is all', AGENT,
     '        len = QEMU_ALIGN_UP(len / 2, CXL_CACHE_LINE_SIZE);', '',
     [(REMOVAL_TEST, 'window')]),
    ('write-back is not refused', INJECT,
     '    cm->fail = CACHE_MEM_FAIL_GO_ERR;\n', '',
     [(FAULT_TEST, 'abort/kept')]),
    ('the flush forgets the last line', AGENT,
     'line <= last; line++', 'line < last; line++',
     INVALIDATE),
    ('an address may wrap', AGENT,
     'for (; len; addr += part, len -= part) {',
     'for (hwaddr end = addr + len; addr < end; addr += part, len -= part) {',
     WHERE),
    ('a read puts its bytes elsewhere', AGENT,
     'return (uint64_t)at << 16 |', 'return (uint64_t)(at / 64 * 64) << 16 |',
     CACHE),
    ('a line owned without data is read', AGENT,
     '        cxl_cache_dev_drop(cm->dev, part->line);\n'
     '        cm->failed |= send_request(cm, &req) < 0;\n'
     '    }\n}\n\nbool cache_mem_read(',
     '        cm->failed |= send_request(cm, &req) < 0;\n'
     '    }\n}\n\nbool cache_mem_read(',
     CACHE),
    # The allow-list
    ('the allow-list takes a negative address', ALLOW,
     'return qemu_isdigit(*str) && !qemu', 'return !qemu',
     ALLOWED),
    ('the allow-list ends one line later', ALLOW,
     'range_set_bounds(range, first, last);',
     'range_set_bounds(range, first, last + CXL_CACHE_LINE_SIZE);',
     ALLOWED),
    ('only the first line is looked at', ALLOW,
     '        if (range_upb(range) >= last) {',
     '        if (range_upb(range) >= last || true) {',
     ALLOWED),
    ('a refusal by the allow-list does not count', AGENT,
     '    cm->refused++;\n', '',
     ALLOWED),
    ('the allow-list does not hold for single requests', AGENT,
     '                 CXL_CACHE_LINE_SIZE)) {\n'
     '        return -EACCES;',
     '                 CXL_CACHE_LINE_SIZE) && 0) {\n'
     '        return -EACCES;',
     ALLOWED),
    ('the allow-list does not hold when lines are owned', AGENT,
     '    if (!all_allowed(cm, seg, n)) {\n'
     '        return false;\n'
     '    }\n'
     '    cache_mem_trace_update(cm->region);\n'
     '    cm->failed = false;\n',
     '    cache_mem_trace_update(cm->region);\n'
     '    cm->failed = false;\n',
     ALLOWED),
    # Address translation
    ('the identity behind an IOMMU', ATS,
     '        return CACHE_MEM_UNTRANSLATED;\n'
     '    }\n'
     '    return translate_lasting',
     '        g_array_append_vals(to, seg, n);\n'
     '        return CACHE_MEM_TRANSLATED;\n'
     '    }\n'
     '    return translate_lasting',
     IOMMU),
    ('ATS need not be enabled', ATS,
     'if (!pcie_ats_enabled(ats->pdev) || !n ||', 'if (!n ||',
     IOMMU),
    ('an IOMMU without ATS is taken for one', ATS,
     'CACHE_MEM_ATS_IOMMU_HAS : CACHE_MEM_ATS_IOMMU_HAS_NOT;',
     'CACHE_MEM_ATS_IOMMU_HAS : CACHE_MEM_ATS_IOMMU_HAS;',
     IOMMU),
    ('invalidation keeps the lines', ATS,
     '    ats->give_up(ats->opaque, to, len);', '    (void)to, (void)len;',
     INVALIDATE),
    ('invalidation keeps the translation', ATS,
     '    if (ats->fault == CACHE_MEM_ATS_WORKS) {', '    if (0) {',
     INVALIDATE),
    ('invalidation takes one entry of a range', ATS,
     '    while ((e = find_entry(ats, first, last))) {\n'
     '        invalidate_entry(ats, e);',
     '    if ((e = find_entry(ats, first, last))) {\n'
     '        invalidate_entry(ats, e);',
     INVALIDATE),
    ('a read-only page is written', ATS,
     'if (!e || !permits(e->perm, write)) {',
     'if (!e || (0 && !permits(e->perm, write))) {',
     IOMMU),
    ('any entry may be written', ATS,
     'e->perm = write ? perm : e->perm | perm;', 'e->perm = IOMMU_RW;',
     IOMMU),
    ('translations are asked for reading', ATS,
     'page, ATS_PAGE, !write,', 'page, ATS_PAGE, true,',
     IOMMU),
    ('a page that can only be written is read', ATS,
     'return perm & (write ? IOMMU_WO : IOMMU_RO);',
     'return !write || perm & IOMMU_WO;',
     IOMMU),
    ('what is refused for writing is not kept for reading', ATS,
     '    if (!perm) {\n', '    if (!perm || (write && !(perm & IOMMU_WO))) {\n',
     IOMMU),
    ('refusals are not counted', ATS,
     '    ats->stats.refusals += !e;\n', '',
     IOMMU),
    ('an offset into the page is lost', ATS,
     '*to = e->to + (addr - e->node.start);', '*to = e->to;',
     IOMMU),
    ('a piece goes on behind its page', ATS,
     '*len = MIN(*len, e->node.last - addr + 1);', '',
     IOMMU),
    ('an entry makes room and keeps its lines', ATS,
     '        invalidate_entry(ats, QTAILQ_LAST(&ats->by_age));',
     '        drop_entry(ats, QTAILQ_LAST(&ats->by_age));',
     INVALIDATE),
    ('an unresponsive device completes', ATS,
     '    n->timed_out = ats->fault == CACHE_MEM_ATS_UNRESPONSIVE;',
     '    n->timed_out = false;',
     INVALIDATE),
    ('a large page makes memory of interrupts', ATS,
     '        if (page >= start && page <= end) {\n'
     '            *first = start;\n'
     '            *last = end;\n',
     '        if (page >= start && page <= end) {\n',
     INVALIDATE),
    # Memory, pages and touches
    ('part of a line is written whole', HOST,
     '        if (be == CXL_CACHE_BE_ALL) {\n'
     '            memcpy(mem',
     '        if (be) {\n'
     '            memcpy(mem',
     CACHE),
    ('read-only memory is written', HOST,
     '    if (s->readonly) {\n', '    if (0) {\n',
     CACHE),
    ('a touch snoops nothing', HOST,
     '    clear_way(region, p, t->write);\n',
     '    if (0) {\n        clear_way(region, p, t->write);\n    }\n',
     CACHE),
    ('a read leaves a line owned', PAGES,
     '    return write ? p->none | p->ro : p->none;',
     '    return write ? p->none | p->ro : 0;',
     CACHE),
    ('a write leaves lines shared', PAGES,
     '    return write ? p->none | p->ro : p->none;',
     '    return p->none;',
     CACHE),
    ('RAM that goes takes its lines along', HOST,
     '        recall_section(region, s, addr, stop);\n',
     '        if (0) {\n            recall_section(region, s, addr, stop);\n'
     '        }\n',
     CACHE),
    ('a block that goes takes its lines along', HOST,
     '        recall_block(region, block);\n'
     '        cache_mem_trap_unwatch',
     '        cache_mem_trap_unwatch',
     [*CACHE, *WHERE]),
    ('a page is not known as held', PAGES,
     '        hbitmap_set(block->held, p - block->page, 1);\n', '',
     [*CACHE, *WHERE]),
    ('who touches a page sleeps for ever', HOST,
     '    if (ret) {\n'
     '        release_block(region, block, ret);\n'
     '    }\n'
     '}\n\nstatic void *touch_thread',
     '}\n\nstatic void *touch_thread',
     WHERE),
    ('who touches a page finds old data', HOST,
     '    unwatch_block(region, block);\n'
     '    cache_mem_pages_refuse',
     '    cache_mem_trap_unwatch(region->trap, block->host, block->size);\n'
     '    block->watched = false;\n'
     '    cache_mem_pages_refuse',
     WHERE),
    ('the alias is in core dumps', RAM,
     '    qemu_madvise(alias, size, QEMU_MADV_DONTDUMP);\n', '',
     WHERE),
    ('the alias goes to children', RAM,
     '    qemu_madvise(alias, size, QEMU_MADV_DONTFORK);\n', '',
     WHERE),
    ('locked memory is mapped twice', RAM,
     '    if (should_mlock(mlock_state)) {', '    if (0) {',
     WHERE),
    ('translated code is kept', RAM,
     '        if (cache.ptr) {\n', '        if (!cache.ptr) {\n',
     [('cxl-cache-accel-test', 'code')]),
    # Life
    ('userfaultfd stays open', TRAP,
     '        uffd_close_fd(trap->uffd);\n'
     '        g_free(trap);',
     '        g_free(trap);',
     WHERE),
    ('the host is never stopped', REGION,
     '    if (!--region->users) {', '    if (!--region->users && 0) {',
     WHERE),
    ('the region forgets poison', REGION,
     '    cache_mem_host_stop(region);\n'
     '    g_clear',
     '    cache_mem_host_stop(region);\n'
     '    cache_mem_poison_reset(region->poison);\n'
     '    g_clear',
     [*LOST, *WHERE]),
    ('caches survive a system reset', REGION,
     '    if (type != RESET_TYPE_WAKEUP) {', '    if (0) {',
     CACHE),
    # Devices that are lost
    ('rescue does not', REGION,
     '        region->totals.rescued_lines += cache_mem_dev_modified(cm);\n'
     '        cache_mem_dev_flush_locked(cm);\n',
     '        region->totals.rescued_lines += cache_mem_dev_modified(cm);\n',
     [(REMOVAL_TEST, 'rescued')]),
    ('rescued not counted', REGION,
     '        region->totals.rescued_lines += cache_mem_dev_modified(cm);\n',
     '',
     [(REMOVAL_TEST, 'rescued')]),
    ('x-no-rescue ignored', INJECT,
     'inject->no_rescue ? lose_lines', 'inject->no_rescue && 0 ? lose_lines',
     [(REMOVAL_TEST, 'lost')]),
    ('lost not counted', INJECT,
     '    cm->region->totals.lost_lines += cache_mem_dev_modified(cm);\n', '',
     [(REMOVAL_TEST, 'lost')]),
    ('pattern not written', POISON,
     '        stl_le_p(mem + i, LOST_PATTERN);', '        ;',
     LOST),
    ('lost lines read well', POISON,
     '    if (lost && !has_pattern(mem)) {',
     '    if (lost || !has_pattern(mem)) {',
     LOST),
    ('lost for good', POISON,
     '    if (lost && !has_pattern(mem)) {',
     '    if (lost && !has_pattern(mem) && 0) {',
     LOST),
    ('lost until half is new', POISON,
     '    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     '    for (unsigned i = 0; i < 32; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     LOST),
]
