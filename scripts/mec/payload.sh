#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests/qtest/arm-mec-payload.h from arm-mec-payload.S:
#   payload.sh          make it anew
#   payload.sh check    is it what the source assembles to?

. "$(dirname "$0")/../lib.sh"

CROSS=aarch64-linux-gnu-
SRC=$TOP/tests/qtest/arm-mec-payload.S
HEADER=${SRC%.S}.h

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${CROSS}gcc" -nostdlib -static -Wl,--build-id=none -Wl,-Ttext=0x40100000 \
    -o "$tmp/elf" "$SRC"
"${CROSS}objcopy" -O binary "$tmp/elf" "$tmp/bin"
"$PYTHON" - "$tmp/bin" > "$tmp/h" <<'PY'
import sys
print('''/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made from arm-mec-payload.S, which says how: change that one.
 */

#ifndef ARM_MEC_PAYLOAD_H
#define ARM_MEC_PAYLOAD_H

static const unsigned char arm_mec_payload[] = {''')
data = open(sys.argv[1], 'rb').read()
for at in range(0, len(data), 12):
    print('    ' + ' '.join(f'0x{b:02x},' for b in data[at:at + 12]))
print('};\n\n#endif')
PY
if [[ ${1-} == check ]]; then
    cmp "$tmp/h" "$HEADER"
else
    cp "$tmp/h" "$HEADER"
fi
