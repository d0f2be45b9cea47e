/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside the module. Calls go one way: main -> guest -> notify, flush -> device.
 *
 * A guest's @lock is held where its table of pages is used, and while the guest
 * accesses a page: so that who takes the page away knows that it does so no
 * more. Flushes of whole caches are without it, those of a page with it. The
 * device's lock is the inner one.
 */
#ifndef CXL_CBIT_LAB_INTERNAL_H
#define CXL_CBIT_LAB_INTERNAL_H

#include <linux/cpumask.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "cxl_cbit_lab.h"

#define LAB_NAME	"cxl_cbit_lab"
#define LAB_LINES	(PAGE_SIZE / 64)

/**
 * struct lab_page - what the guest's page table has for a page
 * @pfn: where it is; 0: nowhere
 * @young: the guest has used it
 */
struct lab_page {
	unsigned long pfn;
	bool young;
};

/**
 * struct lab_guest - a confidential guest
 * @mn: with the process, while there is one: @bound
 * @setup: one at a time
 * @lock: of what follows
 * @invalidating: how many are about to change pages of the guest
 * @changes: how many were
 * @quiet: woken when @invalidating is 0 again
 * @asid: whose key; 0: it has been moved away, and is an ordinary guest
 * @have_run: CPUs that have run it, since its creation
 */
struct lab_guest {
	struct mmu_notifier mn;
	struct mutex setup;
	bool bound;
	unsigned long addr;
	unsigned int num_pages;
	u32 policy;
	u32 faults;

	spinlock_t lock;
	unsigned int invalidating;
	unsigned long changes;
	wait_queue_head_t quiet;
	struct lab_page *page;
	u32 asid;
	cpumask_var_t have_run;
	bool has_mask;
	struct cbit_lab_stats stats;
};

/* device.c */
int lab_device_init(void);
void lab_device_exit(void);
bool lab_device_ready(void);
bool lab_device_has(unsigned long pfn);
u64 lab_device_load(u32 asid, unsigned long pfn, unsigned int offset);
void lab_device_store(u32 asid, unsigned long pfn, unsigned int offset,
		      u64 value);
void lab_device_flush_page(u32 asid, unsigned long pfn);
void lab_device_costs(struct cbit_lab_stats *costs);

/* flush.c */
void lab_flush_cpus(const struct cpumask *cpus);
bool lab_flush_wanted(const struct lab_guest *g, enum cbit_lab_reason reason);
bool lab_flush_by_page(const struct lab_guest *g, unsigned int mapped);
void lab_flush_page(struct lab_guest *g, unsigned long pfn);
void lab_flush_all(struct lab_guest *g);
void lab_drain(void);

/* notify.c */
extern const struct mmu_notifier_ops lab_notifier_ops;
void lab_take_away(struct lab_guest *g, unsigned int first, unsigned int end,
		   enum cbit_lab_reason reason);

/* guest.c */
struct lab_guest *lab_guest_new(void);
void lab_guest_free(struct lab_guest *g);
int lab_guest_setup(struct lab_guest *g, const struct cbit_lab_setup *setup);
int lab_guest_run(struct lab_guest *g, struct cbit_lab_run *run);
int lab_guest_move(struct lab_guest *to, struct lab_guest *from);
void lab_guest_stats(struct lab_guest *g, struct cbit_lab_stats *stats);

/* migrate.c */
int lab_migrate(struct lab_guest *g, struct cbit_lab_migrate *m);

#endif
