# SPDX-License-Identifier: GPL-2.0-or-later
"""What is broken of requests in flight on links with time (issue 15)

FAULTS are for mutate.py; as in mutants_fault.py.
"""

TRANSFER = 'hw/cxl/cache_mem_transfer.c'
FLIGHT = 'hw/cxl/cxl_type1_flight.c'
PAYLOAD = 'hw/cxl/cxl_type1_payload.c'
INJECT = 'hw/cxl/cxl_type1_inject.c'
AGENT = 'hw/cxl/cache_mem_agent.c'
CRYPTO = 'hw/virtio/virtio-crypto.c'

TIME_TEST = 'cxl-type1-time-test'
ATS_TEST = 'cxl-type1-ats-test'
TESTS = (TIME_TEST, ATS_TEST)
ALL = [(TIME_TEST, None)]
ATS = [(ATS_TEST, 'time')]

FAULTS = [
    ('flight: requests are done at once', FLIGHT,
     'cache_mem_in_time(p->s->cache) &&', '0 &&', ALL),
    ('flight: results are written before all lines are owned', TRANSFER,
     '    if (t->open) {\n        return false;',
     '    if (t->open && t->phase != PHASE_OWN) {\n        return false;', ALL),
    ('flight: the arithmetic is done before the source is there', TRANSFER,
     '    if (t->open) {\n        return false;',
     '    if (t->open && t->phase != PHASE_FETCH) {\n        return false;', ALL),
    ('flight: what the host took back is not written', TRANSFER,
     't->how != CACHE_MEM_WRITE_KEEP || !all_here(t)) {',
     't->how != CACHE_MEM_WRITE_KEEP || (!all_here(t) && 0)) {', ALL),
    ('flight: what cannot be kept is not written', TRANSFER,
     '    if (changed && t->at_once && !t->failed) {', '    if (0) {', ALL),
    ('flight: no more lines are left for others', TRANSFER,
     'cm->mode != CACHE_MEM_ON || !t->room ||', 'cm->mode != CACHE_MEM_ON ||',
     ALL),
    ('flight: edges are owned without their data', TRANSFER,
     'is_full(part) ? CXL_CACHE_RD_OWN_NO_DATA :\n'
     '                                       CXL_CACHE_RD_OWN',
     'CXL_CACHE_RD_OWN_NO_DATA', ALL),
    ('flight: bytes go to the beginning of the line', TRANSFER,
     'posted->result.data.b + r->part.offset', 'posted->result.data.b', ALL),
    ('flight: what is in the cache is asked of the host', TRANSFER,
     '    if (cxl_cache_dev_read(t->cm->dev, part->line, &data, &t->poison)) {',
     '    if (0) {', ALL),
    ('flight: what is not to be kept is kept', TRANSFER,
     't->at_once || t->how != CACHE_MEM_WRITE_KEEP || !all_here(t)',
     't->at_once || !all_here(t)', ALL),
    ('flight: an error is none', TRANSFER,
     '    return t->failed ? -EIO : 0;', '    return 0;', ALL),
    ('flight: nobody asks again for want of a credit', TRANSFER,
     't->again = next == UINT64_MAX ? cxl_cache_time(home) + IDLE_NS : next;',
     't->again = MAX(next, UINT64_MAX);', ALL),
    ('flight: who comes is not told of', TRANSFER,
     '        t->wake(t->opaque, cxl_cache_time(t->cm->region->home));\n',
     '        ;\n', ALL),
    ('flight: what is forgotten keeps its lines', TRANSFER,
     '    bool owns = t->buf && t->phase != PHASE_OVER;', '    bool owns = false;',
     ALL),
    ('flight: the allow-list is for others', TRANSFER,
     't->failed = !is_allowed(t);', 't->failed = !is_allowed(t) && 0;', ALL),
    ('flight: a device that hangs goes on', FLIGHT,
     'if (s->inject.unresponsive || s->link_lost) {', 'if (0) {', ALL),
    ('flight: the last request goes first', FLIGHT,
     'QTAILQ_INSERT_TAIL(&s->flights.list', 'QTAILQ_INSERT_HEAD(&s->flights.list',
     ALL),
    ('flight: translations are good for ever', FLIGHT,
     'return part->gone != cache_mem_translations_gone(s->cache);',
     'return false;', ATS),
    ('flight: invalidations do not wait for what is under way', AGENT,
     '    if (!QLIST_EMPTY(&cm->posted)) {', '    if (0) {', ATS),
    ('flight: faults are counted whenever it goes on', INJECT,
     '    if (cxl_type1_flight_has(p) || !cxl_type1_payload_translate(p) ||',
     '    if (!cxl_type1_payload_translate(p) ||', ALL),
    ('flight: requests are not forgotten', CRYPTO,
     '        vcrypto->payload_ops->forget(vcrypto, &req->elem);\n', '        ;\n',
     ALL),
    ('flight: only the first goes on when a hang is over', CRYPTO,
     '        virtio_crypto_go_on(req);\n    }\n}\n\nstatic void '
     'virtio_crypto_dataq_bh',
     '        virtio_crypto_go_on(req);\n        break;\n    }\n}\n\nstatic '
     'void virtio_crypto_dataq_bh', ALL),
]
