#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A shell in a guest with the device, the module loaded and a spare disk.
# Ctrl-A X leaves.  The environment's settings: see run.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
"$here/image.sh"
exec python3 "$here/run.py" "$@"
