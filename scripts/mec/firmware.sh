#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Boot real firmware and a stock arm64 kernel on virt with FEAT_RME, without
# and with FEAT_MEC; TAP on stdout.
#
# TF-A from Debian's source archive, with its own test realm payload (TRP) as
# RMM, is built in build/mec; a small BL33 has the TRP delegate granules and
# then starts Debian's kernel, which runs Debian's busybox.  Nothing is
# installed.  The consoles are left in build/mec/firmware.
#
#   firmware.sh [build]     build: only make what firmware.py boots

# The user's choice of emulator; lib.sh has another use for the name.
EMULATOR=${QEMU-}
. "$(dirname "$0")/../lib.sh"

HERE=$TOP/scripts/mec
SRC=$TOP/tests/guest
OUT=$BUILD/mec
CROSS=aarch64-linux-gnu-

# Where BL33, Linux and its initramfs are put; firmware.py gets the same.
BL33=0x42000000
KERNEL_AT=0x42200000
INITRAMFS=0x50000000

# Path below a Debian mirror's base, sha256; the first that can be had.
TFA=(
"pool/main/a/arm-trusted-firmware/arm-trusted-firmware_2.12.1+dfsg.orig.tar.xz 332c08d71867b7f0dce0bce4cb2abd80f19cb3e0a2de6fe07245c111189d6fb7"
)
LINUX=(
"pool/main/l/linux-signed-arm64/linux-image-6.1.0-50-arm64_6.1.176-1_arm64.deb 914f75b57a8e165d85fb910c3e2dcc7000a05a9fea3f42f90b26e8dd590d5f06"
"pool/main/l/linux-signed-arm64/linux-image-6.1.0-47-arm64_6.1.170-3_arm64.deb ce3bc5a69b6182ba6d6a16f6c1aed27dbeab0a4c401c186aff692b75ce23e364"
"pool/main/l/linux-signed-arm64/linux-image-6.12.107+deb13-cloud-arm64_6.12.107-1_arm64.deb a1bbfc22454e984feba6353f957152ef416728b627ec0cf94d3ac04b18c14d84"
)
BUSYBOX=(
"pool/main/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_arm64.deb 732c9135564fc71337e0e05fb4da4d11e6c28c1834bce3e405e575afef2a52f5"
"pool/main/b/busybox/busybox-static_1.37.0-6+b9_arm64.deb c833be48abfa16bc19c4966ec93e289ff1ce5d2f1476cad3a57bd105378cd15c"
)

fetch_one() {
    local candidate path sum
    for candidate; do
        read -r path sum <<< "$candidate"
        if "$TOP/scripts/fetch.sh" pool "$path" "$sum" 2>"$OUT/fetch.log"; then
            return
        fi
    done
    cat "$OUT/fetch.log" >&2
    die "none of these could be fetched:
$(printf '    %s\n' "${@%% *}")"
}

# fresh NAME INPUT...: was NAME made of exactly this, and by this script?
digest() { cat -- "$@" "$HERE/firmware.sh" | sha256sum | cut -c1-64; }
fresh() {
    local stamp=$OUT/$1.stamp
    shift
    [[ -e $stamp && $(cat "$stamp") == "$(digest "$@")" ]]
}
done_with() {
    local stamp=$OUT/$1.stamp
    shift
    digest "$@" > "$stamp"
}

# quietly NAME COMMAND...: its output goes to a log, shown if it fails
quietly() {
    local log=$OUT/$1.log
    shift
    "$@" > "$log" 2>&1 || {
        tail -n 20 "$log" >&2
        die "failed: $1 (all of its output: $log)"
    }
}

make_tfa() {
    local archive src=$OUT/tfa-src
    archive=$(fetch_one "${TFA[@]}")
    fresh tfa "$archive" && return
    say "building TF-A with RME and the test realm payload"
    rm -rf "$src" "$OUT/tfa"
    mkdir -p "$src"
    tar -xJf "$archive" --strip-components=1 --no-same-owner -C "$src"
    # The same strings in every build, so that consoles can be compared.
    quietly tfa env -u MAKEFLAGS -u MAKELEVEL make -j"$(nproc)" -C "$src" \
        BUILD_BASE="$OUT/tfa" BUILD_STRING=2.12.1 \
        BUILD_MESSAGE_TIMESTAMP='"(not noted)"' CROSS_COMPILE="$CROSS" \
        PLAT=qemu QEMU_USE_GIC_DRIVER=QEMU_GICV3 ENABLE_RME=1 LOG_LEVEL=40 \
        ARM_LINUX_KERNEL_AS_BL33=1 PRELOADED_BL33_BASE="$BL33" qemu_fw.bios
    ln -sfn tfa/qemu/release/qemu_fw.bios "$OUT/firmware.bin"
    done_with tfa "$archive"
}

make_bl33() {
    local -a parts=("$SRC"/mec-bl33.{S,c})
    local header=$TOP/tests/tcg/aarch64/system/mec-cxl.h
    fresh bl33 "${parts[@]}" "$header" && return
    # The linker puts .text.start first: it begins with what TF-A jumps to.
    quietly bl33 "${CROSS}gcc" -march=armv8-a -mgeneral-regs-only -mstrict-align \
        -O1 -Wall -Werror -ffreestanding -fno-pie -no-pie -fno-stack-protector \
        -nostdlib -static -Wl,--build-id=none -Wl,-Ttext="$BL33" \
        -DKERNEL="$KERNEL_AT" -o "$OUT/bl33.elf" "${parts[@]}"
    "${CROSS}objcopy" -O binary "$OUT/bl33.elf" "$OUT/bl33.bin"
    done_with bl33 "${parts[@]}" "$header"
}

make_kernel() {
    local deb
    deb=$(fetch_one "${LINUX[@]}")
    fresh kernel "$deb" && return
    say "unpacking ${deb##*/}"
    rm -rf "$OUT/kernel"
    mkdir -p "$OUT/kernel"
    dpkg-deb --fsys-tarfile "$deb" |
        tar -x -C "$OUT/kernel" --strip-components=2 --wildcards \
            './boot/vmlinuz-*'
    cp "$OUT"/kernel/vmlinuz-* "$OUT/Image"
    done_with kernel "$deb"
}

make_initramfs() {
    local deb root=$OUT/initramfs
    deb=$(fetch_one "${BUSYBOX[@]}")
    fresh initramfs "$deb" "$HERE/init" && return
    rm -rf "$root" "$OUT/busybox"
    mkdir -p "$root"/{bin,dev,proc,tmp} "$OUT/busybox"
    dpkg-deb -x "$deb" "$OUT/busybox"
    cp "$(find "$OUT/busybox" -path '*/bin/busybox' | head -n 1)" "$root/bin/"
    cp "$HERE/init" "$root/init"
    "$PYTHON" "$TOP/scripts/guest/mkcpio.py" "$root" "$OUT/initramfs.cpio"
    done_with initramfs "$deb" "$HERE/init"
}

mkdir -p "$OUT"
make_tfa
make_bl33
make_kernel
make_initramfs
[[ ${1-} != build ]] || exit 0

export BL33 KERNEL_AT INITRAMFS
QEMU=$EMULATOR exec "$PYTHON" "$HERE/firmware.py"
