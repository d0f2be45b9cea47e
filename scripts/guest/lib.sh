# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the guest scripts share: where things are, and how they talk.
# Sourced, never run.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
GUEST=$ROOT/build/guest

# The guest's kernel module, contrib/linux; modinfo and modprobe know it by this
# shellcheck disable=SC2034
MODULE=cxl_type1_crypto

# kernel_group KERNEL: the package group of what a user calls a kernel.  6.1 is
# the machine's own Debian's, "newest" the newest that its mirror has.
kernel_group() {
    case $1 in
    '' | 6.1) echo kernel ;;
    newest) echo kernel7 ;;
    [0-9].*[!0-9]* | [!0-9]* | [0-9][!.]* | [0-9] | [0-9].)
        die "KERNEL=$1: it is \"newest\" or a version like 6.12" ;;
    *) echo "kernel${1/./}" ;;
    esac
}

# cryptsetup, debugfs and depmod live where a plain user's PATH may not look
PATH=$PATH:/usr/sbin:/sbin

say() { printf '[guest] %s\n' "$*" >&2; }
die() { printf '[guest] error: %s\n' "$*" >&2; exit 1; }

need() {
    local tool
    for tool; do
        command -v "$tool" >/dev/null || die "$tool is needed and not installed"
    done
}

# fresh STAMP FILE...: does the stamp record exactly this content?
digest() { sha256sum -- "$@" | awk '{ print $1 }' | sha256sum | cut -c1-64; }
fresh() {
    local stamp=$1
    shift
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(digest "$@")" ]
}

# unpacked TOOL ARGS...: a program of the unpacked packages, with its own libc
unpacked() {
    local root=$GUEST/root tool=$1 file libs
    shift
    libs=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
    for file in "$root"/{usr/,}{sbin,bin}/"$tool"; do
        # a link may be to where the file would be once installed
        [ ! -L "$file" ] || file=$root/bin/$(basename "$(readlink "$file")")
        [ -x "$file" ] || continue
        "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
            --argv0 "$tool" --library-path "$libs" "$file" "$@"
        return
    done
    die "no $tool among the unpacked packages"
}
