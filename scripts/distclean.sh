#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Remove all of build/ but the downloads, unless build/qemu holds work that is
# not in patches/ (FORCE=1 removes it all the same).

. "$(dirname "$0")/lib.sh"

if [[ -e $QEMU/.git && -z ${FORCE-} ]]; then
    edits=$(qgit status --porcelain --untracked-files=no)
    [[ -z $edits && $(qgit rev-parse HEAD) == $(cat "$STATE/head" 2>/dev/null) ]] ||
        die "build/qemu has work that is not in patches/: make refresh first, or
    FORCE=1 make distclean"
fi
find "$BUILD" -mindepth 1 -maxdepth 1 ! -name dl -exec rm -rf {} + 2>/dev/null || true
