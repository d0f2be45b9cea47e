#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make the guests, then run kernels.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# As parts are called
parts=("$@")
[ $# -gt 0 ] || parts=(smmu-612 smmu-7 demo-612 demo-7)
for part in "${parts[@]}"; do
    case $part in
    smmu-7*) group=kernel7-arm64 ;;
    smmu-*) group=kernel612-arm64 ;;
    *-612) group=kernel612 ;;
    *) group=kernel7 ;;
    esac
    "$here/image.sh" "$group"
done
exec python3 "$here/kernels.py" "$@"
