#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the measurements of FEAT_MEC need, then run bench.py (which see).

# The user's choice of emulator; lib.sh has another use for the name.
EMULATOR=${QEMU-}
. "$(dirname "$0")/../lib.sh"

OUT=$BUILD/mec
SRC=$TOP/tests/guest
CROSS=aarch64-linux-gnu-

"$TOP/scripts/mec/firmware.sh" build
(
    cd "$SRC"
    "${CROSS}gcc" -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib -static \
        -mgeneral-regs-only -mstrict-align -march=armv8.1-a -fno-pic \
        -Wl,--build-id=none,-N,--no-warn-rwx-segments,-T,mec-bench.ld \
        -o "$OUT/mec-bench.elf" mec-bench.S mec-bench.c
)
"${CROSS}objcopy" -O binary "$OUT/mec-bench.elf" "$OUT/mec-bench.bin"

QEMU=$EMULATOR exec "$PYTHON" "$TOP/scripts/mec/bench.py" "$@"
