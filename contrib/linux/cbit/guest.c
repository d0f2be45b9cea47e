// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A confidential guest: pages of a process, which it uses by their encrypted
 * address
 */

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "cxl_cbit_alias_regs.h"
#include "lab.h"

#define MAX_PAGES	65536
#define NUM_ASIDS	4096

/* In use, and have been: 1 to NUM_ASIDS - 1 */
static DECLARE_BITMAP(asids, NUM_ASIDS);
static DECLARE_BITMAP(old_asids, NUM_ASIDS);
static DEFINE_MUTEX(asids_lock);
/* Sets of CPUs that have been allocated, and not been freed */
static atomic_t masks = ATOMIC_INIT(0);

/* Returns: 0 if there is none. Lines of who had it before are flushed. */
static u32 get_asid(void)
{
	bool old;
	u32 asid;

	mutex_lock(&asids_lock);
	asid = find_next_zero_bit(asids, NUM_ASIDS, 1);
	if (asid == NUM_ASIDS) {
		mutex_unlock(&asids_lock);
		return 0;
	}
	__set_bit(asid, asids);
	old = __test_and_set_bit(asid, old_asids);
	mutex_unlock(&asids_lock);
	if (old)
		lab_drain();
	return asid;
}

static void put_asid(u32 asid)
{
	mutex_lock(&asids_lock);
	if (asid)
		__clear_bit(asid, asids);
	mutex_unlock(&asids_lock);
}

/** lab_guest_new() - one without memory */
struct lab_guest *lab_guest_new(void)
{
	struct lab_guest *g = kzalloc(sizeof(*g), GFP_KERNEL);

	if (!g)
		return NULL;
	g->asid = get_asid();
	if (!g->asid || !zalloc_cpumask_var(&g->have_run, GFP_KERNEL)) {
		put_asid(g->asid);
		kfree(g);
		return NULL;
	}
	atomic_inc(&masks);
	g->has_mask = true;
	mutex_init(&g->setup);
	spin_lock_init(&g->lock);
	init_waitqueue_head(&g->quiet);
	g->mn.ops = &lab_notifier_ops;
	return g;
}

static void free_mask(struct lab_guest *g)
{
	if (g->has_mask) {
		free_cpumask_var(g->have_run);
		atomic_dec(&masks);
		g->has_mask = false;
	}
}

/** lab_guest_free() - it is gone, and what it has in caches is lost */
void lab_guest_free(struct lab_guest *g)
{
	bool leaks = !g->asid && (g->faults & CBIT_LAB_MOVE_KEEP_MASK);

	if (g->bound)
		mmu_notifier_unregister(&g->mn, g->mn.mm);
	put_asid(g->asid);
	if (!leaks)
		free_mask(g);
	kvfree(g->page);
	kfree(g);
}

/** lab_guest_setup() - it gets its memory, once */
int lab_guest_setup(struct lab_guest *g, const struct cbit_lab_setup *setup)
{
	int err = -EBUSY;

	if (setup->policy >= CBIT_LAB_NUM_POLICIES || !setup->pages ||
	    setup->pages > MAX_PAGES || !PAGE_ALIGNED(setup->addr) ||
	    setup->addr > TASK_SIZE_MAX - setup->pages * PAGE_SIZE)
		return -EINVAL;
	mutex_lock(&g->setup);
	if (g->bound)
		goto out;
	err = -ENOMEM;
	g->page = kvcalloc(setup->pages, sizeof(*g->page), GFP_KERNEL);
	if (!g->page)
		goto out;
	g->addr = setup->addr;
	g->num_pages = setup->pages;
	g->policy = setup->policy;
	g->faults = setup->faults;
	err = mmu_notifier_register(&g->mn, current->mm);
	if (err) {
		kvfree(g->page);
		g->page = NULL;
		goto out;
	}
	g->bound = true;
out:
	mutex_unlock(&g->setup);
	return err;
}

/*
 * The page is where its process has it, as long as nobody changes that.
 * Returns: 0 with the lock held
 */
static int map_page(struct lab_guest *g, unsigned int n)
{
	unsigned long changes;
	struct page *page;
	unsigned long pfn;
	int got;

	for (;;) {
		if (wait_event_killable(g->quiet, !READ_ONCE(g->invalidating)))
			return -EINTR;
		spin_lock(&g->lock);
		changes = g->changes;
		spin_unlock(&g->lock);
		got = get_user_pages_fast(g->addr + n * PAGE_SIZE, 1,
					  FOLL_WRITE, &page);
		if (got != 1)
			return got < 0 ? got : -EFAULT;
		pfn = page_to_pfn(page);
		spin_lock(&g->lock);
		if (!g->invalidating && changes == g->changes) {
			g->page[n].pfn = pfn;
			put_page(page);
			return 0;
		}
		spin_unlock(&g->lock);
		put_page(page);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
}

/*
 * One word of some lines. Which ones, and what is in them, follows from the
 * seed and from where the page is.
 */
static void use_page(struct lab_guest *g, unsigned long pfn,
		     struct cbit_lab_run *run)
{
	unsigned int line;

	for (line = 0; line < LAB_LINES; line++) {
		u64 n = pfn * LAB_LINES + line;
		u64 bits = cbit_lab_mix(run->seed, n);
		u64 value = cbit_lab_mix(~run->seed, n);
		unsigned int offset = line * 64 + (bits >> 32) % 8 * 8;

		if (bits % LAB_LINES >= run->lines)
			continue;
		run->done++;
		if (!run->check)
			lab_device_store(g->asid, pfn, offset, value);
		else if (lab_device_load(g->asid, pfn, offset) != value)
			run->wrong++;
	}
}

/** lab_guest_run() - it runs here and now, and uses some of its pages */
int lab_guest_run(struct lab_guest *g, struct cbit_lab_run *run)
{
	unsigned int n;
	int err;

	run->done = 0;
	run->wrong = 0;
	if (!g->bound || g->mn.mm != current->mm)
		return -ESRCH;
	if (run->first > g->num_pages || run->pages > g->num_pages - run->first)
		return -EINVAL;
	for (n = run->first; n < run->first + run->pages; n++) {
		spin_lock(&g->lock);
		if (!g->page[n].pfn) {
			spin_unlock(&g->lock);
			err = map_page(g, n);
			if (err)
				return err;
		}
		/* The lock is held, and this CPU is ours. */
		err = !g->asid ? -ENOKEY :
		      !lab_device_has(g->page[n].pfn) ? -ERANGE : 0;
		if (!err) {
			cpumask_set_cpu(smp_processor_id(), g->have_run);
			g->page[n].young = true;
			use_page(g, g->page[n].pfn, run);
		}
		spin_unlock(&g->lock);
		if (err)
			return err;
		cond_resched();
	}
	return 0;
}

/**
 * lab_guest_move() - the context of guest @from becomes that of @to
 * @to: has memory, and loses the context that it has
 * @from: is an ordinary guest from now on
 *
 * Who flushes for the other one knows of the CPUs that have run that one. What
 * those have that ran this one has to be flushed before. KVM has the same when
 * a guest moves to another file on the same host.
 */
int lab_guest_move(struct lab_guest *to, struct lab_guest *from)
{
	u32 asid;

	if (to == from || !to->bound || !from->bound)
		return -EINVAL;
	if (!(to->faults & CBIT_LAB_MOVE_NO_FLUSH))
		lab_flush_cpus(from->have_run);
	spin_lock(&from->lock);
	asid = from->asid;
	from->asid = 0;
	spin_unlock(&from->lock);
	if (!asid)
		return -ENOKEY;
	spin_lock(&to->lock);
	swap(to->asid, asid);
	spin_unlock(&to->lock);
	put_asid(asid);
	return 0;
}

/** lab_guest_stats() - what has been so far */
void lab_guest_stats(struct lab_guest *g, struct cbit_lab_stats *stats)
{
	spin_lock(&g->lock);
	*stats = g->stats;
	stats->asid = g->asid;
	spin_unlock(&g->lock);
	stats->masks = atomic_read(&masks);
}
