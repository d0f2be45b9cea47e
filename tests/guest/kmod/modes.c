// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the crypto API says about AES' modes, as a table
 */

#include <linux/string.h>

#include "cct.h"

static void cbc_next(u8 *iv, const u8 *cipher, unsigned int len)
{
	if (len)
		memcpy(iv, cipher + len - AES_BLOCK_SIZE, AES_BLOCK_SIZE);
}

/* A partial block uses up its counter */
static void ctr_next(u8 *iv, const u8 *cipher, unsigned int len)
{
	unsigned int blocks = DIV_ROUND_UP(len, AES_BLOCK_SIZE);
	int i;

	while (blocks--) {
		for (i = AES_BLOCK_SIZE - 1; i >= 0 && !++iv[i]; i--)
			;
	}
}

static const struct cct_mode modes[] = {
	{
		.name		= "xts(aes)",
		.generic	= "xts(ecb(aes-generic))",
		.ivsize		= AES_BLOCK_SIZE,
		.keys		= 2,
		.least		= AES_BLOCK_SIZE,
		.grain		= 1,
	},
	{
		.name		= "cbc(aes)",
		.generic	= "cbc(aes-generic)",
		.ivsize		= AES_BLOCK_SIZE,
		.keys		= 1,
		.least		= AES_BLOCK_SIZE,
		.grain		= AES_BLOCK_SIZE,
		.empty		= true,
		.next_iv	= cbc_next,
	},
	{
		.name		= "ctr(aes)",
		.generic	= "ctr(aes-generic)",
		.ivsize		= AES_BLOCK_SIZE,
		.keys		= 1,
		.least		= 1,
		.grain		= 1,
		.empty		= true,
		.next_iv	= ctr_next,
	},
	{
		.name		= "ecb(aes)",
		.generic	= "ecb(aes-generic)",
		.keys		= 1,
		.least		= AES_BLOCK_SIZE,
		.grain		= AES_BLOCK_SIZE,
		.empty		= true,
	},
};

/** cct_mode_find() - the mode of an algorithm's name, or NULL */
const struct cct_mode *cct_mode_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		if (!strcmp(modes[i].name, name))
			return &modes[i];
	}
	return NULL;
}

/** cct_mode_takes() - is it a length that a message may have? */
bool cct_mode_takes(const struct cct_mode *mode, unsigned int len)
{
	if (!len)
		return mode->empty;
	return len >= mode->least && len % mode->grain == 0;
}
