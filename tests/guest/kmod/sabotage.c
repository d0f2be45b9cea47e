// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A driver that is wrong: what came back is spoilt before it is looked at, so
 * that each check can be seen to fail.  The driver itself is left alone.
 */

#include <linux/errno.h>
#include <linux/string.h>

#include "cct.h"

static void spoil_iv(struct cct_job *job)
{
	if (job->pair->mode->next_iv)
		cct_job_iv(job)[AES_BLOCK_SIZE - 1] ^= 1;
}

static void spoil_byte(struct cct_job *job)
{
	if (job->len)
		*cct_side_byte(job->in_place ? &job->src : &job->dst,
			       job->len / 2) ^= 0x10;
}

static void spoil_guard(struct cct_job *job)
{
	struct cct_side *side = job->in_place ? &job->src : &job->dst;

	side->mem[side->extent - 1] ^= 1;
}

static void spoil_source(struct cct_job *job)
{
	if (job->len && !job->in_place)
		*cct_side_byte(&job->src, job->len - 1) ^= 1;
}

static void complete_twice(struct cct_job *job)
{
	cct_job_completed(job, 0);
}

static void complete_badly(struct cct_job *job)
{
	job->err = -EIO;
}

static const struct {
	const char *name;
	void (*result)(struct cct_job *job);
} ways[] = {
	{ "iv", spoil_iv },
	{ "byte", spoil_byte },
	{ "guard", spoil_guard },
	{ "source", spoil_source },
	{ "twice", complete_twice },
	{ "error", complete_badly },
	/* Completions get lost */
	{ "lost" },
	/* Nothing is rejected */
	{ "accept" },
};

static void (*spoil)(struct cct_job *job);
static bool loses, accepts;

/** cct_sabotage_init() - find the chosen way; -EINVAL: there is none such */
int cct_sabotage_init(void)
{
	unsigned int i;

	if (!*cct_sabotage)
		return 0;
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		if (!strcmp(ways[i].name, cct_sabotage)) {
			spoil = ways[i].result;
			loses = !strcmp(cct_sabotage, "lost");
			accepts = !strcmp(cct_sabotage, "accept");
			return 0;
		}
	}
	pr_err(CCT_NAME ": no such sabotage: %s\n", cct_sabotage);
	return -EINVAL;
}

/** cct_sabotage_result() - a job has come back and is about to be checked */
void cct_sabotage_result(struct cct_job *job)
{
	if (spoil)
		spoil(job);
}

/** cct_sabotage_loses() - shall this completion be ignored? */
bool cct_sabotage_loses(struct cct_job *job)
{
	return loses;
}

/** cct_sabotage_error() - what came of something that is to be rejected */
int cct_sabotage_error(int err)
{
	return accepts ? 0 : err;
}
