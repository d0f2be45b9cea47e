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
              './*lib/modules/*/kernel/drivers/dax/*'
              './*lib/modules/*/kernel/drivers/iommu/*'
              './*lib/modules/*/kernel/drivers/md/*'
              './*lib/modules/*/kernel/drivers/net/veth.ko*'
              './*lib/modules/*/kernel/drivers/vfio/*'
              './*lib/modules/*/kernel/drivers/virtio/*'
              './*lib/modules/*/kernel/virt/*'
              './*lib/modules/*/kernel/net/ipv4/*'
              './*lib/modules/*/kernel/net/xfrm/*')

# These parts of a package, as far as it has them
unpack_parts() {
    local deb=$1 dir=$2 log=$2.log
    shift 2
    dpkg-deb --fsys-tarfile "$deb" |
        LC_ALL=C tar -x -C "$dir" --wildcards "$@" 2>"$log" ||
        ! grep -vE 'Not found in archive|Exiting with failure' "$log" >&2 ||
        die "cannot unpack $deb"
    rm "$log"
}

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
    local list=$GUEST/debs/$group.list
    fresh "$dir.stamp" "$list" "${BASH_SOURCE[0]}" && return
    say "unpacking $group"
    rm -rf "$dir" "$dir.stamp"
    mkdir -p "$dir"
    while read -r _ _ name _; do
        # From 7.2 on the modules are in a package of their own
        if [[ $name == linux-image-* || $name == linux-modules-* ]]; then
            unpack_parts "$GUEST/debs/$name" "$dir" "${KERNEL_PARTS[@]}"
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
