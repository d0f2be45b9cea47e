// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device: an encrypted alias of memory, and what flushes of it cost
 */

#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/module.h>
#include <linux/pci.h>

#include "cxl_cbit_alias_regs.h"
#include "lab.h"

static unsigned long base;
module_param(base, ulong, 0444);
MODULE_PARM_DESC(base, "physical address of the memory that guests may have");

static unsigned long size;
module_param(size, ulong, 0444);
MODULE_PARM_DESC(size, "of it, in bytes");

static struct pci_dev *device;
static void __iomem *regs;
static void __iomem *alias;
static DEFINE_SPINLOCK(lock);
static u32 current_asid;

/** lab_device_ready() - is there one? */
bool lab_device_ready(void)
{
	return device;
}

/** lab_device_has() - is a page among those that are cached? */
bool lab_device_has(unsigned long pfn)
{
	return pfn >= PHYS_PFN(base) && pfn < PHYS_PFN(base + size);
}

static void __iomem *place(unsigned long pfn, unsigned int offset)
{
	return alias + (PFN_PHYS(pfn) - base) + offset;
}

/* The alias is one ASID's at a time. */
static void choose(u32 asid)
{
	if (asid != current_asid) {
		writel(asid, regs + CBR_ASID);
		current_asid = asid;
	}
}

/** lab_device_load() - 8 bytes by this CPU, decrypted */
u64 lab_device_load(u32 asid, unsigned long pfn, unsigned int offset)
{
	u64 value;

	spin_lock(&lock);
	choose(asid);
	value = readq(place(pfn, offset));
	spin_unlock(&lock);
	return value;
}

/** lab_device_store() - 8 bytes by this CPU, into its cache */
void lab_device_store(u32 asid, unsigned long pfn, unsigned int offset,
		      u64 value)
{
	spin_lock(&lock);
	choose(asid);
	writeq(value, place(pfn, offset));
	spin_unlock(&lock);
}

/** lab_device_flush_page() - the lines of a page, from all CPUs' caches */
void lab_device_flush_page(u32 asid, unsigned long pfn)
{
	writeq(PFN_PHYS(pfn) | asid, regs + CBR_PAGE_FLUSH);
}

/** lab_device_costs() - lines that flushes have scanned, ... since reset */
void lab_device_costs(struct cbit_lab_stats *costs)
{
	costs->scanned = readq(regs + CBR_SCANNED);
	costs->flushed = readq(regs + CBR_FLUSHED);
	costs->needed = readq(regs + CBR_NEEDED);
	costs->wasted = readq(regs + CBR_WASTED);
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	int err;

	if (device)
		return -EBUSY;
	if (!base || !size || !PAGE_ALIGNED(base) || !PAGE_ALIGNED(size)) {
		dev_err(&pdev->dev, "base= and size= say which memory is cached\n");
		return -EINVAL;
	}
	err = pcim_enable_device(pdev);
	if (err)
		return err;
	regs = pcim_iomap(pdev, CXL_CBIT_ALIAS_BAR_REGS, CBR_REGS_SIZE);
	if (!regs)
		return -ENOMEM;
	if (readl(regs + CBR_MAGIC) != CBR_MAGIC_VALUE) {
		dev_err(&pdev->dev, "no registers of an encrypted alias\n");
		return -ENODEV;
	}
	alias = devm_ioremap(&pdev->dev, base | BIT_ULL(readl(regs + CBR_BIT)),
			     size);
	if (!alias)
		return -ENOMEM;
	current_asid = readl(regs + CBR_ASID);
	device = pdev;
	return 0;
}

static void remove(struct pci_dev *pdev)
{
	device = NULL;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(CXL_CBIT_ALIAS_VENDOR_ID, CXL_CBIT_ALIAS_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver driver = {
	.name = LAB_NAME,
	.id_table = ids,
	.probe = probe,
	.remove = remove,
	/* Who has the file has the device */
	.driver.suppress_bind_attrs = true,
};

/** lab_device_init() - find it */
int lab_device_init(void)
{
	return pci_register_driver(&driver);
}

/** lab_device_exit() - give it back */
void lab_device_exit(void)
{
	pci_unregister_driver(&driver);
}
