#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Show FEAT_MEC at work, on a bare machine: tests/tcg/aarch64/system/mec-demo.c.
#   demo.sh [deadbeef|keystream]      what a mismatch shows

# shellcheck source=scripts/mec/lib.sh
. "$(dirname "$0")/lib.sh"

mode=${1:-deadbeef}
"$TOP/scripts/deps.sh" mec
[[ -x $QEMU_AARCH64 ]] || die "$QEMU_AARCH64 is not there: make build"
build_payloads demo cycle
say "qemu-system-aarch64 -M virt,mec=on,mec-mismatch=$mode -cpu max,x-rme=on"
# shellcheck disable=SC2016  # another shell's words
timeout --foreground 60 bash -c '. "$0"; qemu_mec "$@"' \
    "$TOP/scripts/mec/lib.sh" \
    ",mec=on,mec-mismatch=$mode,cxl=on,highmem-ecam=off" "" \
    -kernel "$OUT/mec-demo.elf" \
    -device pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.0 \
    -device cxl-rp,bus=cxl.0,id=rp0,chassis=0,slot=2,port=0,cxl-cache=on,rme-cda=on,realm-mecid=4 \
    -device cxl-cache-testdev,bus=rp0 \
    -fw_cfg "name=opt/mec/text,string=from a device,, by DMA " ||
    die "the demo did not go as it should"

# Firmware with a mistake, on CPUs whose caches remember
log=$OUT/demo.log
say "the same with mec-writeback=adversarial, and firmware that forgets a DC CIPAPA"
rm -f "$log"
# shellcheck disable=SC2016
timeout --foreground 60 bash -c '. "$0"; qemu_mec "$@"' \
    "$TOP/scripts/mec/lib.sh" ",mec=on,mec-writeback=adversarial" \
    "omit=undelegate lost=1 rounds=200" -kernel "$OUT/mec-cycle.elf" \
    -d guest_errors -D "$log" || die "nothing was lost"
grep -m 1 "^MEC: PA .* is destroyed" "$log" || die "it was not told"
