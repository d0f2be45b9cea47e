# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of CacheMemRegion's links with time (issue 15)"""

TIME = 'hw/cxl/cache_mem_time.c'
AGENT = 'hw/cxl/cache_mem_agent.c'
STEP = 'hw/cxl/cache_mem_testdev_step.c'
PORT = 'hw/cxl/cxl_type1_port.c'

TIME_TEST = 'cxl-cache-time-test'
TESTS = (TIME_TEST,)
ALL = [(TIME_TEST, None)]

# As in mutants_fault.py
FAULTS = [
    ('time: the host gives away what it is about to touch', TIME,
     '    if (region->at_once) {\n        return false;',
     '    if (true) {\n        return false;', ALL),
    ('time: who waits for an agent waits for the clock', AGENT,
     '    if (region->hurry) {\n        region->urgent = cm;',
     '    if (0) {\n        region->urgent = cm;', ALL),
    ('time: what is posted outlives a reset', TIME,
     '        cache_mem_posted_over(posted, NULL);\n', '        ;\n', ALL),
    ('time: nothing goes on by itself', TIME,
     '        timer_mod_ns(region->timer, next);', '        ;', ALL),
    ('time: a snoop between GO and data ends the program', STEP,
     '} else if (!*kept && cache_mem_line_was_lost(s->cm, line)) {',
     '} else if (!*kept && 0) {', ALL),
    ('time: all buffers have credits', PORT,
     'state->credits ?: state->depth;', 'state->depth;', ALL),
    ('time: more credits than buffers', PORT,
     'if (state && state->credits > state->depth) {', 'if (0) {', ALL),
]
