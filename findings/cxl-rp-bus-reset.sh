#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Linux 6.12.117 lists a reset method that cannot work: a function below a CXL
# root port as it comes out of reset (QEMU 11.1.3's cxl-rp; UnmaskSBR is 0, so
# a secondary bus reset has no effect, CXL r3.1 8.1.5.2) has "bus" in its
# reset_method, which is to name the methods that the function supports.
# Chosen, it is taken, and each reset then fails with ENOTTY.  "cxl_bus", also
# there for this function that is no CXL device, works: it lifts the mask for
# the reset.  Linux 7.2.13 does not list "bus" and refuses the choice (EINVAL).
# So a program that tries the methods listed has to live with both.
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

programs sid qemu-system-x86=1:11.1.3+ds-1 busybox-static=1:1.38.0-3+b1
export QEMU_MODULE_DIR=$TMP/root/usr/lib/x86_64-linux-gnu/qemu

# try VERSION: boot what is in the folder of that name
try() {
    guest "$TMP/$1" -M q35,cxl=on \
        -device pxb-cxl,bus_nr=12,bus=pcie.0,id=host \
        -device cxl-rp,bus=host,id=rp,chassis=0,slot=2 \
        -device virtio-rng-pci,bus=rp,romfile= << 'SH' > "$TMP/$1/seen"
cd /sys/bus/pci/devices/0000:0d:00.0
echo "vendor, device: $(cat vendor device | xargs)"
echo "methods listed: $(cat reset_method)"
for method in bus cxl_bus; do
    if ! echo $method > reset_method; then
        echo "$method: not taken"
    elif ! echo 1 > reset; then
        echo "$method: taken, no reset"
    else
        echo "$method: taken, reset"
    fi
done
SH
    printf -- '-- Linux %s\n' "$1"
    cat "$TMP/$1/seen"
}

contents trixie linux-image-6.12.117+deb13-amd64=6.12.117-1 "$TMP/deb-6.12"
kernel "$TMP/6.12.117" "$TMP/deb-6.12"
contents sid linux-binary-7.2.13+deb14-amd64=7.2.13-1 "$TMP/deb-7.2"
kernel "$TMP/7.2.13" "$TMP/deb-7.2"
rm -rf "$TMP"/deb-*

{ try 6.12.117; try 7.2.13; } | tee "$TMP/seen"

diff - "$TMP/seen" << 'END' || changed "see above"
-- Linux 6.12.117
vendor, device: 0x1af4 0x1044
methods listed: flr pm bus cxl_bus
sh: write error: Inappropriate ioctl for device
bus: taken, no reset
cxl_bus: taken, reset
-- Linux 7.2.13
vendor, device: 0x1af4 0x1044
methods listed: flr pm cxl_bus
sh: write error: Invalid argument
bus: not taken
cxl_bus: taken, reset
END
