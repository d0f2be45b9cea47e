// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tests of an skcipher driver for AES from within the kernel, where it can be
 * reached whatever user space may use. Everything is done while the module is
 * being loaded; /sys/kernel/debug/cxl_crypto_test/results and the kernel's log
 * have the results as TAP. A line "1..N" at the end: it came to its end.
 */

#include <linux/err.h>
#include <linux/module.h>
#include <linux/string.h>

#include "cct.h"

char *cct_driver = "xts-aes-cxl-type1";
module_param_named(driver, cct_driver, charp, 0444);
MODULE_PARM_DESC(driver, "what is tested, as /proc/crypto calls it");

char *cct_reference = "";
module_param_named(reference, cct_reference, charp, 0444);
MODULE_PARM_DESC(reference, "synchronous driver to compare with (found)");

static char *only = "";
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "part of the names of the tests to do (all)");

char *cct_sabotage = "";
module_param_named(sabotage, cct_sabotage, charp, 0444);
MODULE_PARM_DESC(sabotage, "spoil results: iv, byte, guard, source, twice, error, lost, accept");

unsigned int cct_seed = 1;
module_param_named(seed, cct_seed, uint, 0444);

unsigned int cct_rounds = 300;
module_param_named(rounds, cct_rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "how many random messages");

unsigned int cct_timeout = 60;
module_param_named(timeout, cct_timeout, uint, 0444);
MODULE_PARM_DESC(timeout, "seconds after which a request is lost");

unsigned int cct_load_seconds;
module_param_named(load_seconds, cct_load_seconds, uint, 0444);
MODULE_PARM_DESC(load_seconds, "instead: keep checking for so long");

bool cct_device_only;
module_param_named(device_only, cct_device_only, bool, 0444);
MODULE_PARM_DESC(device_only, "no keys that only software takes: XTS with 192 bits or with equal halves");

static bool bench;
module_param(bench, bool, 0444);
MODULE_PARM_DESC(bench, "instead: measure for seconds, in each direction");

unsigned int cct_seconds = 1;
module_param_named(seconds, cct_seconds, uint, 0444);

unsigned int cct_threads = 4;
module_param_named(threads, cct_threads, uint, 0444);
MODULE_PARM_DESC(threads, "of load_seconds");

unsigned int cct_depth = 32;
module_param_named(depth, cct_depth, uint, 0444);
MODULE_PARM_DESC(depth, "requests under way at a time, each thread's");

unsigned int cct_size = 4096;
module_param_named(size, cct_size, uint, 0444);
MODULE_PARM_DESC(size, "bytes of a request; for a load the largest");

static void run(const struct cct_test *tests, struct cct_pair *pair,
		struct rnd_state *rnd)
{
	for (; tests->name && !cct_lost(); tests++) {
		if (!strstr(tests->name, only) ||
		    (tests->of && !tests->of(pair->mode)))
			continue;
		cct_begin(tests->name);
		tests->run(pair, rnd);
		cct_end();
	}
}

static void suite(struct cct_pair *pair)
{
	struct rnd_state rnd;

	prandom_seed_state(&rnd, cct_seed);
	run(cct_cases, pair, &rnd);
	run(cct_shapes, pair, &rnd);
	run(cct_contexts, pair, &rnd);
}

static int __init cct_init(void)
{
	struct cct_pair *pair;
	int err;

	if (!cct_timeout || !cct_threads || !cct_depth || !cct_size ||
	    cct_size > CCT_MAX_DATA)
		return -EINVAL;
	err = cct_sabotage_init();
	if (err)
		return err;
	pair = cct_pair_new();
	if (IS_ERR(pair))
		return PTR_ERR(pair);
	err = cct_report_init();
	if (err)
		goto out;
	cct_remark("%s (%s) against %s, seed %u", cct_driver, pair->mode->name,
		   crypto_tfm_alg_driver_name(crypto_skcipher_tfm(pair->ref)),
		   cct_seed);
	if (cct_load_seconds)
		cct_load();
	else if (bench)
		cct_bench();
	else
		suite(pair);
	if (cct_lost())
		cct_remark("gave up: what was lost may still come back");
	cct_finish();
out:
	cct_pair_free(pair);
	return err;
}
module_init(cct_init);

static void __exit cct_exit(void)
{
	cct_report_exit();
}
module_exit(cct_exit);

MODULE_DESCRIPTION("Tests of an skcipher driver");
MODULE_LICENSE("GPL");
