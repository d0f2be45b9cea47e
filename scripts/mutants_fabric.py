# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of Trust Levels, Cache IDs, limits, and a switch's
events"""

SECURITY = 'hw/cxl/cxl_ext_security.c'
PATH = 'hw/cxl/cxl_cache_path.c'
CACHE_ID = 'hw/cxl/cxl_cache_id.c'
PORT = 'hw/cxl/cxl_type1_port.c'
REGION = 'hw/cxl/cache_mem_region.c'
LIMITS = 'hw/cxl/cache_mem_limits.c'
VCS = 'hw/cxl/cxl-vcs-switch.c'
LINK = 'hw/cxl/cxl_type1_link.c'

ID_TEST = 'cxl-cache-id-test'
FM_TEST = 'cxl-fm-test'
LIMITS_TEST = 'cxl-cache-limits-test'
TESTS = (ID_TEST, FM_TEST, LIMITS_TEST)
TRUST = [(ID_TEST, '/trust/')]
REFUSED = [(ID_TEST, 'refused/trust')]
STEPS = [(ID_TEST, '/commit')]
GUEST = [(ID_TEST, '/(commit|redo|reset|registers|fixed|hotplug)')]
EVENTS = [(FM_TEST, '/link-events')]

# As in mutate.py
FAULTS = [
    ('trust: entries in the order of creation', SECURITY,
     'while (at && s->entry[at - 1].port->devfn > root_port->devfn) {',
     'while (0) {', TRUST),
    ('trust: a reset keeps what the guest wrote', SECURITY,
     's->entry[i].level = s->entry[i].preset;', ';', TRUST),
    ('trust: a reset trusts nothing', SECURITY,
     's->entry[i].level = s->entry[i].preset;',
     's->entry[i].level = CXL_TRUST_NONE;', TRUST),
    ('trust: one entry too many', SECURITY,
     'return s->num & 0xff;', 'return (s->num + 1) & 0xff;', TRUST),
    ('trust: the port number is the number of the entry', SECURITY,
     'PCIE_PORT(e->port)->port;', '(e - s->entry);', TRUST),
    ('trust: reserved bits are kept', SECURITY,
     'e->level = value & TRUST_MASK;', 'e->level = value;', TRUST),
    ('trust: a port number can be written', SECURITY,
     'if (e && policy) {', 'if (e) {', TRUST),
    ('trust: what is written is not honoured', SECURITY,
     '        trace_cxl_ext_security_level(e->port->name, e->level);\n'
     '        s->changed();',
     '        trace_cxl_ext_security_level(e->port->name, e->level);', TRUST),
    ('trust: device memory is all memory', PATH,
     'cxl_ext_security_level(security, root_port) == CXL_TRUST_ALL;',
     'cxl_ext_security_level(security, root_port) != CXL_TRUST_DEVICE_MEMORY;',
     TRUST),
    ('trust: reserved is none', PATH,
     'cxl_ext_security_level(security, root_port) == CXL_TRUST_ALL;',
     'cxl_ext_security_level(security, root_port) % 3 == 0;', TRUST),
    ('trust: device memory is all memory, by a decoder', PATH,
     'if (first && d.trust != CXL_TRUST_ALL) {',
     'if (first && d.trust == CXL_TRUST_NONE) {', TRUST),
    ('trust: the decoder alone counts', PATH,
     'cache_mem_dev_set_route(cm, !is_trusted(pdev) ?',
     'cache_mem_dev_set_route(cm, !is_trusted(pdev) && 0 ?', TRUST),
    ('trust: the decoder is not preset', PATH,
     '.id = id, .trust = trust };', '.id = id };', TRUST),
    ('trust: ports without CXL.cache have an entry', PORT,
     '    if (state && state->cache && is_root_port(dev) &&',
     '    if (is_root_port(dev) && !(state && state->cache)) {\n'
     '        cxl_cache_path_trust(PCI_DEVICE(dev), 0);\n'
     '    }\n'
     '    if (state && state->cache && is_root_port(dev) &&', TRUST),
    ('trust: 68B devices below a switch are let in', PATH,
     'if (!flit_256b && trust != CXL_TRUST_ALL &&', 'if (0 &&', REFUSED),
    ('trust: where nothing says so', PATH,
     'if (level != CXL_TRUST_ALL && !host_bridge(pci_get_bus(root_port))) {',
     'if (0) {', REFUSED),
    ('switch: what is bound is a link that comes', VCS,
     'vcs->binding = true;', 'vcs->binding = false;', EVENTS),
    ('switch: what binds once has no events any more', VCS,
     'vcs->binding = false;', ';', EVENTS),
    ('switch: what is not bound comes back', LINK,
     '!s->link_lost || !cxl_vcs_is_bound(cxl_type1_port_above(pdev))',
     '!s->link_lost', EVENTS),
    ('switch: a link that is lost is no event', LINK,
     'cxl_vcs_note_link(cxl_type1_port_above(pdev), false);', ';', EVENTS),
    ('switch: a link that comes back is no event', LINK,
     'cxl_vcs_note_link(cxl_type1_port_above(pdev), true);', ';', EVENTS),
    ('switch: the event comes before the slot is empty', LINK,
     '    pcie_cap_slot_set_present(cxl_type1_port_above(pdev), false);\n'
     '    cxl_vcs_note_link(cxl_type1_port_above(pdev), false);\n',
     '    cxl_vcs_note_link(cxl_type1_port_above(pdev), false);\n'
     '    pcie_cap_slot_set_present(cxl_type1_port_above(pdev), false);\n',
     EVENTS),
    ('switch: the link is as it was while it was down', VCS,
     'port->config_read(port, port->exp.exp_cap +\n'
     '                                        PCI_EXP_LNKSTA, sizeof(status));',
     'pci_get_word(exp + PCI_EXP_LNKSTA);', EVENTS),
    ('switch: a link that is down has a width', VCS,
     '    if (up) {\n        event.device_mode', '    event.width = (status & '
     'PCI_EXP_LNKSTA_NLW) >> 4;\n    if (up) {\n        event.device_mode',
     EVENTS),
    ('id: HDM-D devices can be routed', CACHE_ID,
     'return !(ldl_le_p(c->file + CXL_CACHE_ID_CTRL) &\n'
     '             CXL_CACHE_ID_DECODER_HDM_D) &&', 'return', STEPS),
    ('id: a port can assign and forward', CACHE_ID,
     '!(d.assign && d.forward) &&', '', STEPS),
    ('id: two devices can have one', PATH,
     'return !find_holder(decoder, id) &&', 'return', STEPS),
    ('id: 68B flits can have any', PATH,
     '(!id || !cm || cache_mem_dev_flit_256b(cm));', '(cm || !cm);', STEPS),
    ('id: a table leads to any port', CACHE_ID,
     'port >= 0 && !c->ops->has_port(c, port)', 'port < -1', STEPS),
    ('id: what is written is in force, a decoder', CACHE_ID,
     '*decoder = read_decoder(c->live);', '*decoder = read_decoder(c->file);',
     STEPS),
    ('id: what is written is in force, a table', CACHE_ID,
     'read_target(c->live, id) : -1', 'read_target(c->file, id) : -1', STEPS),
    ('id: each write commits', CACHE_ID,
     'if (now & ~old & commit_bit(c)) {', 'if (now & commit_bit(c)) {', STEPS),
    ('id: nothing ends a commit', CACHE_ID,
     '    set_status(c, 0);\n', '', GUEST),
    ('id: nobody hears of the end of a commit', CACHE_ID,
     'set_status(c, 0);\n    c->ops->changed();', 'set_status(c, 0);', GUEST),
    ('id: an error is in force', CACHE_ID,
     ': CXL_CACHE_ID_STATUS_ERROR);',
     ': CXL_CACHE_ID_STATUS_ERROR | CXL_CACHE_ID_STATUS_COMMITTED);', STEPS),
    ('id: tables need not lead there', PATH,
     'if (cxl_cache_id_target(table, id) != port_number(port)) {\n'
     '            return', 'if (0) {\n            return', STEPS),
    ('id: ports need not forward', PATH,
     '!(first ? d.assign : d.forward)', '(first && !d.assign)', STEPS),
    ('id: what a guest wrote outlives a reset', CACHE_ID,
     '    memcpy(c->file, c->firmware, sizeof(c->file));\n'
     '    firmware_written(c);', '    firmware_written(c);', GUEST),
    ('id: reserved bits of a decoder are kept', CACHE_ID,
     '0x030f0f0f', '0xffffffff', GUEST),
    ('id: the next target is written, too', CACHE_ID,
     'MAKE_64BIT_MASK(8 * (addr - dword), 8 * size);',
     'MAKE_64BIT_MASK(0, 32);', GUEST),
    ('id: firmware takes it from a device', PATH,
     'return !holder || !device_below(holder->port);',
     'return !holder || holder;',
     [(ID_TEST, 'refused/(id-twice|17-devices)')]),
    ('id: an empty port keeps it for ever', PATH,
     'return !holder || !device_below(holder->port);', 'return !holder;',
     [(ID_TEST, '/hotplug')]),
    ('id: lines stay when their way goes', REGION,
     '        cache_mem_dev_flush_locked(cm);\n    }\n    set_route(cm, id);',
     '    }\n    set_route(cm, id);', GUEST),
    ('limit: a group has no size', REGION,
     '.group_size = cm->config.grouped ?', '.group_size = 0 ?',
     [(ID_TEST, '/limits/capacity')]),
    ('limit: no quota', REGION, '.quota = config->sf_quota,', '.quota = 0,',
     [(ID_TEST, '/limits/neighbour')]),
    ('limit: no rate for the crypto device', REGION, '.rate = config->rate,',
     '.rate = 0,', [(LIMITS_TEST, '/rate-crypto')]),
    ('limit: no credits', REGION, 'CXL_CACHE_D2H_REQ, config->req_credits);',
     'CXL_CACHE_D2H_REQ, 0);', [(LIMITS_TEST, '/credits')]),
    ('limit: the monitor changes the property alone', LIMITS,
     '    if (cm) {\n        cache_mem_dev_set', '    if (0) {\n        '
     'cache_mem_dev_set', [(LIMITS_TEST, '/rate-change')]),
]
