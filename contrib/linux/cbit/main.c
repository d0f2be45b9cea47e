// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /dev/cxl_cbit_lab: each open file is a confidential guest
 */

#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "lab.h"

static int lab_open(struct inode *inode, struct file *file)
{
	if (!lab_device_ready())
		return -ENODEV;
	file->private_data = lab_guest_new();
	return file->private_data ? 0 : -ENOMEM;
}

static int lab_release(struct inode *inode, struct file *file)
{
	lab_guest_free(file->private_data);
	return 0;
}

static const struct file_operations lab_fops;

static int move(struct lab_guest *to, int fd)
{
	struct file *file = fget(fd);
	int err = -EBADF;

	if (file && file->f_op == &lab_fops)
		err = lab_guest_move(to, file->private_data);
	if (file)
		fput(file);
	return err;
}

static int setup(struct lab_guest *g, void __user *arg)
{
	struct cbit_lab_setup setup;

	if (copy_from_user(&setup, arg, sizeof(setup)))
		return -EFAULT;
	return lab_guest_setup(g, &setup);
}

static int run(struct lab_guest *g, void __user *arg)
{
	struct cbit_lab_run run;
	int err;

	if (copy_from_user(&run, arg, sizeof(run)))
		return -EFAULT;
	err = lab_guest_run(g, &run);
	return copy_to_user(arg, &run, sizeof(run)) ? -EFAULT : err;
}

static int migrate(struct lab_guest *g, void __user *arg)
{
	struct cbit_lab_migrate m;
	int err;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	err = lab_migrate(g, &m);
	return copy_to_user(arg, &m, sizeof(m)) ? -EFAULT : err;
}

static int stats(struct lab_guest *g, void __user *arg)
{
	struct cbit_lab_stats stats;

	lab_guest_stats(g, &stats);
	return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
}

static long lab_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct lab_guest *g = file->private_data;
	void __user *ptr = (void __user *)arg;

	switch (cmd) {
	case CBIT_LAB_SETUP:
		return setup(g, ptr);
	case CBIT_LAB_RUN:
		return run(g, ptr);
	case CBIT_LAB_STATS:
		return stats(g, ptr);
	case CBIT_LAB_MIGRATE_PAGES:
		return migrate(g, ptr);
	case CBIT_LAB_MOVE:
		return move(g, arg);
	case CBIT_LAB_DRAIN:
		lab_drain();
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct file_operations lab_fops = {
	.owner = THIS_MODULE,
	.open = lab_open,
	.release = lab_release,
	.unlocked_ioctl = lab_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice lab_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = LAB_NAME,
	.fops = &lab_fops,
	.mode = 0600,
};

static int __init lab_init(void)
{
	int err = lab_device_init();

	if (err)
		return err;
	err = misc_register(&lab_misc);
	if (err)
		lab_device_exit();
	return err;
}
module_init(lab_init);

static void __exit lab_exit(void)
{
	misc_deregister(&lab_misc);
	lab_device_exit();
}
module_exit(lab_exit);

MODULE_DESCRIPTION("A laboratory for memory under two encryption contexts");
MODULE_LICENSE("GPL");
