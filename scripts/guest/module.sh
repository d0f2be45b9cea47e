#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build contrib/linux, contrib/linux/cbit, and the test module of
# tests/guest/kmod, against unpacked headers; any warning is an error.  They end
# up in build/guest/module-GROUP, cbit-GROUP and testmodule-GROUP; for the
# default kernel ours in build/guest, too.
#
# usage: module.sh GROUP        kernel, kernel612, ... (fetch.sh knows them)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
group=$1
"$here/unpack.sh" "$group"
headers=$(echo "$GUEST/$group"/usr/src/linux-headers-*-amd64)

# The compiler that the kernel was built with, its first number; ours does for
# older ones
gcc=$(sed -n 's/^CONFIG_GCC_VERSION=\(.*\)..../\1/p' "$headers/.config")
options=()
if [ "$gcc" -gt 12 ]; then
    need make
    "$here/compiler.sh" "$GUEST/$group/usr/lib"
    # The assembler and the linker are looked for along PATH
    PATH=$GUEST/compiler/usr/bin:$PATH
    options=(CC=x86_64-linux-gnu-gcc-14 KBUILD_OUTPUT="$headers")
else
    need make gcc-12
fi

# build FOLDER OUT [HEADER]...: the module of one folder, with headers of QEMU's
build() {
    local src=$1 out=$2
    shift 2
    local sources=("$src"/*.[ch] "$src/Kbuild" "$@" "$GUEST/debs/$group.list"
                   "$here/compiler.sh" "${BASH_SOURCE[0]}")
    ! fresh "$out.stamp" "${sources[@]}" || return 0
    say "building ${src#"$ROOT/"} for ${headers##*/linux-headers-}"
    rm -rf "$out" "$out.stamp"
    mkdir -p "$out"
    cp "$src"/{*.[ch],Kbuild} "$@" "$out"
    # BTF would want pahole and the kernel's own; nothing here needs it
    if ! nice make -C "$headers" M="$out" W=1 "${options[@]}" \
              CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$out/log" 2>&1; then
        cat "$out/log" >&2
        die "${src#"$ROOT/"} does not build"
    fi
    # Kernels of sid are built with a newer compiler still; pahole is for BTF
    sed -e '/warning: the compiler differs from the one used to build/,+2d' \
        -e '/warning: pahole version differs from the one used to build/d' \
        "$out/log" > "$out/log.ours"
    if grep -iE 'warning|error' "$out/log.ours" >&2; then
        die "${src#"$ROOT/"} builds with warnings, see $out/log"
    fi
    digest "${sources[@]}" > "$out.stamp"
}

build "$ROOT/contrib/linux" "$GUEST/module-$group"
build "$ROOT/contrib/linux/cbit" "$GUEST/cbit-$group" \
    "$ROOT/include/hw/cxl/cxl_cbit_alias_regs.h"
build "$ROOT/tests/guest/kmod" "$GUEST/testmodule-$group"
[ "$group" != kernel ] ||
    cp "$GUEST/module-$group/$MODULE.ko" "$GUEST/$MODULE.ko"
