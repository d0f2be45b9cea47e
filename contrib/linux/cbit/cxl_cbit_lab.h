/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A laboratory for memory under two encryption contexts: what /dev/cxl_cbit_lab
 * and its users tell each other.
 *
 * Each open file is one confidential guest. It has pages of one process, which
 * it accesses by their encrypted address, as long as the process has them.
 */
#ifndef CXL_CBIT_LAB_H
#define CXL_CBIT_LAB_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Why the kernel says that pages of a process change */
enum cbit_lab_reason {
	CBIT_LAB_UNMAP,		/* munmap() */
	CBIT_LAB_CLEAR,		/* page table entries go: madvise(), rmap, KSM */
	CBIT_LAB_RELEASE,	/* the process ends */
	CBIT_LAB_MIGRATE,	/* migrate_vma_setup() */
	CBIT_LAB_PROTECTION,	/* mprotect(), write-back, NUMA balancing */
	CBIT_LAB_AGE,		/* is the page in use? Nothing is to change */
	CBIT_LAB_OTHER,
	CBIT_LAB_NUM_REASONS
};

/* What is flushed then */
enum cbit_lab_policy {
	CBIT_LAB_NONE,		/* nothing */
	CBIT_LAB_ALL_CPUS,	/* all of each CPU's caches, as Linux 5.18 does */
	CBIT_LAB_HAVE_RUN,	/* ... of CPUs that have run the guest: 6.17 */
	CBIT_LAB_REASONS,	/* ... of all, if pages may be given up */
	CBIT_LAB_RANGE,		/* the guest's lines of the pages in question */
	CBIT_LAB_ADAPTIVE,	/* for these reasons: few pages, or have-run */
	CBIT_LAB_NUM_POLICIES
};

/* On purpose, for tests: each must be noticed */
#define CBIT_LAB_BROKEN_FLUSH	1	/* of one CPU alone; of the next page */
/* As KVM had it, until Linux 7.3: */
#define CBIT_LAB_MOVE_NO_FLUSH	2	/* before commit 93de2a6a4b91 */
#define CBIT_LAB_MOVE_KEEP_MASK	4	/* before commit 12c1f6e03f94 */

/**
 * struct cbit_lab_setup - the guest gets memory of the calling process
 * @addr: of the first page
 * @pages: how many
 * @policy: enum cbit_lab_policy
 * @faults: CBIT_LAB_*
 */
struct cbit_lab_setup {
	__u64 addr;
	__u32 pages;
	__u32 policy;
	__u32 faults;
	__u32 pad;
};

/**
 * struct cbit_lab_run - the guest runs on the CPU that the caller is on
 * @first: which page, of its memory
 * @pages: how many
 * @lines: of each page so many of 64, in the mean
 * @check: do not store words, but load them and compare
 * @seed: of what it stores
 * @done: words that were stored, or compared
 * @wrong: words that were not what had been stored
 */
struct cbit_lab_run {
	__u32 first;
	__u32 pages;
	__u32 lines;
	__u32 check;
	__u64 seed;
	__u64 done;
	__u64 wrong;
};

/**
 * struct cbit_lab_stats - what came of it
 * @events: of pages of the guest, by enum cbit_lab_reason
 * @answered: how many of them by a flush
 * @cpus: CPUs whose caches were flushed
 * @pages: pages that were, alone
 * @scanned, @flushed, @needed, @wasted: lines, as the device counts them
 * @asid: the guest's; 0 if it has been moved away
 * @masks: sets of CPUs that the module has, of all guests
 */
struct cbit_lab_stats {
	__u64 events[CBIT_LAB_NUM_REASONS];
	__u64 answered;
	__u64 cpus;
	__u64 pages;
	__u64 scanned;
	__u64 flushed;
	__u64 needed;
	__u64 wasted;
	__u32 asid;
	__u32 masks;
};

/**
 * struct cbit_lab_migrate - a driver moves pages of the guest's, as HMM has it
 * @first: which page, of its memory
 * @pages: how many, at most 512
 * @node: where to
 * @moved: how many were
 */
struct cbit_lab_migrate {
	__u32 first;
	__u32 pages;
	__u32 node;
	__u32 moved;
};

#define CBIT_LAB_SETUP		_IOW('C', 1, struct cbit_lab_setup)
#define CBIT_LAB_RUN		_IOWR('C', 2, struct cbit_lab_run)
#define CBIT_LAB_STATS		_IOR('C', 3, struct cbit_lab_stats)
#define CBIT_LAB_MIGRATE_PAGES	_IOWR('C', 4, struct cbit_lab_migrate)
/* The context of another guest, its file is given, becomes this one's */
#define CBIT_LAB_MOVE		_IO('C', 5)
/* Caches become empty, one CPU after the other */
#define CBIT_LAB_DRAIN		_IO('C', 6)

/* The same bits of both, and of whoever checks: nothing is at random */
static inline __u64 cbit_lab_mix(__u64 seed, __u64 n)
{
	__u64 x = seed + n * 0x9e3779b97f4a7c15ULL;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

#endif
