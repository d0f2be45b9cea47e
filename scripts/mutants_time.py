# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks besides: links with time (issue 15)"""

TIME = 'hw/cxl/cache/time.c'
SCHED = 'hw/cxl/cache/sched.c'
LINK = 'hw/cxl/cache/link.c'

# As in mutate-cache.py: name, file, the lines, what they become
ROWS = [
    ('D2H before H2D', SCHED,
     """        n = for_devices(home, serve_device);
        if (!n) {
            n = for_devices(home, serve_answers);
            n += for_devices(home, serve_request);
""", """        n = for_devices(home, serve_answers);
        n += for_devices(home, serve_request);
        if (!n) {
            n = for_devices(home, serve_device);
"""),
    ('requests before what answers snoops', SCHED,
     """            n = for_devices(home, serve_answers);
            n += for_devices(home, serve_request);
""", """            n = for_devices(home, serve_request);
            n += for_devices(home, serve_answers);
"""),
    ('the lowest device goes first', SCHED,
     'home->turn = took ? dev + 1 : home->turn;', ';'),
    ('who was served is served again', SCHED,
     'home->turn = took ? dev + 1 : home->turn;',
     'home->turn = took ? dev : home->turn;'),
    ('room goes to who has made it', SCHED,
     """    return n + take_arrived(home, dev, link, CXL_CACHE_D2H_DATA);
""", """    return n + take_arrived(home, dev, link, CXL_CACHE_D2H_DATA) +
           take_one(home, dev, link, CXL_CACHE_D2H_REQ);
"""),
    ('devices below the one whose turn it is are forgotten', SCHED,
     'for (unsigned i = 0; i < first; i++) {',
     'for (unsigned i = first; i < first; i++) {'),
    ('what arrives is there at once', SCHED,
     '!cxl_cache_time_arrived(link, channel, home->now)) {',
     '!cxl_cache_link_peek(link, channel)) {'),
    ('the host gives away what it wants', SCHED,
     'return msg && home->ops->defer &&', 'return msg && false &&'),
    ('requests that take nothing are kept waiting', SCHED,
     'cxl_cache_req_rules[msg->opcode].cacheable &&', 'true &&'),
    ('late calls make late messages', SCHED,
     '        home->now = next;\n    }\n    home->now = MAX',
     '        home->now = MAX(next, until);\n    }\n    home->now = MAX'),
    ('time stands still for who cannot wait', SCHED,
     'n = run_until(home, next);', 'n = cxl_cache_run(home);'),
    ('going on stops where something waits', SCHED,
     'return n ? n : 1;', 'return n;'),
    ('a message is early by a nanosecond', TIME,
     'when[ch->head & ch->mask].due <= now;',
     'when[ch->head & ch->mask].due <= now + 1;'),
    ('channels are no FIFOs', TIME,
     't->last = MAX(t->last, due);', 't->last = due;'),
    ('credits are back at once', TIME,
     '= now + time->timing.latency;\n    }\n    if (time->taken)',
     '= now;\n    }\n    if (time->taken)'),
    ('credits never come back', TIME,
     't->back[t->back_head & ch->mask] <= now) {', 'false) {'),
    ('credits are made', TIME,
     'ch->freed -= n;', ';'),
    ('the wire is free at once', TIME,
     'return wire->ns + (wire->part != 0);',
     '*wire = (Wire) { };\n    return now;'),
    ('one wire for both directions', TIME,
     '&time->wires->wire[to_device(channel)];', '&time->wires->wire[0];'),
    ('a slot is as large in every flit', TIME,
     '{ 256, 15 }', '{ 256, 16 }'),
    ('data take one slot', TIME,
     '(has_data(channel) ? SLOTS_DATA : 0)', '(has_data(channel) ? 1 : 0)'),
    ('byte enables take none', TIME, '(enables ? SLOTS_BE : 0)', '0'),
    ('parts of a nanosecond are lost', TIME,
     'wire->part %= unit;', 'wire->part = 0;'),
    ('the jitter does not follow the seed', TIME,
     'time->random = timing->jitter;', 'time->random = 88172645463325252ULL;'),
    ('no jitter', TIME,
     'return (x >> 11) % (time->timing.latency + 1);', 'return 0;'),
    ('what has arrived is waited for', TIME,
     'if (due > now) {\n                next',
     'if (true) {\n                next'),
    ('a link that is reset has credits on their way', TIME,
     't->back_head = t->back_tail = 0;', ';'),
    ('a reset does not reach time', LINK,
     '        cxl_cache_time_reset(link);\n', '        ;\n'),
    ('a wait for credits ends when it is asked again', TIME,
     't->since = MIN(t->since, link_now(link));',
     't->since = link_now(link);'),
    ('waits in a queue are not counted', TIME,
     't->stalled[CXL_CACHE_STALL_ORDER] += now - when->due;', ';'),
    ('waits for the wire are not counted', TIME,
     't->stalled[CXL_CACHE_STALL_WIRE] += wire->ns - now;', ';'),
    ('no high-water mark', TIME,
     't->high_water = MAX(t->high_water, cxl_cache_link_used(ch));', ';'),
    ('any latency will do', TIME,
     'timing->latency <= CXL_CACHE_LATENCY_MAX &&', ''),
    ('any bandwidth will do', TIME,
     ' &&\n           timing->bandwidth <= CXL_CACHE_BANDWIDTH_MAX', ''),
]

FAULTS = [('time: ' + name, file, old, new) for name, file, old, new in ROWS]
FAULTS.append(('time: a snoop may pass a GO', 'hw/cxl/cache/dev_receive.c',
               'if (behind_go(dev, msg)) {',
               'if (dev->link->time ? false : behind_go(dev, msg)) {'))
