# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts of this folder share.  To be sourced.  A script ends with 0
# when it has seen what it states, 1 when it has seen something else, and 77
# when a pinned package is not to be had (or cannot be run here), which says
# nothing about the finding.

set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
TMP=$(mktemp -d)
export BUILD_ROOT=$TMP          # where scripts/fetch.sh puts what it fetches
trap 'rm -rf "$TMP"' EXIT

skip() { printf 'not to be tried here: %s\n' "$*" >&2; exit 77; }
changed() { printf 'CHANGED: %s\n' "$*" >&2; exit 1; }

[[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] ||
    skip "the pinned packages are Debian's for amd64"

# lists SUITE: have apt's lists of a Debian suite in the temporary folder
lists() {
    [[ -e $TMP/apt/$1/sources.list ]] ||
        "$REPO/scripts/fetch.sh" deb "$1" base-files >/dev/null ||
        skip "there is no list of the packages of $1"
}

# private_apt SUITE ARG...: apt-get as on a machine that has nothing installed
private_apt() {
    local dir=$TMP/apt/$1
    shift
    : >> "$TMP/status"
    apt-get -qq -y -o Dir::Etc::SourceList="$dir/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$dir/state" \
        -o Dir::State::status="$TMP/status" -o Dir::Cache="$dir/cache" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
        -o APT::Install-Recommends=false "$@"
}

# programs SUITE PACKAGE=VERSION...: unpack these and all that they need
programs() {
    local suite=$1 deb
    shift
    lists "$suite"
    private_apt "$suite" --download-only install "$@" >/dev/null ||
        skip "$* cannot be had from $suite"
    for deb in "$TMP/apt/$suite/cache/archives"/*.deb; do
        dpkg -x "$deb" "$TMP/root"
    done
    printf 'packages: %s\n' "$*"
}

# contents SUITE PACKAGE=VERSION FOLDER: unpack this package alone
contents() {
    lists "$1"
    mkdir -p "$3" "$TMP/alone"
    (cd "$TMP/alone" && private_apt "$1" download "$2" >/dev/null) ||
        skip "$2 cannot be had from $1"
    dpkg -x "$TMP/alone"/*.deb "$3"
    rm -r "$TMP/alone"
    printf 'package: %s\n' "$2"
}

# run PROGRAM ARG...: one of the unpacked, with the libraries it came with
run() {
    local lib=$TMP/root/usr/lib/x86_64-linux-gnu program=$1
    shift
    "$lib/ld-linux-x86-64.so.2" --library-path "$lib" \
        "$TMP/root/usr/bin/$program" "$@"
}

# kernel FOLDER PACKAGE-FOLDER MODULE...: a kernel's vmlinuz, and the modules in
# the order in which they go in, to where guest wants them
kernel() {
    local to=$1 from=$2 image module n=10
    shift 2
    mkdir -p "$to/root/lib"
    image=$(find "$from" -name 'vmlinuz*' -type f | head -1)
    [[ $image ]] || skip "there is no vmlinuz in the package"
    mv "$image" "$to/vmlinuz"
    for module; do
        find "$from" -name "$module.ko.xz" -exec xz -dc {} + \
            > "$to/root/lib/$n-$module.ko"
        [[ -s $to/root/lib/$n-$module.ko ]] || skip "there is no $module.ko"
        n=$((n + 1))
    done
}

# guest FOLDER QEMU-ARG...: boot FOLDER/vmlinuz with FOLDER/root, where busybox
# and init are added; print what init, read from stdin, has written
guest() {
    local dir=$1 lib=$TMP/root/usr/lib/x86_64-linux-gnu
    shift
    mkdir -p "$dir"/root/{bin,dev,proc,sys}
    cp "$TMP/root/usr/bin/busybox" "$dir/root/bin/"
    {
        echo '#!/bin/busybox sh'
        echo '/bin/busybox --install -s /bin; PATH=/bin'
        echo 'mount -t proc proc /proc; mount -t sysfs sys /sys'
        # shellcheck disable=SC2016  # for the guest's shell
        echo 'for m in /lib/*.ko; do insmod $m; done'
        echo '('; cat; echo ') 2>&1 | sed "s/^/@ /"'
        echo 'echo; echo @ end; poweroff -f'
    } > "$dir/root/init"
    chmod 755 "$dir/root/init"
    python3 "$REPO/scripts/guest/mkcpio.py" "$dir/root" "$dir/initrd"
    timeout 500 nice "$lib/ld-linux-x86-64.so.2" --library-path "$lib" \
        "$TMP/root/usr/bin/qemu-system-x86_64" \
        -L "$TMP/root/usr/share/qemu" -L "$TMP/root/usr/share/seabios" \
        -accel tcg -cpu qemu64 -m 512M -nodefaults -display none -no-reboot \
        -serial "file:$dir/console" -kernel "$dir/vmlinuz" \
        -initrd "$dir/initrd" -append 'console=ttyS0 quiet panic=-1' \
        "$@" < /dev/null || skip "QEMU or the guest has failed"
    grep -q '^@ end' "$dir/console" || skip "the guest did not get to its end"
    tr -d '\r' < "$dir/console" | sed -n '/^@ end/d; s/^@ //p'
}
