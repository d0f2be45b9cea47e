// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Results, as TAP: to the kernel's log, and to debugfs for scripts
 */

#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/vmalloc.h>

#include "cct.h"

#define ROOM		(64 * 1024)
/* Of one point; what fails often fails everywhere */
#define MAX_REASONS	5

static DEFINE_MUTEX(lock);
static char *text;
static size_t used;
static struct dentry *dir;
static const char *current_point;
static unsigned int points, failures, reasons;
static bool lost, pinned;

static void __printf(2, 0) vline(const char *prefix, const char *fmt,
				 va_list args)
{
	char buf[200];

	vscnprintf(buf, sizeof(buf), fmt, args);
	pr_info(CCT_NAME ": %s%s\n", prefix, buf);
	used += scnprintf(text + used, ROOM - used, "%s%s\n", prefix, buf);
}

static void __printf(1, 2) line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vline("", fmt, args);
	va_end(args);
}

/** cct_begin() - the next point of the test, called @name */
void cct_begin(const char *name)
{
	current_point = name;
	reasons = 0;
}

/** cct_fail() - what is wrong about the point; from any thread */
void cct_fail(const char *fmt, ...)
{
	va_list args;

	mutex_lock(&lock);
	if (reasons++ < MAX_REASONS) {
		va_start(args, fmt);
		vline("# ", fmt, args);
		va_end(args);
	}
	mutex_unlock(&lock);
}

/** cct_remark() - something worth knowing; from any thread */
void cct_remark(const char *fmt, ...)
{
	va_list args;

	mutex_lock(&lock);
	va_start(args, fmt);
	vline("# ", fmt, args);
	va_end(args);
	mutex_unlock(&lock);
}

/** cct_failed() - is something wrong about this point already? */
bool cct_failed(void)
{
	return READ_ONCE(reasons);
}

/** cct_end() - the point's result; returns whether it is good */
bool cct_end(void)
{
	mutex_lock(&lock);
	points++;
	if (reasons > MAX_REASONS)
		line("# ... and %u more", reasons - MAX_REASONS);
	failures += !!reasons;
	line("%s %u - %s", reasons ? "not ok" : "ok", points, current_point);
	mutex_unlock(&lock);
	return !reasons;
}

/** cct_finish() - the plan, at the end, tells a script that it is one */
void cct_finish(void)
{
	mutex_lock(&lock);
	line("# %u passed, %u failed", points - failures, failures);
	line("1..%u", points);
	mutex_unlock(&lock);
}

/** cct_lost() - has a request not come back? */
bool cct_lost(void)
{
	return READ_ONCE(lost);
}

/**
 * cct_set_lost() - a request has not come back
 * @for_good: it may still do so: neither its memory nor this module may go
 */
void cct_set_lost(bool for_good)
{
	WRITE_ONCE(lost, true);
	if (for_good && !xchg(&pinned, true))
		__module_get(THIS_MODULE);
}

static int results_show(struct seq_file *file, void *unused)
{
	mutex_lock(&lock);
	seq_write(file, text, used);
	mutex_unlock(&lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(results);

/** cct_report_init() - have a place for results */
int cct_report_init(void)
{
	text = vzalloc(ROOM);
	if (!text)
		return -ENOMEM;
	dir = debugfs_create_dir(CCT_NAME, NULL);
	debugfs_create_file("results", 0444, dir, NULL, &results_fops);
	return 0;
}

/** cct_report_exit() - nobody wants to know any more */
void cct_report_exit(void)
{
	debugfs_remove(dir);
	vfree(text);
}
