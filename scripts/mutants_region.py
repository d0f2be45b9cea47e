# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of CacheMemRegion"""

AGENT = 'hw/cxl/cache_mem_agent.c'
ALLOW = 'hw/cxl/cache_mem_allow.c'
ATS = 'hw/cxl/cache_mem_ats.c'
HOST = 'hw/cxl/cache_mem_host.c'
INJECT = 'hw/cxl/cache_mem_inject.c'
LLC = 'hw/cxl/cache_mem_llc.c'
LLC_WATCH = 'hw/cxl/cache_mem_llc_watch.c'
LLC_OBJECT = 'hw/cxl/cxl_host_llc.c'
PAGES = 'hw/cxl/cache_mem_pages.c'
POISON = 'hw/cxl/cache_mem_poison.c'
RAM = 'hw/cxl/cache_mem_ram.c'
REGION = 'hw/cxl/cache_mem_region.c'
SNOOP = 'hw/cxl/cache_mem_snoop.c'
STREAM = 'hw/cxl/cache_mem_stream.c'
TOUCH = 'hw/cxl/cache_mem_touch.c'
TRAP = 'hw/cxl/cache_mem_trap.c'
WINDOW = 'hw/cxl/cache_mem_window.c'
PORT = 'hw/cxl/cxl_type1_port.c'

CACHE_TEST = 'cxl-cache-test'
HOST_TEST = 'cxl-cache-host-test'
GEAR_TEST = 'cxl-cache-gear-test'
FAULT_TEST = 'cxl-type1-fault-test'
REMOVAL_TEST = 'cxl-type1-removal-test'
QUERY_TEST = 'cxl-cache-query-test'
LLC_TEST = 'cxl-cache-llc-test'
TESTS = (CACHE_TEST, HOST_TEST, GEAR_TEST, QUERY_TEST, LLC_TEST,
         'cxl-cache-accel-test')

IOMMU = [('cxl-type1-iommu-test', None), ('cxl-type1-ats-test', None)]
INVALIDATE = [('cxl-type1-ats-test', None), ('cxl-type1-iommu-test', None)]
ALLOWED = [('cxl-type1-window-test', None)]
CACHE = [(CACHE_TEST, None)]
WHERE = [(HOST_TEST, None)]
LOST = [(REMOVAL_TEST, 'poisoned')]
GEARS = [(GEAR_TEST, '/gears/|pace')]
THROUGH = [('cxl-type1-cache-test', 'through')]
ROW = [(GEAR_TEST, '/row/|/no-row/|gap|any-order|taken-again')]
DMA = [(GEAR_TEST, '/dma/')]
HOST_CPUS = [('cxl-cache-accel-test', '/tcg/llc')]
HOST_LLC = [(LLC_TEST, None)]
REFUSED = [(GEAR_TEST, '/refused/|properties')]

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
     'const CacheMemSeg seg = { addr, len };',
     'const CacheMemSeg seg = { addr, len - CXL_CACHE_LINE_SIZE };',
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
     '    }\n}\n\nstatic uint64_t read_lines(',
     '        cm->failed |= send_request(cm, &req) < 0;\n'
     '    }\n}\n\nstatic uint64_t read_lines(',
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
     '                   CXL_CACHE_LINE_SIZE) ? 0 : -EACCES;',
     '                   CXL_CACHE_LINE_SIZE) ? 0 : 0;',
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
     '        if (to_ram == CXL_CACHE_BE_ALL) {\n'
     '            memcpy(mem',
     '        if (to_ram) {\n'
     '            memcpy(mem',
     CACHE),
    ('read-only memory is written', HOST,
     '    if (s->readonly) {\n', '    if (0) {\n',
     CACHE),
    ('a touch snoops nothing', TOUCH,
     '        if (!clear_way(region, p, t)) {\n', '        if (0) {\n',
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
     '        cache_mem_snoop_section(region, s, addr, stop);\n',
     '        if (0) {\n'
     '            cache_mem_snoop_section(region, s, addr, stop);\n'
     '        }\n',
     CACHE),
    ('a block that goes takes its lines along', SNOOP,
     '        cache_mem_snoop_block(region, block);\n'
     '        cache_mem_trap_unwatch',
     '        cache_mem_trap_unwatch',
     [*CACHE, *WHERE]),
    ('a page is not known as held', PAGES,
     '        hbitmap_set(block->held, p - block->page, 1);\n', '',
     [*CACHE, *WHERE]),
    ('who touches a page sleeps for ever', TOUCH,
     '        cache_mem_snoop_give_up(region, block, ret);\n'
     '    } else if (!t->protected',
     '        ;\n'
     '    } else if (!t->protected',
     WHERE),
    ('who touches a page finds old data', SNOOP,
     '    cache_mem_snoop_unwatch(region, block);\n'
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
    # Many lines in one step
    ('lines that are done are done again', AGENT,
     '        if (!extract64(done, i, 1)) {', '        if (true || done) {',
     GEARS),
    ('when one line is done all of them are', AGENT,
     '        if (!extract64(done, i, 1)) {', '        if (!done) {',
     GEARS),
    ('a run that is done in part is done', AGENT,
     'if (n && ctpop64(done) == n) {', 'if (n && done) {',
     GEARS),
    ('what is written through is owned', AGENT,
     'if (!(through ? begin_write(cm, seg, n) : own_all(cm, seg, n))) {',
     'if (!own_all(cm, seg, n)) {',
     THROUGH),
    ('what is written through leaves what was there', AGENT,
     'if (how != CACHE_MEM_WRITE_KEEP && cache_mem_dev_held(cm)) {',
     'if (how == CACHE_MEM_WRITE_EVICT && cache_mem_dev_held(cm)) {',
     THROUGH),
    ('what is written through is not counted', AGENT,
     '    cm->once_lines += ctpop64(once);\n', '',
     THROUGH),
    ('what is written through is not said in the fast gear',
     'hw/cxl/cache_mem_trace.c',
     ' ||\n              trace_event_get_state_backends(TRACE_CXL_CACHE_ONCE);',
     ';',
     [(QUERY_TEST, "trace")]),
    ('a part of a line is the start of it', AGENT,
     '    memcpy(buf, data.b + part->offset, part->len);\n    return true;',
     '    memcpy(buf, data.b, part->len);\n    return true;',
     GEARS),
    ('what is in the middle of a line is a line', AGENT,
     '    return addr % CXL_CACHE_LINE_SIZE ? 0 :\n',
     '    return addr % CXL_CACHE_LINE_SIZE / 32 ? 0 :\n',
     GEARS),
    ('lines that are owned at once take no room', AGENT,
     '    cm->room -= ctpop64(owned);\n', '',
     GEARS),
    ('more lines are owned at once than there is room for', AGENT,
     'cxl_cache_page_own(cm->dev, line, MIN(n, cm->room));',
     'cxl_cache_page_own(cm->dev, line, n);',
     GEARS),
    ('memory is read that devices have lines of', HOST,
     '    return p->addr == addr ? cache_mem_page_lines(p, true) : 0;',
     '    return 0;',
     GEARS),
    ('lines that are shared are not known as held', HOST,
     '    return p->addr == addr ? cache_mem_page_lines(p, true) : 0;',
     '    return p->addr == addr ? cache_mem_page_lines(p, false) : 0;',
     CACHE),
    ('poison is read with many lines', HOST,
     'region->alias || cache_mem_poison_any(region->poison) ||',
     'region->alias ||', LOST),
    ('x-gear=messages is not heard of', REGION,
     'cm->config.messages || cm->config.grouped', 'cm->config.grouped',
     GEARS),
    ('owned lines stay in the guest\'s mapping', PAGES,
     'access == CXL_CACHE_HOST_NONE ? lines & ~p->none :',
     'access == CXL_CACHE_HOST_NONE ? lines & p->none :',
     GEARS),
    ('shared lines stay in the guest\'s mapping', PAGES,
     'access == CXL_CACHE_HOST_RO ? lines & ~(p->none | p->ro) : 0;',
     '0;',
     CACHE),
    # Pages that come home ahead
    ('two touches are a row', STREAM,
     '#define STREAM_BEGINS   3', '#define STREAM_BEGINS   2',
     ROW),
    ('touches with gaps are no row', STREAM,
     '#define STREAM_NEAR     4', '#define STREAM_NEAR     1',
     ROW),
    ('rows go forth alone', STREAM,
     'bool back = steps(number, stream->last) - 1 < STREAM_NEAR;',
     'bool back = false;',
     ROW),
    ('any touch goes on with the row', STREAM,
     '    if ((!forth && !back) || back != stream->back) {',
     '    if ((!forth && !back && 0) || back != stream->back) {',
     ROW),
    ('a row that turns goes on', STREAM,
     '    if ((!forth && !back) || back != stream->back) {',
     '    if (!forth && !back) {',
     ROW),
    ('a row starts with all it may have', STREAM,
     'MIN(stream->length, stream->ahead);', 'stream->ahead;',
     ROW),
    ('a row has no limit', STREAM,
     'MIN(stream->length, stream->ahead);', 'MIN(stream->length, 64);',
     ROW),
    ('what came home ahead makes no row longer', STREAM,
     '    stream->length += n;\n', '',
     ROW),
    ('what is at home comes home', STREAM,
     'number == number && s->page->zapped ? s : NULL;',
     'number == number ? s : NULL;',
     ROW),
    ('what was taken again is where it was', STREAM,
     's->page && s->page->number == number && s->page->zapped',
     's->page && s->page->zapped',
     ROW),
    ('memory that is gone comes home', HOST,
     '        cache_mem_stream_forget(region->stream, block);\n', '',
     [(GEAR_TEST, 'dimm')]),
    ('what came home ahead is trapped', TOUCH,
     'if (!bring_home(region, next[i].block, next[i].page, lines, write)) {',
     'if (false) {',
     ROW),
    ('what came home ahead is old', TOUCH,
     'next[i].page, lines, write)', 'next[i].page, 0, write)',
     ROW),
    ('what came home ahead does not count', TOUCH,
     '        region->stats.ahead++;\n', '',
     ROW),
    ('ports need not agree on a prefetch', REGION,
     'if (region->users && region->prefetch != config->prefetch) {',
     'if (0) {',
     REFUSED),
    ('any prefetch will do', PORT,
     '    if (value > CACHE_MEM_PREFETCH_MAX) {', '    if (0) {',
     REFUSED),
    ('a prefetch without CXL.cache', PORT,
     '    state->given = "cxl-cache-prefetch";\n', '',
     REFUSED),
    ('a prefetch can be changed at any time', PORT,
     '    if (DEVICE(obj)->realized) {', '    if (0) {',
     REFUSED),
    # QEMU's own devices
    ('DMA brings nothing home', TOUCH,
     '    cache_mem_snoop_lines(region, p, lines, touch_op(region, write));\n'
     '    ret = cache_mem_snoop_give(region, block, p);\n',
     '    ret = cache_mem_snoop_give(region, block, p);\n',
     DMA),
    ('DMA is trapped', TOUCH,
     '    cache_mem_snoop_lines(region, p, lines, touch_op(region, write));\n'
     '    ret = cache_mem_snoop_give(region, block, p);\n',
     '    cache_mem_snoop_lines(region, p, lines, touch_op(region, write));\n'
     '    ret = 0;\n',
     DMA),
    ('DMA does not count', TOUCH,
     '    region->stats.dma++;\n', '',
     DMA),
    ('DMA is of one page', TOUCH,
     'last = (offset + len - 1) >> CACHE_MEM_PAGE_SHIFT;',
     'last = offset >> CACHE_MEM_PAGE_SHIFT;',
     DMA),
    ('DMA is of one page more', TOUCH,
     'last = (offset + len - 1) >> CACHE_MEM_PAGE_SHIFT;',
     'last = (offset + len + 63) >> CACHE_MEM_PAGE_SHIFT;',
     DMA),
    ('DMA of any size is announced', TOUCH,
     '         (!as && len < CXL_CACHE_LINE_SIZE)) &&', '         0) &&',
     DMA),
    ('small mappings are not announced', TOUCH,
     '(!as && len < CXL_CACHE_LINE_SIZE)', '(len < CXL_CACHE_LINE_SIZE)',
     DMA),
    ('pages that are at home come home', TOUCH,
     '        if (block->page[i].zapped) {', '        if (true) {',
     DMA),
    ('a device with a cache maps, and loses its lines', TOUCH,
     'is_ours(region, as)) {', '(0 && is_ours(region, as))) {',
     DMA),
    ('only the first device has a cache', TOUCH,
     '        if (as == &PCI_DEVICE(cm->config.dev)->bus_master_as) {\n'
     '            return true;\n'
     '        }\n',
     '        return as == &PCI_DEVICE(cm->config.dev)->bus_master_as;\n',
     DMA),
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
     '        reset_caches(region);\n', '', CACHE),
    ('a flush does not look whether it is traced', REGION,
     '    cache_mem_trace_update(cm->region);\n'
     '    cm->region->urgent', '    cm->region->urgent',
     [(QUERY_TEST, 'trace-reset')]),
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
     '    *stale = lost && !has_pattern(mem);',
     '    *stale = lost || !has_pattern(mem);',
     LOST),
    ('lost for good', POISON,
     '    *stale = lost && !has_pattern(mem);',
     '    *stale = lost && !has_pattern(mem) && 0;',
     LOST),
    ('lost until half is new', POISON,
     '    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     '    for (unsigned i = 0; i < 32; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     LOST),

    # The host's last-level cache
    ('an inclusive host cache leaves lines with devices', LLC,
     '    if (region->llc->inclusive) {\n', '    if (0) {\n', HOST_LLC),
    ('what leaves the host cache is not snooped', LLC,
     '    cache_mem_snoop_line(region, t->was.line, CXL_CACHE_HOST_FLUSH);\n',
     '', HOST_LLC),
    ('the host cache counts a grant and its data', LLC,
     'bool granted = llc->granted == line;', 'bool granted = false;', HOST_LLC),
    ('the host cache does not see DMA', TOUCH,
     'cache_mem_llc_dma(region, rb->offset + offset, len, is_write);', ';',
     HOST_LLC),
    ('the fast gear passes the host cache', HOST,
     'region->hooks ||\n        region->llc ||', 'region->hooks ||', HOST_LLC),
    ('the host cache does not see what comes home', HOST,
     'cache_mem_llc_write(region, line, why);', ';', HOST_LLC),
    ('the directory keeps what was given up', LLC,
     'cxl_llc_untrack(llc->cache, line);', '', HOST_LLC),
    ('lines that are too many to wait stay with devices', LLC,
     'llc->overflow = true;', ';', HOST_LLC),
    ('a reset leaves lines in the host cache', LLC,
     '    cxl_llc_reset(llc->cache);\n', '', HOST_LLC),
    ('a second host cache', LLC_OBJECT, 'if (region->llc) {', 'if (0) {',
     HOST_LLC),
    ('the host cache does not see atomics', 'accel/tcg/cputlb.c',
     'if (unlikely(tlb_addr & TLB_WATCHED_RAM)) {', 'if (0) {', HOST_CPUS),
    ('the host cache does not see stores', 'accel/tcg/cputlb.c',
     '        write_flags |= watched;\n', '', HOST_CPUS),
    ("the host cache sees all memory's loads", LLC_WATCH,
     '            return true;\n        }\n    }\n    return false;',
     '            return true;\n        }\n    }\n    return true;', HOST_CPUS),
    ('a record has the address of the block', 'accel/tcg/cputlb.c',
     '(pc & TARGET_PAGE_MASK) | data[0];', 'pc;', HOST_CPUS),
]
