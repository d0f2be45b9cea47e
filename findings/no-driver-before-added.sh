#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Debian's Linux 6.1.176: device_driver_attach(), called from a bus notifier at
# BUS_NOTIFY_ADD_DEVICE, answers -EAGAIN for every device and driver: the driver
# core keeps devices from being probed until device_add() is through with the
# notifiers.  A moment later the same call is good.  So a module can't bind a
# device that is plugged in ahead of the drivers that registered before it, as
# notifiers of some out-of-tree drivers do.
# shellcheck disable=SC1091 source=SCRIPTDIR/common.bash
. "$(dirname "$0")/common.bash"

for tool in gcc-12 make; do
    command -v "$tool" >/dev/null || skip "$tool is needed for the module"
done
programs sid qemu-system-x86=1:11.1.3+ds-1 busybox-static=1:1.38.0-3+b1
export QEMU_MODULE_DIR=$TMP/root/usr/lib/x86_64-linux-gnu/qemu

mkdir "$TMP/module"
cat > "$TMP/module/attach.c" << 'C'
#define pr_fmt(fmt) "attach: " fmt
#include <linux/device.h>
#include <linux/module.h>
#include <linux/platform_device.h>

static int probe(struct platform_device *dev)
{
	return 0;
}

static struct platform_driver driver = {
	.driver.name = "attach-driver",
	.probe = probe,
};

static int notice(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	if (event == BUS_NOTIFY_ADD_DEVICE && !strcmp(dev_name(dev), "attach-me"))
		pr_alert("result while it is added: %d\n",
			 device_driver_attach(&driver.driver, dev));
	return NOTIFY_DONE;
}

static struct notifier_block notifier = { .notifier_call = notice };

static int __init attach_init(void)
{
	struct platform_device *dev;
	int err = platform_driver_register(&driver);

	if (err)
		return err;
	bus_register_notifier(&platform_bus_type, &notifier);
	dev = platform_device_register_simple("attach-me", PLATFORM_DEVID_NONE,
					      NULL, 0);
	if (!IS_ERR(dev))
		pr_alert("result afterwards: %d\n",
			 device_driver_attach(&driver.driver, &dev->dev));
	return 0;
}

module_init(attach_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("binds a device as soon as it hears of it");
C
echo 'obj-m := attach.o' > "$TMP/module/Kbuild"
ABI=6.1.0-50
VERSION=6.1.176-1
for package in linux-headers-$ABI-amd64 linux-headers-$ABI-common \
               linux-kbuild-6.1; do
    contents bookworm "$package=$VERSION" "$TMP/build"
done
contents bookworm "linux-image-$ABI-amd64=$VERSION" "$TMP/deb"
# They find their common part at an absolute path
headers=$TMP/build/usr/src/linux-headers-$ABI-amd64
# shellcheck disable=SC2016  # for make to expand
sed -i 's|^include /usr/src/|include $(dir $(lastword $(MAKEFILE_LIST)))../|' \
    "$headers/Makefile"
make -C "$headers" M="$TMP/module" CONFIG_DEBUG_INFO_BTF_MODULES= modules \
    > "$TMP/log" 2>&1 ||
    { cat "$TMP/log" >&2; skip "the module does not build"; }

kernel "$TMP/guest" "$TMP/deb"
cp "$TMP/module/attach.ko" "$TMP/guest/root/lib/50-attach.ko"
guest "$TMP/guest" << 'SH' | tee "$TMP/seen"
dmesg | sed -n 's/.*\] attach: result /result /p'
SH
diff - "$TMP/seen" << 'END' || changed "see above"
result while it is added: -11
result afterwards: 0
END
