#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetch the Debian packages a guest is made of, without installing any.
#
# The machine's own apt index says which files these are and what their
# SHA256 is; when it does not know (never updated, or the mirror has moved on)
# a private copy of the index is made under build/guest from the same sources;
# for another architecture there is no other way.
# What was resolved is kept in build/guest/debs/GROUP.list, so that a second
# run needs no index and no network.  Remove that file to pick newer packages.
#
# usage: fetch.sh GROUP...
#   kernel      the guest's kernel, and the headers to build its module
#   kernel612, kernel72, kernel73, ...
#               the same of 6.12, 7.2, 7.3, ..., from whatever suite has it
#   kernel7     the same of the newest one of all suites
#   compiler    the compiler that the headers of 7.x need
#   root        what the guest's root file system is made of
#   firmware-amd64  UEFI for an amd64 guest
#   kernel-arm64, root-arm64, firmware-arm64
#               the same for an arm64 guest, which starts from UEFI
#   kernel612-arm64, kernel7-arm64
#               its kernel from a later Debian
set -euo pipefail
. "$(dirname "$0")/lib.sh"

DEBS=$GUEST/debs
APT_HELPER=/usr/lib/apt/apt-helper
APT=()                      # options: the index in use
APT_ARCH=amd64
APT_PRIVATE=
UPDATE_FAILED=

wanted() {
    case $1 in
    kernel)
        echo linux-image-amd64 linux-headers-amd64 ;;
    kernel[0-9] | kernel[0-9][0-9] | kernel[0-9][0-9][0-9])
        version_of "$1" ;;
    compiler)
        echo gcc-14-x86-64-linux-gnu cpp-14-x86-64-linux-gnu \
             binutils-x86-64-linux-gnu libbinutils libctf0 libctf-nobfd0 \
             libjansson4 libsframe1 libzstd1 zlib1g libgmp10 libmpfr6 libmpc3 \
             libisl23 libc6 libgcc-s1 libstdc++6 libelf1t64 ;;
    root)
        echo busybox-static cryptsetup-bin dmsetup e2fsprogs libcryptsetup12 \
             libpopt0 libblkid1 libuuid1 libdevmapper1.02.1 libssl3 \
             libjson-c5 libargon2-1 libc6 libudev1 libselinux1 \
             libpcre2-8-0 libext2fs2 libcom-err2 libss2 kmod libkmod2 \
             liblzma5 libzstd1 iproute2 libbpf1 libelf1 libmnl0 libbsd0 \
             libmd0 libcap2 zlib1g ndctl libcxl1 libdaxctl1 libndctl6 \
             libiniparser1 libkeyutils1 libtraceevent1 libtracefs1 ;;
    firmware-amd64)
        echo ovmf ;;
    kernel-arm64)
        echo linux-image-arm64 ;;
    kernel612-arm64 | kernel7-arm64)
        echo linux-image-arm64 ;;
    root-arm64)
        echo busybox-static ;;
    firmware-arm64)
        echo qemu-efi-aarch64 ;;
    *)
        die "no such package group: $1" ;;
    esac
}

# The Debian suites that have the packages, the first one that does is taken;
# none for those of the machine's apt sources
suites_of() {
    case $1 in
    kernel612-*) echo trixie bookworm-backports ;;
    kernel7-*) echo experimental sid ;;
    compiler) echo trixie ;;
    esac
}

# Where to look for a kernel by its version, the machine's own sources first:
# those that this Debian's compilers fit, and then trixie's
KERNEL_SUITES="bookworm-backports trixie trixie-backports sid experimental"

# kernel612: 6.12; kernel7: any
version_of() {
    local digits=${1#kernel}
    case $digits in
    7) echo newest ;;
    *) echo "${digits:0:1}.${digits:1}" ;;
    esac
}

# Metapackages are resolved to what they stand for today
group_packages() {
    local package
    for package; do
        case $package in
        linux-image-*)
            kernel "$package" ;;
        linux-headers-*)
            headers "$package" ;;
        *)
            echo "$package" ;;
        esac || return 1
    done
}

depends() {
    apt-cache "${APT[@]}" depends "$1" 2>/dev/null |
        sed -n 's/^ *Depends: //p' | grep -E "$2" || return 1
}

# From 7.2 on it comes in three parts, which the image's package only names
kernel() {
    local image=$1
    [[ $image == linux-image-[0-9]* ]] ||
        image=$(depends "$1" '^linux-image-[0-9]') || return 1
    depends "$image" '^linux-(base|binary|modules)-[0-9]' || echo "$image"
}

# Headers come in three parts: this flavour's, the common ones, and kbuild
headers() {
    local flavour=$1
    [[ $flavour == linux-headers-[0-9]* ]] ||
        flavour=$(depends "$1" '^linux-headers-[0-9]') || return 1
    echo "$flavour"
    depends "$flavour" '^linux-(headers-.*-common|kbuild-)'
}

# resolve GROUP [METAPACKAGE...]
resolve() {
    local group=$1 new=$DEBS/$1.list.new packages
    shift
    [ $# -gt 0 ] || read -ra packages < <(wanted "$group") || :
    read -ra packages < <(group_packages "${@:-${packages[@]}}" |
                          tr '\n' ' ') || :
    [ ${#packages[@]} -gt 0 ] || return 1
    # apt warns about the sandbox user when it is root; the file is what counts
    apt-get "${APT[@]}" --print-uris download "${packages[@]}" 2>/dev/null |
        awk '$1 ~ /^\x27/ && $4 ~ /^SHA256:/ {
                 gsub(/\x27/, "", $1); sub(/SHA256:/, "", $4)
                 print $4, $3, $2, $1 }' > "$new"
    [ ${#packages[@]} -eq "$(wc -l < "$new")" ] && mv "$new" "$DEBS/$group.list"
}

arch_of() {
    case $1 in
    *-arm64) echo arm64 ;;
    *) echo amd64 ;;
    esac
}

private_index() {
    local arch state
    arch=$(arch_of "$1") state=$GUEST/apt-$arch
    [ "$APT_PRIVATE" != "$arch" ] || return 1
    say "asking the machine's apt sources for a current index"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    APT_PRIVATE=$arch
    APT_ARCH=$arch
    APT=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache"
         -o Debug::NoLocking=1
         -o "APT::Architecture=$arch" -o "APT::Architectures=$arch")
    # One broken source of several is no reason to stop: see what comes of it
    apt-get "${APT[@]}" -qq -o APT::Update::Error-Mode=any update \
        2>"$state/update.log" || UPDATE_FAILED=1
}

# The index of one suite, from the mirror that the machine's sources name
suite_index() {
    local suite=$1 arch=$2 state=$GUEST/apt-$1-$2
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    # shellcheck disable=SC2016  # $(REPO_URI) is apt-get's
    apt-get indextargets --no-release-info --format '$(REPO_URI)' |
        grep '/debian/*$' | sort -u | sed "s,.*,deb & $suite main," \
        > "$state/sources.list" || return 1
    APT_PRIVATE=$suite-$arch
    APT_ARCH=$suite-$arch
    APT=(-o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache"
         -o "Dir::Etc::SourceList=$state/sources.list"
         -o Dir::Etc::SourceParts=/dev/null -o Debug::NoLocking=1
         -o "APT::Architecture=$arch" -o "APT::Architectures=$arch")
    # The next group may want it, too
    [ -z "$(find "$state/updated" -mmin -60 2>/dev/null)" ] || return 0
    say "asking for the index of $suite, $arch"
    apt-get "${APT[@]}" -qq -o APT::Update::Error-Mode=any update \
        2>"$state/update.log" && touch "$state/updated"
}

download() {
    local sum size name uri
    while read -r sum size name uri; do
        local file=$DEBS/$name
        if [ -f "$file" ] && [ -f "$file.ok" ]; then
            continue
        fi
        say "fetching $name ($((size / 1024)) KiB)"
        # apt's own downloader: its proxies, and goes on where it stopped
        "$APT_HELPER" "${APT[@]}" -qq -o Acquire::Retries=3 \
            download-file "$uri" "$file.part" "SHA256:$sum" \
            2>"$DEBS/error.log" || return 1
        if ! echo "$sum  $file.part" | sha256sum -c --status; then
            rm -f "$file.part"
            die "$name does not have the SHA256 that apt's index gives;" \
                "run apt-get update, or remove $DEBS/*.list, and try again"
        fi
        mv "$file.part" "$file"
        rm -f "$file".part*
        : > "$file.ok"
    done < "$DEBS/$1.list"
}

# The kernels that the index in use has headers for, e.g. 6.12.117+deb12
kernels() {
    apt-cache "${APT[@]}" search --names-only \
        '^linux-(image|headers)-[0-9][0-9.]*(-[0-9]+|\+deb[0-9.]+)?-amd64$' |
        sed -nE 's/^linux-(image|headers)-([^ ]*)-amd64 .*/\2/p' |
        sort -V | uniq -d
}

# The best one of these on stdin: of a version, or of all
best() {
    if [ "$1" = newest ]; then
        tail -n 1
    else
        grep -E "^${1/./\\.}([.+-]|\$)" | tail -n 1
    fi
}

take_kernel() {
    resolve "$1" "linux-image-$2-amd64" "linux-headers-$2-amd64" &&
        download "$1"
}

# By version, in whatever suite has it
fetch_kernel() {
    local group=$1 version suite found all='' newest=''
    version=$(version_of "$group")
    for suite in machine $KERNEL_SUITES; do
        [ "$suite" = machine ] || suite_index "$suite" amd64 || continue
        all+=" $(kernels | tr '\n' ' ')"
        found=$(kernels | best "$version") || continue
        [ -n "$found" ] || continue
        if [ "$version" != newest ]; then
            take_kernel "$group" "$found" || continue
            say "Linux $found comes from $suite"
            wanted "$group" > "$DEBS/$group.wanted"
            return
        fi
        if [ "$(printf '%s\n' "$newest" "$found" | sort -V | tail -n 1)" = \
             "$found" ] && [ "$newest" != "$found" ]; then
            newest=$found newest_suite=$suite
        fi
    done
    if [ -n "$newest" ]; then
        [ "$newest_suite" = machine ] && APT=() ||
            suite_index "$newest_suite" amd64
        if take_kernel "$group" "$newest"; then
            say "the newest is Linux $newest, from $newest_suite"
            wanted "$group" > "$DEBS/$group.wanted"
            return
        fi
    fi
    # shellcheck disable=SC2086  # words
    all=$(printf '%s\n' $all | sed -nE 's/^([0-9]+\.[0-9]+).*/\1/p' |
          sort -Vu | tr '\n' ' ')
    [ -n "$all" ] || give_up "$group" "one of $KERNEL_SUITES"
    die "the mirror has no Linux $version with headers; it has $all"
}

give_up() {
    say "cannot get the packages for '$1': $(wanted "$1")"
    [ ! -s "$DEBS/error.log" ] ||
        say "the last download: $(cat "$DEBS/error.log")"
    [ -z "$UPDATE_FAILED" ] ||
        say "apt-get update: $(cat "$GUEST/apt-$APT_ARCH/update.log")"
    die "they come from Debian ${2:-12 and its security archive}: are these in" \
        "the apt sources, and can this machine reach them?"
}

fetch_of_suites() {
    local group=$1 suite
    for suite in $(suites_of "$group"); do
        if suite_index "$suite" "$(arch_of "$group")" && resolve "$group" &&
           download "$group"; then
            wanted "$group" > "$DEBS/$group.wanted"
            return
        fi
    done
    give_up "$group" "$(suites_of "$group")"
}

fetch() {
    local group=$1
    mkdir -p "$DEBS"
    rm -f "$DEBS/error.log"
    if [ "$(cat "$DEBS/$group.wanted" 2>/dev/null)" = "$(wanted "$group")" ] &&
       download "$group"; then
        return
    fi
    rm -f "$DEBS/$group.wanted"
    if [[ $group =~ ^kernel[0-9]+$ ]]; then
        fetch_kernel "$group"
        return
    fi
    if [ -n "$(suites_of "$group")" ]; then
        fetch_of_suites "$group"
        return
    fi
    if [ "$(arch_of "$group")" != "$APT_ARCH" ] ||
       ! { resolve "$group" && download "$group"; }; then
        private_index "$group" || give_up "$group"
        resolve "$group" || give_up "$group"
        download "$group" || give_up "$group"
    fi
    wanted "$group" > "$DEBS/$group.wanted"
}

need apt-get apt-cache "$APT_HELPER" sha256sum dpkg-deb
for group; do
    fetch "$group"
done
