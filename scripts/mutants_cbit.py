# SPDX-License-Identifier: GPL-2.0-or-later
"""What mutate.py breaks of the encrypted alias of RAM (issue 17)"""

MODEL = 'hw/cxl/llc/alias.c'
ALIAS = 'hw/cxl/cache_mem_alias.c'
DEVICE = 'hw/cxl/cxl_cbit_alias.c'
HOST = 'hw/cxl/cache_mem_host.c'
TOUCH = 'hw/cxl/cache_mem_touch.c'
WATCH = 'hw/cxl/cache_mem_llc_watch.c'

LLC = 'hw/cxl/cache_mem_llc.c'
LLC_MODEL = 'hw/cxl/llc/llc.c'
LLC_WINDOW = 'hw/cxl/cache_mem_llc_window.c'
TIME = 'hw/cxl/cache_mem_time.c'

TEST = 'cxl-cbit-alias-test'
EVICT = 'cxl-cache-evict-test'
TESTS = (TEST, EVICT)
ALL = [(TEST, None)]
EVICTIONS = [(EVICT, None)]

# As in mutants_fault.py
FAULTS = [
    ('alias: encrypted contexts are one line', MODEL,
     'l && l->context != context; l = l->same) {',
     'l && !l->context != !context; l = l->same) {', ALL),
    ("alias: a victim's data are lost", MODEL,
     '        leave(a, g_queue_peek_head(&a->used));',
     '        forget(a, g_queue_peek_head(&a->used));', ALL),
    ('alias: a flush is of all CPUs', MODEL,
     'if (cpu == CXL_ALIAS_ALL_CPUS || l->cpu == cpu) {', 'if (1) {', ALL),
    ("alias: a CPU's access does not find a device's line", ALIAS,
     'if (alias->coherence == CXL_ALIAS_COHERENT_ALL || !cached) {',
     'if (!cached) {', ALL),
    ("alias: the home's accesses are not seen", HOST,
     """        cache_mem_alias_home(region, line, false);
    }
    memcpy""", """        ;
    }
    memcpy""", ALL),
    ('alias: a device gets a line unseen', HOST,
     '        cache_mem_alias_access(region, line, access);', '        ;', ALL),
    ('alias: DMA is not seen', TOUCH,
     '        cache_mem_alias_dma(region, rb, offset, len, is_write);',
     '        ;', ALL),
    ('alias: CLFLUSH is of the plain line', ALIAS,
     'bool encrypted = addr & BIT_ULL(alias->bit);', 'bool encrypted = false;',
     ALL),
    ('alias: WBINVD is of no CPU', WATCH,
     """        cxl_alias_flush(region->alias->model, cpu->cpu_index,""",
     """        cxl_alias_flush(region->alias->model, -2,""", ALL),
    ("alias: vCPUs' plain accesses are not seen", WATCH,
     """            cache_mem_alias_cpu(region, a->cpu->cpu_index, a->phys, a->size,
                                a->store);""", '            ;', ALL),
    ('alias: code that was translated stays', ALIAS,
     'for (unsigned i = 0; i < lines->len; i++) {',
     'for (unsigned i = lines->len; i < lines->len; i++) {', ALL),
    ('alias: the tweak is a number of lines', DEVICE,
     'stq_le_p(tweak, line << CXL_CACHE_LINE_SHIFT);',
     'stq_le_p(tweak, line);', ALL),
    ('alias: an ASID has no key of its own', DEVICE,
     '    derive(s, asid, bytes);', '    derive(s, 0, bytes);', ALL),
    ('alias: RAM may be above the bit', DEVICE,
     'if (current_machine->maxram_size > size ||\n        has_ram_above(size)) {',
     'if (size == 1 && has_ram_above(size)) {', ALL),
    # Evictions, as a vCPU meets them
    ('evict: what leaves the cache is not taken from the device', LLC,
     '    cache_mem_snoop_line(region, t->was.line, CXL_CACHE_HOST_FLUSH);\n',
     '', EVICTIONS),
    ("evict: vCPUs' loads are not seen", WATCH,
     '    last = (a->phys + a->size - 1) >> CXL_CACHE_LINE_SHIFT;\n'
     '    for (uint64_t line',
     '    last = 0;\n    for (uint64_t line', EVICTIONS),
]
