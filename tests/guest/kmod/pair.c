// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A transform of the driver under test, and one in software to compare with
 */

#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cct.h"

static const unsigned int aes_keys[] = { 16, 24, 32 };

static const char *driver_of(struct crypto_skcipher *tfm)
{
	return crypto_tfm_alg_driver_name(crypto_skcipher_tfm(tfm));
}

/* A synchronous one that is not the same code */
static struct crypto_skcipher *software(const struct cct_mode *mode,
					const char *other)
{
	const char *const names[] = { cct_reference, mode->generic,
				      mode->name };
	struct crypto_skcipher *tfm;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		if (!names[i] || !*names[i])
			continue;
		tfm = crypto_alloc_skcipher(names[i], 0, CRYPTO_ALG_ASYNC);
		if (IS_ERR(tfm)) {
			if (names[i] == cct_reference)
				return tfm;
			continue;
		}
		if (strcmp(driver_of(tfm), other))
			return tfm;
		crypto_free_skcipher(tfm);
	}
	return ERR_PTR(-ENOENT);
}

/**
 * cct_pair_new() - the driver and software, without a key
 *
 * Return: the pair or an error pointer.
 */
struct cct_pair *cct_pair_new(void)
{
	struct cct_pair *pair = kzalloc(sizeof(*pair), GFP_KERNEL);
	int err;

	if (!pair)
		return ERR_PTR(-ENOMEM);
	pair->tfm = crypto_alloc_skcipher(cct_driver, 0, 0);
	if (IS_ERR(pair->tfm)) {
		err = PTR_ERR(pair->tfm);
		pr_err(CCT_NAME ": there is no %s: %d\n", cct_driver, err);
		goto free;
	}
	pair->mode = cct_mode_find(crypto_tfm_alg_name(
					   crypto_skcipher_tfm(pair->tfm)));
	if (!pair->mode) {
		err = -EOPNOTSUPP;
		pr_err(CCT_NAME ": %s is for none of AES' modes known here\n",
		       cct_driver);
		goto free_tfm;
	}
	pair->ref = software(pair->mode, driver_of(pair->tfm));
	if (IS_ERR(pair->ref)) {
		err = PTR_ERR(pair->ref);
		pr_err(CCT_NAME ": no software to compare %s with: %d\n",
		       cct_driver, err);
		goto free_tfm;
	}
	return pair;
free_tfm:
	crypto_free_skcipher(pair->tfm);
free:
	kfree(pair);
	return ERR_PTR(err);
}

/** cct_pair_free() - for good, unless a request was lost: it needs the key */
void cct_pair_free(struct cct_pair *pair)
{
	if (IS_ERR_OR_NULL(pair) || atomic_read(&pair->lost))
		return;
	crypto_free_skcipher(pair->tfm);
	crypto_free_skcipher(pair->ref);
	kfree(pair);
}

/** cct_pair_passes() - is it a key that shall not be tried now? */
bool cct_pair_passes(const struct cct_pair *pair, const u8 *key,
		     unsigned int keylen)
{
	return cct_device_only && pair->mode->keys == 2 &&
	       (keylen == 48 || !memcmp(key, key + keylen / 2, keylen / 2));
}

/** cct_pair_key() - give both the same key; what is wrong is reported */
int cct_pair_key(struct cct_pair *pair, const u8 *key, unsigned int keylen)
{
	int err = crypto_skcipher_setkey(pair->ref, key, keylen);

	if (!err)
		err = crypto_skcipher_setkey(pair->tfm, key, keylen);
	if (err)
		cct_fail("a key of %u bytes is refused: %d", keylen, err);
	return err;
}

/** cct_pair_random_key_of() - a key for @size (0 to 2) of AES' three */
int cct_pair_random_key_of(struct cct_pair *pair, struct rnd_state *rnd,
			   unsigned int size)
{
	u8 key[CCT_MAX_KEY];
	unsigned int keylen = aes_keys[size] * pair->mode->keys;

	prandom_bytes_state(rnd, key, keylen);
	if (cct_pair_passes(pair, key, keylen))
		keylen = aes_keys[0] * pair->mode->keys;
	return cct_pair_key(pair, key, keylen);
}

/** cct_pair_random_key() - of a random size, too; returns an error or 0 */
int cct_pair_random_key(struct cct_pair *pair, struct rnd_state *rnd)
{
	return cct_pair_random_key_of(pair, rnd, cct_below(rnd, 3));
}

/**
 * cct_pair_software() - what should come out
 * @pair: with a key
 * @encrypt: the direction
 * @iv: of the message; afterwards whatever the software leaves there
 * @in: the message, linear
 * @out: for the result, linear
 * @len: its length
 *
 * Return: 0 or an error.
 */
int cct_pair_software(struct cct_pair *pair, bool encrypt, u8 *iv,
		      const u8 *in, u8 *out, unsigned int len)
{
	struct skcipher_request *req;
	struct scatterlist src, dst;
	int err;

	req = skcipher_request_alloc(pair->ref, GFP_KERNEL);
	if (!req)
		return -ENOMEM;
	sg_init_one(&src, in, max(len, 1U));
	sg_init_one(&dst, out, max(len, 1U));
	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_SLEEP, NULL,
				      NULL);
	skcipher_request_set_crypt(req, &src, &dst, len, iv);
	err = encrypt ? crypto_skcipher_encrypt(req)
		      : crypto_skcipher_decrypt(req);
	skcipher_request_free(req);
	return err;
}
