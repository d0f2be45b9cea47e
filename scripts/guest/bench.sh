#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make what the guest needs, then run bench.py and the bench-*.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
python3 "$here/bench.py" "$@"
python3 "$here/bench-touch.py"
python3 "$here/bench-iommu.py"
"$here/../build.sh" tests/qtest/cxl-type1-ats-test
exec python3 "$here/bench-invalidate.py"
