# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate-cache.py breaks of the host's last-level cache"""

LLC = 'hw/cxl/llc/llc.c'
POLICY = 'hw/cxl/llc/policy.c'
HASH = 'hw/cxl/llc/hash.c'

# All that links these files
TEST = 'test-cxl-cache-llc'

# As in mutate-cache.py: name, file, the lines, what they become
FAULTS = [
    # Where lines go
    ('a bit of the 8-slice hash', HASH,
     '0x1b5f575440, 0x2eb5faa880, 0x3cccc93100,',
     '0x1b5f575440, 0x2eb5faa880, 0x3cccc93000,'),
    ('a bit of the 16-slice hash', HASH, '0x11aeeb1200,', '0x11aeeb0200,'),
    ("the 16-slice hash is the 8-slice one's", HASH,
     'slices == 16 ? masks_16', 'slices == 32 ? masks_16'),
    ('a hash is of line numbers', HASH,
     'line << CXL_LLC_LINE_SHIFT);', 'line);'),
    ('slices in turn share a set', LLC,
     'line >> llc->slice_bits : line)', 'line : line)'),
    # Ages
    ('LRU: a hit ages all', POLICY,
     'age[i] += age[i] < before;', 'age[i]++;'),
    ('LRU: the line used last leaves', POLICY,
     'if (age[way] > age[found]) {', 'if (age[way] < age[found]) {'),
    ('PLRU: a node points at who was used', POLICY,
     'age[node] = !right;', 'age[node] = right;'),
    ('PLRU: a mask is not looked at on the right', POLICY,
     '(age[node] && (ways & left << half));', 'age[node];'),
    ('PLRU: a mask is not looked at on the left', POLICY,
     'bool right = !(ways & left) ||', 'bool right ='),
    ('QLRU: ages stay', POLICY,
     'age[i] += i == spared ? 0 : add;', ';'),
    ('QLRU: who was used ages, too', POLICY,
     'p->others ? way : n, max = 0, add;', 'n, max = 0, add;'),
    ('QLRU: U1 looks at who was used', POLICY,
     'if (i != spared || p->step) {', 'if (1) {'),
    ('QLRU: U3 does not look at who was used', POLICY,
     'if (i != spared || p->step) {', 'if (i != spared) {'),
    ('QLRU: U2 is U0', POLICY, 'p->step ? 1 : OLDEST - max;',
     'OLDEST - max;'),
    ('QLRU: UMO updates on hits', POLICY,
     'if (!p->on_miss) {', 'if (1) {'),
    ('QLRU: UMO does not update on a miss', POLICY,
     'if (p->on_miss) {', 'if (0) {'),
    ('QLRU: R1 takes the oldest', POLICY,
     'p->replace == CXL_LLC_R1 && age[way] < OLDEST ?', '0 ?'),
    ('QLRU: R2 fills from the left', POLICY,
     'return p->replace == CXL_LLC_R2 ? last_way(ways) : first_way(ways);',
     'return first_way(ways);'),
    ('QLRU: x and y of Hxy', POLICY,
     """p->hit[2] = h[1];
    p->hit[3] = h[0];""", """p->hit[2] = h[0];
    p->hit[3] = h[1];"""),
    ('QLRU: a new set is young', POLICY,
     'memset(age, OLDEST, n);', 'memset(age, 0, n);'),
    ('QLRU: any pair of R and U', POLICY,
     'if (r != CXL_LLC_R1 && u >= 2) {', 'if (0) {'),
    ('QLRU: what follows the name is ignored', POLICY,
     '(*at && strcmp(at, "_UMO"))) {', '0) {'),
    # Ways
    ('a way mask is ignored', LLC,
     'way = array_room(a, set, llc->mask[class]);',
     'way = array_room(a, set, all_ways(a->ways));'),
    ('an empty way is taken whoever may', LLC,
     'return allowed & empty ? p->ops->empty(p, allowed & empty) :',
     'return empty ? p->ops->empty(p, empty) :'),
    ("DMA's reads allocate", LLC,
     '(class != CXL_LLC_DMA || kind == CXL_LLC_WRITE ||',
     '(1 || kind == CXL_LLC_WRITE ||'),
    ('DDIO has the first ways', LLC,
     'all & ~(all >> llc->config.ddio_ways);',
     'all >> (llc->config.ways - llc->config.ddio_ways);'),
    ('a mask of no ways', LLC,
     '(!mask && class != CXL_LLC_PIN)) {', '0) {'),
    # Who leaves, and why
    ("a victim's write-back is lost", LLC,
     '.dirty = tag & TAG_DIRTY,', '.dirty = false,'),
    ('a line stays clean when it is written', LLC,
     'tag[way] |= dirty;', ';'),
    ('a new line is as dirty as the old one', LLC,
     'array_fill(a, set, way, make_tag(line, class));\n    }\n    if',
     'array_fill(a, set, way, make_tag(line, class) |\n'
     '                   (tag[way] & TAG_DIRTY));\n    }\n    if'),
    ('a write-back is not counted', LLC,
     'stats->write_backs += gone->dirty;', ''),
    ('what DMA drives out is a set conflict', LLC,
     'return class == CXL_LLC_DMA ? CXL_LLC_EVICT_DDIO :', 'return'),
    ('what was pinned is a set conflict', LLC,
     'CXL_LLC_EVICT_UNPIN : CXL_LLC_EVICT_SET;',
     'CXL_LLC_EVICT_SET : CXL_LLC_EVICT_SET;'),
    ('a flush leaves the line', LLC,
     'llc->lines.tag[index_of(llc, line) * llc->lines.ways + entry.way] = 0;',
     ''),
    ('a flush of all leaves ages', LLC,
     """    array_reset(&llc->lines, llc->all_sets);
    return n;""",
     """    memset(llc->lines.tag, 0,
           llc->all_sets * llc->lines.ways * sizeof(uint64_t));
    return n;"""),
    # The directory
    ('the directory takes a line twice', LLC,
     'if (!a->ways || array_find(a, set, line) >= 0) {',
     'if (!a->ways || (array_find(a, set, line) >= 0 && 0)) {'),
    ('the directory forgets nothing', LLC,
     """        a->tag[set * a->ways + way] = 0;
""", ''),
    ('a conflict in the directory is not told', LLC,
     """    if (!left) {
        return false;""", """    if (left || 1) {
        return false;"""),
    ('a hit that makes a line younger ages no other', 'hw/cxl/llc/policy.c',
     'if (to != age[way] || p->others || p->step) {', 'if (0) {'),
    ('U1 and U3 age nothing by a hit of the youngest', 'hw/cxl/llc/policy.c',
     'if (to != age[way] || p->others || p->step) {', 'if (to != age[way]) {'),
]
