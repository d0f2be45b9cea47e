// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AES for dm-crypt and others on CXL Type 1 crypto accelerators
 *
 * The devices are virtio-crypto devices; this is a virtio driver for them.  It
 * registers xts(aes), cbc(aes), ctr(aes) and ecb(aes) above all software, and
 * does in software whatever a device cannot do, would not do or did not finish,
 * so that nobody above notices when one fails, hangs, is pulled out or plugged
 * in.
 *
 * What makes it legal to do a request again: a Type 1 device writes a request's
 * result as a whole, as the last thing before its status, and nothing if it
 * reports an error (VIRTIO_CRYPTO_ERR).  So as long as a request has not come
 * back good its source is intact, also in place; once it has, it must not be
 * done again.  One that has not come back may still be written, so first the
 * device is made sure to write no more, and asked what it had finished
 * (quiesce() in device.c).
 */

#include <linux/module.h>

#include "ct1.h"

struct workqueue_struct *ct1_wq;

static int __init ct1_init(void)
{
	int err;

	/* Part of writing pages out, hence MEM_RECLAIM */
	ct1_wq = alloc_workqueue(CT1_NAME, WQ_MEM_RECLAIM | WQ_UNBOUND, 0);
	if (!ct1_wq)
		return -ENOMEM;
	err = ct1_software_init();
	if (err)
		goto err_wq;
	err = ct1_request_init();
	if (err)
		goto err_software;
	err = ct1_match_init();
	if (err)
		goto err_request;
	/* With the devices there, so that the kernel's self tests test those */
	err = ct1_modes_register();
	if (err)
		goto err_match;
	ct1_debugfs_init();
	return 0;

err_match:
	ct1_match_exit();
err_request:
	ct1_request_exit();
err_software:
	ct1_software_exit();
err_wq:
	destroy_workqueue(ct1_wq);
	return err;
}

static void __exit ct1_exit(void)
{
	ct1_debugfs_exit();
	ct1_modes_unregister();
	ct1_match_exit();
	ct1_request_exit();
	ct1_software_exit();
	destroy_workqueue(ct1_wq);
	/* Sessions and devices that were freed by then */
	rcu_barrier();
}

module_init(ct1_init);
module_exit(ct1_exit);

MODULE_DESCRIPTION("AES on CXL Type 1 crypto accelerators");
MODULE_LICENSE("GPL");
