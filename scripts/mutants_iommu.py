# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of the device behind an IOMMU"""

PAYLOAD = 'hw/cxl/cxl_type1_payload.c'
CRYPTO = 'hw/cxl/cxl_type1_crypto.c'
VIRTIO = 'hw/virtio/virtio-crypto.c'
VTD = 'hw/i386/intel_iommu.c'

TESTS = ('cxl-type1-iommu-test', 'cxl-type1-ats-test', 'cxl-type1-window-test')
# Where a fault should be noticed, in the order that they are tried
DMA = [(TESTS[0], None), (TESTS[1], None)]
ATS = [(TESTS[1], None), (TESTS[0], None)]

# What is broken, where, the lines, what they become; tests and their cases, as
# in mutants_fault.py
FAULTS = [
    ('addresses are not translated', PAYLOAD,
     '                 cache_mem_translate(cache, p->seg, p->n, p->write, '
     'p->host);',
     '                 (g_array_append_vals(p->host, p->seg, p->n),\n'
     '                  CACHE_MEM_TRANSLATED);',
     DMA),
    ('ATS disabled and nothing dropped', CRYPTO,
     '    if (!pcie_ats_enabled(pci_dev)) {\n'
     '        cache_mem_ats_drop(s->cache);',
     '    if (0) {\n'
     '        cache_mem_ats_drop(s->cache);',
     DMA),
    ('a reset leaves ATS enabled', CRYPTO,
     '    if (pci_dev->exp.ats_cap) {\n        pci_set_word(',
     '    if (0) {\n        pci_set_word(',
     ATS),
    ('bypass is translated', PAYLOAD,
     'p->how = bypasses_iommu(p->s) ?',
     'p->how = bypasses_iommu(p->s) && 0 ?',
     [(TESTS[0], 'let-past')]),
    ('CXL.io writes before it has checked', PAYLOAD,
     '    if (!all_valid(as, p)) {',
     '    if (!all_valid(as, p) && 0) {',
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
    ('a wait completes after a time-out', VTD,
     '    if (vtd_get_long_raw(s, DMAR_FSTS_REG) & VTD_FSTS_ITE) {',
     '    if (0) {',
     ATS),
    ('a hung request that is refused keeps lines', PAYLOAD,
     '        cache_mem_give_up_clean(p->s->cache);\n'
     '        return -VIRTIO_CRYPTO_ERR;', '        return -VIRTIO_CRYPTO_ERR;',
     ATS),
    ('write-only is no answer', VTD,
     '        if (!(entry.perm & IOMMU_RW)) {',
     '        if ((entry.perm & flags) != flags) {',
     ATS),
    ('read-only is no answer', VTD,
     'permitted = iommu_idx == VTD_IDX_ATS ? *reads || *writes :',
     'permitted = iommu_idx == VTD_IDX_ATS && !is_write ? *reads || *writes :',
     ATS),
    ('permissions of one level count', VTD,
     'permitted = iommu_idx == VTD_IDX_ATS ? *reads || *writes :\n'
     '                    is_write ? *writes : *reads;',
     '*reads = sspte & VTD_SS_R;\n'
     '        *writes = sspte & VTD_SS_W;\n'
     '        permitted = *reads || *writes;',
     ATS),
    ('what the IOTLB refuses is no fault', VTD,
     '    if (iotlb_entry && (iommu_idx == VTD_IDX_ATS ||',
     '    if (iotlb_entry && (true ||',
     ATS),
    ('ATS above an IOMMU without', CRYPTO,
     '    return iommu == CACHE_MEM_ATS_IOMMU_HAS &&',
     '    return iommu != CACHE_MEM_ATS_NO_IOMMU &&',
     DMA),
    ('ATS of a device that is let past', CRYPTO,
     '           virtio_host_has_feature(VIRTIO_DEVICE(&s->vdev),\n'
     '                                   VIRTIO_F_ACCESS_PLATFORM);',
     '           true;',
     DMA),
    ('ats=on without a warning', CRYPTO,
     '    if (iommu == CACHE_MEM_ATS_IOMMU_HAS_NOT) {',
     '    if (0) {',
     DMA),
    ('an IOMMU that comes later is not seen', CRYPTO,
     '    qemu_add_machine_init_done_notifier(&s->machine_done);',
     '    qemu_add_machine_init_done_notifier(&s->machine_done);\n'
     '    if (!phase_check(PHASE_MACHINE_READY)) {\n'
     '        init_ats(&s->machine_done, NULL);\n'
     '        s->ats = ON_OFF_AUTO_OFF;\n'
     '    }',
     DMA),
]
