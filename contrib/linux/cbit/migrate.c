// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A driver moves pages of the guest's process, as those do whose devices have
 * memory; here from one node to another
 */

#include <linux/highmem.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "lab.h"

#define MAX_PAGES	512

#ifdef CONFIG_DEVICE_MIGRATION

static void copy_pages(struct migrate_vma *args, int node)
{
	unsigned long i;

	for (i = 0; i < args->npages; i++) {
		struct page *from = migrate_pfn_to_page(args->src[i]), *to;

		args->dst[i] = 0;
		if (!from || !(args->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		to = alloc_pages_node(node, GFP_HIGHUSER_MOVABLE, 0);
		if (!to)
			continue;
		lock_page(to);
		copy_highpage(to, from);
		args->dst[i] = migrate_pfn(page_to_pfn(to));
	}
}

static unsigned int count_moved(const struct migrate_vma *args)
{
	unsigned int n = 0;
	unsigned long i;

	for (i = 0; i < args->npages; i++)
		n += !!(args->src[i] & MIGRATE_PFN_MIGRATE);
	return n;
}

/* A range may be of several areas; returns where the first one ends */
static int migrate_area(unsigned long start, unsigned long *end, int node,
			struct migrate_vma *args, unsigned int *moved)
{
	struct vm_area_struct *vma = find_vma(current->mm, start);
	int err;

	if (!vma || vma->vm_start > start)
		return -EFAULT;
	*end = min(*end, vma->vm_end);
	args->vma = vma;
	args->start = start;
	args->end = *end;
	args->cpages = 0;
	args->npages = 0;
	args->flags = MIGRATE_VMA_SELECT_SYSTEM;
	err = migrate_vma_setup(args);
	if (err)
		return err;
	copy_pages(args, node);
	migrate_vma_pages(args);
	*moved += count_moved(args);
	migrate_vma_finalize(args);
	return 0;
}

/** lab_migrate() - pages of the guest go to another node */
int lab_migrate(struct lab_guest *g, struct cbit_lab_migrate *m)
{
	struct migrate_vma args = { };
	unsigned long at, next, end;
	int err = -ENOMEM;

	m->moved = 0;
	if (!g->bound || g->mn.mm != current->mm)
		return -ESRCH;
	if (!m->pages || m->pages > MAX_PAGES || m->first > g->num_pages ||
	    m->pages > g->num_pages - m->first || m->node >= MAX_NUMNODES ||
	    !node_online(m->node))
		return -EINVAL;
	args.src = kcalloc(m->pages, sizeof(*args.src), GFP_KERNEL);
	args.dst = kcalloc(m->pages, sizeof(*args.dst), GFP_KERNEL);
	if (!args.src || !args.dst)
		goto out;
	at = g->addr + m->first * PAGE_SIZE;
	end = at + m->pages * PAGE_SIZE;
	err = 0;
	mmap_read_lock(current->mm);
	for (; at < end && !err; at = next) {
		next = end;
		err = migrate_area(at, &next, m->node, &args, &m->moved);
	}
	mmap_read_unlock(current->mm);
out:
	kfree(args.src);
	kfree(args.dst);
	return err;
}

#else

int lab_migrate(struct lab_guest *g, struct cbit_lab_migrate *m)
{
	return -EOPNOTSUPP;
}

#endif
