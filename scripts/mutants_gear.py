# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks of CXL.cache's fast gear"""

GEAR = 'hw/cxl/cache/gear.c'
HOME = 'hw/cxl/cache/home.h'

# Name, what there is, what it becomes; as in mutate-cache.py, all of one file
ROWS = [
    # When it may be used: the link, the device
    ('while somebody traces', '!link->trace && ', ''),
    ('while credits are held', ' && !link->hold_credits', ''),
    ('while the device waits for an answer', '!dev->outstanding && ', ''),
    ('for a viral device', '!dev->viral && ', ''),
    ('with lines that the home has forgotten', ' && !dev->strays', ''),
    ('while caching is disabled', '!dev->caching ||\n        ', ''),
    ('during a flush', 'dev->flush == CXL_CACHE_FLUSH_IDLE && ', ''),
    ('with messages on their way', ' && cxl_cache_link_idle(link);', ';'),
    ('without a device at the link', 'return dev && !link',
     'return link && !link'),
    ('without a link', 'link ? link->dev : NULL', 'link->dev'),

    # ... the home
    ('without a home', 'return home && home->ops', 'return home->ops'),
    ('without pages', 'home->ops->page && ', ''),
    ('while the home is at work', '!home->busy && ', ''),
    ('with a transaction open', ' && !home->tx_open', ''),
    ('while a test looks at the tables', """!home->tx_open &&
           !home->seen;""", '!home->tx_open;'),

    # ... the page
    ('of any part of a page', 'line & ~(uint64_t)(CXL_CACHE_PAGE_LINES - 1)',
     'line'),
    ('beyond 46 bits', 'line < CXL_CACHE_LINE_MAX &&\n           home',
     'home'),
    ('for pages that memory refuses',
     'home->ops->page(home->opaque, page) && !(need',
     '(home->ops->page(home->opaque, page) || true) && !(need'),
    ('for memory of any kind', ' && !(need & ~page->flags)', ''),
    ('for memory of some of the kinds', '!(need & ~page->flags)',
     '(need & page->flags)'),
    ('for lines of two pages',
     'n <= CXL_CACHE_PAGE_LINES - line % CXL_CACHE_PAGE_LINES',
     'n <= CXL_CACHE_PAGE_LINES'),
    ('for all lines of a page but the last',
     'n <= CXL_CACHE_PAGE_LINES - line',
     'n < CXL_CACHE_PAGE_LINES - line'),
    ('with a link that is not ready',
     'in_page(line, n) && link_ready(dev->link) &&', 'in_page(line, n) &&'),
    ('with a home that is not ready', 'home_ready(home) && find', 'find'),
    ('for no line at all', 'line < CXL_CACHE_LINE_MAX && n &&\n',
     'line < CXL_CACHE_LINE_MAX &&\n'),
    ('never', 'line < CXL_CACHE_LINE_MAX && n &&\n',
     'line < CXL_CACHE_LINE_MAX && !n &&\n'),

    # What would have been sent
    ('no message is taken', '    ch->head += n;\n', ''),
    ('messages take no number', '    ch->tail += n;\n', ''),
    ('one message too many', 'ch->tail += n;', 'ch->tail += n + 1;'),
    ('no credit is on its way', 'ch->freed = (ch->freed + n - 1) % '
     'ch->depth + 1;', ''),
    ('credits come back too early', '(ch->freed + n - 1) % ch->depth + 1',
     '(ch->freed + n) % ch->depth'),
    ('no credit is spent', '    ch->credits = ch->depth - ch->freed;\n', ''),
    ('credits without an end', '(ch->freed + n - 1) % ch->depth + 1',
     'MIN(ch->freed + n, ch->depth)'),
    ('messages are not counted',
     '    link->stats->sent[channel][opcode] += n;\n', ''),
    ('a run counts as one message', '[channel][opcode] += n;',
     '[channel][opcode]++;'),
    ('nothing is sent, and credits move', """    if (!n) {
        return;
    }
    ch->head""", '    ch->head'),

    # What the host may do
    ('memory is not told of writes', """    if (s->written) {
        home->ops->page_written(home->opaque, page, s->written,
                                CXL_CACHE_WRITE_BACK);
    }
""", ''),
    ('the host may before memory is written', """    if (s->written) {
        home->ops->page_written(home->opaque, page, s->written,
                                CXL_CACHE_WRITE_BACK);
    }
    for (int i = 0; i < ARRAY_SIZE(s->access); i++) {
        if (s->access[i]) {
            home->ops->page_access(home->opaque, page, s->access[i], i);
        }
    }
""", """    for (int i = 0; i < ARRAY_SIZE(s->access); i++) {
        if (s->access[i]) {
            home->ops->page_access(home->opaque, page, s->access[i], i);
        }
    }
    if (s->written) {
        home->ops->page_written(home->opaque, page, s->written,
                                CXL_CACHE_WRITE_BACK);
    }
"""),
    ('the host may do all', 's->access[i], i);',
     's->access[i], CXL_CACHE_HOST_RW);'),
    ('the host may no more than before',
     's->access[sf_access(*e)] |= bit;', ';'),
    ("only a call's last line is the host's again",
     's->access[sf_access(*e)] |= bit;', 's->access[sf_access(*e)] = bit;'),
    ('the filter is changed behind its counters',
     '    sf_write(home, e, word);\n    if (sf_access(*e) != before)',
     '    *e = word & CXL_CACHE_SF_DEVS ? word : 0;\n'
     '    if (sf_access(*e) != before)'),

    # Reading
    ('memory is read, whoever has the line',
     'held = page.held >> (line - page.line) & run_mask(n);', 'held = 0;'),
    ("what is held is counted from the page's first line",
     'held = page.held >> (line - page.line) & run_mask(n);',
     'held = page.held & run_mask(n);'),
    ('lines behind the run are read', 'line - page.line) & run_mask(n);',
     'line - page.line);'),
    ("the page's first lines are read",
     'copy_lines(to, page_data(&page, line), done)',
     'copy_lines(to, page_data(&page, page.line), done)'),
    ('lines go to the place of the first', 'memcpy(to + first * CXL_CACHE_LINE_'
     'SIZE,\n', 'memcpy(to,\n'),
    ('lines are those of the first', 'from + first * CXL_CACHE_LINE_SIZE, n',
     'from, n'),
    ('what the device has goes to the place of the first',
     'to + i * CXL_CACHE_LINE_SIZE) << i', 'to) << i'),
    ('what has no data is read',
     '!cxl_cache_may(way_state(dev, way), CXL_CACHE_P_READ) ||', 'way < 0 ||'),
    ('poison is read', ' ||\n        way_poison(dev, way)) {\n'
     '        return false;\n    }\n    touch',
     ') {\n        return false;\n    }\n    touch'),
    ('a read is no use', '    touch(dev, way);\n    memcpy(to',
     '    memcpy(to'),
    ('hits are asked for',
     'asked = copy_lines(to, page_data(&page, line), done);',
     'copy_lines(to, page_data(&page, line), done);\n    asked = n;'),
    ('reads are RdShared', 'CXL_CACHE_RD_CURR, asked',
     'CXL_CACHE_RD_SHARED, asked'),
    ('no data come for a read',
     '    passed(dev->link, CXL_CACHE_H2D_DATA, 0, asked);\n', ''),
    ('a page that cannot be read is',
     'if (!ready(dev, line, n, CXL_CACHE_MEM_READ, &page)) {',
     'if (!ready(dev, line, n, 0, &page)) {'),

    # Owning
    ('a victim vanishes',
     '        if (way_state(dev, i) == CXL_CACHE_I) {', '        if (true) {'),
    ('the last way is never free', 'for (int i = first; i < end; i++) {',
     'for (int i = first; i < end - 1; i++) {'),
    ('the last free way', 'for (int i = first; i < end; i++) {',
     'for (int i = end - 1; i >= first; i--) {'),
    ('what is held is owned', '~held & run_mask(n), room', 'run_mask(n), room'),
    ("what is held is owned where the run is not the page's first",
     'held = page.held >> (line - page.line);', 'held = page.held;'),
    ('lines behind the run are done', 'fillable(dev, line, held & run_mask(n))',
     'fillable(dev, line, held)'),
    ('lines behind the run are owned', '~held & run_mask(n), room',
     '~held, room'),
    ('an entry without a way', 'room->way < 0 ? NULL : sf_free',
     'sf_free'),
    ('a line of the same run is a victim',
     '(*room->e || way_state(dev, room->way) != CXL_CACHE_I)', '*room->e'),
    ('a line of the same run has the entry',
     '(*room->e || way_state(dev, room->way) != CXL_CACHE_I)',
     'way_state(dev, room->way) != CXL_CACHE_I'),
    ('whose room is taken gets none',
     ' &&\n        !find_room(dev, home, line, room)) {', ') {'),
    ('a set without ages', '    use_set(dev, line);\n', ''),
    ('a new line is old', '    touch(dev, room->way);\n', ''),
    ('a new line is E', 'CXL_CACHE_TAG_LINE_SHIFT | CXL_CACHE_EN;',
     'CXL_CACHE_TAG_LINE_SHIFT | CXL_CACHE_E;'),
    ('an entry without its line',
     '*room->e = line << CXL_CACHE_SF_LINE_SHIFT | 1ULL', '*room->e = 1ULL'),
    ('an entry of the first device', '1ULL << number |\n', '1 |\n'),
    ('a device has no more entries than before',
     '    sf_come(home, room->e, number);\n', ''),
    ('lines are owned that are still counted as I',
     '    dev->states[CXL_CACHE_I] -= n;\n', ''),
    ('lines are owned that are not counted as EN',
     '    dev->states[CXL_CACHE_EN] += n;\n', ''),
    ('entries are not counted', '    home->sf_used += n;\n', ''),
    ('what found no room is counted',
     'count_owned(dev, home, __builtin_popcountll(can));',
     'count_owned(dev, home, __builtin_popcountll(can | left));'),
    ('an entry that owns nothing', 'CXL_CACHE_SF_EXCL | CXL_CACHE_SF_USED',
     'CXL_CACHE_SF_USED'),
    ('an entry that is not new', 'CXL_CACHE_SF_EXCL | CXL_CACHE_SF_USED',
     'CXL_CACHE_SF_EXCL'),
    ('a device has the number of another', 'while (home->dev[n].link != link)',
     'while (!home->dev[n].link)'),
    ('the host keeps what a device owns', 'CXL_CACHE_HOST_NONE)) {',
     'CXL_CACHE_HOST_RW)) {'),
    ('the host cannot refuse', """CXL_CACHE_HOST_NONE)) {
        return done;""", """CXL_CACHE_HOST_NONE) && !can) {
        return done;"""),
    ('the host may read on', 'CXL_CACHE_HOST_NONE)) {',
     'CXL_CACHE_HOST_RO)) {'),
    ('bits of the page are those of the run',
     'return run << (line - page->line);', 'return run;'),
    ('what found no room is not given back', 'if (left) {', 'if (0) {'),
    ('what found no room is done', '    can &= ~left;\n', ''),
    ('who is refused loses what it had',
     """CXL_CACHE_HOST_NONE)) {
        return done;""", """CXL_CACHE_HOST_NONE)) {
        return 0;"""),
    ('what was owned is not done', 'return done | can;', 'return can;'),
    ('what is shared is owned', 'CXL_CACHE_P_FILL) << i;',
     'CXL_CACHE_P_TRACKED) << i;'),
    ('owned without a request',
     '    passed(dev->link, CXL_CACHE_D2H_REQ, CXL_CACHE_RD_OWN_NO_DATA, n);\n',
     ''),
    ('owned without GO',
     '    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO, n);\n', ''),
    ('what may not be kept is owned', """CXL_CACHE_MEM_WRITE |
               CXL_CACHE_MEM_CACHEABLE, &page""",
     'CXL_CACHE_MEM_WRITE, &page'),
    ('what is read-only is owned',
     'CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE |\n               CXL',
     'CXL_CACHE_MEM_READ |\n               CXL'),

    # Writing
    ('each line gets the data of the first',
     'from + i * CXL_CACHE_LINE_SIZE', 'from'),
    ('half a line is written', '                   CXL_CACHE_LINE_SIZE);\n'
     '            set_poison', '                   CXL_CACHE_LINE_SIZE / 2);\n'
     '            set_poison'),
    ('what is shared is written', 'CXL_CACHE_P_FILL)) {',
     'CXL_CACHE_P_TRACKED)) {'),
    ('poison outlives a write', '            set_poison(dev, way, false);\n',
     ''),
    ('what was written is clean', 'set_state(dev, way, CXL_CACHE_M);',
     'set_state(dev, way, CXL_CACHE_E);'),
    ('a write is no use', '            touch(dev, way);\n'
     '            memcpy(&dev', '            memcpy(&dev'),

    # Writing through
    ('what is held is written through',
     'run_mask(n) & ~(page.held >> (line - page.line))', 'run_mask(n)'),
    ('what is held is told from the start of the page',
     '~(page.held >> (line - page.line))', '~page.held'),
    ('lines behind the run are written through',
     'run_mask(n) & ~(page.held', '~(page.held'),
    ("data go to the page's first lines",
     'copy_lines(page_data(&page, line), from, done)',
     'copy_lines(page_data(&page, page.line), from, done)'),
    ('what is written through is a write-back',
     'CXL_CACHE_WRITE_NEW);', 'CXL_CACHE_WRITE_BACK);'),
    ('memory is told of other lines', 'of_page(&page, line, done),\n'
     '                            CXL_CACHE_WRITE_NEW',
     'done,\n                            CXL_CACHE_WRITE_NEW'),
    ('all lines of the run count as written',
     '    n = copy_lines(page_data(&page, line), from, done);',
     '    copy_lines(page_data(&page, line), from, done);'),
    ('written through without a request', '    passed(dev->link, '
     'CXL_CACHE_D2H_REQ, CXL_CACHE_I_TO_M_WR, n);\n', ''),
    ('written through without a pull', '    passed(dev->link, '
     'CXL_CACHE_H2D_RSP, CXL_CACHE_GO_WRITE_PULL, n);\n', ''),
    ('written through without data', '    passed(dev->link, '
     'CXL_CACHE_D2H_DATA, 0, n);\n', ''),
    ('what is read-only is written through',
     'if (!ready(dev, line, n, CXL_CACHE_MEM_WRITE, &page)) {',
     'if (!ready(dev, line, n, 0, &page)) {'),
    ('memory is told of nothing', """    if (!done) {
        return 0;
    }
    n = copy""", '    n = copy'),

    # Giving up
    ('what is not there is not out', """    if (way < 0) {
        return true;""", """    if (way < 0) {
        return false;"""),
    ('what the home does not know of is written back',
     'if (!owned_by(e, number) || way_poison(dev, way)) {',
     'if (!e || way_poison(dev, way)) {'),
    ('poison is written back',
     'if (!owned_by(e, number) || way_poison(dev, way)) {',
     'if (!owned_by(e, number)) {'),
    ('an evict loses the data',
     """        *page_data(page, line) = dev->data[way];
        s->written""", '        s->written'),
    ('an evict is no write-back',
     '        home->stats->write_backs++;\n        n->dirty++;',
     '        n->dirty++;'),
    ('memory is not told of an evict',
     '        s->written |= bit;\n        home->stats->write_backs++;\n'
     '        n->dirty', '        home->stats->write_backs++;\n'
     '        n->dirty'),
    ('clean lines leave as dirty ones', '        n->clean++;',
     '        n->dirty++;'),
    ('clean lines leave with their data, or silently',
     """cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
               dev->clean_evict == CXL_CACHE_CLEAN_NOTIFY""",
     'cxl_cache_may(state, CXL_CACHE_P_STABLE)'),
    ('what was evicted stays', """    set_state(dev, way, CXL_CACHE_I);
    change_entry""", '    change_entry'),
    ('the filter keeps what was evicted',
     '    change_entry(home, e, *e & ~(1ULL << number), bit, s);\n    return',
     '    return'),
    ('no pull for an evict',
     """    passed(dev->link, CXL_CACHE_H2D_RSP, CXL_CACHE_GO_WRITE_PULL,
           evicted.dirty);
""", ''),
    ('no data for a pull', '    passed(dev->link, CXL_CACHE_D2H_DATA, 0, '
     'evicted.dirty);\n', ''),
    ('a clean evict without GO', '    passed(dev->link, CXL_CACHE_H2D_RSP, '
     'CXL_CACHE_GO, evicted.clean);\n', ''),
    ('a dirty evict without request', '    passed(dev->link, '
     'CXL_CACHE_D2H_REQ, CXL_CACHE_DIRTY_EVICT, evicted.dirty);\n', ''),
    ('a clean evict without request', '    passed(dev->link, '
     'CXL_CACHE_D2H_REQ, CXL_CACHE_CLEAN_EVICT_NO_DATA,\n'
     '           evicted.clean);\n', ''),
    ('an evict settles nothing', '    settle(home, &page, &s);\n', ''),
    ('read-only pages are written back to',
     'CXL_CACHE_MEM_READ | CXL_CACHE_MEM_WRITE,\n               &page',
     'CXL_CACHE_MEM_READ,\n               &page'),

    # The host's accesses
    ('poison is recalled', 'rule->fwd && (!owned || way_poison(dev, way))',
     'rule->fwd && !owned'),
    ('who gives up what it shares',
     """const CXLCacheSnoopRule *rule = cxl_cache_dev_snoop_rule(dev, snoop,
                                                             state);""",
     """const CXLCacheSnoopRule *rule = &cxl_cache_snoop_rules[snoop][state];
"""),
    ('snoops of the host are not counted',
     '    home->stats->host_snoops[r->op]++;\n', ''),
    ('a snoop is not sent', '    n->snoops++;\n', ''),
    ('a snoop is not answered', '    n->answers[rule->rsp]++;\n', ''),
    ('an answer without its data', '        n->data++;\n', ''),
    ('a recall loses the data',
     """        *page_data(&r->page, line) = dev->data[way];
        r->s""", '        r->s'),
    ('memory is not told of a recall', '        r->s.written |= bit;\n', ''),
    ('a recall is no write-back',
     '        home->stats->write_backs++;\n        home->stats->host_dirty',
     '        home->stats->host_dirty'),
    ('a recall finds nothing dirty',
     '        home->stats->host_dirty[r->op]++;\n', ''),
    ('what was recalled stays', '        set_state(dev, way, rule->next);',
     '        ;'),
    ('who keeps a line is forgotten', '(rsp->keeps ? 0 : 1ULL << number)',
     '(1ULL << number)'),
    ('who lost a line is remembered', '(rsp->keeps ? 0 : 1ULL << number)',
     '0'),
    ('who shares a line still owns it',
     '(rsp->excl ? 0 : CXL_CACHE_SF_EXCL)', '0'),
    ('what is shared is not read by the host',
     "r->ask != CXL_CACHE_ASK_INV && !(*e & CXL_CACHE_SF_EXCL)",
     "false"),
    ('what is shared is written by the host',
     "r->ask != CXL_CACHE_ASK_INV && !(*e & CXL_CACHE_SF_EXCL)",
     "!(*e & CXL_CACHE_SF_EXCL)"),
    ('one of two sharers is snooped', 'return !(devs & (devs - 1)) && ',
     'return '),
    ('devices are snooped that are not ready', '(devs & r->ready) && ', ''),
    ('answers are all the same', 'CXL_CACHE_D2H_RSP, rsp, n->answers[rsp]',
     'CXL_CACHE_D2H_RSP, CXL_CACHE_RSP_I_HIT_SE, n->answers[rsp]'),
    ('snoops are all SnpInv', 'cxl_cache_ask_snoop[r->ask],\n'
     '               n->snoops', 'CXL_CACHE_SNP_INV,\n'
     '               n->snoops'),
    ('a recall without its data', '        passed(link, CXL_CACHE_D2H_DATA, '
     '0, n->data);\n', ''),
    ('a recall settles nothing', '    settle(r->home, &r->page, &r->s);\n',
     ''),
    ('the last device is not told of', 'i < r->home->num_devs; i++) {\n'
     '        CXLCacheLink', 'i + 1 < r->home->num_devs; i++) {\n'
     '        CXLCacheLink'),
    ('PEEK writes back', 'op == CXL_CACHE_HOST_PEEK || ', ''),
    ('a recall in a home that is not ready', '|| !home_ready(home) ||\n',
     '||\n'),
    ('a recall of what cannot be written', 'row->needs | CXL_CACHE_MEM_WRITE',
     'row->needs'),
    ('a recall of what cannot be read', 'row->needs | CXL_CACHE_MEM_WRITE',
     'CXL_CACHE_MEM_WRITE'),
    ('only the first device is ready',
     'r.ready |= link_ready(home->dev[i].link) << i;',
     'r.ready |= link_ready(home->dev[i].link);'),
    ('a recall is of the lines from here on', 'r.page.line + i)) {',
     'line + i)) {'),
    ("the host's accesses are not counted",
     '            home->stats->host[op]++;\n', ''),
]

# What the gear goes by, elsewhere
FAULTS = [
    *(('gear: ' + name, GEAR, old, new) for name, old, new in ROWS),
    ('gear: an entry that is taken', HOME, 'if (!e[i]) {', 'if (!e[i] || i) {'),
    ('gear: free entries count for none', HOME, 'if (!e[i]) {', 'if (false) {'),
    ('gear: nobody says that the home has forgotten lines',
     'hw/cxl/cache/link.c',
     '        link->dev->strays = !cxl_cache_dev_is_empty(link->dev);\n', ''),
    ('gear: lines are forgotten for ever', 'hw/cxl/cache/dev.c',
     '    dev->strays = false;\n', ''),
]
