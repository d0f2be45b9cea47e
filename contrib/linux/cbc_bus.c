// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices that come, go, are not ready, or hang
 *
 * The stock driver is told of nothing by this module's being there, and its
 * remove is not made for users who stay: it must find none of our transforms,
 * and it forgets requests without completing them.  So the bus tells us:
 *
 *   BIND_DRIVER     our config_changed() is put before the driver's
 *   BOUND_DRIVER    the device is used (cbc_device.c)
 *   UNBIND_DRIVER   the gate is closed; what comes out is waited for, unless
 *                   the device is dead or hangs; it is silenced, so that it
 *                   can't write any more; transforms are given back
 *   UNBOUND_DRIVER  what is still inside is done in software
 *
 * A device that hangs is unbound, which resets it, and bound again after a
 * rest.  One that is not ready is the stock driver's affair, which takes its
 * algorithm back: we give the transforms back first and then let it know.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <uapi/linux/virtio_crypto.h>
#include <uapi/linux/virtio_ids.h>

#include "cbc.h"

#define STOCK_DRIVER	"virtio_crypto"

/* Without a time limit one still has to end an orderly removal */
#define PATIENCE_MS	10000

/* The stock driver's own work after a change of configuration */
#define SETTLE_MS	100

#define MAX_REST_MS	60000

/* So many requests between two hangs and the rest is short again */
#define GOOD_WORK	1024

/* A device that the stock driver is bound to, or about to be */
struct binding {
	struct list_head node;
	struct virtio_device *vdev;
	struct virtio_driver *driver;
	const struct virtio_config_ops *config;	/* of one that is deaf */
	unsigned int noio;
	bool bound;
	bool leaving;
	bool silent;
	bool stuck;		/* has hung while it was being bound */
	bool again;		/* to be bound again after a rest */
	bool waiting;		/* see watch_binding() */
	u16 progress;
};

static DEFINE_MUTEX(bindings_mutex);
static LIST_HEAD(bindings);
static bool ending;			/* no new ones */
static LIST_HEAD(resting);		/* those with ->again, unbound */

static struct bus_type *virtio_bus;
static struct workqueue_struct *recover_wq;	/* nothing else gets in its way */
static struct workqueue_struct *change_wq;

/* Locked */
static struct binding *find_binding(struct virtio_device *vdev)
{
	struct binding *binding;

	list_for_each_entry(binding, &bindings, node)
		if (binding->vdev == vdev)
			return binding;
	return NULL;
}

static struct binding *get_binding(struct virtio_device *vdev)
{
	struct binding *binding;

	mutex_lock(&bindings_mutex);
	binding = find_binding(vdev);
	mutex_unlock(&bindings_mutex);
	return binding;
}

/* How many devices there are to use; 0 as long as one of them is in trouble */
unsigned int bus_usable(void)
{
	struct binding *binding;
	unsigned int count = 0;

	mutex_lock(&bindings_mutex);
	list_for_each_entry(binding, &bindings, node) {
		if (binding->leaving) {
			count = 0;
			break;
		}
		count += binding->bound;
	}
	mutex_unlock(&bindings_mutex);
	return count;
}

static bool any_silent(bool silent)
{
	struct binding *binding;
	bool any = false;

	mutex_lock(&bindings_mutex);
	list_for_each_entry(binding, &bindings, node)
		any |= binding->bound && binding->silent == silent;
	mutex_unlock(&bindings_mutex);
	return any;
}


static unsigned long patience(void)
{
	unsigned int limit = READ_ONCE(time_limit_ms);

	return msecs_to_jiffies(limit ?: PATIENCE_MS);
}

static bool recovering;
static atomic_t hang_for_sure;

static void surely_hangs(void)
{
	atomic_set(&hang_for_sure, 1);
	bus_device_hangs();
}

static void watch(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch_work, watch);

/* ---- a device comes -------------------------------------------------- */

static void config_changed(struct virtio_device *vdev);
static void (*stock_config_changed)(struct virtio_device *vdev);

static bool is_crypto(struct device *dev)
{
	return dev_to_virtio(dev)->id.device == VIRTIO_ID_CRYPTO &&
	       dev->driver && !strcmp(dev->driver->name, STOCK_DRIVER);
}

/* The first device hooks the driver, the last one unhooks it */
static void hook(struct virtio_driver *driver)
{
	if (driver->config_changed == config_changed)
		return;
	stock_config_changed = driver->config_changed;
	WRITE_ONCE(driver->config_changed, config_changed);
}

static void unhook(struct virtio_driver *driver)
{
	if (driver->config_changed == config_changed)
		WRITE_ONCE(driver->config_changed, stock_config_changed);
}

static void device_comes(struct device *dev, bool bound)
{
	struct binding *binding;
	bool stuck;

	mutex_lock(&bindings_mutex);
	binding = find_binding(dev_to_virtio(dev));
	if (!binding && !ending) {
		binding = kzalloc(sizeof(*binding), GFP_KERNEL);
		if (binding) {
			binding->vdev = dev_to_virtio(dev);
			binding->driver = drv_to_virtio(dev->driver);
			list_add_tail(&binding->node, &bindings);
			hook(binding->driver);
		}
	}
	stuck = binding && binding->stuck;
	if (binding)
		binding->bound = bound;
	mutex_unlock(&bindings_mutex);

	queue_delayed_work(change_wq, &watch_work, patience());
	if (bound && !stuck)
		device_attach_later();
	else if (bound)
		surely_hangs();
}

/* ---- and goes -------------------------------------------------------- */

/*
 * Requests may be inside any device.  When this one is silent and some have
 * not come out, all the others have to be silent, too.
 */
static void wait_for_others(void)
{
	while (!gate_drained(0) && any_silent(false)) {
		surely_hangs();
		msleep(20);
	}
}

static void device_goes(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct binding *binding = get_binding(vdev);

	if (!binding)
		return;
	/* Requests hang on what now follows, to the end of device_gone() */
	binding->noio = memalloc_noio_save();
	mutex_lock(&bindings_mutex);
	binding->leaving = true;
	mutex_unlock(&bindings_mutex);

	gate_close();
	if (!READ_ONCE(recovering) && !silence_is_broken(vdev) && !silence_is_deaf(vdev))
		gate_drained(patience());
	if (silence_is_deaf(vdev))
		binding->config = silence_spare_reset(vdev);
	silence(vdev);
	mutex_lock(&bindings_mutex);
	binding->silent = true;
	mutex_unlock(&bindings_mutex);
	wait_for_others();
	while (!device_detach_all(msecs_to_jiffies(20)))
		silence(vdev);
}

static void drop_binding(struct binding *binding)
{
	mutex_lock(&bindings_mutex);
	list_del(&binding->node);
	if (list_empty(&bindings))
		unhook(binding->driver);
	if (binding->again) {
		get_device(&binding->vdev->dev);
		get_device(binding->vdev->dev.parent);
		list_add_tail(&binding->node, &resting);
		binding = NULL;
	}
	mutex_unlock(&bindings_mutex);
	kfree(binding);
}

/* The driver has forgotten its requests */
static void device_gone(struct device *dev)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	struct binding *binding = get_binding(vdev);
	unsigned int noio;

	if (!binding)
		return;
	if (binding->config)
		vdev->config = binding->config;
	binding->config = NULL;
	noio = binding->noio;
	device_forget_engines();
	drop_binding(binding);

	if (!any_silent(true))
		gate_redo_lost();
	gate_unblock();
	memalloc_noio_restore(noio);

	if (bus_usable())
		device_attach_later();
	else if (state_now() != STATE_UNUSED && state_now() != STATE_HUNG)
		enter_state(STATE_NO_DEVICE);
}

static void device_not_bound(struct device *dev)
{
	struct binding *binding = get_binding(dev_to_virtio(dev));

	if (binding)
		drop_binding(binding);
}

static int bus_event(struct notifier_block *nb, unsigned long event,
		     void *data)
{
	struct device *dev = data;

	if (dev_to_virtio(dev)->id.device != VIRTIO_ID_CRYPTO)
		return NOTIFY_DONE;
	switch (event) {
	case BUS_NOTIFY_BIND_DRIVER:
		if (is_crypto(dev))
			device_comes(dev, false);
		break;
	case BUS_NOTIFY_BOUND_DRIVER:
		if (is_crypto(dev))
			device_comes(dev, true);
		break;
	case BUS_NOTIFY_UNBIND_DRIVER:
		device_goes(dev);
		break;
	case BUS_NOTIFY_UNBOUND_DRIVER:
		device_gone(dev);
		break;
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		device_not_bound(dev);
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block bus_nb = { .notifier_call = bus_event };

/* ---- a device hangs -------------------------------------------------- */

static void rebind(struct work_struct *work);
static DECLARE_DELAYED_WORK(rebind_work, rebind);

/* Twice as long as the last time, unless the device did good work meanwhile */
static unsigned long next_rest(void)
{
	static unsigned int rest;
	static s64 done;
	s64 now = atomic64_read(&stats.device_requests);

	if (!rest || now - done >= GOOD_WORK)
		rest = READ_ONCE(rest_ms);
	else
		rest = min_t(unsigned int, max(2 * rest, 1u), MAX_REST_MS);
	done = now;
	return msecs_to_jiffies(rest);
}

static int release(struct device *dev, void *unused)
{
	struct binding *binding;

	mutex_lock(&bindings_mutex);
	binding = find_binding(dev_to_virtio(dev));
	if (binding && binding->bound && !binding->leaving)
		binding->again = true;
	else
		binding = NULL;
	mutex_unlock(&bindings_mutex);
	if (binding)
		device_release_driver(dev);
	return 0;
}

static void recover(struct work_struct *work)
{
	unsigned int noio;

	if (!atomic_xchg(&hang_for_sure, 0) && !gate_overdue() &&
	    !device_control_overdue())
		return;

	noio = memalloc_noio_save();
	atomic64_inc(&stats.hangs);
	enter_state(STATE_HUNG);
	WRITE_ONCE(recovering, true);
	bus_for_each_dev(virtio_bus, NULL, NULL, release);
	WRITE_ONCE(recovering, false);
	queue_delayed_work(change_wq, &rebind_work, next_rest());
	memalloc_noio_restore(noio);
}

static DECLARE_WORK(recover_work, recover);

/* From any context, on suspicion */
void bus_device_hangs(void)
{
	queue_work(recover_wq, &recover_work);
}

/*
 * The kernel's self test waits for the device without a limit, and others for
 * the test: the driver's probe, with the device's lock, or its work after a
 * change of configuration.  A device that does nothing of what it was given
 * for the time of a limit hangs.  While it is being bound it can't be unbound,
 * so all that is asked of it is answered in its place, until it is bound.
 */
static bool watch_binding(struct binding *binding, bool *hangs)
{
	struct virtio_device *vdev = binding->vdev;
	bool before = binding->waiting, same;
	u16 progress = binding->progress;

	if (binding->leaving || !READ_ONCE(time_limit_ms))
		return false;
	binding->waiting = silence_is_waiting(vdev, &binding->progress);
	same = before && binding->waiting && binding->progress == progress;
	if (binding->bound) {
		*hangs |= same && device_is_tested();
		return false;
	}
	if (same && !binding->stuck) {
		binding->stuck = true;
		virtio_reset_device(vdev);
	}
	if (binding->stuck)
		silence_harvest(vdev);
	return binding->stuck;
}

static void watch(struct work_struct *work)
{
	struct binding *binding;
	bool hangs = false, stuck = false, any;

	mutex_lock(&bindings_mutex);
	list_for_each_entry(binding, &bindings, node)
		stuck |= watch_binding(binding, &hangs);
	any = !list_empty(&bindings);
	mutex_unlock(&bindings_mutex);

	if (hangs)
		surely_hangs();
	if (any)
		queue_delayed_work(change_wq, &watch_work,
				   stuck ? msecs_to_jiffies(10) : patience());
}

/*
 * Whatever reset the device beneath its driver (error recovery does) may have
 * lost the PCI part of its configuration as well.
 */
static void enumerate_again(struct device *dev, struct device *parent)
{
	struct pci_dev *pdev;
	struct pci_bus *bus;

	if (!parent || !dev_is_pci(parent))
		return;
	pdev = to_pci_dev(parent);
	pci_lock_rescan_remove();
	if (device_is_registered(dev) && !silence_pulled_out(parent)) {
		bus = pdev->bus;
		pci_stop_and_remove_bus_device(pdev);
		pci_rescan_bus(bus);
	}
	pci_unlock_rescan_remove();
}

static void rebind(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();
	struct binding *binding;
	struct device *dev, *parent;

	for (;;) {
		mutex_lock(&bindings_mutex);
		binding = list_first_entry_or_null(&resting, struct binding,
						   node);
		if (binding)
			list_del(&binding->node);
		mutex_unlock(&bindings_mutex);
		if (!binding)
			break;
		dev = &binding->vdev->dev;
		parent = dev->parent;
		kfree(binding);
		/* What was pulled out is the hot-plug driver's affair */
		if (!silence_pulled_out(parent) && device_attach(dev) != 1)
			enumerate_again(dev, parent);
		put_device(parent);
		put_device(dev);
	}
	memalloc_noio_restore(noio);
}

/* ---- a device is not ready ------------------------------------------- */

static void settle(struct work_struct *work);
static DECLARE_DELAYED_WORK(settle_work, settle);
static atomic_t settling;
static atomic_t not_ready;

static int tell_stock_driver(struct device *dev, void *unused)
{
	struct virtio_device *vdev = dev_to_virtio(dev);
	u32 status = 0;

	device_lock(dev);
	if (is_crypto(dev) && stock_config_changed) {
		spin_lock_irq(&vdev->config_lock);
		stock_config_changed(vdev);
		spin_unlock_irq(&vdev->config_lock);
		virtio_cread_le(vdev, struct virtio_crypto_config, status,
				&status);
		if (!(status & VIRTIO_CRYPTO_S_HW_READY))
			atomic_set(&not_ready, 1);
	}
	device_unlock(dev);
	return 0;
}

static void change(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();

	gate_close();
	if (gate_drained(patience()) && device_detach_all(2 * patience())) {
		atomic_set(&not_ready, 0);
		bus_for_each_dev(virtio_bus, NULL, NULL, tell_stock_driver);
	} else {
		/* Binding it again tells the driver as well */
		surely_hangs();
	}
	if (atomic_xchg(&settling, 1))
		gate_unblock();
	mod_delayed_work(change_wq, &settle_work, msecs_to_jiffies(SETTLE_MS));
	memalloc_noio_restore(noio);
}

static DECLARE_WORK(change_work, change);

static void settle(struct work_struct *work)
{
	atomic_set(&settling, 0);
	gate_unblock();
	if (!bus_usable())
		return;
	if (!atomic_read(&not_ready))
		device_attach_later();
	else if (state_now() != STATE_UNUSED)
		enter_state(STATE_NOT_READY);
}

/* Called from the interrupt, in the stock driver's place */
static void config_changed(struct virtio_device *vdev)
{
	queue_work(change_wq, &change_work);
}

/* ---- start and end --------------------------------------------------- */

/* There is no other way to the bus than to be a driver for a moment */
static int find_bus(void)
{
	static const struct virtio_device_id none[] = { { 0 } };
	static struct virtio_driver driver = {
		.driver.name = KBUILD_MODNAME,
		.driver.owner = THIS_MODULE,
		.id_table = none,
	};
	int err = register_virtio_driver(&driver);

	if (err)
		return err;
	virtio_bus = (struct bus_type *)driver.driver.bus;
	unregister_virtio_driver(&driver);
	return 0;
}

static int is_here_already(struct device *dev, void *unused)
{
	device_lock(dev);
	if (is_crypto(dev))
		device_comes(dev, true);
	device_unlock(dev);
	return 0;
}

static int forget(struct device *dev, void *unused)
{
	struct binding *binding;

	/* Waits for one that is being bound, or unbound */
	device_lock(dev);
	binding = get_binding(dev_to_virtio(dev));
	if (binding)
		drop_binding(binding);
	device_unlock(dev);
	return 0;
}

/*
 * The driver must not be left hooked.  A device that is being removed is not
 * on the bus any more, but its last notification is still to come.
 */
static void forget_all(void)
{
	bool left;

	mutex_lock(&bindings_mutex);
	ending = true;
	mutex_unlock(&bindings_mutex);
	bus_for_each_dev(virtio_bus, NULL, NULL, forget);
	for (;;) {
		mutex_lock(&bindings_mutex);
		left = !list_empty(&bindings);
		mutex_unlock(&bindings_mutex);
		if (!left)
			break;
		msleep(20);
	}
}

int bus_init(void)
{
	int err = find_bus();

	if (err)
		return err;
	recover_wq = alloc_workqueue("cxl_type1_cbc_recover",
				     WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	change_wq = alloc_workqueue("cxl_type1_cbc_change",
				    WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	err = -ENOMEM;
	if (!recover_wq || !change_wq)
		goto err;
	err = bus_register_notifier(virtio_bus, &bus_nb);
	if (err)
		goto err;
	bus_for_each_dev(virtio_bus, NULL, NULL, is_here_already);
	return 0;

err:
	if (change_wq)
		destroy_workqueue(change_wq);
	if (recover_wq)
		destroy_workqueue(recover_wq);
	return err;
}

/* There are no transforms any more */
void bus_exit(void)
{
	cancel_work_sync(&recover_work);
	/* Nobody else would bind those that rest */
	mod_delayed_work(change_wq, &rebind_work, 0);
	flush_delayed_work(&rebind_work);
	forget_all();
	bus_unregister_notifier(virtio_bus, &bus_nb);
	synchronize_rcu();	/* config_changed() in an interrupt */
	cancel_work_sync(&change_work);
	flush_delayed_work(&settle_work);
	cancel_delayed_work_sync(&watch_work);
	destroy_workqueue(change_wq);
	destroy_workqueue(recover_wq);
}
