#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Issue 14, item 10: where the pinned archives of QEMU have gone from the mirror,
# fetch.sh finds another 11.1.x through the mirror's source index, by its sum; or
# says what it tried. On a mirror of this test's own, with small files.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
POOL=$DIR/mirror/pool/main/q/qemu
SUITES=(sid forky trixie-backports experimental)
n=0

report() {
    n=$((n + 1))
    echo "$1 $n /field/10-source-archive/$2"
}

# Let the index of every suite name the files $@, with the sums they have now.
write_index() {
    local suite f dists
    for suite in "${SUITES[@]}"; do
        dists=$DIR/mirror/dists/$suite
        mkdir -p "$dists/main/source"
        for f in "$@"; do
            printf '%s\n' "Package: ${f%%_*}" "Binary: x" "Version: 1" \
                "Checksums-Sha256:" \
                " $(sha256sum < "$POOL/$f" | cut -c1-64) $(stat -c %s "$POOL/$f") $f" \
                "Directory: pool/main/q/qemu" ""
        done > "$dists/main/source/Sources"
        printf '%s\n' "Suite: $suite" "Codename: $suite" "Components: main" \
            "Architectures: amd64" "Date: $(date -uR)" "SHA256:" \
            " $(sha256sum < "$dists/main/source/Sources" | cut -c1-64) $(
                stat -c %s "$dists/main/source/Sources") main/source/Sources" \
            > "$dists/Release"
    done
}

# In a build folder of its own, with this mirror as the machine's only one
fetch() {
    rm -rf "$DIR/build"
    BUILD_ROOT=$DIR/build APT_CONFIG=$DIR/apt.conf "$TOP/scripts/fetch.sh" source \
        2> "$DIR/log" || true
}

mkdir -p "$POOL" "$DIR/parts"
echo "deb [trusted=yes] file:$DIR/mirror sid main" > "$DIR/sources.list"
cat > "$DIR/apt.conf" <<CONF
Dir::Etc::SourceList "$DIR/sources.list";
Dir::Etc::SourceParts "$DIR/parts";
Acquire::AllowInsecureRepositories "true";
Acquire::Languages "none";
CONF
echo old > "$POOL/qemu_11.1.4+ds.orig.tar.xz"
echo new > "$POOL/qemu_11.1.17+ds.orig.tar.xz"
echo other > "$POOL/qemu_11.2.0+ds.orig.tar.xz"
echo web > "$POOL/qemu-web_11.1.20+ds.orig.tar.xz"

echo 1..4
write_index qemu_11.1.4+ds.orig.tar.xz qemu_11.1.17+ds.orig.tar.xz \
    qemu_11.2.0+ds.orig.tar.xz qemu-web_11.1.20+ds.orig.tar.xz
got=$(fetch)
if [[ ${got##*/} == qemu_11.1.17+ds.orig.tar.xz && $(cat "$got") == new ]]; then
    report ok newest-of-index
else
    cat "$DIR/log"
    report 'not ok' newest-of-index
fi

# The newest has gone as well.
rm "$POOL/qemu_11.1.17+ds.orig.tar.xz"
got=$(fetch)
if [[ ${got##*/} == qemu_11.1.4+ds.orig.tar.xz ]]; then
    report ok next-of-index
else
    cat "$DIR/log"
    report 'not ok' next-of-index
fi

echo tampered > "$POOL/qemu_11.1.4+ds.orig.tar.xz"
got=$(fetch)
if [[ -z $got ]] && grep -q 'does not have the expected sum' "$DIR/log"; then
    report ok sum-is-checked
else
    cat "$DIR/log"
    report 'not ok' sum-is-checked
fi

rm "$POOL/qemu_11.1.4+ds.orig.tar.xz"
got=$(fetch)
if [[ -z $got ]] &&
   grep -q 'qemu_11.1.1+ds.orig.tar.xz (pinned)' "$DIR/log" &&
   grep -q 'qemu_11.1.4+ds.orig.tar.xz (named by the index of sid)' "$DIR/log" &&
   ! grep -q 11.2 "$DIR/log"; then
    report ok says-what-was-tried
else
    cat "$DIR/log"
    report 'not ok' says-what-was-tried
fi
