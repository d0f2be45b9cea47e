#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the guest needs, then run cbit.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
exec python3 "$here/cbit.py" "$@"
