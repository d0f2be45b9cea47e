// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Known answers, IVs, and what is to be rejected
 */

#include <linux/slab.h>
#include <linux/string.h>

#include "cct.h"

/* Enough for the messages here */
#define ROOM		1024
#define SEGMENTS	8

static bool has_next_iv(const struct cct_mode *mode)
{
	return mode->next_iv;
}

static bool has_chain(const struct cct_mode *mode)
{
	return mode->next_iv || !mode->ivsize;
}

static bool is_ctr(const struct cct_mode *mode)
{
	return mode->ivsize && mode->least == 1;
}

static bool is_xts(const struct cct_mode *mode)
{
	return mode->keys == 2;
}

/* In place and not, as one piece and in two */
static void in_all_places(struct cct_job *job, const char *what)
{
	unsigned int i, cut = job->len / 3 + 1;
	struct cct_layout *l;

	l = kmalloc_array(2, sizeof(*l), GFP_KERNEL);
	if (!l) {
		cct_fail("no memory");
		return;
	}
	for (i = 0; i < 4 && !cct_lost(); i++) {
		cct_layout_cut(&l[0], job->len, i & 1 ? cut : 0);
		cct_layout_one(&l[1], job->len, 0);
		if (!cct_job_place(job, &l[0], i & 2 ? &l[1] : NULL))
			cct_job_run(job, what);
	}
	kfree(l);
}

/* ---- known answers -------------------------------------------------------- */

static void known_answer(struct cct_pair *pair, struct cct_job *job,
			 const struct cct_vector *v, bool encrypt)
{
	const struct cct_mode *mode = pair->mode;

	job->encrypt = encrypt;
	job->len = v->len;
	memcpy(job->in, encrypt ? v->plain : v->cipher, v->len);
	memcpy(job->out, encrypt ? v->cipher : v->plain, v->len);
	if (v->iv)
		memcpy(job->first_iv, v->iv, AES_BLOCK_SIZE);
	memcpy(job->next_iv, job->first_iv, AES_BLOCK_SIZE);
	if (mode->next_iv)
		mode->next_iv(job->next_iv, v->cipher, v->len);
	in_all_places(job, v->name);
}

static void known_answers(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, ROOM, SEGMENTS);
	const struct cct_vector *v = cct_vectors;
	unsigned int n = 0;

	for (; job && v < cct_vectors + cct_num_vectors && !cct_lost(); v++) {
		if (strcmp(v->mode, pair->mode->name) ||
		    cct_pair_passes(pair, v->key, v->keylen))
			continue;
		n++;
		if (cct_pair_key(pair, v->key, v->keylen))
			continue;
		known_answer(pair, job, v, true);
		known_answer(pair, job, v, false);
	}
	if (!n)
		cct_fail("there are none");
	cct_job_free(job);
}

/* ---- IVs ------------------------------------------------------------------ */

static void output_iv(struct cct_pair *pair, struct rnd_state *rnd)
{
	static const unsigned int lengths[] = { 1, 15, 16, 17, 31, 32, 64, 65,
						160, 512, 1008, 1023 };
	struct cct_job *job = cct_job_new(pair, ROOM, SEGMENTS);
	unsigned int i, encrypt;

	if (!job || cct_pair_random_key(pair, rnd))
		goto out;
	for (i = 0; i < 2 * ARRAY_SIZE(lengths) && !cct_lost(); i++) {
		encrypt = i & 1;
		if (!cct_mode_takes(pair->mode, lengths[i / 2]))
			continue;
		job->iv_lead = i % AES_BLOCK_SIZE;
		if (!cct_job_data(job, rnd, encrypt, lengths[i / 2]))
			in_all_places(job, "output IV");
	}
out:
	cct_job_free(job);
}

/* From which byte on the counter is all ones, and what is below it */
static void counter_wrap(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, ROOM, SEGMENTS);
	unsigned int ones, last;

	if (!job || cct_pair_random_key(pair, rnd))
		goto out;
	for (ones = 0; ones <= AES_BLOCK_SIZE && !cct_lost(); ones++) {
		for (last = 0xfc; last <= 0xff; last++) {
			if (cct_job_data(job, rnd, ones & 1, 100))
				continue;
			memset(job->first_iv + AES_BLOCK_SIZE - ones, 0xff,
			       ones);
			job->first_iv[AES_BLOCK_SIZE - 1] = last;
			if (!cct_job_expect(job))
				in_all_places(job, "counter wrap");
		}
	}
out:
	cct_job_free(job);
}

/* Each piece with the IV that the driver left behind the one before */
static void in_pieces(struct cct_job *whole, struct cct_job *part,
		      struct rnd_state *rnd, bool in_place)
{
	const struct cct_mode *mode = whole->pair->mode;
	struct cct_layout *l = kmalloc(sizeof(*l), GFP_KERNEL);
	unsigned int done = 0, len;

	if (!l) {
		cct_fail("no memory");
		return;
	}
	memcpy(part->first_iv, whole->first_iv, AES_BLOCK_SIZE);
	part->encrypt = whole->encrypt;
	while (done < whole->len) {
		len = AES_BLOCK_SIZE * (1 + cct_below(rnd, 5));
		len = min(len, whole->len - done);
		part->len = len;
		memcpy(part->in, whole->in + done, len);
		memcpy(part->out, whole->out + done, len);
		memcpy(part->next_iv, part->first_iv, AES_BLOCK_SIZE);
		if (mode->next_iv)
			mode->next_iv(part->next_iv,
				      part->encrypt ? part->out : part->in,
				      len);
		cct_layout_cut(l, len, cct_below(rnd, len));
		if (cct_job_place(part, l, in_place ? NULL : l) ||
		    !cct_job_run(part, "in pieces"))
			break;
		memcpy(part->first_iv, cct_job_iv(part), AES_BLOCK_SIZE);
		done += len;
	}
	kfree(l);
}

static void chaining(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *whole = cct_job_new(pair, ROOM, SEGMENTS);
	struct cct_job *part = cct_job_new(pair, ROOM, SEGMENTS);
	unsigned int i, len;

	if (!whole || !part)
		goto out;
	for (i = 0; i < 24 && !cct_lost(); i++) {
		len = 37 * AES_BLOCK_SIZE;
		if (pair->mode->grain == 1)
			len += 5;
		if (!cct_pair_random_key_of(pair, rnd, i % 3) &&
		    !cct_job_data(whole, rnd, i & 1, len))
			in_pieces(whole, part, rnd, i & 2);
	}
out:
	cct_job_free(whole);
	cct_job_free(part);
}

/* ---- what is to be rejected ----------------------------------------------- */

static void expect_error(int err, int wanted, const char *what,
			 unsigned int len)
{
	err = cct_sabotage_error(err);
	if (err != wanted)
		cct_fail("%s of %u bytes: %d, not %d", what, len, err, wanted);
}

static void bad_keys(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_pair *other = cct_pair_new();
	unsigned int len, per_key;
	struct cct_job *job;
	u8 key[CCT_MAX_KEY + 2];
	struct cct_layout *l;

	if (IS_ERR(other)) {
		cct_fail("no second transform: %ld", PTR_ERR(other));
		return;
	}
	job = cct_job_new(other, ROOM, SEGMENTS);
	l = kmalloc(sizeof(*l), GFP_KERNEL);
	if (!job || !l)
		goto out;
	prandom_bytes_state(rnd, key, sizeof(key));
	for (len = 0; len <= sizeof(key); len++) {
		per_key = len / pair->mode->keys;
		if (len % pair->mode->keys == 0 &&
		    (per_key == 16 || per_key == 24 || per_key == 32))
			continue;
		expect_error(crypto_skcipher_setkey(other->tfm, key, len),
			     -EINVAL, "a key", len);
	}
	/* Nor does it work with none */
	job->len = 32;
	job->encrypt = true;
	cct_layout_one(l, job->len, 0);
	if (!cct_job_place(job, l, NULL) && cct_job_go(job)) {
		job->seen = atomic_read(&job->calls);
		expect_error(job->err, -ENOKEY, "without a key, a message",
			     job->len);
	}
out:
	kfree(l);
	cct_job_free(job);
	cct_pair_free(other);
}

static void weak_keys(struct cct_pair *pair, struct rnd_state *rnd)
{
	u8 key[CCT_MAX_KEY];
	unsigned int size;

	for (size = 16; size <= 32; size += 8) {
		prandom_bytes_state(rnd, key, size);
		memcpy(key + size, key, size);
		crypto_skcipher_set_flags(pair->tfm,
					  CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
		expect_error(crypto_skcipher_setkey(pair->tfm, key, 2 * size),
			     -EINVAL, "a weak key", 2 * size);
		/* One that differs at its end is none */
		key[2 * size - 1] ^= 1;
		if (crypto_skcipher_setkey(pair->tfm, key, 2 * size))
			cct_fail("a key of %u bytes that is not weak is refused",
				 2 * size);
		crypto_skcipher_clear_flags(pair->tfm,
					    CRYPTO_TFM_REQ_FORBID_WEAK_KEYS);
	}
}

/* Nobody may be told twice, nor bytes elsewhere be written */
static void bad_length(struct cct_job *job, unsigned int len)
{
	struct cct_side *dst = job->in_place ? &job->src : &job->dst;
	int returned;

	job->len = len;
	if (!cct_job_go(job))
		return;
	returned = job->returned;
	job->seen = atomic_read(&job->calls);
	if (job->seen != (returned == -EINPROGRESS || returned == -EBUSY))
		cct_fail("a message of %u bytes: answer %d, %d completions",
			 len, returned, job->seen);
	expect_error(job->err, -EINVAL, "a message", len);
	/* Software may have begun before it sees that the end is missing */
	if (!cct_side_guarded(dst, len))
		cct_fail("a message of %u bytes is rejected, and bytes beside it written",
			 len);
}

static void bad_lengths(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, ROOM, SEGMENTS);
	struct cct_layout *l = kmalloc(sizeof(*l), GFP_KERNEL);
	unsigned int len, i;

	if (!job || !l || cct_pair_random_key(pair, rnd))
		goto out;
	for (len = 0; len < 100 && !cct_lost(); len++) {
		if (cct_mode_takes(pair->mode, len))
			continue;
		for (i = 0; i < 4; i++) {
			cct_layout_one(l, len, 0);
			job->encrypt = i & 1;
			if (!cct_job_place(job, l, i & 2 ? l : NULL))
				bad_length(job, len);
		}
	}
out:
	kfree(l);
	cct_job_free(job);
}

static bool rejects_lengths(const struct cct_mode *mode)
{
	return !mode->empty || mode->grain > 1;
}

static void nothing_to_do(struct cct_pair *pair, struct rnd_state *rnd)
{
	struct cct_job *job = cct_job_new(pair, ROOM, SEGMENTS);
	unsigned int encrypt;

	if (job && !cct_pair_random_key(pair, rnd)) {
		for (encrypt = 0; encrypt < 2; encrypt++) {
			if (!cct_job_data(job, rnd, encrypt, 0))
				in_all_places(job, "an empty message");
		}
	}
	cct_job_free(job);
}

static bool takes_nothing(const struct cct_mode *mode)
{
	return mode->empty;
}

const struct cct_test cct_cases[] = {
	{ "published examples", known_answers },
	{ "the IV behind a request", output_iv, has_next_iv },
	{ "counters that overflow", counter_wrap, is_ctr },
	{ "a message in pieces is as in one", chaining, has_chain },
	{ "empty requests", nothing_to_do, takes_nothing },
	{ "wrong lengths are rejected", bad_lengths, rejects_lengths },
	{ "wrong keys are rejected", bad_keys },
	{ "weak keys are rejected if wanted", weak_keys, is_xts },
	{ }
};
