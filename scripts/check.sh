#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run test suites and end with "N passed, N failed":
#   check.sh [quick|field|explore|fuzz|build|unit|qtest|mec|firmware|asan|asan-all|series|
#             guest|kcrypto|volumes|iommu|smmu|plug|kernels|kernels-all|
#             guests|litmus|timelong|fault|cbit|fabric|cacheid|cbitalias]...
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
               cxl-cache-time-test cxl-cache-wait-test cxl-cache-limits-test
               cxl-cbit-alias-test cxl-cache-evict-test cxl-type1-time-test
               cxl-test qos-test qmp-cmd-test)
QTESTS_aarch64=(cxl-test arm-mec-test arm-mec-dma-test cxl-type1-smmu-test iommu-smmuv3-test)
# Of those what takes memory from guests and requests. cxl-type1-fault-test,
# -iommu-test and -ats-test start so many machines, or read so much of the window,
# that they take many minutes with sanitizers; what the first shares with the
# removal test is seen there. cxl-cache-bypass-test uses x-pci-proxy-dev, which
# leaks (upstream's).
QTESTS_asan=(virtio-crypto-test cxl-type1-test cxl-type1-cache-test
             cxl-type1-removal-test cxl-type1-window-test cxl-ras-test
             cxl-type1-event-test cxl-fm-test cxl-regs-test
             cxl-cache-query-test cxl-cache-test cxl-cache-host-test
             cxl-cache-line-test)
# ... and of check_asan-all
QTESTS_asan_long=(cxl-cache-gear-test cxl-cache-limits-test cxl-cache-llc-test
                  cxl-cache-time-test cxl-cache-wait-test cxl-cbit-alias-test
                  cxl-type1-time-test)
tally() { "$TOP/scripts/tally.py" run "$OUT" "$@" || true; }

# beside [--in DIR] NAME COMMAND...: likewise, $AT_ONCE of them at a time. Who
# calls it waits for all at the end.
AT_ONCE=$(nproc)
beside() {
    local dir=.
    if [[ $1 == --in ]]; then
        dir=$2
        shift 2
    fi
    while (($(jobs -rp | wc -l) >= AT_ONCE)); do
        wait -n || true
    done
    (cd "$dir" && tally "$@") &
}

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
        beside "quick-${t##*/}" "$t" --tap -k
    done
    beside quick-cxl-chart "$TOP/tests/chart/test-cxl-chart.py"
    wait
}

# What broke in the field and is the scripts' own; tests/field/README.md has the rest.
check_field() {
    local t
    for t in "$TOP"/tests/field/[0-9]*; do
        beside "field-$(basename "${t%.*}")" "$t"
    done
    wait
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
        G_TEST_SRCDIR=$QEMU/tests/unit \
            beside --in "$QEMU/build" "unit-${t##*/}" "./$t" --tap -k
    done
    wait
}

# run_qtests DIR ARCH LABEL TEST...: each mostly waits for the other side of its
# socket, so there is room for one more.
run_qtests() {
    local dir=$1 arch=$2 label=$3 t AT_ONCE=$((AT_ONCE + 1))
    shift 3
    for t in "$@"; do
        QTEST_REQUIRE_ALL=1 QTEST_QEMU_BINARY=./qemu-system-$arch \
            beside --in "$dir" "$label-$t" "./tests/qtest/$t" --tap -k
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
    export BUILD_VARIANT=${1:-asan}
    must asan-build build qemu-system-x86_64 \
        "${QTESTS_asan[@]/#/tests/qtest/}" || return 0
    export ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=0
    export LSAN_OPTIONS=suppressions=$QEMU/scripts/lsan_suppressions.txt
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    run_qtests "$QEMU/build-$BUILD_VARIANT" x86_64 asan "${QTESTS_asan[@]}"
    unset BUILD_VARIANT ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
}

# Not of "make check": QEMU's own code instrumented as well, a build of many minutes
check_asan-all() {
    QTESTS_asan+=("${QTESTS_asan_long[@]}")
    check_asan asan-all
}

# How the following are run: one after the other, or as check_guests does it
run=tally

check_series() {
    $run series --status "$TOP/scripts/series.sh" "$BUILD/series" check
}

check_guest() {
    $run guest --show "$TOP/scripts/guest/check.sh" \
        build stock module cache shell demo
    $run guest-recovery --show "$TOP/scripts/guest/check.sh" recovery
}

check_iommu() {
    $run iommu --show "$TOP/scripts/guest/check.sh" iommu
    $run isolation --show "$TOP/scripts/guest/isolation.sh"
}

check_smmu-guest() { $run smmu --show "$TOP/scripts/guest/smmu.sh"; }

check_smmu() {
    check_smmu-guest
    $run smmu-kernels --show "$TOP/scripts/guest/kernels.sh" smmu-612 smmu-7
}

# The demo and our driver; 6.1 is what check_guest has
check_kernels() {
    $run kernels --show "$TOP/scripts/guest/kernels.sh" \
        demo-612 driver-612 demo-7 driver-7
}

# Not of "make check": minutes
check_kernels-all() {
    $run kernels --show "$TOP/scripts/guest/kernels.sh"
}

# PLUG=--long: caches of more sizes
check_plug() {
    $run plug --show "$TOP/scripts/guest/plug.sh" ${PLUG:-}
}

# KCRYPTO=--long: all of it with software, too
check_kcrypto() {
    $run kcrypto --show "$TOP/scripts/guest/kcrypto.sh" ${KCRYPTO:-}
}

check_litmus() {
    $run litmus --show "$TOP/scripts/guest/litmus.sh"
}

# Likewise on links with time; OPERATIONS=steps of devices' programs
check_timelong() {
    $run timelong --show "$TOP/scripts/guest/litmus.sh" --long
}

check_fault() {
    $run fault --show "$TOP/scripts/guest/fault.sh"
}

# VOLUMES=--long: the driver comes and goes 100 times
check_volumes() {
    $run volumes --show "$TOP/scripts/guest/volumes.sh" ${VOLUMES:-}
}

# CBIT=--all: each policy with each way that pages go, and coherent modes
check_cbit() {
    $run cbit --show "$TOP/scripts/guest/cbit.sh" --tap ${CBIT:---quick}
}

# Four accelerators, a switch, and its fabric manager in the guest
check_fabric() {
    $run fabric --show "$TOP/scripts/guest/fabric.sh"
}

check_mec() {
    tally mec-upstream "$TOP/scripts/mec/upstream.sh"
    tally mec "$TOP/scripts/mec/check.sh"
}

check_firmware() {
    $run firmware --show "$TOP/scripts/mec/firmware.sh"
}

# Of "make check": what takes minutes, and mostly one processor. Those that have
# to have all of them, litmus and fault, are not here.
check_guests() {
    local run=beside
    must guest-image "$TOP/scripts/guest/image.sh" || return 0
    check_guest
    check_kcrypto
    check_volumes
    check_cbit
    check_iommu
    check_kernels
    check_firmware
    check_smmu-guest
    check_series
    check_plug
    check_fabric
    wait
}

rm -rf "$OUT"
mkdir -p "$OUT"
for suite in "$@"; do
    say "check: $suite"
    "check_$suite"
done
"$TOP/scripts/tally.py" total "$OUT"
