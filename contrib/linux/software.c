// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests in software: instead of a device, or after one
 */

#include <crypto/scatterwalk.h>

#include "ct1.h"

static struct workqueue_struct *redo_wq;

static void count(struct ct1_request *r, unsigned int bytes)
{
	ct1_inc(CT1_SOFTWARE_REQUESTS);
	ct1_add(CT1_SOFTWARE_BYTES, bytes);
	atomic64_inc(&ct1_tfm_of(r)->in_software);
}

static int run(struct ct1_request *r)
{
	return r->encrypt ? crypto_skcipher_encrypt(&r->sub)
			  : crypto_skcipher_decrypt(&r->sub);
}

/**
 * ct1_software_now() - do a request that no device has seen, in its context
 * @req: the request
 *
 * Return: what the software said: done or in error, or -EINPROGRESS or -EBUSY.
 */
int ct1_software_now(struct skcipher_request *req)
{
	struct ct1_request *r = skcipher_request_ctx(req);

	if (!READ_ONCE(ct1_fallback))
		return -EIO;
	skcipher_request_set_tfm(&r->sub, ct1_tfm_of(r)->soft);
	skcipher_request_set_callback(&r->sub, req->base.flags,
				      req->base.complete, req->base.data);
	skcipher_request_set_crypt(&r->sub, req->src, req->dst, req->cryptlen,
				   req->iv);
	count(r, req->cryptlen);
	return run(r);
}

/**
 * ct1_tell() - complete a request as drivers do, with bottom halves off
 * @req: the request
 * @err: how it ended
 */
void ct1_tell(struct skcipher_request *req, int err)
{
	local_bh_disable();
	skcipher_request_complete(req, err);
	local_bh_enable();
}

static void redone(completion_arg arg, int err)
{
	struct skcipher_request *req = completion_data(arg);

	/* The caller was told so when the device was given it */
	if (err != -EINPROGRESS)
		skcipher_request_complete(req, err);
}

static void redo_work(struct work_struct *work)
{
	struct ct1_request *r = container_of(work, struct ct1_request, redo);
	struct skcipher_request *req = ct1_parent(r);
	struct scatterlist *src = req->src, *dst = req->dst;
	unsigned int left = req->cryptlen - r->done;
	int err = -EIO;

	if (r->done) {
		src = scatterwalk_ffwd(r->rest[0], req->src, r->done);
		dst = req->dst == req->src ? src :
		      scatterwalk_ffwd(r->rest[1], req->dst, r->done);
	}
	if (READ_ONCE(ct1_fallback)) {
		skcipher_request_set_tfm(&r->sub, ct1_tfm_of(r)->soft);
		skcipher_request_set_callback(&r->sub,
					      CRYPTO_TFM_REQ_MAY_BACKLOG,
					      redone, req);
		skcipher_request_set_crypt(&r->sub, src, dst, left, req->iv);
		count(r, left);
		err = run(r);
	}
	if (err != -EINPROGRESS && err != -EBUSY)
		ct1_tell(req, err);
}

/**
 * ct1_software_redo() - do what a device has not done of a request
 * @r: the request, of which r->done bytes are done
 *
 * From any context.  The rest's source must be intact, and nobody else may
 * write to its destination.
 */
void ct1_software_redo(struct ct1_request *r)
{
	INIT_WORK(&r->redo, redo_work);
	queue_work(redo_wq, &r->redo);
}

/**
 * ct1_software_init() - have somebody to do it
 *
 * Return: 0 or -ENOMEM.
 */
int ct1_software_init(void)
{
	/* Part of writing pages out, hence MEM_RECLAIM */
	redo_wq = alloc_workqueue(CT1_NAME "_redo", WQ_MEM_RECLAIM |
				  WQ_UNBOUND | WQ_HIGHPRI, 0);
	return redo_wq ? 0 : -ENOMEM;
}

/** ct1_software_exit() - no requests any more */
void ct1_software_exit(void)
{
	destroy_workqueue(redo_wq);
}
