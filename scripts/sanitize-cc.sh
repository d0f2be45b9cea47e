#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gcc for BUILD=asan: instruments what is named in sanitize.list of the folder
# that it is run in, as ninja runs it; everything else is compiled as it is
# without, so that ccache has the objects of the other build.  What is not
# instrumented still has the allocator, the interceptors (memcpy() and the like)
# and the leak check, for all programs are linked with the sanitizers.
#
# usage: sanitize-cc.sh ARGUMENTS-OF-GCC

sanitizers='-fsanitize=address,undefined'

compiling='' source=''
for arg; do
    case $arg in
    -c) compiling=1 ;;
    *.c) source=$arg ;;
    esac
done
if [ -n "$compiling" ] &&
    ! grep -qsxF "${source#../}" sanitize.list; then
    sanitizers=''
fi
# Unquoted: no word, or one
exec $(command -v ccache) gcc $sanitizers "$@"
