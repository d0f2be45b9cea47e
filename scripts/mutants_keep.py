# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks of the predictor of writeback=adaptive"""

KEEP = 'hw/cxl/cache/keep.c'
TEST = 'test-cxl-cache-keep'

FAULTS = [
    ('keep: one taken line in four is too many', KEEP,
     '    if (2 * (taken - k->taken) < k->kept) {',
     '    if (4 * (taken - k->taken) < k->kept) {'),
    ('keep: all of a window has to be taken', KEEP,
     '    if (2 * (taken - k->taken) < k->kept) {',
     '    if (taken - k->taken < k->kept) {'),
    ('keep: what was taken before the window counts', KEEP,
     '        k->taken = taken;\n', ''),
    ('keep: rests do not grow', KEEP,
     'k->rest ? MIN(2 * k->rest, CXL_CACHE_KEEP_REST_MAX) :\n'
     '                            CXL_CACHE_KEEP_REST;',
     'CXL_CACHE_KEEP_REST;'),
    ('keep: rests grow for ever', KEEP,
     'MIN(2 * k->rest, CXL_CACHE_KEEP_REST_MAX)', '2 * k->rest'),
    ('keep: a rest that helped nobody is remembered', KEEP,
     '        k->rest = 0;\n    } else {',
     '        k->through = 0;\n        k->kept = 0;\n        return;\n'
     '    } else {'),
    ('keep: the window is not emptied', KEEP, '    k->kept = 0;\n', ''),
    ('keep: a rest ends with a larger result than is left of it', KEEP,
     '        k->through -= MIN(k->through, lines);',
     '        k->through = k->through > lines ? k->through - lines : 1;'),
    ('keep: a page is one line', KEEP,
     '    k->kept += lines;', '    k->kept++;'),
]
