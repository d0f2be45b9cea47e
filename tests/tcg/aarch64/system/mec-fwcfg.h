/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that does DMA and needs no driver: fw_cfg's DMA interface copies a
 * file of the host into guest memory (docs/specs/fw_cfg.rst).
 */
#ifndef MEC_FWCFG_H
#define MEC_FWCFG_H

#include "mec-rt.h"

#define FW_CFG_BASE     0x09020000UL
#define FW_CFG_DMA      (FW_CFG_BASE + 16)
#define FW_CFG_FILE_DIR 0x19
#define FW_CFG_ERROR    1
#define FW_CFG_READ     2
#define FW_CFG_SELECT   8

struct fw_cfg_dma {
    uint32_t control, length;
    uint64_t address;
};

/* Item key into length bytes at pa; false if the device reports an error. */
static inline bool fw_cfg_dma(uint16_t key, uint64_t pa, uint32_t length)
{
    static uint64_t block;
    struct fw_cfg_dma *d;

    if (!block) {
        block = mec_page();
    }
    d = mec_va(WIN_NS, block);
    d->control = __builtin_bswap32((uint32_t)key << 16 | FW_CFG_SELECT |
                                   FW_CFG_READ);
    d->length = __builtin_bswap32(length);
    d->address = __builtin_bswap64(pa);
    dsb();
    ST((uint64_t *)FW_CFG_DMA, __builtin_bswap64(block));
    dsb();
    while (LD(&d->control) & ~__builtin_bswap32(FW_CFG_ERROR)) {
    }
    return LD(&d->control) == 0;
}

/* Key of a file; 0 if there is none of that name. */
static inline uint16_t fw_cfg_find(const char *name)
{
    struct file {
        uint32_t size;
        uint16_t select, reserved;
        char name[56];
    };
    uint64_t dir = mec_pages(4, 4096);
    uint32_t *count = mec_va(WIN_NS, dir);
    struct file *f = mec_va(WIN_NS, dir + 4);
    unsigned i, j;

    if (!fw_cfg_dma(FW_CFG_FILE_DIR, dir, 4 * 4096)) {
        return 0;
    }
    for (i = 0; i < __builtin_bswap32(*count) && i < 200; i++) {
        for (j = 0; name[j] && f[i].name[j] == name[j]; j++) {
        }
        if (!name[j] && !f[i].name[j]) {
            return __builtin_bswap16(f[i].select);
        }
    }
    return 0;
}

#endif
