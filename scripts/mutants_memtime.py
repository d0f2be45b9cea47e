# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of CacheMemRegion's links with time (issue 15)"""

TIME = 'hw/cxl/cache_mem_time.c'
AGENT = 'hw/cxl/cache_mem_agent.c'
STEP = 'hw/cxl/cache_mem_testdev_step.c'
PORT = 'hw/cxl/cxl_type1_port.c'
LLC = 'hw/cxl/cache_mem_llc.c'
SNOOP = 'hw/cxl/cache_mem_snoop.c'
LOOK = 'hw/cxl/cache/look.c'
QUERY = 'hw/cxl/cache_mem_query.c'
TRANSFER = 'hw/cxl/cache_mem_transfer.c'
REQUEST = 'hw/cxl/cache/dev_request.c'

TIME_TEST = 'cxl-cache-time-test'
LLC_TEST = 'cxl-cache-llc-test'
WAIT_TEST = 'cxl-cache-wait-test'
FLIGHT_TEST = 'cxl-type1-time-test'
TESTS = (TIME_TEST, LLC_TEST, WAIT_TEST, FLIGHT_TEST)
ALL = [(TIME_TEST, None)]
IN_TIME = [(LLC_TEST, 'in-time')]
POSTS = [(TIME_TEST, 'agent-posts')]
NAMED = [(FLIGHT_TEST, 'named')]
LATE = [(WAIT_TEST, 'late')]

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
    # The host's cache and a link with time
    ('time: the cache takes lines when somebody asks', TIME,
     '        region->later = 0;\n        cxl_cache_run(region->home);\n'
     '        cache_mem_llc_go_on(region);\n',
     '        region->later = 0;\n        cxl_cache_run(region->home);\n',
     IN_TIME),
    ('time: the cache takes lines at once', LLC,
     '    if (!cxl_cache_is_timed(region->home) || llc->overflow) {',
     '    if (true) {', IN_TIME),
    ('time: what is driven out comes back', LLC,
     '        (why == CXL_CACHE_WRITE_BACK && is_leaving(llc, line))) {',
     '        0) {', IN_TIME),
    ('time: a line that is busy stays', LLC,
     '            llc->waiting[n++] = llc->waiting[i];', '            ;', IN_TIME),
    ("time: a line's neighbours come home with it", SNOOP,
     '        snoop(region, p, bit, bit, op);',
     '        snoop(region, p, bit, UINT64_MAX, op);', IN_TIME),
    # Programs that post
    ('time: what is posted is waited for', STEP,
     '    ret = cct_post(s, &req);\n',
     '    ret = cct_post(s, &req);\n'
     '    cache_mem_posts_wait(s->cm, &s->posts_open, 0);\n', POSTS),
    ('time: nobody is joined', STEP,
     '    cache_mem_posts_wait(s->cm, &s->posts_open, 0);\n'
     '    return CCT_STEP_DONE;', '    return CCT_STEP_DONE;', POSTS),
    ('time: credits run out for good', STEP,
     '    if (comes_too_early(s, a->line, ret)) {\n'
     '        cache_mem_posts_wait', '    if (0) {\n'
     '        cache_mem_posts_wait', POSTS),
    # What is under way, by name
    ('time: requests are as old as the machine', REQUEST,
     '.since = time_of(dev),', '.since = 0 * time_of(dev),', LATE),
    ('time: who has answered is still asked', LOOK,
     '                 tx->ask | tx->wait | tx->fwd : 0,', '                 0 : 0,',
     LATE),
    ('time: requests are for nobody', TRANSFER,
     '    r->posted.what = t->name;', '    r->posted.what = NULL;', NAMED),
    ('time: work is as old as the machine', TRANSFER,
     '        t->since = cxl_cache_time(cm->region->home);\n', '', NAMED),
    ('time: credits are not waited for', TRANSFER,
     '           t->again == UINT64_MAX ? CACHE_MEM_WORK_LINES :',
     '           true ? CACHE_MEM_WORK_LINES :', NAMED),
    ('time: work is never done', TRANSFER,
     'return t->phase == PHASE_OVER ? CACHE_MEM_WORK_DONE :',
     'return 0 ? CACHE_MEM_WORK_DONE :', NAMED),
    ('time: the newest comes first', QUERY,
     'QAPI_LIST_PREPEND(list, info);\n    }\n    return list;',
     '{\n            CxlCacheWorkList **tail_ = &list;\n'
     '            while (*tail_) {\n                tail_ = &(*tail_)->next;\n'
     '            }\n            QAPI_LIST_APPEND(tail_, info);\n        }\n'
     '    }\n    return list;', NAMED),
]
