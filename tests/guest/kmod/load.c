// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For a time: results that are checked, while others strike the device; or as
 * many as can be done, to know the speed
 */

#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/math64.h>

#include "cct.h"

/** cct_load() - checked requests for load_seconds */
void cct_load(void)
{
	struct cct_pair *pair = cct_pair_new();
	struct cct_totals totals;
	struct rnd_state rnd;

	cct_begin("load");
	prandom_seed_state(&rnd, cct_seed);
	if (IS_ERR(pair)) {
		cct_fail("no transform: %ld", PTR_ERR(pair));
	} else if (!cct_pair_random_key(pair, &rnd)) {
		cct_several(pair, &rnd, cct_threads, cct_depth, cct_size,
			    cct_load_seconds * MSEC_PER_SEC, &totals);
		cct_remark("load: %llu requests, %llu bytes, %llu waited, %llu refused",
			   totals.requests, totals.bytes, totals.notices,
			   totals.refused);
		if (!totals.requests)
			cct_fail("nothing was done");
	}
	cct_pair_free(pair);
	cct_end();
}

static void measure(struct cct_pair *pair, struct rnd_state *rnd, bool encrypt)
{
	struct cct_stream *s = cct_stream_new(&pair, 1, cct_depth, cct_size);
	ktime_t begun;
	u64 usecs;

	if (!s)
		return;
	s->check = false;
	s->what = "bench";
	if (cct_stream_plain(s, rnd, cct_size, encrypt))
		goto out;
	/* Once without the clock: the first round is checked */
	if (!cct_stream_run(s, jiffies))
		goto out;
	s->requests = 0;
	s->bytes = 0;
	begun = ktime_get();
	if (!cct_stream_run(s, jiffies + cct_seconds * HZ))
		goto out;
	usecs = max_t(u64, ktime_us_delta(ktime_get(), begun), 1);
	cct_remark("bench: %s %s %u bytes, depth %u: %llu.%02llu MB/s, %llu requests/s",
		   cct_driver, encrypt ? "encrypt" : "decrypt", cct_size,
		   cct_depth, div64_u64(s->bytes, usecs),
		   div64_u64(s->bytes * 100, usecs) % 100,
		   div64_u64(s->requests * USEC_PER_SEC, usecs));
out:
	cct_stream_free(s);
}

/** cct_bench() - MB/s, in both directions */
void cct_bench(void)
{
	struct cct_pair *pair = cct_pair_new();
	struct rnd_state rnd;

	cct_begin("bench");
	prandom_seed_state(&rnd, cct_seed);
	if (IS_ERR(pair)) {
		cct_fail("no transform: %ld", PTR_ERR(pair));
	} else if (!cct_pair_random_key_of(pair, &rnd, 2)) {
		measure(pair, &rnd, true);
		measure(pair, &rnd, false);
	}
	cct_pair_free(pair);
	cct_end();
}
