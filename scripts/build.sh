#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Configure (when the flags changed) and build:
#   build.sh [--tree TREE] [TARGET]...
# TARGETs are ninja's; default: the emulators. TREE is build/qemu unless given.
# BUILD=asan: what the series adds and touches is instrumented, the rest is as
# it is without (scripts/sanitize-cc.sh). BUILD=asan-all: everything is.

. "$(dirname "$0")/lib.sh"

tree=$QEMU
if [[ ${1-} == --tree ]]; then
    tree=$2
    shift 2
fi

flags=(--python="$PYTHON" --disable-download --disable-docs --disable-tools --disable-guest-agent
    --disable-user --enable-fdt=system --disable-vnc --disable-pixman
    --disable-install-blobs)
cc=gcc
if command -v ccache >/dev/null; then
    cc="ccache gcc"
    # Let another checkout, at another path, find the same objects.
    export CCACHE_BASEDIR=$tree CCACHE_NOHASHDIR=1
fi
arches=(x86_64 aarch64)
case ${BUILD_VARIANT:-default} in
default) dir=$tree/build ;;
asan)    dir=$tree/build-asan
         # The same targets: all files see the list of them.
         cc=$TOP/scripts/sanitize-cc.sh ;;
asan-all)
         dir=$tree/build-asan-all
         arches=(x86_64)
         # A report needs lines, not variables; half the time of -O2 -g.
         flags+=(--enable-asan --enable-ubsan -Doptimization=1
                 --extra-cflags=-g1) ;;
*) die "BUILD=$BUILD_VARIANT: only 'asan' and 'asan-all' are known" ;;
esac
flags+=(--cc="$cc")
targets=("${arches[@]/%/-softmmu}")
flags+=(--target-list="$(IFS=,; echo "${targets[*]}")")

modules=$PYDEPS/usr/lib/python3/dist-packages
export PYTHONPATH=$modules${PYTHONPATH:+:$PYTHONPATH}

logs=$BUILD/log
mkdir -p "$logs"

# What sanitize-cc.sh instruments: C files of the series, new or touched, and the
# one that tells the sanitizers when stacks are switched.
list_instrumented() {
    {
        overlay_files
        git -C "$tree" diff --name-only base HEAD
        echo util/coroutine-ucontext.c
    } | grep '\.c$' | sort -u > "$dir/sanitize.list"
}

configured() {
    # config.status ends in the command line it was made with, quoted.
    [[ -e $dir/build.ninja && -e $dir/config.status ]] || return 1
    local have want
    have=$(sed -n "s/^exec '[^']*configure' \(.*\) \"\$@\"\$/\1/p" \
        "$dir/config.status" | grep -o "'[^']*'" | sort)
    want=$(printf "'%s'\n" "${flags[@]}" | sort)
    [[ $have == "$want" ]]
}

configure() {
    "$TOP/scripts/fetch.sh" pydeps
    say "configuring QEMU in ${dir#"$TOP"/}"
    mkdir -p "$dir"
    (cd "$dir" && ../configure "${flags[@]}") > "$logs/configure.log" 2>&1 || {
        tail -n 25 "$logs/configure.log" >&2
        die "configure failed: $logs/configure.log, $dir/meson-logs"
    }
    # Let a ninja started by hand find meson as well.
    local site
    for site in "$dir"/pyvenv/lib/python3*/site-packages; do
        echo "$modules" > "$site/cxl-type1-pydeps.pth"
    done
}

# A build tree looks for its firmware only below its own qemu-bundle.
link_firmware() {
    local to=$dir/qemu-bundle/usr/local/share/qemu-firmware f
    mkdir -p "$to"
    for f in /usr/share/seabios/*.bin /usr/share/qemu/*.{bin,rom} \
             /usr/lib/ipxe/qemu/*.rom; do
        [[ ! -e $f ]] || ln -sf "$f" "$to/${f##*/}"
    done
}

# ninja's own display in a terminal; else a line now and then, and whatever is
# not progress (warnings, errors).
show() {
    local line last=$SECONDS
    while IFS= read -r line; do
        if [[ $line =~ ^\[[0-9]+/[0-9]+\] ]]; then
            if ((SECONDS - last >= 30)); then
                printf '%s\n' "$line"
                last=$SECONDS
            fi
        elif [[ $line != "ninja: "* || $line == "ninja: error"* ]]; then
            printf '%s\n' "$line"
        fi
    done
}

run_ninja() {
    if [[ -t 1 ]]; then
        ninja -C "$dir" "$@"
    else
        ninja -C "$dir" "$@" 2>&1 | tee "$logs/ninja.log" | show
    fi
}

add_missing "$tree"
configured || configure
if [[ ${BUILD_VARIANT-} == asan ]]; then
    list_instrumented
fi
if (($# == 0)); then
    set -- "${arches[@]/#/qemu-system-}"
fi
run_ninja "$@" || die "the build failed (all of its output: $logs/ninja.log)"
link_firmware

if [[ $tree == "$QEMU" && ${BUILD_VARIANT:-default} == default ]]; then
    mkdir -p "$BUILD/bin"
    for a in "${arches[@]}"; do
        ln -sfn "../qemu/build/qemu-system-$a" "$BUILD/bin/qemu-system-$a"
    done
fi
