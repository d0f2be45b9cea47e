# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of faults, transactions and removal"""

PAYLOAD = 'hw/cxl/cxl_type1_payload.c'
CRYPTO = 'hw/cxl/cxl_type1_crypto.c'
FAULT = 'hw/cxl/cxl_type1_fault.c'
INJECT = 'hw/cxl/cxl_type1_inject.c'
LINK = 'hw/cxl/cxl_type1_link.c'
WINDOW = 'hw/cxl/cache_mem_window.c'
VIRTIO = 'hw/virtio/virtio-crypto.c'
PCIE = 'hw/pci/pcie.c'

FAULT_TEST = 'cxl-type1-fault-test'
REMOVAL_TEST = 'cxl-type1-removal-test'

# What is broken, where, the lines, what they become; tests, and which of their
# cases (a regular expression) have to notice: one is enough
FAULTS = [
    ('end_with gives nothing up', INJECT,
     '        cache_mem_give_up(p->s->cache, cxl_type1_payload_host(p),\n'
     '                          p->host->len);\n'
     '    }\n'
     '    return -status;',
     '    }\n'
     '    return -status;',
     [(FAULT_TEST, 'abort/kept'), (REMOVAL_TEST, 'only')]),
    ('go-err unseen is not noted', INJECT,
     '    if (!refused) {',
     '    if (!refused && 0) {',
     [(FAULT_TEST, 'abort/kept')]),
    ('bad result line is not noted', INJECT,
     '        cxl_type1_regs_error(&p->s->regs, CXL_RAS_UNC_ERR_CACHE'
     '_DATA_ECC);\n',
     '',
     [(FAULT_TEST, 'abort/kept')]),
    ('Viral_Status not set', INJECT,
     '        cxl_type1_regs_viral(&s->regs, true);',
     '',
     [(FAULT_TEST, 'viral')]),
    ('viral: requests go on', INJECT,
     '    if (refuses_requests(s)) {\n'
     '        return -VIRTIO_CRYPTO_ERR;\n'
     '    }\n'
     '    if (cxl_type1_flight_has(p) ||\n'
     '        !cxl_type1_fault_reading',
     '    if (cxl_type1_flight_has(p) ||\n'
     '        !cxl_type1_fault_reading',
     [(FAULT_TEST, 'abort/kept')]),
    ('reset recovers nothing', CRYPTO,
     '    if (!flr) {\n        cxl_type1_inject_recover(s);',
     '    if (!flr && 0) {\n        cxl_type1_inject_recover(s);',
     [(FAULT_TEST, 'viral$|not-ready$')]),
    ('FLR recovers', CRYPTO,
     '        trace_cxl_type1_crypto_flr(pci_dev->name);\n'
     '        return;',
     '        cxl_type1_inject_recover(s);\n'
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
     '        error_setg(errp, "\'clear\' is not',
     '    if (false) {\n'
     '        error_setg(errp, "\'clear\' is not',
     [(FAULT_TEST, 'bad-start')]),
    ('found by id only', FAULT,
     '        if (!g_strcmp0(faults->dev->id, id) || !strcmp(path, id)) {',
     '        if (!g_strcmp0(faults->dev->id, id)) {',
     [(FAULT_TEST, 'path')]),
    ('hung: the next one is served', INJECT,
     '    if (s->inject.unresponsive) {\n'
     '        return -EINPROGRESS;\n'
     '    }\n',
     '',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('hung outlives reset', PAYLOAD,
     '        s->inject.hooks->reset(s);',
     '        ;',
     [(REMOVAL_TEST, 'hang/(flr|virtio)')]),
    ('clear resumes a stopped machine', INJECT,
     '    if (runstate_is_running() && !s->inject.unresponsive) {',
     '    if (!s->inject.unresponsive) {',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('cont does not resume', INJECT,
     '    if (running) {\n'
     '        resume',
     '    if (false) {\n'
     '        resume',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('cont resumes what hangs', INJECT,
     '    if (runstate_is_running() && !s->inject.unresponsive) {',
     '    if (runstate_is_running()) {\n'
     '        s->inject.unresponsive = false;',
     [(REMOVAL_TEST, 'hang/stop')]),
    ('resumed from the end', VIRTIO,
     '    QTAILQ_FOREACH(req, &vcrypto->requests, next) {\n'
     '        if (virtio_crypto_suspended(req) && req->round',
     '    QTAILQ_FOREACH_REVERSE(req, &vcrypto->requests, next) {\n'
     '        if (virtio_crypto_suspended(req) && req->round',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('points are one', INJECT,
     '    return point == CXL_TYPE1_FAULT_POINT_SOURCE_READ || '
     '!p->cached ||',
     '    return true || !p->cached ||',
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
    ('Flex Bus status stays', LINK,
     '    cxl_type1_port_link_down(pdev);\n'
     '    pci_set',
     '    pci_set',
     [(REMOVAL_TEST, 'registers')]),
    ('Flex Bus status not back', LINK,
     '    cxl_type1_port_link_up(pdev);\n',
     '',
     [(REMOVAL_TEST, 'registers')]),
    ('config is read', CRYPTO,
     '    if (s->link_lost) {\n'
     '        return UINT32_MAX;\n'
     '    }\n',
     '',
     [(REMOVAL_TEST, 'registers|events')]),
    ('config is written', CRYPTO,
     '    if (s->link_lost) {\n'
     '        return;\n'
     '    }\n'
     '    CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_config_write',
     '    CXL_TYPE1_CRYPTO_GET_CLASS(s)->parent_config_write',
     [(REMOVAL_TEST, 'registers|events')]),
    ('BARs stay', LINK,
     '    pci_set_enabled(pdev, false);\n'
     '    cache_mem',
     '    cache_mem',
     [(REMOVAL_TEST, 'registers|hang/link|rescued')]),
    ('reset on link loss writes back', CRYPTO,
     '    if (s->link_lost) {\n'
     '        cache_mem_dev_isolate(s->cache);\n'
     '    }\n'
     '    disable_ats(s);\n',
     '    disable_ats(s);\n',
     [(REMOVAL_TEST, 'rescued|poisoned|lost')]),
    ('the end of ATS writes lost lines back', CRYPTO,
     '    if (s->link_lost) {\n'
     '        cache_mem_dev_isolate(s->cache);\n'
     '    }\n'
     '    disable_ats(s);\n',
     '    disable_ats(s);\n'
     '    if (s->link_lost) {\n'
     '        cache_mem_dev_isolate(s->cache);\n'
     '    }\n',
     [('cxl-type1-ats-test', 'gone')]),
    ('no reset with the link', LINK,
     '    /* The slot may have got its power back while the link w'
     'as down */\n'
     '    pci_set_enabled(pdev, false);\n',
     '',
     [(REMOVAL_TEST, 'events')]),
    ('still in the list', FAULT,
     '    QLIST_SAFE_REMOVE(faults, next);',
     '',
     [(REMOVAL_TEST, 'nothing-left')]),
    ('status before the result', VIRTIO,
     '        if (virtio_crypto_suspended(req)) {\n'
     '            return;',
     '        if (virtio_crypto_suspended(req)) {\n'
     '            stb_p(&req->in->status, status);\n'
     '            return;',
     [(REMOVAL_TEST, 'hang/clear')]),
    ('abort writes anyway', INJECT,
     '    return fail_request(p, buf, kind, point);',
     '    cxl_type1_payload_publish(p, buf);\n'
     '    return fail_request(p, buf, kind, point);',
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
     '    if (poison) {\n'
     '        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_P'
     'OISON_RECEIVED);\n'
     '    }\n',
     '',
     [(REMOVAL_TEST, 'poisoned')]),
    ('injected poison of a held line is not noted', INJECT,
     '        /* Nothing asked the host for a line: all of it was '
     'in the cache */\n'
     '        cxl_type1_regs_error(&s->regs, CXL_RAS_UNC_ERR_POISO'
     'N_RECEIVED);',
     '',
     [(FAULT_TEST, 'poison-held')]),
]
