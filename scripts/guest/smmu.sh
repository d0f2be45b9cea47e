#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make an arm64 guest, then run smmu.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh" kernel-arm64
exec python3 "$here/smmu.py" "$@"
