#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run test suites and end with "N passed, N failed":
#   check.sh [quick|field|explore|fuzz|build|unit|qtest|mec|firmware|asan|series|
#             guest|kcrypto|volumes|iommu|smmu|plug|kernels|kernels-all|
#             litmus|fault|cacheid|cbitalias]...
# Logs and counts are left in build/check.

. "$(dirname "$0")/lib.sh"

OUT=$BUILD/check

# Ours, then upstream's neighbours of what the series hooks into.
# qos-test: among others every device on the virtio-pci proxy.
QTESTS_x86_64=(virtio-crypto-test cxl-type1-test cxl-type1-cache-test
               cxl-type1-fault-test cxl-type1-removal-test
               cxl-type1-iommu-test cxl-type1-ats-test cxl-type1-window-test
               cxl-ras-test cxl-type1-event-test cxl-fm-test cxl-regs-test
               cxl-cache-query-test cxl-cache-test cxl-cache-bypass-test
               cxl-cache-host-test cxl-cache-line-test cxl-cache-accel-test
               cxl-cache-gear-test cxl-cache-llc-test cxl-cache-id-test
               cxl-cache-time-test cxl-cbit-alias-test
               cxl-test qos-test qmp-cmd-test)
QTESTS_aarch64=(cxl-test arm-mec-test cxl-type1-smmu-test iommu-smmuv3-test)
# cxl-type1-fault-test, -iommu-test and -ats-test start so many machines, or read
# so much of the window, that they take many minutes with sanitizers; what the
# first shares with the removal test is seen there. cxl-cache-bypass-test uses
# x-pci-proxy-dev, which leaks (upstream's).
QTESTS_asan=(virtio-crypto-test cxl-type1-test cxl-type1-cache-test
             cxl-type1-removal-test cxl-type1-window-test cxl-ras-test
             cxl-type1-event-test cxl-fm-test cxl-regs-test
             cxl-cache-query-test cxl-cache-test cxl-cache-host-test
             cxl-cache-line-test cxl-cache-gear-test)
tally() { "$TOP/scripts/tally.py" run "$OUT" "$@" || true; }

# A step without which nothing can be tested: its failure is a failed test.
must() {
    local name=$1
    shift
    "$@" || { tally "$name" --status false; return 1; }
}

check_quick() {
    local dir=$BUILD/quick t
    must quick-build build_quick || return 0
    for t in $(meson introspect --tests "$dir" | "$PYTHON" -c '
import json, sys
for t in json.load(sys.stdin):
    print(t["cmd"][0])'); do
        tally "quick-${t##*/}" "$t" --tap -k
    done
    tally quick-cxl-chart "$TOP/tests/chart/test-cxl-chart.py"
}

# What broke in the field and is the scripts' own; tests/field/README.md has the rest.
check_field() {
    local t
    for t in "$TOP"/tests/field/[0-9]*; do
        tally "field-$(basename "${t%.*}")" "$t"
    done
}

# The larger configurations of the state space search, and longer histories
check_explore() {
    must quick-build build_quick || return 0
    tally explore --show "$BUILD/quick/test-cxl-cache-explore" --tap -k -m slow
    tally gear --show "$BUILD/quick/test-cxl-cache-gear-random" --tap -k \
        -m slow
    tally llc --show "$BUILD/quick/test-cxl-cache-llc" --tap -k -m slow
    tally alias --show "$BUILD/quick/test-cxl-cache-alias" --tap -k -m slow
}

check_fuzz() { tally fuzz --status "$TOP/scripts/fuzz-cache.sh" "${FUZZ:-20}"; }

build() { "$TOP/scripts/build.sh" "$@"; }

overlay_unit_tests() {
    overlay_files | sed -n 's,^\(tests/unit/test-.*\)\.c$,\1,p'
}

check_unit() {
    local t
    local -a tests
    mapfile -t tests < <(overlay_unit_tests)
    ((${#tests[@]})) || return 0
    must unit-build build "${tests[@]}" || return 0
    for t in "${tests[@]}"; do
        (cd "$QEMU/build" && G_TEST_SRCDIR=$QEMU/tests/unit \
            tally "unit-${t##*/}" "./$t" --tap -k)
    done
}

# run_qtests DIR ARCH LABEL TEST...: as many at a time as there are processors,
# for each mostly waits for the other side of its socket. What a test prints
# stays together.
run_qtests() {
    local dir=$1 arch=$2 label=$3 t out
    shift 3
    for t in "$@"; do
        while (($(jobs -rp | wc -l) >= $(nproc))); do
            wait -n || true
        done
        (out=$(cd "$dir" && QTEST_REQUIRE_ALL=1 \
             QTEST_QEMU_BINARY=./qemu-system-$arch \
             tally "$label-$t" "./tests/qtest/$t" --tap -k)
         printf '%s\n' "$out") &
    done
    wait
}

check_qtest() {
    must qtest-build build qemu-system-{x86_64,aarch64} \
        "${QTESTS_x86_64[@]/#/tests/qtest/}" \
        "${QTESTS_aarch64[@]/#/tests/qtest/}" || return 0
    run_qtests "$QEMU/build" x86_64 qtest-x86_64 "${QTESTS_x86_64[@]}"
    run_qtests "$QEMU/build" aarch64 qtest-aarch64 "${QTESTS_aarch64[@]}"
}

# A longer history of random accesses by 16 devices below switches
check_cacheid() {
    must cacheid-build build qemu-system-x86_64 \
        tests/qtest/cxl-cache-id-test || return 0
    export CXL_CACHE_ID_STEPS=${CXL_CACHE_ID_STEPS:-500000}
    run_qtests "$QEMU/build" x86_64 cacheid cxl-cache-id-test
}

check_cbitalias() {
    must cbitalias-build build qemu-system-x86_64 \
        tests/qtest/cxl-cbit-alias-test || return 0
    export CXL_CBIT_ALIAS_STEPS=${CXL_CBIT_ALIAS_STEPS:-1000000}
    run_qtests "$QEMU/build" x86_64 cbitalias cxl-cbit-alias-test
}

# The emulators themselves; shown as a step of its own, for it is the long one.
check_build() { must build build; }

check_asan() {
    export BUILD_VARIANT=asan
    must asan-build build qemu-system-x86_64 \
        "${QTESTS_asan[@]/#/tests/qtest/}" || return 0
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=0
    export LSAN_OPTIONS=suppressions=$QEMU/scripts/lsan_suppressions.txt
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    run_qtests "$QEMU/build-asan" x86_64 asan "${QTESTS_asan[@]}"
    unset BUILD_VARIANT ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
}

check_series() {
    tally series --status "$TOP/scripts/series.sh" "$BUILD/series" check
}

check_guest() {
    tally guest --show "$TOP/scripts/guest/check.sh" \
        build stock module recovery cache shell demo
}

check_iommu() {
    tally iommu --show "$TOP/scripts/guest/check.sh" iommu
    tally isolation --show "$TOP/scripts/guest/isolation.sh"
}

check_smmu() {
    tally smmu --show "$TOP/scripts/guest/smmu.sh"
    tally smmu-kernels --show "$TOP/scripts/guest/kernels.sh" smmu-612 smmu-7
}

# The demo and our driver; 6.1 is what check_guest has
check_kernels() {
    tally kernels --show "$TOP/scripts/guest/kernels.sh" \
        demo-612 driver-612 demo-7 driver-7
}

# Not of "make check": minutes
check_kernels-all() {
    tally kernels --show "$TOP/scripts/guest/kernels.sh"
}

# PLUG=--long: caches of more sizes
check_plug() {
    tally plug --show "$TOP/scripts/guest/plug.sh" ${PLUG:-}
}

# KCRYPTO=--long: all of it with software, too
check_kcrypto() {
    tally kcrypto --show "$TOP/scripts/guest/kcrypto.sh" ${KCRYPTO:-}
}

check_litmus() {
    tally litmus --show "$TOP/scripts/guest/litmus.sh"
}

check_fault() {
    tally fault --show "$TOP/scripts/guest/fault.sh"
}

# VOLUMES=--long: the driver comes and goes 100 times
check_volumes() {
    tally volumes --show "$TOP/scripts/guest/volumes.sh" ${VOLUMES:-}
}

check_mec() {
    tally mec-upstream "$TOP/scripts/mec/upstream.sh"
    tally mec "$TOP/scripts/mec/check.sh"
}

check_firmware() {
    tally firmware --show "$TOP/scripts/mec/firmware.sh"
}

rm -rf "$OUT"
mkdir -p "$OUT"
for suite in "$@"; do
    say "check: $suite"
    "check_$suite"
done
"$TOP/scripts/tally.py" total "$OUT"
