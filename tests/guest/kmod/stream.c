// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many requests at a time from one thread, each again when it has come back
 */

#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cct.h"

#define SEGMENTS	12

static const u32 flags[] = {
	CRYPTO_TFM_REQ_MAY_BACKLOG,
	0,
	CRYPTO_TFM_REQ_MAY_BACKLOG | CRYPTO_TFM_REQ_MAY_SLEEP,
};

/* Entering a softirq takes its time: few of them */
static const enum cct_context contexts[] = {
	CCT_PROCESS, CCT_BH_OFF, CCT_PROCESS, CCT_BH_OFF, CCT_PROCESS,
	CCT_BH_OFF, CCT_PROCESS, CCT_SOFTIRQ,
};

/**
 * cct_stream_new() - requests of up to @len bytes
 * @pairs: whose they are, in turn
 * @num_pairs: how many these are
 * @depth: how many requests
 * @len: their room
 *
 * Return: the stream, or NULL, which has been reported.
 */
struct cct_stream *cct_stream_new(struct cct_pair *const *pairs,
				  unsigned int num_pairs, unsigned int depth,
				  unsigned int len)
{
	struct cct_stream *s = kzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		goto no_memory;
	init_llist_head(&s->back);
	init_completion(&s->some);
	s->check = true;
	s->jobs = kcalloc(depth, sizeof(*s->jobs), GFP_KERNEL);
	if (!s->jobs)
		goto no_memory;
	for (; s->depth < depth; s->depth++) {
		struct cct_job *job = cct_job_new(pairs[s->depth % num_pairs],
						  len, SEGMENTS);

		if (!job) {
			cct_stream_free(s);
			return NULL;
		}
		job->stream = s;
		s->jobs[s->depth] = job;
	}
	return s;
no_memory:
	kfree(s);
	cct_fail("no memory");
	return NULL;
}

/** cct_stream_free() - the end, unless one of its requests is lost */
void cct_stream_free(struct cct_stream *s)
{
	bool lost = false;
	unsigned int i;

	if (!s)
		return;
	for (i = 0; i < s->depth; i++) {
		lost |= s->jobs[i]->lost;
		cct_job_free(s->jobs[i]);
	}
	kfree(s->jobs);
	/* A completion would still come to it */
	if (!lost)
		kfree(s);
}

static unsigned int random_length(const struct cct_mode *mode,
				  struct rnd_state *rnd, unsigned int limit)
{
	unsigned int len;

	do {
		len = 1 + cct_below(rnd, cct_below(rnd, 2) ? limit : 64);
		len -= len % mode->grain;
	} while (!len || len > limit || !cct_mode_takes(mode, len));
	return len;
}

/** cct_stream_vary() - messages of all lengths, cut in all ways */
int cct_stream_vary(struct cct_stream *s, struct rnd_state *rnd,
		    unsigned int len)
{
	struct cct_layout *l = kmalloc_array(2, sizeof(*l), GFP_KERNEL);
	unsigned int i;
	int err = l ? 0 : -ENOMEM;

	for (i = 0; !err && i < s->depth; i++) {
		struct cct_job *job = s->jobs[i];
		unsigned int here;

		here = random_length(job->pair->mode, rnd, len);
		job->context = contexts[i % ARRAY_SIZE(contexts)];
		job->flags = flags[cct_below(rnd, ARRAY_SIZE(flags))];
		if (job->context != CCT_PROCESS)
			job->flags &= ~CRYPTO_TFM_REQ_MAY_SLEEP;
		cct_layout_random(&l[0], rnd, here, SEGMENTS);
		cct_layout_random(&l[1], rnd, here, SEGMENTS);
		err = cct_job_data(job, rnd, cct_below(rnd, 2), here) ?:
		      cct_job_place(job, &l[0],
				    cct_below(rnd, 3) ? &l[1] : NULL);
		cond_resched();
	}
	kfree(l);
	return err;
}

/** cct_stream_plain() - messages of @len bytes in one piece, not in place */
int cct_stream_plain(struct cct_stream *s, struct rnd_state *rnd,
		     unsigned int len, bool encrypt)
{
	struct cct_layout *l = kmalloc(sizeof(*l), GFP_KERNEL);
	unsigned int i;
	int err = l ? 0 : -ENOMEM;

	for (i = 0; !err && i < s->depth; i++) {
		s->jobs[i]->flags = CRYPTO_TFM_REQ_MAY_BACKLOG;
		cct_layout_one(l, len, 0);
		err = cct_job_data(s->jobs[i], rnd, encrypt, len) ?:
		      cct_job_place(s->jobs[i], l, l);
	}
	kfree(l);
	return err;
}

static void settle(struct cct_stream *s, struct cct_job *job)
{
	job->under_way = false;
	job->rounds++;
	s->requests++;
	s->bytes += job->len;
	s->notices += atomic_read(&job->notices);
	/* When only the time counts, the first round is checked */
	if (!s->check && job->rounds > 1) {
		job->seen = atomic_read(&job->calls);
		if (job->err)
			cct_fail("a request ended in %d", job->err);
	} else if (!cct_job_check(job)) {
		cct_job_report(job, s->what);
	}
}

static void give_up(struct cct_stream *s)
{
	unsigned int i;

	for (i = 0; i < s->depth; i++) {
		if (s->jobs[i]->under_way)
			cct_job_set_lost(s->jobs[i]);
	}
}

/* As many as the driver takes; returns how many it has been given */
static unsigned int feed(struct cct_stream *s, struct cct_job **ready,
			 unsigned int *n, unsigned long until)
{
	unsigned int given = 0;

	while (*n && !cct_lost()) {
		struct cct_job *job = ready[*n - 1];

		if (job->rounds && time_after_eq(jiffies, until)) {
			--*n;
			continue;
		}
		cond_resched();
		if (s->check || !job->rounds)
			cct_job_arm(job);
		else
			cct_job_again(job);
		job->under_way = true;
		if (cct_job_submit(job)) {
			given++;
			--*n;
			continue;
		}
		job->under_way = false;
		if (cct_job_refused(job)) {
			s->refused++;
			break;
		}
		/* Done already: it is ready again */
		settle(s, job);
	}
	return given;
}

/**
 * cct_stream_run() - keep all requests under way
 * @s: the stream
 * @until: in jiffies; each request is done once at least
 *
 * Return: false if one did not come back.
 */
bool cct_stream_run(struct cct_stream *s, unsigned long until)
{
	struct cct_job **ready, *job, *next;
	unsigned int n = s->depth, away = 0;
	bool good = true;

	ready = kmemdup(s->jobs, n * sizeof(*ready), GFP_KERNEL);
	if (!ready) {
		cct_fail("no memory");
		return false;
	}
	while (good) {
		away += feed(s, ready, &n, until);
		if (!away) {
			if (!n || cct_lost())
				break;
			/* Others have filled the driver's queue */
			usleep_range(500, 1000);
			continue;
		}
		if (!wait_for_completion_timeout(&s->some, cct_timeout * HZ)) {
			give_up(s);
			good = false;
		}
		llist_for_each_entry_safe(job, next, llist_del_all(&s->back),
					  node) {
			away--;
			settle(s, job);
			ready[n++] = job;
		}
	}
	kfree(ready);
	return good;
}
