// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control queue: sessions are made and destroyed, one request at a time
 *
 * Buffers are part of the device, so that nothing has to be allocated.  When a
 * device does not answer they stay with it until it has been reset.
 */

#include <linux/jiffies.h>
#include <linux/string.h>

#include "ct1.h"

/**
 * ct1_control_init() - before there is a queue
 * @ctrl: a device's control queue
 */
void ct1_control_init(struct ct1_control *ctrl)
{
	mutex_init(&ctrl->lock);
	init_completion(&ctrl->answered);
}

/**
 * ct1_control_callback() - the virtqueue's
 * @vq: the queue
 */
void ct1_control_callback(struct virtqueue *vq)
{
	struct ct1_device *dev = vq->vdev->priv;

	complete(&dev->ctrl.answered);
}

/**
 * ct1_control_abandon() - the device has been reset: its buffer is ours again
 * @ctrl: its control queue
 */
void ct1_control_abandon(struct ct1_control *ctrl)
{
	WRITE_ONCE(ctrl->stuck, true);
	/* Pairs with ask(): who forgets this completion sees that */
	smp_mb();
	complete(&ctrl->answered);
	mutex_lock(&ctrl->lock);
	if (ctrl->vq)
		while (virtqueue_detach_unused_buf(ctrl->vq))
			;
	ctrl->vq = NULL;
	ctrl->stuck = false;
	memzero_explicit(ctrl->key, sizeof(ctrl->key));
	mutex_unlock(&ctrl->lock);
}

/* Did the answer come? The interrupt may be lost, so look in the ring */
static bool answered(struct ct1_control *ctrl)
{
	unsigned long wait = ct1_time_limit_ms ?
			     msecs_to_jiffies(ct1_time_limit_ms) : LONG_MAX;
	unsigned int len;

	wait_for_completion_timeout(&ctrl->answered, wait);
	return virtqueue_get_buf(ctrl->vq, &len);
}

static int ask(struct ct1_device *dev, struct scatterlist **sgs,
	       unsigned int out, unsigned int in)
{
	struct ct1_control *ctrl = &dev->ctrl;
	int err;

	lockdep_assert_held(&ctrl->lock);
	reinit_completion(&ctrl->answered);
	/* Pairs with ct1_control_abandon() */
	smp_mb();
	if (!ctrl->vq || READ_ONCE(ctrl->stuck))
		return -EIO;
	err = virtqueue_add_sgs(ctrl->vq, sgs, out, in, ctrl, GFP_NOIO);
	if (err)
		return err;
	virtqueue_kick(ctrl->vq);
	if (answered(ctrl))
		return 0;
	ctrl->stuck = true;
	ct1_device_event(dev, CT1_EVENT_HANG);
	return -ETIMEDOUT;
}

static void fill_header(struct virtio_crypto_op_ctrl_req *req, u32 opcode,
			u32 algo)
{
	memset(req, 0, sizeof(*req));
	req->header.opcode = cpu_to_le32(opcode);
	req->header.algo = cpu_to_le32(algo);
}

/**
 * ct1_control_create() - make a session
 * @dev: the device
 * @tfm: whose mode and key
 * @encrypt: for which direction
 * @id: where the session's number goes
 *
 * virtio 1.2, 5.9.7.2.1.
 *
 * Return: 0; -EIO if the device refuses or has stopped, -ETIMEDOUT if it does
 * not answer.
 */
int ct1_control_create(struct ct1_device *dev, const struct ct1_tfm *tfm,
		       bool encrypt, __le64 *id)
{
	struct ct1_control *ctrl = &dev->ctrl;
	struct scatterlist req, key, input, *sgs[] = { &req, &key, &input };
	struct virtio_crypto_sym_create_session_req *create;
	int err;

	mutex_lock(&ctrl->lock);
	/* While the device has them they must not be changed */
	if (ctrl->stuck) {
		err = -EIO;
		goto out;
	}
	fill_header(&ctrl->req, VIRTIO_CRYPTO_CIPHER_CREATE_SESSION,
		    tfm->mode->algo);
	create = &ctrl->req.u.sym_create_session;
	create->op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER);
	create->u.cipher.para.algo = ctrl->req.header.algo;
	create->u.cipher.para.keylen = cpu_to_le32(tfm->keylen);
	create->u.cipher.para.op = cpu_to_le32(encrypt ?
					       VIRTIO_CRYPTO_OP_ENCRYPT :
					       VIRTIO_CRYPTO_OP_DECRYPT);
	memcpy(ctrl->key, tfm->key, tfm->keylen);
	ctrl->input.status = cpu_to_le32(VIRTIO_CRYPTO_ERR);
	sg_init_one(&req, &ctrl->req, sizeof(ctrl->req));
	sg_init_one(&key, ctrl->key, tfm->keylen);
	sg_init_one(&input, &ctrl->input, sizeof(ctrl->input));
	err = ask(dev, sgs, 2, 1);
	if (err != -ETIMEDOUT)
		memzero_explicit(ctrl->key, sizeof(ctrl->key));
	if (!err && ctrl->input.status != cpu_to_le32(VIRTIO_CRYPTO_OK))
		err = -EIO;
	if (!err)
		*id = ctrl->input.session_id;
out:
	mutex_unlock(&ctrl->lock);
	return err;
}

/**
 * ct1_control_destroy() - end a session
 * @dev: the device
 * @id: the session's number
 *
 * A device that refuses, or does not answer, is left with it until its reset.
 */
void ct1_control_destroy(struct ct1_device *dev, __le64 id)
{
	struct ct1_control *ctrl = &dev->ctrl;
	struct scatterlist req, inhdr, *sgs[] = { &req, &inhdr };

	mutex_lock(&ctrl->lock);
	if (!ctrl->stuck) {
		fill_header(&ctrl->req, VIRTIO_CRYPTO_CIPHER_DESTROY_SESSION, 0);
		ctrl->req.u.destroy_session.session_id = id;
		sg_init_one(&req, &ctrl->req, sizeof(ctrl->req));
		sg_init_one(&inhdr, &ctrl->inhdr, sizeof(ctrl->inhdr));
		ask(dev, sgs, 1, 1);
	}
	mutex_unlock(&ctrl->lock);
}
