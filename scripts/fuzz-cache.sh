#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fuzz the CXL.cache home and device with an illegal peer (libFuzzer, ASan,
# UBSan):
#   fuzz-cache.sh [SECONDS]        default 20
# The corpus is kept in build/fuzz/corpus, so that the next run goes on from
# there; an input that fails is left in build/fuzz and named. CXL_CACHE_FUZZ_CC
# is the compiler, clang with libFuzzer; without one this says so and succeeds.

. "$(dirname "$0")/lib.sh"

seconds=${1:-20}
out=$BUILD/fuzz
cc=${CXL_CACHE_FUZZ_CC:-$(command -v clang-14 || command -v clang || true)}

skip() { say "fuzz-cache: skipped, $*"; exit 0; }

[[ -n $cc ]] || skip "no clang (Debian: clang-14)"
mkdir -p "$out/corpus"
printf 'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }\n' |
    "$cc" -fsanitize=fuzzer -x c - -o "$out/probe" 2> "$out/probe.log" ||
    skip "no libFuzzer for $cc (Debian: libclang-rt-14-dev)"

read -ra glib < <(pkg-config --cflags --libs glib-2.0)
"$cc" -std=gnu11 -g -O1 -D_GNU_SOURCE \
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    -I"$TOP/tests/quick" -I"$TOP/include" -I"$TOP" \
    "$TOP/tests/fuzz/cxl-cache-fuzz.c" "$TOP/tests/unit/cxl-cache-world.c" \
    "$TOP"/hw/cxl/cache/*.c "${glib[@]}" -o "$out/cxl-cache-fuzz"

say "fuzz-cache: $seconds s"
cd "$out" || exit
if ! ./cxl-cache-fuzz -max_total_time="$seconds" -max_len=512 -timeout=10 \
        -print_final_stats=1 -artifact_prefix="$out/" corpus \
        > fuzz.log 2>&1; then
    tail -40 fuzz.log >&2
    die "fuzz-cache: failed; the input is in ${out#"$TOP/"}, the log in fuzz.log"
fi
grep -E 'number_of_executed_units|new_units_added|peak_rss' fuzz.log >&2
