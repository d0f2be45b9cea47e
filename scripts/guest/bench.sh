#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the guest needs, then run bench.py and bench-touch.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
python3 "$here/bench.py" "$@"
exec python3 "$here/bench-touch.py"
