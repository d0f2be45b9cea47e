#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Issue 20: a mutant whose line had been renamed was not there any more, and
# nobody saw it before the next whole run of all mutants, which takes hours.
set -euo pipefail

TOP=$(cd "$(dirname "$0")/../.." && pwd -P)
export PYTHONDONTWRITEBYTECODE=1

n=0
for script in mutate-cache.py mutate.py mutate-mec.py; do
    n=$((n + 1))
    if [[ $script != mutate-cache.py && ! -e $TOP/build/qemu ]]; then
        echo "ok $n /field/20-mutants-find-their-lines/$script # SKIP no QEMU"
        continue
    fi
    said=$(python3 "$TOP/scripts/$script" --check) && good= || good="not "
    sed 's/^/# /' <<< "$said"
    echo "${good}ok $n /field/20-mutants-find-their-lines/$script"
done
echo "1..$n"
