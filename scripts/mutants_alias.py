# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks of lines in several encryption contexts"""

ALIAS = 'hw/cxl/llc/alias.c'

# All that links this file
TEST = 'test-cxl-cache-alias'

# As in mutate-cache.py: name, file, the lines, what they become
FAULTS = [
    # Which line is which
    ('contexts are one line', ALIAS,
     'l && l->context != context; l = l->same) {',
     'l && 0; l = l->same) {'),
    ('all encrypted contexts are one', ALIAS,
     'l && l->context != context; l = l->same) {',
     'l && !l->context != !context; l = l->same) {'),
    ('a snoop finds the own line as well', ALIAS,
     """        next = l->same;
        if (l->context != context) {""",
     """        next = l->same;
        if (1) {"""),
    ('CPUs do not find what devices need not', ALIAS,
     'if (a->coherence == CXL_ALIAS_COHERENT_OFF) {',
     'if (a->coherence != CXL_ALIAS_COHERENT_ALL) {'),
    ('devices find what CPUs find', ALIAS,
     """        leave(a, own);
    }
    if (a->coherence == CXL_ALIAS_COHERENT_ALL) {
        snoop_others(a, context, line);""",
     """        leave(a, own);
    }
    if (a->coherence != CXL_ALIAS_COHERENT_OFF) {
        snoop_others(a, context, line);"""),
    ("a device does not find its context's line", ALIAS,
     """    Line *own = find(a, context, line);

    if (own) {""", """    Line *own = find(a, context, line);

    if (own && !own) {"""),
    # Write-backs
    ("a victim's data are lost", ALIAS,
     '        leave(a, g_queue_peek_head(&a->used));',
     '        forget(a, g_queue_peek_head(&a->used));'),
    ('the line used last leaves', ALIAS,
     'leave(a, g_queue_peek_head(&a->used));',
     'leave(a, g_queue_peek_tail(&a->used));'),
    ('a clean line is written back', ALIAS,
     '    if (!l->dirty) {\n        return;', '    if (0) {\n        return;'),
    ('a write-back is of what was fetched', ALIAS,
     'a->ops->crypt(a->opaque, l->context, l->line, l->data, data, true);',
     'memcpy(data, l->base, sizeof(data));'),
    ('a write-back goes past the plain line', ALIAS,
     """    if (plain) {
        memcpy(plain->data, data, CXL_ALIAS_LINE_SIZE);
    } else {""", """    {"""),
    ('what was beneath a plain line is lost', ALIAS,
     '            a->ops->write(a->opaque, l->line, l->data);', '            ;'),
    ('a line that is kept stays modified', ALIAS,
     '    l->dirty = false;\n', ''),
    ('a use does not count', ALIAS,
     """        g_queue_push_tail_link(&a->used, &l->link);
    }
    l->cpu""", """        g_queue_push_head_link(&a->used, &l->link);
    }
    l->cpu"""),
    # Flushes
    ('a flush is of all CPUs', ALIAS,
     'if (cpu == CXL_ALIAS_ALL_CPUS || l->cpu == cpu) {', 'if (1) {'),
    ('a flush is of other CPUs', ALIAS,
     'if (cpu == CXL_ALIAS_ALL_CPUS || l->cpu == cpu) {',
     'if (cpu == CXL_ALIAS_ALL_CPUS || l->cpu != cpu) {'),
    ('a line stays the first CPU\'s', ALIAS,
     '    l->cpu = cpu;\n', '    l->cpu = write ? cpu : l->cpu;\n'),
    ('WBNOINVD invalidates', ALIAS,
     """    if (invalidate) {
        leave(a, l);""", """    if (1) {
        leave(a, l);"""),
    ('WBINVD does not', ALIAS,
     """    if (invalidate) {
        leave(a, l);""", """    if (0) {
        leave(a, l);"""),
    ("a page's flush ends early", ALIAS,
     'i < CXL_ALIAS_PAGE_LINES; i++', 'i < CXL_ALIAS_PAGE_LINES / 2; i++'),
    # Counts
    ('every flush is needed', ALIAS,
     'return !known && (l->dirty || has_changed(a, l));', 'return true;'),
    ('what is stale need not be flushed', ALIAS,
     'return !known && (l->dirty || has_changed(a, l));',
     'return !known && l->dirty;'),
    ('what everybody finds is to be flushed', ALIAS,
     'return !known && (l->dirty', 'return (l->dirty'),
    ('an overwriting is not seen', ALIAS,
     """    if (has_changed(a, l)) {
        count_overwritten(a, l);""", """    if (0) {
        count_overwritten(a, l);"""),
    ('a line of use is never stale', ALIAS,
     """        if (has_changed(a, l)) {
            count_stale(a, l);""", """        if (0) {
            count_stale(a, l);"""),
    ('who passes a clean line bypasses it', ALIAS,
     'if (l->context != context && l->dirty) {', 'if (l->context != context) {'),
    ('pairs of a device are those of plain lines', ALIAS,
     'note_others(a, CXL_ALIAS_DEVICE, context, line, write);',
     'note_others(a, CXL_ALIAS_PLAIN, context, line, write);'),
    ('a pair has the plain line first', ALIAS,
     '(two != CXL_ALIAS_DEVICE && one < two);', '0;'),
    ('there is room for any pair', ALIAS,
     'if (a->pairs->len == CXL_ALIAS_MAX_PAIRS) {', 'if (0) {'),
    ('a line that left is still found', 'hw/cxl/llc/alias.c',
     '            a->recent[l->line % NUM_RECENT] = NULL;\n', ''),
    ('a line that comes is not the first one', 'hw/cxl/llc/alias.c',
     '    a->recent[first->line % NUM_RECENT] = first;\n', ''),
    ("a plain line's memory is looked for elsewhere", 'hw/cxl/llc/alias.c',
     '        return memcmp(l->data, l->base, sizeof(l->base));',
     '        return false;'),
]
