#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build contrib/linux, and the test module tests/guest/kmod, against unpacked
# headers; any warning is an error.
#
# usage: module.sh {kernel|kernel612}
#   kernel      for the guest's kernel  -> build/guest/cxl_type1_crypto.ko
#   kernel612   for a 6.12 kernel, to see that it compiles
set -euo pipefail
. "$(dirname "$0")/lib.sh"

need make gcc-12
group=$1
here=$(cd "$(dirname "$0")" && pwd)
"$here/unpack.sh" "$group"

list=$GUEST/debs/$group.list
headers=$(echo "$GUEST/$group"/usr/src/linux-headers-*-amd64)

# build_module SOURCES FOLDER
build_module() {
    local src=$1 out=$2
    local sources=("$src"/*.[ch] "$src/Kbuild" "$src/Makefile" "$list"
                   "$here/module.sh")
    ! fresh "$out.stamp" "${sources[@]}" || return 0
    say "building ${src#"$ROOT/"} for ${headers##*/linux-headers-}"
    rm -rf "$out" "$out.stamp"
    mkdir -p "$out"
    cp "$src"/{*.[ch],Kbuild,Makefile} "$out"
    # BTF would want pahole and the kernel's own; nothing here needs it
    if ! nice make -C "$out" KDIR="$headers" W=1 \
              CONFIG_DEBUG_INFO_BTF_MODULES= >"$out/log" 2>&1; then
        cat "$out/log" >&2
        die "the kernel module does not build"
    fi
    if grep -iE 'warning|error' "$out/log" >&2; then
        die "the kernel module builds with warnings, see $out/log"
    fi
    digest "${sources[@]}" > "$out.stamp"
}

build_module "$ROOT/contrib/linux" "$GUEST/module-$group"
build_module "$ROOT/tests/guest/kmod" "$GUEST/kmod-$group"
[ "$group" != kernel ] || cp "$GUEST/module-$group/cxl_type1_crypto.ko" "$GUEST/"
