# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of faults, transactions and removal"""

PAYLOAD = 'hw/cxl/cxl_type1_payload.c'
CRYPTO = 'hw/cxl/cxl_type1_crypto.c'
FAULT = 'hw/cxl/cxl_type1_fault.c'
REGION = 'hw/cxl/cache_mem_region.c'
WINDOW = 'hw/cxl/cache_mem_window.c'
VIRTIO = 'hw/virtio/virtio-crypto.c'
PCIE = 'hw/pci/pcie.c'

FAULT_TEST = 'cxl-type1-fault-test'
REMOVAL_TEST = 'cxl-type1-removal-test'

# What is broken, where, the lines, what they become; tests, and which of their
# cases (a regular expression) have to notice: one is enough
FAULTS = [
    ('end_with gives nothing up', PAYLOAD,
     '        cache_mem_give_up(s->cache, r->payload->host, '
     'r->payload->host_n);\n'
     '    }\n'
     '    return -status;',
     '    }\n'
     '    return -status;',
     [(FAULT_TEST, 'abort/kept'), (REMOVAL_TEST, 'only')]),
    ('give up evicts modified lines', REGION,
     '    if (!holds(cm, part->line, CXL_CACHE_P_DIRTY)) {\n'
     '        send_evict',
     '    if (true) {\n'
     '        send_evict',
     [(FAULT_TEST, 'abort/kept')]),
    ('staging modifies', REGION,
     'cxl_cache_dev_stage(cm->dev, part->line, &data);',
     'cxl_cache_dev_write(cm->dev, part->line, &data, CXL_CACHE_BE_ALL);',
     [(FAULT_TEST, 'abort/kept'), (REMOVAL_TEST, 'window')]),
    ('go-err unseen is not noted', PAYLOAD,
     '    if (!refused) {',
     '    if (!refused && 0) {',
     [(FAULT_TEST, 'abort/kept')]),
    ('bad result line is not noted', PAYLOAD,
     '        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_CACHE'
     '_DATA_ECC);\n',
     '',
     [(FAULT_TEST, 'abort/kept')]),
    ('write-back is not refused', REGION,
     '                cm->fail = CACHE_MEM_FAIL_GO_ERR;\n'
     '                send_evict',
     '                send_evict',
     [(FAULT_TEST, 'abort/kept')]),
    ('Viral_Status not set', CRYPTO,
     '        cxl_type1_regs_viral(&s->regs, true);',
     '',
     [(FAULT_TEST, 'viral')]),
    ('viral: requests go on', PAYLOAD,
     '    if (s->faults.viral || s->faults.not_ready) {\n'
     '        return -VIRTIO_CRYPTO_ERR;\n'
     '    }\n'
     '    if (poison)',
     '    if (poison)',
     [(FAULT_TEST, 'viral'), (REMOVAL_TEST, '.')]),
    ('viral: results are written', PAYLOAD,
     '    if (s->faults.viral || s->faults.not_ready) {\n'
     '        return -VIRTIO_CRYPTO_ERR;\n'
     '    }\n'
     '    payload_init(&p, s, elem->in_addr',
     '    payload_init(&p, s, elem->in_addr',
     [(FAULT_TEST, '.')]),
    ('reset recovers nothing', CRYPTO,
     '    recover(s);\n'
     '    if (s->faults.link_down)',
     '    if (s->faults.link_down)',
     [(FAULT_TEST, 'viral$|not-ready$')]),
    ('FLR recovers', CRYPTO,
     '        trace_cxl_type1_crypto_flr(pci_dev->name);\n'
     '        return;',
     '        recover(s);\n'
     '        return;',
     [(FAULT_TEST, 'viral$|not-ready$')]),
    ('no config interrupt', VIRTIO,
     '        virtio_crypto_update_ready(vcrypto);\n'
     '        virtio_notify_config',
     '        virtio_crypto_update_ready(vcrypto);\n'
     '        if (0) virtio_notify_config',
     [(FAULT_TEST, 'config')]),
    ('reset of virtio sets HW_READY', VIRTIO,
     '    if (vcrypto->hw_failed ||\n',
     '    if (',
     [(FAULT_TEST, 'not-ready')]),
    ('after is ignored', FAULT,
     '    if (faults->after) {',
     '    if (false) {',
     [(FAULT_TEST, 'after|start')]),
    ('count is ignored', FAULT,
     '    faults->armed = --faults->count;',
     '    faults->armed = false;',
     [(FAULT_TEST, 'after|start')]),
    ('poison does not wait', FAULT,
     '           !faults->after && take(faults);',
     '           take(faults);',
     [(FAULT_TEST, 'after|start')]),
    ('clear does not disarm', FAULT,
     '        faults->armed = false;\n'
     '        faults->ops->clear',
     '        faults->ops->clear',
     [(FAULT_TEST, 'after'), (REMOVAL_TEST, 'again')]),
    ('hang now waits for a request', FAULT,
     '    [CXL_TYPE1_FAULT_KIND_HANG] = true,\n',
     '',
     [(FAULT_TEST, 'bad|hmp')]),
    ('clear with point accepted', FAULT,
     '        if (order->has_point || order->has_after) {',
     '        if (order->has_after) {',
     [(FAULT_TEST, 'bad|hmp')]),
    ('x-fault clear accepted', FAULT,
     '    if (order.kind == CXL_TYPE1_FAULT_KIND_CLEAR) {\n'
     '        error_setg(errp, "there is',
     '    if (false) {\n'
     '        error_setg(errp, "there is',
     [(FAULT_TEST, 'bad-start')]),
    ('found by id only', FAULT,
     '        if (!g_strcmp0(faults->dev->id, id) || !strcmp(path, id)) {',
     '        if (!g_strcmp0(faults->dev->id, id)) {',
     [(FAULT_TEST, 'path')]),
    ('hung: the next one is served', PAYLOAD,
     '    if (s->faults.hung) {\n'
     '        return -EINPROGRESS;\n'
     '    }\n',
     '',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('hung outlives reset', PAYLOAD,
     '    container_of(vcrypto, CXLType1Crypto, vdev)->faults.hung = false;',
     '',
     [(REMOVAL_TEST, 'hang/(flr|virtio)')]),
    ('clear resumes a stopped machine', CRYPTO,
     '    if (runstate_is_running() && !s->faults.hung) {',
     '    if (!s->faults.hung) {',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('cont does not resume', CRYPTO,
     '    if (running) {\n'
     '        go_on',
     '    if (false) {\n'
     '        go_on',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('cont resumes what hangs', CRYPTO,
     '    if (runstate_is_running() && !s->faults.hung) {',
     '    if (runstate_is_running()) {\n'
     '        s->faults.hung = false;',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('resumed from the end', VIRTIO,
     '    QTAILQ_FOREACH(req, &vcrypto->requests, next) {\n'
     '        if (req->held) {\n'
     '            return req;',
     '    QTAILQ_FOREACH_REVERSE(req, &vcrypto->requests, next) {\n'
     '        if (req->held) {\n'
     '            return req;',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('points are one', PAYLOAD,
     '    return point == CXL_TYPE1_FAULT_POINT_SOURCE_READ || '
     '!r->payload->cached ||',
     '    return true || !r->payload->cached ||',
     [(REMOVAL_TEST, 'window')]),
    ('half is all', REGION,
     '        len = QEMU_ALIGN_UP(len / 2, CXL_CACHE_LINE_SIZE);',
     '',
     [(REMOVAL_TEST, 'window')]),
    ('staged not shown', WINDOW,
     '    word |= slot->staged ? STATE_STAGED : 0;\n',
     '',
     [(REMOVAL_TEST, 'window')]),
    ('exclusive-able always', WINDOW,
     '    bool kept = cm->config.rescue || ',
     '    bool kept = true || cm->config.rescue || ',
     [(REMOVAL_TEST, 'window')]),
    ('slot stays present', PCIE,
     '    pci_set_word_by_mask(exp_cap + PCI_EXP_SLTSTA, PCI_EXP_S'
     'LTSTA_PDS,\n'
     '                         present);',
     '',
     [(REMOVAL_TEST, 'registers')]),
    ('link stays active', PCIE,
     '        pci_set_word_by_mask(exp_cap + PCI_EXP_LNKSTA, PCI_E'
     'XP_LNKSTA_DLLLA,\n'
     '                             present);',
     '        ;',
     [(REMOVAL_TEST, 'registers')]),
    ('no link event', PCIE,
     '                               PCI_EXP_SLTSTA_PDC | PCI_EXP_'
     'SLTSTA_DLLSC);\n'
     '    hotplug',
     '                               PCI_EXP_SLTSTA_PDC);\n'
     '    hotplug',
     [(REMOVAL_TEST, 'registers')]),
    ('no power with the link', PCIE,
     '    if (present) {\n'
     '        pcie_cap_update_power(dev);\n'
     '    }',
     '',
     [(REMOVAL_TEST, 'registers')]),
    ('Flex Bus status stays', CRYPTO,
     '    cxl_type1_port_link_down(port, s->port_status);\n'
     '    pci_set',
     '    pci_set',
     [(REMOVAL_TEST, 'registers')]),
    ('Flex Bus status not back', CRYPTO,
     '    cxl_type1_port_link_up(port);\n',
     '',
     [(REMOVAL_TEST, 'registers')]),
    ('config is read', CRYPTO,
     '    if (s->faults.link_down) {\n'
     '        return UINT32_MAX;\n'
     '    }\n',
     '',
     [(REMOVAL_TEST, 'registers')]),
    ('config is written', CRYPTO,
     '    if (s->faults.link_down) {\n'
     '        return;\n'
     '    }\n'
     '    s->virtio',
     '    s->virtio',
     [(REMOVAL_TEST, 'registers|events')]),
    ('BARs stay', CRYPTO,
     '    pci_set_enabled(PCI_DEVICE(s), false);\n'
     '    cache_mem',
     '    cache_mem',
     [(REMOVAL_TEST, 'registers|hang/link|rescued')]),
    ('reset on link loss writes back', CRYPTO,
     '    if (s->faults.link_down) {\n'
     '        cache_mem_dev_isolate(s->cache);\n'
     '    }\n'
     '    cache',
     '    cache',
     [(REMOVAL_TEST, 'rescued|poisoned|lost')]),
    ('rescue does not', REGION,
     '        flush_locked(cm);\n'
     '    }\n'
     '    cache_mem_totals.poisoned',
     '    }\n'
     '    cache_mem_totals.poisoned',
     [(REMOVAL_TEST, 'rescued')]),
    ('rescued not counted', REGION,
     '        cache_mem_totals.rescued_lines += modified_lines(cm);\n',
     '',
     [(REMOVAL_TEST, 'rescued')]),
    ('x-no-rescue ignored', REGION,
     '    if (region->no_rescue) {',
     '    if (false) {',
     [(REMOVAL_TEST, 'lost')]),
    ('lost not counted', REGION,
     '    cache_mem_totals.lost_lines += modified_lines(cm);\n'
     '    cxl',
     '    cxl',
     [(REMOVAL_TEST, 'lost')]),
    ('pattern not written', REGION,
     '            stl_le_p(mem + i, LOST_PATTERN);',
     '            ;',
     [(REMOVAL_TEST, 'poisoned')]),
    ('lost lines read well', REGION,
     '           (!lost || still_lost(region, line, mem));',
     '           !lost;',
     [(REMOVAL_TEST, 'poisoned')]),
    ('lost for good', REGION,
     '           (!lost || still_lost(region, line, mem));',
     '           true;',
     [(REMOVAL_TEST, 'poisoned')]),
    ('lost until half is new', REGION,
     '    for (unsigned i = 0; i < CXL_CACHE_LINE_SIZE; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     '    for (unsigned i = 0; i < 32; i += 4) {\n'
     '        if (ldl_le_p(mem + i)',
     [(REMOVAL_TEST, 'poisoned')]),
    ('region forgets poison', REGION,
     ' && !g_hash_table_size(the_region->poisoned)',
     '',
     [(REMOVAL_TEST, 'poisoned')]),
    ('no reset with the link', CRYPTO,
     '    /* The slot may have got its power back while the link w'
     'as down */\n'
     '    pci_set_enabled(PCI_DEVICE(s), false);\n',
     '',
     [(REMOVAL_TEST, 'events')]),
    ('failed requests drop lines', REGION,
     '    if (cm->failed) {\n'
     '        for_each_part(cm, seg, n, NULL, give_up_part);\n'
     '        return false;',
     '    if (cm->failed) {\n'
     '        return false;',
     [(REMOVAL_TEST, 'only'), (FAULT_TEST, 'abort/kept')]),
    ('no DEVICE_DELETED', CRYPTO,
     '        dev->pending_deleted_event = true;\n',
     '',
     [(REMOVAL_TEST, 'removal-reg')]),
    ('still in the list', FAULT,
     '    QLIST_SAFE_REMOVE(faults, next);',
     '',
     [(REMOVAL_TEST, 'removal-reg')]),
    ('state handler stays', CRYPTO,
     '    g_clear_pointer(&s->run_state, qemu_del_vm_change_state_handler);',
     '',
     [(REMOVAL_TEST, 'bad-guest|removal-reg|twice')]),
    ('status before the result', VIRTIO,
     '    if (moved == -EINPROGRESS) {',
     '    if (moved == -EINPROGRESS) {\n'
     '        stb_p(&req->in->status, status);',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('abort writes anyway', PAYLOAD,
     '        return strike(s, &r, kind, point);',
     '        move_payload(s, r.seg, r.n, r.buf, PAYLOAD_WRITE);\n'
     '        return strike(s, &r, kind, point);',
     [(FAULT_TEST, 'abort/kept')]),
    ('abandon gives nothing up', PAYLOAD,
     '    if (s->cache) {\n'
     '        cache_mem_give_up_clean(s->cache);',
     '    if (s->cache) {\n'
     '        ;',
     [(REMOVAL_TEST, 'hang-unplug-poison')]),
    ('count 0 accepted', FAULT,
     '    if (order->has_count && !order->count) {',
     '    if (false) {',
     [(FAULT_TEST, 'bad|hmp')]),
    ('poison of memory is not noted', PAYLOAD,
     '        if (poison) {\n'
     '            cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_P'
     'OISON_RECEIVED);\n'
     '        }\n',
     '',
     [(REMOVAL_TEST, 'poisoned')]),
    ('injected poison of a held line is not noted', PAYLOAD,
     '        /* Nothing asked the host for a line: all of it was '
     'in the cache */\n'
     '        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISO'
     'N_RECEIVED);',
     '',
     [(FAULT_TEST, 'abort/kept')]),
]
