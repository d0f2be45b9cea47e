# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash disable=SC2034
#
# What the scripts of this folder share: where things are, how the QEMU tree
# in build/qemu is described, and messages. To be sourced.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
BUILD=${BUILD_ROOT:-$TOP/build}
QEMU=$BUILD/qemu
DL=$BUILD/dl
PYDEPS=$BUILD/pydeps
PATCHES=$TOP/patches
STATE=$QEMU/.git/cxl-type1
# configure's Python must be the system's: it is the one that sees Debian's
# modules, whatever stands first in PATH.
PYTHON=/usr/bin/python3

# New files of the series live under these folders, at their QEMU path.
OVERLAY_DIRS=(hw include backends target tests qapi docs contrib)
OVERLAY_NOT=(':!tests/quick' ':!tests/guest' ':!tests/field' ':!tests/chart'
    ':!docs/pictures' ':!contrib/linux')

# The same git everywhere: no personal settings, any owner of the checkout.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

qgit() { git -C "$QEMU" "$@"; }

# Commits made in build/qemu, by a person or by these scripts.
set_identity() {
    git -C "$1" config user.name "Seed 9b3481f1 maintainers"
    git -C "$1" config user.email \
        "maintainers@users.noreply.h-seed-9b3481f1.example"
    git -C "$1" config core.hooksPath /dev/null
    git -C "$1" config commit.gpgSign false
    git -C "$1" config gc.auto 0
}

# The repository's new QEMU files, one path a line.
overlay_files() {
    local f
    git -C "$TOP" ls-files -co --exclude-standard -- \
        "${OVERLAY_DIRS[@]}" "${OVERLAY_NOT[@]}" | sort -u |
    while IFS= read -r f; do
        if [[ -e $TOP/$f ]]; then
            printf '%s\n' "$f"
        fi
    done
}

patch_files() { find "$PATCHES" -maxdepth 1 -name '[0-9]*.patch' 2>/dev/null | sort; }

# One sum over the names and contents of all patches ("none" without any).
patches_sum() {
    local -a p
    mapfile -t p < <(patch_files)
    if ((${#p[@]})); then
        (cd "$PATCHES" && sha256sum -- "${p[@]##*/}") | sha256sum | cut -c1-64
    else
        echo none
    fi
}

# Commits $2..$3 of tree $1 as patch files in folder $4, in a form that does
# not change from one run, machine or git version to the next.
export_patches() {
    git -C "$1" format-patch -q --zero-commit --no-signature -N --no-stat \
        --no-renames --abbrev=12 --diff-algorithm=myers -o "$4" "$2..$3"
}

# Values of the New-file: trailers in the commit message on stdin.
new_file_trailers() { sed -n 's/^New-file:[[:space:]]*//p'; }

# Debian's +ds archive leaves these firmware archives out; meson wants them to
# exist wherever bzip2 is installed, and unpacks them.
EDK2_ARCHIVES=(aarch64-code arm-code arm-vars i386-code i386-secure-code
    i386-vars loongarch64-code loongarch64-vars riscv-code riscv-vars
    x86_64-code x86_64-secure-code)

# Create in tree $1 what a +ds tree lacks, and keep it out of git's sight.
add_missing() {
    local a f
    for a in "${EDK2_ARCHIVES[@]}"; do
        f=pc-bios/edk2-$a.fd.bz2
        if [[ ! -e $1/$f ]]; then
            : | bzip2 > "$1/$f"
        fi
    done
}

# Build what needs no QEMU in build/quick: all of it, or these of its targets.
build_quick() {
    "$TOP/scripts/deps.sh" quick || return 1
    mkdir -p "$BUILD"
    [[ -e $BUILD/quick/build.ninja ]] ||
        meson setup "$BUILD/quick" "$TOP" > "$BUILD/quick.log" 2>&1 ||
        { tail "$BUILD/quick.log"; return 1; }
    ninja -C "$BUILD/quick" --quiet "$@"
}

in_progress() {
    local d
    for d in rebase-apply rebase-merge CHERRY_PICK_HEAD; do
        if [[ -e $1/.git/$d ]]; then
            return 0
        fi
    done
    return 1
}
