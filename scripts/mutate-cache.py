#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Break CXL.cache one line at a time; its tests must catch each.

  mutate-cache.py              all faults, all tests; a line for each
  mutate-cache.py --search     all faults, the state space search alone
  mutate-cache.py --fast       the best-known faults, the search alone
  mutate-cache.py --rst        the same as a table in reStructuredText
  mutate-cache.py --check      only whether all of them find their lines
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

import mutants_alias
import mutants_cache
import mutants_context
import mutants_gear
import mutants_keep
import mutants_llc
import mutants_time
import mutants_wait
from mutants_check import check

TOP = Path(__file__).resolve().parent.parent
COPY = TOP / 'build/mutants'
PARTS = ['meson.build', 'hw', 'include', 'backends', 'tests', 'docs']
EXPLORE = 'test-cxl-cache-explore'
TIMEOUT = 120

ARRAY = 'hw/cxl/cache/array.c'
REQUEST = 'hw/cxl/cache/dev_request.c'
RECEIVE = 'hw/cxl/cache/dev_receive.c'
DEV_H = 'hw/cxl/cache/dev.h'
FILTER = 'hw/cxl/cache/snoop_filter.c'
HOME_RX = 'hw/cxl/cache/home_rx.c'
HOME_TX = 'hw/cxl/cache/home_tx.c'
HOME_H = 'hw/cxl/cache/home.h'
ISOLATE = 'hw/cxl/cache/home_isolate.c'
BLOCK = 'hw/cxl/cache/block.c'
DEV = 'hw/cxl/cache/dev.c'
HOME = 'hw/cxl/cache/home.c'
SCHED = 'hw/cxl/cache/sched.c'
TRACKER = 'hw/cxl/cache/home_tracker.c'
TABLES = 'hw/cxl/cache/tables_dev.c'
HOST = 'hw/cxl/cache/tables_home.c'
LINK = 'include/hw/cxl/cxl_cache_link.h'

# The first ones are what models of CXL.cache are known to get wrong.
KNOWN = 7

# Faults: name, file, the line, what it becomes
FAULTS = [
    ("a host's write does not snoop", HOST,
     '"host writes", WRITE, INV)', '"host writes", WRITE, NONE)'),
    ('RspIFwdM is taken for RspIHitSE', TABLES,
     'SNP_ALL, .data = true, .dirty = true),', 'SNP_ALL, .data = true),'),
    ('a clean line is written back', HOST,
     'GOT(GONE,    0,  ', 'GOT(GONE, DO(WRITE),'),
    ('Bogus is ignored by the home', HOST,
     'GOT(GONE_BOGUS, NONE,', 'GOT(GONE_BOGUS, DO(WRITE) | NONE,'),
    ('GO before the snoop response', HOME_H,
     'if (!(tx->ask | tx->wait | tx->fwd)) {',
     'if (!tx->ask && !tx->fwd) {'),
    ('SnpCur makes M shared, nothing is written', TABLES,
     'CELL(M,    V_FWD_V,  M,', 'CELL(M,    V_FWD_V,  S,'),
    ("the host's access is not taken away", HOME_TX,
     """CXL_CACHE_SF_USED);
    return tx_settle_access(home, tx, e);""", """CXL_CACHE_SF_USED);
    return true;"""),

    # Snoops
    ('an evict that was snooped is not bogus', RECEIVE,
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
    ('a snoop passes a GO', RECEIVE, 'if (behind_go(dev, msg)) {', 'if (0) {'),
    ('order of GO and snoop is lost in the link', LINK,
     '.order = link->ch[CXL_CACHE_H2D_RSP].tail,', '.order = 0,'),

    # Grants and data
    ('use-once data stay', TABLES,
     '[CXL_CACHE_IID]  = CXL_CACHE_I,', '[CXL_CACHE_IID]  = CXL_CACHE_S,'),
    ('forwarded M stays M with the sender', TABLES,
     '[CXL_CACHE_IMDS] = CXL_CACHE_S,', '[CXL_CACHE_IMDS] = CXL_CACHE_M,'),
    ('GO-S after the data makes it E', TABLES,
     'GRANT(IXA,    S,    E,', 'GRANT(IXA,    E,    E,'),
    ('GO-M for a clean line', HOME_TX,
     'return tx->dirty && home->forward_dirty &&',
     'return home->forward_dirty &&'),
    ('RdAny gets E while others share', HOST,
     """IF(FORWARD,  HEIR | DATA,             GO, M),
               IF(SHARED,   SHARER | DATA,           GO, S),""",
     """IF(FORWARD,  HEIR | DATA,             GO, M),
               IF(SHARED,   OWNER | DATA,            GO, E),"""),
    ('the home reads memory although data were forwarded', HOME_TX,
     'if (tx->have && G_LIKELY(tx_shares(tx))) {', 'if (0) {'),
    ('forwarded data are not written when GO-E is granted', HOST,
     '#define OWNER   (DO(WRITE_BACK) | DO(OWNER))',
     '#define OWNER   DO(OWNER)'),
    ('an owner is entered as a sharer', HOME_TX,
     'word = (word & ~CXL_CACHE_SF_DEVS) | CXL_CACHE_SF_EXCL;',
     'word = word & ~CXL_CACHE_SF_DEVS;'),
    ('a failed read is granted', HOST,
     """IF(SHARED,   SHARER | DATA,           GO, S),
               IF(NOT_KEPT, NONE | DO(COUNT) | DATA, GO, I),
               IF(ERROR,    FAIL | DO(SEND),         GO, ERR, DECODE))
    END,
    ROW(RD_ANY""", """IF(SHARED,   SHARER | DATA,           GO, S),
               IF(NOT_KEPT, NONE | DO(COUNT) | DATA, GO, I),
               IF(ERROR,    FAIL | DO(SEND),         GO, S, DECODE))
    END,
    ROW(RD_ANY"""),
    ('a failed read has data', HOME_TX,
     '*data = tx->failed ? all_ones : tx->data;', '*data = tx->data;'),

    ("the host's refusal is ignored", HOME_TX,
     'return access > tx->access;', 'return true;'),
    ('a line that is not cacheable is granted', HOME_RX,
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
    ('a victim of the snoop filter is not written back', HOST,
     """"back-invalidation", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS)""",
     """"back-invalidation", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(ACCESS)"""),
    ('a clean evict stays in the snoop filter', HOST,
     """"CleanEvictNoData", ANY, NONE)
        SETTLE(IF(NOT_KEPT, NONE, """, """"CleanEvictNoData", ANY, NONE)
        SETTLE(IF(NOT_KEPT, 0, """),
    ('CacheFlushed leaves the snoop filter as it is', HOST,
     'DO(FORGET), ', '0, '),
    ('CacheFlushed passes open snoops', HOME_RX,
     'if (d->snoops || d->open || !can_send(', 'if (d->open || !can_send('),
    ('CacheFlushed passes forwarded data', HOME_RX,
     'home->dev[dev].snoops -= !(tx->fwd & bit);',
     'home->dev[dev].snoops -= 1 + 0 * !(tx->fwd & bit);'),

    # Who may ask for what
    ('RdOwn from S', TABLES,
     """.legal = ST(I), .pending = { [CXL_CACHE_I] = CXL_CACHE_IXAD },
        .go = GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true,
        .use = "read, to write"),""",
     """.legal = ST(I) | ST(S),
        .pending = { CXL_CACHE_IXAD, CXL_CACHE_IXAD },
        .go = GO(E) | GO(M) | GO(I) | GO(ERR), .h2d_data = true,
        .cacheable = true,
        .use = "read, to write"),"""),
    ('CleanEvictNoData from M', TABLES,
     """.legal = ST(E) | ST(EN) | ST(S),
        .pending = { [CXL_CACHE_E]""", """.legal = ST(E) | ST(EN) | ST(S) | ST(M),
        .pending = { [CXL_CACHE_M] = CXL_CACHE_EIA, [CXL_CACHE_E]"""),
    ('CLFlush asks nobody', HOST,
     '"CLFlush", READ, INV)', '"CLFlush", READ, NONE)'),
    ('WrInv shares instead of invalidating', HOST,
     '"WrInv", WRITE, INV)', '"WrInv", WRITE, DATA)'),
    ('RdCurr asks nobody', HOST,
     '"RdCurr", READ, CUR)', '"RdCurr", READ, NONE)'),
    ('a read overlaps a write past the cache', REQUEST,
     'if (rule->cacheable && uncached_out(dev, req->line)) {', 'if (0) {'),
    ('a second transaction of a line', HOME_RX,
     """    if (tx_find(home, msg->line)) {
        return false;""", """    if (0) {
        return false;"""),
    ('a modified line may be dropped', ARRAY,
     """!cxl_cache_may(state, CXL_CACHE_P_STABLE) ||
        cxl_cache_may(state, CXL_CACHE_P_DIRTY)) {""",
     '!cxl_cache_may(state, CXL_CACHE_P_STABLE)) {'),
    ('half of a line without data is written', ARRAY,
     'full ? CXL_CACHE_P_FILL : CXL_CACHE_P_WRITE', 'CXL_CACHE_P_FILL'),
    ('a victim in M leaves as a clean line', REQUEST,
     """if (state == CXL_CACHE_M) {
        return CXL_CACHE_DIRTY_EVICT;""", """if (state == CXL_CACHE_M) {
        return CXL_CACHE_CLEAN_EVICT_NO_DATA;"""),
    ('a store leaves the line E', ARRAY,
     'set_state(dev, way, CXL_CACHE_M);', '(void)0;'),

    # Writes
    ('byte enables are forgotten', REQUEST,
     '.be = rule->partial ? req->be : CXL_CACHE_BE_ALL,',
     '.be = CXL_CACHE_BE_ALL,'),
    ('a weakly ordered write is done before ExtCmp', RECEIVE,
     'if (!rsp_effect[rsp].last || ext_cmp_due) {',
     'if (!rsp_effect[rsp].last && !ext_cmp_due) {'),
    ('a write is lost, and acknowledged', HOST,
     'GOT(NEW,     DO(WRITE),               GO, I),',
     'GOT(NEW,     0,                       GO, I),'),
    ('a write where nothing is writable gets a GO', HOST,
     """ROW(I_TO_M_WR, "ItoMWr", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_ERR_WRITE_PULL, NO,""",
     """ROW(I_TO_M_WR, "ItoMWr", WRITE, INV)
        SETTLE(IF(NOT_KEPT, NONE,                    GO_WRITE_PULL, NO),
               IF(ERROR,    FAIL,                    GO_WRITE_PULL, NO,"""),

    # Poison
    ('poison is lost in an evict', RECEIVE,
     'cached ? way_poison(dev, r->way) : r->poison,',
     'cached ? false : r->poison,'),
    ('poison is lost on the way to a reader', HOME_TX,
     'msg->poison = tx->poison && !tx->failed;', 'msg->poison = false;'),
    ('a whole store leaves the poison', ARRAY,
     """    if (full) {
        set_poison(dev, way, false);
    }""", ''),

    # Credits and progress
    ("a buffer's credit is lost", LINK,
     '    link->ch[channel].freed++;\n', ''),
    ('a credit is spent twice', LINK, '    ch->credits--;\n    *msg',
     '    ch->credits -= ch->credits > 1 ? 2 : 1;\n    *msg'),
    ('snoops without a credit are forgotten', HOME_TX,
     'set_stalled(home, tx, tx->ask);', 'set_stalled(home, tx, false);'),
    ('answers without a credit are forgotten', HOME_TX,
     'set_stalled(home, tx, true);', 'set_stalled(home, tx, false);'),
    ('data that came before their response are awaited', HOME_RX,
     'tx->fwd |= bit & ~tx->early;', 'tx->fwd |= bit;'),
    ('a snoop waits for a credit of D2H Req', RECEIVE,
     'if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_RSP) ||',
     'if (!cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_REQ) ||\n'
     '        !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_RSP) ||'),
    ('data are staged in any line', ARRAY,
     'if (way_state(dev, way) != CXL_CACHE_EN) {', 'if (way < 0) {'),
    ('a line stays staged', DEV_H,
     'uint64_t tag = dev->tags[way] & ~CXL_CACHE_TAG_STAGED;',
     'uint64_t tag = dev->tags[way];'),
    ('staged data make the line modified', ARRAY,
     'dev->tags[way] |= CXL_CACHE_TAG_STAGED;',
     'set_state(dev, way, CXL_CACHE_M);'),
    ('SnpData invalidates, but the line stays modified', DEV_H,
     '&cxl_cache_snoop_rules[CXL_CACHE_SNP_INV][state] : rule;',
     '&cxl_cache_snoop_rules[CXL_CACHE_SNP_CUR][state] : rule;'),

    # Cells of the host's tables
    ('a transaction ends before its pull', HOST,
     'ON(PULLING,  PULL,   AWAIT)', 'ON(PULLING,  FREE,   CLOSE)'),
    ('who waits for room is not told', HOST,
     """[CXL_CACHE_TX_SNOOP] = {
        ON(SNOOPED,  ANSWER, SETTLE),""", """[CXL_CACHE_TX_SNOOP] = {
        ON(SNOOPED,  ANSWER, AWAIT),"""),
    ('with no room the request goes on', HOST,
     'ON(FULL,     WAIT,   EVICT)', 'ON(FULL,     SNOOP,  ASK)'),
    ('a pull that is isolated poisons nothing', HOST,
     'ON(ISOLATED, FREE,   POISON)', 'ON(ISOLATED, FREE,   DROP)'),
    ('the data of a pull end it', HOST,
     'ON(DATA,     FINISH, TAKE)', 'ON(DATA,     FREE,   CLOSE)'),
    ('RdShared of a modified line is not written back', HOST,
     '#define SHARER  (DO(WRITE_BACK) | DO(SHARER))',
     '#define SHARER  DO(SHARER)'),
    ('a line that others share is owned by RdShared', HOST,
     """IF(FORWARD,  SHARER | DATA,           GO, S),
               IF(SHARED,   SHARER | DATA, """,
     """IF(FORWARD,  SHARER | DATA,           GO, S),
               IF(SHARED,   OWNER | DATA, """),
    ('GO-M is written back as well', HOST,
     '#define HEIR    DO(OWNER)', '#define HEIR    OWNER'),
    ('RdOwnNoData inherits what it was not given', HOST,
     'IF(FORWARD,  OWNER,                   GO, E)',
     'IF(FORWARD,  HEIR,                    GO, E)'),
    ('RdOwnNoData is granted against the host', HOST,
     """IF(FORWARD,  OWNER,                   GO, E),
               IF(NOT_KEPT, FAIL,                    GO, ERR)""",
     """IF(FORWARD,  OWNER,                   GO, E),
               IF(NOT_KEPT, NONE,                    GO, E)"""),
    ('a DirtyEvict stays in the snoop filter', HOST,
     'GOT(OWNED,   DO(WRITE) | NONE, ', 'GOT(OWNED,   DO(WRITE), '),
    ('a DirtyEvict is not written', HOST,
     'GOT(OWNED,   DO(WRITE) | NONE, ', 'GOT(OWNED,   NONE, '),
    ('lost dirty data are not reported', HOST,
     'BAD(DIRTY_LOST)', 'NEVER'),
    ('what no owner writes back is not reported', HOST,
     'BAD(NOT_OWNER)', 'NEVER'),
    ('WrInv that failed gets GO-I', HOST,
     'GOT(DROPPED, DO(FAIL),                GO, ERR)',
     'GOT(DROPPED, DO(FAIL),                GO, I)'),
    ('CleanEvict is pulled, wanted or not', HOST,
     'GO_WRITE_PULL_DROP, NO),', 'GO_WRITE_PULL, NO),'),
    ("the host's flush leaves memory old", HOST,
     """"host flushes", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(WRITE_BACK) | DO(ACCESS)""",
     """"host flushes", ANY, INV)
        SETTLE(IF(NOT_KEPT, DO(ACCESS)"""),
    ("the host's write goes nowhere", HOST,
     'DO(WRITE_BACK) | DO(WRITE) | DO(ACCESS),',
     'DO(WRITE_BACK) | DO(ACCESS),'),
    ('an orphan keeps its entry', HOST,
     """"orphan", ANY, NONE)
        SETTLE(IF(NOT_KEPT, NONE, """, """"orphan", ANY, NONE)
        SETTLE(IF(NOT_KEPT, 0, """),

    # Cost
    ('a block is written when it is made', BLOCK,
     'raw = size <= SIZE_MAX - extra ? calloc(1, size + extra) : NULL;',
     'raw = malloc(size + extra);\n    memset(raw, 0, size + extra);'),
    ('no memory is not noticed', BLOCK,
     'if (!raw) {', 'if (0) {'),
    ('a walk looks at every span', FILTER,
     'span = cxl_cache_next_mark(&marks, span);',
     'span = span * CXL_CACHE_SF_SPAN < (size_t)home->sf_sets * '
     'home->sf_ways ?\n               span : CXL_CACHE_NO_SPAN;'),
    ('a walk goes on when nothing is left', FILTER,
     'while (home->sf_lines[dev]) {', 'while (1) {'),
    ('a device is entered without a mark', HOME_H,
     'cxl_cache_sf_mark(home, dev, span);\n    }', '}'),
    ('the snoop filter loses count of lines', HOME_H,
     'home->sf_lines[dev]--;', ';'),
    ('the snoop filter counts free entries', HOME_H,
     'home->sf_used -= !(word & CXL_CACHE_SF_DEVS);', ';'),
    ('sets in use have no ages', ARRAY,
     'dev->tags[i] = (uint64_t)(i % dev->ways) << CXL_CACHE_TAG_AGE_SHIFT;',
     'dev->tags[i] = 0;'),
    ('a reset forgets to look at lines', ARRAY,
     'memset(&dev->tags[first], 0, (end - first) * sizeof(*dev->tags));', ';'),

    # What others broke without any test noticing
    ('a line that is read again is no longer non-temporal', DEV_H,
     'if (!age || (dev->tags[way] & CXL_CACHE_TAG_NT)) {', 'if (!age) {'),
    ('a device dies with the data that it has announced', ISOLATE,
     """bool lost = (tx->fwd & bit) ||
                (((tx""", """bool lost = (((tx"""),
    ('a device dies with data before their response', ISOLATE,
     'tx->have = tx->dirty = tx->spoilt = false;', 'tx->dirty = false;'),
    ('a read that fails after the grant is granted', HOME_TX,
     """return (act & CXL_CACHE_DO_READ) && !tx_read(home, tx) ?
           CXL_CACHE_CASE_ERROR : now;""",
     """if (act & CXL_CACHE_DO_READ) {
        tx_read(home, tx);
    }
    return now;"""),
    ('a poisoned partial write is of all bytes', HOME_TX,
     '!tx_write(home, tx, data, msg->be, msg->poison,',
     '!tx_write(home, tx, data, msg->poison ? CXL_CACHE_BE_ALL : msg->be,\n'
     '                  msg->poison,'),
    ('a shared line is owned with caching off', REQUEST,
     'if (rule->cacheable && !dev->caching) {',
     'if (rule->cacheable && !dev->caching && state != CXL_CACHE_S) {'),
    ('the order of GO and snoop does not wrap around', RECEIVE,
     'for (uint32_t at = ch->head; (int32_t)(snoop->order - at) > 0; at++) {',
     'for (uint32_t at = ch->head; at < snoop->order; at++) {'),
    ("the home's CQIDs are counted by 64", HOME_H,
     """uint64_t *word = &home->dev[tx->dev].cqid_busy[tx->cqid / 64];""",
     """uint64_t *word = home->dev[tx->dev].cqid_busy;"""),
    ('the home looks for CQIDs by 64', HOME_H,
     'return d->cqid_busy[cqid / 64] & (1ULL << (cqid % 64));',
     'return d->cqid_busy[0] & (1ULL << (cqid % 64));'),
    ("a device's CQIDs above 63 are not given back", DEV_H,
     'dev->cqid_free[cqid / 64] |= 1ULL << (cqid % 64);',
     'dev->cqid_free[0] |= 1ULL << (cqid % 64);'),
    ('a device looks for CQIDs above those in use only', DEV_H,
     'dev->cqid_hint = MIN(dev->cqid_hint, cqid / 64);', ';'),
    ('a flush does not go back for a line', REQUEST,
     """come in behind us. */
            dev->flush_at = 0;""", 'come in behind us. */'),
    ("the poison of a host's write is lost", HOME_TX,
     'tx->host_poison, CXL_CACHE_WRITE_HOST);',
     'tx->host_poison && !tx->was_dirty, CXL_CACHE_WRITE_HOST);'),
    ('seven bytes are taken for eight', ARRAY,
     '(uint8_t)(be >> i) == 0xff)', '((uint8_t)(be >> i) | 0x80) == 0xff)'),
    ('a viral device may not evict', REQUEST,
     'bool closing = rule->evict || req->opcode == CXL_CACHE_CACHE_FLUSHED;',
     'bool closing = req->opcode == CXL_CACHE_CACHE_FLUSHED;'),
    ('a reset leaves open transactions counted', TRACKER,
     'home->tx_open = home->tx_hint = home->n_stalled = 0;',
     'home->tx_hint = home->n_stalled = 0;'),
    ("a reset leaves a device's transactions counted", HOME,
     '.link = d->link, .quota = d->quota,',
     '.link = d->link, .open = d->open, .quota = d->quota,'),
    ("a reset leaves a device's snoops counted", HOME,
     '.link = d->link, .quota = d->quota,',
     '.link = d->link, .snoops = d->snoops, .quota = d->quota,'),
    ("a device's reset leaves its requests by line", DEV,
     'memset(dev->chain, 0xff, sizeof(dev->chain));', ''),
    ('a line that is given up stays staged', DEV_H,
     'dev->tags[way] = (tag & ~mask) | state;',
     """dev->tags[way] = (tag & ~mask) | state |
            (state == CXL_CACHE_NIA ? dev->tags[way] & CXL_CACHE_TAG_STAGED
                                    : 0);"""),

    # Flushes, data and calls that break the rules
    ('a flush does not see what comes after CacheFlushed', REQUEST,
     """if (G_UNLIKELY(dev->flush) && rule->cacheable) {
            again(dev);
        }""", ''),
    ('any CacheFlushed ends a flush', RECEIVE,
     'dev->flush == CXL_CACHE_FLUSH_TELL && cqid == dev->flush_cqid) {',
     'dev->flush == CXL_CACHE_FLUSH_TELL) {'),
    ('data marked GO-Err are kept', RECEIVE,
     'return owes || cxl_cache_may(state, CXL_CACHE_P_TRACKED) ?',
     'return 0 ?'),
    ('data marked GO-Err are kept by a later grant', RECEIVE,
     'if (G_UNLIKELY(r->failed) && next != CXL_CACHE_I && r->got_data) {',
     'if (0) {'),
    ('failed data are forwarded as good', RECEIVE,
     'r->poison || r->failed,', 'r->poison,'),
    ('bogus data are forwarded', HOME_RX,
     """    tx->have = tx->dirty = false;
    cxl_cache_poison_line(home, tx->line);""", ''),
    ('bogus data that come early are forwarded', HOME_RX,
     'tx->spoilt = bad;', ''),
    ('a bad copy poisons what its owner keeps', HOME_RX,
     """    if (!tx->dirty) {
        tx->poison = true;
        return;
    }
""", ''),
    ('torn data of an evict are written', HOME_TX,
     'if (rule->evict && torn) {', 'if (0) {'),
    ('a lost evict does not poison', HOST,
     'GOT(OWNED_BAD, DO(POISON) | NONE, ', 'GOT(OWNED_BAD, NONE, '),
    ('a line beyond 46 bits is another one', DEV_H,
     'return line < CXL_CACHE_LINE_MAX ? find_way(dev, line) : -1;',
     'return find_way(dev, line);'),
    ('a snoop beyond 46 bits is of another line', RECEIVE,
     'if (msg->line >= CXL_CACHE_LINE_MAX) {', 'if (0) {'),
    ('the filter beyond 46 bits is of another line', FILTER,
     'line < CXL_CACHE_LINE_MAX ? sf_find(home, line) : NULL;',
     'sf_find(home, line);'),
    ('a link is attached twice', ISOLATE, 'if (link->home) {', 'if (0) {'),
    ('a device that never was is detached', ISOLATE,
     """    if (!link) {
        return;
    }""", ''),
    ('a callback may run a device', RECEIVE,
     'g_assert(!dev->busy && "no callback may have the device take messages");',
     ''),
    # Which links are looked at
    ('queued: a message that is sent is not noted', LINK,
     '*link->queued |= link->queued_bit;', ''),
    ('queued: a link that is attached with messages is not noted',
     'hw/cxl/cache/home_isolate.c', 'home->queued |= link->queued_bit;', ''),
    ('queued: a home that is gone is still told', 'hw/cxl/cache/home.c',
     'link->queued = &link->unattached;', ''),
    ('queued: a link counts as silent while messages are held', SCHED,
     'if (!n && cxl_cache_link_silent(link)) {', 'if (!n) {'),
    ('queued: data that are due are nothing to look at',
     'hw/cxl/cache/internal.h', 'return !link->dev || !link->dev->due;',
     'return true;'),
    ('queued: what comes behind the first is not looked at', SCHED,
     'n = serve_queued(home, first, home->num_devs);',
     'n = serve_queued(home, first, first + 1);'),
    ('a callback may run the home', SCHED,
     'g_assert(!home->busy && "no callback may call into the home, or run it");',
     ''),

    # Memory that refuses, and credits that do not come
    ('RdOwnNoData that may not be kept is blamed on the device', HOST,
     """IF(NOT_KEPT, FAIL,                    GO, ERR),
               IF(ERROR,    FAIL,                    GO, ERR, DECODE))
    END,
    ROW(I_TO""", """IF(NOT_KEPT, FAIL,                    GO, ERR, DECODE),
               IF(ERROR,    FAIL,                    GO, ERR, DECODE))
    END,
    ROW(I_TO"""),
    ('what cannot be written is owned for it', HOST,
     '"RdOwnNoData", WRITE, INV)', '"RdOwnNoData", READ, INV)'),
    ('memory that fails is blamed on the device', HOME_TX,
     'now == first ? cell->error : CXL_CACHE_ERR_MEMORY', 'cell->error'),
    ('a refused write is not noticed', HOME_TX,
     'cell = &row->pulled[CXL_CACHE_PULL_REFUSED];', ';'),
    ('a refused write counts as dropped before', HOME_TX,
     'cell = &row->pulled[CXL_CACHE_PULL_REFUSED];',
     'cell = &row->pulled[CXL_CACHE_PULL_DROPPED];'),
    ('a refused write-back leaves old data', HOME_TX,
     """        tx->have = false;
        cxl_cache_poison_line(home, tx->line);""", ''),
    ('a refused write-back is of who asked for it', HOME_TX,
     'report(home, tx->from, CXL_CACHE_ERR_MEMORY',
     'report(home, tx->dev, CXL_CACHE_ERR_MEMORY'),
    ('a pull waits in its channel for a credit', RECEIVE,
     """    } else {
        take_rsp(dev, msg->cqid, msg);""",
     """    } else if (rsp_effect[msg->opcode].pull &&
               !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
        return false;
    } else {
        take_rsp(dev, msg->cqid, msg);"""),
    ('data to be forwarded wait in their channel for a credit', RECEIVE,
     """    } else {
        take_line(dev, msg, data);""",
     """    } else if (cxl_cache_may(way_state(dev, r->way), CXL_CACHE_P_OWES) &&
               !cxl_cache_link_can_send(dev->link, CXL_CACHE_D2H_DATA)) {
        return false;
    } else {
        take_line(dev, msg, data);"""),
    ('data that are due are forgotten', SCHED,
     'n += link->dev->due && cxl_cache_dev_tx(link->dev);', ';'),
    ('a pull is answered twice', RECEIVE,
     ': !r->pulled && !r->due;', ': !r->pulled;'),
    ('a request ends before its data are sent', RECEIVE,
     """            set_due(dev, r, rsp);
            return;""", """            set_due(dev, r, rsp);"""),
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


def tests_of(fault, tests):
    """Those that can notice it"""
    if fault in mutants_gear.FAULTS:
        # The others link it, and never call it.
        tests = [test for test in tests if 'gear' in test or test == EXPLORE]
    if fault in mutants_alias.FAULTS:
        tests = [mutants_alias.TEST]
    if fault in mutants_llc.FAULTS:
        tests = [mutants_llc.TEST]
    if fault in mutants_context.FAULTS:
        # Elsewhere there is but one.
        tests = [mutants_context.TEST]
    if fault in mutants_keep.FAULTS:
        tests = [mutants_keep.TEST]
    if fault in mutants_time.FAULTS:
        # Nor is there time in others.
        tests = [test for test in tests
                 if 'time' in test or 'random' in test or 'limits' in test]
    if fault in mutants_wait.FAULTS:
        # Nor does anybody wait.
        tests = [test for test in tests if 'wait' in test]
    return tests


def attempt(fault, tests):
    """Returns: whether it is caught, and by what"""
    _, file, old, new = fault
    path = COPY / file
    tests = tests_of(fault, tests)
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


def all_faults():
    return [*FAULTS, *mutants_cache.FAULTS, *mutants_gear.FAULTS,
            *mutants_alias.FAULTS, *mutants_context.FAULTS,
            *mutants_keep.FAULTS, *mutants_llc.FAULTS,
            *mutants_time.FAULTS, *mutants_wait.FAULTS]


def main():
    words = [arg for arg in sys.argv[1:] if not arg.startswith('--')]
    options = set(sys.argv[1:]) - set(words)
    if options - {'--check', '--fast', '--rst', '--search'}:
        sys.exit(__doc__)
    if '--check' in options:
        return bool(check(TOP, all_faults()))
    tests = prepare()
    if options & {'--fast', '--search'}:
        tests = [EXPLORE]
    faults = [fault for fault in
              all_faults()[:KNOWN if '--fast' in options else None]
              if not words or any(word in fault[0] for word in words)]
    tests = [test for test in tests
             if any(test in tests_of(fault, tests) for fault in faults)]
    error = build(tests)
    if error:
        sys.exit(f'does not build unbroken: {error}')
    healthy = [v for v in map(verdict_of, tests) if v]
    if healthy:
        sys.exit(f'fails unbroken: {healthy}')
    results = []
    for fault in faults:
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
