// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A PCI function through VFIO, in an IOMMU domain of its own that holds what
 * dma_map() puts there and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "vfio-crypto.h"

static int container, device;

void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static int open_group(const char *name)
{
    struct vfio_group_status status = { .argsz = sizeof(status) };
    char path[128], link[128];
    ssize_t len;
    int group;

    snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
    len = readlink(path, link, sizeof(link) - 1);
    if (len < 0) {
        die(path);
    }
    link[len] = 0;
    snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(link, '/'));
    group = open(path, O_RDWR);
    if (group < 0 || ioctl(group, VFIO_GROUP_GET_STATUS, &status) ||
        !(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
        die(path);
    }
    return group;
}

void pci_open(const char *name)
{
    int group = open_group(name);

    container = open("/dev/vfio/vfio", O_RDWR);
    if (container < 0 ||
        ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
        ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU)) {
        die("/dev/vfio/vfio");
    }
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name);
    if (device < 0) {
        die(name);
    }
}

static off_t region(unsigned index)
{
    struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

    if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info)) {
        die("VFIO_DEVICE_GET_REGION_INFO");
    }
    return info.offset;
}

/* Both architectures that this is for are little endian */
static uint32_t region_read(unsigned index, uint64_t offset, unsigned size)
{
    uint32_t value = 0;

    if (pread(device, &value, size, region(index) + offset) != (int)size) {
        die("pread(device)");
    }
    return value;
}

static void region_write(unsigned index, uint64_t offset, unsigned size,
                         uint32_t value)
{
    if (pwrite(device, &value, size, region(index) + offset) != (int)size) {
        die("pwrite(device)");
    }
}

uint32_t pci_config_read(unsigned offset, unsigned size)
{
    return region_read(VFIO_PCI_CONFIG_REGION_INDEX, offset, size);
}

void pci_config_write(unsigned offset, unsigned size, uint32_t value)
{
    region_write(VFIO_PCI_CONFIG_REGION_INDEX, offset, size, value);
}

uint32_t pci_bar_read(unsigned bar, uint64_t offset, unsigned size)
{
    return region_read(VFIO_PCI_BAR0_REGION_INDEX + bar, offset, size);
}

void pci_bar_write(unsigned bar, uint64_t offset, unsigned size,
                   uint32_t value)
{
    region_write(VFIO_PCI_BAR0_REGION_INDEX + bar, offset, size, value);
}

void dma_map(uint64_t iova, void *p, size_t len, bool writable)
{
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = VFIO_DMA_MAP_FLAG_READ |
                 (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0),
        .vaddr = (uintptr_t)p,
        .iova = iova,
        .size = len,
    };

    if (ioctl(container, VFIO_IOMMU_MAP_DMA, &map)) {
        die("VFIO_IOMMU_MAP_DMA");
    }
}

void dma_unmap(uint64_t iova, size_t len)
{
    struct vfio_iommu_type1_dma_unmap unmap = {
        .argsz = sizeof(unmap), .iova = iova, .size = len,
    };

    if (ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) || unmap.size != len) {
        die("VFIO_IOMMU_UNMAP_DMA");
    }
}
