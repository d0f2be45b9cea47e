// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which transform's key is on which device
 *
 * A transform keeps its key, so that a device that is plugged in, or comes back
 * from a reset, can be given it.  Where it could not be given, because of an
 * error or for lack of memory, the device is not used for that transform.
 */

#include <linux/slab.h>
#include <linux/string.h>

#include "ct1.h"

/* Which transforms and devices there are, and who has sessions with whom */
DEFINE_MUTEX(ct1_lock);
LIST_HEAD(ct1_tfms);
LIST_HEAD(ct1_devices);

static void unlink_session(struct ct1_session *s)
{
	list_del_rcu(&s->of_tfm);
	kfree_rcu(s, rcu);
}

static void create(struct ct1_tfm *tfm, struct ct1_device *dev)
{
	struct ct1_session *s;

	if (!(dev->algos & BIT(tfm->mode->algo)) || tfm->keylen > dev->max_key)
		return;
	s = kzalloc(sizeof(*s), GFP_NOIO);
	if (!s)
		return;
	s->dev = dev;
	if (ct1_control_create(dev, tfm, true, &s->id[true]))
		goto err_free;
	if (ct1_control_create(dev, tfm, false, &s->id[false]))
		goto err_destroy;
	list_add_rcu(&s->of_tfm, &tfm->sessions);
	return;

err_destroy:
	ct1_control_destroy(dev, s->id[true]);
err_free:
	kfree(s);
}

static void destroy_all(struct ct1_tfm *tfm)
{
	struct ct1_session *s, *next;

	list_for_each_entry_safe(s, next, &tfm->sessions, of_tfm) {
		ct1_control_destroy(s->dev, s->id[true]);
		ct1_control_destroy(s->dev, s->id[false]);
		unlink_session(s);
	}
}

static struct ct1_session *find(struct ct1_tfm *tfm, struct ct1_device *dev)
{
	struct ct1_session *s;

	list_for_each_entry(s, &tfm->sessions, of_tfm)
		if (s->dev == dev)
			return s;
	return NULL;
}

/**
 * ct1_session_add_tfm() - a new transform, without a key
 * @tfm: the transform
 */
void ct1_session_add_tfm(struct ct1_tfm *tfm)
{
	INIT_LIST_HEAD(&tfm->sessions);
	mutex_lock(&ct1_lock);
	list_add_tail(&tfm->node, &ct1_tfms);
	mutex_unlock(&ct1_lock);
}

/**
 * ct1_session_remove_tfm() - a transform that has no requests and goes
 * @tfm: the transform
 */
void ct1_session_remove_tfm(struct ct1_tfm *tfm)
{
	mutex_lock(&ct1_lock);
	destroy_all(tfm);
	list_del(&tfm->node);
	mutex_unlock(&ct1_lock);
}

/**
 * ct1_session_set_key() - give a transform a new key, and give it to all devices
 * @tfm: the transform
 * @key: the key, which is kept
 * @keylen: its length in bytes
 */
void ct1_session_set_key(struct ct1_tfm *tfm, const u8 *key,
			 unsigned int keylen)
{
	struct ct1_device *dev;

	mutex_lock(&ct1_lock);
	destroy_all(tfm);
	memcpy(tfm->key, key, keylen);
	tfm->keylen = keylen;
	list_for_each_entry(dev, &ct1_devices, node)
		if (dev->state >= CT1_ERRORS)
			create(tfm, dev);
	mutex_unlock(&ct1_lock);
}

/**
 * ct1_session_attach() - give a device the keys of all transforms
 * @dev: the device; has keys already if it was just not ready
 *
 * Call with ct1_lock held.
 *
 * Return: 0, or -ETIMEDOUT if it does not answer.
 */
int ct1_session_attach(struct ct1_device *dev)
{
	struct ct1_tfm *tfm;

	list_for_each_entry(tfm, &ct1_tfms, node) {
		if (tfm->keylen && !find(tfm, dev))
			create(tfm, dev);
		if (dev->ctrl.stuck)
			return -ETIMEDOUT;
	}
	return 0;
}

/**
 * ct1_session_detach() - a device has forgotten all keys
 * @dev: the device, whose queues are closed
 *
 * Nobody uses a session of it any more when this returns.
 */
void ct1_session_detach(struct ct1_device *dev)
{
	struct ct1_tfm *tfm;
	struct ct1_session *s;

	mutex_lock(&ct1_lock);
	list_for_each_entry(tfm, &ct1_tfms, node) {
		s = find(tfm, dev);
		if (s)
			unlink_session(s);
	}
	mutex_unlock(&ct1_lock);
	synchronize_rcu();
}
