// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A data queue: requests go into its ring, or wait for room in it
 *
 * While the device is busy with requests that it knows of, further ones are put
 * into the ring and not announced until there are ct1_batch of them, or until
 * one comes back: a notification is what costs most of a small request.
 */

#include <linux/delay.h>

#include "ct1.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Of callers that can be told to come again */
#define MAX_WAITING	1024

#define MAX_NOTIFY_DELAY_MS	1000u

/*
 * Announce what is in the ring? Then return whom to notify without the lock.
 * That may be when the queue has no ring any more: q->vq says so, and RCU keeps
 * the ring until the notification is over.
 */
static struct virtqueue *announce(struct ct1_queue *q, bool all)
{
	if (!q->unkicked || !(all || q->unkicked == q->num_inflight ||
			      q->unkicked >= READ_ONCE(ct1_batch)))
		return NULL;
	q->unkicked = 0;
	if (!virtqueue_kick_prepare(q->vq))
		return NULL;
	ct1_inc(CT1_KICKS);
	return q->vq;
}

static void notify_late(struct virtqueue *vq)
{
	unsigned int ms = READ_ONCE(ct1_notify_delay_ms);

	if (unlikely(ms))
		mdelay(min(ms, MAX_NOTIFY_DELAY_MS));
	virtqueue_notify(vq);
}

static int add(struct ct1_queue *q, struct ct1_request *r)
{
	struct skcipher_request *req = ct1_parent(r);
	struct scatterlist *sgs[] = {
		&r->sg.out,
		r->table ? r->table->src : req->src,
		r->table ? r->table->dst : req->dst,
		&r->sg.in,
	};
	int err;

	sg_init_one(&r->sg.out, &r->header, sizeof(r->header.op) +
					    ct1_tfm_of(r)->mode->ivsize);
	sg_init_one(&r->sg.in, &r->status, sizeof(r->status));
	r->status = VIRTIO_CRYPTO_ERR;
	err = virtqueue_add_sgs(q->vq, sgs, 2, 2, r, GFP_ATOMIC);
	if (err)
		return err;
	r->since = jiffies;
	list_add_tail(&r->node, &q->inflight);
	q->num_inflight++;
	q->unkicked++;
	ct1_add(CT1_DESCRIPTORS, r->segments);
	ct1_device_watch(q->dev);
	trace_ct1_submit(q->dev, r);
	return 0;
}

static int wait(struct ct1_queue *q, struct ct1_request *r)
{
	if (q->num_waiting >= MAX_WAITING &&
	    !(ct1_parent(r)->base.flags & CRYPTO_TFM_REQ_MAY_BACKLOG))
		return -ENOSPC;
	list_add_tail(&r->node, &q->waiting);
	q->num_waiting++;
	ct1_inc(CT1_QUEUED);
	return 0;
}

/**
 * ct1_queue_submit() - give a part of a request to the device
 * @q: the queue
 * @r: the request, with r->part, r->header and its lists filled in
 *
 * Call under rcu_read_lock(), which keeps the ring there for the notification.
 *
 * Return: -EINPROGRESS if it is in the ring, or waits for room; -ESHUTDOWN if
 * the queue is closed; -ENOSPC if too much waits; or what virtqueue_add_sgs()
 * said.
 */
int ct1_queue_submit(struct ct1_queue *q, struct ct1_request *r)
{
	struct virtqueue *notify = NULL;
	unsigned long flags;
	int err;

	spin_lock_irqsave(&q->lock, flags);
	if (!q->live) {
		err = -ESHUTDOWN;
	} else if (!list_empty(&q->waiting)) {
		err = wait(q, r);
	} else {
		err = add(q, r);
		/* Without anything in there nobody would come back */
		if (err == -ENOSPC && q->num_inflight)
			err = wait(q, r);
		else if (err)
			ct1_inc(CT1_SUBMIT_FAILURES);
		notify = announce(q, err);
	}
	spin_unlock_irqrestore(&q->lock, flags);
	if (notify)
		notify_late(notify);
	return err ?: -EINPROGRESS;
}

/* Put what waits into the ring; what it refuses goes to @refused */
static void feed(struct ct1_queue *q, struct list_head *refused)
{
	struct ct1_request *r, *next;

	list_for_each_entry_safe(r, next, &q->waiting, node) {
		int err;

		list_del(&r->node);
		err = add(q, r);
		if (err == -ENOSPC && q->num_inflight) {
			list_add(&r->node, &q->waiting);
			return;
		}
		q->num_waiting--;
		if (err) {
			ct1_inc(CT1_SUBMIT_FAILURES);
			list_add_tail(&r->node, refused);
		}
	}
}

static void take(struct ct1_queue *q, struct list_head *done)
{
	struct ct1_request *r;
	unsigned int len;

	do {
		virtqueue_disable_cb(q->vq);
		while ((r = virtqueue_get_buf(q->vq, &len))) {
			list_move_tail(&r->node, done);
			q->num_inflight--;
		}
	} while (!virtqueue_is_broken(q->vq) && !virtqueue_enable_cb(q->vq));
	/* The device may have taken some that were not announced */
	q->unkicked = min(q->unkicked, q->num_inflight);
}

static void returned(struct ct1_queue *q, struct ct1_request *r)
{
	trace_ct1_return(q->dev, r);
	if (likely(r->status == VIRTIO_CRYPTO_OK))
		ct1_device_good(q->dev);
	else
		ct1_device_error(q->dev);
	ct1_request_returned(r);
}

/**
 * ct1_queue_drain() - take what the device has done, and give it what waits
 * @q: the queue; may be closed
 */
void ct1_queue_drain(struct ct1_queue *q)
{
	struct ct1_request *r, *next;
	LIST_HEAD(done);
	LIST_HEAD(refused);
	struct virtqueue *notify = NULL;
	unsigned long flags;

	/* As ct1_queue_submit() does it for the ring to stay */
	rcu_read_lock();
	spin_lock_irqsave(&q->lock, flags);
	if (q->vq) {
		take(q, &done);
		feed(q, &refused);
		notify = announce(q, true);
	}
	spin_unlock_irqrestore(&q->lock, flags);
	if (notify)
		notify_late(notify);
	rcu_read_unlock();

	local_bh_disable();
	list_for_each_entry_safe(r, next, &done, node)
		returned(q, r);
	local_bh_enable();
	list_for_each_entry_safe(r, next, &refused, node)
		ct1_request_elsewhere(r);
}

static void drain_tasklet(struct tasklet_struct *t)
{
	struct ct1_queue *q = from_tasklet(q, t, tasklet);

	ct1_queue_drain(q);
}

/**
 * ct1_queue_callback() - the virtqueue's, in interrupt context
 * @vq: the queue
 */
void ct1_queue_callback(struct virtqueue *vq)
{
	struct ct1_device *dev = vq->vdev->priv;

	ct1_inc(CT1_INTERRUPTS);
	tasklet_hi_schedule(&dev->queues[vq->index].tasklet);
}

/**
 * ct1_queue_init() - before it has a ring
 * @q: the queue
 * @dev: whose it is
 * @number: its index among the device's virtqueues
 */
void ct1_queue_init(struct ct1_queue *q, struct ct1_device *dev,
		    unsigned int number)
{
	spin_lock_init(&q->lock);
	INIT_LIST_HEAD(&q->inflight);
	INIT_LIST_HEAD(&q->waiting);
	q->dev = dev;
	tasklet_setup(&q->tasklet, drain_tasklet);
	snprintf(q->name, sizeof(q->name), "dataq.%u", number);
}

/**
 * ct1_queue_open() - requests may come
 * @q: the queue, with a ring
 */
void ct1_queue_open(struct ct1_queue *q)
{
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	q->live = true;
	spin_unlock_irqrestore(&q->lock, flags);
}

/**
 * ct1_queue_close() - no more requests; what the device has it keeps
 * @q: the queue
 *
 * What waits is done elsewhere.
 */
void ct1_queue_close(struct ct1_queue *q)
{
	struct ct1_request *r, *next;
	LIST_HEAD(waiting);
	unsigned long flags;

	spin_lock_irqsave(&q->lock, flags);
	q->live = false;
	list_splice_init(&q->waiting, &waiting);
	q->num_waiting = 0;
	spin_unlock_irqrestore(&q->lock, flags);
	list_for_each_entry_safe(r, next, &waiting, node)
		ct1_request_elsewhere(r);
}

/**
 * ct1_queue_abandon() - the device writes no more, and calls no more
 * @q: the queue, closed
 *
 * What it had done counts, also if nobody was told; the rest is lost, and done
 * elsewhere.
 */
void ct1_queue_abandon(struct ct1_queue *q)
{
	struct ct1_request *r, *next;
	LIST_HEAD(lost);
	unsigned long flags;

	tasklet_kill(&q->tasklet);
	ct1_queue_drain(q);
	spin_lock_irqsave(&q->lock, flags);
	if (q->vq)
		while ((r = virtqueue_detach_unused_buf(q->vq)))
			list_move_tail(&r->node, &lost);
	q->num_inflight = 0;
	q->unkicked = 0;
	q->vq = NULL;
	spin_unlock_irqrestore(&q->lock, flags);
	list_for_each_entry_safe(r, next, &lost, node) {
		trace_ct1_lost(q->dev, r);
		ct1_request_lost(r);
	}
}

/**
 * ct1_queue_overdue() - has the device had something for too long?
 * @q: the queue
 * @limit: what is too long, in jiffies
 */
bool ct1_queue_overdue(struct ct1_queue *q, unsigned long limit)
{
	struct ct1_request *oldest;
	unsigned long flags;
	bool overdue;

	spin_lock_irqsave(&q->lock, flags);
	oldest = list_first_entry_or_null(&q->inflight, struct ct1_request,
					  node);
	overdue = oldest && time_after(jiffies, oldest->since + limit);
	spin_unlock_irqrestore(&q->lock, flags);
	return overdue;
}
