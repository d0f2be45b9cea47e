// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a device is made sure that it writes no more
 *
 * The transport's own reset waits until the device's status reads 0, which the
 * all ones of a device that was pulled out never are: removing it would never
 * end, and the driver core warns of a status that is not 0 when it does.  So a
 * device has, as long as it is ours, a reset that ends when there is nobody
 * left, and a status of 0 then.
 */

#include <linux/delay.h>
#include <linux/slab.h>
#include <linux/virtio_pci.h>

#include "ct1.h"

#define RESET_POLLS	2000
#define ALL_ONES	0xff

static struct ct1_device *to_ct1(struct virtio_device *vdev)
{
	return container_of(vdev->config, struct ct1_device, ops);
}

static u8 __iomem *status_register(struct ct1_device *dev)
{
	return dev->common + offsetof(struct virtio_pci_common_cfg,
				      device_status);
}

static u8 get_status(struct virtio_device *vdev)
{
	u8 status = ioread8(status_register(to_ct1(vdev)));

	return status == ALL_ONES ? 0 : status;
}

/* virtio 1.2, 4.1.4.3.2: a device that has been reset says so with a 0 */
static void reset(struct virtio_device *vdev)
{
	struct ct1_device *dev = to_ct1(vdev);
	unsigned int polls = RESET_POLLS;

	iowrite8(0, status_register(dev));
	while (get_status(vdev)) {
		if (!--polls) {
			/* Then it shall write nothing at least */
			dev_err(&vdev->dev, "does not reset: bus mastering off\n");
			pci_clear_master(dev->pdev);
			break;
		}
		usleep_range(500, 1000);
	}
	if (dev->config->synchronize_cbs)
		dev->config->synchronize_cbs(vdev);
}

/**
 * ct1_reset_silence() - reset the device, or see that it is gone
 * @dev: the device
 *
 * It writes and interrupts no more when this returns.
 */
void ct1_reset_silence(struct ct1_device *dev)
{
	reset(dev->vdev);
}

/**
 * ct1_reset_present() - is it still there?
 * @dev: the device
 */
bool ct1_reset_present(struct ct1_device *dev)
{
	return pci_device_is_present(dev->pdev);
}

/**
 * ct1_reset_remember() - note its configuration space, as it should be
 * @dev: the device, in working order
 */
void ct1_reset_remember(struct ct1_device *dev)
{
	kfree(dev->saved);
	pci_save_state(dev->pdev);
	dev->saved = pci_store_saved_state(dev->pdev);
}

/**
 * ct1_reset_revive() - can its registers be reached?
 * @dev: the device
 *
 * A reset that nobody restored its configuration space after, a bus reset or a
 * link that was down for a moment, took its BARs: they are given back to it.
 */
bool ct1_reset_revive(struct ct1_device *dev)
{
	u16 command;

	if (!ct1_reset_present(dev) ||
	    pci_read_config_word(dev->pdev, PCI_COMMAND, &command))
		return false;
	if (command & PCI_COMMAND_MEMORY)
		return true;
	if (!dev->saved || pci_load_saved_state(dev->pdev, dev->saved))
		return false;
	pci_restore_state(dev->pdev);
	return true;
}

static u8 __iomem *map_common(struct pci_dev *pdev)
{
	u8 type, bar;
	u32 offset;
	int pos;

	for (pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR); pos;
	     pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR)) {
		pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_CFG_TYPE, &type);
		if (type != VIRTIO_PCI_CAP_COMMON_CFG)
			continue;
		pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_BAR, &bar);
		pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_OFFSET,
				      &offset);
		return pci_iomap_range(pdev, bar, offset,
				       sizeof(struct virtio_pci_common_cfg));
	}
	return NULL;
}

/**
 * ct1_reset_init() - have the device reset our way from now on
 * @dev: the device
 *
 * Return: 0, or -ENODEV for one that has no modern virtio registers.
 */
int ct1_reset_init(struct ct1_device *dev)
{
	dev->common = map_common(dev->pdev);
	if (!dev->common)
		return -ENODEV;
	dev->config = dev->vdev->config;
	dev->ops = *dev->config;
	dev->ops.reset = reset;
	dev->ops.get_status = get_status;
	dev->vdev->config = &dev->ops;
	return 0;
}

/**
 * ct1_reset_exit() - have it as it was
 * @dev: the device
 */
void ct1_reset_exit(struct ct1_device *dev)
{
	dev->vdev->config = dev->config;
	pci_iounmap(dev->pdev, dev->common);
	kfree(dev->saved);
}
