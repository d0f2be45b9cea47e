// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stock driver's transforms: requests through them, its engine's thread,
 * and which of our transforms has one
 *
 * Each of our transforms keeps its key, and gets a transform of the stock
 * driver as long as there is a device.  All of them have to be given back
 * before the driver unregisters its algorithm.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

#include "cbc.h"

/*
 * The list, each ->device, and control requests.  Taken in NOIO scope only:
 * a key may be set while the volume that needs it is suspended.
 */
static DEFINE_MUTEX(device_mutex);
static LIST_HEAD(tfms);

static struct workqueue_struct *attach_wq;
static bool testing;			/* the kernel, the stock driver */

/* ---- the stock driver's engine thread -------------------------------- */

#define MAX_ENGINES	8

static struct {
	spinlock_t lock;
	unsigned int count;
	struct {
		struct kthread_worker *worker;
		struct kthread_work *pump;
	} known[MAX_ENGINES];
} engines = { .lock = __SPIN_LOCK_UNLOCKED(engines.lock) };

static void know_engine(struct kthread_worker *worker,
			struct kthread_work *pump)
{
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&engines.lock, flags);
	for (i = 0; i < engines.count; i++)
		if (engines.known[i].worker == worker)
			break;
	if (i == engines.count && i < MAX_ENGINES) {
		engines.known[i].worker = worker;
		engines.known[i].pump = pump;
		engines.count++;
	}
	spin_unlock_irqrestore(&engines.lock, flags);
}

void device_forget_engines(void)
{
	unsigned long flags;

	spin_lock_irqsave(&engines.lock, flags);
	engines.count = 0;
	spin_unlock_irqrestore(&engines.lock, flags);
}

/*
 * An engine with requests that nobody will complete believes itself busy.
 * The driver's remove would wait 10 s for it, and then free it with its
 * thread still running.  Two rounds: one empties its queue, one finds it so.
 */
void device_rest_engines(void)
{
	unsigned int i;

	for (i = 0; i < 2 * READ_ONCE(engines.count); i++) {
		kthread_queue_work(engines.known[i / 2].worker,
				   engines.known[i / 2].pump);
		kthread_flush_work(engines.known[i / 2].pump);
	}
}

/*
 * The stock driver's crypto_engine thread calls completions only for requests
 * that it could not give to the device.  That is the one way into the thread,
 * and it needs three things done:
 *
 *  - It allocates with GFP_KERNEL.  Pages may have to be written out through
 *    dm-crypt to get that memory, which needs the thread: it must not wait
 *    for them.  It stays in NOIO scope for good.
 *  - After a failure, crypto_engine goes to sleep believing itself busy.  With
 *    nothing else in flight nobody wakes it again and every later request
 *    hangs, so its work is queued once more.
 *  - We remember it, for device_rest_engines().
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
	if (!worker->current_work)
		return;
	know_engine(worker, worker->current_work);
	if (err != -EINPROGRESS)
		kthread_queue_work(worker, worker->current_work);
}

/* ---- fault injection ------------------------------------------------- */

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

/* ---- requests -------------------------------------------------------- */

static void failed(struct cbc_req *creq, atomic64_t *counter)
{
	atomic64_inc(counter);
	kfree_sensitive(creq->scratch);
	note_error();
	gate_leave(creq);
	cbc_redo(creq);
}

static void device_done(completion_arg arg, int err)
{
	struct skcipher_request *req = completion_data(arg);
	struct cbc_req *creq = skcipher_request_ctx(req);

	in_engine_thread(err);

	/* Out of the stock driver's backlog; our caller was never in it */
	if (err == -EINPROGRESS)
		return;

	if (unlikely(err || creq->scratch)) {
		failed(creq, &stats.device_errors);
		return;
	}
	gate_leave(creq);
	note_good();
	atomic64_inc(&stats.device_requests);
	atomic64_add(req->cryptlen, &stats.device_bytes);
	memcpy(req->iv, creq->iv, sizeof(creq->iv));
	skcipher_request_complete(req, 0);
}

/* A request that was let in.  Does not sleep: called in an RCU read section. */
void device_submit(struct skcipher_request *req)
{
	struct cbc_req *creq = skcipher_request_ctx(req);
	int err;

	memcpy(creq->iv, req->iv, sizeof(creq->iv));
	creq->scratch = NULL;
	skcipher_request_set_tfm(&creq->sub, req_tfm(req)->device);
	/* The gate bounds what is under way, so the stock driver may queue it */
	skcipher_request_set_callback(&creq->sub, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      device_done, req);
	skcipher_request_set_crypt(&creq->sub, req->src, req->dst,
				   req->cryptlen, creq->iv);

	err = inject(creq, req);
	if (!err)
		err = cbc_run_sub(creq);
	/* The driver never completes at once what it can do */
	if (unlikely(err != -EINPROGRESS && err != -EBUSY))
		failed(creq, &stats.submit_failures);
}

/* ---- control requests ------------------------------------------------ */

/*
 * The stock driver waits for the answer to a control request, however long it
 * takes.  When it takes too long the device hangs, and as it is silenced the
 * driver gets its answer.
 */
static void on_control_timer(struct timer_list *timer);
static DEFINE_TIMER(control_timer, on_control_timer);
static unsigned long control_since;
static bool in_control;

bool device_control_overdue(void)
{
	unsigned int limit = READ_ONCE(time_limit_ms);

	return READ_ONCE(in_control) && limit &&
	       time_after_eq(jiffies, READ_ONCE(control_since) +
			     msecs_to_jiffies(limit));
}

static void on_control_timer(struct timer_list *timer)
{
	if (device_control_overdue())
		bus_device_hangs();
}

static void control_begin(void)
{
	unsigned int limit = READ_ONCE(time_limit_ms);

	WRITE_ONCE(control_since, jiffies);
	WRITE_ONCE(in_control, true);
	if (limit)
		mod_timer(&control_timer, jiffies + msecs_to_jiffies(limit));
}

static void control_end(void)
{
	WRITE_ONCE(in_control, false);
	del_timer_sync(&control_timer);
}

/* ---- first contact with a device ------------------------------------- */

struct contact {
	struct kref ref;
	struct completion done;
	struct skcipher_request *req;
	struct scatterlist sg;
	u8 block[AES_BLOCK_SIZE];
	u8 iv[AES_BLOCK_SIZE];
};

static void contact_free(struct kref *ref)
{
	struct contact *contact = container_of(ref, struct contact, ref);

	skcipher_request_free(contact->req);
	kfree(contact);
}

static void contact_done(completion_arg arg, int err)
{
	struct contact *contact = completion_data(arg);

	in_engine_thread(err);
	if (err != -EINPROGRESS) {
		complete(&contact->done);
		kref_put(&contact->ref, contact_free);
	}
}

/*
 * Get into the engine's thread before the first real request does, by way of
 * a request that the stock driver refuses there.
 */
static int first_contact(struct crypto_skcipher *device)
{
	struct contact *contact;
	int err = 0;

	if (READ_ONCE(engines.count) >= bus_usable())
		return 0;
	contact = kzalloc(sizeof(*contact), GFP_KERNEL);
	if (!contact)
		return -ENOMEM;
	kref_init(&contact->ref);
	init_completion(&contact->done);
	contact->req = skcipher_request_alloc(device, GFP_KERNEL);
	if (!contact->req) {
		kfree(contact);
		return -ENOMEM;
	}

	pr_info("%s now reports one invalid request, on purpose\n",
		DEVICE_DRIVER);
	sg_init_one(&contact->sg, contact->block, AES_BLOCK_SIZE);
	skcipher_request_set_callback(contact->req, CRYPTO_TFM_REQ_MAY_BACKLOG,
				      contact_done, contact);
	skcipher_request_set_crypt(contact->req, &contact->sg, &contact->sg,
				   2 * AES_BLOCK_SIZE, contact->iv);
	kref_get(&contact->ref);
	err = crypto_skcipher_encrypt(contact->req);
	if (err != -EINPROGRESS && err != -EBUSY)
		kref_put(&contact->ref, contact_free);
	else if (wait_for_completion_timeout(&contact->done, 10 * HZ))
		err = 0;
	else
		err = -ETIMEDOUT;
	kref_put(&contact->ref, contact_free);
	return err;
}

/* ---- our transforms get, and lose, one of the stock driver's --------- */

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

static void detach(struct cbc_tfm *ctx)
{
	struct crypto_skcipher *device = ctx->device;

	if (!device)
		return;
	ctx->device = NULL;
	control_begin();
	crypto_free_skcipher(device);
	control_end();
}

static bool attach(struct cbc_tfm *ctx)
{
	struct crypto_skcipher *device = ctx->device ?: find_device();
	int err;

	if (!device)
		return false;
	ctx->device = NULL;
	control_begin();
	err = crypto_skcipher_setkey(device, ctx->key, ctx->keylen);
	if (!err)
		err = first_contact(device);
	if (!err)
		smp_store_release(&ctx->device, device);
	else if (err != -ETIMEDOUT)	/* else it is in the engine's queue */
		crypto_free_skcipher(device);
	control_end();
	return !err;
}

/* A device is there: for all transforms that have a key */
static void attach_all(void)
{
	unsigned int keyed = 0, attached = 0;
	struct cbc_tfm *ctx;

	list_for_each_entry(ctx, &tfms, node) {
		if (!ctx->keylen)
			continue;
		keyed++;
		attached += ctx->device || attach(ctx);
	}
	if (!gate_open())
		return;
	atomic64_inc(&stats.attached);
	if (keyed && !attached)
		enter_state(STATE_NO_DEVICE);
	else if (attached || state_now() != STATE_UNUSED)
		enter_state(STATE_DEVICE);
}

static void attach_work_fn(struct work_struct *work)
{
	unsigned int noio = memalloc_noio_save();
	int has;

	/* This waits for the kernel's self test of it; not under the mutex */
	has = crypto_has_skcipher(DEVICE_DRIVER, 0, 0);
	WRITE_ONCE(testing, false);
	if (has) {
		mutex_lock(&device_mutex);
		if (bus_usable())
			attach_all();
		mutex_unlock(&device_mutex);
	}
	memalloc_noio_restore(noio);
}

static DECLARE_WORK(attach_work, attach_work_fn);

bool device_is_tested(void)
{
	return READ_ONCE(testing);
}

void device_attach_later(void)
{
	queue_work(attach_wq, &attach_work);
}

static bool lock_in_time(unsigned long timeout)
{
	unsigned long deadline = jiffies + timeout;

	while (!mutex_trylock(&device_mutex)) {
		if (time_after(jiffies, deadline))
			return false;
		schedule_timeout_uninterruptible(msecs_to_jiffies(10));
	}
	return true;
}

/*
 * Of a closed gate, nobody being inside, or coming out any more.
 * False: somebody waits for an answer to a control request.
 */
bool device_detach_all(unsigned long timeout)
{
	struct cbc_tfm *ctx;
	bool any = false;

	if (!lock_in_time(timeout))
		return false;
	list_for_each_entry(ctx, &tfms, node) {
		any |= !!ctx->device;
		detach(ctx);
	}
	if (any)
		atomic64_inc(&stats.detached);
	mutex_unlock(&device_mutex);
	return true;
}

void device_add_tfm(struct cbc_tfm *ctx)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&device_mutex);
	list_add_tail(&ctx->node, &tfms);
	mutex_unlock(&device_mutex);
	memalloc_noio_restore(noio);
}

void device_remove_tfm(struct cbc_tfm *ctx)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&device_mutex);
	list_del(&ctx->node);
	detach(ctx);
	mutex_unlock(&device_mutex);
	memalloc_noio_restore(noio);
}

/* The software transform has taken the key already */
int device_set_key(struct cbc_tfm *ctx, const u8 *key, unsigned int keylen)
{
	unsigned int noio = memalloc_noio_save();

	/* A device that has just come is to be used */
	flush_work(&attach_work);
	mutex_lock(&device_mutex);
	memcpy(ctx->key, key, keylen);
	ctx->keylen = keylen;
	if (!bus_usable() || !attach(ctx)) {
		if (state_now() != STATE_HUNG && state_now() != STATE_NOT_READY)
			enter_state(STATE_NO_DEVICE);
	} else if (state_now() != STATE_ERRORS) {
		enter_state(STATE_DEVICE);
	}
	mutex_unlock(&device_mutex);
	memalloc_noio_restore(noio);
	return 0;
}

/* The stock driver has registered its algorithm: at probe, or as it is ready */
static int crypto_event(struct notifier_block *nb, unsigned long event,
			void *data)
{
	struct crypto_alg *alg = data;

	if (event == CRYPTO_MSG_ALG_REGISTER &&
	    !strcmp(alg->cra_driver_name, DEVICE_DRIVER)) {
		WRITE_ONCE(testing, true);
		device_attach_later();
	}
	return NOTIFY_DONE;
}

static struct notifier_block crypto_nb = { .notifier_call = crypto_event };

int device_init(void)
{
	int err;

	attach_wq = alloc_workqueue("cxl_type1_cbc_attach",
				    WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!attach_wq)
		return -ENOMEM;
	err = crypto_register_notifier(&crypto_nb);
	if (err)
		destroy_workqueue(attach_wq);
	return err;
}

void device_exit(void)
{
	crypto_unregister_notifier(&crypto_nb);
	destroy_workqueue(attach_wq);
}
