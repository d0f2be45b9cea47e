# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# What check.sh and demo.sh share: the payloads and how to run one.

. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

SRC=$TOP/tests/tcg/aarch64/system
TCG=$QEMU/tests/tcg
OUT=$BUILD/mec
CROSS=${CROSS:-aarch64-linux-gnu-}
QEMU_AARCH64=${QEMU_AARCH64:-$BUILD/bin/qemu-system-aarch64}

# The flags of tests/tcg/aarch64/Makefile.softmmu-target, and ours.
MEC_CFLAGS=(-march=armv8.5-a -mgeneral-regs-only -O1 -g -ffreestanding
    -fno-pie -fno-stack-protector "-I$SRC" "-I$TCG/minilib")
MEC_LDFLAGS=(-static -nostdlib -no-pie "-Wl,-T$TCG/aarch64/system/kernel.ld"
    -Wl,--build-id=none -Wl,--no-warn-rwx-segments)

# build_payloads NAME...: OUT/mec-NAME.elf
build_payloads() {
    local name
    local -a objs=("$OUT/printf.o" "$OUT/mec-rt.o" "$OUT/mec-boot.o")
    mkdir -p "$OUT"
    "${CROSS}gcc" "${MEC_CFLAGS[@]}" -w -c -o "${objs[0]}" \
        "$TCG/minilib/printf.c"
    "${CROSS}gcc" "${MEC_CFLAGS[@]}" -Wall -Werror -c -o "${objs[1]}" \
        "$SRC/mec-rt.c"
    "${CROSS}gcc" "${MEC_CFLAGS[@]}" -c -o "${objs[2]}" "$SRC/mec-boot.S"
    for name in "$@"; do
        "${CROSS}gcc" "${MEC_CFLAGS[@]}" -Wall -Werror "${MEC_LDFLAGS[@]}" \
            -o "$OUT/mec-$name.elf" "$SRC/mec-$name.c" "${objs[@]}"
    done
}

# What fw_cfg's DMA writes: 512 words, 0x4d45432d00000000 and up.
make_pattern() {
    "$PYTHON" -c '
import struct, sys
for i in range(512):
    sys.stdout.buffer.write(struct.pack("<Q", 0x4d45432d00000000 + i))
' > "$OUT/pattern"
}

# qemu_mec MACHINE-OPTIONS SEMIHOSTING-ARGS OPTION...: run, output on stdout
qemu_mec() {
    local machine=$1 args=$2 a semi=
    shift 2
    for a in $args; do
        semi+=,arg=$a
    done
    "$QEMU_AARCH64" -nodefaults -display none -serial none -monitor none \
        -M "virt,secure=on,virtualization=on,gic-version=3$machine" \
        -cpu max,x-rme=on -m 256M -chardev stdio,id=out \
        -semihosting-config "enable=on,target=native,chardev=out$semi" "$@"
}
