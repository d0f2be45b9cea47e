# SPDX-License-Identifier: GPL-2.0-or-later
"""The contexts of lines in the home, broken one line at a time: see
mutate-cache.py"""

TEST = 'test-cxl-cache-context'

HOME = 'hw/cxl/cache/home.c'
HOME_H = 'hw/cxl/cache/home.h'
HOME_RX = 'hw/cxl/cache/home_rx.c'
HOME_TX = 'hw/cxl/cache/home_tx.c'
ISOLATE = 'hw/cxl/cache/home_isolate.c'

FAULTS = [
    ('context: the entry has none', HOME_TX,
     'sf_set_context(home, e, tx->context);', ';'),
    ('context: an evict has none', HOME_RX,
     'if (rule->evict) {\n        tx->held = sf_context(home, tx->e);',
     'if (rule->evict) {\n        tx->held = 0;'),
    ('context: an evict has that of the moment', HOME_TX,
     'why == CXL_CACHE_WRITE_BACK ? tx->held : tx->context;',
     'tx->context;'),
    ('context: a write has that of the line', HOME_TX,
     'why == CXL_CACHE_WRITE_BACK ? tx->held : tx->context;', 'tx->held;'),
    ('context: a read has that of the line', HOME_TX,
     'home->context = tx->context;\n    tx->have',
     'home->context = tx->held;\n    tx->have'),
    ('context: what the host takes has none', HOME,
     'tx->held = sf_context(home, tx->e);\n', ''),
    ('context: a victim has none', HOME_RX,
     'victim->held = sf_context(home, e);', ';'),
    ('context: data of another one are handed on', HOME_TX,
     'return tx->kind != CXL_CACHE_TX_DEV || tx->held == tx->context;',
     'return true;'),
    ('context: data of the same one are not', HOME_TX,
     'return tx->kind != CXL_CACHE_TX_DEV || tx->held == tx->context;',
     'return tx->kind != CXL_CACHE_TX_DEV || !tx->context;'),
    ('context: every space finds a line', HOME_RX,
     'CXL_CACHE_CONTEXT_SPACE(tx->context ^ tx->held)) {', '0) {'),
    ('context: another key is another line', HOME_RX,
     'CXL_CACHE_CONTEXT_SPACE(tx->context ^ tx->held)) {',
     'tx->context != tx->held) {'),
    ('context: a free entry keeps it', HOME_H,
     '    if (!*e) {\n        sf_set_context(home, e, 0);\n    }\n', ''),
    ('context: a rescue has none', ISOLATE,
     'sf_context(home, sf_find(home, slot.line)), slot.data,',
     '0, slot.data,'),
    ('context: nobody is told that a line left', HOME_TX,
     'if (access > tx->access) {\n            tell_left',
     'if (0) {\n            tell_left'),
    ('context: whoever gets a line has lost it', HOME_TX,
     'if (access > tx->access) {\n            tell_left',
     'if (1) {\n            tell_left'),
    ('context: CacheFlushed is no loss', HOME_RX,
     'tell_left(home, line, context, 1 << dev);', '(void)context;'),
]
