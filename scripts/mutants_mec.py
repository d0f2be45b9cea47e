# SPDX-License-Identifier: GPL-2.0-or-later
"""FEAT_MEC's caches that remember, broken one line at a time: see mutate-mec.py"""

TEST = 'arm-mec-dma-test'
TESTS = (TEST,)

CACHE = 'hw/arm/mec_cache.c'
BACK = 'hw/arm/mec_writeback.c'
DMA = 'hw/arm/mec_dma.c'
MEC = 'hw/arm/mec.c'
REPORT = 'hw/arm/mec_report.c'
PTW = 'target/arm/ptw_mec.c'


def by(pattern):
    """The cases that have to notice"""
    return [(TEST, 'writeback/' + pattern)]


FAULTS = [
    ('remember: every space finds a modified line', CACHE,
     'if (!l && MEC_CONTEXT_SPACE(owner) == MEC_CONTEXT_SPACE(context)) {',
     'if (!l) {', by('before')),
    ('remember: a context does not find its own line', CACHE,
     '    MECLine *l = mec_line_find(h, line, context);\n\n    if (!l && MEC',
     '    MECLine *l = NULL;\n\n    if (!l && MEC', by('device')),
    ('remember: what is modified does not stay behind', CACHE,
     'if (memcmp(was, mec_held_line(h, line), MEC_LINE_SIZE)) {',
     'if (0) {', by('hands/adv')),
    ('remember: what is not modified stays behind, too', CACHE,
     'if (memcmp(was, mec_held_line(h, line), MEC_LINE_SIZE)) {',
     'if (1) {', by('hands|operation')),
    ('remember: maintenance cleans lines of any space', CACHE,
     'if (MEC_CONTEXT_SPACE(l->context) == space) {', 'if (true) {',
     by('other-space')),
    ('remember: maintenance cleans the page of any space', CACHE,
     'own = MEC_CONTEXT_SPACE(owner) == space;', 'own = true;',
     by('by-line')),
    ('remember: maintenance leaves lines of former contexts', CACHE,
     'mec_writeback_return(s, l, last);', '(void)last;', by('operation')),
    ('remember: maintenance leaves the page\'s own line', CACHE,
     'memcpy(memory, ram, MEC_LINE_SIZE);\n', '', by('by-line|operation')),
    ('remember: what was cleaned over a line counts for nothing', CACHE,
     'l->over = true;', 'l->over = false;', by('washed')),
    ('remember: a page that is clean stays somebody\'s', CACHE,
     'return !memcmp(ram, h->memory, MEC_PAGE_SIZE);', 'return false;',
     by('operation')),
    ('remember: a page with lines in caches becomes nobody\'s', CACHE,
     'if (!QTAILQ_EMPTY(&h->lines[line])) {', 'if (0) {', by('other-space')),
    ('remember: reset leaves lines', CACHE,
     'mec_cache_drop_all(s->cache);\n    mec_writeback_reset(s);',
     'mec_writeback_reset(s);', by('reset')),
    ('remember: a device\'s store goes past memory', CACHE,
     'mec_cache_patch(mec_held_line(h, line), held, enable);', '(void)held;',
     by('device')),
    ('remember: lines come back under no MECID', BACK,
     'mec_line_delta(s, page, line, MEC_CONTEXT_MECID(context),\n',
     'mec_line_delta(s, page, line, 0,\n', by('operation|hands/adv')),
    ('remember: a lazy line comes over what is modified', BACK,
     'if (modified && !last) {', 'if (0) {', by('room')),
    ('remember: there is room without end', BACK,
     'while (s->cache->count > MEC_LINES_MAX) {', 'while (0) {', by('room')),
    ('remember: the adversary never looks', BACK,
     'if (s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL) {', 'if (0) {',
     by('hands/adv')),
    ('remember: a lazy cache is an adversary', BACK,
     'if (s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL) {', 'if (1) {',
     by('hands/lazy')),
    ('remember: harm is not told', BACK,
     'mec_report_return(s, offset, context, owner);', '', by('hands/adv')),
    ('remember: late maintenance does no harm', CACHE,
     'bool last = s->writeback == ARM_MEC_WRITEBACK_ADVERSARIAL;',
     'bool last = false;', by('late')),
    ('remember: the wrong operation is named', REPORT,
     'from == to ? "DC CIPAE" : between[from]',
     'from == to ? "DC CIPAE" : between[to]', by('hands/adv')),
    ('remember: CXL.cache reads what RAM has', DMA,
     'if (!s->cache || !mec_cache_read_memory(', 'if (true || !'
     'mec_cache_read_memory(', by('device/cache')),
    ('remember: CXL.cache writes to what RAM has', DMA,
     'return 0;               /* RAM has', 'return enable;  /* RAM has',
     by('device/cache')),
    ('remember: plain DMA writes as a CPU does', DMA,
     'return mec_cache_write_by_device(s, offset, data, size,',
     'return mec_cache_write(s, offset, data, size,', by('device/dma')),
    ('remember: NS and NSE are mixed up', PTW,
     'spaces[extract64(value, 62, 1)][extract64(value, 63, 1)]',
     'spaces[extract64(value, 63, 1)][extract64(value, 62, 1)]',
     by('by-line|operation')),
    ('remember: maintenance by VA is a nop', PTW,
     'ri->writefn = mec_cmo_va;', '', by('operation')),
    ('remember: walks read what RAM has', MEC,
     '    if (s->cache) {\n        QEMU_LOCK_GUARD(&s->lock);\n        return '
     'mec_read_locked(s, pa - s->base, size, context);\n    }\n', '',
     by('walk')),
    ('remember: it migrates', MEC,
     'if (migrate_add_blocker(&s->blocker, errp) < 0) {', 'if (0) {',
     by('migration')),
]
