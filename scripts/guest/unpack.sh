#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Unpack fetched package groups into build/guest/GROUP, once per content.
#
# usage: unpack.sh GROUP...    (fetch.sh knows them)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The kernel package is 400 MB, nearly all of it drivers for real machines
KERNEL_PARTS=('./boot/*' './*lib/modules/*/modules.*'
              './*lib/modules/*/kernel/arch/*'
              './*lib/modules/*/kernel/crypto/*'
              './*lib/modules/*/kernel/lib/*'
              './*lib/modules/*/kernel/fs/ext4/*'
              './*lib/modules/*/kernel/fs/jbd2/*'
              './*lib/modules/*/kernel/fs/mbcache.ko*'
              './*lib/modules/*/kernel/drivers/block/*'
              './*lib/modules/*/kernel/drivers/char/*'
              './*lib/modules/*/kernel/drivers/crypto/virtio/*'
              './*lib/modules/*/kernel/drivers/cxl/*'
              './*lib/modules/*/kernel/drivers/md/*'
              './*lib/modules/*/kernel/drivers/net/veth.ko*'
              './*lib/modules/*/kernel/drivers/vfio/*'
              './*lib/modules/*/kernel/drivers/virtio/*'
              './*lib/modules/*/kernel/net/ipv4/*'
              './*lib/modules/*/kernel/net/xfrm/*')

# From 7.2 on it is in three: these, with all there is of crypto, for a guest
# that only tries the device
SPLIT_PARTS=('./usr/lib/modules/*/kernel/arch/*'
             './usr/lib/modules/*/kernel/crypto/*'
             './usr/lib/modules/*/kernel/lib/*'
             './usr/lib/modules/*/kernel/drivers/block/*'
             './usr/lib/modules/*/kernel/drivers/crypto/virtio/*'
             './usr/lib/modules/*/kernel/drivers/cxl/*')

# To where older kernels have it
unmerge_usr() {
    local dir=$1 version
    [ -d "$dir/usr/lib/modules" ] || return 0
    version=$(basename "$dir"/usr/lib/modules/*)
    mkdir -p "$dir/lib/modules" "$dir/boot"
    cp -rl "$dir/usr/lib/modules/$version" "$dir/lib/modules/"
    rm -r "$dir/usr/lib/modules"
    if [ -e "$dir/lib/modules/$version/vmlinuz" ]; then
        mv "$dir/lib/modules/$version/vmlinuz" "$dir/boot/vmlinuz-$version"
    fi
}

unpack() {
    local group=$1 dir=$GUEST/$1 name
    local parts=("${KERNEL_PARTS[@]}")
    # In the other kernels what there is of these is no module
    case $group in
    kernel612) parts+=('./*lib/modules/*/kernel/drivers/iommu/*') ;;&
    kernel | kernel612) parts+=('./*lib/modules/*/kernel/virt/*') ;;
    esac
    local list=$GUEST/debs/$group.list
    fresh "$dir.stamp" "$list" "${BASH_SOURCE[0]}" && return
    say "unpacking $group"
    rm -rf "$dir" "$dir.stamp"
    mkdir -p "$dir"
    while read -r _ _ name _; do
        if [[ $name == linux-image-* ]]; then
            dpkg-deb --fsys-tarfile "$GUEST/debs/$name" |
                tar -x -C "$dir" --wildcards "${parts[@]}"
        elif [[ $name == linux-modules-* ]]; then
            dpkg-deb --fsys-tarfile "$GUEST/debs/$name" |
                tar -x -C "$dir" --wildcards "${SPLIT_PARTS[@]}"
        else
            dpkg-deb -x "$GUEST/debs/$name" "$dir"
        fi
    done < "$list"
    unmerge_usr "$dir"
    # Newer kernels' modules are compressed; busybox and ours are not
    find "$dir" -path "$dir/lib/modules/*.ko.xz" -exec xz -d {} +
    # The headers find their common part at an absolute path; here they don't
    # shellcheck disable=SC2016  # for make to expand
    sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|
            ' "$dir"/usr/src/linux-headers-*/Makefile 2>/dev/null || :
    digest "$list" "${BASH_SOURCE[0]}" > "$dir.stamp"
}

for group; do
    "$(dirname "$0")/fetch.sh" "$group"
    unpack "$group"
done
