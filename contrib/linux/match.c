// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which devices are ours, and how they come to us beside the stock driver
 *
 * virtio_crypto takes every crypto device, and the driver core asks drivers in
 * the order in which they were loaded.  So that this order does not matter,
 * devices that the stock driver has are taken from it when this module is
 * loaded, and it is asked after this one from then on.  Once this module goes,
 * they go to whoever wants them.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/module.h>
#include <linux/virtio_ids.h>

#include "ct1.h"

#define STOCK_DRIVER	"virtio_crypto"
#define STOCK_ALG	"virtio_crypto_aes_cbc"

/* The stock driver's own self tests use its algorithm for a while */
#define STOCK_TRIES	40
#define STOCK_PAUSE_MS	100

/* CXL r3.1, 8.1.3: PCIe DVSEC for CXL Devices */
#define CXL_VENDOR		0x1e98
#define CXL_DVSEC_DEVICE	0
#define CXL_CAPABILITY		0x0a
#define CXL_CACHE_CAPABLE	BIT(0)
#define CXL_MEM_CAPABLE		BIT(2)

/* Nobody exports it, but registering a driver tells */
static struct bus_type *virtio_bus(void)
{
	return (struct bus_type *)ct1_driver.driver.bus;
}

static bool is_type1(struct pci_dev *pdev)
{
	u16 capability;
	int dvsec = pci_find_dvsec_capability(pdev, CXL_VENDOR,
					      CXL_DVSEC_DEVICE);

	if (!dvsec || pci_read_config_word(pdev, dvsec + CXL_CAPABILITY,
					   &capability))
		return false;
	return (capability & (CXL_CACHE_CAPABLE | CXL_MEM_CAPABLE)) ==
	       CXL_CACHE_CAPABLE;
}

/**
 * ct1_match() - is this a device for this driver?
 * @vdev: a virtio device that is a crypto device
 *
 * The parent has to be a PCI function with CXL.cache and without CXL.mem, that
 * is a Type 1 device, or any PCI function where the parameter "any" is set.
 */
bool ct1_match(struct virtio_device *vdev)
{
	struct device *parent = vdev->dev.parent;

	return parent && dev_is_pci(parent) &&
	       (ct1_any || is_type1(to_pci_dev(parent)));
}

static bool is_wanted(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);

	return vdev->id.device == VIRTIO_ID_CRYPTO && ct1_match(vdev);
}

/*
 * An algorithm that somebody uses cannot be unregistered without a warning, and
 * not without somebody losing it.
 */
static bool stock_in_use(void)
{
	struct crypto_skcipher *tfm = crypto_alloc_skcipher(STOCK_ALG, 0, 0);
	bool used;

	if (IS_ERR(tfm))
		return false;
	/* One for being registered, one for this transform */
	used = refcount_read(&crypto_skcipher_alg(tfm)->base.cra_refcnt) > 2;
	crypto_free_skcipher(tfm);
	return used;
}

static bool take_from_stock(struct device *dev)
{
	unsigned int tries = STOCK_TRIES;

	while (stock_in_use()) {
		if (!--tries)
			return false;
		msleep(STOCK_PAUSE_MS);
	}
	device_release_driver(dev);
	return true;
}

static int take_over(struct device *dev, void *unused)
{
	bool stock;

	if (!is_wanted(dev))
		return 0;
	device_lock(dev);
	stock = dev->driver && !strcmp(dev->driver->name, STOCK_DRIVER);
	device_unlock(dev);
	if (!stock)
		return 0;
	if (!take_from_stock(dev)) {
		dev_warn(dev,
			 "left to %s, whose algorithm is in use: unload this module and load it again when it is not\n",
			 STOCK_DRIVER);
		return 0;
	}
	if (device_driver_attach(&ct1_driver.driver, dev))
		dev_warn(dev, "was taken from " STOCK_DRIVER ", but cannot be driven\n");
	return 0;
}

static int is_bound_to(struct device *dev, void *driver)
{
	return dev->driver == driver;
}

/*
 * The bus asks drivers in the order in which they were registered: have the
 * stock driver registered after this one.  Devices of others would notice.
 */
static void stock_goes_last(struct bus_type *bus)
{
	struct device_driver *stock = driver_find(STOCK_DRIVER, bus);

	if (!stock || !try_module_get(stock->owner))
		return;
	if (bus_for_each_dev(bus, NULL, stock, is_bound_to)) {
		pr_info(STOCK_DRIVER " has devices and was loaded first: it will have those that are plugged in, too\n");
	} else {
		driver_unregister(stock);
		if (driver_register(stock))
			pr_warn(STOCK_DRIVER " cannot be registered any more: unload it and load it again\n");
	}
	module_put(stock->owner);
}

/**
 * ct1_match_init() - register the driver, and take the devices that are there
 *
 * Return: 0, or what register_virtio_driver() said.
 */
int ct1_match_init(void)
{
	int err = register_virtio_driver(&ct1_driver);

	if (err)
		return err;
	if (ct1_takeover) {
		bus_for_each_dev(virtio_bus(), NULL, NULL, take_over);
		stock_goes_last(virtio_bus());
	}
	if (ct1_device_best_state() == CT1_NO_DEVICE)
		pr_info("no device: software only\n");
	return 0;
}

/* One that was pulled out a moment ago is nothing that a driver could reset */
static int give_away(struct device *dev, void *unused)
{
	if (is_wanted(dev) && !dev->driver &&
	    pci_device_is_present(to_pci_dev(dev->parent)) &&
	    device_attach(dev) < 0)
		dev_dbg(dev, "nobody wants it\n");
	return 0;
}

/** ct1_match_exit() - give up all devices; they go to other drivers */
void ct1_match_exit(void)
{
	unregister_virtio_driver(&ct1_driver);
	bus_for_each_dev(virtio_bus(), NULL, NULL, give_away);
}
