// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making certain that a device does not write any more
 *
 * Silenced means: the device has been reset, or is gone; what it had completed
 * by then has been taken from the rings; and the rings are broken, so that
 * nothing more gets into them.  Only then is it certain for every request
 * whether its buffer holds the source or the result, and that there will be
 * no second writer.
 */

#include <linux/delay.h>
#include <linux/device.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/iommu.h>
#include <linux/pci.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <uapi/linux/virtio_crypto.h>

#include "cbc.h"

static void deaf_reset(struct virtio_device *vdev)
{
}

static u8 deaf_get_status(struct virtio_device *vdev)
{
	return 0;
}

static void deaf_set_status(struct virtio_device *vdev, u8 status)
{
}

bool silence_pulled_out(struct device *parent)
{
	return parent && dev_is_pci(parent) &&
	       !pci_device_is_present(to_pci_dev(parent));
}

/* No answer from its registers: pulled out, or its BARs are not decoded */
bool silence_is_deaf(struct virtio_device *vdev)
{
	return silence_pulled_out(vdev->dev.parent) ||
	       vdev->config->get_status(vdev) == 0xff;
}

/*
 * virtio_pci waits for a reset to be over by reading the status until it is 0.
 * Where nobody answers it reads all ones for ever, with the stock driver's
 * remove inside.  Returns what has to be put back when that has ended.
 */
const struct virtio_config_ops *silence_spare_reset(struct virtio_device *vdev)
{
	static struct virtio_config_ops deaf;
	const struct virtio_config_ops *config = vdev->config;

	deaf = *config;
	deaf.reset = deaf_reset;
	deaf.get_status = deaf_get_status;
	deaf.set_status = deaf_set_status;
	vdev->config = &deaf;
	return config;
}

static struct virtqueue *next_queue(struct virtio_device *vdev,
				    struct virtqueue *queue)
{
	struct virtqueue *next;

	spin_lock(&vdev->vqs_list_lock);
	next = queue ? list_next_entry(queue, list)
		     : list_first_entry(&vdev->vqs, struct virtqueue, list);
	if (list_entry_is_head(next, &vdev->vqs, list))
		next = NULL;
	spin_unlock(&vdev->vqs_list_lock);
	return next;
}

bool silence_is_broken(struct virtio_device *vdev)
{
	struct virtqueue *queue = next_queue(vdev, NULL);

	return !queue || virtqueue_is_broken(queue);
}

/* What the device knows by an address of its own; NULL if that is no memory */
static void *device_to_virt(struct virtio_device *vdev, __virtio64 addr)
{
	phys_addr_t phys = virtio64_to_cpu(vdev, addr);
	struct iommu_domain *domain = NULL;

	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		domain = iommu_get_domain_for_dev(vdev->dev.parent);
	if (domain)
		phys = iommu_iova_to_phys(domain, phys);
	return phys ? phys_to_virt(phys) : NULL;
}

/*
 * The last descriptor of a request is that of its status.  False: it is not
 * known where in memory that is.
 */
static bool fail_status(struct virtio_device *vdev, const struct vring *ring,
			u16 head)
{
	struct vring_desc *desc = &ring->desc[head % ring->num];
	u8 *status;
	u32 len;

	if (virtio16_to_cpu(vdev, desc->flags) & VRING_DESC_F_INDIRECT) {
		len = virtio32_to_cpu(vdev, desc->len);
		desc = device_to_virt(vdev, desc->addr);
		if (!desc)
			return false;
		desc += len / sizeof(*desc) - 1;
	}
	while (virtio16_to_cpu(vdev, desc->flags) & VRING_DESC_F_NEXT)
		desc = &ring->desc[virtio16_to_cpu(vdev, desc->next)];
	status = device_to_virt(vdev, desc->addr);
	if (status)
		*status = VIRTIO_CRYPTO_ERR;
	return status;
}

static bool is_control(struct virtqueue *queue)
{
	return queue->name && !strcmp(queue->name, "controlq");
}

/*
 * Answer requests in the place of a device that can't any more, with errors:
 * control requests, whose status the driver has preset to that, and data
 * requests that are none of ours (the kernel's self test).  The driver waits
 * for them without a limit.  They come one by one, so their order is known.
 */
static void answer(struct virtio_device *vdev, struct virtqueue *queue)
{
	const struct vring *ring = virtqueue_get_vring(queue);
	u16 used = virtio16_to_cpu(vdev, ring->used->idx);
	u16 avail = virtio16_to_cpu(vdev, READ_ONCE(ring->avail->idx));
	vring_used_elem_t *elem;
	u16 head;

	for (; used != avail; used++) {
		head = virtio16_to_cpu(vdev,
				       ring->avail->ring[used % ring->num]);
		if (!is_control(queue) && !fail_status(vdev, ring, head))
			break;
		elem = &ring->used->ring[used % ring->num];
		elem->id = cpu_to_virtio32(vdev, head);
		elem->len = 0;
	}
	smp_wmb();	/* entries before the index, as a device does it */
	WRITE_ONCE(ring->used->idx, cpu_to_virtio16(vdev, used));
}

/*
 * Have the driver take from the rings what is complete.  Whoever interrupts
 * it and finds nothing more to take knows that somebody has taken it all, and
 * after a grace period that he has called the completions.
 */
void silence_harvest(struct virtio_device *vdev)
{
	bool packed = virtio_has_feature(vdev, VIRTIO_F_RING_PACKED);
	struct virtqueue *queue;
	int tries;

	for (queue = next_queue(vdev, NULL); queue;
	     queue = next_queue(vdev, queue)) {
		if (!packed && (is_control(queue) || gate_drained(0)))
			answer(vdev, queue);
		for (tries = 0; tries < 1000; tries++) {
			if (vring_interrupt(0, queue) != IRQ_HANDLED)
				break;
			usleep_range(100, 1000);
		}
	}
	synchronize_rcu();
}

/*
 * False: nothing is in the rings.  Otherwise @progress tells whether it is
 * still the same.
 */
bool silence_is_waiting(struct virtio_device *vdev, u16 *progress)
{
	const struct vring *ring;
	struct virtqueue *queue;
	bool waiting = false;

	*progress = 0;
	if (virtio_has_feature(vdev, VIRTIO_F_RING_PACKED))
		return false;
	spin_lock(&vdev->vqs_list_lock);
	list_for_each_entry(queue, &vdev->vqs, list) {
		ring = virtqueue_get_vring(queue);
		*progress += virtio16_to_cpu(vdev, ring->used->idx);
		waiting |= ring->used->idx != ring->avail->idx;
	}
	spin_unlock(&vdev->vqs_list_lock);
	return waiting;
}

void silence(struct virtio_device *vdev)
{
	u16 progress;
	int tries = 0;

	virtio_reset_device(vdev);
	/* virtio_pci has broken the one that was pulled out */
	__virtio_unbreak_device(vdev);
	do {
		/* What the engine has goes into the ring, not into the log */
		device_rest_engines();
		silence_harvest(vdev);
	} while (gate_drained(0) && silence_is_waiting(vdev, &progress) &&
		 tries++ < 100);
	virtio_break_device(vdev);
	device_rest_engines();
	synchronize_rcu();
}
