#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   series.sh OUT        write the complete series, ready to mail, to folder
#                        OUT: patches/ plus the new files that each claims by
#                        "New-file: PATH" lines in its message. Proves that it
#                        applies to a pristine base and gives the very tree
#                        that build/qemu and this repository give.
#   series.sh OUT check  and: scripts/checkpatch.pl on every patch; FULL=1
#                        builds the tree at every patch.
# patches/cover-letter.txt (subject, empty line, text) becomes 0000.

. "$(dirname "$0")/lib.sh"

out=${1:?usage: series.sh OUT [check]}
mode=${2-}
allow=$PATCHES/checkpatch-allow.txt

mkdir -p "$out"
out=$(realpath "$out")
foreign=$(find "$out" -mindepth 1 -maxdepth 1 ! -name '[0-9]*.patch' | head -3)
[[ -z $foreign ]] || die "OUT=$out holds other things: $foreign"

[[ $(patch_files) ]] || die "patches/ is empty"
[[ $(cat "$STATE/patches" 2>/dev/null) == "$(patches_sum)" &&
   -z $(qgit status --porcelain --untracked-files=no) &&
   $(cat "$STATE/head" 2>/dev/null) == $(qgit rev-parse HEAD) ]] ||
    die "build/qemu and patches/ differ: make refresh (or make prepare) first"

tmp=$(mktemp -d "$BUILD/series.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# A clone at the base, in folder $1. With "sparse" only the files that the
# series touches are written out: a whole QEMU tree takes long to write.
new_clone() {
    git clone -q --shared --no-checkout "$QEMU" "$1"
    set_identity "$1"
    if [[ ${2-} == sparse ]]; then
        { qgit diff --name-only base HEAD; cat "$tmp/overlay"; } |
            sed 's,^,/,' | git -C "$1" sparse-checkout set --no-cone --stdin
    fi
    git -C "$1" checkout -q -B series base
}

# Every new file of the repository is claimed by exactly one patch.
check_claims() {
    local p bad=0
    overlay_files > "$tmp/overlay"
    while IFS= read -r p; do
        git mailinfo "$tmp/msg" /dev/null < "$p" >/dev/null
        new_file_trailers < "$tmp/msg"
    done < <(patch_files) | sort > "$tmp/claims"
    while IFS= read -r f; do
        echo "error: claimed by more than one patch: $f" >&2; bad=1
    done < <(uniq -d "$tmp/claims")
    while IFS= read -r f; do
        echo "error: in no patch's New-file: lines: $f" >&2; bad=1
    done < <(comm -23 "$tmp/overlay" "$tmp/claims")
    while IFS= read -r f; do
        echo "error: claimed by a patch, but not there: $f" >&2; bad=1
    done < <(sort -u "$tmp/claims" | comm -13 "$tmp/overlay" -)
    ((!bad)) || die "the series would not be complete"
    "$PYTHON" "$TOP/scripts/series_files.py" "$PATCHES" "$TOP" ||
        die "these patches would not build without what comes later"
}

compose() {
    local p f msg
    new_clone "$tmp/compose" sparse
    while IFS= read -r p; do
        git -C "$tmp/compose" am -q --keep-cr "$p" ||
            die "$p does not apply"
        msg=$(git -C "$tmp/compose" log -1 --format=%B)
        [[ $(new_file_trailers <<< "$msg") ]] || continue
        while IFS= read -r f; do
            mkdir -p "$tmp/compose/$(dirname "$f")"
            cp -p "$TOP/$f" "$tmp/compose/$f"
            git -C "$tmp/compose" add -f --sparse -- "$f"
        done < <(new_file_trailers <<< "$msg")
        sed '/^New-file:/d' <<< "$msg" |
            git -C "$tmp/compose" commit -q --amend -F -
    done < <(patch_files)
}

write_out() {
    local cover=() template=$PATCHES/cover-letter.txt
    [[ ! -e $template ]] || cover=(--cover-letter)
    rm -f "$out"/[0-9]*.patch
    git -C "$tmp/compose" format-patch -q -n --zero-commit --no-signature \
        --abbrev=12 "${cover[@]}" -o "$out" base..series
    if ((${#cover[@]})); then
        "$PYTHON" - "$template" "$out"/0000-*.patch <<'PY'
import sys
subject, _, text = open(sys.argv[1]).read().partition('\n')
letter = open(sys.argv[2]).read()
letter = letter.replace('*** SUBJECT HERE ***', subject)
letter = letter.replace('*** BLURB HERE ***', text.strip())
open(sys.argv[2], 'w').write(letter)
PY
    fi
}

mails() { find "$out" -name '[0-9]*.patch' ! -name '0000-*' | sort; }

# The tree that base, hooks and this repository's files make together.
expected_tree() {
    local f bits
    export GIT_INDEX_FILE=$tmp/index
    qgit read-tree HEAD
    while IFS= read -r f; do
        bits=100644
        if [[ -L $TOP/$f ]]; then
            die "$f is a symbolic link"
        elif [[ -x $TOP/$f ]]; then
            bits=100755
        fi
        printf '%s %s\t%s\n' "$bits" "$(qgit hash-object -w "$TOP/$f")" "$f"
    done < "$tmp/overlay" | qgit update-index --add --index-info
    qgit write-tree
    unset GIT_INDEX_FILE
}

prove() {
    local got want
    local -a p
    new_clone "$tmp/pristine" sparse
    # The mail form, as a reader would apply it; a cover letter is no patch.
    mapfile -t p < <(mails)
    git -C "$tmp/pristine" am -q --keep-cr "${p[@]}" ||
        die "the series does not apply to a pristine base"
    want=$(expected_tree)
    got=$(git -C "$tmp/pristine" rev-parse 'HEAD^{tree}')
    if [[ $got != "$want" ]]; then
        git -C "$tmp/pristine" diff --stat "$want" "$got" >&2 || true
        die "the series gives another tree than build/qemu with this repository"
    fi
}

check_style() {
    local p bad=0 line
    while IFS= read -r p; do
        (cd "$QEMU" &&
            perl scripts/checkpatch.pl --terse --no-summary "$p" 2>&1) \
            > "$tmp/style" || true
        while IFS= read -r line; do
            [[ $line == *ERROR:* || $line == *WARNING:* ]] || continue
            if [[ $line == *WARNING:* && -e $allow ]] &&
                grep -qxF -e "${p##*/}: ${line#*WARNING: }" \
                    -e "${line#*WARNING: }" "$allow"; then
                continue
            fi
            echo "${p##*/}: ${line#"$p":}" >&2
            bad=1
        done < "$tmp/style"
    done < <(mails)
    ((!bad)) || die "checkpatch.pl has something to say (a warning that must
    stay is listed in patches/checkpatch-allow.txt, as [FILE.patch: ]TEXT)"
}

# One build folder for all, so that each patch costs what it changes.
build_each() {
    local c n=0 total tree=$BUILD/series-build
    total=$(git -C "$tmp/pristine" rev-list --count base..HEAD)
    rm -rf "$tree"
    new_clone "$tree"
    git -C "$tree" fetch -q "$tmp/pristine" HEAD
    for c in $(git -C "$tmp/pristine" rev-list --reverse base..HEAD); do
        n=$((n + 1))
        git -C "$tree" checkout -q --detach "$c"
        say "building patch $n of $total: $(git -C "$tree" log -1 --format=%s)"
        "$TOP/scripts/build.sh" --tree "$tree" ||
            die "patch $n does not build: $(git -C "$tree" log -1 --format=%s)"
    done
    rm -rf "$tree"
}

check_claims
compose
write_out
prove
say "$(git -C "$tmp/pristine" rev-list --count base..HEAD) patches in $out:" \
    "they apply to a pristine base and give the same tree"
if [[ $mode == check ]]; then
    check_style
    say "checkpatch.pl: clean"
    if [[ -n ${FULL-} ]]; then
        build_each
    fi
fi
