// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel says that pages of the guest's process are about to change
 *
 * As in KVM: from the beginning of that until its end the guest has none of
 * them, and gets no new ones. In between the policy may flush, before anybody
 * else can have the pages.
 */

#include <linux/minmax.h>
#include <linux/sched.h>

#include "compat.h"
#include "lab.h"

static struct lab_guest *guest_of(struct mmu_notifier *mn)
{
	return container_of(mn, struct lab_guest, mn);
}

static enum cbit_lab_reason reason_of(enum mmu_notifier_event event)
{
	switch (event) {
	case MMU_NOTIFY_UNMAP:
		return CBIT_LAB_UNMAP;
	case MMU_NOTIFY_CLEAR:
		return CBIT_LAB_CLEAR;
	case MMU_NOTIFY_RELEASE:
		return CBIT_LAB_RELEASE;
	case MMU_NOTIFY_MIGRATE:
		return CBIT_LAB_MIGRATE;
	case MMU_NOTIFY_PROTECTION_VMA:
	case MMU_NOTIFY_PROTECTION_PAGE:
		return CBIT_LAB_PROTECTION;
	default:
		return CBIT_LAB_OTHER;
	}
}

/* Which pages of the guest a range of addresses has; returns if any */
static bool pages_of(const struct lab_guest *g, unsigned long start,
		     unsigned long end, unsigned int *first, unsigned int *last)
{
	unsigned long from = max(start, g->addr);
	unsigned long to = min(end, g->addr + g->num_pages * PAGE_SIZE);

	if (from >= to)
		return false;
	*first = (from - g->addr) / PAGE_SIZE;
	*last = DIV_ROUND_UP(to - g->addr, PAGE_SIZE);
	return true;
}

static unsigned int count_mapped(const struct lab_guest *g, unsigned int first,
				 unsigned int end)
{
	unsigned int n = 0;

	for (; first < end; first++)
		n += !!g->page[first].pfn;
	return n;
}

static void add_costs(struct lab_guest *g, const struct cbit_lab_stats *before)
{
	struct cbit_lab_stats now;

	lab_device_costs(&now);
	spin_lock(&g->lock);
	g->stats.scanned += now.scanned - before->scanned;
	g->stats.flushed += now.flushed - before->flushed;
	g->stats.needed += now.needed - before->needed;
	g->stats.wasted += now.wasted - before->wasted;
	g->stats.answered++;
	spin_unlock(&g->lock);
}

/**
 * lab_take_away() - the guest loses pages, and its policy has its say
 * @g: the guest
 * @first: which page, of its memory
 * @end: the first one that it keeps
 * @reason: why
 */
void lab_take_away(struct lab_guest *g, unsigned int first, unsigned int end,
		   enum cbit_lab_reason reason)
{
	struct cbit_lab_stats before;
	bool wanted, by_page;

	lab_device_costs(&before);
	spin_lock(&g->lock);
	g->stats.events[reason]++;
	/* What is no confidential guest any more has nothing to flush. */
	wanted = g->asid && lab_flush_wanted(g, reason);
	by_page = wanted && lab_flush_by_page(g, count_mapped(g, first, end));
	for (; first < end; first++) {
		struct lab_page *page = &g->page[first];

		if (page->pfn && by_page)
			lab_flush_page(g, page->pfn);
		*page = (struct lab_page) { };
	}
	spin_unlock(&g->lock);
	if (wanted && !by_page)
		lab_flush_all(g);
	if (wanted)
		add_costs(g, &before);
}

static int start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct lab_guest *g = guest_of(mn);
	unsigned int first, end;

	if (!pages_of(g, range->start, range->end, &first, &end))
		return 0;
	spin_lock(&g->lock);
	g->invalidating++;
	spin_unlock(&g->lock);
	lab_take_away(g, first, end, reason_of(range->event));
	return 0;
}

static void end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct lab_guest *g = guest_of(mn);
	unsigned int first, last;

	if (!pages_of(g, range->start, range->end, &first, &last))
		return;
	spin_lock(&g->lock);
	g->changes++;
	if (!--g->invalidating)
		wake_up_all(&g->quiet);
	spin_unlock(&g->lock);
}

/* The process ends: whatever pages it has. Nothing comes after that. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct lab_guest *g = guest_of(mn);

	spin_lock(&g->lock);
	g->invalidating++;
	spin_unlock(&g->lock);
	lab_take_away(g, 0, g->num_pages, CBIT_LAB_RELEASE);
}

static bool age(struct mmu_notifier *mn, unsigned long start, unsigned long end,
		bool clear)
{
	struct lab_guest *g = guest_of(mn);
	unsigned int first, last;
	bool young = false;

	if (!pages_of(g, start, end, &first, &last))
		return false;
	spin_lock(&g->lock);
	g->stats.events[CBIT_LAB_AGE]++;
	for (; first < last; first++) {
		young |= g->page[first].young;
		if (clear)
			g->page[first].young = false;
	}
	spin_unlock(&g->lock);
	return young;
}

static compat_young clear_flush_young(struct mmu_notifier *mn,
				      struct mm_struct *mm,
				      unsigned long start, unsigned long end)
{
	return age(mn, start, end, true);
}

static compat_young clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				unsigned long start, unsigned long end)
{
	return age(mn, start, end, true);
}

static compat_young test_young(struct mmu_notifier *mn, struct mm_struct *mm,
			       unsigned long address)
{
	return age(mn, address, address + 1, false);
}

const struct mmu_notifier_ops lab_notifier_ops = {
	.invalidate_range_start = start,
	.invalidate_range_end = end,
	.release = release,
	.clear_flush_young = clear_flush_young,
	.clear_young = clear_young,
	.test_young = test_young,
};
