#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run the bare-metal tests of the upstream fixes that FEAT_MEC met; the output
# is TAP. QEMU_AARCH64=PATH: another emulator, such as one without the fixes.

. "$(dirname "$0")/lib.sh"

# Test: the options of its machine
EL3='-M virt,secure=on,virtualization=on,gic-version=3 -cpu max,x-rme=on'
declare -A OPTIONS=(
    [rme-stage2-flush]=$EL3
    [rme-gcs]=$EL3
    [mec-id]='-M virt -cpu max'
)

"$TOP/scripts/deps.sh" mec
mkdir -p "$OUT"
echo "1..${#OPTIONS[@]}"
n=0 failed=0
for t in "${!OPTIONS[@]}"; do
    "${CROSS}gcc" -nostdlib -static -Wl,-Ttext=0x40200000,-N,--build-id=none \
        -Wl,--no-warn-rwx-segments -o "$OUT/$t.elf" "$SRC/$t.S"
    read -ra options <<< "${OPTIONS[$t]}"
    result=ok
    timeout --foreground -k 5 60 "$QEMU_AARCH64" -nodefaults -m 512M \
        "${options[@]}" -display none -serial none -monitor none \
        -semihosting-config enable=on,target=native \
        -kernel "$OUT/$t.elf" > "$OUT/$t.log" 2>&1 || result='not ok'
    [[ $result == ok ]] || failed=$((failed + 1))
    sed 's/^/# /' "$OUT/$t.log"
    echo "$result $((++n)) - $t"
done
exit $((failed > 0))
