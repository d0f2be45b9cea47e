# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks besides: what takes a third device, a second way,
a device that dies (issue 14, item 21)"""

ARRAY = 'hw/cxl/cache/array.c'
REQUEST = 'hw/cxl/cache/dev_request.c'
RECEIVE = 'hw/cxl/cache/dev_receive.c'
DEV = 'hw/cxl/cache/dev.c'
DEV_H = 'hw/cxl/cache/dev.h'
FILTER = 'hw/cxl/cache/snoop_filter.c'
HOME = 'hw/cxl/cache/home.c'
HOME_RX = 'hw/cxl/cache/home_rx.c'
HOME_TX = 'hw/cxl/cache/home_tx.c'
ISOLATE = 'hw/cxl/cache/home_isolate.c'
LIMITS = 'hw/cxl/cache/limits.c'
LINK = 'include/hw/cxl/cxl_cache_link.h'

# As in mutate-cache.py: name, file, the lines, what they become
FAULTS = [
    # Three devices
    ('GO when the first of two sharers has answered', HOME_RX,
     """    tx->wait &= ~bit;
    if (rule->data) {""",
     """    tx->wait &= tx->kind == CXL_CACHE_TX_DEV ? 0 : ~bit;
    if (rule->data) {"""),
    ('of two sharers one is snooped', HOME_TX,
     'uint16_t others = e ? *e & CXL_CACHE_SF_DEVS & ~self : 0;',
     'uint16_t others = e ? *e & CXL_CACHE_SF_DEVS & ~self : 0;\n\n'
     '    others &= -others;'),

    # Replacement: the device's cache
    ('the line used last leaves', ARRAY,
     '(found < 0 || age > oldest)) {', '(found < 0 || age < oldest)) {'),
    ('the first way leaves, whatever its age', ARRAY,
     '(found < 0 || age > oldest)) {', 'found < 0) {'),
    ('a line on its way leaves', ARRAY,
     """if (cxl_cache_may(state, CXL_CACHE_P_STABLE) &&
            (found < 0""", """if ((found < 0"""),
    ('a line leaves although there is room', ARRAY,
     """if (state == CXL_CACHE_I) {
            return i;""", """if (state == CXL_CACHE_I && i != first) {
            return i;"""),
    ('a use makes no line younger', DEV_H,
     'if (!age || (dev->tags[way] & CXL_CACHE_TAG_NT)) {', 'if (1) {'),
    ('the NT hint is lost when the line is used', DEV_H,
     'if (!age || (dev->tags[way] & CXL_CACHE_TAG_NT)) {', 'if (!age) {'),
    ('a line with the NT hint is not the next to leave', RECEIVE,
     'if (done.state != CXL_CACHE_I && (dev->tags[r->way] & '
     'CXL_CACHE_TAG_NT)) {', 'if (0) {'),
    ('the NT hint is only sent', REQUEST,
     'dev->tags[way] |= req->nt ? CXL_CACHE_TAG_NT : 0;', ';'),

    # ... the snoop filter
    ('the snoop filter takes what was granted just now', FILTER,
     'if (!(e[i] & CXL_CACHE_SF_USED)) {', 'if (e[i] & CXL_CACHE_SF_USED) {'),
    ('the snoop filter takes the first entry', FILTER,
     'if (!(e[i] & CXL_CACHE_SF_USED)) {', 'if (1) {'),
    ('a grant is no use', HOME_TX,
     '| (1ULL << tx->dev) | CXL_CACHE_SF_USED);', '| (1ULL << tx->dev));'),
    ('the snoop filter never forgets a use', FILTER,
     'e[i] &= ~CXL_CACHE_SF_USED;', ';'),

    # Poison, of parts and of what has to leave
    ('a back-invalidation loses the poison', HOME_TX,
     'if (!tx_write(home, tx, &tx->data, CXL_CACHE_BE_ALL, tx->poison,',
     'if (!tx_write(home, tx, &tx->data, CXL_CACHE_BE_ALL,\n'
     '                  tx->poison && tx->kind != CXL_CACHE_TX_BACK_INV,'),
    ('a poisoned part is written as a whole line', HOME_TX,
     '!tx_write(home, tx, data, msg->be, msg->poison,',
     '!tx_write(home, tx, data, msg->poison ? CXL_CACHE_BE_ALL : msg->be,\n'
     '                  msg->poison,'),
    ('the poison of a part is lost', HOME_TX,
     '!tx_write(home, tx, data, msg->be, msg->poison,',
     '!tx_write(home, tx, data, msg->be,\n'
     '                  msg->poison && msg->be == CXL_CACHE_BE_ALL,'),
    ("the poison of a part that the host writes is lost", HOME_TX,
     'tx->host_poison, CXL_CACHE_WRITE_HOST);',
     'tx->host_poison && tx->be == CXL_CACHE_BE_ALL,\n'
     '                               CXL_CACHE_WRITE_HOST);'),
    ("the host's poison is lost over a modified line", HOME_TX,
     'tx->host_poison, CXL_CACHE_WRITE_HOST);',
     'tx->host_poison && !tx->was_dirty, CXL_CACHE_WRITE_HOST);'),

    # Devices that die
    ('who dies between RspIFwdM and its data loses nothing', ISOLATE,
     """bool lost = (tx->fwd & bit) ||
                (((tx->ask""", """bool lost = (((tx->ask"""),
    ('who dies with a snoop of its modified line loses nothing', ISOLATE,
     """bool lost = (tx->fwd & bit) ||
                (((tx->ask | tx->wait) & bit) &&
                 owned_by(e, dev));""", 'bool lost = tx->fwd & bit;'),
    ('data that came before their response outlive the device', ISOLATE,
     'tx->have = tx->dirty = tx->spoilt = false;', 'tx->spoilt = false;'),
    ('a dead owner loses nothing', ISOLATE,
     '    lost = lost && lose_line(home, line);\n', ''),
    ('a dead sharer loses something', ISOLATE,
     'bool lost = before == CXL_CACHE_HOST_NONE &&', 'bool lost ='),
    ('a dead device keeps its CQIDs', ISOLATE,
     'memset(d->cqid_busy, 0, sizeof(d->cqid_busy));', ';'),
    ('a dead device has snoops outstanding', ISOLATE,
     'd->open = d->snoops = 0;', 'd->open = 0;'),
    ("a dead device's messages arrive", ISOLATE,
     '    cxl_cache_link_reset(d->link);\n', ''),
    ('who waits for a dead device waits on', ISOLATE,
     'tx_snoop(home, &home->tx[i]);', ';'),
    ("a dead device's line is not the host's again", ISOLATE,
     """        home->ops->host_access(home->opaque, line, sf_access(*e));
        if (tx) {""", '        if (tx) {'),
    ('an orphan gets the line', ISOLATE,
     'tx->keep = tx->failed = false;', 'tx->failed = false;'),
    ("a dead device's write is poisoned, and goes on", ISOLATE,
     """        cxl_cache_tx_remove(home, tx);
    }
    if (rule->act != CXL_CACHE_TX_ORPHAN) {""",
     """        cxl_cache_tx_remove(home, tx);
    }
    if (!lost && rule->act != CXL_CACHE_TX_ORPHAN) {"""),

    # Resets
    ('a reset of the home keeps transactions', HOME,
     '    cxl_cache_tx_init(home);\n    for', '    for'),
    ('a reset of the home keeps lines in transit from the host', HOME,
     '    reset_transactions(home);\n', ''),
    ("a reset of the home keeps a device's counts", HOME,
     """            *d = (CXLCacheHomeDev) {
                .link = d->link, .quota = d->quota, .group = d->group,
                .room = CXL_CACHE_NO_ID, .bucket = d->bucket,
                .timeout = d->timeout,
            };""", ';'),
    ('a reset of the home keeps its count of lines', HOME,
     'sf_write(home, e, 0);', '*e = 0;'),
    ('a reset of the home keeps the links as they are', HOME,
     'cxl_cache_link_reset(d->link);', ';'),
    ('a reset of the device keeps its chains', DEV,
     'memset(dev->chain, 0xff, sizeof(dev->chain));',
     'if (!dev->caching) {\n'
     '        memset(dev->chain, 0xff, sizeof(dev->chain));\n    }'),
    ('a reset of the device keeps it viral', DEV, 'dev->viral = false;', ';'),
    ('a reset of the device keeps its flush', DEV,
     'dev->flush = CXL_CACHE_FLUSH_IDLE;', ';'),
    ('a reset of the device keeps its requests', DEV,
     'memset(dev->req, 0, dev->requests * sizeof(*dev->req));', ';'),
    ('a reset of the device keeps the number of requests', DEV,
     'dev->outstanding = dev->cacheable_out = dev->due = 0;',
     'dev->due = 0;'),

    # Flush, viral, Disable_Caching
    ('a flush is done when the host has yet to be told', REQUEST,
     'dev->flush = CXL_CACHE_FLUSH_TELL;',
     'dev->flush = CXL_CACHE_FLUSH_DONE;'),
    ('a flush leaves what is shared', REQUEST,
     """return dev->states[CXL_CACHE_S] + dev->states[CXL_CACHE_E] +""",
     """return dev->states[CXL_CACHE_E] +"""),
    ('who is viral may not evict', REQUEST,
     'if (dev->viral && !closing) {', 'if (dev->viral) {'),
    ('who is viral asks on', REQUEST,
     'if (dev->viral && !closing) {', 'if (0) {'),
    ('Disable_Caching does not stop RdOwnNoData from S', REQUEST,
     'if (rule->cacheable && !dev->caching) {',
     'if (rule->cacheable && !dev->caching && state == CXL_CACHE_I) {'),

    # Cache IDs
    ('a device without a Cache ID gets lines', HOME_RX,
     'if (G_LIKELY(!link->unrouted || rule->evict)) {', 'if (1) {'),
    ('a device without a Cache ID cannot evict', HOME_RX,
     'if (G_LIKELY(!link->unrouted || rule->evict)) {',
     'if (G_LIKELY(!link->unrouted)) {'),
    ('a write that is aborted takes the line from others', HOME_TX,
     '(!rule->d2h_data || home->dev[tx->dev].link->unrouted)',
     '!rule->d2h_data'),
    ('what is aborted is not counted', HOME_RX,
     'link->stats->aborted +=', 'if (0) link->stats->aborted +='),
    ('answers to snoops have a Cache ID', LINK,
     'cxl_cache_has_id(channel) ? link->cache_id : 0', 'link->cache_id'),

    # Limits
    ('a quota is no limit', LIMITS,
     'if (d->quota && home->sf_lines[dev] >= d->quota) {', 'if (0) {'),
    ('a quota is one line more', LIMITS,
     'home->sf_lines[dev] >= d->quota', 'home->sf_lines[dev] > d->quota'),
    ('a group has no limit', LIMITS,
     'home->group_lines[d->group] >= home->group_size[d->group]', '0'),
    ('a line of two devices counts twice for their group', LIMITS,
     '!!(after & devs) - !!(before & devs)',
     '__builtin_popcount(after & devs) - __builtin_popcount(before & devs)'),
    ('whom a line is lost to is not noted', LIMITS,
     'home->stats->lost_to[__builtin_ctz(m)][dev]++;', ';'),
    ('a request does not wait for the room', LIMITS,
     'if (making_room(home, d)) {', 'if (0) {'),
    ('a quota takes lines of others', LIMITS,
     'make_room(home, dev, 1 << dev, home->sf_lines[dev], msg->line);',
     'make_room(home, dev, 0xffff, home->sf_lines[dev], msg->line);'),
]
