// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate in front of the device: who is inside, for how long, and who waits
 * for room
 *
 * Room: the stock driver must never find its ring full.  It would put the
 * request back into its queue, having already replaced the IV of a decryption
 * by the one that follows, and decrypt the first block wrongly later.
 *
 * Closed: nothing new goes in, and what waited is done in software.  What is
 * inside either comes out, or is lost with the device (cbc_silence.c makes
 * sure that it can't write any more) and is done in software then.
 *
 * A request that is let in reaches the stock driver within an RCU read
 * section, so after gate_close() nobody is on the way.
 */

#include <linux/jiffies.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>

#include "cbc.h"

/* Requests that wait for room before users are told to slow down */
#define GATE_QLEN	256

/* A list longer than this costs more descriptors than any ring has */
#define MAX_NENTS	32

static struct {
	spinlock_t lock;		/* all of this, and what is in the lists */
	bool open;
	unsigned int blocked;		/* reasons not to open it */
	struct list_head inside;	/* oldest first */
	unsigned int used;		/* descriptors they hold */
	struct crypto_queue waiting;
	bool pumping;			/* somebody is in pump() */
} gate;

static DECLARE_WAIT_QUEUE_HEAD(gate_wait);

/* ---- the time limit -------------------------------------------------- */

static void on_timer(struct timer_list *timer);
static DEFINE_TIMER(gate_timer, on_timer);

/* All of this is called locked */
static bool oldest_deadline(unsigned long *deadline)
{
	unsigned int limit = READ_ONCE(time_limit_ms);
	struct cbc_req *oldest;

	oldest = list_first_entry_or_null(&gate.inside, struct cbc_req, node);
	if (!oldest || !limit)
		return false;
	*deadline = oldest->since + msecs_to_jiffies(limit);
	return true;
}

static bool is_overdue(void)
{
	unsigned long deadline;

	return oldest_deadline(&deadline) && time_after_eq(jiffies, deadline);
}

static void arm_timer(void)
{
	unsigned long deadline;

	if (!timer_pending(&gate_timer) && oldest_deadline(&deadline))
		mod_timer(&gate_timer, deadline);
}

bool gate_overdue(void)
{
	unsigned long flags;
	bool overdue;

	spin_lock_irqsave(&gate.lock, flags);
	overdue = gate.open && is_overdue();
	spin_unlock_irqrestore(&gate.lock, flags);
	return overdue;
}

/* Who has closed the gate has an eye on the time */
static void on_timer(struct timer_list *timer)
{
	unsigned long flags;

	if (gate_overdue()) {
		bus_device_hangs();
		return;
	}
	spin_lock_irqsave(&gate.lock, flags);
	if (gate.open)
		arm_timer();
	spin_unlock_irqrestore(&gate.lock, flags);
}

/* ---- in -------------------------------------------------------------- */

/*
 * Ring descriptors a request takes.  The stock driver passes each element of
 * a list as if it were a list of its own, so element i is there i times more
 * than needed.  0: the request is none for the ring.
 */
unsigned int gate_cost(struct skcipher_request *req)
{
	int used = sg_nents_for_len(req->src, req->cryptlen);
	int src = sg_nents(req->src);
	int dst = sg_nents(req->dst);

	if (used < 0 || src > MAX_NENTS || dst > MAX_NENTS)
		return 0;
	/* header, IV and status besides the data */
	return used * src - used * (used - 1) / 2 + dst * (dst + 1) / 2 + 3;
}

static bool has_room(struct cbc_req *creq)
{
	return !gate.used || gate.used + creq->cost <= READ_ONCE(ring_budget);
}

/* Locked */
static void let_in(struct cbc_req *creq)
{
	gate.used += creq->cost;
	creq->since = jiffies;
	list_add_tail(&creq->node, &gate.inside);
	arm_timer();
}

/* Returns what the caller is to be told; -ESHUTDOWN: closed */
int gate_enter(struct skcipher_request *req)
{
	struct cbc_req *creq = skcipher_request_ctx(req);
	unsigned long flags;
	int ret = -EINPROGRESS;
	bool in = false;

	rcu_read_lock();
	spin_lock_irqsave(&gate.lock, flags);
	if (!gate.open || !READ_ONCE(req_tfm(req)->device)) {
		ret = -ESHUTDOWN;
	} else if (crypto_queue_len(&gate.waiting) || !has_room(creq)) {
		ret = crypto_enqueue_request(&gate.waiting, &req->base);
		atomic64_inc(&stats.queued);
	} else {
		let_in(creq);
		in = true;
	}
	spin_unlock_irqrestore(&gate.lock, flags);
	if (in)
		device_submit(req);
	rcu_read_unlock();
	return ret;
}

/* ---- and out --------------------------------------------------------- */

/*
 * The next request that fits, already let in; or that has to be done in
 * software, as the gate is closed.  NULL: none.  Locked.
 */
static struct skcipher_request *
next_waiting(struct crypto_async_request **backlog, bool *in)
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
	if (gate.open && !has_room(creq))
		return NULL;

	*backlog = crypto_get_backlog(&gate.waiting);
	crypto_dequeue_request(&gate.waiting);
	*in = gate.open && READ_ONCE(req_tfm(req)->device);
	if (*in)
		let_in(creq);
	return req;
}

/*
 * One at a time lets requests in.  So nobody can run and complete the one out
 * of the backlog before its owner has been told that it left the backlog, and
 * a refusal in device_submit(), which ends up here again, does not recurse.
 */
static void pump(void)
{
	struct crypto_async_request *backlog;
	struct skcipher_request *req;
	unsigned long flags;
	bool in;

	rcu_read_lock();
	spin_lock_irqsave(&gate.lock, flags);
	if (!gate.pumping) {
		gate.pumping = true;
		while ((req = next_waiting(&backlog, &in))) {
			spin_unlock_irqrestore(&gate.lock, flags);
			if (backlog)
				cbc_tell(backlog, -EINPROGRESS);
			if (in)
				device_submit(req);
			else
				cbc_redo(skcipher_request_ctx(req));
			spin_lock_irqsave(&gate.lock, flags);
		}
		gate.pumping = false;
	}
	spin_unlock_irqrestore(&gate.lock, flags);
	rcu_read_unlock();
}

void gate_leave(struct cbc_req *creq)
{
	unsigned long flags;
	bool last;

	spin_lock_irqsave(&gate.lock, flags);
	gate.used -= creq->cost;
	list_del(&creq->node);
	last = list_empty(&gate.inside) && !gate.open;
	spin_unlock_irqrestore(&gate.lock, flags);
	if (last)
		wake_up_all(&gate_wait);
	pump();
}

/* ---- closed, and open again ------------------------------------------ */

/* As often as it was closed, gate_unblock() has to be called */
void gate_close(void)
{
	unsigned long flags;

	spin_lock_irqsave(&gate.lock, flags);
	gate.blocked++;
	gate.open = false;
	spin_unlock_irqrestore(&gate.lock, flags);
	pump();
	synchronize_rcu();
}

void gate_unblock(void)
{
	unsigned long flags;

	spin_lock_irqsave(&gate.lock, flags);
	WARN_ON_ONCE(!gate.blocked);
	gate.blocked--;
	spin_unlock_irqrestore(&gate.lock, flags);
}

/* False: somebody wants it closed, or it was open */
bool gate_open(void)
{
	unsigned long flags;
	bool opened;

	spin_lock_irqsave(&gate.lock, flags);
	opened = !gate.blocked && !gate.open;
	if (opened)
		gate.open = true;
	spin_unlock_irqrestore(&gate.lock, flags);
	return opened;
}

static bool nobody_inside(void)
{
	unsigned long flags;
	bool empty;

	spin_lock_irqsave(&gate.lock, flags);
	empty = list_empty(&gate.inside);
	spin_unlock_irqrestore(&gate.lock, flags);
	return empty;
}

/* Of a closed gate: did all come out in time? */
bool gate_drained(unsigned long timeout)
{
	return wait_event_timeout(gate_wait, nobody_inside(), timeout);
}

/* Of a closed gate, when the stock driver has forgotten all requests */
void gate_redo_lost(void)
{
	struct cbc_req *creq, *next;
	unsigned long flags;
	LIST_HEAD(lost);

	spin_lock_irqsave(&gate.lock, flags);
	list_splice_init(&gate.inside, &lost);
	gate.used = 0;
	spin_unlock_irqrestore(&gate.lock, flags);

	list_for_each_entry_safe(creq, next, &lost, node) {
		atomic64_inc(&stats.lost);
		kfree_sensitive(creq->scratch);
		cbc_redo(creq);
	}
}

void gate_init(void)
{
	spin_lock_init(&gate.lock);
	INIT_LIST_HEAD(&gate.inside);
	crypto_init_queue(&gate.waiting, GATE_QLEN);
}

void gate_exit(void)
{
	del_timer_sync(&gate_timer);
}
