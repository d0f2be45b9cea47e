#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One edk2 (Debian's 2026.08+ds-2), two machines of QEMU 11.1.3: what the
# Command register of a PCI function holds when the firmware has no driver for
# it and has come to its end without anything to boot.
#
#   OVMF, q35     0x0007: I/O, memory and bus mastering are on
#   AAVMF, virt   0x0000: all off, as after reset
#
# Either is allowed, and an operating system's driver sets the register anyway;
# but the function may go on writing to memory until something clears the bit,
# and a device that takes part only while it may master the bus is alive after
# one of the two.  Seen in QEMU's trace of configuration writes, on a
# function of the root bus (edu) and an endpoint below a root port (igb, its
# option ROM taken away).
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

programs sid qemu-system-x86=1:11.1.3+ds-1 qemu-system-arm=1:11.1.3+ds-1 \
    ovmf-generic=2026.08+ds-2 qemu-efi-aarch64=2026.08+ds-2
export QEMU_MODULE_DIR=$TMP/root/usr/lib/x86_64-linux-gnu/qemu
SHARE=$TMP/root/usr/share

# try TARGET CODE VARS QEMU-ARG...: what is written last to offset 4
try() {
    local lib=$TMP/root/usr/lib/x86_64-linux-gnu name=$1 code=$2 vars=$3 pid i
    shift 3
    nice "$lib/ld-linux-x86-64.so.2" --library-path "$lib" \
        "$TMP/root/usr/bin/qemu-system-$name" -L "$SHARE/qemu" \
        -L "$SHARE/seabios" "$@" -accel tcg -m 512M -nodefaults \
        -display none -serial "file:$TMP/$name.console" \
        -drive "if=pflash,format=raw,unit=0,readonly=on,file=$SHARE/$code" \
        -drive "if=pflash,format=raw,unit=1,snapshot=on,file=$SHARE/$vars" \
        -device edu,addr=4 -device pcie-root-port,id=rp,addr=5 \
        -netdev user,id=net,restrict=on \
        -device igb,bus=rp,netdev=net,romfile= \
        -trace pci_cfg_write -D "$TMP/$name.trace" < /dev/null &
    pid=$!
    for ((i = 0; i < 300; i++)); do
        sleep 1
        grep -aqs 'No bootable option' "$TMP/$name.console" && break
        kill -0 $pid 2>/dev/null || break
    done
    kill $pid 2>/dev/null || true
    wait $pid || true
    grep -aqs 'No bootable option' "$TMP/$name.console" ||
        skip "the firmware of $name did not get to its end"
    awk -v firmware="${code##*/}" '
        /pci_cfg_write (edu|igb) .* @0x4 / {
            sub(/.*pci_cfg_write /, ""); last[$1] = $NF
        }
        END { print firmware ": edu " last["edu"] " igb " last["igb"] }
        ' "$TMP/$name.trace"
}

{
    try x86_64 OVMF/OVMF_CODE_4M.fd OVMF/OVMF_VARS_4M.fd -M q35
    try aarch64 AAVMF/AAVMF_CODE.no-secboot.fd AAVMF/AAVMF_VARS.fd \
        -M virt -cpu cortex-a57
} | tee "$TMP/seen"

diff - "$TMP/seen" << 'END' || changed "see above"
OVMF_CODE_4M.fd: edu 0x7 igb 0x7
AAVMF_CODE.no-secboot.fd: edu 0x0 igb 0x0
END
