#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make build/guest/{vmlinuz,initramfs.cpio}: Debian's kernel, and a root file
# system in memory with busybox, cryptsetup, mkfs, the test programs and the
# module.  Nothing here needs root.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# What a guest may load; their dependencies come along
MODULES="virtio_pci virtio_blk virtio_crypto algif_skcipher algif_hash dm_crypt
         essiv ext4 crc32c_generic crc32c_intel aesni_intel sha256_ssse3
         authenc dm_zero cxl_pci cxl_port cxl_acpi loop"

PROGRAMS="algtest algbench pattern cxl-litmus faultload"

need gcc-12 python3 readelf
here=$(cd "$(dirname "$0")" && pwd)
"$here/unpack.sh" kernel root
"$here/module.sh" kernel

# Our own programs: for the guest (static); pattern and faultload for the host
# as well
for program in $PROGRAMS; do
    srcs=("$ROOT/tests/guest/$program"{,-*}.c)
    [ -e "${srcs[1]}" ] || srcs=("${srcs[0]}")
    used=("${srcs[@]}" "$ROOT/tests/guest/"{alg,cxl-litmus,faultload}.h
          "$ROOT/include/hw/cxl/cxl_cache_testdev.h")
    if ! fresh "$GUEST/$program.stamp" "${used[@]}"; then
        say "compiling $program"
        gcc-12 -O2 -Wall -Wextra -Werror -static -pthread -I "$ROOT/include" \
               -o "$GUEST/$program" "${srcs[@]}"
        digest "${used[@]}" > "$GUEST/$program.stamp"
    fi
done

sources=("$GUEST/kernel.stamp" "$GUEST/root.stamp" "$GUEST/cxl_type1_cbc.ko"
         "$here/init" "$here/mkcpio.py" "${BASH_SOURCE[0]}" "$here/lib.sh")
for program in $PROGRAMS; do
    sources+=("$GUEST/$program")
done
fresh "$GUEST/image.stamp" "${sources[@]}" && exit

say "making the initramfs"
rm -f "$GUEST/image.stamp"
kernel=$GUEST/kernel root=$GUEST/root image=$GUEST/initramfs
version=$(basename "$kernel"/lib/modules/*)
rm -rf "$image"
mkdir -p "$image"/{bin,sbin,lib64,dev,proc,sys,tmp,run/cryptsetup,mnt,etc,root}
mkdir -p "$image/usr/bin" "$image/usr/sbin" "$image/lib/x86_64-linux-gnu"

# Programs with shared libraries, and the closure of those libraries
libdirs=("$root/lib/x86_64-linux-gnu" "$root/usr/lib/x86_64-linux-gnu")
add_libs() {
    local lib dir
    for lib in $(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        [ ! -e "$image/lib/x86_64-linux-gnu/$lib" ] || continue
        for dir in "${libdirs[@]}"; do
            if [ -e "$dir/$lib" ]; then
                cp -L "$dir/$lib" "$image/lib/x86_64-linux-gnu/"
                add_libs "$dir/$lib"
                continue 2
            fi
        done
        die "$lib, needed by $1, is in none of the packages"
    done
}
for program in cryptsetup dmsetup mke2fs; do
    file=$root/sbin/$program
    [ -e "$file" ] || file=$root/usr/sbin/$program
    cp -L "$file" "$image/sbin/"
    add_libs "$file"
done
ln -s mke2fs "$image/sbin/mkfs.ext4"
cp "$root/etc/mke2fs.conf" "$image/etc/"
cp -L "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$image/lib64/"
# cryptsetup's threads are cancelled through it; nothing links to it
cp -L "$root/lib/x86_64-linux-gnu/libgcc_s.so.1" \
      "$image/lib/x86_64-linux-gnu/" 2>/dev/null || :

cp "$root/bin/busybox" "$image/bin/"
for applet in $("$image/bin/busybox" --list); do
    [ -e "$image/sbin/$applet" ] || [ "$applet" = busybox ] ||
        ln -s busybox "$image/bin/$applet"
done
ln -s ../bin/busybox "$image/sbin/modprobe"     # where the kernel looks
cp "$here/init" "$image/init"
for program in $PROGRAMS; do
    cp "$GUEST/$program" "$image/bin/"
done

# Modules, with what they depend on, and an index of just these
dir=lib/modules/$version
mkdir -p "$image/$dir/extra"
cp "$kernel/$dir"/modules.{order,builtin,builtin.modinfo} "$image/$dir/"
unpacked depmod -b "$kernel" "$version"
dep=$kernel/$dir/modules.dep
for module in $MODULES; do
    line=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$dep") ||
        { grep -qE "/${module//_/[-_]}\.ko" "$kernel/$dir/modules.builtin" &&
          continue; die "no module $module in $version"; }
    for file in ${line//:/ }; do
        mkdir -p "$image/$dir/$(dirname "$file")"
        cp "$kernel/$dir/$file" "$image/$dir/$file"
    done
done
cp "$GUEST/cxl_type1_cbc.ko" "$image/$dir/extra/"
unpacked depmod -b "$image" "$version"

cp "$kernel/boot/vmlinuz-$version" "$GUEST/vmlinuz"
python3 "$here/mkcpio.py" "$image" "$GUEST/initramfs.cpio"
digest "${sources[@]}" > "$GUEST/image.stamp"
