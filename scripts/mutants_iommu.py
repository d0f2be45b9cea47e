# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of address translation and of the address guard"""

ATC = 'hw/cxl/cache_mem_atc.c'
GUARD = 'hw/cxl/cache_mem_guard.c'
REGION = 'hw/cxl/cache_mem_region.c'
PAYLOAD = 'hw/cxl/cxl_type1_payload.c'
CRYPTO = 'hw/cxl/cxl_type1_crypto.c'
VIRTIO = 'hw/virtio/virtio-crypto.c'
VTD = 'hw/i386/intel_iommu.c'

TESTS = ('cxl-type1-iommu-test', 'cxl-type1-ats-test', 'cxl-type1-window-test')
# Where a fault should be noticed, in the order that they are tried
DMA = [(TESTS[0], None), (TESTS[1], None)]
ATS = [(TESTS[1], None), (TESTS[0], None)]
WINDOW = [(TESTS[2], None)]

# What is broken, where, the lines, what they become; tests and their cases, as
# in mutants_fault.py
FAULTS = [
    ('addresses are not translated', PAYLOAD,
     '    p->host = (CacheMemSeg *)p->host_segs->data;',
     '    p->host = p->seg;',
     DMA),
    ('the identity behind an IOMMU', ATC,
     '    if (!pcie_ats_enabled(atc->pdev) || !hear_invalidations(atc)) {\n'
     '        return CACHE_MEM_UNTRANSLATED;',
     '    if (!pcie_ats_enabled(atc->pdev) || !hear_invalidations(atc)) {\n'
     '        g_array_append_vals(to, seg, n);\n'
     '        return CACHE_MEM_TRANSLATED;',
     DMA),
    ('ATS need not be enabled', ATC,
     'if (!pcie_ats_enabled(atc->pdev) || !hear', 'if (!hear',
     DMA),
    ('invalidation keeps the lines', ATC,
     '    cache_mem_dev_flush_range(atc->cm, to, len);',
     '    (void)to, (void)len;',
     ATS),
    ('invalidation keeps the translation', ATC,
     '    if (!atc->deaf && !atc->cm->region->no_invalidate) {',
     '    if (0) {',
     ATS),
    ('invalidation takes one entry of a range', ATC,
     '    while ((e = find_entry(atc, first, last))) {\n'
     '        invalidate_entry(atc, e);',
     '    if ((e = find_entry(atc, first, last))) {\n'
     '        invalidate_entry(atc, e);',
     ATS),
    ('the flush forgets the last line', REGION,
     'line <= last; line++', 'line < last; line++',
     ATS),
    ('a read-only page is written', ATC,
     'if (!e || (write && !e->can_write)) {', 'if (!e) {',
     DMA),
    ('any entry may be written', ATC,
     '    e->can_write |= write;', '    e->can_write = true;',
     DMA),
    ('translations are asked for reading', ATC,
     'page, ATC_PAGE, !write,', 'page, ATC_PAGE, true,',
     DMA),
    ('a refusal is not one', ATC,
     'bool good = n == 1 && !errors && tlb', 'bool good = n == 1 && tlb',
     DMA),
    ('refusals are not counted', ATC,
     '        atc->stats.refusals++;\n', '',
     DMA),
    ('an offset into the page is lost', ATC,
     '*to = e->to + (addr - e->node.start);', '*to = e->to;',
     DMA),
    ('a piece goes on behind its page', ATC,
     '*len = MIN(*len, e->node.last - addr + 1);', '',
     DMA),
    ('an entry makes room and keeps its lines', ATC,
     '        invalidate_entry(atc, QTAILQ_LAST(&atc->by_age));',
     '        drop_entry(atc, QTAILQ_LAST(&atc->by_age));',
     ATS),
    ('ATS disabled and nothing dropped', CRYPTO,
     '    if (!pcie_ats_enabled(pci_dev)) {\n'
     '        cache_mem_atc_drop(s->cache);',
     '    if (0) {\n'
     '        cache_mem_atc_drop(s->cache);',
     DMA),
    ('a reset leaves ATS enabled', CRYPTO,
     '    if (pci_dev->exp.ats_cap) {\n        pci_set_word(',
     '    if (0) {\n        pci_set_word(',
     ATS),
    ('bypass is translated', PAYLOAD,
     'p->how = bypasses_iommu(s) ?', 'p->how = bypasses_iommu(s) && 0 ?',
     DMA),
    ('CXL.io writes before it has checked', PAYLOAD,
     '    if (!all_valid(as, seg, n, dir)) {',
     '    if (!all_valid(as, seg, n, dir) && 0) {',
     DMA),
    ('the status goes to the page that was mapped', VIRTIO,
     '    if (!req->vcrypto->payload_ops) {\n        stb_p',
     '    if (true) {\n        stb_p',
     DMA),
    ('a key that cannot be read is zeros', VIRTIO,
     '    if (!vcrypto->payload_ops) {\n        return true;',
     '    if (true) {\n        return true;',
     DMA),
    ('iommu_platform is off', CRYPTO,
     '"iommu_platform", true,', '"iommu_platform", false,',
     DMA),
    ('a deaf device completes', ATC,
     '    n->timed_out = atc->deaf;', '    n->timed_out = false;',
     ATS),
    ('a wait completes after a time-out', VTD,
     '    if (vtd_get_long_raw(s, DMAR_FSTS_REG) & VTD_FSTS_ITE) {',
     '    if (0) {',
     ATS),
    ('a hung request that is refused keeps lines', PAYLOAD,
     '        cache_mem_give_up_clean(s->cache);\n'
     '        return -VIRTIO_CRYPTO_ERR;', '        return -VIRTIO_CRYPTO_ERR;',
     ATS),
    ('a large page makes memory of interrupts', ATC,
     '    leave_interrupts_out(&first, &last, page);',
     '    if (0) {\n        leave_interrupts_out(&first, &last, page);\n    }',
     ATS),
    ('the window takes a negative address', GUARD,
     'return qemu_isdigit(*str) && !qemu', 'return !qemu',
     WINDOW),
    ('the window ends one line later', GUARD,
     'range_set_bounds(range, first, last);',
     'range_set_bounds(range, first, last + CXL_CACHE_LINE_SIZE);',
     WINDOW),
    ('only the first line is looked at', GUARD,
     '        if (range_upb(range) >= last) {',
     '        if (range_upb(range) >= last || true) {',
     WINDOW),
    ('the window does not count', REGION,
     '    cm->guarded++;\n', '',
     WINDOW),
    ('the window does not hold for single requests', REGION,
     '                      CXL_CACHE_LINE_SIZE)) {\n'
     '        return -EACCES;',
     '                      CXL_CACHE_LINE_SIZE) && 0) {\n'
     '        return -EACCES;',
     WINDOW),
    ('the window is looked at when lines are owned', REGION,
     '    if (!guard_allows_all(cm, seg, n)) {',
     '    if (!guard_allows_all(cm, seg, n) && 0) {',
     WINDOW),
]
