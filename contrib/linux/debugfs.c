// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sys/kernel/debug/cxl_type1_crypto: counters, devices, and who uses what
 */

#include <linux/debugfs.h>
#include <linux/module.h>

#include "ct1.h"

static struct dentry *folder;

static int stats_show(struct seq_file *s, void *unused)
{
	unsigned int i;

	seq_printf(s, "state %s\n", ct1_state_names[ct1_device_best_state()]);
	for (i = 0; i < CT1_NUM_COUNTS; i++)
		seq_printf(s, "%s %llu\n", ct1_count_name(i), ct1_count(i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int devices_show(struct seq_file *s, void *unused)
{
	struct ct1_device *dev;
	unsigned int i;

	seq_puts(s, "# device slot state requests queues: in-flight+waiting ...\n");
	mutex_lock(&ct1_lock);
	list_for_each_entry(dev, &ct1_devices, node) {
		seq_printf(s, "%s %s %s %lld %u:", dev_name(&dev->vdev->dev),
			   pci_name(dev->pdev), ct1_state_names[dev->state],
			   atomic64_read(&dev->requests), dev->num_queues);
		for (i = 0; i < dev->num_queues; i++)
			seq_printf(s, " %u+%u",
				   READ_ONCE(dev->queues[i].num_inflight),
				   READ_ONCE(dev->queues[i].num_waiting));
		seq_putc(s, '\n');
	}
	mutex_unlock(&ct1_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(devices);

static int transforms_show(struct seq_file *s, void *unused)
{
	struct ct1_session *session;
	struct ct1_tfm *tfm;

	seq_puts(s, "# algorithm key-bits on-device in-software set-by devices\n");
	mutex_lock(&ct1_lock);
	list_for_each_entry(tfm, &ct1_tfms, node) {
		if (!tfm->keylen)
			continue;
		seq_printf(s, "%s %u %lld %lld %s[%d]", tfm->mode->name,
			   8 * tfm->keylen, atomic64_read(&tfm->on_device),
			   atomic64_read(&tfm->in_software), tfm->comm,
			   tfm->pid);
		list_for_each_entry(session, &tfm->sessions, of_tfm)
			seq_printf(s, " %s", dev_name(&session->dev->vdev->dev));
		seq_putc(s, '\n');
	}
	mutex_unlock(&ct1_lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(transforms);

/** ct1_debugfs_init() - show it, where there is a debugfs */
void ct1_debugfs_init(void)
{
	folder = debugfs_create_dir(CT1_NAME, NULL);
	debugfs_create_file("stats", 0444, folder, NULL, &stats_fops);
	debugfs_create_file("devices", 0444, folder, NULL, &devices_fops);
	debugfs_create_file("transforms", 0444, folder, NULL, &transforms_fops);
}

/** ct1_debugfs_exit() - no more */
void ct1_debugfs_exit(void)
{
	debugfs_remove_recursive(folder);
}
