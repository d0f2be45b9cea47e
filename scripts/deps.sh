#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Install the Debian packages that are missing:
#   scripts/deps.sh [build|run|quick|guest|arm64|mec|check]...     (default: build run)
# The lists below are the only place where packages are named.

. "$(dirname "$0")/lib.sh"

# Base tools the scripts call, then what QEMU's configure asks for.
fetch_list="git curl ca-certificates xz-utils python3"
build_list="$fetch_list gcc libc6-dev make bzip2 perl python3-venv python3-pip
    python3-setuptools python3-wheel ninja-build pkg-config
    device-tree-compiler ccache libglib2.0-dev libfdt-dev libssl-dev zlib1g-dev
    libslirp-dev"
# SeaBIOS, network option ROMs, linuxboot_dma.bin and kvmvapic.bin.
run_list="seabios ipxe-qemu qemu-system-data"
# The standalone part: meson.build at the top.
quick_list="git gcc libc6-dev make python3 meson ninja-build pkg-config
    libglib2.0-dev libssl-dev mscgen python3-docutils"
# The fuzzer of CXL.cache
fuzz_list="$quick_list clang-14 libclang-rt-14-dev"
# What makes the guest's initramfs and module, and checks its disk afterwards.
# Kernel and headers are not installed: they are unpacked under build/.
guest_list="gcc binutils make python3 cpio busybox-static cryptsetup-bin dmsetup kmod openssl e2fsprogs
    xz-utils mscgen"
# Firmware, bare-metal payloads and a kernel for arm64; the latter is unpacked.
mec_list="gcc libc6-dev make python3 curl xz-utils libssl-dev gcc-aarch64-linux-gnu
    binutils-aarch64-linux-gnu device-tree-compiler"
# An arm64 guest: its programs need a C library, unlike what mec compiles.
arm64_list="$guest_list gcc-12-aarch64-linux-gnu libc6-dev-arm64-cross"
# shellcheck disable=SC2034  # the lists are read by name
check_list="$build_list $run_list $quick_list $fuzz_list $guest_list $arm64_list $mec_list"

installed() {
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

missing=()
for set in "${@:-build run}"; do
    for name in $set; do
        list=${name}_list
        [[ -v $list ]] || die "$0: no package list '$name'"
        for p in ${!list}; do
            installed "$p" || [[ " ${missing[*]} " == *" $p "* ]] || missing+=("$p")
        done
    done
done
((${#missing[@]})) || exit 0

command -v apt-get >/dev/null ||
    die "this is no Debian: install what corresponds to: ${missing[*]}"

as_root=()
if ((EUID != 0)); then
    if sudo -n true 2>/dev/null; then
        as_root=(sudo -n)
    else
        die "these packages are missing and only root can install them:
    apt-get install --no-install-recommends ${missing[*]}"
    fi
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" \
        </dev/null >"$log" 2>&1
}
install_missing() { apt install -y --no-install-recommends "${missing[@]}"; }

say "installing ${#missing[@]} Debian packages: ${missing[*]}"
# Package lists may be absent or name files that are gone: update only then.
if ! install_missing; then
    say "updating the package lists first"
    apt update || { tail -n 5 "$log" >&2; die "apt-get update failed"; }
    install_missing || {
        tail -n 15 "$log" >&2
        die "apt-get could not install: ${missing[*]}"
    }
fi
