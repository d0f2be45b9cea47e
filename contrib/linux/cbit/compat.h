/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What differs between the kernels that this is built for, 6.1 to 7.3 */
#ifndef CXL_CBIT_LAB_COMPAT_H
#define CXL_CBIT_LAB_COMPAT_H

#include <linux/mmu_notifier.h>
#include <linux/types.h>

/* What those say that are asked whether a page is young: once int, now bool */
typedef typeof(((struct mmu_notifier_ops *)0)->test_young(NULL, NULL, 0))
	compat_young;

#endif
