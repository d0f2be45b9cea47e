#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A later Debian's compiler in build/guest/compiler, and programs of a kernel's
# headers that were built for that Debian, made to run here: each with the
# loader and the libraries that came along, from a script in its place.
#
# usage: compiler.sh FOLDER     (where such programs are)
set -euo pipefail
. "$(dirname "$0")/lib.sh"

compiler=$GUEST/compiler

# Where a program was there is a script, and the program as PROGRAM.elf
wrap() {
    local file=$1 up
    up=$(realpath --relative-to "$(dirname "$file")" "$compiler")
    mv "$file" "$file.elf"
    cat > "$file" <<SCRIPT
#!/bin/sh
self=\$0
[ ! -L "\$self" ] || self=\$(readlink -f "\$self")
root=\${self%/*}/$up
exec "\$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --argv0 "\$self" \\
    --library-path "\$root/usr/lib/x86_64-linux-gnu" "\$self.elf" "\$@"
SCRIPT
    chmod +x "$file"
}

wrap_all() {
    local file
    while IFS= read -r -d '' file; do
        if [ "$(head -c 4 "$file" | tr -d '\0')" = $'\x7fELF' ]; then
            wrap "$file"
        fi
    done < <(find "$1" -type f -perm -u+x ! -name '*.so*' ! -name '*.elf' \
                  -print0)
}

"$(dirname "$0")/unpack.sh" compiler
wrap_all "$compiler/usr/bin"
wrap_all "$compiler/usr/libexec"
wrap_all "$1"
