// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is flushed before pages of a guest are somebody else's
 */

#include <linux/bits.h>
#include <linux/cpu.h>
#include <linux/limits.h>
#include <linux/smp.h>

#include "lab.h"

#define ALL_REASONS	(BIT(CBIT_LAB_NUM_REASONS) - 1)
/* Pages may be somebody else's afterwards. */
#define GIVES_UP	(BIT(CBIT_LAB_UNMAP) | BIT(CBIT_LAB_CLEAR) | \
			 BIT(CBIT_LAB_RELEASE) | BIT(CBIT_LAB_MIGRATE))
/* Nobody flushes when pages are asked for their age. */
#define CHANGES		(ALL_REASONS & ~BIT(CBIT_LAB_AGE))
/* 64 lines each: more are not worth looking for one by one. */
#define FEW_PAGES	16

/**
 * struct lab_policy - when, and what
 * @reasons: for which it flushes
 * @max_pages: up to so many pages of the guest: these alone
 * @everywhere: else the caches of all CPUs; or of those that have run it
 */
struct lab_policy {
	u32 reasons;
	unsigned int max_pages;
	bool everywhere;
};

static const struct lab_policy policies[CBIT_LAB_NUM_POLICIES] = {
	[CBIT_LAB_NONE]		= { 0, 0, false },
	[CBIT_LAB_ALL_CPUS]	= { CHANGES, 0, true },
	[CBIT_LAB_HAVE_RUN]	= { CHANGES, 0, false },
	[CBIT_LAB_REASONS]	= { GIVES_UP, 0, true },
	[CBIT_LAB_RANGE]	= { CHANGES, UINT_MAX, false },
	[CBIT_LAB_ADAPTIVE]	= { GIVES_UP, FEW_PAGES, false },
};

/** lab_flush_wanted() - does the guest's policy flush for this reason? */
bool lab_flush_wanted(const struct lab_guest *g, enum cbit_lab_reason reason)
{
	return policies[g->policy].reasons & BIT(reason);
}

/** lab_flush_by_page() - ... so many pages, one by one? */
bool lab_flush_by_page(const struct lab_guest *g, unsigned int mapped)
{
	return mapped <= policies[g->policy].max_pages &&
	       policies[g->policy].max_pages;
}

/** lab_flush_page() - one of the guest's, which it does not use any more */
void lab_flush_page(struct lab_guest *g, unsigned long pfn)
{
	if (g->faults & CBIT_LAB_BROKEN_FLUSH)
		pfn++;
	lab_device_flush_page(g->asid, pfn);
	g->stats.pages++;
}

static void wbinvd_here(void *unused)
{
	asm volatile("wbinvd" : : : "memory");
}

/** lab_flush_cpus() - all that these CPUs have in their caches */
void lab_flush_cpus(const struct cpumask *cpus)
{
	on_each_cpu_mask(cpus, wbinvd_here, NULL, true);
}

/** lab_flush_all() - all that CPUs have, as the guest's policy says */
void lab_flush_all(struct lab_guest *g)
{
	const struct cpumask *cpus = policies[g->policy].everywhere ?
				     cpu_online_mask : g->have_run;

	if (g->faults & CBIT_LAB_BROKEN_FLUSH)
		cpus = cpumask_of(raw_smp_processor_id());
	lab_flush_cpus(cpus);
	spin_lock(&g->lock);
	g->stats.cpus += cpumask_weight(cpus);
	spin_unlock(&g->lock);
}

/** lab_drain() - caches become empty, as they would some time by themselves */
void lab_drain(void)
{
	unsigned int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu)
		lab_flush_cpus(cpumask_of(cpu));
	cpus_read_unlock();
}
