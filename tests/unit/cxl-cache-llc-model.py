#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second last-level cache, to hold the one in hw/cxl/llc against.

  cxl-cache-llc-model.py PROGRAM ACCESSES [SEED]

Written from what is published, for reading rather than for speed: bits of the
slice hashes as Maurice et al. (RAID 2015) list them, QLRU as Abel and Reineke
define it by the parts of its names ("nanoBench", ISPASS 2020).  "PROGRAM
--trace ..." is the other one (test-cxl-cache-llc).  Both do the same ACCESSES,
spread over all the caches below; each must say the same of every one of them:
hit, way, victim, why it left, and the ages of the whole set.  The first
difference ends it, with what led to it.
"""

import random
import re
import struct
import subprocess
import sys

# Address bits whose parity is a bit of the slice's number, by number of slices
EIGHT = [
    [6, 10, 12, 14, 16, 17, 18, 20, 22, 24, 25, 26, 27, 28, 30, 32, 33, 35,
     36],
    [7, 11, 13, 15, 17, 19, 20, 21, 22, 23, 24, 26, 28, 29, 31, 33, 34, 35,
     37],
    [8, 12, 13, 16, 19, 22, 23, 26, 27, 30, 31, 34, 35, 36, 37],
]
SIXTEEN = [
    [6, 10, 12, 14, 16, 17, 18, 20, 22, 24, 25, 26, 27, 28, 30, 32, 33, 35,
     36],
    [7, 11, 13, 15, 17, 19, 20, 21, 22, 23, 24, 26, 28, 29, 31, 33, 34, 35],
    [8, 12, 13, 16, 19, 22, 23, 26, 27, 30, 31, 34, 35, 36],
    [9, 12, 16, 17, 19, 21, 22, 23, 25, 26, 27, 29, 31, 32, 36],
]
HASH_BITS = {1: [], 2: EIGHT[:1], 4: EIGHT[:2], 8: EIGHT, 16: SIXTEEN}

READ, OWN, WRITE, WRITE_BACK = range(4)
CPU, DEVICE, DMA, PIN = range(4)
ACCESS, FLUSH_LINE, FLUSH_ALL, SET_MASK, TRACK, UNTRACK = range(6)
BY_SET, BY_DIRECTORY, BY_DDIO, BY_UNPIN, BY_FLUSH = range(5)


class Lru:
    """Ways from the one used last to the one used first"""

    def __init__(self, ways):
        self.order = list(range(ways))

    def ages(self):
        return [self.order.index(way) for way in range(len(self.order))]

    def use(self, way):
        self.order.remove(way)
        self.order.insert(0, way)

    def hit(self, way):
        self.use(way)

    def come(self, empty, allowed):
        """The way for a line that is to come"""
        way = min(empty) if empty else \
            [w for w in self.order if w in allowed][-1]
        self.use(way)
        return way


class Plru:
    """A tree of [points right?, left, right]; a leaf is its way"""

    def __init__(self, ways):
        self.ways = ways
        self.root = self.grow(range(ways))

    def grow(self, ways):
        if len(ways) == 1:
            return ways[0]
        half = len(ways) // 2
        return [0, self.grow(ways[:half]), self.grow(ways[half:])]

    def below(self, node):
        if isinstance(node, int):
            return {node}
        return self.below(node[1]) | self.below(node[2])

    def ages(self):
        level, found = [self.root], []
        while isinstance(level[0], list):
            found += [node[0] for node in level]
            level = [child for node in level for child in node[1:]]
        return found + [0] * (self.ways - len(found))

    def hit(self, way):
        node = self.root
        while isinstance(node, list):
            right = way in self.below(node[2])
            node[0] = int(not right)
            node = node[2] if right else node[1]

    def come(self, empty, allowed):
        node = self.root
        if empty:
            node = min(empty)
        while isinstance(node, list):
            way_to = node[2] if node[0] else node[1]
            other = node[1] if node[0] else node[2]
            node = way_to if self.below(way_to) & allowed else other
        self.hit(node)
        return node


class Qlru:
    """By the name's parts"""

    def __init__(self, ways, name):
        h, m, r, u, umo = re.fullmatch(
            r'H(\d\d)_M(\d)_R(\d)_U(\d)(_UMO)?', name).groups()
        self.promote = {3: int(h[0]), 2: int(h[1]), 1: 0, 0: 0}
        self.insert = int(m)
        self.where = r
        self.update = getattr(self, 'u' + u)
        self.on_miss_only = bool(umo)
        self.age = [3] * ways

    def ages(self):
        return self.age

    def u0(self, used):
        more = 3 - max(self.age)
        return [age + more for age in self.age]

    def u1(self, used):
        rest = [age for way, age in enumerate(self.age) if way != used]
        more = 3 - max(rest) if rest else 0
        return [age if way == used else age + more
                for way, age in enumerate(self.age)]

    def u2(self, used):
        if 3 in self.age:
            return self.age
        return [age + 1 for age in self.age]

    def u3(self, used):
        if 3 in self.age:
            return self.age
        return [age if way == used else age + 1
                for way, age in enumerate(self.age)]

    def settle(self, used):
        if not self.on_miss_only:
            self.age = self.update(used)

    def hit(self, way):
        self.age[way] = self.promote[self.age[way]]
        self.settle(way)

    def come(self, empty, allowed):
        if self.on_miss_only:
            self.age = self.update(None)
        if empty:
            way = max(empty) if self.where == '2' else min(empty)
        else:
            three = [way for way in allowed if self.age[way] == 3]
            if three:
                way = min(three)
            elif self.where == '1':
                way = min(allowed)
            else:
                # Not defined by what is published: masks bring it about.
                top = max(self.age[way] for way in allowed)
                way = min(way for way in allowed if self.age[way] == top)
        self.age[way] = self.insert
        self.settle(way)
        return way


def make_policy(name, ways):
    if name == 'lru':
        return Lru(ways)
    if name == 'plru':
        return Plru(ways)
    if name == 'srrip':
        return Qlru(ways, 'H00_M2_R0_U0_UMO')
    return Qlru(ways, name.removeprefix('qlru:'))


class Set:
    def __init__(self, policy, ways):
        self.policy = make_policy(policy, ways)
        self.line = [None] * ways
        self.dirty = [False] * ways
        self.owner = [CPU] * ways


class Cache:
    def __init__(self, sets, ways, slices, hashed, policy, ddio, directory):
        self.sets, self.ways, self.slices = sets, ways, slices
        self.hashed, self.policy, self.directory = hashed, policy, directory
        everything = set(range(ways))
        self.allowed = {CPU: everything, DEVICE: everything, PIN: set(),
                        DMA: set(range(ways - ddio, ways))}
        self.set = {}
        self.tracked = {}

    def place(self, line):
        if not self.hashed:
            return line % self.slices, line // self.slices % self.sets
        address = line * 64
        number = 0
        for i, bits in enumerate(HASH_BITS[self.slices]):
            number += sum(address >> bit & 1 for bit in bits) % 2 << i
        return number, line % self.sets

    def at(self, place):
        if place not in self.set:
            self.set[place] = Set(self.policy, self.ways)
        return self.set[place]

    def access(self, line, kind, by):
        place = self.place(line)
        s = self.at(place)
        said = {'place': place}
        if line in s.line:
            way = s.line.index(line)
            s.policy.hit(way)
            said['hit'] = True
        else:
            allowed = self.allowed[by]
            if not allowed or (by == DMA and kind in (READ, OWN)):
                return said
            empty = [w for w in sorted(allowed) if s.line[w] is None]
            way = s.policy.come(empty, allowed)
            said['allocated'] = True
            if s.line[way] is not None:
                why = BY_DDIO if by == DMA else \
                    BY_SET if way in self.allowed[s.owner[way]] else BY_UNPIN
                said['victim'] = (s.line[way], s.dirty[way], s.owner[way], why)
            s.line[way], s.dirty[way], s.owner[way] = line, False, by
        if kind in (WRITE, WRITE_BACK):
            s.dirty[way] = True
        said['way'] = way
        return said

    def flush_line(self, line):
        place = self.place(line)
        s = self.at(place)
        said = {'place': place}
        if line in s.line:
            way = s.line.index(line)
            said.update(hit=True, way=way, victim=(line, s.dirty[way],
                                                   s.owner[way], BY_FLUSH))
            s.line[way] = None
        return said

    def track(self, line):
        place = self.place(line)
        said = {'place': place}
        if not self.directory:
            return said
        have = self.tracked.setdefault(
            place, ([None] * self.directory, Lru(self.directory)))
        if line in have[0]:
            return said
        empty = [w for w, tag in enumerate(have[0]) if tag is None]
        way = have[1].come(empty, set(range(self.directory)))
        if have[0][way] is not None:
            said['victim'] = (have[0][way], False, DEVICE, BY_DIRECTORY)
        have[0][way] = line
        return said

    def untrack(self, line):
        have = self.tracked.get(self.place(line), ([], None))[0]
        if line in have:
            have[have.index(line)] = None
        return {'place': self.place(line)}

    def do(self, line, kind, by, what):
        if what == ACCESS:
            return self.access(line, kind, by)
        if what == FLUSH_LINE:
            return self.flush_line(line)
        if what == TRACK:
            return self.track(line)
        if what == UNTRACK:
            return self.untrack(line)
        if what == FLUSH_ALL:
            self.set = {}
        else:
            self.allowed[by] = {way for way in range(self.ways)
                                if line >> way & 1}
        return {'place': self.place(line)}

    def said(self, said):
        """In the form that the other one prints it, but for ages"""
        old = said.get('victim', (0, False, CPU, 0))
        word = (said.get('hit', False) | said.get('allocated', False) << 1 |
                ('victim' in said) << 2 | old[1] << 3 | old[3] << 4 |
                old[2] << 8 | said.get('way', 0) << 16 |
                said['place'][0] << 24 | said['place'][1] << 32)
        return word, old[0]


# Caches: sets, ways, slices, hashed, ways for DDIO, of the directory
SHAPES = [
    (2, 8, 4, True, 2, 4),
    (1, 12, 8, True, 2, 12),
    (1, 8, 16, True, 1, 0),
    (4, 11, 2, True, 2, 12),
    (32, 4, 1, True, 4, 1),
    (4, 16, 2, False, 2, 8),
    (1, 20, 16, False, 3, 3),
    (8, 2, 8, False, 1, 2),
    (1, 32, 4, False, 5, 32),
]

POLICIES = ['lru', 'plru', 'srrip'] + ['qlru:' + name for name in '''
    H11_M1_R1_U2 H11_M1_R0_U0 H00_M1_R2_U1 H00_M1_R0_U1 H21_M2_R0_U0_UMO
    H21_M3_R0_U1 H20_M0_R1_U3 H10_M2_R2_U0 H10_M3_R1_U0 H11_M2_R1_U3_UMO
    H21_M1_R1_U1 H20_M2_R0_U1_UMO H00_M0_R1_U2_UMO H11_M3_R2_U0_UMO
    H20_M1_R2_U1 H21_M0_R2_U0 H00_M3_R1_U3 H10_M1_R0_U0_UMO H20_M3_R1_U2
    H11_M0_R2_U1_UMO H21_M2_R1_U0
    '''.split()]


def steps(rand, count, shape):
    """What happens: lines that are used again, as they are in programs"""
    sets, ways, slices = shape[:3]
    pool = [rand.getrandbits(46) for _ in range(3 * sets * ways * slices)]
    hot = pool[:len(pool) // 4]
    for _ in range(count):
        line = rand.choice(hot if rand.random() < 0.4 else pool)
        dice = rand.random()
        kind, by, what = rand.randrange(4), CPU, ACCESS
        if dice < 0.2:
            by = DMA
        elif dice < 0.5:
            by = DEVICE
        elif dice < 0.55:
            by = PIN
        elif dice < 0.60:
            what = FLUSH_LINE
        elif dice < 0.70:
            what = TRACK
        elif dice < 0.73:
            what = UNTRACK
        elif dice < 0.732:
            what, by = SET_MASK, rand.randrange(4)
            first = rand.randrange(ways)
            line = sum(1 << way for way in range(first,
                                                 rand.randint(first, ways)))
            if not line and by != PIN:
                line = (1 << ways) - 1
        elif dice < 0.7322:
            what = FLUSH_ALL
        yield line, kind, by, what


def compare(program, policy, shape, count, rand):
    sets, ways, slices, hashed, ddio, directory = shape
    cache = Cache(sets, ways, slices, hashed, policy, ddio, directory)
    trace = list(steps(rand, count, shape))
    asked = b''.join(struct.pack('<Q', line | kind << 48 | by << 52 |
                                 what << 56) for line, kind, by, what in trace)
    answer = subprocess.run(
        [program, '--trace', str(sets * ways * slices * 64), str(ways),
         str(slices), 'intel' if hashed else 'linear', policy, str(ddio),
         str(directory)], input=asked, stdout=subprocess.PIPE,
        check=True).stdout
    form = struct.Struct(f'<QQ{ways}B')
    if len(answer) != form.size * count:
        sys.exit(f'{policy} {shape}: {len(answer)} bytes for {count} accesses')
    hits = victims = 0
    for number, (step, other) in enumerate(zip(trace,
                                               form.iter_unpack(answer))):
        said = cache.do(*step)
        hits += said.get('hit', False)
        victims += 'victim' in said
        mine = (*cache.said(said), *cache.at(said['place']).policy.ages())
        if mine != other:
            sys.exit(f'{policy}, shape {shape}, access {number}: line '
                     f'{step[0]:#x} kind {step[1]} class {step[2]} what '
                     f'{step[3]}\n  published: {mine}\n  llc.c:     {other}')
    return hits, victims


def main(program, accesses, seed='1'):
    rand = random.Random(int(seed))
    caches = [(policy, shape) for policy in POLICIES for shape in SHAPES
              if policy != 'plru' or shape[1] in (2, 4, 8, 16, 32)]
    if int(accesses) < 1000 * len(caches):
        # So that sets are full soon: each policy on some of the shapes
        caches = caches[::4]
    each = int(accesses) // len(caches) + 1
    done = [compare(program, policy, shape, each, rand)
            for policy, shape in caches]
    hits, victims = map(sum, zip(*done))
    count = each * len(caches)
    print(f'{count} accesses, {hits} hits, {victims} victims, '
          f'{len(set(policy for policy, _ in caches))} policies, '
          f'{len(caches)} caches: no difference')
    if min(hits, victims) < count / 8:
        sys.exit('hardly a hit, or a victim: this shows nothing')


if __name__ == '__main__':
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*sys.argv[1:])
