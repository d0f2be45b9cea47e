#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the guest needs, then run isolation.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh" kernel
"$here/image.sh" kernel612
exec python3 "$here/isolation.py" "$@"
