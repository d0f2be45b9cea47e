#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Measure CXL.cache by itself and put the figures with the others, into
# build/bench/results.json.

. "$(dirname "$0")/lib.sh"

build_quick cxl-cache-bench
mkdir -p "$BUILD/bench"
"$BUILD/quick/cxl-cache-bench" > "$BUILD/bench/cxl-cache.jsonl"

# What the way through switches costs takes an emulator
"$TOP/scripts/build.sh" qemu-system-x86_64 tests/qtest/cxl-cache-id-test
(cd "$QEMU/build" && QTEST_QEMU_BINARY=./qemu-system-x86_64 \
    ./tests/qtest/cxl-cache-id-test --tap -m perf) |
    sed -n 's/^# RESULT //p' | tee -a "$BUILD/bench/cxl-cache.jsonl" >&2
"$PYTHON" - "$BUILD/bench" <<'PY'
import json, pathlib, sys

where = pathlib.Path(sys.argv[1])
results = where / 'results.json'
have = json.loads(results.read_text()) if results.exists() else {}
for line in (where / 'cxl-cache.jsonl').read_text().splitlines():
    have.update(json.loads(line))
results.write_text(json.dumps(have, indent=2) + '\n')
PY
