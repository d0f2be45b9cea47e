#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Test the kernel module and the demo at a small size; TAP on stdout.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
exec python3 "$here/check.py" "$@"
