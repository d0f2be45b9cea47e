#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Issue 18: KERNEL= finds a guest's kernel, with its headers, in whatever suite of
# the mirror has it; or says which ones there are. On a mirror of this test's own,
# with packages that are small files.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
DIR=$(mktemp -d)
trap 'rm -rf "$DIR"' EXIT
MIRROR=$DIR/mirror/debian
n=0

report() {
    n=$((n + 1))
    echo "$1 $n /field/22-guest-kernels/$2"
    [[ $1 == ok ]] || sed 's/^/# /' "$DIR/log" "$DIR"/tree/build/guest/debs/*.list
}

# package SUITE NAME [DEPENDS]: one of the index of a suite
package() {
    local file=pool/$1/$2_1_amd64.deb
    mkdir -p "$MIRROR/pool/$1" "$MIRROR/dists/$1/main/binary-amd64"
    echo "$1 $2" > "$MIRROR/$file"
    printf '%s\n' "Package: $2" "Version: 1" "Architecture: amd64" "Maintainer: x" \
        ${3:+"Depends: $3"} "Filename: $file" "Size: $(stat -c %s "$MIRROR/$file")" \
        "SHA256: $(sha256sum < "$MIRROR/$file" | cut -c1-64)" "Description: x" "" \
        >> "$MIRROR/dists/$1/main/binary-amd64/Packages"
}

# kernel SUITE ABI [split]
kernel() {
    local suite=$1 abi=$2 part parts=
    if [[ ${3-} == split ]]; then
        for part in base binary modules; do
            package "$suite" "linux-$part-$abi-amd64"
            parts+="${parts:+, }linux-$part-$abi-amd64"
        done
    fi
    package "$suite" "linux-image-$abi-amd64" "$parts"
    # One for clouds has a name like it
    package "$suite" "linux-image-$abi-cloud-amd64"
    package "$suite" "linux-headers-$abi-cloud-amd64"
    package "$suite" "linux-headers-$abi-common"
    package "$suite" "linux-kbuild-$abi"
    package "$suite" "linux-headers-$abi-amd64" \
        "linux-headers-$abi-common, linux-kbuild-$abi, gcc-14-for-host"
}

release() {
    local packages=$MIRROR/dists/$1/main/binary-amd64/Packages
    printf '%s\n' "Suite: $1" "Codename: $1" "Components: main" "Architectures: amd64" \
        "Date: $(date -uR)" "SHA256:" " $(sha256sum < "$packages" | cut -c1-64) $(
            stat -c %s "$packages") main/binary-amd64/Packages" > "$MIRROR/dists/$1/Release"
}

# What a group of packages is made of, by name, after fetching it
fetch() {
    rm -rf "$DIR/tree"
    mkdir -p "$DIR/tree/scripts"
    cp -r "$TOP/scripts/guest" "$DIR/tree/scripts/"
    mkdir -p "$DIR/tree/build/guest/debs"
    : > "$DIR/tree/build/guest/debs/none.list"
    APT_CONFIG=$DIR/apt.conf "$DIR/tree/scripts/guest/fetch.sh" "$1" 2> "$DIR/log" ||
        return 0
    awk '{ sub("_.*", "", $3); print $3 }' "$DIR/tree/build/guest/debs/$1.list" |
        sort | tr '\n' ' '
}

mkdir -p "$DIR/parts"
echo "deb [trusted=yes] file:$MIRROR bookworm main" > "$DIR/sources.list"
cat > "$DIR/apt.conf" <<CONF
Dir::Etc::SourceList "$DIR/sources.list";
Dir::Etc::SourceParts "$DIR/parts";
Dir::State::Lists "$DIR/lists";
Dir::State::Status "$DIR/status";
Dir::Cache "$DIR/cache";
APT::Get::AllowUnauthenticated "true";
Acquire::AllowInsecureRepositories "true";
Acquire::Languages "none";
CONF
: > "$DIR/status"
mkdir -p "$DIR"/{lists,cache/archives}/partial

kernel bookworm 6.1.0-9
kernel bookworm 6.12.95+deb12
kernel bookworm-backports 6.12.94+deb12
kernel trixie 6.12.107+deb13
kernel trixie-backports 7.2.6+deb13 split
kernel trixie-backports 7.2.12+deb13 split
kernel trixie-backports 7.3.4+deb13 split
kernel sid 7.2.13+deb14 split
kernel experimental 7.3 split
for suite in bookworm bookworm-backports trixie trixie-backports sid experimental; do
    release "$suite"
done
APT_CONFIG=$DIR/apt.conf apt-get -qq update 2> "$DIR/log"

# parts ABI: of a kernel from 7.2 on
parts() {
    echo "linux-base-$1-amd64 linux-binary-$1-amd64 linux-headers-$1-amd64" \
        "linux-headers-$1-common linux-kbuild-$1 linux-modules-$1-amd64 "
}

# expect NAME GROUP PACKAGES
expect() {
    if [[ $(fetch "$2") == "$3" ]]; then
        report ok "$1"
    else
        report 'not ok' "$1"
    fi
}

echo 1..6
expect by-version kernel72 "$(parts 7.2.12+deb13)"
expect newest kernel7 "$(parts 7.3.4+deb13)"
abi=6.12.95+deb12
expect machine-first kernel612 "linux-headers-$abi-amd64 linux-headers-$abi-common \
linux-image-$abi-amd64 linux-kbuild-$abi "

# The mirror has moved on since the machine's index was made
rm "$MIRROR/pool/bookworm/linux-image-$abi-amd64_1_amd64.deb"
abi=6.12.94+deb12
expect next-suite kernel612 "linux-headers-$abi-amd64 linux-headers-$abi-common \
linux-image-$abi-amd64 linux-kbuild-$abi "

if [[ -z $(fetch kernel79) ]] &&
   grep -q 'no Linux 7.9 .*it has 6.1 6.12 7.2 7.3 *$' "$DIR/log"; then
    report ok says-what-there-is
else
    report 'not ok' says-what-there-is
fi

kernel sid 7.4.1+deb14 split
release sid
expect newer-elsewhere kernel7 "$(parts 7.4.1+deb14)"
