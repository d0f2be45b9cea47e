// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parameters and counters, in /sys/module/cxl_type1_crypto/parameters
 *
 * The counters are there so that they can be read where debugfs is not mounted.
 */

#include <linux/module.h>
#include <linux/moduleparam.h>

#include "ct1.h"

DEFINE_PER_CPU(struct ct1_counts, ct1_counts);

static const char *const names[CT1_NUM_COUNTS] = {
	[CT1_DEVICE_REQUESTS]	= "device_requests",
	[CT1_DEVICE_BYTES]	= "device_bytes",
	[CT1_SOFTWARE_REQUESTS]	= "software_requests",
	[CT1_SOFTWARE_BYTES]	= "software_bytes",
	[CT1_DEVICE_ERRORS]	= "device_errors",
	[CT1_SUBMIT_FAILURES]	= "submit_failures",
	[CT1_LOST]		= "lost",
	[CT1_UNFIT]		= "unfit",
	[CT1_QUEUED]		= "queued",
	[CT1_HANGS]		= "hangs",
	[CT1_ATTACHED]		= "attached",
	[CT1_DETACHED]		= "detached",
	[CT1_DESCRIPTORS]	= "descriptors",
	[CT1_KICKS]		= "kicks",
	[CT1_INTERRUPTS]	= "interrupts",
};

/**
 * ct1_count_name() - what a counter is called, here and in debugfs
 * @what: the counter
 */
const char *ct1_count_name(enum ct1_count what)
{
	return names[what];
}

/**
 * ct1_count() - a counter's value, of all processors
 * @what: the counter
 */
u64 ct1_count(enum ct1_count what)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(ct1_counts, cpu).value[what]);
	return sum;
}

static int count_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%llu\n", ct1_count((unsigned long)kp->arg));
}

static const struct kernel_param_ops count_ops = { .get = count_get };

#define COUNT_PARAM(name, what) \
	module_param_cb(name, &count_ops, (void *)what, 0444)

COUNT_PARAM(device_requests, CT1_DEVICE_REQUESTS);
COUNT_PARAM(device_bytes, CT1_DEVICE_BYTES);
COUNT_PARAM(software_requests, CT1_SOFTWARE_REQUESTS);
COUNT_PARAM(software_bytes, CT1_SOFTWARE_BYTES);
COUNT_PARAM(device_errors, CT1_DEVICE_ERRORS);
COUNT_PARAM(submit_failures, CT1_SUBMIT_FAILURES);
COUNT_PARAM(lost, CT1_LOST);
COUNT_PARAM(unfit, CT1_UNFIT);
COUNT_PARAM(queued, CT1_QUEUED);
COUNT_PARAM(hangs, CT1_HANGS);
COUNT_PARAM(attached, CT1_ATTACHED);
COUNT_PARAM(detached, CT1_DETACHED);
COUNT_PARAM(descriptors, CT1_DESCRIPTORS);
COUNT_PARAM(kicks, CT1_KICKS);
COUNT_PARAM(interrupts, CT1_INTERRUPTS);

unsigned int ct1_time_limit_ms = 5000;
module_param_named(time_limit_ms, ct1_time_limit_ms, uint, 0644);
MODULE_PARM_DESC(time_limit_ms,
		 "a request that takes longer means that the device hangs: it is reset, and the request redone (0: wait for ever)");

unsigned int ct1_rest_ms = 1000;
module_param_named(rest_ms, ct1_rest_ms, uint, 0644);
MODULE_PARM_DESC(rest_ms,
		 "time between a hang and the next try with the device; doubles from hang to hang, up to a minute, until it works well");

unsigned int ct1_batch = 16;
module_param_named(batch, ct1_batch, uint, 0644);
MODULE_PARM_DESC(batch,
		 "requests that are not announced while the device is busy with others; 1: announce each");

unsigned int ct1_fallback = 1;
module_param_named(fallback, ct1_fallback, uint, 0644);
MODULE_PARM_DESC(fallback,
		 "for tests, 0: no software; what the device does not do ends in an error");

unsigned int ct1_fail_every;
module_param_named(fail_every, ct1_fail_every, uint, 0644);
MODULE_PARM_DESC(fail_every,
		 "for tests: give every Nth request a session that the device does not know (0: none)");

unsigned int ct1_fail_alloc_every;
module_param_named(fail_alloc_every, ct1_fail_alloc_every, uint, 0644);
MODULE_PARM_DESC(fail_alloc_every,
		 "for tests: refuse every Nth submission as if memory were short (0: none)");

unsigned int ct1_notify_delay_ms;
module_param_named(notify_delay_ms, ct1_notify_delay_ms, uint, 0644);
MODULE_PARM_DESC(notify_delay_ms,
		 "for tests: notify the device so late, up to 1000 ms, after a request is in its ring (0: at once)");

/* AES-NI with AVX-512 has 800, other accelerators 3000 to 4001 */
unsigned int ct1_priority = 4500;
module_param_named(priority, ct1_priority, uint, 0444);
MODULE_PARM_DESC(priority, "of the algorithms (cra_priority)");

bool ct1_any;
module_param_named(any, ct1_any, bool, 0444);
MODULE_PARM_DESC(any, "take virtio-crypto devices that are no CXL Type 1 devices, too");

bool ct1_takeover = true;
module_param_named(takeover, ct1_takeover, bool, 0444);
MODULE_PARM_DESC(takeover,
		 "take devices that the stock driver has, and those plugged in later; 0: only what it leaves");
