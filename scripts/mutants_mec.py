# SPDX-License-Identifier: GPL-2.0-or-later
"""FEAT_MEC's caches that remember, broken one line at a time: see mutate-mec.py"""

TEST = 'arm-mec-dma-test'
MEC_TEST = 'arm-mec-test'
TESTS = (TEST, MEC_TEST)

CACHE = 'hw/arm/mec_cache.c'
BACK = 'hw/arm/mec_writeback.c'
DMA = 'hw/arm/mec_dma.c'
MEC = 'hw/arm/mec.c'
REPORT = 'hw/arm/mec_report.c'
CDA = 'hw/cxl/cxl_rme_cda.c'
PORT = 'hw/cxl/cxl_type1_port.c'
GPC = 'hw/arm/gpc_dma.c'
HOST = 'hw/cxl/cache_mem_host.c'
CONTEXT = 'hw/cxl/cache_mem_context.c'
WAIT = 'hw/cxl/cache_mem_wait.c'
PTW = 'target/arm/ptw_mec.c'
TLB = 'accel/tcg/cputlb.c'


def by(pattern):
    """The cases that have to notice"""
    return [(TEST, 'writeback/' + pattern)]


def cda(pattern):
    """Likewise, of arm-rme-cda.c"""
    return [(TEST, 'cda/' + pattern)]


FAULTS = [
    ('remember: every space finds a modified line', CACHE,
     'if (!l && MEC_CONTEXT_SPACE(owner) == MEC_CONTEXT_SPACE(context)) {',
     'if (!l) {', by('before')),
    ('remember: a context does not find its own line', CACHE,
     '    MECLine *l = mec_line_find(h, line, context);\n\n    if (!l && MEC',
     '    MECLine *l = NULL;\n\n    if (!l && MEC', by('own-line')),
    ('remember: what is modified does not stay behind', CACHE,
     'if (memcmp(was, mec_held_line(h, line), MEC_LINE_SIZE)) {',
     'if (0) {', by('hands/adv')),
    ('remember: what is not modified stays behind, too', CACHE,
     'if (memcmp(was, mec_held_line(h, line), MEC_LINE_SIZE)) {',
     'if (1) {', by('hands|operation')),
    ('remember: maintenance cleans lines of any space', CACHE,
     'if (MEC_CONTEXT_SPACE(l->context) == space) {', 'if (true) {',
     by('other-space')),
    ('remember: maintenance cleans the page of any space', CACHE,
     'own = MEC_CONTEXT_SPACE(owner) == space;', 'own = true || owner;',
     by('by-line')),
    ('remember: maintenance leaves lines of former contexts', CACHE,
     'mec_writeback_return(s, l, last);', '(void)last;', by('operation')),
    ('remember: maintenance leaves the page\'s own line', CACHE,
     'memcpy(memory, ram, MEC_LINE_SIZE);\n', '', by('by-line|operation')),
    ('remember: what was cleaned over a line counts for nothing', CACHE,
     'l->over = true;', 'l->over = false;', by('room')),
    ('remember: a page that is clean stays somebody\'s', CACHE,
     'return !memcmp(ram, h->memory, MEC_PAGE_SIZE);', 'return false;',
     by('operation')),
    ('remember: a page with lines in caches becomes nobody\'s', CACHE,
     'if (!QTAILQ_EMPTY(&h->lines[line])) {', 'if (0) {', by('other-space')),
    ('remember: reset leaves lines', CACHE,
     'mec_cache_drop_all(s->cache);\n    mec_writeback_reset(s);',
     'mec_writeback_reset(s);', by('reset')),
    ('remember: a device\'s store goes past memory', CACHE,
     'mec_cache_patch(mec_held_line(h, line), held, enable);', '(void)held;',
     by('device')),
    ('remember: lines come back under no MECID', BACK,
     'mec_line_delta(s, page, line, MEC_CONTEXT_MECID(context),\n',
     'mec_line_delta(s, page, line, 0,\n', by('operation|hands/adv')),
    ('remember: a lazy line comes over what is modified', BACK,
     'if (modified && !last) {', 'if (0) {', by('room')),
    ('remember: there is room without end', BACK,
     'while (s->cache->count > MEC_LINES_MAX) {', 'while (0) {', by('room')),
    ('remember: the adversary never looks', BACK,
     'if (s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL) {', 'if (0) {',
     by('hands/adv')),
    ('remember: a lazy cache is an adversary', BACK,
     'if (s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL) {', 'if (1) {',
     by('hands/lazy')),
    ('remember: harm is not told', BACK,
     'mec_report_return(s, offset, context, owner);', '', by('hands/adv')),
    ('remember: late maintenance does no harm', CACHE,
     'bool last = s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL;',
     'bool last = false;', by('late')),
    ('remember: the wrong operation is named', REPORT,
     'from == to ? "DC CIPAE" : between[from]',
     'from == to ? "DC CIPAE" : between[to]', by('hands/adv')),
    ('remember: CXL.cache reads what RAM has', DMA,
     'if (!s->cache || !mec_cache_read_memory(', 'if (true || !'
     'mec_cache_read_memory(', by('device/cache')),
    ('remember: CXL.cache writes to what RAM has', DMA,
     'return 0;               /* RAM has', 'return enable;  /* RAM has',
     by('device/cache')),
    ('remember: plain DMA writes as a CPU does', DMA,
     'return mec_cache_write_by_device(s, offset, data, size,',
     'return mec_cache_write(s, offset, data, size,', by('device/dma')),
    ('remember: NS and NSE are mixed up', PTW,
     'spaces[extract64(value, 62, 1)][extract64(value, 63, 1)]',
     'spaces[extract64(value, 63, 1)][extract64(value, 62, 1)]',
     by('by-line|operation')),
    ('remember: maintenance by VA is a nop', PTW,
     'ri->writefn = mec_cmo_va;',
     'ri->writefn = 0 ? mec_cmo_va : ri->writefn;', by('operation')),
    ('remember: walks read what RAM has', MEC,
     '    if (s->cache) {\n        QEMU_LOCK_GUARD(&s->lock);\n        return '
     'mec_read_locked(s, pa - s->base, size, context);\n    }\n', '',
     by('walk')),
    # Root ports with RME-CDA: the registers and the gates
    ('cda: another DVSEC ID', CDA,
     'PCIE_DVSEC_ID_OFFSET, CXL_RME_CDA_DVSEC_ID);',
     'PCIE_DVSEC_ID_OFFSET, 0xff01);', cda('registers')),
    ('cda: another length', CDA, 'CXL_RME_CDA_LENGTH << 20 |', '0x14 << 20 |',
     cda('registers')),
    ('cda: every port has it', CDA, 'return s && s->on ? s : NULL;',
     'return s;', cda('registers')),
    ('cda: CTL3 cannot be written', CDA,
     'pci_set_long(wmask + CXL_RME_CDA_CTL3, CXL_RME_CDA_RID_MASK);', '',
     cda('registers')),
    ('cda: reset leaves the registers', PORT,
     'cxl_rme_cda_reset(PCI_DEVICE(obj));', ';', cda('registers')),
    ('cda: TDISP_EN counts for nothing', CDA,
     '!(ctl1 & CXL_RME_CDA_CTL1_TDISP_EN) ? CXL_RME_CDA_NO_TDISP :', '',
     cda('gates')),
    ('cda: LINK_STR_LOCK counts for nothing', CDA,
     '!(ctl1 & CXL_RME_CDA_CTL1_LINK_STR_LOCK) ? CXL_RME_CDA_UNLOCKED :', '',
     cda('gates')),
    ('cda: any Requester ID passes', CDA,
     '(ctl1 & CXL_RME_CDA_CTL1_LINK_STR_LOCK) && !rid_ok(root_port, rid)',
     '!rid_ok(root_port, rid) && false', cda('gates')),
    ('cda: the RID range counts without the lock', CDA,
     '(ctl1 & CXL_RME_CDA_CTL1_LINK_STR_LOCK) && !rid_ok(root_port, rid)',
     's && !rid_ok(root_port, rid)', cda('gates')),
    ('cda: RID_RANGE_VALID counts for nothing', CDA,
     '(base & CXL_RME_CDA_CTL4_RID_VALID) && ', '', cda('gates')),
    ('cda: RID_BASE counts for nothing', CDA, 'rid >= rid_of(base)', 'true',
     cda('gates')),
    ('cda: RID_LIMIT counts for nothing', CDA,
     'rid <= rid_of(reg(port, CXL_RME_CDA_CTL3))', 'true', cda('gates')),
    ('cda: Realm alone is checked', CDA,
     '    if (!realm) {\n        return CXL_RME_CDA_PASS;\n    }\n', '',
     cda('gates')),
    ('cda: a Realm granule is refused', GPC,
     'bool realm = !ns && gpc_allows(config, pa, ARMSS_Realm);',
     'bool realm = false;', cda('gates')),
    ('cda: Root granules pass as Realm', GPC, '.allowed = ns || realm,',
     '.allowed = true,', cda('gates')),

    # The context of requests, and of lines
    ('cda: all requests have MECID 0', GPC,
     'attrs->mecid = cxl_rme_cda_mecid(d->root_port);', '',
     cda('context/read')),
    ('cda: Realm requests are Non-secure', GPC, 'attrs->space = ARMSS_Realm;',
     '', cda('context|recorded')),
    ('cda: DMA does not ask for its context', DMA, 'if (as && !attrs.debug) {',
     'if (0) {', cda('context/.*/dma')),
    ('cda: DMA writes as MECID 0', DMA,
     'return mec_store_locked(s, offset, data, size, context);',
     'return mec_store_locked(s, offset, data, size, 0);',
     cda('context/write/dma')),
    ('cda: CXL.cache reads as MECID 0', HOST,
     'cache_mem_view_read(s, addr, data, home_attrs(region),',
     'cache_mem_view_read(s, addr, data, (MemTxAttrs) { },',
     cda('context/read/cache|gates/cache')),
    ('cda: CXL.cache writes as MECID 0', HOST,
     'cache_mem_view_write(s, addr, data, &to_ram, home_attrs(region),',
     'cache_mem_view_write(s, addr, data, &to_ram, (MemTxAttrs) { },',
     cda('context/write/cache|recorded')),
    ('cda: CXL.cache mixes what is its own context\'s', DMA,
     'if (MEC_ENTRY_OWNER(old) == mecid || entry == old) {',
     'if (entry == old) {', cda('context/write/cache')),
    ('cda: the home has no contexts', HOST,
     '? mem | context << CXL_CACHE_MEM_CONTEXT_SHIFT : 0;', '? mem : 0;',
     cda('context|recorded')),
    ('cda: a device\'s MECID is not told', DMA,
     'mec_report_dma_of(s, offset, note->mecid, MEC_ENTRY',
     'mec_report_dma_of(s, offset, 0, MEC_ENTRY', cda('context/read/cache')),

    # Granules that change hands
    ('stale: nobody looks when a line leaves', HOST,
     'cache_mem_context_left(opaque, line, context, devs);', ';',
     cda('stale')),
    ('stale: a granule keeps all lines', GPC,
     'gpc_allows(&config, addr, attrs.space ?: ARMSS_NonSecure)) {',
     'true) {', cda('stale')),
    ('stale: no space is one', GPC, 'attrs.space ?: ARMSS_NonSecure',
     'attrs.space', cda('stale')),
    ('stale: a request finds what is another\'s', HOST,
     '|| (contexts && cache_mem_context_stale(region, p))', '',
     cda('stale/.*/request')),
    ('stale: maintenance does not reach devices', MEC,
     'if (host) {\n        qatomic_or', 'if (0) {\n        qatomic_or',
     cda('stale/cleaned')),
    ('stale: maintenance leaves what was read', MEC,
     'qatomic_or(host + (pa & (MEC_PAGE_SIZE - 1)), 0);',
     '(void)*(volatile uint8_t *)(host + (pa & (MEC_PAGE_SIZE - 1)));',
     cda('stale/cleaned')),

    # Lines that are lost
    ('error: lost lines do not count', WAIT, 'cache_mem_context_lost(cm);', ';',
     cda('error')),
    ('error: lines of any space count', GPC,
     'if (attrs.space == ARMSS_Realm) {\n        cxl_rme', 'if (1) {\n'
     '        cxl_rme', cda('error')),
    ('error: the gate stays open', CDA,
     'qatomic_read(&s->error) ? CXL_RME_CDA_ERROR : CXL_RME_CDA_PASS;',
     'CXL_RME_CDA_PASS;', cda('error')),
    ('error: it is for ever', CDA,
     'CXL_RME_CDA_CTL1_TDISP_EN)) {\n        qatomic_set(&s->error, false);',
     'CXL_RME_CDA_CTL1_TDISP_EN)) {', cda('error')),

    # What a change of hands flushes
    ('rekey: TLBs keep the page', PTW,
     'tlb_flush_phys_page(cs, pa, MEC_FLUSH_ALL);', '(void)cs;',
     [(MEC_TEST, 'other-tlbs')]),
    ('rekey: other pages go instead', TLB, 'full->phys_addr != page) {',
     'full->phys_addr == page) {', [(MEC_TEST, 'other-tlbs')]),
    ('rekey: victims stay', TLB,
     'tlb_flush_phys_entry_locked(&desc->vtable[k], &desc->vfulltlb[k],\n'
     '                                        page);', ';',
     [(MEC_TEST, 'victim-tlb')]),

    ('remember: it migrates', MEC,
     'if (migrate_add_blocker(&s->blocker, errp) < 0) {', 'if (0) {',
     by('migration')),
]
