#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux 7.2.13 with the stock virtio_crypto driver on QEMU's virtio-crypto-pci:
# /proc/crypto has virtio_crypto_aes_cbc, tested, with the highest priority of
# all cbc(aes); AF_ALG does not know that name (ENOENT), and a socket bound to
# cbc(aes) has the software of lower priority.  On 6.12.117 both names are the
# device.  So what measures or tests an asynchronous accelerator from user
# space there (AF_ALG, and what is built on it) has the processor here, without
# a word.
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

command -v cc >/dev/null || skip "a C compiler is needed for the guest's part"
programs sid qemu-system-x86=1:11.1.3+ds-1 busybox-static=1:1.38.0-3+b1
export QEMU_MODULE_DIR=$TMP/root/usr/lib/x86_64-linux-gnu/qemu

cat > "$TMP/bind.c" <<'C'
/* bind NAME COMMAND...: a command while a socket has the skcipher NAME */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/if_alg.h>

int main(int argc, char **argv)
{
    struct sockaddr_alg alg = { AF_ALG, "skcipher" };
    int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);

    if (argc < 3 || strlen(argv[1]) >= sizeof(alg.salg_name)) {
        return 2;
    }
    strcpy((char *)alg.salg_name, argv[1]);
    if (bind(fd, (struct sockaddr *)&alg, sizeof(alg))) {
        puts(errno == ENOENT ? "not bound: ENOENT" : strerror(errno));
        return 1;
    }
    return execvp(argv[2], argv + 2);
}
C

# Who is cbc(aes), as the kernel describes it: the priority says who is taken;
# more than one reference, that there is a user
cat > "$TMP/show" <<'SH'
#!/bin/sh
awk '$1 == "name" { ours = $3 == "cbc(aes)" }
     ours && $1 ~ /^(driver|priority)$/ { printf "%s %s ", $1, $3 }
     ours && $1 == "refcnt" { used = $3 > 1 ? "in use" : "idle" }
     ours && $1 == "selftest" { print $1, $3, used }' /proc/crypto
SH
chmod 755 "$TMP/show"

# try VERSION: boot what is in the folder of that name
try() {
    mkdir -p "$TMP/$1/root/bin"
    cp "$TMP/show" "$TMP/$1/root/bin/"
    cc -static -o "$TMP/$1/root/bin/bind" "$TMP/bind.c" ||
        skip "no static program can be built"
    guest "$TMP/$1" -object cryptodev-backend-builtin,id=c \
        -device virtio-crypto-pci,cryptodev=c << 'SH' > "$TMP/$1/seen"
for i in 1 2 3 4 5 6 7 8 9; do
    show | grep -q passed && break
    sleep 1
done
show
echo bind virtio_crypto_aes_cbc
bind virtio_crypto_aes_cbc show
echo 'bind cbc(aes)'
bind 'cbc(aes)' show
SH
    printf -- '-- Linux %s\n' "$1"
    cat "$TMP/$1/seen"
}

MODULES=(crypto_engine virtio_crypto af_alg algif_skcipher)
contents trixie linux-image-6.12.117+deb13-amd64=6.12.117-1 "$TMP/deb-6.12"
kernel "$TMP/6.12.117" "$TMP/deb-6.12" "${MODULES[@]}"
contents sid linux-binary-7.2.13+deb14-amd64=7.2.13-1 "$TMP/deb-7.2"
contents sid linux-modules-7.2.13+deb14-amd64=7.2.13-1 "$TMP/deb-7.2"
kernel "$TMP/7.2.13" "$TMP/deb-7.2" "${MODULES[@]}"
rm -rf "$TMP"/deb-*

{ try 6.12.117; try 7.2.13; } | tee "$TMP/seen"

diff - "$TMP/seen" << 'END' || changed "see above"
-- Linux 6.12.117
driver virtio_crypto_aes_cbc priority 150 selftest passed idle
driver cbc(ecb(aes-generic)) priority 100 selftest passed idle
bind virtio_crypto_aes_cbc
driver virtio_crypto_aes_cbc priority 150 selftest passed in use
driver cbc(ecb(aes-generic)) priority 100 selftest passed idle
bind cbc(aes)
driver virtio_crypto_aes_cbc priority 150 selftest passed in use
driver cbc(ecb(aes-generic)) priority 100 selftest passed idle
-- Linux 7.2.13
driver virtio_crypto_aes_cbc priority 150 selftest passed idle
driver cbc(ecb(aes-lib)) priority 100 selftest passed idle
bind virtio_crypto_aes_cbc
not bound: ENOENT
bind cbc(aes)
driver virtio_crypto_aes_cbc priority 150 selftest passed idle
driver cbc(ecb(aes-lib)) priority 100 selftest passed in use
END
