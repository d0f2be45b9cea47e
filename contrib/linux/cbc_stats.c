// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What can be seen and set from outside: counters, parameters, and one log
 * line per change of state
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/seq_file.h>

#include "cbc.h"

struct cbc_stats stats;

static int stat_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%lld\n", atomic64_read(kp->arg));
}

static const struct kernel_param_ops stat_ops = { .get = stat_get };

#define STAT_PARAM(name) \
	module_param_cb(name, &stat_ops, &stats.name, 0444)

STAT_PARAM(device_requests);
STAT_PARAM(device_bytes);
STAT_PARAM(software_requests);
STAT_PARAM(software_bytes);
STAT_PARAM(device_errors);
STAT_PARAM(submit_failures);
STAT_PARAM(unfit);
STAT_PARAM(queued);
STAT_PARAM(lost);
STAT_PARAM(hangs);
STAT_PARAM(attached);
STAT_PARAM(detached);

unsigned int ring_budget = 768;
module_param(ring_budget, uint, 0644);
MODULE_PARM_DESC(ring_budget,
		 "descriptors this module keeps in flight (the ring has 1024)");

unsigned int time_limit_ms = 5000;
module_param(time_limit_ms, uint, 0644);
MODULE_PARM_DESC(time_limit_ms,
		 "a request that takes longer means that the device hangs: it is reset, and the request redone in software (0: wait for ever)");

unsigned int rest_ms = 1000;
module_param(rest_ms, uint, 0644);
MODULE_PARM_DESC(rest_ms,
		 "time between a hang and the next try with the device; doubles from hang to hang, up to a minute, until it works well");

unsigned int fallback = 1;
module_param(fallback, uint, 0644);
MODULE_PARM_DESC(fallback,
		 "for tests, 0: no software; what the device does not do ends in an error");

unsigned int fail_every;
module_param(fail_every, uint, 0644);
MODULE_PARM_DESC(fail_every,
		 "for tests: take every Nth device completion for an error (0: none)");

unsigned int fail_alloc_every;
module_param(fail_alloc_every, uint, 0644);
MODULE_PARM_DESC(fail_alloc_every,
		 "for tests: have every Nth submission refused, by turns at once and in the stock driver's thread (0: none)");

static const struct {
	const char *name;
	const char *text;
} states[] = {
	[STATE_UNUSED]	  = { "unused", "not used yet" },
	[STATE_DEVICE]	  = { "device", "requests go to " DEVICE_DRIVER },
	[STATE_NO_DEVICE] = { "no-device",
			      "no usable " DEVICE_DRIVER ": software only" },
	[STATE_NOT_READY] = { "not-ready",
			      "the device is not ready: software only" },
	[STATE_ERRORS]	  = { "errors",
			      "device errors: those requests are redone in software" },
	[STATE_HUNG]	  = { "hung",
			      "no answer from the device within the time limit: it is reset, software only" },
};

/* So many good answers in a row end STATE_ERRORS */
#define GOOD_RUN	1024

static atomic_t cur_state = ATOMIC_INIT(STATE_UNUSED);
static atomic_t good_run;

enum cbc_state state_now(void)
{
	return atomic_read(&cur_state);
}

void enter_state(enum cbc_state state)
{
	if (atomic_read(&cur_state) != state &&
	    atomic_xchg(&cur_state, state) != state)
		pr_info("%s\n", states[state].text);
}

/* Only a device in use can be in trouble */
void note_error(void)
{
	atomic_set(&good_run, 0);
	if (atomic_cmpxchg(&cur_state, STATE_DEVICE, STATE_ERRORS) ==
	    STATE_DEVICE)
		pr_info("%s\n", states[STATE_ERRORS].text);
}

void note_good(void)
{
	if (unlikely(atomic_read(&cur_state) == STATE_ERRORS) &&
	    atomic_inc_return(&good_run) >= GOOD_RUN &&
	    atomic_cmpxchg(&cur_state, STATE_ERRORS, STATE_DEVICE) ==
	    STATE_ERRORS)
		pr_info("%s\n", states[STATE_DEVICE].text);
}

/* ---- debugfs: the state, and all of the above at once ---------------- */

static struct dentry *debugfs;

#define SHOW(name) \
	seq_printf(seq, "%-18s %lld\n", #name, atomic64_read(&stats.name))

static int stats_show(struct seq_file *seq, void *unused)
{
	seq_printf(seq, "%-18s %s\n", "state", states[state_now()].name);
	SHOW(device_requests);
	SHOW(device_bytes);
	SHOW(software_requests);
	SHOW(software_bytes);
	SHOW(device_errors);
	SHOW(submit_failures);
	SHOW(unfit);
	SHOW(queued);
	SHOW(lost);
	SHOW(hangs);
	SHOW(attached);
	SHOW(detached);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/* Nobody needs to know whether debugfs is there */
void stats_init(void)
{
	debugfs = debugfs_create_dir(KBUILD_MODNAME, NULL);
	debugfs_create_file("stats", 0444, debugfs, NULL, &stats_fops);
}

void stats_exit(void)
{
	debugfs_remove(debugfs);
}
