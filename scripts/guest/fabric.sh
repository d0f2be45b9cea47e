#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the guest needs, then run fabric.py (which see). Regions of volatile
# CXL memory take a later kernel than the default.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
export KERNEL=${KERNEL:-6.12}
"$here/image.sh"
exec python3 "$here/fabric.py" "$@"
