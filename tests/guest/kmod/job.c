// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One request: its data, its submission from some context, its completion, and
 * the check of everything that the crypto API promises about it
 */

#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cct.h"
#include "compat.h"

#define IV_GUARD	0x5a

/* ---- life ----------------------------------------------------------------- */

static void free_job(struct cct_job *job)
{
	skcipher_request_free(job->req);
	cct_side_exit(&job->src);
	cct_side_exit(&job->dst);
	kfree(job->in);
	kfree(job->out);
	kfree(job);
}

/**
 * cct_job_new() - a request of @pair's driver
 * @pair: which outlives it
 * @capacity: for up to that many bytes
 * @segments: for lists of up to that many elements
 *
 * Return: the job, or NULL, which has been reported.
 */
struct cct_job *cct_job_new(struct cct_pair *pair, unsigned int capacity,
			    unsigned int segments)
{
	struct cct_job *job = kzalloc(sizeof(*job), GFP_KERNEL);
	int err;

	if (!job)
		goto no_memory;
	job->pair = pair;
	job->capacity = capacity;
	job->in = kmalloc(max(capacity, 1U), GFP_KERNEL);
	job->out = kmalloc(max(capacity, 1U), GFP_KERNEL);
	job->req = skcipher_request_alloc(pair->tfm, GFP_KERNEL);
	init_completion(&job->done);
	err = cct_side_init(&job->src, capacity, segments);
	err = cct_side_init(&job->dst, capacity, segments) ?: err;
	if (!err && job->in && job->out && job->req)
		return job;
	free_job(job);
no_memory:
	cct_fail("no memory for a request of %u bytes", capacity);
	return NULL;
}

static void see_late_calls(struct cct_job *job)
{
	if (atomic_read(&job->calls) != job->seen)
		cct_fail("a request was completed once more, later");
}

/** cct_job_free() - the end of it, unless the driver still has it */
void cct_job_free(struct cct_job *job)
{
	if (!job || job->lost)
		return;
	see_late_calls(job);
	free_job(job);
}

/** cct_job_iv() - where the request's IV is */
u8 *cct_job_iv(struct cct_job *job)
{
	return job->ivmem + AES_BLOCK_SIZE + job->iv_lead;
}

/* ---- what is asked for, and what should come of it ------------------------ */

/** cct_job_expect() - compute what should come of job->in; 0 or an error */
int cct_job_expect(struct cct_job *job)
{
	const struct cct_mode *mode = job->pair->mode;
	u8 iv[AES_BLOCK_SIZE];
	int err = 0;

	memcpy(iv, job->first_iv, sizeof(iv));
	if (job->len)
		err = cct_pair_software(job->pair, job->encrypt, iv, job->in,
					job->out, job->len);
	if (err)
		cct_fail("the software answers %d", err);
	/* Not what it left in iv: it may be as wrong as the driver */
	memcpy(job->next_iv, job->first_iv, sizeof(iv));
	if (mode->next_iv)
		mode->next_iv(job->next_iv, job->encrypt ? job->out : job->in,
			      job->len);
	return err;
}

/** cct_job_data() - random data and IV, and what should come of them */
int cct_job_data(struct cct_job *job, struct rnd_state *rnd, bool encrypt,
		 unsigned int len)
{
	job->encrypt = encrypt;
	job->len = len;
	prandom_bytes_state(rnd, job->in, len);
	prandom_bytes_state(rnd, job->first_iv, sizeof(job->first_iv));
	return cct_job_expect(job);
}

/** cct_job_place() - its lists; @dst NULL: in place; 0 or an error */
int cct_job_place(struct cct_job *job, const struct cct_layout *src,
		  const struct cct_layout *dst)
{
	int err = cct_side_place(&job->src, src);

	job->in_place = !dst;
	if (dst)
		err = cct_side_place(&job->dst, dst) ?: err;
	if (err)
		cct_fail("the test's buffers are too small: %d", err);
	return err;
}

/* ---- completion ----------------------------------------------------------- */

/**
 * cct_job_completed() - the driver says so
 * @job: which may be lost, but is there
 * @err: -EINPROGRESS: it has left the backlog
 */
void cct_job_completed(struct cct_job *job, int err)
{
	if (err == -EINPROGRESS) {
		job->late_notice |= atomic_read(&job->calls) > 0;
		atomic_inc(&job->notices);
		return;
	}
	if (atomic_inc_return(&job->calls) > 1)
		return;
	job->err = err;
	if (job->stream) {
		llist_add(&job->node, &job->stream->back);
		complete(&job->stream->some);
	} else {
		complete(&job->done);
	}
}

static void completed(completion_arg arg, int err)
{
	struct cct_job *job = completion_data(arg);

	if (err != -EINPROGRESS && cct_sabotage_loses(job))
		job->swallowed = true;
	else
		cct_job_completed(job, err);
}

/* ---- submission ----------------------------------------------------------- */

/** cct_job_arm() - make all as before the request */
void cct_job_arm(struct cct_job *job)
{
	struct scatterlist *dst = job->in_place ? job->src.sg : job->dst.sg;

	see_late_calls(job);
	memset(job->ivmem, IV_GUARD, sizeof(job->ivmem));
	memcpy(cct_job_iv(job), job->first_iv, AES_BLOCK_SIZE);
	cct_side_fill(&job->src, job->in, job->len);
	if (!job->in_place)
		cct_side_fill(&job->dst, NULL, 0);
	job->err = 0;
	job->seen = 0;
	job->late_notice = false;
	atomic_set(&job->calls, 0);
	atomic_set(&job->notices, 0);
	reinit_completion(&job->done);
	skcipher_request_set_callback(job->req, job->flags, completed, job);
	skcipher_request_set_crypt(job->req, job->src.sg, dst, job->len,
				   cct_job_iv(job));
}

/** cct_job_again() - as it is, when it was armed before and is not checked */
void cct_job_again(struct cct_job *job)
{
	job->err = 0;
	job->seen = 0;
	atomic_set(&job->calls, 0);
	atomic_set(&job->notices, 0);
	/* crypt has used it up */
	memcpy(cct_job_iv(job), job->first_iv, AES_BLOCK_SIZE);
}

static void submit_here(struct cct_job *job)
{
	job->returned = job->encrypt ? crypto_skcipher_encrypt(job->req)
				     : crypto_skcipher_decrypt(job->req);
}

static void submit_bh_off(struct cct_job *job)
{
	local_bh_disable();
	submit_here(job);
	local_bh_enable();
}

struct softirq {
	struct tasklet_struct tasklet;
	struct completion done;
	struct cct_job *job;
};

static void softirq_work(struct tasklet_struct *t)
{
	struct softirq *s = container_of(t, struct softirq, tasklet);

	submit_here(s->job);
	complete(&s->done);
}

static void submit_softirq(struct cct_job *job)
{
	struct softirq s = { .job = job };

	init_completion(&s.done);
	tasklet_setup(&s.tasklet, softirq_work);
	tasklet_schedule(&s.tasklet);
	wait_for_completion(&s.done);
	tasklet_kill(&s.tasklet);
}

static void (*const submit[CCT_NUM_CONTEXTS])(struct cct_job *job) = {
	[CCT_PROCESS]	= submit_here,
	[CCT_BH_OFF]	= submit_bh_off,
	[CCT_SOFTIRQ]	= submit_softirq,
};

static bool under_way(int returned)
{
	return returned == -EINPROGRESS || returned == -EBUSY;
}

/** cct_job_submit() - do it, from the job's context; true: it comes back */
bool cct_job_submit(struct cct_job *job)
{
	submit[job->context](job);
	if (under_way(job->returned))
		return true;
	job->err = job->returned;
	return false;
}

/** cct_job_refused() - the driver is busy, and may say so */
bool cct_job_refused(const struct cct_job *job)
{
	return job->returned == -ENOSPC &&
	       !(job->flags & CRYPTO_TFM_REQ_MAY_BACKLOG);
}

/** cct_job_set_lost() - it has not come back in time */
void cct_job_set_lost(struct cct_job *job)
{
	cct_fail("a request of %u bytes did not come back in %u s", job->len,
		 cct_timeout);
	cct_set_lost(!job->swallowed);
	if (job->swallowed)
		return;
	job->lost = true;
	atomic_inc(&job->pair->lost);
}

/**
 * cct_job_go() - do it, however often the driver is busy
 * @job: with data and lists
 *
 * Return: false if it did not come back, which has been reported.
 */
bool cct_job_go(struct cct_job *job)
{
	unsigned long limit = jiffies + cct_timeout * HZ;

	cct_job_arm(job);
	while (!cct_job_submit(job)) {
		if (!cct_job_refused(job) || time_after(jiffies, limit))
			return true;
		usleep_range(500, 1000);
	}
	if (wait_for_completion_timeout(&job->done, cct_timeout * HZ))
		return true;
	cct_job_set_lost(job);
	return false;
}

/* ---- the check ------------------------------------------------------------ */

static bool __printf(2, 3) bad(struct cct_job *job, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vscnprintf(job->why, sizeof(job->why), fmt, args);
	va_end(args);
	return false;
}

static bool good_calls(struct cct_job *job)
{
	int calls = atomic_read(&job->calls);
	int notices = atomic_read(&job->notices);

	job->seen = calls;
	if (calls != under_way(job->returned))
		return bad(job, "it answered %d and was completed %d times",
			   job->returned, calls);
	if (notices != (job->returned == -EBUSY))
		return bad(job, "it answered %d and gave notice %d times",
			   job->returned, notices);
	if (job->late_notice)
		return bad(job, "notice came behind the completion");
	if (job->returned == -EBUSY &&
	    !(job->flags & CRYPTO_TFM_REQ_MAY_BACKLOG))
		return bad(job, "-EBUSY for one that must not be queued");
	return true;
}

static bool good_iv(struct cct_job *job)
{
	const struct cct_mode *mode = job->pair->mode;
	u8 *iv = cct_job_iv(job);
	u8 *end = iv + AES_BLOCK_SIZE;

	if (memchr_inv(job->ivmem, IV_GUARD, iv - job->ivmem) ||
	    memchr_inv(end, IV_GUARD,
		       job->ivmem + sizeof(job->ivmem) - end))
		return bad(job, "bytes beside the IV were written");
	/* Where there is an IV but no rule, it may be anything */
	if (mode->next_iv || !mode->ivsize)
		if (memcmp(iv, job->next_iv, AES_BLOCK_SIZE))
			return bad(job, "the IV behind it is not %*phN but %*phN",
				   AES_BLOCK_SIZE, job->next_iv,
				   AES_BLOCK_SIZE, iv);
	return true;
}

/**
 * cct_job_check() - is everything as it should be?
 * @job: which has come back
 *
 * Return: false if not; job->why tells.
 */
bool cct_job_check(struct cct_job *job)
{
	struct cct_side *dst = job->in_place ? &job->src : &job->dst;
	unsigned int at;

	cct_sabotage_result(job);
	if (!good_calls(job))
		return false;
	if (job->err)
		return bad(job, "it ended in %d", job->err);
	at = cct_side_compare(dst, job->out, job->len);
	if (at < job->len)
		return bad(job, "byte %u is %02x, not %02x", at,
			   *cct_side_byte(dst, at), job->out[at]);
	if (!cct_side_guarded(dst, job->len))
		return bad(job, "bytes beside the destination were written");
	if (!job->in_place &&
	    (cct_side_compare(&job->src, job->in, job->len) < job->len ||
	     !cct_side_guarded(&job->src, job->len)))
		return bad(job, "the source was written");
	return good_iv(job);
}

/** cct_job_report() - tell what cct_job_check() found */
void cct_job_report(struct cct_job *job, const char *what)
{
	cct_fail("%s, %s %u bytes, %u segments to %u%s, flags %x, context %u: %s",
		 what, job->encrypt ? "encrypt" : "decrypt", job->len,
		 job->src.n, job->in_place ? job->src.n : job->dst.n,
		 job->in_place ? " in place" : "", job->flags, job->context,
		 job->why);
}

/** cct_job_run() - do it, check it; false: it is wrong, which is reported */
bool cct_job_run(struct cct_job *job, const char *what)
{
	if (!cct_job_go(job))
		return false;
	if (cct_job_check(job))
		return true;
	cct_job_report(job, what);
	return false;
}
