// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of all lengths, in lists of all shapes
 */

#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "cct.h"

static const u32 flags[] = {
	CRYPTO_TFM_REQ_MAY_BACKLOG | CRYPTO_TFM_REQ_MAY_SLEEP,
	CRYPTO_TFM_REQ_MAY_BACKLOG,
	CRYPTO_TFM_REQ_MAY_SLEEP,
	0,
};

/* What these tests need: a request and two layouts */
struct bench {
	struct cct_job *job;
	struct cct_layout *src, *dst;
};

static bool setup(struct bench *b, struct cct_pair *pair, unsigned int room,
		  unsigned int segments)
{
	b->job = cct_job_new(pair, room, segments);
	b->src = kmalloc(sizeof(*b->src), GFP_KERNEL);
	b->dst = kmalloc(sizeof(*b->dst), GFP_KERNEL);
	if (b->job && !(b->src && b->dst))
		cct_fail("no memory");
	return b->job && b->src && b->dst;
}

static void teardown(struct bench *b)
{
	kfree(b->src);
	kfree(b->dst);
	cct_job_free(b->job);
}

/* With the layouts: in place, if so, that of the source alone */
static void try(struct bench *b, bool in_place, const char *what)
{
	cond_resched();
	if (!cct_lost() &&
	    !cct_job_place(b->job, b->src, in_place ? NULL : b->dst))
		cct_job_run(b->job, what);
}

/* ---- lengths -------------------------------------------------------------- */

/* Around blocks, cache lines, sectors, pages, and what XTS steals from */
static void lengths(struct cct_pair *pair, struct rnd_state *rnd)
{
	static const unsigned int edges[] = { 128, 256, 512, 1024, 2048, 4096,
					      8192, 16384 };
	unsigned int i, len;
	struct bench b;

	if (!setup(&b, pair, 16384 + 32, 4))
		goto out;
	for (i = 0; i < 3 * 81 && !cct_lost(); i++) {
		len = i % 81;
		if (!len && cct_pair_random_key_of(pair, rnd, i / 81))
			break;
		if (!len || !cct_mode_takes(pair->mode, len) ||
		    cct_job_data(b.job, rnd, i & 1, len))
			continue;
		cct_layout_one(b.src, len, 0);
		cct_layout_one(b.dst, len, 0);
		try(&b, i % 3 == 0, "lengths");
	}
	for (i = 0; i < 33 * ARRAY_SIZE(edges) && !cct_lost(); i++) {
		len = edges[i / 33] + i % 33 - 16;
		if (!cct_mode_takes(pair->mode, len) ||
		    (len % 16 > 1 && len % 16 < 15 && cct_below(rnd, 3)) ||
		    cct_job_data(b.job, rnd, i & 1, len))
			continue;
		cct_layout_one(b.src, len, 0);
		cct_layout_one(b.dst, len, 0);
		try(&b, i % 3 == 0, "lengths");
	}
out:
	teardown(&b);
}

/* ---- splits --------------------------------------------------------------- */

static void split_at(struct bench *b, unsigned int at)
{
	unsigned int len = b->job->len;

	cct_layout_cut(b->src, len, at);
	try(b, true, "cut");
	cct_layout_one(b->dst, len, 0);
	try(b, false, "source cut");
	cct_layout_one(b->src, len, 0);
	cct_layout_cut(b->dst, len, at);
	try(b, false, "destination cut");
	cct_layout_cut(b->src, len, len - at);
	try(b, false, "both cut");
}

static void splits(struct cct_pair *pair, struct rnd_state *rnd)
{
	unsigned int at, encrypt, len = pair->mode->grain == 1 ? 53 : 64;
	struct bench b;

	if (!setup(&b, pair, len, 4) || cct_pair_random_key(pair, rnd))
		goto out;
	for (encrypt = 0; encrypt < 2; encrypt++) {
		if (cct_job_data(b.job, rnd, encrypt, len))
			break;
		for (at = 1; at < len && !cct_lost(); at++)
			split_at(&b, at);
	}
out:
	teardown(&b);
}

/* Each byte a segment of its own, and all other steps */
static void steps(struct cct_pair *pair, struct rnd_state *rnd)
{
	unsigned int step, len = pair->mode->grain == 1 ? 61 : 64;
	struct bench b;

	if (!setup(&b, pair, len, 64) || cct_pair_random_key(pair, rnd))
		goto out;
	for (step = 1; step <= len && !cct_lost(); step++) {
		if (cct_job_data(b.job, rnd, step & 1, len))
			break;
		cct_layout_each(b.src, len, step);
		try(&b, true, "steps");
		cct_layout_each(b.dst, len, len + 1 - step);
		try(&b, false, "steps, other ones behind");
	}
out:
	teardown(&b);
}

/* ---- addresses ------------------------------------------------------------ */

static void misaligned(struct cct_pair *pair, struct rnd_state *rnd)
{
	static const unsigned int lengths[] = { 32, 512, 4096 };
	unsigned int i, len, from, to;
	struct bench b;

	if (!setup(&b, pair, 4096, 4) || cct_pair_random_key(pair, rnd))
		goto out;
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		len = lengths[i];
		for (from = 0; from < 16 && !cct_lost(); from++) {
			if (cct_job_data(b.job, rnd, from & 1, len))
				goto out;
			b.job->iv_lead = from;
			cct_layout_one(b.src, len, from);
			try(&b, true, "misaligned");
			for (to = i ? 15 - from : 0; to < 16; to += i ? 16 : 1) {
				cct_layout_one(b.dst, len, to);
				try(&b, false, "misaligned");
			}
		}
	}
out:
	teardown(&b);
}

/* ---- long ones ------------------------------------------------------------ */

/* Segments of these sizes: pages, odd ones, the largest there can be */
static void long_lists(struct cct_pair *pair, struct rnd_state *rnd)
{
	static const unsigned int len = CCT_MAX_DATA;
	static const struct {
		unsigned int src, dst, lead;
		bool touching;
	} forms[] = {
		{ CCT_MAX_DATA, CCT_MAX_DATA, 0, false },
		{ 4096, 4096, 0, true },
		{ 4096, 4096, 0, false },
		{ 4096, 1021, 1, false },
		{ 1777, CCT_MAX_DATA, 15, false },
		{ 1021, 4096, 3, false },
		{ 512, 512, 0, true },
		{ 411, 65536, 0, false },
		{ CCT_MAX_DATA, 411, 0, false },
	};
	unsigned int i;
	struct bench b;

	if (!setup(&b, pair, len, CCT_SEGMENTS) ||
	    cct_pair_random_key(pair, rnd))
		goto out;
	for (i = 0; i < 2 * ARRAY_SIZE(forms) && !cct_lost(); i++) {
		if (cct_job_data(b.job, rnd, i & 1, len))
			break;
		cct_layout_each(b.src, len, forms[i / 2].src);
		cct_layout_each(b.dst, len, forms[i / 2].dst);
		b.src->lead = forms[i / 2].lead;
		b.src->touching = forms[i / 2].touching;
		b.dst->touching = forms[i / 2].touching;
		try(&b, true, "long lists");
		try(&b, false, "long lists");
	}
out:
	teardown(&b);
}

/* The rest of a list is none of the driver's business */
static void longer_lists(struct cct_pair *pair, struct rnd_state *rnd)
{
	static const unsigned int more[] = { 1, 15, 16, 100, 4096 };
	static const unsigned int lengths[] = { 16, 48, 512 };
	struct bench b;
	unsigned int i, k, len;

	if (!setup(&b, pair, 512 + 2 * 4096, 16) ||
	    cct_pair_random_key(pair, rnd))
		goto out;
	for (i = 0; i < ARRAY_SIZE(lengths) * ARRAY_SIZE(more); i++) {
		len = lengths[i % ARRAY_SIZE(lengths)];
		if (cct_job_data(b.job, rnd, i & 1, len))
			break;
		for (k = 0; k < 4 && !cct_lost(); k++) {
			cct_layout_cut(b.src, len, k & 1 ? len / 2 + 1 : 0);
			cct_layout_cut(b.dst, len, k & 2 ? len / 3 : 0);
			/* In its last segment, or behind that */
			if (k & 1)
				b.src->len[b.src->n - 1] += more[i / 3];
			else
				cct_layout_extend(b.src, more[i / 3]);
			try(&b, true, "list longer than the message");
			cct_layout_extend(b.dst, more[i / 3]);
			try(&b, false, "list longer than the message");
		}
	}
out:
	teardown(&b);
}

/* ---- whatever ------------------------------------------------------------- */

static unsigned int random_length(const struct cct_mode *mode,
				  struct rnd_state *rnd)
{
	static const unsigned int limits[] = { 40, 300, 5000, 20000 };
	unsigned int len;

	do {
		len = cct_below(rnd, limits[cct_below(rnd, 4)]) + 1;
		len = round_up(len, mode->grain);
	} while (!cct_mode_takes(mode, len));
	return len;
}

static void at_random(struct cct_pair *pair, struct rnd_state *rnd)
{
	unsigned int i, len;
	struct bench b;

	if (!setup(&b, pair, 20000 + 32 + 4096, CCT_SEGMENTS))
		goto out;
	for (i = 0; i < cct_rounds && !cct_lost(); i++) {
		if (i % 8 == 0 && cct_pair_random_key(pair, rnd))
			break;
		len = random_length(pair->mode, rnd);
		if (cct_job_data(b.job, rnd, cct_below(rnd, 2), len))
			break;
		b.job->flags = flags[cct_below(rnd, ARRAY_SIZE(flags))];
		b.job->iv_lead = cct_below(rnd, 16);
		cct_layout_random(b.src, rnd, len, CCT_SEGMENTS - 1);
		cct_layout_random(b.dst, rnd, len, CCT_SEGMENTS - 1);
		if (cct_below(rnd, 4) == 0)
			cct_layout_extend(b.src, 1 + cct_below(rnd, 300));
		if (cct_below(rnd, 4) == 0)
			cct_layout_extend(b.dst, 1 + cct_below(rnd, 300));
		try(&b, cct_below(rnd, 3) == 0, "at random");
	}
out:
	teardown(&b);
}

const struct cct_test cct_shapes[] = {
	{ "lengths around blocks, lines and pages", lengths },
	{ "lists cut at every byte", splits },
	{ "lists of equal steps", steps },
	{ "misaligned data and IVs", misaligned },
	{ "128 KiB in few and many segments", long_lists },
	{ "lists longer than the message", longer_lists },
	{ "random messages, lists, keys and flags", at_random },
	{ }
};
