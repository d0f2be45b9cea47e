// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who asks: contexts, flags, processors, threads, and many at a time
 */

#include <linux/cpumask.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cct.h"

#define DEPTH		256
/* A virtqueue has 1024 entries at most in practice, if one does for each */
#define TOO_MANY	1500
#define LENGTH		2048
#define SEVERAL		6

/* ---- one at a time -------------------------------------------------------- */

static void ask(struct cct_job *job, struct rnd_state *rnd,
		struct cct_layout *l, bool encrypt, bool in_place)
{
	static const unsigned int lengths[] = { 16, 512, 4096 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths) && !cct_lost(); i++) {
		cct_layout_cut(l, lengths[i], lengths[i] / 2);
		if (!cct_job_data(job, rnd, encrypt, lengths[i]) &&
		    !cct_job_place(job, l, in_place ? NULL : l))
			cct_job_run(job, "contexts");
	}
}

static void contexts(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, 4096, 4);
	struct cct_layout *l = kmalloc(sizeof(*l), GFP_KERNEL);
	cpumask_var_t before;
	unsigned int i;
	int cpu;

	if (!alloc_cpumask_var(&before, GFP_KERNEL)) {
		cct_fail("no memory");
		goto out;
	}
	cpumask_copy(before, current->cpus_ptr);
	if (!job || !l || cct_pair_random_key(pair, rnd))
		goto out_mask;
	for_each_online_cpu(cpu) {
		set_cpus_allowed_ptr(current, cpumask_of(cpu));
		for (i = 0; i < 16 * CCT_NUM_CONTEXTS; i++) {
			job->context = i / 16;
			job->flags = 0;
			if (i & 1)
				job->flags |= CRYPTO_TFM_REQ_MAY_BACKLOG;
			if (i & 2 && job->context == CCT_PROCESS)
				job->flags |= CRYPTO_TFM_REQ_MAY_SLEEP;
			ask(job, rnd, l, i & 4, i & 8);
		}
	}
	set_cpus_allowed_ptr(current, before);
out_mask:
	free_cpumask_var(before);
out:
	kfree(l);
	cct_job_free(job);
}

/* ---- several transforms --------------------------------------------------- */

static void free_pairs(struct cct_pair **pairs, unsigned int n)
{
	while (n--)
		cct_pair_free(pairs[n]);
	kfree(pairs);
}

static struct cct_pair **new_pairs(unsigned int n, struct rnd_state *rnd)
{
	struct cct_pair **pairs = kcalloc(n, sizeof(*pairs), GFP_KERNEL);
	unsigned int i;

	for (i = 0; pairs && i < n; i++) {
		pairs[i] = cct_pair_new();
		if (IS_ERR(pairs[i])) {
			cct_fail("no transform: %ld", PTR_ERR(pairs[i]));
			free_pairs(pairs, i);
			return NULL;
		}
		if (cct_pair_random_key(pairs[i], rnd)) {
			free_pairs(pairs, i + 1);
			return NULL;
		}
	}
	if (!pairs)
		cct_fail("no memory");
	return pairs;
}

/* ---- many at a time ------------------------------------------------------- */

static void stream_of(struct cct_pair **pairs, unsigned int n,
		      struct rnd_state *rnd, unsigned int depth,
		      unsigned int len, const char *what)
{
	struct cct_stream *s = cct_stream_new(pairs, n, depth, len);

	if (!s)
		return;
	s->what = what;
	if (!cct_stream_vary(s, rnd, len))
		cct_stream_run(s, jiffies + HZ / 4);
	cct_remark("%llu requests, %llu waited, %llu refused", s->requests,
		   s->notices, s->refused);
	cct_stream_free(s);
}

static void many(struct cct_pair *pair, struct rnd_state *rnd)
{
	if (!cct_pair_random_key(pair, rnd))
		stream_of(&pair, 1, rnd, DEPTH, LENGTH,
			  "many of one transform");
}

static void too_many(struct cct_pair *pair, struct rnd_state *rnd)
{
	if (!cct_pair_random_key(pair, rnd))
		stream_of(&pair, 1, rnd, TOO_MANY, 256, "too many");
}

static void many_of_several(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_pair **pairs = new_pairs(SEVERAL, rnd);

	if (!pairs)
		return;
	stream_of(pairs, SEVERAL, rnd, DEPTH, LENGTH,
		  "many of several transforms");
	free_pairs(pairs, SEVERAL);
}

/* ---- threads -------------------------------------------------------------- */

struct thread {
	struct task_struct *task;
	struct cct_stream *stream;
	struct cct_pair **own;
	unsigned long until;
	struct completion done;
};

static int thread_main(void *data)
{
	struct thread *t = data;

	cct_stream_run(t->stream, t->until);
	complete(&t->done);
	/* To be there for kthread_stop() */
	set_current_state(TASK_INTERRUPTIBLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_INTERRUPTIBLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

/* It works on a transform of its own and on one that all share */
static bool thread_new(struct thread *t, unsigned int number,
		       struct cct_pair *shared, struct rnd_state *rnd,
		       unsigned int depth, unsigned int len)
{
	struct cct_pair *pairs[2] = { shared };
	unsigned int cpu = cpumask_first(cpu_online_mask);

	init_completion(&t->done);
	t->own = new_pairs(1, rnd);
	if (!t->own)
		return false;
	pairs[1] = t->own[0];
	t->stream = cct_stream_new(pairs, 2, depth, len);
	if (!t->stream || cct_stream_vary(t->stream, rnd, len))
		return false;
	t->stream->what = "threads";
	t->task = kthread_create(thread_main, t, CCT_NAME "/%u", number);
	if (IS_ERR(t->task)) {
		cct_fail("no thread: %ld", PTR_ERR(t->task));
		t->task = NULL;
		return false;
	}
	for (number %= num_online_cpus(); number; number--)
		cpu = cpumask_next(cpu, cpu_online_mask);
	kthread_bind(t->task, cpu);
	return true;
}

static void thread_free(struct thread *t)
{
	if (t->task)
		kthread_stop(t->task);
	cct_stream_free(t->stream);
	if (t->own)
		free_pairs(t->own, 1);
}

/**
 * cct_several() - threads on all processors
 * @shared: a transform with a key, that all of them use
 * @rnd: for their data
 * @threads: how many
 * @depth: how many requests each has under way
 * @len: of up to this many bytes
 * @msecs: for how long
 * @totals: what they did
 */
void cct_several(struct cct_pair *shared, struct rnd_state *rnd,
		 unsigned int threads, unsigned int depth, unsigned int len,
		 unsigned int msecs, struct cct_totals *totals)
{
	struct thread *t = kcalloc(threads, sizeof(*t), GFP_KERNEL);
	unsigned int i, n = 0;

	memset(totals, 0, sizeof(*totals));
	if (!t)
		cct_fail("no memory");
	while (t && n < threads &&
	       thread_new(&t[n], n, shared, rnd, depth, len))
		n++;
	for (i = 0; i < n; i++) {
		t[i].until = jiffies + msecs_to_jiffies(msecs);
		wake_up_process(t[i].task);
	}
	for (i = 0; i < n; i++) {
		/* In pieces, so that nobody takes this for a hang */
		while (!wait_for_completion_timeout(&t[i].done, 10 * HZ))
			;
		totals->requests += t[i].stream->requests;
		totals->bytes += t[i].stream->bytes;
		totals->notices += t[i].stream->notices;
		totals->refused += t[i].stream->refused;
	}
	/* The one behind the last may be half made */
	for (i = 0; t && i < min(n + 1, threads); i++)
		thread_free(&t[i]);
	kfree(t);
}

static void threads(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_totals totals;

	if (cct_pair_random_key(pair, rnd))
		return;
	cct_several(pair, rnd, 2 * num_online_cpus(), 24, LENGTH, 500,
		    &totals);
	cct_remark("%llu requests, %llu waited, %llu refused", totals.requests,
		   totals.notices, totals.refused);
}

/* ---- keys and ends -------------------------------------------------------- */

static void change_keys(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, 512, 4);
	struct cct_layout *l = kmalloc(sizeof(*l), GFP_KERNEL);
	unsigned int i;

	for (i = 0; job && l && i < 60 && !cct_lost(); i++) {
		cct_layout_one(l, 512, 0);
		if (cct_pair_random_key(pair, rnd) ||
		    cct_job_data(job, rnd, i & 1, 512) ||
		    cct_job_place(job, l, i & 2 ? l : NULL))
			break;
		cct_job_run(job, "another key each time");
	}
	kfree(l);
	cct_job_free(job);
}

/* ... of another transform than those that work meanwhile */
static void keys_meanwhile(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_pair **other = new_pairs(1, rnd);
	struct thread *t = kzalloc(sizeof(*t), GFP_KERNEL);

	if (!other || !t || cct_pair_random_key(pair, rnd))
		goto out;
	if (thread_new(t, 1, pair, rnd, 48, LENGTH)) {
		t->until = jiffies + HZ / 2;
		wake_up_process(t->task);
		change_keys(other[0], rnd);
		wait_for_completion(&t->done);
	}
	thread_free(t);
out:
	kfree(t);
	if (other)
		free_pairs(other, 1);
}

/* A transform may go as soon as its last request has come back */
static void free_at_once(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_pair **own;
	struct cct_stream *s;
	unsigned int i;

	for (i = 0; i < 20 && !cct_lost(); i++) {
		own = new_pairs(1, rnd);
		if (!own)
			return;
		s = cct_stream_new(own, 1, 12, 512);
		if (s) {
			s->what = "freed at once";
			if (!cct_stream_vary(s, rnd, 512))
				cct_stream_run(s, jiffies);
			cct_stream_free(s);
		}
		free_pairs(own, 1);
	}
}

const struct cct_test cct_contexts[] = {
	{ "contexts and flags, on each processor", contexts },
	{ "hundreds under way on one transform", many },
	{ "hundreds under way on several transforms", many_of_several },
	{ "more under way than a queue holds", too_many },
	{ "threads on all processors", threads },
	{ "keys set while others work", keys_meanwhile },
	{ "freed right after the last completion", free_at_once },
	{ }
};
