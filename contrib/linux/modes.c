// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The algorithms as the crypto API knows them, a table of AES' modes
 *
 * None has CRYPTO_ALG_ALLOCATES_MEMORY, so dm-crypt takes them: what a request
 * needs is in the request, in a mempool, or done without.
 */

#include <crypto/algapi.h>
#include <crypto/scatterwalk.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "ct1.h"

/* ---- initialization vectors: what the API wants behind a request --------- */

static void cbc_before(struct ct1_request *r)
{
	struct skcipher_request *req = ct1_parent(r);

	/* In place, it is about to be overwritten */
	if (!r->encrypt)
		scatterwalk_map_and_copy(r->last, req->src, r->done + r->part -
					 AES_BLOCK_SIZE, AES_BLOCK_SIZE, 0);
}

static void cbc_after(struct ct1_request *r)
{
	struct skcipher_request *req = ct1_parent(r);

	if (r->encrypt)
		scatterwalk_map_and_copy(req->iv, req->dst, r->done -
					 AES_BLOCK_SIZE, AES_BLOCK_SIZE, 0);
	else
		memcpy(req->iv, r->last, AES_BLOCK_SIZE);
}

static void ctr_after(struct ct1_request *r)
{
	u8 *iv = ct1_parent(r)->iv;
	unsigned int carry = DIV_ROUND_UP(r->part, AES_BLOCK_SIZE);
	int i;

	for (i = AES_BLOCK_SIZE - 1; i >= 0 && carry; i--) {
		carry += iv[i];
		iv[i] = carry;
		carry >>= 8;
	}
}

static void nothing(struct ct1_request *r)
{
}

static const struct ct1_mode xts = {
	.name	= "xts(aes)",
	.algo	= VIRTIO_CRYPTO_CIPHER_AES_XTS,
	.ivsize	= AES_BLOCK_SIZE,
	.least	= AES_BLOCK_SIZE,
	.partial = true,
	.before	= nothing,
	.after	= nothing,
};

static const struct ct1_mode cbc = {
	.name	= "cbc(aes)",
	.algo	= VIRTIO_CRYPTO_CIPHER_AES_CBC,
	.ivsize	= AES_BLOCK_SIZE,
	.empty	= true,
	.splits	= true,
	.before	= cbc_before,
	.after	= cbc_after,
};

static const struct ct1_mode ctr = {
	.name	= "ctr(aes)",
	.algo	= VIRTIO_CRYPTO_CIPHER_AES_CTR,
	.ivsize	= AES_BLOCK_SIZE,
	.empty	= true,
	.partial = true,
	.splits	= true,
	.before	= nothing,
	.after	= ctr_after,
};

static const struct ct1_mode ecb = {
	.name	= "ecb(aes)",
	.algo	= VIRTIO_CRYPTO_CIPHER_AES_ECB,
	.empty	= true,
	.splits	= true,
	.before	= nothing,
	.after	= nothing,
};

/* ---- requests ------------------------------------------------------------- */

static int crypt(struct skcipher_request *req, bool encrypt)
{
	struct ct1_tfm *tfm = crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
	const struct ct1_mode *mode = tfm->mode;

	if (!req->cryptlen && mode->empty)
		return 0;
	if (req->cryptlen < mode->least ||
	    (!mode->partial && req->cryptlen % AES_BLOCK_SIZE))
		return -EINVAL;
	return ct1_request_start(req, encrypt);
}

static int encrypt(struct skcipher_request *req)
{
	return crypt(req, true);
}

static int decrypt(struct skcipher_request *req)
{
	return crypt(req, false);
}

/* ---- keys, and the life of a transform ------------------------------------ */

static int setkey(struct crypto_skcipher *tfm, const u8 *key,
		  unsigned int keylen)
{
	struct ct1_tfm *ctx = crypto_skcipher_ctx(tfm);
	int err;

	/* It knows which keys are to be rejected */
	crypto_skcipher_clear_flags(ctx->soft, CRYPTO_TFM_REQ_MASK);
	crypto_skcipher_set_flags(ctx->soft, crypto_skcipher_get_flags(tfm) &
					     CRYPTO_TFM_REQ_MASK);
	err = crypto_skcipher_setkey(ctx->soft, key, keylen);
	if (err)
		return err;
	get_task_comm(ctx->comm, current);
	ctx->pid = task_pid_nr(current);
	ct1_session_set_key(ctx, key, keylen);
	return 0;
}

static int init(struct crypto_skcipher *tfm, const struct ct1_mode *mode)
{
	struct ct1_tfm *ctx = crypto_skcipher_ctx(tfm);

	/* Neither this driver, nor the stock one, nor another accelerator */
	ctx->soft = crypto_alloc_skcipher(mode->name, 0,
					  CRYPTO_ALG_NEED_FALLBACK |
					  CRYPTO_ALG_ALLOCATES_MEMORY |
					  CRYPTO_ALG_KERN_DRIVER_ONLY);
	if (IS_ERR(ctx->soft))
		return PTR_ERR(ctx->soft);
	ctx->mode = mode;
	crypto_skcipher_set_reqsize(tfm, sizeof(struct ct1_request) +
				    crypto_skcipher_reqsize(ctx->soft));
	ct1_session_add_tfm(ctx);
	return 0;
}

static int xts_init(struct crypto_skcipher *tfm)
{
	return init(tfm, &xts);
}

static int cbc_init(struct crypto_skcipher *tfm)
{
	return init(tfm, &cbc);
}

static int ctr_init(struct crypto_skcipher *tfm)
{
	return init(tfm, &ctr);
}

static int ecb_init(struct crypto_skcipher *tfm)
{
	return init(tfm, &ecb);
}

static void exit_tfm(struct crypto_skcipher *tfm)
{
	struct ct1_tfm *ctx = crypto_skcipher_ctx(tfm);

	ct1_session_remove_tfm(ctx);
	crypto_free_skcipher(ctx->soft);
	memzero_explicit(ctx->key, sizeof(ctx->key));
}

#define CT1_ALG(mode, block, least, most)				\
	{								\
		.base.cra_name		= #mode "(aes)",		\
		.base.cra_driver_name	= #mode "-aes-cxl-type1",	\
		.base.cra_flags		= CRYPTO_ALG_ASYNC |		\
					  CRYPTO_ALG_NEED_FALLBACK,	\
		.base.cra_blocksize	= block,			\
		.base.cra_ctxsize	= sizeof(struct ct1_tfm),	\
		.base.cra_module	= THIS_MODULE,			\
		.init			= mode ## _init,		\
		.exit			= exit_tfm,			\
		.setkey			= setkey,			\
		.encrypt		= encrypt,			\
		.decrypt		= decrypt,			\
		.min_keysize		= least,			\
		.max_keysize		= most,				\
	}

static struct skcipher_alg algs[] = {
	CT1_ALG(xts, AES_BLOCK_SIZE, 2 * AES_MIN_KEY_SIZE, CT1_MAX_KEY),
	CT1_ALG(cbc, AES_BLOCK_SIZE, AES_MIN_KEY_SIZE, AES_MAX_KEY_SIZE),
	CT1_ALG(ctr, 1, AES_MIN_KEY_SIZE, AES_MAX_KEY_SIZE),
	CT1_ALG(ecb, AES_BLOCK_SIZE, AES_MIN_KEY_SIZE, AES_MAX_KEY_SIZE),
};

static const struct ct1_mode *const modes[] = { &xts, &cbc, &ctr, &ecb };

/**
 * ct1_modes_register() - make the algorithms known
 *
 * Return: 0, or what crypto_register_skciphers() said.
 */
int ct1_modes_register(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(algs); i++) {
		algs[i].base.cra_priority = ct1_priority;
		algs[i].ivsize = modes[i]->ivsize;
		/* What a request may be cut at; ctr's blocksize says 1 */
		if (modes[i]->splits)
			algs[i].chunksize = AES_BLOCK_SIZE;
	}
	return crypto_register_skciphers(algs, ARRAY_SIZE(algs));
}

/** ct1_modes_unregister() - nobody uses them any more */
void ct1_modes_unregister(void)
{
	crypto_unregister_skciphers(algs, ARRAY_SIZE(algs));
}

MODULE_ALIAS_CRYPTO("xts-aes-cxl-type1");
MODULE_ALIAS_CRYPTO("cbc-aes-cxl-type1");
MODULE_ALIAS_CRYPTO("ctr-aes-cxl-type1");
MODULE_ALIAS_CRYPTO("ecb-aes-cxl-type1");
