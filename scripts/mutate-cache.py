#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break CXL.cache one line at a time; its tests must catch each.

  mutate-cache.py              all faults, all tests; a line for each
  mutate-cache.py --search     all faults, the state space search alone
  mutate-cache.py --fast       the best-known faults, the search alone
  mutate-cache.py --rst        the same as a table in reStructuredText
  mutate-cache.py WORD...      only faults whose name has one of these words

The plain C part is copied to build/mutants and broken there.  A fault that no
test catches, or whose line is not to be found, makes the run fail.
"""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
COPY = TOP / 'build/mutants'
PARTS = ['meson.build', 'hw', 'include', 'backends', 'tests', 'docs']
EXPLORE = 'test-cxl-cache-explore'
TIMEOUT = 120

DEV = 'hw/cxl/cxl_cache_dev.c'
HOME = 'hw/cxl/cxl_cache_home.c'
TABLES = 'hw/cxl/cxl_cache_tables.c'
LINK = 'include/hw/cxl/cxl_cache_link.h'

# The first ones are what models of CXL.cache are known to get wrong.
KNOWN = 7

# Faults: name, file, the line, what it becomes
FAULTS = [
    ("a host's write does not snoop", HOME,
     '[CXL_CACHE_HOST_WRITE] = CXL_CACHE_ASK_INV,',
     '[CXL_CACHE_HOST_WRITE] = CXL_CACHE_ASK_NONE,'),
    ('RspIFwdM is taken for RspIHitSE', TABLES,
     'SNP_ALL, .data = true, .dirty = true),', 'SNP_ALL, .data = true),'),
    ('a clean line is written back', HOME,
     '} else if (!rule->evict) {', '} else {'),
    ('Bogus is ignored by the home', HOME,
     '} else if (owner && !tx->failed &&', '} else if (!tx->failed &&'),
    ('GO before the snoop response', HOME,
     'if (!(tx->ask | tx->wait | tx->fwd)) {',
     'if (!tx->ask && !tx->fwd) {'),
    ('SnpCur makes M shared, nothing is written', TABLES,
     'CELL(M,    V_FWD_V,  M,', 'CELL(M,    V_FWD_V,  S,'),
    ("the host's access is not taken away", HOME,
     'return tx_settle_access(home, tx);', 'return true;'),

    # Snoops
    ('an evict that was snooped is not bogus', DEV,
     """cached && cxl_cache_may(way_state(dev, r->way),
                                      CXL_CACHE_P_BOGUS));""", 'false);'),
    ('MIA: SnpCur makes the evict bogus', TABLES,
     'CELL(MIA,  V_FWD_V,  MIA,', 'CELL(MIA,  V_FWD_V,  IIB,'),
    ('MIA: SnpData leaves it MIA', TABLES,
     'CELL(MIA,  S_FWD_M,  SIB,', 'CELL(MIA,  S_FWD_M,  MIA,'),
    ('EIA: SnpInv leaves it EIA', TABLES,
     'CELL(EIA,  I_HIT_SE, IIB,', 'CELL(EIA,  I_HIT_SE, EIA,'),
    ('SIB: SnpInv leaves it SIB', TABLES,
     'CELL(SIB,  I_HIT_SE, IIB,', 'CELL(SIB,  I_HIT_SE, SIB,'),
    ('E: SnpData leaves it E', TABLES,
     'CELL(E,    S_HIT_SE, S,', 'CELL(E,    S_HIT_SE, E,'),
    ('E: SnpInv leaves it S', TABLES,
     'CELL(E,    I_HIT_SE, I,', 'CELL(E,    I_HIT_SE, S,'),
    ('IED: SnpInv does not make the data use-once', TABLES,
     'CELL(IED,  I_HIT_SE, IID,', 'CELL(IED,  I_HIT_SE, IED,'),
    ('ISD: SnpInv does not make the data use-once', TABLES,
     'CELL(ISD,  I_HIT_SE, IID,', 'CELL(ISD,  I_HIT_SE, ISD,'),
    ('IED: SnpData leaves it exclusive', TABLES,
     'CELL(IED,  S_HIT_SE, ISD,', 'CELL(IED,  S_HIT_SE, IED,'),
    ('IMD: SnpInv is answered before the data are there', TABLES,
     'CELL(IMD,  I_FWD_M,  IMDI, R(I_FWD_M), LATE, INF)',
     'CELL(IMD,  I_FWD_M,  IMDI, R(I_FWD_M), FWD, INF)'),
    ('SEA: SnpInv keeps the shared copy', TABLES,
     'CELL(SEA,  I_HIT_SE, IEA,', 'CELL(SEA,  I_HIT_SE, SEA,'),
    ('a snoop passes a GO', DEV, 'if (behind_go(dev, msg)) {', 'if (0) {'),
    ('order of GO and snoop is lost in the link', LINK,
     '.order = link->ch[CXL_CACHE_H2D_RSP].tail,', '.order = 0,'),

    # Grants and data
    ('use-once data stay', TABLES,
     '[CXL_CACHE_IID]  = CXL_CACHE_I,', '[CXL_CACHE_IID]  = CXL_CACHE_S,'),
    ('forwarded M stays M with the sender', TABLES,
     '[CXL_CACHE_IMDS] = CXL_CACHE_S,', '[CXL_CACHE_IMDS] = CXL_CACHE_M,'),
    ('GO-S after the data makes it E', TABLES,
     'GRANT(IXA,    S,    E,', 'GRANT(IXA,    E,    E,'),
    ('GO-M for a clean line', HOME,
     'bool forward = tx->dirty && home->forward_dirty && !others;',
     'bool forward = home->forward_dirty && !others;'),
    ('RdAny gets E while others share', HOME,
     'return others ? CXL_CACHE_GO_S :',
     'return others && forward ? CXL_CACHE_GO_S :'),
    ('the home reads memory although data were forwarded', HOME,
     'if (tx->have) {', 'if (0) {'),
    ('forwarded data are not written when GO-E is granted', HOME,
     'if (grant != CXL_CACHE_GO_M) {', 'if (0) {'),
    ('an owner is entered as a sharer', HOME,
     'word = (word & ~CXL_CACHE_SF_DEVS) | CXL_CACHE_SF_EXCL;',
     'word = word & ~CXL_CACHE_SF_DEVS;'),
    ('a failed read is granted', HOME,
     'tx->rsp_data = tx->failed ? CXL_CACHE_GO_ERR : grant;',
     'tx->rsp_data = grant;'),
    ('a failed read has data', HOME,
     '*data = tx->failed ? all_ones : tx->data;', '*data = tx->data;'),

    ("the host's refusal is ignored", HOME,
     'return access > tx->access;', 'return true;'),
    ('a line that is not cacheable is granted', HOME,
     '!tx->failed && (mem & need) == need;', '!tx->failed && need;'),

    # Snoop filter
    ('RspVHitV: the home takes the owner for a sharer', TABLES,
     '"RspVHitV",  SNP(CUR), .keeps = true, .excl = true),',
     '"RspVHitV",  SNP(CUR), .keeps = true),'),
    ('RspSHitSE: the home forgets the sharer', TABLES,
     'SNP(DATA) | SNP(CUR), .keeps = true),', 'SNP(DATA) | SNP(CUR)),'),
    ('RspVFwdV: what the owner keeps is written back', TABLES,
     """.keeps = true, .excl = true,
          .data = true),""", """.keeps = true, .excl = true,
          .data = true, .dirty = true),"""),
    ('a victim of the snoop filter is not written back', HOME,
     """        tx_write_back(home, tx);
        settle_back_invalidation(home, tx);""",
     '        settle_back_invalidation(home, tx);'),
    ('a clean evict stays in the snoop filter', HOME,
     """        tx->rsp_data = CXL_CACHE_GO_I;
    }
    sf_remove_self(home, tx);""",
     """        tx->rsp_data = CXL_CACHE_GO_I;
    }"""),
    ('CacheFlushed leaves the snoop filter as it is', HOME,
     """            continue;
        }
        sf_write(home, e, *e & ~(1ULL << dev));
        if (sf_access(*e) != before) {
            home->ops->host_access(home->opaque, line, sf_access(*e));
        }
    }
    send_rsp(""", """            continue;
        }
        (void)before, (void)line;
    }
    send_rsp("""),
    ('CacheFlushed passes open snoops', HOME,
     'if (d->snoops || d->open || !can_send(', 'if (d->open || !can_send('),
    ('CacheFlushed passes forwarded data', HOME,
     'home->dev[dev].snoops -= !(tx->fwd & bit);',
     'home->dev[dev].snoops -= 1 + 0 * !(tx->fwd & bit);'),

    # Who may ask for what
    ('RdOwn from S', TABLES,
     """.legal = ST(I), .pending = { [CXL_CACHE_I] = CXL_CACHE_IXAD },
        .go = GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true, .ask = CXL_CACHE_ASK_INV,""",
     """.legal = ST(I) | ST(S),
        .pending = { CXL_CACHE_IXAD, CXL_CACHE_IXAD },
        .go = GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true, .ask = CXL_CACHE_ASK_INV,"""),
    ('CleanEvictNoData from M', TABLES,
     """.legal = ST(E) | ST(EN) | ST(S),
        .pending = { [CXL_CACHE_E]""", """.legal = ST(E) | ST(EN) | ST(S) | ST(M),
        .pending = { [CXL_CACHE_M] = CXL_CACHE_EIA, [CXL_CACHE_E]"""),
    ('CLFlush asks nobody', TABLES,
     """.go = GO(I) | GO(ERR), .overlap = true,
        .ask = CXL_CACHE_ASK_INV,""",
     '.go = GO(I) | GO(ERR), .overlap = true,'),
    ('WrInv shares instead of invalidating', TABLES,
     """.ask = CXL_CACHE_ASK_INV,
        .use = "write any bytes""", """.ask = CXL_CACHE_ASK_DATA,
        .use = "write any bytes"""),
    ('RdCurr asks nobody', TABLES, '.ask = CXL_CACHE_ASK_CUR,', ''),
    ('a read overlaps a write past the cache', DEV,
     'if (rule->cacheable && uncached_out(dev, req->line)) {', 'if (0) {'),
    ('a second transaction of a line', HOME,
     """    if (line_busy(home, msg->line)) {
        return false;""", """    if (0) {
        return false;"""),
    ('a modified line may be dropped', DEV,
     """!cxl_cache_may(state, CXL_CACHE_P_STABLE) ||
        cxl_cache_may(state, CXL_CACHE_P_DIRTY)) {""",
     '!cxl_cache_may(state, CXL_CACHE_P_STABLE)) {'),
    ('half of a line without data is written', DEV,
     'full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE', 'CXL_CACHE_P_FILL'),
    ('a victim in M leaves as a clean line', DEV,
     """if (state == CXL_CACHE_M) {
        return CXL_CACHE_DIRTY_EVICT;""", """if (state == CXL_CACHE_M) {
        return CXL_CACHE_CLEAN_EVICT_NO_DATA;"""),
    ('a store leaves the line E', DEV,
     'set_state(dev, way, CXL_CACHE_M);', '(void)0;'),

    # Writes
    ('byte enables are forgotten', DEV,
     '.be = rule->partial ? req->be : CXL_CACHE_BE_ALL,',
     '.be = CXL_CACHE_BE_ALL,'),
    ('a weakly ordered write is done before ExtCmp', DEV,
     'if (!rsp_effect[msg->opcode].last || ext_cmp_due) {',
     'if (!rsp_effect[msg->opcode].last && !ext_cmp_due) {'),
    ('a write is lost, and acknowledged', HOME,
     '} else if (!tx->failed &&\n               !tx_write(home, tx, data, '
     'msg->be, msg->poison,\n                         CXL_CACHE_WRITE_NEW)) {',
     '} else if (0) {'),
    ('a write where nothing is writable gets a GO', HOME,
     """} else if (tx->failed) {
        tx->rsp = CXL_CACHE_GO_ERR_WRITE_PULL;""", """} else if (0) {
        tx->rsp = CXL_CACHE_GO_ERR_WRITE_PULL;"""),

    # Poison
    ('poison is lost in an evict', DEV,
     'cached ? way_poison(dev, r->way) : r->poison,',
     'cached ? false : r->poison,'),
    ('poison is lost on the way to a reader', HOME,
     'msg->poison = tx->poison && !tx->failed;', 'msg->poison = false;'),
    ('a whole store leaves the poison', DEV,
     """    if (full) {
        set_poison(dev, way, false);
    }""", ''),

    # Credits and progress
    ("a buffer's credit is lost", LINK,
     '    link->ch[channel].freed++;\n', ''),
    ('a credit is spent twice', LINK, '    ch->credits--;\n    *msg',
     '    ch->credits -= ch->credits > 1 ? 2 : 1;\n    *msg'),
    ('snoops without a credit are forgotten', HOME,
     'set_stalled(home, tx, tx->ask);', 'set_stalled(home, tx, false);'),
    ('answers without a credit are forgotten', HOME,
     'set_stalled(home, tx, true);', 'set_stalled(home, tx, false);'),
    ('data that came before their response are awaited', HOME,
     'tx->fwd |= bit & ~tx->early;', 'tx->fwd |= bit;'),
    ('a snoop waits for a credit of D2H Req', DEV,
     'if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_RSP) ||',
     'if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_REQ) ||\n'
     '        !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_RSP) ||'),
    ('data are staged in any line', DEV,
     'if (way_state(dev, way) != CXL_CACHE_EN) {', 'if (way < 0) {'),
    ('a line stays staged', DEV,
     'uint64_t tag = dev->tags[way] & ~CXL_CACHE_TAG_STAGED;',
     'uint64_t tag = dev->tags[way];'),
    ('staged data make the line modified', DEV,
     'dev->tags[way] |= CXL_CACHE_TAG_STAGED;',
     'set_state(dev, way, CXL_CACHE_M);'),
    ('a device that yields keeps the line modified', DEV,
     '&cxl_cache_snoop_rules[CXL_CACHE_SNP_INV][state] : rule;',
     '&cxl_cache_snoop_rules[CXL_CACHE_SNP_CUR][state] : rule;'),
]

# A test that compares the tables with a copy of them proves nothing here.
NO_PROOF = re.compile(r'docs|rst|as-written')


def run(command, **args):
    return subprocess.run(command, capture_output=True, text=True, **args)


def prepare():
    """A copy of its own, and the tests that are about CXL.cache"""
    shutil.rmtree(COPY, ignore_errors=True)
    for part in PARTS:
        src, dst = TOP / part, COPY / part
        if src.is_dir():
            shutil.copytree(src, dst)
        elif src.exists():
            dst.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(src, dst)
    setup = run(['meson', 'setup', COPY / 'build', COPY,
                 '-Db_sanitize=none', '-Doptimization=1', '-Dwerror=false'])
    if setup.returncode:
        sys.exit(setup.stdout + setup.stderr)
    names = run(['meson', 'introspect', '--tests', COPY / 'build']).stdout
    tests = sorted(set(re.findall(r'test-cxl-cache[\w-]*', names)))
    if EXPLORE not in tests:
        sys.exit(f'{EXPLORE} is not in meson.build')
    return tests


def build(tests):
    built = run(['ninja', '-C', COPY / 'build', *tests])
    if not built.returncode:
        return None
    errors = [line for line in built.stdout.splitlines() if 'error:' in line]
    return (errors or ['does not build'])[0]


def explored(out):
    """The rule that the search found broken, and where"""
    rule = re.search(r'^# *BROKEN in ([\w-]+): (.*)$', out, re.M)
    never = re.findall(r'^# (.*unreachable, was met|never sent.*)$', out,
                       re.M)
    if rule:
        return f'search {rule.group(1)}: {rule.group(2)}'
    if never:
        return f'search coverage: {never[0]}'
    return None


def verdict_of(test):
    """Returns: what the test says, None if it passes"""
    name = test.removeprefix('test-cxl-cache').strip('-') or 'unit'
    keep = [] if test == EXPLORE else ['-k']
    try:
        ran = run([COPY / 'build' / test, '--tap', *keep], timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return f'{name}: time-out'
    if not ran.returncode:
        return None
    if test == EXPLORE:
        found = explored(ran.stdout)
        if found:
            return found
    out = ran.stdout + ran.stderr
    failed = re.findall(r'^not ok \d+ \S*/([\w-]+)', ran.stdout, re.M)
    failed += re.findall(r'^Bail out! ERROR:[^:]*:\d+:(\w+):', out, re.M)
    failed = [test for test in failed if not NO_PROOF.search(test)]
    if failed:
        more = f' and {len(failed) - 3} more' if len(failed) > 3 else ''
        return f'{name}: {", ".join(failed[:3])}{more}'
    if ran.returncode < 0:
        done = re.findall(r'^ok \d+ \S*/([\w-]+)', ran.stdout, re.M)
        return f'{name}: stops after {done[-1] if done else "start"}'
    return None


def attempt(fault, tests):
    """Returns: whether it is caught, and by what"""
    _, file, old, new = fault
    path = COPY / file
    text = path.read_text()
    if text.count(old) != 1:
        return False, [f'the line is there {text.count(old)} times']
    path.write_text(text.replace(old, new))
    try:
        error = build(tests)
        if error:
            return False, [error]
        with ThreadPoolExecutor(2) as pool:
            found = [v for v in pool.map(verdict_of, tests) if v]
        return bool(found), found or ['SURVIVED']
    finally:
        path.write_text(text)


def print_text(name, caught, how):
    print(f'{"caught" if caught else "NOT   "} {name}: {"; ".join(how)}',
          flush=True)


def rst_escape(text):
    return re.sub(r'([*`|_\\])', r'\\\1', text)


def print_rst(results):
    print('.. list-table::\n   :header-rows: 1\n   :widths: 35 65\n')
    print('   * - What is broken\n     - Caught by')
    for name, _, how in results:
        print(f'   * - {rst_escape(name)}')
        lines = [rst_escape(line) for line in how]
        print('     - ' + '\n\n       '.join(lines))


def main():
    words = [arg for arg in sys.argv[1:] if not arg.startswith('--')]
    options = set(sys.argv[1:]) - set(words)
    if options - {'--fast', '--rst', '--search'}:
        sys.exit(__doc__)
    tests = prepare()
    if options & {'--fast', '--search'}:
        tests = [EXPLORE]
    error = build(tests)
    if error:
        sys.exit(f'does not build unbroken: {error}')
    healthy = [v for v in map(verdict_of, tests) if v]
    if healthy:
        sys.exit(f'fails unbroken: {healthy}')
    results = []
    for fault in FAULTS[:KNOWN if '--fast' in options else None]:
        if words and not any(word in fault[0] for word in words):
            continue
        caught, how = attempt(fault, tests)
        results.append((fault[0], caught, how))
        if '--rst' not in options:
            print_text(*results[-1])
    if '--rst' in options:
        print_rst(results)
    missed = sum(not caught for _, caught, _ in results)
    print(f'{len(results) - missed} passed, {missed} failed',
          file=sys.stderr if '--rst' in options else sys.stdout)
    return bool(missed or not results)


if __name__ == '__main__':
    sys.exit(main())
