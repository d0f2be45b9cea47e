// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cbc(aes) for dm-crypt on a virtio-crypto device, with software to fall
 * back on
 *
 * The stock virtio_crypto driver registers cbc(aes) at a low priority and
 * with CRYPTO_ALG_ALLOCATES_MEMORY, so dm-crypt never uses it.  This module
 * registers cbc(aes) above every software version and without that flag,
 * sends the work to the stock driver's transform and redoes in software what
 * comes back with an error, or does not come back.
 *
 * What makes a redo legal: a device that reports an error has written
 * nothing, so the source of an in-place request is intact.  One that reports
 * nothing can still write, so first it is made sure that it can't
 * (cbc_silence.c).
 * The stock driver does write to the IV it is given, so it gets a copy of the
 * caller's.
 *
 * What makes it legal to leave CRYPTO_ALG_ALLOCATES_MEMORY out:
 *  - nothing here allocates on the I/O path (fault injection excepted);
 *  - the stock driver's allocations happen in its crypto_engine thread, which
 *    is put into NOIO scope (see in_engine_thread());
 *  - when they fail, the request is done in software.
 *
 * A request goes
 *
 *   crypt() -> gate_enter() -> device_submit() -> device_done()
 *                 |  |              |               |
 *                 |  | no device    | refused       | error; or lost
 *                 |  v              v               v
 *                 | in_software()   cbc_redo() on a workqueue
 *                 v
 *               waits for room in the ring
 */

#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>

#include "cbc.h"

#define OUR_DRIVER	"cbc-aes-cxl-type1"

/* AES-NI has 400, other accelerators 3000 to 4001 */
#define OUR_PRIORITY	4500

static struct workqueue_struct *redo_wq;

int cbc_run_sub(struct cbc_req *creq)
{
	return creq->encrypt ? crypto_skcipher_encrypt(&creq->sub)
			     : crypto_skcipher_decrypt(&creq->sub);
}

/* ---- software -------------------------------------------------------- */

static void count_software(struct skcipher_request *req)
{
	atomic64_inc(&stats.software_requests);
	atomic64_add(req->cryptlen, &stats.software_bytes);
}

/* Not for the device at all: the caller deals with the fallback directly */
static int in_software(struct skcipher_request *req)
{
	struct cbc_req *creq = skcipher_request_ctx(req);

	skcipher_request_set_tfm(&creq->sub, req_tfm(req)->soft);
	skcipher_request_set_callback(&creq->sub, req->base.flags,
				      req->base.complete, req->base.data);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, req->iv);
	count_software(req);
	return cbc_run_sub(creq);
}

/* As a driver does it: with bottom halves off, whatever the context */
void cbc_tell(struct crypto_async_request *req, int err)
{
	local_bh_disable();
	crypto_request_complete(req, err);
	local_bh_enable();
}

static void redo_done(completion_arg arg, int err)
{
	struct skcipher_request *req = completion_data(arg);

	if (err != -EINPROGRESS)
		skcipher_request_complete(req, err);
}

static int redo(struct cbc_req *creq, struct skcipher_request *req)
{
	if (!READ_ONCE(fallback))
		return -EIO;
	skcipher_request_set_tfm(&creq->sub, req_tfm(req)->soft);
	skcipher_request_set_callback(&creq->sub, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      redo_done, req);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, req->iv);
	count_software(req);
	return cbc_run_sub(creq);
}

static void redo_work(struct work_struct *work)
{
	struct cbc_req *creq = container_of(work, struct cbc_req, redo);
	struct skcipher_request *req = to_parent(creq);
	int err = redo(creq, req);

	if (err != -EINPROGRESS && err != -EBUSY)
		cbc_tell(&req->base, err);
}

/* From any context; the request's source must be intact, and stay so */
void cbc_redo(struct cbc_req *creq)
{
	INIT_WORK(&creq->redo, redo_work);
	queue_work(redo_wq, &creq->redo);
}

/* ---- requests -------------------------------------------------------- */

static int crypt(struct skcipher_request *req, bool encrypt)
{
	struct cbc_req *creq = skcipher_request_ctx(req);
	int ret;

	if (!req->cryptlen)
		return 0;
	if (req->cryptlen % AES_BLOCK_SIZE)
		return -EINVAL;

	creq->encrypt = encrypt;
	creq->cost = gate_cost(req);
	if (!creq->cost || creq->cost > READ_ONCE(ring_budget)) {
		atomic64_inc(&stats.unfit);
		return in_software(req);
	}
	ret = gate_enter(req);
	if (likely(ret != -ESHUTDOWN))
		return ret;
	return READ_ONCE(fallback) ? in_software(req) : -EIO;
}

static int cbc_encrypt(struct skcipher_request *req)
{
	return crypt(req, true);
}

static int cbc_decrypt(struct skcipher_request *req)
{
	return crypt(req, false);
}

/* ---- keys, and the life of a transform ------------------------------- */

static int cbc_setkey(struct crypto_skcipher *tfm, const u8 *key,
		      unsigned int keylen)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(tfm);
	int err;

	crypto_skcipher_clear_flags(ctx->soft, CRYPTO_TFM_REQ_MASK);
	crypto_skcipher_set_flags(ctx->soft, crypto_skcipher_get_flags(tfm) &
					     CRYPTO_TFM_REQ_MASK);
	err = crypto_skcipher_setkey(ctx->soft, key, keylen);
	return err ?: device_set_key(ctx, key, keylen);
}

static int cbc_init(struct crypto_skcipher *tfm)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(tfm);

	/* Neither this driver, nor the stock one, nor another accelerator */
	ctx->soft = crypto_alloc_skcipher("cbc(aes)", 0,
					  CRYPTO_ALG_NEED_FALLBACK |
					  CRYPTO_ALG_ALLOCATES_MEMORY |
					  CRYPTO_ALG_KERN_DRIVER_ONLY);
	if (IS_ERR(ctx->soft))
		return PTR_ERR(ctx->soft);

	crypto_skcipher_set_reqsize(tfm, sizeof(struct cbc_req) +
				    max_t(unsigned int, DEVICE_REQSIZE,
					  crypto_skcipher_reqsize(ctx->soft)));
	device_add_tfm(ctx);
	return 0;
}

static void cbc_exit(struct crypto_skcipher *tfm)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(tfm);

	device_remove_tfm(ctx);
	crypto_free_skcipher(ctx->soft);
	memzero_explicit(ctx->key, sizeof(ctx->key));
}

static struct skcipher_alg cbc_alg = {
	.base.cra_name		= "cbc(aes)",
	.base.cra_driver_name	= OUR_DRIVER,
	.base.cra_priority	= OUR_PRIORITY,
	.base.cra_flags		= CRYPTO_ALG_ASYNC | CRYPTO_ALG_NEED_FALLBACK,
	.base.cra_blocksize	= AES_BLOCK_SIZE,
	.base.cra_ctxsize	= sizeof(struct cbc_tfm),
	.base.cra_module	= THIS_MODULE,
	.init			= cbc_init,
	.exit			= cbc_exit,
	.setkey			= cbc_setkey,
	.encrypt		= cbc_encrypt,
	.decrypt		= cbc_decrypt,
	.min_keysize		= AES_MIN_KEY_SIZE,
	.max_keysize		= AES_MAX_KEY_SIZE,
	.ivsize			= AES_BLOCK_SIZE,
};

static int __init cxl_type1_cbc_init(void)
{
	int err;

	/* Part of writing pages out, hence MEM_RECLAIM */
	redo_wq = alloc_workqueue("cxl_type1_cbc", WQ_MEM_RECLAIM | WQ_HIGHPRI,
				  0);
	if (!redo_wq)
		return -ENOMEM;
	gate_init();
	err = device_init();
	if (err)
		goto err_wq;
	err = bus_init();
	if (err)
		goto err_device;
	stats_init();
	err = crypto_register_skcipher(&cbc_alg);
	if (err)
		goto err_bus;
	return 0;

err_bus:
	stats_exit();
	bus_exit();
err_device:
	device_exit();
	gate_exit();
err_wq:
	destroy_workqueue(redo_wq);
	return err;
}

static void __exit cxl_type1_cbc_exit(void)
{
	crypto_unregister_skcipher(&cbc_alg);
	stats_exit();
	bus_exit();
	device_exit();
	gate_exit();
	destroy_workqueue(redo_wq);
}

module_init(cxl_type1_cbc_init);
module_exit(cxl_type1_cbc_exit);

MODULE_DESCRIPTION("cbc(aes) for dm-crypt on a virtio-crypto device");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: virtio_crypto");
MODULE_ALIAS_CRYPTO(OUR_DRIVER);
