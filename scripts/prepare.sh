#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make build/qemu: a git tree with tag "base" (pristine QEMU 11.1), one commit
# per file of patches/, and this repository's new files linked in at their
# place. Run again, it only does what changed, and refuses to lose work.
# QEMU_SRC=/path takes another 11.1 tree (copied, never changed) as the base.

. "$(dirname "$0")/lib.sh"

REDO="    'make refresh' saves commits of build/qemu to patches/; what is not wanted
    can be dropped with: git -C build/qemu reset --hard base"

# What the base is made of; changes when the given checkout moves on.
source_id() {
    if [[ -z ${QEMU_SRC-} ]]; then
        echo archive
    else
        echo "$QEMU_SRC $(git -C "$QEMU_SRC" rev-parse --verify -q HEAD \
            2>/dev/null || cat "$QEMU_SRC/VERSION")"
    fi
}

unpack_archive() {
    local archive
    archive=$("$TOP/scripts/fetch.sh" source)
    say "unpacking ${archive##*/}"
    tar -xJf "$archive" --strip-components=1 --no-same-owner -C "$1"
    echo "$(cat "$1/VERSION") as released (${archive##*/})" > "$1.title"
}

# Leave out repositories and build folders, wherever they are.
copy_tree() {
    local src=$1 dst=$2 version describe f
    local -a not=(--exclude=.git)
    [[ -f $src/VERSION && -f $src/meson.build && -d $src/hw/cxl ]] ||
        die "QEMU_SRC=$src is no QEMU source tree"
    version=$(cat "$src/VERSION")
    [[ $version == 11.1* || $version == 11.0.9* ]] ||
        die "QEMU_SRC=$src is QEMU $version, the series is for 11.1"
    while IFS= read -r f; do
        not+=(--exclude="./${f%/*}")
    done < <(cd "$src" && find . -maxdepth 3 \
        \( -name build.ninja -o -name config.status \) -printf '%P\n')
    say "copying $src (QEMU $version)"
    tar -C "$src" "${not[@]}" -cf - . | tar -C "$dst" --no-same-owner -xf -
    # A git checkout lacks this subproject and would download it.
    if [[ ! -e $dst/subprojects/keycodemapdb/meson.build ]]; then
        say "taking subprojects/keycodemapdb from the release archive"
        tar -xJf "$("$TOP/scripts/fetch.sh" source)" -C "$dst" \
            --strip-components=1 --wildcards '*/subprojects/keycodemapdb'
    fi
    describe=$(git -C "$src" describe --always --tags 2>/dev/null || true)
    echo "$version${describe:+ at $describe} (a tree of the user's)" \
        > "$dst.title"
}

make_base() {
    local new=$QEMU.new
    rm -rf "$new" "$new.title"
    mkdir -p "$new"
    if [[ -n ${QEMU_SRC-} ]]; then
        copy_tree "$QEMU_SRC" "$new"
    else
        unpack_archive "$new"
    fi
    say "recording it as tag base of build/qemu"
    git -C "$new" init -q -b series
    set_identity "$new"
    # -f: a released file counts even where QEMU's .gitignore names it.
    git -C "$new" add -A -f
    git -C "$new" commit -q -m "QEMU $(cat "$new.title")"
    git -C "$new" tag base
    mkdir -p "$new/.git/cxl-type1"
    source_id > "$new/.git/cxl-type1/source"
    rm -rf "$QEMU" "$new.title"
    mv "$new" "$QEMU"
}

# Nothing in build/qemu that exists nowhere else?
tracked_edits() { qgit status --porcelain --untracked-files=no; }

commits_are_patches() {
    local tmp status=0
    tmp=$(mktemp -d)
    export_patches "$QEMU" base HEAD "$tmp"
    (cd "$tmp" && find . -name '*.patch' | sort) > "$tmp/names"
    while IFS= read -r f; do
        cmp -s "$tmp/$f" "$PATCHES/$f" || status=1
    done < "$tmp/names"
    [[ $(wc -l < "$tmp/names") == $(patch_files | wc -l) ]] || status=1
    rm -rf "$tmp"
    return $status
}

at_base() { [[ $(qgit rev-parse HEAD) == $(qgit rev-parse 'base^{commit}') ]]; }

refuse_to_lose() {
    local edits
    edits=$(tracked_edits)
    [[ -z $edits ]] || die "$1, but files of build/qemu have edits that are not committed:
$edits
    Commit them there first (one commit per patch, or --amend).
$REDO"
    at_base || commits_are_patches ||
    [[ $(cat "$STATE/head" 2>/dev/null) == $(qgit rev-parse HEAD) ]] ||
        die "$1, but build/qemu has commits that patches/ has not.
$REDO"
}

check_source() {
    local have want
    want=$(source_id)
    have=$(cat "$STATE/source" 2>/dev/null || echo archive)
    [[ -n ${QEMU_SRC-} && $have != "$want" ]] || return 0
    refuse_to_lose "the base would become QEMU_SRC=$QEMU_SRC"
    say "build/qemu was made from: $have; making it anew"
    rm -rf "$QEMU"
    make_base
}

# File times of what an unchanged patch touches stay, so that nothing is
# built again for it.
save_times() {
    (cd "$QEMU" && git diff --name-only base "$1" | while IFS= read -r f; do
        if [[ -f $f ]]; then
            printf '%s %s\n' "$(stat -c %Y "$f")" "$f"
        fi
    done)
}

restore_times() {
    local old=$1 times=$2 t f
    (cd "$QEMU" && while read -r t f; do
        if [[ -f $f ]] && git diff --quiet "$old" HEAD -- "$f"; then
            touch -d "@$t" -- "$f"
        fi
    done <<< "$times")
}

# A foreign base lacks the file versions that the patches were made against,
# which git needs to merge where the context differs. Record them.
know_release() {
    local tmp=$BUILD/release.tmp archive
    local -a p=("$@") files
    [[ $(cat "$STATE/source") != archive ]] || return 0
    mapfile -t files < <(git apply --numstat "${p[@]}" | cut -f3 | sort -u)
    archive=$("$TOP/scripts/fetch.sh" source) || return 0
    rm -rf "$tmp"
    mkdir "$tmp"
    # A file that only a patch creates is not in the archive.
    tar -xJf "$archive" --strip-components=1 -C "$tmp" --wildcards \
        "${files[@]/#/*/}" 2>/dev/null || true
    git -C "$tmp" init -q
    set_identity "$tmp"
    git -C "$tmp" add -A -f
    git -C "$tmp" commit -q -m release
    git -C "$tmp" am -q --keep-cr "${p[@]}" >/dev/null 2>&1 ||
        say "note: patches/ does not apply to the release archive"
    qgit fetch -q "$tmp" "+HEAD:refs/cxl-type1/release"
    rm -rf "$tmp"
}

apply_patches() {
    local old times
    local -a p
    mapfile -t p < <(patch_files)
    old=$(qgit rev-parse HEAD)
    times=$(save_times "$old")
    unlink_overlay all
    qgit reset -q --hard base
    patches_sum > "$STATE/patches"
    if ((${#p[@]})); then
        say "applying ${#p[@]} patches"
        know_release "${p[@]}"
        qgit am -q --3way --keep-cr "${p[@]}" > "$BUILD/am.log" 2>&1 || conflict
    fi
    qgit rev-parse HEAD > "$STATE/head"
    restore_times "$old" "$times"
}

conflict() {
    local n name
    n=$(cat "$QEMU/.git/rebase-apply/next" 2>/dev/null || echo 1)
    name=$(patch_files | sed -n "${n}p")
    cat "$BUILD/am.log" >&2
    die "patches/${name##*/} does not apply to $(qgit log -1 --format=%s base).
    Its predecessors are applied; it waits in build/qemu to be resolved:
        cd build/qemu
        git am --show-current-patch=diff
        edit, git add FILES, git am --continue      (or git am --abort)
    and then 'make refresh' writes the result to patches/."
}

update_patches() {
    in_progress "$QEMU" && die "a git am or rebase is in progress in build/qemu:
    finish it (git am --continue) or drop it (git am --abort), then run again"
    mkdir -p "$STATE"
    [[ -e $STATE/source ]] || source_id > "$STATE/source"
    if [[ $(cat "$STATE/patches" 2>/dev/null) == "$(patches_sum)" ]]; then
        # The same patches; a person may have reset the tree to its base.
        if ! at_base || [[ $(patches_sum) == none ]]; then
            return
        fi
    elif commits_are_patches; then
        patches_sum > "$STATE/patches"
        qgit rev-parse HEAD > "$STATE/head"
        return
    fi
    refuse_to_lose "patches/ would be applied anew"
    apply_patches
}

# Remove links that an earlier run made: all of them, or those to files that
# are gone.
unlink_overlay() {
    local f
    [[ -e $STATE/overlay ]] || return 0
    while IFS= read -r f; do
        if [[ -L $QEMU/$f && ($1 == all || ! -e $TOP/$f) ]]; then
            rm -f "$QEMU/$f"
            (cd "$QEMU" && rmdir -p --ignore-fail-on-non-empty \
                "$(dirname "$f")" 2>/dev/null) || true
        fi
    done < "$STATE/overlay"
}

link_overlay() {
    local f list up
    list=$(overlay_files)
    unlink_overlay gone
    while IFS= read -r f; do
        [[ -n $f ]] || continue
        [[ ! -L $QEMU/$f ]] || continue
        if [[ -e $QEMU/$f ]]; then
            if qgit ls-files --error-unmatch -- "$f" >/dev/null 2>&1; then
                die "$f is a file of QEMU's: change it by a patch (commit in
    build/qemu, then make refresh) and remove it from this repository"
            fi
            cmp -s "$QEMU/$f" "$TOP/$f" || die "build/qemu/$f is in the way of \
the repository's $f
    and differs from it: keep one of them"
        fi
        mkdir -p "$QEMU/$(dirname "$f")"
        up=$(realpath --relative-to="$QEMU/$(dirname "$f")" "$TOP/$f")
        ln -sfn "$up" "$QEMU/$f"
    done <<< "$list"
    printf '%s\n' "$list" > "$STATE/overlay"
    {
        echo "# written by scripts/prepare.sh"
        printf '/pc-bios/edk2-%s.fd.bz2\n' "${EDK2_ARCHIVES[@]}"
        echo "/build-*/"
        printf '%s\n' "$list" | sed -n 's,^.,/&,p'
    } > "$QEMU/.git/info/exclude"
}

if [[ -n ${QEMU_SRC-} ]]; then
    QEMU_SRC=$(realpath -e "$QEMU_SRC") || die "QEMU_SRC=$QEMU_SRC is not there"
fi
mkdir -p "$BUILD"
exec 9> "$BUILD/.prepare.lock"
flock 9

if ! qgit rev-parse -q --verify 'base^{commit}' >/dev/null 2>&1; then
    [[ ! -e $QEMU ]] ||
        die "build/qemu is there but has no tag 'base': move it away"
    make_base
fi
set_identity "$QEMU"
check_source
update_patches
link_overlay
add_missing "$QEMU"
