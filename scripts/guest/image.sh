#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make build/guest/{vmlinuz,initramfs.cpio}: Debian's kernel, and a root file
# system in memory with busybox, cryptsetup, mkfs, the test programs and the
# module.  Nothing here needs root.
#
# usage: image.sh [GROUP]       (default: what KERNEL=, or else IOMMU= needs)
#   kernel              the default
#   kernel612, kernel72, ...
#                       the same with that kernel: vmlinuz612,initramfs612.cpio
#   kernel7             ... with the newest one that the mirror has
#   kernel-arm64, kernel612-arm64, kernel7-arm64
#                       another architecture: {vmlinuz-arm64,...}, with its
#                       firmware; busybox and some of the test programs are all
#                       that is in it
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# What a guest may load; their dependencies come along
MODULES="virtio_pci virtio_blk virtio_crypto algif_skcipher algif_hash dm_crypt
         essiv xts ext4 aesni_intel authenc dm_zero dm_integrity cxl_pci
         cxl_port cxl_acpi cxl_mem loop vfio_pci vfio_iommu_type1 hmac
         echainiv esp4 xfrm_user veth"
# In some kernels these are no modules, or there are none.  The IV generator of
# ESP needs a random generator
OPTIONAL="ecb ctr crc32c_generic crc32c_intel sha256_ssse3 crc32c_cryptoapi
          cryptd virtio_iommu drbg sha512_generic jitterentropy_rng dax_cxl
          device_dax"
PROGRAMS="algtest algbench pattern heldread cxl-litmus faultload vfio-crypto
          cbit-load cxl-fm daxmap"
TOOLS="cryptsetup dmsetup mke2fs ip cxl"

# The default kernel was built without a driver for it
if [ "${IOMMU-}" = virtio ] && [ -z "${KERNEL-}" ]; then
    set -- "${1:-kernel612}"
fi
group=${1:-$(kernel_group "${KERNEL-}")}
suffix=${group#kernel}
rootfs=root
cc=gcc-12
bin=$GUEST                          # where our own programs are made
case $group in
kernel*-arm64)
    MODULES="virtio_pci virtio_crypto algif_skcipher vfio_pci vfio_iommu_type1"
    PROGRAMS="algtest vfio-crypto"
    TOOLS=
    OPTIONAL=
    rootfs="root-arm64"
    cc=aarch64-linux-gnu-gcc-12
    bin=$GUEST/arm64
    mkdir -p "$bin" ;;&
kernel7-arm64)
    MODULES="virtio_pci virtio_crypto"
    PROGRAMS= ;;
esac

need "$cc" python3 readelf
# One at a time: tests that run side by side share what is made here.
mkdir -p "$GUEST"
exec 8> "$GUEST/lock"
flock 8
here=$(cd "$(dirname "$0")" && pwd)
# depmod of amd64's root serves every architecture
"$here/unpack.sh" "$group" root
inputs=("$GUEST/$group.stamp" "$GUEST/$rootfs.stamp")
kos=()
if [ "$rootfs" = root-arm64 ]; then
    "$here/unpack.sh" root-arm64 firmware-arm64
else
    "$here/module.sh" "$group"
    kos=("$GUEST/module-$group/$MODULE.ko")
    kos+=("$GUEST/testmodule-$group/cxl_crypto_test.ko")
    kos+=("$GUEST/cbit-$group/cxl_cbit_lab.ko")
    inputs+=("${kos[@]}")
fi

# Our own programs: for the guest (static); pattern and faultload for the host
# as well
for program in $PROGRAMS; do
    srcs=("$ROOT/tests/guest/$program"{,-*}.c)
    [ -e "${srcs[1]}" ] || srcs=("${srcs[0]}")
    used=("${srcs[@]}" "$ROOT/tests/guest/"*.h
          "$ROOT/include/hw/cxl/cxl_cache_testdev.h"
          "$ROOT/contrib/linux/cbit/cxl_cbit_lab.h")
    if ! fresh "$bin/$program.stamp" "${used[@]}"; then
        say "compiling $program"
        "$cc" -O2 -Wall -Wextra -Werror -static -pthread -I "$ROOT/include" \
              -o "$bin/$program" "${srcs[@]}"
        digest "${used[@]}" > "$bin/$program.stamp"
    fi
done

stamp=$GUEST/image$suffix.stamp
sources=("${inputs[@]}" "$here/init" "$here/mkcpio.py" "${BASH_SOURCE[0]}"
         "$here/lib.sh")
for program in $PROGRAMS; do
    sources+=("$bin/$program")
done
fresh "$stamp" "${sources[@]}" && exit

say "making the initramfs for the $group"
rm -f "$stamp"
kernel=$GUEST/$group root=$GUEST/$rootfs image=$GUEST/initramfs$suffix
version=$(basename "$kernel"/lib/modules/*)
rm -rf "$image"
mkdir -p "$image"/{bin,sbin,dev,proc,sys,tmp,run/cryptsetup,mnt,etc,root}
mkdir -p "$image/usr/bin" "$image/usr/sbin"

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
add_tools() {
    local program file
    mkdir -p "$image/lib64" "$image/lib/x86_64-linux-gnu"
    for program in $TOOLS; do
        file=$root/sbin/$program
        [ -e "$file" ] || file=$root/usr/sbin/$program
        [ -e "$file" ] || file=$root/usr/bin/$program
        # a link is to where it would be once installed
        [ ! -L "$file" ] || [ ! -e "$root/bin/$program" ] ||
            file=$root/bin/$program
        cp -L "$file" "$image/sbin/"
        add_libs "$file"
    done
    ln -s mke2fs "$image/sbin/mkfs.ext4"
    cp "$root/etc/mke2fs.conf" "$image/etc/"
    cp -L "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$image/lib64/"
    # cryptsetup's threads are cancelled through it; nothing links to it
    cp -L "$root/lib/x86_64-linux-gnu/libgcc_s.so.1" \
          "$image/lib/x86_64-linux-gnu/" 2>/dev/null || :
}
[ -z "$TOOLS" ] || add_tools

cp "$root/bin/busybox" "$image/bin/"
# asked of the one that runs here: Debian's have the same on every architecture
for applet in $("$GUEST/root/bin/busybox" --list); do
    [ -e "$image/sbin/$applet" ] || [ "$applet" = busybox ] ||
        ln -s busybox "$image/bin/$applet"
done
ln -s ../bin/busybox "$image/sbin/modprobe"     # where the kernel looks
cp "$here/init" "$image/init"
for program in $PROGRAMS; do
    cp "$bin/$program" "$image/bin/"
done

# Modules, with what they depend on, and an index of just these
dir=lib/modules/$version
mkdir -p "$image/$dir"
cp "$kernel/$dir"/modules.{order,builtin,builtin.modinfo} "$image/$dir/"
unpacked depmod -b "$kernel" "$version"
dep=$kernel/$dir/modules.dep
for module in $MODULES $OPTIONAL; do
    line=$(grep -E "(^|/)${module//_/[-_]}\.ko:" "$dep") ||
        { [[ " ${OPTIONAL//$'\n'/ } " == *" $module "* ]] && continue
          grep -qE "/${module//_/[-_]}\.ko" "$kernel/$dir/modules.builtin" &&
          continue; die "no module $module in $version"; }
    for file in ${line//:/ }; do
        mkdir -p "$image/$dir/$(dirname "$file")"
        cp "$kernel/$dir/$file" "$image/$dir/$file"
    done
done
if [ ${#kos[@]} -gt 0 ]; then
    mkdir "$image/$dir/extra"
    cp "${kos[@]}" "$image/$dir/extra/"
fi
unpacked depmod -b "$image" "$version"

cp "$kernel/boot/vmlinuz-$version" "$GUEST/vmlinuz$suffix"
python3 "$here/mkcpio.py" "$image" "$GUEST/initramfs$suffix.cpio"
digest "${sources[@]}" > "$stamp"
