# SPDX-License-Identifier: GPL-2.0-or-later
"""What is broken of devices that do not answer (issue 15)

FAULTS are for mutate-cache.py, QEMU_FAULTS for mutate.py.
"""

WAIT = 'hw/cxl/cache/wait.c'
SCHED = 'hw/cxl/cache/sched.c'
ISOLATE = 'hw/cxl/cache/home_isolate.c'
GEAR = 'hw/cxl/cache/gear.c'
HOME = 'hw/cxl/cache/home.c'

# As in mutate-cache.py: name, file, the lines, what they become
ROWS = [
    ('a channel that stands still moves without time', SCHED,
     'G_LIKELY(!cxl_cache_link_held(link, channel));', 'true;'),
    ('a channel that stands still moves in time', SCHED,
     'if (cxl_cache_link_held(link, channel) ||', 'if ('),
    ('the fast gear goes past it', GEAR,
     '           !link->held &&\n', ''),
    ('what is held does not count as time', WAIT,
     '(d->link->time || d->link->held ||', '(d->link->time ||'),
    ('the wait begins anew all the time', WAIT,
     'if (tx->stamped != tx->phase) {', 'if (true) {'),
    ("the host's own accesses wait since later", HOME,
     '        cxl_cache_wait_stamp(home, cxl_cache_time(home));',
     '        ;'),
    ('data are not waited for', WAIT,
     'tx->fwd & bit ? CXL_CACHE_AWAITS_DATA : CXL_CACHE_NUM_AWAITED;',
     'CXL_CACHE_NUM_AWAITED;'),
    ('snoops without credit are not waited for', WAIT,
     'tx->ask & bit ? CXL_CACHE_AWAITS_CREDIT :', ''),
    ('pulls are not waited for', WAIT,
     '? CXL_CACHE_AWAITS_PULL :', '? CXL_CACHE_NUM_AWAITED :'),
    ("others' pulls are waited for", WAIT,
     'tx->kind == CXL_CACHE_TX_DEV &&\n           tx->dev == dev ?',
     'tx->kind == CXL_CACHE_TX_DEV ?'),
    ("a pull is part of the snoop's wait", WAIT,
     '            tx->since = now;\n',
     '            tx->since = tx->phase == CXL_CACHE_TX_PULL && tx->since ?\n'
     '                        tx->since : now;\n'),
    ('a time-out does not count as time', WAIT,
     ' ||\n                                   d->timeout);', ');'),
    ('who asked is not told', WAIT,
     '.by = tx->kind == CXL_CACHE_TX_DEV ? tx->dev : -1,', '.by = -1,'),
    ('a time-out is told of again and again', WAIT,
     'd->told = waits_since(home, i) + 1;',
     'd->told = waits_since(home, i) + 1; if (n++ < 5) { d->told--; }'),
    ('a time-out is told of once for ever', WAIT,
     'd->told = waits_since(home, i) + 1;', 'd->told = UINT64_MAX - 1;'),
    ('a time-out is early by a nanosecond', WAIT,
     'since == UINT64_MAX ? since : since + d->timeout;',
     'since == UINT64_MAX ? since : since + d->timeout - 1;'),
    ('a time-out is what the first device has', WAIT,
     'since == UINT64_MAX ? since : since + d->timeout;',
     'since == UINT64_MAX ? since : since + home->dev[0].timeout;'),
    ('late calls find late answers in time', SCHED,
     'return MIN(cxl_cache_next(home), cxl_cache_deadline(home));',
     'return cxl_cache_next(home);'),
    ('time-outs are never over', SCHED,
     'if (cxl_cache_wait_expire(home, home->now)) {', 'if (0) {'),
    ('who cannot wait does not go on to the time-out', SCHED,
     'if (!n && wait && next == UINT64_MAX) {', 'if (0) {'),
    ('who settles goes on to the time-out', SCHED,
     'while (advance(home, false)) {', 'while (advance(home, true)) {'),
    ('isolation does not poison what is waited for', ISOLATE,
     'lost = lose_line(home, tx->line);\n    }\n    tx->ask',
     'lost = false;\n    }\n    tx->ask'),
    ('a rescue poisons', ISOLATE,
     'if (home->rescuing) {\n        return false;', 'if (0) {\n        return false;'),
    ('a rescue forgets what is in the cache', ISOLATE,
     'n = link->dev ? save_modified(home, link->dev) : 0;', 'n = 0;'),
    ('a rescue forgets what is on its way', ISOLATE,
     'n += save_sent(home, dev) + save_early(home, dev);',
     'n += save_early(home, dev);'),
    ('a rescue forgets what is half with the host', ISOLATE,
     'n += save_sent(home, dev) + save_early(home, dev);',
     'n += save_sent(home, dev);'),
    ('a rescue writes whole lines', ISOLATE,
     '&ch->data[at & ch->mask], msg->be, msg->poison);',
     '&ch->data[at & ch->mask], CXL_CACHE_BE_ALL, msg->poison);'),
    ('a rescue forgets writes that are on their way', ISOLATE,
     'return cxl_cache_tx_pulled(home, tx, msg->bogus, msg->be)->act &\n'
     '               CXL_CACHE_DO_WRITE;', 'return false;'),
]

FAULTS = [('wait: ' + name, file, old, new) for name, file, old, new in ROWS]

MEM_WAIT = 'hw/cxl/cache_mem_wait.c'
MEM_TIME = 'hw/cxl/cache_mem_time.c'
TOUCH = 'hw/cxl/cache_mem_touch.c'
AGENT = 'hw/cxl/cache_mem_agent.c'
REGION = 'hw/cxl/cache_mem_region.c'
TIMEOUT = 'hw/cxl/cxl_cache_timeout.c'

WAIT_TEST = 'cxl-cache-wait-test'
TESTS = (WAIT_TEST,)
ALL = [(WAIT_TEST, None)]

# As in mutants_fault.py
QEMU_FAULTS = [
    ('wait: the timer does not know of time-outs', MEM_TIME,
     'next = MIN(cxl_cache_next(region->home),\n'
     '               cxl_cache_deadline(region->home));',
     'next = cxl_cache_next(region->home);', ALL),
    ('wait: an isolated device may ask', AGENT,
     'return !cm->isolated && (cm->mode', 'return (cm->mode', ALL),
    ('wait: an isolated device is enabled at once', REGION,
     '    if (cm->isolated) {\n        return;', '    if (0) {\n        return;',
     ALL),
    ('wait: what was enabled meanwhile is not', MEM_WAIT,
     '            cache_mem_dev_set_mode_locked(cm, cm->wanted);',
     '            ;', ALL),
    ('wait: isolation without enable', MEM_WAIT,
     '    if (cm->isolate) {\n', '    if (true) {\n', ALL),
    ('wait: what was posted outlives isolation', MEM_WAIT,
     '    cache_mem_posted_lost(cm);\n', '', ALL),
    ('wait: a stop waits for the agent that waits', AGENT,
     '        if (cache_mem_wait_hangs(region)) {', '        if (0) {', ALL),
    ('wait: the port hears of what is not its doing', MEM_WAIT,
     '            (i != CACHE_MEM_PORT_ISOLATED || by_port)) {',
     '            (i < INT_MAX || by_port)) {', ALL),
    ('wait: a reset does not end it', REGION,
     '    /* It answers again, before it forgets all. */\n'
     '    cxl_cache_link_hold(cm->link, 0);', '', ALL),
    ('wait: a system reset does not end it', REGION,
     '        cxl_cache_link_hold(cm->link, 0);\n'
     '        cxl_cache_dev_reset(cm->dev);',
     '        cxl_cache_dev_reset(cm->dev);', ALL),
    ('wait: interrupts come twice', TIMEOUT,
     'if (!before && interrupts(t) &&', 'if (interrupts(t) &&', ALL),
    ('wait: the enable of the interrupt comes too late', TIMEOUT,
     '    apply(t);\n    update_interrupt(t, before);',
     '    apply(t);\n    update_interrupt(t, before || true);', ALL),
    ('wait: message 0', TIMEOUT,
     'return msi_nr_vectors_allocated(t->port) > 1;', 'return 0;', ALL),
    ('wait: ERR_COR without enable', TIMEOUT,
     'if (t->ctrl & CXL_CACHE_TIMEOUT_CTRL_ERR_COR) {', 'if (true) {', ALL),
    ('wait: the status is written', TIMEOUT,
     't->status &= ~clear;', 't->status = val;', ALL),
    ('wait: the control keeps all bits', TIMEOUT,
     't->ctrl = val & CTRL_WRITABLE;', 't->ctrl = val;', ALL),
    ('wait: a reset keeps the control', TIMEOUT,
     '        write_ctrl(t, 0);\n', '', ALL),
    ('wait: 16 ms for 55', TIMEOUT, '[0x5] = 55000,', '[0x5] = 16000,', ALL),
]
