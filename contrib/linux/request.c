// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A request on its way: to a device, in one part or in several, and back
 */

#include <linux/mempool.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "ct1.h"

/* Requests with unusual lists that can be under way at once */
#define TABLES	32

/*
 * One of so many requests goes to a device that answered with an error last,
 * where there is another one: to see whether it works again
 */
#define TRY_EVERY	16

static mempool_t *tables;

/* ---- which device --------------------------------------------------------- */

static struct ct1_queue *queue_here(struct ct1_device *dev)
{
	return &dev->queues[raw_smp_processor_id() % dev->num_queues];
}

/* It is quick to answer with an error, and so has always the least to do */
static bool doubtful(struct ct1_device *dev)
{
	return unlikely(READ_ONCE(dev->state) == CT1_ERRORS) &&
	       (unsigned int)atomic_inc_return(&dev->avoided) % TRY_EVERY;
}

/*
 * The device that has least to do of those that have the key, and have not
 * failed with this request.
 */
static struct ct1_session *choose(struct ct1_request *r)
{
	struct ct1_session *s, *best = NULL, *worse = NULL;
	unsigned int least = UINT_MAX;

	list_for_each_entry_rcu(s, &ct1_tfm_of(r)->sessions, of_tfm) {
		struct ct1_queue *q = queue_here(s->dev);
		unsigned int load = READ_ONCE(q->num_inflight) +
				    READ_ONCE(q->num_waiting);

		if (!READ_ONCE(q->live) || s->dev == r->failed)
			continue;
		if (doubtful(s->dev)) {
			worse = s;
		} else if (load < least) {
			best = s;
			least = load;
		}
	}
	return best ?: worse;
}

/* ---- the part that is next ------------------------------------------------ */

/*
 * How many bytes can be done at once, with lists for them in r->table if those
 * of the request do not do.  0: none, this is not for a device.
 */
static unsigned int plan(struct ct1_request *r, struct ct1_device *dev)
{
	struct skcipher_request *req = ct1_parent(r);
	unsigned int left = req->cryptlen - r->done;
	unsigned int part = min(left, dev->max_part);
	/* Besides the data there are a header and a status */
	unsigned int max = dev->max_segments - 2;
	int src, dst;

	if (!r->done && part == left && !r->table) {
		src = ct1_sg_exact(req->src, part, max);
		dst = req->dst == req->src ? src :
					     ct1_sg_exact(req->dst, part, max);
		if (src && dst && src + dst <= max) {
			r->segments = src + dst + 2;
			return part;
		}
	}
	if (!r->table)
		r->table = mempool_alloc(tables, GFP_NOWAIT | __GFP_NOWARN);
	if (!r->table)
		return 0;
	max = min_t(unsigned int, CT1_TABLE_LEN, max / 2);
	part = ct1_sg_take(r->table->src, max, req->src, r->done, part);
	part = ct1_sg_take(r->table->dst, max, req->dst, r->done, part);
	if (part < left) {
		part = round_down(part, AES_BLOCK_SIZE);
		if (!part || !ct1_tfm_of(r)->mode->splits)
			return 0;
	}
	ct1_sg_take(r->table->src, max, req->src, r->done, part);
	ct1_sg_take(r->table->dst, max, req->dst, r->done, part);
	r->segments = sg_nents(r->table->src) + sg_nents(r->table->dst) + 2;
	return part;
}

static bool every(unsigned int n)
{
	static atomic_t count;

	return unlikely(n) && (unsigned int)atomic_inc_return(&count) % n == 0;
}

static void fill_header(struct ct1_request *r, __le64 session)
{
	struct virtio_crypto_op_data_req *op = &r->header.op;
	const struct ct1_mode *mode = ct1_tfm_of(r)->mode;
	struct virtio_crypto_cipher_para *para = &op->u.sym_req.u.cipher.para;

	memset(op, 0, sizeof(*op));
	op->header.opcode = cpu_to_le32(r->encrypt ?
					VIRTIO_CRYPTO_CIPHER_ENCRYPT :
					VIRTIO_CRYPTO_CIPHER_DECRYPT);
	op->header.algo = cpu_to_le32(mode->algo);
	op->header.session_id = session;
	op->u.sym_req.op_type = cpu_to_le32(VIRTIO_CRYPTO_SYM_OP_CIPHER);
	para->iv_len = cpu_to_le32(mode->ivsize);
	para->src_data_len = cpu_to_le32(r->part);
	para->dst_data_len = cpu_to_le32(r->part);
	memcpy(r->header.iv, ct1_parent(r)->iv, mode->ivsize);
	if (every(READ_ONCE(ct1_fail_every)))
		op->header.session_id = ~session;
}

/*
 * Give what is left, or a part of it, to a device.  -EINPROGRESS: it has it;
 * -ENOSPC: it has a lot to do, and the caller is one that can come again;
 * anything else: no device wants it.
 */
static int dispatch(struct ct1_request *r)
{
	struct ct1_tfm *tfm = ct1_tfm_of(r);
	struct ct1_session *s;
	int err = -ENODEV;

	if (every(READ_ONCE(ct1_fail_alloc_every))) {
		ct1_inc(CT1_SUBMIT_FAILURES);
		return -ENOMEM;
	}
	rcu_read_lock();
	/* One that is closed meanwhile is not chosen again */
	while ((s = choose(r))) {
		r->part = plan(r, s->dev);
		if (!r->part) {
			ct1_inc(CT1_UNFIT);
			err = -E2BIG;
			break;
		}
		tfm->mode->before(r);
		fill_header(r, s->id[r->encrypt]);
		r->dev = s->dev;
		err = ct1_queue_submit(queue_here(s->dev), r);
		if (err == -EINPROGRESS || err == -ENOSPC)
			break;
		/* The ring of one that is being pulled out is broken first */
		if (err != -ESHUTDOWN) {
			if (r->failed)
				break;
			r->failed = s->dev;
		}
	}
	rcu_read_unlock();
	return err;
}

static void drop_table(struct ct1_request *r)
{
	if (r->table)
		mempool_free(r->table, tables);
	r->table = NULL;
}

/* ---- there and back ------------------------------------------------------- */

/**
 * ct1_request_start() - do a request
 * @req: of a length that its mode allows
 * @encrypt: in which direction
 *
 * Return: -EINPROGRESS if the completion is called later, also for one that has
 * to wait for room: -EBUSY, which the API has for that, is lost on the way
 * through Linux 6.1's authenc, with whoever waits for it.  Without
 * CRYPTO_TFM_REQ_MAY_BACKLOG it is -ENOSPC where too many wait already.
 * Otherwise software's answer.
 */
int ct1_request_start(struct skcipher_request *req, bool encrypt)
{
	struct ct1_request *r = skcipher_request_ctx(req);
	int err;

	r->encrypt = encrypt;
	r->done = 0;
	r->table = NULL;
	r->failed = NULL;
	err = dispatch(r);
	if (likely(err == -EINPROGRESS))
		return err;
	drop_table(r);
	return err == -ENOSPC ? err : ct1_software_now(req);
}

/* The rest of it, which a device has not written */
static void in_software(struct ct1_request *r)
{
	drop_table(r);
	ct1_software_redo(r);
}

/**
 * ct1_request_elsewhere() - a device has not done a request, and will not
 * @r: the request, of which r->done bytes are done
 *
 * Another device does it, if there is one, and what that does not do either is
 * done in software.
 *
 * From any context; no lock of a queue may be held.
 */
void ct1_request_elsewhere(struct ct1_request *r)
{
	bool again = !r->failed;

	r->failed = r->dev;
	if (!again || dispatch(r) != -EINPROGRESS)
		in_software(r);
}

/**
 * ct1_request_returned() - the device has answered
 * @r: the request; its status is the device's
 *
 * Call with bottom halves disabled and no lock held.
 */
void ct1_request_returned(struct ct1_request *r)
{
	struct ct1_tfm *tfm = ct1_tfm_of(r);

	if (unlikely(r->status != VIRTIO_CRYPTO_OK)) {
		ct1_inc(CT1_DEVICE_ERRORS);
		ct1_request_elsewhere(r);
		return;
	}
	r->done += r->part;
	tfm->mode->after(r);
	ct1_inc(CT1_DEVICE_REQUESTS);
	ct1_add(CT1_DEVICE_BYTES, r->part);
	atomic64_inc(&tfm->on_device);
	if (likely(r->done == ct1_parent(r)->cryptlen)) {
		drop_table(r);
		skcipher_request_complete(ct1_parent(r), 0);
	} else if (dispatch(r) != -EINPROGRESS) {
		in_software(r);
	}
}

/**
 * ct1_request_lost() - the device will not answer
 * @r: the request, which no device can write any more
 */
void ct1_request_lost(struct ct1_request *r)
{
	ct1_inc(CT1_LOST);
	ct1_request_elsewhere(r);
}

/**
 * ct1_request_init() - have lists for unusual requests
 *
 * Return: 0 or -ENOMEM.
 */
int ct1_request_init(void)
{
	BUILD_BUG_ON(sizeof(struct ct1_table) > PAGE_SIZE);
	tables = mempool_create_kmalloc_pool(TABLES, sizeof(struct ct1_table));
	return tables ? 0 : -ENOMEM;
}

/** ct1_request_exit() - no requests any more */
void ct1_request_exit(void)
{
	mempool_destroy(tables);
}
