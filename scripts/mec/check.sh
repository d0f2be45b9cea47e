#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run the bare-metal tests of FEAT_MEC; the output is TAP, one line for each
# case and setting. LONG=1: stress for a minute each. ONLY=cycle: cases 63 and 64
# alone, ROUNDS=N. QEMU_AARCH64=PATH: another emulator; MEC=: without mec=on, to
# see which cases fail then.

# shellcheck source=scripts/mec/lib.sh
. "$(dirname "$0")/lib.sh"

MEC=${MEC-,mec=on}
count=0
failed=0

# report STATUS CASE TEXT
report() {
    count=$((count + 1))
    [[ $1 == ok ]] || failed=$((failed + 1))
    printf '%s %d - case %s: %s\n' "$1" "$count" "$2" "$3"
}

# Hand on a payload's TAP with one numbering, and miss no case.
# renumber LABEL CASE...
renumber() {
    local label=$1 line c
    local -A seen=()
    shift
    while IFS= read -r line; do
        if [[ $line =~ ^(ok|not\ ok)\ ([0-9]+)\ -\ case\ [0-9]+:\ (.*)$ ]]; then
            seen[${BASH_REMATCH[2]}]=1
            report "${BASH_REMATCH[@]:1:2}" "${BASH_REMATCH[3]} [$label]"
        else
            printf '# %s\n' "${line#\# }"
        fi
    done
    for c in "$@"; do
        [[ -n ${seen[$c]-} ]] || report "not ok" "$c" "did not report [$label]"
    done
}

# run LABEL NAME "CASES" MACHINE "ARGS" OPTION...
run() {
    local label=$1 name=$2 cases=$3 machine=$4 args=$5
    shift 5
    # shellcheck disable=SC2086,SC2016  # a list; and another shell's words
    renumber "$label" $cases < <(
        # QEMU's own death is a failure even where every case reported.
        status=0
        timeout --foreground -k 5 "${LIMIT:-60}" \
            bash -c '. "$0"; qemu_mec "$@"' "$TOP/scripts/mec/lib.sh" \
            "$machine" "$args" -kernel "$OUT/mec-$name.elf" "$@" 2>&1 ||
            status=$?
        ((status <= 1)) ||
            echo "not ok 0 - case 0: mec-$name: emulator exited with $status")
}

# What the payload says has to be in the log, and a look at the trace.
# field LABEL MACHINE ARGS
field() {
    local log=$OUT/field.log tap=$OUT/field.tap c text status
    rm -f "$log"
    run "$1" field "61 62" "$2" "$3" -d guest_errors -D "$log" > "$tap"
    cat "$tap"
    while IFS= read -r text; do
        [[ $text =~ ^#\ log\ ([0-9]+):\ (.*)$ ]] || continue
        c=${BASH_REMATCH[1]} text=${BASH_REMATCH[2]} status="not ok"
        grep -qF "MEC: $text" "$log" && status=ok
        report "$status" "$c" "reported: $text [$1]"
    done < "$tap"
}

"$TOP/scripts/deps.sh" mec
[[ -x $QEMU_AARCH64 ]] || die "$QEMU_AARCH64 is not there: make build"
export QEMU_AARCH64
build_payloads el3 el2 el1 walk mem smp life field mon cycle
make_pattern
FW_CFG=(-fw_cfg "name=opt/mec/pattern,file=$OUT/pattern")
truncate -s 64K "$OUT/disk"
# shellcheck disable=SC2054  # the commas are QEMU's
DISK=(-drive "if=none,id=d,file=$OUT/disk,format=raw"
    -device virtio-blk-device,drive=d -global virtio-mmio.force-legacy=false)
declare -A seconds with_disk=([deadbeef]=" disk=1" [keystream]=" disk=0")
if [[ -n ${LONG-} ]]; then
    seconds=([multi]=60 [single]=60)
    LIMIT=300
else
    seconds=([multi]=5 [single]=2)
fi

# Granules are recycled, on CPUs whose caches remember: with all maintenance, and
# with one step left out, which an adversary makes hurt and tells the name of.
# shellcheck disable=SC2054  # the commas are QEMU's
CXL=(-device "pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0"
    -device "cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=2,port=0,cxl-cache=on"
    -device cxl-cache-testdev,bus=rp0)
ROUNDS=${ROUNDS:-3000}
# cycle MODE THREAD CPUS ARGS CASE OPTION...
cycle() {
    local mode=$1 thread=$2 cpus=$3 args=$4 case=$5
    shift 5
    run "$mode, $cpus CPU, $thread" cycle "$case" \
        "${MEC:+$MEC,mec-writeback=$mode},cxl=on,highmem-ecam=off" \
        "$args cpus=$cpus rounds=$ROUNDS seed=${SEED:-1} cxl=1" -smp "$cpus" \
        -accel "tcg,thread=$thread" "${FW_CFG[@]}" "${CXL[@]}" "$@"
}
# forgotten STEP TEXT: found by its data, and its name told
forgotten() {
    local log=$OUT/cycle.log status="not ok"
    cycle immediate multi 2 "omit=$1 lost=0" 64
    rm -f "$log"
    cycle adversarial multi 2 "omit=$1 lost=1" 64 -d guest_errors -D "$log"
    grep -q "^MEC: PA 0x.* is destroyed: .* $2 was missing" "$log" &&
        status=ok
    report "$status" 64 "reported: $2 [omit=$1]"
}
# The same seed does the same harm at the same time, another one does not.
harm() {
    rm -f "$OUT/harm.$1"
    (ROUNDS=200 SEED=1 cycle "adversarial,mec-seed=$2" single 1 \
        "omit=cipae lost=1" 64 -icount shift=3 -trace arm_mec_return \
        -D "$OUT/harm.$1") > /dev/null
    [[ -s $OUT/harm.$1 ]]
}

cycles() {
    local mode text status
    for mode in immediate lazy adversarial; do
        cycle "$mode" multi 1 "" 63
        cycle "$mode" multi 4 "" 63
    done
    cycle adversarial single 2 "" 63
    forgotten cipae "DC CIPAE"
    forgotten line "DC CIPAE"
    forgotten undelegate "DC CIPAPA of its Realm address"
    forgotten space "DC CIPAPA of its Realm address"
    forgotten delegate "DC CIPAPA of its Non-secure address"
    text="an adversary's harm follows from mec-seed"
    status="not ok"
    if harm a 1 && harm b 1 && harm c 2 && cmp "$OUT/harm.a" "$OUT/harm.b" >&2 &&
        ! cmp -s "$OUT/harm.a" "$OUT/harm.c"; then
        status=ok
    fi
    report "$status" 64 "$text"
}

if [[ ${ONLY-} == cycle ]]; then
    cycles
    printf '1..%d\n' "$count"
    exit $((failed != 0))
fi

for mode in deadbeef keystream; do
    m=${MEC:+$MEC,mec-mismatch=$mode}
    a=mode=$mode
    run "$mode" el3 "1 2 3 4 5 6 7 47" "$m" "$a"
    run "$mode" el2 "8 9 10 11 12 13 14 15 16 17 18 19 20 21 22" "$m" "$a"
    run "$mode" el1 "23 24 25 26 27 28 29 45" "$m" "$a"
    run "$mode" walk "30 31 32 33 34" "$m" "$a"
    field "$mode" "$m" "$a"
    run "$mode" mem "35 36 37 38 39 40 41 53" "$m,mte=on" "$a"
    for thread in multi single; do
        for cpus in 1 2; do
            run "$mode, $cpus CPU, $thread" life "48 49 50" "$m" \
                "$a cpus=$cpus${with_disk[$mode]}" -smp "$cpus" \
                -accel "tcg,thread=$thread" "${FW_CFG[@]}" "${DISK[@]}"
        done
        run "$mode, 4 CPU, $thread" smp "42 43 44" "$m" \
            "$a cpus=4 seconds=${seconds[$thread]} seed=${SEED:-1}" -smp 4 \
            -accel "tcg,thread=$thread"
    done
done
cycles

# Walks in tables that are another context's, and what they update, are traced.
rm -f "$OUT/walk.log"
run "traced" walk "30 31 32 33 34" "$m" "$a" -trace arm_mec_walk \
    -D "$OUT/walk.log"
for text in "stage=1 .* MECID_P1_EL2 update" "stage=2 .* VMECID_P_EL2 update" \
    "stage=1 .* VMECID_A_EL2 read"; do
    status="not ok"
    grep -q "arm_mec_walk $text" "$OUT/walk.log" && status=ok
    report "$status" 61 "field/11-walk-trace: $text"
done

# The same, one instruction at a time, to shake out what translation blocks hide.
m=${MEC:+$MEC,mec-mismatch=deadbeef}
run "one-insn-per-tb" el3 "1 2 3 4 5 6 7 47" "$m" "" -accel tcg,one-insn-per-tb=on
run "one-insn-per-tb" walk "30 31 32 33 34" "$m" "" -accel tcg,one-insn-per-tb=on

# Recorded and replayed: the same output, and the same end.
rr() {
    local what=$1
    rm -f "$OUT/rr.$what"
    qemu_mec "$m" "" -kernel "$OUT/mec-el3.elf" \
        -icount "shift=5,rr=$what,rrfile=$OUT/rr" > "$OUT/rr.$what" 2>&1
}
text="a replay does what was recorded"
if rr record && rr replay && cmp "$OUT/rr.record" "$OUT/rr.replay" >&2 &&
    grep -q '^ok 47 ' "$OUT/rr.replay"; then
    report ok 52 "$text"
else
    report "not ok" 52 "$text"
fi

renumber "monitor" 46 51 52 53 < <(
    "$PYTHON" "$TOP/scripts/mec/monitor.py" "$QEMU_AARCH64" "$MEC" \
        "$OUT/mec-mon.elf" "$OUT" 2>&1)

# What is shown to people, who are to see no WRONG
if [[ -n $MEC ]]; then
    status=ok
    "$TOP/scripts/mec/demo.sh" > "$OUT/demo.out" 2>&1 || status="not ok"
    [[ $status == ok ]] || sed 's/^/# /' "$OUT/demo.out"
    report "$status" 65 "the demo goes as it should"
fi

printf '1..%d\n' "$count"
((failed == 0))
