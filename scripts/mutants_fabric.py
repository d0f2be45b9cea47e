# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of Trust Levels, and of a switch's events"""

SECURITY = 'hw/cxl/cxl_ext_security.c'
PATH = 'hw/cxl/cxl_cache_path.c'
PORT = 'hw/cxl/cxl_type1_port.c'
VCS = 'hw/cxl/cxl-vcs-switch.c'
LINK = 'hw/cxl/cxl_type1_link.c'

ID_TEST = 'cxl-cache-id-test'
FM_TEST = 'cxl-fm-test'
TESTS = (ID_TEST, FM_TEST)
TRUST = [(ID_TEST, '/trust/')]
REFUSED = [(ID_TEST, 'refused/trust')]
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
     'cache_mem_dev_set_route(cm, 0 ?', TRUST),
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
]
