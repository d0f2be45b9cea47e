#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make the guests, then run kernels.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for group in kernel612-arm64 kernel7-arm64; do
    "$here/image.sh" "$group"
done
# For the parts that "make check" runs that is all
case "$* " in
"smmu-612 smmu-7 ") ;;
*) "$here/image.sh" kernel7
   "$here/image.sh" kernel612 ;;
esac
exec python3 "$here/kernels.py" "$@"
