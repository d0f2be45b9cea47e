#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# pciutils 3.15.0, lspci -vvv: flags of three CXL DVSECs are taken from other
# bits than the ones that CXL r3.1 gives them in 8.1.3 and 8.1.5, and what a
# Type 1 driver waits for is not shown at all.
#
#   Device DVSEC, Control2   bits 0 to 4 are Disable_Caching, Initiate_Cache_
#                            WB_and_Inv, Initiate_CXL_Reset, Reset_Mem_Clr_
#                            Enable, Desired_Volatile_HDM_State.  A device
#                            whose caching is disabled is shown as one under
#                            a CXL reset; the reset bit as memory clearing;
#                            bits 3 and 4 as nothing.
#   Device DVSEC, Status2    bit 0, Cache_Invalid: nothing.
#   Device DVSEC, Cap        bits 6, 7 (write-back and invalidate, CXL reset):
#                            nothing.
#   Device DVSEC, Cap3       bits 0 to 3 are the states after cold, warm and
#                            hot reset, and configurability: the last two are
#                            read from bits 0|1 and 2.
#   Port extensions, Status  bit 0, PM initialization complete: nothing; bits
#                            1 and 3, reserved, count as that.
#
# The bits looked at are one at a time, in the configuration space of a Type 1
# endpoint (or a root port) that holds nothing else.
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

programs sid pciutils=1:3.15.0-2 libpci3=1:3.15.0-2
run lspci --version

# DVSEC id, revision, length, port type, register, bit, line, flags to be seen
CASES="
0 3 0x3c 0 0x10 0  CXLCtl2:    DisableCaching+ InitRst+ DesiredVolatileHDMStateAfterHotReset+
0 3 0x3c 0 0x10 1  CXLCtl2:    InitCacheWB&Inval+ InitRst+
0 3 0x3c 0 0x10 2  CXLCtl2:    RstMemClrEn+ DesiredVolatileHDMStateAfterHotReset+
0 3 0x3c 0 0x10 3  CXLCtl2:
0 3 0x3c 0 0x10 4  CXLCtl2:
0 3 0x3c 0 0x12 0  CXLSta2:
0 3 0x3c 0 0x12 1  CXLSta2:    ResetComplete+
0 3 0x3c 0 0x0a 0  CXLCap:     Cache+
0 3 0x3c 0 0x0a 6  CXLCap:
0 3 0x3c 0 0x0a 7  CXLCap:
0 3 0x3c 0 0x38 0  CXLCap3:    ColdReset+ HotReset+
0 3 0x3c 0 0x38 1  CXLCap3:    WarmReset+ HotReset+
0 3 0x3c 0 0x38 2  CXLCap3:    HotResetConfigurability+
0 3 0x3c 0 0x38 3  CXLCap3:
3 0 0x28 4 0x0a 0  CXLPortSta:
3 0 0x28 4 0x0a 1  CXLPortSta: PMComplete+
3 0 0x28 4 0x0a 3  CXLPortSta: PMComplete+
3 0 0x28 4 0x0c 0  CXLPortCtl: UnmaskSBR+
"

# dump ID REV LENGTH PORT-TYPE REGISTER BIT: such a configuration space as
# lspci -F reads it
dump() {
    local -a byte
    local i
    for ((i = 0; i < 4096; i++)); do byte[i]=0; done
    put() {             # OFFSET LENGTH VALUE
        local i
        for ((i = 0; i < $2; i++)); do
            byte[$1 + i]=$(($3 >> 8 * i & 255))
        done
    }
    put 0x00 4 0x10541af4               # any device that lspci knows not
    put 0x06 2 0x0010                   # capabilities list
    put 0x08 4 0x10800001
    put 0x34 1 0x40
    put 0x40 4 $((0x00020010 | $4 << 20))
    put 0x100 4 0x00010023              # DVSEC, version 1, last
    put 0x104 4 $((0x1e98 | $2 << 16 | $3 << 20))
    put 0x108 2 "$1"
    put $((0x100 + $5)) 2 $((1 << $6))
    echo "00:00.0 a device"
    for ((i = 0; i < 4096; i += 16)); do
        printf '%02x:' $i
        printf ' %02x' "${byte[@]:i:16}"
        echo
    done
}

while read -r id rev length type register bit line want; do
    [[ $id ]] || continue
    dump "$id" "$rev" "$length" "$type" "$register" "$bit" > "$TMP/dump"
    text=$(run lspci -F "$TMP/dump" -vvv 2>/dev/null | grep -F "$line") ||
        changed "no line $line"
    seen=$(grep -oE '[^[:space:]]+\+' <<< "$text" | xargs) || true
    printf 'DVSEC %s, register %s, bit %s: %s %s\n' \
        "$id" "$register" "$bit" "$line" "${seen:--}"
    [[ $seen == "$want" ]] || changed "expected: ${want:--}"
done <<< "$CASES"
