// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of a device: found, used, hung, reset, not ready, suspended, gone
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>

#include "ct1.h"
#include "trace.h"

/* compat_find_vqs() has room for them and the control queue */
#define MAX_QUEUES	64

#define MAX_REST_MS	60000
/* So many good requests, and a hang is the first one again */
#define ENOUGH_GOOD	1024

/* Looking for what is overdue costs a wake-up */
#define LEAST_WATCH_MS	10
#define RETRY_LOCK_MS	5

const char *const ct1_state_names[CT1_NUM_STATES] = {
	[CT1_NO_DEVICE]	= "no-device",
	[CT1_STOPPED]	= "stopped",
	[CT1_HUNG]	= "hung",
	[CT1_NOT_READY]	= "not-ready",
	[CT1_ERRORS]	= "errors",
	[CT1_DEVICE]	= "device",
};

static const char *const state_texts[CT1_NUM_STATES] = {
	[CT1_NO_DEVICE]	= "gone",
	[CT1_STOPPED]	= "stops: suspended, or about to be reset",
	[CT1_HUNG]	= "no answer: reset, rests",
	[CT1_NOT_READY]	= "says that it is not ready",
	[CT1_ERRORS]	= "answers with errors",
	[CT1_DEVICE]	= "is used",
};

/* ---- states --------------------------------------------------------------- */

static void said(struct ct1_device *dev, enum ct1_state old, enum ct1_state now)
{
	trace_ct1_state(dev, old, now);
	/* Where some requests fail, these two come and go with each of them */
	if (old >= CT1_ERRORS && now >= CT1_ERRORS)
		dev_info_ratelimited(&dev->vdev->dev, "%s\n",
				     state_texts[now]);
	else
		dev_info(&dev->vdev->dev, "%s\n", state_texts[now]);
}

static void set_state(struct ct1_device *dev, enum ct1_state now)
{
	enum ct1_state old = xchg(&dev->state, now);
	bool use = now >= CT1_ERRORS;

	if (use != dev->in_use) {
		dev->in_use = use;
		if (use)
			ct1_inc(CT1_ATTACHED);
		else
			ct1_inc(CT1_DETACHED);
	}
	if (old != now)
		said(dev, old, now);
}

/**
 * ct1_device_error() - a request came back with an error
 * @dev: the device
 */
void ct1_device_error(struct ct1_device *dev)
{
	if (cmpxchg(&dev->state, CT1_DEVICE, CT1_ERRORS) == CT1_DEVICE)
		said(dev, CT1_DEVICE, CT1_ERRORS);
}

/**
 * ct1_device_good() - a request came back good
 * @dev: the device
 */
void ct1_device_good(struct ct1_device *dev)
{
	atomic64_inc(&dev->requests);
	if (unlikely(READ_ONCE(dev->state) == CT1_ERRORS) &&
	    cmpxchg(&dev->state, CT1_ERRORS, CT1_DEVICE) == CT1_ERRORS)
		said(dev, CT1_ERRORS, CT1_DEVICE);
	if (unlikely(READ_ONCE(dev->rests)) &&
	    atomic_inc_return(&dev->good) >= ENOUGH_GOOD)
		WRITE_ONCE(dev->rests, 0);
}

/** ct1_device_best_state() - that of the device which is best off */
enum ct1_state ct1_device_best_state(void)
{
	enum ct1_state best = CT1_NO_DEVICE;
	struct ct1_device *dev;

	mutex_lock(&ct1_lock);
	list_for_each_entry(dev, &ct1_devices, node)
		best = max(best, READ_ONCE(dev->state));
	mutex_unlock(&ct1_lock);
	return best;
}

/* ---- what has to be looked after ------------------------------------------ */

/* Whoever removes or suspends it, or resets its function, has it alone */
static bool left_alone(struct ct1_device *dev)
{
	return READ_ONCE(dev->removing) || READ_ONCE(dev->frozen);
}

/**
 * ct1_device_event() - something has happened to the device
 * @dev: the device
 * @event: what
 *
 * From any context.
 */
void ct1_device_event(struct ct1_device *dev, enum ct1_event event)
{
	set_bit(event, &dev->events);
	if (!left_alone(dev))
		mod_delayed_work(ct1_wq, &dev->manage, 0);
}

/**
 * ct1_device_watch() - the device has got something to do: see that it does
 * @dev: the device
 */
void ct1_device_watch(struct ct1_device *dev)
{
	unsigned int limit = READ_ONCE(ct1_time_limit_ms);
	unsigned int ms = max_t(unsigned int, limit / 8, LEAST_WATCH_MS);

	if (limit && !delayed_work_pending(&dev->watch))
		queue_delayed_work(ct1_wq, &dev->watch, msecs_to_jiffies(ms));
}

static bool busy(struct ct1_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		if (READ_ONCE(dev->queues[i].num_inflight))
			return true;
	return false;
}

/* Reset beneath us it has lost its queues, and there is no use in waiting */
static bool forgot_us(struct ct1_device *dev)
{
	return !(dev->ops.get_status(dev->vdev) & VIRTIO_CONFIG_S_DRIVER_OK);
}

static void watch_work(struct work_struct *work)
{
	struct ct1_device *dev = container_of(to_delayed_work(work),
					      struct ct1_device, watch);
	unsigned long limit = msecs_to_jiffies(READ_ONCE(ct1_time_limit_ms));
	unsigned int i;

	/* An interrupt may be lost, and the request done */
	for (i = 0; i < dev->num_queues; i++)
		ct1_queue_drain(&dev->queues[i]);
	if (!busy(dev))
		return;
	for (i = 0; i < dev->num_queues; i++) {
		if (!limit || !ct1_queue_overdue(&dev->queues[i], limit))
			continue;
		ct1_device_event(dev, CT1_EVENT_HANG);
		return;
	}
	if (forgot_us(dev) && ct1_reset_present(dev))
		ct1_device_event(dev, CT1_EVENT_HANG);
	else
		ct1_device_watch(dev);
}

/* ---- queues, and the device's limits -------------------------------------- */

static int make_queues(struct ct1_device *dev)
{
	unsigned int i;
	u32 n;

	virtio_cread_le(dev->vdev, struct virtio_crypto_config, max_dataqueues,
			&n);
	if (!n || n > MAX_QUEUES || (dev->num_queues && n != dev->num_queues)) {
		dev_err(&dev->vdev->dev, "has %u data queues: 1 to %u can be used\n",
			n, MAX_QUEUES);
		return -EINVAL;
	}
	if (dev->num_queues)
		return 0;
	dev->queues = kcalloc(n, sizeof(*dev->queues), GFP_KERNEL);
	if (!dev->queues)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		ct1_queue_init(&dev->queues[i], dev, i);
	dev->num_queues = n;
	return 0;
}

/* virtio 1.2, 5.9.2: the data queues, and then the control queue */
static int find_queues(struct ct1_device *dev)
{
	unsigned int i, n = dev->num_queues;
	struct virtqueue_info *info;
	struct virtqueue **vqs;
	int err = -ENOMEM;

	vqs = kcalloc(n + 1, sizeof(*vqs), GFP_NOIO);
	info = kcalloc(n + 1, sizeof(*info), GFP_NOIO);
	if (!vqs || !info)
		goto out;
	for (i = 0; i < n; i++) {
		info[i].name = dev->queues[i].name;
		info[i].callback = ct1_queue_callback;
	}
	info[n].name = "controlq";
	info[n].callback = ct1_control_callback;
	err = compat_find_vqs(dev->vdev, n + 1, vqs, info, NULL);
	if (err)
		goto out;
	for (i = 0; i < n; i++) {
		unsigned int cpu = cpumask_next(i % num_online_cpus() - 1,
						cpu_online_mask);

		dev->queues[i].vq = vqs[i];
		virtqueue_set_affinity(vqs[i], cpumask_of(cpu));
	}
	dev->ctrl.vq = vqs[n];
	dev->max_segments = virtqueue_get_vring_size(vqs[0]);
out:
	kfree(info);
	kfree(vqs);
	return err;
}

static int read_limits(struct ct1_device *dev)
{
	struct virtio_device *vdev = dev->vdev;
	u32 services;
	u64 max_size;

	virtio_cread_le(vdev, struct virtio_crypto_config, crypto_services,
			&services);
	virtio_cread_le(vdev, struct virtio_crypto_config, cipher_algo_l,
			&dev->algos);
	virtio_cread_le(vdev, struct virtio_crypto_config, max_cipher_key_len,
			&dev->max_key);
	virtio_cread_le(vdev, struct virtio_crypto_config, max_size, &max_size);
	if (!(services & BIT(VIRTIO_CRYPTO_SERVICE_CIPHER)))
		dev->algos = 0;
	/* It is the sum of the IV, the source and the destination */
	max_size = min_t(u64, max_size, 1 << 30);
	if (max_size < 3 * AES_BLOCK_SIZE || dev->max_segments < 4) {
		dev_err(&vdev->dev, "cannot take a block: max_size %llu, %u descriptors\n",
			max_size, dev->max_segments);
		return -EINVAL;
	}
	dev->max_part = round_down((unsigned int)(max_size - AES_BLOCK_SIZE) / 2,
				   AES_BLOCK_SIZE);
	return 0;
}

static bool is_ready(struct ct1_device *dev)
{
	u32 status;

	virtio_cread_le(dev->vdev, struct virtio_crypto_config, status,
			&status);
	return status != U32_MAX && status & VIRTIO_CRYPTO_S_HW_READY;
}

static void drop_queues(struct ct1_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		dev->queues[i].vq = NULL;
	dev->ctrl.vq = NULL;
	dev->vdev->config->del_vqs(dev->vdev);
}

/* ---- beginning and end of use --------------------------------------------- */

static void attach(struct ct1_device *dev)
{
	unsigned int i;

	mutex_lock(&ct1_lock);
	/* If not, it is reset, and all this comes again */
	if (!ct1_session_attach(dev)) {
		set_state(dev, CT1_DEVICE);
		for (i = 0; i < dev->num_queues; i++)
			ct1_queue_open(&dev->queues[i]);
	}
	mutex_unlock(&ct1_lock);
}

static void close_queues(struct ct1_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->num_queues; i++)
		ct1_queue_close(&dev->queues[i]);
}

/* What it has, it shall finish; nobody waits longer than for a hang */
static void wait_idle(struct ct1_device *dev)
{
	unsigned long end = jiffies +
			    msecs_to_jiffies(READ_ONCE(ct1_time_limit_ms));
	unsigned int i;

	while (busy(dev) && ct1_reset_present(dev) && !forgot_us(dev) &&
	       (!READ_ONCE(ct1_time_limit_ms) || time_before(jiffies, end))) {
		usleep_range(500, 1000);
		for (i = 0; i < dev->num_queues; i++)
			ct1_queue_drain(&dev->queues[i]);
	}
}

static int start(struct ct1_device *dev)
{
	int err = make_queues(dev);

	if (!err)
		err = find_queues(dev);
	if (err)
		return err;
	err = read_limits(dev);
	if (err) {
		drop_queues(dev);
		return err;
	}
	virtio_device_ready(dev->vdev);
	ct1_reset_remember(dev);
	if (is_ready(dev))
		attach(dev);
	else
		set_state(dev, CT1_NOT_READY);
	return 0;
}

/*
 * Afterwards the device has nothing of ours, and each request that it had is
 * either done or on its way to software.
 */
static void quiesce(struct ct1_device *dev, enum ct1_state state, bool wait)
{
	unsigned int i;

	/* Whoever waits for an answer has the lock */
	complete(&dev->ctrl.answered);
	mutex_lock(&ct1_lock);
	set_state(dev, state);
	mutex_unlock(&ct1_lock);
	close_queues(dev);
	if (wait)
		wait_idle(dev);
	ct1_reset_silence(dev);
	if (!dev->ctrl.vq)
		return;
	cancel_delayed_work_sync(&dev->watch);
	/* The bus has broken the rings of one that is gone: look once more */
	if (!ct1_reset_present(dev))
		__virtio_unbreak_device(dev->vdev);
	for (i = 0; i < dev->num_queues; i++)
		ct1_queue_abandon(&dev->queues[i]);
	ct1_control_abandon(&dev->ctrl);
	ct1_session_detach(dev);
	drop_queues(dev);
	clear_bit(CT1_EVENT_HANG, &dev->events);
}

/* ---- hangs, and readiness -------------------------------------------------- */

static void rest(struct ct1_device *dev)
{
	unsigned int ms = min_t(u64, MAX_REST_MS, (u64)READ_ONCE(ct1_rest_ms) <<
				min(dev->rests, 16u));
	unsigned long delay = msecs_to_jiffies(ms);

	dev->rests++;
	atomic_set(&dev->good, 0);
	dev->rested = jiffies + delay;
	mod_delayed_work(ct1_wq, &dev->manage, delay);
}

static void hang(struct ct1_device *dev)
{
	ct1_inc(CT1_HANGS);
	virtio_device_freeze(dev->vdev);
	rest(dev);
}

static void try_again(struct ct1_device *dev)
{
	if (!time_after_eq(jiffies, dev->rested)) {
		mod_delayed_work(ct1_wq, &dev->manage,
				 dev->rested - jiffies);
		return;
	}
	if (!ct1_reset_revive(dev) || virtio_device_restore(dev->vdev))
		rest(dev);
}

static void look_ready(struct ct1_device *dev)
{
	bool ready = is_ready(dev);

	if (ready && dev->state == CT1_NOT_READY) {
		attach(dev);
	} else if (!ready && dev->state >= CT1_ERRORS) {
		mutex_lock(&ct1_lock);
		set_state(dev, CT1_NOT_READY);
		mutex_unlock(&ct1_lock);
		close_queues(dev);
	}
}

static void manage_work(struct work_struct *work)
{
	struct ct1_device *dev = container_of(to_delayed_work(work),
					      struct ct1_device, manage);

	/* Whoever removes it holds the lock, and waits for this */
	if (!device_trylock(&dev->vdev->dev)) {
		if (!left_alone(dev))
			queue_delayed_work(ct1_wq, &dev->manage,
					   msecs_to_jiffies(RETRY_LOCK_MS));
		return;
	}
	if (!left_alone(dev)) {
		if (test_and_clear_bit(CT1_EVENT_HANG, &dev->events))
			hang(dev);
		if (dev->state == CT1_HUNG)
			try_again(dev);
		else if (test_and_clear_bit(CT1_EVENT_CONFIG, &dev->events))
			look_ready(dev);
	}
	device_unlock(&dev->vdev->dev);
}

static void config_changed(struct virtio_device *vdev)
{
	ct1_device_event(vdev->priv, CT1_EVENT_CONFIG);
}

/* ---- the virtio driver ----------------------------------------------------- */

static void free_device(void *data)
{
	struct ct1_device *dev = data;

	ct1_reset_exit(dev);
	kfree(dev->queues);
	kfree_rcu(dev, rcu);
}

static int probe(struct virtio_device *vdev)
{
	struct ct1_device *dev;
	int err;

	if (!ct1_match(vdev))
		return -ENODEV;
	dev = kzalloc(sizeof(*dev), GFP_KERNEL);
	if (!dev)
		return -ENOMEM;
	dev->vdev = vdev;
	dev->pdev = to_pci_dev(vdev->dev.parent);
	INIT_DELAYED_WORK(&dev->manage, manage_work);
	INIT_DELAYED_WORK(&dev->watch, watch_work);
	ct1_control_init(&dev->ctrl);
	err = ct1_reset_init(dev);
	if (err) {
		kfree(dev);
		return err;
	}
	/*
	 * Later than remove(): the core asks for the status once more, and is
	 * to be answered by us.
	 */
	err = devm_add_action_or_reset(&vdev->dev, free_device, dev);
	if (err)
		return err;
	vdev->priv = dev;
	mutex_lock(&ct1_lock);
	list_add_tail(&dev->node, &ct1_devices);
	mutex_unlock(&ct1_lock);
	err = start(dev);
	if (err) {
		mutex_lock(&ct1_lock);
		list_del(&dev->node);
		mutex_unlock(&ct1_lock);
		ct1_reset_silence(dev);
	}
	return err;
}

static void remove(struct virtio_device *vdev)
{
	struct ct1_device *dev = vdev->priv;

	WRITE_ONCE(dev->removing, true);
	cancel_delayed_work_sync(&dev->manage);
	quiesce(dev, CT1_NO_DEVICE, dev->state >= CT1_NOT_READY);
	mutex_lock(&ct1_lock);
	list_del(&dev->node);
	mutex_unlock(&ct1_lock);
	/* Something may have happened while it was being quiesced */
	cancel_delayed_work_sync(&dev->manage);
}

/* Is it hang() or try_again() that asks?  They have the device's lock. */
static bool is_managed(void)
{
	struct work_struct *work = current_work();

	return work && work->func == manage_work;
}

/*
 * For suspend, hibernation and resets of the function, which come without the
 * lock: whoever binds or unbinds the device, or sees to it, has it.  NULL: it is
 * ours no more.
 */
static struct ct1_device *lock_ours(struct virtio_device *vdev)
{
	device_lock(&vdev->dev);
	if (vdev->dev.driver == &ct1_driver.driver)
		return vdev->priv;
	device_unlock(&vdev->dev);
	return NULL;
}

static int freeze(struct virtio_device *vdev)
{
	struct ct1_device *dev;

	if (is_managed()) {
		quiesce(vdev->priv, CT1_HUNG, false);
		return 0;
	}
	dev = lock_ours(vdev);
	if (!dev)
		return 0;
	WRITE_ONCE(dev->frozen, true);
	cancel_delayed_work_sync(&dev->manage);
	quiesce(dev, CT1_STOPPED, true);
	device_unlock(&vdev->dev);
	return 0;
}

static int restore(struct virtio_device *vdev)
{
	struct ct1_device *dev;
	int err = 0;

	if (is_managed())
		return start(vdev->priv);
	dev = lock_ours(vdev);
	if (!dev)
		return 0;
	/* If it is not, it was bound meanwhile, and is in use */
	if (dev->frozen) {
		err = start(dev);
		WRITE_ONCE(dev->frozen, false);
		/* Whatever happened meanwhile */
		ct1_device_event(dev, CT1_EVENT_CONFIG);
	}
	device_unlock(&vdev->dev);
	return err;
}

static const struct virtio_device_id id_table[] = {
	{ VIRTIO_ID_CRYPTO, VIRTIO_DEV_ANY_ID },
	{ }
};
MODULE_DEVICE_TABLE(virtio, id_table);

struct virtio_driver ct1_driver = {
	.driver.name	= CT1_NAME,
	.driver.owner	= THIS_MODULE,
	.id_table	= id_table,
	.probe		= probe,
	.remove		= remove,
	.config_changed	= config_changed,
	.freeze		= freeze,
	.restore	= restore,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
	.reset_prepare	= freeze,
	.reset_done	= restore,
#endif
};
