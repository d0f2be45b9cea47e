#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Fetch, once, what is not in the machine's own package lists:
#   fetch.sh source              QEMU's source archive; prints its path
#   fetch.sh pydeps              Python modules for configure -> build/pydeps
#   fetch.sh pool PATH SHA256    any file by its path below a Debian mirror's
#                                base; prints where it is
#   fetch.sh deb SUITE PACKAGE   a package of another suite through apt, with
#                                lists of its own under build/apt; prints where
# Everything lands in build/dl with its sum checked, and comes from the mirror
# that the machine's apt sources name.

. "$(dirname "$0")/lib.sh"

# Any 11.1.x will do: these in this order (path below the mirror's base, sha256),
# then whatever the mirror's own indices name.
SOURCES=(
"pool/main/q/qemu/qemu_11.1.1+ds.orig.tar.xz 0b1376e75dbe3e2fea4e408f8669f88a723f419f36a5b7d74cc6a4cfe07e4f5e"
"pool/main/q/qemu/qemu_11.1.2+ds.orig.tar.xz 4f41c3df35a86d2497f842a585b014fe5aef45ceec6450e61615f0164ca39761"
"pool/main/q/qemu/qemu_11.1.3+ds.orig.tar.xz 502fe33503df3520b6a81176a94d77eef908eb252bacc675d7199f379ac26641"
)

# Module, least version, Debian package, and a file known to serve.
MODULES=(
"meson 1.5 meson pool/main/m/meson/meson_1.7.0-1~bpo12+1_all.deb 4b86d2f2cb4431d03826fa4b2c3a89508edeb8140509e7e4b285285ec3175bbe"
"pycotap 1.1 python3-pycotap pool/main/p/python-pycotap/python3-pycotap_1.3.1-2~bpo12+1_all.deb 3774be6e79318192059aa72e7b7a701e8b99bba2147befcc715650a0da65ca96"
"qemu.qmp 0.0.5 python3-qemu-qmp pool/main/p/python-qemu-qmp/python3-qemu-qmp_0.0.6-1.1_all.deb 584fdc71673c328ea08a99e01ad2a8c7456adb96f753aa1854ece91bcd279b32"
)
SUITES=(bookworm-backports trixie sid)
SOURCE_SUITES=(sid forky trixie-backports experimental)

sum_is() { [[ $(sha256sum < "$1" | cut -c1-64) == "$2" ]]; }

# The bases of apt's sources. --no-release-info: also before apt-get update.
mirrors() {
    command -v apt-get >/dev/null || return 0
    # shellcheck disable=SC2016  # $(REPO_URI) is apt-get's
    apt-get indextargets --no-release-info --format '$(REPO_URI)' 2>/dev/null |
    while IFS= read -r uri; do
        uri=${uri%/}
        case $uri in
        mirror+file:*) sed -n 's/^\([a-z]*:[^[:space:]#]*\).*/\1/p' \
                           "${uri#mirror+file:}" 2>/dev/null || true ;;
        http:*|https:*|ftp:*|file:*) echo "$uri" ;;
        copy:*) echo "file:${uri#copy:}" ;;
        esac
    done | sed 's,/*$,/,' | grep -v -- '-security/$' | awk '!seen[$0]++' || true
}

use_apt_proxy() {
    local APT_PROXY=
    eval "$(apt-config shell APT_PROXY Acquire::http::Proxy)"
    if [[ -n $APT_PROXY && $APT_PROXY != DIRECT ]]; then
        export http_proxy=${http_proxy:-$APT_PROXY}
    fi
}

# Fetch path $1 with sum $2 into build/dl: 0 done, 1 not to be had.
fetch_pool() {
    local path=$1 sum=$2 file part base rc
    file=$DL/${path##*/} part=$DL/${path##*/}.part
    mkdir -p "$DL"
    if [[ -e $file ]]; then
        sum_is "$file" "$sum" && return 0
        wrong_sum "$file" "$sum"
    fi
    if [[ -e $part ]] && sum_is "$part" "$sum"; then
        mv "$part" "$file"
        return 0
    fi
    for base in $(mirrors); do
        say "fetching ${path##*/}"
        rc=0
        curl -fL --retry 3 --connect-timeout 20 -C - -o "$part" \
            "${CURL_SHOW[@]}" "$base${path//+/%2B}" || rc=$?
        if ((rc == 33 || rc == 36)); then
            # The server cannot resume: from the start, then.
            rm -f "$part"
            curl -fL --retry 3 -o "$part" \
                "${CURL_SHOW[@]}" "$base${path//+/%2B}" && rc=0
        fi
        if ((rc)) || [[ ! -e $part ]]; then
            continue
        fi
        sum_is "$part" "$sum" || wrong_sum "$part" "$sum"
        mv "$part" "$file"
        return 0
    done
    return 1
}

# Set a file that is not what was asked for aside, and stop.
wrong_sum() {
    local aside=${1%.part}.wrong
    mv "$1" "$aside"
    die "${1##*/} does not have the expected sum.
    expected sha256 $2
    It was set aside as $aside.
    Run the same command again to fetch it anew; or put a good copy by hand at
    ${1%.part}; or build on another QEMU 11.1 tree: QEMU_SRC=/path"
}

source_archive() {
    local suite path sum i
    local -a asked=() tried=() rows
    for ((i = 0; i < ${#SOURCES[@]}; i++)); do
        try_source "${SOURCES[i]}" pinned && return
    done
    for suite in "${SOURCE_SUITES[@]}"; do
        mapfile -t rows < <(index_sources "$suite")
        ((${#rows[@]})) || tried+=("no 11.1.x in the index of $suite")
        for ((i = 0; i < ${#rows[@]}; i++)); do
            try_source "${rows[i]}" "named by the index of $suite" && return
        done
    done
    die "no QEMU 11.1 source archive could be fetched from: $(mirrors | xargs)
    What was tried:
$(printf '        %s\n' "${tried[@]}")
    Put one of these files into $DL by hand and run again:
$(printf '        %s\n' "${SOURCES[@]}" | sed 's,[^ ]*/,,; s, \([0-9a-f]*\)$, (sha256 \1),')
    or build on a QEMU 11.1 tree that you have: QEMU_SRC=/path"
}

# Fetch the archive of row $1, "path sum", and print where it is; or note in
# tried[] that it, known from $2, cannot be had. What was asked for is not again.
try_source() {
    local path sum
    read -r path sum <<< "$1"
    if [[ " ${asked[*]-} " == *" $path $sum "* ]]; then
        return 1
    fi
    asked+=("$1")
    if fetch_pool "$path" "$sum"; then
        echo "$DL/${path##*/}"
        return 0
    fi
    tried+=("${path##*/} ($2)")
    return 1
}

# Print "path sum" of each QEMU 11.1.x archive that the source index of suite $1
# names, the newest first.
index_sources() {
    local list
    say "reading the source index of $1"
    private_apt "$1" deb-src update >&2 || return 0
    for list in "$BUILD/apt/$1"/state/lists/*_Sources*; do
        [[ -e $list ]] || continue
        /usr/lib/apt/apt-helper cat-file "$list" | awk '
            /^[^ ]/ { field = $1 }
            $1 == "Package:" { qemu = $2 == "qemu"; dir = "" }
            $1 == "Directory:" { dir = $2 }
            qemu && field == "Checksums-Sha256:" &&
                $3 ~ /^qemu_11\.1\.[0-9]+\+ds\.orig\.tar\.xz$/ {
                sum[$3] = $1
            }
            /^$/ { leave() }
            END { leave() }
            function leave() {
                for (f in sum) {
                    print dir "/" f, sum[f]
                }
                delete sum
            }'
    done | sort -u | sort -rV
}

# apt with sources and lists of its own, of suite $1 and of type $2 (deb or
# deb-src); the machine's are left alone.
private_apt() {
    local suite=$1 type=$2 dir=$BUILD/apt/$1
    shift 2
    mkdir -p "$dir"/{state/lists/partial,cache/archives/partial}
    mirrors | sed "s,.*,$type & $suite main," > "$dir/sources.list"
    apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" \
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State="$dir/state" \
        -o Dir::Cache="$dir/cache" -o APT::Sandbox::User=root "$@"
}

# Print name and sum of package $2 of suite $1; fetch it through its index.
fetch_deb() {
    local suite=$1 package=$2 uri sum
    if ! compgen -G "$BUILD/apt/$suite/state/lists/*_Packages*" >/dev/null; then
        say "reading the package index of $suite"
        private_apt "$suite" deb update >&2 || return 1
    fi
    uri=$(private_apt "$suite" deb --print-uris download "$package") || return 1
    read -r uri _ _ sum <<< "$uri"
    uri=${uri//\'/} sum=${sum#SHA256:}
    printf -v uri '%b' "${uri//%/\\x}"
    [[ -n $sum ]] || return 1
    fetch_pool "pool/${uri#*/pool/}" "$sum" || return 1
    echo "$DL/${uri##*/}"
}

have_module() {
    PYTHONPATH=$PYDEPS/usr/lib/python3/dist-packages "$PYTHON" - "$1" "$2" <<'PY'
import sys
from importlib.metadata import version, PackageNotFoundError
def key(v):
    return [int(''.join(c for c in p if c.isdigit()) or 0)
            for p in v.split('.')]
try:
    sys.exit(key(version(sys.argv[1])) < key(sys.argv[2]))
except PackageNotFoundError:
    sys.exit(1)
PY
}

python_modules() {
    local m name least package path sum deb suite
    for m in "${MODULES[@]}"; do
        read -r name least package path sum <<< "$m"
        have_module "$name" "$least" && continue
        deb=
        if fetch_pool "$path" "$sum"; then
            deb=$DL/${path##*/}
            dpkg -x "$deb" "$PYDEPS"
        else
            # Pools move on: ask the indices of newer suites.
            for suite in "${SUITES[@]}"; do
                deb=$(fetch_deb "$suite" "$package") || continue
                dpkg -x "$deb" "$PYDEPS"
                have_module "$name" "$least" && break
            done
        fi
        have_module "$name" "$least" ||
            die "configure needs the Python module $name >= $least: install it
    for $PYTHON, or unpack Debian's $package into $PYDEPS (dpkg -x)"
    done
}

if [[ -t 2 ]]; then
    CURL_SHOW=(--progress-bar)
else
    CURL_SHOW=(-sS)
fi
use_apt_proxy

case ${1-} in
source) source_archive ;;
pydeps) python_modules ;;
pool) fetch_pool "$2" "$3" || die "$2 could not be fetched from: $(mirrors | xargs)"
      echo "$DL/${2##*/}" ;;
deb) fetch_deb "$2" "$3" || die "package $3 of $2 could not be fetched" ;;
*) die "usage: fetch.sh source | pydeps | pool PATH SHA256 | deb SUITE PACKAGE" ;;
esac
