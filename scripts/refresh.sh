#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Write the commits base..HEAD of build/qemu back to patches/. Refuses where
# that would lose something; FORCE=1 overwrites patches/ all the same.

. "$(dirname "$0")/lib.sh"

qgit rev-parse -q --verify 'base^{commit}' >/dev/null 2>&1 ||
    die "there is no build/qemu: make prepare"
in_progress "$QEMU" && die "a git am or rebase is in progress in build/qemu:
    finish it first (git am --continue)"

edits=$(qgit status --porcelain --untracked-files=no)
[[ -z $edits ]] || die "build/qemu has edits that are not committed:
$edits
    Commit them there first: one commit per patch (git commit, or --fixup and
    git rebase --autosquash base)."

# New files belong into the repository; only links to them stand here.
strays=
while IFS= read -r f; do
    [[ $f == pc-bios/edk2-*.fd.bz2 ]] ||
    [[ -L $QEMU/$f && $(realpath "$QEMU/$f") == "$TOP/$f" ]] || strays+="    $f"$'\n'
done < <(qgit ls-files -o --exclude-standard)
while IFS= read -r f; do
    [[ -z $f || ! -e $QEMU/$f || -L $QEMU/$f ]] || strays+="    $f"$'\n'
done < <(cat "$STATE/overlay" 2>/dev/null)
[[ -z $strays ]] || die "new files in build/qemu are no part of any patch:
$strays    Move each into this repository at the same path (make prepare links it),
    or delete it."

count=$(qgit rev-list --count base..HEAD)
old=$(patch_files | wc -l)
if [[ -z ${FORCE-} ]]; then
    ((count || !old)) || die "build/qemu has no commits but patches/ has $old:
    'make prepare' applies them; FORCE=1 make refresh deletes them"
    have=$(cat "$STATE/patches" 2>/dev/null || echo none)
    [[ $have == "$(patches_sum)" ]] ||
        die "patches/ changed since it was applied to build/qemu, and would be
    overwritten. Bring the two together first (the commits of build/qemu stay on
    a branch: git -C build/qemu branch mine; git -C build/qemu reset --hard base;
    make prepare; git -C build/qemu cherry-pick ...), or keep only those of
    build/qemu: FORCE=1 make refresh"
fi
merges=$(qgit rev-list --merges base..HEAD)
[[ -z $merges ]] || die "build/qemu has merge commits, which are no patches:
$merges"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export_patches "$QEMU" base HEAD "$tmp"
mkdir -p "$PATCHES"
# First all new contents, then what has no place any more.
for f in "$tmp"/*.patch; do
    [[ -e $f ]] || continue
    if ! cmp -s "$f" "$PATCHES/${f##*/}"; then
        cp "$f" "$PATCHES/.${f##*/}.new"
        mv "$PATCHES/.${f##*/}.new" "$PATCHES/${f##*/}"
        say "wrote patches/${f##*/}"
    fi
done
while IFS= read -r f; do
    if [[ ! -e $tmp/${f##*/} ]]; then
        rm "$f"
        say "removed patches/${f##*/} (replaced, or its commit is gone)"
    fi
done < <(patch_files)
patches_sum > "$STATE/patches"
qgit rev-parse HEAD > "$STATE/head"
say "patches/ holds the $count commits of build/qemu"
