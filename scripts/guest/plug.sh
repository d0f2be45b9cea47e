#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make a guest and get it UEFI, then run plug.py (which see).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
"$here/unpack.sh" firmware-amd64
exec python3 "$here/plug.py" "$@"
