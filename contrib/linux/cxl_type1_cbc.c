// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cbc(aes) for dm-crypt on a virtio-crypto device, with software to fall
 * back on
 *
 * The stock virtio_crypto driver registers cbc(aes) at a low priority and
 * with CRYPTO_ALG_ALLOCATES_MEMORY, so dm-crypt never uses it.  This module
 * registers cbc(aes) above every software version and without that flag,
 * sends the work to the stock driver's transform and redoes in software what
 * comes back with an error.
 *
 * What makes a redo legal: a device that reports an error has written
 * nothing, so the source of an in-place request is intact.  The stock driver
 * does write to the IV it is given, so it gets a copy of the caller's.
 *
 * What makes it legal to leave CRYPTO_ALG_ALLOCATES_MEMORY out:
 *  - nothing here allocates on the I/O path (fault injection excepted);
 *  - the stock driver's allocations happen in its crypto_engine thread, which
 *    is put into NOIO scope (see in_engine_thread());
 *  - when they fail, the request is done in software.
 *
 * A request goes
 *
 *   crypt() -> gate (room in the ring?) -> to_device() -> device_done()
 *                 |                            |               |
 *                 | not for the device         | refused       | error
 *                 v                            v               v
 *           in_software()                    redo_work() on a workqueue
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <crypto/aes.h>
#include <crypto/algapi.h>
#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/sched/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#define DEVICE_DRIVER	"virtio_crypto_aes_cbc"
#define OUR_DRIVER	"cbc-aes-cxl-type1"

/* AES-NI has 400, other accelerators 3000 to 4001 */
#define OUR_PRIORITY	4500

/*
 * The stock driver may appear after a transform has told its user how large a
 * request is, so room for the driver's part is set aside in advance.
 */
#define DEVICE_REQSIZE	256

/* Requests that wait for room in the ring before users are told to slow down */
#define GATE_QLEN	256

/* A list longer than this costs more descriptors than any ring has */
#define MAX_NENTS	32

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
typedef struct crypto_async_request *completion_arg;
#define completion_data(arg)	((arg)->data)
#else
typedef void *completion_arg;
#define completion_data(arg)	(arg)
#endif

/* ---- what can be seen and set from outside --------------------------- */

static struct {
	atomic64_t device_requests;	/* done by the device */
	atomic64_t device_bytes;
	atomic64_t software_requests;	/* done, or redone, in software */
	atomic64_t software_bytes;
	atomic64_t device_errors;	/* came back from the device with an error */
	atomic64_t submit_failures;	/* the stock driver would not take them */
	atomic64_t unfit;		/* too many segments for the ring */
	atomic64_t queued;		/* had to wait for room in the ring */
} stats;

static int stat_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lld\n", atomic64_read(kp->arg));
}

static const struct kernel_param_ops stat_ops = { .get = stat_get };

#define STAT_PARAM(name) \
	module_param_cb(name, &stat_ops, &stats.name, 0444)

STAT_PARAM(device_requests);
STAT_PARAM(device_bytes);
STAT_PARAM(software_requests);
STAT_PARAM(software_bytes);
STAT_PARAM(device_errors);
STAT_PARAM(submit_failures);
STAT_PARAM(unfit);
STAT_PARAM(queued);

static unsigned int ring_budget = 768;
module_param(ring_budget, uint, 0644);
MODULE_PARM_DESC(ring_budget,
		 "descriptors this module keeps in flight (the ring has 1024)");

static unsigned int fail_every;
module_param(fail_every, uint, 0644);
MODULE_PARM_DESC(fail_every,
		 "test: take every Nth device completion for an error (0: none)");

static unsigned int fail_alloc_every;
module_param(fail_alloc_every, uint, 0644);
MODULE_PARM_DESC(fail_alloc_every,
		 "test: have every Nth submission refused, by turns at once and in the stock driver's thread (0: none)");

/* ---- one log line per change of state --------------------------------- */

enum state { STATE_UNUSED, STATE_DEVICE, STATE_NO_DEVICE, STATE_ERRORS };

static const char * const state_text[] = {
	[STATE_UNUSED]		= "not used yet",
	[STATE_DEVICE]		= "requests go to " DEVICE_DRIVER,
	[STATE_NO_DEVICE]	= "no usable " DEVICE_DRIVER ": software only",
	[STATE_ERRORS]		= "device errors: those requests are redone in software",
};

/* So many good answers in a row end STATE_ERRORS */
#define GOOD_RUN	1024

static atomic_t cur_state = ATOMIC_INIT(STATE_UNUSED);
static atomic_t good_run;

static void enter_state(enum state state)
{
	if (atomic_read(&cur_state) != state &&
	    atomic_xchg(&cur_state, state) != state)
		pr_info("%s\n", state_text[state]);
}

static void note_error(void)
{
	atomic_set(&good_run, 0);
	enter_state(STATE_ERRORS);
}

static void note_good(void)
{
	if (unlikely(atomic_read(&cur_state) == STATE_ERRORS) &&
	    atomic_inc_return(&good_run) >= GOOD_RUN)
		enter_state(STATE_DEVICE);
}

/* ---- transforms and requests ------------------------------------------- */

struct cbc_tfm {
	struct crypto_skcipher *soft;
	struct crypto_skcipher *device;	/* NULL: the stock driver isn't there */
	bool device_keyed;		/* false: software only */
};

struct cbc_req {
	struct work_struct redo;
	struct scatterlist scratch_sg;	/* fault injection: see inject() */
	void *scratch;
	unsigned int cost;		/* descriptors held in the ring */
	bool encrypt;
	u8 iv[AES_BLOCK_SIZE];		/* the stock driver's to write to */
	struct skcipher_request sub;	/* last: its context follows */
};

static struct workqueue_struct *redo_wq;

static struct skcipher_request *to_parent(struct cbc_req *creq)
{
	return container_of((void *)creq, struct skcipher_request, __ctx);
}

static int run_sub(struct cbc_req *creq)
{
	return creq->encrypt ? crypto_skcipher_encrypt(&creq->sub)
			     : crypto_skcipher_decrypt(&creq->sub);
}

/* ---- software ------------------------------------------------------------ */

static void count_software(struct skcipher_request *req)
{
	atomic64_inc(&stats.software_requests);
	atomic64_add(req->cryptlen, &stats.software_bytes);
}

/* Not for the device at all: the caller deals with the fallback directly */
static int in_software(struct skcipher_request *req)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	struct cbc_req *creq = skcipher_request_ctx(req);

	skcipher_request_set_tfm(&creq->sub, ctx->soft);
	skcipher_request_set_callback(&creq->sub, req->base.flags,
				      req->base.complete, req->base.data);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, req->iv);
	count_software(req);
	return run_sub(creq);
}

static void redo_done(completion_arg arg, int err)
{
	struct skcipher_request *req = completion_data(arg);

	if (err != -EINPROGRESS)
		skcipher_request_complete(req, err);
}

static void gate_leave(unsigned int cost);

/* As a driver does it: with bottom halves off, whatever the context */
static void tell(struct crypto_async_request *req, int err)
{
	local_bh_disable();
	crypto_request_complete(req, err);
	local_bh_enable();
}

static void redo_work(struct work_struct *work)
{
	struct cbc_req *creq = container_of(work, struct cbc_req, redo);
	struct skcipher_request *req = to_parent(creq);
	struct cbc_tfm *ctx = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	int err;

	skcipher_request_set_tfm(&creq->sub, ctx->soft);
	skcipher_request_set_callback(&creq->sub, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      redo_done, req);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, req->iv);
	count_software(req);

	err = run_sub(creq);
	if (err != -EINPROGRESS && err != -EBUSY)
		tell(&req->base, err);
}

/* From any context; the request's source must be intact */
static void redo_in_software(struct cbc_req *creq)
{
	note_error();
	gate_leave(creq->cost);
	INIT_WORK(&creq->redo, redo_work);
	queue_work(redo_wq, &creq->redo);
}

/* ---- fault injection ----------------------------------------------------- */

enum fault { FAULT_NONE, FAULT_COMPLETION, FAULT_REFUSED, FAULT_REFUSED_LATE };

static bool every(unsigned int n, atomic_t *seq, unsigned int *turn)
{
	unsigned int count;

	if (likely(!n))
		return false;
	count = atomic_inc_return(seq);
	*turn = count / n;
	return count % n == 0;
}

static enum fault pick_fault(void)
{
	static atomic_t completions, allocations;
	unsigned int turn;

	if (every(READ_ONCE(fail_alloc_every), &allocations, &turn))
		return turn & 1 ? FAULT_REFUSED : FAULT_REFUSED_LATE;
	if (every(READ_ONCE(fail_every), &completions, &turn))
		return FAULT_COMPLETION;
	return FAULT_NONE;
}

/*
 * A device that fails has written nothing, so the one that is made to fail
 * writes to a buffer that is then thrown away.  A request that the stock
 * driver's thread is to refuse claims more data than its source has.
 */
static int inject(struct cbc_req *creq, struct skcipher_request *req)
{
	switch (pick_fault()) {
	case FAULT_COMPLETION:
		creq->scratch = kmalloc(req->cryptlen, GFP_ATOMIC);
		if (!creq->scratch)
			return -ENOMEM;
		sg_init_one(&creq->scratch_sg, creq->scratch, req->cryptlen);
		creq->sub.dst = &creq->scratch_sg;
		return 0;
	case FAULT_REFUSED:
		return -ENOMEM;
	case FAULT_REFUSED_LATE:
		creq->sub.cryptlen = round_down(U32_MAX, AES_BLOCK_SIZE);
		return 0;
	default:
		return 0;
	}
}

/* ---- the gate in front of the device's ring ------------------------------ */

/*
 * The stock driver must never find the ring full: it would put the request
 * back into its queue, having already replaced the IV of a decryption by the
 * one that follows, and decrypt the first block wrongly later.
 */
static struct {
	spinlock_t lock;		/* all of this, and what is in waiting */
	unsigned int used;		/* descriptors in flight */
	struct crypto_queue waiting;
	bool pumping;			/* somebody is in gate_leave() */
} gate;

/*
 * Ring descriptors a request takes.  The stock driver passes each element of
 * a list as if it were a list of its own, so element i is there i times more
 * than needed.  0: the request is none for the ring.
 */
static unsigned int ring_cost(struct skcipher_request *req)
{
	int used = sg_nents_for_len(req->src, req->cryptlen);
	int src = sg_nents(req->src);
	int dst = sg_nents(req->dst);

	if (used < 0 || src > MAX_NENTS || dst > MAX_NENTS)
		return 0;
	/* header, IV and status besides the data */
	return used * src - used * (used - 1) / 2 + dst * (dst + 1) / 2 + 3;
}

static bool gate_has_room(struct cbc_req *creq)
{
	return !gate.used || gate.used + creq->cost <= READ_ONCE(ring_budget);
}

static void to_device(struct skcipher_request *req);

/* Returns what the caller is to be told */
static int gate_enter(struct skcipher_request *req)
{
	struct cbc_req *creq = skcipher_request_ctx(req);
	unsigned long flags;
	int ret;

	spin_lock_irqsave(&gate.lock, flags);
	if (crypto_queue_len(&gate.waiting) || !gate_has_room(creq)) {
		ret = crypto_enqueue_request(&gate.waiting, &req->base);
		spin_unlock_irqrestore(&gate.lock, flags);
		atomic64_inc(&stats.queued);
		return ret;
	}
	gate.used += creq->cost;
	spin_unlock_irqrestore(&gate.lock, flags);

	to_device(req);
	return -EINPROGRESS;
}

/* The next request that fits, already paid for; NULL: none.  Locked. */
static struct skcipher_request *
gate_next(struct crypto_async_request **backlog)
{
	struct crypto_async_request *head;
	struct skcipher_request *req;
	struct cbc_req *creq;

	head = list_first_entry_or_null(&gate.waiting.list,
					struct crypto_async_request, list);
	if (!head)
		return NULL;
	req = skcipher_request_cast(head);
	creq = skcipher_request_ctx(req);
	if (!gate_has_room(creq))
		return NULL;

	*backlog = crypto_get_backlog(&gate.waiting);
	crypto_dequeue_request(&gate.waiting);
	gate.used += creq->cost;
	return req;
}

/*
 * One at a time lets requests in.  So nobody can run and complete the one out
 * of the backlog before its owner has been told that it left the backlog, and
 * a refusal in to_device(), which ends up here again, does not recurse.
 */
static void gate_leave(unsigned int cost)
{
	struct crypto_async_request *backlog;
	struct skcipher_request *req;
	unsigned long flags;

	spin_lock_irqsave(&gate.lock, flags);
	gate.used -= cost;
	if (!gate.pumping) {
		gate.pumping = true;
		while ((req = gate_next(&backlog))) {
			spin_unlock_irqrestore(&gate.lock, flags);
			if (backlog)
				tell(backlog, -EINPROGRESS);
			to_device(req);
			spin_lock_irqsave(&gate.lock, flags);
		}
		gate.pumping = false;
	}
	spin_unlock_irqrestore(&gate.lock, flags);
}

/* ---- the device ---------------------------------------------------------- */

/*
 * The stock driver's crypto_engine thread calls completions only for requests
 * that it could not give to the device.  That is the one way into the thread,
 * and it needs two things done:
 *
 *  - It allocates with GFP_KERNEL.  Pages may have to be written out through
 *    dm-crypt to get that memory, which needs the thread: it must not wait
 *    for them.  It stays in NOIO scope for good.
 *  - After a failure, crypto_engine goes to sleep believing itself busy.  With
 *    nothing else in flight nobody wakes it again and every later request
 *    hangs, so its work is queued once more.
 */
static void in_engine_thread(int err)
{
	struct kthread_worker *worker;

	if (!in_task() || !(current->flags & PF_KTHREAD) ||
	    kthread_func(current) != (void *)kthread_worker_fn)
		return;

	if (!(current->flags & PF_MEMALLOC_NOIO))
		memalloc_noio_save();

	worker = kthread_data(current);
	if (err != -EINPROGRESS && worker->current_work)
		kthread_queue_work(worker, worker->current_work);
}

static void device_done(completion_arg arg, int err)
{
	struct skcipher_request *req = completion_data(arg);
	struct cbc_req *creq = skcipher_request_ctx(req);

	in_engine_thread(err);

	/* Out of the stock driver's backlog; our caller was never in it */
	if (err == -EINPROGRESS)
		return;

	if (creq->scratch) {
		kfree_sensitive(creq->scratch);
		err = err ?: -EIO;
	}
	if (unlikely(err)) {
		atomic64_inc(&stats.device_errors);
		redo_in_software(creq);
		return;
	}
	gate_leave(creq->cost);
	note_good();
	atomic64_inc(&stats.device_requests);
	atomic64_add(req->cryptlen, &stats.device_bytes);
	memcpy(req->iv, creq->iv, sizeof(creq->iv));
	skcipher_request_complete(req, 0);
}

static void to_device(struct skcipher_request *req)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	struct cbc_req *creq = skcipher_request_ctx(req);
	int err;

	memcpy(creq->iv, req->iv, sizeof(creq->iv));
	creq->scratch = NULL;
	skcipher_request_set_tfm(&creq->sub, ctx->device);
	/* The gate bounds what is under way, so the stock driver may queue it */
	skcipher_request_set_callback(&creq->sub, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      device_done, req);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, creq->iv);

	err = inject(creq, req);
	if (!err)
		err = run_sub(creq);
	if (likely(err == -EINPROGRESS || err == -EBUSY))
		return;

	/* Not taken (the driver never completes at once what it can do) */
	kfree_sensitive(creq->scratch);
	atomic64_inc(&stats.submit_failures);
	redo_in_software(creq);
}

static int crypt(struct skcipher_request *req, bool encrypt)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	struct cbc_req *creq = skcipher_request_ctx(req);

	if (!req->cryptlen)
		return 0;
	if (req->cryptlen % AES_BLOCK_SIZE)
		return -EINVAL;

	creq->encrypt = encrypt;
	if (!ctx->device_keyed)
		return in_software(req);

	creq->cost = ring_cost(req);
	if (!creq->cost || creq->cost > READ_ONCE(ring_budget)) {
		atomic64_inc(&stats.unfit);
		return in_software(req);
	}
	return gate_enter(req);
}

static int cbc_encrypt(struct skcipher_request *req)
{
	return crypt(req, true);
}

static int cbc_decrypt(struct skcipher_request *req)
{
	return crypt(req, false);
}

/* ---- first contact with a device ----------------------------------------- */

/* Cleared whenever the stock driver registers, which it does per device */
static atomic_t engine_is_noio;

static void first_contact_done(completion_arg arg, int err)
{
	struct completion *done = completion_data(arg);

	in_engine_thread(err);
	if (err != -EINPROGRESS)
		complete(done);
}

/*
 * Get into the engine's thread before the first real request does, by way of
 * a request that the stock driver refuses there.
 */
static void first_contact(struct crypto_skcipher *device)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct skcipher_request *req;
	struct scatterlist sg;
	void *block;
	int err;

	if (atomic_xchg(&engine_is_noio, 1))
		return;
	req = skcipher_request_alloc(device, GFP_KERNEL);
	block = kzalloc(2 * AES_BLOCK_SIZE, GFP_KERNEL);
	if (!req || !block) {
		atomic_set(&engine_is_noio, 0);
		goto out;
	}

	pr_info("%s now reports one invalid request, on purpose\n",
		DEVICE_DRIVER);
	sg_init_one(&sg, block, AES_BLOCK_SIZE);
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      first_contact_done, &done);
	skcipher_request_set_crypt(req, &sg, &sg, 2 * AES_BLOCK_SIZE,
				   block + AES_BLOCK_SIZE);
	err = crypto_skcipher_encrypt(req);
	if (err == -EINPROGRESS || err == -EBUSY)
		wait_for_completion(&done);
out:
	kfree(block);
	skcipher_request_free(req);
}

static int crypto_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct crypto_alg *alg = data;

	if (event == CRYPTO_MSG_ALG_REGISTER &&
	    !strcmp(alg->cra_driver_name, DEVICE_DRIVER))
		atomic_set(&engine_is_noio, 0);
	return NOTIFY_DONE;
}

static struct notifier_block crypto_nb = { .notifier_call = crypto_event };

/* ---- keys, and the life of a transform ----------------------------------- */

static struct crypto_skcipher *find_device(void)
{
	struct crypto_skcipher *device;

	device = crypto_alloc_skcipher(DEVICE_DRIVER, 0, 0);
	if (IS_ERR(device))
		return NULL;
	if (crypto_skcipher_reqsize(device) > DEVICE_REQSIZE) {
		pr_warn_once("%s needs %u bytes per request, %u are set aside\n",
			     DEVICE_DRIVER, crypto_skcipher_reqsize(device),
			     DEVICE_REQSIZE);
		crypto_free_skcipher(device);
		return NULL;
	}
	return device;
}

static int cbc_setkey(struct crypto_skcipher *tfm, const u8 *key,
		      unsigned int keylen)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(tfm);
	unsigned int noio;
	int err;

	ctx->device_keyed = false;
	crypto_skcipher_clear_flags(ctx->soft, CRYPTO_TFM_REQ_MASK);
	crypto_skcipher_set_flags(ctx->soft, crypto_skcipher_get_flags(tfm) &
					     CRYPTO_TFM_REQ_MASK);
	err = crypto_skcipher_setkey(ctx->soft, key, keylen);
	if (err)
		return err;

	/* A key may be set while the volume that needs it is suspended */
	noio = memalloc_noio_save();
	if (!ctx->device)
		ctx->device = find_device();
	ctx->device_keyed = ctx->device &&
			    !crypto_skcipher_setkey(ctx->device, key, keylen);
	if (ctx->device_keyed)
		first_contact(ctx->device);
	memalloc_noio_restore(noio);

	if (!ctx->device_keyed)
		enter_state(STATE_NO_DEVICE);
	else if (atomic_read(&cur_state) != STATE_ERRORS)
		enter_state(STATE_DEVICE);
	return 0;
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
	return 0;
}

static void cbc_exit(struct crypto_skcipher *tfm)
{
	struct cbc_tfm *ctx = crypto_skcipher_ctx(tfm);

	crypto_free_skcipher(ctx->device);
	crypto_free_skcipher(ctx->soft);
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

	spin_lock_init(&gate.lock);
	crypto_init_queue(&gate.waiting, GATE_QLEN);

	/* Part of writing pages out, hence MEM_RECLAIM */
	redo_wq = alloc_workqueue("cxl_type1_cbc", WQ_MEM_RECLAIM | WQ_HIGHPRI,
				  0);
	if (!redo_wq)
		return -ENOMEM;

	err = crypto_register_notifier(&crypto_nb);
	if (err)
		goto err_wq;
	err = crypto_register_skcipher(&cbc_alg);
	if (err)
		goto err_notifier;
	return 0;

err_notifier:
	crypto_unregister_notifier(&crypto_nb);
err_wq:
	destroy_workqueue(redo_wq);
	return err;
}

static void __exit cxl_type1_cbc_exit(void)
{
	crypto_unregister_skcipher(&cbc_alg);
	crypto_unregister_notifier(&crypto_nb);
	destroy_workqueue(redo_wq);
}

module_init(cxl_type1_cbc_init);
module_exit(cxl_type1_cbc_exit);

MODULE_DESCRIPTION("cbc(aes) for dm-crypt on a virtio-crypto device");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: virtio_crypto");
MODULE_ALIAS_CRYPTO(OUR_DRIVER);
