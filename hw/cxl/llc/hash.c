/*
 * A host's last-level cache: which slice a line goes to
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "internal.h"

/*
 * Bits of the physical address whose parity is one bit of the slice's number.
 * Maurice et al., RAID 2015, table 3: as many of them as there are slices for.
 */
static const uint64_t masks_8[] = {
    0x1b5f575440, 0x2eb5faa880, 0x3cccc93100,
};

/* A Xeon Gold 6130's: not the ones above and one more */
static const uint64_t masks_16[] = {
    0x1b5f575440, 0x0eb5faa880, 0x1cccc93100, 0x11aeeb1200,
};

static unsigned parities(const uint64_t *mask, unsigned slices, uint64_t addr)
{
    unsigned slice = 0;

    for (unsigned bit = 0; 1u << bit < slices; bit++) {
        slice |= (unsigned)__builtin_parityll(addr & mask[bit]) << bit;
    }
    return slice;
}

unsigned cxl_llc_hash(CXLLlcHash hash, unsigned slices, uint64_t line)
{
    return hash == CXL_LLC_HASH_LINEAR ? line & (slices - 1) :
           parities(slices == 16 ? masks_16 : masks_8, slices,
                    line << CXL_LLC_LINE_SHIFT);
}
